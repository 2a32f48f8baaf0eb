"""Finds the links in a resource, and replaces those that point to another entry of its Bundle.

A link is a literal reference, a uri or a url (a canonical is none), or `href` and `src` in a narrative.
Text that only looks like one, such as the value of an identifier, stays as it is: what is a link is read
from the tables of R4, and guessed from the name only in a contained resource that they do not have.

Source: R4 http.html#trules; bundle.html#references.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape, unescape
from typing import Any, Final, NamedTuple

from service.fhir.paths import Place
from service.fhir.shapes import Element, Shape, shapes
from service.fhir.xhtml import is_narrative

REFERENCE: Final = "reference"
URI: Final = "uri"
FIXED: Final = "fixed"
NARRATIVE: Final = "narrative"

_SORTS = {"uri": URI, "url": URI, "oid": FIXED, "uuid": FIXED}
_NAMED = {"reference": REFERENCE, "div": NARRATIVE, "valueUri": URI, "valueUrl": URI, "url": URI}
_VERSION = "/_history/"
_RESTFUL = re.compile(r"(https?://.+/)[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}")
_TAG = re.compile(r"<[A-Za-z][^<>]*+>")
_ATTRIBUTE = re.compile(
    r"""(?<=\s)(?P<name>(?:href|src)\s*+=\s*+)(?:"(?P<url>[^"]*+)"|'(?P<other>[^']*+)')"""
)


class Link(NamedTuple):
    """A text that may be a link.

    Args:
        holder: the object or array that the text stands in, under `key`.
        sort: REFERENCE, URI, NARRATIVE (the whole XHTML), or FIXED: an oid or uuid, which cannot hold a path;
            empty where it is no link.
        place: where it stands in the resource.
    """

    holder: Any
    key: Any
    sort: str
    place: Place

    @property
    def text(self) -> str:
        """The text."""
        return str(self.holder[self.key])


@dataclass(frozen=True, slots=True)
class Target:
    """What an entry becomes: `Type/id`, and the version that it has after the transaction."""

    reference: str
    version: int


def links_in(resource: Mapping[str, Any]) -> Iterator[Link]:
    """Yields every text that may be a link; the text of a link that was yielded may be replaced.

    Args:
        resource: an object that `body.read` has read; nothing else of it need be right.
    """
    pending: list[tuple[Mapping[str, Any], str, Place]] = [(resource, _type_of(resource), None)]
    for value, type_name, place in pending:  # grows while it is read
        for link, inner in _members(value, shapes().get(type_name), place):
            member = link.holder[link.key]
            if isinstance(member, dict):
                pending.append((member, _type_of(member) if inner == "Resource" else inner, link.place))
            elif link.sort and isinstance(member, str):
                yield link


def root_of(full_url: str) -> str:
    """Returns the base of a RESTful fullUrl, with its slash; empty where it is none."""
    found = _RESTFUL.fullmatch(full_url)
    return found[1] if found is not None else ""


def relinked(link: Link, targets: Mapping[str, Target], root: str) -> str:
    """Returns the text of a link as it should be once every target has its place.

    Args:
        link: of any sort.
        targets: by fullUrl.
        root: base of the entry that holds the link: what its relative links are relative to.
    """
    if link.sort != NARRATIVE:
        return _resolved(link.text, targets, root)
    return _TAG.sub(
        lambda tag: _ATTRIBUTE.sub(lambda found: _attribute(found, targets, root), tag[0]), link.text
    )


def _resolved(text: str, targets: Mapping[str, Target], root: str) -> str:
    bare, mark, fragment = text.partition("#")
    url, versioned, _ = bare.partition(_VERSION)
    target = targets.get(url) or targets.get(root + url)
    if target is None:
        return text
    version = f"{_VERSION}{target.version}" if versioned else ""
    return f"{target.reference}{version}{mark}{fragment}"


def _attribute(found: re.Match[str], targets: Mapping[str, Target], root: str) -> str:
    url = unescape(found["url"] if found["url"] is not None else found["other"])
    new = _resolved(url, targets, root)
    return found[0] if new == url else f'{found["name"]}"{escape(new)}"'


def _type_of(resource: Mapping[str, Any]) -> str:
    named = resource.get("resourceType")
    return named if isinstance(named, str) else ""


def _sort(name: str, element: Element | None) -> str:
    if element is None:
        return _NAMED.get(name, "")
    if element.accepts is is_narrative:
        return NARRATIVE
    return _SORTS.get(element.primitive, REFERENCE if element.name == "reference" else "")


def _members(value: Mapping[str, Any], shape: Shape | None, place: Place) -> Iterator[tuple[Link, str]]:
    """Yields each member, or each thing in it where it is an array, with the name of the type inside it."""
    for name, member in value.items():
        element = shape.elements.get(name) if shape is not None else None
        sort, inner = _sort(name, element), element.shape if element is not None else ""
        shown = element.name if element is not None else name
        if isinstance(member, list):
            for index in range(len(member)):
                yield Link(member, index, sort, (place, shown, index)), inner
        else:
            yield Link(value, name, sort, (place, shown, None)), inner
