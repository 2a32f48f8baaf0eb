"""Value sets: which codes belong to one that is contained in a Questionnaire, served here, or R4's own.

A value set has a finite list of codes or none: where it includes a code system whose concepts are not
at hand, codes of that system are *uncertain*, neither inside nor outside.

Source: FHIR R4 valueset.html, compose and expansion. R4's own value sets and code systems stand in
`r4_core.json`, codes and displays only (FHIR R4 4.0.1 definitions: valuesets, v2-tables, v3-codesystems).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from service.datatypes.answers import Answer, Coding
from service.fhir.extensions import mappings, text
from service.terminology.code_systems import (
    Concept,
    ConceptInTree,
    concepts_of,
    filtered_concepts,
    is_abstract,
    is_inactive,
    weight,
)

Resource = Mapping[str, Any]

_MAX_DEPTH = 16
"""How many value sets may include one another, one inside the other."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One permitted answer; `exclusive` forbids any other answer beside it."""

    answer: Answer
    display: str
    weight: Decimal | None = None
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """One code of a value set.

    Args:
        coding: system and code.
        display: as the value set has it, else as the code system has it.
        weight: what the code counts in a score, where the value set says so.
        version: of the code system; empty where it is not known.
        abstract: it only groups other codes and cannot be chosen.
        inactive: its code system no longer uses it.
        designations: further names, in other languages or for other uses, as FHIR.
        ancestors: codes of the same system that it stands below, the nearest last.
    """

    coding: Coding
    display: str
    weight: Decimal | None = None
    version: str = ""
    abstract: bool = False
    inactive: bool = False
    designations: tuple[Mapping[str, Any], ...] = ()
    ancestors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Members:
    """Codes of a value set in order, and the systems of which further codes may belong to it."""

    by_coding: Mapping[Coding, Member]
    uncertain: frozenset[str] = frozenset()

    @property
    def choices(self) -> Mapping[Answer, Choice]:
        """The codes that may be answered."""
        return {
            coding: Choice(coding, member.display, member.weight)
            for coding, member in self.by_coding.items()
            if not member.abstract
        }


@dataclass(frozen=True, slots=True)
class ValueSets:
    """ValueSet and CodeSystem resources by url, and by `url|version`."""

    sets: Mapping[str, Resource] = field(default_factory=dict)
    systems: Mapping[str, Resource] = field(default_factory=dict)

    def members(self, canonical: str) -> Members | None:
        """Returns the codes of a value set, or None where it, or a part of it, is not known here.

        Args:
            canonical: `url`, `url|version` or `#id` of a contained resource.
        """
        return _Expansion(self).of_canonical(canonical, 0)

    def members_of(self, value_set: Resource) -> Members | None:
        """Returns the codes of a ValueSet resource; None as `members` does."""
        return _Expansion(self).of_resource(value_set, 0)

    def value_set(self, canonical: str) -> Resource | None:
        """Returns the ValueSet with this canonical, of the service or of R4, or None."""
        return self.sets.get(canonical) or _r4_resource_of_type(canonical, "ValueSet")

    def system(self, url: str, version: str = "") -> Resource | None:
        """Returns a CodeSystem, of the service or of R4, in this version if one is named, or None."""
        canonical = f"{url}|{version}" if version else url
        return self.systems.get(canonical) or _r4_resource_of_type(canonical, "CodeSystem")

    def with_resources(self, resources: Iterable[Resource]) -> ValueSets:
        """Returns these value sets and code systems with more in front of them, `#id` included."""
        sets, systems = dict(self.sets), dict(self.systems)
        for resource in resources:
            target = {"ValueSet": sets, "CodeSystem": systems}.get(text(resource.get("resourceType")))
            if target is not None:
                target.update(dict.fromkeys(_names(resource), resource))
        return ValueSets(sets, systems)


def value_sets_from(resources: Iterable[Resource]) -> ValueSets:
    """Collects ValueSets and CodeSystems; of several versions the last has the bare url."""
    return ValueSets().with_resources(resources)


def _names(resource: Resource) -> Iterator[str]:
    url, version, id_ = (text(resource.get(key)) for key in ("url", "version", "id"))
    if url:
        yield url
    if url and version:
        yield f"{url}|{version}"
    if id_:
        yield f"#{id_}"


def r4_resource(canonical: str) -> Resource | None:
    """Returns the R4 ValueSet or CodeSystem with this url (no version, `|4.0.1` or its own), or None."""
    url, _, version = canonical.partition("|")
    found = _r4_resources().get(url)
    return found if found is not None and version in ("", "4.0.1", found.get("version")) else None


def _r4_resource_of_type(canonical: str, resource_type: str) -> Resource | None:
    found = r4_resource(canonical)
    return found if found is not None and found["resourceType"] == resource_type else None


@cache
def _r4_resources() -> Mapping[str, Resource]:
    document = json.loads(files(__package__).joinpath("r4_core.json").read_text("utf-8"))
    return {resource["url"]: resource for resource in document}


