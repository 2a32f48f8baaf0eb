"""Writes the expansion of a value set: the answer of `$expand`.

Nothing in it depends on when or where it is made, so the same request gives the same bytes: the
timestamp is the newest date that the value set and its code systems state, and the identifier is made
of what the expansion holds.

Source: FHIR R4 valueset.html (expansion, expansion.contains); OperationDefinition ValueSet-expand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import msgspec

from service.datatypes.answers import Coding
from service.errors import NotScorable, Problem
from service.fhir.extensions import text
from service.fhir.json import Json, MutableJson, encoded
from service.terminology.code_systems import Ancestor
from service.terminology.membership import Member
from service.terminology.value_sets import Resource, ValueSets

MAX_CODES: Final = 2000
"""The most codes in one answer; there are pages for the rest."""

_R4_PUBLISHED: Final = "2019-11-01T09:29:23+11:00"
"""When R4 was published, and with it the value sets that state no date here because they are R4's own."""

_LEFT_OUT: Final = ("id", "meta", "expansion")
_DEFINITION: Final = ("compose", "immutable")
_PAGING: Final = ("offset", "count")
_WORD: Final = re.compile(r"\w+")
_LANGUAGE_SYSTEMS: Final = ("", "urn:ietf:bcp:47")


class ExpansionParameters(msgspec.Struct, frozen=True):
    """How a value set is to be expanded; each field is a parameter of `$expand`.

    Args:
        filter: words; each must begin a word of the display or of the code. Case and accents do not count.
        offset, count: the page, in codes; None is everything.
        active_only: leave out inactive codes.
        exclude_nested: put no code below another.
        exclude_not_for_ui: leave out abstract codes.
        include_definition: show the definition of the value set.
        include_designations: show further names, all of them or those that `designation` names.
        designation: `system|code` of a use, or a language.
        display_language: language of the display, where the code has a name in it.
        exclude_system: code systems to leave out, `url` or `url|version`.
        system_versions: pairs of a parameter's name and `url|version`: the version of a code system that
            must be used.
        stated: the parameters of the request, as ValueSet.expansion.parameter repeats them.
    """

    filter: str = ""
    offset: int = 0
    count: int | None = None
    active_only: bool = False
    exclude_nested: bool = False
    exclude_not_for_ui: bool = False
    include_definition: bool = False
    include_designations: bool = False
    designation: tuple[str, ...] = ()
    display_language: str = ""
    exclude_system: tuple[str, ...] = ()
    system_versions: tuple[tuple[str, str], ...] = ()
    stated: tuple[Json, ...] = ()


def expand(value_sets: ValueSets, value_set: Resource, parameters: ExpansionParameters) -> bytes:
    """Returns the ValueSet with its expansion, as JSON; it is not stored, so it has no id.

    Args:
        value_sets: everything that the value set may refer to.
        value_set: the ValueSet resource.
        parameters: how to expand it.

    Raises:
        NotScorable: its codes cannot be listed, or not by the versions that are wanted, or are too many.
    """
    members = _members(value_sets, value_set)
    _check_versions(members, parameters)
    codes = _selected(members, parameters)
    offset, contains = _page(codes, parameters)
    stated = [*parameters.stated, *_used_versions(members)]
    expansion = {
        "identifier": _identifier(value_set, codes, stated),
        "timestamp": _timestamp(value_sets, value_set, members),
        "total": len(codes),
        "offset": offset,
        "parameter": stated,
        "contains": contains,
    }
    filled = {name: value for name, value in expansion.items() if value not in (None, [])}
    return encoded({**_own_elements(value_set, parameters), "expansion": filled})


def _members(value_sets: ValueSets, value_set: Resource) -> list[Member]:
    codes = value_sets.codes_of(value_set)
    if codes.doubt is None:
        return list(codes.members)
    about = f": {codes.doubt.about}" if codes.doubt.about else ""
    words = f"The value set cannot be expanded: {codes.doubt.reason}{about}."
    raise NotScorable(Problem("value-set-unreachable", words))


def _check_versions(members: Sequence[Member], parameters: ExpansionParameters) -> None:
    problems = [
        Problem("parameter-unsupported", f"Parameter {name}: expected a version that is held here.")
        for name, canonical in parameters.system_versions
        if any(_is_other_version(canonical, member) for member in members)
    ]
    if problems:
        raise NotScorable(*problems)


def _is_other_version(canonical: str, member: Member) -> bool:
    """Returns whether a member is of this code system, but not of this version of it."""
    is_of_system = _is_of_system(canonical.partition("|")[0], member)
    return is_of_system and not _is_of_system(canonical, member)


def _is_of_system(canonical: str, member: Member) -> bool:
    """Returns whether `url` or `url|version` is the code system of a member."""
    url, _, version = canonical.partition("|")
    return member.coding.system == url and version in ("", member.version)


def _used_versions(members: Sequence[Member]) -> list[MutableJson]:
    """Returns the code systems that were used, with their versions, as parameters of the expansion."""
    used = dict.fromkeys((member.coding.system, member.version) for member in members if member.version)
    return [{"name": "version", "valueUri": f"{system}|{version}"} for system, version in used]


def _timestamp(value_sets: ValueSets, value_set: Resource, members: Sequence[Member]) -> str:
    used = {(member.coding.system, member.version) for member in members}
    sources = [value_set, *filter(None, (value_sets.system(*system) for system in used))]
    newest = max(text(source.get("date")) for source in sources) or _R4_PUBLISHED
    return f"{newest}T00:00:00Z" if len(newest) == len("YYYY-MM-DD") else newest


