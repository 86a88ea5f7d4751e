"""The mix: which traces may be trained on, how they are drawn, what the card tells, and that no instruction gets in."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from faulty_server import Answer, completion, saying
from labels import labels

from unwaver.cli import main
from unwaver.errors import RecipeError
from unwaver.recipe import Draw, PromptSet, Recipe
from unwaver.records import Example, Prompt, Trace, Verdict
from unwaver.sources import load
from unwaver.stages import evenly, mix
from unwaver.stages.calls import Workplace
from unwaver.store import RunDir, Step, read_records
from unwaver.study.plan import plan

KEEPS = ("everything", "guard-only", "all-but-weak-vacillation", "pattern-free")
NEVER = "never asked"
"""No verdict at all, where None is one without a label."""
GUARD = ("safe", "unsafe", None, NEVER)
PATTERNS = (
    *("none", "weak_vacillation", "strong_vacillation", "strong_vacillation+weak_vacillation", "weak_vacillation"),
    *("lack_of_safety_awareness", "harmful_additions", "inconsistency", "weak_vacillation+inconsistency", None, NEVER),
)


class Judged:
    """Traces of one part with their verdicts, and the mix that is drawn from them."""

    def __init__(self, root: Path) -> None:
        self.place = Workplace(root)
        self.traces: list[Trace] = []
        self.verdicts: list[Verdict] = []

    def add(
        self,
        kind: str = "harmful",
        text: str | None = None,
        verdicts: Any = (),
        category: str | None = None,
        source: str = "mine@1",
        **fields: Any,
    ) -> Trace:
        text = f"Request number {len(self.traces)}" if text is None else text
        about = {"behaviour": text if kind == "harmful" else None, "category": category, "source": source}
        prompt = Prompt.model_validate({"text": text, "kind": kind, **about})
        whole = {"reasoning": "Hm.", "answer": "No.", "block": "closed", "ending": "stop"}
        trace = Trace.model_validate({"prompt": prompt, "model": "teacher@2", **whole, **fields})
        self.traces.append(trace)
        for rubric, label in dict(verdicts).items():
            self.say(trace, rubric, label)
        return trace

    def say(self, trace: Trace, rubric: str, label: str | None, judge: str = "judge@3") -> None:
        if label != NEVER:
            reason = "" if label else "could not be read"
            part = {"guard": "both", "risky-patterns": "both"}.get(rubric, "answer")
            fields = {
                "rubric": f"{rubric}@4",
                "judge": judge,
                "looked_at": part,
                "labels": labels(label),
                "reason": reason,
            }
            self.verdicts.append(Verdict.model_validate({"trace": trace.id, **fields}))

    def mix(
        self, keep: str = "guard-only", wanted: Any = "all", seed: int = 1, draw: Any = None, **prompts: Any
    ) -> Path:
        """The directory of the mix; its inputs are written where the stages before would leave them."""
        asked = Step("prompts", "part", {})
        distil = Step("distil", "part", {"n": len(self.traces)}, {"prompts": asked})
        judge = Step("judge", "part", {}, {"traces": distil})
        for step, name, records in [
            (asked, "", []),
            (distil, "traces", self.traces),
            (judge, "verdicts", self.verdicts),
        ]:
            with RunDir.open(step, self.place.root) as out:
                if name:
                    out.write(f"{name}.jsonl", records)
                out.finish({"written": len(records)})
        step = Step(
            "mix",
            "arm",
            {"keep": keep, "wanted": wanted, "seed": seed, "draw": draw},
            {"part": distil, "part, guard": judge},
        )
        recipe = {
            "name": "mixing",
            "seed": seed,
            "models": {"student": "hf:some/student"},
            "prompts": {"part": {"source": "file", "path": "mine.jsonl", "kind": "benign", **prompts}},
            "mix": {"parts": {"part": wanted}, "keep": keep, **(draw or {})},
            "distil": {"samples": 3},
        }
        mix.run(step, Recipe.model_validate(recipe), self.place)
        return step.directory(self.place.root)

    def kept(self, **settings: Any) -> list[str]:
        """Ids of the drawn traces, in the order of the examples."""
        return [str(example.trace) for example in read_records(self.mix(**settings) / "examples.jsonl", Example)]


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    return Judged(tmp_path)


# --------------------------------------------------------------------------------------------------- what may be kept


def allowed(keep: str, guard: str | None, patterns: str | None) -> bool:
    """The rule in docs/recipe.md, said another way."""
    clean = {"guard-only": True, "pattern-free": patterns == "none"}
    clean["all-but-weak-vacillation"] = patterns in ("none", "weak_vacillation")
    return keep == "everything" or (guard == "safe" and clean[keep])


@pytest.mark.parametrize("keep", KEEPS)
def test_what_each_keep_lets_through(judged: Judged, keep: str) -> None:
    expected = set()
    for guard, patterns in product(GUARD, PATTERNS):
        # A refusal, or none, decides nothing here: it is the guard and the patterns that are asked of a harmful prompt.
        trace = judged.add(verdicts={"guard": guard, "risky-patterns": patterns, "refusal": "compliance"})
        if allowed(keep, guard, patterns):
            expected.add(trace.id)
    assert set(judged.kept(keep=keep)) == expected
    manifest = json.loads((judged.mix(keep=keep) / "manifest.json").read_text())
    part = manifest["counts"]["parts"]["part"]
    assert part["kept"] == len(expected)
    assert part["kept"] + sum(part["dropped"].values()) == len(judged.traces)


SAFE = {"guard": "safe", "risky-patterns": "none", "refusal": "compliance", "maths": "correct", "code": "passed"}


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("kind", ["harmful", "borderline", "benign", "maths", "code"])
@pytest.mark.parametrize(
    "broken",
    [
        {"ending": "length"},
        {"ending": "filter", "failure": "withheld", "answer": None},
        {"ending": "error", "failure": "HTTP 500", "reasoning": None, "answer": None, "block": "none"},
        {"block": "unclosed", "answer": None},
        {"block": "none", "reasoning": None},
        {"block": "several"},
        {"answer": ""},
    ],
    ids=lambda fields: "-".join(map(str, fields.values())),
)
def test_a_reply_that_is_not_whole_is_never_trained_on(kind: str, keep: str, broken: dict[str, Any]) -> None:
    prompt = Prompt.model_validate({"text": "x", "kind": kind, "behaviour": "x" if kind == "harmful" else None})
    whole = {"reasoning": "Hm.", "answer": "No.", "block": "closed", "ending": "stop"}
    assert mix.why_not(Trace.model_validate({"prompt": prompt, "model": "m", **whole}), SAFE, keep) is None
    assert mix.why_not(Trace.model_validate({"prompt": prompt, "model": "m", **whole, **broken}), SAFE, keep)


@pytest.mark.parametrize(
    ("kind", "rubric", "good", "others"),
    [
        ("borderline", "refusal", "compliance", ["refusal", "partial", None, NEVER]),
        ("benign", "refusal", "compliance", ["refusal", "partial", None, NEVER]),
        ("maths", "maths", "correct", ["incorrect", None, NEVER]),
        ("code", "code", "passed", ["failed", None, NEVER]),
    ],
)
def test_a_harmless_prompt_must_be_answered_and_a_problem_solved(
    judged: Judged, kind: str, rubric: str, good: str, others: list[str | None]
) -> None:
    expected = judged.add(kind, verdicts={rubric: good})
    for label in others:
        judged.add(kind, verdicts={rubric: label})
    assert judged.kept(keep="everything") == [expected.id]


# ------------------------------------------------------------------------------------------------------------ drawing


def plenty(judged: Judged, count: int = 60) -> None:
    for number in range(count):
        patterns = ("none", "weak_vacillation", "strong_vacillation")[number % 3]
        judged.add(verdicts={"guard": "safe", "risky-patterns": patterns})


@pytest.mark.real
def test_a_smaller_mix_is_contained_in_a_larger_one_of_the_same_seed(judged: Judged) -> None:
    plenty(judged)
    sizes = [judged.kept(wanted=wanted) for wanted in (5, 6, 20, 60)]
    assert [len(found) for found in sizes] == [5, 6, 20, 60]
    for smaller, larger in pairwise(sizes):
        assert larger[: len(smaller)] == smaller
    assert sizes[-1] == judged.kept(wanted="all")
    assert set(judged.kept(wanted=20, seed=2)) != set(sizes[2])
    assert sizes[2] != [trace.id for trace in judged.traces[:20]]


@pytest.mark.parametrize("label", ["unsafe", None, "cut"])
def test_one_reply_that_may_not_be_kept_takes_its_prompt_out_of_all_k_safe(judged: Judged, label: str | None) -> None:
    """SafeChain's filter: a prompt stays where all its samples are safe; unsafe, unscored and cut ones are not."""
    for sample in range(3):
        judged.add(text="always safe", verdicts={"guard": "safe"}, sample=sample)
        cut = {"ending": "length"} if (label, sample) == ("cut", 1) else {}
        guard = "safe" if sample != 1 or label == "cut" else label
        judged.add(text="once not", verdicts={"guard": guard}, sample=sample, **cut)
    (kept,) = judged.kept(keep="all-k-safe")
    assert next(one for one in judged.traces if one.id == kept).prompt.text == "always safe"
    manifest = json.loads((judged.mix(keep="all-k-safe") / "manifest.json").read_text())
    dropped = manifest["counts"]["parts"]["part"]["dropped"]
    assert dropped.pop("another reply to the same prompt may not be kept") == 2 and sum(dropped.values()) == 3
    assert manifest["counts"]["parts"]["part"]["spare"] == 0
    assert len(judged.kept(keep="guard-only")) == 2
    for sample in range(3):
        judged.add(text="always safe, too", verdicts={"guard": "safe"}, sample=sample)
    left = json.loads((judged.mix(keep="all-k-safe", wanted=1) / "manifest.json").read_text())
    assert left["counts"]["parts"]["part"]["spare"] == 1, "a prompt, however many replies it has"


