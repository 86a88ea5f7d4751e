"""Any OpenAI-compatible server or vendor, through the `openai` client.

The key comes from the environment and goes nowhere else. Servers differ in where they put the reasoning
(`reasoning_content`, `reasoning`, or tags in the content): all three are read. What is not a reply (an error in a 200,
an empty message, bytes that are no text) is an exception, never a text.
"""

from __future__ import annotations

import json
import os
from typing import Any, cast

import openai

from unwaver.errors import RecipeError
from unwaver.models import Refused, Transient
from unwaver.recipe import ModelSettings
from unwaver.records import Ending, Reply, Request

LOCAL_HOSTS = ("http://127.", "http://localhost", "http://[::1]")

ENDINGS: dict[str, Ending] = {"stop": "stop", "length": "length", "content_filter": "filter", "tool_calls": "stop"}


class Endpoint:
    """One model of one server."""

    def __init__(self, settings: ModelSettings) -> None:
        self.label = settings.label
        self._settings = settings
        key = os.environ.get(settings.key_env)
        if not key:
            if not (settings.base_url or "").startswith(LOCAL_HOSTS):
                raise RecipeError(
                    f"{settings.name}: the environment variable {settings.key_env} holds no key; "
                    f"set it (export {settings.key_env}=...) or name another one with `key_env`"
                )
            key = "none"
        self._client = openai.AsyncOpenAI(
            api_key=key, base_url=settings.base_url, timeout=settings.timeout, max_retries=0
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def reply(self, request: Request) -> Reply:
        """One chat completion, or one plain completion where the request is already rendered."""
        try:
            if request.rendered is not None:
                raw = await self._client.completions.create(**self._plain(request))
            else:
                raw = await self._client.chat.completions.create(**self._chat(request))
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise RecipeError(
                f"{self._settings.name}: the server refused the key in {self._settings.key_env} (HTTP {error.status_code})"
            ) from None
        except openai.APIStatusError as error:
            reason = f"HTTP {error.status_code}: {_brief(error.message)}"
            if error.status_code in (408, 409, 425, 429) or error.status_code >= 500:
                raise Transient(reason, _retry_after(error)) from None
            raise Refused(reason) from None
        except openai.APITimeoutError:
            raise Transient(f"no reply within {self._settings.timeout:g} s") from None
        except (openai.APIError, json.JSONDecodeError, UnicodeDecodeError, ValueError) as error:
            raise Transient(f"{type(error).__name__}: {_brief(str(error))}") from None
        return self._read(raw, request)

    def _chat(self, request: Request) -> dict[str, Any]:
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        if self._settings.system is not None and not any(m["role"] == "system" for m in messages):
            messages.insert(0, {"role": "system", "content": self._settings.system})
        extra = dict(self._settings.extra_body)
        if request.prefill:
            messages.append({"role": "assistant", "content": request.prefill})
            # vLLM's and SGLang's way to go on with the last turn rather than to open a new one.
            extra = {"continue_final_message": True, "add_generation_prompt": False, **extra}
        call: dict[str, Any] = {"messages": messages, **self._common(request)}
        if request.json_schema is not None:
            schema = {"name": "reply", "schema": request.json_schema, "strict": True}
            call["response_format"] = {"type": "json_schema", "json_schema": schema}
        if extra:
            call["extra_body"] = extra
        return call

    def _plain(self, request: Request) -> dict[str, Any]:
        call = {"prompt": (request.rendered or "") + request.prefill, **self._common(request)}
        if self._settings.extra_body:
            call["extra_body"] = self._settings.extra_body
        return call

    def _common(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        common: dict[str, Any] = {
            "model": self._settings.target,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if sampling.seed is not None:
            common["seed"] = sampling.seed + request.sample
        return common

    def _read(self, raw: Any, request: Request) -> Reply:
        choices = getattr(raw, "choices", None)
        if not choices:
            problem = getattr(raw, "error", None) or getattr(raw, "model_extra", None) or "no choices"
            raise Transient(f"the server sent no reply: {_brief(str(problem))}")
        choice, usage = choices[0], getattr(raw, "usage", None)
        finish = str(getattr(choice, "finish_reason", None) or "stop")
        if finish not in ENDINGS:
            raise Transient(f"the server ended the reply with {finish!r}")
        message = getattr(choice, "message", None)
        text = (message.content if message is not None else choice.text) or ""
        reasoning = None
        if message is not None:
            extra = cast("dict[str, Any]", message.model_extra or {})
            reasoning = extra.get("reasoning_content") or extra.get("reasoning")
            if getattr(message, "refusal", None) and not text:
                return Reply(ending="filter", failure=f"the provider refused: {_brief(str(message.refusal))}")
        if ENDINGS[finish] == "filter":
            return Reply(ending="filter", failure="the provider's content filter withheld the reply")
        if not text and not reasoning:
            raise Transient("the server sent an empty reply")
        details = getattr(usage, "completion_tokens_details", None)
        return Reply(
            text=clean(text),
            reasoning=clean(str(reasoning)) if reasoning else None,
            ending=ENDINGS[finish],
            opened=self._settings.opens_block and not request.prefill and request.rendered is None,
            tokens_in=getattr(usage, "prompt_tokens", None),
            tokens_out=getattr(usage, "completion_tokens", None),
            tokens_reasoning=getattr(details, "reasoning_tokens", None),
        )


def clean(text: str) -> str:
    """Text without lone surrogates, which no file could hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _brief(text: str) -> str:
    return clean(" ".join(text.split()))[:300]


def _retry_after(error: openai.APIStatusError) -> float | None:
    try:
        return float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
