"""Somebody else's traces: any JSON lines, JSON, CSV, Parquet or Arrow file, or a data set on the hub, row by row.

Yields one `FileTrace` for each row of the file, in its order. Columns: `messages` (or ShareGPT's `conversations`), or a
prompt with a reply, and the reasoning where it stands apart, in a column or beside the text of a turn (`COLUMNS`,
`unwaver.parts`), in any capitals; a map of columns says anything else. Nothing is guessed: a row that is none of these
says why it could not be read, an `answer` that is a bare result beside a longer text is no reply, an empty cell where a
reply should be is a trace without a reply, and how a reply ended is None unless a column says so. Known sets of traces
are in `TRACES`.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from unwaver import reasoning
from unwaver.endings import ending_of
from unwaver.errors import RecipeError, RecordError
from unwaver.parts import BESIDE, deep, flat, label, may_be_thought, numeral, plainly, thought
from unwaver.plain import counted, plain, some
from unwaver.progress import say
from unwaver.records import Block, Ending, Kind, Prompt, Trace
from unwaver.sources import files, hub
from unwaver.sources.exchanges import exchange, opened
from unwaver.sources.results import LABEL, length, longer
from unwaver.sources.source import Home, blank, listed, pick
from unwaver.sources.turns import Reply, conversation, parts_in, reply_of, turns_of

VERSION = 3
"""Raised whenever a row or a folder is read otherwise; it is part of the name of a file's own traces."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "conversations", "conversation", "contents"),
    "prompt": ("prompt", "question", "query", "instruction", "problem", "input"),
    "response": ("response", "completion", "answer", "output"),
    "reasoning": (
        *BESIDE,
        *("cot", "complex_cot", "chain_of_thought", "thinking_trajectory", "thinking_trajectories"),
        *("deepseek_thinking_trajectory", "reasoning_trace"),
    ),
    "ending": (
        *("ending", "finish_reason", "stop_reason", "done_reason", "finish_reasons", "completion_reason"),
        *("stop_type", "end_reason", "native_finish_reason"),
    ),
    "kind": ("kind",),
    "behaviour": ("behaviour",),
}
"""Our field -> the columns it is looked for in, first found first; a map of columns replaces them."""

LOOKED_AT = 20
"""Rows of a file in a folder that show whether it holds traces."""

NAMED = 5
"""Files that are named as read, or as left out."""

NOTHING = frozenset(("nan", "NaN", "null", "NULL", "None", "<NA>", "N/A", "n/a", "#N/A"))
"""What programs write into a cell for nothing."""

UNUSED = "no reasoning was found, and a column may hold it; where it does: --map reasoning="
ANOTHER = "no reasoning was found, and another column holds a reply with some; where that is meant: --map response="
EMPTY = "the reply is a word that programs write for nothing; it is read as a reply"
UNENDED = "how it ended isn't known, for nobody knows the word"
SETTING = "a word where a thought may stand is taken for a setting"
FEW_WORDS = "a thought of so few words may be a label"
WRITTEN = "a list as Python writes it is read as it stands; write it as JSON"
STREAMS = ("data: {", "event: ")
UNKNOWN_KIND = "its kind isn't known, so it is read as an answer to a harmful request"

TURN_OPENS = re.compile(r"(?:assistant|model|\[/INST\]|<\|CHATBOT_TOKEN\|>)\W{0,24}\S{4,40}\s*\Z", re.IGNORECASE)
"""How a prompt ends that a chat template rendered, and that opens the reply's reasoning."""

KINDS = frozenset(typing.get_args(Kind))


