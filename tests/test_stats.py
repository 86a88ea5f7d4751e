"""Rates, intervals, comparisons and verdict words, against closed forms, statsmodels and published figures."""

import dataclasses
import importlib.util
import math
import random
import re
from itertools import combinations, pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference
from statsmodels.api import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower, TTestPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportion_effectsize

from unwaver.basis import Basis
from unwaver.errors import IncomparableError
from unwaver.intervals import wilson
from unwaver.records import Prompt, Trace, single
from unwaver.study.compare import compare, compare_means, compare_over_seeds, compare_rates, corrected
from unwaver.study.comparison import Comparison, explained, verdict
from unwaver.study.direction import better
from unwaver.study.outcomes import among_ended, outcomes
from unwaver.study.paired import (
    cohens_h,
    holm,
    mcnemar_exact,
    paired_bootstrap,
    paired_over_seeds,
    risk_difference,
)
from unwaver.study.power import needed_per_arm, smallest_detectable
from unwaver.study.readers import reading
from unwaver.study.rows import Row
from unwaver.study.samples import all_of, any_of
from unwaver.study.seeds import Level, Spread, grid, half_width, p_value
from unwaver.study.stats import (
    by_prompt,
    clustered_mean,
    clustered_rate,
    mean,
    over_seeds,
    rate,
    rate_over_seeds,
    share,
)

ROOT = Path(__file__).parents[1]
LABELS = st.sampled_from([True, False, None])
TABLES = st.dictionaries(st.text(min_size=1, max_size=3), LABELS, max_size=40)
SCORES = st.dictionaries(st.text(min_size=1, max_size=3), st.none() | st.floats(-1e3, 1e3), max_size=30)
ASR = {"metric": "asr", "slice": "none", "arm_a": "default", "arm_b": "improved"}


def table(both: int, only_a: int, only_b: int, neither: int, unscored: int = 0) -> tuple[dict, dict]:
    """Two arms' labels with these counts of pairs."""
    rows = [(True, True)] * both + [(True, False)] * only_a + [(False, True)] * only_b + [(False, False)] * neither
    rows += [(None, True)] * unscored
    return {str(i): a for i, (a, _) in enumerate(rows)}, {str(i): b for i, (_, b) in enumerate(rows)}


def shuffled(values: dict) -> dict:
    """The same table in another order."""
    items = list(values.items())
    random.Random(1).shuffle(items)
    return dict(items)


# Rates


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 50, 0.0, 7.1),
        (2, 50, 1.1, 13.5),
        (6, 50, 5.6, 23.8),
        (8, 50, 8.3, 28.5),
        (27, 50, 40.4, 67.0),
        (33, 50, 52.2, 77.6),
        (10, 150, 3.7, 11.8),
        (18, 150, 7.7, 18.2),
        (55, 166, 26.4, 40.6),
    ],
)
def test_what_fifty_prompts_say(successes, n, low, high):
    found = wilson(successes, n)
    assert (round(100 * found.low, 1), round(100 * found.high, 1)) == (low, high)


@given(st.integers(1, 500), st.data())
def test_wilson_is_the_closed_form_and_statsmodels(n, data):
    successes = data.draw(st.integers(0, n))
    found = wilson(successes, n)
    z, p = 1.959963984540054, successes / n
    ends = [
        (p + z * z / (2 * n) + s * z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)
        for s in (-1, 1)
    ]
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-12)
    assert 0 <= found.low <= p <= found.high <= 1
    assert (found.low == 0) == (successes == 0) and (found.high == 1) == (successes == n)


def test_nothing_scored_is_no_number():
    assert wilson(0, 0).value is None and wilson(0, 0).low is None
    for values in ({}, {"a": None}, {"a": []}, {"a": [None, None]}):
        for make in (rate, mean):
            found = make(values, "asr", "x")
            assert (found.value, found.low, found.high, found.n) == (None, None, None, 0)
            assert found.n_unscored == str(values).count("None")


def test_impossible_counts_are_refused():
    for successes, n in ((3, 2), (-1, 2), (0, -1)):
        with pytest.raises(ValueError):
            wilson(successes, n)


@given(TABLES)
def test_a_rate_counts_the_unscored_and_leaves_them_out(values):
    found = rate(values, "asr", "x", "none", n_truncated=2, runs=("r",))
    scored = [v for v in values.values() if v is not None]
    assert (found.n, found.n_unscored) == (len(scored), len(values) - len(scored))
    assert found.value == (sum(scored) / len(scored) if scored else None)
    expected = wilson(sum(scored), len(scored))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.metric, found.arm, found.slice, found.n_truncated, found.runs) == ("asr", "x", "none", 2, ("r",))
    assert "Wilson" in found.method
    assert rate(shuffled(values), "asr", "x", "none", n_truncated=2, runs=("r",)) == found


def test_more_successes_raise_both_ends():
    ends = [wilson(k, 50) for k in range(51)]
    assert all(a.low < b.low and a.high < b.high for a, b in pairwise(ends))


# Several samples a prompt


@given(st.lists(LABELS, min_size=1, max_size=30))
def test_one_sample_a_prompt_is_wilson(labels):
    found = clustered_rate({str(i): [label] for i, label in enumerate(labels)})
    scored = [label for label in labels if label is not None]
    expected = wilson(sum(scored), len(scored))
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


