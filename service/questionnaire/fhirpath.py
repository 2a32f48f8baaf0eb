"""FHIRPath expressions of a Questionnaire: parsed strictly, and once; evaluated without surprises.

The engine is the library fhirpathpy, with these corrections:

- Its grammar accepts broken text, so parsing is strict; see `fhirpath_syntax.py`.
- It lacks what R4 and SDC add (`hasValue()`, `memberOf()`, `resolve()`, `weight()` ...), and its `sum()`
  and kin fail on values that come from a resource.
- Its `today()` is the day of the check; here it is the moment at which the response was authored.
- It runs regular expressions without end; here each has a time limit.
- It walks the whole response for each `where(linkId = ...)`; here the items are found by an index.
- It reads the number of a quantity with a comparator as if it were the answer; here that is not at hand.
- It compares values as texts and lists by their first values; see `fhirpath_values.py`.

What cannot be known from the response is said by an error, `NotAtHand`, and never guessed. The library is
loaded on first use, and never run on the accept path.

Source: FHIRPath N1, http://hl7.org/fhirpath/N1 (section 5.6); http://hl7.org/fhir/R4/fhirpath.html
(additional functions and variables); SDC expressions page (weight, ordinal).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

import msgspec

from service.fhir.dates import is_date, is_instant
from service.fhir.extensions import mappings, text
from service.questionnaire.fhirpath_syntax import (
    NotParsed,
    Tree,
    function_name,
    functions_in,
    nodes_of,
    syntax_tree,
    variables_in,
)
from service.questionnaire.fhirpath_values import (
    Moment,
    NotComparable,
    functions_of_values,
    is_beside_value,
    unescaped,
    without_siblings,
)
from service.questionnaire.pattern import PatternTooSlow, matches, replace_matches

WeightOf = Callable[[Any], Decimal | None]
"""Takes the JSON value of an answer (or the answer) and returns its weight."""

MemberOf = Callable[[str, Any], bool | None]
"""Takes the url of a value set and a code, Coding or CodeableConcept; None if it is not known."""

_CONSTANTS: Mapping[str, str] = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_PREFIXES: Mapping[str, str] = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names of variables and functions that messages repeat."""


class NotEvaluated(Exception):
    """The expression cannot be evaluated on this response; the message says why, without any answer."""


class OutOfTime(NotEvaluated):
    """The evaluation was stopped because it took too long."""


class NotAtHand(NotEvaluated):
    """The expression reads what is not known here: a launch context, a value set, another resource."""


def _no_weight(_: Any) -> Decimal | None:
    return None


def _not_known(_: str, __: Any) -> bool | None:
    return None


