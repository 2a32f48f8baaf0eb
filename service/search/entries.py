"""Reads the index entries out of a resource.

The same texts are folded, split and resolved in the same way when a query asks for them (values.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from service.fhir.dates import time_range
from service.fhir.primitives import ID, R4_DEFINITIONS
from service.search.parameters import SearchParameter, parameters_of
from service.storage.entries import Absent, Date, Entry, Number, Reference, String, Token, Uri

# Texts of searches: what a backslash escapes, and what counts as the same letters.

_ESCAPED = re.compile(r"\\([\\,|$])")


def split(text: str, separator: str) -> list[str]:
    """Returns the parts between separators that no backslash escapes; escapes stay in the parts.

    Source: FHIR R4 search.html 3.1.1.4.19
    """
    found = re.finditer(rf"\\.|{re.escape(separator)}", text, re.DOTALL)
    cuts = [match.start() for match in found if match[0] == separator]
    starts, ends = [0, *(cut + 1 for cut in cuts)], [*cuts, len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def unescaped(text: str) -> str:
    r"""Returns the text that was meant: `\,`, `\|`, `\$` and `\\` stand for their second character."""
    return _ESCAPED.sub(r"\1", text)


def folded(text: str) -> str:
    """Returns the text without case and accents: two texts that fold alike are found alike."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


# What a reference points at: the same thing has one form, in what is stored and in what is asked.

TYPE: Final = r"[A-Z][A-Za-z]{1,63}"

_LOCAL = re.compile(rf"({TYPE})/({ID})(?:/_history/({ID}))?")
# What some senders write around a relative reference; the person who is meant must be found by it.
_ODD = re.compile(r"\A(?:\./|/)+|(?:/+|[#?].*)\Z", re.DOTALL)
_HISTORY = re.compile(rf"/_history/{ID}\Z")
_TAIL = re.compile(rf"/({TYPE})/{ID}\Z")

Contained = Mapping[str, Mapping[str, Any]]


class Target(NamedTuple):
    """What a reference names: a resource of this server by type and id, or anything else by its url.

    Args:
        type: resource type; of a foreign url the one that its path says; else empty.
        id: empty for a foreign url.
        url: empty for a resource of this server.
        version: version of a resource of this server; else empty.
    """

    type: str
    id: str
    url: str
    version: str = ""


@lru_cache(maxsize=256)  # the records of one version name the same person and each other again and again
def target_of(text: str, base: str) -> Target:
    """Returns the target of a literal reference.

    An absolute url below our own base is the relative reference; a version is no part of what is
    named. Any other url only equals itself: two servers may use one id for two people.
    """
    local = _LOCAL.fullmatch(text) or _LOCAL.fullmatch(_ODD.sub("", text.strip().removeprefix(f"{base}/")))
    if local:
        return Target(local[1], local[2], "", local[3] or "")
    url = _HISTORY.sub("", text)
    tail = _TAIL.search(url)
    return Target(tail[1] if tail else "", "", url)


def reference_entries(
    parameter: str, reference: Mapping[str, Any], contained: Contained, base: str, only: str = ""
) -> list[Reference]:
    """Returns the index entries of one Reference.

    Args:
        parameter: name of the search parameter.
        reference: the Reference; one without literal reference and identifier has no entry.
        contained: the contained resources by id: one that is referred to stands there by its identifiers.
        base: public FHIR base.
        only: leave out what is not known to be of this type; empty for none.
    """
    text = reference.get("reference", "")
    if not text and "identifier" not in reference:
        return []
    is_inside = text.startswith("#")
    inside = contained.get(text[1:], {}) if is_inside else {}
    named = target_of(text, base) if text and not is_inside else _NOBODY
    if only and only != named.type and only != _type_of(reference, inside, named):
        return []
    found = []
    if named.id:
        found.append(Reference(parameter, named.type, named.id))
    elif named.url:
        found.append(Reference(parameter, "", "", named.url))
    if inside or "identifier" in reference:
        for identifier in _identifiers(reference, inside):
            value, system = identifier.get("value"), identifier.get("system", "")
            if isinstance(value, str) and isinstance(system, str):
                found.append(Reference(parameter, identifier=(system, value)))
    return found


_NOBODY: Final = Target("", "", "")


def contained_in(resource: Mapping[str, Any]) -> Contained:
    """Returns the contained resources by id."""
    inside = resource.get("contained", ())
    return {contained["id"]: contained for contained in inside if "id" in contained}


def _type_of(reference: Mapping[str, Any], inside: Mapping[str, Any], named: Target) -> str:
    stated: str = inside.get("resourceType") or named.type or reference.get("type", "")
    return stated.removeprefix(R4_DEFINITIONS)


