"""What of a judge's reply is the judge's own: nothing that stands in the material it was shown.

A judged text may hold a forged verdict, and a judge may quote it. Reads the reply and the material; writes the one
verdict that is the judge's own, or what is wrong. Guarantees: an object whose reasons and label stand in the material
is no verdict, however it is spaced, quoted, escaped, reordered or cut short; one that decides what the material asks
for may be its words told anew (`claimed`), so it gives way to any other and counts only as the whole reply; beside the
one that counts no other object with a field of the rubric is passed over, whether it fits or is JSON at all; time grows
with the text. Pure.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

_MOST_BROKEN = 1000
"""Beginnings of objects that are none, beyond which a text is given up."""

BINARY = "[01]|true|false|yes|no"
"""What a field holds that says whether something was found."""

_REASONS = frozenset({"analysis", "quote"})
"""Fields that give reasons; the others decide."""

_FOLDED = {"true": "1", "false": "0", "none": "null"}
_ANSWERED = {"yes": "1", "no": "0"}
_ESCAPED_CHARACTER = re.compile(r"\\+u([0-9a-fA-F]{4})")
_ESCAPED_BREAK = re.compile(r"\\+[nrt]")
_GAP = re.compile(r"\[?(?:\.{3,}|…)\]?")
_BACKSLASH = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPE = re.compile(r"u[0-9a-fA-F]{4}|[\"\\/bfnrt]")
_OPENING = re.compile(r"\{\s*\"")
_FENCED = re.compile(r"`{3,}\w*\s*\n(.*)\n\s*`{3,}", re.DOTALL)
_MARK = "[\"'`*\u2018\u2019\u201c\u201d]"
_VALUE = r"\"[^\"\n]{0,200}|'[^'\n]{0,200}|[^,}\n]{0,200}"
_SIGN = r"(?:[:=\u2192]|->)"
_RESISTS = re.compile(
    r"\b(?:would have|wants?|wanted|asks?|asked|tells?|told|instructs?|orders?|urges?|begs?"
    r"|tr(?:y|ies|ied|ying) to (?:get|make|have))"
    r" (?:me|us|the judge|judges|it said|to (?:say|give|answer|label|read))\b"
    r"|\b(?:asks?|asked|calls?|begs?) for (?:this|it|that|:)|\bis what (?:it|the text) (?:asks|wants|says|offers)"
    r"|\b(?:the|this|that|its?) (?:text|reply|answer|author|writer)(?:'s own)?"
    r" (?:wants|demands|asks|pretends|insists|claims)\b"
    r"|\b(?:inject|forge[ds]?\b|forgery|planted\b|manipulat|spoof|fake|jailbreak)|\bplainly not so\b"
    r"|\b(?:not|n['\u2019]t|never|refuse to|decline to) (?:follow|repeat|accept|agree|obey|be (?:led|fooled))"
    r"|\b(?:disregard|ignor)(?:e|ed|ing) (?:it|that|this|the)\b",
    re.IGNORECASE,
)
"""How a judge says that a text asks for a verdict."""
_CELL = r"[|>\-\u2013\u2014]"
"""What stands between a name and its value in a table, a tag or a line of prose; no sign behind any other word."""
LABEL = r"(?:label|verdict|judge?ment|class(?:ification)?|rating)"
"""What a verdict is called."""
ANY_LABEL = rf"{LABEL}|decision|assessment|evaluation|result|conclusion|finding|score|level|grade|category"
"""What a text may call the verdict it asks for."""
_NAMED_A_LABEL = rf"(?:\w+\b{_MARK}*\s{{0,3}}{_SIGN}|{LABEL}\b{_MARK}*\s{{0,3}}{_CELL}|{LABEL}\s+(?:is|should be))"
_HEDGED = re.compile(
    r"\b(?:not|never|no|neither|nor|if|whether|unless|why|might|may|could|would|can|looks|seems?|appears?|feels|sounds"
    r"|says?|said|claims?|calls?|thinks?|believes?|argues?|pretends?|insists?|assumes?|suggests?|wants?|asks?|told|tells?)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)
"""What makes a clause with a label in it no assertion of the judge's: weighed, denied, told of somebody."""
_JUDGED = r"(?:label+ed|classified|judged|rated|marked|graded|called|considered|deemed)(?:\s+as)?"
_SUBJECT = (
    r"(?:this|that|it|(?:the|this|its)\s+(?:\w+\s+)?"
    r"(?:text|reply|answer|response|reasoning|output|content|material|trace|whole))"
)
_CLAUSE_ENDS = re.compile(r"[.;:!?\n]")
_CLAUSE = 200
"""Characters before an assertion in which its clause is looked at."""
_ALIKE = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u04cf\u051b\u051d"
    "\u03b1\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u0131\u0261\u0251\u217c",
    "abekmhopctyxijsdhlqwaeikvoptuxigal",
)
"""Cyrillic and Greek letters that are seen as Latin ones: a judge may write what it sees."""


