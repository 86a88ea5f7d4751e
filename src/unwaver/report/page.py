"""The page: sections in the order they are read, put into the template with the styles and the one script.

The content security policy names script and styles by their hashes and allows nothing else and nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from unwaver import __version__
from unwaver.plain import plain, visible
from unwaver.progress import bar
from unwaver.records import PATTERNS, Estimate
from unwaver.report import (
    anatomy_figures,
    browser,
    figures,
    main_tables,
    other_tables,
    paper,
    protocol,
    readers,
    study_figures,
    style,
    trace_figures,
)
from unwaver.report.charts import Drawn, Figure, draw, recolouring
from unwaver.report.facts import NAMES, Facts
from unwaver.report.tables import Table, markdown, percent
from unwaver.report.teachers import Teachers

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    id: str
    short: str
    """What the page's navigation calls it."""
    title: str
    text: Sequence[str]
    pieces: Sequence[Table | Drawn]

    def named(self) -> list[tuple[str, str]]:
        """(id in the page, title) of every piece."""
        return [
            (f"table-{piece.name}", piece.title)
            if isinstance(piece, Table)
            else (f"figure-{piece.figure.name}", piece.figure.title)
            for piece in self.pieces
        ]


@dataclass(frozen=True)
class Line:
    """One measure of a card."""

    name: str
    text: str
    estimate: Estimate
    word: str
    """The verdict against raw; empty for raw students."""
    change: str
    """The difference and the verdict, in words."""
    hint: str


@dataclass(frozen=True)
class Card:
    """One arm, summed up."""

    arm: str
    raw: bool
    lines: Sequence[Line]


@dataclass(frozen=True)
class Made:
    """A finished page and what stands beside it."""

    html: str
    markdown: str
    tables: Sequence[Table]
    figures: Sequence[Drawn]


