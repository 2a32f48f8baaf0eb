"""The product on one screen: read, check, evaluate, write.

There are two paths with one meaning. The *accept path* reads a common body as typed values and proves that
it is valid. Whatever it cannot prove takes the *full path*, which finds and explains every fault. Tests hold
the two together: what the accept path takes, the full path takes too, with the same bytes as result. On the
full path a large body is read, checked and scored in a child process, so that only its sender waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET

from service.catalogue import Catalogue, Pair
from service.datatypes.answers import Answers
from service.datatypes.days import day_before, is_late
from service.datatypes.values import replace
from service.earlier import EarlierReader, EarlierResponses
from service.errors import Malformed, NotScorable, Problem, has_errors
from service.fhir.accept import ACCEPTED_SUBJECT, Decode, decoder
from service.fhir.chart import ChartValues, chart_values
from service.fhir.chart_doubts import is_altered, is_test
from service.fhir.dates import is_date_time
from service.fhir.extensions import mappings
from service.fhir.json import BodyLimits, Json, decoded, read
from service.fhir.outcome import severity
from service.fhir.parameters import (
    DETAIL,
    EARLIER,
    AssessInput,
    ResourceAt,
    assess_input,
    earlier_responses,
    resources_in,
    unfit_parameter,
)
from service.fhir.references import contained_types, target_type
from service.fhir.response_context import ResponseContext, context_from_accepted, context_from_resource
from service.fhir.structure import check_response as check_structure
from service.guidance.arguments import Minimal
from service.guidance.changes import Changes, Replies, lowering, raising
from service.languages import ENGLISH
from service.questionnaire import COMPLETE_STATUSES, CompiledQuestionnaire, subject_problems
from service.results import (
    BUNDLE,
    DETAILS,
    RISK,
    Assessment,
    EarlierResponse,
    Why,
    explained,
    explanation,
    guidance_in,
    indented,
    language_in,
)
from service.sandbox import Sandbox, Work, in_child, in_time

OUTPUTS = (*DETAILS, "explain", "text", "clinician")

_WITHDRAWN = {"entered-in-error": "entered-in-error", "stopped": "cancelled"}
_ASSESSED = frozenset({"Patient", "Group"})
_NO_CHART = ChartValues()
_SMALL_CHART_BYTES: Final = 32 * 1024
"""Observations up to this size need no child: their cost grows with their number alone."""

_EXPECTED: Final = "Expected a response that takes at most {allowed} to check and score."

_Made = TypeVar("_Made")

Languages = tuple[str, ...]
"""Language ranges, the preferred one first; OF_RESPONSE stands for the language that the response states."""

OF_RESPONSE: Final = ""
AS_STATED: Final = (OF_RESPONSE,)


Earlier = tuple[bytes, ...]
"""Bodies of responses, or of Bundles of them."""


class SentBody(NamedTuple):
    """A body that was scored, to be scored again by the next guidance.

    Args:
        data, earlier, chart: as `Assessor.sent` takes them.
        guidance: `url|version` of the guidance that scored it; empty if not known.
    """

    data: bytes
    earlier: Earlier = ()
    chart: tuple[bytes, ...] | None = None
    guidance: str = ""

    @property
    def size(self) -> int:
        """Its size in bytes, with all that came beside it."""
        return len(self.data) + sum(map(len, self.earlier)) + sum(map(len, self.chart or ()))


class Assessed(NamedTuple):
    """A result.

    Args:
        body: its bytes.
        guidance: `url|version` of the guidance that made it.
        step: code of the step that it reaches at least.
    """

    body: bytes
    guidance: str
    language: str
    step: str = ""


class Judged(NamedTuple):
    """The result that is stored beside a response.

    Args:
        risk: the RiskAssessment, without an id; None if the response must not be scored.
        guidance: `url|version` of the guidance that made it; empty if there is none.
        withdraws: the observation-status that an earlier result gets; empty if it stays as it is.
        step: code of the step that the result reaches at least.
    """

    risk: bytes | None
    guidance: str
    withdraws: str = ""
    step: str = ""


class Outlined(NamedTuple):
    """A result as a card shows it.

    Args:
        rank: place of the step among all steps, the least urgent first.
        code: code of the step.
        steps: name of the step with its dates, then shorter: with the first of them, with none.
        text: the result for the clinician, as plain lines.
        bundle: the Bundle with the result and all that follows from it.
        is_overlay: the step is a safety step above the others.
        has_referral: the step asks for a referral.
        recheck_days: when to look again, in days after the response; -1 if the step does not say.
        is_final: the response is finished, and no open question could change the step.
        chart: one line for each chart value, used or left out.
        changes: what got worse since earlier responses: each question, and when it was answered before.
    """

    rank: int
    code: str
    steps: tuple[str, ...]
    text: str
    bundle: bytes
    is_overlay: bool
    has_referral: bool
    recheck_days: int
    is_final: bool
    chart: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


class Scored(msgspec.Struct, frozen=True):
    """A scored response before it is written.

    Args:
        context: the parts of the response that the result repeats.
        chart: the chart values used, and where they came from.
        problems: warnings only, as a response with errors is never scored.
        earlier: the responses of the same person that it is compared with, the newest first.
    """

    pair: Pair
    context: ResponseContext
    answers: Answers
    chart: ChartValues
    problems: tuple[Problem, ...]
    earlier: tuple[EarlierResponse, ...] = ()

    @property
    def guidance(self) -> str:
        """The `url|version` of the guidance."""
        return self.pair.guidance.written.identity.canonical

    @property
    def language(self) -> str:
        """The language of the result."""
        return self.pair.guidance.language

    def assessment(self) -> Assessment:
        """Evaluates the guidance; returns the result with all that the outputs need beside it."""
        result = self.pair.guidance.evaluate(self.answers)
        return Assessment(result, self.answers, self.context, self.chart, self.problems, self.earlier)

    def minimal_reasons(self) -> tuple[Minimal, ...]:
        """Returns the smallest sets of answers that alone force the step, or a level that is listed."""
        return self.pair.guidance.minimal_reasons(self.answers, enabled=self.pair.compiled.enabling())

    def changes(self) -> tuple[Changes, Changes]:
        """Returns the smallest changes of answers that lower the step, and those that raise it."""
        authored, compiled = self.answers.authored[:10], self.pair.compiled
        has_day = len(authored) == len("YYYY-MM-DD")
        before = partial(day_before, authored) if has_day else None
        replies = Replies(compiled.enabling(), compiled.takes, before, compiled.opens)
        search = self.pair.guidance, self.answers, replies
        return lowering(*search), raising(*search)

    def why(self) -> Why:
        """Returns the minimal reasons, the changes to another step, and what decides each finding."""
        by = self.pair.guidance.decided_by(self.answers, enabled=self.pair.compiled.enabling())
        return Why(self.minimal_reasons(), *self.changes(), by)

    def explanation(self) -> bytes:
        """Returns the Parameters of `$explain`."""
        result = self.pair.guidance.evaluate(self.answers)
        return explanation(self.pair.guidance, result, self.why())

    def document(self, detail: str = RISK) -> bytes:
        """Returns the result in one of the DETAILS."""
        return self.assessed(detail).body

    def assessed(self, detail: str) -> Assessed:
        """Returns the result in one of the DETAILS, with its guidance, language and step."""
        assessment = self.assessment()
        result = assessment.result
        body = self.pair.renderer.document(assessment, detail)
        return Assessed(body, self.guidance, self.language, result.tiers[result.tier.at_least].code)

    def judged(self, of_id: str, detail: str) -> Judged:
        """Returns the result for a response that is stored under this id."""
        assessed = replace(self, context=replace(self.context, id=of_id)).assessed(detail)
        return Judged(assessed.body, assessed.guidance, step=assessed.step)


class Assessor:
    """Turns the bytes of a response into the bytes of a result, by the guidance of its questionnaire.

    Args:
        catalogue: what is served.
        limits: of a body.
        sandbox: the children that do large work; None if nobody waits for it.
        language: of a result, if neither the response nor the caller names a language that is served.
        count_result: called with the guidance (`url|version`) and step (code) of every result that is
            returned or stored.
        shadow: called with every response whose result is returned, stored, or shown on a card.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        limits: BodyLimits,
        sandbox: Sandbox | None = None,
        *,
        language: str = ENGLISH,
        count_result: Callable[[str, str], None] | None = None,
        shadow: Callable[[Scored | SentBody], None] | None = None,
    ) -> None:
        self._count_result = count_result
        self._shadow = shadow
        self._catalogue = catalogue
        self._limits = limits
        self._sandbox = sandbox
        self._language = language
        self._decode: Decode = decoder(pair.compiled.form for pair in catalogue.pairs.values())

    def assess_body(
        self, data: bytes, detail: str = "", languages: Languages = AS_STATED, earlier: Earlier = ()
    ) -> Assessed:
        """Returns the result of a QuestionnaireResponse, or of Parameters that hold one.

        Args:
            data: the body.
            detail: one of the DETAILS; if empty, the one that the body asks for, else the RiskAssessment.
            languages: those wanted for the result.
            earlier: responses of the same person, in addition to those in the Parameters.

        Raises:
            Malformed: neither of the two, or not valid R4; with every fault of structure.
            TooLarge: over a limit.
            NotScorable: its questionnaire, status or answers do not allow a score; with every fault.
            Unavailable: there is too much to check at the moment.
        """
        check_detail(detail)
        scored = None if earlier else self.accepted(data, languages)
        if scored is not None:
            assessed = scored.assessed(detail or RISK)
        else:
            work = partial(self._assessed, data, detail, languages, earlier)
            assessed = self._in_time(len(data) + sum(map(len, earlier)), work, Assessed)
        response = scored or SentBody(data, earlier, guidance=assessed.guidance)
        self.given_or_stored(assessed.guidance, assessed.step, response)
        return assessed

    def given_or_stored(self, guidance: str, step: str, response: Scored | SentBody) -> None:
        """Counts a result that is returned or stored, and offers its response to shadow mode."""
        if self._count_result is not None:
            self._count_result(guidance, step)
        self.offer_to_shadow(response)

    def offer_to_shadow(self, response: Scored | SentBody) -> None:
        """Has a response scored by the next guidance too, if there is one; never waits, never fails.

        Callers of `scored` and `accepted` call this themselves, once they show a result.
        """
        if self._shadow is not None:
            self._shadow(response)

    def _assessed(
        self, data: bytes, detail: str, languages: Languages, earlier: Earlier, *, apart: bool
    ) -> Assessed:
        sent = self.sent(data, earlier)
        check_detail(sent.detail)
        scored = self.scored_of(sent, languages, apart=apart)
        return scored.assessed(detail or sent.detail or RISK)

    def explain_body(self, data: bytes, languages: Languages = AS_STATED) -> Assessed:
        """Returns Parameters that say why a response has its result, and what would change it.

        That takes as long as many results do, so it is always done in a child.

        Args:
            data, languages: as `assess_body` takes them.

        Raises:
            Malformed, TooLarge, NotScorable, Unavailable: as `assess_body` does.
        """

        def explained() -> Assessed:
            scored = self.scored(data, languages)
            return Assessed(scored.explanation(), scored.guidance, scored.language)

        return in_child(self._sandbox, explained, Assessed, expected=_EXPECTED, at="QuestionnaireResponse")

    def judge(
        self,
        data: bytes,
        of_id: str,
        detail: str = RISK,
        languages: Languages = AS_STATED,
        *,
        again: bool = False,
    ) -> Judged:
        """Returns the result to store beside a QuestionnaireResponse that is stored under this id.

        A response that was stopped or entered in error is not scored, and an earlier result of it is
        withdrawn. If stopped, it is checked like one in progress; if entered in error, its structure only.

        Args:
            data: the body.
            of_id: id of the response.
            detail: one of the DETAILS; only the RiskAssessment is stored, the others are made when asked for.
            languages: as `assess_body` takes them.
            again: it was judged before, so its result is not counted.

        Raises:
            Malformed, TooLarge, NotScorable, Unavailable: as `assess_body` does; Malformed for Parameters.
        """
        scored = self.accepted(data, languages)
        if scored is not None:
            judged = scored.judged(of_id, detail)
        else:
            judged = self._in_time(len(data), partial(self._judged, data, of_id, detail, languages), Judged)
        if judged.risk is not None and not again:
            response = scored or SentBody(data, guidance=judged.guidance)
            self.given_or_stored(judged.guidance, judged.step, response)
        return judged

    def _judged(self, data: bytes, of_id: str, detail: str, languages: Languages, *, apart: bool) -> Judged:
        response = self._response(data)
        if response["status"] in _WITHDRAWN:
            return self._unscored(response, apart=apart)
        scored = self.scored_of(AssessInput(response, "QuestionnaireResponse"), languages, apart=apart)
        return scored.judged(of_id, detail)

    def outlined(
        self,
        data: bytes,
        languages: Languages = AS_STATED,
        chart: tuple[bytes, ...] = (),
        earlier: Earlier = (),
    ) -> Outlined:
        """Returns the result of a QuestionnaireResponse as a card shows it.

        Nobody chose the chart values and earlier responses for this response, so those that cannot be read
        are left out and named.

        Args:
            data: the body.
            languages: as `assess_body` takes them.
            chart: Observations about the same person, or Bundles of them; those measured later are left out
                too, and those of a page of a search whose next one is missing deny nothing.
            earlier: further responses about the same subject, named as in the body.

        Raises:
            Malformed, TooLarge, NotScorable, Unavailable: as `assess_body` does.
        """
        scored = None if chart or earlier else self.accepted(data, languages)
        if scored is None:
            work = partial(self._outlined, data, languages, chart, earlier)
            beside = sum(map(len, (*chart, *earlier)))
            apart = beside if beside > _SMALL_CHART_BYTES else 0
            outlined = self._in_time(len(data) + apart, work, Outlined)
        else:
            outlined = _outline(scored)
        self.offer_to_shadow(scored or SentBody(data, earlier, chart))
        return outlined

    def _outlined(
        self,
        data: bytes,
        languages: Languages,
        chart: tuple[bytes, ...],
        earlier: Earlier,
        *,
        apart: bool,
    ) -> Outlined:
        return _outline(self.scored_of(self.sent(data, earlier, chart), languages, apart=apart))

    def withdrawn_bundle(self, risk: bytes) -> bytes | None:
        """Returns the Bundle of a withdrawn RiskAssessment; None if its guidance is not served any more."""
        named, language = guidance_in(risk), language_in(risk)
        found = (
            pair.told_in((language,), ENGLISH).renderer
            for pair in (*self._catalogue.pairs.values(), *self._catalogue.superseded)
            if pair.guidance.written.identity.canonical == named
        )
        renderer = next(found, None)
        return None if renderer is None else renderer.withdrawn_bundle(risk)

    def _in_time(self, size: int, work: Work[_Made], kind: type[_Made]) -> _Made:
        """Returns what the work makes of a body; raises NotScorable if it takes too much."""
        return in_time(self._sandbox, size, work, kind, expected=_EXPECTED, at="QuestionnaireResponse")

    def shown(self, data: bytes, output: str, languages: Languages = AS_STATED, earlier: Earlier = ()) -> str:
        """Returns one of the OUTPUTS as text: a document, all reasons, or plain words.

        Raises:
            Malformed, TooLarge, NotScorable: as `assess_body` does.
        """
        scored = self.scored_of(self.sent(data, earlier), languages, apart=True)
        pair, assessment = scored.pair, scored.assessment()
        if output == "text":
            return pair.renderer.patient.text(assessment)
        if output == "clinician":
            return pair.renderer.summary.text(assessment)
        if output == "explain":
            return explained(pair.guidance, assessment.result, scored.answers, scored.why())
        return indented(pair.renderer.document(assessment, output))

    def accepted(self, data: bytes, languages: Languages = AS_STATED) -> Scored | None:
        """Takes the accept path: returns the response scored, or None if the full path has to look at it."""
        response = self._decode(data) if len(data) <= self._limits.body_bytes else None
        if response is None or response.status in _WITHDRAWN or response.questionnaire is UNSET:
            return None
        pair = self._catalogue.pairs.get(response.questionnaire)
        if pair is None or not pair.is_scored or response.item is UNSET:
            return None
        if not pair.compiled.is_about(ACCEPTED_SUBJECT):
            return None
        authored = response.authored if response.authored is not UNSET else ""
        answers = pair.compiled.accept(response.item, response.status in COMPLETE_STATUSES, authored)
        if answers is None or pair.guidance.reads_late_date(answers):
            return None
        stated = response.language if response.language is not UNSET else ""
        told = self._told_in(pair, stated, languages)
        return Scored(told, context_from_accepted(response), answers, _NO_CHART, ())

    def _told_in(self, pair: Pair, stated: str, languages: Languages) -> Pair:
        """Returns the pair in the language that is preferred; `stated` is that of the response."""
        wanted = (language or stated for language in languages)
        return pair.told_in(filter(None, wanted), self._language)

    def scored(self, data: bytes, languages: Languages = AS_STATED, *, apart: bool = True) -> Scored:
        """Takes the full path: reads, checks and scores a body; raises as `assess_body` does.

        Args:
            data, languages: as `assess_body` takes them.
            apart: nobody waits for this process; otherwise TooMuchHere may be raised.
        """
        return self.scored_of(self.sent(data), languages, apart=apart)

    def sent(self, data: bytes, earlier: Earlier = (), chart: tuple[bytes, ...] | None = None) -> AssessInput:
        """Reads a body; raises Malformed, TooLarge and NotScorable as `assess_body` does.

        Args:
            data: the body.
            earlier: as `assess_body` takes them; if there is a `chart`, as `outlined` does.
            chart: as `outlined` takes them, in place of those in the body; None to keep those.
        """
        sent = assess_input(read(data, self._limits))
        if chart is not None:
            placed = ((decoded(one), f"Observation[{n}]") for n, one in enumerate(chart))
            found = tuple(inside for one, at in placed for inside in resources_in(one, at))
            before = tuple(ResourceAt(decoded(one), f"{EARLIER}[{n}]") for n, one in enumerate(earlier))
            sent = replace(sent, data=found, earlier=before, leaves_out=True)
        elif earlier:
            further = earlier_responses(read(one, self._limits) for one in earlier)
            sent = replace(sent, earlier=sent.earlier + further)
        check_response(sent)
        return sent

    def scored_of(self, sent: AssessInput, languages: Languages = AS_STATED, *, apart: bool = True) -> Scored:
        """Checks and scores a body that was read; takes and raises what `scored` does."""
        answered = self._catalogue.answered(sent.response, sent.at)
        response = answered.response
        pair = self._told_in(answered.pair, str(response.get("language", "")), languages)
        checked = pair.compiled.check(response, answered.demanded, apart=apart)
        about = tuple(_subject_faults(response, pair.compiled))
        guidance = pair.guidance
        chart = chart_values(sent, guidance.form, guidance)
        late = tuple(_late_dates(response, guidance.date_questions))
        faults = (*about, *checked.problems, *late, *_of_a_test(response))
        earlier = EarlierResponses()
        if sent.earlier:
            reader = EarlierReader(self._catalogue, answered, apart, sent.leaves_out)
            earlier = reader.responses(sent.earlier)
        problems = (*(_located(problem, sent.at) for problem in faults), *chart.problems, *earlier.problems)
        _refuse_errors(NotScorable, problems)
        closed = checked.answers.closed - chart.unusable
        answers = replace(
            checked.answers,
            chart=chart.beside(checked.answers.given, guidance),
            closed=closed,
            authored=str(response.get("authored", "")),
            earlier=earlier.answers,
        )
        context = context_from_resource(response)
        return Scored(pair, context, answers, chart, problems, earlier.found)

    def _response(self, data: bytes) -> Json:
        """Reads a QuestionnaireResponse and checks its structure, but not its answers."""
        response = read(data, self._limits)
        if response.get("resourceType") != "QuestionnaireResponse":
            raise Malformed(Problem("resource-type", "resourceType: expected QuestionnaireResponse."))
        _refuse_errors(Malformed, check_structure(response))
        _refuse_subset(response)
        return response

    def _unscored(self, response: Json, *, apart: bool) -> Judged:
        if response["status"] != "entered-in-error":
            answered = self._catalogue.answered(response)
            checked = answered.pair.compiled.check(answered.response, answered.demanded, apart=apart)
            _refuse_errors(NotScorable, checked.problems)
        return Judged(None, "", _WITHDRAWN[response["status"]])


