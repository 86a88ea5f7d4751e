"""Check: what the student would be trained on, token by token, before anything is trained.

Reads the recipe, the student's tokenizer and, where there is one, the mix's `examples.jsonl`; loads no weights and
writes nothing but the page it prints. What training would refuse to start with, this refuses too, but for what depends
on the weights or on the GPUs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from rich.text import Text

from unwaver.models.chat import found_for
from unwaver.plain import plain, visible
from unwaver.printer import console as opened
from unwaver.reasoning import AUTO, THINK, Family, render, split
from unwaver.recipe import ModelSettings, Recipe
from unwaver.records import Example, Span
from unwaver.stages.distil import taught_by
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
    family: Family
    """The marks its replies are written with."""
    found: str
    """How the family was found."""
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
    loss: str
    """What the loss is on, and which weights it moves."""
    proofs: list[Proof]
    harmful: frozenset[str]
    """The parts with an example for a harmful request: their texts are masked until they are asked for."""

    def masked(self, proof: Proof) -> bool:
        """Whether this proof is one of them."""
        return proof.part in self.harmful


def check_student(recipe: Recipe, examples: list[Example] | None = None) -> Checked:
    """Encode the examples for the recipe's student, or one stand-in for each part; RecipeError with the first fault."""
    encoder = load_encoder(recipe.models["student"])
    given = examples if examples is not None else stand_ins(recipe)
    rows, proofs, dropped = choose(given, encoder, recipe)
    _check_settings(recipe, rows)
    lengths = sorted((row.longest for row in rows), reverse=True)
    return Checked(
        student=encoder.name,
        family=encoder.tags,
        found=encoder.found,
        examples=len(given),
        usable=len(rows),
        dropped=dropped,
        longest=lengths[0],
        trained_share=sum(row.trained_tokens for row in rows) / sum(row.tokens for row in rows),
        stand_ins=examples is None,
        keeps_reasoning=encoder.keeps_reasoning(),
        memory=_memory(recipe, lengths),
        loss=f"the loss {PAIRED if recipe.train.method == 'dpo' else WHOLE}; "
        f"{'an adapter is' if recipe.train.adapters else 'all weights are'} trained",
        proofs=proofs,
        harmful=frozenset(one.part for one in examples or [] if one.kind == "harmful"),
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
        [length for length in lengths[: settings.micro_batch] for _ in range(1 + (settings.method == "dpo"))],
        processes=settings.processes,
        sharding=cast(Sharding, sharding),
        on_cpu=not torch.cuda.is_available(),
    )
    return needed.total


def stand_ins(recipe: Recipe) -> list[Example]:
    """One made-up example for each part of the mix, as its recipe would write it."""
    thought = "The request is harmless, so I will answer it."
    reply, begun = render(thought, "Here is the answer."), f"{THINK.render_open}{thought}"
    worse = render("The request is harmless, or is it? I may as well refuse.", "No.")
    return [
        Example(
            prompt=part,
            trace=None,
            user=f"A prompt of the part {part}.",
            spans=(Span(text=begun if taught_by(recipe, part).begun else reply, trained=True),),
            part=part,
            kind=recipe.prompts[part].kind or "benign",
            begun=taught_by(recipe, part).begun,
            rejected=worse if part in recipe.mix.rejected else None,
        )
        for part in recipe.parts()
    ]


def run(recipe: Recipe, examples: Path | None = None, whole: bool = True, reveal: bool = False) -> None:
    """Print a recipe's page, over the examples of a mix where its file is given; the head alone if not `whole`.

    Of an example for a harmful request only the marks are printed, unless `reveal`: no verdict on it is at hand.
    """
    found = check_student(recipe, None if examples is None else list(read_records(examples, Example)))
    if reveal:
        found = replace(found, harmful=frozenset())
    console = opened()
    for line in _head(found, console.is_terminal):
        console.print(Text(line))
    for proof in found.proofs if whole else []:
        console.print()
        ends = f"ends with {proof.end}" if proof.end else "is only begun"
        head = f"part {proof.named}: {proof.tokens} tokens, {proof.trained_tokens} trained, {ends}"
        console.print(Text(f"-- {plain(head)} --"))
        shown = _marks_alone(proof) if found.masked(proof) else proof
        console.print(_coloured(shown) if console.is_terminal else Text(visible(shown.text)))
    if whole:
        console.print()
        for line in _read_back(found):
            console.print(Text(line))


