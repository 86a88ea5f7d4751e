"""Whether two written answers are the same, as far as text and exact arithmetic can tell.

Guarantees a three-valued answer (True, False, or None: algebra is needed). Numbers are compared as exact fractions, so
5 is not 500 and 10^20 is not 10^20+1. What a bracket means is decided here, once: `(a, b)` has an order and is not
`[a, b]`; `{a, b}` and a bare `a, b` have none. Single expressions that are neither numbers nor words go to `decide`.
Where we differ from the paper's grader: no tolerance, no x/100 or 100x, brackets are kept. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from unwaver.judging.graders.maths_text import (
    clock,
    degrees_worked_out,
    fraction,
    is_approximation,
    key,
    measure,
    ratio,
    same_time,
    tidy,
    word,
)

Decide = Callable[[str, str], bool | None]
"""Settles two single expressions, `(answer, target)`; None: can't tell."""

LONGEST = 2000
"""Characters beyond which a text is compared as text only; the longest target of MATH-500 has under 100."""

DEEPEST = 40
"""Brackets inside brackets beyond which a text is compared as text only."""

LARGEST_LIST = 64
"""Parts beyond which an unordered list is compared part by part as text only."""

_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_EQUALS = re.compile(r"(?<![<>!\\:=])=(?!=)|\\in(?![a-zA-Z])")
_SEMICOLON = re.compile(";")
_COMMA, _CUP, _PM = re.compile("[,;]"), re.compile(r"\\cup(?![a-zA-Z])"), re.compile(r"\\pm(?![a-zA-Z])")
_NAME = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?'*(?:\s*\([^()]*\))?|\([A-Za-z, ]+\)")
_ALGEBRA_OF_SETS = re.compile(r"[<>]|\\(?:le|ge|ne|neq|setminus|mathbb|cap|begin)(?![a-zA-Z])")
_MATRIX = re.compile(r"\\begin\{([pbB]?matrix)\}(.*)\\end\{\1\}", re.DOTALL)


def same(answer: str, target: str, decide: Decide) -> bool | None:
    """Whether `answer` and `target` say the same; None where `decide` could not tell.

    A text such as `10,200` may be one number or a list: it equals whatever either reading equals.
    """
    if max(len(answer), len(target)) > LONGEST or max(_depth(answer), _depth(target)) > DEEPEST:
        return key(answer) == key(target)
    answers, targets = ([_read(reading) for reading in _readings(tidy(text))] for text in (answer, target))
    return _any(_same(a, t, decide) for a in answers for t in targets)


@dataclass(frozen=True)
class _Shape:
    kind: Literal["one", "list", "set", "tuple", "union", "matrix"]
    text: str
    items: tuple[_Shape, ...] = ()
    brackets: str = ""


def _readings(text: str) -> list[str]:
    plain = _GROUPED.sub(lambda found: found.group().replace(",", ""), text)
    return [text] if plain == text or _wrapped(text) else [plain, text]


def _read(text: str) -> _Shape:
    text = text.strip()
    parts = _split(text, _CUP)
    if len(parts) > 1:
        return _Shape("union", text, tuple(_read(part) for part in parts))
    matrix = _MATRIX.fullmatch(text)
    if matrix and r"\begin" not in matrix.group(2):
        rows = [row.split("&") for row in matrix.group(2).split(r"\\") if row.strip()]
        return _Shape("matrix", text, tuple(_Shape("tuple", "", tuple(map(_read, row)), "()") for row in rows))
    if _wrapped(text) and text.startswith((r"\{", "{")):
        inner = text[1 + (text[0] == "\\") :].removesuffix("}").removesuffix("\\").strip()
        if text[0] == "\\" or len(_split(inner, _COMMA)) > 1:
            return _Shape("set", text, _listed(inner) if inner else ())
        return _read(inner)
    if _wrapped(text):
        items = _listed(text[1:-1])
        if len(items) > 1:
            return _Shape("tuple", text, items, text[0] + text[-1])
        if text[0] + text[-1] == "()":
            return _read(text[1:-1])
    groups = _split(text, _SEMICOLON)
    if len(groups) > 1 and any(len(_split(group, _COMMA)) > 1 for group in groups):
        return _Shape("list", text, tuple(_tuple(_read(group)) for group in groups))
    items = _listed(text)
    return _Shape("list", text, items) if len(items) > 1 else _Shape("one", text)


def _tuple(shape: _Shape) -> _Shape:
    """A list between two semicolons, `p=5, q=2; p=7, q=2`, as the tuple it is."""
    return _Shape("tuple", shape.text, shape.items, "()") if shape.kind == "list" else shape


def _listed(text: str) -> tuple[_Shape, ...]:
    """The parts of a list, each `a ± b` as the two it stands for."""
    parts = [part.strip() for part in _split(text, _COMMA)]
    shapes: list[_Shape] = []
    for part in parts:
        if len(_PM.findall(part)) == 1 and not _wrapped(_split(part, _EQUALS)[-1].strip()):
            for plus, minus in (("+", "-"), ("-", "+")):
                shapes.append(_Shape("one", re.sub(r"\\mp(?![a-zA-Z])", minus, _PM.sub(plus, part)).strip()))
        else:
            shapes.append(_read(part) if len(parts) > 1 else _Shape("one", part))
    return tuple(shapes)


