"""`$assess` on a stored response, beside earlier ones of the same person where that is asked."""

from copy import deepcopy

import orjson
import pytest
from tenants_with_tokens import API, by, registry_of

from service import app
from service.settings import Settings

FHIR = "application/fhir+json"
TYPE = "/fhir/QuestionnaireResponse"
RULE = b"worse-since-earlier-raises-priority"
YES = {"system": "http://loinc.org", "code": "LA33-6"}


def items(holder):
    for item in holder.get("item", []):
        yield item
        yield from items(item)


@pytest.fixture(scope="module")
def sample(root):
    return orjson.loads((root / "samples" / "plain-eyelid.json").read_bytes())


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "service.db"
    return app.create_app(Settings(store_url=f"sqlite:///{store}")).test_client()


def stored(client, sample, name, authored, *, worse=False, subject="Patient/example", headers=None):
    """Stores a response and returns its id."""
    document = deepcopy(sample) | {"authored": authored, "subject": {"reference": subject}}
    del document["id"]
    document["identifier"]["value"] = name
    if worse:
        closes = next(item for item in items(document) if item["linkId"] == "eyelid-closes")
        closes["answer"] = [{"valueCoding": YES}]
    data = orjson.dumps(document)
    answer = client.post(TYPE, data=data, headers={"Content-Type": FHIR} | (headers or {}))
    assert answer.status_code == 201, answer.data
    return orjson.loads(answer.data)["id"]


def basis(answer):
    return [entry["reference"].rpartition("/")[2] for entry in orjson.loads(answer.data)["basis"]]


def test_earlier_responses_of_the_store_are_compared_only_where_that_is_asked(client, sample):
    before = stored(client, sample, "a1", "2026-09-20T10:00:00Z")
    stored(client, sample, "a2", "2026-11-20T10:00:00Z")
    stored(client, sample, "a3", "2026-09-21T10:00:00Z", subject="Patient/other")
    now = stored(client, sample, "a4", "2026-10-20T10:00:00Z", worse=True)
    alone = client.get(f"{TYPE}/{now}/$assess?_detail=full")
    assert (alone.status_code, basis(alone)) == (200, [now])
    assert RULE not in alone.data
    beside = client.get(f"{TYPE}/{now}/$assess?_earlier=stored&_detail=full")
    assert basis(beside) == [now, before]
    assert RULE in beside.data
    assert RULE not in client.get(f"/fhir/RiskAssessment/{now}?_detail=full").data


def test_another_questionnaire_of_the_same_person_is_not_compared(client, sample):
    now = stored(client, sample, "b1", "2026-10-20T10:00:00Z", worse=True, subject="Patient/b")
    assert basis(client.get(f"{TYPE}/{now}/$assess?_earlier=stored")) == [now]


def test_what_is_asked_in_another_way_is_refused(client, sample):
    now = stored(client, sample, "c1", "2026-10-20T10:00:00Z", subject="Patient/c")
    for path in (f"{TYPE}/{now}/$assess?_earlier=all", f"{TYPE}/{now}/$assess?_earlier="):
        assert client.get(path).status_code == 400
    sent = client.post(
        f"{TYPE}/$assess?_earlier=stored", data=orjson.dumps(sample), headers={"Content-Type": FHIR}
    )
    assert sent.status_code == 400
    assert "earlier ones stand in Parameters" in sent.text
    assert client.get(f"{TYPE}/unknown/$assess?_earlier=stored").status_code == 404


# Who may ask.


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A service that asks for tokens, of two tenants."""
    folder = tmp_path_factory.mktemp("guarded")
    ehrs = registry_of(folder, "north", "south")
    store = f"sqlite:///{folder / 'service.db'}"
    return app.create_app(Settings(store_url=store, ehrs_file=ehrs, base_url=API)).test_client()


def test_only_what_the_token_may_search_is_compared(guarded, sample):
    every = by("user/*.cruds")
    before = stored(guarded, sample, "d1", "2026-09-20T10:00:00Z", subject="Patient/A", headers=every)
    now = stored(
        guarded, sample, "d2", "2026-10-20T10:00:00Z", worse=True, subject="Patient/A", headers=every
    )
    elsewhere = by("user/*.cruds", name="south")
    stored(guarded, sample, "d3", "2026-09-25T10:00:00Z", subject="Patient/A", headers=elsewhere)
    path = f"{TYPE}/{now}/$assess?_earlier=stored"
    assert basis(guarded.get(path, headers=every)) == [now, before]
    own = by("patient/QuestionnaireResponse.rs", patient="A")
    assert basis(guarded.get(path, headers=own)) == [now, before]
    narrowed = by("user/QuestionnaireResponse.s?status=amended")
    assert guarded.get(path, headers=narrowed).status_code == 403
    assert guarded.get(path, headers=by("patient/QuestionnaireResponse.rs", patient="B")).status_code == 404
    assert guarded.get(path, headers=by("user/QuestionnaireResponse.r")).status_code == 403
    assert guarded.get(path, headers=elsewhere).status_code == 404
    assert guarded.get(path).status_code == 401
