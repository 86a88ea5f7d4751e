"""What is known of the error of whoever read the replies: of readers without a model by their cards, of others nothing.

Reads a recipe's readers and the names that verdicts bear; gives how unevenly a measure is read (`reader_error`), and
how well in words. A card is used for the very file that read: another version of it is another reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from unwaver.errors import UnwaverError
from unwaver.judging.local.reader_file import ReaderFile, opened
from unwaver.judging.people import ASKED
from unwaver.recipe import JudgeSettings, is_local, read_without_model, reader_file
from unwaver.records import Prompt, Trace, Verdict, single
from unwaver.study.measures import measures
from unwaver.study.measures.measure import Measure
from unwaver.study.outcomes import base_of
from unwaver.study.reader_error import Manners, Misreading, Unevenness, manners, several
from unwaver.study.rows import Row

Known = Mapping[str, ReaderFile]
"""Readers without a model by the name that their verdicts bear."""

GRADED = ("maths", "code")


def known(named: Iterable[str] = ()) -> Known:
    """The shipped reader, and those of the readers named as a recipe names them that can be opened."""
    found = {}
    for path in dict.fromkeys([None, *(reader_file(name) for name in named if is_local(name))]):
        try:
            file = opened(path)
        except UnwaverError:
            continue  # it has read, and is not there any more: nothing is known of it
        found[file.judge] = file
    return found


def named_in(judge: JudgeSettings) -> list[str]:
    """Everybody a recipe has read for it."""
    return [*judge.guard, *judge.patterns, *judge.refusal, *judge.harm]


def uneven(metric: str, judge: str, readers: Known, rates: Sequence[float]) -> Unevenness | None:
    """How unevenly a metric is read at these rates; None where that is not known.

    Of what is made of k replies it is k times as much at most.
    """
    measure, file = measures().get(base_of(metric)), readers.get(judge)
    if measure is None or file is None:
        return None
    parts = [_of_reading(measure, key, file, rates) for key in measure.reads]
    found = [one for one in parts if one is not None]
    if not found or len(found) < len(parts):
        return None
    whole = several(found)
    _, at, k = metric.partition("@")
    return whole.model_copy(update={"sd": whole.sd * int(k)}) if at and k.isdigit() else whole


def unmeasured(metric: str, judges: Iterable[str], spread: Unevenness | None) -> bool:
    """Whether a reader without a model took part in a measure, and how unevenly it reads is not known (`spread`)."""
    parts = {part for judge in judges for part in judge.split(" + ")}
    return spread is None and _is_read(metric) and any(map(read_without_model, parts))


def _is_read(metric: str) -> bool:
    """Whether a metric is made of readings, not of graders' results."""
    measure = measures().get(base_of(metric))
    return measure is not None and any(key.partition(":")[0] not in GRADED for key in measure.reads)


def misread(metric: str, judge: str, readers: Known, rate: float) -> Misreading | None:
    """What an arm that truly has this rate is read to have; None where that is not known.

    Of what is made of several readings, or of k replies, their errors add up, and nobody knows which way.
    """
    measure, file = measures().get(base_of(metric)), readers.get(judge)
    if measure is None or file is None or not measure.reads:
        return None
    found = [_manners(measure, key, file) for key in measure.reads]
    known_ = [one for one in found if one is not None]
    if len(known_) < len(found):
        return None
    _, at, k = metric.partition("@")
    if len(known_) == 1 and not at:
        return known_[0].misread(rate)
    return Misreading(rate, min(1.0, sum(one.furthest_off() for one in known_) * (int(k) if k.isdigit() else 1)))


def _of_reading(measure: Measure, key: str, file: ReaderFile, rates: Sequence[float]) -> Unevenness | None:
    """Of one reading that a measure rests on; where it rests on several, at whatever rate of each makes most."""
    found = _manners(measure, key, file)
    if found is None:
        return None
    return found.at(rates) if len(measure.reads) == 1 else found.anywhere()


def _manners(measure: Measure, key: str, file: ReaderFile) -> Manners | None:
    """How a reader read one of the readings that a measure rests on, model by model."""
    rubric, _, part = key.partition(":")
    labels, tables = file.taken_for(rubric, part)
    alone = len(measure.reads) == 1
    counts = [counted(measure, key, label) is True if alone else label == labels[-1] for label in labels]
    return manners(tables, counts) if tables and any(counts) and not all(counts) else None


def counted(measure: Measure, key: str, label: str | None) -> bool | None:
    """Whether a trace with this label and no other reading counts for a measure."""
    trace = Trace(prompt=Prompt(text="", kind=measure.kinds[0], behaviour="-"), model="", ending="stop")
    return measure.of(Row("", "", trace, {key: reading(trace.id, key, single(label))}))


def reading(trace: str, key: str, labels: tuple[str, ...] | None) -> Verdict:
    """A verdict that holds these labels, whoever gave them."""
    rubric, _, part = key.partition(":")
    part_ = part if part in ("reasoning", "answer") else "both"
    return Verdict(
        trace=trace, rubric=rubric, judge="people", looked_at=part_, labels=labels, reason="a person's label"
    )


def said(metric: str, judge: str, readers: Known) -> str:
    """How well a metric is read, in a sentence: by the reader's card, or that nobody measured it; empty for graders."""
    measure = measures().get(base_of(metric))
    if measure is None or not _is_read(metric):
        return ""
    rubrics = [key.partition(":")[0] for key in measure.reads]
    file = readers.get(judge)
    told = [text for key in measure.reads if (text := _by_card(file, key))] if file else []
    if told:
        return f"Read by {judge}: {'; '.join(dict.fromkeys(told))}"
    ask = next((rubric for rubric in rubrics if rubric in ASKED), None)
    more = f": label 100 with `unwaver label RUN --rubric {ask}`" if ask else ""
    return f"Read by {judge or 'an unknown reader'}: agreement not measured{more}"


def _by_card(file: ReaderFile, key: str) -> str:
    rubric, _, part = key.partition(":")
    name = f"{rubric}_{part}" if rubric in ("harm", "guard") else rubric
    return file.measured("harm_both" if name == "guard_both" else name)
