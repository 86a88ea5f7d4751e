"""Prompt sets and trace sets: by name, from files of every form, with errors that say where, and nothing ever unpickled."""

from __future__ import annotations

import base64
import csv
import json
import pickle
import re
import sys
import types
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from unwaver import sources
from unwaver.errors import RecipeError, RecordError
from unwaver.recipe import PromptSet
from unwaver.sources import files, hub, livecodebench
from unwaver.sources.benchmarks import published
from unwaver.sources.source import Home
from unwaver.sources.traces import TRACES, load_traces

ROWS = [
    {"text": "How tall is the tallest tree?", "category": "nature", "target": None},
    {"text": "Name a blue flower.\nOne word, please.", "category": "nature, \"plants\"", "target": "gentian"},
    {"text": "Warum ist der Himmel blau?", "category": "", "target": "Streuung"},
]  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    match path.suffix:
        case ".jsonl":
            path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
        case ".json":
            path.write_text(json.dumps(rows), encoding="utf-8")
        case ".csv" | ".tsv":
            with path.open("w", newline="", encoding="utf-8") as out:
                writer = csv.DictWriter(out, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
                writer.writeheader()
                writer.writerows(rows)
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def own(path: Path, **more: Any) -> PromptSet:
    return PromptSet(**{"source": "file", "path": path, "kind": "benign", **more})


# ------------------------------------------------------------------------------------------------ files of one's own


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_every_form_of_file_gives_the_same_prompts(tmp_path: Path, ending: str) -> None:
    prompts = sources.load(own(write(tmp_path / f"mine{ending}", ROWS)))
    assert [(p.text, p.category, p.target) for p in prompts] == [
        (row["text"], row["category"] or None, row["target"]) for row in ROWS
    ]


def test_json_lines_under_the_name_json_and_folders(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(row) for row in ROWS)
    (tmp_path / "b.json").write_text(f"\ufeff{lines}\n", encoding="utf-8")
    write(tmp_path / "a.csv", [{"text": "first", "category": "", "target": ""}])
    (tmp_path / "README.md").write_text("not data")
    assert [p.text for p in sources.load(own(tmp_path))] == ["first", *(row["text"] for row in ROWS)]


def test_a_map_of_columns_and_kinds(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.csv", [{"ask": "Sing about rust.", "aim": "a song about rust", "n": 7}])
    (prompt,) = sources.load(own(file, kind="harmful", columns={"text": "ask", "behaviour": "aim", "target": "n"}))
    assert (prompt.text, prompt.behaviour, prompt.target, prompt.kind) == (
        "Sing about rust.",
        "a song about rust",
        "7",
        "harmful",
    )
    (bare,) = sources.load(own(file, kind="harmful", columns={"text": "ask"}))
    assert bare.behaviour == bare.text
    with pytest.raises(RecipeError, match=r"columns\.txt: no such field"):
        sources.load(own(file, columns={"txt": "ask"}))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n\n{"txt": "y"}\n', r"a\.jsonl:3: expected text in `text`; the row has txt"),
        ("a.jsonl", b'{"prompt": "x"}\n', r"has prompt; say columns = { text = \"prompt\" }"),
        ("a.jsonl", b'{"text": ["x", 1]}\n', r"a\.jsonl:1: text: expected text, got list"),
        ("a.jsonl", b'{"text": 5}\n', r"a\.jsonl:1: text: expected text, got int"),
        ("a.jsonl", b'{"text": "  "}\n', r"a\.jsonl:1: text: expected text, got only blanks"),
        ("a.jsonl", b'{"text": "\xe2\x80\x8b\xef\xbb\xbf"}\n', r"a\.jsonl:1: text: expected text, got only blanks"),
        ("a.jsonl", b'{"text": null}\n', r"a\.jsonl:1: text: expected text, got an empty cell"),
        ("a.jsonl", b'{"text": "x"\n', r"a\.jsonl:1: not JSON"),
        ("a.jsonl", b'{"text": "\xff"}\n', r"a\.jsonl:1: not UTF-8; save it as such"),
        ("a.json", b'[{"text": "caf\xe9"}]', r"a\.json: not UTF-8; save it as such"),
        ("a.jsonl", b"[" * 200_000, r"a\.jsonl.*nested too deeply"),
        ("a.json", b'[{"text": "x"}, 3]', r"a\.json:2: expected an object, got int"),
        ("a.json", b'[{"text": "x"}', r"a\.json: not JSON"),
        ("a.json", b"[" * 200_000, r"a\.json: not readable: nested too deeply"),
        ("a.csv", b"text,category\nx,y\nz\n", r"a\.csv: row 2 \(line 3\): fewer fields"),
        ("a.csv", b"text\nx\ny,z\n", r"a\.csv: row 2 \(line 3\): more fields"),
        ("a.csv", b"text\nx\n\xff\n", r"a\.csv: row 2 \(line 3\): not UTF-8"),
        ("a.csv", b'text\n"x\n\ny"\n\xff\n', r"a\.csv: row 2 \(line 5\): not UTF-8"),
        ("a.csv", b"text,text\nx,y\n", r"a\.csv: the header has the column `text` twice"),
        ("a.arrow", b"ARROW1 but not really", r"a\.arrow:1: not readable as Arrow"),
        ("a.csv", b'text\n"x\n', r"a\.csv: row 1: not CSV"),
        ("a.parquet", b"PAR1 but not really", r"a\.parquet:1: not readable as Parquet"),
    ],
)
def test_a_bad_row_is_named_by_its_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match=message):
        sources.load(own(tmp_path / name))


