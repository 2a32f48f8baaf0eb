"""The questionnaire is a sound FHIR R4 resource, asks in the right order and skips what does not matter."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fhir.resources.R4B.codesystem import CodeSystem
from fhir.resources.R4B.questionnaire import Questionnaire
from fhir.resources.R4B.valueset import ValueSet

from service.fhir.resource_models import readable

Json = dict[str, Any]

BASE = "https://guidance.example.org/fhir"
CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
TIME = {"d", "wk", "mo"}
TYPES = {"group", "display", "choice", "integer", "decimal", "quantity", "date", "text"}
PROFESSIONAL = ("examination", "tests", "chart")
MOST_PAGES = 14
MAX_LENGTH_TYPES = {"boolean", "decimal", "integer", "string", "text", "url", "open-choice"}


def values(element: Json, url: str) -> list[Any]:
    """The values of the extensions of `element` with this url."""
    return [
        next(value for key, value in extension.items() if key.startswith("value"))
        for extension in element.get("extension", [])
        if extension["url"] == url
    ]


def control(item: Json) -> str:
    """The code of the item's control, or empty."""
    return next((each["coding"][0]["code"] for each in values(item, CORE + "questionnaire-itemControl")), "")


def codes(item: Json) -> list[str]:
    """The codes of the item's options, in order."""
    return [option["valueCoding"]["code"] for option in item.get("answerOption", [])]


def test_the_resource_library_reads_the_questionnaire(questionnaire: Json) -> None:
    assert Questionnaire.model_validate(readable(questionnaire)).name == "MuscleTwitching"


def test_the_resource_library_reads_the_terminology(terminology: dict[str, Json]) -> None:
    models = {"CodeSystem": CodeSystem, "ValueSet": ValueSet}
    for document in terminology.values():
        assert models[document["resourceType"]].model_validate(document).url == document["url"]


def test_url_version_and_profile_identify_the_questionnaire(questionnaire: Json) -> None:
    assert questionnaire["url"] == f"{BASE}/Questionnaire/muscle-twitching"
    assert re.fullmatch(r"\d+\.\d+\.\d+", questionnaire["version"])
    assert re.fullmatch(r"[A-Z][A-Za-z0-9_]{1,254}", questionnaire["name"])
    assert questionnaire["status"] == "active"
    assert questionnaire["meta"]["profile"] == [SDC + "sdc-questionnaire"]


def test_the_profile_wants_the_version_algorithm_named_where_there_is_a_version(questionnaire: Json) -> None:
    assert [each["code"] for each in values(questionnaire, CORE + "artifact-versionAlgorithm")] == ["semver"]


def test_link_ids_are_unique_short_and_plain(questionnaire: Json) -> None:
    def links(items: list[Json]) -> list[str]:
        return [link for item in items for link in (item["linkId"], *links(item.get("item", [])))]

    found = links(questionnaire["item"])
    assert len(found) == len(set(found))
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", link) and len(link) <= 60 for link in found)


def test_groups_have_items_and_display_items_have_none_of_what_they_may_not_have(
    items: dict[str, Json],
) -> None:
    for item in items.values():
        if item["type"] == "group":
            assert item["item"]
        if item["type"] == "display":
            assert not {"item", "code", "required", "repeats", "readOnly", "initial"} & set(item)


def test_every_item_has_text_and_a_type_and_questions_hold_only_display_items(items: dict[str, Json]) -> None:
    for item in items.values():
        assert item["type"] in TYPES
        assert item["text"].strip() == item["text"] != ""
        if item["type"] != "group":
            assert {child["type"] for child in item.get("item", [])} <= {"display"}


def test_options_lengths_and_initials_stand_only_where_the_standard_allows_them(
    items: dict[str, Json],
) -> None:
    for item in items.values():
        assert ("answerOption" in item) == (item["type"] == "choice"), item["linkId"]
        assert not {"answerValueSet", "initial", "readOnly"} & set(item), item["linkId"]
        assert "maxLength" not in item or item["type"] in MAX_LENGTH_TYPES
        assert (item["type"] == "text") == ("maxLength" in item), item["linkId"]


