"""Definition-based extraction: a resource of R4 is put together of answers that name its elements.

A form says at its root or at an item that a resource begins there, and of items below, by `definition` or by
definitionExtractValue, which element their answers are. What lies between is made: an element that repeats is
made anew for each item that leads through it, unless an item around has made it already, by its own
definition.

An element stands under the types of R4 themselves. A profile would have to be read for what it fixes and
slices, and no profile is at hand, so a form that names one is refused.

Source: SDC 4.0 extraction.html, definition-based (table of parents and children); definitionExtract,
definitionExtractValue, itemExtractionContext (its code).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from service.errors import Problem
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json, MutableJson
from service.fhir.primitives import R4_DEFINITIONS
from service.fhir.shapes import Element, resource_types, shape_named
from service.questionnaire.extracted_values import (
    EntryExpressions,
    Results,
    View,
    conversions,
    entry_expressions,
    expected_of,
    parsed_typed,
    parts,
    typed_element,
)
from service.questionnaire.fhirpath import Expression, Typed
from service.questionnaire.items import GROUP, Item

_VERSIONS: Final = frozenset({"", "4.0.1", "4.0"})


class Step(NamedTuple):
    """One element of a path.

    Args:
        key: its JSON name, or its name with [x] where its datatype is still open.
        elements: what it may be, by JSON name.
        many: whether it repeats.
    """

    key: str
    elements: Mapping[str, Element]
    many: bool


class ElementPath(NamedTuple):
    """An element of a type of resource; no steps: the resource itself."""

    type: str
    steps: tuple[Step, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The steps by their keys."""
        return tuple(step.key for step in self.steps)

    @property
    def name(self) -> str:
        """How R4 writes it."""
        return ".".join((self.type, *self.keys))


class NoSuchElement(Exception):
    """R4 has no such element, or it is not at hand; the message says what was expected."""


def element_path(type_name: str, written: str) -> ElementPath:
    """Returns the element that an id of an ElementDefinition names.

    Args:
        type_name: of the resource.
        written: such as `Patient.name.given`, `Observation.value[x]:valueQuantity.value` or
            `Observation.valueQuantity.value`; parts of datatypes may follow.

    Raises:
        NoSuchElement: it names none of this type, or a slice, which only a profile has.
    """
    first, *names = written.split(".")
    if first != type_name:
        raise NoSuchElement(f"an element of {type_name}")
    path, shape = ElementPath(type_name, ()), type_name
    for index, name in enumerate(names):
        step = _step(path.name, shape, name)
        path = path._replace(steps=(*path.steps, step))
        if index < len(names) - 1:
            shape = _shape_below(path, step)
    return path


def _step(above: str, shape_name: str, name: str) -> Step:
    shape = shape_named(shape_name)
    elements = {} if shape is None else shape.elements
    bare, _, slice_name = name.partition(":")
    bare = bare.removesuffix("[x]")
    exact = slice_name or name
    if exact in elements and not exact.startswith("_") and exact != "resourceType":
        if slice_name and elements[exact].name != bare:
            raise NoSuchElement(f"an element that {above} has in R4")
        return Step(exact, {exact: elements[exact]}, elements[exact].many)
    if slice_name:
        raise NoSuchElement(
            f"an element of R4: a slice of {above} has its definition in a profile, not at hand"
        )
    found = {key: one for key, one in elements.items() if one.name == bare and key[:1] != "_"}
    if not found or bare in elements:
        raise NoSuchElement(f"an element that {above} has in R4")
    return Step(f"{bare}[x]", found, next(iter(found.values())).many)


def _shape_below(path: ElementPath, step: Step) -> str:
    """Returns the name of the shape that the next step is one of."""
    if len(step.elements) > 1:
        raise NoSuchElement(f"the datatype of {path.name}, as in {step.key}:{next(iter(step.elements))}")
    shape = next(iter(step.elements.values())).shape
    if not shape:
        raise NoSuchElement(f"nothing below {path.name}, which is primitive")
    if shape == "Resource":
        raise NoSuchElement(f"nothing below {path.name}: a resource of its own is extracted as one")
    return shape


