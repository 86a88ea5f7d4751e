"""Finished runs that are no longer what they were: told by whoever reads them and by `unwaver verify`, never figured.

What an interrupted copy, a power cut or an editor does to a run is done to one on purpose.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import report_runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_server import Handler, serving

from unwaver import kept, recipe_file, store
from unwaver.cli import main
from unwaver.errors import RecordError, RunError
from unwaver.kept import write_whole
from unwaver.ledger import Ledger
from unwaver.records import Example, Reply, Span
from unwaver.stages.export import write_dataset
from unwaver.stages.judge import readers_beside
from unwaver.store import STAGES, RunDir, Step, read_manifest, read_rows
from unwaver.study import beside
from unwaver.study.results import collect
from unwaver.study.steps import plans


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    report_runs.study(folder, "[limits]\nasr = 1.0\n")
    return folder


def _plans(folder: Path) -> Any:
    path = folder / "recipe.toml"
    return plans(recipe_file.arms(recipe_file.read_toml(path), path, {}))


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "runs"


def cut(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:1]))


def emptied(path: Path) -> None:
    path.write_text("")


def doubled(path: Path) -> None:
    path.write_text(path.read_text() * 2)


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def swapped(path: Path) -> None:
    """Another order, as large and as long."""
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))


def zeroed(path: Path) -> None:
    """What some file systems leave after a power cut."""
    path.write_bytes(bytes(path.stat().st_size))


def edited(path: Path) -> None:
    path.write_text(path.read_text().replace("a", "b", 1))


def another_end(path: Path) -> None:
    """A line behind the last, torn."""
    path.write_text(path.read_text() + '{"step": 5, "lo')


SPOILT: list[Callable[[Path], None]] = [cut, emptied, doubled, torn, swapped, zeroed, edited, another_end, Path.unlink]


@pytest.mark.real
@pytest.mark.parametrize("spoil", SPOILT, ids=lambda one: one.__name__)
@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("evaluate", "traces.jsonl"),
        ("distil", "traces.jsonl"),
        ("judge", "verdicts.jsonl"),
        ("mix", "traces.jsonl"),
        ("train", "loss.jsonl"),
    ],
)
def test_a_record_file_that_is_not_what_it_was_is_named_and_not_figured(
    stage: str, name: str, spoil: Callable[[Path], None], runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = min(one for one in runs.glob(f"{stage}-*/{name}") if len(one.read_text().splitlines()) > 1)
    before = path.read_bytes()
    spoil(path)
    spoilt = path.read_bytes() if path.exists() else None
    assert spoilt != before
    if not (stage == "train" and spoilt is None):  # a report without a loss curve is none that is wrong
        with pytest.raises(RecordError, match=f"{path.parent.name}/{name}"):
            collect(_plans(runs.parent), runs)
        assert main(["report", str(runs.parent / "recipe.toml"), "--root", str(runs)]) == 2
        assert name in capsys.readouterr().err
    assert main(["verify", str(runs)]) == 2
    wrong = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("whole")]
    assert len(wrong) == 1 and wrong[0].startswith("WRONG") and str(path.parent) in wrong[0] and name in wrong[0]


def test_a_pipe_that_bears_the_name_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "out"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "told")
    assert os.read(reader, 10) == b"told" and pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]
    os.close(reader)


def test_an_undisturbed_study_is_whole_one_line_a_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list(runs.glob("*/manifest.json")))
    assert all(line.startswith("whole") and "lines" in line for line in lines)
    one = next(runs.glob("evaluate-*"))
    assert main(["verify", str(one)]) == 0
    assert capsys.readouterr().out.splitlines() == [line for line in lines if str(one) in line]


def test_unfinished_runs_are_told_apart_from_wrong_ones(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next(runs.glob("evaluate-*/manifest.json")).unlink()
    assert main(["verify", str(runs)]) == 3
    assert sum(line.startswith("not finished") for line in capsys.readouterr().out.splitlines()) == 1
    emptied(next(runs.glob("mix-*/traces.jsonl")))
    assert main(["verify", str(runs)]) == 2


@pytest.mark.parametrize("content", ["{}", "", "null", '{"finished": 1}', '{"stage": "mix"', "[]", '{"counts": {}}'])
def test_a_manifest_that_is_none_is_one_line_and_not_a_traceback(
    content: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(runs.glob("evaluate-*/manifest.json"))
    path.write_text(content)
    for words in (["report", str(runs.parent / "recipe.toml"), "--root", str(runs)], ["show", str(path.parent)]):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert str(path) in line
    assert main(["verify", str(runs)]) == 2
    assert str(path) in capsys.readouterr().out


def test_a_run_under_another_name_and_an_old_one_are_not_called_whole(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = next(runs.glob("mix-*"))
    one.rename(one.with_name("mix-00000000"))
    assert main(["verify", str(runs / "mix-00000000")]) == 2
    assert one.name in capsys.readouterr().out
    other = next(runs.glob("distil-*"))
    manifest = json.loads((other / "manifest.json").read_text())
    del manifest["files"]
    (other / "manifest.json").write_text(json.dumps(manifest))
    assert main(["verify", str(other)]) == 2
    assert "`files` is missing or none" in capsys.readouterr().out


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def put_at(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with another in one place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = put_at(value[path[0]], path[1:], new)
    return copy


def told_of(words: list[str]) -> tuple[int, str]:
    """Exit code and what was said, of a command that must not raise."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(words)
    return code, said.getvalue()


