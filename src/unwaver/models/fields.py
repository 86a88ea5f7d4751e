"""The fields of a call, and what is done where a server doesn't take one: the call is made again without it.

Models differ in what they take: OpenAI's reasoning models no temperature but 1 and no `max_tokens`, Claude not both of
temperature and top_p, Mistral no `seed`, DeepSeek no JSON schema. An error that names a field of ours and says that it
isn't taken is believed: the field goes by its other name, or in a simpler form, or is left out from then on, which is
told once and noted in every reply so made. What the recipe wrote into `extra_body` is never touched.
"""

from __future__ import annotations

import re
from typing import Any

from unwaver.models.problems import Problem
from unwaver.progress import say
from unwaver.recipe import ModelSettings
from unwaver.records import Request

LIMITS = ("max_completion_tokens", "max_tokens")
SEEDS = ("seed", "random_seed")
FORMATS = ("json_schema", "json_object")
"""Names or forms of the same thing, the better first; a server may take the other one, or none."""

_NOT_TAKEN = re.compile(
    r"unsupported|(not|n't|doesn.t|no longer) (be )?(support|accept|permit|allow|recogni[sz]|available|compatible"
    r"|enabled|implement|defined|valid)|unavailable|deprecated|unknown|unrecogni[sz]ed|unexpected"
    r"|extra (inputs|fields)|cannot find|only \W*[\w. ()]{0,40}?(default|allowed|supported|accepted|permitted)"
    r"|only be (set|used)|must be (\W*1(\.0)?\W*$|unset|omitted|absent|null|none)|or unset"
    r"|(cannot|can't|can not|must not|may not|should not) (both )?be|mutually exclusive|incompatible|is fixed"
    r"|immutable|remove (it|this|the)|disallowed|forbidden|no field named|not a (valid|known|supported) \w+|not both"
    r"|(specify|set|use|provide) either|use \W*\w+\W* instead|"
    r"must be (set to |equal to |exactly )?1(\.0)? (for|with|when|if)\b"
    r"|only (supports?|accepts?|allows?|works with) \W*\w+\W* ?(=|of|set to|equal to|at) ?1(\.0)?\b"
    r"|不支持|不被支持|不允许|未知参数"
    r"|nicht (unterst|erlaubt|zul)|non (pris en charge|support)|no (admite|compatible|soporta)",
    re.IGNORECASE,
)
"""An error that is about whether a field may be there, not about its value."""
_TOO_MUCH = re.compile(
    r"too (large|long|many|high)|exceed|maximum|at most|less than|greater than|context", re.IGNORECASE
)
_NOT_BOTH = re.compile(
    r"both|only one of|one of|mutually exclusive|together|at the same time|simultaneous|either", re.IGNORECASE
)
_FORMAT = re.compile(
    r"response[_ ]?format|json[_ ]?schema|json[_ ]?object|json[_ ]mode|structured[_ ]output|guided[_ ]|\bgrammar\b"
    r"|(parse|compile|convert|invalid|unsupported|process) (the )?(\w+ )?schema\b",
    re.IGNORECASE,
)

_found_out: dict[tuple[str | None, str], set[str]] = {}
"""By address and model: the names that its server doesn't take, for the rest of this process."""


def _naming(name: str) -> re.Pattern[str]:
    """Finds a field's name in an error's words; Chinese letters may stand right beside it."""
    return re.compile(rf"(?<![A-Za-z0-9_]){name.replace('_', '[ _]?')}(?![A-Za-z0-9_])", re.IGNORECASE)


