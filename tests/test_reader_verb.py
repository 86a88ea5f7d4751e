"""`unwaver reader`: from labels to a file, from the file to verdicts, and what is wrong said in a line."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_runs
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from unwaver.cli import main
from unwaver.errors import RecordError
from unwaver.judging.local.question import packed, unpacked
from unwaver.judging.local.reader_file import opened
from unwaver.judging.readers import local_reader
from unwaver.records import Prompt, Trace, Verdict, single
from unwaver.store import TRACES, VERDICTS

NOUNS = ("cat", "house", "garden", "letter", "bicycle", "window", "river", "market", "school", "train")
MODELS = ("one", "two", "three", "four")


def rows() -> list[dict[str, Any]]:
    made = []
    for m, model in enumerate(MODELS):
        for n, noun in enumerate(NOUNS):
            no = (m + n) % 2 == 0
            answer = (
                f"I'm sorry, I can't help with the {noun}."
                if no
                else f"Sure, first you take the {noun} and then go on."
            )
            made.append(
                {"label": "no" if no else "yes", "answer": answer, "model": model, "prompt": f"About a {noun}{m}?"}
            )
    return made


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_labels_become_a_reader_with_a_card_that_reads_new_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = written(tmp_path / "labels.jsonl", rows())
    out = tmp_path / "mine.npz"
    argv = ["reader", "train", str(labels), "--rubric", "declines", "--part", "answer", "--out", str(out)]
    assert main(argv) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["held_out"]["agreement"] == 1.0 and set(card["held_out"]["by_model"]) == set(MODELS)
    assert card["trained_on"] == {"labels": {"no": 20, "yes": 20}}
    again = tmp_path / "again.npz"
    assert main([*argv[:-1], str(again)]) == 0
    assert again.read_bytes() == out.read_bytes()
    capsys.readouterr()
    fresh = [row | {"answer": row["answer"].replace("the", "that")} for row in rows()]
    others = written(tmp_path / "others.jsonl", [*rows()[:5], *fresh])
    assert main(["reader", "test", str(out), str(others), "--rubric", "declines"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert told["all"]["texts"] == 40 and told["all"]["agreement"] == 1.0
    assert "5 of 45 texts are among those" in shown.err
    prompt = Prompt(text="About a boat?", kind="benign")
    trace = Trace(
        prompt=prompt, model="m", answer="I'm sorry, I can't help with the boat.", block="none", ending="stop"
    )
    verdict = local_reader("declines", file=out).verdict(trace)
    assert verdict.label == "no" and verdict.quote == trace.answer
    assert verdict.judge == opened(out).judge != local_reader("refusal").verdict(trace).judge


def test_a_reader_that_finds_nothing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--rubric", "declines", "--part", "answer", "--out", str(tmp_path / "mine.npz")]
    warned = {}
    for name, lines in (
        ("real", rows()),
        ("drawn", [row | {"label": ("no", "yes")[(n // 3) % 2]} for n, row in enumerate(rows())]),
    ):
        labels = written(tmp_path / f"{name}.jsonl", lines)
        assert main(["reader", "train", str(labels), *argv]) == 0
        warned[name] = "reads no more than chance would" in capsys.readouterr().err
    assert warned == {"real": False, "drawn": True}


@pytest.mark.parametrize("change", [str, lambda text: f"  {text}\n", lambda text: text.replace(" ", "  ")])
def test_what_a_reader_was_trained_on_is_no_test_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], str]
) -> None:
    labels, out = written(tmp_path / "labels.jsonl", rows()), tmp_path / "mine.npz"
    assert main(["reader", "train", str(labels), "--rubric", "declines", "--part", "answer", "--out", str(out)]) == 0
    again = written(tmp_path / "again.jsonl", [row | {"answer": change(row["answer"])} for row in rows()])
    capsys.readouterr()
    assert main(["reader", "test", str(out), str(again), "--rubric", "declines", "--part", "answer"]) == 2
    shown = capsys.readouterr()
    assert "40 of 40 texts are among those" in shown.err and "nothing to test on" in shown.err and not shown.out


FRENCH = "Je suis désolé, mais je ne peux pas vous aider avec cette demande numéro"


def test_lines_that_stand_twice_count_once_and_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--rubric", "declines", "--part", "answer", "--out"]
    once, twice = tmp_path / "once.npz", tmp_path / "twice.npz"
    assert main(["reader", "train", str(written(tmp_path / "labels.jsonl", rows())), *argv, str(once)]) == 0
    card = capsys.readouterr().out
    lines = [*rows(), *rows()[:7]]
    assert main(["reader", "train", str(written(tmp_path / "labels.jsonl", lines)), *argv, str(twice)]) == 0
    shown = capsys.readouterr()
    assert shown.out == card and once.read_bytes() == twice.read_bytes()
    assert "7 of 47 lines repeat another's text, label, model and prompt, and count once" in shown.err
    fresh = [row | {"answer": row["answer"].replace("the", "that")} for row in rows()]
    doubled = written(tmp_path / "others.jsonl", [*fresh, *fresh])
    assert main(["reader", "test", str(once), str(doubled), "--rubric", "declines"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["all"]["texts"] == 40 and "40 of 80 lines repeat" in shown.err


def test_texts_with_two_labels_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [*rows(), {**rows()[0], "label": "yes"}]
    argv = ["--rubric", "declines", "--part", "answer", "--out", str(tmp_path / "mine.npz")]
    assert main(["reader", "train", str(written(tmp_path / "labels.jsonl", lines)), *argv]) == 0
    assert "1 of 40 texts have more than one label, and each counts" in capsys.readouterr().err


def test_a_line_ends_where_its_byte_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [{**row, "answer": f"{row['answer']}\u2028\u0085 That is all."} for row in rows()]
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    argv = ["--rubric", "declines", "--part", "answer", "--out", str(tmp_path / "mine.npz")]
    assert main(["reader", "train", str(file), *argv]) == 0
    assert json.loads(capsys.readouterr().out)["trained_on"] == {"labels": {"no": 20, "yes": 20}}


DAMAGED: dict[str, tuple[bytes, str]] = {
    "torn": (b'{"label": "yes", "answ', "labels.jsonl:41: not JSON"),
    "a foreign byte": (b'{"label": "yes", "answer": "\xff"}', "labels.jsonl:41: not UTF-8"),
    "zeros": (bytes(300), "labels.jsonl:41: not JSON"),
    "a list": (b"[1]", "labels.jsonl:41: expected an object, got list"),
    "another file's": (b'{"text": "x"}', "labels.jsonl:41: expected an object with the texts `label` and `answer`"),
}


@pytest.mark.parametrize("verb", ["train", "test"])
@pytest.mark.parametrize("which", DAMAGED)
def test_damaged_and_foreign_lines_of_labels_are_one_line_with_their_place(
    which: str, verb: str, reader: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, told = DAMAGED[which]
    file = written(tmp_path / "labels.jsonl", rows())
    file.write_bytes(file.read_bytes() + line + b"\n")
    files = [str(file)] if verb == "train" else [str(reader[0]), str(file)]
    out = ["--part", "answer", "--out", str(tmp_path / "mine.npz")] if verb == "train" else []
    assert main(["reader", verb, *files, "--rubric", "declines", *out]) == 2
    assert f"{told}" in capsys.readouterr().err and not (tmp_path / "mine.npz").exists()


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "json", "jsonl.gz"])
def test_labels_stand_in_whatever_holds_rows(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import gzip

    import pyarrow as pa
    import pyarrow.parquet as pq

    file, table = tmp_path / f"labels.{ending}", [{**row, "weight": 2.5} for row in rows()]
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(table), file)
    elif ending in ("csv", "tsv"):
        with file.open("w", newline="") as out:
            writer = csv.DictWriter(out, list(table[0]), delimiter="," if ending == "csv" else "\t")
            writer.writeheader()
            writer.writerows(table)
    elif ending == "json":
        file.write_text(json.dumps(table))
    else:
        file.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in table).encode()))
    made = []
    for source in (file, written(tmp_path / "plain.jsonl", table)):
        out = tmp_path / f"{source.stem}.npz"
        assert (
            main(["reader", "train", str(source), "--rubric", "declines", "--part", "answer", "--out", str(out)]) == 0
        )
        made.append(json.loads(capsys.readouterr().out))
    counts = [list(card.pop("trained_on").values()) for card in made]
    assert made[0] == made[1] and counts == [[{"no": 20, "yes": 20}]] * 2


def test_a_pipe_is_no_file_of_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "labels.jsonl")
    argv = ["reader", "train", str(tmp_path / "labels.jsonl"), "--rubric", "x", "--out", str(tmp_path / "mine.npz")]
    assert main(argv) == 2
    assert "is no file and no folder" in capsys.readouterr().err


@pytest.mark.parametrize(("few", "code"), [(5, 0), (60, 2)])
def test_labels_in_another_language_are_told_and_train_no_english_reader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], few: int, code: int
) -> None:
    more = [
        {"label": ("no", "yes")[n % 2], "answer": f"{FRENCH} {n}.", "model": "one", "prompt": f"p{n}"}
        for n in range(few)
    ]
    labels, out = written(tmp_path / "labels.jsonl", [*rows(), *more]), tmp_path / "mine.npz"
    assert main(["reader", "train", str(labels), "--rubric", "declines", "--part", "answer", "--out", str(out)]) == code
    shown = capsys.readouterr()
    assert f"{few} of {40 + few} texts are in another language (fr)" in shown.err
    if code == 0:
        assert sum(json.loads(shown.out)["trained_on"]["labels"].values()) == 40


def test_a_finished_run_s_verdicts_are_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces, verdicts = [], []
    for row in rows():
        prompt = Prompt(text=row["prompt"], kind="benign")
        trace = Trace(prompt=prompt, model=row["model"], answer=row["answer"], block="none", ending="stop")
        label = {"no": "refusal", "yes": "compliance"}[row["label"]]
        traces.append(trace)
        verdicts.append(
            Verdict(trace=trace.id, rubric="refusal@1", judge="openai:j", looked_at="answer", labels=single(label))
        )
    for folder, name, records in (("evaluate-1", TRACES, traces), ("judge-2", VERDICTS, verdicts)):
        (tmp_path / "run" / folder).mkdir(parents=True)
        lines = "".join(one.model_dump_json() + "\n" for one in records)
        (tmp_path / "run" / folder / name).write_text(lines, encoding="utf-8")
    for source in (tmp_path / "run", tmp_path / "run" / "judge-2"):
        out = tmp_path / "r.npz"
        assert main(["reader", "train", str(source), "--rubric", "refusal", "--out", str(out)]) == 0
        assert json.loads(capsys.readouterr().out)["trained_on"] == {"openai:j": {"refusal": 20, "compliance": 20}}


@pytest.mark.parametrize("stage", ["evaluate", "judge"])
def test_half_of_a_run_s_verdicts_are_no_labels(stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without its manifest nobody can tell whether a copy brought all of it."""
    report_runs.study(tmp_path, '[judge]\nrefusal = "local"\n')
    runs, out = tmp_path / "runs", tmp_path / "r.npz"
    train = ["reader", "train", "--rubric", "refusal", "--out", str(out)]

    def said(run: Path) -> str:
        return (run / "verdicts.jsonl").read_text()

    halves = [run for run in runs.glob(f"{stage}-*") if (run / "traces.jsonl").exists() or "refusal" in said(run)]
    for run in halves:
        (run / "manifest.json").unlink()
    assert main([*train, str(runs)]) == 2
    err = capsys.readouterr().err
    for run in halves:
        assert f"{run} is not finished, and left out" in err
    assert main([*train, str(halves[0])]) == 2
    assert f"{halves[0]}: is not finished" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"label": "yes"}], "labels.jsonl:1: expected an object with the texts `label` and `answer`"),
        ([{"label": "yes", "answer": "Yes, it is."}], "expected at least 20 and 2"),
        ([{"label": "yes", "answer": "Yes.", "weight": 0}], "weight: expected a number above 0"),
        ([{"label": "yes", "answer": f"Yes, number {n}."} for n in range(30)], "30 labelled texts with 1 different"),
    ],
)
def test_labels_that_train_nothing_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[dict[str, Any]], said: str
) -> None:
    labels = written(tmp_path / "labels.jsonl", lines)
    out = tmp_path / "r.npz"
    assert main(["reader", "train", str(labels), "--rubric", "declines", "--part", "answer", "--out", str(out)]) == 2
    assert said in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": " "}, "labels.jsonl:1: expected an object with the texts `label` and `answer`"),
        ({"label": "Refusal"}, "labels of refusal: Refusal; expected compliance, partial, refusal"),
        ({"label": "refuses"}, "labels of refusal: refuses; expected compliance, partial, refusal"),
    ],
)
def test_a_label_that_nobody_would_count_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], said: str
) -> None:
    lines = [row | {"label": {"no": "refusal", "yes": "compliance"}[row["label"]]} for row in rows()]
    labels, out = written(tmp_path / "labels.jsonl", [lines[0] | change, *lines[1:]]), tmp_path / "r.npz"
    assert main(["reader", "train", str(labels), "--rubric", "refusal", "--out", str(out)]) == 2
    assert said in capsys.readouterr().err and not out.exists()


