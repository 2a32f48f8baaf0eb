"""`$apply` over HTTP: what a plan proposes is what `$assess` says of the same response, and nothing more."""

import json
from base64 import b64decode
from copy import deepcopy
from shutil import copytree

import orjson
import pytest
from case_responses import response_of
from examples import IN_CI
from worked_cases import FOLDERS

from service import app
from service.apply import Applier
from service.assess import Assessor
from service.clinical_reasoning import definitions
from service.clinical_reasoning.cql_answers import CannotBeWritten
from service.datatypes.values import replace
from service.errors import NotScorable
from service.fhir.json import BodyLimits
from service.fhir.resource_models import faults_in
from service.fhir.structure import check_made
from service.sandbox import Sandbox, SandboxLimits
from service.settings import Settings

FHIR = {"Content-Type": "application/fhir+json"}
TWITCHING = "muscle-twitching"
EACH = 1 if IN_CI else 24
"""One in so many worked patients is tried."""
REQUESTS = {"ServiceRequest", "CommunicationRequest"}


@pytest.fixture(scope="module")
def places():
    """For each folder of forms, what is served and a client."""
    found = []
    for folder in FOLDERS:
        given = Settings(questionnaires_dir=folder / "questionnaires", mappings_dir=folder / "mappings")
        found.append((app.catalogue_from(given), app.create_app(given).test_client()))
    return found


@pytest.fixture(scope="module")
def client(places):
    return places[0][1]


@pytest.fixture
def partial(root):
    return json.loads((root / "samples" / "partial.json").read_text())


def parameters(response, *beside, **more):
    """Parameters for a response: `more` takes the place of a parameter, None leaves it out."""
    subject = response.get("subject", {}).get("reference", "Patient/example")
    entries = [{"resource": resource} for resource in (response, *beside)]
    given = {
        "subject": {"valueString": subject},
        "data": {"resource": {"resourceType": "Bundle", "type": "collection", "entry": entries}},
    } | more
    listed = [{"name": name, **value} for name, value in given.items() if value is not None]
    return {"resourceType": "Parameters", "parameter": listed}


def asked(client, body, where=f"{TWITCHING}/", status=200):
    answer = client.post(f"/fhir/PlanDefinition/{where}$apply", json=body, headers=FHIR)
    assert answer.status_code == status, answer.get_data(as_text=True)[:800]
    return answer.get_json()


def refused(client, body, where=f"{TWITCHING}/", status=400):
    """Kind and place of each problem."""
    issues = asked(client, body, where, status)["issue"]
    return [(one["details"]["coding"][0]["code"], *one.get("expression", [])) for one in issues]


def resources(bundle):
    return [entry["resource"] for entry in bundle["entry"]]


def assessed(client, response):
    path = "/fhir/QuestionnaireResponse/$assess?_detail=bundle"
    return client.post(path, json=response, headers=FHIR).get_json()


def test_for_every_worked_patient_the_plan_proposes_what_assess_says(places):
    seen, applied, cases = set(), 0, 0
    for served, client in places:
        for pair in served.pairs.values():
            for case in pair.guidance.cases[::EACH]:
                cases += 1
                found = result_of(client, response_of(pair, case))
                if found is None:
                    continue  # nobody can answer so on the form
                applied += 1
                response, result = found
                bundle = asked(client, parameters(response), f"{pair.slug}/")
                group, *proposed = resources(bundle)
                assert check_made(bundle) == (), case.name
                scored = Assessor(served, BodyLimits()).scored(orjson.dumps(response))
                kind = same_step(group, proposed, result, scored.assessment().result)
                assert kind in seen or not faults_in(bundle)
                seen.add(kind)
    assert seen == {"nothing", *REQUESTS}
    assert applied > 0.8 * cases


def result_of(client, response):
    """A response, in progress if it lacks what a finished one must have, and its result; None if refused."""
    for status in (response["status"], "in-progress"):
        sent = response | {"status": status}
        found = assessed(client, sent)
        if found["resourceType"] == "Bundle":
            return sent, found
    return None


