"""The model card: what was trained on what, and how, from the run's own facts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from unwaver.plain import in_markdown
from unwaver.recipe import ModelSettings, Recipe, TrainSettings

CLOSING = (
    "A low attack success rate means that these attacks failed on these prompts, not that a model is safe; a model "
    "that refuses more is not by that alone a safer one."
)
"""The last sentence of a card."""


def text(
    recipe: Recipe, counts: dict[str, Any], facts: dict[str, Any], base: Path | None = None, later: bool = False
) -> str:
    """The card in Markdown, with the hub's header. `base`: the student's own card, whose licence holds for this one.

    `later`: it is the fine-tuning after a safety training, for which its steps are set and not its epochs.
    """
    student, train = recipe.models["student"], recipe.train
    parts = ", ".join(f"{count} {part}" for part, count in counts["parts"].items())
    dropped = ", ".join(f"{count} {why}" for why, count in counts["dropped"].items()) or "none"
    used = facts["settings"]
    epochs = facts["steps"] * train.global_batch / max(1, counts["trained"]) if later else train.epochs
    rows = [
        ("Student", _named(student)),
        (
            "Recipe",
            f"{recipe.name}, teaching method {recipe.distil.method}, traces kept: {recipe.mix.keep}",
        ),
        ("Examples", f"{counts['trained']} trained on, {counts['held_out']} held out ({parts})"),
        ("Dropped", dropped),
        ("Method", _method(train, used)),
        *([("Adapter", _adapter(lora))] if (lora := facts.get("adapter")) else []),
        ("Optimiser steps", f"{facts['steps']} of {train.global_batch} examples, {epochs:.3g} epochs"),
        (
            "Learning rate",
            f"{used['learning_rate']:g} at most, {used['scheduler']}, {used['warmup_steps']:g} steps of warm-up",
        ),
        (
            "Optimiser",
            f"{used['optimiser']}, weight decay {used['weight_decay']:g}, gradients cut at {used['max_grad_norm']:g}",
        ),
        ("Matrix products", facts["dtype"]),
        ("Seed", str(recipe.seed)),
        ("Trained tokens", f"{facts['trained_tokens']:,} of {facts['tokens']:,}"),
    ]
    table = "\n".join(f"| {name} | {in_markdown(value)} |" for name, value in rows)
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [safety, reasoning, {"dpo" if train.method == "dpo" else "sft"}, unwaver]
{_base_model(student)}{_licence(base)}---
# {recipe.name}

{_AFTERWARDS if later else _SAFELY} The
{_loss(train)}; `proof.txt`
beside this folder shows it.

| | |
|---|---|
{table}

{CLOSING}
"""


_SAFELY = (
    "Fine-tuned with unwaver to reason safely, after the study [arXiv 2505.15404](https://arxiv.org/abs/2505.15404)."
)
_AFTERWARDS = (
    "A student after its safety training, fine-tuned further on harmless prompts with unwaver: does that last?"
)


def _loss(train: TrainSettings) -> str:
    """Where the loss was, in a sentence without its end."""
    if train.method == "dpo":
        return (
            "loss weighed a clean reply to each prompt against a wavering one, from the first token in which they "
            "differ"
        )
    return "loss was on the reasoning, the answer and the end token of each example, and on nothing of its prompt"


def _method(train: TrainSettings, used: dict[str, Any]) -> str:
    if train.method != "dpo":
        return train.method
    weights = "an adapter" if train.adapters else "all weights"
    return f"dpo on {weights}: {used['loss']} loss, beta {used['beta']:g}, against the student before training"


def _named(student: ModelSettings) -> str:
    """The student's name; of a folder the last word, as a card may be read by anybody."""
    path = Path(student.target).expanduser()
    return student.label if not path.exists() else f"{path.resolve().name} (a folder of one's own)"


def _base_model(student: ModelSettings) -> str:
    """The header's line for a student from the hub; a folder of one's own or a package has no place there."""
    on_hub = re.fullmatch(r"[\w.-]+/[\w.-]+", student.target) and not Path(student.target).exists()
    return f"base_model: {student.target}\n" if on_hub else ""


def adapter_text(card: str) -> str:
    """The card of the adapter alone, from that of the whole model: the same facts, loaded by PEFT."""
    return card.replace("library_name: transformers", "library_name: peft", 1).replace(
        "\n\n| | |\n",
        "\n\nThis folder holds the adapter alone; `model/` beside it holds the merged weights.\n\n| | |\n",
        1,
    )


def _adapter(lora: dict[str, Any]) -> str:
    targets = lora["target_modules"]
    # PEFT may write a list of every layer by its full name; people know them by the last word.
    on = ", ".join(sorted({name.rpartition(".")[2] for name in targets})) if isinstance(targets, list) else targets
    return f"rank {lora['r']}, alpha {lora['lora_alpha']}, dropout {lora['lora_dropout']:g}, on {on}"


_LICENCE = re.compile(r"^(license(?:_name|_link)?): *([\w.:/-]+)\s*$", re.M)


def _licence(base: Path | None) -> str:
    """The header's lines on the licence, as the student's own card has them; a model inherits it."""
    if base is None or not base.is_file():
        return ""
    header = base.read_text(encoding="utf-8", errors="replace").split("---")[1:2]
    return "".join(f"{key}: {value}\n" for key, value in _LICENCE.findall(header[0] if header else ""))
