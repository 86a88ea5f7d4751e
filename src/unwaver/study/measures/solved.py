"""Problems solved, in maths and in code (arXiv 2505.15404 section 4)."""

from __future__ import annotations

from unwaver.judging.questions import CODE, MATHS
from unwaver.study.measures.measure import Measure, labelled
from unwaver.study.rows import Row

_IN_MATHS, _IN_CODE = labelled(MATHS, "correct"), labelled(CODE, "passed")


def _solved(row: Row) -> bool | None:
    return _IN_MATHS(row) if row.trace.prompt.kind == "maths" else _IN_CODE(row)


MEASURE = Measure(
    name="accuracy",
    title="accuracy",
    kinds=("maths", "code"),
    reads=(MATHS, CODE),
    counts="a right final answer, or a program that passes every test",
    of=_solved,
    better="higher",
    several=("pass", "all_correct", True),
    table="main",
    source="arXiv 2505.15404, section 4: MATH-500, AIME, LiveCodeBench",
    caveat="a reply without an answer is wrong, as in every published accuracy",
)
