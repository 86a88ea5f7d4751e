"""Faults that must lose nothing: a misbehaving server, kill -9 and Ctrl-C, through the command line and its real engine."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import faulty_server

N = 300
HOPELESS = 12
KILLS = 10
CONCURRENCY = 32
KEY = "sk-must-stay-where-it-is-7f3a"

RECIPE = """
name = "faults"
max_failed = 0.5
[models]
student = "hf:none/none"
[models.teacher]
name = "openai:m"
base_url = "{url}"
key_env = "UNWAVER_TEST_KEY"
concurrency = 32
timeout = 1.0
retries = 3
[prompts.benign]
source = "file"
path = "prompts.jsonl"
kind = "benign"
[mix]
parts = {{ benign = 1 }}
"""

pytestmark = pytest.mark.real


class Work:
    """A recipe, its runs, and the command line on them."""

    def __init__(self, folder: Path, url: str, log: Path, prompts: list[str]) -> None:
        self.recipe, self.root, self.log = folder / "recipe.toml", folder / "runs", log
        self.said = ""
        self.environment = {**os.environ, "UNWAVER_TEST_KEY": KEY}
        (folder / "prompts.jsonl").write_text("".join(json.dumps({"text": p}) + "\n" for p in prompts))
        self.recipe.write_text(RECIPE.format(url=url))

    def start(self, verb: str, *flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "unwaver.cli", verb, str(self.recipe), "--root", str(self.root), *flags]
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, **pipes, text=True, env=self.environment)

    def finish(self, run: subprocess.Popen[str]) -> tuple[int, str]:
        """(exit code, standard output)."""
        out, errors = run.communicate(timeout=120)
        self.said += out + errors
        return run.returncode, out

    def do(self, verb: str, *flags: str) -> Path:
        """The directory of a stage that must succeed."""
        code, out = self.finish(self.start(verb, *flags))
        assert code == 0, self.said
        return Path(out.strip().splitlines()[-1])

    def answered(self) -> Counter[str]:
        return Counter(self.log.read_text().splitlines())

    def wait_for_answers(self, more: int, run: subprocess.Popen[str]) -> None:
        """Until the server has answered so many more, or the run is over."""
        before, until = self.answered().total(), time.monotonic() + 60
        while self.answered().total() < before + more and run.poll() is None and time.monotonic() < until:
            time.sleep(0.005)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    prompts = [f"prompt number {n}{' hopeless' if n % (N // HOPELESS) == 3 else ''}" for n in range(N)]
    with faulty_server.running(tmp_path, "--faults", "--latency", "0.02") as (url, log):
        yield Work(tmp_path, url, log, prompts)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_prompt_has_one_record_after_faults_and_kills(work: Work) -> None:
    prompts = [row["text"] for row in lines(work.do("prompts") / "prompts.jsonl")]
    kills, killed = random.Random(7), 0
    for _ in range(KILLS):
        run = work.start("distil")
        work.wait_for_answers(kills.randint(1, 12), run)
        run.send_signal(signal.SIGKILL)
        killed += work.finish(run)[0] == -signal.SIGKILL
    assert killed == KILLS, "a run was over before it could be killed"
    directory = work.do("distil")

    traces = lines(directory / "traces.jsonl")
    assert [t["prompt"]["text"] for t in traces] == prompts  # one record each, in order
    for trace in traces:
        text = trace["prompt"]["text"]
        assert ("failure" in trace) == (trace["ending"] == "error") == ("hopeless" in text)
        assert trace.get("answer") == (f"done {text}" if trace["ending"] == "stop" else None)
        assert trace["ending"] != "error" or "oops, you sent authorization: bearer [key]" in trace["failure"].lower()
    endings = Counter(trace["ending"] for trace in traces)
    assert endings["error"] == HOPELESS
    assert endings["length"] > 0

    # A call that was answered and put down is never made again: what the server answered twice can only be calls that
    # were under way when the process was killed.
    answered = work.answered()
    assert sum(count - 1 for count in answered.values()) <= killed * CONCURRENCY
    assert set(answered) == {text for text in prompts if "hopeless" not in text}
    assert work.do("distil") == directory
    assert work.answered() == answered

    counts = json.loads((directory / "manifest.json").read_text())["counts"]
    assert counts["written"] == N
    assert counts["endings"] == endings
    assert sum(counts["failed"].values()) == HOPELESS

    # No failure and no cut reply is given a label, and so none can enter a rate.
    ended = {text: t["ending"] for t, text in zip(traces, prompts, strict=True)}
    verdicts = lines(work.do("judge") / "verdicts.jsonl")
    assert len(verdicts) == N
    unscored = [v for v in verdicts if v["label"] is None]
    assert len(unscored) == sum(ending != "stop" for ending in ended.values())
    assert all(v["reason"] for v in unscored)
    hold_the_key_nowhere(work)


def test_an_interrupt_keeps_what_is_finished(work: Work) -> None:
    work.do("prompts")
    run = work.start("distil")
    work.wait_for_answers(60, run)
    run.send_signal(signal.SIGINT)
    begun = time.monotonic()
    code, _ = work.finish(run)
    assert code == 3
    assert time.monotonic() - begun < 10
    assert "the same command goes on from here" in work.said
    assert "Traceback" not in work.said
    before = work.answered()
    work.do("distil")
    twice = [text for text, count in work.answered().items() if count > 1]
    assert len(twice) <= CONCURRENCY
    assert before.total() - len(twice) >= 60 - CONCURRENCY


def test_a_spent_budget_is_unfinished_business(work: Work) -> None:
    work.do("prompts")
    for _ in range(2):
        code, _ = work.finish(work.start("distil", "--models.teacher.max_tokens_total", "600"))
        assert code == 3
        assert "openai:m: the budget of 600 tokens is used up" in work.said
    assert 50 <= work.answered().total() <= 50 + CONCURRENCY  # twelve tokens a reply
    directory = work.do("distil")
    assert max(work.answered().values()) == 1
    tokens = json.loads((directory / "manifest.json").read_text())["calls"]["openai:m"]
    spent = tokens["tokens_in"] + tokens["tokens_out"]
    empty = spent / 12 - work.answered().total()  # replies of nothing, asked for again, are paid for too
    assert empty in range(1, 30)


def hold_the_key_nowhere(work: Work) -> None:
    """The server has said the key back in every 429 and 500: it is in no file and in no message."""
    assert KEY not in work.said
    files = [path for path in work.root.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
