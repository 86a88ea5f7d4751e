"""What an endpoint makes of everything a server may send, over real HTTP; and where the key goes: nowhere else."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from faulty_server import Answer, saying

from unwaver.errors import EXIT_UNFINISHED, RecipeError, RunError
from unwaver.ledger import Ledger
from unwaver.models import Refused, Transient
from unwaver.models.endpoint import Endpoint
from unwaver.models.engine import Engine, Tally
from unwaver.reasoning import trace
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Prompt, Reply, Request, Sampling

KEY = "sk-very-secret-0123456789"
HELLO = Request(messages=(Message(role="user", content="hello"),))


class Server:
    """One server for all tests: says what it was told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.next: Answer = (200, {}, b"")
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.runner = asyncio.Runner()
        self.endpoints: dict[str, Endpoint] = {}

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        self.bodies.append(body)
        self.headers.append(headers)
        return self.next

    def says(self, body: object, status: int = 200, **headers: str) -> Server:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8", "surrogatepass")
        self.next = (status, {name.replace("_", "-"): value for name, value in headers.items()}, payload)
        return self


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    with saying(made.answer) as url:
        made.url = url
        yield made
        for endpoint in made.endpoints.values():
            made.runner.run(endpoint.close())
        made.runner.close()


def ask(server: Server, request: Request = HELLO, **more: Any) -> Reply:
    """One call; endpoints are kept, as a new one reads the certificates of the world."""
    name = json.dumps([server.url, more, os.environ.get("MY_KEY")])
    if name not in server.endpoints:
        server.endpoints[name] = Endpoint(ModelSettings(**{"name": "openai:m", "base_url": server.url, **more}))
    return server.runner.run(server.endpoints[name].reply(request))


def chat(finish: str | None = "stop", usage: object = None, **message: object) -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish, "message": {"role": "assistant", **message}}], "usage": usage}


# ---------------------------------------------------------------- where the reasoning is

PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}]


@pytest.mark.parametrize(
    ("message", "opens", "expected"),
    [
        ({"content": "yes", "reasoning_content": "hm"}, False, ("hm", "yes", "closed")),
        ({"content": "yes", "reasoning": "hm"}, False, ("hm", "yes", "closed")),
        ({"content": "yes", "reasoning_content": None, "reasoning": "hm"}, False, ("hm", "yes", "closed")),
        ({"content": "<think>\nhm\n</think>\n\nyes"}, False, ("hm", "yes", "closed")),
        ({"content": "hm\n</think>\n\nyes"}, False, ("hm", "yes", "closed")),
        ({"content": "hm\n</think>\n\nyes"}, True, ("hm", "yes", "closed")),
        ({"content": "yes", "reasoning_content": ""}, False, (None, "yes", "none")),
        ({"content": "yes", "reasoning": {"effort": "low"}}, False, (None, "yes", "none")),
        ({"content": PARTS}, False, ("hm", "yes", "closed")),
        ({"content": None, "reasoning_content": "hm"}, False, (None, "hm", "none")),
    ],
)
def test_reasoning_is_found_wherever_a_server_puts_it(
    server: Server, message: dict[str, Any], opens: bool, expected: tuple[str | None, str | None, str]
) -> None:
    reply = ask(server.says(chat(**message)), opens_block=opens)
    made = trace(Prompt(text="hello", kind="benign"), HELLO, reply, "m")
    assert (made.reasoning, made.answer, made.block) == expected


@pytest.mark.parametrize(
    ("message", "opens"),
    [
        ({"content": "<think>cut"}, False),
        ({"content": "cut"}, True),
        ({"content": None, "reasoning_content": "cut"}, False),
        ({"content": ""}, False),  # hidden reasoning used up every token
        ({"content": None}, True),
    ],
)
def test_a_reply_cut_while_it_thinks_has_no_answer(server: Server, message: dict[str, Any], opens: bool) -> None:
    reply = ask(server.says(chat("length", {"completion_tokens": 9}, **message)), opens_block=opens)
    made = trace(Prompt(text="hello", kind="benign"), HELLO, reply, "m")
    assert (made.ending, made.answer, made.block) == ("length", None, "unclosed")


