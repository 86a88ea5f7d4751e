"""Conversations in files: turns under whatever names, the last user turn, and the reply to it.

A turn's role stands in `role` or `from`, or is the name of its one field; its text in `content`, `value` or `text`,
whole or in parts; its reasoning beside it, among the parts (`unwaver.parts`), or in a turn of its own before it.
A role nobody knows is told, never passed over. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from unwaver.errors import RecordError
from unwaver.objects import of_json
from unwaver.parts import Said, flat, knows_part, said
from unwaver.sources.source import blank

ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "question", "instruction"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "chatgpt", "model", "bot", "ai", "bing", "bard", "claude", "chatbot"), "assistant"
    ),
    **dict.fromkeys(("llm", "agent", "response", "answer", "output"), "assistant"),
    **dict.fromkeys(("用户", "用戶", "人类", "ユーザー", "사용자"), "user"),
    **dict.fromkeys(("助手", "助理", "アシスタント", "모델"), "assistant"),
    **dict.fromkeys(("system", "developer", "tool", "function", "function_call", "tool_call", "observation"), "other"),
    **dict.fromkeys(("tool_response", "ipython", "environment", "context", "function_call_output"), "other"),
    **dict.fromkeys(("thinking", "think", "thought", "thoughts", "reasoning", "analysis", "cot"), "thought"),
}
"""Roles in `messages` and in ShareGPT's `conversations`, in small letters."""

TEXTS = ("content", "value", "text", "parts", "message")
"""Fields in which a turn keeps its text: OpenAI's, ShareGPT's, OpenAssistant's, Google's ..."""

ANSWERS = ("answer", "final_answer", "response", "final_response", "output", "final", "completion", "generated_text")
"""Fields in which an object that is a reply keeps its text besides."""

TYPES = ("human", "ai", "user", "assistant", "system", "tool", "function_call", "function_call_output")
"""Types of turns that say who speaks, where nothing else does: LangChain's."""

_THINKS = re.compile(r"think|thought|reason|scratch|rationale|monologue|思|推理", re.IGNORECASE)
"""What a role that nobody knows says of itself where its turn is a thought."""


SEVERAL = "turns of the assistant in a row are read as one reply"
EARLIER = "a thought before a tool's turn was not read"


class Reply(NamedTuple):
    """A reply as a file holds it."""

    text: str
    apart: str | None = None
    """Its reasoning where that stands apart."""
    note: str | None = None
    """What was read by its looks alone; None: nothing."""
    fields: Mapping[str, Any] = {}
    """What else its turn holds."""


@dataclass(frozen=True)
class Conversation:
    """What a conversation came to."""

    prompt: str
    """Its last user turn."""
    reply: Reply | None
    """The last assistant turn after it; None: there is none, or an empty one."""
    note: str | None = None
    """What to tell of turns behind the prompt that were not read; None: nothing."""


def conversation(content: Any, place: str) -> Conversation:
    """What was asked and answered in a list of turns, or in its JSON; RecordError where that can't be told."""
    if isinstance(content, str):
        try:
            content = of_json(content)
        except (ValueError, RecursionError) as error:
            raise RecordError(
                f"{place}: messages: expected a list of turns, got text that is not JSON ({error})"
            ) from None
    turns = turns_of(content, place)
    asked = [at for at, turn in enumerate(turns) if turn.role == "user"]
    if not asked or blank(turns[asked[-1]].text):
        raise RecordError(f"{place}: messages: expected a user turn with text{_strangers(turns)}")
    after = turns[asked[-1] + 1 :]
    replies = [turn for turn in after if turn.role == "assistant"]
    if not replies and _strangers(after):
        raise RecordError(f"{place}: messages: expected the reply in a turn of the role assistant{_strangers(after)}")
    passed = f"turns behind the prompt were not read{_strangers(after)}" if _strangers(after) else None
    return Conversation(turns[asked[-1]].text, reply_in(after), passed)


