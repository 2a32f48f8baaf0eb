"""Access tokens over HTTP: which are taken and how others are refused, checks AU01, AU02, AU04 to AU06."""

import json
import time

import pytest
from bad_tokens import BAD_TOKENS
from fhir_client import BASE, codes_of, issues_of, over_http
from gunicorn_server import get
from sample_responses import strain

TYPE = "QuestionnaireResponse"
PROTECTED = [
    ("GET", TYPE, None),
    ("HEAD", TYPE, None),
    ("GET", f"{TYPE}/none", None),
    ("GET", f"{TYPE}/none/_history", None),
    ("GET", f"{TYPE}/none/_history/1", None),
    ("GET", f"{TYPE}?patient=A&_format=json", None),
    ("POST", f"{TYPE}/_search", {}),
    ("POST", TYPE, strain()),
    ("POST", TYPE, {"resourceType": TYPE}),
    ("POST", TYPE, b"{"),
    ("POST", TYPE, b""),
    ("POST", TYPE, b'{"a": NaN, "a": 1}'),
    ("PUT", f"{TYPE}/none", strain()),
    ("POST", f"{TYPE}/$assess", strain()),
    ("POST", f"{TYPE}/$validate", strain()),
    ("POST", f"{TYPE}/$extract", strain()),
    ("GET", f"{TYPE}/none/$extract", None),
    ("POST", f"{TYPE}/$explain", strain()),
    ("GET", "RiskAssessment/none/$explain", None),
    ("POST", "Questionnaire/$process-response", strain()),
    ("POST", "Questionnaire/$populate", {"resourceType": "Parameters"}),
    ("POST", "Questionnaire/$next-question", strain()),
    ("POST", "PlanDefinition/workday-strain/$apply", {"resourceType": "Parameters"}),
    ("GET", "RiskAssessment", None),
    ("GET", "RiskAssessment/none", None),
    ("GET", "Provenance", None),
    ("GET", "AuditEvent?_count=1", None),
    ("POST", "", {"resourceType": "Bundle", "type": "batch"}),
    ("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [{}]}),
    ("POST", "", b"no json"),
    ("GET", "Questionnaire", None),
    ("GET", "Questionnaire/workday-strain", None),
    ("GET", "ValueSet/$expand", None),
    ("GET", "StructureDefinition", None),
]
"""Method, path and body of requests that need a token, whatever is wrong with them besides."""


def asks_for_a_login(answer):
    """Expects that the answer asks for a token, and blames none."""
    assert answer.status == 401, answer.data[:300]
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="')
    assert "error" not in challenge
    assert answer.headers["Cache-Control"] == "no-store"


def refuses_the_token(answer):
    assert answer.status == 401, answer.data[:300]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.fixture(scope="module")
def north(guarded):
    return guarded.issuers["north"]


@pytest.fixture(scope="module")
def nobody(guarded):
    """Sends no token, or one in a place of its own."""
    return over_http(guarded.server.port)


# Nobody says who they are.


@pytest.mark.parametrize(("method", "where", "body"), PROTECTED)
def test_au01_without_a_token_no_route_answers(nobody, method, where, body):
    answer = nobody.ask(method, where, body)
    asks_for_a_login(answer)
    if method != "HEAD":
        assert codes_of(answer, 401) == {"login"}


def test_au01_what_is_there_and_what_is_not_are_refused_alike(guarded, nobody):
    stored = guarded.as_user().create(strain())
    answers = [nobody.get(f"{TYPE}/{id_}") for id_ in (stored["id"], "none", stored["id"][::-1])]
    assert len({(answer.status, answer.data) for answer in answers}) == 1


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic YWRtaW46YWRtaW4=",
        "Basic Og==",
        "Digest username=admin",
        "Negotiate abc",
        "Token {token}",
        "JWT {token}",
        "DPoP {token}",
        "{token}",
        "Bearer={token}",
        "Bearer:{token}",
        "BearerX {token}",
        "Bear {token}",
        "Bearer,{token}",
        "access_token {token}",
    ],
)
def test_au01_another_scheme_is_no_token(guarded, north, header):
    asks_for_a_login(guarded.calling({"Authorization": header.format(token=north.token())}).get(TYPE))


@pytest.mark.parametrize(
    "name", ["X-Authorization", "Proxy-Authorization", "X-Access-Token", "X-Forwarded-Access-Token", "Token"]
)
def test_au01_another_header_is_no_place_for_a_token(guarded, north, name):
    asks_for_a_login(guarded.calling({name: f"Bearer {north.token()}"}).get(TYPE))


@pytest.mark.parametrize("name", ["access_token", "token", "Authorization", "session"])
def test_au01_a_cookie_is_no_place_for_a_token(guarded, north, name):
    asks_for_a_login(guarded.calling({"Cookie": f"{name}={north.token()}"}).get(TYPE))


# Tokens that cannot be taken.


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_au02_au04_au05_au06_a_bad_token_is_refused(guarded, name):
    """What the token itself asks to be fetched, it does not get (`jku`, `x5u`)."""
    before = len(guarded.issuers.strays)
    answer = guarded.bearing(BAD_TOKENS[name](guarded.issuers)).get(TYPE)
    refuses_the_token(answer)
    issues_of(answer, 401)
    assert guarded.issuers.strays[before:] == []


def test_au02_every_refusal_reads_the_same(guarded):
    """Who probes does not learn how far a token got."""
    names = (
        "tampered: flipped-signature",
        "time: no-exp",
        "aud: another-api",
        "iss: unknown-iss",
        "alg: alg-none",
    )
    answers = [guarded.bearing(BAD_TOKENS[name](guarded.issuers)).get(TYPE) for name in names]
    told = {(each.status, each.headers["WWW-Authenticate"], each.data) for each in answers}
    assert len(told) == 1


