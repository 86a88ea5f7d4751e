"""The quickstart recipe, made small, from end to end with the real model: run, kill, go on, run again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
    **{f"prompts.{name}-unseen.limit": 3 for name in ("harmful", "borderline", "plain", "maths")},
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


@pytest.mark.real
def test_the_whole_chain_survives_a_kill_and_then_answers_at_once(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    first = subprocess.Popen(command(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240
    # Killed in the middle of the first training: its checkpoint is on disk, its manifest is not.
    while not list(root.glob("train-*/checkpoints/*")) and not list(root.glob("train-*/checkpoint*")):
        assert first.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until, "no checkpoint came"
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = inside(root)
    assert any("distil" in name for name in before)
    assert not any(name.startswith("train") and name.endswith("manifest.json") for name in before)

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


def test_a_stage_whose_inputs_are_owed_says_which_and_exits_3(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path / "runs", "judge"), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "distil" in done.stderr
    assert "Traceback" not in done.stderr
