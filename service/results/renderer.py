"""Every output of one guidance's results: what never changes about them is written once, at start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.fhir.json import MutableJson
from service.guidance import Guidance
from service.results.bundle import ResultBundle
from service.results.extensions import Extensions, array
from service.results.full import FullNarrative, FullPredictions
from service.results.patient import PatientText
from service.results.phrases import AnswerTexts, phrases_in
from service.results.risk_assessment import Head, Predictions, Remarks
from service.results.summary import Summary
from service.results.wording import Assessment, Numbers

RISK: Final = "risk"
FULL: Final = "full"
BUNDLE: Final = "bundle"
DETAILS: Final = (RISK, FULL, BUNDLE)
"""How much of a result is answered: the RiskAssessment that a chart shows, the same with all that argues for
it, or a Bundle with everything that a chart can file."""

_NO_NUMBERS: Final = Numbers()


class Renderer:
    """Writes the results of one guidance, in its language.

    Args:
        guidance: whose results are written.
        urls: the canonical urls of what this service defines itself.
        numbers: telephone numbers that patients are told.
    """

    def __init__(
        self, guidance: Guidance, urls: Canonicals = AS_WRITTEN, numbers: Numbers = _NO_NUMBERS
    ) -> None:
        phrases = phrases_in(guidance.language)
        texts = AnswerTexts(guidance, phrases)
        self._head = Head(guidance, urls, phrases)
        self._extensions = Extensions(guidance, urls)
        self._remarks = Remarks(guidance, phrases)
        self.summary = Summary(guidance, texts, phrases)
        self.patient = PatientText(guidance, texts, phrases, numbers)
        self._predictions = Predictions(guidance, self._extensions, self.summary, phrases)
        self._narrative = FullNarrative(guidance, phrases)
        self._patterns = FullPredictions(guidance, self._extensions, self._predictions, phrases)
        self._bundle = ResultBundle(guidance, self.summary, self.patient, phrases)

    def document(self, assessment: Assessment, detail: str = RISK) -> bytes:
        """Returns the result as one resource, in one of the DETAILS."""
        if detail == FULL:
            return self._full(assessment)
        risk = self.risk(assessment)
        return self._bundle.write(risk, assessment) if detail == BUNDLE else risk

    def risk(self, assessment: Assessment) -> bytes:
        """Returns the RiskAssessment that a chart shows.

        The ends that the step can still lie between are named while it is not settled, and only then.
        """
        tier = assessment.result.tier
        return self._written(
            assessment,
            div=self.summary.narrative(assessment),
            extensions=[] if tier.settled else [self._extensions.tier(tier)],
            predictions=self._predictions.of(assessment),
            mitigation=self.patient.in_short(assessment),
        )

    def _full(self, assessment: Assessment) -> bytes:
        """Returns the RiskAssessment with all that argues for it."""
        result = assessment.result
        listed = [risk for risk in result.risks if risk.listed]
        return self._written(
            assessment,
            div=self._narrative.div(assessment, listed, self.summary.chart(assessment)),
            extensions=self._extensions.of_result(result),
            predictions=[self._predictions.step(assessment), *map(self._patterns.prediction, listed)],
            mitigation=self.patient.text(assessment),
        )

    def _written(
        self,
        assessment: Assessment,
        *,
        div: bytes,
        extensions: Sequence[bytes],
        predictions: Sequence[bytes],
        mitigation: str,
    ) -> bytes:
        """Returns a RiskAssessment of these parts; a member that is None is left out."""
        document: MutableJson = {
            **self._head.begun(div, assessment),
            "extension": orjson.Fragment(array(extensions)) if extensions else None,
            **self._head.about(assessment),
            "prediction": orjson.Fragment(array(predictions)),
            "mitigation": mitigation,
            "note": self._remarks.notes(assessment),
        }
        return orjson.dumps({name: value for name, value in document.items() if value is not None})

    def proposed(self, assessment: Assessment, plan: str, activity: str, *, are_named: bool) -> bytes:
        """Returns a Bundle with the RequestGroup of a plan and what it proposes.

        Args:
            assessment, plan, activity, are_named: as `ResultBundle.proposed` takes them.
        """
        notes = self._remarks.notes(assessment)
        risk = self.risk(assessment)
        return self._bundle.proposed(risk, assessment, notes, plan, activity, are_named=are_named)

    def withdrawn_bundle(self, risk: bytes) -> bytes:
        """Returns the Bundle of a RiskAssessment that is withdrawn."""
        return self._bundle.withdrawn(risk)
