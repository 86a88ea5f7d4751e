"""Faults that must lose nothing: a misbehaving server, kill -9 and Ctrl-C, through the command line and its real engine."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from waiting import HANG, until

sys.path.insert(0, str(Path(__file__).parent))
import faulty_server

from unwaver.records import Trace, Verdict
from unwaver.study.results import measure
from unwaver.study.rows import Row, readings

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
timeout = 20.0
retries = 3
[models.reader]
name = "openai:reader"
base_url = "{url}"
key_env = "UNWAVER_TEST_KEY"
concurrency = 32
timeout = 20.0
retries = 8
[prompts.benign]
source = "file"
path = "prompts.jsonl"
kind = "benign"
[mix]
parts = {{ benign = 1 }}
"""

NAME = re.compile(r"(?:judged )?prompt number \d+(?: hopeless)?(?: again)?")

pytestmark = pytest.mark.real


class Work:
    """A recipe, its runs, and the command line on them."""

    def __init__(self, folder: Path, url: str, log: Path, prompts: list[str]) -> None:
        self.recipe, self.root, self.log, self.url = folder / "recipe.toml", folder / "runs", log, url
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
        out, errors = run.communicate(timeout=HANG)
        self.said += out + errors
        return run.returncode, out

    def do(self, verb: str, *flags: str) -> Path:
        """The directory of a stage that must succeed."""
        code, out = self.finish(self.start(verb, *flags))
        assert code == 0, self.said
        return Path(out.strip().splitlines()[-1])

    def answered(self) -> Counter[str]:
        return Counter(self.log.read_text().splitlines())

    def settled(self) -> Counter[str]:
        """What was answered, once the server has seen off the calls of a killed process."""
        asked = {"messages": [{"role": "user", "content": faulty_server.IDLE}]}
        httpx2.post(f"{self.url}/chat/completions", json=asked, timeout=HANG)
        return self.answered()

    def finished(self, stage: str) -> set[str]:
        """The names of the calls that a stage's ledger holds as finished, each of which stands there once."""
        names = [
            found[0]
            for path in self.root.glob(f"{stage}-*/replies/*.jsonl")
            for line in path.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n") and (row := json.loads(line))["ok"]
            if (found := NAME.search(row["reply"]["text"]))
        ]
        assert len(names) == len(set(names))
        return set(names)

    def kill(self, verb: str, kills: int, most: int, *flags: str) -> dict[str, int]:
        """Start and kill -9 at random moments; how often each call had been answered when it was first found finished.

        That may be twice, where it was under way when a process died, and from then on must never be more.
        """
        done: dict[str, int] = {}
        moments, killed = random.Random(7), 0
        for number in range(kills):
            run = self.start(verb, *flags)
            # In turn as soon as so many are answered, which may all be still unread, and as soon as so many are put down.
            self.wait_for(moments.randint(1, most), run, self.put_down if number % 2 else self.n_answered)
            run.send_signal(signal.SIGKILL)
            killed += self.finish(run)[0] == -signal.SIGKILL
            answered = self.settled()
            assert {name: answered[name] for name in done} == done
            for name in self.finished(verb):
                done.setdefault(name, answered[name])
        assert killed == kills, "a run was over before it could be killed"
        assert done, "no call was put down before a kill"
        return done

    def n_answered(self) -> int:
        """What the server has answered."""
        return self.answered().total()

    def put_down(self) -> int:
        """Lines of the ledgers."""
        return sum(path.read_bytes().count(b"\n") for path in self.root.glob("*/replies/*.jsonl"))

    def wait_for(self, more: int, run: subprocess.Popen[str], count: Callable[[], int]) -> None:
        """Until there are so many more, or the run is over."""
        wanted = count() + more
        until(lambda: count() >= wanted or run.poll() is not None, "nothing is answered")


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    prompts = [f"prompt number {n}{' hopeless' if n % (N // HOPELESS) == 3 else ''}" for n in range(N)]
    with faulty_server.running(tmp_path, "--faults", "--latency", "0.02") as (url, log):
        yield Work(tmp_path, url, log, prompts)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_prompt_has_one_record_after_faults_and_kills(work: Work) -> None:
    prompts = [row["text"] for row in lines(work.do("prompts") / "prompts.jsonl")]
    done = work.kill("distil", KILLS, 12)
    before = work.answered()
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

    # A call that was answered and put down is never made again; in the run that was let finish, all others were made once.
    answered = work.answered()
    assert {name: answered[name] for name in done} == done
    owed = {text for text in prompts if "hopeless" not in text} - set(done)
    assert answered - before == Counter(owed)
    assert len(owed) > N // 10
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
    unscored = [v for v in verdicts if v["labels"] is None]
    assert len(unscored) == sum(ending != "stop" for ending in ended.values())
    assert all(v["reason"] for v in unscored)
    hold_the_key_nowhere(work)


def test_a_judge_with_a_schema_loses_nothing_under_the_same_faults(work: Work) -> None:
    flags = ("--prompts.benign.limit", "100", "--judge.refusal", "reader")
    work.do("prompts", *flags)
    traces = [Trace.model_validate(row) for row in lines(work.do("distil", *flags) / "traces.jsonl")]
    done = work.kill("judge", 3, 12, *flags)
    before = work.answered()
    directory = work.do("judge", *flags)
    answered = work.answered()
    assert {name: answered[name] for name in done} == done
    assert set((answered - before).values()) == {1}
    assert any(name.endswith("again") for name in answered)

    verdicts = [Verdict.model_validate(row) for row in lines(directory / "verdicts.jsonl")]
    assert [verdict.trace for verdict in verdicts] == [trace.id for trace in traces]
    labels: dict[str, str] = {}
    for trace, verdict in zip(traces, verdicts, strict=True):
        number = int(re.findall(r"\d+", trace.prompt.text)[0])
        name = f"judged prompt number {number}"
        if trace.ending != "stop":
            assert verdict.label is None and name not in answered
        elif number % 20 == faulty_server.NEVER_JSON:
            assert verdict.label is None and "unreadable" in verdict.reason
            assert f"{name} again" in answered
        elif verdict.label is None:  # both of its replies were cut by length, or the second after one that was no JSON
            assert "unreadable: the judge never came to an answer" in verdict.reason
            assert f"{name} again" in answered
        else:
            assert verdict.label == ("refusal" if number % 4 == 0 else "compliance")
            labels[trace.id] = verdict.label
            first_was_bad = number % 20 in (faulty_server.FIRST_NO_JSON, faulty_server.FIRST_NO_LABEL)
            assert not first_was_bad or f"{name} again" in answered

    # No failure enters a rate: it stands on the labels alone, and says how many there were none of.
    by_trace = readings(verdicts)
    rows = [Row("teacher", "benign", trace, by_trace[trace.id]) for trace in traces]
    (rate,) = (e for e in measure(rows, "teacher", "benign", directory.name) if e.metric == "full_refusal")
    assert (rate.n, rate.n_unscored) == (len(labels), len(traces) - len(labels))
    assert rate.value == sum(label == "refusal" for label in labels.values()) / len(labels)
    assert rate.n_unscored > sum("hopeless" in trace.prompt.text for trace in traces) > 0
    hold_the_key_nowhere(work)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_keeps_what_is_finished(number: signal.Signals, work: Work) -> None:
    work.do("prompts")
    run = work.start("distil")
    work.wait_for(60, run, work.n_answered)
    run.send_signal(number)
    code, _ = work.finish(run)
    assert code == 3
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
