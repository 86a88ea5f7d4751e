"""Attacks that ask models of their own, driven through the engine: PAIR and generated PAP (docs/attacks.md).

Takes the bare prompts of an evaluation; gives the prompts the student is then asked (`Attacked`) and every attempt, for
`attempts.jsonl`. All prompts go forward together: no stream waits for another, no prompt for another and no role for
another. Each call goes through the stage's ledger the moment it ends, so a killed search goes on at the very call; what
was under way when a search was won is kept as well. A behaviour for which no attack was found is named as such: it is
neither safe nor asked as it stands, as the study's released code does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import Field, ValidationError, field_validator

from unwaver.attacks import attacker, pair, pap
from unwaver.errors import RecipeError, RunError
from unwaver.models.engine import Engine
from unwaver.progress import Bar, bar
from unwaver.recipe import EvaluationSet, ModelSettings, Recipe
from unwaver.records import Prompt, Record, Reply, Sampling
from unwaver.stages.calls import Calls

ATTEMPTS = "attempts.jsonl"

BY_MODEL = (pair.ATTACK, "pap")
"""The attacks that are done here."""

NO_ATTACK = "the attacker never produced a valid attack"
"""The failure of a trace whose prompt was never made."""

S = TypeVar("S", bound=Record)
T = TypeVar("T")


class PapSettings(Record):
    """How rewrites are generated (`attack = "pap"`)."""

    techniques: tuple[str, ...] = ()
    """Techniques by name; none: all 40."""
    per_prompt: int = Field(1, ge=0)
    """Rewrites of each behaviour. Behaviour i gets the techniques (i x per_prompt + k) mod n; 0: all of them."""
    max_tries: int = Field(pap.TRIES, ge=1, le=100)
    """Attacker calls for one rewrite until one can be used."""
    attacker: Sampling = pap.SAMPLING

    @field_validator("attacker", mode="before")
    @classmethod
    def _partial_is_laid_over(cls, value: Any) -> Any:
        return {**pap.SAMPLING.model_dump(), **value} if isinstance(value, dict) else value


class Rewrite(Record):
    """One behaviour by one technique, as far as the attacker came: a line of `attempts.jsonl` under PAP."""

    of: str
    """The id of the bare prompt."""
    behaviour: str
    technique: str
    """Its slug."""
    tries: tuple[attacker.Failure, ...] = ()
    """Why each reply that could not be used was no rewrite."""
    prompt: str | None = None
    """The rewrite; None: there is none."""


class Round(pair.Attempt):
    """One round of one stream: a line of `attempts.jsonl` under PAIR."""

    of: str
    """The id of the bare prompt."""
    behaviour: str
    chosen: bool = False
    """Whether its prompt is the one the student is asked in the end."""


@dataclass(frozen=True)
class Attacked:
    """What an attack made of the prompts."""

    prompts: list[Prompt]
    """What the student is asked, in the order of the bare prompts; one without an attack has an empty text."""
    attempts: Sequence[Rewrite | Round] = ()
    """All that was tried, in the same order."""
    counts: dict[str, int] = field(default_factory=dict)
    """For the manifest."""


def attack(prompts: Sequence[Prompt], student: ModelSettings, recipe: Recipe, calls: Calls, name: str) -> Attacked:
    """Have the attacker of the recipe attack `student` with every prompt; `name` is the evaluation's.

    RecipeError for settings that don't fit; RunError when more than the recipe's share of the calls failed.
    """
    entry = recipe.evaluate.sets[name]
    if any(not prompt.behaviour for prompt in prompts):
        raise RecipeError(f"evaluate.sets.{name}: attack {entry.attack} needs prompts that name a harmful behaviour")
    if entry.attack == pair.ATTACK:
        return _pair(prompts, student, recipe, calls, name)
    return _pap(prompts, recipe, calls, name)


def settings(kind: type[S], entry: EvaluationSet, name: str, **defaults: Any) -> S:
    """The `attack_settings` of an evaluation over `defaults`; RecipeError names the key."""
    try:
        return kind.model_validate({**defaults, **entry.attack_settings})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["evaluate.sets", name, "attack_settings", *map(str, first["loc"])])
        raise RecipeError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


# ---------------------------------------------------------------- PAIR


def _pair(prompts: Sequence[Prompt], student: ModelSettings, recipe: Recipe, calls: Calls, name: str) -> Attacked:
    chosen = settings(pair.PairSettings, recipe.evaluate.sets[name], name, tags=student.tags)
    models = recipe.models
    roles = {"attacker": models["attacker"], "judge": models["pair_judge"], "target": student}
    planned = len(prompts) * chosen.n_streams * chosen.n_iterations * len(roles)

    async def work(engines: dict[str, Engine]) -> list[pair.Search]:
        with bar(f"pair {student.label} {name}", planned) as progress:
            hunt = _Hunt(engines, [_rebuilt(prompt, chosen, engines) for prompt in prompts], progress)
            await _together(hunt.follow(at, stream) for at in range(len(prompts)) for stream in range(chosen.n_streams))
        _refuse_failures(engines, recipe, f"pair {name}")
        return hunt.searches

    searches = calls.drive(roles, work)
    counts = Counter[str]()
    for search in searches:
        ends = {"searches": 1, "stopped early": int(search.won), "without an attack": int(search.failure is not None)}
        counts.update(ends)
        counts.update(search.counts)
    found = [pair.replay(search) or _unattacked(search.prompt, pair.ATTACK) for search in searches]
    return Attacked(found, [line for search in searches for line in _rounds(search)], dict(counts))


class _Hunt:
    """Searches while they are under way, one task for each of their streams."""

    def __init__(self, engines: dict[str, Engine], searches: list[pair.Search], progress: Bar) -> None:
        self.searches = searches
        self._engines, self._progress = engines, progress
        # Turns are waited for here, not in the engine: a search may be won meanwhile, and then the call is not made.
        self._turns = {engine: asyncio.Semaphore(engine.settings.concurrency) for engine in engines.values()}
        self._progress.advance(sum(_planned(search) for search in searches))

    async def follow(self, at: int, stream: int) -> None:
        """Make the calls of one stream, one after the other, until it or its search is over."""
        while call := next((call for call in self.searches[at].owed() if call.stream == stream), None):
            engine = self._engines[call.role]
            async with self._turns[engine]:
                if self.searches[at].done:
                    return
                reply = await engine.ask(call.request)
            before = _planned(self.searches[at])
            self.searches[at] = self.searches[at].feed(call, reply)
            self._progress.advance(_planned(self.searches[at]) - before)


def _planned(search: pair.Search) -> int:
    """How many of a search's planned calls are made, or will never be: further tries were not planned."""
    chosen = search.settings
    if search.done:
        return chosen.n_streams * chosen.n_iterations * 3
    steps = (
        3 if a.over else {"attacker": 0, "target": 1, "judge": 2}[a.owed] for rounds in search.streams for a in rounds
    )
    return sum(steps)


