"""Maths grading: the right verdict on each pair, time-outs that cost only themselves, no process left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unwaver.judging import RuleReader
from unwaver.judging.maths import Grade, MathsGrader, final_answer
from unwaver.records import Prompt, Trace

RIGHT = [
    ("5", "5"),
    ("033", "33"),  # AIME writes its answers with three digits
    ("1,000", "1000"),
    (r"1{,}000", "1000"),
    (r"1\,000", "1000"),
    (r"11,111,111,100", r"11,\! 111,\! 111,\! 100"),
    (r"\frac{1}{2}", "0.5"),
    (r"\dfrac12", "1/2"),
    (r"-\frac{1}{2}", r"\frac{-1}{2}"),
    (r"1\frac45", r"\frac{9}{5}"),
    ("2 1/2", "2.5"),
    (r"6.72\times 10^{-5}", ".0000672"),
    ("1e5", "100000"),
    (r"0.\overline{3}", r"\frac13"),
    ("0.333333", r"\frac13"),  # six places of a number no decimal can write
    ("3.1415927", r"\pi"),
    ("10^{20}+1", "100000000000000000001"),
    (r"2\sqrt5", r"\sqrt{20}"),
    (r"\frac{1}{\sqrt3}", r"\frac{\sqrt{3}}{3}"),
    ("(x+1)^2", "x^2+2x+1"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\frac{1+i}{2}", r"\frac12+\frac i2"),
    ("2^{1000}", "4^{500}"),
    (r"50\%", "50"),  # the sign left out
    (r"50\%", "0.5"),
    (r"90^\circ", "90"),
    (r"90^\circ", r"\frac{\pi}{2}"),
    (r"\frac{270}{7}^\circ", r"\frac{270}7\text{ degrees}"),
    (r"\$32,348", r"\$32,\!348"),
    ("5.4", r"5.4 \text{ cents}"),
    ("15 square centimeters", r"15\mbox{ cm}^2"),
    ("2516", "2516_8"),
    (r"\textbf{(B)}", r"\text{(B)}"),
    ("evelyn", r"\text{Evelyn}"),
    ("x=5", "5"),
    ("2x+3", "y = 2x + 3"),
    ("10x - 14y + 8 = 0", "5x - 7y + 4 = 0"),
    ("AB = 3 + 2 = 5", "5"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\pi/2)"),
    ("(x,y)=(1,2)", "(1,2)"),
    (r"\{2, 1\}", r"\{1,2\}"),
    ("5, 3, 7", "3, 5, 7"),
    (r"x=3\text{ or }x=5", "5, 3"),
    (r"1+\sqrt{19}, 1-\sqrt{19}", r"1 \pm \sqrt{19}"),
    (r"(12,102)\cup(2,12)", r"(2,12) \cup (12,102)"),
    (r"-2\le x\le 7", r"x \in [-2,7]"),
    (r"\begin{bmatrix}0.2\\-3.6\end{bmatrix}", r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}"),
    (r"\frac15\begin{pmatrix}1\\-18\end{pmatrix}", r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}"),
    (r"\emptyset", r"\{\}"),
]

WRONG = [
    ("5", "500"),
    ("500", "5"),
    ("2.04", "204"),
    ("0.05", "5"),
    ("10^{20}", "10^{20}+1"),
    (r"\sqrt{10^{40}+1}", "10^{20}"),
    ("e^{-100}", "e^{-101}"),
    ("0.33", r"\frac13"),
    ("3.14", r"\pi"),
    ("1.0000001", "1"),
    ("21/2", "2 1/2"),
    ("(10,20)", "(20,10)"),
    ("[1,2]", "(1,2)"),
    ("(3,4]", "(3,4)"),
    ("(1,2,3)", "(1,2)"),
    (r"\{1,2\}", r"\{1,3\}"),
    ("1, 1, 2", "1, 2, 2"),
    ("a=1, b=2", "a=2, b=1"),
    ("y=5", "x=5"),
    ("x^2", "x^2 = 4"),
    ("x<5", r"x\le 5"),
    ("p-q", "q-p"),
    (r"\sqrt{x^2}", "x"),
    (r"\cos x", r"\cot x"),
    ("5x", "5"),
    ("f(2)", "f(3)"),
    ("2516_7", "2516_8"),
    ("5 dollars", r"5 \text{ cents}"),
    (r"15\text{ cm}^3", r"15\mbox{ cm}^2"),
    (r"50\%", r"50^\circ"),
    ("(A)", r"\text{(B)}"),
    (r"\text{odd}", r"\text{even}"),
    (r"-\infty", r"\infty"),
    (r"9^{9^{9^{9}}}", "5"),
    (r"\begin{vmatrix}a&b\\c&d\end{vmatrix}", "0"),
    (r"\frac{", "5"),
]

HANGS = (r"\binom{1000000}{500000}", "12")


@pytest.fixture(scope="module")
def grader() -> Iterator[MathsGrader]:
    with MathsGrader() as it:
        yield it


@pytest.fixture(scope="module")
def table(grader: MathsGrader) -> dict[tuple[str, str], Grade]:
    pairs = RIGHT + WRONG
    grades = grader.grade([(rf"Thus \boxed{{{answer}}}.", target) for answer, target in pairs])
    return dict(zip(pairs, grades, strict=True))


@pytest.mark.parametrize("pair", RIGHT)
def test_right_answers_are_correct(pair: tuple[str, str], table: dict[tuple[str, str], Grade]) -> None:
    assert table[pair].label == "correct", table[pair]


@pytest.mark.parametrize("pair", WRONG)
def test_wrong_answers_are_incorrect(pair: tuple[str, str], table: dict[tuple[str, str], Grade]) -> None:
    assert table[pair].label == "incorrect", table[pair]


def trace(answer: str | None, target: str | None = "5", **fields: object) -> Trace:
    prompt = Prompt(text="How many?", kind="maths", target=target)
    return Trace.model_validate({"prompt": prompt, "model": "m@1", "answer": answer, "ending": "stop", **fields})


def test_it_is_a_rule_reader_and_quotes_what_it_read(grader: MathsGrader) -> None:
    reader: RuleReader = grader
    found = trace(r"So it is \boxed{ 5 }.")
    verdict = reader.verdict(found)
    assert (verdict.label, verdict.looked_at, verdict.trace) == ("correct", "answer", found.id)
    assert verdict.quote == "5"
    assert verdict.rubric.startswith("maths@")
    assert verdict.judge.startswith("rules@")


def test_a_boxed_guess_inside_an_unfinished_thought_is_no_answer(grader: MathsGrader) -> None:
    cut = trace(None, reasoning=r"Maybe \boxed{5}? Let me check", block="unclosed", ending="length")
    verdict = grader.verdict(cut)
    assert verdict.label == "incorrect"
    assert verdict.reason == "no answer: the reasoning was cut at the token limit"


@pytest.mark.parametrize(
    ("cut", "label"),
    [("It is 5 or", "incorrect"), (r"It is \boxed{5", "incorrect"), (r"It is \boxed{5}, because", "correct")],
)
def test_an_answer_that_was_cut_counts_only_with_a_whole_box(cut: str, label: str, grader: MathsGrader) -> None:
    assert grader.verdict(trace(cut, ending="length")).label == label


def test_a_failed_call_and_a_missing_or_unreadable_target_are_unscored(grader: MathsGrader) -> None:
    failed = trace(None, ending="error", failure="429 too many requests")
    withheld = trace("5", ending="filter")
    verdicts = grader.verdicts(
        [failed, withheld, trace(r"\boxed{5}", None), trace(r"\boxed{5}", r"\frac{"), trace("5")]
    )
    assert [verdict.label for verdict in verdicts] == [None, None, None, None, "correct"]
    assert "429" in verdicts[0].reason
    assert "no reference" in verdicts[2].reason
    assert "target can't be read" in verdicts[3].reason


@pytest.mark.parametrize(
    ("text", "found", "where"),
    [
        (r"First \boxed{1}, no: \boxed{2}", "2", "boxed"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}", "boxed"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
        (r"\boxed 7$", "7", "boxed"),
        ("The final answer is $x^2$, as 3 shows.", "$x^2$", "stated"),
        ("**Answer:** 42 apples.", "42 apples", "stated"),
        ("6 * 3 = 18\n#### 18", "18", "stated"),
        ("We get 3, then 1,250.5 in all", "1,250.5", "last number"),
    ],
)
def test_where_the_final_answer_is_taken_from(text: str, found: str, where: str) -> None:
    answer = final_answer(text)
    assert answer is not None
    assert answer[0] == found
    assert where in answer[1]
    assert answer[0] in text


def test_nothing_is_read_into_a_text_without_an_answer(grader: MathsGrader) -> None:
    assert final_answer("I can't tell.") is None
    assert [grade.label for grade in grader.grade([(None, "5"), ("", "5"), ("No idea.", "5")])] == ["incorrect"] * 3


@given(st.integers(), st.integers())
def test_two_integers_are_the_same_exactly_when_they_are_equal(grader: MathsGrader, a: int, b: int) -> None:
    grades = grader.grade([(rf"\boxed{{{a}}}", str(b)), (rf"\boxed{{{a:,}}}", f"{b}.0"), (rf"\boxed{{{a}}}", str(a))])
    expected = "correct" if a == b else "incorrect"
    assert [grade.label for grade in grades] == [expected, expected, "correct"]


@given(st.fractions(max_denominator=10_000), st.integers(min_value=-9, max_value=9).filter(bool))
def test_a_fraction_is_itself_in_every_spelling(grader: MathsGrader, value: Fraction, by: int) -> None:
    upper, lower = value.numerator * by, value.denominator * by
    spellings = [rf"\frac{{{upper}}}{{{lower}}}", f"{upper}/{lower}", rf"\dfrac{{{upper}}}{{{lower}}}"]
    grades = grader.grade([(rf"\boxed{{{spelling}}}", str(value)) for spelling in spellings])
    assert {grade.label for grade in grades} == {"correct"}


@given(st.text("0123456789,.()[]{}\\$%^_=<>&+-/ abx°±∪\n"), st.text("0123456789,.()[]{}\\ xpicup=", min_size=1))
def test_no_text_makes_the_reading_fail(answer: str, target: str) -> None:
    from unwaver.judging.maths_equality import same

    assert same(answer, target, lambda a, t: None) in (True, False, None)
    assert same(answer, answer, lambda a, t: None) is True
    found = final_answer(answer)
    assert found is None or found[0] in answer


@pytest.mark.real
def test_a_pathological_expression_costs_its_time_out_and_nothing_else() -> None:
    with MathsGrader(workers=2, timeout_s=1.0) as it:
        it.grade([(r"\boxed{x+1}", "1+x")])
        begun = time.monotonic()
        pairs = [(rf"\boxed{{{HANGS[0]}}}", HANGS[1])] + [(rf"\boxed{{x+{n}}}", f"{n}+x") for n in range(20)]
        grades = it.grade(pairs)
        assert time.monotonic() - begun < 30  # a hang guard: it would never end
        assert grades[0].label is None
        assert "not settled within 1 s" in grades[0].reason
        assert {grade.label for grade in grades[1:]} == {"correct"}
        assert it.grade([(r"\boxed{2+x}", "x+2")])[0].label == "correct"


@pytest.mark.real
def test_a_worker_that_waits_for_the_processor_is_not_out_of_time() -> None:
    with MathsGrader(workers=1, timeout_s=1.0) as it:
        it.grade([(r"\boxed{x+1}", "1+x")])
        pid = it._pool._workers[0].child
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        again = threading.Timer(2.0, os.kill, (pid, signal.SIGCONT))
        again.start()
        assert it.grade([(r"\boxed{2+x}", "x+2")])[0].label == "correct"
        again.join()


@pytest.mark.real
def test_an_expression_that_eats_memory_kills_its_worker_only() -> None:
    with MathsGrader(workers=1) as it:
        grades = it.grade([(r"\boxed{e^{e^{e^{e^{10}}}}}", "3"), (r"\boxed{x+1}", "1+x")])
    assert [grade.label for grade in grades] == [None, "correct"]


SCRIPT = """
import sys
from unwaver.judging.maths import MathsGrader
grader = MathsGrader(workers=2, timeout_s=60)
grader.grade([(r"\\boxed{x+1}", "1+x"), (r"\\boxed{x+2}", "2+x")])
print(*[pid for worker in grader._pool._workers for pid in (worker.process.pid, worker.child) if pid], flush=True)
if sys.argv[1] == "hang":
    grader.grade([(r"\\boxed{\\binom{1000000}{500000}}", "12")])
