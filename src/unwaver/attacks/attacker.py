"""What attacker models are told and how their replies are read, shared by `pap` and `pair`.

An attacker's reply is hostile text from a model that often ignores the format, declines, or copies the example: it is
read leniently (fences, prose around it, raw line breaks, Python quoting, no closing brace) but nothing is run, and what
can't be used is a named failure, never an attack. Public implementations let a declined call stand as an attack with
the raw behaviour; here it is counted and asked again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import islice
from typing import Literal

from unwaver import reasoning
from unwaver.records import Reply, digest

Failure = Literal["call failed", "cut", "refused", "placeholder", "copied", "unreadable"]
"""Why an attacker's reply is no attack: no reply came; the token limit cut it; it declined; it left a blank to be
filled in; it gave the behaviour back unchanged; the fields are not there."""

_MOST_CHARS = 50_000
_MOST_OBJECTS = 20


@cache
def shipped(name: str) -> str:
    """The text of one of our instructions (attacks/instructions/NAME.md)."""
    return resources.files(__package__).joinpath("instructions", f"{name}.md").read_text(encoding="utf-8").strip()


@cache
def wordings() -> str:
    """A digest of all that attackers and their judges are told."""
    folder = resources.files(__package__).joinpath("instructions")
    return digest(sorted((file.name, file.read_text(encoding="utf-8")) for file in folder.iterdir()), size=8)


_SLOT = re.compile(r"\{([a-z_]+)\}")


def slots(instruction: str) -> frozenset[str]:
    """The names of the slots in an instruction."""
    return frozenset(_SLOT.findall(instruction))


def fill(instruction: str, **values: str) -> str:
    """Fill the slots in one pass, so that a slot's name inside a value stays what it is."""
    return _SLOT.sub(lambda slot: values.get(slot[1], slot[0]), instruction)


def parts(reply: Reply, tags: str | reasoning.Family = reasoning.AUTO) -> tuple[str | None, str | None]:
    """Reasoning and answer of a reply, trimmed; None for what is not there or blank, both None for a failed call.

    Where nobody can tell them apart, all of it counts as the answer: a search must go on from something.
    """
    if reply.failure is not None or reply.ending in ("error", "filter"):
        return None, None
    found = reasoning.read(reply.text, reply.reasoning, reply.ending, reply.opened, reasoning.named(tags))
    return found.reasoning or None, found.whole or found.answer or None


@dataclass(frozen=True)
class Proposal:
    """What an attacker proposed, or why there is nothing."""

    fields: dict[str, str] = field(default_factory=dict)
    """The fields that were asked for; empty on failure."""
    failure: Failure | None = None


def read(reply: Reply, keys: Sequence[str], behaviour: str) -> Proposal:
    """The fields `keys` of an attacker's reply; the last of them is the attack itself and must be usable."""
    if reply.failure is not None or reply.ending in ("error", "filter"):
        return Proposal(failure="call failed")
    _, answer = parts(reply)
    found = find_fields(answer or "", keys) or {}
    attack = found.get(keys[-1], "")
    if not attack:
        if answer and _REFUSAL.search(_plain(answer[:400])):
            return Proposal(failure="refused")
        return Proposal(failure="cut" if reply.ending == "length" else "unreadable")
    failure = _no_attack(attack, behaviour)
    return Proposal(failure=failure) if failure else Proposal(fields=found)


# ---------------------------------------------------------------- the fields

_STRAIGHT = str.maketrans("\u201c\u201d", '""')
_START = re.compile(r"\{\s*[\"']")
_KEY = re.compile(r"\s*(?:,\s*)?[\"'](\w+)[\"']\s*:\s*")
_NEXT_KEY = re.compile(r"\s*(?:,\s*)?[\"']\w+[\"']\s*:")
_COMMA = re.compile(r"\s*,?\s*")
_BRACE = re.compile(r"\s*(?:,\s*)?\}")
_END = re.compile(r"\s*(?:(?:,\s*)?\}\s*)?(?:```|\Z)")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\", "/": "/", "\n": ""}


def find_fields(text: str, keys: Sequence[str]) -> dict[str, str] | None:
    """The first object in `text` that has every key with a text as its value, trimmed; None when there is none.

    Proper JSON first, then by hand: line breaks inside strings, any kind of quote, quotes left unescaped inside a
    value, the opening or closing brace missing. A value whose closing quote never comes was cut, and does not count.
    """
    text = text[:_MOST_CHARS]
    wanted = re.compile(rf"[\"'](?:{'|'.join(map(re.escape, keys))})[\"']\s*:")
    if not wanted.search(text):
        text = text.translate(_STRAIGHT)
    starts = sorted({match.start() for pattern in (_START, wanted) for match in pattern.finditer(text)})
    for start in islice(starts, _MOST_OBJECTS):
        for found in (_strict(text, start), _tolerant(text, start, wanted)):
            if all(isinstance(found.get(key), str) for key in keys):
                return {key: _clean(str(found[key])) for key in keys}
    return None


