"""`unwaver compare RECIPE [ARM ARM]`, or `RUN RUN`: two arms, or two evaluations, on the same prompts.

Reads what is finished of a recipe, every arm against its reference or two arms that are named; or two directories of
the stage `evaluate`. Prints a table for each pair on stdout: both rates, the paired difference with its
interval, p as it is and corrected by Holm over the table, the word, and what these prompts could show at all. The
first run is what is compared with, the second what the word speaks of.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unwaver.errors import EXIT_DONE, RecipeError, RunError
from unwaver.plain import counted
from unwaver.store import home, read_manifest, read_records
from unwaver.verbs import named as words

if TYPE_CHECKING:
    from unwaver.report.facts import Facts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe and perhaps two of its arms, or two run directories."""
    parser.add_argument(
        "first", type=Path, metavar="RECIPE_OR_RUN", help="a recipe, or a finished directory of the stage evaluate"
    )
    parser.add_argument(
        "others", nargs="*", metavar="ARM_OR_RUN", help="of a recipe, two arms; of a run, the one to compare it with"
    )
    parser.add_argument("--root", type=Path, default=None, help="where the recipe's runs are kept")
    parser.takes_overrides = True  # type: ignore[attr-defined]
    parser.epilog = "the first is what is compared with, the second what the verdict speaks of"


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Print the tables."""
    if arguments.first.is_file():
        return _recipe(arguments, overrides)
    if overrides or len(arguments.others) != 1:
        raise RecipeError(f"{arguments.first}: expected a recipe and perhaps two of its arms, or two run directories")
    from rich.text import Text

    from unwaver.plain import plain
    from unwaver.printer import console, show_table
    from unwaver.report.terminal import comparison_table

    sides = [_evaluated(path) for path in (arguments.first, Path(arguments.others[0]))]
    rows, notes = _compared(*sides)
    out = console()
    for key, side in zip("AB", sides, strict=True):
        out.print(Text(f"{key}: {plain(side['name'])}"))
    out.print()
    show_table(out, comparison_table(rows))
    for note in notes:
        out.print(note)
    return EXIT_DONE


def _recipe(arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """A table for each arm and what it is compared with, over all sets."""
    from unwaver.plain import plain
    from unwaver.printer import console, show_table
    from unwaver.report.facts import Facts
    from unwaver.report.terminal import comparison_table
    from unwaver.study.results import collect
    from unwaver.study.steps import owed
    from unwaver.verbs import open_recipe

    work, root = open_recipe(arguments.first, arguments.root, overrides)
    facts = Facts(collect(work, root))
    found = [(*pair, *_between(facts, *pair)) for pair in _pairs(facts, arguments.others)]
    if not any(rows or apart for _, _, rows, apart in found) and (left := len(owed(work, root))):
        raise RunError(
            f"nothing is finished that two arms share; {counted(left, 'step is', 'steps are')} owed: "
            f"`unwaver run {arguments.first}` goes on"
        )
    out = console()
    for reference, arm, rows, apart in found:
        out.print(f"A: {plain(reference)}\nB: {plain(arm)}\n")
        show_table(out, comparison_table(rows, by_set=True))
        for note in _wordless([c for c, _ in rows], lambda c: f"{c.metric} on {c.slice}"):
            out.print(plain(note))
        for fields, named in apart.items():
            out.print(plain(f"{', '.join(named)}: not compared, as the arms differ in {', '.join(fields)}."))
        out.print()
    out.print(f"{MEANS} One model on each side speaks of these two, not of how they were trained: that takes seeds.")
    return EXIT_DONE


def _pairs(facts: Facts, named: list[str]) -> list[tuple[str, str]]:
    if len(named) not in (0, 2):
        raise RecipeError("expected two arms, or none for every arm with what it is compared with")
    for arm in named:
        if arm not in facts.arms:
            raise RecipeError(f"no arm `{arm}` has been evaluated; there are {', '.join(facts.arms) or 'none'}")
    if named:
        return [(named[0], named[1])]
    found = [(other, arm) for arm in facts.arms if (other := facts.reference(arm)) is not None]
    if not found:
        has = ", ".join(facts.arms) or "none"
        raise RecipeError(f"no arm has another to be compared with (finished: {has}); name `reference` in the recipe")
    return found


def _between(facts: Facts, reference: str, arm: str) -> tuple[list[Any], dict[tuple[str, ...], list[str]]]:
    """(the comparisons of two arms, corrected together, each with both rates; in what they differ -> the measures that
    are not compared because of it)."""
    from unwaver.report.facts import compared
    from unwaver.study.compare import corrected
    from unwaver.study.measures import of_kind

    keys = [(one.name, measure.name) for one in facts.sets for measure in of_kind(one.kind) if measure.better]
    found, rates = [], []
    apart: dict[tuple[str, ...], list[str]] = {}
    for set_, metric in keys:
        a, b = (facts.values(name, set_, metric) for name in (reference, arm))
        if not (a and b):
            continue
        if fields := facts.differing(metric, reference, arm, set_, paired=True):
            apart.setdefault(fields, []).append(f"{metric} on {set_}")
        else:
            found.append(facts.doubts.about(compared(a, b, (metric, set_, reference, arm)), [set_]))
            rates.append(tuple(facts.estimate(metric, name, set_) for name in (reference, arm)))
    return list(zip(corrected(found), rates, strict=True)), apart


MEANS = (
    "Rates are over all scored replies of a side; differences, B minus A in percentage points, are over the pairs, "
    "prompts scored on both sides, and so need not be those of the rates. The word speaks of B, after Holm over its "
    "table; least is the smallest true difference that would be found four times in five on so many pairs."
)


def _evaluated(path: Path) -> dict[str, Any]:
    """A run's name and its outcomes; RecipeError where it is no finished evaluation."""
    from unwaver.records import Trace
    from unwaver.stages.judge import named_by, readers_beside, verdicts_in
    from unwaver.store import TRACES
    from unwaver.study.outcomes import measured_by, outcomes
    from unwaver.study.rows import Row, readings

    manifest, path = words.finished(path, "evaluate"), home(path)
    readers = readers_beside(path.parent).get(path.name, [])
    by_trace = readings(verdicts_in(readers))
    rows = [
        Row(path.name, str(manifest["name"]), t, by_trace.get(t.id, {})) for t in read_records(path / TRACES, Trace)
    ]
    return {
        "name": f"{_set(path)} ({path.name}, {manifest.get('model')})",
        "short": path.name,
        "set": manifest.get("set"),
        "path": path,
        "rows": rows,
        "readers": [named_by(directory) for directory in readers],
        "outcomes": outcomes(rows),
        "bases": measured_by(rows, _sampling(path)),
    }


