"""Observation-based extraction: which answers become Observations, with which codes, joined how.

The plan is read from the form alone; a fault of the form is named whatever was answered. What a form asks
for beside Observations is named too, and nothing is extracted then: half of what a form asks for would be
taken for all of it.

Source: SDC 4.0 extraction.html, observation-based; observationExtract (a value is inherited, and a code
within the item goes before it), observation-extract-category; sdc-obsn-1; R4 Observation.value[x].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from service.errors import NotScorable, Problem
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json, MutableJson
from service.fhir.response_context import portable_coding, portable_quantity
from service.questionnaire.compiled import CompiledQuestionnaire
from service.questionnaire.extracted_values import unit_of
from service.questionnaire.items import DISPLAY, GROUP, Item

INDEPENDENT: Final = "independent"
COMPONENT: Final = "component"
MEMBER: Final = "member"
DERIVED: Final = "derived"
_RELATED: Final = frozenset({COMPONENT, MEMBER, DERIVED})
_RELATIONS: Final = _RELATED | {INDEPENDENT}

_NOTHING: Final = ""
"""The extension says that nothing is extracted."""

_NO_ENTRY: Final = "observationExtractEntry: expected at an item that becomes an Observation of its own."
_WITHOUT_VALUE: Final = frozenset({"attachment", "reference"})
_ELEMENTS: Final = {
    "valueBoolean": "valueBoolean",
    "valueInteger": "valueInteger",
    "valueDate": "valueDateTime",
    "valueDateTime": "valueDateTime",
    "valueTime": "valueTime",
    "valueString": "valueString",
    "valueUri": "valueString",
}
"""Where a plain answer stands in an Observation."""


class Wanted(NamedTuple):
    """What is extracted of one item.

    Args:
        codes: Codings of Observation.code.
        relation: to the Observation of the item that holds it.
        categories: CodeableConcepts of Observation.category.
    """

    codes: tuple[Json, ...]
    relation: str
    categories: tuple[Json, ...]


class ExtractionPlan(msgspec.Struct, frozen=True):
    """What is extracted of each item, by linkId; `problems`: why nothing can be."""

    items: Mapping[str, Item]
    wanted: Mapping[str, Wanted]
    problems: tuple[Problem, ...]


class _Scope(NamedTuple):
    """What an item leaves to those below it.

    Args:
        relation: what the nearest extension says; None if there is none.
        categories: those of the nearest item that has any.
        holder: linkId of the nearest item that becomes an Observation.
    """

    relation: str | None = None
    categories: tuple[Json, ...] = ()
    holder: str = ""


def extraction_plan(compiled: CompiledQuestionnaire) -> ExtractionPlan:
    """Reads from a form what is to be extracted of the responses to it."""
    planning = _Planning(compiled)
    planning.run()
    problems = (*_unsupported(compiled.resource, "Questionnaire"), *planning.problems)
    return ExtractionPlan(compiled.items, MappingProxyType(planning.wanted), problems)


class _Planning:
    """One walk over the items of a form, parents before children."""

    def __init__(self, compiled: CompiledQuestionnaire) -> None:
        self._form = compiled
        self.wanted: dict[str, Wanted] = {}
        self.problems: list[Problem] = []

    def run(self) -> None:
        root = self._form.resource
        top = _Scope(self._said(root, "Questionnaire"), _categories(root))
        if any(ext.extensions(root, ext.OBSERVATION_EXTRACT_ENTRY)):
            self.problems.append(Problem("extract-form", _NO_ENTRY, "Questionnaire"))
        scopes: dict[str | None, _Scope] = {None: top}
        for link, item in self._form.items.items():
            outer = scopes[item.parent]
            own = self._said(item.source, item.path)
            relation = outer.relation if own is None else own
            categories = _categories(item.source) or outer.categories
            found = self._of_item(item, own, relation, categories)
            if found is not None:
                self.wanted[link] = found
                self._check(item, found, outer.holder)
            is_entry = found is not None and found.relation != COMPONENT
            if not is_entry and any(ext.extensions(item.source, ext.OBSERVATION_EXTRACT_ENTRY)):
                self._report("extract-form", item, _NO_ENTRY)
            scopes[link] = _Scope(relation, categories, outer.holder if found is None else link)

    def _report(self, kind: str, item: Item, words: str) -> None:
        self.problems.append(Problem(kind, f"{item.label}: {words}", item.path))

    def _said(self, element: Json, path: str) -> str | None:
        """Reads the extension of an element: a relation, _NOTHING, or None if it has none."""
        found = list(ext.extensions(element, ext.OBSERVATION_EXTRACT))
        if not found:
            return None
        flag, code = found[0].get("valueBoolean"), found[0].get("valueCode")
        if len(found) == 1 and isinstance(flag, bool) and code is None:
            return INDEPENDENT if flag else _NOTHING
        if len(found) == 1 and flag is None and code in _RELATIONS:
            return str(code)
        expected = f"Expected observationExtract once, a boolean or one of {', '.join(sorted(_RELATIONS))}."
        self.problems.append(Problem("extract-form", expected, path))
        return None

    def _of_item(
        self, item: Item, own: str | None, relation: str | None, categories: tuple[Json, ...]
    ) -> Wanted | None:
        """Returns the extraction of an item; a code with an extension of its own goes before the item."""
        codes = list(mappings(item.source.get("code")))
        said = [self._said(code, f"{item.path}.code[{n}]") for n, code in enumerate(codes)]
        if item.type == DISPLAY:
            if own is not None or any(each is not None for each in said):
                self._report("extract-form", item, "expected no observationExtract on a display item.")
            return None
        self._check_mixture(item, codes)
        chosen = [code for code, each in zip(codes, said, strict=True) if each]
        if chosen:
            relations = {each for each in said if each}
            if len(relations) > 1:
                self._report("extract-form", item, "expected one relation for all of its codes.")
            of_codes = tuple(found for code in chosen for found in _categories(code))
            return Wanted(tuple(map(portable_coding, chosen)), min(relations), of_codes or categories)
        left = [code for code, each in zip(codes, said, strict=True) if each is None]
        if not relation:
            return None
        if own and not left and item.answerable and not item.children:
            self._report("extract-form", item, "expected a code, since an Observation is to be made of it.")
        return Wanted(tuple(map(portable_coding, left)), relation, categories) if left else None

    def _check_mixture(self, item: Item, codes: Sequence[Json]) -> None:
        """Reports booleans beside codes in the extensions of one item, as the extension has it."""
        elements = {
            name
            for element in (item.source, *codes)
            for extension in ext.extensions(element, ext.OBSERVATION_EXTRACT)
            for name in ("valueBoolean", "valueCode")
            if name in extension
        }
        if len(elements) > 1:
            words = "expected a boolean or a code in all observationExtract of the item and its codes."
            self._report("extract-form", item, words)

    def _check(self, item: Item, wanted: Wanted, holder: str) -> None:
        """Reports what can stand in no Observation of R4."""
        if item.type in _WITHOUT_VALUE:
            self._report("extract-unsupported", item, _no_value(item.type))
        if wanted.relation == COMPONENT and item.type == GROUP:
            self._report("extract-form", item, "expected a question, since a component has a value.")
        if wanted.relation not in _RELATED:
            return
        held = self.wanted.get(holder)
        if held is None or held.relation == COMPONENT:
            words = f"{wanted.relation}: expected to stand under an item that becomes an Observation."
            self._report("extract-form", item, words)


def _no_value(kind: str) -> str:
    return f"an Observation of R4 has no value of type {kind}. Expected: the form without extracting it."


def _unsupported(element: Json, path: str) -> Iterator[Problem]:
    """Yields a problem for each extension, of a form, an item or a code, that is not supported."""
    for extension in mappings(element.get("extension")):
        if extension.get("url") in ext.EXTRACTION_NOT_SUPPORTED:
            name = text(extension["url"]).rpartition("-")[2]
            words = f"{name} is not supported here. Expected: the form without it."
            yield Problem("extract-unsupported", words, path)
    for name in ("item", "code"):
        for index, inner in enumerate(mappings(element.get(name))):
            yield from _unsupported(inner, f"{path}.{name}[{index}]")


def _categories(element: Json) -> tuple[Json, ...]:
    return tuple(ext.values(element, ext.OBSERVATION_EXTRACT_CATEGORY))


# What a response makes of the plan.


class Extracted(msgspec.Struct):
    """What one answer or group becomes, if anything.

    Args:
        wanted: how.
        key: linkIds and numbers that lead to it; the same for the same place in another version.
        at: its FHIRPath in the response.
        value: the element of Observation.value[x] with its value; empty if there is none.
        components: those that have a value.
        members: what Observation.hasMember names, where it is made.
        derived_from: what it is derived from, where that is made.
    """

    wanted: Wanted
    key: str
    at: str
    value: MutableJson
    components: list[MutableJson] = msgspec.field(default_factory=list)
    members: list[Extracted] = msgspec.field(default_factory=list)
    derived_from: Extracted | None = None

    @property
    def is_made(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.value or self.components) or any(member.is_made for member in self.members)


def extracted(plan: ExtractionPlan, response: Json) -> list[Extracted]:
    """Returns the Observations to make, in the order of the response.

    Args:
        plan: of its form, without problems.
        response: valid, and complete.

    Raises:
        NotScorable: an answer can stand in no Observation, or says whom the others are about.
    """
    extraction = _Extraction(plan)
    extraction.walk(response, ("QuestionnaireResponse", ""), None)
    if extraction.problems:
        raise NotScorable(*extraction.problems)
    return [found for found in extraction.found if found.is_made]


class _Extraction:
    """One walk over the items of a response."""

    def __init__(self, plan: ExtractionPlan) -> None:
        self._plan = plan
        self.found: list[Extracted] = []
        self.problems: list[Problem] = []

    def walk(self, container: Json, place: tuple[str, str], holder: Extracted | None) -> None:
        """Walks the items of a response, a group or an answer.

        Args:
            container: has the items.
            place: its FHIRPath, and its key.
            holder: the nearest of what it stands in that becomes an Observation.
        """
        numbers: dict[str, int] = {}
        for index, source in enumerate(container.get("item", ())):
            link = source["linkId"]
            numbers[link] = numbers.get(link, -1) + 1
            here = (f"{place[0]}.item[{index}]", f"{place[1]}/{link}[{numbers[link]}]")
            self._check_subject(source, here[0])
            item, wanted = self._plan.items[link], self._plan.wanted.get(link)
            if item.type == GROUP:
                own = None if wanted is None else self._add(wanted, here, {}, holder)
                self.walk(source, here, own or holder)
            for n, answer in enumerate(source.get("answer", ())):
                inner = (f"{here[0]}.answer[{n}]", f"{here[1]}/{n}")
                self._check_subject(answer, inner[0])
                value = {} if wanted is None else self._value(item, answer, inner[0])
                own = None if wanted is None else self._add(wanted, inner, value, holder)
                self.walk(answer, inner, own or holder)

    def _add(
        self, wanted: Wanted, place: tuple[str, str], value: MutableJson, holder: Extracted | None
    ) -> Extracted | None:
        """Adds what an answer or a group becomes, and returns it if it may hold others."""
        if wanted.relation == COMPONENT:
            if holder is not None and value:
                holder.components.append({"code": concept(wanted.codes), **value})
            return None
        made = Extracted(wanted, place[1], place[0], value)
        self.found.append(made)
        if holder is not None and wanted.relation == MEMBER:
            holder.members.append(made)
        elif holder is not None and wanted.relation == DERIVED:
            made.derived_from = holder
        return made

    def _check_subject(self, element: Json, path: str) -> None:
        if any(True for url in ext.IS_SUBJECT for _ in ext.extensions(element, url)):
            words = "isSubject is not supported. Expected: answers about the subject of the response alone."
            self.problems.append(Problem("extract-unsupported", words, path))

    def _value(self, item: Item, answer: Json, path: str) -> MutableJson:
        """Returns the value of an Observation; nothing if the answer has none."""
        element = next((name for name in answer if name.startswith("value")), "")
        value: Any = answer.get(element)
        if element in ("valueAttachment", "valueReference"):
            kind = element.removeprefix("value")
            words = f"{item.label}: {_no_value(kind.lower())}"
            self.problems.append(Problem("extract-unsupported", words, path))
            return {}
        if element == "valueCoding":
            return _coded(value)
        if element == "valueQuantity":
            kept = portable_quantity(value)
            return {"valueQuantity": kept} if "value" in kept else {}
        unit = ext.value(item.source, ext.UNIT)
        if element == "valueDecimal" or (element == "valueInteger" and isinstance(unit, Mapping)):
            return {"valueQuantity": {"value": value, **unit_of(unit)}}
        return {_ELEMENTS[element]: value} if element in _ELEMENTS else {}


def _coded(value: Json) -> MutableJson:
    coding = portable_coding(value)
    if "code" in coding:
        return {"valueCodeableConcept": {"coding": [coding]}}
    return {"valueCodeableConcept": {"text": coding["display"]}} if "display" in coding else {}


def concept(codes: Sequence[Json]) -> MutableJson:
    """Returns the CodeableConcept of an item's codes."""
    return {"coding": [dict(code) for code in codes]}
