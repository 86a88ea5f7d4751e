"""What the teachers wrote for harmful prompts: every distillation once, and what each arm was trained on of it.

Reads `Results`; gives the shares of the risky patterns (the paper's section 3) and the names teachers go by. Arms that
differ in their seed alone share a distillation and draw different traces from it, so shares in the mix are over seeds.
Pure.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from unwaver.judging.questions import PATTERNS_SHOWN
from unwaver.records import PATTERNS, Estimate
from unwaver.report.facts import Facts
from unwaver.study.rows import Row, pair_key
from unwaver.study.stats import Label, gathered, rate_over_seeds

GROUPS = ("before the guard", "after the guard", "in the mix")
"""The traces a pattern's share is taken of (`study.results.pattern_shares`)."""

MIX = GROUPS[-1]


def teacher_of(row: Row) -> str:
    """What the author of a teacher's trace is called beside the arms."""
    return f"teacher: {row.arm}"


@dataclass
class Teachers:
    """The teachers' traces of a report."""

    facts: Facts

    @cached_property
    def rows(self) -> dict[str, list[Row]]:
        """The traces by distillation."""
        found: dict[str, list[Row]] = {}
        for row in self.facts.results.teacher_rows:
            found.setdefault(row.arm, []).append(row)
        return found

    @cached_property
    def trained_on(self) -> Counter[str]:
        """By trace, how many of the arms (seeds apart) were trained on it."""
        return Counter(
            trace
            for members in self.facts.arms.values()
            for arm in members
            for trace in self.facts.results.mixed.get(arm, ())
        )

    @cached_property
    def patterns(self) -> dict[str, dict[str, list[Estimate | None]]]:
        """By arm as shown and by group, the pattern shares in the paper's order; arms that were trained on the same
        traces as an earlier one are left out, and so are those whose teacher's traces weren't read."""
        found: dict[str, dict[str, list[Estimate | None]]] = {}
        known: set[tuple[tuple[str, frozenset[str]], ...]] = set()
        for arm, members in self.facts.arms.items():
            taught = [row for member in members for name in self._sources(member) for row in self.rows[name]]
            read = any(row.label(PATTERNS_SHOWN) is not None for row in taught)
            key = tuple((name, self._mixed(member)) for member in members for name in self._sources(member))
            if read and key not in known:
                known.add(key)
                found[arm] = {group: self._shares(arm, group) for group in GROUPS}
        return found

    def _sources(self, member: str) -> tuple[str, ...]:
        return self.facts.results.taught.get(member, ())

    def _mixed(self, member: str) -> frozenset[str]:
        """The traces of harmful prompts an arm was trained on."""
        return frozenset(row.trace.id for row in self._drawn(member))

    def _shares(self, arm: str, group: str) -> list[Estimate | None]:
        members = self.facts.arms[arm]
        if group == MIX and len(members) > 1:
            drawn = {self.facts.seed(member, n): self._drawn(member) for n, member in enumerate(members)}
            return [self._over_seeds(pattern, arm, drawn) for pattern in PATTERNS]
        return [self.facts.results.find(f"pattern:{pattern}", members[0], group) for pattern in PATTERNS]

    def _drawn(self, member: str) -> list[Row]:
        mixed = self.facts.results.mixed.get(member, frozenset())
        return [row for name in self._sources(member) for row in self.rows[name] if row.trace.id in mixed]

    def _over_seeds(self, pattern: str, arm: str, drawn: dict[int, list[Row]]) -> Estimate:
        def shows(row: Row) -> Label:
            verdict = row.readings.get(PATTERNS_SHOWN)
            return None if verdict is None else verdict.has(pattern)

        labels = {
            seed: gathered(
                {row.trace.id: shows(row) for row in rows}, {row.trace.id: pair_key(row.trace) for row in rows}
            )
            for seed, rows in drawn.items()
            if rows
        }
        return rate_over_seeds(labels, f"pattern:{pattern}", arm, MIX)
