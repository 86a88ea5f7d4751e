"""How long the main table's statistics take, and whether its intervals and tests keep their word.

    python benchmarks/bootstrap.py            # the time alone, some seconds
    python benchmarks/bootstrap.py --coverage # and the figures of docs/statistics.md, some minutes on one core

Reads nothing, prints Markdown. The time is that of 40 arms, 3 seeds each, on the paper's evaluation sets.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from unwaver.intervals import wilson
from unwaver.study.compare import Comparison, compare_means, compare_over_seeds, compare_rates, corrected
from unwaver.study.paired import mcnemar_exact, paired_bootstrap, paired_over_seeds, risk_difference
from unwaver.study.stats import ALPHA, clustered_rate, rate_over_seeds

SETS = {"none": 50, "pap": 50, "pair": 50, "xstest": 150, "math500": 500, "aime2024": 30, "livecodebench": 166}
"""Prompts of the paper's evaluation (section 4)."""
ARMS = 40
SEEDS = 3
METRICS = {"none": "asr", "pap": "asr", "pair": "asr", "xstest": "over_refusal"}

Grid = NDArray[np.bool_]


def row(*cells: object) -> None:
    """A row of a Markdown table; a share as a percentage."""
    print("|", " | ".join(f"{cell:.1%}" if isinstance(cell, float) else str(cell) for cell in cells), "|")


def head(*names: str) -> None:
    """The first two lines of a Markdown table."""
    print()
    row(*names)
    row(*["---"] * len(names))


def table(grid: Grid) -> dict[int, dict[str, bool]]:
    """A seeds x prompts grid as labels by seed and prompt id."""
    return {seed: {f"{i}": bool(v) for i, v in enumerate(labels)} for seed, labels in enumerate(grid)}


def speed() -> None:
    """The main table: an estimate a cell, and every arm against the first, by all three ways of comparing."""
    random = np.random.default_rng(0)
    sizes = SETS.items()
    arms = [{name: table(random.random((SEEDS, n)) < 0.1 + 0.01 * arm) for name, n in sizes} for arm in range(ARMS)]
    timed = {}
    start, processor = time.perf_counter(), time.process_time()
    for arm, cells in enumerate(arms):
        for name in SETS:
            rate_over_seeds(cells[name], METRICS.get(name, "accuracy"), str(arm), name)
    timed["estimates, hierarchical bootstrap"] = time.perf_counter() - start
    ways: dict[str, Callable[..., Comparison]] = {
        "comparisons over seeds": compare_over_seeds,
        "comparisons of one seed, McNemar and Newcombe": lambda a, b, **of: compare_rates(a[0], b[0], **of),
        "comparisons of one seed, paired bootstrap": lambda a, b, **of: compare_means(a[0], b[0], **of),
    }
    for way, compare in ways.items():
        start = time.perf_counter()
        for name in SETS:
            of = {"metric": METRICS.get(name, "accuracy"), "slice": name, "arm_a": "0"}
            corrected([compare(arms[0][name], cells[name], arm_b=f"{i}", **of) for i, cells in enumerate(arms[1:], 1)])
        timed[way] = time.perf_counter() - start
    print(f"{ARMS} arms x {SEEDS} seeds x {len(SETS)} sets ({sum(SETS.values())} prompts), 10,000 resamples")
    head("what", "how many", "seconds")
    for what, seconds in timed.items():
        row(what, (ARMS if "estimates" in what else ARMS - 1) * len(SETS), f"{seconds:.2f}")
    row("all", "", f"{sum(timed.values()):.2f}")
    print(f"\n{time.process_time() - processor:.2f} s of processor")


@dataclass(frozen=True)
class World:
    """Where labels come from: a probit of a base, what the prompt adds (sd `prompt`) and what the seed adds."""

    base: float
    prompt: float = 0.7
    seed: float = 0.0

    def rate(self, shift: float = 0.0) -> float:
        """The true rate over all prompts and seeds."""
        return float(norm.cdf((self.base + shift) / np.sqrt(1 + self.prompt**2 + self.seed**2)))

    def draw(self, random: np.random.Generator, seeds: int, n: int, shifts: tuple[float, ...] = (0.0,)) -> list[Grid]:
        """One seeds x prompts grid of labels for each arm; the arms share the prompts."""
        prompts = random.normal(0, self.prompt, n)
        lines = [self.base + s + prompts[None] + random.normal(0, self.seed, (seeds, 1)) for s in shifts]
        return [random.random((seeds, n)) < norm.cdf(line) for line in lines]

    def points(self) -> str:
        """Standard deviation of the seeds' rates, in points."""
        lines = self.base + np.random.default_rng(0).normal(0, self.seed, 4000)
        return f"{100 * np.std(norm.cdf(lines / np.sqrt(1 + self.prompt**2))):.0f}"


