"""RB01 to RB10: one strict FHIR JSON object, or a refusal that names element and expectation."""

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Malformed, Problem, ServiceError, TooLarge
from service.fhir.json import NUMBER_CHARACTERS, STRING_CHARACTERS, BodyLimits, read, read_published

LARGE = BodyLimits(body_bytes=64 * 1024 * 1024)


def refused(data: bytes, limits: BodyLimits = LARGE) -> tuple[type[ServiceError], list[Problem]]:
    with pytest.raises(ServiceError) as caught:
        read(data, limits)
    return type(caught.value), list(caught.value.problems)


def kind_of(data: bytes) -> str:
    error, problems = refused(data)
    assert error is Malformed
    assert len(problems) == 1
    assert "xpected" in problems[0].text
    return problems[0].kind


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-400", "1E+1000"])
def test_rb01_a_number_that_is_not_finite_is_refused(number):
    assert kind_of(b'{"a":%b}' % number.encode()) == "number"


def test_rb02_a_property_that_stands_twice_is_refused_with_its_place():
    _, problems = refused(b'{"resourceType":"Basic","item":[{"a":1},{"status":"x","status":"y"}]}')
    assert [(problem.kind, problem.expression) for problem in problems] == [
        ("repeated-property", "Basic.item[1]")
    ]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":{"c":1}}}',
        b'{"a":[{"b":1},{"c":1,"c":2}]}',
        b'{"a":{"b":1,"b":1},"a":2}',
        b'{"a":"\\"\\\\","a":":"}',
        b'{"\\u0061":1,"a":2}',
    ],
)
def test_rb02_every_repeated_property_is_found(body):
    assert kind_of(body) == "repeated-property"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig"])
def test_rb03_another_encoding_than_utf_8_is_refused(encoding):
    assert kind_of('{"a":"b"}'.encode(encoding)) in ("encoding", "json")


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
def test_rb04_bytes_that_are_not_utf_8_are_refused(text):
    assert kind_of(b'{"a":"' + text + b'"}') == "encoding"


@pytest.mark.parametrize(
    "escape", ["\\u0000", "\\u001f", "\\b", "\\f", "\\ud800", "\\udc00\\ud800", "x\\udfffy"]
)
def test_rb04_control_characters_and_half_surrogates_are_refused(escape):
    error, problems = refused(f'{{"a":[{{"b":"ok"}},{{"b":"{escape}"}}]}}'.encode())
    assert error is Malformed
    assert [(problem.kind, problem.expression) for problem in problems] == [("character", "Resource.a[1].b")]


def test_rb04_line_breaks_tabs_and_whole_surrogate_pairs_are_text():
    assert read(b'{"a":"\\t\\r\\n \\ud83d\\ude00 \\" \\\\ \\/"}', LARGE) == {"a": '\t\r\n \U0001f600 " \\ /'}


@pytest.mark.parametrize("raw", [b"\x00", b"\x01", b"\t", b"\n", b"\x1f"])
def test_rb04_a_raw_control_character_in_a_string_is_refused(raw):
    assert kind_of(b'{"a":"' + raw + b'"}') == "json"


@pytest.mark.parametrize("levels", [5_000, 100_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('{"item":[', "]}"), ("[", ""), ("{[", "")]
)
def test_rb05_deep_nesting_is_refused_before_it_is_parsed(levels, opening, closing):
    body = '{"a":' + opening * levels + "1" + closing * levels + "}"
    assert kind_of(body.encode()) == "depth"


def test_rb05_nesting_up_to_the_limit_is_read():
    def nested(levels: int) -> bytes:
        return b'{"a":' * levels + b"1" + b"}" * levels

    assert read(nested(64), LARGE)
    assert kind_of(nested(65)) == "depth"


def test_rb05_brackets_in_strings_do_not_count():
    assert read(b'{"a":"' + b"[{" * 1000 + b'"}', LARGE)
    assert read(b'{"a":"\\"' + b"[{" * 1000 + b'"}', LARGE)


@pytest.mark.parametrize("body", [b'{"a":' + b"]" * 100, b"}" * 100, b'{"a":' + b"}]" * 100 + b"{[" * 10])
def test_rb05_closing_brackets_alone_are_no_depth(body):
    assert kind_of(body) == "json"


@pytest.mark.parametrize(
    "number",
    [
        "9" * 5000,
        "-" + "9" * 5000,
        "0." + "1" * 10000,
        "9" * 41,
        "1" + "0" * 39 + ".0",
        "1." + "0" * 10000 + "e5",
    ],
)
def test_rb06_a_number_of_too_many_digits_is_refused(number):
    assert kind_of(b'{"a":%b}' % number.encode()) == "number"


def test_rb06_numbers_keep_their_digits():
    found = read(b'{"a":2.00,"b":-0,"c":1.50e2,"d":12,"e":-0.0,"f":0}', LARGE)
    assert [str(value) for value in found.values()] == ["2.00", "-0", "150", "12", "-0.0", "0"]
    assert [type(value) for value in found.values()] == [Decimal, Decimal, Decimal, int, Decimal, int]


def test_rb06_a_number_of_the_longest_length_is_read():
    assert read(b'{"a":%b}' % (b"9" * NUMBER_CHARACTERS), LARGE) == {"a": int("9" * NUMBER_CHARACTERS)}


