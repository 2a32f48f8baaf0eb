"""Search parameters, by type of resource: what is indexed, what may be asked, and what is declared."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from service.datatypes.values import replace
from service.fhir.definitions import RISK_ASSESSMENT_BASIS

Kind = Literal["token", "reference", "date", "string", "uri", "number"]

R4: Final = "http://hl7.org/fhir/SearchParameter/"

_MODIFIERS: Final[Mapping[Kind, tuple[str, ...]]] = MappingProxyType(
    {
        "token": ("missing", "not"),
        "reference": ("identifier", "missing"),
        "date": ("missing",),
        "string": ("contains", "exact", "missing"),
        "uri": ("below", "missing"),
        "number": ("missing",),
    }
)


class SearchParameter(msgspec.Struct, frozen=True):
    """One search parameter of one type of resource.

    Args:
        name: as it stands in a query.
        type: FHIR search parameter type.
        definition: canonical of the SearchParameter.
        documentation: what it finds, for those who search.
        paths: elements that it looks at; a step that ends in `*` is that element at any depth.
        targets: types that a reference may name; empty for all, and for what is no reference.
        system: the code system of a code whose element implies it.
        only: of references, those that are known to be of this type.
        canonical: the reference is a canonical url.
        modifiers: what may stand behind the colon; a reference takes one of its targets too.
    """

    name: str
    type: Kind
    definition: str
    documentation: str
    paths: tuple[tuple[str, ...], ...] = ()
    targets: tuple[str, ...] = ()
    system: str = ""
    only: str = ""
    canonical: bool = False
    modifiers: tuple[str, ...] = ()


class Family(msgspec.Struct, frozen=True):
    """Standard parameters whose canonicals begin alike, such as `clinical-patient` and `clinical-date`."""

    prefix: str

    def token(self, name: str, documentation: str, *paths: str, system: str = "") -> SearchParameter:
        """Returns a parameter of codes."""
        return replace(self._of("token", name, documentation, *paths), system=system)

    def text(self, name: str, documentation: str, *paths: str) -> SearchParameter:
        """Returns a parameter of texts."""
        return self._of("string", name, documentation, *paths)

    def date(self, name: str, documentation: str, *paths: str) -> SearchParameter:
        """Returns a parameter of dates; they are documented alike."""
        return self._of("date", name, f"{documentation} Without a zone it counts as UTC.", *paths)

    def uri(self, name: str, documentation: str, *paths: str) -> SearchParameter:
        """Returns a parameter of uris."""
        return self._of("uri", name, documentation, *paths)

    def number(self, name: str, documentation: str, *paths: str) -> SearchParameter:
        """Returns a parameter of numbers."""
        return self._of("number", name, documentation, *paths)

    def reference(
        self, name: str, documentation: str, *paths: str, targets: str = "", only: str = ""
    ) -> SearchParameter:
        """Returns a parameter of references; `targets` has blanks between."""
        found = self._of("reference", name, documentation, *paths)
        return replace(found, targets=tuple(targets.split()), only=only)

    def canonical_url(self, name: str, documentation: str, path: str, target: str) -> SearchParameter:
        """Returns a parameter of canonicals: with `|version` one version, without it all of them."""
        found = self._of("reference", name, documentation, path)
        return replace(found, targets=(target,), canonical=True, modifiers=("missing",))

    def _of(self, kind: Kind, name: str, documentation: str, *paths: str) -> SearchParameter:
        steps = tuple(tuple(path.split(".")) for path in paths)
        definition = f"{R4}{self.prefix}-{name.removeprefix('_')}"
        return SearchParameter(name, kind, definition, documentation, steps, modifiers=_MODIFIERS[kind])


_RESOURCE = Family("Resource")

_EVERY: Final = (
    SearchParameter("_id", "token", f"{R4}Resource-id", "Logical id."),
    SearchParameter(
        "_lastUpdated",
        "date",
        f"{R4}Resource-lastUpdated",
        "When the resource was last changed here. Without a zone it counts as UTC.",
    ),
    _RESOURCE.token("_tag", "Tag of the resource.", "meta.tag"),
    _RESOURCE.token("_security", "Security label of the resource.", "meta.security"),
    _RESOURCE.uri(
        "_profile", "Profile that it claims; without `|version` every version is found.", "meta.profile"
    ),
)


def table(*parameters: SearchParameter) -> Mapping[str, SearchParameter]:
    """Returns the parameters by name, those of every resource first."""
    return MappingProxyType({parameter.name: parameter for parameter in (*_EVERY, *parameters)})


# Search parameters of the types of resource that are stored.

_CLINICAL = Family("clinical")
_RESPONSE = Family("QuestionnaireResponse")
_RISK = Family("RiskAssessment")
_PROVENANCE = Family("Provenance")
_AUDIT = Family("AuditEvent")

_ACTORS = "Practitioner Organization Device Patient PractitionerRole RelatedPerson"
_PATIENT = (
    "Patient, as id, Patient/id or absolute url. It finds references that say they are to a Patient; "
    "a patient who is only identified is found with `:identifier`."
)

STORED: Final[Mapping[str, Mapping[str, SearchParameter]]] = {
    "QuestionnaireResponse": table(
        _RESPONSE.reference("author", "Who wrote the answers down.", "author", targets=_ACTORS),
        _RESPONSE.date("authored", "When the answers were gathered.", "authored"),
        _RESPONSE.reference(
            "based-on", "The order or plan that asked for it.", "basedOn", targets="CarePlan ServiceRequest"
        ),
        _RESPONSE.reference(
            "encounter", "The encounter that it belongs to.", "encounter", targets="Encounter"
        ),
        _RESPONSE.token("identifier", "Business identifier.", "identifier"),
        _RESPONSE.reference("part-of", "What it is a part of.", "partOf", targets="Observation Procedure"),
        _RESPONSE.reference("patient", _PATIENT, "subject", targets="Patient", only="Patient"),
        _RESPONSE.canonical_url(
            "questionnaire",
            "Canonical of the questionnaire; without `|version` every version is found. "
            "A response of an adaptive form is found by the one that its contained one is derived from.",
            "questionnaire",
            "Questionnaire",
        ),
        _RESPONSE.reference(
            "source",
            "Who gave the answers.",
            "source",
            targets="Practitioner Patient PractitionerRole RelatedPerson",
        ),
        _RESPONSE.token(
            "status",
            "Status of the response.",
            "status",
            system="http://hl7.org/fhir/questionnaire-answers-status",
        ),
        _RESPONSE.reference("subject", "Whom or what the answers are about.", "subject"),
    ),
    "RiskAssessment": table(
        replace(
            _RISK.reference(
                "basis", "What the assessment stands on: the response, and values of the chart.", "basis"
            ),
            definition=RISK_ASSESSMENT_BASIS,
        ),
        _RISK.reference("condition", "The condition assessed.", "condition", targets="Condition"),
        _CLINICAL.date("date", "When the answers were gathered.", "occurrenceDateTime"),
        _CLINICAL.reference(
            "encounter", "The encounter that it belongs to.", "encounter", targets="Encounter EpisodeOfCare"
        ),
        _CLINICAL.token("identifier", "Business identifier.", "identifier"),
        _RISK.token("method", "The guidance that was applied.", "method"),
        _CLINICAL.reference("patient", _PATIENT, "subject", targets="Patient", only="Patient"),
        _RISK.reference(
            "performer", "Who or what assessed.", "performer", targets="Practitioner Device PractitionerRole"
        ),
        _RISK.number(
            "probability",
            "Likelihood of an outcome in per cent.",
            "prediction.probabilityDecimal",
            "prediction.probabilityRange",
        ),
        _RISK.token("risk", "Likelihood of an outcome in words.", "prediction.qualitativeRisk"),
        _RISK.reference("subject", "Who is assessed.", "subject", targets="Group Patient"),
    ),
    "Provenance": table(
        _PROVENANCE.reference("agent", "Who took part.", "agent.who", targets=_ACTORS),
        _PROVENANCE.reference("entity", "What was used.", "entity.what"),
        _PROVENANCE.reference(
            "patient",
            "A patient that came about, which none does here: responses are found by `target`.",
            "target",
            targets="Patient",
            only="Patient",
        ),
        _PROVENANCE.date("recorded", "When it was recorded.", "recorded"),
        _PROVENANCE.reference("target", "What came about; its version is ignored.", "target"),
    ),
    "AuditEvent": table(
        _AUDIT.token("action", "What was done.", "action", system="http://hl7.org/fhir/audit-event-action"),
        _AUDIT.reference("agent", "Who took part.", "agent.who", targets=_ACTORS),
        _AUDIT.date("date", "When it was recorded.", "recorded"),
        _AUDIT.reference("entity", "What was used.", "entity.what"),
        _AUDIT.token("outcome", "How it ended.", "outcome", system="http://hl7.org/fhir/audit-event-outcome"),
        _AUDIT.reference("patient", _PATIENT, "agent.who", "entity.what", targets="Patient", only="Patient"),
        _AUDIT.token("type", "Kind of event.", "type"),
    ),
}
"""Parameters by name by type of resource."""

_BASIS = "RiskAssessment:basis"
_USED = ("Provenance:target", "Provenance:entity", "AuditEvent:entity")

INCLUDES: Final[Mapping[str, tuple[str, ...]]] = {
    "RiskAssessment": (_BASIS,),
    "Provenance": ("Provenance:target", "Provenance:entity"),
    "AuditEvent": ("AuditEvent:entity",),
}
"""Values of `_include` by type of the matches."""

REVINCLUDES: Final[Mapping[str, tuple[str, ...]]] = {
    "QuestionnaireResponse": (_BASIS, *_USED),
    "RiskAssessment": ("Provenance:target", "AuditEvent:entity"),
}
"""Values of `_revinclude` by type of the matches."""


# Search parameters of the types of resource that are published.

_CONFORMANCE = Family("conformance")
_FORM = Family("Questionnaire")
_CODES = Family("CodeSystem")
_VALUES = Family("ValueSet")
_STRUCTURE = Family("StructureDefinition")
_OPERATION = Family("OperationDefinition")
_PARAMETER = Family("SearchParameter")
_PLAN = Family("PlanDefinition")
_ACTIVITY = Family("ActivityDefinition")
_LIBRARY = Family("Library")

_STATUS = "http://hl7.org/fhir/publication-status"
_RESOURCES = "http://hl7.org/fhir/resource-types"


def _shared(of: Family) -> tuple[SearchParameter, ...]:
    return (
        of.uri("url", "Canonical url; `url|version` finds one version.", "url"),
        of.token("version", "Business version.", "version"),
        of.text("name", "Name, from its beginning.", "name"),
        of.token("status", "Publication status.", "status", system=_STATUS),
        of.date("date", "Date of publication.", "date"),
        of.text("description", "Description, from its beginning.", "description"),
        of.text("publisher", "Publisher, from the beginning of the name.", "publisher"),
    )


def _title(of: Family) -> SearchParameter:
    return of.text("title", "Title, from its beginning.", "title")


def _identifier(of: Family) -> SearchParameter:
    return of.token("identifier", "Business identifier.", "identifier")


PUBLISHED: Final[Mapping[str, Mapping[str, SearchParameter]]] = {
    "Questionnaire": table(
        *_shared(_FORM),
        _title(_FORM),
        _identifier(_FORM),
        _FORM.token("code", "Code of an item, at any depth.", "item*.code"),
        _FORM.token("subject-type", "Whom it is about.", "subjectType", system=_RESOURCES),
    ),
    "CodeSystem": table(
        *_shared(_CONFORMANCE),
        _title(_CONFORMANCE),
        _identifier(_CONFORMANCE),
        _CODES.token("code", "A code that it defines.", "concept*.code"),
        _CODES.uri("system", "The system that it defines.", "url"),
    ),
    "ValueSet": table(
        *_shared(_CONFORMANCE),
        _title(_CONFORMANCE),
        _identifier(_CONFORMANCE),
        _VALUES.token(
            "code", "A code that it lists.", "compose.include.concept.code", "expansion.contains*.code"
        ),
        _VALUES.uri("reference", "A code system that it draws on.", "compose.include.system"),
    ),
    "StructureDefinition": table(
        *_shared(_CONFORMANCE),
        _title(_CONFORMANCE),
        _identifier(_CONFORMANCE),
        _STRUCTURE.canonical_url(
            "base", "Canonical of what it is derived from.", "baseDefinition", "StructureDefinition"
        ),
        _STRUCTURE.uri("type", "Type that it constrains.", "type"),
    ),
    "OperationDefinition": table(
        *_shared(_CONFORMANCE),
        _title(_CONFORMANCE),
        _OPERATION.token("code", "Name of the operation, without `$`.", "code"),
    ),
    "SearchParameter": table(
        *_shared(_CONFORMANCE),
        _PARAMETER.token("base", "Type of resource that it searches.", "base", system=_RESOURCES),
        _PARAMETER.token("code", "Name in a query.", "code"),
        _PARAMETER.token(
            "type", "Type of parameter.", "type", system="http://hl7.org/fhir/search-param-type"
        ),
    ),
    "PlanDefinition": table(
        *_shared(_PLAN),
        _title(_PLAN),
        _identifier(_PLAN),
        _PLAN.token("type", "Kind of plan.", "type"),
    ),
    "ActivityDefinition": table(*_shared(_ACTIVITY), _title(_ACTIVITY), _identifier(_ACTIVITY)),
    "Library": table(
        *_shared(_LIBRARY),
        _title(_LIBRARY),
        _identifier(_LIBRARY),
        _LIBRARY.token("content-type", "Media type of its content.", "content.contentType"),
        _LIBRARY.token("type", "Kind of library.", "type"),
    ),
}
"""Parameters by name by type of resource."""


_PARAMETERS: Mapping[str, Mapping[str, SearchParameter]] = {**STORED, **PUBLISHED}


def parameters_of(kind: str) -> Mapping[str, SearchParameter]:
    """Returns the search parameters of a type of resource by name; raises KeyError for one not served."""
    return _PARAMETERS[kind]


@cache
def elements_of(kind: str) -> frozenset[str]:
    """Returns the elements of a resource, as names of its members, that `entries_of` looks at."""
    paths = (path for parameter in _PARAMETERS[kind].values() for path in parameter.paths)
    return frozenset(
        ("resourceType", "id", "version", "contained", *(path[0].removesuffix("*") for path in paths))
    )


def includes_of(kind: str) -> tuple[str, ...]:
    """Returns the values of `_include` in a search for this type."""
    return INCLUDES.get(kind, ())


def revincludes_of(kind: str) -> tuple[str, ...]:
    """Returns the values of `_revinclude` in a search for this type."""
    return REVINCLUDES.get(kind, ())