@dataclass(frozen=True)
class FileTrace:
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

    @property
    def word(self) -> str | None:
        """The reply where it is a word alone, as labels are; None for any other."""
        text = self.answer if self.replied and self.unread is None and self.reasoning is None else None
        return text if text is not None and LABEL.fullmatch(text) else None

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
) -> Iterator[FileTrace]:
    """The traces of a file, of a set in `TRACES`, or of a data set on the hub; `limit`: the first so many rows;
    `family`: by whose marks alone replies are read, in place of each by its own.

    A row that can't be read is a `FileTrace` all the same, and says why. RecipeError where there is no such thing, or
    where `columns` names an unknown field or a column that no row has; RecordError where a whole file can't be read.
    """
    for name in columns or {}:
        if name not in COLUMNS:
            raise RecipeError(f"--map {name}: no such field; expected one of {', '.join(COLUMNS)}")
    names = {**COLUMNS, **{name: (column,) for name, column in (columns or {}).items()}}
    missing = TRACES[where].missing if where in TRACES and not Path(where).exists() else None
    absent = set((columns or {}).values())
    there = ""
    for number, (place, row) in enumerate(_rows(where, names)):
        if number == limit:
            break
        try:
            if isinstance(row, RecordError):
                raise row
            there = there or listed(row)
            wide = _widened(row)
            absent -= _names_in(wide) if absent else set()
            yield replace(_row(wide, names, place, missing, family), number=number)
        except RecordError as error:
            yield FileTrace(number, "", None, None, "none", None, kind="benign", unread=str(error))
    for name, column in (columns or {}).items():
        if there and column in absent:
            raise RecipeError(f"--map {name}={column}: no row has such a column; the first has {there}")


def where_replies_are_not(
    where: str, columns: Mapping[str, str] | None = None, labels: Sequence[str] | None = None
) -> str:
    """What to tell where no row holds a reply: where it was looked for, what the first row has, and what may help;
    `labels`: the few words that were found in place of replies."""
    names = {**COLUMNS, **{name: (column,) for name, column in (columns or {}).items()}}
    row = next((row for _, row in _rows(where, names) if not isinstance(row, RecordError)), {})
    known = {name for field, columns_ in names.items() if field != "response" for name in columns_}
    texts = {name: length(value) for name, value in row.items() if str(name).lower() not in known}
    longest = max(texts, key=lambda name: texts[name], default=None)
    which = str(longest)[:40] if longest is not None and texts[longest] else "COLUMN"
    looked = ", ".join(f"`{name}`" for name in names["response"])
    tail = f"the first row has {listed(row)}; name the column of the reply: --map response={which}"
    if labels:
        here = next((name for name in names["response"] if name in _lowered(row, names)), "COLUMN")
        few = ", ".join(f"`{word}`" for word in labels[:4])
        meant = f"or --map response={here} if they are the replies"
        return f"every reply is one of a few words ({few}), as labels are; {tail}, {meant}"
    return f"no row holds a reply: looked for a turn of the role assistant, or in {looked}; {tail}"


def prompt_of(row: files.RawRow, place: str) -> str:
    """What the model was asked in a row of traces; RecordError where that can't be told."""
    row = _plainly_named(row, COLUMNS, place)
    messages = next((row[name] for name in COLUMNS["messages"] if row.get(name)), None)
    return _prompt(row, COLUMNS["prompt"], place) if messages is None else conversation(messages, place).prompt


def _rows(where: str, names: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, files.RawRow | RecordError]]:
    if Path(where).is_dir():
        return files.of_files(_of_traces(Path(where), names))
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
    return _fetched(where, Home(asked["id"], asked["revision"], part=asked["part"] or "train"))


def _of_traces(folder: Path, names: Mapping[str, tuple[str, ...]]) -> list[Path]:
    """The files of a folder that hold traces, as far as their first rows show, and what is left out is told; where none
    does, the first file, whose fault is told then.
    """
    every = files.files(folder)
    why = {file: _no_traces(file, names) for file in every} if len(every) > 1 else {}
    kept = [file for file in every if why.get(file) is None]
    if kept and len(kept) < len(every):
        left = [f"{file.relative_to(folder)} ({told})" for file, told in why.items() if told is not None]
        read = some([str(file.relative_to(folder)) for file in kept], NAMED)
        _say_once(
            f"{folder}: reads {len(kept)} of {counted(len(every), 'file')}: {read}; left out, as no trace is in their "
            f"first rows: {some(left, NAMED)}"
        )
    return kept or every[:1]


_say_once = lru_cache(say)
"""A folder is gone through more than once."""


def _no_traces(file: Path, names: Mapping[str, tuple[str, ...]]) -> str | None:
    """Why a file is taken to hold no traces; None where one of its first rows has a reply."""
    told = "no rows"
    try:
        for place, row in islice(files.each(file), LOOKED_AT):
            try:
                if isinstance(row, RecordError):
                    raise row
                if _row(_widened(row), names, place, None, None).replied:
                    return None
                told = "no reply in a row"
            except RecordError as error:
                told = str(error).removeprefix(f"{place}: ")
    except (RecordError, RecipeError) as error:
        told = str(error).removeprefix(f"{file}: ")
    return plain(told, 80)


