"""How a stage has traces read: rules answer at once; models are asked, asked once more, then it is unscored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from unwaver.judging import ModelReader, RuleReader
from unwaver.judging.readers import grader, model_reader, rule_reader
from unwaver.recipe import RULES, Recipe
from unwaver.records import LookedAt, Reply, Request, Trace, Verdict
from unwaver.stages.calls import Calls

GRADED = ("maths", "code")
"""The rubrics with a right answer, read without a judge."""


def read(
    traces: Sequence[Trace], rubric: str, recipe: Recipe, calls: Calls, looked_at: LookedAt | None = None
) -> list[Verdict]:
    """A verdict for every trace from every judge the recipe names for the rubric; the first judge's come first."""
    judges = judges_of(rubric, recipe)
    return [v for judge in judges for v in read_by(judge, traces, rubric, recipe, calls, looked_at=looked_at)]


def judges_of(rubric: str, recipe: Recipe) -> list[str]:
    """Who reads for a rubric, the one whose label decides first: `rules`, or names of models."""
    return [RULES] if rubric in GRADED else list(getattr(recipe.judge, rubric))


def read_by(
    judge: str, traces: Sequence[Trace], rubric: str, recipe: Recipe, calls: Calls, *, looked_at: LookedAt | None = None
) -> list[Verdict]:
    """One judge's verdict for every trace, in their order."""
    if not traces:
        return []
    if rubric in GRADED:
        with grader(rubric) as graded:
            return graded.verdicts(traces)
    if judge == RULES:
        return by_rules(rule_reader(rubric, looked_at), traces)
    return by_model(model_reader(rubric, recipe.models[judge], recipe.judge, looked_at), judge, traces, recipe, calls)


def by_rules(reader: RuleReader, traces: Iterable[Trace]) -> list[Verdict]:
    """The readings of a rule reader."""
    return [reader.verdict(trace) for trace in traces]


def by_model(reader: ModelReader, role: str, traces: Sequence[Trace], recipe: Recipe, calls: Calls) -> list[Verdict]:
    """The readings of a model: ask, read, ask the unreadable ones once more, and leave the rest unscored."""
    settings = recipe.models[role]
    asked = [(trace, reader.request(trace)) for trace in traces]
    _ask(calls, role, reader, [request for _, request in asked if request is not None], recipe)
    verdicts: list[Verdict] = []
    repairs: list[tuple[int, Trace, Request]] = []
    for at, (trace, request) in enumerate(asked):
        reply = (
            calls.reply(settings, request) if request is not None else Reply(ending="error", failure="no text to read")
        )
        verdict = reader.read(trace, reply, settings.label)
        verdicts.append(verdict)
        if verdict.label is None and request is not None and reply.failure is None:
            again = reader.repair(trace, reply, verdict.reason)
            if again is not None:
                repairs.append((at, trace, again))
    _ask(calls, role, reader, [request for _, _, request in repairs], recipe)
    for at, trace, request in repairs:
        verdicts[at] = reader.read(trace, calls.reply(settings, request), settings.label)
    return verdicts


def _ask(calls: Calls, role: str, reader: ModelReader, requests: Sequence[Request], recipe: Recipe) -> None:
    again: Callable[[], Iterable[Request]] = lambda: requests  # noqa: E731 - the shape Calls.ask wants
    calls.ask(recipe.models[role], again, len(requests), f"{reader.rubric.partition('@')[0]} by {role}")
