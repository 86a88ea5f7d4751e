"""`unwaver check RECIPE`: what a recipe would do, before anything is spent.

Names resolve, sources can be read, the student's template keeps what is to be learned, and how many calls are owed.
Loads a tokenizer, never weights.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE
from unwaver.stages.prompts import gather
from unwaver.study.plan import Plan
from unwaver.study.run import owed
from unwaver.verbs import add_recipe, open_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe and its overrides."""
    add_recipe(parser)
    parser.add_argument("--no-student", action="store_true", help="leave the student's tokenizer and template alone")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Print what is found; RecipeError for the first thing that is wrong."""
    from rich.console import Console

    work, root = open_recipe(arguments.recipe, arguments.root, overrides)
    console = Console(highlight=False, markup=False)
    sizes = _prompt_sets(work)
    console.print(f"{arguments.recipe}: {len(work)} arm(s): {', '.join(plan.arm for plan in work)}")
    for name, size in sizes.items():
        console.print(f"  prompts {name}: {size}")
    for line in _owed(work, root, sizes):
        console.print(line)
    if not arguments.no_student:
        from unwaver.stages.check import run as check_student

        check_student(work[0].recipe)
    return EXIT_DONE


def _prompt_sets(work: list[Plan]) -> dict[str, int]:
    """How many prompts each set holds; reading them is the check."""
    return {name: len(gather(plan.recipe.prompts[name])) for plan in work for name in plan.prompts}


def _owed(work: list[Plan], root: Path, sizes: dict[str, int]) -> list[str]:
    """What is left to be done, with the number of calls to models where it is known beforehand."""
    calls: Counter[str] = Counter()
    steps: Counter[str] = Counter()
    for step, recipe in owed(work, root):
        steps[step.stage] += 1
        if step.stage == "distil" and step.settings["instruction"] != "none":
            calls[step.stage] += sizes[step.name] * recipe.distil.samples
        elif step.stage == "evaluate":
            entry = recipe.evaluate.sets[step.name]
            calls[step.stage] += sizes[entry.prompts or step.name] * entry.samples
    if not steps:
        return [f"  nothing is owed under {root}"]
    lines = [f"  owed under {root}:"]
    for stage, count in steps.items():
        of_models = f", {calls[stage]:,} calls" if calls[stage] else ""
        lines.append(f"    {stage}: {count} step(s){of_models}")
    return lines
