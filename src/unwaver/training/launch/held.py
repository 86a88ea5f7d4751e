"""One launch at a time works in a folder, whatever is killed and in whatever order.

A command may be killed while its launcher and workers live, and launchers close the descriptors they were given, so the
folder's own lock does not reach the workers. Two files of the folder do:

- `.launch` holds the name of the newest launch; the command keeps it locked while that launch is under way. A worker
  waits for that lock; when it gets it, the command is gone or has given the launch up, and the worker ends at once.
- `.workers` is locked by every worker as long as it lives, all of them together. The next launch waits until nobody has
  it, and writes its own name before it lets go, so that a worker which was only just started finds that it is late.

Workers that somebody starts by hand on another machine have no launch in their environment and are not watched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unwaver.errors import HeldError, RunError

LAUNCH = "UNWAVER_LAUNCH"
"""In a worker's environment, the name of the launch it belongs to."""

LATE_S = 60.0
"""How long workers of an earlier launch have to be gone; they end within moments."""


@contextmanager
def launch(folder: Path) -> Iterator[dict[str, str]]:
    """A launch under way in the folder; what its workers are to find in their environment. HeldError where workers of
    an earlier one don't end.
    """
    name = secrets.token_hex(8)
    under_way, workers = _open(folder / ".launch"), _open(folder / ".workers")
    try:
        _wait_for(workers, folder)
        fcntl.flock(under_way, fcntl.LOCK_EX)
        os.ftruncate(under_way, 0)
        os.pwrite(under_way, name.encode(), 0)
        os.close(workers)
        workers = -1
        yield {LAUNCH: name}
    finally:
        os.close(under_way)
        if workers >= 0:
            os.close(workers)


def join(folder: Path) -> None:
    """In a worker, before anything else: stay in the folder, and end with the launch. RunError where that is over."""
    name = os.environ.get(LAUNCH)
    if name is None:
        return
    workers = _open(folder / ".workers")  # until this process ends
    fcntl.flock(workers, fcntl.LOCK_SH)
    under_way = _open(folder / ".launch")
    if os.pread(under_way, 64, 0).decode("ascii", "replace") != name or _free(under_way):
        raise RunError(f"{folder}: the command that started this process is gone")
    threading.Thread(target=_end_with, args=(under_way,), daemon=True).start()


def _end_with(under_way: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.flock(under_way, fcntl.LOCK_SH)
    # At once, whatever this process is in the middle of: a checkpoint that is not complete is not taken for one.
    os.kill(os.getpid(), signal.SIGKILL)


def _free(under_way: int) -> bool:
    """Whether nobody holds it; the lock is given back."""
    try:
        fcntl.flock(under_way, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for(workers: int, folder: Path) -> None:
    until = time.monotonic() + LATE_S
    while True:
        try:
            fcntl.flock(workers, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise HeldError(f"{folder}: training processes of an earlier command are still at work here") from None
            time.sleep(0.1)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
