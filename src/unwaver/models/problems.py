"""What a server's error means: a reply withheld by a safety filter, a refused key, no credit, or a call that failed.

Vendors say that a filter withheld a reply with any status, as an error in a 200, or as the end of a reply: all of it is
the outcome `filter`, which on harmful prompts is ordinary. So an error's words are read before its status: a 403 may be
a refused key or a filter. What names the account is never a filter. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from unwaver.endings import ending_of
from unwaver.parts import plainly

_MAYBE_CODES = frozenset(("1301", "1026", "1027", "2016", "2017", "invalid_prompt"))
"""Codes that are a filter's where the words say nothing else: Zhipu's 1301, MiniMax's 1026 (asked) and 1027 (answered),
Cloudflare's 2016 and 2017, OpenAI's."""

_FILTER_CODE = re.compile(
    r"content_?(filter|polic|moderat|block|violat|safety|restrict|inspect|flag|reject)|moderat|safety|guard_?rail"
    r"|prohibited_?content|sensitive|censor|data_?inspection|responsible_?ai|(polic\w*|guideline)_?violation"
    r"|(prompt|input|output|response|text|request)_?(block|flag|filter|unsafe|reject|injection)"
    r"|unsafe|harmful|toxic|recitation|jailbreak|inappropriate|flagged|nsfw|risk_?detected|usage_polic"
)
"""A part of what vendors call a filter's code: OpenAI's, Azure's, Alibaba's, Volcengine's, StepFun's, Bedrock's ..."""

_NOT_A_CODE = re.compile(
    r"invalid|not_found|unavailable|error\Z|config|setting|overload|timeout|case_|unsupported|missing"
)
"""A part of a code that is about the filter's own settings, or its failure."""

_MATERIAL = r"(prompts?|inputs?|outputs?|content|messages?|responses?|generation|completion|text)"
_BAD = r"(inappropriate|sensitive|prohibited|unsafe|harmful|nsfw|explicit|illegal|disallowed)"
_FILTER_WORDS = re.compile(
    rf"\bcontent[ _-]?\w* ?(polic|filter|exists risk|moderat|violat)"
    rf"|\bviolat\w*\b.{{0,60}}\b(guideline|usage polic|use polic|content|safety|polic(y|ies))"
    rf"|safety[_ ](check|filter|system|reason|polic|guideline|block)|(for|content) safety\b"
    rf"|\b{_MATERIAL}\b.{{0,50}}\b(flagged|blocked|filtered|rejected|{_BAD})\b"
    rf"|\b(flagged|blocked|filtered|{_BAD}) {_MATERIAL}\b|\bcontains?\b.{{0,30}}\b{_BAD}\b"
    r"|(blocked|stopped|rejected|refused|intervened|flagged|denied|withheld)\b.{0,40}\b(guardrail|moderation|safety)"
    r"|(blocked|withheld|removed|refused|declined|rejected|not (shown|answered|generated))\b.{0,30}\bfor legal reasons"
    r"|guardrails? (intervened|block|violat|triggered)|requires moderation|prohibited_content|recitation|responsible ai"
    r"|considered high risk|new_sensitive|content exists risk|jailbreak|prompt injection"
    r"|敏感|违规|违法|不安全内容|安全审核|内容审核|不合规|未通过.{0,4}(安全|审核)|不適切|有害|부적절|유해",
    re.IGNORECASE,
)
"""Words of a filter that sends no code: xAI's, Anthropic's, DeepSeek's, Google's, OpenRouter's, Moonshot's ..."""

_NOT_A_FILTER = re.compile(
    r"\b(account|organi[sz]ation|suspended|billing|subscription|region|country|territory|jurisdiction|sanctions?|embargo\w*"
    r"|your (location|area)|ip|firewall|cloudflare"
    r"|unavailable|overloaded|timed? ?out|rate limit|too (long|large|many)|context (length|window)"
    r"|content[ -](length|type)|case[ -]sensitive)\b",
    re.IGNORECASE,
)
"""Words of an error that is about who asks, from where, or how often, whatever else it says."""

_LEGAL = re.compile(r"\bunavailable for legal reasons", re.IGNORECASE)
"""What the status 451 is called: of what was asked for, and no outage."""

_QUOTA = re.compile(
    r"quota|insufficient.{0,12}(balance|credit|fund)|(credit|balance|free tier|allowance)s?\b.{0,30}"
    r"(exhausted|depleted|used up|exceeded|too low)|out of credits?|no credits? left|key limit exceeded|配额|额度|余额",
    re.IGNORECASE,
)
"""Words of a 403 that refuses no key, but what is left on its account."""

