"""A raw reply in pieces: what is reasoning, what is answer, and which marks stand between them. Pure.

Nothing is guessed and nothing is lost: what a reply lacks is None, the pieces put together again are the raw text
character for character, and what looks like the marks of a family that isn't known is told and left whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from unwaver.reasoning.families import FAMILIES, THINK, Family, tolerant
from unwaver.reasoning.foreign import ANSWERS, LEAD, closing, elements, foreign
from unwaver.reasoning.letters import alike
from unwaver.reasoning.quoting import fenced, hugged, introduced, mentioned
from unwaver.reasoning.spoken import amid, paired, sounds
from unwaver.records import Block

BEFORE = "text before the reasoning"
SEVERAL = "more than one block of reasoning"
LAYER = "marks of two families, one after the other"
CROSSED = "marks of two families: one's opens the reasoning, another's closes it"
UNCLOSED = "the reasoning is never closed, but the answer is marked as one"
FINALS = "more than one final message: all of them are read as the answer"
HEADING = "begins like a thought, without marks: all of it is read as the answer"
ELEMENT = "what may hold a thought is read as a part of the answer"
UNKNOWN = "marks that no known family has"
ALIKE = "marks in letters that only look like theirs"
RUNS_ON = "goes on behind the end of its turn: all of it is read as the answer"

_BLANK = " \t\r\n\ufeff\u200b"
_ONLY_BLANK = re.compile(f"[{_BLANK}]*")


@dataclass(frozen=True)
class Split:
    """A raw reply in pieces; `raw` puts them together again without loss."""

    before: str
    """What stood before the opening mark. Text there belongs to the answer: see `said`."""
    opener: str
    """The opening mark, or "" where the template had opened the block or there was none."""
    reasoning: str | None
    """The text of the block as it stood; None: no block."""
    closer: str
    """The closing mark, with the mark that opens the answer where there is one; or ""."""
    answer: str | None
    """What stands after the last closing mark; None: it was never reached."""
    block: Block
    after: str = ""
    """Marks at the end of the reply that are no part of the answer."""
    family: Family | None = None
    """By whose marks it was read; None: there were none."""
    note: str | None = None
    """What was odd about it; None: nothing."""

    @property
    def raw(self) -> str:
        """The reply it was made from."""
        return self.before + self.opener + (self.reasoning or "") + self.closer + (self.answer or "") + self.after

    @property
    def said(self) -> str | None:
        """All that was said outside the block, trimmed: what stood before it and after. None: nothing was, and the
        answer was never reached; or nobody can tell (`foreign`).
        """
        if self.block == "foreign":
            return None
        before = "" if self.reasoning is None else self.before.strip(_BLANK)
        pieces = [piece for piece in (before, (self.answer or "").strip()) if piece]
        return None if not pieces and self.answer is None else "\n\n".join(pieces)

    @property
    def thought(self) -> str | None:
        """The reasoning, trimmed; None: no block."""
        return None if self.reasoning is None else self.reasoning.strip()


def split(raw: str, opened: bool = False, family: Family | None = None) -> Split:
    """Read a raw reply, by its own marks or, where a `family` is given, by that family's alone.

    `opened` says that the generation prompt ended with the opening mark, so the reply begins inside the block.
    `block` tells what was found: `closed`; `unclosed` (begun, never ended: answer None); `none` (reasoning None, all
    of it answer); `several` (more than one block, or text before it); `foreign` (marks that can't be read: neither).
    A closing mark without an opening one is a closed block even when `opened` is False: servers strip the opener.
    A mark that the text only speaks of - in code, in quotation marks, within a sentence - is text.
    """
    found = _read(raw, opened, family)
    clear, odd = alike(raw)
    if odd and _has_more(_read(clear, opened, family), found):
        return _whole(raw, f"{ALIKE}: {odd}")
    if found.block == "none" and (mark := amid(raw)):
        return _whole(raw, f"{UNKNOWN}: {mark}")
    runs_on = found.note is None and _TURN.search(found.answer or "")
    return replace(found, note=RUNS_ON) if runs_on else found


def _whole(raw: str, note: str) -> Split:
    """A reply in which nobody can tell reasoning from answer."""
    return Split(raw, "", None, "", None, "foreign", note=note)


def _has_more(clear: Split, found: Split) -> bool:
    """Whether a reply has marks that are seen only where its tags are written plainly."""
    more = bool(clear.opener) > bool(found.opener) or bool(clear.closer) > bool(found.closer)
    return more or (clear.block in ("several", "foreign") and clear.block != found.block)


def _read(raw: str, opened: bool, family: Family | None) -> Split:
    if family is None:
        return _layered(_own(raw, opened))
    found = _by(raw, opened, family)
    if found.block == "unclosed":
        return _crossed(found, family)
    if found.block != "none":
        return found
    other = _own(raw, opened)
    if other.block == "foreign":
        return other
    if other.family is not None and other.family.both:
        return replace(found, note=HEADING)
    if other.block != "none" and other.family is not None:
        note = f"marks of the family `{other.family.name}`, where the recipe says `{family.name}`"
        return _whole(raw, note)
    return replace(found, note=other.note)


def _own(raw: str, opened: bool) -> Split:
    """The reading by whichever family's marks are used first."""
    if opened:
        read = [_by(raw, True, family) for family in _candidates(raw)]
        closed = next((one for one in read if one.block in ("closed", "several")), None)
        return closed or _crossed(_by(raw, True, THINK))
    read = [one for one in (_by(raw, False, family) for family in _candidates(raw)) if one.family is not None]
    if read:
        found = min(read, key=lambda one: (one.opener == "", len(one.before), one.answer is None, -len(one.opener)))
        return _crossed(found) if found.block == "unclosed" else found
    if mark := foreign(raw):
        return _whole(raw, f"{UNKNOWN}: {mark}")
    if mark := elements(raw) or paired(raw):
        return _plain(raw, None, f"{ELEMENT}: {mark}")
    return _plain(raw, None, HEADING if sounds(raw) else None)


@cache
def _any_mark() -> re.Pattern[str]:
    """Matches any mark of any family; the group's name is the family's."""
    rows = (family for family in FAMILIES.values() if family.headless)
    each = (
        f"(?P<{_group(one.name)}>{'' if one.start else one.opening + '|'}{one.closing}{_bare(one)})" for one in rows
    )
    return re.compile("|".join(each), re.IGNORECASE)


_SIGN_OF_A_MARK = re.compile(
    r"\\?[<\[]|[＜［◁]|&(?:amp;)?(?:lt|#0*60|#x0*3c);|\\u003c|\\x3c|%(?:3c|5b)|to=", re.IGNORECASE
)
"""Where a mark may begin: the many patterns are tried there alone, as texts are long."""


def _bare(family: Family) -> str:
    return f"|{tolerant(family.bare.strip())}" if family.bare else ""


@cache
def _group(name: str) -> str:
    return "f_" + name.replace("-", "_")


def _candidates(raw: str) -> list[Family]:
    """Families any of whose marks stand in a reply, in the order of the rows."""
    marks = (_any_mark().match(raw, sign.start()) for sign in _SIGN_OF_A_MARK.finditer(raw))
    groups = {mark.lastgroup for mark in marks if mark}
    return [f for f in FAMILIES.values() if _group(f.name) in groups or (f.start and _starts(raw, f))]


def _starts(raw: str, family: Family) -> bool:
    found = _start(family).match(raw)
    return found is not None and not (family.both and re.search(family.closing, raw[found.end() :], re.I) is None)


def _ends(raw: str, family: Family) -> bool:
    return family.headless and re.search(family.closing, raw, re.IGNORECASE) is not None


@cache
def _start(family: Family) -> re.Pattern[str]:
    return re.compile(rf"{LEAD}(?:{family.opening}{_bare(family)})", re.IGNORECASE)


# ---------------------------------------------------------------- one family


@dataclass
class _Scan:
    """Where the marks of one family that are used stand in a reply."""

    inside: bool
    begin: int | None
    """Where the block's text begins."""
    opener: tuple[int, int] | None = None
    closer: tuple[int, int] | None = None
    several: bool = False
    quoted: bool = False
    """A quoted opening mark waits for its closing one."""
    former: tuple[int, int] | None = None
    """The closing mark before a further block."""
    finals: int = 0
    """How many marks began an answer: channels may have several messages for whoever asked."""


def _by(raw: str, opened: bool, family: Family) -> Split:
    if family.start and not (opened or _starts(raw, family) or _ends(raw, family)):
        return _plain(raw, None)
    scan = _Scan(inside=opened, begin=0 if opened else None)
    for mark in family.marks.finditer(raw):
        (_inside if scan.inside else _outside)(scan, mark, family)
    return _pieces(raw, scan, family)


def _inside(scan: _Scan, mark: re.Match[str], family: Family) -> None:
    raw, (start, end) = mark.string, mark.span()
    if mark["close"] is not None:
        if family.tokens or not hugged(raw, start, end):  # nobody writes a special token to speak of it
            scan.inside, scan.closer, scan.finals = False, (start, end), 1
    elif scan.opener is None and _ONLY_BLANK.fullmatch(raw, 0, start):
        scan.opener, scan.begin = (start, end), end  # the template had opened the block, and the model did so again
    elif not (family.channels or hugged(raw, start, end) or mentioned(raw, start, end, False)):
        scan.several = True


def _outside(scan: _Scan, mark: re.Match[str], family: Family) -> None:
    raw, (start, end), closes = mark.string, mark.span(), mark["close"] is not None
    since = scan.closer[1] if scan.closer else 0
    used = not (hugged(raw, start, end) or mentioned(raw, start, end, closes) or fenced(raw, start, since))
    if closes:
        if scan.quoted or not used:
            scan.quoted = False
        elif family.channels and (scan.finals or _is_bare(raw, end, family)):
            scan.finals += 1
        elif scan.begin is None:
            if family.headless and not _is_bare(raw, end, family):
                scan.begin, scan.closer, scan.finals = 0, (start, end), 1
        elif not family.start:  # plain words may well be said again in an answer
            scan.several, scan.closer = True, (start, end)
    elif not used or (family.start and scan.begin is not None):
        scan.quoted = True
    elif scan.begin is None:
        scan.inside, scan.begin, scan.opener = True, end, (start, end)
    elif introduced(raw, start) and raw[since:start].strip():
        scan.quoted = scan.several = True
    else:
        scan.inside = scan.several = True
        scan.former = scan.closer


def _is_bare(raw: str, end: int, family: Family) -> bool:
    """The mark that ends at `end` begins a reply that has no reasoning."""
    return bool(family.bare) and _bare_start(family).fullmatch(raw, 0, end) is not None


@cache
def _bare_start(family: Family) -> re.Pattern[str]:
    return re.compile(f"{LEAD}{tolerant(family.bare.strip())}", re.IGNORECASE)


def _pieces(raw: str, scan: _Scan, family: Family) -> Split:
    finals = FINALS if scan.finals > 1 else None
    if scan.begin is None:
        return _plain(raw, family, finals)
    half = None if scan.opener or scan.begin else re.match(rf"\s*{tolerant(family.opens[1:])}", raw, re.IGNORECASE)
    if half is not None:
        scan.opener, scan.begin = half.span(), half.end()  # a server took its first sign
    begin = scan.opener[0] if scan.opener else scan.begin
    before, opener = raw[:begin], raw[begin : scan.begin]
    lead = re.fullmatch(LEAD, before, re.IGNORECASE)
    if lead is not None and before.strip(_BLANK):
        before, opener = "", before + opener
    early = bool(before.strip(_BLANK))
    several = scan.several or early or finals is not None
    note = finals or (SEVERAL if scan.several else BEFORE if early else None)
    if scan.inside:
        block: Block = "several" if several else "unclosed"
        return Split(before, opener, raw[scan.begin :], "", None, block, family=family, note=note)
    assert scan.closer is not None
    start, end = scan.closer
    lead_in, answer, after = _unwrapped(raw[end:], family)
    if scan.former and not answer.strip():  # nothing came behind the further block: it stays in the answer before it
        start, end = scan.former
        lead_in, answer, after = "", raw[end:], ""
    return Split(
        before,
        opener,
        raw[scan.begin : start],
        raw[start:end] + lead_in,
        answer,
        "several" if several else "closed",
        after=after,
        family=family,
        note=note,
    )


def _plain(raw: str, family: Family | None, note: str | None = None) -> Split:
    """A reply without reasoning. The marks that begin and end it are taken off."""
    found = _bare_start(family).match(raw) if family and family.bare else None
    start = found.end() if found else 0
    head, body, after = _bared(*_ended(raw[start:]))
    start += len(head)
    used = family if found else None
    if used and (ends := used.render_end.strip()) and body.endswith(ends):
        body, after = body.removesuffix(ends), ends + after
    return Split(raw[:start], "", None, "", body, "none", after=after, family=used, note=note)


# ---------------------------------------------------------------- round the answer

_TURN = re.compile(
    r"<\|im_start\|>\s*(?:user|human)\b|<\|start_header_id\|>\s*user\b|<[|｜]user[|｜]>|<start_of_turn>user\b|<\|turn>user\b"
    r"|<\|start\|>user\b|<\|USER_TOKEN\|>"
)
"""Where a template begins a turn of the user: a server without stop tokens lets a model write it."""

_WRAP = re.compile(
    rf"(?<!\s)\s*(?:(?:<|&lt;)\s*({ANSWERS})\s*(?:>|&gt;)"
    rf"|<[|｜](?:begin[_▁]of[_▁]|start[_▁](?:of[_▁])?)?({ANSWERS}|text)[|｜]>"
    rf"|\[({ANSWERS})\])",
    re.IGNORECASE,
)
_ENDS = re.compile(
    r"(?:(?<!\s)\s*(?:<[|｜](?:return|end|im_end|eot_id|eom_id|eot|eom|eos|endoftext|end_of_text|end▁of▁sentence|flush"
    r"|end_message|content_model_end_sampling|END_OF_TURN_TOKEN|end_of_turn|role_end|observation|user)[|｜]>|\[\|endofturn\|\]|\[e~\["
    r"|<end_of_turn>|<end_of_utterance>|<turn\|>|<eos>|(?-i:</s>))"
    r"|(?:(?<![ \t\n])|(?<=[ \t]\n))\n*<(?:sep|SPECIAL_\d+)>)+\s*\Z",
    re.IGNORECASE,
)
"""Behind a blank, `<sep>` may be what an answer speaks of. Begins nowhere within a run of blanks: one may be as long
as a reply is."""
_LED = re.compile(r"(?:\s*<\|end\|>)+(?!\s*<\|)|")
"""The end of a message that a server left before the answer."""
_BOX = re.compile(r"\s*<\|begin_of_box\|>((?:(?!<\|(?:begin|end)_of_box\|>).)*)<\|end_of_box\|>\s*", re.DOTALL)
_SENTENCE = re.compile(r"(?:[^\W\d_]{2,}\W+){3}[^\W\d_]|[^\W\d_]{2}[.!?。]\W*\Z")
"""What GLM puts round an answer. Round a bare result it stays, for that is what a grader looks for."""


def _ended(text: str) -> tuple[str, str]:
    """(text, the end tokens behind it that a server left in)."""
    found = _ENDS.search(text)
    if found is None or ("</s>" in found[0] and "<s>" in text):
        return text, ""
    return text[: found.start()], found[0]


def _bared(text: str, after: str) -> tuple[str, str, str]:
    """(marks before the answer, the answer, marks behind it) of a text that no family's marks stand round."""
    led = _LED.match(text)
    start = led.end() if led else 0
    box = _BOX.fullmatch(text, start)
    if box is None or _SENTENCE.search(box[1]) is None:
        return text[:start], text[start:], after
    return text[: box.start(1)], box[1], text[box.end(1) :] + after


def _unwrapped(text: str, family: Family | None) -> tuple[str, str, str]:
    """(mark that opens the answer, answer, marks that close it). Marks round a part of the answer are its own."""
    body, after = _ended(text)
    marked = family is not None and (family.answer_open or family.render_end.strip())
    own = re.match(rf"\s*{tolerant(family.answer_open)}", body, re.I) if family and marked else None
    found = _WRAP.match(body)
    if own is not None and family is not None:
        close, start = tolerant(family.render_end.strip()) or r"\Z", own.end()
    elif found is not None:
        name, start = re.escape(next(group for group in found.groups() if group)), found.end()
        close = rf"(?:<|&lt;)\s*/\s*{name}\s*(?:>|&gt;)|<[|｜](?:/|end[_▁](?:of[_▁])?){name}[|｜]>|\[/{name}\]"
    else:
        return _bared(body, after)
    ends = [end for end in re.finditer(close, body[start:], re.I) if end[0]]
    if not ends:
        return body[:start], body[start:], after
    if body[start + ends[-1].end() :].strip():
        return "", body, after
    at = start + ends[-1].start()
    return body[:start], body[start:at], body[at:] + after


# ---------------------------------------------------------------- several families, and unknown ones


def _crossed(found: Split, strict: Family | None = None) -> Split:
    """The reading of a block that its own family's mark never closes, by what else ends it: another family's mark, one
    of nobody, or the one that begins the answer. Another's mark can't be read where one family is asked for.
    """
    text = found.reasoning or ""
    others = (_by(text, False, family) for family in _candidates(text) if family != found.family and family.headless)
    headless = [one for one in others if one.closer and not one.opener]
    ends = min(headless, key=lambda one: len(one.reasoning or ""), default=None)
    if ends is not None and strict is not None:
        return _whole(found.raw, CROSSED)
    if ends is None and (mark := closing(text)):
        return _whole(found.raw, f"{UNKNOWN}: {mark}")
    ends = ends or _answered(text)
    if ends is None:
        return found
    note = UNCLOSED if ends.family is None else CROSSED
    pieces = {name: getattr(ends, name) for name in ("reasoning", "closer", "answer", "after")}
    return replace(found, block="several" if found.block == "several" else "closed", note=note, **pieces)


def _answered(text: str) -> Split | None:
    """The reading of a thought that goes over into an answer between the marks of one."""
    for mark in reversed(list(_WRAP.finditer(text))):
        start = mark.end() - len(mark[0].lstrip())
        spoken = hugged(text, start, mark.end()) or mentioned(text, start, mark.end(), False) or fenced(text, start, 0)
        lead_in, answer, after = ("", "", "") if spoken else _unwrapped(text[start:], None)
        if lead_in:
            return Split("", "", text[:start], lead_in, answer, "closed", after=after)
    return None


def _layered(found: Split) -> Split:
    """The reading where the answer begins with another family's block: that is no answer yet. What else in the answer
    may hold a thought is told.
    """
    if found.block not in ("closed", "several") or found.answer is None:
        return found
    inner = _own(found.answer, False)
    if inner.block == "foreign":
        return _whole(found.raw, inner.note or "")
    if inner.family is not None and inner.family.both:
        return found
    if inner.reasoning is None:
        return replace(found, note=found.note or inner.note)
    in_words = inner.family is not None and inner.family.start and inner.answer is None
    if in_words or not inner.opener or inner.before.strip(_BLANK):
        mark = (inner.opener or inner.closer).strip()[:40]
        return replace(found, note=found.note or f"{ELEMENT}: {mark}")
    gap = found.closer + inner.before + inner.opener
    joined = (found.reasoning or "") + gap + inner.reasoning
    return replace(
        found,
        reasoning=joined,
        closer=inner.closer,
        answer=inner.answer,
        after=inner.after + found.after,
        block="several",
        note=LAYER,
    )
