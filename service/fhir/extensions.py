"""Reads FHIR extensions of a Questionnaire by url, and names the urls in one place.

Source: FHIR R4 extensibility.html; extension registry of HL7 (core and SDC).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from service.fhir.json import Json
from service.fhir.primitives import R4_DEFINITIONS as _CORE

_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"

DATA_ABSENT_REASON = _CORE + "data-absent-reason"
ABSENT_REASONS = (DATA_ABSENT_REASON, _CORE + "iso21090-nullFlavor")
"""By these an element says why its value is missing; the second comes with what was a CDA document."""
ITEM_WEIGHT = _CORE + "itemWeight"
ORDINAL_VALUE = _CORE + "ordinalValue"
OLD_ORDINAL_VALUES = (
    _CORE + "questionnaire-ordinalValue",
    _SDC + "sdc-questionnaire-ordinalValue",
    _CORE + "codesystem-ordinalValue",
    _CORE + "valueset-ordinalValue",
    _CORE + "iso21090-CO-value",
)
MIN_OCCURS = _CORE + "questionnaire-minOccurs"
MAX_OCCURS = _CORE + "questionnaire-maxOccurs"
MIN_LENGTH = _CORE + "minLength"
MIN_VALUE = _CORE + "minValue"
MAX_VALUE = _CORE + "maxValue"
MIN_QUANTITY = _SDC + "sdc-questionnaire-minQuantity"
MAX_QUANTITY = _SDC + "sdc-questionnaire-maxQuantity"
MAX_DECIMAL_PLACES = _CORE + "maxDecimalPlaces"
REGEX = _CORE + "regex"
MIME_TYPE = _CORE + "mimeType"
MAX_SIZE = _CORE + "maxSize"
UNIT = _CORE + "questionnaire-unit"
UNIT_OPTION = _CORE + "questionnaire-unitOption"
UNIT_VALUE_SET = _CORE + "questionnaire-unitValueSet"
UNIT_OPEN = _SDC + "sdc-questionnaire-unitOpen"
UNIT_SUPPLEMENTAL_SYSTEM = _SDC + "sdc-questionnaire-unitSupplementalSystem"
OPTION_EXCLUSIVE = _CORE + "questionnaire-optionExclusive"
REFERENCE_RESOURCE = _CORE + "questionnaire-referenceResource"
CONSTRAINT = _CORE + "questionnaire-constraint"
TARGET_CONSTRAINT = _CORE + "targetConstraint"
TRANSLATION = _CORE + "translation"
VARIABLE = _CORE + "variable"
ENABLE_WHEN_EXPRESSION = _SDC + "sdc-questionnaire-enableWhenExpression"
CALCULATED_EXPRESSION = _SDC + "sdc-questionnaire-calculatedExpression"
INITIAL_EXPRESSION = _SDC + "sdc-questionnaire-initialExpression"
ITEM_CONTROL = _CORE + "questionnaire-itemControl"
HIDDEN = _CORE + "questionnaire-hidden"
ENTRY_FORMAT = _CORE + "entryFormat"
SLIDER_STEP = _CORE + "questionnaire-sliderStepValue"
SUPPORT_LINK = _CORE + "questionnaire-supportLink"
ITEM_MEDIA = _SDC + "sdc-questionnaire-itemMedia"
ITEM_ANSWER_MEDIA = _SDC + "sdc-questionnaire-itemAnswerMedia"
SHORT_TEXT = _SDC + "sdc-questionnaire-shortText"
QUESTIONNAIRE_ADAPTIVE = _SDC + "sdc-questionnaire-questionnaireAdaptive"
LAUNCH_CONTEXT = _SDC + "sdc-questionnaire-launchContext"
OBSERVATION_LINK_PERIOD = _SDC + "sdc-questionnaire-observationLinkPeriod"
ANSWER_EXPRESSION = _SDC + "sdc-questionnaire-answerExpression"
OBSERVATION_EXTRACT = _SDC + "sdc-questionnaire-observationExtract"
OBSERVATION_EXTRACT_CATEGORY = _SDC + "sdc-questionnaire-observation-extract-category"
DEFINITION_EXTRACT = _SDC + "sdc-questionnaire-definitionExtract"
DEFINITION_EXTRACT_VALUE = _SDC + "sdc-questionnaire-definitionExtractValue"
ITEM_EXTRACTION_CONTEXT = _SDC + "sdc-questionnaire-itemExtractionContext"
EXTRACT_ALLOCATE_ID = _SDC + "sdc-questionnaire-extractAllocateId"
OBSERVATION_EXTRACT_ENTRY = _SDC + "sdc-questionnaire-observationExtractEntry"
TEMPLATE_EXTRACT = _SDC + "sdc-questionnaire-templateExtract"
TEMPLATE_EXTRACT_BUNDLE = _SDC + "sdc-questionnaire-templateExtractBundle"
TEMPLATE_EXTRACT_CONTEXT = _SDC + "sdc-questionnaire-templateExtractContext"
TEMPLATE_EXTRACT_VALUE = _SDC + "sdc-questionnaire-templateExtractValue"
EXTRACTION_NOT_SUPPORTED = (
    _SDC + "sdc-questionnaire-isSubject",
    _SDC + "sdc-questionnaire-targetStructureMap",
    TEMPLATE_EXTRACT_CONTEXT,
    TEMPLATE_EXTRACT_VALUE,
)
"""By these a form asks, outside of templates, for what is not extracted here, or is not about the subject."""
IS_SUBJECT = (_CORE + "questionnaireresponse-isSubject", _SDC + "sdc-questionnaireresponse-isSubject")
"""By these an answer of a response says whom the answers beside it are about."""
COMPUTED_VALUES = (_CORE + "cqf-calculatedValue", _CORE + "cqf-expression", _CORE + "cqif-calculatedValue")
"""By these an expression stands in the place of a value; the last is an older name of the first."""


_OBJECTS = (dict, Mapping)
"""Objects of JSON are dicts nearly always, and what is one is seen at once."""


def mappings(value: object) -> Iterator[Json]:
    """Yields the objects of a JSON array; anything else in its place yields nothing."""
    if isinstance(value, list):
        for element in value:
            if isinstance(element, _OBJECTS):
                yield element


def extensions(element: Json, url: str) -> Iterator[Json]:
    """Yields the extensions of `element` with this url, in order."""
    listed = element.get("extension")
    if listed:  # of most elements there are none
        for extension in mappings(listed):
            if extension.get("url") == url:
                yield extension


def values(element: Json, url: str) -> Iterator[Any]:
    """Yields the value[x] of every extension of `element` with this url."""
    for extension in extensions(element, url):
        for key, value in extension.items():
            if key.startswith("value"):
                yield value


def value(element: Json, url: str) -> Any | None:
    """Returns the value[x] of the first extension with this url, or None."""
    return next(values(element, url), None) if element.get("extension") else None


def translations(element: Json, name: str) -> Iterator[Json]:
    """Yields the translations of a primitive of `element`, as objects with `language` and `value`."""
    beside = element.get(f"_{name}")
    for extension in extensions(beside, TRANSLATION) if isinstance(beside, Mapping) else ():
        content = value(extension, "content")
        if isinstance(content, str) and content:
            yield {"language": text(value(extension, "lang")), "value": content}


def says_why_absent(element: object) -> bool:
    """Returns whether an element, or what stands beside a primitive one, says why its value is missing."""
    if not isinstance(element, Mapping) or "extension" not in element:
        return False
    return any(found.get("url") in ABSENT_REASONS for found in mappings(element["extension"]))


def said_absent(element: Json) -> Iterator[str]:
    """Yields the names of the primitives that an object says are missing, and why, stated or not."""
    for name, beside in element.items():
        if name.startswith("_") and says_why_absent(beside):
            yield name[1:]


def is_said_absent(element: Json) -> bool:
    """Returns whether an element says why it is missing, or why something is that it states."""
    return says_why_absent(element) or any(name in element for name in said_absent(element))


def computed(element: object) -> Json | None:
    """Returns the Expression that computes an element, or None where none does.

    Args:
        element: a complex value, or what stands beside a primitive one, under its name with an underscore.

    Returns:
        An empty object where the expression is not of type Expression.
    """
    if not isinstance(element, Mapping):
        return None
    for url in COMPUTED_VALUES:
        for extension in extensions(element, url):
            found = extension.get("valueExpression")
            return found if isinstance(found, Mapping) else {}
    return None


def computed_value(extension: Json) -> Json | None:
    """Returns the Expression that computes the value[x] of an extension, or None where none does."""
    beside = (inner for key, inner in extension.items() if key.startswith(("value", "_value")))
    return next((found for inner in beside if (found := computed(inner)) is not None), None)


def text(value: object) -> str:
    """Returns a string as it is, and anything else as the empty string."""
    return value if isinstance(value, str) else ""
