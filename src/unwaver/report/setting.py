"""Whether a figure of ours has the paper's setting, and if not, what sets it apart.

Reads the recipe and the arms' cells against `paper.toml` (arXiv 2505.15404 v2). Each arm is held against the paper's
training (student, teacher, prompts, size, harmless examples, learning rate, filter) and each evaluation set against
its evaluation (prompts, split, attack, drawing, judge). Only where nothing differs may numbers be compared;
else directions.
What can't be known is taken at its word: the paper's templates and its 150 of XSTest were never published, so templates
of one's own and our 150 pass. Pure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from unwaver.recipe import PAPER_DECODING, Recipe, is_local
from unwaver.report.facts import EvaluationFacts, Facts
from unwaver.study.plan import kind_of

Differences = Mapping[str, str]
"""What differs from the paper: the thing -> how it is here."""

ATTACKS = ("none", "pap", "pair")

REASONING = ("math500", "aime2024", "livecodebench")


@cache
def published() -> dict[str, Any]:
    """All of `paper.toml`."""
    return tomllib.loads(Path(__file__).with_name("paper.toml").read_text(encoding="utf-8"))


def evaluation(facts: Facts, one: EvaluationFacts) -> str | None:
    """Which of the paper's evaluations asks the same prompts under the same attack; None where none does."""
    recipe = facts.results.recipe
    entry = recipe.evaluate.sets.get(one.name)
    if entry is None:
        return None
    prompts = recipe.prompts[entry.prompts or one.name]
    if prompts.templates is not None:
        return None
    if prompts.source == "advbench50":
        return entry.attack if entry.attack in ATTACKS else None
    if entry.attack != "none":
        return None
    known = {"advbench50/pap": "pap", "xstest/safe": "xstest"} | {name: name for name in REASONING}
    return known.get(prompts.source)


def method(facts: Facts, arm: str) -> str | None:
    """The row of Table 1 an arm belongs to by its recipe."""
    if facts.is_raw(arm):
        return "raw"
    name = str(facts.cell(arm).get("method") or "")
    return name if name in published()["table1"] and name not in ("student", "columns") else None


def student_name(label: str) -> str:
    """A model's own name: of `vllm:deepseek-ai/X@revision` X."""
    return label.partition("@")[0].rpartition(":")[2].rstrip("/").rpartition("/")[2]


def of_training(facts: Facts, arm: str, students: Collection[str], apart_from: Collection[str] = ()) -> Differences:
    """What sets an arm's training apart from the paper's; `apart_from` names what is meant to differ."""
    cell, paper = facts.cell(arm), published()["setting"]
    student = str(cell.get("student") or facts.results.recipe.models["student"].label)
    found: dict[str, str] = {}
    if student_name(student).lower() not in [name.lower() for name in students]:
        found["student"] = f"the student is {student_name(student)}"
    if facts.is_raw(arm):
        return found
    recipe = method(facts, arm)
    if recipe is None:
        found["recipe"] = "the recipe is none of the paper's"
    teacher = str(cell.get("teacher") or "")
    wanted = paper["teachers"].get(recipe, [])
    if wanted and not _named(teacher, wanted):
        scripted = teacher.startswith("replay:")
        found["teacher"] = "the teacher is scripted" if scripted else f"the teacher is {student_name(teacher)}"
    if sources := _training_prompts(facts.results.recipe):
        found["training prompts"] = sources
    texts = {
        "size": f"{cell.get('size')} safety traces",
        "benign": f"{cell.get('benign')} harmless traces",
        "lr": f"learning rate {cell.get('lr')}",
        "keep": f"traces kept: {cell.get('keep')}",
    }
    found |= {key: text for key, text in texts.items() if cell.get(key) != paper[key]}
    return {key: text for key, text in found.items() if key not in apart_from}


def _named(label: str, wanted: Iterable[str]) -> bool:
    return any(name in label.lower() for name in wanted)


def _training_prompts(recipe: Recipe) -> str:
    """How the harmful training prompts differ; empty where they don't, as far as can be known."""
    paper = published()["setting"]["prompts"]
    sets = [recipe.prompts[part] for part in recipe.parts() if kind_of(recipe, part) == "harmful"]
    if other := sorted({one.source for one in sets} - {paper}):
        return f"the training prompts are {', '.join(other)}"
    if any(one.templates is None for one in sets):
        return "the training prompts wear no templates"
    return "the templates are ours" if any(one.templates == "corpus" for one in sets) else ""


