"""Random responses, near the worked cases of a guidance: for load tests, benchmarks and authors.

Each is like the person of a worked case: a share of the answers is changed, mostly to what other worked
cases answer, and some questions are left open. The same seed gives the same bytes everywhere: chance is the
one function of `random` whose values never change between versions of Python, and no order of a hash counts.

Source: Python `random`, notes on reproducibility (`random()` with the same seed keeps its sequence).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from random import Random
from typing import Final, NamedTuple, TypeVar

import msgspec

from service.assess import Assessor
from service.catalogue import Catalogue, Pair
from service.datatypes.answers import UNREAD, Answer, AnswersByLink, Coding, Quantity
from service.datatypes.days import day_before
from service.datatypes.form import Question
from service.datatypes.values import replace
from service.errors import GuidanceError, has_errors
from service.fhir.extensions import mappings
from service.fhir.json import BodyLimits, MutableJson, decoded, encoded
from service.guidance.cases import Case
from service.guidance.floor import other_answers
from service.guidance.options import CHOICES, DATES, NUMBERS, PLAIN
from service.questionnaire import DISPLAY
from service.questionnaire.items import Item
from service.questionnaire.population import typed_answer
from service.questionnaire.values import answer_in
from service.validate import Validator

SHARES: Final = (0.02, 0.1, 0.3)
"""How much of a worked case is answered differently; each as often as the others."""

_AS_OTHERS: Final = 0.75
"""How often a changed answer is one of another worked case, as often as these give it."""
_LEFT_OPEN: Final = 0.1
"""How often a question that would be answered differently is left open."""
_SKIPPED: Final = 0.3
"""How much is left open by those in progress who skip questions, and do not just stop."""

_ATTEMPTS: Final = 100
_OF_TYPE: Final[Mapping[str, Answer]] = {"time": "08:00:00", "url": "https://example.org"}
_SUBJECTS: Final = ("Patient", "Group")
_NOT_ANSWERED: Final = frozenset({"reference", "attachment"})

Given = tuple[Answer, ...]
_Any = TypeVar("_Any")


def generated(served: Catalogue, wanted: Wanted) -> Iterator[bytes]:
    """Yields responses to what is served, one a line of NDJSON, each valid and with an id of its own.

    Raises:
        GuidanceError: there is no such guidance in use, or no worked case of it leads to a valid response.
    """
    named = [pair for pair in served.pairs.values() if pair.is_active and wanted.slug in ("", pair.slug)]
    if not named:
        expected = ", ".join(sorted({pair.slug for pair in served.pairs.values() if pair.is_active}))
        raise GuidanceError([f"--questionnaire: expected one in use: {expected or 'none is'}"])
    patients = [Patients(pair) for pair in sorted(named, key=lambda pair: pair.compiled.canonical)]
    check = _Check(served)
    for number in range(1, wanted.count + 1):
        yield _line(patients, wanted, number, check)


class _Ago(NamedTuple):
    """A date, so many days before the response."""

    days: int


class Wanted(msgspec.Struct, frozen=True):
    """What is to be made.

    Args:
        count: how many responses.
        seed: the same seed gives the same responses; each is made apart, so that fewer are the first of more.
        slug: name of the mapping folder; empty for every guidance in use.
        partial: share of responses in progress, from 0 to 1.
    """

    count: int
    seed: int = 1
    slug: str = ""
    partial: float = 0.2


def _line(patients: Sequence[Patients], wanted: Wanted, number: int, check: _Check) -> bytes:
    name = f"{wanted.seed}-{number}"
    for attempt in range(_ATTEMPTS):
        chance = Random(f"{name}-{attempt}")  # noqa: S311 - to be repeatable is what it is for
        by = _chosen(chance, patients)
        case = by.drawn(chance)
        case = by.begun(case, chance) if chance.random() < wanted.partial else by.complete(case, chance)
        response = by.responses.of(case, name=name, minute=int(chance.random() * 24 * 60))
        line = encoded(response)
        if check.is_valid(line):
            return line
    expected = "expected a case that a valid response can be like"
    raise GuidanceError([f"{patient.pair.slug}/cases.yaml: {expected}" for patient in patients])


class _Check:
    """Whether a response is valid: quickly where that is plain, else as `$validate` says."""

    def __init__(self, served: Catalogue) -> None:
        limits = BodyLimits(1 << 30, 64)
        self._assessor, self._validator = Assessor(served, limits), Validator(served, limits)

    def is_valid(self, line: bytes) -> bool:
        if self._assessor.accepted(line) is not None:
            return True
        problems = self._validator.problems(decoded(line))
        return not has_errors(problems)


def _chosen(chance: Random, values: Sequence[_Any]) -> _Any:
    """Returns one of the values, each as likely as the others; `choice` may change between versions."""
    return values[int(chance.random() * len(values))]


class Patients:
    """People who are like the worked cases of one guidance."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.responses = CaseResponses(pair)
        if not pair.guidance.cases:
            expected = "expected worked cases, since responses are made like them"
            raise GuidanceError([f"{pair.slug}/cases.yaml: {expected}"])
        self._cases = tuple(map(self._as_form_takes, pair.guidance.cases))
        self._enabled = pair.compiled.enabling()
        self._asked = {case.name: self._enabled(case.answers)[0] for case in self._cases}
        self._as_others = {link: tuple(self._worked(link)) for link in pair.compiled.form.questions}
        self._others: dict[tuple[str, str], tuple[Given, ...]] = {}

    def _as_form_takes(self, case: Case) -> Case:
        """Returns a case without what only a chart can say, or what no form lets somebody choose."""
        fit = {link: given for link, given in case.answers.items() if self._fits(link, given)}
        return replace(case, answers=fit)

    def drawn(self, chance: Random, shares: Sequence[float] = SHARES) -> Case:
        """Returns somebody like the person of a worked case; each case is as likely as the others.

        Answers stand there for questions too that are not asked, as in a worked case.
        """
        case = _chosen(chance, self._cases)
        return replace(case, answers=dict(self._changed(case, _chosen(chance, shares), chance)))

    def _changed(self, case: Case, share: float, chance: Random) -> Iterator[tuple[str, Given]]:
        for link in self.pair.compiled.form.questions:
            own = () if self._is_calculated(link) else case.answers.get(link, ())
            stays = chance.random() >= share
            if own and stays:
                yield link, own
            elif (not stays or link not in self._asked[case.name]) and chance.random() >= _LEFT_OPEN:
                answers = self._other(link, case.authored, chance)
                if answers:
                    yield link, answers

    def complete(self, case: Case, chance: Random) -> Case:
        """Returns the same person, finished: every answer that the form demands is there."""
        items, answers = self.pair.compiled.items, dict(case.answers)
        for _ in items:
            enabled, _ = self._enabled(answers)
            missing = [link for link in items if link in enabled and self._lacks(items[link], answers)]
            if not missing:
                break
            for link in missing:
                answers[link] = self._other(link, case.authored, chance)
        return replace(case, answers=answers, status="completed")

    def _lacks(self, item: Item, answers: AnswersByLink) -> bool:
        is_demanded = item.answerable and item.min_occurs > 0 and not self._is_calculated(item.link_id)
        return is_demanded and item.link_id not in answers

    def _is_calculated(self, link: str) -> bool:
        return link in self.pair.compiled.calculates

    def begun(self, case: Case, chance: Random) -> Case:
        """Returns the same person in the middle of the form, or with questions skipped."""
        enabled, _ = self._enabled(case.answers)
        questions = self.pair.compiled.form.questions
        asked = [link for link in questions if link in enabled and link in case.answers]
        if chance.random() < 0.5:
            left = asked[: 1 + int(chance.random() * len(asked))]
        else:
            left = [link for link in asked if chance.random() >= _SKIPPED]
        return replace(case, answers={link: case.answers[link] for link in left}, status="in-progress")

    def _other(self, link: str, authored: str, chance: Random) -> Given:
        """Returns an answer to a question, nothing if none is known that it takes."""
        as_others, is_like = self._as_others[link], chance.random() < _AS_OTHERS
        if (link, authored) not in self._others:
            self._others[link, authored] = tuple(self._any(link, authored))
        values = as_others if is_like and as_others else self._others[link, authored] or as_others
        if not values:
            return ()
        found = _chosen(chance, values)
        return tuple(day_before(authored, one.days) if isinstance(one, _Ago) else one for one in found)

    def _worked(self, link: str) -> Iterator[tuple[Answer | _Ago, ...]]:
        """Yields each answer of the worked cases to a question, repeated ones too; full dates as days ago."""
        is_date = self.pair.compiled.form.questions[link].type in DATES
        for case in self._cases:
            given = case.answers.get(link, ())
            if given:
                yield tuple(_ago(one, case.authored) if is_date else one for one in given)

    def _any(self, link: str, authored: str) -> Iterator[Given]:
        item, question = self.pair.compiled.items[link], self.pair.compiled.form.questions[link]
        if item.read_only or item.type in _NOT_ANSWERED or self._is_calculated(link):
            return
        if item.options is not None:
            yield from ((answer,) for answer in item.options.choices)
        for answers in self._different(question, authored):
            if answers and self._fits(link, answers):
                yield answers

    def _different(self, question: Question, authored: str) -> Iterator[Given]:
        """Yields answers that the guidance tells apart; one that fits where it reads none."""
        if question.type in _OF_TYPE:
            yield (_OF_TYPE[question.type],)
        elif question.type not in CHOICES or question.options:
            alike = replace(question, type="date") if question.type in DATES else question
            found = list(other_answers(alike, self.pair.guidance, partial(day_before, authored)))
            yield from found
            if question.type in NUMBERS and not found:
                yield from self._numbers(question)

    def _numbers(self, question: Question) -> Iterator[Given]:
        limits = self.pair.compiled.items[question.link_id].limits
        low = limits.min_quantity if question.type == "quantity" else limits.min_value
        if low is not None:
            yield (low,)
        elif question.type == "quantity":
            yield (Quantity(Decimal(1), next(iter(question.units), PLAIN)),)
        else:
            yield (1 if question.type == "integer" else Decimal(1),)

    def _fits(self, link: str, answers: Given) -> bool:
        """Whether a question takes these answers; of a range its end is looked at."""
        is_measured = self.pair.compiled.items[link].type == "quantity"
        if any(one is UNREAD or isinstance(one, Quantity) != is_measured for one in answers):
            return False
        ends = tuple(one._replace(comparator="") if isinstance(one, Quantity) else one for one in answers)
        return self.pair.compiled.takes(link, ends)