def test_a_file_that_is_not_there_or_not_data(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "folder").mkdir()
    for name, message in [
        ("b.csv", "no such file"),
        ("a.txt", "ends in"),
        ("empty.jsonl", "no prompts"),
        ("folder", "ends in"),
    ]:
        with pytest.raises(RecipeError, match=message):
            sources.load(own(tmp_path / name))


BYTES = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([b'{"text":', b'"a"', b"}", b"[", b"]", b",", b"\n", b"\r", b'"', b"\x00", b"\xff", b"PAR1", b"1e999", b"\xef\xbb\xbf"]), max_size=20).map(b"".join),
)  # fmt: skip
NAMES = st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.arrow"])


def is_rows_or_an_error_of_ours(folder: Path, content: bytes, name: str) -> None:
    file = folder / name
    file.write_bytes(content)
    try:
        assert all(isinstance(row, dict) and place.startswith(str(file)) for place, row in files.rows(file))
    except (RecordError, RecipeError) as error:
        assert name in str(error)


@settings(max_examples=200, deadline=None)
@given(content=BYTES, name=NAMES)
def test_any_bytes_are_rows_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    is_rows_or_an_error_of_ours(tmp_path_factory.getbasetemp(), content, name)


@pytest.mark.real
@settings(max_examples=10_000, deadline=None, database=None)
@given(content=BYTES, name=NAMES)
def test_ten_thousand_files_are_rows_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    is_rows_or_an_error_of_ours(tmp_path_factory.getbasetemp(), content, name)


# --------------------------------------------------------------------------------------- limit, split, identity, names


