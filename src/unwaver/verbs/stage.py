"""`unwaver prompts|distil|judge|mix|train|evaluate RECIPE`: one stage of a recipe."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE
from unwaver.printer import put
from unwaver.sources import SOURCES
from unwaver.store import Step
from unwaver.study.run import do
from unwaver.study.steps import reads_student
from unwaver.verbs import add_engine, add_recipe, in_section, open_recipe, own_settings

WITH = {"mix": ("mix", "overlap"), "train": ("overlap", "train"), "evaluate": ("overlap", "evaluate")}
"""What else a verb does: the leak check comes after every mix, and before whatever it may forbid."""


def wanted(verb: str, step: Step, root: Path) -> bool:
    """Whether a verb does a step: `judge` reads teachers' traces, and students' as far as they are there; `evaluate`
    has what it asked read.
    """
    if reads_student(step):
        return verb == "evaluate" or (verb == "judge" and step.inputs["traces"].manifest(root) is not None)
    return step.stage in WITH.get(verb, (verb,))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe and its overrides."""
    add_recipe(parser)
    add_engine(parser)
    parser.epilog = (
        f"{parser.epilog}\nthe stage's own settings need no dots: `--keep X` of mix is `--mix.keep X`, "
        "`--max-tokens 512` of evaluate is `--evaluate.max_tokens 512`"
    )
    if parser.prog.endswith(" prompts"):
        listed = "\n".join(f"  {source.name}: {source.title}" for source in SOURCES.values())
        parser.epilog = f"{parser.epilog}\n\nsources:\n{listed}\n  file: a file of your own"
    if own := own_settings(parser.prog.rpartition(" ")[2]):
        parser.epilog = "\n".join([parser.epilog, "", "its own settings:", *own])


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Do the stage's owed steps for every arm; print their directories."""
    work, root = open_recipe(arguments.recipe, arguments.root, in_section(verb, overrides))
    do(work, root, lambda step: wanted(verb, step, root), arguments.engine)
    every = [step for arm in work for step in arm.steps() if wanted(verb, step, root) and step.stage == verb]
    for directory in dict.fromkeys(step.directory(root) for step in every):
        put(directory)
    return EXIT_DONE
