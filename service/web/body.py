"""Reads the body of a request, never more of it than the limit, decompressed if need be."""

from __future__ import annotations

import zlib
from typing import Any, BinaryIO

from gunicorn.http.errors import ParseException

from service.errors import Malformed, Problem, TooLarge, Unsupported
from service.web.call import Environ

_GZIP_WINDOW = 31
_GZIP = ("gzip", "x-gzip")


def read_body(environ: Environ, limit: int) -> bytes:
    """Returns the whole body, decompressed.

    Args:
        environ: the WSGI environment; its input ends where the body ends.
        limit: longest body in bytes, both as sent and decompressed.

    Raises:
        TooLarge: longer than the limit; a longer Content-Length is refused unread.
        Malformed: shorter than announced, or not what its encoding says.
        Unsupported: an encoding other than gzip.
    """
    data = _sent(environ, limit)
    encoding: str = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if not encoding or encoding == "identity":
        return data
    if encoding in _GZIP:
        return _decompressed(data, limit)
    raise Unsupported(Problem("content-encoding", "The body's encoding is not read. Expected: gzip or none."))


def _sent(environ: Environ, limit: int) -> bytes:
    announced: str = environ.get("CONTENT_LENGTH", "")
    length = int(announced) if announced.isdecimal() else None
    if length is not None and length > limit:
        raise _too_large(limit)
    data = _read(environ["wsgi.input"], limit + 1 if length is None else length)
    if len(data) > limit:
        raise _too_large(limit)
    if length is not None and len(data) < length:
        raise _incomplete()
    return data


def _read(source: Any, size: int) -> bytes:
    stream: BinaryIO = source
    try:
        return stream.read(size)
    except (ParseException, OSError) as error:
        raise _incomplete() from error


def _decompressed(data: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        body = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise _incomplete() from error
    if len(body) > limit:
        raise _too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise _incomplete()
    return body


def _too_large(limit: int) -> TooLarge:
    expected = f"Expected at most {limit} bytes, decompressed."
    return TooLarge(Problem("body-size", f"The body is too long. {expected}"))


def _incomplete() -> Malformed:
    return Malformed(Problem("body-incomplete", "The body ended early or its encoding is broken."))
