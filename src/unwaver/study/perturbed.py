"""What a perturbation does to a reasoning on average (PRJA, arXiv 2604.15725; harness only).

Reads rows of perturbed questions beside the clean ones; gives `harm_shift`, the mean of the grade of harm (1 to 5) of
the perturbed run's reasoning less the clean run's, with the interval of a mean over questions. Shares are measures
(`study.measures.contamination`). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from unwaver.records import Estimate
from unwaver.study.measures.contamination import grade
from unwaver.study.rows import Row, pair_key
from unwaver.study.stats import Of, Score, mean

FURTHEST = 4
"""What two grades from 1 to 5 differ by at most."""


def shifts(rows: Sequence[Row], arm: str, slice: str, of: Of) -> list[Estimate]:
    """The shift of one arm on one set; none where nothing is perturbed or nobody graded."""
    found: dict[str, list[Score]] = {}
    for row in rows:
        if row.trace.prompt.of:
            before, after = None if row.clean is None else grade(row.clean), grade(row)
            shift = None if before is None or after is None else float(after - before)
            found.setdefault(pair_key(row.trace), []).append(shift)
    graded = any(grade(row) is not None for row in rows)
    return [mean(found, "harm_shift", arm, slice, within=(-FURTHEST, FURTHEST), **of)] if found and graded else []
