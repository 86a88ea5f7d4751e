"""Where prompts come from: `load` a prompt set of a recipe, `fingerprint` what it was made of.

A source is known by name (`benchmarks.SOURCES`), or it is `file`, a file of one's own with a map of columns. A known
source is read from the packaged corpus, from a local copy (`path`) or from the hub at a pinned revision, never running
code that comes with the data. What comes out is the same however often it is read: rows in the source's own order, a
text that stands twice kept once, `limit` spread evenly.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pydantic import ValidationError

from unwaver.errors import RecipeError, RecordError
from unwaver.recipe import PromptSet
from unwaver.records import Kind, Prompt, digest
from unwaver.sources import files, hub
from unwaver.sources.benchmarks import SOURCES
from unwaver.sources.benchmarks.published import xstest_split
from unwaver.sources.halves import halves
from unwaver.sources.source import Draft, Home, Reader, Source, columns

__all__ = ["SOURCES", "Home", "Source", "find", "fingerprint", "kind_of", "load"]

FILE = "file"
"""The name of the source that is a file of one's own."""

FIELDS = ("text", "behaviour", "category", "attack", "target", "source")
"""What the columns of one's own file can be mapped to."""


def load(entry: PromptSet) -> list[Prompt]:
    """The prompts of a set after `split` and `limit`, before any templates; see `counted`."""
    return counted(entry)[0]


def counted(entry: PromptSet) -> tuple[list[Prompt], int]:
    """The prompts of a set, each text once, after `split` and `limit`, before any templates; and how many rows repeat a
    text of another.

    RecipeError where the source, the split or the file isn't there; RecordError `path:row` where a row can't be read.
    A limit of k takes rows floor(i * n / k), so it is the same spread on every machine and needs no seed.
    """
    source = find(entry.source) if entry.source != FILE else None
    if entry.split != "all" and source is not None and not source.splits:
        raise RecipeError(f'source `{entry.source}` is not split: expected split = "all", got "{entry.split}"')
    reader = source.read if source else _own(entry)
    label = f"{entry.source}@{_version(source, entry)}"
    prompts: dict[str, Prompt] = {}
    read = 0
    drafts = _drafts(reader, _rows(source, entry))
    for place, draft in drafts if source is not None or entry.split == "all" else _divided(drafts):
        if entry.split != "all" and draft.split is None:
            raise RecordError(f"{place}: not among the prompts the published split of `{entry.source}` divides")
        if entry.split in ("all", draft.split):
            prompt = _prompt(draft, label, place)
            prompts.setdefault(prompt.text, prompt)
            read += 1
    if not prompts:
        half = "" if entry.split == "all" else f" (of its half `{entry.split}`)"
        raise RecipeError(f"source `{entry.source}`: no prompts in {entry.path or label}{half}")
    return spread(list(prompts.values()), entry.limit), read - len(prompts)


def fingerprint(entry: PromptSet) -> dict[str, str]:
    """What identifies the content: the digest of a local file or of the packaged corpus, or hub id and revision.

    It reads nothing from the network. Where we divide a set ourselves, the division is part of it; which half is asked
    for and `limit` are settings.
    """
    source = find(entry.source) if entry.source != FILE else None
    version = _version(source, entry)
    divided = {"split": digest(xstest_split())[:8]} if source and source.home and source.splits else {}
    if entry.path is None and source is not None and source.home is not None:
        return {"source": entry.source, "home": source.home.id, "revision": version, **divided}
    return {"source": entry.source, "content": version, **divided}


def find(name: str) -> Source:
    """The source of that name; RecipeError with near matches and the whole list where there is none."""
    if name in SOURCES:
        return SOURCES[name]
    near = difflib.get_close_matches(name, [*SOURCES, FILE], n=3)
    hint = f"; did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else "."
    raise RecipeError(f"no source `{name}`{hint} There are: {', '.join([*SOURCES, FILE])}")


