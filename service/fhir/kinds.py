"""The kinds of fault that reading and writing FHIR can report; the codes are stable and never reused."""

from __future__ import annotations

from typing import Final

ENCODING: Final = "encoding"
JSON: Final = "json"
JSON_SHAPE: Final = "json-shape"
REPEATED_PROPERTY: Final = "repeated-property"
NUMBER: Final = "number"
CHARACTER: Final = "character"
EMPTY: Final = "empty"
NULL: Final = "null"
DEPTH: Final = "depth"
BODY_SIZE: Final = "body-size"
STRING_SIZE: Final = "string-size"

RESOURCE_TYPE: Final = "resource-type"
UNKNOWN_PROPERTY: Final = "unknown-property"
MISSING: Final = "missing"
DATATYPE: Final = "datatype"
FORMAT: Final = "format"
CODE: Final = "code"
CHOICE: Final = "choice"
INVARIANT: Final = "invariant"
REFERENCE: Final = "reference"
CONTAINED: Final = "contained"
NARRATIVE: Final = "narrative"
MODIFIER_EXTENSION: Final = "modifier-extension"
IMPLICIT_RULES: Final = "implicit-rules"

PARAMETER: Final = "parameter"
CHART_SUBJECT: Final = "chart-subject"
CHART_IGNORED: Final = "chart-ignored"
MORE: Final = "more-problems"
