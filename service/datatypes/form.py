"""What a guidance must know of a questionnaire: its questions, their order and their options."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from service.datatypes.answers import Coding
from service.datatypes.spelling import folded


class Option(msgspec.Struct, frozen=True):
    """One permitted answer.

    Args:
        weight: its itemWeight (or the older ordinalValue), if it has one.
        translations: its display in other languages.
    """

    coding: Coding
    display: str
    weight: Decimal | None = None
    translations: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """What it is called, in every language; case and blanks do not count."""
        return frozenset(map(folded, filter(None, (self.display, *self.translations))))


class Question(msgspec.Struct, frozen=True):
    """One item of the questionnaire that can be answered.

    Args:
        link_id: the item's linkId.
        text: the question as the person reads it.
        type: FHIR item type: choice, open-choice, integer, decimal, quantity, boolean, date, string ...
        options: permitted codings, in order; empty for types without options.
        order: position in the questionnaire, from 0; groups and display items count too.
        codes: item.code, used to match chart values (LOINC).
        units: UCUM codes that a quantity may use, or of the unit that a plain number is in; empty when the
            item does not say.
        repeats: whether several answers are allowed, or it is asked several times.
        is_asked_again: it stands below a group or question that repeats.
        enabled_by: linkIds of the questions whose answers decide whether this one is asked (its own
            enableWhen and those of its parents); empty when it is always asked.
        numbers: whole numbers that are options (valueInteger), each with its weight, if it has one.
        short: the question in few words, where the form has them; else empty.
    """

    link_id: str
    text: str
    type: str
    options: tuple[Option, ...]
    order: int
    codes: tuple[Coding, ...] = ()
    units: tuple[str, ...] = ()
    repeats: bool = False
    enabled_by: tuple[str, ...] = ()
    numbers: tuple[tuple[int, Decimal | None], ...] = ()
    short: str = ""
    is_asked_again: bool = False


class Form(msgspec.Struct, frozen=True):
    """A questionnaire as the guidance sees it.

    Args:
        canonical: `url|version`.
        questions: every answerable item by linkId, in order.
    """

    canonical: str
    questions: Mapping[str, Question]
