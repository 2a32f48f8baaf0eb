"""Value sets: what they contain, what they leave in doubt, and what is not at hand."""

from __future__ import annotations

from typing import Any

import pytest

from service.datatypes.answers import Coding
from service.terminology.membership import CodeSet, Doubt
from service.terminology.sources import r4_resource
from service.terminology.value_sets import ValueSets, value_sets_from

UNCLOSED = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
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


EVERYTHING = "*"
"""A doubt about codes of any system."""


def codes(*includes: dict[str, Any], exclude: tuple[dict[str, Any], ...] = (), **more: Any) -> Any:
    """The codes of a value set that may be chosen, and the code systems that there are doubts about."""
    resource = {"resourceType": "ValueSet", "url": "http://vs", "compose": {"include": list(includes)}} | more
    if exclude:
        resource["compose"] = {"include": list(includes), "exclude": list(exclude)}
    return shown(value_sets_from([SYSTEM, resource]).codes("http://vs"))


def shown(known: CodeSet) -> tuple[set[str], set[str]]:
    doubted = {coding.system for coding, said in known.said.items() if isinstance(said, Doubt)}
    everything = {EVERYTHING} if known.anywhere is not None else set()
    chosen = {member.coding.code for member in known.members if not member.abstract}
    return chosen, {*known.systems, *doubted, *everything}


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
        ({"property": "concept", "op": "=", "value": "c"}, {"c"}),
        ({"property": "concept", "op": "not-in", "value": "a,b,c"}, {"d", "e"}),
        ({"property": "concept", "op": "generalizes", "value": "d"}, {"b", "c", "d"}),
        ({"property": "parent", "op": "=", "value": "b"}, {"c", "e"}),
        ({"property": "x", "op": "=", "value": "y"}, {"a"}),
        ({"property": "x", "op": "in", "value": "z, y"}, {"a"}),
        ({"property": "x", "op": "exists", "value": "true"}, {"a"}),
        ({"property": "x", "op": "exists", "value": "false"}, {"b", "c", "d", "e"}),
        ({"property": "inactive", "op": "=", "value": "false"}, {"a", "b", "c", "d", "e"}),
    ],
)
def test_filters_on_a_code_system_at_hand_are_applied(filter_: dict[str, str], expected: set[str]) -> None:
    assert codes(filtered(**filter_)) == (expected, set())


@pytest.mark.parametrize(
    "filter_",
    [
        {"property": "display", "op": "regex", "value": ".*"},
        {"property": "code", "op": "regex", "value": ".*"},
        {"property": "status", "op": "regex", "value": ".*"},
        {"property": "not-declared", "op": "=", "value": "y"},
    ],
    ids=str,
)
def test_a_filter_that_is_not_understood_leaves_the_system_in_doubt(filter_: dict[str, str]) -> None:
    assert codes(filtered(**filter_)) == (set(), {"http://s"})


def test_all_filters_of_an_include_must_hold() -> None:
    below = {"property": "concept", "op": "is-a", "value": "b"}
    not_c = {"property": "concept", "op": "is-not-a", "value": "c"}
    unknown = {"property": "display", "op": "regex", "value": ".*"}
    assert codes({"system": "http://s", "filter": [below, not_c]}) == ({"b", "e"}, set())
    doubted = value_sets_from(
        [
            SYSTEM,
            {
                "resourceType": "ValueSet",
                "url": "http://vs",
                "compose": {"include": [{"system": "http://s", "filter": [below, unknown]}]},
            },
        ]
    ).codes("http://vs")
    assert {coding.code for coding in doubted.said} == {"b", "c", "d", "e"}


def test_a_hierarchy_that_properties_tell_is_one() -> None:
    flat = [{"code": "x"}, {"code": "y", "property": [{"code": "parent", "valueCode": "x"}]}]
    up = [{"code": "u", "property": [{"code": "child", "valueCode": "x"}]}]
    system = SYSTEM | {"concept": [*flat, *up]}
    resource = {
        "resourceType": "ValueSet",
        "url": "http://vs",
        "compose": {"include": [filtered(property="concept", op="descendent-of", value="u")]},
    }
    assert shown(value_sets_from([system, resource]).codes("http://vs")) == ({"x", "y"}, set())


def test_a_whole_code_system_is_all_its_concepts() -> None:
    assert codes({"system": "http://s"}) == ({"a", "b", "c", "d", "e"}, set())


def test_a_code_system_that_is_not_at_hand_is_uncertain() -> None:
    assert codes({"system": "http://elsewhere"}) == (set(), {"http://elsewhere"})


def test_a_code_system_that_is_a_fragment_lists_what_it_has_and_leaves_the_rest_in_doubt() -> None:
    fragment = SYSTEM | {"content": "fragment"}
    resource = {
        "resourceType": "ValueSet",
        "url": "http://vs",
        "compose": {"include": [{"system": "http://s"}]},
    }
    known = value_sets_from([fragment, resource]).codes("http://vs")
    assert shown(known) == ({"a", "b", "c", "d", "e"}, {"http://s"})


