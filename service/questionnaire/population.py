"""A QuestionnaireResponse that is filled in as far as the form and a chart can: initial values, expressions.

Answers come, for each question, from its initial values, else from its initialExpression, else from what the
caller has read in Observations. Each expression is evaluated once, after those whose linkIds it names; where
one of these was left out, so is what follows from it. What does not fit its question is left out and named,
never with its value.

A question that the answers close for certain stays empty; one that is only not decided yet keeps what it has,
so that nobody types again what the chart knows.

Source: SDC populate.html (exp-pop; caveats on enableWhen), initialExpression, variable; OperationDefinition
Questionnaire-populate, comment (the items of an empty response); R4 Questionnaire.item.initial.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

import msgspec

from service.datatypes.answers import Answer, Coding, Quantity
from service.datatypes.ucum import SYSTEM as UCUM
from service.datatypes.ucum import Conversion, brought_to, comparable
from service.errors import Problem
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json, MutableJson
from service.fhir.outcome import severity
from service.fhir.response_context import portable_coding, portable_quantity, portable_reference
from service.fhir.shapes import resource_types
from service.fhir.structure import is_of_type
from service.questionnaire.answer_checks import AnswerContext, answer_problems
from service.questionnaire.compiled import CompiledQuestionnaire
from service.questionnaire.expressions import Evaluation, FormExpressions, Undecided
from service.questionnaire.fhirpath import resource_node
from service.questionnaire.fhirpath_syntax import variables_in
from service.questionnaire.items import DISPLAY, GROUP, Item
from service.questionnaire.pairing import Occurrence, value_elements
from service.questionnaire.translations import option_name, translated
from service.questionnaire.values import ELEMENTS, answer_in, computed_element

NOT_SENT: Final = "populate-not-sent"

_MOST_ROUNDS: Final = 20
"""Expressions may wait for each other so often; what then still waits is evaluated all the same."""

_DIGITS: Final = Context(prec=8, rounding=ROUND_HALF_EVEN)
"""How precise a converted value is that has no end as a decimal: the least that FHIRPath promises."""

_MOST_SOURCES: Final = 20
"""References that one answer names; what a long search found is not listed to its end."""

_LITERAL = re.compile(r"'([^'\\]*)'")
_ATTACHMENT: Final = frozenset(
    {"contentType", "language", "data", "url", "size", "hash", "title", "creation"}
)


class Origin(NamedTuple):
    """Where an answer comes from.

    Args:
        sources: References to the resources.
        date: of what they say, as they say it; empty if they do not.
    """

    sources: tuple[Json, ...]
    date: str = ""


class Given(msgspec.Struct, frozen=True):
    """A launch context, or what a query of the form found.

    Args:
        resources: those that there are; more than one only of a query or of several contents.
        sources: References to them.
    """

    resources: tuple[Json, ...]
    sources: tuple[Json, ...]


class Filled(NamedTuple):
    """The answers of one question: each as `value[x]` and what stands in it."""

    answers: tuple[tuple[str, Any], ...]
    origin: Origin | None


class PopulatedForm(msgspec.Struct, frozen=True):
    """A Questionnaire as it is filled in.

    Args:
        expressions: all that it has.
    """

    compiled: CompiledQuestionnaire
    expressions: FormExpressions


class Reason(NamedTuple):
    """Why a value is not filled in.

    Args:
        name: by which people are told, in their language.
        words: for those who build, without the value.
    """

    name: str
    words: str


_OTHER_TYPE: Final = Reason("unfit", "what its expression finds is of another type")
_NOT_PORTABLE: Final = Reason("unfit", "what its expression finds cannot stand in a response")
_OTHER_UNIT: Final = Reason("unit", "its unit cannot be converted to the question's")
_NO_SUCH_UNIT: Final = Reason("unit", "its unit cannot be converted to one of the question's")
_TOO_MANY: Final = Reason("too-many", "there are more values than the question takes")
_UNHELD: Final = Reason("unheld", "the answer that would hold it is not there")
_CLOSED: Final = Reason("closed", "other answers close the question")
_OPEN: Final = Reason("open", "it follows from a question that was not filled in")
RANGE: Final = Reason("range", "the value has a comparator, so that it is a range")

_NO_VALUE: Final = frozenset({"too-old", "focus", "test"})
"""Reasons, by name, for which something says nothing about the person as they are now."""


class Unfit(Exception):
    """A value does not fit its question."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.words)
        self.reason = reason


