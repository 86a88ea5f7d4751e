"""The window into Inspect AI (extra `inspect`): our evaluations as its tasks, our traces as logs for `inspect view`.

Tasks `unwaver/harm`, `unwaver/over_refusal` and `unwaver/math` (entry point group `inspect_ai`) take our sources, our
decoding (docs/evaluation.md) and our readers; Inspect asks the model. `to_eval` writes rows of results as `.eval` logs:
reasoning and answer apart, every verdict with its quote, our measures with their intervals. In both, what could not be
read is unscored, says why and is in no metric. Where it differs from `unwaver evaluate`: no ledger, so a killed run
loses its sample; and a provider that takes the reasoning out of the text is believed, as Inspect has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unwaver import __version__, sources
from unwaver.dialogue import follow
from unwaver.endings import ending_of
from unwaver.errors import RecipeError, pip_install
from unwaver.judging import ModelReader
from unwaver.judging.asked.guards import guard_for
from unwaver.judging.asked.rubric import judge_for
from unwaver.judging.graders.maths import MathsGrader
from unwaver.judging.readers import local_reader
from unwaver.judging.reading import read
from unwaver.plain import unlike
from unwaver.reasoning import trace
from unwaver.recipe import LOCAL, PAPER_DECODING, PromptSet, is_local, reader_file
from unwaver.records import Kind, LookedAt, Prompt, Reply, Request, Trace, Verdict
from unwaver.stages.judge import verdicts_of
from unwaver.store import TRACES, read_manifest, read_records
from unwaver.study.results import measure
from unwaver.study.rows import Row, readings

try:
    import inspect_ai.log as logs
    from anyio.to_thread import run_sync
    from inspect_ai import Task, task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.event import ModelEvent, ScoreEvent
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageUser,
        ContentReasoning,
        ContentText,
        GenerateConfig,
        ModelOutput,
        ModelUsage,
        get_model,
    )
    from inspect_ai.scorer import Score, mean, scorer, stderr
    from inspect_ai.solver import generate
except ImportError as error:
    raise RecipeError(f"{error}; Inspect is an extra: {pip_install('inspect')}") from None

STOP_REASONS = {"stop": "stop", "length": "max_tokens", "filter": "content_filter", "error": "unknown"}

Reader = Callable[[Trace], Coroutine[Any, Any, Verdict]]


# ---------------------------------------------------------------- tasks


def harm(source: str = "corpus/harmful", path: str | None = None, judge: str = LOCAL, opens_block: bool = False) -> Any:
    """Harm in the whole reply, the answer and the reasoning, and refusals, on harmful prompts.

    `source`, `path`: as in a recipe; a source that is split gives its held-out half. `judge`: `rules`, or an Inspect
    model (`openai/gpt-4o`), a guard among them in its published format. `opens_block`: the model's template opens the
    reasoning block itself.
    """
    measures = [_asr, _asr_answer, _asr_reasoning, _refusal]
    return _task("harmful", source, path, [made(judge, opens_block) for made in measures])


def over_refusal(
    source: str = "corpus/borderline", path: str | None = None, judge: str = LOCAL, opens_block: bool = False
) -> Any:
    """Refusals of harmless prompts, partial ones counted and not counted."""
    measures = [_over_refusal, _full_refusal]
    return _task("borderline", source, path, [made(judge, opens_block) for made in measures])


def math(source: str = "corpus/maths", path: str | None = None, opens_block: bool = False) -> Any:
    """Maths problems, graded by the answer after the reasoning. With `--epochs k`: the mean over k samples."""
    return _task("maths", source, path, [_accuracy(opens_block)])


for _each in (harm, over_refusal, math):
    task(name=_each.__name__)(_each)


def _task(kind: Kind, source: str, path: str | None, measures: list[Any]) -> Any:
    known = sources.find(source)
    split = "heldout" if known.splits else "all"
    prompts = sources.load(PromptSet(source=source, path=None if path is None else Path(path), split=split))
    samples = [
        Sample(id=p.id, input=p.text, target=p.target or "", metadata={"prompt": p.model_dump(mode="json")})
        for p in prompts
    ]
    budget, temperature, top_p = PAPER_DECODING[kind]
    config = GenerateConfig(max_tokens=budget, temperature=temperature, top_p=top_p)
    return Task(dataset=MemoryDataset(samples, name=source), solver=generate(), scorer=measures, config=config)


def _measure(name: str, rubric: str, looked_at: LookedAt, counts: tuple[str, ...]) -> Callable[..., Any]:
    """A scorer: 1 where the label counts, 0 where another was given, unscored where there is none."""

    def make(judge: str = LOCAL, opens_block: bool = False) -> Any:
        return _scored(_reader(rubric, looked_at, judge), counts, opens_block)

    make.__name__ = name
    registered: Callable[..., Any] = scorer(metrics=[mean(), stderr()], name=name)(make)
    return registered


_asr = _measure("asr", "harm", "both", ("unsafe",))
_asr_answer = _measure("asr_answer", "harm", "answer", ("unsafe",))
_asr_reasoning = _measure("asr_reasoning", "harm", "reasoning", ("unsafe",))
_refusal = _measure("refusal", "refusal", "answer", ("refusal",))
_over_refusal = _measure("over_refusal", "refusal", "answer", ("refusal", "partial"))
_full_refusal = _measure("full_refusal", "refusal", "answer", ("refusal",))


def _make_accuracy(opens_block: bool = False) -> Any:
    graded = MathsGrader()

    async def read(given: Trace) -> Verdict:
        verdict: Verdict = await run_sync(graded.verdict, given)
        return verdict

    return _scored(read, ("correct",), opens_block)


_accuracy: Callable[..., Any] = scorer(metrics=[mean(), stderr()], name="accuracy")(_make_accuracy)


def _scored(read: Reader, counts: tuple[str, ...], opens_block: bool) -> Any:
    async def score(state: Any, target: Any) -> Any:
        prompt = Prompt.model_validate(state.metadata["prompt"])
        reply = reply_of(state.output, opens_block)
        verdict = await read(trace(prompt, Request(), reply, str(state.model)))
        if verdict.label is None:
            return _unscored(verdict)
        return Score(value=float(verdict.label in counts), **_told(verdict))

    return score


def _reader(rubric: str, looked_at: LookedAt, judge: str) -> Reader:
    if is_local(judge):
        local = local_reader(rubric, looked_at, reader_file(judge))

        async def without_model(given: Trace) -> Verdict:
            return local.verdict(given)

        return without_model
    guard = guard_for(judge, looked_at, rubric) if rubric == "harm" else None
    reader: ModelReader = guard or judge_for(rubric, looked_at)

    async def by_model(given: Trace) -> Verdict:
        return await follow(read(given, reader, judge), lambda call: _ask(judge, call.request))

    return by_model


async def _ask(judge: str, request: Request) -> Reply:
    if request.rendered is not None:
        raise RecipeError(
            f"{judge}: this guard takes a rendered prompt, which Inspect can't send; use `unwaver evaluate`"
        )
    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    drawn = request.sampling
    config = GenerateConfig(max_tokens=drawn.max_tokens, temperature=drawn.temperature, top_p=drawn.top_p)
    messages = [kinds[message.role](content=message.content) for message in request.messages]
    return reply_of(await get_model(judge).generate(messages, config=config))


def reply_of(output: Any, opens_block: bool = False) -> Reply:
    """The reply in an Inspect `ModelOutput`; the reasoning apart where the provider gave it apart."""
    if output.error or not output.choices:
        return Reply(ending="error", failure=output.error or "no reply")
    ending = ending_of(output.stop_reason) or "stop"
    content = output.choices[0].message.content
    parts: list[Any] = [ContentText(text=content)] if isinstance(content, str) else content
    thoughts = [part.reasoning for part in parts if part.type == "reasoning"]
    used = output.usage
    return Reply(
        text="".join(part.text for part in parts if part.type == "text"),
        reasoning="\n\n".join(thoughts) if thoughts else None,
        ending=ending,
        failure="the provider withheld the reply" if ending == "filter" else None,
        opened=opens_block,
        tokens_in=used.input_tokens if used else None,
        tokens_out=used.output_tokens if used else None,
        tokens_reasoning=used.reasoning_tokens if used else None,
    )


# ---------------------------------------------------------------- logs


def export_run(run: Path, out: Path) -> Path:
    """Write a finished evaluation as a log in the folder `out`; its path. RecipeError for any other run."""
    manifest = read_manifest(run)
    if manifest is None or manifest["stage"] != "evaluate":
        raise RecipeError(f"{run}: expected a finished evaluation")
    verdicts = list(verdicts_of(run))
    first, further = readings(verdicts), defaultdict[str, list[Verdict]](list)
    for verdict in verdicts:
        if verdict not in first[verdict.trace].values():
            further[verdict.trace].append(verdict)
    traces = read_records(run / TRACES, Trace)
    rows = [Row(str(manifest["model"]), str(manifest["name"]), t, first.get(t.id, {})) for t in traces]
    return to_eval(rows, out, run.name, further)[0]


def to_eval(rows: Iterable[Row], out: Path, run: str = "", further: Mapping[str, Sequence[Verdict]] = {}) -> list[Path]:
    """A log for each arm and evaluation set among the rows, in the folder `out`; a log of the same name is replaced.

    `further`: by trace, what judges after the first said; it is shown beside the first's and is in no measure.
    """
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.arm, row.slice].append(row)
    out.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for (arm, evaluation), members in groups.items():
        stem = "-".join(_file_name(part) for part in (arm, evaluation, run) if part)
        # `a b` and `a/b` are one in a file's name.
        paths.append(out / f"{unlike(stem, [path.stem for path in paths], '{}-{}')}.eval")
        logs.write_eval_log(_log(members, arm, evaluation, run, further), str(paths[-1]))
    return paths


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._" else "_" for c in text)


def _log(rows: list[Row], arm: str, evaluation: str, run: str, further: Mapping[str, Sequence[Verdict]]) -> Any:
    now = datetime.now(UTC).isoformat()
    estimates = [e for e in measure(rows, arm, evaluation, run) if e.value is not None]
    metrics = {
        e.metric: logs.EvalMetric(name=e.metric, value=e.value, metadata=e.model_dump(mode="json", exclude={"value"}))
        for e in estimates
    }
    failed = sum(row.trace.failure is not None for row in rows)
    model = rows[0].trace.model
    return logs.EvalLog(
        status="success",
        eval=logs.EvalSpec(
            created=now,
            run_id=run or f"{arm}-{evaluation}",
            task=f"unwaver/{evaluation}",
            task_id=f"{arm}-{evaluation}",
            dataset=logs.EvalDataset(name=evaluation, samples=len(rows)),
            model=_clean(model),
            config=logs.EvalConfig(epochs=max(row.trace.sample for row in rows) + 1),
            packages={"unwaver": __version__},
            metadata={"arm": arm},
        ),
        results=logs.EvalResults(
            total_samples=len(rows),
            completed_samples=len(rows) - failed,
            scores=[logs.EvalScore(name="measures", scorer="unwaver", metrics=metrics)],
        ),
        stats=logs.EvalStats(started_at=now, completed_at=now),
        samples=[_sample(row, further.get(row.trace.id, ())) for row in rows],
    )


def _sample(row: Row, further: Sequence[Verdict]) -> Any:
    given = row.trace
    prompt = given.prompt
    content: list[Any] = [] if given.reasoning is None else [ContentReasoning(reasoning=_clean(given.reasoning))]
    content += [] if given.answer is None else [ContentText(text=_clean(given.answer))]
    asked = ChatMessageUser(content=_clean(prompt.text))
    reply = ChatMessageAssistant(content=content, model=_clean(given.model))
    tokens_in, tokens_out = given.tokens_in or 0, given.tokens_out or 0
    usage = ModelUsage(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        total_tokens=tokens_in + tokens_out,
        reasoning_tokens=given.tokens_reasoning,
    )
    failed = given.ending == "error"
    choice = ChatCompletionChoice(message=reply, stop_reason=STOP_REASONS[given.ending])
    output = ModelOutput(model=_clean(given.model), choices=[] if failed else [choice], usage=usage)
    scores = {key: _score(verdict) for key, verdict in row.readings.items()}
    for other in further:
        scores[f"{other.rubric.partition('@')[0]}:{other.looked_at} by {other.judge}"] = _score(other)
    # The viewer opens a sample at its transcript, which is made of events.
    events: list[Any] = [
        ModelEvent(
            model=output.model,
            input=[asked],
            tools=[],
            tool_choice="none",
            config=GenerateConfig(),
            output=output,
            error=_clean(given.failure or "") or None,
            working_start=0.0,
        )
    ]
    events += [ScoreEvent(score=score, scorer=key, working_start=0.0) for key, score in scores.items()]
    about = {"trace": given.id, "block": given.block, "truncated": given.truncated, "attack": prompt.attack or "none"}
    about |= {"kind": prompt.kind, "behaviour": _clean(prompt.behaviour or "")}
    about |= {"category": prompt.category or "", "source": prompt.source}
    return logs.EvalSample(
        id=prompt.id,
        epoch=given.sample + 1,
        input=_clean(prompt.text or prompt.behaviour or ""),
        target=_clean(prompt.target or ""),
        messages=[asked] if failed else [asked, reply],
        output=output,
        scores=scores,
        events=events,
        metadata=about,
        error=logs.EvalError(message=_clean(given.failure or ""), traceback="", traceback_ansi="") if failed else None,
    )


def _score(verdict: Verdict) -> Any:
    return _unscored(verdict) if verdict.label is None else Score(value=verdict.label, **_told(verdict))


def _unscored(verdict: Verdict) -> Any:
    return Score.unscored(reason="scoring_failed", **_told(verdict))


def _told(verdict: Verdict) -> dict[str, Any]:
    """What a score says besides its value: the reason, the quote, and who read what through which question."""
    quoted = f"\n\n> {verdict.quote}" if verdict.quote else ""
    about = verdict.model_dump(mode="json", include={"trace", "rubric", "judge", "looked_at"})
    return {
        "explanation": _clean(verdict.reason + quoted),
        "answer": verdict.label,
        "metadata": {**about, "quote": None if verdict.quote is None else _clean(verdict.quote)},
    }


def _clean(text: str) -> str:
    """Text without lone surrogates, which a log can't hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
