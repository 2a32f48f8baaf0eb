"""Reads the limits on an answer from an item's core fields and extensions.

Source: FHIR R4 Questionnaire.item.maxLength and the extensions named in `extensions.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from service.guidance.answers import Answer, Coding, Quantity
from service.questionnaire import extensions as ext
from service.questionnaire.item import Limits
from service.questionnaire.value_sets import ValueSets
from service.questionnaire.values import answer_in

_BYTES_PER_MEGABYTE = 1024 * 1024
_UCUM = "http://unitsofmeasure.org"


def limits_of(
    source: Mapping[str, Any], value_sets: ValueSets, contained: Sequence[Mapping[str, Any]]
) -> Limits:
    """Returns every limit of one item; what cannot be read is left to the lint."""
    units, open_units = _units(source, value_sets, contained)
    low, high = _typed(source, ext.MIN_VALUE), _typed(source, ext.MAX_VALUE)
    return Limits(
        min_length=_whole(ext.value(source, ext.MIN_LENGTH)),
        max_length=_whole(source.get("maxLength")),
        low=low,
        high=high,
        low_quantity=_quantity(source, ext.MIN_QUANTITY, low),
        high_quantity=_quantity(source, ext.MAX_QUANTITY, high),
        decimal_places=_whole(ext.value(source, ext.MAX_DECIMAL_PLACES)),
        pattern=ext.text(ext.value(source, ext.REGEX)),
        units=units,
        open_units=open_units,
        mime_types=tuple(found for found in ext.values(source, ext.MIME_TYPE) if isinstance(found, str)),
        max_bytes=_bytes(ext.value(source, ext.MAX_SIZE)),
        targets=tuple(
            found for found in ext.values(source, ext.REFERENCE_RESOURCE) if isinstance(found, str)
        ),
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _typed(source: Mapping[str, Any], url: str) -> Answer | None:
    for extension in ext.extensions(source, url):
        found = answer_in(extension, "value")
        if found is not None:
            return found[1]
    return None


def _quantity(source: Mapping[str, Any], url: str, plain: Answer | None) -> Quantity | None:
    for found in (_typed(source, url), plain):
        if isinstance(found, Quantity):
            return found
    return None


def _bytes(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        return None
    return int(Decimal(str(value)) * _BYTES_PER_MEGABYTE)


def _units(
    source: Mapping[str, Any], value_sets: ValueSets, contained: Sequence[Mapping[str, Any]]
) -> tuple[tuple[Coding, ...], bool]:
    """Units that a quantity may have; the second part is True where there may be others.

    The extension `questionnaire-unit` names the usual unit and forbids no other.
    """
    listed = [*_codings(source, ext.UNIT_OPTION)]
    canonical = ext.text(ext.value(source, ext.UNIT_VALUE_SET))
    if canonical:
        members = value_sets.members(canonical, contained)
        if members is None or members.uncertain:
            return tuple(listed), True
        listed.extend(answer for answer in members.choices if isinstance(answer, Coding))
    if listed or source.get("type") != "quantity":
        return tuple(dict.fromkeys(listed)), False
    return tuple(_codings(source, ext.UNIT)), True


def _codings(source: Mapping[str, Any], url: str) -> Iterator[Coding]:
    for found in ext.values(source, url):
        if isinstance(found, Mapping) and ext.text(found.get("code")):
            yield Coding(ext.text(found.get("system")) or _UCUM, ext.text(found.get("code")))
