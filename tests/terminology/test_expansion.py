"""What `$expand` answers: which codes, how they are named and nested, and when there is no answer."""

import json
from decimal import Decimal
from typing import Any

import pytest

from service.errors import NotScorable
from service.terminology import ExpansionParameters, expand, value_sets_from
from service.terminology.expansion import MAX_CODES

Json = dict[str, Any]

DUTCH = {"language": "nl-NL", "value": "Spier Éen"}
FORMAL = {"use": {"system": "http://uses", "code": "formal"}, "value": "Musculus"}
SYSTEM: Json = {
    "resourceType": "CodeSystem",
    "url": "http://s",
    "version": "3",
    "date": "2026-02-01",
    "content": "complete",
    "concept": [
        {
            "code": "all",
            "display": "All of it",
            "property": [{"code": "notSelectable", "valueBoolean": True}],
        },
        {
            "code": "top",
            "display": "Top (upper)",
            "concept": [
                {
                    "code": "group",
                    "display": "Group",
                    "property": [{"code": "notSelectable", "valueBoolean": True}],
                    "concept": [{"code": "leaf", "display": "Muscle", "designation": [DUTCH, FORMAL]}],
                },
                {
                    "code": "old",
                    "display": "Old leaf",
                    "property": [{"code": "inactive", "valueBoolean": True}],
                },
                {"code": "gone", "property": [{"code": "status", "valueCode": "retired"}]},
            ],
        },
    ],
}
WHOLE = {"system": "http://s"}


def value_set(*includes: Json, **more: Any) -> Json:
    compose = {"include": list(includes)} | more.pop("compose", {})
    return {"resourceType": "ValueSet", "id": "vs", "url": "http://vs", "compose": compose} | more


def answer(*includes: Json, parameters: ExpansionParameters | None = None, **more: Any) -> Json:
    resource = value_set(*(includes or (WHOLE,)), **more)
    document: Json = json.loads(
        expand(
            value_sets_from([SYSTEM, resource]),
            resource,
            ExpansionParameters() if parameters is None else parameters,
        )
    )
    return document


def codes(contains: list[Json]) -> list[Any]:
    """Codes in order; a code with others below it is a pair."""
    return [
        (entry["code"], codes(entry["contains"])) if "contains" in entry else entry["code"]
        for entry in contains
    ]


def shown(parameters: ExpansionParameters, *includes: Json, **more: Any) -> list[Any]:
    return codes(answer(*includes, parameters=parameters, **more)["expansion"].get("contains", []))


FLAT = ["all", "top", "group", "leaf", "old", "gone"]


def test_codes_stand_below_each_other_as_in_their_code_system() -> None:
    assert shown(ExpansionParameters()) == ["all", ("top", [("group", ["leaf"]), "old", "gone"])]


def test_without_nesting_every_code_stands_alone_in_the_same_order() -> None:
    assert shown(ExpansionParameters(exclude_nested=True)) == FLAT


def test_a_code_whose_parent_is_left_out_stands_below_the_next_one_above() -> None:
    assert shown(ExpansionParameters(exclude_not_for_ui=True)) == [("top", ["leaf", "old", "gone"])]


def test_inactive_codes_are_left_out_where_that_is_asked() -> None:
    assert shown(ExpansionParameters(active_only=True)) == ["all", ("top", [("group", ["leaf"])])]


def test_inactive_codes_are_left_out_where_the_value_set_says_so() -> None:
    assert "old" not in shown(ExpansionParameters(exclude_nested=True), compose={"inactive": False})
    assert "old" in shown(ExpansionParameters(exclude_nested=True), compose={"inactive": True})


def test_every_code_says_what_is_known_of_it_and_nothing_else() -> None:
    everything = answer(parameters=ExpansionParameters(exclude_nested=True))["expansion"]["contains"]
    assert everything[0] == {
        "system": "http://s",
        "abstract": True,
        "version": "3",
        "code": "all",
        "display": "All of it",
    }
    assert everything[4] == {
        "system": "http://s",
        "inactive": True,
        "version": "3",
        "code": "old",
        "display": "Old leaf",
    }
    assert everything[5] == {"system": "http://s", "inactive": True, "version": "3", "code": "gone"}


def test_codes_that_a_value_set_lists_are_named_as_it_says_or_as_the_code_system_does() -> None:
    listed = {"system": "http://s", "concept": [{"code": "leaf"}, {"code": "top", "display": "Mine"}]}
    (leaf, top) = answer(listed)["expansion"]["contains"]
    assert (leaf["display"], top["display"]) == ("Muscle", "Mine")
    assert leaf["version"] == "3"


