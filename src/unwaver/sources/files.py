"""Rows of a file in any of the usual forms: JSON lines, a JSON list, CSV, TSV, Parquet, or a folder of such files.

Yields `(place, row)`: the place is `path:number` for messages (the line in JSON lines, else the 1-based row), the row
an object by column name. Everything but a JSON list is streamed. A row that can't be read is a RecordError with its
place; nothing is guessed and nothing is skipped but blank lines. No pickle, no code from the data.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError, RecordError
from unwaver.store import read_rows

Row = dict[str, Any]

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""File endings that are understood."""

LONGEST_FIELD = 1 << 28
"""Characters in one CSV field; Python's own limit of 131,072 is less than a long trace."""


def rows(path: Path) -> Iterator[tuple[str, Row]]:
    """The rows of a file, or of every readable file under a folder by name; RecipeError where there is none."""
    for file in files(path):
        ending = file.suffix.lower()
        try:
            if ending in (".csv", ".tsv"):
                yield from _csv(file, "\t" if ending == ".tsv" else ",")
            elif ending == ".parquet":
                yield from _parquet(file)
            elif ending == ".json" and _is_list(file):
                yield from _json(file)
            else:
                yield from ((f"{file}:{line}", row) for line, row in read_rows(file))
        except RecursionError:
            raise RecordError(f"{file}: not readable: nested too deeply") from None


def files(path: Path) -> list[Path]:
    """The files meant by a path: itself, or those under a folder that can be read, sorted by name."""
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in FORMATS and file.is_file())
        if not found:
            raise RecipeError(f"{path}: no file here ends in {', '.join(FORMATS)}")
        return found
    if not path.exists():
        raise RecipeError(f"{path}: there is no such file")
    if path.suffix.lower() not in FORMATS:
        raise RecipeError(f"{path}: expected a name that ends in {', '.join(FORMATS)}")
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
    """Whether a `.json` file holds one list; many hold JSON lines under that name."""
    with path.open("rb") as content:
        while chunk := content.read(4096).removeprefix(b"\xef\xbb\xbf"):
            if chunk.strip():
                return chunk.lstrip().startswith(b"[")
    return False


def _json(path: Path) -> Iterator[tuple[str, Row]]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise RecordError(f"{path}: not JSON: {error}") from None
    for number, row in enumerate(content, 1):
        if not isinstance(row, dict):
            raise RecordError(f"{path}:{number}: expected an object, got {type(row).__name__}")
        yield f"{path}:{number}", row


def _csv(path: Path, delimiter: str) -> Iterator[tuple[str, Row]]:
    csv.field_size_limit(LONGEST_FIELD)
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines, delimiter=delimiter, strict=True), 1):
                if None in row:
                    raise RecordError(f"{path}:{number}: more fields than the header has columns")
                if None in row.values():
                    raise RecordError(f"{path}:{number}: fewer fields than the header has columns")
                yield f"{path}:{number}", dict(row)
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}:{number + 1}: not UTF-8: {error.reason} at byte {error.start}") from None
    except csv.Error as error:
        raise RecordError(f"{path}:{number + 1}: not CSV: {error}") from None


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    number = 0
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", row
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RecordError(f"{path}:{number + 1}: not readable as Parquet: {error}") from None
