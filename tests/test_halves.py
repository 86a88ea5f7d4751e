"""One's own file in two halves: balanced, the same whatever the file's order, and never sharing what the leak guard finds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unwaver.sources import overlap
from unwaver.sources.halves import halves

WORDS = st.sampled_from(
    ["how", "do", "i", "mend", "the", "old", "lamp", "of", "my", "aunt", "before", "she", "comes", "home"]
)
TEXTS = st.lists(st.lists(WORDS, min_size=1, max_size=14).map(" ".join), min_size=1, max_size=30)


@pytest.mark.real
@given(TEXTS, st.randoms())
def test_halves_share_no_text_and_do_not_depend_on_the_order(texts: list[str], chance: random.Random) -> None:
    found = halves(texts)
    assert set(found) == set(texts)
    train, held = ([(text, text) for text, half in found.items() if half == one] for one in ("train", "heldout"))
    for trained, evaluated in ((train, held), (held, train)):
        assert overlap.find(trained, {"other": evaluated}).sets["other"].prompts == 0
    again = list(found)
    chance.shuffle(again)
    assert halves(again) == found


@given(st.integers(1, 60))
def test_prompts_that_share_nothing_are_divided_evenly(count: int) -> None:
    found = list(halves(f"word{n} thing{n} place{n}" for n in range(count)).values())
    assert abs(found.count("train") - found.count("heldout")) <= 1


def test_capitals_blanks_and_marks_are_no_difference() -> None:
    found = halves(["How do I mend a lamp?", "how  do i MEND a lamp", "Why is it so dark in here today?"])
    assert found["How do I mend a lamp?"] == found["how  do i MEND a lamp"]
