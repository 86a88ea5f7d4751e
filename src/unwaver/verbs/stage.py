"""`unwaver prompts|distil|judge|mix|train|evaluate RECIPE`: one stage of a recipe."""

from __future__ import annotations

import argparse
from typing import Any

from unwaver.errors import EXIT_DONE
from unwaver.study.run import do
from unwaver.verbs import add_recipe, open_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe and its overrides."""
    add_recipe(parser)


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Do the stage's owed steps for every arm; print their directories."""
    work, root = open_recipe(arguments.recipe, arguments.root, overrides)
    do(work, root, ("mix", "overlap") if verb == "mix" else (verb,))
    for directory in dict.fromkeys(step.directory(root) for arm in work for step in arm.steps() if step.stage == verb):
        print(directory)
    return EXIT_DONE
