"""Somebody else's traces: any JSON lines, JSON, CSV, Parquet or Arrow file, or a data set on the hub, row by row.

Yields one `Row` for each row of the file, in its order. Columns: `messages` (or ShareGPT's `conversations`), or a
prompt (`prompt`, `question`, `query`, `instruction`) with a reply (`response`, `completion`, `answer`, `output`), and
`reasoning` where it stands apart; a map of columns says anything else. Nothing is guessed: a row that is none of these
says why it could not be read, an empty cell where a reply should be is a trace without a reply, and how a reply ended
is None unless a column says so. Known sets of traces are in `TRACES`.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unwaver import reasoning
from unwaver.errors import RecipeError, RecordError
from unwaver.records import Block, Ending, Kind, Prompt, Trace
from unwaver.sources import files, hub
from unwaver.sources.source import Home, blank, listed, pick

COLUMNS: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "conversations"),
    "prompt": ("prompt", "question", "query", "instruction"),
    "response": ("response", "completion", "answer", "output"),
    "reasoning": ("reasoning", "reasoning_content"),
    "ending": ("ending", "finish_reason", "stop_reason"),
    "kind": ("kind",),
    "behaviour": ("behaviour",),
}
"""Our field -> the columns it is looked for in, first found first; a map of columns replaces them."""

ENDINGS: dict[str, Ending] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "filter": "filter",
    "content_filter": "filter",
}
"""What files and servers call an ending; any other word leaves it unknown."""

ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system"}
"""Roles in `messages` and in ShareGPT's `conversations`."""

KINDS = frozenset(typing.get_args(Kind))


@dataclass(frozen=True)
class Row:
    """One trace as it stood in a file."""

    number: int
    """0-based number of the row."""
    prompt: str
    """What the model was asked; of a conversation, its last user turn."""
    reasoning: str | None
    """The text inside the block, trimmed; None: no block."""
    answer: str | None
    """What follows the block; None: never reached, or no reply at all."""
    block: Block
    ending: Ending | None
    """None: the file doesn't say."""
    kind: Kind = "harmful"
    behaviour: str | None = None
    replied: bool = True
    """False: the cell of the reply was empty."""
    unread: str | None = None
    """Why the row could not be read, with its place; None where it could."""

    def trace(self, model: str) -> Trace:
        """The trace to be read, under the name `model`.

        An unknown ending is handed on as `stop`; that a reply was never finished can be seen by its block.
        """
        prompt = Prompt(
            text=self.prompt,
            kind=self.kind,
            behaviour=self.behaviour or (self.prompt if self.kind == "harmful" else None),
        )
        failure = self.unread if self.replied else "the file holds no reply"
        if failure is not None:
            return Trace(prompt=prompt, model=model, sample=self.number, ending="error", failure=failure)
        return Trace(
            prompt=prompt,
            model=model,
            sample=self.number,
            reasoning=self.reasoning,
            answer=self.answer,
            block=self.block,
            ending=self.ending if self.ending in ("stop", "length", "filter") else "stop",
        )


@dataclass(frozen=True)
class TraceSource:
    """A published set of traces."""

    title: str
    licence: str
    home: Home
    missing: str | None = None
    """What its authors wrote in place of a reply that never came."""


STUDY = ("github:thu-coai/LRM-Safety-Study", "498ef37fca888a9587a34e156b7518f2ac9ce701")
"""The repository of arXiv 2505.15404 with its 50 AdvBench behaviours, their rewrites and its training data."""

STUDY_RECIPES = ("default", "realsafe", "improved", "short", "template", "nocot", "math")