class Population(msgspec.Struct):
    """A response while it is filled in.

    Args:
        head: the response without its items.
        language: of the texts; empty for that of the form.
        given: launch contexts and results of queries, by name.
        asked: names of all that the form asks for.
        origin_extension: url of the extension that says where an answer comes from.
        filled: answers by linkId.
        problems: what was left out, and why.
        doubted: linkIds of questions for which there is something that was left out.
    """

    form: PopulatedForm
    head: Json
    language: str
    given: Mapping[str, Given]
    asked: frozenset[str]
    origin_extension: str
    filled: dict[str, Filled] = msgspec.field(default_factory=dict)
    problems: list[Problem] = msgspec.field(default_factory=list)
    doubted: set[str] = msgspec.field(default_factory=set)

    def leave_out(self, link: str, reason: Reason, kind: str = "populate-left-out") -> None:
        """Notes that a question, or an answer to it, is not filled in."""
        item = self.form.compiled.items[link]
        words = f"Item {item.name}: not filled in: {reason.words}."
        about = self._text(item) if item.is_quoted else ""
        noted = Problem(kind, words, item.path, severity(kind), about=about, reason=reason.name)
        self.problems.append(noted)
        if reason.name not in _NO_VALUE:
            self.doubted.add(link)

    def drop(self, link: str, reason: Reason, kind: str = "populate-left-out") -> None:
        """Leaves out what a question was filled in with."""
        self.leave_out(link, reason, kind)
        del self.filled[link]

    def fill(self, link: str, answers: Iterable[tuple[str, Any]], origin: Origin | None) -> None:
        """Fills in a question; where it has answers already, these stay."""
        self.filled.setdefault(link, Filled(tuple(answers), origin))

    def response(self) -> MutableJson:
        """Returns the response as it is by now, every group and question in it."""
        return {**self.head, "item": list(self._items(self._top()))}

    def _top(self) -> list[str]:
        items = self.form.compiled.items
        return [link for link, item in items.items() if item.parent is None]

    def _items(self, links: Iterable[str]) -> Iterator[MutableJson]:
        for link in links:
            item = self.form.compiled.items[link]
            if item.type != DISPLAY:
                yield self._item(item)

    def _item(self, item: Item) -> MutableJson:
        found: MutableJson = {"linkId": item.link_id}
        words = self._text(item)
        if words:
            found["text"] = words
        inside = list(self._items(item.children))
        if item.type == GROUP and inside:
            found["item"] = inside
        elif item.link_id in self.filled:
            found["answer"] = self._answers(item, inside)
        return found

    def _text(self, item: Item) -> str:
        """Returns the text of an item in the language of the response."""
        return translated(item.source, "text", self.language) or item.text

    def _answers(self, item: Item, inside: list[MutableJson]) -> list[MutableJson]:
        """Returns the answers of a question; the items inside stand in the first of them."""
        filled = self.filled[item.link_id]
        beside: MutableJson = {}
        if filled.origin is not None:
            beside["extension"] = [origin_extension(filled.origin, self.origin_extension)]
        answers = [{**beside, element: self._told(item, value)} for element, value in filled.answers]
        if inside:
            answers[0]["item"] = inside
        return answers

    def _told(self, item: Item, value: Any) -> Any:
        """Returns a value as it is written: an option by its name in the language of the response."""
        if item.options is None or not isinstance(value, Mapping):
            return value
        name = option_name(Coding(text(value.get("system")), text(value.get("code"))), item, self.language)
        return {**value, "display": name} if name else value


def origin_extension(origin: Origin, url: str) -> MutableJson:
    """Returns the extension that says where an answer comes from."""
    parts: list[MutableJson] = [{"url": "source", "valueReference": source} for source in origin.sources]
    if origin.date:
        parts.append({"url": "date", "valueDateTime": origin.date})
    return {"url": url, "extension": parts}


# Initial values and expressions.


def fill_initial(population: Population) -> None:
    """Fills in the values that the form itself gives: `initial`, and options that are selected at first."""
    for link, item in population.form.compiled.items.items():
        elements = [*mappings(item.source.get("initial")), *_selected(item.source)]
        found = [_element_of(element, item) for element in elements] if item.answerable else []
        answers = [answer for answer in found if answer is not None]
        if answers:
            population.fill(link, answers, None)


def _selected(source: Json) -> Iterator[Json]:
    options = mappings(source.get("answerOption"))
    return (option for option in options if option.get("initialSelected") is True)


