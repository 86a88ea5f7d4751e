"""The memory estimate against what a training step really keeps."""

from __future__ import annotations

import gc
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from unwaver.recipe import TrainSettings
from unwaver.training.memory import Shape, estimate

pytestmark = pytest.mark.real

SIZES = {
    "vocab_size": 320,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
LENGTHS = [200, 120, 180, 40]

QWEN_7B = {
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}
"""The shape of DeepSeek-R1-Distill-Qwen-7B."""


def build(**changes: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from unwaver.training.attention import best_attention

    torch.manual_seed(0)
    return LlamaForCausalLM._from_config(LlamaConfig(**{**SIZES, **changes}), attn_implementation=best_attention())


def kept_by(model: Any, in_bfloat16: bool) -> int:
    """Bytes that the forward pass keeps for the backward pass, without weights and their copies."""
    import torch

    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    shapes = {tuple(parameter.shape) for parameter in model.parameters()}
    shapes |= {shape[::-1] for shape in shapes}
    kept: dict[int, tuple[int, Any]] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tuple(tensor.shape) not in shapes:
            kept[storage.data_ptr()] = storage.nbytes(), storage
        return tensor

    total = sum(LENGTHS)
    borders = torch.tensor([sum(LENGTHS[:count]) for count in range(len(LENGTHS) + 1)], dtype=torch.int32)
    places = torch.cat([torch.arange(length) for length in LENGTHS])[None]
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=in_bfloat16),
    ):
        # Held, or the first layers' tensors would be gone before the last are counted.
        held = model.model(
            input_ids=torch.arange(total)[None] % 320, position_ids=places, cu_seq_lens_q=borders, use_cache=False
        )
    assert held is not None
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activations_are_those_a_forward_pass_keeps(dtype: str) -> None:
    settings = TrainSettings(dtype=dtype, gradient_checkpointing=False)
    found = estimate(Shape.of(SIZES), settings, LENGTHS, on_cpu=True)
    assert found.activations == pytest.approx(kept_by(build(), dtype == "bfloat16"), rel=0.1)


def test_checkpointing_keeps_a_layers_input_and_computes_one_layer_again() -> None:
    model = build()
    model.activation_checkpointing_enable()
    model.train()
    on, off = (
        estimate(Shape.of(SIZES), TrainSettings(dtype="float32", gradient_checkpointing=flag), LENGTHS, on_cpu=True)
        for flag in (True, False)
    )
    assert on.activations == pytest.approx(kept_by(model, False), rel=0.1)
    assert on.recomputed == pytest.approx(off.activations / 3, rel=0.1)


@pytest.mark.parametrize("tied", [True, False])
def test_weights_gradients_and_moments_are_those_of_a_step(tied: bool) -> None:
    import torch

    model = build() if tied else build_untied()
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    model(input_ids=torch.arange(20)[None], labels=torch.arange(20)[None]).loss.backward()
    optimiser.step()
    moments = [value for state in optimiser.state.values() for value in state.values() if value.numel() > 1]
    shape = Shape.of({**SIZES, "tie_word_embeddings": tied})
    found = estimate(shape, TrainSettings(dtype="float32"), LENGTHS)
    assert shape.weights == sum(parameter.numel() for parameter in model.parameters())
    assert found.weights == sum(parameter.nbytes for parameter in model.parameters())
    assert found.gradients == sum(parameter.grad.nbytes for parameter in model.parameters())
    assert found.optimiser == sum(value.nbytes for value in moments)


def build_untied() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**{**SIZES, "tie_word_embeddings": False}))


def test_adapters_have_the_weights_peft_gives_them() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(build(), LoraConfig(r=5, target_modules="all-linear", task_type="CAUSAL_LM"))
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert Shape.of(SIZES).lora_weights(5) == trainable


def test_a_7b_model_has_7_6_billion_weights_and_sharding_divides_what_it_should() -> None:
    shape, settings = Shape.of(QWEN_7B), TrainSettings(dtype="bfloat16")
    assert shape.weights == pytest.approx(7.616e9, rel=1e-3)
    alone = estimate(shape, settings, [4096])
    assert alone.weights + alone.gradients + alone.optimiser == pytest.approx(18 * shape.weights)
    for sharding, whole in (("zero2", 2), ("zero3", 0), ("fsdp2", 0)):
        found = estimate(shape, settings, [4096], processes=8, sharding=sharding)  # type: ignore[arg-type]
        states = found.weights + found.gradients + found.optimiser
        assert states == pytest.approx((whole + (18 - whole) / 8) * shape.weights)
        assert found.activations == alone.activations
    lora = estimate(shape, TrainSettings(dtype="bfloat16", method="lora"), [4096])
    qlora = estimate(shape, TrainSettings(dtype="bfloat16", method="qlora"), [4096])
    assert qlora.total < lora.total < alone.total / 4


def peak_of(work: Any) -> int:
    """The most bytes of tensors that live at once while some work is done, beyond those that lived before."""
    import torch

    gc.collect()  # what an earlier test left would be freed meanwhile, and counted
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    changes = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = accumulate(event.nbytes() for event in sorted(changes, key=lambda event: event.start_ns()))
    return max(live)


@pytest.mark.parametrize(("dtype", "checkpointing"), [("float32", False), ("float32", True), ("bfloat16", False)])
def test_the_total_is_the_peak_of_a_step_with_its_logits(dtype: str, checkpointing: bool, tmp_path: Path) -> None:
    """Two steps of two passes through the trainer itself: in the last pass weights, gradients, moments and activations
    are all there at once, with the logits or the layer that is computed again.
    """
    from training_fixtures import make_tokenizer

    from unwaver.recipe import ModelSettings
    from unwaver.training import settings
    from unwaver.training.encode import Encoded
    from unwaver.training.trainer import SpanTrainer
    from unwaver.training.work import Work, training_plan

    sizes = {"vocab_size": 4096, "tie_word_embeddings": True}
    chosen = TrainSettings(
        dtype=dtype,
        gradient_checkpointing=checkpointing,
        micro_batch=len(LENGTHS),
        global_batch=2 * len(LENGTHS),
        epochs=1,
    )
    rows = [
        Encoded(
            [5 + place % 90 for place in range(length)], [place >= length // 2 for place in range(length)], 1, "a", "b"
        )
        for length in LENGTHS * 4
    ]
    work = Work(student=ModelSettings(name="hf:none"), train=chosen, seed=0, rows="", heldout=[], probed=[])
    plan = training_plan(work, rows, 1)
    # Every pass alike, so that the last one is as large as the estimate's.
    plan = replace(plan, steps=[[list(range(at, at + 4)) for at in (start, start + 4)] for start in (0, 8)])
    config = settings.trl_config(work, plan, tmp_path, padding_free=True)
    model = build(**sizes)
    weights = sum(parameter.nbytes for parameter in model.parameters())
    trainer = SpanTrainer(rows, plan, model=model, args=config, processing_class=make_tokenizer("smollm2"))
    found = estimate(Shape.of({**SIZES, **sizes}), chosen, LENGTHS, on_cpu=True)
    assert found.logits > 0.1 * found.total
    assert weights + peak_of(trainer.train) == pytest.approx(found.total, rel=0.1)