def readings_of(run: Path) -> list[list[str]]:
    """The commands that read a run's manifest."""
    root, recipe = run.parent, run.parent.parent / "recipe.toml"
    (one, *_) = root.glob("evaluate-*")
    other = run if run.name.startswith("evaluate") else one
    told = [["verify", str(root)], ["show", str(run)], ["show", str(root)]]
    if run.name.startswith("prompts"):
        return told  # no figure rests on it but through what was made of it
    return [
        *told,
        ["report", str(recipe), "--root", str(root)],
        ["gate", str(recipe), "--root", str(root)],
        ["compare", str(recipe), "--root", str(root)],
        *([["compare", str(one), str(other)]] if other is run else []),
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_any_place_of_a_manifest_is_one_line_with_its_file(finished: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(finished.glob("runs/*/manifest.json"))))
    written = path.read_text(encoding="utf-8")
    was = json.loads(written)
    other = put_at(was, data.draw(st.sampled_from(sorted(places(was), key=str))), data.draw(JSON))
    words = data.draw(st.sampled_from(readings_of(path.parent)[:5]))
    path.write_text(json.dumps(other), encoding="utf-8")
    try:
        code, said = told_of(words)
    finally:
        path.write_text(written, encoding="utf-8")
    same = json.dumps(other, sort_keys=True) == json.dumps(was, sort_keys=True)
    assert (code == 0) if same else (code == 2 and str(path) in said)


NONSENSE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no files": lambda was: {**was, "files": None},
    "files a list": lambda was: {**was, "files": []},
    "a number for a file": lambda was: {**was, "files": dict.fromkeys(was["files"], 7)},
    "another file": lambda was: {**was, "files": {"other.jsonl": {}}},
    "weights a list": lambda was: {**was, "weights": [1]},
    "weights a number": lambda was: {**was, "weights": {"model/a": 3}},
    "versions a number": lambda was: {**was, "versions": 7},
    "counts a list": lambda was: {**was, "counts": []},
    "counts of nothing": lambda was: {**was, "counts": {"other": 1}},
    "a word for a count": lambda was: {**was, "counts": {"written": "many"}},
    "seconds a word": lambda was: {**was, "seconds": "long"},
    "seconds endless": lambda was: {**was, "seconds": float("inf")},
    "another's digest": lambda was: {**was, "digest": "0" * 20},
    "another stage": lambda was: {**was, "stage": "serve"},
    "an escape in a name": lambda was: {**was, "name": "\x1b[2J"},
    "no seal": lambda was: {key: value for key, value in was.items() if key != "seal"},
    "a seal of nothing": lambda was: {**was, "seal": None},
    "deep": lambda was: "[" * 200_000,
    "deep within": lambda was: json.dumps(was)[:-1] + ', "x": ' + "[" * 200_000,
    "a number without end": lambda was: json.dumps(was)[:-1] + ', "x": ' + "9" * 5000 + "}",
    "half a surrogate": lambda was: {**was, "name": "\ud800"},
    "Latin-1": lambda was: json.dumps({**was, "name": "\u00e9"}, ensure_ascii=False).encode("latin-1"),
    "zeros": lambda was: bytes(400),
    "twice": lambda was: json.dumps(was) * 2,
}


