"""A text made ready for the rule readers.

Reads any string; gives the same string with plain quotation marks, lower case and no emphasis marks, cut into
sentences, with code and quotations blanked: what a character in a story says, or a phrase cited from the request, is
not the assistant's own voice. No character moves, so every offset is an offset in the original and evidence is quoted
verbatim. Every pattern here runs in time linear in the text. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

QUOTED_AT_MOST = 400
"""Characters: a text without full stops is one sentence, and evidence is to be read."""

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u02bc\u201b", "'"),
        **dict.fromkeys("\u201c\u201d\u201f", '"'),
        **dict.fromkeys("\u2010\u2011\u2013\u2014", "-"),
        **dict.fromkeys("\u00a0\u202f\t*_~", " "),
        "\r": "\n",
    }
)
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_QUOTED = re.compile(r'"[^"\n]{1,600}"')
_VOICE = re.compile(
    r"^ {0,8}(?!(?:answer|assistant|ai|note|response|reply|final|conclusion|decision|step|reason)\b)"
    r"[a-z][a-z '.]{0,24}: {1,4}[^\n]*",
    re.MULTILINE,
)
_LISTED = re.compile(
    r"^[ >#*]{0,8}(?:\d{1,2}[.):]|[-\u2022\u25cf+*](?= )|step \d{1,2}\b|[a-h]\) )", re.MULTILINE | re.IGNORECASE
)
_END = re.compile(
    r"[.!?](?<![.!?].)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bdr\.)(?<!\bmr\.)(?<!\bmrs\.)(?<!\bvs\.)(?<!\bu\.s\.)(?<!\n\d\.)"
    r"(?<!\n\d\d\.)[.!?]*+[\"')\]]*+(?=\s|\Z)|\n(?<!\n\n)\n*+"
)


_BRANCH = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()|]|[^\\\[()|]+", re.DOTALL)


def pattern(*alternatives: str) -> re.Pattern[str]:
    """One pattern of several alternatives, in which a space stands for any short stretch of white space.

    Those that begin with a word boundary are asked together, and only where a word begins: several times as fast.
    """
    branches = [branch for alternative in alternatives for branch in _branches(alternative)]
    worded = "|".join(branch.removeprefix(r"\b") for branch in branches if branch.startswith(r"\b"))
    others = [branch for branch in branches if not branch.startswith(r"\b")]
    grouped = [rf"\b(?=\w)(?:{worded})"] if worded else []
    return re.compile("|".join(f"(?:{a})" for a in (*grouped, *others)).replace(" ", r"(?:\s{1,4})"))


def _branches(alternative: str) -> list[str]:
    """What stands between the `|` outside every bracket."""
    branches, depth = [""], 0
    for piece in _BRANCH.findall(alternative):
        depth += (piece == "(") - (piece == ")")
        if piece == "|" and not depth:
            branches.append("")
        else:
            branches[-1] += piece
    return branches


@dataclass(frozen=True)
class Prepared:
    """The text and its sentences. `low` has the length of `text`; sentences without a letter are left out."""

    text: str
    low: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    words: tuple[int, ...]
    """How many words each sentence has."""
    listed: frozenset[int]
    """Numbers of the sentences that begin an item of a list."""
    code: bool
    """It holds a code block."""

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, offset: int) -> int:
        """The number of the sentence an offset lies in."""
        return max(0, bisect_right(self.starts, offset) - 1)

    def sentence(self, number: int) -> str:
        """A sentence as the rules see it."""
        return self.low[self.starts[number] : self.ends[number]]

    def quote(self, number: int) -> str:
        """A sentence as the original has it, cut after `QUOTED_AT_MOST` characters."""
        return self.text[self.starts[number] : min(self.ends[number], self.starts[number] + QUOTED_AT_MOST)]

    def found(self, rule: re.Pattern[str], end: int | None = None) -> list[int]:
        """The numbers of the sentences in which a rule matches, ascending; `end` is the offset to stop at."""
        matches = rule.finditer(self.low, 0, len(self.low) if end is None else end)
        return sorted({self.at(m.end() - 1) for m in matches})


def prepare(text: str) -> Prepared:
    """Make a text ready. A text that is one quotation from end to end is the assistant's own voice: not blanked."""
    low = _lowered(text.replace("```", "\0\0\0")).translate(_PLAIN).replace("\0\0\0", "```")
    code = "```" in text
    if code:
        low = _CODE.sub(_blank, low)
    inner = low.strip()
    if not (inner.startswith('"') and inner.endswith('"') and inner.count('"') == 2):
        low = _QUOTED.sub(_blank, low)
    if len(_VOICE.findall(low)) > 1:
        low = _VOICE.sub(_blank, low)
    starts: list[int] = []
    ends: list[int] = []
    words: list[int] = []
    begin = 0
    for stop in [*(m.end() for m in _END.finditer(low)), len(low)]:
        piece = low[begin:stop]
        trimmed = piece.strip()
        if any(map(str.isalpha, trimmed)):
            starts.append(begin + piece.index(trimmed))
            ends.append(starts[-1] + len(trimmed))
            words.append(len(trimmed.split()))
        begin = stop
    bare = Prepared(text, low, tuple(starts), tuple(ends), tuple(words), frozenset(), code)
    listed = frozenset(bare.at(m.end()) for m in _LISTED.finditer(text))
    return Prepared(text, low, bare.starts, bare.ends, bare.words, listed, code)


def _lowered(text: str) -> str:
    low = text.lower()
    # A few letters grow when lowered, which would move every offset behind them.
    return low if len(low) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _blank(match: re.Match[str]) -> str:
    """White space of the same length that still ends the line where the text did."""
    return re.sub(r"[^\n]", " ", match[0])
