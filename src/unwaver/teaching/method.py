"""What a teaching method is: how a prompt becomes the trace that the student is trained on.

A method is one file of this folder that offers `METHOD` (or several, as a tuple). It is a dialogue that ends in a
trace: of one call to a teacher for the six recipes of arXiv 2505.15404, of several calls to several models for others.
Stretches of the reasoning that the student is to read and not to learn are marked in `Trace.shielded` (`woven` does
it). What can't be made is a trace that says why (`unmade`). Pure: stages make the calls. What the models are told on
the way is in no trace: the student sees the bare prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from unwaver.dialogue import Dialogue
from unwaver.reasoning import render
from unwaver.records import Kind, Message, Prompt, Record, Reply, Request, Sampling, Trace

Position = Literal["user", "system"]

TEACHER = "teacher"
"""The role that a recipe's `distil.teacher` (or `benign_teacher`) fills."""


_BETWEEN = "\n\n"

NO_SETTINGS = Record()
"""Of a method that has none."""


@dataclass(frozen=True)
class Lesson:
    """One trace that is to be made."""

    prompt: Prompt
    sample: int
    """0-based number of the sample."""
    sampling: Sampling
    """How the recipe has replies drawn."""
    heard: Callable[[str, Request, Reply], Trace]
    """(role, request, reply) -> the reply as reasoning and answer, by the marks of the model that wrote it."""
    file: Path | None = None
    """A wording of the user's own in place of the shipped one."""
    position: Position | None = None
    """Where the wording goes; None: where the method has it."""
    settings: Record = NO_SETTINGS
    """The method's own (`Method.Settings`)."""
    chosen: str | None = None
    """The wording that was chosen of the method's candidates."""
    given: Trace | None = None
    """What the prompt set's own file holds as the reply (method `given`)."""
    begun: Callable[[str, str], str] = lambda role, reasoning: render(reasoning, "")
    """(role, a whole reasoning) -> what its reply is made to begin with, in the marks of that role's model."""

    def request(self, *messages: Message, temperature: float | None = None) -> Request:
        """A call with these messages, drawn as the recipe says but for the temperature, where one is given."""
        change = {} if temperature is None else {"temperature": temperature}
        return Request(messages=messages, sampling=self.sampling.model_copy(update=change), sample=self.sample)

    def bare(self, role: str = TEACHER, reasoning: str | None = None) -> Request:
        """The prompt as the student will see it. With a `reasoning`, the role's model goes on behind it: it answers."""
        request = self.request(*self.prompt.turns, Message(role="user", content=self.prompt.text))
        return request if reasoning is None else request.model_copy(update={"prefill": self.begun(role, reasoning)})

    def open(self, role: str, reasoning: str) -> str:
        """The same beginning with the block still open, so that the role's model goes on reasoning."""
        begun = self.begun(role, reasoning)
        return begun[: begun.rindex(reasoning) + len(reasoning)]


def unmade(trace: Trace, why: str) -> Trace:
    """A trace without text in the place of one that couldn't be made; it is counted and never trained on."""
    return Trace(prompt=trace.prompt, model=trace.model, sample=trace.sample, ending="error", failure=why)


def woven(trace: Trace, *pieces: tuple[str, bool]) -> Trace:
    """The trace with a reasoning made of `(text, whether the student learns to write it)`, a blank line between them.

    Empty texts are left out. Its tokens are no longer known: what was counted was another text.
    """
    said = [(text, learnt) for text, learnt in pieces if text]
    shielded, begins = [], 0
    for text, learnt in said:
        if not learnt:
            shielded.append((begins, begins + len(text)))
        begins += len(text) + len(_BETWEEN)
    reasoning = _BETWEEN.join(text for text, _ in said)
    more = {"shielded": tuple(shielded), "tokens_out": None, "tokens_reasoning": None}
    return trace.model_copy(update={"reasoning": reasoning, **more})


class Method:
    """One way to make traces."""

    name: str
    """As a recipe names it."""
    title: str = ""
    """One line for people."""
    version: int = 1
    """Raised whenever the same replies make another trace."""
    roles: ClassVar[Mapping[str, str]] = {TEACHER: TEACHER}
    """Whom its dialogue asks -> the model's name in `[models]`; `teacher` is the recipe's choice."""
    calls: ClassVar[Mapping[str, int]] = {TEACHER: 1}
    """Calls for one trace, at most, by role."""
    makes: ClassVar[Kind | None] = None
    """The kind of the traces' prompts, where it makes prompts of its own; None: they are the recipe's."""
    begun: bool = False
    """Whether its traces are fixed words that only begin a reasoning (`Trace.begun`): nobody reads or filters them."""
    warning: str = ""
    """What `check` and `distil` tell whoever uses it; "": nothing."""
    worded: bool = False
    """Whether it takes a wording of the user's own (`distil.instruction_file`, `distil.position`)."""
    Settings: ClassVar[type[Record]] = Record
    """Its own settings (`distil.method_settings`); a plain Record: it has none."""

    def identity(self, file: Path | None = None) -> dict[str, Any]:
        """Who it is: name, version and every wording it sends; enters the names of runs."""
        return {"name": self.name, "version": self.version}

    def candidates(self, settings: Record) -> Mapping[str, str]:
        """By name, wordings of which the one is taken that turns most unsafe replies safe (`settings.tried` prompts are
        tried); none: nothing is chosen."""
        return {}

    def teach(self, lesson: Lesson) -> Dialogue[Trace]:
        """The dialogue that ends in the trace."""
        raise NotImplementedError
