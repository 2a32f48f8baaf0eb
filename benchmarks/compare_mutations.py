"""Documents that are wrong in one place: an element that is gone, doubled or of another type."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]
Path = tuple[str | int, ...]

_CODES = "https://guidance.example.org/fhir/CodeSystem/muscle-twitching-answers"

WRONG_ANSWERS: tuple[Any, ...] = (
    {},
    [],
    None,
    "text",
    5,
    {"valueString": "much"},
    {"valueString": ""},
    {"valueString": " padded "},
    {"valueString": "x" * 5000},
    {"valueString": "a\u0007b"},
    {"valueString": 5},
    {"valueInteger": 1},
    {"valueInteger": -1},
    {"valueInteger": 1.5},
    {"valueInteger": "3"},
    {"valueInteger": 3000000000},
    {"valueDecimal": 0.1},
    {"valueDecimal": 1e40},
    {"valueBoolean": True},
    {"valueBoolean": "true"},
    {"valueDate": "2024-06"},
    {"valueDate": "2024-02-30"},
    {"valueDateTime": "2024-06-15T12:00:00Z"},
    {"valueDateTime": "2024-06-15T12:00:00.1234567890123456789Z"},
    {"valueDateTime": "2024-06-15T12:00"},
    {"valueTime": "25:00:00"},
    {"valueUri": "not a uri"},
    {"valueCoding": {"system": _CODES, "code": "none"}},
    {"valueCoding": {"system": _CODES, "code": "no-such-code"}},
    {"valueCoding": {"system": "http://loinc.org", "code": "LA33-6"}},
    {"valueCoding": {"system": "http://loinc.org", "code": "LA33-6", "display": "Nonsense"}},
    {"valueCoding": {"code": "LA33-6"}},
    {"valueCoding": {"display": "Yes"}},
    {"valueCoding": {"system": 5, "code": []}},
    {"valueCoding": "LA33-6"},
    {"valueQuantity": {"value": 2, "system": "http://unitsofmeasure.org", "code": "wk"}},
    {"valueQuantity": {"value": -2, "system": "http://unitsofmeasure.org", "code": "wk"}},
    {"valueQuantity": {"value": 2, "system": "http://unitsofmeasure.org", "code": "parsec"}},
    {"valueQuantity": {"value": 2, "unit": "weeks"}},
    {"valueQuantity": {"value": "2"}},
    {"valueQuantity": {"value": 2, "comparator": "<", "system": "http://unitsofmeasure.org", "code": "wk"}},
    {"valueQuantity": {}},
    {"valueReference": {"reference": "Patient/1"}},
    {"valueAttachment": {"contentType": "text/plain", "data": "eA=="}},
    {"valueInteger": 1, "valueString": "two"},
    {"valueInteger": 1, "item": [{"linkId": "inside"}]},
    {"valueDecimal": 1, "extra": 1},
    {"valueInteger": 1, "_valueInteger": {"extension": [{"url": "http://x.example.org", "valueCode": "y"}]}},
    {"_valueString": {"extension": [{"url": "http://x.example.org", "valueCode": "unknown"}]}},
    {"extension": [{"url": "http://x.example.org", "valueCode": "unknown"}]},
    {"id": "a"},
)

ROOT_CHANGES: tuple[tuple[str, Any], ...] = (
    *(("status", each) for each in ("completed", "amended", "in-progress", "stopped", "entered-in-error")),
    *(("status", each) for each in ("nonsense", "", None, 5, "Completed")),
    *(
        ("questionnaire", f"https://guidance.example.org/fhir/Questionnaire/{each}")
        for each in ("muscle-twitching", "muscle-twitching|9.9.9", "muscle-twitching|1.1.0#x", "other|1", "")
    ),
    *(
        ("questionnaire", each)
        for each in ("", None, 5, "#form", "urn:uuid:x", "https://other.example.org/q")
    ),
    *(
        ("authored", each)
        for each in (
            "2024",
            "2024-06",
            "2024-06-15",
            "2024-06-15T12:00:00Z",
            "2024-06-15T12:00:00.123456789Z",
            "2024-06-15T12:00:00+14:00",
            "2024-06-15T12:00:00",
            "2024-06-15T24:00:00Z",
            "2024-06-15T23:59:60Z",
            "2024-13-01",
            "24-06-15",
            "yesterday",
            "9999-12-31",
            "0001-01-01",
            "",
            5,
        )
    ),
    *(
        ("subject", each)
        for each in (
            {"reference": "Patient/other"},
            {"reference": "Patient/other/_history/2"},
            {"reference": "https://ehr.example.org/fhir/Patient/7"},
            {"reference": "urn:uuid:4a1cf2f1-3a6a-4d9e-8a39-0d7e7ddc6d2b"},
            {"reference": "#p"},
            {"reference": "Group/1"},
            {"reference": "Patient/with blank"},
            {"reference": ""},
            {"reference": 5},
            {"display": "Somebody"},
            {"identifier": {"system": "https://ehr.example.org/p", "value": "1"}},
            {"type": "Patient", "display": "<b>Name</b>"},
            {"type": "Nonsense", "reference": "Patient/1"},
            {},
            [],
            "Patient/1",
        )
    ),
    *(
        (name, {"reference": each})
        for name in ("author", "source", "encounter")
        for each in ("Patient/1", "Practitioner/1", "Encounter/1", "Nonsense/1", "#c", "RelatedPerson/1")
    ),
    ("basedOn", [{"reference": "ServiceRequest/1"}]),
    ("partOf", [{"reference": "Procedure/1"}]),
    ("basedOn", {"reference": "ServiceRequest/1"}),
    ("identifier", {"value": "x"}),
    ("identifier", {"system": "nonsense", "value": 5}),
    ("identifier", [{"value": "x"}]),
    ("language", "de-CH"),
    ("language", "not a language!"),
    ("implicitRules", "https://rules.example.org"),
    ("modifierExtension", [{"url": "https://ehr.example.org/not", "valueBoolean": True}]),
    ("extension", [{"url": "https://ehr.example.org/x", "valueDecimal": 2.0}]),
    ("extension", [{"url": "https://ehr.example.org/x"}]),
    ("extension", [{"url": "https://ehr.example.org/x", "valueString": "a", "valueCode": "b"}]),
    ("extension", []),
    (
        "meta",
        {
            "tag": [
                {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
            ]
        },
    ),
    ("meta", {"profile": ["http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaireresponse"]}),
    ("meta", {"versionId": "9", "lastUpdated": "2020-01-01T00:00:00Z"}),
    ("meta", {"lastUpdated": "2020-01-01"}),
    ("meta", []),
    ("contained", [{"resourceType": "Patient", "id": "p"}]),
    ("contained", [{"resourceType": "Patient"}]),
    ("contained", [{"id": "p"}]),
    (
        "contained",
        [{"resourceType": "Patient", "id": "p", "contained": [{"resourceType": "Group", "id": "g"}]}],
    ),
    ("text", {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>ok</p></div>'}),
    *(
        ("text", {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{each}</div>'})
        for each in (
            "<script>alert(1)</script>",
            '<p onclick="alert(1)">x</p>',
            '<a href="javascript:alert(1)">x</a>',
            '<a href="#x">x</a>',
            "<iframe/>",
            "<style>p{}</style>",
            "<!--><img src=x onerror=alert(1)>--><p>x</p>",
            "<p>x</p><![CDATA[><img src=x onerror=alert(1)>]]>",
            '<h:script xmlns:h="http://www.w3.org/1999/xhtml">x</h:script>',
            '<img src="javascript:alert(1)"/>',
            "<p>not closed",
            "&nbsp;",
            "",
        )
    ),
    ("text", {"status": "nonsense", "div": "<div>x</div>"}),
    ("text", "words"),
    ("item", None),
    ("item", []),
    ("item", {}),
    ("item", [{"linkId": "no-such-question", "answer": [{"valueInteger": 1}]}]),
    ("item", [{}]),
    ("item", [{"linkId": "weakness", "answer": []}]),
    ("item", [{"linkId": "start", "item": []}]),
    ("id", "x" * 65),
    ("id", "not an id"),
    ("id", 5),
    ("resourceType", "Patient"),
    ("resourceType", None),
    ("resourceType", 5),
    ("nobody", "knows"),
    ("_status", {"extension": [{"url": "https://x.example.org", "valueCode": "y"}]}),
    ("_authored", {"extension": [{"url": "https://x.example.org", "valueCode": "y"}]}),
    ("_authored", 5),
)


def spread(things: Sequence[Any], most: int) -> list[Any]:
    """Returns at most so many of the things, evenly from the first to the last."""
    if len(things) <= most:
        return list(things)
    return [things[index * len(things) // most] for index in range(most)]


def paths(node: Any, at: Path = ()) -> Iterator[Path]:
    """Yields the place of every element and list entry below a node."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*at, key)
        yield from paths(value, (*at, key))


