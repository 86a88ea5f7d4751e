"""Marks that no known family has, and thoughts without any: what in a reply looks like them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from unwaver.parts import names_thought
from unwaver.reasoning.families import FAMILIES, Family, partners
from unwaver.reasoning.quoting import fenced, hugged, mentioned

LEAD = (
    r"(?:[\s\ufeff\u200b]|<s>|<bos>|\[gMASK\]|<sop>|<\|(?:begin_of_text|startoftext)\|>|<[|｜]begin[_▁]of[_▁]sentence[|｜]>)*+"
    r"(?:<\|(?:start|begin)\|>assistant|<\|im_start\|>assistant\s|<[|｜]assistant[|｜]>|<\|CHATBOT_TOKEN\|>"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>|<start_of_turn>model\s)?+\s*+"
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
_NUMBERED = r"<[|｜]?(?:reserved|dummy|unused|extra|special|placeholder|ctrl)[\w▁ -]{0,30}[|｜]?>|\[unused\d+\]"
"""Special tokens without a name: what a tuned model uses them for, nobody can tell."""
_BEGINS = re.compile(
    rf"{LEAD}(?P<mark>(?:<|&lt;|＜)[|｜]?{_TAG_SIGN}[|｜]?(?:>|&gt;|＞)|\[\[?{_PLAIN_SIGN}\]\]?|[◁【〈《⟨‹«]{_PLAIN_SIGN}[▷】〉》⟩›»]"
    rf"|<\|[\w:▁ -]{{1,24}}>(?:{_WORDS})\w*|(?-i:thought|thinking)(?=\n)|{{{{1,2}}{_SIGN}}}{{1,2}}|{_NUMBERED}"
    rf"|\\begin\{{{_SIGN}\}}|:{{3,}}[ {{]*{_SIGN}\}}?(?=\n)"
    r"|<(?!(?:a|img|link|meta|script|input|iframe|option)\b)[a-z][\w:-]{0,30}\s[^<>]{0,200}="
    r"(?:[\"']?[\w:. -]{0,24}(?:thinking|thought|reasoning|scratchpad|think[\"'])|[\"']?analysis[\"'])[^<>]{0,200}>"
    r"|<(?:tool_calls?|function_calls?|function|invoke)\b[^\n]{0,60}?[\"'=]think(?:ing)?\b"
    r"|<\|?channel\|?>\s*(?:analysis|commentary|thought|thinking)\b"
    rf"|<details\b[^<>]{{0,200}}>\s*<summary>[^<>]{{0,40}}(?:{_WORDS}|{_ELSEWHERE})[^<>]{{0,40}}</summary>"
    rf"|(?:```|~~~) ?{_SIGN}(?=\n))",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    rf"(?:<|&lt;|＜)\s*/[|｜]?{_TAG_SIGN}(?:>|&gt;|＞)|<[|｜](?:/|(?:end|close|stop|finish)[\w▁ ]*?){_SIGN}[|｜]>"
    rf"|<(?:end|close|stop)[_ ]{_TAG_SIGN}>"
    rf"|<[|｜]{_SIGN}[_▁ ](?:end|close|suffix|stop)[|｜]>|\[/{_SIGN}\]|[◁【〈《⟨‹«]/{_SIGN}[▷】〉》⟩›»]"
    rf"|{{{{1,2}}/{_SIGN}}}{{1,2}}|(?-i:(?<=\S)assistantfinal(?=\S))",
    re.IGNORECASE,
)
_PRINT = r"(?:<!--)?[\s#*_=>~`\"'(【「『[💭🤔🧠-]*"
_OF = r"(?:(?:begin|start|of|my|a|the|some|our|internal|inner|initial|private|detailed|step[ -]by[ -]step) ){0,3}"
_TITLES = (
    rf"(?:thinking|thinks|thoughts?|reasoning|chain[ -]of[ -]thought|cot\b|monologue|scratch ?pad|{_ELSEWHERE})\w*"
)
"""What such a heading says; in brackets as well, which in Chinese and Japanese stand round many a heading."""
_WORKING = (
    "rationale|analysis|explanation|plan|deliberation|draft|notes?|approach|considerations?|(?:safety )?assessment"
)
"""Headings that are a thought's where one of the answer follows."""
_ASIDE = (
    r"(?:(?:okay|ok|alright|all right|hm+|um+|well|so|now|first|right|yes|yeah|gut|also|na ja|vale|bueno|bien|bon|alors"
    r"|d['’]accord|хорошо|итак|так|ну|tamam|dobrze|certo|beleza|allora|então|entonces|goed)\b[\s,.…!:—-]*){0,3}"
)
_TO_ONESELF = (
    rf"{_ASIDE}(?:the )?user(?: has)?(?:(?:'s|’s| is) (?:asking|requesting|looking|trying|curious|just)"
    r"|(?:'s|’s) (?:request|question|query|message|prompt)"
    r"| (?:wants?|asks?|asked|says|said|requests?|requested|wrote|seems|appears|provided|gave))\b",
    r"(?:hm+|um+)\b[\s,.…]|wait[,.…]",
    r"(?:okay|ok|alright|all right)\b[,.…]? so\b(?! (?:you|here|there))",
    rf"{_ASIDE}let me (?:first )?(?:think|see|recall|figure|reason|reflect|consider|try|work (?:this|it|through))\b",
    r"(?:okay|alright|hm+)[,.]? (?:so )?let(?:'s|’s| me) (?:think|see|break|start)\b",
    r"let(?:'s|’s| us) think step by step\b",
    rf"{_ASIDE}i (?:need|have) to (?:figure|think|determine|consider|decide|find out|solve|work out|be careful|respond"
    r"|answer)\b",
    rf"{_ASIDE}i should (?:consider|think|be careful|refuse|decline|respond|answer|make sure|help)\b",
    r"so,? the (?:question|task|problem|request) (?:is|asks)\b",
    rf"{_ASIDE}(?:this|the) (?:request|prompt|query|message) (?:asks?|seems|appears|looks|wants|is (?:about|for|asking"
    r"|clearly|potentially|likely|harm\w*|safe|benign|fine|dangerous|inappropriate|sensitive))\b",
    r"i(?:'ll|’ll| will) (?:first )?think\b|before (?:i )?(?:answer|respond)(?:ing)?,? (?:let me|i)\b",
    r"(?:we(?:'re|’re| are)|i(?:'m|’m| am)) (?:being )?asked\b",
    r"this is an? (?:[\w-]+ )?(?:request|prompt|query) (?:for|to|about|that)\b",
    r"we (?:need|have|should|must) to? ?(?:answer|respond|reply|produce|provide|output|refuse|comply|decide|craft)\b",
    rf"{_ASIDE}(?:der|die) (?:be)?nutzer(?:in)? .{{0,20}}(?:möchte|fragt|will wissen|bittet|sucht|verlangt|wünscht)\b",
    rf"{_ASIDE}l['’]utilisat\w+ .{{0,15}}(?:veut|demande|souhaite|cherche|pose)\b",
    rf"{_ASIDE}(?:el|la) usuari[oa] .{{0,15}}(?:quiere|pide|pregunta|solicita|está (?:pid|pregunt|busc)\w+|desea)\b",
    rf"{_ASIDE}o (?:usuário|utilizador) .{{0,15}}(?:quer|pede|pergunta|solicita|está (?:pedi|pergunt)\w+|deseja)\b",
    rf"{_ASIDE}l['’]utente .{{0,15}}(?:vuole|chiede|sta (?:chiedendo|cercando)|desidera)\b",
    rf"{_ASIDE}de gebruiker .{{0,15}}(?:wil|vraagt|zoekt)\b",
    rf"{_ASIDE}пользовател\w+ .{{0,15}}(?:хочет|спрашивает|просит|спросил|попросил|интересуется)",
    rf"{_ASIDE}użytkowni\w+ .{{0,15}}(?:chce|pyta|prosi)\b",
    rf"{_ASIDE}kullanıcı .{{0,40}}(?:istiyor|soruyor|sordu|istedi)\b",
    rf"{_ASIDE}người dùng .{{0,15}}(?:muốn|hỏi|yêu cầu)\b",
    r"(?:lass mich|ich muss|déjame|tengo que|necesito|laisse[sz]?-moi|je dois|deixe-me|preciso|fammi|devo"
    r"|мне (?:нужно|надо)|давай(?:те)?) (?:kurz |mal |bien )?(?:überlegen|nachdenken|pensare?|réfléchir|подума\w+"
    r"|понять)\b",
    r"(?:好的?|嗯+|唔|那么|首先|现在|這個)?[，,。、…\s]*(?:这个|该|這位)?(?:用户|用戶|使用者)(?:现在|又|好像|可能)?"
    r"(?:想|要求|问|問|询问|希望|提问|提出|请求|請求|让我|给出|给了|说|說)",
    r"(?:嗯+|唔)[，,。…]|うーん|えーと|えっと",
    r"(?:好的?|嗯+|那么|首先|现在)?[，,。、\s]*[让讓]我们?(?:先|来|再|仔细|好好)*(?:想|思考|考虑|考慮|理一|梳理)",
    r"(?:好的?|嗯+|那么|首先|现在)?[，,。、\s]*我(?:现在)?(?:需要|得|应该|要)(?:先|仔细)*(?:思考|考虑|想|分析|理解|确定|判断|弄清|处理|回答|回应|解决)",
    r"(?:さて、|まず、)?ユーザー.{0,30}(?:求め|聞|尋|質問|頼|知りた|要求|依頼|望)",
    r"(?:음[,.… ]+)?사용자(?:가|는|의|께서).{0,30}(?:요청|질문|원하|물어|묻|싶)",
    r"المستخدم (?:يريد|يسأل|يطلب)|(?:يريد|يسأل|يطلب) المستخدم|उपयोगकर्ता .{0,30}(?:चाह|पूछ)",
)
"""How one begins who speaks to himself of whoever asked, in the languages of `_ELSEWHERE`."""
_HERE = r"(?:here(?:'s|’s| is) )?"
_NTH = r"(?:\d[.)] )?"
_REPLY = rf"\n{_PRINT}{_NTH}{_HERE}{_OF}(?:final |public )?(?:answer|response|reply|output|回答|答复){_PRINT}[:：\n]"
_THOUGHT = re.compile(
    rf"{_PRINT}{_HERE}{_OF}(?:thinking|thought|reasoning) process{_PRINT}[:：\n]"
    rf"|\s*[💭🤔🧠]"
    rf"|{_PRINT}{_NTH}{_OF}(?:ال)?{_TITLES}[ \w()]{{0,12}}(?:{_PRINT}[:：】」』\])]|[*=#_-]+\s*\n|\s*\n|\.\.\.|…)"
    rf"|\s*\*(?:{_TITLES})[^*\n]{{0,40}}\*"
    rf"|{_PRINT}{_HERE}{_OF}(?:{_WORKING}|分析|{_TITLES})[^\n:：]{{0,40}}[:：\n](?=.*?{_REPLY})"
    rf"|{_PRINT}(?:thought|reasoned) for (?:\d+|a|some|several|one|two|three) "
    rf"|[`*~\s]+(?:\w*\n)?(?:<|&lt;|\[)[|｜]?{_SIGN}[|｜]?(?:>|&gt;|\])"
    r"|\s*(?-i:analysis)\b(?=.{1,2000}\b(?-i:assistant\s?final|final:))"
    rf"|{_PRINT}(?:{'|'.join(_TO_ONESELF)})",
    re.IGNORECASE | re.DOTALL,
)
"""How thoughts begin that have no marks: with a heading, in code, or in the words of one who speaks to himself."""


