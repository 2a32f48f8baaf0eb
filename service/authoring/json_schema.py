"""JSON Schemas of the mapping files, for editors: made of the shapes by which the files are read.

They say which keys there are, what each takes and what must be there. What stands between keys, entries
and files (names that exist, bands without gaps, either this key or that) is left to `check`.

Source: https://json-schema.org/draft/2020-12/json-schema-core
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from marshmallow import Schema, fields

from service.guidance import fields as known
from service.guidance import schema as grammar
from service.guidance import scores
from service.guidance.conditions import COMPARISONS, NEWLY

DRAFT = "https://json-schema.org/draft/2020-12/schema"

Said = dict[str, Any]


def write_schemas(folder: Path, further: Mapping[str, Schema]) -> list[Path]:
    """Writes the schema of every mapping file into a folder, over what stands there under its name.

    Args:
        folder: it is made where it is not there.
        further: shapes of files beside those that a guidance is made of, by file stem.

    Returns:
        the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for stem, said in schemas(further).items():
        path = folder / f"{stem}.schema.json"
        path.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        written.append(path)
    return written


def schemas(further: Mapping[str, Schema]) -> dict[str, Said]:
    """Returns the schema of every mapping file, by file stem."""
    shapes = {stem: shape(many=stem != "guidance") for stem, shape in grammar.file_shapes().items()}
    return {stem: _of_file(stem, shape) for stem, shape in {**shapes, **further}.items()}


def _of_file(stem: str, shape: Schema) -> Said:
    entry = _of_shape(shape)
    whole = {"type": "array", "items": entry} if shape.many else entry
    definitions = {"condition": _condition("condition"), "parameter": _PARAMETER}
    definitions["advice-condition"] = _condition("advice-condition", extra=True)
    return {"$schema": DRAFT, "title": f"{stem}.yaml", **whole, "$defs": definitions}


def _of_shape(shape: Schema) -> Said:
    keys = {field.data_key or name: field for name, field in shape.fields.items()}
    return {
        "description": (type(shape).__doc__ or "").partition("\n")[0],
        "type": "object",
        "properties": {key: _of_field(field) for key, field in keys.items()},
        "required": [key for key, field in keys.items() if field.required],
        "additionalProperties": False,
    }


# Fields.

_PARAMETER: Said = {
    "description": "The name of a parameter of guidance.yaml",
    "type": "object",
    "properties": {"parameter": {"type": "string"}},
    "required": ["parameter"],
    "additionalProperties": False,
}
_OF_PARAMETER: Said = {"$ref": "#/$defs/parameter"}
_NUMBER: Said = {"type": "number"}


def _of_field(field: Any) -> Said:
    """Returns the schema of a field, by the nearest of its classes that is known."""
    for kind in type(field).__mro__:
        if kind in _FIELDS:
            return _FIELDS[kind](field)
    raise TypeError(type(field).__name__)


def _of_part(field: Any) -> Said:
    entry = _of_shape(field.schema)
    return {"type": "array", "items": entry} if field.many else entry


def _of_list(field: Any) -> Said:
    return {"type": "array", "items": _of_field(field.inner), "minItems": 0 if field.may_be_empty else 1}


def _of_names(field: Any) -> Said:
    names, entries = _of_field(field.key_field), _of_field(field.value_field)
    return {"type": "object", "propertyNames": names, "additionalProperties": entries}


def _of_name(field: Any) -> Said:
    return {"type": "string", "pattern": f"^(?:{field.pattern.pattern})$"}


def _of_condition(field: Any) -> Said:
    name = "advice-condition" if set(field.readers) - set(_WORDS) else "condition"
    return {"$ref": f"#/$defs/{name}"}


def _of_missing(_: Any) -> Said:
    limit = _mapping({"at-most": {"type": "integer", "minimum": 1}})
    return {"anyOf": [{"enum": ["interval", "refuse"]}, _mapping({"prorate": limit})]}


def _of_listed(_: Any) -> Said:
    return {"anyOf": [{"const": "always"}, _mapping({"from": {"type": "string"}})]}


