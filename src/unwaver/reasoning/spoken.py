"""Thoughts without marks: how one begins, or goes on in the middle of a reply, in plain words. Pure."""

from __future__ import annotations

import re

from unwaver.reasoning.families import FAMILIES
from unwaver.reasoning.foreign import ELSEWHERE, SIGN, WORKING
from unwaver.reasoning.quoting import fenced

_PRINT = r"(?:<!--)?[\s#*_=>~`\"'(【「『[💭🤔🧠-]*"
_OF = r"(?:(?:begin|start|of|my|a|the|some|our|internal|inner|initial|private|detailed|step[ -]by[ -]step) ){0,3}"
_TITLES = rf"(?:thinking|thinks|thoughts?|reasoning|chain[ -]of[ -]thought|cot\b|monologue|scratch ?pad|{ELSEWHERE})\w*"
"""What such a heading says; in brackets as well, which in Chinese and Japanese stand round many a heading."""
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
"""How one begins who speaks to himself of whoever asked, in the languages of `ELSEWHERE`."""
_HERE = r"(?:here(?:'s|’s| is) )?"
_NTH = r"(?:\d[.)] )?"
_REPLY = rf"\n{_PRINT}{_NTH}{_HERE}{_OF}(?:final |public )?(?:answer|response|reply|output|回答|答复){_PRINT}[:：\n]"
_THOUGHT = re.compile(
    rf"{_PRINT}{_HERE}{_OF}(?:thinking|thought|reasoning) process{_PRINT}[:：\n]"
    rf"|\s*[💭🤔🧠]"
    rf"|{_PRINT}{_NTH}{_OF}(?:ال)?{_TITLES}[ \w()]{{0,12}}(?:{_PRINT}[:：】」』\])]|[*=#_-]+\s*\n|\s*\n|\.\.\.|…)"
    rf"|\s*\*(?:{_TITLES})[^*\n]{{0,40}}\*"
    rf"|{_PRINT}{_HERE}{_OF}(?:{WORKING}|分析|{_TITLES})[^\n:：]{{0,40}}[:：\n](?=.*?{_REPLY})"
    rf"|{_PRINT}(?:thought|reasoned) for (?:\d+|a|some|several|one|two|three) "
    rf"|[`*~\s]+(?:\w*\n)?(?:<|&lt;|\[)[|｜]?{SIGN}[|｜]?(?:>|&gt;|\])"
    r"|\s*(?-i:analysis)\b(?=.{1,2000}\b(?-i:assistant\s?final|final:))"
    rf"|{_PRINT}(?:{'|'.join(_TO_ONESELF)})",
    re.IGNORECASE | re.DOTALL,
)
"""How thoughts begin that have no marks: with a heading, in code, or in the words of one who speaks to himself."""


_FIRST_STEP = re.compile(rf"{_PRINT}(?:(?:reasoning |thinking )?step )?1{_PRINT}[.):]", re.IGNORECASE)
_FINAL = re.compile(
    r"^[ \t#*_=>~-]{0,20}(?:(?:step )?\d{1,2}[.):] )?(?:(?:so|my|the|begin) ){0,2}final (?:answer|response|reply)"
    r"[ \t*_#]{0,8}(?:[:：]|$)(?P<said>.*)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_WORDS = re.compile(r"(?:[^\W\d_][\w'’]*\W+){3}[^\W\d_]")
_WORKED_OUT = re.compile(r"[\d$=\\]")


def stepped(raw: str) -> bool:
    """Whether numbered steps go over into a final answer in words. One with a number or a formula is a solution worked
    out, as maths is asked for."""
    final = _FINAL.search(raw) if _FIRST_STEP.match(raw) else None
    said = final["said"].strip() if final else ""
    return _WORDS.search(said) is not None and _WORKED_OUT.search(said) is None


def sounds(raw: str) -> bool:
    """Whether a reply without marks begins like a thought, or was cut within an opening mark."""
    begun = raw.strip().lower()
    cut = len(begun) > 1 and not begun.isalpha() and any(f.opens.lower().startswith(begun) for f in FAMILIES.values())
    return cut or stepped(raw) or _THOUGHT.match(raw.lstrip()[:4000]) is not None


_AMID = re.compile(
    r"(?<=\n)(?:#{1,4} (?:My )?(?:Thinking(?: Process)?|Thought Process|Internal Reasoning):?[ \t]*$"
    r"|[*]{0,2}Here(?:'s|’s| is) my (?:thought|thinking|reasoning) process:)",
    re.IGNORECASE | re.MULTILINE,
)


def amid(raw: str) -> str | None:
    """A heading in the middle of a reply without marks that only a thought has."""
    heading = _AMID.search(raw)
    return heading[0].strip() if heading and not fenced(raw, heading.start(), 0) else None


def paired(raw: str) -> str | None:
    """Words in the middle of a reply that open a thought, with others behind them that close it."""
    for family in FAMILIES.values():
        if family.start and not family.both:
            opens = re.search(rf"(?<=\n)(?:{family.opening})", raw, re.IGNORECASE)
            if opens and re.search(family.closing, raw[opens.end() :], re.IGNORECASE):
                return None if fenced(raw, opens.end(), 0) else opens[0].strip()[:40]
    return None
