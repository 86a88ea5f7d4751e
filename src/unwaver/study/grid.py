"""A study: a grid of recipes declared in one short TOML file, as the arms to be done.

Reads the study file and the recipe it starts from; gives `Cell`s, each a recipe of its own. A table of the study is the
product of its axes; the cells of all tables are done once each, for every seed, and share whatever steps they have in
common. An axis is a dotted setting with a list of values, or the name of a `[choices.AXIS]` table whose entries are
bundles of dotted settings, for what must change together (a method and the teacher that suits it).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from unwaver import recipe_file
from unwaver.errors import RecipeError
from unwaver.recipe import Recipe, Settings
from unwaver.records import digest
from unwaver.study.plan import Plan, made_kind, one_name_each, plan


class StudySettings(Settings):
    """A study file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the folder under `runs/`."""
    recipe: Path
    """What every cell starts from."""
    title: str | None = None
    """The report's heading."""
    note: str | None = None
    """What a reader of the report must know; None: the recipe's own."""
    seeds: list[int] = Field([42], min_length=1)
    """Every cell is done once for each, no two alike: of the mix, of training and of sampling."""
    settings: dict[str, Any] = {}
    """Dotted settings laid over the recipe in every cell."""
    choices: dict[str, dict[str, dict[str, Any]]] = {}
    """Axis -> value's name -> the dotted settings it stands for."""
    tables: dict[str, dict[str, list[Any]]] = Field(min_length=1)
    """Table or figure -> axis -> its values."""

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("expected seeds that differ: one that stands twice would count as two trainings")
        return seeds

    @field_validator("tables")
    @classmethod
    def _axes_have_values(cls, tables: dict[str, dict[str, list[Any]]]) -> dict[str, dict[str, list[Any]]]:
        for name, axes in tables.items():
            for axis, values in axes.items():
                if not values:
                    raise ValueError(f"{name}.{axis}: expected at least one value")
        return tables


class Cell(Settings):
    """One combination of a study, for one seed."""

    arm: str
    """Its name without the seed: the values of its axes."""
    seed: int
    values: dict[str, Any]
    """Axis -> value."""
    tables: tuple[str, ...]
    """The tables and figures it belongs to."""
    recipe: Recipe

    @property
    def name(self) -> str:
        """Its name, with the seed."""
        return f"{self.arm}, seed {self.seed}"


def load(path: Path) -> StudySettings:
    """A checked study file; RecipeError names the file, the key, what was expected."""
    tree = recipe_file.read_toml(path)
    if "tables" not in tree and "prompts" in tree:
        raise RecipeError(f"{path}: is a recipe and no study (docs/study.md); `unwaver run {path}` does it")
    try:
        found = StudySettings.model_validate(tree)
    except ValidationError as error:
        raise RecipeError("\n".join(recipe_file.explain(error, path, StudySettings))) from None
    return found.model_copy(update={"recipe": (path.parent / found.recipe).resolve()})


def cells(study: StudySettings, path: Path, overrides: dict[str, Any] | None = None) -> list[Cell]:
    """Every combination once, in the order of the tables; flags are laid over all that no axis sets."""
    tree = {k: v for k, v in recipe_file.read_toml(study.recipe).items() if k != "arms"}
    tree |= {"name": study.name} | {k: v for k, v in (("title", study.title), ("note", study.note)) if v is not None}
    wanted: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for table, axes in study.tables.items():
        for combination in product(*axes.values()):
            values = dict(zip(axes, combination, strict=True))
            arm = ", ".join(_named(study, axis, value) for axis, value in values.items()) or study.name
            known = wanted.setdefault(arm, (values, []))
            if known[0] != values:
                raise RecipeError(
                    f"{path}: tables.{table}: `{arm}` names two combinations; make the values' names differ"
                )
            known[1].append(table)
    found = []
    for arm, (values, tables) in wanted.items():
        _refuse_flags(study, _settings(study, values, path), arm, overrides or {})
        for seed in study.seeds:
            laid = {**study.settings, **_settings(study, values, path), "seed": seed, **(overrides or {})}
            one = recipe_file.build(tree, study.recipe, laid)
            found.append(Cell(arm=arm, seed=seed, values=values, tables=tuple(tables), recipe=one))
    return found


