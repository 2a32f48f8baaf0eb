"""Searches by text and url, checks RD08, RD13 and RD23."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Malformed
from service.search import query_from
from service.search.entries import folded, split, unescaped


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (",a,", ["", "a", ""]),
        ("a\\,b,c", ["a\\,b", "c"]),
        ("a\\\\,b", ["a\\\\", "b"]),
        ("a\\", ["a\\"]),
    ],
)
def test_rd23_a_backslash_keeps_a_separator_in_a_value(text, parts):
    assert split(text, ",") == parts


@given(st.lists(st.text(alphabet="ab\\,|$", max_size=6), min_size=1, max_size=4))
def test_rd23_escaped_values_come_back_as_they_were(values):
    escaped = [value.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|") for value in values]
    assert [unescaped(part) for part in split(",".join(escaped), ",")] == values


@given(st.text())
def test_folding_is_done_once(text):
    assert folded(folded(text)) == folded(text)


def form(of_id, **more):
    return {"resourceType": "Questionnaire", "id": of_id, "status": "active", **more}


@pytest.fixture
def found(looking):
    base = "http://a.example/Questionnaire"
    kept = looking(
        form("a", name="Alpha", title="Über alles", url=f"{base}/a", version="1.0", date="2026-01-01"),
        form("b", name="Alphabet", title="One, two", url=f"{base}/a", version="10"),
        form("c", name="Beta", description="über", url=f"{base}/ab", identifier=[{"value": "n"}]),
        form(
            "d",
            publisher="Clinic %_x",
            subjectType=["Patient"],
            item=[{"code": [{"code": "c1"}], "item": [{"code": [{"system": "urn:s", "code": "c2"}]}]}],
        ),
    )
    return lambda query: kept.ids(f"Questionnaire?{query}")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=alpha", "a b"),
        ("name=ALPHAB", "b"),
        ("name=pha", ""),
        ("name=alpha,beta", "a b c"),
        ("name:exact=Alpha", "a"),
        ("name:exact=alpha", ""),
        ("name:contains=PHA", "a b"),
        ("title=uber", "a"),
        ("title=%C3%9Cber", "a"),
        ("title:exact=%C3%9Cber+alles", "a"),
        ("title=one%5C,+two", "b"),
        ("title:missing=true", "c d"),
        ("description=UBER", "c"),
        ("publisher:contains=%25_", "d"),
        ("publisher:contains=c_inic", ""),
        ("publisher:contains=%25x", ""),
        ("date=2026-01-01", "a"),
        ("version=10", "b"),
        ("identifier=n", "c"),
        ("code=c1", "d"),
        ("code=urn:s|c2", "d"),
        ("subject-type=Patient", "d"),
        ("status=active&name=b", "c"),
    ],
)
def test_rd13_a_text_is_found_by_its_beginning_by_a_part_or_whole(found, query, expected):
    assert found(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("url=http://a.example/Questionnaire/a", "a b"),
        ("url=http://a.example/Questionnaire/a|1.0", "a"),
        ("url=http://a.example/Questionnaire/a%7C10", "b"),
        ("url=http://a.example/Questionnaire/a|1", ""),
        ("url=http://a.example/Questionnaire/a|1.0,http://a.example/Questionnaire/ab", "a c"),
        ("url:below=http://a.example/Questionnaire/", "a b c"),
        ("url:below=http://a.example/Questionnaire/a|1", "a"),
        ("url:below=http://a.example/Questionnaire/a|10", "b"),
        ("url:below=http://b.example/", ""),
        ("url=HTTP://a.example/Questionnaire/a", ""),
        ("url:missing=true", "d"),
    ],
)
def test_rd08_a_canonical_is_found_with_its_version_without_and_below_another(found, query, expected):
    assert found(query) == expected


@pytest.mark.parametrize("query", ["url:above=x", "name:text=x", "name:missing=", "date:contains=2026"])
def test_rd17_a_text_or_url_takes_no_other_modifier(query):
    name, _, value = query.partition("=")
    with pytest.raises(Malformed) as refused:
        query_from("Questionnaire", [(name, value or "x")], strict=False, base="")
    assert "expected" in str(refused.value)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("CodeSystem?code=c2", "a"),
        ("CodeSystem?system=urn:s", "a"),
        ("ValueSet?code=c1", "b"),
        ("ValueSet?code=c4", "b"),
        ("ValueSet?reference=urn:s", "b"),
        ("StructureDefinition?type=Extension", "c"),
        ("StructureDefinition?base=http://hl7.org/fhir/StructureDefinition/Extension", "c"),
        ("OperationDefinition?code=assess", "d"),
        ("SearchParameter?base=RiskAssessment", "e"),
        ("SearchParameter?code=basis&type=reference", "e"),
        ("SearchParameter?type=token", ""),
    ],
)
def test_every_published_kind_is_found_by_what_it_defines(looking, query, expected):
    extension = "http://hl7.org/fhir/StructureDefinition/Extension"
    contains = [{"contains": [{"code": "c4"}]}]
    include = [{"system": "urn:s", "concept": [{"code": "c1"}]}, {"valueSet": ["urn:v"]}]
    kept = looking(
        {"resourceType": "CodeSystem", "id": "a", "url": "urn:s", "concept": [{"concept": [{"code": "c2"}]}]},
        {
            "resourceType": "ValueSet",
            "id": "b",
            "compose": {"include": include},
            "expansion": {"contains": contains},
        },
        {
            "resourceType": "StructureDefinition",
            "id": "c",
            "type": "Extension",
            "baseDefinition": f"{extension}|4.0.1",
        },
        {"resourceType": "OperationDefinition", "id": "d", "code": "assess"},
        {
            "resourceType": "SearchParameter",
            "id": "e",
            "base": ["RiskAssessment"],
            "code": "basis",
            "type": "reference",
        },
    )
    assert kept.ids(query) == expected


def test_a_null_beside_an_extension_is_found_by_nothing(looking):
    kept = looking(form("a", subjectType=[None, "Group"], _subjectType=[{"extension": []}, None]))
    assert kept.ids("Questionnaire?subject-type=Group") == "a"
