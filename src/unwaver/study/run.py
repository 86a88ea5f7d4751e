"""Do what is owed, in order: the arms of a recipe, step by step, each step once however many arms share it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from unwaver.errors import RecipeError, RunError
from unwaver.progress import say
from unwaver.recipe import Recipe
from unwaver.records import digest
from unwaver.stages import evaluate
from unwaver.stages.calls import Place
from unwaver.store import Step
from unwaver.study.plan import Plan, plan

STAGES = ("prompts", "distil", "judge", "mix", "overlap", "train", "evaluate")

Stage = Callable[[Step, Recipe, Place], dict[str, Any]]

Owed = tuple[Step, Recipe]
"""A step that isn't finished, and the recipe it is done by."""


def plans(arms: dict[str, Recipe]) -> list[Plan]:
    """The plan of every arm."""
    return [plan(recipe, name) for name, recipe in arms.items()]


def owed(work: Iterable[Plan], root: Path, until: str | None = None) -> list[Owed]:
    """The unfinished steps with the recipe each is done by, every step once, in an order in which they can be done.

    `until` leaves out the stages after it.
    """
    last = len(STAGES) if until is None else STAGES.index(until) + 1
    chosen = {
        step.digest: (step, arm.recipe)
        for arm in work
        for step in arm.steps()
        if step.stage in STAGES[:last] and step.manifest(root) is None
    }
    return sorted(chosen.values(), key=lambda item: STAGES.index(item[0].stage))


def do(work: list[Plan], root: Path, stages: Iterable[str] = STAGES, engine: Literal["local", "ray"] = "local") -> int:
    """Do the owed steps of the named stages; how many were done.

    `engine`: in this process one after the other, or on a Ray cluster (`study.cluster`). RunError when a step reads
    what is owed and not among them; RecipeError when a training set shares text with what is evaluated.
    """
    todo = [(step, recipe) for step, recipe in owed(work, root) if step.stage in tuple(stages)]
    _refuse_unread(todo, root)
    _refuse_students(todo)
    if engine == "ray":
        from unwaver.study.cluster import do_all

        return do_all(todo, root, lambda step: guard(step, work, root))
    place = Place(root)
    try:
        for group in together(todo):
            for step, _ in group:
                guard(step, work, root)
                say(f"{step.stage} {step.name} ({step.directory(root).name})")
            perform(group, place)
    finally:
        place.close()
    return len(todo)


def together(todo: list[Owed]) -> list[list[Owed]]:
    """The steps as they are done: evaluations of the same weights at once, so that these are loaded once."""

    def at_once(item: Owed) -> str:
        step, recipe = item
        return f"evaluate {evaluate.checkpoint(step, recipe)}" if step.stage == "evaluate" else step.digest

    return [list(group) for _, group in itertools.groupby(todo, at_once)]


def perform(group: list[Owed], place: Place) -> None:
    """Do one step, or all evaluations of one model, whose inputs are finished."""
    step, recipe = group[0]
    if step.stage == "evaluate":
        evaluate.run_all(group, place)
        return
    if step.stage == "train":
        place.close()  # training needs the memory that a local teacher or judge holds
    run: Stage = import_module(f"unwaver.stages.{step.stage}").run
    run(step, recipe, place)


def _refuse_unread(todo: list[Owed], root: Path) -> None:
    """RunError for the first step that reads what is neither finished nor among what is to be done."""
    coming = {step.digest for step, _ in todo}
    for step, _ in todo:
        missing = [o for o in step.inputs.values() if o.digest not in coming and o.manifest(root) is None]
        if missing:
            names = ", ".join(sorted({f"{other.stage} ({other.name})" for other in missing}))
            raise RunError(
                f"{step.stage} ({step.name}) reads what is not finished yet: {names}; `unwaver run` does all in order"
            )


def _refuse_students(todo: list[Owed]) -> None:
    """RecipeError for a student that can't be trained, before a teacher is asked on its account: it can't be found, or
    its chat template is missing.
    """
    if not any(step.stage == "distil" for step, _ in todo):
        return
    students = {
        digest(recipe.models["student"].identity()): recipe.models["student"]
        for step, recipe in todo
        if step.stage == "train"
    }
    for student in students.values():
        from unwaver.training.student import load_encoder

        load_encoder(student)


def guard(step: Step, work: list[Plan], root: Path) -> None:
    """The leak guard: nothing is trained on what is evaluated, and nothing so trained is evaluated, unless the recipe
    only wants it reported.

    RecipeError where the training set shares text with an evaluated set; RunError where nobody has looked yet.
    """
    from unwaver.stages.overlap import contaminated

    trained = step if step.stage == "train" else step.inputs.get("train")
    for arm in work:
        if trained is None or arm.train.digest != trained.digest:
            continue
        manifest = arm.overlap.manifest(root)
        if manifest is None:
            raise RunError(
                f"nobody has looked yet whether the training set of {arm.arm} shares text with what is evaluated; "
                "`unwaver train` with the same recipe does that first"
            )
        if arm.recipe.mix.overlap == "refuse" and (found := contaminated(manifest)):
            shared = ", ".join(f"{count} prompts of {name}" for name, count in found.items())
            raise RecipeError(
                f"the training set of {arm.arm} shares text with what is evaluated: {shared} "
                f"(see {arm.overlap.directory(root)}); evaluate on other prompts, train on other ones, "
                'or set mix.overlap = "report" to go on and have it reported'
            )
