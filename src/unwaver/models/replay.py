"""Recorded replies, behind the same door as an endpoint.

Reads JSON lines `{"instruction", "prompt", "reasoning", "answer", ...}`: what a teacher replied to a prompt under one
of the shipped instructions. `replay:corpus` is the scripted teacher of the miniature; `replay:FILE` is yours. A request
that was never recorded is a failure with its reason, not a guess.
"""

from __future__ import annotations

from pathlib import Path

from unwaver.errors import RecipeError
from unwaver.instructions import ask
from unwaver.models import Refused
from unwaver.reasoning import render
from unwaver.recipe import ModelSettings
from unwaver.records import Reply, Request, digest
from unwaver.store import read_rows

CORPUS = Path(__file__).parent.parent / "sources" / "corpus" / "teacher"


class Replay:
    """A teacher that says again what was recorded."""

    def __init__(self, settings: ModelSettings) -> None:
        self.label = settings.label
        self._texts: dict[str, str] = {}
        for path in recordings(settings.target):
            for number, row in read_rows(path):
                try:
                    messages = ask(str(row["instruction"]), str(row["prompt"]))
                    text = render(row.get("reasoning"), str(row["answer"]))
                except KeyError as error:
                    raise RecipeError(f"{path}:{number}: expected a field {error}") from None
                self._texts[digest([m.model_dump() for m in messages])] = text

    async def close(self) -> None:
        """Nothing to give back."""

    async def reply(self, request: Request) -> Reply:
        """The recorded reply to these messages."""
        text = self._texts.get(digest([m.model_dump() for m in request.messages]))
        if text is None:
            raise Refused(
                "no reply was recorded for these messages (a recorded teacher knows the shipped wordings only)"
            )
        return Reply(text=text, ending="stop", tokens_out=None)


def recordings(target: str) -> list[Path]:
    """The files behind `replay:target`; RecipeError where there are none."""
    if target == "corpus":
        return sorted(CORPUS.glob("*.jsonl"))
    path = Path(target)
    found = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not found or not found[0].is_file():
        raise RecipeError(f"replay:{target}: no such file of recorded replies")
    return found
