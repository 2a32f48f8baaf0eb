"""Each answer of an enabled question against its options and limits."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha1
from itertools import chain
from typing import Any

from service.datatypes.answers import Answer, Coding, Quantity
from service.errors import Problem
from service.fhir.extensions import mappings, text
from service.fhir.outcome import severity
from service.fhir.primitives import ID
from service.questionnaire.items import Item, Limits, Options
from service.questionnaire.pairing import Given, Occurrence
from service.questionnaire.pattern import Patience, PatternInvalid, PatternTooSlow
from service.questionnaire.values import order

# Whether one typed answer keeps to the limits of its question; every fault, in words.
#
# Both paths use this: the fast one asks only whether there is any fault at all.
#
# Source: FHIR R4 Questionnaire.item.maxLength; extensions minLength, minValue, maxValue,
# maxDecimalPlaces, questionnaire-unitOption; SDC minQuantity, maxQuantity.

LimitFault = tuple[str, str]
"""Kind, and what was expected."""

_TEXTS = frozenset({"string", "text", "url", "open-choice"})


def limit_faults(item: Item, answer: Answer, unit_system: str = "") -> Iterator[LimitFault]:
    """Yields (kind, expectation) for every limit that the answer passes.

    Args:
        unit_system: `system` of a quantity, empty where it has none.
    """
    limits = item.limits
    if isinstance(answer, Quantity):
        yield from _unit_faults(limits, answer.unit, unit_system)
        yield from _range_faults(answer, limits.low_quantity, limits.high_quantity)
        yield from _number_faults(limits, answer.value)
    elif isinstance(answer, str):
        yield from _length_faults(item, answer)
        yield from _range_faults(answer, limits.low, limits.high)
    elif isinstance(answer, Decimal):
        yield from _range_faults(answer, limits.low, limits.high)
        yield from _places_faults(limits, answer)
    elif isinstance(answer, int) and not isinstance(answer, bool):
        yield from _range_faults(answer, limits.low, limits.high)


def _length_faults(item: Item, answer: str) -> Iterator[LimitFault]:
    limits = item.limits
    if item.type not in _TEXTS:
        return
    if limits.max_length is not None and len(answer) > limits.max_length:
        yield "too-long", f"at most {limits.max_length} characters"
    if limits.min_length is not None and len(answer) < limits.min_length:
        yield "too-short", f"at least {limits.min_length} characters"


def _range_faults(answer: Answer, low: Answer | None, high: Answer | None) -> Iterator[LimitFault]:
    if low is not None:
        found = order(answer, low)
        if found is None:
            yield "not-comparable", f"a value that can be compared with the minimum {written(low)}"
        elif found < 0:
            yield "below-minimum", f"at least {written(low)}"
    if high is not None:
        found = order(answer, high)
        if found is None:
            yield "not-comparable", f"a value that can be compared with the maximum {written(high)}"
        elif found > 0:
            yield "above-maximum", f"at most {written(high)}"


def _number_faults(limits: Limits, value: Decimal) -> Iterator[LimitFault]:
    """Plain numbers as limits of a quantity hold for its value, in whatever unit it has."""
    yield from _range_faults(value, _plain(limits.low), _plain(limits.high))
    yield from _places_faults(limits, value)


def _plain(limit: Answer | None) -> Answer | None:
    return limit if isinstance(limit, int | Decimal) and not isinstance(limit, bool) else None


def _places_faults(limits: Limits, value: Decimal) -> Iterator[LimitFault]:
    places = limits.decimal_places
    exponent = value.as_tuple().exponent
    if places is not None and isinstance(exponent, int) and -exponent > places:
        yield "decimal-places", f"at most {places} decimal places"


def _unit_faults(limits: Limits, code: str, system: str) -> Iterator[LimitFault]:
    if not limits.units or limits.open_units:
        return
    expected = "one of the units " + ", ".join(unit.code for unit in limits.units)
    if not code:
        yield "unit-missing", f"a unit code, {expected}"
    elif not any(unit.code == code and system in ("", unit.system) for unit in limits.units):
        yield "unit-option", expected


def written(limit: Answer) -> str:
    """A limit as people read it: a quantity with its unit."""
    return f"{limit.value} {limit.unit}".strip() if isinstance(limit, Quantity) else str(limit)


# Attachments: type, size, and whether size, hash and data agree.
#
# Source: FHIR R4 Attachment (att-1: data needs a contentType); extensions mimeType and maxSize,
# whose megabyte is taken as 1,048,576 bytes.


def attachment_faults(limits: Limits, attachment: Mapping[str, Any]) -> Iterator[LimitFault]:
    """Yields (kind, expectation) for every fault of one Attachment."""
    yield from _type_faults(limits, attachment)
    data = _data(attachment)
    if data is None and "data" in attachment:
        yield "attachment-data", "data in base64"
        return
    size = attachment.get("size")
    stated = size if isinstance(size, int) and not isinstance(size, bool) else None
    if data is not None:
        yield from _agreement_faults(attachment, stated, data)
    yield from _size_faults(limits, len(data) if data is not None else stated)


def _type_faults(limits: Limits, attachment: Mapping[str, Any]) -> Iterator[LimitFault]:
    type_ = text(attachment.get("contentType")).partition(";")[0].strip().lower()
    permitted = ", ".join(limits.mime_types)
    if not type_:
        if limits.mime_types:
            yield "attachment-type-missing", f"a contentType, one of {permitted}"
        elif "data" in attachment:
            yield "attachment-type-missing", "a contentType beside the data"
    elif limits.mime_types and not any(_is_of(type_, allowed.lower()) for allowed in limits.mime_types):
        yield "attachment-type", f"a contentType of {permitted}"


def _is_of(type_: str, allowed: str) -> bool:
    return type_ == allowed or (allowed.endswith("/*") and type_.startswith(allowed[:-1])) or allowed == "*/*"


def _data(attachment: Mapping[str, Any]) -> bytes | None:
    data = attachment.get("data")
    if not isinstance(data, str):
        return None
    try:
        return b64decode("".join(data.split()), validate=True)
    except (NotBase64, ValueError):
        return None


def _agreement_faults(attachment: Mapping[str, Any], stated: int | None, data: bytes) -> Iterator[LimitFault]:
    if stated is not None and stated != len(data):
        yield "attachment-size-mismatch", "size to be the number of bytes of the data"
    hash_ = attachment.get("hash")
    if hash_ is not None and hash_ != b64encode(sha1(data, usedforsecurity=False).digest()).decode():
        yield "attachment-hash-mismatch", "hash to be the SHA-1 of the data, in base64"


def _size_faults(limits: Limits, size: int | None) -> Iterator[LimitFault]:
    if limits.max_bytes is None:
        return
    if size is None:
        yield "attachment-size-unknown", f"size or data, so that {limits.max_bytes} bytes at most can be seen"
    elif size > limits.max_bytes:
        yield "attachment-size", f"at most {limits.max_bytes} bytes"


# References: how they are written, and whether they lead to a type that the question permits.
#
# Source: FHIR R4 references.html (literal references, contained resources); extension
# questionnaire-referenceResource.

_LITERAL = re.compile(rf"(?:https?://[^\s?#|]+/)?(?P<type>[A-Z][A-Za-z]{{1,63}})/{ID}(?:/_history/{ID})?")
_URN = re.compile(
    r"urn:(?:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|oid:[0-2](?:\.(?:0|[1-9][0-9]*))+)"
)
_OTHER_URL = re.compile(r"https?://\S+")


def reference_faults(
    limits: Limits, reference: Mapping[str, Any], response: Mapping[str, Any]
) -> Iterator[LimitFault]:
    """Yields (kind, expectation) for every fault of one Reference.

    Args:
        response: the whole response, in which `#id` must be contained.
    """
    literal, named = text(reference.get("reference")), text(reference.get("type"))
    target = named
    if literal.startswith("#"):
        contained = _contained(literal[1:], response)
        if contained is None:
            yield "reference-contained", "a reference to a resource that the response contains"
            return
        target = text(contained.get("resourceType"))
    elif literal:
        match = _LITERAL.fullmatch(literal)
        if match is None and not _URN.fullmatch(literal) and not _OTHER_URL.fullmatch(literal):
            yield "reference-syntax", "a reference such as Patient/1, an absolute url, a urn or #id"
            return
        target = match["type"] if match is not None else named
    if limits.targets and target and target not in limits.targets:
        yield "reference-type", "a reference to " + " or ".join(limits.targets)


def _contained(id_: str, response: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((one for one in mappings(response.get("contained")) if one.get("id") == id_), None)


_URL = re.compile(
    r"urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:\S+|(?!urn:)[A-Za-z][A-Za-z0-9+.-]*:(?://[^\s/?#]+\S*|(?!//)\S+)"
)

_WITHOUT_TEXT = frozenset({"attachment", "reference"})

AnswerFault = tuple[str, str, str]
"""Kind, expectation, severity."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the answers of one response have in common: the response itself, and patience with patterns."""

    response: Mapping[str, Any]
    patience: Patience = field(default_factory=Patience)


