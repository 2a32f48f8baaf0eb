"""Finds the links in the resources of a Bundle, and replaces those that point to another entry.

A link is a literal reference, a uri or a url (a canonical is none), or `href` and `src` in a narrative.
Text that only looks like one, such as the value of an identifier, stays as it is: what is a link is read
from the tables of R4, and guessed from the name only in a contained resource that they do not have.

In a transaction conditional references are resolved too, by what was stored before it. A link to nothing in
the Bundle stays as it is, as R4 asks, but for a reference by urn:uuid or urn:oid, which is refused: such a
name leads to the entry with this fullUrl, or nowhere (bundle.html#references). The entries of a batch are
requests of their own, in which such a reference is as legal as outside of any Bundle.

Source:
    R4 http.html#trules; bundle.html#references.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape, unescape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from service.datatypes.values import replace
from service.errors import Malformed, PreconditionFailed, Problem, TooLarge
from service.fhir.json import Place, encoded, expression, relative_path
from service.fhir.primitives import ID
from service.fhir.shapes import Element, Shape, shapes
from service.fhir.xhtml import is_narrative
from service.records import KINDS
from service.search import condition_from
from service.storage.model import in_short, one_or_two
from service.web.bundle_entries import Entry

if TYPE_CHECKING:
    from service.storage.model import Reading, Record


REFERENCE: Final = "reference"
URI: Final = "uri"
FIXED: Final = "fixed"
NARRATIVE: Final = "narrative"

_TURN: Final = 2000
"""Members that are looked at before others have their turn."""

MOST_SEARCHES: Final = 100
"""Most different conditional references of one transaction."""

_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]{0,63}\?.+")
_CATEGORIES = {"uri": URI, "url": URI, "oid": FIXED, "uuid": FIXED}
_NAMED = {"reference": REFERENCE, "div": NARRATIVE, "valueUri": URI, "valueUrl": URI, "url": URI}
_URN = re.compile(r"urn:(?:uuid|oid):", re.IGNORECASE)
_VERSION = "/_history/"
_RESTFUL = re.compile(rf"(https?://.+/)[A-Z][A-Za-z]+/{ID}")
_TAG = re.compile(r"<[A-Za-z][^<>]*+>")
_ATTRIBUTE = re.compile(
    r"""(?<=\s)(?P<name>(?:href|src)\s*+=\s*+)(?:"(?P<url>[^"]*+)"|'(?P<other>[^']*+)')"""
)


class Link(NamedTuple):
    """A text that may be a link.

    Args:
        holder: the object or array that the text stands in, under `key`.
        category: REFERENCE, URI, NARRATIVE (the whole XHTML), or FIXED: an oid or uuid, which cannot hold a
            path; empty if it is no link.
        place: where it stands in the resource.
    """

    holder: Any
    key: Any
    category: str
    place: Place

    @property
    def text(self) -> str:
        """The text."""
        return str(self.holder[self.key])


class Target(msgspec.Struct, frozen=True):
    """What an entry becomes: `Type/id`, and the version that it has after the transaction."""

    reference: str
    version: int


def links_in(resource: Mapping[str, Any]) -> Iterator[Link]:
    """Yields every text that may be a link; the text of a link that was yielded may be replaced.

    Others have their turn now and then.

    Args:
        resource: an object that `body.read` has read; nothing else of it need be right.
    """
    pending: list[tuple[Mapping[str, Any], str, Place]] = [(resource, _type_of(resource), None)]
    members = 0
    for value, type_name, place in pending:  # grows while it is read
        for link, inner in _members(value, shapes().get(type_name), place):
            members += 1
            if members % _TURN == 0:
                time.sleep(0)
            member = link.holder[link.key]
            if isinstance(member, dict):
                pending.append((member, _type_of(member) if inner == "Resource" else inner, link.place))
            elif link.category and isinstance(member, str):
                yield link


def root_of(full_url: str) -> str:
    """Returns the base of a RESTful fullUrl, with its slash; empty if it is none."""
    found = _RESTFUL.fullmatch(full_url)
    return found[1] if found is not None else ""


def relinked(link: Link, targets: Mapping[str, Target], root: str) -> str:
    """Returns the text of a link as it should be once every target has its place.

    Args:
        link: of any category.
        targets: by fullUrl.
        root: base of the entry that holds the link: what its relative links are relative to.
    """
    if link.category != NARRATIVE:
        return _resolved(link.text, targets, root)
    return _TAG.sub(
        lambda tag: _ATTRIBUTE.sub(lambda found: _attribute(found, targets, root), tag[0]), link.text
    )


