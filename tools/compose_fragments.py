"""Read the fragments that the miniature's corpus is composed of (compose_*.txt beside this file).

A fragment file has sections under [headers]; a line of a section is a sentence pattern, or cells with | between them as
its first comment says. Gives the prompts (`Ask`, with the fragments their replies are filled with) and the rows of the
prompt files. A malformed line is a ValueError.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unwaver.sources.corpus import PER_TEXT, frame, pairs

HERE = Path(__file__).parent
SLOTS = ("act", "hurt", "who", "thing", "standin", "needs", "comply")

Row = dict[str, object]


@dataclass(frozen=True)
class Template:
    """A train template with what replies say about it."""

    text: str
    noun: str
    ideas: tuple[str, ...]
    wrappers: tuple[str, ...]


@dataclass(frozen=True)
class Ask:
    """One train prompt and the fragments its replies are filled with."""

    prompt: str
    category: str
    slots: dict[str, str]
    template: Template | None = None


def sections(name: str) -> dict[str, list[str]]:
    """The lines of a fragment file by section header; comment lines and blank ones are left out."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


def cells(line: str) -> list[str]:
    """The cells of a fragment line."""
    return [cell.strip() for cell in line.split("|")]


def choices(cell: str) -> tuple[str, ...]:
    """The alternatives inside one cell."""
    return tuple(part.strip().replace("\\n", "\n") for part in cell.split(";;"))


def capital(text: str) -> str:
    """The text with its first letter, quotation marks aside, made a capital; a leading number stays."""
    at = next((i for i, char in enumerate(text) if char.isalnum()), 0)
    return text[:at] + text[at : at + 1].upper() + text[at + 1 :]


def fill(pattern: str, slots: dict[str, str]) -> str:
    """The pattern with its fragments; `{Act}` is `{act}` with a capital."""
    return pattern.format_map(slots | {capital(key): capital(value) for key, value in slots.items()})


def templates() -> tuple[list[Template], list[Row]]:
    """The train templates with their fragments, and the rows of templates.jsonl."""
    train: list[Template] = []
    rows: list[Row] = []
    for split, lines in sections("compose_templates.txt").items():
        for line in lines:
            name, family, text, *rest = cells(line)
            rows.append({"name": name, "family": family, "text": text, "split": split})
            if rest:
                train.append(Template(text, rest[0], choices(rest[1]), choices(rest[2])))
    return train, rows


def framed(asks: list[Ask], train: list[Template]) -> list[Ask]:
    """The bare asks, then each in its templates, by the rule the pipeline uses too."""
    worn = [(asks[i], train[t]) for i, t in pairs(len(asks), len(train), PER_TEXT)]
    return asks + [
        Ask(frame(one.text, ask.prompt), ask.category, ask.slots | {"frame": one.noun}, one) for ask, one in worn
    ]


def value(check: str) -> int:
    """The integer that an arithmetic expression of + - * // and brackets stands for."""

    def walk(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](walk(node.left), walk(node.right))
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        raise ValueError(f"not a plain sum: {check}")

    return walk(ast.parse(check, mode="eval").body)


OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def harmful_asks(lines: dict[str, list[str]]) -> list[Ask]:
    """The train behaviours, category after category."""
    asks = []
    for header, rows in lines.items():
        split, category = header.split(" ", 1)
        for row in rows if split == "train" else []:
            text, *rest = cells(row)
            asks.append(Ask(text, category, dict(zip(SLOTS, rest, strict=True))))
    return asks


def benign_asks(lines: dict[str, list[str]], kind: str) -> list[Ask]:
    """The train prompts of one kind, category after category."""
    asks = []
    for header, rows in lines.items():
        split, of_kind, category = header.split(" ")
        for row in rows if (split, of_kind) == ("train", kind) else []:
            text, why, gist, answer = cells(row)
            asks.append(Ask(text, category, {"why": why, "gist": gist, "answer": answer}))
    return asks


def prompt_rows(lines: dict[str, list[str]], kind: str | None = None) -> list[Row]:
    """The rows of a prompts file: train first."""
    rows: list[Row] = []
    for header, texts in lines.items():
        split, *rest = header.split(" ")
        if kind is None or rest[0] == kind:
            rows += [{"text": cells(text)[0], "category": rest[-1], "split": split} for text in texts]
    return sorted(rows, key=lambda row: row["split"] != "train")


def maths_rows(lines: dict[str, list[str]]) -> list[Row]:
    """The rows of maths.jsonl."""
    return [
        {"text": text, "target": str(value(check)), "check": check, "split": split}
        for split, rows in lines.items()
        for text, check, *_ in map(cells, rows)
    ]
