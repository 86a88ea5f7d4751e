"""A trained folder is the same model wherever its base was: its base's own files, settings that older readers know."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from training_fixtures import make_recipe, make_step, many_examples, save_student

from unwaver.models.portable import make_portable, take_after
from unwaver.stages import train
from unwaver.stages.calls import Workplace

OLDER = ("transformers==4.57.6", "tokenizers==0.22.1", "huggingface-hub==0.36.0")
"""The last transformers before 5, and what it stands on."""
ASKED = [5, 17, 42, 7, 99]
LOGITS = f"""
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, __version__
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
words = AutoTokenizer.from_pretrained(sys.argv[1])
with torch.no_grad():
    logits = model(torch.tensor([{ASKED} * 30])).logits[0, -1]
turns = [{{"role": "user", "content": "Is the kettle on?"}}]
print(json.dumps({{
    "version": __version__,
    "logits": logits.tolist(),
    "ids": words("The quiet garden by the river.")["input_ids"],
    "prompt": words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True),
    "use_cache": model.config.use_cache,
    "eos": model.generation_config.eos_token_id,
}}))
"""


def settings(folder: Path, name: str = "config.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("given", "theta", "scaling"),
    [
        ({"rope_theta": 1e5, "rope_type": "default"}, 1e5, None),
        ({"rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0}, 5e5, {"rope_type": "llama3", "factor": 8.0}),
        ({"rope_theta": 1e6, "rope_type": "yarn", "factor": 4.0}, 1e6, {"rope_type": "yarn", "factor": 4.0}),
    ],
)
def test_a_rotary_base_stands_under_the_names_of_both(tmp_path: Path, given: Any, theta: float, scaling: Any) -> None:
    write(tmp_path / "config.json", {"model_type": "llama", "dtype": "bfloat16", "rope_parameters": given})
    make_portable(tmp_path)
    found = settings(tmp_path)
    assert found["rope_theta"] == theta and found["rope_scaling"] == scaling and found["torch_dtype"] == "bfloat16"
    assert found["rope_parameters"] == given


def test_one_rotary_base_for_each_kind_of_layer_is_left_as_it_is(tmp_path: Path) -> None:
    given = {
        "model_type": "x",
        "rope_parameters": {"full_attention": {"rope_theta": 1e6}, "sliding": {"rope_theta": 1}},
    }
    write(tmp_path / "config.json", given)
    make_portable(tmp_path)
    assert settings(tmp_path) == given


def test_a_trained_folder_has_its_bases_own_files_and_everybody_may_read_it(tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "trained"
    for place in (base, folder):
        (place / "additional_chat_templates").mkdir(parents=True)
        (place / "additional_chat_templates" / "tools.jinja").write_text(place.name)
        write(place / "tokenizer.json", {"of": place.name})
        write(place / "generation_config.json", {"temperature": 0.6 if place is base else 1.0})
    write(base / "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizerFast", "chat_template": "x"})
    write(folder / "tokenizer_config.json", {"tokenizer_class": "TokenizersBackend", "is_local": True})
    write(folder / "added_tokens.json", {"written": "anew"})
    common = {"architectures": ["A"], "model_type": "a"}
    write(base / "config.json", {**common, "torch_dtype": "bfloat16", "quantization_config": {"bits": 4}, "own": 1})
    write(folder / "config.json", {**common, "dtype": "float32", "use_cache": False})
    (folder / "model.safetensors").write_bytes(b"0")
    (folder / "model.safetensors").chmod(0o600)
    take_after(folder, str(base))
    for name in (
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "additional_chat_templates/tools.jinja",
    ):
        assert (folder / name).read_bytes() == (base / name).read_bytes(), name
    assert not (folder / "added_tokens.json").exists()
    assert settings(folder) == {**common, "own": 1, "dtype": "float32", "torch_dtype": "float32"}
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir() if path.is_file()} == {"0o644"}


def test_another_architecture_keeps_its_own_configuration(tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "trained"
    base.mkdir()
    folder.mkdir()
    write(base / "config.json", {"architectures": ["Pictures"], "model_type": "pictures", "text_config": {}})
    write(folder / "config.json", {"architectures": ["Text"], "model_type": "text", "use_cache": False})
    take_after(folder, str(base))
    assert settings(folder) == {"architectures": ["Text"], "model_type": "text", "use_cache": True}


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the last transformers 4, for a Python that has torch already."""
    folder = tmp_path_factory.mktemp("older")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *OLDER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"transformers 4 can't be fetched: {done.stderr.strip()[-200:]}")
    return folder


def loaded(folder: Path, *first: Path) -> dict[str, Any]:
    """What a Python, with these folders before its own packages, makes of a model's folder."""
    asked = f"import sys; sys.path[:0] = {[str(path) for path in first]}\n{LOGITS}"
    done = subprocess.run([sys.executable, "-c", asked, str(folder)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.real
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_trained_model_is_the_same_in_transformers_4_and_5(tmp_path: Path, older: Path, method: str) -> None:
    student = save_student(tmp_path / "student")
    given = settings(student)
    given["rope_parameters"] = {"rope_theta": 500.0, "rope_type": "default"}  # one that is nobody's default
    write(student / "config.json", given)
    recipe = make_recipe(student, {"train.method": method, "train.learning_rate": 1e-3})
    step = make_step(tmp_path, recipe, many_examples(16))
    train.run(step, recipe, Workplace(tmp_path))
    folder = step.directory(tmp_path) / "model"
    now, before = loaded(folder), loaded(folder, older)
    assert now.pop("version").startswith("5.") and before.pop("version") == "4.57.6"
    assert before.pop("logits") == pytest.approx(now.pop("logits"), abs=1e-4)
    assert before == now and now["use_cache"] is True
    place = folder.with_name("adapter") if method == "lora" else folder
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in place.iterdir() if path.is_file())
    if method == "lora":
        card = (place / "README.md").read_text()
        assert "library_name: peft" in card and "| Adapter | rank " in card and "More Information Needed" not in card
    assert {"README.md", "adapter_config.json" if method == "lora" else "config.json"} <= {
        p.name for p in place.iterdir()
    }