def same_step(group, proposed, result, evaluated):
    """Expects the step, date and haste of a result; returns what is proposed."""
    observed = next(one for one in resources(result) if one["resourceType"] == "Observation")
    referrals = [one for one in resources(result) if one["resourceType"] == "ServiceRequest"]
    known = evaluated.tiers[evaluated.tier.at_least]
    if not proposed:
        assert "action" not in group
        assert known.rank == 0
        return "nothing"
    (action,), (request,) = group["action"], proposed
    assert action["id"] == known.code
    coded = observed["valueCodeableConcept"].get("coding", [])
    assert [one["code"] for one in coded] == ([known.code] if evaluated.tier.settled else [])
    assert action["title"] == observed["valueCodeableConcept"]["text"]
    due = evaluated.step_due
    assert action.get("timingDuration", {}).get("value") == (None if due is None else due.days)
    assert request["status"] == group["status"]
    assert action["resource"]["reference"] == request["identifier"][0]["value"]
    if known.referral:
        (referral,) = referrals
        assert request == referral | {"instantiatesCanonical": request["instantiatesCanonical"]}
    return request["resourceType"]


def test_where_the_result_is_not_assessable_nothing_is_proposed_at_all(client, partial):
    partial["item"] = []
    del partial["item"]
    (group,) = resources(asked(client, parameters(partial)))
    assert group["status"] == "draft"
    assert "action" not in group
    assert any("Not assessable" in note["text"] for note in group["note"])


def test_a_lowest_step_that_asks_for_something_is_not_proposed_either(client, partial, monkeypatch):
    """As of a guidance that has a rule for its lowest step: not assessable is not the lowest step."""
    canonical = "https://guidance.example.org/fhir/ActivityDefinition/lowest|1"
    monkeypatch.setattr("service.apply.activity_canonical", lambda *_: canonical)
    del partial["item"]
    (group,) = resources(asked(client, parameters(partial)))
    assert "action" not in group


def test_the_date_of_a_reason_for_a_lower_step_is_not_that_of_the_action(places, root):
    served, _ = places[0]
    sample = (root / "samples" / "progressive-weakness.json").read_bytes()
    scored = Assessor(served, BodyLimits()).scored(sample)
    assessment = scored.assessment()
    undated = assessment._replace(result=replace(assessment.result, step_due=None))
    found = scored.pair.renderer.proposed(undated, "plan", "activity", are_named=True)
    (action,) = resources(orjson.loads(found))[0]["action"]
    assert undated.result.due is not None
    assert "timingDuration" not in action


def test_while_something_is_open_the_requests_are_drafts_and_say_at_least(client, partial):
    group, request = resources(asked(client, parameters(partial)))
    assert (group["status"], request["status"]) == ("draft", "draft")
    (action,) = group["action"]
    assert action["title"].startswith("At least")
    assert "description" not in action


def test_words_for_the_person_are_those_of_the_result_and_belong_to_group_and_response(client, root):
    sample = json.loads((root / "samples" / "plain-eyelid.json").read_text())
    sample |= {"id": "r1", "encounter": {"reference": "Encounter/e1"}}
    bundle = asked(client, parameters(sample))
    group, words = resources(bundle)
    assert words["resourceType"] == "CommunicationRequest"
    assert words["basedOn"] == [{"reference": bundle["entry"][0]["fullUrl"]}]
    assert group["action"][0]["resource"] == {"reference": bundle["entry"][1]["fullUrl"]}
    assert words["about"][0]["reference"] == "QuestionnaireResponse/r1"
    documents = [
        one for one in resources(assessed(client, sample)) if one["resourceType"] == "DocumentReference"
    ]
    told = b64decode(documents[0]["content"][0]["attachment"]["data"]).decode()
    assert words["payload"] == [{"contentString": words["payload"][0]["contentString"]}]
    assert f"\n\n{words['payload'][0]['contentString']}\n" in told
    assert "priority" not in group


def test_the_group_is_as_urgent_as_its_step_and_of_the_same_encounter(client, root):
    sample = json.loads((root / "samples" / "progressive-weakness.json").read_text())
    sample["encounter"] = {"reference": "Encounter/e1"}
    group, request = resources(asked(client, parameters(sample)))
    assert (group["priority"], group["intent"]) == (request["priority"], "proposal")
    for resource in (group, request):
        assert resource["encounter"] == {"reference": "Encounter/e1"}
        assert resource["subject"] == sample["subject"]
        assert resource["authoredOn"] == sample["authored"]


def test_the_bundle_names_the_definitions_that_are_written_for_others(client, root):
    served = app.catalogue_from(Settings())
    (pair,) = served.pairs.values()
    written = definitions.resources_of(pair.guidance, pair.compiled)
    there = {f"{one['url']}|{one['version']}" for one in written}
    sample = json.loads((root / "samples" / "progressive-weakness.json").read_text())
    for resource in resources(asked(client, parameters(sample))):
        assert set(resource["instantiatesCanonical"]) <= there