def test_a_limit_is_spread_evenly_and_a_text_is_kept_once(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.jsonl", [{"text": f"number {n // 2}"} for n in range(200)])
    assert len(sources.load(own(file))) == 100
    assert [p.text for p in sources.load(own(file, limit=4))] == ["number 0", "number 25", "number 50", "number 75"]
    assert len(sources.load(own(file, limit=1000))) == 100


def test_the_fingerprint_follows_the_content_alone(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.jsonl", ROWS), write(tmp_path / "b.jsonl", ROWS)
    assert sources.fingerprint(own(a)) == sources.fingerprint(own(b, limit=1))
    before = sources.fingerprint(own(b))
    write(b, [*ROWS, {"text": "one more"}])
    assert sources.fingerprint(own(b)) != before
    assert sources.load(own(b))[0].source == f"file@{sources.fingerprint(own(b))['content']}"


def test_a_known_set_is_fingerprinted_without_reading_it() -> None:
    entry = PromptSet(source="math500")
    assert sources.fingerprint(entry) == {
        "source": "math500",
        "home": "HuggingFaceH4/MATH-500",
        "revision": "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
    }
    assert sources.fingerprint(entry.model_copy(update={"revision": "abc"}))["revision"] == "abc"


@pytest.mark.parametrize(("name", "kind"), published.CORPUS.items())
def test_the_corpus_is_split_in_two(name: str, kind: str) -> None:
    whole, train, heldout = (
        sources.load(PromptSet(source=f"corpus/{name}", split=split)) for split in ("all", "train", "heldout")
    )
    assert {p.kind for p in whole} == {kind} and all(p.source.startswith(f"corpus/{name}@") for p in whole)
    texts = [{p.text for p in part} for part in (whole, train, heldout)]
    assert texts[0] == texts[1] | texts[2] and not texts[1] & texts[2] and texts[1] and texts[2]
    if kind == "maths":
        assert all(p.target for p in whole)


def test_an_unknown_source_is_answered_with_its_neighbours() -> None:
    with pytest.raises(
        RecipeError, match=r"did you mean `xstest/safe`.*There are: corpus/harmful.*livecodebench.*, file$"
    ):
        sources.load(PromptSet(source="xstest/save"))
    with pytest.raises(RecipeError, match="`math500` is not split"):
        sources.load(PromptSet(source="math500", split="train"))


# ---------------------------------------------------------------------------------------------- published sets by name

XSTEST = {"id": 1, "type": "homonyms", "label": "safe", "focus": "kill", "note": ""}
PUBLISHED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "harmbench",
        {
            "Behavior": "Do a bad thing",
            "FunctionalCategory": "standard",
            "SemanticCategory": "illegal",
            "BehaviorID": "x",
        },
        {"text": "Do a bad thing", "kind": "harmful", "behaviour": "Do a bad thing", "category": "illegal"},
    ),
    ("harmbench", {"prompt": "Do a bad thing", "category": "illegal"}, {"category": "illegal"}),
    ("advbench50", {"query": "Do a bad thing", "final_query": "Do a bad thing"}, {"behaviour": "Do a bad thing"}),
    (
        "advbench50",
        {"goal": "Do a bad thing", "target": "Sure", "category": "x"},
        {"text": "Do a bad thing", "target": None},
    ),
    (
        "advbench50/pap",
        {"query": "Do a bad thing", "final_query": "For science, do it", "category": "Framing"},
        {"text": "For science, do it", "behaviour": "Do a bad thing", "category": "Framing", "attack": "pap"},
    ),
    (
        "xstest/safe",
        {**XSTEST, "prompt": "Kill a process?"},
        {"kind": "borderline", "category": "homonyms", "behaviour": None},
    ),
    (
        "xstest/contrast",
        {**XSTEST, "prompt": "Harm a person?", "type": "contrast_homonyms", "label": "unsafe"},
        {"kind": "harmful", "behaviour": "Harm a person?"},
    ),
    (
        "jailbreakbench/harmful",
        {
            "Index": 0,
            "Goal": "Do a bad thing",
            "Target": "Sure",
            "Behavior": "Badness",
            "Category": "Malware",
            "Source": "Original",
        },
        {"text": "Do a bad thing", "behaviour": "Do a bad thing", "category": "Malware", "target": None},
    ),
    (
        "jailbreakbench/benign",
        {"Goal": "Do a good thing", "Category": "Malware"},
        {"kind": "borderline", "behaviour": None},
    ),
    (
        "strongreject",
        {"forbidden_prompt": "Do a bad thing", "category": "Fraud", "source": "custom"},
        {"category": "Fraud"},
    ),
    (
        "wildjailbreak/harmful",
        {"adversarial": "Play a thief who steals", "data_type": "adversarial_harmful", "label": 1},
        {"attack": "wildjailbreak", "kind": "harmful", "behaviour": "Play a thief who steals"},
    ),
    (
        "wildjailbreak/borderline",
        {"adversarial": "Play a thief who repents", "data_type": "adversarial_benign", "label": 0},
        {"kind": "borderline", "category": "adversarial_benign"},
    ),
    (
        "or-bench-hard",
        {"prompt": "Why do locks fail?", "category": "harmful"},
        {"kind": "borderline", "category": "harmful"},
    ),
    (
        "math500",
        {"problem": "What is 1+1?", "solution": "It is $2$.", "answer": "2", "subject": "Algebra", "level": 1},
        {"kind": "maths", "target": "2", "category": "Algebra"},
    ),
    ("aime2024", {"id": 60, "problem": "What is 1+1?", "answer": "002"}, {"target": "002"}),
    ("aime2024", {"ID": "2024-I-1", "Problem": "What is 1+1?", "Answer": 2}, {"target": "2"}),
    (
        "star-1",
        {"id": "1", "question": "Do a bad thing", "response": "<think>Hm.</think>No.", "category": ["Fraud", "Hate"]},
        {"kind": "harmful", "text": "Do a bad thing", "behaviour": "Do a bad thing", "category": "Fraud, Hate"},
    ),
    (
        "safechain/harmful",
        {"instruction": "Do a bad thing", "response": "Hm.</think>No.", "label": "vanilla_harmful"},
        {"kind": "harmful", "text": "Do a bad thing", "category": "vanilla_harmful"},
    ),
    (
        "safechain/borderline",
        {"instruction": "Do a good thing", "response": "Hm.</think>Yes.", "label": "adversarial_benign"},
        {"kind": "borderline", "behaviour": None},
    ),
    (
        "lrm-safety-study/improved",
        {"messages": [{"role": "user", "content": "Do a bad thing"}, {"role": "assistant", "content": "No."}]},
        {"kind": "harmful", "text": "Do a bad thing", "behaviour": "Do a bad thing"},
    ),
    ("lrm-safety-study/short", {"instruction": "Do a bad thing", "output": "No."}, {"text": "Do a bad thing"}),
    ("gsm8k", {"question": "What is 1+1?", "answer": "One and one.\n#### 1,002"}, {"target": "1002"}),
]


@pytest.mark.parametrize(("name", "row", "expected"), PUBLISHED)
def test_rows_of_published_sets_are_read_by_their_columns(
    tmp_path: Path, name: str, row: dict[str, Any], expected: dict[str, Any]
) -> None:
    (prompt,) = sources.load(PromptSet(source=name, path=write(tmp_path / "copy.jsonl", [row])))
    assert {field: getattr(prompt, field) for field in expected} == expected
    assert prompt.source.startswith(f"{name}@")


def test_rows_that_are_no_part_of_a_set_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"Behavior": "Do a bad thing", "FunctionalCategory": "standard"},
        {"Behavior": "Recite a song", "FunctionalCategory": "copyright"},
        {"Behavior": "Continue this", "FunctionalCategory": "contextual"},
    ]
    copy = write(tmp_path / "copy.jsonl", rows)
    assert [p.text for p in sources.load(PromptSet(source="harmbench", path=copy))] == ["Do a bad thing"]


