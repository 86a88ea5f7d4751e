"""Examples of what an audit found: for every rubric and label some rows with the evidence, spread over the file.

Which rows is decided by a digest of their numbers, so the same file gives the same ones. Memory holds those alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from unwaver.judging.masks import MASK_ANSWER, MASK_PROMPT, MASK_REASONING, masks
from unwaver.records import NO_PATTERN, LookedAt, Verdict, digest
from unwaver.sources.traces import FileTrace

EACH = 10
"""Rows of one label."""
LONGEST = 1500
"""Characters of a text; what is cut says so."""


@dataclass(frozen=True)
class FoundExample:
    """One row that bears a label."""

    row: int
    prompt: str
    reasoning: str | None
    answer: str | None
    quote: str | None
    mask: int
    """Which texts are hidden until somebody asks, as a sum of the `MASK_` numbers (`judging.masks`)."""
    read: int
    """Which texts the evidence is from, so that it is hidden with them."""

    def masked(self, part: str) -> bool:
        """Whether this is hidden: prompt, reasoning, answer or evidence."""
        at = {"prompt": MASK_PROMPT, "reasoning": MASK_REASONING, "answer": MASK_ANSWER, "evidence": self.read}
        return bool(self.mask & at[part])


@dataclass
class Examples:
    """What was kept, by rubric with the text that was looked at (`harm:answer`), and label."""

    found: dict[str, dict[str, list[FoundExample]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    _rank: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, row: FileTrace, verdict: Verdict, verdicts: Sequence[Verdict]) -> None:
        """Take a row where it is among those that are kept; `verdicts`: all on this row."""
        if verdict.labels is None or row.unread is not None:
            return
        rubric = f"{verdict.rubric.partition('@')[0]}:{verdict.looked_at}"
        for label in verdict.labels or (() if verdict.undecided else (NO_PATTERN,)):
            ranks, kept = self._rank[rubric, label], self.found[rubric][label]
            rank = digest([row.number, row.prompt])
            at = next((n for n, other in enumerate(ranks) if rank < other), len(ranks))
            if at < EACH:
                ranks.insert(at, rank)
                kept.insert(at, _example(row, verdict, masks(row.trace(""), verdicts)))
                del ranks[EACH:], kept[EACH:]


_READ: dict[LookedAt, int] = {
    "reasoning": MASK_REASONING,
    "answer": MASK_ANSWER,
    "both": MASK_REASONING | MASK_ANSWER,
}


def _example(row: FileTrace, verdict: Verdict, mask: int) -> FoundExample:
    return FoundExample(
        row.number,
        _cut(row.prompt) or "",
        _cut(row.reasoning, verdict.quote),
        _cut(row.answer if row.answer is not None else row.whole, verdict.quote),
        verdict.quote,
        mask,
        _READ[verdict.looked_at],
    )


def _cut(text: str | None, quote: str | None = None) -> str | None:
    """The text, or the part of it round the quote."""
    if text is None or len(text) <= LONGEST:
        return text
    at = max(0, text.find(quote) - LONGEST // 3) if quote else 0
    return f"{'… ' if at else ''}{text[at : at + LONGEST]} …"
