"""Bare results beside the text that led to them: in many files `answer` is the result alone, and no reply. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from unwaver.parts import thought
from unwaver.sources.files import Row

RESULT_LONGEST, RESULT_RATIO = 60, 4
"""An `answer` of at most so many characters, beside a text so many times as long, may be a bare result."""

RESULT = re.compile(r"(?:[^\W\d_](?![^\W\d_])|[^A-Za-z]|\\[A-Za-z]+)*")
"""What is surely one: numbers, single letters, formulas; no word."""

SOLUTIONS = frozenset(
    ("solution", "solutions", "generation", "generations", "explanation", "rationale", "attempt", "attempts", "steps",
     "prediction", "predictions", "generated", "generated_text", "generated_response", "output_text", "raw_output",
     "raw_response", "full_response", "model_output", "model_outputs", "model_response", "model_answer", "llm_output",
     "llm_response")
)  # fmt: skip
"""Columns of whole replies or solutions, beside which any short `answer` is one."""


def longer(row: Row, names: Mapping[str, tuple[str, ...]], answer: str | None) -> str | None:
    """The column of a text beside which an answer looks like a bare result; None where it is a reply."""
    known = {name for field, columns in names.items() if field != "response" for name in columns}
    if answer is None or len(answer) > RESULT_LONGEST or any(thought(row.get(name)) for name in names["reasoning"]):
        return None
    sure = RESULT.fullmatch(answer) is not None
    texts = {
        name: length(value)
        for name, value in row.items()
        if str(name).lower() in SOLUTIONS or (sure and str(name).lower() not in {*known, "answer"})
    }
    longest = max(texts, key=lambda name: texts[name], default=None)
    return longest if longest is not None and texts[longest] >= RESULT_RATIO * max(len(answer), 1) else None


def length(value: Any) -> int:
    """Characters of a column's text, or of the first of its texts."""
    value = value[0] if isinstance(value, list) and value else value
    return len(value) if isinstance(value, str) and " " in value.strip() else 0
