"""A registry of tenants whose tokens the tests sign themselves, and the headers that carry such a token."""

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

API = "https://forms.example.org/fhir"
"""What the tokens are for."""

_ENTRY = """
  - issuer: https://{name}.example.org/fhir
    tenant: {name}
    tokens:
      issuer: https://login.{name}.example.org
      audience: ["{api}"]
      jwks-file: keys.json
      token-endpoint: https://login.{name}.example.org/token
"""


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def registry_of(folder: Path, *tenants: str) -> Path:
    """Writes a registry with one EHR for each tenant, and the key of all their tokens; returns its path."""
    key = jwt.algorithms.RSAAlgorithm.to_jwk(_key().public_key(), as_dict=True)
    (folder / "keys.json").write_text(json.dumps({"keys": [{**key, "kid": "one"}]}), "utf-8")
    path = folder / "ehrs.yaml"
    path.write_text("ehrs:" + "".join(_ENTRY.format(name=name, api=API) for name in tenants), "utf-8")
    return path


def token(scope: str | None, patient: str | None = None, name: str = "north", **claims: Any) -> str:
    """Returns a token that the tenant's authorization server might have signed.

    Args:
        scope: None leaves it out.
        patient: whom a `patient/` scope is about: an id or a reference; None leaves it out.
        name: of the tenant.
        claims: more of them, or others than these.
    """
    said = {"iss": f"https://login.{name}.example.org", "aud": API, "exp": time.time() + 600}
    said |= {} if scope is None else {"scope": scope}
    said |= {} if patient is None else {"patient": patient.removeprefix("Patient/")}
    return jwt.encode(said | claims, _key(), "RS256", {"kid": "one"})


def by(scope: str | None, patient: str | None = None, name: str = "north", **claims: Any) -> dict[str, str]:
    """Returns the header with such a token."""
    return {"Authorization": f"Bearer {token(scope, patient, name, **claims)}"}
