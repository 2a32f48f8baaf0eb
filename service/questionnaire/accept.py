"""The accept path: one walk that proves a common, valid response, or says nothing at all.

It agrees with the full check: whatever it accepts has no problem there, and yields the same
answers. Whatever is not plainly fine is None, and the full check finds the words.

The response comes as typed structs: attributes as FHIR names the elements, unset ones are
`msgspec.UNSET`. Whoever made them has proved that they are what the JSON says, that an answer has
one value[x] at most, and that dates and texts are well-formed. What the walk must know of each item is
laid out once, so that it decides nothing twice. The walk is written for speed: coded answers, which are
most, are read in the loop itself.

A response that is no struct, because its head or its items hold what the structs have no place for
(extensions, a narrative, escaped characters), is walked as parsed JSON by the same rules. Nothing is proved
of that one, so it is looked at more closely, and every answer that is not coded is read by the code of the
full check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from math import ceil, floor
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from service.datatypes.answers import Answer, Answers, Coding, Quantity
from service.datatypes.ucum import comparable, converted
from service.fhir import extensions as ext
from service.fhir.extensions import text
from service.fhir.json import Json
from service.fhir.references import contained_types
from service.questionnaire.answer_checks import (
    AnswerContext,
    answer_problems,
    limit_faults,
    names_another_unit,
    plain_number,
)
from service.questionnaire.enable_when import EnableWhenTable
from service.questionnaire.items import DISPLAY, GROUP, AnswerLimits, Item, Options
from service.questionnaire.pairing import Container, Occurrence, absent_at_head, read_answers
from service.questionnaire.values import ELEMENTS, LARGEST_INTEGER, READERS, NotWellFormed

AnswerReader = Callable[[Any], Answer | None]
"""Takes the value of an answer struct and types it; None where the answer is not plainly fine."""

_PLAIN_TYPES = frozenset(
    {"boolean", "decimal", "integer", "date", "dateTime", "time", "string", "text", "quantity"}
)
_UNBOUNDED = 2**31


class CodedAnswer(msgspec.Struct, frozen=True):
    """One option: the answers of a question that has it alone, and bits of conditions true and known.

    A condition that is true and not known is undecided.

    Args:
        displays: the right displays, none at all among them; None where no option of the question has a
            name. Any other is left to the full check.
    """

    system: str
    answers: tuple[Answer]
    true: int
    known: int
    exclusive: bool
    displays: frozenset[Any] | None = None


class AcceptItem(msgspec.Struct, frozen=True):
    """One item for the accept path.

    Args:
        bit: its bit, by order.
        parent: order of the parent, -1 at the top.
        translations: the text in other languages.
        group: its items can be walked.
        needs_check: an answer of this item needs the full check.
        by_itself: the item, where that can check its answers without any others; else None.
        coded: for a choice with codings, by code; else None.
        element: attribute that carries the answer; `read` types it, or returns None. `read_parsed` does so
            with a value of which nothing is proved.
        low, high: number of answers.
        in_condition: some condition reads its answers.
    """

    link: str
    order: int
    bit: int
    parent: int
    text: str
    translations: frozenset[str]
    group: bool
    needs_check: bool
    by_itself: Item | None
    coded: Mapping[str, CodedAnswer] | None
    element: str
    low: int
    high: int
    read: AnswerReader
    read_parsed: AnswerReader
    in_condition: bool


class RequiredItem(msgspec.Struct, frozen=True):
    """One required item, in item bits.

    Args:
        item: the item itself.
        answered: one of these must be answered.
        holder: one of these must be answered before it is required; 0 for always.
    """

    item: int
    answered: int
    holder: int


class AcceptTable(msgspec.Struct, frozen=True):
    """All items by linkId; `always`: bits of questions that every complete response must answer."""

    by_link: Mapping[str, AcceptItem]
    always: int
    required: tuple[RequiredItem, ...]
    enable_when: EnableWhenTable


def accept(table: AcceptTable, items: Sequence[Any], *, complete: bool, authored: str = "") -> Answers | None:
    """Returns the answers of a response that is plainly valid, else None.

    Args:
        items: top-level items of the response; `complete`: its status demands completeness; `authored`: when
            it was written, empty where it does not say.
    """
    walk = _Walk(table)
    return _answers(table, walk, complete, authored) if walk.items(items, -1) else None


def accept_parsed(table: AcceptTable, response: Json, *, complete: bool) -> Answers | None:
    """Returns the same for a parsed response of any shape."""
    if any(True for _ in absent_at_head(response)):
        return None
    walk = _ParsedWalk(table, response)
    return _answers(table, walk, complete, "") if walk.items(response.get("item"), -1) else None


def _answers(table: AcceptTable, walk: _Walk, complete: bool, authored: str) -> Answers | None:  # noqa: FBT001 - as `accept` has it
    """Returns the answers of a walk, if the conditions of the form allow them and none is missing."""
    if walk.true & ~walk.known:
        return None
    disabled, closed = table.enable_when.disabled_and_closed(walk.true, walk.known)
    answered = sum(walk.answered)
    if answered & disabled or (complete and _is_missing(table, answered, disabled)):
        return None
    return Answers(walk.given, closed, authored=authored)


def _is_missing(table: AcceptTable, answered: int, disabled: int) -> bool:
    if table.always & ~answered & ~disabled:
        return True
    return any(
        not required.item & disabled
        and not required.answered & answered
        and (not required.holder or required.holder & answered)
        for required in table.required
    )


class _Walk:
    """The state of one walk: answers by linkId, and bits of items and conditions."""

    __slots__ = ("answered", "by_link", "enable_when", "given", "known", "last", "true")

    def __init__(self, table: AcceptTable) -> None:
        self.by_link = table.by_link
        self.enable_when = table.enable_when
        self.given: dict[str, tuple[Answer, ...]] = {}
        self.answered: list[int] = []
        self.true = self.known = 0
        self.last = -1

    def items(self, items: Sequence[Any], parent: int) -> bool:  # noqa: C901, PLR0911 - the one hot loop
        """Walks siblings; their order must rise, so no linkId comes twice. False: needs the full check."""
        by_link = self.by_link
        for item in items:
            known = by_link.get(item.linkId)
            if known is None or known.parent != parent or known.order <= self.last:
                return False
            text = item.text
            if text is not UNSET and text != known.text and text not in known.translations:
                return False
            self.last = known.order
            answers = item.answer
            nested = item.item
            if answers is UNSET:
                if nested is not UNSET and not (known.group and self.items(nested, known.order)):
                    return False
            elif nested is not UNSET:
                return False
            elif known.coded is not None and len(answers) == 1:
                answer = answers[0]
                coding = answer.valueCoding
                option = known.coded.get(coding.code) if coding is not UNSET else None
                if option is None or option.system != coding.system:
                    return False
                if option.displays is not None and coding.display not in option.displays:
                    return False
                self.given[known.link] = option.answers
                self.answered.append(known.bit)
                if known.in_condition:
                    self.true |= option.true
                    self.known |= option.known
                if answer.item is not UNSET and not self.items(answer.item, known.order):
                    return False
            elif not self.answers(known, answers):
                return False
        return True

    def answers(self, known: AcceptItem, answers: Sequence[Any]) -> bool:
        """Reads the answers of one question, other than a single option. False: needs the full check."""
        if known.needs_check or not known.low <= len(answers) <= known.high:
            return False
        given = self.coded(known, answers) if known.coded is not None else self.typed(known, answers)
        if not given:
            return False
        self.given[known.link] = given
        self.answered.append(known.bit)
        for answer in answers:
            if answer.item is not UNSET and not (len(answers) == 1 and self.items(answer.item, known.order)):
                return False
        return True

    def coded(self, known: AcceptItem, answers: Sequence[Any]) -> tuple[Answer, ...]:
        """Returns several options, by system and code; nothing where one is not plainly fine."""
        found: tuple[Answer, ...] = ()
        for answer in answers:
            coding = answer.valueCoding
            option = known.coded.get(coding.code) if known.coded and coding is not UNSET else None
            if option is None or option.system != coding.system:
                return ()
            if option.displays is not None and coding.display not in option.displays:
                return ()
            if option.exclusive or option.answers[0] in found:
                return ()
            found += option.answers
            self.true |= option.true
            self.known |= option.known
        return found

    def typed(self, known: AcceptItem, answers: Sequence[Any]) -> tuple[Answer, ...]:
        """Returns answers of any other type, within their limits; nothing where one is not plainly fine."""
        found: list[Answer] = []
        for answer in answers:
            value = getattr(answer, known.element)
            typed = None if value is UNSET else known.read(value)
            if typed is None:
                return ()
            found.append(typed)
        given = tuple(found)
        self.weigh(known, given)
        return given

    def weigh(self, known: AcceptItem, given: tuple[Answer, ...]) -> None:
        """Notes what conditions make of the answers of a question."""
        if known.in_condition:
            true, known_bits = self.enable_when.evaluate(known.link, given)
            self.true |= true
            self.known |= known_bits


class _ParsedWalk(_Walk):
    """The same walk through parsed JSON of which nothing is proved.

    What no rule of the full check reads is passed over: ids, definitions, and extensions of items and answers
    that give no reason why an answer is missing. Answers of any further type are read and tried by the code
    of the full check, one question at a time.
    """

    __slots__ = ("response",)

    def __init__(self, table: AcceptTable, response: Json) -> None:
        super().__init__(table)
        self.response = response

    def items(self, items: Any, parent: int) -> bool:
        """Walks siblings, as `_Walk.items` does."""
        if not isinstance(items, list) or not items:
            return False
        return all(isinstance(source, dict) and self.item(source, parent) for source in items)

    def item(self, source: Json, parent: int) -> bool:
        """Walks one item. False: needs the full check."""
        link = source.get("linkId")
        known = self.by_link.get(link) if isinstance(link, str) else None
        if known is None or known.parent != parent or known.order <= self.last:
            return False
        if _says_what_is_absent(source):
            return False
        stated = source.get("text", known.text)
        if stated != known.text and not (isinstance(stated, str) and stated in known.translations):
            return False
        self.last = known.order
        if "answer" in source:
            return "item" not in source and self.parsed_answers(known, source["answer"])
        return "item" not in source or (known.group and self.items(source["item"], known.order))

    def parsed_answers(self, known: AcceptItem, answers: Any) -> bool:
        """Reads the answers of one question, as `_Walk.answers` does."""
        if not isinstance(answers, list) or not known.low <= len(answers) <= known.high:
            return False
        if known.needs_check:
            given = () if known.by_itself is None else self.checked(known.by_itself, answers)
        else:
            given = self.read(known, answers)
        if not given or not self.together(known, given):
            return False
        self.given[known.link] = given
        self.answered.append(known.bit)
        nested = [answer["item"] for answer in answers if "item" in answer]
        return not nested or (len(answers) == 1 and self.items(nested[0], known.order))

    def read(self, known: AcceptItem, answers: list[Any]) -> tuple[Answer, ...]:
        """Returns answers of a common type; nothing where one is not plainly fine."""
        found: list[Answer] = []
        for answer in answers:
            value = _only_value(answer, known.element)
            read = None if value is None else known.read_parsed(value)
            if read is None:
                return ()
            found.append(read)
        is_twice = known.coded is not None and len(set(found)) < len(found)
        return () if is_twice else tuple(found)

    def checked(self, item: Item, answers: list[Any]) -> tuple[Answer, ...]:
        """Returns answers of any type; nothing where the full check has anything to say of them."""
        said: list[str] = []

        def report(kind: str, path: str, words: str, about: str = "") -> None:  # noqa: ARG001 - as `Report` has them
            said.append(kind)

        found = list(read_answers(item, "", answers, report))
        given = tuple(read.answer for read in found if read.has_value and read.answer is not None)
        if said or len(given) < len(answers):
            return ()
        occurrence = Occurrence(item, Container(""), "", 0, None, response_answers=found)
        context = AnswerContext(contained_types(self.response))
        return () if any(True for _ in answer_problems(occurrence, context)) else given

    def together(self, known: AcceptItem, given: tuple[Answer, ...]) -> bool:
        """Notes what conditions make of the answers; False where one of several options excludes the rest."""
        if known.coded is None:
            self.weigh(known, given)
            return True
        options = [known.coded[answer.code] for answer in given if isinstance(answer, Coding)]
        for option in options:
            self.true |= option.true
            self.known |= option.known
        return len(options) == 1 or not any(option.exclusive for option in options)


def _only_value(answer: Any, element: str) -> Any:
    """Returns the value of an answer that has this element, no other, and no reason why it is missing."""
    if not isinstance(answer, dict) or ext.says_why_absent(answer):
        return None
    if len(answer) > 1 and [name for name in answer if name.startswith(("value", "_value"))] != [element]:
        return None
    value = answer.get(element)
    return None if isinstance(value, dict) and _says_what_is_absent(value) else value


_PLAIN_MEMBERS = frozenset({
    "id", "linkId", "definition", "text", "answer", "item", "system", "version", "code", "display",
    "userSelected", "value", "unit",
})  # fmt: skip
"""Of items and of values, those that say nothing of what is missing."""


def _says_what_is_absent(element: Json) -> bool:
    """Whether an object says why it, or one of its primitives, is missing: the full check is told of both."""
    if element.keys() <= _PLAIN_MEMBERS:  # nearly always
        return False
    return ext.says_why_absent(element) or any(True for _ in ext.said_absent(element))


# What the walk must know of each item.


def compile_accept(items: Mapping[str, Item], enable_when: EnableWhenTable) -> AcceptTable:
    """Lays out every item for the accept path."""
    required = _required_items(items)
    coded = _CodedAnswersOfItems(enable_when)
    return AcceptTable(
        by_link={link: _accept_item(item, items, coded) for link, item in items.items()},
        always=sum(entry.item for entry in required if _is_always_required(entry)),
        required=tuple(entry for entry in required if not _is_always_required(entry)),
        enable_when=enable_when,
    )


def _is_always_required(entry: RequiredItem) -> bool:
    return entry.holder == 0 and entry.answered == entry.item


def _accept_item(item: Item, items: Mapping[str, Item], coded: _CodedAnswersOfItems) -> AcceptItem:
    return AcceptItem(
        link=item.link_id,
        order=item.order,
        bit=1 << item.order,
        parent=items[item.parent].order if item.parent is not None else -1,
        text=item.text,
        translations=item.translations,
        group=item.type == GROUP and item.min_occurs <= 1,
        needs_check=_needs_check(item),
        by_itself=item if _is_checked_by_itself(item) else None,
        coded=coded.of(item),
        element=ELEMENTS.get(item.type, ("",))[0],
        low=item.min_occurs,
        high=_UNBOUNDED if item.max_occurs is None else item.max_occurs,
        read=_reader_of(item),
        read_parsed=_parsed_reader_of(item, coded.of(item)),
        in_condition=item.link_id in coded.enable_when.by_question,
    )


def _is_checked_by_itself(item: Item) -> bool:
    """Whether nothing but the answers of a question decides about them, and no pattern that may take long."""
    return item.answerable and not item.limits.pattern and not _is_bound(item)


def _is_bound(item: Item) -> bool:
    return item.min_occurs > 1 or item.max_occurs == 0 or bool(item.read_only and item.initial)


def _needs_check(item: Item) -> bool:
    options = item.options
    if _is_bound(item):
        return True
    if item.type in _PLAIN_TYPES:
        return options is not None or bool(item.limits.pattern)
    if item.type != "choice" or options is None:
        return True
    return not options.are_plain_codes


class _CodedAnswersOfItems:
    """Writes the table of each choice; those that no condition reads share one table per list of options."""

    def __init__(self, enable_when: EnableWhenTable) -> None:
        self.enable_when = enable_when
        self._shared: dict[int, Mapping[str, CodedAnswer]] = {}

    def of(self, item: Item) -> Mapping[str, CodedAnswer] | None:
        options = item.options
        if item.type != "choice" or options is None or _needs_check(item):
            return None
        if item.link_id in self.enable_when.by_question:
            return self._table(item, options)
        if id(options) not in self._shared:
            self._shared[id(options)] = self._table(item, options)
        return self._shared[id(options)]

    def _table(self, item: Item, options: Options) -> Mapping[str, CodedAnswer]:
        evaluate = self.enable_when.evaluate
        has_names = any(options.names(option.coding) for option in options.coded)
        return {
            answer.code: CodedAnswer(
                answer.system,
                (answer,),
                *evaluate(item.link_id, (answer,)),
                choice.exclusive,
                frozenset((UNSET, *options.names(answer))) if has_names else None,
            )
            for answer, choice in options.choices.items()
            if isinstance(answer, Coding)
        }


# What a complete response must answer.
#
# `required` (or minOccurs) of an item counts wherever the item is enabled and its container is in
# use. The whole response is in use. A group that does not repeat is in use where its own container
# is, whether or not it stands in the response, because SDC treats absent and empty items alike. An
# occurrence of a repeating group is in use once it holds an answer; so is the inside of a question,
# once the question is answered. A required group must hold at least one answer.
#
# Source: FHIR R4 Questionnaire.item.required; SDC rules for absent and empty items.


def _required_items(items: Mapping[str, Item]) -> tuple[RequiredItem, ...]:
    """Returns every required item of a Questionnaire in which each item occurs at most once."""
    answerable = sum(1 << item.order for item in items.values() if item.answerable)
    return tuple(
        RequiredItem(1 << item.order, answered, _holder(item, items))
        for item in items.values()
        if item.min_occurs > 0 and item.type != DISPLAY and (answered := _answered_by(item) & answerable)
    )


def _answered_by(item: Item) -> int:
    return _subtree(item) if item.type == GROUP else 1 << item.order


def _holder(item: Item, items: Mapping[str, Item]) -> int:
    parent = items[item.parent] if item.parent is not None else None
    while parent is not None:
        if parent.type != GROUP:
            return 1 << parent.order
        if parent.repeats:
            return _subtree(parent)
        parent = items[parent.parent] if parent.parent is not None else None
    return 0


def _subtree(item: Item) -> int:
    return (1 << item.end) - (1 << item.order)


# Readers of one answer: typed and within every limit, or None.
#
# Limits are brought into the shape of the answer once, at start: whole numbers for integers, and for
# quantities one pair of bounds per unit. What cannot be prepared (dates with limits, quantities
# without listed units) is read and tried by the code of the full check.

_Bounds = tuple[Decimal | None, Decimal | None]


def _reader_of(item: Item) -> AnswerReader:
    if item.type == "integer":
        return _integer_reader(item)
    if item.type == "quantity":
        return _quantity_reader(item)
    if item.type in ("string", "text"):
        return _text_reader(item)
    return _full_reader(item)


def _integer_reader(item: Item) -> AnswerReader:
    limits = item.limits
    smallest, largest = plain_number(limits.min_value), plain_number(limits.max_value)
    if smallest != limits.min_value or largest != limits.max_value:
        return _full_reader(item)
    low = -LARGEST_INTEGER - 1 if smallest is None else ceil(smallest)
    high = LARGEST_INTEGER if largest is None else floor(largest)

    def read(value: Any) -> Answer | None:
        return value if low <= value <= high else None

    return read


def _text_reader(item: Item) -> AnswerReader:
    limits = item.limits
    if limits.min_value is not None or limits.max_value is not None:
        return _full_reader(item)
    low = limits.min_length or 0
    high = limits.max_length

    def read(value: Any) -> Answer | None:
        fits = low <= len(value) and (high is None or len(value) <= high)
        return value if fits and value and not value.isspace() else None

    return read


def _quantity_reader(item: Item) -> AnswerReader:
    bounds = _bounds_by_unit(item.limits)
    if bounds is None:
        return _full_reader(item)
    limits, names = item.limits, item.limits.unit_names
    systems = {unit.code: unit.system for unit in limits.units}

    def read(value: Any) -> Answer | None:
        amount, code = value.value, value.code
        found = bounds.get(code)
        if found is None or amount is UNSET or value.system != systems[code] or not amount.is_finite():
            return None
        unit = value.unit
        is_plain = unit is UNSET or code in names.get(unit, ())
        if not is_plain and names_another_unit(limits, code, value.system, unit):
            return None
        low, high = found
        if (low is not None and amount < low) or (high is not None and amount > high):
            return None
        return Quantity(amount, code)

    return read


def _bounds_by_unit(limits: AnswerLimits) -> Mapping[str, _Bounds] | None:
    """Returns bounds in each unit of the question, or None where they cannot be prepared."""
    on_value = (limits.max_decimal_places, plain_number(limits.min_value), plain_number(limits.max_value))
    codes = [unit.code for unit in limits.units]
    if any(limit is not None for limit in on_value):
        return None
    if limits.open_units or not codes or len(set(codes)) < len(codes):
        return None
    if limits.unit_value_set and limits.value_sets.codes(limits.unit_value_set).doubt is not None:
        return None
    bounds: dict[str, _Bounds] = {}
    for code in codes:
        low, high = limits.min_quantity, limits.max_quantity
        if not all(limit is None or comparable(limit.unit, code) for limit in (low, high)):
            return None
        bounds[code] = (_in_unit(low, code, ROUND_CEILING), _in_unit(high, code, ROUND_FLOOR))
    return bounds


def _in_unit(limit: Quantity | None, code: str, rounding: str) -> Decimal | None:
    """Returns the limit in another unit, rounded inward: what lies between is left to the full check."""
    exact = converted(limit.value, limit.unit, code) if limit is not None else None
    if exact is None:
        return None
    with localcontext(prec=28, rounding=rounding):
        return Decimal(exact.numerator) / Decimal(exact.denominator)


def _full_reader(item: Item) -> AnswerReader:
    """Returns a reader that asks the code of the full check."""
    if item.type == "quantity":
        return lambda value: _checked_quantity(item, value)
    from_json = next((READERS[element] for element in ELEMENTS.get(item.type, ())), None)

    def read(value: Any) -> Answer | None:
        try:
            answer = from_json(value) if from_json is not None else None
        except NotWellFormed:
            return None
        return None if answer is None or any(True for _ in limit_faults(item, answer)) else answer

    return read


def _parsed_reader_of(item: Item, coded: Mapping[str, CodedAnswer] | None) -> AnswerReader:
    """Returns a reader of values of any shape: of options by their table, of others by the full check."""
    if coded is not None:
        return lambda value: _option(coded, value)
    if item.type == "quantity":
        return lambda value: _parsed_quantity(item, value)
    return _full_reader(item)


def _option(coded: Mapping[str, CodedAnswer], value: Any) -> Answer | None:
    """Returns the option that a Coding names by system and code, and shows by one of its names, if any."""
    if not isinstance(value, dict):
        return None
    system, code, display = value.get("system", ""), value.get("code"), value.get("display", UNSET)
    option = coded.get(code) if isinstance(code, str) else None
    if option is None or option.system != system or not isinstance(display, str | UnsetType):
        return None
    if option.displays is not None and display not in option.displays:
        return None
    return option.answers[0]


def _parsed_quantity(item: Item, value: Any) -> Answer | None:
    try:
        answer = READERS["valueQuantity"](value)
    except NotWellFormed:
        return None
    unit = tuple(text(value.get(name)) for name in ("system", "unit"))
    return None if any(True for _ in limit_faults(item, answer, unit)) else answer


def _checked_quantity(item: Item, value: Any) -> Answer | None:
    if value.value is UNSET or not value.value.is_finite():
        return None
    answer = Quantity(value.value, "" if value.code is UNSET else value.code)
    unit = tuple("" if found is UNSET else found for found in (value.system, value.unit))
    return None if any(True for _ in limit_faults(item, answer, unit)) else answer
