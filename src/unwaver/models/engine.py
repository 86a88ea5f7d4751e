"""Requests -> replies: concurrency, retries with back-off, a budget, and the ledger that makes every call once.

The engine asks one model. Finished calls come from the ledger; the others are made, at most `concurrency` at once, and
put down the moment they end. Workers pull from one iterator, so a million requests take no more memory than a window.
Each call is a task of its own: whoever waits for it may go away, the call is finished and put down all the same.
When something stops the stage (a spent budget, a refused key) no call is begun or tried again, and those under way are
let finish; only an interrupt or a bug cuts them off.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

from unwaver.errors import RunError, UnwaverError
from unwaver.ledger import Ledger
from unwaver.models import Model, Refused, Transient
from unwaver.progress import say
from unwaver.recipe import ModelSettings
from unwaver.records import Reply, Request

BACKOFF_FIRST = 0.5
BACKOFF_MOST = 60.0
WAIT_MOST = 600.0
"""Seconds of a server's Retry-After that are heeded."""
HOPELESS_AT_FIRST = 20
"""When this many calls failed and none ever ended well, the rest are not tried: something is wrong with all of them."""
HOPELESS_LATER = 100
"""The same for failures in a row later on: the server is gone. Calls that failed in an earlier session don't count."""
CROWD_PATIENCE = 120.0
"""A call that is turned away for the crowd (429) is tried on while anybody was served in the last so many seconds."""
ABSENT_PATIENCE = 2
"""Further tries where nothing listens at the address and nothing ever did in this session: it was not started."""
PASSED_AT_ONCE = 256
"""Finished requests passed over before the event loop gets its turn."""


@dataclass
class Tally:
    """What became of the calls to one model in this session."""

    asked: int = 0
    """Calls made now, failed ones included."""
    found: int = 0
    """Calls that the ledger already held."""
    taken: int = 0
    """Calls that another run of the same stage had made (`stages.siblings`)."""
    failed: int = 0
    why: Counter[str] = field(default_factory=Counter)
    """Of those that failed, how many for which reason."""
    retries: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    """What has to be told of the replies that a stage took up, and of how many."""


