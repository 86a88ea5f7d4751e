"""The system calls a sandboxed program may not make, as a seccomp filter for bubblewrap.

Namespaces take away the files, the network and the other processes of the machine. The filter takes away what they
leave: new processes (a limit on their number does not bind a user that is root outside), sockets of every family (vsock
knows no network namespace), memory that no limit counts, and the parts of the kernel in which escapes have been found.
Everything else is allowed; a refused call fails with EPERM. Linux on x86-64 and arm64.
"""

from __future__ import annotations

import errno
import platform
import struct

_X86, _ARM = "x86_64", "aarch64"

_AUDIT = {_X86: 0xC000003E, _ARM: 0xC00000B7}
"""AUDIT_ARCH_* of linux/audit.h."""

_CLONE = {_X86: 56, _ARM: 220}
_CLONE3 = 435
_CLONE_THREAD = 0x00010000

_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # processes
    "fork": (57, None),
    "vfork": (58, None),
    # the network
    "socket": (41, 198),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    # memory that RLIMIT_AS does not count
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # the kernel's soft spots
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "personality": (135, 92),
}
"""Name -> number on (x86-64, arm64), from the kernel's syscall tables; None where it does not exist."""

_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000


def supported() -> bool:
    """Whether the filter is written for this machine."""
    return platform.machine() in _AUDIT


def seccomp() -> bytes:
    """The filter as the array of `sock_filter` that bubblewrap's `--seccomp` reads."""
    machine = platform.machine()
    column = (_X86, _ARM).index(machine)
    refuse, absent = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    program = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, absent),
        # glibc turns to clone where clone3 is missing; of clone, only threads of the same process are allowed.
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, absent),
        (_EQUAL, 0, 4, _CLONE[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_HAS_BITS, 0, 1, _CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, refuse),
    ]
    for numbers in _REFUSED.values():
        number = numbers[column]
        if number is not None:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
