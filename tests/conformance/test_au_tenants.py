"""Two tenants with the same ids, under load: nothing of one is there for the other (AU12, BU07, RD20)."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from fhir_client import BASE, STORED, codes_of, included, link, matches
from guarded_service import guarded_service
from issuers import Issuer, ec_key
from request_bundles import bundle, create, entry, id_in, statuses
from sample_responses import SECOND, SYSTEM, identified, strain

from service import catalogue
from service.assess import Assessor
from service.fhir.json import BodyLimits
from service.records import APPEND_ONLY, Repository
from service.records.reach import Reach
from service.storage.opening import migrate, open_store

TYPE, RISK = "QuestionnaireResponse", "RiskAssessment"
TENANTS = ("north", "south")
PERSON, OTHER = "Patient/A", "Patient/B"
SAME = [f"same-{number}" for number in range(4)]
ROUNDS, CALLERS = 6, 3
BUSY = 503
"""What a store may say that others write to; the request is sent again then, as its answer asks."""


def mark(tenant):
    """Returns what stands in everything of a tenant, and in nothing of another."""
    return f"mark-of-{tenant}"


def marked(tenant, patient=PERSON, **changes):
    subject = {"reference": patient, "display": mark(tenant)}
    return strain(subject=subject, author={"reference": "Practitioner/P", "display": mark(tenant)}, **changes)


def fill(url):
    """Stores responses with the same ids for both tenants, as chance will not."""
    migrate(url)
    store = open_store(url, append_only=APPEND_ONLY)
    assessor = Assessor(catalogue.read(SECOND / "questionnaires", SECOND / "mappings"), BodyLimits())
    for tenant in TENANTS:
        ids = iter(SAME)
        repository = Repository(store, assessor, BASE, new_id=lambda ids=ids: next(ids))
        for number in range(len(SAME)):
            body = marked(tenant, (PERSON, OTHER)[number % 2], identifier=identified("same"))
            repository.create(json.dumps(body).encode(), reach=Reach(tenant))
    store.close()


class Caller:
    """Somebody of one tenant, who sees everything that comes back."""

    def __init__(self, service, tenant, patient=""):
        self.tenant = tenant
        others = [each for each in TENANTS if each != tenant]
        self.others = [mark(each).encode() for each in others]
        scope = f"{'patient' if patient else 'user'}/*.cruds"
        claims = {"patient": patient.partition("/")[2]} if patient else {}
        self.ehr = service.as_user(scope, tenant, **claims)

    def ask(self, method, where, body=None, **headers):
        """Returns an answer in which nothing is another tenant's."""
        answer = self.ehr.ask(method, where, body, **headers)
        for _ in range(50):
            if answer.status != BUSY:
                break
            answer = self.ehr.ask(method, where, body, **headers)
        assert answer.status < 500, answer.data
        assert not any(each in answer.data for each in self.others), (method, where)
        return answer

    def get(self, where):
        answer = self.ask("GET", where)
        assert answer.status == 200, (where, answer.data)
        return answer.json

    def found(self, query):
        """Returns the ids of all pages; the marks are looked for in each of them."""
        ids, following = [], query
        while following:
            page = self.get(following)
            ids += [each["id"] for each in matches(page)]
            following = link(page, "next")
        return ids


