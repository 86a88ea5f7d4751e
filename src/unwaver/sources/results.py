"""Bare results beside the text that led to them, and labels: in many files `answer` is one of these and no reply.

Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from unwaver.parts import thought
from unwaver.sources.files import RawRow

RESULT_LONGEST, RESULT_RATIO = 60, 4
"""An `answer` of at most so many characters, beside a text so many times as long, may be a bare result."""

RESULT = re.compile(r"(?:[^\W\d_](?![^\W\d_])|[^A-Za-z]|\\[A-Za-z]+)*")
"""What is surely one: numbers, single letters, formulas; no word."""

SOLUTIONS = re.compile(
    r"(\w+_)?(solutions?|generations?|explanations?|rationales?|attempts?|steps|predictions?)|generated(_\w+)?|output_text"
    r"|\w*(model|llm|raw|full|long|whole|complete|final|assistant)\w*_(outputs?|responses?|answers?|completions?|texts?)"
)
"""Columns of whole replies or solutions, beside which any short `answer` is one."""

GIVEN = re.compile(r"(gold|golden|ref|reference|ground_truth|true|correct|expected|target|official|human)_\w+")
"""Of these those that were given and not replied: a short `response` beside them is the reply all the same."""

SENTENCE = re.compile(r"\S+\s+\S+\s+\S+\s+\S|[.!?。]\W*\Z")
"""More than three words, or the end of a sentence."""

LABEL = re.compile(
    r"(?!(?:yes|no|ok|okay)\Z)(?!.*[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff])(?:[\w/+-]{2,40}|\d)", re.IGNORECASE
)
"""A word alone, without the end of a sentence; nobody can tell yes and no from a reply, nor a word from a sentence in
scripts without blanks."""

VERDICT = re.compile(
    r"(?:\d_?)?(?:(?:full|fully|partial|direct|hard|soft|over|non|not|is)[_-]?)?(?:un)?(?:refus(?:al|ed|es?|ing)|compl(?:iance|"
    r"iant|ied|ies|y|ying)|safe|harm(?:ful|less)|benign|toxic|jailbr(?:eak|oken)|blocked|allowed|accept(?:ed)?|reject(?:ed)?"
    r"|pass(?:ed)?|fail(?:ed|ure)?|success(?:ful)?|answer(?:ed)?|malicious|borderline|true|false|correct|incorrect)",
    re.IGNORECASE,
)
"""Words that are surely one, were there but few of them."""

LABELS_MOST, LABELS_REPEAT = 8, 5
"""So many different words, each so many times on average, are labels whatever they say."""


def labels(words: Counter[str], replies: int) -> list[str]:
    """The few words of which at least half of the replies consist and which look like labels, the most frequent first;
    `words`: how often which reply is a word alone."""
    few = len(words) <= LABELS_MOST and 0 < replies <= 2 * words.total()
    known = all(VERDICT.fullmatch(word) for word in words)
    return [word for word, _ in words.most_common()] if few and (known or _repeated(words)) else []


def _repeated(words: Counter[str]) -> bool:
    return words.total() >= LABELS_REPEAT * max(len(words), 2)


def longer(row: RawRow, names: Mapping[str, tuple[str, ...]], column: str, answer: str | None) -> str | None:
    """The column of a text beside which an answer looks like a bare result; None where it is a reply.

    Beside an `answer` that is surely one any text may be the reply; a `response` is one but for a whole solution or
    another column of replies.
    """
    known = {name for field, columns in names.items() if field != "response" for name in columns} | {column}
    if answer is None or len(answer) > RESULT_LONGEST or any(thought(row.get(name)) for name in names["reasoning"]):
        return None
    sure = RESULT.fullmatch(answer) is not None
    if column == "answer":
        texts = {name: length(row[name]) for name in row if _solves(name) or (sure and _any_text(name, known))}
    elif sure or SENTENCE.search(answer) is None:
        beside = {*names["response"]} - {column}
        texts = {name: length(row[name]) for name in row if (_solves(name) and not _given(name)) or name in beside}
    else:
        return None
    longest = max(texts, key=lambda name: texts[name], default=None)
    return longest if longest is not None and texts[longest] >= RESULT_RATIO * max(len(answer), 1) else None


def _solves(name: str) -> bool:
    return SOLUTIONS.fullmatch(str(name).lower()) is not None


def _given(name: str) -> bool:
    return GIVEN.fullmatch(str(name).lower()) is not None


def _any_text(name: str, known: set[str]) -> bool:
    """Whether a column is one that we have no name for, and no field of an object."""
    return str(name).lower() not in known and "." not in str(name)


def length(value: Any) -> int:
    """Characters of a column's text, or of the first of its texts."""
    value = value[0] if isinstance(value, list) and value else value
    return len(value) if isinstance(value, str) and " " in value.strip() else 0