def _element_of(element: Json, item: Item) -> tuple[str, Any] | None:
    found = answer_in(element, "value")
    return None if found is None or found[0] not in value_elements(item) else (found[0], element[found[0]])


def fill_expressions(population: Population) -> None:
    """Fills in what the initialExpressions make of the contexts, and of the answers so far."""
    waiting = _Waiting(population)
    for number in range(_MOST_ROUNDS):
        ready = waiting.ready(is_last=number == _MOST_ROUNDS - 1)
        if not ready:
            return
        evaluation, by_link = _evaluation(population)
        for link in ready:
            _fill_expression(population, evaluation, by_link[link][0], waiting.reads[link])


class _Reads(NamedTuple):
    """What an expression reads: questions that it names, and contexts that are given, or missing."""

    links: frozenset[str]
    contexts: tuple[str, ...]
    missing: tuple[str, ...]


class _Waiting:
    """The questions whose expression is still to be evaluated, and what each expression reads."""

    def __init__(self, population: Population) -> None:
        initial = population.form.expressions.initial
        items = population.form.compiled.items
        self.reads = {
            link: _reads(population, link)
            for link in initial
            if link is not None and items[link].answerable and link not in population.filled
        }
        self._pending = dict.fromkeys(self.reads)

    def ready(self, *, is_last: bool) -> list[str]:
        """Returns those that wait for no other; all of them where they wait for each other."""
        free = [link for link in self._pending if not self.reads[link].links & self._pending.keys() - {link}]
        ready = list(self._pending) if is_last else free or list(self._pending)
        for link in ready:
            del self._pending[link]
        return ready


def _reads(population: Population, link: str) -> _Reads:
    """Returns what an expression reads itself, or by the variables of the form that it uses."""
    expressions, items = population.form.expressions, population.form.compiled.items
    variables = {
        declared.name: declared.text for listed in expressions.variables.values() for declared, _ in listed
    }
    expression = expressions.initial[link]
    texts = [] if isinstance(expression, Undecided) else [expression.text]
    names = [] if isinstance(expression, Undecided) else sorted(expression.variables)
    for name in names:  # grows while it is read
        if name in variables:
            texts.append(variables[name])
            names += sorted(_variables_of(expressions, name) - set(names))
    links = {literal for found in texts for literal in _LITERAL.findall(found)}
    asked = [name for name in names if name in population.asked]
    return _Reads(
        frozenset(links & items.keys()),
        tuple(name for name in asked if name in population.given),
        tuple(name for name in asked if name not in population.given),
    )


def _variables_of(expressions: FormExpressions, name: str) -> frozenset[str]:
    found = (
        expression
        for listed in expressions.variables.values()
        for declared, expression in listed
        if declared.name == name and not isinstance(expression, Undecided)
    )
    return frozenset().union(*(variables_in(expression.tree) for expression in found))


def _evaluation(population: Population) -> tuple[Evaluation, Mapping[str, list[Occurrence]]]:
    response = population.response()
    paired = population.form.compiled.paired(response)
    nodes = {
        name: [resource_node(resource) for resource in given.resources]
        for name, given in population.given.items()
    }
    return Evaluation(population.form.expressions, response, paired, nodes), paired.by_link


def _fill_expression(
    population: Population, evaluation: Evaluation, occurrence: Occurrence, reads: _Reads
) -> None:
    link, item = occurrence.item.link_id, occurrence.item
    if reads.links & population.doubted - population.filled.keys():  # that it has no answer is not known
        population.leave_out(link, _OPEN)
        return
    values = evaluation.values(population.form.expressions.initial[link], occurrence)
    if isinstance(values, Undecided) and reads.missing:
        population.leave_out(
            link, Reason("not-sent", f"the context {reads.missing[0]} was not sent"), NOT_SENT
        )
        return
    if isinstance(values, Undecided):
        population.leave_out(link, Reason("undecided", values.reason))
        return
    answers = []
    for value in values:
        try:
            answers.append(fitted(item, value))
        except Unfit as fault:
            population.leave_out(link, fault.reason)
    if answers:
        population.fill(link, answers, _origin(population, reads))


def _origin(population: Population, reads: _Reads) -> Origin | None:
    """Returns where the result of an expression comes from: contexts, and what answers come from."""
    named = [
        filled.origin
        for link, filled in population.filled.items()
        if link in reads.links and filled.origin is not None
    ]
    of_contexts = [source for name in reads.contexts for source in population.given[name].sources]
    of_answers = [source for origin in named for source in origin.sources]
    both = [*of_contexts, *of_answers][:_MOST_SOURCES]
    sources = [source for number, source in enumerate(both) if source not in both[:number]]
    dates = {origin.date for origin in named}
    date = dates.pop() if len(dates) == 1 and not of_contexts else ""
    return Origin(tuple(sources), date) if sources else None