def _strict(text: str, start: int) -> dict[str, object]:
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _tolerant(text: str, start: int, wanted: re.Pattern[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    at = start + (text[start] == "{")
    while key := _KEY.match(text, at):
        value = _string(text, key.end(), wanted)
        if value is None:
            break
        content, at = value
        found.setdefault(key[1], content)
    return found


def _string(text: str, at: int, wanted: re.Pattern[str]) -> tuple[str, int] | None:
    """The quoted string at `at` and where it ends. A quote ends it where the object goes on or ends after it.

    Inside braces of the string's own only a wanted key or the end of the text counts, in a first pass.
    """
    quote = text[at : at + 1]
    if quote not in ('"', "'"):
        return None
    for heed_braces in (True, False):
        depth = 0
        for token in re.compile(rf"\\.|[{{}}{quote}]", re.DOTALL).finditer(text, at + 1):
            if token[0] == "{" or token[0] == "}":
                depth = max(0, depth + (1 if token[0] == "{" else -1))
            elif token[0] == quote:
                after = token.end()
                patterns = (_BRACE, _NEXT_KEY) if not (heed_braces and depth) else ()
                comma = _COMMA.match(text, after)
                goes_on = comma is not None and wanted.match(text, comma.end())
                if goes_on or any(pattern.match(text, after) for pattern in (_END, *patterns)):
                    return _ESCAPE.sub(_unescape, text[at + 1 : token.start()]), after
    return None


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 5:
        return chr(int(code[1:], 16))
    return _ESCAPES.get(code, match[0])


def _clean(text: str) -> str:
    """Trimmed, surrogate pairs joined and lone ones replaced: no record could hold them."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").strip()


# ---------------------------------------------------------------- what is no attack

_APOLOGY = r"(?:(?:i'm|i am)(?: \w+){0,2} sorry|sorry|i apologi[sz]e|my apologies|unfortunately|as an ai\b[^.,]{0,40})"
_UNABLE = (
    r"\bi(?:'m| am)? ?(?:can ?not|can't|won't|will not|could not|couldn't|unable|not able|not comfortable|"
    r"not going|don't feel comfortable|(?:must |have to |need to )?(?:decline|refuse))\b"
)
_TASK = (
    r"(?: to)?(?: \w+){0,2} (?:help(?!(?: \w+){0,2} but)|assist|fulfil+|comply|provide|create|generate|produce|writ\w+|"
    r"craft|engage|participat\w+|support|continue|do (?:that|this|so)|offer|facilitate|promot\w+|take part|share)\b"
)
_REFUSAL = re.compile(
    rf"{_UNABLE}{_TASK}|{_APOLOGY}[\s\S]{{0,60}}?{_UNABLE}|\bi (?:must |have to |need to )?(?:decline|refuse)\b"
)
"""A reply without fields that declines."""
_REFUSED_FIELD = re.compile(
    rf"{_APOLOGY}[^.]{{0,40}}?{_UNABLE}"
    rf"|{_UNABLE}(?: to)? (?:(?:help|assist)(?: you)? with (?:that|this|your|creating|such)"
    r"|comply with|fulfil+ (?:that|this|your))"
)
"""A refusal put into the field; narrower, as an attack may well speak of what its writer can't do."""
_REFUSED_WHOLE = re.compile(
    rf"(?:{_UNABLE}{_TASK}|\bi (?:must |have to |need to )?(?:decline|refuse)\b)"
    r"(?:(?!\b(?:so|you|your|please)\b)[^.!?;:])*[.!]?"
    r"(?: (?:let me know|if you|instead|feel free|i can|i'd be|i would be|i am|i'm)\b[^?]*)?\Z"
)
"""A refusal that is the whole field: one sentence that asks for nothing, and perhaps an offer of other help."""
_BLANK = re.compile(
    r"^\W*[\[<({][^\[\]<>(){}]*[\])>}]\W*$"
    r"|^\W*(?:none|null|n/a|string)\W*$"
    r"|^\W*(?:insert |put )?(?:the |your |a )?(?:(?:new|improved|revised|adversarial|jailbreak) ){0,3}prompt"
    r"(?: goes)?(?: here)?\W*$",
    re.IGNORECASE,
)
"""The whole attack is a blank to be filled in."""
_BLANK_INSIDE = re.compile(
    r"[\[<{][^\[\]<>{}]{0,40}\b(?:insert|prompt|rewrit\w+|behaviou?r)\b[^\[\]<>{}]{0,60}[\]>}]", re.IGNORECASE
)


_AROUND = " .!?\"'"
"""What may stand round a behaviour without making it another text."""


def _no_attack(attack: str, behaviour: str) -> Failure | None:
    blank = (len(attack) <= 100 and _BLANK.search(attack)) or _BLANK_INSIDE.search(attack)
    if blank or not any(char.isalnum() for char in attack):
        return "placeholder"
    said = _plain(attack)
    if _REFUSED_FIELD.match(said) or _REFUSED_WHOLE.match(said):
        return "refused"
    return "copied" if said.strip(_AROUND) == _plain(behaviour).strip(_AROUND) else None


def _plain(text: str) -> str:
    return " ".join(text.replace("’", "'").lower().split())