class Surroundings(msgspec.Struct, frozen=True):
    """What an expression can read beside its focus and variables; one for all expressions of a response.

    Args:
        resource: the response; `resolve()` looks into what it contains.
        authored: when it was written, for `now()`, `today()` and `timeOfDay()`; empty if it does not say.
        remembered: results that many expressions share, such as `%resource.repeat(item)`.
    """

    resource: Mapping[str, Any] = msgspec.field(default_factory=dict)
    authored: str = ""
    weight_of: WeightOf = _no_weight
    member_of: MemberOf = _not_known
    remembered: dict[tuple[str, int], Remembered] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression. `variables`: names of the %variables that it reads."""

    text: str
    variables: frozenset[str]
    tree: Tree = field(repr=False, compare=False)

    def nodes(self, focus: Any, variables: Mapping[str, Any], surroundings: Surroundings) -> list[Any]:
        """Returns the resulting nodes as the engine has them, fit to be a variable of another expression.

        Args:
            focus: resource, or a node from `item_node`.
            variables: values by name, without the percent sign.

        Raises:
            NotEvaluated: the engine cannot evaluate it, what it reads is not at hand, or time is up.
            MemoryError: it needs more memory than there may be.
        """
        read = {name: _variable(name, variables) for name in self.variables}
        try:
            return _run(self.tree, focus, read, surroundings)
        except (NotEvaluated, MemoryError):
            raise
        except PatternTooSlow as fault:
            raise OutOfTime("a regular expression took too long") from fault
        except NotComparable as fault:
            raise NotAtHand(str(fault)) from fault
        except Exception as fault:
            raise NotEvaluated("the expression of the form failed on this response") from fault


def _variable(name: str, variables: Mapping[str, Any]) -> Any:
    """Returns the value of a variable: one that is declared, or a url that R4 gives a name."""
    if name in variables:
        return variables[name]
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    for prefix, base in _PREFIXES.items():
        if name.startswith(prefix):
            return base + name.removeprefix(prefix)
    named = f"%{name}" if _PLAIN_NAME.fullmatch(name) else "a variable that it reads"
    raise NotAtHand(f"{named} is not at hand")


def load_engine() -> None:
    """Loads the library now, where it would otherwise be loaded on first use."""
    parse_expression("true")
    _engine()


@lru_cache(maxsize=1024)
def parse_expression(text: str) -> Expression:
    """Parses an expression.

    Raises:
        NotParsed: it is empty, too long, nested too deep, not FHIRPath, or calls a function that does
            not exist.
    """
    tree = syntax_tree(text)
    unknown = sorted(functions_in(tree) - _known_functions())
    if unknown:
        named = f"{unknown[0]}()" if _PLAIN_NAME.fullmatch(unknown[0]) else "one of these"
        raise NotParsed(f"functions that FHIRPath has, and {named} is not one")
    return Expression(text, variables_in(tree), _planned(tree))


def item_node(item: Mapping[str, Any]) -> Any:
    """Returns a response item as a typed node, so that paths below it know their types."""
    return _engine().create_node(item, "QuestionnaireResponse.item")


def resource_node(resource: Mapping[str, Any]) -> Any:
    """Returns a resource as a typed node, so that it can be a variable whose paths know their types."""
    return _engine().create_node(resource)


def data_of(node: Any) -> Any:
    """Returns the JSON value of a resulting node, as FHIR writes it."""
    engine = _engine()
    value = engine.get_data(node)
    if isinstance(value, engine.quantity):
        unit = engine.quantity.timeUnitsToUCUM.get(value.unit, value.unit) or "'1'"
        return {"value": value.value, "system": _CONSTANTS["ucum"], "code": unit.strip("'")}
    if isinstance(value, engine.moment):
        return value.asStr
    return str(value) if isinstance(value, Moment) else value


class Typed(NamedTuple):
    """A value and the name of its R4 datatype; empty if unknown, as for a text that was put together."""

    type: str
    value: Any


def typed(node: Any) -> Typed:
    """Returns the JSON value of a resulting node with its datatype."""
    engine = _engine()
    value = data_of(node)
    path = getattr(node, "path", None)
    if isinstance(path, str) and path != "System.String":
        return Typed("" if "." in path else path, value)
    if isinstance(engine.get_data(node), engine.quantity):
        return Typed("Quantity", value)
    named = {bool: "boolean", int: "integer", Decimal: "decimal"}
    return Typed(named.get(type(value), ""), value)


class _Engine(NamedTuple):
    """The parts of the library that are used."""

    evaluate: Callable[[dict[str, Any], list[Any], Tree], Any]
    create_node: Callable[..., Any]
    get_data: Callable[[Any], Any]
    quantity: Any
    moment: Any
    model: Any
    functions: Mapping[str, Mapping[str, Any]]


@cache
def _engine() -> _Engine:
    from fhirpathpy import engine
    from fhirpathpy.engine import nodes, util
    from fhirpathpy.engine.evaluators import evaluators
    from fhirpathpy.engine.invocations import invocation_registry
    from fhirpathpy.models import models

    evaluators[_ITEMS] = _items_by_link_id
    evaluators[_PATH] = _remembered_path
    evaluators[_OPERAND] = _checked_operand
    evaluators[_INSIDE] = _checked_inside
    evaluators["StringLiteral"] = lambda _context, _inputs, node: [unescaped(node["text"])]
    evaluators["FunctionInvocation"] = partial(_with_its_own_focus, evaluators["FunctionInvocation"])
    library: Any = engine
    types: Any = nodes
    data: Any = util
    functions: Any = invocation_registry
    return _Engine(
        evaluate=library.do_eval,
        create_node=types.ResourceNode.create_node,
        get_data=data.get_data,
        quantity=types.FP_Quantity,
        moment=types.FP_TimeBase,
        model=models["r4"],
        functions=functions,
    )


def _run(tree: Tree, focus: Any, variables: dict[str, Any], surroundings: Surroundings) -> list[Any]:
    """Evaluates a tree; the context is that of the library's `apply_parsed_path`."""
    engine = _engine()
    root = focus if isinstance(focus, list) else [focus]
    context = {
        "dataRoot": root,
        "vars": {"context": focus, **variables},
        "$this": root,
        "model": engine.model,
        "userInvocationTable": _own_functions(surroundings),
        _SURROUNDINGS: surroundings,
    }
    found = engine.evaluate(context, root, tree["children"][0])
    return [node for node in found if not _is_bare_extension(engine.get_data(node))]


