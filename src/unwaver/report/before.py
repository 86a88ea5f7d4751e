"""The report of the same recipe before this one: its rates, read from the folder it was written into.

Reads `estimates.jsonl` of the newest other report under a root; a report that can't be read is none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unwaver.errors import UnwaverError
from unwaver.records import Estimate
from unwaver.store import read_records

ESTIMATES = "estimates.jsonl"
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


def newest(folders: Sequence[Path]) -> Before | None:
    """The newest whole report of these folders; None where there is none."""
    pages = [folder / PAGE for folder in folders if (folder / PAGE).is_file()]
    for page in sorted(pages, key=lambda page: page.stat().st_mtime, reverse=True):
        try:
            estimates = list(read_records(page.parent / ESTIMATES, Estimate))
        except (UnwaverError, OSError):
            continue
        date = time.strftime("%d %B %Y, %H:%M", time.gmtime(page.stat().st_mtime))
        return Before(page.parent.name, date, estimates)
    return None
