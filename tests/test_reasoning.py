"""Reading replies into reasoning and answer: nothing lost, nothing guessed."""

from __future__ import annotations

import string
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unwaver.reasoning import HARMONY, THINK, Family, opens_block, render, split, trace
from unwaver.recipe import ModelSettings
from unwaver.records import Prompt, Reply, Request
from unwaver.stages.calls import TraceMaker

PIECES = [
    "<think>",
    "</think>",
    "<thi",
    "nk>",
    "\n",
    " ",
    "so",
    "Sorry",
    "a<b",
    "",
    "\ud7ff",
    "思",
    *HARMONY.close.split("|"),
]


@pytest.mark.parametrize(
    ("raw", "opened", "reasoning", "answer", "block"),
    [
        ("<think>a</think>b", False, "a", "b", "closed"),
        ("<think>\na\n</think>\n\nb", False, "\na\n", "\n\nb", "closed"),
        ("a</think>b", True, "a", "b", "closed"),
        ("a</think>b", False, "a", "b", "closed"),  # the server stripped the opener
        ("<think>a</think>b", True, "a", "b", "closed"),  # the model wrote it again
        ("<think></think>b", False, "", "b", "closed"),
        ("just an answer", False, None, "just an answer", "none"),
        ("cut off in thou", True, "cut off in thou", None, "unclosed"),
        ("<think>cut off in thou", False, "cut off in thou", None, "unclosed"),
        ("<think>a</think>b</think>c", False, "a</think>b", "c", "several"),
        ("<think>a<think>b</think>c", False, "a<think>b", "c", "several"),
        ("<think>a</think>b<think>c", False, "a</think>b<think>c", None, "several"),
        ("", False, None, "", "none"),
        ("", True, "", None, "unclosed"),
    ],
)
def test_each_kind_of_reply(raw: str, opened: bool, reasoning: str | None, answer: str | None, block: str) -> None:
    found = split(raw, opened)
    assert (found.reasoning, found.answer, found.block) == (reasoning, answer, block)
    assert found.raw == raw


@pytest.mark.parametrize("blank", ["\n", " ", "\t", "\r\n", "\u3000"])
@pytest.mark.parametrize("opened", [False, True])
def test_a_run_of_blanks_as_long_as_a_reply_is_read(blank: str, opened: bool) -> None:
    """As a model writes that goes round in a circle; minutes of work where a pattern tries each of them as a beginning."""
    for text in (blank * 200_000, f"Hello{blank * 200_000}x", f"Hello{blank * 200_000}</s>"):
        assert split(text, opened).raw == text


def test_an_answer_in_the_final_channel_needs_no_reasoning_before_it() -> None:
    raw = "<|channel|>final<|message|>Hello."
    found = split(raw, family=HARMONY)
    assert (found.reasoning, found.answer, found.block, found.raw) == (None, "Hello.", "none", raw)


ANYTHING = (
    st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join),
    st.booleans(),
    st.sampled_from([THINK, HARMONY]),
)
"""(raw reply, whether the template opened the block, tags)."""


def nothing_is_lost(raw: str, opened: bool, tags: Family) -> None:
    for found in (split(raw, opened, tags), split(raw, opened)):
        assert found.raw == raw
        assert (found.reasoning is None) == (found.block in ("none", "foreign"))
        said = " ".join([found.thought or "", found.said or "", found.opener, found.closer, found.after])
        if found.block not in ("none", "foreign"):
            assert Counter("".join(said.split())) == Counter("".join(raw.split())), "text in no field"


@pytest.mark.real
@settings(max_examples=300, deadline=None)
@given(*ANYTHING)
def test_the_pieces_are_the_raw_text(raw: str, opened: bool, tags: Family) -> None:
    nothing_is_lost(raw, opened, tags)


LETTERS = string.ascii_letters[: len(PIECES)]
AS_PIECES = str.maketrans(dict(zip(LETTERS, PIECES, strict=True)))
"""A letter stands for a piece: one draw for a whole reply is several times faster than one for each piece."""


@pytest.mark.real
@settings(max_examples=100_000, deadline=None, database=None)
@given(st.text(LETTERS, max_size=12).map(lambda letters: letters.translate(AS_PIECES)))
def test_the_pieces_of_a_hundred_thousand_replies_are_the_raw_text(raw: str) -> None:
    for opened in (False, True):
        nothing_is_lost(raw, opened, THINK)


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.booleans(), st.sampled_from([THINK, HARMONY]))
def test_what_is_rendered_is_read_back(reasoning: str, answer: str, opened: bool, tags: Family) -> None:
    if any(tag in reasoning + answer for tag in (tags.open, tags.close, "</s>")):
        return
    found = split(render(reasoning, answer, opened, tags), opened, tags)
    assert found.block == "closed"
    assert (found.reasoning or "").strip() == reasoning.strip()
    assert (found.answer or "").strip() == answer.strip()


