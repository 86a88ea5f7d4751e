"""A trained question: from a text to calibrated probabilities of labels, "don't know", and the sentence that decided.

Reads a text through `features`; gives a `Judgement`. A question is a table of weights, one row for each label but the
first, and what calibrates them on traces of models that were left out of training. Where the likeliest label is less
probable than `doubt`, the judgement says so instead of guessing; `precision` is how often the labels that remain were
right on the models left out. Files are `.npz` that numpy reads without pickle. Numpy alone.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from unwaver.errors import RecordError
from unwaver.judging.local.features import BUCKETS, CUES, DENSE, LENGTHS, VERSION, Features, Floats

CLIP = 3.0
"""Standard deviations at which a cue's number is cut."""
QUOTED_AT_MOST = 400
"""Characters of the evidence."""

Part = Literal["reasoning", "answer"]
"""Which text a question is asked of: `reasoning` or `answer`."""


@dataclass(frozen=True)
class Ground:
    """What the numbers of a part are measured against: how rare a sequence is, and what is usual for a cue."""

    rarity: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    cue_strength: float = 1.0
    """Length of the cues' part of a text beside that of the letter sequences, which is 1."""
    length_free: float = 0.0
    """How freely texts of a length have a frequency of labels of their own."""

    @property
    def scale(self) -> float:
        """What a cue's number is multiplied with."""
        return self.cue_strength / float(np.sqrt(len(DENSE)))

    def sequences(self, found: Features) -> tuple[npt.NDArray[np.int64], Floats]:
        """(buckets, their numbers), of length 1 together."""
        buckets, counts = found.counted
        numbers = (1.0 + np.log(counts)) * self.rarity[buckets]
        length = float(np.sqrt(numbers @ numbers))
        return buckets, numbers / length if length else numbers

    def cues(self, found: Features) -> Floats:
        """The dense numbers, made comparable."""
        return self.scaled(found.dense)

    def scaled(self, dense: Floats) -> Floats:
        """Dense numbers, of one text or row by row, against what is usual."""
        usual = np.clip((dense - self.mean) / self.spread, -CLIP, CLIP) * self.scale
        usual[..., -len(LENGTHS) :] = self.length_free * dense[..., -len(LENGTHS) :]
        return np.asarray(usual)


@dataclass(frozen=True)
class Judgement:
    """What a question makes of a text."""

    label: str | None
    """None where no label is probable enough."""
    likeliest: str
    probability: float
    """Of the likeliest label, calibrated."""
    quote: str
    """The sentence that spoke most for it, as it stands in the text."""
    probable: Mapping[str, float] = field(default_factory=dict)
    """Every label's probability, calibrated, whether or not one is given."""


