"""`$next-question`: a response with the questions asked so far in, the same with the next question out.

The response contains a Questionnaire that is derived from one that is served, and holds what was asked so
far. What is asked next is what can still change the step, its date or a level; where nothing can, the
response comes back completed. Nothing is stored. The contained Questionnaire may ask nothing else than the
one that is served, and what comes back is written anew from that.

Source: SDC 4.0 OperationDefinition Questionnaire-next-question; adaptive.html.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Final

from service.assess import Assessor, Scored
from service.catalogue import Catalogue
from service.datatypes.values import replace
from service.errors import Malformed, NotScorable, Problem
from service.fhir.json import encoded
from service.fhir.parameters import DETAIL
from service.questionnaire import CompiledQuestionnaire, Item, asking
from service.questionnaire.items import is_out_of_sight
from service.sandbox import Sandbox, in_time

_AT: Final = "QuestionnaireResponse"


class Interviewer:
    """Asks the next question of an interview.

    Args:
        catalogue: what is served.
        assessor: reads responses and checks them.
        sandbox: where what is large is done; None if nobody waits.
    """

    def __init__(self, catalogue: Catalogue, assessor: Assessor, sandbox: Sandbox | None = None) -> None:
        self._catalogue = catalogue
        self._assessor = assessor
        self._sandbox = sandbox

    def next_body(self, data: bytes) -> bytes:
        """Returns the response with the next question in its contained Questionnaire, or completed.

        Args:
            data: a QuestionnaireResponse, or Parameters that hold one and Observations of the chart.

        Raises:
            Malformed, TooLarge: the body cannot be read, its parameters are wrong, or it is no response of
                R4.
            NotScorable: it is not in progress, contains no Questionnaire that is derived from one that is
                served here and asks as that does, or has answers that do not fit; every problem.
            Unavailable: there is too much to check at the moment.
        """
        expected = "Expected a response that takes at most {allowed} to check."
        return in_time(self._sandbox, len(data), partial(self._next, data), bytes, expected=expected, at=_AT)

    def _next(self, data: bytes, *, apart: bool) -> bytes:
        sent = self._assessor.sent(data)
        if sent.detail:
            raise Malformed(Problem("parameter", f"Parameter {DETAIL}: not taken here.", "Parameters"))
        if sent.response["status"] != "in-progress":
            words = "Expected: in-progress; there is nothing more to ask in a response that is finished."
            raise NotScorable(Problem("status-not-scorable", words, f"{sent.at}.status"))
        answered = self._catalogue.answered(sent.response, sent.at)
        if answered.asked is None:
            words = "Expected: #id of a Questionnaire that the response contains, with what was asked so far."
            raise NotScorable(Problem("canonical-unknown", words, f"{sent.at}.questionnaire"))
        compiled, form = answered.pair.compiled, answered.asked
        scored = self._assessor.scored_of(replace(sent, response=answered.response), apart=apart)
        asked = form.questions(compiled)
        following = _following(scored, asked)
        shown = {*asked, *following, *scored.answers.given, *scored.answers.ignored}
        status = "in-progress" if following else "completed"
        response = {**asking(answered.response, compiled, shown, form.id), "status": status}
        return encoded(response)


def _following(scored: Scored, asked: Collection[str]) -> tuple[str, ...]:
    """Returns the linkId of the question to ask next, or nothing."""
    compiled, answers = scored.pair.compiled, scored.answers
    enabled, _ = compiled.enabled(answers.given)
    listed = scored.pair.guidance.next_questions(answers, asked)
    can_be_asked = (
        link for link in listed if link in enabled and _is_for_people(compiled.items[link], compiled)
    )
    return tuple(can_be_asked)[:1]


def _is_for_people(item: Item, compiled: CompiledQuestionnaire) -> bool:
    """Returns whether people can answer a question: it is not calculated, fixed or hidden."""
    return not item.is_told and not is_out_of_sight(item, compiled.items)
