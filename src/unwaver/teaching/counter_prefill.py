"""RECAP (arXiv 2510.00938) as fine-tuning: a reasoning that begins wrongly, shielded, and the recovery from it.

Another model, `models.counter`, replies to the bare prompt, and the first words of its reasoning open the teacher's
(`distil.teacher = "student"`: the student's own recovery). For harmful prompts that is a model that gives in; used as
`distil.benign_method`, an over-cautious one. The teacher goes on, on harmful prompts under one line (as in
`self-taught`), and only what it adds is learnt. Where we differ: the paper trains by reinforcement, not on recoveries.
One `models.counter` errs in one direction, so use the method for harmful prompts or for harmless ones. Keep with
`guard-only`: readers see what is learnt.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field

from unwaver.dialogue import Call, Dialogue
from unwaver.records import Record, Trace
from unwaver.teaching.guardrail import original, why_useless
from unwaver.teaching.method import TEACHER, Lesson, Method, unmade
from unwaver.teaching.self_taught import INSTRUCTIONS, steered

COUNTER = "counter"


class CounterSettings(Record):
    """How much of the wrong beginning there is."""

    words: int = Field(200, ge=1)
    """Words of the other model's reasoning."""
    masked: bool = True
    """Whether they are context only. False: they are trained on, for an ablation."""


class CounterPrefill(Method):
    """A wrong beginning and the recovery."""

    name = "counter-prefill"
    title = "recovery from another model's wrong beginning, which is shielded (after RECAP)"
    roles = {TEACHER: TEACHER, COUNTER: COUNTER}
    calls = {TEACHER: 1, COUNTER: 1}
    Settings = CounterSettings

    def identity(self, file: Path | None = None) -> dict[str, Any]:
        """With its line."""
        return {**super().identity(file), "wordings": [INSTRUCTIONS["notice"]]}

    def teach(self, lesson: Lesson) -> Dialogue[Trace]:
        """Begin by one model, go on by another."""
        settings = lesson.settings
        wrong = yield from original(lesson, COUNTER)
        begun = beginning(wrong.reasoning or "", getattr(settings, "words", 200))
        if not begun:
            return unmade(wrong, wrong.failure or "the other model's reply has no reasoning to begin with")
        request = steered(lesson, "notice") if lesson.prompt.kind == "harmful" else lesson.bare()
        request = request.model_copy(update={"prefill": lesson.open(TEACHER, begun)})
        after = lesson.heard(TEACHER, request, (yield Call(TEACHER, request)))
        if why := why_useless(after):
            return unmade(after, why)
        reasoning = after.reasoning or ""
        if not reasoning.startswith(begun) or not reasoning[len(begun) :].strip():
            return unmade(after, "the teacher did not go on from the beginning it was given")
        shielded = ((0, len(begun)),) if getattr(settings, "masked", True) else ()
        # What was counted was the continuation alone.
        return after.model_copy(update={"shielded": shielded, "tokens_out": None, "tokens_reasoning": None})


def beginning(text: str, words: int) -> str:
    """The first words of a text, with the blanks between them."""
    ends = [word.end() for word, _ in zip(re.finditer(r"\S+", text), range(words), strict=False)]
    return text[: ends[-1]].strip() if ends else ""


METHOD = CounterPrefill()
