"""Tokens that must not be taken, each with what is wrong with it; a reader of the contract made them up.

Each function takes the issuers, of which `north` is the one that the tokens pretend to come from.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from fhir_client import BASE
from issuers import Issuers, base64url, compact, ec_key, public_jwk, rsa_key

Json = dict[str, Any]
Forge = Callable[[Issuers], str]

HEADER: Json = {"alg": "ES384", "typ": "at+jwt", "kid": "ec"}
DAY_S = 86_400


def now() -> int:
    return int(time.time())


def changed(**claims: Any) -> Forge:
    """Returns a forger of signed tokens in which these claims are wrong; None leaves one out."""
    return lambda issuers: issuers["north"].token(**claims)


def stated(name: str, value: Any) -> Forge:
    """Returns a forger of signed tokens in which a claim has a value, null included."""
    return lambda issuers: compact(HEADER, issuers["north"].claims() | {name: value}, ec_key("north"))


def headed(**header: Any) -> Forge:
    """Returns a forger of signed tokens with another header."""
    return lambda issuers: compact(HEADER | header, issuers["north"].claims(), ec_key("north"))


def worded(change: Callable[[str], str]) -> Forge:
    """Returns a forger that changes the text of a good token."""
    return lambda issuers: change(issuers["north"].token())


def written(text: str) -> Forge:
    """Returns a forger of one text."""
    return lambda _: text


def _part(number: int, change: Callable[[str], str]) -> Callable[[str], str]:
    def changing(token: str) -> str:
        parts = token.split(".")
        parts[number] = change(parts[number])
        return ".".join(parts)

    return changing


def _flipped(part: str) -> str:
    """Returns the part with another character in its middle."""
    at = len(part) // 2
    return part[:at] + ("A" if part[at] != "A" else "B") + part[at + 1 :]


def _with_claims(**claims: Any) -> Callable[[str], str]:
    """Returns what replaces claims and leaves the signature as it was."""

    def replaced(part: str) -> str:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return base64url(json.dumps(found | claims).encode()).decode()

    return _part(1, replaced)


TAMPERED: dict[str, Forge] = {
    "flipped-header": worded(_part(0, _flipped)),
    "flipped-claims": worded(_part(1, _flipped)),
    "flipped-signature": worded(_part(2, _flipped)),
    "other-scope": worded(_with_claims(scope="system/*.cruds")),
    "other-patient": worded(_with_claims(patient="B")),
    "longer-life": worded(_with_claims(exp=4_000_000_000)),
    "other-issuer": worded(_with_claims(iss="https://login.south.example.org")),
    "other-subject": worded(_with_claims(sub="somebody-else")),
    "signature-of-another": lambda issuers: (
        issuers["north"].token().rpartition(".")[0] + "." + issuers["south"].token().rpartition(".")[2]
    ),
    "claims-of-another": lambda issuers: ".".join(
        (
            issuers["north"].token().split(".")[0],
            issuers["south"].token().split(".")[1],
            issuers["north"].token().split(".")[2],
        )
    ),
    "without-last-character": worded(lambda token: token[:-1]),
    "half-of-it": worded(lambda token: token[: len(token) // 2]),
    "without-signature": worded(lambda token: token.rpartition(".")[0]),
    "empty-signature": worded(lambda token: token.rpartition(".")[0] + "."),
    "header-alone": worded(lambda token: token.partition(".")[0]),
    "claims-alone": worded(lambda token: token.split(".")[1]),
    "empty-header": worded(_part(0, lambda _: "")),
    "empty-claims": worded(_part(1, lambda _: "")),
    "doubled-signature": worded(lambda token: token + "." + token.rpartition(".")[2]),
    "longer-signature": worded(lambda token: token + "AAAA"),
    "padded-parts": worded(_part(0, lambda part: part + "==")),
    "standard-alphabet": worded(_part(2, lambda part: "+/" + part[2:])),
    "turned-round": worded(lambda token: ".".join(reversed(token.split(".")))),
    "five-parts": worded(lambda token: token + ".AAAA.BBBB"),
    "twice": worded(lambda token: token + token),
}
"""Was good once (AU02)."""

GARBAGE: dict[str, Forge] = {
    name: written(text)
    for name, text in {
        "word": "garbage-garbage-garbage",
        "letter": "x",
        "digits": "0000000000",
        "dots": "..",
        "two-dots-with-letters": "aaaa.bbbb.cccc",
        "dash": "-",
        "slashes": "////",
        "null": "null",
        "undefined": "undefined",
        "empty-object": "e30.e30.e30",
        "objects-of-the-wrong-kind": "W10.W10.W10",
        "hash": hashlib.sha256(b"x").hexdigest(),
        "long": "A" * 7000,
        "long-with-dots": "A" * 2000 + "." + "B" * 2000 + "." + "C" * 2000,
        "many-dots": "." * 3000,
        "padding": "a====",
        "path": "../../etc/passwd",
        "user-and-password": base64.b64encode(b"admin:admin").decode(),
    }.items()
}
"""Never was a token (AU02)."""

OF_OTHER_TIMES: dict[str, Forge] = {
    "expired-a-day-ago": lambda issuers: issuers["north"].token(exp=now() - DAY_S),
    "expired-61-seconds-ago": lambda issuers: issuers["north"].token(exp=now() - 61),
    "expired-in-1970": changed(exp=1),
    "expires-at-0": changed(exp=0),
    "negative-exp": changed(exp=-1),
    "no-exp": changed(exp=None),
    "null-exp": stated("exp", None),
    "text-exp": stated("exp", str(4_000_000_000)),
    "true-exp": stated("exp", True),
    "list-exp": stated("exp", [4_000_000_000]),
    "object-exp": stated("exp", {"at": 4_000_000_000}),
    "endless-exp": lambda issuers: compact(
        HEADER,
        json.dumps(issuers["north"].claims() | {"exp": 7}).replace('"exp": 7', '"exp": 1e999').encode(),
        ec_key("north"),
    ),
    "no-number-exp": stated("exp", float("nan")),
    "nbf-tomorrow": lambda issuers: issuers["north"].token(nbf=now() + DAY_S),
    "nbf-in-three-minutes": lambda issuers: issuers["north"].token(nbf=now() + 180),
    "text-nbf": stated("nbf", "0"),
    "null-nbf": stated("nbf", None),
    "iat-tomorrow": lambda issuers: issuers["north"].token(iat=now() + DAY_S),
    "iat-in-three-minutes": lambda issuers: issuers["north"].token(iat=now() + 180),
    "text-iat": stated("iat", "yesterday"),
}
"""Expired, or not valid yet (AU02, AU05)."""

FOR_OTHERS: dict[str, Forge] = {
    "no-aud": changed(aud=None),
    "null-aud": stated("aud", None),
    "another-api": changed(aud="https://other.example.org/fhir"),
    "another-api-in-a-list": changed(aud=["https://other.example.org/fhir"]),
    "several-others": changed(aud=["https://other.example.org/fhir", "the-forms", "*"]),
    "empty-list": changed(aud=[]),
    "empty-text": changed(aud=""),
    "number": stated("aud", 7),
    "true": stated("aud", True),
    "object": stated("aud", {BASE: BASE}),
    "list-in-a-list": stated("aud", [[BASE]]),
    "list-of-nulls": stated("aud", [None]),
    "with-a-slash": changed(aud=BASE + "/"),
    "in-capitals": changed(aud=BASE.upper()),
    "begin-of-ours": changed(aud=BASE[:-1]),
    "ours-and-more": changed(aud=BASE + "/QuestionnaireResponse"),
    "http": changed(aud=BASE.replace("https", "http")),
    "our-host-alone": changed(aud="fhir.example.org"),
    "two-in-one-text": changed(aud=f"{BASE} https://other.example.org"),
    "the-ehr": changed(aud="https://north.example.org/fhir"),
    "wildcard": changed(aud="*"),
}
"""For another API (AU04)."""

OF_OTHERS: dict[str, Forge] = {
    "no-iss": changed(iss=None),
    "null-iss": stated("iss", None),
    "unknown-iss": changed(iss="https://login.evil.example.org"),
    "another-registered-iss": changed(iss="https://login.south.example.org"),
    "iss-that-is-asked-about": changed(iss="https://login.asked.example.org"),
    "iss-with-a-slash": changed(iss="https://login.north.example.org/"),
    "iss-in-capitals": changed(iss="HTTPS://LOGIN.NORTH.EXAMPLE.ORG"),
    "iss-with-more": changed(iss="https://login.north.example.org.evil.example.org"),
    "iss-of-the-ehr": changed(iss="https://north.example.org/fhir"),
    "empty-iss": changed(iss=""),
    "list-iss": stated("iss", ["https://login.north.example.org"]),
    "number-iss": stated("iss", 1),
    "object-iss": stated("iss", {}),
    "key-of-another": lambda issuers: issuers["south"].signed(issuers["north"].claims()),
    "key-of-nobody": lambda issuers: compact(HEADER, issuers["north"].claims(), ec_key("nobody")),
    "rsa-key-of-nobody": lambda issuers: compact(
        HEADER | {"alg": "RS384", "kid": "rsa"}, issuers["north"].claims(), rsa_key("nobody")
    ),
}
"""From somebody else (AU05)."""


def _public_pem(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))


def _shared(algorithm: str, secret: Callable[[], bytes]) -> Forge:
    """Returns a forger that signs with what is public as if it were a shared secret."""

    def forged(issuers: Issuers) -> str:
        parts = ({"alg": algorithm, "typ": "JWT", "kid": "rsa"}, issuers["north"].claims())
        signed = b".".join(base64url(json.dumps(part).encode()) for part in parts)
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
        return (signed + b"." + base64url(hmac.digest(secret(), signed, digest))).decode()

    return forged


def _unsigned(algorithm: Any, signature: bytes = b"") -> Forge:
    return lambda issuers: compact(HEADER | {"alg": algorithm}, issuers["north"].claims(), signature)


def _by(key: Any, kid: str, algorithm: str, said: str = "") -> Forge:
    """Returns a forger that signs with a key and an algorithm, and says perhaps another."""
    return lambda issuers: compact(
        {"alg": said or algorithm, "typ": "at+jwt", "kid": kid}, issuers["north"].claims(), key(), algorithm
    )


def _edwards(issuers: Issuers) -> str:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    return jwt.encode(issuers["north"].claims(), key, "EdDSA", headers={"kid": "ec"})


def _der(issuers: Issuers) -> str:
    """Returns a token whose signature is the right one in the form of another format."""
    head, _, signature = issuers["north"].token().rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    numbers = (int.from_bytes(half) for half in (raw[:48], raw[48:]))
    return f"{head}.{base64url(encode_dss_signature(*numbers)).decode()}"


CONFUSED: dict[str, Forge] = {
    **{f"alg-{name}": _unsigned(name) for name in ("none", "None", "NONE", "nOnE", "none ", "")},
    "alg-none-with-signature": _unsigned("none", b"x" * 96),
    "alg-null": _unsigned(None),
    "alg-list": _unsigned(["ES384"]),
    "alg-number": _unsigned(1),
    "alg-object": _unsigned({"ES384": True}),
    "alg-lower-case": headed(alg="es384"),
    "alg-made-up": headed(alg="ES385"),
    "no-alg": lambda issuers: compact({"kid": "ec"}, issuers["north"].claims(), ec_key("north")),
    **{
        f"{algorithm}-with-the-public-key": _shared(algorithm, lambda: _public_pem(rsa_key("north")))
        for algorithm in ("HS256", "HS384", "HS512")
    },
    "HS256-with-the-jwk": _shared("HS256", lambda: json.dumps(public_jwk(rsa_key("north"), "rsa")).encode()),
    "HS256-with-nothing": _shared("HS256", lambda: b""),
    "HS256-with-the-shared-key": lambda issuers: jwt.encode(
        issuers["north"].claims(), b"secret-secret-secret-secret-secret", "HS256", headers={"kid": "shared"}
    ),
    "algorithm-not-registered-PS256": _by(lambda: rsa_key("north"), "rsa", "PS256"),
    "algorithm-not-registered-RS512": _by(lambda: rsa_key("north"), "rsa", "RS512"),
    "algorithm-not-registered-ES256": _by(lambda: ec_key("p256", ec.SECP256R1), "p256", "ES256"),
    "algorithm-not-registered-ES512": _by(lambda: ec_key("p521", ec.SECP521R1), "p521", "ES512"),
    "algorithm-not-registered-EdDSA": _edwards,
    "other-algorithm-said": _by(lambda: rsa_key("north"), "rsa", "RS256", "RS384"),
    "other-padding-said": _by(lambda: rsa_key("north"), "rsa", "PS384", "RS384"),
    "other-type-of-key": _by(lambda: ec_key("north"), "rsa", "ES384"),
    "other-curve": _by(lambda: ec_key("p256", ec.SECP256R1), "p256", "ES256", "ES384"),
    "short-rsa-key": _by(lambda: rsa_key("small", 1024), "small", "RS256"),
    "key-that-enciphers": _by(lambda: ec_key("enciphers"), "enciphers", "ES384"),
    "key-that-wraps": _by(lambda: ec_key("wraps"), "wraps", "ES384"),
    "zero-signature": _unsigned("ES384", bytes(96)),
    "signature-of-ones": _unsigned("ES384", b"\xff" * 96),
    "short-signature": _unsigned("ES384", b"x" * 10),
    "signature-in-der": _der,
}
"""Signed by nothing, by what is public, or in a way that is not allowed (AU06)."""


def _repeated(where: str, name: str) -> Forge:
    """Returns a forger of signed tokens that say one thing twice."""

    def forged(issuers: Issuers) -> str:
        parts = {"header": HEADER, "claims": issuers["north"].claims()}
        texts = {each: json.dumps(part) for each, part in parts.items()}
        value = json.dumps(parts[where][name])
        texts[where] = f'{{"{name}": {value}, {texts[where][1:]}'
        return compact(texts["header"].encode(), texts["claims"].encode(), ec_key("north"))

    return forged


def _claims_of(data: bytes) -> Forge:
    return lambda _: compact(HEADER, data, ec_key("north"))


def _leading(name: str) -> Forge:
    """Returns a forger of tokens whose header says where to fetch the forger's key."""

    def forged(issuers: Issuers) -> str:
        url = f"{issuers.url}/attacker/{name}"
        return compact(HEADER | {"kid": "evil", name: url}, issuers["north"].claims(), ec_key("evil"))

    return forged


