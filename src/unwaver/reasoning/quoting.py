"""Whether a mark in a text is used or only spoken of: in code, between quotation marks, or in the middle of a sentence.

Pure.
"""

from __future__ import annotations

import re

_PAIRS = {("`", "`"), ('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("「", "」"), ("(", ")")}
_CLOSING = dict(_PAIRS - {("(", ")"), ("`", "`")})
_FENCE = re.compile(r"^[ \t]{0,3}(?:>[ \t]*)?(```+|~~~+)", re.MULTILINE)
_ENDS = frozenset(".!?…:;>)]}|。！？：；」”\"'*")
"""What a sentence may end with; a mark behind it is no part of the sentence."""
_BULLET = re.compile(r"\s*(?:[-*•–]|\d{1,3}[.)])\s+")
_CELL = re.compile(r"[ \t]*\|(?=[^>])")
_GOES_ON = re.compile(r"[ \t]+[a-z(]|[,.;:!?)]")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
"""Letters of scripts that are written without blanks between words (Korean tags stand glued to words as well)."""


def hugged(text: str, start: int, end: int) -> bool:
    """Quotation marks or backticks stand on both sides, it begins a quotation within a text, or the mark is inside a
    code span of its line."""
    if start and (text[start - 1], text[end : end + 1]) in _PAIRS:
        return True
    if start and (closing := _CLOSING.get(text[start - 1])) and text[: start - 1].strip() and closing in text[end:]:
        return True
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    line_end = len(text) if stop < 0 else stop
    return text.count("`", begin, start) % 2 == 1 and "`" in text[end:line_end]


def fenced(text: str, start: int, since: int) -> bool:
    """It stands in a fenced block that begins after `since`."""
    opened = ""
    for fence in _FENCE.finditer(text, since, start):
        if not opened:
            opened = fence[1]
        elif fence[1].startswith(opened):
            opened = ""
    return bool(opened)


def mentioned(text: str, start: int, end: int, closes: bool) -> bool:
    """It stands within a sentence, as words do. A closing mark must also be followed by the rest of the sentence."""
    lead = text[text.rfind("\n", 0, start) + 1 : start]
    if _BULLET.fullmatch(lead):
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
    return text[:start].rstrip().endswith((":", "："))
