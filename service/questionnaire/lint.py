"""What is wrong with a Questionnaire itself: every fault, with its place.

Source: FHIR R4 Questionnaire, invariants que-0 to que-13; SDC profiles for expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import Problem
from service.questionnaire.extensions import text
from service.questionnaire.item import TYPES, Item
from service.questionnaire.lint_conditions import condition_problems
from service.questionnaire.lint_expressions import expression_problems
from service.questionnaire.lint_invariants import invariant_problems
from service.questionnaire.lint_limits import limit_problems
from service.questionnaire.lint_options import option_problems
from service.questionnaire.lint_report import problem
from service.questionnaire.reading import DEEPEST, items_of
from service.questionnaire.sequence import sequence
from service.questionnaire.value_sets import ValueSets

_NAME = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}")
_STATUSES = frozenset({"draft", "active", "retired", "unknown"})


def lint(resource: Mapping[str, Any], value_sets: ValueSets | None = None) -> tuple[Problem, ...]:
    """Returns every fault of a Questionnaire of any shape; never raises for what it contains."""
    items = items_of(resource, value_sets or ValueSets())
    return lint_with(resource, items, sequence(items)[1])


def lint_with(
    resource: Mapping[str, Any], items: Mapping[str, Item], circular: tuple[str, ...]
) -> tuple[Problem, ...]:
    """Returns every fault of a Questionnaire whose items have been read.

    Args:
        circular: linkIds whose conditions depend on each other, or on such items.
    """
    return (
        *_identity_problems(resource),
        *_item_problems(resource),
        *condition_problems(items, circular),
        *expression_problems(resource, items),
    )


def _identity_problems(resource: Mapping[str, Any]) -> Iterator[Problem]:
    if resource.get("resourceType") != "Questionnaire":
        yield problem("lint-identity", "Questionnaire", "expected resourceType Questionnaire")
    if ":" not in text(resource.get("url")):
        yield problem("lint-identity", "Questionnaire.url", "expected an absolute url", "warning")
    if not text(resource.get("version")):
        yield problem("lint-identity", "Questionnaire.version", "expected a version", "warning")
    if text(resource.get("status")) not in _STATUSES:
        yield problem(
            "lint-identity", "Questionnaire.status", f"expected one of {', '.join(sorted(_STATUSES))}"
        )
    name = resource.get("name")
    if name is not None and not _NAME.fullmatch(text(name)):
        yield problem("que-0", "Questionnaire.name", "expected a name that can be an identifier")


def _item_problems(resource: Mapping[str, Any]) -> Iterator[Problem]:
    """Walks the items as they stand, unreadable ones included."""
    seen: dict[str, str] = {}
    pending: list[tuple[object, str, int]] = [(resource, "Questionnaire", 0)]
    while pending:
        source, path, depth = pending.pop()
        if not isinstance(source, Mapping):
            yield problem("lint-shape", path, "expected an object")
            continue
        if depth > DEEPEST:
            yield problem("lint-deep", path, f"expected at most {DEEPEST} levels of items")
            continue
        if depth > 0:
            yield from _one(source, path, seen)
        children = source.get("item", [])
        if not isinstance(children, list):
            yield problem("lint-shape", f"{path}.item", "expected an array")
            continue
        below = [(child, f"{path}.item[{index}]", depth + 1) for index, child in enumerate(children)]
        pending.extend(reversed(below))


def _one(source: Mapping[str, Any], path: str, seen: dict[str, str]) -> Iterator[Problem]:
    link = text(source.get("linkId"))
    if not link:
        yield problem("lint-link-id", path, "expected a linkId; the item and all below it are left out")
    elif link in seen:
        yield problem("que-2", path, f"expected a linkId of its own; {link} stands at {seen[link]} as well")
    seen.setdefault(link, path)
    if text(source.get("type")) not in TYPES:
        yield problem("lint-type", path, f"expected a type, one of {', '.join(sorted(TYPES))}")
    yield from invariant_problems(source, path)
    yield from option_problems(source, path)
    yield from limit_problems(source, path)
