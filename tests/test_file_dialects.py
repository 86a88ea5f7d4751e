"""Files in the shapes of other programs: each row is read right, or what may be wrong is told. One table for each kind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_trace_files import ASKED, SAID, THOUGHT, one, read, turns

from unwaver.cli import main
from unwaver.endings import ending_of
from unwaver.sources.traces import load_traces

MORE = "First I think about flour, then I think about sugar."
USER = {"role": "user", "content": ASKED}
SENT = {"model": "m", "messages": [USER]}
PART = {"type": "text", "text": SAID}


def reply(**more: Any) -> dict[str, Any]:
    return {"prompt": ASKED, "response": SAID, **more}


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "value",
    ["adaptive", "nan", "-", "\u2014", "...", "auto", "1", "0", "1.0", "1024", "True", "disabled", "None", "#N/A",
     "optional", "extended", "unknown", "verbose", "1024 tokens", "85%", "[hidden]", "[REDACTED]", "reasoning_effort: high",
     '{"effort": "high", "summary": "auto"}', {"type": "enabled", "budget_tokens": 1024}, '{"type": "adaptive"}', [], "[]",
     "{}", ["low"], "  Off  ", "\u65e0", "No reasoning", "no thinking", "budget=4096", "y", 3, 0.5, True],
)  # fmt: skip
@pytest.mark.parametrize("name", ["reasoning", "thinking"])
def test_a_setting_is_no_thought(name: str, value: object, tmp_path: Path) -> None:
    for row in (reply(**{name: value}), turns(content=SAID, **{name: value})):
        found = one(tmp_path, row)
        assert (*read(found), found.block) == (ASKED, None, SAID, "none")


@pytest.mark.parametrize("value", ["gpt-4", "mathematical", "wibble", "https://example.org/a"])
def test_a_word_that_nobody_knows_is_taken_for_a_setting_and_told(value: str, tmp_path: Path) -> None:
    found = one(tmp_path, reply(reasoning=value))
    assert (found.reasoning, found.block) == (None, "none")
    assert f"taken for a setting: '{value}'" in str(found.note)


@pytest.mark.parametrize("value", ["Easy.", "2+2=4", "Harmful!", "Okay. High.", "\u7b80\u5355"])
def test_a_short_thought_is_one(value: str, tmp_path: Path) -> None:
    found = one(tmp_path, reply(reasoning=value))
    assert (found.reasoning, found.note) == (value, None)


def test_a_thought_of_few_words_is_told(tmp_path: Path) -> None:
    found = one(tmp_path, reply(reasoning="deductive reasoning"))
    assert (found.reasoning, found.note) == ("deductive reasoning", "a thought of so few words may be a label")


def test_settings_in_a_csv(tmp_path: Path) -> None:
    words = ["0", "1", "true", "False", "", "NaN", "0.7", "TRUE", "high", "adaptive"]
    lines = "".join(f"{ASKED},{word},Mix it.\n" for word in words)
    (tmp_path / "a.csv").write_text(f"prompt,thinking,response\n{lines}")
    assert [(row.block, row.note) for row in load_traces(str(tmp_path / "a.csv"))] == [("none", None)] * len(words)


# ---------------------------------------------------------------- thoughts

STEPS: list[Any] = [
    {"steps": [THOUGHT, MORE]},
    {"steps": [{"step": 1, "text": THOUGHT}, {"step": 2, "text": MORE}]},
    {"chain": [THOUGHT, MORE], "conclusion": "ok"},
    [{"step": 1, "thought": THOUGHT}, {"step": 2, "thought": MORE}],
    {"1": THOUGHT, "2": MORE},
    {"plan": THOUGHT, "critique": MORE, "model": "m 1"},
    json.dumps({"steps": [THOUGHT, MORE]}),
]


@pytest.mark.parametrize("value", STEPS)
def test_a_thought_in_steps(value: object, tmp_path: Path) -> None:
    for row in (reply(reasoning=value), turns(content=SAID, reasoning=value)):
        assert read(one(tmp_path, row)) == (ASKED, f"{THOUGHT}\n\n{MORE}", SAID)


THOUGHTS: list[dict[str, Any]] = [
    *[turns(content=[{"type": kind, "text": THOUGHT}, PART]) for kind in ("scratchpad", "cot", "reflection", "\u601d\u8003")],
    *[turns(content=[{"type": kind, "content": THOUGHT}, PART]) for kind in ("rationale", "inner_monologue", "deliberation")],
    *[turns(content=SAID, **{name: THOUGHT}) for name in ("\u601d\u8003", "\u601d\u7ef4\u94fe", "reasoningSteps", "cot")],
    turns(content=[{"text": THOUGHT, "thought": True}, {"text": SAID}]),
    turns(content=[{"type": "thinking", "thinking": THOUGHT, "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxB"}, PART]),
    turns(content={"thinking": THOUGHT, "answer": SAID}),
    turns(content={"parts": [{"text": THOUGHT, "thought": True}, {"text": SAID}]}),
    turns(content=json.dumps([{"type": "thinking", "thinking": THOUGHT}, PART])),
    {"contents": [{"role": "user", "parts": [{"text": ASKED}]}, {"role": "model", "parts": [{"text": THOUGHT, "thought": True}, {"text": SAID}]}]},
    {"messages": [{"role": "user", "parts": [{"type": "text", "text": ASKED}]}, {"role": "assistant", "parts": [{"type": "step-start"}, {"type": "reasoning", "text": THOUGHT}, PART]}]},
    {"messages": [{"type": "human", "content": ASKED}, {"type": "ai", "content": SAID, "additional_kwargs": {"reasoning_content": THOUGHT}}]},
    {"messages": [{"role": "prompter", "message": ASKED}, {"role": "assistant", "message": SAID, "thoughts": [THOUGHT]}]},
    {"messages": [{"role": "\u7528\u6237", "content": ASKED}, {"role": "\u601d\u8003", "content": THOUGHT}, {"role": "\u52a9\u624b", "content": SAID}]},
    {"messages": [USER, {"role": "assistant", "content": THOUGHT, "is_thinking": True}, {"role": "assistant", "content": SAID}]},
    {"messages": [USER, {"author": {"role": "scratchpad"}, "content": THOUGHT}, {"author": {"role": "assistant"}, "content": SAID}]},
    {"prompt": ASKED, "response": {"reasoning_content": THOUGHT, "content": SAID}},
    {"prompt": ASKED, "output": {"reasoning": THOUGHT, "answer": SAID}},
    {"prompt": ASKED, "response": [{"type": "thinking", "thinking": THOUGHT}, PART]},
    {"prompt": ASKED, "response": json.dumps([{"type": "thinking", "thinking": THOUGHT}, PART])},
    {"prompt": ASKED, "reasoningContent": THOUGHT, "response": SAID},
    {"Prompt": ASKED, "Reasoning Content": THOUGHT, "Response": SAID},
    {"Prompt": ASKED, "CoT": THOUGHT, "Response": SAID},
    {"request": SENT, "response": {"type": "message", "role": "assistant", "content": [{"type": "thinking", "thinking": THOUGHT}, PART], "stop_reason": "end_turn"}},
    {"request": {"contents": [{"role": "user", "parts": [{"text": ASKED}]}]}, "response": {"candidates": [{"content": {"parts": [{"text": THOUGHT, "thought": True}, {"text": SAID}], "role": "model"}, "finishReason": "STOP"}]}},
    {"request": {"messages": [{"role": "user", "content": [{"text": ASKED}]}]}, "response": {"output": {"message": {"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {"text": THOUGHT, "signature": "x"}}}, {"text": SAID}]}}, "stopReason": "end_turn"}},
    {"request": SENT, "response": {"message": {"role": "assistant", "content": SAID, "thinking": THOUGHT}, "done_reason": "stop"}},
    {"request": {"prompt": ASKED}, "response": {"response": SAID, "thinking": THOUGHT, "done_reason": "stop"}},
    {"request": SENT, "response": {"message": {"role": "assistant", "content": [{"type": "thinking", "thinking": THOUGHT}, PART]}, "finish_reason": "COMPLETE"}},
    {"request": {"input": ASKED}, "response": {"status": "completed", "output": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}, {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": SAID}]}]}},
    {"inputs": {"messages": [USER]}, "outputs": {"role": "assistant", "content": SAID, "reasoning_content": THOUGHT}},
    {"input": [USER], "output": {"role": "assistant", "content": SAID, "reasoning": THOUGHT}},
    {"request": json.dumps(SENT), "response": json.dumps({"choices": [{"message": {"role": "assistant", "content": SAID, "reasoning": THOUGHT}, "finish_reason": "stop"}]})},
    {"input": ASKED, "output": {"choices": [{"message": {"role": "assistant", "content": [{"type": "reasoning", "reasoning": THOUGHT}, PART]}, "stop_reason": "stop"}]}},
]  # fmt: skip


@pytest.mark.parametrize("row", THOUGHTS)
def test_a_thought_in_the_shapes_of_other_programs(row: dict[str, Any], tmp_path: Path) -> None:
    found = one(tmp_path, row)
    assert (*read(found), found.note) == (ASKED, THOUGHT, SAID, None)


@pytest.mark.parametrize("name", ["analysis", "reflection", "inner_monologue"])
def test_a_field_beside_a_text_that_is_read_by_its_name_is_told(name: str, tmp_path: Path) -> None:
    found = one(tmp_path, turns(content=SAID, **{name: THOUGHT}))
    assert read(found) == (ASKED, THOUGHT, SAID)
    assert found.note == f"`{name}` is taken for the reasoning, by its name"


UNUSED: list[tuple[dict[str, Any], str]] = [
    (reply(metadata={"reasoning": THOUGHT}), "metadata.reasoning"),
    (reply(metadata=json.dumps({"reasoning": THOUGHT})), "metadata.reasoning"),
    (reply(extra={"a": {"cot": THOUGHT}}), "extra.a.cot"),
    *[(reply(**{name: THOUGHT}), name) for name in ("explanation", "rationale", "thought_process", "analysis", "think", "plan")],
    *[(reply(**{name: THOUGHT}), name) for name in ("\u601d\u8003\u8fc7\u7a0b", "gedanken", "justification", "model_reasoning", "reason")],
    (reply(intermediate_steps=[THOUGHT]), "intermediate_steps"),
    (turns(content=SAID, plan=THOUGHT), "plan"),
    (turns(content=SAID, metadata={"cot": THOUGHT}), "metadata.cot"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "name"), UNUSED)
def test_a_column_that_may_hold_a_thought_is_told_and_the_map_that_is_named_helps(
    row: dict[str, Any], name: str, tmp_path: Path
) -> None:
    found = one(tmp_path, row)
    assert read(found) == (ASKED, None, SAID)
    assert str(found.note).endswith(f"--map reasoning={name}")
    assert read(one(tmp_path, row, {"reasoning": name})) == (ASKED, THOUGHT, SAID)


@pytest.mark.parametrize(
    "more",
    [
        {"judge_reasoning": THOUGHT},
        {"judgement": {"reasoning": THOUGHT}},
        {"analysis": "toxic"},
        {"reasoning_tokens": 33, "thinking_budget": "1024", "has_reasoning": True, "reasoning_effort": "high"},
        {"reasoning_model": "deepseek r1 distill"},
    ],
)
def test_what_is_no_thought_is_not_told(more: dict[str, Any], tmp_path: Path) -> None:
    found = one(tmp_path, reply(**more))
    assert (*read(found), found.note) == (ASKED, None, SAID, None)


TOLD: list[tuple[dict[str, Any], str]] = [
    (turns(content=[{"type": "wibble", "text": THOUGHT}, PART]), "a part of the type `wibble` is read as the answer's"),
    (turns(content=[PART, {"type": "citation", "text": "page 3"}]), "`citation`"),
    ({"messages": [USER, {"role": "assistant", "content": THOUGHT}, {"role": "assistant", "content": SAID}]}, "as one reply"),
    ({"messages": [USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "tool_use"}]}, {"role": "user", "content": [{"type": "tool_result", "content": "flour"}]}, {"role": "assistant", "content": SAID}]}, "before a tool's turn"),
    ({"messages": [USER, {"role": "assistant", "content": None, "reasoning_content": THOUGHT}, {"role": "tool", "content": "flour"}, {"role": "assistant", "content": SAID}]}, "before a tool's turn"),
    ({"prompt": ASKED, "response": f"[{{'type': 'text', 'text': '{SAID}'}}]"}, "as Python writes it"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "told"), TOLD)
def test_what_is_read_by_its_looks_is_told(row: dict[str, Any], told: str, tmp_path: Path) -> None:
    found = one(tmp_path, row)
    assert found.prompt == ASKED
    assert SAID in str(found.answer)
    assert told in str(found.note)


UNREAD: list[tuple[dict[str, Any], str]] = [
    (
        {"request": SENT, "response": [{"choices": [{"delta": {"content": "Mix"}}]}, {"choices": []}]},
        "expected one reply",
    ),
    ({"request": SENT, "response": 'data: {"choices": []}\n\n'}, "stream of events"),
    ({"prompt": ASKED, "response": 'data: {"choices": []}\n\n'}, "stream of events"),
    ({"prompt": ASKED, "response": {"a": SAID}}, "--map response=COLUMN.FIELD"),
    ({"prompt": ASKED, "response": [{"type": "tool_use"}]}, "without any text"),
    ({"question": ASKED, "explanation": SAID}, "--map response=COLUMN"),
    ({"messages": [["human", ASKED], ["ai", SAID]]}, "expected turns as objects"),
]


@pytest.mark.parametrize(("row", "told"), UNREAD)
def test_a_shape_that_nobody_knows_is_unread(row: dict[str, Any], told: str, tmp_path: Path) -> None:
    assert told in str(one(tmp_path, row).unread)


def test_fields_of_an_object_can_be_named(tmp_path: Path) -> None:
    row = {"prompt": ASKED, "response": json.dumps({"reasoning": THOUGHT, "answer": SAID})}
    named = {"response": "response.answer", "reasoning": "response.reasoning"}
    assert read(one(tmp_path, row, named)) == (ASKED, THOUGHT, SAID)
    assert read(one(tmp_path, {"prompt": ASKED, "out": {"a": {"b": SAID}}}, {"response": "out.a.b"}))[2] == SAID


@pytest.mark.parametrize(
    "response",
    [
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"candidates": [{"finishReason": "SAFETY"}]},
        {"choices": [{"finish_reason": "content_filter", "message": {"role": "assistant", "content": ""}}]},
    ],
)
def test_a_logged_call_that_a_filter_withheld_has_no_reply(response: dict[str, Any], tmp_path: Path) -> None:
    found = one(tmp_path, {"request": SENT, "response": response})
    assert (found.unread, found.replied, found.ending) == (None, False, "filter")


def test_a_logged_call_that_failed_has_no_reply(tmp_path: Path) -> None:
    found = one(tmp_path, {"request": SENT, "response": {"error": {"message": "overloaded"}}})
    assert (found.unread, found.replied) == (None, False)
    assert "`error`" in str(found.note)


def test_a_refusal_in_place_of_the_content_is_the_reply(tmp_path: Path) -> None:
    assert one(tmp_path, turns(content=None, refusal="I can't help with that.")).answer == "I can't help with that."


def test_a_thought_that_was_cut_is_no_answer(tmp_path: Path) -> None:
    cut = turns(content="", reasoning=THOUGHT, finish_reason="length")
    for row in (cut, {"prompt": ASKED, "reasoning": THOUGHT, "response": "", "finish_reason": "length"}):
        found = one(tmp_path, row)
        assert (found.reasoning, found.answer, found.block) == (THOUGHT, None, "unclosed")


# ---------------------------------------------------------------- endings

ENDINGS = {
    "stop": (
        *("stop", "STOP", "end_turn", "EndTurn", "stop_sequence", "eos", "EOS_TOKEN", "eosFound", "COMPLETE", "FINISH", "tool-calls"),
        *("STOP_CRITERIA_MET", "endoftext", "<|im_end|>", "<|eot_id|>", "FINISH_REASON_STOP", "stop: end_turn", {"type": "stop"}),
        "{'type': 'stop', 'matched': 151645}",
    ),
    "length": (
        *("length", "LENGTH", "token_limit", "length_limit", "limit", "max_tokens", "MAX_TOKENS", "FinishReason.MAX_TOKENS"),
        *("model_length", "maximum_tokens", "max_new_tokens", "max_length", "maxPredictedTokensReached", "ERROR_LIMIT"),
        *("contextLengthReached", "model_context_window_exceeded", "hit max tokens", "out_of_tokens", {"type": "length"}),
    ),
    "filter": (
        *("guardrail_intervened", "content_filtered", "SAFETY", "FINISH_REASON_SAFETY", "RECITATION", "refusal", "blocked"),
        *("content-filter", "content_filter: SAFETY", "PROHIBITED_CONTENT", "ERROR_TOXIC", "sensitive", "policy_violation"),
    ),
    None: ("abort", "cancelled", "timeout", "error", "pause_turn", "time_limit", "userStopped", "not filtered", "1", 7, None, ""),
}  # fmt: skip


@pytest.mark.parametrize(("word", "ending"), [(word, ending) for ending, words in ENDINGS.items() for word in words])
def test_one_table_of_endings_for_files_and_servers(word: object, ending: str | None, tmp_path: Path) -> None:
    assert ending_of(word) == ending
    found = one(tmp_path, reply(finish_reason=word))
    assert found.ending == ending
    assert (found.note is not None) == (ending is None and isinstance(word, str) and word != "")


@pytest.mark.parametrize(
    "row",
    [
        *[reply(**{name: "MAX_TOKENS"}) for name in ("finishReason", "stopReason", "done_reason", "FINISH_REASON", "Stop Reason")],
        reply(finish_reasons=["length"]),
        reply(metadata={"finish_reason": "length"}),
        reply(details={"finish_reason": "length", "generated_tokens": 20}),
        reply(finish_reason="wibble", stop_reason="length"),
        turns(content=SAID, finish_reason="length"),
        turns(content=SAID, response_metadata={"finish_reason": "length"}),
        {"request": {"prompt": ASKED}, "response": {"choices": [{"text": SAID, "finish_reason": "length"}]}},
        {"request": {"inputs": ASKED}, "response": [{"generated_text": SAID, "details": {"finish_reason": "length"}}]},
        {"request": {"message": ASKED}, "response": {"text": SAID, "finish_reason": "MAX_TOKENS"}},
        {"request": {"input": ASKED}, "response": {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": SAID}]}]}},
        {"prompt": ASKED, "outputs": [{"index": 0, "text": SAID, "finish_reason": "length"}]},
    ],
)  # fmt: skip
def test_an_ending_wherever_it_stands(row: dict[str, Any], tmp_path: Path) -> None:
    found = one(tmp_path, row)
    assert (*read(found), found.ending) == (ASKED, None, SAID, "length")


# ---------------------------------------------------------------- bare results

LONG = f"{THOUGHT} {MORE} {THOUGHT} {MORE}"


@pytest.mark.parametrize(
    ("row", "other"),
    [
        ({"question": ASKED, "solution": LONG, "response": "42"}, "solution"),
        ({"question": ASKED, "generation": LONG, "output": "B"}, "generation"),
        ({"question": ASKED, "answer": LONG, "response": "Paris"}, "answer"),
        ({"question": ASKED, "output": "B", "model_output": LONG}, "model_output"),
        ({"question": ASKED, "completion": "\\boxed{42}", "full_output": LONG}, "full_output"),
        ({"question": ASKED, "response": "yes", "r1_solution": [LONG]}, "r1_solution"),
        ({"question": ASKED, "response": "42", "output": LONG, "answer": "42"}, "output"),
        ({"problem": ASKED, "r1_generation": LONG, "answer": "42"}, "r1_generation"),
    ],
)
def test_a_short_result_beside_a_long_reply_is_told(row: dict[str, Any], other: str, tmp_path: Path) -> None:
    found = one(tmp_path, row)
    assert f"--map response={other}, or --map response=" in str(found.unread)
    assert one(tmp_path, row, {"response": other}).answer == LONG


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"question": ASKED, "response": LONG, "answer": "42"}, LONG),
        ({"question": ASKED, "response": "42", "context": LONG}, "42"),
        ({"question": ASKED, "response": "42", "ground_truth_solution": LONG}, "42"),
        ({"question": ASKED, "response": "No.", "explanation": LONG}, "No."),
        ({"question": ASKED, "response": "I can't help with that", "solution": LONG}, "I can't help with that"),
        ({"question": ASKED, "response": SAID, "solution": LONG}, SAID),
    ],
)
def test_a_reply_is_one_whatever_stands_beside_it(row: dict[str, Any], answer: str, tmp_path: Path) -> None:
    assert read(one(tmp_path, row))[2] == answer


@pytest.mark.parametrize(
    "more",
    [
        {"message": {"content": "a line of the log"}},
        {"result": {"text": "a safe reply"}},
        {"outputs": {"text": "another text"}, "inputs": {"a": 1}},
        {"request": {"model": "m"}, "body": {"x": 1}, "kwargs": {"temperature": 1}},
        {"outputs": {"score": 2}, "inputs": {"a": 1}},
    ],
)
def test_other_objects_in_a_row_make_it_no_logged_call(more: dict[str, Any], tmp_path: Path) -> None:
    for row in (reply(), turns(content=SAID), {"question": ASKED, "answer": SAID}):
        found = one(tmp_path, row | more)
        assert (*read(found), found.note) == (ASKED, None, SAID, None)


def test_what_is_told_stands_on_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [reply(reasoning="wibble"), reply(explanation=THOUGHT), reply(finish_reason="abort"), TOLD[0][0]]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["audit", str(tmp_path / "a.jsonl")]) == 0
    page = " ".join(capsys.readouterr().out.split())
    for told in (
        "taken for a setting",
        "--map reasoning=explanation",
        "nobody knows the word `abort`",
        "type `wibble`",
    ):
        assert told in page


# ---------------------------------------------------------------- what is there twice


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_field_that_stands_twice_and_differs_is_not_read(name: str, tmp_path: Path) -> None:
    body = json.dumps({"prompt": ASKED, "answer": "I can't help."})[:-1] + ', "answer": "Sure, here is how."}'
    (tmp_path / name).write_text(f"[{body}]" if name == "a.json" else body + "\n")
    assert main(["audit", str(tmp_path / name)]) == 2


def test_a_field_that_stands_twice_and_is_the_same_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": ASKED, "answer": "Sure."})[:-1] + ', "answer": "Sure."}')
    (found,) = load_traces(str(tmp_path / "a.jsonl"))
    assert found.answer == "Sure."


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": ASKED, "answer": "Sure.", "Answer": "I can't help."},
        {"Prompt": ASKED, "prompt": "another", "answer": "Sure."},
        {"prompt": ASKED, "Answer": "Sure.", "ANSWER": "I can't help."},
        {"prompt": ASKED, "answer": "Sure.", "Reasoning": THOUGHT, "reasoning": THOUGHT + " Or not at all."},
    ],
)
def test_two_columns_that_differ_in_capitals_alone_and_hold_two_texts_are_told(
    row: dict[str, Any], tmp_path: Path
) -> None:
    assert "hold different texts" in (one(tmp_path, row).unread or "")


def test_a_map_says_which_of_two_columns_is_meant(tmp_path: Path) -> None:
    row = {"prompt": ASKED, "answer": "Sure, here is how.", "Answer": "I can't help with that."}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    for name in ("answer", "Answer"):
        assert [found.answer for found in load_traces(str(tmp_path / "a.jsonl"), {"response": name})] == [row[name]]


@pytest.mark.parametrize("more", [{"Answer": ""}, {"Answer": "Sure."}, {"Thinking": "auto", "thinking": THOUGHT}])
def test_two_columns_of_one_text_are_one(more: dict[str, Any], tmp_path: Path) -> None:
    assert one(tmp_path, {"prompt": ASKED, "answer": "Sure."} | more).answer == "Sure."


# ---------------------------------------------------------------- JSON of another shape than the file's name says


def test_a_list_under_the_name_of_json_lines_is_read(tmp_path: Path) -> None:
    rows = [{"prompt": ASKED, "answer": "Sure."}] * 2
    (tmp_path / "a.jsonl").write_text(json.dumps(rows, indent=1))
    assert [found.answer for found in load_traces(str(tmp_path / "a.jsonl"))] == ["Sure."] * 2


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_one_object_over_many_lines_is_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text(json.dumps({"data": [{"prompt": ASKED, "answer": "Sure."}]}, indent=1))
    assert main(["audit", str(tmp_path / name)]) == 2
    assert "one object over many lines; expected a list of rows" in capsys.readouterr().err
