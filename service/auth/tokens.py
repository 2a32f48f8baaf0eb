"""Identifies who sends an access token: signed ones are checked here, others by introspection.

What is not right about a token is never told: every refusal reads the same, but for that of a token which is
good and bound to a key, whose proof this service does not check. Nothing that stands in a token
names where keys come from, or how it is signed: the registry says so.

A verdict is kept by the digest of the token, so that the same token is not checked for each request: never
beyond its own end, and no longer than a minute where it was asked about, since it may be withdrawn.

Source:
    RFC 7519; RFC 8725 (best current practices); RFC 9068, section 4; RFC 7662;
    RFC 7800 (`cnf`), RFC 8705, section 3, and RFC 9449, sections 6 and 7.2 (tokens bound to a key);
    SMART App Launch 2.2, app-launch.html#step-6, token-introspection.html.
"""

from __future__ import annotations

import base64
import re
import string
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote_plus

from service.auth.ehrs import Ehr, Tokens
from service.auth.keys import KeySets
from service.auth.principal import TOKEN_KIND, Principal
from service.auth.scopes import scopes_from
from service.auth.signed import (
    LONGEST_TOKEN,
    Claims,
    Refused,
    check_signature,
    check_times,
    header_in,
    object_from,
    object_in,
    seconds_in,
)
from service.errors import Problem, Unauthenticated, Unavailable
from service.fhir.json import FORBIDDEN
from service.fhir.primitives import is_id
from service.outbound import Outbound, OutboundFault

SIGNED_KEPT_S: Final = 300.0
ASKED_KEPT_S: Final = 60.0
MOST_KEPT: Final = 10_000

_HEADERS: Final = frozenset(("alg", "kid", "typ", "cty", "x5t", "x5t#S256"))
_TYPES: Final = ("jwt", "at+jwt", "application/at+jwt")
_OF_TOKEN: Final = f"{string.ascii_letters}{string.digits}._~+/-".encode()
_IN_QUERY: Final = re.compile(r"(?:^|&)access_token=")


class _Bound(Refused):
    """The token is worth something only with the proof of a key, such as that of DPoP or mutual TLS."""


class _Verdict(NamedTuple):
    """Who sends a token, when the token ends, and until when that is not to be asked again."""

    principal: Principal
    expires: float
    kept_until: float


