"""What servers of many kinds send, by script: errors that routers wrap, filters and what only sounds like one, replies in
odd shapes. Each is read right, or what may be wrong is told. One table for each kind."""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_servers import ask, chat, says

from unwaver.models import Refused, Transient
from unwaver.models.endpoint import FURTHER
from unwaver.models.problems import in_a_200, problem
from unwaver.models.streamed import ALL_SO_FAR, whole

THOUGHT, SAID = "They want a cake. I list the steps.", "Mix flour, eggs and sugar."


def error(message: str, **more: object) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


def routed(inner: object, code: int = 502, **more: object) -> dict[str, Any]:
    """An error as OpenRouter wraps it: that of the provider is a text of JSON."""
    raw = inner if isinstance(inner, str) else json.dumps(inner)
    about = {"raw": raw, "provider_name": "X", **more}
    return {"error": {"code": code, "message": "Provider returned error", "metadata": about}}


AZURE = json.dumps(
    {
        "error": {
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy",
            "code": "content_filter",
            "innererror": {"code": "ResponsibleAIPolicyViolation"},
        }
    }
)

ERRORS: list[tuple[int, Any, str | None]] = [
    # wrapped
    (200, {"choices": [{"error": routed(AZURE)["error"], "finish_reason": "error", "message": {"content": ""}}]}, "filter"),
    (200, routed(AZURE), "filter"),
    (400, routed(AZURE, 400), "filter"),
    (502, routed(AZURE), "filter"),
    (200, routed({"error": {"message": "Your prompt was flagged", "type": "invalid_request_error", "code": "content_policy_violation"}}), "filter"),
    (200, {"choices": [{"error": routed({"error": {"message": "rate limited", "code": 429}}, 429)["error"], "finish_reason": "error"}]}, "passing"),
    (200, routed({"error": {"message": "Overloaded", "type": "overloaded_error"}}, 502), "passing"),
    (400, routed({"error": {"message": "max_tokens: 99999 > 8192", "type": "invalid_request_error"}}, 400), "refused"),
    (200, routed({"error": {"message": "max_tokens: 99999 > 8192, which is the maximum allowed number of output tokens", "type": "invalid_request_error"}}, 400), "refused"),
    (400, routed('{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}', 400), "filter"),
    (403, {"error": {"code": 403, "message": "Your chosen model requires moderation and your input was flagged", "metadata": {"reasons": ["violence"], "flagged_input": "x"}}}, "filter"),
    (200, {"choices": [{"error": {"code": 403, "message": "moderation", "metadata": {"reasons": ["S1"]}}, "finish_reason": "error"}]}, "filter"),
    (400, routed({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, 400), "filter"),
    (400, error(json.dumps({"error": {"code": "content_filter", "message": "blocked"}})), "filter"),
    (400, error("litellm.BadRequestError: AzureException - Error code: 400 - {'error': {'message': 'x', 'code': 'content_filter'}}"), "filter"),
    (400, error('Error code: 400 - {"error":{"code":"content_filter","message":"x"}}'), "filter"),
    (200, {"error": AZURE}, "filter"),
    (500, {"detail": {"error": {"code": "content_filter", "message": "x"}}}, "filter"),
    (400, {"detail": json.dumps({"error": {"code": "content_filter"}})}, "filter"),
    (400, {"errors": [{"code": "content_filter", "message": "x"}]}, "filter"),
    (400, {"errors": [{"message": "Input was flagged by our safety system", "code": 5016}]}, "filter"),
    (502, {"error": {"message": "Upstream error", "cause": {"code": "content_filter"}}}, "filter"),
    # code overruled by words
    (400, error("The prompt was filtered. The account may be suspended on repeat.", code="content_filter"), "filter"),
    (400, error("Response too long filtered", code="content_filter"), "filter"),
    (429, error("slow", code="content_filter"), "filter"),
    (400, error("Service unavailable for this content", code="content_policy_violation"), "filter"),
    (404, error("x", code="ResponsibleAIPolicyViolation"), "filter"),
    (500, error("The request timed out in the region", code="content_filter"), "filter"),
    # unknown filters
    (400, error("x", code="safety_block"), "filter"),
    (400, error("x", code="prompt_blocked"), "filter"),
    (400, error("x", code="ContentFiltered"), "filter"),
    (400, error("x", code="unsafe_content"), "filter"),
    (400, error("x", code="policy_violation"), "filter"),
    (400, error("x", code="jailbreak_detected"), "filter"),
    (400, error("x", code="harmful_content"), "filter"),
    (400, error("x", type="content_moderation_failed"), "filter"),
    (400, error("x", code="BLOCKED_BY_GUARDRAIL"), "filter"),
    (400, error("x", type="usage_policy_violation"), "filter"),
    (400, error("x", code="SENSITIVE_WORD"), "filter"),
    (400, error("x", code="inappropriate_content"), "filter"),
    (400, error("x", code="prompt_injection_detected"), "filter"),
    (400, error("x", code="flagged"), "filter"),
    (400, error("We cannot process this request because it may contain harmful material"), "filter"),
    (400, error("Your request was rejected as a result of our safety system"), "filter"),
    (400, error("This request has been flagged for potentially unsafe content"), "filter"),
    (400, error("I cannot help: the request violates our acceptable use policy"), "filter"),
    (400, error("Prompt was blocked by the model's safety filters"), "filter"),
    (400, error("The model's response was withheld for safety"), "filter"),
    (400, error("Potentially harmful content detected in prompt"), "filter"),
    (400, error("Request blocked by content safety"), "filter"),
    (400, error("Jailbreak attempt detected"), "filter"),
    (400, error("内容包含敏感词"), "filter"),
    (400, error("您的问题涉及违法违规内容"), "filter"),
    (400, error("请求内容未通过安全检测"), "filter"),
    (400, error("부적절한 콘텐츠가 감지되었습니다"), "filter"),
    (400, error("不適切なコンテンツが検出されました"), "filter"),
    (200, {"code": "20059", "message": "The content is flagged by moderation"}, "filter"),
    (200, {"status": "error", "message": "Blocked by safety filter"}, "filter"),
    (200, {"success": False, "errors": [{"code": 3030, "message": "Prompt contains NSFW content."}]}, "filter"),
    (200, {"candidates": [], "promptFeedback": {"blockReason": "SAFETY"}}, "filter"),
    (200, {"id": "x", "choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {"violence": {"filtered": True, "severity": "high"}}}]}, "filter"),
    (200, {"choices": [{"finish_reason": "stop", "message": {"content": ""}, "content_filter_results": {"violence": {"filtered": True, "severity": "high"}}}]}, "filter"),
    (400, {"success": False, "errors": [{"code": 2016, "message": "x"}]}, "filter"),
    (400, error("x", code="1301"), "filter"),
    (451, error("x", type="censorship_blocked"), "filter"),
    (451, {"detail": "Unavailable For Legal Reasons"}, "filter"),
    (451, error("The response is unavailable for legal reasons."), "filter"),
    (451, error("x"), "filter"),
    (400, error("The completion was withheld for legal reasons."), "filter"),
    (400, error("x", code="OutputTextSensitiveContentDetected"), "filter"),
    (400, error("x", code="DataInspectionFailed"), "filter"),
    # false filters
    (400, error("Invalid value for temperature. See https://platform.x.com/docs/safety-policy"), "refused"),
    (400, error("Unknown parameter: 'foo'. Docs: https://x.com/content-policy#violations"), "refused"),
    (400, error("Unknown parameter: 'safety_settings'."), "refused"),
    (400, error("Unrecognized request argument supplied: content_filter"), "refused"),
    (400, error("safety_setting is not supported for this model"), "refused"),
    (400, error('Invalid JSON payload received. Unknown name "safetySettings": Cannot find field.'), "refused"),
    (400, error("moderation must be one of low, auto"), "refused"),
    (400, error("The guardrail identifier provided does not exist"), "refused"),
    (404, error("guardrail not found"), "missing"),
    (400, error("Your content filter configuration is invalid"), "refused"),
    (500, error("Internal error in content moderation service"), "passing"),
    (503, error("moderation endpoint overloaded"), "passing"),
    (429, error("Too many requests to the content filter"), "passing"),
    (403, error("You do not have access to this model. Please accept the usage policies at https://x"), "key"),
    (401, error("Invalid key. See our safety guidelines: content policy"), "key"),
    (400, error("messages: text content blocks must be non-empty"), "refused"),
    (400, error("Unsupported content type: text/plain rejected"), "refused"),
    (400, error("response_format.json_schema: sensitive to order"), "refused"),
    (400, error("prompt is too long: 300000 tokens > 200000 maximum. See content policy docs"), "refused"),
    (400, error("Invalid request: input text exceeds the limit; see our content policy"), "refused"),
    (400, error("The input must not contain prohibited characters"), "refused"),
    (400, error("Invalid prompt: messages must be a list", code="invalid_prompt"), "refused"),
    (400, error("Invalid prompt: your prompt was flagged as potentially violating our usage policy", code="invalid_prompt"), "filter"),
    (403, error("Your IP was blocked by our safety systems"), "key"),
    (403, error("Access denied by network policy"), "key"),
    (400, error("x", code="rate_limit_policy"), "refused"),
    (403, error("Please complete the safety verification of your organization"), "key"),
    (400, error("The output length violates the content length limit"), "refused"),
    (422, {"detail": [{"loc": ["body", "messages", 0, "content"], "msg": "Input should be a valid string", "type": "string_type"}]}, "refused"),
    (400, error("Invalid 'safety_identifier': string too long"), "refused"),
    (200, {"choices": [{"finish_reason": "stop", "message": {"content": "x"}, "content_filter_results": {"violence": {"filtered": False, "severity": "safe"}}}]}, None),
    (200, {"choices": [{"finish_reason": "stop", "message": {"content": "x"}, "content_filter_results": {"error": {"code": "content_filter_error", "message": "The contents are not filtered"}}}]}, None),
    (451, error("This model is unavailable for legal reasons in your country"), "refused"),
    (451, error("Your account is suspended because of sanctions"), "refused"),
    (503, error("Unavailable for legal reasons"), "passing"),
    (402, error("Insufficient credits; content policy"), "credit"),
    (403, error("You have exceeded your monthly quota"), "credit"),
    (403, error("Key limit exceeded (total limit)"), "credit"),
    (403, error("The free tier of the model has been exhausted", code="AllocationQuota.FreeTierOnly"), "credit"),
    (403, error("账户余额不足"), "credit"),
    (401, error("quota", code="insufficient_quota"), "credit"),
    (403, error("API key not valid, so it has no quota"), "key"),
    (403, error("You do not have access to this model"), "key"),
    (429, error("You exceeded your current quota", code="insufficient_quota"), "credit"),
    (200, {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": '{"error":{"message":"quota","code":"insufficient_quota"}}'}}}, "credit"),
    (200, routed({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, 401), "key"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "meaning"), ERRORS)
def test_what_an_error_means(status: int, body: Any, meaning: str | None) -> None:
    choices = body.get("choices") or [{}]
    found = in_a_200(body) or in_a_200(choices[0]) if status == 200 else problem(status, body)
    assert (found and found.what) == meaning


def test_the_words_of_whoever_served_it_are_told() -> None:
    found = problem(400, routed({"error": {"message": "max_tokens: 99999 is too many"}}, 400))
    assert found.message == "Provider returned error: max_tokens: 99999 is too many"
    deep: Any = "x"
    for _ in range(200):
        deep = {"error": deep}
    assert problem(400, deep).what == "refused"


def test_a_wrapped_filter_is_an_outcome_through_the_door() -> None:
    choice = {"finish_reason": "error", "message": {"content": ""}, "error": routed(AZURE)["error"]}
    for body, status in (({"choices": [choice]}, 200), (routed(AZURE), 200), (routed(AZURE, 400), 400)):
        (reply,) = ask(says(body, status))
        assert reply.ending == "filter"
        assert "content management policy" in str(reply.failure)


# ---------------------------------------------------------------- replies

PART = {"type": "text", "text": SAID}


@pytest.mark.parametrize(
    ("message", "text", "reasoning", "told"),
    [
        ({"content": SAID, "reasoning": "Okay"}, SAID, "Okay", None),
        ({"content": None, "reasoning_content": "42"}, "", "42", None),
        ({"content": "", "reasoning_content": "No"}, "", "No", None),
        ({"content": SAID, "reasoning": "adaptive"}, SAID, None, None),
        ({"content": SAID, "reasoning": {"steps": [THOUGHT, "Then I bake it."]}}, SAID, f"{THOUGHT}\n\nThen I bake it.", None),
        ({"content": SAID, "\u601d\u8003": THOUGHT}, SAID, THOUGHT, None),
        ({"content": SAID, "analysis": THOUGHT}, SAID, THOUGHT, "by its name"),
        ({"content": [{"type": "scratchpad", "text": THOUGHT}, PART]}, SAID, THOUGHT, None),
        ({"content": [{"text": THOUGHT, "thought": True}, {"text": SAID}]}, SAID, THOUGHT, None),
        ({"content": [{"type": "wibble", "text": THOUGHT}, PART]}, THOUGHT + SAID, None, "`wibble`"),
    ],
)  # fmt: skip
def test_a_reply_in_an_odd_shape(message: dict[str, Any], text: str, reasoning: str | None, told: str | None) -> None:
    (reply,) = ask(says(chat(**message)))
    assert (reply.text, reply.reasoning) == (text, reasoning)
    assert (told or "") in " ".join(reply.notes)
    assert bool(reply.notes) == bool(told)


@pytest.mark.parametrize(
    ("choice", "ending"),
    [
        ({"finishReason": "MAX_TOKENS"}, "length"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"}, "length"),
        ({"finish_reason": "stop", "native_finish_reason": "SAFETY"}, "filter"),
        ({"finish_reason": "length", "native_finish_reason": "stop"}, "length"),
        ({"finish_reason": "stop", "stop_reason": 151645}, "stop"),
        ({"finish_reason": None, "stop_reason": 151645}, "stop"),
        ({"finish_reason": "FinishReason.SAFETY"}, "filter"),
        ({"finish_reason": "maxPredictedTokensReached"}, "length"),
        ({"finish_reason": "eosFound"}, "stop"),
    ],
)
def test_how_a_choice_ended(choice: dict[str, Any], ending: str) -> None:
    body = {"choices": [{"message": {"content": SAID}, **choice}], "usage": {"completion_tokens": 5}}
    assert ask(says(body))[0].ending == ending
    delta = {"choices": [{"index": 0, "delta": {"content": SAID}, **choice}], "usage": {"completion_tokens": 5}}
    assert ask(says(f"data: {json.dumps(delta)}\n\ndata: [DONE]\n\n".encode()), stream=True)[0].ending == ending


@pytest.mark.parametrize(
    ("more", "counted"),
    [
        ({"usage": {"input_tokens": 5, "output_tokens": 10, "output_tokens_details": {"reasoning_tokens": 4}}}, (5, 10, 4)),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 4}}}, (5, 10, 4)),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 10, "reasoning_tokens": 4}}, (5, 10, 4)),
        ({"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 9, "totalTokenCount": 21}}, (5, 16, 9)),
        ({"usage": {"inputTokens": 5, "outputTokens": 10}}, (5, 10, None)),
        ({"prompt_eval_count": 5, "eval_count": 10}, (5, 10, None)),
        ({"usage": {"completion_tokens": "10"}}, (None, None, None)),
        ({}, (None, None, None)),
    ],
)  # fmt: skip
def test_counts_under_other_names(more: dict[str, Any], counted: tuple[int | None, ...]) -> None:
    body = {"choices": [{"finish_reason": "stop", "message": {"content": SAID, "reasoning": THOUGHT}}], **more}
    (reply,) = ask(says(body))
    assert (reply.tokens_in, reply.tokens_out, reply.tokens_reasoning) == counted


def events(*chunks: dict[str, Any], done: bool = True) -> bytes:
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


def delta(finish: str | None = None, **more: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": more, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (events(delta(content="Mix "), delta("stop", content="it."), done=False), ("Mix it.", None, "stop")),
        (events(delta(content="Mix "), routed(AZURE)), ("", None, "filter")),
        (events(delta(content="Mix "), delta("content_filter")), ("", None, "filter")),
        (events(delta(reasoning="They "), delta(reasoning="want"), delta("length")), ("", "They want", "length")),
        (events(delta(analysis="They "), delta(analysis="want."), delta("stop", content=SAID)), (SAID, "They want.", "stop")),
        (events(delta(analysis=3), delta("stop", content=SAID)), (SAID, None, "stop")),
        (events(delta(reasoning={"steps": ["They want."]}), delta("stop", content=SAID)), (SAID, "They want.", "stop")),
        (events(delta(content=[{"type": "scratchpad", "text": "They "}]), delta("stop", content=[{"type": "scratchpad", "text": "want."}, PART])), (SAID, "They want.", "stop")),
        (events(delta(reasoning="4"), delta(reasoning="2"), delta("stop", content=SAID)), (SAID, "42", "stop")),
    ],
)  # fmt: skip
def test_a_stream_in_an_odd_shape(stream: bytes, expected: tuple[str, str | None, str]) -> None:
    (reply,) = ask(says(stream), stream=True)
    assert (reply.text, reply.reasoning, reply.ending) == expected


SO_FAR = ["Mix", "Mix flour,", "Mix flour, eggs", SAID]
THOUGHTS = ["They", "They want", THOUGHT]


def beside(**more: object) -> dict[str, Any]:
    """An event that says something in the choice itself."""
    return {"choices": [{"index": 0, **more}]}


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([delta(content=text) for text in SO_FAR], (SAID, None)),
        ([delta(role="assistant", content=""), *(delta(content=text) for text in SO_FAR), delta(content=SAID)], (SAID, None)),
        ([delta(reasoning_content=text) for text in THOUGHTS] + [delta(reasoning_content=THOUGHT, content=text) for text in SO_FAR], (SAID, THOUGHT)),
        ([delta(reasoning=text) for text in THOUGHTS] + [delta(content="Mix"), delta(content=SAID)], (SAID, THOUGHT)),
        ([delta(content=[{"type": "text", "text": text}]) for text in SO_FAR], (SAID, None)),
        ([delta(content=[{"type": "thinking", "thinking": text}]) for text in THOUGHTS] + [delta(content=[{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": text}]) for text in SO_FAR], (SAID, THOUGHT)),
        ([delta(content=f"<think>{text}") for text in THOUGHTS] + [delta(content=f"<think>{THOUGHT}</think>{text}") for text in SO_FAR], (f"<think>{THOUGHT}</think>{SAID}", None)),
        ([beside(text=text) for text in SO_FAR], (SAID, None)),
        ([delta(content=text) for text in ("caf\ufffd", "caf\u00e9 a", "caf\u00e9 au lait")], ("caf\u00e9 au lait", None)),
    ],
)  # fmt: skip
def test_a_stream_of_all_text_so_far_is_not_doubled(
    chunks: list[dict[str, Any]], expected: tuple[str, str | None]
) -> None:
    (reply,) = ask(says(events(*chunks, delta("stop"))), stream=True)
    assert (reply.text, reply.reasoning, reply.notes) == (*expected, (ALL_SO_FAR,))


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        ([delta(content=piece) for piece in ("ha", "ha", "haha")], "hahahaha"),
        ([delta(content=piece) for piece in ("1", "10")], "110"),
        ([delta(content=piece) for piece in ("a", "ab", "abc", "x")], "aababcx"),
        ([delta(content=piece) for piece in ("x", "a", "ab", "abc")], "xaababc"),
        ([delta(content=piece) for piece in (" the", " the", " the", " the")], " the the the the"),
        ([delta(content=[{"type": "text", "text": piece}]) for piece in ("Mix", " it", ".")], "Mix it."),
    ],
)
def test_pieces_that_only_begin_alike_are_pieces(chunks: list[dict[str, Any]], text: str) -> None:
    (reply,) = ask(says(events(*chunks, delta("stop"))), stream=True)
    assert (reply.text, reply.notes) == (text, ())


@pytest.mark.parametrize(
    "messages",
    [
        [{"content": SAID}],
        [{"content": "Mix flour, "}, {"content": "eggs and "}, {"content": "sugar."}],
        [{"content": "Mix flour"}, {"content": SAID}],
        [{"content": ""}, {"content": SAID}, {"content": SAID}],
    ],
)
@pytest.mark.parametrize("opening", [[], [delta(role="assistant", content="")]])
def test_a_stream_of_messages_is_read_to_its_end(messages: list[dict[str, Any]], opening: list[dict[str, Any]]) -> None:
    chunks = [*opening, *(beside(message=message) for message in messages)]
    assert ask(says(events(*chunks, beside(finish_reason="stop"))), stream=True)[0].text == SAID


def test_a_message_behind_its_pieces_is_no_second_one() -> None:
    stream = events(delta(content="Mix "), delta(content="it."), beside(message={"content": "Mix it."}), delta("stop"))
    assert ask(says(stream), stream=True)[0].text == "Mix it."


def other(index: object, text: str, finish: str | None = "stop", **more: object) -> dict[str, Any]:
    found = {"message": {"content": text}, "delta": {"content": text}, "finish_reason": finish, **more}
    return found if index is None else {"index": index, **found}


@pytest.mark.parametrize(
    "choices",
    [
        [other(0, SAID), other(1, "Never.", "length")],
        [other(1, "Never.", "content_filter"), other(2, "Or not."), other(0, SAID)],
        [other(None, SAID), other(None, "Never.")],
        [other("b", SAID), other("a", "Never.")],
        [other(7, "Never.", error={"code": 502, "message": "gone"}), other(-1, SAID)],
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_of_several_choices_the_first_by_its_index_is_read_and_that_is_told(
    choices: list[dict[str, Any]], stream: bool
) -> None:
    used = {"completion_tokens": 900, "completion_tokens_details": {"reasoning_tokens": 800}}
    body = {"choices": choices, "usage": used}
    (reply,) = ask(says(events(body) if stream else body), stream=stream)
    assert (reply.text, reply.ending, reply.notes) == (SAID, "stop", (FURTHER,))
    assert (reply.tokens_out, reply.tokens_reasoning) == (900, None)


def test_choices_that_are_streamed_by_turns_are_kept_apart() -> None:
    def both(first: str, second: str, finish: str | None = None) -> list[dict[str, Any]]:
        return [{"choices": [{"index": at, "delta": {"content": text}, "finish_reason": finish}]} for at, text in ((1, second), (0, first))]  # fmt: skip

    stream = events(*both("Mix ", "No "), *both("it.", "way.", "stop"), done=False)
    assert [(one.text, one.notes) for one in ask(says(stream), stream=True)] == [("Mix it.", (FURTHER,))]
    cut = events(both("Mix ", "No way.", "stop")[0], both("Mix ", "")[1], done=False)
    with pytest.raises(Transient, match="cut in the middle"):
        ask(says(cut), stream=True)


def test_one_choice_of_any_number_is_no_further_one() -> None:
    for stream in (False, True):
        body = {"choices": [other(3, SAID)]}
        (reply,) = ask(says(events(body) if stream else body), stream=stream)
        assert (reply.text, reply.notes) == (SAID, ())


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [' + b"[]," * 2_200_000 + b"0]}",
        b'{"choices": [' + b'{"a":{}},' * 1_100_000 + b"0]}",
        b'{"choices": [{"message": {"content": ["' + b'a","' * 2_200_000 + b'"]}}]}',
        b'data: {"choices": [' + b"{}," * 2_200_000 + b"0]}\n\n",
        b":" + b"\n" * 2_200_000,
        b"data:\r" * 2_200_000,
    ],
    ids=["lists", "objects", "texts", "an event", "lines", "events"],
)
def test_a_body_of_millions_of_parts_is_not_unfolded_in_memory(body: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(Refused, match="values|lines"):
        whole(body)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 6 * len(body)


def test_a_long_reply_of_brackets_and_commas_is_read() -> None:
    (reply,) = ask(says(chat(content="[{" * 400_000 + "," * 1_000_000)))
    assert len(reply.text) == 1_800_000


def test_a_message_of_thousands_of_thoughts_is_no_reply() -> None:
    body = chat(content=SAID, **{f"a{at}_thinking": f"{THOUGHT} {at}" for at in range(20_000)})
    with pytest.raises(Transient, match="20,000 fields of reasoning"):
        ask(says(body))
    (reply,) = ask(says(chat(content=SAID, **{f"a{at}_thinking": f"{THOUGHT} {at}." for at in range(50)})))
    assert (reply.reasoning or "").count(THOUGHT) == 50


def test_a_stream_of_parts_by_turns_is_put_together_at_once() -> None:
    parts = [{"type": kind, "text": "ab"} for kind in ("text", "thinking")]
    raw = events(*(delta(content=[parts[at % 2]]) for at in range(4000)), delta("stop"))
    began = time.process_time()
    (reply,) = ask(says(raw), stream=True)
    assert time.process_time() - began < 20  # it took minutes: each piece read all before it again
    assert (len(reply.text), len(reply.reasoning or "")) == (4000, 4000 + 2 * 1999)


@pytest.mark.parametrize(
    "stream",
    [
        events(delta(content="Mix "), delta(content="flour"), done=False),
        events(delta(content="Mix "), {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "gone"}}]}),
        events({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ],
)  # fmt: skip
def test_a_stream_that_breaks_is_tried_again(stream: bytes) -> None:
    with pytest.raises(Transient):
        ask(says(stream), stream=True)


@pytest.mark.parametrize(
    "body",
    [
        {"message": {"role": "assistant", "content": SAID}, "done": True, "done_reason": "stop"},
        {"type": "message", "role": "assistant", "content": [PART], "stop_reason": "end_turn"},
        {"candidates": [{"content": {"parts": [{"text": SAID}]}, "finishReason": "STOP"}]},
    ],
)
def test_a_vendor_s_own_interface_is_told_and_no_reply(body: dict[str, Any]) -> None:
    with pytest.raises(Transient, match="sent no reply"):
        ask(says(body))
