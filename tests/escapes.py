"""Programs that try to leave the sandbox's limits or to change its host, and a driver that runs them all.

`python escapes.py` runs every program in one sandbox and prints, as JSON, how each ended and what became of the files
and devices they aimed at. `tests/test_escapes.py` starts it in a throw-away layer, since a sandbox that fails would let
them change this very machine. None of them does harm where it succeeds but to that layer.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import socket
import sys
from pathlib import Path
from typing import Any

HELPERS = """
import ctypes, fcntl, mmap, os, socket
c = ctypes.CDLL(None, use_errno=True)
c.mmap.restype = ctypes.c_void_p
c.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
c.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
FAILED = ctypes.c_void_p(-1).value
def told(got):
    if got in (-1, FAILED): raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got
def call(number, *arguments):
    return told(c.syscall(number, *arguments))
def mapped(flags, fd=-1, protection=3, size=1 << 26):
    return told(c.mmap(None, size, protection, flags, fd, 0))
LIBC = next(p for p in ("/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/aarch64-linux-gnu/libc.so.6",
                        "/usr/lib64/libc.so.6", "/usr/lib/libc.so.6", os.__file__) if os.path.exists(p))
"""

PERMISSION, ABSENT, READ_ONLY = "PermissionError", "not implemented", "Read-only file system"

NUMBERS = {
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "mq_open": (240, 180),
    "remap_file_pages": (216, 234),
    "sync": (162, 81),
    "syslog": (103, 116),
    "fanotify_init": (300, 262),
    "inotify_init1": (294, 26),
    "kcmp": (312, 272),
    "splice": (275, 76),
    "sethostname": (170, 161),
    "clock_settime": (227, 112),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "userfaultfd": (323, 282),
    "ptrace": (101, 117),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "name_to_handle_at": (303, 264),
    "seccomp": (317, 277),
    "ioprio_set": (251, 30),
    "rt_sigqueueinfo": (129, 138),
    "timer_create": (222, 107),
    "readahead": (187, 213),
}
"""On (x86-64, arm64)."""

ESCAPES: dict[str, tuple[str, str]] = {
    # modes, owners, times and attributes
    "the mode of a device": ("os.chmod('/dev/zero', 0o600)", PERMISSION),
    "the mode of an open device": ("os.fchmod(os.open('/dev/null', os.O_WRONLY), 0o600)", PERMISSION),
    "the mode of a device by its folder": ("os.chmod('zero', 0, dir_fd=os.open('/dev', os.O_RDONLY))", PERMISSION),
    "the mode of a device by the newest call": ("call(452, -100, b'/dev/zero', 0o600, 0)", ABSENT),
    "the mode of the interpreter": ("import sys; os.chmod(sys.executable, 0o600)", PERMISSION),
    "the mode of a library": ("os.chmod('/site/numpy', 0o700)", PERMISSION),
    "the mode of its own output": ("os.fchmod(1, 0)", PERMISSION),
    "the owner of a device": ("os.chown('/dev/null', 65534, 65534)", PERMISSION),
    "the owner of a device behind no link": ("os.lchown('/dev/null', 65534, 65534)", PERMISSION),
    "the owner of an open device": ("os.fchown(os.open('/dev/random', os.O_RDONLY), 65534, -1)", PERMISSION),
    "the times of a device": ("os.utime('/dev/zero', (1, 1))", PERMISSION),
    "the times of a device, to now": ("os.utime('/dev/urandom')", PERMISSION),
    "the times of an open library": ("os.utime(os.open(LIBC, os.O_RDONLY), (1, 1))", PERMISSION),
    "an attribute of a device": ("os.setxattr('/dev/zero', 'user.x', b'1')", PERMISSION),
    "an attribute of a library": ("os.setxattr(LIBC, 'security.x', b'1')", PERMISSION),
    "an attribute taken away": ("os.removexattr(LIBC, 'user.x')", PERMISSION),
    "attributes listed": ("os.listxattr(LIBC)", PERMISSION),
    "an attribute by the newest call": ("call(463, -100, b'/dev/zero', 0, b'user.x', b'1', 1)", ABSENT),
    "file flags by the newest call": ("call(469, -100, b'/dev/zero', b'\\0' * 64, 24, 0)", ABSENT),
    "file flags by an ioctl": (
        "fcntl.ioctl(os.open(LIBC, os.O_RDONLY), 0x40086602, b'\\x10' + b'\\0' * 7)",
        "OSError",
    ),
    "a device removed": ("os.unlink('/dev/zero')", READ_ONLY),
    "a device renamed": ("os.rename('/dev/zero', '/dev/null')", "OSError"),
    "a second name for a library": ("os.link(LIBC, '/usr/lib/other')", READ_ONLY),
    "a library cut": ("os.truncate(LIBC, 0)", "Error: [Errno "),
    # memory that the limit does not count
    "a shared mapping": ("mapped(0x21)", PERMISSION),
    "a shared mapping by Python": ("mmap.mmap(-1, 1 << 26)", PERMISSION),
    "a shared mapping, validated": ("mapped(0x23)", PERMISSION),
    "a shared mapping of a device": ("mapped(0x01, os.open('/dev/zero', os.O_RDWR))", PERMISSION),
    "a shared mapping made writable later": (
        "place = mapped(0x01, os.open('/dev/zero', os.O_RDWR), 1); told(c.mprotect(place, 1 << 26, 3))",
        PERMISSION,
    ),
    "a shared mapping of its input": ("mapped(0x01, 0, 3, 4096)", PERMISSION),
    "sixteen shared mappings, all but a page given back": (
        "c.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]\nfor _ in range(16):\n"
        "    place = mapped(0x21)\n    ctypes.memset(place, 1, 1 << 26)\n    c.munmap(place + 4096, (1 << 26) - 4096)",
        PERMISSION,
    ),
    "a file in memory": ("call(@memfd_create@, b'x', 0)", PERMISSION),
    "a secret file in memory": ("call(447, 0)", ABSENT),
    "a shared segment": ("call(@shmget@, 0, 1 << 28, 0o1600)", PERMISSION),
    "a message queue": ("call(@mq_open@, b'x', 0o100 | 2, 0o600, 0)", PERMISSION),
    "pages mapped elsewhere": ("call(@remap_file_pages@, mapped(0x22), 4096, 0, 1, 0)", PERMISSION),
    "larger pipes": ("fcntl.fcntl(os.pipe()[1], 1031, 1 << 20)", PERMISSION),
    "a gigabyte of numbers": ("import numpy; numpy.ones(1 << 27)", "MemoryError"),
    "the heap by hand": ("c.sbrk.restype = ctypes.c_void_p; told(c.sbrk(ctypes.c_long(1 << 30)))", "OSError"),
    "a mapping that reserves nothing": ("[mapped(0x4022, size=1 << 28) for _ in range(8)]", "OSError"),
    "a mapping that grows down": ("[mapped(0x0122, size=1 << 28) for _ in range(8)]", "OSError"),
    "stacks of threads": (
        "import threading, time\nthreading.stack_size(1 << 28)\nfor _ in range(8):\n"
        "    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
        "RuntimeError",
    ),
    # the host held up, watched, looked into
    "a lock on a library": ("fcntl.flock(os.open(LIBC, os.O_RDONLY), fcntl.LOCK_EX)", PERMISSION),
    "a lock on a part of a library": ("fcntl.lockf(os.open(LIBC, os.O_RDONLY), fcntl.LOCK_SH)", PERMISSION),
    "a lock of the open file": (
        "fcntl.fcntl(os.open(LIBC, os.O_RDONLY), 37, b'\\0' * 32)",
        PERMISSION,
    ),
    "a lease on a library": ("fcntl.fcntl(os.open(LIBC, os.O_RDONLY), fcntl.F_SETLEASE, 0)", PERMISSION),
    "news of a folder": ("fcntl.fcntl(os.open('/usr/lib', os.O_RDONLY), fcntl.F_NOTIFY, 1)", PERMISSION),
    "a watch on files": ("call(@inotify_init1@, 0)", PERMISSION),
    "a watch on a mount": ("call(@fanotify_init@, 0, 0)", PERMISSION),
    "all disks flushed": ("call(@sync@)", PERMISSION),
    "the kernel's log": ("call(@syslog@, 10, 0, 0)", PERMISSION),
    "another process looked at": ("call(@kcmp@, 1, 1, 0, 0, 0)", PERMISSION),
    "a handle on another process": ("call(434, 1, 0)", ABSENT),
    "pages moved between pipes": ("call(@splice@, os.pipe()[0], 0, os.pipe()[1], 0, 1, 0)", PERMISSION),
    "the new way to mount": ("call(428, -100, b'/', 1)", ABSENT),
    "a mount made writable": ("call(442, -100, b'/usr/lib', 0, b'\\0' * 32, 32)", ABSENT),
    "rings of calls": ("call(425, 8, b'\\0' * 120)", ABSENT),
    "the machine's name": ("call(@sethostname@, b'x', 1)", PERMISSION),
    "the machine's clock": ("call(@clock_settime@, 0, b'\\0' * 16)", PERMISSION),
    "a module of the kernel": ("call(@finit_module@, os.open(LIBC, os.O_RDONLY), b'', 0)", PERMISSION),
    "another kernel": ("call(@kexec_load@, 0, 0, 0, 0)", PERMISSION),
    "faults handled by itself": ("call(@userfaultfd@, 0)", PERMISSION),
    "a file flushed": ("os.fsync(os.open(LIBC, os.O_RDONLY))", PERMISSION),
    "a library's pages thrown out of memory": (
        "os.posix_fadvise(os.open(LIBC, os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)",
        PERMISSION,
    ),
    "a library read into memory": ("call(@readahead@, os.open(LIBC, os.O_RDONLY), 0, 1 << 30)", PERMISSION),
    "pages merged with those of others": (
        "c.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]\ntold(c.madvise(mapped(0x22), 4096, 12))",
        PERMISSION,
    ),
    **{
        f"a library's pages {what}, by a mapping of it": (
            "c.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]\n"
            f"told(c.madvise(mapped(0x02, os.open(LIBC, os.O_RDONLY), 1, 1 << 16), 1 << 16, {advice}))",
            PERMISSION,
        )
        for what, advice in {
            "read into memory": 3,
            "thrown out of memory first": 20,
            "thrown out of memory": 21,
        }.items()
    },
    "all pages merged with those of others": ("told(c.prctl(67, 1, 0, 0, 0))", PERMISSION),
    # what the user's account is charged for, whoever else works under it
    "memory that stays": (
        "c.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]; told(c.mlock(mapped(0x22), 1 << 16))",
        PERMISSION,
    ),
    "all memory that stays": ("told(c.mlockall(3))", PERMISSION),
    "ten thousand signals": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [40])\nfor _ in range(10_000):\n"
        "    call(@rt_sigqueueinfo@, os.getpid(), 40, b'\\x28\\0\\0\\0' + bytes(4) + b'\\xff' * 4 + bytes(116))",
        "BlockingIOError",
    ),
    "ten thousand timers": (
        "for _ in range(10_000): call(@timer_create@, 1, 0, ctypes.byref(ctypes.c_int()))",
        "BlockingIOError",
    ),
    "a file of shared memory": ("open('/dev/shm/x', 'wb')", "No such file"),
    "a file without a name": ("os.open('/dev', os.O_TMPFILE | os.O_RDWR)", READ_ONLY),
    "a storm of forks": (
        "for _ in range(2000):\n    try: os.fork()\n    except OSError as error: last = error\nraise last",
        PERMISSION,
    ),
    "another program": ("import sys; os.posix_spawn(sys.executable, ['python'], {})", PERMISSION),
    "a process traced": ("call(@ptrace@, 0, 0, 0, 0)", PERMISSION),
    "a key in the kernel": ("call(@add_key@, b'user', b'x', b'y', 1, -4)", PERMISSION),
    "a keyring joined": ("call(@keyctl@, 1, 0)", PERMISSION),
    "a handle on a file": (
        "call(@name_to_handle_at@, -100, b'/usr/lib', b'\\x80' + bytes(200), bytes(8), 0)",
        PERMISSION,
    ),
    "a fence of its own": ("call(444, 0, 0, 1)", ABSENT),
    "a filter that allows all": (
        "code = (ctypes.c_uint64 * 1)(0x7FFF000000000006)\n"
        "class Program(ctypes.Structure): _fields_ = [('n', ctypes.c_ushort), ('code', ctypes.c_void_p)]\n"
        "call(@seccomp@, 1, 0, ctypes.byref(Program(1, ctypes.addressof(code))))\nos.chmod('/dev/zero', 0o600)",
        PERMISSION,
    ),
    "a message to a name outside": (
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', '\\0@outside@')",
        "ConnectionRefusedError",
    ),
    "a message to a name outside, connected first": (
        "one = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]\none.connect('\\0@outside@')\none.send(b'x')",
        "ConnectionRefusedError",
    ),
    "a socket with a name": (
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].bind('/box/x')",
        READ_ONLY,
    ),
    "who is killed for memory": ("open('/proc/self/oom_score_adj', 'w').write('-1000')", "No such file"),
    "the slack of its parent's timers": ("open('/proc/1/timerslack_ns', 'w').write('1')", "No such file"),
    "a setting of the machine": ("open('/proc/sys/vm/overcommit_memory', 'w').write('1')", "No such file"),
    "more of a limit": ("import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "ValueError"),
    "more of the processor": ("os.setpriority(os.PRIO_PROCESS, 0, -20)", PERMISSION),
    "the processor at once": ("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))", PERMISSION),
    "the disk at once": ("call(@ioprio_set@, 1, 0, 1 << 13)", PERMISSION),
}

KILLED = {
    "the mode of a device through the 32-bit door": (
        # mov eax, 15 (chmod); mov ebx, path; xor ecx, ecx; int 0x80; ret: in memory that 32 bits can reach.
        "place = told(c.mmap(None, 4096, 7, 0x62, -1, 0)); path = place + 64\n"
        "ctypes.memmove(path, b'/dev/zero\\0', 10)\n"
        "code = b'\\x53\\xb8\\x0f\\0\\0\\0\\xbb' + path.to_bytes(4, 'little') + b'\\x31\\xc9\\xcd\\x80\\x5b\\xc3'\n"
        "ctypes.memmove(place, code, len(code)); ctypes.CFUNCTYPE(ctypes.c_int)(place)()"
    ),
}
"""What the kernel ends at once (SIGSYS); x86-64 alone has such a door."""

HARMLESS = {
    "descriptors in flight": (
        # Pipes full of bytes, sent to itself and closed: how much can be held beyond the open files?
        "held = 0\nones, others = [], []\n"
        "try:\n"
        "    while held < 1 << 30:\n"
        "        a, b = socket.socketpair(); ones.append(a); others.append(b)\n"
        "        for _ in range(64):\n"
        "            r, w = os.pipe(); os.set_blocking(w, False); n = os.write(w, b'x' * 65536)\n"
        "            socket.send_fds(a, [b'x'], [r]); os.close(r); os.close(w); held += n\n"
        "except OSError: pass\n"
        "print(held)"
    ),
    "signals to all that it sees": (
        "import signal, time\nfor process in (os.getppid(), 1, -1):\n    for number in range(1, signal.NSIG):\n"
        "        try: os.kill(process, number)\n        except OSError: pass\ntime.sleep(0.2); print(0)"
    ),
    "less for all of its user": (
        "for who in (0, 65534):\n    for kind in (os.PRIO_PGRP, os.PRIO_USER):\n"
        "        try: os.setpriority(kind, who, 19)\n        except OSError: pass\n"
        "    for kind in (2, 3): c.syscall(@ioprio_set@, kind, who, 3 << 13)\n"
        "import resource\n"
        "for kind in range(16):\n    try: resource.prlimit(1, kind, (0, 0))\n    except (OSError, ValueError): pass\n"
        "print(0)"
    ),
}
"""What may go on, and prints how many bytes it came to hold."""

WORKS = {
    "numpy": ("import numpy; print(int(numpy.ones((200, 200)).dot(numpy.ones((200, 200))).sum()))", "8000000"),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor as T\nprint(sum(T(16).map(int, '123')))",
        "6",
    ),
    "recursion": ("def f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(30000))", "30000"),
    "an event loop": ("import asyncio\nasync def f(): return 7\nprint(asyncio.run(f()))", "7"),
    "writing to nowhere": ("import os, sys\nprint('x', file=open(os.devnull, 'w'))\nprint(open('/dev/zero', 'rb').read(1)[0])", "0"),
    "a mapping of its own": ("import mmap\nm = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE)\nm[:2] = b'ok'\nprint(m[:2].decode())", "ok"),
    "the clock and chance": ("import random, secrets, time\nprint(random.random() < 1, len(secrets.token_bytes(4)), time.time() > 0)", "True 4 True"),
}  # fmt: skip


def program(text: str) -> str:
    """A program with the numbers of this machine in it."""
    column = 0 if platform.machine() == "x86_64" else 1
    for name, numbers in NUMBERS.items():
        text = text.replace(f"@{name}@", str(numbers[column]))
    return f"{HELPERS}\n{text}\n".replace("@outside@", NAME)


NAME = f"unwaver-outside-{os.getpid()}"
"""Where messages from outside the sandbox would be heard."""


def hearing() -> socket.socket:
    """A socket under that name, in the abstract space."""
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind(f"\0{NAME}")
    ear.setblocking(False)
    return ear


def heard(ear: socket.socket) -> str:
    """What came in."""
    try:
        return ear.recv(100).decode("utf-8", "replace")
    except BlockingIOError:
        return "nothing"


def own() -> dict[str, Any]:
    """What of ourselves, who run the sandbox, a program could have changed."""
    return {
        "priority": [os.getpriority(kind, 0) for kind in (os.PRIO_PROCESS, os.PRIO_PGRP, os.PRIO_USER)],
        "schedule": os.sched_getscheduler(0),
        "processors": sorted(os.sched_getaffinity(0)),
        "limits": [resource.getrlimit(kind) for kind in range(16)],
        **{name: Path("/proc/self", name).read_text() for name in ("oom_score_adj", "timerslack_ns")},
    }


def state() -> dict[str, Any]:
    """What the programs aim at."""
    import numpy

    devices = [Path("/dev", name) for name in ("null", "zero", "random", "urandom")]
    files = [Path(os.__file__), Path(sys.executable).resolve(), Path(numpy.__file__).parent]
    libraries = list(Path("/usr/lib").glob("*/libc.so.6")) + list(Path("/usr/lib64").glob("libc.so.6"))
    found = {}
    for path in (*devices, *files, *libraries):
        stat = path.stat()
        found[str(path)] = [stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size, stat.st_mtime_ns, os.listxattr(path)]
    return found


def main() -> None:
    from unwaver.judging.graders.sandbox import Limits, Sandbox

    box = Sandbox(Limits(seconds=60, memory=1 << 29))
    ear = hearing()
    before = {**state(), "own": own(), "heard": "nothing"}
    attempts = {name: text + "\nprint('escaped')" for name, (text, _) in ESCAPES.items()} | HARMLESS
    attempts |= {name: text for name, (text, _) in WORKS.items()}
    attempts |= {name: text + "\nprint('escaped')" for name, text in KILLED.items()}
    ended = {}
    for name, text in attempts.items():
        outcome = box.run(program(text), b"x" * 8192)
        ended[name] = [outcome.how, outcome.code, outcome.output.decode(), outcome.errors]
    after = {**state(), "own": own(), "heard": heard(ear)}
    print(json.dumps({"user": os.geteuid(), "before": before, "after": after, "ended": ended, "by": box.memory_by}))


if __name__ == "__main__":
    main()
