"""What was done beside a recipe's own steps, `rethink` and `probe`, and lies in the folder of its runs.

Reads the finished directories of either there, and which evaluation each was made from; gives their estimates under the
names of arms and sets. What was made from an evaluation that is no longer the recipe's is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unwaver.recipe import called
from unwaver.records import Estimate
from unwaver.store import finished_in, read_config, read_records
from unwaver.study.probe import ESTIMATES, STAGE
from unwaver.study.rethought import STAGE as RETHINK
from unwaver.study.rethought import estimates

Evaluated = Mapping[tuple[str, str], str]
"""By arm and evaluation set, the run directory (`Results.evaluated_in`)."""


@dataclass(frozen=True)
class Beside:
    """One arm's figures by one finished directory."""

    estimates: list[Estimate]
    how: str
    """The settings that decided them, in words."""


def finished(root: Path) -> dict[str, str]:
    """Every finished directory of these, and when it was."""
    return {path.name: str(manifest["finished"]) for path, manifest in finished_in(root, RETHINK, STAGE).items()}


def rethought(root: Path, evaluated: Evaluated) -> list[Beside]:
    """What replies from cuts of reasonings came to, arm by arm and set by set."""
    return [
        Beside(estimates(own, root / source, arm, set_), _cuts(config["settings"]))
        for own, config in _runs(root, RETHINK)
        for (arm, set_), source in evaluated.items()
        if source == config["inputs"]["traces"]
    ]


def probed(root: Path, evaluated: Evaluated) -> list[Beside]:
    """What states before the first token told apart, arm by arm."""
    found = []
    for own, config in _runs(root, STAGE):
        settings = config["settings"]
        sets = {run: set_ for (_, set_), run in evaluated.items()}
        for (arm, set_), run in evaluated.items():
            if run == settings["harmful"]["run"]:
                harmless = settings["harmless"]["run"]
                named = {"arm": arm, "slice": f"{set_} against {sets.get(harmless, harmless)}"}
                made = [one.model_copy(update=named) for one in read_records(own / ESTIMATES, Estimate)]
                found.append(Beside(made, _state(settings)))
    return found


def _runs(root: Path, stage: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for name in finished(root):
        if name.startswith(f"{stage}-"):
            yield root / name, read_config(root / name)


def _state(settings: Mapping[str, Any]) -> str:
    layer = "the middle layer" if settings["layer"] is None else f"layer {settings['layer']}"
    return layer if settings["model"] is None else f"{layer} of {settings['model']['name']}"


def _cuts(settings: Mapping[str, Any]) -> str:
    told = f"{settings['k']} replies from each cut, temperature {settings['sampling']['temperature']:g}"
    reader = called(settings["model"]["name"]) if "model" in settings else settings["by"]
    return f"{told}{', closed there' if settings['close'] else ''}, read by {reader}"
