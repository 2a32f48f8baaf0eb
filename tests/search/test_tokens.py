"""Searches by token, checks RD11, RD13 and RD17."""

import pytest

from service.errors import Malformed

QR = "QuestionnaireResponse"


@pytest.fixture
def found(looking, response):
    kept = looking(
        response("a", identifier={"system": "urn:s", "value": "1"}, status="completed"),
        response("b", identifier={"system": "urn:t", "value": "1"}, status="amended"),
        response("c", identifier={"value": "1"}, status="in-progress"),
        response("d", identifier={"system": "urn:s", "value": "x|y,z$\\"}, status="completed"),
        response("e", identifier={"system": "urn:s"}),
    )
    return lambda query: kept.ids(f"{QR}?{query}")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("identifier=1", "a b c"),
        ("identifier=urn:s|1", "a"),
        ("identifier=urn:s%7C1", "a"),
        ("identifier=|1", "c"),
        ("identifier=urn:s|", "a d"),
        ("identifier=urn:u|1", ""),
        ("identifier=2", ""),
        ("identifier=urn:s|1,urn:t|1", "a b"),
        ("identifier=1&identifier=urn:s|1", "a"),
        ("identifier=urn:s|1&identifier=urn:t|1", ""),
        ("identifier:not=urn:s|1", "b c d e"),
        ("identifier:not=urn:s|1,urn:t|1", "c d e"),
        ("identifier:missing=true", "e"),
        ("identifier:missing=false", "a b c d"),
        ("identifier=x%5C%7Cy%5C,z%5C$%5C%5C", "d"),
        ("identifier=urn:s|x\\|y\\,z\\$\\\\", "d"),
        ("identifier=urn:s|x|y\\,z\\$\\\\", "d"),
        ("identifier=x|y\\,z\\$\\\\", ""),
        ("identifier=urn:s|1,", "a"),
        ("identifier=urn:s|1, ", "a"),
        ("identifier= &status=amended", "b"),
        ("identifier=&status=amended", "b"),
    ],
)
def test_rd13_a_token_is_found_by_code_by_system_and_by_both(found, query, expected):
    assert found(query) == expected


META = {
    "a": {"tag": [{"system": "urn:t", "code": "x"}, {"code": "y"}]},
    "b": {"tag": [{"system": "urn:u", "code": "x"}], "security": [{"system": "urn:s", "code": "R"}]},
    "c": {"profile": ["https://example.org/p|1.0", "https://example.org/q/r"]},
    "d": {"profile": ["https://example.org/p"], "versionId": "3"},
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_tag=x", "a b"),
        ("_tag=urn:t|x", "a"),
        ("_tag=|y", "a"),
        ("_tag=urn:u|", "b"),
        ("_tag=x,y&_tag=urn:t|x", "a"),
        ("_tag:not=x", "c d e"),
        ("_tag:missing=true", "c d e"),
        ("_tag=none", ""),
        ("_security=R", "b"),
        ("_security=urn:s|R", "b"),
        ("_security=urn:t|R", ""),
        ("_security:missing=false", "b"),
        ("_profile=https://example.org/p", "c d"),
        ("_profile=https://example.org/p|1.0", "c"),
        ("_profile=https://example.org/q", ""),
        ("_profile:below=https://example.org/q", "c"),
        ("_profile:missing=true", "a b e"),
    ],
)
@pytest.mark.parametrize("kind", ["QuestionnaireResponse", "Provenance", "CodeSystem"])
def test_every_type_is_found_by_its_tags_labels_and_profiles(looking, kind, query, expected):
    kept = looking(
        *(
            {"resourceType": kind, "id": name, "meta": META.get(name, {})}
            for name in ("a", "b", "c", "d", "e")
        )
    )
    assert kept.ids(f"{kind}?{query}") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=completed", "a d e"),
        ("status=completed,amended", "a b d e"),
        ("status=|completed", "a d e"),
        ("status=http://hl7.org/fhir/questionnaire-answers-status|completed", "a d e"),
        ("status=http://hl7.org/fhir/questionnaire-answers-status|", "a b c d e"),
        ("status=http://other.example|completed", ""),
        ("status:not=completed", "b c"),
        ("status=COMPLETED", ""),
    ],
)
def test_rd13_the_system_of_a_code_may_be_said_or_left_out(found, query, expected):
    assert found(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [("_id=a", "a"), ("_id=a,c,no", "a c"), ("_id=a&_id=c", ""), ("_id=no", ""), ("_id=%00", "")],
)
def test_rd11_the_id_finds_exactly_the_resources_that_have_it(found, query, expected):
    assert found(query) == expected


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("status:text=x", "search-modifier"),
        ("status:in=x", "search-modifier"),
        ("_id:not=x", "search-modifier"),
        ("_lastUpdated:missing=true", "search-modifier"),
        ("identifier=|", "search-value"),
        ("identifier=a,|", "search-value"),
        ("identifier:missing=yes", "search-value"),
        ("identifier:missing=true,false", "search-value"),
    ],
)
def test_rd17_a_modifier_or_value_that_cannot_be_read_is_refused(found, query, kind):
    with pytest.raises(Malformed) as refused:
        found(query)
    (problem,) = refused.value.problems
    assert problem.kind == kind
    assert problem.text.startswith(f"Parameter {query.partition('=')[0].partition(':')[0]}")
    assert "|" not in problem.text.replace("system|code", "")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("method=m1", "a"),
        ("method=urn:s|m2", "a"),
        ("risk=high", "b"),
        ("risk=low", "b"),
        ("risk:missing=true", "a"),
        ("identifier=n", "b"),
    ],
)
def test_a_concept_is_found_by_each_of_its_codes(looking, risk, query, expected):
    low, high = ({"qualitativeRisk": {"coding": [{"code": code}]}} for code in ("low", "high"))
    method = {"coding": [{"code": "m1"}, {"system": "urn:s", "code": "m2"}, {"display": "x"}], "text": "m3"}
    kept = looking(
        risk("a", method=method, prediction=[{"rationale": "none"}]),
        risk("b", identifier=[{"value": "o"}, {"value": "n"}], prediction=[low, high]),
    )
    assert kept.ids(f"RiskAssessment?{query}") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("type=rest", "a"),
        ("type=http://terminology.hl7.org/CodeSystem/audit-event-type|rest", "a"),
        ("action=C", "a"),
        ("outcome=0", "a"),
        ("outcome=8", ""),
    ],
)
def test_a_coding_and_a_code_of_an_audit_event_are_found(looking, query, expected):
    coding = {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"}
    kept = looking({"resourceType": "AuditEvent", "id": "a", "type": coding, "action": "C", "outcome": "0"})
    assert kept.ids(f"AuditEvent?{query}") == expected
