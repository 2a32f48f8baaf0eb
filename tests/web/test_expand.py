"""`$expand` over HTTP, checks OP04 to OP06: R4 OperationDefinition ValueSet-expand."""

import copy
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import fakes
import orjson
import pytest
from flask.testing import FlaskClient

from service import catalogue
from service.datatypes.answers import Coding
from service.questionnaire import compile_leniently
from service.terminology import value_sets_from
from service.web.application import Application
from service.web.capability import capability_statement
from service.web.operations import EXPAND_INPUTS, EXPAND_REFUSED, Expansions
from service.web.routes import STANDARD, expansion_routes

Json = dict[str, Any]

URL = "https://example.org/ValueSet/grades"
SYSTEM: Json = {
    "resourceType": "CodeSystem",
    "id": "grades",
    "url": "https://example.org/CodeSystem/grades",
    "version": "2.0",
    "content": "complete",
    "concept": [
        {"code": "low", "display": "Low", "concept": [{"code": "lowest", "display": "Very low"}]},
        {"code": "high", "display": "High", "designation": [{"language": "de", "value": "Hoch"}]},
        {"code": "any", "display": "Any", "property": [{"code": "notSelectable", "valueBoolean": True}]},
        {"code": "odd", "display": "Odd", "property": [{"code": "inactive", "valueBoolean": True}]},
    ],
}


def value_set(id_: str, version: str, include: Json) -> Json:
    return {
        "resourceType": "ValueSet",
        "id": id_,
        "url": URL if id_.startswith("grades") else f"https://example.org/ValueSet/{id_}",
        "version": version,
        "status": "active",
        "date": "2026-01-05",
        "meta": {"versionId": "x"},
        "compose": {"include": [include]},
    }


SETS = [
    value_set("grades-1", "1.0", {"system": SYSTEM["url"], "concept": [{"code": "low"}]}),
    value_set("grades", "2.0", {"system": SYSTEM["url"]}),
    value_set("elsewhere", "1.0", {"system": "http://snomed.info/sct"}),
]
PATH = "/fhir/ValueSet/$expand"


def expanding(catalogue: Any) -> FlaskClient:
    """A client of an application that answers `$expand` and nothing else."""
    routes = expansion_routes(Expansions(catalogue, fakes.DEPLOYMENT))
    return Application(routes, fakes.DEPLOYMENT).test_client()


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    resources = [SYSTEM, *SETS]
    artifacts = {
        (each["resourceType"], each["id"]): SimpleNamespace(id=each["id"], resource=each)
        for each in resources
    }
    catalogue = SimpleNamespace(artifacts=artifacts, value_sets=value_sets_from(copy.deepcopy(resources)))
    return expanding(catalogue)


def get(client: FlaskClient, path: str = PATH, **parameters: Any) -> Any:
    asked = {"url": URL} | parameters if path == PATH else parameters
    return client.get(f"{path}?{urlencode(asked)}")


def post(client: FlaskClient, *entries: Json, path: str = PATH, **more: Any) -> Any:
    body = orjson.dumps({"resourceType": "Parameters", "parameter": list(entries)})
    return client.post(path, **({"data": body, "content_type": fakes.FHIR} | more))