@pytest.mark.parametrize(
    "body",
    [
        b"{} x",
        b'{"a":1}{',
        b'{"a":1}\x00',
        b'{/*c*/"a":1}',
        b'{"a":1,}',
        b"{'a':1}",
        b"",
        b" \n",
        b'{"a"}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":5.}',
        b'{"a":0x1}',
        b'{"a":"\\x"}',
        b'{"a":"b',
        b'{"a":"b\\',
        b"{a:1}",
        b"{",
    ],
)
def test_rb07_what_is_not_json_is_refused(body):
    assert kind_of(body) == "json"


def test_rb07_the_place_is_named_and_the_text_is_not_repeated():
    _, problems = refused(b'{"canary-answer":\ncanary-answer}')
    assert "line 2, column 1" in problems[0].text
    assert "canary" not in problems[0].text


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true", b'[{"a":1}]', b"1.5"])
def test_rb08_a_body_that_is_not_an_object_is_refused(body):
    assert kind_of(body) == "json-shape"


@pytest.mark.parametrize(
    ("body", "kind", "expression"),
    [
        (b'{"a":null}', "null", "Resource.a"),
        (b'{"a":""}', "empty", "Resource.a"),
        (b'{"a":[]}', "empty", "Resource.a"),
        (b'{"a":{}}', "empty", "Resource.a"),
        (b"{}", "empty", "Resource"),
        (b'{"a":[1,null]}', "null", "Resource.a[1]"),
        (b'{"a":["x",""]}', "empty", "Resource.a[1]"),
        (b'{"a":[{}]}', "empty", "Resource.a[0]"),
        (b'{"a":["x",null],"_a":[{"id":"1"},null]}', "null", "Resource.a[1]"),
        (b'{"a":["x",null],"_a":[{"id":"1"}]}', "null", "Resource.a[1]"),
        (b'{"a":[[1]]}', "json-shape", "Resource.a[0]"),
        (b'{"a":[[[{"b":1}]]]}', "json-shape", "Resource.a[0]"),
        (b'{"resourceType":"Basic","_a":{"b":null}}', "null", "Basic.a.b"),
        (b'{"resourceType":"no type","a":null}', "null", "Resource.a"),
    ],
)
def test_rb09_nothing_is_empty_and_nothing_is_null(body, kind, expression):
    _, problems = refused(body)
    assert {(problem.kind, problem.expression) for problem in problems} >= {(kind, expression)}


def test_rb09_null_stands_beside_a_twin():
    body = b'{"given":["a",null],"_given":[null,{"id":"x"}]}'
    assert read(body, LARGE) == {"given": ["a", None], "_given": [None, {"id": "x"}]}


def test_rb09_every_fault_is_reported_at_once():
    _, problems = refused(b'{"a":"","b":null,"c":[],"d":{"e":NaN},"f":[1e999,""]}')
    places = [problem.expression for problem in problems]
    assert places == [f"Resource.{path}" for path in ("a", "b", "c", "f[0]", "f[1]", "d.e")]


def test_rb10_a_body_over_the_limit_is_too_large():
    error, problems = refused(b'{"a":"bcd"}', BodyLimits(body_bytes=10))
    assert (error, problems[0].kind) == (TooLarge, "body-size")
    assert read(b'{"a":"bc"}', BodyLimits(body_bytes=10))


def test_rb10_a_string_over_the_limit_of_r4_is_too_large():
    fitting = b'{"a":"' + b"x" * STRING_CHARACTERS + b'"}'
    assert read(fitting, LARGE)
    error, problems = refused(fitting.replace(b'"}', b'x"}'))
    assert (error, problems[0].kind, problems[0].expression) == (TooLarge, "string-size", "Resource.a")


def test_rb10_a_string_over_the_limit_beside_another_fault_is_malformed():
    error, problems = refused(b'{"a":"' + b"x" * (STRING_CHARACTERS + 1) + b'","b":null}')
    assert error is Malformed
    assert {problem.kind for problem in problems} == {"string-size", "null"}


def test_rb10_100_000_answers_are_read():
    answer = {"valueCoding": {"system": "http://loinc.org", "code": "LA32-8", "display": "No"}}
    body = json.dumps(
        {"resourceType": "QuestionnaireResponse", "item": [{"linkId": "a", "answer": [answer] * 100_000}]}
    )
    assert len(read(body.encode(), LARGE)["item"][0]["answer"]) == 100_000


@pytest.mark.parametrize(
    "body", [b'{"a":"' + b'\\"' * 1_000_000, b'"' * 1_000_000, b"[" * 63 + b"]" * 63 * 1 + b"," * 10]
)
def test_rb10_a_hostile_body_is_refused_in_linear_time(body):
    assert kind_of(body) in ("json", "depth")


def test_a_name_that_could_be_anything_is_not_repeated():
    _, problems = refused(b'{"canary answer":null,"a":{"canary-\\ud800":null}}')
    assert [problem.expression for problem in problems] == ["Resource", "Resource.a"]
    assert all("canary" not in problem.text for problem in problems)


def test_published_resources_are_read_by_the_same_rules():
    assert read_published(b'{"resourceType":"Basic"}') == {"resourceType": "Basic"}
    with pytest.raises(ValueError, match=r"a: expected a value.*\nb: expected"):
        read_published(b'{"a":null,"b":""}')


JSON = st.recursive(
    st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    lambda inner: (
        st.lists(inner.filter(lambda value: type(value) is not list), min_size=1, max_size=4)
        | st.dictionaries(st.text(min_size=1, max_size=8), inner, min_size=1, max_size=4)
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(st.text(max_size=8), JSON, min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_what_json_says_is_what_is_read(value: dict[str, Any], ascii_only: bool, indent: int | None):
    assert (
        read(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace"), LARGE)
        == value
    )


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes):
    with suppress(ServiceError):
        read(b'{"a":' + data, LARGE)
