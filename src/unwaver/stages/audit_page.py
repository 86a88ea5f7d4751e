"""The page an audit makes: its records, the counting behind them, and how it is printed.

Counts while rows go by and keeps numbers, and of each label the first sentence that decided for it. Every share comes
with its Wilson interval and stands on the rows that were decided; the others are counted by reason. Which rows are
decided may hang on what is in them (a trace is known to be free of patterns only where each was ruled out, known not to
be where one was found), so beside each share stands what the others could make of it, and where they are most, that
alone. Text from a file reaches the terminal only through `plain`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unwaver.intervals import Interval, wilson
from unwaver.plain import counted, plain
from unwaver.records import NO_PATTERN, PATTERNS, LookedAt, Record, Verdict
from unwaver.sources.overlap import SetOverlap
from unwaver.sources.results import labels
from unwaver.sources.traces import FileTrace

LABELS = "a word alone, one of a few, as labels are; where another column holds the replies: --map response=COLUMN"

PARTS = ("reasoning", "answer", "whole reply")

LONGEST = 300
"""Characters of a text from the file in one line of the page."""
LONGEST_PATH = 4096
"""Characters that the name of a file may take besides: who wants to look there needs all of it."""
FAULTS_SHOWN = 5
"""Rows that could not be read whose faults are told one by one."""
EVIDENCE = 160
"""Characters of a sentence that decided."""
UNREAD = "the row can't be read"
"""What they count as, whatever was wrong with each."""


class Share(Record):
    """How often a label was given."""

    count: int
    share: float | None
    """Of the rows in which it was decided; None where they are fewer than the others."""
    low: float | None
    """Lower end of the 95 % Wilson interval."""
    high: float | None
    lowest: float | None
    """Worst cases: the share of all rows that hold a reply if the label fitted none of those not decided (`highest`:
    all of them)."""
    highest: float | None


class Evidence(Record):
    """The sentence that decided in one row."""

    row: int
    """0-based, as `--out` has it."""
    quote: str
    """As it stands in the text."""


class RubricResult(Record):
    """The verdicts through one rubric on one text of each row."""

    rubric: str
    judge: str
    looked_at: LookedAt
    n: int
    """Rows with a label."""
    labels: dict[str, Share]
    """By label; of risky patterns, by pattern, so that the shares may add up to more than one."""
    unscored: dict[str, int]
    """Why there was no label -> how often."""
    measured: dict[str, str] = {}
    """How far the reader agreed with labels on models it had not met, by pattern or by the rubric; empty for models."""
    undecided: dict[str, int] = {}
    """Pattern -> scored rows in which it could be neither found nor ruled out; they are not in its share."""
    evidence: dict[str, Evidence] = {}
    """By label, of the first row that got it with a quote; of several patterns in a row, of the first."""


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
    notes: dict[str, int]
    """What was odd about where reasoning and answer were found."""
    endings: dict[str, int]
    """As the file states them; `unknown` where it doesn't."""
    words: dict[str, Length]
    """By part; words are what stands between blanks."""
    characters: dict[str, Length]
    readings: tuple[RubricResult, ...]
    overlap: dict[str, SetOverlap]
    """Prompts of evaluation sets that stand among the rows' prompts."""
    not_checked: dict[str, str]
    """Evaluation sets that were not looked for, and why."""


@dataclass
class Heard:
    """The verdicts of one reader, counted."""

    rubric: str = ""
    judge: str = ""
    looked_at: LookedAt = "both"
    read: int = 0
    """Rows that were scored."""
    labels: Counter[str] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    """Rows that were not scored and hold a reply."""
    undecided: Counter[str] = field(default_factory=Counter)
    """Rows that were scored, by a name that was not decided in them."""
    evidence: dict[str, Evidence] = field(default_factory=dict)

    def add(self, verdict: Verdict, row: FileTrace) -> None:
        """Count the verdict on one row."""
        self.rubric, self.judge, self.looked_at = verdict.rubric, verdict.judge, verdict.looked_at
        if verdict.labels is None:
            self.unscored[verdict.reason if row.unread is None else UNREAD] += 1
            self.left_out += row.unread is None and row.replied
        else:
            self.read += 1
            self.undecided.update(verdict.undecided)
            found = verdict.labels or (() if verdict.undecided else (NO_PATTERN,))
            self.labels.update(found)
            if verdict.quote and verdict.labels:
                shown = Evidence(row=row.number, quote=verdict.quote)
                self.evidence.setdefault(verdict.labels[0], shown)
            # Of some patterns undecided and none found, nobody knows whether there is one.
            self.undecided.update([NO_PATTERN] if not found else [])

    def reading(self, measured: Mapping[str, str]) -> RubricResult:
        """The shares. `measured`: how well the reader reads, where that is known."""
        n, counts = self.read, self.labels
        risky = self.rubric.startswith("risky-patterns")
        order = [*PATTERNS, NO_PATTERN] if risky else [name for name, _ in counts.most_common()]
        return RubricResult(
            rubric=self.rubric,
            judge=self.judge,
            looked_at=self.looked_at,
            n=n,
            labels={name: _share(counts[name], n - self.undecided[name], n + self.left_out) for name in order},
            undecided=dict(self.undecided),
            measured=dict(measured),
            unscored=dict(self.unscored.most_common()),
            evidence=self.evidence,
        )


