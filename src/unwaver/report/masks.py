"""Which texts of a trace are masked until a reader asks for them."""

from __future__ import annotations

from unwaver.judging.questions import GUARD, HARM_OF_ANSWER, HARM_OF_REASONING
from unwaver.study.rows import Row

MASK_PROMPT, MASK_REASONING, MASK_ANSWER = 1, 2, 4


def masks(row: Row) -> int:
    """Which texts of a trace are masked, as a sum of the `MASK_` numbers."""
    if row.trace.prompt.kind != "harmful":
        return 0
    whole = row.label(GUARD)
    mask = MASK_PROMPT
    if "safe" not in (row.label(HARM_OF_REASONING), whole) and row.trace.reasoning:
        mask |= MASK_REASONING
    if "safe" not in (row.label(HARM_OF_ANSWER), whole) and row.trace.answer:
        mask |= MASK_ANSWER
    return mask