# What a form says, read once.


class PlannedResource(NamedTuple):
    """A resource that begins at an item; `canonical` is by what the elements below name it."""

    canonical: str
    type: str
    entry: EntryExpressions


class PlannedValue(NamedTuple):
    """A value that no answer gives: fixed, or of an expression."""

    canonical: str
    element: ElementPath
    fixed: Typed | None
    expression: Expression | None
    path: str


class PlannedDefinitions(NamedTuple):
    """What stands at an item, or at the root."""

    resources: tuple[PlannedResource, ...] = ()
    element: tuple[str, ElementPath] | None = None
    values: tuple[PlannedValue, ...] = ()


class _Frames(msgspec.Struct):
    """The elements of one resource that are open at a place, outermost first, each by its keys.

    While a form is read, `made` says through which element that repeats which others were reached.
    """

    opened: tuple[tuple[tuple[str, ...], object], ...] = (((), None),)
    made: dict[tuple[int, tuple[str, ...]], tuple[str, ...]] = msgspec.field(default_factory=dict)


class DefinitionPlan:
    """Reads the definitions of a form, parents before children; `problems` names what cannot be.

    Args:
        resource: the Questionnaire.
    """

    def __init__(self, resource: Json) -> None:
        self.problems: list[Problem] = []
        self._canonicals = {text(found.get("valueCanonical")) for found in _extensions_below(resource)}
        self._scopes: dict[str | None, dict[str, _Frames]] = {}

    def of(self, item: Item | None, source: Json, path: str) -> PlannedDefinitions:
        """Returns the definitions at an item; None: at the root."""
        outer = {} if item is None else self._scopes[item.parent]
        resources = tuple(self._resources(source, path, outer))
        scopes = {**outer, **{each.canonical: _Frames() for each in resources}}
        element = None if item is None else self._element(item, source, scopes)
        if element is not None and element[1].steps:
            canonical, opened = element
            scopes[canonical] = self._opened(item, opened, scopes[canonical], f"{path}.definition")
        values = tuple(self._values(source, path, scopes))
        for each in values:
            self._opened(None, each.element, scopes[each.canonical], each.path)
        self._scopes[None if item is None else item.link_id] = scopes
        return PlannedDefinitions(resources, element, values)

    def _report(self, kind: str, words: str, path: str) -> None:
        self.problems.append(Problem(kind, words, path))

    def _resources(self, source: Json, path: str, outer: Mapping[str, object]) -> Iterator[PlannedResource]:
        begun = set(outer)
        for extension, at in _with_paths(source, path):
            canonical = self._canonical(extension, at)
            if not canonical:
                continue
            named, kind = self._type(canonical, at), text(extension.get("url"))
            if canonical in begun:
                self._report(
                    "extract-form", "Expected one resource of a definition at a time, here and below.", at
                )
            elif named:
                begun.add(canonical)
                problems = self.problems if kind == ext.DEFINITION_EXTRACT else []
                yield PlannedResource(canonical, named, entry_expressions(extension, at, problems))

    def _canonical(self, extension: Json, at: str) -> str:
        """Returns the canonical of the definition for which an extension begins a resource; empty if none."""
        url = extension.get("url")
        if url == ext.ITEM_EXTRACTION_CONTEXT:
            code = text(extension.get("valueCode"))
            if not code:
                words = "itemExtractionContext: expected the code of a type of resource, and no query."
                self._report("extract-unsupported", words, at)
            return code and R4_DEFINITIONS + code
        if url != ext.DEFINITION_EXTRACT:
            return ""
        found = [text(part.get("valueCanonical")) for part in parts(extension, "definition")]
        if len(found) != 1 or not found[0]:
            self._report("extract-form", "definitionExtract: expected definition, once, as a canonical.", at)
            return ""
        return found[0]

    def _type(self, canonical: str, at: str) -> str:
        """Returns the type of resource that a canonical of R4 names; empty, and a problem, for others."""
        url, _, version = canonical.partition("|")
        named = url.removeprefix(R4_DEFINITIONS)
        if named in resource_types() and url.startswith(R4_DEFINITIONS) and version in _VERSIONS:
            return named
        example = f"{R4_DEFINITIONS}Patient"
        words = f"Expected a type of resource of R4 (4.0.1), such as {example}: no profile is at hand."
        self._report("extract-unsupported", words, at)
        return ""

    def _element(
        self, item: Item, source: Json, scopes: Mapping[str, object]
    ) -> tuple[str, ElementPath] | None:
        canonical, mark, written = text(source.get("definition")).partition("#")
        path = f"{item.path}.definition"
        if canonical not in scopes:
            if mark and canonical in self._canonicals:
                self._report(
                    "extract-form",
                    f"{item.label}: expected to stand where a resource of its definition begins.",
                    path,
                )
            return None
        element = self._parsed(canonical, written, path)
        if element is not None and not element.steps and item.type != GROUP:
            self._report(
                "extract-form", f"{item.label}: expected an element of {element.type}, not the whole.", path
            )
            return None
        return None if element is None else (canonical, element)

    def _parsed(self, canonical: str, written: str, path: str) -> ElementPath | None:
        type_name = canonical.partition("|")[0].removeprefix(R4_DEFINITIONS)
        try:
            return element_path(type_name, written)
        except NoSuchElement as fault:
            self._report("extract-form", f"Expected {fault}.", path)
            return None

    def _values(self, source: Json, path: str, scopes: Mapping[str, object]) -> Iterator[PlannedValue]:
        for extension, at in _with_paths(source, path):
            if extension.get("url") != ext.DEFINITION_EXTRACT_VALUE:
                continue
            stated = [text(part.get("valueUri")) for part in parts(extension, "definition")]
            canonical, _, written = (stated[0] if len(stated) == 1 else "").partition("#")
            if canonical not in scopes:
                words = (
                    "definitionExtractValue: expected one definition of a resource that begins here or above."
                )
                self._report("extract-form", words, at)
                continue
            element = self._parsed(canonical, written, at)
            if element is not None and element.steps:
                yield from self._value(extension, canonical, element, at)
            elif element is not None:
                self._report("extract-form", f"Expected an element of {element.type}, not the whole.", at)

    def _value(
        self, extension: Json, canonical: str, element: ElementPath, at: str
    ) -> Iterator[PlannedValue]:
        fixed, stated = parts(extension, "fixed-value"), parts(extension, "expression")
        value = typed_element(fixed[0]) if fixed else None
        if len(fixed) + len(stated) != 1 or (fixed and value is None):
            self._report(
                "extract-form",
                "definitionExtractValue: expected a fixed-value or an expression, one of them.",
                at,
            )
        elif value is not None:
            yield PlannedValue(canonical, element, value, None, at)
        else:
            expression = parsed_typed(stated[0].get("valueExpression"), at, self.problems)
            if expression is not None:
                yield PlannedValue(canonical, element, None, expression, at)

    def _opened(self, item: Item | None, element: ElementPath, frames: _Frames, path: str) -> _Frames:
        """Returns the frames below an element, and reports where nothing tells what it belongs to.

        Two elements below one that repeats, such as the system and the value of an identifier, need an item
        whose definition holds them together; else each would stand in one of its own.
        """
        keys, is_group = element.keys, item is not None and item.type == GROUP
        start = max((open_ for open_ in frames.opened if keys[: len(open_[0])] == open_[0]), key=_depth)
        opened = list(frames.opened)
        for index in range(len(start[0]), len(keys) - (not is_group)):
            through, rest = keys[: index + 1], keys[index + 1 :]
            if element.steps[index].many and not is_group:
                before = frames.made.setdefault((id(start[1]), through), rest)
                if before != rest:
                    whole = ".".join((element.type, *through))
                    words = (
                        f"Expected a group with the definition of {whole} around what belongs to one of them."
                    )
                    self._report("extract-form", words, path)
            opened.append((through, object()))
        return _Frames(tuple(opened), frames.made)


