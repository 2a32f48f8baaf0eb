"""The definitions of the guidances, read and searched like all else that is published."""

import os
from base64 import b64decode
from shutil import copytree
from types import SimpleNamespace
from urllib.parse import quote

import orjson
import pytest
from worked_cases import FOLDERS

from service import app, catalogue
from service.clinical_reasoning.cql import libraries_of
from service.clinical_reasoning.cql_answers import CannotBeWritten
from service.clinical_reasoning.definitions import DEFINITIONS, names_of, resources_of
from service.errors import GuidanceError, NotScorable, Unavailable
from service.sandbox import Sandbox, SandboxLimits
from service.settings import Settings
from service.web import published
from service.web.deployment import Deployment
from service.web.published import Definitions

TWITCHING = "muscle-twitching"


def settings(folder, **more):
    return Settings(questionnaires_dir=folder / "questionnaires", mappings_dir=folder / "mappings", **more)


@pytest.fixture(scope="module")
def client():
    return app.create_app(Settings()).test_client()


@pytest.fixture(scope="module")
def made(pair):
    return resources_of(pair.guidance, pair.compiled)


@pytest.fixture
def calls(monkeypatch):
    """The guidances that definitions were made of, one after the other."""
    made_of, resources = [], published.resources_of

    def noted(guidance, form):
        made_of.append(guidance.written.identity.slug)
        return resources(guidance, form)

    monkeypatch.setattr(published, "resources_of", noted)
    return made_of


def asked(client, path, status=200):
    answer = client.get(f"/fhir/{path}")
    assert answer.status_code == status, answer.get_data(as_text=True)[:500]
    return answer.get_json()


def ids(client, query):
    return [entry["resource"]["id"] for entry in asked(client, query).get("entry", [])]


def test_what_is_read_is_what_the_command_writes(client, made):
    for resource in made:
        read = asked(client, f"{resource['resourceType']}/{resource['id']}")
        del read["meta"]
        assert read == resource


def test_a_library_brings_the_cql_of_the_guidance(client, pair):
    for library in libraries_of(pair.guidance, pair.compiled):
        (content,) = asked(client, f"Library/{library.name}")["content"]
        assert b64decode(content["data"]).decode() == library.text


def test_a_definition_has_a_tag_that_spares_reading_it_again(client):
    answer = client.get(f"/fhir/PlanDefinition/{TWITCHING}")
    resource = orjson.loads(answer.data)
    assert answer.headers["ETag"] == f'W/"{resource["meta"]["versionId"]}"'
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert client.get(f"/fhir/PlanDefinition/{TWITCHING}", headers=tag).status_code == 304


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_each_definition_is_found_by_what_r4_searches_it_by(client, made, kind):
    ours = [resource for resource in made if resource["resourceType"] == kind]
    assert sorted(ids(client, kind)) == sorted(resource["id"] for resource in ours)
    for resource in ours:
        url, version = quote(resource["url"]), resource["version"]
        for query in (
            f"url={url}",
            f"url={url}|{version}",
            f"url={url}&version={version}&status={resource['status']}&date={resource['date']}",
            f"name:exact={resource['name']}&title={quote(resource['title'])}",
            f"name:exact={resource['name']}&description={quote(resource['description'][:40])}",
            f"name:exact={resource['name']}&publisher={quote(resource['publisher'][:8])}",
        ):
            assert ids(client, f"{kind}?{query}") == [resource["id"]], query
        assert ids(client, f"{kind}?url={url}|0.0.1") == []
    other = {"active": "draft"}.get(ours[0]["status"], "active")
    assert ids(client, f"{kind}?status={other}") == []


def test_plans_and_libraries_are_found_by_their_kind(client):
    assert ids(client, "PlanDefinition?type=eca-rule") == [TWITCHING]
    assert ids(client, "PlanDefinition?type=order-set") == []
    assert len(ids(client, "Library?type=logic-library&content-type=text/cql")) == 2
    assert ids(client, "Library?content-type=application/elm%2Bxml") == []


def test_a_summary_leaves_the_actions_out_and_keeps_what_names_a_plan(client):
    (entry,) = asked(client, "PlanDefinition?_summary=true")["entry"]
    assert {"url", "version", "title", "status", "type", "description"} <= entry["resource"].keys()
    assert "action" not in entry["resource"]


def test_where_a_plan_points_somebody_can_read(client, made):
    plan = made[-1]
    named = [*plan["library"], *(one["definitionCanonical"] for one in plan["action"][0]["action"])]
    assert len(named) == len(made) - 1 - 1  # neither the plan itself, nor the library that the other includes
    for canonical in named:
        kind = canonical.partition("|")[0].split("/")[-2]
        assert len(ids(client, f"{kind}?url={quote(canonical)}")) == 1


