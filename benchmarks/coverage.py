"""Do intervals, tests and least differences keep their word: the tables of docs/statistics.md, by simulation.

    python benchmarks/coverage.py                # all of it, one core, some minutes
    python benchmarks/coverage.py --draws 100    # the same with other numbers of draws, to look
    python benchmarks/coverage.py --write        # and put the tables into docs/statistics.md
    python benchmarks/coverage.py --only further # means, differences over seeds, any and all of k, areas
    python benchmarks/coverage.py --only readers # what a reader's error does, and what labels and bounds make of it

Reads nothing but, with --write, that page; prints Markdown. Prompts are logistic-normal (sd 2), a training seed shifts
the logit of all prompts, labels are drawn. A student before training has no seeds: in "1 against k" its shift is 0.
The script ends with 1 where a family-wise error is above 6 % or a least difference is shown in less than 77 % or more
than 83 % of draws, by more than the simulation's own noise (two standard errors).
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import expit, stdtr

from unwaver.intervals import ALPHA, wilson
from unwaver.stages.label import allotted
from unwaver.study.compare import compare_over_seeds, compare_rates, corrected
from unwaver.study.comparison import Comparison
from unwaver.study.correction import Drawable, Values, difference, rate, values
from unwaver.study.paired import holm, mcnemar_exact, paired_bootstrap, risk_difference
from unwaver.study.reader_error import Manners, manners
from unwaver.study.refusal_auc import Side, area
from unwaver.study.samples import all_of, any_of
from unwaver.study.seeds import Floats, Level, Spread, grid, least, tail
from unwaver.study.stats import clustered_mean, clustered_rate, rate_over_seeds, share

PAGE = Path(__file__).parent.parent / "docs" / "statistics.md"
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"
READERS_BEGIN, READERS_END = "<!-- coverage of readers: begin -->", "<!-- coverage of readers: end -->"
FURTHER_BEGIN, FURTHER_END = "<!-- further coverage: begin -->", "<!-- further coverage: end -->"
MARKS = {"prompts": (BEGIN, END), "further": (FURTHER_BEGIN, FURTHER_END), "readers": (READERS_BEGIN, READERS_END)}
"""Between which lines of the page each table stands."""
HEAD = ("what", "prompts", "seeds or samples", "seeds' sd, points", "should be", "is", "power")

SETS = (-1.5, -0.5, -2.5, 1.0)
"""Mean logits of the four sets of a family: attack success twice, over-refusal, accuracy."""
ARMS = 3
"""Arms against one: twelve tests."""
PROMPTS = 2.0
"""Standard deviation of the prompts' logits."""
SHIFTS = {0: 0.0, 3: 0.2, 6: 0.4, 11: 0.8}
"""Seeds' standard deviation on the logit, by about how many points it makes."""
EFFECT = -1.5
"""What an arm that differs adds to the logit: some 20 points less."""

random = np.random.default_rng(20261128)
Row = tuple[str, ...]


def per_cent(share_: float) -> str:
    """A share as a percentage."""
    return f"{100 * share_:.1f} %"


def drawn(logits: Floats, seeds: int, sd: float, shift: float = 0.0, arms: int = 1) -> Floats:
    """Labels (draws, arms, seeds, prompts) of prompts with these logits (draws, prompts)."""
    of_seeds = sd * random.normal(size=(len(logits), arms, seeds, 1))
    chance = expit(logits[:, None, None, :] + shift + of_seeds)
    return (random.random(chance.shape) < chance).astype(np.float64)


