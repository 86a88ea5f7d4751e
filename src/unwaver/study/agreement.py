"""How far two readers agree: share with interval, chance-corrected measures, confusion table.

Reads two lists of labels over the same items, None for an unscored one; gives an `Agreement`. Only items that both
scored enter a measure; the others are counted. A measure that is not defined on the data is None, never 0. Pure.

Labels of several names are compared name by name (`by_pattern`), readings of a reasoning sentence by sentence
(`by_sentence`).

Reviewers of the paper asked for agreement between judges. Kappa: Cohen 1960. AC1: Gwet 2008, which does not collapse
when one label is rare, as kappa does. Intervals: of the share Wilson 1927, of kappa the cells' posterior.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from unwaver.intervals import LEVEL, wilson
from unwaver.judging.anatomy import OTHER, SEGMENTS, Anatomy
from unwaver.records import PATTERNS, Record

DRAWS = 4000
"""From the cells' posterior, for kappa's interval."""

Labels = tuple[str, ...] | None
"""What one verdict found; None: unscored."""


class Agreement(Record):
    """Two readers on the same items."""

    labels: tuple[str, ...]
    """The categories, in the order of the table's rows and columns."""
    table: tuple[tuple[int, ...], ...]
    """Counts: rows are the first reader's labels, columns the second's."""
    n: int
    """Items that both scored."""
    n_unscored: int
    """Items that at least one left unscored; they are in no measure."""
    share: float | None
    """Share of the n on which the labels are equal; None when n is 0."""
    low: float | None
    """Lower end of the Wilson interval of `share`."""
    high: float | None
    kappa: float | None
    """Cohen's kappa; None when n is 0 or both used one and the same label throughout."""
    kappa_low: float | None = None
    """Lower end of its interval; None where kappa is."""
    kappa_high: float | None = None
    ac1: float | None
    """Gwet's AC1 over all `labels`; None when n is 0 or there are fewer than two labels."""


def agreement(
    first: Sequence[str | None],
    second: Sequence[str | None],
    labels: Sequence[str] | None = None,
    level: float = LEVEL,
) -> Agreement:
    """Compare two readers item by item.

    `labels`: the closed set the labels come from, which AC1 depends on; None takes those that occur in scored pairs,
    sorted. `level`: of the interval. ValueError for lists of different length or a label outside the set.
    """
    if len(first) != len(second):
        raise ValueError(f"the lists differ in length: {len(first)} and {len(second)}")
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    seen = {label for pair in pairs for label in pair}
    names = tuple(sorted(seen) if labels is None else labels)
    if outside := sorted(seen - set(names)):
        raise ValueError(f"labels outside the set {', '.join(names)}: {', '.join(outside)}")
    counts = Counter(pairs)
    table = tuple(tuple(counts[a, b] for b in names) for a in names)
    n = len(pairs)
    equal = sum(table[i][i] for i in range(len(names)))
    interval = wilson(equal, n, level)
    kappa = chance_corrected(table, n)
    kappa_low, kappa_high = (None, None) if kappa is None else _kappa_ends(table, kappa, level)
    return Agreement(
        labels=names,
        table=table,
        n=n,
        n_unscored=len(first) - n,
        share=equal / n if n else None,
        low=interval.low,
        high=interval.high,
        kappa=kappa,
        kappa_low=kappa_low,
        kappa_high=kappa_high,
        ac1=_ac1(table, n),
    )


def by_pattern(
    first: Sequence[Labels],
    second: Sequence[Labels],
    undecided: tuple[Sequence[tuple[str, ...]], Sequence[tuple[str, ...]]] = ((), ()),
) -> dict[str, Agreement]:
    """One `Agreement` (present, absent) per risky pattern, for verdicts that may show several.

    `undecided`: what each verdict of the first and of the second neither found nor ruled out; unscored there.
    """

    def has(labels: Labels, name: str, left: tuple[str, ...]) -> str | None:
        if labels is None or name in left:
            return None
        names = set(labels)
        if unknown := sorted(names - set(PATTERNS)):
            raise ValueError(f"not a pattern: {', '.join(unknown)}")
        return "present" if name in names else "absent"

    def column(verdicts: Sequence[Labels], left: Sequence[tuple[str, ...]], name: str) -> list[str | None]:
        return [has(one, name, open_) for one, open_ in zip(verdicts, left or [()] * len(verdicts), strict=True)]

    return {
        name: agreement(column(first, undecided[0], name), column(second, undecided[1], name), ("present", "absent"))
        for name in PATTERNS
    }