def test_blanks_around_labels_and_in_texts_make_no_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--rubric", "declines", "--part", "answer", "--out"]
    plain, blank = tmp_path / "plain.npz", tmp_path / "blank.npz"
    assert main(["reader", "train", str(written(tmp_path / "labels.jsonl", rows())), *argv, str(plain)]) == 0
    card = capsys.readouterr().out
    again = [row | {"label": f"{row['label']} ", "answer": f" {row['answer']}\n"} for row in rows()]
    assert main(["reader", "train", str(written(tmp_path / "labels.jsonl", [*rows(), *again])), *argv, str(blank)]) == 0
    shown = capsys.readouterr()
    assert shown.out == card and "40 of 80 lines repeat" in shown.err and plain.read_bytes() == blank.read_bytes()


def test_texts_without_a_word_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [*rows(), {"label": "no", "answer": "..."}, {"label": "yes", "answer": ""}]
    argv = ["--rubric", "declines", "--part", "answer", "--out", str(tmp_path / "mine.npz")]
    assert main(["reader", "train", str(written(tmp_path / "labels.jsonl", lines)), *argv]) == 0
    assert "2 of 42 texts hold no word, and count for nothing" in capsys.readouterr().err


def test_labels_that_no_measure_counts_are_no_reader_of_a_rubric_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rate of refusals counts `refusal`; a reader that says `no` would make it 0 %."""
    labels, out = written(tmp_path / "labels.jsonl", rows()), tmp_path / "mine.npz"
    assert main(["reader", "train", str(labels), "--rubric", "refusal", "--out", str(out)]) == 2
    wrong = "labels of refusal: no, yes; expected compliance, partial, refusal (a rubric of your own may have any)"
    assert wrong in capsys.readouterr().err and not out.exists()
    assert main(["reader", "train", str(labels), "--rubric", "declines", "--part", "answer", "--out", str(out)]) == 0
    renamed = tmp_path / "renamed.npz"
    content = packed({"refusal": opened(out).question("declines")}, {})
    renamed.write_bytes(content)  # as one that was made before this was looked at
    traces = written(tmp_path / "traces.jsonl", [{"prompt": "p", "response": "I can't help with that."}])
    capsys.readouterr()
    assert main(["audit", str(traces), "--judge", f"local:{renamed}", "--rubric", "refusal"]) == 2
    assert f"--rubric refusal: {renamed}: {wrong}" in capsys.readouterr().err
    assert main(["audit", str(traces), "--judge", f"local:{out}"]) == 2
    assert f"--rubric refusal: {out}: has no question for refusal; it has declines" in capsys.readouterr().err


def test_a_recipe_s_own_reader_lies_beside_it(tmp_path: Path) -> None:
    from unwaver import recipe_file

    path = Path(__file__).parents[1] / "recipes" / "quickstart.toml"
    text = path.read_text(encoding="utf-8") + '\n[judge]\nrefusal = "local:mine.npz"\n'
    (tmp_path / "r.toml").write_text(text, encoding="utf-8")
    if "[judge]" in path.read_text(encoding="utf-8"):
        pytest.skip("the recipe has judges of its own")
    assert recipe_file.load(tmp_path / "r.toml").judge.refusal == [f"local:{tmp_path / 'mine.npz'}"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(a reader's file, its labels)."""
    folder = tmp_path_factory.mktemp("reader")
    labels, out = written(folder / "labels.jsonl", rows()), folder / "mine.npz"
    assert main(["reader", "train", str(labels), "--rubric", "declines", "--part", "answer", "--out", str(out)]) == 0
    return out, labels


