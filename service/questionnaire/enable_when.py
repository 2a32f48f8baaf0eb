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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.datatypes.answers import Answer
from service.questionnaire.items import DISPLAY, Condition, Item
from service.questionnaire.values import order, same

# An order of items in which every question comes before the items that it gates.
#
# Source: Kahn's algorithm; https://doi.org/10.1145/368996.369025


def sequence(items: Mapping[str, Item]) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Returns all items with parents and triggers first, and the linkIds whose conditions run in a circle.

    A trigger that stands inside a gated group depends on that group as well. Items in a circle
    follow at the end in document order.
    """
    waiting = {link: _needs(item, items) for link, item in items.items()}
    followers: dict[str, list[str]] = {link: [] for link in items}
    for link, needs in waiting.items():
        for need in needs:
            followers[need].append(link)
    open_ = {link: len(needs) for link, needs in waiting.items()}
    ready = [link for link, count in open_.items() if count == 0][::-1]
    ordered: list[Item] = []
    while ready:
        link = ready.pop()
        ordered.append(items[link])
        for follower in reversed(followers[link]):
            open_[follower] -= 1
            if open_[follower] == 0:
                ready.append(follower)
    placed = {item.link_id for item in ordered}
    circular = tuple(link for link in items if link not in placed)
    return (*ordered, *(items[link] for link in circular)), circular


def _needs(item: Item, items: Mapping[str, Item]) -> set[str]:
    needs = {condition.question for condition in item.conditions if condition.question in items}
    if item.parent is not None:
        needs.add(item.parent)
    return needs - {item.link_id}


# One enableWhen condition against the answers of its question.
#
# Source: http://hl7.org/fhir/R4/valueset-questionnaire-enable-operator.html: a condition holds when
# *at least one* answer stands in the named relation to the expected one; `exists` compares
# whether there is an answer at all.

_ORDERED: Mapping[str, Callable[[int], bool]] = {
    ">": lambda sign: sign > 0,
    "<": lambda sign: sign < 0,
    ">=": lambda sign: sign >= 0,
    "<=": lambda sign: sign <= 0,
}
_TEXTS = frozenset({"string", "text", "url"})


def wants_silence(condition: Condition) -> bool:
    """Whether the condition holds exactly when its question has no answer."""
    return condition.operator == "exists" and condition.expected is False


def holds(condition: Condition, answers: Sequence[Answer], type_: str) -> bool | None:
    """Whether the condition holds for these answers of a question of this item type.

    Returns:
        None where units or precision do not allow to tell. Without any answer it is never None.
    """
    if condition.operator == "exists":
        return (len(answers) > 0) is condition.expected
    verdicts = [_relation(condition, answer, type_) for answer in answers]
    if True in verdicts:
        return True
    return None if None in verdicts else False


def _relation(condition: Condition, answer: Answer, type_: str) -> bool | None:
    expected, operator = condition.expected, condition.operator
    if operator in ("=", "!="):
        equal = answer == expected if type_ in _TEXTS else same(answer, expected)
        return equal if equal is None or operator == "=" else not equal
    if type_ in _TEXTS and isinstance(answer, str) and isinstance(expected, str):
        return _ORDERED[operator]((answer > expected) - (answer < expected))
    sign = order(answer, expected)
    return None if sign is None else _ORDERED[operator](sign)


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
