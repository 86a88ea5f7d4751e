"""TRL's `SFTTrainer` over rows that are tokens already, with our batches and no more logits than are needed."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import PrinterCallback
from trl.trainer.sft_trainer import SFTTrainer

from unwaver import progress
from unwaver.errors import RecipeError
from unwaver.training import attention
from unwaver.training.batches import Plan
from unwaver.training.encode import IGNORED, Encoded
from unwaver.training.work import by_part

GAP_FLOAT32, GAP_BFLOAT16 = 1e-3, 0.05
"""What rounding alone changes of a token's log probability, generously; a neighbour that is seen changes far more."""

WIDEST = 2**29
"""Logits (positions x vocabulary) computed at once on a CPU: 2 GB in float32."""


class SpanTrainer(SFTTrainer):
    """TRL's trainer with our batches, and on a CPU with logits at the trained positions alone.

    On a GPU TRL computes them so itself, in tiles; on a CPU it computes every position's, and entropies beside.
    """

    def __init__(self, rows: Sequence[Encoded], the_plan: Plan, **kwargs: Any) -> None:
        self._plan = the_plan
        self._rows = rows
        filler = {"input_ids": rows[0].input_ids[:2], "labels": [IGNORED, IGNORED]}
        data = [{"input_ids": row.input_ids, "labels": row.labels} for row in rows]
        self._data: Any = Dataset.from_list([*data, filler])
        super().__init__(train_dataset=self._data, **kwargs)
        self.remove_callback(PrinterCallback)
        base = self.accelerator.unwrap_model(self.model)
        base = base.get_base_model() if hasattr(base, "get_base_model") else base
        self._cuts_logits = (
            self.args.device.type == "cpu"
            and self.padding_free
            and kwargs["args"].loss_type == "nll"
            and not self.args.label_smoothing_factor
            and not self.aux_loss_enabled
            and "logits_to_keep" in inspect.signature(type(base).forward).parameters
        )
        self._vocabulary = base.config.get_text_config().vocab_size
        self.attention: str = base.config._attn_implementation

    def get_train_dataloader(self) -> DataLoader[Any]:
        """This process's share of the plan; it is dealt already, so accelerate must not deal it again."""
        return DataLoader(
            self._data,
            batch_sampler=self._plan.of_process(self.args.process_index),
            collate_fn=self.data_collator,
            pin_memory=self.args.device.type == "cuda",
        )

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

    def part_losses(self, indices: Sequence[int], what: str = "held-out loss") -> dict[str, dict[str, Any]]:
        """Loss, trained tokens and examples by part, without training; every process must call it.

        `loss` is the mean negative log likelihood of a trained token in nats.
        """
        model = self.model_wrapped
        size, rank, others = self.args.per_device_train_batch_size, self.args.process_index, self.args.world_size
        was_training = model.training
        model.eval()
        found: dict[str, dict[str, Any]] = {}
        shown = len(indices) if rank == 0 and what == "perplexity" else 0
        with progress.bar(what, shown) as bar:
            for part, members in by_part(self._rows, indices).items():
                members.sort(key=lambda index: len(self._rows[index].input_ids))
                batches = [members[at : at + size] for at in range(0, len(members), size)]
                batches += [[self._plan.filler]] * (-len(batches) % others)
                total = torch.zeros((), dtype=torch.float64, device=self.args.device)
                for batch in batches[rank::others]:
                    total += self._summed_loss(model, batch)
                    bar.advance(len(batch) * others)
                tokens = sum(self._rows[index].trained_tokens for index in members)
                nll = float(self.accelerator.reduce(total, "sum"))
                found[part] = {"loss": nll / tokens, "trained_tokens": tokens, "examples": len(members)}
        model.train(was_training)
        return found

    def _summed_loss(self, model: Any, batch: list[int]) -> torch.Tensor:
        inputs = self._prepare_inputs(self.data_collator([self._data[index] for index in batch]))
        count = sum(self._rows[index].trained_tokens for index in batch if index != self._plan.filler)
        with torch.no_grad(), self.compute_loss_context_manager():
            mean: torch.Tensor = self.compute_loss(model, inputs)
        return mean.double() * count

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

    def _send_telemetry(self) -> None:
        """Nothing is told to anyone about a training run."""
