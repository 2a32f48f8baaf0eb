"""Access tokens: which are taken, and that everything else is refused alike (AU02, AU04 to AU07, AU14)."""

import base64
import hashlib
import hmac
import json

import jwt
import orjson
import pytest
from client_jwts import jwk, part, unsigned
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA384

from service.auth.ehrs import Ehr, Tokens
from service.auth.keys import KeySets
from service.auth.signed import LONGEST_TOKEN, SKEW_S, header_in
from service.auth.tokens import ASKED_KEPT_S, TokenChecks, bearer_token
from service.errors import ServiceError, Unauthenticated, Unavailable
from service.outbound import Answer, OutboundFault
from service.records.reach import Reach

ISSUER, BASE, API = (
    "https://login.example.org",
    "https://ehr.example.org/fhir",
    "https://forms.example.org/fhir",
)
JWKS, ASK = f"{ISSUER}/jwks", f"{ISSUER}/introspect"
KIND = "QuestionnaireResponse"
NOW = 1_800_000_000.0
CANARY = "canary-7f3a"


def rsa_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


RSA, OTHER_RSA = rsa_key(), rsa_key()
P256, P384, OTHER_P384 = (
    ec.generate_private_key(curve()) for curve in (ec.SECP256R1, ec.SECP384R1, ec.SECP384R1)
)
PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


class Clock:
    """The time of day, and the seconds that have gone by."""

    def __init__(self):
        self.now, self.set_back = NOW, 0.0

    def __call__(self):
        return self.now

    def elapsed(self):
        return self.now + self.set_back


class Server:
    """An authorisation server: its keys, and what it says of tokens."""

    def __init__(self):
        self.keys = [jwk(RSA, "rsa"), jwk(P256, "p256"), jwk(P384, "p384")]
        self.told, self.status, self.asked, self.fetched = {}, 200, [], 0

    def get(self, url):
        assert url == JWKS, "asked where nobody is registered"
        self.fetched += 1
        return Answer(200, {}, orjson.dumps({"keys": self.keys}))

    def post_form(self, url, form, headers):
        assert url == ASK
        self.asked.append((form, headers))
        if isinstance(self.told, Exception):
            raise self.told
        body = self.told if isinstance(self.told, bytes) else orjson.dumps(self.told)
        return Answer(self.status, {}, body)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def clock():
    return Clock()


def checks_of(server, clock, **more):
    tokens = Tokens(issuer=ISSUER, audiences=(API,), token_endpoint=f"{ISSUER}/token", **more)
    ehr = Ehr(BASE, "", "", (), "North", (), tenant="north", tokens=tokens)
    return TokenChecks([ehr], KeySets(server, clock), server, clock, clock.elapsed)


@pytest.fixture
def signed(server, clock):
    return checks_of(server, clock, keys=JWKS)


@pytest.fixture
def asked(server, clock):
    secret = {"introspection_client_id": "forms", "introspection_secret": "s e:c"}
    return checks_of(server, clock, introspection_url=ASK, **secret)