@dataclass
class RowTally:
    """What is counted of the rows themselves."""

    rows: int = 0
    no_reply: int = 0
    unread: int = 0
    faults: list[str] = field(default_factory=list)
    blocks: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    words: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    characters: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    prompts: set[int] = field(default_factory=set)
    single: Counter[str] = field(default_factory=Counter)
    """How often which reply is a word alone."""

    def add(self, row: FileTrace) -> None:
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
        self.notes.update([row.note] if row.note else [])
        self.single.update([word] if (word := row.word) else [])
        whole = row.whole or " ".join(text for text in (row.reasoning, row.answer) if text)
        for part, text in zip(PARTS, (row.reasoning, row.answer, whole), strict=True):
            if text is not None:
                self.words[part].append(len(text.split()))
                self.characters[part].append(len(text))

    @property
    def labels(self) -> list[str]:
        """The few words that are labels and no replies, as it seems."""
        return labels(self.single, self.blocks.total())

    @property
    def all_labels(self) -> bool:
        """Whether every reply seems to be one of them."""
        return bool(self.labels) and self.single.total() == self.blocks.total()

    def _of_labels(self) -> Counter[str]:
        return Counter({LABELS: self.single.total()} if self.labels else {})

    def page(
        self, source: str, readings: list[RubricResult], overlap: dict[str, SetOverlap], not_checked: dict[str, str]
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
            notes=dict((self.notes + self._of_labels()).most_common()),
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


def _share(count: int, n: int, every: int) -> Share:
    interval = wilson(count, n) if 2 * n >= every else Interval(None, None, None, 0)
    worst = (None, None) if not every else (count / every, (count + every - n) / every)
    return Share(
        count=count,
        share=interval.value,
        low=interval.low,
        high=interval.high,
        lowest=worst[0],
        highest=worst[1],
    )


def show(page: AuditPage) -> None:
    """Print a page to stdout."""
    from rich.table import Table

    from unwaver.printer import console, show_table

    out = console()
    for piece in _pieces(page):
        if isinstance(piece, Table):
            show_table(out, piece)
        else:
            out.print(piece)


def _pieces(page: AuditPage) -> Iterator[Any]:
    """What is printed, in order: headings, tables, and lines under them."""
    yield _heading(f"{page.source}: {counted(page.rows, 'row')}, {counted(page.prompts, 'different prompt')}")
    head = _table("", "rows")
    for what, counts in (("reasoning block", page.blocks), ("ending", page.endings)):
        for name, count in counts.items():
            head.add_row(f"{what}: {name}", str(count))
    head.add_row("no reply", str(page.no_reply))
    if page.unread:
        head.add_row("can't be read", str(page.unread))
    yield head
    yield from (_line(f"can't be read: {fault}", len(page.source)) for fault in page.faults)
    yield from (_line(f"{count} of the replies: {note}") for note, count in page.notes.items())
    for unit, lengths in (("words", page.words), ("characters", page.characters)):
        yield _heading(f"Lengths in {unit}")
        table = _table("", "rows", "mean", "median", "90th percentile")
        for part, length in lengths.items():
            figures = (length.mean, length.median, length.p90)
            table.add_row(part, str(length.n), *("-" if figure is None else f"{figure:,.0f}" for figure in figures))
        yield table
    for reading in page.readings:
        where = f" of the {reading.looked_at}" if reading.looked_at != "both" else ""
        yield _heading(f"{reading.rubric}{where} by {reading.judge}: {counted(reading.n, 'row')} scored")
        open_ = reading.undecided
        table = _table("label", "rows", "share", "95 % interval", "worst case", *(["undecided"] if open_ else []))
        for label, one in reading.labels.items():
            part = "-" if one.share is None else f"{one.share:.1%}"
            ends = (_ends(one.low, one.high), _ends(one.lowest, one.highest))
            table.add_row(_line(label), str(one.count), part, *ends, *([str(open_.get(label, 0))] if open_ else []))
        yield table
        yield from (_line(f"{count} unscored: {reason}") for reason, count in reading.unscored.items())
        for label, shown in reading.evidence.items():
            yield _line(f"{label}, row {shown.row}: {plain(shown.quote, EVIDENCE)}")
        yield from (_line(f"how well {name} is read: {text}") for name, text in reading.measured.items())
    yield _heading("Prompts of evaluation sets that stand among these prompts")
    overlap = _table("set", "prompts", "found", "exact", "normalised", "8 words")
    for name, of in page.overlap.items():
        overlap.add_row(name, *(str(n) for n in (of.texts, of.prompts, of.exact, of.normalised, of.ngram)))
    if page.overlap:
        yield overlap
    yield from (_line(f"{name}: not checked: {why}") for name, why in page.not_checked.items())


def _ends(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.1%} to {high:.1%}"


def _table(*headings: str) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right")
    return table


def _heading(text: str) -> Any:
    from rich.text import Text

    return Text("\n" + plain(text, LONGEST + (LONGEST_PATH if "/" in text else 0)), style="bold")


def _line(text: str, place: int = 0) -> Any:
    """One line; `place`: how long the name of a file in it may be, which is never cut."""
    from rich.text import Text

    return Text(plain(text, LONGEST + place))
