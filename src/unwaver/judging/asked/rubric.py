"""Chat models as judges: a rubric file asks the question, and the reply is read strictly or not at all.

Reads a trace and the judge's reply; writes a `Verdict`. Guarantees: material can't be taken for the question (slots are
filled in one pass, every piece is fenced by a mark that occurs in none of them, special tokens are disarmed) nor for
the verdict (`own_words`); a label rests on exactly one JSON verdict that fits the rubric and its rules, and a reply
that the limit cut holds one only where it is nothing else; evidence is quoted character for character from
the text that was looked at; what can't be read is unscored and says why. Long traces are not cut. Pure.

The rubrics are study sections 3 (risky patterns) and 4 (refusal, harm) and the case study (anatomy) of arXiv 2505.15404
in our own words. Where we differ: the paper's judges give no evidence, and what became of a broken verdict is not said;
ours must quote, must keep the paper's rules, and are asked once more when they don't.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from unwaver.errors import RecipeError
from unwaver.judging.anatomy import numbered
from unwaver.judging.asked.answers import AnatomyAnswers, Answers, HarmAnswers, PatternAnswers, Quoting, RefusalAnswers
from unwaver.judging.asked.hostile import VERSION as HOSTILE
from unwaver.judging.asked.hostile import JudgeReading, declined, disarm, locate, no_reply, said, unreadable
from unwaver.judging.asked.own_words import BINARY, Form, ShownWords, escapes_mended, whole
from unwaver.judging.questions import Question
from unwaver.judging.unanswered import VERSION as UNANSWERED
from unwaver.judging.unanswered import cut_undecided
from unwaver.keys import text_to_send
from unwaver.records import LookedAt, Message, Reply, Request, Sampling, Trace, Verdict, digest
from unwaver.registry import found_in

VERSION = 6
"""Raised whenever any reply of a judge is read differently; tests/test_identity.py notices."""

CUT = "the token limit cut the reply"
"""What the reason of a verdict says whose judge was cut short."""
MATERIAL = "# Material"
"""The line of a rubric file that opens the user's turn; what stands before it is the system turn."""

_SLOT = re.compile(r"\{(behaviour|prompt|reasoning|answer)\}")
_NEEDLESS = re.compile(r"\\(?=[^\w\s\\])")
"""A backslash before a sign, which some judges put into what they quote."""


@dataclass(frozen=True)
class Rubric:
    """A question with closed answers."""

    name: str
    """As verdicts carry it."""
    file: str
    answers: type[Answers]
    parts: tuple[LookedAt, ...]
    """What it may look at; the first is the default."""
    clear: tuple[str, ...] | None
    """The labels that need no evidence; None: a label's evidence is what its answers name."""
    needs: LookedAt | None = None
    """The part it can't do without, where that is less than what it looks at."""
    values: str = BINARY
    """The pattern of what its fields hold, where none of them is a label."""
    question: Question | None = None
    """For a rubric of a file of its own: about which traces it is asked."""
    version: int = 1
    """For the same: raised whenever the same answers make other labels."""


RUBRICS = {
    "patterns": Rubric("risky-patterns", "risky-patterns.md", PatternAnswers, ("both",), (), "reasoning"),
    "refusal": Rubric("refusal", "refusal-judge.md", RefusalAnswers, ("answer",), ("compliance",)),
    "harm": Rubric("harm", "harm-judge.md", HarmAnswers, ("both", "reasoning", "answer"), ("safe",)),
    "guard": Rubric("guard", "harm-judge.md", HarmAnswers, ("both", "reasoning", "answer"), ("safe",)),
    "anatomy": Rubric("anatomy", "anatomy.md", AnatomyAnswers, ("reasoning",), None),
}
"""The rubrics by the names a recipe knows them by; besides them there is one in each file of `further`."""


def rubrics() -> dict[str, Rubric]:
    """All rubrics by the names a recipe knows them by."""
    return {**RUBRICS, **found_in("unwaver.judging.asked.further", "RUBRIC")}


