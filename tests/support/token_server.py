"""A real authorisation server that issues access tokens: npm `oidc-provider` (tests/browser/ehr).

Programs sign in by SMART Backend Services, people through an app by SMART App Launch with PKCE.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from ehr_authorization import running_provider
from patience import PATIENCE_S

EHR = "https://ehr.example.org/fhir"
REDIRECT = "http://127.0.0.1/app"
SECRET = "canary-of-the-service-" + "x" * 24
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenServer:
    """The running server.

    Args:
        url: its issuer.
        key: what the program signs with.
        audience: what its tokens are for where nothing else is asked for.
    """

    def __init__(self, url: str, key: ec.EllipticCurvePrivateKey, audience: str) -> None:
        self.url = url
        self._key = key
        self._audience = audience

    def for_program(self, scope: str, audience: str = "") -> str:
        """Returns a token of Backend Services."""
        now, endpoint = int(time.time()), f"{self.url}/token"
        claims = {"iss": "the-program", "sub": "the-program", "aud": endpoint, "jti": secrets.token_hex(8)}
        signed = jwt.encode(claims | {"iat": now, "exp": now + 60}, self._key, "ES384", {"kid": "program"})
        form = {"grant_type": "client_credentials", "scope": scope, "client_assertion": signed}
        return self._token(
            form | {"client_assertion_type": _ASSERTION, "resource": audience or self._audience}
        )

    def for_person(self, scope: str, audience: str = "") -> str:
        """Returns a token that somebody got who signed in through the app."""
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": "the-app",
            "redirect_uri": REDIRECT,
            "scope": scope,
            "state": secrets.token_hex(8),
            "aud": audience or self._audience,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        form = {"grant_type": "authorization_code", "client_id": "the-app", "redirect_uri": REDIRECT}
        return self._token(form | {"code": self._code(asked), "code_verifier": verifier})

    def rotate(self) -> None:
        """Has it sign with a new key, and withdraw the old one."""
        requests.post(f"{self.url}/rotate", timeout=PATIENCE_S).raise_for_status()

    def revoke(self, token: str) -> None:
        """Withdraws a token of the app."""
        form = {"token": token, "client_id": "the-app"}
        requests.post(f"{self.url}/token/revocation", data=form, timeout=PATIENCE_S).raise_for_status()

    def _code(self, asked: dict[str, str]) -> str:
        session, place = requests.Session(), f"{self.url}/auth"
        answer = session.get(place, params=asked, allow_redirects=False, timeout=PATIENCE_S)
        while not answer.headers["Location"].startswith(REDIRECT):
            place = urljoin(place, answer.headers["Location"])
            answer = session.get(place, allow_redirects=False, timeout=PATIENCE_S)
        query = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert query["state"] == [asked["state"]], query
        return query["code"][0]

    def _token(self, form: dict[str, str]) -> str:
        answer = requests.post(f"{self.url}/token", data=form, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


@contextmanager
def running_tokens(
    audience: str, scopes: Sequence[str], *, patient: str = "", format_: str = "jwt"
) -> Iterator[TokenServer]:
    """Gives a server while the block runs.

    Args:
        audience: what its tokens are for where nothing else is asked for.
        scopes: what may be asked for.
        patient: whom tokens of the app are about.
        format_: `jwt`, or `opaque` for tokens that the service must ask about.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    public: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    given = {
        "audiences": [audience],
        "scopes": [*scopes],
        "format": format_,
        "patient": patient,
        "redirect": REDIRECT,
        "keys": {"keys": [public | {"kid": "program", "alg": "ES384", "use": "sig"}]},
        "secret": SECRET,
    }
    with running_provider("tokens.mjs", given) as url:
        yield TokenServer(url, key, audience)


def registry(tmp_path: Path, server: TokenServer, audience: str, *, asks: bool = False) -> Path:
    """Writes a registry with an EHR whose tokens this server issues; returns its path."""
    lines = [
        "ehrs:",
        f"  - issuer: {EHR}",
        "    tenant: north",
        "    tokens:",
        f"      issuer: {server.url}",
        f"      audience: [{audience}]",
        f"      authorization-endpoint: {server.url}/auth",
        f"      token-endpoint: {server.url}/token",
        *(
            (
                f"      introspection-url: {server.url}/token/introspection",
                "      introspection-client-id: the-service",
                "      introspection-client-secret-file: secret",
            )
            if asks
            else (f"      jwks-url: {server.url}/jwks",)
        ),
    ]
    (tmp_path / "secret").write_text(SECRET, "utf-8")
    path = tmp_path / "ehrs.yaml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
