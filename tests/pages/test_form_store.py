"""What a form stores with consent: once however often it is sent, and nothing is left of it when deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest

from service import app, catalogue
from service.assess import Assessor
from service.auth.ehrs import CdsClient, Ehr
from service.errors import NotFound, NotScorable, SettingsError, Unavailable
from service.fhir.json import BodyLimits
from service.pages.form_store import FormStore
from service.records import APPEND_ONLY, KINDS, RESPONSE, Reach, Repository
from service.settings import Settings
from service.storage.model import AlreadyExists, StoreUnavailable
from service.storage.opening import open_store

BASE = "https://fhir.example.org/r4"
FORM, OTHER = "1b3f0f9c-6a0e-4d58-9f6e-2f1a3c5b7d91", "7e0a4f55-0c1b-4f3f-8a8e-5a9f2f6f1c02"
START = 1_795_000_000_000_000
ENGLISH = ("en",)
CANARY = "canary-of-somebody"


@pytest.fixture(scope="session")
def assessor(root: Path) -> Assessor:
    return Assessor(catalogue.read(root / "questionnaires", root / "mappings"), BodyLimits())


@pytest.fixture
def file(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Any]:
    opened = open_store(sqlite_url, append_only=APPEND_ONLY)
    yield opened
    opened.close()


@pytest.fixture
def forms(store, assessor) -> FormStore:
    moments = count(START, 1_000_000)
    repository = Repository(store, assessor, BASE, clock=lambda: next(moments))
    return FormStore(repository, store, BASE, clock=lambda: next(moments))


@pytest.fixture
def response(root: Path):
    def changed(**members: Any) -> bytes:
        document = orjson.loads((root / "samples" / "plain-eyelid.json").read_bytes())
        document.pop("id", None)
        return orjson.dumps({**document, "subject": {"display": CANARY}, **members})

    return changed


def versions(file: Path) -> list[tuple[str, str, int]]:
    with closing(sqlite3.connect(file)) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type='table'")]
        records = next(name for name in tables if name.startswith("record"))
        return sorted(connection.execute(f"select type, id, version from {records}"))


def test_a_form_is_stored_under_its_own_id_with_all_that_is_made_of_it(forms, file, response):
    assert not forms.has(FORM)
    assert forms.keep(FORM, response(), ENGLISH) == FORM
    assert forms.has(FORM)
    assert {kind for kind, _, _ in versions(file)} == set(KINDS)
    assert {of_id.partition(".")[0] for _, of_id, _ in versions(file)} == {FORM}


def test_a_form_that_is_sent_twice_is_stored_once(forms, file, response):
    forms.keep(FORM, response(authored="2026-11-28T10:00:00Z"), ENGLISH)
    once = versions(file)
    forms.keep(FORM, response(authored="2026-11-28T10:00:02Z"), ENGLISH)
    assert versions(file) == once


def test_answers_that_were_changed_afterwards_become_the_next_version(forms, file, response):
    forms.keep(FORM, response(), ENGLISH)
    forms.keep(FORM, response(status="amended"), ENGLISH)
    numbers = [version for kind, _, version in versions(file) if kind == "QuestionnaireResponse"]
    assert numbers == [1, 2]


def test_of_two_that_are_sent_at_the_same_time_one_is_stored(forms, file, response, monkeypatch):
    create, calls = Repository.create, []

    def late(self, *given, **named):
        calls.append(given)
        if len(calls) == 1:  # somebody else was faster: what is there is not seen yet
            with monkeypatch.context() as now:
                now.setattr(Repository, "create", create)
                raise AlreadyExists("A record of this type and id exists.")
        return create(self, *given, **named)

    monkeypatch.setattr(Repository, "create", late)
    forms.keep(FORM, response(), ENGLISH)
    assert len(calls) == 2
    assert [version for kind, _, version in versions(file) if kind == "RiskAssessment"] == [1]


def test_an_id_that_the_response_brings_with_it_is_not_taken(forms, file, response):
    forms.keep(OTHER, response(), ENGLISH)
    forms.keep(FORM, response(id=OTHER, status="amended"), ENGLISH)
    stored = [(of_id, version) for kind, of_id, version in versions(file) if kind == "QuestionnaireResponse"]
    assert stored == sorted([(FORM, 1), (OTHER, 1)])


def test_of_what_cannot_be_scored_nothing_is_stored(forms, file, response):
    with pytest.raises(NotScorable):
        forms.keep(FORM, response(questionnaire="https://example.org/none"), ENGLISH)
    assert versions(file) == []


def test_deleting_leaves_nothing_of_the_form_and_all_of_the_others(forms, store, file, response):
    forms.keep(FORM, response(), ENGLISH)
    forms.keep(FORM, response(status="amended"), ENGLISH)
    forms.keep(OTHER, response(subject={"display": "somebody else"}), ENGLISH)
    assert forms.delete(FORM)
    assert not forms.has(FORM)
    assert forms.has(OTHER)
    left = versions(file)
    assert not [of_id for _, of_id, _ in left if of_id.startswith(FORM)]
    assert len([of_id for _, of_id, _ in left if of_id.startswith(OTHER)]) == 4
    store.scrub()
    content = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert CANARY.encode() not in content
    assert FORM.encode() not in content
    assert b"somebody else" in content


def test_what_is_deleted_while_it_is_sent_again_is_not_stored(forms, file, response, monkeypatch):
    """In another tab, after the form was sent there and before what was sent is stored."""
    forms.keep(FORM, response(), ENGLISH)
    foresee = Repository.foresee

    def foreseen(self, *given, **named):
        assert forms.delete(FORM)
        return foresee(self, *given, **named)

    monkeypatch.setattr(Repository, "foresee", foreseen)
    assert forms.keep(FORM, response(status="amended"), ENGLISH) == ""
    assert not [of_id for _, of_id, _ in versions(file) if of_id.startswith(FORM)]


def test_that_something_was_deleted_is_recorded_without_a_word_of_what(forms, store, file, response):
    forms.keep(FORM, response(), ENGLISH)
    forms.delete(FORM)
    ((kind, of_id, _),) = versions(file)
    with store.reading() as view:
        event = orjson.loads(view.read(kind, of_id).body)
    assert event["action"] == "D"
    assert event["agent"][0]["who"]["display"].startswith("Person who filled in the form")
    assert CANARY not in str(event)
    assert FORM not in str(event)


def test_what_was_never_stored_cannot_be_deleted(forms, file):
    assert not forms.delete(FORM)
    assert versions(file) == []


def test_a_store_that_cannot_be_reached_says_so(forms, store, response, monkeypatch):
    def gone(*_):
        raise StoreUnavailable("The database cannot be reached.")

    for name in ("writing", "reading", "erasing"):
        monkeypatch.setattr(type(store), name, gone)
    for attempt in (
        lambda: forms.keep(FORM, response(), ENGLISH),
        lambda: forms.has(FORM),
        lambda: forms.delete(FORM),
    ):
        with pytest.raises(Unavailable):
            attempt()


# Where tokens say who may touch what (AU12, AU15).


@pytest.fixture
def of_north(store, assessor) -> FormStore:
    repository = Repository(store, assessor, BASE)
    return FormStore(repository, store, BASE, clock=lambda: START, tenant="north")


@pytest.fixture
def nobodys(response):
    """A response that names nobody: its source is a patient, but not which one."""
    document = orjson.loads(response(source={"type": "Patient", "display": "myself"}))
    return {name: document[name] for name in document if name not in ("subject", "author")}


NAMED = [
    {"subject": {"reference": "Patient/a"}},
    {"subject": {"display": "a"}},
    {"author": {"reference": "Practitioner/a"}},
    {"encounter": {"reference": "Encounter/a"}},
    {"basedOn": [{"reference": "ServiceRequest/a"}]},
    {"partOf": [{"reference": "Procedure/a"}]},
    {"source": {"reference": "Patient/a"}},
    {"source": {"identifier": {"value": "a"}}},
]


def test_a_form_is_stored_with_the_tenant_that_is_named_and_for_no_patient(
    of_north, store, assessor, nobodys
):
    assert of_north.asks_for_consent(FORM, nobodys)
    assert of_north.kept(FORM, nobodys, ENGLISH, agrees=True) == FORM
    assert not of_north.asks_for_consent(FORM, nobodys)
    repository = Repository(store, assessor, BASE)
    assert repository.read(RESPONSE, FORM, reach=Reach("north")).id == FORM
    for reach in (Reach("south"), Reach(), Reach("north", ("Patient/a",))):
        for kind in KINDS:
            with pytest.raises(NotFound):
                repository.read(kind, FORM if kind in KINDS[:2] else f"{FORM}.1", reach=reach)


def test_changed_answers_are_stored_with_the_same_tenant_and_deleted_there(of_north, store, nobodys):
    for tenant in ("south", ""):  # the same id, by whatever chance
        FormStore(of_north._repository, store, BASE, lambda: START, tenant=tenant).kept(
            FORM, nobodys, ENGLISH, agrees=True
        )
    of_north.kept(FORM, nobodys, ENGLISH, agrees=True)
    of_north.kept(FORM, nobodys | {"status": "amended"}, ENGLISH, agrees=False)
    with store.reading("north") as view:
        assert view.read(RESPONSE, FORM).version == 2
    assert of_north.delete(FORM)
    assert not of_north.has(FORM)
    for tenant in ("south", ""):
        with store.reading(tenant) as view:
            assert view.read(RESPONSE, FORM).version == 1


@pytest.mark.parametrize("named", NAMED, ids=lambda named: next(iter(named)))
def test_what_names_somebody_is_not_stored_by_who_says_nothing_of_themselves(of_north, file, nobodys, named):
    """Else anybody could file answers with a patient: a form begun from a record goes back to that record."""
    assert not of_north.asks_for_consent(FORM, named)
    assert of_north.kept(FORM, nobodys | named, ENGLISH, agrees=True) == ""
    assert versions(file) == []


@pytest.mark.parametrize("named", NAMED, ids=lambda named: next(iter(named)))
def test_without_access_control_it_is_stored_as_if_it_had_been_posted(forms, nobodys, named):
    assert forms.asks_for_consent(FORM, named)
    assert forms.kept(FORM, nobodys | named, ENGLISH, agrees=True) == FORM


def ehr(tenant: str, *clients: CdsClient) -> Ehr:
    base = f"https://{tenant}.example.org"
    return Ehr(base, "", "", (), tenant, (), tenant=tenant, cds_clients=clients)


CLIENT = CdsClient("https://ehr.example.org", "https://ehr.example.org/jwks")
EHRS = (ehr("north", CLIENT), ehr("east", CLIENT), ehr("north", CLIENT), ehr("west"))


def test_the_tenant_of_stored_forms_is_one_that_tokens_reach(store, assessor, nobodys):
    repository = Repository(store, assessor, BASE)
    settings = Settings(form_stores=True, form_tenant="east")
    kept = app.form_store_from(settings, store, repository, EHRS)
    kept.kept(FORM, nobodys, ENGLISH, agrees=True)
    assert repository.read(RESPONSE, FORM, reach=Reach("east")).id == FORM


@pytest.mark.parametrize("named", ["", "west", "North"])
def test_the_service_does_not_start_where_it_is_not_clear_whose_data_stored_forms_are(store, named):
    with pytest.raises(SettingsError) as refused:
        app.form_store_from(Settings(form_stores=True, form_tenant=named), store, None, EHRS)
    text = "expected the tenant whose data stored forms are, one of: east, north."
    assert refused.value.faults == [f"SERVICE_FORM_TENANT: {text}"]


def test_without_tokens_there_is_no_tenant_to_name(store):
    """Nobody could reach what is stored with it."""
    with pytest.raises(SettingsError) as refused:
        app.form_store_from(Settings(form_stores=True, form_tenant="west"), store, None, EHRS[3:])
    assert refused.value.faults == ["SERVICE_FORM_TENANT: expected nothing, as no tokens are asked for."]


def test_where_forms_are_not_stored_nobody_asks_whose_they_are(store):
    assert app.form_store_from(Settings(form_tenant=""), store, None, EHRS) is None
