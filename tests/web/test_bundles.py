"""Batches and transactions over the real service and a real store: checks BU01 to BU06, BU08 and RD24."""

import logging
import time
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import fakes
import orjson
import pytest
from fhir_client import BASE, through
from request_bundles import TYPE, bundle, create, entry, statuses, urn
from sample_responses import SYSTEM, identified, new_patient, new_value, sample, small

from service import app
from service.assess import Assessor
from service.datatypes.values import replace
from service.errors import Malformed, TooLarge
from service.fhir.json import BodyLimits
from service.records import Repository
from service.sandbox import Sandbox, SandboxLimits
from service.settings import Settings
from service.web import bundles
from service.web.access import Access
from service.web.application import Application
from service.web.bundle_entries import bundle_from
from service.web.bundles import Bundles
from service.web.deployment import Deployment
from service.web.descriptions import BUNDLE, READ
from service.web.reply import Reply, Version
from service.web.routes import Parts, all_routes
from service.web.routing import Route, Router

FHIR = {"Content-Type": "application/fhir+json"}
SAMPLE = sample("plain-eyelid")
DEPLOYMENT = Deployment(BASE, body=BodyLimits(200_000, 64), bundle_entries=20, bundle_answer_bytes=1000)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'service.db'}"
    return app.create_app(Settings(store_url=url, base_url=BASE)).test_client()


@pytest.fixture
def send(client):
    """Posts a Bundle to the base; returns the answer."""
    return partial(through(client).post, "")


@pytest.fixture
def read(client):
    """Returns the document under a path below the base."""
    return through(client).read


@pytest.fixture
def total(client):
    """Returns how many responses are stored."""
    return partial(through(client).total, TYPE)


def linked(*targets):
    """A response with references to others in extensions."""
    url = "https://ehr.example.org/related"
    return small(extension=[{"url": url, "valueReference": {"reference": each}} for each in targets])


def targets_of(resource):
    return [each["valueReference"]["reference"] for each in resource["extension"]]


def at(each):
    """Returns the `Type/id` that an entry of an answer is about."""
    return each["response"]["location"].removeprefix(f"{BASE}/").partition("/_history/")[0]


def kinds(outcome):
    return {issue["details"]["coding"][0]["code"] for issue in outcome["issue"]}


def places(outcome):
    return [issue["expression"][0] for issue in outcome["issue"]]


def refused(answer, status, kind):
    assert (answer.status, answer.json["resourceType"]) == (status, "OperationOutcome"), answer.data
    assert kind in kinds(answer.json), answer.data
    return answer.json


# what is a Bundle


def test_bu01_a_body_that_is_no_bundle_is_refused(send):
    refused(send(small()), 400, "resource-type")


def test_bu01_without_a_store_a_batch_is_answered_and_a_transaction_is_refused(real):
    batch = bundle("batch", entry("GET", "metadata"), entry("POST", f"{TYPE}/$assess", SAMPLE))
    answer = real.post("/fhir", data=orjson.dumps(batch), headers=FHIR)
    assert [each["response"]["status"] for each in orjson.loads(answer.data)["entry"]] == ["200 OK", "200 OK"]
    transaction = bundle("transaction", entry("GET", "metadata"))
    answer = real.post("/fhir", data=orjson.dumps(transaction), headers=FHIR)
    assert answer.status_code == 400
    assert kinds(orjson.loads(answer.data)) == {"bundle-type"}


def test_what_is_offered_is_what_the_route_declares():
    def interactions(repository):
        parts = Parts(fakes.artifacts(), fakes.FakeAssessor(), repository=repository)
        return next(
            route.interactions
            for route in all_routes(parts, DEPLOYMENT)
            if (route.method, route.path) == ("POST", "/fhir")
        )

    assert interactions(None) == ("batch",)
    assert interactions(SimpleNamespace(ping=None)) == ("batch", "transaction")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"resourceType":"Bundle","resourceType":"Bundle"}', b"{}"])
