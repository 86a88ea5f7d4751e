"""PAP, persuasive adversarial prompts (arXiv 2401.06373): the behaviour, asked for with a technique of persuasion.

`request` and `read` have an attacker model write the rewrites, by any of the 40 techniques of the paper's taxonomy; the
descriptions are ours. Unlike the paper's, the attacker is not fine-tuned and is shown no example. Rewrites that are
fixed in a file, as the study has them, are prompts like any others: the source `advbench50/pap`, or one's own file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib import resources
from typing import Any

from pydantic import Field, field_validator

from unwaver.attacks import attacker
from unwaver.attacks.attack import Attack, Made, PlannedCalls, Search, Single, unattacked
from unwaver.dialogue import Call, Dialogue
from unwaver.errors import RecipeError
from unwaver.recipe import Tags
from unwaver.records import Message, Prompt, Record, Reply, Request, Sampling

VERSION = 2
"""Raised whenever the same replies make other rewrites; tests/test_identity.py notices."""

PREFIX = "pap:"
"""A prompt's `attack` is this and the technique's slug."""

TRIES = 3
"""How often an attacker is asked for one rewrite: PAIR's number in the study; the paper has none."""

SAMPLING = Sampling(temperature=1.0, top_p=0.9, max_tokens=500, seed=0)
"""PAIR's attacker settings in the study; the paper samples its own paraphraser."""


class Technique(Record):
    """One of the 40 techniques of persuasion."""

    name: str
    """As in the paper's taxonomy."""
    group: str
    """The kind of technique."""
    text: str
    """What it does, in one line."""
    also: tuple[str, ...] = ()
    """Other spellings found in published files."""

    @property
    def slug(self) -> str:
        """Lower case with hyphens."""
        return _slug(self.name)


def _slug(label: str) -> str:
    return "-".join(re.findall(r"\w+", label.lower()))


@cache
def techniques() -> tuple[Technique, ...]:
    """The 40 techniques, by group."""
    file = resources.files(__package__).joinpath("instructions", "pap_techniques.jsonl")
    return tuple(Technique.model_validate_json(line) for line in file.read_text(encoding="utf-8").splitlines())


def technique(label: str) -> Technique:
    """The technique of that name, however it is spelt; RecipeError when there is none."""
    found = _find(label)
    if found is None:
        raise RecipeError(
            f"no persuasion technique named {label!r}; there are {', '.join(t.slug for t in techniques())}"
        )
    return found


def _find(label: str) -> Technique | None:
    return next((t for t in techniques() if _slug(label) in map(_slug, (t.name, *t.also))), None)


def attacked(prompt: Prompt, label: str, text: str) -> Prompt:
    """`prompt` asked for as `text`, by the technique `label`; one that is not in the taxonomy keeps its own name."""
    known = _find(label)
    return prompt.model_copy(update={"text": text, "attack": PREFIX + (known.slug if known else _slug(label))})


def request(prompt: Prompt, by: Technique, try_: int = 0, sampling: Sampling = SAMPLING) -> Request:
    """What to ask an attacker for one rewrite. Another `try_` (0-based) is another call with another seed."""
    told = attacker.fill(attacker.shipped("pap"), behaviour=_behaviour(prompt), technique=by.name, description=by.text)
    return Request(messages=(Message(role="user", content=told),), sampling=sampling, sample=try_)


def read(reply: Reply, prompt: Prompt) -> attacker.Proposal:
    """The rewrite in an attacker's reply, under `prompt` in its fields, or why there is none."""
    return attacker.read(reply, ("prompt",), _behaviour(prompt))


def _behaviour(prompt: Prompt) -> str:
    if prompt.behaviour is None:
        raise ValueError("only a prompt that names its behaviour can be attacked")
    return prompt.behaviour


class PapSettings(Record):
    """How rewrites are generated (`attack = "pap"`)."""

    techniques: tuple[str, ...] = ()
    """Techniques by name; none: all 40."""
    per_prompt: int = Field(1, ge=0)
    """Rewrites of each behaviour. Behaviour i gets the techniques (i x per_prompt + k) mod n; 0: all of them."""
    max_tries: int = Field(TRIES, ge=1, le=100)
    """Attacker calls for one rewrite until one can be used."""
    attacker: Sampling = SAMPLING

    @field_validator("attacker", mode="before")
    @classmethod
    def _partial_is_laid_over(cls, value: Any) -> Any:
        return {**SAMPLING.model_dump(), **value} if isinstance(value, dict) else value


class Rewrite(Record):
    """One behaviour by one technique, as far as the attacker came: a line of `attempts.jsonl`."""

    of: str
    """The id of the bare prompt."""
    behaviour: str
    technique: str
    """Its slug."""
    tries: tuple[attacker.Failure, ...] = ()
    """Why each reply that could not be used was no rewrite."""
    prompt: str | None = None
    """The rewrite; None: there is none."""


class Pap(Attack[PapSettings]):
    """Rewrites by techniques of persuasion."""

    name, title, Settings, version = "pap", "an attacker model rewrites by persuasion", PapSettings, VERSION
    roles = {"attacker": "attacker"}

    def identity(self) -> dict[str, Any]:
        """With all that attackers are told."""
        return {**super().identity(), "wordings": attacker.wordings()}

    def marks(self, prompt: Prompt) -> bool:
        """By the technique's prefix."""
        return prompt.attack is not None and prompt.attack.startswith(PREFIX)

    def prompts_made(self, prompts: int, settings: PapSettings) -> int:
        """So many rewrites of each."""
        known = len(settings.techniques) or len(techniques())
        return prompts * min(settings.per_prompt or known, known)

    def planned(self, prompts: int, tokens: float, settings: PapSettings) -> list[PlannedCalls]:
        """One call of the attacker for each rewrite."""
        made = self.prompts_made(prompts, settings)
        return [PlannedCalls("attacker", "attack", made, 2 * tokens, settings.attacker.max_tokens)]

    def searches(self, prompts: Sequence[Prompt], settings: PapSettings, tags: Mapping[str, Tags]) -> list[Search]:
        """One for each behaviour and technique."""
        known = [technique(label) for label in settings.techniques] or list(techniques())
        each = settings.per_prompt or len(known)
        owed = [
            (prompt, known[(at * each + k) % len(known)])
            for at, prompt in enumerate(prompts)
            for k in range(min(each, len(known)))
        ]
        return [Single(partial(_rewrite, prompt, by, settings)) for prompt, by in owed]


def _rewrite(prompt: Prompt, by: Technique, settings: PapSettings) -> Dialogue[Made]:
    """Ask for one rewrite until one can be used."""
    one = Rewrite(of=prompt.id, behaviour=_behaviour(prompt), technique=by.slug)
    while one.prompt is None and len(one.tries) < settings.max_tries:
        reply = yield Call("attacker", request(prompt, by, len(one.tries), settings.attacker))
        proposal = read(reply, prompt)
        if proposal.failure is None:
            one = one.model_copy(update={"prompt": proposal.fields["prompt"]})
        else:
            one = one.model_copy(update={"tries": (*one.tries, proposal.failure)})
    found = unattacked(prompt, PREFIX + by.slug) if one.prompt is None else attacked(prompt, by.name, one.prompt)
    counts = Counter({"rewrites": 1, "without an attack": int(one.prompt is None)})
    counts.update(f"try: {reason}" for reason in one.tries)
    return Made(found, (one,), counts)


ATTACK = Pap()
