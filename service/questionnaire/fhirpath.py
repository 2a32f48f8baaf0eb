"""FHIRPath expressions of a Questionnaire: parsed strictly, and once; evaluated without surprises.

The engine is the library fhirpathpy. It is loaded on first use, and never run on the fast path: an
evaluation costs about a millisecond.

Source: FHIRPath N1, http://hl7.org/fhirpath/N1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from service.questionnaire.fhirpath_functions import Weigher, known_functions, own_functions
from service.questionnaire.fhirpath_syntax import NotParsed, Tree, functions_in, syntax_tree, variables_in
from service.questionnaire.pattern import PatternTooSlow

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
