"""Progress on stderr: a bar in a terminal, a plain line now and then elsewhere. Results go to stdout, never here."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

PLAIN_EVERY = 15.0
"""Seconds between plain lines where stderr is no terminal."""


class Bar:
    """Counts what is done; a silent one shows nothing."""

    def advance(self, n: int = 1) -> None:
        """So many more are done."""


class _Rich(Bar):
    def __init__(self, progress: object, task: object) -> None:
        self._progress, self._task = progress, task

    def advance(self, n: int = 1) -> None:
        self._progress.advance(self._task, n)  # type: ignore[attr-defined]


class _Plain(Bar):
    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._of, self._done = what, "" if total is None else f" of {total}", 0
        self._started = self._told = time.monotonic()

    def advance(self, n: int = 1) -> None:
        self._done += n
        now = time.monotonic()
        if now - self._told >= PLAIN_EVERY:
            self._told = now
            say(f"{self._what}: {self._done}{self._of}, {now - self._started:.0f} s")


def say(text: str) -> None:
    """A line of talk on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Bar]:
    """A progress bar for `total` things of one kind; None: nobody has counted them."""
    if total == 0:
        yield Bar()
    elif sys.stderr.isatty():
        from rich import progress as shown
        from rich.console import Console

        columns = (
            shown.TextColumn("{task.description}"),
            shown.BarColumn(),
            shown.MofNCompleteColumn(),
            shown.TimeElapsedColumn(),
            shown.TimeRemainingColumn(),
        )
        with shown.Progress(*columns, console=Console(stderr=True)) as progress:
            yield _Rich(progress, progress.add_task(what, total=total))
    else:
        yield _Plain(what, total)
