"""Each answer of an enabled question against its options, its limits and the rules of its type.

`limit_faults` is shared: the accept path asks it whether there is any fault at all.

Where unit, precision or type do not allow to compare an answer with a limit, that is undecided: a notice
that gives the reason.

Source: FHIR R4 Questionnaire.item.maxLength; extensions minLength, minValue, maxValue, maxDecimalPlaces,
questionnaire-unitOption, mimeType, maxSize and questionnaire-referenceResource; SDC minQuantity,
maxQuantity, unitOpen, unitSupplementalSystem; FHIR R4 Attachment (size: bytes before they are encoded;
att-1: data needs a contentType); references.html (literal references, contained resources).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import sha1

import msgspec

from service.datatypes.answers import Answer, Coding, Quantity, Unread
from service.datatypes.spelling import folded
from service.datatypes.ucum import SYSTEM as UCUM
from service.datatypes.ucum import codes_by, names_another
from service.errors import Lookup, Problem
from service.fhir.dates import is_date_time, is_time
from service.fhir.extensions import text
from service.fhir.json import Json
from service.fhir.outcome import severity
from service.fhir.references import reference_fault
from service.questionnaire.items import AnswerLimits, Item, Options
from service.questionnaire.pairing import Occurrence, ResponseAnswer
from service.questionnaire.pattern import PatternBudget, PatternInvalid, PatternTooSlow
from service.questionnaire.problems import problem
from service.questionnaire.values import possible_signs
from service.terminology.membership import Membership

Fault = tuple[str, str]
"""Kind, and what was expected; of an undecided kind, why it is."""

_UNDECIDED = "-undecided"
"""How the kinds of what is undecided end."""

_MOST_NAMED = 16
"""So many options are named in full where an answer is none of them."""

_BYTES_PER_MEGABYTE = 1024 * 1024

_OF_THE_FORM: Mapping[str, str] = {
    "above-maximum": "at most the maximum of the form",
    "attachment-size": "at most as many megabytes as the form permits",
    "attachment-type": "a contentType that the form permits",
    "attachment-type-missing": "a contentType",
    "below-minimum": "at least the minimum of the form",
    "decimal-places": "at most as many decimal places as the form permits",
    "limit-undecided": "the answer cannot be compared with a limit of the form",
    "pattern": "a text that matches the regular expression of the form",
    "reference-type": "a reference to a type of resource that R4 has and the form permits",
    "too-long": "at most as many characters as the form permits",
    "too-short": "at least as many characters as the form demands",
}
"""What is expected, by kind, where the form came with the response: its limits are its sender's words."""

_OF_TIME = frozenset({"date", "dateTime", "time"})
_WITH_LENGTH = frozenset({"string", "text", "url", "open-choice"})
_WITHOUT_TEXT = frozenset({"attachment", "reference"})

_ABSOLUTE_URL = re.compile(
    r"urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:\S+|(?!urn:)[A-Za-z][A-Za-z0-9+.-]*:(?://[^\s/?#]+\S*|(?!//)\S+)"
)


class AnswerContext(msgspec.Struct, frozen=True):
    """What the answers of one response share: what it contains, and the time left for slow patterns.

    Args:
        contained: types of the contained resources by `#id`.
    """

    contained: Mapping[str, str]
    patterns: PatternBudget = msgspec.field(default_factory=PatternBudget)


def answer_problems(occurrence: Occurrence, context: AnswerContext) -> Iterator[Problem]:
    """Yields every problem of the answers of one enabled occurrence."""
    item = occurrence.item
    for found in occurrence.response_answers:
        answer = found.answer
        if answer is None or isinstance(answer, Unread):
            continue
        for kind, expected in _faults(item, found, answer, context):
            words = "not decided, because" if kind.endswith(_UNDECIDED) else "expected"
            named = expected if item.is_quoted else _OF_THE_FORM.get(kind, expected)
            words = f"{item.label}: {words} {named}."
            lookup = _lookup(item, found, kind)
            yield Problem(kind, words, found.path, severity(kind), lookup=lookup, about=item.text)
        if item.options is not None and isinstance(answer, Coding) and "display" in found.value:
            yield from _display_problems(item, item.options, found, answer)
    if item.options is not None and len(occurrence.response_answers) > 1:
        yield from _problems_together(occurrence, item.options)


