"""A recipe's `[train]` table as `trl.SFTConfig` or `trl.DPOConfig`, and the student loaded as it says."""

from __future__ import annotations

import difflib
import importlib.util
import math
import os
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from peft import LoraConfig
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.sft_config import SFTConfig

from unwaver.errors import RecipeError
from unwaver.models.loading import load_config, load_weights
from unwaver.models.local import best_dtype
from unwaver.models.weights import locate
from unwaver.recipe import ModelSettings, TrainSettings
from unwaver.training import attention
from unwaver.training.batches import BatchPlan
from unwaver.training.memory import LORA_RANK
from unwaver.training.work import Work

Config = TypeVar("Config", SFTConfig, DPOConfig)

_CHECKPOINTING = next(
    name for name in ("activation_checkpointing", "gradient_checkpointing") if name in SFTConfig.__dataclass_fields__
)
"""What transformers calls it: up to 5.20, with which vLLM goes, only by the second name."""

HUB = (
    "push_to_hub",
    "hub_model_id",
    "hub_strategy",
    "hub_token",
    "hub_private_repo",
    "hub_always_push",
    "hub_revision",
)
"""By these the trainer would send the weights to the hub, in the name of whoever is logged in here."""
OURS = {
    "output_dir": "the run's own folder",
    "per_device_train_batch_size": "train.micro_batch",
    "gradient_accumulation_steps": "train.global_batch",
    "num_train_epochs": "train.epochs",
    "max_steps": "train.epochs",
    "learning_rate": "train.learning_rate",
    "lr_scheduler_type": "train.scheduler",
    "warmup_steps": "train.warmup_ratio",
    "max_length": "train.max_tokens",
    "packing": "train.batching",
    "padding_free": "train.batching",
    "seed": "seed",
    "data_seed": "seed",
    "bf16": "train.dtype",
    "fp16": "train.dtype",
    "gradient_checkpointing": "train.gradient_checkpointing",
    "activation_checkpointing": "train.gradient_checkpointing",
    "report_to": "train.report_to",
    "save_steps": "train.save_every",
    "save_strategy": "train.save_every: a run that is killed goes on from its last checkpoint",
    "save_only_model": "the promise that a resumed run has the same losses",
    "logging_steps": "the promise that every step's loss is written down",
    "logging_strategy": "the promise that every step's loss is written down",
    "logging_nan_inf_filter": "the promise that a loss which is no number stops the run",
    "average_tokens_across_devices": "the promise that a step's loss is the mean over its trained tokens",
    "eval_strategy": "train.heldout",
    "dataset_kwargs": "the examples, which are tokens already",
    "remove_unused_columns": "the examples, which are tokens already",
    "completion_only_loss": "the examples' spans",
    "assistant_only_loss": "the examples' spans",
    "model_init_kwargs": "models.student.load",
    "trust_remote_code": "models.student.load",
    **dict.fromkeys(HUB, "`unwaver publish`: a training sends nothing to the hub"),
}
"""What `[train.sft]` and `[train.dpo]` may not set, as a promise rests on it or it has a key of its own; and what
decides it."""

OURS_IN_PAIRS = {
    "loss_type": "train.loss",
    "truncation_mode": "train.max_tokens",
    **dict.fromkeys(
        ("precompute_ref_log_probs", "sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"),
        "the reference, which is the student before training",
    ),
}
"""What besides `[train.dpo]` may not."""


def machine() -> dict[str, str]:
    """What training uses on this machine, as `unwaver doctor` and a run's first lines tell it."""
    gpu = torch.cuda.is_available()
    there = {name: importlib.util.find_spec(name) is not None for name in ("liger_kernel", "bitsandbytes")}
    return {
        "device": torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads",
        "matrix products": str(best_dtype()).removeprefix("torch."),
        "attention": attention.described(attention.best_attention()),
        "layer kernels": "liger" if gpu and there["liger_kernel"] else "PyTorch's own",
        "QLoRA": "bitsandbytes" if there["bitsandbytes"] else "not without bitsandbytes",
    }


def matmul_dtype(settings: TrainSettings) -> torch.dtype:
    """The type of matrix products."""
    chosen: torch.dtype = best_dtype() if settings.dtype == "auto" else getattr(torch, settings.dtype)
    return chosen


def trl_config(work: Work, plan: BatchPlan, folder: Path, padding_free: bool) -> SFTConfig | DPOConfig:
    """TRL's settings: the recipe's, with `[train.sft]` or `[train.dpo]` laid over them."""
    settings = work.train
    own: dict[str, Any] = {
        "output_dir": str(folder / "checkpoints"),
        "per_device_train_batch_size": settings.micro_batch,
        "gradient_accumulation_steps": plan.accumulation,
        # The plan holds all epochs in a row; to the trainer they are one.
        "num_train_epochs": 1,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.scheduler,
        "warmup_steps": math.ceil(settings.warmup_ratio * len(plan.steps)),
        "max_length": None,
        "bf16": matmul_dtype(settings) is torch.bfloat16,
        _CHECKPOINTING: settings.gradient_checkpointing,
        "optim": "adamw_torch_fused",
        "seed": work.seed,
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "save_total_limit": 2,
        "logging_strategy": "steps",
        "logging_steps": 1,
        # The trainer's default hides a loss that is not a number behind the mean of the losses before it.
        "logging_nan_inf_filter": False,
        "eval_strategy": "no",
        "report_to": settings.report_to or "none",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
        "remove_unused_columns": False,
    }
    if plan.processes > 1 and not torch.cuda.is_available():
        own["ddp_backend"] = "gloo"
    _check_reporters(settings.report_to)
    if "tensorboard" in settings.report_to:  # its default place, beside the checkpoints, goes when they go
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    if settings.method == "dpo":
        return _laid_over(DPOConfig, {**own, "loss_type": settings.loss}, "train.dpo", settings.dpo)
    return _laid_over(SFTConfig, {**own, **_of_spans(padding_free)}, "train.sft", settings.sft)


