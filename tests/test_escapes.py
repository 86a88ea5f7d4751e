"""New ways out of the sandbox, tried as root and as an ordinary user, each in a throw-away layer.

Root's layer is a mount namespace with a `/dev` of its own, so that a sandbox that fails can't harm this machine. The
ordinary user is `nobody` in the same kind of layer where the tests run as root, and whoever runs them elsewhere.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import escapes
import pytest

from unwaver.errors import RecipeError
from unwaver.judging.graders import sandbox, sandbox_cgroup
from unwaver.judging.graders.sandbox import Limits, Sandbox

pytestmark = pytest.mark.real

LAYER = r"""
set -e
mount -t tmpfs -o mode=755 tmpfs /dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 /dev/${node%:*} c 1 ${node#*:}; done
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/python
mount --bind "$1" /mnt/python
shift
cd /
exec "$@"
"""
"""A `/dev` to lose, and the interpreter where every user can reach it."""

USER = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def layered(who: str, script: str) -> list[str]:
    """The command that runs a script of ours as `who`, in a layer of its own; skips where that can't be had."""
    if os.geteuid() != 0:
        if who == "root":
            pytest.skip("only root can be root")
        return [sys.executable, script]
    base = Path(sys.base_prefix).resolve()
    inside = Path("/mnt/python", Path(getattr(sys, "_base_executable", sys.executable)).resolve().relative_to(base))
    command = ["unshare", "-m", "sh", "-c", LAYER, "sh", str(base), *(USER if who == "user" else ()), str(inside)]
    probe = subprocess.run(
        [*command, "-c", "import os; os.listdir('/dev')"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"no layer to try escapes in: {probe.stderr.strip()[-200:]}")
    return [*command, script]


@pytest.fixture(scope="module", params=["root", "user"])
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    # Copied to where `nobody` may read it, whoever's home this is; imports are those of this process.
    shared = Path("/tmp") if os.access("/tmp", os.W_OK) else tmp_path_factory.mktemp("shared")
    script = shared / f"unwaver-escapes-{os.getpid()}-{request.param}.py"
    shutil.copy(escapes.__file__, script)
    script.chmod(0o644)
    try:
        command = layered(request.param, str(script))
        places = [str(Path(sandbox.__file__).parents[3]), *(p for p in sys.path if p.endswith("site-packages"))]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(places),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    finally:
        script.unlink()
    if request.param == "user" and "can't make a sandbox here" in done.stderr:
        pytest.skip(f"an ordinary user can't make a sandbox here: {done.stderr.strip().splitlines()[-1][:200]}")
    if request.param == "user" and "No module named" in done.stderr and os.geteuid() == 0:
        pytest.skip("an ordinary user can't read this installation")
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["user"] == 0) == (request.param == "root")
    return found


@pytest.mark.parametrize("attempt", escapes.ESCAPES)
def test_an_escape_is_refused_by_name(attempt: str, tried: dict[str, Any]) -> None:
    how, code, output, errors = tried["ended"][attempt]
    assert (how, code, output) == ("ended", 1, ""), errors
    assert escapes.ESCAPES[attempt][1] in errors


@pytest.mark.skipif(platform.machine() != "x86_64", reason="there is one door only")
@pytest.mark.parametrize("attempt", escapes.KILLED)
def test_the_second_door_is_the_end_of_a_program(attempt: str, tried: dict[str, Any]) -> None:
    how, code, output, errors = tried["ended"][attempt]
    assert (how, code, output) == ("ended", 128 + 31, ""), errors


@pytest.mark.parametrize("attempt", escapes.HARMLESS)
def test_what_may_be_held_beside_the_limit_is_little(attempt: str, tried: dict[str, Any]) -> None:
    how, code, output, errors = tried["ended"][attempt]
    assert (how, code) == ("ended", 0), errors
    assert int(output) < 64 << 20


@pytest.mark.parametrize("attempt", escapes.WORKS)
def test_what_programs_really_do_still_works(attempt: str, tried: dict[str, Any]) -> None:
    how, code, output, errors = tried["ended"][attempt]
    assert (how, code, output.strip()) == ("ended", 0, escapes.WORKS[attempt][1]), errors


def test_nothing_of_the_host_is_otherwise_than_before(tried: dict[str, Any]) -> None:
    assert tried["after"] == tried["before"]
    assert all(Path("/dev", name).stat().st_mode & 0o777 == 0o666 for name in ("null", "zero", "random", "urandom"))


def test_there_are_forty_of_them() -> None:
    assert len({**escapes.ESCAPES, **escapes.KILLED, **escapes.HARMLESS}) >= 40


def groups(memory: int, threads: int = 64) -> sandbox_cgroup.Groups:
    found = sandbox_cgroup.find(memory - sandbox_cgroup.MARGIN, threads)
    if found is None:
        pytest.skip("no control groups can be made here")
    return found


HOARDERS = {
    "a shared mapping": "import mmap; m = mmap.mmap(-1, 1 << 28)\nfor i in range(0, 1 << 28, 4096): m[i] = 1",
    "a file in memory": "import os; f = os.memfd_create('x')\nfor _ in range(256): os.write(f, bytes(1 << 20))",
    "a file on a tmpfs": "f = open('/dev/shm/unwaver-test', 'wb')\nimport os; os.unlink(f.name)\nfor _ in range(256): f.write(bytes(1 << 20))",
    "its heap": "held = [bytearray(b'x') * (1 << 20) for _ in range(256)]",
}


@pytest.mark.parametrize("way", HOARDERS)
def test_a_control_group_counts_memory_however_it_is_held(way: str) -> None:
    if "tmpfs" in way and not os.path.ismount("/dev/shm"):
        pytest.skip("there is no tmpfs")
    with groups(96 << 20).group() as group:
        start = "import sys; sys.stdin.read(1)\n"
        child = subprocess.Popen([sys.executable, "-c", f"{start}{HOARDERS[way]}\nprint('held')"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        group.admit(child.pid)
        output, _ = child.communicate(b"x")
        folders = group.folders
    assert (child.returncode, output) == (-9, b"")
    assert not any(folder.exists() for folder in folders)


def test_a_group_that_is_taken_away_fails_the_run_and_not_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    groups(1 << 28)
    box = Sandbox(Limits(seconds=60))

    def refuse(self: object, pid: int) -> None:
        raise FileNotFoundError("cgroup.procs")

    monkeypatch.setattr(sandbox_cgroup.Group, "admit", refuse)
    assert box.run("print('ran')", b"").how == "trouble"


def test_as_root_without_device_nodes_of_its_own_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0 or shutil.which("bwrap") is None:
        pytest.skip("only root makes device nodes")

    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "refused")

    monkeypatch.setattr(os, "mknod", refuse)
    with pytest.raises(RecipeError, match="CAP_MKNOD"):
        Sandbox()


def test_device_nodes_made_for_it_belong_to_nobody_and_go_with_it() -> None:
    if os.geteuid() != 0 or shutil.which("bwrap") is None:
        pytest.skip("only root makes device nodes")
    box = Sandbox()
    nodes = [Path(word) for word in box._command if word.startswith(("/tmp", os.environ.get("TMPDIR", "/tmp"))) and Path(word).is_char_device()]  # fmt: skip
    assert len(nodes) == 4 and {node.stat().st_uid for node in nodes} == {sandbox.NOBODY}
    del box
    assert not nodes[0].parent.exists()
