"""Reads bytes as one FHIR resource in JSON, strictly, in linear time and without recursion in our own code.

Source: FHIR R4 json.html (UTF-8; property names unique; nothing empty, nothing null except beside
a `_` twin; decimals keep their digits), RFC 8259, conformance checks RB01-RB10.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final, NoReturn

from service.errors import Malformed, Problem, ServiceError, TooLarge
from service.fhir import kinds
from service.fhir.walk import STRING_CHARACTERS, Refused, Repeated, problems_in

NUMBER_CHARACTERS: Final = 40
"""The longest number that is read; R4 asks for 18 digits at least."""

_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(each for each in range(256) if each not in b"[]{}")
_ONE_SHAPE = bytes.maketrans(b"[]", b"{}")
_OPENING = ord("{")
_WIDE_EXPONENT = re.compile(r"[eE][+-]?[0-9]{3}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a body may cost.

    Args:
        body_bytes: size of the body in bytes.
        depth: how many objects and arrays may stand inside each other, the resource included;
            at least 32, since the accept path reads bodies that deep without counting.
    """

    body_bytes: int = 2 * 1024 * 1024
    depth: int = 64


def read(data: bytes, limits: Limits) -> dict[str, Any]:
    """Returns the object in `data`: whole numbers as int, all others as Decimal with their digits.

    Args:
        data: UTF-8 bytes of one JSON object, whatever resource it is.
        limits: size and depth.

    Raises:
        TooLarge: the body, or strings in it, are over a limit.
        Malformed: it is not one strict FHIR JSON object; one problem per fault.
    """
    if len(data) > limits.body_bytes:
        text = f"The body is too large. Expected: at most {limits.body_bytes} bytes."
        raise TooLarge(Problem(kinds.BODY_SIZE, text))
    text = _decoded(data)
    skeleton = _without_strings(data)
    _check_depth(skeleton, limits.depth)
    resource = _parsed(text)
    problems, names = problems_in(resource, suspicious="\\" in text or len(text) > STRING_CHARACTERS)
    if names != skeleton.count(b":"):
        problems += _repeated(text)
    if problems:
        _refuse(problems)
    return resource


def read_published(data: bytes) -> dict[str, Any]:
    """Returns a resource that we publish ourselves, read by the same rules but without a size limit.

    Raises:
        ValueError: it is not strict FHIR JSON; a line per fault.
    """
    try:
        return read(data, Limits(body_bytes=len(data)))
    except ServiceError as refused:
        raise ValueError("\n".join(problem.text for problem in refused.problems)) from refused


def _refuse(problems: list[Problem]) -> NoReturn:
    sizes_only = all(problem.kind == kinds.STRING_SIZE for problem in problems)
    raise (TooLarge if sizes_only else Malformed)(*problems)


def _decoded(data: bytes) -> str:
    if data.startswith(b"\xef\xbb\xbf"):
        raise Malformed(Problem(kinds.ENCODING, "The body starts with a byte order mark. Expected: UTF-8."))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as fault:
        text = f"The body is not UTF-8 (byte {fault.start}). Expected: JSON in UTF-8."
        raise Malformed(Problem(kinds.ENCODING, text)) from None


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
        raise Malformed(Problem(kinds.DEPTH, text))


def _depth(brackets: bytes) -> int:
    return max(accumulate(1 if each == _OPENING else -1 for each in brackets), default=0)


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = _decoder().decode(text)
    except json.JSONDecodeError as fault:
        expected = f"line {fault.lineno}, column {fault.colno}). Expected: one JSON object."
        raise Malformed(Problem(kinds.JSON, f"The body is not JSON ({expected}")) from None
    if type(value) is not dict:
        raise Malformed(Problem(kinds.JSON_SHAPE, "The body is not an object. Expected: one FHIR resource."))
    return value


def _decoder(hook: Any = None) -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_int=_integer, parse_float=_decimal, parse_constant=_constant, object_pairs_hook=hook
    )


def _integer(digits: str) -> int | Decimal | Refused:
    if len(digits) > NUMBER_CHARACTERS:
        return Refused(kinds.NUMBER, f"a number of at most {NUMBER_CHARACTERS} characters")
    return Decimal(digits) if digits == "-0" else int(digits)


def _decimal(digits: str) -> Decimal | Refused:
    if len(digits) > NUMBER_CHARACTERS:
        return Refused(kinds.NUMBER, f"a number of at most {NUMBER_CHARACTERS} characters")
    if _WIDE_EXPONENT.search(digits):
        return Refused(kinds.NUMBER, "a number with an exponent of at most two digits")
    return Decimal(digits)


def _constant(_: str) -> Refused:
    return Refused(kinds.NUMBER, "a number in digits (JSON has no NaN and no Infinity)")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Repeated(members)


def _repeated(text: str) -> list[Problem]:
    """Returns a problem for each object that states a property twice; only run when there is one."""
    problems, _ = problems_in(_decoder(_pairs).decode(text), suspicious=False)
    return [problem for problem in problems if problem.kind == kinds.REPEATED_PROPERTY]
