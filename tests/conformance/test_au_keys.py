"""Keys that change, and authorisation servers that do not answer: checks AU07 and AU14."""

import time

import pytest
from fhir_client import issues_of
from guarded_service import LIES
from gunicorn_server import until
from issuers import CLIENT_ID, CLIENT_SECRET, Told, compact, ec_key, public_jwk

TYPE = "QuestionnaireResponse"
AWAY = Told(500)


@pytest.fixture(scope="module")
def status(guarded):
    """Returns the status of a search with a token."""

    def asked(token):
        answer = guarded.bearing(token).get(TYPE)
        if answer.status == 503:
            issues_of(answer, 503)
            assert int(answer.headers["Retry-After"]) > 0
        elif answer.status != 200:
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"], answer.status
        return answer.status

    return asked


def by_unknown_key(issuer, kid):
    return compact({"alg": "ES384", "kid": kid}, issuer.claims(), ec_key("somebody"))


# Keys (AU07).


def test_au07_a_new_key_is_fetched_once_it_is_used(guarded, status):
    issuer = guarded.issuers["rotates"]
    assert status(issuer.token()) == 200
    assert status(issuer.token(sub="again")) == 200
    assert issuer.fetched == 1
    issuer.keys["next"] = ec_key("next")
    assert status(issuer.token(kid="next")) == 200
    assert issuer.fetched == 2


def test_au07_unknown_keys_are_asked_for_once_in_a_while(guarded, status):
    """Fewer fetches than tokens, however slow the machine: one in ten seconds."""
    issuer = guarded.issuers["unknown"]
    assert status(issuer.token()) == 200
    begun = time.monotonic()
    assert {status(by_unknown_key(issuer, f"made-up-{number}")) for number in range(30)} == {401}
    assert issuer.fetched <= 2 + (time.monotonic() - begun) / 5
    assert status(issuer.token(sub="again")) == 200


def test_au07_a_key_that_was_withdrawn_is_not_taken_for_longer_than_its_set_was_kept(guarded, status):
    issuer = guarded.issuers["withdraws"]
    issuer.cache_control = "max-age=1"
    assert status(issuer.token()) == 200
    issuer.published = [public_jwk(ec_key("next"), "next")]
    numbers = iter(range(10_000))
    until(lambda: status(issuer.token(sub=f"after-{next(numbers)}")) == 401)
    assert status(issuer.token(sub="later")) == 401


def test_au07_without_keys_nothing_is_taken_and_with_them_again(guarded, status):
    issuer = guarded.issuers["down"]
    issuer.instead = AWAY
    assert status(issuer.token()) == 503
    assert status(by_unknown_key(issuer, "other")) == 503
    issuer.instead = None
    until(lambda: status(issuer.token()) == 200)


def test_au07_known_keys_outlive_an_outage_and_unknown_ones_do_not(guarded, status):
    issuer = guarded.issuers["fails-later"]
    assert status(issuer.token()) == 200
    issuer.instead = AWAY
    assert status(issuer.token(sub="during")) == 200
    assert status(by_unknown_key(issuer, "other")) in (401, 503)
    assert status(issuer.token(sub="after")) == 200


def test_au07_keys_that_are_too_old_are_not_taken_in_an_outage(guarded, status):
    issuer = guarded.issuers["fades"]
    issuer.cache_control = "max-age=1"
    assert status(issuer.token()) == 200
    issuer.instead = AWAY
    numbers = iter(range(10_000))
    until(lambda: status(issuer.token(sub=f"during-{next(numbers)}")) == 503)
    assert status(issuer.token(sub="later")) == 503
    assert status(by_unknown_key(issuer, "other")) == 503


@pytest.mark.parametrize("name", LIES)
def test_au07_what_is_no_set_of_keys_opens_nothing(guarded, status, name):
    before = len(guarded.issuers.strays)
    assert status(guarded.issuers[name].token()) == 503
    assert guarded.issuers.strays[before:] == []


def test_au07_a_set_without_keys_opens_nothing(guarded, status):
    issuer = guarded.issuers["lost"]
    issuer.published = []
    assert status(issuer.token()) == 401


def test_au07_one_server_that_is_away_takes_nobody_else_with_it(guarded, status):
    issuer = guarded.issuers["answers-500"]
    assert status(issuer.token()) == 503
    assert status(guarded.issuers["north"].token(sub="meanwhile")) == 200
    assert status(guarded.issuers["asked"].token(sub="meanwhile")) == 401


