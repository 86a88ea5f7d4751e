"""Faults that must lose nothing: a misbehaving server and kill -9, through the real engine and the real `distil` stage."""

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

import pytest

N = 300
KILLS = 10

RECIPE = """
name = "faults"
max_failed = 0.5
[models]
student = "hf:none/none"
[models.teacher]
name = "openai:m"
base_url = "http://127.0.0.1:{port}/v1"
concurrency = 32
timeout = 1.0
retries = 4
[prompts.benign]
source = "file"
path = "prompts.jsonl"
kind = "benign"
[mix]
parts = {{ benign = 1 }}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """(port, log) of a faulty server in a process of its own."""
    port_file, log = tmp_path / "port", tmp_path / "answered"
    script = Path(__file__).with_name("faulty_server.py")
    process = subprocess.Popen([sys.executable, str(script), str(port_file), str(log), "--faults", "--latency", "0.02"])
    try:
        until = time.monotonic() + 20
        while not (port_file.exists() and port_file.read_text()):
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.02)
        yield int(port_file.read_text()), log
    finally:
        process.kill()
        process.wait()


@pytest.mark.real
def test_every_prompt_has_one_record_after_faults_and_kills(tmp_path: Path, server: tuple[int, Path]) -> None:
    port, log = server
    prompts = [f"prompt number {n}" for n in range(N)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"text": p}) + "\n" for p in prompts))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(port=port))
    root = tmp_path / "runs"

    def command(verb: str) -> list[str]:
        return [sys.executable, "-m", "unwaver.cli", verb, str(recipe), "--root", str(root)]

    subprocess.run(command("prompts"), check=True, capture_output=True)
    kills = random.Random(7)
    killed = 0
    for _ in range(KILLS):
        run = subprocess.Popen(command("distil"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(kills.uniform(0.6, 1.6))
        run.send_signal(signal.SIGKILL)
        killed += run.wait() == -signal.SIGKILL
    assert killed >= KILLS // 2, "the run was over before it could be killed"
    done = subprocess.run(command("distil"), capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    directory = Path(done.stdout.strip().splitlines()[-1])

    traces = [json.loads(line) for line in (directory / "traces.jsonl").read_text().splitlines()]
    assert [t["prompt"]["text"] for t in traces] == prompts  # one record each, in order
    for trace in traces:
        assert ("failure" in trace) == (trace["ending"] == "error")
        if trace["ending"] == "stop":
            assert trace["answer"] == f"done {trace['prompt']['text']}"
        if trace["ending"] == "length":
            assert "answer" not in trace
    # A call that was answered and put down is never made again: what the server answered twice can only be calls that
    # were under way when the process was killed.
    answered = Counter(log.read_text().splitlines())
    twice = sum(count - 1 for count in answered.values())
    assert twice <= killed * 32
    before = sum(answered.values())
    again = subprocess.run(command("distil"), capture_output=True, text=True, check=True)
    assert again.stdout == done.stdout
    assert sum(Counter(log.read_text().splitlines()).values()) == before

    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["counts"]["endings"]["stop"] + manifest["counts"]["endings"]["length"] + sum(
        manifest["counts"]["failed"].values()
    ) == N
    assert manifest["counts"]["endings"]["length"] > 0
