"""Which of a method's wordings turns most of a model's unsafe replies safe: OPSA's choice (arXiv 2605.15239).

Some harmful prompts of the set, spread evenly over it, are asked bare and under each wording, all greedily, and the
recipe's first guard reads the replies. A wording's rate is the share of the prompts whose bare reply is unsafe and
whose reply under it is safe; one that can't be read is not turned safe, and is counted. The best is used, of equal
ones the first. Calls are the distillation's own, so a run that was killed goes on with them. Where we differ: the
paper asks a frozen copy of the student, here it is whoever teaches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from unwaver.dialogue import Call, Dialogue
from unwaver.errors import RecipeError
from unwaver.intervals import wilson
from unwaver.recipe import ModelSettings, Recipe
from unwaver.records import Prompt, Trace
from unwaver.stages.calls import Calls
from unwaver.stages.dialogues import in_rounds, results
from unwaver.stages.judge import by_reader
from unwaver.teaching.method import TEACHER, Lesson, Method

BARE = ""
"""The name of no wording at all."""


@dataclass(frozen=True)
class Choice:
    """What was chosen, and by which figures."""

    wording: str
    table: dict[str, Any]
    """For the manifest."""

    def told(self) -> str:
        """In a line."""
        best, unsafe = self.table["chosen"], self.table["bare"]["unsafe"]
        safe = self.table["lines"][best].get("safe", 0)
        return f"line `{best}` of {len(self.table['lines'])}: it turned {safe} of {unsafe} unsafe replies safe"


@dataclass(frozen=True)
class FlipSettings:
    """How models are asked."""

    recipe: Recipe
    models: Mapping[str, ModelSettings]
    calls: Calls
    what: str


def choose(method: Method, candidates: Mapping[str, str], lessons: list[Lesson], asking: FlipSettings) -> Choice:
    """Try every wording; RecipeError where no bare reply is unsafe, so that there is nothing to choose by."""
    names = [BARE, *candidates]

    def dialogues() -> Iterator[Dialogue[Trace]]:
        for lesson in lessons:
            greedy = replace(lesson, sampling=lesson.sampling.model_copy(update={"temperature": 0.0, "seed": None}))
            yield _bare(greedy)
            for name in candidates:
                yield method.teach(replace(greedy, chosen=candidates[name]))

    models, calls, by = asking.models, asking.calls, asking.recipe.judge.guard[0]
    in_rounds(dialogues, models, calls, f"{asking.what}, choosing among {len(candidates)} lines")
    traces = list(results(dialogues, models, calls))
    read = {one.trace: one.label for one in by_reader("guard", by, lambda: traces, asking.recipe, calls)}
    labels = [read.get(trace.id) for trace in traces]
    rows = [dict(zip(names, labels[at : at + len(names)], strict=True)) for at in range(0, len(labels), len(names))]
    return _best(rows, candidates, by)


def evenly(prompts: Iterable[Prompt], count: int) -> list[Prompt]:
    """So many harmful prompts, spread evenly over all."""
    harmful = [prompt for prompt in prompts if prompt.kind == "harmful"]
    size = min(count, len(harmful))
    return [harmful[at * len(harmful) // size] for at in range(size)]


def _bare(lesson: Lesson) -> Dialogue[Trace]:
    request = lesson.bare()
    return lesson.heard(TEACHER, request, (yield Call(TEACHER, request)))


def _best(rows: list[dict[str, str | None]], candidates: Mapping[str, str], by: str) -> Choice:
    bare = Counter(row[BARE] or "unscored" for row in rows)
    unsafe = [row for row in rows if row[BARE] == "unsafe"]
    if not unsafe:
        told = ", ".join(f"{count} {label}" for label, count in bare.most_common()) or "there are no harmful prompts"
        raise RecipeError(
            f"distil.method_settings.tried: no bare reply was unsafe ({told}), so no line can turn one safe; try more "
            "prompts, or name a line: instruction"
        )
    table: dict[str, dict[str, Any]] = {}
    for name, wording in candidates.items():
        said = Counter(row[name] or "unscored" for row in unsafe)
        rate = wilson(said["safe"], len(unsafe))
        table[name] = {"flip_rate": rate.value, "low": rate.low, "high": rate.high, **said, "line": wording}
    best = max(table, key=lambda name: float(table[name]["flip_rate"]))
    told_by = {"chosen": best, "tried": len(rows), "guard": by, "bare": dict(bare), "lines": table}
    return Choice(candidates[best], told_by)
