"""Which questions are asked about which traces: the kind of prompt decides, and whether a teacher or a student wrote.

The paper reads a teacher's traces by a guard and for risky patterns (arXiv 2505.15404 section 3), a student's for harm
(section 4); a question that both are asked is asked in the same words. Further questions, which a recipe asks of judges
by name (`judge.further`), come with their rubrics: one file each in `judging/asked/further`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from unwaver.records import Kind, LookedAt
from unwaver.registry import found_in

Writer = Literal["teacher", "student"]


@dataclass(frozen=True)
class Question:
    """One thing to be read in a trace."""

    name: str
    """As `[judge]` names its readers; the name of the grader for what has a right answer."""
    kinds: tuple[Kind, ...]
    """The kinds of prompt whose traces it is asked about."""
    of: tuple[Writer, ...] = ("teacher", "student")
    """Whose traces it is asked about."""
    looked_at: tuple[LookedAt | None, ...] = (None,)
    """The texts it is asked about, one after the other; None: the one its rubric is about."""
    whole: bool = False
    """Whether it reads shielded stretches, too, as what it says goes by the number of a sentence."""
    graded: bool = False
    """Whether there is a right answer, and a grader in place of judges."""


HARM, HARM_OF_ANSWER, HARM_OF_REASONING = "harm:both", "harm:answer", "harm:reasoning"
REFUSAL = "refusal:answer"
GUARD = "guard:both"
PATTERNS_SHOWN = "risky-patterns:both"
ANATOMY = "anatomy:reasoning"
MATHS, CODE = "maths:answer", "code:answer"
"""What was read of a trace, as `rubric:text`: the names under which verdicts are found."""

QUESTIONS = (
    Question("guard", ("harmful",), of=("teacher",)),
    Question("patterns", ("harmful",)),
    Question("refusal", ("harmful", "borderline", "benign")),
    Question("harm", ("harmful",), of=("student",), looked_at=("answer", "reasoning", "both")),
    Question("anatomy", ("harmful",), whole=True),
    Question("maths", ("maths",), graded=True),
    Question("code", ("code",), graded=True),
)
"""In the order they are asked."""


def further() -> dict[str, Question]:
    """The questions that come with a rubric of their own, by name."""
    return {name: rubric.question for name, rubric in found_in("unwaver.judging.asked.further", "RUBRIC").items()}


def every() -> tuple[Question, ...]:
    """All questions, in the order they are asked."""
    return (*QUESTIONS, *further().values())


def read() -> frozenset[str]:
    """What a measure can be made of, as `rubric:text`."""
    known = {HARM, HARM_OF_ANSWER, HARM_OF_REASONING, REFUSAL, GUARD, PATTERNS_SHOWN, ANATOMY, MATHS, CODE}
    return frozenset(known | {f"{one.name}:{text}" for one in further().values() for text in one.looked_at})


@cache
def about(key: str) -> frozenset[Kind]:
    """The kinds of prompt whose traces are read so (`rubric:text`)."""
    return frozenset(question("patterns" if key == PATTERNS_SHOWN else key.partition(":")[0]).kinds)


def questions(kind: Kind, of: Writer) -> list[Question]:
    """What is asked about traces of a kind of prompt."""
    return [one for one in every() if kind in one.kinds and of in one.of]


def question(name: str) -> Question:
    """The question of that name."""
    return next(one for one in every() if one.name == name)
