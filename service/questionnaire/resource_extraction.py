"""Resources that a form asks for beside Observations: one walk over a response, in which they are made.

At each place that has an answer, ids are allocated first, then resources begin, then values are put in. A
question with several answers at which a resource begins makes one of each answer; a group, one of each
repetition.

Source: SDC 4.0 extraction.html (definition-based; allocated ids; scope of a resource); extractAllocateId.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from service.errors import Problem
from service.fhir import extensions as ext
from service.fhir.extensions import text
from service.fhir.json import Json
from service.questionnaire.compiled import CompiledQuestionnaire
from service.questionnaire.definition_extraction import (
    Built,
    DefinitionPlan,
    Open,
    PlannedDefinitions,
    begun,
    put_value,
    with_element,
)
from service.questionnaire.extracted_values import Results, View, typed_element
from service.questionnaire.fhirpath import Typed, item_node
from service.questionnaire.items import GROUP, Item
from service.questionnaire.pairing import Container, Occurrence

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TAKEN: Final = frozenset(
    {"resource", "rootResource", "questionnaire", "context", "qitem", "ucum", "sct", "loinc"}
)

Allocate = Callable[[str], str]
"""Returns the id that is allocated for a key; the same for the same key."""


class PlannedPlace(NamedTuple):
    """What is to be done at an item, or at the root."""

    allocated: tuple[str, ...] = ()
    definitions: PlannedDefinitions = PlannedDefinitions()

    @property
    def begins(self) -> bool:
        """Whether a resource begins here."""
        return bool(self.definitions.resources)


@dataclass(frozen=True, slots=True)
class ResourcePlan:
    """What a form asks for, by linkId and at its root (None); `problems`: why nothing can be made."""

    places: Mapping[str | None, PlannedPlace]
    problems: tuple[Problem, ...]

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        return not any(place.begins for place in self.places.values())


def resource_plan(compiled: CompiledQuestionnaire) -> ResourcePlan:
    """Returns what a form asks for beside Observations."""
    definitions = DefinitionPlan(compiled.resource)
    problems: list[Problem] = []
    at_root = PlannedPlace(
        tuple(_allocated(compiled.resource, "Questionnaire", problems)),
        definitions.of(None, compiled.resource, "Questionnaire"),
    )
    places: dict[str | None, PlannedPlace] = {None: at_root}
    for link, item in compiled.items.items():
        allocated = tuple(_allocated(item.source, item.path, problems))
        places[link] = PlannedPlace(allocated, definitions.of(item, item.source, item.path))
    return ResourcePlan(places, (*problems, *definitions.problems))


def _allocated(source: Json, path: str, problems: list[Problem]) -> Iterator[str]:
    for name in ext.values(source, ext.EXTRACT_ALLOCATE_ID):
        if _VARIABLE.fullmatch(text(name)) and name not in _TAKEN:
            yield name
        else:
            words = (
                "extractAllocateId: expected a name of letters, digits and _, which no other variable has."
            )
            problems.append(Problem("extract-form", words, path))


def made_resources(plan: ResourcePlan, results: Results, top: Container, allocate: Allocate) -> list[Built]:
    """Returns the resources that a response makes, in its order; `results.problems` says what is wrong."""
    making = _Making(plan, results, allocate)
    making.run(top)
    return making.built


class _Place(NamedTuple):
    """A part of the response that is worked on: an occurrence, or one answer of it.

    Args:
        answers: those of a question, each with its FHIRPath.
        containers: where the items inside stand, each with the key that leads there.
    """

    view: View
    answers: list[tuple[Json, str]]
    containers: list[tuple[Container, str]]


@dataclass(slots=True)
class _Making:
    """One walk over the occurrences of a response."""

    plan: ResourcePlan
    results: Results
    allocate: Allocate
    built: list[Built] = field(default_factory=list)

    def run(self, top: Container) -> None:
        planned = self.plan.places[None]
        view = View(self.results.response, None, {}, "QuestionnaireResponse", "")
        view = self._with_ids(planned, view)
        opened = self._begun(planned, view, {})
        self._put_values(planned, opened, view)
        self._walk(top, view, opened)

    def _walk(self, container: Container, view: View, opened: Mapping[str, Open]) -> None:
        for link, occurrences in container.by_link.items():
            for number, occurrence in enumerate(occurrences):
                if occurrence.in_use and occurrence.source is not None:
                    self._occurrence(occurrence, view._replace(key=f"{view.key}/{link}[{number}]"), opened)

    def _occurrence(self, occurrence: Occurrence, view: View, opened: Mapping[str, Open]) -> None:
        planned = self.plan.places[occurrence.item.link_id]
        for place in _places(occurrence, view, apart=planned.begins):
            inner = self._with_ids(planned, place.view)
            below = self._begun(planned, inner, opened)
            below = self._with_definition(planned, below, occurrence.item, place)
            self._put_values(planned, below, inner)
            for container, key in place.containers:
                self._walk(container, inner._replace(key=key), below)

    def _with_ids(self, planned: PlannedPlace, view: View) -> View:
        ids = {name: [self.allocate(f"{view.key}%{name}")] for name in planned.allocated}
        return view._replace(variables={**view.variables, **ids})

    def _begun(self, planned: PlannedPlace, view: View, opened: Mapping[str, Open]) -> dict[str, Open]:
        new = {each.canonical: begun(each, view) for each in planned.definitions.resources}
        self.built += [each.built for each in new.values()]
        return {**opened, **new}

    def _with_definition(
        self, planned: PlannedPlace, opened: dict[str, Open], item: Item, place: _Place
    ) -> dict[str, Open]:
        if planned.definitions.element is None:
            return opened
        canonical, element = planned.definitions.element
        values = None if item.type == GROUP else _values(place.answers)
        return {**opened, canonical: with_element(opened[canonical], element, values, self.results, item)}

    def _put_values(self, planned: PlannedPlace, opened: Mapping[str, Open], view: View) -> None:
        for value in planned.definitions.values:
            put_value(opened[value.canonical], value, self.results, view)


def _places(occurrence: Occurrence, view: View, *, apart: bool) -> Iterator[_Place]:
    """Yields the occurrence, or each of its answers apart where a resource begins at it."""
    source = dict(occurrence.source or {})
    inside = {container.path: container for container in occurrence.containers}
    here = view._replace(item=occurrence.item.source, at=occurrence.path)
    if occurrence.item.type == GROUP:
        focused = here._replace(focus=item_node(source))
        yield _Place(focused, [], [(container, here.key) for container in inside.values()])
        return
    given: list[Any] = source.get("answer", [])
    answers = [(answer, f"{here.at}.answer[{n}]") for n, answer in enumerate(given)]
    containers = [(inside[at], f"{here.key}/{n}") for n, (_, at) in enumerate(answers) if at in inside]
    if not apart:
        yield _Place(here._replace(focus=item_node(source)), answers, containers)
        return
    for n, (answer, at) in enumerate(answers):
        place = here._replace(focus=item_node({**source, "answer": [answer]}), at=at, key=f"{here.key}/{n}")
        yield _Place(place, [(answer, at)], [found for found in containers if found[0].path == at])


def _values(answers: list[tuple[Json, str]]) -> list[tuple[Typed, str]]:
    """Returns the answers that have a value, each with its FHIRPath."""
    found = ((typed_element(answer), at) for answer, at in answers)
    return [(value, at) for value, at in found if value is not None]
