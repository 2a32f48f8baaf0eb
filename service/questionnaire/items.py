"""Reads the items of a Questionnaire, whatever shape they are in, into compiled items.

What is wrong with a Questionnaire is said by the lint; reading never raises. An item without
linkId, or with a linkId that was read before, is left out with everything below it.

Source: FHIR R4 Questionnaire; SDC extensions named in `extensions.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from service.datatypes.answers import Answer, Coding, Quantity
from service.fhir import extensions as ext
from service.fhir.extensions import OPTION_EXCLUSIVE, mappings, text, value
from service.questionnaire.values import answer_in
from service.terminology.code_systems import weight
from service.terminology.value_sets import Choice, ValueSets

# One item of a compiled Questionnaire: what it asks and what an answer must keep to.

GROUP = "group"
DISPLAY = "display"
TYPES = frozenset(
    {
        "group",
        "display",
        "boolean",
        "decimal",
        "integer",
        "date",
        "dateTime",
        "time",
        "string",
        "text",
        "url",
        "choice",
        "open-choice",
        "attachment",
        "reference",
        "quantity",
    }
)
"""FHIR R4 item-type, without the abstract `question`."""

COMPLETE = frozenset({"completed", "amended"})
"""Statuses in which a response must be complete."""

OPERATORS = ("exists", "=", "!=", ">", "<", ">=", "<=")
"""Operators of enableWhen."""


@dataclass(frozen=True, slots=True)
class Options:
    """The permitted answers of a question.

    Args:
        choices: by answer; a coding is found by system and code.
        types: element names that may carry an answer, such as `valueCoding`.
        open: an answer outside `choices` is allowed (open-choice).
        value_set: canonical of the answerValueSet, or empty.
        uncertain: code systems of which some unlisted codes may belong to the value set.
        unreachable: the value set could not be expanded at all.
    """

    choices: Mapping[Answer, Choice]
    types: tuple[str, ...] = ("valueCoding",)
    open: bool = False
    value_set: str = ""
    uncertain: frozenset[str] = frozenset()
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on one answer; None where there is none. `low` and `high` are both included."""

    min_length: int | None = None
    max_length: int | None = None
    low: Answer | None = None
    high: Answer | None = None
    low_quantity: Quantity | None = None
    high_quantity: Quantity | None = None
    decimal_places: int | None = None
    pattern: str = ""
    units: tuple[Coding, ...] = ()
    open_units: bool = False
    mime_types: tuple[str, ...] = ()
    max_bytes: int | None = None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """One enableWhen: `question operator expected`. For `exists` the expected answer is a bool."""

    question: str
    operator: str
    expected: Answer