# ---------------------------------------------------------------- replies that are sent as they are written


def events(*chunks: object, done: bool = True) -> bytes:
    """Chunks as a server streams them, with the comments that keep a connection alive."""
    lines = [f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}" for chunk in chunks]
    return "\n\n".join([": waiting", *lines, *(["data: [DONE]"] if done else []), ""]).encode()


def piece(finish: str | None = None, **delta: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}


USED = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([{"role": "assistant", "content": ""}, {"content": "ye"}, {"content": "s"}], (None, "yes", "none")),
        ([{"reasoning_content": "h"}, {"reasoning_content": "m"}, {"content": "yes"}], ("hm", "yes", "closed")),
        ([{"reasoning": "h"}, {"reasoning": "m", "content": None}, {"content": "yes"}], ("hm", "yes", "closed")),
        ([{"content": "<think>hm</th"}, {"content": "ink>yes"}], ("hm", "yes", "closed")),
        ([{"content": PARTS[:1]}, {"content": PARTS[1:]}], ("hm", "yes", "closed")),
        ([{"refusal": "I "}, {"refusal": "won't"}], (None, "I won't", "none")),
    ],
)
def test_a_streamed_reply_is_the_same_reply(
    server: Server, pieces: list[dict[str, Any]], expected: tuple[str | None, str | None, str]
) -> None:
    reply = ask(server.says(events(*(piece(**one) for one in pieces), piece("stop"), USED)), stream=True)
    assert (server.bodies[-1]["stream"], server.bodies[-1]["stream_options"]) == (True, {"include_usage": True})
    made = trace(Prompt(text="hello", kind="benign"), HELLO, reply, "m")
    assert (made.reasoning, made.answer, made.block) == expected
    assert (reply.ending, reply.tokens_in, reply.tokens_out) == ("stop", 5, 7)


def test_a_streamed_plain_completion(server: Server) -> None:
    parts = [
        {"choices": [{"index": 0, "text": text, "finish_reason": end}]} for text, end in [("ye", None), ("s", "length")]
    ]
    reply = ask(server.says(events(*parts, done=False)), Request(rendered="hello"), stream=True)
    assert (reply.text, reply.ending) == ("yes", "length")


def test_a_server_that_does_not_stream_is_read_all_the_same(server: Server) -> None:
    assert ask(server.says(chat(content="yes")), stream=True).text == "yes"


def test_streaming_makes_no_other_run() -> None:
    streamed, plain = (ModelSettings(name="openai:m", stream=stream) for stream in (True, False))
    assert streamed.identity() == plain.identity()


HALF = [piece(content="half a "), piece(content="reply")]


@pytest.mark.parametrize(
    "body",
    [
        events(*HALF, done=False),
        events(*HALF, done=False)[:-20],
        events(*HALF, "{"),
        events(*HALF, 3),
        events(*HALF, {"error": {"message": "overloaded", "code": 503}}),
        events(*HALF, {"object": "error", "message": "overloaded", "code": 503}, piece("stop")),
        events(*HALF, done=False) + b'event: error\ndata: {"message": "overloaded"}\n\n' + events(piece("stop")),
        events(*HALF, piece("stop", content=["odd"])),
        events(*HALF, piece("error")),
        events(),
        events(*HALF, piece("stop")).replace(b"half", b"\xff\xfe"),
    ],
)
def test_half_a_stream_is_no_reply(server: Server, body: bytes) -> None:
    with pytest.raises(Transient):
        ask(server.says(body), stream=True)


@pytest.mark.parametrize(
    "choice",
    [
        b'{"finish_reason": "length", "finish_reason": "stop", "message": {"content": "a"}}',
        b'{"finish_reason": "stop", "message": {"content": "I can\'t help.", "content": "Sure."}}',
    ],
)
def test_a_body_that_names_a_field_twice_is_no_reply(server: Server, choice: bytes) -> None:
    with pytest.raises(Transient, match="stands twice"):
        ask(server.says(b'{"choices": [' + choice + b"]}"))