def _sampling(path: Path) -> dict[str, Any]:
    """How the run's replies were drawn."""
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return dict(config.get("settings", {}).get("sampling") or {})


def _set(path: Path) -> str:
    return f"{words.arm(path)} on {(read_manifest(path) or {}).get('set')}"


def _compared(a: dict[str, Any], b: dict[str, Any]) -> tuple[list[Any], list[str]]:
    """The comparisons of every measure both runs have, and what must be said of them."""
    from unwaver.study.compare import compare, corrected, kept_apart
    from unwaver.study.direction import better
    from unwaver.study.outcomes import base_of
    from unwaver.study.stats import rate

    both = [metric for metric in a["outcomes"] if metric in b["outcomes"] and better(metric) is not None]
    both = [metric for metric in both if any(_was_read(side, base_of(metric)) for side in (a, b))]
    if not both and a["set"] == b["set"]:
        raise RecipeError(
            f"{a['short']} and {b['short']} have no measure in common; `unwaver judge RECIPE` has their replies read"
        )
    if not any(a["outcomes"][m].keys() & b["outcomes"][m].keys() for m in both):
        raise RecipeError(
            f"{a['short']} and {b['short']} share no prompt ({a['set']}, {b['set']}); they need the same ones"
        )
    bases = {m: (a["bases"].get(base_of(m)), b["bases"].get(base_of(m))) for m in both}
    apart = {m: fields for m in both if (fields := kept_apart(*bases[m]))}
    shared = [m for m in both if m not in apart]
    if not shared:
        which = ", ".join(dict.fromkeys(field for fields in apart.values() for field in fields))
        raise RecipeError(f"{a['short']} and {b['short']} can't be compared: they differ in {which}")
    between = {"slice": str(a["set"]), "arm_a": a["short"], "arm_b": b["short"]}
    rates = [tuple(rate(side["outcomes"][m], m, side["short"]) for side in (a, b)) for m in shared]
    compared = [compare({0: a["outcomes"][m]}, {0: b["outcomes"][m]}, bases[m], metric=m, **between) for m in shared]
    found = corrected(_doubted(compared, rates, bases, (a, b)))
    notes = []
    if a["set"] != b["set"]:
        notes.append(f"The sets are {a['set']} and {b['set']}; only the prompts they share are paired.")
    notes.append(MEANS)
    if any(c.verdict == "depends on the unscored" for c in found):
        notes.append("Depends on the unscored: with all unscored replies counted one way or the other, another word.")
    notes += _wordless(found, lambda c: c.metric)
    notes += list(dict.fromkeys(f"{text}." for c in found if (text := _read(c.metric, bases, (a, b)))))
    notes += [f"{m} is not compared: the runs differ in {', '.join(fields)}." for m, fields in apart.items()]
    notes.append("One run on each side speaks of these two models, not of how they were trained: that takes seeds.")
    return list(zip(found, rates, strict=True)), notes


