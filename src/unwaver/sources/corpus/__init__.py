"""The corpus of the miniature: mild prompts, framing templates, the recorded replies of a scripted teacher and traces
written by hand.

Reads the packaged JSON lines (`load`, `replies`, `written`), puts a request into a template (`frame`) and says which
train prompt wears which template (`pairs`). Everything in it is ours and mild: it has the form of the study's data
(arXiv 2505.15404 section 2) and none of its content. How it was written and what it can't tell: docs/corpus.md.
"""

from __future__ import annotations

import json
from importlib.resources import files

from unwaver.errors import RecordError

SLOT = "{behaviour}"
"""Where a template takes the request."""

PER_TEXT = 4
"""How many train templates each train text is put into, beside being asked bare. Maths problems wear none."""


def load(name: str) -> list[dict[str, str]]:
    """The rows of `<name>.jsonl`, in file order: `harmful`, `borderline`, `plain`, `maths`, `templates`.

    Rows of `teacher/<instruction>` also hold a list (`patterns`) and a bool (`unsafe`): read those with `replies`.
    RecordError with `path:line` where a line isn't a flat object of texts.
    """
    return [{key: _text(value, key, where) for key, value in row.items()} for where, row in _rows(name)]


def replies(name: str) -> list[dict[str, object]]:
    """The recorded replies in `teacher/<name>.jsonl`, in file order: the harmful train prompts' replies under one
    instruction (`default`, `realsafe`, `improved`, `short`, `template`), or `benign`.

    Fields: instruction, prompt, reasoning, answer, patterns (list of names), refusal, unsafe (bool).
    """
    return [row for _, row in _rows(f"teacher/{name}")]


def written() -> list[dict[str, object]]:
    """The traces of `written.jsonl`, in file order: each written sentence by sentence, to train and measure readers on.

    Fields: id, request, frame (a name), prompt (the request in its frame), manner (r1, qwen3, gpt-oss), reasoning,
    answer (None where the reasoning was cut off), harmless (bool, of the request: then no pattern applies), intended
    (names of patterns, and `self_jailbreak`), conclusion (refuse, comply, open), refusal (of the answer; None where
    there is none, or it only goes on thinking), unsafe_reasoning (bool) and unsafe_answer (bool; None without an
    answer), split (train, test). A test row's request and frame occur in no train row. The labels say what the writer
    meant, not what a reader found.
    """
    return [row for _, row in _rows("written")]


def written_labels() -> dict[str, dict[str, dict[str, object]]]:
    """What two readers who did not write the traces found in them, by reader (`A`, `B`) and id.

    Fields as in `written`, but `patterns` for what was found, and `confidence` (high, low).
    """
    found: dict[str, dict[str, dict[str, object]]] = {}
    for _, row in _rows("written_labels"):
        found.setdefault(str(row["reader"]), {})[str(row["id"])] = row
    return found


def frame(template_text: str, behaviour: str) -> str:
    """The request inside the template, as the model is sent it."""
    return template_text.replace(SLOT, behaviour)


def pairs(n_texts: int, n_templates: int, per_text: int = PER_TEXT) -> list[tuple[int, int]]:
    """(text, template) numbers: text i wears templates (i * per_text + k) mod n_templates for k below per_text."""
    return [(i, (i * per_text + k) % n_templates) for i in range(n_texts) for k in range(per_text)]


def _rows(name: str) -> list[tuple[str, dict[str, object]]]:
    path = files(__package__).joinpath(f"{name}.jsonl")
    rows: list[tuple[str, dict[str, object]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"), start=1):
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise RecordError(f"{where}: not a JSON object ({error})") from error
        if not isinstance(row, dict):
            raise RecordError(f"{where}: expected a JSON object, found {type(row).__name__}")
        rows.append((where, row))
    return rows


def _text(value: object, key: str, where: str) -> str:
    if not isinstance(value, str):
        raise RecordError(f"{where}: field `{key}` must be a text, found {type(value).__name__}")
    return value