def _faults(item: Item, found: ResponseAnswer, answer: Answer, context: AnswerContext) -> Iterator[Fault]:
    limits, value = item.limits, found.value
    if item.options is not None:
        yield from _option_faults(item, item.options, answer)
    yield from typed_faults(
        item, answer, context.patterns, _unit_of(value) if isinstance(answer, Quantity) else ()
    )
    if item.type == "attachment":
        yield from _attachment_faults(limits, value)
    elif item.type == "reference":
        yield from _reference_faults(limits, value, context.contained)


def typed_faults(
    item: Item, answer: Answer, patterns: PatternBudget, unit: tuple[str, ...] = ()
) -> Iterator[Fault]:
    """Yields (kind, expectation) for every fault of an answer that the answer alone tells, once it is typed.

    Args:
        unit: as `limit_faults` takes it.
    """
    yield from limit_faults(item, answer, unit)
    if item.limits.pattern:
        yield from _pattern_faults(item, answer, patterns)
    if item.type == "url":
        yield from _url_faults(answer)


def _option_faults(item: Item, options: Options, answer: Answer) -> Iterator[Fault]:
    found = options.membership(answer)
    if found.is_member is None:
        yield "membership-undecided", _reason(item, found)
    elif not found.is_member:
        yield "answer-option", _permitted_by(item, options)


def _permitted_by(item: Item, options: Options) -> str:
    if not options.value_set:
        named = _by_system(options) if item.is_quoted else ""
        return f"one of the options {named}" if named else "one of the options, by system and code"
    return f"one of the value set {options.value_set}" if item.is_quoted else "one of its value set"


def _by_system(options: Options) -> str:
    """Returns the codes of each system: `a, b (http://loinc.org)`; empty where there are none or too many."""
    codes: dict[str, list[str]] = {}
    for option in options.coded if len(options.coded) <= _MOST_NAMED else ():
        codes.setdefault(option.coding.system, []).append(option.coding.code)
    return "; ".join(f"{', '.join(named)} ({system})" for system, named in codes.items())


def _reason(item: Item, found: Membership) -> str:
    """Says why membership is not decided; names what is not known, if the form may be quoted."""
    return f"{found.reason}: {found.about}" if found.about and item.is_quoted else found.reason


def _lookup(item: Item, found: ResponseAnswer, kind: str) -> Lookup | None:
    """Returns how a terminology server can settle whether a code belongs to a value set."""
    if kind == "membership-undecided" and item.options is not None and isinstance(found.answer, Coding):
        coding, membership = found.answer, item.options.membership(found.answer)
        refused = ("answer-option", _permitted_by(item, item.options))
    elif kind == "unit-undecided" and isinstance(found.answer, Quantity):
        coding = Coding(text(found.value.get("system")), found.answer.unit)
        membership = unit_membership(item.limits, coding)
        refused = ("unit-option", _permitted_units(item))
    else:
        return None
    words = f"{item.label}: expected {refused[1]}."
    asks = membership.asks
    return Lookup(asks, coding.system, coding.code, (refused[0], words)) if asks and coding.system else None


def _display_problems(
    item: Item, options: Options, found: ResponseAnswer, coding: Coding
) -> Iterator[Problem]:
    """Yields that a display is none of the names that its code is known by; blanks and case do not count.

    An error where it is the name of another option: nobody knows which of the two was meant.
    """
    shown, names = text(found.value.get("display")), options.names(coding)
    if not shown or shown in names or folded(shown) in map(folded, names):
        return
    path, expected = f"{found.path}.value.display", _expected_display(item, options, coding)
    if coding in options.choices and options.named(shown):
        words = f"{item.label}: expected {expected}, and not that of another option."
        yield problem("display-of-another", words, path)
    elif names:
        yield problem("display-wrong", f"{item.label}: expected {expected}.", path, item.text)


