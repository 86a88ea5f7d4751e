"""Pairs of an ordinary question and the same question perturbed so that its reasoning goes astray (PRJA, 2604.15725).

`pairs/clean` and `pairs/perturbed` read the same rows: `question`, `perturbed`, `answer` (a number, an expression or a
letter, as docs/grading.md reads them). The rows that are packaged are twelve of ours, mild on purpose, to try the
harness with; `path` names a file of one's own. Nothing here makes a perturbation, and nothing is to.
"""

from __future__ import annotations

from unwaver.errors import RecordError
from unwaver.sources.files import RawRow
from unwaver.sources.source import Draft, Source, columns

_FIELDS = {"target": ("answer",), "category": ("category",)}


def _clean(row: RawRow, place: str) -> Draft | None:
    return _with_answer(columns("maths", {"text": ("question",), **_FIELDS})(row, place), place)


def _perturbed(row: RawRow, place: str) -> Draft | None:
    fields = {"text": ("perturbed",), "of": ("question",), **_FIELDS}
    draft = _with_answer(columns("maths", fields)(row, place), place)
    if draft.of is None:
        raise RecordError(f"{place}: question: expected the clean question")
    return draft


def _with_answer(draft: Draft | None, place: str) -> Draft:
    if draft is None or not draft.target:
        raise RecordError(f"{place}: answer: expected the right answer")
    return draft


SOURCE = (
    Source("pairs/clean", "ordinary questions, as they are", "maths", "Apache-2.0", _clean, packaged="pairs", size=12),
    Source("pairs/perturbed", "the same, perturbed", "maths", "Apache-2.0", _perturbed, packaged="pairs", size=12),
)