def claims(**changed):
    usual = {
        "iss": ISSUER,
        "aud": API,
        "exp": int(NOW) + 300,
        "iat": int(NOW),
        "sub": f"person-{CANARY}",
        "client_id": "app",
        "scope": f"openid patient/{KIND}.rs",
        "patient": "A",
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def token(key=RSA, algorithm="RS384", header=None, **changed):
    return jwt.encode(claims(**changed), key, algorithm, {"kid": "rsa", **(header or {})})


def hs_with_public_key(algorithm):
    """Returns a token whose HMAC has the public key for its secret, which pyjwt itself refuses to make."""

    text = f"{part({'alg': algorithm, 'kid': 'rsa', 'typ': 'JWT'})}.{part(claims())}"
    digest = getattr(hashlib, f"sha{algorithm[2:]}")
    return f"{text}.{part(hmac.new(PEM, text.encode(), digest).digest())}"


def tampered(changed_part):
    parts = token().split(".")
    if changed_part == "payload":
        parts[1] = part(claims(scope="user/*.cruds"))
    elif changed_part == "header":
        parts[0] = part({"alg": "RS256", "kid": "rsa"})
    else:
        middle = len(parts[2]) // 2
        other = "A" if parts[2][middle] != "A" else "B"
        parts[2] = parts[2][:middle] + other + parts[2][middle + 1 :]
    return ".".join(parts)


def encoded_otherwise(changed_part):
    """Returns a token, signed as it is, of which one part has other last bits that nothing is decoded to."""
    head = {"alg": "RS384", "kid": "rsa", "typ": "JWT", "x5t": "x"}
    parts = [part(head), part(claims(name="x"))]
    if changed_part != "signature":
        place = ("header", "payload").index(changed_part)
        parts[place] = other_last_bits(parts[place])
    signature = part(RSA.sign(".".join(parts).encode(), PKCS1v15(), SHA384()))
    return ".".join((*parts, other_last_bits(signature) if changed_part == "signature" else signature))


def other_last_bits(text):
    assert len(text) % 4, "no bits are left over"
    other = text[:-1] + chr(ord(text[-1]) + 1)
    assert base64.urlsafe_b64decode(text + "==") == base64.urlsafe_b64decode(other + "==")
    return other


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        (RSA, "RS256", "rsa"),
        (RSA, "RS384", "rsa"),
        (RSA, "PS256", "rsa"),
        (RSA, "PS384", "rsa"),
        (RSA, "PS512", "rsa"),
        (P256, "ES256", "p256"),
        (P384, "ES384", "p384"),
    ],
)
def test_a_token_says_who_sends_it(signed, key, algorithm, kid):
    found = signed.principal(token(key, algorithm, {"kid": kid}))
    assert (found.tenant, found.client_id, found.issuer) == ("north", "app", BASE)
    assert found.subject == f"person-{CANARY}"
    assert found.reach(KIND, "rs") == Reach("north", ("Patient/A", f"{BASE}/Patient/A"))


@pytest.mark.parametrize(
    "given",
    [
        {"aud": [API]},
        {"aud": ["https://other.example.org", API]},
        {"nbf": int(NOW)},
        {"nbf": int(NOW) + SKEW_S},
        {"iat": int(NOW) + SKEW_S},
        {"iat": None},
        {"exp": int(NOW) - SKEW_S + 1},
        {"exp": NOW + 300.5},
    ],
)
def test_au05_a_token_of_this_time_for_this_service_is_taken(signed, given):
    assert signed.principal(token(**given)).tenant == "north"


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_types_of_access_tokens_are_taken(signed, kind):
    assert signed.principal(token(header={"typ": kind}))


