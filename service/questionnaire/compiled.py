"""Which form a response answers: by `url|version`, by url, or contained in the response itself.

Source: FHIR R4 references.html#canonical; QuestionnaireResponse.questionnaire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from service.datatypes.answers import Answer, Answers, Coding
from service.datatypes.form import Form, Option, Question
from service.errors import GuidanceError, Problem
from service.fhir.extensions import mappings, text
from service.fhir.outcome import severity
from service.questionnaire.accept import Plans, accept, plans_of
from service.questionnaire.check import Checked, Rules, check
from service.questionnaire.enable_when import Gates, gates_of, sequence
from service.questionnaire.expressions import logic_of
from service.questionnaire.items import Item, items_of
from service.questionnaire.lint import lint_with
from service.terminology.value_sets import ValueSets

# A Questionnaire compiled once: tables that answer every later question about a response.

_NO_CHART: Mapping[str, tuple[Answer, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled Questionnaire.

    Args:
        resource: as published.
        canonical: `url|version`.
        form: what the guidance must know of it.
        items: by linkId, in document order.
        lint: what is wrong with the Questionnaire itself, warnings included.
    """

    resource: Mapping[str, Any] = field(repr=False)
    canonical: str
    form: Form
    items: Mapping[str, Item]
    lint: tuple[Problem, ...]
    _rules: Rules = field(repr=False)
    _gates: Gates = field(repr=False)
    _plans: Plans | None = field(repr=False)

    def accept(self, items: Sequence[Any], complete: bool) -> Answers | None:  # noqa: FBT001 - a shared contract
        """Returns the answers of a response that is plainly valid, else None; see `accept.py`.

        Args:
            items: typed structs with the attributes that FHIR names; unset ones are `msgspec.UNSET`.
            complete: the status of the response demands that it is complete (completed, amended).
        """
        return accept(self._plans, self._gates, items, complete=complete) if self._plans is not None else None

    def check(self, response: Mapping[str, Any], status: str | None = None) -> Checked:
        """Checks a parsed response in full; never raises for what the response contains.

        Args:
            response: QuestionnaireResponse with int or Decimal numbers, of any shape.
            status: decides which faults count; the response's own status where it is not given.
        """
        return check(self._rules, response, text(response.get("status")) if status is None else status)

    def enabled(self, given: Mapping[str, tuple[Answer, ...]]) -> tuple[frozenset[str], frozenset[str]]:
        """Returns linkIds of items that are enabled by these answers, and of those closed for certain.

        It reads enableWhen only: an enableWhenExpression counts as true here, because it needs a response.
        """
        true = known = 0
        for link, answers in given.items():
            true_here, known_here = self._gates.bits(link, answers)
            true, known = true | true_here, known | known_here
        disabled, closed = self._gates.states(true, known)
        return frozenset(self.items) - self._gates.named(disabled), closed

    def answers_of(
        self, given: Mapping[str, tuple[Answer, ...]], *, chart: Mapping[str, tuple[Answer, ...]] = _NO_CHART
    ) -> Answers:
        """Returns answers as a response that gives them would: those of disabled items are ignored.

        Args:
            given: answers by linkId. chart: values from the chart by linkId.
        """
        enabled, closed = self.enabled(given)
        return Answers(
            {link: answers for link, answers in given.items() if link in enabled},
            closed,
            {link: answers for link, answers in given.items() if link not in enabled},
            chart,
        )


def compile_questionnaire(resource: Mapping[str, Any], value_sets: ValueSets) -> Compiled:
    """Compiles a Questionnaire that is fit to be served.

    Raises:
        GuidanceError: the lint found errors; a line each, naming place and expectation.
    """
    compiled = compile_leniently(resource, value_sets)
    faults = [
        f"{problem.expression}: {problem.text}" for problem in compiled.lint if problem.severity == "error"
    ]
    if faults:
        raise GuidanceError(faults)
    return compiled


