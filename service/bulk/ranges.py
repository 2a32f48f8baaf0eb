"""The input, cut into ranges of whole lines; the same input is cut in the same way every time.

A line that is longer than the limit is a range of its own, and is passed over without being held.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, NamedTuple, cast

from service.errors import StartupError

RANGE_BYTES: Final = 1 << 20
"""Bytes of the input, decompressed, that a range has about: some hundred responses."""

STANDARD_INPUT: Final = "-"
GZIP, ZSTANDARD = ".gz", ".zst"
SPACE: Final = b" \t\r\n"
"""White space of JSON."""
_NEEDS_ZSTD: Final = "Zstandard needs the Python package backports.zstd: .venv/bin/pip install '.[bulk]'"


class Range(NamedTuple):
    """Whole lines of the input, one after the other.

    Args:
        ordinal: place among the ranges, from 0.
        first_line: number of its first line in the input, from 1.
        lines: how many lines it has, blank ones included.
        data: the lines; empty where there is only one, which is too long to be held.
        digest: SHA-256 of what stands in the input where that is not held, else empty.
        is_blank: a line that is not held has nothing but white space.
    """

    ordinal: int
    first_line: int
    lines: int
    data: bytes
    digest: bytes = b""
    is_blank: bool = False

    def digested(self) -> bytes:
        """Returns the SHA-256 of the input."""
        return self.digest or sha256(self.data).digest()

    def records(self) -> Iterator[tuple[int, bytes | None]]:
        """Yields the number and the bytes of each line that is not blank; None for one that is not held."""
        if not self.digest:
            numbered = enumerate(self.data.split(b"\n"), self.first_line)
            yield from ((number, raw) for number, raw in numbered if not is_blank(raw))
        elif not self.is_blank:
            yield self.first_line, None


def ranges(read: Callable[[int], bytes], most_bytes: int, size: int = RANGE_BYTES) -> Iterator[Range]:
    """Yields the ranges of an input.

    Args:
        read: returns so many bytes, and fewer only at the end.
        most_bytes: the longest line that is held, without its end.
        size: how much is read at a time; a range has less than `most_bytes` and twice this.
    """
    ordinal, line, held, rest = 0, 1, bytearray(), b""
    while chunk := rest or read(size):
        rest = b""
        end = chunk.rfind(b"\n") + 1
        held += chunk[:end] if end else chunk
        found = None
        if end:
            found = Range(ordinal, line, held.count(b"\n"), bytes(held))
            held = bytearray(chunk[end:])
        elif len(held) > most_bytes:
            digest, is_blank, rest = _passed_over(read, held, size)
            found = Range(ordinal, line, 1, b"", digest, is_blank)
            held = bytearray()
        if found is not None:
            yield found
            ordinal, line = ordinal + 1, line + found.lines
    if held:
        yield Range(ordinal, line, 1, bytes(held))


def _passed_over(read: Callable[[int], bytes], begun: bytearray, size: int) -> tuple[bytes, bool, bytes]:
    """Reads to the end of a line; returns its digest, whether it is blank, and what was read behind it."""
    digest, is_blank = sha256(begun), not begun.strip(SPACE)
    while chunk := read(size):
        end = chunk.find(b"\n") + 1
        part = chunk[:end] if end else chunk
        digest.update(part)
        is_blank = is_blank and not part.strip(SPACE)
        if end:
            return digest.digest(), is_blank, chunk[end:]
    return digest.digest(), is_blank, b""


# Files, compressed or not.


class Source(NamedTuple):
    """An input that is open.

    Args:
        read: as `ranges` takes it.
        size: bytes of the file; None where nobody knows them before the end.
        position: returns how many of these are read.
    """

    read: Callable[[int], bytes]
    size: int | None
    position: Callable[[], int]


@contextmanager
def opened(path: str) -> Iterator[Source]:
    """Opens an input, decompressed if its name says gzip or Zstandard; `-` is standard input.

    Raises:
        OSError: it cannot be opened. StartupError: it cannot be decompressed.
    """
    if path == STANDARD_INPUT:
        counted = _Counted(sys.stdin.buffer)
        yield Source(counted.read, None, counted.tell)
        return
    with Path(path).open("rb") as file, _decompressing(file, path) as stream:
        size = Path(path).stat().st_size if Path(path).is_file() else None
        if size == 0 and compression(path) == GZIP:  # which Python reads as a file that has no member
            raise _not_whole(path)
        position = file.tell if size is not None else lambda: 0
        yield Source(_reading(stream, path), size, position)


class _Counted:
    """A stream that cannot say how far it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._read = stream, 0

    def read(self, size: int) -> bytes:
        """Returns so many bytes, and fewer only at the end."""
        data = self._stream.read(size)
        self._read += len(data)
        return data

    def tell(self) -> int:
        """Returns how many bytes are read."""
        return self._read


def _decompressing(file: BinaryIO, path: str) -> IO[bytes]:
    kind = compression(path)
    if kind == GZIP:
        return cast(IO[bytes], gzip.GzipFile(fileobj=file, mode="rb"))
    if kind == ZSTANDARD:
        return cast(IO[bytes], _zstd(path).ZstdFile(file, "rb"))
    return file


def _reading(stream: IO[bytes], path: str) -> Callable[[int], bytes]:
    kind = compression(path)
    faults: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
    if kind == ZSTANDARD:
        faults = (EOFError, _zstd(path).ZstdError)

    def read(size: int) -> bytes:
        try:
            return stream.read(size)
        except faults:
            raise _not_whole(path) from None

    return read if kind else stream.read


def _not_whole(path: str) -> StartupError:
    name = {GZIP: "gzip", ZSTANDARD: "Zstandard"}[compression(path)]
    return StartupError([f"{path}: expected {name} data that are whole"])


def compression(path: str) -> str:
    """Returns how a file of this name is compressed: `.gz`, `.zst` or empty."""
    suffix = Path(path).suffix.lower()
    return suffix if suffix in (GZIP, ZSTANDARD) else ""


def compressor(path: str) -> Callable[[bytes], bytes]:
    """Returns a function that compresses bytes to a gzip member or Zstandard frame, by the name of a file.

    Members one behind the other are one file (RFC 1952, 2.2; RFC 8878, 3), so each range is compressed for
    itself, in the process that scores it, and a file can be gone on with behind any of them.

    Raises:
        StartupError: the package for it is not installed.
    """
    kind = compression(path)
    if kind == GZIP:
        return lambda data: gzip.compress(data, 6, mtime=0)
    if kind == ZSTANDARD:
        zstd = _zstd(path)
        checked = {zstd.CompressionParameter.checksum_flag: True}
        return lambda data: bytes(zstd.compress(data, options=checked))
    return bytes


def _zstd(path: str) -> Any:
    """Returns the module for Zstandard: that of the standard library from Python 3.14, else its backport."""
    try:
        if sys.version_info >= (3, 14):  # pragma: no cover - another Python than that of the tests
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise StartupError([f"{path}: {_NEEDS_ZSTD}"]) from None
    return zstd


def is_blank(line: bytes) -> bool:
    """Returns whether a line has nothing but white space of JSON."""
    return not line.strip(SPACE)
