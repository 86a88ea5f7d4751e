"""`unwaver steer fit RUN --rubric NAME`: directions to steer a model by, from replies that were read (docs/systems).

RUN is a finished directory of the stage evaluate (or distil, with `--model`) that has been judged: its replies are run
through the model once more, and what it holds of safe and of unsafe ones becomes a file, by its card traceable to the
run. `models.student.steering = "FILE"` uses it. Nothing is trained. The path of the file goes to stdout.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE, RecipeError
from unwaver.judging.questions import GUARD, HARM
from unwaver.printer import put
from unwaver.progress import say
from unwaver.recipe import ModelSettings
from unwaver.records import Trace, Verdict
from unwaver.verbs.named import finished

BY_LABEL = {"harm": HARM, "guard": GUARD}
"""Rubrics whose label is the side, and the reading that counts."""
GRADED = "principles"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, the run, the rubric, the layer, the file."""
    parser.add_argument("what", choices=("fit",))
    parser.add_argument("run", type=Path, metavar="RUN", help="a judged directory of the stage evaluate or distil")
    parser.add_argument("--rubric", required=True, choices=(*BY_LABEL, GRADED), help="what tells safe from unsafe")
    parser.add_argument("--layer", type=int, help="whose output is steered, from 0 (default: the middle one)")
    parser.add_argument("--model", help="hf:PATH_OR_ID (default: the model that wrote the run)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: RUBRIC.safetensors beside RUN")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Fit and write."""
    for flag in overrides:
        raise RecipeError(f"--{flag}: no such flag")
    from unwaver.models import steering
    from unwaver.models.states import states
    from unwaver.stages.judge import verdicts_of
    from unwaver.store import TRACES, home, read_records, writable

    run_ = home(arguments.run)
    finished(arguments.run, "evaluate", "distil")
    out: Path = arguments.out or run_.parent / f"{arguments.rubric}.safetensors"
    writable(out, [run_], "--out")
    sides = by_trace(verdicts_of(run_), arguments.rubric)
    traces = [trace for trace in read_records(run_ / TRACES, Trace) if trace.id in sides and (trace.text("both") or "")]
    if not traces:
        raise RecipeError(f"{run_}: none of its replies were read by `{arguments.rubric}`; judge them first")
    model = model_of(run_, arguments.model)
    held, layer = states(model, traces, arguments.layer)
    card = {
        "model": model.label,
        "run": run_.name,
        "rubric": arguments.rubric,
        "replies": len(traces),
        "state": "mean over the reply's tokens",
    }
    found = steering.fitted(held, [sides[trace.id] for trace in traces], layer, card)
    found.write(out)
    for name in found.card["left_out"]:
        say(f"steer fit: {name}: fewer than {steering.FEWEST} replies of either side; no direction")
    say(json.dumps({"layer": layer, **found.card["made_of"]}, indent=2))
    put(out)
    return EXIT_DONE


def by_trace(verdicts: Iterable[Verdict], rubric: str) -> dict[str, dict[str, bool]]:
    """By trace, which principles it breaks and which it keeps, as the first judge has it; what is neither is absent."""
    from unwaver.judging.asked.further.principles import MILD, SEVERE

    found: dict[str, dict[str, bool]] = {}
    for verdict in verdicts:
        named = f"{verdict.rubric.partition('@')[0]}:{verdict.looked_at}"
        if verdict.labels is None or named != BY_LABEL.get(rubric, f"{GRADED}:reasoning"):
            continue
        sides = {rubric: verdict.label == "unsafe"}
        if rubric == GRADED:
            sides = {name: grade >= SEVERE for name, grade in verdict.grades if grade >= SEVERE or grade <= MILD}
        found.setdefault(verdict.trace, sides)
    return found


def model_of(run_: Path, given: str | None) -> ModelSettings:
    """The model that wrote a run, as an `hf:` one; RecipeError where that can't be told."""
    from unwaver.store import home

    if given is not None:
        if not given.startswith("hf:"):
            raise RecipeError(f"--model: expected hf:PATH_OR_ID, got {given}")
        return ModelSettings(name=given)
    run_ = home(run_)
    config = json.loads((run_ / "config.json").read_text(encoding="utf-8"))
    told = config["settings"].get("student")
    if told is None:
        raise RecipeError(f"{run_}: the model that wrote it isn't the student; name one to steer: --model hf:...")
    fields = {key: told[key] for key in ("name", "revision", "system", "tags", "load", "extra_body") if key in told}
    if (train := config["inputs"].get("train")) is not None:
        fields |= {"name": f"hf:{(run_.parent / train / 'model').resolve()}", "revision": None}
    door, _, target = str(fields["name"]).partition(":")
    if door not in ("hf", "vllm"):
        raise RecipeError(f"{run_}: {fields['name']} keeps its layers to itself; name the same weights: --model hf:...")
    return ModelSettings.model_validate({**fields, "name": f"hf:{target}"})
