"""A training set in the forms other tools read, with a card that says what it is made of.

Writes into one folder: `train.jsonl` or `train.parquet` with `messages` (any reader of `datasets`), `sharegpt.json` and
`alpaca.json` with a `dataset_info.json` for LLaMA-Factory (axolotl reads the same files; its settings are in the card),
and `README.md`, a dataset card whose header lets `datasets.load_dataset(FOLDER)` find the files. The reasoning stays in
the assistant's text, with its tags. Deterministic: equal input, equal bytes.
Field names: data/README.md of LLaMA-Factory, docs/dataset-formats/conversation.qmd of axolotl.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError
from unwaver.kept import whole, write_whole
from unwaver.plain import counted, in_markdown
from unwaver.records import Example
from unwaver.sources.benchmarks import SOURCES

ExportRow = dict[str, Any]

CARD = "README.md"
"""The card is written last, and an older one is taken away first: it is never beside files that it doesn't tell of."""


MADE = "made with unwaver"
"""What every card says."""

LAST = "## How to read it"
"""The heading of a card's last part."""

INFO = "dataset_info.json"
"""What LLaMA-Factory reads of the files beside it."""


def begin(folder: Path, written: Collection[str]) -> Path:
    """Where the card of a set in these files will be; an older one, and what it says to other tools, is taken away.

    RecipeError where a card that was not written here would be written over, or where files of another format would be
    left beside a card that doesn't tell of them.
    """
    card = folder / CARD
    older = card.is_file()
    if older and MADE not in card.read_text(encoding="utf-8", errors="replace"):
        raise RecipeError(f"{card}: no export wrote it, and one would write over it; expected a folder of its own")
    if left := sorted(file for file, _ in FORMATS.values() if file not in written and (folder / file).exists()):
        raise RecipeError(
            f"{folder}: holds {', '.join(left)}, of a set in another format, of which the new card would not tell; "
            "expected a folder of its own"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if older:
        if INFO not in written:
            (folder / INFO).unlink(missing_ok=True)
        card.unlink()
    return card


def write_dataset(
    folder: Path, examples: Iterable[Example], card: Mapping[str, Any], formats: Sequence[str] = ("messages",)
) -> list[Path]:
    """Write the set in every one of `formats` (see `FORMATS`) and its card; the files, the card last.

    The examples are gone through once, so they may come from a file of any size.
    `card` is what the card tells, all of it optional: `name`, `note`, `parts` (by name: wanted, kept, dropped by
    reason), `stages` (counts by stage), `models` (`name@revision`, or several, by role), `teachers`, `sources`
    (`name@revision`), `licences` (by source, for those we don't know) and further settings.
    A lone surrogate, which no file can hold, becomes a question mark. RecipeError for an unknown format or no examples.
    """
    for name in formats:
        if name not in FORMATS:
            raise RecipeError(f"format `{name}`: expected one of {', '.join(FORMATS)}")
    if {"messages", "parquet"} <= set(formats):
        raise RecipeError("formats: `messages` and `parquet` are the same rows; expected one of the two")
    left = iter(examples)
    first = next(left, None)
    if first is None:
        raise RecipeError("there are no examples to export")
    formats = sorted(formats, key=list(FORMATS).index)
    info = {name: entry for form, entry in LLAMA_FACTORY.items() if form in formats for name in [_entry(card, form)]}
    card_file = begin(folder, [*(FORMATS[name][0] for name in formats), *([INFO] if info else [])])
    files = [folder / FORMATS[name][0] for name in formats]
    size = shielded = paired = begun = 0
    with ExitStack() as stack:
        writers = [stack.enter_context(FORMATS[name][1](file)) for name, file in zip(formats, files, strict=True)]
        for example in chain([first], left):
            size += 1
            shielded += any(not span.trained for span in example.spans)
            begun += example.begun
            paired += example.rejected is not None
            for write in writers:
                write(example)
    if info:
        files.append(folder / INFO)
        write_whole(files[-1], json.dumps(info, indent=2) + "\n")
    files.append(card_file)
    write_whole(files[-1], clean(_header(formats) + _card(size, (shielded, paired, begun), card, formats)))
    return files


def clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def messages_row(example: Example) -> ExportRow:
    """The example as turns, with its part, kind and the ids of its prompt and trace."""
    turns = [{"role": "user", "content": clean(example.user)}, {"role": "assistant", "content": clean(example.reply)}]
    return {
        "messages": turns,
        "part": example.part,
        "kind": example.kind,
        "prompt": example.prompt,
        "trace": example.trace or "",
    }


def sharegpt_row(example: Example) -> ExportRow:
    """The example as ShareGPT has it."""
    turns = [{"from": "human", "value": clean(example.user)}, {"from": "gpt", "value": clean(example.reply)}]
    return {"conversations": turns}


def alpaca_row(example: Example) -> ExportRow:
    """The example as Alpaca has it; `input` is always empty."""
    return {"instruction": clean(example.user), "input": "", "output": clean(example.reply)}


Write = Callable[[Example], object]
"""Takes the next example."""


@contextmanager
def _lines(file: Path) -> Iterator[Write]:
    with whole(file) as out:
        yield lambda example: out.write(f"{json.dumps(messages_row(example), ensure_ascii=False)}\n".encode())


@contextmanager
def _parquet(file: Path) -> Iterator[Write]:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    texts = [(name, pa.string()) for name in ("part", "kind", "prompt", "trace")]
    schema = pa.schema([("messages", pa.list_(turn)), *texts])
    waiting: list[ExportRow] = []
    with whole(file) as to, pq.ParquetWriter(to, schema) as out:

        def flush() -> None:
            out.write_table(pa.Table.from_pylist(waiting, schema))
            waiting.clear()

        def write(example: Example) -> None:
            waiting.append(messages_row(example))
            if len(waiting) == ROWS_TOGETHER:
                flush()

        yield write
        if waiting:
            flush()


def _list(row: Callable[[Example], ExportRow]) -> Callable[[Path], AbstractContextManager[Write]]:
    """One JSON list, written piece by piece as `json.dumps(..., indent=1)` writes the whole."""

    @contextmanager
    def opened(file: Path) -> Iterator[Write]:
        with whole(file) as out:
            before = "[\n "

            def write(example: Example) -> None:
                nonlocal before
                text = json.dumps(row(example), ensure_ascii=False, indent=1).replace("\n", "\n ")
                out.write((before + text).encode())
                before = ",\n "

            yield write
            out.write(b"\n]\n")

    return opened


ROWS_TOGETHER = 10_000
"""Rows in one group of a Parquet file."""

FORMATS: dict[str, tuple[str, Callable[[Path], AbstractContextManager[Write]]]] = {
    "messages": ("train.jsonl", _lines),
    "parquet": ("train.parquet", _parquet),
    "sharegpt": ("sharegpt.json", _list(sharegpt_row)),
    "alpaca": ("alpaca.json", _list(alpaca_row)),
}
"""By name: the file, and what opens it to be written."""

LLAMA_FACTORY: dict[str, ExportRow] = {
    "messages": {
        "file_name": "train.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    },
    "sharegpt": {"file_name": "sharegpt.json", "formatting": "sharegpt", "columns": {"messages": "conversations"}},
    "alpaca": {
        "file_name": "alpaca.json",
        "columns": {"prompt": "instruction", "query": "input", "response": "output"},
    },
}
"""What LLaMA-Factory's `dataset_info.json` says of each form."""

AXOLOTL: dict[str, str] = {
    "messages": """\
datasets:
  - path: train.jsonl
    ds_type: json
    type: chat_template
    field_messages: messages
""",
    "sharegpt": """\
datasets:
  - path: sharegpt.json
    ds_type: json
    type: chat_template
    field_messages: conversations
    message_property_mappings:
      role: from
      content: value
""",
    "alpaca": """\
datasets:
  - path: alpaca.json
    ds_type: json
    type: alpaca
""",
}
"""What axolotl's configuration says of each form."""


def _entry(card: Mapping[str, Any], form: str) -> str:
    name = "".join(c if c.isalnum() else "_" for c in str(card.get("name") or "unwaver"))
    return f"{name}_{form}"


def _header(formats: Sequence[str]) -> str:
    """The YAML head of the card; the first form is the one `load_dataset(FOLDER)` gives.

    `datasets` reads a folder by one kind of file only, so beside Parquet the JSON forms are not named here.
    """
    lines = ["---", "license: other", "task_categories:", "- text-generation", "tags:", "- safety", "- reasoning"]
    lines += ["configs:"]
    for number, name in enumerate(formats[:1] if formats[0] == "parquet" else formats):
        lines += [f"- config_name: {name}", f"  data_files: {FORMATS[name][0]}"]
        lines += ["  default: true"] if number == 0 else []
    return "\n".join([*lines, "---", ""])


TOLD = frozenset(
    {*("name", "note", "parts", "stages", "models", "teachers", "sources", "licences"), "examples", "counts", "stage"}
)
"""The entries of a card that have a section of their own or say the same again; the others are listed as settings."""


def _card(size: int, marked: tuple[int, int, int], card: Mapping[str, Any], formats: Sequence[str]) -> str:
    text = [f"\n# {cell(card.get('name') or 'Training set')}\n"]
    if card.get("note"):
        text.append(f"> {cell(card['note'])}\n")
    text.append(
        f"{counted(size, 'example')} of prompt, reasoning and answer for supervised fine-tuning, {MADE}. "
        "The reasoning stands between its tags in the assistant's text. The instruction the teacher was given is no "
        "part of any example.\n"
    )
    shielded, paired, begun = marked
    if shielded:
        text.append(
            f"{counted(shielded, 'example holds', 'examples hold')} stretches that are context and not to be trained "
            "on; these forms do not keep that mark.\n"
        )
    if begun:
        text.append(
            f"{counted(begun, 'example is', 'examples are')} the beginning of a reasoning and nothing else; these "
            "forms do not keep that mark, and a trainer that reads them would end the reply there: leave them out.\n"
        )
    if paired:
        text.append(
            f"{counted(paired, 'example was', 'examples were')} trained on as preference pairs; these forms hold the "
            "chosen replies alone (`unwaver export --to dpo` writes pairs).\n"
        )
    text += [_parts(card.get("parts") or {}), _dropped(card.get("parts") or {}), _stages(card.get("stages") or {})]
    text += [models_of(card), sources_of(card), _settings(card), _use(formats)]
    return "\n".join(piece for piece in text if piece)


def _parts(parts: Mapping[str, Any]) -> str:
    rows = [(name, part.get("wanted", ""), part.get("kept", "")) for name, part in parts.items()]
    return table("Parts", ("part", "asked for", "examples"), rows)


def _dropped(parts: Mapping[str, Any]) -> str:
    rows = [(name, why, n) for name, part in parts.items() for why, n in (part.get("dropped") or {}).items()]
    return table("What was left out, and why", ("part", "reason", "traces"), rows)


def _stages(stages: Mapping[str, Any]) -> str:
    rows = [(stage, *row) for stage, counts in stages.items() for row in _counts(counts)]
    return table("Counts by stage", ("stage", "what", "count"), rows)


def _counts(counts: Any, what: str = "") -> list[tuple[str, Any]]:
    """Counts within counts as rows; the names on the way to one are joined."""
    if not isinstance(counts, Mapping):
        return [(what, counts)]
    return [row for name, inner in counts.items() for row in _counts(inner, f"{what}: {name}" if what else str(name))]


def models_of(card: Mapping[str, Any]) -> str:
    given = dict(card.get("models") or {})
    roles = [(role, name) for role, names in given.items() for name in ([names] if isinstance(names, str) else names)]
    roles += [("teacher", name) for name in card.get("teachers") or ()]
    rows = [(role, *_revision(str(name))) for role, name in dict.fromkeys(roles)]
    return table("Models", ("role", "model", "revision"), rows)


def sources_of(card: Mapping[str, Any]) -> str:
    given = dict(card.get("licences") or {})
    rows = []
    for source in card.get("sources") or ():
        name, revision = _revision(str(source))
        known = SOURCES.get(name)
        licence = given.get(source) or given.get(name) or (known.licence if known else "not known to us")
        rows.append((name, revision, licence))
    told = table("Sources of the prompts", ("source", "revision", "licence"), rows)
    terms = "The terms of the models that wrote the traces apply besides.\n"
    return f"{told}\n{terms}" if told else ""


def _settings(card: Mapping[str, Any]) -> str:
    rows = [(key, value if isinstance(value, int | float | str) else json.dumps(value, ensure_ascii=False))
            for key, value in card.items() if key not in TOLD and value not in (None, "")]  # fmt: skip
    return table("Settings", ("setting", "value"), rows)


def _use(formats: Sequence[str]) -> str:
    text = [
        f"{LAST}\n",
        '```python\nimport datasets\n\nrows = datasets.load_dataset("FOLDER", split="train")\n```\n',
    ]
    text.append(
        "Many chat templates drop everything before `</think>` from an assistant's turn (DeepSeek-R1's distills do). "
        "Before training, decode one batch and see that the reasoning, the closing tag and the end token are under the "
        "loss.\n"
    )
    if any(name in LLAMA_FACTORY for name in formats):
        text.append("LLaMA-Factory: `dataset_info.json` describes the files; give this folder as `dataset_dir`.\n")
    for name in formats:
        if name in AXOLOTL:
            text.append(f"axolotl, `{FORMATS[name][0]}`:\n\n```yaml\n{AXOLOTL[name]}```\n")
    return "\n".join(text)


def _revision(name: str) -> tuple[str, str]:
    found, at, revision = name.rpartition("@")
    return (found, revision) if at else (name, "not stated")


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    lines = [f"| {' | '.join(cell(one) for one in row)} |" for row in rows]
    return "\n".join([f"## {title}\n", f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}", *lines, ""])


def cell(value: Any) -> str:
    """A value as one line of Markdown that can neither end its cell nor start markup, or a link."""
    return in_markdown(str(value))
