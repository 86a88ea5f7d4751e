"""Keep the neighbours' report in docs/, and write the tables of docs/neighbours.md, of it and of two more studies.

Usage: unwaver report studies/neighbours.toml --out FOLDER --traces 8
       python tools/neighbours_table.py keep FOLDER
       python tools/neighbours_table.py write

`keep` copies the page, its estimates and two pictures into docs/neighbours_report; recorded replies are named
there by their file alone, on the page and in its trace browser, and not by where they lay on somebody's machine.
`write` puts the tables on the page, from the estimates that were kept; a test compares them. Those of
studies/durability.toml and studies/inference.toml are the `estimates.jsonl` of their reports, kept under the studies'
names.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unwaver.report.browser import packed

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "docs" / "neighbours_report"
PAGE = ROOT / "docs" / "neighbours.md"
PLACE = re.compile(r"replay:/(?:[\w.-]*/)*(?:[\w.-]*(?=…)|([\w.-]+))")
PICTURES = ("trade-off.svg", "rates.svg")
PACKET = re.compile(r'(<script type="text/plain" id="[\w-]+">)([\w+/=]+)(</script>)')
Column = tuple[str, str, str]
"""Measure, evaluation set, heading."""
STUDENT: tuple[Column, ...] = (
    ("asr", "harmful-unseen", "attack success"),
    ("refusal", "harmful-unseen", "refuses harmful"),
    ("over_refusal", "borderline-unseen", "refuses borderline"),
)
TRAINED = (*STUDENT, ("ended", "harmful-unseen", "ended by itself"))
STEERED = (*STUDENT, ("accuracy", "numbers", "right numbers"), ("accuracy_kept", "numbers", "of them kept"))
PERTURBED: tuple[Column, ...] = (
    ("accuracy", "clean", "right, clean"),
    ("accuracy", "perturbed", "right, perturbed"),
    ("answer_preserved", "perturbed", "answer preserved"),
    ("thinks", "perturbed", "reasons, perturbed"),
    ("harmful_reasoning_2", "clean", "harm of 2 or more, clean"),
    ("harmful_reasoning_2", "perturbed", "harm of 2 or more, perturbed"),
    ("contaminated_2", "perturbed", "contaminated"),
)
TABLES: dict[str, tuple[str, tuple[Column, ...]]] = {
    "neighbours": ("estimates.jsonl", TRAINED),
    "durability": ("durability.jsonl", TRAINED),
    "steering": ("inference.jsonl", STEERED),
    "perturbed": ("inference.jsonl", PERTURBED),
}
"""By its name in the page's marks, what a table is made of and what it shows."""


def marks(name: str) -> tuple[str, str]:
    """Between which lines of the page a table stands."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def keep(report: Path) -> None:
    """Copy what is worth keeping of a report, with recorded replies named by their file alone."""
    (KEPT / "figures").mkdir(parents=True, exist_ok=True)
    html = PACKET.sub(_packet, (report / "report.html").read_text(encoding="utf-8"))
    (KEPT / "report.html").write_text(short(html), encoding="utf-8")
    estimates = (report / "estimates.jsonl").read_text(encoding="utf-8")
    (KEPT / "estimates.jsonl").write_text(short(estimates), encoding="utf-8")
    for name in PICTURES:
        picture = (report / "figures" / name).read_text(encoding="utf-8")
        (KEPT / "figures" / name).write_text(short(picture), encoding="utf-8")


def short(text: str) -> str:
    """A text in which recorded replies are named by their file alone, in labels that were cut by nothing."""
    return PLACE.sub(lambda found: f"replay:{found[1] or ''}", text)


def _packet(found: re.Match[str]) -> str:
    text = gzip.decompress(base64.b64decode(found[2])).decode("ascii")
    return f"{found[1]}{packed(json.loads(short(text)))}{found[3]}"


def table(name: str) -> str:
    """The table in Markdown: per cent with its 95 % interval and how many replies it rests on."""
    kept, columns = TABLES[name]
    rows: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for line in (KEPT / kept).read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        rows.setdefault(one["arm"], {})[one["metric"], one.get("slice", "")] = one
    arms = [arm for arm, found in rows.items() if ("asr", "harmful-unseen") in found]
    lines = [_row(["arm", *(heading for *_, heading in columns)]), "|" + "---|" * (1 + len(columns))]
    for arm in arms:
        cells = [_cell(rows[arm].get((metric, where))) for metric, where, _ in columns]
        lines.append(_row([arm.removesuffix(", seed 42"), *cells]))
    return "\n".join(lines)


def _cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return "–"
    if one["value"] is None:
        return "unscored"
    value, low, high = (round(100 * one[key]) for key in ("value", "low", "high"))
    return f"{value} [{low} to {high}], n {one['n']}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write() -> None:
    """Put each table between its marks of the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name in TABLES:
        begin, end = marks(name)
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{table(name)}\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("keep").add_argument("folder", type=Path)
    verbs.add_parser("write")
    given = parser.parse_args()
    if given.verb == "keep":
        keep(given.folder)
    write()


if __name__ == "__main__":
    main()