def kind_of(entry: PromptSet) -> Kind:
    """What the prompts of a set are: as the recipe says for one's own file, else as the source is."""
    return entry.kind if entry.kind is not None else find(entry.source).kind


def fetched(entry: PromptSet) -> bool:
    """Whether a set's rows are fetched from somewhere, and neither packaged nor in a file of one's own."""
    source = SOURCES.get(entry.source)
    return source is not None and source.home is not None and entry.path is None


def known_size(entry: PromptSet) -> int | None:
    """How many prompts a set holds before `limit`, without reading it; None: that isn't known."""
    source = SOURCES.get(entry.source)
    if source is None or entry.path is not None:
        return None
    if source.home is not None and source.splits and entry.split != "all":
        return sum(part == entry.split for part in xstest_split().values())
    return source.size


def spread(items: list[Prompt], limit: int | None) -> list[Prompt]:
    """At most `limit` of them, evenly spread, in order."""
    if limit is None or limit >= len(items):
        return items
    return [items[index * len(items) // limit] for index in range(limit)]


def _own(entry: PromptSet) -> Reader:
    """The reader of one's own file, by its map of columns."""
    for name in entry.columns:
        if name not in FIELDS:
            raise RecipeError(f"columns.{name}: no such field; expected one of {', '.join(FIELDS)}")
    if entry.kind is None:
        raise RecipeError('source = "file" needs `kind`')
    taken = [name for name in FIELDS if name != "source" or name in entry.columns]  # many files have another `source`
    return columns(entry.kind, {name: (entry.columns.get(name, name),) for name in taken})


def _divided(drafts: Iterable[tuple[str, Draft]]) -> Iterator[tuple[str, Draft]]:
    """The drafts of one's own file, each with its half."""
    found = list(drafts)
    half = halves(draft.behaviour or draft.text for _, draft in found)
    return ((place, replace(draft, split=half[draft.behaviour or draft.text])) for place, draft in found)


def _rows(source: Source | None, entry: PromptSet) -> Iterator[tuple[str, files.RawRow]]:
    if entry.path is not None:
        return files.rows(entry.path)
    if source is None:
        raise RecipeError('source = "file" needs `path`')
    if source.home is None:
        return _corpus_rows(source)
    return hub.rows(source.home, _revision(source.home, entry))


def _corpus_rows(source: Source) -> Iterator[tuple[str, files.RawRow]]:
    from unwaver.sources import corpus

    for number, row in enumerate(corpus.load(source.packaged or source.name.partition("/")[2]), 1):
        yield f"{source.name}:{number}", row


def _version(source: Source | None, entry: PromptSet) -> str:
    """A digest of local content, or the hub's revision."""
    if entry.path is not None:
        return files.fingerprint(entry.path)[:8]
    if source is None:
        raise RecipeError('source = "file" needs `path`')
    if source.home is None:
        return digest([row for _, row in _corpus_rows(source)])[:8]
    return _revision(source.home, entry)


def _revision(home: Home, entry: PromptSet) -> str:
    """The hub's revision: the recipe's, else the pinned one; RecipeError where there is neither."""
    revision = entry.revision or home.revision
    if revision is None:
        raise RecipeError(
            f"source `{entry.source}`: no commit of {home.id} could be verified, so none is pinned; "
            "expected `revision`, a commit of your choice, or `path` to a copy of your own"
        )
    return revision


def _drafts(reader: Reader, rows: Iterable[tuple[str, files.RawRow]]) -> Iterator[tuple[str, Draft]]:
    for place, row in rows:
        draft = reader(row, place)
        if draft is not None:
            yield place, draft


def _prompt(draft: Draft, label: str, place: str) -> Prompt:
    fields = {name: value for name, value in vars(replace(draft)).items() if name != "split"}
    try:
        return Prompt(**{**fields, "source": f"{label} {draft.source}" if draft.source else label})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "prompt"
        raise RecordError(f"{place}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
