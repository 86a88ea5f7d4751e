"""Somebody else's traces: any JSON lines, JSON, CSV, Parquet or Arrow file, or a data set on the hub, row by row.

Yields one `Row` for each row of the file, in its order. Columns: `messages` (or ShareGPT's `conversations`), or a
prompt with a reply, and the reasoning where it stands apart, in a column or beside the text of a turn (`COLUMNS`,
`unwaver.parts`), in any capitals; a map of columns says anything else. Nothing is guessed: a row that is none of these
says why it could not be read, an `answer` that is a bare result beside a longer text is no reply, an empty cell where a
reply should be is a trace without a reply, and how a reply ended is None unless a column says so. Known sets of traces
are in `TRACES`.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unwaver import reasoning
from unwaver.errors import RecipeError, RecordError
from unwaver.parts import BESIDE, names_thought, thought
from unwaver.records import Block, Ending, Kind, Prompt, Trace
from unwaver.sources import files, hub
from unwaver.sources.results import length, longer
from unwaver.sources.source import Home, blank, listed, pick
from unwaver.sources.turns import Reply, conversation, reply_in, turns_of

COLUMNS: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "conversations"),
    "prompt": ("prompt", "question", "query", "instruction", "problem", "input"),
    "response": ("response", "completion", "answer", "output"),
    "reasoning": (
        *BESIDE,
        *("cot", "complex_cot", "chain_of_thought", "thinking_trajectory", "thinking_trajectories"),
        *("deepseek_thinking_trajectory", "reasoning_trace"),
    ),
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
    "max_output_tokens": "length",
    "max_new_tokens": "length",
    "model_length": "length",
    "end": "stop",
    "complete": "stop",
    "completed": "stop",
    "finished": "stop",
    "refusal": "filter",
    "safety": "filter",
    "filter": "filter",
    "content_filter": "filter",
}
"""What files and servers call an ending; any other word leaves it unknown."""

NOTHING = frozenset(("nan", "NaN", "null", "NULL", "None", "<NA>", "N/A", "n/a", "#N/A"))
"""What programs write into a cell for nothing."""

UNUSED = "no reasoning was found, and a column may hold it; where it does: --map reasoning="
ANOTHER = "no reasoning was found, and another column holds a reply with some; where that is meant: --map response="
EMPTY = "the reply is a word that programs write for nothing; it is read as a reply"
UNKNOWN_KIND = "its kind isn't known, so it is read as an answer to a harmful request"

TURN_OPENS = re.compile(r"(?:assistant|model|\[/INST\]|<\|CHATBOT_TOKEN\|>)\W{0,24}\S{4,40}\s*\Z", re.IGNORECASE)
"""How a prompt ends that a chat template rendered, and that opens the reply's reasoning."""

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
    whole: str | None = None
    """The reply where nobody can tell reasoning from answer (block `foreign`)."""
    note: str | None = None
    """What was odd about where reasoning and answer were found."""
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
            whole=self.whole,
            note=self.note,
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


def load_traces(
    where: str,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    family: reasoning.Family | None = None,
) -> Iterator[Row]:
    """The traces of a file, of a set in `TRACES`, or of a data set on the hub; `limit`: the first so many rows;
    `family`: by whose marks alone replies are read, in place of each by its own.

    A row that can't be read is a `Row` all the same, and says why. RecipeError where there is no such thing, or where
    `columns` names an unknown field or a column that no row has; RecordError where a whole file can't be read.
    """
    for name in columns or {}:
        if name not in COLUMNS:
            raise RecipeError(f"--map {name}: no such field; expected one of {', '.join(COLUMNS)}")
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
            yield replace(_row(row, names, place, missing, family), number=number)
        except RecordError as error:
            yield Row(number, "", None, None, "none", None, kind="benign", unread=str(error))
    for name, column in (columns or {}).items():
        if there and column in absent:
            raise RecipeError(f"--map {name}={column}: no row has such a column; the first has {there}")


def where_replies_are_not(where: str, columns: Mapping[str, str] | None = None) -> str:
    """What to tell where no row holds a reply: where it was looked for, what the first row has, and what may help."""
    row = next((row for _, row in _rows(where) if not isinstance(row, RecordError)), {})
    names = {**COLUMNS, **{name: (column,) for name, column in (columns or {}).items()}}
    known = {name for field, columns_ in names.items() if field != "response" for name in columns_}
    texts = {name: length(value) for name, value in row.items() if str(name).lower() not in known}
    longest = max(texts, key=lambda name: texts[name], default=None)
    which = str(longest)[:40] if longest is not None and texts[longest] else "COLUMN"
    looked = ", ".join(f"`{name}`" for name in names["response"])
    return (
        f"no row holds a reply: looked for a turn of the role assistant, or in {looked}; the first row has "
        f"{listed(row)}; name the column of the reply: --map response={which}"
    )


def prompt_of(row: files.Row, place: str) -> str:
    """What the model was asked in a row of traces; RecordError where that can't be told."""
    row = _lowered(_exchange(row), COLUMNS)
    messages = next((row[name] for name in COLUMNS["messages"] if row.get(name)), None)
    return _prompt(row, COLUMNS["prompt"], place) if messages is None else conversation(messages, place).prompt


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


