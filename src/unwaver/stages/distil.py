"""`distil`: ask the teacher for a trace of every prompt, under one instruction (docs/recipes.md).

Reads `prompts.jsonl`; writes `traces.jsonl` (records.Trace), one for every prompt and sample: a trace or a failure with
its reason. The instruction is part of the request and of nothing that is written to a trace. Prompts are read anew for
each pass and traces written as they are made, so that memory does not grow with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from unwaver.errors import RecipeError
from unwaver.instructions import FIXED_REFUSAL, ask
from unwaver.recipe import Recipe
from unwaver.records import Prompt, Request, Sampling, Trace
from unwaver.stages.calls import Calls, Place, TraceMaker
from unwaver.stages.prompts import PROMPTS
from unwaver.store import RunDir, Step, read_records, read_rows

TRACES = "traces.jsonl"


def run(step: Step, recipe: Recipe, place: Place) -> dict[str, Any]:
    """Make the calls that are owed, then write every trace in the prompts' order."""
    source = step.inputs["prompts"].directory(place.root) / PROMPTS
    instruction = str(step.settings["instruction"])
    with RunDir.open(step, place.root) as out:
        if instruction == "none":
            written = out.write(TRACES, (_fixed(prompt) for prompt in read_records(source, Prompt)))
            return out.finish({"written": written}, instruction=instruction, model="fixed text")
        role = str(step.settings["role"])
        if role not in recipe.models:
            raise RecipeError(f"models: expected a `{role}` to ask for traces of `{step.name}`")
        teacher = recipe.models[role]

        def pairs() -> Iterator[tuple[Prompt, Request]]:
            return _requests(read_records(source, Prompt), instruction, recipe)

        calls = Calls(out, place, recipe.max_failed)
        endings: Counter[str] = Counter()
        blocks: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        try:
            total = sum(1 for _ in read_rows(source)) * recipe.distil.samples
            calls.ask(teacher, lambda: (request for _, request in pairs()), total, f"distil {step.name}")

            maker = TraceMaker(teacher)

            def traces() -> Iterator[Trace]:
                for prompt, request in pairs():
                    made = maker.make(prompt, request, calls.reply(teacher, request))
                    endings[made.ending] += 1
                    if made.failure is None:
                        blocks[made.block] += 1
                    else:
                        failed[made.failure] += 1
                    yield made

            written = out.write(TRACES, traces())
            maker.tell()
        finally:
            calls.close()
        counts = {"written": written, "endings": dict(endings), "blocks": dict(blocks), "failed": dict(failed)}
        return out.finish(counts, instruction=instruction, model=teacher.label, **calls.summary())


def _requests(prompts: Iterable[Prompt], instruction: str, recipe: Recipe) -> Iterator[tuple[Prompt, Request]]:
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
