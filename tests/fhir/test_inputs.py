"""OP04, OP05: what an operation is given, in a query string or in Parameters; faults name the parameter."""

from decimal import Decimal

import pytest

from service.errors import Malformed, NotScorable
from service.fhir.parameters import MOST_PARAMETERS, Input, parameters_in_body, parameters_in_query, values_of

DECLARED = (
    Input("url", "uri"),
    Input("count", "integer"),
    Input("flag", "boolean"),
    Input("word", "code"),
    Input("words", "string", repeats=True),
    Input("system", "canonical", repeats=True),
)


def in_query(*pairs):
    return values_of(parameters_in_query(pairs), DECLARED, {"date"})


def in_body(*entries):
    resource = {"resourceType": "Parameters", "parameter": list(entries)}
    return values_of(parameters_in_body(resource), DECLARED, {"date"})


def test_a_query_string_has_values_of_the_declared_types():
    pairs = [("url", "http://x"), ("count", "-3"), ("flag", "true"), ("words", "a b"), ("words", "c")]
    assert in_query(*pairs) == {"url": ("http://x",), "count": (-3,), "flag": (True,), "words": ("a b", "c")}


def test_a_body_has_the_same_values():
    entries = [
        {"name": "url", "valueUri": "http://x"},
        {"name": "count", "valueInteger": -3},
        {"name": "flag", "valueBoolean": False, "id": "1", "extension": [{"url": "urn:x"}]},
        {"name": "words", "valueString": "a b"},
        {"name": "words", "valueString": "c"},
    ]
    assert in_body(*entries) == {
        "url": ("http://x",),
        "count": (-3,),
        "flag": (False,),
        "words": ("a b", "c"),
    }


@pytest.mark.parametrize("element", ["valueUri", "valueCanonical", "valueUrl"])
@pytest.mark.parametrize("name", ["url", "system"])
def test_a_url_may_come_as_any_kind_of_url(name, element):
    assert in_body({"name": name, element: "http://x"}) == {name: ("http://x",)}


@pytest.mark.parametrize("name", ["_format", "_pretty", "_summary", "_elements"])
def test_what_every_query_string_may_hold_is_no_input(name):
    assert in_query((name, "json")) == {}


def test_a_parameter_without_a_value_is_not_stated():
    assert in_query(("count", "")) == {}


@pytest.mark.parametrize(
    "resource", [{"resourceType": "Parameters"}, {"resourceType": "Parameters", "id": "x"}]
)
def test_there_may_be_no_parameter(resource):
    assert parameters_in_body(resource) == []


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        (("count", "many"), "Parameter count: expected integer, "),
        (("count", "1.0"), "Parameter count: expected integer, "),
        (("count", "99999999999"), "Parameter count: expected integer, "),
        (("count", "9999999999"), "Parameter count: expected integer, "),
        (("flag", "yes"), "Parameter flag: expected boolean, true or false."),
        (("url", "a b"), "Parameter url: expected uri, a uri without blanks."),
        (("word", " a"), "Parameter word: expected code, "),
        (("other", "x"), "Parameter other: expected one of count, date, flag, system, url, word, words."),
        (("4711-x y", "x"), "Parameter without a proper name: expected one of count, "),
    ],
)
def test_op05_a_wrong_or_unknown_parameter_of_a_query_string_is_named(pair, text):
    with pytest.raises(Malformed) as error:
        in_query(pair)
    (problem,) = error.value.problems
    assert problem.text.startswith(text)
    assert (problem.kind, problem.expression) == ("parameter", "")


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"name": "count", "valueString": "1"}, "Parameter count: expected integer, "),
        ({"name": "count", "valueInteger": Decimal("1.0")}, "Parameter count: expected integer, "),
        ({"name": "count", "valueInteger": True}, "Parameter count: expected integer, "),
        ({"name": "count"}, "Parameter count: expected integer, "),
        ({"name": "count", "valueInteger": 1, "part": []}, "Parameter count: expected integer, "),
        ({"name": "count", "resource": {"resourceType": "Basic"}}, "Parameter count: expected integer, "),
        ({"name": "flag", "valueBoolean": "true"}, "Parameter flag: expected boolean, "),
        ({"name": "words", "valueCode": "a"}, "Parameter words: expected string, "),
        ({"name": "url", "valueString": "http://x"}, "Parameter url: expected uri, "),
        ({"name": "other", "valueString": "x"}, "Parameter other: expected one of "),
        ({"valueString": "x"}, "Parameter without a proper name: expected one of "),
        ({"name": {}, "valueString": "x"}, "Parameter without a proper name: expected one of "),
        ("count", "Parameter without a proper name: expected one of "),
    ],
)
def test_op05_a_wrong_or_unknown_parameter_of_a_body_is_named_with_its_place(entry, text):
    with pytest.raises(Malformed) as error:
        in_body({"name": "word", "valueCode": "a"}, entry)
    (problem,) = error.value.problems
    assert problem.text.startswith(text)
    assert (problem.kind, problem.expression) == ("parameter", "Parameters.parameter[1]")


def test_op05_a_parameter_that_stands_twice_is_named():
    with pytest.raises(Malformed, match=r"^Parameter count: expected at most once\.$"):
        in_query(("count", "1"), ("count", "2"))


def test_op05_every_fault_is_reported_at_once():
    with pytest.raises(Malformed) as error:
        in_query(("other", "1"), ("count", "x"), ("count", "1"), ("date", "2020"))
    assert len(error.value.problems) == 3


def test_op05_what_is_declared_but_not_supported_is_refused_by_name():
    with pytest.raises(NotScorable) as error:
        in_body({"name": "date", "resource": {"resourceType": "ValueSet"}})
    (problem,) = error.value.problems
    assert problem.text.startswith("Parameter date: it is not supported here.")
    assert (problem.kind, problem.expression) == ("parameter-unsupported", "Parameters.parameter[0]")


def test_a_body_holds_as_many_parameters_as_a_query_string_and_no_more():
    entry = {"name": "words", "valueString": "a"}
    assert len(in_body(*[entry] * MOST_PARAMETERS)["words"]) == MOST_PARAMETERS
    with pytest.raises(Malformed, match="at most 100 parameters"):
        in_body(*[entry] * (MOST_PARAMETERS + 1))


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "ValueSet"},
        {},
        {"resourceType": "Parameters", "parameter": {}},
        {"resourceType": "Parameters", "status": "x"},
    ],
)
def test_another_body_is_refused(resource):
    with pytest.raises(Malformed):
        parameters_in_body(resource)
