"""Records and comparisons in the terminal: text made visible, evidence marked, harmful text masked until asked for.

Everything becomes `rich.text.Text`, which takes no markup from its content; `printer` prints it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unwaver.judging.masks import MASK_ANSWER, MASK_PROMPT, MASK_REASONING, masks
from unwaver.judging.people import Label
from unwaver.plain import plain, visible
from unwaver.records import Estimate, LookedAt, Trace, Verdict
from unwaver.report.facts import titles
from unwaver.report.given import Stretches, given_words
from unwaver.report.tables import NOTHING, of, written
from unwaver.report.words import p_value, points
from unwaver.study.comparison import Comparison

_LOOKED_AT: dict[LookedAt, int] = {
    "reasoning": MASK_REASONING,
    "answer": MASK_ANSWER,
    "both": MASK_REASONING | MASK_ANSWER,
}

_PATH = re.compile(r"(\w+:)?[/~.]")
"""What may be a file, or a model in a folder: shown whole, as somebody may copy it."""

STYLES = {"better": "green", "worse": "red", "unsafe": "red", "safe": "green"}


def comparison_table(rows: Sequence[tuple[Comparison, tuple[Estimate, Estimate]]], by_set: bool = False) -> Table:
    """Two runs, or two arms on several sets, measure by measure."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    if by_set:
        table.add_column("set")
    for head in ("measure", "A", "B", "B - A", "95 %", "p (Holm)", "B is", "pairs", "left out", "least"):
        words = head in ("measure", "B is")
        table.add_column(head, justify="left" if words else "right", no_wrap=head == "B is")
    for c, rates in rows:
        ends = NOTHING if c.low is None or c.high is None else f"{points(c.low)} to {points(c.high)}"
        least = NOTHING if c.smallest_detectable is None else f"{100 * c.smallest_detectable:.0f}"
        table.add_row(
            *([plain(c.slice)] if by_set else []),
            *(titles().get(c.metric, c.metric), *(written(replace(of(e), low=None)) for e in rates)),
            *(points(c.difference), ends, p_value(c.p_holm)),
            *(Text(c.verdict, STYLES.get(c.verdict, "")), str(c.n_pairs), str(c.n_left_out), least),
        )
    return table


def trace(t: Trace, verdicts: Sequence[Verdict], people: Sequence[Label], reveal: bool) -> RenderableType:
    """One trace with its verdicts; masked parts say how long they are."""
    mask = 0 if reveal else masks(t, verdicts, people)
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
    of_reasoning, of_answer = given_words(t)
    parts += _part("reasoning", t.reasoning, mask & MASK_REASONING, quotes, stretches=of_reasoning)
    parts += _part("answer", t.answer, mask & MASK_ANSWER, quotes, stretches=of_answer)
    parts += [_head("verdicts")] if verdicts else []
    parts += [verdict(v, bool(mask & _LOOKED_AT[v.looked_at])) for v in verdicts]
    return Group(*parts)


def _head(text: str) -> Text:
    """A heading as long as its words; one as wide as the terminal would cut a long name."""
    return Text(f"── {text} {'─' * max(2, 72 - len(text))}", "dim")


def _part(
    name: str,
    text: str | None,
    masked: int,
    quotes: Sequence[str],
    about: str = "",
    *,
    stretches: Stretches = (),
) -> list[RenderableType]:
    if text is not None and (count := sum(end - start for start, end in stretches)):
        about = f"{count:,} of {len(text):,} characters stand in ⟦ ⟧: given, not its own"
    head = _head(f"{name} ({about})" if about else name)
    if text is None:
        return [head, Text("there is none", "dim italic")]
    if masked:
        return [head, Text(f"masked: {len(text):,} characters; --reveal shows them", "dim italic")]
    body = Text()
    borders = [0, *(at for stretch in stretches for at in stretch), len(text)]
    for number, (start, end) in enumerate(pairwise(borders)):
        said = visible(text[start:end])
        body.append(f"⟦{said}⟧", "dim") if number % 2 else body.append(said)
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
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return plain(str(value), None if _PATH.match(str(value)) else 200)
