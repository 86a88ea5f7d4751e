"""No attack: the behaviour as it is, the condition every attack is compared with (the study's `None`). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from unwaver.attacks.attack import Attack, NoSettings
from unwaver.records import Prompt


def bare(prompt: Prompt) -> Prompt:
    """The prompt without its attack: the plain behaviour. A prompt that is under no attack is returned as it is."""
    if prompt.attack is None:
        return prompt
    return prompt.model_copy(update={"text": prompt.behaviour or prompt.text, "attack": None})


class Bare(Attack[NoSettings]):
    """The condition every attack is compared with."""

    name, title, Settings = "none", "the prompts as they are", NoSettings

    def renamed(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts themselves: a frame they already bear stays theirs."""
        return list(prompts)


ATTACK = Bare()
