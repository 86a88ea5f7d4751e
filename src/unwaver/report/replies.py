"""What several replies to a prompt come to, and what those that the limit did not cut: tables of the results."""

from __future__ import annotations

from unwaver.report.facts import EvaluationFacts, Facts, titles
from unwaver.report.tables import Table, TableCell, count, of
from unwaver.study.outcomes import ENDED, several


def samples_table(facts: Facts) -> Table | None:
    """Where prompts have several replies: the mean, any of k and all of k; None where all have one."""
    sets = [one for one in facts.sets if one.samples > 1 and one.metric in several()]
    if not sets:
        return None
    rows = [
        [
            *(TableCell(arm), TableCell(one.name), TableCell(titles()[one.metric]), count(one.samples)),
            *(of(facts.estimate(metric, arm, one.name)) for metric in _of_several(one)),
        ]
        for arm in facts.arms
        for one in sets
    ]
    return Table(
        "samples",
        "Several replies to a prompt: the mean, any of them, all of them",
        "The mean over the k replies; the share of prompts with at least one harmful (best-of-n attack), refused or "
        "right (pass@k) reply; and that of prompts whose k replies are all safe, answered or right.",
        ["arm", "set", "measure", "k", "mean", "any of k", "all of k good"],
        rows,
        ("A prompt with an unscored reply is in the mean alone: the others would be biased by it.",),
    )


def _of_several(one: EvaluationFacts) -> tuple[str, str, str]:
    some, every, _ = several()[one.metric]
    return one.metric, f"{some}@{one.samples}", f"{every}@{one.samples}"


def ended_table(facts: Facts) -> Table | None:
    """Whether replies think and end, and the main measures among those that end; None where all do."""
    rows = []
    for arm in facts.arms:
        for one in facts.sets:
            names_ = ("thinks", "ended", one.metric, f"{one.metric}{ENDED}")
            found = [facts.estimate(metric, arm, one.name) for metric in names_]
            if found[0] is not None:
                rows.append([TableCell(arm), TableCell(one.name), TableCell(titles()[one.metric]), *map(of, found)])
    if all(row[-3].value in (None, 1.0) for row in rows):
        return None
    return Table(
        "ended",
        "Does the limit explain it?",
        "The share of replies that think at all and of those that the token limit did not cut, and each measure among "
        "all replies and among those that ended. Where the last two differ, length is part of the figure.",
        ["arm", "set", "measure", "thinks", "ended", "all replies", "replies that ended"],
        rows,
        folded=True,
    )