def test_enable_when_names_an_earlier_question_and_a_value_that_it_can_have(
    items: dict[str, Json], questions: dict[str, Json]
) -> None:
    order = list(items)
    for item in items.values():
        for condition in item.get("enableWhen", []):
            asked = questions[condition["question"]]
            assert order.index(asked["linkId"]) < order.index(item["linkId"])
            if condition["operator"] == "exists":
                assert condition["answerBoolean"] is True
            elif asked["type"] == "choice":
                options = [option["valueCoding"] for option in asked["answerOption"]]
                wanted = condition["answerCoding"]
                assert [wanted["system"], wanted["code"]] in [
                    [each["system"], each["code"]] for each in options
                ]
            else:
                assert asked["type"] == "integer"
                assert condition["operator"] == ">="
                assert 0 < condition["answerInteger"] <= values(asked, CORE + "maxValue")[0]


def test_enable_behavior_is_said_where_there_are_two_or_more_conditions(items: dict[str, Json]) -> None:
    for item in items.values():
        assert (len(item.get("enableWhen", [])) > 1) == ("enableBehavior" in item), item["linkId"]


def test_none_and_do_not_know_exclude_every_other_answer_of_a_question_with_several(
    questions: dict[str, Json],
) -> None:
    for item in questions.values():
        for option in item.get("answerOption", []):
            exclusive = values(option, CORE + "questionnaire-optionExclusive") == [True]
            alone = option["valueCoding"]["code"] in ("none", "LA12688-0") and item.get("repeats", False)
            assert exclusive == alone, (item["linkId"], option["valueCoding"]["code"])


def test_no_question_offers_an_option_twice_and_none_and_do_not_know_come_last(
    questions: dict[str, Json],
) -> None:
    for item in questions.values():
        offered = codes(item)
        assert len(offered) == len(set(offered))
        tail = [code for code in offered if code in ("none", "LA12688-0")]
        assert offered[len(offered) - len(tail) :] == tail, item["linkId"]


def test_only_choices_take_several_answers_and_they_are_drawn_as_boxes(questions: dict[str, Json]) -> None:
    for item in questions.values():
        if item["type"] == "choice":
            assert control(item) == ("check-box" if item.get("repeats") else "radio-button"), item["linkId"]
        else:
            assert "repeats" not in item


def test_scales_run_from_0_to_10_in_whole_steps_and_say_what_the_ends_mean(
    questions: dict[str, Json],
) -> None:
    scales = {link: item for link, item in questions.items() if control(item) == "slider"}
    assert set(scales) == {"cramp-severity", "sleep-severity", "worry"}
    for item in scales.values():
        assert values(item, CORE + "questionnaire-sliderStepValue") == [1]
        ends = {control(child): child["text"] for child in item["item"]}
        assert ends["lower"].startswith("0: ")
        assert ends["upper"].startswith("10: ")


def test_every_number_has_both_limits(questions: dict[str, Json]) -> None:
    for item in questions.values():
        if item["type"] in ("integer", "decimal"):
            [low], [high] = values(item, CORE + "minValue"), values(item, CORE + "maxValue")
            assert 0 == low < high, item["linkId"]


def test_every_quantity_offers_units_and_has_limits_where_its_units_convert(
    questions: dict[str, Json],
) -> None:
    for item in questions.values():
        if item["type"] != "quantity":
            continue
        units = {unit["code"] for unit in values(item, CORE + "questionnaire-unitOption")}
        low = values(item, SDC + "sdc-questionnaire-minQuantity")
        high = values(item, SDC + "sdc-questionnaire-maxQuantity")
        assert units
        convertible = len(units) == 1 or units >= TIME
        assert [len(low), len(high)] == ([1, 1] if convertible else [0, 0]), item["linkId"]


