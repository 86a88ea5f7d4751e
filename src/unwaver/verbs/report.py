"""`unwaver report RECIPE`: the report of what is finished of a recipe or a study, whether or not all is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE, RecipeError
from unwaver.plain import counted
from unwaver.printer import put
from unwaver.progress import say
from unwaver.store import is_run
from unwaver.verbs import add_recipe, open_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe or a study, its overrides, and where the report goes."""
    add_recipe(parser)
    parser.add_argument("--out", type=Path, default=None, help="write the report here; default: among its runs")
    parser.add_argument(
        "--traces",
        type=int,
        default=None,
        metavar="N",
        help="a small page: no more than the first N prompts of each set in its trace browser; default: all",
    )


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Write the report and print its path; what is owed is told on stderr and on the page."""
    from unwaver.report.write import write_report
    from unwaver.study.steps import owed

    if arguments.traces is not None and arguments.traces < 0:
        raise RecipeError(f"--traces {arguments.traces}: expected 0 or more")
    if arguments.out is not None and is_run(arguments.out):
        raise RecipeError(
            f"--out {arguments.out}: is a run, and would no longer be what it was; expected another folder"
        )
    work, root = open_recipe(arguments.recipe, arguments.root, overrides)
    left = len(owed(work, root))
    if left:
        say(f"{counted(left, 'step is', 'steps are')} owed and in no figure; `unwaver run {arguments.recipe}` goes on")
    put(write_report(work, root, arguments.out, arguments.traces))
    return EXIT_DONE
