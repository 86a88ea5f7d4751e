"""Requests -> replies: concurrency, retries with back-off, a budget, and the ledger that makes every call once.

The engine asks one model. Finished calls come from the ledger; the others are made, at most `concurrency` at once, and
put down the moment they end. Workers pull from one iterator, so a million requests take no more memory than a window.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from unwaver.errors import RunError
from unwaver.ledger import Ledger
from unwaver.models import Model, Refused, Transient
from unwaver.recipe import ModelSettings
from unwaver.records import Reply, Request

BACKOFF_FIRST = 0.5
BACKOFF_MOST = 60.0
EARLY_FAILURES = 20
"""After this many calls, if nearly all failed, the rest are not tried: something is wrong with all of them."""


@dataclass
class Tally:
    """What the calls of one stage came to, in this and earlier sessions of it."""

    asked: int = 0
    """Calls made now."""
    found: int = 0
    """Calls that the ledger already held."""
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    retries: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return dict(vars(self))


class Engine:
    """Asks one model through one ledger."""

    def __init__(self, model: Model, settings: ModelSettings, ledger: Ledger) -> None:
        self.model = model
        self.settings = settings
        self.ledger = ledger
        self.tally = Tally()
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._under_way: dict[str, asyncio.Future[Reply]] = {}

    def key(self, request: Request) -> str:
        """The call's name in the ledger."""
        return request.key(self.model.label)

    async def ask(self, request: Request) -> Reply:
        """The reply to one request: from the ledger, from the same call under way, or from the model.

        RunError when a budget is spent, or nearly all of the first calls fail.
        """
        found = self.known(request)
        if found is not None:
            return found
        key = self.key(request)
        if key in self._under_way:
            return await asyncio.shield(self._under_way[key])
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._under_way[key] = future
        try:
            async with self._slots:
                self._stop_when_spent()
                reply = await self._call(request)
            self.ledger.append(key, reply)
            self.tally.asked += 1
            future.set_result(self._count(reply))
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # somebody else may be waiting for it, or nobody: both are fine
            raise
        finally:
            del self._under_way[key]
        self._stop_when_hopeless(reply)
        return reply

    def known(self, request: Request) -> Reply | None:
        """The reply the ledger holds; None where the call is owed, as one that failed is."""
        key = self.key(request)
        if key not in self.ledger:
            return None
        self.tally.found += 1
        return self._count(self.ledger.get(key))

    async def ask_all(self, requests: Iterable[Request], done: Callable[[Request, Reply], None] | None = None) -> None:
        """Ask many. `done` is called for each as it ends, in no order."""
        source: Iterator[Request] = iter(requests)

        async def work() -> None:
            for request in source:
                reply = await self.ask(request)
                if done is not None:
                    done(request, reply)

        tasks = [asyncio.create_task(work()) for _ in range(self.settings.concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def cost(self) -> float | None:
        """What the tokens cost by the recipe's prices, retries left out; None without prices."""
        if self.settings.price_in is None and self.settings.price_out is None:
            return None
        paid = self.tally.tokens_in * (self.settings.price_in or 0) + self.tally.tokens_out * (
            self.settings.price_out or 0
        )
        return paid / 1e6

    async def _call(self, request: Request) -> Reply:
        started = time.perf_counter()
        reason = ""
        for attempt in range(self.settings.retries + 1):
            try:
                reply = await self.model.reply(request)
                return reply.model_copy(update={"seconds": round(time.perf_counter() - started, 3)})
            except Refused as refused:
                return Reply(ending="error", failure=str(refused))
            except Transient as transient:
                reason = str(transient)
                if attempt < self.settings.retries:
                    self.tally.retries += 1
                    pause = min(BACKOFF_MOST, BACKOFF_FIRST * 2**attempt) * (0.5 + random.random())
                    await asyncio.sleep(max(pause, min(transient.wait or 0.0, BACKOFF_MOST)))
        return Reply(ending="error", failure=f"{reason} (after {self.settings.retries + 1} tries)")

    def _count(self, reply: Reply | None) -> Reply:
        assert reply is not None
        self.tally.failed += reply.failure is not None
        self.tally.tokens_in += reply.tokens_in or 0
        self.tally.tokens_out += reply.tokens_out or 0
        return reply

    def _stop_when_hopeless(self, reply: Reply) -> None:
        if self.tally.asked == EARLY_FAILURES and self.tally.failed >= EARLY_FAILURES - 1:
            raise RunError(
                f"{self.model.label}: {self.tally.failed} of the first {self.tally.asked} calls failed, "
                f"the last with: {reply.failure}. Put that right and give the same command again"
            )

    def _stop_when_spent(self) -> None:
        used = self.tally.tokens_in + self.tally.tokens_out
        if self.settings.max_tokens_total is not None and used >= self.settings.max_tokens_total:
            raise RunError(
                f"{self.model.label}: the budget of {self.settings.max_tokens_total:,} tokens is used up ({used:,}); "
                "raise max_tokens_total and give the same command again"
            )
        if self.settings.max_cost is not None and self.cost is not None and self.cost >= self.settings.max_cost:
            raise RunError(
                f"{self.model.label}: the budget of {self.settings.max_cost} is spent ({self.cost:.2f}); "
                "raise max_cost and give the same command again"
            )
