"""Reading one written value: its spelling, its exact number, its unit.

Takes the short strings that stand in a box. Guarantees exact arithmetic only (fractions, never floats) and nothing that
can grow: a power is written out up to `LARGEST_POWER` digits, larger ones are left to algebra. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from unicodedata import normalize

APPROXIMATION_PLACES = 6
"""Decimal places from which a decimal counts as the number it rounds or cuts; `float_rounding` of math-verify 0.9."""

HOURS, SIXTY = 24, 60
"""Of a day, and minutes of an hour."""

LARGEST_POWER = 2000
"""Digits up to which a power of integers is written out."""

_CHARACTERS = str.maketrans(
    {"−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∗": "*", "÷": "/", "∕": "/", "⁄": "/"}
    | {"π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "φ": r"\phi ", "λ": r"\lambda ", "∞": r"\infty "}
    | {"≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "±": r"\pm ", "≈": r"\approx "}
    | {"∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "ℝ": r"\mathbb{R}", "∅": r"\emptyset ", "º": "°", "˚": "°"}
    | {"。": ".", "，": ",", "、": ",", "；": ";", "：": ":", "（": "(", "）": ")", "＝": "=", "＋": "+", "％": "%"}
    | {"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u200b": "", "\u2061": "", "\u2062": "", "′": "'", "’": "'"}
    | {"√": r"\sqrt ", "∛": r"\sqrt[3] ", "€": r"\text{ euro}", "£": r"\text{ pound sterling}", "¥": r"\text{ yuan}"}
    | {
        sign: rf"\frac{{{over.replace('⁄', '}{')}}}"
        for sign in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒"
        if (over := normalize("NFKC", sign))
    }
)
_RAISED, _LOWERED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "₀₁₂₃₄₅₆₇₈₉₊₋ₙ"
_PLAIN = {place: sign for line in (_RAISED, _LOWERED) for place, sign in zip(line, "0123456789+-n", strict=True)}

_END = "(?![a-zA-Z])"
_FUNCTIONS = "sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|lg|exp|det|gcd|max|min"
_BARE = r"(?<![a-zA-Z\\])"
"""In front of a name of a plainly typed formula."""
_REWRITES = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        (r"\s+", " "),
        (rf"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle){_END}", ""),
        (r"\s*(?:\\(?:text|mathrm)\s*\{\s*,?\s*(?:for|where|when|with)\b[^{}]*\}|,?\s*\bfor all\b).*", ""),
        (r"(?<=[\d})])\s*\\approx(?![a-zA-Z]).*", ""),
        (rf"\\(?:mathrm|operatorname\*?|mathop|text|mathit|rm)\s*\{{\s*\\?({_FUNCTIONS})\s*\}}", r"\\\1 "),
        (r"\\(?:mathrm|operatorname|mathit|rm|mathbf)\s*\{\s*([ie])\s*\}", r" \1 "),
        (rf"{_BARE}({_FUNCTIONS})(?=\s*[\^(\d])", r"\\\1 "),
        (rf"{_BARE}(pi|theta|alpha|beta|infty)(?![a-zA-Z])", r"\\\1 "),
        (rf"{_BARE}infinity(?![a-zA-Z])", r"\\infty "),
        (r"\*\*", "^"),
        (r"(?<!\^)(?<!\^\{)\s*\*(?!\})", r"\\cdot "),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"!=", r"\\ne "),
        (rf"\\lt{_END}", "<"),
        (rf"\\gt{_END}", ">"),
        (r"[(\[]\s*\\begin\{array\}\s*\{[^{}]*\}(.*?)\\end\{array\}\s*[)\]]", r"\\begin{pmatrix}\1\\end{pmatrix}"),
        (r"\{,\}|,\\!\s*", ","),
        (r"(?<=\d)(?:\\,|\\ |~)(?=\d{3}(?!\d))", ""),
        (rf"(?<!\\)\\[,;: ]|\\q?quad(?:{_END}|(?=[a-zA-Z]_))|~", " "),
        (r"(?<!\\)\\!", ""),
        (rf"\\[dtc]frac{_END}", r"\\frac"),
        (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
        (r"\\frac\s*(\{[^{}]*\})\s*(\d)", r"\\frac\1{\2}"),
        (rf"\\frac\s*(\\[a-zA-Z]+|[A-Za-z])\s*([A-Za-z\d]){_END}", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\\[a-zA-Z]+|[A-Za-z])\s*\{", r"\\frac{\1}{"),
        (r"\\sqrt\s*(\d)", r"\\sqrt{\1}"),
        (rf"\^\s*\{{\s*\\circ\s*\}}|\^\s*\\circ{_END}|\\degree{_END}", "°"),
        (r"\\%", "%"),
        (rf"\\(?:math(?:rm|bf|it|sf)|text(?:rm|bf|it|sf|normal)|mbox|operatorname){_END}", r"\\text"),
        (r"\\(?:p|b)?mod\s*\{([^{}]*)\}", r"\\text{mod \1}"),
        (r"^\\text\s*\{\s*(?:negative|minus)\s*\}\s*|^(?:negative|minus)\s+(?=[\d.\\$])", "-"),
        (r"^\\text\s*\{\s*(?:negative|minus)\s+(?=[\d.])([^{}]*)\}", r"-\1"),
        (r"(?<=[\d)}])\s*(?:\\text\s*\{\s*factorial\s*\}|factorial\b)", "!"),
        (r"(?<=[\d)}])\s*\\text\s*\{\s*(?:or|and)\s+(?=[a-z])", r", \\text{"),
        (
            r"\s*,?\s*\\text\s*\{\s*,?\s*(?:and|or)\s*\}\s*|\s*,?\s+(?:and|or)\s+|(?<=[)\]}\d])(?:and|or)(?=[(\[\\\d-])",
            ", ",
        ),
        (rf"\\langle{_END}", "("),
        (rf"\\rangle{_END}", ")"),
        (rf"\\lbrace{_END}", r"\\{"),
        (rf"\\rbrace{_END}", r"\\}"),
        (rf"\\leq{_END}", r"\\le"),
        (rf"\\geq{_END}", r"\\ge"),
        (rf"\\(?:emptyset|varnothing){_END}", r"\\{\\}"),
        (r"\+\s*\\infty", r"\\infty"),
        (r"\\text\s*\{([^{}A-Za-z]*)\}", r"\1"),
        (r" +", " "),
        (r"(?<=\{) | (?=\})", ""),
    )
)


def tidy(text: str) -> str:
    """The text without math delimiters, spacing and layout commands; one spelling for fractions, degrees and words."""
    text, before = _typed(text).strip(), None
    while text != before:
        before = text
        text = text.strip("$ \n\t").removeprefix("**").removesuffix("**")
        text = re.sub(r"\s*[.;:,]+$", "", text) if not text.endswith(r"\,") else text[:-2]
        for left, right in ((r"\(", r"\)"), (r"\[", r"\]")):
            if text.startswith(left) and text.endswith(right):
                text = text[2:-2]
    for pattern, to in _REWRITES:
        text = pattern.sub(to, text)
    text = _SCALED.sub(_written_out, text)
    if _BLANKED_THOUSANDS.fullmatch(text := _rooted(text).strip()):
        text = text.replace(" ", "")
    return text


_BLANKED_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?: \d{3})+(?:\.\d+)?")


_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALED = re.compile(
    rf"(?<![\d.,])(\d{{1,3}}(?:,\d{{3}})+|\d+)(\.\d+)?\s*(\\text\s*\{{\s*)?({'|'.join(_SCALES)})s?\b(?:\s*\}})?",
    re.IGNORECASE,
)


def _written_out(found: re.Match[str]) -> str:
    """`3 million` in digits; what stands behind it in the same `\\text` stays there."""
    exact = Fraction(found[1].replace(",", "") + (found[2] or "")) * _SCALES[found[4].lower()]
    shown = str(exact.numerator) if exact.denominator == 1 else rf"\frac{{{exact.numerator}}}{{{exact.denominator}}}"
    goes_on = found[3] and not found[0].endswith("}")
    return rf"{shown}\text{{" if goes_on else shown


def _typed(text: str) -> str:
    """Signs of their own as LaTeX writes them: roots, raised and lowered digits, fractions, Greek, full-width stops."""
    for line, mark in ((_RAISED, "^"), (_LOWERED, "_")):
        for run in reversed(list(re.finditer(f"[{line}]+", text))):
            plain = "".join(_PLAIN[sign] for sign in run[0])
            text = f"{text[: run.start()]}{mark}{{{plain}}}{text[run.end() :]}"
    text = re.sub(r"√\s*(\d+(?:\.\d+)?|[a-zA-Z])", r"\\sqrt{\1}", text)
    text = re.sub(r"∛\s*(\d+|[a-zA-Z])", r"\\sqrt[3]{\1}", text)
    return text.translate(_CHARACTERS)


def _rooted(text: str) -> str:
    r"""The text with `sqrt(x)` and `√(x)` as `\sqrt{x}`."""
    text = re.sub(rf"{_BARE}sqrt\s*(\d+)", r"\\sqrt{\1}", text)
    text = re.sub(rf"{_BARE}sqrt\s*(?=\()", r"\\sqrt ", text)
    for root in reversed(list(re.finditer(r"\\sqrt (?:\[3\] )?\s*\(", text))):
        depth, end = 0, root.end() - 1
        while end < len(text):
            depth += (text[end] == "(") - (text[end] == ")")
            if depth == 0:
                text = f"{text[: root.end() - 1].rstrip()}{{{text[root.end() : end]}}}{text[end + 1 :]}"
                break
            end += 1
    return text


def key(text: str) -> str:
    """The text without the spaces and braces that mean nothing; a space between two digits means something."""
    return re.sub(r"\{(\d)\}", r"\1", re.sub(r"\s+(?!\d)|(?<!\d)\s+", "", text))


# ---- exact numbers

_DECIMAL = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_EXPONENT = r"\^\s*(?:\{\s*([+-]?\d+)\s*\}|(\d+))"


def _power(base: str, braced: str | None, bare: str | None) -> Fraction:
    exponent = int(braced or bare or "0")
    if abs(exponent) * len(base) > LARGEST_POWER:
        raise OverflowError(exponent)
    return Fraction(base) ** exponent


def _repeating(whole: str, fixed: str, period: str) -> Fraction:
    value = Fraction(f"{whole.lstrip('+-') or '0'}.{fixed or '0'}")
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
    return -value if whole.startswith("-") else value


def _mixed(sign: str, whole: str, upper: str, lower: str) -> Fraction:
    value = int(whole) + Fraction(int(upper), int(lower))
    return -value if sign == "-" else value


_NUMBERS: tuple[tuple[re.Pattern[str], Callable[..., Fraction]], ...] = (
    (re.compile(rf"({_DECIMAL})"), Fraction),
    (re.compile(r"([+-]?\d*)\.(\d*)\\overline\s*\{(\d+)\}"), _repeating),
    (
        re.compile(rf"([+-]?)\s*\\frac\s*\{{\s*({_DECIMAL})\s*\}}\s*\{{\s*({_DECIMAL})\s*\}}"),
        lambda sign, upper, lower: Fraction(upper) / Fraction(lower) * (-1 if sign == "-" else 1),
    ),
    (re.compile(rf"({_DECIMAL})\s*/\s*({_DECIMAL})"), lambda upper, lower: Fraction(upper) / Fraction(lower)),
    (re.compile(r"([+-]?)\s*(\d+)\s*\\frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}"), _mixed),
    (re.compile(r"([+-]?)\s*(\d+)\s+(\d+)\s*/\s*(\d+)"), _mixed),
    (
        re.compile(rf"([+-]?)(\d+)\s*{_EXPONENT}"),
        lambda sign, base, braced, bare: _power(base, braced, bare) * (-1 if sign == "-" else 1),
    ),
    (
        re.compile(rf"({_DECIMAL})[eE]([+-]?\d+)"),
        lambda factor, exponent: Fraction(factor) * _power("10", exponent, None),
    ),
    (
        re.compile(rf"({_DECIMAL})\s*(?:\\times|\\cdot|\*)\s*(10)\s*{_EXPONENT}"),
        lambda factor, base, braced, bare: Fraction(factor) * _power(base, braced, bare),
    ),
)


_UNITS_AND_TEENS = (
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
     "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty")
)  # fmt: skip
_TENS = ("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_COUNTED_UP = {name: number for number, name in enumerate(_UNITS_AND_TEENS)} | {
    name: 10 * number for number, name in enumerate(_TENS, 3)
}
_SPELT = re.compile(r"(?P<sign>(?:negative|minus) )?([a-z]+)(?:[ -]([a-z]+))?")


def _spelt(text: str) -> Fraction | None:
    """A number below a hundred in words, `seven`, `thirty-four` or `minus five`."""
    found = _SPELT.fullmatch(word(text))
    parts = [_COUNTED_UP.get(part, -1) for part in found.groups()[1:] if part] if found else []
    if not parts or -1 in parts or (len(parts) > 1 and not (parts[0] >= 20 and 0 < parts[1] < 10)):
        return None
    return Fraction(-sum(parts) if found and found["sign"] else sum(parts))


def fraction(text: str) -> Fraction | None:
    """The exact value of a plainly written number (decimal, fraction, mixed number, power, small word), else None."""
    if (spelt := _spelt(text)) is not None:
        return spelt
    for pattern, value in _NUMBERS:
        found = pattern.fullmatch(text)
        if found:
            try:
                return value(*found.groups())
            except (ZeroDivisionError, OverflowError):
                return None
    return None


def places(text: str) -> int | None:
    """Decimal places of a decimal long enough to stand for a number no decimal can write; None for any other text."""
    after = len(text.partition(".")[2])
    return after if re.fullmatch(_DECIMAL, text) and after >= APPROXIMATION_PLACES else None


def is_approximation(text: str, exact: Fraction) -> bool:
    """Whether `text` is a decimal of enough places that rounds or cuts `exact`, a fraction no decimal can write."""
    digits = places(text)
    if digits is None or _terminates(exact):
        return False
    return abs(Fraction(text) - exact) < Fraction(1, 10**digits)


def _terminates(value: Fraction) -> bool:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


# ---- words and units

_UNITS = {
    name: unit
    for unit, names in {
        "mm": "mm millimeter millimetre",
        "cm": "cm centimeter centimetre",
        "m": "m meter metre",
        "km": "km kilometer kilometre",
        "in": "in inch inche",
        "ft": "ft foot feet",
        "yd": "yd yard",
        "mi": "mi mile",
        "g": "g gram",
        "kg": "kg kilogram",
        "lb": "lb lbs pound",
        "s": "s sec second",
        "min": "min minute",
        "h": "h hr hour",
        "day": "day",
        "week": "week",
        "month": "month",
        "year": "year yr",
        "dollar": "dollar usd",
        "cent": "cent",
        "unit": "unit",
        "%": "percent pct",
        "°": "degree deg",
    }.items()
    for name in names.split()
}
"""Units that may stand as bare words after a number, in the singular, with the name they are compared by."""

_SPELT_UNIT = re.compile(r"(.*[\d\w)}°%])\s*\\text\s*\{([^{}]*)\}\s*(?:\^\s*\{?(\d)\}?)?", re.DOTALL)
_BARE_UNIT = re.compile(
    r"(.*[\d)}])\s*((?:square |sq\.? |cubic )?[A-Za-z]+(?:\s*/\s*[A-Za-z]+|\s+per\s+[a-z]+)?)\s*(?:\^\s*\{?(\d)\}?)?"
)
_FUNCTION = re.compile(rf"\\(?:{_FUNCTIONS}){_END}")
_ANGLE = re.compile(r"(\d+(?:\.\d+)?|[a-z]|\\theta)\s*°")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(?:\\text\s*\{\s*)?(?:([ap])\.?\s*m\.?)?\s*\}?", re.IGNORECASE)
_BASE = re.compile(r"([0-9A-Fa-f]+)\s*_\s*\{?\s*(\d+)\s*\}?")
_WORD = re.compile(r"[A-Za-z][A-Za-z .'-]*")


@dataclass(frozen=True)
class Quantity:
    """A value with what stands after it."""

    value: str
    unit: str = ""
    """Compared only where both sides have one: a unit left out is no mistake, another unit is."""
    mark: str = ""
    """`%` or `°`: changes the value by a known factor, and may be left out."""


def measure(text: str, target: bool = False) -> Quantity:
    """Split a value from its unit, its percent or degree sign, its dollar sign, or the base it is written in.

    In a target a bare letter (`3s^2`) is a letter, as targets set units in `\\text`. In an answer it may be a unit.
    """
    if text.startswith(r"\$"):
        return Quantity(text[2:].strip(), "dollar")
    base = _BASE.fullmatch(text)
    if base:
        return Quantity(base.group(1), f"base {base.group(2)}")
    if len(text) > 1 and text[-1] in "%°" and not _FUNCTION.search(text):
        return Quantity(text[:-1].strip(), mark=text[-1])
    for pattern in (_SPELT_UNIT, _BARE_UNIT):
        found = pattern.fullmatch(text)
        unit = _unit(found.group(2), found.group(3)) if found else ""
        known = all(part in _UNITS.values() for part in unit.partition("^")[0].split("/"))
        known = known and not (target and found and len(found.group(2).strip()) == 1)
        if found and unit and (pattern is _SPELT_UNIT or known):
            mark = unit if unit in "%°" else ""
            return Quantity(found.group(1).strip(), "" if mark else unit, mark)
    return Quantity(text)


def degrees_worked_out(text: str) -> str:
    r"""The text with every `n°` inside it as radians, for what is more than one angle: `\sin 30°`, `90° - x`."""
    return _ANGLE.sub(r"(\\frac{\1\\cdot\\pi}{180})", text)


def _unit(words: str, exponent: str | None) -> str:
    text = words.strip(" .()").lower()
    for prefix, power in (("square ", "2"), ("sq. ", "2"), ("sq ", "2"), ("cubic ", "3")):
        if text.startswith(prefix):
            text, exponent = text.removeprefix(prefix), power
    if "/" in text or " per " in text:
        return "/".join(_unit(part, None) for part in re.split(r"\s*/\s*|\s+per\s+", text))
    name = text if text in _UNITS else text.removesuffix("s")
    name = _UNITS.get(name, name)
    return f"{name}^{exponent}" if exponent else name


def clock(text: str) -> tuple[int, int, int, str] | None:
    """Hours, minutes, seconds and half of the day ("" where it is left out) of a time such as `2:30 p.m.`, else None.

    `1:2` and `45:20` are ratios: minutes have two digits and come to less than 60, hours to 24.
    """
    found = _CLOCK.fullmatch(text)
    if found is None or int(found[1]) > HOURS or int(found[2]) >= SIXTY:
        return None
    return (int(found[1]), int(found[2]), int(found[3] or 0), (found[4] or "").lower())


def same_time(one: tuple[int, int, int, str], other: tuple[int, int, int, str]) -> bool:
    """Whether two times are one; the half of the day may be left out, or be told by hours up to 24."""
    halves = {time[3] for time in (one, other)}
    if len(halves) == 1 or "" not in halves:
        return one == other
    half = max(halves)
    hours = [time[0] % 12 + 12 * (half == "p") if time[3] or 1 <= time[0] <= 12 else time[0] for time in (one, other)]
    return hours[0] == hours[1] and one[1:3] == other[1:3]


def ratio(text: str) -> tuple[Fraction, ...] | None:
    """The numbers of a ratio such as `2:3:4`, as parts of the first that is not 0; None for any other text."""
    parts = [fraction(part.strip()) for part in text.split(":")]
    numbers = [part for part in parts if part is not None]
    whole = next((part for part in numbers if part), None)
    if len(parts) < 2 or len(numbers) < len(parts) or whole is None or clock(text):
        return None
    return tuple(part / whole for part in numbers)


def word(text: str) -> str:
    """The text as a word in small letters, brackets and `\\text` taken off; "" where it is not a word."""
    bare = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip(" .()")
    return bare.casefold() if _WORD.fullmatch(bare) else ""
