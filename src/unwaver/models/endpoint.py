"""Any OpenAI-compatible server or vendor, through the `openai` client.

The key comes from the environment and goes nowhere else: it is struck out of whatever the server sends back. Servers
differ in where they put the reasoning (`reasoning_content`, `reasoning`, parts of the content, or tags in it): all are
read. What is not a reply (an error in a 200, an empty message, bytes that are no text) is an exception, never a text.
The client's own models are passed by: they take half of its time, and a reply is not always what they expect.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai

from unwaver.errors import RecipeError, RunError
from unwaver.models import Refused, Transient
from unwaver.models.streamed import whole
from unwaver.recipe import ModelSettings
from unwaver.records import Ending, Reply, Request

VENDOR = "https://api.openai.com/v1"
"""Where `openai:` goes without a `base_url`, whatever the client's own environment variables say."""

ENDINGS: dict[str, Ending] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "function_call"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length", "max_output_tokens"), "length"),
    **dict.fromkeys(("content_filter", "safety", "refusal", "prohibited_content"), "filter"),
}
"""What servers call the end of a reply, in small letters; anything else is no end we know."""

POOL = 16
"""Connections of one client: with more, its search for a free one takes longer than all the rest of a call."""
MAY_PASS = (408, 409, 425, 429)
FILTER_CODES = frozenset(
    ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "data_inspection_failed",
     "datainspectionfailed", "invalid_prompt", "moderation_blocked")
)  # fmt: skip
"""Error codes of a safety filter: OpenAI's, Azure's, Alibaba's."""
FILTER_PHRASES = ("content exists risk", "content management policy", "input was flagged", "prompt was flagged")
"""Words of a safety filter that sends no code: DeepSeek's, Azure's behind a proxy, OpenRouter's, OpenAI's."""
NO_CREDIT = frozenset(("insufficient_quota", "insufficient_balance", "billing_hard_limit_reached"))