@pytest.mark.parametrize(("method", "where", "body"), PROTECTED)
def test_au02_a_bad_token_is_worse_than_a_bad_body(guarded, method, where, body):
    refuses_the_token(guarded.bearing("garbage").ask(method, where, body))


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer  {token}",
        "Bearer\t{token}",
        "Bearer {token} {token}",
        "Bearer {token}, Bearer {token}",
        "Bearer {token},",
        "Bearer {token};",
        'Bearer "{token}"',
        "Bearer '{token}'",
        "Bearer <{token}>",
        "Bearer token={token}",
        "Bearer access_token={token}",
        "Bearer Bearer {token}",
        "Bearer {token} realm=fhir",
        "Bearer {token}\u00a0",
        "Bearer {token}\u00e9",
        "Bearer %65{token}",
    ],
)
def test_au02_a_header_that_has_more_or_less_than_a_token_is_refused(guarded, north, header):
    answer = guarded.calling({"Authorization": header.format(token=north.token())}).get(TYPE)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    issues_of(answer, 401)


def test_au02_two_headers_are_refused_even_where_both_are_good(guarded, north):
    good, other = (f"Authorization: Bearer {north.token(sub=name)}" for name in ("one", "two"))
    basic = "Authorization: Basic YTpi"
    for headers in ((good, other), (good, good), (good, basic), (basic, good), (good, "authorization: x")):
        answer = guarded.server.ask(get(f"/fhir/{TYPE}", *headers))
        assert answer.status == 401, headers
        if headers[0] == good:
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "query", ["?access_token={}", "?_count=1&access_token={}", "?access_token={}&patient=A"]
)
def test_au02_a_token_in_the_query_is_refused(guarded, north, nobody, query):
    refuses_the_token(nobody.get(TYPE + query.format(north.token())))


def test_au02_a_token_in_a_form_is_refused(north, nobody):
    assert nobody.form(f"{TYPE}/_search", [("access_token", north.token())]).status == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_au02_the_scheme_is_taken_in_any_case(guarded, north, scheme):
    answer = guarded.calling({"Authorization": f"{scheme} {north.token()}"}).get(TYPE)
    assert answer.status == 200


@pytest.mark.parametrize("length", [8_100, 9_000, 60_000])
def test_au02_a_header_beyond_all_limits_breaks_nothing(guarded, length):
    answer = guarded.calling({"Authorization": "Bearer " + "a" * length}).get(TYPE)
    assert answer.status in (401, 431)
    issues_of(answer, 401, 431)


# Tokens that can.


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kid": "rsa"},
        {"aud": [BASE]},
        {"aud": ["https://other.example.org/fhir", BASE]},
        {"iat": None},
        {"sub": None},
        {"jti": "x", "nbf": 0, "auth_time": 7, "cnf": None},
    ],
    ids=str,
)
def test_au04_au05_a_good_token_is_taken(guarded, north, changes):
    assert guarded.bearing(north.token(**changes)).get(TYPE).status == 200


@pytest.mark.parametrize("algorithm", ["RS256", "RS384"])
def test_au06_each_algorithm_that_is_registered_is_taken(guarded, north, algorithm):
    token = north.signed(north.claims(), "rsa", algorithm)
    assert guarded.bearing(token).get(TYPE).status == 200


@pytest.mark.parametrize("kind", ["at+jwt", "JWT", "jwt", "application/at+jwt", None])
def test_au06_the_type_may_be_said_or_not(guarded, north, kind):
    assert guarded.bearing(north.signed(north.claims(), typ=kind)).get(TYPE).status == 200


def test_au05_a_clock_that_goes_a_little_wrong_is_forgiven(guarded, north):
    """A token that ended a second ago, and one that begins a few seconds from now."""
    now = int(time.time())
    assert guarded.bearing(north.token(exp=now - 1, sub="late")).get(TYPE).status == 200
    assert guarded.bearing(north.token(nbf=now + 20, iat=now + 20, sub="early")).get(TYPE).status == 200


# Bodies that are bad beside a good token.

BODIES = [
    (b"", 400),
    (b"{", 400),
    (b"null", 400),
    (b"[]", 400),
    (b"\xff\xfe{\x00}\x00", 400),
    (b'{"resourceType": "QuestionnaireResponse", "status": NaN}', 400),
    (b'{"resourceType": "QuestionnaireResponse", "resourceType": "Patient"}', 400),
    (json.dumps({"resourceType": "Patient"}).encode(), 400),
    (json.dumps(strain(status="unknown")).encode(), 400),
    (json.dumps(strain(authored="yesterday")).encode(), 400),
    (json.dumps(strain(subject="Patient/A")).encode(), 400),
    (json.dumps(strain(item="all")).encode(), 400),
    (json.dumps(strain(questionnaire=None)).encode(), 422),
    (json.dumps(strain(questionnaire="https://other.example.org/Questionnaire/q|1")).encode(), 422),
    (b"[" * 2000, 413),
    (b" " * 1_048_577, 413),
]


@pytest.mark.parametrize(("body", "status"), BODIES, ids=range(len(BODIES)))
def test_a_bad_body_is_refused_for_itself_where_the_token_is_good(guarded, nobody, body, status):
    """Who may send it is asked first: AU01, AU02, AU03."""
    for where in (TYPE, f"{TYPE}/$assess"):
        assert nobody.post(where, body).status == 401
        assert guarded.bearing("garbage").post(where, body).status == 401
        issues_of(guarded.as_user("user/RiskAssessment.cruds").post(where, body), 403)
        answer = guarded.as_user().post(where, body)
        issues_of(answer, *((400, 422) if status in (400, 422) else (400, 413)))
