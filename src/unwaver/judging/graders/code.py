"""Does generated code solve the problem? A rule reader for pass@1 (arXiv 2505.15404 section 4: LiveCodeBench).

Takes the fenced Python block of the answer that is the program (`last_block`) and runs it on every test in a sandbox,
each test in a new one, until one fails. Labels are `passed` and `failed`; unscored is a call that failed, tests that
can't be read, or a sandbox that did not do its part. `Prompt.target` holds the tests as JSON, never a pickle:

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
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from unwaver.judging.graders.sandbox import LIMIT_TOLD, Limits, Outcome, Sandbox
from unwaver.judging.unanswered import VERSION as UNANSWERED
from unwaver.judging.unanswered import unanswered
from unwaver.records import LookedAt, Trace, Verdict, digest, single

QUESTION = "Does the program in the answer give the expected output on every test?"
Grade = tuple[Literal["passed", "failed"] | None, str]
"""Label and reason; None: unscored."""

VERSION = 5
"""Raised whenever any reply is graded differently; tests/test_identity.py notices."""
TOTAL_S = 600.0
"""Seconds after which a program that has failed no test yet is given up."""

_PYTHON = re.compile(r"i?python[\d.]*|py[\d.]*|pypy[\d.]*")
_READS = re.compile(r"\binput\s*\(|\bstdin\b(?!\s*=[^=])|\bopen\(\s*0|\bos\.read\(\s*0|\bfileinput\b|/dev/stdin")
_COMMENT = re.compile(r"#[^\n]*")
_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*")
_FURTHER_IN = 3
"""Blanks by which a fence that closes may stand further in than the one that opens (CommonMark's); one in a docstring
stands further."""
_ASIDE = re.compile(
    r"brute[- ]?force|na[iï]ve|\bdemo|\b(?:for|by way of) (?:comparison|checking|reference|illustration)|\busage\b"
    r"|\bexample (?:use|run|session|of)|\bexample\W*\Z|\bsample run|\b(?:cross|sanity)[- ]?check|\bstress[- ]test"
    r"|\b(?:to|can|quickly) test (?:it|this|the)\b|\btry (?:it|this)\b|\btesting it\b|\binteractive|\bslow(?:er)?\b",
    re.IGNORECASE,
)
"""What a block is called, in the sentence before it or in the comment it begins with, that is not the program."""
_ASKS = re.compile(r"\binput\(\s*[frbFRB]{0,2}[\"']\s*\w")
"""A prompt for somebody at a keyboard: what a demonstration prints, and no program that is tested."""


_WRITES = re.compile(r"\bprint\b|\bstdout\b|\bwrite(?:lines)?\s*\(")
_RUNS = re.compile(r"^(?!(?:async\s+)?def\b|class\b|import\b|from\b|[@#)\]}])\S", re.MULTILINE)
"""A line at the left that does more than define."""
_DEFINES = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_CALLED = re.compile(r"(?<![.\w])(\w+)[ \t]*\(")
_ELIDED = re.compile(r"^[ \t]*(?:#[ \t]*)?(?:\.{3}|\u2026)|\(\s*(?:\.{3}|\u2026)\s*\)", re.MULTILINE)
"""Three dots where lines or parameters were left out."""
_EMPTY = re.compile(
    r"[^\n]{0,300}?\)[^:\n]{0,99}:\s*(?:(\"{3}|'{3}).*?\1\s*)?(?:pass\b|\.{3}|\u2026|raise\s+NotImplementedError\b)",
    re.DOTALL,
)
"""What stands behind the name of a function that does nothing yet."""


class Block(NamedTuple):
    """A complete fenced block."""

    mark: str
    """What its fence says, in small letters."""
    text: str
    before: str
    """The prose before it."""

    @property
    def is_aside(self) -> bool:
        """Whether it says of itself that it is not the program: a demonstration, a slow way, another one."""
        lead = re.split(r"(?<=[.!?])\s+|\n\s*\n", self.before.strip())[-1]
        begins = _COMMENT.match(self.text.lstrip())
        return bool(_ASIDE.search(lead) or (begins and _ASIDE.search(begins[0])) or _ASKS.search(self.text))


class Case(BaseModel):
    """One input and what it should give."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input: str
    output: str


class CodeProblem(BaseModel):
    """The tests of one problem, as `Prompt.target` holds them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["stdin", "functional"]
    function: str | None = None
    """The function or method of `Solution` to call; for `functional` only."""
    tests: tuple[Case, ...]

    @model_validator(mode="after")
    def _complete(self) -> CodeProblem:
        if not self.tests:
            raise ValueError("no tests")
        if (self.kind == "functional") != bool(self.function):
            raise ValueError("functional tests name their function, others don't")
        if self.kind == "functional":
            for test in self.tests:
                for line in _lines(test.input):
                    _loaded(line)
                _loaded(test.output)
        return self


def identity(limits: Limits | None = None, total_s: float = TOTAL_S) -> dict[str, Any]:
    """What decides these gradings: enters the names of runs and the name of the judge."""
    limited = asdict(limits or Limits())
    return {"name": "code", "version": VERSION, "limits": limited, "total_s": total_s, "unanswered": UNANSWERED}


class CodeGrader:
    """Grades generated programs; making one raises RecipeError where there is no working sandbox.

    `workers` programs run at once. `total_s`: seconds after which a program that has failed no test yet is given up,
    unscored; by itself it may take `limits.seconds` for each test.
    """

    looked_at: LookedAt = "answer"

    def __init__(self, workers: int = 2, limits: Limits | None = None, total_s: float = TOTAL_S) -> None:
        self._limits, self._workers, self._total_s = limits or Limits(), workers, total_s
        self._sandbox = Sandbox(self._limits)
        self._stopping = threading.Event()
        self.rubric = f"code@{digest(QUESTION, size=8)}"
        self.judge = f"rules@{digest(self.identity(), size=8)}"

    def identity(self) -> dict[str, Any]:
        """What decides these gradings, the limits of a program included."""
        return identity(self._limits, self._total_s)

    def verdict(self, trace: Trace) -> Verdict:
        """The reading of one trace; its prompt's `target` holds the tests."""
        label, reason = self._grade(trace)
        return Verdict(
            trace=trace.id,
            rubric=self.rubric,
            judge=self.judge,
            looked_at=self.looked_at,
            labels=single(label),
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
            problem = CodeProblem.model_validate_json(trace.prompt.target or "")
        except (ValidationError, RecursionError) as error:
            return None, f"the prompt's tests can't be read: {_first_problem(error)}"
        program = last_block(trace.answer or "", problem.function)
        if program is None:
            return "failed", "the answer holds no complete block of Python"
        return self._run(program, problem)

    def _run(self, program: str, problem: CodeProblem) -> Grade:
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
                arguments = f"[{','.join(_lines(test.input))}]".encode()
                outcome = self._sandbox.run(program, arguments, problem.function, mark)
                right = same_result(outcome.output.decode("utf-8", "replace"), mark, test.output)
            if outcome.how == "trouble":
                return None, f"{place}: the sandbox failed: {outcome.errors[-200:] or 'no message'}"
            fault = _fault(outcome)
            if fault or not right:
                return "failed", f"{place}: {fault or 'wrong output'}"
        return "passed", f"all {len(problem.tests)} tests"


def last_block(answer: str, function: str | None = None) -> str | None:
    """The program of an answer: of its complete fenced blocks the last that does what is asked; None: there is none.

    That is, to define `function`; without one, to read input. So a demonstration, an example of its output or a command
    after the program is not run in its place; nor is, where another block fits, one that says of itself that it is none
    (a slow way to compare with), nor a piece of a longer one before it. Blocks marked as Python come before those
    without a mark; where none does what is asked, the last of them is taken.
    """
    blocks = _blocks(answer)
    marked = [block for block in blocks if _PYTHON.fullmatch(block.mark)]
    bare = [block for block in blocks if not block.mark]
    wanted = _READS if function is None else _defining(function)
    for some in (marked, bare):
        fitting = [block for block in some if wanted.search(_COMMENT.sub("", block.text))]
        if fitting:
            return _whole([block.text for block in fitting if not block.is_aside] or [fitting[-1].text], function)
    left = marked or bare
    return left[-1].text if left else None


def _whole(programs: list[str], function: str | None) -> str:
    """The last of them; or, where that is a piece of a longer one before it, the last whole one that is longer."""
    *before, last = programs
    if _stands_alone(last, function, before):
        return last
    longer = [text for at, text in enumerate(before) if len(text) > len(last)]
    return next((text for text in reversed(longer) if _stands_alone(text, function, [])), last)


def _stands_alone(text: str, function: str | None, before: list[str]) -> bool:
    """Whether a program is more than a piece: nothing is left out of it, what it calls is not defined in those before
    it only, and it writes something at all, or its function does."""
    own = set(_DEFINES.findall(text))
    elsewhere = {name for other in before for name in _DEFINES.findall(other)} - own
    code = _COMMENT.sub("", text)
    if _ELIDED.search(text) or elsewhere & set(_CALLED.findall(code)):
        return False
    if function is None:
        return bool(_WRITES.search(code) and _RUNS.search(code))
    defined = next(_defining(function).finditer(code), None)
    return defined is None or not _EMPTY.match(code, defined.end())


def _defining(function: str) -> re.Pattern[str]:
    name = re.escape(function)
    return re.compile(rf"^[ \t]*(?:(?:async\s+)?def\s+{name}\s*\(|{name}\s*(?::[^=\n]+)?=(?!=))", re.MULTILINE)


def _blocks(answer: str) -> list[Block]:
    """The complete fenced blocks. A fence in a docstring closes none, unless nothing else closes it."""
    blocks, left_open = _fenced(answer, docstrings=True)
    return _fenced(answer, docstrings=False)[0] if left_open else blocks


def _fenced(answer: str, docstrings: bool) -> tuple[list[Block], bool]:
    """(the blocks, whether one was left open). `docstrings`: whether a fence that stands in one is passed over."""
    blocks: list[Block] = []
    opened: re.Match[str] | None = None
    body: list[str] = []
    prose: list[str] = []
    for line in answer.split("\n"):
        fence = _FENCE.fullmatch(line.rstrip("\r"))
        if opened is None:
            if fence:
                opened, body = fence, []
            else:
                prose.append(line)
        elif fence and _closes(fence, opened) and not (docstrings and _within(body, fence, opened)):
            blocks.append(Block(opened[3].lower(), textwrap.dedent("\n".join(body)), "\n".join(prose)))
            opened, prose = None, []
        else:
            body.append(line)
    return blocks, opened is not None


def _closes(fence: re.Match[str], opened: re.Match[str]) -> bool:
    return not fence[3] and fence[2].startswith(opened[2])


def _within(body: list[str], fence: re.Match[str], opened: re.Match[str]) -> bool:
    """Whether a fence stands in a docstring: far in, or a little, with a string of three quotes open before it."""
    further = len(fence[1].expandtabs()) - len(opened[1].expandtabs())
    text = "\n".join(body)
    quoted = any(text.count(marks) % 2 for marks in ('"""', "'''"))
    return further > _FURTHER_IN or (further > 0 and quoted)


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
        return bool(marked) and bool(_loaded(result) == _loaded(expected))
    except (ValueError, RecursionError):
        return False


def _first_problem(error: Exception) -> str:
    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else "nested too deeply"


def _loaded(text: str) -> Any:
    """JSON with integers of any length, which Python reads up to 4,300 digits unless the whole process is told to."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 4000 else Decimal(digits))


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _fault(outcome: Outcome) -> str:
    """What went wrong with a run, "" where it ended well. Of standard error, the program's own text, the last words."""
    if outcome.how != "ended":
        return LIMIT_TOLD[outcome.how]
    if outcome.code == 0:
        return ""
    words = f": {outcome.errors[-100:]}" if outcome.errors else ""
    return f"exit code {outcome.code}{words}"
