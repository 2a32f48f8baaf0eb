"""Which part of a resource is wanted, and that part of it, which is a valid resource itself.

Source: FHIR R4 search.html 3.1.1.5.8 and 3.1.1.5.9
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from service.search.elements import ALWAYS, CHOICES, MANDATORY, SUMMARY

Summary = Literal["", "true", "text", "data"]

SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Shape:
    """What is wanted of each resource: a summary, or some elements, or all of it.

    Args:
        summary: `_summary`, or empty.
        elements: `_elements`, names of elements of the resource itself; or empty.
    """

    summary: Summary = ""
    elements: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return not self.summary and not self.elements

    def applied(self, body: bytes) -> bytes:
        """Returns what is wanted of a resource; its numbers keep their digits."""
        if self.is_whole:
            return body
        resource = _DECODER.decode(body)
        return _ENCODER.encode(_tagged(_with_contained(self._kept(resource), resource)))

    def _kept(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        kind = resource["resourceType"]
        if self.summary == "data":
            return {name: value for name, value in resource.items() if name != "text"}
        wanted = {*ALWAYS, *MANDATORY.get(kind, ()), *self._wanted(kind)}
        choices = CHOICES.get(kind, ())
        return {name: value for name, value in resource.items() if _element(name, choices) in wanted}

    def _wanted(self, kind: str) -> Collection[str]:
        if self.elements:
            return self.elements
        return SUMMARY.get(kind, ()) if self.summary == "true" else ("text",)


def _element(name: str, choices: Collection[str]) -> str:
    """Returns the element that a property is of: `occurrence` for `_occurrenceDateTime`."""
    name = name.removeprefix("_")
    return next((choice for choice in choices if name.startswith(choice)), name)


def _with_contained(kept: dict[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part with those contained resources that it refers to, and no other."""
    contained = {f"#{each.get('id')}": each for each in resource.get("contained", ())}
    wanted: dict[str, Any] = {}
    searched: list[Any] = [value for name, value in kept.items() if name != "contained"]
    while searched:
        new = {text: contained[text] for text in _texts(searched.pop()) if text in contained}
        searched += [each for text, each in new.items() if text not in wanted]
        wanted |= new
    whole = {**kept, "contained": [each for text, each in contained.items() if text in wanted]}
    order = [name for name in resource if name in whole]
    return {name: whole[name] for name in order if whole[name] != []}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _tagged(resource: dict[str, Any]) -> dict[str, Any]:
    meta = resource.get("meta", {})
    tagged = {**meta, "tag": [*meta.get("tag", ()), SUBSETTED]}
    first: dict[str, Any] = {name: resource[name] for name in ("resourceType", "id") if name in resource}
    return {**first, "meta": tagged, **{name: resource[name] for name in resource if name != "meta"}}
