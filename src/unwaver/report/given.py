"""Which words of a trace are not its writer's own: what a reply was made to begin with, and what is only context.

Of an evaluated reply, what an attack put into its mouth; of a teacher's trace, what a student reads and isn't trained
to write. Reads `Trace.shielded`, and of attacks that begin every reply alike (`attacks.prefill`) their words. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from unwaver.attacks import attacks
from unwaver.reasoning import split
from unwaver.records import Trace

Stretches = Sequence[tuple[int, int]]
"""(from, to) in characters, in order and apart."""


def given_words(trace: Trace) -> tuple[Stretches, Stretches]:
    """The stretches of the reasoning, and those of the answer."""
    reasoning, answer = _opening(trace.prompt.attack or "")
    return trace.shielded or _begins(trace.reasoning, reasoning), _begins(trace.answer, answer)


@cache
def _opening(name: str) -> tuple[str | None, str | None]:
    """The reasoning and the answer in the words that an attack begins every reply with."""
    attack = attacks().get(name)
    opening = split(attack.opening()) if attack is not None and attack.opening() else None
    return (opening.thought, opening.said) if opening is not None else (None, None)


def _begins(text: str | None, opening: str | None) -> Stretches:
    return ((0, len(opening)),) if opening and text and text.startswith(opening) else ()
