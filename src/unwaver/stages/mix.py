"""`mix`: the training set, so many examples of each part, drawn by seed.

Reads the traces and verdicts of every part; writes `examples.jsonl` (records.Example), the traces they were made of,
and a `dataset/` folder with `messages` and a card. One example per prompt. The order of drawing is a hash of seed and
prompt, so a smaller mix of the same seed is contained in a larger one; quotas and thinning are in `stages.evenly`.
Replies stand in `<think>` marks, whatever the student's are: training writes them in its own family's
(`training/encode.py`). The traces are gone through once to draw by their labels, and of their text only what was drawn
is read again: in memory there are ids, labels, places and categories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import Any, Literal

from unwaver.errors import RecipeError
from unwaver.plain import counted
from unwaver.progress import bar, say
from unwaver.reasoning import THINK, render
from unwaver.recipe import Keep, Recipe
from unwaver.records import NO_PATTERN, Example, Kind, Prompt, Span, Trace, Verdict, digest
from unwaver.stages.calls import Workplace
from unwaver.stages.evenly import Group, drawn, group_of
from unwaver.stages.export import write_dataset
from unwaver.stages.pairs import CHOSEN, REJECTED, sided
from unwaver.stages.usable import faults
from unwaver.store import EXAMPLES, TRACES, VERDICTS, RunDir, Step, read_at, read_placed, read_records
from unwaver.teaching.method import TEACHER

VERSION = 1
"""Raised whenever the same traces and verdicts make other examples."""

Labels = Mapping[str, str | None]
"""What a trace was called, by rubric; None: unscored. A rubric that is missing was never asked."""

PRINCIPLES = "principles"
"""The question by which `leak-free` decides."""

UNDECIDED = "?"
"""What stands between a label and the patterns that were not decided."""


@dataclass
class Sides:
    """Who may be chosen of a part's traces, and which traces of the same prompts are rejected (`stages.pairs`)."""

    file: Path
    """Where the rejected ones stand."""
    clean: set[str] = field(default_factory=set)
    """Ids of the traces that may be chosen."""
    rejected: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By prompt, where its first rejected trace begins, and what it is rejected for."""

    def why_not(self, trace: Trace) -> str | None:
        """Why a trace is in no pair; None where it may be."""
        if trace.prompt.id not in self.rejected:
            return "no rejected trace of the same prompt"
        return None if trace.id in self.clean else "not every reader called it clean"

    def why(self, places: Iterable[int]) -> dict[str, int]:
        """What the traces at these places are rejected for."""
        said = dict(self.rejected.values())
        return dict(Counter(said[place] for place in places).most_common())


@dataclass
class MixedPart:
    """What became of one part's traces."""

    name: str
    file: Path
    """Where its traces stand."""
    wanted: int | Literal["all"]
    dropped: Counter[str] = field(default_factory=Counter)
    kept: list[int] = field(default_factory=list)
    """Where in the file the drawn ones begin, in the order they were drawn in."""
    spare: set[str] = field(default_factory=set)
    """Prompts that might have been drawn as well."""
    judges: dict[str, list[str]] = field(default_factory=dict)
    """Who read, by rubric."""
    sides: Sides | None = None
    """Which traces may be in a pair, where it is made of pairs."""
    rejected: list[int] = field(default_factory=list)
    """Where the rejected traces of the drawn ones begin, in the same order."""
    categories: Counter[str] = field(default_factory=Counter)
    """How many were drawn of each category, where they are drawn with an eye to it."""

    def traces(self) -> Iterator[Trace]:
        """The drawn traces."""
        return read_at(self.file, Trace, self.kept)

    def pairs(self) -> Iterator[tuple[Trace, Trace | None]]:
        """The drawn traces, each with the one it is preferred to, if any."""
        others: Iterator[Trace | None] = read_at(self.sides.file, Trace, self.rejected) if self.sides else repeat(None)
        return zip(self.traces(), others, strict=False)

    def counts(self) -> dict[str, Any]:
        """For the manifest."""
        found = {"wanted": self.wanted, "kept": len(self.kept), "spare": len(self.spare), "dropped": dict(self.dropped)}
        found |= {"categories": dict(self.categories.most_common())} if self.categories else {}
        return found if self.sides is None else {**found, "rejected_for": self.sides.why(self.rejected)}


