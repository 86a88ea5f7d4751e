"""Drawing traces for people to label, and taking their labels in.

Reads a recipe's folder of runs, one run of it (evaluate or distil) or any file of traces. Replies are divided by run
and, where somebody read them already, by that verdict; each stratum is kept in an order that chance made (a hash), and
the first so many are drawn: that is the sample, a file of `Stratum` lines, `label/RUBRIC-PART.jsonl` in the folder. A
larger sample later holds the smaller one. What people found is in `labels.jsonl` beside it, one `Label` a line.
Guarantees: a label for another text, an undrawn trace, another rubric or an unknown answer is told and not taken.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from unwaver.errors import RecipeError, RecordError
from unwaver.judging.people import ASKED, Label, broken, digest_of
from unwaver.kept import alone, write_whole
from unwaver.plain import counted
from unwaver.progress import say
from unwaver.records import LookedAt, Record, Trace, Verdict, digest
from unwaver.sources.traces import load_traces
from unwaver.stages.judge import readers_beside, verdicts_in
from unwaver.store import (
    TRACES,
    TRIED,
    finished_in,
    home,
    no_recipe,
    parse_row,
    read_lines,
    read_manifest,
    read_records,
    to_line,
)

Key = TypeVar("Key")

LABELS = "labels.jsonl"
SAMPLES = "label"
"""The folder of samples and pages, in the folder of the runs."""
UNREAD, UNSCORED = "not read", "unscored"
"""The strata of what nobody read, and of what could not be scored."""


class Stratum(Record):
    """Replies of one run that were read alike."""

    run: str
    verdict: str
    traces: tuple[str, ...]
    """The ids of all of them, in the order they are drawn in."""
    drawn: int
    """How many of them, from the first on."""
    replies: int
    """How many all strata of the run have: a sample that lost or doubled a line is known by it."""


@dataclass(frozen=True)
class DrawnQuestion:
    """What is asked about which text."""

    rubric: str
    part: LookedAt

    def file(self, folder: Path) -> Path:
        """Where its sample is kept."""
        return folder / SAMPLES / f"{self.rubric}-{self.part}.jsonl"

    def asks(self, trace: Trace) -> bool:
        """Whether there is something to be read in a trace, of a kind that it is asked about."""
        return trace.prompt.kind in ASKED[self.rubric].kinds and digest_of(trace, self.part) is not None


@dataclass(frozen=True)
class Traces:
    """Traces that can be gone through again, run by run."""

    folder: Path
    """Where sample, page and labels are kept."""
    runs: Mapping[str, Callable[[], Iterable[Trace]]]
    verdicts: Callable[[str], Iterable[Verdict]]
    """Of a run, all that was said of its traces; the first reader's first."""

    def of(self, runs: Iterable[str]) -> Iterator[Trace]:
        """The traces of runs by name, also of others in the folder; runs that are gone have none."""
        for run in dict.fromkeys(runs):
            if run in self.runs:
                yield from self.runs[run]()
            elif (self.folder / run / TRACES).is_file():
                yield from read_records(self.folder / run / TRACES, Trace)


def found(where: str, columns: Mapping[str, str] | None = None, out: Path | None = None) -> Traces:
    """The traces of a folder of runs, of one run, or of a file (`out`: where its labels are kept)."""
    path = Path(where)
    no_recipe(path)
    if one_run := _is_run(path):
        path = home(path)
    directories = [path] if one_run else list(finished_in(path, "evaluate"))
    if directories:
        if columns or out is not None:
            raise RecipeError(f"{where}: is a run, which keeps its labels itself; --map and --out are for files")
        root = path.parent if one_run else path
        runs = {one.name: _reading(one / TRACES) for one in directories}
        readers = readers_beside(root)
        return Traces(root, runs, lambda run: verdicts_in(readers.get(run, ())))
    if (path / "config.json").is_file() or any(path.glob("*/config.json")) or (path / TRIED).is_dir():
        raise RecipeError(f"{where}: holds no finished run of evaluate or distil")

    told: set[str] = set()

    def rows() -> Iterator[Trace]:
        every, unread = 0, list[str]()
        for row in load_traces(where, columns):
            every += 1
            if row.unread is not None:
                unread.append(row.unread)
            elif row.replied:
                yield row.trace(path.name)
        if unread and not told:  # once: a file is gone through for every question, and for its labels
            told.add(unread[0])
            rows_ = counted(every, "row")
            say(f"{where}: {len(unread):,} of {rows_} could not be read, and can't be drawn; the first: {unread[0]}")

    return Traces(out or Path("runs", SAMPLES, path.name), {path.name: rows}, lambda run: ())


def _is_run(path: Path) -> bool:
    manifest = read_manifest(path)
    return manifest is not None and manifest["stage"] in ("evaluate", "distil")


def _reading(path: Path) -> Callable[[], Iterable[Trace]]:
    return lambda: read_records(path, Trace)


DRAWN = 100
"""How many replies are drawn where nobody says."""


