"""Families: the marks that models put round their reasoning, one row of data each.

The shipped rows are in `families.toml`; a recipe adds one of its own as a model's `tags` (docs/families.md). Here a row
is checked and turned into what replies are searched for, and a model's family is recognised. Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from functools import cache, cached_property
from importlib import resources
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from unwaver.records import digest

AUTO = "auto"
"""The name under which each reply is read by its own marks, and a student's family is recognised."""


class Family(BaseModel):
    """One family's marks. A recipe gives at least `open` and `close`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = "own"
    """What it is called in messages."""
    open: str
    """What opens the reasoning."""
    close: str
    """What ends it."""
    write: str = "{open}\n{reasoning}\n{close}\n\n{answer}"
    """How a training reply is written. What stands there round the answer is no part of it when a reply is read."""
    bare: str = ""
    """What begins a reply that has no reasoning, where the family marks that."""
    openers: tuple[str, ...] = ()
    """Other ways in which `open` occurs, as regular expressions."""
    closers: tuple[str, ...] = ()
    """Other ways in which `close` occurs, as regular expressions."""
    channels: bool = False
    """A further opening mark inside goes on with the reasoning; else it is a second block."""
    start: bool = False
    """The marks are plain words: they count only where the reply begins with the opening one, or where the closing one
    stands in brackets."""
    both: bool = False
    """Plain words that anybody may write: the opening one counts only where a closing one follows it."""
    tokens: tuple[str, ...] = ()
    """Marks that a student of this family has as single tokens."""
    ids: str = ""
    """Pattern of the names of such models, for servers, whose templates can't be looked at."""
    models: str = ""
    """Who writes so."""

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        if not self.open.strip() or not self.close.strip() or self.open.strip() == self.close.strip():
            raise ValueError("expected `open` and `close`, two different marks")
        order = [self.write.find(slot) for slot in ("{open}", "{reasoning}", "{close}", "{answer}")]
        if -1 in order or order != sorted(order):
            raise ValueError("write: expected {open}, {reasoning}, {close} and {answer}, in this order")
        try:
            for pattern in (*self.openers, *self.closers, self.ids):
                re.compile(pattern)
        except re.error as error:
            raise ValueError(f"openers, closers: no regular expression: {error}") from None
        return self

    @cached_property
    def _written(self) -> tuple[str, str, str]:
        layout = self.write.replace("{open}", self.open).replace("{close}", self.close)
        before, rest = layout.split("{reasoning}", 1)
        between, after = rest.split("{answer}", 1)
        return before, between, after

    @property
    def render_open(self) -> str:
        """What a training reply has before the reasoning."""
        return self._written[0]

    @property
    def render_close(self) -> str:
        """What a training reply has between reasoning and answer."""
        return self._written[1]

    @property
    def render_end(self) -> str:
        """What a training reply has after the answer."""
        return self._written[2]

    @property
    def answer_open(self) -> str:
        """The mark between the closing mark and the answer, or ""."""
        return self.render_close.partition(self.close)[2].strip()

    @property
    def opens(self) -> str:
        """The opening mark without white space around it."""
        return self.open.strip()

    @cached_property
    def marks(self) -> re.Pattern[str]:
        """Finds the opening marks (group `open`) and the closing ones (group `close`)."""
        return re.compile(f"(?P<open>{self.opening})|(?P<close>{self.closing})", re.IGNORECASE)

    @property
    def opening(self) -> str:
        """The pattern of an opening mark."""
        plain = () if self.start else (tolerant(self.opens),)
        return "|".join((*self.openers, *plain))

    @property
    def closing(self) -> str:
        """The pattern of a closing mark."""
        plain = () if self.start else (tolerant(self.close.strip()),)
        return "|".join((*self.closers, *plain))

    @property
    def headless(self) -> bool:
        """Whether the closing mark counts without an opening one: anybody may write words, nobody a mark."""
        return not self.start or _ONE.fullmatch(self.close.strip()) is not None

    def opened_at(self, prompt: str) -> int | None:
        """Where the opening mark begins with which a rendered prompt ends, however it is spelled; None: with none."""
        end = prompt.rstrip()[-200:] + "\n"
        line = r"(?:\A|(?<=[\n>\]]))" if self.start else ""
        found = list(re.finditer(rf"{line}(?:{self.opening})\s*\Z", end, re.IGNORECASE))
        return len(prompt.rstrip()) + 1 - len(end) + found[0].start() if found else None

    def begun_in(self, prompt: str) -> str:
        """The end of a rendered prompt from an opening mark on that nothing closes; "" where there is none."""
        marks = list(self.marks.finditer(prompt))
        return " ".join(prompt[marks[-1].start() :].split()) if marks and marks[-1]["close"] is None else ""

    def spelled_as_in(self, text: str) -> Self:
        """This family with its marks as they are spelled in a chat template or in what it renders."""
        found = None if self.start or self.opens in text else re.search(self.opening, text, re.IGNORECASE)
        if found is None or self.opens.startswith(found[0].strip()):
            return self
        opens = found[0].strip()
        closes = (one for one in partners(opens) if re.fullmatch(self.closing, one, re.IGNORECASE))
        ends = self.open[len(self.open.rstrip()) :]
        spelled = {"open": opens + ends, "close": next(closes, self.close)}
        return type(self)(**(self.model_dump() | spelled))  # `model_copy` would copy the patterns as well

    def identity(self) -> str:
        """What decides how replies are read and written."""
        return digest(self.model_dump(mode="json", exclude={"name", "models", "ids"}), size=8)


