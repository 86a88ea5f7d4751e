"""`evaluate`: what one model does with one evaluation set (study stages 7 and 8).

Reads the prompts and, for a trained student, its checkpoint; writes `traces.jsonl` (one for every prompt and sample: a
trace or a failure with its reason), `verdicts.jsonl`, and for PAIR and generated PAP `attempts.jsonl` with everything
that was tried. What an attack found is asked as any prompt is: greedily for harmful ones, whatever the search sampled.
Harmful prompts: refusal on the answer, harm on the reasoning, the answer and both, risky patterns. Borderline and
benign: refusal. Maths and code: graded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from unwaver.attacks import prefill
from unwaver.errors import RecipeError, RunError
from unwaver.judging.tally import tally
from unwaver.reasoning import FAMILIES, trace
from unwaver.recipe import ModelSettings, Recipe
from unwaver.records import LookedAt, Message, Prompt, Reply, Request, Trace, Verdict
from unwaver.stages.attacked import ATTEMPTS, BY_MODEL, NO_ATTACK, Attacked, attack
from unwaver.stages.calls import Calls, Place
from unwaver.stages.distil import TRACES
from unwaver.stages.judge import VERDICTS
from unwaver.stages.prompts import PROMPTS
from unwaver.stages.readings import read
from unwaver.store import RunDir, Step, read_records

NONE = "none"
"""The name of no attack."""

LOOKED_AT: tuple[LookedAt, ...] = ("answer", "reasoning", "both")


def run(step: Step, recipe: Recipe, place: Place) -> dict[str, Any]:
    """Ask, then read."""
    entry = recipe.evaluate.sets[step.name]
    prompts = list(read_records(step.inputs["prompts"].directory(place.root) / PROMPTS, Prompt))
    student = student_of(step, recipe, place)
    with RunDir.open(step, place.root) as out:
        calls = Calls(out, place, recipe.max_failed)
        try:
            attacked = _attacked(prompts, student, recipe, calls, step.name)
            if attacked.attempts:
                out.write(ATTEMPTS, attacked.attempts)
            traces = _asked(attacked.prompts, student, recipe, calls, step.name)
            out.write(TRACES, traces)
            verdicts = _read(traces, recipe, calls)
        finally:
            calls.close()
        out.write(VERDICTS, verdicts)
        counts = {
            "written": len(traces),
            "endings": dict(Counter(t.ending for t in traces)),
            "blocks": dict(Counter(t.block for t in traces if t.failure is None)),
            "failed": dict(Counter(t.failure for t in traces if t.failure is not None)),
            **({"attack": attacked.counts} if attacked.counts else {}),
            **tally(verdicts),
        }
        return out.finish(counts, model=student.label, set=step.name, attack=entry.attack, **calls.summary())


def student_of(step: Step, recipe: Recipe, place: Place) -> ModelSettings:
    """The raw student, or the one the step's training left."""
    student = recipe.models["student"]
    train = step.inputs.get("train")
    if train is None:
        return student
    folder = train.directory(place.root) / "model"
    if not folder.is_dir():
        raise RunError(
            f"{folder}: the trained student isn't there; delete {train.directory(place.root)} and train again"
        )
    door = student.door if student.door in ("hf", "vllm") else "hf"
    update = {"name": f"{door}:{folder.resolve()}", "alias": f"{student.label}+{train.digest[:8]}", "revision": None}
    return student.model_copy(update=update)


def _attacked(prompts: Sequence[Prompt], student: ModelSettings, recipe: Recipe, calls: Calls, name: str) -> Attacked:
    """The prompts as the student is asked them."""
    entry = recipe.evaluate.sets[name]
    if entry.attack in BY_MODEL:
        return attack(prompts, student, recipe, calls, name)
    if entry.attack in prefill.NAMES:
        return Attacked(prefill.wrap(prompts, entry.attack))
    if entry.attack != NONE:
        known = ", ".join((NONE, *prefill.NAMES, *BY_MODEL))
        raise RecipeError(f"evaluate.sets.{name}.attack: no attack `{entry.attack}`; there are {known}")
    return Attacked(list(prompts))


def _asked(prompts: Sequence[Prompt], student: ModelSettings, recipe: Recipe, calls: Calls, name: str) -> list[Trace]:
    """One trace for every prompt and sample; a prompt for which no attack was found isn't asked and says so."""
    entry, tags = recipe.evaluate.sets[name], FAMILIES[student.tags]
    pairs: list[tuple[Prompt, Request]] = []
    for prompt in prompts:
        sampling = recipe.sampling(prompt.kind, entry)
        for sample in range(entry.samples):
            request = Request(messages=(Message(role="user", content=prompt.text),), sampling=sampling, sample=sample)
            if entry.attack in prefill.NAMES:
                request = prefill.apply(request, entry.attack, opened=False, tags=tags)
            pairs.append((prompt, request))
    made = [request for prompt, request in pairs if prompt.text]
    calls.ask(student, lambda: made, len(made), f"ask {student.label} {name}")
    never = Reply(ending="error", failure=NO_ATTACK)
    return [trace(p, r, calls.reply(student, r) if p.text else never, student.label, tags) for p, r in pairs]


def _read(traces: Sequence[Trace], recipe: Recipe, calls: Calls) -> list[Verdict]:
    """Every rubric that fits the kind of prompt."""
    harmful = [t for t in traces if t.prompt.kind == "harmful"]
    harmless = [t for t in traces if t.prompt.kind in ("borderline", "benign")]
    verdicts = read([*harmful, *harmless], "refusal", recipe, calls)
    for looked_at in LOOKED_AT:
        verdicts += read(harmful, "harm", recipe, calls, looked_at)
    verdicts += read(harmful, "patterns", recipe, calls)
    verdicts += read([t for t in traces if t.prompt.kind == "maths"], "maths", recipe, calls)
    return verdicts + read([t for t in traces if t.prompt.kind == "code"], "code", recipe, calls)
