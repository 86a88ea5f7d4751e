"""Marks that no known family has: what in a reply looks like them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from unwaver.parts import names_thought
from unwaver.reasoning.quoting import fenced, hugged, mentioned

LEAD = (
    r"(?:[\s\ufeff\u200b]|<s>|<bos>|\[gMASK\]|<sop>|\]~!b\[|<\|(?:end|begin_of_text|startoftext)\|>|<[|｜]begin[_▁]of[_▁]sentence[|｜]>)*+"
    r"(?:<\|(?:start|begin)\|>assistant|<\|begin_assistant\|>|<\|im_start\|>assistant\s|<[|｜]assistant[|｜]>|<\|CHATBOT_TOKEN\|>"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>|<start_of_turn>model\s|\]~b\]ai\s)?+\s*+"
)
"""What may stand before the first mark and is no text: how templates begin a text and a turn."""

WORDS = (
    "think|thought|reason|reflect|scratch|analy[sz]|monolog|deliberat|ponder|rational|brainstorm|muse|musing|cogit|"
    "contemplat|introspect|chain.?of|cot\\b|inner|internal"
)
ELSEWHERE = (
    "denk|gedank|überleg|ueberleg|pensa|pensé|pensie|réfl|reflex|raisonn|razon|racioc|ragiona|мысл|мышл|рассужд|düşün|"
    "myśl|rozumow|suy.?ngh|思考|思维|思路|推理|考え|内心|생각|추론|تفكير|सोच|विचार"
)
"""The same in German, Dutch, French, Spanish, Portuguese, Italian, Russian, Turkish, Polish, Vietnamese, Chinese ..."""
WORKING = (
    "rationale|analysis|explanation|plan|deliberation|draft|notes?|approach|considerations?|(?:safety )?assessment"
)
"""Headings and fields that are a thought's where the answer's follow."""
SIGN = rf"[\w:.▁ -]{{0,24}}(?:{WORDS}|{ELSEWHERE})[\w:.▁ -]{{0,24}}"
_PLAIN_SIGN = rf"[\w:.▁ -]{{0,24}}(?:{WORDS})[\w:.▁ -]{{0,24}}"
_TAG_SIGN = (
    rf"(?:{SIGN}|[\w:.▁ -]{{0,24}}(?<![a-z])"
    r"(?:plan(?:s|ning)?|strategy|considerations?|mind(?![-_ ]?map)|brain|mull(?:ing)?)(?![a-z])[\w:.▁ -]{0,24})"
)
"""In a tag more words say so: in brackets they are headings of an answer."""
_NUMBERED = r"<[|｜]?(?:reserved|dummy|unused|extra|special|placeholder|ctrl)[\w▁ -]{0,30}[|｜]?>|\[unused\d+\]"
"""Special tokens without a name: what a tuned model uses them for, nobody can tell."""
_SIGNS = r"%%|@@|\^\^|\|\||&&|!!"
"""Signs in pairs that stand round a mark, and are no heading or print in Markdown."""
_BEGINS = re.compile(
    rf"{LEAD}(?P<mark>(?:<|&lt;|＜)[|｜]?{_TAG_SIGN}[|｜]?(?:>|&gt;|＞)|\[\[?{_PLAIN_SIGN}\]\]?|[◁【〈《⟨‹«]{_PLAIN_SIGN}[▷】〉》⟩›»]"
    rf"|<\|[\w:▁ -]{{1,24}}>(?:{WORDS})\w*|(?-i:thought|thinking)(?=\n)|{{{{1,2}}{SIGN}}}{{1,2}}|{_NUMBERED}"
    rf"|\\begin\{{{SIGN}\}}|:{{3,}}[ {{]*{SIGN}\}}?(?=\n)"
    r"|<(?!(?:a|img|link|meta|script|input|iframe|option)\b)[a-z][\w:-]{0,30}\s[^<>]{0,200}="
    r"(?:[\"']?[\w:. -]{0,24}(?:thinking|thought|reasoning|scratchpad|think[\"'])|[\"']?analysis[\"'])[^<>]{0,200}>"
    r"|<(?:tool_calls?|function_calls?|function|invoke)\b[^\n]{0,60}?[\"'=]think(?:ing)?\b"
    r"|<\|?channel\|?>\s*(?:analysis|commentary|thought|thinking)\b"
    rf"|(?P<signs>{_SIGNS}) ?{SIGN}(?P=signs)"
    rf"|<details\b[^<>]{{0,200}}>\s*<summary>[^<>]{{0,40}}(?:{WORDS}|{ELSEWHERE})[^<>]{{0,40}}</summary>"
    rf"|(?:```|~~~) ?{SIGN}(?=\n))",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    rf"(?:<|&lt;|＜)\s*/[|｜]?{_TAG_SIGN}(?:>|&gt;|＞)|<[|｜](?:/|(?:end|close|stop|finish)[\w▁ ]*?){SIGN}[|｜]>"
    rf"|<(?:end|close|stop)[_ ]{_TAG_SIGN}>|<[|｜]?(?:end|close)[_ ]of[_ ](?:(?:the|this|a)[_ ])?steps?[|｜]?>"
    rf"|(?P<signs>{_SIGNS}) ?(?:/|(?:end|close|stop)[_ ]){SIGN}(?P=signs)"
    rf"|<[|｜]{SIGN}[_▁ ](?:end|close|suffix|stop)[|｜]>|\[/{SIGN}\]|[◁【〈《⟨‹«]/{SIGN}[▷】〉》⟩›»]"
    rf"|{{{{1,2}}/{SIGN}}}{{1,2}}|(?-i:(?<=\S)assistantfinal(?=\S))",
    re.IGNORECASE,
)


def foreign(raw: str) -> str | None:
    """What in a reply without known marks looks like the marks of another family; None: nothing does.

    It must be used as one: the reply begins with it, or it closes something and isn't spoken of or opened in the text.
    """
    if begins := _BEGINS.match(raw):
        return begins["mark"][:40]
    return _led_up(raw) or closing(raw)


def closing(raw: str) -> str | None:
    """What in a reply looks like another family's closing mark; None: nothing does."""
    return next((mark[:40] for mark in _closing_marks(raw)), None)


