"""The study's recipe without a teacher: an empty reasoning and the same sentence for every harmful prompt."""

from __future__ import annotations

from unwaver.dialogue import Dialogue
from unwaver.records import Trace
from unwaver.teaching.method import Lesson, Method

FIXED_REFUSAL = "I'm sorry, but I can't help with that."
"""The whole answer."""

FIXED_TEXT = "fixed text"
"""What stands for the model that wrote it."""


class Fixed(Method):
    """A text of ours."""

    name, title = "none", "no teacher: an empty reasoning and one fixed refusal"
    roles, calls = {}, {}

    def teach(self, lesson: Lesson) -> Dialogue[Trace]:
        """Ask nobody."""
        yield from ()
        return Trace(
            prompt=lesson.prompt, model=FIXED_TEXT, reasoning="", answer=FIXED_REFUSAL, block="closed", ending="stop"
        )


METHOD = Fixed()