TRACES: dict[str, TraceSource] = {
    **{
        f"lrm-safety-study/{name}": TraceSource(
            f"training data of arXiv 2505.15404, recipe `{name}`",
            "MIT",
            Home(*STUDY, file=f"dataset/data/sft_train_{name}.json"),
            missing="NA",
        )
        for name in STUDY_RECIPES
    },
    "star-1": TraceSource(
        "STAR-1: 1,000 safety traces of DeepSeek-R1 (arXiv 2504.01903)",
        "Apache-2.0",
        Home("UCSC-VLAA/STAR-1", None),
    ),
    "safechain": TraceSource(
        "SafeChain: 40,000 traces of DeepSeek-R1 (arXiv 2502.12025)",
        "not stated (its code is GPL-3.0; gated)",
        Home("UWNSL/SafeChain", None),
    ),
}
"""Sets of traces by name."""

HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<part>[\w.-]+))?")
"""A data set on the hub: `OWNER/NAME`, `OWNER/NAME@REVISION`, `OWNER/NAME@REVISION:SPLIT`."""


def load_traces(where: str, columns: Mapping[str, str] | None = None, limit: int | None = None) -> Iterator[Row]:
    """The traces of a file, of a set in `TRACES`, or of a data set on the hub; `limit`: the first so many rows.

    A row that can't be read is a `Row` all the same, and says why. RecipeError where there is no such thing, or where
    `columns` names an unknown field or a column that no row has; RecordError where a whole file can't be read.
    """
    for name in columns or {}:
        if name not in COLUMNS:
            raise RecipeError(f"map {name}: no such field; expected one of {', '.join(COLUMNS)}")
    names = {**COLUMNS, **{name: (column,) for name, column in (columns or {}).items()}}
    missing = TRACES[where].missing if where in TRACES and not Path(where).exists() else None
    absent = set((columns or {}).values())
    there = ""
    for number, (place, row) in enumerate(_rows(where)):
        if number == limit:
            break
        try:
            if isinstance(row, RecordError):
                raise row
            absent -= row.keys()
            there = there or listed(row)
            yield _row(number, row, names, place, missing)
        except RecordError as error:
            yield Row(number, "", None, None, "none", None, kind="benign", unread=str(error))
    for name, column in (columns or {}).items():
        if there and column in absent:
            raise RecipeError(f"map {name}={column}: no row has such a column; the first has {there}")


def prompt_of(row: files.Row, place: str) -> str:
    """What the model was asked in a row of traces; RecordError where that can't be told."""
    messages = next((row[name] for name in COLUMNS["messages"] if row.get(name)), None)
    return _prompt(row, COLUMNS["prompt"], place) if messages is None else _conversation(messages, place)[0]


def _rows(where: str) -> Iterator[tuple[str, files.Row | RecordError]]:
    if Path(where).exists():
        return files.each(Path(where))
    if where in TRACES:
        home = TRACES[where].home
        if home.revision is None:
            raise RecipeError(
                f"{where}: no commit of {home.id} could be verified, so none is pinned; "
                f"expected {home.id}@REVISION with a commit of your choice, or a file"
            )
        return hub.rows(home)
    asked = HUB_ID.fullmatch(where)
    if asked is None or where.endswith(files.FORMATS):
        raise RecipeError(
            f"{where}: there is no such file; expected a file ({', '.join(files.FORMATS)}), one of "
            f"{', '.join(TRACES)}, or a data set on the hub as OWNER/NAME[@REVISION][:SPLIT]"
        )
    return hub.rows(Home(asked["id"], asked["revision"], part=asked["part"] or "train"))


def _row(number: int, row: files.Row, names: Mapping[str, tuple[str, ...]], place: str, missing: str | None) -> Row:
    messages = next((row[name] for name in names["messages"] if row.get(name)), None)
    if messages is not None:
        prompt, reply, apart = _conversation(messages, place)
    else:
        prompt, reply = _prompt(row, names["prompt"], place), _reply(row, names["response"], place)
        apart = None
    apart = apart or pick(row, names["reasoning"], place, False)
    kind = pick(row, names["kind"], place, False)
    return Row(
        number=number,
        prompt=prompt,
        **_pieces(None if reply == missing else reply, apart),
        ending=ENDINGS.get((pick(row, names["ending"], place, False) or "").lower()),
        kind=typing.cast(Kind, kind) if kind in KINDS else "harmful",
        behaviour=pick(row, names["behaviour"], place, False),
    )


