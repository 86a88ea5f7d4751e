"""Cells that several tables share: a rate with its verdict word."""

from __future__ import annotations

from collections.abc import Mapping

from unwaver.report.facts import EvaluationFacts, Facts
from unwaver.report.tables import TableCell, of
from unwaver.report.words import against
from unwaver.study.comparison import Comparison

LONG = 12
"""Rows above which a table that a figure shows too is folded."""


def compared_cell(
    family: Mapping[tuple[str, str, str], Comparison], facts: Facts, metric: str, arm: str, one: EvaluationFacts
) -> TableCell:
    """A rate with its word."""
    comparison = family.get((metric, arm, one.name))
    word = comparison.verdict if comparison is not None else None
    estimate = facts.estimate(metric, arm, one.name)
    said = (against(comparison), facts.doubts.note(metric, arm, one.name))
    return of(estimate, word, ". ".join(text for text in said if text))
