"""Records and comparisons in the terminal: text made visible, evidence marked, harmful text masked until asked for.

Everything becomes `rich.text.Text`, which takes no markup from its content; control characters are shown as signs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from unwaver.plain import plain, visible
from unwaver.records import Estimate, LookedAt, Verdict
from unwaver.report.browser import MASK_ANSWER, MASK_PROMPT, MASK_REASONING, masks
from unwaver.report.facts import NAMES
from unwaver.report.main_tables import p_value, points
from unwaver.report.tables import NOTHING, percent
from unwaver.study.compare import Comparison
from unwaver.study.results import Row

WIDE = 200
"""Columns where there is no terminal."""

_LOOKED_AT: dict[LookedAt, int] = {
    "reasoning": MASK_REASONING,
    "answer": MASK_ANSWER,
    "both": MASK_REASONING | MASK_ANSWER,
}

STYLES = {"better": "green", "worse": "red", "unsafe": "red", "safe": "green"}


def console() -> Console:
    """Where results are printed: as wide as a terminal is, and wide enough for any table elsewhere."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)


def comparison_table(
    rows: Sequence[tuple[Comparison, tuple[Estimate, Estimate]]], names: dict[str, str]
) -> RenderableType:
    """Two runs, measure by measure."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("measure", "A", "B", "B - A", "95 %", "p (Holm)", "B is", "pairs", "left out", "least"):
        words = head in ("measure", "B is")
        table.add_column(head, justify="left" if words else "right", no_wrap=head == "B is")
    for c, rates in rows:
        ends = NOTHING if c.low is None or c.high is None else f"{points(c.low)} to {points(c.high)}"
        least = NOTHING if c.smallest_detectable is None else f"{100 * c.smallest_detectable:.0f}"
        table.add_row(
            *(NAMES.get(c.metric, c.metric), *(percent(e.value, e.n) for e in rates)),
            *(points(c.difference), ends, p_value(c.p_holm)),
            *(Text(c.verdict, STYLES.get(c.verdict, "")), str(c.n_pairs), str(c.n_left_out), least),
        )
    return Group(*(Text(f"{key}: {plain(name)}") for key, name in names.items()), Text(), table)


def trace(row: Row, verdicts: Sequence[Verdict], reveal: bool) -> RenderableType:
    """One trace with its verdicts; masked parts say how long they are."""
    t = row.trace
    mask = 0 if reveal else masks(row)
    quotes = [visible(v.quote) for v in verdicts if v.quote]
    counted = [f"{n} tokens {what}" for n, what in ((t.tokens_in, "in"), (t.tokens_out, "out")) if n is not None]
    about = [t.prompt.kind, t.prompt.category, t.prompt.attack, t.prompt.source]
    parts: list[RenderableType] = [
        Text(f"trace {t.id}", "bold"),
        Text(
            plain(
                f"{t.model}, sample {t.sample}, ended by {t.ending}, block {t.block}"
                + "".join(f", {c}" for c in counted)
            )
        ),
        *_part("prompt", t.prompt.text, mask & MASK_PROMPT, [], " · ".join(plain(x) for x in about if x)),
    ]
    if t.prompt.behaviour and t.prompt.behaviour != t.prompt.text:
        parts += _part("behaviour", t.prompt.behaviour, mask & MASK_PROMPT, [])
    if t.failure:
        parts += [Text(f"no reply: {plain(t.failure)}", "yellow")]
    parts += _part("reasoning", t.reasoning, mask & MASK_REASONING, quotes)
    parts += _part("answer", t.answer, mask & MASK_ANSWER, quotes)
    parts += [Rule("verdicts", align="left", style="dim")] if verdicts else []
    parts += [verdict(v, bool(mask & _LOOKED_AT[v.looked_at])) for v in verdicts]
    return Group(*parts)


def _part(name: str, text: str | None, masked: int, quotes: Sequence[str], about: str = "") -> list[RenderableType]:
    head = Rule(f"{name} ({about})" if about else name, align="left", style="dim")
    if text is None:
        return [head, Text("there is none", "dim italic")]
    if masked:
        return [head, Text(f"masked: {len(text):,} characters; --reveal shows them", "dim italic")]
    body = Text(visible(text))
    for quote in quotes:
        start = body.plain.find(quote)
        if quote and start >= 0:
            body.stylize("reverse", start, start + len(quote))
    return [head, body]


def verdict(v: Verdict, masked: bool = False) -> Text:
    """One verdict in a line or two."""
    line = Text(f"{plain(v.rubric)} on {v.looked_at}: ")
    line.append(plain(v.label or "unscored"), STYLES.get(v.label or "", "bold"))
    line.append(f"  by {plain(v.judge)}", "dim")
    if masked and v.label is not None:
        line.append("\n  reason and evidence are masked with the text", "dim italic")
    else:
        line.append(f"\n  {plain(v.reason, 400)}" if v.reason else "")
        line.append(f"\n  “{plain(v.quote, 400)}”" if v.quote else "", "italic")
    return line


def mapping(content: Any, indent: int = 0) -> Text:
    """Nested settings or counts as indented lines."""
    text = Text()
    for key, value in content.items():
        text.append("  " * indent + f"{plain(str(key))}: ", "dim" if indent else "bold")
        if isinstance(value, dict) and value:
            text.append("\n").append_text(mapping(value, indent + 1))
        else:
            text.append(f"{_value(value)}\n")
    return text


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_value(one) for one in value) or NOTHING
    if value is None or value == {}:
        return NOTHING
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else plain(str(value), 200)
