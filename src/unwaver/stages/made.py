"""What a finished step made, in one line: how much, what became of it, and what can't be used.

Reads the step's manifest, whoever made it and when. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from unwaver.judging.asked.rubric import CUT
from unwaver.plain import counted
from unwaver.stages import usable
from unwaver.store import Step

SHOWN = 3
"""Reasons that are named; the manifest has them all."""


def told(step: Step, manifest: Mapping[str, Any]) -> str:
    """The line."""
    return f"{step.stage} {step.name}: {_LINES[step.stage](step, manifest)}"


def _prompts(step: Step, manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    attacks = {name: count for name, count in counts["attacks"].items() if name != "none"}
    framed = f", {sum(attacks.values())} of them in {counted(len(attacks), 'template')}" if attacks else ""
    again = f"; {counted(n, 'row')} left out for repeating a text" if (n := counts.get("repeated")) else ""
    return f"{counted(counts['written'], 'prompt')} ({_listed(counts['kinds'], len(counts['kinds']))}){framed}{again}"


def _distil(step: Step, manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    line = counted(counts["written"], "trace")
    if not (wrong := counts.get("unusable", {})):
        return line
    limit = step.settings.get("max_tokens")
    few = counts["usable"] < counts["written"] / 2
    return f"{line}; {usable.told(wrong, limit)}{': ' + usable.advice(wrong) if few else ''}"


def _judge(step: Step, manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    looked = [*dict.fromkeys([*counts["labels"], *counts["unscored"]])]
    lines = []
    for where in looked:
        part = where.partition("(")[2].partition(")")[0]
        found = _listed(counts["labels"].get(where, {}))
        why = counts["unscored"].get(where, {})
        left = f"{sum(why.values())} unscored ({_listed(why)})" if why else ""
        lines.append(f"{part + ': ' if len(looked) > 1 else ''}{', '.join(one for one in (found, left) if one)}")
    read = sum(sum(one.values()) for one in counts["labels"].values())
    cut = sum(n for why in counts["unscored"].values() for reason, n in why.items() if CUT in reason)
    advice = ": raise judge.max_tokens" if cut > read else ""
    return (
        f"{counted(counts['traces'], 'trace')}; " + ("; ".join(lines) or "none of a kind that is asked about") + advice
    )


def _mix(step: Step, manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    parts = []
    for name, part in counts["parts"].items():
        dropped = {why: n for why, n in part["dropped"].items() if why != "enough were drawn"}
        spare = f", {counted(part.get('spare', 0), 'prompt')} to spare" if part["wanted"] != "all" else ""
        parts.append(f"{name} {part['kept']}{spare}" + (f" (dropped: {_listed(dropped)})" if dropped else ""))
    keep = manifest.get("keep", "")
    return f"{counted(counts['examples'], 'example')}{f' by keep = {keep}' if keep else ''}: {', '.join(parts)}"


def _overlap(step: Step, manifest: Mapping[str, Any]) -> str:
    shared = {name: one["prompts"] for name, one in manifest["counts"]["sets"].items() if one["prompts"]}
    found = ", ".join(f"{counted(count, 'prompt')} of {name}" for name, count in shared.items())
    return f"shares {found} with what is evaluated" if found else "shares no text with what is evaluated"


def _train(step: Step, manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    dropped = f"; dropped: {_listed(counts['dropped'])}" if counts["dropped"] else ""
    held = f", {counts['held_out']} held out" if counts["held_out"] else ""
    steps = f" in {counted(manifest['steps'], 'step')}" if "steps" in manifest else ""
    return f"{counted(counts['trained'], 'example')}{steps}{held}{dropped}"


def _evaluate(step: Step, manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    cut, failed = counts["endings"].get("length", 0), sum(counts["failed"].values())
    limit = step.settings["sampling"]["max_tokens"]
    odd = [f"{cut} cut at {limit} tokens"] if cut else []
    odd += [f"{failed} failed ({_listed(counts['failed'])})"] if failed else []
    most = cut > counts["written"] / 2
    advice = f": raise evaluate.sets.{step.name}.max_tokens, or most will be unscored" if most else ""
    replies = counted(counts["written"], "reply", "replies")
    return f"{replies} by {manifest['model']}{'; ' if odd else ''}{', '.join(odd)}{advice}"


_LINES: dict[str, Callable[[Step, Mapping[str, Any]], str]] = {
    "prompts": _prompts,
    "distil": _distil,
    "judge": _judge,
    "mix": _mix,
    "overlap": _overlap,
    "train": _train,
    "evaluate": _evaluate,
}


def _listed(counts: Mapping[str, int], most: int = SHOWN) -> str:
    """The commonest with how often; of the rest how many there are."""
    often = Counter(counts).most_common()
    more = sum(count for _, count in often[most:])
    return ", ".join(f"{count} {what}" for what, count in often[:most]) + (f", {more} others" if more else "")
