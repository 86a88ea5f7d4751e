"""The process that does the algebra of maths grading; it may hang or die, and then costs nobody else anything.

Writes `{"pid", "late"}` when it is ready, then for each JSON line `{"id", "answer", "target", "seconds"}` on standard
input one JSON line `{"id", "same", "why"}`: true, false, or null with the reason. The kernel limits memory, and the
processor time of each pair to its seconds: time on the clock would run out on a busy machine for a pair that is easy.
When the process named by `pid` dies, another takes over and says so in the same way, `late` where it died of its time.

math-verify reads the LaTeX. Single expressions are compared here, by value to `DIGITS` digits, because its own
comparison calls sqrt(10^40+1) equal to 10^20; relations, sets and products of matrices are left to it.
"""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import signal
import sys
from functools import lru_cache
from typing import Any, TextIO

import sympy  # type: ignore[import-untyped]
from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify
from sympy.core.function import AppliedUndef  # type: ignore[import-untyped]

from unwaver.judging.graders.maths_equality import same
from unwaver.judging.graders.maths_text import places

DIGITS = 100
"""Significant digits to which two values are compared."""

LARGEST = 200_000.0
"""Bits beyond which a number is not written out; 2^200000 takes milliseconds."""

MEMORY = 2 << 30
"""Bytes of address space; importing sympy and math-verify takes a tenth of it."""

_AS_WRITTEN = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
)
"""math-verify's own, but that units stay: a letter behind a number (`5m`) is one, and units were taken off before."""

_LATEX = [LatexExtractionConfig(boxed_match_priority=-1, normalization_config=_AS_WRITTEN)]
_POINTS = (sympy.Rational(17, 10), sympy.Rational(-23, 7), sympy.Rational(5, 11), sympy.Rational(61, 3))
"""Where expressions with variables are compared; an identity must hold at every one of them at which it has a value."""


class _TooLargeError(Exception):
    """A number that would take too long to write out."""


class _UnreadableError(Exception):
    """A target that math-verify can't read."""


def main() -> None:
    """Fork a child that answers, and another where one was killed: the imports are paid for once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable(logging.CRITICAL)
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    status, late = 1, False
    while status:
        child = os.fork()
        if child == 0:
            try:
                _serve(replies, late)
            finally:
                os._exit(0)
        status = os.waitpid(child, 0)[1]
        late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF


def _serve(replies: TextIO, late: bool) -> None:
    print(json.dumps({"pid": os.getpid(), "late": late}), file=replies, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, request["seconds"])  # nobody catches its signal, so the process ends
        reply = {"id": request["id"], **_reply(request["answer"], request["target"])}
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(reply), file=replies, flush=True)


def _reply(answer: str, target: str) -> dict[str, Any]:
    try:
        return {"same": same(answer, target, decide), "why": "a part could not be settled"}
    except _TooLargeError:
        return {"same": None, "why": f"a number of more than {LARGEST:.0f} bits would have to be written out"}
    except _UnreadableError as error:
        return {"same": None, "why": f"the target can't be read as mathematics: {error}"}
    except Exception as error:  # noqa: BLE001 - sympy raises anything on odd input, and no pair may end the worker
        return {"same": None, "why": f"{type(error).__name__} while comparing"}


def decide(answer: str, target: str) -> bool | None:
    """Settle two single expressions written in LaTeX. An answer that can't be read is not the same as one that can."""
    gold, found = _parsed(target), _parsed(answer)
    if gold is None:
        raise _UnreadableError(target[:80])
    if found is None:
        return False
    if _has_a_value(gold) and _has_a_value(found):
        return _same_value(found, gold, (places(answer), places(target)))
    return bool(verify(gold, found, allow_set_relation_comp=True, timeout_seconds=None))


@lru_cache(maxsize=1024)
def _parsed(latex: str) -> Any:
    found = parse(f"${latex}$", _LATEX, fallback_mode="no_fallback", parsing_timeout=None)
    return _exact(found[0]) if found else None


def _exact(parsed: Any) -> Any:
    """Decimals as the fractions they were written as."""
    if not isinstance(parsed, sympy.Basic):
        return parsed
    return parsed.xreplace({number: sympy.Rational(str(number)) for number in parsed.atoms(sympy.Float)})


def _has_a_value(parsed: Any) -> bool:
    return isinstance(parsed, sympy.Expr) and not parsed.has(AppliedUndef) and not parsed.is_Matrix