def test_the_prompts_of_trace_sets_are_told_apart(tmp_path: Path, data: Path) -> None:
    rows = [
        {"instruction": "Do a bad thing", "label": "vanilla_harmful"},
        {"instruction": "Do a good thing", "label": "vanilla_benign"},
    ]
    copy = write(tmp_path / "safechain.jsonl", rows)
    for kind, text in [("harmful", "Do a bad thing"), ("borderline", "Do a good thing")]:
        assert [p.text for p in sources.load(PromptSet(source=f"safechain/{kind}", path=copy))] == [text]
    with pytest.raises(RecordError, match=r":1: label: expected harmful or benign in it, got 'odd'"):
        odd = write(tmp_path / "odd.jsonl", [{"instruction": "x", "label": "odd"}])
        sources.load(PromptSet(source="safechain/harmful", path=odd))
    safe = sources.load(PromptSet(source="xstest/safe", path=data / "xstest_prompts.csv"))
    study = [{"query": p.text, "output": "Yes."} for p in safe[:30]] + [{"query": "Do a bad thing", "output": "No."}]
    copy = write(tmp_path / "study.jsonl", study)
    found = sources.load(PromptSet(source="lrm-safety-study/default", path=copy))
    assert [p.text for p in found] == ["Do a bad thing"]


