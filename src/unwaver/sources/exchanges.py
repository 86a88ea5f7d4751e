"""Logged calls of chat APIs, in the shapes of their vendors, as rows with turns. Pure."""

from __future__ import annotations

import json
from typing import Any

from unwaver.errors import RecordError
from unwaver.sources.files import RawRow
from unwaver.sources.turns import ANSWERS, ROLES

SENT, CAME = ("request", "inputs", "input", "kwargs", "body"), ("response", "outputs", "output")
"""Columns in which a call and its reply are logged."""

TEXTS = ("response", "completion", "answer", "output")
"""Columns of a reply: a row that has a text in one is no logged call, unless what was sent stands apart."""

TURNS = ("messages", "contents", "input", "conversation")
ASKED = ("prompt", "inputs", "input", "message", "question", "query", "text")
"""Fields of a call: the turns, or one text."""

Replied = tuple[list[dict[str, Any]], Any]
"""The turns of a reply, and how it ended in the words of who logged it."""


def exchange(row: RawRow, place: str) -> RawRow:
    """A logged call as a row with turns; any other row, or a call with several replies, as it was.

    A call that came to an error or to a block has no reply. RecordError where what came back has a shape nobody knows.
    """
    sent = next((body for name in SENT if (body := _body(row.get(name)))), {})
    turns = _asked(sent)
    logged = turns is not None
    if not logged and any(isinstance(row.get(name), str) and row[name].strip() for name in TEXTS):
        return row  # a reply is there, whatever stands beside it
    turns = turns or _asked(row)
    came = next((row[name] for name in (*CAME, *(("result",) if logged else ())) if row.get(name)), None)
    if turns is None or ROLES.get(str(turns[-1].get("role")).lower()) == "assistant":
        return row
    body = _body(came)
    found = _replied(body, True) or _replied(row, False)
    if found is None and isinstance(came, str) and not body:
        found = [_turn({"content": came})], None
    if found is None and not (logged and came):
        return row
    if found is None:
        found = _none(body, place)
    reply, ending = found
    gone = {*SENT, *CAME, "result", "choices", "candidates", "message"}
    rest = {name: value for name, value in row.items() if str(name).partition(".")[0] not in gone}
    return {**rest, "messages": [*turns, *reply], "finish_reason": ending or rest.get("finish_reason")}


def opened(value: Any) -> dict[str, Any]:
    """An object, or what a text of JSON holds where it is one; empty for anything else."""
    if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _body(value: Any) -> dict[str, Any]:
    found = opened(value[0] if isinstance(value, list) and len(value) == 1 else value)
    return next((inner for name in ("body", "params") if (inner := opened(found.get(name)))), found)


def _asked(holder: dict[str, Any]) -> list[dict[str, Any]] | None:
    turns = next((holder[name] for name in TURNS if _is_turns(holder.get(name))), None)
    text = next((holder[name] for name in ASKED if isinstance(holder.get(name), str)), None)
    return turns or (None if text is None else [{"role": "user", "content": text}])


def _is_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _replied(body: dict[str, Any], apart: bool) -> Replied | None:
    """The one reply in a body; None where it has another shape, or several replies.

    `apart`: the body is a reply and nothing else, so that fields which a row of any file may have count as well.
    """
    for name in ("choices", "candidates"):
        if name in body:
            return _chosen(body[name])
    wrapped = body.get("output")
    message = wrapped.get("message") if isinstance(wrapped, dict) else body.get("message")
    if isinstance(message, dict):  # Bedrock; Ollama, Cohere, a batch of Anthropic's
        return [_turn(message)], _why(body) or _why(message)
    if not apart:
        return None
    if isinstance(wrapped, list):  # OpenAI's Responses
        return [one for one in wrapped if isinstance(one, dict)], _why(body)
    if "content" in body and (body.get("role") or "stop_reason" in body):  # Anthropic, or a bare turn
        return [_turn(body)], _why(body)
    text = next((body[name] for name in ("text", *ANSWERS) if isinstance(body.get(name), str)), None)
    return None if text is None else ([_turn({**body, "content": text})], _why(body))  # TGI; Ollama; Cohere


def _chosen(choices: Any) -> Replied | None:
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    one = choices[0]
    message = one.get("message", one.get("content"))
    if isinstance(message, dict):  # Google's candidates keep their parts under `content`
        return [_turn(message)], _why(one)
    if isinstance(one.get("text"), str):
        return [_turn({"content": one["text"]})], _why(one)
    return ([], _why(one)) if message is None and _why(one) and "delta" not in one else None


def _none(body: dict[str, Any], place: str) -> Replied:
    """No reply, where a call says why there is none."""
    blocked = opened(body.get("promptFeedback") or body.get("prompt_feedback"))
    if why := blocked.get("blockReason") or blocked.get("block_reason"):
        return [], f"blocked: {why}"
    if body.get("error"):
        return [], "error"
    fields = f"an object with {', '.join(map(str, body))[:80]}" if body else "no object"
    raise RecordError(f"{place}: a logged call: expected one reply in what came back, got {fields}")


def _turn(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "role": message.get("role") or "assistant"}


def _why(body: dict[str, Any]) -> Any:
    """How a reply ended, under whatever name."""
    for inner in ("incomplete_details", "details"):
        found = body.get(inner)
        if isinstance(found, dict) and (why := found.get("reason") or found.get("finish_reason")):
            return why
    names = ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason", "status")
    return next((body[name] for name in names if body.get(name)), None)
