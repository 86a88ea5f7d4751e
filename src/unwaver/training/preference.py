"""TRL's `DPOTrainer` over pairs that are tokens already, with our batches.

The reference is the student before training: loaded once more and frozen, or the student without its adapters. What
both replies of a pair begin with counts as prompt, so the loss is on what differs (`training/pairing.py`). The loss of
a step is the mean over its pairs, however they are dealt to forward passes; TRL's own is a mean over passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.dpo_trainer import DPOTrainer

from unwaver.training.batches import BatchPlan
from unwaver.training.encode import Encoded
from unwaver.training.planned import Planned


def row(pair: Encoded) -> dict[str, list[int]]:
    """A pair as TRL's collator takes it; what comes before the first trained token is its prompt."""
    assert pair.rejected is not None
    shared = pair.trained.index(True)
    return {
        "prompt_ids": pair.input_ids[:shared],
        "chosen_ids": pair.input_ids[shared:],
        "rejected_ids": pair.rejected.input_ids[shared:],
    }


class PairTrainer(Planned, DPOTrainer):
    """TRL's trainer with our batches. Rows are padded: TRL 1.16 has no other way here."""

    def __init__(self, rows: Sequence[Encoded], the_plan: BatchPlan, **kwargs: Any) -> None:
        self._plan = the_plan
        self._rows = rows
        one, other = rows[0].input_ids[:2]
        filler = {"prompt_ids": [one], "chosen_ids": [other], "rejected_ids": [other]}
        self._data = Dataset.from_list([*map(row, rows), filler])
        super().__init__(train_dataset=self._data, **kwargs)
        self._settle()

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """They are tokens already."""
        return dataset

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean over a forward pass's pairs; in training weighed by how many of the step's pairs it holds."""
        loss = super().compute_loss(model, inputs, return_outputs)  # type: ignore[no-untyped-call]
        if not model.training:
            return loss
        # The trainer divides by the passes of a process, and gradients are averaged over the processes.
        step = self.state.global_step
        return loss * (_pairs(inputs["input_ids"]) * len(self._plan.steps[step]) / len(self._plan.examples(step)))

    def part_losses(self, indices: Sequence[int], what: str = "held-out loss") -> dict[str, dict[str, Any]]:
        """As everywhere; what TRL counted on the way is no step's."""
        found = super().part_losses(indices, what)
        self._metrics["eval"].clear()
        return found

    def _weighed(self, members: Sequence[int]) -> int:
        return len(members)


def _pairs(ids: torch.Tensor) -> int:
    """How many pairs a forward pass holds; the filler's two rows are the same."""
    chosen, rejected = ids.chunk(2)
    return 0 if torch.equal(chosen, rejected) else len(chosen)