_ABOUT_A_FIELD = re.compile(
    r"\b(unknown|unrecogni[sz]ed|unsupported)\b.{0,20}\b(parameter|argument|field|name|value)"
    r"|not supported|invalid value|cannot find field|\bmust (be|have|contain|not contain)\b|\bconfigur|\bidentifier\b"
    r"|does not exist|exceeds",
    re.IGNORECASE,
)
"""Words of an error that is about a field of the call, which may be one of the filter's."""

_ASIDE = re.compile(r"https?://\S+|\b(see|refer to|consult|visit|review|read|accept|docs)\b[^.;:]*", re.IGNORECASE)
"""What an error says beside: where its pages and policies are."""

_KEY_WORDS = re.compile(
    r"(api[ _-]?key|api token|credential)s?\b.{0,40}\b(not valid|invalid|incorrect|expired|revoked|missing|required)"
    r"|(invalid|incorrect|expired|missing|no|wrong)\b.{0,20}\b(api[ _-]?key|api token|credential)",
    re.IGNORECASE,
)
_KEY_CODES = frozenset(("invalid_api_key", "api_key_invalid", "1004", "2049"))
_NO_CREDIT = frozenset(("insufficient_quota", "insufficient_balance", "billing_hard_limit_reached", "1008"))
_BASE_RESP = {1000: 500, 1001: 408, 1002: 429, 1004: 401, 1008: 402, 1024: 500, 1026: 400, 1027: 400, 1033: 500,
              1039: 429, 2013: 400, 2049: 401}  # fmt: skip
"""MiniMax's `base_resp.status_code` in a 200 -> the status it would have had."""

What = Literal["filter", "key", "credit", "missing", "redirect", "passing", "refused"]
MAY_PASS = (408, 409, 425, 429)


@dataclass(frozen=True)
class Problem:
    """An error as a server sent it."""

    status: int | None
    """Its HTTP status; for an error in a 200 the one it names; None: it names none."""
    message: str
    codes: frozenset[str]
    field: str = ""
    """The field of the call that it names, where it says so apart from the message."""
    wait: float | None = None
    """Seconds the server asks everybody to wait."""
    elsewhere: str = ""
    """The address that it redirects to."""

    @property
    def what(self) -> What:
        """What it means."""
        status = self.status or 500
        if self._is_filter:
            return "filter"
        if 300 <= status < 400:
            return "redirect" if self.elsewhere else "refused"
        if self._is_unpaid:
            return "credit"
        if status in (401, 403) or self.codes & _KEY_CODES or (status == 400 and _KEY_WORDS.search(self.message)):
            return "key"
        if status == 404:
            return "missing"
        return "passing" if status in MAY_PASS or status >= 500 else "refused"

    @property
    def _is_unpaid(self) -> bool:
        """A 403 may say so in words alone, unless they are about the key itself."""
        if self.status == 402 or self.codes & _NO_CREDIT:
            return True
        about_key = self.codes & _KEY_CODES or _KEY_WORDS.search(self.message)
        return self.status == 403 and not about_key and _QUOTA.search(" ".join((self.message, *self.codes))) is not None

    @property
    def _is_filter(self) -> bool:
        """A code of a filter's counts before all words; words only where they are about what was asked or answered."""
        told = self.status is None or 400 <= self.status < 500
        if any(_FILTER_CODE.search(code) and not _NOT_A_CODE.search(code) for code in self.codes):
            return True
        said = _LEGAL.sub(" ", _ASIDE.sub(" ", self.message))
        if self.status in (401, 402, 404, 408, 429) or _NOT_A_FILTER.search(said) or _ABOUT_A_FIELD.search(said):
            return False
        return (
            self.status == 451 or bool(self.codes & _MAYBE_CODES) or (told and _FILTER_WORDS.search(said) is not None)
        )


def problem(status: int | None, body: object) -> Problem:
    """Read an error, which servers wrap in one another, some in a list, a router as a text of JSON."""
    codes: set[str] = set()
    messages: list[str] = []
    field = ""
    for one in _layers(body):
        codes |= _codes(one)
        places = (_located(one.get(name)) for name in ("detail", "message"))
        field = str(one.get("param") or "")[:LONGEST] or field or next(filter(None, places), "")
        said = next((one[name][:LONGEST] for name in MESSAGES if isinstance(one.get(name), str) and one[name]), None)
        said = said or (one["error"][:LONGEST] if isinstance(one.get("error"), str) else None)
        if said and not any(said in message for message in messages):
            messages.append(said)
    message = ": ".join(messages) or (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False))
    message = message[:LONGEST]
    codes |= {code.lower() for code in _CODE.findall(message)}
    return Problem(status, message, frozenset(codes), field)


