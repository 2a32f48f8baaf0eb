"""What a browser sends with a page of a form: its controls, its files and the state of the page.

Source:
    HTML, form submission; Fetch metadata, Sec-Fetch-Site; Fetch, "append a request Origin header": a page
    whose referrer policy is no-referrer names its origin null.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from typing import Final
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from service.errors import ServiceError
from service.languages import Words
from service.pages.model import Problem as Shown
from service.pages.reading import Posted
from service.pages.state import FormState, StateRefused, StateSeal, StateWriter
from service.web.request import FORM, MULTIPART, Request

_MOST_PARTS: Final = 2000
_MOST_SAID: Final = 10_000
"""Most lines and parameters of all heads of parts together: a control has three, a file five."""
_LONGEST_HEAD_BYTES: Final = 8192
_BLANK_LINE: Final = re.compile(rb"\r\n\r\n|\r\r|\n\n")
_REFUSALS: Final[Mapping[str, str]] = {"bad": "refused", "old": "old", "other": "other-version"}
_OWN_SITES: Final = ("same-origin", "none")
_MOST_FAULTS: Final = 10
"""Most faults of a file that are told: whoever reads them has saved it, not written it."""


class PageRefused(Exception):
    """A request that is answered by a page which says why not.

    Args:
        name: of the message.
        status: of the answer.
    """

    def __init__(self, name: str, status: int) -> None:
        super().__init__(name)
        self.name = name
        self.status = status


def check_origin(request: Request, server: str) -> None:
    """Raises PageRefused if a page of another origin sends the form.

    Args:
        request: what was sent.
        server: public url of this server.
    """
    site, origin = request.header("SEC_FETCH_SITE"), request.header("ORIGIN")
    if site is not None and site not in _OWN_SITES:
        raise PageRefused("refused", 403)
    if origin in (None, "null"):
        return
    try:
        named, public = urlsplit(origin or ""), urlsplit(server)
    except ValueError as fault:
        raise PageRefused("refused", 403) from fault
    if named[:2] != public[:2] and named.netloc != request.header("HOST"):
        raise PageRefused("refused", 403)


def controls_in(request: Request, limit: int) -> tuple[Posted, Mapping[str, bytes]]:
    """Returns the values and the files of a posted form, by name of the control.

    Args:
        request: what was sent.
        limit: longest form in bytes.

    Raises:
        PageRefused: it is no form, or none that can be read.
        TooLarge, Malformed, Unsupported: as Request.body raises them.
    """
    media_type, options = parse_options_header(request.environ.get("CONTENT_TYPE", ""))
    if media_type not in (FORM, MULTIPART):
        raise PageRefused("refused", 415)
    body = request.body(limit)
    if not _is_quick_to_read(body, options.get("boundary", "") if media_type == MULTIPART else None):
        raise PageRefused("refused", 400)
    parser = FormDataParser(
        stream_factory=lambda *_, **__: BytesIO(),  # a file of answers never goes to the disk
        max_form_memory_size=limit,
        max_content_length=limit,
        max_form_parts=_MOST_PARTS,
        silent=False,
    )
    try:
        _, values, files = parser.parse(BytesIO(body), media_type, len(body), options)
    except (HTTPException, ValueError) as fault:
        raise PageRefused("refused", 400) from fault
    return Posted(dict(values.lists())), {name: file.read() for name, file in files.items()}


def _is_quick_to_read(body: bytes, boundary: str | None) -> bool:
    """Says whether a form has no more controls, and says no more of them, than a page of ours could send.

    Args:
        body: the form.
        boundary: what stands between its parts; None of one that is written as a query string.
    """
    if boundary is None:
        return body.count(b"&") < _MOST_PARTS
    parts = body.split(f"--{boundary}".encode("latin-1", "replace"))[1:]
    heads = [_BLANK_LINE.split(part[:_LONGEST_HEAD_BYTES], 1) for part in parts if not part.startswith(b"--")]
    said = sum(head[0].count(b";") + len(head[0].splitlines()) for head in heads)
    return len(parts) <= _MOST_PARTS and all(len(head) > 1 for head in heads) and said <= _MOST_SAID


def opened(posted: Posted, seal: StateSeal, writer: StateWriter) -> FormState:
    """Returns the state that a page came with; raises PageRefused."""
    try:
        return seal.opened(posted.one("state"), writer)
    except StateRefused as fault:
        raise PageRefused(_REFUSALS[fault.reason], 400) from fault


def unfit(fault: ServiceError, words: Words) -> tuple[Shown, ...]:
    """Returns what people are told of a file that does not fit."""
    faults = [problem for problem in fault.problems if problem.is_error][:_MOST_FAULTS]
    reasons = [problem.reason for problem in faults if problem.reason]
    name = "other-version" if "other-version" in reasons else "file"
    known = filter(None, (words.texts.get(f"left-out.{reason}") for reason in reasons))
    said = [words.say("problems.earlier-left-out", reason=reason) for reason in known]
    return (
        Shown("file", words[f"form.message.{name}.heading"]),
        *(Shown("", line) for line in (said or [words[f"form.message.{name}.text"]])),
        *(Shown("", problem.text, is_technical=True) for problem in faults),
    )
