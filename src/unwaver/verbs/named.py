"""Runs in a person's words: of which arm and set, by which model, and what sets one apart from others of its like.

Reads `config.json` of run directories and of those they were made from.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError
from unwaver.plain import some
from unwaver.recipe import RAW
from unwaver.store import STAGES, finished_in, read_config, read_manifest

SHOWN = 3
"""Settings that are named."""
LONGEST = 40
"""Characters of a setting."""


@dataclass(frozen=True)
class NamedRun:
    """One run."""

    stage: str
    of: str
    """Arm and set, or part."""
    model: str
    settings: str
    """What sets it apart from other runs of the same stage and name; empty where there are none."""

    @property
    def rank(self) -> int:
        """Where its stage stands in a study."""
        return STAGES.index(self.stage) if self.stage in STAGES else len(STAGES)


def named(runs: Iterable[Path]) -> dict[Path, NamedRun]:
    """Each run directory's words."""
    configs = {run: config(run) for run in runs}
    alike: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for run, one in configs.items():
        alike[str(one.get("stage")), of(run)].append(run)
    found = {}
    for (stage, what), group in alike.items():
        flat = {run: dict(_flat(configs[run].get("settings", {}))) for run in group}
        keys = dict.fromkeys(key for settings in flat.values() for key in settings)
        values = {key: len({json.dumps(flat[run].get(key)) for run in group}) for key in keys}
        apart = sorted((key for key in keys if values[key] > 1), key=lambda key: -values[key])  # what tells most first
        for run in group:
            told = [f"{key} {_short(flat[run][key])}" for key in apart if key in flat[run]]
            found[run] = NamedRun(stage, what, model(run), some(told, SHOWN))
    return found


config = cache(read_config)
"""What a run began with; each is looked at for itself and for those that were made from it."""


def of(run: Path) -> str:
    """What a run is about: `improved on xstest`, `guard of safety`."""
    one = config(run)
    name, stage = str(one.get("name", "")), one.get("stage")
    if stage == "evaluate":
        return f"{arm(run)} on {name}"
    read = _input(run, "traces")
    if stage == "judge" and read is not None and config(read).get("stage") == "evaluate":
        return f"{arm(read)} on {name}"
    return name


def arm(run: Path) -> str:
    """Whose replies an evaluation holds: the arm whose training made the student, or `raw`."""
    train = _input(run, "train")
    return RAW if train is None else str(config(train).get("name", train.name))


def model(run: Path) -> str:
    """The model that was asked, as the recipe names it."""
    settings = config(run).get("settings", {})
    first: dict[str, Any] = next(iter((settings.get("models") or {}).values()), {})
    asked: dict[str, Any] = settings.get("student") or settings.get("model") or first
    return str((asked or {}).get("name", ""))


def finished(run: Path, *stages: str) -> dict[str, Any]:
    """The manifest of a finished run of one of these stages; RecipeError elsewhere, with those that a folder holds."""
    if not run.is_dir():
        raise RecipeError(f"{run}: there is no such directory; expected a run like runs/NAME/{stages[0]}-1a2b3c4d")
    manifest = read_manifest(run)
    if manifest is not None and manifest.get("stage") in stages:
        return manifest
    begun = "stage" in read_config(run)
    what = "is not finished" if begun else "is no run of a stage"
    what = what if manifest is None else f"is a run of the stage {manifest.get('stage')}"
    held = named(finished_in(run, *stages))
    there = [f"{one.name} ({'; '.join(filter(None, (told.of, told.settings)))})" for one, told in held.items()]
    hint = f"; it holds {', '.join(there)}" if there else ""
    raise RecipeError(f"{run}: {what}; expected a finished run of {' or '.join(stages)}{hint}")


def _input(run: Path, key: str) -> Path | None:
    name = config(run).get("inputs", {}).get(key)
    return None if name is None else run.parent / str(name)


def _flat(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted key."""
    if isinstance(settings, dict) and settings:
        for key, value in settings.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, settings


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
