"""`audit`: one page about somebody else's traces, and a verdict for each of them.

Reads any trace set (`sources.traces`) row by row, so memory does not grow with its text, unless it is one JSON list,
which is read whole; no recipe, no run directory. Gives an `AuditPage`: blocks, endings, lengths, the shares of every
label with their intervals, the sentence that decided, what could not be read and why, and the overlap of the prompts
with evaluation sets. With `out` it writes one line for each row and text that was looked at, in the rows' order. Rows
count as answers to harmful requests unless the file has a column `kind`: that is what the risky patterns of arXiv
2505.15404 section 3 are about.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from unwaver import online as network
from unwaver.dialogue import Call, rounds
from unwaver.errors import RecipeError, RecordError, under
from unwaver.judging import LocalReader, ModelReader
from unwaver.judging.readers import local_reader
from unwaver.judging.reading import read
from unwaver.kept import whole
from unwaver.plain import counted
from unwaver.printer import put
from unwaver.progress import say
from unwaver.reasoning import AUTO, Family, named
from unwaver.recipe import LOCAL, PromptSet, Tags, is_local, reader_file
from unwaver.recipe_file import parse_value
from unwaver.records import PATTERNS, LookedAt, Reply, Request, Trace, Verdict
from unwaver.sources import SOURCES, files, find, load, overlap
from unwaver.sources.own import text_column
from unwaver.sources.traces import COLUMNS, FileTrace, load_traces, where_replies_are_not
from unwaver.stages.audit_examples import Examples
from unwaver.stages.audit_page import AuditPage, Heard, RowTally, show
from unwaver.store import disk_errors, writable

RUBRICS = {"refusal": "refusal", "risky-patterns": "patterns", "harm": "harm", "anatomy": "anatomy",
           "conclusion": "conclusion", "self-jailbreak": "self-jailbreak"}  # fmt: skip
"""What can be asked for -> the rubric's name among the readers."""

BY_DEFAULT = ("refusal", "risky-patterns")

PARTS: Mapping[str, tuple[LookedAt, ...]] = {"harm": ("answer", "reasoning", "both")}
"""Rubrics that are asked of several texts of a row, one after the other -> which."""

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
    tags: str | Family = AUTO,
    examples: Examples | None = None,
) -> AuditPage:
    """Read a file, a named set or a hub data set; `readers` by what they are asked (`asked`).

    `columns`: our field -> the file's column. `out` takes a line for each row and reader. `against`: evaluation sets by
    source name, with a local copy or None for the hub; those that can't be had are in `not_checked`; any other name is
    a file of one's own. `tags`: by whose marks of reasoning replies are read. `examples` is given rows with what was
    found in them.
    RecipeError and RecordError as `load_traces` raises them, and where not one row can be read; nothing new is at `out`
    then.
    """
    if out is not None:
        writable(out, [Path(where), *filter(None, (against or {}).values())], "--out")
    tally = RowTally()
    heard = {name: Heard() for name in readers}
    with _whole(out) as lines:
        rows = load_traces(where, columns, limit, named(tags))
        while batch := list(islice(rows, BATCH)):
            traces = [row.trace(Path(where).name) for row in batch]
            for row in batch:
                tally.add(row)
            verdicts = {name: reader(traces) for name, reader in readers.items()}
            for number, row in enumerate(batch):
                for name, own in verdicts.items():
                    heard[name].add(own[number], row)
                    if examples is not None:
                        examples.add(row, own[number], [every[number] for every in verdicts.values()])
                    if lines is not None:
                        lines.write(_line(row, own[number]).encode())
        if tally.rows == 0:
            raise RecipeError(f"{where}: no rows")
        if tally.unread == tally.rows:
            raise RecordError(f"{tally.faults[0]} (none of {counted(tally.rows, 'row')} could be read)")
        if tally.unread + tally.no_reply == tally.rows:
            raise RecordError(f"{where}: {where_replies_are_not(where, columns)}")
        if tally.all_labels and "response" not in (columns or {}):
            raise RecordError(f"{where}: {where_replies_are_not(where, columns, tally.labels)}")
    texts, missing = _evaluation(against or {})
    prompts = ((str(row.number), row.prompt) for row in load_traces(where, columns, limit) if row.unread is None)
    found = overlap.find(prompts, texts).sets if texts else {}
    readings = [one.reading(getattr(readers[name], "measured", {})) for name, one in heard.items()]
    return tally.page(where, readings, found, missing)


