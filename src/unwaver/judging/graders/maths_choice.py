"""Multiple choice: which letter an answer names.

A prompt of kind `maths` says that it is a choice by its `target`: a single capital letter (`E`, `(E)`), or, where the
choices are to be told from each other by their values too, JSON:

    {"kind": "choice", "answer": "E", "choices": ["10", "11", "12", "13", "14"]}

Guarantees: a letter that is written decides, whatever is written behind it; only where none is, a value counts. Pure.
"""

from __future__ import annotations

import json
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from unwaver.judging.graders.maths_answer import BOXED, LOOKED_BACK, answers

_LETTERS = "ABCDEFGHIJ"
_PRINT = re.compile(
    r"\\(?:text|math)(?:bf|rm|it|sf|tt)?\s*(?=\{)|\\(?:[ ,;:!]|q?quad(?![a-zA-Z])|left|right)|[{}$*_`~]"
)
_ALONE = re.compile(r"[(\[]?\s*([A-J])\s*[)\]]?[.:]?", re.IGNORECASE)
_FIRST = re.compile(
    r"(?:option|choice|answer)?\s*(?:[(\[]\s*([A-J])\s*[)\]]|([A-J])\s*(?:[).:]|--?|\u2013)\s)\s*\S.*", re.DOTALL
)
_GAP = r"(?:[\s~:.]|\\[ ,;:!]|\\q?quad(?![a-zA-Z]))"
_LABEL = re.compile(
    rf"\s*(?:\\(?:text|math)(?:bf|rm|it|sf|tt)?\s*\{{\s*(?:[(\[]\s*[A-J]\s*[)\]]|[A-J]\s*[).:])\s*\}}{_GAP}*"
    rf"|(?:[(\[]\s*[A-J]\s*[)\]]|[A-J]\s*[).:]){_GAP}+)(?=\S)"
)
"""A letter and its brackets or stop, in front of what it stands for; a bare letter may be a factor."""
_NAMED = re.compile(
    r"[(\[]([A-J])[)\]]|^\W*([A-J])\W*$|\*\*\W*([A-J])\b|\b(?:option|choice)(?:\s+is)?:?\s+([A-J])\b", re.MULTILINE
)
_LETTER = r"[(\[*]{0,3}\b([A-J])\b[)\]*]{0,3}"
_ENDS = r"(?=\s*(?:[.!;,:)\n]|$|[-\u2013\u2014]|because\b|since\b|as\b))"
_CONCLUDED = re.compile(
    rf"(?i:\b(?:therefore|thus|hence|so|then|must be|should be|would be|is|it'?s|choose|chose|pick|select|take|go with"
    rf"|answer|choice|option|pick)\b[\s,:=]*"
    rf"(?:(?:it'?s|is|it is|it must be|must be|the|answer|option|choice|with)\b[\s,:=]*)*)"
    rf"{_LETTER}{_ENDS}|{_LETTER}\s+(?i:is|must be)\s+(?i:(?:the|my)\s+)?(?i:correct|right|best|true|answer|only)\b"
    rf"|{_LETTER}\s+(?i:it\s+(?:is|must be|has to be|shall be|will be)){_ENDS}"
)
"""What a reply concludes: `Therefore C.`, `So it's E`, `C is right`, `C it is`; an article ends no clause."""
_DOUBTED = re.compile(
    r"(?:\b(?:not|never|cannot|maybe|perhaps|possibly|might|could|may)|n['\u2019]t)(?:\s+(?:it|that|be|the|answer|is))*\s*\Z"
    r"|\b(?:nor|neither)\s+\Z",
    re.IGNORECASE,
)
"""What stands before a conclusion that is none."""
_OPENED = re.compile(r"\W*([A-J])(?:\s*(?:[:.,)]|--?|[\u2013\u2014])\s|\s+(?:because|since|as|is correct|is right)\b)")
"""How a reply begins that names its letter first: `E: because ...`."""


class ChoiceTarget(BaseModel):
    """A target that is one of several."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["choice"] = "choice"
    answer: str = Field(pattern=f"^[{_LETTERS}]$")
    choices: tuple[str, ...] = ()
    """What the letters stand for, from A on; empty: not known."""

    @model_validator(mode="after")
    def _is_one_of_them(self) -> ChoiceTarget:
        if self.choices and _LETTERS.index(self.answer) >= len(self.choices):
            raise ValueError(f"no choice {self.answer}: there are {len(self.choices)}")
        return self

    @property
    def value(self) -> str | None:
        """What the right letter stands for."""
        return self.choices[_LETTERS.index(self.answer)] if self.choices else None


def declared(target: str) -> ChoiceTarget | str | None:
    """The choice that a target declares as JSON, or why it can't be read; None where the target declares none."""
    try:
        fields = json.loads(target) if target.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or fields.get("kind") != "choice":
        return None
    try:
        return ChoiceTarget.model_validate(fields)
    except ValidationError as error:
        return f"the prompt's choices can't be read: {error.errors()[0]['msg']}"


def letter_of(text: str) -> str | None:
    r"""The letter that a final answer or a target names (`E`, `(e)`, `\text{E}`, `(E) 12`, `E: twelve`), or None."""
    plain = " ".join(_PRINT.sub(" ", text).split()).removesuffix(".")
    found = _ALONE.fullmatch(plain) or _FIRST.fullmatch(plain)
    return next(group for group in found.groups() if group).upper() if found else None


def behind_letter(text: str) -> str | None:
    r"""What stands behind the letter of a choice (`12` of `(E) 12`, `\textbf{(E)}\ 12`, `E: 12`), or None."""
    label = _LABEL.match(text)
    return text[label.end() :] if label else None


def letter_in(text: str) -> str | None:
    """The letter that a whole reply names as its answer: where its final answer stands, what it concludes, what it
    begins with, else the last named at all. Beside a box without a letter nothing else counts."""
    found = answers(text)
    if letter := next((letter for reading in found if (letter := letter_of(reading.text))), None):
        return letter
    if any(reading.where == BOXED for reading in found):
        return None
    opened = _OPENED.match(text)
    concluded = [
        letters.groups()
        for letters in _CONCLUDED.finditer(text)
        if not _DOUBTED.search(text[max(0, letters.start() - LOOKED_BACK) : letters.start()])
    ]
    for named in (concluded, [opened.groups()] if opened else [], _NAMED.findall(text)):
        if named:
            return next(letter for letter in named[-1] if letter)
    return None
