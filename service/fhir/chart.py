"""Chart data: Observations as answers, where the person was not asked or did not answer.

An Observation, or a component of one, answers every question that has its code, where its value fits the
type of the question. A number is brought into the unit of its question, exactly; a quantity with a
comparator is a range. What cannot be used is left out and named, and its question stays unknown: no
chart value is the same as not asked.

Source: FHIR R4 Observation (value[x], component, dataAbsentReason, status); Quantity.comparator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

from service.datatypes.answers import UNREAD, Answer, Coding, Quantity
from service.datatypes.form import Form, Question
from service.datatypes.ucum import SYSTEM, Unit, comparable, converted, unit
from service.errors import Problem
from service.fhir.dates import is_date, time_range
from service.fhir.extensions import mappings
from service.fhir.json import Json
from service.fhir.parameters import AssessInput
from service.fhir.primitives import INTEGERS
from service.fhir.response_context import portable_identifier
from service.fhir.shapes import has_value
from service.fhir.structure import check_structure

_USED = frozenset({"final", "amended", "corrected"})
_VOID = frozenset({"entered-in-error", "cancelled"})
_LONG_AGO: Final = -(2**63)
_PLAIN: Final = "1"
"""The unit of a plain number in UCUM."""


@dataclass(frozen=True, slots=True)
class ChartValues:
    """Values from the chart.

    Args:
        answers: by linkId: the newest; beside UNREAD where there is a newer one that cannot be used.
        sources: Reference to the Observation of each, by linkId.
        unusable: linkIds for which the chart has something that is no usable value: unknown, not absent.
        problems: errors (another patient, not R4), ranges and, as information, what was left out and why.
    """

    answers: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    sources: Mapping[str, Json] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    unusable: frozenset[str] = frozenset()

    @property
    def basis(self) -> tuple[Json, ...]:
        """References to the Observations, each once, in form order."""
        return tuple({id(source): source for source in self.sources.values()}.values())


class _Measurement(NamedTuple):
    """An Observation, or a component with what the Observation around it says.

    Args:
        element: has the code and the value.
        when, key: order several of the same code, whatever their order was.
        source: Reference to the Observation.
    """

    at: str
    element: Json
    status: str
    when: int
    key: tuple[str, ...]
    source: Json


class _Reading(NamedTuple):
    """What a measurement says to one question; `at`: the measurement."""

    at: str
    when: int
    key: tuple[str, ...]
    answers: tuple[Answer, ...]
    source: Json


class _NotUsable(Exception):
    """A measurement says nothing to a question; the text says why, without its value."""


def chart_values(sent: AssessInput, form: Form) -> ChartValues:
    """Returns the newest usable value for each question that the code of an Observation names.

    Args:
        sent: the response, which tells whose chart it must be, and the Observations.
        form: questions are matched by their codes; values must fit their types and units.
    """
    if not sent.data:
        return ChartValues()
    collected = _Collected(form)
    for measurement in _measurements(sent, collected.problems):
        collected.add(measurement)
    return collected.values()


class _Collected:
    """What the measurements say, by linkId, and what they cannot say."""

    def __init__(self, form: Form) -> None:
        self.problems: list[Problem] = []
        self._asked: dict[Coding, list[Question]] = {}
        self._newest: dict[str, _Reading] = {}
        self._unusable: dict[str, int] = {}
        self._links = tuple(form.questions)
        for question in form.questions.values():
            for code in question.codes:
                self._asked.setdefault(code, []).append(question)

    def add(self, measurement: _Measurement) -> None:
        """Adds what a measurement says to every question that has its code."""
        asked = {
            question.link_id: question
            for code in _codings(measurement.element["code"])
            for question in self._asked.get(code, ())
        }
        reasons = {} if asked else {"no question has its code": None}
        if not asked and "component" in measurement.element and not has_value(measurement.element):
            return
        for link, question in asked.items():
            try:
                self._read(link, _reading(question, measurement))
            except _NotUsable as fault:
                reasons[str(fault)] = None
                if measurement.status not in _VOID:
                    self._unusable[link] = max(measurement.when, self._unusable.get(link, _LONG_AGO))
        self.problems += (_left_out(measurement.at, reason) for reason in reasons)

    def _read(self, link: str, reading: _Reading) -> None:
        known = self._newest.get(link)
        if known is None or (known.when, known.key) < (reading.when, reading.key):
            self._newest[link] = reading

    def values(self) -> ChartValues:
        """Returns the newest of each question, in form order."""
        newest = {link: self._newest[link] for link in self._links if link in self._newest}
        return ChartValues(
            {link: self._answers(link, reading) for link, reading in newest.items()},
            {link: reading.source for link, reading in newest.items()},
            (*self.problems, *_ranges(newest.values())),
            frozenset(self._unusable.keys() - newest.keys()),
        )

    def _answers(self, link: str, reading: _Reading) -> tuple[Answer, ...]:
        """Returns the answers of a reading; a newer value that cannot be used may deny what they deny not."""
        is_outdated = self._unusable.get(link, _LONG_AGO) > reading.when
        return (
            (*reading.answers, UNREAD) if is_outdated and UNREAD not in reading.answers else reading.answers
        )


def _ranges(readings: Iterable[_Reading]) -> Iterator[Problem]:
    """Yields a notice for each measurement that is read as a range, once."""
    text = "A value from the chart has a comparator; it is read as a range, never as the number alone."
    for at in dict.fromkeys(reading.at for reading in readings if _is_range(reading.answers[0])):
        yield Problem("answer-range", text, at, "warning")


def _is_range(answer: Answer) -> bool:
    return isinstance(answer, Quantity) and answer.comparator != ""


def _left_out(at: str, reason: str) -> Problem:
    return Problem("chart-ignored", f"A value from the chart was left out: {reason}.", at, "information")


# What was sent: Observations and their components, of the person whom the response is about.


def _measurements(sent: AssessInput, problems: list[Problem]) -> Iterator[_Measurement]:
    """Yields Observations, each with its components; adds the faults of those that are none."""
    subject = sent.response.get("subject")
    for observation in sent.data:
        faults = check_structure(observation.resource, "Observation", observation.at)
        problems += faults
        if any(fault.severity == "error" for fault in faults):
            continue
        if _is_another(observation.resource.get("subject"), subject):
            text = "subject: expected the subject of the response, named in the same way."
            problems.append(Problem("chart-subject", text, f"{observation.at}.subject"))
            continue
        yield from _parts(observation.resource, observation.at)


def _parts(observation: Json, at: str) -> Iterator[_Measurement]:
    whole = _Measurement(
        at,
        observation,
        observation["status"],
        _effective(observation),
        (str(observation.get("issued", "")), str(observation.get("id", at))),
        _source(observation),
    )
    yield whole
    for index, component in enumerate(mappings(observation.get("component"))):
        place = f"component[{index}]"
        yield whole._replace(at=f"{at}.{place}", element=component, key=(*whole.key, place))


def _codings(concept: Json) -> tuple[Coding, ...]:
    codings = mappings(concept.get("coding"))
    return tuple(Coding(coding.get("system", ""), coding.get("code", "")) for coding in codings)


def _source(observation: Json) -> Json:
    if "id" in observation:
        return {"reference": f"Observation/{observation['id']}"}
    for identifier in observation.get("identifier", ()):
        kept = portable_identifier(identifier)
        if kept is not None:
            return {"type": "Observation", "identifier": kept}
    return {"type": "Observation", "display": "An observation sent with the response, without id"}


def _effective(observation: Json) -> int:
    """Returns the first microsecond at which the observation can have been made."""
    period = observation.get("effectivePeriod", {})
    stated = (
        observation.get("effectiveDateTime"),
        observation.get("effectiveInstant"),
        period.get("end"),
        period.get("start"),
        observation.get("issued"),
    )
    known = next((time_range(text) for text in stated if text is not None), None)
    return known[0] if known is not None else _LONG_AGO


# What a measurement says to a question, by the type of the question.


def _reading(question: Question, measurement: _Measurement) -> _Reading:
    """Returns what a measurement says to a question; raises _NotUsable."""
    element = measurement.element
    if measurement.status not in _USED:
        raise _NotUsable("its status is not final, amended or corrected")
    if "dataAbsentReason" in element:
        raise _NotUsable("it only says why its value is missing")
    read = _READERS.get(question.type)
    if read is None:
        raise _NotUsable("its question takes no value from the chart")
    answer = read(question, element)
    answers = (answer, UNREAD) if question.repeats else (answer,)
    return _Reading(measurement.at, measurement.when, measurement.key, answers, measurement.source)


def _quantity(question: Question, element: Json) -> Answer:
    measured = _measured(element)
    if question.units and not any(comparable(code, measured.unit) for code in question.units):
        raise _NotUsable("its unit cannot be converted to one of the question's")
    return measured


def _measured(element: Json) -> Quantity:
    quantity = element.get("valueQuantity")
    if quantity is None or "value" not in quantity:
        raise _NotUsable("it has no quantity")
    if quantity.get("system") != SYSTEM or "code" not in quantity:
        raise _NotUsable("its unit is not coded in UCUM")
    return Quantity(Decimal(quantity["value"]), quantity["code"], quantity.get("comparator", ""))


def _number(question: Question, element: Json) -> Answer:
    """Returns a number in the unit of the question; with a comparator a range of plain numbers."""
    if "valueInteger" in element:
        if question.units:
            raise _NotUsable("it has no unit, and its question has")
        return Decimal(element["valueInteger"])
    measured = _measured(element)
    number = _in_unit(measured, _unit_of(question, measured))
    return Quantity(number, _PLAIN, measured.comparator) if measured.comparator else number


def _unit_of(question: Question, measured: Quantity) -> str:
    """Returns the unit that the numbers of a question are in."""
    if len(question.units) > 1:
        raise _NotUsable("its question names several units for a number")
    if not question.units and unit(measured.unit) != Unit(Fraction(1), ()):
        raise _NotUsable("it has a unit, and its question names none")
    return question.units[0] if question.units else measured.unit


def _in_unit(measured: Quantity, target: str) -> Decimal:
    """Returns the value in another unit; one that has no end as a decimal is cut to 28 digits."""
    if measured.unit == target:
        return measured.value
    exact = converted(measured.value, measured.unit, target)
    if exact is None:
        raise _NotUsable("its unit cannot be converted to the question's")
    return Decimal(exact.numerator) / Decimal(exact.denominator)


def _whole_number(question: Question, element: Json) -> Answer:
    number = _number(question, element)
    if not isinstance(number, Decimal):
        return number
    if number != number.to_integral_value() or not INTEGERS.start <= number < INTEGERS.stop:
        raise _NotUsable("it is no whole number in the unit of its question")
    return int(number)


def _option(question: Question, element: Json) -> Answer:
    """Returns the one option that a CodeableConcept names by system and code."""
    codings = _codings(_value(element, "valueCodeableConcept"))
    found = [option.coding for option in question.options if option.coding in codings]
    if len(found) != 1:
        raise _NotUsable("its code is not one option of the question")
    return found[0]


def _date(_: Question, element: Json) -> Answer:
    text: str = _value(element, "valueDateTime")
    if not is_date(text):
        raise _NotUsable("its value is not of the type of the question")
    return text


def _plain(name: str) -> Callable[[Question, Json], Answer]:
    def read(_: Question, element: Json) -> Answer:
        value: Answer = _value(element, name)
        return value

    return read


def _value(element: Json, name: str) -> Any:
    if name not in element:
        raise _NotUsable("its value is not of the type of the question")
    return element[name]


_READERS: Final[Mapping[str, Callable[[Question, Json], Answer]]] = {
    "quantity": _quantity,
    "decimal": _number,
    "integer": _whole_number,
    "choice": _option,
    "open-choice": _option,
    "boolean": _plain("valueBoolean"),
    "date": _date,
    "dateTime": _plain("valueDateTime"),
    "time": _plain("valueTime"),
    "string": _plain("valueString"),
    "text": _plain("valueString"),
}
"""By type of question: reads the answer that an Observation or component is, or raises _NotUsable."""


# Whose chart it is.


def _is_another(subject: Json | None, expected: Json | None) -> bool:
    """Returns whether both name somebody and they are not provably the same."""
    if subject is None or expected is None:
        return False
    ours, theirs = subject.get("reference"), expected.get("reference")
    if ours is not None and theirs is not None:
        return not _is_same(ours, theirs)
    mine, yours = _identity(subject), _identity(expected)
    if mine is not None and yours is not None:
        return mine != yours
    return bool(
        {"reference", "identifier"} & subject.keys() and {"reference", "identifier"} & expected.keys()
    )


def _is_same(one: str, other: str) -> bool:
    """Returns whether references agree, versions aside; a relative one matches the end of an absolute one."""
    one, other = (reference.partition("/_history/")[0] for reference in (one, other))
    short, long = sorted((one, other), key=len)
    return long == short or (":" not in short and not short.startswith("#") and long.endswith(f"/{short}"))


def _identity(reference: Json) -> tuple[object, object] | None:
    identifier = reference.get("identifier")
    if identifier is None or "value" not in identifier:
        return None
    return identifier.get("system"), identifier["value"]
