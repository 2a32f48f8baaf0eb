"""Extraction by definition or template: one walk over a response that makes the resources.

At each place that has an answer, ids are allocated first, then resources begin, then values are put in. A
question with several answers at which a resource begins makes one of each answer; a group, one of each
repetition.

The same walk finds what a form says of the entries of Observations, since allocated ids are seen there too.

Source: SDC 4.0 extraction.html (definition-based; template-based; cross-resource references);
extractAllocateId, observationExtractEntry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from service.errors import Problem
from service.fhir import extensions as ext
from service.fhir.extensions import text
from service.fhir.json import Json, MutableJson
from service.questionnaire.compiled import CompiledQuestionnaire
from service.questionnaire.definition_extraction import (
    Built,
    DefinitionPlan,
    Open,
    PlannedDefinitions,
    PlannedResource,
    begun,
    put_value,
    with_element,
)
from service.questionnaire.extracted_values import (
    EntryExpressions,
    Results,
    View,
    entry_expressions,
    typed_element,
)
from service.questionnaire.fhirpath import Typed, item_node
from service.questionnaire.items import GROUP, Item
from service.questionnaire.pairing import Container, Occurrence
from service.questionnaire.template_extraction import VARIABLE, PlannedTemplate, TemplatePlan, filled

_TAKEN: Final = frozenset(
    {"resource", "rootResource", "questionnaire", "context", "qitem", "ucum", "sct", "loinc"}
)

Allocate = Callable[[str], str]
"""Returns the id that is allocated for a key; the same for the same key."""


class PlannedPlace(NamedTuple):
    """What is to be done at an item, or at the root."""

    allocated: tuple[str, ...]
    definitions: PlannedDefinitions
    templates: tuple[PlannedTemplate, ...]
    observation: EntryExpressions | None

    @property
    def begins(self) -> bool:
        """Whether a resource begins here, so that several answers make several of it."""
        return bool(self.definitions.resources or self.templates or self.observation)


@dataclass(frozen=True, slots=True)
class ResourcePlan:
    """What a form asks for, by linkId and at its root (None); `problems`: why nothing can be made.

    Args:
        bundle: the template of a transaction, if it has one.
    """

    places: Mapping[str | None, PlannedPlace]
    bundle: PlannedTemplate | None
    problems: tuple[Problem, ...]

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        return self.bundle is None and not any(place.begins for place in self.places.values())


def resource_plan(compiled: CompiledQuestionnaire) -> ResourcePlan:
    """Reads from a form its definitions and templates, and its wishes for entries of Observations."""
    form = compiled.resource
    definitions, templates = DefinitionPlan(form), TemplatePlan(form)
    problems: list[Problem] = []
    places: dict[str | None, PlannedPlace] = {}
    for item in (None, *compiled.items.values()):
        source, path = (form, "Questionnaire") if item is None else (item.source, item.path)
        places[None if item is None else item.link_id] = PlannedPlace(
            tuple(_allocated(source, path, problems)),
            definitions.of(item, source, path),
            templates.of(source, path),
            _observation(source, path, problems),
        )
    bundle = templates.bundle(form)
    return ResourcePlan(places, bundle, (*problems, *definitions.problems, *templates.problems))


def _observation(source: Json, path: str, problems: list[Problem]) -> EntryExpressions | None:
    found = list(ext.extensions(source, ext.OBSERVATION_EXTRACT_ENTRY))
    if len(found) > 1:
        problems.append(Problem("extract-form", "observationExtractEntry: expected at most once.", path))
    return entry_expressions(found[0], path, problems) if found else None


def _allocated(source: Json, path: str, problems: list[Problem]) -> Iterator[str]:
    for name in ext.values(source, ext.EXTRACT_ALLOCATE_ID):
        if VARIABLE.fullmatch(text(name)) and name not in _TAKEN:
            yield name
        else:
            words = (
                "extractAllocateId: expected a name of letters, digits and _, which no other variable has."
            )
            problems.append(Problem("extract-form", words, path))


class Made(NamedTuple):
    """What a response makes.

    Args:
        resources: in the order of the response.
        bundle: of the template of a transaction; None if there is none.
        observations: what is said of the entry of an Observation, by the FHIRPath of its answer or group.
    """

    resources: list[Built]
    bundle: Json | None
    observations: Mapping[str, MutableJson]


def made_resources(plan: ResourcePlan, results: Results, top: Container, allocate: Allocate) -> Made:
    """Makes the resources of a response; `results.problems` says what is wrong.

    Args:
        plan: without problems.
        results: of the response. top: where its items stand.
    """
    making = _Making(plan, results, allocate)
    bundle = making.run(top)
    return Made(making.built, bundle, making.observations)


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
    observations: dict[str, MutableJson] = field(default_factory=dict)

    def run(self, top: Container) -> Json | None:
        planned = self.plan.places[None]
        view = View(self.results.response, None, {}, "QuestionnaireResponse", "")
        view = self._with_ids(planned, view)
        opened = self._begun(planned, view, {})
        self._put_values(planned, opened, view)
        self._walk(top, view, opened)
        return None if self.plan.bundle is None else filled(self.plan.bundle, self.results, view)

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
        for template in planned.templates:
            resource = filled(template, self.results, view)
            if resource is not None:
                of = PlannedResource(template.name, template.type, template.entry)
                self.built.append(Built(of, view, {key: resource[key] for key in resource if key != "id"}))
        if planned.observation is not None:
            self.observations[view.at] = self.results.entry(planned.observation, view)
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