def _outline(scored: Scored) -> Outlined:
    assessment, renderer = scored.assessment(), scored.pair.renderer
    result = assessment.result
    tier = result.tiers[result.tier.at_least]
    return Outlined(
        rank=result.tier.at_least,
        code=tier.code,
        steps=renderer.summary.steps(assessment),
        text=renderer.summary.text(assessment),
        bundle=renderer.document(assessment, BUNDLE),
        is_overlay=tier.overlay,
        has_referral=bool(tier.referral),
        recheck_days=-1 if result.recheck is None else result.recheck,
        is_final=result.settled and scored.context.status in COMPLETE_STATUSES,
        chart=tuple(" ".join(value) for value in scored.chart.printed),
        changes=tuple(
            f"{change.link_id} {scored.earlier[change.earlier].context.authored}" for change in result.changes
        ),
    )


def check_response(sent: AssessInput) -> None:
    """Raises Malformed if a response is not valid R4, NotScorable if status or tags forbid to score it."""
    _refuse_errors(Malformed, check_structure(sent.response, sent.at))
    _refuse_subset(sent.response)
    _refuse_status(sent.response)


def check_detail(detail: str) -> None:
    """Raises Malformed if a detail is asked for that does not exist; empty means that none is asked for."""
    if detail and detail not in DETAILS:
        raise Malformed(unfit_parameter(DETAIL, f"one of {', '.join(DETAILS)}"))


