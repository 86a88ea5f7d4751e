"""The model card: what was trained on what, and how, from the run's own facts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from unwaver.recipe import ModelSettings, Recipe


def text(recipe: Recipe, counts: dict[str, Any], facts: dict[str, Any]) -> str:
    """The card in Markdown, with the hub's header."""
    student, train = recipe.models["student"], recipe.train
    parts = ", ".join(f"{count} {part}" for part, count in counts["parts"].items())
    dropped = ", ".join(f"{count} {why}" for why, count in counts["dropped"].items()) or "none"
    used = facts["settings"]
    rows = [
        ("Student", student.label),
        (
            "Recipe",
            f"{recipe.name}, teacher's instruction `{recipe.distil.instruction}`, traces kept: {recipe.mix.keep}",
        ),
        ("Examples", f"{counts['trained']} trained on, {counts['held_out']} held out ({parts})"),
        ("Dropped", dropped),
        ("Method", train.method),
        ("Optimiser steps", f"{facts['steps']} of {train.global_batch} examples, {train.epochs:g} epochs"),
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
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [safety, reasoning, sft, unwaver]
{_base_model(student)}---
# {recipe.name}

Fine-tuned with [unwaver](https://arxiv.org/abs/2505.15404) to reason safely. The loss was on the reasoning, the
answer and the end token of each example, and on nothing of its prompt; `proof.txt` beside this folder shows it.

| | |
|---|---|
{table}

This card tells how the model was made, not how safe it is: that is what the run's report measures, on prompts that were
not trained on. A model that refuses more is not by that alone a safer one.
"""


def _base_model(student: ModelSettings) -> str:
    """The header's line for a student from the hub; a folder of one's own or a package has no place there."""
    on_hub = re.fullmatch(r"[\w.-]+/[\w.-]+", student.target) and not Path(student.target).exists()
    return f"base_model: {student.target}\n" if on_hub else ""