def _expected_display(item: Item, options: Options, coding: Coding) -> str:
    """Returns how a code should be shown, in words that are not the sender's."""
    names = options.names(coding) if item.is_quoted else options.value_sets.names(coding)
    return f"the display “{names[0]}” with this code" if names else "a display that belongs to the code"


def _problems_together(occurrence: Occurrence, options: Options) -> Iterator[Problem]:
    """Yields options that are given twice, or together with one that excludes every other."""
    item = occurrence.item
    seen: set[Answer] = set()
    for found in occurrence.response_answers:
        if found.answer is None or isinstance(found.answer, Unread):
            continue
        if found.answer in seen and found.answer in options.choices:
            words = f"{item.label}: expected each option once."
            yield problem("answer-duplicate", words, found.path, item.text)
        seen.add(found.answer)
        choice = options.choices.get(found.answer)
        if choice is not None and choice.exclusive:
            words = f"{item.label}: expected this option alone, because it excludes every other."
            yield problem("answer-exclusive", words, found.path)


def _pattern_faults(item: Item, answer: Answer, patterns: PatternBudget) -> Iterator[Fault]:
    pattern = item.limits.pattern
    if item.type in _WITHOUT_TEXT or isinstance(answer, bool | Coding | Quantity):
        return
    try:
        if not patterns.matches(pattern, str(answer)):
            yield "pattern", f"a text that matches {pattern}"
    except PatternTooSlow:
        yield "pattern-undecided", "the regular expression of the form took too long on this text"
    except PatternInvalid:
        yield "pattern-undecided", "the regular expression of the form cannot be used"


def _url_faults(answer: Answer) -> Iterator[Fault]:
    if isinstance(answer, str) and not _ABSOLUTE_URL.fullmatch(answer):
        yield "url-syntax", "an absolute url, such as https://example.org, or a urn"


# Limits on length, range, decimal places and unit.


NO_UNIT = ("", "")


def _unit_of(quantity: Json) -> tuple[str, str]:
    """Returns `system` and `unit` of a quantity, empty where it has none."""
    return text(quantity.get("system")), text(quantity.get("unit"))


def limit_faults(item: Item, answer: Answer, unit: tuple[str, ...] = NO_UNIT) -> Iterator[Fault]:
    """Yields (kind, expectation) for every limit that the answer passes, or that is undecided for it.

    Args:
        unit: `system` and `unit` of a quantity, empty where it has none.
    """
    limits = item.limits
    if isinstance(answer, Quantity):
        yield from _unit_faults(item, answer.unit, *unit)
        yield from _range_faults(item, answer, limits.min_quantity, limits.max_quantity)
        yield from _number_faults(item, answer)
        if answer.comparator:
            yield "answer-range", "a value; one with a comparator is a range, and may leave limits open"
    elif isinstance(answer, str):
        yield from _length_faults(item, answer)
        yield from _range_faults(item, answer, limits.min_value, limits.max_value)
    elif isinstance(answer, Decimal):
        yield from _range_faults(item, answer, limits.min_value, limits.max_value)
        yield from _decimal_places_faults(limits, answer)
    elif isinstance(answer, int) and not isinstance(answer, bool):
        yield from _range_faults(item, answer, limits.min_value, limits.max_value)


def plain_number(limit: Answer | None) -> int | Decimal | None:
    """Returns a limit that is a number without a unit, else None."""
    return limit if isinstance(limit, int | Decimal) and not isinstance(limit, bool) else None


def _length_faults(item: Item, answer: str) -> Iterator[Fault]:
    limits = item.limits
    if item.type not in _WITH_LENGTH:
        return
    if limits.max_length is not None and len(answer) > limits.max_length:
        yield "too-long", f"at most {limits.max_length} characters"
    if limits.min_length is not None and len(answer) < limits.min_length:
        yield "too-short", f"at least {limits.min_length} characters"


