"""`unwaver rethink RECIPE`: where along their reasonings students settle on refusing, by going on from cuts of them.

Reads what is evaluated of a recipe; each arm and set has a directory of its own beside it (`rethink-1a2b3c4d`), whose
ledger asks nothing twice. Prints a table on stdout, or with `--json` the estimates, one a line (docs/statistics.md);
the recipe's report has them from then on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unwaver.errors import EXIT_DONE, RecipeError, RunError
from unwaver.printer import put
from unwaver.progress import say
from unwaver.verbs import add_recipe, open_recipe

if TYPE_CHECKING:
    from rich.table import Table

    from unwaver.records import Estimate

K, TRACES = 8, 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe, which of its arms and sets, how often and how."""
    add_recipe(parser)
    parser.add_argument("--k", type=int, default=K, metavar="N", help=f"replies from each cut (default: {K})")
    parser.add_argument(
        "--traces", type=int, default=TRACES, metavar="N", help=f"traces of each arm and set (default: {TRACES})"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME", help="this evaluation set alone")
    parser.add_argument("--arm", action="append", default=[], metavar="NAME", help="this arm alone; `raw` is one")
    parser.add_argument(
        "--close", action="store_true", help="close the reasoning at the cut, so that the student answers at once"
    )
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="default: the evaluation's own; 0.6 where that is 0"
    )
    parser.add_argument("--json", action="store_true", help="print the estimates as lines of JSON")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Ask what is owed, and print what it comes to."""
    for flag in ("k", "traces"):
        if getattr(arguments, flag) < 1:
            raise RecipeError(f"--{flag} {getattr(arguments, flag)}: expected 1 or more")
    if arguments.temperature is not None and arguments.temperature <= 0:
        raise RecipeError(f"--temperature {arguments.temperature:g}: expected a number above 0, or all replies are one")
    from unwaver.stages import rethink
    from unwaver.stages.calls import Workplace
    from unwaver.study.rethought import MEANS, Wanted, owing

    work, root = open_recipe(arguments.recipe, arguments.root, overrides)
    how = {key: getattr(arguments, key) for key in ("k", "traces", "close", "temperature")}
    wanted = owing(work, Wanted(sets=tuple(arguments.set), arms=tuple(arguments.arm), **how))
    ready = [one for one in wanted if one.step.inputs["traces"].manifest(root) is not None]
    if not ready:
        raise RunError(f"none of {len(wanted)} evaluations is finished; `unwaver run {arguments.recipe}` makes them")
    for one in wanted:
        if one not in ready:
            say(f"{one.step.name}: not evaluated yet; left out")
    place = Workplace(root)
    try:
        for one in ready:
            if one.step.manifest(root) is None:
                say(f"{verb} {one.step.name} ({one.step.directory(root).name})")
                rethink.run(one.step, one.recipe, place)
    finally:
        place.close()
    found = [estimate for one in ready for estimate in one.estimates(root)]
    if arguments.json:
        for estimate in found:
            put(estimate.model_dump_json())
        return EXIT_DONE
    from unwaver.printer import console, show_table

    out = console()
    show_table(out, _table(found))
    for told in _unscored(found):
        out.print(told)
    out.print(MEANS)
    return EXIT_DONE


def _table(found: Sequence[Estimate]) -> Table:
    from rich.table import Table

    from unwaver.plain import plain
    from unwaver.study.rethought import TITLES

    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("arm", "set", "traces", "unscored", *TITLES.values()):
        table.add_column(head, justify="left" if head in ("arm", "set") else "right")
    rows: dict[tuple[str, str], dict[str, Estimate]] = {}
    for one in found:
        rows.setdefault((one.arm, one.slice), {})[one.metric] = one
    for (arm, set_), by in rows.items():
        counted = by["locked"]
        cells = [_cell(by[metric]) for metric in TITLES]
        table.add_row(plain(arm), plain(set_), str(counted.n), str(counted.n_unscored), *cells)
    return table


def _cell(one: Estimate) -> str:
    """A value with its interval: shares in percent, changes as they are."""
    from unwaver.report.tables import NOTHING

    if one.value is None:
        return NOTHING
    times, digits, sign = (1, 1, "") if one.metric == "oscillation" else (100, 0, " %")
    told = f"{times * one.value:.{digits}f}{sign}"
    if one.low is None or one.high is None:
        return told
    return f"{told} ({times * one.low:.{digits}f} to {times * one.high:.{digits}f})"


def _unscored(found: Sequence[Estimate]) -> list[str]:
    """Why what is unscored is so, for each arm and set."""
    from unwaver.plain import plain

    told = [(one, one.method.partition("; ")[2]) for one in found if one.metric == "locked"]
    return [plain(f"{one.arm} on {one.slice}: {why}") for one, why in told if why]
