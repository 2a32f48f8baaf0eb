"""The dates and the addressees of steps and reasons: how they are written, and their faults."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from service.datatypes.form import Form
from service.datatypes.ucum import comparable
from service.guidance.conditions import Place
from service.guidance.faults import Fault, not_in_the_questionnaire, parameter_faults, unknown
from service.guidance.fields import ConditionField, Name, ParameterName, Shape, Word
from service.guidance.model import Parameter, Recheck, Redirect, Written
from service.guidance.options import DAY, units_of

# How they are written in guidance.yaml.


class RecheckShape(Shape):
    """When to look again."""

    makes = Recheck

    answer = Word(required=True)
    until = ParameterName(required=True)
    otherwise = ParameterName(required=True, data_key="else")


class RedirectShape(Shape):
    """A condition under which a step is for another addressee."""

    makes = Redirect

    name = Name(required=True, data_key="redirect")
    when = ConditionField(required=True)
    tier = Name(required=True)
    to = Name(required=True)


# What is wrong with them.


def step_faults(written: Written, form: Form) -> Iterator[Fault]:
    """Yields the faults of dates and addressees of steps and rules."""
    yield from _date_faults(written, form)
    yield from _overlays(written)
    yield from _addressees(written)
    yield from _reasons(written, form)


# Dates: every latest date is a whole number of days.
#
# That of a rule may be later than that of its step: who was not sure need not be seen sooner than a yes asks.


def _date_faults(written: Written, form: Form) -> Iterator[Fault]:
    """Yields the faults of latest dates and of the time to look again."""
    for tier in written.tiers:
        place = ("tiers", tier.code)
        yield from _within("guidance.yaml", (*place, "within"), tier.within, written)
        if tier.recheck is not None:
            yield from _recheck((*place, "recheck"), tier.recheck, written, form)
    for rule in written.rules:
        yield from _within("rules.yaml", (rule.name, "within"), rule.within, written)
    dated = [tier.code for tier in written.tiers if tier.within]
    for tier in written.tiers if dated else ():
        if tier.overlay and not tier.within:
            expected = f"is missing; expected a latest date: that of a reason for {dated[0]} would stand here"
            yield "guidance.yaml", ("tiers", tier.code, "within"), expected


def _within(file: str, place: Place, name: str, written: Written) -> Iterator[Fault]:
    if not name:
        return
    faults = [*parameter_faults(name, "at most", (), written)]
    yield from ((file, (*place, *keys), expected) for keys, expected in faults)
    if not faults and not _is_days(written.parameters[name]):
        yield file, (*place, "parameter"), f"expected a whole number of days (unit d) in {name}"


def _is_days(parameter: Parameter) -> bool:
    value = parameter.value
    return parameter.unit == DAY and not isinstance(value, bool) and value == int(value) >= 0


def _recheck(place: Place, recheck: Recheck, written: Written, form: Form) -> Iterator[Fault]:
    question = form.questions.get(recheck.answer)
    if question is None:
        yield "guidance.yaml", (*place, "answer"), not_in_the_questionnaire(recheck.answer)
    elif not any(comparable(DAY, answered) for answered in units_of(question)):
        yield "guidance.yaml", (*place, "answer"), "expected a question that is answered with a time"
    for key, name in (("until", recheck.until), ("else", recheck.otherwise)):
        yield from _within("guidance.yaml", (*place, key), name, written)


def _overlays(written: Written) -> Iterator[Fault]:
    for lower, higher in pairwise(written.tiers):
        if lower.overlay and not higher.overlay:
            expected = "expected only in the highest tiers; the one above is none"
            yield "guidance.yaml", ("tiers", lower.code, "overlay"), expected


# Addressees: whom a step or a rule is for is listed, and what a rule shows and stands beside exists.


def _addressees(written: Written) -> Iterator[Fault]:
    """Yields steps, redirects and rules for somebody who is not listed, and those whom nothing names."""
    tiers = [tier.code for tier in written.tiers]
    named: list[tuple[str, Place, str]] = []
    named += [("guidance.yaml", ("tiers", tier.code, "to"), tier.to) for tier in written.tiers]
    named += [
        ("guidance.yaml", ("redirects", redirect.name, "to"), redirect.to) for redirect in written.redirects
    ]
    named += [("rules.yaml", (rule.name, "to"), rule.to) for rule in written.rules]
    for file, place, name in named:
        if name and name not in written.addressees:
            yield file, place, unknown(name, written.addressees)
    for redirect in written.redirects:
        if redirect.tier not in tiers:
            yield "guidance.yaml", ("redirects", redirect.name, "tier"), unknown(redirect.tier, tiers)
    used = {name for _, _, name in named}
    for name in written.addressees:
        if name not in used:
            expected = "nothing is for them; expected a use, or to be left out"
            yield "guidance.yaml", ("addressees", name), expected


def _reasons(written: Written, form: Form) -> Iterator[Fault]:
    """Yields faults if the words of a rule show or stand beside something that does not exist."""
    reasons = {rule.name for rule in written.rules if rule.tier}
    scores = {score.name for score in written.scores}
    for rule in written.rules:
        for index, name in enumerate(rule.shows):
            if name not in form.questions and name not in scores and name not in written.derived:
                yield "rules.yaml", (rule.name, "shows", index), not_in_the_questionnaire(name)
        for index, name in enumerate(rule.beside):
            if name not in reasons - {rule.name}:
                expected = "expected the name of another rule that fires a tier"
                yield "rules.yaml", (rule.name, "beside", index), expected
