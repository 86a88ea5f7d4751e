"""What can be known of a recipe before anything is spent: what would end it later, on whose account, and what to do.

Reads the recipe, its prompt sets, names of variables, the models' own files and the lists of servers; asks no model.
A `Finding` is WRONG where the recipe has to change, MISSING where this machine or a server lacks something and the same
command then goes on, or a NOTE: it runs, and its figures would mean less than they seem to.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from unwaver import attacks, keys, teaching
from unwaver.attacks.counter_prefill import ATTACK as PREFILL
from unwaver.errors import RecipeError, pip_install
from unwaver.judging.asked.guards import guard_for
from unwaver.judging.language import foreign
from unwaver.models.endpoint import VENDOR
from unwaver.models.listing import Listing, listing
from unwaver.models.replay import Replay
from unwaver.models.weights import find, in_cache, out_of_reach
from unwaver.recipe import RECORDED, ModelSettings, Recipe, is_local, reader_file
from unwaver.records import Message, Prompt, Request, digest
from unwaver.sources import overlap
from unwaver.stages.evaluate import attack_settings
from unwaver.stages.prompts import gather
from unwaver.store import Step
from unwaver.study.asked import asked
from unwaver.study.forecast import SetSize, parameters
from unwaver.study.plan import Plan, kind_of
from unwaver.study.steps import Owed
from unwaver.teaching.instructed import Instructed
from unwaver.teaching.method import TEACHER

Weight = Literal["wrong", "missing", "note"]

ADAPTER_RATES = (5e-5, 2e-3)
"""Learning rates of adapters that are usual: ten to some hundred times the study's for full fine-tuning."""
FULL_RATE_MOST = 1e-4
"""The largest rate of full fine-tuning in the study's Figure 5 (arXiv 2505.15404), where it was worst of all."""
LARGE = 1e9
"""Weights from which that rate is too large; far smaller models are trained with larger ones."""
SMALL_JUDGE = 3e9
"""Weights below which a chat model that is no guard is told of as a judge of harm."""


@dataclass(frozen=True)
class Finding:
    """One thing."""

    weight: Weight
    what: str
    """The key of the recipe it is about."""
    told: str


def foreseen(work: list[Plan], owed: list[Owed], sizes: dict[str, SetSize]) -> list[Finding]:
    """All of it, each once, what is wrong first. `owed`: the steps that would be done; `sizes`: by prompts step."""
    sets = Sets(sizes)
    found = [*_too_few(work, sets), *_shared(work, sets), *_models(owed)]
    found += [*_unrecorded(work, {step.digest for step, _ in owed}, sets)]
    stages = {step.stage for step, _ in owed}
    found += [one for step, _ in owed if step.stage == "distil" for one in _method(step)]
    trained = {(p.recipe.train.model_dump_json(), p.recipe.models["student"].name): p.recipe for p in work}
    for recipe in trained.values() if "train" in stages else ():
        found += _rate(recipe)
    for plan in _read_differently(work) if "judge" in stages else ():
        found += _harm(plan.recipe, _harmful_prompts(plan, sets))
    order = ("wrong", "missing", "note")
    return sorted(dict.fromkeys(found), key=lambda one: order.index(one.weight))


def _read_differently(work: list[Plan]) -> list[Plan]:
    """One plan of those whose prompts, models and readers are the same."""
    alike: dict[str, Plan] = {}
    for plan in work:
        told = plan.recipe.model_dump(mode="json", include={"models", "judge", "distil"})
        sets = sorted(step.digest for step in plan.prompts.values())
        alike.setdefault(digest([told, sets, plan.recipe.mix.keep, bool(plan.recipe.parts())]), plan)
    return list(alike.values())


# ------------------------------------------------------------------------------------------------------------- prompts


