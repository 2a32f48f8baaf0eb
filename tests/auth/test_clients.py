"""JWTs of CDS clients: which are taken, and that everything else is refused alike (CF04 to CF09)."""

import hashlib
import hmac

import jwt
import orjson
import pytest
from client_jwts import (
    BASE,
    ISSUER,
    JWKS,
    KEYS,
    OTHER_BASE,
    OTHER_ISSUER,
    OTHER_JWKS,
    OTHER_P384,
    P256,
    P384,
    RSA,
    claims,
    jwk,
    part,
    signed,
    unsigned,
)
from cryptography.hazmat.primitives import serialization

from service.auth.clients import LONGEST_S, ClientChecks
from service.auth.ehrs import CdsClient, Ehr
from service.auth.keys import KeySets
from service.auth.principal import CLIENT_KIND
from service.auth.signed import LONGEST_TOKEN, SKEW_S
from service.errors import Unauthenticated, Unavailable
from service.outbound import Answer, OutboundFault, TooLong, TooSlow, Unreadable
from service.records.reach import Reach
from service.storage.model import StoreUnavailable

NOW = 1_800_000_000.0
SERVICE = "https://forms.example.org/cds-services/twitching-patient-view"
FEEDBACK = f"{SERVICE}/feedback"
CANARY = "canary-7f3a"
PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


class Server:
    """The servers of two EHRs, with their keys."""

    def __init__(self):
        self.keys, self.fetched, self.fault, self.instead = [*KEYS], [], None, None

    def get(self, url):
        assert url in (JWKS, OTHER_JWKS), "asked where nobody is registered"
        self.fetched.append(url)
        if self.fault:
            raise self.fault
        return self.instead or Answer(200, {}, orjson.dumps({"keys": self.keys}))


class Names(set):
    """What was used once."""

    def use_once(self, name, *, until, now):
        is_new = name not in self
        self.add(name)
        return is_new


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def used():
    return Names()


@pytest.fixture
def checks(server, used, clock):
    return checks_of(server, used, clock)


def checks_of(server, used, clock, **more):
    north = Ehr(BASE, "", "", (), "North", (), tenant="north", cds_clients=(CdsClient(ISSUER, JWKS, **more),))
    south = Ehr(
        OTHER_BASE,
        "",
        "",
        (),
        "South",
        (),
        tenant="south",
        cds_clients=(CdsClient(OTHER_ISSUER, OTHER_JWKS),),
    )
    return ClientChecks([north, south], KeySets(server, clock), used, clock)


def token(endpoint=SERVICE, **changed):
    return signed(endpoint, NOW, **changed)


def bearing(text):
    return f"Bearer {text}"


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(P384, "ES384", "p384"), (RSA, "RS384", "rsa")])
def test_cf04_a_client_says_who_calls(checks, key, algorithm, kid):
    found = checks.principal(bearing(token(key=key, algorithm=algorithm, header={"kid": kid})), SERVICE)
    assert (found.kind, found.tenant, found.issuer, found.client_id) == (CLIENT_KIND, "north", BASE, ISSUER)
    assert found.reach("", "") == Reach("north")
    assert found.may_reach("QuestionnaireResponse", "r") is None


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": [SERVICE]},
        {"header": {"jku": JWKS}},
        {"exp": NOW + 100.5},
        {"exp": int(NOW) + LONGEST_S + SKEW_S},
        {"exp": int(NOW) - SKEW_S + 1},
        {"iat": int(NOW) + SKEW_S},
        {"iat": int(NOW) - 86_400},
        {"nbf": int(NOW)},
        {"tenant": "somebody-else"},
        {"sub": ISSUER},
    ],
)
def test_cf04_cf07_cf08_a_jwt_of_this_time_for_this_endpoint_is_taken(checks, changed):
    assert checks.principal(bearing(token(**changed)), SERVICE).tenant == "north"


def test_cf07_the_endpoint_of_feedback_has_its_own_url(checks):
    assert checks.principal(bearing(token(FEEDBACK)), FEEDBACK).tenant == "north"
    with pytest.raises(Unauthenticated):
        checks.principal(bearing(token(SERVICE)), FEEDBACK)


def hs_with_public_key(algorithm):
    text = f"{part({'alg': algorithm, 'kid': 'rsa', 'typ': 'JWT'})}.{part(claims(SERVICE, NOW))}"
    digest = getattr(hashlib, f"sha{algorithm[2:]}")
    return f"{text}.{part(hmac.new(PEM, text.encode(), digest).digest())}"


