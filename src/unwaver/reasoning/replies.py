"""From a model's reply to reasoning and answer, and from these to a reply to train on. Pure.

`read` holds for every way in which a server may hand the two over: in one text with marks, in two fields, in two fields
with marks in the text as well, or all in one field because the server's own reading of the marks went wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unwaver.reasoning.families import AUTO, FAMILIES, THINK, Family, named
from unwaver.reasoning.splitting import Split, split
from unwaver.records import Block, Ending, Prompt, Reply, Request, Trace

FIELD = "the whole reply came in the reasoning field and is read as the answer"
TWICE = "the same text came as reasoning and as content: it is read as the answer"
THOUGHT = "cut without a mark, from a model that always reasons first: read as reasoning"
UNENDED = "begins like a thought and was never closed: read as reasoning without an answer"


@dataclass(frozen=True)
class Reading:
    """What of a reply is reasoning, what is answer, and what is to be told of it."""

    reasoning: str | None
    """Trimmed; None: there was none; "": the block was empty."""
    answer: str | None
    """Trimmed; None: it was never reached."""
    block: Block
    note: str | None = None
    """What was odd about it, for people; None: nothing."""
    whole: str | None = None
    """The text where nobody can tell reasoning from answer (`foreign`)."""


def read(
    text: str,
    apart: str | None = None,
    ending: Ending = "stop",
    opened: bool = False,
    family: Family | None = None,
    *,
    always: bool = False,
) -> Reading:
    """Reasoning and answer of a reply.

    `text`: the content, a prefill of ours included. `apart`: what the server handed over as reasoning; None: nothing.
    `opened`: the generation prompt opened the block. `family`: by whose marks alone; None: by the reply's own.
    `always`: this model's whole replies all have reasoning, so one that was cut before any mark is reasoning too.

    All of a reply in the reasoning field with a normal stop is the answer of a model that didn't reason, filed wrong,
    unless the prompt opened the block or the text itself holds marks: then it is read by these.
    """
    if apart is None:
        return _of(split(text, opened, family), ending, always)
    if text.strip() and text.strip() == apart.strip():
        return Reading(None, text.strip(), "none", TWICE)
    if text.strip():
        return _two_fields(_bare(apart, text, opened, family), split(text, False, family), text)
    if ending == "stop" and apart.strip():
        return _all_apart(apart, opened, family)
    found = split(apart, opened, family)
    if found.block == "closed" and not found.said:
        return _of(found, ending, False)  # cut right behind the closing mark, which the server left in the field
    return Reading(apart.strip(), None if ending == "length" else "", "unclosed" if ending == "length" else "closed")


def _of(found: Split, ending: Ending, always: bool) -> Reading:
    if found.block == "foreign":
        return Reading(None, None, "foreign", found.note, found.raw)
    if always and ending == "length" and found.family is None and found.block == "none":
        return Reading(found.raw.strip(), None, "unclosed", THOUGHT)
    unended = found.block == "unclosed" and found.family is not None and found.family.start and ending != "length"
    return Reading(found.thought, found.said, found.block, UNENDED if unended else found.note)


def _two_fields(apart: str, found: Split, text: str) -> Reading:
    """The server took the block out of the text; some leave it, its end, or another one there as well."""
    if found.block == "foreign":
        return Reading(None, None, "foreign", found.note, f"{apart}\n\n{text}")
    more = found.thought or ""
    reasoning = apart if more in apart else f"{apart}\n\n{more}" if more else apart
    note = found.note or (f"{_LEFT} ({found.family.name})" if found.family and more not in apart else None)
    if found.reasoning is None:
        return Reading(reasoning, found.said, "closed", note)
    return Reading(reasoning, found.said, found.block, note)


def _bare(apart: str, text: str, opened: bool, family: Family | None) -> str:
    """Reasoning that came apart, without marks that a server left round it, or the answer behind them."""
    found = split(apart, opened, family)
    if found.block != "closed" or found.said not in (None, "", text.strip()):
        return apart.strip()
    return found.thought or ""


_LEFT = "a second block of reasoning stood in the content"


def _all_apart(apart: str, opened: bool, family: Family | None) -> Reading:
    found = split(apart, opened, family)
    if found.block == "none":
        return Reading(None, found.said, "none", FIELD)
    return _of(found, "stop", False)


def trace(
    prompt: Prompt,
    request: Request,
    reply: Reply,
    model: str,
    tags: str | Family = AUTO,
    *,
    always: bool = False,
) -> Trace:
    """The trace in a reply. A failed call gives a trace with its failure and no text."""
    common: dict[str, Any] = {
        "prompt": prompt,
        "model": model,
        "sample": request.sample,
        "ending": reply.ending,
        "tokens_in": reply.tokens_in,
        "tokens_out": reply.tokens_out,
        "tokens_reasoning": reply.tokens_reasoning,
        "sampling": request.sampling.id,
    }
    if reply.failure is not None:
        return Trace(**common, failure=reply.failure)
    family, text, apart = named(tags), request.prefill + reply.text, reply.reasoning
    if request.prefill and apart and not reply.text.strip() and split(request.prefill, reply.opened, family).closer:
        # The prefill closed the block, and a parser that waits for the mark filed all that followed as reasoning.
        text, apart = text + apart, None
    elif apart is not None:
        text = reply.text
    found = read(text, apart, reply.ending, reply.opened, family, always=always)
    return Trace(
        **common,
        reasoning=found.reasoning,
        answer=found.answer,
        block=found.block,
        whole=found.whole,
        note=found.note,
    )


def begin(reasoning: str, tags: Family = THINK) -> str:
    """What a reply is made to begin with so that its writer goes on with this reasoning: the block is still open."""
    whole = render(reasoning, "", tags=tags)
    return whole[: whole.rindex(reasoning) + len(reasoning)]


def headless(reply: Reply, tags: str | Family = AUTO) -> bool:
    """Whether a reply closes a block that nothing opened: then its server's template opens it, and nobody said so."""
    if reply.opened or reply.reasoning is not None:
        return False
    found = split(reply.text, False, named(tags))
    return bool(found.closer) and not found.opener


def opens_block(generation_prompt: str, family: Family | None = None) -> bool:
    """Whether a rendered generation prompt already ends inside the reasoning block; any family's by default."""
    rows = [family] if family else [one for one in FAMILIES.values() if one.headless]
    return any(one.opened_at(generation_prompt) is not None for one in rows)


def render(reasoning: str | None, answer: str, opened: bool = False, tags: Family = THINK) -> str:
    """The reply to train on, without the end token.

    `reasoning` "" gives an empty block; None gives no block at all. When the generation prompt has `opened` the block,
    its mark is left out here, or it would stand twice.
    """
    if reasoning is None:
        if opened:
            raise ValueError("the generation prompt opens a reasoning block, so a reply without one can't be rendered")
        return answer
    body = f"{tags.render_open}{reasoning}{tags.render_close}{answer}{tags.render_end}"
    return body[len(tags.open) :] if opened else body
