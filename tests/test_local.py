"""Local generation: what a batch must not change, what a recipe decides and not the model's own files, vLLM's door."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tiny import PLAIN, SAFE_OR_NOT, THINKS, guard, llama

from unwaver import attacks, recipe_file
from unwaver.errors import RecipeError
from unwaver.models.engine import Engine
from unwaver.models.local import LocalModel, _HalfEnded, _SeededNoise, _Transformers
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Reply, Request, Sampling
from unwaver.stages.calls import Calls, Workplace
from unwaver.store import RunDir, Step, read_manifest
from unwaver.study.run import do
from unwaver.study.steps import plans, reads_student

pytestmark = pytest.mark.real


def ask(settings: ModelSettings, *requests: Request) -> list[Reply]:
    async def all_of_them() -> list[Reply]:
        model = LocalModel(settings)
        replies = await asyncio.gather(*(model.reply(request) for request in requests))
        await model.close()
        return replies

    return asyncio.run(all_of_them())


def request(text: str, sample: int = 0, **sampling: Any) -> Request:
    drawn = Sampling(**{"max_tokens": 12, **sampling})
    return Request(messages=(Message(role="user", content=text),), sampling=drawn, sample=sample)


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("models") / "babbler", PLAIN)


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the library's `generate` is given, call by call."""
    from transformers import LlamaForCausalLM

    calls: list[dict[str, Any]] = []
    real = LlamaForCausalLM.generate

    def noted(self: Any, *args: Any, **given: Any) -> Any:
        calls.append(given)
        return real(self, *args, **given)

    monkeypatch.setattr(LlamaForCausalLM, "generate", noted)
    return calls


def local(folder: Path, **more: Any) -> ModelSettings:
    return ModelSettings(name=f"hf:{folder}", load={"dtype": "float32"}, **more)


# ---------------------------------------------------------------- transformers


def test_greedy_is_the_likeliest_token_whatever_the_model_s_own_file_asks_for(tmp_path: Path, babbler: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    asked = request("Say a word", max_tokens=24)
    (plain,) = ask(local(babbler), asked)
    folder = tmp_path / "penalised"
    shutil.copytree(babbler, folder)
    own = json.loads((folder / "generation_config.json").read_text())
    own |= {"repetition_penalty": 5.0, "do_sample": True, "temperature": 9.0, "min_new_tokens": 24}
    (folder / "generation_config.json").write_text(json.dumps(own))
    (reply,) = ask(local(folder), asked)
    assert reply.text == plain.text
    # The file does change what `generate` does when it is left to it.
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    words: Any = AutoTokenizer.from_pretrained(folder)
    ids = words("[user]Say a word[assistant]", return_tensors="pt")
    out = model.generate(**ids, max_new_tokens=24, do_sample=False, pad_token_id=words.eos_token_id)
    assert words.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True) != plain.text


def test_a_seed_gives_the_same_sample_whatever_its_neighbours_in_the_batch(babbler: Path) -> None:
    drawn = [request("Tell it", sample, temperature=1.0, top_p=0.95, seed=7) for sample in range(6)]
    others = [request("x" * n, temperature=1.0, top_p=0.95, seed=n) for n in range(1, 60, 6)]
    alone = [reply.text for reply in ask(local(babbler, batch_size=1), *drawn)]
    among = ask(local(babbler, batch_size=16), *others[:5], *drawn, *others[5:])
    assert [reply.text for reply in among[5:11]] == alone
    assert len(set(alone)) == 6, "every sample has a seed of its own"


def test_rows_that_have_ended_are_left_out_and_the_others_go_on_as_they_would_alone(
    babbler: Path, generated: list[dict[str, Any]]
) -> None:
    drawn = [request("x" * n, n, max_tokens=400, temperature=1.0, seed=n) for n in range(16)]
    alone = ask(local(babbler, batch_size=1), *drawn)
    generated.clear()
    together = ask(local(babbler, batch_size=16), *drawn)
    rows = [len(given["input_ids"]) for given in generated]
    assert together == alone
    assert {reply.ending for reply in alone} == {"stop", "length"}
    assert rows[0] == 16 and len(rows) > 1 and all(2 * more <= before for before, more in pairwise(rows))