class Endpoint:
    """One model of one server."""

    def __init__(self, settings: ModelSettings) -> None:
        self.label = settings.label
        self._settings = settings
        self._key = os.environ.get(settings.key_env, "").strip()  # a line break from a file is no part of a key
        if not self._key and (settings.base_url is None or "key_env" in settings.model_fields_set):
            raise RecipeError(
                f"{settings.name}: the environment variable {settings.key_env} holds no key; "
                f"set it (export {settings.key_env}=...) or name another one with `key_env`"
            )
        if not (self._key.isascii() and self._key.isprintable()):
            raise RecipeError(
                f"{settings.name}: the key in {settings.key_env} holds characters that no key has; copy it again"
            )
        pools = -(-settings.concurrency // POOL)
        trusted = httpx2.create_ssl_context()  # once, as it reads the certificates of the world
        self._clients = [_client(self._key, settings.base_url or VENDOR, trusted) for _ in range(pools)]
        self._free = [client for client in self._clients for _ in range(POOL)]

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()

    async def reply(self, request: Request) -> Reply:
        """One chat completion, or one plain completion where the request is already rendered."""
        plain = request.rendered is not None
        path, body = ("/completions", self._plain(request)) if plain else ("/chat/completions", self._chat(request))
        client = self._free.pop() if self._free else self._clients[0]
        try:
            async with asyncio.timeout(self._settings.timeout):
                raw = await client.post(path, cast_to=bytes, body=body)
        except TimeoutError:
            raise Transient(f"no reply within {self._settings.timeout:g} s") from None
        except openai.APIStatusError as error:
            return self._problem(error.status_code, error.body, _retry_after(error.response.headers))
        except openai.APIError as error:
            raise Transient(self._tell(f"no connection: {error.__cause__ or error}")) from None
        except UnicodeEncodeError:
            raise Refused("the prompt holds half a surrogate pair, which can't be sent") from None
        finally:
            self._free.append(client)
        return self._read(raw, request)

    def _chat(self, request: Request) -> dict[str, Any]:
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        if self._settings.system is not None and not any(m["role"] == "system" for m in messages):
            messages.insert(0, {"role": "system", "content": self._settings.system})
        call: dict[str, Any] = {"messages": messages}
        if request.prefill:
            messages.append({"role": "assistant", "content": request.prefill})
            # The way of vLLM, SGLang and llama.cpp to go on with the last turn rather than to open a new one.
            call |= {"continue_final_message": True, "add_generation_prompt": False}
        if request.json_schema is not None:
            schema = {"name": "reply", "schema": request.json_schema, "strict": True}
            call["response_format"] = {"type": "json_schema", "json_schema": schema}
        return call | self._common(request)

    def _plain(self, request: Request) -> dict[str, Any]:
        return {"prompt": (request.rendered or "") + request.prefill, **self._common(request)}

    def _common(self, request: Request) -> dict[str, Any]:
        """The fields of both kinds of call; `extra_body` has the last word."""
        sampling, extra = request.sampling, self._settings.extra_body
        # OpenAI's reasoning models take the new name only, other servers often the old one only.
        newer = self._settings.base_url is None or "max_completion_tokens" in extra
        common: dict[str, Any] = {
            "model": self._settings.target,
            "max_completion_tokens" if newer else "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if self._settings.stream:
            common |= {"stream": True, "stream_options": {"include_usage": True}}
        if sampling.seed is not None:
            common["seed"] = sampling.seed + request.sample
        return common | extra

    def _read(self, raw: bytes, request: Request) -> Reply:
        try:
            body = whole(raw)
        except (ValueError, RecursionError) as error:
            raise Transient(f"the server sent no JSON: {self._tell(str(error))}") from None
        choice = _first_choice(body)
        if choice is None or choice.get("error"):
            wrong = _dict(choice or body).get("error")
            if isinstance(wrong, dict):
                return self._problem(_status(wrong), wrong)
            raise Transient(f"the server sent no reply: {self._tell(str(wrong or body))}")
        usage = _dict(body.get("usage"))
        tokens = {
            "tokens_in": _count(usage.get("prompt_tokens")),
            "tokens_out": _count(usage.get("completion_tokens")),
            "tokens_reasoning": _count(_dict(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        }
        spent = (tokens["tokens_in"] or 0, tokens["tokens_out"] or 0)
        text, reasoning = _pieces(choice, self._clean)
        # vLLM sends the continuation alone, llama.cpp the prefill with it.
        text = text.removeprefix(request.prefill)
        ending = _ending(choice, tokens["tokens_out"], request.sampling.max_tokens)
        if ending is None:
            finish = self._tell(str(choice.get("finish_reason")))[:40]
            raise Transient(f"the server ended the reply with {finish!r}", spent=spent)
        refusal = _dict(choice.get("message")).get("refusal")
        if ending == "filter":
            return Reply(ending="filter", failure="the provider's content filter withheld the reply", **tokens)
        if not text and isinstance(refusal, str) and refusal:
            if request.json_schema is not None:
                return Reply(ending="filter", failure=f"the model refused the task: {self._tell(refusal)}", **tokens)
            text = self._clean(refusal)
        if not text and not reasoning:
            if ending != "length":
                raise Transient("the server sent an empty reply", spent=spent)
            # All the tokens went into reasoning that the server keeps to itself: the answer was never reached.
            reasoning = ""
        opened = self._settings.opens_block and not request.prefill and request.rendered is None
        return Reply(text=text, reasoning=reasoning, ending=ending, opened=opened, **tokens)

    def _problem(self, status: int, error: object, wait: float | None = None) -> Reply:
        """What an error means: a reply withheld by the provider's safety filter, or an exception."""
        name, known = self._settings.name, _first_choice(error)
        message, codes = _said(error)
        if 400 <= status < 500 and (
            codes & FILTER_CODES
            or any(phrase in message.lower() for phrase in FILTER_PHRASES)
            or (known is not None and ENDINGS.get(str(known.get("finish_reason")).lower()) == "filter")
        ):
            return Reply(ending="filter", failure=f"the provider's safety filter refused: {self._tell(message)}")
        reason = f"HTTP {status}: {self._tell(message)}"
        if status in (401, 403):
            raise RecipeError(f"{name}: the server refused the key in {self._settings.key_env} (HTTP {status})")
        if status == 402 or codes & NO_CREDIT:
            raise RunError(f"{name}: no credit left ({reason}); top it up and give the same command again")
        if status == 404:
            raise RecipeError(f"{name}: no such model or address at {self._settings.base_url or VENDOR} ({reason})")
        if status in MAY_PASS or status >= 500:
            raise Transient(reason, wait, crowded=status == 429)
        raise Refused(reason)

    def _clean(self, text: str) -> str:
        """Text that a file can hold (no lone surrogates), with the key struck out should a server send it back."""
        if len(self._key) >= 8:
            text = text.replace(self._key, "[key]")
        return text.encode("utf-8", "replace").decode("utf-8")

    def _tell(self, text: str) -> str:
        """A server's words on one line of a message: short, and nothing in it that steers a terminal."""
        line = " ".join(self._clean(text).split())[:300]
        return "".join(char for char in line if char.isprintable()) or "no reason given"


def _client(key: str, base_url: str, trusted: ssl.SSLContext) -> openai.AsyncOpenAI:
    """A client that leaves time-outs and retries to us."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=POOL)
    http = openai.DefaultAsyncHttpxClient(verify=trusted, timeout=None, limits=limits)
    return openai.AsyncOpenAI(api_key=key or "none", base_url=base_url, timeout=None, max_retries=0, http_client=http)


def _first_choice(body: object) -> dict[str, Any] | None:
    choices = _dict(body).get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    """A number of tokens; None for what can't be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _pieces(choice: dict[str, Any], clean: Callable[[str], str]) -> tuple[str, str | None]:
    """(text, reasoning where the server hands it over apart) of a choice, of either kind of call."""
    message = _dict(choice.get("message"))
    content = message.get("content") if message else choice.get("text")
    reasoning = next(
        (v for v in map(message.get, ("reasoning_content", "reasoning")) if isinstance(v, str) and v), None
    )
    if isinstance(content, list):
        # Mistral's reasoning models send parts: {"type": "thinking", "thinking": [parts]} and {"type": "text"}.
        parts = [part for part in content if isinstance(part, dict)]
        thought = "".join(_joined(part.get("thinking")) for part in parts if part.get("type") == "thinking")
        content, reasoning = (
            _joined([part for part in parts if part.get("type") == "text"]),
            reasoning or thought or None,
        )
    if content is not None and not isinstance(content, str):
        raise Transient(f"the server sent {type(content).__name__} in place of a text")
    return clean(content or ""), None if reasoning is None else clean(reasoning)


def _joined(parts: object) -> str:
    if isinstance(parts, list):
        return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))
    return parts if isinstance(parts, str) else ""


def _ending(choice: dict[str, Any], tokens_out: int | None, limit: int) -> Ending | None:
    """Why the reply ended; None for a reason we don't know."""
    finish = choice.get("finish_reason")
    if finish is None and tokens_out is not None:
        return "stop" if tokens_out < limit else "length"
    return ENDINGS.get(str(finish).lower())


def _said(error: object) -> tuple[str, set[str]]:
    """(message, codes) of an error, which servers wrap in one another."""
    codes: set[str] = set()
    message = ""
    while isinstance(error, dict):
        codes |= {str(error[k]).lower() for k in ("code", "type") if error.get(k)}
        codes |= {str(code).lower() for code in [_dict(error.get("innererror")).get("code")] if code}
        found = error.get("message") or error.get("detail")
        message = found if isinstance(found, str) else message or json.dumps(error, ensure_ascii=False)
        error = error.get("error")
    return (error if isinstance(error, str) and not message else message), codes


def _status(error: dict[str, Any]) -> int:
    """The HTTP status that an error inside a 200 would have had; one that doesn't say is taken to pass."""
    code = str(error.get("code") or error.get("status") or "")
    return int(code) if code.isascii() and code.isdigit() and 400 <= int(code) < 600 else 500


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from milliseconds, seconds or a date; None where the server did not say."""
    value = headers.get("retry-after", "")
    try:
        if "retry-after-ms" in headers:
            wait = float(headers["retry-after-ms"]) / 1000
        elif value[:1].isalpha():
            wait = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        else:
            wait = float(value)
    except (ValueError, TypeError):
        return None
    return max(0.0, wait) if math.isfinite(wait) else None
