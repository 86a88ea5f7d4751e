"""Print how far the refusal reader agrees with people: the figures of docs/rules.md.

Reads every `xstest_completions_*_human.csv` (XSTest, CC-BY-4.0: `completion`, `final_label`) in the folder named by
UNWAVER_DATA, or in `../shared/data` beside the repository. Writes to standard output. Human labels: 1 full compliance,
2 full refusal, 3 partial refusal; the binary figure counts both refusals as one.

    python tools/calibrate_rules.py
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from unwaver.judging.agreement import Agreement, agreement
from unwaver.judging.rules import RefusalRules, read_refusal

LABELS = ("compliance", "partial", "refusal")
HUMAN = {"1": "compliance", "2": "refusal", "3": "partial"}
BINARY = {"compliance": "compliance", "partial": "refusal", "refusal": "refusal"}


def main() -> int:
    """0; 2 where there is no file to measure on."""
    folder = Path(os.environ.get("UNWAVER_DATA") or Path(__file__).resolve().parents[1].parent / "shared" / "data")
    files = sorted(folder.glob("xstest_completions_*_human.csv"))
    if not files:
        print(f"no xstest_completions_*_human.csv in {folder}: set UNWAVER_DATA to a folder with them", file=sys.stderr)
        return 2
    print(f"judge {RefusalRules().judge}, human labels against rules")
    for path in files:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(HUMAN[row["final_label"][0]], row["completion"]) for row in csv.DictReader(file)]
        people = [label for label, _ in rows]
        rules = [read_refusal(text)[0] if text.strip() else None for _, text in rows]
        print(f"\n{path.name}")
        binary = [None if label is None else BINARY[label] for label in rules]
        print(described("full or partial refusal against compliance", [BINARY[p] for p in people], binary, LABELS[::2]))
        print(described("three classes", people, rules, LABELS))
    return 0


def described(title: str, people: Sequence[str], rules: Sequence[str | None], labels: Sequence[str]) -> str:
    """The measures in a line, the confusion table below it; rows are people's labels."""
    found = agreement(people, rules, labels)
    return "\n".join([f"  {title}: {measures(found)}", *table(found)])


def measures(found: Agreement) -> str:
    """Share, interval, n, chance-corrected measures."""
    if found.share is None or found.kappa is None or found.ac1 is None:
        return f"not defined (n {found.n}, unscored {found.n_unscored})"
    return (
        f"{found.share:.3f} [{found.low:.3f}, {found.high:.3f}], n {found.n}, unscored {found.n_unscored}, "
        f"kappa {found.kappa:.3f}, AC1 {found.ac1:.3f}"
    )


def table(found: Agreement) -> list[str]:
    """The confusion table in lines."""
    head = "    " + " " * 12 + "".join(f"{label:>12}" for label in found.labels)
    rows = zip(found.labels, found.table, strict=True)
    return [head, *(f"    {label:<12}" + "".join(f"{count:>12}" for count in counts) for label, counts in rows)]


if __name__ == "__main__":
    sys.exit(main())