def test_the_longest_are_generated_first_and_with_their_like(babbler: Path, generated: list[dict[str, Any]]) -> None:
    lengths = [(17 * n) % 61 + 1 for n in range(40)]
    replies = ask(local(babbler, batch_size=8), *(request("x" * n, max_tokens=1) for n in lengths))
    assert [reply.tokens_in for reply in replies] == [n + len("[user][assistant]") for n in lengths]
    batches = [given["attention_mask"].sum(1).tolist() for given in generated]
    assert [len(batch) for batch in batches] == [8] * 5
    assert all(min(one) >= max(other) for one, other in pairwise(batches))


def test_a_long_prompt_pads_no_short_ones(babbler: Path, generated: list[dict[str, Any]]) -> None:
    lengths = [3, 1000, 40, 2000, 1100, 8]
    replies = ask(local(babbler, batch_size=8), *(request("x" * n, max_tokens=1) for n in lengths))
    frame = len("[user][assistant]")
    assert [reply.tokens_in for reply in replies] == [n + frame for n in lengths]
    batches = [tuple(given["input_ids"].shape) for given in generated]
    assert batches == [(1, 2000 + frame), (2, 1100 + frame), (3, 40 + frame)]


def test_a_batch_that_nobody_waits_for_any_more_ends_at_its_next_token(
    babbler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after Ctrl-C: the thread that generates can't be ended from outside, and the process waits for it."""
    greedy = [request("x" * n, max_tokens=400) for n in range(1, 60)]
    endless = next(
        one for one, reply in zip(greedy, ask(local(babbler), *greedy), strict=True) if reply.ending != "stop"
    )
    widths: list[int] = []
    real = _HalfEnded.__call__

    def noted(self: _HalfEnded, input_ids: Any, *rest: Any, **more: Any) -> Any:
        widths.append(input_ids.shape[1])
        return real(self, input_ids, *rest, **more)

    monkeypatch.setattr(_HalfEnded, "__call__", noted)
    long = endless.model_copy(update={"sampling": Sampling(max_tokens=100_000)})

    async def asked_and_left() -> None:
        model = LocalModel(local(babbler))
        call = asyncio.create_task(model.reply(long))
        while len(widths) < 20:
            await asyncio.sleep(0.01)
        call.cancel()

    asyncio.run(asked_and_left())
    assert 20 <= len(widths) < 5_000


def test_a_batch_that_takes_long_says_how_far_it_is(
    babbler: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("unwaver.models.local.TELL_EVERY", 0.0)
    (reply,) = ask(local(babbler), request("Say a word", max_tokens=5, temperature=1.0, seed=1))
    assert reply.tokens_out is not None
    told = [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines() if " tokens" in line]
    assert told[0] == "1 of a batch of 1 replies go on after 1 of at most 5 tokens"
    assert len(told) == reply.tokens_out


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 0.95), (1.7, 0.5)])
def test_sampled_tokens_are_distributed_as_temperature_and_top_p_say(temperature: float, top_p: float) -> None:
    import torch
    from scipy.stats import chisquare

    draws, scores = 4000, [2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0, -2.0]
    weights = [math.exp(score / temperature) for score in scores]
    shares = [weight / sum(weights) for weight in weights]
    kept, mass = 0, 0.0
    while mass < top_p and kept < len(shares):  # they are in falling order: the fewest that hold so much
        mass, kept = mass + shares[kept], kept + 1
    noise = _SeededNoise(list(range(draws)), Sampling(temperature=temperature, top_p=top_p), "cpu")
    for step in range(2):
        chosen = noise(torch.zeros((draws, 1), dtype=torch.long), torch.tensor([scores] * draws)).argmax(1).tolist()
        counts = Counter(chosen)
        assert set(counts) <= set(range(kept))
        expected = [draws * share / mass for share in shares[:kept]]
        assert chisquare([counts[token] for token in range(kept)], expected).pvalue > 0.001, f"step {step}"


