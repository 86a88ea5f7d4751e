"""The errors a person can meet, and the exit codes of the command line.

An item that fails (a call that timed out, a reply that could not be read) is a record, never an exception:
see `records.Trace.failure` and `records.Verdict.reason`. The errors below end a command.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""What the system says of a disk that takes no more."""

DISK_SIGNS = ("os error 28", "os error 27", "os error 122", "PytorchStreamWriter", "inline_container")
"""What the libraries that write weights say of it, in errors of their own."""

EXIT_DONE = 0
EXIT_BUG = 1
EXIT_BAD_INPUT = 2
EXIT_UNFINISHED = 3
EXIT_NOT_MET = 4
EXIT_CANT_TELL = 5


def pip_install(extra: str) -> str:
    """The command that adds an extra, from wherever this package was installed: it is on no index by its name."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        source = json.loads(distribution("unwaver").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        source = {}
    home = str(source.get("url", ""))
    if home.startswith("file://") and not home.endswith(".whl"):
        how = "-e " if source.get("dir_info", {}).get("editable") else ""
        return f"pip install {how}'{unquote(home.removeprefix('file://'))}[{extra}]'"
    if home:
        scheme = f"{source['vcs_info']['vcs']}+" if "vcs_info" in source else ""
        return f"pip install 'unwaver[{extra}] @ {scheme}{home}'"
    return f"pip install '.[{extra}]' in a clone of unwaver"


class UnwaverError(Exception):
    """What every error of ours derives from; shown without a traceback."""

    exit_code = EXIT_BUG


class RecipeError(UnwaverError):
    """The recipe, a flag or a named file is wrong and the person can fix it: which file and key, what was expected."""

    exit_code = EXIT_BAD_INPUT


class MissingKeyError(RecipeError):
    """A key is not in the environment, or may not be sent yet: the same command goes on once it is."""

    exit_code = EXIT_UNFINISHED


@contextmanager
def under(key: str) -> Iterator[None]:
    """A RecipeError from within names the key of the recipe it is about."""
    try:
        yield
    except RecipeError as error:
        raise RecipeError(f"{key}: {error}") from None


class RecordError(UnwaverError):
    """A line of a data file is wrong: `path:line`, the field, what was expected."""

    exit_code = EXIT_BAD_INPUT


class IncomparableError(UnwaverError):
    """Two numbers were to be subtracted or ranked that were not measured alike: which fields differ."""

    exit_code = EXIT_BAD_INPUT


class RunError(UnwaverError):
    """A stage stopped before it was done: how much is owed and the command that goes on."""

    exit_code = EXIT_UNFINISHED


class HeldError(RunError):
    """Another process is at work in the run directory."""