def _of_spans(padding_free: bool) -> dict[str, Any]:
    own: dict[str, Any] = {
        "padding_free": padding_free,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        # The loss of a step is the mean over its trained tokens, wherever they were computed.
        "average_tokens_across_devices": True,
    }
    if torch.cuda.is_available() and importlib.util.find_spec("liger_kernel") is not None:
        own["use_liger_kernel"] = True
    return own


def _laid_over(config: type[Config], own: dict[str, Any], table: str, given: dict[str, Any]) -> Config:
    """The library's settings; RecipeError for a key that it doesn't know, or that is decided elsewhere."""
    _check_keys(table, given, {f.name for f in fields(config)})
    ours = {**OURS, **OURS_IN_PAIRS} if config is DPOConfig else OURS
    for key in given:
        if key in ours:
            raise RecipeError(f"{table}.{key}: is decided by {ours[key]}")
    try:
        return config(**{**own, **given})
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{table}: {' '.join(str(error).split())}") from None


def effective(config: SFTConfig | DPOConfig) -> dict[str, Any]:
    """What decided the updates, what was laid over and TRL's own defaults included."""
    preference = {"loss": config.loss_type[0], "beta": config.beta} if isinstance(config, DPOConfig) else {}
    return {
        **preference,
        "learning_rate": config.learning_rate,
        "scheduler": str(getattr(config.lr_scheduler_type, "value", config.lr_scheduler_type)),
        "warmup_steps": config.warmup_steps,
        "optimiser": str(getattr(config.optim, "value", config.optim)),
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
    }


def lora_config(settings: TrainSettings) -> LoraConfig | None:
    """PEFT's settings: adapters on every linear layer but the head, `[train.lora]` laid over; None: full training."""
    if not settings.adapters:
        return None
    _check_keys("train.lora", settings.lora, {f.name for f in fields(LoraConfig)})
    own: dict[str, Any] = {"task_type": "CAUSAL_LM", "r": LORA_RANK, "lora_alpha": 32, "target_modules": "all-linear"}
    try:
        return LoraConfig(**{**own, **settings.lora})
    except (TypeError, ValueError) as error:
        raise RecipeError(f"train.lora: {' '.join(str(error).split())}") from None


def quantisation(settings: TrainSettings) -> BitsAndBytesConfig | None:
    """How the frozen weights of QLoRA are kept; None: they are not quantised."""
    if settings.method != "qlora":
        return None
    if importlib.util.find_spec("bitsandbytes") is None:
        raise RecipeError('train.method = "qlora" needs bitsandbytes; install it with: pip install bitsandbytes')
    # NF4 with double quantisation: QLoRA, arXiv 2305.14314 section 3.
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=matmul_dtype(settings),
    )


def check(work: Work, plan: BatchPlan) -> None:
    """RecipeError for a setting that the libraries don't take, before anything is loaded."""
    trl_config(work, plan, Path(), padding_free=True)
    lora_config(work.train)
    quantisation(work.train)


def load_student(student: ModelSettings, settings: TrainSettings) -> PreTrainedModel:
    """The student's weights: float32 where trained, the type of the matrix products (or 4 bits) where frozen."""
    products = matmul_dtype(settings)
    options: dict[str, Any] = {
        "dtype": products if settings.adapters else torch.float32,
        "attn_implementation": attention.best_attention(),
    }
    if (quantised := quantisation(settings)) is not None:
        options["quantization_config"] = quantised
    options |= student.load
    model = load_weights(student.name, locate(student.target), student.revision, **options)
    attention.check(model)
    loaded: PreTrainedModel = model
    return loaded


def own_dtype(student: ModelSettings) -> torch.dtype:
    """The type the student's weights are kept in, and the trained ones are again."""
    options = {key: value for key, value in student.load.items() if key == "trust_remote_code"}
    config = load_config(student.name, locate(student.target), student.revision, **options)
    dtype: torch.dtype = config.get_text_config().dtype or torch.float32
    return dtype


def _check_reporters(names: list[str]) -> None:
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            raise RecipeError(f"train.report_to: no `{name}`; there are {', '.join(sorted(INTEGRATION_TO_CALLBACK))}")
        if importlib.util.find_spec(name) is None:
            raise RecipeError(f"train.report_to: {name} is not installed; try: pip install {name}")


def _check_keys(table: str, given: dict[str, Any], known: set[str]) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1)
            raise RecipeError(f"{table}.{key}: unknown key" + (f"; did you mean `{near[0]}`?" if near else ""))
