"""Which examples go into which optimiser step, forward pass and process; pure, a seed decides.

Length goes with class in this trade (refusals are short), so batches sorted by length would hand the student one class
after another and let the last ones decide. Here each step is drawn first, with every part of the mix spread evenly over
the whole run, and only *inside* a step are examples dealt to forward passes by length. The step's loss is the mean over
its trained tokens whatever the dealing, so the dealing can't change what is learned.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from unwaver.errors import RecipeError
from unwaver.recipe import TrainSettings


@dataclass(frozen=True)
class BatchPlan:
    """The whole training run as indices of examples; `filler` stands for an example without any loss."""

    steps: list[list[list[int]]]
    """For each optimiser step its forward passes over all processes; pass `k * processes + r` is process r's k-th."""
    accumulation: int
    """Forward passes per step and process; the last step may have fewer."""
    processes: int
    filler: int
    """The index after the last example: fills a pass that would be empty, so that no process waits for another."""
    examples_per_epoch: int

    def of_process(self, rank: int) -> list[list[int]]:
        """The forward passes of one process, in order."""
        return [batch for step in self.steps for batch in step[rank :: self.processes]]

    def examples(self, step: int) -> list[int]:
        """The examples of one step (0-based), over all its passes."""
        return [index for batch in self.steps[step] for index in batch if index != self.filler]

    def renumbered(self, names: Sequence[int]) -> BatchPlan:
        """The same plan with index i called `names[i]`; the last name is the filler's."""
        steps = [[[names[index] for index in batch] for batch in step] for step in self.steps]
        return replace(self, steps=steps, filler=names[self.filler])


def check(settings: TrainSettings, processes: int) -> None:
    """RecipeError where `global_batch` can't be divided into forward passes."""
    per_pass = settings.micro_batch * processes
    if settings.batching == "packed":
        if settings.global_batch < processes:
            raise RecipeError(f"train.global_batch: {settings.global_batch} is less than one example for each process")
    elif settings.global_batch % per_pass:
        raise RecipeError(
            f"train.global_batch: {settings.global_batch} is no multiple of {per_pass} "
            f"(micro_batch {settings.micro_batch} x processes {processes})"
        )


def plan(
    lengths: Sequence[int], groups: Sequence[Hashable], settings: TrainSettings, processes: int, seed: int
) -> BatchPlan:
    """The plan for examples of these token lengths, each belonging to one group (part and kind).

    Every step holds `global_batch` examples whatever the number of processes, the last one perhaps fewer. RecipeError
    where `global_batch` can't be divided into forward passes.
    """
    if not lengths:
        raise RecipeError("train: there is no example to train on")
    check(settings, processes)
    order = _order(groups, settings, seed)
    drawn = [order[at : at + settings.global_batch] for at in range(0, len(order), settings.global_batch)]
    if settings.batching == "packed":
        budget = settings.micro_batch * settings.max_tokens
        passes = max(_passes_needed(step, lengths, budget, processes) for step in drawn)
        steps = [_packed(step, lengths, passes * processes) for step in drawn]
    else:
        passes = settings.global_batch // (settings.micro_batch * processes)
        steps = [_dealt(step, lengths, settings, processes) for step in drawn]
    filler = len(lengths)
    return BatchPlan(
        steps=[[batch or [filler] for batch in step] for step in steps],
        accumulation=passes,
        processes=processes,
        filler=filler,
        examples_per_epoch=len(lengths),
    )


def spread(groups: Sequence[Hashable], seed: int) -> list[int]:
    """All indices in an order that is random within each group and spreads every group evenly over the whole.

    Example i of the n of a group lands at a random place in the i-th of n equal stretches, so any stretch of the order
    longer than two n-ths of it holds the group.
    """
    generator = random.Random(seed)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    keys: dict[int, float] = {}
    for indices in members.values():
        generator.shuffle(indices)
        for place, index in enumerate(indices):
            keys[index] = (place + generator.random()) / len(indices)
    return sorted(keys, key=lambda index: (keys[index], index))


def _order(groups: Sequence[Hashable], settings: TrainSettings, seed: int) -> list[int]:
    """The examples of all epochs one after another."""
    total = max(1, round(settings.epochs * len(groups)))
    order: list[int] = []
    epoch = 0
    while len(order) < total:
        if settings.batching == "shuffled":
            shuffled = list(range(len(groups)))
            random.Random(seed + epoch).shuffle(shuffled)
            order += shuffled
        else:
            order += spread(groups, seed + epoch)
        epoch += 1
    return order[:total]


def _dealt(step: list[int], lengths: Sequence[int], settings: TrainSettings, processes: int) -> list[list[int]]:
    """A step in passes of equal size; of similar length where batches are grouped."""
    if settings.batching == "grouped":
        step = sorted(step, key=lambda index: (lengths[index], index))
    count = math.ceil(len(step) / (settings.micro_batch * processes)) * processes
    cuts = [round(len(step) * n / count) for n in range(count + 1)]
    return [step[start:end] for start, end in pairwise(cuts)]


def _packed(step: list[int], lengths: Sequence[int], count: int) -> list[list[int]]:
    """A step in `count` passes of about equal tokens: the longest first, each to the pass that has least."""
    bins: list[list[int]] = [[] for _ in range(count)]
    loads = [0] * count
    for index in sorted(step, key=lambda index: (-lengths[index], index)):
        least = loads.index(min(loads))
        bins[least].append(index)
        loads[least] += lengths[index]
    return bins


def _passes_needed(step: list[int], lengths: Sequence[int], budget: int, processes: int) -> int:
    """The fewest passes per process in which none has more than `budget` tokens."""
    passes = max(1, math.ceil(sum(lengths[index] for index in step) / (budget * processes)))
    while any(
        sum(lengths[index] for index in batch) > budget and len(batch) > 1
        for batch in _packed(step, lengths, passes * processes)
    ):
        passes += 1
    return passes