def test_codes_of_a_system_that_is_not_at_hand_can_be_listed() -> None:
    listed = {"system": "http://elsewhere", "version": "7", "concept": [{"code": "x", "display": "X"}]}
    assert answer(listed)["expansion"]["contains"] == [
        {"system": "http://elsewhere", "version": "7", "code": "x", "display": "X"}
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("mus", ["leaf"]),
        ("LEAF", ["leaf", "old"]),
        ("ol le", ["old"]),
        ("upper", ["top"]),
        ("(upper", ["top"]),
        ("uscle", []),
        ("leaf top", []),
        ("  ", FLAT),
    ],
)
def test_every_word_of_a_filter_begins_a_word_of_display_or_code(words: str, found: list[str]) -> None:
    assert shown(ExpansionParameters(filter=words, exclude_nested=True)) == found


def test_a_filter_knows_neither_case_nor_accents_and_reads_the_display_that_is_shown() -> None:
    assert shown(ExpansionParameters(filter="EEN", exclude_nested=True, display_language="nl")) == ["leaf"]
    assert shown(ExpansionParameters(filter="een", exclude_nested=True)) == []


def test_a_code_that_is_a_sign_is_found_by_it() -> None:
    listed = {"system": "http://unitsofmeasure.org", "concept": [{"code": "%"}, {"code": "g"}]}
    assert shown(ExpansionParameters(filter="%"), listed) == ["%"]


@pytest.mark.parametrize(
    ("language", "display"),
    [("nl", "Spier Éen"), ("NL-nl", "Spier Éen"), ("nl-BE", "Muscle"), ("n", "Muscle"), ("", "Muscle")],
)
def test_the_display_is_in_the_language_that_is_asked_for_if_there_is_one(
    language: str, display: str
) -> None:
    (leaf,) = answer(
        parameters=ExpansionParameters(
            filter="leaf", active_only=True, exclude_nested=True, display_language=language
        )
    )["expansion"]["contains"]
    assert leaf["display"] == display


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        (ExpansionParameters(), None),
        (ExpansionParameters(include_designations=True), [DUTCH, FORMAL]),
        (ExpansionParameters(include_designations=True, designation=("urn:ietf:bcp:47|nl",)), [DUTCH]),
        (ExpansionParameters(include_designations=True, designation=("nl",)), [DUTCH]),
        (ExpansionParameters(include_designations=True, designation=("http://uses|formal",)), [FORMAL]),
        (
            ExpansionParameters(include_designations=True, designation=("http://uses|formal", "nl")),
            [DUTCH, FORMAL],
        ),
        (ExpansionParameters(include_designations=True, designation=("http://uses|nl",)), None),
    ],
)
def test_further_names_are_shown_where_they_are_asked_for(
    parameters: ExpansionParameters, found: list[Json] | None
) -> None:
    listed = {"system": "http://s", "concept": [{"code": "leaf"}]}
    (leaf,) = answer(listed, parameters=parameters)["expansion"]["contains"]
    assert leaf.get("designation") == found


def test_a_code_system_can_be_left_out_in_all_versions_or_in_one() -> None:
    other = {"system": "http://elsewhere", "concept": [{"code": "x"}]}
    assert shown(ExpansionParameters(exclude_system=("http://s",)), WHOLE, other) == ["x"]
    assert shown(ExpansionParameters(exclude_system=("http://s|3",)), WHOLE, other) == ["x"]
    assert "top" in shown(
        ExpansionParameters(exclude_system=("http://s|2",), exclude_nested=True), WHOLE, other
    )


@pytest.mark.parametrize("pin", ["http://s|3", "http://unused|1"])
def test_a_version_that_is_held_may_be_demanded(pin: str) -> None:
    assert shown(ExpansionParameters(exclude_nested=True, system_versions=(("system-version", pin),))) == FLAT


def test_a_version_that_is_not_held_cannot_be_expanded() -> None:
    with pytest.raises(NotScorable, match="Parameter force-system-version: expected a version that") as error:
        answer(
            parameters=ExpansionParameters(
                system_versions=(("system-version", "http://s|3"), ("force-system-version", "http://s|4"))
            )
        )
    assert [problem.kind for problem in error.value.problems] == ["parameter-unsupported"]


def test_an_expansion_counts_its_codes_and_names_what_it_was_made_of() -> None:
    stated = ({"name": "filter", "valueString": "leaf"},)
    expansion = answer(parameters=ExpansionParameters(filter="leaf", stated=stated))["expansion"]
    assert list(expansion) == ["identifier", "timestamp", "total", "parameter", "contains"]
    assert expansion["total"] == 2
    assert expansion["parameter"] == [*stated, {"name": "version", "valueUri": "http://s|3"}]