def _closing_marks(raw: str) -> Iterator[str]:
    for mark in _CLOSES.finditer(raw):
        spoken = hugged(raw, *mark.span()) or fenced(raw, mark.start(), 0) or mentioned(raw, *mark.span(), True)
        if not spoken and not _opened_in_text(raw, mark):
            yield mark[0]


def elements(raw: str) -> str | None:
    """An element in a reply without known marks that by its name may hold a thought; None: there is none."""
    for mark in _CLOSES.finditer(raw):
        opening = mark[0].replace("/", "", 1)
        at = raw.rfind(opening, 0, mark.start()) if opening != mark[0] else -1
        own_line = at >= 0 and not raw[raw.rfind("\n", 0, at) + 1 : at].strip()
        if own_line and not (fenced(raw, at, 0) or hugged(raw, at, at + len(opening))):
            return opening[:40]
    return _begun(raw) or _field(raw)


_ELEMENT = re.compile(
    rf"{LEAD}(?P<mark>(?:<|&lt;|\[)(?P<name>[a-z][\w:.-]{{0,40}})(?:\s[^<>\[\]]{{0,200}})?(?:>|&gt;|\]))", re.I
)
_COMMENT = re.compile(rf"{LEAD}<!--.*?-->(?=\s*[^\s<])", re.DOTALL)
_DOCUMENT = frozenset(
    ("html", "head", "body", "title", "p", "a", "b", "i", "u", "s", "em", "strong", "code", "pre", "kbd", "sub", "sup",
     "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "table", "tr", "td", "th", "div", "span", "section",
     "article", "header", "footer", "main", "nav", "aside", "center", "font", "big", "small", "mark", "ins", "del",
     "blockquote", "q", "quote", "url", "cite", "form", "label", "button", "select", "script", "style", "template",
     "svg", "math", "answer", "response", "output", "solution", "conclusion", "result", "final", "final_answer",
     "final_response", "tool_call", "tool_calls", "tool_code", "function", "function_call", "function_calls",
     "invoke")
)  # fmt: skip
"""Elements of a page, an answer or a call: none is a thought."""


