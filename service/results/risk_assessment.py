"""The RiskAssessment of R4: a result as it is sent and stored, as a file shows it, and as it is withdrawn.

The same result and the same context of a response give the same bytes. The source of the guidance
gives no likelihoods, so `prediction.probability[x]` is never written.

Source: https://hl7.org/fhir/R4/riskassessment.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import NAMESPACE_URL, uuid5

import msgspec
import orjson

from service.errors import Problem
from service.fhir import definitions
from service.fhir.chart import ChartValues
from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.fhir.extensions import DATA_ABSENT_REASON
from service.fhir.json import Json, MutableJson
from service.fhir.response_context import ResponseContext
from service.guidance import Guidance
from service.guidance.model import Identity, Level, Outcome, Rule
from service.guidance.result import Interval, Result, Risk
from service.results import wording
from service.results.extensions import (
    Extensions,
    array,
    by_level,
    coding,
    extension,
    in_json,
    level_coding,
)
from service.results.narrative import Narrative
from service.results.wording import IF_UNCHANGED, level_words, patient_summary

_COMPLETE: Final = frozenset({"completed", "amended"})
_ASSESSOR: Final = {"reference": "#assessor"}
_NOBODY: Final = {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]}
_NO_CHART: Final = ChartValues()


class Renderer:
    """Writes the results of one guidance; what never changes is written once, at start.

    Args:
        guidance: whose results are written.
        urls: the canonical urls of what this service defines itself.
    """

    def __init__(self, guidance: Guidance, urls: Canonicals = AS_WRITTEN) -> None:
        identity = guidance.written.identity
        self._guidance = guidance
        self._device = _fragment(_device(identity))
        self._method = _fragment(_method(identity, urls))
        self._code = _fragment(_code(identity))
        self._intended = _fragment({"text": f"{wording.INTENDED_USE}: {identity.intended_use.clinician}"})
        self._extensions = Extensions(guidance, urls)
        self._predictions = Predictions(guidance, self._extensions)
        self._narrative = Narrative(guidance)

    def render(
        self,
        result: Result,
        context: ResponseContext,
        chart: ChartValues = _NO_CHART,
        problems: Sequence[Problem] = (),
    ) -> bytes:
        """Returns the RiskAssessment.

        Args:
            result: what the guidance makes of the answers.
            context: whom and what the response is about.
            chart: values from the chart that count beside the answers; they become `basis`.
            problems: warnings about the response; they become notes.
        """
        listed = [risk for risk in result.risks if risk.listed]
        predictions = map(self._predictions.prediction, listed)
        is_final = result.settled and context.status in _COMPLETE
        document: MutableJson = {
            "resourceType": "RiskAssessment",
            "text": {
                "status": "generated",
                "div": orjson.Fragment(self._narrative.div(result, listed, problems)),
            },
            "contained": [self._device, *context.contained],
            "extension": orjson.Fragment(array(self._extensions.of_result(result))),
            "status": "final" if is_final else "preliminary",
            "method": self._method,
            "code": self._code,
            "subject": context.subject or _NOBODY,
            "encounter": context.encounter,
            "occurrenceDateTime": context.authored,
            "performer": _ASSESSOR,
            "basis": [_response_reference(context), *chart.basis],
            "prediction": orjson.Fragment(array(predictions)) if listed else None,
            "mitigation": patient_summary(self._guidance, result),
            "note": [self._intended, *({"text": remark} for remark in self._remarks(result, problems))],
        }
        return orjson.dumps({name: value for name, value in document.items() if value is not None})

    def _remarks(self, result: Result, problems: Sequence[Problem]) -> Iterator[str]:
        if not wording.is_assessable(result.tier):
            yield f"{wording.NOT_ASSESSABLE}. The open questions stand in the order in which to ask them."
        for contradiction in result.contradictions:
            yield f"Contradiction; the worse answer counts: {contradiction.says.to_clinician}"
        if result.ignored:
            questions = self._guidance.form.questions
            texts = (questions[link].text or link for link in result.ignored if link in questions)
            yield f"{wording.IGNORED}: {wording.quoted(texts)}."
        for problem in problems:
            yield problem.text


def _fragment(value: object) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(value))


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
    return {
        "extension": [
            extension(urls.restated(definitions.GUIDANCE_CANONICAL), "Canonical", identity.canonical),
            extension(urls.restated(definitions.GUIDANCE_HASH), "String", identity.hash),
        ],
        "coding": [{"system": "urn:ietf:rfc:3986", "code": identity.url, "display": identity.title}],
        "text": f"{identity.canonical} (sha256 {identity.hash})",
    }


def _code(identity: Identity) -> Json:
    if not identity.code_display:
        return {"coding": [{"system": identity.code.system, "code": identity.code.code}]}
    return {"coding": [coding(*identity.code, identity.code_display)], "text": identity.code_display}


def _response_reference(context: ResponseContext) -> Json:
    """Returns a Reference to the response: by its id, else by its identifier, else in words."""
    if context.id is not None:
        return {"reference": f"QuestionnaireResponse/{context.id}"}
    if context.identifier is not None:
        return {"type": "QuestionnaireResponse", "identifier": context.identifier}
    when = f", written {context.authored}" if context.authored is not None else ""
    return {"type": "QuestionnaireResponse", "display": f"Response to {context.questionnaire}{when}"}


# The predictions.


class Predictions:
    """Writes `prediction`, one per listed outcome, in words and codes, for one guidance's results."""

    def __init__(self, guidance: Guidance, extensions: Extensions) -> None:
        self._system = guidance.written.identity.terminology
        self._extensions = extensions
        self._begun = by_level(guidance.written, self._head)
        self._rules = {rule.name: _said(rule) for rule in guidance.written.rules}
        self._links = {link: in_json(link) for link in guidance.form.questions}

    def prediction(self, risk: Risk) -> bytes:
        """Returns the prediction of one outcome."""
        reasons = [self._extensions.reason(fired, wording=False) for fired in risk.fired]
        level = self._extensions.level(risk.outcome, risk.level)
        head = self._begun[risk.outcome.code, risk.level]
        extensions = b",".join((level, *reasons))
        return b"".join((b'{"extension":[', extensions, b"]", head, self._rationale(risk), b'"}'))

    def _rationale(self, risk: Risk) -> bytes:
        """Returns why the level is what it is: the deciding rule, its answers and its statements."""
        if not risk.fired:
            return b"no rule for this outcome holds."
        deciding = risk.fired[0]
        said, cited = self._rules[deciding.rule.name]
        if not deciding.answers:
            return said + cited
        answers = b", ".join([self._links[link] for link in deciding.answers])
        return b"%b Answers: %b.%b" % (said, answers, cited)

    def _head(self, outcome: Outcome, ladder: tuple[Level, ...], level: Interval) -> bytes:
        """Returns a prediction from its outcome to the words that say whether its level is settled."""
        words = level_words(ladder, level)
        open_end = "" if level.settled else f"{words[:1].upper()}{words[1:]}. {IF_UNCHANGED}"
        members = {
            "outcome": self._outcome(outcome),
            "qualitativeRisk": self._level(ladder, level),
            "rationale": open_end,
        }
        return b"," + orjson.dumps(members)[1:-2]

    def _outcome(self, outcome: Outcome) -> Json:
        codings = [coding(self._system, outcome.code, outcome.display)]
        codings += [{"system": known.system, "code": known.code} for known in outcome.codes]
        return {"coding": codings, "text": outcome.display}

    def _level(self, ladder: tuple[Level, ...], level: Interval) -> Json:
        words = level_words(ladder, level)
        if not level.settled:
            return {"text": words}
        known = ladder[level.at_least]
        return {"coding": [level_coding(known, self._system)], "text": words}


