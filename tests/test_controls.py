"""Controls for style: strata of length, the regression and its refusals to answer, and the stripped opener."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.api import Logit

from unwaver.study.controls import Item, at_equal_length, by_length, strip_opener, without_opener

ITEMS = st.lists(
    st.builds(
        Item,
        prompt=st.sampled_from("pqrstu"),
        arm=st.sampled_from(["raw", "short", "improved"]),
        outcome=st.sampled_from([True, False, None]),
        reasoning=st.none() | st.integers(0, 5000),
        answer=st.none() | st.integers(0, 50),
    ),
    max_size=60,
)


def world(effect: float, slope: float, n: int = 400, seed: int = 0) -> list[Item]:
    """Two arms; the second writes half as long, and its log odds differ by `effect` beside what length does."""
    random = np.random.default_rng(seed)
    items = []
    for prompt in range(n):
        for arm, scale in (("raw", 800), ("short", 400)):
            reasoning, answer = (int(v) for v in random.lognormal(math.log(scale), 0.7, 2))
            odds = -0.5 + effect * (arm == "short") + slope * math.log2((1 + reasoning) / 600)
            items.append(Item(f"{prompt}", arm, bool(random.random() < 1 / (1 + math.exp(-odds))), reasoning, answer))
    return items


# Strata


@settings(deadline=None)
@given(ITEMS, st.sampled_from(["reasoning", "answer"]))
def test_strata_share_out_every_item(items, part):
    found = by_length(items, part, "asr")
    arms = list(dict.fromkeys(item.arm for item in items))
    assert [e.arm for e in found] == arms * (len(found) // max(1, len(arms)))
    for arm in arms:
        mine = [item for item in items if item.arm == arm]
        assert sum(e.n + e.n_unscored for e in found if e.arm == arm) == len(mine)
        assert sum(e.n for e in found if e.arm == arm) == sum(item.outcome is not None for item in mine)
        without = [e for e in found if e.arm == arm and e.slice == f"no {part}"]
        assert sum(e.n + e.n_unscored for e in without) == sum(getattr(item, part) is None for item in mine)


def test_strata_are_quarters_of_all_arms_together():
    items = [Item(f"{i}", "raw" if i % 2 else "short", i >= 50, i, None) for i in range(100)]
    found = by_length(items, "reasoning", "asr", n_truncated=3)
    assert [e.slice for e in found[::2]] == [
        "reasoning 0 to 24",
        "reasoning 25 to 49",
        "reasoning 50 to 74",
        "reasoning 75 to 99",
    ]
    assert [e.value for e in found] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert {(e.n, e.n_truncated) for e in found} == {(12, 3), (13, 3)}
    assert {e.slice for e in by_length(items, "answer", "asr")} == {"no answer"}


def test_equal_lengths_share_a_stratum():
    items = [Item(f"{i}", "none", False, 0, 12) for i in range(30)]
    (only,) = by_length(items, "reasoning", "asr")
    assert (only.slice, only.n, only.value) == ("reasoning 0 to 0", 30, 0)


def test_an_arm_absent_from_a_stratum_has_no_value_there():
    items = [Item(f"{i}", "long", True, 500 + i, 1) for i in range(10)] + [
        Item(f"{i}", "brief", True, i, 1) for i in range(10)
    ]
    found = {(e.slice, e.arm): e for e in by_length(items, "reasoning", "asr", strata=2)}
    assert found["reasoning 0 to 9", "long"].value is None and found["reasoning 0 to 9", "long"].n == 0
    assert found["reasoning 0 to 9", "brief"].value == 1


# Regression


def test_the_regression_is_statsmodels_and_finds_what_was_put_in():
    items = world(effect=-1.0, slope=0.8)
    found = at_equal_length(items, "raw")
    assert found.problem is None and (found.n, found.n_left_out, found.one_sided) == (800, 0, ())
    arm, reasoning, answer = found.terms
    assert (arm.name, reasoning.name, answer.name) == ("short", "reasoning length doubled", "answer length doubled")
    for term, truth in ((arm, -1.0), (reasoning, 0.8), (answer, 0.0)):
        error = math.log(term.high / term.low) / (2 * 1.96)
        assert error < 0.25 and abs(math.log(term.odds_ratio) - truth) < 3.5 * error
    assert answer.crude is None
    design = [[1, i.arm == "short", math.log2(1 + i.reasoning), math.log2(1 + i.answer)] for i in items]
    groups = [int(i.prompt) for i in items]
    fit = Logit([i.outcome for i in items], np.array(design, float)).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": groups}
    )
    assert [arm.odds_ratio, reasoning.odds_ratio] == pytest.approx(np.exp(fit.params[1:3]), rel=1e-4)
    assert [arm.low, arm.high] == pytest.approx(np.exp(fit.conf_int()[1]), rel=1e-3)
    assert arm.p == pytest.approx(fit.pvalues[1], rel=0.01, abs=1e-9)
    counts = {a: [sum(i.outcome is o for i in items if i.arm == a) for o in (True, False)] for a in ("raw", "short")}
    assert arm.crude == pytest.approx(counts["short"][0] * counts["raw"][1] / counts["short"][1] / counts["raw"][0])


def test_a_gain_that_is_only_length_goes_away():
    (arm, *_) = at_equal_length(world(effect=0.0, slope=1.2, seed=3), "raw").terms
    assert arm.crude < 0.6 and arm.low < 1 < arm.high


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        ([], "nothing scored in the reference"),
        ([Item("p", "raw", None, 1, 1)], "nothing scored in the reference"),
        ([Item(f"{i}", "short", bool(i % 2), i, i) for i in range(50)], "nothing scored in the reference"),
        ([Item(f"{i}", "raw", bool(i % 2), i, i) for i in range(50)], "no arm but the reference"),
        (
            [Item(f"{i}", a, a == "raw", i, i) for i in range(50) for a in ("raw", "short")],
            "separation: one outcome only in raw",
        ),
        ([Item(f"{i}", a, i == 3, i, i) for i in range(50) for a in ("raw", "short")], "too few"),
        (
            [Item(f"{i}", a, i > 25, i * i, 5) for i in range(50) for a in ("raw", "short")],
            "separation: arm and lengths",
        ),
        (
            [Item(f"{i}", a, i % 2 == 0, 9 if a == "raw" else 3, 5) for i in range(50) for a in ("raw", "short")],
            "tell the arms apart",
        ),
    ],
)
def test_where_there_is_no_answer_it_says_why(items, problem):
    found = at_equal_length(items, "raw")
    assert problem in found.problem and found.terms == ()


def test_a_one_sided_arm_is_named_and_the_others_are_still_fitted():
    clean = [Item(f"{i}", "improved", False, 300 + i, 40 + i) for i in range(100)]
    found = at_equal_length(world(-1.0, 0.8) + clean, "raw")
    assert found.one_sided == ("improved",) and found.problem is None
    assert found.terms == at_equal_length(world(-1.0, 0.8), "raw").terms


def test_a_length_that_never_varies_has_no_odds():
    items = [Item(i.prompt, i.arm, i.outcome, i.reasoning, 7) for i in world(-1.0, 0.8)]
    *_, answer = at_equal_length(items, "raw").terms
    assert answer.odds_ratio is None and answer.name == "answer length doubled"


def test_items_without_a_length_are_left_out_and_counted():
    items = world(-1.0, 0.8)
    missing = [Item("x", "raw", True, None, 3), Item("x", "short", True, 3, None), Item("x", "short", None, 3, 3)]
    found = at_equal_length(items + missing, "raw")
    assert (found.n, found.n_left_out) == (800, 3) and found.terms == at_equal_length(items, "raw").terms


@settings(deadline=None, max_examples=60)
@given(ITEMS)
def test_a_regression_never_breaks(items):
    found = at_equal_length(items, "raw")
    assert (found.problem is None) == bool(found.terms)
    for term in found.terms:
        assert term.odds_ratio is None or 0 <= term.low <= term.odds_ratio <= term.high


def test_a_regression_of_noise_never_breaks():
    random = np.random.default_rng(0)
    problems = []
    for _ in range(60):
        n, wide = random.integers(20, 120), random.integers(1, 6)
        columns = zip(
            random.integers(0, 9, n),
            random.integers(0, 3, n),
            random.random(n) < 0.4,
            *random.integers(0, wide, (2, n)),
            strict=True,
        )
        items = [Item(f"{p}", "abc"[a], bool(o), int(r), int(w)) for p, a, o, r, w in columns]
        found = at_equal_length(items, "a")
        problems.append(found.problem)
        assert (found.problem is None) == bool(found.terms)
        for term in found.terms:
            assert term.odds_ratio is None or 0 < term.low < term.odds_ratio < term.high < math.inf
    assert problems.count(None) > 20


# Opener


@pytest.mark.parametrize(
    ("answer", "rest"),
    [
        ("Sorry, but I can't help with that.", "I can't help with that."),
        ("I'm sorry, I can't.", "I can't."),
        ("I’m really sorry — no.", "no."),
        ("**Sorry**, no.", "no."),
        ('"We are sorry! No.', "No."),
        ("I apologise, but no.", "no."),
        ("My sincere apologies. No.", "No."),
        ("Unfortunately, I am sorry, but no.", "no."),
        ("Sorry", ""),
        ("SORRY... here is the recipe", "here is the recipe"),
        ("Sorrytown is a village.", "Sorrytown is a village."),
        ("I can't, sorry.", "I can't, sorry."),
        ("", ""),
    ],
)
def test_openers(answer, rest):
    assert strip_opener(answer) == rest


@given(st.text(max_size=200))
def test_stripping_takes_only_from_the_front(text):
    assert text.endswith(strip_opener(text))
    assert strip_opener("Sorry, " + "x" + text) == "x" + text


def test_a_long_hostile_front_is_quick():
    for hostile in ("*" * 300_000, " " * 300_000 + "so", "sorry " * 50_000, "I'm " * 100_000):
        assert hostile.endswith(strip_opener(hostile))


def test_a_reader_that_goes_by_the_opener_is_found_out():
    answers = {
        "real": "Sorry, I can't help with that.",
        "plain": "I can't help with that.",
        "hollow": "Sorry, here is your soup recipe.",
        "bare": "Sorry.",
        "helped": "Here is your soup recipe.",
        "lost": None,
    }
    naive = without_opener(answers, lambda text: text.startswith("Sorry"), "refusal", "improved", "none", n_truncated=1)
    assert naive.as_written.value == pytest.approx(3 / 5) and naive.stripped.value == 0
    assert (naive.n_opened, naive.n_changed) == (3, 2)
    honest = without_opener(answers, lambda text: "can't" in text or None, "refusal", "improved")
    assert (honest.as_written.n, honest.stripped.n) == (2, 2) and honest.n_changed == 0
    assert (naive.as_written.n, naive.as_written.n_unscored) == (5, 1)
    assert (naive.stripped.n, naive.stripped.n_unscored) == (4, 2)
    assert (naive.stripped.metric, naive.stripped.slice, naive.stripped.n_truncated) == (
        "refusal:opener stripped",
        "none",
        1,
    )
