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
from unwaver.recipe import Recipe
from unwaver.records import Verdict
from unwaver.report.facts import Facts
from unwaver.report.write import report_digest
from unwaver.store import RunDir, Step, read_records
from unwaver.study import grid
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


@pytest.mark.real
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


# ------------------------------------------------------------------------------------------- the student before training


def asked_of(results: Results) -> dict[str, str]:
    """By arm, the run in which it was asked."""
    return {arm: run for (arm, set_), run in results.evaluated_in.items() if set_ == "unseen"}


def shown(folder: Path, more: str) -> tuple[Results, Facts]:
    results = collected(folder, more)
    return results, Facts(results)


@pytest.mark.parametrize(
    "setting", ['models.student.system = "Be safe."', "evaluate.sets.unseen.samples = 2", "prompts.unseen.limit = 5"]
)
def test_each_arm_is_compared_with_its_own_student_before_training(setting: str, tmp_path: Path) -> None:
    results, facts = shown(tmp_path, f"[arms.a]\n[arms.b]\n{setting}\n")
    assert results.arms == ["raw", "raw, for b", "a", "b"]
    assert len(set(asked_of(results).values())) == 4
    assert [facts.reference(arm) for arm in facts.arms] == [None, None, "raw", "raw, for b"]


@pytest.mark.parametrize("order", [["trained", "prompted"], ["prompted", "trained"]])
def test_an_untrained_arm_shows_its_own_figures_and_leaves_raw_where_it_was(order: list[str], tmp_path: Path) -> None:
    tables = {"trained": "", "prompted": 'mix.parts = {}\nmodels.student.system = "Be safe."\n'}
    results, facts = shown(tmp_path, "".join(f"[arms.{name}]\n{tables[name]}" for name in order))
    (tmp_path / "alone").mkdir()
    alone = asked_of(collected(tmp_path / "alone", ""))
    asked = asked_of(results)
    assert asked["raw"] == alone["raw"] != asked["prompted"]
    assert facts.reference("trained") == "raw"