class Engine:
    """Asks one model through one ledger; a context manager that sees the calls under way through."""

    def __init__(self, model: Model, settings: ModelSettings, ledger: Ledger, tally: Tally | None = None) -> None:
        self.model = model
        self.settings = settings
        self.ledger = ledger
        self.tally = tally or Tally()
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._under_way: dict[str, asyncio.Task[Reply]] = {}
        self._stopping = asyncio.Event()
        self._why: UnwaverError | None = None
        self._not_before = 0.0
        self._last_served = time.monotonic()
        self._in_a_row = 0
        self._was_there = False

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, UnwaverError):
            for call in self._under_way.values():
                call.cancel()
        await self.finish()

    async def finish(self) -> None:
        """Begin no further call, and wait for those under way."""
        self._stopping.set()
        calls = list(self._under_way.values())
        if any(not call.cancelling() for call in calls):
            say(f"{self.model.label}: stopping; {len(calls)} calls under way are let finish")
        await asyncio.gather(*calls, return_exceptions=True)

    async def ask(self, request: Request) -> Reply:
        """The reply to one request: from the ledger, from the same call under way, or from the model."""
        key = request.key(self.model.label)
        found = self.ledger.get(key) if key in self.ledger else None
        if found is not None:
            self.tally.found += 1
            return found
        call = self._under_way.get(key)
        if call is None:
            call = self._under_way[key] = asyncio.create_task(self._make(key, request))
            call.add_done_callback(partial(self._over, key))
        return await asyncio.shield(call)

    async def ask_all(self, requests: Iterable[Request], advance: Callable[[int], None] | None = None) -> Counter[str]:
        """Ask many, in no order; the calls that failed, by reason. `advance` hears how many more are done."""
        source: Iterator[Request] = iter(requests)
        advance = advance or (lambda n: None)
        failures: Counter[str] = Counter()

        async def work() -> None:
            passed = 0
            for request in source:
                if request.key(self.model.label) in self.ledger:
                    passed += 1
                    if passed == PASSED_AT_ONCE:
                        self.tally.found += passed
                        advance(passed)
                        passed = 0
                        await asyncio.sleep(0)
                    continue
                reply = await self.ask(request)
                if reply.ending == "error":
                    failures[str(reply.failure)] += 1
                advance(1)
            self.tally.found += passed
            advance(passed)

        workers = [asyncio.create_task(work()) for _ in range(self.settings.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return failures

    async def _make(self, key: str, request: Request) -> Reply:
        try:
            async with self._slots:
                self._check()
                reply, spent = await self._try(request)
            known = self.ledger.has_failed(key)
            self.ledger.append(key, reply, spent)
            self.tally.asked += 1
            self._heed(reply, known)
        except UnwaverError as error:
            self._why = self._why or error
            self._stopping.set()
            raise
        return reply

    def _over(self, key: str, call: asyncio.Task[Reply]) -> None:
        del self._under_way[key]
        if not call.cancelled():
            call.exception()  # whoever asked may be gone; the error is theirs, and nobody is to be warned of it

    async def _try(self, request: Request) -> tuple[Reply, tuple[int, int]]:
        """The reply, or the failure when the tries are used up, and the tokens of all tries."""
        lost_in = lost_out = tries = 0
        while True:
            await self._turn()
            started = time.monotonic()
            try:
                reply = await self.model.reply(request)
                self._was_there = True
                reply = reply.model_copy(update={"seconds": round(time.monotonic() - started, 3)})
                break
            except Refused as refused:
                reply = Reply(ending="error", failure=str(refused))
                break
            except Transient as passing:
                tries += 1
                self._was_there |= not passing.absent
                if not self._was_there and tries > min(ABSENT_PATIENCE, self.settings.retries):
                    raise RunError(
                        f"{self.model.label}: {passing}. Start the server, or put its address right, and give the same "
                        "command again"
                    ) from None
                lost_in, lost_out = lost_in + passing.spent[0], lost_out + passing.spent[1]
                moving = time.monotonic() - self._last_served < CROWD_PATIENCE
                if tries > self.settings.retries and not (passing.crowded and moving):
                    reply = Reply(ending="error", failure=f"{passing} (after {tries} tries)")
                    break
                self.tally.retries += 1
                await self._back_off(tries, passing.wait)
        return reply, (lost_in + (reply.tokens_in or 0), lost_out + (reply.tokens_out or 0))

    async def _turn(self) -> None:
        """Wait while the server has asked everybody to."""
        while (wait := self._not_before - time.monotonic()) > 0:
            await self._sleep(wait + random.random() * min(1.0, wait))

    async def _back_off(self, tries: int, wait: float | None) -> None:
        if wait is not None:
            self._not_before = max(self._not_before, time.monotonic() + min(wait, WAIT_MOST))
        await self._sleep(min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(tries - 1, 10)) * (0.5 + random.random()))

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
        self._check()

    def _heed(self, reply: Reply, known: bool) -> None:
        """Stop where there is no sense in going on. `known`: the call had failed in an earlier session."""
        settings = self.settings
        if reply.ending != "error":
            self._last_served = time.monotonic()
            self._in_a_row = 0
            budget = settings.max_tokens_total is not None or settings.max_cost is not None
            if budget and reply.failure is None and reply.tokens_out is None:
                raise RunError(f"{self.model.label}: sends no token counts, so its budget can't be kept; take it out")
            return
        self.tally.failed += 1
        self.tally.why[reply.failure or ""] += 1
        self._in_a_row += not known
        ever = self.ledger.spent(self.model.label).finished
        if self._in_a_row >= (HOPELESS_LATER if ever else HOPELESS_AT_FIRST):
            raise RunError(
                f"{self.model.label}: {self._in_a_row} calls in a row failed, the last with: {reply.failure}. "
                "Put that right and give the same command again"
            )

    def _check(self) -> None:
        """RunError when no further call may be begun."""
        label, most, most_paid = self.model.label, self.settings.max_tokens_total, self.settings.max_cost
        if self._stopping.is_set():
            raise self._why or RunError(f"{label}: stopped; give the same command again to go on")
        if most is None and most_paid is None:
            return
        tokens_in, tokens_out = self.ledger.spent(label).tokens_in, self.ledger.spent(label).tokens_out
        used, paid = tokens_in + tokens_out, cost(self.settings, tokens_in, tokens_out)
        if most is not None and used >= most:
            raise RunError(
                f"{label}: the budget of {most:,} tokens is used up ({used:,}); "
                "raise max_tokens_total and give the same command again"
            )
        if most_paid is not None and paid is not None and paid >= most_paid:
            raise RunError(
                f"{label}: the budget of {most_paid:g} is spent ({paid:.4g}); "
                "raise max_cost and give the same command again"
            )


def cost(settings: ModelSettings, tokens_in: int, tokens_out: int) -> float | None:
    """What tokens cost by the recipe's prices, in their currency; None without both prices."""
    if settings.price_in is None or settings.price_out is None:
        return None
    return (tokens_in * settings.price_in + tokens_out * settings.price_out) / 1e6


def summary(settings: ModelSettings, tally: Tally, ledger: Ledger) -> dict[str, Any]:
    """The calls to one model for a manifest: this session's tally, and the tokens and cost of all sessions."""
    spent = ledger.spent(settings.label)
    tokens = {"tokens_in": spent.tokens_in, "tokens_out": spent.tokens_out}
    made = {name: value for name, value in vars(tally).items() if value or name not in ("notes", "taken")}
    del made["why"]  # each trace says why
    return {**made, **tokens, "cost": cost(settings, spent.tokens_in, spent.tokens_out)}
