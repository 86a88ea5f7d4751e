"""Training a question: labelled texts to weights, calibrated and measured on models and prompts that were left out.

Reads labelled texts of any origin (people, a judge's verdicts, our own corpus); gives a `TrainedQuestion` and what it
said of each text while that text's model and prompt were left out. Multinomial logistic regression with a square
penalty, labels weighted to be about equally frequent, minimised by L-BFGS from zero: no chance in it. An origin whose
labels come from a choice of texts has an offset of its own (`apart`); only the first origin calibrates. Numpy and
scipy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from unwaver.errors import RecipeError
from unwaver.judging.local.features import BUCKETS, DENSE, Floats, features
from unwaver.judging.local.question import Ground, Part, TrainedQuestion, probabilities


@dataclass(frozen=True)
class Manner:
    """How a question is fitted."""

    strength: float
    """How far labels are followed: the inverse of the penalty on weights."""
    cue_strength: float
    """How much cues count beside letter sequences."""
    length_free: float
    """How freely texts of a length have a frequency of labels of their own."""


MANNERS = {"reasoning": Manner(6.0, 0.8, 3.0), "answer": Manner(12.0, 0.45, 0.0)}
"""By part: what held best on models left out."""
LONGER = 3
"""Times the longest text of its training up to which a question reads."""
FREE = 3.0
"""How freely an origin that is apart has a frequency of its own."""
SCORED = 0.86
"""Share of the held-out texts that get a label; the least certain are left."""
FOLDS = 5
"""Parts into which prompts are dealt where there are fewer than `MODELS` models to leave out in turn."""
MODELS = 3
HEAVIEST = 5.0
"""What a rare label's weight is multiplied with at most."""
FEWEST = 20
"""Labelled texts below which nothing is trained."""
STEPS = 70

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelledText:
    """A text and what somebody found in it."""

    text: str
    label: str
    model: str
    """Who wrote it."""
    prompts: frozenset[str]
    """The prompt and the behaviour, in lower case: texts that share one are never on both sides."""
    origin: str = ""
    """Where the labels come from. The first origin met is the one that calibrates."""
    weight: float = 1.0
    apart: bool = False
    """The labels mean a little else, or come from a choice of texts: how frequent they are teaches nothing."""


@dataclass(frozen=True)
class HeldOut:
    """What was said of the first origin's texts while their model and prompts were left out."""

    rows: tuple[int, ...]
    """Their numbers among the labelled texts."""
    truth: Ints
    probable: Floats
    """By text and label, calibrated without that text's model."""
    doubt: float

    @property
    def said(self) -> Ints:
        """The likeliest label of each, given or not."""
        return np.asarray(self.probable.argmax(axis=1))

    @property
    def sure(self) -> Floats:
        """How probable the likeliest label is."""
        return np.asarray(self.probable.max(axis=1))

    @property
    def certain(self) -> Bools:
        """Which are scored."""
        return np.asarray(self.sure >= self.doubt)


class Tables:
    """Labelled texts as matrices; texts without two letters are left out."""

    def __init__(self, rows: Sequence[LabelledText], labels: Sequence[str], manner: Manner) -> None:
        from scipy import sparse

        self.manner = manner
        self.rows: list[LabelledText] = []
        buckets, counts, dense = [], [], []
        for row in rows:
            read = features(row.text)
            if read is not None:
                self.rows.append(row)
                buckets.append(read.counted[0])
                counts.append(read.counted[1])
                dense.append(read.dense)
        if unknown := sorted({row.label for row in self.rows} - set(labels)):
            raise RecipeError(f"labels {', '.join(unknown)}: expected {', '.join(labels)}")
        self.truth = np.array([list(labels).index(row.label) for row in self.rows], dtype=np.int64)
        self.weight = np.array([row.weight for row in self.rows])
        origins = list(dict.fromkeys(row.origin for row in self.rows))
        self.origin = np.array([origins.index(row.origin) for row in self.rows], dtype=np.int64)
        offsets = list(dict.fromkeys(row.origin for row in self.rows if row.apart))
        self.apart = np.array([[row.apart and row.origin == one for one in offsets] for row in self.rows], dtype=float)
        ends = np.cumsum([0, *map(len, buckets)])
        numbers = 1 + np.log(np.concatenate([np.zeros(0), *counts]))
        places = np.concatenate([np.zeros(0, dtype=np.int64), *buckets])
        self.sequences = sparse.csr_array((numbers, places, ends), shape=(len(buckets), BUCKETS))
        self.dense = np.array(dense).reshape(-1, len(DENSE))
        self.longest = max((len(row.text) for row in self.rows), default=0)

    def ground(self, rows: Ints) -> Ground:
        """What is usual among some rows; of cues, among those of the first origin."""
        seen = self.sequences[rows]
        documents = np.bincount(seen.indices, minlength=BUCKETS)
        rarity = np.log((1 + len(rows)) / (1 + documents)) + 1
        rarity[documents < 2] = 0.0
        first = rows[self.origin[rows] == 0]
        usual = self.dense[first if len(first) else rows]
        return Ground(
            rarity.astype(np.float16).astype(np.float32),
            usual.mean(axis=0).astype(np.float32),
            (usual.std(axis=0) + 1e-3).astype(np.float32),
            self.manner.cue_strength,
            self.manner.length_free,
        )

    def inputs(self, rows: Ints, ground: Ground) -> Any:
        """Rows as the regression sees them: sequences, cues, origins but the first."""
        from scipy import sparse

        counted: Any = self.sequences[rows] @ sparse.diags_array(ground.rarity.astype(np.float64))
        length = np.sqrt(counted.multiply(counted).sum(axis=1))
        counted = sparse.diags_array(1 / np.where(length > 0, length, 1.0)) @ counted
        cues = ground.scaled(self.dense[rows])
        return sparse.csr_array(sparse.hstack([counted, sparse.csr_array(np.hstack([cues, FREE * self.apart[rows]]))]))


