"""Text from models and files, made fit to be looked at: what would act or hide is shown as a visible sign.

Control characters (terminal escapes among them), direction marks, invisible characters, halves of surrogate pairs and
code points that are no characters (a drawing library ends the process over those) each become a few visible characters
of their own, one by one, so that a quote still stands in the text it was taken from. The two joiners that scripts and
emoji need stay. Nothing is removed. In Markdown, what would be markup is escaped. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import chain, count

_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 15))
    + "]"
)


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\u27e8U+{code:04X}\u27e9"


def visible(text: str) -> str:
    """The text with line breaks and tabs as they are and every acting or hidden character as a visible sign."""
    return _ACTING.sub(_sign, text)


def counted(count: int, one: str, more: str = "") -> str:
    """A count with its noun: `1 step`, `1,200 steps`; `more` where the plural is more than an s behind it."""
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"


def some(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def plain(text: str, longest: int | None = None) -> str:
    """The text in one line, made visible; cut with an ellipsis after `longest` characters where that is given."""
    line = " ".join(visible(text).split())
    return line if longest is None or len(line) <= longest else line[: longest - 1] + "…"


def unlike(text: str, taken: Collection[str], form: str = "{} ({})") -> str:
    """A name as it is, or with the first number, from 2 on, with which it is not among those that are taken."""
    return next(one for one in chain([text], (form.format(text, n) for n in count(2))) if one not in taken)


_MD = re.compile(r"([\\`*_\[\]<>|~&$]|:(?=//|[\w+-]+:)|(?<=\bwww)\.|(?<=\w)@(?=\w)|(?<!\S)#(?=#*$))", re.I)
"""What Markdown, or GitHub's of it, takes for markup inside a line; links that it makes of bare addresses too, and
what ends a heading."""
_MD_BLOCK = re.compile(r"^([#+=-]|\d+(?=[.)]))")
"""What makes a heading, a list or a line of a paragraph's first characters."""


def in_markdown(text: str) -> str:
    """Text in one line of Markdown that is text and nothing else."""
    return _MD.sub(r"\\\1", plain(text))


def paragraph(text: str) -> str:
    """The same where it begins a line."""
    return _MD_BLOCK.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", in_markdown(text))