def run(step: Step, recipe: Recipe, place: Workplace) -> dict[str, Any]:
    """Draw every part and write the set; RecipeError where a part has too few traces left."""
    with RunDir.open(step, place.root) as out:
        parts = [_draw(name, step, recipe, place.root) for name in recipe.parts()]
        shielded, asked = Counter[str](), Counter[str]()

        def made() -> Iterator[Example]:
            for part in parts:
                for trace, rejected in part.pairs():
                    asked[_asked(trace.prompt)] += 1
                    if trace.shielded:
                        shielded["shielded"] += 1
                    yield _example(trace, part.name, rejected)

        examples = out.write(EXAMPLES, made())
        repeated = {"repeated": again} if (again := examples - len(asked)) else {}
        if repeated:
            say(
                f"mix ({step.name}): {again} of {counted(examples, 'example')} ask what another asks, and such prompts "
                "weigh more; two parts, or two lines of a file, hold the same"
            )
        sources: dict[str, str | None] = {}
        teachers: set[str] = set()

        def traces() -> Iterator[Trace]:
            for part in parts:
                for trace, rejected in part.pairs():
                    sources[trace.prompt.source] = recipe.prompts[part.name].licence
                    teachers.update(one.model for one in (trace, rejected) if one is not None)
                    yield trace

        out.write(TRACES, traces())
        counts = {
            "examples": examples,
            **repeated,
            "parts": {part.name: part.counts() for part in parts},
        }
        about = {
            "name": recipe.name,
            "seed": recipe.seed,
            "keep": recipe.mix.keep,
            "method": recipe.distil.method,
            "sources": sorted(sources),
            "licences": {source: licence for source, licence in sorted(sources.items()) if licence},
            "teachers": sorted(teachers),
            "models": {"student": [recipe.models["student"].label], **_helpers(step, recipe), **_judges(parts)},
            "stages": _stages(step, place.root),
            "note": recipe.note,
        }
        write_dataset(out.path / "dataset", read_records(out.path / EXAMPLES, Example), {**about, **counts})
        return out.finish({**counts, **shielded}, **about)


def _sides(name: str, step: Step, recipe: Recipe, root: Path) -> Sides | None:
    """A part's traces and the rejected ones, read; None where it is not made of pairs."""
    if name not in recipe.mix.rejected:
        return None
    other = recipe.mix.rejected[name]
    found: dict[str, tuple[int, str]] = {}
    for at, trace, side, why in sided(step, other, root):
        if side == REJECTED:
            found.setdefault(_asked(trace.prompt), (at, why))
    sides = Sides(step.inputs[other].directory(root) / TRACES)
    for _, trace, side, _ in sided(step, name, root):
        if (worse := found.get(_asked(trace.prompt))) is not None:
            sides.rejected[trace.prompt.id] = worse
        if side == CHOSEN:
            sides.clean.add(trace.id)
    return sides


def _asked(prompt: Prompt) -> str:
    """What a model is asked by a prompt, wherever that is from: two files may hold two replies to it."""
    return digest([prompt.text, *((turn.role, turn.content) for turn in prompt.turns)])


