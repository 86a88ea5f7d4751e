"""Code grading: right verdicts, and every escape contained. Needs bubblewrap; skipped with the reason where there is none."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from unwaver import sources
from unwaver.errors import RecipeError
from unwaver.judging import LocalReader
from unwaver.judging.graders.code import CodeGrader, last_block, same_output
from unwaver.judging.graders.sandbox import Limits, Sandbox
from unwaver.recipe import PromptSet
from unwaver.records import Prompt, Trace

SECONDS = 1.5
"""For programs that never end."""
PATIENT = 30.0
"""For programs that end by themselves: a busy machine is no fault of theirs."""


def working() -> str:
    try:
        Sandbox()
    except RecipeError as error:
        return str(error)
    return ""


MISSING = working()
needs_sandbox = pytest.mark.skipif(bool(MISSING), reason=MISSING)

ADD = {"kind": "stdin", "tests": [{"input": "1 2\n", "output": "3\n"}, {"input": "2 2\n", "output": "4\n"}]}
CALL = {"kind": "functional", "function": "combine", "tests": [{"input": "1\n[2, 3]", "output": "[1, [2, 3]]"}]}


def trace(program: str | None, target: object = ADD, **fields: object) -> Trace:
    text = target if isinstance(target, str) or target is None else json.dumps(target)
    prompt = Prompt(text="Add them.", kind="code", target=text)
    answer = None if program is None else f"Here it is:\n```python\n{textwrap.dedent(program)}\n```\nIt adds."
    return Trace.model_validate({"prompt": prompt, "model": "m@1", "answer": answer, "ending": "stop", **fields})


@pytest.fixture(scope="module")
def grader() -> CodeGrader:
    return CodeGrader(limits=Limits(seconds=PATIENT))


# ---- verdicts


@needs_sandbox
@pytest.mark.parametrize(
    ("program", "label", "reason"),
    [
        ("a, b = map(int, input().split())\nprint(a + b)", "passed", "all 2 tests"),
        ("import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))", "passed", "all 2 tests"),
        ("if __name__ == '__main__':\n    print(sum(map(int, open(0).read().split())))", "passed", "all 2 tests"),
        ("print(reduce(add, map(int, input().split())), end='.0 \\n\\n')", "passed", "all 2 tests"),
        ("print(sum(map(int, input().split())))\nexit(1)", "passed", "all 2 tests"),
        ("print(sum(map(int, input().split())))\nquit()\nprint(1 // 0)", "passed", "all 2 tests"),
        ("import numpy\nprint(numpy.fromstring(input(), int, sep=' ').sum())", "passed", "all 2 tests"),
        ("print(3)", "failed", "test 2 of 2: wrong output"),
        ("print(3)\nprint()\nprint(3)", "failed", "test 1 of 2: wrong output"),
        ("print(1 // 0)", "failed", "ZeroDivisionError"),
        ("print(", "failed", "SyntaxError"),
    ],
)
def test_programs_that_read_standard_input(program: str, label: str, reason: str, grader: CodeGrader) -> None:
    verdict = grader.verdict(trace(program))
    assert verdict.label == label, verdict.reason
    assert reason in verdict.reason


ROW = {
    "question_content": "Add.",
    "difficulty": "easy",
    "contest_date": "2024-12-01T00:00:00",
    "starter_code": "",
    "metadata": "{}",
}


@pytest.mark.real
@needs_sandbox
@pytest.mark.parametrize(
    ("row", "right", "wrong"),
    [
        (
            {
                "public_test_cases": [{"input": "1 2\n", "output": "3\n"}],
                "private_test_cases": [{"input": "2 2\n", "output": "4\n"}],
            },
            "print(sum(map(int, input().split())))",
            "print(3)",
        ),
        (
            {
                "starter_code": "class Solution:\n    def add(self, a: int, b: List[int]) -> int:\n        ",
                "metadata": '{"func_name": "add"}',
                "public_test_cases": [{"input": "1\n[2]", "output": "3"}],
                "private_test_cases": [{"input": "2\n[2, 3]", "output": "7"}],
            },
            "class Solution:\n    def add(self, a: int, b: List[int]) -> int:\n        return a + sum(b)",
            "class Solution:\n    def add(self, a: int, b: List[int]) -> int:\n        return a + b[0]",
        ),
    ],
    ids=["stdin", "functional"],
)
def test_a_row_of_livecodebench_can_be_graded(
    tmp_path: Path, row: dict[str, object], right: str, wrong: str, grader: CodeGrader
) -> None:
    tests = {name: json.dumps(content) if name.endswith("cases") else content for name, content in row.items()}
    (tmp_path / "copy.jsonl").write_text(json.dumps({**ROW, **tests}) + "\n")
    (prompt,) = sources.load(PromptSet(source="livecodebench", path=tmp_path / "copy.jsonl"))
    for program, label, reason in [(right, "passed", "all 2 tests"), (wrong, "failed", "test 2 of 2: wrong output")]:
        answered = Trace(prompt=prompt, model="m@1", answer=f"```python\n{program}\n```", ending="stop")
        verdict = grader.verdict(answered)
        assert (verdict.label, verdict.reason) == (label, reason)


@needs_sandbox
@pytest.mark.parametrize(
    ("program", "label", "reason"),
    [
        (
            "class Solution:\n    def combine(self, a: int, b: List[int]):\n        print('noise')\n        return (a, b)",
            "passed",
            "all",
        ),
        ("def combine(a, b):\n    return a, tuple(b)", "passed", "all"),
        ("import numpy\ndef combine(a, b):\n    return a, numpy.array(b)", "passed", "all"),
        ("def combine(a, b):\n    return a\nif __name__ == '__main__':\n    print(input())", "failed", "wrong output"),
        ("def sub(a, b):\n    return a", "failed", "KeyError"),
        ("def combine(a, b):\n    return {a}, b", "failed", "exit code 1"),
    ],
)
def test_programs_that_are_called(program: str, label: str, reason: str, grader: CodeGrader) -> None:
    verdict = grader.verdict(trace(program, CALL))
    assert verdict.label == label, verdict.reason
    assert reason in verdict.reason


@needs_sandbox
def test_what_has_no_program_and_what_can_not_be_graded(grader: CodeGrader) -> None:
    reader: LocalReader = grader
    good = "print(sum(map(int, input().split())))"
    cut = trace(None, ending="length", reasoning=f"```python\n{good}\n```", block="unclosed")
    unmarked = trace(good, answer=f"```python\n{good}", ending="length")
    traces = [
        cut,
        unmarked,
        trace(None, ending="error", failure="timed out"),
        trace(good, None),
        trace(good, "[]"),
        trace(good, {**ADD, "tests": []}),
        trace(good, {**CALL, "function": None}),
        trace(good, {**CALL, "tests": [{"input": "{", "output": "1"}]}),
        trace(good),
    ]
    verdicts = list(grader.verdicts(traces))
    assert [verdict.label for verdict in verdicts] == ["failed", "failed", *[None] * 6, "passed"]
    assert verdicts[0].reason == "no answer: the reasoning was cut at the token limit"
    assert "no complete block" in verdicts[1].reason
    assert all("can't be read" in verdict.reason for verdict in verdicts[4:8])
    assert reader.verdict(traces[-1]) == verdicts[-1]
    assert (verdicts[-1].trace, verdicts[-1].looked_at) == (traces[-1].id, "answer")
    assert verdicts[-1].rubric.startswith("code@")


@needs_sandbox
@pytest.mark.real
def test_a_program_is_given_up_unscored_after_its_total_time() -> None:
    slow = "import time\ntime.sleep(0.4)\nprint(sum(map(int, input().split())))"
    verdict = CodeGrader(total_s=0.3).verdict(trace(slow))
    assert verdict.label is None
    assert "given up before test 2 of 2" in verdict.reason


@needs_sandbox
def test_a_sandbox_that_breaks_is_unscored_and_not_the_program_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = shutil.which("bwrap"), tmp_path / "bwrap"
    fake.write_text(
        f'#!/bin/sh\nif [ -e {tmp_path}/broken ]; then echo "out of memory" >&2; exit 1; fi\nexec {real} "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    grader = CodeGrader()
    (tmp_path / "broken").touch()
    verdict = grader.verdict(trace("print(3)"))
    assert verdict.label is None
    assert "the sandbox failed: out of memory" in verdict.reason
    with pytest.raises(RecipeError, match="user namespaces"):
        CodeGrader()


def test_without_bubblewrap_nothing_runs_and_the_install_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RecipeError, match="apt-get install -y bubblewrap"):
        CodeGrader()


@pytest.mark.parametrize(
    ("answer", "block"),
    [
        ("```python\na\n```\nor\n```py\nb\n```", "b"),
        ("```python\na\n```\nIt prints\n```\n3\n```", "a"),
        ("```python\na\n```\nIn C++:\n```cpp\nint\n```", "a"),
        ("```\na\n```", "a"),
        ("- so:\n  ```python\n  if x:\n      y\n  ```", "if x:\n    y"),
        ("~~~python\ns = '''\n```\n'''\n~~~", "s = '''\n```\n'''"),
        ("````python\n```\n````\n", "```"),
        ("```python\na", None),
        ("no code", None),
        ("```cpp\nint\n```", None),
    ],
)
def test_the_last_complete_python_block_is_taken(answer: str, block: str | None) -> None:
    assert last_block(answer) == block


READS, CALLS = "a = input()\nprint(a)", "class Solution:\n    def add(self, a):\n        return a"


@pytest.mark.parametrize(
    "after",
    [
        "```python\nassert 1 + 1 == 2\nprint('ok')\n```",
        "```python\n# no input() here\nprint(solve(3))\n```",
        "```python\nimport io, sys\nsys.stdin = io.StringIO('3')\nmain()\n```",
        "```python\n>>> Solution().add(3)\n3\n```",
        "```python\nresult = Solution().add(3)\nif add == 3: pass\n```",
        "```bash\npython3 main.py < input.txt\n```",
        "```\n3\n```",
        "```text\ninput() gives 3\n```",
        "```py3\nprint('a quick test')\n```",
    ],
)
@pytest.mark.parametrize(("program", "function"), [(READS, None), (CALLS, "add"), ("add = lambda a: a", "add")])
def test_what_comes_after_the_program_is_not_run_in_its_place(program: str, function: str | None, after: str) -> None:
    for mark in ("python", "Python3", "py3", "pypy3", "python3.11", ""):
        answer = f"Here:\n\n```{mark}\n{program}\n```\n\nA test:\n\n{after}\n"
        if mark or "python\n" not in after or function or "assert" not in after:
            assert last_block(answer, function) == program
    assert last_block(f"```python\nold = input()\n```\n```python\n{READS}\n```\n{after}") == READS
    assert last_block(f"```python\ndef add(a): ...\n```\n```python\n{CALLS}\n```\n{after}", "add") == CALLS


@pytest.mark.parametrize(
    "behind",
    [
        "For comparison, a brute-force version:\n```python\nn = int(input())\nprint(sum(range(n)))\n```",
        "A naive way, to check it against:\n\n```python\nfor line in open(0): print(line)\n```",
        "You can test it like this:\n```python\nn = int(input('Enter a number: '))\nprint(solve(n))\n```",
        "```python\n# brute force, too slow\nn = int(input())\nprint(n)\n```",
        "### Example usage\n```python\nimport sys\nprint(sys.stdin.read())\n```",
        "Example:\n```python\nx = input()\n```",
        "This one is slower:\n```python\nimport sys\nprint(sys.stdin.read())\n```",
        '```python\nname = input("Your number? ")\nprint(name)\n```',
    ],
)
def test_a_way_that_says_it_is_not_the_program_is_not_run_in_its_place(behind: str) -> None:
    assert last_block(f"Here:\n```python\n{READS}\n```\n{behind}\n") == READS
    alone = last_block(behind)
    assert alone is not None, "where nothing else fits it is the program all the same"


@pytest.mark.parametrize(
    "lead",
    [
        "The brute force is too slow. Here is the fast one:",
        "Better:",
        "Final code",
        "Optimised, O(n):",
        "So, with a heap:",
    ],
)
def test_a_better_way_behind_a_slow_one_is_the_program(lead: str) -> None:
    slow = "First, brute force:\n```python\nb = input()\nprint(b * 2)\n```"
    assert last_block(f"{slow}\n{lead}\n```python\n{READS}\n```") == READS
    functions = f"Naive:\n```python\ndef add(a): return 0\n```\n{lead}\n```python\n{CALLS}\n```"
    assert last_block(functions, "add") == CALLS


WHOLE = """import sys