SLOWER = [pytest.param(stage, marks=pytest.mark.real) for stage in STAGES if stage != "evaluate"]


@pytest.mark.parametrize("stage", ["evaluate", *SLOWER])
@pytest.mark.parametrize("which", NONSENSE)
def test_nonsense_in_a_manifest_is_one_line_wherever_it_is_read(which: str, stage: str, runs: Path) -> None:
    path = min(runs.glob(f"{stage}-*/manifest.json"))
    other = NONSENSE[which](json.loads(path.read_text(encoding="utf-8")))
    content = other if isinstance(other, bytes) else other if isinstance(other, str) else json.dumps(other)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for words in readings_of(path.parent):
        code, said = told_of(words)
        assert code == 2 and str(path) in said and "\x1b" not in said, words
        assert words[0] == "verify" or len(said.splitlines()) == 1, said


def test_a_run_that_is_another_runs_copy_is_told(runs: Path) -> None:
    one, other = sorted(runs.glob("prompts-*"))[:2]
    shutil.rmtree(other)
    shutil.copytree(one, other)
    for words in (["report", str(runs.parent / "recipe.toml"), "--root", str(runs)], ["verify", str(runs)]):
        code, said = told_of(words)
        assert code == 2 and other.name in said


@pytest.mark.parametrize("stage", ["evaluate", "judge", "train"])
@pytest.mark.parametrize("spoil", [torn, emptied, edited, Path.unlink], ids=lambda one: one.__name__)
def test_settings_that_are_not_those_a_run_was_made_with_are_told(
    stage: str, spoil: Callable[[Path], None], runs: Path
) -> None:
    path = min(runs.glob(f"{stage}-*/config.json"))
    spoil(path)
    for words in readings_of(path.parent):
        code, said = told_of(words)
        assert code == 2 and path.parent.name in said and "config.json" in said, words


@pytest.mark.parametrize(
    "content",
    ['{"stage": "evaluate", "settings": []}', '{"stage": "evaluate", "inputs": 3}', '{"stage": [1]}', "[" * 200_000],
)
def test_nonsense_in_the_settings_of_an_unfinished_run_is_no_traceback(content: str, runs: Path) -> None:
    path = min(runs.glob("evaluate-*/config.json"))
    path.with_name("manifest.json").unlink()
    path.write_text(content)
    for words in readings_of(path.parent)[:3]:
        code, said = told_of(words)
        assert code in (0, 2, 3) and (code != 2 or path.parent.name in said), words


@pytest.mark.parametrize("name", ["manifest.json", "config.json", "traces.jsonl"])
@pytest.mark.parametrize("made", ["a folder", "a pipe", "a loop", "leads nowhere"])
def test_what_is_no_file_in_its_place_is_told_and_not_waited_for(name: str, made: str, runs: Path) -> None:
    path = min(runs.glob(f"evaluate-*/{name}"))
    path.unlink()
    match made:
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case "a loop":
            path.symlink_to(path.name)
        case _:
            path.symlink_to("/nowhere/at/all")
    unfinished = name == "manifest.json" and made == "leads nowhere"
    for words in readings_of(path.parent)[:2]:
        code, said = told_of(words)
        if name == "traces.jsonl" and words[0] == "show":
            assert code == 0  # of a run its manifest is shown
        else:
            assert (code == 3 or words[0] == "show") if unfinished else (code == 2 and name in said), words