def _fetched(where: str, home: Home) -> Iterator[tuple[str, files.RawRow]]:
    """A data set on the hub, whose name may have been meant as a path here."""
    try:
        yield from hub.rows(home)
    except RecipeError as error:
        raise RecipeError(f"{where}: there is no such file or folder here; and on the hub: {error}") from None


def _row(
    row: files.RawRow,
    names: Mapping[str, tuple[str, ...]],
    place: str,
    missing: str | None,
    family: reasoning.Family | None,
) -> FileTrace:
    row = _plainly_named(row, names, place)
    prompt, found, told = _found(row, names, place)
    seen = row if found is None else {**_lowered(_widened(dict(found.fields)), names), **row}
    apart, doubt = _apart(seen, names["reasoning"], found)
    ending, unknown = _ending(seen, names["ending"])
    reply = None if found is None or found.text == missing else found.text
    if apart is None or ending == "length":
        reply = (reply or "") if apart is not None else reply if (reply or "").strip() else None
    if reply is not None and reply.startswith(STREAMS):
        raise RecordError(f"{place}: a reply that is a stream of events; put its pieces together first")
    kind = pick(row, names["kind"], place, False)
    pieces = _pieces(reply, apart, prompt, ending, family)
    odd = [pieces.get("note"), told, None if found is None else found.note, doubt, unknown]
    odd.append(WRITTEN if reply is not None and reply.startswith("[{'") else None)
    odd.append(UNKNOWN_KIND if kind is not None and kind not in KINDS else None)
    odd.append(_unused(seen, names, reply) if pieces["block"] == "none" and reply is not None else None)
    return FileTrace(
        number=0,
        prompt=prompt,
        **{**pieces, "note": "; ".join(dict.fromkeys(filter(None, odd))) or None},
        ending=ending,
        kind=typing.cast(Kind, kind) if kind in KINDS else "harmful",
        behaviour=pick(row, names["behaviour"], place, False),
    )


def _found(row: files.RawRow, names: Mapping[str, tuple[str, ...]], place: str) -> tuple[str, Reply | None, str | None]:
    """(the prompt, the reply, what to tell of the turns), from turns or from columns."""
    messages = next((row[name] for name in names["messages"] if row.get(name)), None)
    if messages is None:
        return _prompt(row, names["prompt"], place), _reply(row, names, place), None
    asked = conversation(messages, place)
    found = asked.reply
    if found is None and any(row.get(name) for name in names["response"]):
        found = _reply(row, names, place)  # dolphin-r1: the turns are the question alone
    return asked.prompt, found, asked.note


def _apart(row: files.RawRow, names: tuple[str, ...], reply: Reply | None) -> tuple[str | None, str | None]:
    """(the reasoning beside the text of a reply, or in a column, what to tell of it)."""
    apart = None if reply is None else reply.apart
    apart = apart or next((text for name in names if (text := thought(row.get(name)))), None)
    if apart is None or numeral(apart):
        return None, None
    if not label(apart):
        return apart, None
    return (None, f"{SETTING}: {apart[:40]!r}") if len(apart.split()) == 1 else (apart, FEW_WORDS)


def _ending(row: files.RawRow, names: tuple[str, ...]) -> tuple[Ending | None, str | None]:
    """(how the reply ended, what to tell where nobody knows the word), from a column, or a field in one."""
    inside = [name for name in row if plainly(str(name).rpartition(".")[2]) in names and name not in names]
    words = [word for name in (*names, *inside) if (word := row.get(name)) and not isinstance(word, int | float)]
    words = [word[0] if isinstance(word, list) and len(word) == 1 else word for word in words]
    found = ending_of(*words)
    first = flat(words[0]).strip() if words else ""
    known = found is not None or first in NOTHING or first.lower() in ("", "unknown", "other", "none")
    return found, None if known else f"{UNENDED} `{first[:40]}`"


def _widened(row: files.RawRow, depth: int = 2) -> files.RawRow:
    """The row with the fields of its objects as columns too: `metadata.reasoning`."""
    inner: files.RawRow = {}
    for name, value in row.items():
        found = opened(value) if depth else {}
        inner |= {f"{name}.{key}": one for key, one in _widened(found, depth - 1).items()}
    return {**inner, **row}


