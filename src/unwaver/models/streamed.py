"""A chat completion from what a server sent: in one piece, or as a stream of events put together into the same.

Long replies are streamed where a proxy cuts connections on which nothing moves. A stream that ends without saying so
is a connection that was cut: a failure to be tried again, never half a reply.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from unwaver.models import Transient

DONE = "[DONE]"
"""The last event of a stream."""

TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
"""Fields of a message that come in pieces."""


def whole(raw: bytes) -> Any:
    """The body of a completion; ValueError where it is no JSON, Transient where a stream was cut."""
    text = raw.decode("utf-8")
    if not text.lstrip().startswith(("data:", "event:", "id:", "retry:", ":")):
        return json.loads(text)
    message: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    body: dict[str, Any] = {}
    ended = False
    for event in _events(text):
        if event == DONE:
            ended = True
            break
        chunk = json.loads(event)
        if not isinstance(chunk, dict):
            raise ValueError(f"an event of type {type(chunk).__name__}")
        if chunk.get("error"):
            return chunk
        if chunk.get("usage"):
            body["usage"] = chunk["usage"]
        for piece in _first(chunk.get("choices")):
            _add(message, piece.get("delta"), TEXTS)
            _add(choice, piece, ("text",))
            choice |= {key: piece[key] for key in ("finish_reason", "error") if piece.get(key)}
    if not ended and not choice.get("finish_reason") and not choice.get("error"):
        raise Transient("the connection was cut in the middle of the reply")
    return {**body, "choices": [{"message": message, **choice} if message else choice]}


def _events(text: str) -> Iterator[str]:
    """The data of each event; comments, which keep a connection alive, and other fields are passed over."""
    data: list[str] = []
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []


def _first(choices: Any) -> list[dict[str, Any]]:
    """The pieces of the first choice."""
    found = choices if isinstance(choices, list) else []
    return [piece for piece in found if isinstance(piece, dict) and not piece.get("index")]


def _add(whole: dict[str, Any], piece: Any, names: tuple[str, ...]) -> None:
    """Append a piece to texts, and to lists of parts, under the same names."""
    for name in names:
        value = piece.get(name) if isinstance(piece, dict) else None
        if value is None:
            continue
        before = whole.get(name)
        if before is None:
            whole[name] = value
        elif type(before) is type(value) and isinstance(value, str | list):
            whole[name] = before + value
        else:
            raise ValueError(f"{name} comes as {type(before).__name__} and as {type(value).__name__}")