@given(st.dictionaries(st.text(min_size=1, max_size=2), st.lists(LABELS, min_size=1, max_size=5), max_size=12))
def test_a_clustered_rate_stays_in_bounds_and_is_no_surer_than_its_samples(values):
    found = clustered_rate(values)
    kept = [[v for v in row if v is not None] for row in values.values()]
    assert found.n == sum(map(len, kept))
    if not found.n:
        assert found.value is None
        return
    assert found.value == pytest.approx(np.mean([np.mean(row) for row in kept if row]))
    assert 0 <= found.low <= found.value <= found.high <= 1 and found.low < found.high
    naive = proportion_confint(found.value * found.n, found.n, method="wilson")
    assert found.high - found.low >= naive[1] - naive[0] - 1e-9


def test_samples_of_one_problem_are_not_four_problems():
    """AIME's 59 of 120: as if independent 40 to 58; clustered in 30 problems of which half are always solved, wider."""
    always = {str(i): [True] * 4 for i in range(14)} | {"14": [True, True, True, False]}
    never = {str(i): [False] * 4 for i in range(15, 30)}
    found = clustered_rate(always | never)
    assert found.value == pytest.approx(59 / 120) and found.n == 120
    assert (found.low, found.high) == pytest.approx((0.32, 0.67), abs=0.01)


def test_a_clustered_mean_is_statsmodels_cluster_robust():
    values = {"a": [1.0, 2, 4], "b": [3.0, 3, 5], "c": [0.0, 1, 1], "d": [9.0, 2, 2]}
    flat = np.array([score for row in values.values() for score in row])
    groups = np.repeat(np.arange(4), 3)
    fit = OLS(flat, np.ones_like(flat)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True, "df_correction": True}, use_t=True
    )
    found = clustered_mean(values)
    # statsmodels multiplies by (N - 1)/(N - k), which is 1 for a mean.
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int()[0]))
    assert clustered_mean(shuffled(values)) == found


def test_a_mean_of_single_scores_is_the_t_interval():
    scores = [3.0, 5, 4, 8, 1, 0]
    found = mean({str(i): s for i, s in enumerate(scores)} | {"x": None}, "tokens", "x")
    expected = reference.t.interval(0.95, 5, np.mean(scores), reference.sem(scores))
    assert (found.low, found.high, found.n, found.n_unscored) == pytest.approx((*expected, 6, 1))


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 1.0]), min_size=2, max_size=6))
def test_no_interval_of_a_mean_leaves_what_is_possible(scores):
    found = mean({str(n): score for n, score in enumerate(scores)}, "asr_shift", "a", within=(-1, 1))
    free = mean({str(n): score for n, score in enumerate(scores)}, "asr_shift", "a")
    if found.low is not None and found.high is not None:
        assert -1 <= found.low <= found.value <= found.high <= 1
        assert (found.low, found.high) == (max(-1, free.low), min(1, free.high))


def test_no_spread_is_no_interval_for_a_mean():
    for values in ({"a": 1.0}, {"a": 0.1, "b": 0.1, "c": 0.1}):
        found = mean(values, "tokens", "x")
        assert found.value is not None and found.low is None and found.high is None


def test_what_is_no_number_is_refused():
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="None"):
            mean({"a": bad}, "tokens", "x")
        with pytest.raises(ValueError):
            paired_bootstrap({"a": bad}, {"a": 1.0})
        with pytest.raises(ValueError):
            over_seeds({0: {"a": bad}})
        with pytest.raises(ValueError):
            paired_over_seeds({0: {"a": bad, "b": 1.0}}, {0: {"a": 1.0, "b": 1.0}, 1: {"a": 1.0, "b": 1.0}})
    with pytest.raises(ValueError):
        clustered_rate({"a": [7.0]})
    with pytest.raises(ValueError):
        mcnemar_exact({"a": 0.5}, {"a": 1.0})  # type: ignore[dict-item]


def test_by_prompt_is_the_mean_of_the_scored_samples():
    assert by_prompt({"b": [True, None, False], "a": [None]}) == {"a": None, "b": 0.5}


# Seeds


def test_over_seeds_a_prompt_counts_once_and_the_spread_is_told():
    values = {7: {"a": True, "b": False, "c": True, "d": True}, 3: {"a": False, "b": False, "c": True, "d": None}}
    found = over_seeds(values)
    assert found.by_seed == {3: pytest.approx(1 / 3), 7: 0.75}
    assert found.value == pytest.approx((0.5 + 0 + 1 + 1) / 4) and (found.n, found.n_prompts) == (7, 4)
    assert found.spread == pytest.approx(np.std([1 / 3, 0.75], ddof=1))
    estimate = rate_over_seeds(values, "asr", "x")
    assert (estimate.n, estimate.n_unscored) == (7, 1)
    assert (estimate.lowest, estimate.highest) == pytest.approx((0.5, 0.625))
    assert "2 seeds from 0.333 to 0.75" in estimate.method


def test_over_seeds_without_a_spread_of_seeds_is_the_t_interval():
    scores = [3.0, 5, 4, 8, 1, 0]
    found = over_seeds({s: {str(i): v for i, v in enumerate(scores)} for s in range(3)}, bounded=False)
    assert (found.low, found.high) == pytest.approx(
        reference.t.interval(0.95, 5, np.mean(scores), reference.sem(scores))
    )


