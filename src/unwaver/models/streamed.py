"""A chat completion from what a server sent: in one piece, or as a stream of events put together into the same.

Long replies are streamed where a proxy cuts connections on which nothing moves. A stream that ends without saying so
is a connection that was cut: a failure to be tried again, never half a reply.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unwaver.models import Transient
from unwaver.objects import of_json
from unwaver.parts import deep, pieces, thoughts

DONE = "[DONE]"
"""The last event of a stream."""

TEXTS = ("content", "refusal")
"""Fields of a message that come in pieces, besides those that hold a thought."""


KEPT = ("finish_reason", "native_finish_reason", "stop_reason", "finishReason", "error", "content_filter_results")
"""Fields of a choice that come once."""

ABOUT = ("usage", "usageMetadata", "prompt_filter_results", "promptFeedback")
"""Fields of a body that say something of the whole call."""


def whole(raw: bytes) -> Any:
    """The body of a completion; ValueError where it is no JSON, Transient where a stream was cut."""
    text = raw.decode("utf-8-sig")
    if not text.lstrip().startswith(("data:", "event:", "id:", "retry:", ":")):
        return of_json(text)
    message: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    body: dict[str, Any] = {}
    ended = False
    for name, event in _events(text):
        if event == DONE:
            ended = True
            break
        chunk = of_json(event)
        if not isinstance(chunk, dict):
            raise ValueError(f"an event of type {type(chunk).__name__}")
        if chunk.get("error"):
            return chunk
        if name == "error" or chunk.get("object") == "error":
            return {"error": chunk}
        body |= {key: chunk[key] for key in ABOUT if chunk.get(key)}
        for piece in _first(chunk.get("choices")):
            _add(message, _said_in(piece, message), TEXTS)
            _add(choice, piece, ("text",))
            choice |= {key: piece[key] for key in KEPT if piece.get(key)}
    if not ended and not choice.get("finish_reason") and not choice.get("error"):
        raise Transient("the connection was cut in the middle of the reply")
    return {**body, "choices": [{"message": message, **choice} if message else choice]}


def _events(text: str) -> Iterator[tuple[str, str]]:
    """(its name, its data) of each event; comments, which keep a connection alive, and other fields are passed over."""
    data: list[str] = []
    name = ""
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif not line:
            if data:
                yield name, "\n".join(data)
            data, name = [], ""


def _first(choices: Any) -> list[dict[str, Any]]:
    """The pieces of the first choice."""
    found = choices if isinstance(choices, list) else []
    return [piece for piece in found if isinstance(piece, dict) and not piece.get("index")]


def _said_in(piece: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """What a piece adds to the message; some servers send all of it at once, where the pieces would be."""
    said = piece.get("delta") or (None if message else piece.get("message"))
    return {**thoughts(said), **said} if isinstance(said, dict) else {}


def _add(whole: dict[str, Any], piece: dict[str, Any], names: tuple[str, ...]) -> None:
    """Append a piece to what came under the same name: a text to a text, and parts to parts; content may be either."""
    for name in dict.fromkeys((*names, *thoughts(piece))):
        value, apart = piece.get(name), name not in names
        if value is None or (apart and isinstance(value, bool | int | float)):  # a setting, or a count
            continue
        if not (isinstance(value, str | list | dict) if apart else _is_content(value)):
            raise ValueError(f"{name} comes as {type(value).__name__}")
        if name != "content":
            whole[name] = _gone_on(whole.get(name, ""), deep(value), isinstance(value, list))
        elif isinstance(value, str) and isinstance(whole.get(name, ""), str):
            whole[name] = whole.get(name, "") + value
        else:
            whole[name] = _parts(whole.get(name, ""), value)


def _gone_on(before: str, text: str, listed: bool) -> str:
    """The text so far with what came now; MiniMax's `reasoning_details` hold all of it so far, every time."""
    return text if listed and before and len(text) > len(before) and text.startswith(before) else before + text


def _is_content(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, dict) for part in value))


def _parts(*contents: Any) -> list[dict[str, str]]:
    """Contents as one list of parts; pieces of the same kind that follow one another are one part."""
    parts: list[dict[str, str]] = []
    for thought, text in (piece for content in contents for piece in pieces(content)):
        kind = "thinking" if thought else "text"
        if parts and parts[-1]["type"] == kind:
            parts[-1]["text"] += text
        else:
            parts.append({"type": kind, "text": text})
    return parts
