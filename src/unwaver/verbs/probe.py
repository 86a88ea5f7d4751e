"""`unwaver probe HARMFUL HARMLESS`: whether a model's state before its reply tells harmful prompts from harmless ones.

Both are finished directories of the stage evaluate; their prompts are shown to the model that wrote HARMFUL, trained or
raw, without steering, and nothing is generated (docs/statistics.md). One estimate as a line of JSON goes to stdout, and
is kept in a directory of its own beside HARMFUL (`probe-1a2b3c4d`), where the recipe's report finds it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unwaver.errors import EXIT_DONE, RecipeError
from unwaver.printer import put
from unwaver.verbs.named import finished

if TYPE_CHECKING:
    from unwaver.records import Estimate, Prompt
    from unwaver.store import Step


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two runs, the layer, the model."""
    told = "a finished directory of the stage evaluate, of {} prompts"
    parser.add_argument("harmful", type=Path, metavar="HARMFUL", help=told.format("harmful"))
    parser.add_argument("harmless", type=Path, metavar="HARMLESS", help=told.format("harmless"))
    parser.add_argument("--layer", type=int, help="whose output is read, from 0 (default: the middle one)")
    parser.add_argument("--model", help="hf:PATH_OR_ID (default: the model that wrote HARMFUL)")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Read the states, and print what they tell apart."""
    for flag in overrides:
        raise RecipeError(f"--{flag}: no such flag")
    from unwaver.records import Estimate
    from unwaver.store import RunDir, home, read_records
    from unwaver.study.probe import ESTIMATES

    root = home(arguments.harmful).parent
    harmful, harmless = _prompts(arguments.harmful, True), _prompts(arguments.harmless, False)
    step = _step(arguments)
    if step.manifest(root) is None:
        with RunDir.open(step, root) as out:
            found = _probed(arguments, harmful, harmless)
            out.write(ESTIMATES, [found])
            out.finish({"prompts": found.n + found.n_unscored})
    for found in read_records(step.directory(root) / ESTIMATES, Estimate):
        put(found.model_dump_json())
    return EXIT_DONE


def _step(arguments: argparse.Namespace) -> Step:
    """What decides the figure: two evaluations, the layer, the model."""
    from unwaver.store import Step, home, read_manifest
    from unwaver.study.probe import STAGE, VERSION

    runs = {side: home(getattr(arguments, side)) for side in ("harmful", "harmless")}
    sides = {side: {"run": run.name, "digest": (read_manifest(run) or {})["digest"]} for side, run in runs.items()}
    settings = {"version": VERSION, "layer": arguments.layer, "model": _named(arguments.model), **sides}
    return Step(STAGE, f"{sides['harmful']['run']} against {sides['harmless']['run']}", settings)


def _named(model: str | None) -> dict[str, Any] | None:
    """A model that is named, with what its folder holds."""
    from unwaver.models import weights

    return None if model is None else {"name": model, "content": weights.fingerprint(model.partition(":")[2])}


def _probed(arguments: argparse.Namespace, harmful: list[Prompt], harmless: list[Prompt]) -> Estimate:
    from unwaver.models.states import first_states
    from unwaver.study.probe import probe, unscored
    from unwaver.verbs.steer import model_of

    prompts, against = [*harmful, *harmless], _step(arguments).name
    try:
        model = model_of(arguments.harmful, arguments.model)
    except RecipeError as error:
        if arguments.model is not None:
            raise
        return unscored(str(error), "", against, len(prompts))
    states, layer = first_states(model, prompts, arguments.layer)
    clusters = [prompt.behaviour or prompt.text for prompt in prompts]
    sides = [True] * len(harmful) + [False] * len(harmless)
    return probe(states, sides, clusters, model.label, against, layer=layer)


def _prompts(run_: Path, harmful: bool) -> list[Prompt]:
    """The prompts of a run, each once; RecipeError where it is none or they are of the other side."""
    from unwaver.records import Trace
    from unwaver.store import TRACES, read_records

    finished(run_, "evaluate")
    found = {trace.prompt.text: trace.prompt for trace in read_records(run_ / TRACES, Trace) if trace.prompt.text}
    if not found or any((prompt.kind == "harmful") != harmful for prompt in found.values()):
        raise RecipeError(f"{run_}: expected {'harmful' if harmful else 'harmless'} prompts alone")
    return list(found.values())
