"""Reads from the FHIR server of an EHR what the prefetch of a call lacks.

Only the FHIR bases that the operator registered are spoken with, and each with the token of the call alone.
A redirect is not followed, a further page only where it stands on the same origin. An EHR waits half a second
for its cards, so a server that is slow counts as one that does not answer.

Source:
    CDS Hooks 2.0.1, sections "Providing FHIR Resources to a CDS Service" and "FHIR Resource Access"; OWASP
    API Security 2023, API7 (server-side request forgery).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from urllib.parse import urljoin

import msgspec

from service.auth.ehrs import Ehr
from service.auth.principal import ANONYMOUS, ANONYMOUS_KIND, Principal
from service.cds_hooks import Needed
from service.outbound import Outbound, OutboundFault
from service.settings import origin_of
from service.web.negotiation import FHIR_JSON

EACH_S: Final = 0.4
"""Longest time for one question with its answer."""

ALL_S: Final = 0.9
"""Longest time for all questions of one call."""

MOST_PAGES: Final = 4
"""Most pages that are read of one search."""

MOST_BYTES: Final = 512 * 1024
"""Longest page."""

_OK: Final = 200


class _Link(msgspec.Struct):
    relation: Any = None
    url: Any = None


class _Page(msgspec.Struct):
    link: list[_Link] = []


class ChartServers:
    """The FHIR servers of EHRs that are registered.

    Args:
        ehrs: those EHRs.
        clock: seconds that only grow.
    """

    def __init__(self, ehrs: Iterable[Ehr], clock: Callable[[], float] = time.monotonic) -> None:
        self._tenants = {ehr.issuer.rstrip("/"): ehr.tenant for ehr in ehrs}
        self._clock = clock
        self._outbound = Outbound(map(origin_of, self._tenants), timeout_s=EACH_S, most_bytes=MOST_BYTES)

    def may_ask(self, server: str, caller: Principal = ANONYMOUS) -> bool:
        """Says whether this is the FHIR base of a registered EHR, letter by letter but for a last slash.

        Args:
            server: what a call names.
            caller: who calls; one who is known only has the servers of its own tenant asked.
        """
        tenant = self._tenants.get(server.rstrip("/"))
        return tenant is not None and (caller.kind == ANONYMOUS_KIND or caller.tenant == tenant)

    def fetched(self, needed: Needed) -> dict[str, tuple[bytes, ...]]:
        """Returns the pages that the server gave, by prefetch key; nothing for a key where it gave none.

        Raises:
            ValueError: the server is none of those that are registered.
        """
        if not self.may_ask(needed.server):
            raise ValueError("not a registered server")
        deadline = self._clock() + ALL_S
        base = f"{needed.server.rstrip('/')}/"
        starts = {key: f"{base}{query}" for key, query in needed.queries.items()} | dict(needed.pages)
        found = {key: tuple(self._pages(url, needed, deadline)) for key, url in starts.items()}
        return {key: pages for key, pages in found.items() if pages}

    def _pages(self, url: str, needed: Needed, deadline: float) -> Iterator[bytes]:
        """Yields a page and those after it, as far as they are on the same origin and there is time."""
        for _ in range(MOST_PAGES):
            if not url or origin_of(url) != origin_of(needed.server):
                return
            page = self._page(url, needed.token, min(EACH_S, deadline - self._clock()))
            if page is None:
                return
            yield page
            url = next_page(page, url)

    def _page(self, url: str, token: str, seconds: float) -> bytes | None:
        """Returns the body of a GET; None if none comes in time."""
        if seconds <= 0:
            return None
        headers = {"Authorization": f"Bearer {token}", "Accept": FHIR_JSON}
        try:
            answer = self._outbound.get(url, headers, timeout_s=seconds)
        except OutboundFault:
            return None
        return answer.body if answer.status == _OK else None


def next_page(page: bytes, at: str) -> str:
    """Returns the url of the next page; empty if this is the last.

    Args:
        page: a Bundle.
        at: where it stood: the link may be relative to it.
    """
    try:
        links = msgspec.json.decode(page, type=_Page).link
    except (msgspec.DecodeError, RecursionError):
        return ""
    return next((_absolute(at, link.url) for link in links if link.relation == "next"), "")


def _absolute(at: str, url: object) -> str:
    try:
        return urljoin(at, url) if isinstance(url, str) else ""
    except ValueError:
        return ""
