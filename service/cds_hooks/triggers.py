"""Reads `cds.yaml` of a mapping folder: codes that are a reason to fill in a form, and override reasons.

The file is no part of the guidance: it changes no result, so neither version nor hash of the guidance depend
on it. A folder without it has one trigger, the codes of its Questionnaire.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from marshmallow import Schema, ValidationError

from service.catalogue import Catalogue, Pair
from service.datatypes.answers import Coding
from service.errors import GuidanceError
from service.fhir.definitions import Canonicals
from service.guidance.fields import ByName, CodeShape, CodingShape, Part, Shape, Text
from service.guidance.schema import fault_line
from service.mapping_files import read_yaml
from service.terminology import ValueSets

CDS_FILE: Final = "cds.yaml"

_SNOMED: Final = "http://snomed.info/sct"
_SNOMED_ID: Final = re.compile(r"[1-9][0-9]{5,17}", re.ASCII)
_TURN: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_CORNERS: Final = 5


class OverrideReason(msgspec.Struct, frozen=True):
    """Why somebody may say no to a card; who is asked chooses one.

    Args:
        display: in English. translations: the same in other languages, by their tags.
    """

    system: str
    code: str
    display: str
    translations: Mapping[str, str] = msgspec.field(default_factory=dict)


class Triggers(msgspec.Struct, frozen=True):
    """What in a chart makes a form worth filling in.

    Args:
        conditions: codes of Conditions that hold.
        observations: codes of Observations that found what they looked for.
        reasons: codes of the reason for an encounter.
        override_reasons: those that a card offers.
    """

    conditions: tuple[Coding, ...] = ()
    observations: tuple[Coding, ...] = ()
    reasons: tuple[Coding, ...] = ()
    override_reasons: tuple[OverrideReason, ...] = ()


class _OverrideShape(CodeShape):
    makes = OverrideReason

    display = Text(required=True)
    translations = ByName(keys=Text(), values=Text(), load_default=dict)


class _TriggersShape(Shape):
    conditions = Part(CodingShape, many=True, load_default=())
    observations = Part(CodingShape, many=True, load_default=())
    reasons = Part(CodingShape, many=True, load_default=())


class FileShape(Shape):
    """cds.yaml."""

    triggers = Part(_TriggersShape, required=True)
    override_reasons = Part(_OverrideShape, many=True, load_default=(), data_key="override-reasons")


def read_triggers(folder: Path, pair: Pair, canonicals: Canonicals) -> Triggers:
    """Reads `cds.yaml` of a mapping folder; without one, the triggers follow from the Questionnaire.

    Raises:
        GuidanceError: `file: key path: what was expected`, a line for each fault.
    """
    path = folder / CDS_FILE
    if not path.exists():
        about = tuple(
            Coding(str(coding.get("system", "")), str(coding["code"]))
            for coding in pair.compiled.resource.get("code", ())
            if coding.get("code")
        )
        return Triggers(about, (), about)
    try:
        return _loaded(canonicals.restated(read_yaml(path)))
    except ValidationError as error:
        faults = [fault_line(CDS_FILE, place, text) for place, text in _flat(error.messages)]
        raise GuidanceError(faults) from error


def all_triggers(mappings: Path, catalogue: Catalogue) -> dict[str, Triggers]:
    """Returns the triggers of every guidance in use, by the name of its mapping folder.

    Raises:
        GuidanceError: every fault of every file.
    """
    found: dict[str, Triggers] = {}
    faults: list[str] = []
    for pair in catalogue.pairs.values():
        try:
            found[pair.slug] = read_triggers(mappings / pair.slug, pair, catalogue.canonicals)
        except GuidanceError as error:
            faults.extend(f"{pair.slug}/{fault}" for fault in error.faults)
    if faults:
        raise GuidanceError(faults)
    return found


# What `check` says of the file.


def trigger_faults(folder: Path, pair: Pair, canonicals: Canonicals, known: ValueSets) -> Iterator[str]:
    """Yields the faults of `cds.yaml` of a mapping folder: `file: key path: what was expected`.

    Args:
        folder: of the mapping. pair: its guidance.
        canonicals: what canonical urls begin with.
        known: code systems; a code is looked up where all codes of its system are at hand.
    """
    try:
        found = read_triggers(folder, pair, canonicals)
    except GuidanceError as error:
        yield from error.faults
        return
    if not (folder / CDS_FILE).exists():
        return
    of_chart = (
        ("conditions", found.conditions),
        ("observations", found.observations),
        ("reasons", found.reasons),
    )
    listed: list[tuple[tuple[str, ...], tuple[Coding, ...]]] = [
        (("triggers", key), codes) for key, codes in of_chart
    ]
    reasons = tuple(Coding(reason.system, reason.code) for reason in found.override_reasons)
    for key, codes in (*listed, (("override-reasons",), reasons)):
        for number, coding in enumerate(codes):
            if why := _why_unknown(coding, known):
                yield fault_line(CDS_FILE, (*key, number, "code"), why)


def trigger_warnings(folder: Path, pair: Pair, canonicals: Canonicals) -> Iterator[str]:
    """Yields that nothing in a chart is a reason to offer the form, and what cards say in English only."""
    found = read_triggers(folder, pair, canonicals)
    for number, reason in enumerate(found.override_reasons):
        for language in sorted({each.language for each in pair.messages} - set(reason.translations)):
            text = f"has none for {language}: a card in that language says it in English"
            yield fault_line(CDS_FILE, ("override-reasons", number, "translations"), text)
    if not (found.conditions or found.observations or found.reasons):
        text = "is missing, and the Questionnaire has no code: no card offers the form by what a chart has"
        yield fault_line(CDS_FILE, (), text)


def _why_unknown(coding: Coding, known: ValueSets) -> str:
    """Returns why there cannot be such a code; empty where there may be."""
    system = known.code_system(coding.system)
    if system is not None and system.is_complete and system.code(coding.code) not in system.concepts:
        return f"expected a code of {coding.system}, which has no {coding.code}"
    if coding.system == _SNOMED and not is_snomed_id(coding.code):
        return f"expected a code of SNOMED CT; the check digit of {coding.code} says that it is none"
    return ""


def is_snomed_id(code: str) -> bool:
    """Returns whether a code can be an identifier of SNOMED CT.

    Source:
        SNOMED CT Release File Specifications, 5.5 "Check-digit" (Verhoeff's dihedral check).
    """
    if not _SNOMED_ID.fullmatch(code):
        return False
    check = 0
    for place, digit in enumerate(reversed(code)):
        turned = int(digit)
        for _ in range(place % 8):
            turned = _TURN[turned]
        check = _dihedral(check, turned)
    return check == 0


def _dihedral(one: int, other: int) -> int:
    """Returns the product of two symmetries of a pentagon: 0 to 4 turn it, 5 to 9 turn it over."""
    if one < _CORNERS:
        return (one + other) % _CORNERS + (0 if other < _CORNERS else _CORNERS)
    return (one - other) % _CORNERS + (_CORNERS if other < _CORNERS else 0)


def _loaded(document: object) -> Triggers:
    if not isinstance(document, Mapping):
        raise ValidationError({"triggers": ["expected a mapping with `triggers:`"]})
    shape: Schema = FileShape()
    read: Mapping[str, Any] = shape.load(document)
    triggers = Triggers(**read["triggers"], override_reasons=read["override_reasons"])
    if not (triggers.conditions or triggers.observations or triggers.reasons):
        raise ValidationError({"triggers": ["expected at least one code"]})
    return triggers


def _flat(messages: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields every fault with the keys that lead to it."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from _flat(inner, place if key == "_schema" else (*place, key))
    else:
        for text in messages:
            yield place, str(text)
