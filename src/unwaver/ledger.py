"""The ledger: one whole line per finished call, so that no finished call is ever made twice.

A line is `{"key":"<32 hex>","ok":1,"spent":[in,out],"reply":{...}}`, appended in one write as soon as the call ends.
`spent` are the tokens of all its tries, so that a budget outlives a session. A call that failed has `ok` 0: it is
known, but owed again when the command is given again; one that the provider's filter withheld is finished. A torn last
line (power cut, full disk) is cut off when the file is opened, and that call is owed again. In memory there is only
key -> place, about 130 bytes a call.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from unwaver.errors import RecordError
from unwaver.records import Reply, model_part

_KEY_AT = len('{"key":"')
_OK_AT = _KEY_AT + 32 + len('","ok":')
_SPENT_AT = _OK_AT + len('1,"spent":[')
_DIGITS = 15
"""Digits of a count of tokens at most."""
_MODEL_BYTES = len(model_part("")) // 2


class Line(NamedTuple):
    """What the index needs of one line."""

    name: bytes
    """The key."""
    ok: bool
    tokens_in: int
    tokens_out: int
    place: int
    """Where it begins in its file."""
    end: int
    """Where the next one does."""


@dataclass
class Spent:
    """What the calls to one model have come to, over all sessions."""

    finished: int = 0
    """Calls with an end."""
    tokens_in: int = 0
    tokens_out: int = 0


class Ledger:
    """The finished calls of one stage, on disk. A context manager; one writer."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / "0000.jsonl"
        self.path.touch()
        self._done: dict[bytes, int] = {}
        self._failed: dict[bytes, int] = {}
        self._failed_before: set[bytes] = set()
        """Calls that failed in an earlier session and were not made again in this one."""
        self._spent: dict[bytes, Spent] = {}
        self._index()
        self._failed_before.update(self._failed)
        self._writer = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self._reader = self.path.open("rb")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._writer)
        self._reader.close()

    def __len__(self) -> int:
        return len(self._done)

    def __contains__(self, key: str) -> bool:
        """Whether the call is finished; a failed one is not."""
        return bytes.fromhex(key) in self._done

    @property
    def n_failed(self) -> int:
        """Calls whose last try failed."""
        return len(self._failed)

    def has_failed(self, key: str) -> bool:
        """Whether the call was made and is owed again."""
        return bytes.fromhex(key) in self._failed

    def owes(self, key: str) -> bool:
        """Whether the call is to be made in this session: it never was, or failed in an earlier one."""
        name = bytes.fromhex(key)
        return name not in self._done and (name not in self._failed or name in self._failed_before)

    def spent(self, model: str) -> Spent:
        """What the calls to the model of this label have come to."""
        return self._spent.get(bytes.fromhex(model_part(model)), Spent())

    def append(self, key: str, reply: Reply, spent: tuple[int, int] | None = None) -> None:
        """Put a finished or failed call down. `spent`: tokens in and out of all its tries; None: those of the reply."""
        ok = reply.ending != "error"
        tokens_in, tokens_out = spent or (reply.tokens_in or 0, reply.tokens_out or 0)
        body = json.dumps(
            reply.model_dump(mode="json", exclude_defaults=True), ensure_ascii=True, separators=(",", ":")
        )
        head = f'{{"key":"{key}","ok":{int(ok)},"spent":[{tokens_in},{tokens_out}],"reply":'
        line = f"{head}{body}}}\n".encode("ascii")
        written = os.write(self._writer, line)
        # Where it really stands: behind whatever another writer may have appended meanwhile.
        place = os.lseek(self._writer, 0, os.SEEK_CUR) - written
        if written != len(line):
            # A short write is a full disk: take the torn piece back so that the file stays whole lines.
            os.ftruncate(self._writer, place)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._failed_before.discard(bytes.fromhex(key))
        self._put(Line(bytes.fromhex(key), ok, tokens_in, tokens_out, place, place + written))

    def get(self, key: str) -> Reply | None:
        """The reply to a call, failed or not; None where it was never made."""
        name = bytes.fromhex(key)
        place = self._done.get(name, self._failed.get(name))
        if place is None:
            return None
        self._reader.seek(place)
        try:
            line = json.loads(self._reader.readline())
            if line["key"] != key:
                raise RecordError(
                    f"{self.path}: byte {place}: expected the reply to {key}, and another's stands there; "
                    "somebody else wrote into this file. Give the same command again when nobody does"
                )
            content = line["reply"]
            for count in ("tokens_in", "tokens_out", "tokens_reasoning"):
                if isinstance(content.get(count), int) and content[count] >= 10**_DIGITS:
                    content[count] = None
            return Reply.model_validate(content)
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(
                f"{self.path}: byte {place}: not a reply ({error}); delete this line to make the call again"
            ) from None

    def _put(self, line: Line) -> None:
        name, ok, tokens_in, tokens_out, place, _ = line
        if ok:
            self._done[name] = place
            if self._failed:
                self._failed.pop(name, None)
        elif name not in self._done:
            self._failed[name] = place
        spent = self._spent.get(name[:_MODEL_BYTES])
        if spent is None:
            spent = self._spent[name[:_MODEL_BYTES]] = Spent()
        spent.finished += ok
        spent.tokens_in += tokens_in
        spent.tokens_out += tokens_out

    def _index(self) -> None:
        end = 0
        for line in scan(self.path):
            self._put(line)
            end = line.end
        if end != self.path.stat().st_size:
            os.truncate(self.path, end)


def _tokens(written: bytes) -> int:
    """A count of tokens; 0 for one that no call can have, which a server once made up."""
    return int(written) if len(written) <= _DIGITS else 0


def scan(path: Path) -> Iterator[Line]:
    """The whole lines of a ledger; a torn last one is passed over."""
    place = 0
    with path.open("rb") as lines:
        for count, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                name = bytes.fromhex(line[_KEY_AT : _KEY_AT + 32].decode("ascii"))
                tokens_in, tokens_out = line[_SPENT_AT : line.index(b"]", _SPENT_AT)].split(b",")
                ok, end = line[_OK_AT : _OK_AT + 1] == b"1", place + len(line)
                found = Line(name, ok, _tokens(tokens_in), _tokens(tokens_out), place, end)
            except ValueError:
                raise RecordError(
                    f"{path}:{count}: not a line of this ledger; expected "
                    '{"key": ..., "ok": ..., "spent": ..., "reply": ...}'
                ) from None
            yield found
            place = end
