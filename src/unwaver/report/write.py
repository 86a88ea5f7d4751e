"""The report's door: results in, a folder with `report.html`, tables, figures and estimates out.

Writes into `<root>/report-<digest8>/`, named by the digests of the steps it reads, when each finished, and this
package's own report code: the same results are not reported twice. `report.html` is written last and whole, so its
being there proves that the rest is. What is not finished is named on the page.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unwaver import __version__
from unwaver.kept import write_last, write_whole
from unwaver.progress import say
from unwaver.records import digest
from unwaver.report.before import LATEST, PAGE, Before, newest, write_rates
from unwaver.stages.label import label_files
from unwaver.store import Step, disk_errors
from unwaver.study import beside
from unwaver.study.grid import StudyPlan
from unwaver.study.plan import Plan

if TYPE_CHECKING:
    from unwaver.study.results import Results

FOLDER = "report-"
"""What the name of a report's folder begins with."""


def write_report(work: list[Plan], root: Path, out: Path | None = None, most: int | None = None) -> Path:
    """The report of what is finished of these plans; the path of its page. Made once for the same results.

    With `out` it is made there, whatever was made before; with `most` the trace browser holds no more than so many
    prompts of each set, and the page says so.
    """
    if out is not None or most is not None:
        from unwaver.study.results import collect

        folder = out or root / f"report-{most}-prompts"
        return write_results(collect(work, root), folder, most, newest([folder, *root.glob(f"{FOLDER}*")]))
    folder = root / f"{FOLDER}{report_digest(work, root)[:8]}"
    page = folder / PAGE
    if not page.is_file():
        from unwaver.study.results import collect

        say(f"report ({folder.name})")
        write_results(collect(work, root), folder, before=newest(list(root.glob(f"{FOLDER}*"))))
    _link(root / LATEST, folder.name)
    return page


def _link(place: Path, target: str) -> None:
    """Let `latest` lead to the newest report; where the disk has no links there is none."""
    fresh = place.with_name(f".{LATEST}-{os.getpid()}")
    with suppress(OSError):
        fresh.symlink_to(target, target_is_directory=True)
        fresh.replace(place)
    with suppress(OSError):
        fresh.unlink(missing_ok=True)


def report_digest(work: list[Plan], root: Path) -> str:
    """What decides a report: every step with what it left, and what was done beside them; the recipe's words, people's
    labels, and the code.
    """
    steps = {}
    for plan in work:
        for step in plan.steps():
            manifest = step.manifest(root)
            steps[step.digest] = None if manifest is None else manifest["seal"]
    recipe = work[0].recipe
    named = [[plan.arm, plan.tables if isinstance(plan, StudyPlan) else (), _roles(plan)] for plan in work]
    people = [hashlib.blake2b(path.read_bytes()).hexdigest() for path in label_files(root)]
    told = [recipe.title, recipe.note, recipe.reference, recipe.limits]
    return digest([steps, named, told, people, beside.finished(root), __version__, _code()])


def _roles(plan: Plan) -> Any:
    """Which step is what to an arm, and in which order its readers stand: the first decides."""

    def read(steps: dict[str, Step]) -> dict[str, list[str]]:
        return {name: [step.digest, *(one.digest for one in plan.read(step))] for name, step in steps.items()}

    return [read(plan.distil), read(plan.raw), read(plan.evaluate), plan.mix.digest, plan.train.digest]


@cache
def _code() -> str:
    folder = Path(__file__).parent
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".pyc")
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files), digest_size=8).hexdigest()


def write_results(results: Results, folder: Path, most: int | None = None, before: Before | None = None) -> Path:
    """Write the whole report of some results into a folder; the path of its page. `most`: see `write_report`;
    `before`: the last report, told what changed since."""
    from unwaver.report import page, tables
    from unwaver.report.facts import Facts

    with disk_errors(folder):
        for name in ("tables", "figures"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        made = page.make(Facts(results), time.strftime("%d %B %Y", time.gmtime()), most, before)
        for table in made.tables:
            for ending, form in (("csv", tables.comma_separated), ("md", tables.markdown), ("tex", tables.latex)):
                write_whole(folder / "tables" / f"{table.name}.{ending}", form(table))
        for drawn in made.figures:
            write_whole(folder / "figures" / f"{drawn.figure.name}.svg", drawn.svg)
            write_whole(folder / "figures" / f"{drawn.figure.name}.png", drawn.png)
        write_rates(folder, (*results.estimates, *made.estimates))
        write_whole(folder / "report.md", made.markdown)
        write_last(folder / PAGE, made.html)
    return folder / PAGE