def test_a_connection_cut_in_the_middle_of_a_stream_is_asked_again(tmp_path: Path) -> None:
    asked: list[bool] = []

    def answer(body: dict[str, Any], headers: dict[str, str]) -> Answer:
        asked.append(body["stream"])
        body_of = events(*HALF, done=False), events(*HALF, piece("stop"), USED)
        cut = {"content-length": str(len(body_of[0]) + 100)}
        return (200, cut, body_of[0]) if len(asked) == 1 else (200, {}, body_of[1])

    async def through_the_engine(settings: ModelSettings) -> tuple[Reply, Tally]:
        model = Endpoint(settings)
        with Ledger(tmp_path) as ledger:
            async with Engine(model, settings, ledger) as engine:
                reply = await engine.ask(HELLO)
        await model.close()
        return reply, engine.tally

    with saying(answer) as url:
        reply, tally = asyncio.run(through_the_engine(ModelSettings(name="openai:m", base_url=url, stream=True)))
    assert (reply.text, reply.ending, reply.failure) == ("half a reply", "stop", None)
    assert (len(asked), tally.retries, tally.failed) == (2, 1, 0)


# ---------------------------------------------------------------- how it ended, what it took


@pytest.mark.parametrize(
    ("finish", "tokens", "ending"),
    [
        ("stop", 3, "stop"),
        ("eos", 3, "stop"),
        ("tool_calls", 3, "stop"),
        ("length", 3, "length"),
        ("model_length", 3, "length"),
        ("MAX_TOKENS", 3, "length"),
        ("content_filter", 3, "filter"),
        ("SAFETY", 3, "filter"),
        (None, 99, "stop"),
        (None, 100, "length"),
    ],
)
def test_endings(server: Server, finish: str | None, tokens: int, ending: str) -> None:
    request = HELLO.model_copy(update={"sampling": Sampling(max_tokens=100)})
    reply = ask(server.says(chat(finish, {"completion_tokens": tokens}, content="text")), request)
    assert reply.ending == ending
    assert (reply.failure is not None) == (ending == "filter")
    assert reply.text == ("" if ending == "filter" else "text")


@pytest.mark.parametrize("finish", ["insufficient_system_resource", "abort", "error", "???", None, 7, ["stop"]])
def test_an_end_nobody_knows_is_no_reply(server: Server, finish: Any) -> None:
    with pytest.raises(Transient, match="ended the reply with"):
        ask(server.says(chat(finish, content="text")))


@pytest.mark.parametrize("count", [None, -1, "12", 1.5, True, {}, [3]])
def test_a_token_count_that_is_none_is_none(server: Server, count: object) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": 4, "completion_tokens_details": count}
    reply = ask(server.says(chat(usage=usage, content="text")))
    assert (reply.tokens_in, reply.tokens_out, reply.tokens_reasoning) == (None, 4, None)
    assert ask(server.says(chat(usage=count, content="text"))).tokens_out is None


def test_all_tokens_are_read(server: Server) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 0}}
    reply = ask(server.says(chat(usage=usage, content="text")))
    assert (reply.tokens_in, reply.tokens_out, reply.tokens_reasoning) == (1, 2, 0)


# ---------------------------------------------------------------- what is no reply


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"oops",
        b'{"choices": [{"finish_',
        b"\xff\xfe\xfd",
        b'{"choices": [{"finish_reason": "stop", "message": {"content": "\xff"}}]}',
        b"[" * 100_000,
        b"null",
        b"[1]",
        b'"text"',
        {},
        {"choices": None},
        {"choices": []},
        {"choices": ["text"]},
        {"choices": [{"finish_reason": "stop"}]},
        {"choices": [{"finish_reason": "stop", "message": "text"}]},
        {"error": "overloaded"},
        {"error": {"message": "overloaded"}},
        {"error": {"message": "slow down", "code": 429}},
        {"choices": [{"error": {"message": "upstream is gone", "code": 502}, "message": {"content": "half"}}]},
        chat(content=""),
        chat(content=None),
        chat(content=7),
        chat(content={"text": "x"}),
        chat("tool_calls", content=None, tool_calls=[{"function": {"name": "f"}}]),
    ],
)
def test_what_is_no_reply_may_be_tried_again(server: Server, body: object) -> None:
    with pytest.raises(Transient) as caught:
        ask(server.says(body))
    assert str(caught.value)