MESSAGES = ("message", "detail", "msg", "error_msg", "status_msg")
WRAPPED = ("error", "errors", "innererror", "detail", "details", "message", "metadata", "raw", "cause", "base_resp",
           "promptFeedback", "prompt_feedback", "choices")  # fmt: skip
"""Fields in which one error holds another."""
DEEPEST = 8
LONGEST = 20_000
"""Characters of an error that are read: the patterns take a second for some hundred thousand."""

_CODE = re.compile(r"""['"](?:code|type|blockReason)['"]: *['"]([\w.-]+)['"]""")
"""A code in an error that was written out: `{'error': {'code': 'content_filter'}}`."""


def _layers(value: object, depth: int = 0) -> Iterator[dict[str, Any]]:
    """An error and those that it holds, from the outside."""
    if isinstance(value, str) and "{" in value:
        value = _json(value[value.index("{") :])
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and depth < DEEPEST:
            yield one
            for name in WRAPPED:
                yield from _layers(one.get(name), depth + 1)


def _json(text: str) -> object:
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _codes(error: dict[str, Any]) -> set[str]:
    """The codes in one error, in small letters; a block, a router's reasons and a filtered choice are one as well."""
    names = ("code", "type", "status", "status_code", "reason", "blockReason", "block_reason")
    found = {_plainly(error[name]) for name in names if isinstance(error.get(name), str | int) and error[name]}
    blocked = (
        error.get("blockReason") or error.get("block_reason") or error.get("reasons") or error.get("flagged_input")
    )
    withheld = ending_of(error.get("finish_reason")) == "filter"
    found = {code for code in found if len(code) <= LONGEST}
    return found | ({"content_filter"} if blocked or withheld or filtered(error) else set())


def _plainly(code: object) -> str:
    return plainly(code)


def filtered(holder: dict[str, Any]) -> bool:
    """Whether Azure's results of its filter, of a prompt or of a choice, say that something was withheld."""
    results = [holder.get("content_filter_results"), holder.get("content_filter_result")]
    results += [one.get("content_filter_results") for one in _objects(holder.get("prompt_filter_results"))]
    kinds = [kind for one in results if isinstance(one, dict) for kind in one.values()]
    return any(isinstance(kind, dict) and kind.get("filtered") is True for kind in kinds)


def in_a_200(body: dict[str, Any]) -> Problem | None:
    """The error that a body, or a choice in it, holds in place of a reply; None where it holds none."""
    base = body.get("base_resp")
    code = base.get("status_code") if isinstance(base, dict) else None
    if isinstance(base, dict) and isinstance(code, int) and code:
        return Problem(_BASE_RESP.get(code, 500), str(base.get("status_msg") or base)[:LONGEST], frozenset({str(code)}))
    for name in ("promptFeedback", "prompt_feedback"):
        found = body.get(name)
        block = found if isinstance(found, dict) else {}
        if why := block.get("blockReason") or block.get("block_reason"):
            return Problem(400, f"blocked: {str(why)[:LONGEST]}", frozenset({"content_filter"}))
    if filtered(body) and not _has_text(body):
        return Problem(400, "content_filter_results: filtered", frozenset({"content_filter"}))
    for name in ("input_sensitive", "output_sensitive"):
        if body.get(name) is True:
            return Problem(400, name, frozenset({name}))
    wrong = body.get("error")
    if isinstance(wrong, dict):
        return problem(_status(wrong), wrong)
    is_choice = bool(body.get("choices")) or "finish_reason" in body or isinstance(body.get("message"), dict)
    if not wrong and not is_choice and any(map(body.get, ("code", "errors", *MESSAGES))):
        bare = problem(_status(body), body)
        return bare if bare.what == "filter" else None
    return problem(None, {"message": wrong}) if isinstance(wrong, str) and wrong else None


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _has_text(body: dict[str, Any]) -> bool:
    """Whether there is a reply in a body or a choice all the same."""
    places = [body, *_objects(body.get("choices"))]
    messages = [place["message"] for place in places if isinstance(place.get("message"), dict)]
    return any(place.get("text") for place in places) or any(message.get("content") for message in messages)


def _located(detail: object) -> str:
    """The field that a validation error points to: `{"loc": ["body", "seed"], ...}`."""
    inner = detail.get("detail") if isinstance(detail, dict) else detail
    places = [one.get("loc") for one in _objects(inner)]
    return next((str(place[-1]) for place in places if isinstance(place, list) and place), "")


def _status(error: dict[str, Any]) -> int | None:
    """The HTTP status that an error inside a 200 would have had."""
    code = str(error.get("code") or error.get("status") or "")
    return int(code) if code.isascii() and code.isdigit() and 400 <= int(code) < 600 else None
