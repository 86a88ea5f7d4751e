"""People's labels of a folder of runs, joined with the replies they were given for: what correction is made of.

Reads `labels.jsonl` and the samples beside it; gives, for a measure and some runs, each reply's stratum and label
(`correction.Item`), how far people agree with each other, and how far with whoever read the runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from pathlib import Path

from unwaver.judging.people import ASKED, Label, counts_as
from unwaver.plain import counted
from unwaver.records import PATTERNS, Trace
from unwaver.stages.label import LABELS, DrawnQuestion, Stratum, Traces, checked, samples
from unwaver.study.agreement import Agreement, agreement, by_pattern, chance_corrected
from unwaver.study.correction import Drawable
from unwaver.study.measures import measures
from unwaver.study.measures.measure import Measure
from unwaver.study.readers import reading
from unwaver.study.rows import Row
from unwaver.study.stats import Score


@dataclass
class Labelled:
    """The samples of a folder, and what people found in them."""

    samples: dict[DrawnQuestion, list[Stratum]] = field(default_factory=dict)
    given: dict[DrawnQuestion, dict[str, list[Label]]] = field(default_factory=dict)
    """By question and trace, what each reader found."""
    faults: list[str] = field(default_factory=list)
    """Lines of the file that were not taken, and why."""

    def strata(self, question: DrawnQuestion, run: str) -> list[Stratum]:
        """The strata of one run."""
        return [one for one in self.samples.get(question, ()) if one.run == run]


def read(root: Path, traces: Iterable[Trace] = ()) -> Labelled:
    """The labels of a folder of runs; `traces`: those that are in memory already."""
    file = root / LABELS
    if not file.is_file():
        return Labelled()
    drawn = samples(root)
    runs = [one.run for strata in drawn.values() for one in strata]
    every = chain(traces, Traces(root, {}, lambda run: ()).of(runs))
    taken = checked([file], drawn, every)
    return gathered(drawn, taken.labels, taken.faults)


def gathered(drawn: dict[DrawnQuestion, list[Stratum]], labels: Iterable[Label], faults: list[str]) -> Labelled:
    """Labels by question and trace."""
    found = Labelled(drawn, defaultdict(lambda: defaultdict(list)), faults)
    for label in labels:
        found.given[DrawnQuestion(label.rubric, label.looked_at)][label.trace].append(label)
    return found


def unused(labelled: Labelled) -> list[str]:
    """That lines of the file are not used, with the first of them; nothing where all are."""
    if not (faults := labelled.faults):
        return []
    return [f"{counted(len(faults), 'line')} of {LABELS} not used, as {faults[0]}."]


def asked_for(metric: str) -> tuple[Measure, DrawnQuestion] | None:
    """A measure that rests on one reading that people can give, with its question; None for others."""
    measure = measures().get(metric)
    if measure is None or len(measure.reads) != 1:
        return None
    rubric, _, part = measure.reads[0].partition(":")
    match = [DrawnQuestion(rubric, one) for one in (ASKED[rubric].parts if rubric in ASKED else ()) if one == part]
    return (measure, match[0]) if match else None


def items(
    labelled: Labelled, metric: str, run: str, rows: Sequence[Row], key: Callable[[Trace], str]
) -> list[Drawable]:
    """The replies of one run that could have been drawn, with what people found in them."""
    found = asked_for(metric)
    if found is None:
        return []
    measure, question = found
    of = {id_: f"{run}: {one.verdict}" for one in labelled.strata(question, run) for id_ in one.traces}
    beyond = f"{run}: not drawn from"  # where the run isn't the one that was drawn from, none of these can have a label
    given = labelled.given.get(question, {})
    return [
        Drawable(
            key(row.trace),
            of.get(row.trace.id, beyond),
            row.trace.id in given,
            _mean(measure, row.trace, given.get(row.trace.id, ())),
        )
        for row in rows
        if row.trace.id in of or (of and question.asks(row.trace))
    ]


def _mean(measure: Measure, trace: Trace, labels: Sequence[Label]) -> Score:
    """What a trace counts for by its labels: the mean of those who could tell; None where nobody could."""
    name = measure.reads[0]
    said = [measure.of(Row("", "", trace, {name: reading(trace.id, name, counts_as(one, trace))})) for one in labels]
    scored = [float(one) for one in said if one is not None]
    return sum(scored) / len(scored) if scored else None


def between_people(labelled: Labelled, question: DrawnQuestion) -> list[tuple[str, str, str, Agreement]]:
    """(what, one reader, another, their agreement) on the traces that both labelled."""
    by_reader: dict[str, dict[str, Label]] = defaultdict(dict)
    for trace, labels in labelled.given.get(question, {}).items():
        for label in labels:
            by_reader[label.reader][trace] = label
    found = []
    for one, two in combinations(sorted(by_reader), 2):
        both = [trace for trace in by_reader[one] if trace in by_reader[two]]
        a, b = ([by_reader[who][trace] for trace in both] for who in (one, two))
        if not both:
            continue
        if ASKED[question.rubric].several:
            told = by_pattern([label.labels for label in a], [label.labels for label in b])
            found += [(name, one, two, told[name]) for name in PATTERNS]
        else:
            answers = list(ASKED[question.rubric].answers)
            alike = agreement([label.label for label in a], [label.label for label in b], answers)
            found.append((question.rubric, one, two, alike))
    return found


@dataclass(frozen=True)
class WithReader:
    """How far people's labels agree with the verdicts that the sample was divided by, as in all replies."""

    n: int
    share: float | None
    kappa: float | None


def with_reader(labelled: Labelled, question: DrawnQuestion) -> WithReader:
    """Each label counts for as many replies as its stratum has for each label in it."""
    names = list(ASKED[question.rubric].answers)
    given = labelled.given.get(question, {})
    table: dict[tuple[str, str], float] = defaultdict(float)
    n = 0
    for one in labelled.samples.get(question, ()):
        here = [label for id_ in one.traces for label in given.get(id_, ()) if label.label in names]
        for label in here if one.verdict in names else ():
            table[one.verdict, str(label.label)] += len(one.traces) / len(here)
            n += 1
    cells = [[table[a, b] for b in names] for a in names]
    total = sum(map(sum, cells))
    equal = sum(cells[at][at] for at in range(len(names)))
    return WithReader(n, equal / total if total else None, chance_corrected(cells, total))


def shares(labelled: Labelled, question: DrawnQuestion, runs: Iterable[str]) -> Mapping[str, list[Drawable]]:
    """By answer, the replies of some runs with whether they have it: for the shares of each answer."""
    given = labelled.given.get(question, {})
    return {
        answer: [
            Drawable(id_, f"{one.run}: {one.verdict}", id_ in given, _has(answer, given.get(id_, ())))
            for run in runs
            for one in labelled.strata(question, run)
            for id_ in one.traces
        ]
        for answer in ASKED[question.rubric].answers
    }


def _has(answer: str, labels: Sequence[Label]) -> Score:
    said = [float(answer in one.labels) for one in labels if one.labels is not None]
    return sum(said) / len(said) if said else None
