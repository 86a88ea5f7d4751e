"""Where the final answer of a reply stands: a box, or what is said to be the answer, or the last value.

Takes a whole answer text; gives the readings its final answer may have, the plainest first. Guarantees: every reading
is made of what stands in its `quote`, which is verbatim; a number that is a part of an expression is never taken by
itself; text behind an end-of-turn token is not read; time grows with the text. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

BOXED = "boxed"
STATED = "no box; taken from what is stated as the answer"
LAST_NUMBER = "no box; taken from the last number"
LAST_EXPRESSION = "no box; taken from the last expression"


class Answer(NamedTuple):
    """One reading of a final answer."""

    text: str
    """What is compared."""
    quote: str
    """As it stands in the reply."""
    where: str
    """Where it was found; all but `boxed` are lenient."""


class TextSpan(NamedTuple):
    """A stretch of a text and what it holds."""

    start: int
    end: int
    inner: str


_END_OF_TURN = re.compile(
    r"<[|｜](?:im_end|im_start|eot_id|endoftext|end_of_text|end_of_solution|end▁of▁sentence|end|user)[|｜]>|</s>|<end_of_turn>"
)
_NEXT_QUESTION = re.compile(r"(?<=\s)(?:\*\*)?(?:Question|Problem|Q|Human|User|Exercise)\b[ \d.]*(?:\*\*)?:")
"""A question of its own where a blank line stands before it: looked for behind, as a reply may be blank lines alone."""
_TAGGED = re.compile(
    r"(?:<(?P<tag>answer|final(?:[_ ]answer)?|result)>(.*?)(?:</(?P=tag)>|\Z)|\["
    r"(?P<box>answer|final(?:[_ ]answer)?)\](.*?)"
    r"(?:\[/(?P=box)\]|\Z))",
    re.DOTALL | re.IGNORECASE,
)
_TAG = re.compile(
    r"</?(?:answer|final(?:[_ ]answer)?|result|solution)>|\[/?(?:answer|final(?:[_ ]answer)?)\]|<\|"
    r"(?:begin|end)_of_(?:solution|answer)\|>",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\f?boxed\s*")
_GLM_BOX = re.compile(r"<\|begin_of_box\|>(.*?)<\|end_of_box\|>", re.DOTALL)
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_JOINED = re.compile(r"[,;&]|\\q?quad|\b(?:and|or)\b")
_SET_OFF = re.compile(r"(?:[\s$*_~•,;&-]|\\[()\[\]]|\n[ \t]*\(?\d[.)]|(?<=[\s$(\[])[A-Za-z](?:_\{?\w\}?)?\s*=)*")
"""What stands between the boxes of a list: marks of print, numbers of items, names of what is boxed; no word."""
_CORRECTED = re.compile(
    r"\n\s*\n|[.!?](?:\$|\\\)|\\\])*\s+[A-Z]|\b(?:no|not|wrong|wait|actually|instead|rather|but|correct\w*|incorrect|mistake|so|"
    r"then|thus|hence|therefore|gives?|first)\b|=\s*\S+\s*=|\\implies|\\Rightarrow",
    re.IGNORECASE,
)
_STATED = re.compile(
    r"####|\banswer\b[*_]*(?:\s+(?:to|of|for|in)\s[^.:=\n]{1,80}?)?\s*(?:is\b|:|=|equals\b|(?:should|would) be\b)"
    r"[\s:*_]*|(?:答案|正解|答え|정답|답)(?:应该|应)?(?:是|为|為|は|은|는|[:：])+[\s:：*_]*",
    re.IGNORECASE,
)
_DISPLAYED = re.compile(r"\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]|(?<!\\)\$\$(.{1,2000}?)\$\$", re.DOTALL)
_DOLLAR = re.compile(r"(?<!\\)\$")
_PLAIN_WORD = re.compile(
    r"\\[a-zA-Z]+(?:\s*\{[^{}]*\})?|(?<![a-zA-Z\\])(?!odd|even|yes|no\b|true|false)([a-z]{4,}|[A-Z][a-z]{3,})"
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_VERB = re.compile(r"\b(?:is|are|equals?|be|was|were)\b(?:\s+(?:equal to|given by))?:?\s*", re.IGNORECASE)
_HOLDS_A_VALUE = re.compile(r"[\d$\\]")
_HEDGE = re.compile(
    r"(?:(?:that|there|therefore|thus|hence|so|simply|just|exactly|precisely|only|approximately|about|roughly|around|option|choice"
    r"|equal to|now|the (?:number|value))\b[\s,:]*|[\"'*_`\u201c\u201d]+)+",
    re.IGNORECASE,
)
_SIGN = re.compile(
    r"\b(?:(?P<both>plus(?:\s+or\s+|[ /-]{1,3})minus)|(?P<minus>minus)|negative)[*_\"']*\s+[*_\"']*"
    r"(?=[$€£]?[\d.]|[$\\√π(])",
    re.IGNORECASE,
)
"""A sign in words; `minus` is one behind nothing that it could be taken from (`_MAY_BE_SIGNED`)."""
_MAY_BE_SIGNED = re.compile(
    r"(?:\A|[=:,;(.!?\n]|\b(?:is|are|be|was|equals?|to|of|at|gives?|get|or|and|exactly|about|approximately))[\s*_]*\Z",
    re.IGNORECASE,
)
_COMPARES = r"(?:more|less|fewer|greater|larger|bigger|smaller|higher|lower|other|different)"
_DENIES = r"(?:not|n['\u2019]t|cannot|never|might|could|may|neither|nor)"
_OF_IT = (
    r"(?:roots?|squares?|cubes?|factorial|logarithm|log|exponential|reciprocal|inverse|negation|negative|opposite|complement"
    r"|absolute value|multiples?|divisors?|factors?|powers?|sine|cosine|tangent|sin|cos|tan)"
)
_ALTERS = (
    rf"(?:at (?:least|most)|(?:{_COMPARES}|rather) (?:than|from)(?: or equal to)?|up to|above|below|under|over|beyond"
    r"|exceed(?:s|ing)?|between|either|(?:any\w*|all|every\w*) but|except(?: for)?|excluding|maybe|perhaps|possibly"
    rf"|{_DENIES}(?: (?:be|equal|is|exceed))?"
    rf"|{_OF_IT}(?: base \S{{1,9}})? of(?: the)?|plus|times|divided by|multiplied by|modulo|mod)"
)
_ALTERED = re.compile(
    rf"(?:\b{_ALTERS}|n['\u2019]t(?: be| equal)?|[\d$)}}],?\s+(?:and|or)|\bfrom\s+\S{{1,20}}\s+to)[\s*_\"':]+\Z",
    re.IGNORECASE,
)
"""What stands before a number that the sentence therefore doesn't state: it bounds, denies, doubts or works on it."""
_ALTERED_BEHIND = re.compile(
    rf"[\s*_\"',]*\b(?:factorial|or {_COMPARES}|and (?:up|above|over|more)|at (?:least|most)|raised to|below zero"
    rf"|(?:is|are|was) (?:not|wrong|incorrect)\b|(?:is|are|was)n['\u2019]t\b|{_DENIES} be\b"
    rf"|to the (?:\w+ )?power|(?:and|or|plus|minus|times|over|divided by|multiplied by|to|{_COMPARES} than)"
    r"\s+[*_\"']*[$\\]?\d)",
    re.IGNORECASE,
)
"""The same behind it."""
_OPENS_ALTERED = re.compile(rf"(?:the\s+)?(?:square\s+|cube\s+)?{_ALTERS}\b", re.IGNORECASE)
LOOKED_BACK = 60
"""Characters before a value in which what alters it stands."""
_DOUBTED_VERB = re.compile(rf"(?:\b{_DENIES}|n['\u2019]t)\s+\Z", re.IGNORECASE)
_ASIDE = re.compile(r"\s*\((?:[a-z]{2,}[ -]?)+\)\s*$|[\"'*_`\u201c\u201d\s]+$")
_SCALE = r"(?:hundred|thousand|million|billion|trillion|dozen)\b"
_COUNTED = re.compile(
    rf"([-+]?[$€£]?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?(?:\s+{_SCALE})*)\s+(?!{_SCALE})(?:[A-Za-z]{{2}}|I\b)"
)
_ONLY_LISTS = re.compile(r"(?:\s|,|;|\band\b|\bor\b|[\"'*_])*")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.?\d+)?(?:/\d+)?%?")
_FUNCTION = r"\\?(?:(?:arc)?(?:sin|cos|tan|cot)h?|(?<=\\)(?:sec|csc)|log|ln|lg|exp|sqrt|operatorname\{\w{1,20}\})"
_OF_ONE = rf"(?<![A-Za-z]){_FUNCTION}(?:[_^](?:\{{[^{{}}]{{0,40}}\}}|\w{{1,9}}))* {{1,3}}(?=[\d\\])"
_WORDED = r"\\(?:text|mathrm|mbox)\{[^{}]{0,60}\}"
_TIMES_IT = rf"(?<!\w)\d{{1,9}}(?:\.\d{{1,9}})? {{1,3}}(?={_FUNCTION}\b|{_WORDED}|\\[dt]?frac|\\pi|[√π])"
_OF_TWO = r"(?<!\w)\d{1,9} {1,3}(?:choose {1,3}(?=\d)|\(?\\?[bp]?mod(?: {1,3}(?=\d)|(?=\{)))"
_FRACTION = r"\\[dtc]?frac {1,3}(?:\{[^{}]{0,40}\}|\w) {0,3}(?:\{[^{}]{0,40}\}|\w)"
_PRODUCT = r"(?<=[\d)}]) {1,3}\*{1,2} {1,3}(?=[-\d(\\])"
_CHUNK = re.compile(
    rf"(?:[(\[][-+\d.,;:/ ^*√π]{{1,60}}[)\]]|{_OF_ONE}|{_TIMES_IT}|{_OF_TWO}|{_WORDED}|{_FRACTION}|{_PRODUCT}"
    rf"|(?<=\d) {{1,3}}{_SCALE}|\S)+"
)
"""What stands between blanks; brackets round numbers hold together, and so does a function with what it is of."""
_OPERATOR = re.compile(r"[-+*/=<>^×·≤≥≠]|\\(?:cdot|times|le|ge|leq|geq|pm|ne|neq|div|frac|cup)")
_SUBTRACTED_FROM = re.compile(r".*[\d)}]|\\pi|[-+\d.]*(?:[b-z]|π)(?:\^\S+)?")
_TERM = re.compile(r"[\d.]*(?:\d|[b-z](?![A-Za-z])|[π√\\(])")
_OPERATES = re.compile(rf"(?:{_OPERATOR.pattern})+")
_PARTS = {"half": "2", "third": "3", "quarter": "4", "fourth": "4", "fifth": "5", "tenth": "10"}
_TIMES = {"twice": "2", "double": "2", "two times": "2", "thrice": "3", "triple": "3", "three times": "3",
          "four times": "4", "five times": "5", "ten times": "10"}  # fmt: skip