def covers(low: float | None, high: float | None, truth: float) -> bool:
    """Whether an interval holds the truth; one that was not made claims nothing."""
    return low is None or high is None or low <= truth <= high


def one_arm(draws: int) -> None:
    """Coverage of 95 % intervals of one arm's rate."""
    random = np.random.default_rng(1)
    head("interval", "prompts", "samples or seeds", "rate", "seeds' sd in points", "covers")
    for rate in (0.04, 0.12, 0.5):
        found = [wilson(int(k), 50) for k in random.binomial(50, rate, draws)]
        row("Wilson", 50, "1", f"{rate:.0%}", "", float(np.mean([covers(f.low, f.high, rate) for f in found])))
    for world in (World(-0.5, 1.0), World(0.0, 2.0), World(-1.5, 1.0)):
        hits = []
        for _ in range(draws):
            (grid,) = world.draw(random, 4, 30)
            interval = clustered_rate({f"{i}": column.tolist() for i, column in enumerate(grid.T)})
            hits.append(covers(interval.low, interval.high, world.rate()))
        row("clustered Wilson", 30, "4 samples", f"{world.rate():.0%}", "", float(np.mean(hits)))
    small = [(3, 50, World(-1.5)), (3, 50, World(-1.5, seed=0.3)), (3, 50, World(0.0, seed=0.1))]
    for seeds, n, world in [*small, (3, 500, World(-0.5, seed=0.3)), (5, 500, World(0.0, seed=0.2))]:
        hits = []
        for _ in range(draws // 2):
            estimate = rate_over_seeds(table(world.draw(random, seeds, n)[0]), "asr", "x")
            hits.append(covers(estimate.low, estimate.high, world.rate()))
        rate = f"{world.rate():.0%}"
        row("hierarchical bootstrap", n, f"{seeds} seeds", rate, world.points(), float(np.mean(hits)))


def two_arms(draws: int) -> None:
    """How often arms that don't differ are told apart at 0.05, and how often arms that do."""
    random = np.random.default_rng(2)
    head("test and interval", "prompts", "seeds", "seeds' sd in points", "rates", "told apart", "covers")
    labels = [(50, World(-1.5), 0.0), (50, World(0.0), 0.0), (150, World(-1.0), 0.0), (50, World(-1.5), 1.2)]
    for n, world, shift in [*labels, (150, World(-1.0), 0.5)]:
        told, hits = [], []
        for _ in range(draws):
            a, b = (table(grid)[0] for grid in world.draw(random, 1, n, (0.0, shift)))
            found = risk_difference(a, b)
            told.append((mcnemar_exact(a, b).p or 0.0) <= ALPHA)
            hits.append(covers(found.low, found.high, world.rate(shift) - world.rate()))
        rates = f"{world.rate():.0%}, {world.rate(shift):.0%}"
        row("McNemar, Newcombe", n, 1, "", rates, float(np.mean(told)), float(np.mean(hits)))
    for n in (10, 30, 100):
        told, hits = [], []
        for _ in range(draws // 2):
            one, two = ({f"{i}": float(v) for i, v in enumerate(random.lognormal(0, 1, n))} for _arm in "ab")
            paired = paired_bootstrap(one, two, resamples=2000)
            told.append((paired.p or 0.0) <= ALPHA)
            hits.append(covers(paired.low, paired.high, 0.0))
        row("t, paired bootstrap", n, 1, "", "log-normal scores", float(np.mean(told)), float(np.mean(hits)))
    null = [(3, 50, World(-1.0), 0.0), (3, 50, World(-1.0, seed=0.2), 0.0), (3, 150, World(-1.5, seed=0.2), 0.0)]
    null += [(3, 500, World(0.0, seed=0.2), 0.0), (5, 150, World(-1.0, seed=0.1), 0.0)]
    for seeds, n, world, shift in [*null, (3, 50, World(-1.0, seed=0.1), 0.6), (3, 150, World(-1.0, seed=0.1), 0.4)]:
        told, hits = [], []
        for _ in range(draws):
            paired = paired_over_seeds(*map(table, world.draw(random, seeds, n, (0.0, shift))))
            told.append((1.0 if paired.p is None else paired.p) <= ALPHA)
            hits.append(covers(paired.low, paired.high, world.rate(shift) - world.rate()))
        rates = f"{world.rate():.0%}, {world.rate(shift):.0%}"
        row("over seeds", n, seeds, world.points(), rates, float(np.mean(told)), float(np.mean(hits)))


def main() -> None:
    """Print the tables."""
    machine = platform.processor() or platform.machine()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    python = platform.python_version()
    load = f"load {os.getloadavg()[0]:.0f}"
    print(f"{datetime.now(UTC):%Y-%m-%d} {commit.stdout.strip()}, {machine}, Python {python}, {load}\n")
    speed()
    if "--coverage" in sys.argv:
        one_arm(2000)
        two_arms(2000)


if __name__ == "__main__":
    main()