@pytest.mark.parametrize("answer", ["It costs <s>$5</s> $4 now: <s>old</s>", "It costs <S>$5</S>", "It was </S>"])
def test_what_is_struck_out_in_html_is_no_end_of_a_turn(answer: str) -> None:
    assert split(f"<think>\nIt is cheap.\n</think>\n\n{answer}").said == answer


def test_a_reply_without_block_cannot_follow_an_opened_one() -> None:
    with pytest.raises(ValueError, match="opens a reasoning block"):
        render(None, "answer", opened=True)


def test_the_template_that_opens_the_block_is_seen() -> None:
    assert opens_block("<|Assistant|><think>\n")
    assert not opens_block("<|im_start|>assistant\n")
    assert not opens_block("<think></think>\n")


PROMPT = Prompt(text="hello", kind="benign")


@pytest.mark.parametrize("left", ["a </think>", "<think>a</think>", "[THINK]a[/THINK]"])
def test_a_reply_cut_right_behind_its_thought_is_read_alike_wherever_the_server_put_it(left: str) -> None:
    whole = left if "[" in left else f"<think>{left.removeprefix('<think>')}"
    apart = trace(PROMPT, Request(), Reply(text="", reasoning=left, ending="length"), "m")
    inside = trace(PROMPT, Request(), Reply(text=whole, ending="length"), "m")
    assert (
        (apart.reasoning, apart.answer, apart.block)
        == (inside.reasoning, inside.answer, inside.block)
        == ("a", "", "closed")
    )


def test_reasoning_that_the_server_keeps_apart() -> None:
    whole = trace(PROMPT, Request(), Reply(text="b", reasoning="a", ending="stop"), "m")
    assert (whole.reasoning, whole.answer, whole.block) == ("a", "b", "closed")
    cut = trace(PROMPT, Request(), Reply(text="", reasoning="a", ending="length"), "m")
    assert (cut.reasoning, cut.answer, cut.block) == ("a", None, "unclosed")


def test_a_prefill_is_part_of_the_reply() -> None:
    found = trace(PROMPT, Request(prefill="<think></think>"), Reply(text="Sure.", ending="stop"), "m")
    assert (found.reasoning, found.answer) == ("", "Sure.")


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>a</think>\n\nb", "a", "b"),
        ("</think>\n\nb", "a", "b"),
        ("<think>more</think>b", "a\n\nmore", "b"),
        ("<think>more", "a\n\nmore", None),
        ("b is what </think> says", "a", "b is what </think> says"),
    ],
)
def test_a_block_that_the_server_leaves_in_the_text_as_well_is_no_answer(
    text: str, reasoning: str, answer: str | None
) -> None:
    found = trace(PROMPT, Request(), Reply(text=text, reasoning="a", ending="stop"), "m")
    assert (found.reasoning, found.answer) == (reasoning, answer)


def test_what_follows_a_closed_prefill_is_the_answer_wherever_the_server_files_it() -> None:
    request = Request(prefill="<think></think>Sure, here it is: ")
    found = trace(PROMPT, request, Reply(reasoning="one", ending="stop"), "m")
    assert (found.reasoning, found.answer, found.block) == ("", "Sure, here it is: one", "closed")
    hidden = trace(PROMPT, request, Reply(reasoning="", ending="length"), "m")
    assert (hidden.answer, hidden.block) == (None, "unclosed")


def test_cut_thoughts_that_look_like_answers_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    whole = Reply(text="a thought</think>an answer", ending="stop")
    cut = Reply(text="a thought that", ending="length")
    for replies, told in (([whole, cut], True), ([whole, whole], False), ([cut, cut], False)):
        maker = TraceMaker(ModelSettings(name="openai:m", base_url="http://localhost/v1"))
        for reply in replies:
            maker.make(PROMPT, Request(), reply)
        maker.tell()
        assert ("opens_block = true" in capsys.readouterr().err) == told


def test_a_failed_call_is_a_trace_with_a_reason_and_no_text() -> None:
    failed = trace(PROMPT, Request(), Reply(ending="error", failure="HTTP 500"), "m")
    assert failed.failure == "HTTP 500"
    assert failed.reasoning is None
    assert failed.answer is None


LOOPS = {
    "a block again and again": "<think>a</think>",
    "closing marks": "</think>\n\n",
    "opening marks": "<think>",
    "spoken of": "so <think> is ",
    "in fences": "```\n<think>\n```\n",
    "in code": "`<think>` ",
    "in quotation marks": '"<think>" ',
    "behind colons": "like: <think> ",
    "channels": "<|channel|>analysis<|message|>a<|end|>",
}


@pytest.mark.real
@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_a_reply_that_loops_takes_time_by_its_length_alone(loop: str) -> None:
    """Ten times the marks would take a hundred times as long if each asked for the whole text again."""
    taken = []
    for count in (2_000, 20_000):
        began = time.process_time()
        assert split(loop * count).raw == loop * count
        taken.append(time.process_time() - began)
    assert taken[1] < 40 * max(taken[0], 0.01)
