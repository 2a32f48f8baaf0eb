"""What speaks against a value of an Observation: what it says itself, and others that may be newer.

Where something does, the value must not reassure. A laboratory that calls a value abnormal, or whose
reference range it is outside of, may know more than the guidance does. Of a value beside a reason why it is
missing nobody knows whether it is one.

Source: R4 Observation (interpretation, referenceRange), code system v3-ObservationInterpretation; extension
data-absent-reason; R4 security-labels.html (what was masked or left out); resource.html#Meta, tag SUBSETTED;
datatypes.html#dateTime and #Period; Observation (effective[x], issued).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from service.datatypes.spelling import folded
from service.datatypes.ucum import Conversion, brought_to
from service.fhir.dates import Span, span, time_range
from service.fhir.extensions import is_said_absent, mappings, said_absent, says_why_absent, text
from service.fhir.json import Json

_ABNORMAL: Final = {
    "A": "abnormal",
    "AA": "critical abnormal",
    "H": "high",
    "HH": "critical high",
    "HU": "significantly high",
    "L": "low",
    "LL": "critical low",
    "LU": "significantly low",
    "HX": "above high threshold",
    "LX": "below low threshold",
    "<": "off scale low",
    ">": "off scale high",
    "POS": "positive",
    "DET": "detected",
    "IND": "indeterminate",
    "E": "equivocal",
}
"""Codes of v3-ObservationInterpretation, and of its older forms, with which a value is not normal."""

_NORMAL: Final = {"N": "normal", "NEG": "negative", "ND": "not detected", "NR": "non-reactive"}
"""Those with which it is."""

_SAID_ABNORMAL, _SAID_NORMAL = (
    frozenset(map(folded, (*codes.values(), *codes))) for codes in (_ABNORMAL, _NORMAL)
)
"""How both are called in a text: by a name, or by the code itself."""

_INTERPRETATIONS: Final = frozenset(
    {
        "",
        "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
        "http://hl7.org/fhir/v3/ObservationInterpretation",
        "urn:oid:2.16.840.1.113883.5.83",
        "http://terminology.hl7.org/CodeSystem/v2-0078",
        "http://hl7.org/fhir/v2/0078",
    }
)
"""Systems of these codes; in any other a code may mean something else."""

_ALTERED: Final = frozenset({"SUBSETTED", "REDACTED", "MASKED", "ABSTRED", "AGGRED"})
"""Codes of v3-ObservationValue that say that something was left out of a resource, or changed in it."""

_TEST: Final = "HTEST"
"""The code of v3-ActReason for data of tests."""

_NEEDED: Final = frozenset({"value", "comparator", "system", "code"})


_SYSTEMS: Final = {
    "urn:oid:2.16.840.1.113883.6.1": "http://loinc.org",
    "urn:oid:2.16.840.1.113883.6.96": "http://snomed.info/sct",
}
"""How HL7 calls LOINC and SNOMED CT elsewhere (HL7 Terminology, external code systems)."""


def plain_system(system: str) -> str:
    """Returns a code system without what its name may be written with or without."""
    named = _SYSTEMS.get(system.lower(), system.lower())
    return re.sub(r"^https?://(www\.)?|/+$", "", named)


def in_versions(resources: Iterable[Json]) -> frozenset[str]:
    """Returns the ids of which several versions are there: an older one may not hold any more."""
    first: dict[str, object] = {}
    found = set()
    for resource in resources:
        meta, of_id = resource.get("meta"), text(resource.get("id"))
        version = meta.get("versionId") if isinstance(meta, Mapping) else None
        if version is not None and first.setdefault(of_id, version) != version:
            found.add(of_id)
    return frozenset(found)


def is_altered(resource: Json) -> bool:
    """Returns whether its labels say that something was left out of a resource, or changed in it."""
    return not _ALTERED.isdisjoint(_labels(resource, "security")) or "SUBSETTED" in _labels(resource, "tag")


def is_test(resource: Json) -> bool:
    """Returns whether its labels say that a resource was made for a test."""
    return _TEST in _labels(resource, "security")


def _labels(resource: Json, name: str) -> frozenset[str]:
    meta = resource.get("meta")
    found = mappings(meta.get(name)) if isinstance(meta, Mapping) else ()
    return frozenset(text(label.get("code")) for label in found)


def has_reason_beside(element: Json) -> bool:
    """Returns whether an Observation or component says why its value, code, status or date is missing."""
    if is_said_absent(element):
        return True
    held = (*_values(element), element.get("code"))
    return any(isinstance(part, Mapping) and _is_doubted(part) for part in held)


def _values(element: Json) -> Iterator[Any]:
    return (member for name, member in element.items() if name.startswith(("value", "effective")))


def _is_doubted(part: Json) -> bool:
    parts = (part, *mappings(part.get("coding")))
    return any(
        says_why_absent(one) or any(name in one or name in _NEEDED for name in said_absent(one))
        for one in parts
    )


def interpreted(element: Json, conversions: Iterable[Conversion] = ()) -> str:
    """Returns why a value may not be normal, by its interpretation or its reference range; empty for nothing.

    Returns:
        `flagged` where it is called abnormal, `interpretation` where nobody here knows what it is called: a
        local code, words in another language.
    """
    called = [_normality(concept) for concept in mappings(element.get("interpretation"))]
    if False in called or _is_outside(element, tuple(conversions)):
        return "flagged"
    return "interpretation" if None in called else ""


def _normality(concept: Json) -> bool | None:
    """Returns whether an interpretation says that a value is normal; None where that is not known.

    One that only says why it is missing calls nothing abnormal.
    """
    codings = list(mappings(concept.get("coding")))
    codes = {text(coding.get("code")) for coding in codings}
    own = {text(one.get("code")) for one in codings if text(one.get("system")) in _INTERPRETATIONS}
    words = {folded(text(said)) for said in (concept.get("text"), *(one.get("display") for one in codings))}
    if not codes.isdisjoint(_ABNORMAL) or not _SAID_ABNORMAL.isdisjoint({*words, *map(folded, codes)}):
        return False
    if not own.isdisjoint(_NORMAL) or not words.isdisjoint(_SAID_NORMAL):
        return True
    return True if codes | words <= {""} else None


def _is_outside(element: Json, conversions: tuple[Conversion, ...]) -> bool:
    """Whether a value is in none of the normal ranges, or in none of those that are for everybody.

    A laboratory that states a range for some people only means this person, as far as is known here.
    """
    quantity = element.get("valueQuantity", {})
    if "value" not in quantity or "comparator" in quantity:
        return False
    normal = [one for one in mappings(element.get("referenceRange")) if _is_normal(one)]
    of_all = [one for one in normal if not one.keys() & {"appliesTo", "age"}]
    found = ([_is_inside(quantity, one, conversions) for one in ranges] for ranges in (normal, of_all))
    return any(False in inside and True not in inside for inside in found)


def _is_normal(interval: Json) -> bool:
    """Whether a reference range is the normal one, which it is where it does not say of what it is."""
    kind = interval.get("type")
    if kind is None:
        return True
    codings = list(mappings(kind.get("coding")))
    said = (kind.get("text"), *(one.get(name) for one in codings for name in ("code", "display")))
    return any(folded(text(words)).startswith("normal") for words in said)


def _is_inside(quantity: Json, interval: Json, conversions: tuple[Conversion, ...]) -> bool | None:
    """Returns whether a value is in a range; None where the range cannot be compared with it."""
    value = Fraction(quantity["value"])
    stated = interval if interval.keys() & {"low", "high"} else _ends_in_words(text(interval.get("text")))
    low, high = (_end(stated.get(name), quantity, conversions) for name in ("low", "high"))
    if low is None and high is None:
        return None
    if stated.get("without_end") and value in (low, high):
        return False
    return (low is None or value >= low) and (high is None or value <= high)


_IN_WORDS: Final = re.compile(
    r"\s*(?:(?P<low>{0})\s*(?:-|\u2013|to|bis)|(?P<sign>[<>≤≥]=?))\s*(?P<end>{0})\s*(?P<unit>[^\s\d]\S*)?\s*".format(
        r"\d+(?:[.,]\d+)?"
    )
)
"""A range with two ends, or one: `3.5 - 5.1 mmol/L`, `< 4,5`."""


def _ends_in_words(words: str) -> Json:
    """Returns the ends of a range that is stated in words only; nothing where these say something else."""
    found = _IN_WORDS.fullmatch(words)
    if found is None:
        return {}
    named = {"unit": found["unit"]} if found["unit"] else {}
    sign = found["sign"] or ""
    ends = {"low": found["low"], "low" if sign[:1] in (">", "≥") else "high": found["end"]}
    stated: Json = {name: {"value": end.replace(",", "."), **named} for name, end in ends.items() if end}
    return {**stated, "without_end": sign in ("<", ">")}


def _end(end: Json | None, quantity: Json, conversions: tuple[Conversion, ...]) -> Fraction | None:
    """Returns an end of a range in the unit of a value; one without a unit is in that unit."""
    if end is None or "value" not in end or "comparator" in end:
        return None
    own, shown = text(quantity.get("code")), text(quantity.get("unit"))
    if "code" not in end:
        return Fraction(end["value"]) if end.get("unit", shown) in (shown, own) else None
    return brought_to(end["value"], end["code"], own, conversions)


# When it was measured, as far as that is known.

_LONG_AGO: Final = -(2**63)
_NOBODY_KNOWS_WHEN: Final = 2**63

NEWEST: Final = Span(_NOBODY_KNOWS_WHEN, _LONG_AGO, _NOBODY_KNOWS_WHEN, has_zone=True)
"""Of what cannot be read: it may be the newest."""


def effective(observation: Json) -> str:
    """Returns when the observation was made, or else issued, as it says; empty where it does not."""
    period = observation.get("effectivePeriod", {})
    stated = (
        observation.get("effectiveDateTime"),
        observation.get("effectiveInstant"),
        period.get("end"),
        period.get("start"),
        observation.get("issued"),
    )
    return next((text for text in stated if text is not None), "")


def taken(observation: Json, date: str) -> Span:
    """Returns when an Observation was made; `date` is what `effective` says.

    Without a date it counts as long ago, and may be of any time. What is only said to have been issued at a
    moment was measured before, nobody knows when.

    Source: R4 datatypes.html#Period (one without an end goes on); Observation.issued.
    """
    known = span(date)
    if known is None:
        return Span(_LONG_AGO, _LONG_AGO, _NOBODY_KNOWS_WHEN, has_zone=False)
    if observation.get("effectiveDateTime", observation.get("effectiveInstant")) == date:
        return known
    period = observation.get("effectivePeriod", {})
    first, _ = time_range(period.get("start", "")) or (_LONG_AGO, _LONG_AGO)
    goes_on = "start" in period and "end" not in period
    return known._replace(first=first, last=_NOBODY_KNOWS_WHEN if goes_on else known.last)
