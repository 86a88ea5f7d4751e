"""How much of the evaluation stands in the training set: the leak guard.

Two texts overlap, strongest first:

- `exact`: the evaluation text stands character for character in the training text;
- `normalised`: it does once case, punctuation and blanks are folded (its words in order, nothing between them);
- `ngram`: the two share any eight successive words, folded likewise.

An evaluation text of four to seven words counts only when all of it stands in the training text, one of fewer only when
it is the whole training text. Shared jailbreak templates therefore count, as they should: templates are split too.
Containment is looked for in one direction, the evaluation text inside the training text; the other direction is seen
through eight shared words.

The index is made of the evaluation side, so memory does not grow with the training side, which is streamed. Words are
compared by 64-bit hashes (a chance collision: about one in a million runs of 100,000 long traces), containment is
checked on the text itself. Chinese, Japanese and Korean characters count as a word each. Pure: no I/O, no clock.
The released data of arXiv 2505.15404 holds 198 of HarmBench's 200 standard behaviours verbatim; this is what finds it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unwaver.records import Record

Overlapping = Literal["exact", "normalised", "ngram"]

VERSION = 1
"""Raised whenever another pair of texts is held to overlap."""
NGRAM = 8
"""Words in a row that make an overlap; the length open-r1 and STAR-1 decontaminate with."""

SHORTEST = 4
"""Words below which a text counts only as a whole."""

BATCH_WORDS = 1 << 20
"""Words of training text hashed at a time; bounds the memory."""

Hashes = NDArray[np.uint64]


class Match(Record):
    """One evaluation text and a training text it overlaps with."""

    evaluation: str
    """The id of the evaluation text."""
    training: str
    """The id of the first training text that overlaps this strongly."""
    kind: Overlapping


class SetOverlap(Record):
    """One evaluation set against the training set. Each id counts once, under its strongest kind."""

    texts: int
    """Ids in the set; several texts may bear one id (a wrapped prompt and its behaviour)."""
    prompts: int
    """How many of them overlap: the sum of the three that follow."""
    exact: int
    normalised: int
    ngram: int
    training: int
    """Training texts that overlap with any text of the set."""
    examples: tuple[Match, ...]
    """The strongest first."""


class Overlaps(Record):
    """What `find` found."""

    training: int
    """Training texts looked at."""
    sets: dict[str, SetOverlap]
    """By evaluation set, in the order given."""

    @property
    def found(self) -> int:
        """Evaluation prompts that overlap, over all sets."""
        return sum(one.prompts for one in self.sets.values())

    def lines(self) -> list[str]:
        """One line for each set that overlaps, for messages."""
        return [
            f"{name}: {one.prompts} of {one.texts} prompts stand in the training set ({one.exact} exact, "
            f"{one.normalised} normalised, {one.ngram} by {NGRAM} words), in {one.training} of {self.training} texts"
            for name, one in self.sets.items()
            if one.prompts
        ]


def find(
    training: Iterable[tuple[str, str]], evaluation: Mapping[str, Iterable[tuple[str, str]]], examples: int = 5
) -> Overlaps:
    """Overlap of training texts with evaluation sets; both are (id, text) pairs, `training` is read once and streamed.

    At most 63 sets. `examples`: how many pairs of ids each set shows at most.
    """
    index = _Index(evaluation)
    count = 0
    for batch in _batches(training):
        count += len(batch)
        index.look_at(batch)
    sets = {name: index.overlap(number, examples) for number, name in enumerate(index.names)}
    return Overlaps(training=count, sets=sets)


_ASCII_WORD = re.compile(r"[a-z0-9]+")
_WORD = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+")

_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
"""Hyphens and joints that show nothing: copied from a page they stand in the middle of words."""


def words(text: str) -> list[str]:
    """The words of a text, folded: compatibility forms unified, case folded, punctuation and blanks dropped."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(_INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold())


def _batches(texts: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str, list[str]]]]:
    batch: list[tuple[str, str, list[str]]] = []
    held = 0
    for name, text in texts:
        found = words(text)
        batch.append((name, text, found))
        held += len(found) + 1
        if held >= BATCH_WORDS:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


