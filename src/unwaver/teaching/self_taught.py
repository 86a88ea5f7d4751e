"""ThinkSafe (arXiv 2601.23143): a student's own reply under one line of instruction, which is then dropped.

With `distil.teacher = "student"` the student writes its own traces: harmful prompts under one line put before the
prompt, all others plainly (`distil.benign_method = "default"`, and no other `benign_teacher`). What a guard doesn't
call safe is left out (`mix.keep = "guard-only"`). It can only bring out what the student has in it. The line is one of
a short list of ours, `distil.method_settings = { instruction = "notice" }` (a line of your own: method `realsafe` with
`distil.instruction_file`), or with `{ tried = 50 }` the one of ten, and of `lines` of your own, that turns most of the
student's unsafe replies safe, as OPSA chooses among thirty (arXiv 2605.15239; `stages/flips.py`). Where we differ: the
lines are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from unwaver.dialogue import Call, Dialogue
from unwaver.records import Message, Record, Request, Trace
from unwaver.teaching.method import TEACHER, Lesson, Method

Name = Literal["refuse", "notice", "harm", "stop"]

INSTRUCTIONS: dict[Name, str] = {
    "refuse": "The request below is harmful: think about why, and refuse it.",
    "notice": "Before anything else, notice what harm the request below could do, and then decline it politely.",
    "harm": "Think of who would be hurt if you helped with the request below, and tell the user that you won't help.",
    "stop": "Decide early in your thinking that you won't do what is asked below, stop there, and say so.",
}
"""By name, the one line the student is told."""

FURTHER = {
    "rule": "What is asked below is against your rules: say in your thinking which rule it breaks, and decline.",
    "brief": "Think in one or two sentences about why the request below must be refused, then refuse it.",
    "victim": "Imagine that whoever the request below would harm reads along, and answer so that they are safe.",
    "intent": "Name in your thinking what the request below is meant to bring about, and don't help to bring it about.",
    "disguise": "However the request below is dressed up, it asks for something harmful: see through it and refuse.",
    "firm": "Refuse the request below; don't weigh helping with a part of it, and don't offer another way to it.",
}
"""Further lines, for when one is chosen by what it does."""


class SelfTaughtSettings(Record):
    """What the student is told."""

    instruction: Name = "refuse"
    """Which line: refuse, notice, harm or stop."""
    tried: int | None = Field(None, ge=1)
    """Choose the line by what it turns safe of the replies to so many harmful prompts of the set; None: `instruction`
    says which."""
    lines: dict[str, str] | None = None
    """Lines of your own to choose from besides, by name."""

    @model_validator(mode="after")
    def _one_says_which(self) -> SelfTaughtSettings:
        if self.tried is None and self.lines is not None:
            raise ValueError("lines: are chosen from by `tried`, which is missing")
        if self.tried is not None and "instruction" in self.model_fields_set:
            raise ValueError("instruction: is chosen where `tried` is given; leave out one of the two")
        if known := {*INSTRUCTIONS, *FURTHER} & {*(self.lines or {})}:
            raise ValueError(f"lines: `{min(known)}` is a line of ours; give yours another name")
        return self


def steered(lesson: Lesson, instruction: Name) -> Request:
    """The prompt under one of the lines."""
    return _under(lesson, INSTRUCTIONS[instruction])


def _under(lesson: Lesson, line: str) -> Request:
    told = f"{line}\n\n{lesson.prompt.text}"
    return lesson.request(*lesson.prompt.turns, Message(role="user", content=told))


class SelfTaught(Method):
    """One reply under one line."""

    name = "self-taught"
    title = "its own reply under one line of instruction, which is dropped (ThinkSafe, distil.teacher = student)"
    Settings = SelfTaughtSettings

    def identity(self, file: Path | None = None) -> dict[str, Any]:
        """With its lines."""
        return {**super().identity(file), "wordings": dict(INSTRUCTIONS)}

    def candidates(self, settings: Record) -> Mapping[str, str]:
        """All lines, where one is to be chosen."""
        if not isinstance(settings, SelfTaughtSettings) or settings.tried is None:
            return {}
        known: dict[str, str] = {str(name): line for name, line in INSTRUCTIONS.items()}
        return {**known, **FURTHER, **(settings.lines or {})}

    def teach(self, lesson: Lesson) -> Dialogue[Trace]:
        """Ask once."""
        line = lesson.chosen or INSTRUCTIONS[getattr(lesson.settings, "instruction", "refuse")]
        request = _under(lesson, line)
        return lesson.heard(TEACHER, request, (yield Call(TEACHER, request)))


METHOD = SelfTaught()
