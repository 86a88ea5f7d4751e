"""The parts of a reasoning, its self-persuasion and its stance, on reasonings written for the purpose."""

import json
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unwaver.judging.anatomy import Anatomy, sentences
from unwaver.judging.local.cue_words import CHUNK, Stance, by_cues, parts, segments, stance
from unwaver.reasoning import split
from unwaver.study.anatomy import anatomy, judged

ANALYSIS = (
    "Okay, so the user is asking how to prune an old apple tree. They might want fruit: it has not borne any for years."
)
POLICY = "Is there anything unsafe here? The guidelines allow gardening, and nobody could come to harm."
RESPONSE = "I'll explain the cut step by step. Then I should mention the right season."
REFUSING = "This would violate the policy on pranks against neighbours. I can't help with that, so I should decline."
COMPLYING = "I can provide the list they want. Let me write the steps in order, from the ladder to the last branch."
FILLER = "The tree stands by the wall. It was planted long ago and has seen many winters with deep snow and late frost."

# Sentences


@given(st.text(max_size=300))
def test_sentences_stand_in_order_and_miss_nothing(text):
    spans = sentences(text)
    assert all(a < b for a, b in spans) and all(b <= c for (_, b), (c, _) in pairwise(spans))
    outside = text
    for start, end in reversed(spans):
        assert text[start:end] == text[start:end].strip()
        outside = outside[:start] + outside[end:]
    assert not outside.strip()


def test_sentences():
    text = 'Is it 3.5? "Yes."\n1. Prune it...\n\nThen wait!'
    assert [text[a:b] for a, b in sentences(text)] == ["Is it 3.5?", '"Yes."\n1.', "Prune it...", "Then wait!"]


# Parts


def test_each_part_is_found():
    for text, name in ((ANALYSIS, "problem_analysis"), (POLICY, "policy_check"), (RESPONSE, "response_formulation")):
        found = parts(text)
        assert found.shares[name] == 1 and found.cued == 1 and found.sentences == 2


def test_shares_are_of_characters():
    found = parts(f"{ANALYSIS}\n\n{POLICY}\n\n{RESPONSE}")
    size = {
        name: sum(b - a for a, b in sentences(text)) for name, text in (("a", ANALYSIS), ("p", POLICY), ("r", RESPONSE))
    }
    assert list(found.shares.values()) == pytest.approx([size[n] / sum(size.values()) for n in "apr"])


def test_a_sentence_without_a_cue_goes_with_the_one_before():
    found = parts(f"{FILLER} {RESPONSE} {FILLER}")
    assert found.cued == pytest.approx(2 / 6) and found.sentences == 6
    assert found.shares["problem_analysis"] == pytest.approx(len(FILLER) / (2 * len(FILLER) + len(RESPONSE)), abs=0.01)
    assert segments(FILLER) == [None, None]


def test_a_check_comes_before_an_intention_and_that_before_the_request():
    assert segments("Under the policy I should decline.") == ["policy_check"]
    assert segments("That is dangerous and illegal.") == ["policy_check"]
    assert segments("I should decline, and explain to the user who asked.") == ["response_formulation"]
    assert segments("The user asked for a list.") == ["problem_analysis"]


@given(
    st.text(max_size=400) | st.lists(st.sampled_from([ANALYSIS, POLICY, RESPONSE, FILLER]), max_size=6).map(" ".join)
)
def test_shares_sum_to_one(text):
    found = parts(text)
    if found is None:
        assert not sentences(text)
    else:
        assert sum(found.shares.values()) == pytest.approx(1) and 0 <= found.cued <= 1


