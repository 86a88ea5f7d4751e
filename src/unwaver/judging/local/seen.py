"""A text as a person sees it: signs that nobody sees are left out, characters that stand in disguise are shown.

Reads any text; gives the plain text and where each of its characters stands in the original, so that what is found in
the one is quoted from the other. Soft hyphens, zero-width signs and marks of direction are hidden; `&#39;`, `&rsquo;`,
`&amp;#39;`, `\\u2019` and wide or mathematical letters stand for something else. Pure, linear in the text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

_DISGUISED = re.compile(
    r"[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
    r"\U000e0000-\U000e01ef]"
    r"|&(?:amp;){0,3}(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,20});"
    r"|\\u[0-9a-fA-F]{4}|\\(?=['\"])"
    r"|[\uff01-\uff5e\U0001d400-\U0001d7ff]"
    r"|(?<=[A-Za-z])[`\u00b4](?=(?:t|s|m|d|ll|re|ve)\b)"
)
"""Signs that nobody sees, entities of HTML, escapes, letters in another shape, other signs as an apostrophe."""


@dataclass(frozen=True)
class Seen:
    """What is seen of a text."""

    text: str
    original: str
    places: tuple[int, ...] = ()
    """Where each character of `text` begins in the original, and where that ends; empty where the two are the same."""

    def within(self, start: int, end: int) -> str:
        """The stretch of the original that is seen as these characters."""
        return self.original[self.places[start] : self.places[end]] if self.places else self.original[start:end]


def seen(text: str) -> Seen:
    """The text as it is seen."""
    if not _DISGUISED.search(text):
        return Seen(text, text)
    shown: list[str] = []
    places: list[int] = []
    at = 0
    for found in _DISGUISED.finditer(text):
        sign = _shown(found[0])
        shown += [text[at : found.start()], sign]
        places += [*range(at, found.start()), *([found.start()] * len(sign))]
        at = found.end()
    shown.append(text[at:])
    return Seen("".join(shown), text, (*places, *range(at, len(text) + 1)))


def _shown(sign: str) -> str:
    if sign[0] == "&":
        read = sign
        while (again := html.unescape(read)) != read and len(again) > 1:
            read = again
        return again if again == sign else _DISGUISED.sub("", again)
    if sign[:2] == "\\u":
        code = chr(int(sign[2:], 16))
        return "" if _DISGUISED.fullmatch(code) or "\ud800" <= code <= "\udfff" else code
    if sign in "`\u00b4":
        return "'"
    return unicodedata.normalize("NFKC", sign) if sign[0] >= "\uff01" and unicodedata.category(sign) != "Cf" else ""