def _is_bare_extension(value: Any) -> bool:
    """Returns whether this is what the library makes of a primitive that has extensions and no value."""
    return isinstance(value, Mapping) and list(value) == ["extension"]


def _with_its_own_focus(
    invoke: Callable[..., list[Any]], context: dict[str, Any], inputs: list[Any], node: Tree
) -> list[Any]:
    """Calls a function, and puts `$this` back: the library leaves it at what a criterion looked at last."""
    before = context["$this"]
    found = invoke(context, inputs, node)
    context["$this"] = before
    return found


# Planning: the same tree, with an index where the library would walk the whole response.
#
# `P.where(linkId = 'a')` becomes one node that evaluates P once for each resource or item that it starts
# from, sorts the result by linkId, and takes what it needs; so do a chain of `or`, and a P that ends in
# `repeat(...)` or `descendants()` alone. P is closed: it reads nothing but what it starts from.

_ITEMS = "ItemsByLinkId"
_PATH = "RememberedPath"
_SURROUNDINGS = "surroundings"
_LAMBDAS = frozenset({"where", "select", "exists", "all", "repeat"})
_WALKS = frozenset({"repeat", "descendants"})


class Remembered(NamedTuple):
    """A result that is kept for all expressions of a response.

    Args:
        start: what it started from; held, so that its identity stays its own.
        positions: where each linkId stands among the nodes; None if they are not plain items.
    """

    start: Any
    nodes: list[Any]
    positions: Mapping[str, list[int]] | None


def _planned(tree: Tree) -> Tree:
    """Returns the tree prepared for evaluation."""
    children = tree.get("children")
    if children is None:
        return tree
    kind = tree.get("type")
    if kind == "PolarityExpression":
        return _signed(tree)
    if kind == "InvocationExpression":
        return _planned_chain(tree)
    planned = {**tree, "children": [_planned(child) for child in children]}
    if kind in _OF_VALUES:
        return {**planned, "children": [_operand(child) for child in planned["children"]]}
    return {"type": _INSIDE, "invocation": planned} if _reads_a_number(tree) else planned


def _signed(tree: Tree) -> Tree:
    """Returns `0 - x` for `-x`: the library changes the value itself, and so the variable it came from."""
    operand = _planned(tree["children"][0])
    if tree["terminalNodeText"][0] == "+":
        return operand
    zero = {"type": "NumberLiteral", "text": "0"}
    return {"type": "AdditiveExpression", "terminalNodeText": ["-"], "children": [zero, _operand(operand)]}


def _planned_chain(tree: Tree) -> Tree:
    left, last = tree["children"]
    links = _links_wanted(last)
    if links:
        start, path = _start_and_path(left)
        return _from(start, {**_step(_ITEMS, path, start), "links": links, "where": _planned(last)})
    if _is_walk(last) and _is_closed(last):
        start, path = _start_and_path(tree)
        return _from(start, _step(_PATH, path, start))
    return {**tree, "children": [_planned(left), _planned(last)]}


def _step(kind: str, path: list[Tree], start: Tree | None) -> Tree:
    """Returns a node of our own.

    It holds the path as written, for its key, and as planned. `keeps_list`: it starts from a variable,
    whose list is the same in every expression.
    """
    is_variable = start is not None and start["children"][0]["type"] == "ExternalConstantTerm"
    return {
        "type": kind,
        "key": f"{kind} {path}",
        "path": [_planned(invocation) for invocation in path],
        "keeps_list": is_variable,
    }


def _from(start: Tree | None, step: Tree) -> Tree:
    return step if start is None else {"type": "InvocationExpression", "children": [_planned(start), step]}


