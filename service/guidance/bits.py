"""Three values as two bits, and conditions as masks.

Node n owns two bits of one integer: bit 2n says *present for certain*, bit 2n + 1 says *possible*
(present or unknown). Present is 11, unknown 10, absent 00. Both bits only ever get set, never
cleared; therefore a contradiction can force a finding by setting its bits beforehand.

An `any` costs nothing at evaluation: whatever sets a bit also sets the bits of every `any` above
it (its closure). What remains is a short list of steps in the order of their depth: all (every
bit of a mask is set), none (no bit of a mask is set) and count (enough bits are set). Present and
possible follow the same steps; `none` swaps the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.guidance.graph import Graph

ABSENT, UNKNOWN, PRESENT = 0, 2, 3
"""Values of a node's two bits. 1 never occurs."""

STATES = ("absent", "impossible", "unknown", "present")
"""Words for the values of a node's two bits."""


def certain(nodes: Iterable[int]) -> int:
    """The mask of the *present for certain* bits of these nodes; shift left by one for *possible*."""
    mask = 0
    for node in nodes:
        mask |= 1 << 2 * node
    return mask


def positions(mask: int) -> list[int]:
    """The positions of the bits of a mask, ascending; for masks with few bits."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def both(mask: int) -> int:
    """A mask of *certain* bits together with the *possible* bits beside them."""
    return mask | mask << 1


def closures(graph: Graph) -> tuple[int, ...]:
    """By node: the *certain* bits that its own bit sets, itself included."""
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
        none: (mask, sets).
        count: (mask, how many, sets).
    """

    watched: int
    every: Mapping[int, tuple[tuple[int, int], ...]]
    none: tuple[tuple[int, int], ...]
    count: tuple[tuple[int, int, int], ...]


Program = tuple[Steps, ...]
"""Steps from the lowest depth to the highest."""


def run(steps: Program, bits: int) -> int:
    """The bits with everything set that follows from them."""
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
        for mask, sets in level.none:
            if not bits & mask:
                bits |= sets
    return bits
