"""One request as a view sees it: a thin reading of the WSGI environment.

Where the parameters of a search may stand, how a body is read and what a caller prefers is decided here.

Source:
    R4 http.html#search, http.html#prefer, search.html#errors; RFC 7240.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import parse_qsl

import msgspec
from gunicorn.http.errors import ParseException

from service.assess import AS_STATED, OF_RESPONSE
from service.auth.principal import ANONYMOUS, Principal
from service.errors import Malformed, Problem, TooLarge, Unsupported
from service.records.reach import EVERYTHING, Reach
from service.search import LAYOUT
from service.web.negotiation import answer_type, check_body_type, preferred_languages

if TYPE_CHECKING:
    from service.audit import RecordedRequest
    from service.records import Unit

Environ = Mapping[str, Any]
Query = tuple[tuple[str, str], ...]

MOST_PARAMETERS: Final = 100
"""Most parameters of a query string or a form."""

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
_GZIP: Final = ("gzip", "x-gzip")
_GZIP_WINDOW: Final = 31
_SEPARATOR: Final = re.compile(r"[;,]")
_RETURNS: Final = {
    "minimal": "minimal",
    "representation": "representation",
    "operationoutcome": "OperationOutcome",
}


class Request(msgspec.Struct, frozen=True):
    """One request.

    Args:
        environ: the WSGI environment.
        args: the variable parts of the path, by name.
        unit: the transaction that the request is part of, where it came in a Bundle.
        principal: who sends it.
        reach: what of the stored data it may touch.
        asked: what the audit trail will say of it; None if there is none.
    """

    environ: Environ
    args: Mapping[str, str]
    unit: Unit | None = None
    principal: Principal = ANONYMOUS
    reach: Reach = EVERYTHING
    asked: RecordedRequest | None = None

    def header(self, name: str) -> str | None:
        """Returns a request header by its WSGI name, such as `IF_NONE_MATCH`."""
        value: str | None = self.environ.get("HTTP_" + name)
        return value

    def query(self) -> Query:
        """Returns the parameters of the query string in order, decoded once."""
        text: str = self.environ.get("QUERY_STRING", "")
        return parameters(text.encode("latin-1")) if text else ()

    def check_body_type(self) -> None:
        """Raises Unsupported unless the body is JSON, FHIR R4 and UTF-8 by its Content-Type."""
        check_body_type(self.environ.get("CONTENT_TYPE"))

    def body(self, limit: int) -> bytes:
        """Returns the whole body, decompressed.

        Args:
            limit: longest body in bytes, both as sent and decompressed.

        Raises:
            TooLarge: longer than the limit; a longer Content-Length is refused unread.
            Malformed: shorter than announced, or not what its encoding says.
            Unsupported: an encoding other than gzip.
        """
        data = _sent(self.environ, limit)
        encoding = (self.header("CONTENT_ENCODING") or "").strip().lower()
        if encoding in _GZIP:
            data = _decompressed(data, limit)
        elif encoding not in ("", "identity"):
            expected = "Expected: gzip or none."
            raise Unsupported(Problem("content-encoding", f"The body's encoding is not read. {expected}"))
        if self.asked is not None:
            self.asked.bodies.append(data)
        return data

    def optional_body(self, limit: int) -> bytes:
        """Returns the body of a POST, which has to be JSON unless it is empty; raises as `body` does."""
        data = self.body(limit) if self.environ["REQUEST_METHOD"] == "POST" else b""
        if data:
            self.check_body_type()
        return data

    def operation(self, limit: int) -> tuple[str, bytes]:
        """Returns the media type of the answer and the body of an operation; raises as these two do."""
        self.check_body_type()
        return self.answer_type(), self.body(limit)

    def record_read(self, body: bytes) -> None:
        """Tells the audit trail what was read, if the answer holds only a part of it or is made of it."""
        if self.asked is not None:
            self.asked.whole.append(body)

    def answer_type(self) -> str:
        """Returns the media type of the answer; raises NotAcceptable."""
        return answer_type(self.environ.get("HTTP_ACCEPT"), self.option("_format"))

    def languages(self) -> tuple[str, ...]:
        """Returns in which languages a result is wanted, that of the response itself before all others."""
        header = self.environ.get("HTTP_ACCEPT_LANGUAGE")
        return (OF_RESPONSE, *preferred_languages(header)) if header else AS_STATED

    def is_pretty(self) -> bool:
        """Says whether the answer is wanted with line breaks."""
        return self.option("_pretty") == "true"

    def option(self, name: str) -> str | None:
        """Returns a parameter of the query string, the last if there are several; None if there is none."""
        if name not in self.environ.get("QUERY_STRING", ""):
            return None
        return dict(self.query()).get(name)


def parameters(text: bytes) -> Query:
    """Returns the pairs of a query string or a form body, in order; empty values are kept.

    Raises:
        Malformed: not UTF-8, or more than a hundred parameters.
    """
    try:
        pairs = parse_qsl(
            text.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except ValueError as error:
        expected = f"Expected at most {MOST_PARAMETERS} parameters in UTF-8, percent-encoded."
        raise Malformed(Problem("query", f"The parameters cannot be read. {expected}")) from error
    return tuple(pairs)


def search_parameters(request: Request, limit: int) -> Query:
    """Returns the pairs of the query string and, of a POST, of the form too.

    How the answer is written is said in the query string alone, as R4 has it.

    Args:
        request: a GET, or a POST to `_search`.
        limit: longest form in bytes.

    Raises:
        Unsupported: the body is not a form.
        Malformed, TooLarge: it cannot be read.
    """
    if request.environ["REQUEST_METHOD"] != "POST":
        return request.query()
    content_type: str = request.environ.get("CONTENT_TYPE", "")
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise Unsupported(Problem("content-type", f"Expected Content-Type: {FORM}."))
    form = parameters(request.body(limit))
    return (*request.query(), *(pair for pair in form if pair[0] not in LAYOUT))


# The body: never more of it than the limit, decompressed if need be.


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


# What a caller prefers, from the header Prefer; what is not understood is ignored.


def is_strict(request: Request) -> bool:
    """Says whether parameters that are not known are to be refused rather than left out."""
    return "handling=strict" in _preferences(request)


def wanted_return(request: Request) -> str:
    """Returns `minimal`, `representation` or `OperationOutcome`; `representation` where nothing is said."""
    for preference in _preferences(request):
        name, _, value = preference.partition("=")
        if name == "return" and value in _RETURNS:
            return _RETURNS[value]
    return "representation"


def _preferences(request: Request) -> list[str]:
    text = request.header("PREFER")
    if text is None:
        return []
    return [re.sub(r'[\s"]', "", part).lower() for part in _SEPARATOR.split(text)]