def sample(traces: Traces, question: DrawnQuestion, n: int | None = None) -> list[Stratum]:
    """The strata with `n` traces drawn, no fewer than were drawn before; kept in the folder.

    None: those that were drawn already, so that the same command without a number goes on with them;
    `DRAWN` where there are none, or runs have come since.

    RecipeError where there is nothing to be asked, or `n` doesn't reach for one of each stratum.
    """
    known = {one.run for one in kept_sample(traces.folder, question)}
    fresh = {
        (one.run, one.verdict): one
        for run, reading in traces.runs.items()
        if run not in known
        for one in _strata(run, reading(), traces.verdicts(run), question)
    }
    if not fresh and not known & set(traces.runs):
        kinds = ", ".join(ASKED[question.rubric].kinds)
        raise RecipeError(f"no reply has a text to ask {question.rubric} about (prompts: {kinds}; {question.part})")
    file = question.file(traces.folder)
    with alone(file):  # of two who draw at once neither takes the other's strata away
        before = kept_sample(traces.folder, question)
        drawn = _drawn([one for one in before if one.run in traces.runs], fresh, n)
        others = [one for one in before if one.run not in traces.runs]
        write_whole(file, "".join(map(to_line, [*others, *drawn])))
    return drawn


def _drawn(before: Sequence[Stratum], fresh: Mapping[tuple[str, str], Stratum], n: int | None) -> list[Stratum]:
    """What was drawn before and the strata of runs that have come since, with `n` traces drawn in all."""
    known = {one.run for one in before}
    strata = {(one.run, one.verdict): one for one in before}
    strata |= {key: one for key, one in fresh.items() if one.run not in known}
    if n is None:
        n = sum(one.drawn for one in before) if {run for run, _ in strata} <= known else DRAWN
    if n < len(strata):
        raise RecipeError(f"--n {n}: expected {len(strata)} or more, one for each run and verdict in it")
    wanted = allotted({key: len(one.traces) for key, one in strata.items()}, n)
    return [one.model_copy(update={"drawn": max(one.drawn, wanted[key])}) for key, one in strata.items()]


def _strata(run: str, traces: Iterable[Trace], verdicts: Iterable[Verdict], question: DrawnQuestion) -> list[Stratum]:
    said: dict[str, str] = {}
    for verdict in verdicts:
        if verdict.rubric.partition("@")[0] == question.rubric and verdict.looked_at == question.part:
            said.setdefault(verdict.trace, _in_short(verdict, ASKED[question.rubric].several))
    members: dict[str, set[str]] = defaultdict(set)
    for trace in traces:
        if question.asks(trace):
            members[said.get(trace.id, UNREAD)].add(trace.id)
    return [
        Stratum(
            run=run,
            verdict=name,
            traces=tuple(sorted(ids, key=lambda id_: digest([question.rubric, id_]))),
            drawn=0,
            replies=sum(map(len, members.values())),
        )
        for name, ids in sorted(members.items())
    ]


def _in_short(verdict: Verdict, several: bool) -> str:
    """A verdict as the name of a stratum; of several patterns only whether there is any."""
    if verdict.labels is None:
        return UNSCORED
    return ("some" if verdict.labels else "none") if several else str(verdict.label)


def allotted(sizes: Mapping[tuple[str, str], int], n: int) -> dict[tuple[str, str], int]:
    """How many to draw of each stratum: as many of each run, and in it of each verdict, as there are to be had."""
    runs: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for key, size in sizes.items():
        runs[key[0]][key] = size
    of_runs = _evenly(
        {run: sum(own.values()) for run, own in runs.items()}, n, {r: len(own) for r, own in runs.items()}
    )
    return {key: k for run, own in runs.items() for key, k in _evenly(own, of_runs[run], dict.fromkeys(own, 1)).items()}


def _evenly(sizes: Mapping[Key, int], n: int, least: Mapping[Key, int]) -> dict[Key, int]:
    """`n` shared out one by one, none getting more than its size; each its least first."""
    given = {key: min(size, least[key]) for key, size in sizes.items()}
    while sum(given.values()) < min(n, sum(sizes.values())):
        poorest = min((key for key in sizes if given[key] < sizes[key]), key=lambda key: given[key])
        given[poorest] += 1
    return given


def kept_sample(folder: Path, question: DrawnQuestion) -> list[Stratum]:
    """The sample that was drawn before; empty where none was. RecordError where it is not as it was drawn."""
    file = question.file(folder)
    strata = list(read_records(file, Stratum)) if file.is_file() else []
    held: dict[str, list[str]] = defaultdict(list)
    for one in strata:
        held[one.run] += one.traces
    for one in strata:
        there = held[one.run]
        if not len(there) == len(set(there)) == one.replies or not 0 <= one.drawn <= len(one.traces):
            raise RecordError(
                f"{file}: is not as it was drawn: {one.run} had {one.replies} replies, each once, and has {len(there)} "
                f"({len(set(there))} different ones); copy the file again, or delete it to draw anew"
            )
    return strata


