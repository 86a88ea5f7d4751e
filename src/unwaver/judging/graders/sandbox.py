"""Runs one untrusted Python program in a bubblewrap sandbox; there is no other way to run one here.

The program sees the Python that runs this, its libraries and numpy, all read-only; no file can be written, no process
started, no socket opened, no other process seen, and nothing of the environment. Time, memory and output are limited.
What it writes to standard output is data for the caller; what the caller expects never enters the sandbox.
Where there is no working bubblewrap, RecipeError names the command that adds it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

from unwaver.errors import RecipeError
from unwaver.judging.graders import sandbox_cgroup, sandbox_filter

INSTALL = "apt-get install -y bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora), pacman -S bubblewrap (Arch)"
RUNNER = Path(__file__).with_name("code_runner.py")

DEVICES = {"null": (1, 3), "zero": (1, 5), "random": (1, 8), "urandom": (1, 9)}
"""What is there of /dev, by the kernel's numbers."""

CONFINEMENT = (
    *("--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534", "--hostname", "sandbox"),
    *("--cap-drop", "ALL", "--die-with-parent", "--new-session", "--chdir", "/box"),
)
"""Every namespace of its own, no capability, no controlling terminal, and dead when its parent is."""

How = Literal["ended", "time", "output", "threads", "trouble"]

LIMIT_TOLD: dict[str, str] = {"time": "out of time", "output": "too much output", "threads": "too many threads"}
"""The limits an outcome can name, in words."""

NOBODY = 65534
"""The user of the program, as it sees itself, and the owner of device nodes made for it."""

_MADE = "unwaver-devices-"

_WATCH_S = 0.05
"""Seconds between two looks at the number of threads; one takes some 30 microseconds to make."""


@dataclass(frozen=True)
class Limits:
    """What one run may use."""

    seconds: float = 6.0
    """Wall time; LiveCodeBench's own default. Processor time is limited to one second more, rounded up."""
    memory: int = 2 << 30
    """Bytes of address space; half of what LiveCodeBench's harness names."""
    stack: int = 64 << 20
    """Bytes of stack of each thread: recursive solutions need more than the usual 8 MiB."""
    output: int = 16 << 20
    """Bytes of standard output."""
    files: int = 64
    """Open files."""
    threads: int = 64
    """Watched from outside: RLIMIT_NPROC does not bind a program whose user is root outside the sandbox."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended and what it wrote."""

    how: How
    """`ended`: by itself; `trouble`: the sandbox failed, which is not the program's fault; else the limit it met."""
    code: int
    """The exit code, 128 + the number of the signal that killed it, or -1 where it did not end by itself."""
    output: bytes
    errors: str
    """The end of standard error, made printable."""


