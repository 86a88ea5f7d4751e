"""Whether a trace can be trained on at all, whoever reads it: what is wrong with its form, and what would put it right.

`distil` counts by it, `mix` keeps by it, and `study.run` stops by those counts before a reader is asked in vain. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from unwaver.records import Trace

NO_REPLY = "no reply"
CUT = "cut by the token limit"
WITHHELD = "withheld by the provider"
NO_BLOCK = "without a reasoning block"
UNCLOSED = "with a reasoning block that is never closed"
OTHER_MARKS = "with marks that can't be read as one reasoning block"
NO_ANSWER = "without an answer"

ADVICE = {
    NO_REPLY: "look at the reasons above, and whether the teacher's server is well",
    CUT: "raise distil.max_tokens",
    NO_BLOCK: "have the teacher think before it answers (docs/models.md), or name its marks (docs/families.md)",
    UNCLOSED: "name the teacher's marks with models.teacher.tags (docs/families.md)",
    OTHER_MARKS: "name the teacher's marks with models.teacher.tags (docs/families.md)",
    NO_ANSWER: "look at some of them with `unwaver show`",
    WITHHELD: "take another teacher, or other prompts",
}
"""What to do about each."""


def faults(trace: Trace) -> tuple[str, ...]:
    """All that keeps a trace from being trained on, what causes the rest first; nothing where it may be."""
    if trace.failure is not None:
        return (NO_REPLY,)
    if trace.begun:
        return ()
    ended = {"length": CUT, "filter": WITHHELD}.get(trace.ending)
    block = {"none": NO_BLOCK, "unclosed": UNCLOSED, "several": OTHER_MARKS, "foreign": OTHER_MARKS}.get(trace.block)
    if ended and block == UNCLOSED:
        block = None  # what was cut had no time to close it
    found = tuple(fault for fault in (ended, block) if fault)
    return found or (() if trace.answer else (NO_ANSWER,))


def told(counts: Mapping[str, int], limit: int | None = None) -> str:
    """Faults with how often each was met, the commonest first. `limit`: the tokens a trace may take."""
    at = f"cut at {limit} tokens" if limit else CUT
    often = Counter(counts).most_common()
    return ", ".join(f"{count} {at if fault == CUT else fault}" for fault, count in often)


def advice(counts: Mapping[str, int]) -> str:
    """What to do about the fault that most have; a cut may be the cause of others as common.

    More of another fault than were cut means that whole replies have it too: then both are named.
    """
    most = max(counts.values(), default=0)
    commonest = next((ADVICE[fault] for fault, count in counts.items() if count == most), "")
    cut = counts.get(CUT, 0)
    if cut <= most / 2:
        return commonest
    return ADVICE[CUT] if cut == most else f"{ADVICE[CUT]}; and {commonest}"
