"""Does generated code solve the problem? A rule reader for pass@1 (arXiv 2505.15404 section 4: LiveCodeBench).

Takes the last fenced Python block of the answer and runs it on every test in a sandbox, each test in a new one, until
one fails. Labels are `passed` and `failed`; unscored is a call that failed, tests that can't be read, or a sandbox that
did not do its part. `Prompt.target` holds the tests as JSON, never a pickle:

    {"kind": "stdin", "tests": [{"input": "1 2\\n", "output": "3\\n"}, ...]}
    {"kind": "functional", "function": "add", "tests": [{"input": "1\\n2", "output": "3"}, ...]}

with LiveCodeBench's own strings: of a functional test, each line of `input` is one argument and `output` the result, as
JSON. Outputs are compared here, outside; the expected ones never enter the sandbox. See docs/grading.md for the rules.
"""

from __future__ import annotations

import json
import re
import secrets
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from unwaver.judging.sandbox import MET, Limits, Outcome, Sandbox
from unwaver.judging.unanswered import unanswered
from unwaver.records import LookedAt, Trace, Verdict, digest

QUESTION = "Does the last Python block of the answer give the expected output on every test?"
Grade = tuple[Literal["passed", "failed"] | None, str]
"""Label and reason; None: unscored."""

_RULES = ("code.py", "code_runner.py", "sandbox.py", "sandbox_filter.py", "unanswered.py")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*")


class Case(BaseModel):
    """One input and what it should give."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input: str
    output: str


class Problem(BaseModel):
    """The tests of one problem, as `Prompt.target` holds them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["stdin", "functional"]
    function: str | None = None
    """The function or method of `Solution` to call; for `functional` only."""
    tests: tuple[Case, ...]

    @model_validator(mode="after")
    def _complete(self) -> Problem:
        if not self.tests:
            raise ValueError("no tests")
        if (self.kind == "functional") != bool(self.function):
            raise ValueError("functional tests name their function, others don't")
        if self.kind == "functional":
            for test in self.tests:
                _arguments(test.input)
                json.loads(test.output)
        return self


class CodeGrader:
    """Grades generated programs; making one raises RecipeError where there is no working sandbox.

    `workers` programs run at once. `total_s`: seconds after which a program that has failed no test yet is given up,
    unscored; by itself it may take `limits.seconds` for each test.
    """

    looked_at: LookedAt = "answer"

    def __init__(self, workers: int = 2, limits: Limits | None = None, total_s: float = 600.0) -> None:
        self._limits, self._workers, self._total_s = limits or Limits(), workers, total_s
        self._sandbox = Sandbox(self._limits)
        self._stopping = threading.Event()
        rules = [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in _RULES]
        self.rubric = f"code@{digest(QUESTION, size=8)}"
        self.judge = f"rules@{digest([*rules, asdict(self._limits), total_s], size=8)}"

    def verdict(self, trace: Trace) -> Verdict:
        """The reading of one trace; its prompt's `target` holds the tests."""
        label, reason = self._grade(trace)
        return Verdict(
            trace=trace.id,
            rubric=self.rubric,
            judge=self.judge,
            looked_at=self.looked_at,
            label=label,
            reason=reason,
        )

    def verdicts(self, traces: Sequence[Trace]) -> Iterator[Verdict]:
        """The readings of many traces, in order, each when it is done. When interrupted, it waits for the tests that
        are running only.
        """
        with ThreadPoolExecutor(self._workers) as executor:
            try:
                yield from executor.map(self.verdict, traces)
            except BaseException:
                self._stopping.set()
                executor.shutdown(wait=True, cancel_futures=True)
                self._stopping.clear()
                raise

    def _grade(self, trace: Trace) -> Grade:
        missing = unanswered(trace)
        if missing is not None:
            return "failed" if missing.counts else None, missing.reason
        try:
            problem = Problem.model_validate_json(trace.prompt.target or "")
        except (ValidationError, RecursionError) as error:
            return None, f"the prompt's tests can't be read: {_first_problem(error)}"
        program = last_block(trace.answer or "")
        if program is None:
            return "failed", "the answer holds no complete block of Python"
        return self._run(program, problem)

    def _run(self, program: str, problem: Problem) -> Grade:
        begun = time.monotonic()
        for number, test in enumerate(problem.tests, 1):
            place = f"test {number} of {len(problem.tests)}"
            if time.monotonic() - begun > self._total_s or self._stopping.is_set():
                return None, f"given up before {place}: more than {self._total_s:g} s in all, or interrupted"
            if problem.function is None:
                outcome = self._sandbox.run(program, test.input.encode("utf-8", "replace"))
                right = same_output(outcome.output.decode("utf-8", "replace"), test.output)
            else:
                mark = secrets.token_hex(16)
                arguments = json.dumps(_arguments(test.input)).encode()
                outcome = self._sandbox.run(program, arguments, problem.function, mark)
                right = same_result(outcome.output.decode("utf-8", "replace"), mark, test.output)
            if outcome.how == "trouble":
                return None, f"{place}: the sandbox failed: {outcome.errors[-200:] or 'no message'}"
            fault = _fault(outcome)
            if fault or not right:
                return "failed", f"{place}: {fault or 'wrong output'}"
        return "passed", f"all {len(problem.tests)} tests"


def last_block(answer: str) -> str | None:
    """The last complete fenced block marked as Python; if none is marked, the last without a mark; else None."""
    blocks: list[tuple[str, str]] = []
    opened: tuple[str, str] | None = None
    body: list[str] = []
    for line in answer.split("\n"):
        fence = _FENCE.fullmatch(line.rstrip("\r"))
        if opened is None:
            if fence:
                opened, body = (fence.group(1), fence.group(2).lower()), []
        elif fence and not fence.group(2) and fence.group(1).startswith(opened[0]):
            blocks.append((opened[1], textwrap.dedent("\n".join(body))))
            opened = None
        else:
            body.append(line)
    for wanted in (("python", "py", "python3"), ("",)):
        fitting = [text for mark, text in blocks if mark in wanted]
        if fitting:
            return fitting[-1]
    return None


def same_output(found: str, expected: str) -> bool:
    """LiveCodeBench's comparison: stripped line by line; a line that differs as text may agree as exact decimals."""
    lines, wanted = (([line.strip() for line in text.strip().split("\n")]) for text in (found, expected))
    return len(lines) == len(wanted) and all(
        line == want or _same_numbers(line, want) for line, want in zip(lines, wanted, strict=True)
    )


def _same_numbers(line: str, want: str) -> bool:
    try:
        return [Decimal(word) for word in line.split()] == [Decimal(word) for word in want.split()]
    except InvalidOperation:
        return False


def same_result(found: str, mark: str, expected: str) -> bool:
    """Whether the marked result equals the expected one as Python does (1 == 1.0 == true); tuples have become lists."""
    _, marked, result = found.rpartition(mark)
    try:
        return bool(marked) and bool(json.loads(result) == json.loads(expected))
    except (ValueError, RecursionError):
        return False


def _first_problem(error: Exception) -> str:
    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else "nested too deeply"


def _arguments(text: str) -> list[object]:
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _fault(outcome: Outcome) -> str:
    """What went wrong with a run, "" where it ended well. Of standard error, the program's own text, the last words."""
    if outcome.how != "ended":
        return MET[outcome.how]
    if outcome.code == 0:
        return ""
    words = f": {outcome.errors[-100:]}" if outcome.errors else ""
    return f"exit code {outcome.code}{words}"
