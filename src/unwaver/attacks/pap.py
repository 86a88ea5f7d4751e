"""PAP, persuasive adversarial prompts (arXiv 2401.06373): the behaviour, asked for with a technique of persuasion.

`request` and `read` have an attacker model write the rewrites, by any of the 40 techniques of the paper's taxonomy; the
descriptions are ours. Unlike the paper's, the attacker is not fine-tuned and is shown no example. Rewrites that are
fixed in a file, as the study has them, are prompts like any others: the source `advbench50/pap`, or one's own file.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from unwaver.attacks import attacker
from unwaver.errors import RecipeError
from unwaver.records import Message, Prompt, Record, Reply, Request, Sampling

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