def test_the_tokens_of_an_empty_reply_are_told(server: Server) -> None:
    with pytest.raises(Transient) as caught:
        ask(server.says(chat(usage={"prompt_tokens": 5, "completion_tokens": 70}, content="")))
    assert caught.value.spent == (5, 70)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 529])
def test_a_status_that_may_pass(server: Server, status: int) -> None:
    with pytest.raises(Transient, match=f"HTTP {status}: busy") as caught:
        ask(server.says({"error": {"message": "busy"}}, status))
    assert caught.value.crowded == (status == 429)


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("body", [{"error": {"message": "too long"}}, {"detail": "too long"}, {"error": "too long"}])
def test_a_status_that_will_not(server: Server, status: int, body: object) -> None:
    with pytest.raises(Refused, match=f"HTTP {status}: too long"):
        ask(server.says(body, status))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"message": "no money", "code": "insufficient_quota", "type": "insufficient_quota"}}, 429),
        ({"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}}, 402),
    ],
)
def test_an_empty_account_stops_the_stage(server: Server, body: object, status: int) -> None:
    with pytest.raises(RunError, match=r"no credit left.*same command again"):
        ask(server.says(body, status))


def test_a_model_that_is_not_there(server: Server) -> None:
    with pytest.raises(RecipeError, match=r"openai:m: no such model or address.*does not exist"):
        ask(server.says({"error": {"message": "The model m does not exist"}}, 404))


AZURE = {
    "error": {
        "message": "The response was filtered due to the prompt triggering our content management policy.",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (AZURE, 400),
        ({"error": {"message": "Content Exists Risk", "code": "invalid_request_error"}}, 400),
        ({"error": {"message": "Your input was flagged for x", "code": 403, "metadata": {"reasons": ["x"]}}}, 403),
        ({"error": {"message": "Invalid prompt", "code": "invalid_prompt"}}, 400),
        ({"choices": [{"finish_reason": "content_filter", "message": {"content": ""}}]}, 400),
        ({"error": {"message": "Content Exists Risk", "code": 400}}, 200),
    ],
)
def test_a_safety_filter_is_its_own_ending(server: Server, body: object, status: int) -> None:
    reply = ask(server.says(body, status))
    assert reply.ending == "filter"
    assert "filter" in str(reply.failure)


def test_words_of_the_prompt_in_an_error_are_no_filter(server: Server) -> None:
    error = {"message": "prompt is too long", "input": "is my content_filter code invalid_prompt?"}
    with pytest.raises(Refused, match="prompt is too long"):
        ask(server.says({"error": error}, 400))


