"""What belongs to a value set: its codes in order, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from service.guidance.answers import Answer, Coding
from service.questionnaire.code_systems import Concept, Placed, is_abstract, is_inactive
from service.questionnaire.extensions import mappings, text
from service.questionnaire.item import Choice
from service.questionnaire.weights import weight


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
