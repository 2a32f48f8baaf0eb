"""Reads bytes as one FHIR resource in JSON, strictly, in linear time and without recursion in our own code.

What JSON allows and FHIR does not (a property twice, something empty, a null that stands for nothing)
is found by a walk through the decoded body. Each fault names its place as FHIRPath.

Source: FHIR R4 json.html (UTF-8; property names unique; nothing empty, nothing null except beside
a `_` sibling; decimals keep their digits); RFC 8259.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final, NamedTuple

import msgspec

from service.errors import Malformed, Problem, ProblemList, ServiceError, TooLarge

Json = Mapping[str, Any]
"""A JSON object that is read; its whole numbers are int, all others Decimal."""

MutableJson = dict[str, Any]
"""A JSON object that may still change: it was just read, or is being written."""

STRING_CHARACTERS: Final = 1024 * 1024
"""The longest string that R4 allows."""

NUMBER_CHARACTERS: Final = 40
"""The longest number that is read; R4 asks for 18 digits at least."""

_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_ONE_SHAPE = bytes.maketrans(b"[]", b"{}")
_OPENING = ord("{")
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_WIDE_EXPONENT = re.compile(r"[eE][+-]?[0-9]{3}")


class BodyLimits(msgspec.Struct, frozen=True):
    """What a body may cost.

    Args:
        body_bytes: size of the body in bytes.
        depth: how many objects and arrays may stand inside each other, the resource included;
            at least 32, since the accept path reads bodies that deep without counting.
    """

    body_bytes: int = 2 * 1024 * 1024
    depth: int = 64


def read(data: bytes, limits: BodyLimits) -> MutableJson:
    """Returns the object in `data`: whole numbers as int, all others as Decimal with their digits.

    Args:
        data: UTF-8 bytes of one JSON object, whatever resource it is.
        limits: size and depth.

    Raises:
        TooLarge: the body, or strings in it, are over a limit.
        Malformed: it is not one strict FHIR JSON object; one problem per fault.
    """
    resource, problems = read_with_faults(data, limits)
    refuse(problems)
    return resource


def read_with_faults(data: bytes, limits: BodyLimits) -> tuple[MutableJson, tuple[Problem, ...]]:
    """Reads a body as `read` does, but returns its faults instead of raising them.

    Raises:
        TooLarge: the body is over the limit.
        Malformed: it is not one JSON object in UTF-8, or nested too deep: there is nothing to return.
    """
    if len(data) > limits.body_bytes:
        text = f"The body is too large. Expected: at most {limits.body_bytes} bytes."
        raise TooLarge(Problem("body-size", text))
    text = _decoded(data)
    skeleton = _without_strings(data)
    _check_depth(skeleton, limits.depth)
    resource = _parsed(text)
    problems, names = problems_in(resource, check_strings="\\" in text or len(text) > STRING_CHARACTERS)
    if names != skeleton.count(b":"):
        problems.extend(_repeated(text))
    return resource, problems.listed()


def refuse(problems: Sequence[Problem]) -> None:
    """Raises TooLarge if strings are too long and that is the only fault, Malformed for any other."""
    if problems:
        sizes_only = {problem.kind for problem in problems} <= {"string-size", "more-problems"}
        raise (TooLarge if sizes_only else Malformed)(*problems)


def without_faults(value: Any) -> Any:
    """Returns a value that `read_with_faults` returned, without what is empty, null or no value of FHIR.

    A null in an array stays, since it may stand beside a sibling; what no text may hold is replaced.
    """
    if isinstance(value, str):
        return FORBIDDEN.sub("\ufffd", value)
    if isinstance(value, list):
        kept = (without_faults(member) for member in value if not isinstance(member, list))
        return [member for member in kept if member is None or not _is_nothing(member)]
    if isinstance(value, dict):
        members = {name: without_faults(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if not _is_nothing(member)}
    return value


def _is_nothing(value: object) -> bool:
    return value is None or isinstance(value, Refused) or value in ("", [], {})


def encoded(value: Any) -> bytes:
    """Returns JSON in which decimals keep their digits: `1.50` stays `1.50`."""
    return _ENCODER.encode(value)


def decoded(data: bytes) -> MutableJson:
    """Reads bytes that `read` has checked before, without checking them again."""
    number = _integer if b"-0" in data else int
    found: MutableJson = json.JSONDecoder(parse_int=number, parse_float=Decimal).decode(data.decode("utf-8"))
    return found


def read_published(data: bytes) -> MutableJson:
    """Returns a resource that we publish ourselves, read by the same rules but without a size limit.

    Raises:
        ValueError: it is not strict FHIR JSON; a line per fault.
    """
    try:
        return read(data, BodyLimits(body_bytes=len(data)))
    except ServiceError as refused:
        raise ValueError("\n".join(problem.text for problem in refused.problems)) from refused


def _decoded(data: bytes) -> str:
    if data.startswith(b"\xef\xbb\xbf"):
        raise Malformed(Problem("encoding", "The body starts with a byte order mark. Expected: UTF-8."))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as fault:
        text = f"The body is not UTF-8 (byte {fault.start}). Expected: JSON in UTF-8."
        raise Malformed(Problem("encoding", text)) from None


def _without_strings(data: bytes) -> bytes:
    """Returns the brackets, commas, colons, numbers and words that stand outside strings."""
    return _STRINGS.sub(b"", data) if b"\\" in data else b"".join(data.split(b'"')[::2])


def _check_depth(skeleton: bytes, limit: int) -> None:
    """Takes away the innermost pairs of brackets, one level at a time, as often as levels are allowed."""
    brackets = skeleton.translate(_ONE_SHAPE, _NOT_BRACKETS)
    for _ in range(limit):
        if not brackets:
            return
        brackets = brackets.replace(b"{}", b"")
    if brackets and _depth(skeleton.translate(_ONE_SHAPE, _NOT_BRACKETS)) > limit:
        text = f"The body is nested too deeply. Expected: at most {limit} levels of objects and arrays."
        raise Malformed(Problem("depth", text))


def _depth(brackets: bytes) -> int:
    return max(accumulate(1 if bracket == _OPENING else -1 for bracket in brackets), default=0)


def _parsed(text: str) -> MutableJson:
    try:
        value = _decoder().decode(text)
    except json.JSONDecodeError as fault:
        expected = f"line {fault.lineno}, column {fault.colno}). Expected: one JSON object."
        raise Malformed(Problem("json", f"The body is not JSON ({expected}")) from None
    if type(value) is not dict:
        raise Malformed(Problem("json-shape", "The body is not an object. Expected: one FHIR resource."))
    return value


def _decoder(hook: Any = None) -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_int=_integer, parse_float=_decimal, parse_constant=_constant, object_pairs_hook=hook
    )


def _integer(digits: str) -> int | Decimal | Refused:
    if len(digits) > NUMBER_CHARACTERS:
        return Refused("number", f"a number of at most {NUMBER_CHARACTERS} characters")
    return Decimal(digits) if digits == "-0" else int(digits)


def _decimal(digits: str) -> Decimal | Refused:
    if len(digits) > NUMBER_CHARACTERS:
        return Refused("number", f"a number of at most {NUMBER_CHARACTERS} characters")
    if _WIDE_EXPONENT.search(digits):
        return Refused("number", "a number with an exponent of at most two digits")
    return Decimal(digits)


def _constant(_: str) -> Refused:
    return Refused("number", "a number in digits (JSON has no NaN and no Infinity)")


def _pairs(pairs: list[tuple[str, Any]]) -> MutableJson:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Repeated(members)


def _repeated(text: str) -> list[Problem]:
    """Returns a problem for each object that states a property twice; only run when there is one."""
    problems, _ = problems_in(_decoder(_pairs).decode(text), check_strings=False)
    return [problem for problem in problems if problem.kind == "repeated-property"]


# Where a value stands in a resource: a chain, written as FHIRPath only when a fault is reported.

Place = tuple[Any, str, int | None] | None
"""Parent place, element name, index in its array; None is the resource itself."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}", re.ASCII)
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}", re.ASCII)


