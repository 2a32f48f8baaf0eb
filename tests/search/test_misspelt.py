"""What was meant to narrow a search never leaves it as wide as if nothing had been said (RD15 to RD17)."""

import pytest

from service.errors import Malformed
from service.search import query_from, shape_from
from service.search.query import means_a_person

BASE = "https://fhir.example.org/r4"


@pytest.mark.parametrize(
    "name",
    [
        "patinet",
        "patients",
        "Patient",
        "patient-id",
        "subjct",
        "subject.identifier",
        "patient.name",
        "_has:X:patient:y",
        "basis.patient",
        "_filter",
        "_list",
    ],
)
def test_rd16_what_was_meant_to_name_a_person_is_refused_though_handling_is_lenient(name):
    for kind in ("QuestionnaireResponse", "RiskAssessment", "AuditEvent"):
        with pytest.raises(Malformed) as refused:
            query_from(kind, [(name, "1")], strict=False, base=BASE)
        assert [each.kind for each in refused.value.problems] == ["search-parameter"]


@pytest.mark.parametrize(
    "name", ["foo", "object", "project", "_source", "part", "", ".", "author.name", "x" * 200]
)
def test_rd15_anything_else_that_is_not_known_is_left_out_where_another_criterion_took_effect(name):
    assert not means_a_person(name)
    pairs = [(name, "1"), ("status", "completed")]
    used = query_from("QuestionnaireResponse", pairs, strict=False, base=BASE).used
    assert used == (("status", "completed"),)


STORED = {"QuestionnaireResponse": "identifier", "RiskAssessment": "method"}
STORED |= {"Provenance": "agent", "AuditEvent": "type"}


@pytest.mark.parametrize("kind", STORED)
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("KNOWN", "", "expected a value"),
        ("KNOWN", ",", "expected a value"),
        ("KNOWN", " ", "expected a value"),
        ("KNOWN", " , ,", "expected a value"),
        ("KNOWN", "\t", "expected a value"),
        ("KNOWN:missing", "", "expected a value"),
        ("KNOWN:missing", " ", "expected a value"),
        ("KNOWN:not", "", "expected a value"),
        ("KNOWN:identifier", "", "expected a value"),
        ("_id", "", "expected a value"),
        ("_id", ",,", "expected a value"),
        ("_id", "\N{NO-BREAK SPACE}", "expected a value"),
        ("_lastUpdated", "", "expected a value"),
        ("identifer", "x", "not known here"),
        ("mrn", "1", "not known here"),
        ("mrn", "", "not known here"),
        ("mrn:exact", "1", "not known here"),
        ("foo.bar", "1", "not known here"),
        ("_at", "2026", "not known here"),
        ("_text", "x", "not known here"),
        ("_content", "x", "not known here"),
        ("_source", "x", "not known here"),
        ("_", "1700000000", "not known here"),
        ("", "1", "not known here"),
        ("ID", "1", "not known here"),
        ("_ID", "1", "not known here"),
        ("id", "1", "not known here"),
    ],
)
def test_rd15_a_search_of_which_no_criterion_takes_effect_is_refused_on_what_is_stored(
    kind, name, value, expected
):
    """RD17: a value that is empty counts as none."""
    name = name.replace("KNOWN", STORED[kind])
    for beside in ([], [("_count", "5"), ("_format", "json"), ("_sort", "_id"), ("_summary", "count")]):
        with pytest.raises(Malformed) as refused:
            query_from(kind, [(name, value), *beside], strict=False, base=BASE)
        (problem,) = refused.value.problems
        assert expected in problem.text
        assert name.partition(":")[0] in problem.text


def test_rd15_each_criterion_that_takes_no_effect_is_named():
    pairs = [("identifier", ""), ("mrn", "1"), ("_count", "2"), ("x" * 60, "1"), ("mrn", "2")]
    with pytest.raises(Malformed) as refused:
        query_from("QuestionnaireResponse", pairs, strict=False, base=BASE)
    first, second, third = (problem.text for problem in refused.value.problems)
    assert first.startswith("Parameter identifier: expected a value: nothing else narrows")
    assert second.startswith("Parameter mrn is not known here, and nothing else narrows")
    assert third.startswith("A parameter is not known here")


@pytest.mark.parametrize("kind", STORED)
@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("_count", "1")],
        [("_count", "")],
        [("_sort", "-_lastUpdated")],
        [("_sort", "nonsense")],
        [("_summary", "true")],
        [("_total", "none"), ("_elements", "status")],
        [("_format", "json"), ("_pretty", "true")],
        [("_include", "nonsense")],
        [("_contained", "false"), ("_containedType", "container")],
    ],
)
def test_rd15_a_search_without_a_criterion_lists_the_type(kind, pairs):
    assert query_from(kind, pairs, strict=False, base=BASE).search.criteria == ()


@pytest.mark.parametrize("value", ["true", "false"])
def test_rd15_asking_for_what_is_missing_is_a_criterion(value):
    pairs = [("identifier:missing", value), ("foo", "1")]
    assert len(query_from("QuestionnaireResponse", pairs, strict=False, base=BASE).search.criteria) == 1


def test_rd15_what_is_left_out_of_a_read_makes_it_no_wider():
    pairs = [("foo", "1"), ("identifier", ""), ("_summary", "text")]
    assert shape_from("QuestionnaireResponse", pairs, strict=False, base=BASE).summary == "text"


def test_published_resources_are_about_nobody():
    assert query_from("Questionnaire", [("patient", "1")], strict=False, base=BASE).used == ()


@pytest.mark.parametrize("name", ["patient", "subject", "subject:identifier", "patient:missing"])
@pytest.mark.parametrize("value", ["", ",", " ,"])
def test_a_parameter_that_names_a_person_never_comes_without_a_name(name, value):
    with pytest.raises(Malformed) as refused:
        query_from("RiskAssessment", [(name, value)], strict=False, base=BASE)
    assert "search-value" in {each.kind for each in refused.value.problems}
