"""Interviews with made-up patients: what they are asked, and whether the result is that of the full form."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from service.authoring.generator import SHARES, Patients
from service.catalogue import Pair, answers_of_case
from service.datatypes.answers import Answers, AnswersByLink
from service.datatypes.values import replace
from service.guidance.cases import Case
from service.guidance.result import Result


@dataclass(frozen=True)
class Interviewed:
    """The questions of the full form and of the interview, and both results."""

    full: tuple[str, ...]
    asked: tuple[str, ...]
    of_full: Result
    of_interview: Result

    @property
    def agrees(self) -> bool:
        """Whether step, dates and, where no safety step has settled everything, levels are the same."""
        return verdict(self.of_full) == verdict(self.of_interview)


def verdict(result: Result) -> tuple[Any, ...]:
    """Returns the step, its dates, and the levels where there is no safety step."""
    is_at_safety = result.tiers[result.tier.at_least].overlay
    levels = () if is_at_safety else tuple(risk.level for risk in result.risks)
    return (result.tier, *(due and due.days for due in (result.due, result.step_due)), levels)


def told_in(case: Case, pair: Pair, answers: AnswersByLink) -> Answers:
    """Returns the case with these answers, its chart values and earlier responses as they are."""
    return answers_of_case(replace(case, answers=answers), pair.guidance, pair.compiled)


def interviewed(pair: Pair, case: Case) -> Interviewed:
    """Returns how the person of a case fares in the full form, and in an interview question by question."""
    told = partial(told_in, case, pair)
    given: AnswersByLink = {}
    asked: list[str] = []
    while True:
        enabled, _ = pair.compiled.enabled(given)
        listed = pair.guidance.next_questions(told(given), asked)
        following = next((link for link in listed if link in enabled), None)
        if following is None:
            break
        asked.append(following)
        if following in case.answers:
            given = {**given, following: case.answers[following]}
    full = in_full(pair, case.answers)
    questions = pair.compiled.enabled(full)[0] & pair.guidance.form.questions.keys()
    results = [pair.guidance.evaluate(told(answers)) for answers in (full, given)]
    return Interviewed(tuple(questions), tuple(asked), *results)


def in_full(pair: Pair, wanted: AnswersByLink) -> AnswersByLink:
    """Returns what the full form takes of what somebody would answer: what it asks, in its order."""
    given: AnswersByLink = {}
    for link in pair.guidance.form.questions:
        if link in wanted and link in pair.compiled.enabled(given)[0]:
            given = {**given, link: wanted[link]}
    return given


def random_patients(pair: Pair, seeds: Iterable[int]) -> list[Case]:
    """Returns, for each seed, somebody like the person of a worked case, a share of the answers by chance."""
    patients = Patients(pair)
    drawn = ((seed, patients.drawn(Random(seed), (*SHARES, 1.0))) for seed in seeds)
    return [replace(case, name=f"random-{seed}") for seed, case in drawn]


def begun(canonical: str, **more: Any) -> dict[str, Any]:
    """Returns the response of the first call of `$next-question`: nothing was asked yet."""
    form = {"resourceType": "Questionnaire", "id": "asked", "status": "active", "derivedFrom": [canonical]}
    response = {"resourceType": "QuestionnaireResponse", "status": "in-progress", "questionnaire": "#asked"}
    return {**response, "contained": [form], **more}