DUPLICATE = b'{"iss":"%s","aud":"x","aud":"%s","exp":1900000000}' % (ISSUER.encode(), API.encode())
BAD = {
    # AU02
    "empty": "",
    "garbage": "garbage",
    "not ascii": "tök.en.x",
    "two parts": "a.b",
    "four parts": token() + ".x",
    "five parts": "a.b.c.d.e",
    "empty parts": "..",
    "no header": "." + token().split(".", 1)[1],
    "no signature": token().rsplit(".", 1)[0] + ".",
    "truncated": token()[:-20],
    "truncated in the middle": token()[: len(token()) // 2],
    "tampered payload": tampered("payload"),
    "tampered header": tampered("header"),
    "tampered signature": tampered("signature"),
    "padded": token() + "=",
    "blank behind": token() + " ",
    "line break behind": token() + "\n",
    "quoted": f'"{token()}"',
    "standard base64": token().replace("-", "+").replace("_", "/") + "/",
    "null byte": token() + "\0",
    "header encoded otherwise": encoded_otherwise("header"),
    "payload encoded otherwise": encoded_otherwise("payload"),
    "signature encoded otherwise": encoded_otherwise("signature"),
    "header no JSON": f"{part(b'{')}.{token().split('.', 1)[1]}",
    "header a list": f"{part([])}.{token().split('.', 1)[1]}",
    "payload no JSON": unsigned({"alg": "RS384"}, b"{"),
    "payload a list": unsigned({"alg": "RS384"}, []),
    "payload a string": unsigned({"alg": "RS384"}, "x"),
    "payload not UTF-8": unsigned({"alg": "RS384"}, b"\xff"),
    "payload deep": unsigned({"alg": "RS384"}, b"[" * 4000),
    "too long": token(padding="x" * LONGEST_TOKEN),
    "expired": token(exp=int(NOW) - 3600),
    "expired beyond the skew": token(exp=int(NOW) - SKEW_S),
    "another key": token(OTHER_RSA),
    "another curve's key": token(OTHER_P384, "ES384", {"kid": "p384"}),
    # AU04
    "another API": token(aud="https://other.example.org/fhir"),
    "other APIs": token(aud=["https://other.example.org/fhir", f"{API}/"]),
    "no aud": token(aud=None),
    "empty aud": token(aud=""),
    "no aud in the list": token(aud=[]),
    "aud an object": token(aud={API: True}),
    "aud a number": token(aud=5),
    "aud a list in a list": token(aud=[[API]]),
    "aud with more behind": token(aud=f"{API}/x"),
    "aud in capitals": token(aud=API.upper()),
    "an id token": token(aud="app", nonce="n"),
    "aud twice": unsigned({"alg": "RS384", "kid": "rsa"}, DUPLICATE),
    # AU05
    "another issuer": token(iss="https://evil.example.org"),
    "the issuer with a slash": token(iss=f"{ISSUER}/"),
    "the EHR's base as issuer": token(iss=BASE),
    "no iss": token(iss=None),
    "empty iss": token(iss=""),
    "no exp": token(exp=None),
    "exp zero": token(exp=0),
    "exp negative": token(exp=-1),
    "exp beyond all time": token(exp=10**20),
    "nbf in the future": token(nbf=int(NOW) + SKEW_S + 1),
    "iat in the future": token(iat=int(NOW) + SKEW_S + 1),
    "iat far in the future": token(iat=int(NOW) + 10**6),
    # AU06
    "alg none": jwt.encode(claims(), None, "none"),
    "alg none with a key id": jwt.encode(claims(), None, "none", {"kid": "rsa"}),
    "alg None": unsigned({"alg": "None"}, claims(), b""),
    "alg NONE with a signature": unsigned({"alg": "NONE", "kid": "rsa"}, claims()),
    "no alg": unsigned({"kid": "rsa"}, claims()),
    "alg null": unsigned({"alg": None, "kid": "rsa"}, claims()),
    "alg a list": unsigned({"alg": ["RS384"], "kid": "rsa"}, claims()),
    "alg in small letters": unsigned({"alg": "rs384", "kid": "rsa"}, claims()),
    "HS256 by the public key": hs_with_public_key("HS256"),
    "HS384 by the public key": hs_with_public_key("HS384"),
    "HS512 by the public key": hs_with_public_key("HS512"),
    "HS256 by an empty secret": jwt.encode(claims(), b"x" * 32, "HS256", {"kid": "rsa"}),
    "RS512 is not on the list": token(algorithm="RS512"),
    "ES by a key for RS": token(P384, "ES384", {"kid": "rsa"}),
    "RS by a key for ES": token(RSA, "RS384", {"kid": "p384"}),
    "crit": token(header={"crit": ["exp"]}),
    "crit empty": token(header={"crit": []}),
    "crit unknown": token(header={"crit": ["x"], "x": 1}),
    "b64 false": token(header={"b64": False, "crit": ["b64"]}),
    "jwk of the attacker": token(OTHER_RSA, header={"jwk": jwk(OTHER_RSA, "rsa")}),
    "jwk of the right key": token(header={"jwk": jwk(RSA, "rsa")}),
    "jku": token(header={"jku": "https://evil.example.org/jwks"}),
    "jku by another key": token(OTHER_RSA, header={"jku": "https://evil.example.org/jwks"}),
    "jku of the right server": token(header={"jku": JWKS}),
    "x5u": token(header={"x5u": "https://evil.example.org/cert"}),
    "x5c": token(header={"x5c": ["MIIB"]}),
    "zip": token(header={"zip": "DEF"}),
    "enc": token(header={"enc": "A128GCM"}),
    "an unknown header": token(header={"unknown": 1}),
    "typ of another kind": token(header={"typ": "logout+jwt"}),
    "typ of a DPoP proof": token(header={"typ": "dpop+jwt"}),
    "typ of an event": token(header={"typ": "secevent+jwt"}),
    "typ a number": unsigned({"alg": "RS384", "kid": "rsa", "typ": 5}, claims()),
    # AU07
    "an unknown kid": token(header={"kid": "unknown"}),
    "a path as kid": token(header={"kid": "../../etc/passwd"}),
    "a query as kid": token(header={"kid": "' or 1=1 --"}),
    "an empty kid": token(header={"kid": ""}),
    "a kid that is no text": unsigned({"alg": "RS384", "kid": 5}, claims()),
}
for name in ("sub", "client_id", "azp", "scope"):
    BAD[f"half a character in {name}"] = token(**{"client_id": None, name: "\udc80"})
    BAD[f"a control character in {name}"] = token(**{"client_id": None, name: "a\0"})
for number in (float("nan"), float("inf"), float("-inf")):
    text = json.dumps(claims() | {"more": {"of": number}}).encode()
    BAD[f"{number}, which JSON has not"] = jwt.api_jws.encode(text, RSA, "RS384", {"kid": "rsa"})
for wrong in ("exp", "nbf", "iat"):
    for value in ("1900000000", True, [1], {"a": 1}, float("inf")):
        text = json.dumps(claims() | {wrong: value}).encode()
        BAD[f"{wrong} {value}"] = jwt.api_jws.encode(text, RSA, "RS384", {"kid": "rsa"})


def test_there_are_as_many_bad_tokens_as_the_contract_asks_for():
    assert len(BAD) >= 80


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_refused_like_any_other(signed, server, name):
    with pytest.raises(Unauthenticated) as refused:
        signed.principal(BAD[name])
    assert refused.value.error == "invalid_token"
    assert str(refused.value) == "The token cannot be taken. Expected: a valid access token for this service."
    assert not server.asked
    assert server.fetched <= 2


def test_nobody_changes_the_header_that_is_kept_for_the_next_token():
    header = header_in(token().partition(".")[0])
    with pytest.raises(TypeError):
        header["alg"] = "none"


def test_no_bad_token_is_taken_because_a_good_one_was(signed):
    """What is kept of a token (its header, its keys, what its scopes grant) makes no other one right."""
    assert signed.principal(token())
    for name, bad in BAD.items():
        with pytest.raises(Unauthenticated):
            assert not signed.principal(bad), name


def test_another_registered_algorithm_is_refused_where_the_entry_names_fewer(server, clock):
    checks = checks_of(server, clock, keys=JWKS, algorithms=("ES384",))
    assert checks.principal(token(P384, "ES384", {"kid": "p384"}))
    with pytest.raises(Unauthenticated):
        checks.principal(token())


def test_a_verdict_is_kept_but_not_beyond_the_end_of_the_token(signed, server, clock):
    one = token(exp=int(NOW) + 20)
    signed.principal(one)
    server.keys = []
    clock.now += 20 + SKEW_S - 1
    assert signed.principal(one)
    clock.now += 1
    with pytest.raises(Unauthenticated):
        signed.principal(one)


def test_au07_without_keys_nothing_is_accepted(server, clock, monkeypatch):
    def down(_url):
        raise OutboundFault("down")

    monkeypatch.setattr(server, "get", down)
    with pytest.raises(Unavailable):
        checks_of(server, clock, keys=JWKS).principal(token())


@pytest.mark.parametrize("patient", [None, "", "A/B", "A?x", "../A", 5, ["A"], "x" * 65])
def test_au11_a_patient_that_cannot_be_reaches_nothing(signed, patient):
    assert signed.principal(token(patient=patient)).may_reach(KIND, "r") is None


@pytest.mark.parametrize("scope", [None, "", 5, ["user/*.cruds"], {"user/*.cruds": 1}])
def test_a_token_without_scopes_permits_nothing(signed, scope):
    assert signed.principal(token(scope=scope)).may_reach(KIND, "r") is None


# Tokens that are asked about (AU14).


def told(**changed):
    return {"active": True, **claims(iss=None, aud=None), **changed}


def test_au14_what_the_server_says_is_taken_and_it_learns_who_asks(asked, server):
    server.told = told()
    assert asked.principal("opaque").reach(KIND, "r").patients == ("Patient/A", f"{BASE}/Patient/A")
    ((form, headers),) = server.asked
    assert form["token"] == "opaque"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"forms:s+e%3Ac"


@pytest.mark.parametrize(
    "answer",
    [
        {"active": False},
        told(active="true"),
        told(active=1),
        told(active=None),
        {},
        told(exp=None),
        told(exp=int(NOW) - 3600),
        told(exp="1900000000"),
        told(nbf=int(NOW) + 3600),
        told(iss="https://evil.example.org"),
        told(aud="https://other.example.org"),
        told(aud=[]),
        json.dumps(told(sub="\udc80")).encode(),
    ],
)
def test_au14_a_token_that_is_not_active_here_is_refused(asked, server, answer):
    server.told = answer
    with pytest.raises(Unauthenticated):
        asked.principal("opaque")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b"5", b'{"active":true,"active":true}', b'{"active":false,"n":NaN}'],
)
def test_au14_what_is_no_answer_fails_closed(asked, server, body):
    server.told = body
    with pytest.raises(Unavailable):
        asked.principal("opaque")