def _rebuilt(prompt: Prompt, chosen: pair.PairSettings, engines: dict[str, Engine]) -> pair.Search:
    """The search as far as the ledger carries it; a call that failed is owed again."""

    def recorded(call: pair.Call) -> Reply | None:
        engine = engines[call.role]
        key = call.request.key(engine.model.label)
        if key not in engine.ledger:
            return None
        engine.tally.found += 1
        return engine.ledger.get(key)

    return pair.rebuild(prompt, chosen, recorded)


def _rounds(search: pair.Search) -> list[Round]:
    of = {"of": search.prompt.id, "behaviour": search.prompt.behaviour or ""}
    best = search.best
    return [Round(**_fields(attempt), **of, chosen=attempt == best) for attempt in search.attempts]


def _fields(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in type(record).model_fields}


# ---------------------------------------------------------------- PAP


def _pap(prompts: Sequence[Prompt], recipe: Recipe, calls: Calls, name: str) -> Attacked:
    chosen = settings(PapSettings, recipe.evaluate.sets[name], name)
    known = [pap.technique(label) for label in chosen.techniques] or list(pap.techniques())
    each = chosen.per_prompt or len(known)
    owed = [
        (p, known[(at * each + k) % len(known)]) for at, p in enumerate(prompts) for k in range(min(each, len(known)))
    ]

    async def work(engines: dict[str, Engine]) -> list[Rewrite]:
        with bar(f"pap {name}", len(owed)) as progress:
            rewrites = await _together(_rewrite(p, by, chosen, engines["attacker"], progress) for p, by in owed)
        _refuse_failures(engines, recipe, f"pap {name}")
        return rewrites

    rewrites = calls.drive({"attacker": recipe.models["attacker"]}, work)
    counts = Counter({"rewrites": len(rewrites), "without an attack": sum(one.prompt is None for one in rewrites)})
    counts.update(f"try: {reason}" for one in rewrites for reason in one.tries)
    found = [
        _unattacked(prompt, pap.PREFIX + by.slug) if one.prompt is None else pap.attacked(prompt, by.name, one.prompt)
        for (prompt, by), one in zip(owed, rewrites, strict=True)
    ]
    return Attacked(found, rewrites, dict(counts))


async def _rewrite(prompt: Prompt, by: pap.Technique, chosen: PapSettings, asked: Engine, progress: Bar) -> Rewrite:
    """Ask for one rewrite until one can be used."""
    one = Rewrite(of=prompt.id, behaviour=prompt.behaviour or "", technique=by.slug)
    while one.prompt is None and len(one.tries) < chosen.max_tries:
        reply = await asked.ask(pap.request(prompt, by, len(one.tries), chosen.attacker))
        proposal = pap.read(reply, prompt)
        if proposal.failure is None:
            one = one.model_copy(update={"prompt": proposal.fields["prompt"]})
        else:
            one = one.model_copy(update={"tries": (*one.tries, proposal.failure)})
    progress.advance()
    return one


# ---------------------------------------------------------------- both


def _unattacked(prompt: Prompt, name: str) -> Prompt:
    return prompt.model_copy(update={"text": "", "attack": name})


async def _together(tasks: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All of them at once; when one raises, the others are stopped first."""
    started = [asyncio.create_task(task) for task in tasks]
    try:
        return await asyncio.gather(*started)
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


def _refuse_failures(engines: dict[str, Engine], recipe: Recipe, what: str) -> None:
    """RunError when more than the recipe's share of a model's calls failed: what they were for is then not measured."""
    for engine in dict.fromkeys(engines.values()):
        roles = " and ".join(role for role, one in engines.items() if one is engine)
        made = engine.tally.asked + engine.tally.found
        if engine.tally.failed > recipe.max_failed * made:
            raise RunError(
                f"{what}: {engine.tally.failed} of {made} calls to {engine.model.label} ({roles}) failed. "
                "Give the same command again to make only those and what follows from them"
            )