def _range_faults(item: Item, answer: Answer, low: Answer | None, high: Answer | None) -> Iterator[Fault]:
    if low is not None:
        signs = _signs(item, answer, low)
        if signs == (-1,):
            yield "below-minimum", f"at least {_written(low)}"
        elif not signs or -1 in signs:
            yield "limit-undecided", f"the answer cannot be compared with the minimum {_written(low)}"
    if high is not None:
        signs = _signs(item, answer, high)
        if signs == (1,):
            yield "above-maximum", f"at most {_written(high)}"
        elif not signs or 1 in signs:
            yield "limit-undecided", f"the answer cannot be compared with the maximum {_written(high)}"


def _signs(item: Item, answer: Answer, limit: Answer) -> tuple[int, ...]:
    """Returns -1, 0 or 1 as an answer is below a limit, in it or above it; all that are possible.

    Nothing where the two cannot be compared.

    A limit that is a day, month or year includes all of it. A date has no zone, so that the day of an answer
    is the one that is written, in whatever zone it is.

    Source: R4 datatypes.html#date; minValue and maxValue, whose bounds are inclusive.
    """
    if item.type not in _OF_TIME or not isinstance(answer, str) or not isinstance(limit, str):
        return possible_signs(answer, limit)
    is_of_type = is_time if item.type == "time" else is_date_time
    if not is_of_type(limit):
        return ()
    if item.type != "time" and "T" not in limit and len(answer) > len(limit):
        return possible_signs(answer[: len(limit)], limit)
    return possible_signs(answer, limit)


def _written(limit: Answer) -> str:
    """Returns a limit as people read it: a quantity with its unit."""
    return f"{limit.value} {limit.unit}".strip() if isinstance(limit, Quantity) else str(limit)


def _number_faults(item: Item, answer: Quantity) -> Iterator[Fault]:
    """Plain numbers as limits of a quantity hold for its value, in whatever unit it has."""
    low, high = plain_number(item.limits.min_value), plain_number(item.limits.max_value)
    if low is not None or high is not None:
        yield from _range_faults(item, answer._replace(unit=""), _without_unit(low), _without_unit(high))
    yield from _decimal_places_faults(item.limits, answer.value)


def _without_unit(number: int | Decimal | None) -> Quantity | None:
    return Quantity(Decimal(number), "") if number is not None else None


def _decimal_places_faults(limits: AnswerLimits, value: Decimal) -> Iterator[Fault]:
    places = limits.max_decimal_places
    exponent = value.as_tuple().exponent
    if places is not None and isinstance(exponent, int) and -exponent > places:
        yield "decimal-places", f"at most {places} decimal places"


def _unit_faults(item: Item, code: str, system: str, name: str) -> Iterator[Fault]:
    """Yields a unit that the question does not permit; others than those listed only as unitOpen says."""
    limits = item.limits
    if names_another_unit(limits, code, system, name):
        yield "display-of-another", "the name of the unit that the code says, and not that of another"
    if limits.open_units or not (limits.units or limits.unit_value_set):
        return
    found = unit_membership(limits, Coding(system, code)) if code else Membership(is_member=False)
    if found.is_member:
        return
    expected = _permitted_units(item)
    if limits.unit_open == "optionsOrString":
        if not code and not name:
            yield "unit-missing", f"{expected}, or another unit"
    elif not code:
        yield "unit-missing", f"a unit code, {expected}"
    elif limits.unit_open != "optionsOrType":
        yield from _unlisted_unit_faults(item, found, expected)
    elif limits.unit_system and system != limits.unit_system:
        system_named = limits.unit_system if item.is_quoted else "the same code system"
        yield "unit-option", f"{expected}, or another of {system_named}"


def names_another_unit(limits: AnswerLimits, code: str, system: str, name: str) -> bool:
    """Whether the text of a unit names another unit than its code: of the question, or that UCUM has.

    Nobody knows which of the two was meant. A code that is none of the question's is refused for that alone.
    """
    is_taken = limits.open_units or limits.unit_open or any(unit.code == code for unit in limits.units)
    if not code or not name or not is_taken:
        return False
    named = codes_by(limits.unit_names, name)
    return code not in named if named else system in ("", UCUM) and names_another(code, name)


