"""Training that is killed, and training in two processes: the same losses as one process left alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from training_fixtures import make_recipe, make_step, many_examples, save_student
from waiting import HANG

from unwaver.errors import RecipeError, RunError
from unwaver.recipe import TrainSettings
from unwaver.stages import train
from unwaver.stages.calls import Workplace
from unwaver.training import launch
from unwaver.training.launch import SHIPPED, command, config_file, start

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from training_fixtures import make_recipe, make_step, many_examples
from unwaver.stages import train
from unwaver.stages.calls import Workplace
from unwaver.stages.calls import Workplace
recipe = make_recipe({student!r}, {overrides!r})
train.run(make_step(Path({root!r}), recipe, many_examples({count})), recipe, Workplace(Path({root!r})))
"""

OVERRIDES: dict[str, Any] = {
    "train.epochs": 8,
    "train.save_every": 5,
    "models.student.load": {"attention_dropout": 0.1},
}
"""Dropout, so that the random state counts too."""

COUNT = 64

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_student(tmp_path_factory.mktemp("student"))


def losses(folder: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]
    assert len({row["step"] for row in rows if "loss" in row}) == sum("loss" in row for row in rows)
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(folder / "model" / "model.safetensors")
    return found


def program(student: Path, root: Path, **more: Any) -> list[str]:
    overrides = {**OVERRIDES, **more}
    text = PROGRAM.format(
        tests=str(Path(__file__).parent), student=str(student), overrides=overrides, root=str(root), count=COUNT
    )
    return [sys.executable, "-c", text]


def test_a_killed_run_goes_on_with_the_same_losses_and_ends_with_the_same_weights(
    student: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(student, OVERRIDES)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    step = make_step(whole, recipe, many_examples(COUNT))
    train.run(step, recipe, Workplace(whole))
    folder = step.directory(killed)
    process = subprocess.Popen(program(student, killed), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + HANG
        while not (folder / "checkpoints" / "checkpoint-20" / "complete").is_file():
            assert process.poll() is None and time.monotonic() < deadline, "it must live until it is killed"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert not (folder / "manifest.json").exists() and not (folder / "model").exists()
    # What a kill in the middle of writing leaves: a torn checkpoint that must not be taken for a whole one.
    (folder / "checkpoints" / "checkpoint-63").mkdir()
    (folder / "checkpoints" / "checkpoint-63" / "model.safetensors").write_bytes(b"torn")
    subprocess.run(program(student, killed), check=True, stderr=subprocess.DEVNULL)
    assert json.loads((folder / "manifest.json").read_text())["resumed_at"] >= 20
    assert losses(folder) == losses(step.directory(whole))
    one, other = weights(folder), weights(step.directory(whole))
    assert all(one[name].equal(other[name]) for name in one)


@pytest.mark.parametrize(
    ("more", "share"),
    [({}, 1.5), ({"train.method": "lora", "train.lora": {"r": 1}}, 0.7)],
    ids=["checkpoint", "merged weights"],
)
def test_a_full_disk_is_said_in_one_sentence_and_the_run_goes_on_when_there_is_room(
    student: Path, tmp_path: Path, more: dict[str, Any], share: float
) -> None:
    """A limit on the size of files stands for the full disk: weights fit and the optimiser's state does not, or an
    adapter fits and the merged weights do not.
    """
    limited = program(student, tmp_path, **more)
    limit = int((student / "model.safetensors").stat().st_size * share)
    limited[2] = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n" + limited[2]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert (
        "RunError" in done.stderr.splitlines()[-1] and "put that right and give the same command again" in done.stderr
    )
    assert len(list(tmp_path.glob("train-*/adapter"))) == ("train.method" in more)
    subprocess.run(program(student, tmp_path, **more), check=True, stderr=subprocess.DEVNULL)
    assert list(tmp_path.glob("train-*/manifest.json"))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_two_processes_have_the_losses_of_one(student: Path, tmp_path: Path, method: str) -> None:
    found = {}
    for processes in (1, 2):
        several = {"train.launch": "torchrun", "train.processes": 2} if processes == 2 else {}
        overrides = {"train.method": method, "train.epochs": 2, "train.micro_batch": 2, **several}
        recipe, root = make_recipe(student, overrides), tmp_path / str(processes)
        # 43 examples: the last step can't be shared evenly.
        step = make_step(root, recipe, many_examples(43))
        manifest = train.run(step, recipe, Workplace(root))
        assert manifest["processes"] == processes and manifest["accumulation"] == 4 // processes
        found[processes] = losses(step.directory(root)), manifest["perplexity"], manifest["steps"]
    assert found[1][0] == pytest.approx(found[2][0], abs=1e-4)
    for part in found[1][1]:
        assert found[1][1][part] == pytest.approx(found[2][1][part], rel=1e-4)
    assert found[1][2] == found[2][2]


def test_a_launch_that_fails_says_so_and_leaves_no_manifest(student: Path, tmp_path: Path) -> None:
    overrides = {"train.launch": "torchrun", "train.processes": 2, "train.learning_rate": 1e30}
    recipe = make_recipe(student, {**overrides, "train.sft": {"max_grad_norm": 0.0}})
    step = make_step(tmp_path, recipe, many_examples(COUNT))
    with pytest.raises(RunError, match="the training processes stopped"):
        train.run(step, recipe, Workplace(tmp_path))
    assert step.manifest(tmp_path) is None


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"train.global_batch": 12, "train.micro_batch": 1}, r"12 is no multiple of 8 \(micro_batch 1 x processes 8\)"),
        (
            {"train.global_batch": 16, "train.micro_batch": 4},
            r"16 is no multiple of 32 \(micro_batch 4 x processes 8\)",
        ),
        ({"train.global_batch": 4, "train.batching": "packed"}, "4 is less than one example for each process"),
    ],
)
def test_batches_that_the_processes_can_t_share_are_told_before_anything_is_tokenized_or_started(
    more: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "load_encoder", None)
    monkeypatch.setattr(launch, "_run", None)
    recipe = make_recipe(tmp_path / "nowhere", {"train.launch": "torchrun", "train.processes": 8, **more})
    step = make_step(tmp_path, recipe, many_examples(4))
    with pytest.raises(RecipeError, match=f"train.global_batch: {told}"):
        train.run(step, recipe, Workplace(tmp_path))
    assert not step.directory(tmp_path).exists()


