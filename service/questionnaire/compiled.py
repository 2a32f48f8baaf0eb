"""A Questionnaire compiled once, and which one a response answers.

A response names its Questionnaire by `url|version`, by url, or contains it.

Source: FHIR R4 references.html#canonical; QuestionnaireResponse.questionnaire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import or_
from types import MappingProxyType
from typing import Any

from service.datatypes.answers import Answer, Answers, AnswersByLink
from service.datatypes.form import Form, Question
from service.datatypes.ucum import SYSTEM as UCUM
from service.datatypes.values import replace
from service.errors import GuidanceError, Problem
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.questionnaire.accept import AcceptTable, accept, accept_parsed, compile_accept
from service.questionnaire.answer_checks import limit_faults
from service.questionnaire.check import Checked, CheckTable, check
from service.questionnaire.constraints import Term, calculated_values, plain_sum
from service.questionnaire.enable_when import (
    EnableWhenTable,
    compile_enable_when,
    evaluation_order,
    is_decidable,
)
from service.questionnaire.expressions import compile_expressions
from service.questionnaire.fhirpath import Expression
from service.questionnaire.items import Item, items_of
from service.questionnaire.lint import lint_items
from service.questionnaire.pairing import PairedResponse, pair
from service.questionnaire.problems import COMPLETE_STATUSES, STATUSES, problem
from service.terminology.value_sets import ValueSets

_NO_CHART: Mapping[str, tuple[Answer, ...]] = MappingProxyType({})
_CANONICAL = "QuestionnaireResponse.questionnaire"


@dataclass(frozen=True)
class CompiledQuestionnaire:
    """A compiled Questionnaire.

    What only guidance and the accept path need is made on first use: its cost grows with the square of the
    number of items, and no Questionnaire that came with a response ever needs it.

    Args:
        resource: as published.
        canonical: `url|version`.
        items: by linkId, in document order.
        lint: what is wrong with the Questionnaire itself, warnings included.
        subject_types: types of resource that a response may be about; empty for any.
        is_quoted: whether messages may repeat the words of the form, which are not ours if it was sent.
    """

    resource: Json = field(repr=False)
    canonical: str
    items: Mapping[str, Item]
    lint: tuple[Problem, ...]
    subject_types: frozenset[str]
    _check_table: CheckTable = field(repr=False)
    is_quoted: bool = True

    @cached_property
    def form(self) -> Form:
        """What the guidance must know of it."""
        questions = {
            link: _question(item, self.items) for link, item in self.items.items() if item.answerable
        }
        return Form(self.canonical, MappingProxyType(questions))

    @property
    def url(self) -> str:
        """The canonical url without the version."""
        return self.canonical.partition("|")[0]

    @cached_property
    def _enable_when(self) -> EnableWhenTable:
        return compile_enable_when(self.items, self._check_table.ordered)

    @cached_property
    def _accept_table(self) -> AcceptTable | None:
        is_plain = self._check_table.expressions is None and _are_decidable(self.items)
        return compile_accept(self.items, self._enable_when) if is_plain else None

    def with_items(self, items: Mapping[str, Item]) -> CompiledQuestionnaire:
        """Returns the same with other items: what messages call them is not what decides."""
        told = replace(self, items=items, _check_table=replace(self._check_table, items=items))
        if "_accept_table" in self.__dict__:
            told.__dict__["_accept_table"] = self._accept_table
        return told

    def complete(self) -> None:
        """Makes what would else be made on first use."""
        _ = self.form, self._accept_table

    def accept(self, items: Sequence[Any], complete: bool, authored: str = "") -> Answers | None:  # noqa: FBT001 - a shared contract
        """Returns the answers of a response that is plainly valid, else None; see `accept.py`.

        Args:
            items: typed structs with the attributes that FHIR names; unset ones are `msgspec.UNSET`.
            complete: the status of the response demands that it is complete (completed, amended).
            authored: when the response was written; empty if it does not say.
        """
        if self._accept_table is None:
            return None
        return accept(self._accept_table, items, complete=complete, authored=authored)

    def is_about(self, kind: str) -> bool:
        """Returns whether a response may have a subject of this type."""
        return not self.subject_types or kind in self.subject_types

    def check(self, response: Json, status: str | None = None, *, apart: bool = True) -> Checked:
        """Checks a parsed response in full.

        Args:
            response: QuestionnaireResponse with int or Decimal numbers, of any shape.
            status: decides which problems count; the response's own status where it is not given.
            apart: nobody waits meanwhile; where somebody does, TooMuchHere may be raised, and nothing else.
        """
        status = text(response.get("status")) if status is None else status
        plain = self.accept_parsed(response, status)
        if plain is not None:
            return Checked((), plain)
        return check(self._check_table, response, status, apart=apart)

    def accept_parsed(self, response: Json, status: str) -> Answers | None:
        """Returns the answers of a parsed response of any shape that is plainly valid, else None.

        A Questionnaire that came with the response has no table for it.
        """
        table = self.__dict__.get("_accept_table")
        complete = status in COMPLETE_STATUSES or status not in STATUSES
        return None if table is None else accept_parsed(table, response, complete=complete)

    def paired(self, response: Json) -> PairedResponse:
        """Returns a parsed response laid over the items; raises TooCostly if there are too many."""
        return pair(response, self.items, self._check_table.top)

    @cached_property
    def calculates(self) -> Mapping[str, tuple[Term, ...]]:
        """The items that have a calculatedExpression: the terms of a plain sum, none for others."""
        expressions = self._check_table.expressions
        found = {} if expressions is None else expressions.calculated
        return {
            link: plain_sum(how, self.items) if isinstance(how, Expression) else ()
            for link, how in found.items()
            if link is not None
        }

    def calculated(self, response: Json) -> AnswersByLink:
        """Returns the values that the form calculates from a parsed response, by linkId.

        Raises:
            TooCostly: the response has too many items.
        """
        expressions = self._check_table.expressions
        return {} if expressions is None else calculated_values(expressions, response, self.paired(response))

    def enabled(self, given: Mapping[str, tuple[Answer, ...]]) -> tuple[frozenset[str], frozenset[str]]:
        """Returns linkIds of items that are enabled by these answers, and of those closed for certain.

        It reads enableWhen only: an enableWhenExpression counts as true here, because it needs a response.
        """
        return self.enabling()(given)

    def enabling(self) -> Callable[[AnswersByLink], tuple[frozenset[str], frozenset[str]]]:
        """Returns `enabled` for responses that are much alike: it looks at each answer once."""
        seen: dict[tuple[str, tuple[Answer, ...]], tuple[int, int]] = {}
        without: dict[int, frozenset[str]] = {}

        def enabled(given: AnswersByLink) -> tuple[frozenset[str], frozenset[str]]:
            true = known = 0
            for answered in given.items():
                found = seen.get(answered)
                if found is None:
                    found = seen[answered] = self._enable_when.evaluate(*answered)
                true, known = true | found[0], known | found[1]
            disabled, closed = self._enable_when.disabled_and_closed(true, known)
            if disabled not in without:
                without[disabled] = frozenset(self.items) - self._enable_when.links_of(disabled)
            return without[disabled], closed

        return enabled

    def opens(self, link_id: str, answers: tuple[Answer, ...]) -> tuple[int, int]:
        """Returns the effect of these answers on conditions: equal ones open and hide the same."""
        true, known = self._enable_when.evaluate(link_id, answers)
        return true & self._opening, known & self._opening

    @cached_property
    def _opening(self) -> int:
        """The conditions of items that are more than a text."""
        return reduce(or_, (entry.conditions for entry in self._enable_when.conditional if entry.links), 0)

    def takes(self, link_id: str, answers: tuple[Answer, ...]) -> bool:
        """Whether a question may have these answers together: each within its limits, alone if need be."""
        item = self.items[link_id]
        choices = {} if item.options is None else item.options.choices
        is_apart = len(answers) > 1 and any(choices[one].exclusive for one in answers if one in choices)
        return not is_apart and not any(fault for one in answers for fault in limit_faults(item, one))

    def answers_of(
        self,
        given: Mapping[str, tuple[Answer, ...]],
        *,
        chart: Mapping[str, tuple[Answer, ...]] = _NO_CHART,
        authored: str = "",
    ) -> Answers:
        """Returns answers as a response that gives them would: those of disabled items are ignored.

        Args:
            given: answers by linkId. chart: values from the chart by linkId. authored: when it was written.
        """
        enabled, closed = self.enabled(given)
        return Answers(
            {link: answers for link, answers in given.items() if link in enabled},
            closed,
            {link: answers for link, answers in given.items() if link not in enabled},
            chart,
            authored,
        )

    def reopened(self, answers: Answers, links: AbstractSet[str]) -> Answers:
        """Returns answers with these questions open, and with them whatever only their answers closed."""
        given = {link: values for link, values in answers.given.items() if link not in links}
        _, closed = self.enabled(given)
        return replace(answers, given=given, closed=answers.closed & closed)


def compile_questionnaire(
    resource: Json, value_sets: ValueSets, *, is_sound: bool = False
) -> CompiledQuestionnaire:
    """Compiles a Questionnaire that is fit to be served, with all that is made of it.

    Args:
        is_sound: the lint is known to find no error, and is not asked.

    Raises:
        GuidanceError: the lint found errors; a line each, naming place and expectation.
    """
    compiled = compile_leniently(resource, value_sets, linted=not is_sound)
    faults = [f"{found.expression}: {found.text}" for found in compiled.lint if found.is_error]
    if faults:
        raise GuidanceError(faults)
    compiled.complete()
    return compiled


def compile_leniently(
    resource: Json, value_sets: ValueSets, *, is_quoted: bool = True, linted: bool = True
) -> CompiledQuestionnaire:
    """Compiles any Questionnaire as far as it can be understood; its faults stand under `lint`.

    Args:
        is_quoted: whether messages may repeat the words of the form, which are not ours if it was sent.
        linted: whether its faults are looked for.
    """
    items = MappingProxyType(items_of(resource, value_sets, is_quoted=is_quoted))
    ordered, circular = evaluation_order(items)
    canonical = "|".join(part for part in (text(resource.get("url")), text(resource.get("version"))) if part)
    top = tuple(link for link, item in items.items() if item.parent is None)
    expressions = compile_expressions(resource, items, value_sets, is_quoted=is_quoted)
    has_code = expressions is not None or any(item.limits.pattern for item in items.values())
    return CompiledQuestionnaire(
        resource=resource,
        canonical=canonical,
        items=items,
        lint=lint_items(resource, items, circular) if linted else (),
        subject_types=_subject_types(resource),
        _check_table=CheckTable(items, top, ordered, expressions, has_code),
        is_quoted=is_quoted,
    )


def _are_decidable(items: Mapping[str, Item]) -> bool:
    """Returns whether answers alone decide which items are enabled."""
    return not any(
        item.enable_expression or not all(is_decidable(condition, items) for condition in item.enable_when)
        for item in items.values()
    )


def _subject_types(resource: Json) -> frozenset[str]:
    listed = resource.get("subjectType")
    return frozenset(kind for kind in (listed if isinstance(listed, list) else ()) if text(kind))


def _above(item: Item, items: Mapping[str, Item]) -> Iterator[Item]:
    """Yields the items that one stands under, from the nearest to the top."""
    while item.parent is not None and item.parent in items:
        item = items[item.parent]
        yield item


def _enabled_by(item: Item, items: Mapping[str, Item]) -> tuple[str, ...]:
    """Returns the questions that the item's own conditions and those of its parents read, in order."""
    conditions = (condition for one in (item, *_above(item, items)) for condition in one.enable_when)
    found = {condition.question for condition in conditions if condition.question in items}
    return tuple(sorted(found, key=lambda link: items[link].order))


