"""`unwaver verify PATH ...`: whether finished runs are still what they were when they finished.

Reads run directories, and folders that hold some (a recipe's, a study's): each record file and each file of weights is
read whole and compared with its manifest. Prints one line a run on stdout and changes nothing. Exit code 0: all are
finished and whole; 2: some are not what they were, or can't be judged; 3: none is wrong, and some are not finished.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_UNFINISHED, RecipeError, RecordError
from unwaver.kept import changed
from unwaver.plain import plain
from unwaver.printer import put
from unwaver.store import read_manifest

WHOLE, UNFINISHED, WRONG = "whole", "not finished", "WRONG"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to look at."""
    parser.add_argument(
        "paths", metavar="PATH", type=Path, nargs="+", help="a run directory, or a folder with some below it"
    )
    parser.epilog = "exit code 0: all whole; 2: some are not what they were; 3: none is wrong, some are not finished"


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Look at every run and print what was found."""
    found = set()
    for path in arguments.paths:
        for directory in _runs(path):
            state, told = verdict(directory)
            found.add(state)
            put(f"{state:<12}  {plain(f'{directory}  {told}')}")
    if WRONG in found:
        return EXIT_BAD_INPUT
    return EXIT_UNFINISHED if UNFINISHED in found else EXIT_DONE


def _runs(path: Path) -> list[Path]:
    if not path.is_dir():
        raise RecipeError(f"{path}: there is no such folder")
    names = ("config.json", "manifest.json")
    found = sorted({one.parent for name in names for one in path.glob(f"**/{name}") if _is_run(one.parent)})
    if not found:
        raise RecipeError(f"{path}: holds no run")
    return found


def _is_run(directory: Path) -> bool:
    """Whether a folder is a step's: it has both files, or is named like one; a model has a `config.json` too."""
    stages = ("prompts", "distil", "judge", "mix", "overlap", "train", "evaluate", "rethink")
    stage, dash, rest = directory.name.rpartition("-")
    named = bool(dash) and stage in stages and len(rest) == 8 and set(rest) <= set("0123456789abcdef")
    return named or all((directory / name).is_file() for name in ("config.json", "manifest.json"))


def verdict(directory: Path) -> tuple[str, str]:
    """How a run stands, and in what: what is wrong with it, or what was compared."""
    try:
        manifest = read_manifest(directory)
        settings = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except RecordError as error:
        return WRONG, str(error)
    except (OSError, ValueError) as error:
        return WRONG, f"config.json: {error}"
    if manifest is None:
        return UNFINISHED, "the command that began it goes on with it"
    wrong = list(_wrong(directory, manifest, settings))
    if wrong:
        return WRONG, "; ".join(wrong)
    if "files" not in manifest:
        return WRONG, "made by a version that kept no digests: it can't be told whether it is whole"
    files, weights = manifest["files"], manifest.get("weights", {})
    lines = sum(one["lines"] for one in files.values())
    gone = weights and not any((directory / name).exists() for name in weights)
    return WHOLE, f"{len(files)} record files, {lines:,} lines" + ("; its weights are not here" if gone else "")


def _wrong(directory: Path, manifest: dict[str, Any], settings: Any) -> Iterator[str]:
    """What contradicts the manifest."""
    if directory.name != f"{manifest['stage']}-{manifest['digest'][:8]}":
        yield f"its manifest is that of {manifest['stage']}-{manifest['digest'][:8]}"
    if not isinstance(settings, dict) or settings.get("stage") != manifest["stage"]:
        yield "config.json: not that of this stage"
    files = manifest.get("files", {})
    yield from _changed(directory, files)
    known = {path.name for path in directory.glob("*.jsonl")} - set(files)
    yield from (f"{name}: nobody wrote it" for name in sorted(known) if "files" in manifest)
    weights = manifest.get("weights", {})
    if any((directory / name).exists() for name in weights):  # all of them away is a saving of disk
        yield from _changed(directory, weights)


def _changed(directory: Path, files: Any) -> Iterator[str]:
    if not isinstance(files, dict):
        yield "manifest.json: `files` is no table"
        return
    for name, was in files.items():
        try:
            how = changed(directory / name, was)
        except (OSError, AttributeError, LookupError) as error:
            how = f"can't be read ({error})"
        if how is not None:
            yield f"{name}: {how}"