def _row(
    row: files.Row,
    names: Mapping[str, tuple[str, ...]],
    place: str,
    missing: str | None,
    family: reasoning.Family | None,
) -> Row:
    row = _lowered(_exchange(row), names)
    messages = next((row[name] for name in names["messages"] if row.get(name)), None)
    odd: list[str | None] = []
    if messages is not None:
        asked = conversation(messages, place)
        prompt, found = asked.prompt, asked.reply
        odd.append(asked.note)
        if found is None and any(row.get(name) for name in names["response"]):
            found = _reply(row, names, place)  # dolphin-r1: the turns are the question alone
    else:
        prompt, found = _prompt(row, names["prompt"], place), _reply(row, names, place)
    reply, apart = (None, None) if found is None else found
    apart = apart or next((text for name in names["reasoning"] if (text := thought(row.get(name)))), None)
    kind = pick(row, names["kind"], place, False)
    pieces = _pieces(None if reply == missing else reply, apart, prompt, family)
    odd.append(UNKNOWN_KIND if kind is not None and kind not in KINDS else None)
    odd.append(_unused(row, names, reply) if pieces["block"] == "none" and reply is not None else None)
    pieces["note"] = "; ".join(filter(None, (pieces.get("note"), *odd))) or None
    return Row(
        number=0,
        prompt=prompt,
        **pieces,
        ending=ENDINGS.get((pick(row, names["ending"], place, False) or "").lower()),
        kind=typing.cast(Kind, kind) if kind in KINDS else "harmful",
        behaviour=pick(row, names["behaviour"], place, False),
    )


def _exchange(row: files.Row) -> files.Row:
    """A call of a chat API as it was logged (what was sent, what came back with its one choice) as a row with turns."""

    def body(value: Any) -> dict[str, Any]:
        found = value.get("body", value) if isinstance(value, dict) else None
        return found if isinstance(found, dict) else {}

    answer = body(row.get("response")) or row
    asked = body(row.get("request")).get("messages") or row.get("messages")
    choices = answer.get("choices")
    one = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
    if not isinstance(asked, list) or not isinstance(one, dict) or not isinstance(one.get("message"), dict):
        return row
    apart = ("request", "response", "choices")
    rest = {name: value for name, value in row.items() if name not in apart}
    return {**rest, "messages": [*asked, one["message"]], "finish_reason": one.get("finish_reason")}


def _lowered(row: files.Row, names: Mapping[str, tuple[str, ...]]) -> files.Row:
    """The row with our names for columns that differ from them in capitals only."""
    known = {name for columns in names.values() for name in columns}
    return {**{low: value for name, value in row.items() if (low := str(name).lower()) in known}, **row}


def _unused(row: files.Row, names: Mapping[str, tuple[str, ...]], reply: str) -> str | None:
    """What to tell of a column that nothing was read from: by its name a thought, or a reply that has some."""
    known = {name for columns in names.values() for name in columns}
    for name, value in row.items():
        if name not in known and names_thought(name) and thought(value):
            return f"{UNUSED}{name}"
    for name in names["response"]:
        other = row.get(name)
        if isinstance(other, str) and other != reply and reasoning.split(other).block == "closed":
            return f"{ANOTHER}{name}"
    return None


def _pieces(reply: str | None, apart: str | None, prompt: str, family: reasoning.Family | None) -> dict[str, Any]:
    """Reasoning and answer of a reply. A block in the reply itself counts before reasoning that stands apart."""
    if reply is None:
        return {"reasoning": None, "answer": None, "block": "none", "replied": False}
    opened = TURN_OPENS.search(prompt[-100:]) is not None and reasoning.opens_block(prompt, family)
    found = reasoning.read(reply, opened=opened, family=family)
    if found.block == "none" and apart is not None:
        found = reasoning.read(reply, apart, family=family)
    return {**asdict(found), "note": EMPTY if reply.strip() in NOTHING else found.note}


def _prompt(row: files.Row, names: tuple[str, ...], place: str) -> str:
    """The prompt; a list of turns gives its last user turn, an Alpaca row gets its `input` on a line of its own."""
    turns = next((row[name] for name in names if isinstance(row.get(name), list)), None)
    if turns is not None:
        found = turns_of(turns, place)
        text = next((turn.text for turn in reversed(found) if turn.role == "user"), found[-1].text)
        if blank(text):
            raise RecordError(f"{place}: prompt: expected a last turn with text, got only blanks")
        return text
    try:
        text = str(pick(row, names, place, True))
    except RecordError as error:
        hint = "" if any(name in row for name in names) else " (--map prompt=COLUMN)"
        raise RecordError(f"{error}{hint}") from None
    more = row.get("input") if row.get("instruction") == text else None
    return f"{text}\n{more}" if isinstance(more, str) and more.strip() else text


def _reply(row: files.Row, names: Mapping[str, tuple[str, ...]], place: str) -> Reply | None:
    """The reply; None where its cell is empty. RecordError where no column of that name is there at all, or where what
    is there is a bare result."""
    wanted = names["response"]
    name = next((name for name in wanted if name in row), None)
    if name is None:
        raise RecordError(
            f"{place}: expected a reply in `{'` or `'.join(wanted)}`; the row has {listed(row)} (--map response=COLUMN)"
        )
    if isinstance(row[name], list) and row[name] and isinstance(row[name][0], dict):
        return reply_in(turns_of(row[name], place))
    if isinstance(row[name], list) and len(row[name]) > 1:
        raise RecordError(f"{place}: {name}: expected one reply in a row, got {len(row[name])}: make a row of each")
    text = pick(row, (name,), place, False)
    other = longer(row, names, text) if name == "answer" and wanted == COLUMNS["response"] else None
    if other is not None:
        raise RecordError(
            f"{place}: `answer` ({(text or '')[:20]!r}) looks like the result alone, beside the text in `{other}`; "
            f"name the column of the reply: --map response={other}, or --map response=answer"
        )
    return None if text is None else (text, None)