def _question(item: Item, items: Mapping[str, Item]) -> Question:
    is_asked_again = any(above.repeats for above in _above(item, items))
    return Question(
        link_id=item.link_id,
        text=item.text,
        type=item.type,
        options=item.options.coded if item.options is not None else (),
        order=item.order,
        codes=item.codes,
        units=_units(item),
        repeats=item.repeats or is_asked_again,
        enabled_by=_enabled_by(item, items),
        numbers=item.options.numbers if item.options is not None else (),
        short=text(ext.value(item.source, ext.SHORT_TEXT)),
        is_asked_again=is_asked_again,
    )


def _units(item: Item) -> tuple[str, ...]:
    """Returns the UCUM codes of an item's units; a plain number is in the unit that the form names for it.

    A unit of a plain number that is not coded in UCUM is empty: nothing can be converted to it.
    """
    if item.limits.units or item.type not in ("integer", "decimal"):
        return tuple(unit.code for unit in item.limits.units)
    named = (coding for coding in ext.values(item.source, ext.UNIT) if isinstance(coding, Mapping))
    return tuple(text(coding.get("code")) if coding.get("system", UCUM) == UCUM else "" for coding in named)


# Which Questionnaire a response answers.


def find_questionnaire(
    response: Json, known: Iterable[CompiledQuestionnaire], value_sets: ValueSets
) -> CompiledQuestionnaire | Problem:
    """Returns the Questionnaire that a response names, or the problem that there is none.

    A contained Questionnaire (`#id`) is compiled here. A bare url stands for the newest active version;
    where none is active, for the newest.
    """
    canonical = text(response.get("questionnaire"))
    if not canonical:
        words = "Expected: questionnaire, the url|version of a Questionnaire."
        return problem("canonical-missing", words, _CANONICAL)
    if canonical.startswith("#"):
        return _contained(canonical[1:], response, value_sets)
    url, _, version = canonical.partition("|")
    same_url = [compiled for compiled in known if text(compiled.resource.get("url")) == url]
    if not same_url:
        words = "Expected: the url of a Questionnaire that is known here."
        return problem("canonical-unknown", words, _CANONICAL)
    return _in_version(version, same_url)


