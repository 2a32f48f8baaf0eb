"""What every condition stands on: for reasons, and for the open questions that keep one undecided."""

from __future__ import annotations

from service.guidance.bits import certain
from service.guidance.build import links_of
from service.guidance.graph import Graph
from service.guidance.ground import Ground
from service.guidance.programs import STEPS
from service.guidance.tables import Because, Over


def because(ground: Ground) -> Because:
    """What every node stands on."""
    reads = [0] * len(ground.graph.nodes)
    for index, atom in ground.atoms():
        reads[index] = ground.questions(links_of(atom.test, ground.items))
    return Because(
        over=tuple(_over(ground.graph, index, reads) for index in range(len(ground.graph.nodes))),
        reads=tuple(reads),
        red_flags=_red_flags(ground, reads),
        certain=certain(range(len(ground.graph.nodes))),
    )


def _over(graph: Graph, index: int, reads: list[int]) -> Over:
    word = graph.nodes[index].word
    through = _through_any(graph, index)
    parts = through if word in ("atom", "any") else list(graph.nodes[index].parts)
    absence = 0
    for below in graph.below(parts) if word == "none" else ():
        absence |= reads[below]
    steps = [part for part in through if graph.nodes[part].word in STEPS] if word != "none" else []
    return Over(
        plain=word in ("atom", "any") and not steps,
        through=word in ("all", "count"),
        frontier=certain([index, *parts] if word in ("all", "count") else [index]),
        steps=certain(steps),
        absence=absence,
        atoms=certain(part for part in parts if graph.nodes[part].word == "atom"),
        deep=certain(part for part in parts if graph.nodes[part].word != "atom"),
    )


def _through_any(graph: Graph, index: int) -> list[int]:
    """The atoms and steps below a node, with nothing but `any` between; an atom itself."""
    node = graph.nodes[index]
    if node.word == "atom":
        return [index]
    found: list[int] = []
    for part in node.parts:
        found += _through_any(graph, part) if graph.nodes[part].word == "any" else [part]
    return found


def _red_flags(ground: Ground, reads: list[int]) -> int:
    """The questions that findings and rules of a red-flag kind read, and those that open them up."""
    graph, written = ground.graph, ground.written
    flags = [
        graph.findings[each.name] for each in written.findings.values() if each.kind in ground.red_flag_kinds
    ]
    flags += [graph.rules[rule.name] for rule in written.rules if rule.kind in ground.red_flag_kinds]
    mask = 0
    for node in graph.below(flags):
        mask |= reads[node]
    for link_id in reversed(list(ground.places)):
        if mask >> ground.places[link_id] & 1:
            mask |= ground.questions(ground.form.questions[link_id].gates)
    return mask
