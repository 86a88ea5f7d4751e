"""A few prompts of every part and set, asked as the whole run would: whether its limits let replies end.

`unwaver check --try` asks the teachers for traces, and the student before training, and reads nothing. What was asked
stays in a folder of its own in the root, where the whole run finds it and nothing is counted as a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError
from unwaver.recipe import Recipe
from unwaver.stages import usable
from unwaver.stages.calls import Workplace
from unwaver.stages.made import told
from unwaver.store import TRIED, Step
from unwaver.study.plan import Plan, plan
from unwaver.study.steps import Owed, perform, rank, together

PROMPTS = 4
"""Of each part and set."""


def lines(work: list[Plan], root: Path) -> Iterator[str]:
    """Ask, and tell in a line for each part and set what came back; at the end RecipeError for those of which nothing
    could be used.
    """
    steps = {step.digest: (step, recipe) for arm in work for step, recipe in _steps(_short(arm))}
    todo = sorted(steps.values(), key=lambda item: rank(item[0]))
    place = Workplace(root / TRIED)
    try:
        for group in together([item for item in todo if item[0].manifest(place.root) is None]):
            perform(group, place)
    finally:
        place.close()
    wrong: list[str] = []
    for step, _ in todo:
        if step.stage != "prompts":
            manifest = step.manifest(place.root) or {}
            yield f"tried: {told(step, manifest)}"
            wrong += _fault(step, manifest["counts"])
    if wrong:
        raise RecipeError("\n".join(wrong))


def _fault(step: Step, counts: dict[str, Any]) -> Iterator[str]:
    """What has to be changed where no trace can be trained on, or no reply ended."""
    where, asked = f"{step.stage} {step.name}", counts["written"]
    if step.stage == "distil" and counts["usable"] == 0:
        why = counts["unusable"]
        limit = step.settings.get("max_tokens")
        yield f"{where}: none of {asked} traces can be trained on ({usable.told(why, limit)}): {usable.advice(why)}"
    if step.stage == "evaluate" and (cut := counts["endings"].get("length", 0)):
        failed = sum(counts["failed"].values())
        if cut + failed == asked:
            limit = step.settings["sampling"]["max_tokens"]
            others = f", {failed} failed" if failed else ""
            yield (
                f"{where}: none of {asked} replies ended ({cut} cut at {limit} tokens{others}): raise "
                f"evaluate.sets.{step.name}.max_tokens, or evaluate.max_tokens for all"
            )


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
