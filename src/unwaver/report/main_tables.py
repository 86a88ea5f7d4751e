"""The tables of outcomes: the main table, reasoning and answer apart, and every comparison behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from unwaver.records import PATTERNS
from unwaver.report import paper
from unwaver.report.arms import spoken
from unwaver.report.facts import NAMES, SPLIT, EvaluationFacts, Facts
from unwaver.report.tables import NOTHING, Cell, Table, count, of
from unwaver.report.teachers import Teachers
from unwaver.study.compare import Comparison

KINDS = {
    "harmful": "Harm: attack success rate",
    "borderline": "Over-refusal",
    "benign": "Over-refusal",
    "maths": "Accuracy",
    "code": "Accuracy",
}
"""The line over the main table's head, by kind of prompt."""


HARMLESS = ("over_refusal", "full_refusal")
"""The two ways of counting a partial refusal."""

LONG = 12
"""Rows above which a table that a figure shows too is folded."""

NOT_HELD_OUT = "†"
"""What stands at a figure whose prompts stand in the training set too."""


def p_value(p: float | None) -> str:
    """A p as people read it."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def points(value: float | None) -> str:
    """A difference of rates in percentage points, with its sign."""
    return NOTHING if value is None else f"{100 * value:+.1f}"


def against(comparison: Comparison | None) -> str:
    """A comparison in a sentence, for whoever points at the cell."""
    if comparison is None:
        return ""
    ends = ""
    if comparison.low is not None and comparison.high is not None:
        ends = f" ({points(comparison.low)} to {points(comparison.high)})"
    return (
        f"{points(comparison.difference)} points{ends} against {comparison.arm_a} on {comparison.n_pairs} prompts, "
        f"p {p_value(comparison.p)}, corrected {p_value(comparison.p_holm)}: {comparison.verdict}"
    )


def main_table(facts: Facts) -> Table | None:
    """Arms by evaluation sets, each figure with its interval and its mark against raw."""
    sets = facts.sets
    if not sets:
        return None
    groups: list[tuple[str, int]] = [("", 1)]
    for one in sets:
        title = KINDS[one.kind]
        groups = [*groups[:-1], (title, groups[-1][1] + 1)] if groups[-1][0] == title else [*groups, (title, 1)]
    rows = []
    for arm in facts.arms:
        found = {one.name: facts.estimate(one.metric, arm, one.name) for one in sets}
        cells = [_held_out(_compared_cell(facts.main, facts, one.metric, arm, one), facts, arm, one) for one in sets]
        unscored = sum(e.n_unscored for e in found.values() if e is not None)
        truncated = sum(e.n_truncated for e in found.values() if e is not None)
        rows.append([Cell(arm), *cells, count(unscored), count(truncated)])
    return Table(
        "main",
        f"{'Table 1' if paper.is_table_1(facts) else 'Main table'}: every arm on every evaluation set",
        "Each figure with its 95 % interval. Lower is better for harm and over-refusal, higher for accuracy.",
        ["arm", *(_set_head(facts, one) for one in sets), "unscored", "cut off"],
        rows,
        (*_contamination(facts), _legend(facts), *detectable(facts.main, facts)),
        [*groups, ("Not in the rates", 2)],
    )


def _set_head(facts: Facts, one: EvaluationFacts) -> str:
    mark = NOT_HELD_OUT if any(facts.shared(arm, one) for arm in facts.arms) else ""
    return f"{one.name}{mark} (n={one.prompts})"


def _held_out(cell: Cell, facts: Facts, arm: str, one: EvaluationFacts) -> Cell:
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


def _compared_cell(
    family: Mapping[tuple[str, str, str], Comparison], facts: Facts, metric: str, arm: str, one: EvaluationFacts
) -> Cell:
    comparison = family.get((metric, arm, one.name))
    word = comparison.verdict if comparison is not None else None
    return of(facts.estimate(metric, arm, one.name), word, against(comparison))


def _legend(facts: Facts) -> str:
    over = any(len(members) > 1 for members in facts.arms.values())
    how = (
        "intervals of rates by hierarchical bootstrap, p by t, both over seeds and prompts"
        if over
        else "Wilson intervals; p by exact McNemar, or by t where prompts have several replies"
    )
    return (
        "▲ better and ▼ worse than the raw student on the same prompts, = not distinguishable, ? too few scored "
        f"({how}; p corrected by Holm over the whole table). Unscored replies are in no rate; cut off: the token limit "
        "ended the reply."
    )


def detectable(family: Mapping[tuple[str, str, str], Comparison], facts: Facts) -> list[str]:
    """What each set can't show: one sentence for all sets whose comparisons have a floor."""
    pieces = []
    for one in facts.sets:
        found = [c.smallest_detectable for c in family.values() if c.slice == one.name and c.smallest_detectable]
        if found:
            pieces.append(f"{one.name} {100 * max(found):.0f} points")
    if not pieces:
        return []
    return [f"Smallest difference these prompts would show four times in five, before correction: {', '.join(pieces)}."]


def scored_table(facts: Facts) -> Table | None:
    """How many replies of each set the main table's rate rests on, how many it leaves out, and how many were cut."""
    rows = []
    for arm in facts.arms:
        for one in facts.sets:
            found = facts.estimate(one.metric, arm, one.name)
            if found is not None:
                numbers = (found.n, found.n_unscored, found.n_truncated)
                rows.append(
                    [Cell(arm), Cell(one.name), Cell(NAMES[one.metric]), *(count(number) for number in numbers)]
                )
    if not rows:
        return None
    return Table(
        "scored",
        "What could be scored, set by set",
        "What each rate of the main table rests on. Where many replies were cut, it speaks of the short ones.",
        ["arm", "set", "measure", "scored", "unscored", "cut off"],
        rows,
        (
            "Cut off: the token limit ended the reply. One that was cut before its answer, or before its answer had "
            "declined anything, is unscored for refusals; harm that was given stays harm; an unfinished solution is "
            "wrong.",
        ),
        folded=True,
    )


