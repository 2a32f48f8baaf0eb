"""Worked cases: patients with the result that they must get, run when a guidance is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.guidance.answers import Answer, Answers
from service.guidance.case_faults import faults_of_result
from service.guidance.case_values import NotAnAnswer, answers_from
from service.guidance.conditions import Place
from service.guidance.draft import CaseDraft, Draft
from service.guidance.expectations import Expectation, expectation_from
from service.guidance.form import Form
from service.guidance.grammar import fault_line
from service.guidance.result import Result

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