def test_what_is_excluded_is_outside() -> None:
    assert codes({"system": "http://s"}, exclude=(filtered(property="concept", op="is-a", value="b"),)) == (
        {"a"},
        set(),
    )


def test_an_exclusion_that_is_not_at_hand_leaves_every_listed_code_in_doubt() -> None:
    assert codes({"system": "http://s"}, exclude=({"valueSet": ["http://nowhere"]},)) == (set(), {"http://s"})


def test_an_inclusion_that_is_not_at_hand_leaves_every_other_code_in_doubt() -> None:
    assert codes({"valueSet": ["http://nowhere"]}) == (set(), {EVERYTHING})
    listed = {"system": "http://s", "concept": [{"code": "a"}]}
    assert codes({"valueSet": ["http://nowhere"]}, listed) == ({"a"}, {EVERYTHING})


@pytest.mark.parametrize("compose", [{}, {"include": []}, {"include": [{"version": "1"}]}], ids=str)
def test_a_definition_of_nothing_is_not_guessed(compose: dict[str, Any]) -> None:
    assert codes(compose=compose) == (set(), {EVERYTHING})


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
    )  # in doubt in one part, listed in the other
    assert codes({"system": "http://s", "concept": [{"code": "a"}], "valueSet": [languages]}) == (
        set(),
        set(),
    )


def test_one_page_of_an_expansion_is_not_taken_for_the_whole() -> None:
    page = {"total": 9, "contains": [{"system": "http://s", "code": "a"}]}
    assert codes(expansion=page, compose=None) == ({"a"}, {EVERYTHING})
    assert codes({"system": "http://s"}, expansion=page) == ({"a", "b", "c", "d", "e"}, set())


def test_a_whole_expansion_comes_before_its_compose() -> None:
    whole = {"total": 1, "contains": [{"system": "http://s", "code": "a"}]}
    assert codes({"system": "http://s"}, expansion=whole) == ({"a"}, set())


@pytest.mark.parametrize(
    "more",
    [
        {"offset": 1},
        {"parameter": [{"name": "filter", "valueString": "x"}]},
        {"parameter": [{"name": "count", "valueInteger": 1}]},
        {"extension": [{"url": UNCLOSED, "valueBoolean": True}]},
    ],
    ids=str,
)
def test_an_expansion_that_leaves_codes_out_is_not_the_whole(more: dict[str, Any]) -> None:
    part = {"contains": [{"system": "http://s", "code": "a"}]}
    assert codes(expansion=part, compose=None) == ({"a"}, set())
    assert codes(expansion=part | more, compose=None) == ({"a"}, {EVERYTHING})


def test_a_value_set_without_content_says_nothing() -> None:
    known = value_sets_from([{"resourceType": "ValueSet", "url": "http://vs"}]).codes("http://vs")
    assert shown(known) == (set(), {EVERYTHING})


def test_of_several_versions_each_has_its_name_and_the_newest_the_bare_url() -> None:
    sets = [
        {
            "resourceType": "ValueSet",
            "url": "http://vs",
            "version": v,
            "compose": {"include": [{"system": "http://t", "concept": [{"code": v}]}]},
        }
        for v in ("1.10", "1.9")
    ]
    known = value_sets_from(sets)
    names = ("http://vs", "http://vs|1.9", "http://vs|1.10", "http://vs|3")
    assert [shown(known.codes(name)) for name in names] == [
        ({"1.10"}, set()),
        ({"1.9"}, set()),
        ({"1.10"}, set()),
        (set(), {EVERYTHING}),
    ]


def test_a_weight_of_a_concept_is_a_weight_of_the_option() -> None:
    weight = {"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 2}
    sets = {"resourceType": "ValueSet", "url": "http://vs"}
    sets |= {
        "compose": {"include": [{"system": "http://t", "concept": [{"code": "a", "extension": [weight]}]}]}
    }
    known = value_sets_from([sets]).codes("http://vs")
    assert [member.weight for member in known.members] == [2]


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
    known = ValueSets().codes(f"http://hl7.org/fhir/ValueSet/{name}")
    assert (len(list(known.members)), known.doubt) == (count, None)


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
    found, doubted = shown(value_sets_from([SYSTEM | {"version": "1"}, resource]).codes("http://vs"))
    assert doubted == uncertain
    assert bool(found) is not bool(uncertain)


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
    known = value_sets_from([grouped, resource]).codes("http://vs")
    assert shown(known) == ({"leaf"}, set())
    assert list(known.said) == [Coding("http://s", "group"), Coding("http://s", "leaf")]


def test_inactive_codes_are_outside_where_the_value_set_says_so() -> None:
    compose = {"include": [{"system": "http://s"}], "inactive": False}
    assert codes(compose=compose) == ({"b", "c", "d", "e"}, set())


def test_what_is_fixed_by_r4_is_found_as_what_it_is() -> None:
    known = ValueSets()
    assert known.value_set("http://hl7.org/fhir/administrative-gender") is None
    assert known.system("http://hl7.org/fhir/ValueSet/administrative-gender") is None
    assert known.system("http://hl7.org/fhir/administrative-gender", "4.0.1") is not None
