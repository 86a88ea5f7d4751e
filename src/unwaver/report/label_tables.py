"""What people's labels come to, in the terminal: the share of each answer, and who agrees with whom."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from unwaver.plain import counted, plain
from unwaver.printer import console, show_table
from unwaver.report.tables import NOTHING, percent
from unwaver.stages.label import DrawnQuestion
from unwaver.study.agreement import Agreement
from unwaver.study.correction import rate, values
from unwaver.study.labels import Labelled, between_people, shares, unused, with_reader


def show(labelled: Labelled) -> None:
    """Print it, question by question."""
    out = console()
    for question in labelled.given:
        out.print(Text(f"\n{question.rubric}, by people, in the {question.part}", "bold"))
        show_table(out, _shares(labelled, question))
        for line in agreed(labelled, question):
            out.print(Text(plain(line)))
    for line in unused(labelled):
        out.print(Text(plain(line)))


def _shares(labelled: Labelled, question: DrawnQuestion) -> Table:
    table = Table(box=None, header_style="dim")
    for heading in ("run", "answer", "labels", "share of all replies", "95 %"):
        table.add_column(heading, justify="left" if heading in ("run", "answer") else "right")
    runs = dict.fromkeys(one.run for one in labelled.samples[question])
    for run in runs:
        for answer, items in shares(labelled, question, [run]).items():
            found = values(items)
            if isinstance(found, str):
                table.add_row(plain(run), answer, NOTHING, plain(found), NOTHING)
                break
            share = rate({0: found})
            table.add_row(
                plain(run), answer, str(found.labels), percent(share.value, share.n), ends(share.low, share.high)
            )
    return table


def ends(low: float | None, high: float | None) -> str:
    """An interval of a rate in words."""
    return NOTHING if low is None or high is None else f"{100 * low:.0f} to {100 * high:.0f} %"


def agreed(labelled: Labelled, question: DrawnQuestion) -> list[str]:
    """How far people agree with one another, and with whoever read the replies before."""
    told = [f"{what}: {one} and {two} {_kappa(found)}" for what, one, two, found in between_people(labelled, question)]
    by = with_reader(labelled, question)
    if by.share is not None:
        kappa = NOTHING if by.kappa is None else f"{by.kappa:.2f}"
        told.append(
            f"with the reader's verdicts, weighted to all replies: {percent(by.share)}, kappa {kappa} "
            f"({counted(by.n, 'label')})"
        )
    return told


def _kappa(found: Agreement) -> str:
    kappa = NOTHING if found.kappa is None else f"{found.kappa:.2f}"
    if found.kappa_low is not None and found.kappa_high is not None:
        kappa += f" ({found.kappa_low:.2f} to {found.kappa_high:.2f})"
    return f"agree on {percent(found.share)} of {found.n}, Cohen's kappa {kappa}"
