"""The study's recipes that are one call to a teacher under an instruction (docs/instructions.md).

`default` tells nothing. `realsafe` and `improved` are put before the prompt in the user's turn; `short` and `template`
are system turns. Each text can be replaced by a file of your own.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from unwaver.dialogue import Call, Dialogue
from unwaver.keys import text_to_send
from unwaver.records import Message, Trace
from unwaver.teaching.method import TEACHER, Lesson, Method, Position


class Instructed(Method):
    """A teacher's reply under one instruction."""

    worded = True

    def __init__(self, name: str, title: str, position: Position | None) -> None:
        self.name, self.title, self.position = name, title, position

    def wording(self, file: Path | None = None) -> str:
        """What the teacher is told, "" for nothing; `file` replaces the shipped text. RecipeError where it can't."""
        if file is not None:
            return text_to_send(file, "an instruction").strip()
        if self.position is None:
            return ""
        return resources.files(__package__).joinpath(f"{self.name}.md").read_text(encoding="utf-8").strip()

    def identity(self, file: Path | None = None) -> dict[str, Any]:
        """With its wording."""
        return {**super().identity(file), "wording": self.wording(file)}

    def messages(self, prompt: str, file: Path | None = None, position: Position | None = None) -> tuple[Message, ...]:
        """What the teacher is sent. The student never sees more than `prompt`."""
        told = self.wording(file)
        if not told:
            return (Message(role="user", content=prompt),)
        if (position or self.position or "user") == "system":
            return (Message(role="system", content=told), Message(role="user", content=prompt))
        return (Message(role="user", content=f"{told}\n\n{prompt}"),)

    def teach(self, lesson: Lesson) -> Dialogue[Trace]:
        """Ask once."""
        *before, last = self.messages(lesson.prompt.text, lesson.file, lesson.position)
        request = lesson.request(*before, *lesson.prompt.turns, last)
        return lesson.heard(TEACHER, request, (yield Call(TEACHER, request)))


METHOD = (
    Instructed("default", "the teacher is asked the bare prompt", None),
    Instructed("realsafe", "the teacher is told to look for risk and to refuse where it is plain", "user"),
    Instructed("improved", "as realsafe, and not to waver, add detail or answer otherwise than it reasoned", "user"),
    Instructed("short", "a chat model thinks briefly and then answers", "system"),
    Instructed("template", "a chat model walks through eight categories of harm", "system"),
)
