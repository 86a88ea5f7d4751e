"""What could not be scored, and what it would make of a comparison if it had been.

Reads two arms' labels by seed and by what they are paired on (None: unscored); writes the comparison's difference and p
with every unscored reply given a label. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unwaver.records import Record
from unwaver.study.paired import mcnemar_exact, paired_bootstrap, paired_over_seeds, risk_difference
from unwaver.study.stats import Label, Score, by_prompt

Outcomes = Mapping[str, Sequence[Label]]
"""One measure's labels by what arms are paired on, one for each reply."""

FILLINGS = ((False, False), (True, True), (False, True), (True, False))
"""What the unscored of arm a and of arm b are taken for, to see what the word rests on."""


class Filling(Record):
    """The comparison if all that is unscored had one label in arm a and one in arm b."""

    a: bool
    b: bool
    difference: float
    p: float
    p_holm: float
    """Corrected in the family filled the same way."""


def heard(side: Mapping[int, Outcomes]) -> dict[int, Outcomes]:
    """The seeds with something scored."""
    return {s: x for s, x in side.items() if any(label is not None for row in x.values() for label in row)}


def _labels(side: Mapping[int, Outcomes]) -> list[Label]:
    return [label for outcomes in side.values() for row in outcomes.values() for label in row]


def unscored_in(side: Mapping[int, Outcomes]) -> int:
    """Replies without a label."""
    return sum(label is None for label in _labels(side))


def share_unscored(side: Mapping[int, Outcomes]) -> float:
    """Their share of all replies."""
    return unscored_in(side) / max(1, len(_labels(side)))


def single(side: Mapping[int, Outcomes]) -> bool:
    """Whether every prompt has one reply a seed."""
    return all(len(row) == 1 for outcomes in side.values() for row in outcomes.values())


def by_prompts(side: Mapping[int, Outcomes]) -> dict[int, dict[str, Score]]:
    """Each prompt's mean over its replies, by seed."""
    return {seed: by_prompt(outcomes) for seed, outcomes in side.items()}


def only(side: Mapping[int, Outcomes]) -> dict[str, Label]:
    """The labels of an arm with one seed and one reply a prompt."""
    return {key: row[0] for outcomes in list(side.values())[:1] for key, row in outcomes.items()}


def only_means(side: Mapping[int, Outcomes]) -> dict[str, Score]:
    """Each prompt's mean in an arm with one seed."""
    return next(iter(by_prompts(side).values()), {})


def fillings(a: Mapping[int, Outcomes], b: Mapping[int, Outcomes]) -> tuple[Filling, ...]:
    """The comparison with every unscored reply given a label; nothing where it can't be tested."""
    found = []
    for of_a, of_b in FILLINGS:
        difference, p = _test(_with(a, of_a), _with(b, of_b))
        if difference is None or p is None:
            return ()
        found.append(Filling(a=of_a, b=of_b, difference=difference, p=p, p_holm=p))
    return tuple(found)


def _with(side: Mapping[int, Outcomes], label: bool) -> dict[int, dict[str, list[bool]]]:
    return {
        seed: {key: [label if one is None else one for one in row] for key, row in outcomes.items()}
        for seed, outcomes in side.items()
    }


def _test(a: Mapping[int, Outcomes], b: Mapping[int, Outcomes]) -> tuple[float | None, float | None]:
    """Difference and p by the test `compare.compare` would take."""
    if max(len(a), len(b)) > 1:
        over = paired_over_seeds(by_prompts(a), by_prompts(b), level=None)
        return over.difference, over.p
    if single(a) and single(b):
        return risk_difference(only(a), only(b)).value, mcnemar_exact(only(a), only(b)).p
    found = paired_bootstrap(only_means(a), only_means(b), resamples=1)
    return found.difference, found.p
