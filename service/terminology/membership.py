"""Membership in a set of codes: which are inside, which are outside, and which are unknown.

A set says something of single codes, and something of all others of a code system, or of all others. What
it says is one of three: inside (the member), a doubt with its reason, or outside. Sets are put together as
Kleene's three-valued logic has it: a union has a code as soon as one part has it, whatever is not known
of the other parts; a code is outside only where all of that is known.

Source: FHIR R4 valueset.html (compose: union of the includes, less the excludes); S. C. Kleene, On notation
for ordinal numbers, https://doi.org/10.2307/2267778
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple

import msgspec

from service.datatypes.answers import Coding
from service.datatypes.values import replace
from service.errors import Ask
from service.terminology.code_systems import Ancestor, names_in

MAX_ASKS: Final = 4
"""More value sets than these are not asked about for one code."""


@dataclass(frozen=True, slots=True)
class Member:
    """One code of a value set.

    Args:
        coding: system and code.
        display: as the value set has it, else as the code system has it.
        weight: what the code counts in a score, where the value set says so.
        version: of the code system; empty if it is not known.
        abstract: it only groups other codes and cannot be chosen.
        inactive: its code system no longer uses it.
        designations: further names, in other languages or for other uses, as FHIR.
        above: the nearest code of the same system that it stands below.
    """

    coding: Coding
    display: str
    weight: Decimal | None = None
    version: str = ""
    abstract: bool = False
    inactive: bool = False
    designations: tuple[Mapping[str, Any], ...] = ()
    above: Ancestor | None = field(default=None, compare=False, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The display and the designations."""
        return names_in({"display": self.display, "designation": list(self.designations)})


class Doubt(NamedTuple):
    """Why it is unknown whether a code is inside.

    Args:
        reason: in words of ours.
        asks: a terminology server can settle it: the code is inside exactly if one of these has it.
        about: canonical of what is not known, as the value set names it.
    """

    reason: str
    asks: tuple[Ask, ...] = ()
    about: str = ""


Said = Member | Doubt | None
"""What is said of a code: inside, in doubt, or outside."""


class Membership(msgspec.Struct, frozen=True):
    """Whether a code is a member of a value set.

    Args:
        is_member: None if it cannot be told.
        reason: why it cannot be told, in words of ours. about: canonical of what is not known, which
            may be the words of a sender.
        member: the code as the value set has it, where it is a member.
        asks: what a terminology server can be asked to settle it; see `Doubt`.
    """

    is_member: bool | None
    reason: str = ""
    member: Member | None = None
    asks: tuple[Ask, ...] = ()
    about: str = ""


def membership_of(said: Said) -> Membership:
    """Returns the verdict on a code."""
    if isinstance(said, Doubt):
        return Membership(None, said.reason, asks=said.asks, about=said.about)
    return Membership(said is not None, member=said)


@dataclass(frozen=True, eq=False)
class CodeSet:
    """What is known of a set of codes.

    Args:
        said: of single codes, in the order of the set.
        systems: doubts about all other codes of a code system.
        anywhere: a doubt about all other codes of any code system.
        is_plain: it names members alone, and there is no doubt: such sets are put together without a look
            at each code.
    """

    said: Mapping[Coding, Said] = field(default_factory=dict)
    systems: Mapping[str, Doubt] = field(default_factory=dict)
    anywhere: Doubt | None = None
    is_plain: bool = False

    def of(self, coding: Coding) -> Said:
        """Returns what the value set says of a code."""
        return self.said[coding] if coding in self.said else self.of_others(coding.system)

    def of_others(self, system: str) -> Doubt | None:
        """Returns the verdict on all codes of a system that are not named."""
        return _merged(self.systems.get(system), self.anywhere)

    @property
    def members(self) -> Iterator[Member]:
        """The codes that are inside for certain."""
        return (said for said in self.said.values() if isinstance(said, Member))

    @cached_property
    def doubt(self) -> Doubt | None:
        """Any of the doubts there are, None if everything is known."""
        if self.is_plain:
            return None
        if self.anywhere is not None:
            return self.anywhere
        named = (said for said in self.said.values() if isinstance(said, Doubt))
        return next(iter(self.systems.values()), None) or next(named, None)

    def asking(self, ask: Ask) -> CodeSet:
        """Returns the set with doubts that a terminology server can settle by this question alone."""
        if self.doubt is None:
            return self
        asks = (ask,)
        return CodeSet(
            {
                code: said._replace(asks=asks) if isinstance(said, Doubt) else said
                for code, said in self.said.items()
            },
            {system: doubt._replace(asks=asks) for system, doubt in self.systems.items()},
            self.anywhere and self.anywhere._replace(asks=asks),
        )

    def without_inactive(self) -> CodeSet:
        """Returns the set less the codes that their code system no longer uses."""
        if self.is_plain:
            return of_members(member for member in self.members if not member.inactive)
        said = {
            code: None if isinstance(found, Member) and found.inactive else found
            for code, found in self.said.items()
        }
        return replace(self, said=said)


