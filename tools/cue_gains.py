"""What each group of cues wins: writes docs/readers.md's table of the reader's kappa without it.

Reads what `train_readers.py` reads. Trains every question on the public traces alone, with each model and its prompts
left out in turn, once with all cues and once without each group of them; nothing is shipped. About five minutes of a
core.

    python tools/cue_gains.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from train_readers import HARM, PAGE, QUESTIONS, folder, more, traces, written_to

from unwaver.judging.local.concepts import AWARE
from unwaver.judging.local.features import CUES, DENSE
from unwaver.judging.local.fitting import MANNERS, Tables, measured, summary

BEGIN, END = "<!-- cues: written by tools/cue_gains.py -->", "<!-- end of cues -->"

GROUPS: Mapping[str, tuple[str, ...]] = {
    "awareness": (*AWARE, *(name for name in DENSE if name.startswith("aware"))),
    "risk, care": ("risk", "care"),
    "declining, advice": ("i_decline", "never", "instead", "kindly", "equality"),
    "plans": ("plans", "steps", "means", "example"),
    "tactics, being caught": ("tactic", "caught"),
    "turns, hedges": ("turn", "hedge", "likely"),
    "excuses, purposes": ("excuses", "guesses", "purpose", "lawful", "request"),
    "lists, beginnings": ("item", "opens_to"),
}
"""What the cues of `concepts` speak of, together all of them; with awareness goes where it stands."""
ASKED = [question for question in QUESTIONS if question != "weak"]


def without(cues: tuple[str, ...]) -> list[int]:
    """Where the numbers of some cues stand."""
    bears = [{name, name.partition(":")[2], *name.replace("&", ">").split(">")} for name in DENSE]
    return [at for at, names in enumerate(bears) if names & set(cues)]


def in_order() -> list[int]:
    """Where the numbers stand that tell which cues meet or follow each other."""
    return [at for at, name in enumerate(DENSE) if "&" in name or ">" in name]


def kappas(tables: Tables, labels: tuple[str, ...], left: list[int]) -> str:
    """Kappa of all, and of those scored, without some numbers."""
    other = copy(tables)
    other.dense = tables.dense.copy()
    other.dense[:, left] = 0.0
    held, _ = measured(other, len(labels))
    found = summary(held, other.rows, labels)
    return f"{found['kappa_if_all_were_scored']:.2f} / {found['kappa']:.2f}"


def main() -> int:
    """Measure, write."""
    if missing := set(CUES) - {cue for cues in GROUPS.values() for cue in cues}:
        print(f"in no group: {', '.join(sorted(missing))}", file=sys.stderr)
        return 2
    if not (folder() / "traces" / "labelled.jsonl").exists():
        print(f"no traces/labelled.jsonl in {folder()}: set UNWAVER_DATA", file=sys.stderr)
        return 2
    lefts: dict[str, Callable[[], list[int]]] = {
        "all cues": list,
        **{f"without {name}": lambda cues=cues: without(cues) for name, cues in GROUPS.items()},
        "without their order": in_order,
        "letter sequences alone": lambda: list(range(len(DENSE))),
    }
    table: dict[str, list[Any]] = {name: [] for name in lefts}
    for question in ASKED:
        part, labels = QUESTIONS[question]
        tables = Tables([*traces(question), *more(question)], labels, HARM.get(question) or MANNERS[part])
        for name, left in lefts.items():
            table[name].append(kappas(tables, labels, left()))
            print(question, name, table[name][-1], flush=True)
    lines = [f"| | {' | '.join(ASKED)} |", f"|---|{'---|' * len(ASKED)}"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in table.items()]
    written_to(PAGE, BEGIN, "\n".join(lines), END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
