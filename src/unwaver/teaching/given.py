"""Somebody's own traces: a prompt set's file holds a reply to each prompt, and that is the trace. Nobody is asked.

For sets that are published as they are, and for mixing some safety rows into somebody's reasoning set or the other way
round: `distil.methods = { theirs = "given" }`. What it says is judged and filtered like any other part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unwaver import reasoning
from unwaver.dialogue import Dialogue
from unwaver.records import Trace
from unwaver.teaching.method import Lesson, Method, unmade

GIVEN = "given"


class Given(Method):
    """What the file says."""

    name, title = GIVEN, "somebody's own traces, from the prompt set's own file (distil.methods)"
    roles, calls = {}, {}

    def identity(self, file: Path | None = None) -> dict[str, Any]:
        """With how replies are read."""
        return {**super().identity(file), "reading": reasoning.identity()}

    def teach(self, lesson: Lesson) -> Dialogue[Trace]:
        """Ask nobody."""
        yield from ()
        if lesson.given is not None:
            return lesson.given.model_copy(update={"prompt": lesson.prompt, "sample": 0})
        nothing = Trace(prompt=lesson.prompt, model="a file", ending="error", failure="-")
        return unmade(nothing, "the prompt set's file holds no reply to this prompt")


METHOD = Given()
