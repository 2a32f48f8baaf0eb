"""Makes the programs of `bits.py`: which steps derive which conditions, and in what order."""

from __future__ import annotations

from service.guidance.bits import Program, Steps, certain
from service.guidance.graph import Graph

STEPS = ("all", "none", "count")
"""Words of nodes that need a step; `any` comes with what sets it, atoms with the answers."""
_OFTEN = 1 << 30
"""Rank of conditions that usually hold: they make poor watches."""


def program(graph: Graph, closure: tuple[int, ...], members: frozenset[int]) -> Program:
    """The steps that derive `members` once the bits of their atoms are set."""
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
    """By node, roughly how many answers can make it hold; the narrowest part of an `all` is watched."""
    widths: list[int] = []
    for node in graph.nodes:
        parts = [widths[part] for part in node.parts]
        if node.word in ("none", "always"):
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
        else:
            count += [(mask, node.need, sets), (mask << 1, node.need, sets << 1)]
            counted |= mask | mask << 1
    for number in every:
        counted |= 1 << number - 1
    return Steps(
        counted, {number: tuple(steps) for number, steps in every.items()}, tuple(none), tuple(count)
    )
