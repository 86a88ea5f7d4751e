"""Training in two processes whose parents are killed: no worker outlives its command, and no step is trained twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from training_fixtures import save_student

from unwaver.cli import main
from unwaver.errors import HeldError, RunError
from unwaver.training.launch import held

pytestmark = pytest.mark.real

RECIPE = """
name = "orphans"
[models]
student = "hf:{student}"
teacher = "replay:corpus"
[prompts.safety]
source = "corpus/harmful"
split = "train"
limit = 40
[prompts.unseen]
source = "corpus/harmful"
split = "heldout"
limit = 3
[mix]
parts = {{ safety = 12 }}
[train]
max_tokens = 1024
max_overlong = 0.5
global_batch = 4
micro_batch = 2
learning_rate = 1e-3
dtype = "float32"
heldout = 0.0
perplexity = false
gradient_checkpointing = false
epochs = 40
save_every = 5
launch = "torchrun"
processes = 2
[evaluate.sets.unseen]
"""

PATIENCE_S = 900
"""A limit that only a hang reaches."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("orphans")
    (folder / "student").mkdir()
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(student=save_student(folder / "student")), encoding="utf-8")
    for verb in ("prompts", "distil", "judge", "mix"):
        assert main([verb, str(recipe), "--root", str(folder / "runs")]) == 0
    return folder


ACCELERATE = """
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_GPU
num_machines: 1
num_processes: 2
machine_rank: 0
mixed_precision: 'no'
use_cpu: false
rdzv_backend: static
same_network: true
main_training_function: main
"""
"""Two processes on a CPU; they speak through gloo."""


@pytest.fixture(params=["torchrun", "accelerate"])
def launched(request: pytest.FixtureRequest, prepared: Path) -> Launched:
    if request.param == "torchrun":
        return Launched(prepared, ())
    config = prepared / "mine.yaml"
    config.write_text(ACCELERATE, encoding="utf-8")
    return Launched(prepared, ("--launch", "accelerate", "--launch_config", str(config)))


class Launched(NamedTuple):
    """What a training is given: the folder of its recipe, and flags."""

    prepared: Path
    flags: tuple[str, ...]


def command(launched: Launched, root: Path) -> list[str]:
    prepared = launched.prepared
    if not root.exists():
        root.mkdir()
        for one in (prepared / "runs").iterdir():
            (root / one.name).symlink_to(one)
    return [
        sys.executable,
        "-m",
        "unwaver.cli",
        "train",
        str(prepared / "recipe.toml"),
        "--root",
        str(root),
        *launched.flags,
    ]


def train_until_done(launched: Launched, root: Path) -> Path:
    """Give the command again and again, as a person would who is told that somebody is at work; the step's folder."""
    until = time.monotonic() + PATIENCE_S
    while (done := subprocess.run(command(launched, root), capture_output=True, text=True, check=False)).returncode:
        assert done.returncode == 3 and "at work here" in done.stderr, done.stderr[-2000:]
        assert time.monotonic() < until
    return next(path for path in root.glob("train-*"))


def result(folder: Path) -> tuple[list[Any], bytes]:
    rows = [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows if "loss" in row]
    assert steps == list(range(1, len(steps) + 1))
    return [(row["step"], row.get("loss")) for row in rows], (folder / "model" / "model.safetensors").read_bytes()


