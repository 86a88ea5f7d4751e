"""`mix`: the training set, so many examples of each part, drawn by seed (study stage 5).

Reads the traces and verdicts of every part; writes `examples.jsonl` (records.Example), the traces they were made of,
and a `dataset/` folder with `messages` and a card. One example per prompt. The order of drawing is a hash of seed and
prompt, so a smaller mix of the same seed is contained in a larger one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from unwaver.errors import RecipeError
from unwaver.reasoning import FAMILIES, Tags, render
from unwaver.recipe import Keep, Recipe
from unwaver.records import NO_PATTERN, Example, Prompt, Span, Trace, Verdict, digest
from unwaver.stages.calls import Place
from unwaver.stages.distil import TRACES
from unwaver.stages.export import write_dataset
from unwaver.stages.judge import VERDICTS
from unwaver.store import RunDir, Step, read_records

EXAMPLES = "examples.jsonl"


@dataclass
class Part:
    """What became of one part's traces."""

    wanted: int | Literal["all"]
    dropped: Counter[str] = field(default_factory=Counter)
    kept: list[Trace] = field(default_factory=list)


def run(step: Step, recipe: Recipe, place: Place) -> dict[str, Any]:
    """Draw every part and write the set; RecipeError where a part has too few traces left."""
    tags = FAMILIES[recipe.models["student"].tags]
    with RunDir.open(step, place.root) as out:
        parts = {name: _draw(name, step.inputs[name], recipe, place.root) for name in step.inputs}
        examples = [_example(trace, name, tags) for name, part in parts.items() for trace in part.kept]
        out.write(EXAMPLES, examples)
        out.write(TRACES, [trace for part in parts.values() for trace in part.kept])
        counts = {
            "examples": len(examples),
            "parts": {
                name: {"wanted": p.wanted, "kept": len(p.kept), "dropped": dict(p.dropped)} for name, p in parts.items()
            },
        }
        sources = sorted({trace.prompt.source for part in parts.values() for trace in part.kept})
        models = sorted({trace.model for part in parts.values() for trace in part.kept})
        about = {
            "name": recipe.name,
            "seed": recipe.seed,
            "keep": recipe.mix.keep,
            "instruction": recipe.distil.instruction,
            "sources": sources,
            "teachers": models,
            "note": recipe.note,
        }
        write_dataset(out.path / "dataset", examples, {**about, **counts}, ("messages",))
        return out.finish(counts, **about)


def _draw(name: str, judged: Step, recipe: Recipe, root: Path) -> Part:
    traces = list(read_records(judged.inputs["distil"].directory(root) / TRACES, Trace))
    verdicts: dict[str, dict[str, Verdict]] = {}
    for verdict in read_records(judged.directory(root) / VERDICTS, Verdict):
        # The first judge a recipe names decides; later ones are there for agreement.
        verdicts.setdefault(verdict.trace, {}).setdefault(verdict.rubric.partition("@")[0], verdict)
    part = Part(recipe.mix.parts[name])
    seen: set[str] = set()
    for trace in sorted(traces, key=lambda t: digest([recipe.seed, t.prompt.text, t.sample])):
        reason = why_not(trace, verdicts.get(trace.id, {}), recipe.mix.keep)
        if reason is None and trace.prompt.id in seen:
            reason = "another trace of the same prompt was drawn"
        if reason is None and len(part.kept) == part.wanted:
            reason = "enough were drawn"
        if reason is not None:
            part.dropped[reason] += 1
            continue
        seen.add(trace.prompt.id)
        part.kept.append(trace)
    if not part.kept or (part.wanted != "all" and len(part.kept) < part.wanted):
        raise RecipeError(
            f"mix.parts.{name}: {part.wanted} examples are wanted and {len(part.kept)} are left with "
            f"keep = {recipe.mix.keep!r} (dropped: {dict(part.dropped)}); ask for fewer, distil more, or keep more"
        )
    return part


def why_not(trace: Trace, verdicts: dict[str, Verdict], keep: Keep) -> str | None:
    """Why a trace may not be trained on; None where it may. An unscored verdict never lets a trace through."""
    if trace.failure is not None:
        return "no reply"
    if trace.ending != "stop" or trace.block != "closed" or not trace.answer:
        return "the reply is not whole"
    if trace.prompt.kind in ("maths", "code"):
        graded = verdicts.get(trace.prompt.kind)
        return (
            None
            if graded is not None and graded.label in ("correct", "passed")
            else "the answer is not known to be right"
        )
    if trace.prompt.kind != "harmful":
        refusal = verdicts.get("refusal")
        return (
            None
            if refusal is not None and refusal.label == "compliance"
            else "a harmless prompt was not plainly answered"
        )
    if keep == "everything":
        return None
    guard = verdicts.get("guard")
    if guard is None or guard.label != "safe":
        return "the guard did not call it safe"
    if keep == "guard-only":
        return None
    patterns = verdicts.get("risky-patterns")
    if patterns is None or patterns.label is None:
        return "its patterns are unscored"
    allowed = {"weak_vacillation"} if keep == "all-but-weak-vacillation" else set()
    if patterns.label != NO_PATTERN and not patterns.labels <= allowed:
        return "it shows a risky pattern"
    return None


def _example(trace: Trace, part: str, tags: Tags) -> Example:
    prompt: Prompt = trace.prompt
    text = render(trace.reasoning, trace.answer or "", tags=tags)
    return Example(
        prompt=prompt.id,
        trace=trace.id,
        user=prompt.text,
        spans=(Span(text=text, trained=True),),
        part=part,
        kind=prompt.kind,
    )
