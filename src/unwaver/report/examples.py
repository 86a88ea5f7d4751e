"""Two replies of every arm: to one harmful and to one harmless prompt, the same for all, and picked by nobody.

Only which traces they are is decided here; their texts come from where the trace browser has its own, masked alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unwaver.report.choice import shown
from unwaver.report.facts import EvaluationFacts, Facts
from unwaver.study.rows import Row, pair_key


@dataclass(frozen=True)
class ShownPrompt:
    """The replies to one prompt."""

    set_: str
    kind: str
    traces: Mapping[str, str]
    """By arm, the id of its trace."""


def examples(facts: Facts) -> list[ShownPrompt]:
    """At most two: of the first harmful and the first harmless set, the prompt with the first id that most arms have a
    reply to."""
    arms = shown(facts)
    sets = [facts.of_kind("harmful")[:1], (facts.harmless or facts.of_kind("maths", "code"))[:1]]
    found = (_example(facts, one, arms) for some in sets for one in some)
    return [example for example in found if example is not None]


def _example(facts: Facts, one: EvaluationFacts, arms: Sequence[str]) -> ShownPrompt | None:
    by_prompt: dict[str, dict[str, Row]] = {}
    for arm in arms:
        for row in facts.rows.get((facts.arms[arm][0], one.name), ()):
            if row.trace.failure is None:
                by_prompt.setdefault(pair_key(row.trace), {}).setdefault(arm, row)
    if not by_prompt:
        return None
    key = min(by_prompt, key=lambda prompt: (-len(by_prompt[prompt]), prompt))
    traces = {arm: row.trace.id for arm, row in by_prompt[key].items()}
    return ShownPrompt(one.name, one.kind, {arm: traces[arm] for arm in arms if arm in traces})