def split_table(facts: Facts) -> Table | None:
    """Harm in the reasoning, in the answer, and in one of them alone."""
    sets = facts.of_kind("harmful")
    if not sets:
        return None
    rows = []
    for arm in facts.arms:
        for one in sets:
            whole = _compared_cell(facts.main, facts, "asr", arm, one)
            parts = [_compared_cell(facts.split, facts, metric, arm, one) for metric in SPLIT]
            refusal = of(facts.estimate("refusal", arm, one.name))
            rows.append([Cell(arm), Cell(one.name), whole, *parts, refusal])
    head = ["arm", "set", "whole reply", *(NAMES[metric] for metric in SPLIT), "refused"]
    return Table(
        "reasoning-and-answer",
        "Reasoning and answer judged apart",
        "Leak: harm in the reasoning under a clean answer. Escape: harm in the answer after clean reasoning.",
        head,
        rows,
        (
            "A reply without one of the parts is unscored for it, so the columns need not rest on the same n "
            "(in the CSV). The four columns of parts are one family of comparisons.",
        ),
        folded=len(rows) > LONG,
    )


def both_ways_table(facts: Facts) -> Table | None:
    """Over-refusal with partial refusals counted as refusals and not; None without harmless sets."""
    sets = facts.of_kind("borderline", "benign")
    if not sets:
        return None
    rows = [
        [Cell(arm), Cell(one.name), *(of(facts.estimate(metric, arm, one.name)) for metric in HARMLESS)]
        for arm in facts.arms
        for one in sets
    ]
    return Table(
        "over-refusal",
        "Over-refusal, partial refusals counted both ways",
        "The share of harmless prompts that are refused, in full or in part, and in full alone. The main table has the "
        "first.",
        ["arm", "set", "full or partial (over-refusal)", "full alone"],
        rows,
        folded=True,
    )


def samples_table(facts: Facts) -> Table | None:
    """Accuracy and pass@k where problems have several replies; None where all have one."""
    sets = [one for one in facts.of_kind("maths", "code") if one.samples > 1]
    if not sets:
        return None
    rows = [
        [
            *(Cell(arm), Cell(one.name), count(one.samples)),
            *(of(facts.estimate(metric, arm, one.name)) for metric in ("accuracy", f"pass@{one.samples}")),
        ]
        for arm in facts.arms
        for one in sets
    ]
    return Table(
        "samples",
        "Several replies to a problem: accuracy and pass@k",
        "Accuracy is the mean over the k replies; pass@k the share of problems with at least one right reply, which is "
        "never lower and is no accuracy.",
        ["arm", "set", "k", "accuracy", "pass@k"],
        rows,
    )


def comparison_table(facts: Facts) -> Table | None:
    """Every comparison of the main table and of the parts, in full; those without a pair are only counted."""
    rows = []
    empty = 0
    for family in (facts.main, facts.split):
        for (metric, arm, set_), c in family.items():
            if not c.n_pairs:
                empty += 1
                continue
            ends = NOTHING if c.low is None or c.high is None else f"{points(c.low)} to {points(c.high)}"
            least = NOTHING if c.smallest_detectable is None else f"{100 * c.smallest_detectable:.0f}"
            rows.append(
                (
                    *(Cell(arm), Cell(NAMES.get(metric, metric)), Cell(set_), count(c.n_pairs), count(c.n_left_out)),
                    Cell(points(c.difference), c.difference),
                    Cell(ends),
                    Cell(NOTHING if c.h is None else f"{c.h:+.2f}", c.h),
                    *(Cell(p_value(c.p), c.p), Cell(p_value(c.p_holm), c.p_holm)),
                    Cell(c.verdict, word=c.verdict),
                    Cell(least),
                )
            )
    if not rows:
        return None
    notes = ["Two families are corrected apart: the main table, and the parts of the replies."]
    if empty:
        notes.append(
            f"{empty} comparisons are not shown: no prompt is scored on both sides, as where raw has no reasoning."
        )
    head = (
        "arm",
        "measure",
        "set",
        "pairs",
        "left out",
        "difference",
        "95 %",
        "h",
        "p",
        "p (Holm)",
        "verdict",
        "least",
    )
    return Table(
        "comparisons",
        "Every comparison with the raw student",
        "Differences in percentage points on the same prompts; h is Cohen's effect size; least is the smallest "
        "difference these pairs would show four times in five.",
        head,
        rows,
        tuple(notes),
        folded=True,
    )


def pattern_table(teachers: Teachers) -> Table | None:
    """Shares of the risky patterns among the teacher's traces of harmful prompts."""
    rows = []
    for arm, shares in teachers.patterns.items():
        for group, found in shares.items():
            if any(e is not None and e.n for e in found):
                n = max(e.n + e.n_unscored for e in found if e is not None)
                rows.append([Cell(arm), Cell(group), count(n), *(of(e) for e in found)])
    if not rows:
        return None
    return Table(
        "patterns",
        "Risky patterns in the teacher's traces",
        "The share of harmful prompts' traces that show each pattern, before the guard, among those it calls safe, and "
        "among those the student was trained on.",
        ["arm", "traces", "n", *(pattern.replace("_", " ") for pattern in PATTERNS)],
        rows,
        folded=len(rows) > LONG,
    )
