"""A reply that is preferred and one that is rejected: which of their tokens are weighed, and what shows it. Pure.

Both are encoded and proved as any reply is. What both begin with is under no loss: in DPO's it cancels, and in IPO's,
which divides by the length, it would only thin what differs (arXiv 2509.24393 weighs the suffixes alone, too).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from unwaver.records import Example, Span
from unwaver.training.encode import Encoded, Encoder, Proof

CHOSEN, REJECTED = "chosen", "rejected"
"""The sides of a proof."""


def encode(example: Example, encoder: Encoder) -> tuple[Encoded, list[str]]:
    """An example's tokens, with those of its rejected reply where it has one, and what is wrong with them."""
    chosen = encoder.encode(example)
    found = encoder.faults(example, chosen)
    if found or example.rejected is None:
        return chosen, found
    other = example.model_copy(update={"spans": (Span(text=example.rejected, trained=True),)})
    rejected = encoder.encode(other)
    if faults := encoder.faults(other, rejected):
        return chosen, [f"of the rejected reply: {faults[0]}"]
    if not all(chosen.trained[chosen.prompt_tokens :]):
        return chosen, ["a part of the chosen reply is context, and a pair weighs whole replies"]
    if chosen.input_ids == rejected.input_ids:
        return chosen, ["the chosen and the rejected reply are the same"]
    both = zip(chosen.input_ids, rejected.input_ids, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
    return replace(_from(chosen, shared), rejected=_from(rejected, shared)), []


def proofs(encoded: Encoded, encoder: Encoder) -> list[Proof]:
    """What the decoded tokens show: of one reply, or of both."""
    if encoded.rejected is None:
        return [encoder.proof(encoded)]
    sides = ((CHOSEN, encoded), (REJECTED, encoded.rejected))
    return [replace(encoder.proof(reply), side=side) for side, reply in sides]


def _from(reply: Encoded, start: int) -> Encoded:
    """The reply with the loss on its tokens from `start` on."""
    return replace(reply, trained=[False] * start + [True] * (len(reply.input_ids) - start))
