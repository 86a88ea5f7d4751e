"""Where a message keeps its text and its reasoning, whatever a server or a file calls them.

Vendors put the reasoning beside the content (`reasoning_content`, `reasoning`, `thinking`, `reasoning_details` ...), as
a text, an object or a list of pieces, or into the content as parts of a type of their own, which may come before,
between and after the parts of the answer. All are read into two texts; marks inside a text (`<think>`) are left where
they are. A field of another name that says it holds a thought (`reasoningContent`, `thinking_trace`) is one as well.
What is a setting and no thought ("high", "adaptive", `{"effort": "low"}`) is none. Whatever was read by its looks alone
is told. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from unwaver.objects import unfolds

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
    r"|\w*(?:思考|思维|思路|推理|推論|추론)\w*"
)
_MUSING = re.compile(r"(?:[a-z0-9]+_)*(?:analys[ei]s|reflections?|deliberations?|(?:inner_|internal_)?monologue)")
_JUDGED = re.compile(r"judg|grad(er|ing)|verdict|annotat|evaluat|critic|review|label|score|reward")
_ALIKE = re.compile(
    r"(?:[a-z0-9]+_)*(?:explanations?|justifications?|plan|planning|plans|draft|steps|working|workings|derivation"
    r"|introspection|self_critique|gedanken(?:gang)?|begründung|denkprozess|razonamiento|pensamiento|raisonnement"
    r"|ragionamento|racioc[ií]nio|рассуждени[ея]|размышлени[ея]|分析|解析|解説|説明|풀이)|reasons?"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-. ]+")

_CARRIERS = ("provider_specific_fields", "additional_kwargs", "model_extra")
"""Fields in which clients hand on what their own types have no place for: LiteLLM's, LangChain's, OpenAI's."""

_INNER = ("text", "thinking", "reasoning", "content", "summary", "refusal")
"""Fields in which an object of a list keeps its text."""

_SETTINGS = frozenset(
    ("on", "off", "true", "false", "yes", "no", "y", "n", "t", "f", "auto", "automatic", "adaptive", "dynamic",
     "minimal", "low", "medium", "mid", "high", "xhigh", "max", "maximum", "min", "ultra", "enabled", "disabled",
     "enable", "disable", "active", "inactive", "default", "optional", "required", "standard", "extended", "normal",
     "basic", "hybrid", "detailed", "concise", "verbose", "brief", "short", "long", "full", "fast", "slow", "deep",
     "thinking", "reasoning", "non-thinking", "nonthinking", "think", "no_think", "nothink", "no-think", "cot",
     "none", "null", "nil", "n/a", "na", "nan", "unknown", "undefined", "missing", "empty", "unavailable", "tbd",
     "hidden", "redacted", "omitted", "encrypted", "无", "無", "没有", "否", "是", "なし", "없음", "keine", "aucun")
)  # fmt: skip
"""Words that say how much was to be thought, or that nothing was kept, in fields that elsewhere hold the thought."""

_SAYING = re.compile(
    r"(?:detailed |extended )?thinking (?:on|off)"
    r"|(?:no|not|without|none) (?:\w+ )?(?:reasoning|thinking|thoughts?|available|applicable|provided|given|recorded)"
    r"|[\w ]*(?:effort|budget|mode|level|tokens)[\w ]*[:=] ?[\w.]+"
    r"|[\d.,]+ ?(?:tokens?|words|steps|seconds|s|ms)",
    re.IGNORECASE,
)
"""The same in more than one word."""

_ENDED = re.compile(r"[.!?;:…。！？)\]}]\W*\Z")
MOST_FIELDS = 100
"""More than any message has for its reasoning; each is compared with all others."""
_FEW = 3
"""As many words without the end of a sentence may be a label and no thought."""

_THINKS = re.compile(
    r"think|reason|thought|analysis|scratch|(?<![a-z])cot(?![a-z])|reflect|deliberat|monologue|rationale|chain_of"
    r"|思|推理|推論"
)
"""A part of the types of parts that are a thought."""

