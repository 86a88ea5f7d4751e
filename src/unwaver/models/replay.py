"""Recorded replies, behind the same door as an endpoint.

Reads JSON lines `{"instruction", "prompt", "reasoning", "answer", ...}`: what a teacher replied to a prompt under one
of the shipped instructions; or `{"request", "text"}`: a whole reply to any conversation, known by `conversation`, for
methods of several calls; with a `"sample"` (0-based) it is the reply to that sample alone. `replay:corpus` is the
scripted teacher; `replay:corpus-brief` is the same one, brief and plain, for the smallest students; `replay:FILE` is
yours. A request that was never recorded is a failure with its reason, not a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError
from unwaver.models import Refused
from unwaver.reasoning import render
from unwaver.recipe import RECORDED, ModelSettings
from unwaver.records import Reply, Request, digest
from unwaver.store import read_rows
from unwaver.teaching import find
from unwaver.teaching.instructed import Instructed

CORPUS = Path(__file__).parent.parent / "sources" / "corpus" / "teacher"

BRIEF = "corpus-brief"

BRIEF_VERSION = 2
"""Raised whenever `brief` makes another reply of the same row."""

_SENTENCE = re.compile(r"(?<=[.])\s")
_LEAST_WORDS = 6


class Replay:
    """A teacher that says again what was recorded."""

    def __init__(self, settings: ModelSettings) -> None:
        self.label = settings.label
        self._texts: dict[str, str] = {}
        self._sampled: dict[tuple[str, int], str] = {}
        for path in recordings(settings.target):
            for number, row in read_rows(path):
                if "request" in row:
                    self._keep(row, f"{path}:{number}")
                    continue
                try:
                    told = find(str(row["instruction"]), f"{path}:{number}: instruction")
                    if not isinstance(told, Instructed):
                        raise RecipeError(f"{path}:{number}: instruction: `{told.name}` asks no teacher")
                    messages = told.messages(str(row["prompt"]))
                    told_in_full = row.get("reasoning"), str(row["answer"])
                    text = render(*(brief(row) if settings.target == BRIEF else told_in_full))
                except KeyError as error:
                    raise RecipeError(f"{path}:{number}: expected a field {error}") from None
                self._texts[conversation(Request(messages=messages))] = text

    def _keep(self, row: Mapping[str, Any], where: str) -> None:
        """A whole reply to a conversation: to every sample that has none of its own, or to one sample."""
        key, text, sample = str(row["request"]), str(row.get("text", "")), row.get("sample")
        if sample is None:
            self._texts[key] = text
        elif type(sample) is int and sample >= 0:
            self._sampled[key, sample] = text
        else:
            raise RecipeError(f"{where}: sample: expected a whole number of 0 or more, got {sample!r}")

    def _text(self, request: Request) -> str | None:
        key = conversation(request)
        return self._sampled.get((key, request.sample), self._texts.get(key))

    def holds(self, request: Request) -> bool:
        """Whether a reply to it was recorded."""
        return self._text(request) is not None

    async def close(self) -> None:
        """Nothing to give back."""

    async def reply(self, request: Request) -> Reply:
        """The recorded reply to these messages."""
        text = self._text(request)
        if text is None:
            raise Refused(
                "no reply was recorded for these messages (a recorded teacher knows the shipped wordings only)"
            )
        return Reply(text=text, ending="stop", tokens_out=None)


def conversation(request: Request) -> str:
    """The name a reply is recorded under: 20 hex characters of what was said and of what the reply begins with."""
    return digest([[(message.role, message.content) for message in request.messages], request.prefill])


def brief(row: Mapping[str, Any]) -> tuple[str, str]:
    """(reasoning, answer) in brief, where the reply doesn't waver: the verdict in one word, the sentence that gives the
    reason, the decision; and an answer whose first word follows from it.

    Only the replies under `improved`, and those to harmless requests, are made so; a sum keeps its steps. It is for
    students so small that they learn a verdict from few examples only where it stands in one place (docs/demo.md).
    """
    reasoning, answer = str(row["reasoning"]), str(row["answer"])
    harmless = row["instruction"] == "default" and not row["patterns"] and row["refusal"] == "compliance"
    if row["unsafe"] or not (harmless or row["instruction"] == "improved"):
        return reasoning, answer
    sentences = _SENTENCE.split(reasoning)
    kept = next((n for n in range(1, len(sentences)) if len(" ".join(sentences[:n]).split()) >= _LEAST_WORDS), None)
    reason = reasoning if "\\boxed" in answer else " ".join(sentences[:kept])
    if harmless:
        return f"Harmless. {reason} So I answer.", f"Sure. {answer}"
    return f"Harmful. {reason} So I refuse.", answer


def recordings(target: str) -> list[Path]:
    """The files behind `replay:target`; RecipeError where there are none."""
    if target in RECORDED:
        return sorted(CORPUS.glob("*.jsonl"))
    path = Path(target)
    found = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not found or not found[0].is_file():
        raise RecipeError(f"replay:{target}: no such file of recorded replies")
    return found
