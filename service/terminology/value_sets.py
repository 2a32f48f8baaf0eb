"""Value sets that can be expanded here: contained in the Questionnaire, served, or fixed by R4.

Expansion is finite or it does not happen: where a value set includes a code system whose
concepts are not at hand, codes of that system are *uncertain*, neither inside nor outside.

Source: FHIR R4 valueset.html, compose and expansion.
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
    Placed,
    concepts_of,
    filtered,
    is_abstract,
    is_inactive,
    weight,
)

# Value sets and code systems of FHIR R4 itself that questionnaires use, kept beside this file.
#
# Source: FHIR R4 4.0.1 definitions (valuesets, v2-tables, v3-codesystems), codes and displays only.


def fixed_resource(canonical: str) -> Mapping[str, Any] | None:
    """Returns the R4 ValueSet or CodeSystem with this url (no version, `|4.0.1` or its own), or None."""
    url, _, version = canonical.partition("|")
    found = _all().get(url)
    return found if found is not None and version in ("", "4.0.1", found.get("version")) else None


@cache
def _all() -> Mapping[str, Mapping[str, Any]]:
    document = json.loads(files(__package__).joinpath("fixed_r4.json").read_text("utf-8"))
    return {resource["url"]: resource for resource in document}


# What belongs to a value set: its codes in order, and what is known of each.


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
        abstract: only there to lead to others; nobody may choose it.
        inactive: given up by its code system.
        designations: further names, in other languages or for other uses, as FHIR.
        above: codes of the same system that it stands below, the nearest last.
    """

    coding: Coding
    display: str
    weight: Decimal | None = None
    version: str = ""
    abstract: bool = False
    inactive: bool = False
    designations: tuple[Mapping[str, Any], ...] = ()
    above: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Members:
    """Codes of a value set in order, and the systems of which further codes may belong to it."""

    found: Mapping[Coding, Member]
    uncertain: frozenset[str] = frozenset()

    @property
    def choices(self) -> Mapping[Answer, Choice]:
        """The codes that may be answered."""
        return {
            coding: Choice(coding, member.display, member.weight)
            for coding, member in self.found.items()
            if not member.abstract
        }


def defined(system: str, version: str, placed: Placed) -> Member:
    """Returns a concept of a code system as a member."""
    concept, above = placed
    return Member(
        coding=Coding(system, text(concept.get("code"))),
        display=text(concept.get("display")),
        weight=weight(concept),
        version=version,
        abstract=is_abstract(concept),
        inactive=is_inactive(concept),
        designations=tuple(mappings(concept.get("designation"))),
        above=above,
    )


def enumerated(system: str, version: str, stated: Concept, known: Concept) -> Member:
    """Returns a code that a value set lists.

    Args:
        system, version: of the code.
        stated: as the value set lists it.
        known: the same code in its code system; empty where that is not at hand.
    """
    return Member(
        coding=Coding(system, text(stated.get("code"))),
        display=text(stated.get("display")) or text(known.get("display")),
        weight=weight(stated),
        version=version,
        abstract=is_abstract(known),
        inactive=is_inactive(known),
        designations=(*mappings(stated.get("designation")), *mappings(known.get("designation"))),
    )


def together(members: Iterable[Member]) -> Members:
    """Returns the members of a value set; of a code that stands twice, the last."""
    return Members({member.coding: member for member in members})


def carried(value_set: Mapping[str, Any]) -> Members | None:
    """Returns the expansion that a ValueSet carries, unless it is one page of a longer one."""
    expansion = value_set.get("expansion")
    if not isinstance(expansion, Mapping) or "contains" not in expansion:
        return None
    members = together(_contained(expansion["contains"]))
    total = expansion.get("total")
    return members if not isinstance(total, int) or total <= len(members.found) else None


def _contained(contains: object) -> Iterator[Member]:
    pending: list[tuple[Mapping[str, Any], Member | None]] = []
    pending.extend([(entry, None) for entry in mappings(contains)][::-1])
    while pending:
        entry, parent = pending.pop()
        if text(entry.get("code")):
            parent = _entry(entry, parent)
            yield parent
        pending.extend([(child, parent) for child in mappings(entry.get("contains"))][::-1])


def _entry(entry: Mapping[str, Any], parent: Member | None) -> Member:
    coding = Coding(text(entry.get("system")), text(entry.get("code")))
    above: tuple[str, ...] = ()
    if parent is not None and parent.coding.system == coding.system:
        above = (*parent.above, parent.coding.code)
    return Member(
        coding=coding,
        display=text(entry.get("display")),
        weight=weight(entry),
        version=text(entry.get("version")),
        abstract=entry.get("abstract") is True,
        inactive=entry.get("inactive") is True,
        designations=tuple(mappings(entry.get("designation"))),
        above=above,
    )