class _Index:
    """The evaluation side, and what has been seen of it so far."""

    def __init__(self, evaluation: Mapping[str, Iterable[tuple[str, str]]]) -> None:
        self.names = list(evaluation)
        if len(self.names) > 63:
            raise ValueError(f"at most 63 evaluation sets at once, got {len(self.names)}")
        texts = [(number, *pair) for number, name in enumerate(self.names) for pair in evaluation[name]]
        self.sets = [number for number, _, _ in texts]
        self.ids = [name for _, name, _ in texts]
        self.raw = [text.strip() for _, _, text in texts]
        self.words = [words(text) for text in self.raw]
        self.vocabulary = {word: n for n, word in enumerate(dict.fromkeys(w for ws in self.words for w in ws), 1)}
        numbers = np.random.default_rng(20250515)
        # Word 0 stands for every word the evaluation side does not have, and for the gap between two texts.
        self.values = numbers.integers(0, 2**64, len(self.vocabulary) + 1, dtype=np.uint64)
        self.weights = numbers.integers(0, 2**63, NGRAM, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self.best: list[Match | None] = [None] * len(texts)
        self.touched = [0] * len(self.names)
        self.whole: dict[tuple[str, ...], list[int]] = {}
        self._build()

    def _build(self) -> None:
        """Sorted hashes by length, the sets each belongs to, and for each text the rarest of its own (its anchor)."""
        grams: list[list[int]] = []
        for found in self.words:
            size = min(len(found), NGRAM)
            hashed = list(self._windows([found]))[size - 1][0].tolist() if size >= SHORTEST else []
            grams.append(hashed[: len(found) - size + 1])
        common = Counter(one for hashed in grams for one in set(hashed))
        owners: dict[int, dict[int, list[int]]] = {size: {} for size in range(SHORTEST, NGRAM + 1)}
        self.anchors: dict[int, list[int]] = {}
        for text, (found, hashed) in enumerate(zip(self.words, grams, strict=True)):
            if not hashed:
                if found:
                    self.whole.setdefault(tuple(found), []).append(text)
                continue
            for one in set(hashed):
                owners[min(len(found), NGRAM)].setdefault(one, []).append(text)
            # The rarest: where templates are shared, only the window with the behaviour tells the texts apart.
            self.anchors.setdefault(min(hashed, key=lambda one: common[one]), []).append(text)
        self.owners = owners
        self.hashes = {size: np.array(sorted(found), dtype=np.uint64) for size, found in owners.items()}
        self.masks = {
            size: np.array([self._mask(owners[size][int(one)]) for one in hashes], dtype=np.uint64)
            for size, hashes in self.hashes.items()
        }
        self.sieves = {size: _sieve(hashes) for size, hashes in self.hashes.items()}
        self.anchored = {
            size: np.array([int(one) in self.anchors for one in hashes], dtype=bool)
            for size, hashes in self.hashes.items()
        }
        self.unseen = {size: np.ones(len(hashes), dtype=bool) for size, hashes in self.hashes.items()}

    def _mask(self, texts: list[int]) -> int:
        mask = 0
        for text in texts:
            mask |= 1 << self.sets[text]
        return mask

    def _windows(self, texts: list[list[str]]) -> Iterator[tuple[Hashes, NDArray[np.bool_]]]:
        """For sizes 1 to NGRAM: the hash of the words that start at each place, and whether all of them are known."""
        known = self.vocabulary
        flat: list[int] = []
        for found in texts:
            flat.extend([known.get(word, 0) for word in found])
            flat.append(0)
        numbers = np.array(flat + [0] * NGRAM, dtype=np.int64)
        values, here = self.values[numbers], numbers != 0
        length = len(flat)
        hashes = np.zeros(length, dtype=np.uint64)
        alive = np.ones(length, dtype=bool)
        for offset in range(NGRAM):
            hashes = hashes + values[offset : offset + length] * self.weights[offset]
            alive = alive & here[offset : offset + length]
            yield hashes, alive

    def look_at(self, batch: list[tuple[str, str, list[str]]]) -> None:
        """Take note of what a batch of training texts holds."""
        starts = np.cumsum([0] + [len(found) + 1 for _, _, found in batch])
        touched = np.zeros(len(batch), dtype=np.uint64)
        for size, (hashes, alive) in enumerate(self._windows([found for _, _, found in batch]), 1):
            if size < SHORTEST or not len(self.hashes[size]):
                continue
            places, found_at = self._hits(size, hashes, alive)
            owners = np.searchsorted(starts, places, side="right") - 1
            np.bitwise_or.at(touched, owners, self.masks[size][found_at])
            self._note(size, batch, owners, found_at)
        if self.whole:
            for number, (name, text, found) in enumerate(batch):
                if len(found) < SHORTEST:
                    for which in self.whole.get(tuple(found), []):
                        touched[number] |= np.uint64(1 << self.sets[which])
                        self._contained(which, name, text, found)
        for number in range(len(self.names)):
            self.touched[number] += int(np.count_nonzero(touched & np.uint64(1 << number)))

    def _hits(self, size: int, hashes: Hashes, alive: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places in the batch where an evaluation window stands, and which one."""
        places = np.flatnonzero(alive)
        places = places[self.sieves[size][hashes[places] >> np.uint64(SIEVE_SHIFT)]]
        wanted = self.hashes[size]
        at = np.minimum(np.searchsorted(wanted, hashes[places]), len(wanted) - 1)
        right = wanted[at] == hashes[places]
        return places[right], at[right]

    def _note(
        self, size: int, batch: list[tuple[str, str, list[str]]], owners: NDArray[np.int64], found: NDArray[np.int64]
    ) -> None:
        """Record first sightings, and check containment where a text's anchor stands."""
        if size == NGRAM:
            fresh = np.flatnonzero(self.unseen[size][found])
            for place in fresh.tolist():
                if self.unseen[size][found[place]]:
                    self.unseen[size][found[place]] = False
                    for which in self.owners[size][int(self.hashes[size][found[place]])]:
                        self._better(which, batch[owners[place]][0], "ngram")
        for place in np.flatnonzero(self.anchored[size][found]).tolist():
            name, text, wordlist = batch[owners[place]]
            texts = self.anchors[int(self.hashes[size][found[place]])]
            for which in texts:
                self._contained(which, name, text, wordlist)
            if all((best := self.best[which]) and best.kind == "exact" for which in texts):
                self.anchored[size][found[place]] = False

    def _contained(self, which: int, name: str, text: str, found: list[str]) -> None:
        best = self.best[which]
        if best is not None and best.kind == "exact":
            return
        if f" {' '.join(self.words[which])} " in f" {' '.join(found)} ":
            self._better(which, name, "exact" if self.raw[which] in text else "normalised")

    def _better(self, which: int, training: str, kind: Overlapping) -> None:
        best = self.best[which]
        if best is None or _STRENGTH[kind] < _STRENGTH[best.kind]:
            self.best[which] = Match(evaluation=self.ids[which], training=training, kind=kind)

    def overlap(self, number: int, examples: int) -> SetOverlap:
        """The result for one evaluation set."""
        mine = [text for text, owner in enumerate(self.sets) if owner == number]
        matches = [match for match in (self.best[text] for text in mine) if match is not None]
        # The sort is stable and the strongest goes in last, so it is the one that stays.
        strongest = {m.evaluation: m for m in sorted(matches, key=lambda m: _STRENGTH[m.kind], reverse=True)}
        found = sorted(strongest.values(), key=lambda match: _STRENGTH[match.kind])
        kinds = Counter(match.kind for match in found)
        return SetOverlap(
            texts=len({self.ids[text] for text in mine}),
            prompts=len(found),
            exact=kinds["exact"],
            normalised=kinds["normalised"],
            ngram=kinds["ngram"],
            training=self.touched[number],
            examples=tuple(found[:examples]),
        )


_STRENGTH: dict[Overlapping, int] = {"exact": 0, "normalised": 1, "ngram": 2}

SIEVE_SHIFT = 40
"""Hashes are first looked up by their top 24 bits, in a table small enough for the cache."""


def _sieve(hashes: Hashes) -> NDArray[np.bool_]:
    table = np.zeros(1 << (64 - SIEVE_SHIFT), dtype=bool)
    table[hashes >> np.uint64(SIEVE_SHIFT)] = True
    return table
