"""The numbers a report is made of: every arm on every set, each against the reference arm, and pooled figures.

Reads `Results`; writes estimates and comparisons, computed once and shared by tables, figures and sentences. Arms that
differ in their seed alone are one arm here, with the seeds as a level. A family of comparisons (Holm) is one table: all
arms and sets of it. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Literal

from unwaver.basis import Basis
from unwaver.recipe import RAW
from unwaver.records import Estimate, Kind, Trace
from unwaver.report.arms import gathered, labelled
from unwaver.report.doubts import Doubts, behaviour_of
from unwaver.study.compare import compare, corrected, kept_apart
from unwaver.study.comparison import Comparison
from unwaver.study.measures import main_measure, measures, of_table
from unwaver.study.outcomes import among_ended, base_of, measured_by, outcomes, questions_of
from unwaver.study.results import Results
from unwaver.study.rows import Row
from unwaver.study.stats import Label, rate, rate_over_seeds
from unwaver.study.unscored import Outcomes

Part = Literal["reasoning", "answer"]

ALL = "all sets"
"""The slice of a figure pooled over sets."""


def titles() -> dict[str, str]:
    """Measures as people call them."""
    return {name: one.title for name, one in measures().items()}


def split() -> list[str]:
    """What is read of reasoning and answer apart."""
    return [one.name for one in of_table("split")]


@dataclass(frozen=True)
class EvaluationFacts:
    """One evaluation set."""

    name: str
    kind: Kind
    prompts: int
    samples: int

    @property
    def metric(self) -> str:
        """The measure the main table shows of it."""
        return main_measure(self.kind).name


@dataclass
class Facts:
    """All numbers of a report."""

    results: Results
    arms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The arms as shown, each with the arms of `results` it stands for: more than one where seeds are gathered."""
    _pooled: dict[tuple[str, ...], Estimate | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.arms = gathered(self.results)

    @cached_property
    def rows(self) -> dict[tuple[str, str], list[Row]]:
        """The traces by arm (as in `results`) and set."""
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.results.rows:
            found[row.arm, row.slice].append(row)
        return dict(found)

    @cached_property
    def sets(self) -> list[EvaluationFacts]:
        """The sets something is known of, in the recipe's order."""
        order = list(self.results.recipe.evaluate.sets)
        names = dict.fromkeys(name for _, name in self.rows)
        found = []
        for name in sorted(names, key=lambda name: order.index(name) if name in order else len(order)):
            rows = next(rows for (_, other), rows in self.rows.items() if other == name)
            prompts = len({row.trace.prompt.id for row in rows})
            found.append(EvaluationFacts(name, rows[0].trace.prompt.kind, prompts, round(len(rows) / max(prompts, 1))))
        return found

    @cached_property
    def labels(self) -> dict[str, str]:
        """The arms as charts call them: short, and no two alike."""
        return labelled(list(self.arms))

    def of_kind(self, *kinds: Kind) -> list[EvaluationFacts]:
        """The sets whose prompts are of these kinds."""
        return [one for one in self.sets if one.kind in kinds]

    @cached_property
    def _outcomes(self) -> dict[tuple[str, str], dict[str, dict[str, list[Label]]]]:
        return {key: outcomes(rows) | among_ended(rows) for key, rows in self.rows.items()}

    @cached_property
    def _bases(self) -> dict[tuple[str, str], dict[str, Basis]]:
        return {key: measured_by(rows, self.results.sampling.get(key)) for key, rows in self.rows.items()}

    def bases(self, metric: str, arm: str, set_: str) -> list[Basis]:
        """What an arm's figure rests on, seed by seed."""
        of_seeds = (self._bases.get((member, set_), {}) for member in self.arms[arm])
        return [found[base_of(metric)] for found in of_seeds if base_of(metric) in found]

    def apart(self, metric: str, arm: str, set_: str) -> tuple[str, ...]:
        """What keeps an arm's figure from being compared with its reference's; empty where nothing does."""
        reference = self.reference(arm)
        every = [*(self.bases(metric, reference, set_) if reference else ()), *self.bases(metric, arm, set_)]
        return tuple(dict.fromkeys(field for one in every[1:] for field in kept_apart(every[0], one)))

    def differing(self, metric: str, one: str, other: str, set_: str, paired: bool = False) -> tuple[str, ...]:
        """What keeps two arms' figures on a set from standing in one chart or one order; `paired`: from being compared
        on the prompts they share. A set that one of them was not asked is another set of prompts."""
        first, second = self.bases(metric, one, set_), self.bases(metric, other, set_)
        if not first or not second:
            return ("prompt set",) if first or second else ()
        fields = (kept_apart(first[0], each) if paired else first[0].differs(each) for each in (*first, *second))
        return tuple(dict.fromkeys(field for each in fields for field in each))

    def values(self, arm: str, set_: str, metric: str) -> dict[int, Outcomes]:
        """By seed, the labels of an arm as shown; a seed without any is left out."""
        found: dict[int, Outcomes] = {}
        for number, member in enumerate(self.arms[arm]):
            labels = self._outcomes.get((member, set_), {}).get(metric)
            if labels:
                found[self.seed(member, number)] = labels
        return found

    @property
    def named_reference(self) -> str | None:
        """The arm that the recipe has all others compared with, where it names one that there is."""
        return self._shown(self.results.recipe.reference)

    def _shown(self, member: str | None) -> str | None:
        """The name under which an arm of the results is shown; None where it isn't."""
        return member if member in self.arms else next((a for a, of in self.arms.items() if member in of), None)

    @property
    def compared_with(self) -> str:
        """What all others are compared with, in words."""
        named = self.named_reference
        return "the raw student" if named is None else f"the arm {named}"

    def reference(self, arm: str) -> str | None:
        """What an arm is compared with: the recipe's `reference`, else the raw student of its own kind, and for a raw
        student that is steered the same without steering; None for that arm itself, and for other raw students where
        the recipe names none.
        """
        named = self.named_reference
        if named is not None:
            return None if arm == named else named
        student, raw = self.cell(arm).get("student"), [other for other in self.arms if self.is_raw(other)]
        if not self.is_raw(arm):
            if (before := self._shown(self.results.untrained.get(self.arms[arm][0]))) is not None:
                return before
            same = [other for other in raw if self.cell(other).get("student") == student]
            return next(iter(same or raw), None)
        plain = self.results.unsteered.get(str(student), student)
        same = [other for other in raw if plain != student and self.cell(other).get("student") == plain]
        return next(iter(same), None)

    def is_raw(self, arm: str) -> bool:
        """Whether an arm is a student before training."""
        cell = self.cell(arm)
        return arm == RAW or (bool(cell) and not cell.get("method"))

    def cell(self, arm: str) -> Mapping[str, object]:
        """What sets an arm apart."""
        return self.results.cells.get(self.arms[arm][0], {})

    def estimate(self, metric: str, arm: str, set_: str) -> Estimate | None:
        """One rate: of one run, or over seeds; None where nothing was asked."""
        values = self.values(arm, set_, metric)
        if not values:
            return None
        truncated = sum(row.trace.truncated for member in self.arms[arm] for row in self.rows.get((member, set_), ()))
        basis = next(iter(self.bases(metric, arm, set_)), None)
        if len(values) == 1:
            return rate(next(iter(values.values())), metric, arm, set_, n_truncated=truncated, basis=basis)
        return rate_over_seeds(values, metric, arm, set_, n_truncated=truncated, basis=basis)

    def shared(self, arm: str, one: EvaluationFacts) -> int:
        """How many prompts of a set stand in the arm's training set (the most of its seeds); 0 too if unchecked."""
        entry = self.results.recipe.evaluate.sets.get(one.name)
        name = one.name if entry is None else entry.prompts or one.name
        found = [self.results.overlaps.get(member, {}).get("counts", {}).get("sets", {}) for member in self.arms[arm]]
        return max((int(sets.get(name, {}).get("prompts", 0)) for sets in found), default=0)

    def pooled(self, metric: str, arm: str, sets: Iterable[EvaluationFacts]) -> Estimate | None:
        """One rate over several sets, of one run or over seeds; prompts that seek one behaviour are one cluster."""
        sets = list(sets)
        key = (metric, arm, *(one.name for one in sets))
        if key not in self._pooled:
            found = self.pooled_values(metric, arm, sets)
            if len(found) > 1:
                self._pooled[key] = rate_over_seeds(found, metric, arm, ALL)
            else:
                self._pooled[key] = rate(next(iter(found.values())), metric, arm, ALL) if found else None
        return self._pooled[key]

    def pooled_values(self, metric: str, arm: str, sets: Iterable[EvaluationFacts]) -> dict[int, Outcomes]:
        """By seed, the labels of several sets by behaviour (or prompt)."""
        names = [one.name for one in sets]
        found: dict[int, Outcomes] = {}
        for number, member in enumerate(self.arms[arm]):
            merged: dict[str, list[Label]] = defaultdict(list)
            for name in names:
                for behaviour, labels in self._behaviours.get((member, name), {}).get(metric, {}).items():
                    merged[behaviour] += labels
            if merged:
                found[self.seed(member, number)] = dict(merged)
        return found

    @cached_property
    def _behaviours(self) -> dict[tuple[str, str], dict[str, dict[str, list[Label]]]]:
        """The measures' labels by (arm, set), then by the behaviour that is sought, or the prompt where none is."""
        found: dict[tuple[str, str], dict[str, dict[str, list[Label]]]] = {}
        for key, rows in self.rows.items():
            measures: dict[str, dict[str, list[Label]]] = defaultdict(lambda: defaultdict(list))
            asked = questions_of(rows)
            for row in rows:
                behaviour = behaviour_of(row.trace)
                for metric, by_key in outcomes([row], asked).items():
                    measures[metric][behaviour] += next(iter(by_key.values()))
            found[key] = measures
        return found

    def seed(self, member: str, number: int) -> int:
        """The seed of an arm of `results`; its number among its like where none is known."""
        return int(self.results.cells.get(member, {}).get("seed", number))

    @cached_property
    def doubts(self) -> Doubts:
        """What figures owe to their reader's error."""
        return Doubts(self)

    @cached_property
    def main(self) -> dict[tuple[str, str, str], Comparison]:
        """The main table's comparisons by (measure, arm, set)."""
        return self.family((one.metric, one.name) for one in self.sets)

    @cached_property
    def split(self) -> dict[tuple[str, str, str], Comparison]:
        """The comparisons of reasoning and answer apart."""
        return self.family((metric, one.name) for one in self.of_kind("harmful") for metric in split())

    @cached_property
    def pairs(self) -> list[Comparison]:
        """Every arm against every later one on attack success over all harmful prompts, corrected together; without
        those that were not measured alike (`unpaired`)."""
        harmful = self.of_kind("harmful")
        values = {arm: self.pooled_values("asr", arm, harmful) for arm in self.arms}
        two = [(a, b) for a, b in combinations(self.arms, 2) if values[a] and values[b] and (a, b) not in self.unpaired]
        found = [compared(values[a], values[b], ("asr", ALL, a, b)) for a, b in two]
        return corrected([self.doubts.about(one, [set_.name for set_ in harmful]) for one in found])

    @cached_property
    def unpaired(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Two arms whose attack success can't be compared, and what differs."""
        names = [one.name for one in self.of_kind("harmful")]
        arms = [arm for arm in self.arms if any(self.bases("asr", arm, name) for name in names)]
        found = {}
        for a, b in combinations(arms, 2):
            differ = (field for name in names for field in self.differing("asr", a, b, name, paired=True))
            if fields := tuple(dict.fromkeys(differ)):
                found[a, b] = fields
        return found

    @cached_property
    def harmless(self) -> list[EvaluationFacts]:
        """The sets over-refusal is summed up on: the borderline ones, or where there are none the plain ones."""
        return self.of_kind("borderline") or self.of_kind("benign")

    def lengths(self, arm: str, part: Part, *kinds: Kind) -> list[int]:
        """The lengths of one part of all replies of an arm, in `length_unit`; to prompts of these kinds, or of any."""
        found = []
        for member in self.arms[arm]:
            for (other, _), rows in self.rows.items():
                if other == member and (not kinds or rows[0].trace.prompt.kind in kinds):
                    found += [n for row in rows if (n := self.length(row.trace, part)) is not None]
        return found

    @cached_property
    def length_unit(self) -> str:
        """`tokens` where the models counted the reasoning of nearly all replies, else `words`."""
        with_reasoning = [row.trace for row in self.results.rows if row.trace.reasoning]
        counted = sum(trace.tokens_reasoning is not None for trace in with_reasoning)
        return "tokens" if with_reasoning and counted >= 0.98 * len(with_reasoning) else "words"

    def length(self, trace: Trace, part: Part) -> int | None:
        """The length of one part in `length_unit`; None where it was never written or never counted."""
        text = trace.learnt.text(part)
        if text is None:
            return None
        if self.length_unit == "words":
            return len(text.split())
        thought = 0 if trace.reasoning is None else trace.tokens_reasoning
        if thought is None or part == "reasoning":
            return thought
        return None if trace.tokens_out is None else max(0, trace.tokens_out - thought)

    def family(self, measures: Iterable[tuple[str, str]]) -> dict[tuple[str, str, str], Comparison]:
        """Every arm against its reference on every (measure, set), corrected together."""
        found: dict[tuple[str, str, str], Comparison] = {}
        for metric, set_ in measures:
            for arm in self.arms:
                reference = self.reference(arm)
                if reference is None:
                    continue
                a, b = self.values(reference, set_, metric), self.values(arm, set_, metric)
                if a and b and not self.apart(metric, arm, set_):
                    one = compared(a, b, (metric, set_, reference, arm))
                    found[metric, arm, set_] = self.doubts.about(one, [set_])
        return dict(zip(found, corrected(list(found.values())), strict=True))


def compared(a: Mapping[int, Outcomes], b: Mapping[int, Outcomes], between: tuple[str, str, str, str]) -> Comparison:
    """Arm b against arm a, by (measure, set, arm a, arm b)."""
    metric, set_, arm_a, arm_b = between
    return compare(a, b, metric=metric, slice=set_, arm_a=arm_a, arm_b=arm_b)


def harmful_rows(facts: Facts, arm: str) -> list[Row]:
    """An arm's replies to harmful prompts, all seeds'."""
    kept = {one.name for one in facts.of_kind("harmful")}
    return [
        row for (member, set_), rows in facts.rows.items() if member in facts.arms[arm] and set_ in kept for row in rows
    ]
