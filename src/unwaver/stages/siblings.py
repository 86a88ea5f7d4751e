"""Replies that other runs of the same stage have from the same model to the same request: they are not asked for again.

Reads the ledgers beside a run's own, whatever became of those runs, and writes to none of them. A ledger is looked at
where its run's settings hold the very same model (`ModelSettings.identity`, weights by their content), and none of the
same name that is another; how replies are read doesn't matter, as a ledger holds them raw. A call that failed is no
reply. What was tried before is looked through as well, and whoever tries looks through the runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from unwaver.errors import RecordError
from unwaver.ledger import scan
from unwaver.records import Reply
from unwaver.store import TRIED, RunDir


class Siblings:
    """The replies beside one run, indexed when the first is asked for."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._known: list[tuple[Path, dict[bytes, int]]] | None = None

    def get(self, key: str) -> Reply | None:
        """A finished call of that key; None where no other run has made it."""
        if self._known is None:
            self._known = [(file, _places(file, *_state(file))) for file in self._ledgers()]
        name = bytes.fromhex(key)
        found = ((file, places[name]) for file, places in self._known if name in places)
        return next((reply for file, place in found if (reply := _read(file, place, key)) is not None), None)

    def _ledgers(self) -> Iterator[Path]:
        step = self._run.step
        own, train = _models(step.settings), step.inputs.get("train")
        student = None if train is None else train.directory(self._run.path.parent).name
        root = self._run.path.parent
        home = root.parent if root.name == TRIED else root
        for folder in (home, home / TRIED):
            for config in sorted(folder.glob(f"{step.stage}-*/config.json")):
                if config.parent != self._run.path and _same(own, student, config):
                    yield from sorted(config.parent.glob("replies/*.jsonl"))


def _state(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=4096)
def _places(file: Path, *state: int) -> dict[bytes, int]:
    """Where the replies of a ledger stand; read once in this process for the same `state`."""
    try:
        return {line.name: line.place for line in scan(file) if line.ok}
    except (RecordError, OSError):
        return {}  # whoever works there is told


def _same(own: dict[str, set[str]], student: str | None, config: Path) -> bool:
    """Whether a run's settings hold a model of ours, and none of its name that is another. `student`: the training that
    made it, where one did.
    """
    try:
        told = json.loads(config.read_text(encoding="utf-8"))
        theirs = _models(told["settings"])
        if told["inputs"].get("train") != student:
            return False
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    shared = own.keys() & theirs.keys()
    return bool(shared) and all(theirs[name] == own[name] for name in shared)


def _models(settings: Any) -> dict[str, set[str]]:
    """By name, the models a step's settings hold, each as text."""
    found: dict[str, set[str]] = {}
    if isinstance(settings, dict):
        if {"name", "base_url", "extra_body"} <= settings.keys():
            said = {key: value for key, value in settings.items() if key != "reading"}
            found.setdefault(str(settings["name"]), set()).add(json.dumps(said, sort_keys=True))
            return found
        for value in settings.values():
            for name, said_ in _models(value).items():
                found.setdefault(name, set()).update(said_)
    return found


def _read(file: Path, place: int, key: str) -> Reply | None:
    """The reply in a line of a ledger; None where somebody else has written there meanwhile."""
    try:
        with file.open("rb") as lines:
            lines.seek(place)
            line = json.loads(lines.readline())
        return Reply.model_validate(line["reply"]) if line["key"] == key else None
    except (OSError, ValueError, LookupError, TypeError, ValidationError):
        return None
