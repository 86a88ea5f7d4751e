"""A text as numbers, for readers that are trained: hashed letter sequences, and cues by sentence.

Reads any string; gives a sparse vector of letter sequences of three to five bytes within words (hashed, so that no text
is kept), and a dense one of which cues (`concepts`) stand where and in what order. The same text always gives the same
numbers, on every machine. A text is read as it is seen (`seen`). Numpy and `re` alone. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from unwaver.judging.local.concepts import AWARE, LINES, PAIRS, PHRASES, WORDS
from unwaver.judging.local.seen import Seen, seen

VERSION = 3
"""Raised whenever any text gets other numbers; weights of another version are refused."""

BUCKETS = 1 << 15
"""Letter sequences are hashed to so many numbers."""
SIZES = (3, 4, 5)
"""Bytes in a sequence, a blank before and behind a word included."""
HEAD, TAIL = 3, 4
"""Sentences that count as the beginning and as the end."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CUES: tuple[str, ...] = tuple(dict.fromkeys((*WORDS, *PHRASES, *LINES)))
_AT = {name: number for number, name in enumerate(CUES)}
_PLACES = ("share", "count", "any", "head", "tail", "after", "later", "first")
_WHOLE = ("aware", "aware_first", "aware_last", "aware_share", "aware_most", "aware_count", "declines_last",
          "characters", "sentences", "sentence", "ended")  # fmt: skip
LENGTHS = (100, 300, 900, 2700)
"""Characters at which a text counts wholly to one length; between two it counts partly to both."""
DENSE: tuple[str, ...] = (
    *(f"{place}:{cue}" for place in _PLACES for cue in CUES),
    *(f"{a}&{b}" for a, b in PAIRS),
    *(f"{a}>{b}" for a, b in PAIRS),
    *(f"aware>{cue}" for cue in CUES),
    *_WHOLE,
    *(f"length:{n}" for n in LENGTHS),
)
"""The names of the dense numbers, in their order; the lengths come last."""
_KNOTS = np.log(np.array(LENGTHS, dtype=np.float64))

_FIRST = np.array([_AT[a] for a, _ in PAIRS])
_SECOND = np.array([_AT[b] for _, b in PAIRS])
_AWARE = np.array([_AT[name] for name in AWARE])

_BREAK = re.compile(r"(?<=[.!?])\s+|\n+")
_LETTERS = re.compile(r"[^\W\d_].*?[^\W\d_]", re.DOTALL)
_WORD = re.compile(r"[a-z][a-z']*(?:\.g)?")
_PLAIN = str.maketrans("\u2018\u2019\u02bc\u201b\u2032\u201c\u201d\u2010\u2011\u2013\u2014", "'''''\"\"----")
_WORDS = [(_AT[name], re.compile(words)) for name, words in WORDS.items()]
_SEARCHED = [
    *((_AT[name], re.compile(rf"\b(?=[a-z])(?:{phrases})")) for name, phrases in PHRASES.items()),
    *((_AT[name], re.compile(lines, re.MULTILINE)) for name, lines in LINES.items()),
]


