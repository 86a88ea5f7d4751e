"""What a trace is worth: Trace -> Verdict. Rule readers answer at once; model readers ask through a `Request`.

Nothing here calls a model: a reader says what to ask and reads what came back, and a stage drives the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from unwaver.records import LookedAt, Reply, Request, Trace, Verdict


class LocalReader(Protocol):
    """Reads a trace without a model."""

    rubric: str
    """`name@hash` of the question."""
    judge: str
    """`local@hash` of the reader."""
    looked_at: LookedAt

    def identity(self) -> dict[str, Any]:
        """Who this is: name, version, and what else decides a reading; enters the names of runs."""

    def verdict(self, trace: Trace) -> Verdict:
        """The reading; unscored (label None, with a reason) where there is no text to read."""


class Grader(Protocol):
    """Reads many traces with worker processes of its own: maths and code."""

    rubric: str
    judge: str
    """`rules@hash` of the grader."""
    looked_at: LookedAt

    def identity(self) -> dict[str, Any]:
        """Who this is, its limits included; enters the names of runs."""

    def verdicts(self, traces: Sequence[Trace]) -> Iterable[Verdict]:
        """One verdict a trace, in their order."""


class ModelReader(Protocol):
    """Reads a trace by asking a model: one request, at most one repair turn, then unscored."""

    rubric: str
    looked_at: LookedAt

    def identity(self) -> dict[str, Any]:
        """Who this is, but for the model: wording, schema, and how a reply is read; enters the names of runs."""

    def request(self, trace: Trace) -> Request | None:
        """What to ask, or None where there is no text to read (the verdict is then unscored)."""

    def read(self, trace: Trace, reply: Reply, judge: str) -> Verdict:
        """The verdict in a reply; unscored, with a reason, where it can't be read. `judge`: its `name@revision`."""

    def repair(self, trace: Trace, reply: Reply, problem: str) -> Request | None:
        """The one repair turn after an unreadable reply; None where a classifier can't be asked again."""
