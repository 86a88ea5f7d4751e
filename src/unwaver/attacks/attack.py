"""What an attack is: prompts in, the prompts that the student is asked instead, and what was tried on the way.

An attack is one file of this folder that offers `ATTACK` (or several, as a tuple). It says which models it asks, which
settings it has, how many calls it takes at most and how it is told in the protocol; what it does is a `Search` for each
prompt. Whatever asks no model only overrides `opening`. Pure: stages make the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from unwaver.dialogue import Dialogue, Heard
from unwaver.reasoning import THINK, Family
from unwaver.recipe import Tags
from unwaver.records import Prompt, Record

NO_ATTACK = "the attacker never produced a valid attack"
"""The failure of a trace whose prompt was never made: neither safe nor asked as it stands."""


class NoSettings(Record):
    """Of an attack that has none."""


S = TypeVar("S", bound=Record)


@dataclass(frozen=True)
class Made:
    """What an attack made of one prompt."""

    prompt: Prompt
    """What the student is asked; an empty text: no attack was found, and nothing is asked."""
    attempts: tuple[Record, ...] = ()
    """All that was tried, for `attempts.jsonl`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """For the manifest; summed over the prompts."""
    opening: str = ""
    """What the student's reasoning is made to begin with; "": nothing."""
    failure: str | None = None
    """Why nothing is asked; None: it is, unless the prompt's text is empty."""

    @property
    def unasked(self) -> str | None:
        """Why nothing is asked; None where it is."""
        return self.failure or (None if self.prompt.text else NO_ATTACK)


class Search(Protocol):
    """The attack on one prompt while it is under way."""

    @property
    def done(self) -> bool:
        """Whether no further call is wanted: it was won, or is at its end."""

    @property
    def progress(self) -> int:
        """How many of its planned calls were made, or will never be."""

    def dialogues(self) -> Iterable[Dialogue[Any]]:
        """Its streams, which never wait for one another, from where they stand or from their beginning."""

    def recall(self, heard: Heard) -> None:
        """Take up what was recorded before."""

    def made(self) -> Made:
        """What it came to, once it is done."""


@dataclass
class Single:
    """A search of one stream, written as one generator."""

    begin: Callable[[], Dialogue[Made]]
    planned: int = 1
    _made: Made | None = None

    @property
    def done(self) -> bool:
        """Whether the generator has ended."""
        return self._made is not None

    @property
    def progress(self) -> int:
        """All of it or nothing."""
        return self.planned if self.done else 0

    def dialogues(self) -> Iterator[Dialogue[Any]]:
        """The one stream, from its beginning."""

        def kept() -> Dialogue[None]:
            self._made = yield from self.begin()

        yield kept()

    def recall(self, heard: Heard) -> None:
        """Nothing: from its beginning the stream finds what was recorded."""

    def made(self) -> Made:
        """What the generator returned."""
        if self._made is None:
            raise ValueError("the search is not done")
        return self._made


@dataclass(frozen=True)
class PlannedCalls:
    """The calls an attack makes of one model, for `check`."""

    role: str
    """The model's name in `[models]`."""
    what: str
    """`attack`, `attacked` (a reply during the search) or `rating`."""
    calls: int
    tokens_in: float
    """Of one call, about."""
    tokens_out: int
    """The limit on one reply."""
    most: bool = False
    """Whether the calls are the most it can come to."""


class Attack(Generic[S]):
    """One attack. Its own settings are `Settings`, laid over by the recipe's `attack_settings`."""

    name: str
    """As a recipe names it."""
    title: str = ""
    """One line for people."""
    version: int = 1
    """Raised whenever the same replies make another attack."""
    roles: ClassVar[Mapping[str, str]] = {}
    """Whom its dialogues ask -> the model's name in `[models]`."""
    Settings: type[S]
    rewords: ClassVar[bool] = True
    """Whether what it has searches for is another wording of the prompt, made anew for each arm: then arms are paired
    by the behaviour and not by the prompt."""
    of_harm_alone: ClassVar[bool] = True
    """Whether what it has searches for needs prompts that name a harmful behaviour."""

    @property
    def asks_first(self) -> bool:
        """Whether other models are asked before the student can be: it has `searches` of its own."""
        return type(self).searches is not Attack.searches

    def identity(self) -> dict[str, Any]:
        """Who it is: name, version and every wording it sends; enters the names of runs."""
        return {"name": self.name, "version": self.version}

    @property
    def opens(self) -> bool:
        """Whether the student's replies are made to begin with given words, so that it must be able to go on."""
        return bool(self.opening())

    def asks(self, settings: S) -> Mapping[str, str]:
        """`roles`, where the settings choose the models."""
        return self.roles

    def marks(self, prompt: Prompt) -> bool:
        """Whether a prompt bears this attack's name."""
        return prompt.attack == self.name

    def prompts_made(self, prompts: int, settings: S) -> int:
        """How many prompts it makes of so many."""
        return prompts

    def planned(self, prompts: int, tokens: float, settings: S) -> list[PlannedCalls]:
        """The calls of models it takes, for so many prompts of so many tokens."""
        return []

    def told(self, settings: S) -> dict[str, str]:
        """The settings that decide it, as the protocol has them."""
        return {}

    def opening(self, tags: Family = THINK) -> str:
        """What the student's reply is made to begin with."""
        return ""

    def searches(self, prompts: Sequence[Prompt], settings: S, tags: Mapping[str, Tags]) -> list[Search]:
        """A search for each prompt it makes, in order; `tags`: by role, how models mark their reasoning; `student` too.

        An attack that has this is one that asks models first; `roles` and `planned` name every one of them.
        """
        raise NotImplementedError

    def renamed(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The same prompts bearing its name, for an attack that asks nobody."""
        return [prompt.model_copy(update={"attack": self.name}) for prompt in prompts]


def unattacked(prompt: Prompt, name: str) -> Prompt:
    """The prompt for which no attack was found: it bears the attack's name, and has no text."""
    return prompt.model_copy(update={"text": "", "attack": name})