# A value as an answer of its question.


def fitted(item: Item, value: Any) -> tuple[str, Any]:
    """Returns the element and the JSON value by which the result of an expression answers a question.

    Raises:
        Unfit: it is of another type, or its unit is not one of the question's.

    Source:
        SDC populate.html#exp-pop: the type is that of the item; a resource may be a Reference, and a quantity
        a number in the unit of questionnaire-unit. A code of exactly one option is taken for that option.
    """
    if item.type in ("integer", "decimal") and isinstance(value, Mapping):
        value = _number(item, value)
    elif item.type == "reference" and isinstance(value, Mapping) and "resourceType" in value:
        value = reference_to(value)
    elif item.options is not None and isinstance(value, str):
        value = _option_with_code(item, value) or value
    found = computed_element(value, value_elements(item))
    if found is None:
        raise Unfit(_OTHER_TYPE)
    element, answer = found
    return element, _written(item, element, answer, value)


def reference_to(resource: Json) -> Json:
    """Returns a Reference to a resource: by its id, else by an identifier, else by its type alone."""
    kind, id_ = text(resource.get("resourceType")), resource.get("id")
    if kind not in resource_types():
        return {"display": "A resource that was sent"}
    if isinstance(id_, str) and is_of_type({"reference": f"{kind}/{id_}"}, "Reference"):
        return {"reference": f"{kind}/{id_}"}
    for identifier in mappings(resource.get("identifier")):
        if is_of_type(identifier, "Identifier"):
            kept = portable_reference({"identifier": identifier})
            if kept is not None:
                return {"type": kind, **kept}
    return {"type": kind, "display": f"{kind} that was sent without an id"}


def _option_with_code(item: Item, code: str) -> Json | None:
    options = item.options.coded if item.options is not None else ()
    found = [option.coding for option in options if option.coding.code == code]
    return found[0]._asdict() if len(found) == 1 else None


def _number(item: Item, value: Json) -> Any:
    """Returns the number of a quantity in the unit that the form names for the question."""
    found = answer_in({"valueQuantity": value}, "value")
    units = [unit for unit in ext.values(item.source, ext.UNIT) if isinstance(unit, Mapping)]
    if found is None or not isinstance(found[1], Quantity) or len(units) != 1 or found[1].comparator:
        raise Unfit(_OTHER_TYPE)
    number = _in_unit(found[1], text(units[0].get("code")), ())
    if number is None:
        raise Unfit(_OTHER_UNIT)
    return number


def _in_unit(quantity: Quantity, unit: str, conversions: tuple[Conversion, ...]) -> Decimal | None:
    """Returns a value in another unit, exact where it has an end within eight digits."""
    if quantity.unit == unit:
        return quantity.value
    exact = brought_to(quantity.value, quantity.unit, unit, conversions)
    return None if exact is None else _decimal(exact)


def _decimal(exact: Fraction) -> Decimal:
    return _DIGITS.divide(Decimal(exact.numerator), Decimal(exact.denominator))


def _written(item: Item, element: str, answer: Answer, value: Any) -> Any:
    """Returns the JSON value of an answer, with no more in it than an answer needs."""
    if isinstance(answer, Quantity):
        return quantity_answer(item, answer, (), value)
    if element == "valueCoding" and isinstance(answer, Coding):
        return coded_answer(item, answer, value)
    if element == "valueReference":
        return _portable(portable_reference(value), "Reference")
    if element == "valueAttachment":
        return _portable({name: value[name] for name in value if name in _ATTACHMENT}, "Attachment")
    return answer


def _portable(value: Json | None, kind: str) -> Json:
    if not value or not is_of_type(value, kind):
        raise Unfit(_NOT_PORTABLE)
    return value


def coded_answer(item: Item, coding: Coding, sent: Json) -> Json:
    """Returns an option as the form has it; another code as it was sent, without what belongs elsewhere."""
    for option in mappings(item.source.get("answerOption")):
        found = answer_in(option, "value")
        if found is not None and found[1] == coding:
            sent = option["valueCoding"]
    choice = item.options.choices.get(coding) if item.options is not None else None
    named = {"display": choice.display} if choice is not None and choice.display else {}
    return _portable(portable_coding(sent) | named, "Coding")


