"""Chart data: Observations as answers to questions that the person was not asked or did not answer.

An Observation, or a component of one, answers every question that has its code, where its value fits the
type of the question. A unit that UCUM does not bring to the question's is brought there by a factor of the
guidance, if it has one. What cannot be used is left out and named, and its question stays unknown: no
chart value is the same as not asked. So does what measured the same otherwise, by a code that the guidance
knows: in another specimen, or by another method.

Of several values the newest that can be used counts; of one moment all of them do. A newer one that does
not decide, or cannot be used, leaves unknown what the older one denies, and takes back nothing. A
preliminary value counts where it raises the result: it never reassures.

Source: FHIR R4 Observation (value[x], component, dataAbsentReason, status); Quantity.comparator;
guidance/clinical-decisions.md, section 3, Chart values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from service.datatypes.answers import UNREAD, Answer, AnswersByLink, Coding, Quantity
from service.datatypes.days import in_zone_of, is_late
from service.datatypes.form import Form, Question
from service.datatypes.spelling import folded
from service.datatypes.ucum import SYSTEM, Conversion, Unit, brought_to, convertible, names_another, unit
from service.errors import Problem, has_errors
from service.fhir.chart_doubts import (
    NEWEST,
    effective,
    has_reason_beside,
    in_versions,
    interpreted,
    is_altered,
    is_test,
    plain_system,
    taken,
)
from service.fhir.dates import Span, is_date
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.fhir.parameters import AssessInput, ResourceAt
from service.fhir.primitives import INTEGERS
from service.fhir.references import is_another
from service.fhir.response_context import distinct, portable_identifier, security_labels
from service.fhir.shapes import has_value
from service.fhir.structure import check_structure
from service.languages import why_left_out

USABLE: Final = frozenset({"final", "amended", "corrected"})
"""Statuses of an Observation whose value is there to stay."""
VOID: Final = frozenset({"entered-in-error", "cancelled"})
"""Statuses of an Observation that says nothing."""
_OF_OTHERS: Final = frozenset({"focus", "test"})
"""Why a value says nothing about the person, by the name of the reason."""
_PLAIN: Final = "1"
"""The unit of a plain number in UCUM."""
_DATE_DIGITS: Final = len("2026-11-28")


class ChartReader(Protocol):
    """What reading a chart must know of the guidance that the values are for."""

    def chart_date(self, link_id: str) -> str:
        """Returns the linkId of the question that takes the date of a value, or nothing."""

    def conversions(self, link_id: str) -> tuple[Conversion, ...]:
        """Returns the conversions between units for what a question asks for."""

    def other_codes(self, link_id: str) -> tuple[Coding, ...]:
        """Returns the codes of values of the same that were measured otherwise than a question asks for."""

    def reads(self, link_id: str) -> bool:
        """Whether anything is asked of a question."""

    def decides(self, link_id: str, answer: Answer) -> bool:
        """Whether an answer decides everything that is asked of the question."""

    def raises(self, link_id: str, answer: Answer) -> bool:
        """Whether an answer raises the result."""


class ChartValue(NamedTuple):
    """One value of the chart as it was sent, to be printed.

    Args:
        link_id: the question that it answers.
        value: with its comparator, such as `> 3.5`; empty where there is none to print.
        unit: as the Observation shows it.
        date: when it was measured, as the Observation says; empty where it does not.
        left_out: why it was not used, a name of `left-out` in languages/en.yaml; empty where it was.
    """

    link_id: str
    value: str
    unit: str
    date: str
    left_out: str


class ChartValues(msgspec.Struct, frozen=True):
    """Values from the chart.

    Args:
        answers: by linkId, those that count; beside UNREAD where there is a newer one that cannot be used.
            The dates of values stand at the questions that the guidance has for them.
        sources: References to the Observations, by linkId of the value's question.
        unusable: linkIds for which the chart has something that is no usable value: unknown, not absent.
        problems: errors (another patient, not R4), ranges and, as information, what was left out and why.
        printed: the values that count, and those that were left out, by question in form order.
        labels: security labels of the Observations that count.
        taken: when the values that count were measured, by linkId.
    """

    answers: AnswersByLink = msgspec.field(default_factory=dict)
    sources: Mapping[str, tuple[Json, ...]] = msgspec.field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    unusable: frozenset[str] = frozenset()
    printed: tuple[ChartValue, ...] = ()
    labels: tuple[Json, ...] = ()
    taken: Mapping[str, tuple[Span, ...]] = msgspec.field(default_factory=dict)

    @property
    def basis(self) -> tuple[Json, ...]:
        """References to the Observations, each once, in form order."""
        return tuple({id(source): source for found in self.sources.values() for source in found}.values())

    def beside(self, given: AnswersByLink, reader: ChartReader) -> AnswersByLink:
        """Returns the answers of the chart beside those of the response.

        Where a value is answered, that of the chart counts only if it is worse, and only then its date does.
        """
        answered = [link for link in self.answers if link in given]
        idle = {
            reader.chart_date(link)
            for link in answered
            if not any(reader.raises(link, value) for value in self.answers[link])
        }
        if not idle:
            return self.answers
        return {link: values for link, values in self.answers.items() if link not in idle}


class _Measurement(NamedTuple):
    """An Observation, or a component with what the Observation around it says.

    Args:
        element: has the code and the value.
        taken, key: order several of the same code, whatever their order was.
        doubt: the name of why it denies nothing whatever its value is; empty where it may.
        labels: its security labels.
        date: when it was measured, as the Observation says.
        source: Reference to the Observation.
        left_out: the name of why none of its values is used; empty where they may be.
    """

    at: str
    element: Json
    status: str
    taken: Span
    key: tuple[str, ...]
    date: str
    source: Json
    left_out: str = ""
    doubt: str = ""
    labels: tuple[Json, ...] = ()


class _Reading(NamedTuple):
    """What a measurement says to one question.

    Args:
        answer: None where it cannot be used; `left_out` then says why, by name.
        raises: it raises the result. decides: it leaves open nothing that is asked of the question.
    """

    measurement: _Measurement
    answer: Answer | None
    raises: bool = False
    decides: bool = False
    left_out: str = ""

    @property
    def when(self) -> int:
        """As when it counts as measured."""
        return self.measurement.taken.when

    @property
    def counts(self) -> bool:
        """Whether it can stand for the newest value."""
        return self.raises or self.decides


class _NotUsable(Exception):
    """A measurement says nothing to a question, for one of the reasons `left-out` of languages/en.yaml."""


def chart_values(sent: AssessInput, form: Form, reader: ChartReader) -> ChartValues:
    """Returns the values that count for each question that the code of an Observation names.

    Args:
        sent: the response, which tells whose chart it must be, and the Observations.
        form: questions are matched by their codes; values must fit their types and units.
        reader: the guidance that they are for.
    """
    if not sent.data:
        return ChartValues()
    collected = _Collected(form, reader, str(sent.response.get("authored", "")), leaves_out=sent.leaves_out)
    for measurement in _measurements(sent, collected.problems):
        collected.add(measurement)
    return collected.values()


class _Collected:
    """What the measurements say, by linkId, and what they cannot say."""

    def __init__(self, form: Form, reader: ChartReader, authored: str, *, leaves_out: bool) -> None:
        self.problems: list[Problem] = []
        self._form = form
        self._reader = reader
        self._authored = authored
        self._leaves_out = leaves_out
        self._asked: dict[Coding, list[Question]] = {}
        self._alike: dict[Coding, list[Question]] = {}
        self._otherwise: dict[Coding, list[Question]] = {}
        self._readings: dict[str, list[_Reading]] = {}
        for question in form.questions.values():
            for code in question.codes:
                self._asked.setdefault(code, []).append(question)
                for key in keys_of(code):
                    self._alike.setdefault(key, []).append(question)
            for code in reader.other_codes(question.link_id):
                for key in keys_of(code):
                    self._otherwise.setdefault(key, []).append(question)

    def add(self, measurement: _Measurement) -> None:
        """Adds what a measurement says to every question that has its code."""
        codes = codings_of(measurement.element["code"])
        named = {question.link_id for code in codes for question in self._asked.get(code, ())}
        alike, otherwise = (
            {question.link_id: question for code in codes for question in by_code.get(key_of(code), ())}
            for by_code in (self._alike, self._otherwise)
        )
        asked = {**otherwise, **alike}
        reasons = {} if asked else {"no-question": None}
        if not asked and "component" in measurement.element and not has_value(measurement.element):
            return
        if self._leaves_out and is_late(measurement.date, self._authored):
            measurement = measurement._replace(left_out="later")
        for link, question in asked.items():
            read = measurement
            if link not in alike:
                read = measurement._replace(left_out=measurement.left_out or "other-code")
            elif link not in named:
                read = measurement._replace(doubt=measurement.doubt or "system")
            reading = self._reading(question, read)
            if reading.left_out:
                reasons[reading.left_out] = None
            if measurement.status not in VOID and reading.left_out not in _OF_OTHERS:
                self._readings.setdefault(link, []).append(reading)
        if self._is_late(measurement, alike):
            self.problems.append(_late(measurement.at))
        self.problems += (_left_out(measurement.at, reason) for reason in reasons)

    def _is_late(self, measurement: _Measurement, asked: Iterable[str]) -> bool:
        if measurement.left_out:
            return False
        is_dated = measurement.status not in VOID and any(map(self._reader.chart_date, asked))
        return is_dated and is_late(measurement.date, self._authored)

    def _reading(self, question: Question, measurement: _Measurement) -> _Reading:
        """Reads a measurement as the answer to a question, by its value and its status."""
        link, reader = question.link_id, self._reader
        if measurement.left_out:
            return _Reading(measurement, None, left_out=measurement.left_out)
        try:
            answer = _answer(question, measurement, reader.conversions(link))
        except _NotUsable as fault:
            return _Reading(measurement, None, left_out=str(fault))
        raises = reader.raises(link, answer)
        doubt = "" if raises else _doubt(measurement, reader.conversions(link), is_read=reader.reads(link))
        if not raises and _names_another(question, answer, measurement.element):
            doubt = doubt or "option-named"
        if doubt:
            return _Reading(measurement, None, left_out=doubt)
        return _Reading(measurement, answer, raises, reader.decides(link, answer))

    def values(self) -> ChartValues:
        """Returns the values that count for each question, in form order."""
        chosen = [
            _chosen(self._form.questions[link], self._readings[link])
            for link in self._form.questions
            if link in self._readings
        ]
        used = [choice for choice in chosen if choice.readings]
        answers: dict[str, tuple[Answer, ...]] = {choice.link_id: choice.answers() for choice in used}
        unusable = {choice.link_id for choice in chosen} - answers.keys()
        for choice in chosen:
            link = self._reader.chart_date(choice.link_id)
            dates = choice.dates(self._form.questions[link].type, self._authored) if link else ()
            if dates:
                answers[link] = dates
            elif link:
                unusable.add(link)
        return ChartValues(
            answers,
            {choice.link_id: choice.sources() for choice in used},
            (*self.problems, *_ranges(reading for choice in used for reading in choice.readings)),
            frozenset(unusable),
            tuple(value for choice in chosen for value in choice.printed()),
            distinct(label for one in used for read in one.readings for label in read.measurement.labels),
            {one.link_id: tuple(reading.measurement.taken for reading in one.readings) for one in used},
        )


class _Chosen(NamedTuple):
    """What counts for one question.

    Args:
        readings: those that count, newest first.
        is_outdated: another one may be newer that cannot be used, or that is worse.
        left_out: those that cannot be used.
        repeats: a question that takes several answers may have more than the chart says.
    """

    link_id: str
    readings: tuple[_Reading, ...]
    is_outdated: bool
    left_out: tuple[_Reading, ...]
    repeats: bool

    def answers(self) -> tuple[Answer, ...]:
        """Returns the values; with UNREAD nothing is denied."""
        found = dict.fromkeys(reading.answer for reading in self.readings if reading.answer is not None)
        return (*found, *([UNREAD] if self.is_outdated or self.repeats else ()))

    def dates(self, type_: str, authored: str) -> tuple[Answer, ...]:
        """Returns the dates of the values, as answers to a question of this type; none if undated.

        A moment has two where it is another day in the zone in which the response was written.
        """
        stated = [reading.measurement.date for reading in self.readings if reading.measurement.date]
        moments = [one for date in stated for one in (date, in_zone_of(authored, date))]
        digits = _DATE_DIGITS if type_ == "date" else None
        found: dict[Answer, None] = dict.fromkeys(moment[:digits] for moment in moments)
        return (*found, *([UNREAD] if found and self.is_outdated else ()))

    def sources(self) -> tuple[Json, ...]:
        """Returns References to the Observations, those that count."""
        return tuple(reading.measurement.source for reading in self.readings)

    def printed(self) -> Iterator[ChartValue]:
        """Yields the values as they are to be printed."""
        for reading in (*self.readings, *self.left_out):
            yield _printed(self.link_id, reading)


def _chosen(question: Question, readings: list[_Reading]) -> _Chosen:
    """Chooses the measurements that count for a question."""
    newest = sorted(readings, key=lambda reading: (reading.when, reading.measurement.key), reverse=True)
    usable = [reading for reading in newest if reading.answer is not None]
    moment = next((reading.when for reading in usable if reading.counts), None)
    if moment is None:
        moment = usable[0].when if usable else None
    kept = [reading for reading in usable if moment is not None and reading.when >= moment]
    doubts = moment is not None and _doubts(newest, kept, moment)
    return _Chosen(
        question.link_id,
        tuple(kept),
        is_outdated=doubts,
        left_out=tuple(reading for reading in newest if reading.answer is None),
        repeats=question.repeats,
    )


def _doubts(readings: Iterable[_Reading], kept: Iterable[_Reading], moment: int) -> bool:
    """Whether a value that cannot be used, or a worse one, may be newer than those that count.

    Of one moment all values count, so that one of them that cannot be used leaves doubt too; a preliminary
    one says there what the others say.

    Args:
        moment: of the values that count, which one is the newest.
    """
    counting = {reading.measurement.taken._replace(when=moment) for reading in kept}
    return any(_leaves_doubt(reading, moment, counting) for reading in readings)


def _leaves_doubt(reading: _Reading, moment: int, counting: Iterable[Span]) -> bool:
    if reading.decides and not reading.raises:
        return False
    if reading.answer is None and reading.when >= moment:
        return reading.when > moment or reading.left_out != "preliminary"
    measured = reading.measurement.taken
    return reading.when < moment and any(measured.may_be_after(one) for one in counting)


def _printed(link_id: str, reading: _Reading) -> ChartValue:
    value, unit_shown = _as_sent(reading.measurement.element)
    return ChartValue(link_id, value, unit_shown, reading.measurement.date, reading.left_out)


def _as_sent(element: Json) -> tuple[str, str]:
    """Returns the value and the unit of a measurement in words, as they were sent."""
    quantity = element.get("valueQuantity")
    if quantity is not None:
        number = f"{quantity.get('comparator', '')} {quantity.get('value', '')}".strip()
        return number, str(quantity.get("unit", quantity.get("code", "")))
    concept = element.get("valueCodeableConcept")
    if concept is not None:
        shown = [coding.get("display", coding.get("code", "")) for coding in mappings(concept.get("coding"))]
        return str(concept.get("text", next(iter(shown), ""))), ""
    plain = next((value for name, value in element.items() if name.startswith("value")), "")
    return str(plain).lower() if isinstance(plain, bool) else str(plain), ""


def _ranges(readings: Iterable[_Reading]) -> Iterator[Problem]:
    """Yields a notice for each measurement that is read as a range, once."""
    text = "A value from the chart has a comparator; it is read as a range, never as the number alone."
    places = [reading.measurement.at for reading in readings if is_range(reading.answer)]
    for at in dict.fromkeys(places):
        yield Problem("answer-range", text, at, "warning")


def is_range(answer: Answer | None) -> bool:
    """Returns whether an answer is a range: it has a comparator."""
    return isinstance(answer, Quantity) and answer.comparator != ""


def _left_out(at: str, reason: str) -> Problem:
    text = f"A value from the chart was left out: {why_left_out(reason)}."
    return Problem("chart-ignored", text, at, "information", reason=reason)


def _late(at: str) -> Problem:
    text = (
        "A value from the chart: expected a date at most one day after the response was written (authored)."
    )
    return Problem("date-after-authored", text, at)


# What was sent: Observations and their components, of the person whom the response is about.


def _measurements(sent: AssessInput, problems: list[Problem]) -> Iterator[_Measurement]:
    """Yields Observations, each with its components; adds the faults of those that are none."""
    subject = sent.response.get("subject")
    doubled = in_versions(observation.resource for observation in sent.data)
    for observation in sent.data:
        faults = check_structure(observation.resource, "Observation", observation.at)
        if has_errors(faults):
            if sent.leaves_out:
                yield _unread(observation)
            else:
                problems += faults
            continue
        problems += faults
        if is_another(observation.resource.get("subject"), subject):
            text = "subject: expected the subject of the response, named in the same way."
            problems.append(Problem("chart-subject", text, f"{observation.at}.subject"))
            continue
        of_test = is_test(observation.resource) and not is_test(sent.response)
        is_doubled = observation.resource.get("id") in doubled
        yield from _parts(observation, "test" if of_test else "", "versions" * is_doubled)


def _unread(observation: ResourceAt) -> _Measurement:
    """Reads an Observation that is not valid R4: something with its codes was measured."""
    holders = (observation.resource, *mappings(observation.resource.get("component")))
    concepts = mappings([holder.get("code") for holder in holders])
    named = (coding for concept in concepts for coding in mappings(concept.get("coding")))
    codings = [{name: text(coding.get(name)) for name in ("system", "code")} for coding in named]
    element = {"code": {"coding": codings}}
    return _Measurement(observation.at, element, "unknown", NEWEST, ("", ""), "", {}, "not-r4")


def _parts(found: ResourceAt, left_out: str, doubt: str) -> Iterator[_Measurement]:
    """Yields an Observation and its components; what is wrong with it as a whole is wrong with them."""
    observation, at = found.resource, found.at
    if not left_out and "focus" in observation:
        left_out = "focus"
    if not left_out and "component" in observation and has_reason_beside(observation):
        left_out = "value-and-reason"
    date = effective(observation)
    whole = _Measurement(
        at,
        observation,
        observation["status"],
        taken(observation, date),
        (str(observation.get("issued", "")), str(observation.get("id", at))),
        date,
        _source(observation),
        left_out,
        "altered" if is_altered(observation) else doubt or "page" * found.is_of_page,
        security_labels(observation),
    )
    yield whole
    called = {name: observation[name] for name in ("interpretation",) if name in observation}
    for index, component in enumerate(mappings(observation.get("component"))):
        place = f"component[{index}]"
        yield whole._replace(at=f"{at}.{place}", element={**called, **component}, key=(*whole.key, place))


def keys_of(code: Coding) -> tuple[Coding, Coding]:
    """Returns how a value may name the code of a question: its code system as it likes, or not at all."""
    return key_of(code), Coding("", code.code)


def key_of(code: Coding) -> Coding:
    """Returns a code by which the questions for it are found, however its code system is written."""
    return Coding(plain_system(code.system), code.code)


def codings_of(concept: Json) -> tuple[Coding, ...]:
    """Returns the codings of a CodeableConcept."""
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


# What a measurement says to a question, by the type of the question.


Conversions = tuple[Conversion, ...]
_Read = Callable[[Question, Json, Conversions], Answer]


def _answer(question: Question, measurement: _Measurement, conversions: Conversions) -> Answer:
    """Returns the answer that the value of a measurement gives; raises _NotUsable."""
    element = measurement.element
    if measurement.status not in USABLE and measurement.status != "preliminary":
        raise _NotUsable("status")
    if "dataAbsentReason" in element:
        raise _NotUsable("value-absent")
    if has_reason_beside(element):
        raise _NotUsable("value-and-reason")
    quantity = element.get("valueQuantity", {})
    if quantity.get("system") == SYSTEM and names_another(
        quantity.get("code", ""), quantity.get("unit", ""), conversions
    ):
        raise _NotUsable("unit-named")
    read = _READERS.get(question.type)
    if read is None:
        raise _NotUsable("question")
    return read(question, element, conversions)


def _doubt(measurement: _Measurement, conversions: Conversions, *, is_read: bool) -> str:
    """Returns why a value that does not raise the result may not deny anything; empty where it may."""
    if measurement.status not in USABLE:
        return "preliminary"
    if measurement.doubt:
        return measurement.doubt
    return interpreted(measurement.element, conversions) if is_read else ""


def _names_another(question: Question, answer: Answer, element: Json) -> bool:
    """Whether a CodeableConcept is called by the name of another option: nobody knows which one was meant."""
    concept = element.get("valueCodeableConcept", {})
    shown = (concept.get("text"), *(coding.get("display") for coding in mappings(concept.get("coding"))))
    own = {name for option in question.options if option.coding == answer for name in option.names}
    others = {folded(text(name)) for name in shown} - own
    return any(not others.isdisjoint(option.names) for option in question.options)


def _quantity(question: Question, element: Json, conversions: Conversions) -> Answer:
    measured = _measured(element)
    if question.units and not any(convertible(measured.unit, code, conversions) for code in question.units):
        raise _NotUsable("unit-of-several")
    return measured


def _measured(element: Json) -> Quantity:
    quantity = element.get("valueQuantity")
    if quantity is None or "value" not in quantity:
        raise _NotUsable("no-quantity")
    if quantity.get("system") != SYSTEM or "code" not in quantity:
        raise _NotUsable("unit-not-ucum")
    return Quantity(Decimal(quantity["value"]), quantity["code"], quantity.get("comparator", ""))


def _number(question: Question, element: Json, conversions: Conversions) -> Answer:
    """Returns a number in the unit of the question; with a comparator a range of plain numbers."""
    if "valueInteger" in element:
        if question.units:
            raise _NotUsable("unit-missing")
        return Decimal(element["valueInteger"])
    measured = _measured(element)
    number = _in_unit(measured, _unit_of(question, measured), conversions)
    return Quantity(number, _PLAIN, measured.comparator) if measured.comparator else number


def _unit_of(question: Question, measured: Quantity) -> str:
    """Returns the unit that the numbers of a question are in."""
    if len(question.units) > 1:
        raise _NotUsable("several-units")
    if not question.units and unit(measured.unit) != Unit(Fraction(1), ()):
        raise _NotUsable("unit-unexpected")
    return question.units[0] if question.units else measured.unit


def _in_unit(measured: Quantity, target: str, conversions: Conversions) -> Decimal:
    """Returns the value in another unit; one that has no end as a decimal is cut to 28 digits."""
    if measured.unit == target:
        return measured.value
    exact = brought_to(measured.value, measured.unit, target, conversions)
    if exact is None:
        raise _NotUsable("unit")
    return Decimal(exact.numerator) / Decimal(exact.denominator)


def _whole_number(question: Question, element: Json, conversions: Conversions) -> Answer:
    number = _number(question, element, conversions)
    if not isinstance(number, Decimal):
        return number
    if number != number.to_integral_value() or not INTEGERS.start <= number < INTEGERS.stop:
        raise _NotUsable("not-whole")
    return int(number)


def _option(question: Question, element: Json, _: Conversions) -> Answer:
    """Returns the one option that a CodeableConcept names by system and code."""
    codings = codings_of(_value(element, "valueCodeableConcept"))
    found = [option.coding for option in question.options if option.coding in codings]
    if len(found) != 1:
        raise _NotUsable("option")
    return found[0]


def _date(_question: Question, element: Json, _: Conversions) -> Answer:
    text: str = _value(element, "valueDateTime")
    if not is_date(text):
        raise _NotUsable("type")
    return text


def _plain(name: str) -> _Read:
    def read(_question: Question, element: Json, _: Conversions) -> Answer:
        value: Answer = _value(element, name)
        return value

    return read


def _value(element: Json, name: str) -> Any:
    if name not in element:
        raise _NotUsable("type")
    return element[name]


_READERS: Final[Mapping[str, _Read]] = {
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