def of_evaluation(facts: Facts, one: EvaluationFacts) -> Differences:
    """What sets an evaluation set apart from the paper's."""
    recipe, name = facts.results.recipe, evaluation(facts, one)
    if name is None:
        return {"evaluation prompts": "the evaluation prompts are other ones"}
    entry = recipe.evaluate.sets[one.name]
    prompts = recipe.prompts[entry.prompts or one.name]
    found: dict[str, str] = {}
    if prompts.limit is not None:
        found["limit"] = f"{one.name}: only {prompts.limit} prompts"
    if name == "xstest" and prompts.split != "heldout":
        found["split"] = f"{one.name}: not the 150 held-out prompts alone"
    drawn, (budget, temperature, top_p) = recipe.sampling(one.kind, entry), PAPER_DECODING[one.kind]
    if (drawn.max_tokens, drawn.temperature, drawn.top_p) != (budget, temperature, top_p if temperature else 1.0):
        found["drawing"] = f"{one.name}: drawn at temperature {drawn.temperature:g} with {drawn.max_tokens:,} tokens"
    if entry.samples != published()["setting"]["samples"].get(name, 1):
        found["samples"] = f"{one.name}: {entry.samples} samples"
    if entry.attack_settings:
        found["attack"] = f"{one.name}: the attack's settings are others"
    rubric = {"harmful": "harm", "borderline": "refusal", "benign": "refusal"}.get(one.kind)
    if rubric is not None and (text := _judged(recipe, rubric)):
        found["judge"] = text
    return found


def of_filter(facts: Facts, *rubrics: str) -> Differences:
    """What sets the readers of the teacher's traces apart."""
    found = {f"judge of {rubric}": _judged(facts.results.recipe, rubric) for rubric in rubrics}
    return {key: text for key, text in found.items() if text}


def _judged(recipe: Recipe, rubric: str) -> str:
    """Who else than in the paper reads a rubric; empty where it is the paper's judge."""
    judge = getattr(recipe.judge, rubric)[0]
    label = recipe.models[judge].label if judge in recipe.models else judge
    if _named(student_name(label), published()["setting"]["judges"][rubric]):
        return ""
    return "the judges are readers without a model" if is_local(label) else f"{rubric} is read by {student_name(label)}"


_SEVERAL = {
    "size": "other numbers of safety traces",
    "benign": "other numbers of harmless traces",
    "lr": "other learning rates",
    "keep": "other filters",
}
"""What is said where arms differ from the paper in the same thing, each in its own way."""


def together(found: Iterable[Differences]) -> Differences:
    """All differences of several; where they differ in a thing differently, the thing alone."""
    merged: dict[str, str] = {}
    for one in found:
        for key, text in one.items():
            merged[key] = text if merged.get(key, text) == text else _SEVERAL.get(key, f"another {key}")
    return merged


def sentence(found: Differences) -> str:
    """What may be compared, in plain words."""
    if not found:
        return "The setting is the paper's, as far as it is published: numbers may be compared within their intervals."
    reasons = "; ".join(dict.fromkeys(found.values()))
    return f"Not the same setting ({reasons}): don't compare numbers with the paper's, compare directions."


def compare_what(
    facts: Facts,
    arms: Iterable[str] | None = None,
    sets: Iterable[EvaluationFacts] | None = None,
    apart_from: Collection[str] = (),
) -> str:
    """What may be compared of a figure that shows these arms on these sets (all, unless said), in one sentence."""
    arms, sets = list(facts.arms if arms is None else arms), list(facts.sets if sets is None else sets)
    students = published()["students"]
    training = {arm: of_training(facts, arm, students, apart_from) for arm in arms}
    asked = {one.name: of_evaluation(facts, one) for one in sets}
    same = [arm for arm, found in training.items() if not found]
    same_sets = [name for name, found in asked.items() if not found]
    differing = together([*training.values(), *asked.values()])
    if not differing or not (same and same_sets):
        return sentence(differing)
    reasons = "; ".join(dict.fromkeys(differing.values()))
    return (
        f"The setting is the paper's, as far as it is published, for {', '.join(same)} on {', '.join(same_sets)} "
        f"alone: there numbers may be compared within their intervals; elsewhere ({reasons}) compare directions."
    )
