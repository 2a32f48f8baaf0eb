"""The items of a Questionnaire: what each asks, what an answer must keep to, and when it is enabled.

Reading never raises, whatever shape the resource is in: what is wrong with it, the lint says. An item
without linkId, or with a linkId that was read before, is left out with everything below it.

Source: FHIR R4 Questionnaire.item (answerOption, answerValueSet, maxLength, enableWhen); the core and
SDC extensions named in `fhir/extensions.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

import msgspec

from service.datatypes.answers import Answer, Coding, Quantity, Uncoded
from service.datatypes.form import Option
from service.datatypes.spelling import folded
from service.datatypes.ucum import SYSTEM as UCUM
from service.datatypes.ucum import names_of
from service.datatypes.values import replace
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.questionnaire.values import ELEMENTS, answer_in
from service.terminology.code_systems import weight
from service.terminology.membership import Member, Membership
from service.terminology.value_sets import Choice, ValueSets

GROUP = "group"
DISPLAY = "display"
TYPES = frozenset({GROUP, DISPLAY, *ELEMENTS})
"""FHIR R4 item-type, without the abstract `question`."""

_WITHOUT_ANSWERS = frozenset({GROUP, DISPLAY})

OPERATORS = ("exists", "=", "!=", ">", "<", ">=", "<=")
"""Operators of enableWhen."""

_PLAIN_LINK_ID = re.compile(r"[A-Za-z0-9._/-]{1,64}")

MAX_DEPTH = 64
"""Levels of items that are read; HL7's own forms stay under ten."""

_COMPUTABLE = ("maxLength", "required", "repeats")
"""Elements of an item, beside its extensions, that an expression may compute."""

_PERMITTED, _NOT_PERMITTED = Membership(is_member=True), Membership(is_member=False)


