"""Labelling in the terminal: one trace after the other, masked until it is asked for; stopped at any time.

Reads answers from stdin, a line each; each label is kept the moment it is given, and the same command goes on behind
it. Texts go through the printer, where nothing in them acts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from unwaver.judging.people import ASKED, Label, digest_of
from unwaver.printer import console
from unwaver.records import Trace
from unwaver.stages.label import LABELS, DrawnQuestion, write_labels
from unwaver.store import read_records

SHOW, UNSURE, STOP = "s", "0", "q"


def ask(traces: Sequence[Trace], question: DrawnQuestion, folder: Path, reader: str) -> bool:
    """Ask about every trace that this reader hasn't labelled yet; False where it was stopped before the last."""
    file, out = folder / LABELS, console()
    done = {
        label.trace
        for label in (read_records(file, Label) if file.is_file() else ())
        if (label.rubric, label.looked_at, label.reader) == (question.rubric, question.part, reader)
    }
    out.print(Text(ASKED[question.rubric].question, "bold"))
    for number, (label, when) in enumerate(ASKED[question.rubric].answers.items(), 1):
        out.print(Text(f"  {number}  {label}: {when}"))
    for number, trace in enumerate(traces, 1):
        if trace.id in done:
            continue
        out.print(Text(f"\n{number} of {len(traces)}", "bold"))
        stopped, labels = _asked(out, trace, question)
        if stopped:
            return False
        text = digest_of(trace, question.part) or ""
        given = Label(
            trace=trace.id, rubric=question.rubric, looked_at=question.part, text=text, labels=labels, reader=reader
        )
        write_labels(folder, [given])
    return True


def _asked(out: Console, trace: Trace, question: DrawnQuestion) -> tuple[bool, tuple[str, ...] | None]:
    """(whether it was stopped, the labels or None)."""
    from unwaver.report.label_page import shown

    texts, seen = shown(trace, question), False
    out.print(Text(f"masked: {sum(len(text) for _, text in texts):,} characters; {SHOW} shows them", "dim italic"))
    while True:
        several = ASKED[question.rubric].several
        how = "numbers with blanks between, - for none" if several else "a number"
        out.print(Text(f"{how}; {UNSURE} can't tell; {SHOW} show; {STOP} stop: ", "dim"), end="")
        line = sys.stdin.readline()
        said = line.strip().lower()
        if not line or said == STOP:
            out.print()
            return True, None
        if said == SHOW:
            seen = True
            for name, text in texts:
                out.print(Text(f"── {name} ──", "dim"))
                out.print(Text(text))
            if trace.truncated:
                out.print(Text("the token limit cut this reply", "dim italic"))
        elif not seen:
            out.print(Text(f"not looked at yet: {SHOW} shows it"))
        elif said == UNSURE:
            return False, None
        elif (labels := _labels(said, question)) is not None:
            return False, labels
        else:
            out.print(Text(f"not understood: {said}"))


def _labels(said: str, question: DrawnQuestion) -> tuple[str, ...] | None:
    """The labels that a line names; None where it names none."""
    names, words = list(ASKED[question.rubric].answers), said.split()
    several = ASKED[question.rubric].several
    if several and said == "-":
        return ()
    if not words or not all(word.isdigit() and 1 <= int(word) <= len(names) for word in words):
        return None
    if len(words) > 1 and not several:
        return None
    chosen = {names[int(word) - 1] for word in words}
    return tuple(name for name in names if name in chosen)
