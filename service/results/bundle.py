"""The Bundle of a result: what a chart can file of it, one resource for each use.

It is a collection: it says what is, and leaves to the chart what it takes. A transaction would order the
chart to store everything, and a server that refuses one type would refuse all.

Every resource has an identifier that follows from the response and from what the resource is for, so that
what is made of an amended response takes the place of what was made before, and nobody is referred twice.
Where an amended response no longer asks for a referral, or a response is withdrawn, the request is there
and revoked. A request is a proposal, since nobody has ordered it; it is active once the result is final,
since it may then be acted upon, and a draft before.

Source: R4 bundle.html, observation.html, servicerequest.html, documentreference.html.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson

from service.datatypes import ucum
from service.datatypes.answers import Coding
from service.datatypes.days import day_after, day_of
from service.fhir.dates import is_instant
from service.fhir.json import Json, MutableJson
from service.guidance import Guidance
from service.guidance.model import Score, Tier
from service.guidance.result import Total
from service.results import wording
from service.results.extensions import coding
from service.results.patient import PatientText
from service.results.phrases import Phrases, digits, is_assessable
from service.results.risk_assessment import (
    NOBODY,
    STEP,
    identifier_of,
    is_final,
    labels_of,
    named_coding,
    response_reference,
    result_name,
)
from service.results.summary import Summary
from service.results.wording import Assessment

_SURVEY: Final = coding("http://terminology.hl7.org/CodeSystem/observation-category", "survey", "Survey")
_REFERRAL: Final = coding("http://snomed.info/sct", "3457005", "Patient referral")
_RAISED: Final = {"routine": "urgent", "urgent": "asap", "asap": "stat", "stat": "stat"}
"""By priority of a request, the next one: where a reason asks for more haste than its step."""

_ERROR: Final = "entered-in-error"


class _About(NamedTuple):
    """What every resource of a Bundle says of whom and what it is about."""

    subject: Json
    encounter: Json | None
    contained: Sequence[Json]
    authored: str | None
    response: Json
    phrases: Phrases
    labels: Sequence[Json] = ()

    def made(self, kind: str, words: str, members: Json) -> MutableJson:
        """Returns a resource of this kind with a narrative; a member that is None is left out."""
        document = {
            "resourceType": kind,
            "meta": {"security": self.labels} if self.labels else None,
            "language": self.phrases.language,
            "text": wording.narrative(self.phrases.language, words),
            "contained": [*self.contained] or None,
            **members,
        }
        return {name: value for name, value in document.items() if value is not None}

    def observation(self, status: str, code: Json, words: str, value: Json) -> MutableJson:
        """Returns an Observation of what was answered."""
        members = {
            "status": status,
            "category": [{"coding": [_SURVEY]}],
            "code": code,
            "subject": self.subject,
            "encounter": self.encounter,
            "effectiveDateTime": self.authored,
            **value,
            "derivedFrom": [self.response],
        }
        return self.made("Observation", words, members)

    def request(self, status: str, words: str, asked: Json) -> MutableJson:
        """Returns the proposal of a referral."""
        members = {
            "status": status,
            "intent": "proposal",
            "code": {"coding": [_REFERRAL]},
            "subject": self.subject,
            "encounter": self.encounter,
            "authoredOn": self.authored,
            **asked,
            "supportingInfo": [self.response],
        }
        return self.made("ServiceRequest", words, members)

    def text(self, status: str, title: str, words: str, *, is_final: bool) -> MutableJson:
        """Returns the words themselves, as a document."""
        attachment = {
            "contentType": "text/plain; charset=utf-8",
            "language": self.phrases.language,
            "data": b64encode(words.encode()).decode(),
            "title": title,
            "creation": self.authored,
        }
        attached = {name: value for name, value in attachment.items() if value is not None}
        members = {
            "status": status,
            "docStatus": "final" if is_final else "preliminary",
            "type": {"text": self.phrases["results.document"]},
            "subject": self.subject,
            "date": self.authored if self.authored is not None and is_instant(self.authored) else None,
            "content": [{"attachment": attached}],
            "context": {
                **({"encounter": [self.encounter]} if self.encounter else {}),
                "related": [self.response],
            },
        }
        return self.made("DocumentReference", title, members)


class ResultBundle:
    """Writes the Bundles of one guidance's results."""

    def __init__(self, guidance: Guidance, summary: Summary, patient: PatientText, phrases: Phrases) -> None:
        identity = guidance.written.identity
        self._written = guidance.written
        self._system = identity.terminology
        self._title = identity.title
        self._summary = summary
        self._patient = patient
        self._phrases = phrases

    def write(self, risk: bytes, assessment: Assessment) -> bytes:
        """Returns the Bundle.

        Args:
            risk: the RiskAssessment of the same response.
            assessment: what it was made from.
        """
        about = _about(assessment, self._phrases)
        made = {STEP: self._step(assessment, about)}
        made |= {
            total.score.name: self._score(total, assessment, about) for total in assessment.result.totals
        }
        request = self._request(assessment, about)
        made |= {} if request is None else {_REQUEST: request}
        made[_TEXT] = about.text(
            "current", self._title, self.printed(assessment), is_final=is_final(assessment)
        )
        name = result_name(assessment.context) or uuid5(NAMESPACE_URL, risk.decode())
        return _collection(risk, name, made, about.labels)

    def printed(self, assessment: Assessment) -> str:
        """Returns the text for the patient, and below it the one for the clinician."""
        patient, clinician = self._patient.text(assessment), self._summary.text(assessment)
        headings = self._phrases["results.for-the-patient"], self._phrases["results.for-the-clinician"]
        return f"{headings[0]}\n\n{patient}\n{headings[1]}\n\n{clinician}"

    def proposed(
        self,
        risk: bytes,
        assessment: Assessment,
        notes: Sequence[object],
        plan: str,
        activity: str,
        *,
        are_named: bool,
    ) -> bytes:
        """Returns a Bundle with a RequestGroup and what the step proposes.

        Where the result is not assessable, the RequestGroup stands alone and has no action.

        Args:
            risk: the RiskAssessment of the same response.
            assessment: what it was made from.
            notes: Annotations on it.
            plan: canonical `url|version` of the PlanDefinition.
            activity: that of the ActivityDefinition of the step; empty where the step asks for nothing.
            are_named: whether others can read these two; else nothing is said to be an instance of them.
        """
        about = _about(assessment, self._phrases)
        name = result_name(assessment.context) or uuid5(NAMESPACE_URL, risk.decode())
        tier = assessment.result.tiers[assessment.result.tier.at_least]
        status = "active" if is_final(assessment) else "draft"
        asked = self._asked(assessment)
        group = self._group(assessment, about, [plan] if are_named else None, status, asked["priority"])
        group["note"] = [*notes]
        made = {_PLAN: group}
        if activity and is_assessable(assessment.result.tier):
            purpose = _REQUEST if tier.referral else _WORDS
            group["action"] = [self._action(tier, assessment, uuid5(name, purpose))]
            made[purpose] = (
                about.request(
                    status,
                    self._referred(assessment),
                    {"instantiatesCanonical": [activity] if are_named else None, **asked},
                )
                if tier.referral
                else self._words(assessment, about, status, asked, uuid5(name, _PLAN))
            )
        return _written(_entries(name, made), about.labels)

    def withdrawn(self, risk: bytes) -> bytes:
        """Returns the Bundle of a withdrawn RiskAssessment: whatever was filed of it is withdrawn too."""
        document: Json = orjson.loads(risk)
        status, words = document["status"], document["note"][0]["text"]
        about = _withdrawn_from(document, self._phrases)
        codes = {
            STEP: self._step_code(),
            **{score.name: self._score_code(score) for score in self._written.scores},
        }
        made = {name: about.observation(status, code, words, {}) for name, code in codes.items()}
        is_error = status == _ERROR
        made[_REQUEST] = about.request(_ERROR if is_error else "revoked", words, {})
        made[_TEXT] = about.text(_ERROR if is_error else "superseded", self._title, words, is_final=True)
        stated = (entry["value"] for entry in document.get("identifier", ()))
        name = next((UUID(urn) for urn in stated), uuid5(NAMESPACE_URL, risk.decode()))
        return _collection(risk, name, made, about.labels)

    # The Observations.

    def _step(self, assessment: Assessment, about: _About) -> MutableJson:
        result = assessment.result
        known = result.tiers[result.tier.at_least]
        named = [coding(self._system, known.code, known.display)] if result.tier.settled else []
        value = {
            "text": self._phrases.step(result.tiers, result.tier),
            **({"coding": named} if named else {}),
        }
        words = f"{self._phrases['results.step-of-care']}: {self._summary.step(assessment)}"
        return about.observation(
            _status(assessment), self._step_code(), words, {"valueCodeableConcept": value}
        )

    def _score(self, total: Total, assessment: Assessment, about: _About) -> MutableJson:
        code = self._score_code(total.score)
        return about.observation(_status(assessment), code, self._phrases.score(total), self._value(total))

    def _value(self, total: Total) -> Json:
        """Returns the value of a score, or the range that it lies in while items are open."""
        if total.refused:
            reason = coding("http://terminology.hl7.org/CodeSystem/data-absent-reason", "unknown", "Unknown")
            return {"dataAbsentReason": {"coding": [reason], "text": self._phrases["scores.refused"]}}
        unit = total.score.unit
        if total.value is not None:
            value: MutableJson = {"valueQuantity": _points(total.value, unit)}
        else:
            value = {
                "valueRange": {"low": _points(total.at_least, unit), "high": _points(total.at_most, unit)}
            }
        return value | {"interpretation": [{"text": self._phrases.bands(total)}]}

    def _step_code(self) -> Json:
        said = self._phrases["results.step-of-care"]
        return {"coding": [coding(self._system, STEP, said)], "text": said}

    def _score_code(self, score: Score) -> Json:
        own = Coding(self._system, score.name)
        display = score.display if score.code is None else score.code_display
        return {"coding": [named_coding(score.code or own, display)], "text": score.display}

    # The referral.

    def _request(self, assessment: Assessment, about: _About) -> MutableJson | None:
        """Returns the proposal that the step asks for; a revoked one if an amended response asks for none."""
        result = assessment.result
        tier = result.tiers[result.tier.at_least]
        if tier.referral:
            status = "active" if is_final(assessment) else "draft"
            return about.request(status, self._referred(assessment), self._asked(assessment))
        if assessment.context.status == "amended":
            return about.request("revoked", self._phrases["results.no-referral"], {})
        return None

    def _referred(self, assessment: Assessment) -> str:
        return f"{self._phrases['results.referral']}: {self._summary.step(assessment)}"

    def _asked(self, assessment: Assessment) -> MutableJson:
        """Returns how soon, for whom and why."""
        result = assessment.result
        tier, due = result.tiers[result.tier.at_least], result.step_due
        is_raised = any(fired.rule.tier == tier.code and fired.rule.priority for fired in result.fired)
        addressee = None if due is None else self._written.addressees.get(due.to or tier.to)
        reasons = [self._summary.reason(fired, assessment) for fired in wording.main_reasons(result)]
        return {
            "priority": (_RAISED[tier.referral] if is_raised else tier.referral) if tier.referral else None,
            "occurrencePeriod": None if due is None else _period(assessment.context.authored, due.days),
            "performerType": None if addressee is None else {"text": addressee.to_clinician},
            "reasonCode": [{"text": reason} for reason in reasons] or None,
        }

    # What a plan proposes.

    def _group(
        self,
        assessment: Assessment,
        about: _About,
        plans: list[str] | None,
        status: str,
        priority: str | None,
    ) -> MutableJson:
        words = f"{self._phrases['results.step-of-care']}: {self._summary.step(assessment)}"
        members = {
            "instantiatesCanonical": plans,
            "status": status,
            "intent": "proposal",
            "priority": priority,
            "subject": about.subject,
            "encounter": about.encounter,
            "authoredOn": about.authored,
        }
        return about.made("RequestGroup", words, members)

    def _action(self, tier: Tier, assessment: Assessment, resource: UUID) -> MutableJson:
        """Returns the action of a step; its latest date is counted from the response."""
        result = assessment.result
        action: MutableJson = {
            "id": tier.code,
            "title": self._phrases.step(result.tiers, result.tier),
            "description": tier.says.to_clinician if result.tier.settled else None,
            "code": [{"coding": [coding(self._system, tier.code, tier.display)]}],
        }
        if result.step_due is not None:
            action["timingDuration"] = {
                "value": result.step_due.days,
                "comparator": "<=",
                "unit": "days",
                "system": ucum.SYSTEM,
                "code": "d",
            }
        stated = {name: value for name, value in action.items() if value is not None}
        return {**stated, "resource": {"reference": resource.urn}}

    def _words(
        self, assessment: Assessment, about: _About, status: str, asked: MutableJson, group: UUID
    ) -> MutableJson:
        """Returns the proposal to tell the person what the step says."""
        members = {
            "basedOn": [{"reference": group.urn}],
            "status": status,
            "subject": about.subject,
            "about": [about.response],
            "encounter": about.encounter,
            "payload": [{"contentString": self._patient.text(assessment)}],
            "occurrencePeriod": asked["occurrencePeriod"],
            "authoredOn": about.authored,
            "reasonCode": asked["reasonCode"],
        }
        return about.made("CommunicationRequest", self._summary.step(assessment), members)


