"""Styles and scripts of the pages: read and compressed once, under names that change with their content.

A browser keeps such a file for a year. Under its plain name a file is there too, for pages of others that
name it; there it is asked for again each time.

Source:
    RFC 9111, section 4; RFC 8246 (immutable); RFC 9110, section 12.5.3 (Accept-Encoding).
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from service.errors import NotFound, Problem
from service.web.conditional import conditional
from service.web.reply import REVALIDATE, Header, Reply, Version
from service.web.request import Request

FOLDER: Final = Path(__file__).with_name("static")

_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_A_YEAR: Final[Header] = ("Cache-Control", "public, max-age=31536000, immutable")
_FOR_AN_HOUR: Final[Header] = ("Cache-Control", "public, max-age=3600")
_VARIES: Final[Header] = ("Vary", "Accept-Encoding")
_GZIPPED: Final[Header] = ("Content-Encoding", "gzip")
_BEST: Final = 9
_COMMENT_LINES: Final = re.compile(rb"^[ \t]*(?:/\*(?:[^*]|\*(?!/))*\*/|//[^\n]*)[ \t]*\n|^\n", re.MULTILINE)
"""No browser needs them on a slow line."""


class _File(msgspec.Struct, frozen=True):
    body: bytes
    gzipped: bytes
    media_type: str
    lasts: bool
    version: Version


class StaticFiles:
    """The files of a folder.

    Args:
        folder: files of the known types in it are served, others are not.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files: dict[str, _File] = {}
        found = [path for path in sorted(folder.iterdir()) if path.suffix in _TYPES]
        self.urls: Mapping[str, str] = {path.name: f"/static/{self._add(path)}" for path in found}

    def _add(self, path: Path) -> str:
        body = path.read_bytes()
        if ".min." not in path.name:  # whose first lines are its licence
            body = without_comments(body)
        hash_ = sha256(body).hexdigest()[:12]
        own = f"{path.stem}.{hash_}{path.suffix}"
        gzipped = gzip.compress(body, _BEST, mtime=0)
        for name, lasts in ((own, True), (path.name, False)):
            version = Version(f'W/"{hash_}"')
            self._files[name] = _File(body, gzipped, _TYPES[path.suffix], lasts, version)
        return own

    def read(self, request: Request) -> Reply:
        """Returns a file; raises NotFound."""
        file = self._files.get(request.args["name"])
        if file is None:
            raise NotFound(Problem("route-unknown", "Nothing is served under this path."))
        return _reply(file, _FOR_A_YEAR if file.lasts else REVALIDATE, request)

    def embed(self, request: Request) -> Reply:
        """Returns the script that pages of other sites load; its address stays when it changes."""
        return _reply(self._files["embed.js"], _FOR_AN_HOUR, request)


def without_comments(body: bytes) -> bytes:
    """Returns a style or script without its empty lines and those that are a comment and nothing else."""
    return _COMMENT_LINES.sub(b"", body)


def _reply(file: _File, lasting: Header, request: Request) -> Reply:
    headers = (("Content-Type", file.media_type), lasting)
    reply = compressed(Reply(200, file.body, headers), request, file.gzipped)
    return reply if file.lasts else conditional(request, reply, file.version)


def compressed(reply: Reply, request: Request, gzipped: bytes = b"") -> Reply:
    """Returns a reply with its body compressed, if the client accepts that.

    Args:
        gzipped: the body as it is compressed, where that was done before.
    """
    headers = (*reply.headers, _VARIES)
    if not takes_gzip(request.header("ACCEPT_ENCODING") or ""):
        return reply._replace(headers=headers)
    return reply._replace(
        body=gzipped or gzip.compress(reply.body, _BEST, mtime=0), headers=(*headers, _GZIPPED)
    )


def takes_gzip(accepted: str) -> bool:
    """Returns whether an Accept-Encoding header takes gzip; a quality of 0 refuses it."""
    return any(_is_gzip(coding) for coding in accepted.lower().split(","))


def _is_gzip(coding: str) -> bool:
    name, _, parameters = coding.partition(";")
    return name.strip() in ("gzip", "x-gzip") and not _is_refused(parameters.split(";"))


def _is_refused(parameters: Iterable[str]) -> bool:
    return any(parameter.replace(" ", "").rstrip("0") in ("q=", "q=0.") for parameter in parameters)
