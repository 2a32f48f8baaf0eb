"""With a canonical base of one's own, nothing that is served or written names the domain for examples."""

import copy
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from gunicorn.http import errors

from service import catalogue, check, cli
from service.app import create_app
from service.assess import OUTPUTS, Assessor
from service.catalogue import Catalogue
from service.fhir.definitions import AS_WRITTEN, DOMAIN, Canonicals
from service.fhir.json import BodyLimits
from service.records import KINDS
from service.settings import Settings, from_environment
from service.validate import Validator
from service.web.deployment import Deployment
from service.web.problems import raw_response

Json = dict[str, Any]

OURS = "https://clinic.example.net/canonical"
EXAMPLE = b"guidance.example.org"
SETTINGS = Settings(canonical_base=OURS, store_url="none")


def restated(document: Json) -> Json:
    """A sample as a sender would have it who uses this deployment."""
    return orjson.loads(orjson.dumps(document).replace(DOMAIN.encode(), OURS.encode()))


@pytest.fixture(scope="module")
def moved(root: Path) -> Catalogue:
    return catalogue.read(root / "questionnaires", root / "mappings", canonical_base=OURS)


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return create_app(SETTINGS).test_client()


def post(client: FlaskClient, path: str, document: Any) -> Any:
    return client.post(path, data=orjson.dumps(document), content_type="application/fhir+json")


def test_the_default_of_the_setting_is_the_domain_that_files_and_constants_name() -> None:
    assert Settings().canonical_base == DOMAIN
    assert Canonicals(Settings().canonical_base) == AS_WRITTEN


def test_what_is_restated_is_text_that_begins_with_the_domain_and_nothing_else() -> None:
    document = {"a": [f"{DOMAIN}/x|1", 1, None, {"b": f"see {DOMAIN}/y and {DOMAIN}/z"}], "c": f"{DOMAIN}ic"}
    before = copy.deepcopy(document)
    assert Canonicals(OURS).restated(document) == {
        "a": [f"{OURS}/x|1", 1, None, {"b": f"see {OURS}/y and {OURS}/z"}],
        "c": f"{DOMAIN}ic",
    }
    assert document == before
    assert AS_WRITTEN.restated(document) is document


def test_every_published_resource_names_the_own_base_only(moved: Catalogue, served: Catalogue) -> None:
    assert moved.artifacts.keys() == served.artifacts.keys()
    for key, each in moved.artifacts.items():
        assert EXAMPLE not in each.body, key
        assert each.url.startswith(f"{OURS}/fhir/"), key
        assert each.body.count(OURS.encode()) == served.artifacts[key].body.count(DOMAIN.encode()), key


def test_everything_that_is_served_names_the_own_base_only(client: FlaskClient, moved: Catalogue) -> None:
    pages = ["/fhir/metadata", *(f"/fhir/{kind}/{id_}" for kind, id_ in moved.artifacts)]
    kinds = sorted({kind for kind, _ in moved.artifacts})
    for page in (*pages, *(f"/fhir/{kind}" for kind in kinds)):
        answer = client.get(page)
        assert answer.status_code == 200, page
        assert EXAMPLE not in answer.data, page
    assert OURS.encode() in client.get("/fhir/metadata").data


def test_a_search_finds_a_resource_by_its_own_canonical(client: FlaskClient) -> None:
    found = [
        orjson.loads(client.get(f"/fhir/Questionnaire?url={base}/fhir/Questionnaire/muscle-twitching").data)
        for base in (OURS, DOMAIN)
    ]
    assert [bundle["total"] for bundle in found] == [1, 0]


def test_a_response_that_names_the_own_canonical_is_scored(
    moved: Catalogue, assessor: Assessor, root: Path
) -> None:
    here = Assessor(moved, BodyLimits())
    for path in sorted(each for each in (root / "samples").glob("*.json") if "." not in each.stem):
        document = restated(orjson.loads(path.read_bytes()))
        for output in OUTPUTS:
            shown = here.shown(orjson.dumps(document), output)
            assert EXAMPLE not in shown.encode(), (path.name, output)
        risk = json.loads(here.shown(orjson.dumps(document), "risk"))
        plain = json.loads(assessor.shown(path.read_bytes(), "risk"))
        # The name of a result follows from the identifier of its response, whose system was restated too.
        assert {**risk, "identifier": plain["identifier"]} == restated(plain), path.name


