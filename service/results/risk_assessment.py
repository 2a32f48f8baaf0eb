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
from service.fhir.response_context import ResponseContext
from service.guidance import Guidance
from service.guidance.model import Identity, Level, Outcome
from service.guidance.result import Interval, Risk
from service.results import wording
from service.results.extensions import (
    Extensions,
    array,
    by_level,
    coding,
    extension,
    in_json,
    intervals,
    level_coding,
)
from service.results.summary import Summary
from service.results.values import cut
from service.results.wording import IF_UNCHANGED, LANGUAGE, Assessment, level_words

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


def response_reference(context: ResponseContext) -> Json:
    """Returns a Reference to the response: by its id, else by its identifier, else in words."""
    if context.id is not None:
        return {"reference": f"QuestionnaireResponse/{context.id}"}
    if context.identifier is not None:
        return {"type": "QuestionnaireResponse", "identifier": context.identifier}
    when = f", written {context.authored}" if context.authored is not None else ""
    return {"type": "QuestionnaireResponse", "display": f"Response to {context.questionnaire}{when}"}


def guidance_in(risk: bytes) -> str:
    """Returns the `url|version` of the guidance that made a RiskAssessment."""
    return _of_method(risk, "valueCanonical")


def guidance_hash_in(risk: bytes) -> str:
    """Returns the hash of the guidance that made a RiskAssessment."""
    return _of_method(risk, "valueString")


def _of_method(risk: bytes, value: str) -> str:
    method: Json = orjson.loads(risk)["method"]
    return next(str(each[value]) for each in method["extension"] if value in each)


def is_final(assessment: Assessment) -> bool:
    """Returns whether nothing can change the result any more: it is settled, and the response is complete."""
    return assessment.result.settled and assessment.context.status in _COMPLETE


class Head:
    """Writes what every RiskAssessment of one guidance says of itself, its response and its maker."""

    def __init__(self, guidance: Guidance, urls: Canonicals) -> None:
        identity = guidance.written.identity
        self._device = fragment(_device(identity))
        self._method = fragment(_method(identity, urls))
        self._code = fragment(_code(identity))
        reason = identity.reason
        self._reasons = None if reason is None else fragment([_reason(reason, identity.reason_display)])

    def begun(self, div: bytes, assessment: Assessment) -> MutableJson:
        """Returns the members up to the narrative and what is contained."""
        return {
            "resourceType": "RiskAssessment",
            "language": LANGUAGE,
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
            "basis": [response_reference(context), *assessment.chart.basis],
        }


def _device(identity: Identity) -> Json:
    """Returns the assessor: this guidance in this version, whatever machine runs it."""
    return {
        "resourceType": "Device",
        "id": "assessor",
        "deviceName": [{"name": identity.title, "type": "model-name"}],
        "type": {"text": "Clinical decision support software"},
        "version": [{"type": {"text": "Guidance"}, "value": identity.version}],
    }


def _method(identity: Identity, urls: Canonicals) -> Json:
    named = {"system": "urn:ietf:rfc:3986", "version": identity.version, "code": identity.url}
    return {
        "extension": [
            extension(urls.restated(definitions.GUIDANCE_CANONICAL), "Canonical", identity.canonical),
            extension(urls.restated(definitions.GUIDANCE_HASH), "String", identity.hash),
        ],
        "coding": [{**named, "display": identity.title}],
        "text": f"{identity.title}, version {identity.version}",
    }


def _code(identity: Identity) -> Json:
    """Returns what was done, which was no examination; the code of the guidance says what it was about."""
    named = [coding(identity.terminology, TRIAGE, wording.TRIAGE)]
    named += (
        [named_coding(identity.code, identity.code_display)]
        if identity.code != (identity.terminology, TRIAGE)
        else []
    )
    return {"coding": named, "text": f"{wording.TRIAGE}: {identity.title}"}


def _reason(code: Coding, display: str) -> Json:
    return {"coding": [named_coding(code, display)], **({"text": display} if display else {})}


def named_coding(code: Coding, display: str) -> Json:
    """Returns a Coding, with a display where there is one."""
    return coding(*code, display) if display else {"system": code.system, "code": code.code}


# The predictions: the step itself, then the patterns.


