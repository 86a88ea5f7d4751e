"""The report of the same recipe before this one: its rates, read from the folder it was written into.

Reads `estimates.jsonl` of the newest other report under a root; a report that can't be read, or whose rates are not
those it was written with, is none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unwaver.errors import RecordError, UnwaverError
from unwaver.kept import changed, measured, write_whole
from unwaver.records import Estimate
from unwaver.store import parse_row, read_records, to_line

ESTIMATES = "estimates.jsonl"
MEASURED = "report.json"
"""What the file of rates was when the report was written."""
PAGE = "report.html"
LATEST = "latest"
"""The link beside the reports that leads to the newest."""


@dataclass(frozen=True)
class Before:
    """An older report."""

    name: str
    """Its folder."""
    date: str
    estimates: Sequence[Estimate]


def write_rates(folder: Path, rates: Iterable[Estimate]) -> None:
    """Write a report's rates, and what their file is."""
    path = folder / ESTIMATES
    write_whole(path, "".join(map(to_line, rates)))
    write_whole(folder / MEASURED, json.dumps({ESTIMATES: measured(path)}) + "\n")


def read_rates(folder: Path) -> list[Estimate]:
    """A report's rates; RecordError where the file is not what was written."""
    path, known = folder / ESTIMATES, folder / MEASURED
    was = parse_row(known.read_bytes(), str(known)).get(ESTIMATES) if known.is_file() else None
    told = changed(path, was) if isinstance(was, dict) else f"{MEASURED} beside it doesn't say what was written"
    if told:
        raise RecordError(f"{path}: {told}; delete this report and give `unwaver report RECIPE` again")
    return list(read_records(path, Estimate))


def newest_first(pages: Iterable[Path]) -> list[Path]:
    """Reports' pages. Which was given last the link beside it says, as a copy need not keep times, and a clock can be
    put back; the others by their times."""

    def is_last(page: Path) -> bool:
        return (page.parent.parent / LATEST).resolve() == page.parent.resolve()

    return sorted(pages, key=lambda page: (not is_last(page), -page.stat().st_mtime))


def newest(folders: Sequence[Path]) -> Before | None:
    """The newest whole report of these folders; None where there is none."""
    pages = [folder / PAGE for folder in folders if (folder / PAGE).is_file()]
    for page in newest_first(pages):
        try:
            estimates = read_rates(page.parent)
        except (UnwaverError, OSError):
            continue
        date = time.strftime("%d %B %Y, %H:%M", time.gmtime(page.stat().st_mtime))
        return Before(page.parent.name, date, estimates)
    return None