def test_times_are_more_than_nothing_and_at_most_a_hundred_years(questions: dict[str, Json]) -> None:
    times = [link for link, item in questions.items() if item["type"] == "quantity" and link[:4] != "lab-"]
    assert {"duration", "weakness-since", "speech-since", "habit-trial-length"} < set(times)
    for link in times:
        [low] = values(questions[link], SDC + "sdc-questionnaire-minQuantity")
        [high] = values(questions[link], SDC + "sdc-questionnaire-maxQuantity")
        assert (low["value"], low["code"], high["value"], high["code"]) == (1, "d", 100, "a")


def test_help_stands_with_its_question_and_is_marked_for_every_renderer(items: dict[str, Json]) -> None:
    helped = [item for item in items.values() if item["linkId"].endswith("-help")]
    assert helped
    for item in helped:
        assert item in items[item["linkId"].removesuffix("-help")]["item"]
        assert control(item) == "help"
        assert values(item, CORE + "questionnaire-displayCategory")[0]["coding"][0]["code"] == "instructions"


def test_warning_signs_are_asked_before_anything_else(questionnaire: Json) -> None:
    order = [group["linkId"] for group in questionnaire["item"]]
    assert order[:6] == ["start", "urgent", "same-day", "strength", "speech-breathing", "senses"]
    assert tuple(order[-3:]) == PROFESSIONAL


def test_every_section_is_a_page_and_nobody_but_a_professional_meets_more_than_14(
    questionnaire: Json,
) -> None:
    assert {control(group) for group in questionnaire["item"]} == {"page"}
    assert len(questionnaire["item"]) - len(PROFESSIONAL) <= MOST_PAGES


def test_every_warning_question_that_opens_a_section_must_be_answered(questions: dict[str, Json]) -> None:
    first = "completed-by emergency-signs weakness wasting task-difficulty speech swallowing breathing vision"
    for link in (*first.split(), "urgent-signs", "new-medicine", "other-nerve-signs", "course"):
        assert questions[link]["required"] is True
        assert "enableWhen" not in questions[link]


def test_a_warning_question_can_be_answered_with_do_not_know(
    questions: dict[str, Json], section_of: dict[str, str]
) -> None:
    for link, item in questions.items():
        warning = ("urgent", "same-day", "strength", "speech-breathing", "senses", "pattern")
        if section_of[link] in warning and item["type"] == "choice":
            assert "LA12688-0" in codes(item), link


def test_what_to_do_is_shown_for_every_emergency_sign(items: dict[str, Json]) -> None:
    signs = {code for code in codes(items["emergency-signs"]) if code not in ("none", "LA12688-0")}
    note = items["emergency-note"]
    shown = [(condition["question"], condition["answerCoding"]["code"]) for condition in note["enableWhen"]]
    recent = ("sudden-loss-when", "last-7-days")  # what came on earlier is no emergency any more
    assert shown == [
        *(
            ("emergency-signs", sign)
            for sign in codes(items["emergency-signs"])
            if sign in signs - {"sudden-one-sided-loss"}
        ),
        recent,
    ]
    assert note["enableBehavior"] == "any"
    assert "emergency number" in note["text"]
    assert "emergency number" in items["emergency-signs-help"]["text"]


def test_no_word_at_a_sign_that_needs_help_now_invites_to_go_on(
    items: dict[str, Json], section_of: dict[str, str]
) -> None:
    for link, item in items.items():
        if section_of[link] in ("urgent", "same-day") and item["type"] == "display":
            assert not re.search(r"later|finish|form|next", item["text"]), link


def test_what_began_on_its_own_day_has_a_question_for_people_who_do_not_know(
    questions: dict[str, Json],
) -> None:
    for name in ("duration", "weakness-since", "speech-since", "swallowing-since", "medicine-change-before"):
        assert codes(questions[f"{name}-known"]) == ["LA33-6", "LA12688-0"]
        assert questions[f"{name}-known"]["required"] is questions[name]["required"] is True
        [condition] = questions[name]["enableWhen"]
        assert (condition["question"], condition["answerCoding"]["code"]) == (f"{name}-known", "LA33-6")


