"""How much memory a training process needs, reckoned from the student's shape before anything is loaded; pure.

Bytes of AdamW in mixed precision for each trained weight: 4 for the weight, 4 for its gradient, 8 for the two moments;
and 2 for its bfloat16 copy in the matrix products (arXiv 1910.02054 section 3.1 counts the same 16, with the weight's
gradient in 2 and its copy in 2). Activations are counted tensor by tensor for a decoder of the Llama kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unwaver.recipe import TrainSettings

Sharding = Literal["none", "zero2", "zero3", "fsdp2"]

LORA_RANK = 16
"""The rank of adapters where `[train.lora]` names none."""

SHORT = 1024
"""Up to this many tokens plain matrix products are the faster on a CPU, forward and backward (110 tokens in bfloat16:
0.7 ms against 3.4 ms of PyTorch's fused kernel), and the weights they keep for the backward pass stay small."""

LOGIT_TILE = 4096 * 32768
"""Positions times vocabulary of the one tile of logits that TRL's fused head holds on a GPU (TRL 1.16)."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder; attention sizes are heads times width."""

    layers: int
    heads: int
    hidden: int
    intermediate: int
    queries: int
    keys: int
    vocabulary: int
    tied: bool

    @classmethod
    def of(cls, config: dict[str, Any]) -> Shape:
        """From a model's `config.json`."""
        heads = config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // heads
        return cls(
            layers=config["num_hidden_layers"],
            heads=heads,
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            queries=heads * width,
            keys=(config.get("num_key_value_heads") or heads) * width,
            vocabulary=config["vocab_size"],
            tied=bool(config.get("tie_word_embeddings", False)),
        )

    @property
    def layer_weights(self) -> int:
        """Weights of one layer: attention, the gated feed-forward part, two norms."""
        attention = 2 * self.hidden * (self.queries + self.keys)
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def weights(self) -> int:
        """All weights."""
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.layers * self.layer_weights + embeddings + self.hidden

    def lora_weights(self, rank: int) -> int:
        """Weights of adapters on every linear layer but the head."""
        h, f, q, k = self.hidden, self.intermediate, self.queries, self.keys
        return self.layers * rank * ((h + q) * 2 + (h + k) * 2 + (h + f) * 3)


@dataclass(frozen=True)
class Memory:
    """Bytes in one process."""

    weights: float
    gradients: float
    optimiser: float
    activations: float
    """Kept until the backward pass."""
    recomputed: float
    """The one layer that the backward pass computes again under checkpointing."""
    logits: float

    @property
    def total(self) -> float:
        """The most there is at once: the logits are gone when the first layer is computed again."""
        always = self.weights + self.gradients + self.optimiser + self.activations
        return always + max(self.recomputed, self.logits)


def estimate(
    shape: Shape,
    settings: TrainSettings,
    lengths: Sequence[int],
    *,
    processes: int = 1,
    sharding: Sharding = "none",
    on_cpu: bool = False,
) -> Memory:
    """What one of `processes` needs when its largest forward pass holds examples of these lengths, half of it trained.

    Left out, because it depends on the machine: what CUDA and its allocator take (1 to 2 GB), and fragments.
    """
    products = 4 if settings.dtype == "float32" else 2
    whole = shape.weights
    if not settings.adapters:
        # Beside what is trained, preference pairs need the reference.
        trained, frozen, copies = whole, 4.0 * whole * (settings.method == "dpo"), 0 if products == 4 else 2 * whole
    else:
        trained = shape.lora_weights(settings.lora.get("r", LORA_RANK))
        # NF4 with double quantisation: 4.13 bits a weight (arXiv 2305.14314 section 3); embeddings stay as they are.
        embeddings = whole - shape.layers * shape.layer_weights
        frozen = (
            products * whole if settings.method != "qlora" else 0.516 * (whole - embeddings) + products * embeddings
        )
        copies = 2 * trained
    kept = 1.0 if sharding == "none" else 1 / processes
    # ZeRO-2 keeps the weights of the products whole in each process; with the others only a layer or two is whole.
    held = 1.0 if sharding in ("none", "zero2") else 1 / processes
    residual, layer = _activations(shape, products)
    tokens, scores = sum(lengths), 0.0
    if on_cpu:
        # Short examples keep their attention weights, in float32 and in the type of the products.
        scores = sum(length**2 for length in lengths if length <= SHORT) * shape.heads * (4 + products % 4)
    layer_bytes = tokens * layer + scores
    checkpointing = settings.gradient_checkpointing
    inputs = tokens * residual * shape.hidden
    return Memory(
        weights=4 * trained * kept + (frozen + copies) * held,
        gradients=4 * trained * kept,
        optimiser=8 * trained * kept,
        # And the last norm: its input and the normed.
        activations=2 * inputs + shape.layers * (inputs if checkpointing else layer_bytes),
        recomputed=layer_bytes if checkpointing else 0.0,
        # The logits, in float32 too, their logarithms and their gradient; on a GPU one tile of them.
        logits=(12 + products % 4) * (tokens / 2) * shape.vocabulary if on_cpu else products * LOGIT_TILE,
    )


def _activations(shape: Shape, products: int) -> tuple[float, float]:
    """(Bytes of one number of the residual stream, bytes that a layer keeps for each token.)"""
    residual = 4
    # Two norms: each its input and the normed. Then what the five products of the normed read: each makes its own copy
    # where types differ.
    normed = 2 * 2 * residual + (5 * products if products == 2 else 2 * products)
    attention = products * (2 * shape.queries + 2 * shape.keys)  # queries, keys, values and what comes out
    return residual, normed * shape.hidden + attention + 4 * products * shape.intermediate