@contextmanager
def _whole(out: Path | None) -> Iterator[IO[bytes] | None]:
    """A file that is there entirely or not at all; None where none is wanted."""
    if out is None:
        yield None
        return
    with disk_errors(out), whole(out) as lines:
        yield lines


def asked(rubric: str) -> tuple[str, ...]:
    """What a rubric asks of a row: its name, and behind a colon the text it looks at where it looks at several."""
    return tuple(f"{rubric}:{part}" for part in PARTS[rubric]) if rubric in PARTS else (rubric,)


def part(name: str) -> tuple[str, LookedAt | None]:
    """(the rubric's name among the readers, the text it looks at) of one of those."""
    rubric, _, looked_at = name.partition(":")
    return RUBRICS[rubric], next((one for one in PARTS.get(rubric, ()) if one == looked_at), None)


def local(name: str, file: Path | None = None) -> BatchReader:
    """The reader without a model for what is asked (`asked`); `file`: one of one's own."""
    rubric, looked_at = part(name)
    with under(f"--rubric {name.partition(':')[0]}"):
        return ByItself(local_reader(rubric, looked_at, file), name, file)


class ByItself:
    """A reader without a model, with what is known of how well it reads."""

    def __init__(self, reader: LocalReader, asked: str, file: Path | None) -> None:
        from unwaver.judging.local.reader_file import opened

        rubric, _, looked_at = asked.partition(":")
        names = PATTERNS if rubric == "risky-patterns" else (rubric,)
        self._reader = reader
        key = f"_{looked_at}" if looked_at not in ("", "both") else ""
        known = {name: opened(file).measured(name + key) for name in names}
        self.measured = {name: text or "not measured" for name, text in known.items()}
        """By pattern, or by the rubric's own name."""

    def __call__(self, traces: Sequence[Trace]) -> list[Verdict]:
        return [self._reader.verdict(trace) for trace in traces]


def by_model(reader: ModelReader, judge: str, ask_all: AskAll) -> BatchReader:
    """A reader that asks a model through `ask_all`: once, once more where the reply can't be read, then unscored.

    `judge`: `name@revision` of the model.
    """

    def ask(calls: Sequence[Call]) -> list[Reply]:
        return ask_all([call.request for call in calls])

    return lambda traces: rounds([read(trace, reader, judge) for trace in traces], ask)


