"""What FHIRPath says of two values: whether they are equal, which comes first, and what is some time later.

The library compares the first values of two lists, dates as texts, and few units. Here lists are compared
whole, dates and times by the moments that they mean, and quantities in any unit of UCUM.

Source: FHIRPath N1, http://hl7.org/fhirpath/N1, sections 6.1, 6.2 and 6.7. Where N1 has an empty result
because units or precision do not tell, NotComparable is raised: what is empty counts as no in a condition.
"""

from __future__ import annotations

import json
import re
from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Any, Final, NamedTuple, NoReturn

from service.datatypes.ucum import converted
from service.fhir.dates import compare, compare_times, is_time, sign, time_range

_WIDEST_ZONES: Final = 26 * 3600 * 1_000_000
"""How far a time without a zone may be from one with a zone, in microseconds: from -12:00 to +14:00."""

_ZONE: Final = re.compile(r"(Z|[+-][0-9]{2}:[0-9]{2})?$")
_CLOCK: Final = re.compile(r"T?([01][0-9]|2[0-3])(:[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?)?")
_TO_THE_SECOND: Final = len("10:30:00")
_CALENDAR: Final = frozenset({"a", "mo"})
"""Units of which nobody knows how many days they have."""


class NotComparable(Exception):
    """Two values cannot be compared; the message says why."""


class Moment(str):
    """A date, dateTime or time as it is written."""

    __slots__ = ()


class Amount(NamedTuple):
    """A quantity.

    Args:
        unit: its code in UCUM, else what it is called.
        is_calendar: a year or month of the calendar.
        written: as it is written in an expression.
    """

    value: Decimal | int
    unit: str
    is_calendar: bool = False
    written: str = ""


Values = Sequence[Any]


def _is_same(left: Values, right: Values) -> bool:
    """Returns whether two lists have the same values in the same order."""
    return len(left) == len(right) and all(map(_equal, left, right))


def _is_equivalent(left: Values, right: Values, alike: Callable[[Values, Values], Values]) -> bool:
    """Returns whether two lists have the same values in any order.

    Args:
        alike: says [True] if the values of two lists of one are equivalent.
    """
    rest = list(right)
    for value in left:
        found = next((other for other in rest if alike([value], [other]) == [True]), None)
        if found is None:
            return False
        rest.remove(found)
    return not rest


def _is_in(wanted: Values, values: Values) -> bool | list[Any]:
    """Returns whether a value is one of a list."""
    if len(wanted) != 1:
        return [] if not wanted else _several()
    doubt = None
    for value in values:
        try:
            if _equal(wanted[0], value):
                return True
        except NotComparable as fault:
            doubt = fault
    if doubt is not None:
        raise doubt
    return False


def _several() -> NoReturn:
    raise NotComparable("there are several values where one is expected")


def _order(left: Values, right: Values) -> int:
    """Returns -1, 0 or 1 as a value is less than, equal to or greater than another."""
    if len(left) != 1 or len(right) != 1:
        _several()
    return _order_of(*_alike(left[0], right[0]))


_COMPARISONS: Final[Mapping[str, Callable[[Values, Values], bool | list[Any]]]] = {
    "=": _is_same,
    "!=": lambda left, right: not _is_same(left, right),
    "<": lambda left, right: _order(left, right) < 0,
    ">": lambda left, right: _order(left, right) > 0,
    "<=": lambda left, right: _order(left, right) <= 0,
    ">=": lambda left, right: _order(left, right) >= 0,
    "inOp": _is_in,
    "containsOp": lambda left, right: _is_in(right, left),
}
"""What compares two lists, by the name that the library has for it."""


def _order_of(a: Any, b: Any) -> int:
    if isinstance(a, Moment) and isinstance(b, Moment):
        return _order_of_moments(a, b)
    if isinstance(a, Amount) and isinstance(b, Amount):
        return _order_of_amounts(a, b)
    if (_is_number(a) and _is_number(b)) or (type(a) is type(b) is str):
        return sign(a, b)
    raise NotComparable("values of their types have no order")


def _equal(one: Any, other: Any) -> bool:
    a, b = _alike(one, other)
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    if isinstance(a, Moment) and isinstance(b, Moment):
        return _is_clock(a) == _is_clock(b) and _order_of_moments(a, b) == 0
    if isinstance(a, Amount) and isinstance(b, Amount):
        return _order_of_amounts(a, b) == 0
    return bool(a == b)


def _alike(one: Any, other: Any) -> tuple[Any, Any]:
    """Returns two values of one type: a text beside a moment is one, and a number is a quantity of 1."""
    return _like(one, other), _like(other, one)


