"""Serves folders over loopback as a good web server would: compressed, from memory, to be kept for ever."""

from __future__ import annotations

import gzip
import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit


@cache
def compressed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), 9)


class _Files(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, folders: tuple[Path, ...], *connection: Any) -> None:
        self._folders = folders
        super().__init__(*connection)

    def do_GET(self) -> None:
        asked = urlsplit(self.path).path.lstrip("/")
        path = next((each / asked for each in self._folders if (each / asked).is_file()), None)
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = compressed(path)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", mimetypes.guess_type(path.name)[0] or "application/octet-stream")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "public, max-age=31536000, immutable")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing: the figures are what is printed."""


@contextmanager
def files_served(*folders: Path) -> Iterator[str]:
    """Gives the origin of a server of the folders, which ends with the block.

    It is for a measurement: it trusts all who ask.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, folders)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
