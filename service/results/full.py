"""The RiskAssessment with all that argues for it: rules, statements, table rows, open questions, wordings.

What the short form says, it says in the same places; the rest stands in extensions and in a long narrative.
"""

from __future__ import annotations

import orjson

from service.fhir.json import MutableJson
from service.guidance import Guidance
from service.guidance.model import Level, Rule
from service.guidance.result import Interval, Risk
from service.results.extensions import Extensions, array, by_level, in_json
from service.results.full_narrative import FullNarrative
from service.results.patient import PatientText
from service.results.risk_assessment import Head, Predictions, Remarks
from service.results.wording import IF_UNCHANGED, Assessment, level_words


class FullDocument:
    """Writes the full RiskAssessments of one guidance."""

    def __init__(
        self,
        guidance: Guidance,
        head: Head,
        extensions: Extensions,
        predictions: Predictions,
        patient: PatientText,
    ) -> None:
        self._head = head
        self._extensions = extensions
        self._patient = patient
        self._remarks = Remarks(guidance)
        self._predictions = predictions
        self._narrative = FullNarrative(guidance)
        self._patterns = _Patterns(guidance, extensions, predictions)

    def write(self, assessment: Assessment) -> bytes:
        """Returns the RiskAssessment."""
        result = assessment.result
        listed = [risk for risk in result.risks if risk.listed]
        predictions = (self._predictions.step(assessment), *map(self._patterns.prediction, listed))
        document: MutableJson = {
            **self._head.begun(self._narrative.div(result, listed, assessment.problems), assessment),
            "extension": orjson.Fragment(array(self._extensions.of_result(result))),
            **self._head.about(assessment),
            "prediction": orjson.Fragment(array(predictions)),
            "mitigation": self._patient.text(assessment),
            "note": self._remarks.notes(assessment),
        }
        return orjson.dumps({name: value for name, value in document.items() if value is not None})


class _Patterns:
    """Writes the predictions of outcomes with every rule that holds, its answers and its statements."""

    def __init__(self, guidance: Guidance, extensions: Extensions, predictions: Predictions) -> None:
        self._extensions = extensions
        self._begun = by_level(
            guidance.written,
            lambda outcome, ladder, level: (
                predictions.head(outcome, ladder, level) + in_json(_open_end(ladder, level))
            ),
        )
        self._rules = {rule.name: _said(rule) for rule in guidance.written.rules}
        self._links = {link: in_json(link) for link in guidance.form.questions}

    def prediction(self, risk: Risk) -> bytes:
        """Returns the prediction of one outcome."""
        reasons = [self._extensions.reason(fired, wording=False) for fired in risk.fired]
        level = self._extensions.level(risk.outcome, risk.level)
        extensions = b",".join((level, *reasons))
        head = self._begun[risk.outcome.code, risk.level]
        return b"".join((b'{"extension":[', extensions, b"],", head, self._rationale(risk), b'"}'))

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


def _open_end(ladder: tuple[Level, ...], level: Interval) -> str:
    words = level_words(ladder, level)
    return "" if level.settled else f"{words[:1].upper()}{words[1:]}. {IF_UNCHANGED}"


def _said(rule: Rule) -> tuple[bytes, bytes]:
    """Returns a rule's wording with its name, and the sentence that cites its statements."""
    cited = f" Statements: {', '.join(rule.sources)}." if rule.sources else ""
    return in_json(f"{rule.says.to_clinician} Rule: {rule.name}.".strip()), in_json(cited)
