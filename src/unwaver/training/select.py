"""Which examples a student can be trained on, and the proof for each part: what training and `check` share."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain

from unwaver import progress
from unwaver.errors import RecipeError
from unwaver.recipe import Recipe
from unwaver.records import Example
from unwaver.training import pairing
from unwaver.training.encode import Encoded, Encoder, Proof

OVERLONG = "over-long"


def choose(
    examples: list[Example], encoder: Encoder, recipe: Recipe
) -> tuple[list[Encoded], list[Proof], Counter[str]]:
    """(The encoded examples training can use, the proof of one of each part, how many were dropped and why.)

    RecipeError where too many of a part are unusable, or more than `max_overlong` of all are over-long.
    """
    rows: list[Encoded] = []
    proofs: dict[str, list[Proof]] = {}
    dropped: Counter[str] = Counter()
    faults: dict[str, list[str]] = defaultdict(list)
    sizes = Counter(example.part for example in examples)
    with progress.bar("encode", len(examples)) as bar:
        for example in examples:
            bar.advance()
            encoded, found = pairing.encode(example, encoder)
            if found:
                faults[example.part].append(f"{found[0]} (part {example.part}, prompt {example.prompt})")
                dropped[found[0]] += 1
            elif encoded.longest > recipe.train.max_tokens:
                dropped[OVERLONG] += 1
            else:
                rows.append(encoded)
                if example.part not in proofs:
                    proofs[example.part] = pairing.proofs(encoded, encoder)
    for part, sentences in faults.items():
        if len(sentences) > recipe.max_failed * sizes[part]:
            raise RecipeError(f"{encoder.name}: {sentences[0]}; {len(sentences)} of {sizes[part]} such in this part")
    if dropped[OVERLONG] > recipe.train.max_overlong * len(examples):
        raise RecipeError(
            f"train.max_overlong: {dropped[OVERLONG]} of {len(examples)} examples are longer than train.max_tokens "
            f"({recipe.train.max_tokens}); raise it, or max_overlong ({recipe.train.max_overlong}) to drop them"
        )
    if not rows:
        raise RecipeError("train: the mix holds no example that can be trained on")
    return rows, list(chain.from_iterable(proofs.values())), +dropped