def _names_in(row: files.RawRow) -> set[str]:
    """The columns of a row, and the fields of the turns in it."""
    turns = [turn for value in row.values() if isinstance(value, list) for turn in value if isinstance(turn, dict)]
    return row.keys() | {name for turn in turns for name in _widened(turn)}


def _lowered(row: files.RawRow, names: Mapping[str, tuple[str, ...]]) -> files.RawRow:
    """The row with our names for columns that are only written in another way: `Prompt`, `finishReason`."""
    known = {name for columns in names.values() for name in columns}
    plain = {one: value for name, value in row.items() for one in (plainly(name), str(name).lower()) if one in known}
    return {**plain, **row}


def _plainly_named(row: files.RawRow, names: Mapping[str, tuple[str, ...]], place: str) -> files.RawRow:
    """The row, a logged call opened, with our names for its columns; RecordError where two whose names differ in their
    writing alone (`answer`, `Answer`) hold two texts, and no map says which one is meant.
    """
    row = exchange(row, place)
    for field in ("messages", "prompt", "response", "reasoning"):
        held: dict[str, tuple[Any, str]] = {}
        for name, value in row.items() if names[field] == COLUMNS[field] else ():
            one = next((one for one in (plainly(name), str(name).lower()) if one in names[field]), None)
            text = "" if one is None else ((thought(value) or "") if field == "reasoning" else deep(value)).strip()
            if one is None or not text:
                continue
            other, before = held.setdefault(one, (name, text))
            if before != text:
                raise RecordError(
                    f"{place}: the columns `{other}` and `{name}` hold different texts; name the one that is meant: "
                    f"--map {field}={other}, or --map {field}={name}"
                )
    return _lowered(row, names)


def _unused(row: files.RawRow, names: Mapping[str, tuple[str, ...]], reply: str) -> str | None:
    """What to tell of a column that nothing was read from: by its name a thought, or a reply that has some."""
    known = {name for columns in names.values() for name in columns}
    for name, value in row.items():
        text = thought(value) if name not in known and may_be_thought(name) else None
        if text is not None and not label(text) and not numeral(text):
            return f"{UNUSED}{name}"
    for name in names["response"]:
        other = row.get(name)
        if isinstance(other, str) and other != reply and reasoning.split(other).block == "closed":
            return f"{ANOTHER}{name}"
    return None


def _pieces(
    reply: str | None, apart: str | None, prompt: str, ending: Ending | None, family: reasoning.Family | None
) -> dict[str, Any]:
    """Reasoning and answer of a reply. A block in the reply itself counts before reasoning that stands apart."""
    if reply is None:
        return {"reasoning": None, "answer": None, "block": "none", "replied": False}
    opened = TURN_OPENS.search(prompt[-100:]) is not None and reasoning.opens_block(prompt, family)
    found = reasoning.read(reply, opened=opened, family=family)
    if found.block == "none" and apart is not None:
        found = reasoning.read(reply, apart, ending or "stop", family=family)
    return {**asdict(found), "note": EMPTY if reply.strip() in NOTHING else found.note}


def _prompt(row: files.RawRow, names: tuple[str, ...], place: str) -> str:
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


def _reply(row: files.RawRow, names: Mapping[str, tuple[str, ...]], place: str) -> Reply | None:
    """The reply; None where its cell is empty. RecordError where no column of that name is there at all, or where what
    is there is a bare result."""
    wanted = names["response"]
    name = next((name for name in wanted if name in row), None)
    if name is None:
        raise RecordError(
            f"{place}: expected a reply in `{'` or `'.join(wanted)}`; the row has {listed(row)} (--map response=COLUMN)"
        )
    value = row[name]
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value)):
        return reply_of(value, f"{place}: {name}")
    if isinstance(row[name], list) and len(row[name]) > 1:
        raise RecordError(f"{place}: {name}: expected one reply in a row, got {len(row[name])}: make a row of each")
    parts = parts_in(value)
    if parts is not None:
        return reply_of(parts, f"{place}: {name}")
    text = pick(row, (name,), place, False)
    other = longer(row, names, name, text) if wanted == COLUMNS["response"] else None
    if other is not None:
        raise RecordError(
            f"{place}: `{name}` ({(text or '')[:20]!r}) looks like the result alone, beside the text in `{other}`; "
            f"name the column of the reply: --map response={other}, or --map response={name}"
        )
    return None if text is None else Reply(text)
