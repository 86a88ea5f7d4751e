"""What comes from data reaches a terminal as plain text, whatever the terminal, and no path is broken on the way."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unwaver import cli
from unwaver.plain import visible
from unwaver.records import Prompt, Trace
from unwaver.report import charts, write
from unwaver.store import to_line

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\x08\r"
HOSTILE = {
    "closing tag": "[/x]",
    "link": "[link=https://evil.invalid/]click[/link]",
    "colour": "[bold red]BOLD",
    "emoji": ":skull:",
    "escapes": ESCAPES,
    "hyperlink": "\x1b]8;;https://evil.invalid/\x1b\\click\x1b]8;;\x1b\\",
    "turned round": "\u202egnp.exe\u2066",
    "invisible": "a\u200bb\u2060c\U000e0041",
    "no character": "a\ufffeb\uffff\U0001fffe\ufdd0",
}
ACTING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u2069\ufdd0\ufffe\uffff\U000e0041\U0001fffe]"
)

RECIPE = """
name = "x"
models.student = "hf:none/none"
models.teacher = "replay:corpus"
mix.parts = {{ {key} = 1 }}
[prompts.{key}]
source = "file"
path = "rows.jsonl"
kind = "benign"
"""


def unwaver(*words: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "unwaver.cli", *words],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
    )


def in_terminal(command: list[str], columns: int = 60, **environment: str) -> tuple[int, str]:
    """The exit code and all that a program writes to a terminal of its own."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update({"HF_HUB_OFFLINE": "1", "COLUMNS": str(columns), "TERM": "xterm-256color", **environment})
        os.execvp(command[0], command)
    said = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux's word for the end of a terminal
            break
        if not piece:
            break
        said += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode(errors="replace")


def ours(text: str) -> str:
    """What a terminal was sent, without the colours and line ends that are ours."""
    return re.sub(r"\x1b\[[\d;]*[mKAGJ]|\x1b\[\?25[lh]|\x1b\[1A|\r\n|\r", "\n", text)


def traced(folder: Path, text: str) -> Path:
    prompt = Prompt(text=f"Hello {text}", kind="benign", category=text, source=text, attack=text)
    trace = Trace(prompt=prompt, model=text, answer=f"Sure. {text}", ending="stop")
    path = folder / "traces.jsonl"
    path.write_text(to_line(trace), encoding="utf-8", errors="surrogatepass")
    return path


@given(st.text(st.characters()))
def test_nothing_that_acts_passes(text: str) -> None:
    assert not ACTING.search(visible(text).replace("\t", ""))