_ASKED = frozenset(
    ("question", "questions", "query", "q", "input", "prompt", "task", "problem", "instruction", "instructions",
     "request", "example", "examples", "user", "human", "context", "id", "name", "number", "tool", "tools")
)  # fmt: skip
"""Elements that stand before an answer in many a document."""
ANSWERS = "answer|response|output|solution|conclusion|final(?:[_ ](?:answer|response))?"
"""What an answer's marks are called."""
_SAYS = frozenset(("say", "says", "speak", "speech", "reply", "respond", "utterance", "message", "voice"))
"""What else is called so where a thought stands before it."""
_WRAPPED = re.compile(r"\s*<([\w:.-]{1,40})(?:\s[^<>]{0,200})?>(.*)</\1>\s*", re.DOTALL)
_ANSWER = re.compile(rf"(?:\A|>|&gt;|\])\s*(?:<|&lt;|\[)(?:{ANSWERS})(?:>|&gt;|\])", re.IGNORECASE)


def _first(raw: str) -> tuple[re.Match[str], str] | None:
    """(the element of a name of its own that a reply begins with, what stands behind its end)."""
    found = _ELEMENT.match(raw)
    if found is None or found["name"].lower() in _DOCUMENT:
        return None
    ends = list(re.finditer(rf"(?:<|&lt;|\[)/{re.escape(found['name'])}\s*(?:>|&gt;|\])", raw[found.end() :], re.I))
    return (found, raw[found.end() + ends[-1].end() :].strip()) if ends else None


def _led_up(raw: str) -> str | None:
    """The element of a name of its own that a reply begins with, where one that is called an answer follows."""
    wrapped = _WRAPPED.fullmatch(raw)
    first = _first(wrapped[2] if wrapped else raw)
    if first is None or first[0]["name"].lower() in _ASKED or not _ANSWER.search(first[1]):
        return None
    return first[0]["mark"][:40]


def _begun(raw: str) -> str | None:
    """An element of a name of its own, a comment or a quotation that a reply begins with, with other text behind it."""
    if first := _first(raw):
        found, behind = first
        other = _ELEMENT.match(behind)
        if behind.strip("`~") and (
            other is None or (found["name"].lower() not in _ASKED and other["name"].lower() in _DOCUMENT | _SAYS)
        ):
            return found["mark"][:40]
    if _COMMENT.match(raw):
        return "<!--"
    lines = [line.strip() for line in raw.splitlines() if line.strip()]
    quoted = [line.startswith(">") for line in lines]
    return "> at its beginning" if quoted[:1] == [True] and not all(quoted) else None


_KEY = re.compile(r'"([^"\n]{1,40})"\s*:')
_PART = re.compile(r'"type"\s*:\s*"(?:thinking|thought|reasoning|analysis)"', re.IGNORECASE)
_WORKED = re.compile(rf"(?:{WORKING}|(?:\w+_)?steps|working|justification|critique|self_\w+)", re.IGNORECASE)
_ANSWERED = re.compile(rf"(?:{ANSWERS}|reply|result|decision|verdict|text)", re.IGNORECASE)


def _field(raw: str) -> str | None:
    """The field of a reply in JSON that by its name holds a thought; None: there is none."""
    begin = re.match(r"\s*(?:```\w*\s*)?(?=[{\[])", raw)
    if begin is None:
        return None
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(raw, begin.end())
    except (ValueError, RecursionError):
        end = raw.rfind("}") + 1
    names = _KEY.findall(raw[:end])
    if part := _PART.search(raw[:end]):
        return f"the part {part[0]}"
    named = next((name for name in names if names_thought(name)), None)
    if named is None and any(_ANSWERED.fullmatch(name) for name in names):
        named = next((name for name in names if _WORKED.fullmatch(name)), None)
    return named and f"the field `{named}`"


def _opened_in_text(raw: str, mark: re.Match[str]) -> bool:
    """A mark of the same name, less its stroke, stands before it: an element of some document in the answer."""
    return mark[0].replace("/", "", 1) in raw[: mark.start()]