def by_sentence(first: Sequence[Anatomy | None], second: Sequence[Anatomy | None]) -> dict[str, Agreement]:
    """Two readers of the same reasonings on what each sentence does, and on which are self-jailbreak sentences.

    The items are sentences. Those of a reasoning that one left unscored, or cut otherwise, are unscored. Segments go by
    their first words. Sentences of one reasoning are alike, so the interval is narrower than it should be.
    """
    segments: tuple[list[str | None], list[str | None]] = ([], [])
    talking: tuple[list[str | None], list[str | None]] = ([], [])
    for pair in zip(first, second, strict=True):
        lengths = [len(reading.segments) for reading in pair if reading is not None]
        comparable = len(lengths) == 2 and lengths[0] == lengths[1]
        for reading, does, talks in zip(pair, segments, talking, strict=True):
            if reading is None or not comparable:
                does.extend([None] * max(lengths, default=0))
                talks.extend([None] * max(lengths, default=0))
            else:
                does.extend(map(_first_word, reading.segments))
                talks.extend("present" if n in reading.persuading else "absent" for n in range(1, lengths[0] + 1))
    return {
        "segment_of_a_sentence": agreement(*segments, [_first_word(name) for name in (*SEGMENTS, OTHER)]),
        "self_jailbreak_sentence": agreement(*talking, ("present", "absent")),
    }


def _first_word(name: str) -> str:
    return name.partition("_")[0]


def _marginals(table: Sequence[Sequence[float]], n: float) -> list[tuple[float, float]]:
    return [(sum(row) / n, sum(column) / n) for row, column in zip(table, zip(*table, strict=True), strict=True)]


def _kappa_ends(table: Sequence[Sequence[float]], kappa: float, level: float) -> tuple[float, float]:
    """Quantiles of kappa under the cells' posterior, one count in all dealt evenly over them beforehand (Perks 1947).

    The large-sample formula knows no cell that happened not to occur: of 27 pairs its intervals held the truth in 46 to
    95 % of simulated tables, these in 92 to 97 %.
    """
    import numpy as np

    counts = np.array(table, np.float64)
    drawn = np.random.default_rng(0).dirichlet((counts + 1 / counts.size).ravel(), DRAWS).reshape(-1, *counts.shape)
    observed = np.trace(drawn, axis1=1, axis2=2)
    expected = (drawn.sum(axis=1) * drawn.sum(axis=2)).sum(axis=1)
    low, high = np.quantile((observed - expected) / (1 - expected), [(1 - level) / 2, (1 + level) / 2])
    return min(kappa, float(low)), max(kappa, float(high))


def chance_corrected(table: Sequence[Sequence[float]], n: float) -> float | None:
    """Cohen's kappa of counts, or of weights; None where there are none, or chance alone would agree throughout."""
    if n == 0:
        return None
    observed = sum(table[i][i] for i in range(len(table))) / n
    expected = sum(a * b for a, b in _marginals(table, n))
    return None if expected >= 1 else (observed - expected) / (1 - expected)


def _ac1(table: tuple[tuple[int, ...], ...], n: int) -> float | None:
    if n == 0 or len(table) < 2:
        return None
    observed = sum(table[i][i] for i in range(len(table))) / n
    means = [(a + b) / 2 for a, b in _marginals(table, n)]
    expected = sum(mean * (1 - mean) for mean in means) / (len(table) - 1)
    return (observed - expected) / (1 - expected)
