"""How long the main table's statistics take; `coverage.py` says whether they keep their word.

    python benchmarks/bootstrap.py

Reads nothing, prints Markdown. The time is that of 40 arms, 3 seeds each, on the paper's evaluation sets.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from unwaver.study.compare import compare_means, compare_over_seeds, compare_rates, corrected
from unwaver.study.comparison import Comparison
from unwaver.study.stats import rate_over_seeds

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
    timed["estimates over prompts and seeds"] = time.perf_counter() - start
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


def main() -> None:
    """Print the tables."""
    machine = platform.processor() or platform.machine()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    python = platform.python_version()
    load = f"load {os.getloadavg()[0]:.0f}"
    print(f"{datetime.now(UTC):%Y-%m-%d} {commit.stdout.strip()}, {machine}, Python {python}, {load}\n")
    speed()


if __name__ == "__main__":
    main()