@pytest.mark.parametrize("status", [201, 302, 400, 401, 404, 500, 503])
def test_au14_another_status_fails_closed(asked, server, status):
    server.told, server.status = told(), status
    with pytest.raises(Unavailable):
        asked.principal("opaque")


def test_au14_a_server_that_is_down_fails_closed(asked, server):
    server.told = OutboundFault("down")
    with pytest.raises(Unavailable):
        asked.principal("opaque")


def test_au14_a_verdict_is_kept_for_a_minute_at_most(asked, server, clock):
    server.told = told()
    asked.principal("opaque")
    server.told = {"active": False}
    clock.now += ASKED_KEPT_S - 1
    assert asked.principal("opaque")
    clock.now += 1
    with pytest.raises(Unauthenticated):
        asked.principal("opaque")


def test_au14_a_clock_that_is_set_back_lets_no_verdict_live_on(asked, server, clock):
    server.told = told()
    asked.principal("opaque")
    server.told = {"active": False}
    clock.now, clock.set_back = clock.now - 86_400 + ASKED_KEPT_S, 86_400
    assert asked.asks_about("opaque")
    with pytest.raises(Unauthenticated):
        asked.principal("opaque")


def test_au14_it_is_known_beforehand_whether_a_token_costs_a_request(asked, signed, server, clock):
    server.told = told()
    assert asked.asks_about("opaque")
    assert asked.asks_about(token())
    for refused in (token(iss="https://other.example.org"), token(iss=None), "a.!.b"):
        assert not asked.asks_about(refused)
        with pytest.raises(Unauthenticated):
            asked.principal(refused)
    assert not server.asked
    asked.principal("opaque")
    assert not asked.asks_about("opaque")
    clock.now += ASKED_KEPT_S
    assert asked.asks_about("opaque")
    for other in ("opaque", token()):
        assert not signed.asks_about(other)


