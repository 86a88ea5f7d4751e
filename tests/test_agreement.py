"""Agreement of two readers, against other implementations and published figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from unwaver.judging.anatomy import Anatomy
from unwaver.records import PATTERNS
from unwaver.study.agreement import agreement, by_pattern, by_sentence

LABELS = ("refusal", "partial", "compliance")
PAIRS = st.lists(st.tuples(st.sampled_from((*LABELS, None)), st.sampled_from((*LABELS, None))), max_size=60)


def columns(table: Sequence[Sequence[int]], labels: Sequence[str]) -> tuple[list[str], list[str]]:
    pairs = [
        (a, b) for a, row in zip(labels, table, strict=True) for b, n in zip(labels, row, strict=True) for _ in range(n)
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_gwets_example_of_a_rare_label() -> None:
    found = agreement(*columns([[118, 5], [2, 0]], ("yes", "no")), labels=("yes", "no"))
    assert found.table == ((118, 5), (2, 0))
    assert found.share == pytest.approx(0.944)
    assert found.kappa == pytest.approx(-0.0234, abs=5e-5)
    assert found.ac1 == pytest.approx(0.9408, abs=5e-5)


def test_cohens_kappa_of_a_table_worked_by_hand() -> None:
    # 50 items, 35 equal: expected (25 * 30 + 25 * 20) / 2500 = 0.5, kappa (0.7 - 0.5) / 0.5.
    found = agreement(*columns([[20, 5], [10, 15]], ("a", "b")))
    assert found.kappa == pytest.approx(0.4)


@given(PAIRS)
def test_measures_agree_with_statsmodels(pairs: list[tuple[str | None, str | None]]) -> None:
    found = agreement([a for a, _ in pairs], [b for _, b in pairs], LABELS)
    scored = [(a, b) for a, b in pairs if a and b]
    assert (found.n, found.n_unscored) == (len(scored), len(pairs) - len(scored))
    if not scored:
        assert (found.share, found.low, found.high, found.kappa, found.ac1) == (None,) * 5
        return
    equal = sum(a == b for a, b in scored)
    low, high = proportion_confint(equal, len(scored), method="wilson")
    assert found.share == pytest.approx(equal / len(scored))
    assert (found.low, found.high) == (pytest.approx(max(low, 0), abs=1e-9), pytest.approx(min(high, 1), abs=1e-9))
    if found.kappa is None:
        assert len({label for pair in scored for label in pair}) == 1
    else:
        assert found.kappa == pytest.approx(cohens_kappa(np.array(found.table), return_results=False))
    assert found.ac1 is not None and found.ac1 <= 1


@given(PAIRS)
def test_swapping_the_readers_turns_the_table_and_keeps_the_measures(
    pairs: list[tuple[str | None, str | None]],
) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    one, other = agreement(first, second, LABELS), agreement(second, first, LABELS)
    assert one.table == tuple(zip(*other.table, strict=True))
    assert (one.share, one.n_unscored) == (other.share, other.n_unscored)
    assert one.kappa == (None if other.kappa is None else pytest.approx(other.kappa))
    assert one.ac1 == (None if other.ac1 is None else pytest.approx(other.ac1))


def test_what_is_undefined_is_none() -> None:
    found = agreement(["a", "a"], ["a", "a"])
    assert (found.share, found.kappa, found.ac1) == (1.0, None, None)


def test_kappa_s_interval_covers_where_few_disagree() -> None:
    """Of tables whose rare cells often stay empty; a formula for large samples covered in 46 to 71 % of them."""
    rng = np.random.default_rng(11)
    for cells in ([[0.93, 0.01], [0.01, 0.05]], [[0.49, 0.012], [0.013, 0.485]], [[0.88, 0.03], [0.02, 0.07]]):
        shares = np.array(cells)
        chance = float(shares.sum(0) @ shares.sum(1))
        truth, tried, held = (float(np.trace(shares)) - chance) / (1 - chance), 0, 0
        for table in rng.multinomial(27, shares.ravel(), 200):
            first, second = np.repeat(["yes", "yes", "no", "no"], table), np.repeat(["yes", "no", "yes", "no"], table)
            found = agreement(first.tolist(), second.tolist(), ("yes", "no"))
            if found.kappa is not None and found.kappa_low is not None and found.kappa_high is not None:
                tried += 1
                held += found.kappa_low <= truth <= found.kappa_high
                assert found.kappa_low <= found.kappa <= found.kappa_high
        assert tried > 100 and held / tried >= 0.9


def test_the_level_widens_the_interval() -> None:
    narrow, wide = (agreement(["a", "b"] * 9, ["a"] * 18, level=level) for level in (0.8, 0.99))
    assert narrow.low is not None and wide.low is not None and wide.low < narrow.low


@pytest.mark.parametrize(("first", "second"), [(["a"], []), (["a"], ["c"])])
def test_lists_that_do_not_fit_are_refused(first: list[str], second: list[str]) -> None:
    with pytest.raises(ValueError, match=r"differ in length|outside the set"):
        agreement(first, second, ("a", "b"))


def test_patterns_are_compared_one_by_one() -> None:
    found = by_pattern([(), ("strong_vacillation", "harmful_additions"), None], [(), ("strong_vacillation",), ()])
    assert tuple(found) == PATTERNS
    assert found["strong_vacillation"].table == ((1, 0), (0, 1))
    assert found["harmful_additions"].table == ((0, 1), (0, 1))
    assert all(one.n == 2 and one.n_unscored == 1 for one in found.values())
    with pytest.raises(ValueError, match="not a pattern: daydreaming"):
        by_pattern([("daydreaming",)], [()])


def test_two_anatomies_are_compared_sentence_by_sentence() -> None:
    one = [Anatomy(("problem_analysis", "policy_check"), (1,)), Anatomy(("other",)), None, Anatomy(("other",))]
    two = [
        Anatomy(("problem_analysis", "other")),
        Anatomy(("other",)),
        Anatomy(("other",) * 3),
        Anatomy(("other",) * 2),
    ]
    found = by_sentence(one, two)
    does, talks = found["segment_of_a_sentence"], found["self_jailbreak_sentence"]
    # What one did not read, or read in other pieces, is unscored: three sentences and two.
    assert (does.n, does.n_unscored) == (3, 5) and does.share == pytest.approx(2 / 3)
    assert does.labels == ("problem", "policy", "response", "other")
    assert (talks.n, talks.n_unscored, talks.table) == (3, 5, ((0, 1), (0, 2)))
