"""Limits, references and comparisons by a recipe: what `unwaver gate`, `compare` and `show` say of made-up runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import report_results as made_up
import report_runs

from unwaver import recipe_file
from unwaver.cli import main
from unwaver.errors import EXIT_CANT_TELL, EXIT_DONE, EXIT_NOT_MET, RecipeError
from unwaver.judging.local.reader_file import shipped
from unwaver.report.doubts import Doubts, behaviour_of
from unwaver.report.facts import Facts
from unwaver.report.limits import Judged, judged
from unwaver.study.correction import Drawable, Values, values
from unwaver.study.results import collect
from unwaver.study.steps import plans
from unwaver.verbs.gate import exit_code


def facts(limits: dict[str, Any], reference: str | None = None, per_set: int = 200) -> Facts:
    found = made_up.results(per_set=per_set)
    found.recipe = found.recipe.model_copy(update={"limits": limits, "reference": reference})
    return Facts(found)


def states(found: Facts) -> dict[tuple[str, str], str]:
    return {(one.arm, one.metric): one.state for one in judged(found)}


@pytest.mark.real
def test_a_share_is_met_where_the_whole_interval_is_on_its_side() -> None:
    """Of the made-up replies 57 per cent of `default` and 20 per cent of `improved` are harmful in some part."""
    assert states(facts({"asr": 0.7})) == {("default", "asr"): "met", ("improved", "asr"): "met"}
    assert states(facts({"asr": 0.3})) == {("default", "asr"): "not met", ("improved", "asr"): "met"}
    assert states(facts({"asr": 0.57}))["default", "asr"] == "can't tell"
    assert states(facts({"asr": 0.02}))["improved", "asr"] == "not met"


@pytest.mark.real
def test_more_is_better_of_accuracy() -> None:
    assert set(states(facts({"accuracy": 0.2})).values()) == {"met"}
    assert set(states(facts({"accuracy": 0.8})).values()) == {"not met"}


@pytest.mark.real
def test_a_change_is_meant_from_the_reference() -> None:
    assert states(facts({"over_refusal": "+0.5"}))["improved", "over_refusal"] == "met"
    assert states(facts({"over_refusal": "+0.01"}))["improved", "over_refusal"] == "not met"
    found = judged(facts({"asr": "-0.2"}, reference="default"))
    assert {one.arm for one in found} == {"raw", "improved"}
    assert {one.reference for one in found} == {"default"}
    assert {one.arm: one.state for one in found}["raw"] == "not met"


@pytest.mark.real
def test_the_reference_arm_itself_is_told_as_such() -> None:
    told = [one.why for one in judged(facts({"asr": "-0.2"}, reference="default"), ["default"])]
    assert told == ["it is the reference arm itself"]


@pytest.mark.real
def test_few_prompts_or_many_unscored_tell_nothing() -> None:
    assert states(facts({"asr": 0.1}, per_set=4))["improved", "asr"] == "can't tell"
    found = facts({"asr": 0.6})
    for row in found.results.rows:
        if crc32(row.trace.prompt.text.encode()) % 3 == 0:
            row.readings.clear()
    assert {one.why[-8:] for one in judged(Facts(found.results))} == {"unscored"}


def read_by(judge: str) -> Facts:
    """The same replies, read by somebody else."""
    found = facts({}).results
    found.rows = [
        dataclasses.replace(row, readings={k: v.model_copy(update={"judge": judge}) for k, v in row.readings.items()})
        for row in found.rows
    ]
    return Facts(found)


@pytest.fixture(scope="module")
def by_reader() -> Facts:
    return read_by(shipped().judge)


@pytest.fixture(scope="module")
def by_asking() -> Facts:
    return read_by("openai:judge@1")


def within(found: Facts, limits: dict[str, Any]) -> list[Judged]:
    found.results.recipe = found.results.recipe.model_copy(update={"limits": limits})
    return judged(found)


@pytest.mark.real
@pytest.mark.parametrize(
    ("limits", "default", "improved"),
    [
        ({"asr": 0.7}, "can't tell", "met"),  # 57 and 20 per cent; of harmless replies it may claim any share
        ({"asr": 0.3}, "can't tell", "can't tell"),
        ({"asr": "-0.2"}, "can't tell", "can't tell"),
        ({"asr_answer": 0.6}, "met", "met"),  # 27 and 8 per cent, and answers it reads better
        ({"asr_answer": 0.02}, "can't tell", "can't tell"),
        ({"asr_answer": "-0.1"}, "can't tell", "met"),
        ({"asr_answer": "-0.02"}, "met", "met"),
        ({"leak": 0.99}, "can't tell", "can't tell"),  # two readings: their errors add up
        ({"over_refusal": "+0.01"}, "can't tell", "can't tell"),
        ({"accuracy": 0.2}, "met", "met"),  # graded, not read
    ],
)
def test_a_limit_is_not_told_where_the_reader_could_have_made_it(
    limits: dict[str, Any], default: str, improved: str, by_reader: Facts, by_asking: Facts
) -> None:
    found = within(by_reader, limits)
    assert [one.state for one in found] == [default, improved]
    assert all("the reader's error could make this" in one.why for one in found if one.state == "can't tell")
    asked = {one.state for one in within(by_asking, limits)}
    assert "can't tell" not in asked, "a reader whose error nobody measured is taken at its word"


@pytest.mark.real
@pytest.mark.parametrize("limit", [0.7, 0.02, "-0.2"])
def test_no_limit_is_met_or_missed_by_a_reader_that_nobody_measured(limit: float | str) -> None:
    found = within(read_by("local@gone"), {"asr": limit, "accuracy": 0.2})
    asr = [one for one in found if one.metric == "asr"]
    assert {one.state for one in asr} == {"can't tell"} and all("no card of it" in one.why for one in asr)
    assert {one.state for one in found if one.metric == "accuracy"} == {"met"}


@pytest.mark.parametrize(
    ("limit", "harmful", "state"),
    [(0.5, 0.2, "met"), (0.5, 0.9, "can't tell"), ("-0.2", 0.2, "met"), ("-0.2", 1.0, "can't tell")],
)
def test_people_s_labels_decide_a_limit_in_place_of_the_reader_s_card(
    limit: float | str, harmful: float, state: str, by_reader: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 per cent are read as harmful. People who find that many bear it out; people who find more take it back."""

    def corrected(self: Doubts, metric: str, arm: str, sets: Sequence[str]) -> dict[int, Values]:
        rows = [row for set_ in sets for row in self.facts.rows[arm, set_]]
        share = 1.0 if arm == "raw" else harmful
        items = [
            Drawable(behaviour_of(row.trace), "all", labelled=n % 2 == 0, label=float(n % 20 < 20 * share))
            for n, row in enumerate(rows)
        ]
        found = values([one if one.labelled else dataclasses.replace(one, label=None) for one in items])
        assert isinstance(found, Values)
        return {0: found}

    monkeypatch.setattr(Doubts, "corrected", corrected)
    told = next(one for one in within(by_reader, {"asr": limit}) if one.arm == "improved")
    assert told.state == state and ("labels of people" in told.why) == (state == "can't tell")


