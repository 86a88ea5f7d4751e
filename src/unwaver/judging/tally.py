"""Counts of verdicts, for manifests."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from unwaver.records import Verdict


class Counts:
    """Labels, and reasons for none, by rubric, text looked at and judge."""

    def __init__(self) -> None:
        self._labels: dict[str, Counter[str]] = defaultdict(Counter)
        self._unscored: dict[str, Counter[str]] = defaultdict(Counter)

    def passing(self, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
        """The same verdicts, each counted as it goes by."""
        for verdict in verdicts:
            where = f"{verdict.rubric.partition('@')[0]} ({verdict.looked_at}) by {verdict.judge}"
            if verdict.label is None:
                self._unscored[where][verdict.reason] += 1
            else:
                self._labels[where][verdict.label] += 1
            yield verdict

    def summary(self) -> dict[str, Any]:
        """The counts so far."""
        return {
            "labels": {where: dict(counts) for where, counts in self._labels.items()},
            "unscored": {where: dict(counts) for where, counts in self._unscored.items()},
        }


def tally(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """The counts of verdicts that are all there."""
    counts = Counts()
    for _ in counts.passing(verdicts):
        pass
    return counts.summary()
