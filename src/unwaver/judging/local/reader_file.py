"""The files of readers: the shipped one or one's own, who they are, and how well each question does.

Reads `.npz` files (`question.packed`); gives a `ReaderFile`, which enters the names of runs and of the judge by its
version and the hash of its bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError
from unwaver.judging import language
from unwaver.judging.local.question import TrainedQuestion, unpacked
from unwaver.judging.unanswered import VERSION as UNANSWERED
from unwaver.records import digest

VERSION = 7
"""Raised whenever any text is read differently with the same weights; tests/test_identity.py notices."""

SHIPPED = "weights.npz"
"""The file beside this module."""

READINGS = {
    "lack_of_safety_awareness": "lack",
    "strong_vacillation": "strong",
    "weak_vacillation": "weak",
    "harmful_additions": "additions",
}
"""Pattern -> the question that reads it."""


@dataclass(frozen=True)
class ReaderFile:
    """The questions of one file."""

    questions: dict[str, TrainedQuestion]
    about: dict[str, Any]
    digest: str
    name: str

    def identity(self) -> dict[str, Any]:
        """What decides these readings: enters the names of runs and of the judge."""
        return {
            "name": "local",
            "version": VERSION,
            "weights": self.digest,
            "unanswered": UNANSWERED,
            "language": language.identity(),
        }

    @property
    def judge(self) -> str:
        """`local@` and a hash."""
        return f"local@{digest(self.identity(), size=8)}"

    def question(self, rubric: str) -> TrainedQuestion:
        """The question of a rubric; RecipeError where the file has none, or one whose labels no measure knows."""
        if rubric not in self.questions:
            has = ", ".join(sorted(self.questions))
            raise RecipeError(f"{self.name}: has no question for {rubric}; it has {has}")
        if strange := unknown(rubric, self.questions[rubric].labels):
            raise RecipeError(f"{self.name}: {strange}")
        return self.questions[rubric]

    def measured(self, name: str) -> str:
        """How well a rubric or pattern is read, on models left out of training; empty where that was not measured."""
        key = READINGS.get(name, {"self_jailbreak": "self-jailbreak"}.get(name, name))
        keys = ("harm_reasoning", "harm_answer") if key == "harm" else (key,)
        if name in self.about:
            return _kappa(self.about[name]) + _where(self.about[name])
        told = []
        for one in keys:
            card = self.questions[one].card if one in self.questions else {}
            if figures := _kappa(card.get("held_out") or {}):
                part = f"{self.questions[one].part}: " if len(keys) > 1 else ""
                told.append(f"{part}{figures}{_where(card)}")
        return "; ".join(told)

    def taken_for(self, rubric: str, part: str) -> tuple[tuple[str, ...], dict[str, Any]]:
        """What labels were taken for what on models left out of training: (the labels, table by model), rows being the
        label and columns what was said; empty where that was not measured. `guard` is read as `harm` is."""
        key = f"harm_{part}" if rubric in ("harm", "guard") else rubric
        labels: tuple[str, ...]
        if key == "harm_both":
            labels, held = ("safe", "unsafe"), self.about.get(key) or {}
        else:
            question = self.questions.get(key)
            labels = question.labels if question else ()
            held = (question.card.get("held_out") if question else None) or {}
        by_model = held.get("by_model") or {}
        return labels, {model: one["table"] for model, one in by_model.items() if "table" in one}


def unknown(rubric: str, labels: Iterable[str]) -> str:
    """What is wrong with the labels given for a rubric of ours, which are counted by name: another one would be counted
    as its opposite, in every rate. Empty where nothing is; a rubric of a user's own may have any."""
    ours = shipped().questions.get(rubric)
    if ours is None or not (strange := sorted(set(labels) - set(ours.labels))):
        return ""
    told = f"labels of {rubric}: {', '.join(strange)}; expected {', '.join(ours.labels)}"
    return f"{told} (a rubric of your own may have any)"


def _where(card: Mapping[str, Any]) -> str:
    return f", {card['measured_on']}" if "measured_on" in card else ""


def _kappa(found: Mapping[str, Any]) -> str:
    if found.get("kappa") is None:
        return ""
    scored = round(100 * found["scored"] / found["texts"])
    return f"kappa {found['kappa']:.2f} on the {scored} % scored of {found['texts']} texts"


@lru_cache(maxsize=8)
def _opened(content: bytes, name: str) -> ReaderFile:
    questions, about = unpacked(content, name)
    return ReaderFile(questions, about, hashlib.blake2b(content, digest_size=8).hexdigest(), name)


@cache
def shipped() -> ReaderFile:
    """The readers that come with the package."""
    return _opened(resources.files(__package__).joinpath(SHIPPED).read_bytes(), "the shipped reader")


def opened(path: Path | None) -> ReaderFile:
    """A reader's file; None: the shipped one. RecipeError where it isn't there, RecordError where it is no reader."""
    if path is None:
        return shipped()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"{path}: can't be read ({error.strerror or error})") from None
    return _opened(content, str(path))


def identity() -> dict[str, Any]:
    """Of the shipped reader."""
    return shipped().identity()
