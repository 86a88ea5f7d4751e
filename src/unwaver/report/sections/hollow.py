"""Where figures are hollow: what a reader must know before believing any of them, in a sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from unwaver.judging.asked.rubric import CUT
from unwaver.judging.questions import GUARD, PATTERNS_SHOWN
from unwaver.plain import some
from unwaver.recipe import TrainSettings
from unwaver.records import Verdict
from unwaver.report.arms import spoken
from unwaver.report.facts import EvaluationFacts, Facts
from unwaver.report.sections.leaks import overlap_sentence
from unwaver.study.comparison import MOST_LEFT_OUT
from unwaver.study.measures import main_measure
from unwaver.study.rows import Row

MOST = 0.5
"""Above this share of replies cut, a figure speaks of the short ones."""

SOME = 0.1
"""From this share of readings on, a reader is said to be out of its ground."""

NAMED = 6
"""Most figures that are named in a sentence."""

_GROUND = ("language:", "is unlike what this was trained on", "is longer than this was measured on")
"""How a reader without a model says that a text is none of its kind."""


def hollow(facts: Facts) -> list[str]:
    """What must be known first; none where figures stand on firm ground."""
    said = [*_cut(facts), *_unscored(facts), *_out_of_ground(facts), *_patterns(facts), *_unsafe(facts), *_rate(facts)]
    leak = overlap_sentence(facts)
    return [*said, leak] if leak.startswith("In training") else said


def _figures(facts: Facts) -> Iterator[tuple[str, EvaluationFacts, list[Row]]]:
    for arm, members in facts.arms.items():
        for one in facts.sets:
            if rows := [row for member in members for row in facts.rows.get((member, one.name), ())]:
                yield arm, one, rows


def _cut(facts: Facts) -> list[str]:
    found = []
    for arm, one, rows in _figures(facts):
        cut = sum(row.trace.truncated for row in rows)
        if cut > MOST * len(rows):
            found.append(f"{arm} on {one.name}, {cut} of {len(rows)}")
    text = "Most replies were cut by the token limit, so these figures speak of the short ones (evaluate.max_tokens)"
    return [f"{text}: {some(found, NAMED, '; ')}."] if found else []


def _unscored(facts: Facts) -> list[str]:
    """Figures that rest on too few, with the commonest reason."""
    found = []
    for arm, one, rows in _figures(facts):
        measure = main_measure(one.kind)
        left = [row for row in rows if measure.of(row) is None]
        if len(left) > MOST_LEFT_OUT * len(rows):
            why = _why(verdict for row in left for key in measure.reads if (verdict := row.readings.get(key)))
            found.append(f"{arm} on {one.name}, {len(left)} of {len(rows)}{f' ({why})' if why else ''}")
    advice = " Raise judge.max_tokens: its replies were cut." if any(CUT in text for text in found) else ""
    return [f"Unscored, and so in no rate: {some(found, NAMED, '; ')}.{advice}"] if found else []


def _why(verdicts: Iterable[Verdict]) -> str:
    """The commonest reason of what has no label."""
    reasons = Counter(verdict.reason for verdict in verdicts if verdict.labels is None)
    return reasons.most_common(1)[0][0] if reasons else ""


def _out_of_ground(facts: Facts) -> list[str]:
    """What readers without a model were given that they can't read."""
    asked: Counter[str] = Counter()
    beyond: dict[str, list[Verdict]] = {}
    for verdict in facts.results.verdicts:
        rubric = verdict.rubric.partition("@")[0].replace("-", " ")
        asked[rubric] += 1
        if verdict.labels is None and any(mark in verdict.reason for mark in _GROUND):
            beyond.setdefault(rubric, []).append(verdict)
    return [
        f"The reader of {rubric} is out of its ground: {len(found):,} of {asked[rubric]:,} texts ({_why(found)})."
        for rubric, found in beyond.items()
        if len(found) >= SOME * asked[rubric]
    ]


def _patterns(facts: Facts) -> list[str]:
    """Teachers' traces whose risky patterns nobody could read."""
    found = [verdict for row in facts.results.teacher_rows if (verdict := row.readings.get(PATTERNS_SHOWN)) is not None]
    left = sum(verdict.labels is None for verdict in found)
    if left <= MOST_LEFT_OUT * max(1, len(found)):
        return []
    said = f"Risky patterns: {left:,} of {len(found):,} readings of the teacher's traces are unscored"
    left_over = "so nothing is known of them" if left == len(found) else "their shares speak of the rest"
    return [f"{said} ({_why(found)}); {left_over}."]


def _unsafe(facts: Facts) -> list[str]:
    """Arms that were trained on what the guard calls unsafe."""
    label = {row.trace.id: row.label(GUARD) for row in facts.results.teacher_rows}
    found: dict[str, list[str]] = {}
    for arm, members in facts.arms.items():
        read = [label[trace] for member in members for trace in facts.results.mixed.get(member, ()) if trace in label]
        if unsafe := read.count("unsafe"):
            found.setdefault(f"{unsafe:,} of {len(read):,}", []).append(arm)
    trained = [arm for arm in facts.arms if not facts.is_raw(arm)]
    said = "; ".join(f"{share} ({spoken(arms, trained)})" for share, arms in found.items())
    return [f"Trained on harmful prompts' traces that the guard calls unsafe (mix.keep): {said}."] if said else []


def _rate(facts: Facts) -> list[str]:
    """An adapter that was trained at the default rate, which is one for all weights."""
    train = facts.results.recipe.train
    default = TrainSettings.model_fields["learning_rate"].default
    if not train.adapters or train.learning_rate > default or not facts.results.recipe.parts():
        return []
    return [
        f"An adapter ({train.method}) was trained at the rate {train.learning_rate:g}, which is one for full "
        "fine-tuning: expect next to no change (train.learning_rate; 1e-4 is usual)."
    ]
