"""PyPI fhirpy works with the service as it comes, in its plain and its asynchronous form.

It sends `application/json`, encodes half of a url in a query, and creates conditionally by a query string.
"""

import asyncio
from urllib.parse import urlsplit

import pytest
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

FORM = "https://guidance.example.org/fhir/Questionnaire/muscle-twitching"
KIND = "QuestionnaireResponse"


@pytest.fixture
def client(service):
    return SyncFHIRClient(service.base)


@pytest.fixture
def stored(client, response):
    """A response that the client created."""
    return client.resource(KIND, **response()).create()


def identified(body):
    """The search parameters that find this response and no other."""
    return {"identifier": f"{body['identifier']['system']}|{body['identifier']['value']}"}


def test_a_create_is_sent_as_application_json_and_read_back(client, response, wire):
    """CN09 CR01."""
    made = client.resource(KIND, **response()).create()
    assert wire[-1].request.headers["Content-Type"] == "application/json"
    assert wire[-1].status_code == 201
    assert client.reference(KIND, made.id).to_resource().serialize() == made.serialize()


def test_a_form_is_found_by_a_canonical_that_is_half_encoded(client, wire):
    """RD23 RD14."""
    forms = client.resources("Questionnaire").search(url=FORM)
    assert [form.id for form in forms.fetch()] == ["muscle-twitching"]
    assert (
        urlsplit(wire[-1].url).query
        == "url=https:%2F%2Fguidance.example.org%2Ffhir%2FQuestionnaire%2Fmuscle-twitching"
    )
    assert forms.search(version="1.1.0").get().id == "muscle-twitching"


def test_a_response_is_found_by_its_questionnaire_and_patient(client, stored):
    """RD12 RD14 RD23."""
    patient = client.resources(KIND).search(patient=stored.subject)
    for canonical in (FORM, f"{FORM}|1.1.0"):
        assert [each.id for each in patient.search(questionnaire=canonical)] == [stored.id]
    assert patient.search(questionnaire=f"{FORM}|9.9.9").fetch() == []


def test_a_count_is_asked_with_a_parameter_that_nobody_else_knows(client, stored):
    """RD15 RD19."""
    assert client.resources(KIND).search(patient=stored.subject).count() == 1


def test_dates_and_repeated_parameters_narrow_a_search(client, stored):
    """RD13."""
    patient = client.resources(KIND).search(patient=stored.subject)
    within = patient.search(authored__ge="2026-11-01", authored__lt="2026-12-01")
    assert [each.id for each in within] == [stored.id]
    assert within.search(authored__gt="2026-11-21").fetch() == []
    assert [each.id for each in patient.search(status="completed,amended")] == [stored.id]


def test_pages_are_followed_to_the_end_in_order(client, response):
    """RD18 RD21."""
    patient = response()["subject"]
    days = ["2026-11-03", "2026-11-01", "2026-11-02"]
    for day in days:
        client.resource(KIND, **response(subject=patient, authored=f"{day}T08:00:00Z")).create()
    found = client.resources(KIND).search(patient=patient["reference"]).sort("-authored").limit(1)
    assert [each.authored[:10] for each in found] == sorted(days, reverse=True)


def test_the_result_comes_along_and_is_found_by_basis(client, stored):
    """RD12."""
    asked = client.resources(KIND).search(_id=stored.id).revinclude("RiskAssessment", "basis")
    kinds = [entry.resource.resourceType for entry in asked.fetch_raw().entry]
    assert kinds == [KIND, "RiskAssessment"]
    risk = client.resources("RiskAssessment").search(basis=stored).get()
    assert risk.basis[0].to_resource().id == stored.id


def test_elements_are_cut_to_what_was_asked(client, stored):
    """RD22."""
    cut = client.resources(KIND).search(_id=stored.id).elements("status").get()
    assert cut.status == "completed"
    assert "item" not in cut


def test_get_or_create_creates_once_and_then_gets(client, response, wire):
    """CR07 CR08 CR11: the condition is in the query string, and no header says so."""
    body = response()
    asked = client.resources(KIND).search(**identified(body))
    (made, created), (found, again) = (asked.get_or_create(client.resource(KIND, **body)) for _ in range(2))
    assert (created, again) == (True, False)
    assert made.id == found.id
    assert "If-None-Exist" not in wire[-1].request.headers
    assert asked.count() == 1


def test_get_or_create_with_two_matches_creates_nothing(client, response):
    """CR09."""
    body = response()
    for _ in range(2):
        client.resource(KIND, **body).create()
    asked = client.resources(KIND).search(**identified(body))
    with pytest.raises(MultipleResourcesFound):
        asked.get_or_create(client.resource(KIND, **body))
    assert asked.count() == 2


def test_get_or_create_by_something_unknown_creates_nothing(client, response):
    """CR10."""
    body = response()
    with pytest.raises((OperationOutcome, MultipleResourcesFound)):
        client.resources(KIND).search(shoe_size="44").get_or_create(client.resource(KIND, **body))
    assert client.resources(KIND).search(**identified(body)).count() == 0


def test_a_changed_response_is_saved_as_the_next_version(client, stored):
    """CR14."""
    stored.status = "amended"
    assert stored.save().meta.versionId == "2"
    assert stored.refresh().status == "amended"


def test_an_update_against_an_old_version_is_refused(service, stored):
    """CR14."""
    careful = SyncFHIRClient(service.base, extra_headers={"If-Match": 'W/"1"'})
    changed = careful.resource(KIND, **stored.serialize() | {"status": "amended"})
    assert changed.save().meta.versionId == "2"
    with pytest.raises(MultipleResourcesFound):  # the client's name for every 412
        changed.save()


def test_what_is_not_offered_is_refused_with_an_outcome(client, stored):
    """CR15."""
    for refused in (stored.delete, lambda: stored.patch(status="amended")):
        with pytest.raises(OperationOutcome) as caught:
            refused()
        assert caught.value.resource["issue"][0]["code"] == "not-supported"
    with pytest.raises(ResourceNotFound):
        client.reference(KIND, "no-such-id").to_resource()


def test_a_response_is_validated_whether_or_not_it_is_valid(client, response):
    """OP01."""
    assert client.resource(KIND, **response()).is_valid()
    assert not client.resource(KIND, **response(status="done")).is_valid()


def test_the_asynchronous_client_creates_once_for_many_at_the_same_time(service, response):
    """CR11 PX01."""
    body = response()
    client = AsyncFHIRClient(service.base)

    async def all_at_once():
        asked = client.resources(KIND).search(**identified(body))
        tasks = [asked.get_or_create(client.resource(KIND, **body)) for _ in range(8)]
        return await asyncio.gather(*tasks), await asked.count()

    answers, count = asyncio.run(all_at_once())
    assert len({made.id for made, _ in answers}) == count == 1
    assert [created for _, created in answers].count(True) == 1


def test_the_asynchronous_client_reads_searches_and_updates(service, response):
    """RD01 RD12 CR14."""
    client = AsyncFHIRClient(service.base)

    async def one_after_the_other():
        made = await client.resource(KIND, **response()).create()
        made["status"] = "amended"
        await made.save()
        read = await client.reference(KIND, made.id).to_resource()
        risk = await client.resources("RiskAssessment").search(basis=made).get()
        return made, read, risk

    made, read, risk = asyncio.run(one_after_the_other())
    assert read.serialize() == made.serialize()
    assert (read.meta.versionId, risk.meta.versionId) == ("2", "2")