def _of_factor(field: Any) -> Said:
    return {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, _of_name(field)]}


_FIELDS: Mapping[type[fields.Field[Any]], Callable[[Any], Said]] = {
    known.Part: _of_part,
    known.ListOf: _of_list,
    known.ByName: _of_names,
    known.ConditionField: _of_condition,
    known.ParameterName: lambda _: _OF_PARAMETER,
    known.Name: _of_name,
    known.Text: lambda _: {"type": "string", "pattern": "\\S"},
    known.Choice: lambda field: {"enum": [*field.words]},
    known.OnlyTrue: lambda _: {"const": True},
    known.TrueOrFalse: lambda _: {"type": "boolean"},
    known.NumberOrSwitch: lambda _: {"type": ["number", "boolean"]},
    known.Number: lambda _: _NUMBER,
    known.Factor: _of_factor,
    known.Anything: lambda _: {},
    grammar.ListedField: _of_listed,
    scores.AddendField: lambda _: {"anyOf": [_of_field(known.Word()), _of_shape(scores.AddendShape())]},
    scores.MissingField: _of_missing,
    scores.EndField: lambda _: {"anyOf": [_NUMBER, _OF_PARAMETER]},
}


# Conditions.

_TEXT: Said = {"type": "string"}
_OPTION: Said = {"type": ["string", "boolean"]}


def _several(one: Said) -> Said:
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


def _mapping(keys: Mapping[str, Said]) -> Said:
    """Returns a mapping that has exactly these keys."""
    return {"type": "object", "properties": dict(keys), "required": [*keys], "additionalProperties": False}


_EITHER: Said = {
    "anyOf": [_OF_PARAMETER, _mapping({"parameters": {"type": "array", "items": _TEXT, "minItems": 2}})]
}


def _answers(_: Said) -> Iterator[Said]:
    yield _mapping({"answer": _TEXT, "is": _several(_OPTION)})
    yield _mapping({"answer": _TEXT, "answered": {"const": True}})
    yield from (_mapping({"answer": _TEXT, word: _EITHER}) for word in COMPARISONS)


def _scores(_: Said) -> Iterator[Said]:
    yield _mapping({"score": _TEXT, "band": _several(_TEXT)})
    yield from (_mapping({"score": _TEXT, word: _OF_PARAMETER}) for word in COMPARISONS)


def _group(word: str) -> Callable[[Said], Iterator[Said]]:
    return lambda inner: iter([_mapping({word: {"type": "array", "items": inner, "minItems": 1}})])


def _one(word: str) -> Callable[[Said], Iterator[Said]]:
    return lambda inner: iter([_mapping({word: inner})])


def _counted(inner: Said) -> Iterator[Said]:
    parts = {"type": "array", "items": inner, "minItems": 1}
    yield _mapping({"at-least": _OF_PARAMETER, "of": parts})


def _tier(word: str) -> Callable[[Said], Iterator[Said]]:
    return lambda _: iter([_mapping({word: _TEXT})])


def _level(_: Said) -> Iterator[Said]:
    yield _mapping({"level": _mapping({"outcome": _TEXT, "at-least": _TEXT})})


_WORDS: Mapping[str, Callable[[Said], Iterator[Said]]] = {
    "answer": _answers,
    "score": _scores,
    **{word: _group(word) for word in ("any", "all", "none", NEWLY)},
    **{word: _one(word) for word in ("not", "unsure")},
    "at-least": _counted,
    "parameter": lambda _: iter([_OF_PARAMETER]),
}
_OF_RESULTS: Mapping[str, Callable[[Said], Iterator[Said]]] = {
    **{word: _tier(word) for word in ("tier-at-least", "tier-at-most")},
    "level": _level,
}
"""By its first word, what a condition may be, given what stands inside it."""


def _condition(name: str, *, extra: bool = False) -> Said:
    words = {**_WORDS, **_OF_RESULTS} if extra else _WORDS
    inner = {"$ref": f"#/$defs/{name}"}
    forms = [form for word in words.values() for form in word(inner)]
    return {"description": "The name of a finding, or a mapping", "anyOf": [_TEXT, *forms]}
