"""Several replies to one prompt: at least one of them, all of them, and how many may be unscored.

Reads a prompt's labels (None: unscored), writes scores between 0 and 1. Guarantees: what is unscored moves no estimate
up or down. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from unwaver.study.stats import Label, Score


def any_of(labels: Sequence[Label], k: int) -> Score:
    """The chance that at least one of k replies is True, from those that were scored (Chen et al. 2021, pass@k).

    Unbiased: None where fewer than k were scored, also where one of them is True, since prompts that lack a reply would
    else enter only when it happens to be known already.
    """
    return _chosen(labels, k, False)


def all_of(labels: Sequence[Label], k: int) -> Score:
    """The chance that all of k replies are True, from those that were scored; None where fewer than k were."""
    some_false = _chosen(labels, k, True)
    return None if some_false is None else 1 - some_false


def _chosen(labels: Sequence[Label], k: int, other: bool) -> Score:
    """One minus the share of the choices of k scored labels that all are `other`."""
    scored = [label for label in labels if label is not None]
    if len(scored) < k:
        return None
    return 1 - math.comb(scored.count(other), k) / math.comb(len(scored), k)
