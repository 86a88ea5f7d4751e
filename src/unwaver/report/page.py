"""The page: sections in the order they are read, put into the template with the styles and the one script.

The content security policy names script and styles by their hashes and allows nothing else and nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from unwaver import __version__
from unwaver.plain import in_markdown, paragraph, visible
from unwaver.progress import bar
from unwaver.records import Estimate
from unwaver.report import browser, examples, paper
from unwaver.report.before import Before
from unwaver.report.charts import Drawn, Figure, recolouring
from unwaver.report.facts import Facts
from unwaver.report.figures import hue_of
from unwaver.report.section import Material, Section
from unwaver.report.sections import (
    anatomy,
    answers,
    beside_paper,
    cards,
    changes,
    hollow,
    labels,
    leaks,
    lengths,
    pairs,
    parts,
    patterns,
    principles,
    protocol,
    results,
    runs,
    sets,
    settings,
    settled,
    style,
    trade_off,
    training,
)
from unwaver.report.sections.answers import ArmAnswer, TopQuestion
from unwaver.report.tables import Table, markdown

FIRST = (trade_off, results)
"""What everybody reads, in the page's order; before it stand the answers and the cards, after it the examples."""

DETAILS = (
    *(sets, parts, principles, patterns, settings, training, lengths, style, anatomy, settled, pairs),
    *(changes, labels, leaks, protocol, runs, beside_paper),
)
"""What is folded, in the page's order. A section that has nothing to show is left out."""

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class FinishedPage:
    """A finished page and what stands beside it."""

    html: str
    markdown: str
    tables: Sequence[Table]
    figures: Sequence[Drawn]
    estimates: Sequence[Estimate]
    """What was measured for this page alone."""


def make(facts: Facts, date: str, most: int | None = None, before: Before | None = None) -> FinishedPage:
    """The whole report; `most`: prompts of each set in the trace browser, None for all; `before`: the last one."""
    material = Material(facts, before)
    with bar("report, sections", len(FIRST) + len(DETAILS)) as progress:
        first, folded = (_sections(material, some, progress.advance) for some in (FIRST, DETAILS))
    sections = [*first, *folded]
    contents = paper.contents(facts, {id_: title for section in sections for id_, title in section.named()})
    top = Top(answers.questions(material), hollow.hollow(facts), changes.said(material), answers.meaning(facts))
    replies = examples.examples(facts)
    traces = browser.payload(facts, most=most, examples=replies)
    script, css = (_file("report.js"), styles())
    teacher = facts.results.recipe.models.get("teacher")
    html = _template().render(
        title=facts.results.recipe.title or facts.results.recipe.name,
        note=facts.results.recipe.note,
        date=date,
        student=facts.results.recipe.models["student"].label,
        teacher=teacher.label if teacher is not None else "",
        replies=f"{len(facts.results.rows):,}",
        arms=len(facts.arms),
        owed=facts.results.owed,
        top=top,
        cards=cards.cards(material),
        cards_note=cards.cards_note(facts),
        hue=hue_of(facts),
        first=first,
        folded=folded,
        contents=contents,
        examples=bool(replies),
        read_by=material.by_harm_in_short,
        version=__version__,
        policy=policy(script, css),
        css=css,
        script=script,
        index=traces.index,
        packets=traces.packets,
        shortened=traces.shortened,
        left_out=f"{traces.left_out:,}" if traces.left_out else "",
        most=most,
    )
    pieces = [piece for section in sections for piece in section.pieces]
    tables = [piece for piece in pieces if isinstance(piece, Table)]
    drawn = [piece for piece in pieces if isinstance(piece, Drawn)]
    measured = [told.estimate for told in material.told_apart] + [ball.estimate for ball in material.snowballs]
    measured += [estimate for one in (*material.rethought, *material.probed) for estimate in one.estimates]
    return FinishedPage(html, _markdown(facts, top, (first, folded), contents, date), tables, drawn, measured)


def _sections(material: Material, modules: Sequence[Any], done: Callable[[], None]) -> list[Section]:
    found = []
    for each in modules:
        section = each.section(material)
        found += [section] if section.pieces else []
        done()
    return found


@dataclass(frozen=True)
class Top:
    """What the page begins with."""

    questions: Sequence[TopQuestion]
    hollow: Sequence[str]
    changed: str
    meaning: str


def _markdown(
    facts: Facts, top: Top, sections: Sequence[Sequence[Section]], contents: Sequence[paper.Entry], date: str
) -> str:
    recipe = facts.results.recipe
    words = [f"# {in_markdown(recipe.title or recipe.name)}", "", date, "", paragraph(recipe.note), ""]
    if facts.results.owed:
        words += [f"Not finished; owed: {in_markdown(', '.join(facts.results.owed))}.", ""]
    words += [line for text in top.hollow for line in (f"- {in_markdown(text)}",)] + [""]
    for question in top.questions:
        words += [f"## {question.ask}", "", *map(_answered, question.answers), ""]
    words += [paragraph(text) + "\n" for text in (top.meaning, top.changed) if text]
    for section in (*sections[0], *sections[1]):
        words += [f"## {in_markdown(section.title)}", "", *map(paragraph, section.text), ""]
        for piece in section.pieces:
            words += [markdown(piece)] if isinstance(piece, Table) else _figure(piece.figure)
    return "\n".join([*words, *_by_name(contents)])


def _answered(answer: ArmAnswer) -> str:
    clauses = (f"{one.text}{f', {one.detail}' if one.detail else ''}" for one in answer.clauses)
    name = f"**{in_markdown(answer.arm)}**: " if answer.arm else ""
    return f"- {name}{in_markdown('; '.join(clauses))}"


def _by_name(contents: Sequence[paper.Entry]) -> list[str]:
    words = ["## The paper's tables and figures, by name", ""] if contents else []
    for entry in contents:
        here = ", ".join(title for _, title in entry.here)
        words.append(
            f"- **{in_markdown(entry.name)}**{f' ({in_markdown(entry.shows)})' if entry.shows else ''}: "
            + "; ".join(in_markdown(text) for text in (here, entry.why) if text)
        )
    return [*words, ""]


def _figure(figure: Figure) -> list[str]:
    title = in_markdown(figure.title)
    words = [f"### {title}", "", f"![{title}](figures/{figure.name}.svg)", "", paragraph(figure.caption), ""]
    return words + [f"{paragraph(note)}\n" for note in figure.notes]


def styles() -> str:
    """The page's CSS: the dark theme's rules are written once and stand for the system's choice and the button's."""
    css = _file("report.css")
    chosen = ":root[data-theme=dark]"
    unasked = ":root:not([data-theme])"
    before, rest = css.split("DARK{", 1)
    rules, after = rest.split("}\n", 1)
    recoloured = recolouring()
    return (
        f"{before}{chosen}{{{rules}}}\n@media (prefers-color-scheme:dark){{{unasked}{{{rules}}}}}\n{after}"
        f"@media screen{{{recoloured.replace('SCOPE', chosen)}}}\n"
    )


def policy(script: str, css: str) -> str:
    """The content security policy: this script, these styles, nothing else."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, css)]
    return (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'"
    )


def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _template() -> Template:
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    filters: dict[str, Any] = {"visible": visible}
    environment.filters.update(filters)
    return environment.get_template("page.html")
