"""Overlap of 100,000 synthetic traces with 2,000 evaluation texts: seconds and peak memory.

Claim: under 2 minutes and 2 GB on two cores. The traces are drawn from the words of the evaluation texts, so that no
word can be passed over, and every hundredth holds an evaluation text, all of which must be found. Half of both sides
share one of twenty long templates, the hardest case there is.

    python benchmarks/mix_overlap.py [--traces 100000] [--evaluation 2000] [--words 500]
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import time
from collections.abc import Iterator

import numpy as np

from unwaver.sources import overlap

VOCABULARY = 20_000
TEMPLATES = 20
TEMPLATE_WORDS = 120


def texts(seed: int, count: int, length: int, templates: list[str]) -> Iterator[str]:
    """Texts of about `length` words, common words common; every second one in a template."""
    random = np.random.default_rng(seed)
    for number in range(count):
        drawn = np.minimum(random.zipf(1.3, max(9, int(random.normal(length, length / 4)))), VOCABULARY)
        text = " ".join(f"w{word}" for word in drawn.tolist())
        yield f"{templates[number % len(templates)]} {text}" if number % 2 else text


def main() -> None:
    """Measure and print one line of figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--evaluation", type=int, default=2_000)
    parser.add_argument("--words", type=int, default=500)
    args = parser.parse_args()
    random = np.random.default_rng(0)
    templates = [
        " ".join(f"w{word}" for word in random.integers(1, VOCABULARY, TEMPLATE_WORDS).tolist())
        for _ in range(TEMPLATES)
    ]
    evaluation = [(str(n), text) for n, text in enumerate(texts(1, args.evaluation, 40, templates))]

    spent = 0.0

    def training() -> Iterator[tuple[str, str]]:
        nonlocal spent
        made = enumerate(texts(2, args.traces, args.words, templates))
        while True:
            began = time.perf_counter()
            item = next(made, None)
            spent += time.perf_counter() - began
            if item is None:
                return
            number, text = item
            yield str(number), f"{text} {evaluation[number // 100 % len(evaluation)][1]}" if number % 100 == 0 else text

    began = time.perf_counter()
    found = overlap.find(training(), {"evaluation": evaluation}).sets["evaluation"]
    seconds = time.perf_counter() - began - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    planted = min(args.evaluation, (args.traces + 99) // 100)
    print(
        f"{time.strftime('%Y-%m-%d')} {platform.processor() or platform.machine()} python {platform.python_version()} "
        f"commit {commit.strip()}: {args.traces} traces of about {args.words} words against {args.evaluation} texts: "
        f"{seconds:.1f} s, peak {peak:.2f} GB; {found.exact} exact of {planted} planted, {found.ngram} by templates"
    )


if __name__ == "__main__":
    main()