def _split(text: str, at: re.Pattern[str]) -> list[str]:
    """Cut at the matches of `at` that stand outside every bracket; one piece where the brackets don't balance."""
    cuts = {found.start(): found.end() for found in at.finditer(text)}
    depth, start, pieces = 0, 0, []
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return [text]
        if depth == 0 and place in cuts:
            pieces.append(text[start:place])
            start = cuts[place]
    return [*pieces, text[start:]] if depth == 0 else [text]


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _wrapped(text: str) -> bool:
    """Whether the bracket that opens `text` is closed by its last character; `(0, 1]` is wrapped."""
    if not text.startswith(("(", "[", r"\{", "{")):
        return False
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and character in ")]}":
            return place == len(text) - 1
    return False


def _same(a: _Shape, t: _Shape, decide: Decide) -> bool | None:
    if a.text and key(a.text) == key(t.text):
        return True
    a, t = _without_name(a, t)
    kinds = {a.kind, t.kind}
    if kinds == {"one"}:
        return _same_one(a.text, t.text, decide)
    bare = kinds == {"list", "tuple"} and "()" in (a.brackets, t.brackets)
    if bare or kinds == {"matrix"} or (kinds == {"tuple"} and a.brackets == t.brackets):
        return _in_order(a.items, t.items, decide)
    if any(shape.kind == "one" and _ALGEBRA_OF_SETS.search(shape.text) for shape in (a, t)):
        return decide(a.text, t.text)
    if kinds == {"union"} or kinds <= {"list", "set", "one"}:
        a_items, t_items = ((shape,) if shape.kind == "one" else shape.items for shape in (a, t))
        return _in_any_order(a_items, t_items, decide)
    return False


def _without_name(a: _Shape, t: _Shape) -> tuple[_Shape, _Shape]:
    """Take `x =` off the side that alone has it, or off both where it is the same. A chain gives its last member."""
    of_a, of_t = (_split(shape.text, _EQUALS) if shape.kind == "one" else [shape.text] for shape in (a, t))
    same_name = len(of_a) > 1 and len(of_t) > 1 and key(of_a[0]) == key(of_t[0])
    if same_name or (len(of_a) > 1 and len(of_t) == 1):
        a = _read(of_a[-1])
    if same_name or (len(of_t) > 1 and len(of_a) == 1 and _NAME.fullmatch(of_t[0].strip())):
        t = _read(of_t[-1])
    return a, t


def _same_one(answer: str, target: str, decide: Decide) -> bool | None:
    times = clock(answer), clock(target)
    if times[0] and times[1]:
        return same_time(times[0], times[1])
    ratios = ratio(answer), ratio(target)
    if (ratios[0] and (ratios[1] or times[1])) or (times[0] and ratios[1]):
        return ratios[0] == ratios[1]  # a time of the day is no ratio
    a, t = measure(answer), measure(target, target=True)
    if (a.unit and t.unit and a.unit != t.unit) or (a.mark and t.mark and a.mark != t.mark):
        return False
    if (a.mark and t.unit) or (a.unit and t.mark):
        return False
    pairs = [(a.value, t.value)]
    if a.mark != t.mark:
        pairs.append((_converted(a.value, a.mark), _converted(t.value, t.mark)))
    if "°" in a.value + t.value:
        worked_out = (degrees_worked_out(a.value), degrees_worked_out(t.value))
        pairs = [worked_out, (a.value.replace("°", ""), t.value.replace("°", ""))]
    return _any(_same_value(x, y, decide) for x, y in pairs)


def _converted(value: str, mark: str) -> str:
    """What a marked value is worth without its mark: hundredths, radians."""
    if not mark:
        return value
    exact = fraction(value)
    if mark == "%":
        exact = exact / 100 if exact is not None else None
        return rf"\frac{{{value}}}{{100}}" if exact is None else rf"\frac{{{exact.numerator}}}{{{exact.denominator}}}"
    return rf"\frac{{({value})\cdot\pi}}{{180}}"


def _same_value(a: str, t: str, decide: Decide) -> bool | None:
    if key(a) == key(t):
        return True
    x, y = fraction(a), fraction(t)
    if x is not None and y is not None:
        return x == y or is_approximation(a, y) or is_approximation(t, x)
    words = word(a), word(t)
    if words[0] and words[0] == words[1]:
        return True
    if (r"\text" in a + t and all(words)) or (any(words) and (x is not None or y is not None)):
        return False
    return decide(a, t)


def _in_order(a: Sequence[_Shape], t: Sequence[_Shape], decide: Decide) -> bool | None:
    if len(a) != len(t):
        return False
    found: bool | None = True
    for x, y in zip(a, t, strict=True):
        one = _same(x, y, decide)
        if one is False:
            return False
        found = found if one else None
    return found


def _in_any_order(a: Sequence[_Shape], t: Sequence[_Shape], decide: Decide) -> bool | None:
    if len(a) != len(t):
        return False
    if len(a) > LARGEST_LIST:
        return sorted(key(x.text) for x in a) == sorted(key(y.text) for y in t)
    table = [[_same(x, y, decide) for y in t] for x in a]
    if _pairs_up([[cell is True for cell in row] for row in table]):
        return True
    return None if _pairs_up([[cell is not False for cell in row] for row in table]) else False


def _pairs_up(fits: list[list[bool]]) -> bool:
    """Whether every row can have a column of its own among those it fits."""
    owner: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column, fit in enumerate(fits[row]):
            if fit and column not in tried:
                tried.add(column)
                if column not in owner or place(owner[column], tried):
                    owner[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(fits)))


def _any(results: Iterable[bool | None]) -> bool | None:
    found: bool | None = False
    for result in results:
        if result:
            return True
        found = None if result is None else found
    return found