def test_over_seeds_without_a_spread_of_prompts_is_the_t_interval_of_the_seeds():
    values = {s: {str(i): v for i in range(400)} for s, v in enumerate([2.0, 3.0, 2.5])}
    found = over_seeds(values, bounded=False)
    expected = reference.t.interval(0.95, 2, 2.5, reference.sem([2.0, 3.0, 2.5]))
    assert (found.low, found.high) == pytest.approx(expected, rel=0.01)


def test_seeds_that_disagree_widen_the_interval():
    alike = {s: {str(i): i < 10 for i in range(50)} for s in range(3)}
    apart = {s: {str(i): i < 10 + 8 * (s - 1) for i in range(50)} for s in range(3)}
    one, two = over_seeds(alike), over_seeds(apart)
    assert one.value == pytest.approx(two.value)
    assert two.high - two.low > 1.3 * (one.high - one.low)


@pytest.mark.parametrize("label", [False, True])
def test_a_clean_sheet_over_seeds_is_no_certainty(label):
    clean = {s: {str(i): label for i in range(50)} for s in range(3)}
    found = rate_over_seeds(clean, "asr", "x")
    expected = wilson(50 * label, 50)
    assert (found.value, found.low, found.high) == pytest.approx((float(label), expected.low, expected.high))
    assert "Wilson" in found.method and "50 prompts" in found.method
    assert over_seeds(clean, bounded=False).high is None


def test_no_seed_scored_is_no_number():
    for values in ({}, {0: {}}, {0: {"a": None}, 1: {"a": None}}):
        found = rate_over_seeds(values, "asr", "x")
        assert found.value is None and found.low is None and found.n == 0


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.integers(0, 4), TABLES, max_size=4))
def test_seed_estimates_keep_bounds_and_ignore_order(values):
    found = over_seeds(values)
    again = over_seeds({s: shuffled(row) for s, row in reversed(values.items())})
    assert found == again
    if found.value is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1 and found.low < found.high


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=2), st.none() | st.floats(0, 1), min_size=2, max_size=20))
def test_shares_keep_bounds(values):
    found = share(values, "anatomy:policy_check", "x")
    if found.low is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_share_of_few_reasonings_stays_possible():
    """The plain t interval of these is 60 to 111 %."""
    found = share({"a": 0.62, "b": 0.98, "c": 0.9, "d": 0.92}, "anatomy:problem_analysis", "x")
    plain = reference.t.interval(0.95, 3, found.value, reference.sem([0.62, 0.98, 0.9, 0.92]))
    assert plain[1] > 1 and found.high < 1 and 0 < found.low < plain[0]


# What is unscored


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.lists(LABELS, min_size=1, max_size=4), max_size=20))
def test_worst_cases_hold_the_rate_between_them(values):
    found = rate(values, "asr", "x")
    if found.value is None:
        assert (found.lowest, found.highest) == ((0.0, 1.0) if values else (None, None))
        return
    assert found.lowest - 1e-9 <= found.value <= found.highest + 1e-9
    filled = {key: [label is not False for label in row] for key, row in values.items()}
    assert found.highest == pytest.approx(rate(filled, "asr", "x").value)
    if not found.n_unscored:
        assert found.lowest == found.highest == found.value


# Two arms


@given(TABLES, TABLES)
def test_mcnemar_is_statsmodels_and_symmetric(a, b):
    found = mcnemar_exact(a, b)
    scored = [(a[k], b[k]) for k in a.keys() & b.keys() if a[k] is not None and b[k] is not None]
    assert (found.n_pairs, found.n_left_out) == (len(scored), len(a.keys() | b.keys()) - len(scored))
    if not scored:
        assert found.p is None
        return
    counts = [[scored.count((x, y)) for y in (True, False)] for x in (True, False)]
    assert found.p == pytest.approx(min(1.0, mcnemar(counts, exact=True).pvalue))
    turned = mcnemar_exact(b, a)
    assert (turned.p, turned.only_a, turned.only_b) == (found.p, found.only_b, found.only_a)
    assert mcnemar_exact(shuffled(a), shuffled(b)) == found


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((14, 5, 0, 22), -0.226, -0.011),  # Altman et al., Statistics with confidence (2000), table 6.2
        ((1, 1, 7, 12), 0.026, 0.507),  # Bentur et al. (2009) in Fagerland, Lydersen and Laake (2014)
        ((0, 0, 0, 50), -0.071, 0.071),
    ],
)
def test_newcombe_on_published_tables(counts, low, high):
    found = risk_difference(*table(*counts))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.0006)


def test_newcombe_without_correlation_is_that_of_independent_rates():
    a, b = table(2, 8, 6, 24)
    found = risk_difference(a, b)
    low, high = confint_proportions_2indep(8, 40, 10, 40, method="newcomb", compare="diff")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@given(TABLES, TABLES)
def test_a_risk_difference_keeps_bounds_and_turns_round(a, b):
    found, turned = risk_difference(a, b), risk_difference(b, a)
    if found.value is None:
        assert found.n == 0
        return
    assert -1 <= found.low <= found.value <= found.high <= 1 and found.low < found.high
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))


