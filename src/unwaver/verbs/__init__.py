"""What each word on the command line does with its arguments; one file a verb, `add_arguments` and `run`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from unwaver import recipe_file
from unwaver.errors import RecipeError, under
from unwaver.recipe import Recipe
from unwaver.study import grid
from unwaver.study.plan import Plan
from unwaver.study.steps import plans


def open_recipe(path: Path, root: Path | None, overrides: dict[str, Any]) -> tuple[list[Plan], Path]:
    """The plans of a recipe's arms, or of a study's cells, and the root of their runs."""
    tree = recipe_file.read_toml(path)
    if "tables" in tree:
        study = grid.load(path)
        with under(str(path)):
            return _limited(grid.plans(grid.cells(study, path, overrides))), root or Path("runs") / study.name
    arms = recipe_file.arms(tree, path, overrides)
    with under(str(path)):
        work = _limited(plans(arms))
    return work, root or Path("runs") / work[0].recipe.name


def _limited(work: list[Plan]) -> list[Plan]:
    """The same plans; RecipeError for a limit of what is no measure, before anything is spent and not in the report."""
    if work[0].recipe.limits:
        from unwaver.report.limits import check

        check(work[0].recipe)
    return work


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """The arguments of every verb that works on a recipe."""
    parser.add_argument("recipe", type=Path, help="the recipe: a TOML file")
    parser.add_argument(
        "--root", type=Path, default=None, help="where runs are kept; default: runs/<the recipe's name>"
    )
    parser.takes_overrides = True  # type: ignore[attr-defined]
    parser.epilog = "any setting of the recipe can be given as --dotted.key value; docs/recipe.md lists them all"


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Where the work is done."""
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="local: in this process; ray: the steps run on an existing Ray cluster, and runs must be kept on storage "
        "that all its nodes share",
    )


def own_settings(section: str) -> list[str]:
    """A stage's own settings for its help: flag, default, what it is."""
    settings = _settings_of(section)
    return [
        f"  --{name.replace('_', '-')} (default: {field.default}): {' '.join((field.description or name).split())}"
        for name, field in (settings.model_fields if settings else {}).items()
    ]


def _settings_of(section: str) -> type[BaseModel] | None:
    """The settings of one section of the recipe; None where that is no table of settings, as `[prompts]`."""
    settings = Recipe.model_fields[section].annotation
    return settings if isinstance(settings, type) and issubclass(settings, BaseModel) else None


def settable(verb: str) -> list[str]:
    """What a flag of a verb may begin with besides its own: the recipe's sections, and a stage's own settings."""
    own = _settings_of(verb) if verb in Recipe.model_fields else None
    return [*Recipe.model_fields, *(own.model_fields if own else ())]


def in_section(section: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """The flags of a stage's verb: one without a dot is a setting of the stage's own section, `--keep` of `[mix]`.

    A name that only the recipe's top level has (`--name`, and `--seed` where the section has none) stays that; hyphens
    may stand for underscores. A name nobody has is left to the section, whose error names what is near.
    """
    settings = _settings_of(section)
    if settings is None:
        return overrides
    placed = {}
    for key, value in overrides.items():
        name = key.replace("-", "_")
        at_top = name in Recipe.model_fields and name not in settings.model_fields
        where = key if "." in key else name if at_top else f"{section}.{name}"
        if where in placed:
            raise RecipeError(f"--{key}: given twice, as {where} too; expected once")
        placed[where] = value
    return placed
