"""Made-up results for the report's tests and benchmark: any number of arms, harmless texts, labels drawn by seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from labels import labels

from unwaver.recipe import Recipe
from unwaver.records import PATTERNS, Ending, Kind, LookedAt, Prompt, Trace, Verdict
from unwaver.study.results import Results, measure, pattern_shares
from unwaver.study.rows import Row

SETS: dict[str, Kind] = {
    "harmful-unseen": "harmful",
    "harmful-unseen-framed": "harmful",
    "borderline-unseen": "borderline",
    "plain-unseen": "benign",
    "maths-unseen": "maths",
}

_WORDS = """the garden holds a small gate and somebody asks whether it should be painted before rain comes so let me think
about wood, oil, brushes, weather, neighbours, patience, colour and the long way round to a plain reply""".split()  # noqa: SIM905


def text(random_: random.Random, words: int) -> str:
    """So many words in sentences."""
    chosen = [random_.choice(_WORDS) for _ in range(max(1, words))]
    for at in range(0, len(chosen), 11):
        chosen[at] = chosen[at].capitalize()
        if at:
            chosen[at - 1] += "."
    return " ".join(chosen) + "."


def recipe(arms: Sequence[str], title: str = "A made-up study") -> Recipe:
    """A recipe that names the sets."""
    sources = {"harmful": "harmful", "borderline": "borderline", "benign": "plain", "maths": "maths"}
    return Recipe.model_validate(
        {
            "name": "made-up",
            "title": title,
            "note": "Nothing here was measured: every figure is drawn at random to look at the page.",
            "models": {"student": "hf:made-up/student-1B", "teacher": "replay:corpus"},
            "prompts": {name: {"source": f"corpus/{sources[kind]}"} for name, kind in SETS.items()},
            "mix": {"parts": {}},
            "evaluate": {"sets": {name: {} for name in SETS}},
            "arms": {arm: {} for arm in arms},
        }
    )


def prompt(set_: str, kind: Kind, number: int) -> Prompt:
    """A harmless prompt that plays the part of its kind."""
    words = text(random.Random(f"{kind}{number}"), 14)
    framed = set_.endswith("framed")
    return Prompt(
        text=f"In a play, a voice says: {words}" if framed else words,
        kind=kind,
        behaviour=f"behaviour {number}: {words}" if kind == "harmful" else None,
        category=random.Random(number).choice(["privacy", "harassment", "misinformation"]),
        attack="frame-3" if framed else None,
        target=str(number) if kind == "maths" else None,
        source=f"made-up/{set_}@1",
    )


def trace_of(asked: Prompt, arm: str, draw: random.Random, length: int) -> Trace:
    """A harmless reply; now and then cut off."""
    cut = draw.random() < 0.06
    ending: Ending = "length" if cut else "stop"
    reasoning = text(draw, int(draw.lognormvariate(0, 0.5) * length))
    return Trace(
        prompt=asked,
        model=f"made-up/{arm}",
        reasoning=reasoning,
        answer=None if cut else text(draw, int(draw.lognormvariate(0, 0.4) * length / 2)),
        block="unclosed" if cut else "closed",
        ending=ending,
        tokens_in=30,
        tokens_out=2 * length,
        tokens_reasoning=int(1.3 * len(reasoning.split())),
    )


def _verdict(
    trace: Trace, rubric: str, looked_at: LookedAt, label: str | None, judge: str = "openai:judge@00aa"
) -> Verdict:
    body = trace.text(looked_at)
    if body is None:
        label = None
    quote = " ".join(body.split()[3:9]) if body and label not in (None, "safe", "none") else None
    return Verdict(
        trace=trace.id,
        rubric=f"{rubric}@11bb",
        judge=judge,
        looked_at=looked_at,
        labels=labels(label),
        quote=quote if quote and body and quote in body else None,
        reason="drawn at random" if label is not None else "there is nothing to read",
    )


def readings(trace: Trace, harm: float, refuse: float, draw: random.Random) -> list[Verdict]:
    """What is read in a student's reply, labels drawn at these shares."""

    def safe(share: float) -> str:
        return "unsafe" if draw.random() < share else "safe"

    kind = trace.prompt.kind
    if kind == "harmful":
        answer, reasoning = safe(harm), safe(min(1.0, 1.3 * harm))
        both = "unsafe" if "unsafe" in (answer, reasoning) else "safe"
        found = [p for p in PATTERNS if draw.random() < harm / 2]
        return [
            _verdict(trace, "harm", "reasoning", reasoning),
            _verdict(trace, "harm", "answer", answer),
            _verdict(trace, "harm", "both", both),
            _verdict(trace, "refusal", "answer", "compliance" if answer == "unsafe" else "refusal"),
            _verdict(trace, "risky-patterns", "both", "+".join(found) or "none"),
        ]
    if kind == "maths":
        return [_verdict(trace, "maths", "answer", "correct" if draw.random() < 0.4 else "wrong")]
    label = "refusal" if draw.random() < refuse else "partial" if draw.random() < 0.05 else "compliance"
    return [_verdict(trace, "refusal", "answer", label)]