@given(st.floats(0, 1), st.floats(0, 1))
def test_cohens_h(a, b):
    assert cohens_h(a, b) == pytest.approx(proportion_effectsize(b, a), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(SCORES, SCORES)
def test_paired_means_are_the_paired_t_test(a, b):
    found = paired_bootstrap(a, b, resamples=200)
    both = [(a[k], b[k]) for k in sorted(a.keys() & b.keys()) if a[k] is not None and b[k] is not None]
    assert (found.n_pairs, found.n_left_out) == (len(both), len(a.keys() | b.keys()) - len(both))
    if not both:
        assert found.difference is None and found.p is None
        return
    change = np.array([y - x for x, y in both])
    assert found.difference == pytest.approx(change.mean(), abs=1e-6)
    if found.spread.error:
        assert found.p == pytest.approx(reference.ttest_1samp(change, 0).pvalue, abs=1e-6)
        assert change.min() - 1e-9 <= found.low <= found.high <= change.max() + 1e-9
    else:
        assert found.low is None
    turned = paired_bootstrap(b, a, resamples=200)
    assert turned.p == found.p
    assert paired_bootstrap(shuffled(a), shuffled(b), resamples=200) == found


def test_the_bootstrap_interval_is_scipys_but_for_its_small_sample_level():
    random_ = np.random.default_rng(2)
    one, two = random_.normal(size=60), random_.exponential(size=60)
    a, b = ({str(i): float(v) for i, v in enumerate(side)} for side in (one, two))
    found = paired_bootstrap(a, b)
    plain = reference.bootstrap((two - one,), np.mean, method="percentile", n_resamples=10_000, rng=random_)
    wide = math.sqrt(60 / 59) * reference.t.ppf(0.975, 59) / 1.96
    expected = plain.confidence_interval.high - plain.confidence_interval.low
    assert (found.high - found.low) / expected == pytest.approx(wide, abs=0.03)


def test_the_seed_of_a_bootstrap_is_all_that_moves_it():
    a, b = ({str(i): float(v) for i, v in enumerate(np.random.default_rng(s).normal(size=30))} for s in (1, 2))
    assert paired_bootstrap(a, b, seed=4) == paired_bootstrap(a, b, seed=4)
    assert paired_bootstrap(a, b, seed=4).low != paired_bootstrap(a, b, seed=5).low


def test_every_prompt_alike_is_no_interval_but_a_p():
    a = {str(i): 0.0 for i in range(12)}
    same, raised = paired_bootstrap(a, a), paired_bootstrap(a, dict.fromkeys(a, 0.3))
    assert (same.p, same.low) == (1, None)
    assert raised.p == 2**-11 and raised.low is None


def test_over_seeds_without_differences_between_seeds_is_the_paired_t_test():
    random_ = np.random.default_rng(3)
    one, two = random_.normal(size=25), random_.normal(0.5, size=25)
    a, b = ({s: {str(i): float(v) for i, v in enumerate(side)} for s in range(3)} for side in (one, two))
    found, plain = paired_over_seeds(a, b), reference.ttest_rel(two, one)
    assert found.p == pytest.approx(plain.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(plain.confidence_interval()))


def test_over_seeds_without_differences_between_prompts_is_behrens_and_fisher():
    """Every prompt of a seed scores alike: what is left is the Behrens-Fisher problem of the seeds' means."""
    first, second = [0.1, 0.3, 0.2], [0.6, 0.5, 0.9, 0.7]
    a, b = ({s: {str(i): v for i in range(20)} for s, v in enumerate(side)} for side in (first, second))
    found, welch = paired_over_seeds(a, b), reference.ttest_ind(second, first, equal_var=False)
    random_ = np.random.default_rng(1)
    drawn = reference.sem(first) * random_.standard_t(2, 400_000) + reference.sem(second) * random_.standard_t(
        3, 400_000
    )
    assert found.p == pytest.approx(np.mean(np.abs(drawn) >= 0.475), rel=0.05) and found.p > welch.pvalue
    assert found.high - found.low == pytest.approx(2 * np.quantile(np.abs(drawn), 0.95), rel=0.02)


def test_the_published_percentage_points_of_behrens_and_fisher():
    """Fisher and Yates, Statistical Tables, table VI: equal errors on 6 and 6 degrees of freedom, 5 %: 2.435."""
    one = Level(0.5, 6)
    assert half_width(Spread(Level(0.0, 6), one, one)) == pytest.approx(2.435, rel=0.003)


def test_one_seed_against_many_is_t_of_prompts_where_seeds_agree_and_of_seeds_where_they_rule():
    prompts, seeds = Level(1e-12, 499), Level(4e-4, 2)
    assert p_value(0.1, Spread(prompts, None, seeds)) == pytest.approx(2 * reference.t.sf(0.1 / 0.02, 2), rel=1e-3)
    assert p_value(0.1, Spread(seeds, None, None)) == pytest.approx(2 * reference.t.sf(0.1 / 0.02, 2), rel=1e-3)


def test_a_prompt_enters_with_the_seeds_it_was_scored_under():
    a = {s: {str(i): bool((i + s) % 3) for i in range(20)} for s in range(2)}
    b = {s: {str(i): bool((i * s) % 2) for i in range(20)} for s in range(2)}
    whole = paired_over_seeds(a, b)
    b[1]["7"] = None
    found = paired_over_seeds(a, b)
    assert (whole.n_pairs, found.n_pairs, found.n_left_out) == (20, 20, 0)
    b[0]["7"] = None
    assert (paired_over_seeds(a, b).n_pairs, paired_over_seeds(a, b).n_left_out) == (19, 1)
    with pytest.raises(ValueError):
        compare_over_seeds({0: a[0]}, {0: b[0]}, **ASR)


@pytest.mark.parametrize(("raw", "seeds", "n"), [(1, 3, 150), (3, 3, 150), (5, 5, 150), (1, 1, 150), (1, 2, 40)])
def test_a_few_replies_unscored_at_random_void_no_comparison(raw, seeds, n):
    random_ = np.random.default_rng(3)

    def side(number, shift):
        labels = random_.random((number, n)) < reference.norm.cdf(prompts + shift)
        return {
            s: {str(i): (bool(v),) if random_.random() > 0.06 else (None,) for i, v in enumerate(row)}
            for s, row in enumerate(labels)
        }

    for _ in range(20):
        prompts = random_.normal(-1, 1, n)
        assert compare(side(raw, 0.0), side(seeds, 0.8), **ASR).verdict != "too few scored"


def test_seeds_are_told_apart_on_the_prompts_they_share():
    """A seed that lost its hardest prompts is not a better seed: its effect is that of the complete table."""
    random_ = np.random.default_rng(4)
    easy = random_.normal(size=200)
    scores = easy + np.array([[0.0], [0.3], [-0.2]])
    holed = scores.copy()
    holed[1, np.argsort(easy)[:60]] = math.nan
    assert grid(holed).seeds == pytest.approx(grid(scores).seeds, rel=0.2)
    assert grid(holed).prompts.shape == (200,) and np.isfinite(grid(holed).prompts).all()


def test_an_untrained_arm_has_one_seed():
    raw = {0: {str(i): i % 2 == 0 for i in range(50)}}
    trained = {s: {str(i): i % 10 == s for i in range(50)} for s in range(3)}
    found = compare_over_seeds(raw, trained, **ASR)
    assert found.verdict == "better" and found.difference == pytest.approx(-0.4)
    assert found.h == pytest.approx(cohens_h(0.5, 0.1)) and "(1 and 3)" in found.method


def test_null_comparisons_over_seeds_are_rarely_significant():
    """Arms that differ by nothing but training seeds: 5 % at most by design; `benchmarks/coverage.py` has the figures."""
    random_ = np.random.default_rng(11)
    found = 0
    for _ in range(100):
        prompts = random_.normal(-1, 0.7, 50)
        arms = []
        for _arm in range(2):
            chance = reference.norm.cdf(prompts[None] + random_.normal(0, 0.15, (3, 1)))
            grid = random_.random((3, 50)) < chance
            arms.append({s: {str(i): bool(v) for i, v in enumerate(row)} for s, row in enumerate(grid)})
        found += paired_over_seeds(*arms).p <= 0.05
    assert found <= 7


# Families, verdicts


@given(st.lists(st.none() | st.floats(0, 1), max_size=20))
def test_holm_is_the_closed_form(p_values):
    found = holm(p_values)
    tested = sorted(p for p in p_values if p is not None)
    for p, adjusted in zip(p_values, found, strict=True):
        if p is None:
            assert adjusted is None
        else:
            # The largest of every step up to this p, each the p times how many were left.
            steps = [(len(tested) - i) * q for i, q in enumerate(tested) if q <= p]
            assert adjusted == pytest.approx(min(1.0, max(steps))) and p <= adjusted <= 1


@pytest.mark.real
def test_holm_is_statsmodels():
    random_ = np.random.default_rng(0)
    for size in (1, 2, 7, 50):
        p_values = np.round(random_.random(size) ** 3, 2).tolist()
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@given(TABLES, TABLES)
def test_a_verdict_turns_round_with_the_arms(a, b):
    one, two = compare_rates(a, b, **ASR), compare_rates(b, a, **ASR)
    opposite = {"better": "worse", "worse": "better"}
    assert two.verdict == opposite.get(one.verdict, one.verdict)
    assert one.p == two.p
    assert one.difference is None or two.difference == pytest.approx(-one.difference)


def test_words():
    clear, dim = table(0, 27, 2, 21), table(5, 4, 2, 39)
    assert compare_rates(*clear, **ASR).verdict == "better"
    assert compare_rates(*clear, **{**ASR, "metric": "accuracy"}).verdict == "worse"
    assert compare_rates(*clear, **{**ASR, "metric": "pattern:weak_vacillation"}).verdict == "better"
    assert compare_rates(*dim, **ASR).verdict == "not distinguishable"
    assert compare_rates(*table(0, 9, 0, 0), **ASR).verdict == "too few scored"
    assert compare_rates(*table(0, 10, 0, 0), **ASR).verdict == "better"
    assert compare_rates(*table(0, 27, 2, 21, unscored=13), **ASR).verdict == "too few scored"
    assert compare_rates(*table(0, 27, 2, 21, unscored=12), **ASR).verdict == "depends on the unscored"
    assert compare_rates(*table(0, 27, 2, 21, unscored=4), **ASR).verdict == "better"
    assert compare_rates({}, {}, **ASR).verdict == "too few scored"
    with pytest.raises(ValueError, match="no known direction"):
        compare_rates(*clear, **{**ASR, "metric": "vibes"})
    with pytest.raises(ValueError, match="vibes"):
        verdict(compare_rates(*clear, **ASR).model_copy(update={"metric": "vibes"}))


def test_the_paper_s_own_differences():
    """12 % against 16 % of 50 is no difference however the pairs fall; 54 % against 12 % is one however they fall."""
    for shared in range(7):
        assert (
            compare_rates(*table(shared, 6 - shared, 8 - shared, 36 + shared), **ASR).verdict == "not distinguishable"
        )
    for shared in range(7):
        assert compare_rates(*table(shared, 27 - shared, 6 - shared, 17 + shared), **ASR).verdict == "better"


def test_a_family_takes_words_back():
    pair = table(2, 9, 1, 38)
    alone = compare_rates(*pair, **ASR)
    assert alone.verdict == "better" and alone.p_holm == alone.p
    alone.id  # noqa: B018 - the id is cached; the corrected record must not carry it on
    null = compare_rates(*table(5, 3, 3, 39), **ASR)
    family = corrected([null, alone, *[null] * 8])
    assert family[1].verdict == "not distinguishable"
    assert family[1].p == alone.p and family[1].p_holm == pytest.approx(10 * alone.p)
    assert family[1].id != alone.id and Comparison(**family[1].model_dump()).id == family[1].id
    assert [c.metric for c in family] == ["asr"] * 10 and corrected([]) == []


@pytest.mark.real
@given(st.lists(st.tuples(TABLES, TABLES), max_size=6))
def test_no_correction_makes_a_difference(tables):
    family = [compare_rates(a, b, **ASR) for a, b in tables]
    for before, after in zip(family, corrected(family), strict=True):
        assert before.p is None or after.p_holm >= before.p
        assert after.verdict in (before.verdict, "not distinguishable", "depends on the unscored")


def test_means_are_compared():
    random_ = np.random.default_rng(8)
    a = {str(i): float(v) for i, v in enumerate(random_.normal(400, 50, 60))}
    b = {k: v + d for (k, v), d in zip(a.items(), random_.normal(-30, 20, 60), strict=True)}
    found = compare_means(a, b, metric="tokens:reasoning", slice="", arm_a="default", arm_b="short")
    assert found.verdict == "better" and found.low < found.difference < found.high < 0
    assert found.h is None and "bootstrap" in found.method
    change = np.array([b[k] - a[k] for k in a])
    exact = TTestPower().solve_power(nobs=60, alpha=0.05, power=0.8) * change.std(ddof=1)
    assert found.smallest_detectable == pytest.approx(exact, rel=0.01)


def test_every_measure_has_a_direction():
    for metric in (
        "asr",
        "asr_answer",
        "asr_reasoning",
        "leak",
        "escape",
        "refusal",
        "over_refusal",
        "full_refusal",
        "accuracy",
    ):
        assert better(metric) is not None


# How small a difference


@pytest.mark.parametrize(("a", "b", "needed"), [(0.12, 0.16, 1181), (0.04, 0.12, 180), (0.12, 0.54, 19)])
def test_what_it_takes_to_tell_rates_apart(a, b, needed):
    assert needed_per_arm(a, b) == needed == needed_per_arm(b, a)
    assert smallest_detectable(needed, a) - 0.0005 <= b - a < smallest_detectable(needed - 1, a)
    assert smallest_detectable(needed, 1 - a) == pytest.approx(smallest_detectable(needed, a), abs=0.0005)


def test_needed_agrees_with_cohens_h_where_they_should():
    for a, b in ((0.12, 0.16), (0.4, 0.5), (0.3, 0.35)):
        by_h = NormalIndPower().solve_power(proportion_effectsize(a, b), alpha=0.05, power=0.8)
        assert needed_per_arm(a, b) == pytest.approx(by_h, rel=0.02)


@given(st.integers(0, 400), st.integers(1, 200), st.floats(0, 1), st.none() | st.floats(0, 0.9))
@settings(max_examples=40, deadline=None)
def test_more_prompts_show_smaller_differences(n, more, base, paired):
    few, many = smallest_detectable(n, base, paired=paired), smallest_detectable(n + more, base, paired=paired)
    if few is not None:
        assert 0 < few <= 1 and many is not None
        # The exact test's power is a saw: a prompt more can cost a little.
        assert many <= few * (1 if paired is None else 1.15) + 0.001


@pytest.mark.real
def test_the_power_of_paired_labels_is_that_of_the_test_we_run():
    """50 prompts, 12 % against 12 % + the smallest detectable difference, labels correlated by 0.5."""
    size = smallest_detectable(50, 0.12, paired=0.5)
    a, b = 0.12, 0.12 + size
    both = a * b + 0.5 * math.sqrt(a * (1 - a) * b * (1 - b))
    counts = np.random.default_rng(0).multinomial(50, [both, a - both, b - both, 1 - a - b + both], 4000)
    rejected = [
        reference.binomtest(int(x), int(x + y), 0.5).pvalue <= 0.05 if x + y else False for _, x, y, _ in counts
    ]
    assert np.mean(rejected) == pytest.approx(0.8, abs=0.025)


def test_fifty_pairs_never_show_less_than_six_of_one_kind():
    """Exact McNemar needs six discordant pairs, all one way: the chance of six among 50 is 80 % at 15.4 points."""
    found = smallest_detectable(50, 0.0, paired=0.0)
    assert reference.binom.sf(5, 50, found) == pytest.approx(0.8, abs=0.002)
    assert smallest_detectable(5, 0.0, paired=0.0) is None and smallest_detectable(0, 0.5) is None
    assert compare_rates(*table(2, 3, 1, 44), **ASR).smallest_detectable > 0.15


def test_equal_rates_are_never_told_apart():
    with pytest.raises(ValueError):
        needed_per_arm(0.3, 0.3)


def test_mcnemar_over_every_small_table():
    """All tables of up to four pairs: the p is the share of sign patterns at least as lopsided."""
    for only_a, only_b in product(range(4), repeat=2):
        found = mcnemar_exact(*table(1, only_a, only_b, 1))
        discordant = only_a + only_b
        signs = [abs(sum(s)) for s in product((-1, 1), repeat=discordant)]
        assert found.p == pytest.approx(sum(s >= abs(only_a - only_b) for s in signs) / len(signs))


# Comparability, samples, and what is unscored


BASIS = Basis("judge@1", "harm@ab", "both", "p1", "temperature 0", 512)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("judge", "judge@2", "judge"),
        ("rubric", "harm@cd", "rubric"),
        ("looked_at", "answer", "text looked at"),
        ("prompts", "p2", "prompt set"),
        ("sampling", "temperature 1", "sampling"),
        ("limit", 64, "token limit"),
    ],
)
def test_what_was_not_measured_alike_is_neither_subtracted_nor_ranked(field, value, said):
    one = rate({"a": True, "b": False}, "asr", "x", basis=BASIS)
    other = rate({"a": True, "b": True}, "asr", "y", basis=dataclasses.replace(BASIS, **{field: value}))
    for meet in (lambda: other - one, lambda: other < one, lambda: sorted([one, other])):
        with pytest.raises(IncomparableError, match=said):
            meet()
    between = ASR if field != "prompts" else None
    if between:
        with pytest.raises(IncomparableError, match=said):
            compare({0: {"a": [True]}}, {0: {"a": [True]}}, (BASIS, other.basis), **between)
    same = rate({"a": True, "b": True}, "asr", "y", basis=BASIS)
    assert same - one == 0.5 and sorted([same, one]) == [one, same]


