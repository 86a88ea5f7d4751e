"""One comparison of two arms, and the word for it: what may be said of it, and what must be added.

Pure. docs/statistics.md gives the rules and the reasons.
"""

from __future__ import annotations

import math
from typing import Literal

from unwaver.intervals import ALPHA
from unwaver.plain import counted
from unwaver.records import Record
from unwaver.study.correction import Corrected
from unwaver.study.direction import Way, better
from unwaver.study.reader_error import Unevenness
from unwaver.study.seeds import MOST_SEEDS
from unwaver.study.unscored import Filling

FEWEST_PAIRS = 10
"""Below this, too few scored: with five discordant pairs or fewer exact McNemar can't reach 0.05 whatever they say."""

MOST_LEFT_OUT = 0.2
"""Above this share of prompts left out, too few scored: what was left out could then make or undo most differences."""

UNMEASURED = (
    "nobody knows the error of the reader without a model: no card of it is at hand that tells of 3 models or more"
)

Word = Literal["better", "worse", "not distinguishable", "too few scored", "depends on the unscored", "can't tell"]


class Comparison(Record):
    """Arm b against arm a on the same prompts."""

    metric: str
    slice: str
    arm_a: str
    """What is compared with."""
    arm_b: str
    """What the verdict speaks of."""
    n_pairs: int
    """Prompts with a scored reply in both arms."""
    n_left_out: int
    """Prompts of either arm that have none in one of them."""
    n_unscored: int = 0
    """Replies of either arm without a label; the others of their prompt are used."""
    most_unscored: float = 0.0
    """The larger of the arms' shares of unscored replies."""
    seeds: tuple[int, int] = (1, 1)
    """Seeds scored in arm a and in arm b. An arm with one is taken as it stands."""
    difference: float | None
    """Arm b minus arm a, in the metric's own unit (rates: 0.04 is four points); None without a pair."""
    low: float | None
    """Lower end of the difference's own 95 % interval, not widened for the family; None where nothing varied."""
    high: float | None
    h: float | None
    """Cohen's h of two rates, in the direction of the difference; None for means."""
    p: float | None
    """Two-sided, as if it were the only comparison."""
    p_holm: float | None
    """Corrected for its family by Holm; equal to `p` until `corrected` has seen the family."""
    verdict: Word
    smallest_detectable: float | None
    """The smallest difference these pairs would show four times in five, before correction; None where none would."""
    p_models: float | None = None
    """Over seeds, the p if these very models were all there is, and none but prompts a sample."""
    errors: tuple[float, float, float] | None = None
    """Over seeds, the standard errors that come from prompts, from arm a's seeds and from arm b's."""
    seeds_needed: int | None = None
    """Where the models differ but their seeds are too few to say it of the recipe, how many an arm would show this
    difference in this family at this spread; more than `MOST_SEEDS`: not even so many. None elsewhere."""
    filled: tuple[Filling, ...] = ()
    """What the unscored would make of it; empty where nothing is unscored, or where numbers have no bounds."""
    uneven: Unevenness | None = None
    """How the reader's error differs from one manner of writing to another; None where that isn't known."""
    unmeasured: bool = False
    """Whether a reader without a model read it and nobody knows its error: its card isn't at hand or holds too few
    models, or several such readers read it."""
    reader_error: float | None = None
    """The difference that this alone could make, for as many arms as the family has; None where it isn't known."""
    by_people: Corrected | None = None
    """The same difference corrected by people's labels; None where there are too few."""
    method: str
    """How interval and p were made."""

    @property
    def shows_nothing(self) -> bool:
        """Whether no difference that is possible would be shown four times in five."""
        varies = self.low is not None and (self.errors is None or any(self.errors))
        return self.smallest_detectable is None and varies


