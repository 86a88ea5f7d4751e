"""Files of traces as people publish them: packed, in other encodings, with other columns, roles and parts."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unwaver import online
from unwaver.cli import main
from unwaver.errors import RecipeError
from unwaver.parts import said, thought
from unwaver.records import Prompt
from unwaver.sources import files
from unwaver.sources.traces import FileTrace, load_traces

ASKED, THOUGHT, SAID = "How do I bake a cake?", "They want a cake. I list the steps.", "Mix flour, eggs and sugar."


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "reachable", lambda: False)


def one(tmp_path: Path, row: Any, columns: dict[str, str] | None = None) -> FileTrace:
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (found,) = load_traces(str(tmp_path / "a.jsonl"), columns)
    return found


def read(row: FileTrace) -> tuple[str, str | None, str | None]:
    assert row.unread is None, row.unread
    return row.prompt, row.reasoning, row.answer


def turns(**reply: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", **reply}]}


# ---------------------------------------------------------------- what stands where


@pytest.mark.parametrize(
    "row",
    [
        turns(content=SAID, thinking=THOUGHT),
        turns(content=SAID, thought=THOUGHT),
        turns(content=SAID, reasoning=THOUGHT),
        turns(content=SAID, reasoning=[{"type": "text", "text": THOUGHT}]),
        turns(content=SAID, reasoning_details=[{"type": "reasoning.text", "text": THOUGHT}]),
        turns(content=[{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": SAID}]),
        turns(content=[{"type": "reasoning", "text": THOUGHT}, {"type": "text", "text": SAID}]),
        turns(content=[{"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}, {"text": SAID}]),
        turns(content=f"<think>{THOUGHT}</think>{SAID}"),
        {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID, "reasoning_content": THOUGHT}]},
        {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}], "cot": THOUGHT},
        {"prompt": [{"role": "user", "content": ASKED}], "completion": [{"role": "assistant", "content": SAID, "reasoning_content": THOUGHT}]},
        {"prompt": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": ASKED}], "completion": [{"role": "assistant", "content": SAID, "thinking": THOUGHT}]},
        {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": ASKED}], "reasoning": THOUGHT, "answer": SAID},
        {"messages": [{"role": "user", "content": ASKED}], "reasoning_content": THOUGHT, "response": SAID},
        {"prompt": ASKED, "thinking": THOUGHT, "response": SAID},
        {"question": ASKED, "cot": THOUGHT, "answer": SAID},
        {"Question": ASKED, "Complex_CoT": THOUGHT, "Response": SAID},
        {"instruction": ASKED, "input": "", "output": SAID, "chain_of_thought": THOUGHT},
        {"input": [{"role": "user", "content": ASKED}], "output": SAID, "reasoning": THOUGHT},
        turns(content=SAID, reasoningContent=THOUGHT),
        turns(content=SAID, rationale=THOUGHT),
        turns(content=SAID, reasoning=json.dumps([{"type": "reasoning.text", "text": THOUGHT}])),
        {"prompt": ASKED, "reasoning": json.dumps({"text": THOUGHT}), "response": SAID},
        {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt_thinking", "value": THOUGHT}, {"from": "gpt", "value": SAID}]},
        {"messages": [{"role": "user", "content": ASKED}, {"role": "reasoner", "content": THOUGHT}, {"role": "assistant", "content": SAID}]},
        {"prompt": ASKED, "reasoning": THOUGHT, "response": [SAID]},
        turns(content=SAID, thinking_trace=THOUGHT),
        turns(content=SAID, provider_specific_fields={"reasoning_content": THOUGHT}),
        turns(content=[{"reasoningContent": {"reasoningText": {"text": THOUGHT}}}, {"text": SAID}]),
        {"messages": [{"role": "user", "content": ASKED}, {"role": "thinking", "content": THOUGHT}, {"role": "assistant", "content": SAID}]},
        {"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "channel": "analysis", "content": THOUGHT}, {"role": "assistant", "channel": "final", "content": SAID}]},
        {"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": f"<think>{THOUGHT}</think>"}, {"role": "assistant", "content": SAID}]},
        {"input": ASKED, "output": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}, {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": SAID}]}]},
        {"prompt": ASKED, "reasoning": f"<think>{THOUGHT}</think>{SAID}", "response": SAID},
    ],
)  # fmt: skip
def test_reasoning_and_reply_wherever_they_stand(row: dict[str, Any], tmp_path: Path) -> None:
    assert read(one(tmp_path, row)) == (ASKED, THOUGHT, SAID)


@pytest.mark.parametrize(
    "word", ["on", "off", "high", "Medium", "detailed thinking off", True, False, 12, {"effort": "low"}, None, []]
)
def test_how_much_was_to_be_thought_is_no_thought(word: object, tmp_path: Path) -> None:
    assert read(one(tmp_path, {"prompt": ASKED, "response": SAID, "reasoning": word})) == (ASKED, None, SAID)


@pytest.mark.parametrize("role", ["model", "chatgpt", "bot", "Assistant", "GPT", "ai", " assistant "])
def test_roles_of_the_one_who_answers(role: str, tmp_path: Path) -> None:
    row = {"messages": [{"role": "User", "content": ASKED}, {"role": role, "content": SAID}]}
    assert read(one(tmp_path, row)) == (ASKED, None, SAID)


def test_a_turn_whose_one_field_is_its_role(tmp_path: Path) -> None:
    assert read(one(tmp_path, {"conversations": [{"user": ASKED}, {"assistant": SAID}]})) == (ASKED, None, SAID)


@pytest.mark.parametrize("role", ["Alice", "narrator", ""])
def test_a_role_nobody_knows_is_told(role: str, tmp_path: Path) -> None:
    row = one(tmp_path, {"messages": [{"role": "user", "content": ASKED}, {"role": role, "content": SAID}]})
    assert row.unread is not None
    assert "role assistant" in row.unread
    assert role in row.unread


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": ASKED, "response": SAID, "thinking_process": THOUGHT}, "--map reasoning=thinking_process"),
        ({"prompt": ASKED, "response": SAID, "r1_reasoning": THOUGHT}, "--map reasoning=r1_reasoning"),
        ({"prompt": ASKED, "response": SAID, "reasoning_steps": [THOUGHT, "Done."]}, "--map reasoning=reasoning_steps"),
        ({"prompt": ASKED, "answer": SAID, "output": f"<think>{THOUGHT}</think>{SAID}"}, "--map response=output"),
        ({"prompt": ASKED, "response": "nan"}, "for nothing"),
        ({"prompt": ASKED, "response": SAID, "kind": "toxic"}, "harmful"),
        ({"prompt": ASKED, "response": SAID + "<|im_end|>\n<|im_start|>user\nMore?"}, "end of its turn"),
    ],
)
def test_what_may_be_read_wrongly_is_told(
    row: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in str(one(tmp_path, row).note)
    assert main(["audit", str(tmp_path / "a.jsonl")]) == 0
    assert told in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("open_", ["<|im_start|>assistant\n<think>\n", "<\uff5cAssistant\uff5c><think>\n"])
def test_a_rendered_prompt_that_opens_the_block(open_: str, tmp_path: Path) -> None:
    row = one(tmp_path, {"prompt": f"{ASKED}{open_}", "completion": THOUGHT})
    assert (row.reasoning, row.answer, row.block) == (THOUGHT, None, "unclosed")
    asked = one(tmp_path, {"prompt": "What does this tag mean: <think>", "completion": SAID})
    assert (asked.reasoning, asked.answer) == (None, SAID)


RESULTS: list[dict[str, Any]] = [
    {"question": ASKED, "solution": "Six sevens are 42, as you see when you add them one by one.", "answer": "42"},
    {"problem": ASKED, "generations": ["Six sevens are 42, as you see when you add."], "answer": "42"},
    {"question": ASKED, "model_output": "Mix flour, eggs and sugar, and bake all of it.", "answer": "flour"},
    {"question": ASKED, "explanation": "It is B, because A and C contradict the text.", "answer": "B"},
]


@pytest.mark.parametrize("row", RESULTS)
def test_a_bare_result_is_no_reply(row: dict[str, Any], tmp_path: Path) -> None:
    found = one(tmp_path, row)
    other = next(name for name in row if name not in ("question", "problem", "answer"))
    assert found.unread is not None
    assert f"--map response={other}" in found.unread
    assert read(one(tmp_path, row, {"response": "answer"}))[2] == row["answer"]
    assert len(str(one(tmp_path, row, {"response": other}).answer)) > len(row["answer"])


@pytest.mark.parametrize(
    "row",
    [
        {"question": ASKED, "answer": "No."},
        {"question": ASKED, "answer": "I can't.", "source": "some/data set of mine"},
        {"question": ASKED, "answer": "42", "reasoning": THOUGHT},
        {"question": ASKED, "answer": "I can't help with that.", "system": "You are a kind assistant. " * 20},
        {"question": ASKED, "answer": "Paris", "context": "Paris is the capital of France. " * 20},
    ],
)
def test_a_short_answer_alone_is_a_reply(row: dict[str, Any], tmp_path: Path) -> None:
    assert read(one(tmp_path, row))[2] == row["answer"]


# ---------------------------------------------------------------- packed, and in other encodings

LINES = "".join(
    json.dumps({"prompt": ASKED, "response": f"<think>{THOUGHT}</think>{SAID} é {n}"}) + "\n" for n in range(3)
)


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.jsonl.gz", gzip.compress),
        ("a.JSONL.GZ", gzip.compress),
        ("a.jsonl.zst", zstd),
        ("a.jsonl.zst", lambda data: zstd(data[:50]) + zstd(data[50:])),
        ("a.jsonl.gz", lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:])),
        ("a.jsonl.bz2", bz2.compress),
        ("a.ndjson.xz", lzma.compress),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_packed_lines(name: str, pack: Callable[[bytes], bytes], encoding: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pack(LINES.encode(encoding)))
    found = list(load_traces(str(tmp_path / name)))
    assert [row.answer for row in found] == [f"{SAID} é {n}" for n in range(3)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_other_encodings_that_say_so(encoding: str, name: str, tmp_path: Path) -> None:
    row = {"prompt": ASKED, "response": SAID}
    forms = {"a.jsonl": json.dumps(row), "a.json": json.dumps([row]), "a.csv": f'prompt,response\n{ASKED},"{SAID}"\n'}
    (tmp_path / name).write_bytes(forms[name].encode(encoding))
    (found,) = load_traces(str(tmp_path / name))
    assert read(found) == (ASKED, None, SAID)


def test_packed_lists_and_tables_and_folders_of_them(tmp_path: Path) -> None:
    row = {"prompt": ASKED, "response": SAID}
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps([row]).encode()))
    (tmp_path / "b.csv.zst").write_bytes(zstd(f'prompt,response\n{ASKED},"{SAID}"\n'.encode()))
    assert [found.answer for found in load_traces(str(tmp_path))] == [SAID, SAID]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.gz", gzip.compress(LINES.encode() * 100)[:-30]),
        ("a.jsonl.zst", zstd(LINES.encode() * 100)[:-5]),
        ("a.jsonl.xz", lzma.compress(LINES.encode() * 100)[:-30]),
        ("a.jsonl.gz", b"no gzip"),
        ("a.jsonl.zst", b"no zstd at all"),
        ("a.jsonl.bz2", b"no bzip2"),
        ("a.jsonl", b"\xff\xfe" + LINES.encode("utf-16-le")[:-1]),
    ],
)
def test_what_breaks_off_is_told(name: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_bytes(content)
    assert main(["audit", str(tmp_path / name)]) == 2
    err = capsys.readouterr().err
    assert str(tmp_path / name) in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("a.xlsx", "save it as CSV"),
        ("a.ods", "save it as CSV"),
        ("a.txt", "expected a name"),
        ("a.parquet.gz", "unpack it"),
    ],
)
def test_what_is_not_read_says_the_way_out(name: str, word: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(RecipeError, match=word):
        list(load_traces(str(tmp_path / name)))


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60),
    st.sampled_from(["utf-8", "utf-16", "utf-32"]),
)
def test_any_text_comes_through_any_encoding(
    tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str
) -> None:
    path = tmp_path_factory.mktemp("encoded") / "a.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"a": text}, ensure_ascii=False).encode(encoding)))
    ((_, row),) = files.rows(path)
    assert row == {"a": text}


# ---------------------------------------------------------------- CSV


@pytest.mark.parametrize(("sign", "told"), [(";", "`;`"), ("\t", "tabs"), ("|", "`|`")])
def test_a_csv_with_other_signs_between_its_columns_is_read_and_that_is_said(
    sign: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text(f'prompt{sign}response\n"{ASKED}"{sign}"{SAID}"\n')
    (found,) = load_traces(str(tmp_path / "a.csv"))
    assert read(found) == (ASKED, None, SAID)
    assert told in capsys.readouterr().err


def test_a_csv_of_one_column_and_one_with_semicolons_in_its_fields(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nhello; you\n")
    assert [row for _, row in files.rows(tmp_path / "a.csv")] == [{"text": "hello; you"}]
    (tmp_path / "b.csv").write_text('prompt,"a;b;c"\nx,y\n')
    assert [row for _, row in files.rows(tmp_path / "b.csv")] == [{"prompt": "x", "a;b;c": "y"}]


def test_a_csv_in_latin_1_says_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_bytes("prompt,response\nWas?,Äpfel\n".encode("latin-1"))
    assert main(["audit", str(tmp_path / "a.csv")]) == 2
    assert "iconv -f windows-1252 -t utf-8" in capsys.readouterr().err


def test_turns_of_a_role_that_nobody_knows_are_told(tmp_path: Path) -> None:
    row = {"messages": [*turns(content=SAID)["messages"], {"role": "critic", "content": "Too short."}]}
    found = one(tmp_path, row)
    assert read(found) == (ASKED, None, SAID)
    assert found.note == "turns behind the prompt were not read, got the roles critic"


def test_several_replies_in_one_row_are_told(tmp_path: Path) -> None:
    found = one(tmp_path, {"prompt": ASKED, "response": [SAID, "No."]})
    assert "response: expected one reply in a row, got 2: make a row of each" in str(found.unread)


def test_a_column_that_may_hold_the_thought_is_told(tmp_path: Path) -> None:
    found = one(tmp_path, {"prompt": ASKED, "rationale": THOUGHT, "response": SAID})
    assert "--map reasoning=rationale" in str(found.note)
    assert thought("[1] is the source I use.") == "[1] is the source I use."


# ---------------------------------------------------------------- no reply anywhere


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ({"messages": [{"role": "user", "content": ASKED}], "final": SAID}, "--map response=final"),
        ({"prompt": ASKED, "response": "", "generated_text": SAID}, "--map response=generated_text"),
        ({"prompt": ASKED, "response": None}, "--map response=COLUMN"),
    ],
)
def test_a_file_without_any_reply_is_an_error_that_says_what_may_help(
    row: dict[str, Any], hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_text((json.dumps(row) + "\n") * 3)
    out = tmp_path / "v.jsonl"
    assert main(["audit", str(tmp_path / "a.jsonl"), "--rubric", "refusal", "--out", str(out)]) == 2
    err = capsys.readouterr().err
    assert hint in err
    assert next(iter(row)) in err
    assert not out.exists()


def test_the_map_that_is_named_helps(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": ASKED}], "final": SAID}
    assert read(one(tmp_path, row, {"response": "final"})) == (ASKED, None, SAID)


# ---------------------------------------------------------------- parts, alone

TEXTS = st.text(min_size=1, max_size=20)
PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "text", "thinking", "summary", "x"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["content", "reasoning", "thinking", "reasoning_details"]), PARTS, max_size=4))
def test_whatever_a_message_holds_it_is_text_or_a_value_error(message: dict[str, Any]) -> None:
    try:
        found = said(message, message.get("content"))
    except ValueError:
        assert not isinstance(message.get("content"), str | list | None)
        return
    assert isinstance(found.text, str | None)
    assert isinstance(found.reasoning, str | None)


def test_a_thought_is_a_text() -> None:
    assert thought("Okay.") == "Okay."
    assert thought(["one ", "two"]) == "one two"


def test_a_row_makes_a_trace(tmp_path: Path) -> None:
    made = one(tmp_path, turns(content=SAID, thinking=THOUGHT)).trace("x")
    assert made.prompt == Prompt(text=ASKED, kind="harmful", behaviour=ASKED)


TURN = [{"role": "user", "content": ASKED}]
CHOICE = {"message": {"role": "assistant", "content": SAID, "reasoning_content": THOUGHT}, "finish_reason": "stop"}


@pytest.mark.parametrize(
    "row",
    [
        {"request": {"model": "m", "messages": TURN}, "response": {"choices": [CHOICE]}},
        {"messages": TURN, "response": {"choices": [CHOICE]}},
        {"messages": TURN, "choices": [CHOICE]},
        {"request": {"body": {"messages": TURN}}, "response": {"status_code": 200, "body": {"choices": [CHOICE]}}},
    ],
)
def test_a_logged_call_of_a_chat_api_is_a_row(tmp_path: Path, row: dict[str, Any]) -> None:
    found = one(tmp_path, row)
    assert (*read(found), found.ending) == (ASKED, THOUGHT, SAID, "stop")


@pytest.mark.parametrize(
    "row", [{"request": {"messages": TURN}, "response": {"choices": [CHOICE, CHOICE]}}, {"request": 3, "choices": 4}]
)
def test_a_logged_call_of_another_shape_is_unread(tmp_path: Path, row: dict[str, Any]) -> None:
    assert one(tmp_path, row).unread is not None