def root_of(resource: Json) -> str:
    """Returns the resource type as the root of paths, or `Resource` where it names none."""
    named = resource.get("resourceType")
    return named if isinstance(named, str) and _TYPE.fullmatch(named) else "Resource"


def is_name(name: str) -> bool:
    """Says whether a name may be repeated in an answer: it can only be the name of an element."""
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


def relative_path(root: str, place: Place) -> str:
    """Returns the path below the resource, for a person to read; for the resource itself, its type."""
    return expression(root, place).removeprefix(f"{root}.")


def problem_at(root: str, place: Place, kind: str, expected: str) -> Problem:
    """Returns the problem of an element that is not as `expected`."""
    return Problem(kind, f"{relative_path(root, place)}: expected {expected}.", expression(root, place))


# The walk through a decoded body, with its own stack.

_PLAIN = frozenset({bool, int, Decimal})
FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
"""What no string of FHIR may hold: control characters, and half of a character."""


class Refused(NamedTuple):
    """Stands in the decoded tree where a value cannot be taken; the walk reports it with its path."""

    kind: str
    expected: str


class Repeated(MutableJson):
    """A decoded object in which a property name stood twice."""


def problems_in(resource: MutableJson, *, check_strings: bool) -> tuple[ProblemList, int]:
    """Returns the faults of a decoded body, and how many properties it has.

    Args:
        resource: may hold `Refused` and `Repeated` in the places of what JSON allows and FHIR does not.
        check_strings: whether strings can be too long, or have characters that only escapes can bring.
    """
    walk = _Walk(root_of(resource), check_strings=check_strings)
    names = walk.run(resource)
    return walk.problems, names


