"""Which codes of a value set an expansion shows, and how: chosen, named, and one below the other.

Source: FHIR R4 valueset.html (expansion.contains); parameters of OperationDefinition ValueSet-expand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from service.questionnaire.extensions import text
from service.questionnaire.members import Member

Json = dict[str, Any]

_WORD: Final = re.compile(r"\w+")
_LANGUAGES: Final = ("", "urn:ietf:bcp:47")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a value set is to be expanded; each field is a parameter of `$expand`.

    Args:
        filter: words; each must begin a word of the display or of the code. Case and accents do not count.
        offset, count: the page, in codes; None is everything.
        active_only: leave out inactive codes.
        flat: put no code below another.
        selectable_only: leave out abstract codes.
        definition: show the definition of the value set.
        designations: show further names, all of them or those that `designation` names.
        designation: `system|code` of a use, or a language.
        language: of the display, where there is one in it.
        without: code systems to leave out, `url` or `url|version`.
        pinned: pairs of a parameter's name and `url|version`: the version of a code system that must be used.
        asked: what was asked, as ValueSet.expansion.parameter.
    """

    filter: str = ""
    offset: int = 0
    count: int | None = None
    active_only: bool = False
    flat: bool = False
    selectable_only: bool = False
    definition: bool = False
    designations: bool = False
    designation: tuple[str, ...] = ()
    language: str = ""
    without: tuple[str, ...] = ()
    pinned: tuple[tuple[str, str], ...] = ()
    asked: tuple[Json, ...] = ()


class Entry(NamedTuple):
    """A code of an expansion, and how it is shown."""

    member: Member
    shown: Json


def entries_of(members: Iterable[Member], wanted: Wanted) -> list[Entry]:
    """Returns the codes that are shown, all pages of them, none below another."""
    words = tuple(dict.fromkeys(_folded(wanted.filter).split()))
    entries = (Entry(each, _shown(each, wanted)) for each in members if _is_wanted(each, wanted))
    return [each for each in entries if _begins(words, each)]


def nested(entries: Sequence[Entry]) -> list[Json]:
    """Returns the codes, each below the nearest that stands above it in its code system."""
    places = {each.member.coding: {**each.shown} for each in entries}
    top: list[Json] = []
    for member, _ in entries:
        above = (places.get(member.coding._replace(code=code)) for code in reversed(member.above))
        parent = next(filter(None, above), None)
        below = top if parent is None else parent.setdefault("contains", [])
        below.append(places[member.coding])
    return top


def names_version(canonical: str, member: Member) -> bool:
    """Whether `url` or `url|version` is the code system of a member."""
    url, _, version = canonical.partition("|")
    return member.coding.system == url and version in ("", member.version)


def _is_wanted(member: Member, wanted: Wanted) -> bool:
    return not (
        (wanted.active_only and member.inactive)
        or (wanted.selectable_only and member.abstract)
        or any(names_version(each, member) for each in wanted.without)
    )


def _shown(member: Member, wanted: Wanted) -> Json:
    entry = {
        "system": member.coding.system,
        "abstract": member.abstract,
        "inactive": member.inactive,
        "version": member.version,
        "code": member.coding.code,
        "display": _display(member, wanted.language),
        "designation": list(_designations(member, wanted)),
    }
    return {name: value for name, value in entry.items() if value}


def _display(member: Member, language: str) -> str:
    """Returns the name in the language that is asked for, else as the value set has it."""
    spoken = (text(each.get("value")) for each in member.designations if _is_in(each, language))
    return next(filter(None, spoken), member.display)


def _designations(member: Member, wanted: Wanted) -> Iterator[Mapping[str, Any]]:
    if wanted.designations:
        for each in member.designations:
            if not wanted.designation or any(_is_meant(each, token) for token in wanted.designation):
                yield each


def _is_meant(designation: Mapping[str, Any], token: str) -> bool:
    system, _, code = token.rpartition("|")
    use = designation.get("use")
    is_use = isinstance(use, Mapping) and (text(use.get("system")), use.get("code")) == (system, code)
    return is_use or (system in _LANGUAGES and _is_in(designation, code))


def _is_in(designation: Mapping[str, Any], language: str) -> bool:
    """Whether a designation is in a language, or in a regional form of it.

    Source: RFC 4647, section 3.3.1.
    """
    spoken = text(designation.get("language")).casefold()
    return bool(language) and f"{spoken}-".startswith(f"{language.casefold()}-")


def _begins(words: Sequence[str], entry: Entry) -> bool:
    """Whether each word begins a word of the name that is shown, or of the code."""
    if not words:
        return True
    named = _folded(f"{entry.shown.get('display', '')} {entry.member.coding.code}")
    known = {*named.split(), *_WORD.findall(named)}
    return all(any(each.startswith(word) for each in known) for word in words)


def _folded(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
