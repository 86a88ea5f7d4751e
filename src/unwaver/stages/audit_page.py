"""The page an audit makes: its records, the counting behind them, and how it is printed.

Counts while rows go by and keeps numbers only, never text. Every share comes with its Wilson interval and stands on the
rows that could be read; the others are counted by reason. Text from a file reaches the terminal only through `plain`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unwaver.intervals import wilson
from unwaver.plain import plain
from unwaver.records import NO_PATTERN, PATTERNS, Record, Verdict
from unwaver.sources.overlap import SetOverlap
from unwaver.sources.traces import Row

PARTS = ("reasoning", "answer", "whole reply")

LONGEST = 300
"""Characters of a text from the file in one line of the page."""
FAULTS_SHOWN = 5
"""Rows that could not be read whose faults are told one by one."""
UNREAD = "the row can't be read"
"""What they count as, whatever was wrong with each."""


class Share(Record):
    """How often a label was given."""

    count: int
    share: float | None
    """Of the rows that could be read; None where there were none."""
    low: float | None
    """Lower end of the 95 % Wilson interval."""
    high: float | None


class Reading(Record):
    """The verdicts through one rubric."""

    rubric: str
    judge: str
    n: int
    """Rows with a label."""
    labels: dict[str, Share]
    """By label; of risky patterns, by pattern, so that the shares may add up to more than one."""
    unscored: dict[str, int]
    """Why there was no label -> how often."""


class Length(Record):
    """Lengths of one part of the replies."""

    n: int
    """Rows that have the part."""
    mean: float | None
    median: float | None
    p90: float | None
    """The 90th percentile, linearly interpolated."""


class AuditPage(Record):
    """All that an audit found."""

    source: str
    rows: int
    prompts: int
    """Different prompts among the rows."""
    no_reply: int
    """Rows whose reply is an empty cell."""
    unread: int
    """Rows that could not be read; they are in no other figure but the unscored."""
    faults: tuple[str, ...]
    """What was wrong with the first of them, with its place."""
    blocks: dict[str, int]
    """Reasoning blocks as `reasoning.split` found them."""
    endings: dict[str, int]
    """As the file states them; `unknown` where it doesn't."""
    words: dict[str, Length]
    """By part; words are what stands between blanks."""
    characters: dict[str, Length]
    readings: tuple[Reading, ...]
    overlap: dict[str, SetOverlap]
    """Prompts of evaluation sets that stand among the rows' prompts."""
    not_checked: dict[str, str]
    """Evaluation sets that were not looked for, and why."""


@dataclass
class Heard:
    """The verdicts of one reader, counted."""

    rubric: str = ""
    judge: str = ""
    labels: Counter[str] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict, row: Row) -> None:
        """Count the verdict on one row."""
        self.rubric, self.judge = verdict.rubric, verdict.judge
        if verdict.label is None:
            self.unscored[verdict.reason if row.unread is None else UNREAD] += 1
        else:
            self.labels[verdict.label] += 1

    def reading(self) -> Reading:
        """The shares."""
        n = self.labels.total()
        counts: Counter[str] = Counter()
        for label, count in self.labels.items():
            counts.update(dict.fromkeys(label.split("+"), count))
        risky = self.rubric.startswith("risky-patterns")
        order = [*PATTERNS, NO_PATTERN] if risky else [name for name, _ in counts.most_common()]
        return Reading(
            rubric=self.rubric,
            judge=self.judge,
            n=n,
            labels={name: _share(counts[name], n) for name in order},
            unscored=dict(self.unscored.most_common()),
        )


