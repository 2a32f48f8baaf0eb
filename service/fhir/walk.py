"""Goes through a decoded body with its own stack and collects what FHIR JSON does not allow.

Source: FHIR R4 json.html (nothing empty, nothing null except beside a `_` twin).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from service.errors import Problem
from service.fhir import kinds
from service.fhir.paths import Place, expression, is_name, root_of, shown

STRING_CHARACTERS: Final = 1024 * 1024
"""The longest string that R4 allows."""

_PLAIN = frozenset({bool, int, Decimal})
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


class Refused(NamedTuple):
    """Stands in the decoded tree where a value cannot be taken; the walk reports it with its path."""

    kind: str
    expected: str


class Repeated(dict[str, Any]):
    """An object in which a property name stands twice."""


def problems_in(resource: dict[str, Any], *, suspicious: bool) -> tuple[list[Problem], int]:
    """Returns the faults of a decoded body, and how many properties it has.

    Args:
        resource: may hold `Refused` and `Repeated` in the places of what JSON allows and FHIR does not.
        suspicious: whether strings can be over-long or have characters that only escapes can bring.
    """
    walk = _Walk(root_of(resource), suspicious=suspicious)
    names = walk.run(resource)
    return walk.problems, names


class _Walk:
    """One walk; `root` is the resource type, for paths."""

    def __init__(self, root: str, *, suspicious: bool) -> None:
        self.problems: list[Problem] = []
        self._root = root
        self._suspicious = suspicious
        self._stack: list[tuple[dict[str, Any], Place]] = []

    def run(self, resource: dict[str, Any]) -> int:
        """Returns how many properties were seen."""
        names, stack, suspicious = 0, self._stack, self._suspicious
        stack.append((resource, None))
        while stack:
            members, place = stack.pop()
            names += len(members)
            if not members or type(members) is Repeated:
                self._object(members, place)
            for name, value in members.items():
                kind = type(value)
                if kind is str:
                    if not value or suspicious:
                        self._string(value, (place, name, None))
                elif kind is dict:
                    stack.append((value, (place, name, None)))
                elif kind is list:
                    self._array(value, members, place, name)
                elif kind not in _PLAIN:
                    self._value(value, (place, name, None))
        return names

    def _object(self, members: dict[str, Any], place: Place) -> None:
        if members:
            self._report(kinds.REPEATED_PROPERTY, place, "each property name once in an object")
        else:
            self._report(kinds.EMPTY, place, "an object with at least one property")

    def _array(self, values: list[Any], members: Mapping[str, Any], place: Place, name: str) -> None:
        if not values:
            self._report(kinds.EMPTY, (place, name, None), "an array with at least one entry")
        for index, value in enumerate(values):
            kind = type(value)
            if kind is dict:
                self._stack.append((value, (place, name, index)))
            elif kind is str:
                self._string(value, (place, name, index))
            elif kind is list:
                self._report(kinds.JSON_SHAPE, (place, name, index), "no array directly inside an array")
                self._array_inside(value, (place, name, index))
            elif value is None and _has_twin(members, name, index):
                continue
            elif kind not in _PLAIN:
                self._value(value, (place, name, index))

    def _array_inside(self, values: list[Any], place: Place) -> None:
        """Counts the properties in an array that should not be there, so that the count stays true."""
        pending = list(values)
        while pending:
            value = pending.pop()
            if type(value) is list:
                pending.extend(value)
            elif isinstance(value, dict):
                self._stack.append((value, place))

    def _value(self, value: object, place: Place) -> None:
        if isinstance(value, dict):
            self._stack.append((value, place))
        elif isinstance(value, Refused):
            self._report(value.kind, place, value.expected)
        else:
            self._report(kinds.NULL, place, "a value, or no property at all (never null)")

    def _string(self, value: str, place: Place) -> None:
        if not value:
            self._report(kinds.EMPTY, place, "a string that is not empty, or no property at all")
        elif len(value) > STRING_CHARACTERS:
            self._report(kinds.STRING_SIZE, place, f"a string of at most {STRING_CHARACTERS} characters")
        elif _FORBIDDEN.search(value):
            self._report(kinds.CHARACTER, place, "text without control characters or half surrogates")

    def _report(self, kind: str, place: Place, expected: str) -> None:
        text = f"{shown(self._root, place)}: expected {expected}."
        self.problems.append(Problem(kind, text, expression(self._root, place)))


def _has_twin(members: Mapping[str, Any], name: str, index: int) -> bool:
    twin = members.get(name[1:] if name.startswith("_") else f"_{name}")
    return isinstance(twin, list) and index < len(twin) and twin[index] is not None and is_name(name)
