"""Every arm on every evaluation set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from unwaver.report.arms import spoken
from unwaver.report.cells import compared_cell
from unwaver.report.facts import EvaluationFacts, Facts
from unwaver.report.paper import is_table_1
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import Table, TableCell, count
from unwaver.report.words import least, to_be_found
from unwaver.study.comparison import Comparison, explained
from unwaver.study.measures import main_measure

NOT_HELD_OUT = "†"
"""What stands at a figure whose prompts stand in the training set too."""


def main_table(facts: Facts) -> Table | None:
    """Arms by evaluation sets, each figure with its interval and its mark against raw."""
    sets = facts.sets
    if not sets:
        return None
    groups: list[tuple[str, int]] = [("", 1)]
    for one in sets:
        title = main_measure(one.kind).title.capitalize()
        groups = [*groups[:-1], (title, groups[-1][1] + 1)] if groups[-1][0] == title else [*groups, (title, 1)]
    rows = []
    for arm in facts.arms:
        found = {one.name: facts.estimate(one.metric, arm, one.name) for one in sets}
        cells = [_held_out(compared_cell(facts.main, facts, one.metric, arm, one), facts, arm, one) for one in sets]
        unscored = sum(e.n_unscored for e in found.values() if e is not None)
        truncated = sum(e.n_truncated for e in found.values() if e is not None)
        rows.append([TableCell(arm), *cells, count(unscored), count(truncated)])
    return Table(
        "main",
        f"{'Table 1' if is_table_1(facts) else 'Main table'}: every arm on every evaluation set",
        "Each figure with its 95 % interval. Lower is better for harm and over-refusal, higher for accuracy.",
        ["arm", *(_set_head(facts, one) for one in sets), "unscored", "cut off"],
        rows,
        (*_contamination(facts), *_apart(facts), _key(facts)),
        [*groups, ("Not in the rates", 2)],
        (_legend(facts), *_of_seeds(facts), *detectable(facts.main, facts)),
    )


def _set_head(facts: Facts, one: EvaluationFacts) -> str:
    mark = NOT_HELD_OUT if any(facts.shared(arm, one) for arm in facts.arms) else ""
    return f"{one.name}{mark} (n={one.prompts})"


def _held_out(cell: TableCell, facts: Facts, arm: str, one: EvaluationFacts) -> TableCell:
    """The cell, marked where the arm was trained on prompts of the set."""
    shared = facts.shared(arm, one)
    if not shared:
        return cell
    hint = f"Not held out: {shared} of these prompts stand in the training set. {cell.hint}"
    return replace(cell, text=f"{cell.text}{NOT_HELD_OUT}", hint=hint)


def _contamination(facts: Facts) -> list[str]:
    """Which figures of the table are not held out."""
    trained = [arm for arm in facts.arms if not facts.is_raw(arm)]
    found: dict[tuple[str, int], list[str]] = {}
    for one in facts.sets:
        for arm in trained:
            if shared := facts.shared(arm, one):
                found.setdefault((one.name, shared), []).append(arm)
    if not found:
        return []
    said = "; ".join(f"{shared} prompts of {name} ({spoken(arms, trained)})" for (name, shared), arms in found.items())
    return [f"{NOT_HELD_OUT} Not held out: in the training set stand {said}."]


def _key(facts: Facts) -> str:
    """What the marks mean."""
    return (
        f"▲ better and ▼ worse than {facts.compared_with} on the same prompts, = not distinguishable, ? too few "
        "scored, ◇ depends on the unscored, ≈ can't tell."
    )


def _legend(facts: Facts) -> str:
    over = any(len(members) > 1 for members in facts.arms.values())
    how = (
        "intervals and p over prompts and seeds, each by its own t"
        if over
        else "Wilson intervals; p by exact McNemar, or by t where prompts have several replies"
    )
    return (
        "◇ depends on the unscored: another word if all of them were counted one way, with the rates this would give "
        f"({how}; p corrected by Holm over the whole table). ≈ can't tell: the reader's error could make this. "
        "Unscored replies are in no rate; cut off: the token limit ended the reply."
    )


def _of_seeds(facts: Facts) -> list[str]:
    """What the number of seeds lets nobody say: of the recipe with one, and after the correction with few."""
    trained = [arm for arm in facts.arms if not facts.is_raw(arm)]
    single = [arm for arm in trained if len(facts.arms[arm]) == 1]
    said = []
    if single:
        which = "Every arm was" if len(single) == len(trained) else f"{spoken(single, trained)} was"
        said.append(
            f"{which} trained once, with one seed: words and intervals speak of these very models on prompts like "
            "these and say nothing about the recipe as such, since another seed may train another model."
        )
    short = [c for c in facts.main.values() if c.seeds_needed is not None and c.verdict == "not distinguishable"]
    return said + [f"{c.arm_b} on {c.slice}: {explained(c)}." for c in short]


def _apart(facts: Facts) -> list[str]:
    """Which figures are not compared with the raw student's, and why."""
    found: dict[tuple[str, ...], list[str]] = {}
    for one in facts.sets:
        for arm in facts.arms:
            if fields := facts.apart(one.metric, arm, one.name):
                found.setdefault(fields, []).append(f"{arm} on {one.name}")
    return [f"Not compared, {', '.join(fields)} being another: {', '.join(those)}." for fields, those in found.items()]


def detectable(family: Mapping[tuple[str, str, str], Comparison], facts: Facts) -> list[str]:
    """What each set can't show: one sentence for all sets whose comparisons have a floor."""
    found = {one.name: [c for c in family.values() if c.slice == one.name] for one in facts.sets}
    said = to_be_found(least(found))
    return [said] if said else []


def section(material: Material) -> Section:
    """The section."""
    table = main_table(material.facts)
    return made("results", "Results", table.title if table else "", material.by_harm_in_short, table)
