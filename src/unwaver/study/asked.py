"""Which models a step asks, for what and how often: what `check` counts and what a cluster must have room for.

Pure: reads a step and its recipe, nothing on disk.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from unwaver import attacks, teaching
from unwaver.recipe import ModelSettings, Recipe, is_local
from unwaver.stages.evaluate import attack_settings
from unwaver.store import Step
from unwaver.teaching.method import TEACHER


@dataclass(frozen=True)
class Asked:
    """One model's part in a step."""

    role: str
    """Its name in `[models]`."""
    what: str
    """`trace`, `attack`, `attacked` (a reply during the search), `rating`, `opening`, or the rubric it reads by."""
    calls: int
    most: bool = False
    """Whether that is the most it can come to: a search ends when it is won."""
    tokens: tuple[float, int] | None = None
    """Of one call, in and at most out, where the attack knows them."""


def asked(step: Step, recipe: Recipe, prompts: int, tokens: float = 0.0) -> list[Asked]:
    """The calls of one step over so many prompts of so many tokens; tries made again after a fault come on top."""
    if step.stage == "distil":
        return _taught(step, recipe, prompts)
    if step.stage == "evaluate":
        return _evaluated(step, recipe, prompts, tokens)
    if step.stage == "judge":
        return _read(step, recipe, traces_of(step.inputs["traces"], recipe, prompts))
    return []


def traces_of(step: Step, recipe: Recipe, prompts: int) -> int:
    """How many traces a distillation or an evaluation leaves of so many prompts."""
    if step.stage == "distil":
        return prompts * (recipe.distil.samples if step.settings["roles"] else 1)
    entry = recipe.evaluate.sets[step.name]
    made = attacks.find(entry.attack).prompts_made(prompts, attack_settings(entry, step.name))
    return made * entry.samples


def _taught(step: Step, recipe: Recipe, prompts: int) -> list[Asked]:
    method = teaching.find(str(step.settings["method"]["name"]))
    traces = traces_of(step, recipe, prompts)
    roles = step.settings["roles"].items()
    _all_are_named(f"method {method.name}: `calls`", method.roles, method.calls)
    found = [
        Asked(model, "trace", traces * method.calls[role], most=sum(method.calls.values()) > 1) for role, model in roles
    ]
    return [*found, *_chosen(step, prompts)]


def _chosen(step: Step, prompts: int) -> list[Asked]:
    """What it takes to choose a wording: each, and none at all, on some prompts, and a guard that reads the replies."""
    if (choice := step.settings.get("choice")) is None:
        return []
    replies = min(prompts, int(step.settings["settings"]["tried"])) * (1 + len(choice["lines"]))
    tried = Asked(step.settings["roles"][TEACHER], "trace", replies)
    return [tried] if is_local(choice["by"]) else [tried, Asked(choice["by"], "guard", replies)]


def _evaluated(step: Step, recipe: Recipe, prompts: int, tokens: float) -> list[Asked]:
    entry = recipe.evaluate.sets[step.name]
    attack = attacks.find(entry.attack)
    settings = attack_settings(entry, step.name)
    planned, asks = attack.planned(prompts, tokens, settings), attack.asks(settings)
    _all_are_named(f"attack {attack.name}: `planned`", asks.values(), [one.role for one in planned])
    found = [Asked(one.role, one.what, one.calls, one.most, (one.tokens_in, one.tokens_out)) for one in planned]
    return [*found, Asked("student", "trace", traces_of(step, recipe, prompts))]


def _all_are_named(where: str, roles: Collection[str], counted: Collection[str]) -> None:
    """ValueError where calls of a model that is asked are not counted: they would be missing from every forecast."""
    if missing := [role for role in roles if role not in counted]:
        raise ValueError(f"{where} leaves out {', '.join(missing)}, which its `roles` name")


def _read(step: Step, recipe: Recipe, traces: int) -> list[Asked]:
    """The reader, where it is a model: each text it looks at is a call of its own."""
    by = str(step.settings["by"])
    calls = traces * len(step.settings["looked_at"])
    return [] if is_local(by) else [Asked(by, str(step.settings["question"]), calls)]


def local(step: Step, recipe: Recipe) -> list[ModelSettings]:
    """The models of this machine's own that a step asks."""
    models = [recipe.models[one.role] for one in asked(step, recipe, 1) if one.role in recipe.models]
    return [model for model in models if model.door in ("hf", "vllm")]


def gpus(step: Step, recipe: Recipe) -> int:
    """GPUs a step needs where there are any: its training processes, or the largest of its local models; else none."""
    if step.stage == "train":
        return recipe.train.processes if recipe.train.launch != "none" else 1
    return max((int(model.load.get("tensor_parallel_size", 1)) for model in local(step, recipe)), default=0)
