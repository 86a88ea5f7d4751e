"""A control group of its own for each run of the sandbox, where this process may make one.

RLIMIT_AS counts what one process maps; a control group counts every page that is held on its account, however it came
to be held, and every thread. Version 2 where the group above us hands on `memory` and lets us make groups (systemd's
for a user, or root's own), version 1 as root. Where neither is to be had (`find` says so by None), the resource limits
and the filter stand alone, and the sandbox says so in `Sandbox.memory_by`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
PREFIX = "unwaver-"

MARGIN = 64 << 20
"""Bytes beyond the program's own limit, for the kernel's part and for bubblewrap."""

_OLD_NS = 60_000_000_000
"""From what age on an empty group is nobody's: one is entered as soon as it was made."""
_GONE_S = 2.0
"""How long a group may take to be empty after its last process was killed."""


@dataclass(frozen=True)
class Groups:
    """Where groups can be made, and under which names their limits are kept."""

    parents: tuple[Path, ...]
    """One for version 2; for version 1 one for each controller."""
    limits: tuple[tuple[str, int], ...]
    """File and value; a file that a kernel lacks is passed over, but never the first."""

    @contextlib.contextmanager
    def group(self) -> Iterator[Group]:
        """A new, empty group with its limits set; it is removed again."""
        name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        folders = [parent / name for parent in self.parents]
        try:
            for folder in folders:
                folder.mkdir()
            self._limit(folders)
            yield Group(tuple(folders))
        finally:
            for folder in folders:
                _remove(folder)

    def _limit(self, folders: list[Path]) -> None:
        for place, (name, value) in enumerate(self.limits):
            there = [folder / name for folder in folders if (folder / name).exists()]
            if not there and place == 0:
                raise FileNotFoundError(name)
            for file in there:
                file.write_text(str(value))


@dataclass(frozen=True)
class Group:
    """One run's group."""

    folders: tuple[Path, ...]

    def admit(self, pid: int) -> None:
        """Move a process in; what it starts is in there too."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def refused_threads(self) -> bool:
        """Whether a thread or process was refused for being one too many."""
        told = [folder / "pids.events" for folder in self.folders]
        counts = [file.read_text(encoding="utf-8").split() for file in told if file.is_file()]
        return any(dict(zip(one[::2], one[1::2], strict=False)).get("max", "0") != "0" for one in counts)


def find(memory: int, threads: int) -> Groups | None:
    """Where groups of so much memory and so many threads can be made; proved by making one.

    Whether processes may be moved there is another right, which only moving one shows.
    """
    for parents, limits in _candidates(memory + MARGIN, threads):
        _sweep(parents)
        groups = Groups(parents, limits)
        with contextlib.suppress(OSError), groups.group():
            return groups
    return None


def _candidates(memory: int, threads: int) -> Iterator[tuple[tuple[Path, ...], tuple[tuple[str, int], ...]]]:
    """Version 2: beside us and below us; version 1: below us."""
    own = _own()
    unified = own.get("")
    limits = (("memory.max", memory), ("memory.swap.max", 0), ("pids.max", threads))
    for mount in (MOUNT, MOUNT / "unified"):
        if unified is not None and (mount / "cgroup.controllers").is_file():
            here = mount / unified.lstrip("/")
            for parent in dict.fromkeys((here if here == mount else here.parent, here)):
                yield (parent,), limits
    if "memory" in own:
        places = tuple(MOUNT / name / own[name].lstrip("/") for name in ("memory", "pids") if name in own)
        older = ("memory.limit_in_bytes", memory), ("memory.memsw.limit_in_bytes", memory), ("pids.max", threads)
        yield places, older


def _own() -> dict[str, str]:
    """Our group by controller; version 2's under the empty name. One outside what we are shown (`/..`) is none."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if ".." in path.split("/"):
                continue
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _sweep(parents: tuple[Path, ...]) -> None:
    """Remove empty groups of processes that were killed before they could; a new one may be another container's, whose
    processes we don't see."""
    for parent in parents:
        for folder in parent.glob(f"{PREFIX}*"):
            owner = folder.name.removeprefix(PREFIX).partition("-")[0]
            with contextlib.suppress(OSError):
                old = time.time_ns() - folder.stat().st_mtime_ns > _OLD_NS
                if owner.isdigit() and old and not Path(f"/proc/{owner}").exists():
                    folder.rmdir()


def _remove(folder: Path) -> None:
    until = time.monotonic() + _GONE_S
    while folder.is_dir():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > until:
                return
            time.sleep(0.005)
