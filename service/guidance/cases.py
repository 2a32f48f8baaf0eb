"""What a worked case expects and a result does not say, in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from service.datatypes.answers import Answer, Answers, Quantity
from service.datatypes.form import Form, Question
from service.guidance.conditions import Place
from service.guidance.draft import CaseDraft, Draft
from service.guidance.expectations import Ends, Expectation, expectation_from
from service.guidance.graph import CHOICES, codings_of
from service.guidance.result import Interval, Result
from service.guidance.schema import fault_line

# Worked cases: patients with the result that they must get, run when a guidance is checked.

Given = Mapping[str, tuple[Answer, ...]]
Enabled = Callable[[Given], tuple[frozenset[str], frozenset[str]]]
"""From answers to (linkIds that are asked, linkIds that are hidden for certain)."""

_FILE = "cases.yaml"


@dataclass(frozen=True, slots=True)
class Case:
    """One worked case; `answers` holds what the person answered, asked or not."""

    name: str
    about: str
    status: str
    answers: Given
    chart: Given
    expect: Expectation

    def faults(self, result: Result) -> tuple[str, ...]:
        """What the case expects and the result does not say, in words."""
        return verify(self, result)


def verify(case: Case, result: Result) -> tuple[str, ...]:
    """What the case expects and the result does not say, in words; empty if all is as expected."""
    return faults_of_result(case.expect, result)


def answers_of(case: Case, enabled: Enabled) -> Answers:
    """The answers of a case, split into those that count and those to questions that are not asked."""
    asked, closed = enabled(case.answers)
    return Answers(
        given={link_id: values for link_id, values in case.answers.items() if link_id in asked},
        closed=closed,
        ignored={link_id: values for link_id, values in case.answers.items() if link_id not in asked},
        chart=case.chart,
    )


def cases_from(draft: Draft, form: Form) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """The worked cases, and a line per fault in them. A case may be `like` one before it."""
    cases: dict[str, Case] = {}
    faults: list[str] = []
    for each in draft.cases:
        found = list(_name_faults(each, cases))
        case = _case(each, cases.get(each.like), draft, form, found)
        faults += [fault_line(_FILE, (each.name, *place), text) for place, text in found]
        cases.setdefault(each.name, case)
    return tuple(cases.values()), tuple(faults)


def _name_faults(each: CaseDraft, known: Mapping[str, Case]) -> Iterator[tuple[Place, str]]:
    if each.name in known:
        yield (), "expected a name that no other case has"
    if each.like and each.like not in known:
        yield ("like",), "expected the name of a case that stands before this one"


def _case(
    each: CaseDraft, like: Case | None, draft: Draft, form: Form, found: list[tuple[Place, str]]
) -> Case:
    answers = _values(each.answers, "answers", draft, form, found)
    chart = _values(each.chart, "chart", draft, form, found)
    removed = {link_id for link_id, written in each.answers.items() if written is None}
    inherited = {} if like is None else {key: like.answers[key] for key in like.answers if key not in removed}
    return Case(
        name=each.name,
        about=each.about,
        status=each.status,
        answers={**inherited, **answers},
        chart={**({} if like is None else like.chart), **chart},
        expect=expectation_from(each.expect, draft, form, found),
    )


def _values(
    written: Mapping[str, Any], key: str, draft: Draft, form: Form, found: list[tuple[Place, str]]
) -> dict[str, tuple[Answer, ...]]:
    values: dict[str, tuple[Answer, ...]] = {}
    for link_id, value in written.items():
        question = form.questions.get(link_id)
        if question is None:
            found.append(((key, link_id), "expected the linkId of a question"))
        elif value is not None:
            try:
                values[link_id] = answers_from(question, value, draft.header.words)
            except NotAnAnswer as fault:
                found.append(((key, link_id), str(fault)))
    return values


# Answers of worked cases, from words to answer values.

_QUANTITY = re.compile(r"(?P<value>-?[0-9]+(?:\.[0-9]+)?) (?P<unit>\S+)")


class NotAnAnswer(Exception):
    """The words are not an answer to this question; the text says what was expected."""


def answers_from(question: Question, written: Any, words: Mapping[str, str]) -> tuple[Answer, ...]:
    """The answers that a case writes for a question: one value, or a list of values.

    Raises:
        NotAnAnswer: with what was expected instead.
    """
    values = written if isinstance(written, list) else [written]
    if not values or (len(values) > 1 and not question.repeats):
        raise NotAnAnswer("expected one answer" if values else "expected at least one answer, or null")
    return tuple(_answer(question, value, words) for value in values)


def _answer(question: Question, value: Any, words: Mapping[str, str]) -> Answer:
    if question.type in CHOICES:
        return _coded(question, value, words)
    if question.type == "boolean":
        return _checked(value, "true or false", isinstance(value, bool))
    if question.type in ("integer", "decimal"):
        return _plain(question, value)
    if question.type == "quantity":
        return quantity_from(question, value)
    return _checked(value, "a text in quotes", isinstance(value, str))


def _coded(question: Question, value: Any, words: Mapping[str, str]) -> Answer:
    codings = codings_of(question, value, words) if isinstance(value, str) else ()
    if codings:
        return codings[0]
    codes = ", ".join(option.coding.code for option in question.options)
    return _checked(value, f"one of: {codes}", question.type == "open-choice" and isinstance(value, str))


def _plain(question: Question, value: Any) -> Answer:
    if question.type == "integer":
        return _checked(value, "a whole number", isinstance(value, int) and not isinstance(value, bool))
    _checked(value, "a number", isinstance(value, int | Decimal) and not isinstance(value, bool))
    return Decimal(value)


def quantity_from(question: Question, value: Any) -> Quantity:
    """The measured value that `"3 d"` writes, in a unit that the question allows."""
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or (question.units and match["unit"] not in question.units):
        units = ", ".join(question.units) or "a UCUM unit"
        raise NotAnAnswer(f'expected a number and a unit in quotes, such as "3 d"; units: {units}')
    return Quantity(Decimal(match["value"]), match["unit"])


def _checked(value: Answer, expected: str, right: object) -> Answer:
    if not right:
        raise NotAnAnswer(f"expected {expected}")
    return value


def faults_of_result(expect: Expectation, result: Result) -> tuple[str, ...]:
    """What is expected and not so, a sentence each."""
    return (*_interval_faults(expect, result), *_list_faults(expect, result), *_count_faults(expect, result))


def _interval_faults(expect: Expectation, result: Result) -> Iterator[str]:
    if expect.tier is not None:
        yield from _differs("tier", expect.tier, _words(result.tier, [tier.code for tier in result.tiers]))
    for risk in result.risks:
        if risk.outcome.code in expect.levels:
            found = _words(risk.level, [level.code for level in risk.outcome.levels])
            yield from _differs(risk.outcome.code, expect.levels[risk.outcome.code], found)
    if expect.settled is not None and expect.settled != result.settled:
        yield f"settled: expected {expect.settled}, found {result.settled}".lower()


def _list_faults(expect: Expectation, result: Result) -> Iterator[str]:
    fired = {fired.rule.name for fired in result.fired} | {
        fired.rule.name for risk in result.risks for fired in risk.fired
    }
    yield from (f"fires: expected {name}, which did not fire" for name in expect.fires if name not in fired)
    yield from (
        f"not-fires: expected that {name} does not fire, but it did"
        for name in expect.not_fires
        if name in fired
    )
    if expect.open is not None:
        yield from _open_faults(expect.open, [question.link_id for question in result.open])
    if expect.contradictions is not None:
        found = sorted(each.name for each in result.contradictions)
        if found != sorted(expect.contradictions):
            yield f"contradictions: expected {_listed(sorted(expect.contradictions))}, found {_listed(found)}"


def _open_faults(expected: tuple[str, ...], found: list[str]) -> Iterator[str]:
    if not expected and found:
        yield f"open: expected no open question, found {_listed(found)}"
    missing = [link_id for link_id in expected if link_id not in found]
    if missing:
        yield f"open: expected {_listed(missing)} among the open questions, found {_listed(found)}"
    elif [link_id for link_id in found if link_id in expected] != list(expected):
        yield f"open: expected the order {_listed(expected)}, found {_listed(found)}"


def _count_faults(expect: Expectation, result: Result) -> Iterator[str]:
    for tally in result.tables:
        counts = {"left": tally.left, "right": tally.right, "open": tally.open}
        for key, count in expect.tables.get(tally.comparison.name, {}).items():
            if counts[key] != count:
                yield f"tables: {tally.comparison.name}: expected {key} {count}, found {counts[key]}"
    for total in result.totals:
        if total.score.name in expect.scores:
            found = total.at_least, total.at_most
            yield from _differs(f"score: {total.score.name}", expect.scores[total.score.name], found)


def _differs(what: str, expected: Ends, found: Ends) -> Iterator[str]:
    if expected != found:
        yield f"{what}: expected {_interval(expected)}, found {_interval(found)}"


def _interval(ends: Ends) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _words(interval: Interval, names: list[str]) -> Ends:
    return names[interval.at_least], names[interval.at_most]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
