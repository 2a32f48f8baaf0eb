"""Small Questionnaires and responses from a short notation, and the corpus files written in it.

An item is `{id: a, type: integer, min: 3}`; what is not stated has a plain default. Answers are
`{a: 2}`; a list gives several answers, a mapping for a group gives its items, a list of mappings
the occurrences of a repeating group. A mapping with a key that begins with `value` is an answer as
FHIR writes it; `{is: x, items: {...}}` is an answer with items inside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import UNSET, UnsetType

from service.errors import Problem
from service.fhir import extensions as ext
from service.questionnaire import CompiledQuestionnaire, compile_leniently
from service.terminology import value_sets_from

CORPUS = Path(__file__).resolve().parents[1] / "questionnaire" / "corpus"
CANONICAL = "https://forms.example.org/Questionnaire/small|1"
SYSTEM = "https://forms.example.org/CodeSystem/answers"
UCUM = "http://unitsofmeasure.org"
ENCODE = msgspec.json.Encoder(decimal_format="number").encode

_VALUE_NAMES = {
    "boolean": "Boolean",
    "decimal": "Decimal",
    "integer": "Integer",
    "date": "Date",
    "dateTime": "DateTime",
    "time": "Time",
    "string": "String",
    "text": "String",
    "url": "Uri",
    "choice": "Coding",
    "open-choice": "Coding",
    "quantity": "Quantity",
    "reference": "Reference",
    "attachment": "Attachment",
}
_PLAIN = ("required", "repeats", "readOnly", "maxLength", "enableBehavior")


_NUMBER_AS_TEXT = re.compile(rb'"value(Decimal)?":"')


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML without surprises: decimals keep their digits, dates stay texts, yes and no are words."""


def _once(loader: Loader, node: Any) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"a key stands twice near line {node.start_mark.line + 1}"
    return dict(loader.construct_pairs(node, deep=True))


Loader.yaml_implicit_resolvers = {}
Loader.add_constructor("tag:yaml.org,2002:map", _once)
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(null|~)$"), list("n~"))
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^-?[0-9]+$"), list("-0123456789"))
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^-?[0-9]+\.[0-9]+$"), list("-0123456789")
)
Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: Decimal(loader.construct_scalar(node)))
Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node)))


@cache
def load(name: str) -> Any:
    """Reads one YAML file of the corpus."""
    return yaml.load((CORPUS / name).read_text("utf-8"), Loader)


def form(*items: Mapping[str, Any], **root: Any) -> dict[str, Any]:
    """A Questionnaire with these items; `root` adds or replaces properties."""
    url, _, version = CANONICAL.partition("|")
    rules = {key: root.pop(key) for key in ("constraint", "variable") if key in root}
    resource = {"resourceType": "Questionnaire", "url": url, "version": version, "status": "active"}
    resource |= {"item": [item(notation) for notation in items]} | root
    extensions = list(_expressions(rules))
    return resource | ({"extension": extensions} if extensions else {})


def item(short: Mapping[str, Any]) -> dict[str, Any]:
    """One Questionnaire item from the short notation."""
    type_ = short.get("type") or (
        "choice" if "options" in short else "group" if "items" in short else "string"
    )
    written: dict[str, Any] = {"linkId": short["id"], "type": type_}
    written["text"] = short.get("text", f"Question {short['id']}?")
    written |= {key: short[key] for key in _PLAIN if key in short}
    if "options" in short:
        written["answerOption"] = [_option(option) for option in short["options"]]
    if "set" in short:
        written["answerValueSet"] = short["set"]
    if "when" in short:
        conditions = short["when"] if isinstance(short["when"][0], list) else [short["when"]]
        written["enableWhen"] = [_condition(*condition) for condition in conditions]
        if len(conditions) > 1:
            written.setdefault("enableBehavior", "all")
    if "initial" in short:
        written["initial"] = [answer(type_, value) for value in _listed(short["initial"])]
    extensions = [*_limits(short, type_), *_computed_limits(short, type_), *_expressions(short)]
    if extensions:
        written["extension"] = extensions
    if "items" in short:
        written["item"] = [item(inner) for inner in short["items"]]
    for element in ("maxLength", "required", "repeats"):
        if element in short.get("computed", {}):
            written[f"_{element}"] = _computed(short["computed"][element])
    return written | short.get("raw", {})