def reply_in(turns: Sequence[Turn]) -> Reply | None:
    """The last reply among turns: those of the assistant that follow one another, as some files hold thought and answer
    in two; with the turns that are a thought before them. None where it is empty."""
    ends = max((at for at, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    since = max((at for at, turn in enumerate(turns[:ends]) if turn.role not in ("assistant", "thought")), default=-1)
    kept = turns[since + 1 : ends + 1]
    texts = [turn.text for turn in kept if turn.role == "assistant" and turn.text]
    text = "\n\n".join(texts)
    thoughts = [turn.text if turn.role == "thought" else turn.apart for turn in kept]
    apart = "\n\n".join(thought for thought in thoughts if thought) or None
    odd = [SEVERAL if len(texts) > 1 else None, *(turn.note for turn in kept)]
    odd.append(EARLIER if any(turn.apart or turn.role == "thought" for turn in turns[: since + 1]) else None)
    note = "; ".join(dict.fromkeys(filter(None, odd))) or None
    return Reply(text, apart, note, kept[-1].fields) if text or apart else None


def reply_of(value: dict[str, Any] | list[Any], place: str) -> Reply | None:
    """The reply in a column that holds turns, the parts of one, or an object with its text; None where it is empty."""
    if isinstance(value, dict):
        turn = _as_turn(value)
    elif any(isinstance(one, dict) and ("role" in one or "from" in one) for one in value):
        return reply_in(turns_of(value, place))
    else:
        turn = {"content": value}
    if turn is None:
        fields = ", ".join(map(str, value))[:80]
        raise RecordError(f"{place}: expected text, got an object with {fields} (--map response=COLUMN.FIELD)")
    found = reply_in(turns_of([{**turn, "role": "assistant"}], place))
    if found is None and value:
        raise RecordError(f"{place}: expected a text or the parts of one, got {type(value).__name__} without any text")
    return found


def _as_turn(value: dict[str, Any]) -> dict[str, Any] | None:
    """An object as a turn, by the field that its text stands in."""
    name = next((name for name in (*TEXTS, *ANSWERS) if value.get(name)), None)
    if name is None:
        return None if value else {"content": ""}
    inner = value[name]
    if isinstance(inner, dict):
        return _as_turn(inner)
    return {**{key: one for key, one in value.items() if key != name}, "content": inner}


@dataclass(frozen=True)
class Turn:
    """One turn."""

    role: str
    """user, assistant, thought, other, or a role nobody knows, as it was written."""
    text: str
    apart: str | None
    """Reasoning that stands apart from the text."""
    note: str | None = None
    """What was read by its looks alone."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """All its other fields."""


def _strangers(turns: Sequence[Turn]) -> str:
    unknown = list(
        dict.fromkeys(turn.role[:40] for turn in turns if turn.role not in ("user", "assistant", "thought", "other"))
    )
    return f", got the roles {', '.join(unknown)}" if unknown else ""


def turns_of(content: Any, place: str) -> list[Turn]:
    """The turns of a conversation, whatever their fields are called."""
    if not isinstance(content, list) or not content:
        got = "an empty list" if content == [] else type(content).__name__
        raise RecordError(f"{place}: messages: expected a list of turns, got {got}")
    return [_read(turn, place) for turn in content]


def _read(turn: Any, place: str) -> Turn:
    if not isinstance(turn, dict):
        raise RecordError(f"{place}: messages: expected turns as objects, got {type(turn).__name__}")
    named = _role(turn)
    if not named and len(turn) == 1:  # {"user": "..."}
        named, turn = next((str(name), {"content": value}) for name, value in turn.items())
    content = next((turn[name] for name in TEXTS if turn.get(name) is not None), None)
    inner = _as_turn(content) if isinstance(content, dict) else None
    fields = turn if inner is None else {**turn, **inner}
    content = content if inner is None else inner["content"]
    content = parts_in(content) or content or turn.get("refusal")  # OpenAI's, in place of a content
    try:
        found = said(fields, content)
    except ValueError as error:
        raise RecordError(f"{place}: messages: expected text, got {str(error).partition(' ')[0]}") from None
    role = ROLES.get(named.strip().lower()) or ("thought" if _THINKS.search(named) else named or "no role")
    role = "other" if _is_result(content) else role
    if _only_thought(turn, role):
        role, found = "thought", Said(found.text or found.reasoning or flat(turn), None)
    rest = {name: value for name, value in fields.items() if name not in ("role", "from", *TEXTS)}
    return Turn(role, found.text or "", found.reasoning, found.note, rest)


def _role(turn: dict[str, Any]) -> str:
    """Who speaks in a turn, as it was written; "" where it doesn't say."""
    found = next((turn[name] for name in ("role", "from", "speaker", "author", "sender") if name in turn), "")
    found = found.get("role", "") if isinstance(found, dict) else found
    return str(found or (turn.get("type") if turn.get("type") in TYPES else ""))


def parts_in(text: Any) -> list[dict[str, Any]] | None:
    """The parts of a content that was kept as a text of JSON; None for any other text."""
    if not isinstance(text, str) or not (text.startswith("[{") and text.endswith("}]")):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if all(isinstance(one, dict) and knows_part(one) for one in found) else None


def _is_result(content: Any) -> bool:
    """Whether a content is what a tool gave back, which Anthropic sends as the user's."""
    kinds = [part.get("type") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return bool(kinds) and all(str(kind).endswith("tool_result") for kind in kinds)


def _only_thought(turn: dict[str, Any], role: str) -> bool:
    """Whether a turn is a thought and no reply, by its channel (gpt-oss), its type (OpenAI's Responses) or a mark."""
    if any(turn.get(name) is True for name in ("is_thought", "is_thinking", "is_reasoning", "thought")):
        return role == "assistant"
    channel, kind = (str(turn.get(name) or "").lower() for name in ("channel", "type"))
    return (role == "assistant" and channel in ("analysis", "commentary")) or (
        role == "no role" and kind == "reasoning"
    )