def test_bodies_are_read_as_strictly_as_any_other(send, body):
    assert send(body).status == 400


def test_a_body_of_another_media_type_is_refused(send):
    assert send(bundle("batch"), content_type="text/plain").status == 415


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize(
    ("entries", "more", "problem"),
    [
        ([create()], {"total": 1}, "invariant"),
        ([create()], {"more": 1}, "unknown-property"),
        ([create()], {"extension": [{"url": "https://example.org/x", "valueCode": "x"}]}, "unknown-property"),
        ([create()], {"implicitRules": "https://example.org/x"}, "implicit-rules"),
        ([create() | {"search": {"mode": "match"}}], {}, "invariant"),
        ([create() | {"response": {"status": "200"}}], {}, "invariant"),
        ([create() | {"more": 1}], {}, "unknown-property"),
        ([create(more="x")], {}, "unknown-property"),
        ([entry("MAKE", TYPE, small())], {}, "code"),
        ([entry("GET", f" {TYPE}")], {}, "format"),
        ([entry("POST", "", bundle("batch", create()))], {}, "empty"),
        ([create(full_url="x")], {}, "format"),
        ([create(full_url=f"{BASE}/{TYPE}/1/_history/2")], {}, "invariant"),
        ([create(ifModifiedSince="yesterday")], {}, "format"),
        ([{"resource": small()}], {}, "missing"),
        ([{"fullUrl": "urn:uuid:1"}], {}, "missing"),
        ([{"resource": small(), "request": {"method": "POST"}}], {}, "missing"),
        ([{"resource": small(), "request": {"url": TYPE}}], {}, "missing"),
        ([create() | {"resource": "x"}], {}, "datatype"),
        (["x"], {}, "datatype"),
        ([create()] * 2, {"entry": {"request": {"method": "GET", "url": "metadata"}}}, "datatype"),
    ],
)
def test_bu08_a_bundle_that_is_not_r4_is_refused_as_a_whole(send, total, kind, entries, more, problem):
    before = total()
    refused(send(bundle(kind, *entries, **more)), 400, problem)
    assert total() == before


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_bu06_two_entries_with_one_full_url_are_refused(send, total, kind):
    before, same = total(), urn()
    outcome = refused(send(bundle(kind, create(None, same), create(None, same))), 400, "bundle-duplicate")
    assert places(outcome) == ["Bundle.entry[0].fullUrl", "Bundle.entry[1].fullUrl"]
    assert total() == before


# entries that cannot be requests

UNFIT = [
    entry("POST", TYPE),
    entry("PUT", f"{TYPE}/x"),
    create(bundle("batch", create())),
    entry("POST", f"{TYPE}/_search", small()),
    entry("GET", "metadata", ifModifiedSince="2016-12-31T23:59:60Z"),
    entry("GET", "metadata", ifModifiedSince="0001-01-01T00:00:00+14:00"),
    entry("GET", f"{BASE}/metadata"),
    entry("GET", "https://evil.example.org/fhir/Patient/1"),
    entry("GET", "//evil.example.org/x"),
    entry("GET", "http://user:secret@169.254.169.254/latest"),
    entry("GET", "file:///etc/passwd"),
    entry("GET", "urn:uuid:1"),
    entry("GET", "///metadata"),
    entry("GET", "../healthz"),
    entry("GET", "./metadata"),
    entry("GET", f"{TYPE}/../../healthz"),
    entry("GET", f"{TYPE}/%2e%2e/healthz"),
    entry("GET", "metadata#x"),
    entry("GET", "metadata//"),
    entry("GET", "?_type=Patient"),
    entry("GET", "\\\\evil.example.org\\x"),
    {
        "request": {
            "_method": {"extension": [{"url": "https://example.org/x", "valueCode": "x"}]},
            "url": "metadata",
        }
    },
    {
        "request": {
            "method": "GET",
            "_url": {"extension": [{"url": "https://example.org/x", "valueCode": "x"}]},
        }
    },
]


