"""What a reference points at: the same thing has one form, in what is stored and in what is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from service.storage import Reference

ID: Final = r"[A-Za-z0-9\-.]{1,64}"
TYPE: Final = r"[A-Z][A-Za-z]{1,63}"

_LOCAL = re.compile(rf"({TYPE})/({ID})(?:/_history/({ID}))?")
# What some senders write around a relative reference; the person who is meant must be found by it.
_ODD = re.compile(r"\A(?:\./|/)+|(?:/+|[#?].*)\Z", re.DOTALL)
_HISTORY = re.compile(rf"/_history/{ID}\Z")
_TAIL = re.compile(rf"/({TYPE})/{ID}\Z")
_TYPES = "http://hl7.org/fhir/StructureDefinition/"

Contained = Mapping[str, Mapping[str, Any]]


class Target(NamedTuple):
    """What a reference names: a resource of this server by type and id, or anything else by its url.

    Args:
        type: resource type; of a foreign url the one that its path says; else empty.
        id: empty for a foreign url.
        url: empty for a resource of this server.
        version: version of a resource of this server; else empty.
    """

    type: str
    id: str
    url: str
    version: str = ""


def target_of(text: str, base: str) -> Target:
    """Returns what a literal reference names.

    An absolute url below our own base is the relative reference; a version is no part of what is
    named. Any other url only equals itself: two servers may use one id for two people.
    """
    local = _LOCAL.fullmatch(_ODD.sub("", text.strip().removeprefix(f"{base}/")))
    if local:
        return Target(local[1], local[2], "", local[3] or "")
    url = _HISTORY.sub("", text)
    tail = _TAIL.search(url)
    return Target(tail[1] if tail else "", "", url)


def reference_entries(
    parameter: str, reference: Mapping[str, Any], contained: Contained, base: str, only: str = ""
) -> Iterator[Reference]:
    """Yields the index entries of one Reference.

    Args:
        parameter: name of the search parameter.
        reference: the Reference; one without literal reference and identifier has no entry.
        contained: the contained resources by id: one that is referred to stands there by its identifiers.
        base: public FHIR base.
        only: leave out what is not known to be of this type; empty for none.
    """
    text = reference.get("reference", "")
    inside = contained.get(text[1:], {}) if text.startswith("#") else {}
    named = target_of(text, base) if text and not text.startswith("#") else Target("", "", "")
    if only and only != _type_of(reference, inside, named):
        return
    if named.id or named.url:
        yield Reference(parameter, named.type if named.id else "", named.id, named.url)
    for identifier in _identifiers(reference, inside):
        value, system = identifier.get("value"), identifier.get("system", "")
        if isinstance(value, str) and isinstance(system, str):
            yield Reference(parameter, identifier=(system, value))


def contained_in(resource: Mapping[str, Any]) -> Contained:
    """Returns the contained resources by id."""
    return {each["id"]: each for each in resource.get("contained", ()) if "id" in each}


def _type_of(reference: Mapping[str, Any], inside: Mapping[str, Any], named: Target) -> str:
    stated: str = inside.get("resourceType") or named.type or reference.get("type", "")
    return stated.removeprefix(_TYPES)


def _identifiers(*holders: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for holder in holders:
        found = holder.get("identifier", ())  # inside a contained resource it may be anything
        for each in found if isinstance(found, list | tuple) else (found,):
            if isinstance(each, dict):
                yield each
