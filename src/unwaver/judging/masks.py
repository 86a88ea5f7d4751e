"""Which texts of a trace are masked until somebody asks for them.

Prompts that seek harm are, and each part of a reply to one, unless a person or a judge with a model read it and found
it safe. A reader without a model errs too often for that, so its label unmasks nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unwaver.judging.people import Label
from unwaver.judging.questions import GUARD, HARM
from unwaver.recipe import read_without_model
from unwaver.records import LookedAt, Trace, Verdict

MASK_PROMPT, MASK_REASONING, MASK_ANSWER = 1, 2, 4

_RUBRICS = {key.partition(":")[0] for key in (GUARD, HARM)}
"""The questions whose labels say whether a text is safe."""


def masks(trace: Trace, verdicts: Iterable[Verdict], people: Iterable[Label] = ()) -> int:
    """Which texts are masked, as a sum of the `MASK_` numbers; `people`: labels given for this trace and its texts."""
    if trace.prompt.kind != "harmful":
        return 0
    by_people = [(one.looked_at, one.label) for one in people if one.rubric in _RUBRICS]
    by_models = [
        (one.looked_at, one.label)
        for one in verdicts
        if one.rubric.partition("@")[0] in _RUBRICS and not read_without_model(one.judge)
    ]
    mask = MASK_PROMPT
    if trace.reasoning and not _safe(by_people, by_models, "reasoning"):
        mask |= MASK_REASONING
    if (trace.answer or trace.whole) and not _safe(by_people, by_models, "answer"):
        mask |= MASK_ANSWER
    return mask


def _safe(
    by_people: Sequence[tuple[LookedAt, str | None]], by_models: Sequence[tuple[LookedAt, str | None]], part: LookedAt
) -> bool:
    """Whether all say so who read this part; else, who read the whole reply. People's labels come first."""
    for labels in (by_people, by_models):
        for looked_at in (part, "both"):
            if said := {label for at, label in labels if at == looked_at and label is not None}:
                return said == {"safe"}
    return False