_DEEPEST = 16

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ValueSets:
    """ValueSet and CodeSystem resources by url, and by `url|version`."""

    sets: Mapping[str, Resource] = field(default_factory=dict)
    systems: Mapping[str, Resource] = field(default_factory=dict)

    def members(self, canonical: str, contained: Iterable[Resource] = ()) -> Members | None:
        """Returns the codes of a value set, or None where it, or all of it, is out of reach.

        Args:
            canonical: `url`, `url|version` or `#id` of a contained resource.
            contained: resources contained in the Questionnaire.
        """
        return _Expansion(self.with_resources(contained)).of(canonical, 0)

    def members_of(self, value_set: Resource) -> Members | None:
        """Returns the codes of a ValueSet resource; None as `members` does."""
        return _Expansion(self).of_resource(value_set, 0)

    def value_set(self, canonical: str) -> Resource | None:
        """Returns the ValueSet with this canonical, of the service or of R4, or None."""
        return self.sets.get(canonical) or _fixed(canonical, "ValueSet")

    def system(self, url: str, version: str = "") -> Resource | None:
        """Returns a CodeSystem, of the service or of R4, in this version if one is named, or None."""
        canonical = f"{url}|{version}" if version else url
        return self.systems.get(canonical) or _fixed(canonical, "CodeSystem")

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


def _fixed(canonical: str, kind: str) -> Resource | None:
    found = fixed_resource(canonical)
    return found if found is not None and found["resourceType"] == kind else None


def _names(resource: Resource) -> Iterator[str]:
    url, version, id_ = (text(resource.get(key)) for key in ("url", "version", "id"))
    if url:
        yield url
    if url and version:
        yield f"{url}|{version}"
    if id_:
        yield f"#{id_}"


class _Expansion:
    """Expands value sets; keeps the resources so that included sets are found."""

    def __init__(self, known: ValueSets) -> None:
        self.known = known

    def of(self, canonical: str, depth: int) -> Members | None:
        resource = self.known.value_set(canonical)
        return self.of_resource(resource, depth) if resource is not None and depth <= _DEEPEST else None

    def of_resource(self, resource: Resource, depth: int) -> Members | None:
        listed = carried(resource)
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
            found.update(part.found)
            uncertain |= part.uncertain
        for exclude in mappings(compose.get("exclude")):
            part = self._included(exclude, depth)
            if part is None:
                return None
            found = {coding: member for coding, member in found.items() if coding not in part.found}
            uncertain |= part.uncertain
        if compose.get("inactive") is False:
            found = {coding: member for coding, member in found.items() if not member.inactive}
        return Members(found, frozenset(uncertain))

    def _included(self, include: Resource, depth: int) -> Members | None:
        """All parts of one include must hold together: system, concepts, filters and value sets."""
        parts: list[Members] = []
        if text(include.get("system")):
            parts.append(self._system(include))
        imported = include.get("valueSet")
        for canonical in imported if isinstance(imported, list) else []:
            found = self.of(text(canonical), depth + 1)
            if found is None:
                return None
            parts.append(found)
        return _common(parts) if parts else None

    def _system(self, include: Resource) -> Members:
        system, version = text(include.get("system")), text(include.get("version"))
        resource = self.known.system(system, version)
        version = version or text((resource or {}).get("version"))
        listed = list(mappings(include.get("concept")))
        if listed:
            known = _by_code(resource) if resource is not None else {}
            return together(
                enumerated(system, version, each, known.get(text(each.get("code")), {})) for each in listed
            )
        if resource is None or resource.get("content") != "complete":
            return Members({}, frozenset({system}))
        found = filtered(resource, list(mappings(include.get("filter"))))
        if found is None:
            return Members({}, frozenset({system}))
        return together(defined(system, version, placed) for placed in found)


def _by_code(system: Resource) -> dict[str, Concept]:
    return {text(placed.concept.get("code")): placed.concept for placed in concepts_of(system)}


def _common(parts: list[Members]) -> Members:
    """The codes in all parts; uncertain where one part does not know and no other part denies."""
    systems = [{coding.system for coding in part.found} for part in parts]
    sure = {
        coding: member
        for coding, member in parts[0].found.items()
        if all(coding in part.found for part in parts[1:])
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