def test_all_k_safe_of_one_sample_is_refused() -> None:
    recipe = {"name": "x", "models": {"student": "hf:s"}, "prompts": {}, "mix": {"parts": {}, "keep": "all-k-safe"}}
    with pytest.raises(ValueError, match=r"all-k-safe.*distil\.samples"):
        Recipe.model_validate(recipe)
    assert Recipe.model_validate({**recipe, "distil": {"samples": 2}}).mix.keep == "all-k-safe"


def test_the_three_keeps_give_mixes_of_the_same_size(judged: Judged) -> None:
    plenty(judged)
    for keep in KEEPS:
        directory = judged.mix(keep=keep, wanted=20)
        assert len((directory / "examples.jsonl").read_text().splitlines()) == 20
        assert len((directory / "traces.jsonl").read_text().splitlines()) == 20
        assert len((directory / "dataset/train.jsonl").read_text().splitlines()) == 20
    with pytest.raises(RecipeError, match=r"mix\.parts\.part: 21 examples are wanted and 20 are left"):
        judged.mix(keep="pattern-free", wanted=21)


def test_one_example_a_prompt_however_often_it_was_asked(judged: Judged) -> None:
    for number in range(12):
        judged.add(
            text=f"Request {number % 3}", sample=number // 3, answer=f"No, {number}.", verdicts={"guard": "safe"}
        )
    directory = judged.mix()
    examples = list(read_records(directory / "examples.jsonl", Example))
    assert sorted(example.user for example in examples) == ["Request 0", "Request 1", "Request 2"]
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["counts"]["parts"]["part"]["dropped"] == {"another trace of the same prompt was drawn": 9}


