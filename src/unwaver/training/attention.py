"""Attention over several examples in one row, each of which sees only itself.

Rows without padding are what makes training fast, and flash attention knows how to read them; a CPU, or a GPU without
that package, does not. This gives transformers an attention that does: one causal call for each example in the row, so
no example can see another and no mask is ever built.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from unwaver.errors import RecipeError
from unwaver.recipe import ModelSettings
from unwaver.training.memory import SHORT

NAME = "unwaver_segments"
"""The name under which transformers knows it."""

FLASH = "flash_attention_2"


def segments(  # noqa: PLR0917 - transformers decides
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    cu_seq_lens_q: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of a row of examples; query, key and value are (1, heads, tokens, size), `cu_seq_lens_q` the places
    where examples begin and the last ends. Without `cu_seq_lens_q` every row is one example, with its padding at the
    end.
    """
    if cu_seq_lens_q is None:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return output
    lengths = cu_seq_lens_q.diff().tolist()
    scale, window, dropout = kwargs.get("scaling"), kwargs.get("sliding_window"), kwargs.get("dropout", 0.0)
    parts = []
    for q, k, v in zip(*(states.split_with_sizes(lengths, 2) for states in (query, key, value)), strict=True):
        size, band = q.shape[2], None
        if window is not None and size > window:
            band = torch.ones(size, size, dtype=torch.bool, device=q.device).tril().triu(1 - window)
        elif q.device.type == "cpu" and size <= SHORT and not dropout:
            parts.append(_by_products(q, k, v, scale))
            continue
        grouped = q.shape[1] != k.shape[1]
        parts.append(
            scaled_dot_product_attention(
                q, k, v, attn_mask=band, is_causal=band is None, dropout_p=dropout, scale=scale, enable_gqa=grouped
            )
        )
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def _by_products(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float | None) -> torch.Tensor:
    """Causal attention of one example by two matrix products, the heads that share a key side by side."""
    _, heads, size, width = q.shape
    shared = k.shape[1]
    asked = (q * (width**-0.5 if scale is None else scale)).reshape(shared, -1, width)
    scores = torch.bmm(asked, k[0].transpose(1, 2)).view(shared, heads // shared, size, size).float()
    later = torch.full((size, size), -torch.inf, device=q.device).triu(1)
    weights = (scores + later).softmax(-1).to(v.dtype)
    return torch.bmm(weights.view(shared, -1, size), v[0]).view(1, heads, size, -1)


def best_attention() -> str:
    """Flash attention where there is a GPU and the package, else ours."""
    if torch.cuda.is_available() and importlib.util.find_spec("flash_attn") is not None:
        return FLASH
    ALL_ATTENTION_FUNCTIONS.register(NAME, segments)
    return NAME


def described(name: str) -> str:
    """The name of an attention, with what ours is."""
    return f"{name} (PyTorch's, one example of a row at a time)" if name == NAME else name


def rows_without_padding(student: ModelSettings) -> bool:
    """Whether the attention this student is loaded with keeps the examples of one row apart."""
    chosen = student.load.get("attn_implementation") or best_attention()
    return chosen == NAME or "flash" in str(chosen)


def gap_in_row(
    model: torch.nn.Module,
    collate: Callable[[list[dict[str, Any]]], dict[str, Any]],
    vocabulary: int,
    device: torch.device,
) -> float:
    """How much the neighbours of an example in a row change its log probabilities: the mean difference, in nats.

    It stands between two others, which then change places: what it may see and where it stands differ, and no product's
    shape does, so bfloat16 (which rounds a logit of 16 to a tenth) rounds alike and the gap is the neighbours' alone.
    Nothing but rounding where examples are kept apart; for attention, and any other state a model carries along.
    """
    size = min(vocabulary, 1000)
    before, asked, after = (
        [*range(start, size, max(1, size // count))] for start, count in ((3, 20), (7, 30), (5, 40))
    )
    found = []
    training = model.training
    model.train(False)
    for first, last in ((before, after), (after, before)):
        rows = [{"input_ids": row, "labels": row} for row in (first, asked, last)]
        batch = {name: value.to(device) if torch.is_tensor(value) else value for name, value in collate(rows).items()}
        batch.pop("labels")
        place = slice(len(first), len(first) + len(asked))
        with torch.no_grad():
            logits = model(**batch, use_cache=False).logits[0, place]
        targets = batch["input_ids"][0, place][1:, None]
        found.append(logits[:-1].float().log_softmax(-1).gather(-1, targets))
    model.train(training)
    return float((found[0] - found[1]).abs().mean())


def check(model: PreTrainedModel) -> None:
    """RecipeError where ours can't stand in for the model's own attention."""
    config = model.config.get_text_config()
    if model.config._attn_implementation == NAME and (
        not model._supports_sdpa or getattr(config, "attn_logit_softcapping", None)
    ):
        raise RecipeError(
            f"{model.config.model_type}: its attention can't be computed here; install flash-attn, or set "
            'models.student.load.attn_implementation = "eager" (with padding)'
        )