def codes(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.data
    return [each["code"] for each in orjson.loads(answer.data)["expansion"].get("contains", [])]


def problem(answer: Any) -> tuple[int, str, str]:
    """Status, code and words of the only issue of an OperationOutcome."""
    (issue,) = orjson.loads(answer.data)["issue"]
    return answer.status_code, issue["code"], issue["diagnostics"]


def test_op04_a_get_is_answered_because_every_parameter_is_primitive_and_nothing_changes(
    client: FlaskClient,
) -> None:
    answer = get(client, excludeNested="true")
    document = orjson.loads(answer.data)
    assert codes(answer) == ["low", "lowest", "high", "any", "odd"]
    assert answer.headers["Content-Type"] == fakes.FHIR
    assert (document["resourceType"], document["url"], document["version"]) == ("ValueSet", URL, "2.0")
    assert "id" not in document
    assert "compose" not in document


def test_op04_a_post_gives_the_same_bytes(client: FlaskClient) -> None:
    entries = [{"name": "url", "valueUri": URL}, {"name": "filter", "valueString": "lo"}]
    assert post(client, *entries).data == get(client, filter="lo").data


def test_parameters_in_path_and_body_are_taken_together(client: FlaskClient) -> None:
    entry = {"name": "filter", "valueString": "lo"}
    answer = post(client, entry, path=f"{PATH}?{urlencode({'url': URL, 'excludeNested': 'true'})}")
    assert codes(answer) == ["low", "lowest"]
    twice = post(client, entry, path=f"{PATH}?{urlencode({'url': URL, 'filter': 'x'})}")
    assert problem(twice)[0] == 400


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_one_value_set_is_expanded_under_its_id(client: FlaskClient, method: str) -> None:
    assert codes(client.open("/fhir/ValueSet/grades-1/$expand", method=method)) == ["low"]


def test_a_head_has_the_headers_of_a_get(client: FlaskClient) -> None:
    answer = client.head("/fhir/ValueSet/grades-1/$expand")
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["ETag"]


def test_op06_the_same_request_gives_the_same_bytes_and_the_same_tag(client: FlaskClient) -> None:
    one, two = get(client), get(client)
    assert (one.data, one.headers["ETag"]) == (two.data, two.headers["ETag"])
    again = client.get(f"{PATH}?{urlencode({'url': URL})}", headers={"If-None-Match": one.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert get(client, filter="lo").headers["ETag"] != one.headers["ETag"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"url": URL}, "2.0"),
        ({"url": f"{URL}|1.0"}, "1.0"),
        ({"url": URL, "valueSetVersion": "1.0"}, "1.0"),
        ({"url": f"{URL}|1.0", "valueSetVersion": "1.0"}, "1.0"),
    ],
)
def test_a_value_set_is_found_by_url_and_version(client: FlaskClient, asked: Json, found: str) -> None:
    assert orjson.loads(get(client, **asked).data)["version"] == found


@pytest.mark.parametrize("url", [URL, f"{URL}|2.0"])
def test_under_an_id_its_own_url_may_be_stated(client: FlaskClient, url: str) -> None:
    assert get(client, "/fhir/ValueSet/grades/$expand", url=url).status_code == 200


def test_value_sets_of_r4_are_expanded_too(client: FlaskClient) -> None:
    answer = get(client, url="http://hl7.org/fhir/ValueSet/administrative-gender")
    assert codes(answer) == ["male", "female", "other", "unknown"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"filter": "ve"}, ["lowest"]),
        ({"offset": 1, "count": 2}, ["lowest", "high"]),
        ({"count": 0}, []),
        ({"activeOnly": "true"}, ["low", "lowest", "high", "any"]),
        ({"excludeNotForUI": "true"}, ["low", "lowest", "high", "odd"]),
        ({"excludePostCoordinated": "true"}, ["low", "lowest", "high", "any", "odd"]),
        ({"exclude-system": SYSTEM["url"]}, []),
        ({"displayLanguage": "de", "filter": "hoch"}, ["high"]),
        ({"system-version": f"{SYSTEM['url']}|2.0", "count": 1}, ["low"]),
        ({"check-system-version": "http://loinc.org|2.70", "count": 1}, ["low"]),
    ],
)
def test_each_parameter_does_what_r4_says(client: FlaskClient, asked: Json, found: list[str]) -> None:
    answer = get(client, excludeNested="true", **asked)
    assert codes(answer) == found
    repeated = orjson.loads(answer.data)["expansion"]["parameter"]
    assert {each["name"] for each in repeated} >= {"excludeNested", *asked}


def test_without_a_word_codes_are_nested(client: FlaskClient) -> None:
    assert codes(get(client)) == ["low", "high", "any", "odd"]


@pytest.mark.parametrize(
    ("asked", "has"),
    [
        ({}, False),
        ({"includeDesignations": "true"}, True),
        ({"designation": "urn:ietf:bcp:47|de"}, True),
        ({"designation": "fr"}, False),
        ({"designation": "de", "includeDesignations": "false"}, False),
    ],
)
def test_further_names_come_where_they_are_asked_for(client: FlaskClient, asked: Json, has: bool) -> None:
    contains = orjson.loads(get(client, **asked).data)["expansion"]["contains"]
    assert any("designation" in each for each in contains) is has