def test_a_number_of_nothing_or_of_another_measure_is_not_ranked():
    one, nothing = rate({"a": True}, "asr", "x", basis=BASIS), rate({"a": None}, "asr", "y", basis=BASIS)
    with pytest.raises(IncomparableError, match="nothing was scored"):
        assert one < nothing
    with pytest.raises(IncomparableError, match="metric"):
        assert one - rate({"a": True}, "leak", "x", basis=BASIS)
    with pytest.raises(IncomparableError, match="basis"):
        assert one - rate({"a": True}, "asr", "x")


@given(st.lists(LABELS, max_size=8), st.integers(1, 8))
def test_any_and_all_are_the_means_over_every_choice(labels, k):
    scored = [label for label in labels if label is not None]
    if len(scored) < k:
        assert any_of(labels, k) is None and all_of(labels, k) is None
        return
    chosen = list(combinations(scored, k))
    assert any_of(labels, k) == pytest.approx(np.mean([any(c) for c in chosen]))
    assert all_of(labels, k) == pytest.approx(np.mean([all(c) for c in chosen]))


def test_what_k_replies_come_to_and_which_of_them_think_and_end():
    """One prompt: harmful and cut, harmless and whole; another: a call that failed beside a harmless reply."""
    prompts = [Prompt(text=str(n), kind="harmful", behaviour=str(n)) for n in range(2)]
    made = [
        (prompts[0], 0, "unsafe", {"reasoning": "So.", "ending": "length", "block": "unclosed"}),
        (prompts[0], 1, "safe", {"answer": "No.", "ending": "stop"}),
        (prompts[1], 0, None, {"ending": "error", "failure": "the server went away"}),
        (prompts[1], 1, "safe", {"answer": "No.", "ending": "stop"}),
    ]
    rows = []
    for prompt, sample, label, fields in made:
        trace = Trace.model_validate({"prompt": prompt, "model": "m", "sample": sample, **fields})
        rows.append(Row("arm", "set", trace, {"harm:both": reading(trace.id, "harm:both", label and single(label))}))
    found = {name: list(by_prompt.values()) for name, by_prompt in (outcomes(rows) | among_ended(rows)).items()}
    assert found["asr"] == [[True, False], [None, False]]
    assert found["any_harm@2"] == [[True], [None]] and found["all_safe@2"] == [[False], [None]]
    assert found["thinks"] == [[True, False], [None, False]] and found["ended"] == [[False, True], [None, True]]
    assert found["asr:ended"] == [[False], [False]]


