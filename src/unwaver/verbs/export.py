"""`unwaver export RUN --to FORMAT --out FOLDER`: a mix, or traces, in another tool's format."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE, RecipeError
from unwaver.records import Example
from unwaver.stages import export
from unwaver.stages.mix import EXAMPLES
from unwaver.store import disk_errors, read_manifest, read_records


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A finished mix, the format and where to."""
    parser.add_argument("run", type=Path, help="the directory of a finished mix (or of an evaluation, for `eval`)")
    parser.add_argument("--to", required=True, choices=[*export.FORMATS, "eval"], help="the format")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Write the files and print their paths."""
    manifest = read_manifest(arguments.run)
    if manifest is None:
        raise RecipeError(f"{arguments.run}: no finished run here (there is no manifest.json)")
    if arguments.to == "eval":
        from unwaver.inspect_bridge import export_run

        with disk_errors(arguments.out):
            print(export_run(arguments.run, arguments.out))
        return EXIT_DONE
    if manifest.get("stage") != "mix":
        raise RecipeError(f"{arguments.run}: is a run of the stage {manifest.get('stage')}; expected a finished mix")
    card = {**manifest, "parts": manifest["counts"]["parts"]}
    examples = read_records(arguments.run / EXAMPLES, Example)
    with disk_errors(arguments.out):
        written = export.write_dataset(arguments.out, examples, card, [arguments.to])
    for path in written:
        print(path)
    return EXIT_DONE
