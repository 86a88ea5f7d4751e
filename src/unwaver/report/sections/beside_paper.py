"""The paper's published tables beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unwaver.report.facts import Facts
from unwaver.report.paper import DIRECTIONS, NUMBERS, beside, matches
from unwaver.report.section import Material, Section, made
from unwaver.report.setting import (
    ATTACKS,
    REASONING,
    compare_what,
    evaluation,
    method,
    of_evaluation,
    of_training,
    published,
    student_name,
)
from unwaver.report.tables import NOTHING, Table, TableCell, of

COLUMNS = {
    "none": "None",
    "pap": "PAP",
    "pair": "PAIR",
    "asr": "all attacks",
    "xstest": "XSTest",
    "math500": "MATH-500",
    "aime2024": "AIME 2024",
    "livecodebench": "LiveCodeBench",
    "accuracy": "all reasoning",
}
"""The columns of Table 1: the paper's evaluations, and their means."""


def table_1(facts: Facts) -> Table | None:
    """Ours beside Table 1, recipe by recipe."""
    chosen = beside(facts)
    if not facts.sets or not chosen:
        return None
    values = published()["table1"]
    known = {name: one for one in facts.sets if (name := evaluation(facts, one)) is not None}
    rows: list[list[TableCell]] = []
    for row, arm in chosen.items():
        differs = of_training(facts, arm, [values["student"]])
        same = [name for name, one in known.items() if not differs and not of_evaluation(facts, one)]
        word = DIRECTIONS if not same else NUMBERS if len(same) == len(known) else f"numbers: {', '.join(same)}"
        ours = [_ours(facts, arm, name) for name in COLUMNS]
        rows += [
            [TableCell(arm), TableCell("here"), *ours, TableCell(word)],
            [TableCell(""), TableCell(f"paper: {row}"), *_theirs(row), TableCell("")],
        ]
    return Table(
        "paper-table-1",
        "Table 1 beside the paper's",
        f"The paper's figures ({published()['source']}, {values['student']}) recipe by recipe, under ours. A "
        "column is empty here where the same prompts weren't asked under the same attack; over-refusal is XSTest's, or "
        "where that wasn't asked that of all harmless sets; all attacks and all reasoning pool whatever was asked.",
        ["arm", "", *COLUMNS.values(), "compare"],
        rows,
        (compare_what(facts, chosen.values()),),
        [("", 2), ("Attack success", 4), ("Over-refusal", 1), ("Accuracy", 4), ("", 1)],
    )


def _theirs(row: str) -> list[TableCell]:
    values = published()["table1"]
    theirs = dict(zip(values["columns"], values[row], strict=True))
    theirs["asr"] = sum(theirs[name] for name in ATTACKS) / len(ATTACKS)
    theirs["accuracy"] = sum(theirs[name] for name in REASONING) / len(REASONING)
    return [_paper(theirs[name]) for name in COLUMNS]


def _paper(value: float | None) -> TableCell:
    return (
        TableCell(NOTHING)
        if value is None
        else TableCell(f"{value} %" if isinstance(value, int) else f"{value:.1f} %", value / 100)
    )


def _ours(facts: Facts, arm: str, name: str) -> TableCell:
    pooled = {"asr": ("harmful",), "accuracy": ("maths", "code")}
    if name in pooled:
        return of(facts.pooled(name, arm, facts.of_kind(*pooled[name])))  # type: ignore[arg-type]
    one = next((one for one in facts.sets if evaluation(facts, one) == name), None)
    if one is not None:
        return of(facts.estimate(one.metric, arm, one.name))
    return of(facts.pooled("over_refusal", arm, facts.harmless)) if name == "xstest" else TableCell(NOTHING)


def table_3(facts: Facts) -> Table | None:
    """Ours beside Table 3; None where none of the published checkpoints was evaluated."""
    entries: list[dict[str, Any]] = published()["table3"]
    by_name = {
        student_name(str(facts.cell(arm).get("student") or "")).lower(): arm for arm in facts.arms if facts.is_raw(arm)
    }
    if not any(entry["model"].lower() in by_name for entry in entries):
        return None
    improved = dict(zip(published()["table1"]["columns"], published()["table1"]["improved"], strict=True))
    mean = sum(improved[name] for name in ATTACKS) / len(ATTACKS)
    rows = []
    for entry in [*entries, {"model": "improved", "asr": mean, "over_refusal": improved["xstest"]}]:
        arm = beside(facts).get("improved") if entry["model"] == "improved" else by_name.get(entry["model"].lower())
        ours = (
            [TableCell(NOTHING), TableCell(NOTHING)]
            if arm is None
            else [_ours(facts, arm, name) for name in ("asr", "xstest")]
        )
        rows.append([TableCell(entry["model"]), *ours, _paper(entry["asr"]), _paper(entry["over_refusal"])])
    return Table(
        "paper-table-3",
        "Table 3: published safe checkpoints, beside the paper's",
        "Attack success over all attacks, and over-refusal.",
        ["model", "attack success", "over-refusal", "attack success", "over-refusal"],
        rows,
        (compare_what(facts),),
        [("", 1), ("Here", 2), ("Paper", 2)],
    )


def table_2(facts: Facts) -> Table | None:
    """Mean attack success by teacher, of PAIR alone and of checkpoints, with ours; None where none is ours."""
    rows = []
    for entry in published()["table2"]:
        arm = next((arm for arm in facts.arms if _from(facts, arm, entry["recipe"], entry["holds"])), None)
        ours = TableCell(NOTHING) if arm is None else _ours(facts, arm, "asr")
        rows.append(
            [TableCell("Table 2"), TableCell(f"{entry['recipe']}, from {entry['teacher']}"), ours, _paper(entry["asr"])]
        )
    for recipe, value in published()["pair"].items():
        rows.append([TableCell("PAIR, mean of four students"), TableCell(recipe), _pair(facts, recipe), _paper(value)])
    for entry in published()["table3"]:
        rows.append([TableCell("Table 3"), TableCell(entry["model"]), TableCell(NOTHING), _paper(entry["asr"])])
    if all(row[2].value is None for row in rows):
        return None
    return Table(
        "paper-others",
        "The paper's other attack success rates",
        "For orientation: as published, with ours where an arm has the same recipe and teacher.",
        ["of", "what", "here", "paper"],
        rows,
        (compare_what(facts),),
        folded=True,
    )


def _from(facts: Facts, arm: str, recipe: str, holds: Sequence[str]) -> bool:
    teacher = str(facts.cell(arm).get("teacher") or "").lower()
    return method(facts, arm) == recipe and any(name in teacher for name in holds)


def _pair(facts: Facts, recipe: str) -> TableCell:
    """The mean over the paper's students that are all here; nothing else has that name."""
    one = next((one for one in facts.sets if evaluation(facts, one) == "pair"), None)
    found: dict[str, float] = {}
    for arm in facts.arms if one is not None else ():
        e = facts.estimate("asr", arm, one.name) if one is not None and method(facts, arm) == recipe else None
        if e is not None and e.value is not None:
            found.setdefault(student_name(str(facts.cell(arm).get("student"))).lower(), e.value)
    wanted = [name.lower() for name in published()["students"]]
    if not all(name in found for name in wanted):
        return TableCell(NOTHING)
    mean = sum(found[name] for name in wanted) / len(wanted)
    return TableCell(f"{100 * mean:.1f} %", mean)


def section(material: Material) -> Section:
    """The section."""
    facts = material.facts
    tables = (table_1(facts), table_3(facts), table_2(facts)) if matches(facts) else ()
    return made("paper", "Paper", "Beside the paper", material.by_harm, *tables)