def _same_value(a: sympy.Expr, t: sympy.Expr, decimals: tuple[int | None, int | None]) -> bool | None:
    large = _bits(a) > LARGEST, _bits(t) > LARGEST
    if any(large):
        if all(large) or not _is_tower(a if large[0] else t):
            raise _TooLargeError
        return False
    if _has_none(a, t):
        return False
    if a.free_symbols or t.free_symbols:
        same = _same_function(a, t)
        units = {symbol: sympy.I for side in (a, t) for symbol in side.free_symbols if symbol.name == "i"}
        if same is not True and any(symbol in units for symbol in t.free_symbols):
            return _same_value(a.xreplace(units), t.xreplace(units), decimals)
        return same
    a, t = a.doit(), t.doit()
    if _has_none(a, t):
        return False
    if a == t or (a.is_Rational and t.is_Rational):
        return bool(a == t)
    written = [number for number in decimals if number is not None]
    return _close(a.evalf(DIGITS, maxn=2 * DIGITS), t.evalf(DIGITS, maxn=2 * DIGITS), min(written, default=None))


def _has_none(*sides: sympy.Expr) -> bool:
    """Whether one of them is divided by zero, or a logarithm of it: without a value it equals nothing that is written
    otherwise."""
    return any(side.has(sympy.zoo, sympy.nan) for side in sides)


def _same_function(a: sympy.Expr, t: sympy.Expr) -> bool | None:
    """Compare at several points. Variables go by name: whether one is taken for real varies from text to text.

    Where the target has a root, a logarithm or a broken power and no absolute value, its letters stand for positive
    numbers, as everywhere in lengths and domains; else for any real ones. One without a value at any point has none.
    """
    names = sorted({symbol.name for symbol in a.free_symbols | t.free_symbols})
    seen, nowhere = 0, [True, True]
    for point in map(abs, _POINTS) if _of_positive_letters(t) else _POINTS:
        # Scattered, not in steps: a determinant of evenly spaced numbers is 0 whatever its letters were.
        values = {name: point + sympy.Rational(pow(7, 3 * place + 2, 1009), 101) for place, name in enumerate(names)}
        there = [{symbol: values[symbol.name] for symbol in side.free_symbols} for side in (a, t)]
        x, y = a.evalf(DIGITS, subs=there[0]), t.evalf(DIGITS, subs=there[1])
        endless = [
            value.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo) or _undefined(side, at)
            for value, side, at in zip((x, y), (a, t), there, strict=True)
        ]
        nowhere = [none and here for none, here in zip(nowhere, endless, strict=True)]
        near = None if all(endless) else _close(x, y, None)
        if near is False:
            return False
        seen += near is True
    if any(nowhere):
        return False
    return True if seen >= 2 else None


def _undefined(side: sympy.Expr, values: dict[sympy.Symbol, sympy.Rational]) -> bool:
    """Whether it is divided by what is exactly zero there, or has a logarithm of it; digits alone miss a zero."""
    zeros = {power.base for power in side.atoms(sympy.Pow) if power.exp.could_extract_minus_sign()}
    zeros |= {log.args[0] for log in side.atoms(sympy.log)}
    return any(part.subs(values).doit() == 0 for part in zeros)


def _of_positive_letters(t: sympy.Expr) -> bool:
    broken = any(not power.exp.is_integer for power in t.atoms(sympy.Pow)) or t.has(sympy.log)
    return bool(broken and not t.has(sympy.Abs))


def _close(x: sympy.Expr, y: sympy.Expr, decimals: int | None) -> bool | None:
    """Whether two evaluated numbers agree, to all digits or to the decimals that were written; None: not numbers."""
    if not (x.is_number and y.is_number) or sympy.nan in (x, y):
        return None
    if not (x.is_finite and y.is_finite):
        return bool(x == y)
    difference, size = abs(x - y), max(abs(x), abs(y))
    if decimals is not None:
        return bool(difference < sympy.Rational(1, 10**decimals))
    return bool(difference <= size * sympy.Float(10) ** (10 - DIGITS) or size < sympy.Float(10) ** -DIGITS)


def _bits(expr: Any) -> float:
    """An upper bound of log2 of the integers that writing out `expr` would make; exact for a tower."""
    if expr.is_Rational:
        return math.log2(max(abs(expr.p), expr.q))
    parts = [_bits(part) for part in expr.args]
    if expr.is_Pow:
        exponent = abs(float(expr.exp)) if expr.exp.is_Rational else 2.0 ** min(parts[1], 1000.0)
        return max(parts[0], 1.0) * exponent
    if isinstance(expr, sympy.factorial):
        return parts[0] * float(2.0 ** min(parts[0], 1000.0))
    if expr.is_Mul:
        return sum(parts)
    return max(parts, default=5.0) + math.log2(max(len(parts), 1))


def _is_tower(expr: Any) -> bool:
    """Whether only powers, products and factorials of integers above 1 make it, so that it is as big as it looks."""
    if expr.is_Integer:
        return bool(expr > 1)
    return bool(expr.is_Pow or expr.is_Mul or isinstance(expr, sympy.factorial)) and all(map(_is_tower, expr.args))


if __name__ == "__main__":
    main()