def _depth(opened: tuple[tuple[str, ...], object]) -> int:
    return len(opened[0])


def _with_paths(source: Json, path: str) -> Iterator[tuple[Json, str]]:
    for index, extension in enumerate(mappings(source.get("extension"))):
        yield extension, f"{path}.extension[{index}]"


def _extensions_below(element: Json) -> Iterator[Json]:
    """Yields the part `definition` of every definitionExtract of a form."""
    for extension in ext.extensions(element, ext.DEFINITION_EXTRACT):
        yield from parts(extension, "definition")
    for inner in mappings(element.get("item")):
        yield from _extensions_below(inner)


# What a response makes of it.


class Built(msgspec.Struct, eq=False):
    """A resource that is made.

    Args:
        planned: how it is to stand in the transaction.
        view: the place of the response where it begins.
        resource: as far as it is made.
    """

    planned: PlannedResource
    view: View
    resource: MutableJson


class Open(NamedTuple):
    """A resource, and those of its elements that are open at a place, outermost first."""

    built: Built
    frames: tuple[tuple[tuple[str, ...], MutableJson], ...]


def begun(planned: PlannedResource, view: View) -> Open:
    """Returns a resource that begins at a place."""
    resource: MutableJson = {"resourceType": planned.type}
    return Open(Built(planned, view, resource), (((), resource),))


