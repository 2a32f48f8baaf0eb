"""The accept path: reads a common, valid QuestionnaireResponse typed, in C, or says nothing at all.

`decode` returns a struct only for a body in which `json.read` and `structure.check_response` find no
problem. None never means an error: the full path decides, and finds the words.

What typed decoding alone does not see is proved in these ways:

- No backslash in the body, so every string is written with exactly two quotation marks.
- The struct is written again. A property that stood twice, or a number sent as text, has left quotation
  marks behind: then their counts differ. Plain numbers never become longer, so equal length proves the
  same, and that no sign was lost from -0, at less cost.
- The written form has its properties in a known order, so a second value[x] is preceded by a comma,
  answers beside items show as `],"item":`, and an empty object is `{}`.
- Items nest only as deep as there are types for it, far below the limit of depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Protocol, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.datatypes.form import Form
from service.fhir.dates import CERTAIN_DATE, CERTAIN_DATE_TIME, CERTAIN_INSTANT, CERTAIN_TIME
from service.fhir.primitives import ID, INTEGERS, is_code, is_uri
from service.fhir.references import type_in

_LARGEST: Final = 256 * 1024
"""Bodies over this size (bytes) take the full path, so no string here comes near the limit of R4."""
_LEVELS: Final = 5

ACCEPTED_SUBJECT: Final = "Patient"
"""The type of subject that is taken where the reference tells one."""
_WRITERS: Final = ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson")
_BASE: Final = r"https?://[A-Za-z0-9.:_-]+/(?:[A-Za-z0-9._~%-]+/)*"
_UUID: Final = r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

_Text = Annotated[str, Meta(min_length=1)]
_Uri = Annotated[str, Meta(pattern=r"\A[^ ]+\Z")]
_Code = Annotated[str, Meta(pattern=r"\A[^ ]+(?: [^ ]+)*\Z")]
_Id = Annotated[str, Meta(pattern=rf"\A{ID}\Z")]
_Integer = Annotated[int, Meta(ge=INTEGERS.start, lt=INTEGERS.stop)]
_Date = Annotated[str, Meta(pattern=CERTAIN_DATE)]
_DateTime = Annotated[str, Meta(pattern=CERTAIN_DATE_TIME)]
_Instant = Annotated[str, Meta(pattern=CERTAIN_INSTANT)]
_Time = Annotated[str, Meta(pattern=CERTAIN_TIME)]

_DECIMALS: Final = (b'"value":', b'"valueDecimal":')
_QUOTE: Final = ord('"')
_PLAIN_NUMBER = re.compile(rb"-?[0-9]{1,18}(?:\.[0-9]{1,18})?[,}]")
_MINUS_ZERO = re.compile(rb":[ \t\r\n]*-0[^.0-9]")


class _Struct(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A struct in which a property that is not declared is refused, so that the full path takes it."""


class Identifier(_Struct, kw_only=True):
    """Identifier; `value` comes first, so that every number follows an opening brace."""

    value: _Text
    use: Literal["usual", "official", "temp", "secondary", "old"] | UnsetType = UNSET
    system: _Uri | UnsetType = UNSET


class Reference(_Struct, kw_only=True):
    """Reference to a resource that is not contained; the types that it may lead to, `_reference` adds."""

    reference: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    identifier: Identifier | UnsetType = UNSET
    display: _Text | UnsetType = UNSET


class Quantity(_Struct, kw_only=True):
    """Quantity with a coded unit."""

    value: Decimal
    unit: _Text | UnsetType = UNSET
    system: _Uri
    code: _Code


class ResponseMeta(_Struct, kw_only=True):
    """Meta; it is only checked, since a result repeats nothing of it."""

    versionId: _Id | UnsetType = UNSET  # noqa: N815 - FHIR's name
    lastUpdated: _Instant | UnsetType = UNSET  # noqa: N815 - FHIR's name
    source: _Uri | UnsetType = UNSET
    profile: Annotated[list[_Uri], Meta(min_length=1)] | UnsetType = UNSET


class AcceptedResponse(Protocol):
    """A QuestionnaireResponse with items; what it does not state is `msgspec.UNSET`.

    `item` is a list of structs with `linkId`, `text`, `answer` and `item`; an answer has
    `valueBoolean`, `valueDecimal`, `valueInteger`, `valueDate`, `valueDateTime`, `valueTime`,
    `valueString`, `valueUri`, `valueCoding` (system, code, display), `valueQuantity`, `item`.
    """

    id: str | UnsetType
    language: str | UnsetType
    identifier: Identifier | UnsetType
    questionnaire: str | UnsetType
    status: str
    subject: Reference | UnsetType
    encounter: Reference | UnsetType
    author: Reference | UnsetType
    source: Reference | UnsetType
    authored: str | UnsetType
    item: Any


Decode = Callable[[bytes], AcceptedResponse | None]


