"""Reads what a resource is found by out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from service.search.dates import stretch
from service.search.parameters import SearchParameter
from service.search.references import Contained, contained_in, reference_entries
from service.search.tables import parameters_of
from service.search.texts import folded
from service.storage import Date, Entry, Number, Reference, String, Token, Uri

PERSON = "_person"
"""Name of the entries that erasure and export look for; no query can name it."""

_PERSONS: Mapping[str, tuple[str, ...]] = {
    "QuestionnaireResponse": ("subject", "author", "source"),
    "RiskAssessment": ("subject",),
}


class _Within(NamedTuple):
    """What the entries of a resource need to know of it as a whole."""

    base: str
    contained: Contained
    version: str


def entries_of(resource: Mapping[str, Any], base: str) -> tuple[Entry, ...]:
    """Returns the index entries of a resource, those of the persons that it is about included.

    Args:
        resource: decoded JSON of a valid resource of a type that is searched.
        base: public FHIR base, without a slash at its end.
    """
    within = _Within(base, contained_in(resource), resource.get("version", ""))
    found = _entries(resource, within)
    return (*found, *person_entries(resource, base))


def person_entries(resource: Mapping[str, Any], base: str) -> tuple[Reference, ...]:
    """Returns an entry named `_person` for each person that a response or assessment is about."""
    contained = contained_in(resource)
    names = _PERSONS.get(resource["resourceType"], ())
    persons = (resource[name] for name in names if name in resource)
    found = (entry for each in persons for entry in reference_entries(PERSON, each, contained, base))
    return tuple(dict.fromkeys(found))


def values_at(resource: Mapping[str, Any], path: tuple[str, ...]) -> list[Any]:
    """Returns the values of an element, of every repetition on the way to it."""
    found: list[Any] = [resource]
    for step in path:
        name = step.removesuffix("*")
        found = [member for each in found if name in each for member in _members(each[name])]
        if name != step:
            found = [each for member in found for each in _nested(member, name)]
    return found


def _members(value: Any) -> Sequence[Any]:
    return [each for each in value if each is not None] if isinstance(value, list) else (value,)


def _nested(value: Mapping[str, Any], name: str) -> Iterator[Any]:
    yield value
    for each in value.get(name, ()):
        yield from _nested(each, name)


@cache
def _places(kind: str) -> tuple[tuple[str, tuple[str, ...], SearchParameter], ...]:
    """Returns for each path of each parameter its first element, the path and the parameter."""
    placed = ((path, each) for each in parameters_of(kind).values() for path in each.paths)
    return tuple((path[0].removesuffix("*"), path, parameter) for path, parameter in placed)


def _entries(resource: Mapping[str, Any], within: _Within) -> Iterator[Entry]:
    for head, path, parameter in _places(resource["resourceType"]):
        if head in resource:
            for value in values_at(resource, path):
                yield from _read(parameter, value, within)


def _read(parameter: SearchParameter, value: Any, within: _Within) -> Iterable[Entry]:
    name = parameter.name
    found: Iterable[Entry]
    match parameter.type:
        case "token":
            found = _tokens(parameter, value)
        case "reference" if parameter.canonical:
            found = _canonicals(name, value)
        case "reference":
            found = reference_entries(name, value, within.contained, within.base, parameter.only)
        case "date":
            found = _dates(name, value)
        case "string":
            found = String(name, folded(value)), String(f"{name}:exact", value)
        case "uri":
            found = _uris(name, value, within.version)
        case "number":  # pragma: no branch - there is no other type
            found = (_number(name, value),)
    return found


def _tokens(parameter: SearchParameter, value: Any) -> Iterator[Entry]:
    if isinstance(value, str):
        yield Token(parameter.name, value, parameter.system)
        return
    for each in value.get("coding", (value,)):
        code = each.get("code") or each.get("value")  # of a Coding, of an Identifier
        if code is not None:
            yield Token(parameter.name, code, each.get("system", ""))


def _canonicals(name: str, value: str) -> Iterator[Entry]:
    for each in dict.fromkeys((value.partition("|")[0], value)):
        yield Reference(name, url=each)


def _dates(name: str, value: str) -> Iterator[Entry]:
    found = stretch(value)
    if found is not None:
        yield Date(name, *found)


def _uris(name: str, value: str, version: str) -> Iterator[Entry]:
    yield Uri(name, value)
    if name == "url" and version:
        yield Uri(name, f"{value}|{version}")


def _number(name: str, value: Any) -> Entry:
    if isinstance(value, dict):
        ends = (value.get(end, {}).get("value") for end in ("low", "high"))
        return Number(name, *(None if end is None else Decimal(str(end)) for end in ends))
    return Number(name, Decimal(str(value)), Decimal(str(value)))