class TokenChecks:
    """Checks access tokens.

    Args:
        ehrs: those registered; whose tokens are taken stands in their `tokens`.
        keys: the sets of keys.
        outbound: asks about tokens that are not signed.
        clock: the time in seconds since 1970, by which tokens end.
        elapsed: seconds that only grow, by which verdicts end: a clock that is set back lets none live on.
    """

    def __init__(
        self,
        ehrs: Iterable[Ehr],
        keys: KeySets,
        outbound: Outbound,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._of_issuer = {ehr.tokens.issuer: (ehr, ehr.tokens) for ehr in ehrs if ehr.tokens is not None}
        asked = [pair for pair in self._of_issuer.values() if pair[1].introspection_url]
        self._asked = asked[0] if asked else None
        self._keys = keys
        self._outbound = outbound
        self._clock, self._elapsed = clock, elapsed
        self._kept: OrderedDict[bytes, _Verdict] = OrderedDict()

    def principal(self, token: str) -> Principal:
        """Returns who sends a token.

        Raises:
            Unauthenticated: it cannot be taken (`invalid_token`).
            Unavailable: nobody can say, since keys cannot be had or the authorisation server gives no answer.
        """
        digest = _digest(token)
        known = self._known(digest)
        if known is not None:
            return known
        try:
            verdict = self._checked(token)
        except _Bound:
            raise _bound_refused() from None
        except Refused:
            raise token_refused() from None
        self._kept[digest] = verdict
        self._kept.move_to_end(digest)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return verdict.principal

    def asks_about(self, token: str) -> bool:
        """Returns whether `principal` would ask an authorisation server about a token."""
        if self._asked is None or self._known(_digest(token)) is not None:
            return False
        parts = token.split(".")
        if len(parts) != 3:
            return True
        try:
            _, tokens = self._registered(object_in(parts[1]))
        except Refused:
            return False
        return tokens.keys is None

    def _known(self, digest: bytes) -> Principal | None:
        """Returns who sends a token whose verdict is still kept; else None."""
        known = self._kept.get(digest)
        if known is None or self._clock() >= known.expires or self._elapsed() >= known.kept_until:
            return None
        return known.principal

    def _registered(self, claims: Claims) -> tuple[Ehr, Tokens]:
        """Returns the entry whose issuer a token names; raises Refused if none has it."""
        issuer = claims.get("iss")
        found = self._of_issuer.get(issuer) if isinstance(issuer, str) else None
        if found is None:
            raise Refused
        return found

    def _checked(self, token: str) -> _Verdict:
        """Returns who sends the token; raises Refused."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise Refused
        parts = token.split(".")
        if len(parts) == 3:
            claims = object_in(parts[1])
            ehr, tokens = self._registered(claims)
            if tokens.keys is not None:
                self._check_signature(parts, tokens.keys, tokens.algorithms)
                self._check_claims(claims, tokens)
                return self._verdict(claims, ehr, SIGNED_KEPT_S)
        if self._asked is None:
            raise Refused
        return self._introspected(token, *self._asked)

    def _check_signature(self, parts: Sequence[str], keys: str | Path, algorithms: Sequence[str]) -> None:
        header = header_in(parts[0])
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        if not header.keys() <= _HEADERS or algorithm not in algorithms:
            raise Refused
        if not isinstance(kid, str | None) or not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise Refused
        check_signature(parts, header, self._keys.key(keys, kid, str(algorithm)), algorithms)

    def _check_claims(self, claims: Claims, tokens: Tokens) -> None:
        """Refuses a token that is for somebody else, or not of this time."""
        if claims.get("iss") != tokens.issuer:
            raise Refused
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(name, str) and name in tokens.audiences for name in named):
            raise Refused
        check_times(claims, self._clock())

    def _introspected(self, token: str, ehr: Ehr, tokens: Tokens) -> _Verdict:
        """Asks about a token; raises Refused, or Unavailable where the answer is none."""
        claims = self._told(token, tokens)
        if claims.get("active") is not True:
            raise Refused
        if claims.get("iss", tokens.issuer) != tokens.issuer:
            raise Refused
        if "aud" in claims:
            self._check_claims({"iss": tokens.issuer, **claims}, tokens)
        else:
            # RFC 7662, section 4: the server judges whether whoever asks may take the token.
            check_times(claims, self._clock())
        if str(claims.get("token_type", "Bearer")).lower() != "bearer":
            raise _Bound
        return self._verdict(claims, ehr, ASKED_KEPT_S)

    def _told(self, token: str, tokens: Tokens) -> Claims:
        user = f"{quote_plus(tokens.introspection_client_id)}:{quote_plus(tokens.introspection_secret)}"
        headers = {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}
        form = {"token": token, "token_type_hint": "access_token"}
        try:
            answer = self._outbound.post_form(tokens.introspection_url, form, headers)
            told = object_from(answer.body) if answer.status == 200 else None
        except (OutboundFault, Refused):
            told = None
        if told is None:
            text = "The authorisation server does not say whether the token is valid."
            raise Unavailable(Problem("authorization-server", text))
        return told

    def _verdict(self, claims: Claims, ehr: Ehr, longest_s: float) -> _Verdict:
        """Returns who sends the token, and how long that may be kept; raises Refused."""
        if "cnf" in claims:
            raise _Bound
        principal = Principal(
            TOKEN_KIND,
            tenant=ehr.tenant,
            subject=_text(claims, "sub"),
            client_id=_text(claims, "client_id") or _text(claims, "azp"),
            issuer=ehr.issuer,
            scopes=scopes_from(_text(claims, "scope")),
            patients=_patients(claims, ehr.issuer),
        )
        return _Verdict(principal, seconds_in(claims, "exp"), self._elapsed() + longest_s)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


def bearer_token(authorization: str | None, query: str, expected: str = "an access token") -> str:
    """Returns the token of a request.

    Args:
        authorization: the header, with commas between where it stands several times; None if it is absent.
        query: the query string, in which no token is taken.
        expected: what is to stand there, for people.

    Raises:
        Unauthenticated: there is none (without an error), or not one alone in the right place.

    Source:
        RFC 6750, sections 2.1 and 3.1; RFC 9110, section 11.1: schemes are case-insensitive.
    """
    if authorization is None:
        raise token_refused() if _IN_QUERY.search(query) else _nobody(expected)
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise _nobody(expected)
    if not _is_token(token):
        raise token_refused()
    return token


def _is_token(text: str) -> bool:
    """Says whether a text is built as tokens are, which takes no look at each character for itself."""
    bare = text.rstrip("=")
    return bool(bare) and bare.isascii() and not bare.encode().translate(None, _OF_TOKEN)


def _nobody(expected: str) -> Unauthenticated:
    return Unauthenticated(Problem("login", f"Expected {expected}: Authorization: Bearer <token>."))


def token_refused() -> Unauthenticated:
    """Returns the refusal of a token; what is wrong with it is not told."""
    text = "The token cannot be taken. Expected: a valid access token for this service."
    return Unauthenticated(Problem("token", text), error="invalid_token")


def _bound_refused() -> Unauthenticated:
    text = "The token is bound to a key (DPoP, mutual TLS), which is not supported. Expected: a bearer token."
    return Unauthenticated(Problem("token", text), error="invalid_token")


def _text(claims: Claims, name: str) -> str:
    """Returns a text of a token; raises Refused if it holds what no text of FHIR may hold."""
    value = claims.get(name)
    if not isinstance(value, str):
        return ""
    if FORBIDDEN.search(value):
        raise Refused
    return value


def _patients(claims: Claims, issuer: str) -> tuple[str, ...]:
    """Returns how a resource may name the patient of a token; none if it names none that can be."""
    patient = _text(claims, "patient")
    if not is_id(patient):
        return ()
    return f"Patient/{patient}", f"{issuer.rstrip('/')}/Patient/{patient}"
