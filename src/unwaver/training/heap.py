"""The C library's memory while a CPU trains."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The numbers of two options in glibc's malloc.h."""


@contextmanager
def kept() -> Iterator[None]:
    """Have glibc keep what is freed meanwhile, and give it back after: each step asks for the same again, and having it
    mapped anew costs a fifth of a step on a CPU. Pieces above 32 MB stay mappings of their own, or holes would add up.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL("libc.so.6")
    library.mallopt(M_MMAP_THRESHOLD, 32 * 2**20)
    library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        library.mallopt(M_TRIM_THRESHOLD, 64 * 2**20)
        library.malloc_trim(0)
