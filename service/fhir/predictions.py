"""RiskAssessment.prediction: one per listed outcome, in words and codes, never a probability.

Source: https://hl7.org/fhir/R4/riskassessment.html; the source of the guidance gives no likelihoods,
so `probability[x]` is never written.
"""

from __future__ import annotations

import orjson

from service.fhir.extensions import Extensions, Json, coded, coding
from service.fhir.pieces import ends, in_json
from service.fhir.wording import IF_UNCHANGED, level_words
from service.guidance import Guidance
from service.guidance.answers import Coding
from service.guidance.model import Outcome, Rule
from service.guidance.result import Interval, Risk


class Predictions:
    """Writes the predictions of one guidance's results."""

    def __init__(self, guidance: Guidance, extensions: Extensions) -> None:
        self._system = guidance.written.identity.terminology
        self._extensions = extensions
        self._begun = {
            (each.code, pair): self._head(each, Interval(*pair))
            for each in guidance.written.outcomes
            for pair in ends(len(each.levels))
        }
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
        return b"%b Answers: %b.%b" % (
            said,
            b", ".join([self._links[link] for link in deciding.answers]),
            cited,
        )

    def _head(self, outcome: Outcome, level: Interval) -> bytes:
        """Returns a prediction from its outcome to the words that say whether its level is settled."""
        open_end = "" if level.settled else f"{_sentence(level_words(outcome, level))} {IF_UNCHANGED}"
        members = {
            "outcome": self._outcome(outcome),
            "qualitativeRisk": self._level(outcome, level),
            "rationale": open_end,
        }
        return b"," + orjson.dumps(members)[1:-2]

    def _outcome(self, outcome: Outcome) -> Json:
        codings = [coding(self._system, outcome.code, outcome.display)]
        codings += [{"system": each.system, "code": each.code} for each in outcome.codes]
        return {"coding": codings, "text": outcome.display}

    def _level(self, outcome: Outcome, level: Interval) -> Json:
        words = level_words(outcome, level)
        if not level.settled:
            return {"text": words}
        known = outcome.levels[level.at_least]
        code = known.coding or Coding(self._system, known.code)
        return {"coding": [coded(code, known.display)], "text": words}


def _said(rule: Rule) -> tuple[bytes, bytes]:
    """Returns a rule's wording with its name, and the sentence that cites its statements."""
    wording = rule.says.clinician or rule.says.patient
    cited = f" Statements: {', '.join(rule.sources)}." if rule.sources else ""
    return in_json(f"{wording} Rule: {rule.name}.".strip()), in_json(cited)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