@lru_cache(maxsize=65536)
def _cues_of(word: str) -> tuple[int, ...]:
    return tuple(number for number, words in _WORDS if words.fullmatch(word))


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Where sentences stand; a piece without two letters (the number of an item) joins the one behind it."""
    begin = 0
    for end, following in (*((m.start(), m.end()) for m in _BREAK.finditer(text)), (len(text), len(text))):
        if _LETTERS.search(text, begin, end):
            yield begin, end
            begin = following


@dataclass(frozen=True, eq=False)
class Features:
    """What is read of one text."""

    whole: Seen
    """The text as it is seen, and where that stands."""
    spans: tuple[tuple[int, int], ...]
    """Where its sentences stand in what is seen."""
    buckets: Ints
    """The hashed sequence at each place, in order."""
    owners: Ints
    """The sentence each belongs to."""
    cues: Floats
    """Sentences by cues: 1 where it is there."""

    @property
    def text(self) -> str:
        """The text as it is seen."""
        return self.whole.text

    @cached_property
    def counted(self) -> tuple[Ints, Floats]:
        """(buckets that occur, how often)."""
        counts = np.bincount(self.buckets, minlength=BUCKETS)
        found = np.flatnonzero(counts)
        return found, counts[found].astype(np.float64)

    @cached_property
    def dense(self) -> Floats:
        """The numbers named in `DENSE`."""
        cues = self.cues
        n = len(cues)
        aware = cues[:, _AWARE].sum(axis=1)
        where = np.flatnonzero(aware)
        first, last = (int(where[0]), int(where[-1])) if len(where) else (n, -1)
        none = np.zeros(cues.shape[1])
        following = cues[1:]
        return np.concatenate([
            cues.mean(axis=0),
            np.log1p(cues.sum(axis=0)),
            cues.max(axis=0),
            cues[:HEAD].mean(axis=0),
            cues[-TAIL:].mean(axis=0),
            np.log1p(cues[first + 1 :].sum(axis=0)),
            cues[last + 1 :].mean(axis=0) if 0 <= last < n - 1 else none,
            cues[0],
            np.log1p((cues[:, _FIRST] * cues[:, _SECOND]).sum(axis=0)),
            np.log1p((cues[:-1, _FIRST] * following[:, _SECOND]).sum(axis=0)),
            np.log1p(((aware[:-1, None] > 0) * following).sum(axis=0)),
            self._whole(aware, first, last),
            self._lengths(),
        ])  # fmt: skip

    def _whole(self, aware: Floats, first: int, last: int) -> Floats:
        n = len(aware)
        decided = [np.flatnonzero(self.cues[:, _AT[name]]) for name in ("declines", "plans")]
        declines, plans = (int(at[-1]) if len(at) else -1 for at in decided)
        many = np.count_nonzero(aware)
        return np.array([
            float(many > 0), first / n, (last + 1) / n, many / n, aware.max(), np.log1p(aware.sum()),
            (declines - plans) / n, np.log1p(len(self.text)), np.log1p(n), np.log1p(len(self.text) / n),
            float(self.text.rstrip()[-1:] in tuple(".!?)\"*")),
        ])  # fmt: skip

    def _lengths(self) -> Floats:
        """How far the text is of each length; the parts add up to 1."""
        at = float(np.interp(np.log(max(1, len(self.text))), _KNOTS, np.arange(len(LENGTHS))))
        return np.asarray(np.maximum(0.0, 1.0 - np.abs(np.arange(len(LENGTHS)) - at)))

    def quote(self, sentence: int, longest: int) -> str:
        """A sentence as it stands in the text, cut after so many characters."""
        start, end = self.spans[sentence]
        return self.whole.within(start, min(end, start + longest)).rstrip()


@lru_cache(maxsize=64)
def features(text: str) -> Features | None:
    """What is read of a text; None where no sentence has two letters. Kept for the texts just read."""
    whole = seen(text)
    spans = tuple(_pieces(whole.text))
    if not spans:
        return None
    lines = [_plain(whole.text[start:end]) for start, end in spans]
    buckets, owners = _sequences(lines)
    return Features(whole, spans, buckets, owners, _cues("\n".join(lines), lines))


def cued(sentences: Sequence[str]) -> Floats:
    """Sentences by cues: 1 where it is there."""
    lines = [_plain(sentence) for sentence in sentences]
    return _cues("\n".join(lines), lines)


def _plain(sentence: str) -> str:
    return " ".join(sentence.translate(_PLAIN).lower().split())


def sequences_of(word: str) -> Ints:
    """The hashed sequences of one word in small letters."""
    return _sequences([word])[0]


def _cues(low: str, lines: list[str]) -> Floats:
    found = np.zeros((len(lines), len(CUES)))
    for number, line in enumerate(lines):
        for word in _WORD.findall(line):
            for cue in _cues_of(word):
                found[number, cue] = 1.0
    starts = np.cumsum([0, *(len(line) + 1 for line in lines[:-1])])
    for cue, searched in _SEARCHED:
        places = [match.start() for match in searched.finditer(low)]
        if places:
            found[np.searchsorted(starts, places, side="right") - 1, cue] = 1.0
    return found


def _sequences(lines: list[str]) -> tuple[Ints, Ints]:
    """The hashed sequences of every size at every place where none spans two words, and their sentences."""
    # Half of a surrogate pair is a character that JSON may hold: read like any other.
    encoded = [f" {line}".encode("utf-8", "surrogatepass") for line in lines]
    owner = np.repeat(np.arange(len(lines)), [len(line) for line in encoded])
    letters = np.frombuffer(b"".join(encoded) + b" ", dtype=np.uint8).astype(np.uint32)
    owner = np.append(owner, len(lines) - 1)
    blank = np.concatenate([[0], np.cumsum(letters == 32)])
    buckets, owners = [], []
    rolling = letters.copy()
    for size in range(2, max(SIZES) + 1):
        rolling = rolling[:-1] * np.uint32(0x01000193) ^ letters[size - 1 :]
        if size in SIZES:
            n = len(rolling)
            # Only the first and the last byte of a sequence may be a blank.
            inside = blank[size - 1 : size - 1 + n] - blank[1 : 1 + n] == 0
            mixed = (rolling[inside] * np.uint32(0x9E3779B1)) >> np.uint32(17)
            buckets.append(mixed.astype(np.int64))
            owners.append(owner[:n][inside])
    return np.concatenate(buckets), np.concatenate(owners)
