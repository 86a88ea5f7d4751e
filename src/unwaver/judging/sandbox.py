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
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from unwaver.errors import RecipeError
from unwaver.judging import sandbox_filter

INSTALL = "apt-get install -y bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora), pacman -S bubblewrap (Arch)"
RUNNER = Path(__file__).with_name("code_runner.py")


CONFINEMENT = (
    *("--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534", "--hostname", "sandbox"),
    *("--cap-drop", "ALL", "--die-with-parent", "--new-session", "--chdir", "/box"),
)
"""Every namespace of its own, no capability, no controlling terminal, and dead when its parent is."""

How = Literal["ended", "time", "output", "threads", "trouble"]

MET: dict[str, str] = {"time": "out of time", "output": "too much output", "threads": "too many threads"}
"""The limits an outcome can name, in words."""

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
        self._command = [program, *CONFINEMENT, *_visible()]
        self.limits = Limits(seconds=60.0)  # for the proof alone: a busy machine is no broken sandbox
        proof = self.run("print(6 * 7)", b"")
        if proof.output != b"42\n":
            raise RecipeError(
                f"bubblewrap is installed but can't make a sandbox here: {proof.errors or proof.how}. It needs user "
                "namespaces (in a container: --security-opt seccomp=unconfined or --privileged; on Ubuntu 24.04: "
                "sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
            )
        self.limits = limits or Limits()

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
        }
        settings = json.dumps({"limits": limits, "function": function, "mark": mark})
        with contextlib.ExitStack() as stack:
            given = [program.encode("utf-8", "replace"), settings.encode(), sandbox_filter.seccomp(), stdin]
            source_fd, settings_fd, filter_fd, stdin_fd = (stack.enter_context(_memory_file(data)) for data in given)
            (started, started_fd), (info, info_fd) = os.pipe(), os.pipe()
            for descriptor in (started, info):
                stack.callback(os.close, descriptor)
            options = ["--ro-bind-data", str(source_fd), "/box/main.py", "--remount-ro", "/"]
            options += ["--seccomp", str(filter_fd), "--info-fd", str(info_fd)]
            python = [_python(), "-s", "-S", "-P", "/box/runner.py", str(settings_fd), str(started_fd)]
            process = subprocess.Popen(
                [*self._command, *options, "--", *python],
                stdin=stdin_fd,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(source_fd, settings_fd, filter_fd, started_fd, info_fd),
                env={"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
            os.close(started_fd)
            os.close(info_fd)
            return _watch(process, started, info, self.limits)


def _python() -> str:
    """The real interpreter below any virtual environment."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def _visible() -> list[str]:
    """What of the machine's files is there, read-only: the interpreter, libraries, numpy, four devices."""
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
    for device in ("null", "zero", "random", "urandom"):
        options += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    return [*options, "--ro-bind", str(RUNNER), "/box/runner.py"]


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


def _watch(process: subprocess.Popen[bytes], started: int, info: int, limits: Limits) -> Outcome:
    """Read what the program writes until it ends or meets a limit; kill what is left."""
    assert process.stdout is not None
    assert process.stderr is not None
    sources = (process.stdout.fileno(), process.stderr.fileno(), started, info)
    output, errors, begun, about = seen = [bytearray() for _ in sources]
    deadline, look = time.monotonic() + limits.seconds, 0.0
    how: How = "ended"
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
                if len(output) > limits.output:
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
        process.kill()
        code = process.wait()
        process.stdout.close()
        process.stderr.close()
    if not begun or (how == "ended" and code < 0):
        how = "trouble"
    shown = errors.decode("utf-8", "replace").strip()
    printable = "".join(character if character.isprintable() else " " for character in shown)
    return Outcome(how, code if how == "ended" else -1, bytes(output[: limits.output]), printable)


def _threads(about: bytearray) -> int:
    """Threads of the program, whose parent is the first process of the sandbox; 0 where it is not there (any more)."""
    try:
        first = json.loads(about)["child-pid"]
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return sum(len(list(Path(f"/proc/{child}/task").iterdir())) for child in children)
    except (ValueError, OSError):
        return 0
