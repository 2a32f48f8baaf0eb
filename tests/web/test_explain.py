"""`$explain` over HTTP: what it says of a response that is sent, and of a result that is stored."""

import orjson
import pytest
from fhir.resources.R4B.parameters import Parameters

from service import app
from service.settings import Settings

FHIR = "application/fhir+json"
RESPONSES, RESULTS = "/fhir/QuestionnaireResponse", "/fhir/RiskAssessment"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "service.db"
    return app.create_app(Settings(store_url=f"sqlite:///{store}")).test_client()


@pytest.fixture(scope="module")
def sample(root):
    return (root / "samples" / "progressive-weakness.json").read_bytes()


@pytest.fixture(scope="module")
def explained(client, sample):
    return posted(client, f"{RESPONSES}/$explain", sample)


def posted(client, path, body):
    answer = client.post(path, data=body, headers={"Content-Type": FHIR})
    assert answer.status_code == 200, answer.data
    return orjson.loads(answer.data)


def named(document, name):
    """The parameters of this name, each as its parts by name; a part that is repeated is a list."""
    return [parts(each) for each in document["parameter"] if each["name"] == name]


def parts(entry):
    found = {}
    for part in entry["part"]:
        value = next((part[key] for key in part if key.startswith("value")), part)
        found.setdefault(part["name"], []).append(value)
    return found


def test_it_is_parameters_of_r4(explained):
    assert Parameters.model_validate(explained)


def test_it_names_the_step_and_every_finding_with_the_answers_that_decide_it(explained):
    [step] = named(explained, "step")
    assert step["at-least"] == ["prompt"]
    findings = {finding["name"][0]: finding for finding in named(explained, "finding")}
    assert {finding["state"][0] for finding in findings.values()} == {"present", "absent"}
    assert findings["new-weakness"]["state"] == ["present"]
    assert findings["new-weakness"]["answer"] == ["weakness"]
    absent = [finding for finding in findings.values() if finding["state"] == ["absent"]]
    assert any("answer" in finding for finding in absent)


def test_of_an_unknown_finding_it_names_the_questions_that_are_open(client, root):
    body = (root / "samples" / "partial.json").read_bytes()
    explained = posted(client, f"{RESPONSES}/$explain", body)
    unknown = [finding for finding in named(explained, "finding") if finding["state"] == ["unknown"]]
    open_ = {question["linkId"][0] for question in named(explained, "open-question")}
    assert unknown
    assert all(finding["answer"] for finding in unknown)
    assert open_ & {link for finding in unknown for link in finding["answer"]}


def test_every_statement_that_a_rule_cites_stands_there_with_its_section(explained):
    cited = {statement for rule in named(explained, "rule") for statement in rule.get("statement", ())}
    stated = {statement["id"][0]: statement for statement in named(explained, "statement")}
    assert cited == stated.keys()
    assert all(statement["section"][0] and statement["claim"][0] for statement in stated.values())


def test_minimal_reasons_and_changes_name_questions_of_the_response(explained, sample):
    assert all(f'"{link}"'.encode() in sample for link in linked(explained))
    [lower] = named(explained, "lower")
    assert lower["finished"][0] in (True, False)
    [higher] = named(explained, "higher")
    assert higher["change"]


def test_a_change_stands_there_in_words_and_names_its_options(explained):
    [lower] = named(explained, "lower")
    [only] = lower["change"]
    found = parts(only)
    assert found["says"] == [
        "weakness: no; thinner muscle: no; harder tasks: none of these \u2192 See a neurologist"
    ]
    for answer in found["answer"]:
        assert parts(answer)["value"][0]["display"] in ("No", "None of these")


def linked(explained):
    for reason in named(explained, "minimal-reason"):
        for answers in reason["answers"]:
            yield from (part["valueString"] for part in answers["part"])


def test_a_stored_result_is_explained_as_what_was_sent_is(client, sample, explained):
    answer = client.post(RESPONSES, data=sample, headers={"Content-Type": FHIR})
    of_id = answer.headers["Location"].split("/_history")[0].rsplit("/", 1)[1]
    got = client.get(f"{RESULTS}/{of_id}/$explain")
    assert got.status_code == 200
    assert orjson.loads(got.data) == explained
    empty = orjson.dumps({"resourceType": "Parameters"})
    assert posted(client, f"{RESULTS}/{of_id}/$explain", empty) == explained


def test_a_result_that_is_not_there_is_not_found_and_one_that_is_withdrawn_neither(client, sample):
    assert client.get(f"{RESULTS}/none/$explain").status_code == 404
    answer = client.post(RESPONSES, data=sample, headers={"Content-Type": FHIR})
    of_id = answer.headers["Location"].split("/_history")[0].rsplit("/", 1)[1]
    ended = orjson.loads(answer.data) | {"status": "entered-in-error", "id": of_id}
    put = client.put(f"{RESPONSES}/{of_id}", data=orjson.dumps(ended), headers={"Content-Type": FHIR})
    assert put.status_code == 200, put.data
    assert client.get(f"{RESULTS}/{of_id}/$explain").status_code == 404


def test_what_cannot_be_scored_cannot_be_explained(client):
    body = orjson.dumps({"resourceType": "QuestionnaireResponse", "status": "completed"})
    answer = client.post(f"{RESPONSES}/$explain", data=body, headers={"Content-Type": FHIR})
    assert answer.status_code == 422
