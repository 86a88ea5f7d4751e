"""The numbers a report is made of: every arm on every set, each against the reference arm, and pooled figures.

Reads `Results`; writes estimates and comparisons, computed once and shared by tables, figures and sentences. Arms that
differ in their seed alone are one arm here, with the seeds as a level. A family of comparisons (Holm) is one table: all
arms and sets of it. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Literal

from unwaver.records import Estimate, Kind, Trace
from unwaver.report.arms import gathered, labelled
from unwaver.study.compare import Between, Comparison, compare_means, compare_over_seeds, compare_rates, corrected
from unwaver.study.plan import RAW
from unwaver.study.results import Results, Row, outcomes
from unwaver.study.stats import Label, by_prompt, mean_over_seeds, rate, rate_over_seeds

MAIN: Mapping[Kind, str] = {
    "harmful": "asr",
    "borderline": "over_refusal",
    "benign": "over_refusal",
    "maths": "accuracy",
    "code": "accuracy",
}
"""The measure of the main table by kind of prompt."""

SPLIT = ("asr_reasoning", "asr_answer", "leak", "escape")
"""What is read of reasoning and answer apart."""

NAMES: Mapping[str, str] = {
    "asr": "attack success",
    "asr_reasoning": "harm in the reasoning",
    "asr_answer": "harm in the answer",
    "leak": "leak",
    "escape": "escape",
    "over_refusal": "over-refusal",
    "full_refusal": "full refusal",
    "refusal": "refusal",
    "accuracy": "accuracy",
}
"""Measures as people call them."""

Part = Literal["reasoning", "answer"]

Outcomes = Mapping[str, Sequence[Label]]
"""One measure's labels by what arms are paired on."""

