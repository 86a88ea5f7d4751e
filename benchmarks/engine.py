"""How much the engine costs: against the ideal schedule, and against a bare loop of the client it uses.

Claims. (a) With log-normal latencies (median 2 s) and 128 calls at once, 2,000 requests take at most 1.10 of what list
scheduling of the same latencies on 128 slots takes. (b) At saturation (every reply after 50 ms) the engine, ledger and
all, makes at least 0.9 of the calls a second of a bare `AsyncOpenAI` loop that keeps nothing; the two take turns, and
the median of the ratios counts, so that a busy machine bears on both.

    python benchmarks/engine.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import openai
from simulated_server import latency, serving, where

from unwaver.ledger import Ledger
from unwaver.models.endpoint import Endpoint
from unwaver.models.engine import Engine
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Request, Sampling

AT_ONCE = 128
SPREAD = 0.6
"""Of the logarithm of the latencies: nine in ten lie between 0.75 and 5.4 s."""


def prompts(n: int, start: int = 0) -> list[str]:
    return [f"Question number {number}: which side is it looked at from?" for number in range(start, start + n)]


def request(prompt: str) -> Request:
    return Request(messages=(Message(role="user", content=prompt),), sampling=Sampling(temperature=0.6, top_p=0.95))


def ideal(latencies: Sequence[float], slots: int) -> float:
    """The time list scheduling takes: each call in turn goes to the slot that is free first."""
    free = [0.0] * slots
    for seconds in latencies:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)


async def by_engine(url: str, asked: Sequence[str], folder: Path) -> float:
    """Seconds through endpoint, engine and ledger."""
    settings = ModelSettings(name="openai:m", base_url=url, concurrency=AT_ONCE)
    model = Endpoint(settings)
    begun = time.perf_counter()
    with Ledger(folder) as ledger:
        async with Engine(model, settings, ledger) as engine:
            failures = await engine.ask_all(request(prompt) for prompt in asked)
        seconds = time.perf_counter() - begun
        assert not failures
        assert len(ledger) == len(asked)
    await model.close()
    return seconds


async def by_bare_client(url: str, asked: Sequence[str]) -> float:
    """Seconds of the plain client, 128 workers, the replies thrown away."""
    client = openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0)
    source = iter(asked)

    async def work() -> None:
        for prompt in source:
            reply = await client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": prompt}],
                max_tokens=4096,
                temperature=0.6,
                top_p=0.95,
            )
            assert reply.choices[0].message.content

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    seconds = time.perf_counter() - begun
    await client.close()
    return seconds


def against_the_ideal() -> float:
    asked = prompts(2000)
    best = ideal([latency(prompt, 2.0, SPREAD) for prompt in asked], AT_ONCE)
    with serving(2.0, SPREAD) as url, tempfile.TemporaryDirectory() as folder:
        seconds = asyncio.run(by_engine(url, asked, Path(folder)))
    print(
        f"{where()} | 2,000 calls, 128 at once, median 2 s | {seconds:.1f} s, ideal {best:.1f} s: {seconds / best:.3f}"
    )
    return seconds / best


def against_the_bare_client(rounds: int, calls: int = 2000) -> float:
    ratios, rates = [], []
    with serving(0.05) as url:
        asyncio.run(by_bare_client(url, prompts(200)))  # both meet a server that is awake
        for round_ in range(rounds):
            asked = prompts(calls, start=1000 * calls * (round_ + 1))
            with tempfile.TemporaryDirectory() as folder:
                if round_ % 2:
                    bare = asyncio.run(by_bare_client(url, asked))
                    ours = asyncio.run(by_engine(url, asked, Path(folder)))
                else:
                    ours = asyncio.run(by_engine(url, asked, Path(folder)))
                    bare = asyncio.run(by_bare_client(url, asked))
            ratios.append(bare / ours)
            rates.append((calls / ours, calls / bare))
    ratios.sort()
    ratio = ratios[len(ratios) // 2]
    ours, bare = (sorted(rate)[rounds // 2] for rate in zip(*rates, strict=True))
    print(
        f"{where()} | {rounds} x {calls} calls, 128 at once, 50 ms | median: engine {ours:.0f}/s, bare client "
        f"{bare:.0f}/s | ratio of each pair: median {ratio:.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}"
    )
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    assert against_the_ideal() <= 1.10
    assert against_the_bare_client(rounds) >= 0.9


if __name__ == "__main__":
    main()