@dataclass(frozen=True, slots=True)
class Item:
    """One item, with everything that never changes between responses.

    Args:
        parent: linkId of the item it stands under, or None at the top.
        order: position in the whole questionnaire, from 0, parents before children.
        end: one more than the order of its last descendant.
        initial: initial answers, and options that are selected at first.
        translations: the text in other languages.
        low, high: how many answers (or occurrences, for a group) there must be at least, when it is
            there at all, and at most; `high` None means any number.
        conditions: enableWhen; all must hold unless `any_condition`.
        source: the item as published, for expressions and definitions.
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
    low: int = 0
    high: int | None = 1
    options: Options | None = None
    limits: Limits = Limits()
    conditions: tuple[Condition, ...] = ()
    any_condition: bool = False
    enable_expression: str = ""
    children: tuple[str, ...] = ()
    codes: tuple[Coding, ...] = ()
    initial: tuple[Answer, ...] = ()
    translations: frozenset[str] = frozenset()
    source: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def answerable(self) -> bool:
        """Whether the item can carry answers."""
        return self.type not in (GROUP, DISPLAY)

    @property
    def label(self) -> str:
        """How messages name the item: its text, else its linkId."""
        return f"“{self.text}”" if self.text else f"item {self.link_id}"


# The answers that a question permits, from answerOption or answerValueSet.
#
# Source: FHIR R4 Questionnaire.item.answerOption, answerValueSet; type open-choice.


def options_of(
    source: Mapping[str, Any], value_sets: ValueSets, contained: Sequence[Mapping[str, Any]]
) -> Options | None:
    """Returns what may be answered, or None where the item does not limit its answers to a list."""
    open_ = source.get("type") == "open-choice"
    if isinstance(source.get("answerOption"), list):
        return _listed(source, open_=open_)
    canonical = text(source.get("answerValueSet"))
    return _from_value_set(canonical, value_sets, contained, open_=open_) if canonical else None


def _listed(source: Mapping[str, Any], *, open_: bool) -> Options:
    choices: dict[Answer, Choice] = {}
    types: dict[str, None] = {}
    for option in mappings(source.get("answerOption")):
        found = answer_in(option, "value")
        if found is not None:
            types[found[0]] = None
            choices[found[1]] = _choice(option, found[1])
    if open_:
        types.setdefault("valueString")
    return Options(choices, tuple(types) or ("valueCoding",), open_)


def _choice(option: Mapping[str, Any], answer: Answer) -> Choice:
    coding = option.get("valueCoding") if isinstance(answer, Coding) else None
    coding = coding if isinstance(coding, Mapping) else {}
    return Choice(
        answer,
        text(coding.get("display")) if isinstance(answer, Coding) else str(answer),
        weight(option, coding),
        exclusive=value(option, OPTION_EXCLUSIVE) is True,
    )


def _from_value_set(
    canonical: str, value_sets: ValueSets, contained: Sequence[Mapping[str, Any]], *, open_: bool
) -> Options:
    types = ("valueCoding", "valueString") if open_ else ("valueCoding",)
    members = value_sets.members(canonical, contained)
    if members is None:
        return Options({}, types, open_, canonical, unreachable=True)
    return Options(members.choices, types, open_, canonical, members.uncertain)


# Reads the limits on an answer from an item's core fields and extensions.
#
# Source: FHIR R4 Questionnaire.item.maxLength and the extensions named in `extensions.py`.

_BYTES_PER_MEGABYTE = 1024 * 1024
_UCUM = "http://unitsofmeasure.org"


def limits_of(
    source: Mapping[str, Any], value_sets: ValueSets, contained: Sequence[Mapping[str, Any]]
) -> Limits:
    """Returns every limit of one item; what cannot be read is left to the lint."""
    units, open_units = _units(source, value_sets, contained)
    low, high = _typed(source, ext.MIN_VALUE), _typed(source, ext.MAX_VALUE)
    return Limits(
        min_length=_whole(ext.value(source, ext.MIN_LENGTH)),
        max_length=_whole(source.get("maxLength")),
        low=low,
        high=high,
        low_quantity=_quantity(source, ext.MIN_QUANTITY, low),
        high_quantity=_quantity(source, ext.MAX_QUANTITY, high),
        decimal_places=_whole(ext.value(source, ext.MAX_DECIMAL_PLACES)),
        pattern=ext.text(ext.value(source, ext.REGEX)),
        units=units,
        open_units=open_units,
        mime_types=tuple(found for found in ext.values(source, ext.MIME_TYPE) if isinstance(found, str)),
        max_bytes=_bytes(ext.value(source, ext.MAX_SIZE)),
        targets=tuple(
            found for found in ext.values(source, ext.REFERENCE_RESOURCE) if isinstance(found, str)
        ),
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _typed(source: Mapping[str, Any], url: str) -> Answer | None:
    for extension in ext.extensions(source, url):
        found = answer_in(extension, "value")
        if found is not None:
            return found[1]
    return None


def _quantity(source: Mapping[str, Any], url: str, plain: Answer | None) -> Quantity | None:
    for found in (_typed(source, url), plain):
        if isinstance(found, Quantity):
            return found
    return None


def _bytes(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        return None
    return int(Decimal(str(value)) * _BYTES_PER_MEGABYTE)


def _units(
    source: Mapping[str, Any], value_sets: ValueSets, contained: Sequence[Mapping[str, Any]]
) -> tuple[tuple[Coding, ...], bool]:
    """Units that a quantity may have; the second part is True where there may be others.

    The extension `questionnaire-unit` names the usual unit and forbids no other.
    """
    listed = [*_codings(source, ext.UNIT_OPTION)]
    canonical = ext.text(ext.value(source, ext.UNIT_VALUE_SET))
    if canonical:
        members = value_sets.members(canonical, contained)
        if members is None or members.uncertain:
            return tuple(listed), True
        listed.extend(answer for answer in members.choices if isinstance(answer, Coding))
    if listed or source.get("type") != "quantity":
        return tuple(dict.fromkeys(listed)), False
    return tuple(_codings(source, ext.UNIT)), True


def _codings(source: Mapping[str, Any], url: str) -> Iterator[Coding]:
    for found in ext.values(source, url):
        if isinstance(found, Mapping) and ext.text(found.get("code")):
            yield Coding(ext.text(found.get("system")) or _UCUM, ext.text(found.get("code")))


DEEPEST = 64
"""Levels of items that are read; HL7's own forms stay under ten."""