ALL = "all sets"
"""The slice of a figure pooled over sets."""


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
        return MAIN[self.kind]


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
        return {key: outcomes(rows) for key, rows in self.rows.items()}

    def values(self, arm: str, set_: str, metric: str) -> dict[int, Outcomes]:
        """By seed, the labels of an arm as shown; a seed without any is left out."""
        found: dict[int, Outcomes] = {}
        for number, member in enumerate(self.arms[arm]):
            labels = self._outcomes.get((member, set_), {}).get(metric)
            if labels:
                found[self.seed(member, number)] = labels
        return found

    def reference(self, arm: str) -> str | None:
        """What an arm is compared with: the raw student of its own kind; None for raw students themselves."""
        if self.is_raw(arm):
            return None
        student = self.cell(arm).get("student")
        raw = [other for other in self.arms if self.is_raw(other)]
        same = [other for other in raw if self.cell(other).get("student") == student]
        return next(iter(same or raw), None)

    def is_raw(self, arm: str) -> bool:
        """Whether an arm is a student before training."""
        cell = self.cell(arm)
        return arm == RAW or (bool(cell) and not cell.get("instruction"))

    def cell(self, arm: str) -> Mapping[str, object]:
        """What sets an arm apart."""
        return self.results.cells.get(self.arms[arm][0], {})

    def estimate(self, metric: str, arm: str, set_: str) -> Estimate | None:
        """One rate: of one run, or over seeds; None where nothing was asked."""
        values = self.values(arm, set_, metric)
        if not values:
            return None
        truncated = sum(row.trace.truncated for member in self.arms[arm] for row in self.rows.get((member, set_), ()))
        if len(values) == 1:
            return rate(next(iter(values.values())), metric, arm, set_, n_truncated=truncated)
        if any(len(labels) > 1 for found in values.values() for labels in found.values()):
            means = {seed: by_prompt(_scores(found)) for seed, found in values.items()}
            return mean_over_seeds(means, metric, arm, set_, n_truncated=truncated)
        over = {seed: {key: labels[0] for key, labels in found.items()} for seed, found in values.items()}
        return rate_over_seeds(over, metric, arm, set_, n_truncated=truncated)

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
            over = {seed: by_prompt(_scores(one)) for seed, one in found.items()}
            if len(found) > 1:
                self._pooled[key] = mean_over_seeds(over, metric, arm, ALL)
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
            for row in rows:
                behaviour = row.trace.prompt.behaviour or row.trace.prompt.text
                for metric, by_key in outcomes([row]).items():
                    measures[metric][behaviour] += next(iter(by_key.values()))
            found[key] = measures
        return found

    def seed(self, member: str, number: int) -> int:
        """The seed of an arm of `results`; its number among its like where none is known."""
        return int(self.results.cells.get(member, {}).get("seed", number))

    @cached_property
    def main(self) -> dict[tuple[str, str, str], Comparison]:
        """The main table's comparisons by (measure, arm, set)."""
        return self.family((one.metric, one.name) for one in self.sets)

    @cached_property
    def split(self) -> dict[tuple[str, str, str], Comparison]:
        """The comparisons of reasoning and answer apart."""
        return self.family((metric, one.name) for one in self.of_kind("harmful") for metric in SPLIT)

    @cached_property
    def summed(self) -> list[tuple[str, list[EvaluationFacts]]]:
        """The measures an arm is summed up by, each with the sets it is pooled over."""
        found = [
            ("asr", self.of_kind("harmful")),
            ("over_refusal", self.harmless),
            ("accuracy", self.of_kind("maths", "code")),
        ]
        return [(metric, sets) for metric, sets in found if sets]

    @cached_property
    def summary(self) -> dict[tuple[str, str], Comparison]:
        """Every arm against its reference on the pooled measures, by (measure, arm), corrected together."""
        found: dict[tuple[str, str], Comparison] = {}
        for metric, sets in self.summed:
            for arm in self.arms:
                reference = self.reference(arm)
                if reference is None:
                    continue
                a, b = (self.pooled_values(metric, name, sets) for name in (reference, arm))
                if a and b:
                    found[metric, arm] = compared(a, b, (metric, ALL, reference, arm))
        return dict(zip(found, corrected(list(found.values())), strict=True))

    @cached_property
    def pairs(self) -> list[Comparison]:
        """Every arm against every later one on attack success over all harmful prompts, corrected together."""
        harmful = self.of_kind("harmful")
        values = {arm: self.pooled_values("asr", arm, harmful) for arm in self.arms}
        two = [(a, b) for a, b in combinations(self.arms, 2) if values[a] and values[b]]
        return corrected([compared(values[a], values[b], ("asr", ALL, a, b)) for a, b in two])

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
        text = trace.text(part)
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
                if a and b:
                    found[metric, arm, set_] = compared(a, b, (metric, set_, reference, arm))
        return dict(zip(found, corrected(list(found.values())), strict=True))


def compared(a: Mapping[int, Outcomes], b: Mapping[int, Outcomes], between: tuple[str, str, str, str]) -> Comparison:
    """Arm b against arm a, by (measure, set, arm a, arm b), with the test that fits seeds and samples."""
    metric, set_, arm_a, arm_b = between
    named: Between = {"metric": metric, "slice": set_, "arm_a": arm_a, "arm_b": arm_b}
    if len(a) > 1 or len(b) > 1:
        return compare_over_seeds(
            {seed: by_prompt(_scores(found)) for seed, found in a.items()},
            {seed: by_prompt(_scores(found)) for seed, found in b.items()},
            **named,
        )
    one, two = next(iter(a.values())), next(iter(b.values()))
    if all(len(labels) == 1 for found in (one, two) for labels in found.values()):
        return compare_rates(
            {key: labels[0] for key, labels in one.items()},
            {key: labels[0] for key, labels in two.items()},
            **named,
        )
    return compare_means(by_prompt(_scores(one)), by_prompt(_scores(two)), **named)


def _scores(found: Outcomes) -> dict[str, list[float | None]]:
    return {key: [None if label is None else float(label) for label in labels] for key, labels in found.items()}
