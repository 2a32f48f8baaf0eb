"""FHIRPath expressions of a Questionnaire: parsed strictly, and once; evaluated without surprises.

The engine is the library fhirpathpy. It is loaded on first use, and never run on the fast path: an
evaluation costs about a millisecond.

Source: FHIRPath N1, http://hl7.org/fhirpath/N1
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

from service.questionnaire.pattern import PatternTooSlow, matches, replaced

# Strict parsing of FHIRPath: the library's grammar, without its habit of accepting broken text.
#
# Source: FHIRPath N1 grammar, http://hl7.org/fhirpath/N1/grammar.html

LONGEST = 10_000
"""Characters of an expression; longer ones are refused."""

Tree = Any
"""A syntax tree as the library builds it: nested dictionaries with `type` and `children`."""


class NotParsed(ValueError):
    """The text is not a FHIRPath expression that can be evaluated here; the message says why."""


def syntax_tree(text: str) -> Tree:
    """Returns the tree of an expression, in the shape that the library evaluates.

    Raises:
        NotParsed: the text is empty, too long, nested too deep, or not FHIRPath.
    """
    if not text.strip() or len(text) > LONGEST:
        raise NotParsed(f"a FHIRPath expression of at most {LONGEST} characters")
    try:
        return _parsed(text)
    except RecursionError as fault:
        raise NotParsed("an expression that is nested less deep") from fault


def functions_in(tree: Tree) -> set[str]:
    """Returns the names of the functions that an expression calls."""
    return {
        str(child["text"]).strip("`")
        for node in _nodes(tree)
        if node.get("type") == "Functn"
        for child in node["children"][:1]
    }


def variables_in(tree: Tree) -> frozenset[str]:
    """Returns the names of the %variables that an expression reads."""
    return frozenset(
        name for node in _nodes(tree) if node.get("type") == "ExternalConstant" for name in _names(node)
    )


def _names(node: Tree) -> Iterator[str]:
    named = [child["text"] for child in node.get("children", ())] or node["terminalNodeText"][1:]
    return (str(name).strip("`'") for name in named)


def _nodes(tree: Tree) -> Iterator[Tree]:
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.get("children", ()))


def _parsed(text: str) -> Tree:
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


# FHIRPath functions that the library lacks, or has in a form that fails on answers.
#
# `weight()` and its older name `ordinal()` come from SDC; `sum()` and its kin fail in the library on
# values that come from a resource; regular expressions run within a time limit here.
#
# Source: SDC expressions page (weight, ordinal); FHIRPath N1 section 5.6.

Weigher = Callable[[Any], Decimal | None]
"""Takes the JSON value of an answer (or the answer) and returns its weight."""


class NotANumber(Exception):
    """A function that adds or compares numbers was given something else."""


def own_functions(weigh: Weigher) -> dict[str, dict[str, Any]]:
    """Returns the table of functions that the library takes beside its own."""
    alone: dict[int, list[str]] = {0: []}
    return {
        "weight": {"fn": partial(_weights, weigh), "arity": alone},
        "ordinal": {"fn": partial(_weights, weigh), "arity": alone},
        "sum": {"fn": lambda inputs: sum(_numbers(inputs)), "arity": alone},
        "min": {"fn": lambda inputs: min(_numbers(inputs), default=[]), "arity": alone},
        "max": {"fn": lambda inputs: max(_numbers(inputs), default=[]), "arity": alone},
        "avg": {"fn": _average, "arity": alone},
        "matches": {"fn": _matches, "arity": {1: ["String"]}},
        "replaceMatches": {"fn": _replaced, "arity": {2: ["String", "String"]}},
    }


def known_functions() -> set[str]:
    """Returns the names of all functions that can be called."""
    from fhirpathpy.engine.invocations import invocation_registry

    return {*invocation_registry, *own_functions(lambda _: None)}


def _weights(weigh: Weigher, inputs: Sequence[Any]) -> list[Decimal]:
    return [found for found in map(weigh, inputs) if found is not None]


def _numbers(inputs: Sequence[Any]) -> list[Any]:
    if not all(isinstance(one, int | Decimal) and not isinstance(one, bool) for one in inputs):
        raise NotANumber
    return list(inputs)


def _average(inputs: Sequence[Any]) -> Any:
    return sum(_numbers(inputs)) / Decimal(len(inputs)) if inputs else []


def _matches(inputs: Sequence[Any], pattern: Any) -> list[bool]:
    return [matches(pattern, str(inputs[0]), whole=False)] if inputs and isinstance(pattern, str) else []


def _replaced(inputs: Sequence[Any], pattern: Any, by: Any) -> list[str]:
    if not inputs or not isinstance(pattern, str) or not isinstance(by, str):
        return []
    return [replaced(pattern, by, str(inputs[0]))]


_BUILT_IN = frozenset({"ucum", "sct", "loinc", "context"})


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

    def nodes(self, focus: Any, variables: Mapping[str, Any], weigh: Weigher) -> list[Any]:
        """Returns the resulting nodes as the engine has them, fit to be a variable of another expression.

        Args:
            focus: resource, or a node from `item_node`.
            variables: values by name, without the percent sign.

        Raises:
            NotEvaluated: the engine cannot evaluate it, a variable is not known, or time is up.
            MemoryError: it needs more memory than there may be.
        """
        missing = self.variables - variables.keys() - _BUILT_IN
        if missing:
            raise NotAtHand(f"%{min(missing)} is not at hand")
        try:
            return _run(self.tree, focus, dict(variables), weigh)
        except (NotEvaluated, MemoryError):
            raise
        except PatternTooSlow as fault:
            raise OutOfTime("a regular expression took too long") from fault
        except Exception as fault:
            raise NotEvaluated("the engine cannot evaluate it on this response") from fault


def load_engine() -> None:
    """Loads the library now, where it would otherwise be loaded on first use."""
    parsed("true")


@lru_cache(maxsize=1024)
def parsed(text: str) -> Expression:
    """Parses an expression.

    Raises:
        NotParsed: it is empty, too long, not FHIRPath, or calls a function that does not exist.
    """
    tree = syntax_tree(text)
    unknown = sorted(functions_in(tree) - known_functions())
    if unknown:
        raise NotParsed(f"functions that FHIRPath has, and {unknown[0]}() is not one")
    return Expression(text, variables_in(tree), tree)


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


def _run(tree: Tree, focus: Any, variables: dict[str, Any], weigh: Weigher) -> list[Any]:
    import fhirpathpy
    from fhirpathpy.models import models

    library: Any = fhirpathpy
    options = {"userInvocationTable": own_functions(weigh), "returnRawData": True}
    return list(library.apply_parsed_path(focus, tree, variables, models["r4"], options))


__all__ = [
    "Expression",
    "NotAtHand",
    "NotEvaluated",
    "NotParsed",
    "OutOfTime",
    "data_of",
    "item_node",
    "load_engine",
    "parsed",
]
