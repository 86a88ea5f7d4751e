"""The ledger: one whole line per finished call, so that no finished call is ever made twice.

A line is `{"key":"<32 hex>","ok":1,"reply":{...}}`, appended in one write as soon as the call ends. A failed call has
`ok` 0: it is known, but owed again when the command is given again. A torn last line (power cut, full disk) is cut off
when the file is opened, and that call is owed again. In memory there is only key -> place, about 150 bytes a call.
Several shards (one per worker process) in one folder are read together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from unwaver.errors import RecordError
from unwaver.records import Reply

_KEY_AT = len('{"key":"')
_OK_AT = _KEY_AT + 32 + len('","ok":')
_SHARD_BITS = 40
"""A place is (shard << 40) + offset: shards of up to a terabyte."""


class Ledger:
    """The finished calls of one stage, on disk. A context manager; one writer per shard."""

    def __init__(self, folder: Path, shard: str = "0000") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._own = folder / f"{shard}.jsonl"
        self._own.touch()
        self._paths = sorted(folder.glob("*.jsonl"))
        self._done: dict[bytes, int] = {}
        self._failed: dict[bytes, int] = {}
        self._readers: dict[int, BinaryIO] = {}
        for number, path in enumerate(self._paths):
            self._index(number, path)
        self._own_number = self._paths.index(self._own)
        self._writer = os.open(self._own, os.O_WRONLY | os.O_APPEND)
        self._size = os.fstat(self._writer).st_size

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        os.close(self._writer)
        for reader in self._readers.values():
            reader.close()

    def __len__(self) -> int:
        return len(self._done)

    def __contains__(self, key: str) -> bool:
        """Whether the call is finished; a failed one is not."""
        return bytes.fromhex(key) in self._done

    @property
    def n_failed(self) -> int:
        """Calls whose last try failed."""
        return len(self._failed)

    def append(self, key: str, reply: Reply) -> None:
        """Put a finished or failed call down, whole."""
        ok = int(reply.failure is None)
        body = json.dumps(
            reply.model_dump(mode="json", exclude_defaults=True), ensure_ascii=True, separators=(",", ":")
        )
        line = f'{{"key":"{key}","ok":{ok},"reply":{body}}}\n'.encode("ascii")
        place = (self._own_number << _SHARD_BITS) + self._size
        written = os.write(self._writer, line)
        if written != len(line):
            # A short write is a full disk: take the torn piece back so that the file stays whole lines.
            os.ftruncate(self._writer, self._size)
            raise OSError(28, os.strerror(28), str(self._own))
        self._size += written
        self._put(bytes.fromhex(key), ok, place)

    def get(self, key: str) -> Reply | None:
        """The reply to a call, failed or not; None where it was never made."""
        name = bytes.fromhex(key)
        place = self._done.get(name, self._failed.get(name))
        if place is None:
            return None
        number, offset = place >> _SHARD_BITS, place & ((1 << _SHARD_BITS) - 1)
        reader = self._readers.get(number)
        if reader is None:
            reader = self._readers[number] = self._paths[number].open("rb")
        reader.seek(offset)
        return Reply.model_validate(json.loads(reader.readline())["reply"])

    def keys(self) -> Iterator[str]:
        """The keys of the finished calls."""
        return (name.hex() for name in self._done)

    def _put(self, name: bytes, ok: int, place: int) -> None:
        if ok:
            self._done[name] = place
            self._failed.pop(name, None)
        elif name not in self._done:
            self._failed[name] = place

    def _index(self, number: int, path: Path) -> None:
        place = 0
        with path.open("rb") as lines:
            for count, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    name = bytes.fromhex(line[_KEY_AT : _KEY_AT + 32].decode("ascii"))
                    ok = int(line[_OK_AT : _OK_AT + 1])
                except ValueError:
                    raise RecordError(
                        f"{path}:{count}: not a line of this ledger; expected {{'key': ..., 'ok': ...}}"
                    ) from None
                self._put(name, ok, (number << _SHARD_BITS) + place)
                place += len(line)
        if place != path.stat().st_size:
            os.truncate(path, place)
