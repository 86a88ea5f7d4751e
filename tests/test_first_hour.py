"""What somebody meets in the first hour by doing one thing too early or giving one thing wrong: told, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from unwaver.cli import main
from unwaver.errors import EXIT_BAD_INPUT, EXIT_UNFINISHED

RECIPE = Path(__file__).parent.parent / "recipes" / "quickstart.toml"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("own.jsonl", '{"q": "How so?", "a": "Like this."}\n', "--map prompt=COLUMN"),
        ("own.csv", "frage,antwort\nWie?,So\n", "--map prompt=COLUMN"),
        ("own.jsonl", '{"prompt": "How so?", "a": "Like this."}\n', "--map response=COLUMN"),
        ("own.csv", "prompt,response\nOne, two and three?,Yes.\n", "needs quotes around it"),
    ],
)
def test_a_file_that_can_not_be_read_says_what_would_help(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content)
    assert main(["audit", str(tmp_path / name)]) == EXIT_BAD_INPUT
    assert told in capsys.readouterr().err


def test_an_empty_cell_is_not_answered_with_another_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.jsonl").write_text('{"prompt": "", "response": "Yes."}\n')
    assert main(["audit", str(tmp_path / "own.jsonl")]) == EXIT_BAD_INPUT
    told = capsys.readouterr().err
    assert "empty cell" in told and "--map" not in told


def test_comparing_before_anything_is_finished_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(RECIPE), "--root", str(tmp_path)]) == EXIT_UNFINISHED
    out, told = capsys.readouterr()
    assert "steps are owed" in told and out == ""


def test_a_limit_or_an_arm_that_is_none_is_told_before_anything_has_to_be_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", str(RECIPE), "--root", str(tmp_path), "--limits.safty", "0.1"]) == EXIT_BAD_INPUT
    assert "limits.safty" in capsys.readouterr().err
    assert (
        main(["gate", str(RECIPE), "--root", str(tmp_path), "--limits.asr", "0.1", "--arm", "imroved"])
        == EXIT_BAD_INPUT
    )
    assert "no such arm; there are raw, default, improved" in capsys.readouterr().err
    assert main(["gate", str(RECIPE), "--root", str(tmp_path), "--limits.asr", "0.1"]) == EXIT_UNFINISHED


@pytest.mark.parametrize(
    ("page", "told"),
    [("nowhere/page.html", "there is no folder"), ("", "is a folder"), ("own.jsonl", "is among what is read")],
)
def test_a_page_that_can_not_be_written_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], page: str, told: str
) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text(before := '{"prompt": "How so?", "response": "Like this, as everybody does it."}\n')
    assert main(["audit", str(own), "--html", str(tmp_path / page)]) == EXIT_BAD_INPUT
    out, err = capsys.readouterr()
    assert told in err and out == "" and own.read_text() == before


def test_a_recipe_in_place_of_a_study_is_answered_with_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", str(RECIPE)]) == EXIT_BAD_INPUT
    assert f"`unwaver run {RECIPE}` does it" in capsys.readouterr().err