def other_jti_behind(text):
    head, _, signature = text.split(".")
    return f"{head}.{part(claims(SERVICE, NOW))}.{signature}"


ES = {"alg": "ES384", "kid": "p384", "typ": "JWT"}
BAD = {
    # CF05
    "no JWT": "x",
    "two parts": "a.b",
    "four parts": token() + ".x",
    "no signature": token().rsplit(".", 1)[0] + ".",
    "truncated": token()[:-20],
    "other claims": other_jti_behind(token()),
    "too long": token(padding="x" * LONGEST_TOKEN),
    "payload a list": unsigned(ES, []),
    "claim twice": unsigned(ES, b'{"iss":"x","iss":"%s"}' % ISSUER.encode()),
    "another key": token(key=OTHER_P384),
    "alg none": jwt.encode(claims(SERVICE, NOW), None, "none", {"kid": "p384"}),
    "alg none without signature": unsigned(ES | {"alg": "none"}, claims(SERVICE, NOW), b""),
    "alg NONE": unsigned(ES | {"alg": "NONE"}, claims(SERVICE, NOW)),
    "no alg": unsigned({"kid": "p384", "typ": "JWT"}, claims(SERVICE, NOW)),
    "alg a list": unsigned(ES | {"alg": ["ES384"]}, claims(SERVICE, NOW)),
    "HS256 by the public key": hs_with_public_key("HS256"),
    "HS384 by the public key": hs_with_public_key("HS384"),
    "HS512 by the public key": hs_with_public_key("HS512"),
    "RS256 is not allowed": token(key=RSA, algorithm="RS256", header={"kid": "rsa"}),
    "PS384 is not allowed": token(key=RSA, algorithm="PS384", header={"kid": "rsa"}),
    "ES256 is not allowed": token(key=P256, algorithm="ES256", header={"kid": "p256"}),
    "no typ": unsigned({"alg": "ES384", "kid": "p384"}, claims(SERVICE, NOW)),
    "typ in small letters": token(header={"typ": "jwt"}),
    "typ of an access token": token(header={"typ": "at+jwt"}),
    "typ null": token(header={"typ": None}),
    "no kid": token(header={"kid": None}),
    "unknown kid": token(header={"kid": "unknown"}),
    "empty kid": token(header={"kid": ""}),
    "kid a number": unsigned(ES | {"kid": 5}, claims(SERVICE, NOW)),
    "kid of another type": token(key=RSA, algorithm="RS384"),
    "jwk in the header": token(key=OTHER_P384, header={"jwk": jwk(OTHER_P384, "p384")}),
    "x5c": token(header={"x5c": ["MIIB"]}),
    "x5u": token(header={"x5u": "https://evil.example.org/cert"}),
    "crit": token(header={"crit": ["exp"]}),
    # CF06
    "iss not registered": token(iss="https://evil.example.org"),
    "iss with a slash": token(iss=f"{ISSUER}/"),
    "iss is the EHR": token(iss=BASE),
    "iss of another client": token(iss=OTHER_ISSUER, key=OTHER_P384),
    "no iss": token(iss=None),
    "iss a list": unsigned(ES, claims(SERVICE, NOW) | {"iss": [ISSUER]}),
    "jku of somebody": token(key=OTHER_P384, header={"jku": "https://evil.example.org/jwks"}),
    "jku http": token(header={"jku": JWKS.replace("https", "http")}),
    "jku of another client": token(header={"jku": OTHER_JWKS}),
    "jku with a query": token(header={"jku": f"{JWKS}?x"}),
    "jku of this machine": token(header={"jku": "http://127.0.0.1:8000/jwks"}),
    "jku of a file": token(header={"jku": "file:///etc/passwd"}),
    "jku of the cloud": token(header={"jku": "http://169.254.169.254/latest"}),
    "jku empty": token(header={"jku": ""}),
    "jku a number": unsigned(ES | {"jku": 5}, claims(SERVICE, NOW)),
    # CF07
    "aud of the base": token("https://forms.example.org"),
    "aud of discovery": token("https://forms.example.org/cds-services"),
    "aud of another service": token(SERVICE.replace("patient-view", "encounter-start")),
    "aud of feedback": token(FEEDBACK),
    "aud with a slash": token(f"{SERVICE}/"),
    "aud with a query": token(f"{SERVICE}?x"),
    "aud http": token(SERVICE.replace("https", "http")),
    "aud in capitals": token(SERVICE.upper()),
    "aud behind the proxy": token(SERVICE.replace("https://forms.example.org", "http://127.0.0.1:8000")),
    "aud for others too": token([SERVICE, "https://other.example.org"]),
    "aud empty": token(""),
    "aud an empty list": token([]),
    "aud a list in a list": token([[SERVICE]]),
    "aud an object": token({SERVICE: True}),
    "no aud": token(aud=None),
    # CF08
    "exp past": token(exp=int(NOW) - SKEW_S),
    "exp long past": token(exp=int(NOW) - 86_400),
    "no exp": token(exp=None),
    "exp a day ahead": token(exp=int(NOW) + 86_400),
    "exp just too far ahead": token(exp=int(NOW) + LONGEST_S + SKEW_S + 1),
    "no iat": token(iat=None),
    "iat in the future": token(iat=int(NOW) + SKEW_S + 1),
    "nbf in the future": token(nbf=int(NOW) + SKEW_S + 1),
    "no jti": token(jti=None),
    "jti empty": token(jti=""),
}
for wrong, value in (("exp", True), ("exp", "1800000100"), ("iat", "1800000000"), ("iat", True), ("jti", 5)):
    text = orjson.dumps(claims(SERVICE, NOW) | {wrong: value})
    BAD[f"{wrong} {value!r}"] = jwt.api_jws.encode(text, P384, "ES384", {"kid": "p384", "typ": "JWT"})