def quantity_answer(
    item: Item, answer: Quantity, conversions: tuple[Conversion, ...], sent: Json | None = None
) -> Json:
    """Returns a quantity in a unit that the question permits: its own, else one that fits, by UCUM first.

    Raises:
        Unfit: it is a range, or its unit cannot be converted to one of the question's.
    """
    if answer.comparator:
        raise Unfit(RANGE)
    units = item.limits.units
    for unit in sorted(
        units, key=lambda unit: (unit.code != answer.unit, not comparable(answer.unit, unit.code))
    ):
        number = _in_unit(answer, unit.code, conversions)
        if number is not None:
            return {"value": number, "unit": _unit_name(item, unit), "system": unit.system, "code": unit.code}
    if units and not item.limits.open_units:
        raise Unfit(_NO_SUCH_UNIT)
    if sent is None:
        return {"value": answer.value, "unit": answer.unit, "system": UCUM, "code": answer.unit}
    return _portable(portable_quantity(sent), "Quantity")


def _unit_name(item: Item, unit: Coding) -> str:
    """Returns how the form shows a unit."""
    for url in (ext.UNIT_OPTION, ext.UNIT):
        for found in ext.values(item.source, url):
            if isinstance(found, Mapping) and found.get("code") == unit.code and text(found.get("display")):
                return text(found["display"])
    return unit.code


def typed_answer(item: Item, answer: Answer, conversions: tuple[Conversion, ...]) -> tuple[str, Any]:
    """Returns the element and the JSON value of an answer that is no range; a unit of it converts."""
    if isinstance(answer, Quantity):
        return "valueQuantity", quantity_answer(item, answer, conversions)
    if isinstance(answer, Coding):
        return "valueCoding", coded_answer(item, answer, answer._asdict())
    elements = ELEMENTS[item.type]
    return elements[-1] if isinstance(answer, str) else elements[0], answer


# What stays.


def drop_unfit(population: Population) -> None:
    """Leaves out answers that pass a limit of their question, or stand where no answer holds them."""
    before = -1
    while before != len(population.filled):
        before = len(population.filled)
        _drop_unfit_once(population)


def _drop_unfit_once(population: Population) -> None:
    paired = population.form.compiled.paired(population.response())
    context = AnswerContext({})
    answered = [occurrence for occurrence in paired.occurrences if occurrence.response_answers]
    for link in population.filled.keys() - {occurrence.item.link_id for occurrence in answered}:
        population.drop(link, _UNHELD)
    for occurrence in answered:
        _drop_unfit_of(population, occurrence, context)


def _drop_unfit_of(population: Population, occurrence: Occurrence, context: AnswerContext) -> None:
    link, item = occurrence.item.link_id, occurrence.item
    if item.max_occurs is not None and len(occurrence.response_answers) > item.max_occurs:
        population.drop(link, _TOO_MANY)
        return
    faults = [found for found in answer_problems(occurrence, context) if found.is_error]
    untyped = {found.path for found in occurrence.response_answers if found.answer is None}
    wrong = untyped | {fault.expression.partition(".value")[0] for fault in faults}
    if not wrong:
        return
    is_together = any(fault.kind == "answer-exclusive" for fault in faults)
    filled = population.filled[link]
    kept = tuple(
        answer
        for answer, found in zip(filled.answers, occurrence.response_answers, strict=True)
        if found.path not in wrong and not is_together
    )
    population.drop(link, _why_unfit([fault.kind for fault in faults]))
    if kept:
        population.filled[link] = filled._replace(answers=kept)


def _why_unfit(kinds: Iterable[str]) -> Reason:
    named = ", ".join(dict.fromkeys(kinds)) or "answer-format"
    return Reason("unfit", f"a value does not fit the question ({named})")


def drop_closed(population: Population) -> None:
    """Leaves out answers that break a limit which the form computes, and those to questions that are closed.

    A question is closed where other answers close it whatever is still answered.
    """
    response, compiled = population.response(), population.form.compiled
    checked = compiled.check(response, "in-progress")
    by_path = {
        occurrence.path: occurrence.item.link_id for occurrence in compiled.paired(response).occurrences
    }
    for fault in checked.problems:
        link = by_path.get(fault.expression.rpartition(".answer[")[0] or fault.expression, "")
        if fault.is_error and link in population.filled:
            population.drop(link, _why_unfit([fault.kind]))
    for link in [link for link in population.filled if link in checked.answers.closed]:
        population.drop(link, _CLOSED, kind="populate-closed")
