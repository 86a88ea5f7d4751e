"""`judge`: what the teacher's traces are worth as training data (docs/protocols.md).

Reads `traces.jsonl`; writes `verdicts.jsonl` (records.Verdict). Traces of harmful prompts are read for safety (the
guard), for risky patterns, for refusal, and sentence by sentence where the recipe names a judge for it (anatomy); those
of other prompts for refusal only, maths and code for correctness. Traces are read anew for each pass and verdicts
written as they are made, so that memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unwaver.judging.tally import Counts
from unwaver.recipe import Recipe
from unwaver.records import Kind, Trace, Verdict
from unwaver.stages.calls import Calls, Place
from unwaver.stages.distil import TRACES
from unwaver.stages.readings import Traces, read
from unwaver.store import RunDir, Step, read_records, read_rows

VERDICTS = "verdicts.jsonl"


def run(step: Step, recipe: Recipe, place: Place) -> dict[str, Any]:
    """Read every trace through every rubric that fits its prompt."""
    source = step.inputs["distil"].directory(place.root) / TRACES
    with RunDir.open(step, place.root) as out:
        counts = Counts()
        calls = Calls(out, place, recipe.max_failed)
        try:
            out.write(VERDICTS, counts.passing(_verdicts(source, recipe, calls)))
        finally:
            calls.close()
        traces = sum(1 for _ in read_rows(source))
        return out.finish({"traces": traces, **counts.summary()}, **calls.summary())


def _verdicts(source: Path, recipe: Recipe, calls: Calls) -> Iterator[Verdict]:
    def of(*kinds: Kind) -> Traces:
        return lambda: (trace for trace in read_records(source, Trace) if trace.prompt.kind in kinds)

    yield from read(of("harmful"), "guard", recipe, calls)
    yield from read(of("harmful"), "patterns", recipe, calls)
    yield from read(of("harmful", "borderline", "benign"), "refusal", recipe, calls)
    yield from read(of("harmful"), "anatomy", recipe, calls)
    yield from read(of("maths"), "maths", recipe, calls)
    yield from read(of("code"), "code", recipe, calls)