def trained(
    rows: Sequence[LabelledText],
    labels: Sequence[str],
    part: Part,
    manner: Manner | None = None,
) -> tuple[TrainedQuestion, HeldOut, Tables]:
    """A question trained on everything, and what it said of texts whose model and prompts were left out.

    RecipeError where the labels are too few, or all the same.
    """
    tables = Tables(rows, labels, manner or MANNERS[part])
    present = len(set(tables.truth.tolist()))
    if len(tables.rows) < FEWEST or present < 2:
        raise RecipeError(
            f"{len(tables.rows)} labelled texts with {present} different labels: expected at least {FEWEST} and 2"
        )
    held, sharpness = measured(tables, len(labels))
    fit = _fitted(tables, np.arange(len(tables.rows)), labels, part)
    question = replace(fit, sharpness=round(sharpness, 3), doubt=held.doubt, limit=LONGER * tables.longest)
    return question, held, tables


def measured(tables: Tables, n_labels: int) -> tuple[HeldOut, float]:
    """What is said of the first origin's texts while their model and prompts are left out, and how sharp that is."""
    held, logits = _left_out(tables, n_labels)
    truth, weight = tables.truth[held], tables.weight[held]
    groups = _group_numbers(tables, held)
    probable = np.empty((len(held), n_labels))
    for group in np.unique(groups):
        others, own = groups != group, groups == group
        others = others if others.any() else own
        probable[own] = probabilities(logits[own], calibrated(logits[others], truth[others], weight[others]))
    doubt = round(float(np.quantile(probable.max(axis=1), 1 - SCORED)), 3)
    return HeldOut(tuple(held.tolist()), truth, probable, doubt), calibrated(logits, truth, weight)


def _group_numbers(tables: Tables, rows: Ints) -> Ints:
    models = sorted({tables.rows[row].model for row in rows})
    return np.array([models.index(tables.rows[row].model) for row in rows], dtype=np.int64)


def splits(rows: Sequence[LabelledText], origin: Ints) -> Iterator[tuple[Ints, Ints]]:
    """(trained on, left out): each model of the first origin with all its prompts; prompts where models are few."""
    first = np.flatnonzero(origin == 0).tolist()
    models = sorted({rows[row].model for row in first})
    if len(models) >= MODELS:
        parts = [np.array([row for row in first if rows[row].model == model]) for model in models]
    else:
        keys = sorted({min(rows[row].prompts) for row in first})
        folds = {key: number % FOLDS for number, key in enumerate(keys)}
        parts = [np.array([row for row in first if folds[min(rows[row].prompts)] == fold]) for fold in range(FOLDS)]
    for out in parts:
        if not len(out):
            continue
        prompts = frozenset().union(*(rows[row].prompts for row in out))
        left = set(out.tolist())
        alone = {rows[row].model for row in out} if len(models) >= MODELS else set()
        rest = [
            number
            for number, row in enumerate(rows)
            if number not in left and row.model not in alone and not (row.prompts & prompts)
        ]
        yield np.array(rest, dtype=np.int64), out


def _left_out(tables: Tables, n_labels: int) -> tuple[Ints, Floats]:
    rows: list[int] = []
    logits: list[Floats] = []
    for rest, out in splits(tables.rows, tables.origin):
        if not len(rest) or len(set(tables.truth[rest].tolist())) < 2:
            continue
        rows += out.tolist()
        logits.append(left_out_logits(tables, rest, out, n_labels))
    if not rows:
        raise RecipeError("every labelled text shares a prompt with every other: nothing can be left out to measure on")
    return np.array(rows, dtype=np.int64), np.vstack(logits)


def left_out_logits(tables: Tables, rest: Ints, out: Ints, n_labels: int) -> Floats:
    """What a question trained on some rows says of others."""
    return _said(tables, out, *_regressed(tables, rest, n_labels))


def _said(tables: Tables, rows: Ints, weights: Floats, offset: Floats, ground: Ground) -> Floats:
    own = tables.inputs(rows, ground)[:, : BUCKETS + len(DENSE)]
    return np.asarray(own @ weights[:, : BUCKETS + len(DENSE)].T + offset)


