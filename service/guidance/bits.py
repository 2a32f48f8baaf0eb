"""Three values as two bits, conditions as masks, and programs that derive one from the other.

Node n owns two bits of one integer: bit 2n says *present for certain*, bit 2n + 1 says *possible*
(present or unknown). Present is 11, unknown 10, absent 00. Both bits only ever get set, never
cleared; therefore a contradiction can force a finding by setting its bits beforehand.

An `any` costs nothing at evaluation: whatever sets a bit also sets the bits of every `any` above
it (its closure). What remains is a short list of steps in the order of their depth: all (every
bit of a mask is set), none (no bit of a mask is set) and count (enough bits are set). Present and
possible follow the same steps; `none` swaps the two, and `unless` denies what is present for certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import and_

import msgspec

from service.guidance.graph import Graph

ABSENT, UNKNOWN, PRESENT = 0, 2, 3
"""Values of a node's two bits. 1 never occurs."""


def certain(nodes: Iterable[int]) -> int:
    """Returns the mask of the *present for certain* bits of these nodes; shift left by one for *possible*."""
    return union(1 << 2 * node for node in nodes)


def positions(mask: int) -> list[int]:
    """Returns the positions of the bits of a mask, ascending; for masks with few bits."""
    found = []
    while mask:  # from the top, since what is left gets shorter with each
        position = mask.bit_length() - 1
        found.append(position)
        mask ^= 1 << position
    found.reverse()
    return found


def both(mask: int) -> int:
    """Returns a mask of *certain* bits together with the *possible* bits beside them."""
    return mask | mask << 1


def union(masks: Iterable[int]) -> int:
    """Returns a mask of every bit that is set in one of the masks."""
    united = 0
    for mask in masks:
        united |= mask
    return united


def intersection(masks: Iterable[int]) -> int:
    """Returns a mask of every bit that is set in all of the masks, of which there is one at least."""
    return reduce(and_, masks)


def closures(graph: Graph) -> tuple[int, ...]:
    """Returns by node: the *certain* bits that its own bit sets, itself included."""
    above: list[list[int]] = [[] for _ in graph.nodes]
    for index, node in enumerate(graph.nodes):
        if node.word == "any":
            for part in node.parts:
                above[part].append(index)
    masks = [0] * len(graph.nodes)
    for index in reversed(range(len(graph.nodes))):
        masks[index] = 1 << 2 * index
        for parent in above[index]:
            masks[index] |= masks[parent]
    return tuple(masks)


Every = tuple[int, int, int, int, int]
"""A step that holds where a mask is set and another is not.

Its *possible* mask, the *certain* bits that deny it, its *certain* mask, what it sets where it is possible,
and what it sets where it is certain.
"""

Denial = tuple[int, int, int, int]
"""A step that holds where no bit of a mask is set.

The bits that keep it from being certain, those that keep it from being possible, what it sets where it is
possible, and what it sets where it is certain.
"""

Counted = tuple[int, int, int, int, int]
"""Its *possible* mask, how many of it, its *certain* mask, what it sets where it is possible, and certain."""


class Steps(msgspec.Struct, frozen=True):
    """The steps of one depth; none of them reads what another sets. Each ends with what it sets.

    Certain implies possible, so a step is tried once, for both.

    Args:
        watched: one *possible* bit of every `every`: while none of them is set, no such step can do anything.
        every: the watched bit and its steps, by the number of that bit, counted from 1.
        none: a few at a time, since mostly nothing of their masks is set: all that keeps one of them from
            being certain, what they set if nothing does, and the steps themselves.
        counted: *possible* bits of every `count`: while none is set, no such step can do anything.
        count: the steps that count.
    """

    watched: int
    every: Mapping[int, tuple[int, tuple[Every, ...]]]
    none: tuple[tuple[int, int, tuple[Denial, ...]], ...]
    counted: int
    count: tuple[Counted, ...]


Program = tuple[Steps, ...]
"""Steps from the lowest depth to the highest."""


def run(steps: Program, bits: int) -> int:
    """Returns the bits with everything set that follows from them."""
    for level in steps:
        watched = bits & level.watched
        found = _denied(level.none, bits) if level.none else 0
        if level.count and bits & level.counted:
            found |= _counted(level.count, bits)
        while watched:
            bit, tried = level.every[watched.bit_length()]
            watched ^= bit
            for mask, denied, certain, sets, sets_both in tried:
                if bits & mask == mask and not bits & denied:
                    found |= sets_both if bits & certain == certain else sets
        if found:
            bits |= found
    return bits