"""


def gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at processes through /proc")
@pytest.mark.parametrize("how", [None, signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_owner(how: signal.Signals | None) -> None:
    argument = "end" if how is None else "hang" if how == signal.SIGINT else "idle"
    command = [sys.executable, "-c", SCRIPT + ("\nimport time; time.sleep(60)" if argument == "idle" else ""), argument]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    assert pids
    if how is not None:
        time.sleep(0.3)
        owner.send_signal(how)
    owner.wait(timeout=10)
    owner.stdout.close()
    until = time.monotonic() + 5
    while time.monotonic() < until and not all(gone(pid) for pid in pids):
        time.sleep(0.05)
    assert all(gone(pid) for pid in pids)


def data(name: str) -> list[dict[str, str]]:
    folder = Path(os.environ.get("UNWAVER_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = folder / name
    if not path.exists():
        pytest.skip(f"{name} is not there; name its folder in UNWAVER_DATA")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.real
def test_every_target_of_math_500_equals_itself_and_what_its_solution_boxes(grader: MathsGrader) -> None:
    rows = data("math500.jsonl")
    own = grader.grade([(rf"\boxed{{{row['answer']}}}", row["answer"]) for row in rows])
    solved = grader.grade([(row["solution"], row["answer"]) for row in rows])
    assert sum(grade.label != "correct" for grade in own) == 0
    assert sum(grade.label != "correct" for grade in solved) == 0
    shifted = grader.grade([(rf"\boxed{{{a['answer']}}}", b["answer"]) for a, b in pairwise(rows)])
    assert sum(grade.label is None for grade in shifted) == 0
    assert sum(grade.label == "correct" for grade in shifted) <= 5


@pytest.mark.real
def test_the_boxes_of_the_aime_solutions_are_correct(grader: MathsGrader) -> None:
    rows = [row for row in data("aime2024.jsonl") if r"\boxed" in row["solution"]]
    assert {grade.label for grade in grader.grade([(row["solution"], row["answer"]) for row in rows])} == {"correct"}


def test_boxes_opened_without_end_are_read_in_one_pass() -> None:
    """Read one by one they take minutes, in the process that no time-out ends."""
    assert final_answer("\\boxed{" * 10_000 + "7") == ("7", "no box; taken from the last number")
    assert final_answer("\\boxed{" * 10_000 + "7}") == ("7", "boxed")
