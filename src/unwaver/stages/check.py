"""Check: what the student would be trained on, token by token, before anything is trained.

Reads the recipe, the student's tokenizer and, where there is one, the mix's `examples.jsonl`; loads no weights and
writes nothing but the page it prints. What training would refuse to start with, this refuses too, but for what depends
on the weights or on the GPUs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.text import Text

from unwaver.plain import visible
from unwaver.reasoning import FAMILIES, render
from unwaver.recipe import Recipe
from unwaver.records import Example, Span
from unwaver.store import read_records
from unwaver.training import launch
from unwaver.training.encode import Encoded, Proof
from unwaver.training.memory import Sharding, estimate
from unwaver.training.select import choose
from unwaver.training.student import load_encoder, load_shape
from unwaver.training.work import Work, hold_out, training_plan


@dataclass(frozen=True)
class Checked:
    """What was found of a student and the examples for it."""

    student: str
    examples: int
    usable: int
    dropped: Counter[str]
    longest: int
    """Tokens of the longest usable example."""
    trained_share: float
    """Share of all tokens that are under the loss."""
    stand_ins: bool
    """Whether the examples were made up here, because there is no mix yet."""
    keeps_reasoning: bool
    """Whether the chat template would keep the reasoning, were it handed a whole conversation."""
    memory: float | None
    """Bytes one process would need to train, by `training.memory`; None where the student's shape is not understood."""
    proofs: list[Proof]


def check_student(recipe: Recipe, examples: list[Example] | None = None) -> Checked:
    """Encode the examples for the recipe's student, or one stand-in for each part; RecipeError with the first fault."""
    encoder = load_encoder(recipe.models["student"])
    given = examples if examples is not None else stand_ins(recipe)
    rows, proofs, dropped = choose(given, encoder, recipe)
    _check_settings(recipe, rows)
    lengths = sorted((len(row.input_ids) for row in rows), reverse=True)
    return Checked(
        student=encoder.name,
        examples=len(given),
        usable=len(rows),
        dropped=dropped,
        longest=lengths[0],
        trained_share=sum(row.trained_tokens for row in rows) / sum(lengths),
        stand_ins=examples is None,
        keeps_reasoning=encoder.keeps_reasoning(),
        memory=_memory(recipe, lengths),
        proofs=proofs,
    )


def _check_settings(recipe: Recipe, rows: list[Encoded]) -> None:
    """The batches, the launch and what is passed through to the libraries."""
    from unwaver.training import settings

    student, chosen = recipe.models["student"], recipe.train
    out = hold_out(rows, chosen.heldout, recipe.seed)
    work = Work(student=student, train=chosen, seed=recipe.seed, rows="", heldout=out, probed=[])
    launch.check(chosen)
    settings.check(work, training_plan(work, rows, chosen.processes))


def _memory(recipe: Recipe, lengths: list[int]) -> float | None:
    """With the longest examples in one forward pass; sharded as the launch says."""
    import torch

    shape, settings = load_shape(recipe.models["student"]), recipe.train
    if shape is None:
        return None
    sharding = settings.launch_config if settings.launch_config in launch.SHIPPED else "none"
    needed = estimate(
        shape,
        settings,
        lengths[: settings.micro_batch],
        processes=settings.processes,
        sharding=cast(Sharding, sharding),
        on_cpu=not torch.cuda.is_available(),
    )
    return needed.total


def stand_ins(recipe: Recipe) -> list[Example]:
    """One made-up example for each part of the mix, as its recipe would write it."""
    tags = FAMILIES[recipe.models["student"].tags]
    reply = render("The request is harmless, so I will answer it.", "Here is the answer.", tags=tags)
    return [
        Example(
            prompt=part,
            trace=None,
            user=f"A prompt of the part {part}.",
            spans=(Span(text=reply, trained=True),),
            part=part,
            kind=recipe.prompts[part].kind or "benign",
        )
        for part in recipe.parts()
    ]


def run(recipe: Recipe, examples: Path | None = None, whole: bool = True) -> None:
    """Print a recipe's page, over the examples of a mix where its file is given; the head alone if not `whole`."""
    found = check_student(recipe, None if examples is None else list(read_records(examples, Example)))
    console = Console(soft_wrap=True, highlight=False)
    for line in _head(found, console.is_terminal):
        console.print(Text(line))
    for proof in found.proofs if whole else []:
        console.print()
        console.rule(
            Text(f"part {proof.part}: {proof.tokens} tokens, {proof.trained_tokens} trained, ends with {proof.end}"),
            align="left",
            characters="-",
        )
        console.print(_coloured(proof) if console.is_terminal else Text(visible(proof.text)))


def _head(found: Checked, coloured: bool) -> list[str]:
    dropped = ", ".join(f"{count} {why}" for why, count in found.dropped.items()) or "none"
    opened = found.proofs[0].opened
    lines = [
        f"student {found.student}: its template "
        + ("opens the reasoning block itself" if opened else "leaves the opening tag to the reply"),
        f"{found.usable} of {found.examples} examples usable; dropped: {dropped}; longest {found.longest} tokens; "
        f"{found.trained_share:.0%} of all tokens are trained",
        *(
            [f"training needs about {found.memory / 1e9:.1f} GB in each process, beside the libraries themselves"]
            if found.memory is not None
            else []
        ),
        "the loss is on the reasoning, the closing tag, the answer and the end token, and not on the prompt",
    ]
    if found.stand_ins:
        lines.append("there is no mix yet: these examples are stand-ins, one for each part")
    if not found.keeps_reasoning:
        lines.append(
            "note: this chat template drops the reasoning of an assistant turn; a trainer that is handed whole "
            "conversations would never train on it (here it is not handed any)"
        )
    lines.append("context is dim, trained text is bright" if coloured else "trained text is between ⟦ and ⟧")
    return lines


def _coloured(proof: Proof) -> Text:
    return Text.assemble(*((visible(text), "bold green" if trained else "dim") for text, trained in proof.segments))
