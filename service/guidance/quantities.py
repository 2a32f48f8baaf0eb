"""What is read beside the answers as they stand: derived quantities, the chart, and earlier responses.

A date is read as the days before the response was written; other quantities follow from that. What
a value from the chart says is brought into the units that the guidance compares with. Here is how an author
writes them, and what is wrong with that.

Source: guidance/clinical-decisions.md, sections 1 (dates are reckoned from `authored`) and 3 (chart values,
earlier responses).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any

from marshmallow import ValidationError, validates_schema

from service.datatypes.form import Form, Question
from service.datatypes.ucum import Conversion, comparable, unit
from service.guidance.conditions import Place
from service.guidance.faults import Fault, not_in_the_questionnaire, unknown
from service.guidance.fields import (
    Anything,
    ByName,
    CodingShape,
    Factor,
    ListOf,
    Name,
    Part,
    Shape,
    Text,
    Word,
)
from service.guidance.model import ChartEntry, Derived, EarlierEntry, Written
from service.guidance.options import DATES, DAY, NUMBERS, codings_of, units_of

# How they are written in guidance.yaml.


class DerivedShape(Shape):
    """A quantity that follows from answers."""

    days_before_authored = Word(load_default="", data_key="days-before-authored")
    difference = ListOf(Word(), load_default=())

    @validates_schema
    def _has_one_form(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data["days_before_authored"] == "") == (data["difference"] == ()):
            expected = "expected either days-before-authored: a date, or difference: [first, second]"
            raise ValidationError(expected)
        if data["difference"] and len(data["difference"]) != 2:
            raise ValidationError("expected the first and the second quantity", "difference")

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        date = data["days_before_authored"]
        if date:
            return {"word": "days-before-authored", "of": (date,)}
        return {"word": "difference", "of": data["difference"]}


class ConversionShape(Shape):
    """A factor between two units, for one analyte; `source` says where it is from, for the reader."""

    makes = Conversion

    begins = Text(required=True, data_key="from")
    ends = Text(required=True, data_key="to")
    factor = Factor(required=True)
    source = Text(required=True)

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"source": data["begins"], "target": data["ends"], "factor": data["factor"]}


class ChartShape(Shape):
    """How a value from the chart answers a question."""

    makes = ChartEntry

    date = Word(load_default="")
    conversions = Part(ConversionShape, many=True, load_default=())
    other_codes = Part(CodingShape, many=True, load_default=(), data_key="other-codes")


# What is wrong with them.

Faults = Iterator[tuple[str, Place, str]]


def questions_of(written: Written, form: Form) -> Mapping[str, Question]:
    """Returns all questions that conditions can read, derived quantities among them."""
    derived = {
        name: Question(name, name, "quantity", (), len(form.questions) + place, units=(DAY,))
        for place, name in enumerate(written.derived)
    }
    return {**derived, **form.questions}


def sources_of(name: str, written: Written) -> tuple[str, ...]:
    """Returns the linkIds of the questions that a derived quantity follows from; of a question, its own."""
    derived = written.derived.get(name)
    if derived is None:
        return (name,)
    return tuple(dict.fromkeys(link for part in derived.of for link in sources_of(part, written)))


def quantity_faults(written: Written, form: Form, read: Collection[str]) -> Faults:
    """Yields the faults of derived quantities, and of entries of the chart.

    Args:
        written: what the mapping files say.
        form: the questionnaire.
        read: every linkId and name of a derived quantity that a condition reads.
    """
    known = set(form.questions)
    for derived in written.derived.values():
        place = ("derived", derived.name)
        for keys, expected in _derived_faults(derived, form, known):
            yield "guidance.yaml", (*place, *keys), expected
        used = any(derived.name in other.of for other in written.derived.values())
        if derived.name not in read and not used:
            yield "guidance.yaml", place, "nothing reads it; expected a use, or to be left out"
        known.add(derived.name)
    for link_id, entry in written.chart.items():
        for keys, expected in _chart_faults(link_id, entry, form):
            yield "guidance.yaml", ("chart", link_id, *keys), expected


def _derived_faults(derived: Derived, form: Form, known: Collection[str]) -> Iterator[tuple[Place, str]]:
    if derived.name in form.questions:
        yield (), "expected a name that is no linkId of the questionnaire"
    for index, name in enumerate(derived.of):
        place = (derived.word, index) if derived.word == "difference" else (derived.word,)
        if name not in known:
            expected = "expected the linkId of a question, or a derived quantity that stands before"
            yield place, f"{expected}; {name} is neither"
        elif derived.word != "difference" and (
            name not in form.questions or form.questions[name].type not in DATES
        ):
            yield place, "expected the linkId of a question for a date"
        elif name in form.questions and not _is_time(form.questions[name]):
            yield place, f"expected a question for a date, or for a quantity in units comparable with {DAY}"


def _is_time(question: Question) -> bool:
    """Whether every answer of a question can be counted in days."""
    if question.type in DATES:
        return True
    is_measured = question.type in NUMBERS and bool(question.units)
    return is_measured and all(comparable(code, DAY) for code in question.units)


def _chart_faults(link_id: str, entry: ChartEntry, form: Form) -> Iterator[tuple[Place, str]]:
    question = form.questions.get(link_id)
    if question is None:
        yield (), f"expected the linkId of a question; {link_id} is not in the questionnaire"
        return
    if entry.date and (entry.date not in form.questions or form.questions[entry.date].type not in DATES):
        yield ("date",), "expected the linkId of a question for a date"
    if entry.conversions and question.type not in NUMBERS:
        yield ("conversions",), f"expected a question for a number; this one is of type {question.type}"
    for index, conversion in enumerate(entry.conversions):
        for key, expected in _conversion_faults(conversion, units_of(question)):
            yield ("conversions", index, key), expected
    for before, after in pairwise(sorted(conversion.source for conversion in entry.conversions)):
        if before == after:
            yield ("conversions",), f"expected one conversion from {before}"
    asked = {code for other in form.questions.values() for code in other.codes}
    for index, code in enumerate(entry.other_codes):
        if code in asked:
            yield ("other-codes", index), "expected a code that no question has"


def _conversion_faults(conversion: Conversion, units: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key, code in (("from", conversion.source), ("to", conversion.target)):
        if unit(code) is None:
            yield key, f"expected a UCUM unit; {code} is not known"
    if comparable(conversion.source, conversion.target):
        yield "from", f"expected a unit that UCUM does not convert to {conversion.target}"
    if units and not any(comparable(conversion.target, code) for code in units):
        yield "to", f"expected a unit comparable with one of the question's: {', '.join(units)}"


# Earlier responses: which of their answers say nothing, and how a worked case writes them.
#
# What counts as new is a condition (`new-since-earlier`): it holds now, and an earlier response denied it. An
# answer such as "not done" denies nothing, nor does what it hides.


class EarlierShape(Shape):
    """How earlier responses are read."""

    not_known = ByName(keys=Word(), values=ListOf(Word()), required=True, data_key="not-known")


class EarlierCaseShape(Shape):
    """What the person of a case had answered before."""

    makes = EarlierEntry

    authored = Text(required=True)
    like = Name(load_default="")
    answers = ByName(keys=Word(), values=Anything(allow_none=True), load_default=dict)


def not_known_faults(written: Written, form: Form) -> Iterator[Fault]:
    """Yields questions and answers that do not exist, among those by which nothing was found out."""
    for link, words in written.not_known.items():
        question, place = form.questions.get(link), ("earlier", "not-known", link)
        if question is None:
            yield "guidance.yaml", place, not_in_the_questionnaire(link)
            continue
        codes = [option.coding.code for option in question.options]
        for index, word in enumerate(words):
            if not codings_of(question, word, written.words):
                yield "guidance.yaml", (*place, index), unknown(word, codes)