def _fitted(tables: Tables, rows: Ints, labels: Sequence[str], part: Part) -> TrainedQuestion:
    weights, offset, ground = _regressed(tables, rows, len(labels))
    kept = weights[:, : BUCKETS + len(DENSE)].astype(np.float16).astype(np.float32)
    return TrainedQuestion(part, tuple(labels), kept, offset, ground)


def _regressed(tables: Tables, rows: Ints, n_labels: int) -> tuple[Floats, Floats, Ground]:
    from scipy.optimize import minimize

    ground = tables.ground(rows)
    inputs, truth = tables.inputs(rows, ground), tables.truth[rows]
    back = inputs.T.tocsr()
    weight = _balanced(tables, rows, n_labels)
    wanted = (truth[:, None] == np.arange(1, n_labels)) * 1.0
    wide, strength = inputs.shape[1], tables.manner.strength

    def loss(at: Floats) -> tuple[float, Floats]:
        table = at.reshape(n_labels - 1, wide + 1)
        logits = inputs @ table[:, :wide].T + table[:, wide]
        whole = np.hstack([np.zeros((len(rows), 1)), logits])
        most = whole.max(axis=1)
        total = most + np.log(np.exp(whole - most[:, None]).sum(axis=1))
        error = (np.exp(logits - total[:, None]) - wanted) * weight[:, None]
        slope = np.hstack([(back @ error).T, error.sum(axis=0)[:, None]])
        slope[:, :wide] += table[:, :wide] / strength
        value = weight @ (total - whole[np.arange(len(rows)), truth])
        return float(value + (table[:, :wide] ** 2).sum() / (2 * strength)), slope.ravel()

    start = np.zeros((n_labels - 1) * (wide + 1))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    table = found.x.reshape(n_labels - 1, wide + 1)
    return table[:, :wide], table[:, wide], ground


def _balanced(tables: Tables, rows: Ints, n_labels: int) -> Floats:
    """Weights by which the labels are about equally frequent in each origin."""
    weight, truth = tables.weight[rows].copy(), tables.truth[rows]
    for origin in np.unique(tables.origin[rows]):
        own = tables.origin[rows] == origin
        mass = np.bincount(truth[own], weights=weight[own], minlength=n_labels)
        factor = mass.sum() / (np.count_nonzero(mass) * np.where(mass > 0, mass, np.inf))
        weight[own] *= np.minimum(factor, HEAVIEST)[truth[own]]
    return np.asarray(weight)


def calibrated(logits: Floats, truth: Ints, weight: Floats) -> float:
    """The sharpness under which logits are the likeliest probabilities of the truth (temperature: Guo et al. 2017).

    A shift for each label besides was tried and is worse on models left out: how frequent a label is differs by model.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_sharpness: float) -> float:
        said = probabilities(logits, float(np.exp(log_sharpness)))[np.arange(len(truth)), truth]
        return float(-(weight @ np.log(np.maximum(1e-12, said))))

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def summary(held: HeldOut, rows: Sequence[LabelledText], labels: Sequence[str]) -> dict[str, Any]:
    """How well a question did on what was left out, in all and by model: for its card."""
    by_model: dict[str, list[int]] = {}
    for number, row in enumerate(held.rows):
        by_model.setdefault(rows[row].model, []).append(number)
    every = list(range(len(held.rows)))
    return {
        **_figures(held, every, labels),
        "by_model": {model: _figures(held, numbers, labels) for model, numbers in sorted(by_model.items())},
    }


def _figures(held: HeldOut, numbers: Sequence[int], labels: Sequence[str]) -> dict[str, Any]:
    at = np.array(numbers, dtype=np.int64)
    truth, said, certain = held.truth[at], held.said[at], held.certain[at]
    return {
        "texts": len(at),
        "scored": int(certain.sum()),
        "agreement": round(float((truth == said)[certain].mean()), 3) if certain.any() else None,
        "kappa": kappa(truth[certain], said[certain], len(labels)),
        "kappa_if_all_were_scored": kappa(truth, said, len(labels)),
        "labels": {label: int((truth == n).sum()) for n, label in enumerate(labels)},
        "table": confusion(truth[certain], said[certain], len(labels)),
    }


def confusion(truth: Ints, said: Ints, n_labels: int) -> list[list[int]]:
    """Counts: rows are what a text was labelled, columns what was said of it."""
    pairs = truth * n_labels + said
    return np.bincount(pairs, minlength=n_labels**2).reshape(n_labels, n_labels).astype(int).tolist()


def kappa(first: Ints, second: Ints, n_labels: int) -> float | None:
    """Cohen's kappa, rounded; None where it is not defined."""
    if not len(first):
        return None
    observed = float((first == second).mean())
    shares = [np.bincount(one, minlength=n_labels) / len(one) for one in (first, second)]
    expected = float(shares[0] @ shares[1])
    return None if expected >= 1 else round((observed - expected) / (1 - expected), 3)


def cards(origins: Sequence[LabelledText]) -> Mapping[str, Any]:
    """How many texts of which origin and label: for a card."""
    told: dict[str, dict[str, int]] = {}
    for row in origins:
        by_label = told.setdefault(row.origin or "given", {})
        by_label[row.label] = by_label.get(row.label, 0) + 1
    return told
