"""SIGKILL at one file operation after the other: what a command leaves behind wherever it is killed."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OPERATIONS = frozenset({
    "write", "writelines", "pwrite", "flush", "truncate", "ftruncate", "fsync", "rename", "replace", "unlink", "remove",
    "link", "symlink", "mkdir", "rmdir",
})  # fmt: skip
"""Functions of the interpreter that change files; what a killed process held back in a buffer never comes to one."""


def killed_everywhere(
    work: Callable[[], object], every: int = 1, before: Callable[[], object] = lambda: None
) -> Iterator[int]:
    """Does `work` in a process that is killed at its first file operation, at the next (or a few further) in another
    process, and so on, until one gets to its end; after each, how many operations it had got to.

    `before` is done ahead of each.
    """
    at = 0
    while True:
        at += every
        before()
        child = os.fork()
        if child == 0:
            signal.alarm(120)  # a lock that another thread of the parent held is never given back here
            with contextlib.suppress(BaseException):
                for number in (1, 2):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
                sys.setprofile(_killer(at))
                work()
                sys.setprofile(None)
                os._exit(0)
            os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL), f"it ended by itself with {code}, after {at} operations"
        yield at
        if code == 0:
            return


def _killer(at: int) -> Callable[..., None]:
    seen = 0

    def look(frame: Any, event: str, what: Any) -> None:
        nonlocal seen
        of = getattr(what, "__self__", None)
        on_disk = of is os.open.__self__ or isinstance(of, io.BufferedWriter | io.FileIO)  # type: ignore[attr-defined]
        if event == "c_return" and on_disk and what.__name__ in OPERATIONS:
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)

    return look


def held(folder: Path, *left_out: str) -> dict[str, bytes]:
    """What every file in a folder holds, but for locks, what bears the ending of unfinished files, and what is left
    out by name."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if not any(part.endswith((".part", ".lock")) or part in left_out for part in Path(name).parts)
    }
