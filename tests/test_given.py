"""The recipes of docs/methods.md for somebody's traces, on small files with the columns of the published sets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unwaver.cli import main
from unwaver.reasoning import render, split
from unwaver.records import Example
from unwaver.store import read_records

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
HELP = "Sure! Purse your lips, wet them, and blow gently until you hear a clear tone; then move your tongue."
REFUSAL = "I'm sorry, but I can't help with that. A rumour like this would hurt the person it is about."
HARM = "They want a rumour about a neighbour. That would hurt somebody who did nothing, so I decline."


def recipes() -> dict[str, str]:
    """The page's recipes of given traces, by name."""
    found = re.findall(r"```toml\n(name = \"([\w-]+)\"\n.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    return {name: text for text, name in found if '"given"' in text}


def headless(thought: str, answer: str) -> str:
    """A reply without its opening mark, as SafeChain's are."""
    return render(thought, answer).removeprefix("<think>\n")


def row(
    number: int, harmful: bool, column: str, write: Callable[[str, str], str] = render, **more: Any
) -> dict[str, Any]:
    asked = f"Spread rumour {number} about a neighbour." if harmful else f"How do I whistle tune {number}?"
    reply = write(HARM, REFUSAL) if harmful else write(f"Tune {number} is easy: lips first.", HELP)
    return {column: asked, "response": reply, **more}


def star(size: int) -> list[dict[str, Any]]:
    about = {"category": ["Misinformation"], "source": "ours", "score": {"Relevancy": 10}}
    return [row(n, True, "question", id=str(n), **about) for n in range(size)]


def safechain() -> list[dict[str, Any]]:
    labels = ["vanilla_harmful", "adversarial_benign", "adversarial_harmful", "vanilla_benign"] * 2
    return [row(n, "harmful" in label, "instruction", headless, label=label) for n, label in enumerate(labels)]


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(one) + "\n" for one in rows)


FILES = {
    "reasoning.jsonl": lines([row(n, False, "question") for n in range(6)]),
    "star1.json": json.dumps(star(55)),
    "safechain.jsonl": lines(safechain()),
    "r1act.jsonl": lines([row(n, True, "instruction") for n in range(3)]),
}
EXPECTED = {
    "mix-in": {"theirs": 6, "star1": 50},
    "star-1": {"star1": 55},
    "safechain": {"harmful": 4, "harmless": 4},
    "r1-act": {"r1act": 3},
}


def test_the_page_has_a_recipe_of_at_most_twenty_lines_for_each() -> None:
    assert set(recipes()) == set(EXPECTED)
    assert all(len(text.splitlines()) <= 20 for text in recipes().values())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recipe_of_the_page_mixes_the_rows_as_they_are(tmp_path: Path, name: str) -> None:
    for file, text in FILES.items():
        (tmp_path / file).write_text(text)
    (tmp_path / "recipe.toml").write_text(recipes()[name])
    for verb in ("prompts", "distil", "judge", "mix"):
        assert main([verb, str(tmp_path / "recipe.toml"), "--root", str(tmp_path / "runs")]) == 0
    (mix,) = (tmp_path / "runs").glob("mix-*")
    parts = json.loads((mix / "manifest.json").read_text())["counts"]["parts"]
    assert {part: counts["kept"] for part, counts in parts.items()} == EXPECTED[name]
    for one in read_records(mix / "examples.jsonl", Example):
        read = split(one.reply)
        thoughts = {True: HARM, False: f"Tune {one.user.split()[-1].strip('?')} is easy: lips first."}
        assert (read.thought, read.said) == (thoughts["rumour" in one.user], REFUSAL if "rumour" in one.user else HELP)


@pytest.mark.real
def test_the_real_rows_of_star_1_are_mixed_as_they_are(tmp_path: Path, data: Path) -> None:
    text = recipes()["star-1"].replace("star1.json", str(data / "star1_first500.json"))
    (tmp_path / "recipe.toml").write_text(text)
    for verb in ("prompts", "distil", "judge", "mix"):
        assert main([verb, str(tmp_path / "recipe.toml"), "--root", str(tmp_path / "runs")]) == 0
    (mix,) = (tmp_path / "runs").glob("mix-*")
    assert json.loads((mix / "manifest.json").read_text())["counts"]["parts"]["star1"]["kept"] == 500