def value_at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def shown(path: Path) -> str:
    """Returns a place as text, `item[3].answer[0].valueCoding`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def damaged(document: Json) -> list[tuple[str, Path, str]]:
    """Returns what may be done to the document: a name, the place, and the kind of damage."""
    return [
        (f"{shown(path)} {damage}", path, damage)
        for path in paths(document)
        for damage in ("drop", "retype", "null", "double", "empty", "extra")
        if _applies(damage, value_at(document, path), path)
    ]


def _applies(damage: str, value: Any, path: Path) -> bool:
    if damage == "double":
        return isinstance(path[-1], int)
    if damage == "extra":
        return isinstance(value, dict)
    return damage != "empty" or (isinstance(value, (str, list, dict)) and len(value) > 0)


def with_damage(document: Json, path: Path, damage: str) -> Json:
    """Returns a copy with one element dropped, doubled, emptied or of another type."""
    changed = copy.deepcopy(document)
    parent, last = value_at(changed, path[:-1]), path[-1]
    if damage == "drop":
        del parent[last]
    elif damage == "double":
        parent.insert(last, copy.deepcopy(parent[last]))
    elif damage == "extra":
        parent[last]["nobody"] = "knows"
    elif damage == "null":
        parent[last] = None
    elif damage == "empty":
        parent[last] = type(parent[last])()
    else:
        parent[last] = _of_another_type(parent[last])
    return changed


def _of_another_type(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return 5
    if isinstance(value, dict):
        return [value]
    return value[0] if value else {}


def answers_of(document: Json) -> list[Path]:
    """Returns the places of all answers."""
    return [path for path in paths(document) if len(path) > 1 and path[-2] == "answer"]


def with_value(document: Json, path: Path, value: Any) -> Json:
    """Returns a copy with another value at a place."""
    changed = copy.deepcopy(document)
    value_at(changed, path[:-1])[path[-1]] = value
    return changed


def with_root(document: Json, name: str, value: Any) -> Json:
    """Returns a copy with another element of the resource itself."""
    return {**copy.deepcopy(document), name: value}