@pytest.mark.real
def test_the_worst_decides_the_exit_code() -> None:
    assert exit_code(judged(facts({"asr": 0.7}))) == EXIT_DONE
    assert exit_code(judged(facts({"asr": 0.57}))) == EXIT_CANT_TELL
    assert exit_code(judged(facts({"asr": 0.57, "over_refusal": 0.001}))) == EXIT_NOT_MET


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("asrr", "expected a measure"),
        ("refused_harm_style", "expected a measure"),
        ("refusal_auc", "the report works it out from a sample.*over_refusal"),
        ("snowball_slope", "from a sample"),
    ],
)
def test_a_limit_of_no_measure_is_told(name: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        judged(facts({name: 0.1}))


ARMS = """
[arms.base]
mix.parts = {}
[arms.ours]
mix.parts = {}
models.student = "hf:none/ours"
"""


def run(path: Path, *words: str) -> int:
    return main([words[0], str(path), *words[1:], "--root", str(path.parent / "runs")])


@pytest.mark.real
@pytest.mark.parametrize("verb", ["check", "run", "report", "gate"])
def test_a_limit_of_no_measure_is_told_before_anything_is_spent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f"{report_runs.TINY}[limits]\nasrr = 0.1\n", encoding="utf-8")
    assert run(path, verb) == 2
    assert "limits.asrr: expected a measure that has a better side" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("value", ["1.5", "-0.1", "true", '"0.05"', '"+5"', '"much"'])
def test_a_limit_that_can_not_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    assert run(report_runs.study(tmp_path), "gate", "--limits.asr", value) == 2
    assert "limits.asr: expected a share from 0 to 1, or a change" in capsys.readouterr().err


def test_gate_prints_a_table_and_exits_by_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = report_runs.study(tmp_path, "[limits]\nasr = 0.99\n")
    assert run(path, "gate") in (0, 4, 5)
    out = capsys.readouterr().out
    assert "improved" in out and "at most 99 %" in out
    assert run(path, "gate", "--limits.asr", "0.01") == EXIT_NOT_MET
    assert run(path, "gate", "--arm", "nobody") == 2
    assert run(path, "gate", "--seed", "7") == 3, "what is owed is told, and nothing is judged without it"
    assert run(report_runs.study(tmp_path), "gate") == 2


