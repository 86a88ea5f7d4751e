"""Resume at size: 1,000,000 finished calls found again in under 20 s and under 1 GB.

A ledger of that many replies (1,000 characters each, a gigabyte and a half on disk) is written first. Then a process of
its own opens it and goes through all the requests, made one by one, as a stage does that is given the same command
again; its peak memory is the operating system's figure. Another reads every reply back, and a third makes a fifth as
many calls to a model that answers at once, to see that nothing grows but the index; nothing is claimed for these.

    python benchmarks/ledger.py [--calls 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from simulated_server import where

from unwaver.ledger import Ledger
from unwaver.models.engine import Engine
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Reply, Request, Sampling
from unwaver.stages.calls import Calls, Workplace
from unwaver.store import RunDir, Step

LIMIT_S, LIMIT_GB = 20.0, 1.0
SETTINGS = ModelSettings(name="replay:corpus", alias="m")
SAMPLING = Sampling(temperature=0.6, top_p=0.95, max_tokens=8192, seed=42)
REPLY = Reply(
    text="<think>\n" + "So it goes on. " * 65 + "\n</think>\n\nDone.", ending="stop", tokens_in=20, tokens_out=300
)


def requests(calls: int) -> Iterator[Request]:
    """As a stage makes them."""
    for number in range(calls):
        text = f"Question number {number}: " + "which side is it looked at from? " * 8
        yield Request(messages=(Message(role="user", content=text),), sampling=SAMPLING)


def write(root: Path, calls: int) -> None:
    step = Step("distil", "all", {})
    with RunDir.open(step, root) as run, Ledger(run.path / "replies") as ledger:
        for request in requests(calls):
            ledger.append(request.key("m"), REPLY)


def resume(root: Path, calls: int) -> None:
    """What a stage does that is given again."""
    begun = time.perf_counter()
    with RunDir.open(Step("distil", "all", {}), root) as run:
        made = Calls(run, Workplace(root), max_failed=0.0)
        opened = time.perf_counter() - begun
        made.ask(SETTINGS, lambda: requests(calls), calls, "distil all")
        counts = made.summary()["calls"]["m"]
        made.close()
    assert (counts["found"], counts["asked"]) == (calls, 0)
    assert counts["tokens_out"] == 300 * calls
    print(json.dumps({"seconds": time.perf_counter() - begun, "opened": opened}))


def read_back(root: Path, calls: int) -> None:
    begun = time.perf_counter()
    with Ledger(next(root.glob("distil-*")) / "replies") as ledger:
        for request in requests(calls):
            reply = ledger.get(request.key("m"))
            assert reply is not None
            assert reply.tokens_out == 300
    print(json.dumps({"seconds": time.perf_counter() - begun}))


class AtOnce:
    """A model that takes no time."""

    label = "m"

    async def reply(self, request: Request) -> Reply:
        return REPLY

    async def close(self) -> None:
        """Nothing to close."""


def make(root: Path, calls: int) -> None:
    begun = time.perf_counter()

    async def inside() -> None:
        with Ledger(root / "made") as ledger:
            async with Engine(AtOnce(), SETTINGS, ledger) as engine:
                await engine.ask_all(requests(calls))

    asyncio.run(inside())
    print(json.dumps({"seconds": time.perf_counter() - begun}))


MEASURED = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import ledger
ledger.{what}(Path({root!r}), {calls})
print(json.dumps({{"gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}}))
"""


def measured(what: str, root: Path, calls: int) -> dict[str, float]:
    """What a child process said, and its peak memory in GiB."""
    script = MEASURED.format(folder=str(Path(__file__).parent), what=what, root=str(root), calls=calls)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {key: value for line in done.stdout.splitlines() for key, value in json.loads(line).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        begun = time.perf_counter()
        write(root, calls)
        written = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in root.rglob("*.jsonl")) / 2**30
        again = measured("resume", root, calls)
        back = measured("read_back", root, calls)
        made = measured("make", root, calls // 5)
    print(
        f"{where()} | {calls:,} finished calls, {size:.1f} GiB, appended in {written:.0f} s"
        f" | resume {again['seconds']:.1f} s (ledger opened in {again['opened']:.1f} s), peak {again['gb']:.2f} GiB"
        f" | all read back in {back['seconds']:.1f} s, peak {back['gb']:.2f} GiB"
        f" | {calls // 5:,} calls to a model that takes no time in {made['seconds']:.1f} s, peak {made['gb']:.2f} GiB"
    )
    assert again["seconds"] < LIMIT_S
    assert again["gb"] < LIMIT_GB


if __name__ == "__main__":
    main()
