"""Can harmful and harmless prompts be told apart by a model's state before its first token? (arXiv 2606.25013)

Reads a state for each prompt (`models.states.first_states`). Formula: ridge regression on the sides (+1, -1, both sides
of equal weight) from standardised states, with a penalty of `PENALTY`; a prompt's score is that of a fit without its
fold, in `FOLDS` folds, where prompts of one behaviour stay together and each fold has its share of either side.
`first_token_auc` is the area under the curve of these scores (`refusal_auc.area`): 0.5 is chance, 1 every harmful
prompt above any harmless one. The interval is made of draws of behaviours and prompts with the scores as they are.

Caveat: it says that the state tells them apart, not that the model goes by it, and topics differ between sets: where
harmless prompts are of other things, a probe reads the thing. Use look-alikes (XSTest, the borderline corpus). The
paper standardises, keeps 100 principal components and fits a logistic regression on refused and answered prompts. With
fewer than `FOLDS` behaviours or prompts on a side there is no value. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from unwaver.records import Estimate
from unwaver.study.refusal_auc import DRAWS, Side, area

METRIC = "first_token_auc"
STAGE = "probe"
VERSION = 1
"""Raised whenever the same states come to another figure."""
ESTIMATES = "estimates.jsonl"
"""The file of a probe's directory."""
FOLDS = 5
PENALTY = 1.0
"""Of the ridge, where the standardised state has length 1 on average."""

Floats = npt.NDArray[np.float64]


def probe(
    states: npt.ArrayLike,
    harmful: Sequence[bool],
    clusters: Sequence[str],
    arm: str,
    slice: str = "",
    *,
    layer: int = 0,
) -> Estimate:
    """The area for prompts by their states, sides and behaviours (of harmless ones, themselves)."""
    given, sides = np.asarray(states, dtype=np.float64), np.asarray(harmful, dtype=bool)
    counts = f"{int(sides.sum())} harmful and {int((~sides).sum())} harmless prompts"
    told = f"area under the curve by a ridge on the state after layer {layer}, {FOLDS} folds by behaviour, {counts}"
    fewest = min(len({c for c, side in zip(clusters, sides, strict=True) if side == one}) for one in (True, False))
    if fewest < FOLDS:
        return unscored(f"{told}: fewer than {FOLDS} behaviours or prompts on a side", arm, slice, len(sides))
    scores = _scores(given, sides, clusters)
    both = [
        Side(scores[sides == one].tolist(), [c for c, side in zip(clusters, sides, strict=True) if side == one])
        for one in (True, False)
    ]
    value, low, high = area(*both)
    method = f"{told}; chance is 0.5; percentiles of {DRAWS} draws 95 %"
    return Estimate(metric=METRIC, arm=arm, slice=slice, value=value, low=low, high=high, n=len(sides), method=method)


def unscored(why: str, arm: str, slice: str, prompts: int) -> Estimate:
    """What stands where there is no value, with its reason."""
    return Estimate(metric=METRIC, arm=arm, slice=slice, value=None, n=0, n_unscored=prompts, method=why)


def _scores(states: Floats, sides: npt.NDArray[np.bool_], clusters: Sequence[str]) -> Floats:
    """Each prompt's score by a fit that saw neither it nor its behaviour."""
    fold = _folds(sides, clusters)
    found = np.zeros(len(states))
    for number in range(FOLDS):
        out = fold == number
        found[out] = _fit_and_score(states[~out], sides[~out], states[out])
    return found


def _folds(sides: npt.NDArray[np.bool_], clusters: Sequence[str]) -> npt.NDArray[np.int64]:
    """The fold of each prompt: behaviours of either side dealt out in an order that a fixed seed shuffles."""
    random = np.random.default_rng(0)
    of: dict[str, int] = {}
    for one in (True, False):
        names = sorted({c for c, side in zip(clusters, sides, strict=True) if side == one} - of.keys())
        of |= {names[at]: place % FOLDS for place, at in enumerate(random.permutation(len(names)))}
    return np.array([of[c] for c in clusters])


def _fit_and_score(known: Floats, sides: npt.NDArray[np.bool_], new: Floats) -> Floats:
    """Ridge in its dual form, as states are wider than prompts are many."""
    weight = np.where(sides, 0.5 / max(1, sides.sum()), 0.5 / max(1, (~sides).sum()))
    centre, spread = weight @ known, np.maximum(known.std(0), 1e-9)
    width = np.sqrt(known.shape[1])
    a, b = (known - centre) / spread / width, (new - centre) / spread / width
    wanted = np.where(sides, 1.0, -1.0)
    scale = np.sqrt(weight * len(known))
    gram = (a @ a.T) * scale[:, None] * scale[None, :]
    dual = np.linalg.solve(gram + PENALTY * np.eye(len(known)), scale * wanted) * scale
    scores: Floats = b @ (a.T @ dual)
    return scores
