"""What comes along with matches: `_include` and `_revinclude`."""

import orjson
import pytest

from service.search import bundle, entries_of, query_from, searchset
from service.storage.model import Draft

BASE = "https://fhir.example.org/r4"
QR = "QuestionnaireResponse"


def to(*texts):
    return [{"reference": text} for text in texts]


def drafted(resource):
    entries = entries_of(resource, BASE)
    return Draft(resource["resourceType"], resource["id"], 0, orjson.dumps(resource), entries)


@pytest.fixture
def made(response, risk):
    audit = {"resourceType": "AuditEvent", "entity": [{"what": each} for each in to(f"{QR}/a", f"{QR}/b")]}
    return [
        response("a"),
        response("b"),
        risk("ra", basis=to(f"{QR}/a", "Observation/1", f"{BASE}/{QR}/none")),
        risk("rb", basis=[*to(f"{BASE}/{QR}/b/_history/1"), {"display": "x"}]),
        {"resourceType": "Provenance", "id": "pa", "target": to(f"{QR}/a/_history/1", "RiskAssessment/ra")},
        {**audit, "id": "ea"},
    ]


@pytest.mark.parametrize(
    ("query", "matches", "beside"),
    [
        (f"{QR}?_revinclude=RiskAssessment:basis", "a b", "ra rb"),
        (f"{QR}?_id=a&_revinclude=RiskAssessment:basis", "a", "ra"),
        (f"{QR}?_id=a&_revinclude=RiskAssessment:basis:{QR}", "a", "ra"),
        (f"{QR}?_id=a&_revinclude=RiskAssessment:basis:Observation", "a", ""),
        (f"{QR}?_id=a&_revinclude=Provenance:target&_revinclude=AuditEvent:entity", "a", "pa ea"),
        (f"{QR}?_revinclude=AuditEvent:entity", "a b", "ea"),
        (f"{QR}?_id=none&_revinclude=AuditEvent:entity", "", ""),
        (f"{QR}?_count=0&_revinclude=AuditEvent:entity", "", ""),
        (f"{QR}?_include=RiskAssessment:basis", "a b", ""),
        ("RiskAssessment?_include=RiskAssessment:basis", "ra rb", "a b"),
        (f"RiskAssessment?_include=RiskAssessment:basis:{QR}", "ra rb", "a b"),
        ("RiskAssessment?_include=RiskAssessment:basis:Observation", "ra rb", ""),
        ("RiskAssessment?_include=RiskAssessment:patient", "ra rb", ""),
        ("RiskAssessment?_revinclude=Provenance:target", "ra rb", "pa"),
        ("Provenance?_include=Provenance:target", "pa", "a ra"),
        ("AuditEvent?_include=AuditEvent:entity&_include=AuditEvent:entity", "ea", "a b"),
    ],
)
def test_what_refers_to_matches_and_what_they_refer_to_comes_along_once(
    looking, made, query, matches, beside
):
    kept = looking(*made)
    page = kept.bundle(query)
    assert kept.entries(page) == matches.split()
    assert kept.entries(page, "include") == beside.split()
    for entry in page.get("entry", ()):
        assert entry["fullUrl"] == f"{BASE}/{entry['resource']['resourceType']}/{entry['resource']['id']}"


def test_a_match_does_not_come_along_too(looking):
    first = {"resourceType": "Provenance", "id": "a", "target": to(f"{QR}/a")}
    second = {**first, "id": "b", "entity": [{"what": each} for each in to("Provenance/a")]}
    kept = looking(first, second)
    page = kept.bundle("Provenance?_include=Provenance:entity")
    assert (kept.entries(page), kept.entries(page, "include")) == (["a", "b"], [])
    page = kept.bundle("Provenance?_id=b&_include=Provenance:entity")
    assert (kept.entries(page), kept.entries(page, "include")) == (["b"], ["a"])


def test_what_comes_along_counts_neither_in_the_total_nor_on_the_page(looking, made):
    kept = looking(*made)
    page = kept.bundle(f"{QR}?_count=1&_revinclude=RiskAssessment:basis")
    assert (page["total"], kept.entries(page), kept.entries(page, "include")) == (2, ["a"], ["ra"])
    following = kept.bundle(kept.link(page, "next"))
    assert (kept.entries(following), kept.entries(following, "include")) == (["b"], ["rb"])


def test_rd22_a_summary_is_of_everything_and_elements_are_of_the_matches(looking, made):
    kept = looking(*made)
    first, *_, last = kept.bundle(f"{QR}?_summary=true&_revinclude=RiskAssessment:basis")["entry"]
    assert "meta" in first["resource"]
    assert "basis" not in last["resource"]
    first, *_, last = kept.bundle(f"{QR}?_elements=status&_revinclude=RiskAssessment:basis")["entry"]
    assert "meta" in first["resource"]
    assert "basis" in last["resource"]


def test_more_than_may_come_along_is_cut_and_said(looking, made, monkeypatch):
    monkeypatch.setattr(bundle, "MOST_INCLUDED", 1)
    kept = looking(*made)
    for query in (f"{QR}?_revinclude=RiskAssessment:basis", "RiskAssessment?_include=RiskAssessment:basis"):
        *_, beside, last = kept.bundle(query)["entry"]
        assert beside["search"] == {"mode": "include"}
        assert last["search"] == {"mode": "outcome"}
        assert last["resource"]["issue"][0]["severity"] == "warning"
        assert "fullUrl" not in last
    assert kept.entries(kept.bundle("Provenance?_include=Provenance:target"), "include") == ["a"]


def test_the_outcome_that_something_was_cut_is_valid(union):
    assert union([bundle._CUT["resource"]]) == [[]]


def test_a_reference_to_a_version_brings_the_version_that_stands(open_one, sqlite_url, response):
    store = open_one(sqlite_url)
    versions = [response("a", status=status) for status in ("in-progress", "completed", "amended")]
    provenance = [
        {"resourceType": "Provenance", "id": f"p{number}", "target": to(f"{QR}/a/_history/{number}")}
        for number in (1, 2, 3, 4)
    ]
    unversioned = {"resourceType": "Provenance", "id": "p5", "target": to(f"{QR}/a", f"{QR}/a/_history/x")}
    with store.writing() as transaction:
        transaction.create(drafted(versions[0]))
        for each in versions[1:]:
            transaction.update(drafted(each))
        for each in (*provenance, unversioned):
            transaction.create(drafted(each))
    with store.reading() as view:
        for of_id in ("p1", "p2", "p3", "p4", "p5"):
            pairs = [("_id", of_id), ("_include", "Provenance:target")]
            query = query_from("Provenance", pairs, strict=True, base=BASE)
            _, *beside = orjson.loads(searchset(query, view))["entry"]
            assert [each["resource"] for each in beside] == [versions[2]]


def test_nothing_of_what_is_deleted_comes_along(open_one, sqlite_url, response):
    store = open_one(sqlite_url)
    provenance = {"resourceType": "Provenance", "id": "p", "target": to(f"{QR}/a/_history/1")}
    with store.writing() as transaction:
        transaction.create(drafted(response("a")))
        transaction.update(Draft(QR, "a", 1, b"{}", deleted=True))
        transaction.create(drafted(provenance))
    query = query_from("Provenance", [("_include", "Provenance:target")], strict=True, base=BASE)
    with store.reading() as view:
        assert len(orjson.loads(searchset(query, view))["entry"]) == 1
