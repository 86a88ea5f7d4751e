"""The traces as the page carries them: an index for the list and its filters, and packets of texts read when needed.

Reads the rows of `Results`; writes gzipped JSON in base64, so that no byte a model wrote stands in the page's markup.
Texts are made visible (`plain.visible`) and long ones shortened so that the page keeps to its size: what is left out is
said in place, and stands in the run's `traces.jsonl`. Which texts are masked until somebody asks is decided by
`judging.masks`.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unwaver.judging.masks import masks
from unwaver.judging.people import Label
from unwaver.plain import visible
from unwaver.records import NO_PATTERN, Trace, Verdict
from unwaver.report.examples import ShownPrompt
from unwaver.report.facts import Facts
from unwaver.report.given import Stretches, given_words
from unwaver.report.teachers import Teachers, teacher_of
from unwaver.study.rows import Row, pair_key

BUDGET = 19_000_000
"""Characters of base64 the texts may take: with all else the page stays under 25 MB."""


LONGEST = 40_000
"""Most characters of one text: more than anybody reads in a page."""


SHORTEST = 400
"""Texts are never cut below this."""


PACKET = 200
"""Traces read together."""


_SEVERAL = {"risky-patterns": "pattern", "anatomy": "anatomy"}
"""Rubrics whose label is several names, and what one of these is called in the filters."""


@dataclass(frozen=True)
class Payload:
    """What the page's script reads."""

    index: str
    packets: Sequence[str]
    traces: int
    shortened: int
    """Texts of which something was left out."""
    left_out: int
    """Traces that are not in the page."""


class _Numbers:
    """Names by number, in order of appearance."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def listed(self) -> list[str]:
        return [visible(name) for name in self.names]


def payload(
    facts: Facts, budget: int = BUDGET, most: int | None = None, examples: Sequence[ShownPrompt] = ()
) -> Payload:
    """Everything the trace browser shows: all traces, or those of the first `most` prompts of every set; and which of
    them are shown as examples, which are never left out."""
    every = _ordered(facts)
    kept = {trace for example in examples for trace in example.traces.values()}
    rows = every if most is None else _first(every, most, kept)
    verdicts = _verdicts(facts)
    limit = _limit(rows, verdicts, budget)
    while True:
        packets, shortened = _packets(rows, verdicts, limit)
        if sum(map(len, packets)) <= budget or limit <= SHORTEST:
            break
        limit = max(SHORTEST, int(0.9 * limit * budget / sum(map(len, packets))))
    trained_on = Teachers(facts).trained_on
    return Payload(
        _index(rows, verdicts, _people(facts), trained_on, _places(facts, rows, examples)),
        packets,
        len(rows),
        shortened,
        len(every) - len(rows),
    )


def _ordered(facts: Facts) -> list[Row]:
    """Evaluated traces by set, prompt and arm, then the teachers': neighbours are alike, and pack well."""
    sets = {one.name: at for at, one in enumerate(facts.sets)}
    arms = {arm: at for at, arm in enumerate(facts.results.arms)}
    prompts: dict[str, int] = {}
    shown = {member for members in facts.arms.values() for member in members}
    rows = [row for row in facts.results.rows if row.arm in shown] + facts.results.teacher_rows
    for row in rows:
        prompts.setdefault(pair_key(row.trace), len(prompts))
    return sorted(
        rows,
        key=lambda row: (
            row.stage != "evaluate",
            sets.get(row.slice, len(sets)),
            prompts[pair_key(row.trace)],
            arms.get(row.arm, len(arms)),
            row.trace.sample,
        ),
    )


def _first(rows: Sequence[Row], most: int, always: Collection[str]) -> list[Row]:
    """The traces of the first prompts of every set and stage, so that all arms stand side by side on them; and those
    of these ids."""
    taken: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    kept = []
    for row in rows:
        prompts, key = taken[row.stage, row.slice], pair_key(row.trace)
        if key in prompts or len(prompts) < most:
            prompts[key] = None
            kept.append(row)
        elif row.trace.id in always:
            kept.append(row)
    return kept