def answer_problems(here: Occurrence, setting: Setting) -> Iterator[Problem]:
    """Yields every fault of the answers of one enabled occurrence."""
    item = here.item
    for given in here.given:
        if given.answer is None:
            continue
        for kind, expected, level in _faults(item, given, given.answer, setting):
            yield Problem(kind, f"{item.label}: expected {expected}.", given.path, level)
    if item.options is not None and len(here.given) > 1:
        yield from _together(here, item.options)


def _faults(item: Item, given: Given, answer: Answer, setting: Setting) -> Iterator[AnswerFault]:
    if item.options is not None:
        yield from _option_faults(item.options, answer)
    plain = chain(
        limit_faults(item, answer, _unit_system(answer, given.value)),
        _pattern_faults(item, answer, setting.patience),
        _url_faults(item, answer),
        attachment_faults(item.limits, given.value) if item.type == "attachment" else (),
        reference_faults(item.limits, given.value, setting.response) if item.type == "reference" else (),
    )
    for kind, expected in plain:
        yield kind, expected, severity(kind)


def _pattern_faults(item: Item, answer: Answer, patience: Patience) -> Iterator[tuple[str, str]]:
    pattern = item.limits.pattern
    if not pattern or item.type in _WITHOUT_TEXT or isinstance(answer, bool | Coding | Quantity):
        return
    try:
        if not patience.fits(pattern, str(answer)):
            yield "pattern", f"a text that matches {pattern}"
    except PatternTooSlow:
        yield "pattern-time", "a text on which the regular expression of the form comes to an end"
    except PatternInvalid:
        return


