"""People's labels: rates and differences corrected by them, and who agrees with whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from unwaver.report.facts import ALL, Facts, split, titles
from unwaver.report.section import Material, Section, made
from unwaver.report.summed import changes
from unwaver.report.tables import NOTHING, Table, TableCell, count, of, percent
from unwaver.report.words import p_value, points
from unwaver.study.comparison import Comparison
from unwaver.study.correction import rate
from unwaver.study.labels import between_people, unused, with_reader


@dataclass(frozen=True)
class _Figure:
    """One figure that may be corrected: a measure of one arm on one set, or over several."""

    arm: str
    metric: str
    sets: tuple[str, ...]
    against: Comparison | None


def _figures(facts: Facts) -> Iterator[_Figure]:
    measures = [(one.metric, one.name, facts.main) for one in facts.sets]
    measures += [(metric, one.name, facts.split) for one in facts.of_kind("harmful") for metric in split()]
    for metric, set_, family in measures:
        for arm in facts.arms:
            yield _Figure(arm, metric, (set_,), family.get((metric, arm, set_)))
    for one in facts.sets:
        for metric in {"harmful": ("refusal",), "borderline": ("full_refusal",)}.get(one.kind, ()):
            yield from (_Figure(arm, metric, (one.name,), None) for arm in facts.arms)
    for (_, arm), change in changes(facts).items():
        if len(change.sets) > 1:
            yield _Figure(arm, change.summed.metric, tuple(one.name for one in change.sets), change.comparison)


def corrected_table(facts: Facts) -> Table | None:
    """Every rate and difference that people's labels correct; None where nobody labelled anything."""
    rows, few = [], []
    for one in _figures(facts):
        worth = facts.doubts.corrected(one.metric, one.arm, one.sets)
        where = one.sets[0] if len(one.sets) == 1 else ALL
        if isinstance(worth, str):
            few.append(f"{one.arm}, {titles()[one.metric]} on {where}: {worth}")
        if not isinstance(worth, dict):
            continue
        found = rate(worth)
        head = (TableCell(one.arm), TableCell(titles()[one.metric]), TableCell(where), count(found.n))
        fixed = TableCell(percent(found.value), found.value, found.low, found.high, found.n, share=True)
        rows.append([*head, _as_read(facts, one), fixed, *_difference(one.against)])
    if not rows and not few:
        return None
    notes = [f"Not corrected: {'; '.join(few)}."] if few else []
    return Table(
        "corrected",
        "Rates and differences, corrected by people's labels",
        "Each rate as its reader gives it, and as people's labels of a random sample make it, with the error of both "
        f"prompts and labels. Differences are against {facts.compared_with}, in points, on the same prompts.",
        ["arm", "measure", "set", "labels", "as read", "corrected", "difference, as read", "corrected difference",
         "95 %", "p (Holm)", "verdict"],
        rows,
        (
            "A corrected rate speaks of all replies that have the text in question, also of those that the reader left "
            "unscored. Where both arms are labelled, better and worse need the corrected difference to say the same.",
            *notes,
        ),
    )  # fmt: skip


def _as_read(facts: Facts, one: _Figure) -> TableCell:
    if len(one.sets) == 1:
        return of(facts.estimate(one.metric, one.arm, one.sets[0]))
    return of(facts.pooled(one.metric, one.arm, [set_ for set_ in facts.sets if set_.name in one.sets]))


def _difference(c: Comparison | None) -> list[TableCell]:
    """As read, corrected, its interval, p and the word; empty cells for the reference."""
    if c is None or c.by_people is None:
        return [TableCell(NOTHING)] * 5
    fixed = c.by_people
    ends = NOTHING if fixed.low is None or fixed.high is None else f"{points(fixed.low)} to {points(fixed.high)}"
    return [
        TableCell(points(c.difference), c.difference),
        TableCell(points(fixed.difference), fixed.difference),
        TableCell(ends),
        TableCell(p_value(fixed.p_holm), fixed.p_holm),
        TableCell(c.verdict, word=c.verdict),
    ]


def readers_table(facts: Facts) -> Table | None:
    """Who agrees with whom on the labelled replies; None where nobody labelled anything."""
    labelled, rows = facts.results.labelled, []
    for question in labelled.given:
        where = f"{question.rubric} ({question.part})"
        for what, one, two, found in between_people(labelled, question):
            name = where if what == question.rubric else what.replace("_", " ")
            kappa = TableCell(
                NOTHING if found.kappa is None else f"{found.kappa:.2f}", found.kappa, found.kappa_low, found.kappa_high
            )
            rows.append(
                [
                    TableCell(name),
                    TableCell(f"{one} (a person)"),
                    TableCell(f"{two} (a person)"),
                    count(found.n),
                    TableCell(percent(found.share), found.share),
                    kappa,
                ]
            )
        by = with_reader(labelled, question)
        if by.n:
            kappa = TableCell(NOTHING if by.kappa is None else f"{by.kappa:.2f}", by.kappa)
            rows.append(
                [
                    TableCell(where),
                    TableCell("people"),
                    TableCell("who read the replies when they were drawn"),
                    count(by.n),
                    TableCell(percent(by.share), by.share),
                    kappa,
                ]
            )
    if not rows and not labelled.faults:
        return None
    notes = unused(labelled)
    return Table(
        "labelled",
        "People's labels: who agrees with whom",
        "Agreement and Cohen's kappa, on replies that both read. With whoever read the replies each label is weighted "
        "to stand for all replies of its stratum.",
        ["question", "one", "other", "labels", "agree", "kappa"],
        rows,
        tuple(notes),
    )


def section(material: Material) -> Section:
    """The section."""
    facts = material.facts
    text = "What people found in a random sample of the replies, blind to arm and verdict (unwaver label)."
    return made("labels", "Labels", "People's labels", text, corrected_table(facts), readers_table(facts))
