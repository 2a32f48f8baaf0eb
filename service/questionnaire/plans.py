"""What the fast path must know of each item, laid out for one walk that decides nothing twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.guidance.answers import Answer, Coding
from service.questionnaire.gates import Gates
from service.questionnaire.item import GROUP, Item
from service.questionnaire.quick import Reader, reader_of
from service.questionnaire.required import Demand, demands_of
from service.questionnaire.values import ELEMENTS


@dataclass(frozen=True, slots=True)
class CodedAnswer:
    """One option: the answers of a question that has it alone, and bits of conditions true and known."""

    system: str
    answers: tuple[Answer]
    true: int
    known: int
    exclusive: bool


_PLAIN = frozenset(
    {"boolean", "decimal", "integer", "date", "dateTime", "time", "string", "text", "quantity"}
)
_UNBOUNDED = 2**31


@dataclass(frozen=True, slots=True)
class Plan:
    """One item for the fast path.

    Args:
        bit: its bit, by order.
        parent: order of the parent, -1 at the top.
        container: a group whose items can be walked.
        slow: an answer of this item needs the full check.
        coded: for a choice with codings, by code; else None.
        element: attribute that carries the answer; `read` types it, or returns None.
        low, high: number of answers.
        asked: some condition reads its answers.
    """

    link: str
    order: int
    bit: int
    parent: int
    text: str
    container: bool
    slow: bool
    coded: Mapping[str, CodedAnswer] | None
    element: str
    low: int
    high: int
    read: Reader
    asked: bool


@dataclass(frozen=True, slots=True)
class Plans:
    """All plans by linkId; `always`: questions demanded of every complete response, in bits."""

    by_link: Mapping[str, Plan]
    always: int
    demands: tuple[Demand, ...]


def plans_of(items: Mapping[str, Item], gates: Gates) -> Plans:
    """Lays out every item for the fast path."""
    demands = demands_of(items)
    plain = [demand for demand in demands if _is_plain(demand)]
    return Plans(
        by_link={link: _plan(item, items, gates) for link, item in items.items()},
        always=sum(demand.item for demand in plain),
        demands=tuple(demand for demand in demands if not _is_plain(demand)),
    )


def _is_plain(demand: Demand) -> bool:
    return demand.holder == 0 and demand.needed == demand.item


def _plan(item: Item, items: Mapping[str, Item], gates: Gates) -> Plan:
    return Plan(
        link=item.link_id,
        order=item.order,
        bit=1 << item.order,
        parent=items[item.parent].order if item.parent is not None else -1,
        text=item.text,
        container=item.type == GROUP and item.low <= 1,
        slow=_is_slow(item),
        coded=_coded(item, gates),
        element=ELEMENTS.get(item.type, ("",))[0],
        low=item.low,
        high=_UNBOUNDED if item.high is None else item.high,
        read=reader_of(item),
        asked=item.link_id in gates.asked,
    )


def _is_slow(item: Item) -> bool:
    options = item.options
    if item.low > 1 or item.high == 0 or (item.read_only and item.initial):
        return True
    if item.type in _PLAIN:
        return options is not None or bool(item.limits.pattern)
    if item.type != "choice" or options is None:
        return True
    codes = {answer.code for answer in options.choices if isinstance(answer, Coding)}
    uncertain = options.unreachable or bool(options.uncertain) or len(codes) < len(options.choices)
    return uncertain or options.types != ("valueCoding",)


def _coded(item: Item, gates: Gates) -> Mapping[str, CodedAnswer] | None:
    if item.type != "choice" or item.options is None or _is_slow(item):
        return None
    return {
        answer.code: CodedAnswer(
            answer.system, (answer,), *gates.bits(item.link_id, (answer,)), choice.exclusive
        )
        for answer, choice in item.options.choices.items()
        if isinstance(answer, Coding)
    }