def _start_and_path(tree: Tree) -> tuple[Tree | None, list[Tree]]:
    """Returns what a chain starts from (None: the focus), and the closed invocations after it."""
    path: list[Tree] = []
    while tree["type"] == "InvocationExpression" and _is_closed(tree["children"][1]):
        path.append(tree["children"][1])
        tree = tree["children"][0]
    if tree["type"] == "TermExpression" and tree["children"][0]["type"] == "InvocationTerm":
        first = tree["children"][0]["children"][0]
        if first["type"] in ("MemberInvocation", "FunctionInvocation") and _is_closed(first):
            return None, [first, *reversed(path)]
    return tree, path[::-1]


def _is_walk(invocation: Tree) -> bool:
    return invocation["type"] == "FunctionInvocation" and function_name(invocation["children"][0]) in _WALKS


def _is_closed(invocation: Tree) -> bool:
    """Returns whether an invocation reads nothing but its input: no variable, no outer `$this`."""
    if invocation["type"] == "MemberInvocation":
        return not str(invocation["children"][0]["text"])[:1].isupper()
    if invocation["type"] != "FunctionInvocation":
        return False
    function, *parameters = invocation["children"][0]["children"]
    if parameters and str(function["text"]) not in _LAMBDAS:
        return False
    outer = ("ExternalConstant", "IndexInvocation", "TotalInvocation")
    return not any(node.get("type") in outer for parameter in parameters for node in nodes_of(parameter))


def _links_wanted(invocation: Tree) -> tuple[str, ...]:
    """Returns the linkIds of `where(linkId = 'a')` or `where(linkId = 'a' or linkId = 'b')`; else nothing."""
    if invocation["type"] != "FunctionInvocation":
        return ()
    name, *parameters = invocation["children"][0]["children"]
    if str(name["text"]) != "where" or len(parameters) != 1 or len(parameters[0]["children"]) != 1:
        return ()
    wanted: list[str] = []
    pending = [parameters[0]["children"][0]]
    while pending:
        node = pending.pop()
        if node["type"] == "OrExpression" and node["terminalNodeText"] == ["or"]:
            pending.extend(node["children"])
            continue
        link = _link_compared(node)
        if link is None:
            return ()
        wanted.append(link)
    return tuple(wanted)


def _link_compared(node: Tree) -> str | None:
    """Returns the linkId of `linkId = 'a'`, whichever side it stands on."""
    if node["type"] != "EqualityExpression" or node["terminalNodeText"] != ["="]:
        return None
    left, right = (str(child.get("text", "")) for child in node["children"])
    literal = {"linkId": right, "$this.linkId": right}.get(left, left if right == "linkId" else "")
    is_plain = len(literal) > 1 and literal[0] == literal[-1] == "'" and "\\" not in literal
    return literal[1:-1] if is_plain else None


def _items_by_link_id(context: dict[str, Any], inputs: list[Any], node: Tree) -> list[Any]:
    """Evaluates `P.where(linkId = ...)` of a planned tree."""
    found = _remembered(context, inputs, node)
    if found.positions is None:
        return list(_engine().evaluate(context, found.nodes, node["where"]))
    places = {place for link in node["links"] for place in found.positions.get(link, ())}
    return [found.nodes[place] for place in sorted(places)]


def _remembered_path(context: dict[str, Any], inputs: list[Any], node: Tree) -> list[Any]:
    """Evaluates a path that walks the whole resource, of a planned tree."""
    return list(_remembered(context, inputs, node).nodes)


def _remembered(context: dict[str, Any], inputs: list[Any], node: Tree) -> Remembered:
    """Returns the nodes of a path; they are kept where it starts from one object or from a variable."""
    start = _engine().get_data(inputs[0]) if len(inputs) == 1 else None
    if not isinstance(start, Mapping):
        if not node["keeps_list"]:
            return _evaluated(context, inputs, node, None)
        start = inputs
    remembered: dict[tuple[str, int], Remembered] = context[_SURROUNDINGS].remembered
    key = (node["key"], id(start))
    if key not in remembered:
        remembered[key] = _evaluated(context, inputs, node, start)
    return remembered[key]


def _evaluated(context: dict[str, Any], inputs: list[Any], node: Tree, start: Any) -> Remembered:
    nodes = list(inputs)
    for invocation in node["path"]:
        nodes = _engine().evaluate(context, nodes, invocation)
    return Remembered(start, nodes, _positions(nodes) if node["type"] == _ITEMS else None)


