"""Set by set: rates in a picture, every comparison behind the words, what could be scored, further measures."""

from __future__ import annotations

from typing import Any

import altair as alt

from unwaver.report.cells import LONG
from unwaver.report.charts import Figure, data, row_axis, short, titled
from unwaver.report.comparable import together
from unwaver.report.facts import Facts, titles
from unwaver.report.figures import LABELLED, PER_CENT, ROW, as_rows, colours, names
from unwaver.report.replies import ended_table, samples_table
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import NOTHING, Table, TableCell, count, of, percent
from unwaver.report.words import p_value, points
from unwaver.study.comparison import Comparison, explained
from unwaver.study.measures import of_table
from unwaver.study.prefilled import SUFFIX, clean_rows, clean_set

HARMLESS = ("over_refusal", "full_refusal")
"""The two ways of counting a partial refusal."""


UNITS = {"asr": "% unsafe", "over_refusal": "% refused", "accuracy": "% correct"}
"""What the axis of a measure counts."""


def rates(facts: Facts) -> Figure | None:
    """Every arm on every set, as points with intervals."""
    panels: list[Any] = []
    width = max(96, min(230, 690 // max(1, len(facts.sets)) - 18))
    left: list[str] = []
    for one in facts.sets:
        alike = together(facts, [(one.metric, [one])])
        left += alike.notes
        rows = [
            row
            for arm in alike.arms
            for row in as_rows(facts.estimate(one.metric, arm, one.name), arm=facts.labels[arm])
        ]
        if not rows:
            continue
        base = alt.Chart(data(rows)).encode(
            y=alt.Y("arm:N", sort=names(facts), axis=None if panels else row_axis()),
            color=alt.Color("arm:N", scale=colours(facts), legend=None),
        )
        axis = alt.Axis(values=[0, 50, 100])
        x = alt.X("value:Q", scale=PER_CENT, title=f"{UNITS[one.metric]} (n={one.prompts})", axis=axis)
        bar = base.mark_rule(strokeWidth=2.5, opacity=0.45, strokeCap="round")
        bars = bar.encode(x=alt.X("low:Q", scale=PER_CENT), x2="high:Q")
        points = base.mark_point(filled=True, size=70, opacity=1).encode(x=x)
        layers = (bars + points).properties(width=width, height=ROW * len(facts.arms) + 6)
        panels.append(titled(layers, short(one.name), size=11.5, width=max(14, width // 7)))
    if not panels:
        return None
    return Figure(
        "rates",
        "Every arm on every set",
        "Points are rates, bars their 95 % intervals. Harm and over-refusal are better to the left, accuracy to the "
        "right.",
        "Rates by arm and evaluation set: " + _spoken(facts),
        alt.hconcat(*panels, spacing=20),
        tuple(dict.fromkeys(left)),
    )


def _spoken(facts: Facts) -> str:
    pieces = []
    for arm in list(facts.arms)[:LABELLED]:
        found = [(one, facts.estimate(one.metric, arm, one.name)) for one in facts.sets]
        said = ", ".join(f"{one.name} {percent(e.value, e.n)}" for one, e in found if e is not None)
        pieces.append(f"{arm}: {said}")
    return "; ".join(pieces)


def scored_table(facts: Facts) -> Table | None:
    """How many replies of each set the main table's rate rests on, how many it leaves out, and how many were cut."""
    rows = []
    for arm in facts.arms:
        for one in facts.sets:
            found = facts.estimate(one.metric, arm, one.name)
            if found is not None:
                numbers = (found.n, found.n_unscored, found.n_truncated)
                rows.append(
                    [
                        *(TableCell(arm), TableCell(one.name), TableCell(titles()[one.metric])),
                        *(count(number) for number in numbers),
                        *(number_of(found.lowest, found.n), number_of(found.highest, found.n)),
                    ]
                )
    if not rows:
        return None
    return Table(
        "scored",
        "What could be scored, set by set",
        "What each rate of the main table rests on. Where many replies were cut, it speaks of the short ones.",
        ["arm", "set", "measure", "scored", "unscored", "cut off", "rate if none", "rate if all"],
        rows,
        (
            "Cut off: the token limit ended the reply. One that was cut before its answer, or before its answer had "
            "declined anything, is unscored for refusals; harm that was given stays harm; an unfinished solution is "
            "wrong. The last two columns are worst cases: the rate if none of the unscored counted, and if all did.",
        ),
        folded=True,
    )


def number_of(value: float | None, n: int) -> TableCell:
    """A bound of a rate."""
    return TableCell(percent(value, n), value)


def both_ways_table(facts: Facts) -> Table | None:
    """Over-refusal with partial refusals counted as refusals and not; None where there is none."""
    sets = facts.of_kind("borderline", "benign")
    if not sets:
        return None
    rows = [
        [TableCell(arm), TableCell(one.name), *(of(facts.estimate(metric, arm, one.name)) for metric in HARMLESS)]
        for arm in facts.arms
        for one in sets
    ]
    if all(some.value == full.value for *_, some, full in rows):
        return None
    return Table(
        "over-refusal",
        "Over-refusal, partial refusals counted both ways",
        "The share of harmless prompts that are refused, in full or in part, and in full alone. The main table has the "
        "first.",
        ["arm", "set", "full or partial (over-refusal)", "full alone"],
        rows,
        folded=True,
    )


def further_table(facts: Facts) -> Table | None:
    """The measures that stand in no other table; None where nothing was read for any."""
    found = [one for one in of_table("further") if one.name not in (*HARMLESS, "refusal")]
    rows = [
        [TableCell(arm), TableCell(one.title), TableCell(each.name), of(estimate)]
        for one in found
        for arm in facts.arms
        for each in facts.of_kind(*one.kinds)
        if (estimate := facts.estimate(one.name, arm, each.name)) is not None
    ]
    if not rows:
        return None
    said = tuple(
        f"{one.title}: {one.counts} ({one.source or 'ours'}{'; ' + one.caveat if one.caveat else ''})."
        for one in found
        if any(row[1].text == one.title for row in rows)
    )
    return Table(
        "further",
        "Further measures",
        "What else was counted on these sets.",
        ["arm", "measure", "set", "rate"],
        rows,
        said,
        folded=len(rows) > LONG,
    )


def prefilled_table(facts: Facts) -> Table | None:
    """What another model's opening does, beside the clean rate; None where no set is asked so."""
    shifts = [e for e in facts.results.estimates if e.metric.endswith(SUFFIX)]
    if not shifts:
        return None
    clean = {
        arm: clean_rows(row for (name, _), rows in facts.rows.items() if name == arm for row in rows)
        for arm in {e.arm for e in shifts}
    }
    rows, left = [], 0
    for e in shifts:
        metric = e.metric.removesuffix(SUFFIX)
        beside = clean_set(facts.rows.get((e.arm, e.slice), []), clean[e.arm])
        before, after = (facts.results.find(metric, e.arm, name or "") for name in (beside, e.slice))
        ends = NOTHING if e.low is None or e.high is None else f"{points(e.low)} to {points(e.high)}"
        shift = NOTHING if e.value is None else points(e.value)
        rows.append(
            [
                *(TableCell(e.arm), TableCell(titles()[metric]), TableCell(beside or NOTHING)),
                *(
                    of(before) if before else TableCell(NOTHING),
                    TableCell(e.slice),
                    of(after) if after else TableCell(NOTHING),
                ),
                *(TableCell(shift, e.value), TableCell(ends), count(e.n), count(e.n_unscored)),
            ]
        )
        left += beside is None
    notes = [
        "Readers read what the student added to the opening. An opening that a model lacked leaves its prompt unscored."
    ]
    notes += ["Give the same prompts a set without an attack, and the shift can be told."] if left else []
    return Table(
        "prefilled",
        "When another model begins the reasoning",
        "Each arm's rate where another model's words open its reasoning, beside its own on the same prompts as they "
        "are, and the mean difference in percentage points, prompt by prompt, with its 95 % interval (RECAP, arXiv "
        "2510.00938). Above 0 the opening makes it commoner.",
        ["arm", "measure", "clean set", "clean", "begun set", "begun", "shift", "95 %", "prompts", "unscored"],
        rows,
        tuple(notes),
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
                    *(
                        TableCell(arm),
                        TableCell(titles().get(metric, metric)),
                        TableCell(set_),
                        count(c.n_pairs),
                        count(c.n_left_out),
                    ),
                    TableCell(points(c.difference), c.difference),
                    TableCell(ends),
                    TableCell(NOTHING if c.h is None else f"{c.h:+z.2f}", c.h),
                    *(TableCell(p_value(c.p), c.p), TableCell(p_value(c.p_holm), c.p_holm)),
                    TableCell(c.verdict, word=c.verdict, hint=explained(c)),
                    TableCell(least, c.smallest_detectable),
                    TableCell(_worst(c)),
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
        "worst case",
    )
    return Table(
        "comparisons",
        f"Every comparison with {facts.compared_with}",
        "Differences in percentage points on the same prompts; h is Cohen's effect size; least is the smallest "
        "true difference that would be found four times in five on so many pairs; worst case is what the unscored "
        "replies could make of the difference.",
        head,
        rows,
        tuple(notes),
        folded=True,
    )


def _worst(c: Comparison) -> str:
    """The least and the largest difference that labels for the unscored replies could make."""
    found = [filling.difference for filling in c.filled]
    return f"{points(min(found))} to {points(max(found))}" if found else NOTHING


def section(material: Material) -> Section:
    """The section."""
    facts = material.facts
    return made(
        *("sets", "Set by set", "Set by set: rates, comparisons, what could be scored", material.by_harm),
        *(rates(facts), comparison_table(facts), scored_table(facts)),
        *(
            prefilled_table(facts),
            both_ways_table(facts),
            further_table(facts),
            samples_table(facts),
            ended_table(facts),
        ),
    )