def _like(value: Any, other: Any) -> Any:
    if isinstance(other, Moment) and type(value) is str:
        return Moment(value)
    return Amount(value, "1") if isinstance(other, Amount) and _is_number(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


# Moments.


def _is_clock(moment: str) -> bool:
    return moment[2:3] == ":" or len(moment) == len("10")


def _order_of_moments(a: str, b: str) -> int:
    if _is_clock(a) != _is_clock(b):
        raise NotComparable("a date has no order with a time")
    found = _order_of_clocks(a, b) if _is_clock(a) else _order_of_dates(a, b)
    if found is None:
        raise NotComparable("the precision of two dates or times does not tell which is first")
    return found


def _order_of_clocks(a: str, b: str) -> int | None:
    if is_time(a) and is_time(b):
        return compare_times(a, b)
    digits = min(len(a), len(b), _TO_THE_SECOND)
    return sign(a[:digits], b[:digits]) or (0 if len(a) == len(b) else None)


def _order_of_dates(a: str, b: str) -> int | None:
    if "T" not in a or "T" not in b:
        return compare(a, b)
    ours, theirs = time_range(a), time_range(b)
    if ours is None or theirs is None:  # to the hour: FHIR has no such
        return None
    slack = _WIDEST_ZONES if bool(_zone(a)) != bool(_zone(b)) else 0
    if ours[1] + slack < theirs[0] or theirs[1] + slack < ours[0]:
        return sign(ours, theirs)
    if slack:
        return None
    return compare(a, b) if _has_seconds(a) and _has_seconds(b) else 0 if ours == theirs else None


def _zone(moment: str) -> str:
    found = _ZONE.search(moment)
    return found[0] if found else ""


def _has_seconds(moment: str) -> bool:
    return len(moment.partition("T")[2].removesuffix(_zone(moment))) >= _TO_THE_SECOND


_STEPS: Final = {
    "wk": "weeks",
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
}


def _moved(moment: Moment, by: Amount, sign: int) -> Moment:
    """Returns a date with a time some time later, in its own zone.

    Of units that are longer than a second only whole ones count. `sign` is -1 for earlier.
    """
    start = datetime.fromisoformat(moment)
    number = sign * (by.value if by.unit in ("s", "ms") else int(by.value))
    if by.is_calendar:
        end = _months_later(start, int(number) * (12 if by.unit == "a" else 1))
    elif by.unit in _STEPS:
        end = start + timedelta(**{_STEPS[by.unit]: float(number)})
    else:
        raise NotComparable("a quantity that is added to a date is no time")
    is_exact = "." in moment or end.microsecond
    written = end.isoformat(timespec="milliseconds" if is_exact else "seconds")
    return Moment(written.replace("+00:00", "Z") if moment.endswith("Z") else written)


def _months_later(start: datetime, months: int) -> datetime:
    years, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    last = monthrange(years, month + 1)[1]
    return start.replace(year=years, month=month + 1, day=min(start.day, last))


# Quantities and numbers.


def _order_of_amounts(a: Amount, b: Amount) -> int:
    if a.unit != b.unit and (a.is_calendar or b.is_calendar) and not {a.unit, b.unit} <= _CALENDAR:
        raise NotComparable("months and years have no number of days")
    value = converted(a.value, a.unit, b.unit)
    if value is None:
        raise NotComparable("the units of two quantities cannot be compared")
    return sign(value, b.value)


# Conversions.

_TRUTHS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}


def _rounded(values: Values, places: Any = 0) -> list[Decimal]:
    """Returns a number with so many decimal places; a half is rounded away from zero."""
    if not all(map(_is_number, values)):
        raise NotComparable("what is rounded is no number")
    return [Decimal(number).quantize(Decimal(1).scaleb(-int(places)), ROUND_HALF_UP) for number in values[:1]]


def _texts(values: Values) -> list[str]:
    """Returns the text of a single value."""
    if len(values) != 1 or isinstance(values[0], Mapping):
        return []
    value = values[0]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, Amount):
        return [value.written or f"{value.value} '{value.unit}'"]
    return [format(value, "f") if isinstance(value, Decimal) else str(value)]


def _truth(values: Values) -> list[bool]:
    return [_TRUTHS[text.lower()] for text in _texts(values) if text.lower() in _TRUTHS]


def _dates(values: Values, digits: int | None = None) -> list[Moment]:
    return [Moment(text[:digits]) for text in _texts(values) if time_range(text) is not None]


def _times(values: Values) -> list[Moment]:
    return [Moment(text.removeprefix("T")) for text in _texts(values) if _CLOCK.fullmatch(text)]


_CONVERSIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "round": _rounded,
    "toString": _texts,
    "toBoolean": _truth,
    "convertsToBoolean": lambda values: [bool(_truth(values))] if len(values) == 1 else [],
    "toDate": lambda values: _dates(values, len("YYYY-MM-DD")),
    "toDateTime": _dates,
    "toTime": _times,
}
"""What makes another value of a list of one, by name."""


_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_CONTROLS: Final = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"}
_THEMSELVES: Final = frozenset("'\"`\\/")


