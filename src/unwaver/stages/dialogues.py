"""Dialogues driven over a stage's ledger, in one of two ways.

`in_rounds`: the k-th calls of all dialogues are asked as one flat list a model, so that a million of them are batched,
spread over a cluster and held by nobody; weights of this machine's own change places between the rounds. Dialogues are
begun anew for each pass and find their replies in the ledger, which is also what resumes them. `at_once`: each goes on
the moment its reply is there, for searches whose critical path counts; for models that can be loaded together.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from unwaver.attacks.attack import Search
from unwaver.dialogue import Call, Dialogue, Ended, Heard, asked_of, go_on
from unwaver.errors import RunError
from unwaver.models.engine import Engine
from unwaver.progress import Bar, bar
from unwaver.recipe import ModelSettings
from unwaver.records import Reply, Request
from unwaver.stages.calls import REMOTE, Calls, told_of_failures

T = TypeVar("T")

Begin = Callable[[], Iterable[Dialogue[T]]]
"""Begins the same dialogues again, in the same order."""


def in_rounds(begin: Begin[Any], models: Mapping[str, ModelSettings], calls: Calls, what: str) -> None:
    """Make every call that is owed, round by round. RunError as `Calls.ask`."""
    heard = heard_by(calls, models)
    while counts := Counter(call.role for call in _owed(begin, heard)):
        for role, count in counts.items():

            def requests(role: str = role) -> Iterator[Request]:
                return (call.request for call in _owed(begin, heard) if call.role == role)

            calls.ask(models[role], requests, count, f"{what} by {role}" if len(models) > 1 else what)


def results(begin: Begin[T], models: Mapping[str, ModelSettings], calls: Calls) -> Iterator[T]:
    """What dialogues whose calls were all made come to, in their order; what their replies have to tell is noted."""

    def heard(call: Call) -> Reply | None:
        reply = calls.heard(asked_of(call, models), call.request)
        if reply is not None:
            calls.note(asked_of(call, models), call.request, reply)
        return reply

    for dialogue in begin():
        end = go_on(dialogue, heard)
        if isinstance(end, Ended):
            yield end.result  # type: ignore[misc]


def heard_by(calls: Calls, models: Mapping[str, ModelSettings]) -> Heard:
    """The ledger as dialogues ask it: a call that failed in an earlier session was never made."""
    return lambda call: calls.heard(asked_of(call, models), call.request)


def _owed(begin: Begin[Any], heard: Heard) -> Iterator[Call]:
    for dialogue in begin():
        step = go_on(dialogue, heard)
        if isinstance(step, Call):
            yield step


def search_all(
    searches: Sequence[Search],
    models: Mapping[str, ModelSettings],
    calls: Calls,
    *,
    what: str,
    planned: int,
    max_failed: float,
) -> None:
    """Bring every search to its end: at once where its models can be held together, else in rounds.

    RunError when more than `max_failed` of a model's calls failed.
    """

    def recorded(call: Call) -> Reply | None:
        reply = calls.heard(asked_of(call, models), call.request)
        if reply is not None:
            calls.found(asked_of(call, models))
        return reply

    for search in searches:
        search.recall(recorded)
    local = {calls.weights(model) for model in models.values() if model.door not in REMOTE}
    if len(local) > 1:
        in_rounds(lambda: (d for s in searches if not s.done for d in s.dialogues()), models, calls, what)
        return

    async def work(engines: dict[str, Engine]) -> None:
        with bar(what, planned) as progress:
            await _at_once(searches, engines, progress)
        _refuse_failures(engines, max_failed, what)

    calls.drive(dict(models), work)


async def _at_once(searches: Sequence[Search], engines: Mapping[str, Engine], progress: Bar) -> None:
    """One task for each stream of each search."""
    # Turns are waited for here, not in the engine: a search may be won meanwhile, and then the call is not made.
    turns = {engine: asyncio.Semaphore(engine.settings.concurrency) for engine in engines.values()}
    progress.advance(sum(search.progress for search in searches))

    async def ask(search: Search, call: Call) -> Reply | None:
        engine = asked_of(call, engines)
        async with turns[engine]:
            return None if search.done else await engine.ask(call.request)

    async def follow(search: Search, dialogue: Dialogue[Any]) -> None:
        try:
            call = next(dialogue)
            while (reply := await ask(search, call)) is not None:
                before = search.progress
                try:
                    call = dialogue.send(reply)
                finally:
                    progress.advance(search.progress - before)
        except StopIteration:
            return

    await _together(follow(search, dialogue) for search in searches for dialogue in search.dialogues())


async def _together(tasks: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All of them at once; when one raises, the others are stopped first."""
    started = [asyncio.create_task(task) for task in tasks]
    try:
        return await asyncio.gather(*started)
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


def _refuse_failures(engines: Mapping[str, Engine], max_failed: float, what: str) -> None:
    """RunError when more than the recipe's share of a model's calls failed: what they were for is then not measured."""
    for engine in dict.fromkeys(engines.values()):
        roles = " and ".join(role for role, one in engines.items() if one is engine)
        made = engine.tally.asked + engine.tally.found
        if engine.tally.failed > max_failed * made:
            who = f"{engine.model.label} ({roles})"
            raise RunError(told_of_failures(what, engine.tally.why, made, who, engine.settings))
