"""Identifies CDS clients by their JWTs: each JWT is for one call of one endpoint, and is taken once.

Nothing in a JWT says where keys come from: `jku` may repeat the registered url, and is never fetched
otherwise. Nor does the Host header say what the endpoint is called: `aud` is compared with the public
address.

Source:
    CDS Hooks 2.0.1, section "Trusting CDS Clients"; RFC 7519; RFC 8725.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from math import ceil
from typing import Final, Protocol

from service.auth.ehrs import CdsClient, Ehr
from service.auth.keys import KeySets, PublicKey
from service.auth.principal import CLIENT_KIND, Principal
from service.auth.signed import (
    LONGEST_TOKEN,
    SKEW_S,
    Claims,
    Refused,
    check_signature,
    check_times,
    header_in,
    object_in,
    seconds_in,
)
from service.auth.tokens import bearer_token
from service.errors import Problem, Unauthenticated, Unavailable
from service.records.repository import service_errors

LONGEST_S: Final = 300
"""How far ahead the end of a JWT may lie: a limit of this service, and as long as it must be remembered."""

_REMEMBERED_S: Final = 3 * SKEW_S
"""How long a JWT is remembered after its end. A machine forgets by its own clock for all on the store,
which may be as far ahead of who signs as the clock of another one, which could take it, is behind."""

_TYPE: Final = "JWT"
_HEADERS: Final = frozenset(("alg", "kid", "typ", "jku", "x5t", "x5t#S256"))


class UsedNames(Protocol):
    """What was used once, in all workers and machines; a store is one."""

    def use_once(self, name: str, *, until: int, now: int) -> bool:
        """Returns whether a name is used for the first time, and remembers it; raises StoreFault."""


class ClientChecks:
    """Checks the JWTs of CDS clients.

    Args:
        ehrs: those registered; who may call stands in their `cds_clients`.
        keys: the sets of keys.
        used: which JWTs were taken.
        clock: the time in seconds since 1970.
    """

    def __init__(
        self,
        ehrs: Iterable[Ehr],
        keys: KeySets,
        used: UsedNames,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._of_issuer = {client.issuer: (ehr, client) for ehr in ehrs for client in ehr.cds_clients}
        self._keys = keys
        self._used = used
        self._clock = clock

    def principal(self, authorization: str | None, endpoint_url: str) -> Principal:
        """Returns who calls: `issuer` is the FHIR base of the EHR, `client_id` the `iss` of the JWT.

        Args:
            authorization: the header; None if it is absent.
            endpoint_url: the public url of the endpoint that is called.

        Raises:
            Unauthenticated: there is no JWT, or it cannot be taken; what is wrong with it is not told.
            Unavailable: nobody can say, since keys or the store cannot be had.
        """
        token = bearer_token(authorization, "", "the JWT of a CDS client that is registered")
        try:
            ehr, client, claims = self._checked(token, endpoint_url)
            self._take(client, claims)
        except Refused:
            raise _refusal() from None
        return Principal(CLIENT_KIND, tenant=ehr.tenant, client_id=client.issuer, issuer=ehr.issuer)

    def _checked(self, token: str, endpoint_url: str) -> tuple[Ehr, CdsClient, Claims]:
        """Returns the client that signed, and the claims; raises Refused, Unavailable."""
        parts = token.split(".")
        if len(token) > LONGEST_TOKEN or len(parts) != 3:
            raise Refused
        header, claims = header_in(parts[0]), object_in(parts[1])
        issuer = claims.get("iss")
        found = self._of_issuer.get(issuer) if isinstance(issuer, str) else None
        if found is None:
            raise Refused
        ehr, client = found
        self._check_signature(parts, header, client)
        if not _is_for(claims, endpoint_url):
            raise Refused
        self._check_times(claims)
        return ehr, client, claims

    def _check_signature(self, parts: Sequence[str], header: Claims, client: CdsClient) -> None:
        algorithm, kid = header.get("alg"), header.get("kid")
        if not header.keys() <= _HEADERS or header.get("typ") != _TYPE or algorithm not in client.algorithms:
            raise Refused
        if not isinstance(kid, str) or header.get("jku", client.jwks_url) != client.jwks_url:
            raise Refused
        key = self._key(client, kid, str(algorithm))
        check_signature(parts, header, key, client.algorithms)

    def _key(self, client: CdsClient, kid: str, algorithm: str) -> PublicKey | None:
        """Returns the key that a client signs with; None if its set has none of that id.

        Raises:
            Refused: the registered url leads elsewhere, or to no set of keys.
            Unavailable: there is no answer.
        """
        try:
            return self._keys.key(client.jwks_url, kid, algorithm, alone=True)
        except Unavailable:
            if self._keys.misleads(client.jwks_url):
                raise Refused from None
            raise

    def _check_times(self, claims: Claims) -> None:
        """Refuses a JWT that is not of this time, ends too far ahead, or does not say when it was made."""
        now = self._clock()
        check_times(claims, now)
        if seconds_in(claims, "exp") > now + LONGEST_S + SKEW_S:
            raise Refused
        seconds_in(claims, "iat")

    def _take(self, client: CdsClient, claims: Claims) -> None:
        """Takes a JWT, unless one with its `jti` of this issuer was taken before; raises Refused."""
        given = claims.get("jti")
        if not isinstance(given, str) or not given:
            raise Refused
        name = sha256(f"{client.issuer}\n{given}".encode("utf-8", "surrogatepass")).hexdigest()
        until = ceil(seconds_in(claims, "exp")) + _REMEMBERED_S
        with service_errors():
            if not self._used.use_once(name, until=until, now=int(self._clock())):
                raise Refused


def _is_for(claims: Claims, endpoint_url: str) -> bool:
    """Says whether a JWT names only this endpoint; otherwise another one could pass it on."""
    return claims.get("aud") in (endpoint_url, [endpoint_url])


def _refusal() -> Unauthenticated:
    text = "The JWT cannot be taken. Expected: a new one by a registered CDS client, for this endpoint."
    return Unauthenticated(Problem("token", text), error="invalid_token")
