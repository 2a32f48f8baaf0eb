"""Value sets: what they contain, what they leave uncertain, and what is out of reach."""

from __future__ import annotations

from typing import Any

import pytest

from service.datatypes.answers import Coding
from service.terminology.value_sets import ValueSets, r4_resource, value_sets_from

SYSTEM = {
    "resourceType": "CodeSystem",
    "url": "http://s",
    "content": "complete",
    "concept": [
        {
            "code": "a",
            "property": [{"code": "x", "valueCode": "y"}, {"code": "status", "valueCode": "retired"}],
        },
        {"code": "b", "concept": [{"code": "c", "concept": [{"code": "d"}]}, {"code": "e"}]},
    ],
}


def codes(*includes: dict[str, Any], exclude: tuple[dict[str, Any], ...] = (), **more: Any) -> Any:
    resource = {"resourceType": "ValueSet", "url": "http://vs", "compose": {"include": list(includes)}} | more
    if exclude:
        resource["compose"] = {"include": list(includes), "exclude": list(exclude)}
    known = value_sets_from([SYSTEM, resource]).members("http://vs")
    return None if known is None else ({coding.code for coding in known.choices}, set(known.uncertain))  # type: ignore[union-attr]


def filtered(**one: str) -> dict[str, Any]:
    return {"system": "http://s", "filter": [one]}


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({"property": "concept", "op": "is-a", "value": "c"}, {"c", "d"}),
        ({"property": "concept", "op": "descendent-of", "value": "b"}, {"c", "d", "e"}),
        ({"property": "concept", "op": "is-not-a", "value": "b"}, {"a"}),
        ({"property": "code", "op": "in", "value": "a, d"}, {"a", "d"}),
        ({"property": "status", "op": "=", "value": "retired"}, {"a"}),
        ({"property": "status", "op": "=", "value": "draft"}, set()),
    ],
)
def test_filters_on_a_code_system_at_hand_are_applied(filter_: dict[str, str], expected: set[str]) -> None:
    assert codes(filtered(**filter_)) == (expected, set())


def test_a_filter_that_is_not_understood_leaves_the_system_uncertain() -> None:
    assert codes(filtered(property="display", op="regex", value=".*")) == (set(), {"http://s"})


def test_a_whole_code_system_is_all_its_concepts() -> None:
    assert codes({"system": "http://s"}) == ({"a", "b", "c", "d", "e"}, set())


def test_a_code_system_that_is_not_at_hand_is_uncertain() -> None:
    assert codes({"system": "http://elsewhere"}) == (set(), {"http://elsewhere"})


def test_a_code_system_that_is_a_fragment_is_uncertain() -> None:
    fragment = SYSTEM | {"content": "fragment"}
    resource = {
        "resourceType": "ValueSet",
        "url": "http://vs",
        "compose": {"include": [{"system": "http://s"}]},
    }
    known = value_sets_from([fragment, resource]).members("http://vs")
    assert known is not None
    assert known.uncertain == {"http://s"}


def test_what_is_excluded_is_outside() -> None:
    assert codes({"system": "http://s"}, exclude=(filtered(property="concept", op="is-a", value="b"),)) == (
        {"a"},
        set(),
    )


def test_an_exclusion_that_is_out_of_reach_puts_the_set_out_of_reach() -> None:
    assert codes({"system": "http://s"}, exclude=({"valueSet": ["http://nowhere"]},)) is None


def test_an_inclusion_that_is_out_of_reach_puts_the_set_out_of_reach() -> None:
    assert codes({"valueSet": ["http://nowhere"]}) is None


def test_an_inclusion_of_nothing_is_not_guessed() -> None:
    assert codes({"version": "1"}) is None


def test_system_and_value_set_in_one_inclusion_must_both_hold() -> None:
    both = {
        "system": "http://hl7.org/fhir/administrative-gender",
        "concept": [{"code": "male"}, {"code": "x"}],
    }
    both["valueSet"] = ["http://hl7.org/fhir/ValueSet/administrative-gender"]  # type: ignore[assignment]
    assert codes(both) == ({"male"}, set())


def test_what_one_part_does_not_know_is_uncertain_only_where_no_other_part_denies() -> None:
    languages = "http://hl7.org/fhir/ValueSet/all-languages"
    assert codes({"system": "urn:ietf:bcp:47", "concept": [{"code": "en"}], "valueSet": [languages]}) == (
        set(),
        {"urn:ietf:bcp:47"},
    )
    assert codes({"system": "http://s", "concept": [{"code": "a"}], "valueSet": [languages]}) == (
        set(),
        set(),
    )


