"""Control groups as kernels lay them out: version 2 imitated file by file, and as far as this machine has it, for real.

The imitation (`Kernel`) keeps the rules of the kernel's documentation (cgroup-v2.rst) that decide where a group can be
made: a group has the files of those controllers that its parent hands on in `cgroup.subtree_control`, a group that
hands on some holds no processes, and who may write is decided by owner. It says nothing of what limits do:
`tests/test_escapes.py` tries that, with whatever groups there are.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path, PosixPath
from typing import Any, ClassVar

import pytest

from unwaver.judging.graders import sandbox, sandbox_cgroup
from unwaver.judging.graders.sandbox import Sandbox

MEMORY, THREADS = 1 << 28, 64
FILES = {
    "memory": {"memory.max": "max\n", "memory.swap.max": "max\n"},
    "pids": {"pids.max": "max\n", "pids.events": "max 0\n"},
}
"""What a controller puts into a group below the first."""


class Kernel(PosixPath):
    """A path in an imitated hierarchy of version 2."""

    top: ClassVar[Path]
    ours: ClassVar[set[str]]
    """Groups that we own, by their path below the root."""
    read_only: ClassVar[bool]
    swap: ClassVar[bool]

    def mkdir(self, *_: Any, **__: Any) -> None:
        handed_on = _may(self.parent).read_text().split()
        super().mkdir()
        type(self).ours.add(_named(self))
        _filled(self, handed_on)

    def rmdir(self) -> None:
        if (self / "cgroup.procs").read_text():
            raise OSError(errno.EBUSY, "busy")
        for file in self.iterdir():
            file.unlink()
        super().rmdir()

    def write_text(self, text: str, *_: Any, **__: Any) -> int:
        _may(self.parent)
        if not self.exists():
            raise FileNotFoundError(errno.ENOENT, "no such file", str(self))
        if self.name == "cgroup.procs" and (self.parent / "cgroup.subtree_control").read_text():
            raise OSError(errno.EBUSY, "no internal processes")
        with self.open("a" if self.name == "cgroup.procs" else "w") as out:
            return out.write(f"{text}\n")


def _named(path: Path) -> str:
    return "/" + str(path.relative_to(Kernel.top)).lstrip(".")


def _may(group: Path) -> Path:
    """The file of what a group hands on, for who may write there."""
    if Kernel.read_only:
        raise OSError(errno.EROFS, "read-only file system")
    if not group.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such file", str(group))
    if _named(group) not in Kernel.ours:
        raise PermissionError(errno.EACCES, "permission denied", str(group))
    return group / "cgroup.subtree_control"


def _filled(group: Path, controllers: list[str], first: bool = False) -> None:
    content = {"cgroup.controllers": " ".join(controllers), "cgroup.subtree_control": "", "cgroup.procs": ""}
    for one in () if first else controllers:
        content |= FILES.get(one, {})
    if not Kernel.swap:
        content.pop("memory.swap.max", None)
    for name, text in content.items():
        Path(group, name).write_text(text)


USERS = "/user.slice/user-1000.slice/user@1000.service"
APP = f"{USERS}/app.slice"


@pytest.fixture
def laid_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lay a hierarchy out: where we are, what groups hand on, which are ours; `below`: where it is mounted."""

    def lay(
        where: str,
        handing_on: dict[str, str],
        ours: set[str],
        swap: bool = True,
        read_only: bool = False,
        below: str = "",
    ) -> Path:
        mount = tmp_path / "cgroup"
        Kernel.top, Kernel.ours, Kernel.read_only, Kernel.swap = mount / below, set(ours), read_only, swap
        Kernel.top.mkdir(parents=True)
        _filled(Kernel.top, ["cpu", "memory", "pids"], first=True)
        (Kernel.top / "cgroup.subtree_control").write_text(handing_on.get("/", ""))
        held = handing_on.get("/", "").split()
        inside = where.removeprefix("0::") if where.startswith("0::") else "/"
        group = Kernel.top
        for name in inside.split("/")[1:] if ".." not in inside and inside != "/" else ():
            group = group / name
            group.mkdir()
            _filled(group, held)
            (group / "cgroup.subtree_control").write_text(handing_on.get(_named(group), ""))
            held = handing_on.get(_named(group), "").split()
        (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
        (tmp_path / "self").write_text(f"{where}\n")
        monkeypatch.setattr(sandbox_cgroup, "MOUNT", Kernel(mount))
        monkeypatch.setattr(
            sandbox_cgroup, "Path", lambda one: tmp_path / "self" if one == "/proc/self/cgroup" else Path(one)
        )
        return Kernel.top

    return lay


def groups_in(root: Path) -> list[str]:
    return sorted(str(path) for path in root.rglob(f"{sandbox_cgroup.PREFIX}*"))


BOTH = "memory pids"
HANDED = {"/": BOTH, "/user.slice": BOTH, "/user.slice/user-1000.slice": BOTH, USERS: BOTH, APP: BOTH}
FOUND: dict[str, tuple[dict[str, Any], str]] = {
    "a user's session under systemd": (
        {"where": f"0::{APP}/shell.scope", "handing_on": HANDED, "ours": {USERS, APP, f"{APP}/shell.scope"}},
        APP,
    ),
    "root of its own machine": ({"where": "0::/", "handing_on": {"/": BOTH}, "ours": {"/"}}, "/"),
    "without swap": ({"where": "0::/", "handing_on": {"/": BOTH}, "ours": {"/"}, "swap": False}, "/"),
    "memory alone handed on": ({"where": "0::/", "handing_on": {"/": "cpu memory"}, "ours": {"/"}}, "/"),
    "beside version 1": ({"where": "0::/", "handing_on": {"/": BOTH}, "ours": {"/"}, "below": "unified"}, "/"),
    "a service with a part that is its own": (
        {
            "where": "0::/system.slice/x.service/main",
            "handing_on": {"/": BOTH, "/system.slice": BOTH, "/system.slice/x.service": BOTH},
            "ours": {"/system.slice/x.service", "/system.slice/x.service/main"},
        },
        "/system.slice/x.service",
    ),
}


@pytest.mark.parametrize("which", FOUND)
def test_a_group_is_made_where_memory_is_handed_on(which: str, laid_out: Any) -> None:
    how, parent = FOUND[which]
    root = laid_out(**how)
    before = {path: path.read_text() for path in root.rglob("*") if path.is_file()}
    found = sandbox_cgroup.find(MEMORY, THREADS)
    assert found is not None and [_named(one) for one in found.parents] == [parent]
    with found.group() as group:
        (folder,) = group.folders
        assert (folder / "memory.max").read_text() == f"{MEMORY + sandbox_cgroup.MARGIN}\n"
        swap, pids = folder / "memory.swap.max", folder / "pids.max"
        assert not swap.exists() or swap.read_text() == "0\n"
        assert not pids.exists() or pids.read_text() == f"{THREADS}\n"
        assert swap.exists() == how.get("swap", True) and pids.exists() == ("pids" in str(how["handing_on"]))
        group.admit(4321)
        assert (folder / "cgroup.procs").read_text() == "4321\n"
        assert not group.refused_threads()
        if pids.exists():
            for told in ("max 1\n", "max 3\nlocal 0\n"):
                Path(folder, "pids.events").write_text(told)
                assert group.refused_threads()
            Path(folder, "pids.events").write_text("max 0\nlocal 7\n")
            assert not group.refused_threads()
        Path(folder, "cgroup.procs").write_text("")
    assert not groups_in(root)
    assert {path: path.read_text() for path in root.rglob("*") if path.is_file()} == before


NONE: dict[str, dict[str, Any]] = {
    "a container's own group, which holds its processes": {"where": "0::/", "handing_on": {}, "ours": {"/"}},
    "memory is not handed on": {"where": "0::/", "handing_on": {"/": "cpu pids"}, "ours": {"/"}},
    "a session of ssh, beside which all is root's": {
        "where": "0::/user.slice/session-3.scope",
        "handing_on": {"/": BOTH, "/user.slice": BOTH},
        "ours": set(),
    },
    "a group of our own in which we are": {
        "where": "0::/job",
        "handing_on": {"/": BOTH},
        "ours": {"/job"},
    },
    "mounted read-only": {"where": "0::/", "handing_on": {"/": BOTH}, "ours": {"/"}, "read_only": True},
    "we are outside what we are shown": {"where": "0::/../other", "handing_on": {"/": BOTH}, "ours": {"/"}},
    "outside and above": {"where": "0::/..", "handing_on": {"/": BOTH}, "ours": {"/"}},
    "version 2 is not told of": {"where": "9:name=systemd:/", "handing_on": {"/": BOTH}, "ours": {"/"}},
}


@pytest.mark.parametrize("which", NONE)
def test_where_no_group_can_be_had_none_is_made_or_left(which: str, laid_out: Any) -> None:
    root = laid_out(**NONE[which])
    before = {path: path.read_text() for path in root.parent.rglob("*") if path.is_file()}
    assert sandbox_cgroup.find(MEMORY, THREADS) is None
    assert {path: path.read_text() for path in root.parent.rglob("*") if path.is_file()} == before
    assert not groups_in(root.parent)


def test_groups_of_the_dead_are_removed_and_new_ones_of_others_are_not(laid_out: Any) -> None:
    root = laid_out("0::/", {"/": BOTH}, {"/"})
    nobody = max(int(Path("/proc/sys/kernel/pid_max").read_text()), 1 << 22) + 1
    for age, name in ((3600, "old"), (0, "new"), (3600, "held")):
        folder = Kernel(root / f"{sandbox_cgroup.PREFIX}{nobody}-{name}")
        folder.mkdir()
        os.utime(folder, (time.time() - age, time.time() - age))
    held = root / f"{sandbox_cgroup.PREFIX}{nobody}-held" / "cgroup.procs"
    with held.open("w") as out:
        out.write("7\n")
    assert sandbox_cgroup.find(MEMORY, THREADS) is not None
    assert [Path(one).name.rpartition("-")[2] for one in groups_in(root)] == ["held", "new"]


@pytest.mark.real
def test_a_group_that_can_be_made_and_not_entered_leaves_limits_and_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a folder of groups was given to a user, and not the file that moves processes there."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")

    def refuse(self: object, pid: int) -> None:
        raise PermissionError(errno.EACCES, "cgroup.procs")

    monkeypatch.setattr(sandbox_cgroup.Group, "admit", refuse)
    box = Sandbox()
    assert box.memory_by == "limits and filter"
    assert box.run("print('ran')", b"").output == b"ran\n"


