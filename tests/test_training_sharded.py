"""Training whose weights or optimiser are shared out, with the files we ship, in two processes over gloo.

DeepSpeed's ZeRO-2 and ZeRO-3 as they are; FSDP2 with `fsdp_on_cpu`, which makes accelerate do on a CPU what it does on
GPUs. Each is killed, goes on, and is held against one process that was left alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from training_fixtures import make_recipe, make_step, many_examples, save_student

from unwaver.errors import RunError
from unwaver.stages import train
from unwaver.stages.calls import Workplace
from unwaver.training.launch import config_file

pytestmark = pytest.mark.real

OVERRIDES: dict[str, Any] = {"train.epochs": 2, "train.global_batch": 4, "train.micro_batch": 1, "train.save_every": 4}
COUNT, STEPS = 43, 20
RANKS = {
    "zero2": ("DEEPSPEED", "ZeRO stage 2", 1.0),
    "zero3": ("DEEPSPEED", "ZeRO stage 3", 0.5),
    "fsdp2": ("FSDP", "FSDP 2", 0.5),
}
"""What accelerate calls it, what is shared out, and the share of the weights that one of two processes holds."""


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_student(tmp_path_factory.mktemp("student"))


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """FSDP2 without GPUs, in the processes that are started."""
    paths = [str(Path(__file__).parent / "fsdp_on_cpu"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))


def sharded(name: str, root: Path) -> dict[str, Any]:
    """The recipe's lines for a shipped file; FSDP2's under another name, as by its own it is refused without GPUs."""
    if name != "fsdp2":
        pytest.importorskip("deepspeed")
    root.mkdir(parents=True, exist_ok=True)
    copy = shutil.copy(config_file(name), root / f"my-{name}.yaml")
    return {
        "train.launch": "accelerate",
        "train.launch_config": str(copy) if name == "fsdp2" else name,
        "train.processes": 2,
    }


class Trained:
    """One training of the tiny student, and what it left."""

    def __init__(self, student: Path, root: Path, overrides: dict[str, Any], kill_at: int | None = None) -> None:
        recipe = make_recipe(student, {**OVERRIDES, **overrides})
        step = make_step(root, recipe, many_examples(COUNT))
        self.folder = step.directory(root)
        if kill_at is not None:
            ended = threading.Event()
            killer = threading.Thread(target=self._kill, args=(kill_at, ended))
            killer.start()
            try:
                with pytest.raises(RunError, match="the same command goes on from the last checkpoint"):
                    train.run(step, recipe, Workplace(root))
            finally:
                ended.set()
                killer.join()
            assert not (self.folder / "manifest.json").exists()
        self.manifest = train.run(step, recipe, Workplace(root))

    def _kill(self, step: int, ended: threading.Event) -> None:
        """Kill the launcher and every worker once a checkpoint is whole, or nothing where training ended before."""
        mark = self.folder / "checkpoints" / f"checkpoint-{step}" / "complete"
        while not mark.is_file():
            if ended.wait(0.002):
                return
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode().split("\0")
            except OSError:
                continue
            if "unwaver.training.worker" in words and str(self.folder) in words:
                os.kill(int(path.parent.name), signal.SIGKILL)

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "loss.jsonl").read_text().splitlines()]

    def column(self, key: str) -> dict[Any, float]:
        return {(row["step"], row.get("part")): row[key] for row in self.rows() if key in row}

    def weights(self) -> dict[str, Any]:
        from safetensors.torch import load_file

        found: dict[str, Any] = load_file(self.folder / "model" / "model.safetensors")
        return found


@pytest.fixture(scope="module")
def alone(student: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """One process in float32, full and LoRA, and one in bfloat16."""
    return {
        name: Trained(student, tmp_path_factory.mktemp(name), overrides)
        for name, overrides in (
            ("full", {}),
            ("lora", {"train.method": "lora"}),
            ("bfloat16", {"train.dtype": "bfloat16"}),
        )
    }


def same_losses(one: Trained, other: Trained, within: float) -> None:
    for key in ("loss", "heldout_loss"):
        assert one.column(key) == pytest.approx(other.column(key), abs=within)
    assert len(one.column("loss")) == one.manifest["steps"] == other.manifest["steps"] == STEPS
    for part, entry in other.manifest["perplexity"].items():
        assert one.manifest["perplexity"][part]["loss"] == pytest.approx(entry["loss"], abs=within)


def ran(trained: Trained) -> tuple[Any, ...]:
    return tuple(trained.manifest[key] for key in ("distributed_type", "sharding", "weights_held"))


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("name", list(RANKS))
def test_shared_out_training_that_was_killed_ends_as_one_process_does(
    name: str, method: str, student: Path, alone: dict[str, Trained], tmp_path: Path
) -> None:
    """The shipped files say bf16 and the recipe float32: the recipe decides."""
    made = Trained(student, tmp_path, {"train.method": method, **sharded(name, tmp_path)}, kill_at=4)
    assert made.manifest["resumed_at"] >= 4
    assert ran(made) == RANKS[name] and made.manifest["dtype"] == "float32" and made.manifest["processes"] == 2
    same_losses(made, alone[method], within=1e-4)
    mine, other = made.weights(), alone[method].weights()
    assert set(mine) == set(other)
    assert all(float((mine[key].float() - other[key].float()).abs().max()) < 1e-5 for key in mine)
    assert not list((made.folder / "checkpoints").glob("*"))


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("name", list(RANKS))
def test_shared_out_training_in_bfloat16_is_near_one_process_in_it(
    name: str, student: Path, alone: dict[str, Trained], tmp_path: Path
) -> None:
    made = Trained(student, tmp_path, {"train.dtype": "bfloat16", **sharded(name, tmp_path)})
    assert ran(made) == RANKS[name] and made.manifest["dtype"] == "bfloat16"
    same_losses(made, alone["bfloat16"], within=0.02)
    different = {key: abs(loss - made.column("loss")[key]) for key, loss in alone["full"].column("loss").items()}
    assert max(different.values()) > 1e-4, "in float32 it would end otherwise"