@dataclass
class Tally:
    """What is counted of the rows themselves."""

    rows: int = 0
    no_reply: int = 0
    unread: int = 0
    faults: list[str] = field(default_factory=list)
    blocks: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    words: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    characters: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    prompts: set[int] = field(default_factory=set)

    def add(self, row: Row) -> None:
        """Count one row."""
        self.rows += 1
        if row.unread is not None:
            self.unread += 1
            self.faults += [row.unread] if len(self.faults) < FAULTS_SHOWN else []
            return
        self.prompts.add(hash(row.prompt))
        self.endings[row.ending or "unknown"] += 1
        if not row.replied:
            self.no_reply += 1
            return
        self.blocks[row.block] += 1
        whole = " ".join(text for text in (row.reasoning, row.answer) if text)
        for part, text in zip(PARTS, (row.reasoning, row.answer, whole), strict=True):
            if text is not None:
                self.words[part].append(len(text.split()))
                self.characters[part].append(len(text))

    def page(
        self, source: str, readings: list[Reading], overlap: dict[str, SetOverlap], not_checked: dict[str, str]
    ) -> AuditPage:
        """The page of all that was counted."""
        return AuditPage(
            source=source,
            rows=self.rows,
            prompts=len(self.prompts),
            no_reply=self.no_reply,
            unread=self.unread,
            faults=tuple(self.faults),
            blocks=dict(self.blocks.most_common()),
            endings=dict(self.endings.most_common()),
            words={part: _length(self.words[part]) for part in PARTS},
            characters={part: _length(self.characters[part]) for part in PARTS},
            readings=tuple(readings),
            overlap=overlap,
            not_checked=not_checked,
        )


def _length(values: list[int]) -> Length:
    if not values:
        return Length(n=0, mean=None, median=None, p90=None)
    mean, median, p90 = np.mean(values), np.median(values), np.percentile(values, 90)
    return Length(n=len(values), mean=round(float(mean), 1), median=float(median), p90=round(float(p90), 1))


def _share(count: int, n: int) -> Share:
    interval = wilson(count, n)
    return Share(count=count, share=interval.value, low=interval.low, high=interval.high)


def show(page: AuditPage) -> None:
    """Print a page to stdout."""
    from rich.console import Console

    console = Console(highlight=False)
    for piece in _pieces(page):
        console.print(piece)


def _pieces(page: AuditPage) -> Iterator[Any]:
    """What is printed, in order: headings, tables, and lines under them."""
    yield _heading(f"{page.source}: {page.rows} rows, {page.prompts} different prompts")
    head = _table("", "rows")
    for what, counts in (("reasoning block", page.blocks), ("ending", page.endings)):
        for name, count in counts.items():
            head.add_row(f"{what}: {name}", str(count))
    head.add_row("no reply", str(page.no_reply))
    if page.unread:
        head.add_row("can't be read", str(page.unread))
    yield head
    yield from (_line(f"can't be read: {fault}") for fault in page.faults)
    for unit, lengths in (("words", page.words), ("characters", page.characters)):
        yield _heading(f"Lengths in {unit}")
        table = _table("", "rows", "mean", "median", "90th percentile")
        for part, length in lengths.items():
            figures = (length.mean, length.median, length.p90)
            table.add_row(part, str(length.n), *("-" if figure is None else f"{figure:,.0f}" for figure in figures))
        yield table
    for reading in page.readings:
        yield _heading(f"{reading.rubric} by {reading.judge}: {reading.n} rows scored")
        table = _table("label", "rows", "share", "95 % interval")
        for label, share in reading.labels.items():
            ends = "-" if share.low is None or share.high is None else f"{share.low:.1%} to {share.high:.1%}"
            table.add_row(_line(label), str(share.count), "-" if share.share is None else f"{share.share:.1%}", ends)
        yield table
        yield from (_line(f"{count} unscored: {reason}") for reason, count in reading.unscored.items())
    yield _heading("Prompts of evaluation sets that stand among these prompts")
    overlap = _table("set", "prompts", "found", "exact", "normalised", "8 words")
    for name, one in page.overlap.items():
        overlap.add_row(name, *(str(n) for n in (one.texts, one.prompts, one.exact, one.normalised, one.ngram)))
    if page.overlap:
        yield overlap
    yield from (_line(f"{name}: not checked: {why}") for name, why in page.not_checked.items())


def _table(*headings: str) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right")
    return table


def _heading(text: str) -> Any:
    from rich.text import Text

    return Text("\n" + plain(text, LONGEST), style="bold")


def _line(text: str) -> Any:
    from rich.text import Text

    return Text(plain(text, LONGEST))
