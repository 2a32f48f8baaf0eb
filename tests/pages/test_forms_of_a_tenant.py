"""Forms of the public that are stored where tokens say who may read what (AU12, AU15)."""

import orjson
import pytest
from form_driver import FormDriver
from result_pages import Reader
from tenants_with_tokens import by, registry_of

from service import app, catalogue
from service.datatypes.values import replace
from service.errors import SettingsError
from service.settings import Settings

PATH = "/questionnaires/muscle-twitching"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Two tenants; what the public has stored is of north."""
    folder = tmp_path_factory.mktemp("registry")
    return Settings(
        store_url=f"sqlite:///{folder / 'service.db'}",
        ehrs_file=registry_of(folder, "north", "south"),
        public_form=True,
        form_stores=True,
        form_tenant="north",
    )


@pytest.fixture(scope="module")
def client(settings):
    return app.create_app(settings).test_client()


@pytest.fixture(scope="module")
def plain():
    settings = Settings()
    served = catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    (pair,) = [pair for pair in served.pairs.values() if pair.is_active]
    return next(case.answers for case in pair.guidance.cases if case.name == "plain-eyelid-three-days")


@pytest.fixture
def form(client, plain):
    """A form that somebody without a token has filled in and agreed to have stored."""
    form = FormDriver(client, PATH)
    form.open("?language=en")
    while form.page.main["data-kind"] == "question":
        form.answer(plain)
    form.press("send", {"consent": ["yes"]})
    return form


def number_of(form):
    return Reader(form.answered.get_data(as_text=True)).text(inside="code.")


def test_it_is_read_by_those_who_see_all_patients_of_its_tenant_alone(client, form):
    at = f"/fhir/QuestionnaireResponse/{number_of(form)}"
    read = "QuestionnaireResponse.rs"
    assert client.get(at, headers=by(f"user/{read}")).status_code == 200
    assert client.get(at, headers=by(f"system/{read}")).status_code == 200
    assert client.get(at).status_code == 401
    for headers in (by(f"user/{read}", name="south"), by(f"patient/{read}", patient="a")):
        assert client.get(at, headers=headers).status_code == 404
        found = client.get("/fhir/QuestionnaireResponse?_total=accurate", headers=headers)
        assert found.json["total"] == 0


def test_who_filled_it_in_deletes_it(client, form):
    at = f"/fhir/QuestionnaireResponse/{number_of(form)}"
    assert form.press("delete").main["data-status"] == "deleted"
    assert client.get(at, headers=by("user/QuestionnaireResponse.r")).status_code == 404


def test_a_form_that_names_a_patient_is_not_offered_to_be_stored(client, form):
    """Else whoever has no token could file answers with a patient of that tenant."""
    answered = orjson.loads(form.post("response.json").data)
    resumed = FormDriver(client, PATH)
    for subject, offers in (({}, True), ({"subject": {"reference": "Patient/a"}}, False)):
        resumed.open("?language=en")
        page = resumed.press("resume", response=orjson.dumps(answered | subject).decode())
        assert page.main["data-kind"] == "check"
        assert ("consent" in page.controls) is offers
    resumed.press("send", {"consent": ["yes"]})
    assert resumed.page.main["data-kind"] == "result"
    found = client.get("/fhir/QuestionnaireResponse?subject=Patient/a", headers=by("user/*.s"))
    assert found.json.get("total", 0) == 0


def test_the_service_does_not_start_where_nobody_says_whose_they_are(settings):
    with pytest.raises(SettingsError) as refused:
        app.create_app(replace(settings, form_tenant=""))
    assert refused.value.faults == [
        "SERVICE_FORM_TENANT: expected the tenant whose data stored forms are, one of: north, south."
    ]