_REQUEST: Final = "referral"
_TEXT: Final = "text"
_PLAN: Final = "plan"
_WORDS: Final = "words"


def _about(assessment: Assessment, phrases: Phrases) -> _About:
    context, labels = assessment.context, labels_of(assessment)
    subject = context.subject or NOBODY
    response = response_reference(context, phrases)
    return _About(subject, context.encounter, context.contained, context.authored, response, phrases, labels)


def _withdrawn_from(risk: Json, phrases: Phrases) -> _About:
    """Returns what a RiskAssessment says of whom and what it is about."""
    contained = [inside for inside in risk["contained"] if inside["resourceType"] != "Device"]
    return _About(
        subject=risk["subject"],
        encounter=risk.get("encounter"),
        contained=contained,
        authored=risk.get("occurrenceDateTime"),
        response=risk["basis"][0],
        phrases=phrases,
        labels=risk.get("meta", {}).get("security", ()),
    )


def _status(assessment: Assessment) -> str:
    if not is_final(assessment):
        return "preliminary"
    return "amended" if assessment.context.status == "amended" else "final"


def _points(value: Decimal, unit: str) -> Json:
    stated = orjson.Fragment(digits(value).encode())
    return {"value": stated, "unit": unit.strip("{}"), "system": ucum.SYSTEM, "code": unit}