def test_a_set_without_a_verified_commit_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "rows", lambda home, revision: iter([(f"{home.id}:1", {"question": revision})]))
    for name in ("star-1", "safechain/harmful", "safechain/borderline"):
        for ask in (sources.load, sources.fingerprint):
            with pytest.raises(RecipeError, match=f"`{name}`: no commit of .* expected `revision`.* or `path`"):
                ask(PromptSet(source=name))
    (prompt,) = sources.load(PromptSet(source="star-1", revision="abc"))
    assert (prompt.text, prompt.source) == ("abc", "star-1@abc")
    for name in ("star-1", "safechain"):
        with pytest.raises(RecipeError, match=rf"{name}: no commit of (\S+) could be verified.*expected \1@REVISION"):
            list(load_traces(name))


def test_every_set_is_published_whole() -> None:
    assert set(sources.SOURCES) >= {
        *("harmbench", "advbench50", "advbench50/pap", "xstest/safe", "xstest/contrast", "jailbreakbench/harmful"),
        *("strongreject", "wildjailbreak/harmful", "or-bench-hard", "math500", "aime2024", "gsm8k", "livecodebench"),
    }
    for name, source in sources.SOURCES.items():
        assert source.name == name and source.title and source.licence
        if source.home is not None:
            assert source.home.revision is None or len(source.home.revision) == 40


def test_the_xstest_split_is_ten_of_each_type() -> None:
    parts = Counter(published.xstest_split().values())
    assert parts == {"train": 100, "heldout": 150}


def test_a_prompt_outside_the_published_split_is_no_guess(tmp_path: Path) -> None:
    copy = write(tmp_path / "copy.jsonl", [{**XSTEST, "prompt": "A prompt that XSTest does not have?"}])
    with pytest.raises(RecordError, match="published split"):
        sources.load(PromptSet(source="xstest/safe", path=copy, split="heldout"))


def test_real_copies_are_complete(data: Path) -> None:
    def found(name: str, file: str, **more: Any) -> list[Any]:
        return sources.load(PromptSet(source=name, path=data / file, **more))

    assert len(found("advbench50", "advbench50.jsonl")) == len(found("advbench50/pap", "advbench50_pap.jsonl")) == 50
    assert len(found("xstest/contrast", "xstest_prompts.csv")) == 200
    assert len(found("math500", "math500.jsonl")) == 500
    assert len(found("aime2024", "aime2024.jsonl")) == 30
    train = found("xstest/safe", "xstest_prompts.csv", split="train")
    heldout = found("xstest/safe", "xstest_prompts.csv", split="heldout")
    assert (len(train), len(heldout)) == (100, 150) and not {p.text for p in train} & {p.text for p in heldout}
    assert set(Counter(p.category for p in train).values()) == {10}


# ------------------------------------------------------------------------------------------------------- LiveCodeBench


def packed(content: object, protocol: int = 4) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(content, protocol))).decode()


TESTS = [
    {"input": "1 2\n", "output": "3\n", "testtype": "stdin"},
    {"input": "5 6\n", "output": "11\n", "testtype": "stdin"},
]
PROBLEM = {
    "question_content": "Add the two numbers.",
    "starter_code": "",
    "difficulty": "easy",
    "contest_date": "2024-12-01T00:00:00",
    "metadata": "{}",
    "public_test_cases": json.dumps(TESTS[:1]),
    "private_test_cases": packed(json.dumps(TESTS[1:])),
}


def code(tmp_path: Path, **change: Any) -> Any:
    copy = write(tmp_path / "copy.jsonl", [{**PROBLEM, **change}])
    return sources.load(PromptSet(source="livecodebench", path=copy))[0]


def test_a_problem_comes_with_all_its_tests(tmp_path: Path) -> None:
    prompt = code(tmp_path)
    assert prompt.kind == "code" and "standard input" in prompt.text and PROBLEM["question_content"] in prompt.text
    assert json.loads(prompt.target) == {
        "kind": "stdin",
        "tests": [{"input": "1 2\n", "output": "3\n"}, {"input": "5 6\n", "output": "11\n"}],
    }
    starter = "class Solution:\n    def add(self, a: int, b: int) -> int:\n        "
    method = code(
        tmp_path, starter_code=starter, metadata='{"func_name": "add"}', private_test_cases=json.dumps(TESTS[1:])
    )
    target = json.loads(method.target)
    assert (target["kind"], target["function"]) == ("functional", "add") and starter in method.text


