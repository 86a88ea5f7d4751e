"""Write the pages that are made from code: docs/recipe.md (every setting), docs/catalogue.md (all there is to name),
docs/estimates.md with its schema; and docs/notebook.ipynb from docs/python.md.

Usage: python tools/write_pages.py [--check]; with --check it only says whether the pages are up to date.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from unwaver import attacks, teaching
from unwaver.basis import Basis
from unwaver.judging.asked.guards import guards
from unwaver.judging.questions import QUESTIONS, Question, every
from unwaver.recipe import Recipe
from unwaver.records import Estimate
from unwaver.sources import SOURCES
from unwaver.study.measures import measures

DOCS = Path(__file__).parent.parent / "docs"

HEAD = """# The recipe: every setting

A recipe is a TOML file. Any key can also be given as a flag, `--train.learning_rate 1e-4`, which wins over the file;
a stage's own verb takes that section's keys without the dot: `unwaver train RECIPE --learning-rate 1e-4`.
`[arms.NAME]` tables hold what an arm changes. An unknown key is an error that names the file, the key and what was
expected. Relative file names start at the recipe's own folder. This page is written by `tools/write_pages.py`
from the settings' own docstrings.
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    done: set[type[BaseModel]] = set()

    def section(model: type[BaseModel], where: str) -> None:
        if model in done:
            return
        done.add(model)
        about = " ".join((model.__doc__ or "").split())
        lines.extend([f"\n## `{where}`\n", about, "", "| key | type | default | what |", "|---|---|---|---|"])
        below: list[tuple[type[BaseModel], str]] = []
        for name, field in model.model_fields.items():
            default = "required" if field.default is PydanticUndefined else _plain(field.default)
            inner = _inner(field.annotation)
            if inner is not None:
                prefix = "" if where == "(top level)" else where.strip("[]") + "."
                is_map = typing.get_origin(field.annotation) is dict
                below.append((inner, f"[{prefix}{name}{'.NAME' if is_map else ''}]"))
                default = "required" if default == "required" else "see below"
            about = " ".join((field.description or "").split()).replace("|", "\\|")
            lines.append(f"| `{name}` | {_type(field.annotation)} | {default} | {about} |")
        for inner, place in below:
            section(inner, place)

    section(Recipe, "(top level)")
    return "\n".join(lines) + "\n"


