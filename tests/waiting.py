"""How a test waits for what it waits for: as long as it takes, with a limit that only a hang reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

HANG = 600.0
"""Seconds after which something hangs; a machine that does much else needs minutes for what takes seconds alone."""


def until(true: Callable[[], T], what: str, seconds: float = HANG) -> T:
    """What `true` comes to once it is true."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"it hangs: {what}"
        time.sleep(0.01)
    return found