@pytest.mark.parametrize("started", ["2", "abc", "", "0", "1 "])
def test_a_training_that_another_launcher_started_is_told(
    started: str, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", started)
    recipe = make_recipe(student)
    with pytest.raises(RecipeError, match=f"WORLD_SIZE={started}: another launcher's"):
        train.run(make_step(tmp_path, recipe, many_examples(4)), recipe, Workplace(tmp_path))


def test_a_launcher_that_starts_too_few_processes_is_found_out(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from unwaver.training import worker
    from unwaver.training.work import Work

    settings = make_recipe(student, {"train.launch": "torchrun", "train.processes": 8}).train
    Work(
        student=make_recipe(student).models["student"], train=settings, seed=1, rows="none", heldout=[], probed=[]
    ).save(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert worker.main(tmp_path) == RunError.exit_code
    assert "train.processes is 8, but the launcher started 1" in capsys.readouterr().err


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_configurations_are_read_by_accelerate_and_get_the_recipes_processes(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    read = load_config_from_file(str(config_file(name)))
    kind, stage = ("FSDP", None) if name == "fsdp2" else ("DEEPSPEED", int(name[-1]))
    assert read.distributed_type.value == kind and read.mixed_precision == "bf16"
    assert read.deepspeed_config.get("zero_stage") == stage
    settings = TrainSettings(launch="accelerate", launch_config=name, processes=8)
    arguments = launch_command_parser().parse_args(command(Path("folder"), settings)[3:])
    assert arguments.num_processes == 8 and arguments.config_file == str(config_file(name))
    assert arguments.module and arguments.training_script == "unwaver.training.worker"


def test_a_configuration_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="zero4: expected zero2, zero3, fsdp2 or a file that exists"):
        command(tmp_path, TrainSettings(launch="accelerate", launch_config="zero4", processes=2))


@pytest.mark.skipif("torch" in sys.modules and sys.modules["torch"].cuda.is_available(), reason="there are GPUs")
def test_accelerate_without_gpus_is_refused_because_it_would_start_one_process(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match='there are none; use "torchrun"'):
        start(tmp_path, TrainSettings(launch="accelerate", processes=2), -1)


@pytest.mark.skipif("torch" in sys.modules and sys.modules["torch"].cuda.is_available(), reason="there are GPUs")
def test_accelerate_with_a_configuration_of_ones_own_has_the_losses_of_one_process(
    student: Path, tmp_path: Path
) -> None:
    """Two processes on a CPU: accelerate starts them where its configuration says so; they speak through gloo."""
    config = tmp_path / "mine.yaml"
    config.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nnum_machines: 1\nnum_processes: 1\n"
        "machine_rank: 0\nmixed_precision: 'no'\nuse_cpu: false\nrdzv_backend: static\nsame_network: true\n"
        "main_training_function: main\n"
    )
    found = {}
    launched = {"train.launch": "accelerate", "train.launch_config": str(config), "train.processes": 2}
    for several in ({}, launched):
        recipe, root = make_recipe(student, {"train.micro_batch": 2, **several}), tmp_path / str(len(several))
        step = make_step(root, recipe, many_examples(43))
        assert train.run(step, recipe, Workplace(root))["processes"] == (2 if several else 1)
        found[len(several)] = losses(step.directory(root))
    assert found[0] == pytest.approx(found[3], abs=1e-4)