def items_of(resource: Mapping[str, Any], value_sets: ValueSets) -> dict[str, Item]:
    """Returns all items by linkId, in document order, parents before children."""
    reading = _Reading(value_sets, list(ext.mappings(resource.get("contained"))))
    reading.read(resource, parent=None, path="Questionnaire", depth=0)
    return reading.items


class _Reading:
    """One pass over the items, counting their order."""

    def __init__(self, value_sets: ValueSets, contained: list[Mapping[str, Any]]) -> None:
        self.value_sets = value_sets
        self.contained = contained
        self.items: dict[str, Item] = {}

    def read(
        self, source: Mapping[str, Any], *, parent: str | None, path: str, depth: int
    ) -> tuple[str, ...]:
        """Reads the children of `source` and returns their linkIds."""
        children: list[str] = []
        listed = source.get("item")
        for index, child in enumerate(listed if isinstance(listed, list) and depth < DEEPEST else []):
            link = ext.text(child.get("linkId")) if isinstance(child, Mapping) else ""
            if not link or link in self.items:
                continue
            children.append(link)
            here = f"{path}.item[{index}]"
            self.items[link] = self._item(child, link, parent=parent, path=here)
            below = self.read(child, parent=link, path=here, depth=depth + 1)
            self.items[link] = replace(self.items[link], children=below, end=len(self.items))
        return tuple(children)

    def _item(self, source: Mapping[str, Any], link: str, *, parent: str | None, path: str) -> Item:
        low, high = _occurs(source)
        order = len(self.items)
        return Item(
            link_id=link,
            text=ext.text(source.get("text")),
            type=ext.text(source.get("type")),
            parent=parent,
            order=order,
            end=order + 1,
            path=path,
            required=source.get("required") is True,
            repeats=source.get("repeats") is True,
            read_only=source.get("readOnly") is True,
            low=low,
            high=high,
            options=options_of(source, self.value_sets, self.contained),
            limits=limits_of(source, self.value_sets, self.contained),
            conditions=_conditions(source),
            any_condition=source.get("enableBehavior") == "any",
            enable_expression=_expression(source, ext.ENABLE_WHEN_EXPRESSION),
            codes=_codes(source),
            initial=_initial(source),
            translations=_translations(source),
            source=source,
        )


def _occurs(source: Mapping[str, Any]) -> tuple[int, int | None]:
    low = _count(ext.value(source, ext.MIN_OCCURS))
    high = _count(ext.value(source, ext.MAX_OCCURS))
    if source.get("repeats") is not True:
        high = 1
    return max(low or 0, 1 if source.get("required") is True else 0), high


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _conditions(source: Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions that can be evaluated; the lint names the others."""
    found = []
    for one in ext.mappings(source.get("enableWhen")):
        question, operator, expected = (
            ext.text(one.get("question")),
            one.get("operator"),
            answer_in(one, "answer"),
        )
        if expected is not None and question and operator in OPERATORS:
            found.append(Condition(question, operator, expected[1]))
    return tuple(found)


def _expression(source: Mapping[str, Any], url: str) -> str:
    found = ext.value(source, url)
    return ext.text(found.get("expression")) if isinstance(found, Mapping) else ""


def _codes(source: Mapping[str, Any]) -> tuple[Coding, ...]:
    return tuple(
        Coding(ext.text(code.get("system")), ext.text(code.get("code")))
        for code in ext.mappings(source.get("code"))
    )


def _initial(source: Mapping[str, Any]) -> tuple[Answer, ...]:
    selected = (one for one in ext.mappings(source.get("answerOption")) if one.get("initialSelected") is True)
    found = (answer_in(one, "value") for one in (*ext.mappings(source.get("initial")), *selected))
    return tuple(one[1] for one in found if one is not None)


def _translations(source: Mapping[str, Any]) -> frozenset[str]:
    beside = source.get("_text")
    extensions = ext.extensions(beside, ext.TRANSLATION) if isinstance(beside, Mapping) else ()
    return frozenset(ext.text(ext.value(extension, "content")) for extension in extensions)
