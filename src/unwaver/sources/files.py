"""Rows of a file in any of the usual forms: JSON lines, a JSON list, CSV, TSV, Parquet, Arrow, or a folder of them.

Those of text may be packed (`.jsonl.gz`, `.csv.zst` ...) and written in UTF-8 or UTF-16 (`opened`).

Yields `(place, row)`: the place is `path:number` for messages (the line in JSON lines, else the 1-based row), the row
an object by column name. Everything but a JSON list is streamed. A row that can't be read is a RecordError with its
place, raised by `rows` and handed on by `each`; nothing is guessed and nothing is skipped but blank lines. No pickle,
no code from the data.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from unwaver.errors import RecipeError, RecordError
from unwaver.objects import of_json
from unwaver.progress import say
from unwaver.sources.opened import PACKED, ending, opened
from unwaver.store import parse_row

RawRow = dict[str, Any]

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
"""File endings that are understood."""

TABLES = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
"""Endings of spreadsheets, which aren't read."""

TAB = "\t"

DELIMITERS = f",;{TAB}|"
"""What may stand between the fields of a CSV, the likeliest first."""

ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""Files in a folder of `datasets` or LLaMA-Factory that tell of the data and hold none."""

LONGEST_FIELD = 1 << 28
"""Characters in one CSV field, bytes in one line; Python's own limit of 131,072 is less than a long trace."""

NOT_UTF8 = "not UTF-8; save it as such (of a file in latin-1: iconv -f windows-1252 -t utf-8 FILE > NEW)"


def rows(path: Path) -> Iterator[tuple[str, RawRow]]:
    """The rows of a file, or of every file under a folder that `files` finds; RecipeError where there is none."""
    for place, row in each(path):
        if isinstance(row, RecordError):
            raise row
        yield place, row


def each(path: Path) -> Iterator[tuple[str, RawRow | RecordError]]:
    """The same, with what is wrong with a row in the place of one that can't be read.

    RecordError is raised all the same for a file that can't be read as a whole.
    """
    return of_files(files(path))


def of_files(found: Iterable[Path]) -> Iterator[tuple[str, RawRow | RecordError]]:
    """The same of these files."""
    for file in found:
        form = ending(file)
        if form in (".csv", ".tsv"):
            yield from _csv(file, TAB if form == ".tsv" else DELIMITERS)
        elif form in (".parquet", ".arrow"):
            yield from _columns(file)
        elif _is_list(file):
            yield from _json(file)
        else:
            yield from _lines(file)


def files(path: Path) -> list[Path]:
    """The files meant by a path: itself, or those under a folder that can be read and aren't hidden, sorted by name."""
    if path.is_dir():
        named = (file for file in path.rglob("*") if ending(file) in FORMATS and file.name not in ABOUT)
        shown = (file for file in named if not any(one.startswith(".") for one in file.relative_to(path).parts))
        found = sorted(file for file in shown if file.is_file())
        if not found:
            raise RecipeError(f"{path}: no file here ends in {', '.join(FORMATS)}")
        return found
    if not path.exists():
        raise RecipeError(f"{path}: there is no such file")
    if not path.is_file():
        raise RecipeError(f"{path}: is no file but a pipe or a device; a file is read more than once: save it first")
    form = ending(path)
    if form in TABLES:
        raise RecipeError(f"{path}: a spreadsheet isn't read; save it as CSV in UTF-8 (`CSV UTF-8` in Excel)")
    if form not in FORMATS:
        packed = ", ".join(PACKED)
        raise RecipeError(f"{path}: expected a name that ends in {', '.join(FORMATS)}, packed or not ({packed})")
    if form in (".parquet", ".arrow") and path.suffix.lower() in PACKED:
        raise RecipeError(f"{path}: expected a {form} file as it is; unpack it first")
    return [path]


def fingerprint(path: Path) -> str:
    """blake2b (20 hex characters) of the bytes of a file, or of the files of a folder with their names."""
    whole = hashlib.blake2b(digest_size=10)
    found = files(path)
    for file in found:
        if len(found) > 1 or file != path:
            whole.update(f"{file.relative_to(path)}\0".encode())
        with file.open("rb") as content:
            while chunk := content.read(1 << 20):
                whole.update(chunk)
    return whole.hexdigest()


def _is_list(path: Path) -> bool:
    """Whether a file of JSON holds one list and not JSON lines, whichever of the two its name says."""
    with opened(path) as content:
        while chunk := content.read(4096).removeprefix(b"\xef\xbb\xbf"):
            if chunk.strip():
                return chunk.lstrip().startswith(b"[")
    return False