@pytest.mark.parametrize("name", BAD)
def test_cf05_cf06_cf07_cf08_a_bad_jwt_is_refused_like_any_other(checks, server, used, name):
    with pytest.raises(Unauthenticated) as refused:
        checks.principal(bearing(BAD[name]), SERVICE)
    assert refused.value.error == "invalid_token"
    expected = "Expected: a new one by a registered CDS client, for this endpoint."
    assert str(refused.value) == f"The JWT cannot be taken. {expected}"
    assert not used, "a JWT that is refused uses no nonce up"
    assert {*server.fetched} <= {JWKS, OTHER_JWKS}


@pytest.mark.parametrize("name", [name for name in BAD if name.startswith(("jku", "iss not"))])
def test_cf06_nothing_is_fetched_for_who_is_not_registered(checks, server, name):
    with pytest.raises(Unauthenticated):
        checks.principal(bearing(BAD[name]), SERVICE)
    assert server.fetched == []


@pytest.mark.parametrize("header", [None, "", "Basic eDp5", "DPoP x.y.z", "Bearer", f"JWT {token()}"])
def test_cf05_no_jwt_is_refused(checks, header):
    with pytest.raises(Unauthenticated):
        checks.principal(header, SERVICE)


def test_cf05_who_brings_nothing_is_told_what_to_bring(checks):
    with pytest.raises(Unauthenticated, match="JWT of a CDS client"):
        checks.principal(None, SERVICE)