def _verdicts(facts: Facts) -> dict[str, list[Verdict]]:
    found: dict[str, dict[tuple[str, str, str], Verdict]] = defaultdict(dict)
    for verdict in facts.results.verdicts:
        found[verdict.trace].setdefault((verdict.rubric, verdict.judge, verdict.looked_at), verdict)
    return {trace: list(by_key.values()) for trace, by_key in found.items()}


def _people(facts: Facts) -> dict[str, list[Label]]:
    """What people found, by trace."""
    found: dict[str, list[Label]] = defaultdict(list)
    for given in facts.results.labelled.given.values():
        for trace, labels in given.items():
            found[trace] += labels
    return found


def _places(facts: Facts, rows: Sequence[Row], examples: Sequence[ShownPrompt]) -> list[list[Any]]:
    """Of each example its set, its kind, and by arm the name and the number of its row."""
    at = {(row.arm, row.trace.id): number for number, row in enumerate(rows)}
    return [
        [
            visible(one.set_),
            one.kind,
            [[visible(arm), at[facts.arms[arm][0], trace]] for arm, trace in one.traces.items()],
        ]
        for one in examples
    ]


def _index(
    rows: Sequence[Row],
    verdicts: Mapping[str, Sequence[Verdict]],
    people: Mapping[str, Sequence[Label]],
    trained_on: Mapping[str, int],
    examples: list[list[Any]],
) -> str:
    arms, sets, endings, tags, prompts = _Numbers(), _Numbers(), _Numbers(), _Numbers(), _Numbers()
    shown: list[list[Any]] = []
    columns: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        trace, prompt = row.trace, row.trace.prompt
        key = f"{row.slice}:{pair_key(trace)}"
        if key not in prompts.names:
            texts = (prompt.text, prompt.behaviour or "", prompt.category or "", prompt.attack or "", prompt.source)
            shown.append([prompt.kind, *(shortened(visible(text), LONGEST, ()) for text in texts)])
        columns["arm"].append(arms(row.arm if row.stage == "evaluate" else teacher_of(row)))
        columns["set"].append(sets(row.slice))
        columns["prompt"].append(prompts(key))
        columns["ending"].append(endings(trace.ending))
        columns["id"].append(trace.id[:12])
        columns["tokens"].append([trace.tokens_in, trace.tokens_out, trace.tokens_reasoning])
        columns["mask"].append(masks(trace, verdicts.get(trace.id, ()), people.get(trace.id, ())))
        columns["mix"].append(0 if row.stage == "evaluate" else trained_on[trace.id])
        columns["tags_of"].append([tags(tag) for tag in _tags(verdicts.get(trace.id, ()))])
    index = {
        "examples": examples,
        "arms": arms.listed(),
        "sets": sets.listed(),
        "endings": endings.listed(),
        "tags": tags.listed(),
        "prompts": shown,
        "packet": PACKET,
        **columns,
    }
    return packed(index)


def _tags(verdicts: Sequence[Verdict]) -> list[str]:
    """What filters know of a trace: `pattern: name`, `anatomy: name`, `question (text): label`; the first judge's."""
    found: dict[str, list[str]] = {}
    for verdict in verdicts:
        question = verdict.rubric.partition("@")[0]
        where = f"{question} ({verdict.looked_at})"
        if where in found:
            continue
        if question in _SEVERAL and verdict.label is not None:
            names = sorted(verdict.labels or ()) or [NO_PATTERN]
            found[where] = [f"{_SEVERAL[question]}: {name.replace('_', ' ')}" for name in names]
        else:
            found[where] = [f"{where}: {verdict.label or 'unscored'}"]
    return [tag for tags in found.values() for tag in tags]


def _packets(rows: Sequence[Row], verdicts: dict[str, list[Verdict]], limit: int) -> tuple[list[str], int]:
    packets, cut = [], 0
    for start in range(0, len(rows), PACKET):
        packet = []
        for row in rows[start : start + PACKET]:
            entry, count = _entry(row.trace, verdicts.get(row.trace.id, ()), limit)
            packet.append(entry)
            cut += count
        packets.append(packed(packet))
    return packets, cut


