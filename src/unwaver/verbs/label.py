"""`unwaver label RUN_OR_FILE --rubric NAME`: draw replies for people to label, and take their labels in.

RUN is a recipe's folder of runs (`runs/NAME`: all its evaluations) or one run in it; FILE is what `unwaver audit`
reads. Writes the sample and a page for the browser, or asks in the terminal (`--terminal`); `--collect FILE...` reads
what the page's download holds and puts it into `labels.jsonl`, which `unwaver report` finds. docs/labels.md tells more.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_UNFINISHED, RecipeError
from unwaver.judging.people import ASKED
from unwaver.kept import write_whole
from unwaver.plain import counted
from unwaver.printer import put
from unwaver.progress import say
from unwaver.records import LookedAt
from unwaver.sources.traces import COLUMNS
from unwaver.stages.label import (
    DRAWN,
    LABELS,
    DrawnQuestion,
    Stratum,
    Traces,
    checked,
    drawn_of,
    found,
    sample,
    samples,
    texts,
    write_labels,
)

FAULTS_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is labelled, for what, how many, and how."""
    parser.add_argument("where", metavar="RUN_OR_FILE", help="a recipe's folder of runs, one run, or a file of traces")
    parser.add_argument("--rubric", choices=ASKED, help="what is asked")
    parser.add_argument("--part", choices=("reasoning", "answer", "both"), help="the text it is asked about")
    parser.add_argument(
        "--n", type=int, help=f"how many replies are drawn in all (default: those drawn already, else {DRAWN})"
    )
    parser.add_argument("--reader", default="A", help="whose labels these are: a name or a letter (default: A)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--terminal", action="store_true", help="ask here instead of writing a page")
    how.add_argument("--collect", nargs="+", type=Path, metavar="FILE", help="take in what the page's download holds")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=COLUMN",
        help=f"of a file, a column of {', '.join(COLUMNS)}",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where a file's labels are kept (runs/label/NAME)")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Draw and write the page, ask, or collect."""
    traces = found(arguments.where, _columns(arguments.map), arguments.out)
    if not arguments.reader.strip() or arguments.reader.encode("utf-8", "replace").decode() != arguments.reader:
        raise RecipeError("--reader: expected a name or a letter, in UTF-8")
    if arguments.terminal and not sys.stdin:
        raise RecipeError("--terminal: the input is closed; expected a terminal, or answers by lines")
    if arguments.collect:
        return _collect(traces, arguments)
    if arguments.rubric is None:
        raise RecipeError(f"expected --rubric {', '.join(ASKED)}")
    question = _question(arguments.rubric, arguments.part)
    strata = sample(traces, question, arguments.n)
    ids = drawn_of(strata)
    drawn = texts(traces.of(one.run for one in strata), ids)
    replies = len({trace for one in strata for trace in one.traces})  # runs may hold one alike: it is asked about once
    say(
        f"{len(ids):,} of {counted(replies, 'reply', 'replies')} drawn, from "
        f"{counted(len(strata), 'stratum', 'strata')} (a run and one verdict in it)"
    )
    if arguments.terminal:
        from unwaver.verbs.label_terminal import ask

        whole = ask(drawn, question, traces.folder, arguments.reader)
        _tell(traces.folder, traces)
        return EXIT_DONE if whole else EXIT_UNFINISHED
    from unwaver.report.label_page import made

    page = question.file(traces.folder).with_suffix(".html")
    write_whole(page, made(drawn, question, strata, arguments.reader))
    say(f"open the page in a browser; then: unwaver label {arguments.where} --collect labels-{arguments.reader}.jsonl")
    put(page)
    return EXIT_DONE


def _columns(pairs: list[str]) -> dict[str, str]:
    from unwaver.stages.audit import columns

    return columns(pairs)


def _question(rubric: str, part: LookedAt | None) -> DrawnQuestion:
    parts = ASKED[rubric].parts
    if part is not None and part not in parts:
        raise RecipeError(f"--part {part}: {rubric} is asked about {' or '.join(parts)}")
    return DrawnQuestion(rubric, part or parts[0])


def _collect(traces: Traces, arguments: argparse.Namespace) -> int:
    """Take labels in, tell of those that can't be, and print what they come to."""
    kept = samples(traces.folder)
    if not kept:
        raise RecipeError(f"{traces.folder}: no sample was drawn here; expected `unwaver label ... --rubric` first")
    asked = {one: strata for one, strata in kept.items() if _asked(one, arguments)}
    if not asked:
        there = ", ".join(f"{one.rubric} ({one.part})" for one in kept)
        raise RecipeError(f"--rubric {arguments.rubric}: no sample was drawn for it; there is one for {there}")
    taken = checked(arguments.collect, asked, traces.of(_runs(asked)))
    if taken.labels:
        file = write_labels(traces.folder, taken.labels)
        say(f"{counted(len(taken.labels), 'label')} taken")
        put(file)
    for fault in taken.faults[:FAULTS_SHOWN]:
        say(f"not taken: {fault}")
    if more := len(taken.faults) - FAULTS_SHOWN:
        say(f"not taken: {more} more") if more > 0 else None
    if not taken.labels:
        raise RecipeError(f"none of {counted(len(taken.faults), 'line')} could be taken")
    _tell(traces.folder, traces)
    return EXIT_BAD_INPUT if taken.faults else EXIT_DONE


def _asked(question: DrawnQuestion, arguments: argparse.Namespace) -> bool:
    return arguments.rubric in (None, question.rubric) and arguments.part in (None, question.part)


def _runs(samples_: dict[DrawnQuestion, list[Stratum]]) -> list[str]:
    return [one.run for strata in samples_.values() for one in strata]


def _tell(folder: Path, traces: Traces) -> None:
    """Print what all labels of a folder come to: shares, and how far people and readers agree."""
    from unwaver.report.label_tables import show
    from unwaver.study.labels import gathered

    file = folder / LABELS
    if file.is_file():
        kept = samples(folder)
        taken = checked([file], kept, traces.of(_runs(kept)))
        show(gathered(kept, taken.labels, taken.faults))
