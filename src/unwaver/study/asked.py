"""Which models a step asks, for what and how often: what `check` counts and what a cluster must have room for.

Pure: reads a step and its recipe, nothing on disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from unwaver.attacks import pair, pap
from unwaver.recipe import RULES, ModelSettings, Recipe
from unwaver.stages import attacked
from unwaver.stages.evaluate import LOOKED_AT
from unwaver.store import Step
from unwaver.study.plan import kind_of, rubrics_of


@dataclass(frozen=True)
class Asked:
    """One model's part in a step."""

    role: str
    """Its name in `[models]`."""
    what: str
    """`trace`, `attack`, `attacked` (a reply during the search), `rating`, or the rubric it reads by."""
    calls: int
    most: bool = False
    """Whether that is the most it can come to: a search ends when it is won."""


def asked(step: Step, recipe: Recipe, prompts: int) -> list[Asked]:
    """The calls of one step over so many prompts; tries that are made again after a fault come on top."""
    if step.stage == "distil":
        fixed = step.settings["instruction"] == "none"
        return [] if fixed else [Asked(str(step.settings["role"]), "trace", prompts * recipe.distil.samples)]
    if step.stage == "judge":
        each = 1 if step.inputs["distil"].settings["instruction"] == "none" else recipe.distil.samples
        kind = kind_of(recipe, step.name)
        return _read(recipe, rubrics_of(kind, "guard"), prompts * each)
    return _evaluated(step, recipe, prompts) if step.stage == "evaluate" else []


def _evaluated(step: Step, recipe: Recipe, prompts: int) -> list[Asked]:
    entry = recipe.evaluate.sets[step.name]
    kind = kind_of(recipe, entry.prompts or step.name)
    found: list[Asked] = []
    if entry.attack == pair.ATTACK:
        chosen = attacked.settings(pair.PairSettings, entry, step.name)
        rounds = prompts * chosen.n_streams * chosen.n_iterations
        for role, what in (("attacker", "attack"), ("student", "attacked"), ("pair_judge", "rating")):
            found.append(Asked(role, what, rounds, most=True))
    elif entry.attack == "pap":
        by = attacked.settings(attacked.PapSettings, entry, step.name)
        known = len(by.techniques) or len(pap.techniques())
        prompts *= min(by.per_prompt or known, known)
        found.append(Asked("attacker", "attack", prompts))
    traces = prompts * entry.samples
    found.append(Asked("student", "trace", traces))
    return found + _read(recipe, rubrics_of(kind, "harm"), traces)


def _read(recipe: Recipe, rubrics: Iterable[str], traces: int) -> list[Asked]:
    """Every judge that is a model, over all the traces; harm is read in each of its texts."""
    return [
        Asked(judge, rubric, traces * (len(LOOKED_AT) if rubric == "harm" else 1))
        for rubric in rubrics
        for judge in getattr(recipe.judge, rubric)
        if judge != RULES
    ]


def local(step: Step, recipe: Recipe) -> list[ModelSettings]:
    """The models of this machine's own that a step asks."""
    models = [recipe.models[one.role] for one in asked(step, recipe, 1) if one.role in recipe.models]
    return [model for model in models if model.door in ("hf", "vllm")]


def gpus(step: Step, recipe: Recipe) -> int:
    """GPUs a step needs where there are any: its training processes, or the largest of its local models; else none."""
    if step.stage == "train":
        return recipe.train.processes if recipe.train.launch != "none" else 1
    return max((int(model.load.get("tensor_parallel_size", 1)) for model in local(step, recipe)), default=0)
