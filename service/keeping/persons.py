"""A person as an operator names one, as the references by which a store knows the person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from service.errors import StartupError
from service.search import target_of
from service.storage import AnyReference, ReferenceTo, ReferenceToIdentifier, ReferenceToUrl

Person = tuple[AnyReference, ...]

_NAME = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}|[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_IDENTIFIER = re.compile(r"[^|]*\|.+", re.DOTALL)
_A_NAME = "expected a type with an id, such as Patient/123, or an absolute URL"
_AN_IDENTIFIER = "expected system|value"


def person_from(names: Sequence[str], identifiers: Sequence[str], base: str) -> Person:
    """Returns everything that refers to the person who is named so, in one way or in several.

    Args:
        names: `Patient/123` or absolute urls.
        identifiers: `system|value`; `|value` for an identifier that has no system.
        base: public FHIR base; an absolute url below it is the relative reference.

    Raises:
        StartupError: a name is neither; the fault says which one it is, and does not repeat it.
    """
    wrong_names = (f"PERSON {place}: {_A_NAME}." for place in _misfits(names, _NAME))
    wrong = (f"--identifier {place}: {_AN_IDENTIFIER}." for place in _misfits(identifiers, _IDENTIFIER))
    faults = [*wrong_names, *wrong]
    if faults:
        raise StartupError(faults)
    literal = [each for name in names for each in _references(name, base)]
    return (*literal, *map(_identified, identifiers))


def _misfits(texts: Sequence[str], pattern: re.Pattern[str]) -> Iterator[int]:
    return (place for place, text in enumerate(texts, start=1) if not pattern.fullmatch(text))


def _references(name: str, base: str) -> Iterator[AnyReference]:
    target = target_of(name, base)
    if not target.id:
        yield ReferenceToUrl(target.url)
        return
    yield ReferenceTo(target.id, target.type)
    # Stored while the base was another one, the same reference is a foreign url.
    yield ReferenceToUrl(f"{base}/{target.type}/{target.id}")


def _identified(identifier: str) -> AnyReference:
    system, _, value = identifier.partition("|")
    return ReferenceToIdentifier(value, system)
