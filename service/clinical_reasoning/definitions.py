"""A guidance as resources of FHIR: its libraries, a PlanDefinition, and an ActivityDefinition for each step.

The PlanDefinition has one action for each step. It holds where the library says that this is the step, so at
most one of them applies. What a step asks for is a referral (ServiceRequest) or words (CommunicationRequest);
nothing is asked for at a lowest step that only says that questions are open.

Strength and quality of evidence are words, not grades: the mapping says where a step comes from, and its
source grades nothing.

Source: FHIR R4 plandefinition.html, activitydefinition.html, library.html; HL7 Clinical Practice Guidelines
(https://hl7.org/fhir/uv/cpg), profiles Recommendation Definition and Computable PlanDefinition;
https://hl7.org/fhir/R4/extension-cqf-strengthofrecommendation.html.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Final

import orjson

from service.clinical_reasoning.cql import libraries_of
from service.clinical_reasoning.cql_answers import CannotBeWritten, CqlLibrary, library_name, quoted
from service.clinical_reasoning.cql_nodes import ANSWERS
from service.datatypes import ucum
from service.fhir.definitions import PUBLISHER
from service.fhir.json import Json
from service.guidance import Guidance
from service.guidance.model import Rule, Statement, Tier, Written
from service.questionnaire import CompiledQuestionnaire

_STRENGTH: Final = "http://hl7.org/fhir/StructureDefinition/cqf-strengthOfRecommendation"
_EVIDENCE: Final = "http://hl7.org/fhir/StructureDefinition/cqf-qualityOfEvidence"
_LIBRARY_TYPES: Final = "http://terminology.hl7.org/CodeSystem/library-type"
_PLAN_TYPES: Final = "http://terminology.hl7.org/CodeSystem/plan-definition-type"
_REFERRAL: Final = {"system": "http://snomed.info/sct", "code": "3457005", "display": "Patient referral"}
_ORIGINS: Final = {
    "article": "As its source says; the source grades no recommendation.",
    "project": "A choice of those who wrote this guidance; its source does not say it.",
}
_EVIDENCE_OF: Final = {
    "article": "Not graded. It rests on the source that is cited.",
    "project": "Not graded. The statements that are cited are what it serves, not its evidence.",
}


DEFINITIONS: Final = ("PlanDefinition", "ActivityDefinition", "Library")
"""The types of resource that are made of a guidance."""


def resources_of(guidance: Guidance, form: CompiledQuestionnaire) -> list[Json]:
    """Returns the libraries, the ActivityDefinitions and the PlanDefinition of a guidance.

    Raises:
        CannotBeWritten: there is something in the guidance or in its form for which no CQL is written.
    """
    writer = _Definitions(guidance, form)
    return [*writer.libraries(), *writer.activities(), writer.plan()]


def names_of(guidance: Guidance) -> Iterator[tuple[str, str]]:
    """Yields type and id of each resource that is made of a guidance; no CQL is written for that."""
    written = guidance.written
    yield "PlanDefinition", written.identity.slug
    yield from (("ActivityDefinition", _activity_name(written, tier)) for tier in _asking(written))
    yield from (("Library", library_name(guidance) + ending) for ending in ("", ANSWERS))


def can_be_written(guidance: Guidance, form: CompiledQuestionnaire) -> bool:
    """Returns whether `resources_of` returns anything; that takes nearly as long as to write it."""
    try:
        return bool(libraries_of(guidance, form))
    except CannotBeWritten:
        return False


def plan_of(guidance: Guidance, form: CompiledQuestionnaire) -> Json:
    """Returns the PlanDefinition of a guidance alone; no CQL is written for that."""
    return _Definitions(guidance, form).plan()


def plan_canonical(guidance: Guidance, form: CompiledQuestionnaire) -> str:
    """Returns `url|version` of the PlanDefinition of a guidance."""
    identity = guidance.written.identity
    return f"{_url(form, 'PlanDefinition', identity.slug)}|{identity.version}"


def activity_canonical(guidance: Guidance, form: CompiledQuestionnaire, tier: Tier) -> str:
    """Returns `url|version` of the ActivityDefinition of a step; empty if the step asks for nothing."""
    if tier not in _asking(guidance.written):
        return ""
    name = _activity_name(guidance.written, tier)
    return f"{_url(form, 'ActivityDefinition', name)}|{guidance.written.identity.version}"


def _asking(written: Written) -> tuple[Tier, ...]:
    """Returns the steps at which something is to be done, the highest first."""
    fired = {rule.tier for rule in written.rules}
    ordered = sorted(written.tiers, key=lambda tier: -tier.rank)
    return tuple(tier for tier in ordered if tier.code in fired or tier.rank > 0)


def _activity_name(written: Written, tier: Tier) -> str:
    return f"{written.identity.slug}-{tier.code}"


def _url(form: CompiledQuestionnaire, kind: str, name: str) -> str:
    url = form.canonical.partition("|")[0]
    return f"{url.rpartition('/')[0].removesuffix('/Questionnaire')}/{kind}/{name}"


def write_guidance(guidance: Guidance, form: CompiledQuestionnaire, folder: Path) -> Iterator[Path]:
    """Writes the CQL and the resources of a guidance into a folder; yields each file that is written.

    Raises:
        CannotBeWritten: there is something in the guidance or in its form for which no CQL is written.
    """
    libraries, resources = libraries_of(guidance, form), resources_of(guidance, form)
    folder.mkdir(parents=True, exist_ok=True)
    for library in libraries:
        path = folder / f"{library.name}.cql"
        path.write_text(library.text, encoding="utf-8")
        yield path
    for resource in resources:
        path = folder / f"{resource['resourceType']}-{resource['id']}.json"
        path.write_bytes(orjson.dumps(resource, option=orjson.OPT_INDENT_2) + b"\n")
        yield path


class _Definitions:
    """Writes the resources of one guidance."""

    def __init__(self, guidance: Guidance, form: CompiledQuestionnaire) -> None:
        self.written = guidance.written
        self.form = form
        self.guidance = guidance
        self.main = library_name(guidance)
        self.statements = {statement.id: statement for statement in self.written.statements}

    @cached_property
    def texts(self) -> tuple[CqlLibrary, ...]:
        """The libraries in CQL, which take much longer than all the rest."""
        return libraries_of(self.guidance, self.form)

    def canonical(self, kind: str, name: str) -> str:
        """Returns the canonical url of a resource, with its version."""
        return f"{self._url(kind, name)}|{self.written.identity.version}"

    def _url(self, kind: str, name: str) -> str:
        return _url(self.form, kind, name)

    def _head(self, kind: str, name: str, title: str) -> dict[str, Any]:
        identity = self.written.identity
        description = f"{identity.intended_use.to_clinician} Review: {identity.review}."
        return {
            "resourceType": kind,
            "id": name,
            "language": "en",
            "text": _narrative(title, description),
            "url": self._url(kind, name),
            "version": identity.version,
            "name": "".join(part[:1].upper() + part[1:] for part in name.split("-")),
            "title": title,
            "status": identity.status,
            "experimental": not identity.signed,
            "date": identity.date,
            "publisher": PUBLISHER,
            "description": description,
        }

    # The libraries.

    def libraries(self) -> Iterator[Json]:
        """Yields a Library for each library of CQL."""
        for text in self.texts:
            yield self._library(text)

    def _library(self, library: CqlLibrary) -> Json:
        included = [other.name for other in self.texts if f"include {other.name} " in library.text]
        found: dict[str, Any] = {
            **self._head("Library", library.name, f"{self.written.identity.title}: {library.name}"),
            "type": {"coding": [{"system": _LIBRARY_TYPES, "code": "logic-library"}]},
            "subjectCodeableConcept": _patient(),
            "relatedArtifact": [
                self._source(),
                {"type": "depends-on", "resource": self.form.canonical},
                *({"type": "depends-on", "resource": self.canonical("Library", name)} for name in included),
            ],
            "dataRequirement": [{"type": "QuestionnaireResponse"}],
            "content": [{"contentType": "text/cql", "data": b64encode(library.text.encode()).decode()}],
        }
        if library.name == self.main:
            found["parameter"] = [*self._results()]
        return found

    def _results(self) -> Iterator[Json]:
        for name in ("Step", "Step at least", "Step at most"):
            yield {"name": name, "use": "out", "min": 0, "max": "1", "type": "string"}

    def _source(self) -> Json:
        identity = self.written.identity
        return {"type": "derived-from", "label": "Source", "citation": identity.source_note}

    # What each step asks for.

    def activities(self) -> Iterator[Json]:
        """Yields an ActivityDefinition for each step that asks for something."""
        for tier in _asking(self.written):
            yield self._activity(tier)

    def _activity(self, tier: Tier) -> Json:
        kind = "ServiceRequest" if tier.referral else "CommunicationRequest"
        code = _REFERRAL if tier.referral else self._code(tier)
        found: dict[str, Any] = {
            **self._head("ActivityDefinition", _activity_name(self.written, tier), tier.display),
            "purpose": tier.says.to_clinician,
            "subjectCodeableConcept": _patient(),
            "relatedArtifact": [self._source(), *self._documentation(tier.sources)],
            "library": [self.canonical("Library", self.main)],
            "kind": kind,
            "intent": "proposal",
            "code": {"coding": [code], "text": tier.target or tier.display},
        }
        if tier.referral:
            found["priority"] = tier.referral
        if tier.within:
            days = int(self.written.parameters[tier.within].value)
            found["timingDuration"] = {
                "value": days,
                "comparator": "<=",
                "unit": "days",
                "system": ucum.SYSTEM,
                "code": "d",
            }
        return found

    def _code(self, tier: Tier) -> Json:
        return {"system": self.written.identity.terminology, "code": tier.code, "display": tier.display}

    def _documentation(self, sources: tuple[str, ...]) -> Iterator[Json]:
        for name in sources:
            statement: Statement | None = self.statements.get(name)
            if statement is not None:
                yield {
                    "type": "documentation",
                    "label": statement.id,
                    "display": statement.section,
                    "citation": statement.claim,
                }

    # The plan.

    def plan(self) -> Json:
        """Returns the PlanDefinition, with an action for each step."""
        identity = self.written.identity
        return {
            **self._head("PlanDefinition", identity.slug, identity.title),
            "type": {"coding": [{"system": _PLAN_TYPES, "code": "eca-rule", "display": "ECA Rule"}]},
            "subjectCodeableConcept": _patient(),
            "relatedArtifact": [
                self._source(),
                *({"type": "documentation", "citation": text} for text in identity.secondary_sources),
                {"type": "depends-on", "resource": self.form.canonical},
            ],
            "library": [self.canonical("Library", self.main)],
            "action": [
                {
                    "title": identity.title,
                    "groupingBehavior": "logical-group",
                    "selectionBehavior": "at-most-one",
                    "action": [self._action(tier) for tier in _asking(self.written)],
                }
            ],
        }

    def _action(self, tier: Tier) -> Json:
        return {
            "extension": [
                {"url": _STRENGTH, "valueCodeableConcept": {"text": _ORIGINS[tier.origin]}},
                {"url": _EVIDENCE, "valueCodeableConcept": {"text": _EVIDENCE_OF[tier.origin]}},
            ],
            "id": tier.code,
            "title": tier.display,
            "description": tier.says.to_clinician,
            "code": [{"coding": [self._code(tier)]}],
            "documentation": [*self._documentation(self._sources(tier))],
            "condition": [
                {
                    "kind": "applicability",
                    "expression": {
                        "description": f"The step is {tier.code}.",
                        "language": "text/cql",
                        "expression": f'"Step" = {quoted(tier.code)}',
                        "reference": self._url("Library", self.main),
                    },
                }
            ],
            "definitionCanonical": self.canonical("ActivityDefinition", _activity_name(self.written, tier)),
        }

    def _sources(self, tier: Tier) -> tuple[str, ...]:
        """Returns the statements behind a step, and behind every rule that fires it."""
        rules: list[Rule] = [rule for rule in self.written.rules if rule.tier == tier.code]
        return tuple(dict.fromkeys([*tier.sources, *(source for rule in rules for source in rule.sources)]))


def _narrative(*paragraphs: str) -> Json:
    written = "".join(f"<p>{escape(text, quote=False)}</p>" for text in paragraphs)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{written}</div>'}


def _patient() -> Json:
    return {"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Patient"}]}