def test_the_value_set_is_named_without_its_definition_unless_that_is_asked_for() -> None:
    more = {"status": "active", "title": "T", "immutable": True, "meta": {"versionId": "1"}}
    short = answer(**more)
    long = answer(parameters=ExpansionParameters(include_definition=True), **more)
    assert short.keys() == {"resourceType", "url", "status", "title", "expansion"}
    assert long.keys() == {*short.keys(), "compose", "immutable"}
    assert (short["status"], short["title"]) == ("active", "T")


def test_a_value_set_without_a_status_gets_one_that_claims_nothing() -> None:
    assert answer()["status"] == "unknown"


def page(offset: int, count: int) -> ExpansionParameters:
    stated = ({"name": "offset", "valueInteger": offset}, {"name": "count", "valueInteger": count})
    return ExpansionParameters(exclude_nested=True, offset=offset, count=count, stated=stated)


def test_pages_are_parts_of_the_same_expansion() -> None:
    whole = answer(parameters=ExpansionParameters(exclude_nested=True))["expansion"]
    pages = [answer(parameters=page(at, 4))["expansion"] for at in (0, 4, 8)]
    assert [entry for page in pages for entry in page.get("contains", [])] == whole["contains"]
    assert [page["offset"] for page in pages] == [0, 4, 8]
    assert {page["total"] for page in pages} == {whole["total"]} == {6}
    assert len({page["identifier"] for page in (*pages, whole)}) == 1
    assert "offset" not in whole


def test_an_offset_alone_shows_the_rest() -> None:
    expansion = answer(parameters=ExpansionParameters(exclude_nested=True, offset=5))["expansion"]
    assert (codes(expansion["contains"]), expansion["offset"]) == (["gone"], 5)


def test_what_is_nested_has_no_pages() -> None:
    expansion = answer(parameters=ExpansionParameters(offset=1, count=1))["expansion"]
    assert codes(expansion["contains"]) == ["all", ("top", [("group", ["leaf"]), "old", "gone"])]
    assert "offset" not in expansion


@pytest.mark.parametrize("flat", [True, False])
def test_a_count_of_zero_asks_how_many_there_are(flat: bool) -> None:
    expansion = answer(parameters=ExpansionParameters(exclude_nested=flat, count=0))["expansion"]
    assert expansion["total"] == 6
    assert expansion.keys() & {"contains", "offset"} == set()


def test_an_expansion_of_nothing_says_so() -> None:
    expansion = answer(parameters=ExpansionParameters(filter="nothing"))["expansion"]
    assert (expansion["total"], "contains" in expansion) == (0, False)


def numbered(many: int) -> Json:
    return {"system": "http://numbers", "concept": [{"code": str(number)} for number in range(many)]}


def test_more_codes_than_one_answer_holds_come_in_pages() -> None:
    assert answer(numbered(MAX_CODES))["expansion"]["total"] == MAX_CODES
    with pytest.raises(NotScorable) as error:
        answer(numbered(MAX_CODES + 1))
    assert [problem.kind for problem in error.value.problems] == ["expansion-size"]
    page = answer(numbered(MAX_CODES + 1), parameters=ExpansionParameters(count=MAX_CODES + 1))["expansion"]
    assert (len(page["contains"]), page["total"]) == (MAX_CODES, MAX_CODES + 1)
    assert (
        len(
            answer(numbered(MAX_CODES + 1), parameters=ExpansionParameters(offset=MAX_CODES))["expansion"][
                "contains"
            ]
        )
        == 1
    )


def test_a_hierarchy_with_more_codes_than_one_answer_holds_is_refused() -> None:
    with pytest.raises(NotScorable, match="excludeNested = true"):
        answer(WHOLE, numbered(MAX_CODES), parameters=ExpansionParameters(count=5))


@pytest.mark.parametrize(
    ("include", "reason"),
    [
        ({"system": "http://elsewhere"}, "a code system is not at hand: http://elsewhere"),
        ({"system": "http://s", "version": "2"}, "a code system is not at hand: http://s\\|2"),
        (
            {"system": "http://s", "filter": [{"property": "code", "op": "regex", "value": "a"}]},
            "a filter on a code system is not understood here: http://s",
        ),
        ({"valueSet": ["http://nowhere"]}, "a value set is not at hand: http://nowhere"),
    ],
)
def test_a_value_set_that_cannot_be_listed_has_no_expansion(include: Json, reason: str) -> None:
    with pytest.raises(NotScorable, match=reason) as error:
        answer(include)
    assert [problem.kind for problem in error.value.problems] == ["value-set-unreachable"]


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ({"property": "concept", "op": "is-a", "value": "group"}, ["group", "leaf"]),
        ({"property": "concept", "op": "in", "value": "top,old"}, ["top", "old"]),
        ({"property": "inactive", "op": "=", "value": "true"}, ["old"]),
    ],
)
def test_filters_of_the_value_set_are_applied(filter_: Json, found: list[str]) -> None:
    assert (
        shown(ExpansionParameters(exclude_nested=True), {"system": "http://s", "filter": [filter_]}) == found
    )


