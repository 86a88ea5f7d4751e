"""The one way to a terminal: whatever comes from data, files or models is printed as plain text.

Writes on stdout (`progress` talks on stderr). No terminal escape, direction mark or invisible character gets through,
no text is taken for rich's markup, an encoding that lacks a character gets a sign for it, and a stream that is closed
is nobody's fault. No line and no table is folded to the terminal's width: a path or a name that was broken in two can't
be copied.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from unwaver.plain import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.table import Table

WIDE = 200
"""Columns where there is no terminal."""


@cache
def _console() -> type[Console]:
    from rich.console import Console  # not before it is used: help answers at once

    class Plain(Console):
        """A console that makes visible whatever text reaches it."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=visible(segment.text))

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # the library would end the process, with exit code 1

    return Plain


def console(stderr: bool = False) -> Console:
    """Where results are printed, or a bar is drawn: as wide as the terminal, and wide enough for anything elsewhere."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDE
    return _console()(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True, width=width)


def show_table(out: Console, table: Table) -> None:
    """Print a table as wide as what stands in it."""
    before = out.width
    natural = out.measure(table, options=out.options.update(width=1_000_000)).maximum
    out.width = max(before, natural)
    out.print(table, soft_wrap=False, no_wrap=True, crop=False)
    out.width = before


def put(path: Path | str) -> None:
    """A path, or a line about one, on stdout: to the byte for a program, made visible for a person."""
    text = str(path)
    if sys.stdout.isatty() or not hasattr(sys.stdout, "buffer"):
        print(visible(text), flush=True)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(_bytes(text) + b"\n")
        sys.stdout.flush()


def _bytes(text: str) -> bytes:
    """As a path is written; half a surrogate pair, which none has, as a sign."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def steady() -> None:
    """Make stdout and stderr take any text: closed ones lead nowhere, what an encoding lacks becomes a sign."""
    for number in (0, 1, 2):  # in this order, so that the lowest free number, which the system gives, is the one meant
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = _taking(sys.stdout, 1)
    sys.stderr = _taking(sys.stderr, 2)


def _taking(stream: Any, number: int) -> Any:
    if stream is None:  # Python found it closed
        return os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return stream


def left() -> bool:
    """Whether nobody reads stdout or stderr any more, as after `| head`. From then on what is left leads nowhere."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if _unread(stream)]
    for stream in gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return bool(gone)


def _unread(stream: TextIO) -> bool:
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False
