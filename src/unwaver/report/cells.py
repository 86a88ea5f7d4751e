"""Cells that several tables share: a rate with its verdict word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from unwaver.report.facts import EvaluationFacts, Facts
from unwaver.report.tables import Cell, of, percent
from unwaver.report.words import against
from unwaver.study.comparison import Comparison

LONG = 12
"""Rows above which a table that a figure shows too is folded."""


def compared_cell(
    family: Mapping[tuple[str, str, str], Comparison], facts: Facts, metric: str, arm: str, one: EvaluationFacts
) -> Cell:
    """A rate with its word; with its worst cases where the word depends on the unscored."""
    comparison = family.get((metric, arm, one.name))
    word = comparison.verdict if comparison is not None else None
    estimate = facts.estimate(metric, arm, one.name)
    said = (against(comparison), facts.doubts.note(metric, arm, one.name))
    cell = of(estimate, word, ". ".join(text for text in said if text))
    if word != "depends on the unscored" or estimate is None:
        return cell
    worst = (percent(end, estimate.n) for end in (estimate.lowest, estimate.highest))
    return replace(cell, text=f"{cell.text} (worst case {' to '.join(worst)})")