class Sets:
    """Prompt sets, each gathered once however many arms share it."""

    def __init__(self, sizes: dict[str, SetSize]) -> None:
        self._sizes = sizes
        self._gathered: dict[str, list[Prompt]] = {}

    def of(self, plan: Plan, name: str) -> list[Prompt]:
        """The prompts of a set; none where it can't be read now."""
        key = plan.prompts[name].digest
        if key not in self._gathered:
            self._gathered[key] = [] if self._sizes[key].known else gather(plan.recipe.prompts[name])[0]
        return self._gathered[key]


def _too_few(work: list[Plan], sets: Sets) -> Iterator[Finding]:
    """Parts that want more examples than there are prompts: a prompt gives one at most."""
    for plan in work:
        for part in plan.recipe.parts():
            wanted, there = plan.recipe.mix.parts[part], len(sets.of(plan, part))
            if there and wanted != "all" and there < wanted:
                told = f"{wanted} examples are wanted, and the set has {there}; ask for fewer"
                yield Finding("wrong", f"mix.parts.{part}", told)


def _shared(work: list[Plan], sets: Sets) -> Iterator[Finding]:
    """Prompts that would be trained on and evaluated: certain to end the run, or likely to."""
    looked: set[tuple[str, ...]] = set()
    for plan in work:
        names = list(dict.fromkeys(entry.prompts or name for name, entry in plan.recipe.evaluate.sets.items()))
        for part in plan.recipe.parts():
            wanted, policy = str(plan.recipe.mix.parts[part]), plan.recipe.mix.overlap
            key = (wanted, policy, plan.prompts[part].digest, *(plan.prompts[name].digest for name in names))
            if key not in looked:
                looked.add(key)
                evaluated = {name: sets.of(plan, name) for name in names}
                yield from _shared_part(plan.recipe, part, sets.of(plan, part), evaluated)


def _shared_part(
    recipe: Recipe, part: str, trained: list[Prompt], evaluated: dict[str, list[Prompt]]
) -> Iterator[Finding]:
    texts = {name: [*_evaluated_texts(prompts)] for name, prompts in evaluated.items() if prompts}
    if not texts or not trained:
        return
    wanted = recipe.mix.parts[part]
    for name, found in overlap.find(((one.id, one.text) for one in trained), texts).sets.items():
        if not found.prompts:
            continue
        certain = wanted == "all" or len(trained) - found.training < wanted
        refused = recipe.mix.overlap == "refuse"
        told = f"{found.training} of its {len(trained)} prompts share text with {found.prompts} of the evaluated {name}"
        then = (
            "training refuses to start; evaluate on other prompts, train on other ones, or divide the set"
            if certain
            else f"training refuses to start if any of them is among the {wanted} drawn"
        )
        weight: Weight = "wrong" if certain and refused else "note"
        yield Finding(weight, f"mix.parts.{part}", f"{told}: {then if refused else 'it is reported'}")


def _evaluated_texts(prompts: Iterable[Prompt]) -> Iterator[tuple[str, str]]:
    for prompt in prompts:
        yield prompt.id, prompt.text
        if prompt.behaviour is not None and prompt.behaviour != prompt.text:
            yield prompt.id, prompt.behaviour


def _harmful_prompts(plan: Plan, sets: Sets) -> list[Prompt]:
    """What an arm's student is asked that seeks harm."""
    names = dict.fromkeys(entry.prompts or name for name, entry in plan.recipe.evaluate.sets.items())
    return [one for name in names if kind_of(plan.recipe, name) == "harmful" for one in sets.of(plan, name)]


# -------------------------------------------------------------------------------------------------------------- models


def _models(owed: list[Owed]) -> Iterator[Finding]:
    """Whether every model that will be asked can be."""
    wanted: dict[tuple[str, str], ModelSettings] = {}  # arms may have models of their own in the same role
    for step, recipe in owed:
        roles = [one.role for one in asked(step, recipe, 1)] if step.stage in ("distil", "judge", "evaluate") else []
        for role in [*roles, *(["student"] if step.stage == "train" else [])]:
            if (model := recipe.models.get(role)) is not None:
                wanted.setdefault((f"models.{role}", model.model_dump_json()), model)
    for (what, _), model in wanted.items():
        yield from _server(what, model) if model.door == "openai" else _held(what, model)