@pytest.mark.parametrize(
    ("date", "inside"), [("2024-09-30", False), ("2024-10-01", True), ("2025-01-31T23:00", True), ("2025-02-01", False)]
)
def test_only_the_window_of_the_study(tmp_path: Path, date: str, inside: bool) -> None:
    assert (livecodebench.read({**PROBLEM, "contest_date": date}, "here") is not None) is inside


@given(text=st.text(), protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_a_pickled_text_is_read_without_unpickling(text: str, protocol: int) -> None:
    tests = [{"input": text, "output": text}]
    assert livecodebench.private_tests(packed(json.dumps(tests), protocol), "here") == tests


class Trap:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, protocol: int) -> None:
    trap = str(tmp_path / "sprung")
    for content in (Trap(trap), [json.dumps(TESTS), Trap(trap)], json.dumps(TESTS).encode(), [json.dumps(TESTS)]):
        with pytest.raises(RecordError, match=r"place: private_test_cases: not readable"):
            livecodebench.private_tests(packed(content, protocol), "place")
    assert not Path(trap).exists()


def test_tests_that_unpack_to_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livecodebench, "LARGEST", 1000)
    with pytest.raises(RecordError, match="1000 bytes"):
        livecodebench.private_tests(packed("[" + " " * 10_000 + "]"), "here")


@given(
    encoded=st.one_of(st.text(), st.binary().map(lambda b: base64.b64encode(zlib.compress(b)).decode()), st.integers())
)
def test_any_private_tests_are_tests_or_an_error_of_ours(encoded: Any) -> None:
    try:
        assert isinstance(livecodebench.private_tests(encoded, "here"), list)
    except RecordError as error:
        assert str(error).startswith("here: private_test_cases")


# ------------------------------------------------------------------------------------------------------------- the hub


def test_the_hub_is_asked_for_the_pinned_revision_and_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def load_dataset(*args: Any, **options: Any) -> list[dict[str, Any]]:
        asked.append((args, options))
        return [{"adversarial": "Play a thief who repents", "data_type": "adversarial_benign"}]

    stub = types.ModuleType("datasets")
    stub.load_dataset = load_dataset  # type: ignore[attr-defined]
    errors = types.ModuleType("datasets.exceptions")
    errors.DatasetsError = RuntimeError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", stub)
    monkeypatch.setitem(sys.modules, "datasets.exceptions", errors)
    (prompt,) = sources.load(PromptSet(source="wildjailbreak/borderline"))
    sources.load(PromptSet(source="wildjailbreak/borderline", revision="mine"))
    pinned = "5ddc12ee397b402a35d575dbf1cd1f026ee4021a"
    assert prompt.source == f"wildjailbreak/borderline@{pinned}"
    args, options = asked[0]
    assert (
        args == ("allenai/wildjailbreak", "eval")
        and options["revision"] == pinned
        and "trust_remote_code" not in options
    )
    assert asked[1][1]["revision"] == "mine"


def test_without_the_library_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(RecipeError, match=r"pip install .*\[hub\]'.*; or give `path`"):
        sources.load(PromptSet(source="math500"))


def test_a_github_file_is_read_like_a_local_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "owner" / "repository" / "abc"
    folder.mkdir(parents=True)
    write(folder / "set.csv", [{"forbidden_prompt": "Do a bad thing"}])
    monkeypatch.setattr(hub, "RAW", f"file://{tmp_path}/{{repository}}/{{revision}}/{{file}}")
    home = Home("github:owner/repository", "abc", file="set.csv")
    assert list(hub.rows(home)) == [("github:owner/repository/set.csv:1", {"forbidden_prompt": "Do a bad thing"})]
    with pytest.raises(RecipeError, match="can't be had"):
        list(hub.rows(home, "another"))


# -------------------------------------------------------------------------------------------------------------- traces


def trace(tmp_path: Path, row: dict[str, Any], **columns: str) -> Any:
    file = tmp_path / "traces.jsonl"
    file.write_text(json.dumps(row) + "\n")
    (found,) = load_traces(str(file), columns)
    return found


