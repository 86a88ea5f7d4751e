"""How a model on this machine is spoken to: its chat template, and its family of reasoning marks.

Inference and training render through the same object, so that a student is trained on the prompts it will be fed. Needs
the extra `train`, but for names alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from unwaver.errors import RecipeError, pip_install
from unwaver.models import template
from unwaver.models.loading import load_tokenizer
from unwaver.models.weights import locate
from unwaver.reasoning import THINK, Family, by_name, named, recognise
from unwaver.recipe import ModelSettings

PROBE = "quite some text"
"""What templates are tried with."""


class Chat:
    """A tokenizer's chat template with a recipe's `chat_template_kwargs`.

    Some templates (Idefics, SmolVLM, Llama-Guard-3-1B) read a turn's content as a list of parts and render a plain text
    as nothing, without a word: they are sent parts. RecipeError where the user's words reach the prompt neither way.
    """

    def __init__(self, tokenizer: Any, name: str, options: dict[str, Any] | None = None) -> None:
        self._tokenizer, self._name, self._options = tokenizer, name, options or {}
        self._in_parts = False
        plain = self._probe()
        if plain is not None and PROBE in plain:
            return
        self._in_parts = True
        if PROBE in (self._probe() or ""):
            return
        self._in_parts = False
        if plain is not None:
            raise RecipeError(
                f"{name}: its chat template leaves out what the user says, as text and as a list of parts; "
                "name a model with another template"
            )

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as text; RecipeError where the template refuses it, never ends or takes too much memory."""
        return self._render(messages, add_generation_prompt)

    def _probe(self) -> str | None:
        """A lone user turn; None where the template refuses it."""
        try:
            return self._render([{"role": "user", "content": PROBE}], True)
        except template.Refusal:
            return None

    def _render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        turns: list[dict[str, Any]] = list(messages)
        if self._in_parts:
            turns = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
        return template.render(self._tokenizer, self._name, turns, self._options, add_generation_prompt)


def template_of(tokenizer: Any) -> str:
    """A tokenizer's chat template; several of them one after the other; "" where it has none."""
    written = tokenizer.chat_template or ""
    return "\n".join(written.values()) if isinstance(written, dict) else str(written)


def family_for(settings: ModelSettings, tokenizer: Any) -> tuple[Family, str]:
    """(a local model's family of marks, how it was found)."""
    if (given := named(settings.tags)) is not None:
        return given, "as the recipe says"

    def is_token(mark: str) -> bool:
        return len(tokenizer(mark, add_special_tokens=False)["input_ids"]) == 1

    return recognise(template_of(tokenizer), is_token, f"{settings.target} {settings.label}")


def found_for(settings: ModelSettings) -> tuple[Family | None, str]:
    """(a model's family of marks before it is asked, how it was found): a server's by its name, a local one's by its
    template. None: by each reply's own marks alone.
    """
    if (given := named(settings.tags)) is not None:
        return given, "as the recipe says"
    if settings.door == "replay":
        return THINK, "recorded replies are kept so"
    if settings.door in ("hf", "vllm"):
        return family_for(settings, _tokenizer(settings.target, settings.revision))
    known = by_name(settings.target)
    return known, "by its name" if known else "its name tells nothing"


def family_of(settings: ModelSettings) -> Family:
    """The family that what is put into a model's mouth is written in."""
    return found_for(settings)[0] or THINK


@lru_cache(maxsize=8)
def _tokenizer(target: str, revision: str | None) -> Any:
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise RecipeError(f"{target}: {error}; install it with: {pip_install('train')}") from None
    return load_tokenizer(target, locate(target), revision)
