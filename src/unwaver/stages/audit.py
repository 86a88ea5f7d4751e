"""`audit`: one page about somebody else's traces, and a verdict for each of them.

Reads any trace set (`sources.traces`) row by row, so memory does not grow with its text, unless it is one JSON list,
which is read whole; no recipe, no run directory. Gives an `AuditPage`: blocks, endings, lengths, the shares of every
label with their intervals, what could not be read and why, and the overlap of the prompts with evaluation sets. With
`out` it writes one line for each row, in the rows' order. Rows count as answers to harmful requests unless the file has
a column `kind`: that is what the risky patterns of arXiv 2505.15404 section 3 are about.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from unwaver.errors import EXIT_DONE, RecipeError, RecordError
from unwaver.judging import ModelReader
from unwaver.judging.readers import rule_reader
from unwaver.progress import say
from unwaver.recipe import RULES, PromptSet
from unwaver.records import Reply, Request, Trace, Verdict
from unwaver.sources import find, hub, load, overlap
from unwaver.sources.traces import COLUMNS, Row, load_traces
from unwaver.stages.audit_page import AuditPage, Heard, Tally, show
from unwaver.store import disk_errors

RUBRICS = {"refusal": "refusal", "risky-patterns": "patterns", "harm": "harm", "anatomy": "anatomy"}
"""What can be asked for -> the rubric's name among the readers."""

BY_DEFAULT = ("refusal", "risky-patterns")

AGAINST = ("xstest/safe", "xstest/contrast", "advbench50", "math500")
"""Evaluation sets whose prompts are looked for besides those that are named."""

BATCH = 512
"""Rows read together; what a model is asked at once."""

BatchReader = Callable[[Sequence[Trace]], list[Verdict]]
"""Reads a batch of traces: one verdict for each, in order."""

AskAll = Callable[[Sequence[Request]], list[Reply]]
"""Makes calls: one reply for each request, in order; a call that failed is a Reply with `failure`."""


def audit(
    where: str,
    readers: Mapping[str, BatchReader],
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    *,
    out: Path | None = None,
    against: Mapping[str, Path | None] | None = None,
) -> AuditPage:
    """Read a file, a named set or a hub data set; `readers` by the name of the rubric.

    `columns`: our field -> the file's column. `out` takes exactly one reader. `against`: evaluation sets by source
    name, with a local copy or None for the hub; those that can't be had are in `not_checked`.
    RecipeError and RecordError as `load_traces` raises them, and where not one row can be read; nothing new is at `out`
    then.
    """
    if out is not None and len(readers) != 1:
        raise RecipeError(f"--out holds one verdict for each row: name one --rubric of {', '.join(RUBRICS)}")
    if out is not None:
        _apart(out, Path(where))
    tally = Tally()
    heard = {name: Heard() for name in readers}
    with _whole(out) as lines:
        rows = load_traces(where, columns, limit)
        while batch := list(islice(rows, BATCH)):
            traces = [row.trace(Path(where).name) for row in batch]
            for row in batch:
                tally.add(row)
            for name, reader in readers.items():
                for row, verdict in zip(batch, reader(traces), strict=True):
                    heard[name].add(verdict, row)
                    if lines is not None:
                        lines.write(_line(row, verdict))
        if tally.rows == 0:
            raise RecipeError(f"{where}: no rows")
        if tally.unread == tally.rows:
            raise RecordError(f"{tally.faults[0]} (none of {tally.rows} rows could be read)")
    texts, missing = _evaluation(against or {})
    prompts = ((str(row.number), row.prompt) for row in load_traces(where, columns, limit) if row.unread is None)
    found = overlap.find(prompts, texts).sets if texts else {}
    return tally.page(where, [one.reading() for one in heard.values()], found, missing)


@contextmanager
def _whole(out: Path | None) -> Iterator[IO[str] | None]:
    """A file that is there entirely or not at all; None where none is wanted."""
    if out is None:
        yield None
        return
    part = out.with_name(out.name + ".part")
    with disk_errors(out):
        try:
            lines = part.open("w", encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise RecipeError(f"--out {out}: there is no folder {out.parent}") from None
        try:
            with lines:
                yield lines
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)


def _apart(out: Path, where: Path) -> None:
    """RecipeError where the verdicts would be written over what is read, or be read the next time."""
    if out.is_dir():
        raise RecipeError(f"--out {out}: is a folder; expected a file")
    if where.exists() and (where.resolve() == out.resolve() or where.resolve() in out.resolve().parents):
        raise RecipeError(f"--out {out}: is among what is read ({where}); expected a file elsewhere")


def rules(rubric: str) -> BatchReader:
    """The reader without a model for a rubric of `RUBRICS`."""
    reader = rule_reader(RUBRICS[rubric])
    return lambda traces: [reader.verdict(trace) for trace in traces]


