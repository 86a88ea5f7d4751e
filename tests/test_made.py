"""What each stage says it made, and that nothing is asked about what can't be used: through the command, with a server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faulty_server import Answer, completion, saying

from unwaver.cli import main
from unwaver.records import Prompt, Trace
from unwaver.stages import usable

RECIPE = """
name = "made"
[models]
student = "hf:none/none"
teacher = {{ name = "openai:teacher", base_url = "{url}" }}
judge = {{ name = "openai:judge", base_url = "{url}" }}
[prompts.safety]
source = "corpus/harmful"
split = "train"
limit = 6
[prompts.plain]
source = "corpus/plain"
split = "train"
limit = 4
[distil]
method = "default"
max_tokens = 80
[judge]
guard = "judge"
[mix]
parts = {{ safety = 3, plain = 2 }}
keep = "{keep}"
"""

WHOLE = "<think>That is easily said.</think>It is blue."


class Served:
    """A recipe whose teacher and judge are a server that says what the test wants."""

    def __init__(self, folder: Path, keep: str = "guard-only") -> None:
        self.folder, self.keep, self.url = folder, keep, ""
        self.asked: Counter[str] = Counter()
        self.teacher: Callable[[int], tuple[str, str]] = lambda number: (WHOLE, "stop")
        self.judge, self.ended = json.dumps({"analysis": "read", "label": "safe", "quote": None}), "stop"

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        self.asked[body["model"]] += 1
        if body["model"] == "judge":
            return 200, {}, completion("", self.ended, content=self.judge)
        text, finish = self.teacher(self.asked["teacher"])
        return 200, {}, completion("", finish, text)

    def do(self, *verbs: str) -> list[int]:
        recipe = self.folder / "recipe.toml"
        recipe.write_text(RECIPE.format(url=self.url, keep=self.keep))
        return [main([verb, str(recipe), "--root", str(self.folder / "runs")]) for verb in verbs]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path)
    with saying(found.answer) as found.url:
        yield found


@pytest.mark.real
def test_every_stage_says_in_a_line_what_it_made(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.teacher = lambda number: ("It is cut", "length") if number == 1 else (WHOLE, "stop")
    assert served.do("prompts", "distil", "judge", "mix") == [0, 0, 0, 0]
    said = capsys.readouterr().err
    assert "prompts safety: 6 prompts (6 harmful)\n" in said
    assert "distil plain: 4 traces\n" in said
    assert "distil safety: 6 traces; 1 cut at 80 tokens\n" in said
    assert "judge safety, guard by judge: 6 traces; 6 safe\n" in said
    assert (
        "mix default: 5 examples by keep = guard-only: safety 3, 2 prompts to spare (dropped: 1 cut by the token"
        in said
    )
    assert "overlap default: shares no text with what is evaluated\n" in said


@pytest.mark.real
@pytest.mark.parametrize(("ended", "advised"), [("length", True), ("stop", False)])
def test_a_judge_that_is_cut_short_is_told_by_its_setting(
    served: Served, capsys: pytest.CaptureFixture[str], ended: str, advised: bool
) -> None:
    served.judge, served.ended = '{"analysis": "It is', ended
    served.do("prompts", "distil")
    served.do("judge")
    said = capsys.readouterr().err
    assert "6 unscored (6 unreadable" in said and (": raise judge.max_tokens\n" in said) == advised


@pytest.mark.real
@pytest.mark.parametrize(
    ("text", "finish", "told", "advised"),
    [
        ("Blue, and then", "length", "6 cut at 80 tokens", "raise distil.max_tokens"),
        ("<think>Blue, and then", "length", "6 cut at 80 tokens)", "raise distil.max_tokens"),
        ("It is blue.", "stop", "(6 without a reasoning block)", "have the teacher think"),
        ("<think>It is blue.", "stop", "never closed", "models.teacher.tags"),
        ("<think>It is blue.</think>", "stop", "6 without an answer", "unwaver show"),
    ],
)
def test_a_distillation_nothing_of_which_can_be_used_ends_the_run_before_anybody_else_is_asked(
    served: Served, capsys: pytest.CaptureFixture[str], text: str, finish: str, told: str, advised: str
) -> None:
    served.teacher = lambda number: (text, finish)
    served.do("prompts")
    served.do("distil")
    asked = served.asked.copy()
    assert asked["teacher"] == 6, "the other part's teacher is asked although the first part is known to be useless"
    said = capsys.readouterr().err
    assert told in said and advised in said and "0 of 6 traces can be trained on" in said
    # Neither now nor by the same command again.
    for verb in ("judge", "mix", "distil"):
        assert served.do(verb) == [2 if verb == "distil" else 3]  # the others read what is not there
    assert served.asked == asked


def test_too_few_for_what_the_mix_wants_is_known_as_early(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.teacher = lambda number: (WHOLE, "stop") if number <= 2 else ("It is blue.", "stop")
    assert served.do("prompts", "distil") == [0, 2]
    assert "mix.parts.safety: 3 examples are wanted, and 2 of 6 traces can be trained on" in capsys.readouterr().err
    assert served.asked["judge"] == 0


def test_too_few_prompts_with_nothing_wrong_in_their_traces_are_told_without_an_empty_reason(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert served.do("prompts", "distil") == [0, 0]
    recipe, root = str(served.folder / "recipe.toml"), str(served.folder / "runs")
    assert main(["judge", recipe, "--root", root, "--mix.parts.safety", "9"]) == 2
    said = capsys.readouterr().err
    assert "9 examples are wanted, and 6 of 6 traces can be trained on: ask for fewer, or distil more" in said


def test_a_guard_that_can_read_nothing_ends_the_run_before_others_read(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    served.judge = "Well, well."
    assert served.do("prompts", "distil", "judge") == [0, 0, 2]
    said = capsys.readouterr().err
    assert "judge could read none of 6 traces for guard, which decides what is kept" in said
    assert "judge safety, patterns" not in said


def test_the_judge_is_free_where_it_decides_nothing(served: Served) -> None:
    served.judge, served.keep = "Well, well.", "everything"
    assert served.do("prompts", "distil", "judge", "mix") == [0, 0, 0, 0]


def traces() -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    yield {"reasoning": "Hm.", "answer": "No.", "block": "closed"}, ()
    yield {"reasoning": "Hm.", "answer": "N", "block": "closed", "ending": "length"}, (usable.CUT,)
    yield {"reasoning": "Hm", "block": "unclosed", "ending": "length"}, (usable.CUT,)
    yield {"answer": "N", "block": "none", "ending": "length"}, (usable.CUT, usable.NO_BLOCK)
    yield {"answer": "No.", "block": "none"}, (usable.NO_BLOCK,)
    yield {"reasoning": "Hm.", "block": "closed"}, (usable.NO_ANSWER,)
    yield {"reasoning": "Hm.", "answer": "", "block": "closed"}, (usable.NO_ANSWER,)
    yield {"reasoning": "Hm.", "block": "unclosed"}, (usable.UNCLOSED,)
    yield {"answer": "No.", "block": "several"}, (usable.OTHER_MARKS,)
    yield {"answer": "No.", "block": "foreign"}, (usable.OTHER_MARKS,)
    yield {"ending": "filter", "failure": "withheld"}, (usable.NO_REPLY,)
    yield {"ending": "error", "failure": "HTTP 500"}, (usable.NO_REPLY,)


@pytest.mark.parametrize(("fields", "expected"), list(traces()))
def test_what_is_not_whole_has_names(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    prompt = Prompt(text="What is blue?", kind="benign", source="mine@1")
    trace = Trace.model_validate({"prompt": prompt, "model": "m", "ending": "stop", **fields})
    assert usable.faults(trace) == expected


@pytest.mark.parametrize(
    ("counts", "named"),
    [
        ({usable.CUT: 6, usable.NO_BLOCK: 6}, [usable.CUT]),
        ({usable.CUT: 4, usable.NO_BLOCK: 1}, [usable.CUT]),
        ({usable.CUT: 5, usable.NO_BLOCK: 6}, [usable.CUT, usable.NO_BLOCK]),  # one whole reply has no block either
        ({usable.CUT: 2, usable.NO_BLOCK: 6}, [usable.NO_BLOCK]),
        ({usable.CUT: 4, usable.OTHER_MARKS: 5}, [usable.CUT, usable.OTHER_MARKS]),
        ({usable.NO_ANSWER: 2}, [usable.NO_ANSWER]),
    ],
)
def test_the_advice_is_about_what_most_have(counts: dict[str, int], named: list[str]) -> None:
    assert usable.advice(counts) == "; and ".join(usable.ADVICE[fault] for fault in named)
