"""How a stage asks models: requests in, replies from the ledger out, failures counted, too many of them a RunError."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from unwaver.errors import RecipeError, RunError
from unwaver.ledger import Ledger
from unwaver.models import Model, open_model
from unwaver.models.engine import Engine, Tally, summary
from unwaver.models.weights import prove_weights
from unwaver.progress import Bar, bar, say
from unwaver.reasoning import headless, trace
from unwaver.reasoning.splitting import ELEMENT
from unwaver.recipe import ModelSettings, Recipe
from unwaver.records import Prompt, Reply, Request, Trace, digest
from unwaver.stages import loops
from unwaver.stages.siblings import Siblings
from unwaver.store import RunDir, Step, disk_errors

T = TypeVar("T")

REMOTE = ("openai", "replay")
"""The doors of models that hold no weights in this process."""


@dataclass
class Workplace:
    """Where a command works: the run's root, who makes its calls, and the local models it keeps from stage to stage."""

    root: Path
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
        loops.run(self.make_room(()))


def _weights(settings: ModelSettings) -> str:
    """What two roles must share to be asked through one loaded model."""
    return digest([settings.identity(), settings.label, settings.batch_size])


class Calls:
    """The calls of one stage: one ledger, any number of models."""

    def __init__(self, run: RunDir, place: Workplace, max_failed: float) -> None:
        self._run, self._place, self._max_failed = run, place, max_failed
        self._ledger = Ledger(run.path / "replies")
        self._siblings = Siblings(run)
        self._tallies: dict[str, tuple[ModelSettings, Tally]] = {}
        self._noted: set[int] = set()

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def ask(self, settings: ModelSettings, requests: Callable[[], Iterable[Request]], total: int, what: str) -> None:
        """Make every call that is owed. RunError when more than the recipe's share of them failed."""
        with bar(what, total) as progress:
            owed = self._from_first_owed(settings, iter(requests()), progress)
            if owed is None:
                return
            failures = self.drive({"": settings}, lambda engines: engines[""].ask_all(owed, progress.advance))
        self._refuse_failures(settings, failures, total, what)

    def _refuse_failures(self, settings: ModelSettings, failures: Counter[str], total: int, what: str) -> None:
        failed = sum(failures.values())
        if failed > self._max_failed * total:
            raise RunError(told_of_failures(what, failures, total, settings.label, settings))

    def _from_first_owed(
        self, settings: ModelSettings, requests: Iterator[Request], progress: Bar
    ) -> Iterator[Request] | None:
        """The requests from the first that is owed; None when none is, and then no model need be opened."""
        found = 0
        first = None
        for request in requests:
            if not self._is_there(settings, request):
                first = request
                break
            found += 1
        self._tally(settings).found += found
        progress.advance(found)
        return None if first is None else chain([first], self._taking(settings, requests))

    def _taking(self, settings: ModelSettings, requests: Iterator[Request]) -> Iterator[Request]:
        """The same requests; what another run has the reply to is in this one's ledger when it goes by."""
        for request in requests:
            self._is_there(settings, request)
            yield request

    def _is_there(self, settings: ModelSettings, request: Request) -> bool:
        """Whether the ledger holds a finished call; one that another run of this stage has made is put down in it."""
        key = request.key(settings.label)
        if key in self._ledger:
            return True
        if settings.door == "replay" or (reply := self._siblings.get(key)) is None:
            return False
        self._ledger.append(key, reply, (0, 0))  # its tokens were spent there
        self._tally(settings).taken += 1
        return True

    def drive(self, roles: dict[str, ModelSettings], work: Callable[[dict[str, Engine]], Awaitable[T]]) -> T:
        """Run asynchronous work with an engine per role, all on this stage's ledger; equal models share an engine."""

        async def inside() -> T:
            if any(settings.door not in REMOTE for settings in roles.values()):
                await self._place.make_room(roles.values())
            async with AsyncExitStack() as stack:
                engines: dict[str, Engine] = {}
                for role, settings in roles.items():
                    same = (engine for engine in engines.values() if engine.settings == settings)
                    engines[role] = next(same, None) or await self._open(settings, stack)
                return await work(engines)

        with disk_errors(self._run.path):
            return loops.run(inside())

    async def _open(self, settings: ModelSettings, stack: AsyncExitStack) -> Engine:
        model = self._place.model(settings)
        if settings.door in REMOTE:
            stack.push_async_callback(model.close)
        return await stack.enter_async_context(Engine(model, settings, self._ledger, self._tally(settings)))

    def reply(self, settings: ModelSettings, request: Request) -> Reply:
        """What the ledger holds for a request; a call never made is a failure that says so."""
        found = self._ledger.get(request.key(settings.label))
        return found if found is not None else Reply(ending="error", failure="this call was never made")

    def note(self, settings: ModelSettings, request: Request, reply: Reply) -> None:
        """Count what has to be told of a reply, once however often it is taken up: for the manifest and `tell`."""
        name = hash(request.key(settings.label))
        if reply.notes and name not in self._noted:
            self._noted.add(name)
            self._tally(settings).notes.update(reply.notes)

    def tell(self) -> None:
        """Say what was noted, and of how many replies."""
        for label, (_, tally) in self._tallies.items():
            if tally.taken:
                say(f"{label}: {tally.taken} {'reply' if tally.taken == 1 else 'replies'} taken from other runs")
            for note, count in tally.notes.most_common():
                say(f"{label}: {count} {'reply' if count == 1 else 'replies'}: {note}")

    def heard(self, settings: ModelSettings, request: Request) -> Reply | None:
        """The reply to a call; None where it is owed in this session."""
        key = request.key(settings.label)
        if self._ledger.owes(key):
            self._is_there(settings, request)
        return None if self._ledger.owes(key) else self._ledger.get(key)

    def found(self, settings: ModelSettings) -> None:
        """Count one call that the ledger already held."""
        self._tally(settings).found += 1

    @staticmethod
    def weights(settings: ModelSettings) -> str:
        """What two roles must share to be asked through one loaded model."""
        return _weights(settings)

    def summary(self) -> dict[str, Any]:
        """Calls, tokens and cost by model, for the manifest; `cost` is None when no model has prices."""
        calls = {label: summary(settings, tally, self._ledger) for label, (settings, tally) in self._tallies.items()}
        costs = [made.pop("cost") for made in calls.values()]
        known = [cost for cost in costs if cost is not None]
        return {"calls": calls, "cost": round(sum(known), 4) if known else None}

    def _tally(self, settings: ModelSettings) -> Tally:
        return self._tallies.setdefault(settings.label, (settings, Tally()))[1]


