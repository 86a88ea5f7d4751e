"""The ledger and the run directory: whole lines, nothing twice, nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unwaver.errors import RecordError, RunError
from unwaver.ledger import Ledger
from unwaver.records import Reply, digest
from unwaver.store import RunDir, Step, read_records, read_rows

STEP = Step("distil", "part", {"a": 1})


def key(number: int) -> str:
    return digest(number, size=32)


def test_what_is_put_down_is_found_again(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(key(1), Reply(text="one\nline 思 \x1b[31m", ending="stop"))
        ledger.append(key(2), Reply(ending="error", failure="HTTP 500"))
    with Ledger(tmp_path) as again:
        assert key(1) in again
        assert key(2) not in again  # a failed call is owed
        assert again.n_failed == 1
        assert again.get(key(1)) == Reply(text="one\nline 思 \x1b[31m", ending="stop")
        failed = again.get(key(2))
        assert failed is not None
        assert failed.failure == "HTTP 500"
        assert again.get(key(3)) is None
        again.append(key(2), Reply(text="two", ending="stop"))
        assert key(2) in again
        assert again.n_failed == 0


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 150), n=st.integers(1, 5))
def test_a_torn_last_line_is_owed_again(tmp_path_factory: pytest.TempPathFactory, cut: int, n: int) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    with Ledger(folder) as ledger:
        for number in range(n):
            ledger.append(key(number), Reply(text="x" * 80, ending="stop"))
    file = folder / "0000.jsonl"
    size = file.stat().st_size
    line = size // n
    os.truncate(file, size - min(cut, line))
    with Ledger(folder) as again:
        assert len(again) == n - 1
        assert key(n - 1) not in again
        again.append(key(n - 1), Reply(text="again", ending="stop"))
    with Ledger(folder) as whole:
        assert len(whole) == n
        assert all(whole.get(key(number)) is not None for number in range(n))


def test_a_file_that_is_no_ledger_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "0000.jsonl").write_text('{"not": "ours"}\n')
    with pytest.raises(RecordError, match="0000.jsonl:1"):
        Ledger(tmp_path)


def test_a_full_disk_tears_nothing(tmp_path: Path) -> None:
    script = f"""
import resource
from pathlib import Path
from unwaver.ledger import Ledger
from unwaver.records import Reply, digest
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
ledger = Ledger(Path({str(tmp_path)!r}))
try:
    for n in range(100):
        ledger.append(digest(n, size=32), Reply(text="x" * 50, ending="stop"))
except OSError as error:
    print("full")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "full\n"
    with Ledger(tmp_path) as ledger:
        assert 0 < len(ledger) < 100
        assert (tmp_path / "0000.jsonl").read_bytes().endswith(b"\n")


def test_a_full_disk_is_unfinished_and_says_what_to_do(tmp_path: Path) -> None:
    from unwaver.store import disk_errors

    with pytest.raises(RunError, match=r"no space left.*same command again"), disk_errors(tmp_path):
        raise OSError(28, os.strerror(28))


def test_two_processes_do_not_share_a_run(tmp_path: Path) -> None:
    with RunDir.open(STEP, tmp_path):
        script = f"""
from pathlib import Path
from unwaver.store import RunDir, Step
from unwaver.errors import RunError
try:
    with RunDir.open(Step("distil", "part", {{"a": 1}}), Path({str(tmp_path)!r})):
        print("both are in")
except RunError as error:
    print(error)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"another process (pid {os.getpid()}, " in done.stdout


def test_the_manifest_is_the_proof_and_comes_last(tmp_path: Path) -> None:
    assert STEP.manifest(tmp_path) is None
    with RunDir.open(STEP, tmp_path) as run:
        assert STEP.manifest(tmp_path) is None
        run.write("rows.jsonl", [{"a": 1}])
        run.finish({"written": 1})
    manifest = STEP.manifest(tmp_path)
    assert manifest is not None
    assert manifest["counts"] == {"written": 1}
    assert json.loads((STEP.directory(tmp_path) / "config.json").read_text())["settings"] == {"a": 1}


def test_settings_and_inputs_name_the_directory(tmp_path: Path) -> None:
    same = Step("distil", "another name", {"a": 1})
    other = Step("distil", "part", {"a": 2})
    assert STEP.directory(tmp_path) == same.directory(tmp_path)
    assert STEP.directory(tmp_path) != other.directory(tmp_path)
    assert Step("judge", "x", {}, {"distil": STEP}).digest != Step("judge", "x", {}, {"distil": other}).digest


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    good = json.dumps({"text": "hi", "ending": "stop"}) + "\n"
    file.write_text(good * 16 + "{broken\n")
    with pytest.raises(RecordError, match=r"rows.jsonl:17: not JSON"):
        list(read_rows(file))
    file.write_text(good + json.dumps({"text": "hi", "ending": "never"}) + "\n")
    with pytest.raises(RecordError, match=r"rows.jsonl:2: ending"):
        list(read_records(file, Reply))
