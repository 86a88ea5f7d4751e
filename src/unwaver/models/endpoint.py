"""Any OpenAI-compatible server or vendor, through the `openai` client.

The key comes from the environment and goes where `keys` lets it go: it is struck out of whatever the server sends back.
Servers differ in where they put the reasoning (`parts`), in which fields they take (`fields`) and in how they say that
something went wrong (`problems`): all are read. What is not a reply (an error in a 200, an empty message, bytes that
are no text) is an exception, never a text. What a server says that can't be (a reply that stopped at the very token
limit, a thought of no tokens) is put right and noted in the reply. The client's own models are passed by: they take
half of its time, and a reply is not always what they expect.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from os.path import commonprefix
from typing import Any, NoReturn

import openai

from unwaver import keys
from unwaver.endings import ending_of
from unwaver.errors import MissingKeyError, RecipeError, RunError
from unwaver.models import Refused, Transient, client
from unwaver.models.fields import Fields
from unwaver.models.problems import Problem, in_a_200, problem
from unwaver.models.streamed import Whole, numbered, whole
from unwaver.parts import said
from unwaver.plain import visible
from unwaver.progress import say
from unwaver.reasoning import split
from unwaver.recipe import ModelSettings
from unwaver.records import Ending, Reply, Request

VENDOR = "https://api.openai.com/v1"
"""Where `openai:` goes without a `base_url`, whatever the client's own environment variables say."""

MOST_TOKENS = 10**9
"""More than any reply has: a number above is no count."""

FEW_TOKENS = 4
"""A reply without any text that was cut after so few tokens did not think: its prompt left no room."""

AT_THE_LIMIT = "said to have stopped, at the very token limit: taken for cut"
FURTHER = "more than one choice came where one was asked for: the first by its index was read"
UNCOUNTED = "the count of its reasoning's tokens contradicts its text, and is left out"

_told: set[tuple[str, str]] = set()
"""Which variable goes to which host, as far as this process has said so."""
_said_yes: set[tuple[str, str]] = set()
"""Which variable may go to which host, as far as somebody at the terminal has said so."""


