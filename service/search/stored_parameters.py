"""Search parameters of the types of resource that are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from service.fhir.canonicals import RISK_ASSESSMENT_BASIS
from service.search.parameters import SearchParameter, family, table

_CLINICAL = family("clinical")
_RESPONSE = family("QuestionnaireResponse")
_RISK = family("RiskAssessment")
_PROVENANCE = family("Provenance")
_AUDIT = family("AuditEvent")

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
            "Canonical of the questionnaire; without `|version` every version is found.",
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
            "encounter",
            "The encounter that it belongs to.",
            "encounter",
            targets="Encounter EpisodeOfCare",
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
