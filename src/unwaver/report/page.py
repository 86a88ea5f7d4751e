"""The page: sections in the order they are read, put into the template with the styles and the one script.

The content security policy names the script by its hash and allows nothing from anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from unwaver import __version__
from unwaver.report import main_tables, other_tables
from unwaver.report.facts import Facts
from unwaver.report.plain import visible
from unwaver.report.tables import Table, markdown

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    id: str
    title: str
    text: Sequence[str]
    pieces: Sequence[Table]


@dataclass(frozen=True)
class Made:
    """A finished page and what stands beside it."""

    html: str
    markdown: str
    tables: Sequence[Table]


def make(facts: Facts, date: str) -> Made:
    """The whole report."""
    sections = _sections(facts)
    recipe = facts.results.recipe
    title = recipe.title or recipe.name
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    teacher = recipe.models.get("teacher")
    html = _template().render(
        title=title,
        note=recipe.note,
        date=date,
        student=recipe.models["student"].label,
        teacher=teacher.label if teacher is not None else "",
        replies=f"{len(facts.results.rows):,}",
        arms=len(facts.arms),
        owed=facts.results.owed,
        sections=sections,
        version=__version__,
        policy=_policy(script),
        css=Markup((FOLDER / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
    )
    tables = [table for section in sections for table in section.pieces]
    words = [f"# {visible(title)}", "", date, "", visible(recipe.note), ""]
    for section in sections:
        words += [f"## {section.title}", "", *section.text, "", *(markdown(table) for table in section.pieces)]
    return Made(html, "\n".join(words), tables)


def _sections(facts: Facts) -> list[Section]:
    chosen = [
        Section("main-table", "Results", (), [main_tables.main_table(facts), main_tables.comparison_table(facts)]),
        Section("parts", "Reasoning and answer", (), _there(main_tables.split_table(facts))),
        Section("patterns", "Risky patterns", (), _there(main_tables.pattern_table(facts))),
        Section("leaks", "Leak check", (), _there(other_tables.overlap_table(facts))),
        Section("runs", "Runs", (), [other_tables.cost_table(facts), other_tables.version_table(facts)]),
    ]
    return [section for section in chosen if section.pieces or section.text]


def _there(*tables: Table | None) -> list[Table]:
    return [table for table in tables if table is not None]


def _template() -> Template:
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    environment.filters["visible"] = visible
    return environment.get_template("page.html")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
