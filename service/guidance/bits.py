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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_

from service.guidance.graph import Graph

ABSENT, UNKNOWN, PRESENT = 0, 2, 3
"""Values of a node's two bits. 1 never occurs."""


def certain(nodes: Iterable[int]) -> int:
    """Returns the mask of the *present for certain* bits of these nodes; shift left by one for *possible*."""
    return union(1 << 2 * node for node in nodes)


def positions(mask: int) -> list[int]:
    """Returns the positions of the bits of a mask, ascending; for masks with few bits."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
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


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one depth; none of them reads what another sets. Each ends with what it sets.

    Args:
        watched: one bit of every `every` and every bit of every `count`: while none of them is
            set, no such step can do anything.
        every: (mask, sets) by the number of the watched bit, counted from 1.
        none: a few at a time, since mostly nothing of their masks is set: their masks, what they set, and
            (mask, sets) of each.
        count: (mask, how many, sets).
    """

    watched: int
    every: Mapping[int, tuple[tuple[int, int], ...]]
    none: tuple[tuple[int, int, tuple[tuple[int, int], ...]], ...]
    count: tuple[tuple[int, int, int], ...]


Program = tuple[Steps, ...]
"""Steps from the lowest depth to the highest."""


def run(steps: Program, bits: int) -> int:
    """Returns the bits with everything set that follows from them."""
    for level in steps:
        watched = bits & level.watched
        for mask, need, sets in level.count if watched else ():
            if (bits & mask).bit_count() >= need:
                bits |= sets
        every = level.every
        while watched:
            number = watched.bit_length()
            watched ^= 1 << number - 1
            for mask, sets in every.get(number, ()):
                if bits & mask == mask:
                    bits |= sets
        bits |= _denied(level.none, bits)
    return bits


def _denied(none: tuple[tuple[int, int, tuple[tuple[int, int], ...]], ...], bits: int) -> int:
    """Returns what the steps set of which no bit of the mask is set."""
    found = 0
    for masks, sets, members in none:
        if not bits & masks:
            found |= sets
            continue
        for mask, sets_of_one in members:
            if not bits & mask:
                found |= sets_of_one
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
    by_depth: dict[int, list[int]] = {}
    depths = _depths(graph)
    for index in sorted(members):
        if graph.nodes[index].word in STEPS:
            by_depth.setdefault(depths[index], []).append(index)
    widths = _widths(graph)
    return tuple(_steps(graph, closure, widths, by_depth[depth]) for depth in sorted(by_depth))


def _depths(graph: Graph) -> list[int]:
    depths: list[int] = []
    for node in graph.nodes:
        below = max((depths[part] for part in node.parts), default=0)
        depths.append(below + (node.word in STEPS))
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


def _steps(graph: Graph, closure: tuple[int, ...], widths: list[int], members: list[int]) -> Steps:
    every: dict[int, list[tuple[int, int]]] = {}
    none: list[tuple[int, int]] = []
    count: list[tuple[int, int, int]] = []
    counted = 0
    for index in members:
        node, mask, sets = graph.nodes[index], certain(graph.nodes[index].parts), closure[index]
        if node.word == "all":
            number = 2 * min(node.parts, key=lambda part: widths[part]) + 1
            every.setdefault(number, []).append((mask, sets))
            every.setdefault(number + 1, []).append((mask << 1, sets << 1))
        elif node.word == "none":
            none += [(mask << 1, sets), (mask, sets << 1)]
        elif node.word == "unless":
            none.append((mask, both(sets)))
        else:
            count += [(mask, node.need, sets), (mask << 1, node.need, sets << 1)]
            counted |= mask | mask << 1
    for number in every:
        counted |= 1 << number - 1
    groups = [tuple(none[start : start + _TOGETHER]) for start in range(0, len(none), _TOGETHER)]
    together = tuple(
        (union(mask for mask, _ in group), union(sets for _, sets in group), group) for group in groups
    )
    return Steps(counted, {number: tuple(steps) for number, steps in every.items()}, together, tuple(count))
