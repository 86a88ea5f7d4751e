"""Where a message keeps its text and its reasoning, whatever a server or a file calls them.

Vendors put the reasoning beside the content (`reasoning_content`, `reasoning`, `thinking`, `reasoning_details` ...), as
a text, an object or a list of pieces, or into the content as parts of a type of their own, which may come before,
between and after the parts of the answer. All are read into two texts; marks inside a text (`<think>`) are left where
they are. A field of another name that says it holds a thought (`reasoningContent`, `thinking_trace`) is one as well.
What is a setting and no thought ("high", `{"effort": "low"}`) is none. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

BESIDE = (
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "thinking",
    "thought",
    "thoughts",
    "reasoning_details",
    "thinking_blocks",
)
"""Fields of a message in which reasoning stands apart: DeepSeek's and vLLM's, OpenRouter's, GitHub's, Ollama's ..."""

_NAME = re.compile(
    r"(?:[a-z0-9]+_)*(?:think|thinking|thoughts?|reasoning|cot|chain_of_thoughts?|rationale|scratch_?pad)"
    r"(?:_(?:content|text|details|blocks?|traces?|process|steps?|output|summary|trajector(?:y|ies)))*"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-. ]+")

_CARRIERS = ("provider_specific_fields", "additional_kwargs", "model_extra")
"""Fields in which clients hand on what their own types have no place for: LiteLLM's, LangChain's, OpenAI's."""

_INNER = ("text", "thinking", "reasoning", "summary", "content", "refusal")
"""Fields in which an object of a list keeps its text."""

_SETTINGS = frozenset(
    ("on", "off", "true", "false", "yes", "no", "none", "null", "n/a", "na", "auto", "minimal", "low", "medium",
     "high", "xhigh", "max", "enabled", "disabled", "default", "thinking", "non-thinking", "nonthinking",
     "no_think", "/think", "/no_think", "detailed", "concise")
) | {"detailed thinking on", "detailed thinking off"}  # fmt: skip
"""Words that say how much was to be thought, in fields that elsewhere hold the thought."""


def names_thought(name: object) -> bool:
    """Whether a field says by its name that it holds a thought, in whatever way of writing names."""
    return _NAME.fullmatch(_HUMP.sub("_", str(name)).lower()) is not None


def thoughts(message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a message that hold a thought by their names, those of its carriers included; usual names first."""
    found = {name: message[name] for name in BESIDE if name in message}
    for place in (message, *(message.get(carrier) for carrier in _CARRIERS)):
        if isinstance(place, Mapping):
            found |= {name: value for name, value in place.items() if name not in found and names_thought(name)}
    return found


class Said(NamedTuple):
    """What a message says."""

    text: str | None
    """None: it has no text at all."""
    reasoning: str | None
    """None: none stands apart from the text."""


def said(message: Mapping[str, Any], content: Any) -> Said:
    """Text and reasoning of a message; `content` is its text or its list of parts. ValueError for any other content."""
    if content is not None and not isinstance(content, str | list):
        raise ValueError(f"{type(content).__name__} in place of a text")
    found = pieces(content)
    text = "".join(piece for thought, piece in found if not thought)
    inside = "\n\n".join(piece.strip() for thought, piece in found if thought and piece.strip())
    beside = [thought(value) for value in thoughts(message).values()]
    reasoning = _merged([one for one in (*beside, inside) if one])
    return Said(text if isinstance(content, str) or any(not thought for thought, _ in found) else None, reasoning)


def pieces(content: Any) -> list[tuple[bool, str]]:
    """(whether it is reasoning, text) of a content's parts, in their order; those that hold no text are left out."""
    parts = content if isinstance(content, list) else [content]
    return [(_is_thought(part), text) for part in parts if (text := flat(part))]


def thought(value: Any) -> str | None:
    """The reasoning in a field that may hold some; None for a setting, a number or nothing."""
    text = flat(_opened(value))
    return None if not text.strip() or text.strip().lower() in _SETTINGS else text


def _opened(value: Any) -> Any:
    """What a text of JSON holds, as tables keep lists and objects; anything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if flat(found) else value


def flat(value: Any) -> str:
    """All the text in a text, an object with a text, or a list of such."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        apart = all(_stands_alone(one) for one in value)
        return ("\n\n" if apart else "").join(filter(None, map(flat, value)))
    if isinstance(value, dict):
        names = (*_INNER, *filter(names_thought, value))
        return next((text for name in names if (text := flat(value.get(name)))), "")
    return ""


def _stands_alone(one: Any) -> bool:
    """Whether a piece of a list is a paragraph of its own: a summary, a step, or a text that isn't cut at a blank."""
    if isinstance(one, dict):
        return "summary" in str(one.get("type")) or ("type" not in one and (text := flat(one)) == text.strip())
    return isinstance(one, str) and one == one.strip()


def _is_thought(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    kind = str(part.get("type") or part.get("channel") or "").lower()
    if part.get("thought") is True or any(word in kind for word in ("think", "reason", "thought", "analysis")):
        return True
    return not flat({name: part.get(name) for name in ("text", "content")}) and any(map(names_thought, part))


def _merged(texts: list[str]) -> str | None:
    """The same reasoning under two names counts once, and the longer of two of which one holds the other."""
    kept: list[str] = []
    for text in sorted(texts, key=len, reverse=True):
        if not any("".join(text.split()) in "".join(other.split()) for other in kept):
            kept.append(text)
    return "\n\n".join(text for text in dict.fromkeys(texts) if text in kept) or None