def samples(folder: Path) -> dict[DrawnQuestion, list[Stratum]]:
    """All samples of a folder of runs."""
    questions = [DrawnQuestion(rubric, part) for rubric, asked in ASKED.items() for part in asked.parts]
    return {one: strata for one in questions if (strata := kept_sample(folder, one))}


def label_files(folder: Path) -> list[Path]:
    """The files of a folder of runs that decide what its labels come to."""
    every = [folder / LABELS, *sorted((folder / SAMPLES).glob("*.jsonl"))]
    return [file for file in every if file.is_file()]


def drawn_of(strata: Iterable[Stratum]) -> list[str]:
    """The ids of the drawn traces, each once, in an order that says nothing of the strata."""
    ids = {id_ for one in strata for id_ in one.traces[: one.drawn]}
    return sorted(ids, key=lambda id_: digest(["order", id_]))


def texts(traces: Iterable[Trace], ids: Sequence[str]) -> list[Trace]:
    """The traces with these ids, in their order; RecordError where one is no longer there."""
    wanted = set(ids)
    known = {trace.id: trace for trace in traces if trace.id in wanted}
    if gone := [id_ for id_ in ids if id_ not in known]:
        raise RecordError(
            f"{len(gone)} of the drawn traces aren't there any more, as {gone[0]}: the runs were made anew"
        )
    return [known[id_] for id_ in ids]


@dataclass(frozen=True)
class Taken:
    """What came of reading files of labels."""

    labels: list[Label]
    faults: list[str]
    """What was not taken, `file:line: why`."""


def checked(
    files: Iterable[Path], samples_: Mapping[DrawnQuestion, Sequence[Stratum]], traces: Iterable[Trace]
) -> Taken:
    """The labels of files that may stand, each reader's last of a trace; and why others may not.

    Of a trace a file holds each reader's label once: one that it holds again is told, and its last counts.
    """
    lines = [(f"{file}:{number}", raw) for file in files for number, _, raw in read_lines(file)]
    drawn = {question: set(drawn_of(strata)) for question, strata in samples_.items()}
    every = {question: {id_ for one in strata for id_ in one.traces} for question, strata in samples_.items()}
    asked = {id_ for ids in drawn.values() for id_ in ids}
    known = {trace.id: trace for trace in traces if trace.id in asked}
    taken: dict[tuple[str, DrawnQuestion, str], Label] = {}
    stands: dict[tuple[str, str, DrawnQuestion, str], str] = {}
    faults = []
    for place, raw in lines:
        label = _label(raw, place)
        why = label if isinstance(label, str) else _untrue(label, drawn, every, known)
        if isinstance(label, str) or why is not None:
            faults.append(f"{place}: {why}")
            continue
        key = _whose(label)
        if (before := stands.get((place.rpartition(":")[0], *key))) is not None:
            how = "the same" if taken[key] == label else "another label"
            faults.append(f"{before}: trace {label.trace}: {place} says {how}, by the same reader, and counts")
        stands[place.rpartition(":")[0], *key] = place
        taken[key] = label
    return Taken(list(taken.values()), faults)


def _label(raw: bytes, place: str) -> Label | str:
    try:
        return Label.model_validate(parse_row(raw, place))
    except RecordError as error:
        return str(error).removeprefix(f"{place}: ")
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'label'}: {first['msg']}"


def _untrue(
    label: Label,
    drawn: Mapping[DrawnQuestion, set[str]],
    every: Mapping[DrawnQuestion, set[str]],
    known: Mapping[str, Trace],
) -> str | None:
    question = DrawnQuestion(label.rubric, label.looked_at)
    if (why := broken(label)) is not None:
        return why
    if question not in drawn:
        return f"no sample was drawn for {label.rubric} ({label.looked_at}) here"
    if label.trace not in every[question]:
        return f"trace {label.trace}: not among those that could be drawn here"
    if label.trace not in drawn[question]:
        return f"trace {label.trace}: was not drawn, and a label of one's own choice would bend the rate"
    trace = known.get(label.trace)
    if trace is None:
        return f"trace {label.trace}: is not there any more"
    if digest_of(trace, label.looked_at) != label.text:
        return f"trace {label.trace}: its text is another than the one that was labelled"
    return None


def write_labels(folder: Path, labels: Iterable[Label]) -> Path:
    """Put labels into the folder's file, beside those that are there; a reader's later one of a trace takes the place
    of his earlier."""
    file = folder / LABELS
    given = {_whose(one): one for one in labels}
    with alone(file):
        there = list(read_records(file, Label)) if file.is_file() else []
        every = [*(one for one in there if _whose(one) not in given), *given.values()]
        write_whole(file, "".join(json.dumps(one.model_dump(mode="json"), ensure_ascii=False) + "\n" for one in every))
    return file


def _whose(label: Label) -> tuple[str, DrawnQuestion, str]:
    return label.trace, DrawnQuestion(label.rubric, label.looked_at), label.reader