def _entry(trace: Trace, verdicts: Sequence[Verdict], limit: int) -> tuple[list[Any], int]:
    """(reasoning, answer, failure, block, model, verdicts, the stretches of reasoning and answer that were given) of a
    trace, and how many of its texts were shortened."""
    quotes = [visible(verdict.quote) for verdict in verdicts if verdict.quote]
    texts = [None if text is None else visible(text) for text in (trace.reasoning, trace.answer)]
    kept = [None if text is None else shortened(text, limit, quotes) for text in texts]
    read = [
        [
            verdict.rubric.partition("@")[0],
            visible(verdict.judge),
            verdict.looked_at,
            verdict.label and visible(verdict.label),
            verdict.quote and shortened(visible(verdict.quote), limit, ()),
            shortened(visible(verdict.reason), 600, ()),
        ]
        for verdict in verdicts
    ]
    failure = trace.failure and visible(trace.failure)
    own = zip((trace.reasoning, trace.answer), texts, kept, given_words(trace), strict=True)
    marked = [_placed(text or "", stretches, None if a == b else limit // 2) for text, a, b, stretches in own]
    return [*kept, failure, trace.block, visible(trace.model), read, *marked], sum(
        a != b for a, b in zip(texts, kept, strict=True)
    )


def _placed(text: str, stretches: Stretches, most: int | None) -> list[list[int]]:
    """Where stretches of a text lie in the text as the page's script counts it (UTF-16), made visible; `most`: of a
    shortened text, how many characters of its beginning stand where they stood."""
    shown = [[len(visible(text[:at])) for at in stretch] for stretch in stretches]
    kept = shown if most is None else [[start, min(end, most)] for start, end in shown if start < most]
    return [[len(visible(text)[:at].encode("utf-16-le")) // 2 for at in stretch] for stretch in kept]


def shortened(text: str, limit: int, quotes: Sequence[str]) -> str:
    """A text's beginning, its end and the surroundings of its first quote; what is left out is said in place."""
    if len(text) <= limit:
        return text
    ranges = [(0, limit // 2), (len(text) - limit // 4, len(text))]
    at = next((text.find(quote) for quote in quotes if quote and quote in text), -1)
    if at >= 0:
        ranges.append((max(0, at - limit // 12), min(len(text), at + limit // 6)))
    pieces, end = [], 0
    for start, stop in sorted(ranges):
        if start > end:
            pieces.append(f"\n⟦ … {start - end:,} characters left out here … ⟧\n")
        pieces.append(text[max(start, end) : stop])
        end = max(end, stop)
    return "".join(pieces)


def _limit(rows: Sequence[Row], verdicts: dict[str, list[Verdict]], budget: int) -> int:
    """The length above which texts are shortened: by a sample of packets, so that the whole fits the budget."""
    lengths = sorted(len(text) for row in rows for text in (row.trace.reasoning, row.trace.answer) if text)
    if not lengths or sum(lengths) < budget / 2:
        return LONGEST
    starts = range(0, len(rows), PACKET)
    sample = [start for start in starts if start // PACKET % max(1, len(starts) // 8) == 0]
    chosen = [row for start in sample for row in rows[start : start + PACKET]]
    packets, _ = _packets(chosen, verdicts, LONGEST)
    raw = sum(min(LONGEST, len(text)) for row in chosen for text in (row.trace.reasoning, row.trace.answer) if text)
    raw_all = sum(min(LONGEST, length) for length in lengths)
    room = 0.97 * budget * max(1, raw) / max(1, sum(map(len, packets)))
    if raw_all <= room:
        return LONGEST
    low, high = SHORTEST, LONGEST
    while high - low > 20:
        middle = (low + high) // 2
        fits = sum(min(length, middle) for length in lengths) <= room
        low, high = (middle, high) if fits else (low, middle)
    return low


def packed(content: Any) -> str:
    """Anything as gzipped JSON in base64, in which no byte of a text stands as it is."""
    text = json.dumps(content, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0)).decode("ascii")