def tested(a: Floats, b: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Differences, and their variances by prompts and by either arm's seeds, of complete tables."""
    one, two = grid(a), grid(b)
    change = two.prompts - one.prompts
    return change.mean(-1), change.var(-1, ddof=1) / a.shape[-1], one.seeds, two.seeds


def p_values(a: Floats, b: Floats, nearest: float = 1.95) -> Floats:
    """The p of `compare_over_seeds`, for many tables at once; 1 within so many standard errors.

    No tail is lighter than the normal one: within 1.95 none is below 0.05, within 2.8 none is below a twelfth of it.
    """
    difference, prompts, *seeds = (part.ravel() for part in tested(a, b))
    p = np.ones(difference.size)
    near = np.flatnonzero(np.abs(difference) > nearest * np.sqrt(prompts + sum(seeds)))
    dfs = [side.shape[-2] - 1 for side in (a, b)]
    for at in np.array_split(near, max(1, near.size // 100)):
        levels = [(variance[at], df) for variance, df in zip(seeds, dfs, strict=True) if df]
        p[at] = tail(difference[at], prompts[at], a.shape[-1] - 1, levels)
    return p.reshape(a.shape[:-2])


def families(seeds: int, of_first: int, n: int, sd: float, draws: int, shift: float = 0.0) -> Floats:
    """The p of families of twelve tests: four sets, three arms against one; (draws, 12)."""
    nearest = 1.95 if shift else 2.8
    found = []
    step = max(1, 2_000_000 // (seeds * n * ARMS))
    for mean in SETS:
        parts = []
        for start in range(0, draws, step):
            logits = mean + PROMPTS * random.normal(size=(min(step, draws - start), n))
            first = drawn(logits, of_first, sd if of_first > 1 else 0.0)
            others = drawn(logits, seeds, sd, shift, ARMS)
            parts.append(p_values(np.broadcast_to(first, (len(logits), ARMS, of_first, n)), others, nearest))
        found.append(np.concatenate(parts))
    return np.concatenate(found, axis=1)


def family_wise(draws: int) -> Iterator[Row]:
    """How often a family of twelve tests without a difference has one below 0.05 after Holm."""
    for seeds in (2, 3, 5):
        for of_first in (1, seeds):
            for n in (50, 150, 500):
                for points, sd in SHIFTS.items():
                    null = families(seeds, of_first, n, sd, draws)
                    other = families(seeds, of_first, n, sd, max(20, draws // 10), EFFECT)
                    shown = np.mean([[(p or 1) <= ALPHA for p in holm(row.tolist())] for row in other])
                    error = float((null.min(axis=1) * null.shape[1] <= ALPHA).mean())
                    noise = math.sqrt(error * (1 - error) / draws)
                    checked(error - 2 * noise <= 0.06, f"family-wise error {error:.3f}, {seeds} seeds, {n}, {points}")
                    what = "false word in a family of 12, Holm"
                    yield (
                        what,
                        str(n),
                        f"{of_first} against {seeds}",
                        str(points),
                        "≤ 6 %",
                        per_cent(error),
                        per_cent(shown),
                    )


def spreads(a: Floats, b: Floats) -> list[tuple[Spread, tuple[float, float]]]:
    """What `least` is made of, table by table."""
    n, dfs = a.shape[-1], [side.shape[-2] - 1 for side in (a, b)]
    difference, prompts, *seeds = (part.ravel() for part in tested(a, b))
    found = []
    for at in range(difference.size):
        one, two = (Level(v[at], df) if df else None for v, df in zip(seeds, dfs, strict=True))
        found.append((Spread(Level(prompts[at], n - 1), one, two), (float(a[at].mean()), float(b[at].mean()))))
    return found


def least_differences(draws: int) -> Iterator[Row]:
    """How often a difference of the printed size (its median without one) is found at 0.05."""
    cases = [(3, 1, 50, 0.0), (3, 1, 50, 0.3), (3, 1, 150, 0.3), (3, 1, 500, 0.3), (3, 1, 500, 0.6)]
    for seeds, of_first, n, sd in [*cases, (5, 1, 150, 0.3), (3, 3, 150, 0.3), (5, 5, 500, 0.3)]:
        first_sd = sd if of_first > 1 else 0.0

        sizes = []
        for _ in range(4):
            logits = -0.5 + PROMPTS * random.normal(size=(draws, n))
            a, b = drawn(logits, of_first, first_sd)[:, 0], drawn(logits, seeds, sd)[:, 0]
            sizes += [least(*one) or 1.0 for one in spreads(a, b)]
        size, found = float(np.median(sizes)), []
        for _ in range(4):
            logits = -0.5 + PROMPTS * random.normal(size=(draws, n))
            a, b = (
                drawn(logits, of_first, first_sd)[:, 0],
                drawn(logits, seeds, sd, _shift_of(size, sd, first_sd))[:, 0],
            )
            found.append(p_values(a, b) <= ALPHA)
        shown = float(np.mean(found))
        noise = math.sqrt(0.16 / (4 * draws))
        checked(0.77 - 2 * noise <= shown <= 0.83 + 2 * noise, f"least difference shown in {shown:.3f}")
        points = f"{100 * sd * 0.145:.0f}"
        what = f"least difference over seeds, {100 * size:.1f} points, is found"
        yield what, str(n), f"{of_first} against {seeds}", points, "77 to 83 %", per_cent(shown), ""


def _shift_of(difference: float, sd: float, first_sd: float) -> float:
    """The shift of the logit that makes this true difference."""
    logits = -0.5 + PROMPTS * stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    nodes = stats.norm.ppf((np.arange(41) + 0.5) / 41)[:, None]
    base = expit(logits + first_sd * nodes).mean()
    low, high = 0.0, 12.0
    for _ in range(40):
        middle = (low + high) / 2
        below = expit(logits + middle + sd * nodes).mean() - base < difference
        low, high = (middle, high) if below else (low, middle)
    return low


def by_label(side: Floats) -> dict[int, dict[str, bool]]:
    """A seeds x prompts table as labels by seed and prompt id."""
    return {seed: {str(i): bool(v) for i, v in enumerate(row)} for seed, row in enumerate(side)}


def truth(mean: float, sd: float) -> float:
    """The rate over all prompts and seeds."""
    every = math.hypot(PROMPTS, sd)
    return float(expit(mean + every * stats.norm.ppf((np.arange(20000) + 0.5) / 20000)).mean())


def holds(low: float | None, high: float | None, true: float) -> bool:
    """Whether an interval holds the truth; one that was not made claims nothing."""
    return low is None or high is None or low <= true <= high


def one_arm(draws: int) -> Iterator[Row]:
    """Coverage of one arm's intervals."""
    for true in (0.04, 0.12, 0.5):
        found = [wilson(int(k), 50) for k in random.binomial(50, true, draws)]
        yield _covers("rate, Wilson", 50, "1", "", true, [holds(f.low, f.high, true) for f in found])
    for a, b in ((0.2, 0.8), (0.15, 0.15), (2.0, 2.0)):
        labels = random.random((draws, 30, 4)) < random.beta(a, b, (draws, 30, 1))
        hits = []
        for table in labels:
            one = clustered_rate({str(i): row.tolist() for i, row in enumerate(table)})
            hits.append(holds(one.low, one.high, a / (a + b)))
        yield _covers("rate, clustered Wilson", 30, "4 samples", "", a / (a + b), hits)
    for a, b in ((4.0, 1.0), (8.0, 0.5)):
        hits = []
        for row in random.beta(a, b, (draws, 12)):
            one = share({str(i): float(v) for i, v in enumerate(row)}, "anatomy:other", "x")
            hits.append(holds(one.low, one.high, a / (a + b)))
        yield _covers("share, score interval as wide as t", 12, "1", "", a / (a + b), hits)
    cases = [(-4.4, 50, 3), (-6.5, 150, 3), (-1.5, 50, 3), (-1.5, 150, 2), (-1.5, 500, 3), (-1.5, 150, 5)]
    for mean, n, seeds in cases:
        for points, sd in SHIFTS.items() if mean == -1.5 else [(0, 0.0)]:
            tables = drawn(mean + PROMPTS * random.normal(size=(draws // 2, n)), seeds, sd)[:, 0]
            true = truth(mean, sd)
            found = [rate_over_seeds(by_label(table), "asr", "x") for table in tables]
            hits = [holds(f.low, f.high, true) for f in found]
            yield _covers("rate over seeds", n, f"{seeds} seeds", str(points), true, hits)


def _covers(what: str, n: int, of: str, points: str, true: float, hits: list[bool]) -> Row:
    return f"{what}, truly {100 * true:.0f} %, covers", str(n), of, points, "95 %", per_cent(float(np.mean(hits))), ""


def two_arms(draws: int) -> Iterator[Row]:
    """Tests of one seed: false words at 0.05, and what the interval of the difference covers."""
    for n, mean in ((50, -2.5), (50, -0.5), (150, -1.5)):
        logits = mean + PROMPTS * random.normal(size=(draws, n))
        a, b, c = (drawn(logits, 1, 0.0, shift)[:, 0, 0] for shift in (0.0, 0.0, EFFECT))
        sides = [[by_label(row[None])[0] for row in side] for side in (a, b, c)]
        told = np.mean([(mcnemar_exact(x, y).p or 1) <= ALPHA for x, y in zip(*sides[:2], strict=True)])
        power = np.mean([(mcnemar_exact(x, y).p or 1) <= ALPHA for x, y in zip(sides[0], sides[2], strict=True)])
        ends = [risk_difference(x, y) for x, y in zip(*sides[:2], strict=True)]
        yield "false difference, exact McNemar", str(n), "1", "", "≤ 5 %", per_cent(float(told)), per_cent(float(power))
        covered = per_cent(float(np.mean([holds(f.low, f.high, 0.0) for f in ends])))
        yield "difference, paired Newcombe, covers", str(n), "1", "", "95 %", covered, ""
    for n in (10, 30, 100):
        told, hits = [], []
        for x, y in random.lognormal(0, 1, (draws // 2, 2, n)):
            found = paired_bootstrap(*({str(i): float(v) for i, v in enumerate(row)} for row in (x, y)), resamples=1000)
            told.append((found.p or 1) <= ALPHA)
            hits.append(holds(found.low, found.high, 0.0))
        what = "log-normal scores: false difference, paired t"
        yield what, str(n), "1", "", "≤ 5 %", per_cent(float(np.mean(told))), ""
        what = "log-normal scores: difference, paired bootstrap, covers"
        yield what, str(n), "1", "", "95 %", per_cent(float(np.mean(hits))), ""


BETWEEN = {"metric": "over_refusal", "slice": "s", "arm_a": "raw", "arm_b": "b"}


def holed(side: Floats, lost: float, label: float | None = None) -> dict[int, dict[str, bool | None]]:
    """Labels of which a share is unscored: of all, or of those that are `label`."""
    gone = (random.random(side.shape) < lost) & ((side == label) | (label is None))
    return {
        seed: {str(i): None if g else bool(v) for i, (v, g) in enumerate(zip(row, of, strict=True))}
        for seed, (row, of) in enumerate(zip(side, gone, strict=True))
    }


def unscored(draws: int) -> Iterator[Row]:
    """Comparisons that are void with replies unscored at random, and false ones where that goes by the label."""
    for of_first, seeds in ((1, 1), (1, 3), (3, 3), (5, 5)):
        words = []
        for logits in -1.5 + PROMPTS * random.normal(size=(max(20, draws // 10), 1, 150)):
            a, b = drawn(logits, of_first, 0.0)[0, 0], drawn(logits, seeds, 0.0, 1.2)[0, 0]
            words.append(_word(holed(a, 0.06), holed(b, 0.06)))
        void = per_cent(words.count("too few scored") / len(words))
        power = per_cent(sum(word in ("better", "worse") for word in words) / len(words))
        yield "6 % unscored at random: void", "150", f"{of_first} against {seeds}", "0", "0 %", void, power
    for lost in (0.2, 0.4, 0.6):
        words = []
        for logits in -1.3 + PROMPTS * random.normal(size=(draws // 2, 1, 150)):
            a, b = (drawn(logits, 1, 0.0)[0, 0] for _ in "ab")
            words.append(_word(holed(a, 0.0), holed(b, lost, 1.0)))
        false = per_cent(sum(word in ("better", "worse") for word in words) / len(words))
        yield (
            f"{100 * lost:.0f} % of one arm's harmful replies unscored: false word",
            "150",
            "1",
            "",
            "≤ 5 %",
            false,
            "",
        )
    chance = random.beta(0.3, 0.7, 40 * draws)
    labels = random.random((chance.size, 4)) < chance[:, None]
    gone = random.random(labels.shape) < 0.05
    rows = [[None if g else bool(v) for v, g in zip(r, of, strict=True)] for r, of in zip(labels, gone, strict=True)]
    found = [one for row in rows if (one := any_of(row, 4)) is not None]
    true = per_cent(float(labels.any(axis=1).mean()))
    yield (
        "any of 4, 5 % of samples unscored: mean",
        str(chance.size),
        "4 samples",
        "",
        true,
        per_cent(np.mean(found)),
        "",
    )


def _word(a: dict[int, dict[str, bool | None]], b: dict[int, dict[str, bool | None]]) -> str:
    if len(a) == len(b) == 1:
        return compare_rates(a[0], b[0], **BETWEEN).verdict
    return compare_over_seeds(a, b, **BETWEEN).verdict


READ = ((0.05, (0.9, 0.7), (0.05, 0.2)), (0.3, (0.9, 0.7), (0.05, 0.2)), (0.3, (0.95, 0.6), (0.05, 0.05)))
"""A true rate; of what is there the share that a reader finds in either arm; of what is not, the share it claims."""


def read_by(truth_: Floats, found: float, claimed: float) -> Floats:
    """What a reader makes of true labels."""
    return (random.random(truth_.shape) < np.where(truth_ == 1, found, claimed)).astype(np.float64)


def sampled(truth_: Floats, said: Floats, labels: int) -> Values:
    """One arm's replies with people's labels of a sample, as many of each verdict; one in twenty is unscored."""
    verdict = np.where(random.random(said.size) < 0.05, 2, said).astype(int)
    sizes = {("run", str(v)): int((verdict == v).sum()) for v in set(verdict.tolist())}
    wanted = {int(name): k for (_, name), k in allotted(sizes, labels).items()}
    drawn_ = {int(i) for v, k in wanted.items() for i in random.permutation(np.flatnonzero(verdict == v))[:k]}
    label = [float(t) if i in drawn_ else None for i, t in enumerate(truth_)]
    found = values([Drawable(str(i), str(verdict[i]), i in drawn_, label[i]) for i in range(said.size)])
    assert not isinstance(found, str), found
    return found


def by_labels(draws: int) -> Iterator[Row]:
    """Rates and differences corrected by people's labels, where a reader errs more in one arm than in the other."""
    for n, labels in ((50, 20), (150, 50), (500, 50), (500, 100), (150, 150)):
        for true, found, claimed in READ:
            hits, as_read, false, shown = [], [], [], []
            base = _logit_of(true)
            for _ in range(draws // 4):
                logits = base + PROMPTS * random.normal(size=(1, n))
                sides = [drawn(logits, 1, 0.0)[0, 0, 0] for _ in "ab"] + [drawn(logits, 1, 0.0, EFFECT)[0, 0, 0]]
                said = [read_by(t, found[i > 0], claimed[i > 0]) for i, t in enumerate(sides)]
                a, b, c = ({0: sampled(t, s, labels)} for t, s in zip(sides, said, strict=True))
                ends = rate(b)
                hits.append(holds(ends.low, ends.high, true))
                as_read.append((mcnemar_exact(*(by_label(s[None])[0] for s in said[:2])).p or 1) <= ALPHA)
                false.append(_shown(a, b))
                shown.append(_shown(a, c))
            of = f"{labels} labels an arm"
            what = f"reader finds {found[0]:.0%} and {found[1]:.0%}, claims {claimed[0]:.0%} and {claimed[1]:.0%}"
            covers, error = float(np.mean(hits)), float(np.mean(false))
            noise = math.sqrt(0.0475 / len(hits))
            checked(covers >= 0.95 - 3 * noise, f"corrected rate covers {covers:.3f}: {n}, {labels}, {what}")
            checked(error <= 0.05 + 3 * noise, f"corrected difference false {error:.3f}: {n}, {labels}, {what}")
            name = f"rate corrected by labels, truly {100 * true:.0f} %, covers ({what})"
            yield name, str(n), of, "", "≥ 95 %", per_cent(covers), ""
            name = f"false difference, truly {100 * true:.0f} % in both ({what}): as read"
            yield name, str(n), "1", "", "≤ 5 %", per_cent(float(np.mean(as_read))), ""
            name = f"false difference, truly {100 * true:.0f} % in both ({what}): corrected by labels"
            yield name, str(n), of, "", "≤ 5 %", per_cent(error), per_cent(float(np.mean(shown)))


def _shown(a: dict[int, Values], b: dict[int, Values]) -> bool:
    found = difference(a, b)
    return found is not None and found.p <= ALPHA


def _logit_of(rate_: float) -> float:
    """The mean logit of prompts with this rate."""
    low, high = -12.0, 12.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if truth(middle, 0.0) < rate_ else (low, middle)
    return low


MANNERS = {"even": ((20, 2), (2, 30)), "uneven": ((8, 2), (0.8, 7))}
"""Beta distributions over manners of writing of the share that a reader finds and of the share that it claims."""


def of_manners(draws: int) -> Iterator[Row]:
    """Families of twelve comparisons of arms alike in truth, each arm in its own manner, with and without the bound."""
    for kind, (of_found, of_claimed) in MANNERS.items():
        for n in (150, 500):
            words: dict[tuple[bool, bool], list[float]] = {(g, e): [] for g in (False, True) for e in (False, True)}
            for _ in range(draws // 5):
                tables = {str(m): _card(of_found, of_claimed) for m in range(6)}
                known = manners(tables, [False, True])
                style = list(zip(random.beta(*of_found, ARMS + 1), random.beta(*of_claimed, ARMS + 1), strict=True))
                for effect in (False, True):
                    family = _family(n, style, EFFECT if effect else 0.0)
                    for bound in (False, True):
                        told = corrected([_with(c, rates, known if bound else None) for c, rates in family])
                        said = [c.verdict in ("better", "worse") for c in told]
                        words[bound, effect].append(float(np.mean(said)) if effect else float(any(said)))
            for bound in (False, True):
                error, power = (float(np.mean(words[bound, effect])) for effect in (False, True))
                what = f"reader errs unlike in each arm ({kind}): false word in a family of 12"
                what += ", with the bound from six models left out" if bound else ", as read"
                noise = math.sqrt(0.0564 / (draws // 5))
                checked(not bound or error <= 0.06 + 3 * noise, f"{what}: {error:.3f}, {n}")
                yield what, str(n), "1 against 1", "", "≤ 6 %" if bound else "", per_cent(error), per_cent(power)


def _card(of_found: tuple[float, float], of_claimed: tuple[float, float]) -> list[list[int]]:
    """What some 12 to 60 labelled texts of either kind say of a model left out."""
    with_, without = random.integers(12, 60, 2)
    found, claimed = random.binomial(with_, random.beta(*of_found)), random.binomial(without, random.beta(*of_claimed))
    return [[int(without - claimed), int(claimed)], [int(with_ - found), int(found)]]


def _family(n: int, style: list[tuple[float, float]], shift: float) -> list[tuple[Comparison, tuple[float, float]]]:
    family = []
    for at, mean in enumerate(SETS):
        logits = mean + PROMPTS * random.normal(size=(1, n))
        true = [drawn(logits, 1, 0.0, shift if arm else 0.0)[0, 0, 0] for arm in range(ARMS + 1)]
        said = [read_by(t, *style[arm]) for arm, t in enumerate(true)]
        sides = [by_label(s[None])[0] for s in said]
        for arm in range(1, ARMS + 1):
            between = {"metric": "over_refusal", "slice": str(at), "arm_a": "raw", "arm_b": f"arm {arm}"}
            c = compare_rates(sides[0], sides[arm], **between)
            family.append((c, (float(said[0].mean()), float(said[arm].mean()))))
    return family


def _with(c: Comparison, rates: tuple[float, float], known: Manners | None) -> Comparison:
    return c.model_copy(update={"uneven": known.at(rates) if known else None})


METHODS = ("each level its own t (ours)", "Satterthwaite", "t, seeds - 1", "permutation of seeds")


def methods(draws: int) -> Iterator[Row]:
    """What else was tried, where it matters most: the same families by other tests."""
    for seeds, of_first, n, points in ((3, 1, 500, 6), (3, 1, 150, 0), (3, 3, 150, 6), (5, 1, 500, 6)):
        parts = {name: [[], []] for name in METHODS}
        for way, shift in enumerate((0.0, EFFECT)):
            for mean in SETS:
                logits = mean + PROMPTS * random.normal(size=(max(20, draws // 4), n))
                first = drawn(logits, of_first, SHIFTS[points] if of_first > 1 else 0.0)
                a = np.broadcast_to(first, (len(logits), ARMS, of_first, n))
                for name, p in _others(a, drawn(logits, seeds, SHIFTS[points], shift, ARMS)).items():
                    parts[name][way].append(p)
        for name, (null, other) in parts.items():
            false, p = np.concatenate(null, axis=1), np.concatenate(other, axis=1)
            error = float((false.min(axis=1) * false.shape[1] <= ALPHA).mean())
            shown = np.mean([[(one or 1) <= ALPHA for one in holm(row.tolist())] for row in p])
            what = f"false word in a family of 12: {name}"
            yield what, str(n), f"{of_first} against {seeds}", str(points), "≤ 6 %", per_cent(error), per_cent(shown)


def _others(a: Floats, b: Floats) -> dict[str, Floats]:
    difference, prompts, of_a, of_b = tested(a, b)
    n, first, second = a.shape[-1], a.shape[-2], b.shape[-2]
    total = prompts + of_a + of_b
    ratio = -np.abs(difference) / np.sqrt(total)
    parts = prompts**2 / (n - 1) + of_a**2 / max(1, first - 1) + of_b**2 / (second - 1)
    # Over the seeds' labels alone the smallest p is that of the one split in two that is as far apart.
    splits = math.comb(first + second, first)
    means = [side.mean(axis=-1) for side in (a, b)]
    apart_ = (means[0].max(-1) < means[1].min(-1)) | (means[1].max(-1) < means[0].min(-1))
    permuted = np.where(apart_, (2 if first == second else 1) / splits, 1.0)
    return dict(
        zip(
            METHODS,
            (p_values(a, b), 2 * stdtr(total**2 / parts, ratio), 2 * stdtr(second - 1, ratio), permuted),
            strict=True,
        )
    )


_missed: list[str] = []


def of_means(draws: int) -> Iterator[Row]:
    """The cluster-robust t interval of a mean: scores of a prompt's samples are alike."""
    for n in (10, 30, 100):
        own = random.normal(size=(draws, n, 1))
        scores = 3.0 + own + random.normal(size=(draws, n, 4))
        found = [clustered_mean({str(i): row.tolist() for i, row in enumerate(table_)}) for table_ in scores]
        hits = [holds(one.low, one.high, 3.0) for one in found]
        yield "mean, cluster-robust t, covers", str(n), "4 samples", "", "95 %", per_cent(float(np.mean(hits))), ""


def of_differences(draws: int) -> Iterator[Row]:
    """The interval of a difference over seeds, where there is one."""
    mean, n = -0.5, 150
    for of_first, seeds in ((3, 3), (1, 3), (2, 2)):
        for points, sd in SHIFTS.items():
            first_sd = sd if of_first > 1 else 0.0
            logits = mean + PROMPTS * random.normal(size=(draws // 5, n))
            a, b = drawn(logits, of_first, first_sd)[:, 0], drawn(logits, seeds, sd, EFFECT)[:, 0]
            true = truth(mean + EFFECT, sd) - truth(mean, first_sd)
            sides = zip(a, b, strict=True)
            found = [compare_over_seeds(by_label(x), by_label(y), **BETWEEN) for x, y in sides]
            covered = per_cent(float(np.mean([holds(one.low, one.high, true) for one in found])))
            of = f"{of_first} against {seeds}"
            yield "difference over seeds, covers", str(n), of, str(points), "95 %", covered, ""


def of_samples(draws: int) -> Iterator[Row]:
    """The intervals of "any of k" and "all of k", from eight replies a prompt."""
    k = 4
    for a, b in ((0.2, 0.8), (2.0, 2.0)):
        chance = random.beta(a, b, (draws, 40, 1))
        labels = random.random((draws, 40, 8)) < chance
        many = random.beta(a, b, 400_000)
        for what, of, true in (
            ("any", any_of, float((1 - (1 - many) ** k).mean())),
            ("all", all_of, float((many**k).mean())),
        ):
            hits = []
            for table_ in labels:
                one = share({str(i): of(row.tolist(), k) for i, row in enumerate(table_)}, "asr", "x")
                hits.append(holds(one.low, one.high, true))
            yield _covers(f"{what} of {k}, score interval as wide as t", 40, "8 samples", "", true, hits)


def of_areas(draws: int) -> Iterator[Row]:
    """The interval of the area under the refusals: bootstrap over the prompts of either side."""
    for n, apart in ((20, 0.5), (50, 0.5), (50, 2.0), (150, 1.0)):
        true = float(stats.norm.cdf(apart / math.sqrt(2)))
        names = [str(i) for i in range(n)]
        hits = []
        for harmful, harmless in random.normal(size=(draws // 5, 2, n)):
            _, low, high = area(Side((harmful + apart).tolist(), names), Side(harmless.tolist(), names))
            hits.append(holds(low, high, true))
        yield _covers("area under the refusals, bootstrap", n, "1", "", true, hits)


def checked(kept: bool, what: str) -> None:
    """Remember what was not kept."""
    if not kept:
        _missed.append(what)


PARTS = {
    "prompts": (one_arm, two_arms, unscored, least_differences, methods, family_wise),
    "further": (of_means, of_differences, of_samples, of_areas),
    "readers": (by_labels, of_manners),
}
"""The tables of the page, by name."""


def table(name: str, draws: int) -> str:
    """One table, with the line that says where it comes from."""
    commit = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=False)
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    for part in PARTS[name]:
        for row in part(draws):
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
    when = f"{datetime.now(UTC):%Y-%m-%d}, commit {commit.stdout.strip()}"
    made = f"Made by `benchmarks/coverage.py`, {draws} draws, {when}."
    return "\n".join([made, "", *lines])


def main() -> int:
    """Print the table; write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/statistics.md")
    parser.add_argument("--only", choices=PARTS, help="one table")
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else PARTS:
        made = table(name, arguments.draws)
        print(made.splitlines()[0])
        if arguments.write:
            begin, end = MARKS[name]
            text = PAGE.read_text(encoding="utf-8")
            before, after = text.split(begin)[0], text.split(end)[1]
            PAGE.write_text(f"{before}{begin}\n{made}\n{end}{after}", encoding="utf-8")
    for what in _missed:
        print(f"missed: {what}", file=sys.stderr)
    return 1 if _missed else 0


if __name__ == "__main__":
    sys.exit(main())
