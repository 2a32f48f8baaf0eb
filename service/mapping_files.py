"""Reads mapping files: YAML without surprises.

Only mappings, lists, text, whole and decimal numbers, true, false and null. A key stated twice,
an anchor, an alias or a tag is refused, and what plain YAML would turn into something else stays
text: `no`, `on`, `1:30`, `2024-01-01`, `0x10`, `1e3`.

Source: https://yaml.org/spec/1.2.2/ section 10.2 (JSON schema), with decimals instead of floats.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from service.errors import GuidanceError

_SCALARS = (
    ("null", re.compile(r"(?:null|)\Z"), ("n", "")),
    ("bool", re.compile(r"(?:true|false)\Z"), "tf"),
    ("int", re.compile(r"-?(?:0|[1-9][0-9]*)\Z"), "-0123456789"),
    ("float", re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+\Z"), "-0123456789"),
)
_DEEPEST = 64


class _Refused(Exception):
    """The file holds something that mapping files do not use; line is from 1."""

    def __init__(self, line: int, expected: str) -> None:
        super().__init__(expected)
        self.line = line


def read_yaml(path: Path) -> object:
    """Returns the plain value that a file writes: dict, list, str, int, Decimal, bool or None.

    Raises:
        GuidanceError: `file: line n: what was expected`; also where the file cannot be read.
    """
    try:
        return value_from(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise GuidanceError([f"{path.name}: expected a readable file in UTF-8"]) from error


def read_documents(folder: Path) -> dict[str, object]:
    """Returns the values of all `*.yaml` files of a folder, by file stem.

    Raises:
        GuidanceError: the faults of all files together, a line each; also where there is no file.
    """
    documents: dict[str, object] = {}
    faults: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            documents[path.stem] = read_yaml(path)
        except GuidanceError as error:
            faults.extend(error.faults)
    if not documents and not faults:
        faults.append(f"{folder.name}: expected mapping files (*.yaml)")
    if faults:
        raise GuidanceError(faults)
    return documents


def value_from(text: str, name: str) -> object:
    """Returns the plain value that a YAML text writes; `name` is the file's, for faults.

    Raises:
        GuidanceError: `name: line n: what was expected`.
    """
    try:
        _refuse_what_is_not_plain(text)
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _value(node)
    except _Refused as refused:
        raise GuidanceError([f"{name}: line {refused.line}: {refused}"]) from refused
    except yaml.YAMLError as error:
        raise GuidanceError([f"{name}: {_not_yaml(error)}"]) from error


class _Loader(yaml.SafeLoader):
    """Knows text, whole and decimal numbers, true, false and null; nothing else has a meaning."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list(_first))


def _not_yaml(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = "" if mark is None else f"line {mark.line + 1}: "
    return f"{place}not YAML: {problem or 'expected printable characters only'}"


def _refuse_what_is_not_plain(text: str) -> None:
    """Refuses references, tags and deep nesting before anything is built of the text."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = getattr(event.start_mark, "line", 0) + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _Refused(line, "expected no anchor (&) and no alias (*)")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            raise _Refused(line, "expected no tag (!)")
        if isinstance(event, yaml.NodeEvent) and depth > _DEEPEST:
            raise _Refused(line, f"expected at most {_DEEPEST} levels")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    return _scalar(node)


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _value(key_node)
        if not isinstance(key, str):
            raise _Refused(line, "expected text as a key; put it in quotes")
        if key in values:
            raise _Refused(line, f"expected each key once; {key} stands here again")
        values[key] = _value(value_node)
    return values


def _scalar(node: yaml.Node) -> object:
    text = str(node.value)
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "null":
            return None
        case "bool":
            return text == "true"
        case "int":
            return int(text)
        case "float":
            return Decimal(text)
    return text
