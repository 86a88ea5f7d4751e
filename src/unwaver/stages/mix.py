"""`mix`: the training set, so many examples of each part, drawn by seed.

Reads the traces and verdicts of every part; writes `examples.jsonl` (records.Example), the traces they were made of,
and a `dataset/` folder with `messages` and a card. One example per prompt. The order of drawing is a hash of seed and
prompt, so a smaller mix of the same seed is contained in a larger one. The traces are gone through once to draw by
their labels, and of their text only what was drawn is read again: in memory there are ids, labels and places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from unwaver.errors import RecipeError
from unwaver.progress import bar
from unwaver.reasoning import FAMILIES, Tags, render
from unwaver.recipe import Keep, Recipe
from unwaver.records import NO_PATTERN, Example, Prompt, Span, Trace, Verdict, digest
from unwaver.stages.calls import Place
from unwaver.stages.distil import TRACES
from unwaver.stages.export import write_dataset
from unwaver.stages.judge import VERDICTS
from unwaver.store import RunDir, Step, read_at, read_placed, read_records

EXAMPLES = "examples.jsonl"

Labels = Mapping[str, str | None]
"""What a trace was called, by rubric; None: unscored. A rubric that is missing was never asked."""


@dataclass
class Part:
    """What became of one part's traces."""

    name: str
    file: Path
    """Where its traces stand."""
    wanted: int | Literal["all"]
    dropped: Counter[str] = field(default_factory=Counter)
    kept: list[int] = field(default_factory=list)
    """Where in the file the drawn ones begin, in the order they were drawn in."""
    judges: dict[str, list[str]] = field(default_factory=dict)
    """Who read, by rubric."""

    def traces(self) -> Iterator[Trace]:
        """The drawn traces."""
        return read_at(self.file, Trace, self.kept)


def run(step: Step, recipe: Recipe, place: Place) -> dict[str, Any]:
    """Draw every part and write the set; RecipeError where a part has too few traces left."""
    tags = FAMILIES[recipe.models["student"].tags]
    with RunDir.open(step, place.root) as out:
        parts = [_draw(name, judged, recipe, place.root) for name, judged in step.inputs.items()]
        examples = out.write(EXAMPLES, (_example(trace, part.name, tags) for part in parts for trace in part.traces()))
        sources: dict[str, str | None] = {}
        teachers: set[str] = set()

        def traces() -> Iterator[Trace]:
            for part in parts:
                for trace in part.traces():
                    sources[trace.prompt.source] = recipe.prompts[part.name].licence
                    teachers.add(trace.model)
                    yield trace

        out.write(TRACES, traces())
        counts = {
            "examples": examples,
            "parts": {p.name: {"wanted": p.wanted, "kept": len(p.kept), "dropped": dict(p.dropped)} for p in parts},
        }
        about = {
            "name": recipe.name,
            "seed": recipe.seed,
            "keep": recipe.mix.keep,
            "instruction": recipe.distil.instruction,
            "sources": sorted(sources),
            "licences": {source: licence for source, licence in sorted(sources.items()) if licence},
            "teachers": sorted(teachers),
            "models": {"student": [recipe.models["student"].label], **_judges(parts)},
            "stages": _stages(step, place.root),
            "note": recipe.note,
        }
        write_dataset(out.path / "dataset", read_records(out.path / EXAMPLES, Example), {**about, **counts})
        return out.finish(counts, **about)


def _draw(name: str, judged: Step, recipe: Recipe, root: Path) -> Part:
    part = Part(name, judged.inputs["distil"].directory(root) / TRACES, recipe.mix.parts[name])
    labels = _labels(part, judged.directory(root) / VERDICTS)
    eligible: list[tuple[str, int, str]] = []
    with bar(f"mix {name}", None) as progress:
        for at, trace in read_placed(part.file, Trace):
            progress.advance()
            reason = why_not(trace, labels.get(trace.id, {}), recipe.mix.keep)
            if reason is None:
                eligible.append((digest([recipe.seed, trace.prompt.text, trace.sample]), at, trace.prompt.id))
            else:
                part.dropped[reason] += 1
    seen: set[str] = set()
    for _, at, prompt in sorted(eligible):
        if prompt in seen:
            part.dropped["another trace of the same prompt was drawn"] += 1
        elif len(part.kept) == part.wanted:
            part.dropped["enough were drawn"] += 1
        else:
            seen.add(prompt)
            part.kept.append(at)
    if not part.kept or (part.wanted != "all" and len(part.kept) < part.wanted):
        raise RecipeError(
            f"mix.parts.{name}: {part.wanted} examples are wanted and {len(part.kept)} are left with "
            f"keep = {recipe.mix.keep!r} (dropped: {dict(part.dropped)}); ask for fewer, distil more, or keep more"
        )
    return part


def _labels(part: Part, file: Path) -> dict[str, Labels]:
    """The labels by trace; the same labels are one object, however many traces bear them."""
    found: dict[str, Labels] = {}
    known: dict[tuple[tuple[str, str | None], ...], Labels] = {}
    for verdict in read_records(file, Verdict):
        rubric = verdict.rubric.partition("@")[0]
        if verdict.judge not in part.judges.setdefault(rubric, []):
            part.judges[rubric].append(verdict.judge)
        before = found.get(verdict.trace, {})
        if rubric in before:
            continue  # The first judge a recipe names decides; later ones are there for agreement.
        labels = {**before, rubric: verdict.label}
        found[verdict.trace] = known.setdefault(tuple(labels.items()), labels)
    return found


def why_not(trace: Trace, labels: Labels, keep: Keep) -> str | None:
    """Why a trace may not be trained on; None where it may. An unscored verdict never lets a trace through."""
    if trace.failure is not None:
        return "no reply"
    if trace.ending != "stop" or trace.block != "closed" or not trace.answer:
        return "the reply is not whole"
    if trace.prompt.kind in ("maths", "code"):
        right = labels.get(trace.prompt.kind) in ("correct", "passed")
        return None if right else "the answer is not known to be right"
    if trace.prompt.kind != "harmful":
        return None if labels.get("refusal") == "compliance" else "a harmless prompt was not plainly answered"
    if keep == "everything":
        return None
    if labels.get("guard") != "safe":
        return "the guard did not call it safe"
    if keep == "guard-only":
        return None
    patterns = labels.get("risky-patterns")
    if patterns is None:
        return "its patterns are unscored"
    allowed = {NO_PATTERN, "weak_vacillation"} if keep == "all-but-weak-vacillation" else {NO_PATTERN}
    return None if patterns in allowed else "it shows a risky pattern"


def _judges(parts: list[Part]) -> dict[str, list[str]]:
    """Who read the traces of any part, by rubric."""
    found: dict[str, dict[str, None]] = {}
    for part in parts:
        for rubric, judges in part.judges.items():
            found.setdefault(f"judge of {rubric}", {}).update(dict.fromkeys(judges))
    return {role: list(judges) for role, judges in found.items()}


def _stages(step: Step, root: Path) -> dict[str, Any]:
    """What the stages before counted, part by part, as their manifests have it."""
    found: dict[str, Any] = {}
    for name, judged in step.inputs.items():
        distil = judged.inputs["distil"]
        for before in (distil.inputs["prompts"], distil, judged):
            found[f"{before.stage} {name}"] = (before.manifest(root) or {}).get("counts", {})
    return found


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
