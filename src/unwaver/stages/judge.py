"""`judge`: what the teacher's traces are worth as training data (study stages 3 and 4).

Reads `traces.jsonl`; writes `verdicts.jsonl` (records.Verdict). Traces of harmful prompts are read for safety (the
guard), for risky patterns and for refusal; those of other prompts for refusal only, and maths for correctness.
"""

from __future__ import annotations

from typing import Any

from unwaver.judging.tally import tally
from unwaver.recipe import Recipe
from unwaver.records import Trace
from unwaver.stages.calls import Calls, Place
from unwaver.stages.distil import TRACES
from unwaver.stages.readings import read
from unwaver.store import RunDir, Step, read_records

VERDICTS = "verdicts.jsonl"


def run(step: Step, recipe: Recipe, place: Place) -> dict[str, Any]:
    """Read every trace through every rubric that fits its prompt."""
    traces = list(read_records(step.inputs["distil"].directory(place.root) / TRACES, Trace))
    harmful = [trace for trace in traces if trace.prompt.kind == "harmful"]
    with RunDir.open(step, place.root) as out:
        calls = Calls(out, place, recipe.max_failed)
        try:
            verdicts = read(harmful, "guard", recipe, calls) + read(harmful, "patterns", recipe, calls)
            verdicts += read([t for t in traces if t.prompt.kind not in ("maths", "code")], "refusal", recipe, calls)
            maths = [t for t in traces if t.prompt.kind == "maths"]
            verdicts += read(maths, "maths", recipe, calls)
        finally:
            calls.close()
        out.write(VERDICTS, verdicts)
        return out.finish({"traces": len(traces), **tally(verdicts)}, **calls.summary())