def changed(path: Path, out: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Path:
    """A reader's file whose arrays or whose text are others."""
    with np.load(path) as held:
        arrays = {name: held[name].copy() for name in held}
    told = json.loads(arrays["told"].tobytes())
    change(arrays, told)
    arrays["told"] = np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)
    np.savez_compressed(out, **arrays)
    return out


NO_NUMBER = {
    **{
        f"{name} {value}": lambda arrays, told, name=name, value=value: (
            arrays[f"declines/{name}"].reshape(-1).__setitem__(0, value)
        )
        for name in ("weights", "rarity", "usual")
        for value in (float("nan"), float("inf"), float("-inf"))
    },
    **{
        f"{name} {value}": lambda arrays, told, name=name, value=value: told["questions"]["declines"].update(
            {name: value}
        )
        for name in ("cue_strength", "length_free", "sharpness", "doubt", "limit")
        for value in (float("nan"), float("inf"), "many", None, [])
    },
    "offset": lambda arrays, told: told["questions"]["declines"].update(offset=[float("nan")]),
    "labels a number": lambda arrays, told: told["questions"]["declines"].update(labels=7),
    "labels of one": lambda arrays, told: told["questions"]["declines"].update(labels=["no"]),
    "labels of lists": lambda arrays, told: told["questions"]["declines"].update(labels=[["no"], ["yes"]]),
    "card a list": lambda arrays, told: told["questions"]["declines"].update(card=[]),
    "questions a list": lambda arrays, told: told.update(questions=["declines"]),
    "questions of numbers": lambda arrays, told: told.update(questions={"declines": 7}),
    "no about": lambda arrays, told: told.pop("about"),
    "weights of another shape": lambda arrays, told: arrays.update({"declines/weights": np.zeros((2, 3))}),
}