@pytest.mark.parametrize("which", HOSTILE)
def test_a_record_is_shown_as_it_is(which: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = traced(tmp_path, HOSTILE[which])
    for words in ([str(path)], [str(path), "--reveal"], [str(tmp_path / "other.jsonl")]):
        (tmp_path / "other.jsonl").write_text(json.dumps({HOSTILE[which]: {HOSTILE[which]: [HOSTILE[which]]}}) + "\n")
        assert cli.main(["show", *words]) == 0
        shown = capsys.readouterr().out
        assert not ACTING.search(shown)
        assert " ".join(visible(HOSTILE[which]).split()) in shown


@pytest.mark.parametrize("which", HOSTILE)
def test_a_file_with_hostile_columns_is_audited_and_told_as_it_is(
    which: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    wrong = {HOSTILE[which]: 1, "prompt": "x"}
    for rows, code in (([wrong, {"prompt": "a", "response": "b"}], 0), ([wrong], None)):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = cli.main(["audit", str(path)])
        said = capsys.readouterr()
        assert found in ((0, 2) if code is None else (code,))
        assert not ACTING.search(said.out + said.err)


@pytest.mark.real
def test_a_name_of_a_set_acts_in_no_bar_and_in_no_list(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "Hello"}\n')
    names = [re.sub(r"[^\x00-\uffff]", "", name) for name in HOSTILE.values()]  # TOML writes those in another way
    parts = ", ".join(f"{json.dumps(name)} = 1" for name in names)
    recipe = 'name = "x"\nmodels.student = "hf:none/none"\nmodels.teacher = "replay:corpus"\n'
    recipe += f"mix.parts = {{ {parts} }}\n"
    for name in names:
        recipe += f'[prompts.{json.dumps(name)}]\nsource = "file"\npath = "rows.jsonl"\nkind = "benign"\n'
    (tmp_path / "recipe.toml").write_text(recipe)
    root = tmp_path / "runs"
    command = [sys.executable, "-m", "unwaver.cli"]
    for words in (["prompts", str(tmp_path / "recipe.toml"), "--root", str(root)], ["show", str(root)]):
        code, said = in_terminal([*command, *words])
        assert code == 0, said
        assert not ACTING.search(ours(said)) and "\x1b]" not in said


def test_bars_and_boards_take_no_markup_from_names() -> None:
    program = (
        "from unwaver.progress import bar, board\n"
        f"names = {list(HOSTILE.values())!r}\n"
        "for name in names:\n"
        "    with bar(name, 2) as one: one.advance(); one.advance()\n"
        "    with board({name: 2}) as two: two.show({name: 1}, {name: 1})\n"
    )
    code, said = in_terminal([sys.executable, "-c", program], columns=200)
    assert code == 0, said
    assert "\x1b]" not in said and not ACTING.search(ours(said))
    assert "[/x]" in said and ":skull:" in said


def test_a_file_name_acts_in_no_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = f"{tmp_path}/{ESCAPES}"
    for words in (["show", evil], ["audit", evil], ["check", evil], [evil], ["compare", evil, evil]):
        assert cli.main(words) == 2
        assert not ACTING.search(capsys.readouterr().err)
    with pytest.raises(SystemExit):
        cli.main(["show", "a", evil])
    assert not ACTING.search(capsys.readouterr().err)


def test_a_bug_of_ours_shows_no_escape_either(tmp_path: Path) -> None:
    program = f"import sys; from unwaver import cli; cli._bug(ValueError, ValueError({ESCAPES!r}), None)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert b"ValueError" in done.stderr and b"\x1b" not in done.stderr


# Paths


@pytest.mark.real
@pytest.mark.parametrize("columns", ["20", "250"])
@pytest.mark.parametrize("length", [10, 240])
def test_no_path_is_broken(
    columns: str, length: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / ("a b-" * (length // 4)).strip()
    home.mkdir()
    traced(home, "x")
    long = "m" * 150
    (home / "recipe.toml").write_text(
        f'name = "x"\n[models]\nstudent = "hf:./{long}"\nteacher = "replay:corpus"\n[prompts]\n[mix]\nparts = {{}}\n'
    )
    (home / "rows.jsonl").write_text('{"path": "' + str(home) + '/rows.jsonl"}\n')
    (home / "audited.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    (home / "run-1").mkdir()
    (home / "run-1" / "config.json").write_text('{"stage": "mix", "name": "' + long + '"}')
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("HOME", str(home))
    for words, wanted in (
        (["doctor", str(home / "recipe.toml")], f"{home}/{long}"),
        (["show", str(home / "traces.jsonl")], str(home / "traces.jsonl")),
        (["show", str(home / "rows.jsonl")], str(home / "rows.jsonl")),
        (["show", str(home)], long),
        (["audit", str(home / "audited.jsonl"), "--against", "corpus/plain"], str(home / "audited.jsonl")),
    ):
        assert cli.main(words) == 0
        assert wanted in capsys.readouterr().out
    if columns == "250":  # a wide terminal breaks nothing that a narrow one doesn't
        return
    for words, wanted in ((["show", str(home)], long), (["show", str(home / "rows.jsonl")], str(home / "rows.jsonl"))):
        _, said = in_terminal([sys.executable, "-m", "unwaver.cli", *words], int(columns))
        assert wanted in re.sub(r"\x1b\[[\d;]*m", "", said)


# Streams


@pytest.mark.real
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_takes_any_text(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = traced(tmp_path, "é \u2265 \U0001f600 漢 \ud800")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(key='"é≥漢"'), encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text('{"text": "Hello"}\n')
    (tmp_path / "audited.jsonl").write_text('{"prompt": "é", "response": "≥"}\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    for words in (
        ["show", str(path)],
        ["audit", "audited.jsonl"],
        ["doctor"],
        ["check", "recipe.toml", "--no-student", "--root", "é≥"],
        ["prompts", "recipe.toml", "--root", "é≥"],
        ["check", "recipe.toml", "--é≥", "1"],
    ):
        assert cli.main(words) == (2 if "--é≥" in words else 0), words
    assert cli.main(["show", str(path)]) == 0


@pytest.mark.real
def test_an_encoding_of_the_environment_is_taken_too(tmp_path: Path) -> None:
    done = unwaver("show", str(traced(tmp_path, "é≥")), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "\\xe9\\u2265" in done.stdout


def test_the_path_of_a_result_is_exact_whatever_the_encoding(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "Hello"}\n')
    (tmp_path / "recipe.toml").write_text(RECIPE.format(key="mine"))
    root = os.fsencode(tmp_path) + b"/\xc3\xa9\xff"
    done = subprocess.run(
        [sys.executable, "-m", "unwaver.cli", "prompts", "recipe.toml", "--root", root],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert Path(os.fsdecode(done.stdout.rstrip(b"\n"))).is_dir()


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def buffering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python does at its end differs: what it couldn't write before, it tries once more."""
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)


@pytest.mark.real
@pytest.mark.usefixtures("buffering")
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&-", "| true", "2>&1 | true"])
def test_streams_that_are_closed_are_nobodys_fault(closed: str, tmp_path: Path) -> None:
    path = traced(tmp_path, "x")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(key="mine"))
    (tmp_path / "rows.jsonl").write_text('{"text": "Hello"}\n')
    root = tmp_path / "runs"
    help_too = ["--help"] if closed in (">&-", "| true") else []
    for words in (*help_too, f"show {path}", f"prompts recipe.toml --root {root}"):
        line = f"set -o pipefail; {sys.executable} -m unwaver.cli {words} {closed}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (done.returncode, done.stdout if ">&-" in closed and not closed.startswith("2") else "") == (0, "")
        assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert list(root.glob("*/manifest.json"))


@pytest.mark.real
@pytest.mark.usefixtures("buffering")
def test_a_stdout_that_takes_no_more_is_named(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "unwaver.cli", "show", str(traced(tmp_path, "x"))],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == "unwaver show: standard output: no space left on device\n"


def test_a_broken_pipe_that_is_not_stdout_stays_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> Any:
        raise BrokenPipeError

    monkeypatch.setattr("unwaver.recipe_file.read_toml", broken)
    with pytest.raises(BrokenPipeError):
        cli.main(["check", "recipe.toml"])


# Figures


@pytest.mark.real
def test_a_name_that_holds_no_characters_is_drawn(tmp_path: Path) -> None:
    """In a process of its own, which the converter would abort."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[2]); import report_results as made_up\n"
        "from pathlib import Path; from unwaver.report import write\n"
        "arms = ('a\\ufffeb', 'c\\uffffd', '\\ufdd0\\U0010ffff')\n"
        "write.write_results(made_up.results(arms, per_set=6), Path(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parent)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    html = (tmp_path / write.PAGE).read_text()
    assert "\ufffe" not in html and "a⟨U+FFFE⟩b" in html


def test_every_text_of_a_figure_is_made_visible() -> None:
    rows = charts.data([{"arm": f"a{text}", "n": 1} for text in HOSTILE.values()])
    chart = made_up_bars(rows)
    drawn = charts.draw(charts.Figure("f", "T", "C", "A", chart))
    assert not ACTING.search(drawn.svg)


def made_up_bars(rows: Any) -> Any:
    import altair as alt

    return alt.Chart(rows).mark_bar().encode(x="n:Q", y="arm:N")