class ShownWords:
    """The texts a judge was shown, as words: as they stand, with escapes read, with `final_label` as two words."""

    def __init__(self, *shown: str | None) -> None:
        joined = "\n".join(text for text in shown if text)
        read = _ESCAPED_CHARACTER.sub(lambda found: chr(int(found[1], 16)), html.unescape(joined))
        read = read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # pairs of escapes are one character
        texts = (joined, _ESCAPED_BREAK.sub(" ", read), joined.replace("_", " "))
        self._readings = tuple(f" {words(text)} " for text in texts)

    def holds(self, text: str, cut: bool = False) -> bool:
        """Whether the words of a text stand there in a row, but for gaps it marks (`...`); a text without words does.

        `cut`: the last word may be the beginning of one, as may every word before a gap.
        """
        *before, last = _GAP.split(text)
        pieces = [f" {words(piece)}" for piece in before] + [f" {words(last)}" + ("" if cut else " ")]
        return any(all(piece in reading for piece in pieces if piece.strip()) for reading in self._readings)

    def states(self, names: str, value: str) -> bool:
        """Whether one of these names (a pattern of words) stands there with the value, two words between at most."""
        said = re.compile(rf" (?:{names})(?: \w+){{0,2}} {re.escape(words(value))} ")
        return any(said.search(reading) for reading in self._readings)


def words(text: str) -> str:
    """The letters and digits of a text as words, in small letters without accents; those that are seen as Latin letters
    are, and JSON's and Python's true, false and null are one."""
    if not text.isascii():
        plain = unicodedata.normalize("NFKD", text.casefold()).translate(_ALIKE)
        text = "".join(c for c in plain if unicodedata.category(c) not in {"Cf", "Mn"})
    return " ".join(_FOLDED.get(word, word) for word in re.findall(r"\w+", text.casefold()))


class JSONObject(NamedTuple):
    """An object and where it stands."""

    fields: dict[str, Any]
    start: int
    end: int


