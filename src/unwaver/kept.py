"""Files that are there entirely or not at all, and what they were when they were whole.

A file is written beside its place under a name nobody else uses, and renamed. What proves that other files are there
(`write_last`) is written when those are on the disk, so that a power cut can't leave the proof without them. `measured`
says what a file is, `changed` in one sentence how it is otherwise than it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

PART = ".part"
"""What the names of unfinished files end in."""


@contextmanager
def whole(path: Path, on_disk: bool = False) -> Iterator[IO[bytes]]:
    """A file to be written, which takes its place when it is closed without an error; two writers don't meet.

    `on_disk`: not before its content is on the disk, for what is never looked at again where it is there.

    A device or a pipe that bears the name is written to: who is root could put a file in the place of `/dev/null`.
    """
    if path.exists() and not path.is_file():
        with _named(path), path.open("wb") as out:
            yield out
        return
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        with _named(path), part.open("wb") as out:
            yield out
            if on_disk:
                out.flush()
                os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """One process at a time works on a file or folder, the others wait; False where files can't be locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, held = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), False
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = True
        yield held
    finally:
        os.close(lock)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """A full disk names no file: its error gets the name."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file entirely or not at all."""
    with whole(path) as out:
        out.write(content.encode("utf-8") if isinstance(content, str) else content)


def write_last(path: Path, content: str) -> None:
    """Write what proves that everything else in its folder is there, when that is on the disk; and itself to it."""
    settle(path.parent)
    write_whole(path, content)
    _sync(path)
    _sync(path.parent)


def settle(folder: Path) -> None:
    """Bring a folder and all in it to the disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            if file.is_file() and not file.is_symlink():
                _sync(file)
        _sync(Path(place))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def measured(path: Path) -> dict[str, Any]:
    """Bytes, lines and digest of a file's content."""
    content, lines = hashlib.blake2b(digest_size=16), 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            content.update(piece)
            lines += piece.count(b"\n")
        return {"bytes": file.tell(), "lines": lines, "blake2b": content.hexdigest()}


def changed(path: Path, was: dict[str, Any]) -> str | None:
    """How a file is otherwise than it was measured, for people; None where it is the same."""
    if path.exists() and not path.is_file():
        return "is no file"
    try:
        now = measured(path)
    except FileNotFoundError:
        return "is gone"
    if now == was:
        return None
    if now["lines"] != was.get("lines"):
        return f"{was.get('lines')} lines were written and {now['lines']} are there"
    if now["bytes"] != was.get("bytes"):
        return f"{was.get('bytes')} bytes were written and {now['bytes']} are there"
    return "its content is not what was written"