@pytest.mark.real
def test_models_as_they_are_keep_their_names_and_are_compared_with_the_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = report_runs.study(tmp_path, ARMS, 'reference = "base"\n')
    found = Facts(collect(plans(recipe_file.arms(recipe_file.read_toml(path), path, {})), tmp_path / "runs"))
    assert list(found.arms) == ["base", "ours"]
    assert found.reference("ours") == "base" and found.reference("base") is None
    assert set(found.main) == {("asr", "ours", "unseen")}
    assert run(path, "report", "--out", str(tmp_path / "page")) == 0
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert "Differences are from the arm base" in page and "from the raw student" not in page
    assert run(path, "compare") == 0
    out = capsys.readouterr().out
    assert "differences, B minus A in percentage points, are over the pairs" in " ".join(out.split())
    assert "A: base\nB: ours\n" in out and "attack success" in out and "unseen" in out
    assert "severe" not in out  # what nobody was asked has no row
    assert run(path, "compare", "ours", "base") == 0
    assert "A: ours\nB: base\n" in capsys.readouterr().out
    assert run(path, "compare", "ours", "nobody") == 2
    assert "no arm `nobody` has been evaluated; there are base, ours" in capsys.readouterr().err


@pytest.mark.real
def test_compare_by_a_recipe_gives_no_word_the_reader_could_have_made(
    by_reader: Facts, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unwaver.study.results.collect", lambda *_: by_reader.results)
    assert run(report_runs.study(tmp_path), "compare", "raw", "improved") == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("harmful-unseen ") and "attack success" in line]
    assert "can't tell" in line and "better" not in line
    assert "the reader's error could make this" in out


@pytest.mark.real
def test_compare_by_a_recipe_says_what_is_not_compared_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two arms that were not measured alike have no row; without a word they would seem not to have been measured."""
    found = facts({}).results
    for row in found.rows:
        if row.arm == "improved":
            row.readings.update({k: v.model_copy(update={"judge": "another"}) for k, v in row.readings.items()})
    monkeypatch.setattr("unwaver.study.results.collect", lambda *_: found)
    assert run(report_runs.study(tmp_path), "compare", "raw", "improved") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "asr on harmful-unseen" in out and "not compared, as the arms differ in judge" in out


@pytest.mark.real
def test_without_a_reference_nothing_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(report_runs.study(tmp_path, ARMS), "compare") == 2
    assert "name `reference` in the recipe" in capsys.readouterr().err


def test_an_arm_that_is_no_arm_can_be_no_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('reference = "bsae"\n' + report_runs.TINY + ARMS)
    assert run(path, "compare") == 2
    assert "reference: no arm `bsae`; did you mean `base`?" in capsys.readouterr().err


def test_a_trained_arm_beside_the_model_it_came_from(tmp_path: Path) -> None:
    path = report_runs.study(tmp_path, "[arms.base]\nmix.parts = {}\n[arms.trained]\n")
    found = Facts(collect(plans(recipe_file.arms(recipe_file.read_toml(path), path, {})), tmp_path / "runs"))
    assert list(found.arms) == ["base", "trained"]
    assert found.reference("trained") == "base"


def test_show_speaks_of_arms_sets_and_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = report_runs.study(tmp_path)
    plans_ = plans(recipe_file.arms(recipe_file.read_toml(path), path, {"evaluate.max_tokens": 90}))
    report_runs.finish(plans_, tmp_path / "runs")
    assert main(["show", str(tmp_path / "runs")]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("evaluate raw on unseen hf:none/none sampling.max_tokens 90 ") for line in lines)
    assert any(line.startswith("evaluate improved on unseen hf:none/none sampling.max_tokens 4096 ") for line in lines)
    assert any(line.startswith("judge safety, guard by local") for line in lines)


@pytest.mark.real
def test_the_newest_report_has_a_name_that_stays(tmp_path: Path) -> None:
    path = report_runs.study(tmp_path)
    assert run(path, "report", "--title", "One") == 0
    first = (tmp_path / "runs" / "latest").resolve()
    assert (first / "report.html").is_file()
    assert run(path, "report", "--title", "Two") == 0
    assert (tmp_path / "runs" / "latest").resolve() != first
    assert run(path, "report", "--title", "One") == 0
    assert (tmp_path / "runs" / "latest").resolve() == first