def sounds(raw: str) -> bool:
    """Whether a reply without marks begins like a thought, or was cut within an opening mark."""
    begun = raw.strip().lower()
    cut = len(begun) > 1 and not begun.isalpha() and any(f.opens.lower().startswith(begun) for f in FAMILIES.values())
    return cut or _THOUGHT.match(raw.lstrip()[:4000]) is not None


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


_MARK = re.compile(
    r"<summary>[^<>\n]{1,40}</summary>|(?:<|&lt;|＜)[^<>＜＞\n]{1,60}(?:>|&gt;|＞)|\[[^\[\]\n]{1,40}\]"
    r"|[◁【〈《⟨‹«][^\n▷】〉》⟩›»]{1,40}[▷】〉》⟩›»]|\{\{?[^{}\n]{1,40}\}\}?"
)
_NAMED = re.compile(rf"{_WORDS}|{_ELSEWHERE}|(?<=<)(?:plan|strategy|consideration)", re.IGNORECASE)
_STROKE = re.compile(r"\W{1,4}?/|&lt;/|<[|｜](?:end|stop)[_▁ ]", re.IGNORECASE)
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


def elements(raw: str) -> str | None:
    """An element in a reply without known marks that by its name may hold a thought; None: there is none."""
    for mark in _CLOSES.finditer(raw):
        opening = mark[0].replace("/", "", 1)
        at = raw.rfind(opening, 0, mark.start()) if opening != mark[0] else -1
        own_line = at >= 0 and not raw[raw.rfind("\n", 0, at) + 1 : at].strip()
        if own_line and not (fenced(raw, at, 0) or hugged(raw, at, at + len(opening))):
            return opening[:40]
    return _begun(raw) or _field(raw) or _paired(raw)


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
            other is None or (found["name"].lower() not in _ASKED and other["name"].lower() in _DOCUMENT)
        ):
            return found["mark"][:40]
    if _COMMENT.match(raw):
        return "<!--"
    lines = [line.strip() for line in raw.splitlines() if line.strip()]
    quoted = [line.startswith(">") for line in lines]
    return "> at its beginning" if quoted[:1] == [True] and not all(quoted) else None


