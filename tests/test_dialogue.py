"""Dialogues: pure, resumable, and driven to the same results in memory, one by one, and over a ledger."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from unwaver.dialogue import Call, Dialogue, Ended, follow, go_on, rounds
from unwaver.records import Message, Reply, Request


def asked(text: str) -> Call:
    return Call("judge", Request(messages=(Message(role="user", content=text),)))


def counting(wanted: int, name: str = "") -> Dialogue[list[str]]:
    """So many calls, each naming the reply before it; the texts that were heard."""
    heard: list[str] = []
    for _ in range(wanted):
        reply = yield asked(f"{name} after {heard[-1] if heard else 'nothing'}")
        heard.append(reply.text)
    return heard


def answer(call: Call) -> Reply:
    return Reply(text=f"[{call.request.messages[0].content}]", ending="stop")


@given(st.lists(st.integers(0, 4), max_size=8))
def test_rounds_in_memory_come_to_what_each_comes_to_alone(lengths: list[int]) -> None:
    sizes: list[int] = []

    def ask_all(calls: list[Call]) -> list[Reply]:
        sizes.append(len(calls))
        return [answer(call) for call in calls]

    found = rounds([counting(n, str(at)) for at, n in enumerate(lengths)], ask_all)

    async def alone(at: int, n: int) -> list[str]:
        async def ask(call: Call) -> Reply:
            return answer(call)

        return await follow(counting(n, str(at)), ask)

    assert found == [asyncio.run(alone(at, n)) for at, n in enumerate(lengths)]
    assert sizes == [sum(n > k for n in lengths) for k in range(max(lengths, default=0))]


@given(st.integers(0, 6), st.integers(0, 6))
def test_a_dialogue_begun_anew_goes_on_at_the_first_call_that_was_never_made(wanted: int, made: int) -> None:
    ledger: dict[str, Reply] = {}
    dialogue = counting(wanted)
    step = go_on(dialogue, lambda call: None)
    while isinstance(step, Call) and len(ledger) < made:
        ledger[step.request.id] = answer(step)
        step = go_on(counting(wanted), lambda call: ledger.get(call.request.id))
    assert isinstance(step, Ended) == (made >= wanted)
    if isinstance(step, Ended):
        assert len(step.result) == wanted  # type: ignore[arg-type]
    else:
        assert step.request.id not in ledger