@pytest.mark.parametrize("unfit", UNFIT)
def test_bu08_an_entry_that_leads_elsewhere_or_nowhere_is_refused(send, total, unfit):
    before = total()
    batch = send(bundle("batch", entry("GET", "metadata"), unfit))
    assert statuses(batch) == [200, 400]
    assert kinds(batch.json["entry"][1]["response"]["outcome"]) == {"bundle-entry"}
    outcome = refused(send(bundle("transaction", create(), unfit)), 400, "bundle-entry")
    assert all(place.startswith("Bundle.entry[1]") for place in places(outcome))
    assert total() == before


@pytest.mark.parametrize(
    "url", ["/metadata", "metadata/", "metadata?_format=json", f"{TYPE}?identifier=https://e.org/x|1"]
)
def test_a_url_may_have_a_slash_at_either_end_and_a_query(send, url):
    assert statuses(send(bundle("batch", entry("GET", url)))) == [200]


# batch


def test_a_batch_may_run_operations_and_searches_by_post(send):
    answer = send(
        bundle(
            "batch",
            entry("POST", f"{TYPE}/$assess", SAMPLE),
            entry("POST", f"{TYPE}/$validate", small(status="nonsense")),
            entry("POST", "Questionnaire/_search?_summary=count"),
        )
    )
    assert statuses(answer) == [200, 200, 200]
    assert [each["resource"]["resourceType"] for each in answer.json["entry"]] == [
        "RiskAssessment",
        "OperationOutcome",
        "Bundle",
    ]
    assert not any("fullUrl" in each for each in answer.json["entry"])


def test_entries_of_a_batch_may_not_depend_on_each_other(send, total):
    before, first, other = total(), urn(), "https://ehr.example.org/fhir/QuestionnaireResponse/a"
    answer = send(
        bundle(
            "batch",
            create(linked(first, "Patient/1"), first),
            create(linked("QuestionnaireResponse/a"), "https://ehr.example.org/fhir/QuestionnaireResponse/b"),
            create(None, other),
        )
    )
    assert statuses(answer) == [400, 400, 201]
    outcome = answer.json["entry"][0]["response"]["outcome"]
    assert kinds(outcome) == {"bundle-reference"}
    assert places(outcome) == ["Bundle.entry[0].resource.extension[0].value.reference"]
    assert total() == before + 1


def test_two_entries_of_a_batch_that_change_one_resource_are_both_refused(send, read):
    kept = send(bundle("batch", create())).json["entry"][0]
    amended = entry("PUT", at(kept), kept["resource"])
    answer = send(bundle("batch", amended, amended))
    assert statuses(answer) == [400, 400]
    assert read(at(kept))["meta"]["versionId"] == "1"


def test_a_query_that_cannot_be_read_is_refused_before_anything_is_stored(client, total):
    before = total()
    answer = through(client).post("?_pretty=true&x=%ff", bundle("transaction", create()))
    assert answer.status == 400
    assert total() == before


def test_a_condition_keeps_its_letters(send):
    value = f"Zoë {new_value()}"
    one = create(small(identifier=identified(value)), ifNoneExist=f"identifier={SYSTEM}|{value}")
    assert statuses(send(bundle("batch", one))) == [201]
    assert statuses(send(bundle("batch", one))) == [200]
    assert statuses(send(bundle("transaction", one))) == [200]


# answers


