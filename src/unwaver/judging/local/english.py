"""Whether a text is English prose at all, which is what the readers without a model were trained on.

Three things tell what is none: too few common words or letters (code, lists, small capitals, base64), words whose
letters hardly ever stand together in what the shipped reader was trained on (made-up words, mashed keys, another
language beside some English), and a salad of words: little words in orders that English doesn't have ("the of", "to
is"; of 100 such pairs in prose fewer than one is one of them, of shuffled words every second one), or full stops and
capitals that stand where no sentence ends or begins. Pure.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from unwaver.judging import language
from unwaver.judging.local.doubted import straight
from unwaver.judging.local.features import sequences_of
from unwaver.judging.local.reader_file import shipped

COMMON_SHARE = 0.12
"""Share of common English words below which a text is code, a list, or no language."""
PROSE_SHARE = 0.75
"""Share of letters and blanks below which a text is code or signs; prose has 0.95, lists with headings 0.85."""

LONGEST_WORD = 40
"""Letters and digits in a row from which they are no word: base64, hashes, keys."""
CODE_SHARE = 0.35
"""Share of words with signs of code in them from which a text is code; lists of formulas come to 0.32, all other prose
below 0.2."""

FEWEST_WORDS = 6
"""Words that are not common ones, below which their letters tell nothing."""
MOST_WORDS = 200
"""So many of them are looked at."""
ODD = 6.5
"""How rare the rarest sequences of letters are in a word of no English, in the mean; English texts come to 4 to 6.4."""
RAREST = 3
"""So many of a word's sequences are its rarest."""

FEWEST_PAIRS = 2
"""Impossible pairs of little words below which nothing is said of their order."""
PAIR_SHARE = 0.2
"""Their share among all pairs of little words from which a text is a salad."""
MISPLACED_SHARE = 0.04
"""Full stops and capitals in the midst of a sentence, among all words, from which a text is a salad. Of the public
texts of the training none comes to it; of their first 30 words in no order two in three are known with it, a third
without."""

COMMON = language.ENGLISH | frozenset(
    ("the", "a", "an", "in", "on", "at", "as", "was", "were", "been", "he", "she", "we", "our", "us", "its", "no", "so",
     "do", "does", "me", "all", "yes", "yeah", "nope", "nah", "sure", "okay")
)  # fmt: skip


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ARTICLES, _SUBJECTS, _OBJECTS = _set("the a an my your our their its"), _set("i he she we they"), _set("me him them")
_BE, _MAY = _set("is are was were am"), _set("can cannot could will would should can't won't")
_DONE, _HAD = _set("be been"), _set("do does did has have had don't")
_PLACES, _JOINTS = _set("of in on at from with by for into about"), _set("and or but because if than")
_LITTLE = _ARTICLES | _SUBJECTS | _OBJECTS | _BE | _MAY | _DONE | _HAD | _PLACES | _JOINTS | {"to"}
_NEVER: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (
        _ARTICLES,
        _ARTICLES | _PLACES | _SUBJECTS | _JOINTS | _OBJECTS | _BE | _set("to been could would should has had"),
    ),
    (_set("to"), _BE | _MAY | _SUBJECTS | _set("does did has to of but than")),
    (_BE, _BE | _MAY | _set("does did have had him them")),
    (_MAY, _BE | _MAY | _set("been than at from into me him them us has had does did")),
    (_SUBJECTS, _ARTICLES | _SUBJECTS | _OBJECTS | _set("of from into than at by")),
    (_PLACES, _SUBJECTS | _set("than but am has had does did into")),
    (_JOINTS, _set("than")),
    (_OBJECTS, _SUBJECTS | _set("am was were been does did has had")),
)
"""Little words, and those that don't follow them."""
_PAIRS = frozenset((one, other) for ones, others in _NEVER for one in ones for other in others)

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_ANY_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_NO_WORD = re.compile(rf"[\w+/=]{{{LONGEST_WORD},}}")
_NO_LETTER = re.compile(r"[^\w\s]|[\d_]")
_SIGNS = re.compile(r"[(_=<>{};\\)\]+|&!/:]")
_CODE = re.compile(r"[\w.]\(|[_=<>{};\\]|[)\]][:,)]|^[=+|&!<>/:]+$")
_STOPPED = re.compile(r"(?<=[a-z]{3}[.!?])(?<!\betc\.)\s+[a-z]")
_CAPPED = re.compile(r"(?<!\S)[a-z]+\s+([A-Z][a-z']+)")
_UNCAPPED = re.compile(r"(?<![^\W\d_])[a-z]+(?:'[a-z]+)*")
"""Words in small letters: names are made of any."""
_WORD_OR_SIGN = re.compile(rf"{_WORD.pattern}|[^\sa-z]")


@lru_cache(maxsize=64)
def is_prose(text: str) -> bool:
    """Whether a text is English prose."""
    straightened = straight(text)
    low = straightened.lower()
    words = _ANY_WORD.findall(low)
    kept = _NO_WORD.sub("", text)
    letters = len(kept) - len(_NO_LETTER.findall(kept))
    known = sum(word in COMMON for word in words)
    if known < COMMON_SHARE * len(words) or letters < PROSE_SHARE * len(text):
        return False
    if _is_code(text):
        return False
    if 2 * sum(len(word) == 1 for word in words) > len(words):
        return False  # words with blanks between their letters
    return not (_is_odd(_UNCAPPED.findall(straightened)) or _is_salad(low) or _is_misplaced(straightened))


def _is_code(text: str) -> bool:
    """Whether many of its words hold signs of code."""
    words = text.split()
    if len(_SIGNS.findall(text)) < CODE_SHARE * len(words):
        return False
    return sum(_CODE.search(word) is not None for word in words) >= CODE_SHARE * len(words)


def _is_odd(words: list[str]) -> bool:
    """Whether the words that are not common ones are none of English, by their letters."""
    telling = [word for word in words if word not in COMMON and len(word) > 2][:MOST_WORDS]
    return len(telling) >= FEWEST_WORDS and float(np.mean([_rarity(word) for word in telling])) > ODD


@cache
def _usual() -> npt.NDArray[np.float32]:
    return shipped().question("refusal").ground.rarity


@lru_cache(maxsize=65536)
def _rarity(word: str) -> float:
    """How rare the rarest sequences of a word are; what the training never had is as rare as can be."""
    usual = _usual()
    found = usual[sequences_of(word)]
    return float(np.sort(np.where(found > 0, found, usual.max()))[-RAREST:].mean())


def _is_salad(text: str) -> bool:
    words = _WORD_OR_SIGN.findall(text)
    pairs = [pair for pair in pairwise(words) if pair[0] in _LITTLE and pair[1] in _LITTLE]
    never = sum(pair in _PAIRS for pair in pairs)
    return never >= FEWEST_PAIRS and never >= PAIR_SHARE * len(pairs)


def _is_misplaced(text: str) -> bool:
    """Whether small letters follow full stops, and common words with a capital follow words that no stop ends.

    Both: somebody who writes no capitals writes no salad.
    """
    stops = len(_STOPPED.findall(text))
    words = _CAPPED.findall(text) if stops else []
    capitals = sum(word.lower() in COMMON and not word.startswith("I'") for word in words)
    return stops > 0 < capitals and stops + capitals >= MISPLACED_SHARE * len(text.split())