# Tokens that are asked about (AU14).


@pytest.fixture
def asked(guarded):
    issuer = guarded.issuers["asked"]
    yield issuer
    issuer.instead = None


def known(asked, token, **told):
    """Has the server say what it would of a good token, with changes; None leaves one out."""
    said = {"active": True, **asked.claims()} | told
    asked.tokens[token] = {name: value for name, value in said.items() if value is not None}
    return token


def test_au14_a_token_that_is_active_is_taken(asked, status):
    assert status(known(asked, "opaque-1")) == 200


def test_au14_the_server_is_asked_as_it_demands(guarded, asked, status):
    """With the service's own secret, and the token in the body."""
    assert status(known(asked, "opaque-2")) == 200
    form, headers = asked.questions[-1]
    assert form["token"] == "opaque-2"
    assert headers["Authorization"].startswith("Basic ")
    assert CLIENT_ID not in form
    assert CLIENT_SECRET not in guarded.log()


def test_au14_a_signed_token_of_an_issuer_that_is_asked_is_asked_about(asked, status):
    assert status(known(asked, asked.token(sub="signed"))) == 200
    assert status(asked.token(sub="signed-too")) == 401


def test_au14_a_token_is_asked_about_once_in_a_while(asked, status):
    token = known(asked, "opaque-often")
    before = len(asked.questions)
    assert {status(token) for _ in range(5)} == {200}
    assert len(asked.questions) == before + 1


@pytest.mark.parametrize(
    "told",
    [
        {"active": False},
        {"active": None},
        {"active": "true"},
        {"active": 1},
        {"active": []},
        {"active": {}},
        {"exp": 1},
        {"exp": None},
        {"exp": "4000000000"},
        {"exp": True},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"iss": "https://login.north.example.org"},
        {"iss": ""},
        {"aud": "https://other.example.org/fhir"},
        {"aud": []},
    ],
    ids=str,
)
def test_au14_a_token_that_is_not_active_or_not_for_us_is_refused(asked, status, told):
    assert status(known(asked, f"opaque-{told}".encode().hex(), **told)) == 401


@pytest.mark.parametrize("scope", [None, "", ["user/*.cruds"], {"user/*.cruds": True}, 7, True], ids=str)
def test_au14_without_a_scope_nothing_is_permitted(guarded, asked, scope):
    answer = guarded.bearing(known(asked, f"opaque-{scope}".encode().hex(), scope=scope)).get(TYPE)
    issues_of(answer, 401, 403)


@pytest.mark.parametrize(
    "answer",
    [
        Told(500),
        Told(502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"}),
        Told(401),
        Told(403, b'{"active": true}'),
        Told(404),
        Told(429),
        Told(302, b"", {"Location": "/asked/introspect"}),
        Told(200),
        Told(200, b"<html>active</html>", {"Content-Type": "text/html"}),
        Told(200, b"true"),
        Told(200, b'[{"active": true}]'),
        Told(200, b'{"active": true'),
        Told(200, b'{"active": false, "active": true, "scope": "user/*.cruds", "exp": 4000000000}'),
        Told(200, b'{"active": true, "x": "' + b"x" * 1_100_000 + b'"}'),
    ],
    ids=lambda told: f"{told.status}-{told.body[:20]!r}",
)
def test_au14_where_the_server_gives_no_answer_the_door_stays_shut(asked, status, answer):
    asked.instead = answer
    assert status(f"opaque-{len(asked.questions)}") == 503


def test_au14_where_the_server_is_too_slow_the_door_stays_shut(asked, status):
    asked.tokens["opaque-slow"] = Told(200, b'{"active": true}', waits_s=10)
    assert status("opaque-slow") == 503


def test_au14_no_verdict_outlives_the_token(asked, status):
    """What was said before its end counts no longer, whether the server has another word or none."""
    end = int(time.time()) + 3
    tokens = [known(asked, f"opaque-short-{number}", exp=end) for number in range(2)]
    assert [status(token) for token in tokens] == [200, 200]  # within the skew, however slow the machine
    asked.tokens.clear()
    time.sleep(max(0.0, end - time.time()))
    assert status(tokens[0]) == 401
    asked.instead = AWAY
    assert status(tokens[1]) == 503