def test_au14_a_verdict_never_outlives_its_token(asked, server, clock):
    server.told = told(exp=int(NOW) + 5)
    asked.principal("opaque")
    server.told = {"active": False}
    clock.now += 4
    assert asked.principal("opaque")
    clock.now += 1
    with pytest.raises(Unauthenticated):
        asked.principal("opaque")


def test_no_refusal_repeats_what_stands_in_a_token(signed, asked, server, caplog):
    server.told = told(active=False, sub=CANARY)
    for checks, given in ((asked, CANARY), (signed, CANARY), (signed, token(aud=CANARY))):
        with pytest.raises(ServiceError) as refused:
            checks.principal(given)
        assert CANARY not in str(refused.value)
    assert CANARY not in caplog.text


# Tokens that are worth something only with the proof of a key (RFC 9449, RFC 8705): no proof is checked here.

PROOFS = [{"jkt": "x" * 43}, {"x5t#S256": "x" * 43}, {"jwk": {"kty": "RSA"}}, {}, "x", 0]


@pytest.mark.parametrize("cnf", PROOFS)
def test_au02_a_signed_token_that_is_bound_to_a_key_is_no_bearer_token(signed, cnf):
    with pytest.raises(Unauthenticated) as refused:
        signed.principal(token(cnf=cnf))
    assert (refused.value.error, refused.value.problems[0].kind) == ("invalid_token", "token")
    assert "bound to a key" in str(refused.value)