class Sandbox:
    """A way to run programs; making one proves that it works, or raises RecipeError."""

    def __init__(self, limits: Limits | None = None) -> None:
        program = shutil.which("bwrap")
        if program is None:
            raise RecipeError(f"running generated code needs bubblewrap, which is not installed: {INSTALL}")
        if not sandbox_filter.supported():
            raise RecipeError("running generated code needs Linux on x86-64 or arm64")
        self._command = [
            program,
            *CONFINEMENT,
            *_visible(),
            *self._devices(),
            "--ro-bind",
            str(RUNNER),
            "/box/runner.py",
        ]
        limits = limits or Limits()
        self._groups = sandbox_cgroup.find(limits.memory, limits.threads + 1)  # the sandbox's first process
        self.limits = Limits(seconds=60.0)  # for the proof alone: a busy machine is no broken sandbox
        proof = self.run("print(6 * 7)", b"")
        if proof.how == "trouble" and self._groups is not None:  # a group can be made, and not be entered
            self._groups = None
            proof = self.run("print(6 * 7)", b"")
        if proof.output != b"42\n":
            raise RecipeError(
                f"bubblewrap is installed but can't make a sandbox here: {proof.errors or proof.how}. It needs user "
                "namespaces (in a container: --security-opt seccomp=unconfined or --privileged; on Ubuntu 24.04: "
                "sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
            )
        self.limits = limits

    @property
    def memory_by(self) -> str:
        """What holds the limits on memory and threads."""
        return "limits and filter" if self._groups is None else "limits, filter and a control group"

    def _devices(self) -> list[str]:
        """Device nodes that the program's user does not own, so that the kernel refuses to change them for anybody:
        the machine's own, or where those are ours (root in a container), copies given to somebody else.
        """
        nodes = {name: Path("/dev", name) for name in DEVICES}
        if any(node.stat().st_uid == os.geteuid() for node in nodes.values()):
            _sweep()
            folder = Path(tempfile.mkdtemp(prefix=f"{_MADE}{os.getpid()}-"))
            self._finalizer = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            nodes = {name: _copied(folder / name) for name in DEVICES}
        return [word for name, node in nodes.items() for word in ("--dev-bind", str(node), f"/dev/{name}")]

    def run(self, program: str, stdin: bytes, function: str | None = None, mark: str = "") -> Outcome:
        """Run `program` on `stdin`.

        With `function`, `stdin` is its arguments as a JSON list, and the output is `mark` and its result as JSON.
        """
        limits = {
            "RLIMIT_CPU": math.ceil(self.limits.seconds) + 1,
            "RLIMIT_AS": self.limits.memory,
            "RLIMIT_STACK": self.limits.stack,
            "RLIMIT_NOFILE": self.limits.files,
            "RLIMIT_FSIZE": 0,
            "RLIMIT_CORE": 0,
            # Charged to the user outside, who has so many for all his processes: pending signals and timers, memory
            # that stays.
            "RLIMIT_SIGPENDING": 64,
            "RLIMIT_MEMLOCK": 0,
        }
        settings = json.dumps({"limits": limits, "function": function, "mark": mark})
        with contextlib.ExitStack() as stack:
            given = [program.encode("utf-8", "replace"), settings.encode(), sandbox_filter.seccomp(), stdin]
            source_fd, settings_fd, filter_fd, stdin_fd = (stack.enter_context(_memory_file(data)) for data in given)
            (started, started_fd), (info, info_fd), (go_fd, go) = os.pipe(), os.pipe(), os.pipe()
            for descriptor in (started, info, go):
                stack.callback(os.close, descriptor)
            group = stack.enter_context(self._groups.group()) if self._groups is not None else None
            options = ["--ro-bind-data", str(source_fd), "/box/main.py", "--remount-ro", "/"]
            options += ["--seccomp", str(filter_fd), "--info-fd", str(info_fd), "--block-fd", str(go_fd)]
            python = [_python(), "-s", "-S", "-P", "/box/runner.py", str(settings_fd), str(started_fd)]
            process = subprocess.Popen(
                [*self._command, *options, "--", *python],
                stdin=stdin_fd,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(source_fd, settings_fd, filter_fd, started_fd, info_fd, go_fd),
                env={"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
            for descriptor in (started_fd, info_fd, go_fd):
                os.close(descriptor)

            def admit(pid: int) -> None:
                """The sandbox is made and waits: into its group with it, and let it go on."""
                if group is not None:
                    group.admit(pid)
                with contextlib.suppress(BrokenPipeError):
                    os.write(go, b"g")

            outcome = _watch(process, started, info, self.limits, admit)
            if outcome.how == "ended" and group is not None and group.refused_threads():
                return replace(outcome, how="threads", code=-1)  # it asked for too many faster than the watch looks
            return outcome


def _python() -> str:
    """The real interpreter below any virtual environment."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def _visible() -> list[str]:
    """What of the machine's files is there, read-only: the interpreter, libraries, numpy."""
    prefix = Path(sys.base_prefix).resolve()
    options: list[str] = []
    for root, name in product((Path("/"), Path("/usr"), prefix), ("lib", "lib64")):
        folder = root / name
        if folder.is_symlink():
            options += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir() and str(folder) not in options:
            options += ["--ro-bind", str(folder), str(folder)]
    options += ["--ro-bind", _python(), _python(), "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    numpy = importlib.util.find_spec("numpy")
    for folder in map(Path, (numpy and numpy.submodule_search_locations) or ()):
        options += ["--ro-bind", str(folder), "/site/numpy"]
        options += ["--ro-bind-try", str(folder.with_name("numpy.libs")), "/site/numpy.libs"]
    return options


def _sweep() -> None:
    """Remove the device nodes of processes that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_MADE}*"):
        owner = folder.name.removeprefix(_MADE).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _copied(node: Path) -> Path:
    """A device node of our own, owned by nobody; RecipeError where none can be made or opened."""
    try:
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(*DEVICES[node.name]))
        node.chmod(0o666)
        os.chown(node, NOBODY, NOBODY)
        os.close(os.open(node, os.O_RDONLY))
    except OSError as error:
        raise RecipeError(
            f"running generated code as root needs device nodes of its own, and none can be made in "
            f"{node.parent.parent} ({os.strerror(error.errno or 0).lower()}): run it as an ordinary user, or give the "
            "container CAP_MKNOD and set TMPDIR to a folder that is not mounted nodev"
        ) from None
    return node


@contextlib.contextmanager
def _memory_file(data: bytes) -> Iterator[int]:
    """A file descriptor from which `data` can be read."""
    descriptor = os.memfd_create("unwaver")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _watch(
    process: subprocess.Popen[bytes], started: int, info: int, limits: Limits, admit: Callable[[int], None]
) -> Outcome:
    """Read what the program writes until it ends or meets a limit; kill what is left. `admit` is told the sandbox's
    first process, once, before anything of the program runs.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    sources = (process.stdout.fileno(), process.stderr.fileno(), started, info)
    output, errors, begun, about = seen = [bytearray() for _ in sources]
    deadline, look = time.monotonic() + limits.seconds, 0.0
    how: How = "ended"
    waiting = True
    try:
        with selectors.DefaultSelector() as selector:
            for source, buffer in zip(sources, seen, strict=True):
                selector.register(source, selectors.EVENT_READ, buffer)
            while selector.get_map() and how == "ended":
                for key, _ in selector.select(_WATCH_S):
                    piece = os.read(key.fd, 1 << 16)
                    key.data.extend(piece)
                    if not piece:
                        selector.unregister(key.fd)
                del errors[:-2000]
                now = time.monotonic()
                if waiting and (first := _first(about)):
                    waiting, how = False, _let_in(first, admit)
                elif len(output) > limits.output:
                    how = "output"
                elif now > deadline:
                    how = "time"
                elif now > look:
                    look = now + _WATCH_S
                    how = "threads" if _threads(about) > limits.threads else how
        if how == "ended":
            process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        how = "time"
    finally:
        if process.poll() is None:
            # Its whole group: a sandbox that is only half made waits for its maker, and not even a kill tells it.
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        process.stdout.close()
        process.stderr.close()
    if not begun or (how == "ended" and code < 0):
        how = "trouble"
    shown = errors.decode("utf-8", "replace").strip()
    printable = "".join(character if character.isprintable() else " " for character in shown)
    return Outcome(how, code if how == "ended" else -1, bytes(output[: limits.output]), printable)


def _let_in(first: int, admit: Callable[[int], None]) -> How:
    """`trouble` where it can't be let in: it is dead, or its group was taken away; never without what limits it."""
    try:
        admit(first)
    except OSError:
        return "trouble"
    return "ended"


def _threads(about: bytearray) -> int:
    """Threads of the program, whose parent is the first process of the sandbox; 0 where it is not there (any more)."""
    first = _first(about)
    try:
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return sum(len(list(Path(f"/proc/{child}/task").iterdir())) for child in children)
    except OSError:
        return 0


def _first(about: bytearray) -> int:
    """The first process of the sandbox, as bubblewrap tells it; 0 where it has not yet."""
    try:
        return int(json.loads(about)["child-pid"])
    except ValueError:
        return 0