V2 = next(
    (place for place in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")) if (place / "cgroup.procs").is_file()
     and (place / "cgroup.controllers").is_file()), None,
)  # fmt: skip
TOLD = """
import json, os
from pathlib import Path
from unwaver.judging.graders.sandbox import Sandbox
box = Sandbox()
left = [str(one) for one in Path("/sys/fs/cgroup").glob("**/unwaver-%d-*" % os.getpid())]
print(json.dumps([box.memory_by, box.run("print(6 * 7)", b"").output.decode(), left]))
"""
LAYERS = {
    "version 2 that hands on no memory": "mount --bind {v2} /sys/fs/cgroup",
    "version 2, read-only": "mount --bind {v2} /sys/fs/cgroup; mount -o remount,bind,ro /sys/fs/cgroup",
    "nothing mounted": "mount -t tmpfs tmpfs /sys/fs/cgroup",
}


@pytest.mark.real
@pytest.mark.parametrize("which", LAYERS)
def test_in_a_real_hierarchy_without_delegation_programs_run_and_nothing_is_left(which: str) -> None:
    """In a mount namespace of its own: nothing of this machine's mounts is changed."""
    if os.geteuid() != 0 or V2 is None or shutil.which("bwrap") is None:
        pytest.skip("needs root, a mounted version 2 and bubblewrap")
    if "memory" in (V2 / "cgroup.subtree_control").read_text():
        pytest.skip("memory is handed on here")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'set -e; {LAYERS[which].format(v2=V2)}; exec "$@"', "sh", sys.executable, "-c", TOLD],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(sandbox.__file__).parents[3])},
    )  # fmt: skip
    if "unshare failed" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip(f"no layer to try it in: {done.stderr.strip()[-200:]}")
    assert json.loads(done.stdout) == ["limits and filter", "42\n", []], done.stderr[-1000:]


@pytest.mark.real
def test_a_real_group_of_version_2_is_made_entered_and_removed() -> None:
    """With a limit that needs no controller, where the hierarchy hands on none."""
    if os.geteuid() != 0 or V2 is None:
        pytest.skip("needs root and a mounted version 2")
    groups = sandbox_cgroup.Groups((V2,), (("cgroup.max.descendants", 3), ("memory.swap.max", 0)))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with groups.group() as group:
            (folder,) = group.folders
            group.admit(child.pid)
            assert (folder / "cgroup.procs").read_text().split() == [str(child.pid)]
            assert (folder / "cgroup.max.descendants").read_text() == "3\n"
            with pytest.raises(OSError, match="busy"):
                folder.rmdir()
            child.communicate(b"\n")
        assert not folder.exists()
        absent = sandbox_cgroup.Groups((V2,), (("no.such.file", 3),))
        with pytest.raises(FileNotFoundError), absent.group():
            pass
        assert not list(V2.glob(f"{sandbox_cgroup.PREFIX}{os.getpid()}-*"))
    finally:
        child.kill()
        child.wait()
