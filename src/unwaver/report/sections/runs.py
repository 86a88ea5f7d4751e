"""What it cost, and what it was made with."""

from __future__ import annotations

from collections import Counter

from unwaver.report.facts import Facts
from unwaver.report.section import Material, Section, made
from unwaver.report.sections.training import _float
from unwaver.report.tables import NOTHING, Table, TableCell, count, number


def cost_table(facts: Facts) -> Table:
    """Every run: calls, tokens, seconds, cost."""
    rows = []
    for name, manifest in facts.results.manifests.items():
        calls: dict[str, dict[str, int]] = manifest.get("calls") or {}
        asked = sum(one.get("asked", 0) + one.get("found", 0) for one in calls.values())
        tokens = [sum(one.get(way, 0) for one in calls.values()) for way in ("tokens_in", "tokens_out")]
        cost = manifest.get("cost")
        rows.append(
            (
                *(TableCell(str(manifest.get("stage", ""))), TableCell(str(manifest.get("name", ""))), count(asked)),
                *(count(n) for n in tokens),
                *(number(_float(manifest.get("seconds")), 1), number(_float(cost), 4)),
                *(TableCell(str(manifest.get("finished", NOTHING))), TableCell(name)),
            )
        )
    totals = [sum(row[i].value or 0 for row in rows) for i in (2, 3, 4, 5)]
    costs = [row[6].value for row in rows if row[6].value is not None]
    rows.append(
        (
            *(TableCell("all"), TableCell(""), *(number(total) for total in totals[:3]), number(totals[3], 1)),
            *(number(sum(costs), 4) if costs else TableCell(NOTHING), TableCell(""), TableCell("")),
        )
    )
    return Table(
        "cost",
        "Calls, tokens, seconds and cost, by run",
        "A run shared by several arms stands here once. Cost only where the recipe gives prices.",
        ["stage", "of", "calls", "tokens in", "tokens out", "seconds", "cost", "finished", "run"],
        rows,
        folded=True,
    )


def told_table(facts: Facts) -> Table | None:
    """What servers did otherwise than they were asked, or said that can't be; odd replies. None: nothing to tell."""
    rows = [
        [TableCell(label), TableCell(note), count(int(n)), TableCell(str(manifest.get("stage", ""))), TableCell(name)]
        for name, manifest in facts.results.manifests.items()
        for label, made in (manifest.get("calls") or {}).items()
        for note, n in (made.get("notes") or {}).items()
    ]
    rows += [
        [
            TableCell(str(found.get("model", ""))),
            TableCell(note),
            count(int(n)),
            TableCell(str(found.get("stage", ""))),
            TableCell(name),
        ]
        for name, found in facts.results.manifests.items()
        for note, n in ((found.get("counts") or {}).get("notes") or {}).items()
    ]
    about = (
        "Fields that a model doesn't take, replies whose ending, reasoning or counts the server got wrong, and replies "
        "whose reasoning stood where it is not expected. Marks that could not be read leave a reply unscored."
    )
    columns = ["model", "what", "replies", "stage", "run"]
    return Table("told", "What servers and replies did otherwise", about, columns, rows) if rows else None


def version_table(facts: Facts) -> Table:
    """What the runs were made with; more than one version of a thing is said."""
    found: dict[str, Counter[str]] = {}
    for manifest in facts.results.manifests.values():
        for what, version in (manifest.get("versions") or {}).items():
            found.setdefault(str(what), Counter())[str(version)] += 1
    rows = [
        [TableCell(what), TableCell(", ".join(versions)), count(versions.total())]
        for what, versions in sorted(found.items())
    ]
    return Table(
        "versions",
        "Made with",
        "Versions as the runs' manifests have them.",
        ["what", "version", "runs"],
        rows,
        folded=True,
    )


def section(material: Material) -> Section:
    """The section."""
    facts = material.facts
    return made("runs", "Runs", "Cost and versions", "", cost_table(facts), told_table(facts), version_table(facts))
