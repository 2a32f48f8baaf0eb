"""Many different requests at once get the answers that they get one by one, check PX05."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from gunicorn_server import get, post, serving

from service.settings import ROOT

SAMPLES = [path.read_bytes() for path in sorted((ROOT / "samples").glob("*.json")) if "." not in path.stem]
ACCEPTED = ("application/fhir+json", "application/json", "text/json", "application/fhir+xml", "*/*")
QUERIES = ("", "?_format=json", "?_pretty=true", "?_format=application/json&_pretty=true", "?_format=xml")
PATHS = ("/fhir/metadata", "/fhir/Questionnaire", "/fhir/Questionnaire/none", "/fhir/Patient/1", "/healthz")
OWN = ("x-request-id", "date")
"""Headers that differ between two answers to the same request."""


@pytest.fixture(scope="module")
def server():
    with serving("service.app:from_environment()", WORKERS="2", STORE_URL="none") as running:
        yield running


def requests():
    """Yields requests that differ in body, path, media type, layout and id."""
    bodies = (*SAMPLES, b"[]", b"{}", b'{"resourceType":"QuestionnaireResponse","status":"completed"}')
    for number, query in enumerate(QUERIES):
        for accept in ACCEPTED:
            headers = (f"Accept: {accept}", f"X-Request-Id: {number}-{ACCEPTED.index(accept)}")
            yield from (get(path + query, *headers) for path in PATHS)
            path = "/fhir/QuestionnaireResponse/$assess" + query
            yield from (post(body, *headers, path=path) for body in bodies)


def test_mixed_requests_at_once_get_the_answers_that_they_get_one_by_one(server):
    """PX05: status, every header and body."""

    def told(request):
        answer = server.ask(request)
        headers = {name: value for name, value in answer.headers.items() if name not in OWN}
        return answer.status, headers, answer.body

    alone = {request: told(request) for request in requests()}
    mixed = list(alone) * 3
    random.Random(5).shuffle(mixed)
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(told, mixed))
    assert len({str(answer) for answer in alone.values()}) > 100
    for request, answer in zip(mixed, together, strict=True):
        assert answer == alone[request]


def test_every_answer_has_an_id_of_its_own(server):
    """PX05."""
    request = get("/healthz", "X-Request-Id: same")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(server.ask, [request] * 100))
    assert len({answer.headers["x-request-id"] for answer in answers}) == 100
    assert {answer.headers["x-correlation-id"] for answer in answers} == {"same"}
