"""What a token permits, by its scopes: SMART's, version 1 and version 2.

What is not understood grants nothing. That holds for letters in another order than c r u d s, for types of
resources in another case, and for granular scopes (`?status=completed`): one that was taken without its
condition would grant more than was granted.

Source:
    SMART App Launch 2.2, scopes-and-launch-context, "Scopes for requesting FHIR Resources" and
    "Scopes for SMART v1".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

import msgspec

PATIENT: Final = "patient"
ANY_TYPE: Final = "*"

MOST_SCOPES: Final = 200
"""Most scopes of one token that are read; further ones grant nothing."""

_SCOPE: Final = re.compile(
    r"(?P<context>patient|user|system)/(?P<kind>\*|[A-Z][A-Za-z]{1,63})"
    r"\.(?P<said>read|write|\*|(?=[cruds])c?r?u?d?s?)"
)
_FIRST_VERSION: Final = {"read": "rs", "write": "cud", "*": "cruds"}


class Scope(msgspec.Struct, frozen=True):
    """One scope that was understood.

    Args:
        context: `patient`, `user` or `system`.
        kind: type of resource, or `*`.
        letters: of c r u d s.
    """

    context: str
    kind: str
    letters: frozenset[str]


@lru_cache(maxsize=256)
def scopes_from(text: str) -> tuple[Scope, ...]:
    """Returns the scopes of a text with blanks between that permit something on resources."""
    return tuple(_understood(text.split(" ")[:MOST_SCOPES]))


def contexts_granting(scopes: Iterable[Scope], kind: str, letters: str) -> frozenset[str]:
    """Returns the contexts whose scopes together permit all of these interactions with a type of resource.

    Args:
        scopes: of one token.
        kind: type of resource.
        letters: of c r u d s, all of which are needed; none are permitted to nobody.
    """
    held: dict[str, set[str]] = {}
    for scope in scopes:
        if scope.kind in (ANY_TYPE, kind):
            held.setdefault(scope.context, set()).update(scope.letters)
    return frozenset(context for context, granted in held.items() if letters and granted.issuperset(letters))


def _understood(texts: Iterable[str]) -> Iterator[Scope]:
    for text in texts:
        found = _scope(text)
        if found is not None:
            yield found


@lru_cache(maxsize=1024)
def _scope(text: str) -> Scope | None:
    match = _SCOPE.fullmatch(text)
    if match is None:
        return None
    said = match["said"]
    return Scope(match["context"], match["kind"], frozenset(_FIRST_VERSION.get(said, said)))
