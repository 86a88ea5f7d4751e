"""The door for Python: what the command line does, with data frames in place of pages (docs/python.md).

`open_runs` gives the runs of a recipe or a study; `audit` a page about anybody's traces; `read` one reader's verdict on
one text. Errors are those of the command line (`unwaver.errors.UnwaverError`), and nothing here prints but progress.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unwaver.reasoning import AUTO, Family
from unwaver.records import LookedAt, Prompt, Trace, Verdict
from unwaver.stages.audit_page import AuditPage
from unwaver.study.plan import Plan
from unwaver.study.results import Results

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Runs:
    """The runs of a recipe or a study, finished or owed."""

    plans: list[Plan]
    """One for each arm."""
    root: Path
    """Where they are kept."""

    @property
    def owed(self) -> list[str]:
        """The steps that are not finished, in the order they would be done."""
        from unwaver.study.steps import owed

        return [f"{step.stage} {step.name}" for step, _ in owed(self.plans, self.root)]

    def run(self, engine: Literal["local", "ray"] = "local") -> Path:
        """Do all that is owed, then write the report; the path of its page."""
        from unwaver.report.write import write_report
        from unwaver.study.run import do

        do(self.plans, self.root, engine=engine)
        self.__dict__.pop("results", None)
        return write_report(self.plans, self.root)

    @cached_property
    def results(self) -> Results:
        """Everything that is finished, read once; `run` reads anew."""
        from unwaver.study.results import collect

        return collect(self.plans, self.root)

    def estimates(self) -> pandas.DataFrame:
        """Every rate: metric, arm, slice (the set), value, low, high (0 to 1), n, n_unscored, n_truncated, method."""
        import pandas

        return pandas.DataFrame([estimate.model_dump(mode="json") for estimate in self.results.estimates])

    def replies(self) -> pandas.DataFrame:
        """One row a reply: arm, set, kind, behaviour, prompt, attack, sample, reasoning, answer, ending, failure,
        block, and a column `rubric:text` for each reading of its first reader (None: unscored).
        """
        import pandas

        rows = [*self.results.rows, *self.results.teacher_rows]
        return pandas.DataFrame([{**_told(row.arm, row.slice, row.trace), **_labels(row.readings)} for row in rows])


def _told(arm: str, slice_: str, trace: Trace) -> dict[str, Any]:
    prompt = trace.prompt
    return {
        "arm": arm,
        "set": slice_,
        "kind": prompt.kind,
        "behaviour": prompt.behaviour,
        "prompt": prompt.text,
        "attack": prompt.attack,
        "sample": trace.sample,
        "reasoning": trace.reasoning,
        "answer": trace.answer,
        "ending": trace.ending,
        "failure": trace.failure,
        "block": trace.block,
    }


def _labels(readings: Mapping[str, Verdict]) -> dict[str, str | None]:
    return {key: verdict.label for key, verdict in readings.items()}


def open_runs(path: str | Path, overrides: Mapping[str, Any] | None = None, root: str | Path | None = None) -> Runs:
    """The runs of a recipe or study file. `overrides`: dotted settings, as flags give them; `root`: where runs are
    kept, `runs/NAME` unless it is given. RecipeError with file and key where something is wrong.
    """
    from unwaver.verbs import open_recipe

    plans, where = open_recipe(Path(path), None if root is None else Path(root), dict(overrides or {}))
    return Runs(plans, where)


def audit(
    where: str | Path,
    rubrics: Sequence[str] = ("refusal", "risky-patterns"),
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    *,
    tags: str | Family = AUTO,
) -> AuditPage:
    """What a trace set holds, read without a model: blocks, endings, lengths, shares of labels with intervals.

    `columns`: our field -> the file's column. `tags`: by whose marks of reasoning. RecipeError and RecordError as
    `unwaver audit` has them.
    """
    from unwaver.stages import audit as stage

    readers = {name: stage.local(name) for rubric in rubrics for name in stage.asked(rubric)}
    return stage.audit(str(where), readers, columns, limit, tags=tags)


def read(
    text: str | Trace, question: str = "refusal", *, prompt: str = "", looked_at: LookedAt | None = None
) -> Verdict:
    """One reader's verdict, without a model. `text`: a whole reply with its thinking marks, or a trace.

    `question`: guard, patterns, refusal or harm; `prompt`: what was asked, taken as a harmful request.
    """
    from unwaver.judging.readers import local_reader
    from unwaver.reasoning import trace
    from unwaver.records import Reply, Request

    if isinstance(text, str):
        asked = Prompt(text=prompt or "-", kind="harmful", behaviour=prompt or "-")
        text = trace(asked, Request(), Reply(text=text, ending="stop"), "unknown")
    return local_reader(question, looked_at).verdict(text)
