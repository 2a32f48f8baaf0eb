"""Writes a result as a RiskAssessment of R4; the same result and header give the same bytes.

Source: https://hl7.org/fhir/R4/riskassessment.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from service.errors import Problem
from service.fhir import canonicals, wording
from service.fhir.canonicals import AS_WRITTEN, Canonicals
from service.fhir.chart import ChartValues
from service.fhir.extensions import Extensions, coded, part
from service.fhir.header import DATA_ABSENT_REASON, Json, ResponseHeader
from service.fhir.narrative import Narrative
from service.fhir.pieces import array
from service.fhir.predictions import Predictions
from service.fhir.summary import patient_summary
from service.guidance import Guidance
from service.guidance.model import Identity
from service.guidance.result import Result

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
        self._contained = _fragment([_device(identity)])
        self._method = _fragment(_method(identity, urls))
        self._code = _fragment(_code(identity))
        self._intended = _fragment(_note(f"{wording.INTENDED_USE}: {identity.intended_use.clinician}"))
        self._extensions = Extensions(guidance, urls)
        self._predictions = Predictions(guidance, self._extensions)
        self._narrative = Narrative(guidance)

    def render(
        self,
        result: Result,
        header: ResponseHeader,
        chart: ChartValues = _NO_CHART,
        problems: Sequence[Problem] = (),
    ) -> bytes:
        """Returns the RiskAssessment.

        Args:
            result: what the guidance makes of the answers.
            header: who and what the response is about.
            chart: values from the chart that count beside the answers; they become `basis`.
            problems: warnings about the response; they become notes.
        """
        listed = [risk for risk in result.risks if risk.listed]
        is_final = result.settled and header.status in _COMPLETE
        document: dict[str, Any] = {
            "resourceType": "RiskAssessment",
            "text": {
                "status": "generated",
                "div": orjson.Fragment(self._narrative.div(result, listed, problems)),
            },
            "contained": self._contained,
            "extension": orjson.Fragment(array(self._extensions.of_result(result))),
            "status": "final" if is_final else "preliminary",
            "method": self._method,
            "code": self._code,
            "subject": header.subject or _NOBODY,
            "encounter": header.encounter,
            "occurrenceDateTime": header.authored,
            "performer": _ASSESSOR,
            "basis": [_response_reference(header), *chart.basis],
            "prediction": _unless_empty([self._predictions.prediction(risk) for risk in listed]),
            "mitigation": patient_summary(self._guidance, result),
            "note": [self._intended, *map(_note, self._remarks(result, problems))],
        }
        return orjson.dumps({name: value for name, value in document.items() if value is not None})

    def _remarks(self, result: Result, problems: Sequence[Problem]) -> Iterator[str]:
        if not wording.is_assessable(result.tier):
            yield f"{wording.NOT_ASSESSABLE}. The open questions stand in the order in which to ask them."
        for each in result.contradictions:
            yield f"Contradiction; the worse answer counts: {each.says.clinician or each.says.patient}"
        if result.ignored:
            questions = self._guidance.form.questions
            texts = (questions[link].text or link for link in result.ignored if link in questions)
            yield f"{wording.IGNORED}: {wording.quoted(texts)}."
        for problem in problems:
            yield problem.text


def _fragment(value: object) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(value))


def _unless_empty(members: list[bytes]) -> orjson.Fragment | None:
    return orjson.Fragment(array(members)) if members else None


def _note(text: str) -> Json:
    return {"text": text}


def _device(identity: Identity) -> Json:
    """The assessor is this guidance in this version, whatever machine runs it."""
    return {
        "resourceType": "Device",
        "id": "assessor",
        "deviceName": [{"name": identity.title, "type": "model-name"}],
        "type": {"text": "Clinical decision support software"},
        "version": [{"type": {"text": "Guidance"}, "value": identity.version}],
    }


def _method(identity: Identity, urls: Canonicals) -> Json:
    canonical = f"{identity.url}|{identity.version}"
    return {
        "extension": [
            part(urls.restated(canonicals.GUIDANCE_CANONICAL), "Canonical", canonical),
            part(urls.restated(canonicals.GUIDANCE_HASH), "String", identity.hash),
        ],
        "coding": [{"system": "urn:ietf:rfc:3986", "code": identity.url, "display": identity.title}],
        "text": f"{canonical} (sha256 {identity.hash})",
    }


def _code(identity: Identity) -> Json:
    if not identity.code_display:
        return {"coding": [{"system": identity.code.system, "code": identity.code.code}]}
    return {"coding": [coded(identity.code, identity.code_display)], "text": identity.code_display}


def _response_reference(header: ResponseHeader) -> Json:
    """The response by its id, else by its identifier, else in words."""
    if header.id is not None:
        return {"reference": f"QuestionnaireResponse/{header.id}"}
    if header.identifier is not None:
        return {"type": "QuestionnaireResponse", "identifier": header.identifier}
    when = f", written {header.authored}" if header.authored is not None else ""
    return {"type": "QuestionnaireResponse", "display": f"Response to {header.questionnaire}{when}"}
