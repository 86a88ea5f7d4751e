"""One's own file in two halves: to train on one and evaluate the other.

Prompts that the leak guard would hold against each other (`sources.overlap`: eight words in a row, or a short one
inside another) stay together, so that halves never share text. Their order is by a digest of their words: neither the
order of the file nor blanks and capitals matter. Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal

from unwaver.records import digest
from unwaver.sources.overlap import NGRAM, SHORTEST

Half = Literal["train", "heldout"]

Words = tuple[str, ...]


def halves(texts: Iterable[str]) -> dict[str, Half]:
    """The half of each text; as many in one as in the other, as far as those that stay together allow."""
    words = {text: tuple(re.findall(r"\w+", text.casefold())) for text in texts}
    groups: dict[str, list[str]] = defaultdict(list)
    first = _groups(words)
    for text in words:
        groups[first[text]].append(text)
    found: dict[str, Half] = {}
    taken: dict[Half, int] = {"train": 0, "heldout": 0}
    ordered = sorted(groups.values(), key=lambda group: (-len(group), min(digest(words[text]) for text in group)))
    for group in ordered:
        half: Half = "train" if taken["train"] <= taken["heldout"] else "heldout"
        taken[half] += len(group)
        found.update(dict.fromkeys(group, half))
    return found


def _groups(words: dict[str, Words]) -> dict[str, str]:
    """By text, the one that stands for all it is joined with, however far."""
    parent = {text: text for text in words}

    def root(text: str) -> str:
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    short = {said for said in words.values() if len(said) < NGRAM}
    lengths = sorted({len(said) for said in short if len(said) >= SHORTEST})
    seen: dict[Words, str] = {}
    for text, said in words.items():
        for piece in {said, *_runs(said, NGRAM), *(run for n in lengths for run in _runs(said, n) if run in short)}:
            parent[root(text)] = root(seen.setdefault(piece, text))
    return {text: root(text) for text in words}


def _runs(said: Words, length: int) -> Iterator[Words]:
    """All so many words in a row."""
    return (said[at : at + length] for at in range(len(said) - length + 1))
