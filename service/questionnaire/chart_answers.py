"""Observations that fill in questions: for each question the most recent one in its period that can be used.

How an Observation is read, `fhir/chart.py` says. Here is decided which ones are read at all, and which value
is filled in: one that stays (final, amended or corrected), about the subject itself, of a known date in the
period of the question. Where a newer value cannot be used, an older one is filled in only if it raises the
result: what it would deny may no longer be so.

Source: SDC populate.html#obs-pop (most recent, status, focus, units, components, hasMember);
guidance/clinical-decisions.md, section 3, Chart values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple

from service.datatypes.answers import Answer, Coding, Days, Unread
from service.datatypes.days import day_of, days_before, is_late
from service.datatypes.form import Form
from service.datatypes.ucum import Conversion
from service.errors import has_errors
from service.fhir.chart import (
    LEFT_OUT,
    USABLE,
    VOID,
    ChartReader,
    ChartValues,
    chart_values,
    is_range,
)
from service.fhir.chart_doubts import NEWEST, effective, taken
from service.fhir.dates import Span, is_date_time
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.fhir.parameters import AssessInput, ResourceAt
from service.fhir.references import is_another
from service.fhir.structure import check_structure
from service.questionnaire.chart_queries import linked_items, panel_of
from service.questionnaire.population import RANGE, Origin, Population, Reason, typed_answer
from service.questionnaire.values import ELEMENTS

_OF_DATE: Final = ("date", "dateTime")
_NEWER: Final = Reason("newer", "a newer value cannot be used, and an older one may no longer hold")
_SEVERAL: Final = Reason("several", "there are several values of one moment")
_NOT_R4: Final = Reason("unreadable", "it is no Observation of R4")
_FOCUS: Final = Reason("focus", "the value is about somebody or something else than its subject (focus)")
_NO_DATE: Final = Reason("undated", "the value has no date")
_FUTURE: Final = Reason("future", "the date of the value is in the future")
_TOO_OLD: Final = Reason("too-old", "the value is older than the period of the question")
_MAY_BE_OLD: Final = Reason("may-be-old", "the value may be older than the period of the question")
_NOT_FINAL: Final = Reason("not-final", "the status of the value is not final, amended or corrected")


class _Plain:
    """Reads a chart so that the newest value counts, whatever it says; units as the guidance has them."""

    def __init__(self, reader: ChartReader | None) -> None:
        self._reader = reader

    def chart_date(self, link_id: str) -> str:
        """Returns the linkId of the question that takes the date of a value, or nothing."""
        return "" if self._reader is None else self._reader.chart_date(link_id)

    def conversions(self, link_id: str) -> tuple[Conversion, ...]:
        """Returns the conversions between units for what a question asks for."""
        return () if self._reader is None else self._reader.conversions(link_id)

    def reads(self, link_id: str) -> bool:
        """Whether anything is asked of a question."""
        return self._reader is not None and self._reader.reads(link_id)

    def decides(self, link_id: str, answer: Answer) -> bool:
        """Whether an answer can stand for the newest value: it is no range."""
        return not is_range(answer)

    def raises(self, link_id: str, answer: Answer) -> bool:
        """Whether an answer that is no range raises the result: it may be newer than its date says."""
        reader = self._reader
        return reader is not None and self.decides(link_id, answer) and reader.raises(link_id, answer)


class _PassedOver(NamedTuple):
    """An Observation that is not read for a question.

    Args:
        taken: when it was measured; None where it says nothing about the subject.
    """

    reason: Reason
    taken: Span | None

    def leaves_doubt(self, counting: Iterable[Span]) -> bool:
        """Whether it may be newer than a value that counts, and say something else."""
        seen = self.taken
        return seen is not None and any(seen.when > one.when or seen.may_be_after(one) for one in counting)


@dataclass(slots=True)
class _Sorted:
    """The Observations by the period that they were found for, and those that are passed over, by linkId."""

    usable: dict[Fraction, dict[str, ResourceAt]] = field(default_factory=dict)
    passed_over: dict[str, list[_PassedOver]] = field(default_factory=dict)


def fill_from_chart(population: Population, data: Sequence[ResourceAt], reader: ChartReader | None) -> None:
    """Fills in the questions that have a period, and those that take the dates of their values.

    Args:
        population: its head says about whom and when.
        data: Observations about the subject; one that has no code that is asked for is not read.
        reader: the guidance of the form, if it has one.
    """
    periods = linked_items(population.form.compiled)
    found = _sorted(population, data, periods)
    for days, usable in found.usable.items():
        links = [link for link in periods if periods[link] == days]
        values = _values(population, list(usable.values()), links, _Plain(reader))
        for link in links:
            said = _said(link, values, found.passed_over.get(link, ()))
            _fill(population, link, values, said, reader)


def _sorted(population: Population, data: Sequence[ResourceAt], periods: Mapping[str, Fraction]) -> _Sorted:
    asked: dict[Coding, list[str]] = {}
    for link in periods:
        for coding in population.form.compiled.items[link].codes:
            asked.setdefault(coding, []).append(link)
    bound = {link: _bound(population, data, link) for link in periods}
    found = _Sorted(usable={days: {} for days in periods.values()})
    for observation in data:
        if text(observation.resource.get("status")) in VOID:
            continue
        links = dict.fromkeys(
            link for coding in _codes(observation.resource) for link in asked.get(coding, ())
        )
        here = {link: periods[link] for link in links if observation.at in (bound[link] or {observation.at})}
        if here:
            _sort(population, observation, here, found)
    return found


def _codes(observation: Json) -> list[Coding]:
    """Returns the codes of an Observation and of its components, whatever shape it is in."""
    holders = (observation, *mappings(observation.get("component")))
    return [coding for holder in holders for coding in _own_codes(holder)]


def _own_codes(holder: Json) -> list[Coding]:
    concepts = mappings([holder.get("code")])
    codings = (coding for concept in concepts for coding in mappings(concept.get("coding")))
    return [Coding(text(coding.get("system")), text(coding.get("code"))) for coding in codings]


# Panels: where an item above a question has an Observation, only that and its members answer the question.


def _bound(population: Population, data: Sequence[ResourceAt], link: str) -> frozenset[str]:
    """Returns where the Observations stand that may answer a question; none for any."""
    found = panel_of(population.form.compiled, link)
    if found is None:
        return frozenset()
    item, days = found
    authored = str(population.head["authored"])
    panels = [
        observation
        for observation in data
        if not set(item.codes).isdisjoint(_own_codes(observation.resource))
        and _is_sound(observation.resource)
        and not _why_not(observation.resource, effective(observation.resource), days, authored)
    ]
    if not panels:
        return frozenset()
    newest = max(panels, key=lambda panel: taken(panel.resource, effective(panel.resource)).when)
    members = [observation.at for observation in data if _is_member(observation.resource, newest.resource)]
    return frozenset((newest.at, *members))


def _is_member(observation: Json, panel: Json) -> bool:
    name = {"reference": f"Observation/{observation.get('id', '')}"}
    return any(not is_another(name, member) for member in mappings(panel.get("hasMember")))


def _is_sound(observation: Json) -> bool:
    return not has_errors(check_structure(observation, "Observation", ""))


def _sort(
    population: Population, observation: ResourceAt, periods: Mapping[str, Fraction], found: _Sorted
) -> None:
    resource = observation.resource
    authored = str(population.head["authored"])
    is_sound = _is_sound(resource)
    date = effective(resource) if is_sound else ""
    for link, days in periods.items():
        reason = _why_not(resource, date, days, authored) if is_sound else _NOT_R4
        if reason is None:
            found.usable[days][observation.at] = observation
            continue
        when = taken(resource, date) if is_sound else NEWEST
        passed_over = _PassedOver(reason, None if reason is _FOCUS else when)
        found.passed_over.setdefault(link, []).append(passed_over)


def _why_not(observation: Json, date: str, days: Fraction, authored: str) -> Reason | None:
    """Returns why an Observation of R4 is not read for a question with this period; else None."""
    if "focus" in observation:
        return _FOCUS
    if not is_date_time(date):
        return _NO_DATE
    if is_late(date, authored):
        return _FUTURE
    of_old = _why_too_old(observation, days_before(date, day_of(authored)), days)
    if of_old is None and observation["status"] not in USABLE:
        return _NOT_FINAL
    return of_old


def _why_too_old(observation: Json, age: Days, days: Fraction) -> Reason | None:
    goes_on = "end" not in observation.get("effectivePeriod", {"end": None})
    if age.low is not None and age.low > days and not goes_on:
        return _TOO_OLD
    return _MAY_BE_OLD if age.high is None or age.high > days else None


def _values(
    population: Population, observations: Sequence[ResourceAt], links: Iterable[str], reader: ChartReader
) -> ChartValues:
    form = population.form.compiled.form
    dated = [link for link in map(reader.chart_date, links) if link]
    asked = Form(form.canonical, {link: form.questions[link] for link in (*links, *dated)})
    return chart_values(AssessInput(population.head, "", tuple(observations)), asked, reader)


class _Said(NamedTuple):
    """What a chart says to one question.

    Args:
        plain: values that are no range, each once.
        date: of the newest that counts; empty if there is none.
        has_doubts: something newer cannot be used.
        reasons: why values were left out.
    """

    plain: tuple[Answer, ...]
    date: str
    has_doubts: bool
    reasons: tuple[Reason, ...]


def _said(link: str, values: ChartValues, passed_over: Sequence[_PassedOver]) -> _Said:
    printed = [value for value in values.printed if value.link_id == link]
    answers = values.answers.get(link, ())
    plain = tuple(answer for answer in answers if not isinstance(answer, Unread) and not is_range(answer))
    date = next((value.date for value in printed if not value.left_out), "")
    counting = values.taken.get(link, ())
    is_passed = any(found.leaves_doubt(counting) for found in passed_over)
    left_out = (Reason(value.left_out, LEFT_OUT[value.left_out]) for value in printed if value.left_out)
    ranges = (RANGE for answer in answers if is_range(answer))
    reasons = dict.fromkeys((*left_out, *ranges, *(found.reason for found in passed_over)))
    return _Said(plain, date, is_passed or 0 < len(plain) < len(answers), tuple(reasons))


def _fill(
    population: Population, link: str, values: ChartValues, said: _Said, reader: ChartReader | None
) -> None:
    """Fills in a question with the one value that a chart has for it, or says why there is none.

    One that raises the result is filled in although a newer one cannot be used, and that is said too: the
    newer one may raise it further.
    """
    reasons = said.reasons
    if len(said.plain) == 1:
        raises = reader is not None and reader.raises(link, said.plain[0])
        if raises or not said.has_doubts:
            _fill_value(population, link, values, said, reader)
        if not said.has_doubts:
            return
        reasons = (_NEWER, *reasons)
    elif said.plain:
        reasons = (_SEVERAL, *reasons)
    for reason in reasons:
        population.leave_out(link, reason)


def _fill_value(
    population: Population, link: str, values: ChartValues, said: _Said, reader: ChartReader | None
) -> None:
    """Fills in a value, and its date where there is a question for it."""
    plain = _Plain(reader)
    item = population.form.compiled.items[link]
    origin = Origin(values.sources[link][:1], said.date)
    population.fill(link, [typed_answer(item, said.plain[0], plain.conversions(link))], origin)
    dated = population.form.compiled.items.get(plain.chart_date(link))
    if dated is not None and dated.type in _OF_DATE:
        date = said.date[: len("2026-11-28")] if dated.type == "date" else said.date
        population.fill(dated.link_id, [(ELEMENTS[dated.type][0], date)], origin)