@pytest.mark.parametrize("parts", [{"part": 4, "other": 4}, {"part": 2, "other": 1}])
def test_prompts_that_stand_in_two_parts_are_told(
    parts: dict[str, int], judged: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever asks for them gets them; they weigh more, and a count of prompts is no longer that of examples."""
    for number in range(4):
        judged.add(text=f"Request {number}", verdicts={"guard": "safe"})
    judged.mix()
    (distil,), (judge,) = ([*judged.place.root.glob(f"{stage}-*")] for stage in ("distil", "judge"))
    asked = Step("prompts", "part", {})
    read = Step("distil", "part", {"n": 4}, {"prompts": asked})
    by = Step("judge", "part", {}, {"traces": read})
    assert (read.directory(judged.place.root), by.directory(judged.place.root)) == (distil, judge)
    step = Step("mix", "arm", {"parts": parts}, {"part": read, "part, guard": by, "other": read, "other, guard": by})
    of = {"source": "file", "path": "mine.jsonl", "kind": "benign"}
    recipe = {
        "name": "mixing",
        "models": {"student": "hf:some/student"},
        "prompts": {"part": of, "other": of},
        "mix": {"parts": parts, "keep": "guard-only"},
    }
    mix.run(step, Recipe.model_validate(recipe), judged.place)
    examples = list(read_records(step.directory(judged.place.root) / "examples.jsonl", Example))
    again = len(examples) - len({example.user for example in examples})
    told = f"mix (arm): {again} of {len(examples)} examples ask what another asks"
    assert told in capsys.readouterr().err
    manifest = json.loads((step.directory(judged.place.root) / "manifest.json").read_text())
    assert manifest["counts"]["repeated"] == again > 0


def test_a_mix_without_such_prompts_says_nothing_of_them(judged: Judged, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        judged.add(verdicts={"guard": "safe"})
    assert "repeated" not in json.loads((judged.mix() / "manifest.json").read_text())["counts"]
    assert "another asks" not in capsys.readouterr().err


# ------------------------------------------------------------------------------------- spread over sources and categories


def drawn_of(judged: Judged, wanted: Any, **draw: Any) -> Counter[str]:
    kept = set(judged.kept(wanted=wanted, draw=draw))
    return Counter(f"{one.prompt.source} {one.prompt.category}" for one in judged.traces if one.id in kept)


def test_a_mix_drawn_evenly_takes_from_what_there_is_most_of(judged: Judged) -> None:
    for category, count in (("theft", 16), ("hate", 6), ("fraud", 3)):
        for _ in range(count):
            judged.add(category=category, verdicts={"guard": "safe"})
    assert drawn_of(judged, 9, draw="evenly") == {"mine@1 theft": 3, "mine@1 hate": 3, "mine@1 fraud": 3}
    assert drawn_of(judged, "all", draw="evenly").total() == 25
    chosen = [set(judged.kept(wanted=n, draw={"draw": "evenly"})) for n in (3, 9, 12)]
    assert chosen[0] < chosen[1] < chosen[2], "a smaller mix is contained in a larger one"
    counts = json.loads((judged.mix(wanted=9, draw={"draw": "evenly"}) / "manifest.json").read_text())["counts"]
    part = counts["parts"]["part"]
    assert part["categories"] == {"theft": 3, "hate": 3, "fraud": 3}
    assert part["dropped"] == {"enough were drawn": 16} and part["spare"] == 16
    plain = json.loads((judged.mix(wanted=9) / "manifest.json").read_text())["counts"]["parts"]["part"]
    assert "categories" not in plain, "by the seed nobody looks at categories"


def test_a_large_source_is_thinned_before_a_small_one_and_a_prompt_of_two_categories_before_one_of_one(
    judged: Judged,
) -> None:
    for source, category, count in (("big", "theft", 8), ("small", "theft", 2), ("big", "theft, hate", 2)):
        for _ in range(count):
            judged.add(category=category, source=source, verdicts={"guard": "safe"})
    assert drawn_of(judged, 4, draw="evenly") == {"big theft": 2, "small theft": 2}


def test_a_quota_holds_for_every_category_of_a_prompt_and_for_none_that_has_none(judged: Judged) -> None:
    for category, count in (("theft", 7), ("hate", 2), ("theft, hate", 3), (None, 5)):
        for _ in range(count):
            judged.add(category=category, verdicts={"guard": "safe"})
    for draw in ("by-seed", "evenly"):
        found = drawn_of(judged, "all", draw=draw, per_category=3)
        theft, hate, both = (found[f"mine@1 {name}"] for name in ("theft", "hate", "theft, hate"))
        assert theft + both <= 3 and hate + both <= 3 and found["mine@1 None"] == 5
    with pytest.raises(RecipeError, match=r"15 examples are wanted.*its category is full"):
        judged.mix(wanted=15, draw={"per_category": 3})


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.sampled_from("xyz"), unique=True, max_size=2)), max_size=20),
    st.integers(0, 12),
    st.sampled_from(("by-seed", "evenly")),
    st.one_of(st.none(), st.integers(1, 4)),
)
def test_as_many_are_drawn_as_are_wanted_and_there(groups: Any, wanted: int, draw: Draw, quota: int | None) -> None:
    of = {str(n): (source, tuple(names)) for n, (source, names) in enumerate(groups)}
    found, full = evenly.drawn(of, wanted, draw, quota)
    more, same = evenly.drawn(of, wanted + 1, draw, quota)
    assert len(found) == min(wanted, len(of) - len(full)) and found <= more <= of.keys() - full and same == full
    held = Counter(name for prompt in evenly.drawn(of, "all", draw, quota)[0] for name in of[prompt][1])
    assert quota is None or max(held.values(), default=0) <= quota


def test_the_rows_of_ones_own_file_may_say_which_set_they_are_from(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": "One", "source": "ALERT"}\n{"text": "Two", "source": ""}\n')
    entry = {"source": "file", "path": path, "kind": "harmful"}
    plain = load(PromptSet.model_validate(entry))
    (label,) = {prompt.source for prompt in plain}
    told = load(PromptSet.model_validate({**entry, "columns": {"source": "source"}}))
    assert [prompt.source for prompt in told] == [f"{label} ALERT", label]


def test_drawing_by_categories_makes_another_mix_and_leaves_the_others_their_names(tmp_path: Path) -> None:
    recipe = {
        "name": "x",
        "models": {"student": "hf:s", "teacher": "replay:corpus"},
        "prompts": {"p": {"source": "corpus/harmful", "split": "train"}},
        "mix": {"parts": {"p": 5}},
    }

    def named(**mix: Any) -> str:
        return plan(Recipe.model_validate({**recipe, "mix": {**recipe["mix"], **mix}}), "arm").mix.digest

    assert named() == named(draw="by-seed") and len({named(), named(draw="evenly"), named(per_category=2)}) == 3


def test_examples_are_the_traces_they_were_made_of(judged: Judged) -> None:
    plenty(judged, 9)
    odd = judged.add(text="Übung \ud800 \u2028 drei", answer="Nein.\n\u2028Nie.", verdicts={"guard": "safe"})
    directory = judged.mix()
    examples = list(read_records(directory / "examples.jsonl", Example))
    traces = list(read_records(directory / "traces.jsonl", Trace))
    assert [example.trace for example in examples] == [trace.id for trace in traces]
    assert {trace.id for trace in traces} == {trace.id for trace in judged.traces}
    for example, trace in zip(examples, traces, strict=True):
        assert (example.user, example.prompt) == (trace.prompt.text, trace.prompt.id)
        assert example.reply == f"<think>\n{trace.reasoning}\n</think>\n\n{trace.answer}"
        assert all(span.trained for span in example.spans)
    assert odd in traces


# ------------------------------------------------------------------------- the whole way, from a server to the data set

SENTINEL = "zebra-lantern-4471"

CHAIN = """
name = "chain"
[models]
student = "hf:some/student"
[models.teacher]
name = "openai:teacher"
base_url = "{url}"
[models.guard]
name = "openai:judge"
base_url = "{url}"
[prompts.safety]
source = "file"
path = "safety.jsonl"
kind = "harmful"
licence = "CC0-1.0"
[prompts.plain]
source = "corpus/plain"
limit = 4
[distil]
method = "improved"
benign_method = "realsafe"
instruction_file = "mine.md"
[judge]
guard = "guard"
[mix]
parts = {{ safety = 3, plain = 2 }}
"""


def written(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.real
def test_the_instruction_never_reaches_the_training_text_and_the_card_tells_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    asked: list[str] = []

    def answer(body: dict[str, Any], headers: dict[str, str]) -> Answer:
        said = "\n".join(message["content"] for message in body["messages"])
        if body["model"] == "judge":
            verdict = {"analysis": "read it", "label": "safe", "quote": None}
            return 200, {}, completion("", content=json.dumps(verdict))
        asked.append(said)
        risky = "<think>\nThis would hurt somebody; I must refuse.\n</think>\n\nI'm sorry, but I can't help with that."
        plain = "<think>\nThat is a plain question.\n</think>\n\nHere is how it works, step by step: it goes like this."
        return 200, {}, completion("", content=risky if "rumour" in said else plain)

    (tmp_path / "safety.jsonl").write_text(
        "".join(json.dumps({"text": f"Spread rumour number {n} about a neighbour"}) + "\n" for n in range(5))
    )
    (tmp_path / "mine.md").write_text(f"Think about policy first. {SENTINEL}. Then answer.\n")
    recipe = tmp_path / "recipe.toml"
    with saying(answer) as url:
        recipe.write_text(CHAIN.format(url=url))
        for verb in ("prompts", "distil", "judge", "mix"):
            assert main([verb, str(recipe), "--root", str(tmp_path / "runs")]) == 0, capsys.readouterr().err
    assert sum(SENTINEL in said for said in asked) == 5, "the instruction did not even reach the teacher"
    directory = Path(capsys.readouterr().out.strip().splitlines()[-1])
    assert main(["export", str(directory), "--to", "sharegpt", "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    for shape in ("messages", "dpo"):
        assert main(["export", str(directory.parent), "--to", shape, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert f"expected a finished run of mix; it holds {directory.name} (" in told
    assert "expected a finished run of distil" in told

    learned = [*tmp_path.glob("runs/chain/distil-*/traces.jsonl"), *written(directory), *written(tmp_path / "out")]
    names = {path.name for path in learned}
    assert names >= {"traces.jsonl", "examples.jsonl", "train.jsonl", "README.md", "manifest.json", "sharegpt.json"}
    for path in learned:
        assert SENTINEL not in path.read_text(encoding="utf-8"), path
        assert "Think about policy first" not in path.read_text(encoding="utf-8"), path

    for card in (directory / "dataset/README.md", tmp_path / "out/README.md"):
        text = card.read_text(encoding="utf-8")
        for line in [
            "| safety | 3 | 3 |",
            "| safety | enough were drawn | 2 |",
            "| prompts safety | written | 5 |",
            "| distil safety | endings: stop | 5 |",
            "| prompts plain | kinds: benign | 4 |",
            "| judge safety, guard by guard | traces | 5 |",
            "| judge plain, refusal by local | traces | 4 |",
            "| student | hf:some/student | not stated |",
            "| teacher | openai:teacher | not stated |",
            "| judge of guard | openai:judge | not stated |",
            "| judge of refusal | local |",
            "| CC0-1.0 |",
            "| Apache-2.0 |",
        ]:
            assert line in text, (card, line)
        assert r"labels: guard (both) by openai\:judge: safe | 5 |" in text  # no `:judge:`, which is a picture