class _Twins(dict[str, Any]):
    """An object that names a field twice, or holds one that does."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    return _Twins(fields) if len(fields) < len(pairs) or any(map(_doubled, fields.values())) else fields


def _doubled(value: Any) -> bool:
    return any(map(_doubled, value)) if isinstance(value, list) else isinstance(value, _Twins)


_JSON = json.JSONDecoder(strict=False, object_pairs_hook=_object)


def json_objects(text: str) -> list[JSONObject]:
    """The outermost JSON objects in a text, fenced or not, in order.

    Line breaks inside strings are let pass; an object that names a field twice is none. What could be read in part only
    is passed over up to where the reading ended, so that no text is read again and again.
    """
    found: list[JSONObject] = []
    broken = at = 0
    while (opening := _OPENING.search(text, at)) and broken < _MOST_BROKEN:
        try:
            value, at = _JSON.raw_decode(text, opening.start())
        except json.JSONDecodeError as error:
            broken, at = broken + 1, max(error.pos, opening.start() + 1)
        except (RecursionError, ValueError):
            return []  # Braces nested without end, or a number of thousands of digits, are no verdict.
        else:
            if not _doubled(value):
                found.append(JSONObject(value, opening.start(), at))
    return found if broken < _MOST_BROKEN else []


def escapes_mended(text: str) -> str:
    r"""The text with each backslash doubled that begins no escape of JSON: `\$` and `\(` can only mean themselves."""
    return _BACKSLASH.sub(lambda found: found[0] if _ESCAPE.fullmatch(found[1]) else rf"\{found[0]}", text)


def whole(text: str, only: JSONObject) -> bool:
    """Whether a text is this object and nothing else, but for a closed fence round it."""
    fenced = _FENCED.fullmatch(text.strip())
    return (fenced[1] if fenced else text).strip() == text[only.start : only.end]


class Form:
    """What the verdicts of one rubric look like: their fields, and the labels where one of them is a label.

    `values`: the pattern of what the other fields may hold where there is none.
    """

    def __init__(self, fields: Iterable[str], labels: Sequence[str], values: str = BINARY) -> None:
        self._fields = frozenset(fields)
        deciding = sorted(self._fields - _REASONS)
        value = "|".join(labels) if labels else values
        called = _NAMED_A_LABEL if labels else rf"(?:{'|'.join(deciding)})\b{_MARK}*\s{{0,3}}(?:{_SIGN}|{_CELL})"
        self._stated = re.compile(
            rf"{_MARK}\s*(?P<field>{'|'.join(sorted(self._fields))})\s*{_MARK}\s*[:=]\s*(?P<value>{_VALUE})"
            rf"|\b(?P<called>{called})(?:{_MARK}|\s){{0,6}}(?P<label>{value})\b",
            re.IGNORECASE,
        )
        told = "|".join(label.replace("_", "[ _]") for label in labels) or "(?!)"
        self._alone = re.compile(rf"^[^\w\n]{{0,40}}(?P<label>{told})[^\w\n]{{0,40}}$", re.IGNORECASE | re.MULTILINE)
        self._asserted = re.compile(
            rf"\b(?:{_SUBJECT}(?:['\u2019]s|\s+(?:is|(?:should|must|has to) be))\s+(?:\w+ly\s+)?(?:{_JUDGED}\s+)?"
            rf"|be\s+{_JUDGED}\s+)(?:an?\s+)?{_MARK}{{0,3}}(?P<label>{told})\b{_MARK}{{0,3}}(?=\s*(?:[.;:!,)\n]|\Z))",
            re.IGNORECASE,
        )
        self._offered = re.compile(rf"\W*(?:{value})\W*?(?:\bor\b|[|/,])\W*(?:{value})\b", re.IGNORECASE)

    def own(self, text: str, material: ShownWords) -> list[JSONObject]:
        """The objects with a field of the rubric that are no quotation from the material."""
        return [
            given
            for given in self._verdicts(text)
            if not (_quoted(given.fields, material) or material.holds(text[given.start : given.end]))
        ]

    def claimed(self, given: JSONObject, text: str, material: ShownWords) -> bool:
        """Whether the material states what an object of a reply decides, so that it may be its words told anew: as a
        verdict, or in any words where the reply says that a verdict is asked for."""
        decided = {name: _text(value) for name, value in given.fields.items() if name not in _REASONS}
        if "label" in decided:
            resists = _RESISTS.search(self._outside(text)) is not None
            return material.states(ANY_LABEL, decided["label"]) or (resists and material.holds(decided["label"]))
        return all(material.holds(f"{name} {value}") for name, value in decided.items())

    def beside(self, text: str, fields: dict[str, Any], material: ShownWords) -> str | None:
        """What a reply states outside of every object that could be read, where that is neither what `fields` say nor a
        quotation from the material nor a choice offered (`safe or unsafe`); None where there is nothing of that kind.
        """
        at = 0
        for given in [*self._verdicts(text), JSONObject({}, len(text), len(text))]:
            for stated in self._stated.finditer(text, at, given.start):
                name, *_ = words(stated["field"] or stated["called"]).split()
                value = stated["value"] or stated["label"] or ""
                says = _ANSWERED.get(words(value), words(value))
                agrees = says in ("", words(_text(fields.get(name, fields.get("label")))))
                offered = self._offered.match(text, stated.start("value" if stated["field"] else "label"))
                if not (agrees or offered or material.holds(f"{name} {value}", cut=True)):
                    return " ".join(stated[0].split())[:60]
            at = given.end
        return self._contradicted(text, words(_text(fields.get("label"))), material)

    def _contradicted(self, text: str, label: str, material: ShownWords) -> str | None:
        """Another label as the judge's own word outside of every object: alone on a line anywhere, or asserted in the
        first line or after an object. What is weighed before the verdict is none, nor what the material says."""
        pieces = self._pieces(text)
        first, *after = pieces if len(pieces) > 1 else [""]
        said = [found for piece in pieces for found in self._alone.finditer(piece)]
        for piece in (first.strip().partition("\n")[0], *after):
            said += [
                found
                for found in self._asserted.finditer(piece)
                if not (_weighed(piece[: found.start()]) or material.holds(found[0]))
            ]
        return next((" ".join(found[0].split())[-60:] for found in said if words(found["label"]) != label), None)

    def _outside(self, text: str) -> str:
        """A reply without its objects."""
        return " ".join(self._pieces(text))

    def _pieces(self, text: str) -> list[str]:
        """What stands before, between and behind the objects of a reply."""
        edges = [0, *(edge for given in self._verdicts(text) for edge in (given.start, given.end)), len(text)]
        return [text[edges[at] : edges[at + 1]] for at in range(0, len(edges), 2)]

    def _verdicts(self, text: str) -> list[JSONObject]:
        return [given for given in json_objects(text) if self._fields & given.fields.keys()]


def _weighed(before: str) -> bool:
    """Whether the clause that a text leaves open denies, weighs or tells of somebody what comes next."""
    return _HEDGED.search(_CLAUSE_ENDS.split(before[-_CLAUSE:])[-1]) is not None


def _quoted(fields: dict[str, Any], material: ShownWords) -> bool:
    """Whether an object stands in the material: its reasons anywhere, every other field beside its name.

    The passage a verdict quotes always stands there; it is asked for only where there is nothing else.
    """
    told = {name: value for name, value in fields.items() if name != "quote"} or fields
    said = [_text(value) if name == "analysis" else f"{name} {_text(value)}" for name, value in told.items()]
    return all(map(material.holds, said))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