def _pieces(reply: str | None, apart: str | None) -> dict[str, Any]:
    """Reasoning and answer of a reply. A block in the reply itself counts before reasoning that stands apart."""
    if reply is None:
        return {"reasoning": None, "answer": None, "block": "none", "replied": False}
    tags = reasoning.HARMONY if reasoning.HARMONY.open in reply else reasoning.THINK
    found = reasoning.split(reply, tags=tags)
    if found.block == "none" and apart is not None:
        return {"reasoning": apart.strip(), "answer": reply.strip(), "block": "closed"}
    return {
        "reasoning": None if found.reasoning is None else found.reasoning.strip(),
        "answer": None if found.answer is None else found.answer.strip(),
        "block": found.block,
    }


def _prompt(row: files.Row, names: tuple[str, ...], place: str) -> str:
    """The prompt; a list of turns gives its last one, an Alpaca row gets its `input` on a line of its own."""
    turns = next((row[name] for name in names if isinstance(row.get(name), list)), None)
    if turns is not None:
        text = _turns(turns, place)[-1][1]
        if blank(text):
            raise RecordError(f"{place}: prompt: expected a last turn with text, got only blanks")
        return text
    text = str(pick(row, names, place, True))
    more = row.get("input") if row.get("instruction") == text else None
    return f"{text}\n{more}" if isinstance(more, str) and more.strip() else text


def _reply(row: files.Row, names: tuple[str, ...], place: str) -> str | None:
    """The reply; None where its cell is empty. RecordError where no column of that name is there at all."""
    name = next((name for name in names if name in row), None)
    if name is None:
        raise RecordError(f"{place}: expected a reply in `{'` or `'.join(names)}`; the row has {listed(row)}")
    if isinstance(row[name], list) and row[name]:
        return _turns(row[name], place)[-1][1] or None
    return pick(row, (name,), place, False)


def _conversation(content: Any, place: str) -> tuple[str, str | None, str | None]:
    """(last user turn, the reply to it or None, reasoning that stands apart or None)."""
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            raise RecordError(f"{place}: messages: expected a list of turns, got text that is not JSON") from None
    turns = _turns(content, place)
    asked = [at for at, (role, _, _) in enumerate(turns) if role == "user"]
    if not asked or blank(turns[asked[-1]][1]):
        raise RecordError(f"{place}: messages: expected a user turn with text")
    replies = [turn for turn in turns[asked[-1] + 1 :] if turn[0] == "assistant"]
    last = replies[-1] if replies else ("assistant", "", None)
    return turns[asked[-1]][1], last[1] or None, last[2]


def _turns(content: Any, place: str) -> list[tuple[str, str, str | None]]:
    """(role, text, reasoning apart) of every turn."""
    if not isinstance(content, list) or not content:
        got = "an empty list" if content == [] else type(content).__name__
        raise RecordError(f"{place}: messages: expected a list of turns, got {got}")
    turns = []
    for turn in content:
        if not isinstance(turn, dict):
            raise RecordError(f"{place}: messages: expected turns as objects, got {type(turn).__name__}")
        role = ROLES.get(str(turn.get("role", turn.get("from"))))
        text = turn.get("content", turn.get("value"))
        if isinstance(text, list):
            pieces = [part.get("text") if isinstance(part, dict) else part for part in text]
            text = "".join(piece for piece in pieces if isinstance(piece, str))
        apart = turn.get("reasoning_content") or turn.get("reasoning")
        if not isinstance(text, str | None) or not isinstance(apart, str | None):
            raise RecordError(f"{place}: messages: expected text, got {type(text or apart).__name__}")
        turns.append((role or "other", text or "", apart))
    return turns