_SPEAKS = frozenset(
    ("", "text", "output_text", "input_text", "text_delta", "message", "final", "answer", "response", "output",
     "refusal", "markdown", "code", "json", "content", "assistant", "str", "string", "summary_text", "paragraph")
)  # fmt: skip
"""Types of parts that are the answer; text in any other is told."""

_ABOUT = frozenset(
    ("type", "id", "role", "format", "signature", "model", "data", "status", "name", "prompt", "question")
)
"""Fields of an object that are no part of the thought in it."""


def names_thought(name: object) -> bool:
    """Whether a field says by its name that it holds a thought, in whatever way of writing names."""
    return _NAME.fullmatch(plainly(name)) is not None


def may_be_thought(name: object) -> bool:
    """Whether it may hold one by its name, or something else: an `analysis`, an `explanation`; a judge's is none."""
    plain = plainly(name)
    return _JUDGED.search(plain) is None and any(pattern.fullmatch(plain) for pattern in (_NAME, _MUSING, _ALIKE))


def plainly(name: object) -> str:
    """A name as we write names: `finishReason` and `Finish Reason` are `finish_reason`."""
    return _HUMP.sub("_", str(name).replace("CoT", "cot")).lower()


def thoughts(message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a message that hold a thought by their names, those of its carriers included; usual names first."""
    found = {name: message[name] for name in BESIDE if name in message}
    for place in (message, *(message.get(carrier) for carrier in _CARRIERS)):
        if isinstance(place, Mapping):
            found |= {name: value for name, value in place.items() if name not in found and _is_beside(name)}
    return found


def _is_beside(name: object) -> bool:
    return names_thought(name) or _MUSING.fullmatch(plainly(name)) is not None


class Said(NamedTuple):
    """What a message says."""

    text: str | None
    """None: it has no text at all."""
    reasoning: str | None
    """None: none stands apart from the text."""
    note: str | None = None
    """What was read by its looks alone; None: nothing."""


def said(message: Mapping[str, Any], content: Any) -> Said:
    """Text and reasoning of a message; `content` is its text or its list of parts. ValueError for any other content."""
    if content is not None and not isinstance(content, str | list):
        raise ValueError(f"{type(content).__name__} in place of a text")
    found = pieces(content)
    text = "".join(piece for thought, piece in found if not thought)
    inside = "\n\n".join(piece.strip() for thought, piece in found if thought and piece.strip())
    fields = thoughts(message)
    if len(fields) > MOST_FIELDS:
        raise ValueError(f"{len(fields):,} fields of reasoning")
    beside = [thought(value) for value in fields.values()]
    reasoning = _merged([one for one in (*beside, inside) if one])
    if reasoning is None and not text.strip():  # all that there is: an answer filed wrong, be it "No" or "42"
        reasoning = next((value for value in fields.values() if isinstance(value, str) and value.strip()), None)
    odd = [*(_by_name(name, value) for name, value in fields.items()), _strange(content)]
    return Said(
        text if isinstance(content, str) or any(not thought for thought, _ in found) else None,
        reasoning,
        "; ".join(filter(None, odd)) or None,
    )


def pieces(content: Any) -> list[tuple[bool, str]]:
    """(whether it is reasoning, text) of a content's parts, in their order; those that hold no text are left out."""
    parts = content if isinstance(content, list) else [content]
    return [(_is_thought(part), text) for part in parts if (text := flat(part))]


def thought(value: Any) -> str | None:
    """The reasoning in a field that may hold some; None for a setting, a number or nothing."""
    text = deep(_opened(value))
    return None if not text.strip() or _is_setting(text) else text


def numeral(text: str) -> bool:
    """Whether a text is a number or a mark, and nothing that was thought."""
    return not any(map(str.isalpha, text)) and "=" not in text


def label(text: str) -> bool:
    """Whether a thought is so short that it may be a label or a setting which nobody knows: a word, or three, without
    the end of a sentence."""
    return len(text.split()) <= _FEW and text.isascii() and "=" not in text and _ENDED.search(text) is None


def _by_name(name: object, value: Any) -> str | None:
    return (
        None if names_thought(name) or thought(value) is None else f"`{name}` is taken for the reasoning, by its name"
    )


def _is_setting(text: str) -> bool:
    """Whether a text says how much was to be thought, or nothing."""
    plain = " ".join(text.split()).strip().lower()
    bare = plain.strip("[](){}<>#/\"'*_.-– ")
    if not any(map(str.isalnum, plain)):
        return True
    ended = plain.endswith(".") and plain[:-1].isalpha()  # "Unknown." was said by somebody
    return (not ended and (plain in _SETTINGS or bare in _SETTINGS)) or _SAYING.fullmatch(bare) is not None


def _opened(value: Any) -> Any:
    """What a text of JSON holds, as tables keep lists and objects; anything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("[", "{") or unfolds(value):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, list | dict) else value


def deep(value: Any) -> str:
    """All the text of a thought: where an object keeps it in fields that nobody knows (`steps`), all that reads as
    prose."""
    text = flat(value)
    leaves = list(_prose(value)) if isinstance(value, list | dict) else []
    return "\n\n".join(leaves) if sum(map(len, leaves)) > len(text) else text


def _prose(value: Any) -> Iterator[str]:
    if isinstance(value, str) and (" " in value.strip() or _ENDED.search(value) or not value.isascii()):
        yield value.strip()
    inner = value if isinstance(value, list) else []
    if isinstance(value, dict):
        about = (*_ABOUT, "summary") if value.get("content") else _ABOUT
        inner = [one for name, one in value.items() if name not in about]
    for one in inner:
        yield from _prose(one)


def flat(value: Any) -> str:
    """All the text in a text, an object with a text, or a list of such."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        apart = all(_stands_alone(one) for one in value)
        return ("\n\n" if apart else "").join(filter(None, map(flat, value)))
    if isinstance(value, dict):
        names = (*_INNER, *filter(_is_beside, value))
        return next((text for name in names if (text := flat(value.get(name)))), "")
    return ""


def _stands_alone(one: Any) -> bool:
    """Whether a piece of a list is a paragraph of its own: a summary, a step, or a text that isn't cut at a blank."""
    if isinstance(one, dict):
        return "summary" in str(one.get("type")) or ("type" not in one and (text := flat(one)) == text.strip())
    return isinstance(one, str) and one == one.strip()


def _kind(part: dict[str, Any]) -> str:
    return plainly(part.get("type") or part.get("channel") or "")


def _is_thought(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    if part.get("thought") is True or _THINKS.search(_kind(part)):
        return True
    return not flat({name: part.get(name) for name in ("text", "content")}) and any(map(_is_beside, part))


def knows_part(part: dict[str, Any]) -> bool:
    """Whether an object is surely a part of a content: of a known type, with a text."""
    return bool(part.get("type")) and bool(flat(part)) and (_kind(part) in _SPEAKS or _is_thought(part))


def _strange(content: Any) -> str | None:
    """What to tell of parts of a type that nobody knows, whose text is read as the answer's."""
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    kinds = [_kind(part) for part in parts if flat(part) and not _is_thought(part)]
    unknown = list(dict.fromkeys(kind[:40] for kind in kinds if kind not in _SPEAKS))
    return f"a part of the type `{'`, `'.join(unknown)}` is read as the answer's" if unknown else None


def _merged(texts: list[str]) -> str | None:
    """The same reasoning under two names counts once, and the longer of two of which one holds the other."""
    kept: dict[str, str] = {}
    for text in sorted(texts, key=len, reverse=True):
        bare = "".join(text.split())
        if not any(bare in other for other in kept.values()):
            kept[text] = bare
    return "\n\n".join(text for text in dict.fromkeys(texts) if text in kept) or None
