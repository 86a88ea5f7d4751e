"""Which steps are owed, in what order, and how those that share something are done together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from unwaver.recipe import LOCAL, Recipe, is_local
from unwaver.records import digest
from unwaver.stages import evaluate
from unwaver.stages.calls import REMOTE, Workplace
from unwaver.store import STAGES, Step
from unwaver.study.plan import Plan, one_name_each, plan

Stage = Callable[[Step, Recipe, Workplace], dict[str, Any]]

Owed = tuple[Step, Recipe]
"""A step that isn't finished, and the recipe it is done by."""


def plans(arms: dict[str, Recipe]) -> list[Plan]:
    """The plan of every arm."""
    return one_name_each([plan(recipe, name) for name, recipe in arms.items()])


def owed(work: Iterable[Plan], root: Path) -> list[Owed]:
    """The unfinished steps with the recipe each is done by, every step once, in an order in which they can be done."""
    wanted = ((step, arm) for arm in work for step in arm.steps() if step.manifest(root) is None)
    chosen = {step.digest: (step, arm.recipe_of(step)) for step, arm in wanted}
    models = list(dict.fromkeys(_reader(*item) for item in chosen.values()))
    return sorted(chosen.values(), key=lambda item: (rank(item[0]), models.index(_reader(*item))))


def rank(step: Step) -> int:
    """Where a step stands in the order; a student's replies are read when all have been asked."""
    return len(STAGES) if reads_student(step) else STAGES.index(step.stage)


def reads_student(step: Step) -> bool:
    """Whether a step reads what a student replied."""
    return step.stage == "judge" and step.inputs["traces"].stage == "evaluate"


def _reader(step: Step, recipe: Recipe) -> str:
    """What reads for a step, so that steps that ask the same model follow one another and its weights stay loaded."""
    by = step.settings.get("by", LOCAL) if step.stage == "judge" else LOCAL
    return LOCAL if is_local(by) else digest(recipe.models[by].model_dump(mode="json"))


def together(todo: list[Owed]) -> list[list[Owed]]:
    """The steps as they are done: those that ask the same weights on this machine at once, so that they are loaded
    once.
    """

    def at_once(item: Owed) -> str:
        step, recipe = item
        if step.stage == "evaluate":
            return f"evaluate {evaluate.checkpoint(step, recipe)}"
        by = step.settings.get("by") if step.stage == "judge" else None
        if by in recipe.models and recipe.models[by].door not in REMOTE:
            return f"judge {rank(step)} {_reader(step, recipe)}"
        return step.digest

    return [list(group) for _, group in itertools.groupby(todo, at_once)]


def perform(group: list[Owed], place: Workplace) -> None:
    """Do one step, or all that ask the same weights, whose inputs are finished."""
    if group and group[0][0].stage == "evaluate":
        evaluate.run_all(group, place)
        return
    for step, recipe in group:
        if step.stage == "train":
            place.close()  # training needs the memory that a local teacher or judge holds
        run: Stage = import_module(f"unwaver.stages.{step.stage}").run
        run(step, recipe, place)
