"""What each word on the command line does with its arguments; one file a verb, `add_arguments` and `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unwaver import recipe
from unwaver.study.plan import Plan
from unwaver.study.run import plans


def open_recipe(path: Path, root: Path | None, overrides: dict[str, Any]) -> tuple[list[Plan], Path]:
    """The plans of a recipe's arms, and the root of its runs."""
    tree = recipe.read_toml(path)
    work = plans(recipe.arms(tree, path, overrides))
    return work, root or Path("runs") / work[0].recipe.name
