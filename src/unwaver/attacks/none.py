"""No attack: the behaviour as it is, the condition every attack is compared with (the study's `None`). Pure."""

from __future__ import annotations

from unwaver.records import Prompt


def bare(prompt: Prompt) -> Prompt:
    """The prompt without its attack: the plain behaviour. A prompt that is under no attack is returned as it is."""
    if prompt.attack is None:
        return prompt
    return prompt.model_copy(update={"text": prompt.behaviour or prompt.text, "attack": None})
