"""How a rendered generation prompt begins a thought, by the marks of a known family or of none. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from unwaver.reasoning.families import FAMILIES, Family, partners
from unwaver.reasoning.foreign import ELSEWHERE, WORDS

_MARK = re.compile(
    r"<summary>[^<>\n]{1,40}</summary>|(?:<|&lt;|＜)[^<>＜＞\n]{1,60}(?:>|&gt;|＞)|\[[^\[\]\n]{1,40}\]"
    r"|[◁【〈《⟨‹«][^\n▷】〉》⟩›»]{1,40}[▷】〉》⟩›»]|\{\{?[^{}\n]{1,40}\}\}?"
)
_NAMED = re.compile(rf"{WORDS}|{ELSEWHERE}|(?<=<)(?:plan|strategy|consideration)", re.IGNORECASE)
_STROKE = re.compile(r"\W{1,4}?/|&lt;/|<[|｜](?:end|stop)[_▁ ]", re.IGNORECASE)
_LINE = re.compile(
    rf"(?:\A|(?<=[\n>\]]))\s*((?:[#*=~_`]+ ?[\w ’'-]{{0,30}})?(?:{WORDS}|{ELSEWHERE})\w*"
    rf"(?:[\w ’'-]{{0,30}}[:：]|\.\.\.|…)?[*=~_]*|[\w ’'-]{{0,30}}(?:{WORDS}|{ELSEWHERE})[\w ’'-]{{0,30}}[:：])\Z",
    re.IGNORECASE,
)


class Begun(NamedTuple):
    """How a generation prompt begins a thought."""

    mark: str
    """The mark or the line."""
    closes: str | None = None
    """What would close it; None: nobody can tell."""
    closed: bool = False
    """Whether the prompt closes it as well."""
    family: Family | None = None
    """Whose mark it is; None: no known family's."""


def begun_with(tail: str, added: int = 0) -> Begun | None:
    """The mark or line with which a generation prompt begins a thought, by any family's marks or none's.

    `tail` is what the prompt has behind the user's words, of which a template adds the last `added` characters where a
    reply is to follow and not before one that is there: a mark among these is used for something, whatever its name.
    """
    for family in FAMILIES.values():
        if (at := family.opened_at(tail)) is not None:
            mark = tail[at:].strip()
            return Begun(mark, family.spelled_as_in(mark).close.strip(), family=family)
    end = tail.rstrip()[-300:]
    new = len(end) - max(0, added - len(tail) + len(tail.rstrip()))
    marks = list(_MARK.finditer(end))
    for one in marks:
        if not _NAMED.search(one[0]) and one.start() < new:
            continue
        closes = partners(one[0])
        ends = next((later[0] for later in marks if later.start() > one.start() and later[0] in closes), None)
        if _STROKE.match(one[0]):
            return Begun(one[0], closed=True)
        return Begun(one[0], ends or next(iter(closes), None), closed=ends is not None)
    line = _LINE.search(end)
    return Begun(line[1]) if line else None
