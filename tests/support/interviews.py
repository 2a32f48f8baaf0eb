"""Interviews with made-up patients: what they are asked, and whether the result is that of the full form."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

from service.catalogue import Pair
from service.datatypes.answers import Answer, AnswersByLink
from service.datatypes.days import day_before
from service.guidance.cases import Case
from service.guidance.floor import other_answers
from service.guidance.result import Result

SHARES = (0.02, 0.1, 0.3, 1.0)
"""How much of a worked case a random patient answers differently."""


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


def interviewed(pair: Pair, case: Case) -> Interviewed:
    """Returns how the person of a case fares in the full form, and in an interview question by question."""
    told = partial(pair.compiled.answers_of, chart=case.chart, authored=case.authored)
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


def random_patient(pair: Pair, seed: int) -> Case:
    """Returns somebody like the person of some worked case, with a share of the answers by chance."""
    chance = Random(seed)
    case = chance.choice(pair.guidance.cases)
    share = chance.choice(SHARES)
    answers = dict(_by_chance(pair, case, chance, share))
    return replace(case, name=f"random-{seed}", answers=answers)


def _by_chance(
    pair: Pair, case: Case, chance: Random, share: float
) -> Iterator[tuple[str, tuple[Answer, ...]]]:
    known: Mapping[str, tuple[Answer, ...]] = case.answers
    for link, question in pair.guidance.form.questions.items():
        if link in known and chance.random() > share:
            yield link, known[link]
        elif chance.random() > 0.1:  # some are left without an answer
            others = list(other_answers(question, pair.guidance, partial(day_before, case.authored)))
            if others:
                yield link, chance.choice(others)


def begun(canonical: str, **more: Any) -> dict[str, Any]:
    """Returns the response of the first call of `$next-question`: nothing was asked yet."""
    form = {"resourceType": "Questionnaire", "id": "asked", "status": "active", "derivedFrom": [canonical]}
    response = {"resourceType": "QuestionnaireResponse", "status": "in-progress", "questionnaire": "#asked"}
    return {**response, "contained": [form], **more}
