"""Rows of a data set on the Hugging Face hub, at a revision, without running code that comes with it."""

from __future__ import annotations

from collections.abc import Iterator

from unwaver.errors import RecipeError
from unwaver.sources.catalogue import Source
from unwaver.sources.files import Row


def rows(source: Source, revision: str | None = None) -> Iterator[tuple[str, Row]]:
    """(place, row) of a source's table; `revision` None: the pinned one.

    RecipeError that names the way out (the extra to install, the licence to accept, `path`) where it can't be had.
    """
    if source.hub is None:
        raise RecipeError(f"source `{source.name}` is not on the hub: give `path`")
    try:
        import datasets  # type: ignore[import-untyped]
        from datasets.exceptions import DatasetsError  # type: ignore[import-untyped]
    except ImportError:
        raise RecipeError(
            f'source `{source.name}` reads the hub: pip install "unwaver[hub]", or give `path` to a local copy'
        ) from None
    try:
        table = datasets.load_dataset(
            source.hub, source.config, split=source.part, revision=revision or source.revision
        )
    except (OSError, ValueError, DatasetsError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RecipeError(
            f"source `{source.name}`: {source.hub} can't be had from the hub ({reason[0][:300]}). Gated sets need an "
            "accepted licence and `hf auth login`; or give `path` to a local copy"
        ) from None
    for number, row in enumerate(table, 1):
        yield f"{source.hub}:{number}", dict(row)