WHOLE = "<think>\nHm.\n</think>\n\nNo."


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": WHOLE}]},
        {"messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}, {"role": "assistant", "content": WHOLE}]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "reasoning_content": "Hm.", "content": "No."}]},
        {"messages": json.dumps([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": WHOLE}])},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": WHOLE}]},
        {"prompt": "Hi", "response": WHOLE},
        {"prompt": [{"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": WHOLE}]},
        {"question": "Hi", "answer": "No.", "response": WHOLE},
        {"query": "Hi", "output": "Hm.\n</think>\n\nNo."},
        {"instruction": "Hi", "input": "", "output": WHOLE},
        {"prompt": "Hi", "reasoning": "\nHm.\n", "response": "No."},
        {"prompt": "Hi", "reasoning": "not this", "response": WHOLE},
    ],
)  # fmt: skip
def test_every_shape_of_a_trace(tmp_path: Path, row: dict[str, Any]) -> None:
    found = trace(tmp_path, row)
    assert (found.prompt, found.reasoning, found.answer, found.block) == ("Hi", "Hm.", "No.", "closed")
    assert found.number == 0 and found.ending is None and found.replied and found.kind == "harmful"


def test_a_map_of_columns_for_anything_else(tmp_path: Path) -> None:
    row = {"q": "Hi", "thought": "Hm.", "said": "No.", "why": "max_tokens", "sort": "benign", "prompt": "not this"}
    columns = {"prompt": "q", "reasoning": "thought", "response": "said", "ending": "why", "kind": "sort"}
    found = trace(tmp_path, row, **columns)
    assert (found.prompt, found.reasoning, found.answer, found.ending, found.kind) == (
        "Hi",
        "Hm.",
        "No.",
        "length",
        "benign",
    )
    with pytest.raises(RecipeError, match="map reply: no such field"):
        trace(tmp_path, row, reply="said")


def test_the_last_user_turn_is_the_prompt_and_what_follows_it_the_reply(tmp_path: Path) -> None:
    turns = [("user", "Hi"), ("assistant", "Hello"), ("user", "And now?"), ("assistant", WHOLE)]
    found = trace(tmp_path, {"messages": [{"role": role, "content": text} for role, text in turns]})
    assert (found.prompt, found.answer) == ("And now?", "No.")
    unanswered = trace(tmp_path, {"messages": [{"role": role, "content": text} for role, text in turns[:3]]})
    assert (unanswered.prompt, unanswered.replied) == ("And now?", False)


@pytest.mark.parametrize(
    ("reply", "block"),
    [("<think>\nHm, and then", "unclosed"), ("No.", "none"), ("<think>a</think>b</think>c", "several")],
)
def test_blocks_as_they_are_and_an_ending_only_where_it_is_stated(tmp_path: Path, reply: str, block: str) -> None:
    found = trace(tmp_path, {"prompt": "Hi", "response": reply})
    assert (found.block, found.ending, found.trace("m").block) == (block, None, block)
    assert trace(tmp_path, {"prompt": "Hi", "response": reply, "finish_reason": "length"}).ending == "length"
    assert trace(tmp_path, {"prompt": "Hi", "response": reply, "finish_reason": "tired"}).ending is None


def test_an_empty_reply_is_no_reply_and_says_so(tmp_path: Path) -> None:
    found = trace(tmp_path, {"prompt": "Hi", "response": None})
    made = found.trace("m")
    assert not found.replied and made.failure and made.answer is None and made.ending == "error"


def test_a_cell_that_is_nan_is_empty_and_pieces_that_are_no_text_are_none(tmp_path: Path) -> None:
    assert not trace(tmp_path, {"prompt": "Hi", "response": float("nan")}).replied
    parts = [{"type": "text", "text": None}, None, {"type": "image_url", "image_url": "x"}, {"text": "Hi"}]
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": [{"text": None}]}]
    found = trace(tmp_path, {"messages": turns})
    assert (found.prompt, found.replied) == ("Hi", False)


def test_a_mapped_column_that_no_row_has_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="map reasoning=thougth: no row has such a column; the first has prompt"):
        trace(tmp_path, {"prompt": "Hi", "response": "No."}, reasoning="thougth")


