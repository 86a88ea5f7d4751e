"""Is the final answer of a maths problem the right one? A rule reader (arXiv 2505.15404 section 4: MATH-500, AIME).

Reads the answer only, which begins after the closing tag: a boxed guess inside a thought is no answer. Labels are
`correct` and `incorrect`. An unanswered problem is incorrect, as in every published accuracy, and its reason says what
was missing; unscored is a call that failed, a target that can't be read, or a comparison that could not be settled.
The paper's grader reads a box anywhere in the output and lets 5 pass for 500; see docs/grading.md for all differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from types import TracebackType
from typing import Any, Literal

from unwaver.judging.graders.maths_answer import BOXED, Answer, answers, final_answer
from unwaver.judging.graders.maths_choice import behind_letter, declared, letter_in, letter_of
from unwaver.judging.graders.maths_equality import same
from unwaver.judging.graders.maths_pool import Pool, Settled
from unwaver.judging.unanswered import VERSION as UNANSWERED
from unwaver.judging.unanswered import unanswered
from unwaver.records import LookedAt, Trace, Verdict, digest, single

QUESTION = "Is the final answer of the reply equal to the reference answer?"
Label = Literal["correct", "incorrect"]

VERSION = 9
"""Raised whenever any reply is graded differently; tests/test_identity.py notices."""

TIMEOUT_S = 3.0
"""Seconds of a processor one comparison may take: the paper's grader's."""


@dataclass(frozen=True)
class Grade:
    """The reading of one answer."""

    label: Label | None
    """None: unscored."""
    reason: str
    found: str = ""
    """The final answer as it stands in the text; "" where there was none."""


def identity(timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """What decides these gradings: enters the names of runs and the name of the judge."""
    return {
        "name": "maths",
        "version": VERSION,
        "math-verify": version("math-verify"),
        "timeout_s": timeout_s,
        "unanswered": UNANSWERED,
    }


class MathsGrader:
    """Grades maths answers; a context manager, because the algebra runs in processes of its own.

    `workers` is how many of them; `timeout_s` the seconds of a processor that one comparison may take before its worker
    is killed and the comparison unscored (3, as in the paper's grader; the ordinary ones take milliseconds). No process
    starts before a comparison needs algebra, which plain numbers never do.
    """

    looked_at: LookedAt = "answer"

    def __init__(self, workers: int = 2, timeout_s: float = TIMEOUT_S) -> None:
        self.rubric = f"maths@{digest(QUESTION, size=8)}"
        self._timeout_s = timeout_s
        self.judge = f"rules@{digest(self.identity(), size=8)}"
        self._pool = Pool(workers, timeout_s)

    def identity(self) -> dict[str, Any]:
        """What decides these gradings, the time they may take included."""
        return identity(self._timeout_s)

    def __enter__(self) -> MathsGrader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes; a grade that needs one starts them again."""
        self._pool.close()

    def grade(self, pairs: Sequence[tuple[str | None, str]]) -> list[Grade]:
        """Grade `(answer text, target)` pairs, in order. The text is a whole answer; None or blank is incorrect."""
        asked = [_asked(text or "", target) for text, target in pairs]
        settled: dict[tuple[str, str], Settled] = {}
        for pair in dict.fromkeys(pair for one in asked for pair in one.pairs):
            settled[pair] = (same(*pair, lambda a, t: None), "")
        undecided = [one.pairs for one in asked if not any(settled[pair][0] for pair in one.pairs)]
        owed = {pair: None for pairs_of_one in undecided for pair in pairs_of_one if settled[pair][0] is None}
        settled.update(zip(owed, self._pool.settle(list(owed)), strict=True))
        return [one.known or _grade(one, settled) for one in asked]

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
            labels=single(grade.label),
            quote=grade.found or None,
            reason=grade.reason,
        )


@dataclass(frozen=True)
class _Asked:
    """What there is to compare in one answer."""

    readings: tuple[Answer, ...]
    target: str
    known: Grade | None = None
    """Where nothing needs comparing."""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(reading.text, self.target) for reading in self.readings]


def _asked(text: str, target: str) -> _Asked:
    readings, choice = tuple(answers(text)), declared(target)
    if isinstance(choice, str):
        return _Asked((), target, Grade(None, choice))
    if choice is not None and (letter := letter_in(text)):
        label: Label = "correct" if letter == choice.answer else "incorrect"
        return _Asked((), target, Grade(label, f"the letter {letter}", letter))
    if choice is not None:
        return _Asked(readings, choice.value) if choice.value is not None else _Asked((), target)
    target = _target(target)
    wanted, named = letter_of(target), letter_in(text)
    if wanted is None or wanted not in target:
        return _Asked((*readings, *_unlabelled(readings)), target)
    if wanted == named:
        return _Asked((), target, Grade("correct", f"the letter {wanted}", wanted))
    return _Asked(readings, target if named else behind_letter(target) or target)


def _unlabelled(readings: tuple[Answer, ...]) -> Iterator[Answer]:
    """What readings say behind the letter of a choice, for a target that is no letter."""
    for reading in readings:
        if value := behind_letter(reading.text):
            yield reading._replace(text=value)


def _target(target: str) -> str:
    """The reference without the box or the `####` some sources leave round it; several boxes in a row are a list."""
    found = answers(target) if r"\boxed" in target or "####" in target else None
    return found[-1].text if found else target


def _without_comparing(trace: Trace) -> Grade | None:
    """The grade of a trace whose answer need not be compared."""
    missing = unanswered(trace)
    if missing is not None:
        return Grade("incorrect" if missing.counts else None, missing.reason)
    assert trace.answer is not None
    if trace.truncated and (final_answer(trace.answer) or ("", ""))[1] != BOXED:
        return Grade("incorrect", "no answer: the token limit cut it before a box")
    return None


def _grade(asked: _Asked, settled: dict[tuple[str, str], Settled]) -> Grade:
    if not asked.readings:
        return Grade("incorrect", "no answer: neither a box, nor a stated answer, nor a number")
    results = [settled[pair] for pair in asked.pairs]
    for reading, (result, _) in zip(asked.readings, results, strict=True):
        if result:
            return Grade("correct", reading.where, reading.quote)
    for reading, (result, why) in zip(asked.readings, results, strict=True):
        if result is None:
            return Grade(None, f"not settled: {why}", reading.quote)
    return Grade("incorrect", asked.readings[0].where, asked.readings[0].quote)
