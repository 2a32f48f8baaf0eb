"""The accept path is sound: what it takes, the full path takes too, and both read the same."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from examples import examples
from hypothesis import example, given
from hypothesis import strategies as st

from service.datatypes.answers import Coding
from service.datatypes.form import Form, Option
from service.datatypes.values import replace
from service.errors import ServiceError
from service.fhir.accept import Decode, decoder
from service.fhir.json import BodyLimits, read
from service.fhir.response_context import context_from_accepted, context_from_resource
from service.fhir.structure import check_response

UCUM = "http://unitsofmeasure.org"


def written(response: dict[str, Any], **how: Any) -> bytes:
    body = msgspec.json.Encoder(decimal_format="number").encode(response)
    return json.dumps(json.loads(body, parse_float=Decimal), default=str, **how).encode() if how else body


@pytest.fixture(scope="session")
def decode(form: Form) -> Decode:
    return decoder([form])


def check_sound(decode: Decode, data: bytes) -> bool:
    """Whether the accept path takes the body; fails where the full path would not, or reads otherwise."""
    response = decode(data)
    if response is None:
        return False
    resource = read(data, BodyLimits(depth=32))
    assert check_response(resource) == ()
    plain = msgspec.to_builtins(response, builtin_types=(Decimal,))
    assert str(sorted_deeply(plain)) == str(sorted_deeply(with_decimals(resource)))
    assert context_from_accepted(response) == context_from_resource(resource)
    return True


def with_decimals(value: Any, name: str = "") -> Any:
    """The full path reads 2 as int; where FHIR has a decimal, the accept path reads it as Decimal."""
    if isinstance(value, dict):
        return {key: with_decimals(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [with_decimals(entry, name) for entry in value]
    return Decimal(value) if name in ("value", "valueDecimal") and type(value) is int else value


def sorted_deeply(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted_deeply(value[key]) for key in sorted(value)}
    return [sorted_deeply(entry) for entry in value] if isinstance(value, list) else value


def test_a_common_response_is_taken(decode, response):
    assert check_sound(decode, written(response))


@pytest.mark.parametrize("how", [{"indent": 2}, {"separators": (", ", " : ")}, {"sort_keys": True}])
def test_neither_blanks_nor_the_order_of_properties_matter(decode, response, how):
    del response["item"][1]["item"][0], response["item"][1]["item"][1]["answer"][1]
    assert check_sound(decode, json.dumps(response, **how).encode())


def test_what_is_not_stated_is_unset(decode, response):
    accepted = decode(written({key: response[key] for key in ("resourceType", "status", "item")}))
    unset = (
        accepted.id,
        accepted.subject,
        accepted.questionnaire,
        accepted.authored,
        accepted.item[0].answer,
    )
    assert all(value is msgspec.UNSET for value in unset)


UUID = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
HEAD = ("subject", "encounter", "author", "source")


@pytest.mark.parametrize(
    ("reference", "elements"),
    [
        ({"reference": "Patient/1"}, {"subject", "author", "source"}),
        ({"reference": "Patient/1/_history/2"}, {"subject", "author", "source"}),
        ({"reference": "https://ehr.example.org/fhir/r4/Patient/1"}, {"subject", "author", "source"}),
        ({"reference": "Patient/1", "type": "Patient"}, {"subject", "author", "source"}),
        ({"type": "Patient", "display": "x"}, {"subject", "author", "source"}),
        ({"reference": "Encounter/1"}, {"encounter"}),
        ({"reference": "Device/1"}, {"author"}),
        ({"reference": "RelatedPerson/1"}, {"author", "source"}),
        ({"reference": UUID}, {*HEAD}),
        ({"display": "x"}, {*HEAD}),
        ({"identifier": {"value": "1"}}, {*HEAD}),
        ({"reference": UUID, "type": "Patient"}, {"subject", "author", "source"}),
        # The full path takes these too, but what a result makes of them is not the same for every form.
        ({"reference": "Group/1"}, set()),
        ({"reference": "https://example.org/people/1"}, set()),
        ({"type": "http://hl7.org/fhir/StructureDefinition/Patient", "display": "x"}, set()),
        # These it refuses.
        ({"reference": "Patient/ 1"}, set()),
        ({"reference": "Patient/1 "}, set()),
        ({"reference": "Patient/"}, set()),
        ({"reference": "Canary/1"}, set()),
        ({"reference": "Patient/1", "type": "Practitioner"}, set()),
        ({"reference": "Encounter/1", "type": "Patient"}, set()),
        ({"type": "Canary", "display": "x"}, set()),
    ],
)
def test_a_reference_is_taken_where_it_plainly_leads_to_what_r4_names(decode, response, reference, elements):
    assert {name for name in HEAD if check_sound(decode, written(response | {name: reference}))} == elements


def test_a_response_without_identifier_has_a_header_without_one(decode, response):
    del response["identifier"]
    assert check_sound(decode, written(response))


DAYS_OF_2026 = [(date(2026, 1, 1) + timedelta(days)).isoformat() for days in range(365)]
NEVER = [
    *("2026-02-29", "2026-02-30", "2026-04-31", "2026-11-31"),
    *("2026-13-01", "2026-00-01", "2026-01-00", "2026-1-1"),
]


@pytest.mark.parametrize("time", ["", "T23:59:59Z", "T00:00:00.250-05:30"])
def test_iv21_every_day_of_a_year_is_taken_and_no_other(decode, time):
    def taken(day: str) -> bool:
        response = deepcopy(SAMPLE) | {"authored": day + time}
        response["meta"] = {"lastUpdated": day + (time or "T00:00:00Z")}
        response["item"][3]["answer"] += [{"valueDate": day}, {"valueDateTime": day + time}]
        return check_sound(decode, written(response))

    assert [day for day in (*DAYS_OF_2026, *NEVER) if taken(day)] == DAYS_OF_2026


@pytest.mark.parametrize("value", ["2026", "2026-01", "2026-02", "2026-11"])
def test_iv21_part_of_a_date_is_taken(decode, value):
    response = deepcopy(SAMPLE) | {"authored": value}
    response["item"][3]["answer"].append({"valueDate": value})
    assert check_sound(decode, written(response))
    assert decode(written(response | {"meta": {"lastUpdated": value}})) is None


def test_the_last_level_of_items_has_the_same_attributes(decode, response):
    item: dict[str, Any] = {"linkId": "x", "answer": [{"valueBoolean": True}]}
    for _ in range(4):
        item = {"linkId": "x", "item": [item]}
    accepted = decode(written(response | {"item": [item]})).item[0]
    for _ in range(4):
        accepted = accepted.item[0]
    assert accepted.item is accepted.answer[0].item is msgspec.UNSET
    assert decode(written(response | {"item": [{"linkId": "x", "item": [item]}]})) is None


def set_answer(**answer: Any) -> Callable[[dict[str, Any]], None]:
    return lambda response: response["item"][0]["item"][0].update(answer=[answer])


CODED = {"system": "http://loinc.org", "code": "LA33-6"}
DAYS = {"value": 2, "system": UCUM, "code": "d"}


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(extension=[{"url": "http://x", "valueCode": "x"}]),
        lambda r: r.update(contained=[{"resourceType": "Patient", "id": "p"}]),
        lambda r: r.update(foo=1),
        lambda r: r.update(status="done"),
        lambda r: r.pop("status"),
        lambda r: r.pop("item"),
        lambda r: r.update(item=[]),
        lambda r: r.update(resourceType="Patient"),
        lambda r: r.update(id="a_b"),
        lambda r: r.update(authored="2026-02-30"),
        lambda r: r.update(authored="2026-01-05T10:00:00"),
        lambda r: r.update(questionnaire="#q"),
        lambda r: r.update(questionnaire="a b"),
        lambda r: r.update(subject={"reference": "#p"}),
        lambda r: r.update(source={"reference": "#p"}),
        lambda r: r.update(subject={}),
        lambda r: r.update(meta={}),
        lambda r: r.update(identifier={"system": "http://x"}),
        lambda r: r["item"][0].update(answer=[{"valueBoolean": True}]),
        lambda r: r["item"][0].update(text=""),
        lambda r: r["item"][0].pop("linkId"),
        set_answer(),
        set_answer(valueBoolean=True, valueString="x"),
        set_answer(valueString="x", valueCoding=CODED),
        set_answer(valueCoding=CODED | {"code": "other"}),
        set_answer(valueCoding={"code": "LA33-6"}),
        set_answer(valueCoding={"system": "http://loinc.org"}),
        set_answer(valueCoding=CODED | {"userSelected": True}),
        set_answer(valueString=""),
        set_answer(valueString='a "quoted" word'),
        set_answer(valueInteger="3"),
        set_answer(valueInteger=2**31),
        set_answer(valueBoolean=1),
        set_answer(valueDecimal="2.0"),
        set_answer(valueDecimal=Decimal("1E+5")),
        set_answer(valueDecimal=Decimal("1E-9")),
        set_answer(valueDecimal=Decimal("1." + "0" * 30)),
        set_answer(valueQuantity={"value": 2, "code": "d"}),
        set_answer(valueQuantity={"value": 2}),
        set_answer(valueQuantity=DAYS | {"comparator": "<"}),
        set_answer(valueDate="2026-02-30"),
        set_answer(valueReference={"reference": "Patient/1"}),
        lambda r: r.update(text={"status": "empty"}),
        lambda r: r["item"][0].update(text="x" * 300_000),
    ],
)
def test_whatever_it_does_not_prove_is_left_to_the_full_path(decode, response, change):
    change(response)
    assert decode(written(response)) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"status":', b'"status":"stopped","status":'),
        (b'"linkId":"g1"', b'"linkId":"g1","linkId":"g1"'),
        (b'"valueInteger":0', b'"valueInteger":-0'),
        (b'"valueInteger":0', b'"valueInteger" : -0'),
        (b'"valueInteger":0', b'"valueInteger":0.0'),
        (b'"valueInteger":0', b'"valueInteger":1e0'),
        (b'"valueInteger":0', b'"valueInteger":null'),
        (b'"value":2.50', b'"value":-0'),
        (b'"value":2.50', b'"value":"2.50"'),
        (b'"value":2.50', b'"value":1e999'),
        (b'"value":2.50', b'"value":1E5'),
        (b'"value":2.50', b'"value":NaN'),
        (b'"value":2.50', b'"value":' + b"9" * 5000),
        (b'"valueInteger":0', b'"valueInteger":0,"valueInteger":1'),
        (b'"resourceType"', b'"resource\\u0054ype"'),
        (b"About fever", b"About\x01fever"),
        (b"About fever", b"About \xed\xa0\x80"),
        (b"About fever", b"About \xff"),
        (b'"item":[', b'"item": [ ],"item":['),
    ],
)
def test_what_typed_decoding_would_let_pass_is_left_to_the_full_path(decode, response, before, after):
    body = written(response)
    assert before in body
    assert decode(body.replace(before, after, 1)) is None


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"[" * 100_000, b'{"item":' * 100_000, b"\xef\xbb\xbf{}"]
)
def test_what_is_no_response_is_left_to_the_full_path(decode, body):
    assert decode(body) is None


def test_a_decimal_that_became_longer_does_not_hide_a_property_that_stood_twice(decode, response):
    """1E5 is written again as 1E+5: ten of them are as much longer as one more `"id":"r1",` is long."""
    response["item"] = [{"linkId": "x", "answer": [{"valueDecimal": Decimal("1E+5")}] * 10}]
    body = written(response).replace(b"1E+5", b"1E5").replace(b'"id":"r1"', b'"id":"r1","id":"r1"')
    assert len(body) == len(written(response))
    assert decode(body) is None


def test_strings_that_look_like_json_do_not_mislead_it(decode, response):
    for text in (",value", "],item:", ":", "{", "[", "-0", ": -0", "value:", "NaN"):
        response["item"][0]["text"] = text
        assert check_sound(decode, written(response))
    response["item"][0]["text"] = "{}"
    assert decode(written(response)) is None


def test_without_options_no_coding_is_taken(response):
    bare = decoder([])
    assert bare(written(response)) is None
    del response["item"][0]
    assert bare(written(response)) is not None


def test_an_option_whose_code_fhir_would_refuse_is_never_taken(form, response):
    odd = Coding("http://loinc.org", "a  b")
    question = replace(
        form.questions["fever"], options=(Option(odd, "Odd"), *form.questions["fever"].options)
    )
    decode = decoder([replace(form, questions={"fever": question})])
    assert check_sound(decode, written(response))
    set_answer(valueCoding={"system": odd.system, "code": odd.code})(response)
    assert decode(written(response)) is None


JUNK = st.sampled_from(
    [
        None,
        "",
        " ",
        "x",
        "-0",
        0,
        -1,
        2**31,
        True,
        False,
        Decimal("1.50"),
        Decimal("1E+5"),
        [],
        {},
        ["x"],
        {"value": "x"},
        "2026-02-30",
        "2026-01-05",
        "2026-01-05T10:00:00Z",
        "#x",
        "a b",
        {"linkId": "x"},
        [{"linkId": "x"}],
        CODED,
        DAYS,
        {"reference": "Patient/1"},
        [{"valueBoolean": True}],
        [{"valueInteger": 1, "valueString": ","}],
        [{}],
    ]
)
NAMES = st.sampled_from(
    [
        *("item", "answer", "linkId", "text", "valueBoolean", "valueInteger", "valueDecimal", "valueString"),
        *("valueDate", "valueDateTime", "valueTime", "valueUri", "valueCoding", "valueQuantity", "value"),
        *("code", "system", "display", "unit", "id", "identifier", "subject", "reference", "authored"),
        *("status", "extension", "definition", "meta", "_text"),
    ]
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [pair for key in keys for pair in ((value, key), *places(value[key]))]


ACTIONS = st.sampled_from(["replace", "remove", "add", "copy"])
EDITS = st.lists(st.tuples(st.integers(0, 200), ACTIONS, NAMES, JUNK.map(deepcopy)), min_size=1, max_size=3)


def edited(response: dict[str, Any], number: int, action: str, name: str, junk: Any) -> None:
    """Changes one place of a response."""
    everywhere = places(response)
    container, key = everywhere[number % len(everywhere)]
    if action == "replace":
        container[key] = junk
    elif action == "remove":
        del container[key]
    elif isinstance(container, dict):
        container[name] = junk if action == "add" else deepcopy(container[key])


@examples(600)
@given(EDITS)
def test_no_change_of_a_value_makes_it_unsound(decode, edits):
    response = deepcopy(SAMPLE)
    for edit in edits:
        edited(response, *edit)
    check_sound(decode, written(response))


SNIPPETS = st.sampled_from(
    [
        *(b'"', b"\\", b"{}", b"[]", b"-0", b"-", b"0", b"1e5", b"E5", b".0", b",", b":", b'"value'),
        *(b'],"item":[', b" ", b"\n", b"null", b'"2.0"', b"\xff", b"\xed\xa0\x80", b"\x00", b"\x01"),
        *(b'"linkId":"x",', b'"valueInteger":1,', b'{"linkId":"x"},', b"\\u0041", b'"id":"r1",', b'""'),
        *(b"{", b"}", b"[", b"]", b"\xc3\xa4", b"\x7f", b"true", b"NaN"),
    ]
)


@examples(1500)
@given(st.integers(0, 2000), st.integers(0, 40), SNIPPETS, st.booleans())
@example(0, 0, b" ", False)
def test_no_change_of_the_bytes_makes_it_unsound(decode, start, length, snippet, copy):
    body = written(SAMPLE)
    start %= len(body)
    inserted = body[start : start + length] if copy else snippet
    check_sound(decode, body[:start] + inserted + body[start + (0 if copy else length) :])


@examples(500)
@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(1, 60))
def test_no_piece_moved_to_another_place_makes_it_unsound(decode, source, target, length):
    body = written(SAMPLE)
    source, target = source % len(body), target % len(body)
    piece = body[source : source + length]
    try:
        check_sound(decode, body[:target] + piece + b"," + body[target:])
        check_sound(decode, body[:target] + piece + body[target:])
    except ServiceError as error:
        pytest.fail(f"accepted, and refused by the full path: {error}")


SAMPLE: dict[str, Any] = {
    "resourceType": "QuestionnaireResponse",
    "id": "r1",
    "identifier": {"value": "1"},
    "status": "completed",
    "subject": {"reference": "Patient/p1"},
    "authored": "2026-01-05T10:00:00Z",
    "item": [
        {"linkId": "g", "text": "Grüße", "item": [{"linkId": "a", "answer": [{"valueCoding": CODED}]}]},
        {"linkId": "b", "answer": [{"valueInteger": 0}, {"valueDecimal": Decimal("2.00")}]},
        {"linkId": "c", "answer": [{"valueQuantity": DAYS, "item": [{"linkId": "d"}]}]},
        {
            "linkId": "e",
            "answer": [{"valueDate": "2026-01-05"}, {"valueString": "x, y"}, {"valueTime": "10:00:00"}],
        },
    ],
}
