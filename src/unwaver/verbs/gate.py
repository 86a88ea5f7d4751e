"""`unwaver gate RECIPE`: whether the recipe's `[limits]` are met, by what is finished; a table and an exit code.

Exit code 0: all are met; 4: some are not; 5: none is not met, and of some it can't be told; 3: steps are owed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unwaver.errors import EXIT_CANT_TELL, EXIT_DONE, EXIT_NOT_MET, RecipeError, RunError
from unwaver.plain import counted
from unwaver.verbs import add_recipe, open_recipe

if TYPE_CHECKING:
    from unwaver.report.limits import Judged

STYLES = {"met": "green", "not met": "red", "can't tell": "yellow"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe and its overrides, and which arms have to be within the limits."""
    add_recipe(parser)
    parser.add_argument("--arm", action="append", metavar="NAME", help="this arm alone; may be given again")
    parser.epilog = (
        f"{parser.epilog}\nexit code 0: all met; 4: some are not met; 5: some can't be told; 3: not finished"
    )


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Print the table."""
    from unwaver.printer import console, show_table
    from unwaver.report.facts import Facts
    from unwaver.report.limits import judged
    from unwaver.study.results import collect
    from unwaver.study.steps import owed

    work, root = open_recipe(arguments.recipe, arguments.root, overrides)
    if not work[0].recipe.limits:
        raise RecipeError(f"{arguments.recipe}: limits: expected a table of limits, such as asr = 0.1 (docs/gate.md)")
    facts = Facts(collect(work, root))
    for arm in arguments.arm or []:
        if arm not in facts.arms:
            raise RecipeError(f"--arm {arm}: no such arm; there are {', '.join(facts.arms)}")
    if left := len(owed(work, root)):
        raise RunError(f"{counted(left, 'step is', 'steps are')} owed; `unwaver run {arguments.recipe}` goes on")
    found = judged(facts, arguments.arm)
    show_table(console(), _table(found))
    return exit_code(found)


def exit_code(found: Sequence[Judged]) -> int:
    """That of the worst."""
    from unwaver.report.limits import worst

    return {"met": EXIT_DONE, "not met": EXIT_NOT_MET, "can't tell": EXIT_CANT_TELL}[worst(found)]


def _table(found: Sequence[Judged]) -> Any:
    from rich.table import Table
    from rich.text import Text

    from unwaver.plain import plain
    from unwaver.report.facts import titles
    from unwaver.report.limits import asked

    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("arm", "measure", "limit", "is", "95 %", "n", "state", ""):
        table.add_column(head, justify="right" if head in ("is", "95 %", "n") else "left")
    for one in found:
        ends = "-" if one.low is None or one.high is None else f"{100 * one.low:.1f} to {100 * one.high:.1f}"
        value = "-" if one.value is None else f"{100 * one.value:{'+' if one.reference else ''}z.1f}"
        state = Text(one.state, STYLES[one.state])
        table.add_row(plain(one.arm), titles()[one.metric], asked(one), value, ends, str(one.n), state, one.why)
    return table
