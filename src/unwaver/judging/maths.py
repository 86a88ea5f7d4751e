"""Is the final answer of a maths problem the right one? A rule reader (arXiv 2505.15404 section 4: MATH-500, AIME).

Reads the answer only, which begins after the closing tag: a boxed guess inside a thought is no answer. Labels are
`correct` and `incorrect`. An unanswered problem is incorrect, as in every published accuracy, and its reason says what
was missing; unscored is a call that failed, a target that can't be read, or a comparison that could not be settled.
The paper's grader reads a box anywhere in the output and lets 5 pass for 500; see docs/grading.md for all differences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Literal

from unwaver.judging.maths_equality import same
from unwaver.judging.maths_pool import Pool, Settled
from unwaver.judging.unanswered import unanswered
from unwaver.records import LookedAt, Trace, Verdict, digest

QUESTION = "Is the final answer of the reply equal to the reference answer?"
Label = Literal["correct", "incorrect"]

_RULES = ("maths.py", "maths_text.py", "maths_equality.py", "maths_worker.py", "unanswered.py")
_BOX = re.compile(r"\\f?boxed\s*")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_STATED = re.compile(r"####|\b(?:final\s+)?answer\s*(?:is|:|=)[\s:*]*", re.IGNORECASE)
_MATHS = re.compile(r"\$\$?([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?")


@dataclass(frozen=True)
class Grade:
    """The reading of one answer."""

    label: Label | None
    """None: unscored."""
    reason: str
    found: str = ""
    """The final answer as it stands in the text; "" where there was none."""


def final_answer(text: str) -> tuple[str, str] | None:
    """The final answer as it stands in `text`, and where it was found; None where there is none.

    The last complete box; where there is no box at all, what follows the last "answer is" or "####" on its line; else
    the last number. The last two are lenient, and the second part of the result says so.
    """
    starts = [found.end() for found in _BOX.finditer(text)]
    closings = _closings(text) if starts else {}
    for start in reversed(starts):
        box = _boxed(text, start, closings)
        if box is not None:
            return box, "boxed"
    stated = list(_STATED.finditer(text))
    if stated:
        line = text[stated[-1].end() :].lstrip().split("\n")[0]
        maths = _MATHS.match(line)
        sentence = maths.group() if maths else re.split(r"[.!?](?:\s|$)", line)[0].strip(" *.")
        if sentence:
            return sentence, "no box; taken from what is stated as the answer"
    numbers = _NUMBER.findall(text)
    return (numbers[-1], "no box; taken from the last number") if numbers else None


def _boxed(text: str, start: int, closings: dict[int, int]) -> str | None:
    """What the box that begins at `start` holds; None where it is never closed."""
    if not text.startswith("{", start):
        bare = re.compile(r"[^\s$.,]+").match(text, start)
        return bare.group() if bare else None
    return text[start + 1 : closings[start]].strip() if start in closings else None


def _closings(text: str) -> dict[int, int]:
    """Where each opened brace is closed, in one pass: a model that repeats itself may open thousands of boxes."""
    closings: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACES.finditer(text):
        if brace.group() == "{":
            opened.append(brace.start())
        elif brace.group() == "}" and opened:
            closings[opened.pop()] = brace.start()
    return closings


class MathsGrader:
    """Grades maths answers; a context manager, because the algebra runs in processes of its own.

    `workers` is how many of them; `timeout_s` the seconds of a processor that one comparison may take before its worker
    is killed and the comparison unscored (3, as in the paper's grader; the ordinary ones take milliseconds). No process
    starts before a comparison needs algebra, which plain numbers never do.
    """

    looked_at: LookedAt = "answer"

    def __init__(self, workers: int = 2, timeout_s: float = 3.0) -> None:
        self.rubric = f"maths@{digest(QUESTION, size=8)}"
        rules = [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in _RULES]
        self.judge = f"rules@{digest([*rules, version('math-verify'), timeout_s], size=8)}"
        self._pool = Pool(workers, timeout_s)

    def __enter__(self) -> MathsGrader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes; a grade that needs one starts them again."""
        self._pool.close()

    def grade(self, pairs: Sequence[tuple[str | None, str]]) -> list[Grade]:
        """Grade `(answer text, target)` pairs, in order. The text is a whole answer; None or blank is incorrect."""
        found = [final_answer(text) if text else None for text, _ in pairs]
        results: list[Settled] = []
        owed: dict[tuple[str, str], list[int]] = {}
        targets = [_target(target) for _, target in pairs]
        for place, (answer, target) in enumerate(zip(found, targets, strict=True)):
            settled = same(answer[0], target, lambda a, t: None) if answer else False
            results.append((settled, ""))
            if settled is None and answer:
                owed.setdefault((answer[0], target), []).append(place)
        for result, places in zip(self._pool.settle(list(owed)), owed.values(), strict=True):
            for place in places:
                results[place] = result
        return [_grade(answer, result) for answer, result in zip(found, results, strict=True)]

    def verdict(self, trace: Trace) -> Verdict:
        """The reading of one trace; its prompt's `target` is the reference answer."""
        return self.verdicts([trace])[0]

    def verdicts(self, traces: Sequence[Trace]) -> list[Verdict]:
        """The readings of many traces, in order; the worker processes share them."""
        early = [_without_comparing(trace) for trace in traces]
        pairs = [(t.answer, t.prompt.target or "") for t, grade in zip(traces, early, strict=True) if grade is None]
        graded = iter(self.grade(pairs))
        return [self._verdict(t, grade or next(graded)) for t, grade in zip(traces, early, strict=True)]

    def _verdict(self, trace: Trace, grade: Grade) -> Verdict:
        return Verdict(
            trace=trace.id,
            rubric=self.rubric,
            judge=self.judge,
            looked_at=self.looked_at,
            label=grade.label,
            quote=grade.found or None,
            reason=grade.reason,
        )


def _target(target: str) -> str:
    """The reference without the box or the `####` some sources leave round it."""
    found = final_answer(target) if r"\boxed" in target or "####" in target else None
    return found[0] if found else target


def _without_comparing(trace: Trace) -> Grade | None:
    """The grade of a trace whose answer need not be compared."""
    missing = unanswered(trace)
    if missing is not None:
        return Grade("incorrect" if missing.counts else None, missing.reason)
    assert trace.answer is not None
    if trace.truncated and (final_answer(trace.answer) or ("", ""))[1] != "boxed":
        return Grade("incorrect", "no answer: the token limit cut it before a box")
    return None


def _grade(answer: tuple[str, str] | None, settled: Settled) -> Grade:
    if answer is None:
        return Grade("incorrect", "no answer: neither a box, nor a stated answer, nor a number")
    if settled[0] is None:
        return Grade(None, f"not settled: {settled[1]}", answer[0])
    return Grade("correct" if settled[0] else "incorrect", answer[1], answer[0])
