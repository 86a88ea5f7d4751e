"""Pairs for preference training: of one prompt a trace that its readers call clean, and one that wavers.

Reads finished distillations of the same prompts (two arms, or the samples of one) and all finished readings of them by
guard and for risky patterns, which stand beside them. Chosen is a trace that every guard calls safe and in which no
reader leaves a pattern open; rejected one that every guard calls unsafe, or in which every reader finds a pattern. What
is unscored, unread, cut or partly shielded is in no pair, and is counted. One pair a prompt: the first of either kind,
in the order of the runs. Writes `train.jsonl` in TRL's conversational preference form and a card.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError
from unwaver.kept import whole, write_whole
from unwaver.reasoning import render
from unwaver.records import Trace, Verdict
from unwaver.stages.export import LAST, MADE, begin, cell, clean, models_of, sources_of, table
from unwaver.stages.usable import faults
from unwaver.store import (
    TRACES,
    VERDICTS,
    Step,
    finished_in,
    home,
    parse_row,
    read_at,
    read_manifest,
    read_placed,
    read_records,
)

FILE = "train.jsonl"

HEAD = f"""---
license: other
task_categories:
- text-generation
tags:
- safety
- reasoning
- dpo
configs:
- config_name: dpo
  data_files: {FILE}
  default: true
---
"""

CHOSEN, REJECTED = "clean", "wavering or unsafe"

DECIDE = ("guard", "patterns")
"""The questions whose answers say on which side a trace is."""

Readings = dict[str, dict[str, list[Verdict]]]
"""By trace and question, what each reader found."""


@dataclass
class Pairs:
    """What was found."""

    places: dict[str, dict[str, tuple[Path, int, str]]] = field(default_factory=lambda: defaultdict(dict))
    """By prompt and side: the file, where the trace begins, and why it is on that side."""
    counts: Counter[str] = field(default_factory=Counter)
    teachers: dict[str, None] = field(default_factory=dict)
    sources: dict[str, None] = field(default_factory=dict)
    judges: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))


def write_pairs(folder: Path, runs: Sequence[Path]) -> list[Path]:
    """Write file and card; RecipeError where a run is no judged distillation, or no prompt has both."""
    found = Pairs()
    for run in dict.fromkeys(map(home, runs)):
        _look(run, _readings(run, found), found)
    both = {prompt: sides for prompt, sides in found.places.items() if len(sides) == 2}
    if not both:
        told = ", ".join(f"{n} {why}" for why, n in found.counts.most_common())
        raise RecipeError(f"no prompt has both a clean and a wavering trace (traces: {told or 'none'})")
    card = begin(folder, [FILE])
    size = 0
    with whole(folder / FILE) as out:
        for row in _rows(both):
            out.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))
            size += 1
    write_whole(card, clean(HEAD + _card(size, len(found.places), found)))
    return [folder / FILE, card]


def _readings(run: Path, found: Pairs) -> Readings:
    """What guards and readers of patterns said of a run's traces."""
    manifest = read_manifest(run)
    if manifest is None or manifest["stage"] != "distil":
        raise RecipeError(f"{run}: expected a finished distillation, whose directory begins with `distil-`")
    read: Readings = defaultdict(lambda: defaultdict(list))
    for question in DECIDE:
        judged = [one for one in finished_in(run.parent, "judge") if _reads(one, run, question)]
        if not judged:
            raise RecipeError(f"{run}: no finished reading by `{question}` beside it; `unwaver judge RECIPE` makes one")
        for verdict in (verdict for one in judged for verdict in read_records(one / VERDICTS, Verdict)):
            read[verdict.trace][question].append(verdict)
            found.judges[f"judge of {question}"][verdict.judge] = None
    return read


def _reads(judged: Path, run: Path, question: str) -> bool:
    """Whether a reading is of a run, by a question."""
    config = parse_row((judged / "config.json").read_bytes(), str(judged / "config.json"))
    return bool(config["settings"]["question"] == question and config["inputs"]["traces"] == run.name)


