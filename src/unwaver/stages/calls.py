"""How a stage asks models: requests in, replies from the ledger out, failures counted, too many of them a RunError."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

from unwaver.errors import RecipeError, RunError
from unwaver.ledger import Ledger
from unwaver.models import Model, open_model
from unwaver.models.engine import Engine, Tally, summary
from unwaver.progress import Bar, bar, say
from unwaver.reasoning import FAMILIES, headless, trace
from unwaver.recipe import ModelSettings
from unwaver.records import Prompt, Reply, Request, Trace, digest
from unwaver.store import RunDir, disk_errors

T = TypeVar("T")

REMOTE = ("openai", "replay")
"""The doors of models that hold no weights in this process."""


@dataclass
class Place:
    """Where a command works: the run's root, who makes its calls, and the local models it keeps from stage to stage."""

    root: Path
    engine: Literal["local", "ray"] = "local"
    """Who makes the calls to a server. `local`: this process. `ray`: actors on a Ray cluster; the records are the same.
    Models of this machine's own are asked here either way."""
    _loaded: dict[str, Model] = field(default_factory=dict)

    async def make_room(self, wanted: Iterable[ModelSettings]) -> None:
        """Of the loaded weights keep those that are wanted now; the others give way before any are loaded.

        RecipeError where two of them would need a vLLM engine each: every engine takes the GPU for itself.
        """
        local = [settings for settings in wanted if settings.door not in REMOTE]
        engines = {_weights(settings): settings.name for settings in local if settings.door == "vllm"}
        if len(engines) > 1:
            raise RecipeError(
                f"{' and '.join(engines.values())} are asked in turns, and each vLLM engine takes the GPU for itself; "
                "serve all but one of them (`vllm serve MODEL`) and name those `openai:MODEL` with a base_url"
            )
        kept = {_weights(settings) for settings in local}
        for name in [name for name in self._loaded if name not in kept]:
            await self._loaded.pop(name).close()

    def model(self, settings: ModelSettings) -> Model:
        """The model; weights that are still loaded are not loaded again."""
        if settings.door in REMOTE:
            return open_model(settings)
        name = _weights(settings)
        if name not in self._loaded:
            self._loaded[name] = open_model(settings)
        return self._loaded[name]

    def close(self) -> None:
        """Let go of all weights."""
        asyncio.run(self.make_room(()))


def _weights(settings: ModelSettings) -> str:
    """What two roles must share to be asked through one loaded model."""
    return digest([settings.identity(), settings.label, settings.batch_size])


