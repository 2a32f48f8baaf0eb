"""What the answers of a form come to: written as a response, calculated, scored, and read again from a file.

Nothing here is a page: form.py says with what it finds which page comes next.

Source:
    docs/decisions/0008-answers-travel-with-the-page.md; FHIR R4 QuestionnaireResponse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from service.assess import Assessor, Scored
from service.catalogue import known_earlier
from service.datatypes.answers import Answers, AnswersByLink
from service.datatypes.values import replace
from service.earlier import VOID, asked_alike, is_same_person
from service.errors import Malformed, NotScorable, Problem, TooLarge
from service.fhir.dates import compare, date_time, time_range
from service.fhir.definitions import ANSWER_ORIGIN
from service.fhir.extensions import mappings
from service.fhir.json import Json, encoded, read
from service.fhir.response_context import context_from_resource
from service.fhir.structure import check_response
from service.guidance import Ahead
from service.languages import why_left_out
from service.pages.forms import Form, FormSettings, Version, Visit
from service.pages.plan import NOTHING_AHEAD, Walk
from service.pages.response import AS_OF, as_asked, as_sent, asked_anew, link_at, readable, resumed
from service.pages.state import IN_PROGRESS, FormState, StateSeal
from service.pages.totals import with_calculated
from service.questionnaire import CompiledQuestionnaire, asked_form, canonical_named
from service.results import EarlierResponse, Why
from service.sandbox import in_child, in_time
from service.web.deployment import Deployment

MOST_RESUMED_BYTES: Final = 64 * 1024
"""Longest response that a form goes on with: it is written and scored again with every page."""

EARLIER: Final = "earlier"
"""What is kept in the head of a state of the responses that the answers are compared with, newest first."""
MOST_EARLIER: Final = 5
"""The most responses that answers of a form are compared with: they travel with every page."""
_KEPT_OF_EARLIER: Final = ("resourceType", "id", "identifier", "questionnaire", "status", "authored")

_OTHER_SUBJECT: Final = Problem(
    "earlier-subject", "subject: expected the subject of the response, named in the same way."
)
_NOTHING_EARLIER: Final = Problem("resource-type", "Expected a Bundle of earlier responses.")


class Standing(msgspec.Struct, frozen=True):
    """What the answers so far come to.

    Args:
        leading: at a safety step, the questions that could still lead to a higher one; else None.
        faults: why they cannot be scored together, by linkId.
        ahead: in a short form, the questions that can still change the result.
    """

    leading: frozenset[str] | None = None
    faults: Mapping[str, str] = msgspec.field(default_factory=dict)
    ahead: Ahead = NOTHING_AHEAD


class AnswersOfForms:
    """Scores what stands on the pages of all forms, and reads what was saved of them.

    Args:
        assessor: scores what was answered.
        seal: signs what comes out of a child.
        deployment: its limits.
        settings: how the forms behave.
    """

    def __init__(
        self, assessor: Assessor, seal: StateSeal, deployment: Deployment, settings: FormSettings
    ) -> None:
        self._assessor = assessor
        self._seal = seal
        self._deployment = deployment
        self._settings = settings
        self._origin: str = deployment.canonicals.restated(ANSWER_ORIGIN)

    def response(self, visit: Visit) -> Json:
        """Returns the answers of a person as a QuestionnaireResponse, dated now unless it was sent before."""
        authored = visit.state.authored or date_time(self._settings.now())
        return visit.spoken.responses.of(visit.state, visit.state.status, authored)

    def told(self, visit: Visit) -> Json:
        """Returns the same as others are told it: that of a short form contains what was asked."""
        state, plan = visit.state, visit.form.plan
        if not state.is_short:
            return self.response(visit)
        sent = as_sent(state, plan) if state.status != IN_PROGRESS else state
        return as_asked(self.response(visit.with_state(sent)), sent, plan)

    def saved(self, visit: Visit) -> Json:
        """Returns the same for a file to go on with: while it is not finished, dated by its oldest answer."""
        state, told = visit.state, self.told(visit)
        if state.authored:
            return told
        is_confirmed = state.answers.keys() <= state.seen
        since = state.begun if is_confirmed else state.head.get(AS_OF, state.begun)
        undated = {name: value for name, value in told.items() if name != "authored"}
        return {**undated, "authored": since} if since else undated

    def _written_for(self, visit: Visit) -> Callable[[FormState], Json]:
        return lambda state: self.response(visit.with_state(state))

    def scored(self, response: Json, language: str) -> Scored:
        """Returns a response scored; raises NotScorable where its answers do not go together."""
        return self.scored_bytes(encoded(response), language)

    def scored_bytes(self, data: bytes, language: str) -> Scored:
        """Returns a written response scored; raises NotScorable where its answers do not go together."""
        return self._assessor.accepted(data, (language,)) or self._assessor.scored(data, (language,))

    def given(self, scored: Scored) -> None:
        """Has a response whose result is shown for the first time scored by the next guidance too."""
        self._assessor.offer_to_shadow(scored)

    def scored_for(self, visit: Visit, response: Json) -> Scored:
        """Returns the response of a person scored, beside earlier ones where those are compared.

        Raises:
            NotScorable: its answers do not go together.
        """
        scored, known = self.scored(response, visit.state.language), visit.state.head.get(EARLIER)
        if known is None:
            return scored
        compiled, found = visit.form.plan.compiled, []
        for one in known:
            given = visit.form.writer.answers(one["answers"])
            _, closed = compiled.enabled(given)
            said = Answers(given, closed - given.keys(), authored=one["authored"])
            answers = known_earlier(said, scored.pair.guidance, compiled)
            found.append(EarlierResponse(context_from_resource(one), answers))
        compared = replace(scored.answers, earlier=tuple(one.answers for one in found))
        return replace(scored, answers=compared, earlier=tuple(found))

    def comparing(self, data: bytes, visit: Visit) -> FormState:
        """Returns the state of a person whose answers are compared with earlier responses of theirs.

        Where the form names nobody, whoever fills it in answers for the file's being theirs.

        Args:
            data: a response, or a Bundle of responses that nobody has chosen one by one.
            visit: who fills in.

        Raises:
            Malformed, TooLarge, NotScorable: it cannot be compared; nothing in the Bundle can be, or one of
                it is not provably about the same person.
            Unavailable: there is too much to check at the moment.
        """
        form = visit.form

        def sealed(*, apart: bool) -> str:
            sent = read(data, self._deployment.body)
            is_bundle = sent.get("resourceType") == "Bundle"
            known = (
                self._each_known(sent, visit, apart=apart)
                if is_bundle
                else [self._known(data, visit, apart=apart)]
            )
            state = replace(visit.state, head={**visit.state.head, EARLIER: known})
            return self._seal.sealed(state, form.writer)

        expected = "Expected a response that takes at most {allowed} to check and score."
        signed = in_time(self._deployment.sandbox, len(data), sealed, str, expected=expected)
        return self._seal.opened(signed, form.writer)

    def _each_known(self, bundle: Json, visit: Visit, *, apart: bool) -> list[Json]:
        """Returns what is known of the newest responses in a Bundle, newest first; others are left out."""
        if "subject" not in visit.state.head:
            raise NotScorable(_OTHER_SUBJECT)
        problems: list[Problem] = []
        found: list[Json] = []
        for entry in mappings(bundle.get("entry")):
            try:
                found.append(self._known(encoded(entry.get("resource", {})), visit, apart=apart))
            except (Malformed, TooLarge, NotScorable) as fault:
                if _OTHER_SUBJECT in fault.problems:
                    raise
                problems += fault.problems
        found.sort(key=lambda known: time_range(known["authored"]) or (0, 0), reverse=True)
        while len(found) > MOST_EARLIER or len(encoded({EARLIER: found})) > MOST_RESUMED_BYTES:
            found.pop()
        if not found:
            raise NotScorable(*problems or [_NOTHING_EARLIER])
        return found

    def _known(self, data: bytes, visit: Visit, *, apart: bool) -> Json:
        """Returns what a state keeps of an earlier response; raises as `comparing` does."""
        form = visit.form
        response = self._response(data)
        version = form.versions.get(canonical_named(response))
        if version is None:
            earlier, _ = self._read(data, form)
            self._assessor.scored(data, (visit.state.language,), apart=apart)
            given = form.plan.compiled.check(earlier).answers.given
        else:
            earlier = response
            given = _of_version(response, version, form.plan.compiled, apart=apart)
        self._check_earlier(earlier, visit.state.head)
        given = readable(given)
        kept = {name: earlier[name] for name in _KEPT_OF_EARLIER if name in earlier}
        known = {**kept, "answers": form.writer.plain(given)}
        if len(encoded(known)) > MOST_RESUMED_BYTES:
            raise TooLarge(Problem("body-size", f"Expected at most {MOST_RESUMED_BYTES} bytes to compare."))
        return known

    def _check_earlier(self, earlier: Json, head: Json) -> None:
        """Raises NotScorable where a response was not certainly written before, or is of somebody else."""
        if "subject" in head and not is_same_person(earlier, head):
            raise NotScorable(_OTHER_SUBJECT)
        authored = earlier.get("authored", "")
        is_same = any(name in head and head[name] == earlier.get(name) for name in ("id", "identifier"))
        reason = "earlier-same" if is_same else "" if authored else "earlier-undated"
        if not reason and compare(authored, date_time(self._settings.now())) != -1:
            reason = "earlier-order"
        if reason:
            text = f"An earlier response was not compared: {why_left_out(reason)}."
            raise NotScorable(Problem("earlier-order", text, reason=reason))

    def standing(self, visit: Visit) -> Standing:
        """Returns what the answers so far come to; a response that is not finished is scored as one."""
        if not visit.state.answers and not visit.state.is_short:
            return Standing()
        response = self.response(visit.with_state(replace(visit.state, status=IN_PROGRESS)))
        try:
            scored = self.scored_for(visit, response)
        except NotScorable as fault:
            return Standing(faults=faults_of(response, fault), ahead=self._everything(visit))
        result = scored.assessment().result
        ahead = self._ahead(visit, scored) if visit.state.is_short else NOTHING_AHEAD
        if not result.tiers[result.tier.at_least].overlay:
            return Standing(ahead=ahead)
        return Standing(frozenset(question.link_id for question in result.open), ahead=ahead)

    def _ahead(self, visit: Visit, scored: Scored) -> Ahead:
        """Returns what a short form still asks: an answer that nobody has sent yet settles nothing."""
        plan, seen = visit.form.plan, visit.state.seen
        unsent = scored.answers.given.keys() & plan.page_of.keys() - seen
        answers = plan.compiled.reopened(scored.answers, unsent) if unsent else scored.answers
        return scored.pair.guidance.questions_ahead(answers, seen)

    def _everything(self, visit: Visit) -> Ahead:
        """Returns all questions that were not asked: where answers cannot be scored, nothing is settled."""
        left = (link for link in visit.form.plan.page_of if link not in visit.state.seen)
        return Ahead(tuple(left), ())

    def scored_visit(self, visit: Visit) -> Visit:
        """Returns the person with a state that says whether a safety step is reached."""
        is_stopping = self.standing(visit).leading is not None
        return visit.with_state(replace(visit.state, is_stopping=is_stopping))

    def walk(self, visit: Visit) -> Walk:
        """Returns where a person stands whose answers were scored before."""
        if not visit.state.is_stopping and not visit.state.is_short:
            return visit.walk()
        if not visit.state.is_stopping:
            return visit.walk(ahead=self._ahead_of(visit))
        standing = self.standing(visit)
        return visit.walk(standing.leading, standing.ahead)

    def _ahead_of(self, visit: Visit) -> Ahead:
        """Returns what a short form still asks, where nothing else of the result is needed."""
        response = self.response(visit.with_state(replace(visit.state, status=IN_PROGRESS)))
        try:
            return self._ahead(visit, self.scored_for(visit, response))
        except NotScorable:
            return self._everything(visit)

    def told_why(self, visit: Visit, write: Callable[[Scored, Why], str]) -> str:
        """Returns what is written of why the result is as it is; in a child, as that costs many results.

        Where it takes more than it may, nothing is known of why, and that is written.

        Raises:
            Unavailable: there is too much to do at the moment.
        """
        response = self.told(visit)

        def written() -> str:
            scored = self.scored_for(visit, response)
            return write(scored, Why(scored.minimal_reasons(), *scored.changes()))

        expected = "Expected answers that take at most {allowed} to explain."
        try:
            return in_child(self._deployment.sandbox, written, str, expected=expected)
        except NotScorable:
            return write(self.scored_for(visit, response), Why())

    def calculated(self, visit: Visit) -> Visit:
        """Returns the person with what the form calculates from the answers; in a child, as expressions are.

        Raises:
            NotScorable, Unavailable: it takes too much, or there is too much to do at the moment.
        """
        form = visit.form
        if not form.plan.compiled.calculates:
            return visit

        def sealed() -> str:
            state = with_calculated(visit.state, form.plan.compiled, self._written_for(visit))
            return self._seal.sealed(state, form.writer)

        expected = "Expected answers from which the form can calculate in {allowed}."
        signed = in_child(self._deployment.sandbox, sealed, str, expected=expected)
        return visit.with_state(self._seal.opened(signed, form.writer))

    def taken(self, data: bytes, visit: Visit) -> FormState:
        """Returns the state in which a response goes on; a large one is read in a child.

        Raises:
            Malformed, TooLarge, NotScorable: it cannot be gone on with.
            Unavailable: there is too much to check at the moment.
        """
        form = visit.form

        def sealed(*, apart: bool) -> str:
            response, asked = self._read(data, form)
            self._assessor.scored(data, (visit.state.language,), apart=apart)
            fresh = form.fresh(visit.state.language, visit.state.parent, is_short=visit.state.is_short)
            resuming = asked_anew(
                resumed(response, form.plan, fresh, self._origin, asked), self._settings.now()
            )
            state = with_calculated(resuming, form.plan.compiled, self._written_for(visit))
            if len(encoded(self.response(visit.with_state(state)))) > MOST_RESUMED_BYTES:
                raise TooLarge(
                    Problem("body-size", f"Expected at most {MOST_RESUMED_BYTES} bytes to go on with.")
                )
            return self._seal.sealed(state, form.writer)

        expected = "Expected a response that takes at most {allowed} to check and score."
        signed = in_time(self._deployment.sandbox, len(data), sealed, str, expected=expected)
        return self._seal.opened(signed, form.writer)

    def _response(self, data: bytes) -> Json:
        """Returns a QuestionnaireResponse in which no problem of structure is; raises Malformed, TooLarge."""
        response = read(data, self._deployment.body)
        if response.get("resourceType") != "QuestionnaireResponse":
            raise Malformed(Problem("resource-type", "resourceType: expected QuestionnaireResponse."))
        faults = [found for found in check_response(response) if found.is_error]
        if faults:
            raise Malformed(*faults)
        return response

    def _read(self, data: bytes, form: Form) -> tuple[Json, frozenset[str] | None]:
        """Returns a QuestionnaireResponse to a form, and what a short form has asked; None for all.

        Raises:
            Malformed, TooLarge, NotScorable: it is no such response.
        """
        response = self._response(data)
        compiled = form.plan.compiled
        asked = asked_form(response, "QuestionnaireResponse")
        named = response.get("questionnaire") if asked is None else asked.canonical
        if named != compiled.canonical:
            words = f"Expected: questionnaire = {compiled.canonical}."
            is_version = str(named).partition("|")[0] == compiled.url
            reason = "other-version" if is_version else ""
            raise NotScorable(Problem("canonical-mismatch", words, reason=reason))
        if asked is None:
            return response, None
        return asked.answered(response, compiled.canonical), asked.questions(compiled)


def _of_version(
    response: Json, version: Version, own: CompiledQuestionnaire, *, apart: bool
) -> AnswersByLink:
    """Returns the answers to another version of a form that are answers to this one too.

    Raises:
        NotScorable: its status says that it must not be used, or it does not fit the version that it names.
    """
    asked = asked_form(response, "QuestionnaireResponse")
    status = str(response["status"])
    if status in VOID:
        raise NotScorable(Problem("status-not-scorable", f"status: {why_left_out('earlier-void')}."))
    if asked is not None:
        changed = tuple(asked.faults(version.compiled))
        if changed:
            raise NotScorable(*changed)
        response, status = asked.answered(response, version.compiled.canonical), IN_PROGRESS
    checked = version.compiled.check(response, status, apart=apart)
    faults = [found for found in checked.problems if found.is_error]
    if faults:
        raise NotScorable(*faults)
    return asked_alike(checked.answers.given, version.alike, own)


def faults_of(response: Json, fault: NotScorable) -> dict[str, str]:
    """Returns what a response was refused for, by linkId; under the empty one what belongs to no item."""
    errors = (found for found in fault.problems if found.is_error)
    return {link_at(response, found.expression): found.text for found in errors}
