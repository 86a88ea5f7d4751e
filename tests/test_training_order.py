"""Grouping batches by length must not decide what is learned, though length goes with class."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from unwaver.recipe import TrainSettings
from unwaver.training.batches import plan

WORDS, TRIGGERS, START, REFUSE, COMPLY, END = range(30), range(30, 34), 34, 35, 36, 37
"""Token ids: a prompt with a trigger wants a refusal, which is short; any other wants a long compliance."""

SETTINGS = {"global_batch": 8, "micro_batch": 2, "epochs": 4}

pytestmark = pytest.mark.real


def drawn(count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """(prompt, reply) of both classes, half and half."""
    generator = random.Random(seed)
    made = []
    for index in range(count):
        prompt = generator.choices(WORDS, k=generator.randint(4, 8))
        if index % 2:
            prompt[generator.randrange(len(prompt))] = generator.choice(TRIGGERS)
            made.append(([*prompt, START], [REFUSE, END]))
        else:
            made.append(([*prompt, START], [COMPLY, *generator.choices(WORDS, k=generator.randint(6, 12)), END]))
    return made


def refusals(
    steps: Sequence[Sequence[Sequence[int]]], examples: list[tuple[list[int], list[int]]]
) -> tuple[float, float]:
    """Trained in this order at a constant rate: the share of unseen (harmful, harmless) prompts that are refused."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=38, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    model = LlamaForCausalLM(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in steps:
        chosen = [index for batch in step for index in batch if index < len(examples)]
        size = max(len(prompt + reply) for prompt, reply in (examples[index] for index in chosen))
        ids, labels = torch.zeros(len(chosen), size, dtype=torch.long), torch.full((len(chosen), size), -100)
        for row, (prompt, reply) in enumerate(examples[index] for index in chosen):
            whole = torch.tensor(prompt + reply)
            ids[row, : len(whole)] = whole
            labels[row, len(prompt) : len(whole)] = whole[len(prompt) :]
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    shares = []
    for reply in (REFUSE, COMPLY):
        prompts = [prompt for prompt, wanted in drawn(200, 1) if wanted[0] == reply]
        with torch.no_grad():
            said = [int(model(torch.tensor([prompt])).logits[0, -1].argmax()) for prompt in prompts]
        shares.append(said.count(REFUSE) / len(said))
    return shares[0], shares[1]


@pytest.mark.parametrize("seed", [0, 1])
def test_verdict_rates_are_those_of_plain_shuffling(seed: int) -> None:
    examples = drawn(160, 0)
    lengths = [len(prompt + reply) for prompt, reply in examples]
    classes = [reply[0] for _, reply in examples]
    made = {
        name: refusals(plan(lengths, classes, TrainSettings(**SETTINGS, batching=name), 1, seed).steps, examples)
        for name in ("shuffled", "grouped", "packed")
    }
    for name in ("grouped", "packed"):
        for found, wanted in zip(made[name], made["shuffled"], strict=True):
            # Two shares of 100 prompts each differ by 0.14 or more once in twenty times by chance at worst.
            assert abs(found - wanted) < 0.14, made
    ordered = sorted(range(len(examples)), key=lambda index: lengths[index]) * 4
    by_length = refusals([[ordered[at : at + 8]] for at in range(0, len(ordered), 8)], examples)
    contrast = made["grouped"][0] - made["grouped"][1]
    assert contrast > 0.8, made
    assert by_length[0] - by_length[1] < contrast - 0.3, "sorted by length, everything or nothing is refused"