def test_every_guidance_has_its_definitions_unless_its_cql_cannot_be_written():
    for folder in FOLDERS:
        served = app.catalogue_from(settings(folder))
        expected = {name for pair in served.pairs.values() for name in named(pair)}
        assert set(Definitions(served, Deployment()).published().artifacts) == expected


def named(pair):
    try:
        libraries_of(pair.guidance, pair.compiled)
    except CannotBeWritten:
        return ()
    return tuple(names_of(pair.guidance))


def test_a_guidance_that_cannot_be_written_in_cql_has_none(served, monkeypatch):
    def refuse(*_):
        raise CannotBeWritten(["a score"])

    monkeypatch.setattr(published, "resources_of", refuse)
    assert Definitions(served, Deployment()).published().artifacts == {}


def test_an_older_guidance_of_the_same_form_keeps_its_definitions(served, pair):
    older = SimpleNamespace(artifacts={}, guidances=(pair,))
    assert set(Definitions(older, Deployment()).published().artifacts) == set(names_of(pair.guidance))
    assert served.guidances == (*served.pairs.values(), *served.superseded)


def test_a_definition_that_a_file_states_is_served_beside_those_that_are_made(tmp_path):
    (folder,) = [folder for folder in FOLDERS if folder.name == "second_pair"]
    forms = tmp_path / "questionnaires"
    forms.mkdir()
    for path in (folder / "questionnaires").glob("*.json"):
        (forms / path.name).write_bytes(path.read_bytes())
    own = {"resourceType": "PlanDefinition", "id": "own", "url": "https://example.org/own", "status": "draft"}
    (forms / "own.json").write_bytes(orjson.dumps(own))
    given = Settings(questionnaires_dir=forms, mappings_dir=folder / "mappings")
    client = app.create_app(given).test_client()
    assert sorted(ids(client, "PlanDefinition")) == ["own", "workday-strain"]
    (forms / "own.json").write_bytes(orjson.dumps(own | {"id": "workday-strain"}))
    with pytest.raises(GuidanceError, match=r"own\.json: id: expected one that no other PlanDefinition has"):
        catalogue.read(forms, folder / "mappings")


def test_two_guidances_may_not_make_the_same_library(tmp_path):
    (folder,) = [folder for folder in FOLDERS if folder.name == "second_pair"]
    for name in ("workday-strain", "workdayStrain"):
        copytree(folder / "mappings/workday-strain", tmp_path / "mappings" / name)
    with pytest.raises(GuidanceError, match="Library WorkdayStrain; workday-strain has it too"):
        catalogue.read(folder / "questionnaires", tmp_path / "mappings")


# When they are made.


def test_nothing_is_made_at_the_start_and_everything_once(calls):
    given = Settings()
    client = app.create_app(given).test_client()
    assert calls == []
    sandboxless = Definitions(app.catalogue_from(given), Deployment())
    assert sandboxless.published() is sandboxless.published()
    assert calls == [TWITCHING]
    asked(client, "PlanDefinition")
    assert calls == [TWITCHING]  # the service has it made in a child


def test_the_work_is_done_in_another_process(served, monkeypatch):
    here = os.getpid()

    def told(*_):
        return [{"resourceType": "Library", "id": "x", "status": "active", "name": str(os.getpid() == here)}]

    monkeypatch.setattr(published, "resources_of", told)
    found = Definitions(served, Deployment(sandbox=Sandbox())).published()
    assert [one.resource["name"] for one in found.artifacts.values()] == ["False"]


def test_who_asks_meanwhile_waits_for_what_is_being_made(served, calls, monkeypatch):
    definitions = Definitions(served, Deployment())
    definitions._are_being_made = True
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            definitions._are_being_made = False

    monkeypatch.setattr(published.time, "sleep", sleep)
    definitions.published()
    assert (len(waits), calls) == (3, [TWITCHING])


def test_what_could_not_be_made_is_tried_again(served, monkeypatch):
    definitions = Definitions(served, Deployment(sandbox=Sandbox(SandboxLimits(wait_s=0.0), places=0)))
    for _ in range(2):
        with pytest.raises(Unavailable):
            definitions.published()
    definitions._deployment = Deployment()
    assert definitions.published().artifacts


def test_a_guidance_whose_cql_takes_too_much_is_refused_not_waited_for(served):
    tight = Sandbox(SandboxLimits(result_bytes=1000))
    with pytest.raises(NotScorable) as refused:
        Definitions(served, Deployment(sandbox=tight)).published()
    assert [problem.kind for problem in refused.value.problems] == ["too-costly"]
