"""Conditions: every answer, option, score, band and parameter that they name exists and fits."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from service.guidance.check_names import Fault, unknown
from service.guidance.check_units import unit_faults
from service.guidance.conditions import (
    COMPARISONS,
    Answered,
    AtLevel,
    AtTier,
    Condition,
    Group,
    InBand,
    Is,
    Measured,
    Named,
    Place,
    Scored,
    Switch,
    walk,
)
from service.guidance.draft import Draft
from service.guidance.form import Form, Question
from service.guidance.model import Parameter
from service.guidance.words import CHOICES, NUMBERS, codings_of

Words = Iterator[tuple[Place, str]]
"""What is wrong with one condition: keys below it, and what was expected."""


def condition_faults(draft: Draft, form: Form) -> Iterator[Fault]:
    """Yields what is wrong with any condition of any file."""
    for file, place, condition in draft.conditions():
        for inner, each in walk(condition, place):
            for keys, expected in _faults(each, draft, form):
                yield file, (*inner, *keys), expected
    for contradiction in draft.contradictions:
        for index, part in enumerate(contradiction.between):
            if not isinstance(part, Named | Is | Answered | Measured):
                place = (contradiction.name, "between", index)
                yield "contradictions.yaml", place, "expected a finding or a test of one answer"


def _faults(condition: Condition, draft: Draft, form: Form) -> Words:
    if isinstance(condition, Named):
        return _named(condition, draft)
    if isinstance(condition, Is | Answered | Measured):
        return _answer(condition, draft, form)
    if isinstance(condition, InBand | Scored):
        return _score(condition, draft)
    if isinstance(condition, Switch):
        return _parameter(condition.parameter, "switch", (), draft)
    if isinstance(condition, AtTier | AtLevel):
        return _result(condition, draft)
    return _group(condition, draft)


def _named(condition: Named, draft: Draft) -> Words:
    if condition.finding not in {finding.name for finding in draft.findings}:
        yield (), f"expected the name of a finding; {condition.finding} is not in findings.yaml"


def _answer(condition: Is | Answered | Measured, draft: Draft, form: Form) -> Words:
    question = form.questions.get(condition.link_id)
    if question is None:
        yield (
            ("answer",),
            f"expected the linkId of a question; {condition.link_id} is not in the questionnaire",
        )
    elif isinstance(condition, Is):
        yield from _options(condition, question, draft)
    elif isinstance(condition, Measured):
        yield from _measured(condition, question, draft)


def _options(condition: Is, question: Question, draft: Draft) -> Words:
    if question.type == "boolean":
        if not all(isinstance(word, bool) for word in condition.words):
            yield ("is",), "expected true or false"
        return
    if question.type not in CHOICES:
        yield ("is",), f"expected a question with options; this one is of type {question.type}"
        return
    options = ", ".join(option.coding.code for option in question.options)
    for word in condition.words:
        if isinstance(word, bool) or not codings_of(question, word, draft.header.words):
            yield ("is",), f"expected options of this question ({options}); {word} is none of them"


def _measured(condition: Measured, question: Question, draft: Draft) -> Words:
    if question.type not in NUMBERS:
        yield (
            (condition.comparison,),
            f"expected a question for a number; this one is of type {question.type}",
        )
    for name in condition.parameters:
        yield from _parameter(name, COMPARISONS[condition.comparison], (condition.comparison,), draft)
    known = [
        draft.header.parameters[name] for name in condition.parameters if name in draft.header.parameters
    ]
    for expected in unit_faults(question, [each for each in known if not isinstance(each.value, bool)]):
        yield (condition.comparison,), expected


def _parameter(name: str, edge: str, keys: Place, draft: Draft) -> Words:
    parameter = draft.header.parameters.get(name)
    if parameter is None:
        yield (*keys, "parameter"), f"expected a parameter of guidance.yaml; {name} is not one"
    elif parameter.edge != edge:
        yield (
            (*keys, "parameter"),
            f"expected a parameter with the edge {edge}; that of {name} is {parameter.edge}",
        )


def _score(condition: InBand | Scored, draft: Draft) -> Words:
    bands = {score.name: [band.name for band in score.bands] for score in draft.scores}
    if condition.score not in bands:
        yield ("score",), unknown(condition.score, bands)
    elif isinstance(condition, InBand):
        for band in condition.bands:
            if band not in bands[condition.score]:
                yield ("band",), unknown(band, bands[condition.score])
    if isinstance(condition, Scored):
        yield from _parameter(
            condition.parameter, COMPARISONS[condition.comparison], (condition.comparison,), draft
        )


def _result(condition: AtTier | AtLevel, draft: Draft) -> Words:
    if isinstance(condition, AtTier):
        tiers = [tier.name for tier in draft.header.tiers]
        if condition.tier not in tiers:
            yield (f"tier-{condition.comparison}",), unknown(condition.tier, tiers)
        return
    levels = {outcome.name: outcome.levels for outcome in draft.header.outcomes}
    if condition.outcome not in levels:
        yield ("level", "outcome"), unknown(condition.outcome, levels)
    elif condition.level not in levels[condition.outcome]:
        yield ("level", "at-least"), unknown(condition.level, levels[condition.outcome])


def _group(group: Group, draft: Draft) -> Words:
    if len(set(group.parts)) < len(group.parts):
        yield (), "expected each condition once"
    if group.word != "at-least":
        return
    yield from _parameter(group.parameter, "at least", ("at-least",), draft)
    parameter = draft.header.parameters.get(group.parameter)
    if parameter is not None and not _counts(parameter, len(group.parts)):
        yield (
            ("at-least", "parameter"),
            f"expected a whole number from 1 to {len(group.parts)} in {parameter.name}",
        )


def _counts(parameter: Parameter, parts: int) -> bool:
    value = parameter.value
    return not isinstance(value, bool) and value == int(value) and Decimal(1) <= value <= parts
