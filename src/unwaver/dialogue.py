"""Several calls for one result: a generator that is owed one reply at a time and ends in what they come to.

    def read(trace, reader):
        reply = yield Call("judge", reader.request(trace))
        ...
        return verdict

A dialogue is pure: no I/O, no clock, no chance of its own, so the same replies always lead to the same next call and to
the same result. That is what makes it resumable: it is begun anew and handed the replies the ledger holds, up to the
first call that was never made. Who makes the calls is `stages.dialogues`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from unwaver.records import Reply, Request

T = TypeVar("T")
M = TypeVar("M")


@dataclass(frozen=True)
class Call:
    """One call: whom it goes to, by role, and what is asked."""

    role: str
    request: Request


Dialogue = Generator[Call, Reply, T]
"""Yields the call that is owed, is sent its reply, returns the result."""

Heard = Callable[[Call], Reply | None]
"""The reply to a call, None where it was never made."""


def asked_of(call: Call, models: Mapping[str, M]) -> M:
    """Whom a call goes to; ValueError where its dialogue never said that it asks that role."""
    if call.role not in models:
        said = ", ".join(models) or "nobody"
        raise ValueError(f"a dialogue asks `{call.role}`, and its `roles` name {said}")
    return models[call.role]


@dataclass(frozen=True)
class Ended:
    """A dialogue that needs no further call."""

    result: object


def go_on(dialogue: Dialogue[T], heard: Heard) -> Call | Ended:
    """Take a fresh dialogue as far as the replies go: the first call without one, or its end."""
    try:
        call = next(dialogue)
        while (reply := heard(call)) is not None:
            call = dialogue.send(reply)
    except StopIteration as end:
        return Ended(end.value)
    return call


def rounds(dialogues: Sequence[Dialogue[T]], ask_all: Callable[[list[Call]], Sequence[Reply]]) -> list[T]:
    """Take dialogues to their ends in memory, the k-th calls of all of them together; the results in their order."""
    results: dict[int, T] = {}
    replies: dict[int, Reply | None] = dict.fromkeys(range(len(dialogues)))
    while replies:
        owed: dict[int, Call] = {}
        for at, reply in replies.items():
            try:
                owed[at] = next(dialogues[at]) if reply is None else dialogues[at].send(reply)
            except StopIteration as end:
                results[at] = end.value
        replies = dict(zip(owed, ask_all(list(owed.values())) if owed else (), strict=True))
    return [results[at] for at in range(len(dialogues))]


async def follow(dialogue: Dialogue[T], ask: Callable[[Call], Awaitable[Reply]]) -> T:
    """Take one dialogue to its end, each call as soon as the one before it is answered."""
    try:
        call = next(dialogue)
        while True:
            call = dialogue.send(await ask(call))
    except StopIteration as end:
        result: T = end.value
        return result
