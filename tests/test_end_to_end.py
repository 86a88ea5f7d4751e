"""The quickstart recipe, made small, from end to end with the real model: run, kill, go on, run again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import HANG, until

pytest.importorskip("torch", reason="needs the extra `train`")

ROOT = Path(__file__).parent.parent

SMALL = {
    "mix.parts.safety": 10,
    "mix.parts.borderline": 8,
    "mix.parts.plain": 8,
    "mix.parts.maths": 4,
    "train.heldout": 0.1,
    "train.save_every": 3,
    "evaluate.max_tokens": 24,
    "prompts.numbers.limit": 3,
    **{f"prompts.{name}-unseen.limit": 3 for name in ("harmful", "borderline", "plain")},
    **{f"prompts.{name}-unseen-framed.limit": 3 for name in ("harmful", "borderline")},
}


def command(root: Path, verb: str = "run") -> list[str]:
    flags = [word for key, value in SMALL.items() for word in (f"--{key}", str(value))]
    return [
        sys.executable,
        "-m",
        "unwaver.cli",
        verb,
        str(ROOT / "recipes/quickstart.toml"),
        "--root",
        str(root),
        *flags,
    ]


def inside(root: Path) -> dict[str, bytes]:
    """Every manifest and ledger: what must not change when nothing is owed."""
    return {
        str(p.relative_to(root)): p.read_bytes()
        for pattern in ("*/manifest.json", "*/replies/*.jsonl")
        for p in root.glob(pattern)
    }


def stopped(root: Path, when: Callable[[str], bool], sent: signal.Signals) -> tuple[int, str]:
    """The exit code of a run that is sent a signal as soon as `when` is true of what it has said; and all it said."""
    said = root.parent / "said"
    with said.open("w") as out:
        run = subprocess.Popen(command(root), stdout=subprocess.DEVNULL, stderr=out)
        until(
            lambda: run.poll() is not None or when(said.read_text()), "what it was to be stopped in didn't come", 3600
        )
        assert run.poll() is None, f"the run ended before it could be stopped: {said.read_text()[-2000:]}"
        run.send_signal(sent)
        return run.wait(HANG), said.read_text()


def in_training(root: Path, trained: int) -> bool:
    """Whether so many trainings are done and the next has left a checkpoint."""
    done = {path.parent for path in root.glob("train-*/manifest.json")}
    begun = {path.parents[1] for path in root.glob("train-*/checkpoints/*")}
    return len(done) == trained and bool(begun - done)


@pytest.mark.real
def test_the_whole_chain_survives_a_kill_and_ctrl_c_and_then_answers_at_once(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    # Killed in the middle of the first training: its checkpoint is on disk, its manifest is not.
    stopped(root, lambda _: in_training(root, 0), signal.SIGKILL)
    before = inside(root)
    assert any("distil" in name for name in before)
    assert not any(name.startswith("train") and name.endswith("manifest.json") for name in before)

    # Ctrl-C, in the second training and while the student is asked.
    for when in (
        lambda _: in_training(root, 1),
        lambda said: "\nevaluate " in said and "loading the weights" in said,
    ):
        code, said = stopped(root, when, signal.SIGINT)
        assert code == 3
        assert "the same command goes on from here" in said
        assert not [word for word in ("Traceback", "Warning") if word in said]

    done = subprocess.run(command(root), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    report = Path(done.stdout.strip().splitlines()[-1])
    assert report.is_file()
    html = report.read_text(encoding="utf-8")
    for word in ("scripted", "default", "improved", "raw"):
        assert word in html
    after = inside(root)
    assert all(after[name] == content for name, content in before.items() if name.endswith("manifest.json"))

    trained = [json.loads(path.read_text()) for path in root.glob("train-*/manifest.json")]
    assert len(trained) == 2
    for path in root.glob("evaluate-*/traces.jsonl"):
        traces = [json.loads(line) for line in path.read_text().splitlines()]
        assert traces
        assert all(("failure" in trace) == (trace["ending"] == "error") for trace in traces)

    again = subprocess.run(command(root), capture_output=True, text=True, check=True)
    assert again.stdout == done.stdout
    assert inside(root) == after


@pytest.mark.real
def test_a_finished_stage_prints_its_directory_again(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    first = subprocess.run(command(root, "prompts"), capture_output=True, text=True, check=True)
    again = subprocess.run(command(root, "prompts"), capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout
    assert first.stdout.count("prompts-") == 10
    assert again.stderr == ""


@pytest.mark.real
def test_a_stage_whose_inputs_are_owed_says_which_and_exits_3(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path / "runs", "judge"), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "distil" in done.stderr
    assert "Traceback" not in done.stderr
