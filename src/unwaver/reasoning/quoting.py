"""Whether a mark in a text is used or only spoken of: in code, between quotation marks, or in the middle of a sentence.

Pure. A model that loops writes its mark thousands of times: what is asked of each must not read the whole text again.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache

_PAIRS = {("`", "`"), ('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("「", "」"), ("(", ")")}
_CLOSING = dict(_PAIRS - {("(", ")"), ("`", "`")})
_FENCE = re.compile(r"^[ \t]{0,3}(?:>[ \t]*)?(```+|~~~+)", re.MULTILINE)
_ENDS = frozenset(".!?…:;>)]}|。！？：；」”\"'*")
"""What a sentence may end with; a mark behind it is no part of the sentence."""
_BULLET = re.compile(r"\s*(?:[-*•–]|\d{1,3}[.)])\s+")
_CELL = re.compile(r"[ \t]*\|(?=[^>])")
_SIGN = re.compile(r"\S")
_GOES_ON = re.compile(r"[ \t]+[a-z(]|[,.;:!?)]")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
"""Letters of scripts that are written without blanks between words (Korean tags stand glued to words as well)."""


_NEAR = 1000
"""So many characters before a mark tell what it stands in, unless hardly more than a bullet is among them."""


@lru_cache(maxsize=2)
def _ticks(text: str) -> list[int]:
    return [found.start() for found in re.finditer("`", text)]


@lru_cache(maxsize=2)
def _fences(text: str) -> list[tuple[int, str]]:
    """Where each fence stands, and its signs."""
    return [(found.start(), found[1]) for found in _FENCE.finditer(text)]


def hugged(text: str, start: int, end: int) -> bool:
    """Quotation marks or backticks stand on both sides, it begins a quotation within a text, or the mark is inside a
    code span of its line."""
    if start and (text[start - 1], text[end : end + 1]) in _PAIRS:
        return True
    closing = _CLOSING.get(text[start - 1]) if start else None
    if closing and _SIGN.search(text, 0, start - 1) and text.find(closing, end) >= 0:
        return True
    if not (ticks := _ticks(text)):
        return False
    here = bisect_left(ticks, start)
    if (here - bisect_left(ticks, text.rfind("\n", 0, start) + 1)) % 2 == 0 or ticks[-1] < end:
        return False
    return "\n" not in text[end : ticks[bisect_left(ticks, end)]]


_walked: tuple[str, int, int, str] = ("", 0, 0, "")
"""How far the last question about fences came: text, since, how many fences it passed, and the one then open. Marks are
asked about in their order, so the next question goes on from there."""


def fenced(text: str, start: int, since: int) -> bool:
    """It stands in a fenced block that begins after `since`."""
    global _walked  # noqa: PLW0603 - replaced whole, so another thread's is at worst of no use
    fences = _fences(text)
    place, until, opened = bisect_left(fences, (since, "")), bisect_left(fences, (start, "")), ""
    if _walked[0] is text and _walked[1] == since and place <= _walked[2] <= until:
        place, opened = _walked[2:]
    for _, signs in fences[place:until]:
        if not opened:
            opened = signs
        elif signs.startswith(opened):
            opened = ""
    _walked = (text, since, until, opened)
    return bool(opened)


def mentioned(text: str, start: int, end: int, closes: bool) -> bool:
    """It stands within a sentence, as words do. A closing mark must also be followed by the rest of the sentence."""
    near = text[max(0, start - _NEAR) : start]
    whole = "\n" in near or start <= _NEAR or len(near.strip()) < 6
    lead = text[text.rfind("\n", 0, start) + 1 : start] if whole else near
    if whole and _BULLET.fullmatch(lead):
        return True
    if not lead.strip():
        return False
    if lead.rstrip()[-1] == "|" and _CELL.match(text, end):
        return True
    within = lead[-1].isspace() and lead.rstrip()[-1] not in _ENDS
    if closes:
        return within and _GOES_ON.match(text, end) is not None
    return within or (_WIDE.match(lead[-1]) is not None and _WIDE.match(text, end) is not None)


def introduced(text: str, start: int) -> bool:
    """A colon stands before it: what follows may well be an example."""
    near = text[max(0, start - _NEAR) : start].rstrip()
    return (near or text[:start].rstrip()).endswith((":", "："))