def _draw(name: str, step: Step, recipe: Recipe, root: Path) -> MixedPart:
    part = MixedPart(name, step.inputs[name].directory(root) / TRACES, recipe.mix.parts[name])
    part.sides = _sides(name, step, recipe, root)
    labels = _labels(part, [one.directory(root) / VERDICTS for one in _readers(step, name)])
    eligible: list[tuple[str, int, str]] = []
    groups: dict[str, Group] = {}
    spoiled: set[str] = set()
    with bar(f"mix {name}", None) as progress:
        for at, trace in read_placed(part.file, Trace):
            progress.advance()
            reason = why_not(trace, labels.get(trace.id, {}), recipe.mix.keep)
            unsafe = reason is not None
            if reason is None and part.sides is not None:
                reason = part.sides.why_not(trace)
            if reason is None:
                eligible.append((digest([recipe.seed, trace.prompt.text, trace.sample]), at, trace.prompt.id))
                groups.setdefault(trace.prompt.id, group_of(trace.prompt))
            else:
                part.dropped[reason] += 1
                if unsafe and recipe.mix.keep == "all-k-safe" and trace.prompt.kind == "harmful":
                    spoiled.add(trace.prompt.id)
    eligible.sort()
    seen: set[str] = set()
    ranked = {prompt: groups[prompt] for _, _, prompt in eligible if prompt not in spoiled}
    chosen, full = drawn(ranked, part.wanted, recipe.mix.draw, recipe.mix.per_category)
    for _, at, prompt in eligible:
        if prompt in spoiled:
            part.dropped["another reply to the same prompt may not be kept"] += 1
        elif prompt in seen:
            part.dropped["another trace of the same prompt was drawn"] += 1
        elif prompt in full:
            part.dropped["its category is full"] += 1
        elif prompt not in chosen:
            part.dropped["enough were drawn"] += 1
            part.spare.add(prompt)
        else:
            seen.add(prompt)
            part.kept.append(at)
            if recipe.mix.by_category:
                part.categories.update(groups[prompt][1])
            if part.sides is not None:
                part.rejected.append(part.sides.rejected[prompt][0])
    if not part.kept or (part.wanted != "all" and len(part.kept) < part.wanted):
        why = ", ".join(f"{count} {reason}" for reason, count in part.dropped.most_common())
        more = ", or keep more" if recipe.mix.keep != "everything" else ""
        raise RecipeError(
            f"mix.parts.{name}: {part.wanted} examples are wanted and {len(part.kept)} are left with "
            f"keep = {recipe.mix.keep!r} (dropped: {why or 'none'}); ask for fewer, or distil more{more}"
        )
    return part


def _readers(step: Step, part: str) -> list[Step]:
    """The steps that read a part's traces, of those that decide."""
    return [one for key, one in step.inputs.items() if key.startswith(f"{part}, ")]


def filtered_by(kind: Kind, keep: Keep) -> tuple[str, ...]:
    """The questions whose answers decide what may be kept of traces of a kind of prompt."""
    if kind in ("maths", "code"):
        return (kind,)
    if kind != "harmful":
        return ("refusal",)
    guard = ("guard",)
    asked = {"everything": (), "guard-only": guard, "all-k-safe": guard, "leak-free": ("guard", PRINCIPLES)}
    return asked.get(keep, ("guard", "patterns"))


def _labels(part: MixedPart, files: Iterable[Path]) -> dict[str, Labels]:
    """The labels by trace; the same labels are one object, however many traces bear them."""
    found: dict[str, Labels] = {}
    known: dict[tuple[tuple[str, str | None], ...], Labels] = {}
    for verdict in chain.from_iterable(read_records(file, Verdict) for file in files):
        rubric = verdict.rubric.partition("@")[0]
        if verdict.judge not in part.judges.setdefault(rubric, []):
            part.judges[rubric].append(verdict.judge)
        if rubric == PRINCIPLES:
            rubric = f"{rubric}:{verdict.looked_at}"  # the one question whose texts decide apart
        labels = {**found.get(verdict.trace, {}), rubric: _label(verdict)}
        found[verdict.trace] = known.setdefault(tuple(labels.items()), labels)
    return found


def why_not(trace: Trace, labels: Labels, keep: Keep) -> str | None:
    """Why a trace may not be trained on; None where it may. An unscored verdict never lets a trace through."""
    if wrong := faults(trace):
        return wrong[0]
    if trace.begun:
        return None  # fixed words, which nobody reads
    if trace.prompt.kind in ("maths", "code"):
        right = labels.get(trace.prompt.kind)
        return None if right in ("correct", "passed") else _or_unscored(right, "the answer is wrong", "its answer")
    if trace.prompt.kind != "harmful":
        heard = labels.get("refusal")
        if heard == "compliance":
            return None
        return _or_unscored(heard, "a harmless prompt was not plainly answered", "whether it refuses")
    return None if keep == "everything" else _why_not_safe(labels, keep)


