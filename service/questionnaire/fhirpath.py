"""FHIRPath expressions of a Questionnaire: parsed strictly, and once; evaluated without surprises.

The engine is the library fhirpathpy, with three corrections. Its grammar accepts broken text, so parsing
is strict here. It lacks `weight()` and its older name `ordinal()`, which come from SDC, and its `sum()`
and kin fail on values that come from a resource. It runs regular expressions without end; here each has
a time limit. The library is loaded on first use, and never run on the accept path: an evaluation costs
about a millisecond.

Source: FHIRPath N1, http://hl7.org/fhirpath/N1 (section 5.6) and its grammar,
http://hl7.org/fhirpath/N1/grammar.html; SDC expressions page (weight, ordinal).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

from service.questionnaire.pattern import PatternTooSlow, matches, replace_matches

MAX_LENGTH = 10_000
"""Characters of an expression; longer ones are refused."""

Tree = Any
"""A syntax tree as the library builds it: nested dictionaries with `type` and `children`."""

WeightOf = Callable[[Any], Decimal | None]
"""Takes the JSON value of an answer (or the answer) and returns its weight."""

_BUILT_IN_VARIABLES = frozenset({"ucum", "sct", "loinc", "context"})


class NotParsed(ValueError):
    """The text is not a FHIRPath expression that can be evaluated here; the message says why."""


class NotEvaluated(Exception):
    """The expression cannot be evaluated on this response; the message says why, without any answer."""


class OutOfTime(NotEvaluated):
    """The evaluation was stopped because it took too long."""


class NotAtHand(NotEvaluated):
    """The expression reads a variable that is not known here, such as a launch context."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression. `variables`: names of the %variables that it reads."""

    text: str
    variables: frozenset[str]
    tree: Tree = field(repr=False, compare=False)

    def nodes(self, focus: Any, variables: Mapping[str, Any], weight_of: WeightOf) -> list[Any]:
        """Returns the resulting nodes as the engine has them, fit to be a variable of another expression.

        Args:
            focus: resource, or a node from `item_node`.
            variables: values by name, without the percent sign.

        Raises:
            NotEvaluated: the engine cannot evaluate it, a variable is not known, or time is up.
            MemoryError: it needs more memory than there may be.
        """
        missing = self.variables - variables.keys() - _BUILT_IN_VARIABLES
        if missing:
            raise NotAtHand(f"%{min(missing)} is not at hand")
        try:
            return _run(self.tree, focus, dict(variables), weight_of)
        except (NotEvaluated, MemoryError):
            raise
        except PatternTooSlow as fault:
            raise OutOfTime("a regular expression took too long") from fault
        except Exception as fault:
            raise NotEvaluated("the engine cannot evaluate it on this response") from fault


def load_engine() -> None:
    """Loads the library now, where it would otherwise be loaded on first use."""
    parse_expression("true")


@lru_cache(maxsize=1024)
def parse_expression(text: str) -> Expression:
    """Parses an expression.

    Raises:
        NotParsed: it is empty, too long, nested too deep, not FHIRPath, or calls a function that does
            not exist.
    """
    tree = _syntax_tree(text)
    unknown = sorted(_functions_in(tree) - _known_functions())
    if unknown:
        raise NotParsed(f"functions that FHIRPath has, and {unknown[0]}() is not one")
    return Expression(text, _variables_in(tree), tree)


def item_node(item: Mapping[str, Any]) -> Any:
    """Returns a response item as a typed node, so that paths below it know their types."""
    from fhirpathpy.engine import nodes

    library: Any = nodes
    return library.ResourceNode.create_node(item, "QuestionnaireResponse.item")


def data_of(node: Any) -> Any:
    """Returns the JSON value of a resulting node."""
    from fhirpathpy.engine import util

    library: Any = util
    return library.get_data(node)