def test_the_definition_comes_where_it_is_asked_for(client: FlaskClient) -> None:
    assert "compose" in orjson.loads(get(client, includeDefinition="true").data)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"other": "x"}, "Parameter other: expected one of activeOnly, "),
        ({"count": "x"}, "Parameter count: expected integer, "),
        ({"count": "-1"}, "Parameter count: expected a whole number from 0."),
        ({"offset": "-1"}, "Parameter offset: expected a whole number from 0."),
        ({"activeOnly": "1"}, "Parameter activeOnly: expected boolean, true or false."),
        ({"url": ""}, "Parameter url: expected the canonical of a value set."),
        ({"url": "", "valueSetVersion": "1"}, "Parameter valueSetVersion: expected with a url, "),
        ({"url": f"{URL}|1.0", "valueSetVersion": "2.0"}, "Parameter valueSetVersion: expected with a url, "),
        ({"system-version": "http://loinc.org"}, "Parameter system-version: expected system|version."),
    ],
)
def test_op05_a_parameter_that_is_wrong_is_named(client: FlaskClient, asked: Json, text: str) -> None:
    status, code, words = problem(get(client, **asked))
    assert (status, code) == (400, "invalid")
    assert words.startswith(text)


def test_op05_a_parameter_that_stands_twice_is_named(client: FlaskClient) -> None:
    answer = client.get(f"{PATH}?url={URL}&count=1&count=2")
    assert problem(answer) == (400, "invalid", "Parameter count: expected at most once.")


def test_op05_another_url_than_that_of_the_path_is_refused(client: FlaskClient) -> None:
    answer = get(client, "/fhir/ValueSet/grades/$expand", url=f"{URL}|1.0")
    assert problem(answer)[:2] == (400, "invalid")


@pytest.mark.parametrize("name", sorted(EXPAND_REFUSED - {"valueSet"}))
def test_op05_what_would_change_the_meaning_and_is_not_supported_is_refused(
    client: FlaskClient, name: str
) -> None:
    status, code, words = problem(get(client, **{name: "2020-01-01"}))
    assert (status, code) == (422, "not-supported")
    assert words.startswith(f"Parameter {name}: ")


def test_op05_a_value_set_that_is_sent_along_is_refused(client: FlaskClient) -> None:
    answer = post(client, {"name": "valueSet", "resource": {"resourceType": "ValueSet", "status": "active"}})
    assert problem(answer)[:2] == (422, "not-supported")


def test_op05_another_body_than_parameters_is_refused(client: FlaskClient) -> None:
    answer = client.post(PATH, data=b'{"resourceType":"ValueSet"}', content_type=fakes.FHIR)
    assert problem(answer)[:2] == (400, "structure")


def test_a_version_that_is_not_held_is_refused(client: FlaskClient) -> None:
    answer = get(client, **{"force-system-version": f"{SYSTEM['url']}|1.0"})
    assert problem(answer)[:2] == (422, "not-supported")


