"""Values for extracted resources, from expressions and answers, as datatypes of R4.

Answers have few datatypes and resources have many, so a value is converted where nothing of it is lost or
made up: a Coding stands as CodeableConcept, as Coding or by its code, a number as Quantity in the unit of its
item, a dateTime as date by its day. What does not fit is named with its place, never left out in silence.

Source: SDC 4.0 extraction.html (definition-based, "type casting"; template-based); expressions.html; R4
datatypes.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from service.errors import Problem, ProblemList
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json, MutableJson
from service.fhir.response_context import portable_coding, portable_quantity, referred
from service.fhir.shapes import Element
from service.questionnaire.expressions import FHIRPATH, Evaluation
from service.questionnaire.fhirpath import Expression, NotEvaluated, Typed, parse_expression, typed
from service.questionnaire.fhirpath_syntax import NotParsed

MOST_MADE: Final = 20_000
"""Elements that are made of one response; a form that makes more of it is given up."""

_TEXTS: Final = ("string", "markdown", "code", "uri", "url", "canonical", "id", "oid", "uuid")
_OF_TEXT: Final = (*_TEXTS, "CodeableConcept", "Annotation", "Reference")
_QUANTITIES: Final = ("Quantity", "Age", "Count", "Distance", "Duration")
_TARGETS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "": (*_OF_TEXT, "date", "dateTime", "instant", "time"),
        **{name: (name, *_OF_TEXT) for name in _TEXTS},
        "integer": ("integer", "positiveInt", "unsignedInt", "decimal", "Quantity"),
        "decimal": ("decimal", "Quantity"),
        "date": ("date", "dateTime"),
        "dateTime": ("dateTime", "instant", "date"),
        "instant": ("instant", "dateTime", "date"),
        "Coding": ("Coding", "CodeableConcept", "code", "string"),
        "Quantity": _QUANTITIES,
    }
)
"""By the datatype of a value: those that it can stand in, the best first. Another stands in its own alone."""


class NotOfType(Exception):
    """A value can stand in none of the datatypes that an element has."""


def converted(
    value: Typed, elements: Mapping[str, Element], response: Json, unit: object = None
) -> tuple[str, Any]:
    """Returns the JSON name of an element, one of several where its datatype is a choice, and its value.

    Args:
        value: of an answer or an expression.
        elements: what the element may be, by JSON name.
        response: what a local reference leads into, which then stands for itself.
        unit: a Coding, which a number takes in a Quantity.

    Raises:
        NotOfType: it fits none of them.
    """
    by_type = {_type_of(element): name for name, element in elements.items()}
    wanted = _TARGETS.get(value.type, (value.type,))
    if isinstance(unit, Mapping) and value.type in ("integer", "decimal"):
        wanted = ("Quantity", *wanted)
    if not value.type and isinstance(value.value, Mapping):
        wanted = tuple(by_type)
    for name in wanted:
        if name in by_type:
            element = elements[by_type[name]]
            found = _as(name, value, response, unit)
            if found is not None and _fits(element, found):
                return by_type[name], found
    raise NotOfType


def _type_of(element: Element) -> str:
    return element.primitive or element.shape.partition("(")[0]


def _fits(element: Element, value: Any) -> bool:
    return type(value) in element.types and (element.accepts is None or bool(element.accepts(value)))


def _as(name: str, given: Typed, response: Json, unit: object) -> Any:
    """Returns a value as a datatype has it; None if it says nothing there."""
    value = given.value
    if isinstance(value, Mapping):
        return _complex(name, given.type, value, response)
    if not isinstance(value, str):
        return {"value": value, **unit_of(unit)} if name == "Quantity" else value
    if name in ("CodeableConcept", "Annotation"):
        return {"text": value}
    if name == "Reference":
        return {"reference": value}
    return value[: len("YYYY-MM-DD")] if name == "date" and given.type in ("dateTime", "instant") else value


def _complex(name: str, of: str, value: Json, response: Json) -> Any:
    if of == "Coding":
        coding = portable_coding(value)
        if name == "CodeableConcept":
            return {"coding": [coding]} if "code" in coding else {"text": coding.get("display")}
        return {"Coding": coding, "code": coding.get("code"), "string": coding.get("display")}[name]
    if of == "Quantity":
        return portable_quantity(value) or None
    if of == "Reference":
        return referred(value, response)
    return deepcopy(dict(value))


def expected_of(elements: Mapping[str, Element]) -> str:
    """Returns in words what an element holds."""
    found = list(elements.values())
    if len(found) > 1:
        return "a value of one of its datatypes"
    return found[0].expected if found[0].primitive else f"a value of the datatype {_type_of(found[0])}"


def unit_of(unit: object) -> MutableJson:
    """Returns the elements of a Quantity for a unit that the form states."""
    if not isinstance(unit, Mapping):
        return {}
    shown = text(unit.get("display")) or text(unit.get("code"))
    coded = {name: unit[name] for name in ("system", "code") if name in unit} if "system" in unit else {}
    return {**({"unit": shown} if shown else {}), **coded}


def typed_element(element: Json) -> Typed | None:
    """Returns the value[x] of an answer or an extension, with the datatype that its name tells."""
    name = next((key for key in element if key.startswith("value")), "")
    if not name:
        return None
    kind = name.removeprefix("value")
    is_complex = isinstance(element[name], Mapping)
    return Typed(kind if is_complex else kind[:1].lower() + kind[1:], element[name])


# What the form writes down: expressions, and what they say of an entry of the transaction.


_OF_ENTRY: Final = ("fullUrl", "resourceId", "ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist")


class EntryExpressions(NamedTuple):
    """By what name of an entry of the transaction which expression gives it; `path`: where they stand."""

    path: str
    expressions: Mapping[str, Expression]


def parsed(text_of: object, path: str, problems: list[Problem]) -> Expression | None:
    """Returns an expression of the form; None, and a problem, where it is none."""
    try:
        return parse_expression(text(text_of))
    except NotParsed as fault:
        problems.append(Problem("extract-form", f"Expected {fault}.", path))
        return None


def parsed_typed(value: object, path: str, problems: list[Problem]) -> Expression | None:
    """Reads an Expression; None, and a problem, if it is not FHIRPath."""
    stated = value if isinstance(value, Mapping) else {}
    if stated.get("language", FHIRPATH) != FHIRPATH:
        problems.append(Problem("extract-unsupported", f"Expected an expression in {FHIRPATH}.", path))
        return None
    return parsed(stated.get("expression"), path, problems)


def entry_expressions(extension: Json, path: str, problems: list[Problem]) -> EntryExpressions:
    """Reads the parts of an extension about the entry in which a resource is to stand."""
    found: dict[str, Expression] = {}
    for index, part in enumerate(mappings(extension.get("extension"))):
        name, here = text(part.get("url")), f"{path}.extension[{index}]"
        if name in found:
            problems.append(Problem("extract-form", f"Expected {name} at most once.", here))
        elif name in _OF_ENTRY:
            expression = parsed(part.get("valueString"), here, problems)
            found |= {} if expression is None else {name: expression}
    return EntryExpressions(path, found)


def parts(extension: Json, name: str) -> list[Json]:
    """Returns the parts of an extension that have this name."""
    return list(ext.extensions(extension, name))


# Evaluated at a place of the response.


class View(NamedTuple):
    """A place of the response, as expressions see it.

    Args:
        focus: what paths start from: the response, the node of an item, or a list of nodes.
        item: of the Questionnaire; None at its root.
        variables: nodes by name.
        at: FHIRPath in the response.
        key: linkIds and numbers that lead there; the same for the same place in another version.
    """

    focus: Any
    item: Json | None
    variables: Mapping[str, Any]
    at: str
    key: str


class Results(msgspec.Struct):
    """Evaluates what a form says is to be extracted, and notes what does not work.

    Args:
        response: valid, and complete.
        problems: what was found wrong, so far.
    """

    response: Json
    evaluation: Evaluation
    problems: ProblemList = msgspec.field(default_factory=ProblemList)
    _made: int = 0

    def report(self, kind: str, words: str, at: str) -> None:
        """Notes a problem."""
        self.problems.keep(Problem(kind, words, at))

    def nodes(self, expression: Expression, view: View, path: str) -> list[Any]:
        """Returns the nodes of an expression; none, and a problem, where it cannot be evaluated.

        Args:
            path: where it stands in the Questionnaire.
        """
        try:
            found = self.evaluation.nodes_at(expression, view.focus, view.variables, view.item)
        except NotEvaluated as fault:
            self.report("extract-expression", f"Expected an expression that can be evaluated: {fault}.", path)
            return []
        return found if self.has_room(len(found)) else []

    def values(self, expression: Expression, view: View, path: str) -> list[Typed]:
        """Returns the values of an expression as `nodes` does."""
        return [typed(node) for node in self.nodes(expression, view, path)]

    def has_room(self, more: int) -> bool:
        """Counts elements that are to be made, and says whether there may be so many."""
        before, self._made = self._made, self._made + more
        if self._made > MOST_MADE >= before:
            words = f"Expected a form that makes at most {MOST_MADE} elements of a response."
            self.report("too-costly", words, "Questionnaire")
        return self._made <= MOST_MADE

    def entry(self, expressions: EntryExpressions, view: View) -> MutableJson:
        """Evaluates the expressions for an entry: texts by name, without those that have no result."""
        found = {}
        for name, expression in expressions.expressions.items():
            values = [each.value for each in self.values(expression, view, expressions.path)]
            if len(values) > 1 or not all(isinstance(value, str) for value in values):
                self.report(
                    "extract-form",
                    f"{name}: expected an expression with one text as its result.",
                    expressions.path,
                )
            elif values:
                found[name] = values[0]
        return found


def conversions(
    values: Sequence[Typed], elements: Mapping[str, Element], results: Results, unit: object = None
) -> Iterator[tuple[str, Any] | None]:
    """Yields `converted` of each value; None if it does not fit."""
    for value in values:
        try:
            yield converted(value, elements, results.response, unit)
        except NotOfType:
            yield None