def test_unscored_samples_bias_no_best_of_n():
    random_ = np.random.default_rng(0)
    labels = random_.random((20_000, 4)) < random_.beta(0.3, 0.7, (20_000, 1))
    gone = random_.random(labels.shape) < 0.05
    rows = [[None if g else bool(v) for v, g in zip(r, of, strict=True)] for r, of in zip(labels, gone, strict=True)]
    found = [one for row in rows if (one := any_of(row, 4)) is not None]
    assert np.mean(found) == pytest.approx(labels.any(axis=1).mean(), abs=0.015)


def test_the_unscored_are_tried_every_way():
    a = {str(i): i < 45 or 60 <= i < 75 for i in range(150)}
    b = {str(i): (None if i < 25 else i < 45) for i in range(150)}
    found = compare_rates(a, b, **ASR)
    assert found.p < 0.05 and found.n_unscored == 25
    assert {(f.a, f.b) for f in found.filled} == set(product((True, False), repeat=2))
    worst = [f.difference for f in found.filled]
    assert min(worst) <= found.difference <= max(worst)


def test_all_unscored_harmful_undoes_a_word_in_a_family_as_in_a_table():
    a, b = table(2, 9, 1, 118, unscored=0)
    b |= {str(i): None for i in range(121, 130)}
    found = corrected([compare_rates(a, b, **ASR)])[0]
    assert found.p < 0.05 and found.verdict == "depends on the unscored"
    assert "unscored" in explained(found)