def test_one_page_of_an_expansion_is_not_taken_for_the_whole() -> None:
    page = {"total": 9, "contains": [{"system": "http://s", "code": "a"}]}
    assert codes(expansion=page, compose=None) is None
    assert codes({"system": "http://s"}, expansion=page) == ({"a", "b", "c", "d", "e"}, set())


def test_a_whole_expansion_comes_before_its_compose() -> None:
    whole = {"total": 1, "contains": [{"system": "http://s", "code": "a"}]}
    assert codes({"system": "http://s"}, expansion=whole) == ({"a"}, set())


def test_a_value_set_without_content_is_out_of_reach() -> None:
    assert value_sets_from([{"resourceType": "ValueSet", "url": "http://vs"}]).members("http://vs") is None


def test_of_several_versions_each_has_its_name_and_the_last_the_bare_url() -> None:
    sets = [
        {
            "resourceType": "ValueSet",
            "url": "http://vs",
            "version": v,
            "compose": {"include": [{"system": "http://t", "concept": [{"code": v}]}]},
        }
        for v in ("1", "2")
    ]
    known = value_sets_from(sets)
    found = {name: known.members(name) for name in ("http://vs", "http://vs|1", "http://vs|2", "http://vs|3")}
    assert [found[name] and list(found[name].choices) for name in found] == [  # type: ignore[union-attr]
        [Coding("http://t", "2")],
        [Coding("http://t", "1")],
        [Coding("http://t", "2")],
        None,
    ]


def test_a_weight_of_a_concept_is_a_weight_of_the_option() -> None:
    weight = {"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 2}
    sets = {"resourceType": "ValueSet", "url": "http://vs"}
    sets |= {
        "compose": {"include": [{"system": "http://t", "concept": [{"code": "a", "extension": [weight]}]}]}
    }
    known = value_sets_from([sets]).members("http://vs")
    assert known is not None
    assert [choice.weight for choice in known.choices.values()] == [2]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("yesnodontknow", 3),
        ("administrative-gender", 4),
        ("marital-status", 11),
        ("data-absent-reason", 15),
        ("days-of-week", 7),
        ("languages", 56),
        ("risk-probability", 5),
        ("units-of-time", 7),
    ],
)
def test_the_fixed_value_sets_of_r4_have_their_codes(name: str, count: int) -> None:
    known = ValueSets().members(f"http://hl7.org/fhir/ValueSet/{name}")
    assert known is not None
    assert (len(known.choices), known.uncertain) == (count, frozenset())


def test_a_fixed_value_set_of_another_version_is_not_found() -> None:
    assert r4_resource("http://hl7.org/fhir/ValueSet/administrative-gender|5.0.0") is None
    assert r4_resource("http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1") is not None
    assert r4_resource("http://nowhere") is None


@pytest.mark.parametrize(
    ("version", "uncertain"), [(None, set()), ("1", set()), ("2", {"http://s"})], ids=str
)
def test_a_code_system_is_taken_in_the_version_that_is_named(
    version: str | None, uncertain: set[str]
) -> None:
    include = {"system": "http://s"} | ({} if version is None else {"version": version})
    resource = {"resourceType": "ValueSet", "url": "http://vs", "compose": {"include": [include]}}
    known = value_sets_from([SYSTEM | {"version": "1"}, resource]).members("http://vs")
    assert known is not None
    assert known.uncertain == uncertain
    assert bool(known.choices) is not bool(uncertain)


def test_a_code_that_only_leads_to_others_is_no_answer() -> None:
    """R4 valueset.html: an abstract code is there for navigation, nobody may choose it."""
    grouped = {
        "resourceType": "CodeSystem",
        "url": "http://s",
        "content": "complete",
        "concept": [
            {
                "code": "group",
                "property": [{"code": "notSelectable", "valueBoolean": True}],
                "concept": [{"code": "leaf"}],
            }
        ],
    }
    resource = {
        "resourceType": "ValueSet",
        "url": "http://vs",
        "compose": {"include": [{"system": "http://s"}]},
    }
    known = value_sets_from([grouped, resource]).members("http://vs")
    assert known is not None
    assert list(known.choices) == [Coding("http://s", "leaf")]
    assert list(known.by_coding) == [Coding("http://s", "group"), Coding("http://s", "leaf")]


def test_inactive_codes_are_outside_where_the_value_set_says_so() -> None:
    compose = {"include": [{"system": "http://s"}], "inactive": False}
    assert codes(compose=compose) == ({"b", "c", "d", "e"}, set())


def test_what_is_fixed_by_r4_is_found_as_what_it_is() -> None:
    known = ValueSets()
    assert known.value_set("http://hl7.org/fhir/administrative-gender") is None
    assert known.system("http://hl7.org/fhir/ValueSet/administrative-gender") is None
    assert known.system("http://hl7.org/fhir/administrative-gender", "4.0.1") is not None