def _positions(nodes: Sequence[Any]) -> dict[str, list[int]] | None:
    found: dict[str, list[int]] = {}
    get_data = _engine().get_data
    for place, node in enumerate(nodes):
        value = get_data(node)
        if not isinstance(value, Mapping):
            continue
        link = value.get("linkId", "")
        if not isinstance(link, str) or "_linkId" in value:
            return None
        found.setdefault(link, []).append(place)
    return found


# A quantity with a comparator is a range: it has no number to compare, to calculate with or to take out.

_OPERAND = "OperandWithoutRange"
_INSIDE = "InvocationWithoutRange"
_OF_VALUES = frozenset(
    {
        "EqualityExpression",
        "InequalityExpression",
        "MembershipExpression",
        "AdditiveExpression",
        "MultiplicativeExpression",
    }
)


def _operand(planned: Tree) -> Tree:
    return {"type": _OPERAND, "children": [planned]}


def _reads_a_number(tree: Tree) -> bool:
    """Returns whether an invocation takes the number out of a quantity, if what it starts from is one."""
    if tree.get("type") == "FunctionInvocation":
        return function_name(tree["children"][0]) == "toQuantity"
    return tree.get("type") == "MemberInvocation" and str(tree["children"][0]["text"]).strip("`") == "value"


def _checked_operand(context: dict[str, Any], inputs: list[Any], node: Tree) -> list[Any]:
    """Evaluates an operand of a planned tree."""
    found = _engine().evaluate(context, inputs, node["children"][0])
    _refuse_ranges(found)
    plain = [value for value in found if not is_beside_value(_engine().get_data(value))]
    if found and not plain:
        raise NotAtHand("an answer that it reads has no value")
    return plain


def _checked_inside(context: dict[str, Any], inputs: list[Any], node: Tree) -> list[Any]:
    """Evaluates what takes the number out of a quantity, of a planned tree."""
    _refuse_ranges(inputs)
    return list(_engine().evaluate(context, inputs, node["invocation"]))


def _refuse_ranges(nodes: list[Any]) -> None:
    get_data = _engine().get_data
    for node in nodes:
        value = get_data(node)
        if isinstance(value, Mapping) and "comparator" in value and "value" in value:
            raise NotAtHand("an answer that it reads is a range")


# Functions that the library lacks, or has in a form that fails on answers.


class NotANumber(Exception):
    """A function that adds or compares numbers was given something else."""


class NotOne(Exception):
    """A function that takes one value was given several."""


_NOT_DONE = (
    "elementDefinition",
    "slice",
    "checkModifiers",
    "conformsTo",
    "subsumes",
    "subsumedBy",
    "htmlChecks",
)
"""Functions of R4 that need definitions which are not at hand, by name."""

_NO_ARGUMENT: Mapping[int, list[str]] = {0: []}


def _own_functions(surroundings: Surroundings) -> dict[str, dict[str, Any]]:
    """Returns the table of functions that the library takes beside its own, and before them."""
    weights = partial(_weights, surroundings.weight_of)
    authored = surroundings.authored
    plain: dict[str, tuple[Callable[..., Any], Mapping[int, list[str]]]] = {
        "weight": (weights, _NO_ARGUMENT),
        "ordinal": (weights, _NO_ARGUMENT),
        "sum": (lambda inputs: sum(_numbers(inputs)), _NO_ARGUMENT),
        "min": (lambda inputs: min(_numbers(inputs), default=[]), _NO_ARGUMENT),
        "max": (lambda inputs: max(_numbers(inputs), default=[]), _NO_ARGUMENT),
        "avg": (_average, _NO_ARGUMENT),
        "count": (len, _NO_ARGUMENT),
        "single": (_single, _NO_ARGUMENT),
        "matches": (_matches, {1: ["String"]}),
        "replaceMatches": (_replace_matches, {2: ["String", "String"]}),
        "now": (lambda _: Moment(_moment(authored, "time")), _NO_ARGUMENT),
        "today": (lambda _: Moment(_moment(authored, "day")[:10]), _NO_ARGUMENT),
        "timeOfDay": (lambda _: Moment(_time_of_day(authored)), _NO_ARGUMENT),
        "hasValue": (lambda inputs: len(_primitive(inputs)) == 1, _NO_ARGUMENT),
        "getValue": (_primitive, _NO_ARGUMENT),
        "memberOf": (partial(_member_of, surroundings.member_of), {1: ["String"]}),
        "resolve": (partial(_resolved, surroundings.resource), _NO_ARGUMENT),
        **{name: (partial(_not_done, name), {0: [], 1: ["Any"], 2: ["Any", "Any"]}) for name in _NOT_DONE},
    }
    own = {name: {"fn": _on_values(function), "arity": arity} for name, (function, arity) in plain.items()}
    return own | _functions_of_values()


