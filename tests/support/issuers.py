"""Authorisation servers on loopback, with keys that rotate, refuse and lie, and the tokens that they sign.

Tokens are signed with another JOSE library than the service's, so that a fault of one does not hide in both.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fhir_client import BASE

Json = dict[str, Any]
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

ALLOWED = ("RS256", "RS384", "ES384")
"""How the tokens of these issuers may be signed, as their registration says."""
LIFETIME_S = 600
CLIENT_ID, CLIENT_SECRET = "the-forms", "canary-client-secret"
_JSON = "application/json"


@cache
def rsa_key(name: str = "", bits: int = 2048) -> rsa.RSAPrivateKey:
    """Returns a key of this name, always the same."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(name: str, curve: type[ec.EllipticCurve] = ec.SECP384R1) -> ec.EllipticCurvePrivateKey:
    """Returns a key of this name, always the same."""
    return ec.generate_private_key(curve())


def public_jwk(key: Key, kid: str, **more: Any) -> Json:
    """Returns a key as its owner publishes it."""
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


def compact(header: Json | bytes, claims: Json | bytes, key: Key | bytes, algorithm: str = "") -> str:
    """Returns a token whose parts are as given, whatever they say: signed, or with the given signature."""
    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, claims)]
    signed = b".".join(map(base64url, parts))
    if isinstance(key, bytes):
        return (signed + b"." + base64url(key)).decode()
    usual = "RS384" if isinstance(key, rsa.RSAPrivateKey) else "ES384"
    return (
        signed + b"." + base64url(jwt.get_algorithm_by_name(algorithm or usual).sign(signed, key))
    ).decode()


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@dataclass
class Told:
    """One answer of an authorisation server, whatever it is asked."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": _JSON})
    waits_s: float = 0.0


@dataclass
class Issuer:
    """One authorisation server, which is at the same time the login of one EHR.

    Args:
        name: of its tenant, unless that is given.
        keys: those that it signs with, by id; `published` are those that its set shows.
        cache_control: how long its set may be kept.
        instead: its answer where it does not answer as it should; None where it does.
        fetched: how often its set was asked for.
        tokens: those that it tells about where it is asked about them, with what it tells.
        questions: forms and headers with which it was asked about tokens.
        introspects: whether tokens are asked about rather than signed.
    """

    name: str
    tenant: str = ""
    keys: dict[str, Key] = field(default_factory=dict)
    published: list[Json] | None = None
    cache_control: str = "max-age=300"
    instead: Told | None = None
    fetched: int = 0
    tokens: dict[str, Any] = field(default_factory=dict)
    questions: list[tuple[dict[str, str], dict[str, str]]] = field(default_factory=list)
    introspects: bool = False

    def __post_init__(self) -> None:
        self.keys.setdefault("ec", ec_key(self.name))

    @property
    def issuer(self) -> str:
        return f"https://login.{self.name}.example.org"

    @property
    def base(self) -> str:
        """The FHIR base of the EHR."""
        return f"https://{self.name}.example.org/fhir"

    def claims(self, scope: str = "user/*.cruds", **changed: Any) -> Json:
        """Returns what a good token says, with changes; a change to None leaves a claim out."""
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": BASE,
            "sub": "practitioner-7",
            "client_id": "an-app",
            "iat": now,
            "exp": now + LIFETIME_S,
            "scope": scope,
        }
        return {name: value for name, value in (usual | changed).items() if value is not None}

    def token(self, scope: str = "user/*.cruds", kid: str = "ec", **changed: Any) -> str:
        """Returns a token that is good, unless the changes make it bad."""
        return self.signed(self.claims(scope, **changed), kid)

    def signed(self, claims: Json, kid: str = "ec", algorithm: str = "", **header: Any) -> str:
        key = self.keys[kid]
        usual = "RS384" if isinstance(key, rsa.RSAPrivateKey) else "ES384"
        return jwt.encode(claims, key, algorithm or usual, headers={"kid": kid, "typ": "at+jwt"} | header)

    def key_set(self) -> Told:
        self.fetched += 1
        listed = self.published
        if listed is None:
            listed = [public_jwk(key, kid) for kid, key in self.keys.items()]
        headers = {"Content-Type": _JSON, "Cache-Control": self.cache_control}
        return self.instead or Told(200, json.dumps({"keys": listed}).encode(), headers)

    def introspection(self, form: dict[str, str], headers: dict[str, str]) -> Told:
        self.questions.append((form, headers))
        told = self.tokens.get(form.get("token", ""), {"active": False})
        return self.instead or (told if isinstance(told, Told) else Told(200, json.dumps(told).encode()))

    def entry(self, url: str) -> Json:
        """Returns what the registry says of it, where it is reached below a url."""
        at = f"{url}/{self.name}"
        tokens = {"issuer": self.issuer, "audience": [BASE], "token-endpoint": f"{at}/token"}
        if self.introspects:
            tokens |= {
                "introspection-url": f"{at}/introspect",
                "introspection-client-id": CLIENT_ID,
                "introspection-client-secret-file": "secret",
            }
        else:
            tokens |= {"jwks-url": f"{at}/jwks", "algorithms": [*ALLOWED]}
        return {"issuer": self.base, "tenant": self.tenant or self.name, "tokens": tokens}


class Issuers:
    """All authorisation servers on one port, and what was asked that none of them answers."""

    def __init__(self, *issuers: Issuer) -> None:
        self._by_name = {issuer.name: issuer for issuer in issuers}
        self.strays: list[str] = []
        self.url = ""

    def __getitem__(self, name: str) -> Issuer:
        return self._by_name[name]

    def registry(self, folder: Path) -> Path:
        """Writes the registry that names them; returns its path."""
        (folder / "secret").write_text(f"{CLIENT_SECRET}\n")
        path = folder / "ehrs.yaml"
        path.write_text(yaml.safe_dump({"ehrs": [each.entry(self.url) for each in self._by_name.values()]}))
        return path

    def answer(self, path: str, form: dict[str, str], headers: dict[str, str]) -> Told:
        name, _, what = path.removeprefix("/").partition("/")
        issuer = self._by_name.get(name)
        if issuer is not None and what == "jwks":
            return issuer.key_set()
        if issuer is not None and what == "introspect":
            return issuer.introspection(form, headers)
        self.strays.append(path)
        return Told(404)


@contextmanager
def serving_issuers(*issuers: Issuer) -> Iterator[Issuers]:
    """Answers for these authorisation servers while the block runs."""
    together = Issuers(*issuers)

    class Asked(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._tell(together.answer(self.path, {}, {}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            self._tell(together.answer(self.path, form, dict(self.headers.items())))

        def _tell(self, told: Told) -> None:
            time.sleep(told.waits_s)
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_: object) -> None:
            """Says nothing: these tests read what the service says."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Says nothing where the service has given up waiting."""

    with Quiet(("127.0.0.1", 0), Asked) as server:
        together.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield together
        finally:
            server.shutdown()
            thread.join()
