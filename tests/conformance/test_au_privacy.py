"""Tokens, who sends them and what they ask about stand in no log, no refusal and no record: check AU16."""

import pytest
from bad_tokens import BAD_TOKENS
from fhir_client import over_http
from gunicorn_server import get, post, until
from issuers import Told
from request_bundles import bundle, create, entry
from sample_responses import SYSTEM, identified, strain

TYPE = "QuestionnaireResponse"
PERSON, DOCTOR, NUMBER = "canary-patient", "canary-practitioner", "canary-number"
SECRET = "canary-of-somebody-elses-server"
CANARIES = (PERSON, DOCTOR, NUMBER, SECRET)
SENT = {
    "x_forwarded_for": NUMBER,
    "user_agent": NUMBER,
    "referer": f"https://app.example.org/{PERSON}",
    "cookie": f"session={NUMBER}",
}


class Quiet:
    """Asks, and looks for canaries in the refusal; at the end in everything that was logged."""

    def __init__(self, guarded):
        self.guarded = guarded
        self.tokens = []

    def ask(self, token, method, where, body=None, **headers):
        self.tokens.append(token)
        answer = self.guarded.bearing(token).ask(method, where, body, **headers)
        if answer.status >= 400:
            self.says_nothing(answer.data, str(answer.headers))
        self.last = answer.headers["X-Request-Id"]
        return answer

    def says_nothing(self, *texts):
        for given in texts:
            text = given if isinstance(given, str) else given.decode("utf-8", "replace")
            assert not any(canary in text for canary in CANARIES)
            for token in self.tokens:
                parts = [part for part in token.split(".") if len(part) >= 12]
                assert not any(part in text for part in (token, *parts))

    def check(self):
        until(lambda: self.last in self.guarded.log())
        self.says_nothing(self.guarded.log())
        assert "Authorization" not in self.guarded.log()
        assert "Bearer" not in self.guarded.log()


@pytest.fixture
def quiet(guarded):
    asking = Quiet(guarded)
    yield asking
    asking.check()


@pytest.fixture
def claims():
    return {
        "sub": DOCTOR,
        "patient": PERSON,
        "fhirUser": f"Practitioner/{DOCTOR}",
        "jti": NUMBER,
        "name": DOCTOR,
    }


def about(**changes):
    return strain(f"Patient/{PERSON}", identifier=identified(NUMBER), **changes)


def test_au16_what_is_permitted_is_not_logged(guarded, quiet, claims):
    token = guarded.issuers["north"].token("patient/*.cruds", **claims)
    stored = quiet.ask(token, "POST", TYPE, about(), **SENT)
    assert stored.status == 201
    id_ = stored.json["id"]
    for method, where, body in (
        ("GET", f"{TYPE}/{id_}", None),
        ("GET", f"{TYPE}?patient={PERSON}&identifier={SYSTEM}|{NUMBER}", None),
        ("GET", f"{TYPE}/{id_}/_history", None),
        ("PUT", f"{TYPE}/{id_}", about(id=id_)),
        ("POST", f"{TYPE}/$assess", about()),
        ("GET", f"RiskAssessment?patient={PERSON}", None),
        ("GET", f"AuditEvent?patient={PERSON}", None),
        ("POST", "", bundle("batch", create(about()), entry("GET", f"{TYPE}?patient={PERSON}"))),
        ("POST", "", bundle("transaction", create(about()), entry("GET", f"{TYPE}/{id_}"))),
    ):
        assert quiet.ask(token, method, where, body, **SENT).status == 200, where


def test_au16_what_is_forbidden_is_neither_logged_nor_repeated(guarded, quiet, claims):
    north = guarded.issuers["north"]
    narrow = north.token(f"patient/{TYPE}.c", **claims)
    other = north.token("patient/*.cruds", **claims | {"patient": f"{PERSON}-2"})
    nobody = north.token(f"patient/{PERSON}.{NUMBER} {DOCTOR}", **claims)
    for token in (narrow, other, nobody):
        for method, where, body in (
            ("GET", f"{TYPE}/{PERSON}", None),
            ("GET", f"RiskAssessment?patient={PERSON}", None),
            ("GET", f"{TYPE}/{PERSON}/_history/{NUMBER}", None),
            ("PUT", f"{TYPE}/{NUMBER}", about(id=NUMBER)),
            ("POST", TYPE, about(subject={"reference": f"Patient/{PERSON}-3", "display": PERSON})),
            (
                "POST",
                "",
                bundle("transaction", create(about()), entry("GET", f"RiskAssessment?patient={PERSON}")),
            ),
            ("GET", f"Patient/{PERSON}", None),
        ):
            answer = quiet.ask(token, method, where, body, **SENT)
            assert answer.status in (200, 201, 403, 404), answer.data