def _in_version(version: str, same_url: Sequence[CompiledQuestionnaire]) -> CompiledQuestionnaire | Problem:
    found = [compiled for compiled in same_url if version in ("", text(compiled.resource.get("version")))]
    if not found:
        versions = ", ".join(compiled.canonical for compiled in sorted(same_url, key=version_order))
        words = f"Expected a version that is known here: {versions}."
        return problem("canonical-mismatch", words, _CANONICAL)
    active = [compiled for compiled in found if compiled.resource.get("status") == "active"]
    return max(active or found, key=version_order)


_VERSION = re.compile(r"v?(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?:[-_+](?P<rest>.*))?", re.ASCII | re.DOTALL)
_DATE_AS_VERSION = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")


def version_order(compiled: CompiledQuestionnaire) -> tuple[object, ...]:
    """Returns the sort key of a Questionnaire's version."""
    resource = compiled.resource
    return order_of_version(text(resource.get("version")), text(resource.get("date")))


def order_of_version(version: str, date: str) -> tuple[object, ...]:
    """Returns the sort key of a version: by its numbers, a release after its candidates, then by date.

    1.10 follows 1.9, 1.0.0 follows 1.0.0-rc.1. A version without numbers comes before all with numbers.

    Source:
        R4 references.html#canonical (without a version, the latest is meant); Semantic Versioning 2.0.0, 11.
    """
    found = _VERSION.fullmatch(_DATE_AS_VERSION.sub(r"\1.\2.\3", version))
    if found is None:
        return (), True, (), date, version
    numbers = [int(number) for number in found["numbers"].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    rest = found["rest"] or ""
    parts = tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in rest.split("."))
    return tuple(numbers), not rest, parts, date, version


def _contained(id_: str, response: Json, value_sets: ValueSets) -> CompiledQuestionnaire | Problem:
    """Returns a contained Questionnaire, compiled with the value sets that the response contains too."""
    contained = list(mappings(response.get("contained")))
    for resource in contained:
        if resource.get("resourceType") == "Questionnaire" and resource.get("id") == id_:
            return compile_leniently(resource, value_sets.with_contained(response), is_quoted=False)
    words = "Expected: #id of a Questionnaire that the response contains."
    return problem("canonical-unknown", words, _CANONICAL)
