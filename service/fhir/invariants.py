"""Invariants of R4 that the tables cannot say, as plain functions of one object each.

Source: StructureDefinitions of R4 4.0.1; each text names its constraint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from service.fhir import kinds
from service.fhir.primitives import is_date_time

Members = Mapping[str, Any]


class Fault(NamedTuple):
    """A broken invariant; `element` is the child that it names, or empty for the object itself."""

    kind: str
    expected: str
    element: str = ""


Faults = tuple[Fault, ...]


def _unless(holds: object, expected: str) -> Faults:
    return () if holds else (Fault(kinds.INVARIANT, expected),)


def has_value(members: Members) -> bool:
    """True where some value[x] stands in an answer, a parameter or an extension."""
    return any(name[:5] == "value" or name[:6] == "_value" for name in members)


def _resource(resource: Members) -> Faults:
    if "implicitRules" not in resource and "_implicitRules" not in resource:
        return ()
    return (Fault(kinds.IMPLICIT_RULES, "no implicit rules, since none are understood", "implicitRules"),)


def _item(item: Members) -> Faults:
    return _unless(
        "answer" not in item or "item" not in item, "either answers or nested items, not both (qrs-1)"
    )


def _extension(extension: Members) -> Faults:
    one = has_value(extension) != ("extension" in extension)
    return _unless(one, "either a value or nested extensions (ext-1)")


def _quantity(quantity: Members) -> Faults:
    return _unless("code" not in quantity or "system" in quantity, "a system beside the unit's code (qty-3)")


def _attachment(attachment: Members) -> Faults:
    described = "data" not in attachment or "contentType" in attachment
    return _unless(described, "a contentType beside the data (att-1)")


def _contact_point(contact: Members) -> Faults:
    return _unless("value" not in contact or "system" in contact, "a system beside the value (cpt-2)")


def _ratio(ratio: Members) -> Faults:
    together = ("numerator" in ratio) == ("denominator" in ratio)
    filled = "numerator" in ratio or "extension" in ratio
    return _unless(together and filled, "numerator and denominator, or an extension (rat-1)")


def _period(period: Members) -> Faults:
    start, end = period.get("start"), period.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return ()
    backwards = is_date_time(start) and is_date_time(end) and _is_after(start, end)
    return _unless(not backwards, "a start that is not after the end (per-1)")


def _is_after(start: str, end: str) -> bool:
    if "T" not in start or "T" not in end:
        digits = min(len(start), len(end), len("YYYY-MM-DD"))
        return start[:digits] > end[:digits]
    try:
        return datetime.fromisoformat(start) > datetime.fromisoformat(end)
    except ValueError:  # second 60 is allowed in FHIR and unknown to datetime
        return False


def _range(interval: Members) -> Faults:
    low, high = _measured(interval.get("low")), _measured(interval.get("high"))
    if low is None or high is None or low[1] != high[1]:
        return ()
    return _unless(low[0] <= high[0], "a low end that is not above the high end (rng-2)")


def _measured(quantity: object) -> tuple[Decimal, object] | None:
    """Returns value and unit code of a quantity, or None where it has no value."""
    value = quantity.get("value") if isinstance(quantity, dict) else None
    if type(value) is not int and type(value) is not Decimal:
        return None
    return Decimal(value), quantity.get("code") if isinstance(quantity, dict) else None


def _measurement(observation: Members) -> Faults:
    one = "dataAbsentReason" not in observation or not has_value(observation)
    return _unless(one, "no dataAbsentReason beside a value (obs-6)")


def _observation(observation: Members) -> Faults:
    return _resource(observation) + _measurement(observation)


def _reference_range(reference_range: Members) -> Faults:
    return _unless(reference_range.keys() & {"low", "high", "text"}, "low, high or text (obs-3)")


INVARIANTS: Final[Mapping[str, Callable[[Members], Faults]]] = MappingProxyType(
    {
        "Bundle": _resource,
        "QuestionnaireResponse": _resource,
        "QuestionnaireResponse.item": _item,
        "Observation": _observation,
        "Observation.component": _measurement,
        "Observation.referenceRange": _reference_range,
        "Extension": _extension,
        "Quantity": _quantity,
        "Age": _quantity,
        "Count": _quantity,
        "Distance": _quantity,
        "Duration": _quantity,
        "Attachment": _attachment,
        "ContactPoint": _contact_point,
        "Ratio": _ratio,
        "Period": _period,
        "Range": _range,
    }
)
