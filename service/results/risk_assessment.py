"""The RiskAssessment of R4 as a chart shows it: short; and what is left of one that is withdrawn.

The same response gives the same bytes. The source of the guidance gives no likelihoods, so
`prediction.probability[x]` is never written. `full.py` writes the same with all that argues for it.

Source: https://hl7.org/fhir/R4/riskassessment.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import orjson

from service.datatypes.answers import Coding
from service.fhir import definitions
from service.fhir.definitions import Canonicals
from service.fhir.extensions import DATA_ABSENT_REASON
from service.fhir.json import Json, MutableJson
from service.fhir.response_context import ResponseContext, distinct
from service.guidance import Guidance
from service.guidance.model import Identity, Level, Outcome
from service.guidance.result import Interval, Risk
from service.languages import ENGLISH, languages
from service.results import wording
from service.results.extensions import (
    Extensions,
    by_level,
    coding,
    extension,
    in_json,
    intervals,
    level_coding,
)
from service.results.phrases import Phrases, cut, is_assessable, phrases_in
from service.results.summary import Summary
from service.results.wording import Assessment

LONGEST_RATIONALE: Final = 120
"""Characters of `prediction.rationale`."""

NEEDS_EVALUATION: Final = "needs-evaluation"
TRIAGE: Final = "questionnaire-triage"
STEP: Final = "step-of-care"
"""Codes in the code system of every guidance, beside the names of its own steps, outcomes and levels."""

_COMPLETE: Final = frozenset({"completed", "amended"})
_ASSESSOR: Final = {"reference": "#assessor"}
NOBODY: Final = {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]}
"""The subject of a response that names none."""


def fragment(value: object) -> orjson.Fragment:
    """Returns a value as JSON that is written once and stands in many documents."""
    return orjson.Fragment(orjson.dumps(value))


# The names of a result, and of every resource that is made with it.


def result_name(context: ResponseContext) -> UUID | None:
    """Returns the name of what is made of a response, the same for all its versions; None if none can be.

    An identifier comes before an id, since it goes with the response from server to server. Without
    either, the person, the form and the time tell one response from another. The form is the last part of
    its url, so that a name is the same under any canonical base.
    """
    form = (context.questionnaire or "").partition("|")[0].rpartition("/")[2]
    if context.identifier is not None:
        own = ["identifier", context.identifier.get("system", ""), context.identifier["value"]]
    elif context.id is not None:
        own = ["id", context.id]
    elif context.subject is not None and context.authored is not None:
        own = ["authored", context.authored]
    else:
        return None
    who = orjson.dumps(context.subject, option=orjson.OPT_SORT_KEYS).decode()
    return uuid5(NAMESPACE_URL, "\n".join((form, who, *own)))


def identifier_of(name: UUID | None) -> list[Json] | None:
    """Returns the identifier that is this name."""
    return None if name is None else [{"system": "urn:ietf:rfc:3986", "value": name.urn}]


def response_reference(context: ResponseContext, phrases: Phrases) -> Json:
    """Returns a Reference to the response: by its id, else by its identifier, else in words."""
    if context.id is not None:
        return {"reference": f"QuestionnaireResponse/{context.id}"}
    if context.identifier is not None:
        return {"type": "QuestionnaireResponse", "identifier": context.identifier}
    key = "results.response" if context.authored is None else "results.response-written"
    display = phrases.say(key, questionnaire=context.questionnaire, authored=context.authored)
    return {"type": "QuestionnaireResponse", "display": display}


def guidance_in(risk: bytes) -> str:
    """Returns the `url|version` of the guidance that made a RiskAssessment."""
    return _of_method(risk, "valueCanonical")


def guidance_hash_in(risk: bytes) -> str:
    """Returns the hash of the guidance that made a RiskAssessment."""
    return _of_method(risk, "valueString")


def language_in(risk: bytes) -> str:
    """Returns the language of a RiskAssessment; English where it does not say."""
    stated = orjson.loads(risk).get("language", ENGLISH)
    return str(stated) if stated in languages() else ENGLISH


def _of_method(risk: bytes, value: str) -> str:
    method: Json = orjson.loads(risk)["method"]
    return next(str(each[value]) for each in method["extension"] if value in each)


def is_final(assessment: Assessment) -> bool:
    """Returns whether nothing can change the result any more: it is settled, and the response is complete."""
    return assessment.result.settled and assessment.context.status in _COMPLETE


def labels_of(assessment: Assessment) -> tuple[Json, ...]:
    """Returns the security labels of all that a result was made from."""
    earlier = (label for response in assessment.earlier for label in response.context.security)
    return distinct((*assessment.context.security, *assessment.chart.labels, *earlier))


class Head:
    """Writes what every RiskAssessment of one guidance says of itself, its response and its maker."""

    def __init__(self, guidance: Guidance, urls: Canonicals, phrases: Phrases) -> None:
        identity = guidance.written.identity
        self._phrases = phrases
        self._device = fragment(_device(identity, phrases))
        self._method = fragment(_method(identity, urls, phrases))
        self._code = fragment(_code(identity, phrases))
        reason = identity.reason
        self._reasons = None if reason is None else fragment([_reason(reason, identity)])

    def begun(self, div: bytes, assessment: Assessment) -> MutableJson:
        """Returns the members up to the narrative and what is contained."""
        labels = labels_of(assessment)
        return {
            "resourceType": "RiskAssessment",
            **({"meta": {"security": labels}} if labels else {}),
            "language": self._phrases.language,
            "text": {"status": "generated", "div": orjson.Fragment(div)},
            "contained": [self._device, *assessment.context.contained],
        }

    def about(self, assessment: Assessment) -> MutableJson:
        """Returns the members from the identifier to the basis; None where there is nothing to say."""
        context = assessment.context
        return {
            "identifier": identifier_of(result_name(context)),
            "status": "final" if is_final(assessment) else "preliminary",
            "method": self._method,
            "code": self._code,
            "subject": context.subject or NOBODY,
            "encounter": context.encounter,
            "occurrenceDateTime": context.authored,
            "performer": _ASSESSOR,
            "reasonCode": self._reasons,
            "basis": [
                response_reference(context, self._phrases),
                *assessment.chart.basis,
                *self._earlier(assessment),
            ],
        }

    def _earlier(self, assessment: Assessment) -> Iterator[Json]:
        """Yields References to the earlier responses that the response was compared with."""
        return (response_reference(earlier.context, self._phrases) for earlier in assessment.earlier)


def _device(identity: Identity, phrases: Phrases) -> Json:
    """Returns the assessor: this guidance in this version, whatever machine runs it."""
    return {
        "resourceType": "Device",
        "id": "assessor",
        "deviceName": [{"name": identity.title, "type": "model-name"}],
        "type": {"text": phrases["results.software"]},
        "version": [{"type": {"text": phrases["results.guidance"]}, "value": identity.version}],
    }


def _method(identity: Identity, urls: Canonicals, phrases: Phrases) -> Json:
    named = {"system": "urn:ietf:rfc:3986", "version": identity.version, "code": identity.url}
    return {
        "extension": [
            extension(urls.restated(definitions.GUIDANCE_CANONICAL), "Canonical", identity.canonical),
            extension(urls.restated(definitions.GUIDANCE_HASH), "String", identity.hash),
        ],
        "coding": [{**named, "display": identity.title}],
        "text": phrases.say("results.method", title=identity.title, version=identity.version),
    }


def _code(identity: Identity, phrases: Phrases) -> Json:
    """Returns what was done, which was no examination; the code of the guidance says what it was about."""
    triage = phrases["results.questionnaire-triage"]
    named = [coding(identity.terminology, TRIAGE, triage)]
    named += (
        [named_coding(identity.code, identity.code_display)]
        if identity.code != (identity.terminology, TRIAGE)
        else []
    )
    return {"coding": named, "text": f"{triage}: {identity.title}"}


def _reason(code: Coding, identity: Identity) -> Json:
    said = identity.reason_text or identity.reason_display
    return {"coding": [named_coding(code, identity.reason_display)], **({"text": said} if said else {})}


def named_coding(code: Coding, display: str) -> Json:
    """Returns a Coding, with a display where there is one."""
    return coding(*code, display) if display else {"system": code.system, "code": code.code}


# The predictions: the step itself, then the patterns.


class Predictions:
    """Writes `prediction` for one guidance's results; what does not depend on answers is written once."""

    def __init__(
        self, guidance: Guidance, extensions: Extensions, summary: Summary, phrases: Phrases
    ) -> None:
        written = guidance.written
        self._system = written.identity.terminology
        self._extensions = extensions
        self._summary = summary
        self._phrases = phrases
        self._tiers = written.tiers
        self._steps = {tier: self._step(tier) for tier in intervals(len(written.tiers))}
        self._begun = by_level(written, self.head)
        self._said = {rule.name: cut(rule.says.to_clinician, LONGEST_RATIONALE) for rule in written.rules}
        self._rationales = {name: in_json(said) + b'"}' for name, said in self._said.items()}

    def of(self, assessment: Assessment) -> list[bytes]:
        """Returns the step of care, then every outcome that a report names."""
        listed = [risk for risk in assessment.result.risks if risk.listed]
        return [self.step(assessment), *map(self._pattern, listed)]

    def step(self, assessment: Assessment) -> bytes:
        """Returns the prediction that is the step of care, with its first reason."""
        result = assessment.result
        reasons = wording.main_reasons(result)
        if reasons:
            said = self._summary.reason(reasons[0], assessment)
        else:
            said = self._phrases.known(self._tiers, result.tier).says.clinician
        return self._steps[result.tier] + in_json(cut(said, LONGEST_RATIONALE)) + b'"}'

    def _pattern(self, risk: Risk) -> bytes:
        head = self._begun[risk.outcome.code, risk.level]
        if risk.level.settled and risk.fired:
            return b"{" + head + self._rationales[risk.fired[0].rule.name]
        said = self._said[risk.fired[0].rule.name] if risk.fired else self._phrases["results.no-rule"]
        if risk.level.settled:
            return b"{" + head + in_json(said) + b'"}'
        interval = self._extensions.level(risk.outcome, risk.level)
        return (
            b'{"extension":[%b],' % interval
            + head
            + in_json(cut(f"{self._phrases['results.if-unchanged']} {said}", LONGEST_RATIONALE))
            + b'"}'
        )

    def _step(self, tier: Interval) -> bytes:
        """Returns the prediction of a step up to its rationale."""
        needs = coding(self._system, NEEDS_EVALUATION, self._phrases["results.needs-evaluation"])
        known = self._tiers[tier.at_least]
        named = [coding(self._system, known.code, known.display)] if tier.settled else []
        risk = {"coding": named} if named else {"text": self._phrases.step(self._tiers, tier)}
        members = {"outcome": {"coding": [needs]}, "qualitativeRisk": risk, "rationale": ""}
        return orjson.dumps(members)[:-2]

    def head(self, outcome: Outcome, ladder: tuple[Level, ...], level: Interval) -> bytes:
        """Returns a prediction from its outcome up to its rationale."""
        members = {
            "outcome": self._outcome(outcome),
            "qualitativeRisk": self._level(ladder, level),
            "rationale": "",
        }
        return orjson.dumps(members)[1:-2]

    def _outcome(self, outcome: Outcome) -> Json:
        codings = [coding(self._system, outcome.code, outcome.display)]
        codings += [{"system": known.system, "code": known.code} for known in outcome.codes]
        return {"coding": codings}

    def _level(self, ladder: tuple[Level, ...], level: Interval) -> Json:
        if not level.settled:
            return {"text": self._phrases.level(ladder, level)}
        known = ladder[level.at_least]
        said = {"text": known.display} if known.coding_display else {}
        return {"coding": [level_coding(known, self._system)], **said}


