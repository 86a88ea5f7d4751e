"""Run directories: where a stage keeps what it makes, so that the same command goes on where it was.

A `Step` is a stage with its settings and the steps it reads from; its digest names its directory, so the same command
finds the same directory and a changed setting gets a new one. A `RunDir` is that directory, held by one process at a
time. `manifest.json` is written last, by atomic rename: it is the proof that the stage finished.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from unwaver import __version__
from unwaver.errors import DISK, DISK_SIGNS, HeldError, RecipeError, RecordError, RunError, UnwaverError
from unwaver.records import digest

R = TypeVar("R", bound=BaseModel)

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Step:
    """One stage to be done: what it is, with which settings, from which other steps."""

    stage: str
    """prompts, distil, judge, mix, overlap, train or evaluate."""
    name: str
    """What it is done to, for people: a prompt set, an arm."""
    settings: dict[str, Any]
    """All that decides its outcome, as JSON; a file enters by the digest of its content."""
    inputs: dict[str, Step] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """20 hex characters from stage, settings and the inputs' digests."""
        inputs = {key: step.digest for key, step in self.inputs.items()}
        return digest([self.stage, self.settings, inputs])

    def directory(self, root: Path) -> Path:
        """Its directory under the run's root: `<stage>-<digest8>`."""
        return root / f"{self.stage}-{self.digest[:8]}"

    def manifest(self, root: Path) -> dict[str, Any] | None:
        """What it left when it finished; None: it is owed."""
        return read_manifest(self.directory(root))


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """The manifest of a finished step; None where there is none."""
    try:
        content = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise RecordError(
            f"{directory / MANIFEST}: not JSON ({error}); delete this file to do the stage again"
        ) from None
    if not isinstance(content, dict):
        raise RecordError(f"{directory / MANIFEST}: expected an object, got {type(content).__name__}")
    return content


class RunDir:
    """A step's directory while one process works in it."""

    def __init__(self, path: Path, step: Step) -> None:
        self.path = path
        self.step = step
        self.started = time.time()

    @classmethod
    @contextmanager
    def open(cls, step: Step, root: Path) -> Iterator[RunDir]:
        """Make or enter the directory and hold it; HeldError while another process does, RunError on a full disk."""
        path = step.directory(root)
        with disk_errors(path):
            try:
                path.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
                raise RecipeError(
                    f"{root}: runs can't be kept here ({os.strerror(error.errno or 0).lower()}: {error.filename}); "
                    "expected a folder, or a place where one can be made"
                ) from None
            lock = (path / ".lock").open("a+")
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise HeldError(
                    f"{path}: another process (pid {holder}) is at work here; wait for it or stop it"
                ) from None
            with disk_errors(path):
                lock.truncate(0)
                lock.write(str(os.getpid()))
                lock.flush()
                run = cls(path, step)
                settings = {"stage": step.stage, "name": step.name, "settings": step.settings}
                inputs = {key: other.directory(root).name for key, other in step.inputs.items()}
                write_whole(
                    path / "config.json", json.dumps({**settings, "inputs": inputs}, indent=1, ensure_ascii=False)
                )
                yield run
        finally:
            lock.close()

    def write(self, name: str, records: Iterable[BaseModel | dict[str, Any]]) -> int:
        """A whole file of records, one a line, there entirely or not at all; how many."""
        count = 0
        part = self.path / f"{name}.part"
        with part.open("w", encoding="utf-8", errors="surrogatepass") as out:
            for record in records:
                out.write(to_line(record))
                count += 1
        part.replace(self.path / name)
        return count

    def finish(self, counts: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Write the manifest: from now on the step is done."""
        manifest = {
            "stage": self.step.stage,
            "name": self.step.name,
            "digest": self.step.digest,
            "counts": counts,
            **more,
            "seconds": round(time.time() - self.started, 2),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": versions(),
        }
        write_whole(self.path / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
        return manifest


def versions() -> dict[str, str]:
    """What this was made with: our version, Python, and the libraries that matter where they are installed."""
    found = {"unwaver": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in ("torch", "transformers", "trl", "peft", "vllm", "openai", "math-verify"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def to_line(record: BaseModel | dict[str, Any]) -> str:
    """One record as one line of JSON."""
    if isinstance(record, BaseModel):
        return json.dumps(record.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) + "\n"
    return json.dumps(record, ensure_ascii=False) + "\n"


def read_records(path: Path, model: type[R]) -> Iterator[R]:
    """The records of a file, one by one; RecordError `path:line`, the field and what was expected."""
    for number, row in read_rows(path):
        yield _record(row, model, path, number)


def read_placed(path: Path, model: type[R]) -> Iterator[tuple[int, R]]:
    """(the byte its line begins at, record) of a file, for `read_at`."""
    for number, place, row in _rows(path):
        yield place, _record(row, model, path, number)


def read_at(path: Path, model: type[R], places: Iterable[int]) -> Iterator[R]:
    """The records whose lines begin at those bytes, in the order of `places`, and no others."""
    with path.open("rb") as lines:
        for place in places:
            lines.seek(place)
            yield _record(json.loads(lines.readline()), model, path, place)


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(1-based line number, object) of a JSON lines file; blank lines are passed over."""
    for number, _, row in _rows(path):
        yield number, row


def _record(row: dict[str, Any], model: type[R], path: Path, number: int) -> R:
    try:
        return model.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "record"
        raise RecordError(f"{path}:{number}: {where}: {first['msg'].removeprefix('Value error, ')}") from None


def _rows(path: Path) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(1-based line number, the byte it begins at, object)."""
    for number, place, raw in read_lines(path):
        yield number, place, parse_row(raw, f"{path}:{number}")


def read_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(1-based line number, the byte it begins at, line) of a file, the blank ones left out; `parse_row` reads one."""
    end = 0
    try:
        with path.open("rb") as lines:
            for number, raw in enumerate(lines, 1):
                place, end = end, end + len(raw)
                if raw.strip():
                    yield number, place, raw
    except FileNotFoundError:
        raise RecordError(f"{path}: there is no such file") from None
    except OSError as error:
        raise RecordError(f"{path}: {os.strerror(error.errno or 0).lower()}") from None


def parse_row(raw: bytes, place: str) -> dict[str, Any]:
    """The object in one line; RecordError with its place."""
    try:
        row = json.loads(raw)
    except RecursionError:
        raise RecordError(f"{place}: not readable: nested too deeply") from None
    except ValueError as error:
        raise RecordError(f"{place}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise RecordError(f"{place}: expected an object, got {type(row).__name__}")
    return row


def write_whole(path: Path, text: str) -> None:
    """Write a file entirely or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """A full or unwritable disk as a RunError that says so; what is already written stays."""
    try:
        yield
    except UnwaverError:
        raise
    except Exception as error:
        if isinstance(error, OSError):
            number = error.errno
        else:  # libraries that write weights raise errors of their own
            number = errno.ENOSPC if any(sign in str(error) for sign in DISK_SIGNS) else None
        if number is None or number not in (*DISK, errno.EACCES):
            raise
        raise RunError(
            f"{getattr(error, 'filename', None) or path}: {os.strerror(number).lower()}; nothing already written is "
            "lost: put that right and give the same command again"
        ) from None