def _merged(one: Doubt | None, other: Doubt | None) -> Doubt | None:
    """Returns the doubt about a code that two parts of a union both do not know."""
    if one is None or other is None or one == other:
        return one or other
    asks = tuple(dict.fromkeys((*one.asks, *other.asks))) if one.asks and other.asks else ()
    return one._replace(asks=asks if len(asks) <= MAX_ASKS else ())


def _unaskable(doubt: Doubt) -> Doubt:
    return doubt._replace(asks=())


def of_members(members: Iterable[Member]) -> CodeSet:
    """Returns exactly these codes; if one comes twice, the last counts."""
    return CodeSet({member.coding: member for member in members}, is_plain=True)


def unknown(reason: str, *asks: Ask, about: str = "") -> CodeSet:
    """Returns a set of which nothing is known."""
    return CodeSet(anywhere=Doubt(reason, asks, about))


def union(parts: Sequence[CodeSet]) -> CodeSet:
    """Returns the codes that are in any of the parts."""
    different = list({id(part): part for part in parts}.values())
    if len(different) == 1:
        return different[0]
    if all(part.is_plain for part in different):
        listed: dict[Coding, Said] = {}
        for part in different:
            listed.update(part.said)
        return CodeSet(listed, is_plain=True)
    systems: dict[str, Doubt | None] = {}
    anywhere: Doubt | None = None
    for part in different:
        anywhere = _merged(anywhere, part.anywhere)
        for system, doubt in part.systems.items():
            systems[system] = _merged(systems.get(system), doubt)
    others = CodeSet({}, {system: doubt for system, doubt in systems.items() if doubt is not None}, anywhere)
    return replace(others, said=_union_said(different, others))


def _union_said(parts: Sequence[CodeSet], others: CodeSet) -> dict[Coding, Said]:
    found: dict[Coding, Said] = {}
    denied: dict[Coding, int] = {}
    for part in parts:
        for coding, said in part.said.items():
            if said is None:
                denied[coding] = denied.get(coding, 0) + (part.of_others(coding.system) is not None)
            elif isinstance(said, Member):
                found[coding] = said
            elif not isinstance(found.get(coding), Member):
                found[coding] = _merged(_doubt(found.get(coding)), said)
    for coding, said in found.items():
        if isinstance(said, Doubt):
            found[coding] = _merged(said, others.of_others(coding.system))
    covering = _Covering(parts)
    outside = [coding for coding, times in denied.items() if times >= covering.count(coding)]
    return dict.fromkeys(outside) | found


def _doubt(said: Said) -> Doubt | None:
    return said if isinstance(said, Doubt) else None


class _Covering:
    """Counts the parts of a union that have a doubt about codes which they do not name."""

    def __init__(self, parts: Sequence[CodeSet]) -> None:
        self._everywhere = sum(part.anywhere is not None for part in parts)
        self._by_system: dict[str, int] = {}
        for part in parts:
            for system in part.systems if part.anywhere is None else ():
                self._by_system[system] = self._by_system.get(system, 0) + 1

    def count(self, coding: Coding) -> int:
        return self._everywhere + self._by_system.get(coding.system, 0)


def difference(whole: CodeSet, less: CodeSet) -> CodeSet:
    """Returns the codes of a set that are not in another one."""
    if whole.is_plain and less.is_plain:
        left = {coding: said for coding, said in whole.said.items() if coding not in less.said}
        return CodeSet(left, is_plain=True)
    said: dict[Coding, Said] = {}
    for coding, found in whole.said.items():
        said[coding] = _less(found, less.of(coding))
    for coding, found in less.said.items():
        doubt = whole.of_others(coding.system)
        if coding not in whole.said and found is not None and doubt is not None:
            said[coding] = _less(doubt, found)
    systems = {
        system: doubt if less.of_others(system) is None else _unaskable(doubt)
        for system, doubt in whole.systems.items()
    }
    anywhere = whole.anywhere
    if anywhere is not None:
        anywhere = anywhere if less.anywhere is None else _unaskable(anywhere)
        systems = {**dict.fromkeys(less.systems, _unaskable(anywhere)), **systems}
    return CodeSet(said, systems, anywhere)


def _less(said: Said, less: Said) -> Said:
    """Returns the verdict on a code of one set from which another is subtracted."""
    if said is None or isinstance(less, Member):
        return None
    return said if less is None else _unaskable(less)


def intersection(one: CodeSet, other: CodeSet) -> CodeSet:
    """Returns the codes that are in both sets."""
    said = {coding: _both(one.of(coding), other.of(coding)) for coding in (*one.said, *other.said)}
    systems = {}
    for system in (*one.systems, *other.systems):
        doubt = one.of_others(system)
        if doubt is not None and other.of_others(system) is not None:
            systems[system] = _unaskable(doubt)
    both = one.anywhere is not None and other.anywhere is not None
    return CodeSet(said, systems, _unaskable(one.anywhere) if both and one.anywhere is not None else None)


def _both(one: Said, other: Said) -> Said:
    if one is None or other is None:
        return None
    doubt = one if isinstance(one, Doubt) else other
    return _unaskable(doubt) if isinstance(doubt, Doubt) else one
