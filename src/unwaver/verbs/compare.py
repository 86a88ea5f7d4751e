"""`unwaver compare RUN RUN`: two finished evaluations on the same prompts, measure by measure.

Reads two directories of the stage `evaluate`; prints one table on stdout: both rates, the paired difference with its
interval, p as it is and corrected by Holm over the table, the word, and what these prompts could show at all. The
first run is what is compared with, the second what the word speaks of.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE, RecipeError
from unwaver.store import read_manifest, read_records


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two run directories."""
    parser.add_argument(
        "first", type=Path, metavar="RUN", help="a finished directory of the stage evaluate: what is compared with"
    )
    parser.add_argument(
        "second", type=Path, metavar="RUN", help="another, on the same prompts: what the verdict speaks of"
    )


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Print the table."""
    from unwaver.report.terminal import comparison_table, console

    sides = [_evaluated(path) for path in (arguments.first, arguments.second)]
    rows, notes = _compared(*sides)
    names = {"A": sides[0]["name"], "B": sides[1]["name"]}
    out = console()
    out.print(comparison_table(rows, names), soft_wrap=False)
    for note in notes:
        out.print(note, markup=False)
    return EXIT_DONE


def _evaluated(path: Path) -> dict[str, Any]:
    """A run's name and its outcomes; RecipeError where it is no finished evaluation."""
    from unwaver.records import Trace, Verdict
    from unwaver.stages.distil import TRACES
    from unwaver.stages.judge import VERDICTS
    from unwaver.study.results import Row, outcomes, readings

    if not path.is_dir():
        raise RecipeError(f"{path}: there is no such directory; expected a run like runs/NAME/evaluate-1a2b3c4d")
    manifest = read_manifest(path)
    if manifest is None or manifest.get("stage") != "evaluate":
        begun = (path / "config.json").is_file()
        what = "is not finished" if begun else "is no run of a stage"
        what = what if manifest is None else f"is a run of the stage {manifest.get('stage')}"
        there = [f"{one.name} ({_set(one)})" for one in sorted(path.glob("evaluate-*")) if read_manifest(one)]
        hint = f"; it holds {', '.join(there)}" if there else ""
        raise RecipeError(f"{path}: {what}; expected a finished run of evaluate{hint}")
    by_trace = readings(read_records(path / VERDICTS, Verdict))
    rows = [
        Row(path.name, str(manifest["name"]), t, by_trace.get(t.id, {})) for t in read_records(path / TRACES, Trace)
    ]
    return {
        "name": f"{path.name}: {manifest.get('model')} on {manifest.get('set')}",
        "short": path.name,
        "set": manifest.get("set"),
        "outcomes": outcomes(rows),
    }


def _set(path: Path) -> str:
    manifest = read_manifest(path) or {}
    return f"{manifest.get('model')} on {manifest.get('set')}"


def _compared(a: dict[str, Any], b: dict[str, Any]) -> tuple[list[Any], list[str]]:
    """The comparisons of every measure both runs have, and what must be said of them."""
    from unwaver.report.facts import compared
    from unwaver.study.compare import corrected
    from unwaver.study.stats import rate

    shared = [metric for metric in a["outcomes"] if metric in b["outcomes"]]
    prompts = {m: a["outcomes"][m].keys() & b["outcomes"][m].keys() for m in shared}
    if not any(prompts.values()):
        raise RecipeError(
            f"{a['short']} and {b['short']} share no prompt ({a['set']}, {b['set']}); they need the same ones"
        )
    found = corrected(
        [
            compared({0: a["outcomes"][m]}, {0: b["outcomes"][m]}, (m, str(a["set"]), a["short"], b["short"]))
            for m in shared
        ]
    )
    rates = [tuple(rate(side["outcomes"][m], m, side["short"]) for side in (a, b)) for m in shared]
    notes = []
    if a["set"] != b["set"]:
        notes.append(f"The sets are {a['set']} and {b['set']}; only the prompts they share are paired.")
    notes.append(
        "Differences are B minus A in percentage points on the same prompts. The word speaks of B, after Holm over "
        "this table; least is the smallest difference these prompts would show four times in five."
    )
    return list(zip(found, rates, strict=True)), notes
