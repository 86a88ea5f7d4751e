"""What a section of a report is, and what sections are made from. One file of `sections/` makes each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from unwaver.records import PATTERNS
from unwaver.report import reasonings
from unwaver.report.before import Before
from unwaver.report.charts import Drawn, Figure, draw
from unwaver.report.facts import Facts
from unwaver.report.limits import Judged, judged
from unwaver.report.readers import Compared, comparisons, trust
from unwaver.report.summed import Changes, changes
from unwaver.report.tables import Table
from unwaver.report.teachers import Teachers
from unwaver.study import beside
from unwaver.study.refusal_auc import Told, by_refusal
from unwaver.study.snowball import Snowball, snowball

READ = 1000
"""Prompts of a kind, of all arms together, whose answers are read for `told_apart`, at least `FEWEST_READ` of each arm:
about four milliseconds an answer."""

FEWEST_READ = 60


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    id: str
    short: str
    """What the page's navigation calls it."""
    title: str
    text: Sequence[str]
    pieces: Sequence[Table | Drawn]

    def named(self) -> list[tuple[str, str]]:
        """(id in the page, title) of every piece."""
        return [
            (f"table-{piece.name}", piece.title)
            if isinstance(piece, Table)
            else (f"figure-{piece.figure.name}", piece.figure.title)
            for piece in self.pieces
        ]


def made(id_: str, short: str, title: str, text: str, *pieces: Table | Figure | None) -> Section:
    """A section of the pieces there are; its figures are drawn here, and tables that say nothing are left out."""
    drawn = [
        draw(piece) if isinstance(piece, Figure) else piece
        for piece in pieces
        if piece is not None and not (isinstance(piece, Table) and piece.says_nothing)
    ]
    return Section(id_, short, title, (text,) if text else (), drawn)


@dataclass
class Material:
    """The numbers of a report, and what several sections make of them, each made once."""

    facts: Facts
    before: Before | None = None
    """The last report of the same recipe."""

    @cached_property
    def summed(self) -> Changes:
        """What every arm is summed up by, against its reference."""
        return changes(self.facts)

    @cached_property
    def limits(self) -> list[Judged]:
        """The recipe's `[limits]`, as `unwaver gate` judges them; empty where there are none."""
        return judged(self.facts) if self.facts.results.recipe.limits else []

    @cached_property
    def compared(self) -> list[Compared]:
        """How far readers agree."""
        return comparisons(self.facts)

    @cached_property
    def taught(self) -> Teachers:
        """What the teachers wrote."""
        return Teachers(self.facts)

    @cached_property
    def told_apart(self) -> list[Told]:
        """How well every arm's probability of refusing tells harmful prompts from harmless ones."""
        most = max(FEWEST_READ, READ // max(1, len(self.facts.arms)))
        return [
            told
            for arm, members in self.facts.arms.items()
            for told in by_refusal((row for row in self.facts.results.rows if row.arm in members), arm, most)
        ]

    @cached_property
    def by_harm(self) -> str:
        """How far the readers of harm and refusal can be trusted, in a sentence."""
        return trust(self.facts, self.compared, "guard", "refusal")

    @property
    def by_harm_in_short(self) -> str:
        """The label of what rests on a reader without a model; empty where none was asked."""
        return "Harm or refusals are read without a model: “How sure is that?” says how well." if self.by_harm else ""

    @cached_property
    def by_pattern(self) -> str:
        """The same of the readers of patterns."""
        return trust(self.facts, self.compared, *(name.replace("_", " ") for name in PATTERNS))

    @cached_property
    def texts(self) -> dict[str, dict[str, str | None]]:
        """The reasonings on harmful prompts."""
        return reasonings.reasonings(self.facts)

    @cached_property
    def snowballs(self) -> list[Snowball]:
        """Whether harm grows along them, author by author."""
        to = reasonings.prompts(self.facts)
        return [snowball(found, name, prompts=to) for name, found in self.texts.items()]

    @cached_property
    def rethought(self) -> list[beside.Beside]:
        """What replies from cuts of reasonings came to, where `unwaver rethink` asked for them."""
        results = self.facts.results
        return [] if results.root is None else beside.rethought(results.root, results.evaluated_in)

    @cached_property
    def probed(self) -> list[beside.Beside]:
        """What `unwaver probe` found."""
        results = self.facts.results
        return [] if results.root is None else beside.probed(results.root, results.evaluated_in)

    @cached_property
    def apart(self) -> list[reasonings.Apart]:
        """The same taken apart."""
        return reasonings.anatomies(self.texts, reasonings.judged(self.facts), reasonings.prompts(self.facts))