def _located(problem: Problem, at: str) -> Problem:
    """Returns the problem with its place in the body that was sent, which may be Parameters."""
    return replace(problem, expression=problem.expression.replace("QuestionnaireResponse", at, 1))


def _refuse_errors(kind: type[Malformed] | type[NotScorable], problems: tuple[Problem, ...]) -> None:
    if has_errors(problems):
        raise kind(*problems)


def _refuse_subset(response: Json) -> None:
    """Refuses a part of a response, or one that was redacted: what is left out may have been answered.

    Of a list, even one that is there, an option that was left out would be read as "no".

    Source: R4 search.html#elements; security-labels.html and v3-ObservationValue (REDACTED, MASKED ...).
    """
    if is_altered(response):
        expected = "Expected the whole response; meta says that parts of it were left out or changed."
        raise NotScorable(Problem("subsetted", expected, "QuestionnaireResponse.meta"))


def _of_a_test(response: Json) -> Iterator[Problem]:
    if is_test(response):
        words = "The response is marked as made for a test (HTEST): its result is about nobody."
        place = "QuestionnaireResponse.meta.security"
        yield Problem("test-data", words, place, severity("test-data"))


def _subject_faults(response: Json, compiled: CompiledQuestionnaire) -> Iterator[Problem]:
    """Yields a fault if the form is about somebody else, or a RiskAssessment cannot be about the subject.

    Source: R4 RiskAssessment.subject, Reference(Patient | Group).
    """
    faults = [found for found in subject_problems(response, compiled) if found.is_error]
    yield from faults
    kind = target_type(response.get("subject", {}), contained_types(response))
    if not faults and kind and kind not in _ASSESSED:
        expected = "Expected Patient or Group as subject, since a RiskAssessment is about nobody else."
        yield Problem("subject-type", expected, "QuestionnaireResponse.subject")


