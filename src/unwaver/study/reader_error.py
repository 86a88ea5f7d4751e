"""How far apart a reader's error alone could put two arms that do a thing equally often.

Reads what a reader's card says of models left out of its training (of each label, which was said) and two arms' rates;
gives the difference that the reader's error could make, 95 times in 100. Two arms write in two manners, as two models
do: one short, one long. What a reader makes of a manner it has not met is what it made of the models left out. So with
s the shares of what is there that it found, and f the shares of what is not there that it claimed, model by model, an
arm that does the thing with rate t is read to do it with rate t s + (1 - t) f, and two arms differ by no more than

    T sqrt(2) (t sd(s) + (1 - t) sd(f))

T is Student's for one model fewer than were left out, at a level that holds for all arms of a table together. Nothing
is subtracted for the chance in few labelled texts: that makes it wider. Of one arm alone it says what rate an arm that
truly has some rate is read to have, and how far off that may be. How often a word is still false, by simulation:
docs/statistics.md. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unwaver.intervals import LEVEL
from unwaver.records import Record
from unwaver.study.stats import t_quantile

FEWEST_TEXTS = 10
"""Labelled texts of a model, with the thing or without, below which its share is not used."""
FEWEST_MODELS = 3
"""Models below which nobody knows how a reader's error differs from manner to manner."""

Table = Sequence[Sequence[int]]
"""Counts: rows are what a text was labelled, columns what was said of it."""


class Unevenness(Record):
    """How a reader's error differs from one manner of writing to another, as it bears on a difference of two rates."""

    sd: float
    """Standard deviation of the rate that an arm is read to have, over manners."""
    models: int
    """From how many models left out that is known."""

    def furthest(self, arms: int = 1) -> float:
        """The difference of two arms alike in truth that the error makes at most, for so many arms against one."""
        level = 1 - (1 - LEVEL) / arms
        return min(1.0, t_quantile(level, self.models - 1) * math.sqrt(2) * self.sd)


@dataclass(frozen=True)
class Misreading:
    """What an arm that does a thing with a given rate is read to do."""

    read: float
    """The rate it is read to have in the mean over manners."""
    off: float
    """How far from that it is read at most, 95 times in 100."""


@dataclass(frozen=True)
class Manners:
    """A reader's shares of found and of claimed, by model left out."""

    found: tuple[float, ...]
    """Of the texts with the thing, the share said to have it."""
    claimed: tuple[float, ...]
    """Of the texts without it, the share said to have it."""

    def at(self, rates: Sequence[float]) -> Unevenness:
        """For arms that are read to do the thing with these rates: where between their true rates it is largest."""
        return self._where([true for rate in rates for true in self._true(rate)])

    def anywhere(self) -> Unevenness:
        """At the true rate where it is largest."""
        return self._where((0.0, 1.0))

    def misread(self, rate: float) -> Misreading:
        """What one more manner that truly has this rate is read to have (a prediction interval, by t)."""
        found, claimed = (float(np.mean(shares)) for shares in (self.found, self.claimed))
        spread = self._where((rate,))
        off = t_quantile(LEVEL, spread.models - 1) * math.sqrt(1 + 1 / spread.models) * spread.sd
        return Misreading(rate * found + (1 - rate) * claimed, min(1.0, off))

    def furthest_off(self) -> float:
        """How far from its true rate an arm is read at most, whatever that rate."""
        ends = [(true, self.misread(true)) for true in (0.0, 1.0)]
        return min(1.0, max(abs(one.read - true) + one.off for true, one in ends))

    def _where(self, true: Sequence[float]) -> Unevenness:
        sd_found, sd_claimed = (float(np.std(shares, ddof=1)) for shares in (self.found, self.claimed))
        spread = max(rate * sd_found + (1 - rate) * sd_claimed for rate in true)
        return Unevenness(sd=spread, models=min(len(self.found), len(self.claimed)))

    def _true(self, rate: float) -> tuple[float, ...]:
        """The rate behind one that was read, by the means (Rogan and Gladen 1978); anything where they say nothing."""
        found, claimed = (float(np.mean(shares)) for shares in (self.found, self.claimed))
        if found <= claimed:
            return 0.0, 1.0
        return (min(1.0, max(0.0, (rate - claimed) / (found - claimed))),)


def manners(tables: Mapping[str, Table], counts: Sequence[bool]) -> Manners | None:
    """The shares by model; `counts`: which labels are the thing. None where too few models have enough texts."""
    there = np.array(counts)
    found: list[float] = []
    claimed: list[float] = []
    for table in tables.values():
        cells = np.array(table, np.float64)
        for rows, shares in ((cells[there], found), (cells[~there], claimed)):
            if rows.sum() >= FEWEST_TEXTS:
                shares.append(float(rows[:, there].sum() / rows.sum()))
    if min(len(found), len(claimed)) < FEWEST_MODELS:
        return None
    return Manners(tuple(found), tuple(claimed))


def several(parts: Sequence[Unevenness]) -> Unevenness:
    """Of what is made of several readings: their errors add up."""
    return Unevenness(sd=sum(part.sd for part in parts), models=min(part.models for part in parts))
