"""Extraction by definition or template: one walk over a response that makes the resources.

At each place that has an answer, ids are allocated first, then resources begin, then values are put in. A
question with several answers at which a resource begins makes one of each answer; a group, one of each
repetition.

The same walk finds what a form says of the entries of Observations, since allocated ids are seen there too.

Source: SDC 4.0 extraction.html (definition-based; template-based; cross-resource references);
extractAllocateId, observationExtractEntry; templateExtract, templateExtractBundle, templateExtractContext,
templateExtractValue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from service.errors import Problem
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json, MutableJson
from service.fhir.shapes import Element, resource_types, shape_named
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
    NotOfType,
    Results,
    View,
    converted,
    entry_expressions,
    expected_of,
    parsed,
    parsed_typed,
    parts,
    typed_element,
)
from service.questionnaire.fhirpath import Expression, Typed, item_node, typed
from service.questionnaire.items import GROUP, Item
from service.questionnaire.pairing import Container, Occurrence

# Templates: a resource that the form contains is filled in with what a response says.
#
# In a template an element says by templateExtractContext from where its expressions look, and by
# templateExtractValue what takes its place. Without a result it is left out; with several, one of it is made
# for each. A primitive and what stands beside it (`value`, `_value`) are one element. A template is read when
# the form is: what R4 does not have, and an expression that is none, are named whatever was answered.

VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_OWN: Final = frozenset({ext.TEMPLATE_EXTRACT_CONTEXT, ext.TEMPLATE_EXTRACT_VALUE})


class PlannedTemplate(NamedTuple):
    """A template, which type of resource it is, and where it stands.

    Args:
        name: its id in the form, with #.
        path: FHIRPath in the Questionnaire.
    """

    name: str
    type: str
    entry: EntryExpressions
    resource: Json
    path: str


# What a form says, read once.


class TemplatePlan:
    """Reads the templates that a form contains and uses; `problems` names what cannot be."""

    def __init__(self, resource: Json) -> None:
        self.problems: list[Problem] = []
        contained = list(mappings(resource.get("contained")))
        self._contained = {
            f"#{text(found.get('id'))}": (found, f"Questionnaire.contained[{index}]")
            for index, found in enumerate(contained)
        }
        self._read: set[str] = set()

    def of(self, source: Json, path: str) -> tuple[PlannedTemplate, ...]:
        """Returns the templates that an item, or the root, makes resources of."""
        found = []
        for index, extension in enumerate(mappings(source.get("extension"))):
            if extension.get("url") == ext.TEMPLATE_EXTRACT:
                here = f"{path}.extension[{index}]"
                references = [part.get("valueReference") for part in parts(extension, "template")]
                entry = entry_expressions(extension, here, self.problems)
                planned = self._template(references, here, entry)
                found += [] if planned is None else [planned]
        return tuple(found)

    def bundle(self, source: Json) -> PlannedTemplate | None:
        """Returns the Bundle that the root makes the whole transaction of."""
        references = [
            found.get("valueReference") for found in ext.extensions(source, ext.TEMPLATE_EXTRACT_BUNDLE)
        ]
        if not references:
            return None
        planned = self._template(references, "Questionnaire", EntryExpressions("Questionnaire", {}))
        if planned is None or (planned.type == "Bundle" and planned.resource.get("type") == "transaction"):
            return planned
        words = "templateExtractBundle: expected a Bundle of type transaction."
        self._report("extract-form", words, planned.path)
        return None

    def _report(self, kind: str, words: str, path: str) -> None:
        self.problems.append(Problem(kind, words, path))

    def _template(
        self, references: list[object], path: str, entry: EntryExpressions
    ) -> PlannedTemplate | None:
        stated = references[0] if len(references) == 1 else None
        name = text(stated.get("reference")) if isinstance(stated, Mapping) else ""
        if name not in self._contained:
            self._report("extract-form", "Expected one template that the Questionnaire contains.", path)
            return None
        resource, at = self._contained[name]
        kind = text(resource.get("resourceType"))
        if kind not in resource_types():
            self._report("extract-form", "Expected a template of a type of resource that R4 has.", at)
            return None
        if name not in self._read:
            self._read.add(name)
            if any(True for _ in ext.extensions(resource, ext.TEMPLATE_EXTRACT_VALUE)):
                self._report("extract-form", "Expected no templateExtractValue for a whole resource.", at)
            self._check(resource, kind, at)
        return PlannedTemplate(name, kind, entry, resource, at)

    def _check(self, node: Json, shape_name: str, path: str) -> None:
        """Reports elements that R4 does not have, and extensions that cannot be followed."""
        self._check_own(node, path)
        shape = shape_named(shape_name)
        for name, member in node.items():
            element = None if shape is None else shape.elements.get(name)
            if element is None:
                self._report("extract-form", "Expected only elements that R4 defines.", f"{path}.{name}")
                continue
            if isinstance(member, list) != element.many:
                words = "Expected an array." if element.many else "Expected no array."
                self._report("extract-form", words, f"{path}.{name}")
                continue
            for index, one in enumerate(member if element.many else [member]):
                here = f"{path}.{name}[{index}]" if element.many else f"{path}.{name}"
                if isinstance(one, Mapping) and element.shape:
                    self._check(one, _shape_of(one, element), here)
                elif element.shape and not (one is None and name.startswith("_")):
                    self._report("extract-form", "Expected an object.", here)

    def _check_own(self, node: Json, path: str) -> None:
        for url in _OWN:
            found = list(ext.extensions(node, url))
            if len(found) > 1:
                name = url.rpartition("-")[2]
                self._report("extract-form", f"{name}: expected at most once.", path)
            for extension in found:
                name = _expression_of(extension, path, self.problems)[1]
                if name and not VARIABLE.fullmatch(name):
                    words = "Expected a name of letters, digits and _ for the results of an expression."
                    self._report("extract-form", words, path)


def _expression_of(extension: Json, path: str, problems: list[Problem]) -> tuple[Expression | None, str]:
    """Returns the expression of an extension, and the name that its results have; empty for none."""
    stated = extension.get("valueExpression")
    if isinstance(stated, Mapping) and extension.get("url") == ext.TEMPLATE_EXTRACT_CONTEXT:
        return parsed_typed(stated, path, problems), text(stated.get("name"))
    return parsed(extension.get("valueString"), path, problems), ""


def _shape_of(node: Json, element: Element) -> str:
    return text(node.get("resourceType")) if element.shape == "Resource" else element.shape


# What a response makes of it.


def filled(planned: PlannedTemplate, results: Results, view: View) -> MutableJson | None:
    """Returns the resource that a template makes; None if its context is empty.

    What is wrong stands in the problems of `results`, with its place in the template.
    """
    filling = _Filling(results)
    views = filling.views(planned.resource, view, planned.path)
    found = [filling.members(planned.resource, planned.type, inner, planned.path) for inner in views]
    if len(found) > 1:
        results.report(
            "extract-form", "Expected a context with one result for a whole resource.", planned.path
        )
    return found[0] if found else None


class _Filling:
    """Fills in one template."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def views(self, node: Json, view: View, path: str) -> Iterator[View]:
        """Yields from where the expressions of an element look: once, or for each result of its context."""
        extension = next(ext.extensions(node, ext.TEMPLATE_EXTRACT_CONTEXT), None)
        if extension is None:
            yield view
            return
        expression, name = _expression_of(extension, path, [])
        if expression is not None:
            for found in self._results.nodes(expression, view, path):
                named = {name: [found]} if name else {}
                yield view._replace(focus=found, variables={**view.variables, **named})

    def members(self, node: Json, shape_name: str, view: View, path: str) -> MutableJson:
        """Returns an object with its members filled in; what is left out may leave an empty object."""
        shape = shape_named(shape_name)
        found: MutableJson = {key: node[key] for key in ("resourceType",) if key in node}
        names = dict.fromkeys(name.removeprefix("_") for name in node if name != "resourceType")
        for name in names:
            element = None if shape is None else shape.elements.get(name)
            if element is None:
                continue
            here = f"{path}.{name}"
            if element.shape:
                found |= self._complex(name, element, node[name], view, here)
            else:
                both = (node.get(name), node.get(f"_{name}"))
                found |= self._primitive(name, element, both, view, here)
        return found

    def _complex(self, name: str, element: Element, member: Any, view: View, path: str) -> MutableJson:
        if not isinstance(member, list):
            made = list(self._elements(name, element, member, view, path))
            self._check_one(made, element, path)
            return {name: made[0]} if made else {}
        listed: list[Any] = []
        for index, one in enumerate(member):
            if text(one.get("url")) not in _OWN:
                listed += self._elements(name, element, one, view, f"{path}[{index}]")
        return {name: listed} if listed else {}

    def _elements(self, name: str, element: Element, node: Json, view: View, path: str) -> Iterator[Any]:
        """Yields what one object of a template becomes: nothing, itself filled in, or several of it."""
        value = next(ext.extensions(node, ext.TEMPLATE_EXTRACT_VALUE), None)
        for inner in self.views(node, view, path):
            if value is not None:
                yield from self._values(value, name, element, inner, path)
            elif self._results.has_room(1):
                yield self.members(node, _shape_of(node, element), inner, path)

    def _values(self, extension: Json, name: str, element: Element, view: View, path: str) -> Iterator[Any]:
        expression, _ = _expression_of(extension, path, [])
        for node in [] if expression is None else self._results.nodes(expression, view, path):
            try:
                yield converted(typed(node), {name: element}, self._results.response)[1]
            except NotOfType:
                words = f"Expected an expression that gives {expected_of({name: element})}."
                self._results.report("extract-form", words, path)

    def _primitive(
        self, name: str, element: Element, both: tuple[Any, Any], view: View, path: str
    ) -> MutableJson:
        """Returns what a primitive becomes, with what stands beside it."""
        if not element.many:
            made = list(self._one_primitive(name, element, both, view, path))
            self._check_one(made, element, path)
            values, beside = made[:1], f"_{name}"
            stated = {} if not values or values[0][0] is None else {name: values[0][0]}
            return stated | ({beside: values[0][1]} if values and values[0][1] else {})
        listed: list[tuple[Any, Any]] = []
        first, second = ([] if each is None else each for each in both)
        for index in range(max(len(first), len(second))):
            pair = tuple(each[index] if index < len(each) else None for each in (first, second))
            listed += self._one_primitive(name, element, (pair[0], pair[1]), view, f"{path}[{index}]")
        found: MutableJson = {name: [value for value, _ in listed]} if listed else {}
        return found | ({f"_{name}": [one for _, one in listed]} if any(one for _, one in listed) else {})

    def _one_primitive(
        self, name: str, element: Element, both: tuple[Any, Any], view: View, path: str
    ) -> Iterator[tuple[Any, Any]]:
        static, beside = both
        if not isinstance(beside, Mapping):
            yield static, None
            return
        value = next(ext.extensions(beside, ext.TEMPLATE_EXTRACT_VALUE), None)
        kept = self.members(beside, "Element", view, path)
        for inner in self.views(beside, view, path):
            if value is None:
                yield static, kept or None
            else:
                yield from (
                    (found, kept or None) for found in self._values(value, name, element, inner, path)
                )

    def _check_one(self, made: list[Any], element: Element, path: str) -> None:
        if len(made) > 1 and not element.many:
            words = "Expected an expression with at most one result, since the element does not repeat."
            self._results.report("extract-form", words, path)


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


class ResourcePlan(msgspec.Struct, frozen=True):
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


class _Making(msgspec.Struct):
    """One walk over the occurrences of a response."""

    plan: ResourcePlan
    results: Results
    allocate: Allocate
    built: list[Built] = msgspec.field(default_factory=list)
    observations: dict[str, MutableJson] = msgspec.field(default_factory=dict)

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