def work(caller, name):
    """Does everything that a caller may do; returns the ids of what it created."""
    created = []
    once = {"if_none_exist": f"identifier={SYSTEM}|once"}
    for number in range(ROUNDS):
        made = caller.ask("POST", TYPE, marked(caller.tenant, identifier=identified(f"{name}-{number}")))
        assert made.status == 201
        created.append(made.json["id"])
        assert caller.ask(
            "POST", TYPE, marked(caller.tenant, identifier=identified("once")), **once
        ).status in (
            200,
            201,
        )
        shared = SAME[number % len(SAME)]
        person = (PERSON, OTHER)[number % len(SAME) % 2]
        updated = caller.ask("PUT", f"{TYPE}/{shared}", marked(caller.tenant, person, id=shared))
        assert updated.status in (200, 409, 412), updated.data
        read = caller.get(f"{TYPE}/{shared}")
        assert read["author"]["display"] == mark(caller.tenant)
        caller.get(f"{TYPE}/{shared}/_history")
        caller.get(f"{TYPE}/{shared}/_history/1")
        caller.get(f"{RISK}/{shared}")
        found = caller.get(f"{RISK}?basis={TYPE}/{shared}&_include={RISK}:basis")
        assert [len(matches(found)), len(included(found))] == [1, 1]
        found = caller.get(f"{TYPE}?_id={shared}&_revinclude={RISK}:basis&_revinclude=Provenance:target")
        assert [len(matches(found)), len(included(found)) >= 2] == [1, True]
        caller.found(f"{TYPE}?patient={OTHER}&_count=1&_total=accurate")
        entries = (
            create(marked(caller.tenant, identifier=identified(f"{name}-{number}-bundled"))),
            entry("GET", f"{TYPE}/{shared}"),
            entry("GET", f"{TYPE}?patient={PERSON}&_count=2"),
            create(marked(caller.tenant), ifNoneExist=f"identifier={SYSTEM}|same-as-nothing-{name}-{number}"),
        )
        answer = caller.ask("POST", "", bundle(("batch", "transaction")[number % 2], *entries))
        assert statuses(answer) == [201, 200, 200, 201]
        created += [id_in(answer.json["entry"][place]) for place in (0, 3)]
    return created


@pytest.fixture(scope="module")
def service(database, tmp_path_factory):
    """In two processes; `north-2` is another EHR of the tenant `north`."""
    url = database("sqlite")
    fill(url)
    second = Issuer("north-2", tenant="north", keys={"ec": ec_key("north-2")})
    registered = Issuer("north"), Issuer("south"), second
    folder = tmp_path_factory.mktemp("tenants")
    with guarded_service(folder, url, *registered, WORKERS="2", STORE_TIMEOUT_S="20") as started:
        yield started


@pytest.fixture(scope="module")
def created(service):
    """What each tenant created while both worked at the same time, by tenant."""
    callers = [(tenant, number) for number in range(CALLERS) for tenant in TENANTS]
    with ThreadPoolExecutor(len(callers)) as pool:
        running = [
            pool.submit(work, Caller(service, tenant), f"caller-{number}") for tenant, number in callers
        ]
        done = [each.result() for each in running]
    ids = {tenant: set() for tenant in TENANTS}
    for (tenant, _), made in zip(callers, done, strict=True):
        ids[tenant] |= set(made)
    return ids


@pytest.fixture(params=TENANTS)
def here(service, created, request):
    return Caller(service, request.param)


def other_than(tenant):
    return TENANTS[1 - TENANTS.index(tenant)]


def test_au12_under_load_each_tenant_has_what_it_created_and_no_more(here, created):
    own = set(here.found(f"{TYPE}?_count=20"))
    (once,) = here.found(f"{TYPE}?identifier={SYSTEM}|once")
    assert own == created[here.tenant] | {*SAME, once}
    assert here.get(f"{TYPE}?_summary=count")["total"] == len(own)


def test_au12_what_one_tenant_created_is_not_there_for_the_other(here, created):
    for id_ in sorted(created[other_than(here.tenant)])[:5]:
        answers = [
            here.ask("GET", f"{TYPE}/{id_}"),
            here.ask("GET", f"{TYPE}/{id_}/_history"),
            here.ask("GET", f"{TYPE}/{id_}/_history/1"),
            here.ask("GET", f"{RISK}/{id_}"),
            here.ask("PUT", f"{TYPE}/{id_}", marked(here.tenant, id=id_)),
        ]
        assert {each.status for each in answers} == {404}
        assert here.found(f"{TYPE}?_id={id_}") == []
        assert here.found(f"{RISK}?basis={TYPE}/{id_}") == []
        assert here.found(f"Provenance?target={TYPE}/{id_}") == []
        assert here.found(f"AuditEvent?entity={TYPE}/{id_}") == []
        inside = bundle("batch", entry("GET", f"{TYPE}/{id_}"), entry("GET", f"{TYPE}?_id={id_}"))
        told = here.ask("POST", "", inside)
        assert statuses(told) == [404, 200]
        assert told.json["entry"][1]["resource"]["total"] == 0