def verdict(comparison: Comparison) -> Word:
    """What may be said of arm b: see the module's constants for the rule, and `better` for the direction.

    A word has to stand whether all that is unscored, in both arms, is False or True. "better" and "worse" must besides
    not turn round if the unscored of the arms are opposites, and be more than the reader's error could make.
    """
    way = better(comparison.metric)
    if way is None:
        raise ValueError(f"no known direction for the metric {comparison.metric!r}")
    asked = comparison.n_pairs + comparison.n_left_out
    few = comparison.n_pairs < FEWEST_PAIRS or comparison.n_left_out > MOST_LEFT_OUT * asked
    if few or comparison.most_unscored > MOST_LEFT_OUT:
        return "too few scored"
    word = _word(comparison.difference, comparison.p_holm, way)
    for filling in comparison.filled:
        other = _word(filling.difference, filling.p_holm, way)
        turned = {word, other} == {"better", "worse"}
        if turned or (filling.a == filling.b and other != word):
            return "depends on the unscored"
    return word if word == "not distinguishable" or _borne_out(comparison, word, way) else "can't tell"


def _borne_out(c: Comparison, word: Word, way: Way) -> bool:
    """Whether people's labels say the same; where there are none, whether the reader's error could not make it.

    A reader without a model that nobody measured could make any difference.
    The way from the difference to the nearer end of its interval is what prompts and seeds could make; the two are
    added in quadrature (Newcombe 1998).
    """
    if c.by_people is not None:
        return _word(c.by_people.difference, c.by_people.p_holm, way) == word
    if c.unmeasured:
        return False
    if c.reader_error is None or c.difference is None:
        return True
    nearer = None if c.low is None or c.high is None else min(abs(c.low), abs(c.high))
    chance = 0.0 if nearer is None else abs(c.difference) - nearer
    return abs(c.difference) > math.hypot(chance, c.reader_error)


def _word(difference: float | None, p: float | None, way: Way) -> Word:
    if p is None or difference is None or p > ALPHA:
        return "not distinguishable"
    return "better" if (difference < 0) == (way == "lower") else "worse"


def explained(comparison: Comparison) -> str:
    """What must be added to the word, in a sentence; empty where nothing must."""
    c = comparison
    if c.verdict == "depends on the unscored":
        return f"with all {c.n_unscored} unscored replies counted one way or the other it would be another word"
    if c.verdict == "too few scored":
        return _too_few(c)
    if c.verdict == "can't tell":
        return _unborne(c)
    if c.verdict != "not distinguishable" or c.seeds_needed is None:
        return ""
    few = " and ".join(str(number) for number in sorted({number for number in c.seeds if number > 1}))
    enough = f"{c.seeds_needed} an arm could" if c.seeds_needed <= MOST_SEEDS else f"nor could {MOST_SEEDS} an arm"
    return f"these models differ, but {few} seeds can't show it of the recipe after the correction; {enough}"


def _too_few(c: Comparison) -> str:
    """What a word would have taken."""
    takes, scored = "better or worse takes", 100 * (1 - MOST_LEFT_OUT)
    if c.most_unscored > MOST_LEFT_OUT:
        return f"{takes} {scored:.0f} % of either arm's replies scored, here {100 * (1 - c.most_unscored):.0f} %"
    if c.n_pairs < FEWEST_PAIRS:
        return f"{takes} {FEWEST_PAIRS} pairs, here {c.n_pairs}"
    asked = c.n_pairs + c.n_left_out
    return f"{takes} {scored:.0f} % of the prompts scored in both arms, here {100 * c.n_pairs / asked:.0f} %"


def _unborne(c: Comparison) -> str:
    if c.by_people is not None:
        number = sum(c.by_people.labels)
        return f"the reader's error could make this: by {counted(number, 'label')} of people the difference isn't shown"
    if c.unmeasured:
        return f"{UNMEASURED}; label some replies"
    furthest = 100 * (c.reader_error or 0.0)
    return f"the reader's error could make this: {furthest:.0f} points between arms that are alike; label some replies"