def _look(run: Path, readings: Readings, found: Pairs) -> None:
    """Put a run's traces on their sides."""
    for place, trace in read_placed(run / TRACES, Trace):
        side, why = side_of(trace, readings.get(trace.id, {}))
        found.counts[side or why] += 1
        if side:
            found.places[trace.prompt.id].setdefault(side, (run / TRACES, place, why))
            found.teachers[trace.model] = found.sources[trace.prompt.source] = None


def key(name: str, reader: Step) -> str:
    """What a mix's step calls a reader of a set's traces that decides on their sides."""
    return f"{name} as pairs, {reader.settings['question']} by {reader.settings['by']}"


def sided(step: Step, name: str, root: Path) -> Iterator[tuple[int, Trace, str | None, str]]:
    """(where it begins, trace, side, why) of each trace of a set, by the readers that a mix's step names."""
    read: Readings = defaultdict(lambda: defaultdict(list))
    for called, reader in step.inputs.items():
        if called.startswith(f"{name} as pairs, "):
            for verdict in read_records(reader.directory(root) / VERDICTS, Verdict):
                read[verdict.trace][str(reader.settings["question"])].append(verdict)
    for place, trace in read_placed(step.inputs[name].directory(root) / TRACES, Trace):
        yield place, trace, *side_of(trace, read.get(trace.id, {}))


def side_of(trace: Trace, readings: dict[str, list[Verdict]]) -> tuple[str | None, str]:
    """(the side a trace is on, what its readers called it), or (None, why it is on neither)."""
    if trace.prompt.kind != "harmful":
        return None, "of a prompt that seeks no harm"
    if wrong := faults(trace):
        return None, wrong[0]
    if trace.shielded:
        return None, "partly shielded"
    guards, patterns = readings.get("guard", []), readings.get("patterns", [])
    if patterns and all(one.labels for one in patterns):
        return REJECTED, patterns[0].label or ""
    if guards and all(one.label == "unsafe" for one in guards):
        return REJECTED, "unsafe"
    if guards and patterns and all(one.label == "safe" for one in guards) and all(one.has("none") for one in patterns):
        return CHOSEN, "safe"
    return None, "unscored, undecided, or judged differently by its readers"


def _rows(both: dict[str, dict[str, tuple[Path, int, str]]]) -> Iterator[dict[str, Any]]:
    for prompt, sides in both.items():
        chosen, rejected = (next(read_at(file, Trace, [at])) for file, at, _ in (sides[CHOSEN], sides[REJECTED]))
        turns = [*((turn.role, turn.content) for turn in chosen.prompt.turns), ("user", chosen.prompt.text)]
        yield {
            "prompt": [{"role": role, "content": clean(text)} for role, text in turns],
            "chosen": _reply(chosen),
            "rejected": _reply(rejected),
            "prompt_id": prompt,
            "chosen_trace": chosen.id,
            "rejected_trace": rejected.id,
            "rejected_for": sides[REJECTED][2],
        }


def _reply(trace: Trace) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": clean(render(trace.reasoning, trace.answer or ""))}]


def _card(size: int, prompts: int, found: Pairs) -> str:
    models = {"teacher": list(found.teachers), **{role: list(by) for role, by in found.judges.items()}}
    text = [
        "\n# Preference pairs\n",
        f"{size} pairs of traces of the same harmful prompt, {MADE}: `chosen` was called safe and without "
        "any risky pattern by every reader, `rejected` unsafe or with a risky pattern. They are as good as these "
        "readers. `rejected` replies may be harmful.\n",
        f"{prompts - size} further prompts have a trace of one kind only. Whether a prompt occurs in what you evaluate "
        "was not looked at.\n",
        table("Traces", ("what", "traces"), found.counts.most_common()),
        models_of({"models": models}),
        sources_of({"sources": sorted(found.sources)}),
        f"{LAST}\n",
        '```python\nimport datasets\n\nrows = datasets.load_dataset("FOLDER", split="train")\n```\n',
        "`prompt`, `chosen` and `rejected` are lists of messages, as TRL's `DPOTrainer` takes them. Many chat "
        "templates drop the reasoning from an assistant's turn, and then the pair differs in its answers alone: decode "
        f"one batch before training. The marks are {cell('<think> and </think>')}; a student of another family needs "
        "its own.\n",
    ]
    return "\n".join(piece for piece in text if piece)
