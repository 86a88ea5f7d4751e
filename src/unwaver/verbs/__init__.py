"""What each word on the command line does with its arguments; one file a verb, `add_arguments` and `run`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unwaver import recipe
from unwaver.study import grid
from unwaver.study.plan import Plan
from unwaver.study.run import plans


def open_recipe(path: Path, root: Path | None, overrides: dict[str, Any]) -> tuple[list[Plan], Path]:
    """The plans of a recipe's arms, or of a study's cells, and the root of their runs."""
    tree = recipe.read_toml(path)
    if "tables" in tree:
        study = grid.load(path)
        return grid.plans(grid.cells(study, path, overrides)), root or Path("runs") / study.name
    work = plans(recipe.arms(tree, path, overrides))
    return work, root or Path("runs") / work[0].recipe.name


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """The arguments of every verb that works on a recipe."""
    parser.add_argument("recipe", type=Path, help="the recipe: a TOML file")
    parser.add_argument(
        "--root", type=Path, default=None, help="where runs are kept; default: runs/<the recipe's name>"
    )
    parser.takes_overrides = True  # type: ignore[attr-defined]
    parser.epilog = "any setting of the recipe can be given as --dotted.key value; docs/recipe.md lists them all"
