"""Where a value stands in a resource: a chain, written as FHIRPath only when a fault is reported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Place = tuple[Any, str, int | None] | None
"""Parent place, element name, index in its array; None is the resource itself."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}", re.ASCII)
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}", re.ASCII)


def root_of(resource: Mapping[str, Any]) -> str:
    """Returns the resource type as the root of paths, or `Resource` where it names none."""
    named = resource.get("resourceType")
    return named if isinstance(named, str) and _TYPE.fullmatch(named) else "Resource"


def is_name(name: str) -> bool:
    """True for a name that may be shown: it could be an element's name and nothing else."""
    return _NAME.fullmatch(name.removeprefix("_")) is not None


def expression(root: str, place: Place) -> str:
    """Returns FHIRPath with indices, such as `QuestionnaireResponse.item[2].answer[0]`.

    The path stops above a name that could not be an element's name.
    """
    steps: list[str] = []
    while place is not None:
        place, name, index = place
        if not is_name(name):
            steps.clear()
            continue
        step = name.removeprefix("_")
        steps.append(step if index is None else f"{step}[{index}]")
    return ".".join([root, *reversed(steps)])


def shown(root: str, place: Place) -> str:
    """Returns the path for a person: without the resource type, or its name for the resource itself."""
    whole = expression(root, place)
    return whole.removeprefix(f"{root}.")
