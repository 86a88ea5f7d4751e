"""The system calls a sandboxed program may not make, as a seccomp filter for bubblewrap.

Namespaces take away the files, the network and the other processes of the machine. The filter takes away what they
leave: new processes (a limit on their number does not bind a user that is root outside), sockets of every family (vsock
knows no network namespace), memory that no limit counts, whatever changes a file's mode, owner, times or attributes or
locks it (what is shown read-only may belong to the user outside), and the parts of the kernel in which escapes have
been found. A refused call fails with EPERM; a call newer than `_NEWEST` is absent (ENOSYS), as on an older kernel, so
that what kernels learn later is not open until somebody looks. Linux on x86-64 and arm64.

Written here and not with libseccomp's bindings: that library need not be there where bubblewrap is, and the one that is
common (2.5) does not know the names of the newest calls, so that this table would be needed beside it.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Mapping

_X86, _ARM = "x86_64", "aarch64"

_AUDIT = {_X86: 0xC000003E, _ARM: 0xC00000B7}
"""AUDIT_ARCH_* of linux/audit.h."""

_CLONE = {_X86: 56, _ARM: 220}
_CLONE_THREAD = 0x00010000

_MMAP = {_X86: 9, _ARM: 222}
_MAP_SHARED = 0x01
"""Also a bit of MAP_SHARED_VALIDATE. A shared mapping keeps its pages when all but one of them is unmapped, and
RLIMIT_AS counts what is mapped."""

_FCNTL = {_X86: 72, _ARM: 25}
_FCNTL_REFUSED = {
    "F_SETLK": 6,
    "F_SETLKW": 7,
    "F_OFD_SETLK": 37,
    "F_OFD_SETLKW": 38,
    "F_SETLEASE": 1024,
    "F_NOTIFY": 1026,
    "F_SETPIPE_SZ": 1031,
}
"""What would hold up others who open the same file, and pipes larger than the usual 64 KiB."""

_MADVISE = {_X86: 28, _ARM: 233}
_MADVISE_REFUSED = {"MADV_WILLNEED": 3, "MADV_MERGEABLE": 12, "MADV_COLD": 20, "MADV_PAGEOUT": 21}
"""What of a mapped file stays in memory, as fadvise64 would have it; and pages that are merged with those of others,
which tell by their speed what others hold."""
_PRCTL = {_X86: 157, _ARM: 167}
_PR_SET_MEMORY_MERGE = 67

_NEWEST = {_X86: 334, _ARM: 293}
"""rseq, the last call before the numbers that all machines share."""
_NEWER_ALLOWED = {"close_range": 436, "openat2": 437, "faccessat2": 439, "epoll_pwait2": 441, "futex_waitv": 449}
"""clone3 is not among them: glibc turns to clone where it is missing."""

_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # processes
    "fork": (57, None),
    "vfork": (58, None),
    # the network
    "socket": (41, 198),
    # modes, owners, times and attributes of files
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "getxattr": (191, 8),
    "lgetxattr": (192, 9),
    "fgetxattr": (193, 10),
    "listxattr": (194, 11),
    "llistxattr": (195, 12),
    "flistxattr": (196, 13),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    # files of the host: held up, watched, flushed, thrown out of memory
    "flock": (73, 32),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "sync": (162, 81),
    "syncfs": (306, 267),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "sync_file_range": (277, 84),
    "fadvise64": (221, 223),
    "readahead": (187, 213),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # memory that RLIMIT_AS does not count
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "memfd_create": (319, 279),
    "remap_file_pages": (216, 234),
    # the whole machine
    "syslog": (103, 116),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "quotactl": (179, 60),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "iopl": (172, None),
    "ioperm": (173, None),
    # the kernel's soft spots
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "splice": (275, 76),
    "tee": (276, 77),
    "vmsplice": (278, 75),
    "modify_ldt": (154, None),
    "io_setup": (206, 0),
    "lookup_dcookie": (212, 18),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "personality": (135, 92),
}
"""Name -> number on (x86-64, arm64), from the kernel's syscall tables; None where it does not exist."""

_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCH = 0, 4

Instruction = tuple[int, int, int, int]
"""Code, how many to pass over where it holds, how many where it does not, the constant."""


def supported() -> bool:
    """Whether the filter is written for this machine."""
    return platform.machine() in _AUDIT


def seccomp() -> bytes:
    """The filter as the array of `sock_filter` that bubblewrap's `--seccomp` reads."""
    machine = platform.machine()
    refuse, absent = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for number in _NEWER_ALLOWED.values():
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    # The numbers of x86-64's second set (x32) begin far above, so they are absent too.
    program += [(_AT_LEAST, 0, 1, _NEWEST[machine] + 1), (_RETURN, 0, 0, absent)]
    for numbers in _REFUSED.values():
        refused = numbers[(_X86, _ARM).index(machine)]
        if refused is not None:
            program += [(_EQUAL, 0, 1, refused), (_RETURN, 0, 0, refuse)]
    # Of clone, only threads of the same process are allowed.
    program += _where(_CLONE[machine], 0, [(_HAS_BITS, 1, 0, _CLONE_THREAD), (_RETURN, 0, 0, refuse)])
    program += _where(_MMAP[machine], 3, [(_HAS_BITS, 0, 1, _MAP_SHARED), (_RETURN, 0, 0, refuse)])
    program += _where(_MADVISE[machine], 2, _any_of(_MADVISE_REFUSED, refuse))
    program += _where(_PRCTL[machine], 0, [(_EQUAL, 0, 1, _PR_SET_MEMORY_MERGE), (_RETURN, 0, 0, refuse)])
    program += _where(_FCNTL[machine], 1, _any_of(_FCNTL_REFUSED, refuse))
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _any_of(values: Mapping[str, int], refuse: int) -> list[Instruction]:
    return [one for value in values.values() for one in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, refuse))]


def _where(number: int, argument: int, then: list[Instruction]) -> list[Instruction]:
    """For one call: `then` on the low half of an argument, and allowed where that does not return."""
    inner: list[Instruction] = [(_LOAD, 0, 0, 16 + 8 * argument), *then, (_RETURN, 0, 0, _ALLOW)]
    return [(_EQUAL, 0, len(inner), number), *inner]
