"""A few prompts of every part and set, asked as the whole run would: whether its limits let replies end.

`unwaver check --try` asks the teachers for traces, and the student before training, and reads nothing. What was asked
stays in ledgers under the root, where the whole run finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unwaver.recipe import Recipe
from unwaver.stages.calls import Workplace
from unwaver.stages.made import told
from unwaver.study.plan import Plan, plan
from unwaver.study.steps import Owed, perform, rank, together

PROMPTS = 4
"""Of each part and set."""


def lines(work: list[Plan], root: Path) -> Iterator[str]:
    """Ask, and tell in a line for each part and set what came back."""
    steps = {step.digest: (step, recipe) for arm in work for step, recipe in _steps(_short(arm))}
    todo = sorted(steps.values(), key=lambda item: rank(item[0]))
    place = Workplace(root)
    try:
        for group in together([item for item in todo if item[0].manifest(root) is None]):
            perform(group, place)
    finally:
        place.close()
    for step, _ in todo:
        if step.stage != "prompts":
            yield f"tried: {told(step, step.manifest(root) or {})}"


def _short(arm: Plan) -> Plan:
    """The plan over the first few prompts, one template each."""
    recipe = arm.recipe
    prompts = {}
    for name, entry in recipe.prompts.items():
        update = {"limit": min(entry.limit or PROMPTS, PROMPTS)}
        framed = {} if entry.templates is None else {"per_prompt": 1, "bare": False}
        prompts[name] = entry.model_copy(update={**update, **framed})
    return plan(recipe.model_copy(update={"prompts": prompts}), arm.arm)


def _steps(arm: Plan) -> Iterator[Owed]:
    """The prompts, the teachers' traces, and what the student is asked where no attack has to be searched for."""
    recipe: Recipe = arm.recipe
    asked = [s for name, s in arm.raw.items() if not s.settings["attack_models"] and not _searches(recipe, name)]
    for step in [*arm.prompts.values(), *arm.distil.values(), *asked]:
        yield step, recipe


def _searches(recipe: Recipe, name: str) -> bool:
    from unwaver import attacks

    return attacks.find(recipe.evaluate.sets[name].attack).asks_first