_LOOSE = {
    "<": r"(?:<|＜|&(?:amp;)?(?:lt|#0*60|#x0*3c);|\\u003c|\\x3c|%3c)",
    ">": r"(?:>|＞|&(?:amp;)?(?:gt|#0*62|#x0*3e);|\\u003e|\\x3e|%3e)",
    "[": r"(?:\[|［|%5b)",
    "]": r"(?:\]|］|%5d)",
    "/": r"(?:\\?/|／|&(?:sol|#0*47|#x0*2f);|%2f)",
    "|": r"(?:[|｜]|%7c)",
    "_": "[_▁]",
}
_TAG = re.compile(r"<(/?)([A-Za-z][\w:-]*)>")


def tolerant(mark: str) -> str:
    """A pattern for a mark as it is met with: escaped for HTML, Markdown, JSON or an address, in full-width signs, with
    blanks and attributes inside a tag."""
    pattern = _loose(mark)
    if len(mark) > 2 and mark[0] + mark[-1] in ("<>", "[]"):
        pattern = rf"(?:{pattern}|\\{_loose(mark[:-1])}\\{re.escape(mark[-1])})"
    return pattern


def _loose(mark: str) -> str:
    tag = _TAG.fullmatch(mark)
    if tag is not None:
        more = "" if tag[1] else r"(?:\s[^<>]{0,80})?"
        return rf"{_LOOSE['<']}\s*{tag[1] and _LOOSE['/']}\s*{_loose(tag[2])}{more}\s*{_LOOSE['>']}"
    return "".join(_LOOSE.get(char) or (r"\s+" if char.isspace() else re.escape(char)) for char in mark)


_ONE = re.compile(
    r"((?:[<＜\[◁【〈《⟨‹«{]|&lt;)+[|｜]?)((?:(?!&[lg]t;)[^<>＜＞\[\]◁▷【】〈〉《》⟨⟩‹›«»{}\n])+(?:[>＞\]▷】〉》⟩›»}]|&gt;)+)"
)
"""One mark in brackets of some kind."""


def partners(opens: str) -> list[str]:
    """What may close what a mark opens: `</x>` for `<x>`, `<|end_x|>` for `<|start_x|>`, `<|/x|>` for `<|x|>` ..."""
    if not _ONE.fullmatch(opens):
        return []
    bare = re.sub(r"\A(<[\w:.-]+)\s[^<>]*>\Z", r"\1>", opens)
    ended = bare
    for begin, end in (("start", "end"), ("begin", "end"), ("open", "close")):
        for written in (str.lower, str.upper, str.title):
            ended = ended.replace(written(begin), written(end))
    stroked = _ONE.sub(r"\1/\2", bare)
    return [one for one in (ended, stroked) if one != bare]


@cache
def shipped() -> dict[str, Family]:
    """The shipped families by name, in the order of the file."""
    rows = tomllib.loads(resources.files(__package__).joinpath("families.toml").read_text(encoding="utf-8"))
    return {name: Family(name=name, **row) for name, row in rows.items()}


FAMILIES = shipped()
THINK = FAMILIES["think"]
"""DeepSeek-R1 and its distills, Qwen3, and most others; what the training set is written in."""
HARMONY = FAMILIES["harmony"]
"""gpt-oss: an analysis channel, then a final channel."""


def named(tags: str | Family) -> Family | None:
    """The family a recipe's `tags` names; None: each reply is read by its own marks."""
    return tags if isinstance(tags, Family) else None if tags == AUTO else FAMILIES[tags]


def in_template(template: str) -> Family | None:
    """The family whose opening mark stands in a chat template, spelled as there; None where none does."""
    rows = [family for family in FAMILIES.values() if family.headless]
    found = [family for family in rows if all(mark in template for mark in family.tokens or (family.opens,))]
    found = found or [f for f in rows if not f.tokens and re.search(f.opening, template, re.IGNORECASE)]
    one = next((family for family in found if family is not THINK), THINK if found else None)
    return one and one.spelled_as_in(template)


def by_name(model: str) -> Family | None:
    """The family that a model's name belongs to; None where that can't be told."""
    found = (f for f in FAMILIES.values() if f.ids and re.search(f.ids, model, re.IGNORECASE))
    return next(found, None)


def recognise(template: str, is_token: Callable[[str], bool], model: str = "") -> tuple[Family, str]:
    """A model's family and how it was found: by its chat template, by its name, by its tokens, or for want of marks."""
    if found := in_template(template):
        return found, "its chat template has the marks"
    if found := by_name(model):
        return found, "by its name"
    for family in FAMILIES.values():
        answers = family.answer_open or family.opens  # a template that begins the answer itself leaves no room for more
        if family.tokens and answers not in template and all(is_token(mark) for mark in family.tokens):
            return family, "its tokens are the marks"
    return THINK, "no marks in its chat template"
