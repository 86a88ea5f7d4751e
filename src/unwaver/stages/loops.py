"""An event loop for what a stage asks, also where one runs already.

Guarantees that Ctrl-C ends the work as it does under `asyncio.run`: what is under way is given up, and then raised.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

WAKES_S = 0.2
"""Seconds: how late an interrupt may be noticed."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`; in a thread of its own where this one runs a loop, as a notebook's does: loops can't be nested."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    return _beside(work)


def _beside(work: Coroutine[Any, Any, T]) -> T:
    begun = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = []

    async def inside() -> T:
        task = asyncio.ensure_future(work)
        running.append((asyncio.get_running_loop(), task))
        begun.set()
        return await task

    # Nothing is asked before this thread is where an interrupt is caught: one that came while the other was being
    # started would be raised here and leave the work going on there.
    ready = threading.Event()

    def there() -> T:
        ready.wait()
        return asyncio.run(inside())

    with ThreadPoolExecutor(1, "unwaver") as pool:
        ended = pool.submit(there)
        try:
            ready.set()
            while not ended.done():  # one that comes just before a wait begins isn't raised before that wait is over
                wait([ended], WAKES_S)
            return ended.result()
        except KeyboardInterrupt:
            ready.set()
            begun.wait()
            loop, task = running[0]
            with suppress(RuntimeError):  # it has ended by itself, and its loop with it
                loop.call_soon_threadsafe(task.cancel)
            raise
