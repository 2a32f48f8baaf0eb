"""Value sets that can be expanded here: contained in the Questionnaire, served, or fixed by R4.

Expansion is finite or it does not happen: where a value set includes a code system whose
concepts are not at hand, codes of that system are *uncertain*, neither inside nor outside.

Source: FHIR R4 valueset.html, compose and expansion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.guidance.answers import Answer, Coding
from service.questionnaire.code_systems import filtered
from service.questionnaire.extensions import mappings, text
from service.questionnaire.fixed import fixed_resource
from service.questionnaire.item import Choice
from service.questionnaire.weights import weight

_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Members:
    """Codes of a value set in order, and the systems of which further codes may belong to it."""

    choices: Mapping[Answer, Choice]
    uncertain: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ValueSets:
    """ValueSet and CodeSystem resources by url, and by `url|version`."""

    sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    systems: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def members(self, canonical: str, contained: Iterable[Mapping[str, Any]] = ()) -> Members | None:
        """Returns the codes of a value set, or None where it, or all of it, is out of reach.

        Args:
            canonical: `url`, `url|version` or `#id` of a contained resource.
            contained: resources contained in the Questionnaire.
        """
        return _Expansion(self.with_resources(contained)).of(canonical, 0)

    def with_resources(self, resources: Iterable[Mapping[str, Any]]) -> ValueSets:
        """Returns these value sets and code systems with more in front of them, `#id` included."""
        sets, systems = dict(self.sets), dict(self.systems)
        for resource in resources:
            target = {"ValueSet": sets, "CodeSystem": systems}.get(text(resource.get("resourceType")))
            if target is not None:
                target.update(dict.fromkeys(_names(resource), resource))
        return ValueSets(sets, systems)


def value_sets_from(resources: Iterable[Mapping[str, Any]]) -> ValueSets:
    """Collects ValueSets and CodeSystems; of several versions the last has the bare url."""
    return ValueSets().with_resources(resources)


def _names(resource: Mapping[str, Any]) -> Iterator[str]:
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
        resource = self.known.sets.get(canonical) or fixed_resource(canonical)
        if resource is None or depth > _DEEPEST:
            return None
        listed = _listed(resource)
        if listed is not None:
            return listed
        compose = resource.get("compose")
        return self._composed(compose, depth) if isinstance(compose, Mapping) else None

    def _composed(self, compose: Mapping[str, Any], depth: int) -> Members | None:
        choices: dict[Answer, Choice] = {}
        uncertain: set[str] = set()
        for include in mappings(compose.get("include")):
            found = self._included(include, depth)
            if found is None:
                return None
            choices.update(found.choices)
            uncertain |= found.uncertain
        for exclude in mappings(compose.get("exclude")):
            found = self._included(exclude, depth)
            if found is None:
                return None
            choices = {answer: choice for answer, choice in choices.items() if answer not in found.choices}
            uncertain |= found.uncertain
        return Members(choices, frozenset(uncertain))

    def _included(self, include: Mapping[str, Any], depth: int) -> Members | None:
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

    def _system(self, include: Mapping[str, Any]) -> Members:
        system = text(include.get("system"))
        listed = list(mappings(include.get("concept")))
        resource = self.known.systems.get(system) or fixed_resource(system)
        if listed:
            return Members(dict(_choice(system, concept) for concept in listed))
        if resource is None or resource.get("content") != "complete":
            return Members({}, frozenset({system}))
        found = filtered(resource, list(mappings(include.get("filter"))))
        if found is None:
            return Members({}, frozenset({system}))
        return Members(dict(_choice(system, concept) for concept in found))


def _common(parts: list[Members]) -> Members:
    """The codes in all parts; uncertain where one part does not know and no other part denies."""
    systems = [{answer.system for answer in part.choices if isinstance(answer, Coding)} for part in parts]
    sure = {
        answer: choice
        for answer, choice in parts[0].choices.items()
        if all(answer in part.choices for part in parts[1:])
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


def _listed(resource: Mapping[str, Any]) -> Members | None:
    """The expansion that the resource carries, unless it is one page of a longer one."""
    expansion = resource.get("expansion")
    if not isinstance(expansion, Mapping) or "contains" not in expansion:
        return None
    choices = dict(_contained(expansion["contains"]))
    total = expansion.get("total")
    return Members(choices) if not isinstance(total, int) or total <= len(choices) else None


def _contained(contains: object) -> Iterator[tuple[Answer, Choice]]:
    pending = list(mappings(contains))[::-1]
    while pending:
        concept = pending.pop()
        if text(concept.get("code")) and concept.get("abstract") is not True:
            yield _choice(text(concept.get("system")), concept)
        pending.extend(list(mappings(concept.get("contains")))[::-1])


def _choice(system: str, concept: Mapping[str, Any]) -> tuple[Answer, Choice]:
    coding = Coding(system, text(concept.get("code")))
    return coding, Choice(coding, text(concept.get("display")), weight(concept))
