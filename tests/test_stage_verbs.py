"""One stage at a time through the command line: its own settings without dots, and the leak check before training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unwaver.cli import main

RECIPE = """
name = "verbs"
[models]
student = "hf:{student}"
teacher = "replay:corpus"
[prompts.safety]
source = "corpus/harmful"
split = "train"
limit = 24
[prompts.seen]
source = "corpus/harmful"
split = "train"
limit = 3
[prompts.unseen]
source = "corpus/harmful"
split = "heldout"
limit = 3
[distil]
method = "default"
[mix]
parts = {{ safety = 3 }}
[train]
max_tokens = 1024
max_overlong = 0.5
global_batch = 4
[evaluate]
max_tokens = 8
[evaluate.sets.unseen]
{more}
"""


def write(folder: Path, more: str = "", student: str = "none/none") -> Path:
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(more=more, student=student), encoding="utf-8")
    return recipe


def do(recipe: Path, *verbs: str) -> None:
    for verb in verbs:
        assert main([verb, str(recipe), "--root", str(recipe.parent / "runs")]) == 0


def manifests(recipe: Path, stage: str) -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in sorted((recipe.parent / "runs").glob(f"{stage}-*/manifest.json"))]


@pytest.mark.real
def test_a_stage_takes_its_own_settings_without_dots(tmp_path: Path) -> None:
    recipe = write(tmp_path)
    do(recipe, "prompts")
    root = ["--root", str(tmp_path / "runs")]
    # Before or after the recipe's name, with a blank or an equals sign.
    assert main(["distil", "--method", "short", str(recipe), *root]) == 0
    assert [found["method"] for found in manifests(recipe, "distil")] == ["short"]
    do(recipe, "distil", "judge")
    assert main(["mix", str(recipe), *root, "--keep", "pattern-free"]) == 0
    assert main(["mix", str(recipe), *root, "--keep=everything", "--seed", "7"]) == 0  # [mix] has no seed: the recipe's
    assert {(found["keep"], found["seed"]) for found in manifests(recipe, "mix")} == {
        ("pattern-free", 42),
        ("everything", 7),
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mix", "--kepe", "everything"], "--kepe: no such flag and no setting; did you mean `--keep`"),
        (["train", "--lunch", "torchrun"], "--lunch: no such flag and no setting; did you mean `--launch`"),
        (["evaluate", "--max-tokns", "5"], "--max-tokns: no such flag and no setting; did you mean `--max-tokens`"),
        (["train", "--train.lunch", "torchrun"], "train.lunch: unknown key; did you mean `launch`"),
        (["train", "--launch", "by-hand"], "train.launch: Input should be 'none', 'accelerate' or 'torchrun'"),
        (["train", "--learning-rate", "-1"], "train.learning_rate: Input should be greater than 0"),
        (["mix", "--keep", "everything", "--keep=guard-only"], "--keep: given twice; expected once"),
        (["mix", "--keep", "everything", "--mix.keep", "guard-only"], "given twice, as mix.keep too; expected once"),
        (["train", "--learning-rate", "1", "--learning_rate", "2"], "given twice, as train.learning_rate too"),
        (["check", "--root", "a", "--root=b"], "--root: given twice; expected once"),
        (["check", "--seed", "--seed", "--seed", "1"], "--seed: given twice; expected once"),
    ],
)
def test_a_setting_nobody_knows_is_named(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, str(write(tmp_path))]) == 2
    assert told in capsys.readouterr().err


def test_a_setting_without_a_value_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["mix", str(write(tmp_path)), "--keep"])
    assert done.value.code == 2
    assert "--keep: expected a value" in capsys.readouterr().err


@pytest.mark.real
def test_training_on_what_is_evaluated_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write(tmp_path)
    do(recipe, "prompts", "distil", "judge", "mix")
    # An evaluation set that comes after the mix: nobody has looked at it, and that is not taken for clean.
    recipe = write(tmp_path, "[evaluate.sets.seen]")
    assert main(["train", str(recipe), "--root", str(tmp_path / "runs")]) == 3
    assert "prompts (seen)" in capsys.readouterr().err
    do(recipe, "prompts")
    assert main(["train", str(recipe), "--root", str(tmp_path / "runs")]) == 2
    told = capsys.readouterr().err
    assert "the training set of default shares text with what is evaluated: " in told
    assert " prompts of seen " in told and 'mix.overlap = "report"' in told
    assert not manifests(recipe, "train")
    assert len(manifests(recipe, "overlap")) == 2


@pytest.mark.real
def test_an_overlap_that_is_only_reported_lets_training_through(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra `train`")
    from training_fixtures import save_student

    (tmp_path / "student").mkdir()
    recipe = write(tmp_path, "[evaluate.sets.seen]", str(save_student(tmp_path / "student")))
    do(recipe, "prompts", "distil", "judge", "mix")
    root = ["--root", str(tmp_path / "runs")]
    assert main(["train", str(recipe), *root]) == 2
    assert not manifests(recipe, "train")
    assert main(["train", str(recipe), *root, "--mix.overlap", "report"]) == 0
    assert main(["evaluate", str(recipe), *root]) == 2
    assert main(["evaluate", str(recipe), *root, "--mix.overlap", "report"]) == 0
    assert len(manifests(recipe, "evaluate")) == 4


@pytest.mark.real
def test_the_local_engine_never_imports_ray(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom unwaver.cli import main\n"
        "assert main(sys.argv[1:]) == 0\nassert 'ray' not in sys.modules, 'ray'\n"
    )
    words = ["prompts", str(write(tmp_path)), "--root", str(tmp_path / "runs"), "--engine", "local"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