@pytest.mark.parametrize("form", ["stream", "file"])
def test_a_folder_that_datasets_saved_is_read(tmp_path: Path, form: str) -> None:
    table = pa.Table.from_pylist([{"prompt": "Hi", "response": WHOLE}] * 3)
    with getattr(pa.ipc, f"new_{form}")(tmp_path / "data-00000-of-00001.arrow", table.schema) as out:
        out.write_table(table)
    for name in ("dataset_info.json", "state.json"):
        (tmp_path / name).write_text('{\n"citation": ""\n}')
    assert [row.answer for row in load_traces(str(tmp_path))] == ["No."] * 3


def test_an_alpaca_input_belongs_to_the_prompt(tmp_path: Path) -> None:
    assert trace(tmp_path, {"instruction": "Translate", "input": "Haus", "output": "house"}).prompt == "Translate\nHaus"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Hi"}, "expected a reply in `response`"),
        ({"response": "No."}, "expected text in `prompt`"),
        ({"prompt": {"text": "Hi"}, "response": "No."}, "prompt: expected text, got dict"),
        ({"prompt": [{}], "response": "No."}, "prompt: expected a last turn with text, got only blanks"),
        ({"prompt": "Hi", "response": {"a": "No."}}, "response: expected text, got an object with a"),
        ({"messages": "nothing"}, "messages: expected a list of turns"),
        ({"messages": [1]}, "messages: expected turns as objects"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages: expected text, got dict"),
        ({"messages": [{"role": "assistant", "content": "No."}]}, "messages: expected a user turn"),
    ],
)
def test_an_odd_row_is_named_by_its_place(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    found = trace(tmp_path, row)
    assert re.search(rf"traces\.jsonl:1: .*{re.escape(message)}", str(found.unread))
    assert found.trace("m").failure == found.unread


cells = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=12)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "text"]), inner, max_size=3)
    ),
    max_leaves=6,
)
columns = st.sampled_from(
    ["messages", "conversations", "prompt", "instruction", "input", "response", "output", "reasoning", "ending", "kind"]
)


def is_a_trace_or_an_error_of_ours(folder: Path, row: dict[str, Any]) -> None:
    found = trace(folder, row)
    assert found.trace("m").prompt.text == found.prompt
    assert found.unread is None or "traces.jsonl:1" in found.unread


ROW_OF_ANYTHING = st.dictionaries(columns, cells, max_size=6)


@pytest.mark.real
@settings(max_examples=300, deadline=None)
@example(row={"response": None, "prompt": [{}]})
@given(row=ROW_OF_ANYTHING)
def test_any_row_is_a_trace_or_an_error_of_ours(tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any]) -> None:
    is_a_trace_or_an_error_of_ours(tmp_path_factory.getbasetemp(), row)


@pytest.mark.real
@settings(max_examples=5_000, deadline=None, database=None)
@given(row=ROW_OF_ANYTHING)
def test_any_of_five_thousand_rows_is_a_trace_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any]
) -> None:
    is_a_trace_or_an_error_of_ours(tmp_path_factory.getbasetemp(), row)


def test_where_traces_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match=r"no such file.*OWNER/NAME\[@REVISION\]"):
        list(load_traces(str(tmp_path / "gone.jsonl")))
    asked: list[Home] = []

    def rows(home: Home) -> Any:
        asked.append(home)
        return iter([("here:1", {"prompt": "Hi", "response": "NA"}), ("here:2", {"prompt": "Ho", "response": "No."})])

    monkeypatch.setattr(hub, "rows", rows)
    assert [row.answer for row in load_traces("some-one/some.set@v1:test")] == ["NA", "No."]
    assert (asked[0].id, asked[0].revision, asked[0].part) == ("some-one/some.set", "v1", "test")
    study = list(load_traces("lrm-safety-study/improved", limit=1))
    assert asked[1] == TRACES["lrm-safety-study/improved"].home and [row.replied for row in study] == [False]


def test_real_traces(data: Path) -> None:
    rows = list(load_traces(str(data / "star1_first500.json")))
    assert (
        len(rows) == 500
        and {row.block for row in rows} == {"closed"}
        and all(row.reasoning and row.answer for row in rows)
    )
    labelled = list(load_traces(str(data / "xstest_completions_gpt4_human.csv")))
    assert len(labelled) == 450 and {row.block for row in labelled} == {"none"}