def processes(root: Path) -> dict[int, str]:
    """What works in the folder, by process: `worker`, `launcher` or `command`."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(str(root).encode() in word for word in words):
            kind = (
                "launcher"
                if b"torch.distributed.run" in words or b"accelerate.commands.launch" in words
                else "worker"
                if b"unwaver.training.worker" in words
                else ""
            )
            found[int(entry.name)] = kind or "command"
    return found


def gone(pids: Iterator[int]) -> None:
    until = time.monotonic() + PATIENCE_S
    left = set(pids)
    while left := {pid for pid in left if Path(f"/proc/{pid}").exists() and "Z" not in state(pid)}:
        assert time.monotonic() < until, f"still alive: {left}"
        time.sleep(0.02)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def started(launched: Launched, root: Path, beyond: int) -> tuple[subprocess.Popen[str], int]:
    """A training that has come to a checkpoint beyond that step; the command and the step."""
    until = time.monotonic() + PATIENCE_S
    run = None
    while True:
        if run is not None and run.poll() == 3:
            assert "at work here" in run.communicate()[1]
            run = None
        if run is None:
            run = subprocess.Popen(command(launched, root), stderr=subprocess.PIPE, text=True, start_new_session=True)
        for path in root.glob("train-*/checkpoints/checkpoint-*/complete"):
            step = int(path.parent.name.rpartition("-")[2])
            if step > beyond and sorted(processes(root).values()) == ["command", "launcher", "worker", "worker"]:
                return run, step
        assert run.poll() in (None, 3) and time.monotonic() < until, run.communicate()[1][-2000:]
        time.sleep(0.01)


def of_kind(root: Path, kind: str) -> list[int]:
    return [pid for pid, found in processes(root).items() if found == kind]


def test_whatever_is_killed_no_worker_lives_on_and_all_ends_as_if_nothing_had_been(
    launched: Launched, tmp_path: Path
) -> None:
    whole = result(train_until_done(launched, tmp_path / "whole"))
    root, step = tmp_path / "runs", 0
    for what in ("command", "launcher", "both", "signal"):
        run, step = started(launched, root, step)
        every = processes(root)
        if what == "signal":
            run.send_signal(signal.SIGTERM)
        for kind in ("launcher", "command") if what == "both" else () if what == "signal" else (what,):
            os.kill(of_kind(root, kind)[0], signal.SIGKILL)
        _, told = run.communicate(timeout=PATIENCE_S)
        if what == "launcher":
            assert run.returncode == 3 and "the training processes stopped with code -9" in told
        elif what == "signal":
            assert run.returncode == 3 and "stopped; the same command goes on from here" in told
        else:
            assert run.returncode == -signal.SIGKILL
        if what != "command":  # there the next command meets them still
            gone(iter(every))
    folder = train_until_done(launched, root)
    gone(iter(every))
    assert json.loads((folder / "manifest.json").read_text())["resumed_at"] >= 20
    assert result(folder) == whole


# ---- the two files, without a training


WORKER = """
import sys
from pathlib import Path
from unwaver.training.launch import held
held.join(Path(sys.argv[1]))
print("in", flush=True)
sys.stdin.read()
"""


def worker(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WORKER, str(folder)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, env={**os.environ, **environment}, text=True, **pipes)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_workers_live_as_long_as_their_launch(tmp_path: Path) -> None:
    with held.launch(tmp_path) as environment:
        two = [worker(tmp_path, environment) for _ in range(2)]
        assert [said(one) for one in two] == ["in\n", "in\n"]
    for one in two:
        assert one.wait(PATIENCE_S) == -signal.SIGKILL
        one.communicate()


def late(tmp_path: Path, between: Callable[[], None]) -> str:
    """What a worker says that was started by a launch which ended before the worker looked."""
    with held.launch(tmp_path) as environment:
        pass
    between()
    one = worker(tmp_path, environment)
    _, errors = one.communicate(timeout=PATIENCE_S)
    assert one.returncode != 0
    return errors


def test_a_worker_that_is_late_ends_at_once(tmp_path: Path) -> None:
    assert "the command that started this process is gone" in late(tmp_path, lambda: None)


def test_a_worker_that_is_late_does_not_join_the_next_launch(tmp_path: Path) -> None:
    with held.launch(tmp_path) as old:
        pass
    with held.launch(tmp_path) as new:
        one, other = worker(tmp_path, old), worker(tmp_path, new)
        assert said(other) == "in\n"
        _, errors = one.communicate(timeout=PATIENCE_S)
        assert "is gone" in errors
    other.communicate()


def test_a_launch_waits_for_workers_of_an_earlier_one_and_says_so_where_they_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "LATE_S", 0.0)
    with held.launch(tmp_path) as environment:
        one = worker(tmp_path, environment)
        assert said(one) == "in\n"
        os.kill(one.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, one.pid, os.WSTOPPED)  # until every thread of it stands; the one that watches would end it
    with pytest.raises(HeldError, match="still at work here"), held.launch(tmp_path):
        pass
    os.kill(one.pid, signal.SIGCONT)
    one.communicate()
    with held.launch(tmp_path):
        pass


def test_a_worker_somebody_starts_by_hand_is_not_watched(tmp_path: Path) -> None:
    one = worker(tmp_path, {})
    assert said(one) == "in\n"
    one.communicate("")
    assert one.returncode == 0
    assert issubclass(HeldError, RunError)