class Predictions:
    """Writes `prediction` for one guidance's results; what does not depend on answers is written once."""

    def __init__(self, guidance: Guidance, extensions: Extensions, summary: Summary) -> None:
        written = guidance.written
        self._system = written.identity.terminology
        self._extensions = extensions
        self._summary = summary
        self._tiers = written.tiers
        self._steps = {tier: self._step(tier) for tier in intervals(len(written.tiers))}
        self._begun = by_level(written, self.head)
        self._said = {rule.name: cut(rule.says.to_clinician, LONGEST_RATIONALE) for rule in written.rules}

    def of(self, assessment: Assessment) -> bytes:
        """Returns the array: the step of care, then every outcome that a report names."""
        listed = [risk for risk in assessment.result.risks if risk.listed]
        return array((self.step(assessment), *map(self._pattern, listed)))

    def step(self, assessment: Assessment) -> bytes:
        """Returns the prediction that is the step of care, with its first reason."""
        result = assessment.result
        reasons = wording.main_reasons(result)
        if reasons:
            said = self._summary.reason(reasons[0], assessment)
        else:
            said = self._tiers[result.tier.at_least].says.clinician
        return self._steps[result.tier] + in_json(cut(said, LONGEST_RATIONALE)) + b'"}'

    def _pattern(self, risk: Risk) -> bytes:
        head = self._begun[risk.outcome.code, risk.level]
        said = self._said[risk.fired[0].rule.name] if risk.fired else wording.NO_RULE
        if risk.level.settled:
            return b"{" + head + in_json(said) + b'"}'
        interval = self._extensions.level(risk.outcome, risk.level)
        return (
            b'{"extension":[%b],' % interval
            + head
            + in_json(cut(IF_UNCHANGED + said, LONGEST_RATIONALE))
            + b'"}'
        )

    def _step(self, tier: Interval) -> bytes:
        """Returns the prediction of a step up to its rationale."""
        needs = coding(self._system, NEEDS_EVALUATION, wording.NEEDS_EVALUATION)
        known = self._tiers[tier.at_least]
        named = [coding(self._system, known.code, known.display)] if tier.settled else []
        risk = {"coding": named} if named else {"text": wording.tier_heading(self._tiers, tier)}
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
            return {"text": level_words(ladder, level)}
        return {"coding": [level_coding(ladder[level.at_least], self._system)]}


# What is said beside the predictions.


class Remarks:
    """Writes `note`: the intended use, and what a reader must know of the response."""

    def __init__(self, guidance: Guidance) -> None:
        use = guidance.written.identity.intended_use.clinician
        self._intended = fragment({"text": f"{wording.INTENDED_USE}: {use}"})
        self._questions = guidance.form.questions

    def notes(self, assessment: Assessment) -> list[object]:
        """Returns the notes."""
        return [self._intended, *({"text": remark} for remark in self._remarks(assessment))]

    def _remarks(self, assessment: Assessment) -> Iterator[str]:
        result = assessment.result
        if not wording.is_assessable(result.tier):
            yield f"{wording.NOT_ASSESSABLE}. The open questions stand in the order in which to ask them."
        for contradiction in result.contradictions:
            yield f"Contradiction; the worse answer counts: {contradiction.says.to_clinician}"
        if result.ignored:
            texts = (self._questions[link].text or link for link in result.ignored if link in self._questions)
            yield f"{wording.IGNORED}: {wording.quoted(texts)}."
        for problem in assessment.problems:
            yield problem.text


# For files and terminals.


def indented(resource: bytes) -> str:
    """Returns JSON with line breaks; every number keeps its digits."""
    return msgspec.json.format(resource, indent=2).decode() + "\n"


# When the response is withdrawn.

_KEPT: Final = (
    "resourceType",
    "language",
    "contained",
    "identifier",
    "method",
    "code",
    "subject",
    "encounter",
    "occurrenceDateTime",
    "performer",
    "reasonCode",
    "basis",
)
_WORDS: Final = {
    "entered-in-error": "Withdrawn: the response behind this result was entered in error. "
    "Earlier versions of this result must not be used.",
    "cancelled": "Withdrawn: the questionnaire was stopped before it was completed. "
    "Earlier versions of this result must not be used.",
}


def withdrawn(risk: bytes, status: str) -> bytes:
    """Returns what is left of a RiskAssessment when its response is withdrawn.

    Args:
        risk: the version that stood until now.
        status: `entered-in-error` or `cancelled`, the observation-status that it takes.

    Source:
        R4 RiskAssessment.status; observation-status.
    """
    before: MutableJson = orjson.loads(risk)
    words = _WORDS[status]
    document: MutableJson = {name: before[name] for name in _KEPT if name in before}
    document |= {"text": wording.narrative(words), "status": status, "note": [{"text": words}]}
    return orjson.dumps(document)
