"""Errors, checks ER01 to ER07, and the limits of a body."""

import io
import logging

import orjson
import pytest

from service import errors
from service.web.deployment import Deployment
from service.web.problems import refusal
from service.web.reply import STATUS

ASSESS = "/fhir/QuestionnaireResponse/$assess"


def every_error(kind=errors.ServiceError):
    for child in kind.__subclasses__():
        yield child
        yield from every_error(child)


def test_every_error_has_a_status():
    assert set(STATUS) == set(every_error())


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (errors.Unauthenticated(), 401, ("WWW-Authenticate", 'Bearer realm="fhir"')),
        (
            errors.Unauthenticated(error="invalid_token"),
            401,
            ("WWW-Authenticate", 'Bearer realm="fhir", error="invalid_token"'),
        ),
        (errors.Forbidden(), 403, ("WWW-Authenticate", 'Bearer realm="fhir", error="insufficient_scope"')),
        (errors.TooManyRequests(retry_after_s=7), 429, ("Retry-After", "7")),
    ],
)
def test_au01_au02_au03_er08_a_refusal_says_what_would_help(error, status, header):
    reply = refusal(error, Deployment())
    assert reply.status == status
    assert header in reply.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/fhir/QuestionnaireResponse/1/$assess", 404),
        ("GET", "/fhir/QuestionnaireResponse/1", 404),
        ("GET", "/fhir/QuestionnaireResponse", 405),
        ("POST", "/fhir/QuestionnaireResponse", 405),
        ("PUT", "/fhir/QuestionnaireResponse/$assess", 405),
        ("GET", "/fhir/Questionnaire/..%2f..%2fetc", 404),
        ("GET", "/fhir//metadata", 404),
        ("POST", "/fhir/$assess", 404),
    ],
)
def test_what_is_not_served_where_nothing_is_stored_is_refused_with_an_outcome(
    client, is_outcome, method, path, status
):
    answer = client.open(path, method=method)
    assert answer.status_code == status
    is_outcome(answer)


def test_a_refused_method_names_the_methods_that_are_answered(client):
    assert client.get(ASSESS).headers["Allow"] == "OPTIONS, POST"
    assert client.delete("/fhir/metadata").headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_refusal_has_one_issue_per_problem_with_its_place(assess, assessor, is_outcome):
    problems = [
        errors.Problem("code", "Expected: one of the options.", "QuestionnaireResponse.item[0].answer[0]"),
        errors.Problem("missing", "Expected: an answer.", "QuestionnaireResponse.item[1]"),
    ]
    assessor.raises = errors.NotScorable(*problems)
    answer = assess()
    assert answer.status_code == 422
    is_outcome(answer)
    places = [issue["expression"] for issue in orjson.loads(answer.data)["issue"]]
    assert places == [[problem.expression] for problem in problems]


def test_an_unreadable_body_is_400(assess, is_outcome):
    answer = assess(b"[]")
    assert answer.status_code == 400
    is_outcome(answer)


def test_a_failure_of_the_program_says_nothing_of_its_inside(assess, assessor, is_outcome, caplog):
    assessor.raises = KeyError("secret-answer")
    with caplog.at_level(logging.INFO):
        answer = assess()
    assert answer.status_code == 500
    is_outcome(answer)
    issue = orjson.loads(answer.data)["issue"][0]
    assert issue["code"] == "exception"
    assert answer.headers["X-Request-Id"] in issue["diagnostics"]
    for word in (b"secret", b"KeyError", b"Traceback", b".py"):
        assert word not in answer.data


def test_a_refusal_without_a_status_is_still_answered(assess, assessor, is_outcome):
    assessor.raises = errors.ServiceError(errors.Problem("code", "Expected: an option."))
    answer = assess()
    assert answer.status_code == 500
    is_outcome(answer)


class Unread(io.BytesIO):
    """A body that must not be read."""

    def read(self, *_):
        raise AssertionError


@pytest.mark.parametrize(
    "environ",
    [
        {"wsgi.input": Unread(), "CONTENT_LENGTH": "4097"},
        {"wsgi.input": io.BytesIO(b"{" + b" " * 4096), "CONTENT_LENGTH": ""},
        {"wsgi.input": io.BytesIO(b"{" + b" " * 4096), "CONTENT_LENGTH": "many"},
    ],
)
def test_a_body_over_the_limit_is_refused(client, assessor, is_outcome, environ):
    answer = client.post(ASSESS, environ_overrides=environ | {"CONTENT_TYPE": "application/json"})
    assert answer.status_code == 413
    is_outcome(answer)
    assert assessor.seen == []


def test_a_body_of_exactly_the_limit_is_read(assess, assessor):
    assert assess(b"{" + b" " * 4095).status_code == 200
    assert len(assessor.seen[0]) == 4096


def test_a_body_shorter_than_announced_is_refused(client, is_outcome):
    environ = {"wsgi.input": io.BytesIO(b"{}"), "CONTENT_LENGTH": "10", "CONTENT_TYPE": "application/json"}
    answer = client.post(ASSESS, environ_overrides=environ)
    assert answer.status_code == 400
    is_outcome(answer)


def test_a_body_that_breaks_off_is_refused(client, is_outcome):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise OSError

    environ = {"wsgi.input": Broken(), "CONTENT_LENGTH": "10", "CONTENT_TYPE": "application/json"}
    answer = client.post(ASSESS, environ_overrides=environ)
    assert answer.status_code == 400
    is_outcome(answer)


@pytest.mark.parametrize("theirs", ["abc", "A-1.b_c:d", "x" * 64])
def test_a_callers_request_id_comes_back_beside_our_own(client, theirs):
    answer = client.get("/healthz", headers={"X-Request-Id": theirs})
    assert answer.headers["X-Correlation-Id"] == theirs
    assert answer.headers["X-Request-Id"] not in (theirs, "")


@pytest.mark.parametrize("theirs", ["x" * 65, "a b", "<x>", "ümlaut", "\x7f", ""])
def test_a_request_id_that_is_not_plain_is_dropped(client, theirs):
    answer = client.get("/healthz", headers={"X-Request-Id": theirs})
    assert "X-Correlation-Id" not in answer.headers
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/healthz", "/fhir/metadata", "/fhir/Questionnaire", "/nothing", "/fhir"])
def test_every_answer_forbids_guessing_its_type(client, path):
    assert client.get(path).headers["X-Content-Type-Options"] == "nosniff"


def test_results_and_errors_are_not_stored_by_caches(assess, client):
    assert assess().headers["Cache-Control"] == "no-store"
    assert assess(b"[]").headers["Cache-Control"] == "no-store"
    assert client.get("/nothing").headers["Cache-Control"] == "no-store"


def test_a_result_names_its_guidance(assess):
    assert assess().headers["X-Guidance"] == "urn:g|1"


@pytest.mark.parametrize("query", ["%ff=1", "&".join(f"a{n}=1" for n in range(101))])
def test_parameters_that_cannot_be_read_are_refused(client, is_outcome, query):
    answer = client.get(f"/fhir/Questionnaire?{query}")
    assert answer.status_code == 400
    is_outcome(answer)
