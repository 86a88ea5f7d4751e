"""`rethink`: a student goes on several times from cuts of its own reasonings (arXiv 2606.25013).

Reads the traces of a finished evaluation; writes `rethought.jsonl` (one line for each chosen trace: its cuts and the
replies from each, or why there are none), `traces.jsonl` (those replies, what they were made to begin with shielded)
and `verdicts.jsonl` (the first refusal reader's). Cuts stand behind whole sentences, at the quarters of a reasoning;
from the cut before the first sentence the student is asked the prompt alone. Which traces: a first reply to every
prompt before a second to any, prompts in an order that their texts decide, so that all arms are asked alike. Several
replies of a greedy student would be one, so it is asked as a sampled one.
Where we differ: the paper closes the reasoning at the cut and draws a hundred answers; here it goes on thinking unless
`close` is set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from unwaver.judging.anatomy import sentences
from unwaver.judging.tally import Counts
from unwaver.models.chat import family_of
from unwaver.progress import say
from unwaver.reasoning import begin, render
from unwaver.reasoning.families import Family
from unwaver.recipe import ModelSettings, Recipe
from unwaver.records import Message, Record, Request, Sampling, Trace, digest
from unwaver.stages.calls import LEARNED_FROM, Calls, TraceMaker, Workplace, student_of
from unwaver.stages.evaluate import gone_on
from unwaver.stages.judge import verdicts_on
from unwaver.store import TRACES, VERDICTS, RunDir, Step, read_records

VERSION = 1
"""Raised whenever the same traces are cut or chosen otherwise."""

RETHOUGHT = "rethought.jsonl"

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where a reasoning is cut, as shares of its sentences; where it has few, some of these are one."""

UNENDED = "no reasoning that ended"
BEGUN = "its reasoning was begun by others"
WORDLESS = "no sentence in its reasoning"


class Cut(Record):
    """One place in a reasoning, and what the student said from there."""

    share: float
    """The sentences before it, as a share of all."""
    replies: tuple[str, ...]
    """The ids of the replies' traces, by number of the sample."""


class Rethought(Record):
    """One trace of an evaluation, rethought."""

    of: str
    """The id of the trace."""
    cuts: tuple[Cut, ...] = ()
    """In order; none where it could not be rethought."""
    failure: str | None = None
    """Why there are none."""


def chosen(traces: Iterable[Trace], most: int) -> list[Trace]:
    """At most so many traces, whatever became of them."""
    return sorted(traces, key=lambda trace: (trace.sample, digest([trace.prompt.behaviour, trace.prompt.text])))[:most]


def unfit(trace: Trace) -> str | None:
    """Why a trace can't be rethought; None where it can."""
    if trace.failure is not None:
        return trace.failure
    if trace.shielded:
        return BEGUN
    if trace.block != "closed" or not trace.reasoning:
        return UNENDED
    return None if sentences(trace.reasoning) else WORDLESS


def cuts(reasoning: str) -> list[tuple[float, str]]:
    """(share of the sentences, the text up to there) of every cut, in order."""
    ends = [0, *(end for _, end in sentences(reasoning))]
    last = len(ends) - 1
    places = dict.fromkeys(int(share * last + 0.5) for share in QUARTERS)
    return [(place / last, reasoning[: ends[place]]) for place in places]


def opening(text: str, family: Family, close: bool) -> str:
    """What a reply is made to begin with so that it goes on behind this much of a reasoning."""
    if close:
        return render(text, "", tags=family).removesuffix(family.render_end)
    return begin(text, family) if text else ""


@dataclass(frozen=True)
class _Asked:
    """One cut of one trace, with what the student is asked there."""

    trace: Trace
    share: float
    text: str
    requests: tuple[Request, ...]


def run(step: Step, recipe: Recipe, place: Workplace) -> dict[str, Any]:
    """Have the student go on, and its answers read; the manifest."""
    source, settings = step.inputs["traces"], step.settings
    student = student_of(source, recipe, place)
    picked = chosen(read_records(source.directory(place.root) / TRACES, Trace), int(settings["traces"]))
    with RunDir.open(step, place.root) as out:
        calls = Calls(out, place, recipe.max_failed)
        try:
            asked = list(_asked(picked, student, settings))
            if not asked:
                say(
                    f"{step.name}: none of {len(picked)} replies holds a reasoning that ended; nothing can be rethought"
                )
            rethought, traces = _gone_on(picked, asked, student, calls, step.name)
            out.write(TRACES, traces)
            read = Counts()
            verdicts = verdicts_on("refusal", str(settings["by"]), out.path / TRACES, recipe, calls)
            out.write(VERDICTS, read.passing(verdicts))
            out.write(RETHOUGHT, rethought)
            calls.tell()
            counts = {
                "traces": len(picked),
                "unfit": dict(Counter(one.failure for one in rethought if one.failure is not None)),
                "replies": len(traces),
                "failed": dict(Counter(trace.failure for trace in traces if trace.failure is not None)),
                **read.summary(),
            }
            return out.finish(counts, model=student.label, **calls.summary())
        finally:
            calls.close()


def _asked(picked: Sequence[Trace], student: ModelSettings, settings: dict[str, Any]) -> Iterator[_Asked]:
    fit = [trace for trace in picked if unfit(trace) is None]
    if not fit:
        return  # the student's tokenizer isn't wanted
    family, close, k = family_of(student), bool(settings["close"]), int(settings["k"])
    sampling = Sampling.model_validate(settings["sampling"])
    for trace in fit:
        messages = (*trace.prompt.turns, Message(role="user", content=trace.prompt.text))
        for share, text in cuts(trace.reasoning or ""):
            prefill = opening(text, family, close)
            requests = (Request(messages=messages, prefill=prefill, sampling=sampling, sample=n) for n in range(k))
            yield _Asked(trace, share, text, tuple(requests))


def _gone_on(
    picked: Sequence[Trace], asked: Sequence[_Asked], student: ModelSettings, calls: Calls, name: str
) -> tuple[list[Rethought], list[Trace]]:
    """Ask all, each request once, however many traces share it: what was made of each trace, and the replies."""
    requests = {request.id: request for one in asked for request in one.requests}
    calls.ask(student, requests.values, len(requests), f"ask {student.label} again, {name}")
    looked = TraceMaker(student)
    pairs = ((one.trace.prompt, request) for one in asked for request in one.requests)
    for prompt, request in islice(pairs, LEARNED_FROM):
        looked.make(prompt, request, calls.reply(student, request))
    maker = looked.learned()
    replies: dict[str, Trace] = {}
    by_trace: dict[str, list[Cut]] = {}
    for one in asked:
        said = [_reply(one, request, student, calls, maker) for request in one.requests]
        replies |= {trace.id: trace for trace in said}
        by_trace.setdefault(one.trace.id, []).append(Cut(share=one.share, replies=tuple(trace.id for trace in said)))
    maker.tell()
    for request in requests.values():
        calls.note(student, request, calls.reply(student, request))
    rethought = [
        Rethought(of=trace.id, cuts=tuple(by_trace.get(trace.id, ())), failure=unfit(trace)) for trace in picked
    ]
    return rethought, list(replies.values())


def _reply(one: _Asked, request: Request, student: ModelSettings, calls: Calls, maker: TraceMaker) -> Trace:
    reply = calls.reply(student, request)
    trace = maker.make(one.trace.prompt, request, reply)
    return gone_on(trace, one.text, reply, student) if one.text else trace