def with_element(
    opened: Open, element: ElementPath, values: list[tuple[Typed, str]] | None, results: Results, item: Item
) -> Open:
    """Puts the answers of an item into its element, and returns what is open below the item.

    Args:
        values: the answers, each with its FHIRPath; None for a group, whose element is made empty.
    """
    if not element.steps or values == []:
        return opened
    last = len(element.steps) - (values is not None)
    frames, node = _walked(opened.frames, element, last)
    if values is not None:
        places = [at for _, at in values]
        unit = ext.value(item.source, ext.UNIT)
        _put(node, element, ([value for value, _ in values], places, unit), results)
    return opened._replace(frames=frames)


def put_value(opened: Open, planned: PlannedValue, results: Results, view: View) -> None:
    """Puts a fixed value, or what an expression gives, into its element."""
    if planned.expression is None:
        values = [] if planned.fixed is None else [planned.fixed]
    else:
        values = results.values(planned.expression, view, planned.path)
    if values:
        _, node = _walked(opened.frames, planned.element, len(planned.element.steps) - 1)
        _put(node, planned.element, (values, [planned.path] * len(values), None), results)


def _walked(
    frames: tuple[tuple[tuple[str, ...], MutableJson], ...], element: ElementPath, last: int
) -> tuple[tuple[tuple[tuple[str, ...], MutableJson], ...], MutableJson]:
    """Makes what lies between the innermost open element and the step before `last`, and opens it."""
    keys = element.keys
    start = max((one for one in frames if len(one[0]) <= last and keys[: len(one[0])] == one[0]), key=_depth)
    found, node = list(frames), start[1]
    for index in range(len(start[0]), last):
        step = element.steps[index]
        inner: MutableJson = {}
        if step.many:
            node.setdefault(step.key, []).append(inner)
        else:
            inner = node.setdefault(step.key, inner)
        found.append((keys[: index + 1], inner))
        node = inner
    return tuple(found), node


def _put(
    node: MutableJson, element: ElementPath, given: tuple[list[Typed], list[str], Any], results: Results
) -> None:
    values, places, unit = given
    step = element.steps[-1]
    if len(values) > 1 and not step.many:
        results.report(
            "extract-form",
            f"Expected one value at most for {element.name}, which does not repeat.",
            places[1],
        )
        return
    if not results.has_room(len(values)):
        return
    for found, at in zip(conversions(values, step.elements, results, unit), places, strict=True):
        if found is None:
            results.report("extract-form", f"{element.name}: expected {expected_of(step.elements)}.", at)
        elif step.many:
            node.setdefault(found[0], []).append(found[1])
        elif node.setdefault(found[0], found[1]) != found[1]:
            results.report(
                "extract-form",
                f"Expected one value at most for {element.name}: there is another already.",
                at,
            )
