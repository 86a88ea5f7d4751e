"""A study file becomes arms that share whatever they have in common."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from labels import labels

from unwaver.errors import RecipeError
from unwaver.records import Prompt, Trace, Verdict
from unwaver.report import tables
from unwaver.report.figures import as_rows
from unwaver.study import grid
from unwaver.study.plan import plan
from unwaver.study.results import pattern_shares
from unwaver.study.rows import Row
from unwaver.study.stats import rate

ROOT = Path(__file__).parent.parent


def study(folder: Path, tables: str, more: str = "") -> Path:
    path = folder / "study.toml"
    path.write_text(f'name = "try"\nrecipe = "{ROOT / "recipes/quickstart.toml"}"\n{more}\n[tables]\n{tables}\n')
    return path


def cells(path: Path) -> list[grid.Cell]:
    return grid.cells(grid.load(path), path)


@pytest.mark.real
def test_the_paper_fits_in_forty_lines_and_shares_its_work() -> None:
    path = ROOT / "studies/paper.toml"
    assert len(path.read_text().splitlines()) <= 40
    found = cells(path)
    tables = {table for cell in found for table in cell.tables}
    assert {"Table 1", "Table 2", "Table 3", "Figure 2", "Figure 3", "Figure 4", "Figure 5"} <= tables
    steps = {step.digest: step for one in grid.plans(found) for step in one.steps()}
    stages = Counter(step.stage for step in steps.values())
    # Sizes, rates, seeds and students share the distillations: one for each recipe and source, and one of benign prompts.
    assert stages["distil"] < 15
    assert stages["train"] > 100


def test_seeds_share_the_distillation_and_the_greedy_evaluation_of_the_raw_student(tmp_path: Path) -> None:
    found = cells(study(tmp_path, '"T" = { "distil.method" = ["improved"] }', "seeds = [1, 2, 3]"))
    assert [cell.seed for cell in found] == [1, 2, 3]
    plans = grid.plans(found)
    assert len({p.distil["safety"].digest for p in plans}) == 1
    assert len({p.raw["harmful-unseen"].digest for p in plans}) == 1
    assert len({p.mix.digest for p in plans}) == len({p.train.digest for p in plans}) == 3


def test_a_larger_mix_reads_the_same_traces(tmp_path: Path) -> None:
    found = cells(study(tmp_path, '"F" = { "mix.parts.safety" = [20, 40] }'))
    small, large = (plan(cell.recipe, cell.name) for cell in found)
    assert small.distil["safety"].digest == large.distil["safety"].digest
    assert small.mix.digest != large.mix.digest


def test_a_part_of_none_is_left_out(tmp_path: Path) -> None:
    (cell,) = cells(study(tmp_path, '"F" = { "mix.parts.plain" = [0] }'))
    assert "plain" not in plan(cell.recipe, cell.name).distil


@pytest.mark.parametrize(
    ("tables", "more", "expected"),
    [
        ('"T" = { recipe = ["nope"] }', '[choices.recipe]\nshort = { "distil.method" = "short" }', "no `nope`"),
        ('"T" = { "distil.method" = [] }', "", "at least one value"),
        ('"T" = { "distil.instrction" = ["short"] }', "", "instrction"),
        ('"T" = { "distil.method" = ["short"] }', "sedes = [1]", "did you mean `seeds`"),
        (
            '"T" = { "mix.parts" = [{ safety = 5, plain = 5 }], "mix.parts.safety" = [20] }',
            "",
            r"the axis mix.parts.safety takes the place of what another axis sets \(mix.parts.safety\)",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, tables: str, more: str, expected: str) -> None:
    path = study(tmp_path, tables, more)
    with pytest.raises(RecipeError, match=expected):
        cells(path)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"distil.method": "short"}, "--distil.method: the study's cell `method short` sets `distil.method` itself"),
        ({"distil": {"method": "short"}}, "--distil: the study's cell"),
        ({"seed": 1}, "--seed: every cell is done for each of the study's `seeds`"),
        ({"train.epochs": 1}, None),
    ],
)
def test_no_flag_makes_a_cell_what_its_name_does_not_say(
    tmp_path: Path, flags: dict[str, Any], expected: str | None
) -> None:
    path = study(tmp_path, '"T" = { "distil.method" = ["short", "improved"] }', "seeds = [1, 2]")
    if expected is None:
        assert [cell.recipe.train.epochs for cell in grid.cells(grid.load(path), path, flags)] == [1] * 4
        return
    with pytest.raises(RecipeError, match=re.escape(expected)):
        grid.cells(grid.load(path), path, flags)


def test_settings_of_a_study_and_axes_that_agree_are_laid_over_one_another(tmp_path: Path) -> None:
    tables = '"T" = { "mix.parts" = [{ safety = 20 }], "mix.parts.safety" = [20], "train.epochs" = [2] }'
    [cell] = cells(study(tmp_path, tables, 'settings = { "train.epochs" = 1 }'))
    assert (cell.recipe.mix.parts, cell.recipe.train.epochs) == ({"safety": 20}, 2)


def test_what_the_guard_keeps_of_each_pattern_stands_on_what_could_be_read() -> None:
    rows = []
    for number, (guard, patterns) in enumerate(
        [
            ("safe", "weak_vacillation"),
            ("safe", "weak_vacillation+harmful_additions"),
            ("unsafe", "weak_vacillation"),
            (None, "weak_vacillation"),
            ("safe", "none"),
            ("unsafe", "none"),
            ("safe", None),
        ]
    ):
        prompt = Prompt(text=f"Request {number}", kind="harmful", behaviour="a rumour")
        trace = Trace(prompt=prompt, model="teacher", reasoning="Hm.", answer="No.", block="closed", ending="stop")
        asked = {"guard:both": guard, "risky-patterns:both": patterns}
        read = {
            key: Verdict(
                trace=trace.id,
                rubric=key,
                judge="j",
                looked_at="both",
                labels=labels(label),
                reason="" if label else "no label",
            )
            for key, label in asked.items()
        }
        rows.append(Row("arm", "part", trace, read, "distil"))
    mixed = frozenset({rows[0].trace.id})
    found = {(e.metric, e.slice): e for e in pattern_shares(rows, mixed, "arm", "judge-1")}

    def numbers(metric: str, slice: str) -> tuple[float | None, int, int]:
        estimate = found[metric, slice]
        assert (estimate.low is None) == (estimate.n == 0)
        return estimate.value, estimate.n, estimate.n_unscored

    assert numbers("kept:weak_vacillation", "by the guard") == (2 / 3, 3, 1)
    assert numbers("kept:harmful_additions", "by the guard") == (1.0, 1, 0)
    assert ("kept:inconsistency", "by the guard") not in found, "no trace shows it"
    assert all(e.n + e.n_unscored for e in found.values())
    assert numbers("pattern_free", "before the guard") == (2 / 6, 6, 1)
    assert numbers("pattern_free", "after the guard") == (1 / 3, 3, 1)
    assert numbers("pattern_free", "in the mix") == (0.0, 1, 0)
    assert numbers("pattern:weak_vacillation", "after the guard") == (2 / 3, 3, 1)


def half_read(number: int, shown: tuple[str, ...], undecided: tuple[str, ...]) -> Row:
    prompt = Prompt(text=f"Request {number}", kind="harmful", behaviour="a rumour")
    trace = Trace(prompt=prompt, model="teacher", reasoning="Hm.", answer="No.", block="closed", ending="stop")
    verdict = Verdict(
        trace=trace.id,
        rubric="risky-patterns",
        judge="j",
        looked_at="both",
        labels=shown,
        undecided=undecided,
        reason="-",
    )
    return Row("arm", "part", trace, {"risky-patterns:both": verdict}, "distil")


def test_a_reader_that_can_only_say_no_leaves_a_share_its_worst_cases() -> None:
    """Of 100 traces 30 are weakly vacillating; 40 of the others are ruled out, and nothing else is decided."""
    weak = ("weak_vacillation",)
    rows = [half_read(n, (), () if n < 40 else weak) for n in range(100)]
    found = {e.metric: e for e in pattern_shares(rows, frozenset(), "arm", "j") if e.slice == "before the guard"}
    share = found["pattern:weak_vacillation"]
    assert share.value == 0 and share.high is not None and share.high < 0.3, "what the few that were decided say"
    assert (share.lowest, share.highest) == (0, 0.6)
    cell = tables.of(share)
    assert cell.text == tables.NOTHING and tables.written(cell).endswith("(worst case 0 to 60)")


def test_what_is_free_of_patterns_where_one_is_seldom_decided_stands_between_its_worst_cases() -> None:
    """24 of 100 are free of them; each of the other 76 shows a pattern that is found, but freedom is seldom proved."""
    rows = [half_read(n, ("inconsistency",), ()) for n in range(76)]
    rows += [half_read(n, (), () if n < 78 else ("weak_vacillation",)) for n in range(76, 100)]
    found = {e.metric: e for e in pattern_shares(rows, frozenset(), "arm", "j") if e.slice == "before the guard"}
    free = found["pattern_free"]
    assert free.value == 2 / 78 and (free.lowest, free.highest) == (0.02, 0.24)
    assert "(worst case 2 to 24)" in tables.written(tables.of(free))
    sure = found["pattern:inconsistency"]
    assert (sure.lowest, sure.highest) == (0.76, 0.76) and "worst" not in tables.written(tables.of(sure))


@pytest.mark.parametrize(("unscored", "told"), [(1, False), (30, True), (90, True), (150, True)])
def test_a_rate_tells_its_worst_case_where_that_is_more_than_chance(unscored: int, told: bool) -> None:
    values = {str(n): n < 30 if n < 100 else None for n in range(100 + unscored)}
    one = rate(values, "asr", "arm", "set")
    text = tables.written(tables.of(one))
    assert ("worst case" in text) is told
    assert text.startswith(tables.NOTHING) is (unscored > 100)
    table = tables.Table("t", "T", "", ["arm", "asr"], [[tables.TableCell("a"), tables.of(one)]])
    assert ("worst case" in tables.comma_separated(table)) is told and ("worst case" in tables.markdown(table)) is told
    assert (as_rows(one) == []) is (unscored > 100)


def test_published_checkpoints_of_the_paper_are_only_evaluated() -> None:
    found = [cell for cell in cells(ROOT / "studies/paper.toml") if "Table 3" in cell.tables]
    assert {cell.arm for cell in found} == {"STAR1-R1-Distill-7B", "RealSafe-R1-7B"}
    for one in found:
        of = plan(one.recipe, one.name)
        assert {step.stage for step in of.steps()} == {"prompts", "evaluate", "judge"}
        assert one.recipe.models["student"].label == one.arm
    # Greedy sets are asked once whatever the seed; sampled ones once for each.
    steps = {(s.name, s.digest) for one in found for s in plan(one.recipe, "").raw.values()}
    counts = Counter(name for name, _ in steps)
    assert (counts["advbench"], counts["pair"], counts["math500"]) == (2, 2, 6)
