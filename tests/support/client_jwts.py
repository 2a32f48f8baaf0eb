"""JWTs as CDS clients sign them, forged with another library than the service checks them with.

The claims are those of CDS Hooks 2.0.1, section "Trusting CDS Clients"; the public sandbox
(cds-hooks/sandbox, jwt-generator.js) signs the same with ES384 for five minutes.
"""

import base64
import json
from itertools import count

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER, BASE = "https://cds.example.org/client", "https://ehr.example.org/fhir"
OTHER_ISSUER, OTHER_BASE = "https://cds.example.net/client", "https://ehr.example.net/fhir"
JWKS, OTHER_JWKS = "https://ehr.example.org/jwks", "https://ehr.example.net/jwks"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P384, OTHER_P384, P256 = (
    ec.generate_private_key(curve()) for curve in (ec.SECP384R1, ec.SECP384R1, ec.SECP256R1)
)
_NONCES = count(1)


def jwk(key, kid):
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid}


KEYS = [jwk(P384, "p384"), jwk(RSA, "rsa"), jwk(P256, "p256")]


def claims(endpoint, now, **changed):
    """Returns what a client says of itself; a member that is None is left out."""
    usual = {
        "iss": ISSUER,
        "aud": endpoint,
        "exp": int(now) + 300,
        "iat": int(now),
        "jti": f"nonce-{next(_NONCES)}",
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def signed(endpoint, now, key=P384, algorithm="ES384", header=None, **changed):
    """Returns a JWT; members of the header and claims that are None are left out."""
    given = {"kid": "p384", "typ": "JWT", **(header or {})}
    headers = {name: value for name, value in given.items() if value is not None or name == "typ"}
    return jwt.encode(claims(endpoint, now, **changed), key, algorithm, headers)


def part(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unsigned(header, payload, signature=b"x"):
    return f"{part(header)}.{part(payload)}.{part(signature) if signature else ''}"
