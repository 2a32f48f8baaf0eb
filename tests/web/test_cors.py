"""Which browser apps may read an answer, checks CO01 to CO05."""

import fakes
import orjson
import pytest

APP = "https://app.example.org"
OTHER = "https://other.example.org"
ASSESS = "/fhir/QuestionnaireResponse/$assess"
READ = "/fhir/Questionnaire/questionnaire-1"
CLOSED = ("/nothing", READ, "/fhir/Questionnaire", ASSESS, "/openapi.json")
ASKED = "authorization, content-type, prefer, if-none-exist, if-match, x-request-id"


@pytest.fixture(scope="module")
def with_an_origin(fake_assessor):
    return fakes.composed(fake_assessor, origins=frozenset({APP}))


@pytest.fixture
def shared(with_an_origin, assessor):
    """A client of the application with one registered origin."""
    return with_an_origin.test_client()


def preflight(client, path, origin=APP, method="POST", headers=ASKED):
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        asked["Access-Control-Request-Headers"] = headers
    return client.options(path, headers=asked)


def names(answer, header):
    return [name.strip() for name in answer.headers[header].split(",")]


def cors_headers(answer):
    return {name for name in answer.headers.keys() if name.startswith("Access-Control-")}  # noqa: SIM118


@pytest.mark.parametrize("odd", ["a b", "a:b", "a\tb", '"a"', "*", "ü", "", "a;b", "(a)"])
def test_what_is_no_name_of_a_header_is_not_repeated(shared, odd):
    """CO01."""
    answer = preflight(shared, ASSESS, headers=f"x-good,{odd},x-other")
    allowed = names(answer, "Access-Control-Allow-Headers")
    assert {"x-good", "x-other"} <= set(allowed)
    assert odd.strip() not in allowed


def test_no_more_than_fifty_names_are_repeated(shared):
    """CO01."""
    answer = preflight(shared, ASSESS, headers=",".join(f"x-{number}" for number in range(200)))
    ours = [name for name in names(answer, "Access-Control-Allow-Headers") if name[2:].isdecimal()]
    assert ours == [f"x-{number}" for number in range(50)]


def test_a_preflight_without_names_of_headers_is_answered(shared):
    """CO01."""
    assert "authorization" in names(preflight(shared, READ, headers=None), "Access-Control-Allow-Headers")


@pytest.mark.parametrize(
    ("path", "method"), [("/fhir/Patient/1", "GET"), (READ, "POST"), ("/nothing", "POST")]
)
def test_a_preflight_lets_an_app_through_to_the_error_that_it_is_to_read(shared, path, method):
    """CO05; the preflight itself has neither body nor type."""
    asked = preflight(shared, path, method=method)
    assert asked.status_code == 204
    assert "Content-Type" not in asked.headers
    assert method in names(asked, "Access-Control-Allow-Methods")
    assert shared.open(path, method=method, headers={"Origin": APP}).status_code in (404, 405)


@pytest.mark.parametrize("path", CLOSED)
def test_plain_options_without_the_headers_of_a_preflight_is_answered_as_ever(shared, path):
    answer = shared.options(path, headers={"Origin": APP})
    assert answer.status_code == (404 if path == "/nothing" else 204)
    assert "Access-Control-Allow-Methods" not in answer.headers


@pytest.mark.parametrize("origin", [APP, OTHER, "null", None])
def test_the_capability_statement_is_for_every_origin(client, shared, origin):
    """CO02."""
    headers = {} if origin is None else {"Origin": origin}
    for each in (client, shared):
        answer = each.get("/fhir/metadata", headers=headers)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Vary"] == "Accept"
        asked = preflight(each, "/fhir/metadata", origin=origin or OTHER, method="GET")
        assert asked.headers["Access-Control-Allow-Origin"] == "*"
        assert "authorization" in names(asked, "Access-Control-Allow-Headers")


def test_nothing_depends_on_the_origin_where_none_is_registered(client):
    """CO03."""
    for path in CLOSED:
        answer = client.get(path, headers={"Origin": APP})
        assert not cors_headers(answer)
        assert "Origin" not in answer.headers.get("Vary", "")


def test_vary_stays_one_header(shared):
    """CO03; a 304 says the same as the 200 that it stands for."""
    first = shared.get(READ, headers={"Origin": APP})
    again = shared.get(READ, headers={"Origin": APP, "If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    for answer in (first, again):
        assert answer.headers.getlist("Vary") == ["Accept, Origin"]
        assert answer.headers["Access-Control-Allow-Origin"] == APP


def test_an_app_may_read_the_headers_that_it_needs(shared):
    """CO04."""
    needed = {"Location", "ETag", "Last-Modified", "Content-Location", "X-Request-Id", "WWW-Authenticate"}
    needed |= {"X-Correlation-Id", "Allow"}
    for path in (READ, "/fhir/metadata", "/nothing"):
        answer = shared.get(path, headers={"Origin": APP})
        assert needed | {"Link", "X-Guidance", "Retry-After"} == set(
            names(answer, "Access-Control-Expose-Headers")
        )


def test_an_answer_laid_out_for_people_is_still_empty_where_it_has_no_body(shared):
    """CO01; `_pretty` has nothing to lay out."""
    asked = preflight(shared, READ + "?_pretty=true")
    assert (asked.status_code, asked.data) == (204, b"")
    known = shared.get(READ + "?_pretty=true", headers={"If-None-Match": "*"})
    assert (known.status_code, known.data) == (304, b"")
    assert orjson.loads(shared.get(READ + "?_pretty=true").data)