def test_the_plan_may_be_named_by_its_url(client, partial):
    url = "https://guidance.example.org/fhir/PlanDefinition/muscle-twitching"
    by_id = asked(client, parameters(partial))
    for named in (
        {"url": {"valueUri": url}},
        {"url": {"valueCanonical": f"{url}|1.1.0"}},
        {"url": {"valueUri": url}, "version": {"valueString": "1.1.0"}},
    ):
        assert asked(client, parameters(partial, **named), "") == by_id
    assert refused(client, parameters(partial, url={"valueUri": f"{url}|9"}), "", 404) == [("plan-unknown",)]
    assert refused(client, parameters(partial), "") == [("parameter", "Parameters")]
    twice = parameters(partial, url={"valueUri": f"{url}|1.1.0"}, version={"valueString": "1.0.0"})
    assert refused(client, twice, "") == [("parameter", "Parameters")]


@pytest.fixture(scope="module")
def versions(tmp_path_factory, root):
    """A client where an older version of form and plan is served as well, and one plan is a draft."""
    folder = tmp_path_factory.mktemp("versions")
    older = root / "tests" / "muscle_twitching_1_0_0"
    for kind in ("questionnaires", "mappings"):
        copytree(root / kind, folder / kind)
    copytree(older / "mappings" / TWITCHING, folder / "mappings" / "older")
    form = orjson.loads((older / "questionnaires" / f"{TWITCHING}.json").read_bytes())
    (folder / "questionnaires" / "older.json").write_bytes(orjson.dumps(form | {"id": "older"}))
    second = root / "tests" / "second_pair"
    copytree(second / "questionnaires", folder / "questionnaires" / "second")
    copytree(second / "mappings" / "workday-strain", folder / "mappings" / "workday-strain")
    guidance = folder / "mappings" / "workday-strain" / "guidance.yaml"
    guidance.write_text(guidance.read_text().replace("status: active", "status: draft"))
    given = Settings(questionnaires_dir=folder / "questionnaires", mappings_dir=folder / "mappings")
    return app.create_app(given).test_client()


@pytest.mark.slow
def test_the_plan_of_one_version_is_not_applied_to_a_response_to_another(versions, partial):
    older = partial | {"questionnaire": partial["questionnaire"].replace("1.1.0", "1.0.0")}
    assert older.pop("item")
    for response, plan, other in ((partial, TWITCHING, "older"), (older, "older", TWITCHING)):
        asked(versions, parameters(response), f"{plan}/")
        place = "Parameters.parameter[1].resource.entry[0].resource.questionnaire"
        assert refused(versions, parameters(response), f"{other}/", 422) == [("canonical-mismatch", place)]


def test_the_plan_of_a_draft_can_be_read_and_is_not_applied(versions, partial):
    assert versions.get("/fhir/PlanDefinition/workday-strain").get_json()["status"] == "draft"
    assert refused(versions, parameters(partial), "workday-strain/", 404) == [("id-unknown",)]


def test_no_other_plan_is_applied(client, partial):
    assert refused(client, parameters(partial), "none/", 404) == [("id-unknown",)]


def test_a_response_to_another_form_is_refused(client, partial):
    other = partial | {"questionnaire": "https://guidance.example.org/fhir/Questionnaire/other|1.0.0"}
    place = "QuestionnaireResponse.questionnaire"
    assert refused(client, parameters(other), status=422) == [("canonical-unknown", place)]


def test_the_plan_of_one_guidance_is_not_applied_to_a_response_to_another(places):
    served, client = places[2]
    first, second = list(served.pairs.values())[:2]
    response = response_of(first, first.guidance.cases[0])
    place = "Parameters.parameter[1].resource.entry[0].resource.questionnaire"
    problems = refused(client, parameters(response), f"{second.slug}/", 422)
    assert problems == [("canonical-mismatch", place)]


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/other"},
        {"reference": "https://example.org/fhir/Patient/example"},
        {"identifier": {"value": "1"}},
        {"display": "Somebody"},
        0,
    ],
)
def test_a_response_about_somebody_else_than_the_subject_is_refused(client, partial, subject):
    body = parameters(partial, subject={"valueString": "Patient/example"})
    body["parameter"][1]["resource"]["entry"][0]["resource"]["subject"] = subject
    place = "Parameters.parameter[1].resource.entry[0].resource.subject"
    assert refused(client, body, status=422) == [("apply-subject", place)]