def test_verify_needs_a_place_with_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, told in ((tmp_path, "holds no run"), (tmp_path / "x", "no such folder")):
        assert main(["verify", str(path)]) == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize("left", ["nothing", "records alone"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_of_which_neither_settings_nor_manifest_came_is_not_passed_over(
    stage: str, left: str, runs: Path
) -> None:
    """An interrupted copy begins with any file."""
    run = min(runs.glob(f"{stage}-*"))
    for name in ("config.json", "manifest.json"):
        (run / name).unlink()
    if left == "nothing":
        shutil.rmtree(run)
        run.mkdir()
    for path in (runs, run):
        code, said = told_of(["verify", str(path)])
        assert code == 3 and f"{run.name}  neither its settings nor its manifest are here" in said


def test_verify_takes_no_other_folder_for_a_run(runs: Path) -> None:
    """A date is eight hexadecimal digits, too, and a report's folder is called alike."""
    before = told_of(["verify", str(runs.parent)])
    for name in ("data-20261130", "report-1a2b3c4d", "evaluate-mine", "evaluate-1A2B3C4D"):
        (runs / name).mkdir()
    assert told_of(["verify", str(runs.parent)]) == before


@pytest.mark.parametrize("spoil", [cut, torn, emptied, zeroed, Path.unlink], ids=lambda one: one.__name__)
def test_a_training_set_for_other_tools_that_is_not_what_was_written_is_told(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    """People may write in its card."""
    example = Example(
        prompt="p", trace="t", user="Hello?", spans=(Span(text="Hello.", trained=True),), part="safety", kind="harmful"
    )
    with RunDir.open(Step("mix", "mine", {}), tmp_path) as out:
        write_dataset(out.path / "dataset", [example, example], {})
        out.finish({})
    (out.path / "dataset" / "README.md").write_text("Ask Ann about this.")
    code, said = told_of(["verify", str(tmp_path)])
    assert code == 0 and "2 record files" in said
    for name in ("train.jsonl", "dataset_info.json"):
        path = out.path / "dataset" / name
        was = path.read_bytes()
        spoil(path)
        code, said = told_of(["verify", str(tmp_path)])
        assert code == 2 and f"dataset/{name}: " in said
        path.write_bytes(was)


TAUGHT = """
name = "taught"
[models]
student = "hf:none/none"
teacher = { name = "openai:m", base_url = "URL", concurrency = 1 }
[prompts.mine]
source = "file"
path = "mine.jsonl"
kind = "benign"
[mix]
parts = { mine = 1 }
"""


@pytest.mark.parametrize("what", ["the run", "its replies", "the whole root"])
def test_a_folder_that_is_taken_away_under_a_stage_is_one_line_and_the_same_command_begins_again(
    what: str, tmp_path: Path
) -> None:
    calls: list[int] = []

    class Taking(Handler):
        def do_POST(self) -> None:
            self.body()
            calls.append(1)
            if len(calls) == 3:
                (run,) = tmp_path.glob("runs/distil-*")
                shutil.rmtree({"the run": run, "its replies": run / "replies"}.get(what, run.parent))
            message = {"role": "assistant", "content": "<think>Hm.</think>Yes."}
            self.send(json.dumps({"choices": [{"finish_reason": "stop", "message": message}]}).encode())

    (tmp_path / "mine.jsonl").write_text("".join(f'{{"text": "Question {n}"}}\n' for n in range(6)))
    with serving(Taking) as server:
        (tmp_path / "recipe.toml").write_text(TAUGHT.replace("URL", f"http://127.0.0.1:{server.server_port}/v1"))
        command = [str(tmp_path / "recipe.toml"), "--root", str(tmp_path / "runs")]
        assert told_of(["prompts", *command])[0] == 0
        code, said = told_of(["distil", *command])
        assert code in (0, 2, 3) and "Traceback" not in said
        assert code == 0 or str(next(iter(tmp_path.glob("runs")), tmp_path / "runs")) in said.splitlines()[-1]
        for verb in ("prompts", "distil"):
            assert told_of([verb, *command])[0] == 0
    (run,) = tmp_path.glob("runs/distil-*")
    assert len({row["prompt"]["text"] for _, row in read_rows(run / "traces.jsonl")}) == 6
    assert told_of(["verify", str(tmp_path / "runs")])[0] == 0


def test_weights_are_compared_where_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = Step("train", "tiny", {})
    with RunDir.open(step, tmp_path) as out:
        (out.path / "model").mkdir()
        weights = [out.path / "model" / f"{n}.safetensors" for n in "ab"]
        for one in weights:
            one.write_bytes(b"weights")
        out.finish({}, weights={f"model/{one.name}": kept.measured(one) for one in weights})
    assert main(["verify", str(tmp_path)]) == 0
    weights[0].write_bytes(b"weightz")
    assert main(["verify", str(tmp_path)]) == 2
    weights[0].unlink()
    assert main(["verify", str(tmp_path)]) == 2
    capsys.readouterr()
    shutil.rmtree(weights[0].parent)
    assert main(["verify", str(tmp_path)]) == 0
    assert "weights are not here" in capsys.readouterr().out


@pytest.mark.real
@settings(max_examples=20, deadline=None)  # each of them syncs a folder; content is what varies most
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=6),
    st.lists(st.binary(max_size=60), min_size=1, max_size=8),
)
def test_any_other_content_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], others: list[bytes]
) -> None:
    root = tmp_path_factory.mktemp("rows")
    with RunDir.open(Step("mix", "x", {}), root) as out:
        out.write("traces.jsonl", rows)
        out.finish({})
    path = out.path / "traces.jsonl"
    assert [row for _, row in read_rows(path)] == rows
    written = path.read_bytes()
    for other in {*others, written[:-1], written * 2, written + b"\n"} - {written}:
        path.write_bytes(other)
        with pytest.raises(RecordError, match=r"traces\.jsonl"):
            list(read_rows(path))


