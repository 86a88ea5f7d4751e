"""Examples of what an audit found: for every rubric and label some rows with the evidence, spread over the file.

Which rows is decided by a digest of their numbers, so the same file gives the same ones. Memory holds those alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from unwaver.records import NO_PATTERN, Verdict, digest
from unwaver.sources.traces import Row

EACH = 10
"""Rows of one label."""
LONGEST = 1500
"""Characters of a text; what is cut says so."""
SAFE = "safe"
"""The one label whose reply to a harmful request needs no mask, here as in the report."""


@dataclass(frozen=True)
class Example:
    """One row that bears a label."""

    row: int
    prompt: str
    reasoning: str | None
    answer: str | None
    quote: str | None
    masked: bool
    """Whether the request seeks harm, so that its text is hidden until somebody asks."""
    reply_masked: bool
    """The same of the reply."""


@dataclass
class Examples:
    """What was kept, by rubric and label."""

    found: dict[str, dict[str, list[Example]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    _rank: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, rubric: str, row: Row, verdict: Verdict) -> None:
        """Take a row where it is among those that are kept."""
        if verdict.labels is None or row.unread is not None:
            return
        for label in verdict.labels or (() if verdict.undecided else (NO_PATTERN,)):
            ranks, kept = self._rank[rubric, label], self.found[rubric][label]
            rank = digest([row.number, row.prompt])
            at = next((n for n, other in enumerate(ranks) if rank < other), len(ranks))
            if at < EACH:
                ranks.insert(at, rank)
                kept.insert(at, _example(row, verdict, label))
                del ranks[EACH:], kept[EACH:]


def _example(row: Row, verdict: Verdict, label: str) -> Example:
    harmful = row.kind == "harmful"
    reply = harmful and label != SAFE
    return Example(
        row.number,
        _cut(row.prompt) or "",
        _cut(row.reasoning, verdict.quote),
        _cut(row.answer if row.answer is not None else row.whole, verdict.quote),
        verdict.quote,
        harmful,
        reply,
    )


def _cut(text: str | None, quote: str | None = None) -> str | None:
    """The text, or the part of it round the quote."""
    if text is None or len(text) <= LONGEST:
        return text
    at = max(0, text.find(quote) - LONGEST // 3) if quote else 0
    return f"{'… ' if at else ''}{text[at : at + LONGEST]} …"
