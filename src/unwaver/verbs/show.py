"""`unwaver show PATH_OR_ID`: a run, a file of records, or one record, in the terminal.

Reads a run directory (its manifest), a recipe's folder of runs (a list of them), a JSON lines file (its first records),
or an id or its beginning, looked for in the traces under `--root`. Prints on stdout as plain text; harmful prompts,
replies that neither a person nor a judge with a model labelled safe, and what is no whole record are masked unless
`--reveal` is given.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from unwaver.errors import EXIT_DONE, RecipeError
from unwaver.store import (
    CONFIG,
    MANIFEST,
    TRIED,
    home,
    is_run,
    no_recipe,
    parse_row,
    read_manifest,
    read_records,
    read_rows,
)
from unwaver.verbs.named import named

if TYPE_CHECKING:
    from rich.console import Console

    from unwaver.judging.people import Label
    from unwaver.records import Trace, Verdict

_ID = re.compile(r"[0-9a-f]{4,20}")

_OTHERS = (".parquet", ".arrow", ".csv", ".tsv", ".xlsx", ".xls", ".gz", ".zst", ".bz2", ".xz")
"""Ends of the names of files that rows stand in, and not as JSON lines."""

FIRST = 5
"""Records of a file that are shown unless `--limit` says otherwise."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show, and how much of it."""
    parser.add_argument(
        "what", metavar="PATH_OR_ID", help="a run directory, a JSON lines file, or an id or its beginning"
    )
    parser.add_argument("--root", type=Path, default=Path("runs"), help="where ids are looked for (default: runs)")
    parser.add_argument("--limit", type=int, default=FIRST, help=f"how many records of a file (default: {FIRST})")
    parser.add_argument("--reveal", action="store_true", help="show texts that are masked otherwise")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Print it."""
    from unwaver.printer import console as opened

    if arguments.limit < 0:
        raise RecipeError(f"--limit {arguments.limit}: expected 0 or more")
    console = opened()
    path = Path(arguments.what)
    no_recipe(path)
    if path.is_dir():
        _directory(path, console)
    elif path.suffix.lower() in _OTHERS and path.is_file():
        raise RecipeError(f"{path}: expected a JSON lines file; `unwaver audit {path}` reads traces in others")
    elif path.is_file():
        _file(path, arguments.limit, arguments.reveal, console)
    elif _ID.fullmatch(arguments.what):
        _record(arguments.what, arguments.root, arguments.reveal, console)
    else:
        raise RecipeError(f"{path}: there is no such directory or file, and an id is 4 to 20 of the characters 0-9 a-f")
    return EXIT_DONE


def _directory(path: Path, console: Console) -> None:
    from rich.table import Table

    from unwaver.plain import plain
    from unwaver.printer import show_table
    from unwaver.report.terminal import mapping

    if is_run(path):
        manifest = read_manifest(path)
        console.print(mapping(manifest or {"not finished": "the command that began it goes on with it"}))
        console.print(mapping({"settings": _config(path)}))
        return
    every = (one.parent for name in (CONFIG, MANIFEST) for one in path.glob(f"**/{name}"))
    found = {one for one in every if TRIED not in one.relative_to(path).parts}
    runs = {one: read_manifest(one) or {} for one in sorted(found) if is_run(one)}
    if not runs:
        more = f" but what `unwaver check --try` asked, in {path / TRIED}" if (path / TRIED).is_dir() else ""
        raise RecipeError(f"{path}: holds no run{more}")
    table = Table("stage", "of", "model", "settings", "finished", box=None, padding=(0, 2, 0, 0))
    table.add_column("seconds", justify="right")
    table.add_column("run")
    for one in runs:
        _config(one)  # one that is torn is named
    told = named(runs)
    for one in sorted(runs, key=lambda run: (told[run].rank, told[run].of)):
        done = runs[one]
        cells = (
            *(told[one].stage, told[one].of, told[one].model, told[one].settings),
            str(done.get("finished", "not finished")),
            str(done.get("seconds", "")),
            str(one.relative_to(path)),
        )
        table.add_row(*map(plain, cells))
    show_table(console, table)
    if (path / TRIED).is_dir():
        console.print(f"not listed, as it is no result: what `unwaver check --try` asked, in {path / TRIED}")
    for page in sorted(path.glob("**/report.html"), key=lambda page: page.stat().st_mtime)[-1:]:
        console.print(f"the newest report: {page}")


def _config(run: Path) -> dict[str, Any]:
    """The settings a run began with."""
    return parse_row((run / CONFIG).read_bytes(), str(run / CONFIG))


def _file(path: Path, limit: int, reveal: bool, console: Console) -> None:
    """The first records of a file, by what they are."""
    from pydantic import ValidationError
    from rich.text import Text

    from unwaver.plain import plain
    from unwaver.records import Kind, Trace, Verdict
    from unwaver.report import terminal

    harmless = [kind for kind in get_args(Kind) if kind != "harmful"]
    shown = 0
    for number, content in islice(read_rows(path), limit):
        shown += 1
        console.print(f"{path}:{number}", style="dim")
        try:
            if "prompt" in content and "ending" in content and isinstance(content["prompt"], dict):
                console.print(_shown(Trace.model_validate(content), path.parent, reveal))
            elif "rubric" in content and "looked_at" in content:
                found = Verdict.model_validate(_of_audit(content) if "row" in content else content)
                console.print(terminal.verdict(found, masked=not reveal))
            else:
                masked = not reveal and content.get("kind") not in harmless
                console.print(terminal.mapping(_masked(content, _TEXTS) if masked else content))
        except ValidationError as error:
            first = error.errors()[0]
            where = plain(".".join(map(str, first["loc"])) or "record", 60)
            console.print(Text(f"fails its check: {where}: {plain(first['msg'], 200)}", "yellow"))
            console.print(terminal.mapping(content if reveal else _masked(content)))
        console.print()
    more = sum(1 for _ in read_rows(path)) - shown
    if shown + more == 0:
        raise RecipeError(f"{path}: holds no records")
    if more > 0:
        console.print(f"{more:,} more; --limit shows more of them", style="dim")


def _of_audit(line: dict[str, Any]) -> dict[str, Any]:
    """A line of `unwaver audit --out` as a verdict: it names a row and no trace, and its labels are one text."""
    from unwaver.records import NO_PATTERN

    label = line.get("label")
    labels = None if label is None else [] if label == NO_PATTERN else str(label).split("+")
    kept = {key: value for key, value in line.items() if key not in ("row", "label", "ending")}
    return {**kept, "trace": f"row {line['row']}", "labels": labels}


_TEXTS = frozenset({
    "answer", "behaviour", "chosen", "completion", "content", "conversations", "improvement", "messages", "prompt",
    "quote", "reason", "reasoning", "rejected", "reply", "response", "spans", "text", "thinking", "turns", "user",
    "whole",
})  # fmt: skip
"""Where rows that are no trace and no verdict keep what a prompt or a reply says."""


def _masked(content: dict[str, Any], hidden: Collection[str] | None = None) -> dict[str, Any]:
    """A row, masked in these fields; where none are named in all but numbers, for nobody knows what is in it."""
    told = {}
    for key, value in content.items():
        short = isinstance(value, int | float) or (isinstance(value, str) and _ID.fullmatch(value) is not None)
        hide = bool(value) and not short and (hidden is None or key in hidden)
        told[key] = "masked; --reveal shows it" if hide else value
    return told


def _record(wanted: str, root: Path, reveal: bool, console: Console) -> None:
    """The trace whose id begins so."""
    from unwaver.records import Trace

    found: dict[str, tuple[Trace, Path]] = {}
    for path in sorted(root.glob("**/traces.jsonl")):
        for trace in read_records(path, Trace):
            if trace.id.startswith(wanted):
                found.setdefault(trace.id, (trace, path))
    if not found:
        raise RecipeError(f"{wanted}: no trace under {root} has an id that begins so; --root looks elsewhere")
    if len(found) > 1:
        raise RecipeError(
            f"{wanted}: {len(found)} traces begin so: {', '.join(sorted(found)[:8])}; give more of the id"
        )
    trace, path = next(iter(found.values()))
    console.print(str(path), style="dim")
    console.print(_shown(trace, path.parent, reveal))


def _verdicts(trace: Trace, directory: Path) -> Iterator[Verdict]:
    """The verdicts on a trace: of its own run, or where that has none, of the runs beside it."""
    from unwaver.records import Verdict

    directory = home(directory)
    own = directory / "verdicts.jsonl"
    for path in [own] if own.is_file() else sorted(directory.parent.glob("*/verdicts.jsonl")):
        if trace.id in path.read_text(encoding="utf-8", errors="surrogatepass"):
            yield from (verdict for verdict in read_records(path, Verdict) if verdict.trace == trace.id)


def _labels(trace: Trace, directory: Path) -> list[Label]:
    """What people found in a trace of a run: labels for the very texts that it has."""
    from unwaver.judging.people import Label, broken, digest_of
    from unwaver.stages.label import LABELS

    file = home(directory).parent / LABELS
    return [
        label
        for label in (read_records(file, Label) if file.is_file() else ())
        if label.trace == trace.id and not broken(label) and label.text == digest_of(trace, label.looked_at)
    ]


def _shown(trace: Trace, directory: Path, reveal: bool) -> Any:
    from unwaver.report import terminal

    return terminal.trace(trace, list(_verdicts(trace, directory)), _labels(trace, directory), reveal)
