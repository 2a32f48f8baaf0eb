"""The front page: links for a person or a program that knows only the address."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from flask import render_template

from service.errors import Malformed, Problem
from service.languages import ENGLISH, chosen, languages, words_in
from service.search import LAYOUT
from service.web.capability import SOFTWARE
from service.web.negotiation import HTML, JSON, preferred_languages, prefers_html
from service.web.reply import NO_STORE, REVALIDATE, VARY, Header, Reply, json_reply

if TYPE_CHECKING:
    from service.fhir.definitions import Artifact
    from service.web.deployment import Deployment
    from service.web.request import Request

DOCUMENTATION: Final = "README.md and the folder docs/ of this project say how to use, operate and extend it."

_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{max-width:40rem;margin:auto;padding:1rem;font:1.125rem/1.5 system-ui,sans-serif;"
    "overflow-wrap:anywhere}"
    "h1,h2{line-height:1.25}"
    "a{display:inline-block;padding:.5rem 0}"
)
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{_STYLE_HASH}'"
)
_PAGE: Final[tuple[Header, ...]] = (
    ("Content-Type", f"{HTML}; charset=utf-8"),
    ("Content-Security-Policy", _POLICY),
)

NOT_FOUND: Final = ("page.not-found.title", "page.not-found.text", "page.not-found.start")
TOO_MANY: Final = ("page.too-many.title", "page.too-many.text")
FAILED: Final = ("page.failed.title", "page.failed.text")


class FrontPage:
    """The views on `GET /` and `GET [base]`.

    Args:
        deployment: its server and base.
        artifacts: published resources; each Questionnaire among them is linked to.
        forms: title and path of each form that people can fill in here.
    """

    def __init__(
        self, deployment: Deployment, artifacts: Iterable[Artifact], forms: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._deployment = deployment
        self._links = {
            "title": SOFTWARE,
            "forms": [{"title": title, "url": deployment.server + path} for title, path in forms],
            "questionnaires": [_link(form, deployment) for form in artifacts if form.type == "Questionnaire"],
            "metadata": f"{deployment.base}/metadata",
            "openapi": f"{deployment.server}/openapi.json",
            "documentation": DOCUMENTATION,
        }

    def links(self, request: Request) -> Reply:
        """Returns a page to a browser, and the same links as JSON to any other client."""
        if prefers_html(request.header("ACCEPT")):
            html = render_template("front.html", language=ENGLISH, style=_STYLE, **self._links)
            return page_reply(200, html, REVALIDATE, VARY)
        return json_reply(self._links, JSON, REVALIDATE, VARY)

    def base(self, request: Request) -> Reply:
        """Returns an OperationOutcome that says where the CapabilityStatement is.

        Raises:
            Malformed: there are parameters; a search over all types is not offered.
        """
        content_type = request.answer_type()
        if any(name not in LAYOUT for name, _ in request.query()):
            text = "A search over all types is not offered. Expected: GET [type] with search parameters."
            raise Malformed(Problem("query", text))
        metadata = self._links["metadata"]
        text = f"This is the base of a FHIR R4 API. Its CapabilityStatement is {metadata}"
        issue = {"severity": "information", "code": "informational", "diagnostics": text}
        outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
        link = ("Link", f'<{metadata}>; rel="service-desc"')
        return json_reply(outcome, content_type, REVALIDATE, VARY, link)


def message_page(status: int, words: tuple[str, ...], accept_language: str, *headers: Header) -> Reply:
    """Returns the page for a browser that gets nothing else, in a language that it asks for.

    Args:
        words: keys of its title, its text and, where a link to the front page helps, the words of that.
    """
    language = chosen(preferred_languages(accept_language), languages(), ENGLISH)
    title, text, *start = map(words_in(language).__getitem__, words)
    html = render_template(
        "message.html", language=language, style=_STYLE, title=title, text=text, start=start
    )
    return page_reply(status, html, *headers, NO_STORE)


def page_reply(status: int, html: str, *headers: Header) -> Reply:
    """Returns a page that loads nothing, runs nothing and stands in no other page."""
    return Reply(status, html.encode(), (*_PAGE, *headers))


def _link(questionnaire: Artifact, deployment: Deployment) -> dict[str, str]:
    resource = questionnaire.resource
    return {
        "title": resource.get("title") or resource.get("name") or questionnaire.id,
        "version": questionnaire.version,
        "url": f"{deployment.base}/Questionnaire/{questionnaire.id}",
    }