def _line(row: FileTrace, verdict: Verdict) -> str:
    content = {
        "row": row.number,
        "rubric": verdict.rubric,
        "judge": verdict.judge,
        "looked_at": verdict.looked_at,
        "label": verdict.label,
        "quote": verdict.quote,
        "reason": verdict.reason if row.unread is None else row.unread,
        **({"undecided": verdict.undecided} if verdict.undecided else {}),
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
        if name not in SOURCES and path is not None:
            texts[name] = _own(name, path)
            continue
        if path is None and find(name).home is not None:
            online = network.reachable() if online is None else online
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


def _own(name: str, path: Path) -> list[tuple[str, str]]:
    """The prompts of a file of one's own, whose column is found as `unwaver init` finds it."""
    column = text_column([row for _, row in files.rows(path)], None, path, f"--against {name}={path}: ")
    entry = PromptSet(source="file", path=path, kind="benign", columns={"text": column})
    return [(prompt.id, prompt.text) for prompt in load(entry)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "traces",
        metavar="FILE_OR_DATASET",
        help="JSONL, JSON, CSV, Parquet, a folder, or OWNER/NAME[@REVISION][:SPLIT]",
    )
    parser.add_argument(
        "--rubric",
        action="append",
        choices=RUBRICS,
        help=f"what to read for, as often as wanted (default: {' and '.join(BY_DEFAULT)})",
    )
    parser.add_argument(
        "--judge", default=LOCAL, metavar="JUDGE", help="`local` (default), `local:FILE`, or a model as in a recipe"
    )
    parser.add_argument(
        "--map", action="append", default=[], metavar="FIELD=COLUMN", help=f"a column of {', '.join(COLUMNS)}"
    )
    parser.add_argument(
        "--tags",
        default=AUTO,
        help="by whose marks of reasoning: `auto` (default: each reply's own), a family's name, or a table",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write each verdict, as JSON lines (needs --rubric)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows")
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="NAME[=PATH]",
        help=f"an evaluation set to look for, with a local copy, or any name with a file of your own "
        f"(default: {', '.join(AGAINST)})",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with examples of what was found")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(
    args: argparse.Namespace,
    model_reader: Callable[[str, str], BatchReader] | None = None,
    examples: Examples | None = None,
) -> AuditPage:
    """Do an audit and print its page, or its figures as JSON.

    `model_reader`: (what is asked, judge) -> its reader, for judges that are models.
    """
    if args.limit is not None and args.limit < 1:
        raise RecipeError(f"--limit {args.limit}: expected 1 or more")
    rubrics = list(dict.fromkeys(args.rubric or BY_DEFAULT))
    against = _named_files(args.against)
    own = reader_file(args.judge) if is_local(args.judge) else None
    for flag, file in (("--out", args.out), ("--html", args.html)):
        if file is not None:
            writable(file, filter(None, (Path(args.traces), *against.values(), own)), flag)
    if args.html is not None and args.out is not None and args.html.resolve() == args.out.resolve():
        raise RecipeError(f"--html {args.html}: is what --out names; expected another file")
    against = {**against, **{name: None for name in AGAINST if name not in against}}
    if is_local(args.judge):
        if "anatomy" in rubrics:
            raise RecipeError("--rubric anatomy: expected --judge MODEL; no reader without a model reads it")
        readers = {name: local(name, reader_file(args.judge)) for rubric in rubrics for name in asked(rubric)}
    elif model_reader is not None:
        readers = {name: model_reader(name, args.judge) for rubric in rubrics for name in asked(rubric)}
    else:
        raise RecipeError(f"--judge {args.judge}: expected `{LOCAL}`")
    page = audit(
        args.traces,
        readers,
        columns(args.map),
        args.limit,
        out=args.out,
        against=against,
        tags=_tags(args.tags),
        examples=examples,
    )
    if args.json:
        put(page.model_dump_json(indent=1))
    else:
        show(page)
    if page.unread:
        say(f"{page.unread} of {counted(page.rows, 'row')} could not be read; the first: {page.faults[0]}")
    if args.out:
        say(f"verdicts: {args.out}")
    return page


def _named_files(pairs: Sequence[str]) -> dict[str, Path | None]:
    """The evaluation sets that are named, each once, with the local copy of one that has any."""
    found: dict[str, Path | None] = {}
    for name, _, path in (one.partition("=") for one in pairs):
        if name in found:
            raise RecipeError(f"--against {name}: given twice; expected another name for each file")
        if not path:
            with under(f"--against {name} (a file of your own: --against {name}=PATH)"):
                find(name)
        found[name] = Path(path) if path else None
    return found


def columns(pairs: Sequence[str]) -> dict[str, str]:
    """Our field -> the file's column, from `FIELD=COLUMN`."""
    found: dict[str, str] = {}
    for pair in pairs:
        field_name, sign, column = pair.partition("=")
        if not sign or not column:
            raise RecipeError(f"--map {pair}: expected FIELD=COLUMN")
        if field_name in found:
            raise RecipeError(f"--map {pair}: `{field_name}` has the column `{found[field_name]}` already")
        found[field_name] = column
    return found


def _tags(text: str) -> str | Family:
    try:
        return TypeAdapter(Tags).validate_python(parse_value(text) if text.lstrip().startswith("{") else text)
    except ValidationError as error:
        wrong = (
            f"{'.'.join(map(str, one['loc']))} {one['msg']}".removeprefix(" Value error, ") for one in error.errors()
        )
        raise RecipeError(f"--tags {text}: {'; '.join(wrong)}") from None