def _ago(answer: Answer, authored: str) -> Answer | _Ago:
    """Returns a whole date as days before the response, so that it fits another one; others as they are."""
    is_day = isinstance(answer, str) and len(answer) == len("2026-11-28")
    return _Ago((date.fromisoformat(authored) - date.fromisoformat(str(answer))).days) if is_day else answer


# What somebody answers, as a resource.


class CaseResponses:
    """Writes what people answer as responses to one Questionnaire; the same answer is written once."""

    def __init__(self, pair: Pair) -> None:
        self._compiled = pair.compiled
        self._enabled = pair.compiled.enabling()
        self._top = [link for link, item in pair.compiled.items.items() if item.parent is None]
        self._written: dict[tuple[str, Answer], MutableJson] = {}
        kinds = (kind for kind in _SUBJECTS if pair.compiled.is_about(kind))
        self._subject = next(kinds, None) or min(pair.compiled.subject_types)

    def of(
        self, case: Case, *, name: str = "", minute: int = 12 * 60, closed_too: bool = False
    ) -> MutableJson:
        """Returns the response of the person of a case, as a form would send it.

        Args:
            name: id of the response, and of the person; without it the response has none.
            minute: of the day on which it was written.
            closed_too: answers to questions that are not asked stand there as well.
        """
        enabled, _ = self._enabled(case.answers)
        given = {link: one for link, one in case.answers.items() if closed_too or link in enabled}
        response: MutableJson = {
            "resourceType": "QuestionnaireResponse",
            **({"id": name} if name else {}),
            "questionnaire": self._compiled.canonical,
            "status": case.status,
            "subject": {"reference": f"{self._subject}/{name or 'example'}"},
            "authored": f"{case.authored}T{minute // 60:02}:{minute % 60:02}:00Z",
        }
        response["item"] = list(self._items(self._top, given))
        calculated = self._compiled.calculated(response) if self._compiled.calculates else {}
        if calculated:
            response["item"] = list(self._items(self._top, {**given, **calculated}))
        return {part: value for part, value in response.items() if value != []}

    def _items(self, links: Sequence[str], given: AnswersByLink) -> Iterator[MutableJson]:
        for link in links:
            item = self._compiled.items[link]
            if item.type == DISPLAY:
                continue
            below = list(self._items(item.children, given)) if item.children else []
            answers = [self._answer(item, answer) for answer in given.get(link, ())]
            if below and item.answerable:
                answers = [{**(answers[0] if answers else {}), "item": below}, *answers[1:]]
            if answers or below:
                said = {"text": item.text} if item.text else {}
                yield {"linkId": link, **said, **({"answer": answers} if answers else {"item": below})}

    def _answer(self, item: Item, answer: Answer) -> MutableJson:
        key = item.link_id, answer
        if key not in self._written:
            self._written[key] = _written(item, answer)
        return self._written[key]


def _written(item: Item, answer: Answer) -> MutableJson:
    """Returns an answer as it stands in a response; an option that is no code as the form has it."""
    if isinstance(answer, Quantity):
        element, value = typed_answer(item, answer._replace(comparator=""), ())
        range_ = {"comparator": answer.comparator} if answer.comparator else {}
        return {element: {"value": value["value"], **range_, **value}}
    if isinstance(answer, Coding):
        return dict([typed_answer(item, answer, ())])
    for option in mappings(item.source.get("answerOption")):
        found = answer_in(option, "value")
        if found is not None and found[1] == answer:
            return {found[0]: option[found[0]]}
    return dict([typed_answer(item, answer, ())])