@pytest.mark.parametrize("name", [*BAD_TOKENS][::9])
def test_au16_a_bad_token_is_neither_logged_nor_repeated(guarded, quiet, name):
    token = BAD_TOKENS[name](guarded.issuers)
    assert quiet.ask(token, "GET", f"{TYPE}?patient={PERSON}", **SENT).status == 401
    assert quiet.ask(token, "POST", TYPE, about(), **SENT).status == 401


def test_au16_a_token_in_the_wrong_place_is_neither_logged_nor_repeated(guarded, quiet, claims):
    token = guarded.issuers["north"].token(**claims)
    quiet.tokens.append(token)
    nobody = over_http(guarded.server.port)
    answers = [
        nobody.get(f"{TYPE}?access_token={token}&patient={PERSON}"),
        nobody.get(f"{TYPE}/{token[:60]}"),
        nobody.get(f"{token}"),
        nobody.form(f"{TYPE}/_search", [("access_token", token), ("patient", PERSON)]),
        nobody.get(TYPE, authorization=f"Basic {token}"),
        nobody.get(TYPE, authorization=f"Bearer {token}, Bearer {token}"),
        nobody.get(TYPE, authorization=token),
        nobody.get(TYPE, x_request_id=token[:64], cookie=f"token={token}"),
        nobody.ask(f"X{PERSON}".upper(), TYPE, authorization=f"Bearer {token}"),
    ]
    for answer in answers:
        assert answer.status in (400, 401, 404, 405, 501), answer.status
        quiet.says_nothing(answer.data)
    quiet.ask(token, "GET", "metadata")


@pytest.mark.parametrize(
    "raw",
    [
        get(f"/fhir/{TYPE}", f"Authorization: Bearer {SECRET}", "Host: y"),
        get(f"/fhir/{TYPE}", f"Authorization: Bearer {SECRET}{'x' * 9000}"),
        get(f"/fhir/{TYPE}", f"Authorization : Bearer {SECRET}"),
        get(f"/fhir/{TYPE}", f"Authorization: Bearer {SECRET}\x00"),
        get(f"/fhir/{TYPE}", f"Authorization: Bearer {SECRET}\r\n folded"),
        get(f"/fhir/{TYPE}?access_token={SECRET}{'x' * 9000}"),
        post(b"{}", f"Authorization: Bearer {SECRET}", "Content-Length: 2", "Content-Length: 3"),
        post(b"{}", f"Authorization: Bearer {SECRET}", "Transfer-Encoding: chunked", "Content-Length: 2"),
        f"Authorization: Bearer {SECRET}\r\n\r\n".encode(),
    ],
    ids=range(9),
)
def test_au16_what_is_no_http_is_neither_logged_nor_repeated(guarded, quiet, raw):
    answer = guarded.server.ask(raw)
    assert 400 <= answer.status < 500 or answer.status == 501
    quiet.says_nothing(answer.body, str(answer.headers))
    quiet.ask(guarded.issuers["north"].token(sub=DOCTOR), "GET", "metadata")


def test_au16_a_question_about_a_token_shows_nowhere(guarded, quiet, claims):
    """Nor does what the other server answered."""
    asked = guarded.issuers["asked"]
    token = "opaque-canary-token-that-nobody-may-see"
    asked.tokens[token] = {"active": True, **asked.claims(**claims), "secret": SECRET}
    try:
        assert quiet.ask(token, "GET", f"{TYPE}?patient={PERSON}").status == 200
        for number, body in enumerate((SECRET, f'{{"error": "{SECRET}"', f'["{SECRET}"]')):
            asked.instead = Told(200 if number else 500, body.encode())
            answer = quiet.ask(f"{token}-{number}", "GET", TYPE)
            assert answer.status == 503
    finally:
        asked.instead = None


def test_au16_a_record_of_access_holds_no_token(guarded, quiet, claims):
    token = guarded.issuers["north"].token(
        f"user/{TYPE}.cruds user/AuditEvent.rs user/Provenance.rs", **claims
    )
    quiet.ask(token, "POST", TYPE, about())
    quiet.ask(token, "GET", "RiskAssessment")
    for kind in ("AuditEvent", "Provenance"):
        records = guarded.as_user().get(f"{kind}?_sort=-_lastUpdated&_count=50")
        assert records.status in (200, 400)
        for part in token.split("."):
            assert part.encode() not in records.data
