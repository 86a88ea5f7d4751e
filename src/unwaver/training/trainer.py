"""TRL's `SFTTrainer` over rows that are tokens already, with our batches and no more logits than are needed."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from torch.nn.functional import cross_entropy
from trl.trainer.sft_trainer import SFTTrainer

from unwaver.errors import RecipeError
from unwaver.training import attention
from unwaver.training.batches import BatchPlan
from unwaver.training.encode import IGNORED, Encoded
from unwaver.training.planned import Planned

GAP_FLOAT32, GAP_BFLOAT16 = 1e-3, 0.1
"""What rounding alone changes of a token's log probability, generously: in bfloat16, on a processor with AMX, by 0
with our attention and by up to 0.04 where one mask is for the whole row. A neighbour that is seen changed it by 0.8."""

WIDEST = 2**29
"""Logits (positions x vocabulary) computed at once on a CPU: 2 GB in float32."""


class SpanTrainer(Planned, SFTTrainer):
    """TRL's trainer with our batches, and on a CPU with logits at the trained positions alone.

    On a GPU TRL computes them so itself, in tiles; on a CPU it computes every position's, and entropies beside.
    """

    def __init__(self, rows: Sequence[Encoded], the_plan: BatchPlan, **kwargs: Any) -> None:
        self._plan = the_plan
        self._rows = rows
        filler = {"input_ids": rows[0].input_ids[:2], "labels": [IGNORED, IGNORED]}
        data = [{"input_ids": row.input_ids, "labels": row.labels} for row in rows]
        self._data = Dataset.from_list([*data, filler])
        super().__init__(train_dataset=self._data, **kwargs)
        base = self._settle()
        self._cuts_logits = (
            self.args.device.type == "cpu"
            and self.padding_free
            and kwargs["args"].loss_type == "nll"
            and not self.args.label_smoothing_factor
            and not self.aux_loss_enabled
            and "logits_to_keep" in inspect.signature(type(base).forward).parameters
        )
        self._vocabulary = base.config.get_text_config().vocab_size

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean negative log likelihood over the step's trained tokens (`num_items_in_batch`, of all processes)."""
        kept = (inputs["labels"][0, 1:] != IGNORED).nonzero().flatten() if self._cuts_logits else None
        if return_outputs or kept is None or kept.numel() * self._vocabulary > WIDEST:
            return super().compute_loss(  # type: ignore[no-untyped-call]
                model, inputs, return_outputs, num_items_in_batch
            )
        fed = {key: value for key, value in inputs.items() if key != "labels"}
        logits = model(**fed, use_cache=False, logits_to_keep=kept).logits[0]
        total = cross_entropy(logits.float(), inputs["labels"][0, kept + 1], reduction="sum")
        count = kept.numel() if num_items_in_batch is None else num_items_in_batch
        loss = total / max(int(count), 1)
        # Gradients are averaged over the processes, and the count is of all of them.
        return loss * self.accelerator.num_processes if num_items_in_batch is not None else loss

    def _weighed(self, members: Sequence[int]) -> int:
        return sum(self._rows[index].trained_tokens for index in members)

    def prove_apart(self) -> float | None:
        """The measured gap of `attention.gap_in_row`, in nats a token; RecipeError where it is more than rounding. None
        where rows are padded. Every process must call it, once training has begun.
        """
        if not self.padding_free:
            return None
        gap = attention.gap_in_row(self.model_wrapped, self.data_collator, self._vocabulary, self.args.device)
        if not gap <= (GAP_BFLOAT16 if self.args.bf16 else GAP_FLOAT32):
            raise RecipeError(
                f"examples in one row change one another by {gap:.2g} nats a token in this model; set "
                'models.student.load.attn_implementation = "sdpa" to train with padding'
            )
        return gap
