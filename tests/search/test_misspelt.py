"""What was meant to narrow a search to a person is never left out of it (RD16)."""

import pytest

from service.errors import Malformed
from service.search import query_from
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
    "name", ["foo", "object", "project", "_security", "part", "", ".", "author.name", "x" * 200]
)
def test_rd15_anything_else_that_is_not_known_is_left_out(name):
    assert not means_a_person(name)
    assert query_from("QuestionnaireResponse", [(name, "1")], strict=False, base=BASE).used == ()


def test_published_resources_are_about_nobody():
    assert query_from("Questionnaire", [("patient", "1")], strict=False, base=BASE).used == ()


@pytest.mark.parametrize("name", ["patient", "subject", "subject:identifier", "patient:missing"])
@pytest.mark.parametrize("value", ["", ",", " ,"])
def test_a_parameter_that_names_a_person_never_comes_without_a_name(name, value):
    with pytest.raises(Malformed) as refused:
        query_from("RiskAssessment", [(name, value)], strict=False, base=BASE)
    assert "search-value" in {each.kind for each in refused.value.problems}
