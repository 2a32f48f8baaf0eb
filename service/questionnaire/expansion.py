"""Writes the expansion of a value set: the answer of `$expand`.

Nothing in it depends on when or where it is made, so the same request gives the same bytes: the
timestamp is the newest date that the value set and its code systems state, and the identifier is made
of what the expansion holds.

Source: FHIR R4 valueset.html (expansion); OperationDefinition ValueSet-expand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from service.errors import NotScorable, Problem
from service.questionnaire.expansion_entries import Entry, Wanted, entries_of, names_version, nested
from service.questionnaire.extensions import text
from service.questionnaire.members import Member, Members
from service.questionnaire.value_sets import Resource, ValueSets

Json = dict[str, Any]

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
