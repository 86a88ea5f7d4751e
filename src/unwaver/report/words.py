"""How differences and p-values are said. Pure."""

from __future__ import annotations

from unwaver.report.tables import NOTHING
from unwaver.study.comparison import Comparison, explained


def p_value(p: float | None) -> str:
    """A p as people read it."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def points(value: float | None) -> str:
    """A difference of rates in percentage points, with its sign."""
    return NOTHING if value is None else f"{100 * value:+z.1f}"


def against(comparison: Comparison | None) -> str:
    """A comparison in a sentence, for whoever points at the cell."""
    if comparison is None:
        return ""
    ends, more = "", explained(comparison)
    if comparison.low is not None and comparison.high is not None:
        ends = f" ({points(comparison.low)} to {points(comparison.high)})"
    return (
        f"{points(comparison.difference)} points{ends} against {comparison.arm_a} on {comparison.n_pairs} prompts, "
        f"p {p_value(comparison.p)}, corrected {p_value(comparison.p_holm)}: {comparison.verdict}"
        f"{more and f' ({more})'}"
    )
