"""Reads what `$assess` is sent: a QuestionnaireResponse, or Parameters with one and with chart data.

Source: R4 operations.html; OperationDefinition QuestionnaireResponse-assess in `definitions/`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.errors import Malformed, Problem
from service.fhir import kinds

RESPONSE: Final = "questionnaire-response"
DATA: Final = "data"

_ROOT = "Parameters"
_PROPERTIES = frozenset({"resourceType", "id", "meta", "language", "parameter"})
_MEMBERS = frozenset({"id", "extension", "name", "resource"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """A resource and its FHIRPath in the body."""

    resource: Json
    at: str


@dataclass(frozen=True, slots=True)
class Posted:
    """What was sent.

    Args:
        response: the QuestionnaireResponse, not yet checked.
        at: its FHIRPath in the body.
        data: Observations from the chart, not yet checked.
    """

    response: Json
    at: str
    data: tuple[Placed, ...] = ()


def posted_from(resource: Json) -> Posted:
    """Returns the response and the chart data in a body that `body.read` has read.

    Raises:
        Malformed: another resource; or Parameters with a parameter missing, repeated, unknown or of the
            wrong kind. Each problem names the parameter.
    """
    named = resource.get("resourceType")
    if named == "QuestionnaireResponse":
        return Posted(resource, "QuestionnaireResponse")
    if named != _ROOT:
        text = "resourceType: expected QuestionnaireResponse, or Parameters that hold one."
        raise Malformed(Problem(kinds.RESOURCE_TYPE, text))
    entries = list(_entries(resource))
    problems = [*_unknown(resource), *_faults(entries), *_counted(entries)]
    if problems:
        raise Malformed(*problems)
    (response,) = (
        Placed(each["resource"], f"{at}.resource") for each, at in entries if each["name"] == RESPONSE
    )
    return Posted(response.resource, response.at, tuple(_data(entries)))


def _entries(resource: Json) -> Iterator[tuple[Any, str]]:
    parameters = resource.get("parameter")
    for index, each in enumerate(parameters if isinstance(parameters, list) else ()):
        yield each, f"{_ROOT}.parameter[{index}]"


def _unknown(resource: Json) -> Iterator[Problem]:
    if not resource.keys() <= _PROPERTIES:
        yield Problem(
            kinds.UNKNOWN_PROPERTY, "Parameters: expected only id, meta, language and parameter.", _ROOT
        )
    if not isinstance(resource.get("parameter"), list):
        yield Problem(kinds.PARAMETER, f"Parameters: expected the parameter {RESPONSE}.", _ROOT)


def _faults(entries: list[tuple[Any, str]]) -> Iterator[Problem]:
    for each, at in entries:
        name = each.get("name") if isinstance(each, dict) else None
        if name not in (RESPONSE, DATA):
            text = f"{_shown(name)}: expected a parameter named {RESPONSE} or {DATA}."
            yield Problem(kinds.PARAMETER, text, at)
        elif not each.keys() <= _MEMBERS or not isinstance(each.get("resource"), dict):
            yield Problem(kinds.PARAMETER, f"Parameter {name}: expected a resource and nothing else.", at)
        elif name == DATA:
            yield from _data_faults(each["resource"], f"{at}.resource")


def _shown(name: object) -> str:
    return (
        f"Parameter {name}"
        if isinstance(name, str) and _NAME.fullmatch(name)
        else "Parameter without a proper name"
    )


def _counted(entries: list[tuple[Any, str]]) -> Iterator[Problem]:
    names = Counter(
        each.get("name") for each, _ in entries if isinstance(each, dict) and type(each.get("name")) is str
    )
    if entries and names[RESPONSE] != 1:
        found = "is missing" if names[RESPONSE] == 0 else "stands more than once"
        yield Problem(kinds.PARAMETER, f"Parameter {RESPONSE} {found}. Expected: exactly one.", _ROOT)


def _data_faults(resource: Json, at: str) -> Iterator[Problem]:
    placed = list(_unpacked(resource, at))
    if placed and all(each.resource.get("resourceType") == "Observation" for each in placed):
        return
    if placed or resource.get("resourceType") != "Bundle" or "entry" in resource:
        yield Problem(kinds.PARAMETER, f"Parameter {DATA}: expected an Observation, or a Bundle of them.", at)


def _unpacked(resource: Json, at: str) -> Iterator[Placed]:
    """Yields the resource itself, or what a Bundle holds; an entry without resource yields an empty one."""
    if resource.get("resourceType") != "Bundle":
        yield Placed(resource, at)
        return
    entries = resource.get("entry")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        inner = entry.get("resource") if isinstance(entry, dict) else None
        yield Placed(inner if isinstance(inner, dict) else {}, f"{at}.entry[{index}].resource")


def _data(entries: list[tuple[Any, str]]) -> Iterator[Placed]:
    for each, at in entries:
        if each["name"] == DATA:
            yield from _unpacked(each["resource"], f"{at}.resource")
