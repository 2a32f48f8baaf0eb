"""From an entry to its request, and from the answer to that to an entry of the answer.

Source: R4 http.html#transaction-response; Bundle.entry.response.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any

import orjson

from service.errors import Problem, TooLarge
from service.web.bundle_entries import Entry
from service.web.negotiation import FHIR_JSON
from service.web.reply import STATUS_LINES, Reply
from service.web.route import BASE_PATH

_FORM = "application/x-www-form-urlencoded"
_INSTANCE = re.compile(r"([A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?")
_LINK = re.compile(r'<([^<>]+)>; rel="([a-z-]+)"')
_OUTCOME = b'{"resourceType":"OperationOutcome"'


def environ_of(entry: Entry, body: bytes, prefer: str | None) -> dict[str, Any]:
    """Returns the request of an entry as a WSGI environment, as far as views read one.

    Args:
        entry: without problems.
        body: its resource, with links replaced.
        prefer: the header of the request that brought the Bundle; it holds for every entry.
    """
    environ = {
        "REQUEST_METHOD": entry.method,
        "PATH_INFO": f"{BASE_PATH}/{entry.path}",
        "QUERY_STRING": entry.query,
        "CONTENT_TYPE": _FORM if entry.searches else FHIR_JSON,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }
    environ |= {f"HTTP_{name}": text for name, text in entry.headers.items()}
    return environ if prefer is None else environ | {"HTTP_PREFER": prefer}


def location_of(reply: Reply) -> str:
    """Returns the url of the version that the reply is about, with the version; empty where it names none."""
    headers = dict(reply.headers)
    return headers.get("Location") or headers.get("Content-Location", "")


class Answers:
    """The entries of the answer, which come in any order and are written in the Bundle's."""

    def __init__(self, base: str, most_bytes: int) -> None:
        self._base = base
        self._left = most_bytes
        self._entries: dict[str, dict[str, Any]] = {}
        self._named: set[tuple[str, str | None]] = set()

    def check_room(self) -> None:
        """Raises TooLarge where the answers so far are as long as an answer may be."""
        if self._left <= 0:
            text = "The answers to other entries are too long. Expected: fewer entries, or smaller pages."
            raise TooLarge(Problem("bundle-size", text))

    def add(self, entry: Entry, reply: Reply) -> None:
        """Takes the answer to an entry."""
        body = b"" if entry.method == "HEAD" else reply.body
        self._left -= len(body)
        response: dict[str, Any] = {"status": STATUS_LINES[reply.status], **_validators(reply)}
        answer: dict[str, Any] = {"response": response}
        if body and _is_outcome(entry, reply):
            response["outcome"] = orjson.Fragment(body)
        elif body:
            answer = {**self._full_url(entry, reply), "resource": orjson.Fragment(body), **answer}
        self._entries[entry.place] = {**_links(reply), **answer}

    def bundle(self, kind: str, entries: tuple[Entry, ...]) -> bytes:
        """Returns the whole answer.

        Args:
            kind: `batch` or `transaction`.
            entries: of the request, each of them answered.
        """
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": f"{kind}-response"}
        if entries:
            bundle["entry"] = [self._entries[entry.place] for entry in entries]
        return orjson.dumps(bundle)

    def _full_url(self, entry: Entry, reply: Reply) -> dict[str, str]:
        """Returns the fullUrl of what has an identity; the same version has it once in a Bundle (bdl-7)."""
        found = _INSTANCE.fullmatch(location_of(reply).removeprefix(f"{self._base}/") or entry.path)
        if found is None:
            return {}
        named = (found[1], dict(reply.headers).get("ETag"))
        if named in self._named:
            return {}
        self._named.add(named)
        return {"fullUrl": f"{self._base}/{found[1]}"}


def _links(reply: Reply) -> dict[str, Any]:
    """Returns the links of the answer, such as that from a response to its result, as links of the entry."""
    header = dict(reply.headers).get("Link", "")
    found = [{"relation": each[2], "url": each[1]} for each in _LINK.finditer(header)]
    return {"link": found} if found else {}


def _validators(reply: Reply) -> dict[str, str]:
    headers = dict(reply.headers)
    modified = headers.get("Last-Modified", "")
    found = {
        "location": location_of(reply),
        "etag": headers.get("ETag", ""),
        "lastModified": _instant(modified) if modified else "",
    }
    return {name: text for name, text in found.items() if text}


def _instant(http_date: str) -> str:
    return parsedate_to_datetime(http_date).astimezone(UTC).isoformat().replace("+00:00", "Z")


def _is_outcome(entry: Entry, reply: Reply) -> bool:
    """Whether the body says how it went, rather than being what was asked for (as that of $validate is)."""
    return reply.status >= 400 or (entry.writes and reply.body.startswith(_OUTCOME))