def test_a_model_that_declines_in_the_refusal_field_has_answered(server: Server) -> None:
    says = chat(content=None, refusal="I can't help with that.")
    assert ask(server.says(says)) == Reply(text="I can't help with that.", ending="stop")
    judged = ask(server.says(says), HELLO.model_copy(update={"json_schema": {"type": "object"}}))
    assert judged.ending == "filter"
    assert "refused the task: I can't help" in str(judged.failure)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(server: Server, headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(Transient) as caught:
        ask(server.says(b"", 429, **headers))
    assert caught.value.wait == seconds


def test_retry_after_as_a_date(server: Server) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    with pytest.raises(Transient) as caught:
        ask(server.says(b"", 503, retry_after=date))
    assert caught.value.wait is not None
    assert 25 < caught.value.wait <= 30


def test_a_server_that_trickles_is_cut_off_in_time() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():  # for ever, as far as the server goes
            writer.write(b" ")
            await asyncio.sleep(0.05)

    async def call() -> None:
        server = await asyncio.start_server(trickle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        endpoint = Endpoint(ModelSettings(name="openai:m", base_url=url, timeout=0.3))
        with pytest.raises(Transient, match=r"no reply within 0\.3 s"):
            await endpoint.reply(HELLO)
        await endpoint.close()
        server.close()

    asyncio.run(call())


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"HTTP/1.1 2"])
@pytest.mark.parametrize("reset", [True, False])
def test_a_connection_that_is_broken_off_is_told_in_words(sent: bytes, reset: bool) -> None:
    """Reset, or closed, before a reply or within it: some of the client's errors for it come without any words."""

    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        linger = struct.pack("ii", reset, 0)  # with none the connection is reset
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    async def call() -> None:
        server = await asyncio.start_server(breaks, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        endpoint = Endpoint(ModelSettings(name="openai:m", base_url=url))
        with pytest.raises(Transient, match=r"^no connection: \w+ \w+"):
            await endpoint.reply(HELLO)
        await endpoint.close()
        server.close()

    asyncio.run(call())


@pytest.mark.parametrize("name", ["message", "code", "detail", "param"])
def test_an_error_of_megabytes_is_read_as_far_as_it_tells(server: Server, name: str) -> None:
    with pytest.raises(Refused, match="HTTP 400: ") as told:
        ask(server.says({"error": {name: "x y" * (1 << 21)}}, 400))
    assert len(str(told.value)) < 400


def test_headers_in_any_script_are_no_fault_of_the_prompt() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(chat(content="hi")).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nX-Name: Jos\xc3\xa9 \xd9\xa1\r\nX-Odd: \xff\xe9\r\nContent-Length: %d\r\n\r\n"
            % len(body)
        )
        writer.write(body)
        await writer.drain()
        writer.close()

    async def asked() -> Reply:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        endpoint = Endpoint(ModelSettings(name="openai:m", base_url=url))
        try:
            return await endpoint.reply(HELLO)
        finally:
            await endpoint.close()
            server.close()

    assert asyncio.run(asked()).text == "hi"


def test_a_server_that_is_not_there() -> None:
    gone = Server()
    gone.url = "http://127.0.0.1:9/v1"
    with pytest.raises(Transient, match="no connection: connection refused") as caught:
        ask(gone)
    assert caught.value.absent
    gone.url = "http://localhost:9/v1"  # several addresses, each tried
    with pytest.raises(Transient, match="no connection: connection refused"):
        ask(gone)


NAMES = (
    *("choices", "message", "content", "error", "usage", "finish_reason", "text", "type", "thinking", "code", "x"),
    *("prompt_tokens", "completion_tokens", "reasoning", "refusal", "innererror"),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("a\ud800b") | st.just("\x1b[2J"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)
texts = st.text(max_size=9) | st.lists(st.fixed_dictionaries({"type": st.sampled_from(["text", "thinking"])}, optional={
    "text": values, "thinking": values}), max_size=3) | values  # fmt: skip
messages = st.fixed_dictionaries({}, optional={"content": texts, "reasoning_content": texts, "refusal": values})
choices = st.fixed_dictionaries(
    {
        "finish_reason": st.sampled_from(["stop", "length", "content_filter", None]) | values,
        "message": messages | values,
    },
    optional={"text": values, "error": values},
)
bodies = values | st.fixed_dictionaries({"choices": st.tuples(choices)}, optional={"usage": values, "error": values})


@pytest.mark.real
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies, status=st.sampled_from([200, 200, 200, 400, 418, 503]))
def test_whatever_a_server_sends_is_a_reply_or_a_known_failure(server: Server, body: object, status: int) -> None:
    try:
        reply = ask(server.says(body, status))
    except (Transient, Refused, RunError, RecipeError) as error:
        assert str(error)
        assert str(error).isprintable()
    else:
        (reply.text + (reply.reasoning or "")).encode()
        assert reply.ending != "error"
        assert reply.text or reply.reasoning is not None or reply.failure
        trace(Prompt(text="hello", kind="benign"), HELLO, reply, "m")


# ---------------------------------------------------------------- what it is asked


def test_the_call_as_it_is_sent(server: Server) -> None:
    request = Request(
        messages=HELLO.messages,
        sampling=Sampling(temperature=0.6, top_p=0.95, max_tokens=50, seed=40),
        sample=2,
        json_schema={"type": "object"},
    )
    more = {"system": "Be brief.", "extra_body": {"chat_template_kwargs": {"enable_thinking": True}, "top_p": 0.5}}
    ask(server.says(chat(content="hi")), request, **more)
    body = server.bodies[-1]
    assert body.pop("path") == "/v1/chat/completions"
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        "max_tokens": 50,
        "temperature": 0.6,
        "top_p": 0.5,  # extra_body has the last word
        "seed": 42,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": {"type": "object"}, "strict": True},
        },
        "chat_template_kwargs": {"enable_thinking": True},
    }