def solve(n, values):
    return sum(values) % n

def main():
    n = int(input())
    values = list(map(int, input().split()))
    print(solve(n, values))

main()"""
FUNCTION = """def helper(a):
    return a + 1

def add(a, b):
    \"\"\"Adds.\"\"\"
    return helper(a) + b - 1"""


@pytest.mark.parametrize(
    "piece",
    [
        "n = int(input())",
        "values = list(map(int, input().split()))",
        "x = input()\nsolve(int(x), [1])",
        "n = int(input())\nprint(solve(n, [1, 2]))",
        "def main():\n    n = int(input())\n    print(n)",
        "n = int(input())\n# ...\nprint(n)",
        "n = int(input())\n...\nprint(n)",
        "import sys\nread = sys.stdin.readline",
    ],
)
def test_a_piece_behind_a_whole_program_is_not_run_in_its_place(piece: str) -> None:
    behind = f"```python\n{WHOLE}\n```\nThis part reads the input:\n```python\n{piece}\n```"
    assert last_block(behind) == WHOLE
    assert last_block(f"{behind}\nand again\n```python\n{piece}\n```") == WHOLE
    assert last_block(f"```python\n{piece}\n```") == piece, "where nothing else fits it is the program all the same"
    assert last_block(f"```python\n{piece}\n```\nIn all:\n```python\n{WHOLE}\n```") == WHOLE


@pytest.mark.parametrize(
    "piece",
    [
        "def add(...): ...",
        "def add(a, b): ...",
        "def add(a: int, b: int) -> int:\n    pass",
        'def add(a, b):\n    """Adds."""\n    raise NotImplementedError',
        "def add(a, b):\n    # your code here\n    pass",
        "def add(a, b):\n    # ... as before\n    return a",
        "class Solution:\n    def add(self, a, b):\n        ...",
        "def add(a, b):\n    return helper(a)",
        "add = helper(1)",
    ],
)
def test_a_stub_behind_a_whole_function_is_not_run_in_its_place(piece: str) -> None:
    assert last_block(f"```python\n{FUNCTION}\n```\nIts form:\n```python\n{piece}\n```", "add") == FUNCTION
    assert last_block(f"```python\n{piece}\n```", "add") == piece


@pytest.mark.parametrize(
    ("shorter", "function"),
    [
        ("n = int(input())\nprint(sum(map(int, input().split())) % n)", None),
        ("import sys\nn, *v = map(int, sys.stdin.read().split())\nsys.stdout.write(str(sum(v) % n))", None),
        ("def main():\n    print(int(input()))\nmain()", None),
        ("def solve(n): return n\nprint(solve(int(input())))", None),
        ("def add(a, b):\n    return a + b", "add"),
        ("def add(a, b):\n    pass_ = a\n    return pass_ + b", "add"),
        ("add = lambda a, b: a + b", "add"),
    ],
)
def test_a_shorter_program_that_stands_alone_is_the_last(shorter: str, function: str | None) -> None:
    longer = FUNCTION if function else WHOLE
    assert last_block(f"```python\n{longer}\n```\nShorter:\n```python\n{shorter}\n```", function) == shorter


IN_DOCSTRINGS = [
    'def f(a):\n    """Adds.\n\n    ```\n    f(1)\n    ```\n    """\n    return input()',
    "def f(a):\n    '''Adds.\n\n    ```python\n    f(1)\n    ```\n    '''\n    return input()",
    'class A:\n  """Small.\n\n  ```\n  A()\n  ```\n  """\n  def g(self): return input()',
    'def f(a):\n\tr"""\n\t```\n\tf(1)\n\t```\n\t"""\n\treturn input()',
]


@pytest.mark.parametrize("program", IN_DOCSTRINGS)
def test_a_fence_in_a_docstring_closes_no_program(program: str) -> None:
    assert last_block(f"```python\n{program}\n```\nThat is it.") == program
    assert last_block(f"- so:\n\n  ```python\n{textwrap.indent(program, '  ')}\n  ```\nThat is it.") == program


def test_a_fence_that_stands_too_far_in_closes_where_nothing_else_does() -> None:
    assert last_block(f"```python\n{READS}\n      ```\nDone.") == READS


LONG = "1" + "0" * 5000


@needs_sandbox
@pytest.mark.parametrize(
    ("program", "target"),
    [
        ("print(10 ** int(input()))", {"kind": "stdin", "tests": [{"input": "5000\n", "output": f"{LONG}\n"}]}),
        ("print(int(input()) % 9)", {"kind": "stdin", "tests": [{"input": f"{LONG}\n", "output": "1\n"}]}),
        (
            "def f(n): return 10 ** n",
            {"kind": "functional", "function": "f", "tests": [{"input": "5000", "output": LONG}]},
        ),
        ("def f(n): return n % 9", {"kind": "functional", "function": "f", "tests": [{"input": LONG, "output": "1"}]}),
        (
            "def f(n): return [n, -n]",
            {"kind": "functional", "function": "f", "tests": [{"input": LONG, "output": f"[{LONG}, -{LONG}]"}]},
        ),
    ],
)
def test_integers_are_as_long_as_in_livecodebench(program: str, target: dict[str, Any], grader: CodeGrader) -> None:
    right = grader.verdict(trace(program, target))
    assert (right.label, right.reason) == ("passed", "all 1 tests")
    ((test,), rest) = target["tests"], {name: target[name] for name in target if name != "tests"}
    wrong = {**rest, "tests": [{**test, "output": test["output"].replace("1", "2", 1)}]}
    assert grader.verdict(trace(program, wrong)).label == "failed"
    beyond = {"kind": "stdin", "tests": [{"input": "60000\n", "output": "1"}]}
    assert (
        "(50000 digits) for integer string conversion"
        in grader.verdict(trace("print(10 ** int(input()))", beyond)).reason
    )


@given(st.text("`~pyhton \n\r\tab"))
def test_no_answer_makes_the_block_reading_fail(answer: str) -> None:
    block = last_block(answer)
    assert block is None or len(block) < len(answer)


@given(
    st.lists(
        st.lists(st.decimals(allow_nan=False, allow_infinity=False), min_size=1, max_size=3), min_size=1, max_size=3
    )
)
def test_the_same_numbers_are_the_same_output_however_they_are_spaced(lines: list[list[object]]) -> None:
    plain = "\n".join(" ".join(map(str, line)) for line in lines)
    spaced = "\n" + "\n".join("  " + "   ".join(map(str, line)) + " " for line in lines) + "\n\n"
    assert same_output(spaced, plain)
    assert not same_output(spaced + "1", plain)
    assert not same_output(plain + " 1", plain)


@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        ("1.50", "1.5", True),
        ("YES\n", "yes", False),
        ("50000000000000000", "50000000000000001", False),
        ("nan", "1", False),
        ("sNaN 1", "sNaN 2", False),
        ("a b", "a  b", False),
    ],
)
def test_outputs_are_compared_line_by_line_and_numbers_exactly(found: str, expected: str, same: bool) -> None:
    assert same_output(found, expected) is same


# ---- escapes


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(Limits(seconds=PATIENT, memory=1 << 29))


@pytest.fixture(scope="module")
def hasty() -> Sandbox:
    return Sandbox(Limits(seconds=SECONDS, memory=1 << 29))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Things of the host a program may try to reach, a process among them; whether it did is looked at afterwards."""
    monkeypatch.setenv("UNWAVER_SECRET", "canary-in-the-environment")
    canary = tmp_path / "canary"
    canary.write_text("canary-in-a-file")
    servers = [socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
    servers[0].bind(("127.0.0.1", 0))
    servers[1].bind(str(tmp_path / "s"))
    servers[2].bind(f"\0unwaver-{os.getpid()}")
    for server in servers:
        server.listen()
        server.setblocking(False)
    decoy = subprocess.Popen(["sleep", "3600"])
    yield {
        "CANARY": str(canary),
        "PORT": str(servers[0].getsockname()[1]),
        "UNIX": str(tmp_path / "s"),
        "ABSTRACT": f"unwaver-{os.getpid()}",
        "DECOY": str(decoy.pid),
    }
    alive = decoy.poll() is None
    decoy.kill()
    decoy.wait()
    assert alive, "a process of the host was killed"
    for server in servers:
        with pytest.raises(BlockingIOError):
            server.accept()
        server.close()
    assert canary.read_text() == "canary-in-a-file"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["canary", "s"]


def strays() -> set[int]:
    """Processes of sandboxes on this machine."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"/box/runner.py" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found


def assert_all_gone(pids: set[int]) -> None:
    until(lambda: not pids & strays(), "a sandbox lives on")


REFUSED = {
    "connect over TCP": ("import socket; socket.create_connection(('127.0.0.1', @PORT@))", "PermissionError"),
    "ask a name server": ("import socket; print(socket.getaddrinfo('example.org', 80))", "gaierror"),
    "send UDP": ("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "PermissionError"),
    "open a raw socket": ("import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "PermissionError"),
    "open a virtual machine socket": ("import socket; socket.socket(socket.AF_VSOCK)", "PermissionError"),
    "connect to a unix socket": ("import socket; socket.socket(socket.AF_UNIX).connect('@UNIX@')", "PermissionError"),
    "connect to an abstract socket": ("import socket; socket.socket(1).connect('\\0@ABSTRACT@')", "PermissionError"),
    "read the password file": ("print(open('/etc/passwd').read())", "FileNotFoundError"),
    "list home": ("import os; print(os.listdir('/home'))", "FileNotFoundError"),
    "read a file of the host": ("print(open('@CANARY@').read())", "FileNotFoundError"),
    "write a file of the host": ("open('@CANARY@', 'w').write('x')", "FileNotFoundError"),
    "write where it stands": ("open('x', 'w')", "Read-only file system"),
    "write to the root": ("open('/x', 'w')", "Read-only file system"),
    "write to a library": (
        "import os; os.open('/usr/lib/os-release', os.O_WRONLY)",
        "Permission denied" if os.getuid() else "Read-only file system",  # whose file it is is looked at first
    ),
    "overwrite itself": ("open('/box/main.py', 'a')", "Read-only file system"),
    "make a link to the host": ("import os; os.symlink('@CANARY@', '/box/link')", "Read-only file system"),
    "follow a link through proc": ("print(open('/proc/self/root/etc/passwd').read())", "FileNotFoundError"),
    "climb out of the root": ("import os; os.chdir('../' * 20); print(open('etc/passwd').read())", "FileNotFoundError"),
    "read an environment through proc": ("print(open('/proc/1/environ').read())", "FileNotFoundError"),
    "fork": ("import os; os.fork()", "PermissionError"),
    "run a shell": ("import subprocess; subprocess.run('id', shell=True)", "PermissionError"),
    "replace itself by a shell": ("import os; os.execv('/bin/sh', ['sh', '-c', 'id'])", "FileNotFoundError"),
    "start worker processes": ("import multiprocessing as m; m.Process(target=print).start()", "PermissionError"),
    "leave a zombie": ("import os\nif os.fork() == 0: os._exit(0)", "PermissionError"),
    "leave a daemon that holds the output": ("import os\nif os.fork() == 0: os.setsid()", "PermissionError"),
    "kill a process of the host": ("import os; os.kill(@DECOY@, 9)", "ProcessLookupError"),
    "kill its parent and a process of the host": (
        "import os; os.kill(os.getppid(), 9); os.kill(@DECOY@, 9)",
        "ProcessLookupError",
    ),
    "kill whatever it can": ("import os; os.kill(-1, 9)", "ProcessLookupError"),
    "raise its limits": ("import resource as r; r.setrlimit(r.RLIMIT_AS, (-1, -1))", "ValueError"),
    "write a huge file in memory": ("import os; os.memfd_create('x')", "PermissionError"),
    "grow its own input": ("import os; [os.write(0, b'x' * 2**20) for _ in range(9)]", "File too large"),
    "open many files": ("held = [open('/dev/null') for _ in range(1000)]", "Too many open files"),
    "make a device": ("import os; os.mknod('/dev/sda', 0o600 | 0o60000, 2048)", "Read-only file system"),
    "read the kernel's log": ("print(open('/dev/kmsg').read(1))", "FileNotFoundError"),
    "take all memory": ("held = []\nwhile True: held.append(bytearray(2**26))", "MemoryError"),
    "recurse without end": ("def f(): f()\nf()", "RecursionError"),
    "divert its own loader": ("import sys; sys.meta_path.clear(); import this", "ModuleNotFoundError"),
}  # fmt: skip


@needs_sandbox
@pytest.mark.real
@pytest.mark.parametrize("attempt", REFUSED)
def test_what_a_program_may_not_do_is_refused(attempt: str, sandbox: Sandbox, host: dict[str, str]) -> None:
    program, error = REFUSED[attempt]
    for name, value in host.items():
        program = program.replace(f"@{name}@", value)
    outcome = sandbox.run(program + "\nprint('escaped')", b"")
    assert outcome.how == "ended"
    assert outcome.code == 1, outcome
    assert outcome.output == b""
    assert error in outcome.errors
    assert_all_gone(strays())


@needs_sandbox
@pytest.mark.real
def test_a_program_has_pairs_of_sockets_within_itself_and_they_lead_nowhere(
    sandbox: Sandbox, host: dict[str, str]
) -> None:
    program = f"""
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    one.sendall(b"within")
    print(other.recv(6).decode())
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
for place in ({host["UNIX"]!r}, {chr(0) + host["ABSTRACT"]!r}):
    for go in (lambda: one.sendto(b"x", place), lambda: one.connect(place)):
        try:
            go()
            print("escaped")
        except OSError:
            print("refused")
try:
    socket.socketpair(socket.AF_INET)
    print("escaped")
except (OSError, ValueError):
    print("refused")
"""
    outcome = sandbox.run(program, b"")
    assert outcome.output.split() == [b"within"] * 2 + [b"refused"] * 5, outcome


@needs_sandbox
@pytest.mark.real
def test_system_calls_made_by_hand_are_refused_too(sandbox: Sandbox, host: dict[str, str]) -> None:
    # `clone` has another number on every machine; x86-64 alone has a second set of numbers.
    clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    second_set = {"a 32-bit number": "c.syscall(0x40000000 + 57)"} if platform.machine() == "x86_64" else {}
    calls = {
        "kill a process of the host": f"c.kill({host['DECOY']}, 9)",
        "kill all that it can": "c.kill(-1, 9)",
        "fork": "c.fork()",
        "a process by clone": f"c.syscall({clone}, 17, 0, 0, 0, 0)",
        "a new user namespace": "c.unshare(0x10000000)",
        "mount": "c.mount(b'none', b'/site', b'tmpfs', 0, 0)",
        "chroot": "c.chroot(b'/box')",
        "ptrace": "c.ptrace(16, 1, 0, 0)",
        "shared memory": "c.shmget(0, 1 << 30, 0o1600)",
        **second_set,
        "setuid root": "c.setuid(0)",
        "the clock": "c.clock_settime(0, ctypes.byref((ctypes.c_long * 2)(0, 0)))",
    }
    lines = "\n".join(f"print({name!r}, {call})" for name, call in calls.items())
    # The sandbox's first process takes no signal from within; if it did, this program would end with it.
    outcome = sandbox.run(f"import ctypes\nc = ctypes.CDLL(None)\nprint('first', c.kill(1, 9))\n{lines}", b"")
    assert (outcome.how, outcome.code) == ("ended", 0), outcome
    first, *refused = outcome.output.decode().splitlines()
    assert first == "first 0"
    assert refused == [f"{name} -1" for name in calls]
    assert_all_gone(strays())


@needs_sandbox
@pytest.mark.real
@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("while True: pass", "time"),
        ("import time; time.sleep(1000)", "time"),
        ("import signal, time\nfor n in (1, 2, 3, 15, 24): signal.signal(n, signal.SIG_IGN)\nwhile True: pass", "time"),
        ("import os, time; os.close(1); os.close(2); time.sleep(1000)", "time"),
        ("import os\nos.kill(os.getpid(), 19)", "time"),
        ("import os\nwhile True: os.write(2, b'x' * 65536)", "time"),
        ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", "time"),
        ("while True: print('x' * 65536)", "output"),
        (
            "import threading, time\nthreading.stack_size(32768)\nwhile True:\n"
            "    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()",
            "threads",
        ),
    ],
)
def test_what_never_ends_is_stopped(program: str, how: str, hasty: Sandbox) -> None:
    outcome = hasty.run(program, b"x" * (1 << 20))
    assert outcome.how == how
    assert len(outcome.output) <= hasty.limits.output
    assert len(outcome.errors) <= 2000
    assert_all_gone(strays())


@needs_sandbox
@pytest.mark.real
def test_nothing_of_the_host_is_visible(sandbox: Sandbox, host: dict[str, str]) -> None:
    outcome = sandbox.run(
        """
        import os, json
        files = []
        for folder, folders, names in os.walk("/"):
            if folder in ("/usr/lib", "/usr/lib64", "/site/numpy", "/site/numpy.libs", os.path.dirname(os.__file__)):
                folders.clear()
            else:
                files += [os.path.join(folder, name) for name in names]
        print(json.dumps({"environment": dict(os.environ), "files": files, "uid": os.getuid(), "host": os.uname()[1],
                          "pid": os.getpid()}))
        """.replace("\n        ", "\n"),
        b"",
    )
    seen = json.loads(outcome.output)
    assert "canary" not in outcome.output.decode()
    assert set(seen["environment"]) <= {
        "LANG",
        "PYTHONHASHSEED",
        "PYTHONUTF8",
        "OPENBLAS_NUM_THREADS",
        "PWD",
        "LC_CTYPE",
    }
    assert seen["uid"] == 65534
    assert seen["host"] == "sandbox"
    assert seen["pid"] < 10
    own = (str(Path(sys.base_prefix).resolve()), "/box/", "/dev/", "/etc/ld.so.cache", "/usr/bin/python")
    assert [path for path in seen["files"] if not path.startswith(own)] == []
    assert {path for path in seen["files"] if path.startswith("/dev/")} == {
        f"/dev/{n}" for n in ("null", "zero", "random", "urandom")
    }


FORGERIES = {
    "ends before it answers": "import os\nos._exit(0)",
    "prints a result": "print('[1, [2, 3]]')\ndef combine(a, b): return 0",
    "guesses the mark": "import os\nos.write(1, b'0' * 32 + b'[1, [2, 3]]')\ndef combine(a, b): os._exit(0)",
    "replaces json": "import json\njson.loads = json.dumps = lambda *a, **k: '0'\ndef combine(a, b): return 0",
    "replaces print and equality": (
        "import builtins\nbuiltins.print = lambda *a: None\n"
        "class All(list):\n    def __eq__(self, other): return True\ndef combine(a, b): return All()"
    ),
    "closes every file": "import os\ndef combine(a, b):\n    os.closerange(0, 64)\n    return [a, b]",
    "writes invalid UTF-8": "import os\ndef combine(a, b):\n    for fd in range(3, 9):\n        try: os.write(fd, b'\\xff\\xfe')\n        except OSError: pass\n    return 0",
    "returns something deep": "def combine(a, b):\n    x = []\n    for _ in range(900): x = [x]\n    return x",
}


@needs_sandbox
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_result_can_not_be_forged_without_knowing_it(forgery: str, grader: CodeGrader) -> None:
    assert grader.verdict(trace(FORGERIES[forgery], CALL)).label == "failed"


@needs_sandbox
def test_the_expected_output_never_enters_the_sandbox(grader: CodeGrader) -> None:
    target = {"kind": "functional", "function": "find", "tests": [{"input": "1", "output": '"expected-73914"'}]}
    program = """
    import gc, sys

    def find(a):
        frame, places = sys._getframe(), list(sys.orig_argv)
        while frame:
            places += map(str, frame.f_locals.values())
            frame = frame.f_back
        places += [str(held) for held in gc.get_objects() if isinstance(held, (str, bytes, dict, list))]
        return "expected-" + "73914" if any("expected-" "73914" in place for place in places) else len(places)
    """
    verdict = grader.verdict(trace(program, target))
    assert verdict.label == "failed"
    assert "wrong output" in verdict.reason


@needs_sandbox
def test_hostile_output_stays_out_of_the_verdict(grader: CodeGrader) -> None:
    verdict = grader.verdict(
        trace("import os\nos.write(1, b'\\xff\\x1b[2J')\nos.write(2, b'\\x1b]0;owned\\x07\\xff')\n1/0")
    )
    assert verdict.label == "failed"
    assert verdict.reason.isprintable()
    assert not verdict.reason.isspace()


@needs_sandbox
@pytest.mark.real
def test_a_sandbox_dies_with_its_owner() -> None:
    script = (
        "from unwaver.judging.graders.sandbox import Limits, Sandbox\n"
        "box = Sandbox(Limits(seconds=60))\nprint('ready', flush=True)\nbox.run('while True: pass', b'')"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    running = until(strays, "the sandbox does not begin")
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert_all_gone(running)