@pytest.mark.parametrize("cnf", PROOFS)
def test_au14_a_token_is_no_bearer_token_where_the_server_says_it_is_bound_to_a_key(asked, server, cnf):
    server.told = told(cnf=cnf)
    with pytest.raises(Unauthenticated, match="bound to a key") as refused:
        asked.principal("opaque")
    assert refused.value.error == "invalid_token"


@pytest.mark.parametrize("kind", ["DPoP", "dpop", "mac", "N_A", "", None, ["Bearer"]])
def test_au14_a_token_of_another_type_is_no_bearer_token(asked, server, kind):
    server.told = told(token_type=kind)
    with pytest.raises(Unauthenticated):
        asked.principal("opaque")


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_au14_a_bearer_token_may_be_called_one(asked, server, kind):
    server.told = told(token_type=kind)
    assert asked.principal("opaque").subject


def test_a_token_that_is_no_good_is_refused_like_any_other_even_where_it_is_bound(signed):
    with pytest.raises(Unauthenticated) as refused:
        signed.principal(token(OTHER_RSA, cnf={"jkt": "x"}))
    assert "bound" not in str(refused.value)


# Where a token stands (AU01, AU02).


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_au02_the_scheme_is_taken_in_any_case(scheme):
    assert bearer_token(f"{scheme} a.b-c_d~e+f/g==", "") == "a.b-c_d~e+f/g=="


@pytest.mark.parametrize(
    ("header", "query"),
    [(None, ""), (None, "no_access_token=x"), ("Basic dTpw", ""), ("", ""), ("Bearerx", "")],
)
def test_au01_without_a_token_no_error_is_named(header, query):
    with pytest.raises(Unauthenticated) as refused:
        bearer_token(header, query)
    assert (refused.value.error, refused.value.problems[0].kind) == ("", "login")


@pytest.mark.parametrize(
    ("header", "query"),
    [
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Bearer  a", ""),
        ("Bearer a b", ""),
        ("Bearer a,Bearer b", ""),
        ("Bearer a, Bearer b", ""),
        ("Bearer =a", ""),
        ('Bearer "a"', ""),
        ("Bearer a\n", ""),
        (None, f"access_token={CANARY}"),
        (None, f"_id=1&access_token={CANARY}"),
    ],
)
def test_au02_a_token_that_does_not_stand_alone_in_its_place_is_refused(header, query):
    with pytest.raises(Unauthenticated) as refused:
        bearer_token(header, query)
    assert refused.value.error == "invalid_token"
    assert CANARY not in str(refused.value)
