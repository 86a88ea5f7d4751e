"""Nothing that bears a name of its own vanishes or is counted with another, however alike the two are."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import report_runs

from unwaver import recipe_file
from unwaver.cli import main
from unwaver.errors import RecipeError
from unwaver.study.results import Results, collect
from unwaver.study.steps import plans

RATES = ("asr", "loop_in_answer")


def collected(folder: Path, more: str, head: str = "") -> Results:
    path = report_runs.study(folder, more, head)
    return collect(plans(recipe_file.arms(recipe_file.read_toml(path), path, {})), folder / "runs")


def rates(results: Results, arm: str, set_: str) -> list[Any]:
    """What was measured, but for the names."""
    found = [one for one in results.estimates if (one.arm, one.slice) == (arm, set_)]
    assert {one.metric for one in found} >= set(RATES)
    return [one.model_copy(update={"arm": "", "slice": "", "runs": ()}) for one in found]


@pytest.mark.parametrize("others", [["two"], ["two", "a third"]])
def test_sets_of_the_same_prompts_asked_in_the_same_way_have_each_its_own_figures(
    others: list[str], tmp_path: Path
) -> None:
    (tmp_path / "alone").mkdir()
    alone = collected(tmp_path / "alone", "")
    more = "".join(f'[evaluate.sets."{name}"]\nprompts = "unseen"\n' for name in others)
    results = collected(tmp_path, more)
    counted = Counter((row.arm, row.slice) for row in results.rows)
    names = {(arm, set_) for arm in results.arms for set_ in ("unseen", *others)}
    assert counted == dict.fromkeys(names, report_runs.PROMPTS)
    for arm in results.arms:
        for set_ in others:
            both, without = rates(results, arm, set_), rates(alone, arm, "unseen")
            assert both == rates(results, arm, "unseen")
            assert [(one.metric, one.value, one.n, one.n_unscored) for one in both] == [
                (one.metric, one.value, one.n, one.n_unscored) for one in without
            ]
    assert main(["report", str(tmp_path / "recipe.toml"), "--root", str(tmp_path / "runs")]) == 0


@pytest.mark.parametrize("name", ["raw", "raw, seed 42", "raw, another student"])
def test_no_trained_arm_is_called_what_the_student_before_training_is(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f'{report_runs.TINY}[arms."{name}"]\ntrain.epochs = 2\n[arms.other]\n')
    with pytest.raises(RecipeError, match=re.escape(f"arm `{name}`: is trained, and `raw` is what the student")):
        plans(recipe_file.arms(recipe_file.read_toml(path), path, {}))
    assert main(["check", str(path), "--no-student"]) == 2
    assert f"arm `{name}`" in capsys.readouterr().err


def test_arms_that_train_nothing_keep_their_names_and_figures_however_alike_they_are(tmp_path: Path) -> None:
    none = "mix.parts = {}\n"
    results = collected(tmp_path, f"[arms.raw]\n{none}[arms.base]\n{none}[arms.trained]\n")
    assert results.arms == ["raw", "base", "trained"]
    counted = Counter(row.arm for row in results.rows)
    assert counted == dict.fromkeys(results.arms, report_runs.PROMPTS)
    assert rates(results, "raw", "unseen") == rates(results, "base", "unseen") != rates(results, "trained", "unseen")


def test_an_untrained_arm_that_took_the_name_is_not_counted_with_the_student_that_has_it(tmp_path: Path) -> None:
    """`raw` and `raw, seed 7` are another student here; the trained arm's own still has a name and its figures."""
    other = 'mix.parts = {}\nmodels.student = "hf:another/student"\nseed = 7\n'
    more = f'[arms.trained]\nseed = 7\n[arms.raw]\n{other}[arms."raw, seed 7"]\n{other}evaluate.max_tokens = 5\n'
    results = collected(tmp_path, more)
    assert len(set(results.arms)) == len(results.arms) == 4
    assert Counter(row.arm for row in results.rows) == dict.fromkeys(results.arms, report_runs.PROMPTS)
    students = {arm: cell["student"] for arm, cell in results.cells.items()}
    assert Counter(students.values()) == {"hf:none/none": 2, "hf:another/student": 2}