class Fields:
    """The fields of the calls to one model."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._refused = _found_out.setdefault((settings.base_url, settings.target), set())

    def body(self, request: Request) -> dict[str, Any]:
        """All the fields of a call; `extra_body` has the last word."""
        call = self._plain(request) if request.rendered is not None else self._chat(request)
        left = {*self._settings.leave_out, *self._refused} - {"stream"}
        ours = {name: value for name, value in {**call, **self._common(request)}.items() if name not in left}
        return {**ours, "model": self._settings.target, **self._settings.extra_body}

    def limit(self, body: dict[str, Any]) -> int | None:
        """The token limit that a call was made with; None where it went without one."""
        found = next((body[name] for name in LIMITS if name in body), None)
        return found if isinstance(found, int) else None

    def learn(self, problem: Problem, sent: dict[str, Any]) -> bool:
        """Whether an error says that a field of ours isn't taken; then `body` gives another call from now on."""
        names = [name for name in self._named(problem, sent) if name not in self._refused]
        for name in names:
            self._refused.add(name)
            say(f"{self._settings.label}: {self._told(name)}")
        return bool(names)

    def notes(self, request: Request, sent: dict[str, Any]) -> tuple[str, ...]:
        """What a reply to this call should tell of the fields that its server doesn't take."""
        drawn = request.sampling
        wanted = {"temperature": True, "top_p": drawn.top_p != 1.0, "seed": drawn.seed is not None}
        left = [name for name, told in wanted.items() if told and name in self._refused and name not in sent]
        if "seed" in left and "random_seed" in sent:
            left.remove("seed")
        if self.limit(sent) is None and self._refused.issuperset(LIMITS):
            left.append("max_tokens")
        if request.json_schema is not None and FORMATS[0] in self._refused:
            left.append(FORMATS[0])
        return tuple(f"sent without `{name}`, which the server doesn't take" for name in left)

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
            more = {"json_schema": {"json_schema": schema}}
            form = self._first(FORMATS)
            call |= {"response_format": {"type": form, **more.get(form, {})}} if form else {}
        return call

    def _plain(self, request: Request) -> dict[str, Any]:
        return {"prompt": (request.rendered or "") + request.prefill}

    def _common(self, request: Request) -> dict[str, Any]:
        """The fields of both kinds of call, by the names that the server takes."""
        sampling, extra, left = request.sampling, self._settings.extra_body, set(self._settings.leave_out)
        # OpenAI's reasoning models take the new name only, other servers often the old one only.
        newer = self._settings.base_url is None or LIMITS[0] in extra
        common: dict[str, Any] = {"temperature": sampling.temperature, "top_p": sampling.top_p}
        limit = self._first(LIMITS if newer else LIMITS[::-1])
        if limit and not left & set(LIMITS) and not extra.keys() & set(LIMITS):
            common[limit] = sampling.max_tokens
        seed = self._first(SEEDS)
        if sampling.seed is not None and seed and not left & set(SEEDS) and not extra.keys() & set(SEEDS):
            common[seed] = sampling.seed + request.sample
        if self._settings.stream:
            common |= {"stream": True, "stream_options": {"include_usage": True}}
        return common

    def _first(self, names: tuple[str, ...]) -> str | None:
        return next((name for name in names if name not in self._refused), None)

    def _named(self, problem: Problem, sent: dict[str, Any]) -> list[str]:
        """The fields of ours that an error says aren't taken."""
        if problem.status not in (400, 404, 405, 422, 501):
            return []
        message = problem.message[:2000]
        form = sent.get("response_format")
        if form and "response_format" not in self._settings.extra_body and _FORMAT.search(f"{message} {problem.field}"):
            return [form["type"]]
        ours = ("temperature", "top_p", *SEEDS, *LIMITS, "stream_options")
        there = [name for name in ours if name in sent and name not in self._settings.extra_body]
        field = problem.field.rpartition(".")[2]
        named = [field] if field in there else [name for name in there if _naming(name).search(message)]
        if "top_p" in named and sent["top_p"] == 1.0 and "temperature" not in named:
            return ["top_p"]  # it says nothing: a server that wants it below 1 is asked without it
        surely = any("unsupported" in code for code in problem.codes)
        if not surely and not _NOT_TAKEN.search(message):
            return []
        if set(named) >= {"temperature", "top_p"} and _NOT_BOTH.search(message):
            return ["top_p"]
        return [name for name in named if surely or name not in LIMITS or not _TOO_MUCH.search(message)]

    def _told(self, name: str) -> str:
        if name in FORMATS:
            instead = "it is asked for a JSON object" if self._first(FORMATS) else "it is asked in words alone"
            return f"the server doesn't take `{name}`; {instead} from here on"
        others = next((names for names in (LIMITS, SEEDS) if name in names), ())
        other = self._first(others)
        if other:
            return f"the server doesn't take `{name}`; it goes by `{other}` from here on"
        why = {"temperature": ": the server samples at its own", "seed": ": replies can't be drawn again"}
        then = why.get(name.removeprefix("random_"), "")
        return f"the server doesn't take `{name}`; it is left out from here on{then}"
