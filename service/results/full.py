"""The RiskAssessment with all that argues for it: rules, statements, table rows, open questions, wordings.

What the short form says, it says in the same places; the rest stands in extensions and in a long narrative.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from service.fhir.json import MutableJson
from service.guidance import Guidance
from service.guidance.model import Level, Rule
from service.guidance.result import Interval, Risk
from service.results.extensions import Extensions, array, by_level, in_json
from service.results.full_narrative import FullNarrative
from service.results.patient import PatientText
from service.results.phrases import Phrases
from service.results.risk_assessment import Head, Predictions, Remarks
from service.results.wording import Assessment


class FullParts(NamedTuple):
    """What the short form of a result is made of as well."""

    head: Head
    extensions: Extensions
    predictions: Predictions
    remarks: Remarks
    patient: PatientText


class FullDocument:
    """Writes the full RiskAssessments of one guidance."""

    def __init__(self, guidance: Guidance, parts: FullParts, phrases: Phrases) -> None:
        self._parts = parts
        self._narrative = FullNarrative(guidance, phrases)
        self._patterns = _Patterns(guidance, parts, phrases)

    def write(self, assessment: Assessment) -> bytes:
        """Returns the RiskAssessment."""
        result = assessment.result
        listed = [risk for risk in result.risks if risk.listed]
        parts = self._parts
        predictions = (parts.predictions.step(assessment), *map(self._patterns.prediction, listed))
        document: MutableJson = {
            **parts.head.begun(self._narrative.div(result, listed, assessment.problems), assessment),
            "extension": orjson.Fragment(array(parts.extensions.of_result(result))),
            **parts.head.about(assessment),
            "prediction": orjson.Fragment(array(predictions)),
            "mitigation": parts.patient.text(assessment),
            "note": parts.remarks.notes(assessment),
        }
        return orjson.dumps({name: value for name, value in document.items() if value is not None})


class _Patterns:
    """Writes the predictions of outcomes with every rule that holds, its answers and its statements."""

    def __init__(self, guidance: Guidance, parts: FullParts, phrases: Phrases) -> None:
        self._extensions = parts.extensions
        self._phrases = phrases
        self._begun = by_level(
            guidance.written,
            lambda outcome, ladder, level: (
                parts.predictions.head(outcome, ladder, level) + in_json(self._open_end(ladder, level))
            ),
        )
        self._rules = {rule.name: self._said(rule) for rule in guidance.written.rules}

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
            return in_json(self._phrases.lowered(self._phrases["results.no-rule"]))
        deciding = risk.fired[0]
        said, cited = self._rules[deciding.rule.name]
        if not deciding.answers:
            return said + cited
        answers = in_json(self._phrases.say("full.answer-links", links=", ".join(deciding.answers)))
        return b"%b %b%b" % (said, answers, cited)

    def _open_end(self, ladder: tuple[Level, ...], level: Interval) -> str:
        words = self._phrases.level(ladder, level)
        unchanged = self._phrases["results.if-unchanged"]
        return "" if level.settled else f"{words[:1].upper()}{words[1:]}. {unchanged} "

    def _said(self, rule: Rule) -> tuple[bytes, bytes]:
        """Returns a rule's wording with its name, and the sentence that cites its statements."""
        named = self._phrases.say("full.rule", rule=rule.name)
        cited = self._phrases.say("full.statements", statements=", ".join(rule.sources))
        cited = f" {cited}" if rule.sources else ""
        return in_json(f"{rule.says.to_clinician} {named}.".strip()), in_json(cited)
