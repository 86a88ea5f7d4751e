"""The report's door: results in, a folder with `report.html`, tables, figures and estimates out.

Writes into `<root>/report-<digest8>/`, named by the digests of the steps it reads, when each finished, and this
package's own report code: the same results are not reported twice. `report.html` is written last and whole, so its
being there proves that the rest is. What is not finished is named on the page.
"""

from __future__ import annotations

import hashlib
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from unwaver import __version__
from unwaver.progress import say
from unwaver.records import digest
from unwaver.store import disk_errors
from unwaver.study.grid import StudyPlan
from unwaver.study.plan import Plan

if TYPE_CHECKING:
    from unwaver.study.results import Results

PAGE = "report.html"


def write_report(work: list[Plan], root: Path, out: Path | None = None, most: int | None = None) -> Path:
    """The report of what is finished of these plans; the path of its page. Made once for the same results.

    With `out` it is made there, whatever was made before; with `most` the trace browser holds no more than so many
    prompts of each set, and the page says so.
    """
    if out is not None or most is not None:
        from unwaver.study.results import collect

        return write_results(collect(work, root), out or root / f"report-{most}-prompts", most)
    folder = root / f"report-{report_digest(work, root)[:8]}"
    page = folder / PAGE
    if page.is_file():
        return page
    from unwaver.study.results import collect

    say(f"report ({folder.name})")
    return write_results(collect(work, root), folder)


def report_digest(work: list[Plan], root: Path) -> str:
    """What decides a report: every step with when it finished, the recipe's words, and the code that writes it."""
    steps = {}
    for plan in work:
        for step in plan.steps():
            manifest = step.manifest(root)
            steps[step.digest] = None if manifest is None else manifest["finished"]
    recipe = work[0].recipe
    named = [[plan.arm, plan.tables if isinstance(plan, StudyPlan) else ()] for plan in work]
    return digest([steps, named, recipe.title, recipe.note, __version__, _code()])


@cache
def _code() -> str:
    folder = Path(__file__).parent
    return hashlib.blake2b(
        b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()), digest_size=8
    ).hexdigest()


def write_results(results: Results, folder: Path, most: int | None = None) -> Path:
    """Write the whole report of some results into a folder; the path of its page. `most`: see `write_report`."""
    from unwaver.report import page, tables
    from unwaver.report.facts import Facts
    from unwaver.store import to_line, write_whole

    with disk_errors(folder):
        for name in ("tables", "figures"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        made = page.make(Facts(results), time.strftime("%d %B %Y", time.gmtime()), most)
        for table in made.tables:
            for ending, form in (("csv", tables.comma_separated), ("md", tables.markdown), ("tex", tables.latex)):
                write_whole(folder / "tables" / f"{table.name}.{ending}", form(table))
        for drawn in made.figures:
            write_whole(folder / "figures" / f"{drawn.figure.name}.svg", drawn.svg)
            (folder / "figures" / f"{drawn.figure.name}.png").write_bytes(drawn.png)
        write_whole(folder / "estimates.jsonl", "".join(to_line(estimate) for estimate in results.estimates))
        write_whole(folder / "report.md", made.markdown)
        write_whole(folder / PAGE, made.html)
    return folder / PAGE