@pytest.mark.parametrize("kind", STORED)
def test_au12_nothing_of_any_type_is_in_both(service, created, kind):
    """But for the ids that were made the same, and what is derived from them."""
    north, south = (set(Caller(service, tenant).found(f"{kind}?_count=50")) for tenant in TENANTS)
    assert north
    assert {id_ for id_ in north & south if not id_.startswith("same-")} == set()


def test_au12_the_same_id_is_another_resource_in_each_tenant(service, created):
    for id_ in SAME:
        north, south = (Caller(service, tenant).get(f"{TYPE}/{id_}") for tenant in TENANTS)
        assert (north["id"], south["id"]) == (id_, id_)
        assert north["author"] != south["author"]


def test_au12_a_conditional_create_finds_in_its_own_tenant_alone(service, created):
    """What was created once in each tenant is another response in each."""
    found = [Caller(service, tenant).found(f"{TYPE}?identifier={SYSTEM}|once") for tenant in TENANTS]
    assert [len(ids) for ids in found] == [1, 1]
    assert found[0] != found[1]


def test_rd20_a_next_link_of_another_tenant_shows_ones_own_or_nothing(here, service):
    there = Caller(service, other_than(here.tenant))
    for query in (
        f"{TYPE}?_count=2",
        f"{TYPE}?patient={PERSON}&_count=2&_sort=_lastUpdated",
        "AuditEvent?_count=2",
    ):
        following = link(there.get(query), "next")
        answer = here.ask("GET", following)
        if answer.status != 200:
            assert codes_of(answer, 400, 403, 404)
            continue
        theirs = {each["id"] for each in matches(there.get(following))}
        own = {each["id"] for each in matches(answer.json)}
        assert {id_ for id_ in theirs & own if not id_.startswith("same-")} == set()


def test_au12_a_patient_with_the_same_id_is_another_person_in_each_tenant(service, created):
    ids = []
    for tenant in TENANTS:
        patient = Caller(service, tenant, OTHER)
        found = patient.found(f"{TYPE}?_count=10")
        assert set(found) == set(Caller(service, tenant).found(f"{TYPE}?patient={OTHER}"))
        assert patient.ask("GET", f"{TYPE}/{SAME[0]}").status == 404
        stored = patient.ask("POST", TYPE, marked(tenant, OTHER))
        assert stored.status == 201
        ids.append(stored.json["id"])
    assert Caller(service, TENANTS[0], OTHER).ask("GET", f"{TYPE}/{ids[1]}").status == 404
    assert Caller(service, TENANTS[1], OTHER).ask("GET", f"{TYPE}/{ids[0]}").status == 404


def test_au12_two_ehrs_may_share_a_tenant_but_not_the_patients_of_the_other(service, created):
    """`Patient/A` of one EHR and of the other: a user of the tenant sees both, by the url of each."""
    id_ = min(created["north"])
    assert service.as_user(tenant="north-2").read(f"{TYPE}/{id_}")["id"] == id_
    absolute = f"{service.issuers['north-2'].base}/Patient/A"
    made = service.as_user(tenant="north-2").create(strain(absolute))
    assert service.as_user(tenant="north").read(f"{TYPE}/{made['id']}")["subject"]["reference"] == absolute
    assert service.as_patient("Patient/A", tenant="north").get(f"{TYPE}/{made['id']}").status == 404
    assert service.as_patient("Patient/A", tenant="north-2").get(f"{TYPE}/{made['id']}").status == 200
    assert service.as_user(tenant="south").get(f"{TYPE}/{made['id']}").status == 404


def test_au12_references_across_tenants_lead_nowhere(here, created):
    """In a transaction, a conditional reference finds in its own tenant alone."""
    there = other_than(here.tenant)
    sought = f"{TYPE}?identifier={SYSTEM}|caller-0-0"
    document = marked(here.tenant, partOf=[{"reference": sought}])
    answer = here.ask("POST", "", bundle("transaction", create(document)))
    assert not any(id_.encode() in answer.data for id_ in created[there])
