"""Less harm, or another style? Controls for length and openings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unwaver.judging.questions import HARM, REFUSAL
from unwaver.records import single
from unwaver.report.choice import chosen
from unwaver.report.comparable import together
from unwaver.report.facts import Facts, harmful_rows
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import NOTHING, Table, TableCell, count, of
from unwaver.report.words import p_value
from unwaver.study.controls import PARTS, Item, Opener, Regression, at_equal_length, by_length, without_opener

SAMPLED = 200
"""Answers of an arm that are read without their opener: enough for a share to within seven points."""


@dataclass(frozen=True)
class StyleOutcome:
    """What is held against length."""

    metric: str
    name: str
    key: str
    """The reading, `rubric:looked_at`."""
    label: str
    said: str
    """The label as a sentence has it."""


OUTCOMES = (
    StyleOutcome("asr", "Harm", HARM, "unsafe", "unsafe"),
    StyleOutcome("refusal", "Refusal", REFUSAL, "refusal", "a refusal"),
)


def _items(facts: Facts, arms: Iterable[str], outcome: StyleOutcome) -> list[Item]:
    return [
        Item(
            row.trace.prompt.behaviour or row.trace.prompt.id,
            arm,
            None if (label := row.label(outcome.key)) is None else label == outcome.label,
            facts.length(row.trace, "reasoning"),
            facts.length(row.trace, "answer"),
        )
        for arm in arms
        for row in harmful_rows(facts, arm)
    ]


Equal = tuple[StyleOutcome, str, Regression]
"""An outcome, the reference arm, and each chosen arm's odds against its, with length held still."""


def equal_length(facts: Facts) -> list[Equal]:
    """Harm and refusal at equal length.

    The reference is the first arm whose replies have both lengths: raw, unless it does not reason.
    """
    found = []
    for outcome in OUTCOMES:
        alike = together(facts, [(outcome.metric, facts.of_kind("harmful"))], chosen(facts))
        items = _items(facts, alike.arms, outcome)
        whole = [item.arm for item in items if None not in (item.outcome, item.reasoning, item.answer)]
        if whole:
            found.append((outcome, whole[0], at_equal_length(items, whole[0])))
    return found


def problem(equal: Sequence[Equal]) -> str:
    """Why there is no comparison at equal length, in a sentence; empty where there is one, or nothing to compare."""
    said = [f"{o.name} can't be compared at equal length here: {r.problem}." for o, _, r in equal if r.problem]
    return " ".join(said)


def regression_table(one: Equal) -> Table | None:
    """Each arm's odds of an outcome against the reference arm's, with and without length held still."""
    outcome, reference, found = one
    if not found.terms:
        return None
    rows = []
    for term in found.terms:
        ends = NOTHING if term.low is None or term.high is None else f"{_odds(term.low)} to {_odds(term.high)}"
        crude = TableCell(NOTHING) if term.crude is None else TableCell(_odds(term.crude), term.crude)
        adjusted = TableCell(NOTHING) if term.odds_ratio is None else TableCell(_odds(term.odds_ratio), term.odds_ratio)
        rows.append([TableCell(term.name), crude, adjusted, TableCell(ends), TableCell(p_value(term.p), term.p)])
    apart = f" Left out, as all their replies came out alike: {', '.join(found.one_sided)}." if found.one_sided else ""
    left = f"{found.n_left_out} without label or length left out"
    base = f"{found.n} replies, {found.n_events} of them {outcome.said}; {left}."
    return Table(
        f"equal-length-{outcome.metric}",
        f"{outcome.name} at equal length",
        f"Odds of a reply that is {outcome.said} against those of {reference} (below 1: rarer), as counted and with "
        "the lengths of reasoning and answer held still.",
        ["arm or length", "odds ratio", "at equal length", "95 %", "p"],
        rows,
        (f"{base}{apart}", "Length is partly a consequence of refusing: a gain that vanishes here need not be style."),
        folded=True,
    )


def _odds(value: float) -> str:
    return f"{value:.2f}" if 0.005 <= value < 1000 else f"{value:.1e}"


_ONE_LENGTH = re.compile(r"(\d+) to \1$")
"""The name of a stratum that holds one length and no range."""


def _same(single: Sequence[str]) -> list[str]:
    names = ", ".join(name.partition(" to ")[0] for name in single)
    return [f"Left out, as all of them are of one length: {names}."] if single else []


def strata_tables(facts: Facts) -> list[Table]:
    """Harm and refusal in quarters of the length of reasoning and answer."""
    tables = []
    for outcome in OUTCOMES:
        alike = together(facts, [(outcome.metric, facts.of_kind("harmful"))])
        items = _items(facts, alike.arms, outcome)
        for part in PARTS if items else ():
            found = by_length(items, part, outcome.metric)
            slices = [name for name in dict.fromkeys(e.slice for e in found) if not _ONE_LENGTH.search(name)]
            single = [name for name in dict.fromkeys(e.slice for e in found) if _ONE_LENGTH.search(name)]
            if len(slices) < 2:
                continue
            at = {(e.arm, e.slice): e for e in found}
            tables.append(
                Table(
                    f"strata-{outcome.metric}-{part}",
                    f"{outcome.name} by length of the {part}",
                    f"The share of replies to harmful prompts that are {outcome.said}, among those with {part}s about "
                    f"as long, in {facts.length_unit}; all arms share the cuts.",
                    ["arm", *slices],
                    [[TableCell(arm), *(of(at.get((arm, slice_))) for slice_ in slices)] for arm in alike.arms],
                    [*alike.notes, *_same(single)],
                    folded=True,
                )
            )
    return tables


def opener_table(facts: Facts) -> Table | None:
    """Refusals read as written and without their fixed first words; an answer cut before it declined is in neither."""
    from unwaver.judging.local.reader import ask
    from unwaver.judging.local.reader_file import shipped
    from unwaver.judging.unanswered import cut_undecided

    question = shipped().question("refusal")

    def refuses(text: str) -> bool | None:
        label = ask(question, text).label
        return None if label is None else label == "refusal"

    rows = []
    for arm in facts.arms:
        traces = [row.trace for row in harmful_rows(facts, arm)[:SAMPLED]]
        answers = {
            trace.id: None if cut_undecided(trace, single(ask(question, trace.answer).label)) else trace.answer
            for trace in traces
        }
        if not answers:
            continue
        found: Opener = without_opener(answers, refuses, "refusal", arm)
        rows.append(
            [TableCell(arm), of(found.as_written), of(found.stripped), count(found.n_opened), count(found.n_changed)]
        )
    if not any(row[-2].value for row in rows):
        return None
    return Table(
        "opener",
        "Refusals without their first words",
        "The refusal rate on harmful prompts, read without a model in the answer as it is and after a fixed opener "
        "(such as Sorry) is taken off. A large fall means that only the opener refuses.",
        ["arm", "as written", "opener taken off", "with an opener", "read otherwise"],
        rows,
        (f"At most {SAMPLED} answers an arm.",),
        folded=True,
    )


def section(material: Material) -> Section:
    """The section."""
    facts = material.facts
    equal = equal_length(facts)
    return made(
        *("style", "Style", "Less harm, or another style?"),
        " ".join(filter(None, (material.by_harm, problem(equal)))),
        *(*(regression_table(one) for one in equal), *strata_tables(facts), opener_table(facts)),
    )