def _option(one: Any) -> dict[str, Any]:
    if isinstance(one, str):
        return {"valueCoding": {"system": SYSTEM, "code": one, "display": one.title()}}
    if isinstance(one, int):
        return {"valueInteger": one}
    if "code" not in one:
        return dict(one)
    display = {"display": one["display"]} if "display" in one else {}
    coding = {"system": one.get("system", SYSTEM), "code": one["code"], **display}
    written: dict[str, Any] = {"valueCoding": coding}
    urls = {"weight": ext.ITEM_WEIGHT, "ordinal": ext.ORDINAL_VALUE, "old": ext.OLD_ORDINAL_VALUES[0]}
    found = [{"url": url, "valueDecimal": one[key]} for key, url in urls.items() if key in one]
    if one.get("exclusive"):
        found.append({"url": ext.OPTION_EXCLUSIVE, "valueBoolean": True})
    return written | ({"extension": found} if found else {})


def _condition(question: str, operator: str, expected: Any) -> dict[str, Any]:
    written: dict[str, Any] = {"question": question, "operator": operator}
    if isinstance(expected, Mapping):
        ((type_, value),) = expected.items()
    elif isinstance(expected, bool):
        type_, value = "boolean", expected
    elif isinstance(expected, int):
        type_, value = "integer", expected
    elif isinstance(expected, Decimal):
        type_, value = "decimal", expected
    else:
        type_, value = "choice", expected
    ((name, inner),) = answer(type_, value).items()
    return written | {"answer" + name.removeprefix("value"): inner}


def _limits(short: Mapping[str, Any], type_: str) -> Iterator[dict[str, Any]]:  # noqa: C901 - one line a limit
    typed = {"min": ext.MIN_VALUE, "max": ext.MAX_VALUE}
    for key, url in typed.items():
        if key in short:
            yield {"url": url, **answer(type_, short[key])}
    for key, url in (("minQuantity", ext.MIN_QUANTITY), ("maxQuantity", ext.MAX_QUANTITY)):
        if key in short:
            yield {"url": url, **answer("quantity", short[key])}
    whole = {
        "low": ext.MIN_OCCURS,
        "high": ext.MAX_OCCURS,
        "minLength": ext.MIN_LENGTH,
        "places": ext.MAX_DECIMAL_PLACES,
    }
    for key, url in whole.items():
        if key in short:
            yield {"url": url, "valueInteger": short[key]}
    if "regex" in short:
        yield {"url": ext.REGEX, "valueString": short["regex"]}
    if "maxSize" in short:
        yield {"url": ext.MAX_SIZE, "valueDecimal": short["maxSize"]}
    yield from _units(short)
    for key, url in (("mime", ext.MIME_TYPE), ("targets", ext.REFERENCE_RESOURCE)):
        for value in short.get(key, ()):
            yield {"url": url, "valueCode": value}


