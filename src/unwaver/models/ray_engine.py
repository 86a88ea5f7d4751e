"""The same engine on a Ray cluster: actors ask a server, each over its share of the requests, into a shard of its own.

For sets so large that one process can't keep a server busy; which steps run where is decided in `study.cluster`.

The driver cuts the requests into chunks by position and keeps every actor supplied; an actor runs the ordinary `Engine`
on `replies/<shard>.jsonl` and sends back counts only. An actor that is lost leaves its shard behind: what is finished
there is not asked again, the rest of its chunks goes to another. So `replies/` must lie on storage that all nodes share
(it is checked), and the package must be installed on all of them. Keys are read from the actors' own environment. The
concurrency of a server is divided among the actors; a budget is kept by all of them together.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError, RunError, UnwaverError
from unwaver.ledger import Ledger, Spent, scan
from unwaver.models import Model, open_model
from unwaver.models.engine import Engine, Tally
from unwaver.recipe import ModelSettings
from unwaver.records import Request
from unwaver.store import disk_errors

CALLS_PER_ACTOR = 32
"""Calls of one server under way at once in one actor; more than one process can serve many."""
CHUNKS_AHEAD = 3
"""Chunks an actor has at once, so that it is never idle at the end of one."""
START_SECONDS = 600.0
"""An actor asks nothing of the cluster but a process; its imports may come over a slow shared disk."""
LOSSES_MOST = 3
"""After an actor was lost over the same chunk so often, the chunk is the reason."""


@dataclass(frozen=True)
class Report:
    """What an actor tells of a chunk."""

    tally: Tally
    """Of all its work so far."""
    spent: Spent
    """Likewise."""
    done: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    error: UnwaverError | None = None
    """Why no call should be begun any more, by any of them."""


class Asker:
    """One actor: one engine, one shard."""

    def __init__(self, settings: ModelSettings, folder: Path, shard: str) -> None:
        self._settings, self._folder, self._shard = settings, folder, shard
        self._model: Model
        self._engine: Engine

    async def open(self) -> UnwaverError | None:
        """Open model and shard; what is wrong with them."""
        try:
            self._model = open_model(self._settings)
            self._engine = Engine(self._model, self._settings, Ledger(self._folder, self._shard, alone=True))
        except UnwaverError as error:
            return error
        return None

    async def ask(self, requests: list[Request], elsewhere: Spent) -> Report:
        """Make the calls of one chunk. `elsewhere`: what all the others have done."""
        self._engine.elsewhere = elsewhere
        try:
            with disk_errors(self._folder):
                failures = await self._engine.ask_all(requests)
        except UnwaverError as error:
            return self._report(error=error)
        return self._report(done=len(requests), failures=failures)

    async def finish(self) -> Report:
        """Let the calls under way end and close everything."""
        await self._engine.finish()
        report = self._report()
        await self._model.close()
        self._engine.ledger.close()
        return report

    def _report(self, **more: Any) -> Report:
        spent = self._engine.ledger.spent(self._settings.label)
        return Report(Tally(**vars(self._engine.tally)), Spent(**vars(spent)), **more)


@dataclass(eq=False)
class _Worker:
    """An actor as the driver sees it."""

    handle: Any
    path: Path
    tally: Tally = field(default_factory=Tally)
    spent: Spent = field(default_factory=Spent)
    chunks: int = 0
    """Chunks it has."""
    alive: bool = False

    def heed(self, report: Report) -> None:
        if report.tally.asked >= self.tally.asked:
            self.tally, self.spent = report.tally, report.spent


@dataclass
class _Chunk:
    requests: list[Request]
    losses: int = 0


class Driver:
    """Hands out chunks, follows the counts, replaces lost actors."""

    def __init__(self, settings: ModelSettings, ledger: Ledger) -> None:
        self._ray = connect()
        self._folder, self._label = ledger.folder.resolve(), settings.label
        self._before = ledger.spent(settings.label)
        self._count, self._options, self._size = _shape(self._ray, settings)
        self._settings = settings.model_copy(update={"concurrency": self._size})
        used = [int(path.stem) for path in self._folder.glob("*.jsonl") if path.stem.isdigit()]
        self._numbers = itertools.count(max(used, default=0) + 1)
        self._under_way: dict[Any, tuple[_Worker, _Chunk]] = {}
        self._again: deque[_Chunk] = deque()
        self.workers: list[_Worker] = []
        self.failures: Counter[str] = Counter()

    def run(self, requests: Iterator[Request], advance: Callable[[int], None]) -> None:
        """Have every request asked; the first error that any actor meets is raised."""
        self._hire(self._count)
        chunks = iter(lambda: list(itertools.islice(requests, self._size)), [])
        while self._supply(chunks):
            ended, _ = self._ray.wait(list(self._under_way), num_returns=1)
            worker, chunk = self._under_way.pop(ended[0])
            worker.chunks -= 1
            try:
                report: Report = self._ray.get(ended[0])
            except self._ray.exceptions.RayActorError:
                advance(self._mourn(worker, chunk))
                continue
            worker.heed(report)
            self.failures += report.failures
            advance(report.done)
            if report.error is not None:
                raise report.error

    def finish(self) -> None:
        """Let the calls under way end."""
        for worker, last in [(w, w.handle.finish.remote()) for w in self.workers if w.alive]:
            try:
                worker.heed(self._ray.get(last))
            except self._ray.exceptions.RayActorError:
                worker.alive = False

    def dismiss(self) -> None:
        """End the actors, whatever they are at."""
        for worker in self.workers:
            self._ray.kill(worker.handle)

    def _supply(self, chunks: Iterator[list[Request]]) -> bool:
        """Give every actor its chunks, one round after the other; False when nothing is under way any more."""
        for level in range(1, CHUNKS_AHEAD + 1):
            for worker in self.workers:
                if not worker.alive or worker.chunks >= level:
                    continue
                chunk = self._again.popleft() if self._again else _Chunk(next(chunks, []))
                if chunk.requests:
                    ended = worker.handle.ask.remote(chunk.requests, self._elsewhere(worker))
                    self._under_way[ended] = (worker, chunk)
                    worker.chunks += 1
        return bool(self._under_way)

    def _elsewhere(self, worker: _Worker) -> Spent:
        parts = [self._before, *(other.spent for other in self.workers if other is not worker)]
        return Spent(*(sum(getattr(part, name) for part in parts) for name in vars(self._before)))

    def _mourn(self, worker: _Worker, chunk: _Chunk) -> int:
        """Have what a lost actor left undone asked elsewhere; how many of the chunk it had finished."""
        lines = list(scan(worker.path))
        finished = {line.name for line in lines if line.ok}
        if worker.alive:
            worker.alive = False
            worker.tally = Tally(asked=len(lines), failed=sum(not line.ok for line in lines))
            worker.spent = Spent(len(finished), sum(n.tokens_in for n in lines), sum(n.tokens_out for n in lines))
            self._hire(1)
        rest = [r for r in chunk.requests if bytes.fromhex(r.key(self._label)) not in finished]
        if rest and chunk.losses + 1 >= LOSSES_MOST:
            raise RunError(
                f"{self._label}: {LOSSES_MOST} actors were lost over the same requests; see the cluster's log"
            )
        if rest:
            self._again.append(_Chunk(rest, chunk.losses + 1))
        return len(chunk.requests) - len(rest)

    def _hire(self, count: int) -> None:
        actor = self._ray.remote(Asker).options(**self._options)
        hired = []
        for _ in range(count):
            path = self._folder / f"{next(self._numbers):04d}.jsonl"
            worker = _Worker(actor.remote(self._settings, self._folder, path.stem), path)
            hired.append((worker.handle.open.remote(), worker))
            self.workers.append(worker)
        there, _ = self._ray.wait([ref for ref, _ in hired], num_returns=count, timeout=START_SECONDS)
        if not there and not any(worker.alive for worker in self.workers):
            raise RunError(f"no actor could start on the Ray cluster within {START_SECONDS:g} s; see the cluster's log")
        for ref, worker in hired:
            if ref not in there:
                continue
            try:
                problem = self._ray.get(ref)
            except self._ray.exceptions.RayError as error:
                raise RunError(f"an actor could not start: {' '.join(str(error).split())[-300:]}") from None
            if problem is not None:
                raise problem
            if worker.path not in self._folder.iterdir():  # a listing, as a bare look may be answered from a cache
                raise RunError(f"{self._folder}: this folder is not on storage that the Ray cluster's nodes share")
            worker.alive = True


def ask_all(
    settings: ModelSettings,
    requests: Iterator[Request],
    ledger: Ledger,
    tally: Tally,
    advance: Callable[[int], None],
) -> Counter[str]:
    """`Engine.ask_all` on a cluster. The ledger is read for what is finished; it does not see the new shards yet."""
    seen: set[bytes] = set()

    def owed() -> Iterator[Request]:
        for request in requests:
            key = request.key(settings.label)
            name = bytes.fromhex(key)
            if key in ledger or name in seen:
                tally.found += 1
                advance(1)
            else:
                seen.add(name)
                yield request

    driver = Driver(settings, ledger)
    try:
        try:
            driver.run(owed(), advance)
        except UnwaverError:
            driver.finish()
            raise
        driver.finish()
    finally:
        driver.dismiss()
        for worker in driver.workers:
            for name, value in vars(worker.tally).items():
                setattr(tally, name, getattr(tally, name) + value)
    return driver.failures


def connect() -> Any:
    """The `ray` module, connected to a running cluster."""
    try:
        import ray
    except ImportError:
        raise RecipeError("engine ray: not installed; try: pip install 'unwaver[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(address=os.environ.get("RAY_ADDRESS") or "auto", log_to_driver=False)
        except ConnectionError:
            raise RecipeError(
                "engine ray: no Ray cluster is running here; start one (ray start --head) or set RAY_ADDRESS"
            ) from None
    return ray


def _shape(ray: Any, settings: ModelSettings) -> tuple[int, dict[str, Any], int]:
    """(actors, what each asks of the cluster, calls under way in each). They wait for a server, so they ask nothing."""
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
    count = min(cores, -(-settings.concurrency // CALLS_PER_ACTOR))
    return count, {"num_cpus": 0}, -(-settings.concurrency // count)
