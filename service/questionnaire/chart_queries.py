"""What a Questionnaire asks of a chart before anybody fills it in: launch contexts, queries, Observations.

Whoever fills it in for a person makes these searches, with rights of its own, and hands over what they found;
nothing is fetched here.

Source: SDC launchContext, observationLinkPeriod and variable (x-fhir-query); populate.html#obs-pop;
expressions.html#x-fhir-query-enhancements (`{{ }}`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import ceil
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from service.datatypes.answers import Coding, Quantity
from service.datatypes.days import day_before, day_of
from service.datatypes.ucum import converted
from service.fhir import extensions as ext
from service.fhir.extensions import text
from service.fhir.json import Json
from service.questionnaire.compiled import CompiledQuestionnaire
from service.questionnaire.items import Item
from service.questionnaire.values import answer_in

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


def observed_codes(compiled: CompiledQuestionnaire) -> tuple[Coding, ...]:
    """Returns the codes of the Observations that answer a Questionnaire, and of panels that hold them."""
    found: dict[Coding, None] = {}
    for link in linked_items(compiled):
        panel = panel_of(compiled, link)
        found.update(dict.fromkeys((*(panel[0].codes if panel else ()), *compiled.items[link].codes)))
    return tuple(found)


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


def chart_queries(compiled: CompiledQuestionnaire, authored: str) -> tuple[ChartQuery, ...]:
    """Returns the searches that find what a Questionnaire asks of a chart, launch contexts first.

    Args:
        compiled: the Questionnaire.
        authored: when the response is written: periods end there.
    """
    contexts = (_of_context(name) for name in launch_contexts(compiled.resource))
    variables = (
        ChartQuery(name, query)
        for name, query in query_variables(compiled.resource).items()
        if all(_PLAIN_PLACE.fullmatch(place) for place in _PLACE.findall(query))
    )
    return (*contexts, *variables, *_observation_queries(compiled, authored))


def _of_context(name: str) -> ChartQuery:
    if name == "user":
        return ChartQuery(name, "{{%user}}")
    return ChartQuery(name, f"{name[:1].upper()}{name[1:]}/{{{{%{name}.id}}}}")


def _observation_queries(compiled: CompiledQuestionnaire, authored: str) -> Iterator[ChartQuery]:
    by_period: dict[Fraction, dict[Coding, None]] = {}
    for link, days in linked_items(compiled).items():
        panel = panel_of(compiled, link)
        if panel is not None:
            by_period.setdefault(panel[1], {}).update(dict.fromkeys(panel[0].codes))
        by_period.setdefault(days, {}).update(dict.fromkeys(compiled.items[link].codes))
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