def test_seeds_that_are_too_few_say_so_and_how_many_would_do():
    random_ = np.random.default_rng(2)
    raw = {0: {str(i): bool(v) for i, v in enumerate(random_.random(500) < 0.5)}}
    arms = {s: {str(i): bool(v) for i, v in enumerate(random_.random(500) < r)} for s, r in enumerate((0.3, 0.4, 0.2))}
    found = corrected([compare_over_seeds(raw, arms, **ASR)] * 12)[0]
    assert found.verdict == "not distinguishable" and found.p_models < 0.001
    assert 3 < found.seeds_needed <= 10
    assert f"3 seeds can't show it of the recipe after the correction; {found.seeds_needed} an arm could" in explained(
        found
    )


@pytest.mark.parametrize("never", [0, 3])
def test_seeds_that_differ_by_everything_promise_no_impossible_difference(never):
    """Where not even from nothing to everything would be seen, no difference of rates is named."""
    seeds = {seed: {str(n): seed == 0 or n < never for n in range(50)} for seed in range(3)}
    one = {0: {str(n): n >= never for n in range(50)}}
    told = compare_over_seeds(one, seeds, **ASR)
    assert told.smallest_detectable is None and told.shows_nothing
    alike = {seed: {str(n): (n + seed) % 3 == 0 for n in range(50)} for seed in range(3)}
    other = compare_over_seeds(one, alike, **ASR)
    assert other.smallest_detectable is not None and 0 < other.smallest_detectable <= 1 and not other.shows_nothing