@dataclass(frozen=True)
class Options:
    """The permitted answers of a question.

    Args:
        choices: by answer; a coding is found by system and code.
        elements: names of the elements that may carry an answer, such as `valueCoding`.
        open: an answer outside `choices` is allowed (open-choice).
        value_set: canonical of the answerValueSet, or empty.
        value_sets: where membership of the value set is asked.
    """

    choices: Mapping[Answer, Choice]
    elements: tuple[str, ...] = ("valueCoding",)
    open: bool = False
    value_set: str = ""
    value_sets: ValueSets = field(default_factory=ValueSets, repr=False, compare=False)

    def membership(self, answer: Answer) -> Membership:
        """Returns whether an answer is permitted: yes, no, or that it cannot be told, and why."""
        if answer in self.choices or (self.open and isinstance(answer, str)):
            return _PERMITTED
        if not self.value_set or not isinstance(answer, Coding):
            return _NOT_PERMITTED
        found = self.value_sets.membership(self.value_set, answer)
        return _NOT_PERMITTED if found.member is not None and found.member.abstract else found

    @cached_property
    def coded(self) -> tuple[Option, ...]:
        """The coded ones, as the guidance knows them."""
        return tuple(
            Option(choice.answer, choice.display, choice.weight, choice.translations)
            for choice in self.choices.values()
            if isinstance(choice.answer, Coding)
        )

    @cached_property
    def numbers(self) -> tuple[tuple[int, Decimal | None], ...]:
        """The whole numbers among them, each with its weight."""
        return tuple(
            (choice.answer, choice.weight)
            for choice in self.choices.values()
            if isinstance(choice.answer, int) and not isinstance(choice.answer, bool)
        )

    @cached_property
    def are_plain_codes(self) -> bool:
        """Whether there are codes alone, no two alike but for their system, and no answer is in doubt."""
        codes = {answer.code for answer in self.choices if isinstance(answer, Coding)}
        is_known = not self.value_set or self.value_sets.codes(self.value_set).doubt is None
        return is_known and len(codes) == len(self.choices) and self.elements == ("valueCoding",)

    def names(self, coding: Coding) -> tuple[str, ...]:
        """Returns all names of a code, in every language: its code system's first, then the form's own."""
        if coding in self._names:
            return self._names[coding]
        choice = self.choices.get(coding)
        found = self._names_of(coding, choice)
        if choice is not None:
            self._names[coding] = found
        return found

    def named(self, name: str) -> frozenset[Coding]:
        """Returns the options that have this name; case and blanks do not count."""
        return self._by_name.get(folded(name), frozenset())

    @cached_property
    def _names(self) -> dict[Coding, tuple[str, ...]]:
        """The names of options that were asked for."""
        return {}

    @cached_property
    def _by_name(self) -> Mapping[str, frozenset[Coding]]:
        found: dict[str, set[Coding]] = {}
        for option in self.coded:
            for name in self.names(option.coding):
                found.setdefault(folded(name), set()).add(option.coding)
        return {name: frozenset(codings) for name, codings in found.items()}

    def _names_of(self, coding: Coding, choice: Choice | None) -> tuple[str, ...]:
        member = self.value_sets.codes(self.value_set).of(coding) if self.value_set else None
        further = member.names if isinstance(member, Member) else ()
        own = (choice.display, *choice.translations) if choice is not None else ()
        return tuple(dict.fromkeys(filter(None, (*self.value_sets.names(coding), *further, *own))))


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Limits on one answer, named as FHIR names them; None if there is none. Both ends are included.

    Args:
        pattern: the regular expression of the extension `regex`.
        units: units that a quantity may have. open_units: it may have others as well.
        unit_open: which others, as the extension unitOpen says: optionsOrType, optionsOrString or nothing.
        unit_system: the code system that others are of, where they are coded; empty for any.
        unit_value_set: canonical of the unitValueSet, which `value_sets` can be asked about, or empty.
        unit_names: codes of the units that have a name, as it is written and folded; the code is one too.
        max_size: as the form states it; whether it means bytes or megabytes, it does not say.
        reference_types: types of resources that a reference may lead to.
    """

    min_length: int | None = None
    max_length: int | None = None
    min_value: Answer | None = None
    max_value: Answer | None = None
    min_quantity: Quantity | None = None
    max_quantity: Quantity | None = None
    max_decimal_places: int | None = None
    pattern: str = ""
    units: tuple[Coding, ...] = ()
    open_units: bool = False
    unit_open: str = ""
    unit_system: str = ""
    unit_value_set: str = ""
    unit_names: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    value_sets: ValueSets = field(default_factory=ValueSets, repr=False, compare=False)
    mime_types: tuple[str, ...] = ()
    max_size: Decimal | None = None
    reference_types: tuple[str, ...] = ()


class EnableWhen(msgspec.Struct, frozen=True):
    """One enableWhen: `question operator expected`.

    For `exists` the expected answer is a bool. It is None where the condition cannot be read, and so
    cannot be decided.
    """

    question: str
    operator: str
    expected: Answer | None


@dataclass(frozen=True, slots=True)
class Item:
    """One item, with everything that never changes between responses.

    Args:
        parent: linkId of the item it stands under, or None at the top.
        order: position in the whole questionnaire, from 0, parents before children.
        end: one more than the order of its last descendant.
        min_occurs, max_occurs: how many answers (or occurrences, for a group) there must be at least,
            when it is there at all, and at most; `max_occurs` None means any number.
        enable_when: conditions; all must hold, or with `enable_any` (enableBehavior) one of them.
        enable_expression: an enableWhenExpression decides as well.
        initial: initial answers, and options that are selected at first.
        translations: the text in other languages.
        is_quoted: whether messages repeat its text: not where the form came with the response.
        source: the item as published, for expressions and the lint.
    """

    link_id: str
    text: str
    type: str
    parent: str | None
    order: int
    end: int
    path: str
    required: bool = False
    repeats: bool = False
    read_only: bool = False
    min_occurs: int = 0
    max_occurs: int | None = 1
    options: Options | None = None
    limits: AnswerLimits = AnswerLimits()
    enable_when: tuple[EnableWhen, ...] = ()
    enable_any: bool = False
    enable_expression: bool = False
    children: tuple[str, ...] = ()
    codes: tuple[Coding, ...] = ()
    initial: tuple[Answer, ...] = ()
    translations: frozenset[str] = frozenset()
    is_quoted: bool = True
    source: Json = field(default_factory=dict, repr=False, compare=False)

    @property
    def answerable(self) -> bool:
        """Whether the item can carry answers."""
        return self.type not in _WITHOUT_ANSWERS

    @property
    def is_told(self) -> bool:
        """Whether it is shown but not asked: it is read-only, or the form calculates it."""
        return self.read_only or ext.value(self.source, ext.CALCULATED_EXPRESSION) is not None

    @property
    def is_hidden(self) -> bool:
        """Whether it is never shown to people, and nothing below it is."""
        return ext.value(self.source, ext.HIDDEN) is True

    @property
    def label(self) -> str:
        """How messages name the item: its text, else its linkId."""
        return f"“{self.text}”" if self.text and self.is_quoted else f"item {self.name}"

    @property
    def name(self) -> str:
        """The linkId; of a form that came with the response, only where it is no more than a name."""
        return self.link_id if self.is_quoted or _PLAIN_LINK_ID.fullmatch(self.link_id) else "at this place"

    @property
    def wordings(self) -> Iterator[str]:
        """Its text in every language, without its prefix and with it."""
        prefixes = [*filter(None, (text(self.source.get("prefix")), *_translations(self.source, "prefix")))]
        for words in filter(None, (self.text, *self.translations)):
            yield words
            yield from (f"{prefix} {words}" for prefix in prefixes)


def items_of(resource: Json, value_sets: ValueSets, *, is_quoted: bool = True) -> dict[str, Item]:
    """Returns all items by linkId, in document order, parents before children.

    Args:
        is_quoted: whether messages may repeat the words of the form: it is published, or was given to us.
    """
    reader = _ItemReader(value_sets.with_contained(resource), is_quoted=is_quoted)
    reader.read_children(resource, parent=None, path="Questionnaire", depth=0)
    return reader.items


class _ItemReader:
    """One pass over the items, counting their order."""

    def __init__(self, value_sets: ValueSets, *, is_quoted: bool) -> None:
        self.lists = _Lists(value_sets)
        self.is_quoted = is_quoted
        self.items: dict[str, Item] = {}

    def read_children(self, source: Json, *, parent: str | None, path: str, depth: int) -> tuple[str, ...]:
        """Reads the items below `source` and returns their linkIds."""
        children: list[str] = []
        listed = source.get("item")
        for index, child in enumerate(listed if isinstance(listed, list) and depth < MAX_DEPTH else []):
            link = text(child.get("linkId")) if isinstance(child, Mapping) else ""
            if not link or link in self.items:
                continue
            children.append(link)
            here = f"{path}.item[{index}]"
            self.items[link] = self._item(child, link, parent=parent, path=here)
            below = self.read_children(child, parent=link, path=here, depth=depth + 1)
            self.items[link] = replace(self.items[link], children=below, end=len(self.items))
        return tuple(children)

    def _item(self, source: Json, link: str, *, parent: str | None, path: str) -> Item:
        fixed = _without_computed(source)
        min_occurs, max_occurs = _occurs(fixed)
        order = len(self.items)
        return Item(
            link_id=link,
            text=text(source.get("text")),
            type=text(source.get("type")),
            parent=parent,
            order=order,
            end=order + 1,
            path=path,
            required=fixed.get("required") is True,
            repeats=fixed.get("repeats") is True,
            read_only=source.get("readOnly") is True,
            min_occurs=min_occurs,
            max_occurs=max_occurs,
            options=_options(source, self.lists),
            limits=_limits(fixed, self.lists),
            enable_when=_enable_when(source),
            enable_any=source.get("enableBehavior") == "any",
            enable_expression=any(True for _ in ext.extensions(source, ext.ENABLE_WHEN_EXPRESSION)),
            codes=_codes(source),
            initial=_initial(source),
            translations=_translations(source, "text"),
            is_quoted=self.is_quoted,
            source=source,
        )


def is_out_of_sight(item: Item, items: Mapping[str, Item]) -> bool:
    """Returns whether an item, or one above it, is hidden."""
    above: Item | None = item
    while above is not None:
        if above.is_hidden:
            return True
        above = items.get(above.parent or "")
    return False


def _without_computed(source: Json) -> Json:
    """Returns an item without the limits that are computed for each response; it may repeat, until then.

    A value that stands beside an expression is only there for those who cannot evaluate it.
    """
    listed = list(mappings(source.get("extension")))
    fixed = [extension for extension in listed if ext.computed_value(extension) is None]
    computed = [name for name in _COMPUTABLE if ext.computed(source.get(f"_{name}")) is not None]
    if not computed and len(fixed) == len(listed):
        return source
    kept = {key: value for key, value in source.items() if key not in computed}
    return kept | {"extension": fixed} | ({"repeats": True} if "repeats" in computed else {})


def _occurs(source: Json) -> tuple[int, int | None]:
    low = _count(ext.value(source, ext.MIN_OCCURS))
    high = _count(ext.value(source, ext.MAX_OCCURS))
    if source.get("repeats") is not True:
        high = 1
    return max(low or 0, 1 if source.get("required") is True else 0), high


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _enable_when(source: Json) -> tuple[EnableWhen, ...]:
    """Returns the conditions, those included that cannot be read; the lint names these."""
    return tuple(_condition(condition) for condition in mappings(source.get("enableWhen")))


def _condition(source: Json) -> EnableWhen:
    question, operator = text(source.get("question")), text(source.get("operator"))
    found = answer_in(source, "answer")
    is_read = operator in OPERATORS and (operator != "exists" or (found or ("",))[0] == "valueBoolean")
    return EnableWhen(question, operator, found[1] if found is not None and is_read else None)


def _codes(source: Json) -> tuple[Coding, ...]:
    return tuple(
        Coding(text(code.get("system")), text(code.get("code"))) for code in mappings(source.get("code"))
    )


def _initial(source: Json) -> tuple[Answer, ...]:
    options = mappings(source.get("answerOption"))
    selected = (option for option in options if option.get("initialSelected") is True)
    found = (answer_in(element, "value") for element in (*mappings(source.get("initial")), *selected))
    return tuple(named[1] for named in found if named is not None)


def _translations(source: Json, name: str) -> frozenset[str]:
    return frozenset(translation["value"] for translation in ext.translations(source, name))


# The permitted answers, from answerOption or answerValueSet.


class _Lists:
    """What value sets list, read once for all items that name the same one."""

    def __init__(self, value_sets: ValueSets) -> None:
        self.value_sets = value_sets
        self._options: dict[tuple[str, bool], Options] = {}
        self._units: dict[str, tuple[Coding, ...]] = {}

    def options(self, canonical: str, *, open_: bool) -> Options:
        """Returns the codes of a value set as options."""
        if (canonical, open_) not in self._options:
            self._options[canonical, open_] = _options_of_value_set(canonical, self.value_sets, open_=open_)
        return self._options[canonical, open_]

    def units(self, canonical: str) -> tuple[Coding, ...]:
        """Returns the codes of a value set that are known as units; there may be others."""
        if canonical not in self._units:
            members = self.value_sets.codes(canonical).members
            self._units[canonical] = tuple(member.coding for member in members if not member.abstract)
        return self._units[canonical]


def _options(source: Json, lists: _Lists) -> Options | None:
    """Returns the options, or None if the item does not limit its answers to a list."""
    open_ = source.get("type") == "open-choice"
    if isinstance(source.get("answerOption"), list):
        return _options_listed(source, lists.value_sets, open_=open_)
    canonical = text(source.get("answerValueSet"))
    return lists.options(canonical, open_=open_) if canonical else None


def _options_listed(source: Json, value_sets: ValueSets, *, open_: bool) -> Options:
    choices: dict[Answer, Choice] = {}
    elements: dict[str, None] = {}
    for option in mappings(source.get("answerOption")):
        found = answer_in(option, "value")
        if found is not None:
            element, answer = found
            elements[element] = None
            choices[answer] = _choice(option, answer)
    if open_:
        elements.setdefault("valueString")
    return Options(choices, tuple(elements) or ("valueCoding",), open_, value_sets=value_sets)


def _choice(option: Json, answer: Answer) -> Choice:
    coding = option.get("valueCoding") if isinstance(answer, Coding | Uncoded) else None
    coding = coding if isinstance(coding, Mapping) else {}
    return Choice(
        answer,
        text(coding.get("display")) if isinstance(answer, Coding | Uncoded) else str(answer),
        weight(option, coding),
        exclusive=ext.value(option, ext.OPTION_EXCLUSIVE) is True,
        translations=tuple(_translations(coding, "display")),
    )


def _options_of_value_set(canonical: str, value_sets: ValueSets, *, open_: bool) -> Options:
    elements = ("valueCoding", "valueString") if open_ else ("valueCoding",)
    choices: dict[Answer, Choice] = {
        member.coding: Choice(member.coding, member.display, member.weight)
        for member in value_sets.codes(canonical).members
        if not member.abstract
    }
    return Options(choices, elements, open_, canonical, value_sets)


# The limits on an answer, from core elements and extensions.


def _limits(source: Json, lists: _Lists) -> AnswerLimits:
    """Returns every limit of one item; what cannot be read is left to the lint."""
    units, open_units = _units(source, lists)
    low, high = _answer_in_extension(source, ext.MIN_VALUE), _answer_in_extension(source, ext.MAX_VALUE)
    return AnswerLimits(
        min_length=_count(ext.value(source, ext.MIN_LENGTH)),
        max_length=_count(source.get("maxLength")),
        min_value=low,
        max_value=high,
        min_quantity=_quantity(source, ext.MIN_QUANTITY, low),
        max_quantity=_quantity(source, ext.MAX_QUANTITY, high),
        max_decimal_places=_count(ext.value(source, ext.MAX_DECIMAL_PLACES)),
        pattern=text(ext.value(source, ext.REGEX)),
        units=units,
        open_units=open_units,
        unit_open=text(ext.value(source, ext.UNIT_OPEN)),
        unit_system=text(ext.value(source, ext.UNIT_SUPPLEMENTAL_SYSTEM)).partition("|")[0],
        unit_value_set=text(ext.value(source, ext.UNIT_VALUE_SET)),
        unit_names=_unit_names(source, units, lists.value_sets),
        value_sets=lists.value_sets,
        mime_types=_texts(source, ext.MIME_TYPE),
        max_size=_number(ext.value(source, ext.MAX_SIZE)),
        reference_types=_texts(source, ext.REFERENCE_RESOURCE),
    )


def _answer_in_extension(source: Json, url: str) -> Answer | None:
    for extension in ext.extensions(source, url):
        found = answer_in(extension, "value")
        if found is not None:
            return found[1]
    return None


def _quantity(source: Json, url: str, limit: Answer | None) -> Quantity | None:
    for found in (_answer_in_extension(source, url), limit):
        if isinstance(found, Quantity):
            return found
    return None


def _texts(source: Json, url: str) -> tuple[str, ...]:
    return tuple(found for found in ext.values(source, url) if isinstance(found, str))


def _number(value: object) -> Decimal | None:
    is_number = isinstance(value, int | Decimal | float) and not isinstance(value, bool)
    return Decimal(str(value)) if is_number else None


def _units(source: Json, lists: _Lists) -> tuple[tuple[Coding, ...], bool]:
    """Returns units that a quantity may have, and whether there may be others.

    The extension `questionnaire-unit` names the usual unit and forbids no other.
    """
    listed = [*_unit_codings(source, ext.UNIT_OPTION)]
    canonical = text(ext.value(source, ext.UNIT_VALUE_SET))
    if canonical:
        units = lists.units(canonical)
        if not listed:
            return units, False
        listed.extend(units)
    if listed or source.get("type") != "quantity":
        return tuple(dict.fromkeys(listed)), False
    return tuple(_unit_codings(source, ext.UNIT)), True


def _unit_names(source: Json, units: Iterable[Coding], value_sets: ValueSets) -> Mapping[str, frozenset[str]]:
    """Returns the codes of the units by each name that they have in any language, and by their code."""
    named = [(unit.code, name) for unit in units for name in (unit.code, *value_sets.names(unit))]
    for coding in mappings([*ext.values(source, ext.UNIT_OPTION)]):
        shown = (text(coding.get("display")), *_translations(coding, "display"))
        named += ((text(coding.get("code")), name) for name in shown if name)
    return names_of(named)


def _unit_codings(source: Json, url: str) -> Iterator[Coding]:
    for found in ext.values(source, url):
        if isinstance(found, Mapping) and text(found.get("code")):
            yield Coding(text(found.get("system")) or UCUM, text(found.get("code")))