def _url_faults(item: Item, answer: Answer) -> Iterator[tuple[str, str]]:
    if item.type == "url" and isinstance(answer, str) and not _URL.fullmatch(answer):
        yield "url-syntax", "an absolute url, such as https://example.org, or a urn"


def _unit_system(answer: Answer, value: Any) -> str:
    return text(value.get("system")) if isinstance(answer, Quantity) else ""


def _option_faults(options: Options, answer: Answer) -> Iterator[AnswerFault]:
    if answer in options.choices or (options.open and isinstance(answer, str)):
        return
    named = f"the value set {options.value_set}"
    if options.unreachable:
        level = "warning" if options.open else "error"
        yield "value-set-unreachable", f"{named} to be at hand; the answer could not be checked", level
    elif isinstance(answer, Coding) and answer.system in options.uncertain:
        yield "value-set-uncertain", f"an answer of {named}, whose codes are not all listed here", "warning"
    else:
        expected = f"one of {named}" if options.value_set else "one of the options, by system and code"
        yield "answer-option", expected, severity("answer-option")


def _together(here: Occurrence, options: Options) -> Iterator[Problem]:
    seen: set[Answer] = set()
    for given in here.given:
        if given.answer is None:
            continue
        if given.answer in seen and given.answer in options.choices:
            text_ = f"{here.item.label}: expected each option once."
            yield Problem("answer-duplicate", text_, given.path, severity("answer-duplicate"))
        seen.add(given.answer)
        choice = options.choices.get(given.answer)
        if choice is not None and choice.exclusive:
            text_ = f"{here.item.label}: expected this option alone, because it excludes every other."
            yield Problem("answer-exclusive", text_, given.path, severity("answer-exclusive"))
