"""What the servers of many vendors do otherwise: fields they don't take, filters, reasoning in odd places, redirects,
bodies without end, and keys that are asked for by somebody else's recipe. Over real HTTP, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import socket
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from faulty_server import Answer, saying

from unwaver import keys, recipe_file
from unwaver.cli import main
from unwaver.errors import RecipeError, RunError
from unwaver.keys import ALLOW, is_own, leads_home, needs_a_yes
from unwaver.ledger import Ledger
from unwaver.models import Refused, Transient, client, endpoint
from unwaver.models import listing as models_of
from unwaver.models.endpoint import AT_THE_LIMIT, UNCOUNTED, Endpoint
from unwaver.models.engine import cost
from unwaver.models.fields import Fields
from unwaver.models.listing import listing
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Reply, Request, Sampling

HELLO = Request(messages=(Message(role="user", content="hello"),), sampling=Sampling(max_tokens=64, seed=5))
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}}
RECIPES = Path(__file__).parent.parent / "recipes"


def chat(finish: str | None = "stop", usage: object = None, **message: object) -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish, "message": {"role": "assistant", **message}}], "usage": usage}


def payload(body: object, status: int = 200, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return status, headers, content


class Asked:
    """A server that answers by a function of the body, and remembers what it was sent."""

    def __init__(self, answer: Callable[[dict[str, Any]], Answer]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._answer = answer

    def __call__(self, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        self.bodies.append(body)
        self.headers.append(headers)
        return self._answer(body)


def ask(answer: Callable[[dict[str, Any]], Answer] | Asked, *requests: Request, **settings: Any) -> list[Reply]:
    """The replies of one endpoint to requests, one after the other."""

    async def inside(url: str) -> list[Reply]:
        model = Endpoint(ModelSettings(**{"name": "openai:m", "base_url": url, **settings}))
        try:
            return [await model.reply(request) for request in requests or (HELLO,)]
        finally:
            await model.close()

    with saying(answer if isinstance(answer, Asked) else Asked(answer)) as url:
        return asyncio.run(inside(url))


def says(body: object, status: int = 200, **headers: str) -> Callable[[dict[str, Any]], Answer]:
    return lambda _: payload(body, status, **headers)


def openai_error(message: str, **more: object) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


# ---------------------------------------------------------------- fields that a model doesn't take


def o3(body: dict[str, Any]) -> Answer:
    for name in ("temperature", "top_p"):
        if name in body:
            words = f"Unsupported parameter: '{name}' is not supported with this model."
            return payload(openai_error(words, param=name, code="unsupported_parameter"), 400)
    return payload(chat(content="yes"))


def gpt5(body: dict[str, Any]) -> Answer:
    if body.get("temperature", 1) != 1:
        words = "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported."
        return payload(openai_error(words, param="temperature", code="unsupported_value"), 400)
    if "max_tokens" in body:
        words = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return payload(openai_error(words, param="max_tokens", code="unsupported_parameter"), 400)
    return payload(chat(content="yes"))


def claude(body: dict[str, Any]) -> Answer:
    if {"temperature", "top_p"} <= body.keys():
        words = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        return payload({"type": "error", "error": {"type": "invalid_request_error", "message": words}}, 400)
    return payload(chat(content="yes"))


def claude_deprecated(body: dict[str, Any]) -> Answer:
    if "temperature" in body:
        return payload(openai_error("`temperature` is deprecated for this model."), 400)
    return payload(chat(content="yes"))


def mistral(body: dict[str, Any]) -> Answer:
    known = {"model", "messages", "temperature", "top_p", "max_tokens", "random_seed", "path", "stream"}
    unknown = sorted(body.keys() - known)
    if unknown:
        detail = [
            {
                "type": "extra_forbidden",
                "loc": ["body", unknown[0]],
                "msg": "Extra inputs are not permitted",
                "input": 1,
            }
        ]
        return payload({"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}, 422)
    return payload(chat(content="yes"))


def gemini(body: dict[str, Any]) -> Answer:
    for name in ("seed", "random_seed"):
        if name in body:
            words = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
            return payload([{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}], 400)
    return payload(chat(content="yes"))


def kimi(body: dict[str, Any]) -> Answer:
    if body.get("temperature") != 1 and "temperature" in body:
        return payload(openai_error("invalid temperature: only 1 is allowed for this model"), 400)
    return payload(chat(content="yes"))


def bedrock(body: dict[str, Any]) -> Answer:
    if "top_p" in body and "temperature" in body:
        words = "The model returned the following errors: `temperature` and `top_p` cannot both be specified for this model."
        return payload({"message": words}, 400)
    return payload(chat(content="yes"))


def old_server(body: dict[str, Any]) -> Answer:
    if "stream_options" in body:
        return payload({"detail": "Unrecognized request argument supplied: stream_options"}, 400)
    return payload(chat(content="yes"))


def in_a_200(body: dict[str, Any]) -> Answer:
    if "top_p" in body:
        return payload({"error": {"message": "top_p is not supported by this provider", "code": 400}})
    return payload(chat(content="yes"))


@pytest.mark.parametrize(
    ("server", "calls", "gone", "there", "told"),
    [
        (o3, 3, {"temperature", "top_p"}, {"max_tokens", "seed"}, "temperature"),
        (gpt5, 3, {"temperature", "max_tokens"}, {"max_completion_tokens", "top_p"}, "temperature"),
        (claude, 2, {"top_p"}, {"temperature"}, None),
        (claude_deprecated, 2, {"temperature"}, {"top_p"}, "temperature"),
        (mistral, 2, {"seed"}, {"random_seed", "temperature"}, None),
        (gemini, 3, {"seed", "random_seed"}, {"temperature"}, "seed"),
        (kimi, 2, {"temperature"}, {"top_p"}, "temperature"),
        (bedrock, 2, {"top_p"}, {"temperature"}, None),
        (in_a_200, 2, {"top_p"}, {"temperature"}, None),
    ],
)
def test_a_field_that_a_model_does_not_take_is_left_out_and_that_is_told_once(
    server: Callable[[dict[str, Any]], Answer],
    calls: int,
    gone: set[str],
    there: set[str],
    told: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = Asked(server)
    first, second = ask(asked, HELLO, HELLO.model_copy(update={"sample": 1}))
    assert (first.text, first.ending, second.text) == ("yes", "stop", "yes")
    assert len(asked.bodies) == calls + 1, "the second call knows what the first has found out"
    sent = asked.bodies[-1]
    assert not gone & sent.keys()
    assert there <= sent.keys()
    assert capsys.readouterr().err.count("doesn't take") == calls - 1
    assert any(f"`{told}`" in note for note in first.notes) == (told is not None)
    assert first.notes == second.notes


def test_stream_options_too(capsys: pytest.CaptureFixture[str]) -> None:
    (reply,) = ask(old_server, stream=True)
    assert reply.text == "yes"


def test_calls_that_are_under_way_together_find_it_out_together() -> None:
    asked = Asked(o3)

    async def inside(url: str) -> list[Reply]:
        model = Endpoint(ModelSettings(name="openai:m", base_url=url))
        requests = [HELLO.model_copy(update={"sample": n}) for n in range(5)]
        replies = await asyncio.gather(*map(model.reply, requests))
        await model.close()
        return list(replies)

    with saying(asked) as url:
        assert {reply.text for reply in asyncio.run(inside(url))} == {"yes"}


def schema_server(*taken: str | None, words: str) -> Callable[[dict[str, Any]], Answer]:
    def answer(body: dict[str, Any]) -> Answer:
        if body.get("response_format", {}).get("type") not in taken:
            return payload(openai_error(words), 400)
        return payload(chat(content='{"label": "x"}'))

    return answer


@pytest.mark.parametrize(
    ("server", "form"),
    [
        (schema_server("json_object", words="This response_format type is unavailable now"), {"type": "json_object"}),
        (schema_server(None, words="'json_schema' and json_object are not supported by this model"), None),
        (schema_server(None, words="Structured outputs are not enabled here"), None),
        (schema_server("json_object", words="Invalid schema for response_format 'reply'"), {"type": "json_object"}),
    ],
)
def test_a_schema_that_a_server_does_not_take_becomes_a_json_object_or_words(
    server: Callable[[dict[str, Any]], Answer], form: object
) -> None:
    asked = Asked(server)
    judge = HELLO.model_copy(update={"json_schema": SCHEMA})
    (reply,) = ask(asked, judge)
    assert reply.text == '{"label": "x"}'
    assert asked.bodies[-1].get("response_format") == form
    assert any("json_schema" in note for note in reply.notes)


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens is too large: 8192. This model supports at most 4096 completion tokens",
        "This model's maximum context length is 4096 tokens",
        "temperature: must be between 0 and 2",
        "messages: at least one message is required",
    ],
)
def test_an_error_about_a_value_is_no_reason_to_leave_a_field_out(words: str) -> None:
    asked = Asked(says(openai_error(words), 400))
    with pytest.raises(Refused):
        ask(asked)
    assert len(asked.bodies) == 1


@pytest.mark.parametrize(
    "words",
    [
        "Invalid parameter: seed. This model only supports seed=1.",
        "The value of seed must be 1.0 for reasoning models",
        "ChatCompletionRequest has no field named seed",
        "seed is not a valid parameter",
        "参数seed不支持",
        "Der Parameter 'seed' wird nicht unterst\u00fctzt",
        "Setting Seed is disallowed",
        "Forbidden parameter: seed",
    ],
)
def test_that_a_field_is_not_taken_in_many_words(words: str) -> None:
    asked = Asked(lambda body: payload(openai_error(words), 400) if "seed" in body else payload(chat(content="yes")))
    (reply,) = ask(asked)
    assert reply.text == "yes" and "seed" not in asked.bodies[-1]


@pytest.mark.parametrize(
    "words", ["You may specify temperature or top_p, but not both", "Specify either temperature or top_p"]
)
def test_one_of_two_fields(words: str) -> None:
    asked = Asked(lambda body: payload(openai_error(words), 400) if "top_p" in body else payload(chat(content="yes")))
    drawn = HELLO.model_copy(update={"sampling": Sampling(max_tokens=64, temperature=0.6, top_p=0.9)})
    (reply,) = ask(asked, drawn)
    assert "temperature" in asked.bodies[-1] and any("top_p" in note for note in reply.notes)


def test_what_the_recipe_insists_on_is_not_taken_out() -> None:
    with pytest.raises(Refused, match="temperature"):
        ask(o3, extra_body={"temperature": 0.5})


def test_any_field_can_be_left_out() -> None:
    asked = Asked(says(chat(content="yes")))
    left = ["temperature", "top_p", "seed", "max_tokens", "response_format"]
    (reply,) = ask(asked, HELLO.model_copy(update={"json_schema": SCHEMA}), leave_out=left)
    assert asked.bodies[0].keys() == {"messages", "model", "path"}
    assert reply.notes == ()


def test_leaving_fields_out_makes_another_run_and_a_wrong_name_is_refused() -> None:
    plain, left = ModelSettings(name="openai:m"), ModelSettings(name="openai:m", leave_out=["seed"])
    assert plain.identity() != left.identity()
    for wrong in ({"leave_out": ["temprature"]}, {"leave_out": ["seed"], "extra_body": {"seed": 1}}):
        with pytest.raises(ValueError, match="leave_out"):
            ModelSettings(name="openai:m", **wrong)


def test_the_judge_of_the_shipped_recipes_is_asked_as_it_must_be() -> None:
    for path in sorted(RECIPES.glob("*.toml")):
        for arm in recipe_file.arms(recipe_file.read_toml(path), path).values():
            for settings in arm.models.values():
                if settings.target.startswith(("o1", "o3", "o4", "gpt-5")):
                    sent = Fields(settings).body(HELLO)
                    assert not {"temperature", "top_p", "max_tokens"} & sent.keys(), path
                    assert sent["max_completion_tokens"] == 64


# ---------------------------------------------------------------- filters


FILTERED = [
    (403, {"code": "permission-denied", "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}),
    (400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}}),
    (200, {"choices": None, "base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}),
    (200, {"choices": None, "base_resp": {"status_code": 1027, "status_msg": "output new_sensitive"}}),
    (200, {**chat(content=""), "output_sensitive": True}),
    (200, {"choices": [], "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
    (400, [{"error": {"code": 400, "message": "Request blocked: PROHIBITED_CONTENT", "status": "INVALID_ARGUMENT"}}]),
    (400, {"error": {"code": "content_filter", "message": "The response was filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
    (400, {"error": {"code": "DataInspectionFailed", "message": "Output data may contain inappropriate content."}}),
    (403, {"error": {"code": 403, "message": "Input flagged by moderation", "metadata": {"reasons": ["violence"]}}}),
    (400, {"error": {"message": "The request was rejected because it was considered high risk", "type": "content_filter"}}),
    (451, {"error": {"message": "The content you provided or machine outputted is blocked.", "type": "censorship_blocked"}}),
    (400, {"error": {"code": "InputTextSensitiveContentDetected", "message": "The request failed because the input text may contain sensitive information."}}),
    (400, {"error": {"message": "Violated guardrail policy", "type": "None", "code": "400"}}),
    (200, {"error": {"message": "Content violates the provider's safety policy"}}),
    (200, {"code": 10014, "message": "输出内容涉及敏感信息，审核不通过", "sid": "x"}),
    (500, {"error": {"code": "content_policy_violation", "message": "litellm.ContentPolicyViolationError"}}),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), FILTERED)
def test_a_filter_is_an_outcome_whoever_serves(status: int, body: object) -> None:
    (reply,) = ask(says(body, status))
    assert reply.ending == "filter"
    assert reply.failure


@pytest.mark.parametrize(
    "finish",
    ["sensitive", "guardrail_intervened", "content_filter: SAFETY", "content_filter: PROHIBITED_CONTENT", "RECITATION",
     "refusal", "BLOCKLIST", "SPII", "ERROR_TOXIC", "content_filtered", "IMAGE_SAFETY"],
)  # fmt: skip
def test_so_is_an_end_that_a_filter_made(finish: str) -> None:
    (reply,) = ask(says(chat(finish, content="Sorry, the model cannot answer this question.")))
    assert (reply.ending, reply.text) == ("filter", "")


def test_what_a_router_passes_on_of_the_provider_s_own_end_counts() -> None:
    body = chat("stop", content="")
    body["choices"][0]["native_finish_reason"] = "SAFETY"
    assert ask(says(body))[0].ending == "filter"


@pytest.mark.parametrize("finish", ["model_context_window_exceeded", "max_output_tokens", "context_length_exceeded"])
def test_a_full_window_is_a_length(finish: str) -> None:
    assert ask(says(chat(finish, content="half")))[0].ending == "length"


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (403, "Your account has been flagged for violating our usage policies", RecipeError),
        (403, "Country, region, or territory not supported", RecipeError),
        (400, "API key not valid. Please pass a valid API key.", RecipeError),
        (401, "Incorrect API key provided", RecipeError),
        (503, "The content filter service is unavailable", Transient),
        (403, "Your request was blocked.", RecipeError),
        (400, "Input rejected: the prompt is too long", Refused),
        (400, "The content type of this field is case sensitive", Refused),
        (400, "Invalid value for 'content': expected a string", Refused),
        (400, "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000", Refused),
        (429, "Rate limit reached for content moderation", Transient),
        (400, "messages.1.role: unexpected value; permitted: user", Refused),
    ],
)
def test_what_is_no_filter(status: int, message: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        ask(says(openai_error(message), status))
    assert message[:20] in str(caught.value)


def test_minimax_s_other_codes() -> None:
    def says_code(code: int) -> Callable[[dict[str, Any]], Answer]:
        return says({"choices": None, "base_resp": {"status_code": code, "status_msg": "words"}})

    for code, error in ((1002, Transient), (1004, RecipeError), (1008, RunError), (2013, Refused)):
        with pytest.raises(error):
            ask(says_code(code))


# ---------------------------------------------------------------- reasoning in odd places


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}, {"type": "text", "text": "yes"}]},
        {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "output_text", "text": "yes"}]},
        {"content": [{"type": "text", "text": "yes"}, {"type": "reasoning", "text": "hm"}]},
        {"content": "yes", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"content": "yes", "reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}, {"type": "reasoning.encrypted", "data": "x"}]},
        {"content": "yes", "reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"content": "yes", "thinking": "hm"},
        {"content": "yes", "reasoning": {"content": "hm"}},
        {"content": "yes", "reasoning_content": [{"type": "text", "text": "hm"}]},
        {"content": "yes", "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "x"}]},
        {"content": "yes", "reasoning_text": "hm", "reasoning": "high"},
    ],
)  # fmt: skip
def test_reasoning_whatever_it_is_called(message: dict[str, Any]) -> None:
    (reply,) = ask(says(chat(**message)))
    assert (reply.reasoning, reply.text) == ("hm", "yes")


def events(*deltas: dict[str, Any]) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode() + b"data: [DONE]\n\n"


THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}


@pytest.mark.parametrize(
    "deltas",
    [
        [{"content": ""}, {"content": [THINKING]}, {"content": [{**THINKING, "thinking": "m"}]}, {"content": "ye"}, {"content": "s"}],
        [{"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": c}]}]} for c in "hm"] + [{"content": "yes"}],
        [{"content": "ye"}, {"content": [{"type": "thinking", "thinking": "hm"}]}, {"content": [{"type": "text", "text": "s"}]}],
        [{"reasoning_details": [{"type": "reasoning.text", "text": "h"}]}, {"reasoning_details": [{"text": "m"}]}, {"content": "yes"}],
        [{"reasoning_details": [{"text": "h"}]}, {"reasoning_details": [{"text": "hm"}]}, {"content": "yes"}],
        [{"thinking": "h"}, {"thinking": "m"}, {"content": "yes"}],
    ],
)  # fmt: skip
def test_and_in_a_stream_of_texts_and_parts_by_turns(deltas: list[dict[str, Any]]) -> None:
    (reply,) = ask(says(events(*deltas)), stream=True)
    assert (reply.reasoning, reply.text) == ("hm", "yes")


def test_what_a_server_files_wrongly_is_handed_on_as_it_came() -> None:
    (reply,) = ask(says(chat(content=None, reasoning_content="Mix, bake, cool.")))
    assert (reply.text, reply.reasoning, reply.ending) == ("", "Mix, bake, cool.", "stop")
    (reply,) = ask(says(chat(content="391", reasoning_content="391")))
    assert (reply.text, reply.reasoning) == ("391", "391")


def test_a_stop_at_the_token_limit_is_a_length() -> None:
    (reply,) = ask(says(chat(usage={"completion_tokens": 64}, content="Mix flour and")))
    assert (reply.ending, reply.notes) == ("length", (AT_THE_LIMIT,))
    (reply,) = ask(says(chat(usage={"completion_tokens": 64}, content="Mix.")), extra_body={"max_tokens": 900})
    assert (reply.ending, reply.notes) == ("stop", ())
    (reply,) = ask(says(chat(usage={"completion_tokens": 64}, content="Mix.")), leave_out=["max_tokens"])
    assert reply.ending == "stop"


def test_a_prompt_that_fills_the_window_is_no_hidden_thought() -> None:
    with pytest.raises(Refused, match="fills the model's context window"):
        ask(says(chat("length", {"prompt_tokens": 4095, "completion_tokens": 1}, content="")))


def test_xai_s_tokens_of_reasoning_are_tokens_of_the_reply() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 45,
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    (reply,) = ask(says(chat(usage=usage, content="yes")))
    assert (reply.tokens_out, reply.tokens_reasoning) == (35, 30)


@pytest.mark.parametrize(
    ("message", "counts", "expected"),
    [
        ({"content": "yes", "reasoning_content": "hm hm"}, (9, 0), None),
        ({"content": "<think>hm hm</think>yes"}, (9, 0), None),
        ({"content": "yes", "reasoning": "hm"}, (9, 12), None),
        ({"content": "yes", "reasoning": "hm"}, (9, 9), None),
        ({"content": "yes", "reasoning": "hm"}, (9, 4), 4),
        ({"content": "yes"}, (9, 0), 0),
        ({"content": "yes"}, (9, 6), 6),
    ],
)
def test_a_count_that_contradicts_the_text_is_none(
    message: dict[str, Any], counts: tuple[int, int], expected: int | None
) -> None:
    usage = {"completion_tokens": counts[0], "completion_tokens_details": {"reasoning_tokens": counts[1]}}
    (reply,) = ask(says(chat(usage=usage, **message)))
    assert reply.tokens_reasoning == expected
    assert reply.notes == (() if expected is not None else (UNCOUNTED,))


# ---------------------------------------------------------------- counts that can't be


def test_a_count_of_400_digits_is_none_and_an_old_ledger_that_holds_one_is_read(tmp_path: Path) -> None:
    usage = {"prompt_tokens": int("9" * 400), "completion_tokens": int("8" * 400)}
    (reply,) = ask(says(chat(usage=usage, content="yes")))
    assert (reply.tokens_in, reply.tokens_out) == (None, None)
    key = HELLO.key("openai:m")
    with Ledger(tmp_path) as ledger:
        ledger.append(key, Reply(text="yes", ending="stop", tokens_out=usage["completion_tokens"]))
    with Ledger(tmp_path) as ledger:
        spent, found = ledger.spent("openai:m"), ledger.get(key)
    assert found is not None
    assert found.tokens_out is None
    assert cost(ModelSettings(name="openai:m", price_in=1, price_out=1), spent.tokens_in, spent.tokens_out) == 0


# ---------------------------------------------------------------- where a call goes


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    other = Asked(says(chat(content="from elsewhere")))
    with saying(other) as there, pytest.raises(RecipeError, match=f"redirects to {there}"):
        ask(says(b"", status, Location=f"{there}/chat/completions"))
    assert other.bodies == []


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_reply_is_read(pack: Callable[[bytes], bytes]) -> None:
    body = pack(json.dumps(chat(content="yes")).encode())
    name = "gzip" if pack is gzip.compress else "deflate"
    assert ask(says(body, 200, **{"Content-Encoding": name}))[0].text == "yes"


def test_a_body_larger_than_any_reply_is_given_up_while_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LARGEST", 1 << 20)
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as packed:
        for _ in range(64):
            packed.write(b" " * (1 << 20))
    for body, headers in ((bomb.getvalue(), {"Content-Encoding": "gzip"}), (b" " * (2 << 20), {})):
        with pytest.raises(Refused, match="larger than 1 MiB"):
            ask(says(body, 200, **headers))


def test_a_packed_reply_that_breaks_off_or_is_none_may_pass() -> None:
    whole = gzip.compress(json.dumps(chat(content="yes " * 500)).encode())
    for body in (whole[:-20], b"no gzip at all"):
        with pytest.raises(Transient, match="packed reply"):
            ask(says(body, 200, **{"Content-Encoding": "gzip"}))
    with pytest.raises(Refused, match="packed as 'br'"):
        ask(says(b"x", 200, **{"Content-Encoding": "br"}))


def test_a_proxy_that_can_t_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@127.0.0.1:9")
    settings = ModelSettings(name="openai:m", base_url="http://127.0.0.1:9/v1")
    try:
        import socksio  # noqa: F401
    except ImportError:
        with pytest.raises(RecipeError, match=r"ALL_PROXY=socks5://127\.0\.0\.1:9.*SOCKS.*pip install") as caught:
            Endpoint(settings)
        assert "secret" not in str(caught.value)
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:9")
    with pytest.raises(RecipeError, match="ALL_PROXY"):
        Endpoint(settings)


NO_PROXIES = (
    *("http://[::1", "http://[zz]:1", "http://::1:80", "http://127.0.0.1:abc", "http://127.0.0.1:99999", "http://h:-1"),
    *(
        "http://",
        "://x",
        ":80",
        "http://a b:1",
        "http://user:pa ss@h d:1",
        "ftp://x:1",
        "socks4://h:1",
        "http://h:0",
    ),
    *("http://%", "http://{}:1", "nonsense://", "https://:443", "http://h:1:2", "http:///path", "socks5://", "\x1b[2J"),
)


@pytest.mark.real
@pytest.mark.parametrize("variable", ["ALL_PROXY", "https_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize("address", NO_PROXIES)
def test_a_proxy_that_is_none_is_told_in_one_line_with_its_variable(
    address: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, address)
    for url in ("http://127.0.0.1:9/v1", "https://llm.example/v1"):
        with pytest.raises(RecipeError, match="this proxy can't be used: ") as caught:
            Endpoint(ModelSettings(name="openai:m", base_url=url))
        assert str(caught.value).startswith(f"{variable}=") and "pa ss" not in str(caught.value)
    assert listing("https://llm.example/v1").problem


@pytest.mark.parametrize(
    "address", ["", " ", "h", "h:80", "http://h", "https://[::1]:8", "http://u:p@h:1", "http://1.2.3.4:5/"]
)
def test_a_proxy_s_address_that_may_be_one_is_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", address)
    Endpoint(ModelSettings(name="openai:m", base_url="https://llm.example/v1"))


@pytest.mark.parametrize("drips", ["head", "body"])
def test_a_server_that_drips_its_list_holds_nobody(drips: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_of, "TOTAL", 0.3)
    let_go = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            line, _ = listening.accept()
            with line, contextlib.suppress(OSError):
                line.sendall(
                    b"HTTP/1.1 200 OK\r\nX: "
                    if drips == "head"
                    else b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{"
                )
                while not let_go.wait(0.01):
                    line.sendall(b" ")

        serving = threading.Thread(target=serve)
        serving.start()
        found = models_of.listing(f"http://127.0.0.1:{listening.getsockname()[1]}/v1")
        let_go.set()
        serving.join()
    assert found.problem == "no whole answer within 0.3 s" and found.names is None


def test_a_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Asked(says(chat(content="by way of the proxy")))
    with saying(proxy) as url:
        monkeypatch.setenv("HTTP_PROXY", url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        model = Endpoint(ModelSettings(name="openai:m", base_url="http://gpu-box.internal:8000/v1"))
        assert asyncio.run(model.reply(HELLO)).text == "by way of the proxy"
    assert proxy.headers[0]["host"] == "gpu-box.internal:8000"


def test_a_file_of_certificates_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    for path in (tmp_path / "nowhere.pem", tmp_path / "none.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        with pytest.raises(RecipeError, match=f"SSL_CERT_FILE={path}"):
            Endpoint(ModelSettings(name="openai:m", base_url="https://127.0.0.1:9/v1"))


def test_a_connection_that_breaks_is_told_with_words() -> None:
    async def inside() -> str:
        async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()

        server = await asyncio.start_server(broken, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        model = Endpoint(ModelSettings(name="openai:m", base_url=url))
        with pytest.raises(Transient) as caught:
            await model.reply(HELLO)
        server.close()
        return str(caught.value)

    assert len(asyncio.run(inside()).removeprefix("no connection:").strip()) > 5


def test_what_stands_behind_a_reply_is_no_reply_to_the_next_call() -> None:
    async def inside() -> list[str]:
        said = iter(("one", "two", "three"))
        connections = 0

        def packed(text: str) -> bytes:
            body = json.dumps(chat(content=text)).encode()
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            first = connections == 1
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
                    writer.write(packed(next(said)) + (packed("for somebody else") if first else b""))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        model = Endpoint(ModelSettings(name="openai:m", base_url=url))
        heard = [(await model.reply(HELLO)).text]
        with pytest.raises(Transient, match="more than it was asked for"):
            await model.reply(HELLO)
        heard.append((await model.reply(HELLO)).text)
        await model.close()
        server.close()
        assert connections == 2
        return heard

    assert asyncio.run(inside()) == ["one", "three"]


# ---------------------------------------------------------------- keys

SECRET_KEY = "sk-very-secret-0123456789"


def test_without_key_env_no_key_goes_to_a_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET_KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-mine")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", f"{SECRET_KEY}-admin")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {SECRET_KEY}\nX-Of-Mine: {SECRET_KEY}")
    asked = Asked(says(chat(content="yes")))
    ask(asked)
    assert not {"authorization", "openai-organization", "openai-project"} & asked.headers[0].keys()
    assert asked.headers[0]["accept-encoding"] == "identity"
    assert SECRET_KEY not in str(asked.headers)
    with pytest.raises(RecipeError, match="wants a key and was sent none.*key_env"):
        ask(says(openai_error("who are you?"), 401))


def test_where_a_key_goes_is_said_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(endpoint, "_told", set())
    monkeypatch.setenv("TEACHER_API_KEY", SECRET_KEY)
    asked = Asked(says(chat(content="yes")))
    for _ in range(2):
        ask(asked, key_env="TEACHER_API_KEY")
    assert asked.headers[0]["authorization"] == f"Bearer {SECRET_KEY}"
    assert capsys.readouterr().err.count("the key in TEACHER_API_KEY goes to 127.0.0.1") == 1


@pytest.mark.parametrize(
    "name",
    ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "STRIPE_API_KEY", "DATABASE_PASSWORD", "HOME", "AZURE_STORAGE_KEY"],
)
def test_somebody_else_s_recipe_gets_no_other_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, SECRET_KEY)
    monkeypatch.delenv(ALLOW, raising=False)
    asked = Asked(says(chat(content="yes")))
    with pytest.raises(RecipeError, match=f"{name} is not named like.*export {ALLOW}={name}") as caught:
        ask(asked, key_env=name)
    assert SECRET_KEY not in str(caught.value)
    assert asked.bodies == []
    monkeypatch.setenv(ALLOW, f"OTHER_KEY, {name}")
    ask(asked, key_env=name)
    assert asked.headers[0]["authorization"] == f"Bearer {SECRET_KEY}"


@pytest.mark.parametrize(("answer", "sent"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_in_a_terminal_it_is_asked(
    answer: str, sent: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(endpoint, "_said_yes", set())
    monkeypatch.setattr(endpoint, "_told", set())
    monkeypatch.setenv("CORPORATE_SECRET", SECRET_KEY)
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    asked = Asked(says(chat(content="yes")))
    if sent:
        ask(asked, key_env="CORPORATE_SECRET")
        assert asked.headers[0]["authorization"] == f"Bearer {SECRET_KEY}"
    else:
        with pytest.raises(RecipeError, match="CORPORATE_SECRET"):
            ask(asked, key_env="CORPORATE_SECRET")
    assert "[y/N]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "address", "fine"),
    [
        ("OPENAI_API_KEY", "https://api.openai.com/v1", True),
        ("OPENAI_API_KEY", "http://127.0.0.1:4000/v1", True),
        ("OPENAI_API_KEY", "https://evil.example/v1", False),
        ("OPENAI_API_KEY", "https://api.openai.com.evil.example/v1", False),
        ("DEEPSEEK_API_KEY", "https://api.deepseek.com", True),
        ("ANTHROPIC_API_KEY", "https://api.anthropic.com/v1", True),
        ("GEMINI_API_KEY", "https://generativelanguage.googleapis.com/v1beta/openai", True),
        ("XAI_API_KEY", "https://api.x.ai/v1", True),
        ("HF_TOKEN", "https://router.huggingface.co/v1", True),
        ("VLLM_API_KEY", "https://gpu.uni.example/v1", True),
        ("AWS_BEARER_TOKEN_BEDROCK", "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", True),
        ("AWS_BEARER_TOKEN_BEDROCK", "https://x.s3.amazonaws.com", False),
        ("MY_MODEL_KEY", "https://gpu.uni.example/v1", True),
        ("LLM_TOKEN", "https://gpu.uni.example/v1", True),
        *[
            (name, "https://gpu.uni.example/v1", False)
            for name in (
                *(
                    "TOKEN",
                    "KEY",
                    "API_KEY",
                    "API_TOKEN",
                    "ACCESS_TOKEN",
                    "PASSWORD",
                    "SECRET",
                    "MY_KEY",
                    "PROD_API_KEY",
                ),
                *(
                    "DEV_TOKEN",
                    "SERVER_KEY",
                    "HUB_TOKEN",
                    "PROXY_TOKEN",
                    "GATEWAY_KEY",
                    "TOKEN_2",
                    "_KEY",
                    "KEY_",
                    "token",
                ),
                *(
                    "ACCESS_KEY",
                    "MODEL_PASSWORD",
                    "LLM_SECRET",
                    "MODEL_SIGNING_KEY",
                    "HF_TOKEN",
                    "GH_TOKEN",
                    "NPM_TOKEN",
                ),
            )
        ],
        *[(name, "http://127.0.0.1:8000/v1", True) for name in ("TOKEN", "API_KEY", "MY_KEY", "ACCESS_TOKEN")],
        *[(name, "http://127.0.0.1:8000/v1", False) for name in ("PASSWORD", "SECRET", "GITHUB_TOKEN", "HOME")],
    ],
)
def test_a_vendor_s_key_goes_to_its_vendor(
    name: str, address: str, fine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ALLOW, raising=False)
    assert (needs_a_yes(name, address) is None) == fine


@pytest.mark.parametrize(
    ("host", "own"),
    [
        *[
            (host, True)
            for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost", "10.1.2.3", "192.168.1.2", "172.16.0.9")
        ],
        *[
            (host, True)
            for host in ("gpu-box", "node7.local", "vllm.default.svc.cluster.local", "fe80::1", "100.70.1.1")
        ],
        *[
            (host, False)
            for host in ("8.8.8.8", "::ffff:8.8.8.8", "134744072", "0x08080808", "127.1", "2001:4860::8888")
        ],
        *[(host, True) for host in ("::ffff:10.0.0.1", "::ffff:127.0.0.1", "fd00::7", "fe80::1%eth0", "169.254.1.1")],
        *[
            (host, False)
            for host in (
                *(
                    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
                    "2002:a00:1::1",
                    "64:ff9b::a00:1",
                    "::8.8.8.8",
                    "2001:db8::1",
                ),
                *("192.0.2.1", "198.18.0.1", "203.0.113.9", "240.0.0.1", "255.255.255.255", "0.0.0.0", "224.0.0.1"),
                *("172.15.0.1", "100.128.0.1", "169.253.0.1", "11.0.0.1", "::", "ff02::1", "fec0::1", "fe00::1"),
            )
        ],
        *[(host, False) for host in ("localhost.evil.example", "example.com", "172.32.0.1", "")],
    ],
)
def test_a_host_of_ones_own(host: str, own: bool) -> None:
    assert is_own(host) == own


@pytest.mark.parametrize(
    ("found", "home"),
    [
        (["10.0.0.7"], True),
        (["fd00::7", "10.0.0.7"], True),
        ([], True),
        (["8.8.8.8"], False),
        (["10.0.0.7", "8.8.8.8"], False),
        (["::ffff:8.8.8.8"], False),
        (["2001:0:4136:e378:8000:63bf:3fff:fdd2"], False),
    ],
)
def test_a_name_without_a_dot_is_ones_own_where_its_addresses_are(
    found: list[str], home: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keys, "_addresses", lambda host: tuple(found))
    monkeypatch.setenv("LLM_API_KEY", SECRET_KEY)
    monkeypatch.delenv(ALLOW, raising=False)
    assert leads_home("gpu-box") == home
    assert (needs_a_yes("OPENAI_API_KEY", "https://gpu-box/v1") is None) == home
    settings = ModelSettings(name="openai:m", base_url="http://gpu-box:8000/v1", key_env="LLM_API_KEY")
    if home:
        Endpoint(settings)
    else:
        with pytest.raises(RecipeError, match="could be read on the way to gpu-box, whose address is on the internet"):
            Endpoint(settings)


def test_the_addresses_of_a_name_are_looked_up() -> None:
    assert leads_home("localhost")
    assert leads_home("no-such-host-here")  # nothing can be sent there


def test_no_key_goes_by_a_proxy_on_the_internet_over_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_addresses", lambda host: ("10.0.0.7",) if host == "gpu-box" else ())
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert keys.leaks("http://gpu-box/v1") is None
    monkeypatch.setenv("http_proxy", "http://me:secret@proxy.example:3128")
    assert keys.leaks("http://gpu-box/v1") == "by the proxy proxy.example"
    assert keys.leaks("https://gpu-box/v1") is None
    monkeypatch.setenv("no_proxy", "gpu-box")
    assert keys.leaks("http://gpu-box/v1") is None
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "10.0.0.1:3128")
    assert keys.leaks("http://gpu-box/v1") is None


MADE = "sk-made-up-0123456789abcdef"


@pytest.mark.parametrize(
    "body",
    [
        *[
            {name: "x9"}
            for name in (
                *(
                    "api_key",
                    "apikey",
                    "apiKey",
                    "API_KEY",
                    "X-Api-Key",
                    "api-key",
                    "key",
                    "token",
                    "authToken",
                    "bearer",
                ),
                *(
                    "credential",
                    "credentials",
                    "secret",
                    "client_secret",
                    "clientSecret",
                    "authorization",
                    "auth",
                    "jwt",
                ),
                *(
                    "Proxy-Authorization",
                    "password",
                    "db_password",
                    "passwd",
                    "pwd",
                    "cookie",
                    "Set-Cookie",
                    "hf_token",
                ),
                *("openai_api_key", "openaiApiKey", "Ocp-Apim-Subscription-Key", "access_token", "refresh_token"),
                *("session_token", "private_key", "bearer_token", "use_auth_token", "aws_secret", "passphrase", "keys"),
            )
        ],
        {"headers": {"Authorization": "x"}},
        {"a": [{"b": [[{"api_key": "x"}]]}]},
        {"authorization": ["Bearer x"]},
        {"headers": [["Authorization", f"Bearer {MADE}"]]},
        {"headers": [f"Authorization: Bearer {MADE}"]},
        {"headers": [{"name": "X-Api-Key", "value": "x"}]},
        {"headers": [{"key": "Authorization", "value": "x"}]},
        {"whatever": MADE},
        {"whatever": [MADE]},
        {"url": f"https://host/{MADE}"},
    ],
    ids=str,
)
def test_no_key_is_taken_into_a_recipe_under_any_name(body: dict[str, Any]) -> None:
    for table in ("extra_body", "load"):
        with pytest.raises(ValueError, match="a key belongs in the environment") as caught:
            ModelSettings.model_validate({"name": "openai:m", table: body})
        assert MADE not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("field", ["name", "alias", "revision", "base_url"])
def test_no_key_is_taken_into_a_recipe_in_a_name_or_an_address(field: str) -> None:
    before = {"name": "openai:", "base_url": "https://host/"}.get(field, "")
    with pytest.raises(ValueError, match="a key belongs in the environment"):
        ModelSettings.model_validate({"name": "openai:m", field: before + MADE})


@pytest.mark.parametrize(
    "body",
    [
        {"prompt_cache_key": "a", "pad_token": "</s>", "eos_token": "x", "max_tokens": 5, "logit_bias": {"5": 1}},
        {"token": True, "use_auth_token": False, "secret": "", "api_key": None, "keys": []},
        {
            "guided_json": {
                "properties": {"password": {"type": "string"}, "key": {"type": "string"}},
                "required": ["key"],
            }
        },
        {"chat_template_kwargs": {"enable_thinking": True}, "cache_key": "x", "tokenizer": "y", "author": "me"},
        {"code_revision": "0123456789abcdef0123456789abcdef01234567", "model": "hf_transformers_backend"},
        {"stop": ["Bearer of news"], "metadata": {"name": "value", "value": "name"}, "sort_key": "a", "keyword": "b"},
    ],
    ids=str,
)
def test_fields_that_are_no_keys_are_passed_through(body: dict[str, Any]) -> None:
    assert ModelSettings(name="openai:m", extra_body=body).extra_body == body


@pytest.mark.parametrize(
    "name",
    [
        "hf:models/hf-llama3-8b-distill",
        "openai:hf_llama3_8b_instruct",
        "openai:xai-grok-4-fast-reasoning",
        "hf:org/r8-llama-3-8b-instruct",
    ],
)
def test_a_model_s_name_that_begins_like_a_key_is_a_name(name: str) -> None:
    assert ModelSettings(name=name, base_url="http://localhost/v1" if name.startswith("openai") else None).name == name


@pytest.mark.parametrize(
    "key",
    [
        "hf_" + "aB3dE" * 7,
        "hf_oauth_" + "eyJ0aB3d" * 9 + "-x_y",
        "gsk_" + "a1B2" * 13,
        "xai-" + "a1B2" * 20,
        "ghp_" + "a1B2" * 9,
        "r8_" + "a1B2" * 9,
        "nvapi-" + "a1-B_2c" * 9,
        "sk-ant-api03-" + "a1-B_2c" * 9,
    ],
)
def test_keys_as_vendors_make_them_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="a key belongs in the environment"):
        ModelSettings(name=f"openai:{key}")


def test_no_key_goes_over_plain_http_to_the_internet() -> None:
    with pytest.raises(ValueError, match="plain http"):
        ModelSettings(name="openai:m", base_url="http://llm.example/v1", key_env="LLM_API_KEY")
    ModelSettings(name="openai:m", base_url="http://llm.example/v1")
    ModelSettings(name="openai:m", base_url="https://llm.example/v1", key_env="LLM_API_KEY")


# ---------------------------------------------------------------- through the command line

RECIPE = """
name = "told"
[models]
student = "replay:corpus"
[models.teacher]
name = "openai:{model}"
base_url = "{url}"
{more}
[prompts.plain]
source = "corpus/plain"
limit = 4
[mix]
parts = {{ plain = 4 }}
[distil]
max_tokens = 64
"""


def distil(tmp_path: Path, server: Callable[[dict[str, Any]], Answer], more: str = "") -> tuple[int, dict[str, Any]]:
    with saying(Asked(server)) as url:
        recipe = tmp_path / "told.toml"
        recipe.write_text(RECIPE.format(url=url, model=tmp_path.name, more=more))
        for verb in ("prompts", "distil"):
            code = main([verb, str(recipe), "--root", str(tmp_path / "runs")])
    manifests = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/distil-*/manifest.json")]
    return code, manifests[0] if manifests else {}


def test_what_servers_do_otherwise_stands_in_the_manifest_and_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, manifest = distil(tmp_path, o3)
    assert code == 0
    (calls,) = manifest["calls"].values()
    assert any("temperature" in note and count == 4 for note, count in calls["notes"].items())
    assert "4 replies: sent without `temperature`" in capsys.readouterr().err


def test_a_filter_s_403_does_not_stop_the_stage(tmp_path: Path) -> None:
    status, body = FILTERED[0]
    code, manifest = distil(tmp_path, says(body, status))
    assert (code, manifest["counts"]["endings"]) == (0, {"filter": 4})


def test_a_count_that_can_t_be_is_told_once_and_shown_as_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 0}}
    code, manifest = distil(tmp_path, says(chat(usage=usage, content="yes", reasoning_content="hm hm")))
    assert code == 0
    (calls,) = manifest["calls"].values()
    assert calls["notes"] == {UNCOUNTED: 4}
    assert capsys.readouterr().err.count(UNCOUNTED) == 1
