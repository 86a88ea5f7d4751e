"""Training sets for other tools, read back with the real `datasets`, and the card that goes with them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unwaver.errors import RecipeError
from unwaver.kept import PART
from unwaver.reasoning import render, split
from unwaver.records import Example, Span
from unwaver.stages.export import alpaca_row, begin, messages_row, sharegpt_row, write_dataset

REPLIES = [render("Is it kind? Yes.\n<b>", "Here: a | b\nand `c`."), render("", "No."), "No block at all."]


def example(number: int, reply: str, user: str = "How do I bake\n  bread?") -> Example:
    return Example(
        prompt=f"p{number}",
        trace=f"t{number}" if number else None,
        user=user,
        spans=(Span(text=reply[:3], trained=False), Span(text=reply[3:], trained=True))
        if number == 2
        else (Span(text=reply, trained=True),),
        part="benign" if number else "safety",
        kind="benign",
    )


EXAMPLES = [example(number, reply) for number, reply in enumerate(REPLIES)]

CARD: dict[str, Any] = {
    "name": "kitchen | <script>",
    "note": "A toy.\x1b[31m\n\n# not a heading",
    "seed": 42,
    "keep": "guard-only",
    "parts": {
        "safety": {"wanted": 1, "kept": 1, "dropped": {"the guard did not call it safe": 7}},
        "benign": {"wanted": "all", "kept": 2},
    },
    "stages": {"distil": {"written": 12, "failed": 1}, "judge": {"unscored": 2}},
    "models": {"student": "hf:some/model@abc"},
    "teachers": ["openai:teacher@2025-01-01"],
    "sources": ["xstest/safe@f600c99", "mine@12345678"],
}


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return pytest.importorskip("datasets")


def loaded(datasets: Any, folder: Path, name: str | None = None) -> list[dict[str, Any]]:
    return list(datasets.load_dataset(str(folder), name, split="train", cache_dir=str(folder.parent / "cache")))


@pytest.mark.parametrize("form", ["messages", "parquet"])
def test_datasets_reads_the_folder(tmp_path: Path, datasets: Any, form: str) -> None:
    write_dataset(tmp_path / "set", EXAMPLES, CARD, [form, "alpaca"])
    rows = loaded(datasets, tmp_path / "set")
    assert rows == [messages_row(one) for one in EXAMPLES]
    assert [[turn["role"] for turn in row["messages"]] for row in rows] == [["user", "assistant"]] * 3
    assert [row["messages"][1]["content"] for row in rows] == REPLIES
    assert split(rows[0]["messages"][1]["content"]).reasoning == "\nIs it kind? Yes.\n<b>\n"


def test_datasets_finds_every_form_by_its_name(tmp_path: Path, datasets: Any) -> None:
    write_dataset(tmp_path / "set", EXAMPLES, CARD, ["alpaca", "messages", "sharegpt"])
    assert loaded(datasets, tmp_path / "set", "sharegpt") == [sharegpt_row(one) for one in EXAMPLES]
    assert loaded(datasets, tmp_path / "set", "alpaca") == [alpaca_row(one) for one in EXAMPLES]
    assert loaded(datasets, tmp_path / "set")[0] == messages_row(EXAMPLES[0])


def test_the_files_are_as_the_trainers_document_them(tmp_path: Path) -> None:
    files = write_dataset(tmp_path, EXAMPLES[:1], CARD, ["sharegpt", "alpaca"])
    assert [file.name for file in files] == ["sharegpt.json", "alpaca.json", "dataset_info.json", "README.md"]
    user, reply = EXAMPLES[0].user, REPLIES[0]
    assert json.loads(files[0].read_text()) == [
        {"conversations": [{"from": "human", "value": user}, {"from": "gpt", "value": reply}]}
    ]
    assert json.loads(files[1].read_text()) == [{"instruction": user, "input": "", "output": reply}]
    info = json.loads(files[2].read_text())
    assert info == {
        "kitchen____script__sharegpt": {
            "file_name": "sharegpt.json",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations"},
        },
        "kitchen____script__alpaca": {
            "file_name": "alpaca.json",
            "columns": {"prompt": "instruction", "query": "input", "response": "output"},
        },
    }


def test_the_card_says_what_it_is_made_of(tmp_path: Path) -> None:
    text = (write_dataset(tmp_path, EXAMPLES, CARD, ["messages"])[-1]).read_text()
    for line in [
        "| safety | 1 | 1 |",
        "| benign | all | 2 |",
        "| safety | the guard did not call it safe | 7 |",
        "| distil | failed | 1 |",
        "| student | hf:some/model | abc |",
        "| teacher | openai:teacher | 2025-01-01 |",
        "| xstest/safe | f600c99 | CC-BY-4.0 |",
        "| mine | 12345678 | not known to us |",
        "| seed | 42 |",
        "1 example holds stretches that are context",
    ]:
        assert line in text
    licensed = {**CARD, "licences": {"mine": "CC0-1.0"}}
    assert "| mine | 12345678 | CC0-1.0 |" in write_dataset(tmp_path, EXAMPLES, licensed)[-1].read_text()


def test_hostile_words_do_not_write_the_card(tmp_path: Path) -> None:
    text = write_dataset(tmp_path, EXAMPLES, CARD)[-1].read_text()
    assert "<script>" not in text and "\x1b" not in text and "\n# not a heading" not in text
    assert text.startswith("---\nlicense: other\n") and text.count("\n---\n") == 1


def test_what_can_not_be_written(tmp_path: Path) -> None:
    for formats, examples, message in [
        (["jsonl"], EXAMPLES, "format `jsonl`: expected one of messages, parquet, sharegpt, alpaca"),
        (["messages", "parquet"], EXAMPLES, "one of the two"),
        (["messages"], [], "no examples"),
    ]:
        with pytest.raises(RecipeError, match=message):
            write_dataset(tmp_path / "none", examples, {}, formats)
    assert not (tmp_path / "none").exists()


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    formats = ["sharegpt", "messages", "alpaca"]
    first = [file.read_bytes() for file in write_dataset(tmp_path / "a", EXAMPLES, CARD, formats)]
    assert first == [file.read_bytes() for file in write_dataset(tmp_path / "b", EXAMPLES, CARD, formats)]


KILLED = """
import os, signal, sys
from pathlib import Path
from unwaver.records import Example
from unwaver.stages.export import write_dataset