def _inner(annotation: Any) -> type[BaseModel] | None:
    candidates = [annotation, *typing.get_args(annotation)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _type(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Annotated:
        return _type(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is typing.Literal:
        return " \\| ".join(f"`{value}`" for value in typing.get_args(annotation))
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return "table" if issubclass(annotation, BaseModel) else annotation.__name__.lower()
    arguments = [_type(a) for a in typing.get_args(annotation) if a is not type(None)]
    origin = typing.get_origin(annotation)
    if origin is dict:
        return f"table of {arguments[1]}"
    if origin in (list, tuple):
        return f"list of {arguments[0]}"
    return " \\| ".join(arguments) or "any"


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel) or value == {}:
        return "see below" if isinstance(value, BaseModel) else "empty"
    if value is None:
        return "none"
    if value in ("", ()):
        return "empty"
    if isinstance(value, str):
        return "`" + value.replace("\n", "\\n") + "`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


CATALOGUE = """# What there is to choose from

Everything a recipe can name, as the code has it: this page is written by `tools/write_pages.py`. How to add one is in
[architecture](architecture.md#where-do-i-add-what).
"""


def catalogue() -> str:
    """The page of attacks, methods, questions, guards, measures and sources."""
    lines = [CATALOGUE]
    attacks_ = [(f"`{one.name}`", one.title, _listed(one.roles.values())) for one in attacks.attacks().values()]
    lines += _table("Attacks", "`evaluate.sets.NAME.attack`", ("attack", "what it does", "asks"), attacks_)
    methods_ = [(f"`{one.name}`", one.title, _listed(one.roles.values())) for one in teaching.methods().values()]
    lines += _table("Teaching methods", "`distil.method`", ("method", "what it does", "asks"), methods_)
    asked = [(f"`{one.name}`", ", ".join(one.kinds), " and ".join(one.of), _read_by(one)) for one in every()]
    lines += _table("Questions", "asked about traces", ("question", "kinds of prompt", "written by", "read by"), asked)
    guards_ = [(f"`{one.name}`", f"`{one.ids}`") for one in guards().values()]
    lines += _table("Guards", "known by their names on the hub", ("format", "names that match"), guards_)
    counted = [
        (f"`{one.name}`", one.title, ", ".join(one.kinds), one.counts, one.better or "-", one.source, one.caveat)
        for one in measures().values()
    ]
    head = ("measure", "called", "kinds of prompt", "what counts", "better", "source", "caveat")
    lines += _table("Measures", "in the report and in `estimates.jsonl`", head, counted)
    known = [(f"`{one.name}`", one.kind, one.title) for one in SOURCES.values()]
    lines += _table("Sources", "`prompts.NAME.source`", ("source", "kind", "what it is"), known)
    return "\n".join(lines) + "\n"


def _read_by(one: Question) -> str:
    if one.graded:
        return "graded"
    return f"`judge.{one.name}`" if one in QUESTIONS else f"`judge.further.{one.name}`"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`models.{name}`" for name in names) or "nobody"


def _table(title: str, where: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [
        f"\n## {title}\n\n{where[0].upper()}{where[1:]}.\n",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in cells),
    ]


ESTIMATES = """# `estimates.jsonl`: every rate of a report, for programs

A report's folder holds `estimates.jsonl`: one JSON object a line, each a number with what it takes to believe it. A
field that has its default is left out of the line, so `n_unscored` is absent where nothing was unscored; `value` is
always there, and null where nothing could be scored. [estimates.schema.json](estimates.schema.json) is the same as JSON
Schema, and `unwaver.records.Estimate` the same in Python; this page and the schema are written by
`tools/write_pages.py`. The measures are those of [the catalogue](catalogue.md#measures), and beside them the shares of
patterns in the teachers' traces (`pattern:NAME`, `pattern_free`, `kept:NAME`).

```json
{"metric": "asr", "arm": "improved", "slice": "harmful-unseen", "value": 0.1, "low": 0.035, "high": 0.256, "n": 30,
 "method": "Wilson 95 %", "runs": ["evaluate-6938143a"]}
```
"""


def estimates() -> str:
    """The page of the fields of an estimate."""
    rows = []
    for name, field in Estimate.model_fields.items():
        about = " ".join((field.description or "").split())
        if name == "basis":
            about = f"What it was measured by: {', '.join(one.name for one in dataclasses.fields(Basis))}. {about}"
        rows.append((f"`{name}`", _type(field.annotation), _default(field), about.strip()))
    return "\n".join([ESTIMATES, *_table("Fields", "of a line", ("field", "type", "default", "what"), rows)]) + "\n"


def _default(field: Any) -> str:
    return "always there" if field.default is PydanticUndefined else _plain(field.default)


def schema() -> str:
    """An estimate as JSON Schema."""
    return json.dumps(Estimate.model_json_schema(mode="serialization"), indent=1, ensure_ascii=False) + "\n"


def notebook() -> str:
    """docs/python.md as a notebook: its code in cells without outputs, what stands between as text."""
    pieces = re.split(r"^```python\n(.*?)^```$", (DOCS / "python.md").read_text(encoding="utf-8"), flags=re.M | re.S)
    cells = [
        {"cell_type": "code", "execution_count": None, "id": f"cell-{number}", "metadata": {}, "outputs": []}
        if number % 2
        else {"cell_type": "markdown", "id": f"cell-{number}", "metadata": {}}
        for number in range(len(pieces))
    ]
    for cell, text in zip(cells, pieces, strict=True):
        cell["source"] = text.strip("\n").splitlines(keepends=True)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


PAGES = {
    "recipe.md": page,
    "catalogue.md": catalogue,
    "estimates.md": estimates,
    "estimates.schema.json": schema,
    "notebook.ipynb": notebook,
}

if __name__ == "__main__":
    stale = []
    for name, write in PAGES.items():
        path = DOCS / name
        if "--check" not in sys.argv:
            path.write_text(write(), encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != write():
            stale.append(f"docs/{name} is out of date; run this without --check")
    sys.exit("\n".join(stale) or 0)
