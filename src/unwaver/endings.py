"""How a reply ended, in whatever words: of servers in a call, of programs in a file. Pure."""

from __future__ import annotations

import re

from unwaver.parts import plainly
from unwaver.records import Ending

_STOPS = frozenset(
    ("stop", "stopped", "eos", "eos_token", "eos_found", "eot", "eot_id", "im_end", "end", "end_turn", "end_of_turn",
     "end_of_text", "endoftext", "stop_sequence", "stop_string", "stop_string_found", "stop_criteria_met", "stop_token",
     "stop_word", "word", "complete", "completed", "complete_response", "finish", "finished", "done", "success",
     "normal", "tool_call", "tool_calls", "tool_use", "function_call")
)  # fmt: skip
"""Ends that a model made itself."""

_CUTS = frozenset(("length", "limit", "error_limit", "truncated", "too_long"))
_CUT = re.compile(
    r"max(imum)?_\w*token|token\w*_(limit|exceeded)|context_(window|length|size)|length_(limit|capped|exceed)"
    r"|max(imum)?_(new_|output_|model_)?len|out_of_tokens|model_length|(output|length)_limit|limit_reached"
)
"""A part of what the limit is called: the reply's own, or the model's context window (GLM, Anthropic)."""

_WITHHELD = re.compile(
    r"filter|safety|unsafe|sensitive|prohibited|guardrail|blocklist|blocked|recitation|spii|refus|moderat|toxic"
    r"|polic|violat|inspection|censor|illegal|risk|flagged|harm"
)
"""A part of what they call a reply that was withheld: `content_filter: SAFETY`, `guardrail_intervened`, `sensitive`,
`PROHIBITED_CONTENT`, `RECITATION`, `refusal`, `ERROR_TOXIC` ..."""

_NOT_WITHHELD = re.compile(r"\b(no|not|un|non)_?(filtered|blocked|flagged|moderated|refused|harmful)|unfiltered")

_PREFIX = re.compile(r"(finish|stop|done|end|termination)_?reasons?[_:]+")
_INSIDE = re.compile(r"""['"](?:type|reason)['"]: *['"]([^'"]+)""")
"""SGLang's `{"type": "stop", "matched": 151645}`, also as tables write it."""


def ending_of(*named: object) -> Ending | None:
    """The ending in the first of the names that says one; None where none does."""
    return next((found for name in named if (found := _ending(name))), None)


def _ending(name: object) -> Ending | None:
    if isinstance(name, dict):
        return ending_of(name.get("type"), name.get("reason"))
    if not isinstance(name, str):
        return None
    inside = _INSIDE.search(name)
    text = plainly((inside[1] if inside else name).strip()).strip("_<|>")
    text = _PREFIX.sub("", text)
    short = re.split(r"[:\s]", text)[0].strip("_")
    if short not in _STOPS and _WITHHELD.search(text) and not _NOT_WITHHELD.search(text):
        return "filter"
    if short in _STOPS:
        return "stop"
    return "length" if short in _CUTS or _CUT.search(text) else None
