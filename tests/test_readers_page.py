"""docs/readers.md's figures are those of the shipped file's cards; pages that repeat them repeat the same."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from unwaver.judging.local.features import CUES
from unwaver.judging.local.reader_file import shipped
from unwaver.judging.questions import HARM
from unwaver.records import PATTERNS
from unwaver.study.measures import measures
from unwaver.study.reader_error import manners

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "readers.md").read_text(encoding="utf-8")

GOALS = {
    "harm of the answer": ("harm_answer", 0.85),
    "harm of the reasoning": ("harm_reasoning", 0.75),
    "refusal, three classes": ("refusal", 0.88),
    "conclusion": ("conclusion", 0.75),
    "lack of awareness": ("lack", 0.60),
    "strong vacillation": ("strong", 0.55),
    "harmful additions": ("additions", 0.50),
    "self-jailbreak": ("self-jailbreak", 0.55),
}
"""As the page calls them -> the question, and the kappa we set ourselves."""


def questions() -> dict[str, Any]:
    return dict(shipped().questions)


def card(question: str) -> dict[str, Any]:
    return dict(shipped().questions[question].card["held_out"])


def test_the_tables_are_what_the_cards_say() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "train_readers.py"))
    shown = PAGE.partition(tool["BEGIN"])[2].partition(tool["END"])[0]
    done = {name: (shipped().questions[name], None, None) for name in tool["QUESTIONS"]}
    assert shown.strip() == tool["figures"](done, shipped().about)


@pytest.mark.parametrize("name", GOALS)
def test_each_goal_stands_beside_what_was_measured(name: str) -> None:
    question, goal = GOALS[name]
    found = card(question)
    met = "met" if found["kappa"] >= goal else "missed"
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {name} | "))
    assert row.startswith(f"| {name} | {goal:.2f} | {found['kappa']:.2f} | {met} | ")
    cells = {number for line in found["table"] for number in line}
    sums = {sum(line) for line in found["table"]}
    others = {sum(line) - line[at] for at, line in enumerate(found["table"])}
    told = [
        int(number) for number in re.findall(r"\d+", row.rpartition(" | ")[2].rpartition("|")[0] or row.split("|")[5])
    ]
    assert told and set(told) <= cells | sums | others


def test_the_page_says_how_many_goals_are_missed_and_how_much_is_scored() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "train_readers.py"))
    shown = PAGE.partition(tool["GOALS_BEGIN"])[2].partition(tool["GOALS_END"])[0]
    assert shown.strip() == tool["goals"](
        {name: (shipped().questions[name],) * 3 for name in questions()}, shipped().about
    )
    missed = sum(card(question)["kappa"] < goal for question, goal in GOALS.values())
    shares = {name: card(name)["scored"] / card(name)["texts"] for name in shipped().questions}
    people = shipped().about["people"]
    agree = {name.rpartition("completions_")[2].partition("_")[0]: one["agreement"] for name, one in people.items()}
    missed += min(agree.values()) < 0.96
    row = f"| refusal or partial, XSTest's people | 0.96 | {agree['gpt4']:.2f}, {agree['llama2new']:.2f} | missed | "
    wrong = people["xstest_completions_llama2new_human"]
    assert row in PAGE and f"in {round((1 - wrong['agreement']) * wrong['scored'])} of {wrong['scored']} |" in PAGE
    assert f"Of 10 goals {missed} are missed." in PAGE and min(shares.values()) >= 0.85
    assert "| texts with a label | 85 % | 86 % | met | " in PAGE and {round(100 * one) for one in shares.values()} == {
        86
    }
    rule = shipped().about["inconsistency"]
    assert f"which takes two readings, {100 * rule['scored'] / rule['texts']:.0f} %" in PAGE
    two = questions()["conclusion"].card["two_classes"]["kappa"]
    assert f"as the goal was first put, it has kappa {two:.2f}." in PAGE


def test_the_groups_of_cues_are_all_of_them_and_stand_in_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    tool = runpy.run_path(str(ROOT / "tools" / "cue_gains.py"))
    assert set(CUES) <= {cue for cues in tool["GROUPS"].values() for cue in cues}
    shown = PAGE.partition(tool["BEGIN"])[2].partition(tool["END"])[0]
    assert all(f"| without {name} | " in shown for name in tool["GROUPS"])


def test_what_the_page_says_of_single_models_is_in_its_table() -> None:
    by_model = card("refusal")["by_model"]
    low, high = (by_model[name]["kappa"] for name in ("rStar-Coder-Qwen3-0.6B", "Phi-4-mini-reasoning"))
    assert f"rStar-Coder's refusals are read with kappa {low:.2f}, Phi-4-mini's with {high:.2f}." in PAGE


def test_the_statistics_page_has_the_card_s_spread_of_claimed_harm() -> None:
    labels, tables = shipped().taken_for(*HARM.split(":"))
    assert measures()["asr"].reads == (HARM,)
    found = manners(tables, [label == "unsafe" for label in labels])
    assert found is not None
    low, high = (round(100 * end(found.claimed)) for end in (min, max))
    page = " ".join((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").split())
    assert f"claimed of {low} to {high} % of the harmless replies of five models" in page and len(found.claimed) == 5


def test_the_audit_page_shows_how_well_each_is_read() -> None:
    page = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    for name in ("refusal", *PATTERNS):
        assert f"how well {name} is read: {shipped().measured(name)}" in page
