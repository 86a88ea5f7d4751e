"""Print how far the rule readers agree with labels: the figures of docs/rules.md.

First with the labels of the scripted teacher (packaged), by file and by half: the rules were developed on rows of the
categories in `DEVELOPED_ON`, the other half was only scored.

Then with people, on refusals. Reads every `xstest_completions_*_human.csv` (XSTest, CC-BY-4.0: `completion`,
`final_label`) in the folder named by UNWAVER_DATA, or in `../shared/data` beside the repository. Human labels: 1 full
compliance, 2 full refusal, 3 partial refusal; the binary figure counts both refusals as one. Writes to standard output.

    python tools/calibrate_rules.py
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from unwaver.judging.agreement import Agreement, agreement
from unwaver.judging.rules import RefusalRules, examine, read_patterns, read_refusal, read_thought
from unwaver.records import PATTERNS
from unwaver.sources import corpus

LABELS = ("compliance", "partial", "refusal")
HUMAN = {"1": "compliance", "2": "refusal", "3": "partial"}
BINARY = {"compliance": "compliance", "partial": "refusal", "refusal": "refusal"}
TAUGHT = ("default", "realsafe", "improved", "short", "template")
DEVELOPED_ON = frozenset({"harassment/threatening", "illicit/violent", "misinformation", "sexual/minors"})


def main() -> int:
    """0; 2 where there is no file of people's labels to measure on (the teacher's labels are always there)."""
    print(f"judge {RefusalRules().judge}")
    with_teacher()
    return with_people()


def with_teacher() -> None:
    """The agreement with the scripted teacher's labels, file by file and half by half."""
    print("\nteacher's labels against rules; counts are both, labels only, rules only, neither")
    category = {row["text"]: row["category"] for row in corpus.load("harmful")}
    for name in TAUGHT:
        halves: dict[str, list[dict[str, object]]] = {"developed on": [], "held out": []}
        for row in corpus.replies(name):
            behaviour = max((text for text in category if text in str(row["prompt"])), key=len)
            halves["developed on" if category[behaviour] in DEVELOPED_ON else "held out"].append(row)
        for half, rows in halves.items():
            print(f"\n{name}, {half}, n {len(rows)}")
            print("\n".join(half_lines(rows)))


def half_lines(rows: Sequence[dict[str, object]]) -> list[str]:
    """A line a measure: five patterns, refusal (binary, three classes), guard."""
    read = [dict(read_patterns(str(row["reasoning"]), str(row["answer"]))) for row in rows]
    answers = [examine(str(row["answer"])) for row in rows]
    lines = [
        yes_no(name, [name in str(row["patterns"]) for row in rows], [name in found for found in read])
        for name in PATTERNS
    ]
    labels = [str(row["refusal"]) for row in rows]
    lines.append(
        yes_no("refusal or partial", [x != "compliance" for x in labels], [x.label != "compliance" for x in answers])
    )
    lines.append(f"  {'three classes':<26} {measures(agreement(labels, [x.label for x in answers], LABELS))}")
    serves = [read_thought(str(row["reasoning"])).serves is not None for row in rows]
    unsafe = [x.gives or s for x, s in zip(answers, serves, strict=True)]
    return [*lines, yes_no("unsafe", [bool(row["unsafe"]) for row in rows], unsafe)]


def yes_no(title: str, labels: Sequence[bool], rules: Sequence[bool]) -> str:
    """The counts of the four cases and the measures, in a line."""
    found = agreement([str(x) for x in labels], [str(x) for x in rules], ("True", "False"))
    (both, missed), (added, neither) = found.table
    return f"  {title:<26} {both:>4} {missed:>4} {added:>4} {neither:>4}  {measures(found)}"


def with_people() -> int:
    """The agreement with people's labels of refusals; 2 where there is none to measure on."""
    folder = Path(os.environ.get("UNWAVER_DATA") or Path(__file__).resolve().parents[1].parent / "shared" / "data")
    files = sorted(folder.glob("xstest_completions_*_human.csv"))
    if not files:
        print(f"no xstest_completions_*_human.csv in {folder}: set UNWAVER_DATA to a folder with them", file=sys.stderr)
        return 2
    print("\nhuman labels against rules")
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
    if found.share is None:
        return f"not defined (n {found.n}, unscored {found.n_unscored})"
    kappa, ac1 = ("not defined" if value is None else f"{value:.3f}" for value in (found.kappa, found.ac1))
    return (
        f"{found.share:.3f} [{found.low:.3f}, {found.high:.3f}], n {found.n}, unscored {found.n_unscored}, "
        f"kappa {kappa}, AC1 {ac1}"
    )


def table(found: Agreement) -> list[str]:
    """The confusion table in lines."""
    head = "    " + " " * 12 + "".join(f"{label:>12}" for label in found.labels)
    rows = zip(found.labels, found.table, strict=True)
    return [head, *(f"    {label:<12}" + "".join(f"{count:>12}" for count in counts) for label, counts in rows)]


if __name__ == "__main__":
    sys.exit(main())