def _why_not_safe(labels: Labels, keep: Keep) -> str | None:
    """The same of a whole trace of a harmful prompt, by what its readers called it."""
    if (safe := labels.get("guard")) != "safe":
        return _or_unscored(safe, "the guard did not call it safe", "the guard's reading of it")
    if keep in ("guard-only", "all-k-safe"):
        return None
    if keep == "leak-free":
        return _leaks(labels)
    patterns = labels.get("risky-patterns")
    if patterns is None:
        return "its patterns are unscored"
    allowed = {NO_PATTERN, "weak_vacillation"} if keep == "all-but-weak-vacillation" else {NO_PATTERN}
    found, _, undecided = patterns.partition(UNDECIDED)
    if found not in allowed:
        return "it shows a risky pattern"
    left = {name for name in undecided.split("+") if name} - allowed
    return f"its reader could not decide on {' and '.join(sorted(left))}" if left else None


def _leaks(labels: Labels) -> str | None:
    """Why a trace that the guard calls safe is none that leaks nothing."""
    for text in ("reasoning", "answer"):
        label = labels.get(f"{PRINCIPLES}:{text}")
        if label in (None, "severe"):
            return _or_unscored(label, f"its {text} gravely breaks a principle", f"its {text} by principles")
    return None


def _or_unscored(label: str | None, found: str, read: str) -> str:
    """Why a trace is dropped that was not read as it would have to be, or not read at all."""
    return found if label is not None else f"{read} is unscored"


def _label(verdict: Verdict) -> str | None:
    """A verdict's label; behind it what was neither found nor ruled out."""
    return f"{verdict.label}{UNDECIDED}{'+'.join(verdict.undecided)}" if verdict.undecided else verdict.label


def _helpers(step: Step, recipe: Recipe) -> dict[str, list[str]]:
    """Who was asked beside the teachers, by role: what they said may stand in a trace that another wrote."""
    found: dict[str, list[str]] = {}
    for part in recipe.parts():
        for role, model in step.inputs[part].settings.get("roles", {}).items():
            label = recipe.models[model].label
            if role != TEACHER and label not in found.setdefault(role, []):
                found[role].append(label)
    return found


def _judges(parts: list[MixedPart]) -> dict[str, list[str]]:
    """Who read the traces of any part, by rubric."""
    found: dict[str, dict[str, None]] = {}
    for part in parts:
        for rubric, judges in part.judges.items():
            found.setdefault(f"judge of {rubric}", {}).update(dict.fromkeys(judges))
    return {role: list(judges) for role, judges in found.items()}


def _stages(step: Step, root: Path) -> dict[str, Any]:
    """What the stages before counted, part by part, as their manifests have it."""
    found: dict[str, Any] = {}
    for name in (key for key, one in step.inputs.items() if one.stage == "distil"):
        distil = step.inputs[name]
        for before in (distil.inputs["prompts"], distil, *_readers(step, name)):
            found[f"{before.stage} {before.name}"] = (before.manifest(root) or {}).get("counts", {})
    return found


def _example(trace: Trace, part: str, rejected: Trace | None = None) -> Example:
    prompt: Prompt = trace.prompt
    text, begins = render(trace.reasoning, trace.answer or ""), len(THINK.render_open)
    context = [(begins + start, begins + end) for start, end in trace.shielded]
    if trace.begun:  # what is learnt is the words alone, without the mark before them
        text, context = text[: begins + len(trace.reasoning or "")], [(0, begins)]
    borders = [0, *chain.from_iterable(context), len(text)]
    pieces = [text[start:end] for start, end in pairwise(borders)]
    return Example(
        prompt=prompt.id,
        trace=trace.id,
        user=prompt.text,
        spans=tuple(Span(text=piece, trained=not at % 2) for at, piece in enumerate(pieces) if piece),
        part=part,
        kind=prompt.kind,
        begun=trace.begun,
        rejected=None if rejected is None else render(rejected.reasoning, rejected.answer or ""),
    )