def test_files_are_on_the_disk_before_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with RunDir.open(Step("mix", "x", {}), tmp_path) as out:
        out.write("traces.jsonl", [{"a": 1}])
        out.finish({})
    assert {"traces.jsonl", "config.json"} <= set(synced[: synced.index("manifest.json")])
    assert synced[-2:] == ["manifest.json", out.path.name]


# ---- locks, writers, disks and clocks


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EIO, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_and_nobody_is_said_to_be_at_work(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(RunError, match=r"\.lock: can't be locked \(.+\).*NFS") as caught,
        RunDir.open(Step("mix", "x", {}), tmp_path),
    ):
        pass
    assert os.strerror(number).lower() in str(caught.value) and "at work" not in str(caught.value)


def test_a_full_disk_while_the_lock_is_written_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    step = Step("mix", "x", {})
    with (
        pytest.raises(RunError, match="no space left on device; nothing already written is lost") as caught,
        RunDir.open(step, tmp_path),
    ):
        pass
    assert str(step.directory(tmp_path)) in str(caught.value)


WRITING = "import sys; from pathlib import Path; from unwaver import kept"
WRITING += "\nfor _ in range(120): kept.write_whole(Path(sys.argv[1]), sys.argv[2])"


def _write_often(path: str, text: str) -> None:
    for _ in range(120):
        kept.write_whole(Path(path), text)


