"""One trace with all that was read in it: what measures are taken of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from unwaver.attacks import rewords
from unwaver.records import Trace, Verdict

Readings = Mapping[str, Verdict]
"""The first judge's verdicts on one trace, by `rubric:looked_at`."""


@dataclass(frozen=True)
class Row:
    """One trace with all that was read in it."""

    arm: str
    """Who wrote it; for a teacher's trace the name of the distillation, which several arms may share."""
    slice: str
    """The evaluation set, or the part of the mix."""
    trace: Trace
    readings: Readings
    stage: str = "evaluate"
    """evaluate; or distil, for a teacher's trace."""
    clean: Row | None = None
    """Of a perturbed question (`Prompt.of`), the arm's same-numbered reply to the clean one; None: there is none."""

    def labels(self, key: str) -> tuple[str, ...]:
        """The labels under `rubric:looked_at`; empty where unscored, never read, or none were found."""
        verdict = self.readings.get(key)
        return () if verdict is None else verdict.labels or ()

    def label(self, key: str) -> str | None:
        """The label under `rubric:looked_at`; None where unscored or never read."""
        verdict = self.readings.get(key)
        return verdict.label if verdict is not None else None


def readings(verdicts: Iterable[Verdict]) -> dict[str, dict[str, Verdict]]:
    """The first judge's verdicts by trace id, then by `rubric:looked_at`."""
    found: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for verdict in verdicts:
        found[verdict.trace].setdefault(f"{verdict.rubric.partition('@')[0]}:{verdict.looked_at}", verdict)
    return found


def beside_clean(rows: Sequence[Row]) -> list[Row]:
    """The rows, those of perturbed questions with what their own arm replied to the clean ones, on whatever set."""
    if not any(row.trace.prompt.of for row in rows):
        return list(rows)
    clean = {(row.arm, row.trace.prompt.text, row.trace.sample): row for row in rows if not row.trace.prompt.of}
    return [
        replace(row, clean=clean.get((row.arm, row.trace.prompt.of, row.trace.sample))) if row.trace.prompt.of else row
        for row in rows
    ]


def pair_key(trace: Trace) -> str:
    """What is the same for every arm: the prompt; under an attack that words it anew for each arm, the behaviour."""
    prompt = trace.prompt
    return f"{prompt.attack}:{prompt.behaviour}" if prompt.behaviour and rewords(prompt) else prompt.id
