"""Concepts of a code system that is at hand, whole or filtered.

Source: FHIR R4 codesystem.html; filter operators of valueset-filter-operator.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.questionnaire.extensions import mappings, text

Concept = Mapping[str, Any]


def filtered(resource: Mapping[str, Any], filters: Sequence[Mapping[str, Any]]) -> list[Concept] | None:
    """Returns the concepts that pass all filters, or None where a filter is not understood."""
    found = list(_with_ancestors(resource))
    for one in filters:
        operator, value = text(one.get("op")), text(one.get("value"))
        if one.get("property") in ("concept", "code") and operator in (
            "is-a",
            "descendent-of",
            "is-not-a",
            "in",
        ):
            found = [pair for pair in found if _passes(operator, value, pair)]
        elif operator == "=":
            found = [pair for pair in found if _property(pair[0], text(one.get("property"))) == value]
        else:
            return None
    return [concept for concept, _ in found]


def _with_ancestors(resource: Mapping[str, Any]) -> Iterator[tuple[Concept, frozenset[str]]]:
    pending = [(concept, frozenset[str]()) for concept in mappings(resource.get("concept"))][::-1]
    while pending:
        concept, above = pending.pop()
        yield concept, above
        below = above | {text(concept.get("code"))}
        pending.extend([(child, below) for child in mappings(concept.get("concept"))][::-1])


def _passes(operator: str, value: str, pair: tuple[Concept, frozenset[str]]) -> bool:
    code, above = text(pair[0].get("code")), pair[1]
    if operator == "in":
        return code in {part.strip() for part in value.split(",")}
    if operator == "is-a":
        return code == value or value in above
    if operator == "descendent-of":
        return value in above
    return code != value and value not in above


def _property(concept: Concept, name: str) -> str | None:
    for one in mappings(concept.get("property")):
        if one.get("code") == name:
            return next((str(found) for key, found in one.items() if key.startswith("value")), None)
    return None