def _unlisted_unit_faults(item: Item, found: Membership, expected: str) -> Iterator[Fault]:
    """Yields that a unit is not in a closed list, or that it cannot be told."""
    if found.is_member is None:
        yield "unit-undecided", _reason(item, found)
    else:
        yield "unit-option", expected


def _permitted_units(item: Item) -> str:
    """Returns which units a quantity may have, in words."""
    limits = item.limits
    if not item.is_quoted:
        return "one of the units that the form permits"
    if limits.unit_value_set:
        return f"one of the units of the value set {limits.unit_value_set}"
    return "one of the units " + ", ".join(unit.code for unit in limits.units)


def unit_membership(limits: AnswerLimits, unit: Coding) -> Membership:
    """Returns whether a unit is permitted; one without a system is meant by its code."""
    if any(known.code == unit.code and unit.system in ("", known.system) for known in limits.units):
        return Membership(is_member=True)
    if not limits.unit_value_set:
        return Membership(is_member=False)
    meant = Coding(unit.system or UCUM, unit.code)
    return limits.value_sets.membership(limits.unit_value_set, meant)


# Attachments: type, size, and whether size, hash and data agree.


def _attachment_faults(limits: AnswerLimits, attachment: Json) -> Iterator[Fault]:
    yield from _content_type_faults(limits, attachment)
    data = _data(attachment)
    if data is None and "data" in attachment:
        yield "attachment-data", "data in base64"
        return
    size = attachment.get("size")
    stated = size if isinstance(size, int) and not isinstance(size, bool) else None
    if data is not None:
        yield from _agreement_faults(attachment, stated, data)
    yield from _size_faults(limits, len(data) if data is not None else stated)


def _content_type_faults(limits: AnswerLimits, attachment: Json) -> Iterator[Fault]:
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


def _data(attachment: Json) -> bytes | None:
    data = attachment.get("data")
    if not isinstance(data, str):
        return None
    try:
        return b64decode("".join(data.split()), validate=True)
    except (NotBase64, ValueError):
        return None


def _agreement_faults(attachment: Json, stated: int | None, data: bytes) -> Iterator[Fault]:
    if stated is not None and stated != len(data):
        yield "attachment-size-mismatch", "size to be the number of bytes of the data"
    hash_ = attachment.get("hash")
    if hash_ is not None and hash_ != b64encode(sha1(data, usedforsecurity=False).digest()).decode():
        yield "attachment-hash-mismatch", "hash to be the SHA-1 of the data, in base64"


def _size_faults(limits: AnswerLimits, size: int | None) -> Iterator[Fault]:
    """Yields an attachment that is too large, counted in bytes before they are encoded.

    R4 has maxSize in megabytes, the registry of extensions, which took it over under the same url, in bytes.
    What lies within the one and beyond the other is undecided. There are no parts of a byte.

    Source: http://hl7.org/fhir/R4/extension-maxsize.html; http://hl7.org/fhir/extensions, maxSize 1.0.0.
    """
    limit = limits.max_size
    if limit is None:
        return
    if size is None:
        yield "limit-undecided", "the attachment has neither size nor data"
    elif size > int(limit * _BYTES_PER_MEGABYTE):
        yield "attachment-size", f"at most {limit} megabytes"
    elif size > limit and limit == int(limit):
        yield (
            "limit-undecided",
            f"maxSize {limit} means megabytes in R4, but bytes in the extensions registry",
        )


# References: how they are written, and whether they lead to a type that the question permits.


def _reference_faults(limits: AnswerLimits, reference: Json, contained: Mapping[str, str]) -> Iterator[Fault]:
    """Yields (kind, expectation) for the fault of one Reference.

    Args:
        contained: types of the resources that the response contains, by `#id`.
    """
    literal = text(reference.get("reference"))
    if literal.startswith("#") and literal not in contained:
        yield "reference-contained", "a reference to a resource that the response contains"
        return
    fault = reference_fault(reference, contained, frozenset(limits.reference_types))
    if fault is not None:
        yield fault.kind, fault.expected