@pytest.mark.parametrize(
    "twin",
    [
        jwk(OTHER_P384, "p384"),
        jwk(RSA, "p384"),
        jwk(P384, "p384"),
        jwk(OTHER_P384, "p384") | {"use": "enc"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": "p384"},
    ],
)
def test_cf05_an_id_that_two_keys_have_names_none(checks, server, twin):
    server.keys.append(twin)
    with pytest.raises(Unauthenticated):
        checks.principal(bearing(token()), SERVICE)


def test_cf05_what_an_entry_names_is_allowed(server, used, clock):
    checks = checks_of(server, used, clock, algorithms=("RS256",))
    by_rs256 = token(key=RSA, algorithm="RS256", header={"kid": "rsa"})
    assert checks.principal(bearing(by_rs256), SERVICE)
    with pytest.raises(Unauthenticated):
        checks.principal(bearing(token()), SERVICE)


def test_cf09_a_jwt_is_taken_once(checks):
    one = token()
    assert checks.principal(bearing(one), SERVICE)
    with pytest.raises(Unauthenticated):
        checks.principal(bearing(one), SERVICE)


def test_cf09_a_new_jwt_with_the_same_jti_is_refused(checks):
    assert checks.principal(bearing(token(jti="one")), SERVICE)
    with pytest.raises(Unauthenticated):
        checks.principal(bearing(token(FEEDBACK, jti="one")), FEEDBACK)
    assert checks.principal(bearing(token(jti="two")), SERVICE)


def test_cf09_another_issuer_may_have_the_same_jti(checks):
    assert checks.principal(bearing(token(jti="one")), SERVICE).tenant == "north"
    assert checks.principal(bearing(token(jti="one", iss=OTHER_ISSUER)), SERVICE).tenant == "south"


def test_cf09_a_jti_is_remembered_as_long_as_its_jwt_could_be_taken(server, store):
    """By a machine whose clock is behind, too: one whose clock is ahead forgets names for both."""
    behind, ahead = Clock(), Clock()
    ahead.now += 2 * SKEW_S
    here, there = (checks_of(server, store, clock) for clock in (behind, ahead))
    one = bearing(token(exp=NOW + 60))
    assert here.principal(one, SERVICE)
    for clock in (behind, ahead):
        clock.now += 60 + SKEW_S - 1
    assert there.principal(bearing(token(exp=ahead.now + 60)), SERVICE)
    with pytest.raises(Unauthenticated):
        here.principal(one, SERVICE)


def test_cf09_nobody_reads_in_the_store_which_jwts_were_taken(checks, used):
    checks.principal(bearing(token(jti=CANARY)), SERVICE)
    assert used
    assert CANARY not in str(used)


def test_keys_that_cannot_be_had_are_no_fault_of_the_client(checks, server):
    server.fault = OutboundFault("refused")
    with pytest.raises(Unavailable):
        checks.principal(bearing(token()), SERVICE)


def test_cf09_nothing_is_taken_while_the_store_cannot_be_had(server, clock):
    class Gone:
        def use_once(self, name, *, until, now):
            raise StoreUnavailable("The store cannot be reached.")

    with pytest.raises(Unavailable):
        checks_of(server, Gone(), clock).principal(bearing(token()), SERVICE)


NO_SET = {
    "redirect": Answer(302, {"location": OTHER_JWKS}, b""),
    "moved": Answer(308, {"location": "https://evil.example.org/jwks"}, orjson.dumps({"keys": KEYS})),
    "page": Answer(200, {"content-type": "text/html"}, b"<html>"),
    "list": Answer(200, {}, b"[]"),
    "many keys": Answer(200, {}, orjson.dumps({"keys": KEYS * 50})),
    "huge": TooLong("too long"),
}


@pytest.mark.parametrize("name", NO_SET)
def test_cf06_a_registered_url_that_leads_elsewhere_or_to_no_set_of_keys_lets_nobody_in(server, checks, name):
    """CF06 wants 401 for a redirect and a huge set, with no fetch of the url that is not listed.

    It cannot mean a `jku` alone, which is never fetched unless it is the registered url: whether that
    redirects shows only once it is asked. Its server has answered, and the client has no keys there: coming
    again, as 503 would have it, does not help, and who answers so may be somebody else than the client. A
    server that does not answer, or says itself that it cannot, is down, which is 503 as in AU07. The keys of
    an authorisation server are another matter: AU07 and AU14 want 503, an answer of HTML included, since a
    401 sends people to sign in again for a token that is as good as the one they have.
    """
    found = NO_SET[name]
    server.fault, server.instead = (found, None) if isinstance(found, Exception) else (None, found)
    for _ in range(2):
        with pytest.raises(Unauthenticated) as refused:
            checks.principal(f"Bearer {token()}", SERVICE)
        assert refused.value.error == "invalid_token"
    assert server.fetched == [JWKS]


@pytest.mark.parametrize(
    "answer",
    [TooSlow("down"), Unreadable("breaks off"), Answer(500, {}, b"<html>"), Answer(404, {}, b"")],
)
def test_au07_a_server_that_is_down_says_nothing_of_a_jwt_even_if_it_led_elsewhere_before(
    server, checks, clock, answer
):
    server.instead = NO_SET["redirect"]
    with pytest.raises(Unauthenticated):
        checks.principal(f"Bearer {token()}", SERVICE)
    clock.now += 60
    server.fault, server.instead = (answer, None) if isinstance(answer, Exception) else (None, answer)
    with pytest.raises(Unavailable):
        checks.principal(f"Bearer {token()}", SERVICE)
    clock.now += 60
    server.fault = server.instead = None
    assert checks.principal(f"Bearer {token()}", SERVICE)
