"""Marks that no known family has, and thoughts without any: what in a reply looks like them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from unwaver.parts import names_thought
from unwaver.reasoning.families import FAMILIES, Family, partners
from unwaver.reasoning.quoting import fenced, hugged, mentioned

LEAD = (
    r"(?:[\s\ufeff\u200b]|<s>|<bos>|\[gMASK\]|<sop>|<\|(?:begin_of_text|startoftext)\|>|<[|｜]begin[_▁]of[_▁]sentence[|｜]>)*"
    r"(?:<\|(?:start|begin)\|>assistant|<\|im_start\|>assistant\s|<[|｜]assistant[|｜]>|<\|CHATBOT_TOKEN\|>"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>|<start_of_turn>model\s)?\s*"
)
"""What may stand before the first mark and is no text: how templates begin a text and a turn."""

_WORDS = (
    "think|thought|reason|reflect|scratch|analy[sz]|monolog|deliberat|ponder|rational|brainstorm|muse|musing|cogit|"
    "contemplat|introspect|chain.?of|cot\\b|inner|internal"
)
_ELSEWHERE = (
    "denk|gedank|überleg|ueberleg|pensa|pensé|pensie|réfl|reflex|raisonn|razon|racioc|ragiona|мысл|мышл|рассужд|düşün|"
    "myśl|rozumow|suy.?ngh|思考|思维|思路|推理|考え|内心|생각|추론|تفكير|सोच|विचार"
)
"""The same in German, Dutch, French, Spanish, Portuguese, Italian, Russian, Turkish, Polish, Vietnamese, Chinese ..."""
_SIGN = rf"[\w:.▁ -]{{0,24}}(?:{_WORDS}|{_ELSEWHERE})[\w:.▁ -]{{0,24}}"
_PLAIN_SIGN = rf"[\w:.▁ -]{{0,24}}(?:{_WORDS})[\w:.▁ -]{{0,24}}"
_TAG_SIGN = (
    rf"(?:{_SIGN}|[\w:.▁ -]{{0,24}}(?<![a-z])(?:plan(?:s|ning)?|strategy|considerations?)(?![a-z])[\w:.▁ -]{{0,24}})"
)
"""In a tag more words say so: in brackets they are headings of an answer."""
_NUMBERED = r"<[|｜]?(?:reserved|dummy|unused|extra|special|placeholder)[\w▁ -]{0,30}[|｜]?>|\[unused\d+\]"
"""Special tokens without a name: what a tuned model uses them for, nobody can tell."""
_BEGINS = re.compile(
    rf"{LEAD}(?P<mark>(?:<|&lt;|＜)[|｜]?{_TAG_SIGN}[|｜]?(?:>|&gt;|＞)|\[\[?{_PLAIN_SIGN}\]\]?|[◁【〈《⟨‹«]{_PLAIN_SIGN}[▷】〉》⟩›»]"
    rf"|<\|[\w:▁ -]{{1,24}}>(?:{_WORDS})\w*|(?-i:thought|thinking)(?=\n)|{{{{1,2}}{_SIGN}}}{{1,2}}|{_NUMBERED}"
    rf"|\\begin\{{{_SIGN}\}}|:{{3,}}[ {{]*{_SIGN}\}}?(?=\n)"
    r"|<(?:details|div|span|p|section|aside)\b[^<>]{0,200}="
    r"[\"']?[\w:. -]{0,24}(?:thinking|thought|reasoning)[^<>]{0,200}>"
    rf"|<details\b[^<>]{{0,200}}>\s*<summary>[^<>]{{0,40}}(?:{_WORDS}|{_ELSEWHERE})[^<>]{{0,40}}</summary>"
    rf"|(?:```|~~~) ?{_SIGN}(?=\n))",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    rf"(?:<|&lt;|＜)\s*/[|｜]?{_TAG_SIGN}(?:>|&gt;|＞)|<[|｜](?:/|(?:end|close|stop|finish)[\w▁ ]*?){_SIGN}[|｜]>"
    rf"|<[|｜]{_SIGN}[_▁ ](?:end|close|suffix|stop)[|｜]>|\[/{_SIGN}\]|[◁【〈《⟨‹«]/{_SIGN}[▷】〉》⟩›»]"
    rf"|{{{{1,2}}/{_SIGN}}}{{1,2}}|(?-i:(?<=\S)assistantfinal(?=\S))",
    re.IGNORECASE,
)
_PRINT = r"(?:<!--)?[\s#*_=>~`\"'(【[💭🤔🧠-]*"
_TITLES = rf"(?:thinking|thinks|thoughts?|reasoning|{_ELSEWHERE})\w*"
"""What such a heading says; in brackets as well, which in Chinese and Japanese stand round many a heading."""
_THOUGHT = re.compile(
    rf"{_PRINT}(?:here(?:'s|’s| is) )?(?:(?:my|a|the|internal) )?(?:thinking|thought|reasoning) process{_PRINT}[:：\n]"
    rf"|{_PRINT}{_TITLES}[ \w]{{0,12}}(?:{_PRINT}[:：】\]]|[*=#_-]+\s*\n|\s*\n|\.\.\.|…)"
    rf"|{_PRINT}(?:thought|reasoned) for (?:\d+|a|some|several|one|two|three) "
    rf"|[`*~\s]+(?:\w*\n)?(?:<|&lt;|\[)[|｜]?{_SIGN}[|｜]?(?:>|&gt;|\])"
    r"|\s*(?-i:analysis)\b(?=.{1,2000}\b(?-i:assistant\s?final|final:))"
    rf"|{_PRINT}(?:(?:okay|ok|alright|hmm+|well|so|first)[,.]? (?:so )?)?(?:the )?user(?: has)?(?:(?:'s| is) (?:asking"
    r"|requesting|looking|trying|curious|just)| (?:wants?|asks?|asked|says|said|requests?|requested|wrote))\b"
    rf"|{_PRINT}(?:okay|alright|hmm+)[,.]? (?:so )?(?:let me (?:think|see|try|figure|break|start|recall)"
    r"|let's (?:think|see|break)|i (?:need|have) to (?:figure|think|find|solve|work))"
    rf"|{_PRINT}we (?:need|have|should|must) to? ?(?:answer|respond|reply|produce|provide|output|refuse|comply|decide"
    rf"|craft)\b|{_PRINT}let(?:'s|’s| us) think step by step\b",
    re.IGNORECASE | re.DOTALL,
)
"""How thoughts begin that have no marks: with a heading, in code, or in the words of one who speaks to himself."""


def sounds(raw: str) -> bool:
    """Whether a reply without marks begins like a thought."""
    return _THOUGHT.match(raw[:4000]) is not None


def foreign(raw: str) -> str | None:
    """What in a reply without known marks looks like the marks of another family; None: nothing does.

    It must be used as one: the reply begins with it, or it closes something and isn't spoken of or opened in the text.
    """
    if begins := _BEGINS.match(raw):
        return begins["mark"][:40]
    return next((mark[:40] for mark in _closing_marks(raw)), None)


def _closing_marks(raw: str) -> Iterator[str]:
    for mark in _CLOSES.finditer(raw):
        spoken = hugged(raw, *mark.span()) or fenced(raw, mark.start(), 0) or mentioned(raw, *mark.span(), True)
        if not spoken and not _opened_in_text(raw, mark):
            yield mark[0]


_MARK = re.compile(
    r"<summary>[^<>\n]{1,40}</summary>|(?:<|&lt;|＜)[^<>＜＞\n]{1,60}(?:>|&gt;|＞)|\[[^\[\]\n]{1,40}\]"
    r"|[◁【〈《⟨‹«][^\n▷】〉》⟩›»]{1,40}[▷】〉》⟩›»]|\{\{?[^{}\n]{1,40}\}\}?"
)
_NAMED = re.compile(rf"{_WORDS}|{_ELSEWHERE}|(?<=<)(?:plan|strategy|consideration)", re.IGNORECASE)
_LINE = re.compile(
    rf"(?:\A|(?<=[\n>\]]))\s*((?:[#*=~_`]+ ?[\w ’'-]{{0,30}})?(?:{_WORDS}|{_ELSEWHERE})\w*"
    rf"(?:[\w ’'-]{{0,30}}[:：]|\.\.\.|…)?[*=~_]*|[\w ’'-]{{0,30}}(?:{_WORDS}|{_ELSEWHERE})[\w ’'-]{{0,30}}[:：])\Z",
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
    marks = list(_MARK.finditer(end))
    last = marks[-1] if marks and marks[-1].end() == len(end) else None
    if last is None:
        line = _LINE.search(end)
        return Begun(line[1]) if line else None
    new = len(end) - (added - len(tail) + len(tail.rstrip()))
    for mark in marks[:-1]:
        if last[0] in partners(mark[0]) and (_NAMED.search(mark[0]) or mark.start() >= new):
            return Begun(mark[0], last[0], closed=True)
    used = _NAMED.search(last[0]) or last.start() >= new
    closed = "/" in last[0] and not last[0].startswith("<summary")
    return Begun(last[0], next(iter(partners(last[0])), None), closed) if used else None


def elements(raw: str) -> str | None:
    """An element in a reply without known marks that by its name may hold a thought; None: there is none."""
    for mark in _CLOSES.finditer(raw):
        opening = mark[0].replace("/", "", 1)
        at = raw.rfind(opening, 0, mark.start()) if opening != mark[0] else -1
        own_line = at >= 0 and not raw[raw.rfind("\n", 0, at) + 1 : at].strip()
        if own_line and not (fenced(raw, at, 0) or hugged(raw, at, at + len(opening))):
            return opening[:40]
    return _begun(raw) or _field(raw)


_ELEMENT = re.compile(rf"{LEAD}(?P<mark>(?:<|&lt;)(?P<name>[a-z][\w:.-]{{0,40}})(?:\s[^<>]{{0,200}})?(?:>|&gt;))", re.I)
_COMMENT = re.compile(rf"{LEAD}<!--.*?-->(?=\s*[^\s<])", re.DOTALL)
_DOCUMENT = frozenset(
    ("html", "head", "body", "title", "p", "a", "b", "i", "u", "s", "em", "strong", "code", "pre", "kbd", "sub", "sup",
     "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "table", "tr", "td", "th", "div", "span", "section",
     "article", "header", "footer", "main", "nav", "aside", "center", "font", "big", "small", "mark", "ins", "del",
     "blockquote", "q", "cite", "form", "label", "button", "select", "script", "style", "template", "svg", "math",
     "answer", "response", "output", "solution", "conclusion", "result", "final", "final_answer", "final_response",
     "tool_call", "tool_calls", "tool_code", "function", "function_call", "function_calls", "invoke")
)  # fmt: skip
"""Elements of a page, an answer or a call: none is a thought."""


def _begun(raw: str) -> str | None:
    """An element of a name of its own, a comment or a quotation that a reply begins with, with other text behind it."""
    if (found := _ELEMENT.match(raw)) and found["name"].lower() not in _DOCUMENT:
        ends = list(re.finditer(rf"(?:<|&lt;)/{re.escape(found['name'])}\s*(?:>|&gt;)", raw[found.end() :], re.I))
        behind = raw[found.end() + ends[-1].end() :].strip() if ends else ""
        if behind and not behind.startswith(("<", "&lt;", "```")):
            return found["mark"][:40]
    if _COMMENT.match(raw):
        return "<!--"
    lines = [line.strip() for line in raw.splitlines() if line.strip()]
    quoted = [line.startswith(">") for line in lines]
    return "> at its beginning" if quoted[:1] == [True] and not all(quoted) else None


_OBJECT = re.compile(r"\s*(?:```\w*\s*)?\{.*\}\s*(?:```)?\s*", re.DOTALL)
_KEY = re.compile(r'"([^"\n]{1,40})"\s*:')


def _field(raw: str) -> str | None:
    """The field of a reply in JSON that by its name holds a thought; None: there is none."""
    if not _OBJECT.fullmatch(raw):
        return None
    return next((f"the field `{name}`" for name in _KEY.findall(raw) if names_thought(name)), None)


def _opened_in_text(raw: str, mark: re.Match[str]) -> bool:
    """A mark of the same name, less its stroke, stands before it: an element of some document in the answer."""
    return mark[0].replace("/", "", 1) in raw[: mark.start()]