LEARNED_FROM = 200
"""Replies that are looked at to learn whether a model always reasons before it answers."""


class TraceMaker:
    """Makes traces of a model's replies, and counts what was odd about where their reasoning is.

    `always`: this model always reasons first, so that a reply cut before any mark is a thought and no answer. One that
    has made the first traces knows whether that is so (`learned`).
    """

    def __init__(self, settings: ModelSettings, always: bool = False) -> None:
        self._settings, self._always = settings, always
        self._headless = self._bare = 0
        self._whole = self._reasoned = 0
        self.notes: Counter[str] = Counter()
        """How often each note was made."""

    def learned(self) -> TraceMaker:
        """Another one, which knows what this one has seen: of a server's model, whether nearly all of its whole
        replies, and at least five, had reasoning in them.
        """
        asked = self._settings.door in REMOTE and not self._settings.opens_block
        return TraceMaker(self._settings, asked and self._reasoned >= max(5.0, 0.95 * self._whole))

    def make(self, prompt: Prompt, request: Request, reply: Reply) -> Trace:
        """The trace in one reply."""
        made = trace(prompt, request, reply, self._settings.label, self._settings.tags, always=self._always)
        if request.json_schema is not None and (made.note or "").startswith(ELEMENT):
            made = made.model_copy(update={"note": None})  # a field of such a name was asked for
        if made.note is not None:
            self.notes[made.note] += 1
        self._whole += made.ending == "stop"
        self._reasoned += made.ending == "stop" and bool(made.reasoning) and bool(made.answer)
        self._headless += headless(reply, self._settings.tags)
        self._bare += made.truncated and made.block == "none"
        return made

    def tell(self) -> None:
        """Say so where replies were odd, and where replies cut inside their reasoning look like answers."""
        for note, count in self.notes.most_common():
            say(f"{self._settings.label}: {count} {'reply' if count == 1 else 'replies'}: {note}")
        if any(note.startswith(FOREIGN) for note in self.notes):
            say(
                "such replies are unscored for all that depends on where the reasoning is; three lines in the recipe "
                "add a family of marks (docs/families.md)"
            )
        if self._headless and self._bare:
            say(
                f"{self._settings.label}: {self._headless} replies close a reasoning block they never opened, and "
                f"{self._bare} were cut without any tag: those may be thoughts, and count as answers. Where the "
                "template opens the block, give this model `opens_block = true`"
            )


FOREIGN = "marks "
"""How the notes of replies begin whose marks could not be read."""


def noted(notes: Counter[str]) -> dict[str, dict[str, int]]:
    """What a manifest says of odd replies; nothing where there were none."""
    return {"notes": dict(notes.most_common())} if notes else {}


def told_of_failures(what: str, failures: Counter[str], total: int, who: str, settings: ModelSettings) -> str:
    """What is said where too many calls to a model failed: how many, why, and what to do."""
    often = failures.most_common(1)[0][0]
    todo = "Give the same command again to make only those and what follows from them"
    if settings.door == "replay":
        todo = (
            "What was recorded holds no reply to these prompts, however often it is asked: record them "
            "(`replay:FILE`, docs/models.md), or name a model that answers them in [models]"
        )
    return f"{what}: {failures.total()} of {total} calls to {who} failed, most often: {often}. {todo}"


@dataclass(frozen=True)
class Asking:
    """What one stage's directory wants of a model."""

    calls: Calls
    requests: Sequence[Request]
    what: str


def ask_together(settings: ModelSettings, askings: Sequence[Asking], place: Workplace, what: str) -> None:
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
                loops.run(inside())
    for asking in askings:
        # Each directory's own `ask` finds these replies in its ledger; they were made now, and are to count once.
        tally = asking.calls._tally(settings)
        tally.found = tally.failed - tally.asked
    for asking, failures in zip(wanting, found, strict=True):
        asking.calls._refuse_failures(settings, failures, len(asking.requests), asking.what)


def student_of(step: Step, recipe: Recipe, place: Workplace) -> ModelSettings:
    """The raw student, or the one the step's training left."""
    student = recipe.models["student"]
    train = step.inputs.get("train")
    if train is None:
        return student
    folder = train.directory(place.root) / "model"
    if not folder.is_dir():
        raise RunError(
            f"{folder}: the trained student isn't there; delete {train.directory(place.root)} and train again"
        )
    prove_weights(train.directory(place.root))
    door = student.door if student.door in ("hf", "vllm") else "hf"
    update = {
        "name": f"{door}:{folder.resolve()}",
        "alias": f"{student.unsteered.label}+{train.digest[:8]}",
        "revision": None,
    }
    return student.model_copy(update=update)
