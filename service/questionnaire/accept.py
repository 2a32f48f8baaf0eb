"""The fast path: one walk that proves a common, valid response, or says nothing at all.

It agrees with the full check: whatever it accepts has no problem there, and yields the same
answers. Whatever is not plainly fine is None, and the full check finds the words.

The response comes as typed structs: attributes as FHIR names the elements, unset ones are
`msgspec.UNSET`. Whoever made them has proved that they are what the JSON says, that an answer has
one value[x] at most, and that dates and texts are well-formed. The walk is written for speed: coded
answers, which are most, are read in the loop itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from math import ceil, floor
from typing import Any

from msgspec import UNSET

from service.datatypes.answers import Answer, Answers, Coding, Quantity
from service.datatypes.ucum import comparable, converted
from service.questionnaire.answer_checks import limit_faults
from service.questionnaire.enable_when import Gates
from service.questionnaire.items import DISPLAY, GROUP, Item, Limits
from service.questionnaire.values import ELEMENTS, LARGEST_INTEGER, READERS, NotWellFormed

# What a complete response must answer.
#
# `required` (or minOccurs) of an item counts wherever the item is enabled and its container is in
# use. The whole form is in use. A group that does not repeat is in use where its own container
# is, whether or not it stands in the response, because SDC treats absent and empty items alike. An
# occurrence of a repeating group is in use once it holds an answer; so is the inside of a question,
# once the question is answered. A required group must hold at least one answer.
#
# Source: FHIR R4 Questionnaire.item.required; SDC rules for absent and empty items.


@dataclass(frozen=True, slots=True)
class Demand:
    """One required item, in item bits.

    Args:
        item: the item itself.
        needed: one of these must be answered.
        holder: one of these must be answered before the demand counts; 0 for always.
    """

    item: int
    needed: int
    holder: int


def demands_of(items: Mapping[str, Item]) -> tuple[Demand, ...]:
    """Returns every demand of a form in which each item occurs at most once."""
    answerable = sum(1 << item.order for item in items.values() if item.answerable)
    return tuple(
        Demand(1 << item.order, needed, _holder(item, items))
        for item in items.values()
        if item.low > 0 and item.type != DISPLAY and (needed := _needed(item) & answerable)
    )


def _needed(item: Item) -> int:
    return subtree(item) if item.type == GROUP else 1 << item.order


def _holder(item: Item, items: Mapping[str, Item]) -> int:
    parent = items[item.parent] if item.parent is not None else None
    while parent is not None:
        if parent.type != GROUP:
            return 1 << parent.order
        if parent.repeats:
            return subtree(parent)
        parent = items[parent.parent] if parent.parent is not None else None
    return 0


def subtree(item: Item) -> int:
    """Returns the bits of an item and everything below it."""
    return (1 << item.end) - (1 << item.order)


# Readers of one plain answer for the fast path: typed and within every limit, or None.
#
# Limits are brought into the shape of the answer once, at start: whole numbers for integers, and for
# quantities one pair of bounds per unit. What cannot be prepared (dates with limits, quantities
# without listed units) is read and tried by the code of the full check.

Reader = Callable[[Any], Answer | None]
"""Takes the value of an answer struct; None where the answer is not plainly fine."""

_Bounds = tuple[Decimal | None, Decimal | None]


def reader_of(item: Item) -> Reader:
    """Returns the reader for the answers of an item."""
    if item.type == "integer":
        return _whole_numbers(item)
    if item.type == "quantity":
        return _quantities(item)
    if item.type in ("string", "text"):
        return _texts(item)
    return _by_full_rules(item)


def _whole_numbers(item: Item) -> Reader:
    smallest, largest = _number(item.limits.low), _number(item.limits.high)
    if smallest != item.limits.low or largest != item.limits.high:
        return _by_full_rules(item)
    low = -LARGEST_INTEGER - 1 if smallest is None else ceil(smallest)
    high = LARGEST_INTEGER if largest is None else floor(largest)

    def read(value: Any) -> Answer | None:
        return value if low <= value <= high else None

    return read


def _number(limit: Answer | None) -> int | Decimal | None:
    return limit if isinstance(limit, int | Decimal) and not isinstance(limit, bool) else None


def _texts(item: Item) -> Reader:
    if item.limits.low is not None or item.limits.high is not None:
        return _by_full_rules(item)
    low = item.limits.min_length or 0
    high = item.limits.max_length

    def read(value: Any) -> Answer | None:
        fits = low <= len(value) and (high is None or len(value) <= high)
        return value if fits and value and not value.isspace() else None

    return read


def _quantities(item: Item) -> Reader:
    bounds = _bounds_by_unit(item.limits)
    if bounds is None:
        return _by_full_rules(item)
    systems = {unit.code: unit.system for unit in item.limits.units}

    def read(value: Any) -> Answer | None:
        amount, code = value.value, value.code
        found = bounds.get(code)
        if found is None or amount is UNSET or value.system != systems[code] or not amount.is_finite():
            return None
        low, high = found
        if (low is not None and amount < low) or (high is not None and amount > high):
            return None
        return Quantity(amount, code)

    return read


def _bounds_by_unit(limits: Limits) -> Mapping[str, _Bounds] | None:
    """Bounds in each unit of the question, or None where they cannot be prepared."""
    plain = any(one is not None for one in (limits.decimal_places, _number(limits.low), _number(limits.high)))
    codes = [unit.code for unit in limits.units]
    if plain or limits.open_units or not codes or len(set(codes)) < len(codes):
        return None
    bounds: dict[str, _Bounds] = {}
    for code in codes:
        low, high = limits.low_quantity, limits.high_quantity
        if not all(limit is None or comparable(limit.unit, code) for limit in (low, high)):
            return None
        bounds[code] = (_in_unit(low, code, ROUND_CEILING), _in_unit(high, code, ROUND_FLOOR))
    return bounds


def _in_unit(limit: Quantity | None, code: str, rounding: str) -> Decimal | None:
    """The limit in another unit, rounded inward: what lies between is left to the full check."""
    exact = converted(limit.value, limit.unit, code) if limit is not None else None
    if exact is None:
        return None
    with localcontext(prec=28, rounding=rounding):
        return Decimal(exact.numerator) / Decimal(exact.denominator)


def _by_full_rules(item: Item) -> Reader:
    if item.type == "quantity":
        return lambda value: _quantity_by_full_rules(item, value)
    from_json = next((READERS[name] for name in ELEMENTS.get(item.type, ())), None)

    def read(value: Any) -> Answer | None:
        try:
            answer = from_json(value) if from_json is not None else None
        except NotWellFormed:
            return None
        return None if answer is None or any(True for _ in limit_faults(item, answer)) else answer

    return read


def _quantity_by_full_rules(item: Item, value: Any) -> Answer | None:
    if value.value is UNSET or not value.value.is_finite():
        return None
    answer = Quantity(value.value, "" if value.code is UNSET else value.code)
    system = "" if value.system is UNSET else value.system
    return None if any(True for _ in limit_faults(item, answer, system)) else answer


# What the fast path must know of each item, laid out for one walk that decides nothing twice.


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


def accept(plans: Plans, gates: Gates, items: Sequence[Any], *, complete: bool) -> Answers | None:
    """Returns the answers of a response that is plainly valid, else None.

    Args:
        items: top-level items of the response; `complete`: its status demands completeness.
    """
    walk = _Walk(plans, gates)
    if not walk.items(items, -1):
        return None
    disabled, closed = gates.states(walk.true, walk.known)
    answered = sum(walk.answered)
    if answered & disabled or (complete and _is_missing(plans, answered, disabled)):
        return None
    return Answers(walk.given, closed)


def _is_missing(plans: Plans, answered: int, disabled: int) -> bool:
    if plans.always & ~answered & ~disabled:
        return True
    return any(
        not demand.item & disabled
        and not demand.needed & answered
        and (not demand.holder or demand.holder & answered)
        for demand in plans.demands
    )


class _Walk:
    """The state of one walk: answers by linkId, and bits of items and conditions."""

    __slots__ = ("answered", "by_link", "gates", "given", "known", "last", "true")

    def __init__(self, plans: Plans, gates: Gates) -> None:
        self.by_link = plans.by_link
        self.gates = gates
        self.given: dict[str, tuple[Answer, ...]] = {}
        self.answered: list[int] = []
        self.true = self.known = 0
        self.last = -1

    def items(self, items: Sequence[Any], parent: int) -> bool:  # noqa: C901, PLR0911 - the one hot loop
        """Walks siblings; their order must rise, so no linkId comes twice. False: needs the full check."""
        by_link = self.by_link
        for item in items:
            plan = by_link.get(item.linkId)
            if plan is None or plan.parent != parent or plan.order <= self.last:
                return False
            text = item.text
            if text is not UNSET and text != plan.text:
                return False
            self.last = plan.order
            answers = item.answer
            nested = item.item
            if answers is UNSET:
                if nested is not UNSET and not (plan.container and self.items(nested, plan.order)):
                    return False
            elif nested is not UNSET:
                return False
            elif plan.coded is not None and len(answers) == 1:
                answer = answers[0]
                coding = answer.valueCoding
                option = plan.coded.get(coding.code) if coding is not UNSET else None
                if option is None or option.system != coding.system:
                    return False
                self.given[plan.link] = option.answers
                self.answered.append(plan.bit)
                if plan.asked:
                    self.true |= option.true
                    self.known |= option.known
                if answer.item is not UNSET and not self.items(answer.item, plan.order):
                    return False
            elif not self.answers(plan, answers):
                return False
        return True

    def answers(self, plan: Plan, answers: Sequence[Any]) -> bool:
        """Reads the answers of one question, other than a single option. False: needs the full check."""
        if plan.slow or not plan.low <= len(answers) <= plan.high:
            return False
        given = self.coded(plan, answers) if plan.coded is not None else self.typed(plan, answers)
        if not given:
            return False
        self.given[plan.link] = given
        self.answered.append(plan.bit)
        for answer in answers:
            if answer.item is not UNSET and not (len(answers) == 1 and self.items(answer.item, plan.order)):
                return False
        return True

    def coded(self, plan: Plan, answers: Sequence[Any]) -> tuple[Answer, ...]:
        """Several answers that are options, by system and code; nothing where one is not plainly fine."""
        found: tuple[Answer, ...] = ()
        for answer in answers:
            coding = answer.valueCoding
            option = plan.coded.get(coding.code) if plan.coded and coding is not UNSET else None
            if option is None or option.system != coding.system:
                return ()
            if option.exclusive or option.answers[0] in found:
                return ()
            found += option.answers
            self.true |= option.true
            self.known |= option.known
        return found

    def typed(self, plan: Plan, answers: Sequence[Any]) -> tuple[Answer, ...]:
        """Answers of any other plain type, within their limits; nothing where one is not plainly fine."""
        found: list[Answer] = []
        for answer in answers:
            value = getattr(answer, plan.element)
            read = None if value is UNSET else plan.read(value)
            if read is None:
                return ()
            found.append(read)
        given = tuple(found)
        if plan.asked:
            true, known = self.gates.bits(plan.link, given)
            self.true |= true
            self.known |= known
        return given
