"""Observations that fill in questions: for each question the most recent one in its period that can be used.

How an Observation is read, `fhir/chart.py` says. Here is decided which ones are read at all, and which value
is filled in: one that stays (final, amended or corrected), about the subject itself, of a known date in the
period of the question. Where a newer value cannot be used, an older one is filled in only if it raises the
result: what it would deny may no longer be so.

Which searches find them is said here too, with launch contexts and the queries that a form names.

Source: SDC launchContext, observationLinkPeriod and variable (x-fhir-query);
expressions.html#x-fhir-query-enhancements (`{{ }}`); populate.html#obs-pop;
guidance/clinical-decisions.md, section 3, Chart values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from service.datatypes.answers import Answer, Coding, Days, Quantity, Unread
from service.datatypes.days import day_before, day_of, days_before, is_late
from service.datatypes.form import Form
from service.datatypes.ucum import Conversion, converted
from service.errors import has_errors
from service.fhir import extensions as ext
from service.fhir.chart import USABLE, VOID, ChartReader, ChartValues, chart_values, is_range, key_of, keys_of
from service.fhir.chart_doubts import NEWEST, effective, in_versions, taken
from service.fhir.dates import Span, is_date_time
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.fhir.parameters import AssessInput, ResourceAt
from service.fhir.references import is_another
from service.fhir.structure import check_structure
from service.languages import why_left_out
from service.questionnaire.compiled import CompiledQuestionnaire
from service.questionnaire.items import Item
from service.questionnaire.population import RANGE, Origin, Population, Reason, typed_answer
from service.questionnaire.values import ELEMENTS, answer_in

# What a form asks of a chart before anybody fills it in: launch contexts, queries, Observations.
#
# Whoever fills it in for a person makes these searches, with rights of its own, and hands over what it finds.

QUERY: Final = "application/x-fhir-query"
"""The language of a variable that is a search."""

_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PLAIN_PLACE = re.compile(r"\s*%(?P<context>[A-Za-z]+)\.id\s*")
_MOST_CODES: Final = 20
"""Codes in one search: some servers read no longer addresses."""


class ChartQuery(NamedTuple):
    """One search to be made in a chart.

    Args:
        context: name under which what it finds is handed over as `context`; empty for Observations, which are
            handed over as `data`.
        query: search or read, below the base of the server. `{{%patient.id}}` stands for the id of the launch
            context patient, percent-encoded; `{{%user}}` for the reference of who uses the app.
    """

    context: str
    query: str


def launch_contexts(resource: Json) -> dict[str, frozenset[str]]:
    """Returns the types of resource that each launch context of a Questionnaire may have, by its name."""
    found: dict[str, frozenset[str]] = {}
    for extension in ext.extensions(resource, ext.LAUNCH_CONTEXT):
        name = ext.value(extension, "name")
        stated = text(name.get("code")) if isinstance(name, Mapping) else text(name)
        if stated:
            found[stated] = frozenset(filter(None, map(text, ext.values(extension, "type"))))
    return found


def query_variables(resource: Json) -> dict[str, str]:
    """Returns the searches that a Questionnaire names as variables, by their names."""
    expressions: Iterator[Any] = ext.values(resource, ext.VARIABLE)
    return {
        text(found.get("name")): text(found.get("expression"))
        for found in expressions
        if isinstance(found, Mapping) and found.get("language") == QUERY and text(found.get("name"))
    }


def link_period_days(item: Item) -> Fraction | None:
    """Returns how many days back an Observation with the code of an item may answer it; None for never."""
    for extension in ext.extensions(item.source, ext.OBSERVATION_LINK_PERIOD):
        found = answer_in({"valueQuantity": extension.get("valueDuration")}, "value")
        if found is not None and isinstance(found[1], Quantity):
            days = converted(found[1].value, found[1].unit, "d")
            if days is not None and days >= 0:
                return days
    return None


def linked_items(compiled: CompiledQuestionnaire) -> dict[str, Fraction]:
    """Returns the items that Observations answer, each with the days of its period.

    Source:
        SDC populate.html#obs-pop: this mechanism can only be used for non-repeating items.
    """
    periods = {
        link: link_period_days(item)
        for link, item in compiled.items.items()
        if item.answerable and item.codes and not item.repeats
    }
    return {link: days for link, days in periods.items() if days is not None}


def observed_codes(compiled: CompiledQuestionnaire, reader: ChartReader | None) -> tuple[Coding, ...]:
    """Returns the codes of the Observations that are read for a Questionnaire.

    They answer it, are of panels that hold such, or measured the same otherwise, by the guidance.
    """
    found: dict[Coding, None] = {}
    for link in linked_items(compiled):
        panel = panel_of(compiled, link)
        found.update(dict.fromkeys((*(panel[0].codes if panel else ()), *_read_for(compiled, link, reader))))
    return tuple(found)


def _read_for(compiled: CompiledQuestionnaire, link: str, reader: ChartReader | None) -> tuple[Coding, ...]:
    return (*compiled.items[link].codes, *(() if reader is None else reader.other_codes(link)))


def panel_of(compiled: CompiledQuestionnaire, link: str) -> tuple[Item, Fraction] | None:
    """Returns the nearest item above a question that a panel answers, with the days of its period.

    Source:
        SDC populate.html#obs-pop: the code of a group may be that of a panel, or of components.
    """
    parent = compiled.items[link].parent
    while parent is not None:
        item = compiled.items[parent]
        days = link_period_days(item) if item.codes else None
        if days is not None:
            return item, days
        parent = item.parent
    return None


def chart_queries(
    compiled: CompiledQuestionnaire, authored: str, reader: ChartReader | None
) -> tuple[ChartQuery, ...]:
    """Returns the searches that find what a Questionnaire asks of a chart, launch contexts first.

    Args:
        compiled: the Questionnaire.
        authored: when the response is written: periods end there.
        reader: its guidance, if it has one.
    """
    contexts = (_of_context(name) for name in launch_contexts(compiled.resource))
    variables = (
        ChartQuery(name, query)
        for name, query in query_variables(compiled.resource).items()
        if all(_PLAIN_PLACE.fullmatch(place) for place in _PLACE.findall(query))
    )
    return (*contexts, *variables, *_observation_queries(compiled, authored, reader))


def _of_context(name: str) -> ChartQuery:
    if name == "user":
        return ChartQuery(name, "{{%user}}")
    return ChartQuery(name, f"{name[:1].upper()}{name[1:]}/{{{{%{name}.id}}}}")


def _observation_queries(
    compiled: CompiledQuestionnaire, authored: str, reader: ChartReader | None
) -> Iterator[ChartQuery]:
    by_period: dict[Fraction, dict[Coding, None]] = {}
    for link, days in linked_items(compiled).items():
        panel = panel_of(compiled, link)
        if panel is not None:
            by_period.setdefault(panel[1], {}).update(dict.fromkeys(panel[0].codes))
        by_period.setdefault(days, {}).update(dict.fromkeys(_read_for(compiled, link, reader)))
    for days, codes in by_period.items():
        listed, since = list(codes), _since(authored, days)
        for start in range(0, len(listed), _MOST_CODES):
            tokens = ",".join(_token(coding) for coding in listed[start : start + _MOST_CODES])
            query = f"Observation?patient={{{{%patient.id}}}}&code={tokens}{since}&_sort=-date"
            yield ChartQuery("", query)


def _since(authored: str, days: Fraction) -> str:
    """Returns the parameter for the first day of a period; empty if that is before all dates."""
    day = day_of(authored)
    if day is None or days >= day.toordinal():
        return ""
    return f"&date=ge{day_before(day.isoformat(), ceil(days))}"


def _token(coding: Coding) -> str:
    written = (re.sub(r"([\\,|$])", r"\\\1", part) for part in coding)
    return quote("|".join(written) if coding.system else coding.code, safe=":/")


_OF_DATE: Final = ("date", "dateTime")
_NEWER: Final = Reason("newer", "a newer value cannot be used, and an older one may no longer hold")
_SEVERAL: Final = Reason("several", "there are several values of one moment")
_NOT_R4: Final = Reason("unreadable", "it is no Observation of R4")
_FOCUS: Final = Reason("focus", "the value is about somebody or something else than its subject (focus)")
_VERSIONS: Final = Reason("versions", "there is another version of it beside it")
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

    def other_codes(self, link_id: str) -> tuple[Coding, ...]:
        """Returns the codes of values of the same that were measured otherwise than a question asks for."""
        return () if self._reader is None else self._reader.other_codes(link_id)

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


class _Sorted(msgspec.Struct):
    """The Observations by the period that they were found for, and those that are passed over, by linkId.

    Args:
        doubled: ids of which several versions are there.
    """

    usable: dict[Fraction, dict[str, ResourceAt]] = msgspec.field(default_factory=dict)
    passed_over: dict[str, list[_PassedOver]] = msgspec.field(default_factory=dict)
    doubled: frozenset[str] = frozenset()


def fill_from_chart(population: Population, data: Sequence[ResourceAt], reader: ChartReader | None) -> None:
    """Fills in the questions that have a period, and those that take the dates of their values.

    Args:
        population: its head says about whom and when.
        data: Observations about the subject; one that has no code that is asked for is not read.
        reader: the guidance of the form, if it has one.
    """
    periods = linked_items(population.form.compiled)
    found = _sorted(population, data, periods, reader)
    for days, usable in found.usable.items():
        links = [link for link in periods if periods[link] == days]
        values = _values(population, list(usable.values()), links, _Plain(reader))
        for link in links:
            said = _said(link, values, found.passed_over.get(link, ()))
            _fill(population, link, values, said, reader)


def _sorted(
    population: Population,
    data: Sequence[ResourceAt],
    periods: Mapping[str, Fraction],
    reader: ChartReader | None,
) -> _Sorted:
    asked: dict[Coding, list[str]] = {}
    for link in periods:
        for coding in _read_for(population.form.compiled, link, reader):
            for key in keys_of(coding):
                asked.setdefault(key, []).append(link)
    bound = {link: _bound(population, data, link) for link in periods}
    doubled = in_versions(observation.resource for observation in data)
    found = _Sorted({days: {} for days in periods.values()}, doubled=doubled)
    for observation in data:
        if text(observation.resource.get("status")) in VOID:
            continue
        links = dict.fromkeys(
            link for coding in _codes(observation.resource) for link in asked.get(key_of(coding), ())
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
        if reason is None and resource.get("id") in found.doubled:
            reason = _VERSIONS
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
    left_out = (Reason(value.left_out, why_left_out(value.left_out)) for value in printed if value.left_out)
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