def _denied(none: tuple[tuple[int, int, tuple[Denial, ...]], ...], bits: int) -> int:
    """Returns what the steps set of which no bit of the mask is set."""
    found = 0
    for masks, sets_all, members in none:
        if not bits & masks:
            found |= sets_all
            continue
        for possible, certain, sets, sets_both in members:
            if not bits & possible:
                found |= sets_both
            elif not bits & certain:
                found |= sets
    return found


def _counted(count: tuple[Counted, ...], bits: int) -> int:
    """Returns what the steps set of whose masks enough bits are set."""
    found = 0
    for mask, need, certain, sets, sets_both in count:
        if (bits & mask).bit_count() >= need:
            found |= sets_both if (bits & certain).bit_count() >= need else sets
    return found


# How a program is made: which steps derive which conditions, and in what order.

STEPS = ("all", "none", "count", "unless")
"""Words of nodes that need a step; `any` comes with what sets it, atoms with the answers."""
_TOGETHER = 8
"""How many `none` are tried at once."""
_OFTEN = 1 << 30
"""Rank of conditions that usually hold: they make poor watches."""


def program(graph: Graph, closure: tuple[int, ...], members: frozenset[int]) -> Program:
    """Returns the steps that derive `members` once the bits of their atoms are set."""
    denials = _denials(graph)
    depths = _depths(graph, members, denials)
    by_depth: dict[int, list[int]] = {}
    for index in sorted(members - denials):
        if graph.nodes[index].word in STEPS:
            by_depth.setdefault(depths[index], []).append(index)
    widths = _widths(graph)
    return tuple(_steps(graph, closure, widths, by_depth[depth], denials) for depth in sorted(by_depth))


def _denials(graph: Graph) -> frozenset[int]:
    """Returns every `unless` that only stands beside other parts of an `all`: it is tried with that one.

    Its own bits stay unset, since nothing reads them but that `all`.
    """
    unless = {index for index, node in enumerate(graph.nodes) if node.word == "unless"}
    beside, alone = set[int](), set[int]()
    for node in graph.nodes:
        is_beside = node.word == "all" and not unless.issuperset(node.parts)
        (beside if is_beside else alone).update(unless.intersection(node.parts))
    return frozenset(beside - alone)


def _depths(graph: Graph, members: frozenset[int], denials: frozenset[int]) -> list[int]:
    """Returns by node how many steps of these members stand on each other below it, its own included."""
    depths: list[int] = []
    for index, node in enumerate(graph.nodes):
        below = max((depths[part] for part in node.parts), default=0)
        depths.append(below + (node.word in STEPS and index in members and index not in denials))
    return depths


def _widths(graph: Graph) -> list[int]:
    """Returns by node roughly how many answers can make it hold; an `all` watches its narrowest part."""
    widths: list[int] = []
    for node in graph.nodes:
        parts = [widths[part] for part in node.parts]
        if node.word in ("none", "unless", "always"):
            widths.append(_OFTEN)
        elif node.word == "all":
            widths.append(min(parts))
        else:
            widths.append(min(sum(parts, 0 if parts else 1), _OFTEN))
    return widths


def _steps(
    graph: Graph, closure: tuple[int, ...], widths: list[int], members: list[int], denials: frozenset[int]
) -> Steps:
    every: dict[int, list[Every]] = {}
    none: list[Denial] = []
    count: list[Counted] = []
    for index in members:
        node, mask, sets = graph.nodes[index], certain(graph.nodes[index].parts), closure[index]
        if node.word == "all":
            parts = [part for part in node.parts if part not in denials]
            unless = [graph.nodes[part] for part in denials.intersection(node.parts)]
            denied = certain(below for one in unless for below in one.parts)
            watched = min(parts, key=lambda part: widths[part])
            mask = certain(parts)
            every.setdefault(watched, []).append((mask << 1, denied, mask, sets << 1, both(sets)))
        elif node.word == "none":
            none.append((mask << 1, mask, sets << 1, both(sets)))
        elif node.word == "unless":
            none.append((mask, mask, both(sets), both(sets)))
        else:
            count.append((mask << 1, node.need, mask, sets << 1, both(sets)))
    return Steps(
        watched=certain(every) << 1,
        every={2 * node + 2: (2 << 2 * node, tuple(tried)) for node, tried in every.items()},
        none=tuple(_together(none)),
        counted=union(mask for mask, *_ in count),
        count=tuple(count),
    )


def _together(none: list[Denial]) -> Iterator[tuple[int, int, tuple[Denial, ...]]]:
    """Yields a few steps at a time, with what keeps one of them from being certain and what they all set."""
    for start in range(0, len(none), _TOGETHER):
        group = tuple(none[start : start + _TOGETHER])
        yield union(mask for mask, *_ in group), union(sets for *_, sets in group), group
