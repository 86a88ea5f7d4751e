"""A file's bytes as UTF-8, whatever it is packed and written in: gzip, zstd, bzip2, xz; UTF-8 and UTF-16 with a mark.

Nothing is guessed beyond what the name and the first bytes say. What breaks off or is no such file is a RecordError.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from unwaver.errors import RecordError

PACKED = (".gz", ".zst", ".bz2", ".xz")
"""Endings of packed files; what is inside is told by the ending before."""

_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
          (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


def ending(path: Path) -> str:
    """What a file holds, by its name in small letters, with the ending of a packed one taken off."""
    name = path.name.lower()
    return Path(next((name.removesuffix(one) for one in PACKED if name.endswith(one)), name)).suffix


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked, and recoded where a mark at its beginning says UTF-16 or UTF-32.

    RecordError where there is no such file, or it can't be unpacked to its end or recoded.
    """
    try:
        with _unpacked(path) as content:
            yield _recoded(content)
    except FileNotFoundError:
        raise RecordError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: not {error.encoding.upper()} throughout, as its first bytes say") from None
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise RecordError(f"{path}: can't be unpacked: {error}") from None
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else f"can't be unpacked: {error}"
        raise RecordError(f"{path}: {why}") from None


@contextmanager
def _unpacked(path: Path) -> Iterator[io.BufferedReader]:
    packed = path.suffix.lower()
    with path.open("rb") as raw:
        if packed == ".zst":
            import pyarrow as pa  # type: ignore[import-untyped]

            yield io.BufferedReader(cast(io.RawIOBase, pa.CompressedInputStream(raw, "zstd")), 1 << 20)
        elif packed in PACKED:
            openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
            yield io.BufferedReader(openers[packed](raw), 1 << 20)
        else:
            yield raw


def _recoded(content: io.BufferedReader) -> IO[bytes]:
    start = content.peek(4)[:4]
    encoding = next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)
    if encoding is None and len(start) == 4 and start[::2].count(0) != start[1::2].count(0):
        encoding = "utf-16-le" if start[1] == start[3] == 0 else "utf-16-be" if start[0] == start[2] == 0 else None
    return content if encoding is None else io.BufferedReader(_Recoded(content, encoding), 1 << 16)


class _Recoded(io.RawIOBase):
    """Text in another encoding as the bytes of UTF-8."""

    def __init__(self, content: IO[bytes], encoding: str) -> None:
        self._content, self._left = content, b""
        self._decode = codecs.getincrementaldecoder(encoding)()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:
            piece = self._content.read(1 << 16)
            self._left = self._decode.decode(piece, final=not piece).encode("utf-8", "surrogatepass")
            if not piece and not self._left:
                return 0
        taken = self._left[: len(buffer)]
        self._left = self._left[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)