def _period(authored: str | None, days: int) -> Json | None:
    """Returns the days from the response to a latest date; None where there is no such day."""
    began = day_of(authored)
    end = None if began is None else day_after(began, days)
    if began is None or end is None:
        return None
    return {"start": began.isoformat(), "end": end.isoformat()}


def _collection(risk: bytes, name: UUID, made: Mapping[str, MutableJson], labels: Sequence[Json]) -> bytes:
    """Returns the Bundle of a RiskAssessment and what was made beside it, by what each is for."""
    return _written([{"fullUrl": name.urn, "resource": orjson.Fragment(risk)}, *_entries(name, made)], labels)


def _entries(name: UUID, made: Mapping[str, MutableJson]) -> list[Json]:
    """Returns the entries of resources by what each is for; each is named after the result and that."""
    entries: list[Json] = []
    for purpose, resource in made.items():
        own = uuid5(name, purpose)
        kind = {"resourceType": resource["resourceType"], "identifier": identifier_of(own)}
        entries.append({"fullUrl": own.urn, "resource": kind | resource})
    return entries


def _written(entries: Sequence[Json], labels: Sequence[Json]) -> bytes:
    """Returns the Bundle of entries; their labels are its own too."""
    labelled = {"meta": {"security": labels}} if labels else {}
    return orjson.dumps({"resourceType": "Bundle", **labelled, "type": "collection", "entry": entries})