def unescaped(literal: str) -> str:
    """Returns the text of a literal, which stands in quotes; what is no escape of FHIRPath stays as it is.

    Source: FHIRPath N1, section 4.1.2, String.
    """
    return (
        _ESCAPED.sub(_character, literal[1:-1]).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def _character(found: re.Match[str]) -> str:
    code, letter = found.groups()
    if code is not None:
        return chr(int(code, 16))
    return letter if letter in _THEMSELVES else _CONTROLS.get(letter, found[0])


# The library: it hands over nodes, and takes these functions before its own.

_UCUM: Final = "http://unitsofmeasure.org"
_DATED: Final = frozenset({"date", "dateTime", "instant", "time"})
_MEASURED: Final = frozenset({"Quantity", "SimpleQuantity", "Age", "Count", "Distance", "Duration"})


def functions_of_values(engine: Any) -> dict[str, dict[str, Any]]:
    """Returns the table of functions and operators that the library takes before its own.

    Args:
        engine: the parts of the library that are used.
    """
    plain = partial(_plain, engine)
    own: dict[str, Callable[..., Any]] = {
        **{name: _compared(function, plain) for name, function in _COMPARISONS.items()},
        **{name: _converted(function, plain) for name, function in _CONVERSIONS.items()},
        "+": _moving(engine.functions["+"]["fn"], 1, plain),
        "-": _moving(engine.functions["-"]["fn"], -1, plain),
        "~": lambda context, a, b: _is_equivalent(a, b, partial(engine.functions["~"]["fn"], context)),
        "!~": lambda context, a, b: not _is_equivalent(a, b, partial(engine.functions["~"]["fn"], context)),
    }
    distinct = partial(_distinct, plain)
    own |= {
        "|": lambda _, a, b: distinct(a + b),
        "union": lambda _, a, b: distinct(a + b),
        "distinct": lambda _, nodes: distinct(nodes),
        "isDistinct": lambda _, nodes: len(distinct(nodes)) == len(nodes),
    }
    table = {
        name: {"arity": {0: []}, **engine.functions[name], "fn": function} for name, function in own.items()
    }
    table["round"]["arity"] = {0: [], 1: ["Integer"]}
    return table


_ToValue = Callable[[Any], Any]


def _compared(compare: Callable[[Values, Values], Any], plain: _ToValue) -> Callable[..., Any]:
    return lambda _, left, right: compare(list(map(plain, left)), list(map(plain, right)))


def _converted(convert: Callable[..., Any], plain: _ToValue) -> Callable[..., Any]:
    return lambda _, inputs, *arguments: convert(without_siblings(list(map(plain, inputs))), *arguments)


def _moving(library: Callable[..., Any], sign: int, plain: _ToValue) -> Callable[..., Any]:
    """Returns what adds or subtracts as the library does, but for what is added to a date with a time."""

    def move(context: Any, left: list[Any], right: list[Any]) -> Any:
        moment, by = (plain(nodes[0]) if len(nodes) == 1 else None for nodes in (left, right))
        if not isinstance(moment, Moment) or not isinstance(by, Amount):
            return library(context, left, right)
        return _moved(moment, by, sign) if "T" in moment else Moment(library(context, left, right))

    return move


def _distinct(plain: _ToValue, nodes: list[Any]) -> list[Any]:
    """Returns nodes, each value once; the library forgets of what type they are."""
    found: dict[tuple[type, str], Any] = {}
    for node in nodes:
        value = plain(node)
        number = format(Decimal(value).normalize(), "f") if _is_number(value) else ""
        written = number or json.dumps(value, sort_keys=True, default=str)
        found.setdefault((Decimal if number else type(value), written), node)
    return list(found.values())


def _plain(engine: Any, node: Any) -> Any:
    """Returns a value without what the library has around it."""
    value, path = engine.get_data(node), getattr(node, "path", None)
    if isinstance(value, engine.moment):
        return Moment(value.asStr)
    if isinstance(value, engine.quantity):
        code = engine.quantity.timeUnitsToUCUM.get(value.unit, value.unit) or "1"
        is_calendar = code != value.unit and code in ("'a'", "'mo'")
        return Amount(value.value, code.strip("'"), is_calendar, value.asStr)
    if isinstance(value, str) and path in _DATED:
        return Moment(value)
    if isinstance(value, Mapping) and path in _MEASURED and "value" in value:
        system, code = value.get("system", ""), value.get("code", value.get("unit", ""))
        return Amount(value["value"], code if system == _UCUM else f"{system}|{code}")
    return value


def is_beside_value(value: Any) -> bool:
    """Returns whether this is the id and the extensions of a primitive, which the library counts too."""
    return isinstance(value, Mapping) and value.keys() <= {"id", "extension"}


def without_siblings(values: list[Any]) -> list[Any]:
    """Returns values without what stands beside them; all where nothing else is there."""
    return [value for value in values if not is_beside_value(value)] or values
