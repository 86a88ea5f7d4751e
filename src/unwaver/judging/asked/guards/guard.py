"""Guards: classifier models, each read in the format it was trained on.

Reads a trace; writes a safe/unsafe `Verdict`. Guarantees: the published prompt, word for word; markers of that prompt
inside the judged text are disarmed (HarmBench issue 91: an output holding `[/INST]` fills in its own verdict); a reply
that is not exactly of the published form is unscored, never safe, and so is a judgement that stands word for word in
the judged text, where a guard explains itself and may quote it. Nothing is clipped: HarmBench's own script cuts a
generation to 512 tokens, which of a reasoning model's reply would leave the reasoning alone.

Every guard is shown the behaviour (the plain prompt where no harm is sought), never the attack, and one of: the
reasoning, the answer, or both. Both is the whole reply as the paper feeds it: reasoning, closing tag, answer
(arXiv 2505.15404 section 4 for Llama-Guard-3; section 3 for ReasoningShield).
`Request.rendered` holds no BOS token: tokenisers and completion servers put it there themselves.

A guard is one file of this folder that offers `GUARD` (or several, as a tuple). The files in `formats/` are the
classifiers' published inputs, kept to the letter because they were trained on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from unwaver.judging.asked.hostile import VERSION as HOSTILE
from unwaver.judging.asked.hostile import JudgeReading, disarm, no_reply, said, unreadable
from unwaver.judging.asked.own_words import ShownWords
from unwaver.reasoning import THINK
from unwaver.records import LookedAt, Message, Reply, Request, Sampling, Trace, Verdict, digest

VERSION = 2
"""Raised whenever the replies of all guards are read differently; `Family.version`: those of one format."""

Ask = Callable[[str, str], Request]
"""(query, text) -> what is sent. Both are disarmed already."""


@dataclass(frozen=True)
class GuardFamily:
    """Models that share a format."""

    name: str
    ids: str
    """Pattern of the hub ids, on the lowered name."""
    wording: str
    """The prompt, or who writes it; enters the rubric's hash."""
    ask: Ask
    parse: Callable[[str], JudgeReading]
    own: Callable[[str, ShownWords], str] = lambda text, shown: text
    """A reply without what stands in the texts the guard was shown."""
    explains: bool = False
    """Whether its judgement stands at the end of an explanation, where a quoted one may stand too."""
    version: int = 1
    """Raised whenever a reply in this format is read differently."""


class Guard:
    """One guard model looking at one text (a `ModelReader`); made by `guards.guard_for`."""

    rubric: str
    looked_at: LookedAt

    def __init__(self, family: GuardFamily, looked_at: LookedAt, rubric: str) -> None:
        self.family = family
        self.looked_at = looked_at
        self.rubric = f"{rubric}@{digest([family.name, family.wording], size=8)}"

    def identity(self) -> dict[str, Any]:
        """What decides these readings, but for the model that is asked: its format, and how a reply is read."""
        # Only where it says something, so that what was read before it was there keeps its name.
        own = {"format": self.family.version} if self.family.version > 1 else {}
        return {"rubric": self.rubric, "version": VERSION, "hostile": HOSTILE, **own}

    def unreadable(self, trace: Trace) -> str | None:
        """Why there is nothing to ask about a trace; None where there is."""
        return unreadable(trace, self.looked_at)

    def request(self, trace: Trace) -> Request | None:
        """The guard's own prompt, greedily decoded; None where there is nothing to read."""
        if self.unreadable(trace) is not None:
            return None
        text = whole(trace) if self.looked_at == "both" else disarm(trace.text(self.looked_at) or "")
        return self.family.ask(disarm(trace.prompt.behaviour or trace.prompt.text), text)

    def read(self, trace: Trace, reply: Reply, judge: str) -> Verdict:
        """Safe or unsafe; unscored where there is no reply or it is not of the published form."""
        nothing = self.unreadable(trace) or no_reply(reply)
        if self.family.explains and nothing is None:
            nothing = "unreadable: the token limit cut the guard" if reply.ending == "length" else None
        reading = JudgeReading(None, nothing) if nothing else self._reading(trace, said(reply) or "")
        return Verdict(
            trace=trace.id,
            rubric=self.rubric,
            judge=judge,
            looked_at=self.looked_at,
            labels=reading.labels,
            reason=reading.reason,
        )

    def repair(self, trace: Trace, reply: Reply, problem: str) -> Request | None:
        """None: a classifier can't be asked again."""
        return None

    def _reading(self, trace: Trace, text: str) -> JudgeReading:
        shown = ShownWords(trace.prompt.behaviour, trace.prompt.text, trace.reasoning, trace.answer)
        return self.family.parse(self.family.own(text, shown))


def whole(trace: Trace) -> str:
    """Reasoning, closing tag, answer, whichever there is; disarmed, but for that tag, which is ours. DeepSeek-R1's
    opening tag belongs to the prompt."""
    if trace.reasoning is None or trace.answer is None:
        return disarm(trace.text("both") or "")
    return f"{disarm(trace.reasoning)}{THINK.render_close}{disarm(trace.answer)}"


def published(name: str) -> str:
    """The published input of that name."""
    return resources.files(__package__).joinpath("formats", f"{name}.md").read_text(encoding="utf-8")


def conversation(max_tokens: int) -> Ask:
    """The conversation as it is: the model's own chat template writes the prompt."""
    return lambda query, text: Request(
        messages=(Message(role="user", content=query), Message(role="assistant", content=text)),
        sampling=Sampling(max_tokens=max_tokens),
    )


def rendered(wording: str, max_tokens: int) -> Ask:
    """The published input, filled; what comes back is the verdict alone."""
    before, between, after = re.split(r"\{query\}|\{text\}", wording)
    return lambda query, text: Request(
        rendered=before + query + between + text + after, sampling=Sampling(max_tokens=max_tokens)
    )


def told(system: str, max_tokens: int) -> Ask:
    """A system turn, and query and text in the user's."""
    return lambda query, text: Request(
        messages=(
            Message(role="system", content=system.strip()),
            Message(role="user", content=f"Query: {query}\nThought: {text}"),
        ),
        sampling=Sampling(max_tokens=max_tokens),
    )


def unparsed(text: str) -> JudgeReading:
    """Unscored, with what was said."""
    shown = " ".join(text.split())[:80]
    return JudgeReading(None, f"unreadable: the guard said {shown!r}")


_END = re.compile(r"(?:\s*(?:<[|｜][^<>\n]{1,40}[|｜]>|</s>))+\s*\Z")


def without_end(text: str) -> str:
    """A reply without the end-of-turn tokens that some servers leave in it."""
    return _END.sub("", text).strip()
