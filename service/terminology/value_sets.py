"""Value sets: which codes belong to one that is contained in a Questionnaire, at hand here, or R4's own.

Each value set is put together once, after those that it takes in, so that what it costs is the length of
what is written, however often they take in each other. What is not at hand, and a value set that takes in
itself, leaves a doubt about codes, never a guess; see `membership.py`.

Source: FHIR R4 valueset.html (compose, expansion); references.html#canonical (`url|version`, `url#id`).
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from service.datatypes.answers import Answer, Coding
from service.errors import Ask
from service.fhir.extensions import mappings, text, values
from service.terminology.code_systems import (
    Ancestor,
    CodeSystem,
    Concept,
    ConceptInTree,
    Filter,
    any_of,
    designations,
    is_abstract,
    is_inactive,
    weight,
)
from service.terminology.membership import (
    CodeSet,
    Doubt,
    Member,
    Membership,
    difference,
    intersection,
    membership_of,
    of_members,
    union,
    unknown,
)
from service.terminology.sources import r4_resource

Resource = Mapping[str, Any]

_TYPES: Final = ("ValueSet", "CodeSystem")
_UNCLOSED: Final = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
_PARTIAL: Final = frozenset(("filter", "count", "offset"))
"""Parameters of an expansion that leave codes out of it."""

_ITSELF: Final = unknown("a value set takes in itself")
_SILENT: Final = unknown("a value set does not say which codes it has")
_DIGITS: Final = re.compile(r"(\d+)")

_Value = TypeVar("_Value")
_Memo = MutableMapping[int, tuple[Resource, _Value]]
"""What was made of a resource, by its identity; the resource beside it keeps the identity its own."""


class Choice(msgspec.Struct, frozen=True):
    """One permitted answer.

    Args:
        exclusive: it forbids any other answer beside it.
        translations: its display in other languages.
    """

    answer: Answer
    display: str
    weight: Decimal | None = None
    exclusive: bool = False
    translations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ValueSets:
    """ValueSet and CodeSystem resources at hand, by url, by `url|version`, and by `#id` where contained.

    Args:
        contained: identities of the resources that came with a form or a response.
    """

    sets: Mapping[str, Resource] = field(default_factory=dict)
    systems: Mapping[str, Resource] = field(default_factory=dict)
    contained: frozenset[int] = frozenset()
    _code_sets: _Memo[CodeSet] = field(default_factory=dict, repr=False, compare=False)
    _code_systems: _Memo[CodeSystem] = field(default_factory=dict, repr=False, compare=False)

    def membership(self, canonical: str, coding: Coding) -> Membership:
        """Says whether a code is a member of a value set: yes, no, or unknown and why.

        Args:
            canonical: `url`, `url|version`, or `#id` or `url#id` of a contained resource.
        """
        codes = self.codes(canonical)
        said = codes.of(coding)
        if not isinstance(said, Member):
            said = self._in_other_case(codes, coding) or said
        return membership_of(said)

    def _in_other_case(self, codes: CodeSet, coding: Coding) -> Member | None:
        """Returns the member that differs in case only, in a code system that ignores case."""
        system = self.code_system(coding.system)
        if system is None or not system.ignores_case:
            return None
        found = codes.of(Coding(coding.system, system.code(coding.code)))
        if isinstance(found, Member):
            return found
        folded = coding.code.casefold()
        same = (one for one in codes.members if one.coding.system == coding.system)
        return next((one for one in same if one.coding.code.casefold() == folded), None)

    def codes(self, canonical: str) -> CodeSet:
        """Returns the codes of a value set, as far as they are known."""
        resource = self.value_set(canonical)
        if resource is not None:
            return self.codes_of(resource)
        asks = () if "#" in canonical else (("ValueSet", canonical),)
        return unknown("a value set is not at hand", *asks, about=canonical)

    def codes_of(self, resource: Resource) -> CodeSet:
        """Returns the codes of a ValueSet resource, as far as they are known."""
        if id(resource) not in self._code_sets:
            for part in self._with_parts_first(resource):
                self._code_sets[id(part)] = (part, _Expansion(self).codes_of(part))
        return self._code_sets[id(resource)][1]

    def codes_made(self, canonical: str) -> CodeSet:
        """Returns the same of what a value set takes in: it is put together by then, or runs in a circle."""
        resource = self.value_set(canonical)
        if resource is None:
            return self.codes(canonical)
        made = self._code_sets.get(id(resource))
        return made[1] if made is not None else _ITSELF

    def _with_parts_first(self, resource: Resource) -> list[Resource]:
        """Returns the value sets to put together for this one, each after those that it takes in."""
        ordered: list[Resource] = []
        seen: set[int] = set()
        pending = [(resource, False)]
        while pending:
            current, are_parts_done = pending.pop()
            if are_parts_done:
                ordered.append(current)
            elif id(current) not in seen and id(current) not in self._code_sets:
                seen.add(id(current))
                pending.append((current, True))
                taken_in = (self.value_set(canonical) for canonical in _taken_in(current))
                pending.extend((part, False) for part in taken_in if part is not None)
        return ordered

    def value_set(self, canonical: str) -> Resource | None:
        """Returns the ValueSet with this canonical, at hand or of R4, or None."""
        return self.sets.get(canonical) or _r4_resource_of_type(canonical, "ValueSet")

    def system(self, url: str, version: str = "") -> Resource | None:
        """Returns a CodeSystem, at hand or of R4, in this version if one is named, or None."""
        canonical = f"{url}|{version}" if version else url
        return self.systems.get(canonical) or _r4_resource_of_type(canonical, "CodeSystem")

    def code_system(self, url: str, version: str = "") -> CodeSystem | None:
        """Returns a code system with its index of concepts, or None if it is not known here."""
        resource = self.system(url, version)
        if resource is None:
            return None
        if id(resource) not in self._code_systems:
            self._code_systems[id(resource)] = (resource, CodeSystem(resource))
        return self._code_systems[id(resource)][1]

    def names(self, coding: Coding) -> tuple[str, ...]:
        """Returns the names of a code as its code system has them, the display first; see `CodeSystem.names`.

        What came with a form or a response does not count: its words are the sender's.
        """
        system = self.code_system(coding.system)
        is_ours = system is not None and id(system.resource) not in self.contained
        return system.names(coding.code) if system is not None and is_ours else ()

    def with_resources(self, resources: Iterable[Resource]) -> ValueSets:
        """Returns these with further ones before them; a bare url then stands for their newest version."""
        sets, systems = _by_canonical(resources)
        return ValueSets({**self.sets, **sets}, {**self.systems, **systems}, self.contained)

    def with_contained(self, container: Resource) -> ValueSets:
        """Returns these with the resources in front of them that a form or a response contains."""
        resources = [one for one in mappings(container.get("contained")) if one.get("resourceType") in _TYPES]
        if not resources:
            return self
        named = [(name, one) for one in resources for name in _names_within(container, one)]
        sets, systems = _by_canonical(resources)
        for name, resource in named:
            (sets if resource["resourceType"] == "ValueSet" else systems)[name] = resource
        return ValueSets(
            {**self.sets, **sets},
            {**self.systems, **systems},
            self.contained | {id(resource) for resource in resources},
            _code_systems=ChainMap({}, dict(self._code_systems)),
        )


def value_sets_from(resources: Iterable[Resource]) -> ValueSets:
    """Collects ValueSets and CodeSystems; of several versions the newest has the bare url."""
    return ValueSets().with_resources(resources)


def _by_canonical(resources: Iterable[Resource]) -> tuple[dict[str, Resource], dict[str, Resource]]:
    """Returns ValueSets and CodeSystems by `url` and `url|version`."""
    found: dict[object, dict[str, Resource]] = {"ValueSet": {}, "CodeSystem": {}}
    for resource in resources:
        named, url, version = (
            found.get(resource.get("resourceType")),
            text(resource.get("url")),
            _version(resource),
        )
        if named is None or not url:
            continue
        if version:
            named[f"{url}|{version}"] = resource
        if url not in named or _age(version) >= _age(_version(named[url])):
            named[url] = resource
    return found["ValueSet"], found["CodeSystem"]


def _names_within(container: Resource, resource: Resource) -> Iterator[str]:
    """Yields the names of a contained resource: `#id`, alone and after the url of its container."""
    id_, url = text(resource.get("id")), text(container.get("url"))
    if id_:
        yield f"#{id_}"
    if id_ and url:
        yield f"{url}#{id_}"
        yield f"{url}|{_version(container)}#{id_}"


def _version(resource: Resource) -> str:
    return text(resource.get("version"))


def _age(version: str) -> list[tuple[int, int, str]]:
    """Returns the sort key of a version: numbers count by their value, 9 before 10."""
    parts = _DIGITS.split(version)
    return [(1, int(part[:18]), "") if part.isdecimal() else (0, 0, part) for part in parts if part]


def _r4_resource_of_type(canonical: str, resource_type: str) -> Resource | None:
    found = r4_resource(canonical)
    return found if found is not None and found["resourceType"] == resource_type else None


def _taken_in(value_set: Resource) -> Iterator[str]:
    """Yields the canonicals of the value sets that one takes in or takes out, each once."""
    compose = value_set.get("compose")
    parts = compose if isinstance(compose, Mapping) else {}
    includes = (*mappings(parts.get("include")), *mappings(parts.get("exclude")))
    return iter(dict.fromkeys(canonical for include in includes for canonical in _imported(include)))


def _imported(include: Resource) -> list[str]:
    listed = include.get("valueSet")
    return [text(canonical) for canonical in listed] if isinstance(listed, list) else []


class _Expansion:
    """Puts one value set together, after those that it includes."""

    def __init__(self, known: ValueSets) -> None:
        self.known = known

    def codes_of(self, resource: Resource) -> CodeSet:
        codes = self._codes_of(resource)
        url, version = text(resource.get("url")), _version(resource)
        if not url or id(resource) in self.known.contained:
            return codes
        return codes.asking(("ValueSet", f"{url}|{version}" if version else url))

    def _codes_of(self, resource: Resource) -> CodeSet:
        listed, is_whole = _listed_in_expansion(resource)
        if listed is not None and is_whole:
            return listed
        compose = resource.get("compose")
        composed = self._composed(compose) if isinstance(compose, Mapping) else None
        if listed is None:
            return _SILENT if composed is None else composed
        return union(
            [listed, unknown("its expansion is one page of several") if composed is None else composed]
        )

    def _composed(self, compose: Resource) -> CodeSet:
        includes, excludes = list(mappings(compose.get("include"))), list(mappings(compose.get("exclude")))
        if not includes:
            return _SILENT
        codes = union(self._all_included(includes))
        if excludes:
            codes = difference(codes, union(self._all_included(excludes)))
        return codes.without_inactive() if compose.get("inactive") is False else codes

    def _all_included(self, includes: Iterable[Resource]) -> list[CodeSet]:
        """Returns the codes of each include; those that take in or filter one code system together."""
        by_system: dict[tuple[str, str], dict[object, list[Filter]]] = {}
        parts: list[CodeSet | tuple[str, str]] = []
        for include in includes:
            system = text(include.get("system")), text(include.get("version"))
            if not system[0] or include.get("concept") or _imported(include):
                parts.append(self._included(include))
                continue
            if system not in by_system:
                parts.append(system)
            filters = list(mappings(include.get("filter")))
            by_system.setdefault(system, {})[_written(filters)] = filters
        return [
            part if isinstance(part, CodeSet) else self._filtered(*part, list(by_system[part].values()))
            for part in parts
        ]

    def _included(self, include: Resource) -> CodeSet:
        """Returns the codes that satisfy all of one include: system, concepts, filters and value sets."""
        parts = [self._of_system(include)] if text(include.get("system")) else []
        parts += [self.known.codes_made(canonical) for canonical in _imported(include)]
        different = list({id(part): part for part in parts}.values())
        if not different:
            return unknown("an include names neither a code system nor a value set")
        found = different[0]
        for part in different[1:]:
            found = intersection(found, part)
        return found

    def _of_system(self, include: Resource) -> CodeSet:
        url, version = text(include.get("system")), text(include.get("version"))
        concepts, filters = list(mappings(include.get("concept"))), list(mappings(include.get("filter")))
        if not concepts:
            return self._filtered(url, version, [filters])
        system = self.known.code_system(url, version)
        return _of_concepts(url, version or (system.version if system is not None else ""), concepts, system)

    def _filtered(self, url: str, version: str, alternatives: list[list[Filter]]) -> CodeSet:
        """Returns the codes of a code system that pass all filters of one of the alternatives."""
        system = self.known.code_system(url, version)
        canonical, takes_all = f"{url}|{version}" if version else url, [] in alternatives
        is_asked = takes_all and not self._is_contained(system)
        asks: tuple[Ask, ...] = (("CodeSystem", canonical),) if is_asked else ()
        if system is None or system.content in ("not-present", "supplement"):
            return CodeSet(systems={url: Doubt("a code system is not at hand", asks, canonical)})
        version = version or system.version
        passing = [system.passing(filters) for filters in alternatives]
        sure = system.places(any_of(codes for codes, is_whole in passing if is_whole))
        members = of_members(_member_of_code_system(url, version, place) for place in sure)
        if not system.is_complete:
            doubt = Doubt("a code system is at hand in part only", asks, canonical)
            return CodeSet(members.said if takes_all else {}, {url: doubt})
        maybe = system.places(any_of(codes for codes, is_whole in passing if not is_whole))
        if not maybe:
            return members
        doubt = Doubt("a filter on a code system is not understood here", about=canonical)
        doubted = {Coding(url, text(place.concept.get("code"))): doubt for place in maybe}
        return CodeSet({**doubted, **members.said})

    def _is_contained(self, system: CodeSystem | None) -> bool:
        return system is not None and id(system.resource) in self.known.contained


def _written(filters: Iterable[Filter]) -> object:
    """Returns a key that equal filters share."""
    return tuple(tuple(text(filter_.get(key)) for key in ("property", "op", "value")) for filter_ in filters)


def _of_concepts(url: str, version: str, concepts: list[Concept], system: CodeSystem | None) -> CodeSet:
    """Returns the codes that an include lists."""
    if system is None:
        return of_members(_member_of_compose(url, version, concept, {}) for concept in concepts)
    at_hand = system.concepts
    codes = (system.code(text(concept.get("code"))) for concept in concepts)
    return of_members(
        _member_of_compose(url, version, concept, at_hand[code].concept if code in at_hand else {})
        for concept, code in zip(concepts, codes, strict=True)
    )


def _member_of_code_system(system: str, version: str, found: ConceptInTree) -> Member:
    concept, above = found
    return Member(
        coding=Coding(system, text(concept.get("code"))),
        display=text(concept.get("display")),
        weight=weight(concept),
        version=version,
        abstract=is_abstract(concept),
        inactive=is_inactive(concept),
        designations=designations(concept),
        above=above,
    )


def _member_of_compose(system: str, version: str, listed: Concept, known: Concept) -> Member:
    """Returns a code that a value set lists.

    Args:
        system, version: of the code.
        listed: the code as the value set lists it.
        known: the same code in its code system; empty if that is not at hand.
    """
    return Member(
        coding=Coding(system, text(listed.get("code"))),
        display=text(listed.get("display")) or text(known.get("display")),
        weight=weight(listed),
        version=version,
        abstract=is_abstract(known),
        inactive=is_inactive(known),
        designations=(*designations(listed), *designations(known)),
    )


# The expansion that a value set carries.


def _listed_in_expansion(value_set: Resource) -> tuple[CodeSet | None, bool]:
    """Returns the codes of the expansion in a ValueSet, if there is one, and whether these are all."""
    expansion = value_set.get("expansion")
    if not isinstance(expansion, Mapping) or "contains" not in expansion:
        return None, False
    listed = of_members(_members_in(expansion["contains"]))
    return listed, _is_whole(expansion, len(listed.said))


def _is_whole(expansion: Resource, count: int) -> bool:
    total = expansion.get("total")
    partial = {text(parameter.get("name")) for parameter in mappings(expansion.get("parameter"))} & _PARTIAL
    is_unclosed = any(found is True for found in values(expansion, _UNCLOSED))
    if is_unclosed or "filter" in partial or expansion.get("offset") not in (None, 0):
        return False
    return total <= count if isinstance(total, int) else not partial


def _members_in(contains: object) -> Iterator[Member]:
    pending: list[tuple[Resource, Member | None]] = []
    pending.extend([(entry, None) for entry in mappings(contains)][::-1])
    while pending:
        entry, parent = pending.pop()
        if text(entry.get("code")):
            parent = _member_of_expansion(entry, parent)
            yield parent
        pending.extend([(child, parent) for child in mappings(entry.get("contains"))][::-1])


def _member_of_expansion(entry: Resource, parent: Member | None) -> Member:
    coding = Coding(text(entry.get("system")), text(entry.get("code")))
    has_parent = parent is not None and parent.coding.system == coding.system
    return Member(
        coding=coding,
        display=text(entry.get("display")),
        weight=weight(entry),
        version=text(entry.get("version")),
        abstract=entry.get("abstract") is True,
        inactive=entry.get("inactive") is True,
        designations=designations(entry),
        above=Ancestor(parent.coding.code, parent.above) if parent is not None and has_parent else None,
    )