def _run(tree: Tree, focus: Any, variables: dict[str, Any], weight_of: WeightOf) -> list[Any]:
    import fhirpathpy
    from fhirpathpy.models import models

    library: Any = fhirpathpy
    options = {"userInvocationTable": _own_functions(weight_of), "returnRawData": True}
    return list(library.apply_parsed_path(focus, tree, variables, models["r4"], options))


# Strict parsing.


def _syntax_tree(text: str) -> Tree:
    """Returns the tree of an expression, in the shape that the library evaluates."""
    if not text.strip() or len(text) > MAX_LENGTH:
        raise NotParsed(f"a FHIRPath expression of at most {MAX_LENGTH} characters")
    try:
        return _parsed_strictly(text)
    except RecursionError as fault:
        raise NotParsed("an expression that is nested less deep") from fault


def _parsed_strictly(text: str) -> Tree:
    from antlr4 import CommonTokenStream, InputStream  # type: ignore[import-untyped]
    from antlr4.error.ErrorListener import ErrorListener  # type: ignore[import-untyped]
    from antlr4.tree.Tree import ParseTreeWalker  # type: ignore[import-untyped]
    from fhirpathpy.parser.ASTPathListener import ASTPathListener
    from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
    from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

    class Strict(ErrorListener):  # type: ignore[misc]
        def syntaxError(self, *details: Any) -> None:  # noqa: N802 - the name is the parser's
            raise NotParsed(f"FHIRPath, and line {details[2]}, column {details[3] + 1} is not")

    new_listener: Any = ASTPathListener
    new_parser: Any = FHIRPathParser
    listener = new_listener()
    lexer = FHIRPathLexer(InputStream(text))
    parser = new_parser(CommonTokenStream(lexer))
    for source in (lexer, parser):
        source.removeErrorListeners()
        source.addErrorListener(Strict())
    ParseTreeWalker().walk(listener, parser.entireExpression())
    return {"children": listener.parentStack[0]["children"][0]["children"]}


def _functions_in(tree: Tree) -> set[str]:
    """Returns the names of the functions that an expression calls."""
    return {
        str(child["text"]).strip("`")
        for node in _nodes_of(tree)
        if node.get("type") == "Functn"
        for child in node["children"][:1]
    }


def _variables_in(tree: Tree) -> frozenset[str]:
    """Returns the names of the %variables that an expression reads."""
    return frozenset(
        name for node in _nodes_of(tree) if node.get("type") == "ExternalConstant" for name in _names(node)
    )


def _names(node: Tree) -> Iterator[str]:
    named = [child["text"] for child in node.get("children", ())] or node["terminalNodeText"][1:]
    return (str(name).strip("`'") for name in named)


def _nodes_of(tree: Tree) -> Iterator[Tree]:
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.get("children", ()))


# Functions that the library lacks, or has in a form that fails on answers.


class NotANumber(Exception):
    """A function that adds or compares numbers was given something else."""


def _own_functions(weight_of: WeightOf) -> dict[str, dict[str, Any]]:
    """Returns the table of functions that the library takes beside its own."""
    no_argument: dict[int, list[str]] = {0: []}
    return {
        "weight": {"fn": partial(_weights, weight_of), "arity": no_argument},
        "ordinal": {"fn": partial(_weights, weight_of), "arity": no_argument},
        "sum": {"fn": lambda inputs: sum(_numbers(inputs)), "arity": no_argument},
        "min": {"fn": lambda inputs: min(_numbers(inputs), default=[]), "arity": no_argument},
        "max": {"fn": lambda inputs: max(_numbers(inputs), default=[]), "arity": no_argument},
        "avg": {"fn": _average, "arity": no_argument},
        "matches": {"fn": _matches, "arity": {1: ["String"]}},
        "replaceMatches": {"fn": _replace_matches, "arity": {2: ["String", "String"]}},
    }


def _known_functions() -> set[str]:
    """Returns the names of all functions that can be called."""
    from fhirpathpy.engine.invocations import invocation_registry

    return {*invocation_registry, *_own_functions(lambda _: None)}


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