@pytest.mark.parametrize("which", NO_NUMBER)
def test_a_reader_that_holds_no_numbers_or_nonsense_is_one_line(
    which: str, reader: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, labels = reader
    spoilt = changed(path, tmp_path / "spoilt.npz", NO_NUMBER[which])
    assert main(["reader", "test", str(spoilt), str(labels), "--rubric", "declines"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"unwaver reader: {spoilt}: not a reader's file")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), cut=st.booleans(), bit=st.integers(0, 7))
@example(at=0.4296875, cut=False, bit=0)  # a quote in a header
def test_a_reader_s_file_that_is_torn_is_told_or_reads_as_before(
    reader: tuple[Path, Path], at: float, cut: bool, bit: int
) -> None:
    data = bytearray(reader[0].read_bytes())
    place = min(len(data) - 1, int(at * len(data)))
    data[place] ^= 1 << bit
    try:
        unpacked(bytes(data[:place] if cut else data), "mine.npz")
    except RecordError as error:
        assert str(error).startswith("mine.npz: ")


@pytest.mark.parametrize("label", ["\x1b[2J\x1b]0;owned\x07", "\u202eoN", "\x9b31m", "\u200b", "\ud800", "\U000e0041"])
def test_a_label_does_not_act_in_a_terminal(label: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [
        {**row, "label": label if row["label"] == "no" else "yes", "model": f"m{label}{row['model']}"} for row in rows()
    ]
    labels, out = written(tmp_path / "labels.jsonl", made), tmp_path / "mine.npz"
    for words in (["train", str(labels), "--out", str(out), "--part", "answer"], ["test", str(out), str(labels)]):
        code = main(["reader", *words, "--rubric", "declines"])
        said = capsys.readouterr()
        assert code in (0, 2) and (said.out or said.err)
        assert not any(char in said.out + said.err for char in label if not char.isalnum() and not char.isascii())
        assert "\x1b" not in said.out + said.err and "\x07" not in said.out + said.err
        if code:
            break


@pytest.mark.parametrize(
    "weight", ["NaN", "Infinity", "-Infinity", "0", "-1", "true", '"much"', "null", "1" * 400, "[]"]
)
def test_a_weight_that_is_none_is_told(weight: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text(f'{{"label": "no", "answer": "x", "weight": {weight}}}\n')
    argv = [
        "reader",
        "train",
        str(labels),
        "--rubric",
        "declines",
        "--part",
        "answer",
        "--out",
        str(tmp_path / "x.npz"),
    ]
    assert main(argv) == 2
    assert f"{labels}:1: weight: expected a number above 0" in capsys.readouterr().err


def test_labels_nested_without_end_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text("[" * 200_000)
    assert main(["reader", "train", str(labels), "--rubric", "declines", "--out", str(tmp_path / "x.npz")]) == 2
    assert f"{labels}: not readable: nested too deeply" in capsys.readouterr().err


def test_a_full_disk_is_told_with_the_file(reader: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["reader", "train", str(reader[1]), "--rubric", "declines", "--part", "answer", "--out", "/dev/full"]
    assert main(argv) == 3
    assert "unwaver reader: /dev/full: no space left on device" in capsys.readouterr().err
