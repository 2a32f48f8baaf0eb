"""The searches that a form asks for: SDC launchContext, x-fhir-query variables, observationLinkPeriod."""

from typing import Any

from populate_requests import NOW, initially, launching, linked, variable
from small_forms import SYSTEM, compiled, form

from service.fhir.extensions import LAUNCH_CONTEXT
from service.questionnaire.chart_answers import ChartQuery, chart_queries, launch_contexts

Json = dict[str, Any]


def queries(*items: Json, extension: list[Json] | None = None, authored: str = NOW) -> list[ChartQuery]:
    return list(chart_queries(compiled(form(*items, extension=extension or [])), authored))


def item(link: str, code: str, days: int = 90, **more: Any) -> Json:
    return {"id": link, "type": "quantity", "raw": linked(code, days, **more)}


def test_a_form_that_asks_for_nothing_needs_no_search() -> None:
    code_alone = {"id": "a", "type": "quantity", "raw": {"code": linked()["code"]}}
    assert queries(code_alone, {"id": "b", "raw": {"extension": [initially("1")]}}) == []


def test_a_period_below_zero_is_none() -> None:
    assert queries(item("a", "1", -90)) == []
    assert len(queries(item("a", "1", 0))) == 1


def test_each_launch_context_is_read_the_user_by_its_reference() -> None:
    contexts = launching(("patient", "Patient"), ("encounter", "Encounter"), ("user", "Practitioner"))
    assert queries(extension=contexts) == [
        ChartQuery("patient", "Patient/{{%patient.id}}"),
        ChartQuery("encounter", "Encounter/{{%encounter.id}}"),
        ChartQuery("user", "{{%user}}"),
    ]


def test_a_context_may_be_named_by_an_id_and_one_without_a_name_is_none() -> None:
    """The name was an id before SDC 3.0."""
    older = {"url": "name", "valueId": "patient"}, {"url": "type", "valueCode": "Patient"}
    form_of = {"extension": [{"url": LAUNCH_CONTEXT, "extension": list(older)}, {"url": LAUNCH_CONTEXT}]}
    assert launch_contexts(form_of) == {"patient": frozenset({"Patient"})}


def test_a_variable_that_is_a_search_is_one_unless_an_app_could_not_fill_it_in() -> None:
    """A page has no FHIRPath: only ids of launch contexts can stand in the braces."""
    plain = variable("conditions", "Condition?patient={{%patient.id}}&_count=50")
    computed = variable("recent", "Condition?recorded-date=ge{{today() - 1 year}}")
    assert queries(extension=[plain, computed]) == [
        ChartQuery("conditions", "Condition?patient={{%patient.id}}&_count=50")
    ]


def test_questions_of_one_period_share_a_search_and_each_period_has_its_own() -> None:
    found = queries(item("a", "1"), item("b", "2"), item("c", "3", 7), item("d", "1"))
    assert [query for _, query in found] == [
        "Observation?patient={{%patient.id}}&code=http://loinc.org%7C1,http://loinc.org%7C2&date=ge2026-08-31&_sort=-date",
        "Observation?patient={{%patient.id}}&code=http://loinc.org%7C3&date=ge2026-11-22&_sort=-date",
    ]


def test_many_codes_make_several_searches() -> None:
    found = queries(*(item(f"q{number}", str(number)) for number in range(45)))
    assert [query.count("%7C") for _, query in found] == [20, 20, 5]


def test_a_period_longer_than_all_dates_has_no_first_day() -> None:
    [(_, query)] = queries(item("a", "1", 10**9))
    assert "date=" not in query
    [(_, query)] = queries(item("a", "1"), authored="")
    assert "date=" not in query.replace("_sort=-date", "")


def test_codes_are_written_so_that_they_cannot_be_taken_for_more_of_the_search() -> None:
    odd = item("a", "1") | {"raw": linked(code="1") | {"code": [{"system": SYSTEM, "code": "a,b|c&d=e"}]}}
    [(_, query)] = queries(odd)
    assert f"code={SYSTEM}%7Ca%5C%2Cb%5C%7Cc%26d%3De&date" in query
    without = item("a", "1") | {"raw": linked(code="1") | {"code": [{"code": "x"}]}}
    [(_, query)] = queries(without)
    assert "code=x&date" in query


def test_a_panel_above_a_question_is_searched_too() -> None:
    [(_, query)] = queries({"id": "g", "raw": linked("24326-1"), "items": [item("a", "1")]})
    assert "code=http://loinc.org%7C24326-1,http://loinc.org%7C1&" in query
