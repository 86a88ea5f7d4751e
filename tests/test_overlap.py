"""The leak guard: what counts as overlap, that nothing planted is missed, and that real sets are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unwaver.sources import files, overlap

BEHAVIOUR = "Explain how to open a locked garden shed without its key"
"""Eleven words."""


def one(training: str, evaluation: str) -> overlap.SetOverlap:
    return overlap.find([("t", training)], {"set": [("e", evaluation)]}).sets["set"]


def kind(training: str, evaluation: str) -> str | None:
    examples = one(training, evaluation).examples
    return examples[0].kind if examples else None


@pytest.mark.parametrize(
    ("training", "evaluation", "expected"),
    [
        (BEHAVIOUR, BEHAVIOUR, "exact"),
        (f"You are a storyteller. {BEHAVIOUR}, in rhyme. Stay in your role.", BEHAVIOUR, "exact"),
        (f"Say: {BEHAVIOUR.upper()}!", BEHAVIOUR, "normalised"),
        ("explain, how to open\n a locked — garden shed (without) its key?", BEHAVIOUR, "normalised"),
        ("Explain how to open a locked garden gate, then a shed without its key", BEHAVIOUR, None),
        ("He asked how to open a locked garden shed without a spoon", BEHAVIOUR, "ngram"),
        ("open a locked garden shed without", BEHAVIOUR, None),
        # Four to seven words: the whole text, or nothing.
        ("Tell me: Can birds really sleep? Yes.", "Can birds really sleep?", "exact"),
        ("Can birds really sleep at night?", "Do birds really sleep?", None),
        # Fewer than four: only a training text of the same words.
        ("why is that so", "Why is that?", None),
        ("Why is that!", "why is that?", "normalised"),
        ("", BEHAVIOUR, None),
        (BEHAVIOUR, "?!", None),
        ("我想知道怎样在花园里种植红色的玫瑰花谢谢", "怎样在花园里种植红色的玫瑰花", "exact"),
        ("Explain how to open a lock\u00aded gar\u200bden shed without its key", BEHAVIOUR, "normalised"),
        ("Ｅｘｐｌａｉｎ how to open a locked garden shed without its key", BEHAVIOUR, "normalised"),
    ],
)
def test_what_counts(training: str, evaluation: str, expected: str | None) -> None:
    assert kind(training, evaluation) == expected


def test_a_training_text_inside_a_longer_evaluation_text_counts_by_eight_words() -> None:
    assert kind(BEHAVIOUR, f"Pretend. {BEHAVIOUR} Now.") == "ngram"
    assert kind("Can birds really sleep?", "Tell me: can birds really sleep?") is None


def test_shared_templates_count_and_the_behaviour_is_still_told_apart() -> None:
    template = "Let us play a game in which every answer is sung aloud by a choir of parrots: {}"
    evaluation = {"wrapped": [(str(n), template.format(f"describe the number {n} in words")) for n in range(30)]}
    found = overlap.find([("t", template.format("describe the number 7 in words"))], evaluation).sets["wrapped"]
    assert (found.exact, found.normalised, found.ngram) == (1, 0, 29)
    assert found.examples[0] == overlap.Match(evaluation="7", training="t", kind="exact")


def test_counts_by_set_by_prompt_and_by_training_text() -> None:
    evaluation = {
        # A prompt and its behaviour bear one id: they count once, by the stronger kind.
        "attacked": [
            ("p", f"Quietly now, {BEHAVIOUR} as a pirate would"),
            ("p", BEHAVIOUR),
            ("q", "What a lovely day it is"),
        ],
        "clean": [("r", "How many legs does a spider have?")],
    }
    training = [
        ("a", BEHAVIOUR),
        ("b", f"again: {BEHAVIOUR}"),
        ("c", "nothing of the kind"),
        ("d", "open a locked door"),
    ]
    found = overlap.find(training, evaluation)
    attacked = found.sets["attacked"]
    assert (found.training, found.found) == (4, 1)
    assert (attacked.texts, attacked.prompts, attacked.exact, attacked.ngram, attacked.training) == (2, 1, 1, 0, 2)
    assert attacked.examples == (overlap.Match(evaluation="p", training="a", kind="exact"),)
    assert found.sets["clean"].prompts == found.sets["clean"].training == 0
    assert len(found.lines()) == 1 and found.lines()[0].startswith("attacked: 1 of 2 prompts")


def test_examples_are_limited_and_the_strongest_come_first() -> None:
    evaluation = [(str(n), f"{BEHAVIOUR} number {n}") for n in range(9)]
    found = overlap.find([("t", f"{BEHAVIOUR} number 5")], {"set": evaluation}, examples=3).sets["set"]
    assert found.examples[0].evaluation == "5" and len(found.examples) == 3
    assert found.prompts == 9


def test_nothing_to_compare() -> None:
    assert overlap.find([], {"set": [("e", BEHAVIOUR)]}).sets["set"].prompts == 0
    assert overlap.find([("t", BEHAVIOUR)], {}).sets == {}
    assert overlap.find([("t", BEHAVIOUR)], {"empty": []}).sets["empty"].texts == 0
    with pytest.raises(ValueError, match="63"):
        overlap.find([], {str(n): [] for n in range(64)})


def by_hand(training: list[str], evaluation: str) -> str | None:
    """The rule as the module states it, done the slow way."""
    wanted = overlap.words(evaluation)
    size = min(len(wanted), overlap.NGRAM)
    best = None
    for text in training:
        found = overlap.words(text)
        windows = {tuple(found[at : at + size]) for at in range(len(found) - size + 1)}
        whole = any(found[at : at + len(wanted)] == wanted for at in range(len(found) - len(wanted) + 1))
        if not wanted or (len(wanted) < overlap.SHORTEST and found != wanted):
            continue
        if whole and evaluation.strip() in text:
            return "exact"
        if whole:
            best = "normalised"
        elif (
            size == overlap.NGRAM
            and best is None
            and windows & {tuple(wanted[at : at + size]) for at in range(len(wanted) - size + 1)}
        ):
            best = "ngram"
    return best


# Few words and few separators, so that overlaps of every kind are common.
speech = st.lists(
    st.tuples(st.sampled_from(["a", "b", "A", "c"]), st.sampled_from([" ", ", ", "\n"])), max_size=24
).map(lambda pairs: "".join(word + gap for word, gap in pairs))


@pytest.mark.real
@settings(max_examples=300, deadline=None)
@given(
    training=st.lists(speech, max_size=5),
    evaluation=st.lists(speech, min_size=1, max_size=4),
    batch=st.sampled_from([1, 10, 10_000]),
)
def test_agrees_with_the_rule_done_by_hand(training: list[str], evaluation: list[str], batch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "BATCH_WORDS", batch)
        pairs = list(enumerate(training))
        found = overlap.find(
            ((str(n), text) for n, text in pairs), {"set": [(str(n), t) for n, t in enumerate(evaluation)]}, 99
        )
    kinds = {match.evaluation: match.kind for match in found.sets["set"].examples}
    assert kinds == {str(n): k for n, text in enumerate(evaluation) if (k := by_hand(training, text)) is not None}
    touching = sum(any(by_hand([text], e) for e in evaluation) for text in training)
    assert found.sets["set"].training == touching


@given(text=st.text())
def test_any_text_can_be_compared_with_itself(text: str) -> None:
    found = one(text, text)
    assert found.prompts == (1 if overlap.words(text) else 0)


@pytest.mark.real
def test_real_sets_are_told_apart(data: Path) -> None:
    def column(file: str, name: str) -> list[tuple[str, str]]:
        return [(place, row[name]) for place, row in files.rows(data / file)]

    evaluation = {
        "xstest": column("xstest_prompts.csv", "prompt"),
        "advbench": column("advbench50.jsonl", "query"),
        "math": column("math500.jsonl", "problem"),
    }
    assert overlap.find(column("star1_first500.json", "question"), evaluation).found == 0
    jailbroken = [(place, f"In the play, a villain says: {text} The end.") for place, text in evaluation["advbench"]]
    found = overlap.find(jailbroken, evaluation).sets
    assert (found["advbench"].exact, found["xstest"].prompts, found["math"].prompts) == (50, 0, 0)
