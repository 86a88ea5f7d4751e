"""Whether a text is in a language that the readers without a model can't read: they read English words.

Sentences with English function words are English. What is left is looked at only where it is most of the text: another
script is another language, and of Latin script `py3langid` decides, offline and always the same, where it is sure.
Code, formulas, links, names and texts of a few words are no language and count as readable. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

VERSION = 4
"""Raised whenever any text is taken for another language; the identity of the rules holds it."""

FEWEST_WORDS = 3
"""Words of Latin script below which nothing is decided."""
FEWEST_LETTERS = 2
"""The same for letters of another script in words that are more than a sign of a formula."""
TELLING = 4
"""Letters of another script below which the detector's word for the language is not repeated."""
SURE = {3: 0.97, 4: 0.95, 6: 0.9}
"""From so many words on, how probable a language must be, together with those it is mistaken for."""
RELATED = 3
"""Languages that are taken together: Danish, Norwegian and Swedish, say, or Czech and Slovak."""
LOOKED_AT = 3000
"""Characters that are looked at: of a longer text a third of them at its beginning, its middle and its end."""

ENGLISH = frozenset(
    ("the", "and", "to", "that", "are", "it", "this", "with", "you", "your", "not", "can't", "cannot", "i'm", "from",
     "have", "has", "but", "by", "what", "how", "if", "my", "would", "should", "could", "they", "them", "their",
     "there", "which", "when", "who", "it's", "don't", "i'll", "i've", "won't", "doesn't", "isn't", "let's", "that's",
     "here's", "you're", "i", "is", "of", "for", "be", "can", "will", "or", "any", "about", "more", "some", "these",
     "those", "than", "then", "because", "help", "sorry", "into", "out", "up", "just", "like", "one", "use", "need")
)  # fmt: skip
"""Words that most English sentences hold."""

ALSO_ELSEWHERE = frozenset(
    ("to", "i", "is", "of", "for", "be", "can", "or", "will", "any", "my", "by", "it", "not", "up", "has", "who", "use",
     "one", "help", "just", "like", "some", "there", "out", "if", "how", "but")
)  # fmt: skip
"""Those of them that other languages have as well, or that stand in titles: alone they make no sentence English."""

DECLINING = frozenset(
    ("posso", "possiamo", "aiutarti", "aiutarla", "dispiace", "puedo", "podemos", "ayudar", "ayudarte", "ayudarle",
     "siento", "não", "ajudar", "desculpe", "désolé", "désolée", "peux", "pouvons", "aider", "nicht", "kann", "leider",
     "helfen", "nein", "niet", "helaas", "helpen", "inte", "hjälpa", "tyvärr", "ikke", "desværre", "hjælpe", "mogę",
     "pomóc", "niestety", "nemohu", "bohužel", "tidak", "bisa", "membantu", "maaf", "üzgünüm", "edemem", "không",
     "giúp", "valitettavasti", "auttaa", "tudok", "segíteni", "sajnálom", "ajuta", "pomoci", "nej", "nee", "nie", "nem",
     "hayır", "hapana", "jag", "jeg", "perdón", "perdona", "gracias", "desculpa", "scusa")
)  # fmt: skip
"""Words with which assistants decline in other languages of Latin script; a refusal is too short for the detector."""

LANGUAGES = frozenset(
    ("af", "ar", "az", "be", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "es", "et", "eu", "fa", "fi", "fr",
     "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "jv", "ka", "kk", "km", "kn", "ko", "ky",
     "lo", "lt", "lv", "mk", "ml", "mn", "mr", "ms", "mt", "my", "nb", "ne", "nl", "nn", "no", "pa", "pl", "ps", "pt",
     "ro", "ru", "si", "sk", "sl", "sq", "sr", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "uz", "vi", "xh",
     "zh", "zu")
)  # fmt: skip
"""Languages of the detector in which models answer; the others are what it makes of formulas and names."""

_NO_LANGUAGE = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\\[A-Za-z]+|https?://\S+|\S+@\S+|</?\w+[^>\n]*>"
    r"|\S*[_/\\=(){}\[\]<>]\S*",
    re.DOTALL,
)
"""Code, formulas, links, tags, and words with signs that no word has."""

_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|[\n\u3002\uff01\uff1f]+")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


def identity() -> dict[str, Any]:
    """What decides it: enters the identity of every reader that asks."""
    return {"version": VERSION, "detector": f"py3langid {metadata.version('py3langid')}"}


def foreign(text: str | None) -> str | None:
    """The language of a text that is mostly in one the rules can't read (`de`, `zh` ...); None where it is not.

    None as well for a text too short to tell.
    """
    seen = _NO_LANGUAGE.sub(" ", _looked_at(text or "")).replace("\u2019", "'")
    english = 0
    rest: list[str] = []
    for line in _SENTENCE_END.split(seen):
        words = _WORD.findall(line)
        latin = [word for word in words if _is_latin(word)]
        if _is_english(latin):
            english += len(latin)
            rest += [word for word in words if not _is_latin(word)]
        elif words:
            rest.append(line)
    left = " ".join(rest)
    units = _units(left)
    if sum(units) <= english:
        return None
    return _detected(left, *units)


def _looked_at(text: str) -> str:
    if len(text) <= LOOKED_AT:
        return text
    third, middle = LOOKED_AT // 3, len(text) // 2
    return "\n".join((text[:third], text[middle : middle + third], text[-third:]))


def _is_english(words: list[str]) -> bool:
    """Whether a sentence is English: every twelfth word is one that English alone has, or every third one it has."""
    known = [word for word in map(str.lower, words) if word in ENGLISH]
    surely = sum(word not in ALSO_ELSEWHERE for word in known)
    return 12 * surely >= len(words) > 0 if surely else 3 * len(known) >= len(words) > 0


def _units(text: str) -> tuple[int, int]:
    """(words of Latin script, units of other scripts): of those that write without spaces two letters are a unit."""
    latin = other = 0
    for word in _WORD.findall(text):
        if _is_latin(word):
            latin += 1
        else:
            other += max(1, len(word) // 2)
    return latin, other


@cache
def _letter_is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("LATIN", "FEMININE", "MASCULINE"))


def _is_latin(word: str) -> bool:
    return sum(map(_letter_is_latin, word)) * 2 >= len(word)


def _detected(text: str, latin: int, other: int) -> str | None:
    likeliest = _detector().rank(text)[:RELATED]
    language = str(likeliest[0][0])
    if other > latin:
        written = "".join(word for word in _WORD.findall(text) if len(word) > 1)
        letters = sum(not _letter_is_latin(char) for char in written)
        named = language if language in LANGUAGES and letters >= TELLING else "another script"
        return named if letters >= FEWEST_LETTERS else None
    words = [word.lower() for word in _WORD.findall(text)]
    if 2 * sum(word in DECLINING for word in words) >= min(latin, 4):
        return language if language in LANGUAGES else "another language"
    needed = max((n for n in SURE if n <= latin), default=None)
    sure = sum(probability for name, probability in likeliest if name in LANGUAGES)
    return None if needed is None or language not in LANGUAGES or sure < SURE[needed] else language


@cache
def _detector() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
