"""What a server's error means: a reply withheld by a safety filter, a refused key, no credit, or a call that failed.

Vendors say that a filter withheld a reply with any status, as an error in a 200, or as the end of a reply: all of it is
the outcome `filter`, which on harmful prompts is ordinary. So an error's words are read before its status: a 403 may be
a refused key or a filter. What names the account is never a filter. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from unwaver.endings import ending_of

_FILTER_CODES = frozenset(
    ("content_filter", "content_policy_violation", "contentpolicyviolation", "contentpolicyviolationerror",
     "responsibleaipolicyviolation", "data_inspection_failed", "datainspectionfailed", "invalid_prompt",
     "moderation_blocked", "content_moderation", "safety_violation", "censorship_blocked", "censorship_block",
     "sensitivecontentdetected", "inputtextsensitivecontentdetected", "outputtextsensitivecontentdetected",
     "riskdetected", "input_sensitive", "output_sensitive", "guardrail_intervened", "content_blocked",
     "prohibited_content", "1301", "1026", "1027", "2016", "2017")
)  # fmt: skip
"""Codes of a safety filter: OpenAI's, Azure's, Alibaba's, Zhipu's 1301, MiniMax's 1026 (asked) and 1027 (answered),
Volcengine's, StepFun's, Cloudflare's 2016 and 2017."""

_MATERIAL = r"(prompts?|inputs?|outputs?|content|messages?|responses?|generation|completion|text)"
_FILTER_WORDS = re.compile(
    rf"\bcontent[ _-]?\w* ?(polic|filter|exists risk|moderat|violat)"
    rf"|\bviolat\w*\b.{{0,60}}\b(guideline|usage polic|use polic|content|safety|polic(y|ies))"
    rf"|safety[_ ](check|filter|system|setting|reason|polic|guideline|block)|for safety reasons"
    rf"|\b{_MATERIAL}\b.{{0,50}}\b(flagged|blocked|filtered|inappropriate|sensitive|prohibited|rejected)\b"
    rf"|\b(flagged|blocked|filtered|inappropriate|sensitive|prohibited|unsafe|harmful) {_MATERIAL}\b"
    r"|(blocked|stopped|rejected|refused|intervened|flagged|denied)\b.{0,40}\b(guardrail|moderation|safety)"
    r"|guardrails? (intervened|block|violat|triggered)|requires moderation|prohibited_content|recitation|responsible ai"
    r"|considered high risk|new_sensitive|content exists risk|敏感|违规|不安全内容|安全审核|内容审核|不合规",
    re.IGNORECASE,
)
"""Words of a filter that sends no code: xAI's, Anthropic's, DeepSeek's, Google's, OpenRouter's, Moonshot's ..."""

_NOT_A_FILTER = re.compile(
    r"\b(account|organi[sz]ation|suspended|billing|subscription|region|country|territory|ip address|firewall|cloudflare"
    r"|unavailable|overloaded|timed? ?out|rate limit|too (long|large|many)|context (length|window)"
    r"|case[ -]sensitive)\b",
    re.IGNORECASE,
)
"""Words of an error that is about who asks, from where, or how often, whatever else it says."""

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
        if status in (401, 403) or self.codes & _KEY_CODES or (status == 400 and _KEY_WORDS.search(self.message)):
            return "key"
        if status == 402 or self.codes & _NO_CREDIT:
            return "credit"
        if status == 404:
            return "missing"
        return "passing" if status in MAY_PASS or status >= 500 else "refused"

    @property
    def _is_filter(self) -> bool:
        if self.status in (401, 402, 404, 408, 429) or _NOT_A_FILTER.search(self.message):
            return False
        if self.codes & _FILTER_CODES:
            return True
        told = self.status is None or 400 <= self.status < 500
        words = f"{self.message} {' '.join(self.codes)}"
        return told and _FILTER_WORDS.search(words) is not None


def problem(status: int | None, body: object) -> Problem:
    """Read an error, which servers wrap in one another and some in a list."""
    codes: set[str] = set()
    message = field = ""
    found = body[0] if isinstance(body, list) and body else body
    while isinstance(found, dict):
        codes |= {str(found[name]).lower() for name in ("code", "type", "status") if found.get(name)}
        base = found.get("base_resp")
        if isinstance(base, dict):
            found = {"code": base.get("status_code"), "message": base.get("status_msg"), **found}
        inner = found.get("innererror")
        codes |= {str(inner["code"]).lower()} if isinstance(inner, dict) and inner.get("code") else set()
        codes |= {str(one["reason"]).lower() for one in _objects(found.get("details")) if one.get("reason")}
        codes |= {ending for one in _objects(found.get("choices")) if (ending := _filtered(one))}
        places = (_located(found.get(name)) for name in ("detail", "message"))
        field = str(found.get("param") or "") or field or next(filter(None, places), "")
        said = next((found[name] for name in ("message", "detail", "msg", "error_msg") if found.get(name)), None)
        message = said if isinstance(said, str) else message or json.dumps(found, ensure_ascii=False)
        found = found.get("error")
    if isinstance(found, str) and (not message or isinstance(body, dict)):
        message = f"{message}: {found}" if message and found not in message and not message.startswith("{") else found
    return Problem(status, message, frozenset(codes), field)


def in_a_200(body: dict[str, Any]) -> Problem | None:
    """The error that a body, or a choice in it, holds in place of a reply; None where it holds none."""
    base = body.get("base_resp")
    code = base.get("status_code") if isinstance(base, dict) else None
    if isinstance(base, dict) and isinstance(code, int) and code:
        return Problem(_BASE_RESP.get(code, 500), str(base.get("status_msg") or base), frozenset({str(code)}))
    for name in ("promptFeedback", "prompt_feedback"):
        found = body.get(name)
        block = found if isinstance(found, dict) else {}
        if why := block.get("blockReason") or block.get("block_reason"):
            return Problem(400, f"blocked: {why}", frozenset({"content_filter"}))
    for name in ("input_sensitive", "output_sensitive"):
        if body.get(name) is True:
            return Problem(400, name, frozenset({name}))
    wrong = body.get("error")
    if isinstance(wrong, dict):
        return problem(_status(wrong), wrong)
    if not wrong and "code" in body and not body.get("choices"):
        bare = problem(_status(body), body)
        return bare if bare.what == "filter" else None
    return problem(None, {"message": wrong}) if isinstance(wrong, str) and wrong else None


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _filtered(choice: dict[str, Any]) -> str | None:
    """`content_filter` for a choice that a filter withheld: some errors carry it."""
    return "content_filter" if ending_of(choice.get("finish_reason")) == "filter" else None


def _located(detail: object) -> str:
    """The field that a validation error points to: `{"loc": ["body", "seed"], ...}`."""
    inner = detail.get("detail") if isinstance(detail, dict) else detail
    places = [one.get("loc") for one in _objects(inner)]
    return next((str(place[-1]) for place in places if isinstance(place, list) and place), "")


def _status(error: dict[str, Any]) -> int | None:
    """The HTTP status that an error inside a 200 would have had."""
    code = str(error.get("code") or error.get("status") or "")
    return int(code) if code.isascii() and code.isdigit() and 400 <= int(code) < 600 else None
