"""Earlier responses of the same person: which of them can be compared, and their answers.

Any that is provably about the same person, answers the same form and was written before counts. One that
cannot be compared is left out and named, since it denies nothing; one of somebody else is refused.

Source: guidance/clinical-decisions.md, section 3, earlier responses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from service.catalogue import Answered, Catalogue, Pair, known_earlier
from service.datatypes.answers import Answer, Answers, AnswersByLink, Coding
from service.datatypes.form import Question
from service.datatypes.values import replace
from service.errors import Malformed, NotScorable, Problem, has_errors
from service.fhir.chart_doubts import is_altered, is_test
from service.fhir.dates import compare, time_range
from service.fhir.json import Json
from service.fhir.outcome import severity
from service.fhir.parameters import EARLIER, ResourceAt, unfit_parameter
from service.fhir.references import is_another
from service.fhir.response_context import (
    context_from_resource,
    portable_identifier,
    referred,
)
from service.fhir.structure import check_response
from service.guidance import Guidance
from service.guidance.options import unsure_codings
from service.languages import why_left_out
from service.questionnaire import CompiledQuestionnaire, asked_form
from service.results import EarlierResponse

MOST_EARLIER: Final = 20
"""The most earlier responses that one response is compared with."""

VOID: Final = frozenset({"entered-in-error", "stopped"})


class EarlierResponses(NamedTuple):
    """Those that are compared, the newest first, and what is to be said about them and all others."""

    found: tuple[EarlierResponse, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def answers(self) -> tuple[Answers, ...]:
        """What each of them says."""
        return tuple(response.answers for response in self.found)


class EarlierReader(msgspec.Struct, frozen=True):
    """Reads earlier responses for one response.

    Args:
        catalogue: what is served.
        answered: the response, in which no problem of structure was found, and what scores it.
        apart: nobody waits meanwhile.
        leaves_out: one that is no QuestionnaireResponse of R4 is left out: nobody chose it.
    """

    catalogue: Catalogue
    answered: Answered
    apart: bool
    leaves_out: bool = False

    @property
    def pair(self) -> Pair:
        """The questionnaire and the guidance of the response."""
        return self.answered.pair

    @property
    def response(self) -> Json:
        """The response, to the Questionnaire that is served."""
        return self.answered.response

    def responses(self, sent: Iterable[ResourceAt]) -> EarlierResponses:
        """Returns those that can be compared.

        Raises:
            Malformed: there are too many, or one is no QuestionnaireResponse of R4; every fault of each.
        """
        listed = list({_name(one.resource): one for one in sent}.values())
        if len(listed) > MOST_EARLIER:
            raise Malformed(unfit_parameter(EARLIER, f"at most {MOST_EARLIER} responses"))
        problems: list[Problem] = []
        for one in (*listed,):
            faults = [*check_response(one.resource, one.at)]
            if has_errors(faults):
                listed.remove(one)
                problems += [_left_out(one.at, "earlier-invalid")] if self.leaves_out else faults
        if problems and not self.leaves_out:
            raise Malformed(*problems)
        found = [read for one in listed if (read := self._read(one, problems)) is not None]
        found.sort(key=lambda earlier: time_range(earlier.context.authored or "") or (0, 0), reverse=True)
        return EarlierResponses(tuple(found), tuple(problems))

    def _read(self, sent: ResourceAt, problems: list[Problem]) -> EarlierResponse | None:
        """Returns an earlier response; None if it is refused or left out, and then a problem is added."""
        try:
            resource, status = self._unwrapped(sent)
        except NotScorable:
            problems.append(_left_out(sent.at, "earlier-invalid"))
            return None
        refused = list(self._refused(ResourceAt(resource, sent.at)))
        problems += refused
        if refused:
            return None
        reason = self._left_out(resource)
        form = None if reason else self._form(str(resource["questionnaire"]))
        if not reason and form is None:
            reason = "earlier-version"
        if form is not None:
            checked = form.check(resource, status, apart=self.apart)
            if not has_errors(checked.problems):
                context = context_from_resource(resource)
                answers = replace(checked.answers, authored=context.authored or "")
                return EarlierResponse(context, self._compared(sent, form, answers, problems))
            reason = "earlier-invalid"
        problems.append(_left_out(sent.at, reason))
        return None

    def _unwrapped(self, sent: ResourceAt) -> tuple[Json, str]:
        """Returns a response as one to the Questionnaire that is served, and as what its answers are checked.

        Raises:
            NotScorable: an adaptive form has asked something else.
        """
        asked = asked_form(sent.resource, sent.at)
        if asked is None:
            return sent.resource, sent.resource["status"]
        form = self._form(asked.canonical)
        if form is not None and any(asked.faults(form)):
            raise NotScorable
        return asked.answered(sent.resource, asked.canonical), "in-progress"

    def _refused(self, sent: ResourceAt) -> Iterator[Problem]:
        if not is_same_person(sent.resource, self.response):
            text = "subject: expected the subject of the response, named in the same way."
            yield _problem("earlier-subject", text, f"{sent.at}.subject")
        if _url(sent.resource) != _url(self.response):
            text = "questionnaire: expected the questionnaire of the response, in any version."
            yield _problem("earlier-questionnaire", text, f"{sent.at}.questionnaire")

    def _left_out(self, earlier: Json) -> str:
        """Returns why a response cannot be compared, whatever it answers; empty if it can."""
        if earlier["status"] in VOID:
            return "earlier-void"
        if is_altered(earlier) or (is_test(earlier) and not is_test(self.response)):
            return "earlier-altered"
        if _is_same(earlier, self.response):
            return "earlier-same"
        before, now = earlier.get("authored"), self.response.get("authored")
        if before is None or now is None:
            return "earlier-undated"
        return "" if compare(before, now) == -1 else "earlier-order"

    def _form(self, named: str) -> CompiledQuestionnaire | None:
        return self.catalogue.questionnaires.get(self.catalogue.unversioned.get(named, named))

    def _compared(
        self, sent: ResourceAt, form: CompiledQuestionnaire, answers: Answers, problems: list[Problem]
    ) -> Answers:
        """Returns what is known by the answers, in the questionnaire of the response.

        Of another version, those questions are compared that are asked alike in both.
        """
        own, guidance = self.pair.compiled, self.pair.guidance
        if form.canonical != own.canonical:
            alike = frozenset(comparable(form, guidance))
            given = asked_alike(answers.given, alike, own)
            lacking = [link for link in own.form.questions if link in guidance.compared_questions - alike]
            if lacking:
                problems.append(_not_compared(sent.at, lacking))
            _, closed = own.enabled(given)
            answers = Answers(given, closed - given.keys(), authored=answers.authored)
        return known_earlier(answers, guidance, own)


def comparable(before: CompiledQuestionnaire, guidance: Guidance) -> Iterator[str]:
    """Yields the linkIds that another version of a questionnaire asks in the same words.

    Every option of now, except one that says not sure, could be chosen then: what was not offered was not
    denied.
    """
    words = guidance.written.words
    for link, question in guidance.form.questions.items():
        other = before.form.questions.get(link)
        if other is None or _asked(other) != _asked(question):
            continue
        offered = {(option.coding, option.display) for option in other.options}
        unsure = unsure_codings(question, words)
        wanted = {(option.coding, option.display) for option in question.options}
        if {one for one in wanted if one[0] not in unsure} <= offered:
            yield link


def asked_alike(given: AnswersByLink, alike: frozenset[str], own: CompiledQuestionnaire) -> AnswersByLink:
    """Returns the answers to another version of a questionnaire that are answers to this one too.

    Args:
        given: the answers. alike: as `comparable` yields them.
        own: this version.
    """
    return {
        link: values
        for link, values in given.items()
        if link in alike and _are_options(values, own.form.questions[link])
    }


def _asked(question: Question) -> tuple[object, ...]:
    return question.text, question.type, question.repeats, frozenset(question.units), question.numbers


def _are_options(values: Iterable[Answer], question: Question) -> bool:
    codings = {option.coding for option in question.options}
    return not codings or all(value in codings for value in values if isinstance(value, Coding))


def is_same_person(one: Json, other: Json) -> bool:
    """Returns whether two responses are provably about the same subject: by reference, else by identifier."""
    subjects = [referred(response.get("subject"), response) for response in (one, other)]
    named = [set(subject or ()) & {"reference", "identifier"} for subject in subjects]
    return all(named) and not is_another(*subjects)


def _is_same(one: Json, other: Json) -> bool:
    """Returns whether two resources are versions of one response: by identifier, else by id."""
    identifiers = [portable_identifier(response.get("identifier")) for response in (one, other)]
    keys = [None if found is None else (found.get("system"), found["value"]) for found in identifiers]
    if None not in keys:
        return keys[0] == keys[1]
    return one.get("id") is not None and one.get("id") == other.get("id")


def _name(response: Json) -> object:
    """Returns what tells a response that was sent twice from another: nothing but the whole of it does."""
    return repr(response)


def _url(response: Json) -> str:
    return str(response.get("questionnaire", "")).partition("|")[0]


def _problem(kind: str, text: str, at: str) -> Problem:
    return Problem(kind, text, at, severity(kind))


def _left_out(at: str, reason: str) -> Problem:
    text = f"An earlier response was not compared: {why_left_out(reason)}."
    return replace(_problem("earlier-left-out", text, at), reason=reason)


def _not_compared(at: str, links: Iterable[str]) -> Problem:
    text = (
        "An earlier response answers another version of the questionnaire. Questions that it does not ask "
        f"alike were not compared: {', '.join(links)}."
    )
    return _problem("earlier-not-compared", text, at)
