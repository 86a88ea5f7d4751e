"""The paper's published figures beside ours, and what may be compared.

Reads `paper.toml` (arXiv 2505.15404 v2). A figure of ours has the paper's setting when the student is one of its four
and the prompts, the attack and the instruction are the same; all others may be compared in direction only, and the page
says so.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from unwaver.report.facts import EvaluationFacts, Facts
from unwaver.report.tables import NOTHING, Cell, Table, of

COLUMNS = {
    "none": "None",
    "pap": "PAP",
    "pair": "PAIR",
    "xstest": "XSTest",
    "math500": "MATH-500",
    "aime2024": "AIME 2024",
    "livecodebench": "LiveCodeBench",
}
"""The paper's evaluations as it names them."""


@cache
def published() -> dict[str, Any]:
    """All of `paper.toml`."""
    return tomllib.loads(Path(__file__).with_name("paper.toml").read_text(encoding="utf-8"))


def evaluation(facts: Facts, one: EvaluationFacts) -> str | None:
    """Which of the paper's evaluations a set is; None where it is none of them."""
    recipe = facts.results.recipe
    entry = recipe.evaluate.sets.get(one.name)
    if entry is None:
        return None
    prompts = recipe.prompts.get(entry.prompts or one.name)
    if prompts is None or prompts.templates is not None:
        return None
    source = prompts.source
    if source == "advbench50":
        return entry.attack if entry.attack in ("none", "pap", "pair") else None
    return {"advbench50/pap": "pap", "xstest/safe": "xstest"}.get(source, source if source in COLUMNS else None)


def same_student(facts: Facts) -> str | None:
    """The student of the paper's Table 1 as known here, where it is ours; None else."""
    wanted = published()["table1"]["student"]
    labels = {str(facts.cell(arm).get("student") or "") for arm in facts.arms}
    labels.add(facts.results.recipe.models["student"].label)
    return wanted if any(wanted.lower() in label.lower() for label in labels) else None


def instruction(facts: Facts, arm: str) -> str | None:
    """The row of Table 1 an arm belongs to."""
    if facts.is_raw(arm):
        return "raw"
    name = str(facts.cell(arm).get("instruction") or "")
    return name if name in published()["table1"] and name not in ("student", "columns") else None


def beside(facts: Facts) -> dict[str, str]:
    """By row of Table 1, the arm that stands beside it: the first of its recipe, of the same student if any is."""
    wanted = published()["table1"]["student"].lower()
    own = [arm for arm in facts.arms if wanted in str(facts.cell(arm).get("student")).lower()]
    found: dict[str, str] = {}
    for arm in own or facts.arms:
        row = instruction(facts, arm)
        if row is not None:
            found.setdefault(row, arm)
    return found


def table(facts: Facts) -> Table | None:
    """Ours beside Table 1, row by row; sets without a counterpart are left out where some have one."""
    rows: list[list[Cell]] = []
    known = {one.name: name for one in facts.sets if (name := evaluation(facts, one)) is not None}
    values = published()["table1"]
    for row, arm in beside(facts).items():
        theirs = dict(zip(values["columns"], values[row], strict=True))
        paper = [Cell(f"{theirs[name]:g} %", theirs[name] / 100) for name in COLUMNS]
        ours = [_ours(facts, arm, name, known) for name in COLUMNS]
        rows += [[Cell(arm), Cell("here"), *ours], [Cell(""), Cell(f"paper: {row}"), *paper]]
    if not rows:
        return None
    return Table(
        "table-1",
        "Beside the paper's Table 1",
        f"The paper's figures ({published()['source']}, {values['student']}) recipe by recipe, under ours where "
        "an evaluation here is the same one.",
        ["arm", "", *COLUMNS.values()],
        rows,
        (compare_what(facts),),
        [("", 2), ("Attack success", 3), ("Over-refusal", 1), ("Accuracy", 3)],
        folded=not known,
    )


def _ours(facts: Facts, arm: str, name: str, known: dict[str, str]) -> Cell:
    set_ = next((one for one in facts.sets if known.get(one.name) == name), None)
    return Cell(NOTHING) if set_ is None else of(facts.estimate(set_.metric, arm, set_.name))


def compare_what(facts: Facts) -> str:
    """What may be compared with the paper, in plain words."""
    recipe = facts.results.recipe
    known = [one.name for one in facts.sets if evaluation(facts, one) is not None]
    same = same_student(facts)
    if same and len(known) == len(facts.sets):
        return (
            "Student and prompts are the paper's, so figures may be compared within their intervals; the judges are "
            "named below, and where they are not the paper's, small differences are theirs."
        )
    reasons = [] if same else [f"the student is {recipe.models['student'].label}"]
    teacher = recipe.models.get("teacher")
    if teacher is not None and teacher.door == "replay":
        reasons.append("the teacher is scripted")
    if len(known) < len(facts.sets):
        reasons.append(
            "the prompts are other ones" if not known else f"only {', '.join(known)} has the paper's prompts"
        )
    if any(set(judges) == {"rules"} for judges in (recipe.judge.harm, recipe.judge.refusal)):
        reasons.append("the judges are rules")
    return (
        f"Here {', '.join(reasons)}: sizes may not be compared with the paper's, only directions (which recipe is "
        "safer, what the guard does to each pattern, what benign examples do to over-refusal)."
    )


def note(name: str) -> str:
    """The paper's figure for one of ours; empty where it gives none."""
    return str(published()["notes"].get(name, ""))
