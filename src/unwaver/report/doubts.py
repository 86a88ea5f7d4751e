"""What a report's figures owe to their reader's error: people's labels where there are some, else the reader's card.

Reads the numbers of a report, the labels beside its runs and the cards of its readers; gives each comparison what its
word needs (`study.comparison`), rates and differences corrected by people, and a sentence for a cell. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from unwaver.records import Trace
from unwaver.study.comparison import Comparison
from unwaver.study.correction import Drawable, Values, difference, values
from unwaver.study.labels import asked_for, items
from unwaver.study.reader_error import Misreading
from unwaver.study.readers import Known, known, misread, named_in, said, uneven, unmeasured
from unwaver.study.rows import pair_key

if TYPE_CHECKING:
    from unwaver.report.facts import Facts

Seeds = dict[int, Values]
"""What each seed's replies are worth with people's labels."""


def behaviour_of(trace: Trace) -> str:
    """What figures over several sets are paired on."""
    return trace.prompt.behaviour or trace.prompt.text


class Doubts:
    """Made once for a report."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @cached_property
    def readers(self) -> Known:
        """The readers whose cards are at hand."""
        return known(named_in(self.facts.results.recipe.judge))

    def about(self, c: Comparison, sets: Sequence[str]) -> Comparison:
        """A comparison with what its word needs; over several sets it is paired by behaviour."""
        one, two = (self.corrected(c.metric, arm, sets) for arm in (c.arm_a, c.arm_b))
        by_people = difference(one, two) if isinstance(one, dict) and isinstance(two, dict) else None
        judges = self._judges(c.metric, (c.arm_a, c.arm_b), sets)
        judge = next(iter(judges)) if len(judges) == 1 else None
        rates = [rate for arm in (c.arm_a, c.arm_b) if (rate := self._rate(c.metric, arm, sets)) is not None]
        spread = uneven(c.metric, judge, self.readers, rates) if judge and len(rates) == 2 else None
        unknown = unmeasured(c.metric, judges, spread)
        return c.model_copy(update={"uneven": spread, "unmeasured": unknown, "by_people": by_people})

    def misread(self, metric: str, arms: Iterable[str], sets: Sequence[str], rate: float) -> Misreading | None:
        """What an arm that truly has this rate is read to have by whoever read these; None where that isn't known."""
        judge = self.judge(metric, arms, sets)
        return misread(metric, judge, self.readers, rate) if judge else None

    def judge(self, metric: str, arms: Iterable[str], sets: Sequence[str]) -> str | None:
        """Who read a measure of some arms on some sets; None where it was nobody, or not the same everywhere."""
        found = self._judges(metric, arms, sets)
        return next(iter(found)) if len(found) == 1 else None

    def unmeasured(self, metric: str, arm: str, sets: Sequence[str]) -> bool:
        """Whether a reader without a model read it of whose error nothing is known."""
        judge = self.judge(metric, [arm], sets)
        spread = uneven(metric, judge, self.readers, [0.5]) if judge else None
        return unmeasured(metric, self._judges(metric, [arm], sets), spread)

    def _judges(self, metric: str, arms: Iterable[str], sets: Sequence[str]) -> set[str]:
        return {basis.judge for arm in arms for set_ in sets for basis in self.facts.bases(metric, arm, set_)}

    def _rate(self, metric: str, arm: str, sets: Sequence[str]) -> float | None:
        of_sets = (self.facts.values(arm, set_, metric) for set_ in sets)
        labels = [x for seeds in of_sets for outcome in seeds.values() for row in outcome.values() for x in row]
        scored = [label for label in labels if label is not None]
        return sum(scored) / len(scored) if scored else None

    def corrected(self, metric: str, arm: str, sets: Sequence[str]) -> Seeds | str | None:
        """An arm's values by seed; a sentence where its labels are too few, None where nobody labelled any of it."""
        if not self.facts.results.labelled.given or asked_for(metric) is None:
            return None
        key = behaviour_of if len(sets) > 1 else pair_key
        found = {}
        for number, member in enumerate(self.facts.arms[arm]):
            replies = [item for set_ in sets for item in self._items(metric, member, set_, key)]
            if not any(item.labelled for item in replies):
                return None
            worth = values(replies)
            if isinstance(worth, str):
                return worth
            found[self.facts.seed(member, number)] = worth
        return found

    def _items(self, metric: str, member: str, set_: str, key: Callable[[Trace], str]) -> list[Drawable]:
        run = self.facts.results.evaluated_in.get((member, set_))
        rows = self.facts.rows.get((member, set_), [])
        return items(self.facts.results.labelled, metric, run, rows, key) if run and rows else []

    def note(self, metric: str, arm: str, set_: str) -> str:
        """How well a figure is read, for whoever points at it; by whom it was corrected, where it was."""
        worth = self.corrected(metric, arm, [set_])
        if isinstance(worth, dict):
            return f"Corrected by {sum(one.labels for one in worth.values())} labels of people: see Labels."
        judge = self.judge(metric, [arm], [set_])
        told = said(metric, judge, self.readers) if judge else ""
        return f"{told}; not corrected: {worth}." if worth and told else told and f"{told}."
