"""Guidance as bytes: it is compiled when it is checked, and each start takes it as it is.

The bytes are plain data: names of classes, constants, and rows. A row is a class and what a value of it is
made of, by the places of constants and of earlier rows. So what is read can name nothing but values of this
room and of the ground floor, none of which does more than hold what it is given. Whose files these are, and
whether they still stand for the mapping files, the caller must know.
"""

from __future__ import annotations

import marshal
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from service.datatypes.form import Form
from service.datatypes.values import replace
from service.guidance.loading import Guidance
from service.guidance.messages import Messages

_ROOMS: Final = ("service.datatypes.", "service.guidance.")
_CONSTANTS: Final = {str, int, bool, type(None)}
_NO_FORM: Final = Form("", {})
_FAULTS: Final = (
    *(EOFError, TypeError, ValueError, LookupError, AttributeError),
    *(ArithmeticError, RecursionError, MemoryError),
)
"""What reading bytes, or making values of what they say, may raise."""

Make = Callable[[list[Any]], Any]
"""Takes what a value is made of."""


class PreparedGuidance(NamedTuple):
    """A guidance without its worked cases, and its texts in other languages."""

    guidance: Guidance
    messages: tuple[Messages, ...]


class Prepared(NamedTuple):
    """What was compiled of everything that is served from two folders.

    Args:
        guidances: by the name of the mapping folder; their forms are still to be put in.
        trees: the syntax trees of the expressions of the questionnaires, as `fhirpath_syntax.py` knows them.
    """

    guidances: Mapping[str, PreparedGuidance]
    trees: Mapping[str, Any]


NOTHING: Final = Prepared({}, {})


def packed(guidances: Iterable[PreparedGuidance], trees: Mapping[str, Any]) -> bytes:
    """Returns guidances as bytes, with neither their worked cases nor their forms, and syntax trees."""
    slim: dict[str, PreparedGuidance] = {}
    for guidance, told in guidances:
        written = replace(guidance.written, cases=())
        bare = replace(guidance, written=written, cases=(), form=_NO_FORM)
        slim[written.identity.slug] = PreparedGuidance(bare, told)
    return _Rows().bytes_of(Prepared(slim, dict(trees)))


def unpacked(data: bytes) -> Prepared:
    """Returns what `packed` was given, as far as it is kept.

    Raises:
        ValueError: these are not such bytes, or they name anything but values.
    """
    try:
        names, constants, rows = marshal.loads(data)  # noqa: S302 - plain data, of which only values are made
        makers = [_maker(*name) for name in names]
        made: list[Any] = []
        for which, places in rows:
            made.append(makers[which]([constants[at] if at >= 0 else made[~at] for at in places]))
        found = made[-1]
    except _FAULTS as fault:
        raise ValueError("not a prepared guidance") from fault
    if not isinstance(found, Prepared):
        raise ValueError("not a prepared guidance")  # noqa: TRY004 - of the bytes
    return found


def _maker(module: str, name: str) -> Make:
    """Returns what makes the values of a class of these names; raises ValueError if it is none of values."""
    for plain, (make, _) in _PLAIN.items():
        if (plain.__module__, plain.__name__) == (module, name):
            return make
    kind: Any = getattr(sys.modules.get(module), name, None) if module.startswith(_ROOMS) else None
    if not isinstance(kind, type) or kind.__module__ != module:
        raise ValueError("expected values only")
    if issubclass(kind, dict):
        return lambda parts: _filled(kind, parts)
    if issubclass(kind, tuple):
        return kind._make  # type: ignore[attr-defined,no-any-return] # every other kind of tuple has names
    if issubclass(kind, msgspec.Struct | Enum) or is_dataclass(kind):
        return lambda parts: kind(*parts)
    raise ValueError("expected values only")


def _parts(value: Any) -> Iterable[Any]:
    """Returns what a value is made of, as its maker takes it."""
    kind = type(value)
    if kind in _PLAIN:
        return _PLAIN[kind][1](value)
    if isinstance(value, Enum):
        return (value.value,)
    if isinstance(value, tuple):
        return value
    if isinstance(value, dict):
        return (dict(value), *(getattr(value, name) for name in _slots(kind)))
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value) if field.init]
    return [getattr(value, name) for name in value.__struct_fields__]


def _filled(kind: type[dict[Any, Any]], parts: list[Any]) -> Any:
    """Returns a mapping of a kind of its own: what it holds, then its attributes."""
    made = kind.__new__(kind)
    dict.update(made, parts[0])
    for name, value in zip(_slots(kind), parts[1:], strict=True):
        setattr(made, name, value)
    return made


def _slots(kind: type) -> list[str]:
    return [name for each in kind.__mro__ for name in each.__dict__.get("__slots__", ())]


_PLAIN: Final[Mapping[type, tuple[Make, Callable[[Any], Iterable[Any]]]]] = {
    tuple: (tuple, iter),
    list: (list, iter),
    set: (set, iter),
    frozenset: (frozenset, iter),
    dict: (
        lambda parts: dict(zip(parts[::2], parts[1::2], strict=True)),
        lambda held: chain.from_iterable(held.items()),
    ),
    MappingProxyType: (lambda parts: MappingProxyType(*parts), lambda shown: (dict(shown),)),
    Decimal: (lambda parts: Decimal(*parts), lambda number: (str(number),)),
    Fraction: (lambda parts: Fraction(*parts), lambda number: (number.numerator, number.denominator)),
}
"""Python's own kinds of values: what makes one of its parts, and these."""


class _Rows:
    """Writes a value down: what it is made of first."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], int] = {}
        self._constants: list[Any] = []
        self._rows: list[tuple[int, tuple[int, ...]]] = []
        self._places: dict[object, int] = {}
        self._seen: list[Any] = []  # so that no other value takes the identity of one

    def bytes_of(self, value: Any) -> bytes:
        """Returns a value in bytes."""
        self._place(value)
        return marshal.dumps((tuple(self._names), self._constants, self._rows))

    def _place(self, value: Any) -> int:
        """Returns where a value stands: from 0 on among constants, from -1 backwards among rows."""
        kind = type(value)
        key = (kind, value) if kind in _CONSTANTS else id(value)
        if key not in self._places:
            self._seen.append(value)
            if kind in _CONSTANTS or _is_plain(value):
                self._constants.append(value)
                self._places[key] = len(self._constants) - 1
            else:
                name = self._names.setdefault((kind.__module__, kind.__name__), len(self._names))
                self._rows.append((name, tuple(map(self._place, _parts(value)))))
                self._places[key] = -len(self._rows)
        return self._places[key]


def _is_plain(value: Any) -> bool:
    """Returns whether a value holds constants only, however deep."""
    kind = type(value)
    if kind is dict:
        return all(map(_is_plain, chain.from_iterable(value.items())))
    return kind in _CONSTANTS or (kind in (tuple, list, frozenset) and all(map(_is_plain, value)))