HEADED: dict[str, Forge] = {
    "crit-exp": headed(crit=["exp"]),
    "crit-empty": headed(crit=[]),
    "crit-b64": headed(crit=["b64"], b64=True),
    "crit-unknown": headed(crit=["example"], example=1),
    "crit-text": headed(crit="exp"),
    "b64-false": headed(b64=False),
    "zip": headed(zip="DEF"),
    "enc": headed(enc="A256GCM"),
    "jwk-of-the-forger": lambda issuers: compact(
        HEADER | {"jwk": public_jwk(ec_key("evil"), "ec")}, issuers["north"].claims(), ec_key("evil")
    ),
    "jwk-beside-a-good-signature": headed(jwk=public_jwk(ec_key("evil"), "ec")),
    "jku": _leading("jku"),
    "x5u": _leading("x5u"),
    "jku-beside-a-good-signature": lambda issuers: compact(
        HEADER | {"jku": f"{issuers.url}/attacker/jku"}, issuers["north"].claims(), ec_key("north")
    ),
    "x5c": lambda issuers: compact(HEADER | {"x5c": ["MIIB"]}, issuers["north"].claims(), ec_key("evil")),
    "kid-a-path": headed(kid="../../../../dev/null"),
    "kid-a-statement": headed(kid="' OR '1'='1"),
    "kid-a-url": lambda issuers: compact(
        HEADER | {"kid": f"{issuers.url}/attacker/kid"}, issuers["north"].claims(), ec_key("evil")
    ),
    "kid-list": headed(kid=["ec"]),
    "kid-number": headed(kid=1),
    "kid-object": headed(kid={"ec": 1}),
    "kid-empty": headed(kid=""),
    "kid-of-another-key": headed(kid="rsa"),
    "kid-broken": headed(kid="broken"),
    "kid-long": headed(kid="k" * 3000),
    "typ-of-a-logout": headed(typ="logout+jwt"),
    "typ-of-a-proof": headed(typ="dpop+jwt"),
    "typ-list": headed(typ=["JWT"]),
    "header-a-list": lambda issuers: compact(b'["ES384"]', issuers["north"].claims(), ec_key("north")),
    "header-a-text": lambda issuers: compact(b'"ES384"', issuers["north"].claims(), ec_key("north")),
    "header-no-json": lambda issuers: compact(b"alg=ES384", issuers["north"].claims(), ec_key("north")),
    "header-empty-object": lambda issuers: compact({}, issuers["north"].claims(), ec_key("north")),
    "header-repeats-alg": _repeated("header", "alg"),
    "header-repeats-kid": _repeated("header", "kid"),
    "claims-repeat-scope": _repeated("claims", "scope"),
    "claims-repeat-aud": _repeated("claims", "aud"),
    "claims-a-list": _claims_of(b"[]"),
    "claims-a-number": _claims_of(b"7"),
    "claims-no-json": _claims_of(b"iss=north"),
    "claims-cut": _claims_of(b'{"iss": "https://login.north.example.org"'),
    "claims-not-utf-8": _claims_of(b'{"iss": "\xff\xfe"}'),
    "claims-utf-16": _claims_of('{"iss": "https://login.north.example.org"}'.encode("utf-16")),
    "claims-deep": _claims_of(b'{"iss":' + b"[" * 1500 + b"]" * 1500 + b"}"),
    "claims-empty": _claims_of(b"{}"),
}
"""Says in its header what nobody may say, or is not what a token is (AU06, RFC 8725)."""

BAD_TOKENS: dict[str, Forge] = {
    f"{about}: {name}": forge
    for about, group in {
        "tampered": TAMPERED,
        "garbage": GARBAGE,
        "time": OF_OTHER_TIMES,
        "aud": FOR_OTHERS,
        "iss": OF_OTHERS,
        "alg": CONFUSED,
        "header": HEADED,
    }.items()
    for name, forge in group.items()
}