def _server(what: str, model: ModelSettings) -> Iterator[Finding]:
    if model.sends_key:
        if not os.environ.get(model.key_env):
            yield Finding("missing", what, f"{model.key_env} is not set; export {model.key_env}=...")
        elif why := keys.needs_a_yes(model.key_env, model.base_url or VENDOR):
            yield Finding("missing", what, f"{why}; export {keys.ALLOW}={model.key_env}")
    if model.base_url is None:
        return
    found = _listed(model.base_url)
    if found.problem:
        yield Finding("missing", what, f"{model.base_url} does not answer ({found.problem}); start it")
    elif found.names is not None and model.target not in found.names:
        yield Finding("missing", what, f"{model.base_url} lists no `{model.target}`; it lists {found.shown}")


def _unrecorded(work: list[Plan], owed: set[str], sets: Sets) -> Iterator[Finding]:
    """Recorded models that hold no reply to what they would be asked, where the wording is known beforehand: teachers
    of one call, and whoever begins a student's reasoning."""
    left = set(owed)  # each step once, however many arms share it
    for plan in work:
        recipe = plan.recipe
        for part, step in plan.distil.items():
            method = teaching.find(str(step.settings["method"]["name"]))
            if isinstance(method, Instructed) and step.digest in left:
                left.discard(step.digest)
                own = recipe.distil if method.name == recipe.distil.method else None
                words = (own.instruction_file, own.position) if own is not None else (None, None)
                asked_ = []
                for prompt in sets.of(plan, part):
                    *before, last = method.messages(prompt.text, *words)
                    asked_.append((*before, *prompt.turns, last))
                yield from _not_held(recipe, step.settings["roles"][TEACHER], asked_, part)
        for name, step in (*plan.raw.items(), *plan.evaluate.items()):
            entry = recipe.evaluate.sets[name]
            if entry.attack == PREFILL.name and step.digest in left:
                left.discard(step.digest)
                prompts = sets.of(plan, entry.prompts or name)
                bare = [(*one.turns, Message(role="user", content=one.text)) for one in prompts]
                (by,) = attacks.find(entry.attack).asks(attack_settings(entry, name)).values()
                yield from _not_held(recipe, by, bare, name)


def _not_held(recipe: Recipe, role: str, asked_: list[tuple[Message, ...]], what: str) -> Iterator[Finding]:
    model = recipe.models.get(role)
    if model is None or model.door != "replay" or not asked_:
        return
    recorded = _recorded(model.model_dump_json())
    missing = sum(not recorded.holds(Request(messages=messages)) for messages in asked_)
    if not missing:
        return
    weight: Weight = "wrong" if missing > recipe.max_failed * len(asked_) else "note"
    knows = " (it knows the corpus's train prompts under the shipped wordings)" if model.target in RECORDED else ""
    yield Finding(
        weight,
        f"models.{role}",
        f"{model.label} holds no reply to {missing} of the {len(asked_)} prompts of {what}{knows}; record them "
        "(`replay:FILE`, docs/models.md), or name a model that answers",
    )


@cache
def _recorded(model: str) -> Replay:
    return Replay(ModelSettings.model_validate_json(model))


@cache
def _listed(base_url: str) -> Listing:
    return listing(base_url)


def _held(what: str, model: ModelSettings) -> Iterator[Finding]:
    """A model on this machine; its folder and the packages it takes."""
    needs = {"hf": ("transformers", "train"), "vllm": ("vllm", "vllm")}.get(model.door)
    if needs is None:
        return
    package, extra = needs
    if importlib.util.find_spec(package) is None:
        yield Finding("missing", what, f"{model.name} needs {package}; {pip_install(extra)}")
        return
    try:
        found = find(model.target)
    except RecipeError as error:
        yield Finding("wrong", what, str(error))
        return
    if isinstance(found, str) and (why := _not_on_the_hub(found, model.revision)):
        yield Finding("missing" if "/" in found else "wrong", what, why)


