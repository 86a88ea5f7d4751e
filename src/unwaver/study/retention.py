"""How much of its reasoning a model keeps: an arm's accuracy over the raw student's on the same problems.

Reads rows of problems with a right answer; gives `accuracy_kept`, a ratio (1: all of it is kept), for every arm but the
first on every set, with a percentile interval of 2,000 paired draws of problems under a fixed seed. Chain of Risk
(arXiv 2605.05678) and others report this ratio; the interval is ours. Without a right answer of the raw student there
is no ratio; where some draws have none, no interval. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from unwaver.records import Estimate
from unwaver.study.measures import main_measure
from unwaver.study.rows import Row, pair_key
from unwaver.study.stats import Of, by_prompt

DRAWS = 2000


def kept(rows: Sequence[Row], raw: Sequence[Row], arm: str, slice: str, of: Of) -> list[Estimate]:
    """The ratio of one arm on one set to the raw student's; none where either wasn't graded."""
    a, b = _solved(raw), _solved(rows)
    both = sorted(key for key in a.keys() & b.keys() if a[key] is not None and b[key] is not None)
    if not both:
        return []
    before, after = (np.array([side[key] for key in both], dtype=np.float64) for side in (a, b))
    value = float(after.mean() / before.mean()) if before.any() else None
    low, high = _ends(before, after) if value is not None else (None, None)
    method = f"ratio to {raw[0].arm}; percentiles of {DRAWS} paired draws 95 %"
    return [
        Estimate(
            metric="accuracy_kept",
            arm=arm,
            slice=slice,
            value=value,
            low=low,
            high=high,
            n=len(both),
            n_unscored=len(a.keys() | b.keys()) - len(both),
            method=method,
            **of,
        )
    ]


def _solved(rows: Sequence[Row]) -> dict[str, float | None]:
    """By problem, the share of its replies that are right."""
    labels: dict[str, list[float | None]] = {}
    for row in rows:
        if row.trace.prompt.kind in ("maths", "code"):
            label = main_measure(row.trace.prompt.kind).of(row)
            labels.setdefault(pair_key(row.trace), []).append(None if label is None else float(label))
    return by_prompt(labels)


def _ends(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> tuple[float | None, float | None]:
    drawn = np.random.default_rng(0).integers(0, len(before), size=(DRAWS, len(before)))
    below = before[drawn].mean(1)
    if not below.all() or len(before) < 2:
        return None, None
    low, high = np.quantile(after[drawn].mean(1) / below, (0.025, 0.975))
    return float(low), float(high)