def _said(rule: Rule) -> tuple[bytes, bytes]:
    """Returns a rule's wording with its name, and the sentence that cites its statements."""
    cited = f" Statements: {', '.join(rule.sources)}." if rule.sources else ""
    return in_json(f"{rule.says.to_clinician} Rule: {rule.name}.".strip()), in_json(cited)


# For files and terminals.


def indented(resource: bytes) -> str:
    """Returns JSON with line breaks; every number keeps its digits."""
    return msgspec.json.format(resource, indent=2).decode() + "\n"


def collection(risk: bytes, context: ResponseContext) -> str:
    """Returns a Bundle of type collection with the RiskAssessment, indented.

    Its fullUrl is made from its content and the response's id, so the same result has the same name.
    """
    name = uuid5(NAMESPACE_URL, f"{context.id or ''}\n{risk.decode()}")
    entry = {"fullUrl": name.urn, "resource": orjson.Fragment(risk)}
    return indented(orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": [entry]}))


# When the response is withdrawn.

_KEPT: Final = (
    "resourceType",
    "contained",
    "method",
    "code",
    "subject",
    "encounter",
    "occurrenceDateTime",
    "performer",
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
    document |= {
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{words}</p></div>',
        },
        "status": status,
        "note": [{"text": words}],
    }
    return orjson.dumps(document)
