"""The conditions of the guidance as a tree, and the walk over it.

A condition is what the mapping files write after `when`: a finding by name, a test of one answer
or of one score, a switch, or a group of conditions. Nothing is evaluated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

COMPARISONS = {
    "more-than": "more than",
    "longer-than": "more than",
    "at-least": "at least",
    "less-than": "less than",
    "at-most": "at most",
}
"""The word of a condition, and the `edge` of the parameters that it compares with."""


class Named(msgspec.Struct, frozen=True):
    """Another finding, by name."""

    finding: str


class Is(msgspec.Struct, frozen=True):
    """One of these options is selected; `words` are option words, or true and false."""

    link_id: str
    words: tuple[str | bool, ...]


class Answered(msgspec.Struct, frozen=True):
    """Any answer is given."""

    link_id: str


class Measured(msgspec.Struct, frozen=True):
    """A number lies beyond a parameter: the first parameter whose unit can be compared is used."""

    link_id: str
    comparison: str
    parameters: tuple[str, ...]


class InBand(msgspec.Struct, frozen=True):
    """A score lies in one of these bands."""

    score: str
    bands: tuple[str, ...]


class Scored(msgspec.Struct, frozen=True):
    """A score lies beyond a parameter."""

    score: str
    comparison: str
    parameter: str


class Switch(msgspec.Struct, frozen=True):
    """A parameter that is true or false for all responses."""

    parameter: str


class Unsure(msgspec.Struct, frozen=True):
    """What was answered leaves this condition undecided: "not sure", or an answer that does not decide it."""

    of: Condition


class Newly(msgspec.Struct, frozen=True):
    """One of these conditions holds and an earlier response denied it; absent without earlier responses."""

    parts: tuple[Condition, ...]


class Denied(msgspec.Struct, frozen=True):
    """An earlier response denied this condition; no file writes it, it stands for a part of `Newly`."""

    of: Condition


class AtTier(msgspec.Struct, frozen=True):
    """The result is at this tier or beyond it; `comparison` is `at-least` or `at-most`."""

    comparison: str
    tier: str


class AtLevel(msgspec.Struct, frozen=True):
    """The risk of an outcome is at least this level."""

    outcome: str
    level: str


class Group(msgspec.Struct, frozen=True):
    """Several conditions: `word` is any, all, none, not or at-least (then with the parameter that counts)."""

    word: str
    parts: tuple[Condition, ...]
    parameter: str = ""


Condition = (
    Named | Is | Answered | Measured | InBand | Scored | Switch | Unsure | Newly | AtTier | AtLevel | Group
)
NEWLY = "new-since-earlier"
"""The word of `Newly` in mapping files."""

Place = tuple[str | int, ...]
"""Where a condition stands inside its file: keys and positions, outermost first."""

AskedWhen = Mapping[str, Condition]
"""By linkId, when a question is asked: groups of `Is` (by option code) and `Answered`; absent is always.

A `Measured` without parameters stands for a comparison of the questionnaire that proofs leave open:
it may hold or not once its question is answered. That only adds responses, so what is proved stays
proved.
"""


def walk(condition: Condition, place: Place) -> Iterator[tuple[Place, Condition]]:
    """Yields the condition and every condition inside it, each with its place."""
    yield place, condition
    if isinstance(condition, Group):
        for inner, part in zip(_places(condition, place), condition.parts, strict=True):
            yield from walk(part, inner)
    if isinstance(condition, Unsure):
        yield from walk(condition.of, (*place, "unsure"))
    if isinstance(condition, Newly):
        for index, part in enumerate(condition.parts):
            yield from walk(part, (*place, NEWLY, index))


def _places(group: Group, place: Place) -> list[Place]:
    if group.word == "not":
        return [(*place, "not")]
    key = "of" if group.word == "at-least" else group.word
    return [(*place, key, index) for index in range(len(group.parts))]


def links_of(condition: Condition | Denied, items: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Returns the linkIds that a test of answers reads; `items` holds the linkIds of each score."""
    if isinstance(condition, Is | Answered | Measured):
        return (condition.link_id,)
    return items.get(condition.score, ()) if isinstance(condition, InBand | Scored) else ()
