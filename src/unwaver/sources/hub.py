"""Rows of a data set on the Hugging Face hub, or of one file in a GitHub repository, at a revision.

The hub is read with `datasets`, which runs no code that comes with the data; a GitHub file is fetched over HTTPS and
read like a local one. What can go wrong on the way is a RecipeError that names the way out: the extra to install, the
licence to accept, `path` to a copy of one's own.
"""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

from unwaver.errors import RecipeError, pip_install
from unwaver.online import PROXIES, check_addresses
from unwaver.sources import files
from unwaver.sources.files import RawRow
from unwaver.sources.source import Home

GITHUB = "github:"

RAW = "https://raw.githubusercontent.com/{repository}/{revision}/{file}"

TIMEOUT = 60.0
"""Seconds without an answer after which a fetch is given up."""


def rows(home: Home, revision: str | None = None) -> Iterator[tuple[str, RawRow]]:
    """(place, row) of a table; `revision` None: the pinned one, or the newest where there is none."""
    home = replace(home, revision=revision or home.revision)
    if home.file is not None:
        yield from _github(home, home.file)
        return
    for number, row in enumerate(_table(home), 1):
        yield f"{home.id}:{number}", dict(row)


def _table(home: Home) -> Any:
    try:
        import datasets
        from datasets.exceptions import DatasetsError
    except ImportError:
        raise RecipeError(
            f"{home.id}: to read the hub, {pip_install('hub')}; or give `path` to a copy of your own"
        ) from None
    check_addresses(*PROXIES)
    try:
        return datasets.load_dataset(
            home.id, home.config, split=home.part, revision=home.revision, **dict(home.options)
        )
    except (OSError, ValueError, DatasetsError) as error:
        raise _unreachable(home, error) from None


def _github(home: Home, file: str) -> Iterator[tuple[str, RawRow]]:
    repository = home.id.removeprefix(GITHUB)
    check_addresses(*PROXIES)
    address = RAW.format(repository=repository, revision=home.revision or "HEAD", file=file)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PurePosixPath(file).name
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:  # noqa: S310 - RAW is https
                copy.write_bytes(answer.read())
        except (OSError, ValueError, HTTPException) as error:  # a proxy's address may be none
            raise _unreachable(home, error) from None
        for number, (_, row) in enumerate(files.rows(copy), 1):
            yield f"{home.id}/{file}:{number}", row


def _unreachable(home: Home, error: Exception) -> RecipeError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return RecipeError(
        f"{home.id}: can't be had ({reason}). A gated set needs its licence accepted and `hf auth login`; "
        "or give `path` to a copy of your own"
    )
