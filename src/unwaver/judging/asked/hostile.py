"""Text written by models, handled as hostile: disarmed before it is shown to a judge, searched for quotes.

What the judges (`rubric`) and the guards (`guards`) share. Nothing here raises on any text. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from unwaver.judging.unanswered import unsplit
from unwaver.reasoning import FAMILIES, read
from unwaver.records import LookedAt, Reply, Trace

VERSION = 6
"""Raised whenever any material is shown, or any reply read, differently; all who ask models carry it."""

_ZERO_WIDTH = "\u200b"
_MARKER_STARTS = re.compile(
    r"(?=<[|｜][^<>\n]{1,40}[|｜]?>|<[^<>\n|｜]{1,40}[|｜]>|\[/?(?:INST|SYSTEM_PROMPT)\]|<</?SYS>>|</?s>"
    r"|<(?:start|end)_of_turn>|<(?:BEGIN|END) [A-Z ]{1,40}>|\[(?:BEHAVIOR|GENERATION|CONTEXT)\]"
    r"|(?i:<\s*/?\s*(?:\w{1,20}:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|answer|solution"
    r"|(?:begin|end)_of_(?:thought|solution))\s*/?\s*>))(.)"
)
_MARKS = re.compile(
    r"(?=[<＜&\\\[◁]|to=)(?="
    + "|".join(f"(?:{one.opening}|{one.closing})" for one in FAMILIES.values() if one.headless)
    + r")(.)",
    re.IGNORECASE,
)
"""Where a mark of any family's reasoning begins, however it is written, but for marks that are plain words."""
_I_AM = r"(?:i|we)(?:[’']?m|[’']?re| am| are)?"
_DECLINES = re.compile(
    rf"\W*(?:(?:{_I_AM} )?(?:so |very |really |truly )?sorry\b|i apologi[sz]e\b|my apologies\b|"
    rf"{_I_AM} ?(?:can[’']?t|cannot|can not|won[’']?t|will not|must decline|have to decline|"
    r"decline|refuse|not able to|unable to|not comfortable)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class JudgeReading:
    """What was read out of one reply: labels with their evidence, or none and why."""

    labels: tuple[str, ...] | None
    reason: str
    quote: str | None = None
    stretches: tuple[tuple[int, int, str], ...] = ()
    """For an anatomy, which sentences do what."""
    grades: tuple[tuple[str, int], ...] = ()
    """Where the rubric grades, what was graded and its grade."""
    final: bool = False
    """The judge did its work and there is nothing to label: asking it again would change nothing."""


def disarm(text: str) -> str:
    """Hostile text with a zero-width space behind the first character of every prompt-format marker it holds.

    Chat tokens (`<|...|>`), instruction ends (`[/INST]`), system and conversation fences, the marks of reasoning of all
    families as replies are searched for them (`</think>`, `[/THINK]`, `&lt;/seed:think&gt;` ...): no tokenizer or
    classifier takes them for its own any more, and a judge that quotes them ends no thought of its own. Text without
    markers comes back as it is; nothing is ever removed.
    """
    return _MARKS.sub(rf"\1{_ZERO_WIDTH}", _MARKER_STARTS.sub(rf"\1{_ZERO_WIDTH}", text))


def unreadable(trace: Trace, part: LookedAt) -> str | None:
    """Why a trace has no text of this part to read; None where it has."""
    text = trace.text(part)
    if text is not None:
        return None if text.strip() else f"the {'reply' if part == 'both' else part} is empty"
    if trace.failure is not None:
        return f"there is no reply: {trace.failure}"
    if trace.whole is not None:
        return unsplit(trace)
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
    found = read(reply.text, reply.reasoning, reply.ending, reply.opened)
    return found.answer if found.whole is None else found.whole


def declined(text: str) -> bool:
    """Whether what a judge says opens like a refusal to do its work; one that gives a verdict none the less does it."""
    return _DECLINES.match(text) is not None


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
