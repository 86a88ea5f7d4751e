"""Prefill robustness (RECAP, arXiv 2510.00938): the student's reasoning is made to begin with another model's. Pure.

A model of the recipe's, `models.counter`, is asked the same prompt, and the first words of its reasoning open the
student's, which goes on from there: of harmful prompts a weak model that goes along, of harmless ones an over-cautious
one that refuses. There is one opening for a prompt, the same for every arm and sample, and it stands in
`attempts.jsonl`. In a trace it is shielded, so that readers read what the student added and nothing that was put into
its mouth. Where the other model's reply holds no reasoning, the student is asked nothing, and the trace says why.
Where we differ: the paper takes its prefixes from a list of models; here it is one model a set (`by`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import Field

from unwaver import reasoning
from unwaver.attacks.attack import Attack, Made, PlannedCalls, Search, Single
from unwaver.dialogue import Call, Dialogue
from unwaver.recipe import Tags
from unwaver.records import Kind, Message, Prompt, Record, Request, Sampling
from unwaver.teaching.counter_prefill import COUNTER, beginning

NAME = "prefill"
VERSION = 1
"""Raised whenever the same replies give another opening; tests/test_identity.py notices."""

NO_OPENING = "the other model's reply has no reasoning to begin with"
TOKENS = 3
"""Of a word, at most, so that the limit on the other model's reply leaves as many words as are wanted."""


class PrefillSettings(Record):
    """How much of whose reasoning (`attack = "prefill"`)."""

    words: int = Field(200, ge=1)
    """Words of the other model's reasoning; all it has, where it has fewer."""
    by: str = COUNTER
    """The other model's name in `[models]`; `replay:FILE` there takes the openings from a file."""
    max_tokens: int | None = Field(None, ge=1)
    """Limit on its reply; None: three tokens for each word. It is drawn greedily."""

    @property
    def sampling(self) -> Sampling:
        """How the other model's reply is drawn."""
        return Sampling(max_tokens=self.max_tokens or TOKENS * self.words)


class Opening(Record):
    """What one prompt's replies were made to begin with: a line of `attempts.jsonl`."""

    of: str
    """The id of the prompt as it was."""
    kind: Kind
    text: str
    """The words, at the beginning of the student's reasoning; "": there are none."""
    words: int
    """How many."""
    failure: str | None = None
    """Why there are none."""


class CounterPrefill(Attack[PrefillSettings]):
    """The first words of another model's reasoning."""

    name, title, version = NAME, "the reasoning is made to begin with the first words of another model's", VERSION
    Settings, roles = PrefillSettings, {COUNTER: COUNTER}
    rewords = False
    of_harm_alone = False

    @property
    def opens(self) -> bool:
        """Yes."""
        return True

    def asks(self, settings: PrefillSettings) -> Mapping[str, str]:
        """The model the recipe chose."""
        return {COUNTER: settings.by}

    def planned(self, prompts: int, tokens: float, settings: PrefillSettings) -> list[PlannedCalls]:
        """One call of the other model for each prompt."""
        return [PlannedCalls(settings.by, "opening", prompts, tokens, settings.sampling.max_tokens)]

    def told(self, settings: PrefillSettings) -> dict[str, str]:
        """Whose words, and how many."""
        return {"words": str(settings.words), "by": settings.by}

    def searches(self, prompts: Sequence[Prompt], settings: PrefillSettings, tags: Mapping[str, Tags]) -> list[Search]:
        """One for each prompt."""
        return [Single(partial(_opened, prompt, settings, tags[COUNTER])) for prompt in prompts]


def _opened(prompt: Prompt, settings: PrefillSettings, tags: Tags) -> Dialogue[Made]:
    """Ask the other model the same, and take the first words of its reasoning."""
    messages = (*prompt.turns, Message(role="user", content=prompt.text))
    request = Request(messages=messages, sampling=settings.sampling)
    said = reasoning.trace(prompt, request, (yield Call(COUNTER, request)), settings.by, tags)
    text = beginning(said.reasoning or "", settings.words)
    why = None if text else said.failure or NO_OPENING
    found = Opening(of=prompt.id, kind=prompt.kind, text=text, words=len(text.split()), failure=why)
    counts: dict[str, Any] = {"openings": int(bool(text)), "without an opening": int(not text)}
    counts["openings of fewer words"] = int(0 < found.words < settings.words)
    return Made(prompt.model_copy(update={"attack": NAME}), (found,), counts, opening=text, failure=why)


ATTACK = CounterPrefill()
