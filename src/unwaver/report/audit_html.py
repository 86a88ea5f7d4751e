"""An audit as one self-contained HTML page: figures, examples with their evidence, and what to do about it.

Reads an `AuditPage` and the examples kept beside it. Every text from the file is escaped and made visible; requests
that seek harm, and replies to them that no model labelled safe, are folded away until a reader opens them. The page
holds no script and asks for nothing from anywhere.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from unwaver import __version__
from unwaver.plain import counted, visible
from unwaver.stages.audit_examples import Examples
from unwaver.stages.audit_page import AuditPage, RubricResult

FOLDER = Path(__file__).parent

NAMES = {"refusal": "Refusals", "risky-patterns": "Risky patterns", "harm": "Harm", "conclusion": "Conclusions",
         "self-jailbreak": "Self-jailbreak", "anatomy": "Anatomy"}  # fmt: skip
MANY = 0.05
"""A share from which something is spoken of."""


def html(page: AuditPage, examples: Examples) -> str:
    """The page."""
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    environment.filters["visible"] = visible
    environment.filters["percent"] = lambda share: "-" if share is None else f"{100 * share:.1f} %"
    found = {rubric: dict(labels) for rubric, labels in examples.found.items()}
    return environment.get_template("audit.html").render(
        page=page,
        examples=found,
        advice=list(advice(page)),
        names=NAMES,
        css=_css(),
        version=__version__,
        date=time.strftime("%d %B %Y", time.gmtime()),
    )


def _css() -> str:
    """The report's looks, with its dark colours where the reader's machine is dark."""
    from markupsafe import Markup

    text = (FOLDER / "report.css").read_text(encoding="utf-8")
    dark = re.compile(r"^DARK\{(.*)\}$", re.MULTILINE)
    return Markup(dark.sub(r"@media (prefers-color-scheme:dark){:root{\1}}", text))  # noqa: S704 - our own file


def advice(page: AuditPage) -> Iterator[str]:
    """What to do about it, a sentence each."""
    read = max(1, page.rows - page.unread)
    if page.unread:
        yield f"{counted(page.unread, 'row')} can't be read, in no figure: put the first right ({page.faults[0]})."
    unclosed = max(page.blocks.get("unclosed", 0), page.endings.get("length", 0))  # most that were cut are both
    if unclosed > MANY * read:
        told = f"At least {unclosed} of {read} replies were cut or never close their reasoning"
        yield f"{told}: raise the limit they were made with, or drop them."
    if page.blocks.get("none", 0) > read / 2:
        yield "Most replies hold no reasoning block: how these models think can't be seen, and a student learns none."
    leaks = [f"{one.prompts} of {name}" for name, one in page.overlap.items() if one.prompts]
    if leaks:
        yield f"Evaluation prompts stand among these ({', '.join(leaks)}): take them out before you train on this file."
    for reading in page.readings:
        yield from _of(reading)


def _of(reading: RubricResult) -> Iterator[str]:
    rubric = reading.rubric.partition("@")[0]
    unscored = sum(reading.unscored.values())
    if unscored > reading.n / 4:
        yield f"{NAMES.get(rubric, rubric)}: {counted(unscored, 'row')} unscored; a judge that is a model reads more."
    for name, count in reading.undecided.items():
        if name != "none" and count > reading.n / 4:
            rows = counted(count, "row")
            yield f"{name} is undecided in {rows}, so its share rests on few; a model as a judge decides more."
    often = {name: one for name, one in reading.labels.items() if one.low is not None and one.low > MANY}
    if rubric == "risky-patterns" and (risky := [name for name in often if name != "none"]):
        yield f"More than {MANY:.0%} of the replies show {' and '.join(risky)}: filter by them (mix.keep)."
    if rubric == "risky-patterns":
        yield "Patterns are read as if every request sought harm, unless the file has a column `kind`."
    if rubric == "harm" and "unsafe" in often:
        yield "Unsafe replies are common here: train on none of them."
