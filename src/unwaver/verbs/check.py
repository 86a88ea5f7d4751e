"""`unwaver check RECIPE`: what a recipe would do, before anything is spent.

Names resolve, sources can be read, every student's template keeps what is to be learned, and how many calls are owed.
Loads tokenizers, never weights.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unwaver.errors import EXIT_DONE
from unwaver.records import digest
from unwaver.stages.mix import EXAMPLES
from unwaver.stages.prompts import gather
from unwaver.study.plan import Plan
from unwaver.study.run import owed
from unwaver.verbs import add_recipe, open_recipe

if TYPE_CHECKING:
    from rich.console import Console


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
        _students(work, root, console)
    return EXIT_DONE


def _students(work: list[Plan], root: Path, console: Console) -> None:
    """Check every student with everything it is to be trained on, once however many arms share it, and print the first
    of each student whole. What is trained on is the finished mix, or one stand-in for each part.
    """
    from unwaver.stages.check import run as check_student

    shared: dict[str, list[Plan]] = {}
    for plan in work:
        if plan.recipe.parts():
            shared.setdefault(_training(plan, root), []).append(plan)
    if not shared:
        console.print("nothing is trained: the mix has no parts")
    shown: set[str] = set()
    for plans in shared.values():
        first = plans[0]
        more = f" and {len(plans) - 1} more" if len(plans) > 1 else ""
        console.print(f"\ntraining in arm {first.arm}{more}:")
        student = digest(first.recipe.models["student"].identity())
        check_student(first.recipe, _examples(first, root), whole=student not in shown)
        shown.add(student)


def _examples(plan: Plan, root: Path) -> Path | None:
    """The examples of a finished mix."""
    return plan.mix.directory(root) / EXAMPLES if plan.mix.manifest(root) is not None else None


def _training(plan: Plan, root: Path) -> str:
    """What two arms have in common whose students are to be checked once: student, settings, examples."""
    recipe = plan.recipe
    student, settings = recipe.models["student"].identity(), recipe.train.model_dump(mode="json")
    return digest([student, settings, str(_examples(plan, root)), recipe.parts(), recipe.max_failed])


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
