"""Which way a metric is better. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from unwaver.study.measures import measures

Way = Literal["lower", "higher"]

DERIVED: Mapping[str, Way] = {
    "pass": "higher",
    "any_harm": "lower",
    "any_refusal": "lower",
    "all_safe": "higher",
    "all_answered": "higher",
    "all_correct": "higher",
    "pattern": "lower",
    "text_self_jailbreak": "lower",
    "text_oscillation": "lower",
    "oscillation": "lower",
    "refusal_auc": "higher",
    "first_token_auc": "higher",
    "snowball_slope": "lower",
    "asr_shift": "lower",
    "over_refusal_shift": "lower",
    "accuracy_shift": "higher",
    "tokens": "lower",
}
"""Which way is better of what is no measure of its own, by the name up to its first `@` or `:`."""


def better(metric: str) -> Way | None:
    """Which way a metric is better; None where nobody has said."""
    known = measures().get(metric)
    return known.better if known is not None else DERIVED.get(metric.partition("@")[0].partition(":")[0])