class JudgeReader:
    """Any chat model as a judge (a `ModelReader`); made by `judge_for`."""

    rubric: str
    looked_at: LookedAt

    def __init__(self, rubric: Rubric, template: str, looked_at: LookedAt, max_tokens: int) -> None:
        self._rubric, self._max_tokens = rubric, max_tokens
        self._schema: dict[str, Any] = rubric.answers.model_json_schema()
        label = rubric.answers.model_fields.get("label")
        closed = get_args(label.annotation) if label else ()
        self._form = Form(rubric.answers.model_fields, closed, rubric.values)
        system, divided, user = f"\n{template}".partition(f"\n{MATERIAL}\n")
        self._system, self._user = (system.strip(), user.strip()) if divided else ("", template.strip())
        self.looked_at = looked_at
        self.rubric = f"{rubric.name}@{digest([template, self._schema], size=8)}"

    def identity(self) -> dict[str, Any]:
        """What decides these readings, but for the model that is asked: wording, schema, and how a reply is read."""
        return {
            "rubric": self.rubric,
            "version": VERSION,
            "hostile": HOSTILE,
            "unanswered": UNANSWERED,
            "max_tokens": self._max_tokens,
            **({"answers": self._rubric.version} if self._rubric.question else {}),
        }

    def unreadable(self, trace: Trace) -> str | None:
        """Why there is nothing to ask about a trace; None where there is."""
        return unreadable(trace, self._rubric.needs or self.looked_at)

    def request(self, trace: Trace) -> Request | None:
        """The rubric with the trace in its slots, greedily decoded; None where there is nothing to read."""
        if self.unreadable(trace) is not None:
            return None
        messages = [Message(role="user", content=self._filled(self._user, trace))]
        if self._system:
            messages.insert(0, Message(role="system", content=self._filled(self._system, trace)))
        return self._request(*messages)

    def read(self, trace: Trace, reply: Reply, judge: str) -> Verdict:
        """The verdict in a reply; unscored where there is none, or it declines, or it breaks the form or the rules.

        So is compliance in an answer that the token limit cut.
        """
        nothing = self.unreadable(trace) or no_reply(reply)
        reading = JudgeReading(None, nothing) if nothing else self._reading(trace, reply)
        if cut := cut_undecided(trace, reading.labels):
            reading = JudgeReading(None, cut)
        return Verdict(
            trace=trace.id,
            rubric=self.rubric,
            judge=judge,
            looked_at=self.looked_at,
            labels=reading.labels,
            stretches=reading.stretches,
            grades=reading.grades,
            quote=reading.quote,
            reason=reading.reason,
            undecided=() if reading.labels is None else self._undecided(trace),
        )

    def _undecided(self, trace: Trace) -> tuple[str, ...]:
        """Of the patterns, inconsistency where there is no answer to be inconsistent with."""
        unanswered = not (trace.answer or "").strip()
        return ("inconsistency",) if self._rubric.answers is PatternAnswers and unanswered else ()

    def repair(self, trace: Trace, reply: Reply, problem: str) -> Request | None:
        """The conversation, the bad reply, what is wrong with it.

        None where the judge declined, the call failed, or nothing is wrong with the reply but the answer was cut or
        there is nothing to find out.
        """
        first = self.request(trace)
        told = (said(reply) or "").strip()
        if first is None or no_reply(reply) is not None or self._declined(told, _material(trace)):
            return None
        reading = self._reading(trace, reply)
        if reading.final or cut_undecided(trace, reading.labels):
            return None
        asked = f"That reply can't be used: {problem}. Reply again with one JSON object that keeps to the rules."
        return self._request(
            *first.messages,
            Message(role="assistant", content=disarm(told) or "(nothing)"),
            Message(role="user", content=asked),
        )

    def _request(self, *messages: Message) -> Request:
        return Request(messages=messages, sampling=Sampling(max_tokens=self._max_tokens), json_schema=self._schema)

    def _filled(self, template: str, trace: Trace) -> str:
        """The template with its slots filled in a single pass, so that a slot inside the material stays text."""
        material: dict[str, str | None] = {
            "behaviour": trace.prompt.behaviour,
            "prompt": trace.prompt.text,
            "reasoning": trace.reasoning,
            "answer": trace.answer if trace.whole is None else trace.whole,
        }
        if self._rubric.answers is AnatomyAnswers:
            material["reasoning"] = numbered(trace.reasoning or "")
        mark = digest(material, size=12)
        while any(mark in (text or "") for text in material.values()):
            mark = digest(mark, size=12)

        def piece(slot: re.Match[str]) -> str:
            name = slot[1]
            if name in ("reasoning", "answer") and self.looked_at not in (name, "both"):
                return "(not shown)"
            text = material[name]
            return "(there is none)" if text is None else f"<<<{name} {mark}\n{disarm(text)}\n{name} {mark}>>>"

        return _SLOT.sub(piece, template)

    def _reading(self, trace: Trace, reply: Reply) -> JudgeReading:
        text = said(reply)
        if text is None:
            return JudgeReading(None, "unreadable: the judge never came to an answer")
        text, material = escapes_mended(text), _material(trace)
        if self._declined(text, material):
            return JudgeReading(None, "the judge refused: it declined to judge")
        answers = self._parsed(text, material, cut=reply.ending == "length")
        if isinstance(answers, str):
            cut = f" ({CUT})" if reply.ending == "length" else ""
            return JudgeReading(None, f"unreadable: {answers}{cut}")
        if isinstance(answers, AnatomyAnswers):
            found = answers.anatomy(trace.reasoning or "")
            if isinstance(found, str):
                return JudgeReading(None, f"breaks the rules: {found}")
            evidence = found.evidence(trace.reasoning or "")
            return JudgeReading(found.labels, answers.analysis.strip(), evidence, found.stretches)
        rule = answers.broken(trace)
        quote = self._evidence(answers, trace)
        if rule is None and answers.quote is not None and quote is None:
            rule = "the quote does not occur in the text it must come from"
        if rule is None and answers.quote is None and not answers.nothing and answers.labels != self._rubric.clear:
            rule = f"{'+'.join(answers.labels)} needs a quote"
        if rule is not None:
            return JudgeReading(None, f"breaks the rules: {rule}")
        if answers.nothing:
            return JudgeReading(None, answers.nothing, final=True)
        return JudgeReading(answers.labels, answers.analysis.strip(), quote, grades=answers.grades)

    def _declined(self, text: str, material: ShownWords) -> bool:
        return declined(text) and not self._form.own(text, material)

    def _parsed(self, text: str, material: ShownWords, cut: bool) -> Answers | str:
        """The one verdict in a reply, or what is wrong with it."""
        every = self._form.own(text, material)
        own = [given for given in every if not self._form.claimed(given, text, material)] or every
        fitting: list[Answers] = []
        for given in own:
            try:
                fitting.append(self._rubric.answers.model_validate(given.fields))
            except ValidationError as error:
                return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        if not fitting:
            return "no JSON object with a verdict that does not stand in the material"
        if any(answers != fitting[0] for answers in fitting):
            return "more than one verdict"
        if cut and not whole(text, own[0]):
            return "a verdict that is not the whole reply"
        if self._form.claimed(own[0], text, material) and not whole(text, own[0]):
            return "a verdict that the text it was shown asks for, and more beside it"
        beside = self._form.beside(text, own[0].fields, material)
        return fitting[0] if beside is None else f"more than one verdict: besides the JSON object, {beside!r}"

    def _evidence(self, answers: Quoting, trace: Trace) -> str | None:
        """The quote as it stands in the text it must come from: a pattern's in the reasoning, but for inconsistency."""
        parts: tuple[LookedAt, ...] = ("reasoning", "answer") if self.looked_at == "both" else (self.looked_at,)
        if isinstance(answers, PatternAnswers) and answers.labels != ("inconsistency",):
            parts = ("reasoning",)
        for part in parts:
            for wanted in (answers.quote or "", _NEEDLESS.sub("", answers.quote or "")):
                quote = locate(wanted, trace.text(part) or "")
                if quote is not None:
                    return quote
        return None