def _identifiers(*holders: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for holder in holders:
        found = holder.get("identifier", ())  # inside a contained resource it may be anything
        for identifier in found if isinstance(found, list | tuple) else (found,):
            if isinstance(identifier, dict):
                yield identifier


PERSON = "_person"
"""Name of the entries that erasure and export look for; no query can name it."""

SUBJECT = "_subject"
"""Name of the entries by which a Provenance is found for whom its response is about; no query names it."""

_PERSONS: Mapping[str, tuple[str, ...]] = {
    "QuestionnaireResponse": ("subject", "author", "source"),
    "RiskAssessment": ("subject",),
}


class _Context(NamedTuple):
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
    context = _Context(base, contained_in(resource), resource.get("version", ""))
    found: list[Entry] = []
    for head, path, readers in _paths(resource["resourceType"]):
        if head in resource:
            for value in values_at(resource, path):
                for read, parameter in readers:
                    found += read(parameter, value, context)
    dates = _dates_of(resource["resourceType"])
    if dates:
        dated = {entry.parameter for entry in found if isinstance(entry, Date)}
        found += [Absent(name) for name in dates if name not in dated]
    return (*found, *person_entries(resource, base))


def person_entries(resource: Mapping[str, Any], base: str) -> tuple[Reference, ...]:
    """Returns an entry named `_person` for each person that a response or assessment is about."""
    names = _PERSONS.get(resource["resourceType"], ())
    persons = [resource[name] for name in names if name in resource]
    contained = contained_in(resource) if persons else {}
    found = (entry for person in persons for entry in reference_entries(PERSON, person, contained, base))
    return tuple(dict.fromkeys(found))


def subject_entries(resource: Mapping[str, Any], base: str) -> tuple[Reference, ...]:
    """Returns an entry named `_subject` for whom a response is about: what was made of it is found by it."""
    if "subject" not in resource:
        return ()
    return tuple(reference_entries(SUBJECT, resource["subject"], contained_in(resource), base))


def values_at(resource: Mapping[str, Any], path: tuple[str, ...]) -> list[Any]:
    """Returns the values of an element, of every repetition on the way to it."""
    found: list[Any] = [resource]
    for name, is_nested in _steps(path):
        reached: list[Any] = []
        for holder in found:
            if name in holder:
                reached += _members(holder[name])
        found = [nested for member in reached for nested in _nested(member, name)] if is_nested else reached
    return found


def _members(value: Any) -> Sequence[Any]:
    return [member for member in value if member is not None] if isinstance(value, list) else (value,)


@cache
def _steps(path: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """Returns each element on a path, and whether it is meant at any depth."""
    return tuple((step.removesuffix("*"), step.endswith("*")) for step in path)


def _nested(value: Mapping[str, Any], name: str) -> Iterator[Any]:
    yield value
    for nested in value.get(name, ()):
        yield from _nested(nested, name)


_Read = Callable[[SearchParameter, Any, "_Context"], Iterable[Entry]]


@cache
def _paths(kind: str) -> tuple[tuple[str, tuple[str, ...], tuple[tuple[_Read, SearchParameter], ...]], ...]:
    """Returns each path with its first element and what reads it: an element is looked up once."""
    readers: dict[tuple[str, ...], list[tuple[_Read, SearchParameter]]] = {}
    for parameter in parameters_of(kind).values():
        for path in parameter.paths:
            readers.setdefault(path, []).append((_reader_of(parameter), parameter))
    return tuple((path[0].removesuffix("*"), path, tuple(those)) for path, those in readers.items())


@cache
def _dates_of(kind: str) -> tuple[str, ...]:
    """Returns the names of the parameters that are dates in the resource itself."""
    dates = (parameter for parameter in parameters_of(kind).values() if parameter.type == "date")
    return tuple(parameter.name for parameter in dates if parameter.paths)


def _reader_of(parameter: SearchParameter) -> _Read:
    return _canonicals if parameter.canonical else _READERS[parameter.type]


def _tokens(parameter: SearchParameter, value: Any, _context: _Context) -> Iterable[Entry]:
    name = parameter.name
    if isinstance(value, str):
        return (Token(name, value, parameter.system),)
    found = []
    for coded in value.get("coding", (value,)):
        code = coded.get("code") or coded.get(
            "value"
        )  # of a Coding the code counts, of an Identifier the value
        if code is not None:
            found.append(Token(name, code, coded.get("system", "")))
    return found


def _references(parameter: SearchParameter, value: Any, context: _Context) -> Iterable[Entry]:
    return reference_entries(parameter.name, value, context.contained, context.base, parameter.only)


def _canonicals(parameter: SearchParameter, value: str, context: _Context) -> Iterable[Entry]:
    named = _outside(value, context.contained)
    return [Reference(parameter.name, url=url) for url in dict.fromkeys((named.partition("|")[0], named))]


def _outside(canonical: str, contained: Contained) -> str:
    """Returns the canonical itself; of a contained form of an adaptive one, the canonical it is derived from.

    `#id` means nothing outside of its resource, and whoever looks for the answers to a form means those too.

    Source: SDC 4.0, StructureDefinition sdc-questionnaire-adapt (derivedFrom).
    """
    if not canonical.startswith("#"):
        return canonical
    derived: Any = contained.get(canonical[1:], {}).get("derivedFrom")
    is_one = isinstance(derived, list) and len(derived) == 1 and isinstance(derived[0], str)
    return derived[0] if is_one else canonical


def _dates(parameter: SearchParameter, value: str, _context: _Context) -> Iterable[Entry]:
    found = time_range(value)
    return () if found is None else (Date(parameter.name, *found),)


def _strings(parameter: SearchParameter, value: str, _context: _Context) -> Iterable[Entry]:
    return String(parameter.name, folded(value)), String(f"{parameter.name}:exact", value)


def _uris(parameter: SearchParameter, value: str, context: _Context) -> Iterator[Entry]:
    name = parameter.name
    for url in dict.fromkeys((value.partition("|")[0], value)):
        yield Uri(name, url)
    if name == "url" and context.version:
        yield Uri(name, f"{value}|{context.version}")


def _numbers(parameter: SearchParameter, value: Any, _context: _Context) -> Iterable[Entry]:
    if isinstance(value, dict):
        ends = [value.get(end, {}).get("value") for end in ("low", "high")]
        low, high = (None if end is None else Decimal(str(end)) for end in ends)
        return (Number(parameter.name, low, high),)
    return (Number(parameter.name, Decimal(str(value)), Decimal(str(value))),)


_READERS: Final[Mapping[str, _Read]] = {
    "token": _tokens,
    "reference": _references,
    "date": _dates,
    "string": _strings,
    "uri": _uris,
    "number": _numbers,
}
