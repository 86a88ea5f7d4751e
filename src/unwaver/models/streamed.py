"""A chat completion from what a server sent: in one piece, or as a stream of events put together into the same.

Long replies are streamed where a proxy cuts connections on which nothing moves. A stream that ends without saying so
is a connection that was cut: a failure to be tried again, never half a reply. Some servers send with every event all
text so far: where that shows, the last is the text, and it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from unwaver.models import Refused, Transient
from unwaver.objects import MOST_VALUES, of_json, unfolds
from unwaver.parts import deep, pieces, thoughts

DONE = "[DONE]"
"""The last event of a stream."""

TEXTS = ("content", "refusal")
"""Fields of a message that come in pieces, besides those that hold a thought."""


KEPT = ("finish_reason", "native_finish_reason", "stop_reason", "finishReason", "error", "content_filter_results")
"""Fields of a choice that come once."""

ABOUT = ("usage", "usageMetadata", "prompt_filter_results", "promptFeedback")
"""Fields of a body that say something of the whole call."""


GROWN = 3
"""As many pieces, each of which begins with the one before and goes on, are no accident: each is all text so far."""

ALL_SO_FAR = "streamed with all text so far in every event: the last was taken"


class Whole(NamedTuple):
    """What a server sent."""

    body: Any
    note: str | None = None
    """What to tell of how it was read."""


Fields = dict[str, list[Any]]
"""What came under each name that may hold a text."""


class _Choice:
    """What came of one choice: in pieces, in whole messages (some servers send one where the pieces would be, or behind
    them), and beside both."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.deltas: Fields = {}
        self.messages: Fields = {}
        self.beside: Fields = {}

    def add(self, piece: dict[str, Any]) -> None:
        self.kept |= {key: piece[key] for key in KEPT if piece.get(key)}
        _take(piece, ("text",), self.beside)
        for said, taken in ((piece.get("delta"), self.deltas), (piece.get("message"), self.messages)):
            if isinstance(said, dict):
                _take({**thoughts(said), **said}, TEXTS, taken)


def whole(raw: bytes) -> Whole:
    """The body of a completion; ValueError where it is no JSON, Transient where a stream was cut."""
    text = raw.decode("utf-8-sig")
    if not text.lstrip().startswith(("data:", "event:", "id:", "retry:", ":")):
        return Whole(_of_json(text))
    if text.count("\n") + text.count("\r") > MOST_VALUES:
        raise Refused(f"the server's reply has more than {MOST_VALUES:,} lines; it was not read")
    choices: dict[Any, _Choice] = {}
    body: dict[str, Any] = {}
    ended = False
    for name, event in _events(text):
        if event == DONE:
            ended = True
            break
        chunk = _of_json(event)
        if not isinstance(chunk, dict):
            raise ValueError(f"an event of type {type(chunk).__name__}")
        if chunk.get("error"):
            return Whole(chunk)
        if name == "error" or chunk.get("object") == "error":
            return Whole({"error": chunk})
        body |= {key: chunk[key] for key in ABOUT if chunk.get(key)}
        for place, piece in numbered(chunk.get("choices")):
            choices.setdefault(place, _Choice()).add(piece)
    kept = choices[min(choices)].kept if choices else {}
    if not ended and not kept.get("finish_reason") and not kept.get("error"):
        raise Transient("the connection was cut in the middle of the reply")
    return _put_together(body, choices or {0: _Choice()})


def _of_json(text: str) -> Any:
    if unfolds(text):
        raise Refused(f"the server's reply has more than {MOST_VALUES:,} values; it was not read")
    return of_json(text)


def numbered(choices: Any) -> list[tuple[int, dict[str, Any]]]:
    """(index, choice), the lowest first; a choice that says none has its place in the list."""
    found = choices if isinstance(choices, list) else []
    told = [(one.get("index"), place, one) for place, one in enumerate(found) if isinstance(one, dict)]
    return sorted(((at if type(at) is int else place, one) for at, place, one in told), key=itemgetter(0))


def _put_together(body: dict[str, Any], choices: dict[int, _Choice]) -> Whole:
    came = [field for one in choices.values() for field in (*one.deltas.items(), *one.beside.items())]
    so_far = any(_grown(name, values) >= GROWN for name, values in came)
    made = []
    for place, one in choices.items():
        message = _joined(one.deltas, so_far)
        if not any(message.values()):
            message = _joined(one.messages, all(_grown(name, values) for name, values in one.messages.items()))
        choice = {"index": place, **_joined(one.beside, so_far), **one.kept}
        made.append({"message": message, **choice} if message else choice)
    return Whole({**body, "choices": made}, ALL_SO_FAR if so_far else None)


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


def _take(piece: dict[str, Any], names: tuple[str, ...], taken: Fields) -> None:
    """Note what stands in a piece under each name that may hold a text; content may be a text or parts."""
    for name in dict.fromkeys((*names, *thoughts(piece))):
        value, apart = piece.get(name), name not in names
        if value is None or (apart and isinstance(value, bool | int | float)):  # a setting, or a count
            continue
        if not (isinstance(value, str | list | dict) if apart else _is_content(value)):
            raise ValueError(f"{name} comes as {type(value).__name__}")
        taken.setdefault(name, []).append(value)


def _is_content(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, dict) for part in value))


def _grown(name: str, values: Sequence[Any]) -> int:
    """How many texts came of which each begins with the one before and goes on; 0: one doesn't.

    Half a letter, which the next piece completes, comes as U+FFFD.
    """
    texts = [text for text, _ in groupby(_texts(name, value) for value in values) if any(text)]
    for before, after in pairwise(texts):
        if not all(late.startswith(early.rstrip("\ufffd")) for early, late in zip(before, after, strict=True)):
            return 0
    return len(texts)


def _texts(name: str, value: Any) -> tuple[str, str]:
    """(what is thought, what is said) in a piece, as far as it tells them apart."""
    if isinstance(value, str) or name != "content":
        return "", deep(value)
    found = pieces(value)
    return "".join(text for thought, text in found if thought), "".join(text for thought, text in found if not thought)


def _joined(said: Fields, so_far: bool) -> dict[str, Any]:
    """The pieces that came under each name, put together; `so_far`: of those that grew, the last alone."""
    whole: dict[str, Any] = {}
    for name, values in said.items():
        taken = [value for value in values if value][-1:] if so_far and _grown(name, values) else values
        if name != "content":
            whole[name] = _gone_on(taken)
        elif all(isinstance(value, str) for value in taken):
            whole[name] = "".join(taken)
        else:
            whole[name] = _parts(taken)
    return whole


def _gone_on(values: Sequence[Any]) -> str:
    """Pieces as one text; MiniMax's `reasoning_details` hold all of it so far, every time."""
    texts: list[str] = []
    length = 0
    for value in values:
        text = deep(value)
        if isinstance(value, list) and 0 < length < len(text) and text.startswith("".join(texts)):
            texts, length = [], 0
        texts.append(text)
        length += len(text)
    return "".join(texts)


def _parts(contents: Sequence[Any]) -> list[dict[str, str]]:
    """Contents as one list of parts; pieces of the same kind that follow one another are one part."""
    found = groupby((piece for content in contents for piece in pieces(content)), key=itemgetter(0))
    return [
        {"type": "thinking" if thought else "text", "text": "".join(text for _, text in same)}
        for thought, same in found
    ]
