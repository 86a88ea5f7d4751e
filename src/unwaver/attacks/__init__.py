"""Attacks on one's own model: Prompt -> Prompt, so that a defence is measured against more than the bare request.

One file an attack (`attack.Attack`): `none` and the openings in `prefill` change a prompt at once; `pap`, `pair` and
`counter_prefill` ask models of their own and are dialogues that stages drive. `templates` are frames for prompt sets,
not attacks of an evaluation. Pure but for the reading of a file the user named and of the shipped instructions.
docs/attacks.md sets each beside its paper.
"""

from __future__ import annotations

from typing import Any

from unwaver.attacks.attack import Attack
from unwaver.records import Prompt
from unwaver.registry import choose, found_in


def attacks() -> dict[str, Attack[Any]]:
    """Every attack by its name."""
    return found_in(__name__, "ATTACK")


def find(name: str) -> Attack[Any]:
    """The attack of that name; RecipeError with the nearest one where there is none."""
    found: Attack[Any] = choose(name, attacks(), "attack")
    return found


def rewords(prompt: Prompt) -> bool:
    """Whether a prompt was worded for one model alone, so that its behaviour is what models share."""
    return prompt.attack is not None and any(
        one.asks_first and one.rewords and one.marks(prompt) for one in attacks().values()
    )
