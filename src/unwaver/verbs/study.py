"""`unwaver study STUDY.toml`: a whole grid of recipes, sizes and seeds; shared work is done once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE
from unwaver.printer import put
from unwaver.study import grid
from unwaver.study.run import do
from unwaver.verbs import add_engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A study file and overrides for every cell."""
    parser.add_argument("study", type=Path, help="the study: a TOML file")
    parser.add_argument("--root", type=Path, default=None, help="where runs are kept; default: runs/<the study's name>")
    add_engine(parser)
    parser.takes_overrides = True  # type: ignore[attr-defined]
    parser.epilog = "settings given as --dotted.key value are laid over every cell; `unwaver check` counts beforehand"


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Do what is owed and print the report's path."""
    from unwaver.report.write import write_report

    study = grid.load(arguments.study)
    work = grid.plans(grid.cells(study, arguments.study, overrides))
    root = arguments.root or Path("runs") / study.name
    do(work, root, engine=arguments.engine)
    put(write_report(work, root))
    return EXIT_DONE
