"""References: whether a text is one, and to which type of resource it leads.

Nothing is looked up: what stands there is judged. Where it does not tell the type, nobody guesses it.

Source: R4 references.html (literal references and the regular expression of RESTful ones, Reference.type,
contained resources). Which types there are, and what an element may lead to, the tables of `shapes.py` say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.fhir.primitives import ID, R4_DEFINITIONS
from service.fhir.shapes import Fault, resource_types

_ABSTRACT: Final = frozenset({"Resource", "DomainResource"})

_TYPE: Final = r"(?P<type>[A-Z][A-Za-z]{1,63})"
_NOT_IN_A_URL = re.compile(r"""[\s\x00-\x1f\x7f<>"{}^`]""")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HTTP = re.compile(r"https?://[^/?#]+(?:[/?#].*)?")
_URN = re.compile(
    r"urn:(?:(?:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|oid:[0-2](?:\.(?:0|[1-9][0-9]*))+)"
    rf"(?:/_history/{ID})?(?:#.*)?|(?!uuid:|oid:)[A-Za-z0-9][A-Za-z0-9-]{{0,31}}:.+)"
)
_RESTFUL = re.compile(rf"(?:.*/)?{_TYPE}/{ID}(?:/_history/{ID})?")
_RELATIVE = re.compile(rf"{_TYPE}/{ID}(?:/_history/{ID})?")
_CONDITIONAL = re.compile(rf"{_TYPE}\?.+")
_LEADING = re.compile(r"(?:\./|/)*+")
_TRAILING = re.compile(r"[#?]")


def type_in(literal: str) -> str | None:
    """Returns the type that a literal reference names, an empty string where it names none.

    Args:
        literal: Reference.reference, which is not local (`#id`).

    Returns:
        None where it is no reference: no url, or a relative one that is not `[type]/[id]`.
    """
    if _NOT_IN_A_URL.search(literal):
        return None
    if _SCHEME.match(literal):
        return _type_in_absolute(literal)
    found = _CONDITIONAL.fullmatch(literal) or _RELATIVE.fullmatch(_bare(literal))
    return found["type"] if found is not None else None


def _bare(literal: str) -> str:
    """Returns a relative reference without what some senders write around it: the resource is plain."""
    return _TRAILING.split(_LEADING.sub("", literal, count=1), maxsplit=1)[0].rstrip("/")


def _type_in_absolute(url: str) -> str | None:
    if url.startswith("urn:"):
        return "" if _URN.fullmatch(url) else None
    if not url.startswith(("http:", "https:")):
        return ""
    if not _HTTP.fullmatch(url):
        return None
    found = _RESTFUL.fullmatch(url)
    # Only with a type of R4 is it the url of a FHIR server; any other may lead anywhere.
    return found["type"] if found is not None and found["type"] in resource_types() else ""


def target_type(reference: Json, contained: Mapping[str, str]) -> str:
    """Returns the type of resource that a Reference leads to, an empty string where nothing tells.

    Args:
        contained: types of the contained resources by `#id`.
    """
    return _found(text(reference.get("reference")), contained) or _stated(reference)


def contained_types(resource: Json) -> dict[str, str]:
    """Returns the types of the contained resources by `#id`; `#` is the resource itself."""
    inside = {
        f"#{text(contained.get('id'))}": text(contained.get("resourceType"))
        for contained in mappings(resource.get("contained"))
        if text(contained.get("id"))
    }
    return {"#": text(resource.get("resourceType")), **inside}


def reference_fault(reference: Json, contained: Mapping[str, str], targets: frozenset[str]) -> Fault | None:
    """Returns the first fault of a Reference; a local reference that leads nowhere is not one.

    Args:
        contained: types of the contained resources by `#id`.
        targets: types that the element may refer to; empty for any.
    """
    found, stated = _found(text(reference.get("reference")), contained), _stated(reference)
    if found is None:
        return Fault(
            "reference-syntax", "a reference such as Patient/1, an absolute url, a urn or #id", "reference"
        )
    if found and found not in resource_types():
        return Fault("reference-type", "a reference to a type of resource that R4 has", "reference")
    if found and stated and found != stated:
        return Fault("reference-type", "the type that the reference names", "type")
    target = found or stated
    if target and targets and target not in targets:
        return Fault("reference-type", f"a reference to {' or '.join(sorted(targets))}")
    if stated and stated not in resource_types():
        return Fault("reference-type", "a type of resource that R4 has", "type")
    return None


def _found(literal: str, contained: Mapping[str, str]) -> str | None:
    """Returns the type that a literal reference names, or that of the contained resource."""
    if literal.startswith("#"):
        return contained.get(literal, "")
    return type_in(literal) if literal else ""


def _stated(reference: Json) -> str:
    stated = text(reference.get("type")).removeprefix(R4_DEFINITIONS)
    return "" if stated in _ABSTRACT else stated


# Whether two lead to the same.


def is_another(subject: Json | None, expected: Json | None) -> bool:
    """Returns whether both name somebody and they are not provably the same."""
    if subject is None or expected is None:
        return False
    ours, theirs = subject.get("reference"), expected.get("reference")
    if ours is not None and theirs is not None:
        return not _is_same(ours, theirs)
    mine, yours = _identity(subject), _identity(expected)
    if mine is not None and yours is not None:
        return mine != yours
    return bool(
        {"reference", "identifier"} & subject.keys() and {"reference", "identifier"} & expected.keys()
    )


def _is_same(one: str, other: str) -> bool:
    """Returns whether references agree, versions aside; a relative one matches the end of an absolute one."""
    one, other = (reference.partition("/_history/")[0] for reference in (one, other))
    short, long = sorted((one, other), key=len)
    return long == short or (":" not in short and not short.startswith("#") and long.endswith(f"/{short}"))


def _identity(reference: Json) -> tuple[object, object] | None:
    identifier = reference.get("identifier")
    if identifier is None or "value" not in identifier:
        return None
    return identifier.get("system"), identifier["value"]
