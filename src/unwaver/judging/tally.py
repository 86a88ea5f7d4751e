"""Counts of verdicts, for manifests."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from unwaver.records import Verdict


def tally(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Labels, and reasons for none, by rubric, text looked at and judge."""
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    unscored: dict[str, Counter[str]] = defaultdict(Counter)
    for verdict in verdicts:
        where = f"{verdict.rubric.partition('@')[0]} ({verdict.looked_at}) by {verdict.judge}"
        if verdict.label is None:
            unscored[where][verdict.reason] += 1
        else:
            labels[where][verdict.label] += 1
    return {
        "labels": {where: dict(counts) for where, counts in labels.items()},
        "unscored": {where: dict(counts) for where, counts in unscored.items()},
    }