class Endpoint:
    """One model of one server."""

    def __init__(self, settings: ModelSettings) -> None:
        self.label = settings.label
        self._settings = settings
        self._address = settings.base_url or VENDOR
        self._key = _key(settings, self._address)
        self._fields = Fields(settings)
        pools = -(-settings.concurrency // client.POOL)
        certificates = client.trusted()  # once, as it reads the certificates of the world
        self._clients = [client.connect(self._key, self._address, certificates) for _ in range(pools)]
        self._free = [one for one in self._clients for _ in range(client.POOL)]

    async def close(self) -> None:
        """Close the connections."""
        for one in self._clients:
            await one.close()

    async def reply(self, request: Request) -> Reply:
        """One chat completion, or one plain completion where the request is already rendered.

        A call whose error names a field that the server doesn't take is made again without it.
        """
        while True:
            sent = self._fields.body(request)
            got = await self._post("/chat/completions" if request.rendered is None else "/completions", sent)
            if not isinstance(got, Problem):
                return self._read(got, request, sent)
            if not self._fields.learn(got, sent) and self._fields.body(request) == sent:
                return self._outcome(got)

    async def _post(self, path: str, sent: dict[str, Any]) -> Whole | Problem:
        """The body of a completion, or what the server says is wrong, in whatever way it says so."""
        one = self._free.pop() if self._free else self._clients[0]
        try:
            async with asyncio.timeout(self._settings.timeout):
                raw = await one.post(path, cast_to=bytes, body=sent)
        except TimeoutError:
            raise Transient(f"no reply within {self._settings.timeout:g} s") from None
        except openai.APIStatusError as error:
            headers = error.response.headers
            found = problem(error.status_code, error.body)
            return replace(found, wait=_retry_after(headers), elsewhere=headers.get("location", ""))
        except openai.APIError as error:
            why = self._tell(f"no connection: {client.what_broke(error)} ({self._address})")
            raise Transient(why, absent=client.nobody_there(error)) from None
        except UnicodeEncodeError:
            raise Refused("the prompt holds half a surrogate pair, which can't be sent") from None
        finally:
            self._free.append(one)
        return self._opened(raw)

    def _opened(self, raw: bytes) -> Whole | Problem:
        try:
            found, note = whole(raw)
        except (ValueError, RecursionError) as error:
            raise Transient(f"the server sent no JSON: {self._tell(str(error))}") from None
        body = _dict(found[0] if isinstance(found, list) and found else found)
        wrong = in_a_200(body) or in_a_200(_first_choice(body) or {})
        if wrong is None and _first_choice(body) is None:
            raise Transient(f"the server sent no reply: {self._tell(str(found))}")
        return wrong or Whole(body, note)

    def _read(self, got: Whole, request: Request, sent: dict[str, Any]) -> Reply:
        choice = _first_choice(got.body) or {}
        message = _dict(choice.get("message"))
        tokens, limit = _tokens(got.body), self._fields.limit(sent)
        spent = (tokens["tokens_in"] or 0, tokens["tokens_out"] or 0)
        notes = [*self._fields.notes(request, sent), *([got.note] if got.note else [])]
        if len(numbered(got.body.get("choices"))) > 1:
            notes.append(FURTHER)
            tokens["tokens_reasoning"] = limit = None  # what was counted is of all of them
        ending = _ending(choice, tokens["tokens_out"], limit)
        if ending is None:
            finish = self._tell(str(next((choice[name] for name in FINISHES if choice.get(name)), None)))[:40]
            raise Transient(f"the server ended the reply with {finish!r}", spent=spent)
        if ending == "filter":
            return Reply(ending="filter", failure="the provider's content filter withheld the reply", **tokens)
        text, reasoning, told = self._pieces(choice, message, spent)
        notes += [self._tell(told)] if told else []
        # vLLM sends the continuation alone, llama.cpp the prefill with it.
        text = text.removeprefix(request.prefill)
        refusal = message.get("refusal")
        if not text and isinstance(refusal, str) and refusal:
            if request.json_schema is not None:
                return Reply(ending="filter", failure=f"the model refused the task: {self._tell(refusal)}", **tokens)
            text = self._clean(refusal)
        if not text and not reasoning:
            reasoning = self._nothing(ending, tokens, spent, limit)
        if ending == "stop" and limit is not None and (tokens["tokens_out"] or 0) >= limit:
            ending = "length"  # Ollama and others say `stop` of a reply that the limit cut
            notes.append(AT_THE_LIMIT)
        opened = self._settings.opens_block and not request.prefill and request.rendered is None
        thought = reasoning or split(request.prefill + text, opened).reasoning
        if not _can_be(tokens, thought, text):
            tokens["tokens_reasoning"] = None
            notes.append(UNCOUNTED)
        return Reply(text=text, reasoning=reasoning, ending=ending, opened=opened, notes=tuple(notes), **tokens)

    def _pieces(
        self, choice: dict[str, Any], message: dict[str, Any], spent: tuple[int, int]
    ) -> tuple[str, str | None, str | None]:
        """(text, reasoning where the server hands it over apart, what to tell) of a choice, of either kind of call."""
        content = next((one for one in (message.get("content"), message.get("text"), choice.get("text")) if one), None)
        try:
            found = said({**choice, **message}, content)
        except ValueError as error:
            raise Transient(f"the server sent {error}", spent=spent) from None
        thought = None if found.reasoning is None else self._clean(found.reasoning)
        return self._clean(found.text or ""), thought, found.note

    def _nothing(self, ending: Ending, tokens: dict[str, int | None], spent: tuple[int, int], limit: int | None) -> str:
        """The reasoning of a reply without any text: all its tokens went into a thought that the server keeps."""
        if ending != "length":
            raise Transient("the server sent an empty reply", spent=spent)
        out = tokens["tokens_out"]
        if out is not None and out <= FEW_TOKENS and (limit is None or limit > FEW_TOKENS):
            raise Refused(
                f"the server cut the reply after {out} tokens: with its {tokens['tokens_in']} tokens the prompt fills "
                "the model's context window"
            )
        return ""

    def _outcome(self, found: Problem) -> Reply:
        """What an error comes to: a reply withheld by the provider's safety filter, or an exception."""
        name, status = self._settings.name, found.status or 500
        reason = f"HTTP {status}: {self._tell(found.message)}"
        match found.what:
            case "filter":
                words = self._tell(found.message)
                return Reply(ending="filter", failure=f"the provider's safety filter refused: {words}")
            case "redirect":
                raise RecipeError(
                    f"{name}: {self._address} redirects to {self._tell(found.elsewhere)} (HTTP {status}), which is not "
                    "followed; where that is the server, give it as base_url"
                )
            case "key":
                self._no_entry(reason)
            case "credit":
                raise RunError(f"{name}: no credit left ({reason}); top it up and give the same command again")
            case "missing":
                raise RecipeError(f"{name}: no such model or address at {self._address} ({reason})")
            case "passing":
                raise Transient(reason, found.wait, crowded=status == 429)
        raise Refused(reason)

    def _no_entry(self, reason: str) -> NoReturn:
        name = self._settings.name
        if self._key:
            raise RecipeError(f"{name}: the server refused the key in {self._settings.key_env} ({reason})")
        raise RecipeError(
            f"{name}: {self._address} wants a key and was sent none ({reason}); name its variable with `key_env`"
        )

    def _clean(self, text: str) -> str:
        """Text that a file can hold (no lone surrogates), with the key struck out should a server send it back."""
        if len(self._key) >= 8:
            text = text.replace(self._key, "[key]")
        return text.encode("utf-8", "replace").decode("utf-8")

    def _tell(self, text: str) -> str:
        """A server's words on one line of a message: short, and nothing in it that steers a terminal.

        The key is struck out once more behind what is left out, which may have parted it; and so is its first half, as
        words may have been cut.
        """
        line = "".join(char for char in " ".join(self._clean(text).split()) if char.isprintable())
        return self._without_halves(self._clean(line))[:300] or "no reason given"

    def _without_halves(self, line: str) -> str:
        half = max(8, len(self._key) // 2)
        begun, rest = self._key[:half], self._key[half:]
        before, *after = line.split(begun) if len(begun) >= 8 else [line]
        alike = (len(commonprefix((one, rest))) for one in after)  # noqa: RUF071 - letters are compared, and no paths
        return before + "".join(f"[key]{one[begins:]}" for one, begins in zip(after, alike, strict=True))


def _key(settings: ModelSettings, address: str) -> str:
    """The key to be sent; "" where the recipe names none. RecipeError where it is missing, or may not go there."""
    if not settings.sends_key:
        return ""
    name = settings.key_env
    key = os.environ.get(name, "").strip()  # a line break from a file is no part of a key
    if not key:
        raise MissingKeyError(
            f"{settings.name}: the environment variable {name} holds no key; "
            f"set it (export {name}=...) or name another one with `key_env`"
        )
    if not (key.isascii() and key.isprintable()):
        raise RecipeError(f"{settings.name}: the key in {name} holds characters that no key has; copy it again")
    if where := keys.leaks(address):
        raise RecipeError(
            f"{settings.name}: the key in {name} would go over plain http and could be read {where}; expected https"
        )
    host = keys.host_of(address)
    why = keys.needs_a_yes(name, address)
    if why and not _yes(name, host, why):
        raise MissingKeyError(
            f"{settings.name}: {why}, and would go to {host}; where that is meant, say so: export {keys.ALLOW}={name}"
        )
    if (name, host) not in _told:
        _told.add((name, host))
        say(f"the key in {name} goes to {host}")
    return key


def _yes(name: str, host: str, why: str) -> bool:
    """Ask whoever sits at the terminal, once; nobody there is a no."""
    if (name, host) not in _told and sys.stdin and sys.stdin.isatty() and sys.stderr.isatty():
        print(visible(f"{why}. Send it to {host}? [y/N] "), end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            _said_yes.add((name, host))
    return (name, host) in _said_yes


def _first_choice(body: object) -> dict[str, Any] | None:
    return next((choice for _, choice in numbered(_dict(body).get("choices"))), None)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    """A number of tokens; None for what can't be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None


COUNTS = {
    "asked": ("prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens", "prompt_eval_count"),
    "out": ("completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens", "eval_count"),
    "total": ("total_tokens", "totalTokenCount", "totalTokens"),
    "thought": ("reasoning_tokens", "thoughtsTokenCount", "thinking_tokens", "reasoning_output_tokens"),
}
"""What servers call the numbers of tokens, asked, replied, both, and thought."""


def _tokens(body: dict[str, Any]) -> dict[str, int | None]:
    """The tokens of a call; xAI and Google count those of the reasoning beside those of the reply."""
    usage = next((one for name in ("usage", "usageMetadata", "usage_metadata") if (one := _dict(body.get(name)))), body)
    inner = [_dict(usage.get(f"{name}_tokens_details")) for name in ("completion", "output")]

    def counted(what: str) -> int | None:
        found = (_count(one.get(name)) for one in (usage, *inner) for name in COUNTS[what])
        return next((one for one in found if one is not None), None)

    asked, out, total, thought = map(counted, COUNTS)
    if None not in (asked, out, total, thought) and total == asked + out + thought:  # type: ignore[operator]
        out = total - asked  # type: ignore[operator]
    return {"tokens_in": asked, "tokens_out": out, "tokens_reasoning": thought}


def _can_be(tokens: dict[str, int | None], thought: str | None, text: str) -> bool:
    """Whether the count of a reply's reasoning tokens fits what there is of it: vLLM counts 0 where a template opened
    the block. Reasoning may be counted and not shown."""
    counted, out = tokens["tokens_reasoning"], tokens["tokens_out"]
    if counted is None:
        return True
    if out is not None and (counted > out or (counted == out and out > 0 and text.strip())):
        return False
    return counted > 0 or not (thought or "").strip()


FINISHES = ("finish_reason", "native_finish_reason", "stop_reason", "finishReason")
"""Fields of a choice that say how it ended; vLLM's `stop_reason` may be the number of a token."""


def _ending(choice: dict[str, Any], tokens_out: int | None, limit: int | None) -> Ending | None:
    """Why the reply ended; None for a reason we don't know."""
    # OpenRouter's own word for it is "stop" where that of whoever served it tells more.
    own = ending_of(choice.get("native_finish_reason"))
    if own in ("filter", "length"):
        return own
    named = [choice.get(name) for name in FINISHES if name != "stop_reason" or isinstance(choice.get(name), str)]
    if not any(named) and tokens_out is not None:
        return "length" if limit is not None and tokens_out >= limit else "stop"
    return ending_of(*named)


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
