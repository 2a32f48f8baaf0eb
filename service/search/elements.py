"""`_summary` and `_elements`: the wanted part of a resource, which is a valid resource itself.

Source: FHIR R4 search.html 3.1.1.5.8 and 3.1.1.5.9
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import msgspec

from service.fhir.json import encoded

# The elements of each type of resource that is searched: mandatory, in the summary, and the others.
#
# Only the elements of the resource itself: what is inside them is kept or left out with them.
#
# Source: FHIR R4 StructureDefinitions; a test compares this table with them.

ALWAYS: Final = ("resourceType", "id", "meta", "implicitRules", "modifierExtension")
"""What every part of a resource has: what it is, and what changes the meaning of the rest."""

_EVERY: Final = (*ALWAYS, "language", "text", "contained", "extension")


class _Elements(NamedTuple):
    mandatory: str
    summary: str
    others: str


_EDITED = (
    "subtitle subject purpose usage copyright approvalDate lastReviewDate topic author editor reviewer "
    "endorser relatedArtifact"
)
_DEFINITION = "url version name title status experimental date publisher contact useContext jurisdiction"

_ELEMENTS: Final[Mapping[str, _Elements]] = {
    "QuestionnaireResponse": _Elements(
        "status",
        "identifier basedOn partOf questionnaire status subject encounter authored author source",
        "item",
    ),
    "RiskAssessment": _Elements(
        "status subject",
        "identifier status method code subject encounter occurrence condition performer",
        "basedOn parent reasonCode reasonReference basis prediction mitigation note",
    ),
    "Provenance": _Elements(
        "target recorded agent",
        "target recorded",
        "occurred policy location reason activity agent entity signature",
    ),
    "AuditEvent": _Elements(
        "type recorded agent source",
        "type subtype action recorded outcome outcomeDesc purposeOfEvent",
        "period agent source entity",
    ),
    "Questionnaire": _Elements(
        "status",
        f"{_DEFINITION} identifier subjectType effectivePeriod code",
        "derivedFrom description purpose copyright approvalDate lastReviewDate item",
    ),
    "CodeSystem": _Elements(
        "status content",
        f"{_DEFINITION} identifier caseSensitive valueSet hierarchyMeaning compositional versionNeeded "
        "content supplements count filter property",
        "description purpose copyright concept",
    ),
    "ValueSet": _Elements(
        "status", f"{_DEFINITION} identifier immutable", "description purpose copyright compose expansion"
    ),
    # Without these the invariants sdf-4 (base), sdf-5 (context) and sdf-6 (one of the last two) do not hold.
    "StructureDefinition": _Elements(
        "url name status kind abstract type baseDefinition context snapshot differential",
        f"{_DEFINITION} identifier keyword fhirVersion kind abstract context contextInvariant type "
        "baseDefinition derivation",
        "description purpose copyright mapping snapshot differential",
    ),
    "OperationDefinition": _Elements(
        "name status kind code system type instance",
        f"{_DEFINITION} kind affectsState code base resource system type instance",
        "description purpose comment inputProfile outputProfile parameter overload",
    ),
    "SearchParameter": _Elements(
        "url name status description code base type",
        "url version name status experimental date publisher contact description useContext jurisdiction "
        "code base type",
        "derivedFrom purpose expression xpath xpathUsage target multipleOr multipleAnd comparator modifier "
        "chain component",
    ),
    "PlanDefinition": _Elements(
        "status",
        f"{_DEFINITION} identifier description effectivePeriod type",
        f"{_EDITED} library goal action",
    ),
    "ActivityDefinition": _Elements(
        "status",
        f"{_DEFINITION} identifier description effectivePeriod kind code doNotPerform",
        f"{_EDITED} library profile intent priority timing location participant product quantity dosage "
        "bodySite specimenRequirement observationRequirement observationResultRequirement transform "
        "dynamicValue",
    ),
    "Library": _Elements(
        "status type",
        f"{_DEFINITION} identifier description effectivePeriod type content",
        f"{_EDITED} parameter dataRequirement",
    ),
}

MANDATORY: Final = {kind: frozenset(elements.mandatory.split()) for kind, elements in _ELEMENTS.items()}
SUMMARY: Final = {kind: frozenset(elements.summary.split()) for kind, elements in _ELEMENTS.items()}
ELEMENTS: Final = {
    kind: frozenset((*_EVERY, *elements.summary.split(), *elements.others.split()))
    for kind, elements in _ELEMENTS.items()
}
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "RiskAssessment": ("occurrence",),
    "Provenance": ("occurred",),
    "PlanDefinition": ("subject",),
    "ActivityDefinition": ("subject", "timing", "product"),
    "Library": ("subject",),
}
"""Elements whose property is named for the type of its value too, such as `occurrenceDateTime`."""


Summary = Literal["", "true", "text", "data"]

SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}

_DECODER = msgspec.json.Decoder(float_hook=Decimal)


class Shape(msgspec.Struct, frozen=True):
    """What is wanted of each resource: a summary, or some elements, or all of it.

    Args:
        summary: `_summary`, or empty.
        elements: `_elements`, names of elements of the resource itself; or empty.
    """

    summary: Summary = ""
    elements: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Returns whether nothing is left out."""
        return not self.summary and not self.elements

    def applied(self, body: bytes) -> bytes:
        """Returns the wanted part of a resource; its numbers keep their digits."""
        if self.is_whole:
            return body
        resource = _DECODER.decode(body)
        return encoded(_tagged(_with_contained(self._kept(resource), resource)))

    def _kept(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        kind = resource["resourceType"]
        if self.summary == "data":
            return {name: value for name, value in resource.items() if name != "text"}
        wanted = {*ALWAYS, *MANDATORY.get(kind, ()), *self._wanted(kind)}
        choices = CHOICES.get(kind, ())
        return {name: value for name, value in resource.items() if _element(name, choices) in wanted}

    def _wanted(self, kind: str) -> Collection[str]:
        if self.elements:
            return self.elements
        return SUMMARY.get(kind, ()) if self.summary == "true" else ("text",)


def _element(name: str, choices: Collection[str]) -> str:
    """Returns the element that a property is of: `occurrence` for `_occurrenceDateTime`."""
    name = name.removeprefix("_")
    return next((choice for choice in choices if name.startswith(choice)), name)


def _with_contained(kept: dict[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part with those contained resources that it refers to, and no other."""
    contained = {f"#{inside.get('id')}": inside for inside in resource.get("contained", ())}
    wanted: dict[str, Any] = {}
    searched: list[Any] = [value for name, value in kept.items() if name != "contained"]
    while searched:
        new = {text: contained[text] for text in _texts(searched.pop()) if text in contained}
        searched += [inside for text, inside in new.items() if text not in wanted]
        wanted |= new
    whole = {**kept, "contained": [inside for text, inside in contained.items() if text in wanted]}
    order = [name for name in resource if name in whole]
    return {name: whole[name] for name in order if whole[name] != []}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def _tagged(resource: dict[str, Any]) -> dict[str, Any]:
    meta = resource.get("meta", {})
    tagged = {**meta, "tag": [*meta.get("tag", ()), SUBSETTED]}
    first: dict[str, Any] = {name: resource[name] for name in ("resourceType", "id") if name in resource}
    return {**first, "meta": tagged, **{name: resource[name] for name in resource if name != "meta"}}
