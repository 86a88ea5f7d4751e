"""`unwaver probe HARMFUL HARMLESS`: whether a model's state before its reply tells harmful prompts from harmless ones.

Both are finished directories of the stage evaluate; their prompts are shown to the model that wrote HARMFUL, trained or
raw, without steering, and nothing is generated (docs/statistics.md). One estimate as a line of JSON goes to stdout.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unwaver.errors import EXIT_DONE, RecipeError
from unwaver.printer import put

if TYPE_CHECKING:
    from unwaver.records import Prompt


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
    from unwaver.models.states import first_states
    from unwaver.study.probe import probe, unscored
    from unwaver.verbs.steer import model_of

    harmful, harmless = _prompts(arguments.harmful, True), _prompts(arguments.harmless, False)
    prompts = [*harmful, *harmless]
    against = f"{arguments.harmful.resolve().name} against {arguments.harmless.resolve().name}"
    try:
        model = model_of(arguments.harmful, arguments.model)
    except RecipeError as error:
        if arguments.model is not None:
            raise
        put(unscored(str(error), "", against, len(prompts)).model_dump_json())
        return EXIT_DONE
    states, layer = first_states(model, prompts, arguments.layer)
    clusters = [prompt.behaviour or prompt.text for prompt in prompts]
    sides = [True] * len(harmful) + [False] * len(harmless)
    put(probe(states, sides, clusters, model.label, against, layer=layer).model_dump_json())
    return EXIT_DONE


def _prompts(run_: Path, harmful: bool) -> list[Prompt]:
    """The prompts of a run, each once; RecipeError where it is none or they are of the other side."""
    from unwaver.records import Trace
    from unwaver.store import TRACES, read_manifest, read_records

    manifest = read_manifest(run_)
    if manifest is None or manifest.get("stage") != "evaluate":
        raise RecipeError(f"{run_}: expected a finished directory like runs/NAME/evaluate-1a2b3c4d")
    found = {trace.prompt.text: trace.prompt for trace in read_records(run_ / TRACES, Trace) if trace.prompt.text}
    if not found or any((prompt.kind == "harmful") != harmful for prompt in found.values()):
        raise RecipeError(f"{run_}: expected {'harmful' if harmful else 'harmless'} prompts alone")
    return list(found.values())
