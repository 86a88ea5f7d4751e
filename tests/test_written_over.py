"""Nothing that somebody has is written over: not what a command reads, by whatever name, and not what isn't ours."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import report_runs

from unwaver.cli import main
from unwaver.records import Example, Span
from unwaver.store import EXAMPLES, RunDir, Step
from unwaver.verbs import init

ROWS = [
    {
        "prompt": f"How do I mend lamp {n}?",
        "reasoning": "So, a plain question.",
        "response": "Like this.",
        "label": "no",
    }
    for n in range(6)
]
SPANS = (Span(text="Hi", trained=False), Span(text="Ho", trained=True))
EXAMPLE = Example(spans=SPANS, user="Hi", part="safety", kind="benign", prompt="p", trace=None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study, a mix and some files of one's own."""
    folder = tmp_path_factory.mktemp("made")
    report_runs.study(folder)
    with RunDir.open(Step("mix", "own", {}), folder / "runs") as out:
        out.write(EXAMPLES, [EXAMPLE])
        out.finish({"parts": {}})
    out.path.rename(folder / "mix-of-my-own")
    for name in ("rows.jsonl", "mine/rows.jsonl"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "mine" / "README.md").write_text("# Mine\n")
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "place", symlinks=True)
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evaluation(place: Path) -> str:
    return str(sorted(place.glob("runs/evaluate-*"))[0].relative_to(place))


def by_itself(path: Path) -> Path:
    return path


def by_a_link(path: Path) -> Path:
    link = path.with_name("link")
    link.symlink_to(path.name)
    return link


def by_a_second_name(path: Path) -> Path:
    second = path.with_name("second")
    os.link(path, second)
    return second


AMONG = "is among what is read"
COMMANDS: dict[str, tuple[list[str], str]] = {
    "a reader over its labels": (["reader", "train", "rows.jsonl", "--rubric", "x", "--out", "@rows.jsonl"], AMONG),
    "verdicts over an evaluation set": (
        ["audit", "mine/rows.jsonl", "--against", "own=rows.jsonl", "--out", "@rows.jsonl"],
        AMONG,
    ),
    "a page over an evaluation set": (
        ["audit", "mine/rows.jsonl", "--against", "own=rows.jsonl", "--html", "@rows.jsonl"],
        AMONG,
    ),
    "a page over the reader": (["audit", "mine", "--judge", "local:rows.jsonl", "--html", "@rows.jsonl"], AMONG),
    "a recipe over the prompts": (
        ["init", "@rows.jsonl", "--force", "--student", "x/y", "--harmful", "rows.jsonl"],
        AMONG,
    ),
}


@pytest.mark.parametrize("name", [by_itself, by_a_link, by_a_second_name], ids=lambda one: one.__name__)
@pytest.mark.parametrize("which", COMMANDS)
def test_no_command_writes_over_a_file_that_it_reads(
    which: str, name: Callable[[Path], Path], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, told = COMMANDS[which]
    other = str(name(place / "rows.jsonl").relative_to(place))
    before = held(place)
    assert main([other if word.startswith("@") else word for word in words]) == 2
    assert told in capsys.readouterr().err
    assert held(place) == before


FOLDERS: dict[str, tuple[list[str], str]] = {
    "a training set into its mix": (["export", "mix-of-my-own", "--to", "messages", "--out", "mix-of-my-own"], AMONG),
    "a training set below its mix": (
        ["export", "mix-of-my-own", "--to", "messages", "--out", "mix-of-my-own/dataset"],
        AMONG,
    ),
    "a training set beside somebody's README": (
        ["export", "mix-of-my-own", "--to", "messages", "--out", "mine"],
        "README.md: no export wrote it",
    ),
    "a log into the evaluation": (["export", "EVALUATION", "--to", "eval", "--out", "EVALUATION/logs"], AMONG),
    "a report into a run": (["report", "recipe.toml", "--root", "runs", "--out", "EVALUATION"], "is a run"),
    "directions into a run": (
        ["steer", "fit", "EVALUATION", "--rubric", "harm", "--out", "EVALUATION/traces.jsonl"],
        AMONG,
    ),
    "a reader into a run": (["reader", "train", "runs", "--rubric", "refusal", "--out", "runs/reader.npz"], AMONG),
    "two results in one file": (["audit", "rows.jsonl", "--out", "new.jsonl", "--html", "./new.jsonl"], "--out names"),
}


@pytest.mark.parametrize("which", FOLDERS)
def test_no_command_writes_into_what_it_reads_or_over_what_is_not_its_own(
    which: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, told = FOLDERS[which]
    before = held(place)
    assert main([word.replace("EVALUATION", evaluation(place)) for word in words]) == 2
    assert told in capsys.readouterr().err
    assert held(place) == before


def test_an_export_takes_the_place_of_an_earlier_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", "mix-of-my-own", "--to", "sharegpt", "--out", "new"]
    assert main(words) == 0
    first = held(place / "new")
    assert main(words) == 0
    assert held(place / "new") == first and "README.md" in first


def test_a_recipe_that_was_made_meanwhile_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two who answer the questions at once the second is told."""
    target = tmp_path / "recipe.toml"

    def meanwhile(_: object) -> str:
        target.write_text("another's")
        return "ours"

    monkeypatch.setattr(init, "_drafted", meanwhile)
    assert main(["init", str(target), "--student", "x/y"]) == 2
    assert "was made meanwhile" in capsys.readouterr().err and target.read_text() == "another's"
    assert main(["init", str(target), "--student", "x/y", "--force"]) == 0 and target.read_text() == "ours"
