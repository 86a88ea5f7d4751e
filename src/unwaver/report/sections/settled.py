"""When an answer is settled: by replies from cuts of reasonings, and by the state before the first token."""

from __future__ import annotations

from unwaver.records import Estimate
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import Table, TableCell, count, of, unit
from unwaver.study.beside import Beside
from unwaver.study.rethought import MEANS, TITLES


def rethought_table(found: list[Beside]) -> Table | None:
    """Where along their reasonings arms settle on refusing or helping; None where nobody asked."""
    ways = list(dict.fromkeys(one.how for one in found))
    rows, why = [], []
    for one in found:
        by = {e.metric: e for e in one.estimates}
        locked, places, turns, split = (by[metric] for metric in TITLES)
        how = [TableCell(one.how)] if len(ways) > 1 else []
        among = f"of {places.n:,} locked traces"
        cells = (of(locked), of(places, hint=among), unit(turns, 1), of(split))
        rows.append([TableCell(locked.arm), TableCell(locked.slice), *how, count(locked.n), *cells])
        why += [f"{locked.arm} on {locked.slice}, {_why(locked)}"] if locked.n_unscored else []
    if not rows:
        return None
    notes = [f"Asked: {ways[0]}."] if len(ways) == 1 else []
    notes += [f"Why unscored: {'; '.join(why)}."] if why else []
    notes += [
        "With few replies from a cut, chance alone makes changes: read them beside the budges (docs/statistics.md)."
    ]
    return Table(
        "rethought",
        "Where along the reasoning the answer is settled",
        f"By replies from cuts of each arm's own reasonings (`unwaver rethink`). {MEANS[0].upper()}{MEANS[1:]}",
        ["arm", "set", *(["how"] if len(ways) > 1 else []), "traces", *TITLES.values()],
        rows,
        tuple(notes),
    )


def first_token_table(found: list[Beside]) -> Table | None:
    """How well the state before a reply tells harmful prompts from harmless ones; None where nobody looked."""
    rows = [
        [
            *(TableCell(e.arm), TableCell(e.slice), TableCell(one.how), count(e.n), unit(e, 2, e.method)),
            TableCell(e.method if e.value is None else ""),
        ]
        for one in found
        for e in one.estimates
    ]
    if not rows:
        return None
    return Table(
        "first-token",
        "Does it know before its first word?",
        "The area under the curve of a linear probe on the state before the reply (`unwaver probe`): how often a "
        "harmful prompt scores above a harmless one. 1 is always, 0.5 is chance.",
        ["arm", "prompts", "state", "prompts scored", "area", "why unscored"],
        rows,
        (
            "A high area beside many unsafe replies says that the model could know and doesn't act on it; it is no "
            "proof that it goes by the state, and between sets of other topics the probe reads the topic.",
        ),
    )


def _why(e: Estimate) -> str:
    """The reasons of what is unscored."""
    return e.method.partition("; ")[2] if e.n_unscored else ""


def section(material: Material) -> Section:
    """The section."""
    return made(
        *("settled", "Settled", "When is the answer settled?", ""),
        *(rethought_table(material.rethought), first_token_table(material.probed)),
    )