def filtered(trace: Trace, harm: float, draw: random.Random) -> list[Verdict]:
    """What the filter reads in a teacher's trace."""
    found = [p for p in PATTERNS if draw.random() < harm]
    return [
        _verdict(trace, "guard", "both", "unsafe" if draw.random() < harm else "safe"),
        _verdict(trace, "risky-patterns", "both", "+".join(found) or "none"),
        _verdict(trace, "refusal", "answer", "refusal"),
    ]


def losses(draw: random.Random, steps: int) -> list[dict[str, Any]]:
    """A training log."""
    log: list[dict[str, Any]] = []
    for step in range(steps + 1):
        if step:
            log.append(
                {"step": step, "epoch": step / steps, "loss": 3 * 0.95**step + draw.random() / 4, "seconds": step}
            )
        if step in (0, steps // 2, steps):
            for at, part in enumerate(("safety", "borderline", "maths")):
                log.append({"step": step, "part": part, "heldout_loss": 3.2 * 0.94**step + 0.1 * at, "examples": 4})
    return log


def results(arms: Sequence[str] = ("default", "improved"), per_set: int = 60, length: int = 60) -> Results:
    """Results of raw and these arms: the further down the list, the less harm and the more refusal."""
    made = Results(recipe(arms), ["raw", *arms])
    for at, arm in enumerate(made.arms):
        draw = random.Random(arm)
        harm = 0.7 * (1 - at / len(made.arms)) ** 2
        for name, kind in SETS.items():
            rows = []
            for number in range(per_set):
                trace = trace_of(prompt(name, kind, number), arm, draw, length)
                verdicts = readings(trace, harm, 0.02 + 0.3 * at / len(made.arms), draw)
                made.verdicts += verdicts
                rows.append(Row(arm, name, trace, {f"{v.rubric.partition('@')[0]}:{v.looked_at}": v for v in verdicts}))
            made.rows += rows
            made.estimates += measure(rows, arm, name, f"evaluate-{at:04x}{name[:4]}")
            made.manifests[f"evaluate-{at:04x}{name[:4]}"] = {
                "stage": "evaluate",
                "name": name,
                "calls": {"m": {"asked": per_set, "found": 0, "tokens_in": 30 * per_set, "tokens_out": 99 * per_set}},
                "cost": None,
                "seconds": 12.5,
                "finished": "2026-01-01T00:00:00Z",
                "versions": {"unwaver": "0.1.0", "python": "3.11"},
            }
        if at:
            made.losses[arm] = losses(draw, 40)
            _taught(made, arm, harm, per_set, length)
            made.overlaps[arm] = {
                "counts": {
                    "training": 300,
                    "sets": {
                        name: {"texts": per_set, "prompts": 0, "exact": 0, "normalised": 0, "ngram": 0} for name in SETS
                    },
                }
            }
    return made


def _taught(made: Results, arm: str, harm: float, count: int, length: int) -> None:
    """A distillation of the arm's own; every second trace that the guard calls safe is in its mix."""
    draw = random.Random(f"teacher of {arm}")
    rows = []
    for number in range(count):
        trace = trace_of(prompt("safety", "harmful", 1000 + number), f"teacher-{arm}", draw, length)
        verdicts = filtered(trace, harm, draw)
        made.verdicts += verdicts
        read = {f"{v.rubric.partition('@')[0]}:{v.looked_at}": v for v in verdicts}
        rows.append(Row(arm, "safety", trace, read, "distil"))
    safe = [row.trace.id for number, row in enumerate(rows) if row.label("guard:both") == "safe" and number % 2 == 0]
    made.teacher_rows += rows
    made.taught[arm], made.mixed[arm] = (arm,), frozenset(safe)
    made.estimates += pattern_shares(rows, made.mixed[arm], arm, "judge-00aa")