def test_value_sets_are_taken_in_and_taken_out() -> None:
    inner = value_set({"system": "http://s", "concept": [{"code": "leaf"}]}) | {"url": "http://inner"}
    outer = value_set(WHOLE, compose={"exclude": [{"valueSet": ["http://inner"]}]})
    known = value_sets_from([SYSTEM, inner, outer])
    document = json.loads(expand(known, outer, ExpansionParameters(exclude_nested=True)))
    assert codes(document["expansion"]["contains"]) == [code for code in FLAT if code != "leaf"]


def test_an_expansion_that_the_value_set_carries_is_shown_nested_as_it_stands() -> None:
    stated = {
        "contains": [
            {"display": "A heading", "abstract": True, "contains": [{"system": "http://t", "code": "a"}]},
            {
                "system": "http://t",
                "version": "9",
                "code": "b",
                "abstract": True,
                "contains": [
                    {"system": "http://t", "code": "c", "inactive": True},
                    {"system": "http://u", "code": "d", "designation": [DUTCH]},
                ],
            },
        ]
    }
    document = answer(expansion=stated, parameters=ExpansionParameters(include_designations=True))
    contains = document["expansion"]["contains"]
    assert codes(contains) == ["a", ("b", ["c"]), "d"]
    assert contains[1]["abstract"] is True
    assert contains[1]["contains"][0]["inactive"] is True
    assert contains[2]["designation"] == [DUTCH]
    assert document["expansion"]["parameter"] == [{"name": "version", "valueUri": "http://t|9"}]


@pytest.mark.parametrize(
    ("date", "timestamp"),
    [
        (None, "2026-02-01T00:00:00Z"),
        ("2025-01-01", "2026-02-01T00:00:00Z"),
        ("2026-03-04", "2026-03-04T00:00:00Z"),
        ("2026-03-04T05:06:07Z", "2026-03-04T05:06:07Z"),
        ("2027", "2027"),
    ],
)
def test_op06_the_timestamp_is_the_newest_date_of_what_the_expansion_is_made_of(
    date: str | None, timestamp: str
) -> None:
    assert answer(**({} if date is None else {"date": date}))["expansion"]["timestamp"] == timestamp


def test_op06_what_is_of_r4_and_states_no_date_is_as_old_as_r4() -> None:
    known = value_sets_from([])
    gender = known.value_set("http://hl7.org/fhir/ValueSet/administrative-gender")
    assert gender is not None
    document = json.loads(expand(known, gender, ExpansionParameters()))
    assert document["expansion"]["timestamp"] == "2019-11-01T09:29:23+11:00"
    assert codes(document["expansion"]["contains"]) == ["male", "female", "other", "unknown"]


def test_op06_the_same_request_gives_the_same_bytes_and_another_content_another_identifier() -> None:
    stated = ({"name": "activeOnly", "valueBoolean": False},)
    one, same, other, more = (
        answer(),
        answer(),
        answer(parameters=ExpansionParameters(active_only=True)),
        answer(parameters=ExpansionParameters(stated=stated)),
    )
    assert one == same
    identifiers = {document["expansion"]["identifier"] for document in (one, other, more)}
    assert len(identifiers) == 3
    assert all(identifier.startswith("urn:uuid:") for identifier in identifiers)


def test_numbers_keep_their_digits() -> None:
    weighed = {"url": "http://weight", "valueDecimal": Decimal("1.50")}
    listed = {
        "system": "http://t",
        "concept": [{"code": "a", "designation": [{"value": "A", "extension": [weighed]}]}],
    }
    resource = value_set(listed)
    body = expand(value_sets_from([resource]), resource, ExpansionParameters(include_designations=True))
    assert b'"valueDecimal":1.50' in body


def test_every_expansion_is_valid_r4(union: Any) -> None:
    every = ExpansionParameters(
        include_designations=True,
        include_definition=True,
        stated=({"name": "activeOnly", "valueBoolean": False},),
    )
    documents = [
        answer(status="active"),
        answer(parameters=every),
        answer(parameters=ExpansionParameters(exclude_nested=True, offset=2, count=2)),
        answer(parameters=ExpansionParameters(count=0)),
        answer(parameters=ExpansionParameters(filter="nothing")),
    ]
    assert union(documents) == [[]] * len(documents)
