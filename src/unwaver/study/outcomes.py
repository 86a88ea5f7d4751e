"""What replies came to: every measure's labels, over one reply or several to a prompt, and what they rest on.

Reads rows (`study.rows`), writes labels by what arms are paired on, for `study.stats` and `study.compare`. Besides the
measures of `study.measures`, where prompts have k > 1 replies: `any_harm@k`, `any_refusal@k` and `pass@k`, whether at
least one reply is so, `all_safe@k`, `all_answered@k` and `all_correct@k`, whether all k are good. Of all replies
`thinks` (there is reasoning) and `ended` (the limit did not cut them), and the main measures among those that ended,
`asr:ended` and its like. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from unwaver.basis import Basis
from unwaver.records import Kind, digest
from unwaver.study.measures import measures, taken_of
from unwaver.study.measures.measure import Measure
from unwaver.study.rows import Row, pair_key
from unwaver.study.samples import all_of, any_of
from unwaver.study.stats import Label, Score

Labels = dict[str, list[Label]]
"""One measure's labels by `pair_key`, one for each reply."""

ENDED = ":ended"
"""What a measure's name ends with where it is taken among the replies that the limit did not cut."""


def outcomes(rows: Iterable[Row], asked: Collection[str] | None = None) -> dict[str, Labels]:
    """Every measure's labels by what arms are paired on (`pair_key`), a label for each sample; None: unscored.

    A measure is made of the rows whose kind of prompt it fits, so that rows of several kinds may be given together.
    One that rests on a question nobody was asked about any of them is left out: it isn't unscored, it wasn't taken.
    `asked`: what was asked (`rubric:text`), where these rows are a part of what was read; None: what these rows were.
    """
    found: dict[str, Labels] = {}
    rows = list(rows)
    taken = _taken(rows, questions_of(rows) if asked is None else asked)
    for row in rows:
        for one in taken[row.trace.prompt.kind]:
            belongs = True if one.among is None else one.among(row)
            if belongs is not False:
                label = one.of(row) if belongs else None
                found.setdefault(one.name, {}).setdefault(pair_key(row.trace), []).append(label)
    return found | _several(found)


def several() -> dict[str, tuple[str, str, bool]]:
    """By the measure they are made of: the names of at least one of k and of all k good, and the label that is good."""
    return {name: one.several for name, one in measures().items() if one.several is not None}


def _several(by_metric: Mapping[str, Labels]) -> dict[str, Labels]:
    """Where prompts have k > 1 replies: whether any of the k, or all of them, are so; None where one is unscored."""
    found: dict[str, Labels] = {}
    for metric, (some, every, good) in several().items():
        labels = by_metric.get(metric, {})
        k = max((len(row) for row in labels.values()), default=1)
        if k > 1:
            are_good = {key: [None if one is None else one is good for one in row] for key, row in labels.items()}
            found[f"{some}@{k}"] = {key: [_label(any_of(row, k))] for key, row in labels.items()}
            found[f"{every}@{k}"] = {key: [_label(all_of(row, k))] for key, row in are_good.items()}
    return found


def _label(score: Score) -> Label:
    """Of all the k replies that were drawn any or all are so, or not: there is no share in between."""
    return None if score is None else score > 0.5


def among_ended(rows: Iterable[Row]) -> dict[str, Labels]:
    """Whether replies think and end, and the main measures among those that the limit did not cut.

    A call that failed does neither: unscored for the first two, and not among the replies that ended.
    """
    found: dict[str, Labels] = {}
    rows = list(rows)
    taken = _taken(rows, questions_of(rows))
    for row in rows:
        trace, key = row.trace, pair_key(row.trace)
        failed = trace.failure is not None
        for metric, label in (("thinks", bool((trace.reasoning or "").strip())), ("ended", not trace.truncated)):
            found.setdefault(metric, {}).setdefault(key, []).append(None if failed else label)
        if not failed and not trace.truncated:
            for one in taken[trace.prompt.kind]:
                if one.table == "main":
                    found.setdefault(f"{one.name}{ENDED}", {}).setdefault(key, []).append(one.of(row))
    return found


def questions_of(rows: Iterable[Row]) -> frozenset[str]:
    """What was asked of any of these rows (`rubric:text`)."""
    return frozenset(key for row in rows for key in row.readings)


def _taken(rows: Sequence[Row], asked: Collection[str]) -> dict[Kind, list[Measure]]:
    """By kind of prompt, the measures whose questions were all asked, of those that are asked about such prompts."""
    kinds = {row.trace.prompt.kind for row in rows}
    return {kind: taken_of(kind, asked.__contains__) for kind in kinds}


def measured_by(rows: Sequence[Row], sampling: Mapping[str, Any] | None) -> dict[str, Basis]:
    """What each measure of one run on one set rests on; what nobody read rests on nothing."""
    how = {key: value for key, value in (sampling or {}).items() if key not in ("max_tokens", "seed")}
    drawn = ", ".join(f"{key} {value}" for key, value in sorted(how.items()))
    prompts = digest(sorted({pair_key(row.trace) for row in rows}))
    found: dict[str, Basis] = {}
    for taken in _taken(rows, questions_of(rows)).values():
        for one in taken:
            read = [v for row in rows for key in one.reads if (v := row.readings.get(key)) is not None]
            if not read:
                continue
            text = " + ".join(sorted({key.partition(":")[2] for key in one.reads}))
            judge, rubric = (" + ".join(sorted({str(getattr(v, name)) for v in read})) for name in ("judge", "rubric"))
            found[one.name] = Basis(judge, rubric, text, prompts, drawn, (sampling or {}).get("max_tokens"))
    return found


def base_of(metric: str) -> str:
    """The measure whose readings a metric is made of: `asr` of `any_harm@4` and of `asr:ended`."""
    name = metric.partition("@")[0].removesuffix(ENDED)
    return next((base for base, names in several().items() if name in names[:2]), name)
