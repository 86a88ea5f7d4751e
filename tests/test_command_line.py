"""Words on the command line that can't be right: one message that names them, exit code 2 or 3, and no traceback."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from pathlib import Path

import pytest

from unwaver import cli, online
from unwaver.errors import RecipeError, RecordError, pip_install
from unwaver.store import disk_errors, read_manifest, sealed

MADE = {"stage": "mix", "name": "x", "digest": "", "counts": {"parts": {}}, "finished": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["check", "/proc/self/mem"], "/proc/self/mem: input/output error"),
        (["show", "/proc/self/mem"], "/proc/self/mem: input/output error"),
        (["show", "{folder}/rows.jsonl", "--limit", "-3"], "--limit -3: expected 0 or more"),
        (["show", "{folder}/empty.jsonl"], "empty.jsonl: holds no records"),
        (["show", "{folder}/deep.jsonl"], "deep.jsonl:1: not readable: nested too deeply"),
        (["export", "{folder}/mix", "--to", "messages", "--out", "{folder}/rows.jsonl"], "rows.jsonl: file exists"),
        (["export", "{folder}/mix", "--to", "messages", "--out", "{folder}/rows.jsonl/x"], "x: not a directory"),
        (
            ["export", "{folder}/odd", "--to", "messages", "--out", "{folder}/x"],
            "odd/manifest.json: expected an object",
        ),
        (["report", "{folder}/recipe.toml", "--traces", "-1"], "--traces -1: expected 0 or more"),
    ],
)
def test_what_can_not_be_is_told_in_one_line(
    tmp_path: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    for name in ("mix", "odd"):
        (tmp_path / name).mkdir()
    example = '{"prompt": "1", "trace": null, "user": "Hi", "spans": [{"text": "Yes", "trained": true}], "part": "p", "kind": "benign"}'
    (tmp_path / "mix" / "examples.jsonl").write_text(example + "\n")
    (tmp_path / "mix" / "config.json").write_text('{"stage": "mix"}')
    (tmp_path / "mix" / "manifest.json").write_text(json.dumps(sealed(tmp_path / "mix", MADE)))
    (tmp_path / "odd" / "manifest.json").write_text("[]")
    assert cli.main([word.format(folder=tmp_path) for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"unwaver {words[0]}: ") and told in line


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("prompts.mine.source", "corpus/harmfull", "prompts.mine: no source `corpus/harmfull`; did you mean `corpus/"),
        ("prompts.mine.templates", "corpsu", "prompts.mine: corpsu: there is no such file"),
        ("prompts.mine.columns.txt", "a", "prompts.mine: columns.txt: no such field; expected one of text"),
        ("prompts.mine.split", "heldout", "prompts.mine: source `file`: no prompts in"),
    ],
)
@pytest.mark.parametrize("verb", ["check", "prompts"])
def test_a_prompt_set_that_can_not_be_had_is_named(
    tmp_path: Path, verb: str, key: str, value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "x"\nmodels.student = "hf:none/none"\nmodels.teacher = "replay:corpus"\nmix.parts = { mine = 1 }\n'
        '[prompts.mine]\nsource = "file"\npath = "rows.jsonl"\nkind = "benign"\n'
    )
    (tmp_path / "rows.jsonl").write_text('{"text": "Hi"}\n')
    more = ["--no-student"] if verb == "check" else []
    assert cli.main([verb, str(recipe), "--root", str(tmp_path / "runs"), *more, f"--{key}", value]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "mine.toml", "--rot", "x"], "--rot: no such flag and no setting; did you mean `--root`?"),
        (["check", "mine.toml", "--tyr"], "--tyr: no such flag and no setting; did you mean `--try`?"),
        (
            ["gate", "mine.toml", "--trian.epochs=2"],
            "--trian.epochs: no such flag and no setting; did you mean `--train",
        ),
        (["doctor", "--gpuu"], "--gpuu: no such flag and no setting; did you mean `--gpu`?"),
        (["audit", "rows.jsonl", "--rubrik", "x"], "--rubrik: no such flag; did you mean `--rubric`?"),
        (["publish", "runs/x", "--too", "a/b"], "--too: no such flag; did you mean `--to`?"),
        (["show", "runs/x", "--quite-another"], "--quite-another: no such flag; `unwaver show --help` lists them"),
    ],
)
def test_a_mistyped_flag_is_told_in_one_line_with_what_is_near(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"unwaver {words[0]}: {told}")


def test_a_models_folder_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has a `config.json` too."""
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert cli.main(["show", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err
    assert cli.main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert "is no run of a stage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"url": "file:///a%20b", "dir_info": {"editable": True}}, "pip install -e '/a b[hub]'"),
        ({"url": "file:///a", "dir_info": {}}, "pip install '/a[hub]'"),
        ({"url": "https://x.org/y", "vcs_info": {"vcs": "git"}}, "pip install 'unwaver[hub] @ git+https://x.org/y'"),
        ({}, "pip install '.[hub]' in a clone of unwaver"),
    ],
)
def test_an_extra_is_installed_from_where_the_package_came(
    source: dict[str, object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str:
            return json.dumps(source)

    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Installed())
    assert pip_install("hub") == told


def test_a_librarys_log_is_not_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    """As DeepSpeed makes its own when it is imported."""
    assert cli.main(["--version"]) == 0
    log = logging.getLogger("DeepSpeed")
    log.addHandler(handler := logging.StreamHandler(sys.stdout))
    try:
        log.warning("no GPU")
        log.error("broken")
    finally:
        log.removeHandler(handler)
    out, err = capfd.readouterr()
    assert out.startswith("unwaver ") and len(out.splitlines()) == 1
    assert err == "DeepSpeed: broken\n"


@pytest.mark.parametrize("words", [["audit", ""], ["check", ""], ["show", ""], ["run", "r.toml", "--root", ""]])
def test_an_empty_word_is_no_folder(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert "one of the arguments is empty" in capsys.readouterr().err


def test_a_full_disk_is_unfinished_wherever_it_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, cut: object = None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("unwaver.recipe_file.read_toml", full)
    assert cli.main(["check", str(tmp_path / "recipe.toml")]) == 3
    assert "recipe.toml: no space left on device" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "flag"), [("distil", "--samples"), ("judge", "--guard"), ("mix", "--keep"), ("train", "--learning-rate")]
)
def test_a_stages_help_lists_its_own_settings(verb: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    assert f"  {flag} (default: " in capsys.readouterr().out


def test_doctor_cuts_no_name_short(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    address = "https://" + "a" * 200 + "/v1"
    monkeypatch.setattr(
        "unwaver.verbs.doctor.findings", lambda *_: iter([("judge: server", False, address, "start it")])
    )
    assert cli.main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("a") >= 200 and "…" not in shown


def test_a_bug_of_ours_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    monkeypatch.setattr("unwaver.recipe_file.read_toml", broken)
    with pytest.raises(ConnectionResetError):
        cli.main(["check", str(tmp_path / "recipe.toml")])


def test_a_disk_error_names_the_file_that_it_is_about(tmp_path: Path) -> None:
    with (
        pytest.raises(Exception, match="other: permission denied; nothing already written is lost"),
        disk_errors(tmp_path),
    ):
        raise PermissionError(errno.EACCES, "Permission denied", "other")


def test_a_manifest_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("3")
    with pytest.raises(RecordError, match="expected an object, got int"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "address", ["http://[::1", "http://h:abc", "http://h:99999", "http://", "ftp://h", "http://a b"]
)
def test_an_address_of_the_hub_that_is_none_is_told_by_every_verb(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert cli.main(["--help"]) == 0
    capsys.readouterr()
    for verb in cli.VERBS:
        assert cli.main([verb, "nothing"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"unwaver {verb}: HF_ENDPOINT={address}: this address can't be used: ")


@pytest.mark.parametrize("name", ["https_proxy", "ALL_PROXY", "HF_ENDPOINT"])
def test_the_hub_is_not_looked_for_at_an_address_that_is_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv(name, "http://[::1")
    with pytest.raises(RecipeError, match=name):
        online.reachable()


def test_a_number_of_thousands_of_digits_in_a_recipe_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.toml").write_text(f'name = "x"\nseed = {"9" * 5000}\n')
    assert cli.main(["check", str(tmp_path / "r.toml")]) == 2
    assert "r.toml: not readable as TOML" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000])
def test_a_flag_that_no_toml_reader_takes_is_a_text(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.toml").write_text('name = "x"\n')
    assert cli.main(["check", str(tmp_path / "r.toml"), "--seed", value]) == 2
    assert "seed" in capsys.readouterr().err


def test_a_folder_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert cli.main(["show", "runs"]) == 2
    assert "is no longer there" in capsys.readouterr().err


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_is_no_file_of_rows(linked: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "rows.jsonl")
    (tmp_path / "link.jsonl").symlink_to("rows.jsonl")
    assert cli.main(["audit", str(tmp_path / ("link.jsonl" if linked else "rows.jsonl"))]) == 2
    assert "is no file but a pipe" in capsys.readouterr().err
