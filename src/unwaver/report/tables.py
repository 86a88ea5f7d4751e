"""A table, and the forms it is written in: HTML (by the page's template), Markdown, CSV, LaTeX.

A cell holds a text or a number with its interval; every form is made from the same cells. Text in cells is data: each
form escapes it, so that an arm may be called anything. Pure.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from unwaver.plain import in_markdown, paragraph, plain
from unwaver.records import Estimate
from unwaver.study.comparison import Word

MARKS: dict[Word, str] = {
    "better": "▲",
    "worse": "▼",
    "not distinguishable": "=",
    "too few scored": "?",
    "depends on the unscored": "◇",
    "can't tell": "≈",
}
"""What stands beside a number that was compared with the reference arm."""

NOTHING = "–"
"""What stands where there is no number."""


@dataclass(frozen=True)
class TableCell:
    """One cell: a text, or a number with what belongs to it."""

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unscored: int = 0
    worst: str = ""
    """What the unscored could make of a rate, where that is more than its interval allows for; empty elsewhere."""
    word: Word | None = None
    """The verdict against the reference arm; None: not compared."""
    hint: str = ""
    """A sentence for whoever points at the cell."""
    share: bool = False
    """Whether the number is a rate."""

    @property
    def interval(self) -> str:
        """The interval as people read it; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        if self.share:
            digits = decimals(self.n)
            return f"{100 * self.low:.{digits}f} to {100 * self.high:.{digits}f}"
        return f"{self.low:,.3g} to {self.high:,.3g}"

    @property
    def mark(self) -> str:
        """The sign of the verdict."""
        return MARKS[self.word] if self.word is not None else ""

    @property
    def numeric(self) -> bool:
        """Whether the cell holds a number, or stands for one that is missing."""
        return self.value is not None or self.text == NOTHING


def decimals(n: int | None) -> int:
    """Digits of a percentage that n items can carry."""
    return 0 if n is not None and n < 100 else 1


def percent(value: float | None, n: int | None = None) -> str:
    """A rate as people read it, with a blank that does not break."""
    return NOTHING if value is None else f"{100 * value:z.{decimals(n)}f}\u00a0%"


def of(estimate: Estimate | None, word: Word | None = None, hint: str = "") -> TableCell:
    """The cell of a rate; of one that more is left out of than in, its worst cases alone."""
    if estimate is None:
        return TableCell(NOTHING)
    if mostly_unscored(estimate):
        bare = TableCell(NOTHING, n=estimate.n, unscored=estimate.n_unscored, word=word, hint=hint, share=True)
        return replace(bare, worst=ends(estimate))
    return TableCell(
        percent(estimate.value, estimate.n),
        estimate.value,
        estimate.low,
        estimate.high,
        estimate.n,
        estimate.n_unscored,
        ends(estimate) if word == "depends on the unscored" else worst(estimate),
        word,
        hint,
        share=True,
    )


def worst(estimate: Estimate) -> str:
    """What the unscored could make of a rate, where that is more than its interval allows for; empty elsewhere.

    An interval is for chance. Whether a reply is scored may hang on what is in it, and no number of replies mends that.
    """
    e = estimate
    if e.low is None or e.high is None or e.lowest is None or e.highest is None:
        return ""
    return "" if e.low <= e.lowest and e.highest <= e.high else ends(e)


def mostly_unscored(estimate: Estimate) -> bool:
    """Whether more was left out of a rate than went into it."""
    return estimate.lowest is not None and estimate.n_unscored > estimate.n > 0


def unscored(estimate: Estimate) -> list[str]:
    """How many are in no rate, and what they could make of it, each in words; empty where all are in it."""
    shown = of(estimate).worst
    told = [f"{estimate.n_unscored:,} unscored"] if estimate.n_unscored else []
    return told + ([f"worst case {shown}"] if shown else [])


def ends(e: Estimate) -> str:
    """A rate's worst cases, in per cent."""
    digits = decimals(e.n)
    return (
        "" if e.lowest is None or e.highest is None else f"{100 * e.lowest:.{digits}f} to {100 * e.highest:.{digits}f}"
    )


def number(value: float | None, digits: int = 0) -> TableCell:
    """The cell of a plain number."""
    return TableCell(NOTHING) if value is None else TableCell(f"{value:z,.{digits}f}", value)


def unit(estimate: Estimate, digits: int, hint: str = "") -> TableCell:
    """The cell of what was estimated and is no share."""
    e = estimate
    return replace(number(e.value, digits), low=e.low, high=e.high, n=e.n, unscored=e.n_unscored, hint=hint)


def count(value: int) -> TableCell:
    """The cell of a count."""
    return TableCell(f"{value:,}", value)