def test_over_http_result_and_header_name_the_own_base_only(
    client: FlaskClient, sample: Callable[[str], Json]
) -> None:
    answer = post(client, "/fhir/QuestionnaireResponse/$assess", restated(sample("plain-eyelid")))
    assert answer.status_code == 200
    assert EXAMPLE not in answer.data
    assert answer.headers["X-Guidance"] == f"{OURS}/guidance/muscle-twitching|1.1.0"
    assert orjson.loads(answer.data)["method"]["coding"][0]["code"] == f"{OURS}/guidance/muscle-twitching"


def test_a_response_that_names_the_domain_for_examples_is_not_known_here(
    client: FlaskClient, sample: Callable[[str], Json]
) -> None:
    answer = post(client, "/fhir/QuestionnaireResponse/$assess", sample("plain-eyelid"))
    assert answer.status_code == 422
    assert EXAMPLE not in answer.data


def refused(client: FlaskClient, sample: Callable[[str], Json]) -> Iterator[Any]:
    response = restated(sample("plain-eyelid"))
    yield client.get("/nowhere")
    yield client.get("/fhir/Patient")
    yield client.delete("/fhir/metadata")
    yield client.get("/fhir/metadata", headers={"Accept": "text/turtle"})
    yield client.get("/fhir/Questionnaire/none")
    yield client.post("/fhir/QuestionnaireResponse/$assess", data="{}", content_type="text/plain")
    yield post(client, "/fhir/QuestionnaireResponse/$assess", {"resourceType": "Patient"})
    yield post(client, "/fhir/QuestionnaireResponse/$assess", response | {"status": "stopped"})
    yield post(client, "/fhir/QuestionnaireResponse/$validate", {"resourceType": "QuestionnaireResponse"})
    yield post(client, "/fhir/Questionnaire/muscle-twitching/$process-response", response)


def test_er02_every_error_names_the_own_base_only(client: FlaskClient, sample: Callable[[str], Json]) -> None:
    for answer in refused(client, sample):
        document = orjson.loads(answer.data)
        systems = {coding["system"] for issue in document["issue"] for coding in issue["details"]["coding"]}
        assert document["resourceType"] == "OperationOutcome"
        assert EXAMPLE not in answer.data
        assert systems == {f"{OURS}/fhir/CodeSystem/problem-kind"}


@pytest.fixture
def storing(tmp_path: Path) -> FlaskClient:
    url = f"sqlite:///{tmp_path / 'service.db'}"
    return create_app(Settings(canonical_base=OURS, store_url=url)).test_client()


def test_everything_that_is_stored_names_the_own_base_only(
    storing: FlaskClient, sample: Callable[[str], Json]
) -> None:
    path = "/fhir/QuestionnaireResponse"
    told = {"Prefer": "return=OperationOutcome", "Content-Type": "application/fhir+json"}
    made = storing.post(path, data=orjson.dumps(restated(sample("plain-eyelid"))), headers=told)
    assert made.status_code == 201
    assert f"{OURS}/fhir/CodeSystem/problem-kind".encode() in made.data
    answers = [made, *(storing.get(f"/fhir/{kind}") for kind in KINDS), storing.get("/fhir/metadata")]
    for answer in answers:
        assert EXAMPLE not in answer.data
    found = storing.get(f"/fhir/RiskAssessment?method={OURS}/guidance/muscle-twitching")
    assert orjson.loads(found.data)["total"] == 1


