"""The elements of each type of resource that is searched: mandatory, in the summary, and the others.

Only the elements of the resource itself: what is inside them is kept or left out with them.

Source: FHIR R4 StructureDefinitions; a test compares this table with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

ALWAYS: Final = ("resourceType", "id", "meta", "implicitRules", "modifierExtension")
"""What every part of a resource has: what it is, and what changes the meaning of the rest."""

_EVERY: Final = (*ALWAYS, "language", "text", "contained", "extension")


class _Elements(NamedTuple):
    mandatory: str
    summary: str
    others: str


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
}

MANDATORY: Final = {kind: frozenset(each.mandatory.split()) for kind, each in _ELEMENTS.items()}
SUMMARY: Final = {kind: frozenset(each.summary.split()) for kind, each in _ELEMENTS.items()}
ELEMENTS: Final = {
    kind: frozenset((*_EVERY, *each.summary.split(), *each.others.split()))
    for kind, each in _ELEMENTS.items()
}
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "RiskAssessment": ("occurrence",),
    "Provenance": ("occurred",),
}
"""Elements whose property is named for the type of its value too, such as `occurrenceDateTime`."""
