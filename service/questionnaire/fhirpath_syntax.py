"""Strict parsing of FHIRPath: the library's grammar, without its habit of accepting broken text.

Source: FHIRPath N1 grammar, http://hl7.org/fhirpath/N1/grammar.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