def test_a_system_turn_of_the_request_stands(server: Server) -> None:
    request = Request(messages=(Message(role="system", content="mine"), *HELLO.messages))
    ask(server.says(chat(content="hi")), request, system="the recipe's")
    assert [m["content"] for m in server.bodies[-1]["messages"]] == ["mine", "hello"]


def test_a_prefill_is_a_turn_to_go_on_with(server: Server) -> None:
    reply = ask(
        server.says(chat(content="x</think>y")), HELLO.model_copy(update={"prefill": "<think>"}), opens_block=True
    )
    body = server.bodies[-1]
    assert body["messages"][-1] == {"role": "assistant", "content": "<think>"}
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    assert not reply.opened


def test_a_rendered_prompt_goes_to_the_plain_door(server: Server) -> None:
    says = {"choices": [{"finish_reason": "stop", "text": "safe"}], "usage": {"completion_tokens": 1}}
    reply = ask(server.says(says), Request(rendered="<|begin|>judge", prefill=" this"), opens_block=True)
    assert (reply.text, reply.tokens_out, reply.opened) == ("safe", 1, False)
    assert server.bodies[-1]["path"] == "/v1/completions"
    assert server.bodies[-1]["prompt"] == "<|begin|>judge this"


def test_the_newer_name_of_the_token_limit(server: Server) -> None:
    ask(server.says(chat(content="hi")), extra_body={"max_completion_tokens": 9000})
    assert server.bodies[-1]["max_completion_tokens"] == 9000
    assert "max_tokens" not in server.bodies[-1]


def test_half_a_surrogate_pair_can_not_be_sent(server: Server) -> None:
    with pytest.raises(Refused, match="surrogate"):
        ask(server.says(chat(content="hi")), Request(messages=(Message(role="user", content="a\ud800b"),)))


def test_half_a_surrogate_pair_that_comes_back_is_replaced(server: Server) -> None:
    assert ask(server.says(b'{"choices":[{"finish_reason":"stop","message":{"content":"a\\ud800b"}}]}')).text == "a?b"


# ---------------------------------------------------------------- the key


def test_a_vendor_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(RecipeError, match=r"OPENAI_API_KEY holds no key.*export OPENAI_API_KEY"):
        Endpoint(ModelSettings(name="openai:m"))


def test_a_key_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(RecipeError, match="MY_KEY holds no key") as told:
        Endpoint(ModelSettings(name="openai:m", base_url="http://gpu-box:8000/v1", key_env="MY_KEY"))
    assert told.value.exit_code == EXIT_UNFINISHED, "`unwaver check` says 3 of the same"


