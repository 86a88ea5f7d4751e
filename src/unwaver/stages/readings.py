"""How a stage has traces read: rules answer at once; models are asked, asked once more, then it is unscored.

Traces are gone through several times, so they are handed over as a function that begins again: a file of a million
traces is read anew each time, and none of it need be held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from unwaver.judging import ModelReader, RuleReader
from unwaver.judging.readers import grader, model_reader, rule_reader
from unwaver.progress import bar
from unwaver.recipe import RULES, Recipe
from unwaver.records import LookedAt, Reply, Request, Trace, Verdict
from unwaver.stages.calls import Calls

Traces = Callable[[], Iterable[Trace]]
"""Begins the same traces again, in the same order."""

GRADED = ("maths", "code")
"""The rubrics with a right answer, read without a judge."""

GRADED_TOGETHER = 1024
"""Traces handed to a grader's processes at once."""


def judges_of(rubric: str, recipe: Recipe) -> list[str]:
    """Who reads for a rubric, the one whose label decides first: `rules`, or names of models."""
    return [RULES] if rubric in GRADED else list(getattr(recipe.judge, rubric))


def read(traces: Traces, rubric: str, recipe: Recipe, calls: Calls) -> Iterator[Verdict]:
    """A verdict for every trace from every judge the recipe names for the rubric; the first judge's come first."""
    for judge in judges_of(rubric, recipe):
        yield from read_by(judge, traces, rubric, recipe, calls)


def read_by(
    judge: str, traces: Traces, rubric: str, recipe: Recipe, calls: Calls, *, looked_at: LookedAt | None = None
) -> Iterator[Verdict]:
    """One judge's verdict for every trace, in their order. Where there are no traces no judge is made."""
    if next(iter(traces()), None) is None:
        return
    if rubric in GRADED:
        with grader(rubric) as graded, bar(f"{rubric}, graded", None) as progress:
            left = iter(traces())
            while batch := list(islice(left, GRADED_TOGETHER)):
                for verdict in graded.verdicts(batch):
                    yield verdict
                    progress.advance()
    elif judge == RULES:
        yield from by_rules(rule_reader(rubric, looked_at), traces())
    else:
        reader = model_reader(rubric, recipe.models[judge], recipe.judge, looked_at)
        yield from by_model(reader, judge, traces, recipe, calls)


def by_rules(reader: RuleReader, traces: Iterable[Trace]) -> Iterator[Verdict]:
    """The readings of a rule reader."""
    with bar(f"{reader.rubric.partition('@')[0]} by rules", None) as progress:
        for trace in traces:
            yield reader.verdict(trace)
            progress.advance()


def by_model(reader: ModelReader, role: str, traces: Traces, recipe: Recipe, calls: Calls) -> Iterator[Verdict]:
    """The readings of a model: ask, read, ask the unreadable ones once more, and leave the rest unscored.

    Of the traces only the numbers of those to be asked again are held.
    """
    settings = recipe.models[role]
    what = f"{reader.rubric.partition('@')[0]} by {role}"

    def requests() -> Iterator[Request]:
        return (request for trace in traces() if (request := reader.request(trace)) is not None)

    calls.ask(settings, requests, sum(1 for _ in requests()), what)
    again = {
        at
        for at, trace in enumerate(traces())
        if (request := reader.request(trace)) is not None
        and _repair(reader, trace, calls.reply(settings, request), settings.label) is not None
    }

    def repairs() -> Iterator[Request]:
        for trace in (trace for at, trace in enumerate(traces()) if at in again):
            request = reader.request(trace)
            repair = request and _repair(reader, trace, calls.reply(settings, request), settings.label)
            if repair is not None:
                yield repair

    calls.ask(settings, repairs, len(again), what)
    for at, trace in enumerate(traces()):
        request = reader.request(trace)
        silent = Reply(ending="error", failure="no text to read")
        reply = silent if request is None else calls.reply(settings, request)
        repair = _repair(reader, trace, reply, settings.label) if at in again else None
        yield reader.read(trace, reply if repair is None else calls.reply(settings, repair), settings.label)


def _repair(reader: ModelReader, trace: Trace, reply: Reply, judge: str) -> Request | None:
    """The second request for a trace; None where the first reply can be read, or asking again would not help."""
    if reply.failure is not None:
        return None
    verdict = reader.read(trace, reply, judge)
    return reader.repair(trace, reply, verdict.reason) if verdict.label is None else None
