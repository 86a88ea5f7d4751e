"""A primer: a few words that begin a reasoning are all that is learnt of a harmful prompt, in every family's marks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from training_fixtures import FAMILIES, make_tokenizer, save_student, tags_of

from unwaver.cli import main
from unwaver.reasoning import THINK
from unwaver.records import Example, Span
from unwaver.store import read_records
from unwaver.teaching.primer import PRIMER
from unwaver.training.encode import Encoder

RECIPE = """
name = "primer"
[models]
student = "hf:{student}"
teacher = "replay:corpus"
[prompts]
safety = {{ source = "corpus/harmful", split = "train" }}
plain = {{ source = "corpus/plain", split = "train" }}
[distil]
method = "primer"
[mix]
parts = {{ safety = 6, plain = 6 }}
[train]
global_batch = 4
heldout = 0
dtype = "float32"
"""


def begun() -> Example:
    spans = (Span(text=THINK.render_open, trained=False), Span(text=PRIMER, trained=True))
    return Example(
        prompt="p", trace=None, user="Spread a rumour.", spans=spans, part="safety", kind="harmful", begun=True
    )


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "no_system"])
def test_the_words_alone_are_under_the_loss_and_nothing_ends_the_reply(family: str) -> None:
    encoder = Encoder(make_tokenizer(family), tags=tags_of(family))
    proof = encoder.prove(begun())
    assert [text for text, trained in proof.segments if trained] == [PRIMER]
    assert proof.segments[-1] == (PRIMER, True) and proof.end == ""
    assert proof.reply.endswith(PRIMER)
    assert encoder.prompt("Spread a rumour.") in proof.text and "⟦" + PRIMER in proof.text
    assert encoder.tags.opens in "".join(text for text, _ in proof.segments)


def test_a_whole_reply_that_is_never_closed_is_still_refused() -> None:
    encoder = Encoder(make_tokenizer("qwen3"))
    example = begun().model_copy(update={"begun": False})
    assert "never closed" in encoder.faults(example, encoder.encode(example))[0]


@pytest.mark.real
def test_from_a_recipe_to_a_student(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(student=save_student(tmp_path / "student")))
    root = ("--root", str(tmp_path / "runs"))
    assert main(["check", str(recipe), *root]) == 0
    assert "not replicated" in " ".join(capsys.readouterr().out.split())
    for verb in ("prompts", "distil", "judge", "mix", "train"):
        assert main([verb, str(recipe), *root]) == 0
    told = capsys.readouterr().err
    assert "`primer` was not replicated" in told and "judge safety" not in told
    (mix,) = (tmp_path / "runs").glob("mix-*")
    parts: dict[str, list[Example]] = {"safety": [], "plain": []}
    for one in read_records(mix / "examples.jsonl", Example):
        parts[one.part].append(one)
    assert {one.reply for one in parts["safety"]} == {f"{THINK.render_open}{PRIMER}"}
    assert len(parts["safety"]) == 6 and not any(one.begun for one in parts["plain"])
    (trained,) = (tmp_path / "runs").glob("train-*")
    manifest = json.loads((trained / "manifest.json").read_text())
    assert manifest["counts"]["trained"] == 12 and not manifest["counts"]["dropped"]
    proofs = {proof["part"]: proof for proof in json.loads((trained / "proof.json").read_text())}
    assert [text for text, on in proofs["safety"]["segments"] if on] == [PRIMER]
    assert "6 examples are the beginning of a reasoning" in (mix / "dataset" / "README.md").read_text()
    assert main(["check", str(recipe), *root]) == 0
    assert "of safety it is on the first words" in " ".join(capsys.readouterr().out.split())