class _Walk:
    """One walk through one resource; `root` is its type, with which paths begin."""

    def __init__(self, root: str, *, check_strings: bool) -> None:
        self.problems = ProblemList()
        self._root = root
        self._check_strings = check_strings
        self._stack: list[tuple[MutableJson, Place]] = []

    def run(self, resource: MutableJson) -> int:
        """Returns how many properties were seen."""
        names, stack, check_strings = 0, self._stack, self._check_strings
        stack.append((resource, None))
        while stack:
            members, place = stack.pop()
            names += len(members)
            if not members or type(members) is Repeated:
                self._object(members, place)
            for name, value in members.items():
                kind = type(value)
                if kind is str:
                    if not value or check_strings:
                        self._string(value, (place, name, None))
                elif kind is dict:
                    stack.append((value, (place, name, None)))
                elif kind is list:
                    self._array(value, members, place, name)
                elif kind not in _PLAIN:
                    self._value(value, (place, name, None))
        return names

    def _object(self, members: MutableJson, place: Place) -> None:
        if members:
            self._report("repeated-property", place, "each property name once in an object")
        else:
            self._report("empty", place, "an object with at least one property")

    def _array(self, values: list[Any], members: Json, place: Place, name: str) -> None:
        if not values:
            self._report("empty", (place, name, None), "an array with at least one entry")
        for index, value in enumerate(values):
            kind = type(value)
            if kind is dict:
                self._stack.append((value, (place, name, index)))
            elif kind is str:
                self._string(value, (place, name, index))
            elif kind is list:
                self._report("json-shape", (place, name, index), "no array directly inside an array")
                self._array_inside(value, (place, name, index))
            elif value is None and _has_sibling(members, name, index):
                continue
            elif kind not in _PLAIN:
                self._value(value, (place, name, index))

    def _array_inside(self, values: list[Any], place: Place) -> None:
        """Looks through an array inside an array too, so that the count of properties stays true."""
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
            self._report("null", place, "a value, or no property at all (never null)")

    def _string(self, value: str, place: Place) -> None:
        if not value:
            self._report("empty", place, "a string that is not empty, or no property at all")
        elif len(value) > STRING_CHARACTERS:
            self._report("string-size", place, f"a string of at most {STRING_CHARACTERS} characters")
        elif FORBIDDEN.search(value):
            self._report("character", place, "text without control characters or half surrogates")

    def _report(self, kind: str, place: Place, expected: str) -> None:
        if self.problems.has_room(kind):
            self.problems.append(problem_at(self._root, place, kind, expected))


def _has_sibling(members: Json, name: str, index: int) -> bool:
    sibling = members.get(name[1:] if name.startswith("_") else f"_{name}")
    return isinstance(sibling, list) and index < len(sibling) and sibling[index] is not None and is_name(name)
