"""SAFEPATH (arXiv 2505.14667): a few fixed words at the beginning of the reasoning on harmful prompts, and no more.

The loss is on these words alone: not on the mark before them, and there is no closing mark, no answer and no end token
behind them, so how the student goes on is left to it. Mix harmless prompts in with whole traces, as the paper does with
a set of reasoning. Nobody is asked, and nobody reads words that are ours: no filter applies.
Where we differ: the words are ours. Two replications found it near the untrained model (arXiv 2601.23143, LoRA; arXiv
2510.21285, in part), so `check` and `distil` say so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from unwaver.dialogue import Dialogue
from unwaver.records import Record, Trace
from unwaver.teaching.method import Lesson, Method, unmade
from unwaver.teaching.none import FIXED_TEXT

PRIMER = "Before anything else: could this hurt somebody?"
"""Our words for the paper's eight tokens."""


class PrimerSettings(Record):
    """What is learnt."""

    words: str = Field(PRIMER, min_length=1, max_length=200, pattern=r"\S")
    """The beginning of every reasoning on a harmful prompt."""


class Primer(Method):
    """A beginning."""

    name = "primer"
    title = "no teacher: a few fixed words begin the reasoning, and nothing else is learnt (SAFEPATH, not replicated)"
    roles, calls = {}, {}
    Settings = PrimerSettings
    begun = True
    warning = (
        "`primer` was not replicated: two groups found it near the untrained model (docs/methods.md#primer); "
        "compare it with another method before you rely on it"
    )

    def identity(self, file: Path | None = None) -> dict[str, Any]:
        """With its words."""
        return {**super().identity(file), "wordings": [PRIMER]}

    def teach(self, lesson: Lesson) -> Dialogue[Trace]:
        """Ask nobody."""
        yield from ()
        begun = Trace(
            prompt=lesson.prompt,
            model=FIXED_TEXT,
            reasoning=str(getattr(lesson.settings, "words", PRIMER)).strip(),
            block="unclosed",
            ending="stop",
            begun=True,
        )
        return begun if lesson.prompt.kind == "harmful" else unmade(begun, "a primer is for harmful prompts alone")


METHOD = Primer()