def test_a_response_about_nobody_is_about_the_subject(client, partial):
    del partial["subject"]
    for resource in resources(asked(client, parameters(partial, subject={"valueString": "Patient/7"}))):
        assert resource["subject"] == {"reference": "Patient/7"}


def test_a_group_is_a_subject_of_plans_and_it_is_the_form_that_is_about_patients_alone(client, partial):
    del partial["subject"]
    body = parameters(partial, subject={"valueString": "Group/7"})
    assert [kind for kind, *_ in refused(client, body, status=422)] == ["subject-type"]


@pytest.mark.parametrize("subject", ["7", "Practitioner/7", "Patient/", "https://example.org"])
def test_a_subject_that_no_result_can_be_about_is_refused(client, partial, subject):
    del partial["subject"]
    body = parameters(partial, subject={"valueString": subject})
    assert refused(client, body) == [("parameter", "Parameters")]


BUNDLE = {"resourceType": "Bundle", "type": "collection"}


@pytest.mark.parametrize(
    "changed",
    [
        {"subject": None},
        {"subject": {"valueReference": {"reference": "Patient/example"}}},
        {"data": None},
        {"data": {"valueString": "x"}},
        {"data": {"resource": {"resourceType": "Patient"}}},
        {"data": {"resource": BUNDLE}},
        {"data": {"resource": BUNDLE | {"entry": [{"resource": {"resourceType": "Patient"}}]}}},
        {"data": {"resource": BUNDLE | {"entry": {"resource": 1}}}},
        {"data": {"resource": BUNDLE | {"entry": 5}}},
        {"surprise": {"valueString": "x"}},
        {"url": {"valueUri": "https://guidance.example.org/fhir/PlanDefinition/muscle-twitching"}},
    ],
)
def test_other_parameters_than_are_declared_are_refused_by_name(client, partial, changed):
    ((kind, place),) = refused(client, parameters(partial, **changed))
    assert kind == "parameter"
    assert place.startswith("Parameters")


@pytest.mark.parametrize("name", ["encounter", "practitioner", "mergeNestedCarePlans", "prefetchData"])
def test_what_the_guidelines_declare_and_is_not_supported_is_not_left_out(client, partial, name):
    body = parameters(partial, **{name: {"valueString": "x"}})
    assert refused(client, body, status=422) == [("parameter-unsupported", "Parameters.parameter[2]")]


def test_only_what_is_sent_counts_and_who_wants_data_of_the_server_is_told(client, partial):
    wanted = asked(client, parameters(partial))
    assert asked(client, parameters(partial, useServerData={"valueBoolean": False})) == wanted
    body = parameters(partial, useServerData={"valueBoolean": True})
    assert refused(client, body, status=422) == [("parameter-unsupported", "Parameters")]


# The plan itself among the parameters.

PLAN_URL = "https://guidance.example.org/fhir/PlanDefinition/muscle-twitching"


@pytest.fixture(scope="module")
def plan(client):
    return client.get(f"/fhir/PlanDefinition/{TWITCHING}").get_json()


def test_the_plan_that_is_read_here_may_be_sent_with_the_response(client, partial, plan):
    by_id = asked(client, parameters(partial))
    for sent in (plan, {name: plan[name] for name in plan if name not in ("id", "meta", "text")}):
        assert asked(client, parameters(partial, planDefinition={"resource": sent}), "") == by_id
    for element in ("valueCanonical", "valueUri"):
        for canonical in (PLAN_URL, f"{PLAN_URL}|{plan['version']}"):
            named = parameters(partial, planDefinition={element: canonical})
            assert asked(client, named, "") == by_id


@pytest.mark.parametrize("name", ["action", "title", "library", "status", "language", "extension"])
def test_a_plan_that_says_something_else_is_not_taken_for_ours(client, partial, plan, name):
    changed = {member: value for member, value in plan.items() if member != name}
    if name not in plan:
        changed[name] = [{"url": "https://example.org/x", "valueCode": "x"}]
    body = parameters(partial, planDefinition={"resource": changed})
    assert refused(client, body, "", 422) == [("parameter-unsupported", "Parameters.parameter[2]")]


