"""A reply's stretches that are trained or context: which tokens they cover, in whose marks they are written. Pure."""

from __future__ import annotations

from unwaver.reasoning import THINK, Family, split

Spans = list[tuple[str, bool]]
"""Texts, each with whether it is trained."""

Place = tuple[int, int]
"""From which character up to which, the end not included."""


def in_marks(spans: Spans, family: Family, begun: bool = False) -> Spans:
    """The spans with the `<think>` marks a training set is written in replaced by the family's, and its white space.

    A mark is under the loss where all was that it replaces. A reply that isn't of that form stays as it is. One that is
    only `begun` has no closing mark.
    """
    reply, on = "".join(text for text, _ in spans), [trained for text, trained in spans for _ in text]
    found = split(reply, False, THINK)
    form = "unclosed" if begun else "closed"
    if family == THINK or found.block != form or found.before or not reply.startswith(THINK.open):
        return spans
    close = len(found.opener + (found.reasoning or ""))
    body = len(THINK.render_open) if reply.startswith(THINK.render_open) else len(THINK.open)
    if begun:
        return [(family.render_open, all(on[:body])), *_between(spans, body, len(reply))]
    ends = close - 1 if reply[body:close].endswith("\n") else close
    answer = close + len(THINK.close)
    answer += len(reply[answer : answer + 2]) - len(reply[answer : answer + 2].lstrip("\n"))
    return [
        (family.render_open, all(on[:body])),
        *_between(spans, body, ends),
        (family.render_close, all(on[ends:answer])),
        *_between(spans, answer, len(reply)),
        *([(family.render_end, on[-1])] if family.render_end else []),
    ]


def _between(spans: Spans, start: int, end: int) -> Spans:
    """The spans' characters from `start` up to `end`."""
    kept, at = [], 0
    for text, trained in spans:
        piece = text[max(0, start - at) : max(0, end - at)]
        at += len(text)
        if piece:
            kept.append((piece, trained))
    return kept


def stretches(places: list[Place]) -> list[Place]:
    """The characters of each token, none left out between two: a tokenizer may leave blanks out of its offsets; they
    belong to the token that follows.
    """
    stretches, reached = [], 0
    for start, end in places:
        stretches.append((max(0, min(start, reached)), end))
        reached = max(reached, end)
    return stretches


def mask(places: list[Place], spans: Spans) -> list[bool]:
    """Which tokens are trained: those all of whose characters are."""
    on = [trained for text, trained in spans for _ in text]
    covered = (on[start:end] or on[max(0, end - 1) : end] for start, end in stretches(places))
    return [bool(characters) and all(characters) for characters in covered]


def under_loss(places: list[Place], trained: list[bool], size: int) -> list[bool]:
    """Which of `size` characters are under the loss: those all of whose tokens are (one may take several)."""
    on: list[bool | None] = [None] * size
    for (start, end), under in zip(stretches(places), trained, strict=False):
        on[start:end] = [under and before is not False for before in on[start:end]]
    return [bool(under) for under in on]


def without_start(spans: Spans, size: int) -> Spans:
    kept = []
    for text, trained in spans:
        if len(text) > size:
            kept.append((text[size:], trained))
        size = max(0, size - len(text))
    return kept
