"""Somebody's harmless fine-tuning after the safety training: the weights it starts from, its steps, and the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import report_results as made_up
from training_fixtures import save_student

from unwaver import recipe_file
from unwaver.cli import main
from unwaver.errors import RecipeError
from unwaver.recipe import TrainSettings
from unwaver.report import facts
from unwaver.report.sections import settings as settings_section
from unwaver.study import grid
from unwaver.study.plan import plan

RECIPE = """
name = "lasting"
[models]
student = "hf:{student}"
teacher = "replay:corpus"
[prompts]
safety = {{ source = "corpus/harmful", split = "train", limit = 8 }}
plain = {{ source = "corpus/plain", split = "train", limit = 8 }}
later = {{ source = "corpus/plain", split = "train", limit = 12 }}
unseen = {{ source = "corpus/harmful", split = "heldout", limit = 4 }}
[mix]
parts = {{ safety = 6, plain = 6 }}
keep = "everything"
[train]
global_batch = 4
heldout = 0
dtype = "float32"
learning_rate = 1e-3
perplexity = false
[afterwards]
parts = {{ {part} = 8 }}
steps = {steps}
learning_rate = 2e-3
[evaluate]
max_tokens = 8
[evaluate.sets.unseen]
"""

STUDY = """
name = "lasting"
recipe = "recipe.toml"
[tables]
"Durability" = { "afterwards.steps" = [0, 5] }
"""


def written(folder: Path, student: str = "none", part: str = "later", steps: int = 5) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(student=student, part=part, steps=steps))
    return path


def test_a_later_fine_tuning_changes_nothing_before_it(tmp_path: Path) -> None:
    with_it = plan(recipe_file.load(written(tmp_path)), "a")
    without = plan(recipe_file.load(written(tmp_path, steps=0)), "a")
    assert without.afterwards is None and with_it.train.digest == without.train.digest
    assert with_it.afterwards is not None
    assert with_it.afterwards.train.inputs["train"] is with_it.train
    tested, plain = with_it.evaluate["unseen"], without.evaluate["unseen"]
    assert tested.inputs["train"] is with_it.afterwards.train and plain.inputs["train"].digest == with_it.train.digest
    assert with_it.raw["unseen"].digest == without.raw["unseen"].digest


def test_nobody_fine_tunes_on_harm(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"afterwards\.parts\.safety: its prompts are harmful"):
        plan(recipe_file.load(written(tmp_path, part="safety")), "a")


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"afterwards\.parts\.latter: .*did you mean `later`"):
        recipe_file.load(written(tmp_path, part="latter"))


@pytest.mark.parametrize(
    ("train", "method", "adapters"),
    [
        ('method = "dpo"\nloss = "ipo"\ndpo = { beta = 0.2 }\nlora = { r = 4 }', "lora", True),
        ('method = "dpo"', "full", False),
        ('method = "lora"', "lora", True),
    ],
)
def test_it_moves_what_the_safety_training_moved(tmp_path: Path, train: str, method: str, adapters: bool) -> None:
    path = written(tmp_path)
    text = path.read_text().replace("[train]\n", f"[train]\n{train}\n")
    if "dpo" in train:
        text = text.replace("[mix]\n", '[distil]\nsamples = 2\n[mix]\nrejected = { safety = "safety" }\n').replace(
            ", plain = 6", ""
        )
    path.write_text(text)
    loaded = recipe_file.load(path)
    later = loaded.later()
    assert later is not None and (later.train.method, later.train.adapters) == (method, adapters)
    again = TrainSettings.model_validate_json(later.train.model_dump_json())  # as a training process is handed it
    assert again == later.train and again.lora == loaded.train.lora


@pytest.mark.real
def test_it_goes_on_from_the_trained_weights_for_so_many_steps(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from safetensors.numpy import load_file

    written(tmp_path, str(save_student(tmp_path / "student")))
    study, root = tmp_path / "study.toml", tmp_path / "runs"
    study.write_text(STUDY)
    assert main(["study", str(study), "--root", str(root)]) == 0, capfd.readouterr().err
    cells = grid.plans(grid.cells(grid.load(study), study))
    later = next(one.afterwards for one in cells if one.afterwards is not None)
    first, second = (step.directory(root) for step in (cells[0].train, later.train))
    told = json.loads((second / "manifest.json").read_text())
    assert (told["steps"], told["counts"]["trained"]) == (5, 8)  # three passes over eight examples would be six
    assert told["settings"]["learning_rate"] == 2e-3
    assert str(first / "model") in (second / "work.json").read_text()
    card = (second / "model" / "README.md").read_text()
    assert "5 of 4 examples, 2.5 epochs" in card and "further on harmless prompts" in card
    assert "to reason safely" in (first / "model" / "README.md").read_text()
    weights = [load_file(path / "model" / "model.safetensors") for path in (first, second)]
    moved = max(abs(weights[0][name] - weights[1][name]).max() for name in weights[0])
    assert 0 < moved < 5 * 2e-3 * 2  # of five steps of Adam at this rate, from there and not from the raw student
    assert (root / "latest" / "report.html").is_file()


def test_the_report_draws_what_is_left_against_the_steps() -> None:
    made = made_up.results(("steps 0", "steps 10", "steps 50"), per_set=6)
    for arm, steps in (("steps 0", 0), ("steps 10", 10), ("steps 50", 50)):
        made.cells[arm] = {"method": "default", "student": "s", "size": 9, "afterwards": steps, "rest": "a"}
    (figure,) = settings_section.all_of(facts.Facts(made))
    assert (figure.name, figure.title) == ("study-afterwards", "Does it last?")
    drawn = json.dumps(figure.chart.to_dict(validate=False))
    assert [f'"at": {steps}' in drawn for steps in (0, 10, 50, 100)] == [True, True, True, False]
    assert "attack success" in figure.alt and "steps of harmless fine-tuning afterwards 50" in figure.alt