@dataclass(frozen=True)
class Table:
    """A table with its title, what it says in a sentence, and what must be known to read it."""

    name: str
    """The name of its files."""
    title: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    notes: Sequence[str] = ()
    groups: Sequence[tuple[str, int]] = field(default=())
    """A line over the head: (text, columns it spans)."""
    asides: Sequence[str] = ()
    """Notes that the page shows only when asked."""
    folded: bool = False
    """Whether the page shows it only when asked."""

    def is_numeric(self, column: int) -> bool:
        """Whether a column is set to the right: it holds numbers."""
        return any(row[column].value is not None for row in self.rows)

    @property
    def says_nothing(self) -> bool:
        """Whether it has no row, or no figure in any column of figures."""
        figures = [cell for row in self.rows for cell in row if cell.numeric]
        return not self.rows or (bool(figures) and all(cell.value is None for cell in figures))

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"table {self.name}: a row of {len(row)} cells under a head of {len(self.head)}")


def _headings(table: Table) -> list[str]:
    """The head with its groups in front, for forms that have one line only."""
    over = [text for text, span in table.groups for _ in range(span)] or [""] * len(table.head)
    return [f"{group}: {text}" if group else text for group, text in zip(over, table.head, strict=True)]


def written(cell: TableCell) -> str:
    """A cell in one line of plain text."""
    pieces = [plain(cell.text)]
    if cell.interval:
        pieces.append(f"[{cell.interval}]")
    if cell.worst:
        pieces.append(f"(worst case {cell.worst})")
    if cell.mark:
        pieces.append(cell.mark)
    return " ".join(pieces)


def markdown(table: Table) -> str:
    """GitHub's tables, under a heading."""

    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(texts) + " |"

    aligned = ["---:" if table.is_numeric(i) else "---" for i in range(len(table.head))]
    lines = [f"### {in_markdown(table.title)}", "", paragraph(table.caption), ""]
    lines += [line([in_markdown(text) for text in _headings(table)]), line(aligned)]
    lines += [line([in_markdown(written(cell)) for cell in row]) for row in table.rows]
    return "\n".join([*lines, "", *(f"{paragraph(note)}\n" for note in (*table.notes, *table.asides))]) + "\n"


def comma_separated(table: Table) -> str:
    """CSV for machines: a number's interval, n, unscored and worst case in columns of their own; rates from 0 to 1."""
    headings = _headings(table)
    wide = [i for i in range(len(table.head)) if any(row[i].n is not None for row in table.rows)]
    doubtful = [i for i in wide if any(row[i].worst for row in table.rows)]
    compared = [i for i in wide if any(row[i].word is not None for row in table.rows)]
    head: list[str] = []
    for i, text in enumerate(headings):
        head += [text] + ([f"{text}: {more}" for more in ("low", "high", "n", "unscored")] if i in wide else [])
        head += [f"{text}: worst case, %"] if i in doubtful else []
        head += [f"{text}: verdict"] if i in compared else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_csv(text) for text in head])
    for row in table.rows:
        line: list[str | float | int | None] = []
        for i, cell in enumerate(row):
            missing = cell.text == NOTHING and cell.value is None
            line.append(cell.value if cell.value is not None else None if missing else _csv(cell.text))
            line += [cell.low, cell.high, cell.n, cell.unscored if cell.n is not None else None] if i in wide else []
            line += [cell.worst] if i in doubtful else []
            line += [cell.word] if i in compared else []
        writer.writerow(["" if item is None else item for item in line])
    return out.getvalue()


_FORMULA = re.compile("(^|;)(?=[\\s\"']*[=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b])([^;]*)")
"""A text, or what stands behind a semicolon in it, that begins as a formula does, or as what some programs take for
one. Where the decimal sign is a comma, a spreadsheet parts cells at semicolons, whatever quotes stand further left."""
_NUMBER = re.compile(r"\s*[+-]?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?\s*%?\s*", re.I)


def _csv(text: str) -> str:
    """A text no spreadsheet takes for a formula; numbers stay as they are, where they are a whole cell either way."""
    shown = plain(text)

    def guarded(found: re.Match[str]) -> str:
        cell = found[2] if found[1] else shown
        return found[0] if _NUMBER.fullmatch(cell) else f"{found[1]}'{found[2]}"

    return _FORMULA.sub(guarded, shown)


_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$",
    "◇": r"$\lozenge$",
    "–": "--",
    "≈": r"$\approx$",
    "≥": r"$\ge$",
    "±": r"$\pm$",
    "→": r"$\to$",
    "×": r"$\times$",
    "…": r"\ldots{}",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in " ".join(plain(text).split()))


def latex(table: Table) -> str:
    """A booktabs table, to be put into a document that loads booktabs and amssymb."""
    aligned = "".join("r" if table.is_numeric(i) else "l" for i in range(len(table.head)))
    lines = ["% needs \\usepackage{booktabs,amssymb}", "\\begin{table}", "\\centering", "\\small"]
    lines += [f"\\caption{{{_tex(table.title)}. {_tex(table.caption)}}}", f"\\label{{tab:{table.name}}}"]
    lines += [f"\\begin{{tabular}}{{{aligned}}}", "\\toprule"]
    if table.groups:
        lines.append(
            " & ".join(f"\\multicolumn{{{span}}}{{c}}{{{_tex(text)}}}" for text, span in table.groups) + r" \\"
        )
    lines += [" & ".join(_tex(text) for text in table.head) + r" \\", "\\midrule"]
    lines += [" & ".join(_tex(written(cell)) for cell in row) + r" \\" for row in table.rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])
