"""Finished runs on a disk without a model: every step of some plans, with a few harmless made-up records in it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import report_results as made_up

from unwaver import recipe_file
from unwaver.recipe import Recipe
from unwaver.records import Trace, Verdict
from unwaver.store import RunDir, Step, read_records
from unwaver.study.plan import Plan, kind_of
from unwaver.study.steps import plans

TINY = """
name = "tiny"
[models]
student = "hf:none/none"
teacher = "replay:corpus"
[prompts.safety]
source = "corpus/harmful"
split = "train"
[prompts.unseen]
source = "corpus/harmful"
split = "heldout"
[mix]
parts = { safety = 3 }
[evaluate.sets.unseen]
"""
"""A recipe of few steps, whose student is nowhere."""

RUBRIC = {"patterns": "risky-patterns"} | {name: name for name in ("guard", "refusal", "harm", "anatomy", "maths")}
"""What the made-up verdicts on a question call their rubric."""

PROMPTS = 12
"""Prompts of every set."""

OVERLAPS = {"texts": PROMPTS, "prompts": 0, "exact": 0, "normalised": 0, "ngram": 0}


def study(folder: Path, more: str = "", head: str = "") -> Path:
    """`TINY` as a recipe in a folder, with what is added to it, and its finished runs in `runs` beside it."""
    path = folder / "recipe.toml"
    path.write_text(head + TINY + more, encoding="utf-8")
    finish(plans(recipe_file.arms(recipe_file.read_toml(path), path, {})), folder / "runs")
    return path


def finish(work: Iterable[Plan], root: Path, shared: Mapping[str, int] | None = None) -> None:
    """Do every step that is owed; `shared` says how many prompts of an evaluated prompt set the leak check finds."""
    for plan in work:
        for step in plan.steps():
            if step.manifest(root) is None:
                with RunDir.open(step, root) as out:
                    out.finish(**_done(step, plan.recipe, out, root, shared or {}))


def _done(step: Step, recipe: Recipe, out: RunDir, root: Path, shared: Mapping[str, int]) -> dict[str, Any]:
    draw = random.Random(step.digest)
    verdicts: list[Verdict] = []
    if step.stage in ("distil", "evaluate"):
        entry = recipe.evaluate.sets[step.name] if step.stage == "evaluate" else None
        kind = kind_of(recipe, step.name if entry is None else entry.prompts or step.name)
        asked = [made_up.prompt(step.name, kind, number) for number in range(PROMPTS)]
        traces = [made_up.trace_of(prompt, f"{step.stage}-{step.digest[:6]}", draw, 40) for prompt in asked]
        out.write("traces.jsonl", traces)
    elif step.stage == "judge":
        read = step.inputs["traces"]
        draw = random.Random(read.digest)
        taught = read.stage == "distil"
        for trace in _read(read, root):
            found = made_up.filtered(trace, 0.3, draw) if taught else made_up.readings(trace, 0.4, 0.2, draw)
            verdicts += [v for v in found if v.rubric.partition("@")[0] == RUBRIC[str(step.settings["question"])]]
        out.write("verdicts.jsonl", verdicts)
        return {"counts": {}, "turn": 0}
    elif step.stage == "mix":
        every = [trace for read in step.inputs.values() if read.stage == "distil" for trace in _read(read, root)]
        out.write("traces.jsonl", draw.sample(every, len(every) // 2))
    elif step.stage == "overlap":
        sets = {name: OVERLAPS | {"prompts": shared.get(name, 0)} for name in step.inputs if name != "mix"}
        return {"counts": {"training": PROMPTS, "sets": sets}}
    elif step.stage == "train":
        out.write("loss.jsonl", made_up.losses(draw, 10))
        parts = dict.fromkeys(recipe.parts(), PROMPTS // 2)
        perplexity = {part: {"perplexity": 8.0 + n, "loss": 2.1, "examples": 4} for n, part in enumerate(parts)}
        counts = {"parts": parts, "trained": PROMPTS, "held_out": 1, "dropped": {}}
        return {"counts": counts, "perplexity": perplexity}
    return {"counts": {}}


def _read(distil: Step, root: Path) -> list[Trace]:
    return list(read_records(distil.directory(root) / "traces.jsonl", Trace))
