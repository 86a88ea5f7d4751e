"""No attack: the behaviour as it is, the condition every attack is compared with (study section 4, `None`). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from unwaver.attacks import changed
from unwaver.records import Prompt


def bare(prompt: Prompt) -> Prompt:
    """The prompt without its attack: the plain behaviour. A prompt that is under no attack is returned as it is."""
    if prompt.attack is None:
        return prompt
    return changed(prompt, text=prompt.behaviour or prompt.text, attack=None)


def wrap(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Every prompt without its attack; of prompts that then are the same, the first."""
    return list({prompt.id: prompt for prompt in map(bare, prompts)}.values())