@dataclass(frozen=True)
class TrainedQuestion:
    """A trained question."""

    part: Part
    labels: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    """Labels but the first, by letter sequences and then cues."""
    offset: npt.NDArray[np.float64]
    ground: Ground
    sharpness: float = 1.0
    """What logits are multiplied with to be calibrated (a temperature's inverse)."""
    limit: int = 0
    """Characters above which a text is not read: what it says of longer ones was not measured. 0: none."""
    doubt: float = 0.0
    """The probability below which the likeliest label is not given."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """On what it was trained, by whom labelled, how well it did."""

    @property
    def precision(self) -> float | None:
        """How often the labels it gave were right on models it had not met; None where that was not measured."""
        return (self.card.get("held_out") or {}).get("agreement")

    def logits(self, found: Features) -> Floats:
        """Of the labels but the first, as trained."""
        buckets, numbers = self.ground.sequences(found)
        return self.weights[:, buckets] @ numbers + self.weights[:, BUCKETS:] @ self.ground.cues(found) + self.offset

    def judge(self, found: Features) -> Judgement:
        """The likeliest label with its probability and the sentence that spoke most for it."""
        probable = probabilities(self.logits(found)[None], self.sharpness)[0]
        best = int(np.argmax(probable))
        probability = float(probable[best])
        label = None if probability < self.doubt else self.labels[best]
        quote = found.quote(self._speaks_for(found, best), QUOTED_AT_MOST)
        every = dict(zip(self.labels, map(float, probable), strict=True))
        return Judgement(label, self.labels[best], probability, quote, every)

    def _speaks_for(self, found: Features, label: int) -> int:
        """The number of the sentence that adds most to a label over the mean of the others."""
        rows = np.vstack([np.zeros(self.weights.shape[1], dtype=np.float32), self.weights])
        towards = rows[label] - np.delete(rows, label, axis=0).mean(axis=0)
        buckets, numbers = self.ground.sequences(found)
        each = np.zeros(BUCKETS)
        each[buckets] = towards[buckets] * numbers / found.counted[1]
        by_letters = np.bincount(found.owners, weights=each[found.buckets], minlength=len(found.spans))
        n, k = len(found.spans), len(CUES)
        scale = towards[BUCKETS : BUCKETS + 3 * k] / self.ground.spread[: 3 * k]
        share, count, there = scale.reshape(3, k)
        times = np.maximum(1.0, found.cues.sum(axis=0))
        by_cues = found.cues @ (share / n + count / (1 + times) + there / times)
        return int(np.argmax(by_letters + by_cues * self.ground.scale))


def probabilities(logits: Floats, sharpness: float) -> Floats:
    """Calibrated probabilities of all labels, row by row, from logits of the labels but the first."""
    whole = np.hstack([np.zeros((len(logits), 1)), logits * sharpness])
    whole -= whole.max(axis=1, keepdims=True)
    power = np.exp(whole)
    return np.asarray(power / power.sum(axis=1, keepdims=True), dtype=np.float64)


def packed(questions: Mapping[str, TrainedQuestion], about: Mapping[str, Any]) -> bytes:
    """The bytes of a reader's file: equal questions, equal bytes."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    told: dict[str, Any] = {"features": VERSION, "about": dict(about), "questions": {}}
    for name, one in questions.items():
        arrays[f"{name}/weights"] = one.weights.astype(np.float16)
        arrays[f"{name}/rarity"] = one.ground.rarity.astype(np.float16)
        arrays[f"{name}/usual"] = np.array([one.ground.mean, one.ground.spread], dtype=np.float32)
        told["questions"][name] = {
            "part": one.part,
            "labels": one.labels,
            "offset": [float(x) for x in one.offset],
            "limit": one.limit,
            "cue_strength": one.ground.cue_strength,
            "length_free": one.ground.length_free,
            "sharpness": one.sharpness,
            "doubt": one.doubt,
            "card": dict(one.card),
        }
    text = json.dumps(told, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
    arrays["told"] = np.frombuffer(text, dtype=np.uint8)
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=False, **arrays)
    return out.getvalue()


def unpacked(content: bytes, where: str) -> tuple[dict[str, TrainedQuestion], dict[str, Any]]:
    """(questions by name, what is told of the file). RecordError where it is no reader, or one of another version."""
    if not content.startswith(b"PK"):  # numpy would advise to allow pickles
        raise RecordError(f"{where}: not a reader's file, which `unwaver reader train` writes")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            told = json.loads(arrays["told"].tobytes())
            if told["features"] != VERSION:
                raise RecordError(f"{where}: made for features {told['features']}, not {VERSION}: train it anew")
            return {name: _question(name, one, arrays) for name, one in told["questions"].items()}, told["about"]
    except RecordError:
        raise
    except Exception as error:  # noqa: BLE001 - numpy reads a header as Python's own, and anything may come of it
        raise RecordError(f"{where}: not a reader's file ({error})") from None


def _question(name: str, one: dict[str, Any], arrays: Any) -> TrainedQuestion:
    rarity, (mean, spread) = arrays[f"{name}/rarity"].astype(np.float32), arrays[f"{name}/usual"]
    weights = arrays[f"{name}/weights"].astype(np.float32)
    labels = tuple(one["labels"])
    width = BUCKETS + len(DENSE)
    if weights.shape != (len(labels) - 1, width) or len(rarity) != BUCKETS or len(mean) != len(DENSE) != len(spread):
        raise ValueError(f"question {name}: tables of another size")
    if len(labels) < 2 or not all(isinstance(label, str) for label in labels) or not isinstance(one["card"], dict):
        raise ValueError(f"question {name}: expected two labels or more, and a card")
    numbers = [*one["offset"], *(one[key] for key in ("cue_strength", "length_free", "sharpness", "doubt"))]
    if not all(np.isfinite(table).all() for table in (weights, rarity, mean, spread, np.array(numbers, dtype=float))):
        raise ValueError(f"question {name}: holds what is no number (NaN or infinity)")
    return TrainedQuestion(
        part=one["part"],
        labels=labels,
        weights=weights,
        offset=np.asarray(one["offset"], dtype=np.float64),
        ground=Ground(rarity, mean, spread, float(one["cue_strength"]), float(one["length_free"])),
        limit=int(one["limit"]),
        sharpness=float(one["sharpness"]),
        doubt=float(one["doubt"]),
        card=one["card"],
    )