def _late_dates(response: Json, questions: frozenset[str]) -> Iterator[Problem]:
    """Yields a fault for each date more than a day after `authored`, among the answers to these questions."""
    authored = str(response.get("authored", ""))
    waiting = deque([("QuestionnaireResponse", response)] if _is_answered(response, questions) else [])
    while waiting:
        place, holder = waiting.popleft()
        for index, item in enumerate(mappings(holder.get("item"))):
            at = f"{place}.item[{index}]"
            waiting.append((at, item))
            for number, answer in enumerate(mappings(item.get("answer"))):
                waiting.append((f"{at}.answer[{number}]", answer))
                if item.get("linkId") in questions and _is_late_answer(answer, authored):
                    text = "Expected a date at most one day after the response was written (authored)."
                    yield Problem("date-after-authored", text, f"{at}.answer[{number}]")


def _is_answered(holder: Json, questions: frozenset[str]) -> bool:
    """Says whether a response has an item of one of these questions at any depth."""
    waiting = [holder] if questions else []
    for inside in waiting:  # grows while it is read
        if inside.get("linkId") in questions:
            return True
        waiting.extend(mappings(inside.get("item")))
        waiting.extend(answer for answer in mappings(inside.get("answer")) if "item" in answer)
    return False


def _is_late_answer(answer: Json, authored: str) -> bool:
    stated = answer.get("valueDate", answer.get("valueDateTime"))
    return isinstance(stated, str) and is_date_time(stated) and is_late(stated, authored)


def _refuse_status(response: Json) -> None:
    if response.get("status") in _WITHDRAWN:
        expected = "Expected: completed, amended or in-progress; this status says that it must not be scored."
        raise NotScorable(Problem("status-not-scorable", expected, "QuestionnaireResponse.status"))