_BEGINS = r"(?<!\d)(?<!\d,)(?<!,,)"
"""A number is looked for where it begins alone: at each of its digits, a long list would be gone through once more."""
_AMOUNT = rf"[-+]?[$€£]?(?P<of>{_BEGINS}\d[\d,]*(?:\.\d+)?(?:/\d+)?(?: {{1,3}}{_SCALE})?|\$[^$\n]{{1,60}}\$)"
_IN_WORDS = re.compile(
    rf"\b(?:(?P<count>a|one|two|three|four|five)\s+)?(?P<part>{'|'.join(_PARTS)})s?\s+of\s+{_AMOUNT}"
    rf"|\b(?P<times>{'|'.join(_TIMES)})\s+(?:as much as\s+|that of\s+|of\s+)?{_AMOUNT.replace('<of>', '<what>')}"
    rf"|{_AMOUNT.replace('<of>', '<base>')}\s+(?P<power>squared|cubed)\b"
    rf"|(?P<share>(?<!\d)\d+(?:\.\d+)?)\s*(?:%|\\%|percent|per cent)\s+of\s+{_AMOUNT.replace('<of>', '<whole>')}",
    re.IGNORECASE,
)
"""An expression of which words are a part: `half of 7`, `twice 5`, `5 squared`, `20 % of 50`."""
_COUNTS = {"a": "1", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5"}
_NO_VALUE = re.compile(r"[A-Za-z]{2,}\S*\d\S*|\d+(?:st|nd|rd|th|D)|[A-Za-z]\d+|(?:https?:|www\.)\S*")


def final_answer(text: str) -> tuple[str, str] | None:
    """The final answer as it stands in `text`, and where it was found; None where there is none."""
    found = answers(text)
    return (found[0].quote, found[0].where) if found else None


def answers(text: str) -> list[Answer]:
    """The readings of the final answer; empty where there is none.

    The last complete box, and the boxes it stands in a row with; where there is no box at all, what stands in answer
    tags or follows the last "answer is" or "####"; else the last formula or number.
    """
    text = _spoken(text)
    if boxes := _boxes(text):
        return _boxed(text, boxes)
    tagged = list(_TAGGED.finditer(text))
    if tagged and (inner := (tagged[-1][2] or tagged[-1][4] or "").strip()):
        return [
            one._replace(quote=_verbatim(one.quote, text)) for one in _stated(inner) or _said(inner) or _last(inner)
        ]
    blanked = _TAG.sub(lambda tag: " " * len(tag[0]), text)
    found = _stated(blanked) or _last(blanked)
    return [one._replace(quote=_verbatim(one.quote, text)) for one in found]


def _verbatim(quote: str, text: str) -> str:
    """The quote, or, where a tag stood in its midst, the last part of it that stands in the text."""
    return quote if quote in text else next(part for part in reversed(["", *re.split(r" {2,}", quote)]) if part in text)


def _spoken(text: str) -> str:
    """The text up to where the turn of the model ends: at a token that ends turns, or, once it has given an answer,
    where it goes on with a question of its own. What it says for others is no answer."""
    begun = len(text) - len(text.lstrip())
    end = next((token.start() for token in _END_OF_TURN.finditer(text) if token.start() > begun), len(text))
    text = text[:end]
    for question in _NEXT_QUESTION.finditer(text):
        before = text[: question.start()].rstrip()
        if text.count("\n", len(before), question.start()) > 1:
            before = text[: text.index("\n", len(before))]
            return before if _boxes(before) or _STATED.search(before) else text
    return text


# ---- boxes


def _boxes(text: str) -> list[TextSpan]:
    """Every complete box, in the order in which they end."""
    starts = list(_BOX.finditer(text))
    closings = _closings(text) if starts else {}
    found = [TextSpan(box.start(), box.end(), box[1].strip()) for box in _GLM_BOX.finditer(text)]
    for box in starts:
        at = box.end()
        if at in closings:
            found.append(TextSpan(box.start(), closings[at] + 1, text[at + 1 : closings[at]].strip()))
        elif not text.startswith("{", at) and (bare := re.compile(r"[^\s$.,]+").match(text, at)):
            found.append(TextSpan(box.start(), bare.end(), bare[0]))
    return sorted(found)


def _closings(text: str) -> dict[int, int]:
    """Where each opened brace is closed, in one pass: a model that repeats itself may open thousands of boxes."""
    closings: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACES.finditer(text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif brace[0] == "}" and opened:
            closings[opened.pop()] = brace.start()
    return closings


def _boxed(text: str, boxes: list[TextSpan]) -> list[Answer]:
    last = boxes[-1]
    readings = [Answer(last.inner, last.inner, BOXED)]
    row = [last]
    for box in reversed(boxes[:-1]):
        between = text[box.end : row[0].start]
        if box.end > row[0].start or len(between) > 80:
            break
        if not _SET_OFF.fullmatch(between) and (_CORRECTED.search(between) or not _JOINED.search(between)):
            break
        row.insert(0, box)
    if len(row) > 1:
        together = ", ".join(box.inner for box in row)
        readings.append(Answer(together, text[row[0].start : last.end], BOXED))
    return readings


# ---- what is said to be the answer


def _stated(text: str) -> list[Answer]:
    for mark in reversed(list(_STATED.finditer(text))):
        rest = text[mark.end() :].lstrip()
        maths = next(_maths(rest), None)
        if maths and not rest[: maths.start].strip(" *_\"'"):
            line = rest[: maths.end] + rest[maths.end :].split("\n")[0]
        else:
            line = rest.split("\n")[0]
        if found := _said(_sentence(line)):
            return found
    return []


def _sentence(line: str) -> str:
    """Its first sentence; full stops inside formulas end none."""
    formulas = list(_maths(line))
    for end in _SENTENCE_END.finditer(line):
        if end.start() and not any(maths.start <= end.start() < maths.end for maths in formulas):
            return line[: end.start()]
    return line


def _said(sentence: str) -> list[Answer]:
    """The readings of what is said to be the answer: all of it behind its last verb, then a formula or number in it."""
    formulas = list(_maths(sentence))
    verbs = [
        verb
        for verb in _VERB.finditer(sentence)
        if not any(maths.start <= verb.start() < maths.end for maths in formulas)
        and not _DOUBTED_VERB.search(sentence, max(0, verb.start() - LOOKED_BACK), verb.start())
    ]
    said = sentence
    if verbs:
        behind = sentence[verbs[-1].end() :]
        one_word = re.fullmatch(r"[\s*_\"'(]*\w+[\s*_\"').]*", behind)
        if _HOLDS_A_VALUE.search(behind) or (one_word and not _HOLDS_A_VALUE.search(sentence)):
            said = behind
    if hedge := _HEDGE.match(said.lstrip()):
        said = said.lstrip()[hedge.end() :]
    said = _ASIDE.sub("", said).strip(" *.。")
    if not said:
        return []
    if sign := _SIGN.match(said):
        return [_negated(one, sign) for one in _said(said[sign.end() :]) if said.startswith(one.quote, sign.end())]
    formulas = list(_maths(said))
    bare = _ONLY_LISTS.fullmatch(_blanked(said, formulas)) if formulas else None
    if len(formulas) > 1 and bare:
        return [Answer(re.sub(r"\$|\\[()\[\]]", " ", said), said, STATED)]
    if formulas and (bare or not said[: formulas[0].start].strip()) and not _altered(said, formulas[0]):
        quote = said[formulas[0].start : formulas[0].end]
        return [Answer(formulas[0].inner, quote, STATED)]
    if (worded := _in_words(said)) and not said[: worded.start].strip():
        return [Answer(worded.inner, said[worded.start : worded.end], STATED)]
    readings = [Answer(said, said, STATED)]
    counted = _COUNTED.match(said)
    if _OPENS_ALTERED.match(said) or (counted and _ALTERED_BEHIND.match(said, counted.end(1))):
        return readings
    if counted:
        readings.append(Answer(counted[1], counted[1], STATED))
    elif " " in said and _PLAIN_WORD.search(said):
        readings += [answer._replace(where=STATED) for answer in _last(said)]
    return readings


def _negated(one: Answer, sign: re.Match[str]) -> Answer:
    """What was read behind a sign in words, with it."""
    mark = r"\pm " if sign["both"] else "-"
    text = f"{mark}{one.text}" if re.match(r"[\d.]", one.text) else f"{mark}({one.text})"
    return one._replace(text=text, quote=f"{sign[0]}{one.quote}")


def _altered(text: str, value: TextSpan) -> bool:
    """Whether a word beside a value makes the sentence state something else: `at least 5`, `5 factorial`, `3 or 5`."""
    before = text[max(0, value.start - LOOKED_BACK) : value.start]
    return bool(_ALTERED.search(before) or _ALTERED_BEHIND.match(text, value.end))


# ---- the last value


def _in_words(text: str) -> TextSpan | None:
    """The last expression of which words are a part, as a formula."""
    found = next(reversed(list(_IN_WORDS.finditer(text))), None)
    if found is None:
        return None
    amount = next(group for group in found.group("of", "what", "base", "whole") if group).strip("$ ")
    if found["part"]:
        count = _COUNTS[(found["count"] or "a").lower()]
        inner = rf"\frac{{{count}}}{{{_PARTS[found['part'].lower()]}}} \cdot ({amount})"
    elif found["times"]:
        inner = rf"{_TIMES[found['times'].lower()]} \cdot ({amount})"
    elif found["power"]:
        inner = f"({amount})^{2 if found['power'].lower() == 'squared' else 3}"
    else:
        inner = rf"\frac{{{found['share']}}}{{100}} \cdot ({amount})"
    return TextSpan(found.start(), found.end(), inner)


def _maths(text: str) -> Iterator[TextSpan]:
    r"""The formulas between `$`, `$$`, `\(` or `\[`. Between two amounts of money stand words, which are none."""
    at = 0
    displayed = {found.start(): found for found in _DISPLAYED.finditer(text)}
    dollars = [found.start() for found in _DOLLAR.finditer(text)]
    starts = sorted({*displayed, *dollars})
    following = dict(pairwise(dollars))
    for start in starts:
        if start < at:
            continue
        if found := displayed.get(start):
            at = found.end()
            yield TextSpan(start, at, next(group for group in found.groups() if group).strip())
        elif start in following and _formula(inner := text[start + 1 : following[start]]):
            at = following[start] + 1
            yield TextSpan(start, at, inner.strip())


def _formula(inner: str) -> bool:
    return bool(inner.strip()) and not any(word[1] for word in _PLAIN_WORD.finditer(inner))


def _blanked(text: str, spans: list[TextSpan]) -> str:
    edges = [0, *(edge for span in spans for edge in span[:2]), len(text)]
    return "".join(text[x:y] if place % 2 == 0 else " " * (y - x) for place, (x, y) in enumerate(pairwise(edges)))


def _last(text: str) -> list[Answer]:
    """The last formula, or the last number or expression outside of all, whichever comes later.

    A formula that is a mere name comes after any that holds a number.
    """
    text = _BOX.sub(lambda box: " " * len(box[0]), text)
    worded = _in_words(text)
    if worded is not None and not re.search(r"[\d$\\]", text[worded.end :]):
        return [Answer(worded.inner, text[worded.start : worded.end], LAST_EXPRESSION)]
    formulas = [span for span in _maths(text) if span.inner.strip()]
    value = _last_value(_blanked(text, formulas))
    weighty = [maths for maths in formulas if not re.fullmatch(r"\\?[A-Za-z]+(?:_\S+)?", maths.inner)] or (
        [] if value else formulas
    )
    if weighty and (value is None or weighty[-1].start > value.start):
        return _as_it_stands(text, weighty[-1], text[weighty[-1].start : weighty[-1].end])
    if value is None:
        word = text.strip(" \n*.\"'`")
        return [Answer(word, word, LAST_EXPRESSION)] if re.fullmatch(r"\S{1,40}", word) else []
    return _as_it_stands(text, value, value.inner)


def _as_it_stands(text: str, value: TextSpan, quote: str) -> list[Answer]:
    """A value with the sign that stands before it in words; nothing where another word alters it."""
    one = Answer(value.inner, quote, LAST_NUMBER if _NUMBER.fullmatch(value.inner) else LAST_EXPRESSION)
    begun = max(0, value.start - LOOKED_BACK)
    sign = next((sign for sign in _SIGN.finditer(text, begun, value.end) if sign.end() == value.start), None)
    if sign is None:
        return [] if _altered(text, value) else [one]
    taken_away = sign["minus"] and not _MAY_BE_SIGNED.search(text[begun : sign.start()])
    whole = TextSpan(sign.start(), value.end, value.inner)
    return [] if taken_away or _altered(text, whole) else [_negated(one, sign)]


def _last_value(text: str) -> TextSpan | None:
    """The last number outside of formulas, with all that makes it an expression."""
    chunks = [_trimmed(text, chunk.start(), chunk.end()) for chunk in _CHUNK.finditer(text)]
    for number in range(len(chunks) - 1, -1, -1):
        inner = chunks[number].inner
        if (re.search(r"\d", inner) or re.search(r"\\[a-z]+", inner)) and not _NO_VALUE.fullmatch(inner):
            first = last = number
            while first and (_joins(chunks[first - 1].inner, chunks[first].inner) or _taken_away(text, chunks[:first])):
                first -= 1
            while last + 1 < len(chunks) and (
                _joins(chunks[last].inner, chunks[last + 1].inner)
                or (_TERM.match(chunks[last + 1].inner) and _taken_away(text, chunks[: last + 1]))
            ):
                last += 1
            while last > number and _OPERATES.fullmatch(chunks[last].inner):
                last -= 1
            start, end = chunks[first].start, chunks[last].end
            money = start < end and text[start] in "$€£" and last == first
            return TextSpan(start + money, end, text[start + money : end].rstrip("$€£" if first == last else ""))
    return None


def _taken_away(text: str, before: list[TextSpan]) -> bool:
    """Whether what comes next is taken from a number: a lone minus stands before it, and a number before that on its
    line. At the beginning of a line, or behind words, it is a dash."""
    if len(before) < 2 or before[-1].inner != "-" or "\n" in text[before[-2].end : before[-1].start]:
        return False
    return bool(_SUBTRACTED_FROM.fullmatch(before[-2].inner)) and not _NO_VALUE.fullmatch(before[-2].inner)


def _joins(left: str, right: str) -> bool:
    """Whether two words belong to one expression: an operator stands between them, or a blank among thousands."""
    if re.fullmatch(r"\d{1,3}(?: \d{3})*", left) and re.fullmatch(r"\d{3}(?:\.\d+)?", right):
        return True
    if re.fullmatch(r"[-•*]", left) and not re.search(r"[A-Za-z]{2}", right):
        return False
    ends, begins = re.search(rf"(?:{_OPERATOR.pattern})$", left), re.match(_OPERATOR.pattern, right)
    plain = [re.sub(r"\\[a-zA-Z]+", "", side) for side in (left, right)]
    return bool(ends or begins) and not any(re.search(r"[A-Za-z]{2,}", side) for side in plain)


def _trimmed(text: str, start: int, end: int) -> TextSpan:
    """A word without the marks of sentences and of print round it, and without brackets that it does not pair."""
    while start < end and text[start] in "*_\"'`,;:!?\u201c\u201d":
        start += 1
    while start < end and (
        text[end - 1] in "*_\"'`,.;:!?\u201c\u201d" or (text[end - 1] == "\\" and text[start] != "\\")
    ):
        end -= 1
    for opening, closing in ("()", "[]", "{}"):
        inner = text[start:end]
        surplus = inner.count(opening) - inner.count(closing)
        while surplus > 0 and text.startswith(opening, start, end):
            start, surplus = start + 1, surplus - 1
        while surplus < 0 and text.endswith(closing, start, end):
            end, surplus = end - 1, surplus + 1
    return TextSpan(start, end, text[start:end])
