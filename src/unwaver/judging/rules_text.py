"""Text the rule readers read: normalised without moving a character, cut into sentences, quotations blanked.

Every offset in the prepared text is an offset in the original, so that evidence can be quoted verbatim. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

_PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u02bc": "'",
        "\u201b": "'",
        "`": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u201f": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u00a0": " ",
        "\u202f": " ",
        "*": " ",
        "_": " ",
        "\t": " ",
        "\r": "\n",
    }
)

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_QUOTED = re.compile(r'"[^"\n]{1,600}"')
_LISTED = re.compile(r"^[ >#*]{0,8}(?:\d{1,2}[.):]|[-\u2022\u25cf+*]|step \d{1,2}\b|[a-h]\))", re.MULTILINE | re.IGNORECASE)
_END = re.compile(
    r"(?<![.!?])(?<!\be\.g)(?<!\bi\.e)(?<!\bdr)(?<!\bmr)(?<!\bmrs)(?<!\bvs)(?<!\bu\.s)(?<!\n\d)(?<!\n\d\d)[.!?]++[\"')\]]*+(?=\s|\Z)|(?<!\n)\n++"
)


def compiled(*patterns: str) -> re.Pattern[str]:
    """One pattern of several alternatives, where a space stands for any stretch of white space."""
    return re.compile("|".join(f"(?:{p})" for p in patterns).replace(" ", r"\s+"))


def _lowered(text: str) -> str:
    low = text.lower()
    # A few letters grow when lowered, which would move every offset behind them.
    return low if len(low) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


@dataclass(frozen=True)
class Prepared:
    """A text made ready for the rules; `low` has the length of `text`."""

    text: str
    low: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    listed: frozenset[int]
    """Numbers of the sentences that begin a list item."""
    code: bool
    """It holds a code block."""

    def sentence(self, at: int) -> int:
        """The number of the sentence that holds the offset; the first one for an offset before it."""
        return max(0, bisect_right(self.starts, at) - 1)

    def quote(self, number: int) -> str:
        """The sentence as the original has it."""
        return self.text[self.starts[number] : self.ends[number]]

    def words(self, number: int) -> int:
        """How many words the sentence has."""
        return len(self.low[self.starts[number] : self.ends[number]].split())


def prepare(text: str) -> Prepared:
    """Normalise quotation marks, case and emphasis, blank code and quotations, and find the sentences."""
    low = _lowered(text.replace("```", "\u2404\u2404\u2404").translate(_PLAIN).replace("\u2404\u2404\u2404", "```"))
    low = _CODE.sub(lambda m: "\n" + " " * (len(m[0]) - 2) + "\n", low)
    code = "```" in text
    inner = text.strip()
    wholly_quoted = len(inner) > 1 and inner[0] in "\"\u201c" and inner[-1] in "\"\u201d"
    if not wholly_quoted:
        low = _QUOTED.sub(lambda m: '"' + " " * (len(m[0]) - 2) + '"', low)
    starts: list[int] = []
    ends: list[int] = []
    begin = 0
    for stop in [*(m.end() for m in _END.finditer(low)), len(low)]:
        piece = low[begin:stop]
        if any(map(str.isalpha, piece)):
            starts.append(begin + len(piece) - len(piece.lstrip()))
            ends.append(begin + len(piece.rstrip()))
        begin = stop
    prepared = Prepared(text, low, tuple(starts), tuple(ends), frozenset(), code)
    listed = frozenset(prepared.sentence(m.end()) for m in _LISTED.finditer(text)) if starts else frozenset()
    return Prepared(text, low, prepared.starts, prepared.ends, listed, code)
