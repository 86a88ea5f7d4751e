"""Progress on stderr: a bar in a terminal, a plain line now and then elsewhere. Results go to stdout (`printer`).

Names in bars and lines are data's: they are made visible and are no markup.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from unwaver.plain import plain, visible
from unwaver.printer import console

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
    """A line of talk on stderr, made visible. Where nobody takes it, it is lost, and the work is not."""
    with suppress(OSError):
        print(visible(text), file=sys.stderr, flush=True)


def quiet() -> None:
    """Libraries' logs tell what is wrong, on stderr, and nothing else; to be called before they are imported.

    bitsandbytes tells of kernels nobody asked for, DeepSpeed prints on stdout, which holds results' paths, and TRL
    calls what transformers will drop: nothing a user could change.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    deepspeed = logging.getLogger("DeepSpeed")  # sets its level and its handler itself, and keeps a filter
    if _on_stderr not in deepspeed.filters:
        deepspeed.addFilter(_on_stderr)


def _on_stderr(record: logging.LogRecord) -> bool:
    """Say an error; whatever handler the library has gets nothing."""
    if record.levelno >= logging.ERROR:
        say(f"{record.name}: {record.getMessage()}")
    return False


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Bar]:
    """A progress bar for `total` things of one kind; None: nobody has counted them."""
    if total == 0:
        yield Bar()
    elif sys.stderr.isatty():
        from rich import progress as shown

        columns = (
            shown.TextColumn("{task.description}", markup=False),
            shown.BarColumn(),
            shown.MofNCompleteColumn(),
            shown.TimeElapsedColumn(),
            shown.TimeRemainingColumn(),
        )
        with shown.Progress(*columns, console=console(stderr=True)) as progress:
            yield _Rich(progress, progress.add_task(plain(what), total=total))
    else:
        yield _Plain(what, total)


class Board:
    """Several kinds of things under way at once: how many of each are done, how many are running."""

    def __init__(self, totals: dict[str, int]) -> None:
        self._totals, self._told = totals, ""

    def show(self, done: dict[str, int], running: dict[str, int]) -> None:
        """Tell how things stand, where they stand otherwise than last told."""
        parts = [
            f"{kind} {done.get(kind, 0)} of {total}" + (f", {running[kind]} running" if running.get(kind) else "")
            for kind, total in self._totals.items()
        ]
        if (told := "; ".join(parts)) != self._told:
            self._told = told
            say(told)


class _RichBoard(Board):
    def __init__(self, totals: dict[str, int], progress: object) -> None:
        super().__init__(totals)
        self._progress = progress
        self._rows = {kind: progress.add_task(plain(kind), total=total, running=0) for kind, total in totals.items()}  # type: ignore[attr-defined]

    def show(self, done: dict[str, int], running: dict[str, int]) -> None:
        for kind, row in self._rows.items():
            self._progress.update(row, completed=done.get(kind, 0), running=running.get(kind, 0))  # type: ignore[attr-defined]


@contextmanager
def board(totals: dict[str, int]) -> Iterator[Board]:
    """One view of so many things of each kind: rows in a terminal, elsewhere a line for whatever changes."""
    if not sys.stderr.isatty():
        yield Board(totals)
        return
    from rich import progress as shown

    columns = (
        shown.TextColumn("{task.description}", markup=False),
        shown.BarColumn(),
        shown.MofNCompleteColumn(),
        shown.TextColumn("{task.fields[running]} running", markup=False),
        shown.TimeElapsedColumn(),
    )
    with shown.Progress(*columns, console=console(stderr=True)) as progress:
        yield _RichBoard(totals, progress)
