"""Maths grading: 5,000 pairs, 50 of them pathological, on two worker processes, in under 60 s and with no hang.

Run: `python benchmarks/maths.py`. Prints one line with date, machine and commit. The ordinary pairs are made up, half
of them right, in the proportions of MATH-500 (six in ten whole numbers, the rest fractions, radicals, intervals, sets,
equations, matrices ...), each expression new, so that no cache helps. It fails if any ordinary pair is graded wrong.
"""

from __future__ import annotations

import platform
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

from unwaver.judging.graders.maths import MathsGrader

LIMIT_S = 60.0
PAIRS, PATHOLOGICAL = 5000, 50

Triple = tuple[str, str, str]
"""A right spelling, the target, a wrong answer."""


_MATRIX, _END = r"\begin{pmatrix}", r"\end{pmatrix}"
MAKERS: list[tuple[int, Callable[[int, int], Triple]]] = [
    (62, lambda n, m: (f"{n:,}", f"{n}", f"{n * 10}")),
    (10, lambda n, m: (rf"\frac{{{2 * n}}}{{{2 * m + 1}}}", rf"\dfrac{{{4 * n}}}{{{4 * m + 2}}}", f"{n}/{m}")),
    (5, lambda n, m: (rf"{n}\sqrt{{{m}}}", rf"\sqrt{{{n * n * m}}}", rf"{n}\sqrt{{{m + 1}}}")),
    (4, lambda n, m: (rf"({n}+x)({m}-x)", f"{n * m}+{m - n}x-x^2", f"{n * m}+{m - n}x+x^2")),
    (3, lambda n, m: (rf"[{n}, \infty)", rf"\left[{n},\infty\right)", rf"({n}, \infty)")),
    (3, lambda n, m: (f"{m}, {n}, x+{n}", f"{n}, {n}+x, {m}", f"{m}, {n}, x+{m}")),
    (3, lambda n, m: (rf"({n}, 2\pi - \pi)", rf"({n},\pi)", rf"(\pi, {n})")),
    (3, lambda n, m: (f"y = {n}x + {m}", f"y={m}+{n}x", f"y = {n}x - {m}")),
    (2, lambda n, m: (rf"{n} \pm \sqrt{{{m}}}", rf"{n}+\sqrt{{{m}}}, {n}-\sqrt{{{m}}}", rf"{n} \pm \sqrt{{{m + 2}}}")),
    (2, lambda n, m: (rf"\frac{{{n}\pi}}{{{m}}}", rf"{n}\pi/{m}", rf"\frac{{\pi}}{{{n * m}}}")),
    (2, lambda n, m: (rf"{n}^\circ", str(n), rf"{n + 1}^\circ")),
    (1, lambda n, m: (rf"{_MATRIX}{n}\\{m}{_END}", rf"{_MATRIX} {n} \\ {m} {_END}", f"({n}, {m})")),
]

_RADICALS = "".join(rf"\sqrt{{2+{'' if n else '2'}" for n in range(30, -1, -1)) + "}" * 31
_TOWERS = [rf"{n}^{{{n}^{{{n}^{{{n}}}}}}}" for n in range(5, 10)]
HARD: list[tuple[str, str]] = [
    *((tower, "7") for tower in _TOWERS),
    *((rf"2^{{{10**n}}}-3^{{{10**n}}}", "7") for n in range(5, 10)),
    *((rf"\left({10**n}\right)!", "1") for n in range(4, 9)),
    *((rf"(x+{n})^{{100000}}", "x^{100000}+1") for n in range(1, 6)),
    *((rf"\sqrt[{n}]{{{_RADICALS}}}", "2") for n in range(2, 7)),
    *((rf"\sin(\cos(\sin(\cos({n}^{{100}}))))", "1") for n in range(2, 7)),
    *((rf"{_MATRIX}2&3\\5&{n}{_END}^{{100000}}", rf"{_MATRIX}1&0\\0&1{_END}") for n in range(5)),
    *((rf"e^{{e^{{e^{{e^{{{n}}}}}}}}}", "3") for n in range(10, 13)),
    *((rf"\binom{{{n}000000}}{{500000}}", "12") for n in range(1, 5)),
    *((rf"\sum_{{k=1}}^{{10^{{{n}}}}}\frac{{1}}{{k^2}}", r"\frac{\pi^2}{6}") for n in range(8, 10)),
    *((rf"\prod_{{k=1}}^{{10^{{{n}}}}}(1+\frac{{1}}{{k^2}})", "3") for n in range(7, 9)),
    *((rf"\int_0^{n} e^{{-x^2}}\sin(x^3)\ln(1+x) dx", r"\frac12") for n in range(1, 3)),
    *((rf"\tan(x^3+x)+\log(x)={n}", r"\sqrt{x^5+x+1}=\sin x") for n in range(5, 7)),
]  # fmt: skip


def pairs(seed: int = 42) -> list[tuple[str, str, str | None]]:
    """`(answer text, target, expected label)`; None is expected of nothing in particular."""
    rng = random.Random(seed)
    weights, makers = zip(*MAKERS, strict=True)
    made: list[tuple[str, str, str | None]] = [(rf"\boxed{{{a}}}", t, None) for a, t in HARD[:PATHOLOGICAL]]
    for place in range(PAIRS - PATHOLOGICAL):
        right, target, wrong = rng.choices(makers, weights)[0](rng.randint(10, 10**6), rng.randint(2, 10**4))
        answer, label = (right, "correct") if place % 2 else (wrong, "incorrect")
        made.append((rf"After some work, \[\boxed{{{answer}}}\]", target, label))
    rng.shuffle(made)
    return made


def machine() -> str:
    """The processor's name, or what the platform calls it."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else platform.processor()


def main() -> None:
    made = pairs()
    hard = [place for place, (_, _, label) in enumerate(made) if label is None]
    with MathsGrader(workers=2) as grader:
        begun = time.perf_counter()
        grades = grader.grade([(text, target) for text, target, _ in made])
        seconds = time.perf_counter() - begun
    wrong = [(m, g) for m, g in zip(made, grades, strict=True) if m[2] is not None and g.label != m[2]]
    outcomes = Counter("timed out" if "within" in grades[place].reason else grades[place].label for place in hard)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(
        f"{date.today()} | {machine()} | {commit.stdout.strip()} | {len(made)} pairs, {len(hard)} pathological "
        f"({', '.join(f'{n} {name}' for name, n in outcomes.items())}) | {seconds:.1f} s | {len(wrong)} graded wrong"
    )
    assert len(made) == PAIRS
    assert len(hard) == PATHOLOGICAL
    assert not wrong, wrong[:5]
    assert seconds < LIMIT_S


if __name__ == "__main__":
    main()