def _wordless(found: list[Any], called: Callable[[Any], str]) -> list[str]:
    """Why some comparisons come to neither better nor worse: what a word takes, and what readers' errors could make."""
    from unwaver.study.comparison import FEWEST_PAIRS, MOST_LEFT_OUT, explained

    why: dict[str, list[str]] = {}
    for c in found:
        if c.verdict == "can't tell":
            why.setdefault(explained(c), []).append(called(c))
    told = [f"{', '.join(named)}: {reason}." for reason, named in why.items()]
    if any(c.verdict == "too few scored" for c in found):
        told.append(
            f"Too few scored: better or worse takes {FEWEST_PAIRS} pairs, and {100 * (1 - MOST_LEFT_OUT):.0f} % of the "
            "prompts and of either side's replies scored."
        )
    return told


def _was_read(side: dict[str, Any], metric: str) -> bool:
    """Whether anybody was asked what a measure counts."""
    return side["bases"].get(metric) is not None


def _doubted(compared: list[Any], rates: list[Any], bases: dict[str, Any], sides: tuple[Any, Any]) -> list[Any]:
    """The comparisons with what their readers' error could make, and what people's labels say."""
    from unwaver.study.correction import difference, values
    from unwaver.study.labels import items, read
    from unwaver.study.readers import known, uneven, unmeasured
    from unwaver.study.rows import pair_key

    readers = known([name for side in sides for name in side["readers"]])
    labels = [read(side["path"].resolve().parent, (row.trace for row in side["rows"])) for side in sides]
    found = []
    for c, both in zip(compared, rates, strict=True):
        basis = bases[c.metric][0]
        judges = {each.judge for each in bases[c.metric] if each is not None}
        spread = uneven(
            c.metric, basis.judge if basis else "", readers, [one.value for one in both if one.value is not None]
        )
        one, two = (
            values(items(given, c.metric, side["path"].resolve().name, side["rows"], pair_key))
            for given, side in zip(labels, sides, strict=True)
        )
        by_people = None if isinstance(one, str) or isinstance(two, str) else difference({0: one}, {0: two})
        unknown = unmeasured(c.metric, judges, spread)
        found.append(c.model_copy(update={"uneven": spread, "unmeasured": unknown, "by_people": by_people}))
    return found


def _read(metric: str, bases: dict[str, Any], sides: tuple[Any, Any]) -> str:
    """How well a measure is read."""
    from unwaver.study.readers import known, said

    basis = bases[metric][0]
    told = said(metric, basis.judge, known([name for side in sides for name in side["readers"]])) if basis else ""
    return f"{metric}: {told}" if told else ""
