"""A reasoning sentence by sentence: what each does, and whether it talks the model into going on.

Cuts reasonings into numbered sentences, and carries a reading of them into a verdict and back. Guarantees: every
character of a sentence is where it says; a reading names every sentence exactly once. Who reads: a judge through the
rubric `anatomy`, or the cue words (`judging.local.cue_words`). The three segments are those of the case study in arXiv
2505.15404; `other` is ours, for a judge that is not to guess. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Literal

from unwaver.records import Verdict

Segment = Literal["problem_analysis", "policy_check", "response_formulation"]
SEGMENTS: tuple[Segment, ...] = ("problem_analysis", "policy_check", "response_formulation")

OTHER = "other"
"""What a sentence does that does none of these."""

SELF_JAILBREAK = "self_jailbreak"
"""A sentence that talks the model into going on (arXiv 2510.20956), whatever its segment."""

NAMES = (*SEGMENTS, OTHER, SELF_JAILBREAK)
"""All that a label can hold, in its order."""

_TWO_LETTERS = re.compile(r"[^\W\d_].*?[^\W\d_]", re.DOTALL)
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+[\"'”’)\]*]*|\n|$)")


@lru_cache(maxsize=4)
def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """Where sentences stand, without the white space round them; a piece without two letters joins the one before.

    Kept for the texts just seen, as whoever takes a reasoning apart asks several times.
    """
    found: list[tuple[int, int]] = []
    for match in _SENTENCE.finditer(text):
        piece = match.group()
        start = match.start() + len(piece) - len(piece.lstrip())
        end = match.start() + len(piece.rstrip())
        if start >= end:
            continue
        if found and not _TWO_LETTERS.search(piece, 0, 40):
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(found)


def numbered(text: str) -> str:
    """A text as a judge is shown it: a line for each sentence, behind its number in square brackets.

    A sentence's own line breaks become spaces, so that no text can begin a line with a number of its own making.
    """
    lines = (" ".join(text[start:end].split()) for start, end in sentences(text))
    return "\n".join(f"[{number}] {line}" for number, line in enumerate(lines, 1))


@dataclass(frozen=True)
class Anatomy:
    """One reading of a reasoning."""

    segments: tuple[str, ...]
    """What each sentence does, in their order."""
    persuading: tuple[int, ...] = ()
    """The numbers, from 1, of self-jailbreak sentences."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names that occur, in the order of `NAMES`."""
        found = {*self.segments, *([SELF_JAILBREAK] if self.persuading else [])}
        return tuple(name for name in NAMES if name in found)

    @property
    def stretches(self) -> tuple[tuple[int, int, str], ...]:
        """Where each name occurs: first and last sentence, and what they do; `read_in` takes them back."""
        runs, first = [], 1
        for name, members in groupby(self.segments):
            last = first + len(list(members)) - 1
            runs.append((first, last, name))
            first = last + 1
        return (*runs, *((number, number, SELF_JAILBREAK) for number in self.persuading))

    def evidence(self, reasoning: str) -> str | None:
        """The first self-jailbreak sentence as it stands in the text; None where there is none."""
        if not self.persuading:
            return None
        start, end = sentences(reasoning)[self.persuading[0] - 1]
        return reasoning[start:end]


def assembled(runs: Iterable[tuple[int, int, str]], count: int) -> Anatomy | str:
    """The reading that runs of sentences (first, last, name) make of so many sentences, or the rule they break."""
    segments: list[str | None] = [None] * count
    persuading: set[int] = set()
    for first, last, name in runs:
        if not 1 <= first <= last <= count:
            return f"sentences are numbered from 1 to {count}; a number lies outside, or a run ends before it begins"
        for number in range(first, last + 1):
            if name == SELF_JAILBREAK:
                persuading.add(number)
            elif segments[number - 1] is not None:
                return f"sentence {number} is named twice"
            else:
                segments[number - 1] = name
    if None in segments:
        return f"sentence {segments.index(None) + 1} of {count} is in no run"
    return Anatomy(tuple(name for name in segments if name is not None), tuple(sorted(persuading)))


def read_in(verdict: Verdict) -> Anatomy | None:
    """The reading in a verdict through the rubric `anatomy`; None where it is unscored."""
    if verdict.labels is None:
        return None
    found = assembled(verdict.stretches, max((last for _, last, _ in verdict.stretches), default=0))
    return found if isinstance(found, Anatomy) else None
