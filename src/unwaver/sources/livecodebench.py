"""LiveCodeBench's rows: the problem as a prompt, its tests as JSON, nothing ever unpickled.

Read from `lighteval/code_generation_lite`, the Parquet edition of a data set whose original runs a script. There
`private_test_cases` is base64 of zlib of a pickle of one JSON text (lighteval and the original both unpickle it). A
pickle can run code, so the text is read off the opcodes instead: a pickle that is anything but one string is refused.
Window and figure of 166 problems: arXiv 2505.15404 section 4.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from typing import Any

from unwaver.errors import RecordError
from unwaver.sources.files import RawRow
from unwaver.sources.source import Draft, pick

FIRST, LAST = "2024-10-01", "2025-01-31"
"""Contest dates of the study's window, both included."""

LARGEST = 1 << 30
"""Bytes the tests of one problem may unpack to."""

TEXT_OPCODES = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
OTHER_OPCODES = frozenset({"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT", "STOP"})
"""All that a pickled string consists of."""

FUNCTION = (
    "Solve this programming problem in Python by completing the class given below it. "
    "Give the whole class in one ```python block.\n\n{problem}\n\n```python\n{starter}\n```"
)
PROGRAM = (
    "Solve this programming problem in Python with a program that reads standard input and writes standard output. "
    "Give the whole program in one ```python block.\n\n{problem}"
)


def read(row: RawRow, place: str) -> Draft | None:
    """The draft of a problem in the window, else None.

    Its `target` is the JSON that `judging.code.Problem` reads: `{"kind": "stdin", "tests": [{"input": text, "output":
    text} ...]}` for programs, `{"kind": "functional", "function": the method's name, "tests": ...}` for methods, where
    the input is one JSON value a line, an argument each.
    """
    if not FIRST <= str(row.get("contest_date", ""))[:10] <= LAST:
        return None
    problem = pick(row, ("question_content",), place, True)
    starter = pick(row, ("starter_code",), place, False)
    tests = _public(row.get("public_test_cases"), place) + private_tests(row.get("private_test_cases"), place)
    called = {"kind": "functional", "function": _function(row.get("metadata"), place)} if starter else {"kind": "stdin"}
    if not tests:
        raise RecordError(f"{place}: no tests")
    text = FUNCTION.format(problem=problem, starter=starter) if starter else PROGRAM.format(problem=problem)
    target = json.dumps({**called, "tests": tests}, ensure_ascii=False)
    return Draft(text=text, kind="code", category=pick(row, ("difficulty",), place, False), target=target)


def private_tests(encoded: Any, place: str) -> list[dict[str, str]]:
    """The hidden tests of a problem, from JSON or from the packed form; RecordError where it is neither."""
    if isinstance(encoded, str) and not encoded.lstrip().startswith("["):
        try:
            encoded = _pickled_text(_inflate(base64.b64decode(encoded, validate=True)))
        except (binascii.Error, zlib.error, ValueError) as error:
            raise RecordError(f"{place}: private_test_cases: not readable: {error}") from None
    return _tests(encoded, "private_test_cases", place)


def _public(content: Any, place: str) -> list[dict[str, str]]:
    return _tests(content, "public_test_cases", place)


def _inflate(packed: bytes) -> bytes:
    machine = zlib.decompressobj()
    content = machine.decompress(packed, LARGEST)
    if not machine.eof:
        raise ValueError(f"cut short, or more than {LARGEST} bytes")
    return content


def _pickled_text(content: bytes) -> str:
    """The one string in a pickle, read from its opcodes without running any."""
    texts = []
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in TEXT_OPCODES:
            texts.append(str(argument))
        elif opcode.name not in OTHER_OPCODES:
            raise ValueError(f"a pickle with the opcode {opcode.name}; only that of a single text is read")
    if len(texts) != 1:
        raise ValueError(f"a pickle of {len(texts)} texts; expected one")
    return texts[0]


def _tests(content: Any, column: str, place: str) -> list[dict[str, str]]:
    try:
        tests = json.loads(content) if isinstance(content, str) else content
        return [{"input": str(test["input"]), "output": str(test["output"])} for test in tests]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RecordError(f"{place}: {column}: expected a JSON list of input and output ({error!r})") from None


def _function(metadata: Any, place: str) -> str:
    try:
        content = json.loads(metadata) if isinstance(metadata, str) else metadata
        name = content["func_name"]
    except (ValueError, TypeError, KeyError, RecursionError):
        name = None
    if not isinstance(name, str) or not name.isidentifier():
        raise RecordError(f"{place}: metadata: expected JSON with the function's name in `func_name`")
    return name
