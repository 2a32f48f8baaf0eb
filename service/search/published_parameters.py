"""Search parameters of the types of resource that are published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from service.search.parameters import Family, SearchParameter, family, table

_CONFORMANCE = family("conformance")
_FORM = family("Questionnaire")
_CODES = family("CodeSystem")
_VALUES = family("ValueSet")
_STRUCTURE = family("StructureDefinition")
_OPERATION = family("OperationDefinition")
_PARAMETER = family("SearchParameter")

_STATUS = "http://hl7.org/fhir/publication-status"
_RESOURCES = "http://hl7.org/fhir/resource-types"


def _shared(of: Family) -> tuple[SearchParameter, ...]:
    return (
        of.uri("url", "Canonical url; `url|version` finds one version.", "url"),
        of.token("version", "Business version.", "version"),
        of.text("name", "Name, from its beginning.", "name"),
        of.token("status", "Publication status.", "status", system=_STATUS),
        of.date("date", "Date of publication.", "date"),
        of.text("description", "Description, from its beginning.", "description"),
        of.text("publisher", "Publisher, from the beginning of the name.", "publisher"),
    )


def _title(of: Family) -> SearchParameter:
    return of.text("title", "Title, from its beginning.", "title")


def _identifier(of: Family) -> SearchParameter:
    return of.token("identifier", "Business identifier.", "identifier")


PUBLISHED: Final[Mapping[str, Mapping[str, SearchParameter]]] = {
    "Questionnaire": table(
        *_shared(_FORM),
        _title(_FORM),
        _identifier(_FORM),
        _FORM.token("code", "Code of an item, at any depth.", "item*.code"),
        _FORM.token("subject-type", "Whom it is about.", "subjectType", system=_RESOURCES),
    ),
    "CodeSystem": table(
        *_shared(_CONFORMANCE),
        _title(_CONFORMANCE),
        _identifier(_CONFORMANCE),
        _CODES.token("code", "A code that it defines.", "concept*.code"),
        _CODES.uri("system", "The system that it defines.", "url"),
    ),
    "ValueSet": table(
        *_shared(_CONFORMANCE),
        _title(_CONFORMANCE),
        _identifier(_CONFORMANCE),
        _VALUES.token(
            "code", "A code that it lists.", "compose.include.concept.code", "expansion.contains*.code"
        ),
        _VALUES.uri("reference", "A code system that it draws on.", "compose.include.system"),
    ),
    "StructureDefinition": table(
        *_shared(_CONFORMANCE),
        _title(_CONFORMANCE),
        _identifier(_CONFORMANCE),
        _STRUCTURE.canonical_url(
            "base", "Canonical of what it is derived from.", "baseDefinition", "StructureDefinition"
        ),
        _STRUCTURE.uri("type", "Type that it constrains.", "type"),
    ),
    "OperationDefinition": table(
        *_shared(_CONFORMANCE),
        _title(_CONFORMANCE),
        _OPERATION.token("code", "Name of the operation, without `$`.", "code"),
    ),
    "SearchParameter": table(
        *_shared(_CONFORMANCE),
        _PARAMETER.token("base", "Type of resource that it searches.", "base", system=_RESOURCES),
        _PARAMETER.token("code", "Name in a query.", "code"),
        _PARAMETER.token(
            "type", "Type of parameter.", "type", system="http://hl7.org/fhir/search-param-type"
        ),
    ),
}
"""Parameters by name by type of resource."""
