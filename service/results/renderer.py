"""Every output of one guidance's results: what never changes about them is written once, at start."""

from __future__ import annotations

from typing import Final

import orjson

from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.fhir.json import MutableJson
from service.guidance import Guidance
from service.results.bundle import ResultBundle
from service.results.extensions import Extensions
from service.results.full import FullDocument, FullParts
from service.results.patient import PatientText
from service.results.phrases import phrases_in
from service.results.risk_assessment import Head, Predictions, Remarks
from service.results.summary import Summary
from service.results.values import AnswerTexts
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
        parts = FullParts(self._head, self._extensions, self._predictions, self._remarks, self.patient)
        self._full = FullDocument(guidance, parts, phrases)
        self._bundle = ResultBundle(guidance, self.summary, self.patient, phrases)

    def document(self, assessment: Assessment, detail: str = RISK) -> bytes:
        """Returns the result as one resource, in one of the DETAILS."""
        if detail == FULL:
            return self._full.write(assessment)
        risk = self.risk(assessment)
        return self._bundle.write(risk, assessment) if detail == BUNDLE else risk

    def risk(self, assessment: Assessment) -> bytes:
        """Returns the RiskAssessment that a chart shows.

        The ends that the step can still lie between are named while it is not settled, and only then.
        """
        tier = assessment.result.tier
        document: MutableJson = {
            **self._head.begun(self.summary.narrative(assessment), assessment),
            "extension": None if tier.settled else orjson.Fragment(b"[%b]" % self._extensions.tier(tier)),
            **self._head.about(assessment),
            "prediction": orjson.Fragment(self._predictions.of(assessment)),
            "mitigation": self.patient.in_short(assessment),
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