@cache
def _not_on_the_hub(name: str, revision: str | None) -> str | None:
    """Why a name can't be had from the hub; None where it can, or was fetched before."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    if why := out_of_reach(name):
        return why
    if in_cache(name):
        return None
    try:
        HfApi().model_info(name, revision=revision, timeout=10)
    except (HfHubHTTPError, OSError) as error:
        return f"{name}: there is no such folder, and the hub gives no model of that name ({type(error).__name__})"
    return None


# ------------------------------------------------------------------------------------------------------------ settings


def _method(step: Step) -> Iterator[Finding]:
    """What one must know before using a teaching method."""
    if warning := teaching.find(str(step.settings["method"]["name"])).warning:
        yield Finding("note", "distil.method", warning)


def _rate(recipe: Recipe) -> Iterator[Finding]:
    """A learning rate, or settings of adapters, that are another method's."""
    rate, method = recipe.train.learning_rate, recipe.train.method
    given = "given" if "learning_rate" in recipe.train.model_fields_set else "the study's, of full fine-tuning"
    if recipe.train.adapters and not ADAPTER_RATES[0] <= rate <= ADAPTER_RATES[1]:
        told = f"{rate:g} ({given}) with method = {method!r}: adapters learn at 1e-4 to 5e-4"
        yield Finding("note", "train.learning_rate", told)
    if recipe.train.lora and not recipe.train.adapters:
        told = (
            f"set, and not used with method = {method!r}, which trains all weights; expected 'lora', 'qlora' or 'dpo'"
        )
        yield Finding("note", "train.lora", told)
    weights = parameters(recipe.models["student"]) if not recipe.train.adapters else None
    if weights is not None and weights >= LARGE and rate >= FULL_RATE_MOST:
        told = f"{rate:g} on all of {weights / 1e9:.1f} billion weights: the study's best is 5e-6, its worst 1e-4"
        yield Finding("note", "train.learning_rate", told)


def _harm(recipe: Recipe, prompts: list[Prompt]) -> Iterator[Finding]:
    """Readers of harm whose readings would mean little."""
    for what, names in (("judge.harm", recipe.judge.harm), ("judge.guard", recipe.judge.guard)):
        if what == "judge.harm" and not prompts:
            continue
        if what == "judge.guard" and (recipe.mix.keep == "everything" or not recipe.parts()):
            continue
        by = names[0]
        yield from _local(what, by, prompts) if is_local(by) else _judge(what, recipe, recipe.models[by])


def _local(what: str, by: str, prompts: list[Prompt]) -> Iterator[Finding]:
    from unwaver.judging.local.reader_file import opened

    known = opened(reader_file(by)).measured("harm") or "not measured"
    yield Finding("note", what, f"`{by}` reads without a model ({known}); a guard reads better (docs/models.md)")
    if other := sum(foreign(prompt.text) is not None for prompt in prompts):
        told = f"`{by}` reads English, and {other} of {len(prompts)} harmful prompts are in another language"
        yield Finding("note", what, f"{told}: replies in it are unscored")


def _judge(what: str, recipe: Recipe, model: ModelSettings) -> Iterator[Finding]:
    same = [role for role in ("student", recipe.distil.teacher) if _same(recipe.models.get(role), model)]
    if same:
        yield Finding("note", what, f"{model.label} is the {same[0]} as well, and judges its own replies")
    weights = parameters(model) if model.door in ("hf", "vllm") else None
    if guard_for(model.target) is None and weights is not None and weights < SMALL_JUDGE:
        told = f"{model.label} is no guard, and small for a judge ({weights / 1e9:.1f} billion weights)"
        yield Finding("note", what, f"{told}: many of its readings may be none")


def _same(one: ModelSettings | None, other: ModelSettings) -> bool:
    return one is not None and (one.name, one.base_url) == (other.name, other.base_url)