def test_age_is_asked_of_everybody_and_required_of_everybody_but_professionals(
    questions: dict[str, Json],
) -> None:
    by_asker = {
        condition["answerCoding"]["code"]: questions[link].get("required", False)
        for link in ("age", "patient-age")
        for condition in questions[link]["enableWhen"]
    }
    assert by_asker == {"patient": True, "helper": True, "professional": False}


def test_every_question_has_a_short_name_for_people_who_read_the_answers(questions: dict[str, Json]) -> None:
    for link, item in questions.items():
        [short] = values(item, SDC + "sdc-questionnaire-shortText")
        assert 0 < len(short) <= 40, link


def test_every_choice_says_how_its_options_stand(questions: dict[str, Json]) -> None:
    for item in questions.values():
        said = values(item, CORE + "questionnaire-choiceOrientation")
        few = codes(item) == ["LA33-6", "LA32-8", "LA12688-0"]
        assert (item["type"] == "choice") == bool(said)
        assert not few or said == ["horizontal"]


def test_every_answer_that_is_typed_as_a_number_or_a_date_has_a_format(questions: dict[str, Json]) -> None:
    for link, item in questions.items():
        typed = item["type"] in ("integer", "decimal", "date", "quantity") and control(item) != "slider"
        if typed and not (link.startswith("lab-") and item["type"] == "quantity"):
            assert len(values(item, CORE + "entryFormat")) == 1, link


def test_what_a_chart_knows_is_looked_up_there(questionnaire: Json, questions: dict[str, Json]) -> None:
    for link, item in questions.items():
        period = values(item, SDC + "sdc-questionnaire-observationLinkPeriod")
        assert bool(period) == (link.startswith("lab-") and "code" in item), link
    for link in ("age", "patient-age"):
        [expression] = values(questions[link], SDC + "sdc-questionnaire-initialExpression")
        assert "%patient.birthDate" in expression["expression"]
    contexts = [each for each in questionnaire["extension"] if each["url"].endswith("launchContext")]
    assert [context["extension"][0]["valueCoding"]["code"] for context in contexts] == ["patient", "user"]


def test_the_laboratory_values_that_a_chart_has_are_ticked(questions: dict[str, Json]) -> None:
    [ticked] = values(questions["labs-available"], SDC + "sdc-questionnaire-initialExpression")
    [filled] = values(questions["labs-available"], CORE + "variable")
    assert f"%{filled['name']}" in ticked["expression"]
    linked = {
        link
        for link, item in questions.items()
        if values(item, SDC + "sdc-questionnaire-observationLinkPeriod")
    }
    assert {link for link in questions if f"'{link}'" in filled["expression"]} == linked


def test_the_form_says_what_it_is_for_and_that_it_is_made_for_adults(questionnaire: Json) -> None:
    contexts = {each["code"]["code"]: each for each in questionnaire["useContext"]}
    assert contexts["focus"]["valueCodeableConcept"]["coding"] == questionnaire["code"]
    assert contexts["age"]["valueRange"]["low"]["value"] == 18


@pytest.mark.parametrize("link", PROFESSIONAL)
def test_sections_for_professionals_open_only_to_them(items: dict[str, Json], link: str) -> None:
    [condition] = items[link]["enableWhen"]
    assert (condition["question"], condition["answerCoding"]["code"]) == ("completed-by", "professional")


def test_jumping_and_spreading_are_two_questions_that_explain_themselves(items: dict[str, Json]) -> None:
    assert "the first place still twitches" in items["spreading"]["text"]
    assert "the old place goes quiet" in items["migrating"]["text"]


@pytest.mark.parametrize("name", ["questionnaire", "terminology"])
def test_published_resources_are_dated_active_and_described(
    name: str, request: pytest.FixtureRequest
) -> None:
    found = request.getfixturevalue(name)
    for document in [found] if name == "questionnaire" else found.values():
        assert document["status"] == "active"
        assert document["experimental"] is False
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", document["date"])
        assert all(
            document[key] for key in ("url", "version", "name", "title", "publisher", "description", "text")
        )
        assert document["url"] == f"{BASE}/{document['resourceType']}/{document['id']}"