def test_a_server_of_ones_own_needs_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert ask(server.says(chat(content="hi"))).text == "hi"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_variable(server: Server, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(RecipeError, match="refused the key in MY_KEY") as caught:
        ask(server.says({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status), key_env="MY_KEY")
    assert KEY not in str(caught.value)


def test_the_key_is_sent_and_struck_out_of_what_comes_back(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    said = chat(content=f"you said {KEY}", reasoning=f"Bearer {KEY}", refusal=KEY)
    reply = ask(server.says(said), key_env="MY_KEY")
    assert server.headers[-1]["authorization"] == f"Bearer {KEY}"
    assert (reply.text, reply.reasoning) == ("you said [key]", "Bearer [key]")
    for status in (200, 400, 402, 404, 429, 500):
        with pytest.raises((Transient, Refused, RecipeError, RunError)) as caught:
            ask(
                server.says({"error": {"message": f"header was Bearer {KEY}", "code": status}}, status),
                key_env="MY_KEY",
            )
        assert "Bearer [key]" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "\u200b".join(KEY)}},
        {"error": {"message": "got \x1b".join((KEY[:20], KEY[20:])).replace("got ", "")}},
        {"error": {"message": "\ud800".join(KEY)}},
        {"error": {"message": "\n" * 1970 + KEY}},
        {"error": {"message": " " * (2000 - len(KEY) + 5) + KEY, "code": KEY}},
        {"error": "\u00ad".join(KEY)},
        {"detail": [{"msg": "\u2060".join(KEY), "loc": ["body", KEY]}]},
        b'{"choices": [{"%s": 1, "%s": 2}]}' % ((KEY * 2).encode(), (KEY * 2).encode()),
        b'{"choices": [{"message": {"content": "a"}, "finish_reason": "%s"}]}' % "\u200b".join(KEY).encode(),
        "\u200b".join(KEY).encode(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_key_that_is_parted_or_cut_is_not_put_together_again(
    server: Server, body: object, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises((Transient, Refused)) as caught:
        ask(server.says(body, status), key_env="MY_KEY")
    assert KEY[:20] not in str(caught.value) and len(str(caught.value)) < 400


def test_a_key_with_a_line_break_works_and_one_that_is_none_is_not_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", f"{KEY}\n")
    ask(server.says(chat(content="hi")), key_env="MY_KEY")
    assert server.headers[-1]["authorization"] == f"Bearer {KEY}"
    for wrong in (f"{KEY}\n{KEY}", f"{KEY}é"):
        monkeypatch.setenv("MY_KEY", wrong)
        with pytest.raises(RecipeError, match="MY_KEY holds characters") as caught:
            Endpoint(ModelSettings(name="openai:m", key_env="MY_KEY"))
        assert KEY not in str(caught.value)


def test_a_key_that_comes_back_as_the_end_of_a_reply_is_struck_out(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(Transient, match=r"ended the reply with '\[key\]'"):
        ask(server.says(chat(KEY, content="hi")), key_env="MY_KEY")


def test_nothing_a_server_says_steers_the_terminal(server: Server) -> None:
    with pytest.raises(Refused) as caught:
        ask(server.says({"error": {"message": "a\x1b[2J\x1b]0;owned\x07b\nc" + "x" * 1000}}, 400))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 330


OTHER_NAMES = [
    {"thinking_content": "hm"},
    {"reasoningContent": "hm"},
    {"chain_of_thought": "hm"},
    {"provider_specific_fields": {"reasoning_content": "hm"}},
    {"reasoning_content": "hm", "provider_specific_fields": {"reasoning_content": "hm"}},
    {"additional_kwargs": {"reasoning": "hm"}},
    {"reasoning": {"effort": "high", "content": "hm"}},
    {"reasoning_content": "<think>hm</think>"},
]


@pytest.mark.parametrize("more", OTHER_NAMES)
@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_in_fields_of_other_names(server: Server, more: dict[str, Any], stream: bool) -> None:
    sent = events(piece(**more), piece(content="yes"), piece("stop")) if stream else chat(content="yes", **more)
    made = trace(Prompt(text="hello", kind="benign"), HELLO, ask(server.says(sent), stream=stream), "m")
    assert (made.reasoning, made.answer, made.block) == ("hm", "yes", "closed")


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"content": "yes"}, "reasoning_content": "hm", "finish_reason": "stop"}]},
        {"choices": [{"message": {"text": "yes", "reasoning": "hm"}, "finish_reason": "stop"}]},
        {"choices": [{"text": "yes", "reasoning": "hm", "finish_reason": "stop"}]},
        chat(content=[{"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": "yes"}]),
        chat(content=[{"type": "analysis", "text": "hm"}, {"type": "final", "text": "yes"}]),
    ],
)
def test_reasoning_in_other_places(server: Server, body: object) -> None:
    made = trace(Prompt(text="hello", kind="benign"), HELLO, ask(server.says(body)), "m")
    assert (made.reasoning, made.answer, made.block) == ("hm", "yes", "closed")


def test_a_stream_of_one_whole_message(server: Server) -> None:
    reply = ask(server.says(events(chat(content="yes", reasoning="hm"))), stream=True)
    assert (reply.text, reply.reasoning) == ("yes", "hm")