def stays(resource: Mapping[str, Any], targets: Mapping[str, Target], root: str) -> bool:
    """Returns whether no link of a resource depends on what becomes of other entries, or on what is stored.

    Args:
        resource: of an entry. targets: by fullUrl. root: base of the entry.
    """
    return not any(
        relinked(link, targets, root) != link.text
        or (link.category == REFERENCE and _CONDITIONAL.fullmatch(link.text))
        for link in links_in(resource)
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


def _category(name: str, element: Element | None) -> str:
    if element is None:
        return _NAMED.get(name, "")
    if element.accepts is is_narrative:
        return NARRATIVE
    return _CATEGORIES.get(element.primitive, REFERENCE if element.name == "reference" else "")


def _members(value: Mapping[str, Any], shape: Shape | None, place: Place) -> Iterator[tuple[Link, str]]:
    """Yields each member, or each thing in it where it is an array, with the name of the type inside it."""
    for name, member in value.items():
        element = shape.elements.get(name) if shape is not None else None
        category, inner = _category(name, element), element.shape if element is not None else ""
        name_in_path = element.name if element is not None else name
        if isinstance(member, list):
            for index in range(len(member)):
                yield Link(member, index, category, (place, name_in_path, index)), inner
        else:
            yield Link(value, name, category, (place, name_in_path, None)), inner


class LinkReplacement:
    """What links are replaced by in one transaction.

    Args:
        targets: what the entries become, by fullUrl.
        reading: where conditional references are looked up.
        base: public FHIR base.
    """

    def __init__(self, targets: Mapping[str, Target], reading: Reading, base: str) -> None:
        self._targets = targets
        self._reading = reading
        self._base = base
        self._found: dict[str, Sequence[Record] | None] = {}
        self._malformed: list[Problem] = []
        self._failed: list[Problem] = []

    def body(self, entry: Entry) -> bytes:
        """Returns the resource of an entry; to the byte as it came where no link of it is replaced."""
        root, changed = root_of(entry.full_url), False
        for link in links_in(entry.resource or {}):
            new = self._new(entry, link, root)
            if new != link.text:
                link.holder[link.key], changed = new, True
        if not changed:
            return entry.body
        return encoded(entry.resource)

    def refuse(self) -> None:
        """Raises Malformed or PreconditionFailed where a link could not be replaced."""
        if self._malformed:
            raise Malformed(*self._malformed, *self._failed)
        if self._failed:
            raise PreconditionFailed(*self._failed)

    def _new(self, entry: Entry, link: Link, root: str) -> str:
        if link.category == REFERENCE and _CONDITIONAL.fullmatch(link.text):
            return self._resolved(entry, link)
        new = relinked(link, self._targets, root)
        if link.category == FIXED and new != link.text:
            self._malformed.append(_problem(entry, link, "expected an element of type uri for a link"))
        if link.category == REFERENCE and new == link.text and _URN.match(new):
            self._malformed.append(_problem(entry, link, "expected the fullUrl of an entry that is stored"))
        return new

    def _resolved(self, entry: Entry, link: Link) -> str:
        text = link.text
        if text not in self._found:
            self._check_room(entry)
            self._found[text] = self._search(text)
        found = self._found[text]
        if found is not None and len(found) == 1:
            return f"{found[0].type}/{found[0].id}"
        self._failed.append(_unresolved(entry, link, found))
        return text

    def _check_room(self, entry: Entry) -> None:
        """Raises TooLarge over the limit: each is a search of its own, during which nobody else can write."""
        if len(self._found) == MOST_SEARCHES:
            text = f"Expected at most {MOST_SEARCHES} different conditional references in a transaction."
            raise TooLarge(Problem("bundle-size", text, entry.place))

    def _search(self, text: str) -> Sequence[Record] | None:
        """Returns at most two matches of a conditional reference, or None where it is no search here."""
        kind, _, query = text.partition("?")
        if kind not in KINDS:
            return None
        try:
            search = condition_from(kind, query, base=self._base)
        except Malformed:
            return None
        return one_or_two(self._reading.search(in_short(search)))


def _unresolved(entry: Entry, link: Link, found: Sequence[Record] | None) -> Problem:
    if found is None:
        return _problem(entry, link, "expected a literal reference, or a search among what is stored here")
    if found:
        expected = "expected a search that finds one resource; it finds several"
        return replace(_problem(entry, link, expected), kind="multiple-matches")
    return _problem(entry, link, "expected a search that finds a resource; it finds none")


def _problem(entry: Entry, link: Link, expected: str) -> Problem:
    root = f"{entry.place}.resource"
    return Problem(
        "bundle-reference", f"{relative_path(root, link.place)}: {expected}.", expression(root, link.place)
    )
