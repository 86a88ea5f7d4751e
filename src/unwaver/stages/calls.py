"""How a stage asks models: requests in, replies from the ledger out, failures counted, too many of them a RunError."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from unwaver.errors import RunError
from unwaver.ledger import Ledger
from unwaver.models import Model, open_model
from unwaver.models.engine import Engine, Tally
from unwaver.progress import bar
from unwaver.recipe import ModelSettings
from unwaver.records import Reply, Request, digest
from unwaver.store import RunDir, disk_errors

T = TypeVar("T")


@dataclass
class Place:
    """Where a command works: the run's root, and the local models it has loaded, kept from stage to stage."""

    root: Path
    _loaded: dict[str, Model] = field(default_factory=dict)

    def model(self, settings: ModelSettings) -> Model:
        """The model; weights stay loaded while the same ones are asked for, and give way to the next."""
        if settings.door in ("openai", "replay"):
            return open_model(settings)
        name = digest([settings.identity(), settings.batch_size])
        if name not in self._loaded:
            self._loaded.clear()
            self._loaded[name] = open_model(settings)
        return self._loaded[name]


class Calls:
    """The calls of one stage: one ledger, any number of models."""

    def __init__(self, run: RunDir, place: Place, max_failed: float) -> None:
        self._run, self._place, self._max_failed = run, place, max_failed
        self._ledger = Ledger(run.path / "replies")
        self.tallies: dict[str, Tally] = {}
        self._cost: dict[str, float] = {}

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def ask(self, settings: ModelSettings, requests: Callable[[], Iterable[Request]], total: int, what: str) -> None:
        """Make every call that is owed. RunError when more than the recipe's share of them failed."""

        async def drive(engine: Engine) -> None:
            with bar(what, total) as progress:
                await engine.ask_all(requests(), lambda request, reply: progress.advance())

        if next(self._owed(settings, requests), None) is not None:
            self.drive({"": settings}, lambda engines: drive(engines[""]))
        failures = Counter(self.reply(settings, request).failure for request in self._owed(settings, requests))
        failed = sum(failures.values())
        if failed > self._max_failed * total:
            often = failures.most_common(1)[0][0]
            raise RunError(
                f"{what}: {failed} of {total} calls to {settings.label} failed, most often: {often}. "
                "Give the same command again to make only those"
            )

    def _owed(self, settings: ModelSettings, requests: Callable[[], Iterable[Request]]) -> Iterator[Request]:
        return (request for request in requests() if request.key(settings.label) not in self._ledger)

    def drive(self, roles: dict[str, ModelSettings], work: Callable[[dict[str, Engine]], Awaitable[T]]) -> T:
        """Run asynchronous work with an engine per role, all on this stage's ledger."""

        async def inside() -> T:
            engines = {r: Engine(self._place.model(s), s, self._ledger) for r, s in roles.items()}
            try:
                return await work(engines)
            finally:
                for role, engine in engines.items():
                    self._put_down(roles[role].label, engine)
                    if roles[role].door in ("openai", "replay"):
                        await engine.model.close()

        with disk_errors(self._run.path):
            return asyncio.run(inside())

    def reply(self, settings: ModelSettings, request: Request) -> Reply:
        """What the ledger holds for a request; a call never made is a failure that says so."""
        found = self._ledger.get(request.key(settings.label))
        return found if found is not None else Reply(ending="error", failure="this call was never made")

    def summary(self) -> dict[str, Any]:
        """Calls, tokens and cost by model, for the manifest."""
        models = {label: tally.as_dict() for label, tally in self.tallies.items()}
        return {"calls": models, "cost": round(sum(self._cost.values()), 4) if self._cost else None}

    def _put_down(self, label: str, engine: Engine) -> None:
        before = self.tallies.get(label)
        if before is None:
            self.tallies[label] = engine.tally
        else:
            for name, value in vars(engine.tally).items():
                setattr(before, name, getattr(before, name) + value)
        if engine.cost is not None:
            self._cost[label] = self._cost.get(label, 0.0) + engine.cost
