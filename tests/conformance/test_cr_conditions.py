"""Conditional creates, checks CR07 to CR11."""

import pytest
from fhir_client import BASE, codes_of, issues_of, path_of
from sample_responses import SYSTEM, identified, new_value, small

TYPE = "QuestionnaireResponse"


@pytest.fixture
def twin():
    """A response and the condition that finds it."""
    value = new_value()
    return small(identifier=identified(value)), f"identifier={SYSTEM}|{value}"


def test_cr07_a_condition_that_finds_nothing_lets_the_create_through(ehr, twin):
    document, condition = twin
    answer = ehr.post(TYPE, document, if_none_exist=condition)
    assert answer.status == 201
    assert answer.headers["Location"].endswith("/_history/1")


@pytest.mark.parametrize("prefer", ["return=representation", "return=minimal", "return=OperationOutcome"])
def test_cr08_a_condition_that_finds_one_creates_nothing_and_names_it(ehr, twin, prefer):
    document, condition = twin
    first = ehr.post(TYPE, document, if_none_exist=condition)
    before = ehr.totals()
    again = ehr.post(TYPE, document, if_none_exist=condition, prefer=prefer)
    assert again.status == 200
    assert ehr.totals() == before
    assert path_of(again.headers["Location"]) == path_of(first.headers["Location"])
    assert again.headers["ETag"] == first.headers["ETag"]
    if prefer == "return=representation":
        assert again.json == first.json
    elif prefer == "return=minimal":
        assert again.data == b""
    else:
        assert again.json["resourceType"] == "OperationOutcome"


def test_cr08_the_condition_decides_and_not_the_body(ehr, twin):
    document, condition = twin
    ehr.create(document)
    assert ehr.post(TYPE, small(), if_none_exist=condition).status == 200


def test_cr09_a_condition_that_finds_two_is_refused(ehr, twin):
    document, condition = twin
    ehr.create(document)
    ehr.create(document)
    before = ehr.totals()
    assert codes_of(ehr.post(TYPE, document, if_none_exist=condition), 412) == {"multiple-matches"}
    assert ehr.totals() == before


@pytest.mark.parametrize(
    "condition",
    [
        "foo=bar",
        "identifier=a|b&foo=bar",
        "identifier=",
        "identifier",
        "identifier=a|b&status=",
        "identifier:nonsense=a",
        "authored=yesterday",
        "_count=1",
        "_sort=authored",
        "_summary=count",
        "_include=QuestionnaireResponse:subject",
        "?",
        "&",
        "|",
        f"{BASE}/{TYPE}?identifier=a|b",
        f"{TYPE}?identifier=a|b",
        "https://other.example.org/x?identifier=a|b",
        "identifier=%ff",
    ],
)
def test_cr10_a_condition_that_is_not_understood_is_refused(ehr, condition):
    before = ehr.totals()
    issues_of(ehr.post(TYPE, small(), if_none_exist=condition), 400, 412)
    assert ehr.totals() == before


def test_cr10_an_empty_condition_is_not_met_by_everything(ehr):
    before = ehr.totals()
    issues_of(ehr.post(TYPE, small(), if_none_exist=""), 400, 412)
    assert ehr.totals() == before


def test_cr10_a_question_mark_before_the_condition_is_tolerated(ehr, twin):
    document, condition = twin
    statuses = [ehr.post(TYPE, document, if_none_exist=f"?{condition}").status for _ in range(2)]
    assert statuses == [201, 200]


def test_cr10_a_condition_may_be_encoded(ehr, twin):
    document, condition = twin
    encoded = condition.replace("|", "%7C").replace("://", "%3A%2F%2F")
    statuses = [ehr.post(TYPE, document, if_none_exist=text).status for text in (condition, encoded)]
    assert statuses == [201, 200]


def test_cr11_a_query_on_a_create_is_a_condition_or_refused(ehr, twin):
    document, condition = twin
    statuses = [ehr.post(f"{TYPE}?{condition}", document).status for _ in range(2)]
    assert statuses in ([201, 200], [400, 400])
    assert ehr.total(f"{TYPE}?{condition}") == (1 if statuses[0] == 201 else 0)


@pytest.mark.parametrize("query", ["foo=bar", "identifier=", "identifier:nonsense=a", "_count=1"])
def test_cr11_a_query_that_is_not_understood_never_creates(ehr, query):
    before = ehr.totals()
    issues_of(ehr.post(f"{TYPE}?{query}", small()), 400, 412)
    assert ehr.totals() == before


def test_cr11_the_format_of_the_answer_is_no_condition(ehr):
    assert ehr.post(f"{TYPE}?_format=json&_pretty=true", small()).status == 201


def test_cr11_two_conditions_are_refused_or_both_must_hold(ehr, twin):
    document, condition = twin
    ehr.create(document)
    before = ehr.total(TYPE)
    answer = ehr.post(f"{TYPE}?{condition}", document, if_none_exist=f"identifier={SYSTEM}|{new_value()}")
    assert answer.status in (200, 201, 400, 412)
    assert ehr.total(TYPE) == before + (answer.status == 201)
