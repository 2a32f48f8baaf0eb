"""Documents that are wrong in one place: an element that is gone, doubled or of another type."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
Place = tuple[str | int, ...]

INPUTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("compare_inputs.yaml").read_text("utf-8"))

WRONG_ANSWERS: tuple[Any, ...] = (*INPUTS["wrong_answers"], {"valueString": "x" * 5000})
_DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'
ROOT_CHANGES: tuple[tuple[str, Any], ...] = (
    *((name, value) for name, values in INPUTS["root_changes"].items() for value in values),
    *(("text", {"status": "generated", "div": f"{_DIV}{each}</div>"}) for each in INPUTS["narratives"]),
    ("id", "x" * 65),
)


def spread(things: Sequence[Any], most: int) -> list[Any]:
    """Returns at most so many of the things, evenly from the first to the last."""
    if len(things) <= most:
        return list(things)
    return [things[index * len(things) // most] for index in range(most)]


def paths(node: Any, at: Place = ()) -> Iterator[Place]:
    """Yields the place of every element and list entry below a node."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*at, key)
        yield from paths(value, (*at, key))


def value_at(document: Any, path: Place) -> Any:
    for step in path:
        document = document[step]
    return document


def shown(path: Place) -> str:
    """Returns a place as text, `item[3].answer[0].valueCoding`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def damaged(document: Json) -> list[tuple[str, Place, str]]:
    """Returns what may be done to the document: a name, the place, and the kind of damage."""
    return [
        (f"{shown(path)} {damage}", path, damage)
        for path in paths(document)
        for damage in ("drop", "retype", "null", "double", "empty", "extra")
        if _applies(damage, value_at(document, path), path)
    ]


def _applies(damage: str, value: Any, path: Place) -> bool:
    if damage == "double":
        return isinstance(path[-1], int)
    if damage == "extra":
        return isinstance(value, dict)
    return damage != "empty" or (isinstance(value, (str, list, dict)) and len(value) > 0)


def with_damage(document: Json, path: Place, damage: str) -> Json:
    """Returns a copy with one element dropped, doubled, emptied or of another type."""
    changed = copy.deepcopy(document)
    parent, last = value_at(changed, path[:-1]), path[-1]
    if damage == "drop":
        del parent[last]
    elif damage == "double":
        parent.insert(last, copy.deepcopy(parent[last]))
    elif damage == "extra":
        parent[last]["nobody"] = "knows"
    elif damage == "null":
        parent[last] = None
    elif damage == "empty":
        parent[last] = type(parent[last])()
    else:
        parent[last] = _of_another_type(parent[last])
    return changed


def _of_another_type(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return 5
    if isinstance(value, dict):
        return [value]
    return value[0] if value else {}


def answers_of(document: Json) -> list[Place]:
    """Returns the places of all answers."""
    return [path for path in paths(document) if len(path) > 1 and path[-2] == "answer"]


def with_value(document: Json, path: Place, value: Any) -> Json:
    """Returns a copy with another value at a place."""
    changed = copy.deepcopy(document)
    value_at(changed, path[:-1])[path[-1]] = value
    return changed