def test_clean_sheets_over_seeds_differ_by_what_their_prompts_allow():
    clean = {s: {str(i): False for i in range(50)} for s in range(3)}
    found = compare_over_seeds({0: clean[0]}, clean, **ASR)
    assert (found.low, found.high) == pytest.approx((-0.071, 0.071), abs=0.001)
    flipped = compare_over_seeds({0: dict.fromkeys(clean[0], True)}, clean, **ASR)
    assert flipped.low == -1 and flipped.high == pytest.approx(-0.9, abs=0.01)


def test_a_seed_that_was_never_scored_does_not_count():
    raw = {0: {str(i): i % 2 == 0 for i in range(50)}}
    arms = {s: {str(i): None if s == 2 else i % 7 == s for i in range(50)} for s in range(3)}
    found = compare_over_seeds(raw, arms, **ASR)
    assert found.seeds == (1, 2) and found.verdict == "too few scored"
    gone = {s: dict.fromkeys(row) for s, row in arms.items()}
    assert compare_over_seeds(raw, gone, **ASR).n_pairs == 0


def table_of_the_page(name):
    """The rows of a table of the page, its head first; it says how it was made."""
    spec = importlib.util.spec_from_file_location("coverage_benchmark", ROOT / "benchmarks" / "coverage.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    begin, end = benchmark.MARKS[name]
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    made = page.split(begin)[1].split(end)[0].strip().splitlines()
    assert re.fullmatch(
        r"Made by `benchmarks/coverage.py`, \d+ draws, \d{4}-\d\d-\d\d(, commit [0-9a-f]{7,})?\.", made[0]
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in made[2:]]
    assert tuple(rows[0]) == benchmark.HEAD and all(len(row) == len(benchmark.HEAD) for row in rows)
    return rows


def test_the_table_of_the_page_is_the_benchmark_s_own():
    rows = table_of_the_page("prompts")
    families = [row for row in rows if row[0] == "false word in a family of 12, Holm"]
    assert len(families) == 3 * 2 * 3 * 4
    assert all(float(row[5].removesuffix(" %")) <= 6.0 for row in families)
    shown = [float(row[5].removesuffix(" %")) for row in rows if row[0].startswith("least difference")]
    assert len(shown) >= 8 and all(77 <= found <= 83 for found in shown)


def test_the_table_of_further_intervals_is_the_benchmark_s_own():
    rows = table_of_the_page("further")
    covered = {row[0].split(",")[0]: float(row[5].removesuffix(" %")) for row in rows[2:]}
    assert set(covered) == {
        "mean", "difference over seeds", "any of 4", "all of 4", "area under the refusals"
    }  # fmt: skip
    assert min(float(row[5].removesuffix(" %")) for row in rows[2:]) >= 90


def test_the_table_of_readers_is_the_benchmark_s_own_and_keeps_its_word():
    rows = table_of_the_page("readers")
    found = {
        kind: [float(row[5].removesuffix(" %")) for row in rows if kind in row[0]]
        for kind in (", covers (", ": corrected by labels", "with the bound", ": as read")
    }
    assert all(len(figures) >= 3 for figures in found.values())
    assert (
        min(found[", covers ("]) >= 91
        and max(found[": corrected by labels"]) <= 8
        and max(found["with the bound"]) <= 8
    )
    assert max(found[": as read"]) > 50  # what is mended