def test_two_writers_of_one_file_never_meet(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    texts = ["one" * 1000, "other" * 1000]
    writers = [subprocess.Popen([sys.executable, "-c", WRITING, str(path), text]) for text in texts]
    threads = [threading.Thread(target=_write_often, args=(str(path), text)) for text in texts]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [one.wait() for one in writers] == [0, 0]
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_unfinished_is_swept(tmp_path: Path) -> None:
    step = Step("mix", "x", {})
    with RunDir.open(step, tmp_path) as out:
        (out.path / f"traces.jsonl.0{kept.PART}").write_text("half")
        with pytest.raises(ZeroDivisionError):
            out.write("traces.jsonl", ({"a": 1 // n} for n in (1, 0)))
    with RunDir.open(step, tmp_path) as out:
        assert not list(out.path.glob(f"*{kept.PART}")) and not (out.path / "traces.jsonl").exists()


def key(number: int) -> str:
    return f"{number:032x}"


def test_two_writers_of_a_ledger_never_get_each_others_replies(tmp_path: Path) -> None:
    with Ledger(tmp_path) as one, Ledger(tmp_path) as other:
        for number in range(20):
            (one, other)[number % 2].append(key(number), Reply(text=f"{number}" * (number + 1), ending="stop"))
        for number in range(20):
            found = (one, other)[number % 2].get(key(number))
            assert found is not None and found.text == f"{number}" * (number + 1)


def test_a_line_that_moved_is_not_taken_for_another_calls(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        for number in range(3):
            ledger.append(key(number), Reply(text=str(number), ending="stop"))
        path = tmp_path / "0000.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(reversed(lines)))
        for number in (0, 2):
            with pytest.raises(RecordError, match=rf"expected the reply to {key(number)}, and another's stands there"):
                ledger.get(key(number))
        assert ledger.get(key(1)) == Reply(text="1", ending="stop")


def test_a_clock_that_is_put_back_gives_no_negative_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunDir.open(Step("mix", "x", {}), tmp_path) as out:
        monkeypatch.setattr(time, "time", lambda: 0.0)
        assert out.finish({})["seconds"] >= 0


def test_no_seconds_are_reckoned_by_the_clock_on_the_wall() -> None:
    source = Path(store.__file__).parent
    assert [path.name for path in source.rglob("*.py") if "time.time()" in path.read_text(encoding="utf-8")] == []


def test_a_manifest_that_is_whole_is_read(runs: Path) -> None:
    manifest = read_manifest(next(runs.glob("evaluate-*")))
    assert manifest is not None and manifest["files"]["traces.jsonl"]["lines"] == report_runs.PROMPTS


def _told(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("way", ["a link of another name", "the folder itself"])
def test_a_run_by_another_name_is_read_with_what_was_said_of_it(
    way: str, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What judges and people said of a run stands beside it, and nothing stands beside a link or `.`."""
    first, second = sorted(runs.glob("evaluate-*"))
    asked = ["label", str(first), "--rubric", "refusal", "--n", "6"]
    assert main(asked) == 0
    sample = (runs / "label" / "refusal-answer.jsonl").read_text()
    shutil.rmtree(runs / "label")
    capsys.readouterr()
    compared = _told(["compare", str(first), str(second)], capsys)
    shown = _told(["show", str(first / "traces.jsonl"), "--limit", "1"], capsys)
    assert "refuses harmful" in compared and "refusal@" in shown

    link = runs.parent / "mine"
    link.symlink_to(first)
    monkeypatch.chdir(first)
    name = "." if way == "the folder itself" else str(link)
    assert _told(["compare", name, str(second)], capsys) == compared
    listed = _told(["show", str(Path(name) / "traces.jsonl"), "--limit", "1"], capsys)
    assert listed.splitlines()[2:] == shown.splitlines()[2:]
    assert main([*asked[:1], name, *asked[2:]]) == 0
    assert (runs / "label" / "refusal-answer.jsonl").read_text() == sample
    assert sorted(path.name for path in link.parent.iterdir()) == ["mine", "recipe.toml", "runs"]
    assert not (first / "label").exists()


@pytest.mark.parametrize("copy", ["{}.bak", "{}-copy", "{} (2)"])
def test_a_run_that_was_copied_under_another_name_counts_once(
    copy: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sorted(runs.glob("evaluate-*"))
    probes = [Step("probe", "a against b", {"layer": n}) for n in range(2)]
    for step in probes:
        with RunDir.open(step, runs) as out:
            out.finish({})

    def all_told() -> tuple[Any, ...]:
        shutil.rmtree(runs / "label", ignore_errors=True)
        assert main(["label", str(runs), "--rubric", "refusal", "--n", "6"]) == 0
        drawn = capsys.readouterr().err.splitlines()[0]
        readers = {run: [one.name for one in by] for run, by in readers_beside(runs).items()}
        return drawn, beside.finished(runs), readers, _told(["compare", str(first), str(second)], capsys)

    before = all_told()
    for run in [*runs.glob("evaluate-*"), *runs.glob("judge-*"), *runs.glob("probe-*")]:
        shutil.copytree(run, run.with_name(copy.format(run.name)))
    assert all_told() == before
    for step in probes:  # alone under the other name it is still a run
        shutil.rmtree(step.directory(runs))
    assert len(beside.finished(runs)) == len(probes)