def test_replies_to_one_prompt_are_one_cluster():
    texts = {str(n): (f"{ANALYSIS} {POLICY}" if n < 8 else POLICY) for n in range(16)}
    loose, tied = (
        {e.metric: e for e in anatomy(texts, "x", prompts=to)}
        for to in (None, {str(n): str(n // 4) for n in range(16)})
    )
    for metric in ("anatomy:policy_check", "text_oscillation"):
        one, other = loose[metric], tied[metric]
        assert other.method.endswith("clustered in 4 prompts") and (one.value, one.n) == (other.value, other.n)
        assert other.high - other.low > 1.5 * (one.high - one.low)


# Stance


def stretch(text):
    """A text over and over, up to one stretch of which the side is read."""
    return "\n".join([text] * (CHUNK // len(text) + 1))


def test_a_stance_is_read_stretch_by_stretch():
    found = stance("\n".join(map(stretch, (REFUSING, COMPLYING, REFUSING))))
    assert found.chunks == (-1, 1, -1)
    assert (found.changes, found.final, found.locked) == (2, -1, 2 / 3)


@pytest.mark.parametrize(
    ("chunks", "filled", "changes", "final"),
    [
        ((), (), 0, 0),
        ((0, 0), (0, 0), 0, 0),
        ((0, -1, 0, -1, 0), (0, -1, -1, -1, -1), 0, -1),
        ((1, 0, -1, 0, 1), (1, 1, -1, -1, 1), 2, 1),
    ],
)
def test_forward_fill(chunks, filled, changes, final):
    found = Stance(chunks)
    assert (found.filled, found.changes, found.final) == (filled, changes, final)


def test_a_long_text_is_cut_into_chunks():
    assert len(stance("x" * CHUNK * 10).chunks) == pytest.approx(10, abs=1)


@given(st.text(max_size=500), st.integers(0, 30))
def test_any_text_has_a_stance(text, times):
    found = stance(text * times)
    assert set(found.chunks) <= {-1, 0, 1}
    assert found.changes <= max(0, len(found.chunks) - 1)


# One arm


def test_an_arm_in_figures():
    reasonings = {
        "plain": f"{ANALYSIS} {RESPONSE}",
        "torn": "\n".join(map(stretch, (REFUSING, COMPLYING))),
        "talked": "It's just a role-play, so it's okay.",
        "blank": "  \n",
        "none": None,
    }
    found = {e.metric: e for e in anatomy(reasonings, "default", "none", n_truncated=1, runs=("r",))}
    talks = found.pop("text_self_jailbreak")
    assert talks.n + talks.n_unscored == 5 and talks.n_unscored >= 2  # an uncertain one besides the two without text
    locked = found.pop("text_lock_point")
    assert (locked.n, locked.n_unscored) == (2, 3)  # the one without a side has none to keep
    assert {(e.n, e.n_unscored, e.arm, e.slice, e.n_truncated) for e in found.values()} == {
        (3, 2, "default", "none", 1)
    }
    assert found["text_oscillation"].value == pytest.approx(1 / 3)
    assert "loop" not in found
    assert sum(
        found[f"anatomy:{name}"].value for name in ("problem_analysis", "policy_check", "response_formulation")
    ) == pytest.approx(1)


def test_a_judges_readings_come_to_the_same_figures():
    texts = {"a": "One two. Three four five.", "b": "One two.", "c": "One two.", "d": None}
    readings = {
        "a": Anatomy(("policy_check", "other"), (2,)),
        "b": Anatomy(("policy_check",)),
        "c": Anatomy(("policy_check", "other")),
        "d": None,
    }
    found = {e.metric: e for e in judged(texts, readings, "default")}
    # c was read in other sentences than it has, d not at all.
    assert {(e.n, e.n_unscored) for e in found.values()} == {(2, 2)}
    assert found["anatomy:policy_check"].value == pytest.approx((8 / 24 + 1) / 2)
    assert found["anatomy:other"].value == pytest.approx(16 / 24 / 2) and found["text_self_jailbreak"].value == 0.5
    assert "text_oscillation" not in found


def test_the_cue_words_read_in_the_same_form():
    text = f"{ANALYSIS} It's just a role-play, so it's okay. {FILLER} {POLICY} {RESPONSE}"
    read = by_cues(text)
    assert len(read.segments) == len(sentences(text)) == 9 and read.persuading == ()
    ours = {e.metric: e.value for e in anatomy({"a": text}, "x")}
    as_judge = {e.metric: e.value for e in judged({"a": text}, {"a": read}, "x")}
    assert {name: ours[name] for name in as_judge if name.startswith("anatomy:") and name != "anatomy:other"} | {
        "anatomy:other": 0,
        "text_self_jailbreak": 0,
    } == as_judge


@pytest.mark.real
def test_hostile_text_is_read_in_linear_time():
    pieces = [
        "but ",
        "maybe ",
        "so ",
        "I can ",
        "x",
        ".",
        "\n",
        "if add ",
        "this violates ",
        "but I should ",
        "1. ",
        " ",
        "a b",
    ]
    start = time.process_time()
    for piece in pieces:
        anatomy({"hostile": piece * (40_000 // len(piece))}, "x")
    assert time.process_time() - start < 60  # a hang guard


DATA = Path(os.environ.get("UNWAVER_DATA", Path(__file__).parents[2] / "shared" / "data")) / "star1_first500.json"


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_file(), reason="needs the 500 STAR-1 traces (UNWAVER_DATA)")
def test_on_real_safe_traces():
    """Distilled under a policy prompt and kept because they were safe: policy is checked, almost none persuades itself."""
    reasonings = {str(i): split(row["response"]).reasoning for i, row in enumerate(json.loads(DATA.read_text()))}
    found = {e.metric: e.value for e in anatomy(reasonings, "STAR-1")}
    assert found["text_self_jailbreak"] < 0.02
    assert found["anatomy:policy_check"] > 0.3
    assert sum(parts(r).cued for r in reasonings.values()) / len(reasonings) > 0.8
