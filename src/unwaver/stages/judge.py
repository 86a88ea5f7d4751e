"""`judge`: one reader's answer to one question about every trace of a teacher or a student (docs/protocols.md).

Reads `traces.jsonl`, whoever wrote it; writes `verdicts.jsonl` (records.Verdict). A step of its own for each reader, so
that another reader, rubric or guard asks no model for a reply again and leaves what others read as it is. Rules answer
at once; models are asked, asked once more, then it is unscored. Of a trace with shielded stretches the rest is read,
what the student is trained to write, unless the question goes by sentences. Traces are read anew for each pass and
verdicts written as they are made, so that memory does not grow with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from unwaver.dialogue import Dialogue
from unwaver.judging import LocalReader, ModelReader
from unwaver.judging.questions import question
from unwaver.judging.readers import grader, local_reader, model_reader
from unwaver.judging.reading import JUDGE, read
from unwaver.judging.tally import Counts
from unwaver.progress import bar
from unwaver.recipe import Recipe, is_local, reader_file
from unwaver.records import Trace, Verdict
from unwaver.stages.calls import Calls, Workplace
from unwaver.stages.dialogues import in_rounds, results
from unwaver.store import TRACES, VERDICTS, RunDir, Step, finished_in, home, read_records, read_rows

Traces = Callable[[], Iterable[Trace]]
"""Begins the same traces again, in the same order."""

GRADED_TOGETHER = 1024
"""Traces handed to a grader's processes at once."""


def run(step: Step, recipe: Recipe, place: Workplace) -> dict[str, Any]:
    """Have every trace read by the step's reader, one text after the other."""
    source = step.inputs["traces"].directory(place.root) / TRACES
    asked, reader = str(step.settings["question"]), str(step.settings["by"])
    with RunDir.open(step, place.root) as out:
        counts = Counts()
        calls = Calls(out, place, recipe.max_failed)
        try:
            out.write(VERDICTS, counts.passing(verdicts_on(asked, reader, source, recipe, calls)))
            calls.tell()
        finally:
            calls.close()
        traces = sum(1 for _ in read_rows(source))
        told = {"question": asked, "turn": 0 if question(asked).graded else recipe.judge.readers(asked).index(reader)}
        return out.finish({"traces": traces, **counts.summary()}, **told, **calls.summary())


def verdicts_of(run: Path) -> Iterator[Verdict]:
    """What every finished reader beside a run said of its traces, of one question the first reader's first."""
    run = home(run)
    return verdicts_in(readers_beside(run.parent).get(run.name, ()))


def verdicts_in(directories: Iterable[Path]) -> Iterator[Verdict]:
    """What these readers said."""
    return (verdict for directory in directories for verdict in read_records(directory / VERDICTS, Verdict))


def readers_beside(root: Path) -> dict[str, list[Path]]:
    """The directories of every finished reader in a folder by the run that it read, of one question the first first."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for directory, manifest in finished_in(root, "judge").items():
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        found.setdefault(config["inputs"]["traces"], []).append((int(manifest["turn"]), directory))
    return {run: [directory for _, directory in sorted(readers)] for run, readers in found.items()}


def named_by(directory: Path) -> str:
    """Who read, as the recipe names him."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return str(config.get("settings", {}).get("by", ""))


def verdicts_on(asked: str, reader: str, source: Path, recipe: Recipe, calls: Calls) -> Iterator[Verdict]:
    """What a reader says of a file's traces to a question, of those with shielded stretches by the rest."""
    about = question(asked)
    names: dict[str, str] = {}

    def traces() -> Iterator[Trace]:
        for trace in read_records(source, Trace):
            if trace.prompt.kind in about.kinds:
                learnt = trace if about.whole else trace.learnt
                if learnt is not trace:
                    names[learnt.id] = trace.id
                yield learnt

    for verdict in by_reader(asked, reader, traces, recipe, calls):
        named = names.get(verdict.trace)
        yield verdict if named is None else verdict.model_copy(update={"trace": named})


def by_reader(asked: str, reader: str, traces: Traces, recipe: Recipe, calls: Calls) -> Iterator[Verdict]:
    """What a reader, by his name in the recipe, says of traces to a question: of each text it is about, in order."""
    about = question(asked)
    if about.graded:
        yield from _graded(asked, traces)
        return
    for looked_at in about.looked_at:
        if is_local(reader):
            yield from _by_itself(local_reader(asked, looked_at, reader_file(reader)), traces())
        else:
            model = model_reader(asked, recipe.models[reader], recipe.judge, looked_at)
            yield from by_model(model, reader, traces, recipe, calls)


def _graded(asked: str, traces: Traces) -> Iterator[Verdict]:
    with grader(asked) as graded, bar(f"{asked}, graded", None) as progress:
        left = iter(traces())
        while batch := list(islice(left, GRADED_TOGETHER)):
            for verdict in graded.verdicts(batch):
                yield verdict
                progress.advance()


def _by_itself(reader: LocalReader, traces: Iterable[Trace]) -> Iterator[Verdict]:
    with bar(f"{reader.rubric.partition('@')[0]} without a model", None) as progress:
        for trace in traces:
            yield reader.verdict(trace)
            progress.advance()


def by_model(reader: ModelReader, by: str, traces: Traces, recipe: Recipe, calls: Calls) -> Iterator[Verdict]:
    """One judge's verdict on every trace, in their order; `by`: its name in `[models]`."""
    model = recipe.models[by]
    what = f"{reader.rubric.partition('@')[0]} by {by}"

    def readings() -> Iterator[Dialogue[Verdict]]:
        return (read(trace, reader, model.label) for trace in traces())

    in_rounds(readings, {JUDGE: model}, calls, what)
    yield from results(readings, {JUDGE: model}, calls)