def _refuse_flags(study: StudySettings, laid: dict[str, Any], arm: str, overrides: dict[str, Any]) -> None:
    """RecipeError for a flag that takes the place of what names a cell: it would bear a name that isn't true."""
    for flag in overrides:
        if key := next((key for key in laid if recipe_file.same_key(flag, key)), None):
            raise RecipeError(
                f"--{flag}: the study's cell `{arm}` sets `{key}` itself; change the study's tables instead"
            )
        if flag == "seed" and len(study.seeds) > 1:
            raise RecipeError("--seed: every cell is done for each of the study's `seeds`; change these instead")


def _named(study: StudySettings, axis: str, value: Any) -> str:
    """A value as it stands in an arm's name: a choice by its name, a number with what it is a number of."""
    return str(value) if axis in study.choices else f"{axis.rpartition('.')[2]} {value}"


def _settings(study: StudySettings, values: dict[str, Any], path: Path) -> dict[str, Any]:
    """The dotted settings a combination stands for."""
    laid: dict[str, Any] = {}
    for axis, value in values.items():
        if axis in study.choices and str(value) not in study.choices[axis]:
            known = ", ".join(study.choices[axis])
            raise RecipeError(f"{path}: choices.{axis}: no `{value}`; there are {known}")
        mine = study.choices[axis][str(value)] if axis in study.choices else {axis: value}
        if _tree(path, laid, mine) != _tree(path, mine, laid):
            keys = sorted({key for key in mine for other in laid if recipe_file.same_key(key, other)})
            raise RecipeError(
                f"{path}: {', '.join(map(str, values.values()))}: the axis {axis} takes the place of what another axis "
                f"sets ({', '.join(keys)}), and the cell would not be what its name says"
            )
        laid |= mine
    return laid


def _tree(path: Path, *each: dict[str, Any]) -> dict[str, Any]:
    """Dotted settings laid over one another, as a tree."""
    tree: dict[str, Any] = {}
    for dotted, value in (item for one in each for item in one.items()):
        tree = recipe_file.laid_over(tree, dotted, value, path)
    return tree


@dataclass(frozen=True)
class StudyPlan(Plan):
    """The plan of a cell."""

    tables: tuple[str, ...] = ()
    """The tables and figures of the study it belongs to."""


def plans(found: list[Cell]) -> list[Plan]:
    """The plan of every cell, named with its seed."""
    return one_name_each([StudyPlan(**vars(plan(cell.recipe, cell.name)), tables=cell.tables) for cell in found])


def apart(recipe: Recipe) -> dict[str, Any]:
    """What sets an arm apart in a grid: see `results.Results.cells`."""
    method, teacher = recipe.taught(harmful=True)
    parts: dict[bool, dict[str, Any]] = {True: {}, False: {}}
    for part in recipe.parts():
        parts[made_kind(recipe, part) == "harmful"][part] = recipe.mix.parts[part]
    size, benign = ("all" if "all" in found.values() else sum(found.values()) for found in (parts[True], parts[False]))
    harmful, harmless = (", ".join(f"{part} {n}" for part, n in parts[is_harm].items()) for is_harm in (True, False))
    rest = [
        {key: value for key, value in recipe.train.identity().items() if key != "learning_rate"},
        recipe.distil.model_dump(mode="json", exclude={"method", "teacher", "benign_teacher"}),
        recipe.model_dump(mode="json", include={"judge", "evaluate", "prompts"}),
        recipe.mix.model_dump(mode="json", exclude={"parts", "keep"}),
        None if recipe.afterwards is None else recipe.afterwards.model_dump(mode="json", exclude={"steps"}),
    ]
    return {
        "method": method,
        "teacher": recipe.models[teacher].label if teacher in recipe.models else None,
        "student": recipe.models["student"].label,
        "size": size,
        "benign": benign,
        "lr": recipe.train.learning_rate,
        "afterwards": 0 if recipe.afterwards is None else recipe.afterwards.steps,
        "seed": recipe.seed,
        "keep": recipe.mix.keep,
        "harmful": harmful,
        "harmless": harmless,
        "models": digest({role: model.identity() for role, model in recipe.models.items()}),
        "rest": digest(rest),
    }
