"""The full check: every problem of a response, and the answers that count.

An answer to a question that is closed is judged as any other: one that is no option, or outside of the
limits, may be the worse of two that contradict each other.

Items are demanded (required, minOccurs) only while they are enabled and what holds them is in use;
`accept.py` states the same rules for forms in which every item occurs once. The answers themselves are
judged in `answer_checks.py`, expressions and the limits that they compute in `constraints.py`.

Every rule is satisfied, violated or undecided. Undecided is a notice with its reason, and no rule that
depends on it fires: nothing is demanded below an item of which it is not decided whether it is enabled,
and its answers are checked as any others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from service.datatypes.answers import UNREAD, Answer, Answers
from service.errors import Problem, ProblemList
from service.fhir import extensions as ext
from service.fhir.json import Json
from service.fhir.references import contained_types
from service.questionnaire.answer_checks import AnswerContext, answer_problems
from service.questionnaire.constraints import computed_limit_problems, constraint_problems, initial_problems
from service.questionnaire.enable_when import set_enabled
from service.questionnaire.expressions import Evaluation, FormExpressions, Undecided
from service.questionnaire.items import DISPLAY, GROUP, Item
from service.questionnaire.pairing import (
    MAX_OCCURRENCES,
    MAX_OCCURRENCES_HERE,
    Container,
    Occurrence,
    PairedResponse,
    ResponseAnswer,
    TooCostly,
    pair,
)
from service.questionnaire.problems import problem, problems_for_status
from service.sandbox import TooMuchHere


class Checked(msgspec.Struct, frozen=True):
    """What a response says and what is wrong with it.

    Args:
        problems: every problem, in the order of the response; warnings included.
        answers: answers of enabled items; those of disabled items stand under `ignored`.
    """

    problems: tuple[Problem, ...]
    answers: Answers


class CheckTable(msgspec.Struct, frozen=True):
    """What the check needs of a Questionnaire.

    Args:
        items: by linkId.
        top: linkIds of the top-level items.
        ordered: all items, each after what it depends on.
        expressions: None if there are none.
        has_code: it has expressions or patterns.
    """

    items: Mapping[str, Item]
    top: tuple[str, ...]
    ordered: tuple[Item, ...]
    expressions: FormExpressions | None = None
    has_code: bool = False


def check(table: CheckTable, response: Json, status: str, *, apart: bool = True) -> Checked:
    """Checks a parsed QuestionnaireResponse of any shape.

    Args:
        table: of its Questionnaire.
        response: of any shape.
        status: decides which problems count; see `problems.py`.
        apart: nobody waits meanwhile.

    Raises:
        TooMuchHere: somebody does, and the response has many items, or its Questionnaire expressions or
            patterns.
    """
    if table.has_code and not apart:
        raise TooMuchHere
    try:
        most = MAX_OCCURRENCES if apart else MAX_OCCURRENCES_HERE
        paired = pair(response, table.items, table.top, most)
    except TooCostly as fault:
        if not apart:
            raise TooMuchHere from fault
        return Checked((problem("too-costly", f"Expected {fault}.", "QuestionnaireResponse"),), Answers({}))
    expressions = table.expressions
    evaluation = Evaluation(expressions, response, paired) if expressions is not None else None
    conditions = _ExpressionConditions(evaluation, {})
    set_enabled(paired, table.items, table.ordered, conditions.holds)
    _set_can_be_answered(paired)
    problems = ProblemList()
    problems.extend(paired.problems)
    problems.keep_all(_enable_problems(paired, conditions.reasons))
    if evaluation is not None:
        problems.keep_all(computed_limit_problems(evaluation, paired))
    _check_numbers(paired.top, problems)
    context = AnswerContext(contained_types(response))
    for occurrence in paired.occurrences:
        if occurrence.response_answers and occurrence.enabled is False:
            problems.keep(_disabled(occurrence))
        if occurrence.response_answers:
            problems.keep_all(answer_problems(occurrence, context))
    problems.keep_all(initial_problems(paired.occurrences))
    if evaluation is not None:
        problems.keep_all(constraint_problems(evaluation, paired))
    return Checked(problems_for_status(problems.listed(), status), _answers(paired))


class _ExpressionConditions(msgspec.Struct, frozen=True):
    """The enableWhenExpressions on one response; `reasons`: why one is undecided, by id of its occurrence."""

    evaluation: Evaluation | None
    reasons: dict[int, str]

    def holds(self, occurrence: Occurrence) -> bool | None:
        """Evaluates an enableWhenExpression: empty is False, None is undecided."""
        if self.evaluation is None:
            return None
        known = self.evaluation.expressions.enable_when
        expression = known.get(occurrence.item.link_id, Undecided("its condition has no expression"))
        truth = self.evaluation.truth(expression, occurrence)
        if isinstance(truth, Undecided):
            self.reasons[id(occurrence)] = truth.reason
            return None
        return truth is True


_NOT_COMPARED = "a condition cannot be compared with an answer, or reads an item that is undecided itself"


def _enable_problems(paired: PairedResponse, reasons: Mapping[int, str]) -> Iterator[Problem]:
    """Yields the items of which it is undecided whether they are enabled, without those below them."""
    for occurrence in paired.occurrences:
        if occurrence.enabled is not None:
            continue
        owner, item = occurrence.container.owner, occurrence.item
        if (owner is None or owner.enabled is True) and item.type != DISPLAY:
            reason = reasons.get(id(occurrence), _NOT_COMPARED)
            words = f"{item.label}: not decided whether this is enabled: {reason}."
            yield problem("enable-undecided", words, occurrence.path, item.text)


def _disabled(occurrence: Occurrence) -> Problem:
    item = occurrence.item
    words = f"{item.label}: expected no answer, because the condition of this question is not met."
    return problem("disabled-item", words, occurrence.path, item.text)


def _answers(paired: PairedResponse) -> Answers:
    given: dict[str, list[Answer]] = {}
    ignored: dict[str, list[Answer]] = {}
    closed = set()
    for link, occurrences in paired.by_link.items():
        for occurrence in occurrences:
            if occurrence.answers:
                target = ignored if occurrence.enabled is False else given
                target.setdefault(link, []).extend(occurrence.answers)
        is_hidden = occurrences and occurrences[0].certain < 0 and occurrences[0].item.type != DISPLAY
        if is_hidden and all(_is_closed(occurrence) for occurrence in occurrences):
            closed.add(link)
    return Answers(_frozen(given), frozenset(closed), _frozen(ignored))


def _is_closed(occurrence: Occurrence) -> bool:
    """Returns whether a question is closed for certain, and no text in place of a code says anything there.

    That might be the worse of two answers that contradict each other: nobody knows, and unknown is not no.
    """
    return occurrence.certain < 0 and not any(map(_is_uncoded, occurrence.response_answers))


def _is_uncoded(found: ResponseAnswer) -> bool:
    is_named = isinstance(found.value, dict) and "display" in found.value
    return found.answer is UNREAD and is_named and not ext.says_why_absent(found.value)


def _frozen(answers: dict[str, list[Answer]]) -> dict[str, tuple[Answer, ...]]:
    """Returns the answers by linkId, without questions of which no answer can be read."""
    return {link: tuple(listed) for link, listed in answers.items() if listed.count(UNREAD) < len(listed)}


# How often items are answered: required, minOccurs, maxOccurs and repeats. What an item lacks stands at the
# item if it is there, else at what would hold it.


def _set_can_be_answered(paired: PairedResponse) -> None:
    """Marks the containers of questions that are certainly enabled: they can be answered."""
    for occurrence in paired.occurrences:
        inner, owner = occurrence, occurrence.container.owner
        if owner is None or owner.can_be_answered or not occurrence.item.answerable:
            continue
        while owner is not None and inner.enabled is True and not owner.can_be_answered:
            owner.can_be_answered = True
            inner, owner = owner, owner.container.owner


def _check_numbers(container: Container, problems: ProblemList) -> bool:
    """Finds every problem of number in a container that is in use, and in all in use below it.

    Returns:
        Whether there is none.
    """
    fit = [_fits(occurrences[0].item, occurrences, problems) for occurrences in container.by_link.values()]
    return False not in fit


def _fits(item: Item, occurrences: list[Occurrence], problems: ProblemList) -> bool:
    enabled = [occurrence for occurrence in occurrences if occurrence.enabled is not False]
    if not enabled or item.type == DISPLAY:
        return True
    if item.type != GROUP:
        answered = [occurrence for occurrence in enabled if occurrence.response_answers]
        fit = [_question_fits(occurrence, problems) for occurrence in answered or enabled[:1]]
        return False not in fit
    if item.repeats:
        return _repeating_group_fits(item, enabled, problems)
    return _group_fits(enabled[0], problems)


def _group_fits(group: Occurrence, problems: ProblemList) -> bool:
    fits = _below_fits(group, problems)
    if fits and _is_demanded(group) and not group.in_use and group.can_be_answered:
        words = f"{group.item.label}: expected an answer in this group."
        problems.keep(problem("required", words, group.path))
        return False
    return fits


def _repeating_group_fits(item: Item, enabled: list[Occurrence], problems: ProblemList) -> bool:
    used = [occurrence for occurrence in enabled if occurrence.in_use]
    fit = [_below_fits(occurrence, problems) for occurrence in used]
    fits, first = all(fit), enabled[0]
    present = sum(occurrence.present for occurrence in enabled)
    if len(used) < item.min_occurs and _is_demanded(first) and first.can_be_answered:
        problems.keep(_too_few(item, len(used), first.path, "occurrences"))
        fits = False
    if item.max_occurs is not None and present > item.max_occurs:
        problems.keep(_too_many(item, first.container.path, "occurrences"))
        fits = False
    return fits


def _question_fits(question: Occurrence, problems: ProblemList) -> bool:
    item, count = question.item, len(question.response_answers)
    fits = True
    if count < item.min_occurs and _is_demanded(question):
        problems.keep(_too_few(item, count, question.path, "answers"))
        fits = False
    if item.max_occurs is not None and count > item.max_occurs:
        problems.keep(_too_many(item, question.path, "answers"))
        fits = False
    return (not count or not question.containers or _below_fits(question, problems)) and fits


def _is_demanded(occurrence: Occurrence) -> bool:
    """Returns whether there must be as much of an item as its form says: it is enabled for sure."""
    return occurrence.item.min_occurs > 0 and occurrence.enabled is True


def _below_fits(occurrence: Occurrence, problems: ProblemList) -> bool:
    fit = [_check_numbers(container, problems) for container in occurrence.containers]
    return False not in fit


def _too_few(item: Item, count: int, path: str, what: str) -> Problem:
    if count == 0 and item.min_occurs == 1:
        words = f"{item.label}: expected an answer, because the question is required."
        return problem("required", words, path)
    kind = "required" if count == 0 else "too-few"
    least = f"at least {item.min_occurs} {what}" if item.is_quoted else f"as many {what} as the form demands"
    return problem(kind, f"{item.label}: expected {least}.", path)


def _too_many(item: Item, path: str, what: str) -> Problem:
    if not item.repeats:
        words = f"{item.label}: expected one answer, because the question does not repeat."
        return problem("too-many", words, path)
    most = f"at most {item.max_occurs} {what}" if item.is_quoted else f"no more {what} than the form permits"
    return problem("too-many", f"{item.label}: expected {most}.", path)