def _foreign(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return False


def _lines(path: Path) -> Iterator[tuple[str, RawRow | RecordError]]:
    begun = False
    with opened(path) as lines:
        for number, raw in enumerate(iter(lambda: lines.readline(LONGEST_FIELD), b""), 1):
            if len(raw) == LONGEST_FIELD:
                raise RecordError(f"{path}:{number}: a line of more than {LONGEST_FIELD >> 20} MiB")
            if not raw.strip():
                continue
            if not begun and raw.strip() == b"{":
                raise RecordError(f"{path}: one object over many lines; expected a list of rows, or one object a line")
            begun = True
            place = f"{path}:{number}"
            try:
                row: RawRow | RecordError = parse_row(raw, place)
            except RecordError as error:
                row = RecordError(f"{place}: {NOT_UTF8}") if _foreign(raw) else error
            yield place, row


def _json(path: Path) -> Iterator[tuple[str, RawRow | RecordError]]:
    try:
        with opened(path) as text:
            raw = text.read()
        content = of_json(raw)
    except RecursionError:
        raise RecordError(f"{path}: not readable: nested too deeply") from None
    except UnicodeDecodeError:
        raise RecordError(f"{path}: {NOT_UTF8}") from None
    except ValueError as error:
        raise RecordError(f"{path}: not JSON: {error}") from None
    for number, row in enumerate(content, 1):
        place = f"{path}:{number}"
        if isinstance(row, dict):
            yield place, row
        else:
            yield place, RecordError(f"{place}: expected an object, got {type(row).__name__}")


def _csv(path: Path, delimiters: str) -> Iterator[tuple[str, RawRow | RecordError]]:
    csv.field_size_limit(LONGEST_FIELD)
    number = 0
    try:
        delimiter = _delimiter(path, delimiters)
        with _text(path) as lines:
            table = csv.DictReader(lines, delimiter=delimiter, strict=True)
            twice = [name for name, count in Counter(table.fieldnames or ()).items() if count > 1]
            if twice:
                raise RecordError(f"{path}: the header has the column `{twice[0]}` twice")
            for number, row in enumerate(table, 1):
                place, wrong = f"{path}:{number}", _misfit(row)
                line = table.line_num  # the header has one, and a cell may have several
                yield place, RecordError(f"{path}: row {number} (line {line}): {wrong}") if wrong else dict(row)
    except csv.Error as error:
        raise RecordError(f"{path}: row {number + 1}: not CSV: {error}") from None


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    """A file's text. What is not UTF-8 becomes halves of surrogate pairs, so that the row it stands in can be told."""
    with opened(path) as content:
        yield io.TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _delimiter(path: Path, among: str) -> str:
    """What stands between the names of the header, where the comma gives one name only; said where it is another."""
    names = {}
    for delimiter in among:
        with _text(path) as lines:
            names[delimiter] = len(next(iter(csv.reader(lines, delimiter=delimiter)), []))
    found = among[0] if names[among[0]] > 1 else max(names, key=lambda one: names[one])
    if found != among[0]:
        _told(path, found)
    return found


@lru_cache(maxsize=4096)
def _told(path: Path, found: str) -> None:
    """Say it once: a command reads a file for every set that is made of it, and again to foresee what ends a run."""
    say(f"{path}: read with {'tabs' if found == TAB else f'`{found}`'} between its columns, as its header has them")


def _misfit(row: Mapping[Any, Any]) -> str | None:
    """Why a row of a CSV can't be read; None where it can."""
    if None in row:
        return "more fields than the header has columns; a cell with the separator in it needs quotes around it"
    if None in row.values():
        return "fewer fields than the header has columns"
    try:
        "".join([*row, *row.values()]).encode()
    except UnicodeEncodeError:
        return NOT_UTF8
    return None


def _columns(path: Path) -> Iterator[tuple[str, RawRow]]:
    """The rows of a Parquet file, or of an Arrow file as `datasets` saves it."""
    import pyarrow as pa  # type: ignore[import-untyped]

    number = 0
    form = path.suffix[1:].capitalize()
    try:
        with path.open("rb") as content:
            for batch in _batches(path, content):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", row
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RecordError(f"{path}:{number + 1}: not readable as {form}: {error}") from None


def _batches(path: Path, content: IO[bytes]) -> Iterator[Any]:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]
    from pyarrow import ipc

    if path.suffix.lower() == ".parquet":
        yield from pq.ParquetFile(content).iter_batches(batch_size=1024)
        return
    whole = content.read(6) == b"ARROW1"
    content.seek(0)
    if whole:
        table = ipc.open_file(content)
        yield from (table.get_batch(at) for at in range(table.num_record_batches))
    else:
        yield from ipc.open_stream(content)
