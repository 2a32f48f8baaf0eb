"""The answers to one question as finitely many cases."""

import headache

from service.datatypes.form import Form
from service.datatypes.values import replace
from service.guidance import Guidance, load


def words_of(guidance: Guidance, link_id: str) -> list[str]:
    return [words for words, _, _ in guidance.compiled.answers.by_link[link_id].cases()]


def test_a_choice_has_a_case_for_each_option(guidance: Guidance) -> None:
    assert words_of(guidance, "breaks") == ["never", "rarely", "often"]


def test_an_open_choice_has_a_case_for_any_other_answer(guidance: Guidance) -> None:
    assert words_of(guidance, "glasses") == ["new", "old", "any answer"]


def test_a_number_has_a_case_for_each_point_and_each_interval_between_points(guidance: Guidance) -> None:
    assert words_of(guidance, "strength") == [
        "less than 2 1",
        "2 1",
        "more than 2 and less than 7 1",
        "7 1",
        "more than 7 1",
    ]


def test_a_quantity_has_its_cases_in_every_unit_that_it_may_use(guidance: Guidance) -> None:
    words = words_of(guidance, "ferritin")
    assert words[:3] == ["less than 15 ug/L", "15 ug/L", "more than 15 ug/L"]
    assert words[-1] == "more than 0.034 nmol/L"


def test_a_quantity_in_any_unit_may_also_be_incomparable() -> None:
    form = headache.form()
    questions = {
        link_id: replace(question, units=()) if link_id == "ferritin" else question
        for link_id, question in form.questions.items()
    }
    words = words_of(load(headache.documents(), Form(form.canonical, questions)), "ferritin")
    assert words[0] == "any number in 1"
    assert "15 ug/L" in words


def test_a_text_has_one_case(guidance: Guidance) -> None:
    assert words_of(guidance, "note") == ["any answer"]
