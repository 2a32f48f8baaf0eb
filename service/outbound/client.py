"""Asks other servers: few hosts, no redirects, little time, short answers.

Only origins that the operator registered are spoken with. A url that comes from a caller, as in the header
of a token, leads nowhere.

Source:
    OWASP API Security 2023, API7 (server-side request forgery) and API10 (unsafe consumption of APIs).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from service.outbound.answer import Answer, OutboundFault
from service.settings import origin_of

if TYPE_CHECKING:
    from service.outbound.connections import Connections

MOST_BYTES: Final = 1_048_576
"""Longest answer that is read."""

TIMEOUT_S: Final = 3.0
"""Longest time for one question with its answer."""

_FORM: Final = "application/x-www-form-urlencoded"


class Outbound:
    """Asks other servers.

    Args:
        origins: those that may be asked, such as `https://login.example.org`.
        timeout_s: longest time for one question with its answer.
        most_bytes: longest answer that is read.
    """

    def __init__(
        self, origins: Iterable[str], *, timeout_s: float = TIMEOUT_S, most_bytes: int = MOST_BYTES
    ) -> None:
        self._origins = frozenset(origins)
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes
        self._connections: Connections | None = None

    def get(
        self, url: str, headers: Mapping[str, str] | None = None, *, timeout_s: float | None = None
    ) -> Answer:
        """Sends a GET and returns the answer, whatever its status; raises as `request` does."""
        return self.request("GET", url, headers or {}, timeout_s=timeout_s)

    def post_form(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Sends a form by POST and returns the answer, whatever its status; raises as `request` does."""
        given = {"Content-Type": _FORM, **(headers or {})}
        return self.request("POST", url, given, urlencode(form).encode())

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Sends a request and returns the answer, whatever its status.

        Args:
            method: GET or POST.
            url: absolute; its origin must be registered.
            headers: in addition to Accept, which is JSON where they say nothing.
            body: what is sent.
            timeout_s: longest time for it with its answer; None for that of the client.

        Raises:
            OutboundFault: the origin is not registered, or cannot be reached.
            TooSlow, Unreadable: no whole answer came in time, or none that is short enough.
        """
        if origin_of(url) not in self._origins:
            raise OutboundFault("not a registered origin")
        whole = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        seconds = self._timeout_s if timeout_s is None else timeout_s
        return self._opened().answer(method, url, whole, body, seconds)

    def _opened(self) -> Connections:
        """Returns the connections, made with the first question.

        urllib3 keeps of `ssl` what stands there when it is imported. A worker has gevent replace that after
        the service was read: what was imported before fails at the first https url.
        """
        if self._connections is None:
            from service.outbound.connections import Connections

            self._connections = Connections(self._most_bytes)
        return self._connections
