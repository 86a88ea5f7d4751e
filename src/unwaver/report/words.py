"""How differences and p-values are said. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unwaver.plain import counted
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


def on_pairs(comparison: Comparison, interval: bool = False) -> str:
    """A difference with how many pairs it is taken on: fewer than either arm's own n, where replies are unscored."""
    c = comparison
    ends = f" [{points(c.low)} to {points(c.high)}]" if interval and None not in (c.low, c.high) else ""
    return f"{points(c.difference)} points{ends} on {counted(c.n_pairs, 'pair')}"


def least(families: Mapping[str, Sequence[Comparison]]) -> dict[str, float | None]:
    """By what they are of, the largest of the comparisons' smallest differences (`to_be_found`)."""
    known = {name: [c for c in every if c.smallest_detectable or c.shows_nothing] for name, every in families.items()}
    return {
        name: None if any(c.shows_nothing for c in every) else max(c.smallest_detectable or 0.0 for c in every)
        for name, every in known.items()
        if every
    }


def to_be_found(least: Mapping[str, float | None]) -> str:
    """How large a true difference has to be to be found, by what it is of; None: no difference that is possible is."""
    found = [f"{name} {100 * size:.0f} points" for name, size in least.items() if size is not None]
    never = [name for name, size in least.items() if size is None]
    large = (
        "To be found four times in five, before correction, a true difference has to be about this large: "
        f"{'; '.join(found)}."
    )
    none = (
        f"Even the largest difference there can be would be found less often ({'; '.join(never)}): "
        "ask more prompts, or train more seeds."
    )
    return " ".join(text for text, said in ((large, found), (none, never)) if said)


def against(comparison: Comparison | None) -> str:
    """A comparison in a sentence, for whoever points at the cell."""
    if comparison is None:
        return ""
    ends, more = "", explained(comparison)
    if comparison.low is not None and comparison.high is not None:
        ends = f" ({points(comparison.low)} to {points(comparison.high)})"
    return (
        f"{points(comparison.difference)} points{ends} against {comparison.arm_a} on "
        f"{counted(comparison.n_pairs, 'pair')}, p {p_value(comparison.p)}, "
        f"corrected {p_value(comparison.p_holm)}: {comparison.verdict}"
        f"{more and f' ({more})'}"
    )
