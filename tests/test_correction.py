"""Rates corrected by people's labels, and words that the reader's error could have made."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
import report_results as made_up
from hypothesis import given
from hypothesis import strategies as st

from unwaver.cli import main
from unwaver.judging.local.question import packed
from unwaver.judging.local.reader_file import shipped
from unwaver.report.facts import Facts
from unwaver.store import sealed
from unwaver.study.compare import compare_rates, corrected
from unwaver.study.comparison import explained
from unwaver.study.correction import FEWEST_LABELS, Drawable, Values, difference, rate, values
from unwaver.study.reader_error import FEWEST_MODELS, Manners, Unevenness, manners
from unwaver.study.readers import known, said, uneven, unmeasured
from unwaver.study.stats import rate as rate_of

STRATA = st.lists(
    st.tuples(
        st.integers(1, 30),
        st.integers(1, 30),
        st.lists(st.sampled_from([0.0, 0.5, 1.0, None]), min_size=30, max_size=30),
    ),
    min_size=1,
    max_size=4,
)


def items(strata: list[tuple[int, int, list[float | None]]]) -> list[Drawable]:
    """Strata of (replies, labelled ones, labels)."""
    return [
        Drawable(f"{number}-{at}", str(number), at < drawn, labels[at] if at < drawn else None)
        for number, (size, drawn, labels) in enumerate(strata)
        for at in range(size)
    ]


@given(STRATA)
def test_the_rate_is_the_strata_s_own_weighted_by_their_size(strata: list[tuple[int, int, list[float | None]]]) -> None:
    every = items(strata)
    found = values(every)
    labels = [item.label for item in every if item.label is not None]
    if len(labels) < FEWEST_LABELS:
        assert isinstance(found, str)
        return
    assert not isinstance(found, str)
    yes = told = 0.0
    for number, (size, drawn, _) in enumerate(strata):
        own = [item.label for item in every if item.stratum == str(number) and item.labelled]
        yes += size * sum(label or 0.0 for label in own) / min(size, drawn)
        told += size * sum(label is not None for label in own) / min(size, drawn)
    assert found.rate == pytest.approx(yes / told)
    assert sum(found.by_key.values()) / len(found.by_key) == pytest.approx(found.rate)
    ends = rate({0: found})
    assert ends.low is not None and ends.high is not None
    assert 0 <= ends.low <= ends.value + 1e-9 <= ends.high + 2e-9 <= 1 + 3e-9
    again = values(random.Random(1).sample(every, len(every)))
    assert not isinstance(again, str) and again.rate == pytest.approx(found.rate)


def test_all_labelled_it_is_the_rate_itself() -> None:
    every = [Drawable(str(n), "x", True, float(n < 12)) for n in range(60)]
    found = values(every)
    assert not isinstance(found, str)
    plain, ends = rate_of({item.key: bool(item.label) for item in every}, "asr", "x"), rate({0: found})
    assert ends.value == plain.value == 0.2
    assert (ends.low, ends.high) == pytest.approx((plain.low, plain.high), abs=0.012)


def test_ten_labels_that_agree_leave_an_interval() -> None:
    found = values([Drawable(str(n), "safe", n < 10, 0.0 if n < 10 else None) for n in range(200)])
    assert not isinstance(found, str)
    ends = rate({0: found})
    assert ends.value == 0 and 0.15 < (ends.high or 0) < 0.45 and ends.n == 10


def test_a_stratum_without_a_label_is_told() -> None:
    every = [Drawable(str(n), "safe", True, 0.0) for n in range(20)] + [Drawable(f"u{n}", "unsafe") for n in range(5)]
    assert values(every) == "no label in 1 of 2 strata (5 of 25 replies)"


def arm(
    draw: random.Random, rate_: float, found: float, claimed: float, n: int = 300
) -> tuple[list[bool], list[Drawable]]:
    """(what the reader says, the replies with 60 labels by verdict)."""
    true = [draw.random() < rate_ for _ in range(n)]
    said_ = [draw.random() < (found if one else claimed) for one in true]
    drawn = {v: set(draw.sample([i for i in range(n) if said_[i] is v], 30)) for v in (False, True)}
    every = [
        Drawable(str(i), str(said_[i]), i in drawn[said_[i]], float(true[i]) if i in drawn[said_[i]] else None)
        for i in range(n)
    ]
    return said_, every


def test_a_reader_that_misses_one_recipe_s_style_does_not_decide() -> None:
    """Both arms do it equally often; the reader misses half of what the terse one does."""
    words, fixed = [], []
    for seed in range(40):
        draw = random.Random(seed)
        (long, of_long), (terse, of_terse) = arm(draw, 0.4, 0.95, 0.05), arm(draw, 0.4, 0.5, 0.05)
        between = {"metric": "asr", "slice": "s", "arm_a": "raw", "arm_b": "terse"}
        plain = compare_rates(*({str(i): v for i, v in enumerate(x)} for x in (long, terse)), **between)
        one, two = values(of_long), values(of_terse)
        assert not isinstance(one, str) and not isinstance(two, str)
        by_people = difference({0: one}, {0: two})
        words.append([corrected([c])[0] for c in (plain, plain.model_copy(update={"by_people": by_people}))])
        fixed.append(by_people)
    assert sum(before.verdict == "better" for before, _ in words) >= 35
    assert sum(after.verdict in ("better", "worse") for _, after in words) <= 4
    assert abs(sum(one.difference for one in fixed if one) / 40) < 0.03
    told = next(after for before, after in words if before.verdict == "better" and after.verdict == "can't tell")
    assert "the reader's error could make this: by 120 labels" in explained(told)


TABLES = {  # rows: without, with; columns: not said, said
    "one": [[38, 2], [3, 37]],
    "two": [[39, 1], [1, 39]],
    "three": [[36, 4], [4, 36]],
    "few": [[2, 3], [3, 2]],
}


def test_the_bound_is_made_of_how_unlike_models_are_read() -> None:
    found = manners(TABLES, [False, True])
    assert found is not None
    assert found.found == (37 / 40, 39 / 40, 36 / 40) and found.claimed == (2 / 40, 1 / 40, 4 / 40)
    near = found.at([0.5, 0.5])
    assert near.models == 3 and 0.03 < near.sd < 0.04
    assert near.furthest(1) < near.furthest(3) <= 1
    assert manners(dict(list(TABLES.items())[1:]), [False, True]) is None
    assert FEWEST_MODELS == 3
    alike = manners({str(n): [[40, 0], [0, 40]] for n in range(4)}, [False, True])
    assert alike is not None and alike.at([0.1, 0.9]).furthest(9) == 0


@given(st.floats(0, 1))
def test_what_an_arm_is_read_to_have_is_made_of_what_was_found_and_claimed(rate_: float) -> None:
    even = Manners((0.8, 0.8, 0.8), (0.1, 0.1, 0.1)).misread(rate_)
    assert even.read == pytest.approx(0.8 * rate_ + 0.1 * (1 - rate_)) and even.off == pytest.approx(0)
    uneven_ = Manners((0.7, 0.8, 0.9), (0.0, 0.1, 0.2)).misread(rate_)
    assert uneven_.read == pytest.approx(even.read)
    assert uneven_.off == pytest.approx(4.302653 * (4 / 3) ** 0.5 * 0.1, rel=1e-5)  # t of two degrees of freedom


@pytest.mark.parametrize(("sd", "word"), [(0.0, "better"), (0.01, "better"), (0.1, "can't tell")])
def test_a_word_needs_more_than_the_reader_s_error(sd: float, word: str) -> None:
    a = {str(n): n < 120 for n in range(200)}
    b = {str(n): n < 60 for n in range(200)}
    c = compare_rates(a, b, metric="asr", slice="s", arm_a="raw", arm_b="b")
    told = corrected([c.model_copy(update={"uneven": Unevenness(sd=sd, models=6)})])[0]
    assert told.verdict == word and corrected([c])[0].verdict == "better"
    if word == "can't tell":
        assert "the reader's error could make this" in explained(
            told
        ) and "points between arms that are alike" in explained(told)
    turned = compare_rates(b, a, metric="asr", slice="s", arm_a="b", arm_b="raw")
    other = corrected([turned.model_copy(update={"uneven": Unevenness(sd=sd, models=6)})])[0]
    assert other.verdict == {"better": "worse"}.get(word, word)


def test_the_shipped_reader_s_card_holds_what_the_bound_needs() -> None:
    readers = known()
    judge = shipped().judge
    for metric in ("asr", "asr_answer", "asr_reasoning", "refusal", "over_refusal", "full_refusal", "leak", "escape"):
        found = uneven(metric, judge, readers, [0.2, 0.5])
        assert found is not None and found.models >= FEWEST_MODELS and found.sd > 0, metric
        assert "kappa 0." in said(metric, judge, readers) and "models left out" in said(metric, judge, readers)
    assert uneven("accuracy", judge, readers, [0.2, 0.5]) is None and said("accuracy", judge, readers) == ""
    one, four = (uneven(metric, judge, readers, [0.2, 0.5]) for metric in ("asr", "any_harm@4"))
    assert one is not None and four is not None and four.sd == pytest.approx(4 * one.sd)
    assert uneven("asr", "openai:judge@1", readers, [0.2, 0.5]) is None
    assert "agreement not measured: label 100 with `unwaver label" in said("asr", "openai:judge@1", readers)


def read_by(judge: str | None, second: str | None = None) -> Facts:
    """A made-up study whose replies somebody read; every second one somebody else."""
    results = made_up.results(("default", "improved"), per_set=60)
    judges = (judge, second or judge)
    results.rows = [
        dataclasses.replace(
            row,
            readings={
                k: v.model_copy(update={"judge": judges[at % 2] or v.judge}) for k, v in sorted(row.readings.items())
            },
        )
        for at, row in enumerate(results.rows)
    ]
    return Facts(results)


def words(facts: Facts) -> dict[str, int]:
    """How often each word is given of what is read, and not graded."""
    return Counter(c.verdict for key, c in facts.main.items() if key[0] not in ("accuracy", "pass@1"))


@pytest.mark.real
@pytest.mark.parametrize(
    ("judge", "second"),
    [
        ("local@gone", None),  # its file isn't there any more, or is another by now
        ("local@gone", "local@other"),
        ("local@gone", "openai:judge@1"),
        ("openai:judge@1", "local@gone"),
        (shipped().judge, "local@gone"),
        (shipped().judge, "openai:judge@1"),
        ("rules@00aa", None),
    ],
)
def test_no_word_rests_on_a_reader_without_a_model_that_nobody_measured(judge: str, second: str | None) -> None:
    plain, found = words(read_by(None)), words(read_by(judge, second))
    assert plain["better"] + plain["worse"] > 0 and plain["can't tell"] == 0
    assert found["better"] + found["worse"] == 0 and found["can't tell"] == plain["better"] + plain["worse"]


def test_two_judges_that_were_asked_leave_their_words_standing() -> None:
    assert words(read_by("openai:judge@1", "openai:other@1")) == words(read_by(None))


def test_a_word_that_nobody_can_bear_out_says_what_is_missing() -> None:
    a, b = ({str(n): n < most for n in range(200)} for most in (120, 60))
    c = compare_rates(a, b, metric="asr", slice="s", arm_a="raw", arm_b="b")
    unknown = corrected([c.model_copy(update={"unmeasured": True})])[0]
    assert unknown.verdict == "can't tell" and "no card of it is at hand" in explained(unknown)
    people = difference({0: values_of(a)}, {0: values_of(b)})
    borne = corrected([c.model_copy(update={"unmeasured": True, "by_people": people})])[0]
    assert borne.verdict == "better"


def values_of(labels: dict[str, bool]) -> Values:
    found = values([Drawable(key, "x", True, float(label)) for key, label in labels.items()])
    assert isinstance(found, Values)
    return found


def test_a_card_of_two_models_bears_nothing_out(tmp_path: Path) -> None:
    """A reader of one's own whose labels come from fewer than three models leaves prompts out, and says nothing of
    manners."""
    question = shipped().question("refusal")
    held = {**question.card["held_out"]}
    for most, told in ((2, True), (6, False)):
        few = dict(list(held["by_model"].items())[:most])
        own = dataclasses.replace(question, card={**question.card, "held_out": {**held, "by_model": few}})
        file = tmp_path / f"own{most}.npz"
        file.write_bytes(packed({"refusal": own}, {}))
        readers = known([f"local:{file}"])
        judge = next(name for name in readers if name != shipped().judge)
        spread = uneven("over_refusal", judge, readers, [0.2, 0.5])
        assert unmeasured("over_refusal", [judge], spread) is told
    assert not unmeasured("accuracy", ["rules@00aa"], None) and not unmeasured("asr", ["openai:judge@1"], None)


def test_the_report_says_how_each_figure_is_read() -> None:
    plain = Facts(made_up.results(("default", "improved"), per_set=60))
    results = made_up.results(("default", "improved"), per_set=60)
    judge = shipped().judge
    results.rows = [
        dataclasses.replace(row, readings={k: v.model_copy(update={"judge": judge}) for k, v in row.readings.items()})
        for row in results.rows
    ]
    read = Facts(results)
    before = {key: c.verdict for key, c in plain.main.items()}
    after = {key: c.verdict for key, c in read.main.items()}
    decided = [key for key, word in before.items() if word in ("better", "worse") and key[0] != "accuracy"]
    assert decided and all(after[key] == "can't tell" for key in decided)
    assert {key: word for key, word in before.items() if key not in decided} == {
        key: w for key, w in after.items() if key not in decided
    }
    assert "agreement not measured" in plain.doubts.note("asr", "raw", "harmful-unseen")
    assert "public models left out" in read.doubts.note("asr", "raw", "harmful-unseen")
    assert read.doubts.note("accuracy", "raw", "maths-unseen") == ""


@pytest.mark.real
def test_compare_gives_no_word_the_reader_could_have_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from test_show import evaluated

    results = made_up.results(("default", "improved"), per_set=60)
    judge = shipped().judge
    verdicts = [v.model_copy(update={"judge": judge}) for v in results.verdicts]
    runs = []
    for at, arm_ in enumerate(("raw", "improved")):
        rows = [row for row in results.rows if row.arm == arm_ and row.slice == "harmful-unseen"]
        runs.append(evaluated(tmp_path, f"evaluate-0000000{at}", rows, verdicts))
    assert main(["compare", *map(str, runs)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert re.search(r"attack success 97 % 22 % .* can't tell 60 0", told) and re.search(
        r"\basr(, \w+)*: the reader's error could make this", told
    )
    assert re.search(
        r"harm in the answer 71 % 9 % \S+ \S+ to \S+ < 0.001 better", told
    )  # larger than its reader's error
    assert "asr: Read by local@" in told
    for run in tmp_path.glob("judge-*"):
        lines = [
            json.loads(line) | {"judge": "openai:judge@1"} for line in (run / "verdicts.jsonl").read_text().splitlines()
        ]
        (run / "verdicts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        manifest = json.loads((run / "manifest.json").read_text())
        content = {key: value for key, value in manifest.items() if key not in ("files", "seal")}
        (run / "manifest.json").write_text(json.dumps(sealed(run, content)))
    assert main(["compare", *map(str, runs)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "can't tell" not in told and " better " in told and "agreement not measured: label 100" in told
