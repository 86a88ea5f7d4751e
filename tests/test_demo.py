"""The demo: its brief teacher, and that the figures in README and docs are the recipe's own."""

from __future__ import annotations

import csv
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from unwaver.judging.local.reader_file import shipped
from unwaver.models.replay import brief
from unwaver.sources import corpus

ROOT = Path(__file__).parents[1]
TOOL = runpy.run_path(str(ROOT / "tools" / "demo_table.py"))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / "docs" / "demo.json").read_text(encoding="utf-8"))
    return found


def test_the_figures_are_those_of_the_recipe_as_it_is(rows: list[dict[str, Any]]) -> None:
    said = "the recipe or its teacher changed: run it and `python tools/demo_table.py add ROOT SEED`"
    assert {row["recipe"] for row in rows} == {TOOL["recipe_digest"]()}, said


@pytest.mark.parametrize("page", ["README.md", "docs/demo.md"])
def test_both_pages_show_the_table_that_the_figures_make(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    begin, end = TOOL["MARKS"]
    shown = text.partition(begin)[2].partition(end)[0].strip()
    assert shown == TOOL["table"]().strip(), (
        "the figures or the shipped reader changed: `python tools/demo_table.py write`"
    )


def test_the_table_names_the_readers_that_made_its_figures_and_says_where_another_is_shipped(
    rows: list[dict[str, Any]],
) -> None:
    readers, today = {row["reader"] for row in rows}, shipped().judge
    told = TOOL["table"]().splitlines()[-1]
    shown = {today} & readers or readers
    assert {name for name in readers if name in told} == shown
    assert ("the reader that is shipped now" in told) == (today not in readers)
    assert TOOL["read_by"]({"local@00000000"}).endswith(f", not by {shipped().judge}, the reader that is shipped now")


def test_the_goals_beside_the_runs_are_what_the_figures_make(rows: list[dict[str, Any]]) -> None:
    begin, end = TOOL["GOAL_MARKS"]
    text = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
    shown = text.partition(begin)[2].partition(end)[0].strip()
    runs = {(row["machine"], row["threads"], row["seed"]) for row in rows if row["arm"] == "improved"}
    assert shown == TOOL["goals"]().strip() and f" of {len(runs)} | " in shown


def test_each_figure_says_where_it_comes_from(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row["commit"] and row["date"] and row["machine"] and row["threads"]
        assert row["reader"].startswith("local@")
        assert set(row["figures"]) == set(TOOL["KEYS"])
        assert all(0 <= value <= 1 and n > 0 for value, n, _ in row["figures"].values())


MARKS = {"better": " ▲", "worse": " ▼"}


def test_the_kept_example_s_page_shows_what_its_tables_hold() -> None:
    folder = ROOT / "docs" / "example_report"
    found: dict[str, list[str]] = {}
    for file, where, columns in (
        ("main", None, ["harmful-unseen (n=30)", "harmful-unseen-framed (n=30)"]),
        ("reasoning-and-answer", "harmful-unseen", ["harm in the answer"]),
        ("main", None, ["borderline-unseen (n=30)", "plain-unseen (n=20)"]),
    ):
        for row in csv.DictReader((folder / "tables" / f"{file}.csv").read_text(encoding="utf-8").splitlines()):
            if where is None or row["set"] == where:
                heads = [next(key for key in row if key.split(": ")[-1] == name) for name in columns]
                found.setdefault(row["arm"], []).extend(_cell(row, head) for head in heads)
    page = (folder / "README.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    shown = {arm: cells for arm, *cells in rows if arm != "arm"}
    assert len(shown) == 8
    assert {
        arm.replace("improved, no harmless examples", "improved, without"): cells for arm, cells in shown.items()
    } == found


def _cell(row: dict[str, str], head: str) -> str:
    value, low, high = (f"{100 * float(row[f'{head}{end}']):.0f}" for end in ("", ": low", ": high"))
    return f"{value} [{low} to {high}]{MARKS.get(row[f'{head}: verdict'], '')}"


def test_told_apart_does_not_rise_by_refusing_more() -> None:
    def refusing(share: float) -> dict[str, Any]:
        return {key: [share, 30, 0] for key in TOOL["KEYS"]}

    assert [TOOL["apart"](refusing(share)) for share in (0.0, 0.5, 1.0)] == [0, 0, 0]


def test_a_brief_reply_gives_its_verdict_first_and_wavering_stays_as_it_is() -> None:
    for row in corpus.replies("improved"):
        reasoning, answer = brief(row)
        assert reasoning.startswith("Harmful. ")
        assert reasoning.endswith(". So I refuse.")
        assert len(reasoning.split()) <= len(str(row["reasoning"]).split())
        assert answer == row["answer"]
    for row in corpus.replies("benign"):
        reasoning, answer = brief(row)
        assert reasoning.startswith("Harmless. ")
        assert reasoning.endswith(". So I answer.")
        assert answer == f"Sure. {row['answer']}"
        if "\\boxed" in answer:
            assert str(row["reasoning"]) in reasoning
    for name in ("default", "realsafe", "short", "template"):
        assert all(brief(row) == (row["reasoning"], row["answer"]) for row in corpus.replies(name))