def examples():
    for number in range(5000):
        if number == 4000:
            os.kill(os.getpid(), signal.SIGKILL)
        yield Example.model_validate_json(sys.argv[2])

write_dataset(Path(sys.argv[1]), examples(), {}, sys.argv[3].split(","))
"""


@pytest.mark.parametrize("formats", [["messages"], ["parquet"], ["sharegpt", "alpaca"]])
def test_a_killed_export_leaves_no_half_of_a_set_and_no_card_of_another(tmp_path: Path, formats: list[str]) -> None:
    """The set of an earlier export stays whole; a card stands beside no other set than its own."""
    former = {file.name: file.read_bytes() for file in write_dataset(tmp_path, EXAMPLES, CARD, formats)}
    command = [sys.executable, "-c", KILLED, str(tmp_path), EXAMPLES[0].model_dump_json(), ",".join(formats)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    left = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.suffix != PART}
    former.pop("README.md")
    assert left == former
    again = {file.name: file.read_bytes() for file in write_dataset(tmp_path, EXAMPLES, CARD, formats)}
    assert "README.md" in again and again.items() >= former.items()


@pytest.mark.parametrize("then", ["messages", "parquet", "alpaca"])
def test_no_file_of_another_format_is_left_beside_a_card_that_does_not_tell_of_it(tmp_path: Path, then: str) -> None:
    write_dataset(tmp_path, EXAMPLES, CARD, ["sharegpt"])
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(RecipeError, match=r"holds sharegpt\.json, of a set in another format"):
        write_dataset(tmp_path, EXAMPLES[:1], CARD, [then])
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_nothing_that_an_older_set_says_to_other_tools_stays_beside_pairs(tmp_path: Path) -> None:
    """Both sets have a `train.jsonl`, and only one of them a `dataset_info.json` that says what is in it."""
    write_dataset(tmp_path, EXAMPLES, CARD, ["messages"])
    assert begin(tmp_path, ["train.jsonl"]) == tmp_path / "README.md"
    assert [file.name for file in tmp_path.iterdir()] == ["train.jsonl"]


@settings(max_examples=100, deadline=None)
@given(user=st.text(), reply=st.text())
def test_any_text_comes_back_from_the_files(tmp_path_factory: pytest.TempPathFactory, user: str, reply: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    files = write_dataset(folder, [example(1, reply, user)], {"name": user}, ["messages", "sharegpt", "alpaca"])
    row = json.loads(files[0].read_text(encoding="utf-8").split("\n")[0])
    assert [turn["content"] for turn in row["messages"]] == [user, reply]
    assert json.loads(files[2].read_text(encoding="utf-8"))[0]["output"] == reply


def test_a_lone_surrogate_becomes_a_question_mark(tmp_path: Path) -> None:
    files = write_dataset(tmp_path, [example(1, "so \ud800 it goes")], {"name": "\udfff"}, ["messages"])
    assert "so ? it goes" in files[0].read_text(encoding="utf-8")