def _on_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of the library's form that hands over JSON values instead of nodes."""
    get_data = _engine().get_data
    return lambda _, inputs, *arguments: function(
        without_siblings([get_data(node) for node in inputs]), *arguments
    )


@cache
def _functions_of_values() -> dict[str, dict[str, Any]]:
    return functions_of_values(_engine())


def _known_functions() -> frozenset[str]:
    """Returns the names of all functions that can be called."""
    return frozenset({*_engine().functions, *_own_functions(Surroundings())})


def _weights(weight_of: WeightOf, inputs: Sequence[Any]) -> list[Decimal]:
    return [weight for weight in map(weight_of, inputs) if weight is not None]


def _numbers(inputs: Sequence[Any]) -> list[Any]:
    if not all(isinstance(value, int | Decimal) and not isinstance(value, bool) for value in inputs):
        raise NotANumber
    return list(inputs)


def _average(inputs: Sequence[Any]) -> Any:
    return sum(_numbers(inputs)) / Decimal(len(inputs)) if inputs else []


def _matches(inputs: Sequence[Any], pattern: Any) -> list[bool]:
    return [matches(pattern, str(inputs[0]), whole=False)] if inputs and isinstance(pattern, str) else []


def _replace_matches(inputs: Sequence[Any], pattern: Any, by: Any) -> list[str]:
    if not inputs or not isinstance(pattern, str) or not isinstance(by, str):
        return []
    return [replace_matches(pattern, by, str(inputs[0]))]


def _single(inputs: Sequence[Any]) -> list[Any]:
    if len(inputs) > 1:
        raise NotOne
    return list(inputs)


# What R4 adds, and the moment of the response.


def _moment(authored: str, precision: str) -> str:
    """Returns when the response was authored, in its own zone.

    Raises:
        NotAtHand: it does not say, or not as precisely as it is asked for (`day` or `time`).
    """
    is_day = is_date(authored) and len(authored) == len("YYYY-MM-DD")
    if is_instant(authored) or (is_day and precision == "day"):
        return authored
    raise NotAtHand(f"the response has no authored with a {precision}")


def _time_of_day(authored: str) -> str:
    clock = _moment(authored, "time").partition("T")[2]
    return re.split(r"[Z+-]", clock)[0]


def _primitive(inputs: Sequence[Any]) -> list[Any]:
    """Returns the one primitive value of a collection; nothing if it only has extensions."""
    return list(inputs) if len(inputs) == 1 and not isinstance(inputs[0], Mapping | list) else []


def _member_of(member_of: MemberOf, inputs: Sequence[Any], url: Any) -> list[bool]:
    if len(inputs) != 1 or not isinstance(url, str):
        return []
    found = member_of(url, inputs[0])
    if found is None:
        raise NotAtHand("it is not known here whether a code is in a value set")
    return [found]


def _resolved(resource: Mapping[str, Any], inputs: Sequence[Any]) -> list[Any]:
    """Returns the resources that references lead to, as far as the response holds them.

    A reference to a resource of its own that is not contained has no target. One that leads elsewhere
    has a target which is not at hand.
    """
    found = []
    for value in inputs:
        reference = text(value.get("reference")) if isinstance(value, Mapping) else text(value)
        if reference == "#":
            found.append(resource)
        elif reference.startswith("#"):
            found.extend(
                contained
                for contained in mappings(resource.get("contained"))
                if contained.get("id") == reference[1:]
            )
        elif reference:
            raise NotAtHand("the resource that a reference leads to is not at hand")
    return [_engine().create_node(target) for target in found]


def _not_done(name: str, _: Sequence[Any], *__: Any) -> list[Any]:
    raise NotAtHand(f"what {name}() needs is not at hand")
