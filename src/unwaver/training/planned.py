"""What the trainers of TRL that we use have in common: our batches, what really ran, losses by part."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer

from unwaver import progress
from unwaver.errors import RecipeError
from unwaver.training.batches import BatchPlan
from unwaver.training.encode import Encoded
from unwaver.training.work import by_part


class Planned(Trainer):
    """Stands before one of TRL's trainers, whose data are `_data`: the rows in order and a filler behind them."""

    _plan: BatchPlan
    _rows: Sequence[Encoded]
    _data: Any
    attention: str
    padding_free: Any

    def _settle(self) -> Any:
        """After the trainer's own beginning; the model without its adapters."""
        self.remove_callback(PrinterCallback)
        trained: Any = self.model
        for weight in trained.parameters():
            if weight.requires_grad and weight.dtype != torch.float32:  # TRL casts the adapters of quantised models
                weight.data = weight.data.float()
        base: Any = self.accelerator.unwrap_model(trained)
        base = base.get_base_model() if hasattr(base, "get_base_model") else base
        self.attention = base.config._attn_implementation
        return base

    def prove_apart(self) -> float | None:
        """How far examples of one row change one another; None where each has a row of its own."""
        return None

    def ran(self) -> dict[str, str]:
        """How the weights are trained, as accelerate has it in the end: the type of matrix products, what kind of
        processes, what of the model they share out. RecipeError where the launch asked for sharding and gets none.
        """
        state = self.accelerator.state
        kind = str(self.accelerator.distributed_type.value)
        for name, variable in (("FSDP", "ACCELERATE_USE_FSDP"), ("DEEPSPEED", "ACCELERATE_USE_DEEPSPEED")):
            if os.environ.get(variable, "").lower() in ("true", "1") and kind != name:
                raise RecipeError(
                    f"train.launch_config: asks for {name}, and accelerate makes {kind} of it on this machine, in "
                    "which every process holds the whole model; take another launch_config, or a machine with GPUs"
                )
        sharding, products = (
            "none",
            {"bf16": "bfloat16", "fp16": "float16"}.get(self.accelerator.mixed_precision, "float32"),
        )
        if kind == "DEEPSPEED":
            sharding = f"ZeRO stage {state.deepspeed_plugin.zero_stage}"
        elif kind == "FSDP":
            sharding = f"FSDP {state.fsdp_plugin.fsdp_version}"
            policy = getattr(state.fsdp_plugin.mixed_precision_policy, "param_dtype", None)
            products = str(policy).removeprefix("torch.") if policy is not None else products
        return {"dtype": products, "distributed_type": kind, "sharding": sharding}

    def weights_held(self) -> float | None:
        """The share of the model's weights that lie in this process once training has begun, counted in the tensors
        themselves; None under FSDP 1, whose tensors don't tell.
        """
        whole = here = 0
        apart = False
        for weight in self.model_wrapped.parameters():
            local = weight.to_local() if isinstance(weight, DTensor) else getattr(weight, "ds_tensor", None)
            apart = apart or local is not None
            here += weight.numel() if local is None else local.numel()
            whole += getattr(weight, "ds_numel", weight.numel())
        return round(here / whole, 2) if apart or not self.is_fsdp_enabled else None

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """The trainer's own; gathered weights no longer show that two are one, so the tied ones are left out here."""
        base = self.accelerator.unwrap_model(self.model)
        if state_dict is not None and not hasattr(base, "get_base_model"):
            tied = getattr(base, "all_tied_weights_keys", {}) or {}
            state_dict = {name: weight for name, weight in state_dict.items() if name not in tied}
        super()._save(output_dir, state_dict)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """This process's share of the plan; it is dealt already, so accelerate must not deal it again."""
        return DataLoader(
            self._data,
            batch_sampler=self._plan.of_process(self.args.process_index),
            collate_fn=self.data_collator,
            pin_memory=self.args.device.type == "cuda",
        )

    def part_losses(self, indices: Sequence[int], what: str = "held-out loss") -> dict[str, dict[str, Any]]:
        """Loss, trained tokens and examples by part, without training; every process must call it.

        `loss` is the mean over what the trainer's loss weighs: the trained tokens, or the pairs.
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
                mean = float(self.accelerator.reduce(total, "sum")) / self._weighed(members)
                found[part] = {"loss": mean, "trained_tokens": tokens, "examples": len(members)}
        model.train(was_training)
        return found

    def _weighed(self, members: Sequence[int]) -> int:
        """How much of these examples the loss is a mean over."""
        raise NotImplementedError

    def _summed_loss(self, model: Any, batch: list[int]) -> torch.Tensor:
        """The loss of a forward pass, times what it is a mean over."""
        inputs = self._prepare_inputs(self.data_collator([self._data[index] for index in batch]))
        with torch.no_grad(), self.compute_loss_context_manager():
            mean: Any = self.compute_loss(model, inputs)
        summed: torch.Tensor = mean.double() * self._weighed([index for index in batch if index != self._plan.filler])
        return summed

    def _send_telemetry(self) -> None:
        """Nothing is told to anyone about a training run."""