class _Expansion:
    """Finds the members of value sets; knows the resources that they may include."""

    def __init__(self, known: ValueSets) -> None:
        self.known = known

    def of_canonical(self, canonical: str, depth: int) -> Members | None:
        resource = self.known.value_set(canonical)
        return self.of_resource(resource, depth) if resource is not None and depth <= _MAX_DEPTH else None

    def of_resource(self, resource: Resource, depth: int) -> Members | None:
        listed = _listed_in_expansion(resource)
        if listed is not None:
            return listed
        compose = resource.get("compose")
        return self._composed(compose, depth) if isinstance(compose, Mapping) else None

    def _composed(self, compose: Resource, depth: int) -> Members | None:
        found: dict[Coding, Member] = {}
        uncertain: set[str] = set()
        for include in mappings(compose.get("include")):
            part = self._included(include, depth)
            if part is None:
                return None
            found.update(part.by_coding)
            uncertain |= part.uncertain
        for exclude in mappings(compose.get("exclude")):
            part = self._included(exclude, depth)
            if part is None:
                return None
            found = {coding: member for coding, member in found.items() if coding not in part.by_coding}
            uncertain |= part.uncertain
        if compose.get("inactive") is False:
            found = {coding: member for coding, member in found.items() if not member.inactive}
        return Members(found, frozenset(uncertain))

    def _included(self, include: Resource, depth: int) -> Members | None:
        """Returns the codes that satisfy all of one include: system, concepts, filters and value sets."""
        parts: list[Members] = []
        if text(include.get("system")):
            parts.append(self._of_system(include))
        imported = include.get("valueSet")
        for canonical in imported if isinstance(imported, list) else []:
            found = self.of_canonical(text(canonical), depth + 1)
            if found is None:
                return None
            parts.append(found)
        return _in_all(parts) if parts else None

    def _of_system(self, include: Resource) -> Members:
        system, version = text(include.get("system")), text(include.get("version"))
        resource = self.known.system(system, version)
        version = version or text((resource or {}).get("version"))
        listed = list(mappings(include.get("concept")))
        if listed:
            known = _concepts_by_code(resource) if resource is not None else {}
            return _members_from(
                _member_of_compose(system, version, concept, known.get(text(concept.get("code")), {}))
                for concept in listed
            )
        found = None
        if resource is not None and resource.get("content") == "complete":
            found = filtered_concepts(resource, list(mappings(include.get("filter"))))
        if found is None:
            return Members({}, frozenset({system}))
        return _members_from(_member_of_code_system(system, version, concept) for concept in found)


def _concepts_by_code(code_system: Resource) -> dict[str, Concept]:
    return {text(found.concept.get("code")): found.concept for found in concepts_of(code_system)}


def _in_all(parts: list[Members]) -> Members:
    """Returns the codes in all parts; uncertain where one part does not know and no other part denies."""
    systems = [{coding.system for coding in part.by_coding} for part in parts]
    sure = {
        coding: member
        for coding, member in parts[0].by_coding.items()
        if all(coding in part.by_coding for part in parts[1:])
    }
    uncertain = {
        system
        for part in parts
        for system in part.uncertain
        if all(
            system in other.uncertain or system in named for other, named in zip(parts, systems, strict=True)
        )
    }
    return Members(sure, frozenset(uncertain))


def _members_from(members: Iterable[Member]) -> Members:
    """Returns the members of a value set; of a code that stands twice, the last."""
    return Members({member.coding: member for member in members})


def _member_of_code_system(system: str, version: str, found: ConceptInTree) -> Member:
    concept, ancestors = found
    return Member(
        coding=Coding(system, text(concept.get("code"))),
        display=text(concept.get("display")),
        weight=weight(concept),
        version=version,
        abstract=is_abstract(concept),
        inactive=is_inactive(concept),
        designations=tuple(mappings(concept.get("designation"))),
        ancestors=ancestors,
    )


def _member_of_compose(system: str, version: str, listed: Concept, known: Concept) -> Member:
    """Returns a code that a value set lists.

    Args:
        system, version: of the code.
        listed: the code as the value set lists it.
        known: the same code in its code system; empty where that is not at hand.
    """
    return Member(
        coding=Coding(system, text(listed.get("code"))),
        display=text(listed.get("display")) or text(known.get("display")),
        weight=weight(listed),
        version=version,
        abstract=is_abstract(known),
        inactive=is_inactive(known),
        designations=(*mappings(listed.get("designation")), *mappings(known.get("designation"))),
    )


def _listed_in_expansion(value_set: Resource) -> Members | None:
    """Returns the codes of the expansion in a ValueSet, unless it is one page of a longer one."""
    expansion = value_set.get("expansion")
    if not isinstance(expansion, Mapping) or "contains" not in expansion:
        return None
    members = _members_from(_members_in(expansion["contains"]))
    total = expansion.get("total")
    return members if not isinstance(total, int) or total <= len(members.by_coding) else None


def _members_in(contains: object) -> Iterator[Member]:
    pending: list[tuple[Mapping[str, Any], Member | None]] = []
    pending.extend([(entry, None) for entry in mappings(contains)][::-1])
    while pending:
        entry, parent = pending.pop()
        if text(entry.get("code")):
            parent = _member_of_expansion(entry, parent)
            yield parent
        pending.extend([(child, parent) for child in mappings(entry.get("contains"))][::-1])


def _member_of_expansion(entry: Mapping[str, Any], parent: Member | None) -> Member:
    coding = Coding(text(entry.get("system")), text(entry.get("code")))
    ancestors: tuple[str, ...] = ()
    if parent is not None and parent.coding.system == coding.system:
        ancestors = (*parent.ancestors, parent.coding.code)
    return Member(
        coding=coding,
        display=text(entry.get("display")),
        weight=weight(entry),
        version=text(entry.get("version")),
        abstract=entry.get("abstract") is True,
        inactive=entry.get("inactive") is True,
        designations=tuple(mappings(entry.get("designation"))),
        ancestors=ancestors,
    )