@pytest.mark.parametrize(
    "more",
    [
        {"planDefinition": {"valueString": PLAN_URL}},
        {"planDefinition": {"valueCanonical": ["x"]}},
        {"planDefinition": {"valueCanonical": "|1.1.0"}},
        {"planDefinition": {"resource": {"resourceType": "ActivityDefinition", "url": PLAN_URL}}},
        {"planDefinition": {"resource": {"resourceType": "PlanDefinition"}}},
        {"planDefinition": {"resource": {"resourceType": "PlanDefinition", "url": 1}}},
        {"planDefinition": {"valueCanonical": PLAN_URL}, "url": {"valueUri": PLAN_URL}},
        {"planDefinition": {"valueCanonical": PLAN_URL}, "version": {"valueString": "1.1.0"}},
    ],
)
def test_what_is_no_plan_or_names_two_is_refused(client, partial, more):
    assert refused(client, parameters(partial, **more), "") == [("parameter", "Parameters.parameter[2]")]


def test_two_plans_are_refused_and_one_beside_the_path(client, partial):
    body = parameters(partial, planDefinition={"valueCanonical": PLAN_URL})
    assert refused(client, body) == [("parameter", "Parameters.parameter[2]")]
    body["parameter"].append(body["parameter"][2])
    assert refused(client, body, "") == [("parameter", "Parameters.parameter[2]")]


def test_a_plan_that_is_not_served_is_not_found(client, partial, plan):
    for sent in (
        {"resource": plan | {"version": "9.0.0"}},
        {"resource": plan | {"url": "https://example.org/plan"}},
        {"valueCanonical": f"{PLAN_URL}|9.0.0"},
    ):
        body = parameters(partial, planDefinition=sent)
        assert refused(client, body, "", 404) == [("plan-unknown",)]


def test_what_the_requests_are_instances_of_can_be_read(client, root):
    sample = json.loads((root / "samples" / "progressive-weakness.json").read_text())
    kinds = set()
    for resource in resources(asked(client, parameters(sample))):
        (canonical,) = resource["instantiatesCanonical"]
        kind = canonical.split("/")[-2]
        found = client.get(f"/fhir/{kind}", query_string={"url": canonical}).get_json()
        assert found["total"] == 1, canonical
        kinds.add(kind)
    assert kinds == {"PlanDefinition", "ActivityDefinition"}


def test_definitions_that_nobody_can_read_are_not_named(root, monkeypatch):
    """Where the CQL of a guidance cannot be written, it has none at /fhir; what is proposed is the same."""
    sample = json.loads((root / "samples" / "progressive-weakness.json").read_text())

    def refuse(*_):
        raise CannotBeWritten(["a score"])

    given = Settings()
    named = resources(asked(app.create_app(given).test_client(), parameters(sample)))
    monkeypatch.setattr(definitions, "libraries_of", refuse)
    client = app.create_app(given).test_client()
    assert client.get("/fhir/PlanDefinition").get_json()["total"] == 0
    unnamed = resources(asked(client, parameters(sample)))
    assert [one["resourceType"] for one in unnamed] == ["RequestGroup", "ServiceRequest"]
    assert all(one.pop("instantiatesCanonical") for one in named)
    assert unnamed == named


def test_a_result_that_proposes_is_counted_like_any_other(root):
    client = app.create_app(Settings(metrics=True)).test_client()
    for name in ("progressive-weakness", "partial"):
        sample = json.loads((root / "samples" / f"{name}.json").read_text())
        asked(client, parameters(sample))
        assert client.post("/fhir/PlanDefinition/none/$apply", json={}, headers=FHIR).status_code == 400
    lines = client.get("/metrics").text.splitlines()
    counted = {line for line in lines if line.startswith("service_results_total")}
    guidance = f"https://guidance.example.org/guidance/{TWITCHING}|1.1.0"
    assert counted == {
        f'service_results_total{{guidance="{guidance}",step="{step}"}} 1.0' for step in ("review", "prompt")
    }


def test_what_stands_in_something_else_than_a_bundle_or_in_two_is_refused(client, partial):
    body = parameters(partial)
    body["parameter"][1]["resource"]["resourceType"] = "Basic"
    assert refused(client, body) == [("parameter", "Parameters.parameter[1]")]
    twice = parameters(partial)
    twice["parameter"].append(twice["parameter"][1])
    assert refused(client, twice) == [("parameter", "Parameters")]