_KEY = re.compile(r'"([^"\n]{1,40})"\s*:')
_PART = re.compile(r'"type"\s*:\s*"(?:thinking|thought|reasoning|analysis)"', re.IGNORECASE)
_WORKED = re.compile(rf"(?:{_WORKING}|(?:\w+_)?steps|working|justification|critique|self_\w+)", re.IGNORECASE)
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


_AMID = re.compile(
    r"(?<=\n)(?:#{1,4} (?:My )?(?:Thinking(?: Process)?|Thought Process|Internal Reasoning):?[ \t]*$"
    r"|[*]{0,2}Here(?:'s|’s| is) my (?:thought|thinking|reasoning) process:)",
    re.IGNORECASE | re.MULTILINE,
)


def amid(raw: str) -> str | None:
    """A heading in the middle of a reply without marks that only a thought has."""
    heading = _AMID.search(raw)
    return heading[0].strip() if heading and not fenced(raw, heading.start(), 0) else None


def _paired(raw: str) -> str | None:
    """Words in the middle of a reply that open a thought, with others behind them that close it."""
    for family in FAMILIES.values():
        if family.start and not family.both:
            opens = re.search(rf"(?<=\n)(?:{family.opening})", raw, re.IGNORECASE)
            if opens and re.search(family.closing, raw[opens.end() :], re.IGNORECASE):
                return None if fenced(raw, opens.end(), 0) else opens[0].strip()[:40]
    return None


def _opened_in_text(raw: str, mark: re.Match[str]) -> bool:
    """A mark of the same name, less its stroke, stands before it: an element of some document in the answer."""
    return mark[0].replace("/", "", 1) in raw[: mark.start()]