def by_model(reader: ModelReader, judge: str, ask_all: AskAll) -> BatchReader:
    """A reader that asks a model through `ask_all`: once, once more where the reply can't be read, then unscored.

    `judge`: `name@revision` of the model.
    """

    def read(traces: Sequence[Trace]) -> list[Verdict]:
        requests = [reader.request(trace) for trace in traces]
        silent = Reply(ending="error", failure="no text to read")
        replies = iter(ask_all([request for request in requests if request is not None]))
        answers = [silent if request is None else next(replies) for request in requests]
        verdicts = [reader.read(trace, reply, judge) for trace, reply in zip(traces, answers, strict=True)]
        again = {
            at: repair
            for at, verdict in enumerate(verdicts)
            if verdict.label is None
            and answers[at].failure is None
            and (repair := reader.repair(traces[at], answers[at], verdict.reason)) is not None
        }
        for at, reply in zip(again, ask_all(list(again.values())), strict=True):
            verdicts[at] = reader.read(traces[at], reply, judge)
        return verdicts

    return read


def _line(row: Row, verdict: Verdict) -> str:
    content = {
        "row": row.number,
        "rubric": verdict.rubric,
        "judge": verdict.judge,
        "label": verdict.label,
        "quote": verdict.quote,
        "reason": verdict.reason if row.unread is None else row.unread,
        "ending": row.ending,
    }
    line = json.dumps(content, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        # A lone surrogate is no UTF-8; escaped it is the same JSON.
        line = json.dumps(content)
    return line + "\n"


def _evaluation(against: Mapping[str, Path | None]) -> tuple[dict[str, list[tuple[str, str]]], dict[str, str]]:
    """(texts by evaluation set, why the others are missing). A set with a path must be there."""
    texts: dict[str, list[tuple[str, str]]] = {}
    missing: dict[str, str] = {}
    online: bool | None = None
    for name, path in against.items():
        if path is None and find(name).home is not None:
            online = hub.reachable() if online is None else online
            if not online:
                missing[name] = f"the network can't be reached; give --against {name}=PATH"
                continue
        try:
            prompts = load(PromptSet(source=name, path=path))
        except RecipeError as error:
            if path is not None:
                raise
            missing[name] = str(error)
            continue
        texts[name] = [(prompt.id, prompt.text) for prompt in prompts]
    return texts, missing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "traces",
        metavar="FILE_OR_DATASET",
        help="JSONL, JSON, CSV, Parquet, a folder, or OWNER/NAME[@REVISION][:SPLIT]",
    )
    parser.add_argument("--rubric", choices=RUBRICS, help=f"what to read for (default: {' and '.join(BY_DEFAULT)})")
    parser.add_argument("--judge", default=RULES, metavar="JUDGE", help="`rules` (default), or a model as in a recipe")
    parser.add_argument(
        "--map", action="append", default=[], metavar="FIELD=COLUMN", help=f"a column of {', '.join(COLUMNS)}"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write one verdict a row, as JSON lines (needs --rubric)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows")
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="NAME[=PATH]",
        help=f"an evaluation set to look for, with a local copy (default: {', '.join(AGAINST)})",
    )


def run(args: argparse.Namespace, model_reader: Callable[[str, str], BatchReader] | None = None) -> int:
    """Do an audit and print its page. `model_reader`: (rubric, judge) -> its reader, for judges that are models."""
    if args.limit is not None and args.limit < 1:
        raise RecipeError(f"--limit {args.limit}: expected 1 or more")
    rubrics = [args.rubric] if args.rubric else list(BY_DEFAULT)
    if args.judge == RULES:
        if args.rubric == "anatomy":
            raise RecipeError("--rubric anatomy: expected --judge MODEL; no rules read it here")
        readers = {rubric: rules(rubric) for rubric in rubrics}
    elif model_reader is not None:
        readers = {rubric: model_reader(rubric, args.judge) for rubric in rubrics}
    else:
        raise RecipeError(f"--judge {args.judge}: expected `{RULES}`")
    against = {name: Path(path) if path else None for name, _, path in (one.partition("=") for one in args.against)}
    for name in against:
        find(name)
    against = {**against, **{name: None for name in AGAINST if name not in against}}
    page = audit(args.traces, readers, _columns(args.map), args.limit, out=args.out, against=against)
    show(page)
    if page.unread:
        say(f"{page.unread} of {page.rows} rows could not be read; the first: {page.faults[0]}")
    if args.out:
        say(f"verdicts: {args.out}")
    return EXIT_DONE


def _columns(pairs: Sequence[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        field_name, sign, column = pair.partition("=")
        if not sign or not column:
            raise RecipeError(f"--map {pair}: expected FIELD=COLUMN")
        columns[field_name] = column
    return columns
