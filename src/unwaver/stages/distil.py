"""`distil`: ask the teacher for a trace of every prompt, under one instruction (study stage 2, recipes of section 2).

Reads `prompts.jsonl`; writes `traces.jsonl` (records.Trace), one for every prompt and sample: a trace or a failure with
its reason. The instruction is part of the request and of nothing that is written to a trace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from unwaver.errors import RecipeError
from unwaver.instructions import FIXED_REFUSAL, ask
from unwaver.reasoning import FAMILIES, trace
from unwaver.recipe import Recipe
from unwaver.records import Prompt, Request, Sampling, Trace
from unwaver.stages.calls import Calls, Place
from unwaver.stages.prompts import PROMPTS
from unwaver.store import RunDir, Step, read_records

TRACES = "traces.jsonl"


def run(step: Step, recipe: Recipe, place: Place) -> dict[str, Any]:
    """Make the calls that are owed, then write every trace in the prompts' order."""
    source = step.inputs["prompts"].directory(place.root) / PROMPTS
    prompts = list(read_records(source, Prompt))
    instruction = str(step.settings["instruction"])
    with RunDir.open(step, place.root) as out:
        if instruction == "none":
            fixed = [_fixed(prompt) for prompt in prompts]
            out.write(TRACES, fixed)
            return out.finish({"written": len(fixed)}, instruction=instruction, model="fixed text")
        role = str(step.settings["role"])
        if role not in recipe.models:
            raise RecipeError(f"models: expected a `{role}` to ask for traces of `{step.name}`")
        teacher = recipe.models[role]
        calls = Calls(out, place, recipe.max_failed)
        try:
            total = len(prompts) * recipe.distil.samples
            pairs = list(_requests(prompts, instruction, recipe))
            calls.ask(teacher, lambda: (request for _, request in pairs), total, f"distil {step.name}")
            tags = FAMILIES[teacher.tags]
            traces = [trace(p, r, calls.reply(teacher, r), teacher.label, tags) for p, r in pairs]
        finally:
            calls.close()
        out.write(TRACES, traces)
        counts = {
            "written": len(traces),
            "endings": dict(Counter(t.ending for t in traces)),
            "blocks": dict(Counter(t.block for t in traces if t.failure is None)),
            "failed": dict(Counter(t.failure for t in traces if t.failure is not None)),
        }
        return out.finish(counts, instruction=instruction, model=teacher.label, **calls.summary())


def _requests(prompts: list[Prompt], instruction: str, recipe: Recipe) -> Iterator[tuple[Prompt, Request]]:
    settings = recipe.distil
    file = settings.instruction_file if instruction == settings.instruction else None
    sampling = Sampling(
        temperature=settings.temperature, top_p=settings.top_p, max_tokens=settings.max_tokens, seed=settings.seed
    )
    for prompt in prompts:
        messages = ask(instruction, prompt.text, file, settings.position)
        for sample in range(settings.samples):
            yield prompt, Request(messages=messages, sampling=sampling, sample=sample)


def _fixed(prompt: Prompt) -> Trace:
    return Trace(prompt=prompt, model="fixed text", reasoning="", answer=FIXED_REFUSAL, block="closed", ending="stop")
