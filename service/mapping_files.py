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

# libyaml's, where it is built in: eight times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {"true": True, "false": False, "null": None, "": None}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_BEGINS_NUMBER = frozenset("-0123456789")
_DEEPEST = 64

BESIDE_GUIDANCE = frozenset({"cds.yaml"})
"""Files of a mapping folder that a guidance is not made of: what they say changes no result."""


CASES = "cases"
"""The stem of the file of worked cases."""


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


def read_documents(folder: Path, without: str = "") -> dict[str, object]:
    """Returns the values of all `*.yaml` files that a guidance is made of, by file stem.

    Args:
        without: the stem of a file that is taken as if nothing were listed in it.

    Raises:
        GuidanceError: the faults of all files together, a line each; also where there is no file.
    """
    documents: dict[str, object] = {}
    faults: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        if path.name in BESIDE_GUIDANCE:
            continue
        try:
            documents[path.stem] = [] if path.stem == without else read_yaml(path)
        except GuidanceError as error:
            faults.extend(error.faults)
    if not documents and not faults:
        faults.append("guidance.yaml: is missing; expected mapping files (*.yaml)")
    if faults:
        raise GuidanceError(faults)
    return documents


def read_messages(folder: Path) -> dict[str, object]:
    """Returns the values of all files in `messages/` of a mapping folder, by language.

    Raises:
        GuidanceError: the faults of all files together, a line each.
    """
    texts = folder / "messages"
    if not any(texts.glob("*.yaml")):
        return {}
    try:
        return read_documents(texts)
    except GuidanceError as error:
        raise GuidanceError([f"{texts.name}/{fault}" for fault in error.faults]) from error


def value_from(text: str, name: str) -> object:
    """Returns the plain value that a YAML text writes; `name` is the file's, for faults.

    Raises:
        GuidanceError: `name: line n: what was expected`.
    """
    try:
        return _Document(text).value()
    except _Refused as refused:
        raise GuidanceError([f"{name}: line {refused.line}: {refused}"]) from refused
    except yaml.YAMLError as error:
        raise GuidanceError([f"{name}: {_not_yaml(error, text)}"]) from error


class _Document:
    """One YAML text, read event by event: what it may not hold is refused before anything is built of it."""

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=_LOADER)
        self._depth = 0

    def value(self) -> object:
        """Returns the value of the only document; None if there is none.

        Raises:
            _Refused: the text holds what mapping files do not use, or a second document.
            yaml.YAMLError: it is not YAML.
        """
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(self._node())
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _Refused(_line(after), "expected one document only")
        return value

    def _node(self) -> yaml.Event:
        event = next(self._events)
        if isinstance(event, yaml.NodeEvent):
            if event.anchor is not None:  # an alias names one, too
                raise _Refused(_line(event), "expected no anchor (&) and no alias (*)")
            if getattr(event, "tag", None) is not None:
                raise _Refused(_line(event), "expected no tag (!)")
            if self._depth > _DEEPEST:
                raise _Refused(_line(event), f"expected at most {_DEEPEST} levels")
        return event

    def _value(self, event: yaml.Event) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        self._depth += 1
        value = self._mapping() if isinstance(event, yaml.MappingStartEvent) else self._list()
        self._depth -= 1
        return value

    def _list(self) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := self._node(), yaml.SequenceEndEvent):
            values.append(self._value(event))
        return values

    def _mapping(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := self._node(), yaml.MappingEndEvent):
            key = self._value(event)
            if not isinstance(key, str):
                raise _Refused(_line(event), "expected text as a key; put it in quotes")
            if key in values:
                raise _Refused(_line(event), f"expected each key once; {key} stands here again")
            values[key] = self._value(self._node())
        return values


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _scalar(event: yaml.ScalarEvent) -> object:
    text = str(event.value)
    if not event.implicit[0]:  # it stands in quotes
        return text
    if text[:1] not in _BEGINS_NUMBER:
        return _WORDS.get(text, text)
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    return _WORDS.get(text, text)


def _not_yaml(error: yaml.YAMLError, text: str) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = "" if mark is None else f"line {mark.line + 1}: "
    lines = [] if mark is None else text.split("\n")[mark.line : mark.line + 1]
    if any(line.startswith("\t") for line in (line.lstrip(" ") for line in lines)):
        problem = "expected blanks, not a tab, to indent with"
    return f"{place}not YAML: {problem or 'expected printable characters only'}"
