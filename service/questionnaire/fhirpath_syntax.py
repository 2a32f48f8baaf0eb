"""The syntax of FHIRPath: expressions parsed strictly, since the grammar of the library accepts broken text.

Source: the grammar of FHIRPath N1, http://hl7.org/fhirpath/N1/grammar.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

MAX_LENGTH = 10_000
"""Characters of an expression; longer ones are refused."""

Tree = Any
"""A syntax tree as the library builds it: nested dictionaries with `type` and `children`."""


class NotParsed(ValueError):
    """The text is not a FHIRPath expression that can be evaluated here; the message says why."""


_QUOTED_CONSTANT = re.compile(
    r"'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|//[^\n]*|/\*.*?\*/"
    r"|%(?:\"(?P<double>[^\"`]*)\"|'(?P<single>[^'`]*)'|(?P<bare>(?:vs|ext)-[A-Za-z0-9.-]+))",
    re.DOTALL,
)


def syntax_tree(text: str) -> Tree:
    """Returns the tree of an expression, in the shape that the library evaluates."""
    if not text.strip() or len(text) > MAX_LENGTH:
        raise NotParsed(f"a FHIRPath expression of at most {MAX_LENGTH} characters")
    try:
        return _tree_by_shape(_QUOTED_CONSTANT.sub(_in_backticks, text))
    except RecursionError as fault:
        raise NotParsed("an expression that is nested less deep") from fault


def _in_backticks(match: re.Match[str]) -> str:
    """Writes a variable with a hyphen in its name as the grammar has it: R4 has %"vs-name" as well."""
    name = match["double"] or match["single"] or match["bare"]
    return f"%`{name}`" if name else match[0]


# The parser takes milliseconds, and the expressions of a form differ in little but linkIds and variables. So
# what is parsed is the shape, in which marks stand for both; they are put in afterwards.

_MARK = "\ue000"
_MARKED = re.compile(f"['`]{_MARK}([0-9]+)['`]")
_PLAIN_PART = re.compile(
    r"(?P<text>'[^'\\]*')|%(?P<variable>[A-Za-z_][A-Za-z0-9_]*)|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|//[^\n]*|/\*.*?\*/",
    re.DOTALL,
)


_KNOWN: dict[str, Tree] = {}
"""Trees of shapes that were parsed when the questionnaires were checked."""


def know(trees: Mapping[str, Tree]) -> None:
    """Takes trees by shape, as `trees_by_shape` returned them, so that these are not parsed again."""
    _KNOWN.update(trees)


def trees_by_shape(texts: Iterable[str]) -> dict[str, Tree]:
    """Returns by shape the trees of those expressions that can be parsed, each shape once."""
    found: dict[str, Tree] = {}
    for text in texts:
        shape, _ = _shape_of(_QUOTED_CONSTANT.sub(_in_backticks, text))
        with suppress(NotParsed, RecursionError):
            if _MARK not in text and text.strip() and len(text) <= MAX_LENGTH:
                found[shape] = _parsed_shape(shape)
    return found


def _tree_by_shape(text: str) -> Tree:
    if _MARK in text:
        return _parsed_strictly(text)
    shape, parts = _shape_of(text)
    try:
        return _filled(_parsed_shape(shape), parts)
    except NotParsed:
        return _parsed_strictly(text)  # for the right line and column


def _shape_of(text: str) -> tuple[str, list[str]]:
    """Returns an expression with marks in the places of its parts, and these."""
    parts: list[str] = []

    def marked(match: re.Match[str]) -> str:
        if match["text"] is not None:
            parts.append(match["text"])
            return f"'{_MARK}{len(parts) - 1}'"
        if match["variable"] is not None:
            parts.append(f"`{match['variable']}`")
            return f"%`{_MARK}{len(parts) - 1}`"
        return match[0]

    return _PLAIN_PART.sub(marked, text), parts


@lru_cache(maxsize=512)
def _parsed_shape(shape: str) -> Tree:
    known = _KNOWN.get(shape)
    return _parsed_strictly(shape) if known is None else known


def _filled(tree: Any, parts: Sequence[str]) -> Any:
    """Returns a copy of a tree, or of something in it, with the parts in the places of their marks."""
    if isinstance(tree, str):
        return _MARKED.sub(lambda match: parts[int(match[1])], tree) if _MARK in tree else tree
    if isinstance(tree, list):
        return [_filled(inner, parts) for inner in tree]
    return {key: _filled(inner, parts) for key, inner in tree.items()}


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


def functions_in(tree: Tree) -> set[str]:
    """Returns the names of the functions that an expression calls."""
    return {function_name(node) for node in nodes_of(tree) if node.get("type") == "Functn"}


def function_name(node: Tree) -> str:
    """Returns the name of the function that a node calls."""
    return str(node["children"][0]["text"]).strip("`")


def variables_in(tree: Tree) -> frozenset[str]:
    """Returns the names of the %variables that an expression reads."""
    return frozenset(
        name for node in nodes_of(tree) if node.get("type") == "ExternalConstant" for name in _names(node)
    )


def _names(node: Tree) -> Iterator[str]:
    return (str(child["text"]).strip("`") for child in node["children"])


def nodes_of(tree: Tree) -> Iterator[Tree]:
    """Yields all nodes of a tree."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.get("children", ()))
