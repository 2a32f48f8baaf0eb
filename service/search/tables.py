"""What can be searched for, by type of resource."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from service.search.parameters import SearchParameter
from service.search.published_parameters import PUBLISHED
from service.search.stored_parameters import INCLUDES, REVINCLUDES, STORED

_PARAMETERS: Mapping[str, Mapping[str, SearchParameter]] = {**STORED, **PUBLISHED}


def parameters_of(kind: str) -> Mapping[str, SearchParameter]:
    """Returns the search parameters of a type of resource by name; raises KeyError for one not served."""
    return _PARAMETERS[kind]


@cache
def elements_of(kind: str) -> frozenset[str]:
    """Returns the elements of a resource, as names of its members, that `entries_of` looks at."""
    heads = (path[0].removesuffix("*") for each in _PARAMETERS[kind].values() for path in each.paths)
    return frozenset(("resourceType", "id", "version", "contained", *heads))


def includes_of(kind: str) -> tuple[str, ...]:
    """Returns the values of `_include` in a search for this type."""
    return INCLUDES.get(kind, ())


def revincludes_of(kind: str) -> tuple[str, ...]:
    """Returns the values of `_revinclude` in a search for this type."""
    return REVINCLUDES.get(kind, ())
