"""What all views of one deployment share; bound once, where the parts are composed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import msgspec

from service.errors import Problem
from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.fhir.json import BodyLimits, MutableJson
from service.fhir.outcome import operation_outcome
from service.sandbox import Sandbox
from service.web.reply import Header
from service.web.routing import BASE_PATH

if TYPE_CHECKING:
    from service.auth.ehrs import Tokens
    from service.reloading import Edition
    from service.shadow import Shadow
    from service.web.auditing import Audit
    from service.web.metrics import Metrics
    from service.web.routing import Gatekeeper
    from service.web.tracing import Tracing

_NOSNIFF: Header = ("X-Content-Type-Options", "nosniff")
_TLS_ONLY: Header = ("Strict-Transport-Security", "max-age=31536000")


class Deployment(msgspec.Struct, frozen=True):
    """The public side of one deployment.

    Args:
        base: public FHIR base, without a slash at its end; all links begin with it.
        canonicals: the canonical urls of what this service defines itself.
        origins: origins of browser apps that may read the answers of routes that are not public.
        body: limits of a request body.
        bundle_entries: most entries of a Bundle.
        bundle_answer_bytes: once the answers to the entries of a Bundle are longer together, the entries
            that are left are refused.
        bundle_s: seconds after which what is left of a Bundle is refused.
        sandbox: where what is large is read and checked; None if nobody waits.
        metrics: counts what is answered; None if nobody asks.
        gate: holds requests to the access rules of their routes; None if there is no access control.
        tokens: where apps get the tokens that requests need; None if none are asked for.
        tracing: makes a span of each request; None if nobody asks.
        audit: records who did what with whose data; None if that is not recorded.
        edition: what authors are told of their files; None if changed files are not served at once.
        shadow: scores every response by the next guidance too; None if there is none.
    """

    base: str = ""
    canonicals: Canonicals = AS_WRITTEN
    origins: frozenset[str] = frozenset()
    body: BodyLimits = msgspec.field(default_factory=BodyLimits)
    bundle_entries: int = 100
    bundle_answer_bytes: int = 16 * 1024 * 1024
    bundle_s: float = 10.0
    sandbox: Sandbox | None = None
    metrics: Metrics | None = None
    gate: Gatekeeper | None = None
    tokens: Tokens | None = None
    tracing: Tracing | None = None
    audit: Audit | None = None
    edition: Edition | None = None
    shadow: Shadow | None = None

    @property
    def server(self) -> str:
        """The public url of the server: the base without its path."""
        if self.base.endswith(BASE_PATH):
            return self.base.removesuffix(BASE_PATH)
        return urljoin(self.base, "/").rstrip("/")

    @property
    def standing_headers(self) -> tuple[Header, ...]:
        """Headers of every answer: its media type is not to be guessed, and https is kept for a year.

        Browsers heed the second only where they came by https.

        Source:
            RFC 6797, section 7.2: the header is left out of answers over plain http.
        """
        return (_NOSNIFF, _TLS_ONLY) if self.base.startswith("https://") else (_NOSNIFF,)

    def outcome(self, problems: Sequence[Problem]) -> MutableJson:
        """Returns the OperationOutcome of the problems."""
        return operation_outcome(problems, self.canonicals)