@pytest.fixture
def applier(places, request):
    """What applies the plans, with a sandbox of these limits, and what shadow mode is given."""
    served, given = places[0][0], []
    assessor = Assessor(served, BodyLimits(), shadow=given.append)
    return Applier(served, assessor, BodyLimits(), Sandbox(SandboxLimits(**request.param))), given


@pytest.mark.parametrize("applier", [{}], indirect=True)
def test_shadow_mode_is_given_the_response_and_the_chart_as_they_were_scored(applier, partial):
    apply, given = applier
    del partial["subject"]
    observation = OBSERVATION | {"subject": {"reference": "Patient/7"}, "valueQuantity": {"value": 1}}
    patient = {"resourceType": "Patient", "id": "7"}
    body = parameters(partial, patient, observation, subject={"valueString": "Patient/7"})
    applied = apply.apply_body(orjson.dumps(body), TWITCHING, ("en",))
    (sent,) = given
    assert orjson.loads(sent.data) == partial | {"subject": {"reference": "Patient/7"}}
    assert [orjson.loads(one) for one in sent.chart] == [observation]
    assert (sent.earlier, sent.guidance) == ((), applied.guidance)


@pytest.mark.parametrize("applier", [{"result_bytes": 100}], indirect=True)
def test_a_large_body_is_read_in_a_child(applier, partial):
    apply, given = applier
    apply.apply_body(orjson.dumps(parameters(partial)), TWITCHING, ("en",))
    large = parameters(partial, {"resourceType": "Basic", "code": {"text": "x" * 20_000}})
    with pytest.raises(NotScorable) as refusal:
        apply.apply_body(orjson.dumps(large), TWITCHING, ("en",))
    assert [problem.kind for problem in refusal.value.problems] == ["too-costly"]
    assert len(given) == 1


def test_two_responses_to_the_form_are_refused(client, partial):
    assert refused(client, parameters(partial, partial)) == [("parameter", "Parameters")]


def test_a_short_response_is_one_to_the_form_that_it_is_derived_from(client, partial):
    canonical = partial["questionnaire"]
    asked_of = {
        "resourceType": "Questionnaire",
        "id": "asked",
        "status": "active",
        "derivedFrom": [canonical],
    }
    short = {name: partial[name] for name in partial if name not in ("item", "text")}
    short |= {"contained": [asked_of], "questionnaire": "#asked", "status": "in-progress"}
    (group,) = resources(asked(client, parameters(short)))
    assert "action" not in group
    foreign = short | {"contained": [asked_of | {"derivedFrom": ["https://example.org/Questionnaire/x|1"]}]}
    assert asked(client, parameters(foreign, partial)) == asked(client, parameters(partial))
    assert refused(client, parameters(partial, short)) == [("parameter", "Parameters")]


def test_a_response_to_another_form_and_other_resources_change_nothing(client, partial):
    other = partial | {"questionnaire": "https://example.org/Questionnaire/other"}
    patient = {"resourceType": "Patient", "id": "example"}
    assert asked(client, parameters(partial, other, patient)) == asked(client, parameters(partial))


def test_a_response_that_must_not_be_scored_is_refused(client, partial):
    broken = deepcopy(partial)
    broken["status"] = "entered-in-error"
    place = "QuestionnaireResponse.status"
    assert refused(client, parameters(broken), status=422) == [("status-not-scorable", place)]


OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


def test_an_observation_that_cannot_be_read_is_left_out_and_named(client, partial):
    subject = {"subject": {"reference": "Patient/example"}}
    group = resources(asked(client, parameters(partial, OBSERVATION | subject | {"note": "x"})))[0]
    plain = resources(asked(client, parameters(partial)))[0]
    assert group["action"] == plain["action"]
    assert len(group["note"]) == len(plain["note"]) + 1


def test_an_observation_of_somebody_else_is_refused(client, partial):
    body = parameters(partial, OBSERVATION | {"subject": {"reference": "Patient/other"}})
    place = "Parameters.parameter[1].resource.entry[1].resource.subject"
    assert refused(client, body, status=422) == [("chart-subject", place)]


def test_it_speaks_the_language_that_is_asked_for(client, partial):
    answer = client.post(
        f"/fhir/PlanDefinition/{TWITCHING}/$apply",
        json=parameters(partial),
        headers=FHIR | {"Accept-Language": "de"},
    )
    assert answer.headers["Content-Language"] == "de"
    assert {resource["language"] for resource in resources(orjson.loads(answer.data))} == {"de"}
