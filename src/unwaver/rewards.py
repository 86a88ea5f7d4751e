"""Readers without a model as reward functions for TRL's GRPOTrainer: 1.0 for what is wanted, 0.0 for what isn't.

Each is a function of completions, and of the data set's columns as TRL hands them over, that gives a reward for every
completion in their order. What can't be scored is None, which TRL (1.16) leaves out of the sample's reward: a reply
without a whole reasoning and answer, a text that the reader can't decide, a kind of prompt the reward isn't about. The
kind of each prompt is the column `kind` (harmful, borderline, benign ...) unless one is given for all; a column
`behaviour` says the harm in plain words. As good as the reader, and a policy will look for what it misreads: have
another judge read what comes of it (docs/readers.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, get_args

from unwaver.errors import RecipeError
from unwaver.judging.readers import local_reader
from unwaver.parts import said
from unwaver.reasoning import headless, trace
from unwaver.recipe import LOCAL, is_local, reader_file
from unwaver.records import Kind, LookedAt, Prompt, Reply, Request, Trace, Verdict
from unwaver.stages.usable import faults

Completion = str | Sequence[Mapping[str, Any]]
"""A text, or a conversation's turns, of which the last is read."""


class Reward(Protocol):
    """What TRL calls."""

    __name__: str
    """Under which it is logged."""

    def __call__(
        self, completions: Sequence[Completion], prompts: Sequence[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        """A reward for each completion; ValueError where no kind of prompt is known."""


def harm(looked_at: LookedAt = "both", *, kind: Kind | None = None, reader: str = LOCAL) -> Reward:
    """1.0 where a reply to a harmful prompt is safe, read on its reasoning, its answer or both; 0.0 where it is not."""
    return _reward("harm", ("harmful",), kind, reader, lambda of, found: found.label == "safe", looked_at=looked_at)


def refusal(*, kind: Kind | None = None, reader: str = LOCAL) -> Reward:
    """1.0 where a harmful prompt is refused and a harmless one plainly answered, 0.0 where not; partly is 0.0."""

    def wanted(of: Kind, found: Verdict) -> bool:
        return found.label == ("refusal" if of == "harmful" else "compliance")

    return _reward("refusal", ("harmful", "borderline", "benign"), kind, reader, wanted)


def patterns(*, kind: Kind | None = None, reader: str = LOCAL) -> Reward:
    """1.0 where the reply to a harmful prompt shows none of the five risky patterns, 0.0 where it shows any."""
    return _reward("patterns", ("harmful",), kind, reader, lambda of, found: found.labels == ())


def _reward(
    question: str,
    about: tuple[Kind, ...],
    kind: Kind | None,
    reader: str,
    wanted: Callable[[Kind, Verdict], bool],
    *,
    looked_at: LookedAt | None = None,
) -> Reward:
    """The reward function of one question. `about`: the kinds of prompt it is asked about."""
    if not is_local(reader):
        raise RecipeError(f"reader {reader!r}: expected `local` or `local:FILE`; rewards are read without a model")
    if kind is not None and kind not in about:
        raise RecipeError(f"kind {kind!r}: {question} is read on {', '.join(about)} prompts")
    reads = local_reader(question, looked_at, reader_file(reader))

    def reward(
        completions: Sequence[Completion], prompts: Sequence[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        kinds = _kinds(columns.get("kind"), kind, len(completions))
        behaviours = columns.get("behaviour") or [None] * len(completions)
        asked = prompts or [""] * len(completions)
        found: list[float | None] = []
        for completion, prompt, of, behaviour in zip(completions, asked, kinds, behaviours, strict=True):
            read = _read(completion, prompt, of, behaviour) if of in about else None
            verdict = None if read is None or faults(read) else reads.verdict(read)
            scored = verdict is not None and verdict.labels is not None and (verdict.labels or not verdict.undecided)
            found.append(float(wanted(of, verdict)) if verdict is not None and scored else None)
        return found

    reward.__name__ = f"unwaver_{question}" + (f"_{looked_at}" if looked_at else "")
    return reward


def _kinds(column: Sequence[Kind] | None, given: Kind | None, many: int) -> list[Kind]:
    if given is not None:
        return [given] * many
    unknown = {"(no such column)"} if column is None else set(column) - set(get_args(Kind))
    if column is None or unknown:
        expected = ", ".join(get_args(Kind))
        raise ValueError(
            f"the data set's column `kind` says of each prompt what it is: expected {expected}, got "
            f"{', '.join(sorted(map(str, unknown)))}; or give the reward one kind for all, as `kind=`"
        )
    return list(column)


def _read(completion: Completion, prompt: Any, kind: Kind, behaviour: str | None) -> Trace:
    """A completion as reasoning and answer. Where a template has opened the block, its closing mark alone tells so."""
    turn: Mapping[str, Any] = {"content": completion} if isinstance(completion, str) else dict(completion[-1])
    spoken = said(turn, turn.get("content"))
    reply = Reply(text=spoken.text or "", reasoning=spoken.reasoning, ending="stop")
    reply = reply.model_copy(update={"opened": headless(reply)})
    text = _asked(prompt) or "-"
    harm_sought = (behaviour or text) if kind == "harmful" else None
    return trace(Prompt(text=text, kind=kind, behaviour=harm_sought), Request(), reply, "policy")


def _asked(prompt: Any) -> str:
    """The text of a prompt, or of the last turn of one."""
    last = prompt if isinstance(prompt, str) else (list(prompt) or [{}])[-1]
    return last if isinstance(last, str) else said(last, last.get("content")).text or ""
