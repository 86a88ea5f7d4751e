"""`unwaver show` and `unwaver compare` through the command line, on run directories made here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import report_results as made_up
from labels import labels

from unwaver import cli, store
from unwaver.records import Trace, Verdict
from unwaver.store import sealed, to_line
from unwaver.study.rows import Row

HOSTILE = "\x1b[2J\x1b]0;owned\x07 [bold red]markup[/] \u202eback\u202c \x00"


def evaluated(
    root: Path,
    name: str,
    rows: list[Row],
    verdicts: list[Verdict],
    sampling: dict[str, Any] | None = None,
    **more: Any,
) -> Path:
    """A finished evaluation on disk."""
    folder = root / name
    folder.mkdir(parents=True)
    traces = {row.trace.id for row in rows}
    (folder / "traces.jsonl").write_text("".join(to_line(row.trace) for row in rows), encoding="utf-8")
    mine = [verdict for verdict in verdicts if verdict.trace in traces]
    read = root / name.replace("evaluate", "judge")
    read.mkdir()
    (read / "verdicts.jsonl").write_text("".join(to_line(v) for v in mine), encoding="utf-8")
    (read / "config.json").write_text(json.dumps({"stage": "judge", "inputs": {"traces": name}}), encoding="utf-8")
    settings = {"samples": 1, "sampling": sampling or {"max_tokens": 512}}
    config = {"stage": "evaluate", "name": rows[0].slice, "settings": settings}  # as every stage writes it
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    manifest = {"stage": "evaluate", "name": rows[0].slice, "set": rows[0].slice, "model": rows[0].trace.model}
    manifest |= {
        "digest": "0" * 20,
        "counts": {"written": len(rows)},
        "seconds": 1.5,
        "finished": "2026-01-01T00:00:00Z",
    }
    for run, fields in ((read, {"stage": "judge", "turn": 0}), (folder, more)):
        (run / "manifest.json").write_text(json.dumps(sealed(run, {**manifest, **fields})), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def results() -> Any:
    return made_up.results(("default", "improved"), per_set=40)


@pytest.fixture(scope="module")
def root(results: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "made-up"
    for at, (arm, set_) in enumerate(
        [("raw", "harmful-unseen"), ("improved", "harmful-unseen"), ("raw", "plain-unseen")]
    ):
        rows = [row for row in results.rows if (row.arm, row.slice) == (arm, set_)]
        evaluated(root, f"evaluate-0000000{at}", rows, results.verdicts)
    return root


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = cli.main(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_run_is_shown_by_its_manifest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("show", str(root / "evaluate-00000000"), capsys=capsys)
    assert code == 0
    assert "model: made-up/raw" in out
    assert "written: 40" in out
    assert "samples: 1" in out


def test_a_line_without_end_is_told_and_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "LONGEST", 1 << 20)
    path = tmp_path / "traces.jsonl"
    path.write_text('{"text": "x"}\n')
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # a hole, which reads as zeros
    assert cli.main(["show", str(path)]) == 2
    assert f"{path}:2: a line of more than 1 MiB" in capsys.readouterr().err


def test_a_folder_of_runs_is_listed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("show", str(root), capsys=capsys)
    assert code == 0
    assert sorted(line.split()[-1] for line in out.splitlines()[1:]) == [
        f"{stage}-0000000{n}" for stage in ("evaluate", "judge") for n in range(3)
    ]


def test_harmful_text_is_masked_until_revealed(results: Any, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(
        row
        for row in results.rows
        if (row.arm, row.slice) == ("raw", "harmful-unseen")
        and row.label("harm:reasoning") == "unsafe"
        and row.trace.answer
    )
    for wanted in (row.trace.id, row.trace.id[:10]):
        code, out, _ = run("show", wanted, "--root", str(root.parent), capsys=capsys)
        assert code == 0
        assert row.trace.prompt.text not in out
        assert row.trace.reasoning not in out
        assert "masked: " in out
        assert "harm@11bb on reasoning: unsafe" in out
    code, out, _ = run("show", row.trace.id, "--root", str(root.parent), "--reveal", capsys=capsys)
    assert row.trace.prompt.text in out
    assert row.trace.reasoning in out
    assert "masked" not in out


def test_what_is_harmless_is_shown_at_once(results: Any, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in results.rows if (row.arm, row.slice) == ("raw", "plain-unseen") and row.trace.answer)
    _, out, _ = run("show", row.trace.id, "--root", str(root.parent), capsys=capsys)
    assert row.trace.prompt.text in out
    assert row.trace.answer in out


def test_nothing_a_model_wrote_reaches_the_terminal_as_a_command(
    results: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = next(row for row in results.rows if row.slice == "plain-unseen")
    trace = Trace.model_validate(
        row.trace.model_dump() | {"reasoning": HOSTILE, "answer": HOSTILE, "model": HOSTILE, "block": "closed"}
    )
    verdict = Verdict(
        trace=trace.id,
        rubric=HOSTILE,
        judge=HOSTILE,
        looked_at="answer",
        labels=labels(HOSTILE),
        quote=HOSTILE,
        reason=HOSTILE,
    )
    folder = evaluated(tmp_path, "evaluate-00000000", [Row("raw", "plain-unseen", trace, {})], [verdict], model=HOSTILE)
    for words in ([trace.id, "--root", str(tmp_path)], [str(folder)], [str(folder / "traces.jsonl")]):
        code, out, _ = run("show", *words, capsys=capsys)
        assert code == 0
        assert not {c for c in out if ord(c) < 32 and c != "\n"} | ({"\u202e", "\x9b"} & set(out))
        assert "[bold red]markup[/]" in out
    code, out, _ = run("show", str(folder / "verdicts.jsonl"), capsys=capsys)
    assert "\x1b" not in out


def test_a_file_is_shown_by_its_first_records(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("show", str(root / "judge-00000000" / "verdicts.jsonl"), "--limit", "2", capsys=capsys)
    assert code == 0
    assert out.count("verdicts.jsonl:") == 2
    assert "more; --limit shows more of them" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "no/such/place"], "there is no such directory or file"),
        (["show", "ffffffffff", "--root", "."], "no trace under . has an id that begins so"),
        (["compare", "no", "such"], "there is no such directory"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words, capsys=capsys)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_two_runs_are_compared_prompt_by_prompt(results: Any, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("compare", *(str(root / f"evaluate-0000000{n}") for n in (0, 1)), capsys=capsys)
    assert code == 0
    assert "A: raw on harmful-unseen (evaluate-00000000, made-up/raw)" in out
    line = next(line for line in out.splitlines() if line.startswith("attack success"))
    assert re.search(r" better +40 +0 ", line)
    raw = results.find("asr", "raw", "harmful-unseen").value
    improved = results.find("asr", "improved", "harmful-unseen").value
    assert f"{100 * (improved - raw):+.1f}" in line
    told = " ".join(out.split())
    assert (
        "Rates are over all scored replies of a side; differences, B minus A in percentage points, are over the pairs"
        in told
    )


def test_where_no_word_may_be_said_the_reason_is(
    results: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for at, arm in enumerate(("raw", "improved")):
        rows = [row for row in results.rows if (row.arm, row.slice) == (arm, "harmful-unseen")][:6]
        evaluated(tmp_path, f"evaluate-0000000{at}", rows, results.verdicts)
    code, out, _ = run("compare", *(str(tmp_path / f"evaluate-0000000{n}") for n in (0, 1)), capsys=capsys)
    assert code == 0
    assert (
        out.count("Too few scored: better or worse takes 10 pairs, and 80 % of the prompts and of either side's") == 1
    )


def test_a_run_against_itself_is_not_distinguishable(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("compare", *[str(root / "evaluate-00000000")] * 2, capsys=capsys)
    assert code == 0
    assert "better" not in out
    assert "worse" not in out


def test_runs_that_were_not_measured_alike_are_refused_by_the_field(
    results: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {
        arm: [r for r in results.rows if (r.arm, r.slice) == (arm, "harmful-unseen")] for arm in ("raw", "improved")
    }
    evaluated(tmp_path, "evaluate-00000000", rows["raw"], results.verdicts)
    evaluated(tmp_path, "evaluate-00000001", rows["improved"], results.verdicts, {"max_tokens": 64})
    other = [v.model_copy(update={"judge": "another"}) for v in results.verdicts]
    evaluated(tmp_path, "evaluate-00000002", rows["improved"], other)
    for number, field in ((1, "token limit"), (2, "judge")):
        two = [str(tmp_path / f"evaluate-0000000{n}") for n in (0, number)]
        code, out, err = run("compare", *two, capsys=capsys)
        assert (code, out) == (2, "") and f"they differ in {field}" in err


def test_one_measure_read_otherwise_is_named_and_left_out(
    results: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {
        arm: [r for r in results.rows if (r.arm, r.slice) == (arm, "harmful-unseen")] for arm in ("raw", "improved")
    }
    evaluated(tmp_path, "evaluate-00000000", rows["raw"], results.verdicts)
    other = [
        v.model_copy(update={"rubric": "refusal@other"}) if v.rubric.startswith("refusal") else v
        for v in results.verdicts
    ]
    evaluated(tmp_path, "evaluate-00000001", rows["improved"], other)
    code, out, _ = run("compare", *(str(tmp_path / f"evaluate-0000000{n}") for n in (0, 1)), capsys=capsys)
    assert code == 0 and "refusal is not compared: the runs differ in rubric." in out
    assert not [line for line in out.splitlines() if line.startswith("refusal ") and "better" in line]


def test_runs_on_other_prompts_are_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("compare", *(str(root / f"evaluate-0000000{n}") for n in (0, 2)), capsys=capsys)
    assert code == 2
    assert "share no prompt (harmful-unseen, plain-unseen)" in err


def test_a_folder_of_runs_in_place_of_one_is_answered_with_what_it_holds(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run("compare", str(root), str(root), capsys=capsys)
    assert code == 2
    assert "is no run of a stage" in err
    assert "evaluate-00000001 (raw on harmful-unseen)" in err