def test_er02_an_error_in_a_batch_names_the_own_base_only(client: FlaskClient) -> None:
    entry = {"request": {"method": "GET", "url": "Questionnaire/none"}}
    answer = post(client, "/fhir", {"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    assert answer.status_code == 200
    assert f"{OURS}/fhir/CodeSystem/problem-kind".encode() in answer.data
    assert EXAMPLE not in answer.data


def test_er02_a_breakdown_names_the_own_base_only(monkeypatch: pytest.MonkeyPatch) -> None:
    application = create_app(SETTINGS)

    def fails(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(application.fhir.router, "find", fails)
    monkeypatch.setattr(application, "dispatch_request", fails)
    for path in ("/fhir/metadata", "/healthz"):
        answer = application.test_client().get(path)
        assert answer.status_code == 500
        assert f"{OURS}/fhir/CodeSystem/problem-kind".encode() in answer.data
        assert EXAMPLE not in answer.data


def test_er02_what_could_not_even_be_read_names_the_own_base_only() -> None:
    answer = raw_response(errors.LimitRequestLine(1, 2), Deployment(canonicals=Canonicals(OURS)))
    assert f"{OURS}/fhir/CodeSystem/problem-kind".encode() in answer
    assert EXAMPLE not in answer


@pytest.mark.slow
def test_worked_cases_hold_for_another_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proofs know linkIds and codes but no canonical: they are those of the domain for examples."""
    monkeypatch.setattr(check, "proof_report", lambda guidance, asked: ((), True))
    out = io.StringIO()
    assert check.run(SETTINGS, out) == check.SOUND
    assert out.getvalue().startswith(f"{OURS}/fhir/Questionnaire/muscle-twitching|1.1.0: ")
    assert EXAMPLE.decode() not in out.getvalue()


def test_the_command_line_follows_the_setting(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    root: Path,
    sample: Callable[[str], Json],
) -> None:
    monkeypatch.setenv("SERVICE_CANONICAL_BASE", OURS)
    path = tmp_path / "response.json"
    path.write_bytes(orjson.dumps(restated(sample("plain-eyelid"))))
    own = str(root / "questionnaires" / "muscle-twitching.json")
    codes = [
        cli.main(["assess", str(path)]),
        cli.main(["validate", str(path)]),
        cli.main(["validate", "--questionnaire", own, str(path)]),
        cli.main(["assess", str(root / "samples" / "plain-eyelid.json")]),
    ]
    printed = capsys.readouterr().out
    assert codes == [cli.DONE, cli.DONE, cli.DONE, cli.REFUSED]
    assert EXAMPLE.decode() not in printed
    assert printed.count(f"{OURS}/fhir/CodeSystem/problem-kind") == 1


def test_the_same_files_have_the_same_hash_wherever_they_are_served(
    moved: Catalogue, served: Catalogue
) -> None:
    hashes = [
        {pair.guidance.written.identity.hash for pair in each.pairs.values()} for each in (moved, served)
    ]
    assert hashes[0] == hashes[1]


def test_without_the_setting_every_file_is_published_as_it_stands(served: Catalogue, root: Path) -> None:
    for path in (root / "questionnaires").rglob("*.json"):
        written = json.loads(path.read_bytes())
        published = json.loads(served.artifacts[written["resourceType"], written["id"]].body)
        del published["meta"]["versionId"]
        written["meta"] = written.get("meta", {}) | {"lastUpdated": published["meta"]["lastUpdated"]}
        assert published == written, path.name


def test_a_form_that_a_caller_sends_along_is_never_restated(
    moved: Catalogue, sample: Callable[[str], Json]
) -> None:
    form = {
        "resourceType": "Questionnaire",
        "id": "q",
        "status": "active",
        "url": f"{DOMAIN}/fhir/Questionnaire/theirs",
        "item": [{"linkId": "1", "type": "string", "text": "?"}],
    }
    response = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": "#q",
        "contained": [form],
        "item": [{"linkId": "1", "answer": [{"valueString": f"{DOMAIN}/said"}]}],
    }
    problems = Validator(moved, BodyLimits()).validated(orjson.dumps(response))
    assert not [each for each in problems if each.severity == "error"]


def test_the_setting_is_read_from_the_environment() -> None:
    assert from_environment({"SERVICE_CANONICAL_BASE": OURS}).canonical_base == OURS
