"""Whatever is sent, the answer is well-formed and never a breakdown, check RB11."""

import fakes
import orjson
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from service.settings import ROOT

SAMPLE = orjson.loads((ROOT / "samples" / "plain-eyelid.json").read_bytes())
ASSESS = "/fhir/QuestionnaireResponse/$assess"
TYPES = ["application/fhir+json", "application/json;q=0.5", "*/*", 'text/"', ";", ",", "application/fhir+xml"]
PATHS = [
    "/fhir",
    ASSESS,
    "/fhir/Questionnaire",
    "/fhir/Questionnaire/questionnaire-1",
    "/fhir/metadata",
    "/healthz",
]
LATIN = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Accept", "If-None-Match", "If-Modified-Since", "Prefer", "X-Request-Id", "Content-Encoding"]
    ),
    st.sampled_from(TYPES) | LATIN,
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def faked():
    return fakes.composed().test_client()


def places(node, path=()):
    """Yields the path of every member of a document."""
    yield path
    for key, inner in (
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    ):
        yield from places(inner, (*path, key))


PLACES = list(places(SAMPLE))[1:]


def changed(node, path, change):
    """Returns a copy in which the member at `path` is what `change` makes of it; None drops it."""
    copy = dict(node) if isinstance(node, dict) else list(node)
    key, *rest = path
    if rest:
        copy[key] = changed(node[key], rest, change)
    elif change is None:
        del copy[key]
    else:
        copy[key] = change(node[key])
    return copy


@examples(300)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    path=st.sampled_from(PATHS) | st.text(max_size=30).map(lambda text: "/fhir/" + text),
    query=LATIN | st.sampled_from(["_count=1", "_format=json", "_pretty=true", "name:contains=x"]),
    headers=HEADERS,
    kind=st.sampled_from(TYPES) | LATIN,
    data=st.binary(max_size=60),
)
def test_any_request_gets_an_answer_that_a_client_can_read(faked, method, path, query, headers, kind, data):
    environ = {"CONTENT_TYPE": kind, "QUERY_STRING": query}
    answer = faked.open(path, method=method, headers=headers, data=data, environ_overrides=environ)
    assert answer.status_code < 500
    if answer.status_code >= 400 and method != "HEAD":
        assert orjson.loads(answer.data)["resourceType"] == "OperationOutcome"


@examples(150)
@given(
    place=st.sampled_from(PLACES),
    change=st.none()
    | ODD.map(lambda odd: lambda _: odd)
    | st.sampled_from(
        [lambda old: [old], lambda old: {"extension": old}, lambda old: {"valueString": old}, str]
    ),
)
def test_any_change_of_a_response_is_assessed_or_refused(real, place, change):
    body = orjson.dumps(changed(SAMPLE, place, change), option=orjson.OPT_NON_STR_KEYS, default=str)
    answer = real.post(ASSESS, data=body, headers={"Content-Type": "application/fhir+json"})
    assert answer.status_code in (200, 400, 422)
    expected = "RiskAssessment" if answer.status_code == 200 else "OperationOutcome"
    assert orjson.loads(answer.data)["resourceType"] == expected


@examples(100)
@given(cut=st.integers(0, 7000), noise=st.binary(min_size=1, max_size=4))
def test_any_broken_bytes_are_assessed_or_refused(real, cut, noise):
    body = orjson.dumps(SAMPLE)
    body = body[:cut] + noise + body[cut + len(noise) :]
    answer = real.post(ASSESS, data=body, headers={"Content-Type": "application/fhir+json"})
    assert answer.status_code in (200, 400, 422)
    assert orjson.loads(answer.data)["resourceType"]