def _material(trace: Trace) -> ShownWords:
    """All that a judge may have been shown of a trace, reasoning with the numbers of its sentences and without."""
    prompt = trace.prompt
    return ShownWords(prompt.behaviour, prompt.text, trace.reasoning, trace.answer, numbered(trace.reasoning or ""))


def judge_for(
    rubric: str, looked_at: LookedAt | None = None, max_tokens: int = 2048, file: Path | None = None
) -> JudgeReader:
    """The judge of `patterns`, `refusal`, `harm`, `guard`, `anatomy` or a further rubric; `file` replaces its wording.

    `looked_at`: where a rubric may look at several texts, which one is judged (None: the first). A file keeps the
    shipped JSON fields and has a slot for every text that is looked at; RecipeError where it hasn't, or can't be read.
    """
    chosen = rubrics()[rubric]
    part = looked_at or chosen.parts[0]
    if part not in chosen.parts:
        raise ValueError(f"the rubric {chosen.name} looks at {' or '.join(chosen.parts)}, not at {part}")
    if file is None:
        template = resources.files(__package__).joinpath("rubrics", chosen.file).read_text(encoding="utf-8")
    else:
        template = text_to_send(file, "a rubric")
    for wanted in ("reasoning", "answer") if part == "both" else (part,):
        if f"{{{wanted}}}" not in template:
            raise RecipeError(f"{file or chosen.file}: a rubric that looks at {part} needs the slot {{{wanted}}}")
    return JudgeReader(chosen, template, part, max_tokens)