def _units(short: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for unit in short.get("units", ()):
        yield {"url": ext.UNIT_OPTION, "valueCoding": {"system": UCUM, "code": unit}}
    if "unitOpen" in short:
        yield {"url": ext.UNIT_OPEN, "valueCode": short["unitOpen"]}
    if "unitSystem" in short:
        yield {"url": ext.UNIT_SUPPLEMENTAL_SYSTEM, "valueCanonical": short["unitSystem"]}
    if "unitSet" in short:
        yield {"url": ext.UNIT_VALUE_SET, "valueCanonical": short["unitSet"]}


def _computed_limits(short: Mapping[str, Any], type_: str) -> Iterator[dict[str, Any]]:
    """Limits under `computed`, by the names of the fixed ones: an expression each."""
    urls = {
        "min": ext.MIN_VALUE,
        "max": ext.MAX_VALUE,
        "minQuantity": ext.MIN_QUANTITY,
        "maxQuantity": ext.MAX_QUANTITY,
        "low": ext.MIN_OCCURS,
        "high": ext.MAX_OCCURS,
        "minLength": ext.MIN_LENGTH,
        "places": ext.MAX_DECIMAL_PLACES,
        "maxSize": ext.MAX_SIZE,
    }
    for key, text in short.get("computed", {}).items():
        if key in ("minQuantity", "maxQuantity"):
            yield {"url": urls[key], "valueQuantity": _computed(text)}
        elif key in urls:
            name = _VALUE_NAMES[type_] if key in ("min", "max") else "Integer"
            yield {"url": urls[key], f"_value{name}": _computed(text)}


def _computed(text: str) -> dict[str, Any]:
    return {"extension": [{"url": ext.COMPUTED_VALUES[0], "valueExpression": _expression(text)}]}


def _expression(text: str) -> dict[str, Any]:
    """An Expression: in FHIRPath, or in CQL where the text begins so."""
    language = "text/cql" if text.startswith("cql: ") else "text/fhirpath"
    return {"language": language, "expression": text.removeprefix("cql: ")}


def _expressions(short: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    plain = {
        "enable": ext.ENABLE_WHEN_EXPRESSION,
        "calculated": ext.CALCULATED_EXPRESSION,
        "initially": ext.INITIAL_EXPRESSION,
    }
    for name, text in short.get("variable", {}).items():
        yield {
            "url": ext.VARIABLE,
            "valueExpression": {"name": name, **_expression(text)},
        }
    for key, url in plain.items():
        if key in short:
            yield {"url": url, "valueExpression": _expression(short[key])}
    if "constraint" in short:
        yield from (_constraint(constraint) for constraint in _listed(short["constraint"]))


def _constraint(one: Mapping[str, Any]) -> dict[str, Any]:
    expression = {"valueExpression": _expression(one["that"])}
    if one.get("old"):
        expression = {"valueString": one["that"]}
    parts = [
        {"url": "key", "valueId": one.get("key", "rule-1")},
        {"url": "severity", "valueCode": one.get("severity", "error")},
        {"url": "expression", **expression},
        {"url": "human", "valueString": one.get("human", "The rule must hold.")},
    ]
    return {"url": ext.CONSTRAINT if one.get("old") else ext.TARGET_CONSTRAINT, "extension": parts}


def answer(type_: str, value: Any) -> dict[str, Any]:  # noqa: PLR0911 - one line a type
    """One answer from the short notation, for an item of this type."""
    if isinstance(value, Mapping):
        if "is" in value:
            return answer(type_, value["is"])
        if type_ not in ("attachment", "reference") or any(key.startswith("value") for key in value):
            return dict(value)
    if type_ == "open-choice" and isinstance(value, str) and value.startswith("own: "):
        return {"valueString": value.removeprefix("own: ")}
    if type_ in ("choice", "open-choice") and isinstance(value, int):
        return {"valueInteger": value}
    if type_ in ("choice", "open-choice"):
        system, _, code = value.rpartition("#")
        return {"valueCoding": {"system": system or SYSTEM, "code": code}}
    if type_ == "quantity" and isinstance(value, str):
        number, _, unit = value.partition(" ")
        return {
            "valueQuantity": {"value": Decimal(number), **({"system": UCUM, "code": unit} if unit else {})}
        }
    if type_ == "reference" and isinstance(value, str):
        return {"valueReference": {"reference": value}}
    return {f"value{_VALUE_NAMES[type_]}": value}


def response(of: Mapping[str, Any], given: Mapping[str, Any], **root: Any) -> dict[str, Any]:
    """A completed response to the form; `root` adds or replaces properties, None leaves one out."""
    written = {"resourceType": "QuestionnaireResponse", "questionnaire": CANONICAL, "status": "completed"}
    items = list(_answered(of["item"], given))
    written |= ({"item": items} if items else {}) | root
    return {key: value for key, value in written.items() if value is not None}


def _answered(items: list[Any], given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for source in items:
        link = source["linkId"]
        if link not in given:
            continue
        for occurrence in _listed(given[link]) if source["type"] == "group" else [given[link]]:
            yield {"linkId": link, "text": source["text"], **_content(source, occurrence)}


def _content(source: Mapping[str, Any], given: Any) -> dict[str, Any]:
    if source["type"] == "group":
        items = list(_answered(source["item"], given))
        return {"item": items} if items else {}
    answers = []
    for value in _listed(given):
        written = answer(source["type"], value)
        if isinstance(value, Mapping) and "items" in value:
            inside = list(_answered(source["item"], value["items"]))
            written = {key: found for key, found in written.items() if key.startswith("value")} | {
                "item": inside
            }
        answers.append(written)
    return {"answer": answers} if answers else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def compiled(questionnaire: Mapping[str, Any], *resources: Mapping[str, Any]) -> CompiledQuestionnaire:
    """Compiles a form, with value sets beside it."""
    return compile_leniently(questionnaire, value_sets_from(resources))


def served(questionnaire: Mapping[str, Any]) -> CompiledQuestionnaire:
    """Compiles a form with all that is made of one that is served: it offers responses to a walk first."""
    made = compiled(questionnaire)
    made.complete()
    return made


def shown(problems: Any) -> list[str]:
    """Problems as the corpus writes them: `~` marks a warning, `?` information, `-` the response itself."""
    marks = {"error": "", "warning": "~", "information": "?"}
    return sorted(f"{marks[problem.severity]}{problem.kind} {_path(problem)}" for problem in problems)


def _path(problem: Problem) -> str:
    return problem.expression.removeprefix("QuestionnaireResponse") or "-"


class Coding(msgspec.Struct, forbid_unknown_fields=True):
    """A Coding as the typed decoder has it."""

    code: str | UnsetType = UNSET
    system: str | UnsetType = UNSET
    display: str | UnsetType = UNSET


class Quantity(msgspec.Struct, forbid_unknown_fields=True):
    """A Quantity as the typed decoder has it."""

    value: Decimal | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    system: str | UnsetType = UNSET
    code: str | UnsetType = UNSET


class AnswerStruct(msgspec.Struct, forbid_unknown_fields=True):
    """An answer as the typed decoder has it."""

    valueBoolean: bool | UnsetType = UNSET  # noqa: N815
    valueDecimal: Decimal | UnsetType = UNSET  # noqa: N815
    valueInteger: int | UnsetType = UNSET  # noqa: N815
    valueDate: str | UnsetType = UNSET  # noqa: N815
    valueDateTime: str | UnsetType = UNSET  # noqa: N815
    valueTime: str | UnsetType = UNSET  # noqa: N815
    valueString: str | UnsetType = UNSET  # noqa: N815
    valueUri: str | UnsetType = UNSET  # noqa: N815
    valueCoding: Coding | UnsetType = UNSET  # noqa: N815
    valueQuantity: Quantity | UnsetType = UNSET  # noqa: N815
    item: list[ItemStruct] | UnsetType = UNSET


class ItemStruct(msgspec.Struct, forbid_unknown_fields=True):
    """A response item as the typed decoder has it."""

    linkId: str  # noqa: N815
    text: str | UnsetType = UNSET
    answer: list[AnswerStruct] | UnsetType = UNSET
    item: list[ItemStruct] | UnsetType = UNSET


def structs(resource: Mapping[str, Any]) -> list[ItemStruct] | None:
    """The items as typed structs; None where a typed decoder would refuse them, as the service's does."""
    data = ENCODE(resource.get("item", []))
    if _NUMBER_AS_TEXT.search(data):
        return None
    try:
        items = msgspec.json.decode(data, type=list[ItemStruct])
    except msgspec.ValidationError:
        return None
    return items if items and _has_one_value(resource["item"]) else None


def _has_one_value(items: list[dict[str, Any]]) -> bool:
    for item in items:
        for answer in item.get("answer", [{"value": 0}]):
            if sum(key.startswith("value") for key in answer) != 1 or not _has_one_value(
                answer.get("item", [])
            ):
                return False
        if item.get("answer") == [] or item.get("item") == [] or not _has_one_value(item.get("item", [])):
            return False
    return True


def copied(resource: Any) -> Any:
    """A deep copy through JSON, as a client would send it; decimals keep their digits."""
    return json.loads(ENCODE(resource), parse_float=Decimal)
