"""Which items are enabled, and which are closed for certain, by bits: two integers in, two out.

An item is *enabled* as FHIR says, from the answers that are there. It is *closed for certain* only
if no completion of the unanswered questions could open it (Kleene's three values): an unanswered
question leaves a condition unknown, unless that question is itself closed. Answers of disabled
items count for nothing.

Bit positions: items by their order, conditions by their place in `Gates.conditions`. This
works where every item occurs at most once; `occurrences.py` does the same for repeating groups.

Source: FHIR R4 Questionnaire.item.enableWhen; SDC validation rules.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.guidance.answers import Answer
from service.questionnaire.conditions import holds, wants_silence
from service.questionnaire.item import DISPLAY, Condition, Item


@dataclass(frozen=True, slots=True)
class Gate:
    """An item with conditions, in bits.

    Args:
        item: bit of the item; `subtree`: bits of the item and all below it.
        mask: its conditions. `any`: one of them is enough.
        asked: conditions that other gates put to items of the subtree, without `silent`.
        silent: the same for conditions that hold when there is no answer.
    """

    item: int
    subtree: int
    mask: int
    any: bool
    asked: int
    silent: int
    links: frozenset[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What conditions ask of one question: (condition, its bit) each."""

    type: str
    pairs: tuple[tuple[Condition, int], ...]


@dataclass(frozen=True, slots=True)
class Gates:
    """All gates in an order in which triggers and parents come first; `silent`: all silent conditions."""

    gates: tuple[Gate, ...]
    asked: Mapping[str, Asked]
    silent: int
    links: tuple[str, ...]

    def bits(self, question: str, answers: Sequence[Answer]) -> tuple[int, int]:
        """Returns bits of the conditions that hold for these answers, and of those that are known."""
        asked = self.asked.get(question)
        if asked is None:
            return 0, 0
        true = known = 0
        for condition, bit in asked.pairs:
            verdict = holds(condition, answers, asked.type)
            if verdict is not None:
                known |= bit
                true |= bit if verdict else 0
        return true, known

    def states(self, true: int, known: int) -> tuple[int, frozenset[str]]:
        """Returns bits of the disabled items, and the linkIds of the items closed for certain.

        Args:
            true: conditions that hold for the answers given, disabled items included.
            known: conditions whose question is answered in a comparable way.
        """
        yes, no = true & known, known & ~true
        true = yes | (self.silent & ~known)
        disabled = closed = 0
        links: list[frozenset[str]] = []
        for gate in self.gates:
            if closed & gate.item:
                continue
            on = true & gate.mask if gate.any else not gate.mask & ~true
            if on and not disabled & gate.item:
                if self.silent and not _is_sure(gate, yes):
                    no &= ~gate.silent
                    yes &= ~(gate.asked | gate.silent)
                continue
            disabled |= gate.subtree
            true = (true | gate.silent) & ~gate.asked
            if not gate.mask & ~no if gate.any else no & gate.mask:
                closed |= gate.subtree
                links.append(gate.links)
                no = (no | gate.asked) & ~gate.silent
                yes = (yes | gate.silent) & ~gate.asked
            else:
                no &= ~(gate.asked | gate.silent)
                yes &= ~(gate.asked | gate.silent)
        return disabled, frozenset().union(*links)

    def named(self, bits: int) -> frozenset[str]:
        """Returns the linkIds of item bits."""
        return frozenset(link for order, link in enumerate(self.links) if bits >> order & 1)


def _is_sure(gate: Gate, yes: int) -> bool:
    """Whether the gate stays open whatever is still answered."""
    return bool(yes & gate.mask) if gate.any else not gate.mask & ~yes


def gates_of(items: Mapping[str, Item], ordered: Iterable[Item]) -> Gates:
    """Compiles enableWhen to bits; `ordered` has triggers and parents before what depends on them.

    Conditions are numbered by the order of their questions, so those asked of a subtree are a
    contiguous run of bits.
    """
    conditions = sorted(
        {c for item in items.values() for c in item.conditions}, key=lambda c: _order(c, items)
    )
    numbered = {condition: 1 << place for place, condition in enumerate(conditions)}
    places = [_order(condition, items) for condition in conditions]
    silent = sum(bit for condition, bit in numbered.items() if wants_silence(condition))
    links = tuple("" if item.type == DISPLAY else link for link, item in items.items())
    asked: dict[str, list[tuple[Condition, int]]] = {}
    for condition, bit in numbered.items():
        asked.setdefault(condition.question, []).append((condition, bit))
    return Gates(
        gates=tuple(_gate(item, links, numbered, places, silent) for item in ordered if item.conditions),
        asked={link: Asked(items[link].type, tuple(pairs)) for link, pairs in asked.items() if link in items},
        silent=silent,
        links=tuple(items),
    )


def _order(condition: Condition, items: Mapping[str, Item]) -> int:
    item = items.get(condition.question)
    return item.order if item is not None else len(items)


def _gate(
    item: Item, links: tuple[str, ...], numbered: Mapping[Condition, int], places: Sequence[int], silent: int
) -> Gate:
    within = (1 << bisect_left(places, item.end)) - (1 << bisect_left(places, item.order))
    return Gate(
        item=1 << item.order,
        subtree=(1 << item.end) - (1 << item.order),
        mask=sum({numbered[condition] for condition in item.conditions}),
        any=item.any_condition,
        asked=within & ~silent,
        silent=within & silent,
        links=frozenset(links[item.order : item.end]) - {""},
    )
