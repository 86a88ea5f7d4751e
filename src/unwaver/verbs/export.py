"""`unwaver export RUN --to FORMAT --out FOLDER`: a mix, traces, or pairs of traces, in another tool's format."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE, RecipeError
from unwaver.printer import put
from unwaver.records import Example
from unwaver.stages import export
from unwaver.stages.pairs import write_pairs
from unwaver.store import EXAMPLES, apart, disk_errors, read_records
from unwaver.verbs.named import finished

_TAKES = {"eval": "evaluate", "dpo": "distil"}
"""The stage whose run a format is made of, where that is no mix."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A finished mix, the format and where to."""
    told = "the directory of a finished mix (for `eval` of an evaluation, for `dpo` of a judged distillation)"
    parser.add_argument("run", type=Path, help=told)
    parser.add_argument("--to", required=True, choices=[*export.FORMATS, "dpo", "eval"], help="the format")
    told = "for `dpo`: another judged distillation of the same prompts (several: give it again)"
    parser.add_argument("--with", dest="others", action="append", default=[], type=Path, metavar="RUN", help=told)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Write the files and print their paths."""
    if arguments.others and arguments.to != "dpo":
        raise RecipeError("--with: only pairs (--to dpo) are made of several runs")
    manifest = finished(arguments.run, _TAKES.get(arguments.to, "mix"))
    for other in arguments.others:
        finished(other, "distil")
    apart(arguments.out, [arguments.run, *arguments.others], "--out")
    if arguments.to == "dpo":
        with disk_errors(arguments.out):
            for path in write_pairs(arguments.out, [arguments.run, *arguments.others]):
                put(path)
        return EXIT_DONE
    if arguments.to == "eval":
        from unwaver.inspect_bridge import export_run

        with disk_errors(arguments.out):
            put(export_run(arguments.run, arguments.out))
        return EXIT_DONE
    card = {**manifest, "parts": manifest["counts"]["parts"]}
    examples = read_records(arguments.run / EXAMPLES, Example)
    with disk_errors(arguments.out):
        written = export.write_dataset(arguments.out, examples, card, [arguments.to])
    for path in written:
        put(path)
    return EXIT_DONE
