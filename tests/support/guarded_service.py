"""The real service with access control: who is registered, who asks, and what it has logged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from fhir_client import Answer, Ehr, over_http
from gunicorn_server import Served
from issuers import Issuer, Issuers, Told, ec_key, public_jwk, rsa_key, serving_issuers
from running_service import running

LIES: dict[str, Told] = {
    "answers-500": Told(500),
    "answers-404": Told(404),
    "answers-html": Told(200, b"<html>Log in</html>", {"Content-Type": "text/html"}),
    "answers-nothing": Told(200),
    "answers-a-list": Told(200, b"[]"),
    "answers-no-keys": Told(200, b"{}"),
    "answers-keys-that-are-none": Told(200, b'{"keys": {"kty": "EC"}}'),
    "leads-elsewhere": Told(302, b"", {"Location": "/north/jwks"}),
    "answers-too-much": Told(200, b'{"keys": []' + b" " * 1_100_000 + b"}"),
}
"""What may stand where keys should, by the name of the issuer that answers so."""


def every_kind_of_issuer() -> list[Issuer]:
    """Returns two tenants, one whose tokens are asked about, and for each trouble with keys one with it."""
    north = Issuer("north", keys={"ec": ec_key("north"), "rsa": rsa_key("north")})
    small, p256, p521 = rsa_key("small", 1024), ec_key("p256", ec.SECP256R1), ec_key("p521", ec.SECP521R1)
    north.published = [
        *(public_jwk(key, kid) for kid, key in north.keys.items()),
        public_jwk(small, "small"),
        public_jwk(p256, "p256"),
        public_jwk(p521, "p521"),
        public_jwk(ec_key("enciphers"), "enciphers", use="enc"),
        public_jwk(ec_key("wraps"), "wraps", key_ops=["wrapKey"]),
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"},
        {"kty": "EC", "kid": "broken", "crv": "P-384", "x": "AA", "y": "AA"},
    ]
    asked = Issuer("asked", introspects=True)
    troubled = ("rotates", "withdraws", "unknown", "lost", "fails-later", "fades", "down")
    liars = [Issuer(name, instead=lie) for name, lie in LIES.items()]
    return [north, Issuer("south"), asked, *map(Issuer, troubled), *liars]


@dataclass
class Guarded:
    """A service that asks for tokens, with those who give them."""

    server: Served
    issuers: Issuers
    sent: set[str] = field(default_factory=set)

    def bearing(self, token: str) -> Ehr:
        """Returns a caller whose every request carries a token."""
        return self.calling({"Authorization": f"Bearer {token}"}, token)

    def calling(self, headers: Mapping[str, str], *tokens: str) -> Ehr:
        """Returns a caller whose every request carries these headers."""
        self.sent.update(tokens)
        plain = over_http(self.server.port)

        def send(method: str, path: str, own: Mapping[str, str], data: bytes | None) -> Answer:
            body = {} if data is None else {"body": data}
            named = {name.replace("-", "_").lower(): value for name, value in {**headers, **own}.items()}
            return plain.ask(method, path, **body, **named)

        return Ehr(send)

    def as_user(self, scope: str = "user/*.cruds", tenant: str = "north", **claims: object) -> Ehr:
        """Returns a caller with a good token of this scope."""
        return self.bearing(self.issuers[tenant].token(scope, **claims))

    def as_patient(self, patient: str, scope: str = "patient/*.cruds", tenant: str = "north") -> Ehr:
        """Returns a caller whose token names a patient, `Patient/A` or `A`."""
        return self.as_user(scope, tenant, patient=patient.removeprefix("Patient/"))

    def log(self) -> str:
        return "".join(self.server.log)

    def check_log(self) -> None:
        """Expects that nothing broke, and that no token or part of one was logged."""
        text = self.log()
        assert "Traceback" not in text, text[text.index("Traceback") :][:2000]
        for token in self.sent:
            for part in re.split(r"[.\s]", token):
                assert len(part) < 12 or part not in text, "a token stands in the log"


@contextmanager
def guarded_service(folder: Path, store_url: str, *issuers: Issuer, **settings: str) -> Iterator[Guarded]:
    """Runs a service that takes the tokens of these issuers while the block runs, and reads its log then."""
    with serving_issuers(*issuers) as registered:
        given = {"EHRS_FILE": str(registered.registry(folder)), "WORKERS": "1"} | settings
        with running(store_url, **given) as (server, _):
            guarded = Guarded(server, registered)
            yield guarded
        guarded.check_log()