_MARK = re.compile(r"(<[^<>\s]{1,40}>)")
"""A template's mark (`<|im_start|>`, `</think>`)."""


def _marks_alone(proof: Proof) -> Proof:
    """A proof with everything masked that is no mark, so that what is trained can be seen and nothing be read."""
    return replace(proof, segments=[(_without_prose(text), trained) for text, trained in proof.segments])


def _without_prose(text: str) -> str:
    pieces = _MARK.split(text)  # a mark at every odd place
    return "".join(
        piece.replace(piece.strip(), _masked(piece.strip()), 1) if place % 2 == 0 and piece.strip() else piece
        for place, piece in enumerate(pieces)
    )


def _masked(text: str) -> str:
    return f"[masked: {len(text):,} characters; --reveal shows them]"


def described(role: str, model: ModelSettings, look: bool = True) -> str:
    """A line about a model's family of reasoning marks; RecipeError where a local one's template can't be had.

    `look` False: the templates of local models are left alone.
    """
    begin = f"  {role} {model.label}{f' at {model.base_url}' if model.base_url else ''}: "
    if not look and model.door in ("hf", "vllm") and model.tags == AUTO:
        return f"{begin}replies are read by their own marks; its template was not looked at"
    family, how = found_for(model)
    read = "replies are read by their own marks" if model.tags == AUTO else "other marks are told of, not read"
    return f"{begin}{f'family `{family.name}` ({how})' if family else how}; {read}"


WHOLE = "is on the reasoning, the closing tag, the answer and the end token, and not on the prompt"
PAIRED = "weighs a chosen reply against a rejected one, from the first token in which they differ to their ends"

SHOWN = 200
"""Characters of a reply's pieces that are shown."""


def _read_back(found: Checked) -> list[str]:
    """An example's reply, as evaluation would read it: the first that may be shown."""
    proof = next((one for one in found.proofs if not found.masked(one)), found.proofs[0])
    told: Callable[[str], str] = _masked if found.masked(proof) else _begin
    read = split(proof.reply, proof.opened)
    marks = {"opening mark": read.opener, "closing mark": read.closer}
    texts = {"reasoning": read.thought, "answer": read.said, "after it": read.after}
    shown = {name: _begin(text) for name, text in marks.items() if text}
    shown |= {name: told(text) for name, text in texts.items() if text}
    order = ("opening mark", "reasoning", "closing mark", "answer", "after it")
    name = read.family.name if read.family else "none"
    return [
        f"such a reply is read back as (family `{name}`, block {read.block}):",
        *(f"  {what:<13} {shown[what]}" for what in order if what in shown),
    ]


def _begin(text: str) -> str:
    """The begin of a text on one line."""
    text = visible(text.strip())
    return f"{text[:SHOWN]} ..." if len(text) > SHOWN else text


def _head(found: Checked, coloured: bool) -> list[str]:
    dropped = ", ".join(f"{count} {why}" for why, count in found.dropped.items()) or "none"
    opened = found.proofs[0].opened
    lines = [
        f"student {found.student}: family `{found.family.name}` ({found.found}); its template "
        + ("opens the reasoning block itself" if opened else "leaves the opening tag to the reply"),
        f"{found.usable} of {found.examples} examples usable; dropped: {dropped}; longest {found.longest} tokens; "
        f"{found.trained_share:.0%} of all tokens are trained",
        *(
            [f"training needs about {found.memory / 1e9:.1f} GB in each process, beside the libraries themselves"]
            if found.memory is not None
            else []
        ),
        found.loss,
    ]
    if begun := ", ".join(proof.part for proof in found.proofs if not proof.end):
        lines.append(f"but of {begun} it is on the first words of the reasoning alone, and nothing ends the reply")
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