def test_bu04_entries_carry_status_location_etag_and_the_link_to_the_result(send, read):
    for kind in ("batch", "transaction"):
        (each,) = send(bundle(kind, create())).json["entry"]
        body = each["resource"]
        assert each["fullUrl"] == f"{BASE}/{at(each)}" == f"{BASE}/{TYPE}/{body['id']}"
        assert each["link"] == [{"relation": "related", "url": f"{BASE}/RiskAssessment/{body['id']}"}]
        assert each["response"] == {
            "status": "201 Created",
            "location": f"{BASE}/{TYPE}/{body['id']}/_history/1",
            "etag": 'W/"1"',
            "lastModified": body["meta"]["lastUpdated"],
        }
        amended = entry("PUT", at(each), body, ifMatch='W/"1"')
        (after,) = send(bundle(kind, amended)).json["entry"]
        assert after["response"]["status"] == "200 OK"
        assert after["response"]["etag"] == 'W/"2"'
        assert at(after) == at(each)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_bu04_the_resource_is_there_as_preferred(send, kind):
    def preferred(what):
        return send(bundle(kind, create()), prefer=f"return={what}").json["entry"][0]

    assert preferred("representation")["resource"]["resourceType"] == TYPE
    assert "resource" not in preferred("minimal")
    outcome = preferred("OperationOutcome")
    assert "resource" not in outcome
    assert outcome["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_what_is_read_twice_has_its_full_url_once(send):
    kept = send(bundle("batch", create())).json["entry"][0]
    reads = [
        entry("GET", at(kept)),
        entry("GET", f"{at(kept)}/_history/1"),
        entry("GET", f"{at(kept)}/_history"),
    ]
    answer = send(bundle("batch", *reads))
    assert statuses(answer) == [200, 200, 200]
    assert ["fullUrl" in each for each in answer.json["entry"]] == [True, False, False]


def test_head_and_what_the_caller_has_already_come_without_a_resource(send):
    kept = send(bundle("batch", create())).json["entry"][0]
    asked = bundle(
        "batch",
        entry("HEAD", at(kept)),
        entry("GET", at(kept), ifNoneMatch='W/"1"'),
        entry("GET", at(kept), ifModifiedSince="2999-01-01T00:00:00+01:00"),
        entry("GET", at(kept), ifModifiedSince="2001-01-01T00:00:00Z"),
    )
    answer = send(asked)
    assert statuses(answer) == [200, 304, 200, 200]
    assert ["resource" in each for each in answer.json["entry"]] == [False, False, True, True]


def test_rb06_numbers_keep_their_digits_where_links_are_replaced(send, client):
    one, two = urn(), urn()
    digits = ["2.00", "1234567890123456789012345678", "1E+2", "-0.0"]
    numbers = [f'{{"url":"https://example.org/{n}","valueDecimal":{each}}}' for n, each in enumerate(digits)]
    first = orjson.dumps(linked(two)).decode().replace('"extension":[', f'"extension":[{",".join(numbers)},')
    body = orjson.dumps(bundle("transaction", create({"x": 1}, one), create(None, two)))
    kept = send(body.replace(b'{"x":1}', first.encode())).json["entry"][0]
    stored = client.get(f"/fhir/{at(kept)}").data.decode()
    assert [f'"valueDecimal":{each}}}' in stored.replace(" ", "") for each in digits] == [True] * 4
    assert two not in stored


def test_rb06_a_resource_without_links_is_stored_as_it_was_written(send, client):
    body = orjson.dumps(bundle("transaction", create())).replace(b'"in-progress"', b'"in-\\u0070rogress"')
    kept = send(body).json["entry"][0]
    assert b"in-\\u0070rogress" in client.get(f"/fhir/{at(kept)}").data


# transaction


@pytest.mark.parametrize(
    ("bad", "status", "kind"),
    [
        (create(small(status="nonsense")), 400, "code"),
        (create(small(questionnaire="https://example.org/none|1")), 422, "canonical-unknown"),
        (create(ifNoneExist="nothing=1"), 400, "if-none-exist"),
        (entry("GET", f"{TYPE}/none"), 404, "id-unknown"),
        (entry("GET", "/healthz"), 404, "type-unknown"),
        (entry("PUT", f"{TYPE}/none", small(id="none"), urn()), 404, "id-unknown"),
        (entry("PUT", f"{TYPE}?identifier=x", small()), 400, "method"),
        (entry("DELETE", f"{TYPE}/none"), 400, "method"),
        (entry("PATCH", f"{TYPE}/none", {"resourceType": "Parameters"}), 400, "method"),
        (entry("POST", "Patient", {"resourceType": "Patient"}), 404, "type-unknown"),
        (entry("GET", "metadata?_format=xml"), 406, "accept"),
        (entry("POST", f"{TYPE}/$assess", SAMPLE), 400, "bundle-entry"),
        (entry("GET", "ValueSet/x/$expand"), 400, "bundle-entry"),
        (entry("POST", f"{TYPE}/_search?status=completed"), 400, "bundle-entry"),
        (entry("POST", f"{TYPE}?identifier=x", small()), 400, "bundle-entry"),
    ],
)
def test_bu03_one_bad_entry_fails_the_transaction(send, total, bad, status, kind):
    before = total()
    outcome = refused(send(bundle("transaction", create(), bad, create())), status, kind)
    assert all(place.startswith("Bundle.entry[1]") for place in places(outcome))
    assert total() == before


def test_bu03_faults_of_structure_are_told_of_all_entries_at_once(send):
    first, third = create(small(status=None)), create(small(subject={"reference": 1}))
    outcome = refused(
        send(bundle("transaction", first, create(), third, entry("GET", "metadata"))), 400, "missing"
    )
    assert sorted(places(outcome)) == [
        "Bundle.entry[0].resource",
        "Bundle.entry[2].resource.subject.reference",
    ]


def test_bu05_references_between_entries_become_those_to_what_is_stored(send, read):
    one, two = urn(), "https://ehr.example.org/fhir/QuestionnaireResponse/temporary"
    first = create(linked(two, f"{two}/_history/5", "Patient/1", "https://x.example/Patient/2"), one)
    answer = send(bundle("transaction", first, create(linked(one, one), two)))
    ids = [at(each) for each in answer.json["entry"]]
    others = ["Patient/1", "https://x.example/Patient/2"]
    assert targets_of(read(ids[0])) == [ids[1], f"{ids[1]}/_history/1", *others]
    assert targets_of(read(ids[1])) == [ids[0], ids[0]]


def test_bu05_a_reference_to_an_updated_entry_names_its_next_version(send, read):
    kept = send(bundle("batch", create())).json["entry"][0]
    there = f"https://ehr.example.org/fhir/{at(kept)}"
    new = create(linked(there, f"{there}/_history/1"))
    answer = send(bundle("transaction", entry("PUT", at(kept), kept["resource"], there), new))
    assert answer.json["entry"][0]["response"]["etag"] == 'W/"2"'
    assert targets_of(read(at(answer.json["entry"][1]))) == [at(kept), f"{at(kept)}/_history/2"]


def test_bu05_a_reference_to_an_entry_that_is_there_already_names_that(send, read, total):
    value, there = new_value(), urn()
    kept = send(bundle("batch", create(small(identifier=identified(value))))).json["entry"][0]
    before = total()
    condition = create(small(identifier=identified(value)), there, ifNoneExist=f"identifier={SYSTEM}|{value}")
    answer = send(bundle("transaction", create(linked(there, f"{there}/_history/1")), condition))
    assert statuses(answer) == [201, 200]
    assert targets_of(read(at(answer.json["entry"][0]))) == [at(kept), f"{at(kept)}/_history/1"]
    assert total() == before + 1


def test_bu05_an_oid_or_uuid_cannot_become_a_link(send):
    one = urn()
    stated = small(extension=[{"url": "https://example.org/x", "valueUuid": one}])
    outcome = refused(send(bundle("transaction", create(stated), create(None, one))), 400, "bundle-reference")
    assert places(outcome) == ["Bundle.entry[0].resource.extension[0].value"]


def test_a_conditional_reference_becomes_that_to_the_one_it_finds(send, read):
    value = new_value()
    kept = send(bundle("batch", create(small(identifier=identified(value))))).json["entry"][0]
    found = f"{TYPE}?identifier={SYSTEM}|{value}"
    answer = send(bundle("transaction", create(linked(found, found))))
    assert targets_of(read(at(answer.json["entry"][0]))) == [at(kept), at(kept)]


def test_conditional_references_that_lead_nowhere_fail_the_transaction_together(send, total):
    subject = {"reference": new_patient()}
    send(bundle("batch", create(small(subject=subject)), create(small(subject=subject))))
    before = total()
    wrong = [
        "Patient?identifier=1",
        f"{TYPE}?nothing=1",
        f"{TYPE}?identifier={SYSTEM}|{new_value()}",
        f"{TYPE}?subject={subject['reference']}",
    ]
    outcome = refused(send(bundle("transaction", create(), create(linked(*wrong)))), 412, "bundle-reference")
    assert [issue["details"]["coding"][0]["code"] for issue in outcome["issue"]] == [
        *["bundle-reference"] * 3,
        "multiple-matches",
    ]
    assert places(outcome)[0] == "Bundle.entry[1].resource.extension[0].value.reference"
    assert total() == before


def test_bu08_more_conditional_references_than_the_limit_are_refused(send, total):
    before = total()
    wrong = [f"{TYPE}?identifier={SYSTEM}|{number}" for number in range(101)]
    refused(send(bundle("transaction", create(linked(*wrong[:100], *wrong[:100])))), 412, "bundle-reference")
    outcome = refused(send(bundle("transaction", create(), create(linked(*wrong)))), 413, "bundle-size")
    assert places(outcome) == ["Bundle.entry[1]"]
    assert total() == before


def test_a_condition_that_several_meet_fails_the_transaction(send, total):
    patient = new_patient()
    one = create(small(subject={"reference": patient}))
    send(bundle("batch", one, one))
    before = total()
    refused(send(bundle("transaction", create(ifNoneExist=f"subject={patient}"))), 412, "multiple-matches")
    assert total() == before


def test_bu06_two_entries_about_one_resource_fail_together(send, read, total):
    value = new_value()
    stated = small(identifier=identified(value))
    condition = create(stated, ifNoneExist=f"identifier={SYSTEM}|{value}")
    before = total()
    refused(send(bundle("transaction", condition, condition)), 400, "bundle-duplicate")
    assert total() == before
    kept = send(bundle("transaction", condition)).json["entry"][0]
    amended = entry("PUT", at(kept), kept["resource"])
    for entries in ([amended, amended], [condition, condition], [condition, amended]):
        outcome = refused(send(bundle("transaction", *entries)), 400, "bundle-duplicate")
        assert places(outcome) == ["Bundle.entry[0]", "Bundle.entry[1]"]
    assert total() == before + 1
    assert read(at(kept))["meta"]["versionId"] == "1"


# on routes that only tests have


class Things:
    """Answers about things, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def answer(self, call):
        method = call.environ["REQUEST_METHOD"]
        self.asked.append((method, call.args.get("id", "")))
        if call.args.get("id") == "broken":
            raise KeyError("secret-answer")
        version = Version(location=f"{BASE}/Thing/new/_history/1")
        return Reply(200, b'{"resourceType":"Thing"}', (), version)

    def big(self, call):
        return Reply(200, b'{"a":"%s"}' % (b"x" * 600), ())

    def routes(self):
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            yield Route(method, "/fhir/Thing/<id:id>", self.answer, Access.TOKEN, READ, "Thing")
        yield Route("POST", "/fhir/Thing", self.answer, Access.TOKEN, READ, "Thing")
        yield Route("GET", "/fhir/Big", self.big, Access.TOKEN, READ, "Big")


@pytest.fixture
def things():
    return Things()


@pytest.fixture
def among_things(things, tmp_path):
    """Posts a Bundle to a service that has things, and a store that nothing is written to."""
    whole = app.store_from(Settings(store_url=f"sqlite:///{tmp_path / 'x.db'}"))
    repository = SimpleNamespace(writing=whole.writing, new_id=lambda: "new")
    routes = tuple(things.routes())
    view = Bundles(Router(routes), repository, DEPLOYMENT)
    route = Route("POST", "/fhir", view.answer, Access.TOKEN, BUNDLE)
    client = Application((route, *routes), DEPLOYMENT).test_client()

    def post(document):
        answer = client.post("/fhir", data=orjson.dumps(document), headers=FHIR)
        return SimpleNamespace(status=answer.status_code, data=answer.data, json=orjson.loads(answer.data))

    yield post
    whole.close()


@pytest.fixture
def judged_inside(monkeypatch):
    """Says of each response that was judged whether a transaction was open meanwhile."""
    found, transactions = [], []
    writing, judge = Repository.writing, Assessor.judge

    @contextmanager
    def noted(self, *args, **how):
        with writing(self, *args, **how) as transaction:
            transactions.append(transaction)
            try:
                yield transaction
            finally:
                transactions.pop()

    def counted(self, data, of_id, **how):
        found.append(len(transactions) > 0)
        return judge(self, data, of_id, **how)

    monkeypatch.setattr(Repository, "writing", noted)
    monkeypatch.setattr(Assessor, "judge", counted)
    return found


def test_bu03_responses_are_judged_before_the_transaction_begins(send, judged_inside):
    first = send(bundle("transaction", create(full_url=urn()), create(full_url=urn())))
    assert (first.status, judged_inside) == (200, [False, False])
    stored = at(first.json["entry"][0])
    of_id = stored.partition("/")[2]
    again = send(bundle("transaction", entry("PUT", stored, small(id=of_id, language="en"))))
    assert (statuses(again), judged_inside[2:]) == ([200], [False])


def test_bu03_a_response_whose_links_are_replaced_is_judged_as_it_is_stored(send, read, judged_inside):
    full_url = urn()
    answer = send(bundle("transaction", create(full_url=full_url), create(linked(full_url))))
    assert sorted(judged_inside) == [False, True]
    first, second = (at(each) for each in answer.json["entry"])
    assert targets_of(read(second)) == [first]
    assert read(second.replace(TYPE, "RiskAssessment"))["basis"][0]["reference"].startswith(second)


def test_bu03_a_response_with_a_conditional_reference_is_judged_in_the_transaction(send, judged_inside):
    value = new_value()
    assert send(bundle("transaction", create(small(identifier=identified(value))))).status == 200
    found = linked(f"{TYPE}?identifier={SYSTEM}|{value}")
    assert send(bundle("transaction", create(found))).status == 200
    assert judged_inside == [False, True]


def test_bu04_nothing_is_judged_after_the_first_that_is_refused_before_the_transaction(send, judged_inside):
    wrong = small(status="completed")
    answer = send(bundle("transaction", create(), create(wrong), create()))
    refused(answer, 422, "required")
    assert judged_inside == [False, False]


THING = {"resourceType": "Thing"}


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_bu06_entries_are_processed_in_the_order_of_r4_and_answered_in_their_own(among_things, things, kind):
    answer = among_things(
        bundle(
            kind,
            entry("GET", "Thing/g"),
            entry("PUT", "Thing/u", THING),
            entry("PATCH", "Thing/p", THING),
            entry("POST", "Thing", THING),
            entry("DELETE", "Thing/d"),
            entry("HEAD", "Thing/h"),
        )
        if kind == "batch"
        else bundle(kind, entry("GET", "Thing/g"), entry("POST", "Thing", THING), entry("DELETE", "Thing/d"))
    )
    assert set(statuses(answer)) == {200}
    methods = [method for method, _ in things.asked]
    assert methods == sorted(methods, key=["DELETE", "POST", "PATCH", "PUT", "GET", "HEAD"].index)


def test_a_failure_of_the_program_is_the_answer_to_its_entry_alone(among_things, caplog):
    with caplog.at_level(logging.INFO):
        answer = among_things(bundle("batch", entry("GET", "Thing/broken"), entry("GET", "Thing/whole")))
    assert statuses(answer) == [500, 200]
    (issue,) = answer.json["entry"][0]["response"]["outcome"]["issue"]
    (failure,) = [each.msg for each in caplog.records if each.msg.get("event") == "failed"]
    assert failure["id"] in issue["diagnostics"]
    assert b"secret" not in answer.data


def test_a_failure_of_the_program_fails_a_transaction(among_things):
    refused(among_things(bundle("transaction", entry("GET", "Thing/broken"))), 500, "internal")


def test_bu08_entries_are_refused_once_the_answers_are_too_long(among_things):
    big = [entry("GET", "Big")] * 4
    assert statuses(among_things(bundle("batch", *big))) == [200, 200, 413, 413]
    outcome = refused(among_things(bundle("transaction", *big)), 413, "bundle-size")
    assert places(outcome) == ["Bundle.entry[2]"]


def test_entries_are_unavailable_once_those_before_took_all_the_time(among_things, monkeypatch):
    reads = [entry("GET", "Thing/0")] * 4
    clock = iter([0.0, 1.0, DEPLOYMENT.bundle_s - 1, DEPLOYMENT.bundle_s, DEPLOYMENT.bundle_s + 1])
    monkeypatch.setattr(bundles, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=time.sleep))
    answer = among_things(bundle("batch", *reads))
    assert statuses(answer)[:2] == [200, 200]
    left = [one["response"] for one in answer.json["entry"][2:]]
    assert [one["status"] for one in left] == ["503 Service Unavailable"] * 2
    assert {kind for one in left for kind in kinds(one["outcome"])} == {"too-costly"}
    monkeypatch.undo()
    assert statuses(among_things(bundle("batch", *reads))) == [200] * 4


def test_a_transaction_that_takes_too_long_stores_nothing(things, among_things, monkeypatch):
    clock = iter([0.0, 1.0, DEPLOYMENT.bundle_s])
    monkeypatch.setattr(bundles, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=time.sleep))
    twice = bundle("transaction", *[entry("GET", "Big")] * 2)
    refused(among_things(twice), 503, "too-costly")


def test_an_entry_that_is_answered_about_another_resource_fails_the_transaction(among_things, things):
    outcome = refused(
        among_things(bundle("transaction", entry("PUT", "Thing/u", THING))), 400, "bundle-duplicate"
    )
    assert places(outcome) == ["Bundle.entry[0]"]


def test_bu05_a_full_url_of_another_type_is_refused(send):
    answer = send(bundle("transaction", create() | {"fullUrl": "https://ehr.example.org/Patient/1"}))
    assert answer.status == 400
    assert answer.json["issue"][0]["expression"] == ["Bundle.entry[0].fullUrl"]


# what is large is read in a child


def large(kind):
    many = [{"linkId": "x", "answer": [{"valueString": "y"}]}] * 2000
    return orjson.dumps(bundle(kind, entry("POST", TYPE, small(item=many, status="gone"))))


def apart(**limits):
    return replace(DEPLOYMENT, sandbox=Sandbox(SandboxLimits(**limits)))


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_large_bundle_is_read_as_a_small_one_is(kind):
    body = large(kind)
    assert bundle_from(body, apart()) == bundle_from(body, DEPLOYMENT)


def test_a_large_bundle_is_refused_as_a_small_one_is():
    for deployment in (apart(), DEPLOYMENT):
        with pytest.raises(Malformed) as refused:
            bundle_from(large("history"), deployment)
        assert [problem.kind for problem in refused.value.problems] == ["bundle-type"]


def test_a_bundle_that_takes_too_much_to_read_is_too_large():
    with pytest.raises(TooLarge) as refused:
        bundle_from(large("batch"), apart(result_bytes=0))
    assert [problem.kind for problem in refused.value.problems] == ["too-costly"]


def test_the_structure_of_large_entries_is_checked_as_far_as_that_does_not_take_too_much():
    (entry,) = bundle_from(large("transaction"), DEPLOYMENT).entries
    found = bundles._structure_of([entry], None)
    assert "code" in {problem.kind for problem in found}
    assert bundles._structure_of([entry], apart().sandbox) == found
    assert bundles._structure_of([entry], apart(result_bytes=10).sandbox) == ()