def test_a_value_set_that_cannot_be_listed_is_422(client: FlaskClient) -> None:
    for answer in (
        client.get("/fhir/ValueSet/elsewhere/$expand"),
        get(client, url="http://hl7.org/fhir/ValueSet/all-languages"),
    ):
        assert problem(answer)[:2] == (422, "not-supported")


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/ValueSet/none/$expand",
        f"{PATH}?url=https://example.org/none",
        f"{PATH}?url={URL}%7C9",
        f"{PATH}?url=%23grades",
        f"{PATH}?url={SYSTEM['url']}",
    ],
)
def test_a_value_set_that_is_not_known_is_404(client: FlaskClient, path: str) -> None:
    assert problem(client.get(path))[:2] == (404, "not-found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_op05_other_methods_are_not_allowed(client: FlaskClient, method: str) -> None:
    answer = client.open(PATH, method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")


def test_the_body_is_bounded_and_is_json(client: FlaskClient) -> None:
    assert post(client, {"name": "filter", "valueString": "x" * fakes.LIMIT}).status_code == 413
    assert post(client, content_type="text/plain").status_code == 415
    assert client.get(f"{PATH}?url={URL}", headers={"Accept": "text/turtle"}).status_code == 406


def test_the_answer_can_be_had_with_line_breaks_and_as_plain_json(client: FlaskClient) -> None:
    answer = get(client, _pretty="true", _format="application/json")
    assert answer.data.startswith(b'{\n  "resourceType"')
    assert answer.headers["Content-Type"] == "application/json"


def test_no_error_repeats_what_was_sent(client: FlaskClient) -> None:
    secret = "Zx81-canary"
    for answer in (
        get(client, url=f"http://{secret}"),
        get(client, count=secret),
        get(client, **{f"{secret} x": "1"}),
        client.get(f"/fhir/ValueSet/{secret}/$expand"),
        post(client, {"name": "count", "valueString": secret}),
    ):
        assert answer.status_code in (400, 404)
        assert secret.encode() not in answer.data


def test_cs03_the_operation_is_declared_once_with_the_canonical_of_r4() -> None:
    routes = expanding(SimpleNamespace(artifacts={}, value_sets=None)).application.routes
    (resource,) = capability_statement(routes, fakes.DEPLOYMENT, STANDARD)["rest"][0]["resource"]
    assert resource == {
        "type": "ValueSet",
        "operation": [
            {"name": "expand", "definition": "http://hl7.org/fhir/OperationDefinition/ValueSet-expand"}
        ],
    }


def test_every_parameter_of_r4_is_either_taken_or_refused() -> None:
    declared = (
        "url valueSet valueSetVersion context contextDirection filter date offset count includeDesignations "
        "designation includeDefinition activeOnly excludeNested excludeNotForUI excludePostCoordinated "
        "displayLanguage exclude-system system-version check-system-version force-system-version"
    )
    assert {each.name for each in EXPAND_INPUTS} | EXPAND_REFUSED == set(declared.split())


def test_every_expansion_is_valid_r4(client: FlaskClient, union: Any) -> None:
    answers = [
        get(client),
        get(client, includeDefinition="true", includeDesignations="true"),
        get(client, excludeNested="true", offset=1, count=2, **{"exclude-system": "http://loinc.org"}),
        get(client, count=0),
        get(client, url="http://hl7.org/fhir/ValueSet/administrative-gender"),
        get(client, date="2020"),
    ]
    assert union([orjson.loads(each.data) for each in answers]) == [[]] * len(answers)


@pytest.fixture(scope="module")
def here(served: catalogue.Catalogue) -> FlaskClient:
    """`$expand` on what the project publishes."""
    return expanding(served)


def expansion(here: FlaskClient, id_: str) -> dict[Coding, str]:
    """The codes of a published value set that may be chosen, with their displays."""
    answer = here.get(f"/fhir/ValueSet/{id_}/$expand?excludeNested=true&excludeNotForUI=true")
    contains = orjson.loads(answer.data)["expansion"]["contains"]
    return {Coding(each["system"], each["code"]): each["display"] for each in contains}


def test_every_published_value_set_expands_to_what_a_question_bound_to_it_accepts(
    here: FlaskClient, served: catalogue.Catalogue
) -> None:
    ids = [id_ for kind, id_ in served.artifacts if kind == "ValueSet"]
    assert len(ids) >= 8
    for id_ in ids:
        url = served.artifacts["ValueSet", id_].url
        question = {"linkId": "1", "type": "choice", "answerValueSet": url}
        form = compile_leniently({"resourceType": "Questionnaire", "item": [question]}, served.value_sets)
        options = form.items["1"].options
        assert options is not None
        assert served.value_sets.codes(url).doubt is None
        accepted = {coding: choice.display for coding, choice in options.choices.items()}
        assert expansion(here, id_) == accepted != {}, id_


def test_every_own_code_that_a_question_offers_is_in_the_expansion_of_its_code_system(
    here: FlaskClient, served: catalogue.Catalogue
) -> None:
    (system,) = (
        each.resource
        for each in served.artifacts.values()
        if each.type == "CodeSystem" and each.id.endswith("-answers")
    )
    known = expansion(here, system["valueSet"].rpartition("/")[2])
    for form in served.questionnaires.values():
        offered = [item.options.choices for item in form.items.values() if item.options is not None]
        own = {coding for choices in offered for coding in choices if coding[0] == system["url"]}  # type: ignore[index]
        assert own
        assert own <= known.keys()
