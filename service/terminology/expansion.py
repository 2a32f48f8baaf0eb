"""Writes the expansion of a value set: the answer of `$expand`.

Nothing in it depends on when or where it is made, so the same request gives the same bytes: the
timestamp is the newest date that the value set and its code systems state, and the identifier is made
of what the expansion holds.

Source: FHIR R4 valueset.html (expansion); OperationDefinition ValueSet-expand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import msgspec

from service.errors import NotScorable, Problem
from service.fhir.extensions import text
from service.fhir.json import Json
from service.terminology.value_sets import Member, Members, Resource, ValueSets

# Which codes of a value set an expansion shows, and how: chosen, named, and one below the other.
#
# Source: FHIR R4 valueset.html (expansion.contains); parameters of OperationDefinition ValueSet-expand.


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


MOST: Final = 2000
"""The most codes in one answer; there are pages for the rest."""

_PUBLISHED: Final = "2019-11-01T09:29:23+11:00"
"""When R4 was published, and with it the value sets that state no date here because they are R4's own."""

_NOT_KEPT: Final = ("id", "meta", "expansion")
_DEFINITION: Final = ("compose", "immutable")
_PAGING: Final = ("offset", "count")


def expanded(value_sets: ValueSets, value_set: Resource, wanted: Wanted) -> bytes:
    """Returns the ValueSet with its expansion, as JSON; it is not stored, so it has no id.

    Args:
        value_sets: everything that the value set may refer to.
        value_set: the ValueSet resource.
        wanted: how to expand it.

    Raises:
        NotScorable: its codes cannot be listed, or not by the versions that are wanted, or are too many.
    """
    members = _members(value_sets, value_set)
    _check_versions(members, wanted)
    entries = entries_of(members.found.values(), wanted)
    offset, contains = _page(entries, wanted)
    versions = _versions(members)
    expansion = {
        "identifier": _identifier(value_set, entries, [*wanted.asked, *versions]),
        "timestamp": _timestamp(value_sets, value_set, members),
        "total": len(entries),
        "offset": offset,
        "parameter": [*wanted.asked, *versions],
        "contains": contains,
    }
    filled = {name: value for name, value in expansion.items() if value not in (None, [])}
    return _json({**_kept(value_set, wanted), "expansion": filled})


def _members(value_sets: ValueSets, value_set: Resource) -> Members:
    members = value_sets.members_of(value_set)
    if members is None:
        reason = "it takes in a value set that is not known here, or says nothing of its codes"
    elif members.uncertain:
        reason = f"the codes of {', '.join(sorted(members.uncertain))} cannot be listed, or not by its filter"
    else:
        return members
    raise NotScorable(Problem("value-set-unreachable", f"The value set cannot be expanded: {reason}."))


def _check_versions(members: Members, wanted: Wanted) -> None:
    problems = [
        Problem("parameter-unsupported", f"Parameter {name}: expected a version that is held here.")
        for name, canonical in wanted.pinned
        if any(_is_other(canonical, member) for member in members.found.values())
    ]
    if problems:
        raise NotScorable(*problems)


def _is_other(canonical: str, member: Member) -> bool:
    """Whether a member is of this code system, but not of this version of it."""
    is_of_system = names_version(canonical.partition("|")[0], member)
    return is_of_system and not names_version(canonical, member)


def _page(entries: Sequence[Entry], wanted: Wanted) -> tuple[int | None, list[Json]]:
    """Returns the offset, where there are pages, and the codes; what is nested has no pages."""
    if wanted.count == 0:
        return None, []
    tree = [] if wanted.flat else nested(entries)
    if 0 < len(tree) < len(entries):
        _check_size(entries)
        return None, tree
    rest = entries[wanted.offset :]
    if wanted.count is None:
        _check_size(rest)
    is_paged = wanted.offset > 0 or wanted.count is not None
    shown = [each.shown for each in rest[: min(wanted.count or MOST, MOST)]]
    return wanted.offset if is_paged else None, shown


def _check_size(entries: Sequence[Entry]) -> None:
    if len(entries) > MOST:
        words = f"The expansion has more than {MOST} codes. Expected: excludeNested = true, count and offset."
        raise NotScorable(Problem("expansion-size", words))


def _versions(members: Members) -> list[Json]:
    """Returns the code systems that were used, with their versions, as parameters of the expansion."""
    used = ((each.coding.system, each.version) for each in members.found.values() if each.version)
    return [{"name": "version", "valueUri": f"{system}|{version}"} for system, version in dict.fromkeys(used)]


def _identifier(value_set: Resource, entries: Sequence[Entry], parameters: Sequence[Json]) -> str:
    """Returns a name for the expansion with all its pages: another content has another name."""
    asked = [each for each in parameters if each["name"] not in _PAGING]
    content = [value_set.get("url"), value_set.get("version"), asked, [each.shown for each in entries]]
    return uuid5(NAMESPACE_URL, _json(content).decode()).urn


def _timestamp(value_sets: ValueSets, value_set: Resource, members: Members) -> str:
    used = {(member.coding.system, member.version) for member in members.found.values()}
    sources = [value_set, *filter(None, (value_sets.system(*each) for each in used))]
    newest = max(text(each.get("date")) for each in sources) or _PUBLISHED
    return f"{newest}T00:00:00Z" if len(newest) == len("YYYY-MM-DD") else newest


def _kept(value_set: Resource, wanted: Wanted) -> Json:
    """Returns what is shown of the value set itself; those of R4 state no status here."""
    left_out = _NOT_KEPT if wanted.definition else (*_NOT_KEPT, *_DEFINITION)
    kept = {name: held for name, held in value_set.items() if name not in left_out}
    return {"resourceType": "ValueSet", "status": "unknown"} | kept


def _json(value: object) -> bytes:
    return msgspec.json.Encoder(decimal_format="number").encode(value)
