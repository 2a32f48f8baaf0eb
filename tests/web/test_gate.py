"""The gate: who gets through to which route, and what of the stored data they reach there."""

import orjson
import pytest
from sample_responses import small
from tenants_with_tokens import by, registry_of

from service import app
from service.auth.principal import ANONYMOUS
from service.errors import SettingsError, Unauthenticated
from service.settings import Settings
from service.web.access import Access
from service.web.descriptions import READ
from service.web.gate import Gate
from service.web.routing import Route

FHIR = "application/fhir+json"
RESPONSES = "/fhir/QuestionnaireResponse"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    return registry_of(tmp_path_factory.mktemp("registry"), "north", "south")


@pytest.fixture(scope="module")
def settings(registry, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "service.db"
    return Settings(store_url=f"sqlite:///{store}", ehrs_file=registry)


@pytest.fixture(scope="module")
def service(settings):
    return app.create_app(settings)


@pytest.fixture
def guarded(service):
    return service.test_client()


def post(client, path, resource, headers):
    return client.post(path, data=orjson.dumps(resource), headers={**headers, "Content-Type": FHIR})


def test_published_definitions_need_a_token_unless_a_setting_says_otherwise(settings, guarded, registry):
    shown = app.create_app(Settings(store_url="none", ehrs_file=registry, public_definitions=True))
    for path in ("/fhir/Questionnaire", "/fhir/ValueSet", "/openapi.json", "/fhir", "/"):
        assert guarded.get(path).status_code == 401, path
        assert shown.test_client().get(path).status_code == 200, path
    assert guarded.get("/openapi.json", headers=by("user/Patient.r")).status_code == 200
    read = {"method": "GET", "url": "Questionnaire"}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": read}]}
    for client, status in ((guarded, "403"), (shown.test_client(), "200")):
        answer = post(client, "/fhir", batch, by("user/QuestionnaireResponse.c"))
        assert answer.json["entry"][0]["response"]["status"][:3] == status


def test_forms_are_served_only_where_a_setting_says_so(guarded, registry):
    form = "/questionnaires/muscle-twitching"
    assert guarded.get(form).status_code == 404
    public = app.create_app(Settings(store_url="none", ehrs_file=registry, public_form=True)).test_client()
    assert public.get(form).status_code == public.get("/").status_code == 200
    assert public.get("/fhir/Questionnaire").status_code == 401
    assert post(public, f"{RESPONSES}/$assess", small(), {}).status_code == 401


def test_an_app_that_is_launched_needs_the_forms_to_be_public(registry):
    launching = registry.with_name("launching.yaml")
    launching.write_text(registry.read_text() + "    client-id: app\n    scopes: [patient/Patient.r]\n")
    with pytest.raises(SettingsError, match="SERVICE_PUBLIC_FORM=true"):
        app.create_app(Settings(store_url="none", ehrs_file=launching))
    assert app.create_app(Settings(store_url="none", ehrs_file=launching, public_form=True))


def test_health_and_options_ask_for_nobody(guarded):
    for path in ("/healthz", "/readyz", "/fhir/metadata", "/cds-services"):
        assert guarded.get(path).status_code == 200
    for path in (RESPONSES, "/fhir/Questionnaire", "/fhir"):
        assert guarded.options(path).status_code == 204
    call = post(guarded, "/cds-services/muscle-twitching-patient-view", {}, {})
    assert call.status_code == 401


class Any:
    """Checks that take every token; nobody is to get as far as that."""

    def principal(self, _token):
        raise AssertionError


@pytest.mark.parametrize("rule", [Access.CLIENT, Access.TOKEN, Access.PUBLISHED])
def test_who_says_nothing_reaches_nothing(rule):
    gate, route = Gate(Any()), Route("GET", "/fhir/Thing", print, rule, READ, "Thing", scope="Thing.r")
    with pytest.raises(Unauthenticated):
        gate.principal(route, {})
    with pytest.raises(Unauthenticated):
        gate.reach(route, ANONYMOUS)
