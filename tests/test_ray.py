"""The engine on a Ray cluster against the local one: the same records, one budget, and nothing lost with an actor."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import faulty_server

from unwaver.errors import RecipeError, RunError
from unwaver.ledger import scan
from unwaver.reasoning import trace
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Prompt, Request, Trace
from unwaver.stages.calls import Calls, Place
from unwaver.store import RunDir, Step

pytestmark = pytest.mark.real
ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
import psutil  # noqa: E402

N = 200


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A local cluster that believes to have four cores."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def prompts(n: int = N) -> list[tuple[Prompt, Request]]:
    texts = [f"prompt number {number}" for number in range(n)]
    return [(Prompt(text=t, kind="benign"), Request(messages=(Message(role="user", content=t),))) for t in texts]


def ask(root: Path, engine: Literal["local", "ray"], settings: ModelSettings, n: int = N) -> tuple[list[Trace], Any]:
    """(traces, summary) of asking for everything that is owed under `root`."""
    place = Place(root, engine=engine)
    with RunDir.open(Step("distil", "part", {}), root) as run:
        calls = Calls(run, place, max_failed=0.5)
        try:
            pairs = prompts(n)
            calls.ask(settings, lambda: (request for _, request in pairs), len(pairs), "distil part")
            return [trace(p, r, calls.reply(settings, r), settings.label) for p, r in pairs], calls.summary()
        finally:
            calls.close()


def shards(root: Path) -> list[Path]:
    return sorted(root.glob("distil-*/replies/*.jsonl"))


def test_actors_give_the_same_records_as_the_local_engine(tmp_path: Path, cluster: None) -> None:
    kept: dict[str, tuple[list[Trace], Any]] = {}
    engines: tuple[Literal["local", "ray"], ...] = ("local", "ray")
    for engine in engines:
        # A server of its own for each: which fault a try meets depends on how often the prompt was asked.
        with faulty_server.running(tmp_path, "--faults", "--latency", "0.01") as (url, log):
            settings = ModelSettings(name="openai:m", alias="m", base_url=url, concurrency=96, timeout=3.0, retries=9)
            kept[engine] = ask(tmp_path / engine, engine, settings)
            assert max(Counter(log.read_text().splitlines()).values()) == 1
            log.unlink()
    (here, counted_here), (there, counted_there) = kept["local"], kept["ray"]
    assert there == here
    assert {t.ending for t in there} == {"stop", "length"}
    assert len([path for path in shards(tmp_path / "ray") if path.stat().st_size]) == 3  # 96 calls: three actors of 32
    of, local = counted_there["calls"]["m"], counted_here["calls"]["m"]
    assert {field: of[field] for field in of if field != "retries"} == {f: local[f] for f in local if f != "retries"}
    again, counted = ask(tmp_path / "ray", "ray", settings)  # the server is gone, and nobody needs it
    assert again == there
    assert (counted["calls"]["m"]["asked"], counted["calls"]["m"]["found"]) == (0, N)


def test_a_lost_actor_loses_nothing(tmp_path: Path, cluster: None) -> None:
    with faulty_server.running(tmp_path, "--latency", "0.1") as (url, log):
        settings = ModelSettings(name="openai:m", base_url=url, concurrency=64, timeout=5.0)
        killed: list[int] = []

        def kill_one() -> None:
            until = time.monotonic() + 60
            while time.monotonic() < until and len(log.read_text().splitlines()) < 40:
                time.sleep(0.01)
            actors = [p for p in psutil.Process().children(recursive=True) if "ray::Asker" in " ".join(p.cmdline())]
            if actors:
                killed.append(actors[0].pid)
                os.kill(actors[0].pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        traces, counted = ask(tmp_path / "ray", "ray", settings)
        killer.join()
        assert killed, "there was no actor to kill"
        assert [t.answer for t in traces] == [f"done {p.text}" for p, _ in prompts()]
        finished = Counter(line.name for path in shards(tmp_path / "ray") for line in scan(path))
        assert len(finished) == N
        assert max(finished.values()) == 1
        # Only what was under way in the lost actor was asked twice.
        assert sum(Counter(log.read_text().splitlines()).values()) <= N + 32
        assert counted["calls"]["openai:m"]["asked"] == N


def test_one_budget_for_all_actors(tmp_path: Path, cluster: None) -> None:
    with faulty_server.running(tmp_path, "--latency", "0.02") as (url, log):
        limited = ModelSettings(name="openai:m", base_url=url, concurrency=64, max_tokens_total=600)
        for _ in range(2):
            with pytest.raises(RunError, match="budget of 600 tokens"):
                ask(tmp_path / "ray", "ray", limited)
            # 12 tokens a call: the budget is 50 calls, and what is under way is let finish.
            made = len(log.read_text().splitlines())
            assert 50 <= made <= 50 + 2 * 64
            finished = sum(line.ok for path in shards(tmp_path / "ray") for line in scan(path))
            assert finished == made
        traces, _ = ask(tmp_path / "ray", "ray", limited.model_copy(update={"max_tokens_total": None}))
        assert all(t.ending == "stop" for t in traces)
        assert len(log.read_text().splitlines()) == N


def test_an_actor_reads_the_key_from_its_own_environment(tmp_path: Path, cluster: None) -> None:
    settings = ModelSettings(name="openai:m", base_url="http://127.0.0.1:9/v1", key_env="UNWAVER_NO_SUCH_KEY")
    os.environ["UNWAVER_NO_SUCH_KEY"] = "only-here-123"  # after the cluster has started: its actors don't see it
    try:
        with pytest.raises(RecipeError, match="UNWAVER_NO_SUCH_KEY holds no key"):
            ask(tmp_path / "ray", "ray", settings, 3)
    finally:
        del os.environ["UNWAVER_NO_SUCH_KEY"]
