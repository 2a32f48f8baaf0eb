"""The gate: who gets through to which route, and what of the stored data they reach there."""

import orjson
import pytest
from sample_responses import new_patient, small
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


def created(client, resource, headers):
    answer = post(client, RESPONSES, resource, headers)
    assert answer.status_code == 201, answer.data
    return f"{RESPONSES}/{answer.json['id']}"


def test_au01_without_a_token_a_route_says_how_to_bring_one(guarded, is_outcome):
    answer = guarded.get(RESPONSES)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="fhir"'
    is_outcome(answer)
    assert answer.json["issue"][0]["code"] == "login"


def test_au03_what_the_scopes_do_not_permit_is_refused(guarded, is_outcome):
    permitted = by("user/QuestionnaireResponse.c")
    at = created(guarded, small(), permitted)
    for path in (at, RESPONSES, "/fhir/RiskAssessment", "/fhir/Questionnaire"):
        answer = guarded.get(path, headers=permitted)
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        is_outcome(answer)
    assert guarded.get(at, headers=by("system/QuestionnaireResponse.r")).status_code == 200


def test_au12_a_token_of_one_patient_reaches_nobody_elses_data(guarded):
    ours, theirs = new_patient(), new_patient()
    anybody = by("user/*.cruds")
    kept = {who: created(guarded, small(who), anybody) for who in (ours, theirs)}
    headers = by("patient/*.cruds", ours.removeprefix("Patient/"))
    assert guarded.get(kept[ours], headers=headers).status_code == 200
    unseen, unknown = (guarded.get(path, headers=headers) for path in (kept[theirs], f"{RESPONSES}/none"))
    assert (unseen.status_code, unseen.json["issue"]) == (unknown.status_code, unknown.json["issue"])
    found = guarded.get(f"{RESPONSES}?_total=accurate", headers=headers).json
    assert found["total"] == 1
    assert post(guarded, RESPONSES, small(theirs), headers).status_code == 403


def test_what_one_tenant_stores_does_not_exist_for_another(guarded):
    at = created(guarded, small(), by("user/*.cruds"))
    other = by("user/*.cruds", name="south")
    assert guarded.get(at, headers=other).status_code == 404
    assert guarded.get(f"{RESPONSES}?_total=accurate", headers=other).json["total"] == 0


def entries(*lines):
    return [{"request": {"method": method, "url": url}} for method, url in lines]


def test_bu07_each_entry_of_a_batch_is_let_in_by_its_own_rule(guarded):
    asked = entries(("GET", "metadata"), ("GET", "QuestionnaireResponse"), ("GET", "RiskAssessment"))
    batch = {"resourceType": "Bundle", "type": "batch", "entry": asked}
    answer = post(guarded, "/fhir", batch, by("user/QuestionnaireResponse.rs"))
    assert answer.status_code == 200
    assert [entry["response"]["status"][:3] for entry in answer.json["entry"]] == ["200", "200", "403"]
    assert post(guarded, "/fhir", batch, {}).status_code == 401


def test_bu07_a_transaction_fails_with_the_first_entry_that_is_not_permitted(guarded):
    patient = new_patient()
    create = {"resource": small(patient), "request": {"method": "POST", "url": "QuestionnaireResponse"}}
    asked = [create, *entries(("GET", "RiskAssessment"))]
    transaction = {"resourceType": "Bundle", "type": "transaction", "entry": asked}
    anything = by("user/QuestionnaireResponse.crus")
    assert post(guarded, "/fhir", transaction, anything).status_code == 403
    search = f"{RESPONSES}?patient={patient}&_total=accurate"
    assert guarded.get(search, headers=anything).json["total"] == 0


def test_published_definitions_need_a_token_unless_a_setting_says_otherwise(settings, guarded, registry):
    shown = app.create_app(Settings(store_url="none", ehrs_file=registry, public_definitions=True))
    for path in ("/fhir/Questionnaire", "/fhir/ValueSet", "/openapi.json", "/fhir", "/"):
        assert guarded.get(path).status_code == 401, path
        assert shown.test_client().get(path).status_code == 200, path
    assert guarded.get("/openapi.json", headers=by("user/Patient.r")).status_code == 200
    batch = {"resourceType": "Bundle", "type": "batch", "entry": entries(("GET", "Questionnaire"))}
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