# What is said beside the predictions.


class Remarks:
    """Writes `note`: the intended use, and what a reader must know of the response."""

    def __init__(self, guidance: Guidance, phrases: Phrases) -> None:
        self._phrases = phrases
        use = guidance.written.identity.intended_use.clinician
        self._intended = fragment({"text": f"{phrases['results.intended-use']}: {use}"})
        self._questions = guidance.form.questions

    def notes(self, assessment: Assessment) -> list[object]:
        """Returns the notes."""
        return [self._intended, *({"text": remark} for remark in self._remarks(assessment))]

    def _remarks(self, assessment: Assessment) -> Iterator[str]:
        result = assessment.result
        if not is_assessable(result.tier):
            yield f"{self._phrases['results.not-assessable']}. {self._phrases['results.open-in-order']}"
        for contradiction in result.contradictions:
            yield self._phrases.say("results.contradiction", said=contradiction.says.to_clinician)
        if result.ignored:
            texts = (self._questions[link].text or link for link in result.ignored if link in self._questions)
            yield f"{self._phrases['results.ignored']}: {self._phrases.quoted(texts)}."
        yield from self._phrases.remarks(assessment.problems)


# For files and terminals.


def indented(resource: bytes) -> str:
    """Returns JSON with line breaks; every number keeps its digits."""
    return msgspec.json.format(resource, indent=2).decode() + "\n"


# When the response is withdrawn.

_KEPT: Final = (
    *("resourceType", "language", "contained", "identifier", "method", "code", "subject", "encounter"),
    *("occurrenceDateTime", "performer", "reasonCode", "basis"),
)


def withdrawn(risk: bytes, status: str) -> bytes:
    """Returns what is left of a RiskAssessment when its response is withdrawn.

    Args:
        risk: the version that stood until now.
        status: `entered-in-error` or `cancelled`, the observation-status that it takes.

    Source:
        R4 RiskAssessment.status; observation-status.
    """
    before: MutableJson = orjson.loads(risk)
    phrases = phrases_in(language_in(risk))
    words = phrases[f"results.{status}"]
    document: MutableJson = {name: before[name] for name in _KEPT if name in before}
    document |= {
        "text": wording.narrative(phrases.language, words),
        "status": status,
        "note": [{"text": words}],
    }
    return orjson.dumps(document)