def _reference(*targets: str) -> Any:
    """Returns the struct of a Reference that plainly leads to one of these types, or does not tell."""
    literal = rf"\A(?:{_BASE})?(?:{'|'.join(targets)})/{ID}(?:/_history/{ID})?\Z|\A{_UUID}\Z"
    types = {"reference": Annotated[str, Meta(pattern=literal)], "type": Literal[targets]}
    fields = [(name, kind | UnsetType, UNSET) for name, kind in types.items()]
    made = msgspec.defstruct("Reference", fields, bases=(Reference,), kw_only=True)
    return made | UnsetType


def decoder(forms: Iterable[Form]) -> Decode:
    """Returns `decode` for responses to `forms`: codings that are no option of theirs take the full path.

    Args:
        forms: questionnaires; their systems and codes are looked up in C while reading, so nothing of
            a coding has to be checked as text.
    """
    codings = [
        option.coding for form in forms for question in form.questions.values() for option in question.options
    ]
    systems = {coding.system for coding in codings if is_uri(coding.system)}
    codes = {coding.code for coding in codings if is_code(coding.code)}
    read = msgspec.json.Decoder(_response(_coding(systems, codes))).decode
    write = msgspec.json.Encoder(decimal_format="number").encode

    def decode(data: bytes) -> AcceptedResponse | None:
        """Returns the response where it is proved to be valid R4, else None."""
        if len(data) > _LARGEST or b"\\" in data:
            return None
        try:
            response = read(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return response if _is_proved(response, data, write(response)) else None

    return decode


def _coding(systems: set[str], codes: set[str]) -> Any:
    if not systems or not codes:
        return UnsetType
    literals = {name: Literal[tuple(sorted(words))] for name, words in (("system", systems), ("code", codes))}
    return _struct("Coding", **literals, display=_Text | UnsetType) | UnsetType


def _response(coding: Any) -> Any:
    """Returns the struct of a response; each level of items has types of its own, so depth is bounded."""
    item: Any = UnsetType
    for level in range(_LEVELS):
        nested = item if level == 0 else Annotated[list[item], Meta(min_length=1)] | UnsetType
        answer: Any = _struct(
            "Answer",
            valueCoding=coding,
            valueBoolean=bool | UnsetType,
            valueInteger=_Integer | UnsetType,
            valueDecimal=Decimal | UnsetType,
            valueQuantity=Quantity | UnsetType,
            valueString=_Text | UnsetType,
            valueDate=_Date | UnsetType,
            valueDateTime=_DateTime | UnsetType,
            valueTime=_Time | UnsetType,
            valueUri=_Uri | UnsetType,
            item=nested,
        )
        answers = Annotated[list[answer], Meta(min_length=1)]
        item = _struct("Item", linkId=_Text, text=_Text | UnsetType, answer=answers | UnsetType, item=nested)
    return _struct(
        "Response",
        resourceType=Literal["QuestionnaireResponse"],
        id=_Id | UnsetType,
        meta=ResponseMeta | UnsetType,
        language=_Code | UnsetType,
        identifier=Identifier | UnsetType,
        questionnaire=_Uri | UnsetType,
        status=Literal["in-progress", "completed", "amended", "entered-in-error", "stopped"],
        subject=_reference(ACCEPTED_SUBJECT),
        encounter=_reference("Encounter"),
        authored=_DateTime | UnsetType,
        author=_reference(*_WRITERS, "Device", "Organization"),
        source=_reference(*_WRITERS),
        item=Annotated[list[item], Meta(min_length=1)],
    )


def _struct(name: str, **types: Any) -> Any:
    """Returns a struct with these properties, in this order; those that may be unset are unset at first."""
    fields = [
        (field, type_, UNSET) if UnsetType in (type_, *get_args(type_)) else (field, type_)
        for field, type_ in types.items()
    ]
    return msgspec.defstruct(name, fields, bases=(_Struct,), kw_only=True)


def _is_proved(response: AcceptedResponse, data: bytes, written: bytes) -> bool:
    if _has(written, b'],"item":') or _has(written, b',"value') or _has(written, b"{}"):
        return False
    if not _stands_alone(response) or not _decimals_are_plain(written):
        return False
    if len(written) == len(data):
        return True
    return written.count(b'"') == data.count(b'"') and _MINUS_ZERO.search(data) is None


def _has(written: bytes, part: bytes) -> bool:
    """Returns whether a part is in the text; in CPython a search from the end takes half as long."""
    return written.rfind(part) >= 0


def _stands_alone(response: AcceptedResponse) -> bool:
    """Returns whether no canonical is that of a contained resource, and no type contradicts a reference."""
    if response.questionnaire is not UNSET and response.questionnaire.startswith("#"):
        return False
    references = (response.subject, response.encounter, response.author, response.source)
    return all(reference is UNSET or _agrees(reference) for reference in references)


def _agrees(reference: Reference) -> bool:
    literal, stated = reference.reference, reference.type
    return literal is UNSET or stated is UNSET or type_in(literal) in ("", stated)


def _decimals_are_plain(written: bytes) -> bool:
    """Returns whether no number is one that the full path may refuse, or is written in another way."""
    for name in _DECIMALS:
        place = written.rfind(name)
        while place >= 0:
            start = place + len(name)
            if written[start] != _QUOTE and _PLAIN_NUMBER.match(written, start) is None:
                return False
            place = written.rfind(name, 0, place)
    return True