class Calls:
    """The calls of one stage: one ledger, any number of models."""

    def __init__(self, run: RunDir, place: Place, max_failed: float) -> None:
        self._run, self._place, self._max_failed = run, place, max_failed
        self._ledger = Ledger(run.path / "replies")
        self._tallies: dict[str, tuple[ModelSettings, Tally]] = {}

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def ask(self, settings: ModelSettings, requests: Callable[[], Iterable[Request]], total: int, what: str) -> None:
        """Make every call that is owed. RunError when more than the recipe's share of them failed."""
        with bar(what, total) as progress:
            owed = self._from_first_owed(settings, iter(requests()), progress)
            if owed is None:
                return
            if self._place.engine == "ray" and settings.door == "openai":
                failures = self._by_ray(settings, owed, progress)
            else:
                failures = self.drive({"": settings}, lambda engines: engines[""].ask_all(owed, progress.advance))
        self._refuse_failures(settings, failures, total, what)

    def _refuse_failures(self, settings: ModelSettings, failures: Counter[str], total: int, what: str) -> None:
        failed = sum(failures.values())
        if failed > self._max_failed * total:
            often = failures.most_common(1)[0][0]
            raise RunError(
                f"{what}: {failed} of {total} calls to {settings.label} failed, most often: {often}. "
                "Give the same command again to make only those"
            )

    def _from_first_owed(
        self, settings: ModelSettings, requests: Iterator[Request], progress: Bar
    ) -> Iterator[Request] | None:
        """The requests from the first that is owed; None when none is, and then no model need be opened."""
        found = 0
        first = None
        for request in requests:
            if request.key(settings.label) not in self._ledger:
                first = request
                break
            found += 1
        self._tally(settings).found += found
        progress.advance(found)
        return None if first is None else chain([first], requests)

    def _by_ray(self, settings: ModelSettings, owed: Iterator[Request], progress: Bar) -> Counter[str]:
        from unwaver.models.ray_engine import ask_all

        try:
            with disk_errors(self._run.path):
                return ask_all(settings, owed, self._ledger, self._tally(settings), progress.advance)
        finally:
            # The actors wrote shards of their own.
            self._ledger.close()
            self._ledger = Ledger(self._ledger.folder)

    def drive(self, roles: dict[str, ModelSettings], work: Callable[[dict[str, Engine]], Awaitable[T]]) -> T:
        """Run asynchronous work with an engine per role, all on this stage's ledger; equal models share an engine."""

        async def inside() -> T:
            await self._place.make_room(roles.values())
            async with AsyncExitStack() as stack:
                engines: dict[str, Engine] = {}
                for role, settings in roles.items():
                    same = (engine for engine in engines.values() if engine.settings == settings)
                    engines[role] = next(same, None) or await self._open(settings, stack)
                return await work(engines)

        with disk_errors(self._run.path):
            return asyncio.run(inside())

    async def _open(self, settings: ModelSettings, stack: AsyncExitStack) -> Engine:
        model = self._place.model(settings)
        if settings.door in REMOTE:
            stack.push_async_callback(model.close)
        return await stack.enter_async_context(Engine(model, settings, self._ledger, self._tally(settings)))

    def reply(self, settings: ModelSettings, request: Request) -> Reply:
        """What the ledger holds for a request; a call never made is a failure that says so."""
        found = self._ledger.get(request.key(settings.label))
        return found if found is not None else Reply(ending="error", failure="this call was never made")

    def summary(self) -> dict[str, Any]:
        """Calls, tokens and cost by model, for the manifest; `cost` is None when no model has prices."""
        calls = {label: summary(settings, tally, self._ledger) for label, (settings, tally) in self._tallies.items()}
        costs = [made.pop("cost") for made in calls.values()]
        known = [cost for cost in costs if cost is not None]
        return {"calls": calls, "cost": round(sum(known), 4) if known else None}

    def _tally(self, settings: ModelSettings) -> Tally:
        return self._tallies.setdefault(settings.label, (settings, Tally()))[1]


class TraceMaker:
    """Makes traces of a model's replies, and notices a template that opens the reasoning block unsaid."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._headless = self._bare = 0

    def make(self, prompt: Prompt, request: Request, reply: Reply) -> Trace:
        """The trace in one reply."""
        tags = FAMILIES[self._settings.tags]
        made = trace(prompt, request, reply, self._settings.label, tags)
        self._headless += headless(reply, tags)
        self._bare += made.truncated and made.block == "none"
        return made

    def tell(self) -> None:
        """Say so where replies cut inside their reasoning look like answers."""
        if self._headless and self._bare:
            say(
                f"{self._settings.label}: {self._headless} replies close a reasoning block they never opened, and "
                f"{self._bare} were cut without any tag: those may be thoughts, and count as answers. Where the "
                "template opens the block, give this model `opens_block = true`"
            )


@dataclass(frozen=True)
class Asking:
    """What one stage's directory wants of a model."""

    calls: Calls
    requests: Sequence[Request]
    what: str


def ask_together(settings: ModelSettings, askings: Sequence[Asking], place: Place, what: str) -> None:
    """Make the owed calls of several directories through one model on this machine, in common batches.

    Weights read from memory cost the same for one reply as for a hundred, so sets that are small alone are asked as
    one. Every reply goes into the ledger of the directory that wants it. RunError as `Calls.ask` has it.
    """
    found: list[Counter[str]] = []
    with bar(what, sum(len(asking.requests) for asking in askings)) as progress:
        owed = [(a, a.calls._from_first_owed(settings, iter(a.requests), progress)) for a in askings]

        async def inside() -> None:
            await place.make_room([settings])
            async with AsyncExitStack() as stack:
                engines = [(await a.calls._open(settings, stack), left) for a, left in owed if left is not None]
                found.extend(
                    await asyncio.gather(*(engine.ask_all(left, progress.advance) for engine, left in engines))
                )

        wanting = [asking for asking, left in owed if left is not None]
        if wanting:
            with disk_errors(place.root):
                asyncio.run(inside())
    for asking in askings:
        # Each directory's own `ask` finds these replies in its ledger; they were made now, and are to count once.
        tally = asking.calls._tally(settings)
        tally.found = tally.failed - tally.asked
    for asking, failures in zip(wanting, found, strict=True):
        asking.calls._refuse_failures(settings, failures, len(asking.requests), asking.what)