def make(facts: Facts, date: str, most: int | None = None) -> Made:
    """The whole report; `most`: prompts of each set in the trace browser, None for all."""
    sections = []
    with bar("report, sections", None) as progress:
        for section in _sections(facts):
            sections += [section] if section.pieces else []
            progress.advance()
    contents = paper.contents(facts, {id_: title for section in sections for id_, title in section.named()})
    trust = next((text for section in sections if section.id == "results" for text in section.text), "")
    recipe = facts.results.recipe
    title = recipe.title or recipe.name
    script, css = (_file("report.js"), styles())
    teacher = recipe.models.get("teacher")
    traces = browser.payload(facts, most=most)
    html = _template().render(
        title=title,
        note=recipe.note,
        date=date,
        student=recipe.models["student"].label,
        teacher=teacher.label if teacher is not None else "",
        replies=f"{len(facts.results.rows):,}",
        arms=len(facts.arms),
        owed=facts.results.owed,
        cards=cards(facts),
        cards_note=" ".join(text for text in (_cards_note(facts), trust) if text),
        contents=contents,
        trust=trust,
        sections=sections,
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
    return Made(html, _markdown(facts, sections, contents, date), tables, [p for p in pieces if isinstance(p, Drawn)])


def _sections(facts: Facts) -> Iterator[Section]:
    """In the page's order, each made when it is asked for; one may have nothing to show."""
    compared = readers.comparisons(facts)
    taught = Teachers(facts)
    by_harm = readers.trust(facts, compared, "guard", "refusal")
    by_pattern = readers.trust(facts, compared, *(name.replace("_", " ") for name in PATTERNS))
    equal = style.equal_length(facts)
    texts = anatomy_figures.reasonings(facts)
    anatomy = anatomy_figures.anatomies(texts, anatomy_figures.judged(facts))
    yield _section(
        *("results", "Results", "Results", by_harm),
        *(main_tables.main_table(facts), figures.rates(facts), main_tables.comparison_table(facts)),
        *(main_tables.scored_table(facts), main_tables.both_ways_table(facts), main_tables.samples_table(facts)),
    )
    yield _section("trade-off", "Trade-off", "Safety and helpfulness", by_harm, figures.trade_off(facts))
    yield _section(
        "parts", "Parts", "Reasoning and answer", by_harm, figures.parts(facts), main_tables.split_table(facts)
    )
    yield _section(
        *("patterns", "Patterns", "Risky patterns", by_pattern),
        *(trace_figures.patterns(taught), main_tables.pattern_table(taught)),
    )
    yield _section("settings", "Settings", "What the settings do", by_harm, *study_figures.all_of(facts))
    yield _section(
        *("paper", "Paper", "Beside the paper", by_harm),
        *(paper.table_1(facts), paper.table_3(facts), paper.table_2(facts)),
    )
    yield _section(
        *("training", "Training", "Training", ""),
        *(trace_figures.losses(facts), other_tables.training_table(facts)),
    )
    yield _section(
        *("lengths", "Lengths", "Lengths", ""),
        *(trace_figures.lengths(facts), other_tables.length_table(facts, taught)),
    )
    yield _section(
        *("style", "Style", "Less harm, or another style?", " ".join(filter(None, (by_harm, style.problem(equal))))),
        *(style.regression_table(one) for one in equal),
        *style.strata_tables(facts),
        style.opener_table(facts),
    )
    yield _section(
        *("anatomy", "Anatomy", "Case study: what the reasonings are made of", ""),
        *(anatomy_figures.anatomy_figure(anatomy, facts), anatomy_figures.stance_figure(texts, facts)),
        anatomy_figures.anatomy_table(anatomy),
    )
    yield _section("pairs", "Pairs", "Every arm against every other", by_harm, figures.pairs(facts))
    yield _section(
        *("protocol", "Protocol", "Protocol: what was asked, who judged, how far they agree", ""),
        *(protocol.asked_table(facts), protocol.reader_table(facts)),
        *(readers.agreement_table(compared), readers.agreement_figure(compared)),
    )
    yield _section(
        "leaks", "Leaks", "Leak check", other_tables.overlap_sentence(facts), other_tables.overlap_table(facts)
    )
    yield _section(
        *("runs", "Runs", "Cost and versions", ""),
        *(other_tables.cost_table(facts), other_tables.version_table(facts)),
    )


def _section(id_: str, short: str, title: str, text: str, *pieces: Table | Figure | None) -> Section:
    made = [draw(piece) if isinstance(piece, Figure) else piece for piece in pieces if piece is not None]
    return Section(id_, short, title, (text,) if text else (), made)


def cards(facts: Facts) -> list[Card]:
    """The chosen arms, summed up; none where nothing is evaluated."""
    found = []
    for arm in figures.chosen(facts):
        lines = []
        for metric, sets in facts.summed:
            e, c = facts.pooled(metric, arm, sets), facts.summary.get((metric, arm))
            if e is not None and e.value is not None:
                word = "" if c is None else str(c.verdict)
                change = "" if c is None else f"{main_tables.points(c.difference)} points: {word}"
                lines.append(Line(NAMES[metric], percent(e.value, e.n), e, word, change, main_tables.against(c)))
        if lines:
            found.append(Card(arm, facts.is_raw(arm), lines))
    return found


def _cards_note(facts: Facts) -> str:
    said = [f"{NAMES[metric]}: {', '.join(one.name for one in sets)}" for metric, sets in facts.summed]
    more = ""
    if len(facts.arms) > figures.CHOSEN:
        more = f" Of {len(facts.arms)} arms, raw and those that no other arm beats in harm and over-refusal both."
    return (
        f"Pooled over {'; '.join(said)}. Words compare with the raw student on the same prompts, paired by behaviour "
        f"and corrected by Holm over these cards' comparisons.{more}"
    )


def _markdown(facts: Facts, sections: Sequence[Section], contents: Sequence[paper.Entry], date: str) -> str:
    recipe = facts.results.recipe
    words = [f"# {plain(recipe.title or recipe.name)}", "", date, "", plain(recipe.note), ""]
    if facts.results.owed:
        words += [f"Not finished; owed: {plain(', '.join(facts.results.owed))}.", ""]
    words += ["## The paper's tables and figures, by name", ""]
    for entry in contents:
        here = ", ".join(plain(title) for _, title in entry.here)
        words.append(
            f"- **{plain(entry.name)}**{f' ({plain(entry.shows)})' if entry.shows else ''}: "
            + "; ".join(text for text in (here, plain(entry.why)) if text)
        )
    words.append("")
    for section in sections:
        words += [f"## {section.title}", "", *section.text, ""]
        for piece in section.pieces:
            if isinstance(piece, Table):
                words.append(markdown(piece))
            else:
                figure = piece.figure
                words += [f"### {plain(figure.title)}", "", f"![{plain(figure.title)}](figures/{figure.name}.svg)", ""]
                words += [figure.caption, "", *(f"{note}\n" for note in figure.notes)]
    return "\n".join(words)


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