def _own_elements(value_set: Resource, parameters: ExpansionParameters) -> MutableJson:
    """Returns the elements of the value set itself; those of R4 state no status here."""
    left_out = _LEFT_OUT if parameters.include_definition else (*_LEFT_OUT, *_DEFINITION)
    elements = {name: value for name, value in value_set.items() if name not in left_out}
    return {"resourceType": "ValueSet", "status": "unknown"} | elements


# The codes of the expansion: which are selected, how each is written, and one below the other.


class _Code(NamedTuple):
    """A code of an expansion, and the element of `contains` that shows it."""

    member: Member
    element: MutableJson


def _selected(members: Iterable[Member], parameters: ExpansionParameters) -> list[_Code]:
    """Returns the codes that are shown, all pages of them, none below another."""
    words = tuple(dict.fromkeys(_folded(parameters.filter).split()))
    codes = (
        _Code(member, _element(member, parameters))
        for member in members
        if not _is_left_out(member, parameters)
    )
    return [code for code in codes if _matches(words, code)]


def _is_left_out(member: Member, parameters: ExpansionParameters) -> bool:
    return (
        (parameters.active_only and member.inactive)
        or (parameters.exclude_not_for_ui and member.abstract)
        or any(_is_of_system(canonical, member) for canonical in parameters.exclude_system)
    )


def _matches(words: Sequence[str], code: _Code) -> bool:
    """Returns whether each word begins a word of the name that is shown, or of the code."""
    if not words:
        return True
    named = _folded(f"{code.element.get('display', '')} {code.member.coding.code}")
    known = {*named.split(), *_WORD.findall(named)}
    return all(any(candidate.startswith(word) for candidate in known) for word in words)


def _folded(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _element(member: Member, parameters: ExpansionParameters) -> MutableJson:
    element = {
        "system": member.coding.system,
        "abstract": member.abstract,
        "inactive": member.inactive,
        "version": member.version,
        "code": member.coding.code,
        "display": _display(member, parameters.display_language),
        "designation": list(_designations(member, parameters)),
    }
    return {name: value for name, value in element.items() if value}


def _display(member: Member, language: str) -> str:
    """Returns the name in the language that is asked for, else as the value set has it."""
    names = (text(found.get("value")) for found in member.designations if _is_in_language(found, language))
    return next(filter(None, names), member.display)


def _designations(member: Member, parameters: ExpansionParameters) -> Iterator[Json]:
    wanted = parameters.designation
    if parameters.include_designations:
        for designation in member.designations:
            if not wanted or any(_fits_token(designation, token) for token in wanted):
                yield designation


def _fits_token(designation: Json, token: str) -> bool:
    system, _, code = token.rpartition("|")
    use = designation.get("use")
    is_use = isinstance(use, Mapping) and (text(use.get("system")), use.get("code")) == (system, code)
    return is_use or (system in _LANGUAGE_SYSTEMS and _is_in_language(designation, code))


def _is_in_language(designation: Json, language: str) -> bool:
    """Returns whether a designation is in a language, or in a regional form of it.

    Source: RFC 4647, section 3.3.1.
    """
    found = text(designation.get("language")).casefold()
    return bool(language) and f"{found}-".startswith(f"{language.casefold()}-")


def _page(codes: Sequence[_Code], parameters: ExpansionParameters) -> tuple[int | None, list[MutableJson]]:
    """Returns the offset, if there are pages, and the codes; a nested expansion has no pages."""
    if parameters.count == 0:
        return None, []
    tree = [] if parameters.exclude_nested else _nested(codes)
    if 0 < len(tree) < len(codes):
        _check_size(codes)
        return None, tree
    rest = codes[parameters.offset :]
    if parameters.count is None:
        _check_size(rest)
    is_paged = parameters.offset > 0 or parameters.count is not None
    page = [code.element for code in rest[: min(parameters.count or MAX_CODES, MAX_CODES)]]
    return parameters.offset if is_paged else None, page


def _nested(codes: Sequence[_Code]) -> list[MutableJson]:
    """Returns the codes, each below its nearest ancestor in the code system."""
    elements = {code.member.coding: {**code.element} for code in codes}
    parents = _Parents(elements)
    top: list[MutableJson] = []
    for member, _ in codes:
        parent = parents.of(member)
        siblings = top if parent is None else parent.setdefault("contains", [])
        siblings.append(elements[member.coding])
    return top


class _Parents:
    """Finds the nearest code above another one that is shown; each way up is gone once."""

    def __init__(self, elements: Mapping[Coding, MutableJson]) -> None:
        self._elements = elements
        self._found: dict[Ancestor, MutableJson | None] = {}

    def of(self, member: Member) -> MutableJson | None:
        """Returns the element of `contains` for a code's nearest ancestor, or None."""
        passed: list[Ancestor] = []
        above, system = member.above, member.coding.system
        while above is not None and above not in self._found:
            passed.append(above)
            shown = self._elements.get(Coding(system, above.code))
            if shown is not None:
                self._found[above] = shown
            else:
                above = above.above
        parent = self._found[above] if above is not None else None
        self._found.update(dict.fromkeys(passed, parent))
        return parent


def _check_size(codes: Sequence[_Code]) -> None:
    if len(codes) > MAX_CODES:
        remedy = "Expected: excludeNested = true, count and offset."
        words = f"The expansion has more than {MAX_CODES} codes. {remedy}"
        raise NotScorable(Problem("expansion-size", words))


def _identifier(value_set: Resource, codes: Sequence[_Code], stated: Sequence[Json]) -> str:
    """Returns a name for the expansion with all its pages: another content has another name."""
    parameters = [parameter for parameter in stated if parameter["name"] not in _PAGING]
    elements = [code.element for code in codes]
    content = [value_set.get("url"), value_set.get("version"), parameters, elements]
    return uuid5(NAMESPACE_URL, encoded(content).decode()).urn
