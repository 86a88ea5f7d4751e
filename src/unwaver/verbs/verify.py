"""`unwaver verify PATH ...`: whether finished runs are still what they were when they finished.

Reads run directories, and folders that hold some (a recipe's, a study's): each record file and each file of weights is
read whole and compared with its manifest. Prints one line a run on stdout and changes nothing. Exit code 0: all are
finished and whole; 2: some are not what they were, or can't be judged; 3: none is wrong, and some are not finished.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_UNFINISHED, RecipeError, RecordError
from unwaver.kept import changed
from unwaver.models.weights import strays, weights_gone, weights_there
from unwaver.plain import counted, plain
from unwaver.printer import put
from unwaver.store import CONFIG, MANIFEST, NAMED, read_config, read_manifest

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
            put(f"{state:<12}  {plain(str(directory))}  {plain(told)}")
    if WRONG in found:
        return EXIT_BAD_INPUT
    return EXIT_UNFINISHED if UNFINISHED in found else EXIT_DONE


def _runs(path: Path) -> list[Path]:
    if not path.is_dir():
        what = (
            "is a file; expected a run directory, or a folder of runs" if path.exists() else "there is no such folder"
        )
        raise RecipeError(f"{path}: {what}")
    named = [one for one in (path.resolve(), *path.glob("**/*-*")) if NAMED.fullmatch(one.name) and one.is_dir()]
    both = [one.parent for one in path.glob(f"**/{MANIFEST}") if (one.parent / CONFIG).is_file()]
    found = sorted({path if one == path.resolve() else one for one in (*named, *both)})
    if not found:
        raise RecipeError(f"{path}: holds no run")
    return found


def verdict(directory: Path) -> tuple[str, str]:
    """How a run stands, and in what: what is wrong with it, or what was compared."""
    try:
        manifest = read_manifest(directory)
        settings = read_config(directory)
    except (RecordError, OSError) as error:
        return WRONG, str(error)
    if manifest is None and not (directory / CONFIG).exists():
        return UNFINISHED, "neither its settings nor its manifest are here; the command that began it begins it again"
    if settings.get("stage") is None:
        return WRONG, f"{directory / CONFIG}: not that of a run"
    if manifest is None:
        return UNFINISHED, "the command that began it goes on with it"
    wrong = list(_wrong(directory, manifest))
    if wrong:
        return WRONG, "; ".join(wrong)
    files = [was for name, was in manifest["files"].items() if name != CONFIG]
    gone = weights_gone(directory, manifest)
    lines = sum(one["lines"] for one in files)
    read = f"{counted(len(files), 'record file')}, {counted(lines, 'line')}"
    return WHOLE, read + ("; its weights are not here" if gone else "")


def _wrong(directory: Path, manifest: dict[str, Any]) -> Iterator[str]:
    """What contradicts the manifest."""
    if directory.name != f"{manifest['stage']}-{manifest['digest'][:8]}":
        yield f"its manifest is that of {manifest['stage']}-{manifest['digest'][:8]}"
    yield from _changed(directory, manifest["files"])
    known = {path.name for path in directory.glob("*.jsonl")} - set(manifest["files"])
    yield from (f"{name}: nobody wrote it" for name in sorted(known))
    yield from _changed(directory, weights_there(directory, manifest))
    yield from (f"{name}: nobody wrote it" for name in strays(directory, manifest))


def _changed(directory: Path, files: dict[str, Any]) -> Iterator[str]:
    for name, was in files.items():
        try:
            how = changed(directory / name, was)
        except OSError as error:
            how = f"can't be read ({error})"
        if how is not None:
            yield f"{name}: {how}"
