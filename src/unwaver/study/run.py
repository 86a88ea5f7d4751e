"""Do what is owed, in order: the arms of a recipe, step by step, each step once however many arms share it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from unwaver.errors import RunError
from unwaver.progress import say
from unwaver.recipe import Recipe
from unwaver.stages import evaluate
from unwaver.stages.calls import Place
from unwaver.store import Step
from unwaver.study.plan import Plan, plan

STAGES = ("prompts", "distil", "judge", "mix", "overlap", "train", "evaluate")

Stage = Callable[[Step, Recipe, Place], dict[str, Any]]


def plans(arms: dict[str, Recipe]) -> list[Plan]:
    """The plan of every arm."""
    return [plan(recipe, name) for name, recipe in arms.items()]


def owed(work: Iterable[Plan], root: Path, until: str | None = None) -> list[tuple[Step, Recipe]]:
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


def do(work: list[Plan], root: Path, stages: Iterable[str] = STAGES) -> int:
    """Do the owed steps of the named stages; how many were done. RunError when an input of one is itself owed."""
    place = Place(root)
    done = 0
    wanted = [item for item in owed(work, root) if item[0].stage in stages]
    try:
        for _, group in itertools.groupby(wanted, _at_once):
            done += _do(list(group), work, place)
    finally:
        place.close()
    return done


def _at_once(item: tuple[Step, Recipe]) -> str:
    """What steps share that are done together: evaluations of the same weights, which are then loaded once."""
    step, recipe = item
    return f"evaluate {evaluate.checkpoint(step, recipe)}" if step.stage == "evaluate" else step.digest


def _do(group: list[tuple[Step, Recipe]], work: list[Plan], place: Place) -> int:
    """One step, or all evaluations of one model; how many."""
    for step, _ in group:
        missing = [other for other in step.inputs.values() if other.manifest(place.root) is None]
        if missing:
            names = ", ".join(sorted({f"{other.stage} ({other.name})" for other in missing}))
            raise RunError(
                f"{step.stage} ({step.name}) reads what is not finished yet: {names}; `unwaver run` does all in order"
            )
        say(f"{step.stage} {step.name} ({step.directory(place.root).name})")
    step, recipe = group[0]
    if step.stage == "evaluate":
        evaluate.run_all(group, place)
        return len(group)
    if step.stage == "train":
        _refuse_leaks(step, work, place.root)
        place.close()  # training needs the memory that a local teacher or judge holds
    run: Stage = import_module(f"unwaver.stages.{step.stage}").run
    run(step, recipe, place)
    return 1


def _refuse_leaks(train: Step, work: list[Plan], root: Path) -> None:
    """The leak guard: no training on what is evaluated, unless the recipe only wants it reported."""
    from unwaver.stages.overlap import contaminated

    for arm in work:
        manifest = arm.overlap.manifest(root)
        if arm.train.digest != train.digest or manifest is None or arm.recipe.mix.overlap != "refuse":
            continue
        if found := contaminated(manifest):
            shared = ", ".join(f"{count} prompts of {name}" for name, count in found.items())
            raise RunError(
                f"the training set of {arm.arm} shares text with what is evaluated: {shared} "
                f"(see {arm.overlap.directory(root)}); evaluate on other prompts, train on other ones, "
                'or set mix.overlap = "report" to go on and have it reported'
            )