@pytest.mark.parametrize("trained", [True, False])
def test_arms_that_differ_in_who_reads_alone_are_both_shown(
    trained: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with what its own judge said, though their replies are the same."""
    done = report_runs._done

    def signed(step: Step, recipe: Recipe, out: RunDir, *more: Any) -> dict[str, Any]:
        left = done(step, recipe, out, *more)
        if step.stage == "judge":
            read = list(read_records(out.path / "verdicts.jsonl", Verdict))
            name = step.settings.get("model", {}).get("name", "local")
            out.write("verdicts.jsonl", [one.model_copy(update={"judge": name}) for one in read])
        return left

    monkeypatch.setattr(report_runs, "_done", signed)
    parts = "" if trained else "mix.parts = {}\n"
    models = '[models.j1]\nname = "openai:j1"\n[models.j2]\nname = "openai:j2"\n'
    more = "".join(f'[arms.{arm}]\njudge.harm = ["{judge}"]\n{parts}' for arm, judge in (("one", "j1"), ("two", "j2")))
    results, facts = shown(tmp_path, models + more)
    assert {"one", "two"} <= set(facts.arms)
    assert results.evaluated_in["one", "unseen"] == results.evaluated_in["two", "unseen"]
    said = {arm: {one.judge for row in results.rows if row.arm == arm for one in row.readings.values()
                  if one.rubric.startswith("harm")} for arm in results.arms}  # fmt: skip
    assert (said["one"], said["two"]) == ({"openai:j1"}, {"openai:j2"})
    if trained:
        assert said["raw"] == {"openai:j1"} and facts.apart("asr", "two", "unseen") == ("judge",)


def test_an_arm_of_another_teacher_s_settings_is_no_further_seed(tmp_path: Path) -> None:
    more = '[arms."t, seed 1"]\nseed = 1\n[arms."t, seed 2"]\nseed = 2\nmodels.teacher.system = "Be brief."\n'
    _, facts = shown(tmp_path, more)
    assert {"t, seed 1", "t, seed 2"} <= set(facts.arms)
    (tmp_path / "alike").mkdir()
    _, facts = shown(tmp_path / "alike", '[arms."t, seed 1"]\nseed = 1\n[arms."t, seed 2"]\nseed = 2\n')
    assert facts.arms["t"] == ("t, seed 1", "t, seed 2")


@pytest.mark.parametrize("where", ["two arms", "one arm"])
def test_two_readers_of_one_name_are_refused(where: str, tmp_path: Path) -> None:
    other = 'extra_body = { reasoning_effort = "high" }'
    if where == "two arms":
        more = f'[models.j]\nname = "openai:j"\n[judge]\nharm = "j"\n[arms.a]\n[arms.b]\nmodels.j.{other}\n'
    else:
        more = f'[models.j]\nname = "openai:j"\n[models.k]\nname = "openai:j"\n{other}\n[judge]\nharm = ["j", "k"]\n'
    with pytest.raises(RecipeError, match=r"judge\.harm: two that read it differ and are both called `openai:j`"):
        collected(tmp_path, more)
    named = more.replace(other, f'{other}\nmodels.j.alias = "j2"' if where == "two arms" else f'{other}\nalias = "j2"')
    assert "improved" in collected(tmp_path, named).arms or "b" in collected(tmp_path, named).arms


# ------------------------------------------------------------------------------------------------------ seeds and names

STUDY = 'name = "s"\nrecipe = "base.toml"\n'


def studied(folder: Path, more: str) -> tuple[Results, Facts]:
    (folder / "base.toml").write_text(report_runs.TINY)
    path = folder / "study.toml"
    path.write_text(STUDY + more)
    work = grid.plans(grid.cells(grid.load(path), path, {}))
    report_runs.finish(work, folder / "runs")
    results = collect(list(work), folder / "runs")
    return results, Facts(results)


def test_an_untrained_model_that_no_seed_changes_is_one_run_and_no_three_seeds(tmp_path: Path) -> None:
    more = (
        "seeds = [42, 43, 44]\n[choices.who]\nours = {}\n"
        'published = { "models.student" = { name = "hf:x/y", alias = "P" }, "mix.parts" = {} }\n'
        '[tables.t]\nwho = ["ours", "published"]\n'
    )
    _, facts = studied(tmp_path, more)
    found = {arm.partition(",")[0]: facts.estimate("loop_in_answer", arm, "unseen") for arm in facts.arms}
    counts = {arm: 0 if one is None else one.n + one.n_unscored for arm, one in found.items()}
    assert counts == {"raw": report_runs.PROMPTS, "published": report_runs.PROMPTS, "ours": 3 * report_runs.PROMPTS}


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ('"distil.seed" = [1, 2]\n', ["seed 1", "seed 2"]),
        ('student = ["Doubao-Seed-1.6", "Doubao-Seed-2.6"]\n', ["Doubao-Seed-1.6", "Doubao-Seed-2.6"]),
    ],
)
def test_no_number_but_the_recipe_s_own_seed_is_taken_out_of_a_name(
    more: str, names: list[str], tmp_path: Path
) -> None:
    choices = "".join(f'"Doubao-Seed-{n}.6" = {{ "models.student.name" = "hf:x/{n}" }}\n' for n in (1, 2))
    results, facts = studied(tmp_path, f"seeds = [42, 43]\n[choices.student]\n{choices}[tables.t]\n{more}")
    trained = [arm for arm in facts.arms if not facts.is_raw(arm)]
    assert trained == names
    assert sorted(member for arm in facts.arms for member in facts.arms[arm]) == sorted(results.arms)
    assert all(len(facts.arms[arm]) == 2 for arm in trained)


def test_a_seed_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="seeds: expected seeds that differ"):
        studied(tmp_path, 'seeds = [42, 42]\n[tables.t]\n"train.epochs" = [1, 2]\n')


# ------------------------------------------------------------------------------------------------- an older report is none

CHANGED = {
    "arms change places": ("[arms.a]\n[arms.b]\ntrain.epochs = 2\n", "[arms.a]\ntrain.epochs = 2\n[arms.b]\n"),
    "sets change places": (
        '[evaluate.sets.two]\nprompts = "unseen"\nsamples = 2\n',
        'samples = 2\n[evaluate.sets.two]\nprompts = "unseen"\n',
    ),
    "a set gets another name": (
        '[evaluate.sets.two]\nprompts = "unseen"\nsamples = 2\n',
        '[evaluate.sets.three]\nprompts = "unseen"\nsamples = 2\n',
    ),
    "judges change places": (
        '[models.j]\nname = "openai:j"\n[judge]\nharm = ["local", "j"]\n',
        '[models.j]\nname = "openai:j"\n[judge]\nharm = ["j", "local"]\n',
    ),
}


@pytest.mark.parametrize("which", CHANGED)
def test_the_same_steps_under_other_names_or_in_another_order_are_another_report(which: str, tmp_path: Path) -> None:
    digests = []
    for more in (*CHANGED[which], CHANGED[which][0]):
        path = report_runs.study(tmp_path, more)
        work = plans(recipe_file.arms(recipe_file.read_toml(path), path, {}))
        digests.append(report_digest(work, tmp_path / "runs"))
    assert digests[0] == digests[2] != digests[1]


def test_what_a_later_fine_tuning_shares_with_the_evaluation_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = report_runs._done

    def shares(step: Any, recipe: Any, out: Any, root: Any, shared: Any) -> Any:
        return done(step, recipe, out, root, {"unseen": 7} if step.name.endswith("afterwards") else {})

    monkeypatch.setattr(report_runs, "_done", shares)
    more = '[prompts.later]\nsource = "corpus/plain"\nsplit = "train"\n[afterwards]\nparts = { later = 3 }\nsteps = 5\n'
    _, facts = shown(tmp_path, more)
    assert facts.shared("improved", facts.sets[0]) == 7