def compile_leniently(resource: Mapping[str, Any], value_sets: ValueSets) -> Compiled:
    """Compiles any Questionnaire as far as it can be understood; its faults stand under `lint`."""
    items = MappingProxyType(items_of(resource, value_sets))
    ordered, circular = sequence(items)
    gates = gates_of(items, ordered)
    canonical = "|".join(part for part in (text(resource.get("url")), text(resource.get("version"))) if part)
    top = tuple(link for link, item in items.items() if item.parent is None)
    logic = logic_of(resource, items)
    return Compiled(
        resource=resource,
        canonical=canonical,
        form=Form(canonical, MappingProxyType(dict(_questions(items)))),
        items=items,
        lint=lint_with(resource, items, circular),
        _rules=Rules(items, top, ordered, logic),
        _gates=gates,
        _plans=plans_of(items, gates) if logic is None else None,
    )


def _questions(items: Mapping[str, Item]) -> Iterable[tuple[str, Question]]:
    for item in items.values():
        if item.answerable:
            yield item.link_id, _question(item, _gating(item, items))


def _gating(item: Item, items: Mapping[str, Item]) -> tuple[str, ...]:
    """The questions that the item's own conditions and those of its parents read, in order."""
    found: dict[str, None] = {}
    at: Item | None = item
    while at is not None:
        found.update(dict.fromkeys(each.question for each in at.conditions if each.question in items))
        at = items.get(at.parent) if at.parent is not None else None
    return tuple(sorted(found, key=lambda link: items[link].order))


def _question(item: Item, gates: tuple[str, ...]) -> Question:
    choices = item.options.choices.values() if item.options is not None else ()
    return Question(
        link_id=item.link_id,
        text=item.text,
        type=item.type,
        options=tuple(
            Option(choice.answer, choice.display, choice.weight)
            for choice in choices
            if isinstance(choice.answer, Coding)
        ),
        order=item.order,
        codes=item.codes,
        units=tuple(unit.code for unit in item.limits.units),
        repeats=item.repeats,
        enabled_by=gates,
    )


_PLACE = "QuestionnaireResponse.questionnaire"


def find_form(
    response: Mapping[str, Any], forms: Iterable[Compiled], value_sets: ValueSets
) -> Compiled | Problem:
    """Returns the form that a response names, or the problem that there is none.

    A contained Questionnaire (`#id`) is compiled here. A bare url stands for the only known version;
    where there are several, it is the active one, if only one is active.
    """
    canonical = text(response.get("questionnaire"))
    if not canonical:
        return _problem("canonical-missing", "Expected: questionnaire, the url|version of a Questionnaire.")
    if canonical.startswith("#"):
        return _contained(canonical[1:], response, value_sets)
    url, _, version = canonical.partition("|")
    same_url = [form for form in forms if text(form.resource.get("url")) == url]
    if not same_url:
        return _problem("canonical-unknown", "Expected: the url of a Questionnaire that is known here.")
    found = [form for form in same_url if version in ("", text(form.resource.get("version")))]
    if not found:
        known = ", ".join(sorted(form.canonical for form in same_url))
        return _problem("canonical-mismatch", f"Expected a version that is known here: {known}.")
    if len(found) > 1:
        found = [form for form in found if form.resource.get("status") == "active"]
    if len(found) != 1:
        return _problem(
            "canonical-mismatch", "Expected questionnaire with a version: several are known here."
        )
    return found[0]


def _contained(id_: str, response: Mapping[str, Any], value_sets: ValueSets) -> Compiled | Problem:
    """A contained Questionnaire sees the value sets that the response contains beside it."""
    contained = list(mappings(response.get("contained")))
    for resource in contained:
        if resource.get("resourceType") == "Questionnaire" and resource.get("id") == id_:
            return compile_leniently(resource, value_sets.with_resources(contained))
    return _problem("canonical-unknown", "Expected: #id of a Questionnaire that the response contains.")


def _problem(kind: str, words: str) -> Problem:
    return Problem(kind, words, _PLACE, severity(kind))