# ---------------------------------------------------------------- how often weights are loaded

SETS = """
name = "loads"
[models]
student = {{ name = "hf:{student}", batch_size = 8 }}
one = "hf:{one}"
two = "hf:{two}"
[prompts]
first = {{ source = "file", path = "first.jsonl", kind = "harmful" }}
second = {{ source = "file", path = "second.jsonl", kind = "harmful" }}
third = {{ source = "file", path = "third.jsonl", kind = "harmful" }}
[judge]
harm = ["one", "two"]
[mix]
parts = {{}}
[evaluate]
max_tokens = 4
[evaluate.sets.first]
[evaluate.sets.second]
attack = "empty-think"
[evaluate.sets.third]
"""


def of_the_student(step: Step) -> bool:
    """What an evaluation takes: prompts, asking, reading."""
    return step.stage in ("prompts", "evaluate") or reads_student(step)


def test_every_model_is_loaded_once_for_all_evaluations_of_a_checkpoint(
    tmp_path: Path, babbler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    texts = [f"Spread rumour {n}" for n in range(4)]
    one = guard(tmp_path / "one" / "Llama-Guard-3-8B", SAFE_OR_NOT, texts)
    two = guard(tmp_path / "two" / "Llama-Guard-3-8B", SAFE_OR_NOT, texts)
    for name in ("first", "second", "third"):
        rows = [json.dumps({"text": f"{text} of the {name}"}) + "\n" for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    path = tmp_path / "recipe.toml"
    path.write_text(SETS.format(student=babbler, one=one, two=two))
    work = plans(recipe_file.arms(recipe_file.read_toml(path), path))
    loaded: list[str] = []
    real = AutoModelForCausalLM.from_pretrained

    def noted(folder: str, **given: Any) -> Any:
        loaded.append(folder)
        return real(folder, **given)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", noted)
    batches: list[int] = []
    generate = _Transformers.generate

    def counted(self: _Transformers, requests: list[Request], *others: Any) -> None:
        batches.append(len(requests))
        generate(self, requests, *others)

    monkeypatch.setattr(_Transformers, "generate", counted)
    assert do(work, tmp_path / "runs", of_the_student) == 6 + 3 * 4
    assert loaded == [str(babbler), str(one), str(two)]
    assert batches[:2] == [8, 4], "three sets of four are asked in common batches of eight"
    for step in work[0].raw.values():
        manifest = read_manifest(step.directory(tmp_path / "runs"))
        assert manifest is not None and sum(manifest["counts"]["endings"].values()) == 4
        assert set(manifest["calls"]) == {f"hf:{babbler}"}
        asked = manifest["calls"][f"hf:{babbler}"]
        assert (asked["asked"], asked["found"]) == (4, 0)
    # A set that is lost is asked again; the others are left alone.
    (work[0].raw["second"].directory(tmp_path / "runs") / "manifest.json").unlink()
    assert do(work, tmp_path / "runs", of_the_student) == 1
    assert len(loaded) == 3, "its replies are in the ledger"


# ---------------------------------------------------------------- vLLM, as far as it goes without a GPU


class FakeVllm(ModuleType):
    """Stands in for the package: notes what it is asked and says the same to everybody, as far as the limit lets it."""

    def __init__(self, words: Any, says: str, ends: int) -> None:
        super().__init__("vllm")
        self.said: list[int] = words(says, add_special_tokens=False)["input_ids"]
        self.ends = ends
        self.own_end = words.eos_token_id
        self.engines: list[dict[str, Any]] = []
        self.batches: list[list[tuple[list[int], dict[str, Any]]]] = []
        self.shut: list[str] = []
        self.under_way: dict[str, dict[str, Any]] = {}
        self.given_up: list[str] = []
        self.holds: int | None = None
        self.held = threading.Event()
        self.ended = 0

    def SamplingParams(self, **given: Any) -> dict[str, Any]:
        return given

    def LLM(self, **given: Any) -> Any:
        self.engines.append(given)
        core = SimpleNamespace(shutdown=lambda: self.shut.append(given["model"]))
        return SimpleNamespace(llm_engine=SimpleNamespace(**self._doors(), engine_core=core))

    def _doors(self) -> dict[str, Any]:
        return {"add_request": self._add, "step": self._step, "abort_request": self._abort}

    def _add(self, name: str, prompt: dict[str, list[int]], params: dict[str, Any]) -> None:
        if not self.under_way:
            self.batches.append([])
        self.batches[-1].append((prompt["prompt_token_ids"], params))
        self.under_way[name] = params

    def _step(self) -> list[Any]:
        """The reply that was asked for last ends first; after `holds` replies none ends any more."""
        if self.holds is not None and self.ended >= self.holds:
            self.held.set()
            return []
        self.ended += 1
        name, given = self.under_way.popitem()
        return [SimpleNamespace(request_id=name, finished=True, outputs=[self._output(given["max_tokens"])])]

    def _abort(self, names: list[str]) -> None:
        self.given_up += names
        for name in names:
            del self.under_way[name]

    def _output(self, most: int) -> Any:
        whole = [*self.said, self.ends]
        stopped = most >= len(whole)
        return SimpleNamespace(
            token_ids=whole[:most],
            finish_reason="stop" if stopped else "length",
            stop_reason=self.ends if stopped and self.ends != self.own_end else None,
        )


SAYS = "It hurts.</think>No."


@pytest.fixture
def opener(tmp_path: Path) -> Path:
    return llama(tmp_path / "opener", THINKS)


@pytest.fixture(params=["its own end token", "another end token"])
def vllm(request: pytest.FixtureRequest, opener: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVllm]:
    from transformers import AutoTokenizer

    words: Any = AutoTokenizer.from_pretrained(opener)
    fake = FakeVllm(words, SAYS, words.eos_token_id if request.param.startswith("its own") else 7)
    monkeypatch.setitem(sys.modules, "vllm", fake)
    params = ModuleType("vllm.sampling_params")
    params.RequestOutputKind = SimpleNamespace(FINAL_ONLY="final")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", params)
    yield fake


def test_vllm_is_asked_with_every_setting_and_its_replies_are_read_to_the_token(vllm: FakeVllm, opener: Path) -> None:
    settings = ModelSettings(name=f"vllm:{opener}", load={"max_model_len": 512})
    sampled = [request("Why?", n, temperature=0.6, top_p=0.9, seed=40, max_tokens=99) for n in range(2)]
    forced = request("Why?", max_tokens=99).model_copy(update={"prefill": attacks.find("short-think").opening()})
    cut = request("Why?", max_tokens=5)
    replies = ask(settings, *sampled, forced, cut)
    (engine,) = vllm.engines
    assert (engine["model"], engine["max_model_len"], engine["seed"]) == (str(opener), 512, 0)
    asked = {tuple(ids): given for batch in vllm.batches for ids, given in batch}
    given = [params for batch in vllm.batches for _, params in batch if params["temperature"] == 0.6]
    assert sorted(params["seed"] for params in given) == [40, 41]
    assert {(params["top_p"], params["max_tokens"]) for params in given} == {(0.9, 99)}
    # One token is one byte here. The template opens the block; a prefill that opens it itself takes its place.
    assert {len(ids) for ids in asked} == {
        len("[user]Why?[assistant]<think>\n"),
        len("[user]Why?[assistant]") + len(forced.prefill),
    }
    whole = replies[0]
    assert (whole.text, whole.ending, whole.opened) == (SAYS, "stop", True)
    assert (whole.tokens_out, whole.tokens_reasoning) == (len(SAYS) + 1, len("It hurts."))
    assert (replies[3].text, replies[3].ending, replies[3].tokens_out) == (SAYS[:5], "length", 5)
    assert vllm.shut == [str(opener)], "its engine holds the GPU until it is told to end"


def test_hundreds_of_calls_wait_for_vllm_together(tmp_path: Path, vllm: FakeVllm, opener: Path) -> None:
    settings = ModelSettings(name=f"vllm:{opener}")
    place = Workplace(tmp_path)
    with RunDir.open(Step("evaluate", "set", {}), tmp_path) as out:
        calls = Calls(out, place, 0.0)
        asked = [request(f"Question {n}", max_tokens=99) for n in range(300)]
        calls.ask(settings, lambda: asked, len(asked), "ask")
        calls.close()
    assert [len(batch) for batch in vllm.batches] == [300]
    assert ModelSettings(name=f"vllm:{opener}", concurrency=3).concurrency == 3
    place.close()
    assert vllm.shut == [str(opener)]


def test_vllms_replies_are_kept_as_they_end_and_the_rest_is_given_up_when_nobody_waits(
    tmp_path: Path, vllm: FakeVllm, opener: Path
) -> None:
    """Of five replies two have ended when the command is interrupted: those are in the ledger, three are asked again."""
    settings = ModelSettings(name=f"vllm:{opener}")
    asked = [request(f"Question {n}", max_tokens=99) for n in range(5)]
    place, step = Workplace(tmp_path), Step("evaluate", "set", {})
    vllm.holds = 2

    async def interrupted(engines: dict[str, Engine]) -> None:
        work = asyncio.create_task(engines[""].ask_all(asked))
        await asyncio.to_thread(vllm.held.wait)
        work.cancel()
        raise KeyboardInterrupt

    with RunDir.open(step, tmp_path) as out:
        calls = Calls(out, place, 0.0)
        with pytest.raises(KeyboardInterrupt):
            calls.drive({"": settings}, interrupted)
        calls.close()
    assert len(vllm.given_up) == 3 and not vllm.under_way
    vllm.holds = None
    with RunDir.open(step, tmp_path) as out:
        calls = Calls(out, place, 0.0)
        calls.ask(settings, lambda: asked, len(asked), "ask")
        assert calls.summary()["calls"][settings.label]["found"] == 2
        calls.close()
    assert [len(batch) for batch in vllm.batches] == [5, 3]
    place.close()


def test_two_vllm_engines_at_once_are_refused(tmp_path: Path, vllm: FakeVllm, opener: Path) -> None:
    roles = {"target": ModelSettings(name=f"vllm:{opener}"), "judge": ModelSettings(name="vllm:some/other")}

    async def work(engines: Any) -> None:
        raise AssertionError("nothing is asked")

    with RunDir.open(Step("evaluate", "set", {}), tmp_path) as out:
        calls = Calls(out, Workplace(tmp_path), 0.0)
        with pytest.raises(RecipeError, match=r"opener and vllm:some/other .*`vllm serve MODEL`"):
            calls.drive(roles, work)
        calls.close()
    assert not vllm.engines


def test_weights_that_are_not_there_end_the_command_for_everybody_who_waits(tmp_path: Path) -> None:
    model = LocalModel(ModelSettings(name=f"hf:{tmp_path / 'nowhere'}"))

    async def ask() -> list[Any]:
        asked = [Request(messages=(Message(role="user", content=f"{n}"),), sampling=Sampling()) for n in range(3)]
        waiting = asyncio.gather(*(model.reply(one) for one in asked), return_exceptions=True)
        return await asyncio.wait_for(waiting, 60)

    for _ in range(2):  # nobody is left waiting for the second load either
        told = asyncio.run(ask())
        assert [type(one) for one in told] == [RecipeError] * 3 and "nowhere" in str(told[0])
