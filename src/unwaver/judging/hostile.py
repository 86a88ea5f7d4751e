"""Text written by models, handled as hostile: disarmed before it is shown to a judge, searched for JSON and for quotes.

What the judges (`rubric`) and the guards (`guards`) share. Nothing here raises on any text. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from unwaver.reasoning import HARMONY, THINK, split
from unwaver.records import LookedAt, Reply, Trace

_ZERO_WIDTH = "\u200b"
_MARKER_STARTS = re.compile(
    r"(?=<[|｜][^<>\n]{1,40}[|｜]>|\[/?(?:INST|SYSTEM_PROMPT)\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>"
    r"|<(?:BEGIN|END) [A-Z ]{1,40}>|\[(?:BEHAVIOR|GENERATION|CONTEXT)\])(.)"
)
_I_AM = r"(?:i|we)(?:[’']?m|[’']?re| am| are)?"
_DECLINES = re.compile(
    rf"\W*(?:(?:{_I_AM} )?(?:so |very |really |truly )?sorry\b|i apologi[sz]e\b|my apologies\b|"
    rf"{_I_AM} ?(?:can[’']?t|cannot|can not|won[’']?t|will not|must decline|have to decline|"
    r"decline|refuse|not able to|unable to|not comfortable)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reading:
    """What was read out of one reply: a label with its evidence, or no label and why."""

    label: str | None
    reason: str
    quote: str | None = None


def disarm(text: str) -> str:
    """Hostile text with a zero-width space behind the first character of every prompt-format marker it holds.

    Chat tokens (`<|...|>`), instruction ends (`[/INST]`), system and conversation fences: no tokenizer or classifier
    takes them for its own any more. Text without markers comes back as it is; nothing is ever removed.
    """
    return _MARKER_STARTS.sub(rf"\1{_ZERO_WIDTH}", text)


def unreadable(trace: Trace, part: LookedAt) -> str | None:
    """Why a trace has no text of this part to read; None where it has."""
    text = trace.text(part)
    if text is not None:
        return None if text.strip() else f"the {'reply' if part == 'both' else part} is empty"
    if trace.failure is not None:
        return f"there is no reply: {trace.failure}"
    if part == "reasoning":
        return "there is no reasoning block"
    return "the reply was cut before its answer" if trace.truncated else "there is no answer"


def no_reply(reply: Reply) -> str | None:
    """Why a judge's call came back without a reply; None where it came back with one."""
    if reply.ending == "filter":
        return f"the judge refused: {reply.failure or 'its provider withheld the reply'}"
    if reply.failure is not None or reply.ending == "error":
        return f"the call failed: {reply.failure or 'no reason given'}"
    return None


def said(reply: Reply) -> str | None:
    """What a judge said after its own reasoning; None where it never came to say anything."""
    if not reply.opened and reply.text.lstrip()[:1] in ("{", "`"):
        return reply.text  # JSON from the first character on: a tag in it is a quotation.
    return split(reply.text, reply.opened, HARMONY if HARMONY.open in reply.text else THINK).answer


def declined(text: str) -> bool:
    """Whether a judge refuses to do its work: it opens like a refusal and gives no JSON object."""
    return _DECLINES.match(text) is not None and not json_objects(text)


def locate(quote: str, text: str) -> str | None:
    """The stretch of `text` a quote stands for: exact, or else the first that differs in white space alone, or in that
    and the shape of quotation marks and dashes, which models set straight as they copy.

    None: it stands for none.
    """
    wanted = quote.strip()
    if wanted and wanted in text:
        return wanted
    for marks in ({}, _STRAIGHT):
        flat, places = _flattened(text.translate(marks))
        wanted = _flattened(quote.translate(marks))[0].strip()
        at = flat.find(wanted) if wanted else -1
        if at >= 0:
            return text[places[at] : places[at + len(wanted) - 1] + 1]
    return None


_STRAIGHT = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2013\u2014", "''\"\"----")


def _flattened(text: str) -> tuple[str, list[int]]:
    """The text with every stretch of white space as one space, and where each of its characters came from."""
    kept: list[str] = []
    places: list[int] = []
    for at, character in enumerate(text):
        blank = character.isspace()
        if character == _ZERO_WIDTH or (blank and kept and kept[-1] == " "):
            continue
        kept.append(" " if blank else character)
        places.append(at)
    return "".join(kept), places


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a field stands twice")
    return dict(pairs)


_JSON = json.JSONDecoder(strict=False, object_pairs_hook=_no_twins)


def json_objects(text: str) -> list[dict[str, Any]]:
    """The outermost JSON objects in a text, fenced or not, in order.

    Line breaks inside strings are let pass; an object that names a field twice is none.
    """
    found: list[dict[str, Any]] = []
    at = text.find("{")
    while at >= 0:
        try:
            value, at = _JSON.raw_decode(text, at)
            found.append(value)
        except ValueError:
            at += 1
        except RecursionError:
            return []  # Braces nested without end are no verdict, and every one of them would be tried.
        at = text.find("{", at)
    return found
