"""The lexical forms of the R4 primitive datatypes.

Nothing is coerced: "3" is no integer, 1.0 is no integer, "true" is no boolean. Dates are read by `dates`.

Source: https://hl7.org/fhir/R4/datatypes.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from service.fhir.dates import is_date, is_date_time, is_instant, is_time

ID: Final = r"[A-Za-z0-9\-.]{1,64}"
"""Pattern of the id of a resource."""

R4_DEFINITIONS: Final = "http://hl7.org/fhir/StructureDefinition/"
"""What the canonicals of R4's own types and extensions begin with."""

INTEGERS: Final = range(-(2**31), 2**31)
"""The whole numbers that an integer can be."""

_id = re.compile(ID)
_uri = re.compile(r"[^ \t\r\n]*+")
_oid = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+")
_uuid = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_code = re.compile(r"[^ \t\r\n]++(?:[ \t\r\n][^ \t\r\n]++)*+")
_base64 = re.compile(r"[0-9A-Za-z+/ \t\r\n]*+={0,2}[ \t\r\n]*")
_blank = re.compile(r"[ \t\r\n]+")


class Primitive(NamedTuple):
    """A primitive datatype.

    Args:
        kinds: the Python types that a decoded JSON value of it has.
        accepts: says of such a value whether it is one (any true value), or None where the type says it all.
        expected: what it should be, in words.
    """

    kinds: frozenset[type]
    accepts: Callable[[Any], object] | None
    expected: str


def is_uri(text: str) -> bool:
    """Returns whether a text is a uri: it has no blanks."""
    return _uri.fullmatch(text) is not None


def is_code(text: str) -> bool:
    """Returns whether a text is a code: no blank at either end and no two together."""
    return _code.fullmatch(text) is not None


def _is_base64(text: str) -> bool:
    return _base64.fullmatch(text) is not None and len(_blank.sub("", text)) % 4 == 0


_TEXT = frozenset({str})
_WHOLE = frozenset({int})
_POSITIVE, _UNSIGNED = range(1, INTEGERS.stop), range(INTEGERS.stop)


PRIMITIVES: Final[Mapping[str, Primitive]] = MappingProxyType(
    {
        "base64Binary": Primitive(_TEXT, _is_base64, "base64 text"),
        "boolean": Primitive(frozenset({bool}), None, "true or false"),
        "canonical": Primitive(_TEXT, _uri.fullmatch, "a canonical url without blanks"),
        "code": Primitive(_TEXT, _code.fullmatch, "a code, with no blank at either end and no two together"),
        "date": Primitive(_TEXT, is_date, "a date of the calendar as YYYY, YYYY-MM or YYYY-MM-DD"),
        "dateTime": Primitive(_TEXT, is_date_time, "a date of the calendar; a time only with its zone"),
        "decimal": Primitive(frozenset({int, Decimal}), None, "a number (not text)"),
        "id": Primitive(_TEXT, _id.fullmatch, "1 to 64 of letters, digits, - and ."),
        "instant": Primitive(_TEXT, is_instant, "a date with time and zone"),
        "integer": Primitive(
            _WHOLE, INTEGERS.__contains__, "a whole number of 32 bits (no text, fraction or exponent)"
        ),
        "markdown": Primitive(_TEXT, None, "text"),
        "oid": Primitive(_TEXT, _oid.fullmatch, "an OID as urn:oid:..."),
        "positiveInt": Primitive(_WHOLE, _POSITIVE.__contains__, "a whole number from 1 to 2147483647"),
        "string": Primitive(_TEXT, None, "text"),
        "time": Primitive(_TEXT, is_time, "a time as hh:mm:ss"),
        "unsignedInt": Primitive(_WHOLE, _UNSIGNED.__contains__, "a whole number from 0 to 2147483647"),
        "uri": Primitive(_TEXT, _uri.fullmatch, "a uri without blanks"),
        "url": Primitive(_TEXT, _uri.fullmatch, "a url without blanks"),
        "uuid": Primitive(_TEXT, _uuid.fullmatch, "a UUID as urn:uuid:..."),
    }
)


def is_id(text: str) -> bool:
    """Says whether a text can be the id of a resource."""
    return _id.fullmatch(text) is not None
