"""A response of an adaptive form: it contains the Questionnaire of what was asked, derived from a served one.

Whoever answers has read the contained Questionnaire, and is scored by the one that it is derived from. So
each item must be an item of that one, in its words and with its options: an answer to a question that was put
in another way means something else.

Source: SDC 4.0 adaptive.html, StructureDefinition sdc-questionnaire-adapt (derivedFrom) and
sdc-questionnaireresponse-adapt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.errors import NotScorable, Problem
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.questionnaire.compiled import CompiledQuestionnaire
from service.questionnaire.items import Item
from service.questionnaire.problems import problem
from service.questionnaire.spelling import folded, spelled
from service.questionnaire.values import answer_in


@dataclass(frozen=True, slots=True)
class AskedForm:
    """The Questionnaire that a response contains, with what was asked.

    Args:
        id: by which the response names it.
        resource: the Questionnaire.
        at: its FHIRPath.
        canonical: the Questionnaire that it is derived from, as `url|version` or url.
    """

    id: str
    resource: Json
    at: str
    canonical: str

    def questions(self, compiled: CompiledQuestionnaire) -> frozenset[str]:
        """Returns the linkIds of its items that the served Questionnaire has."""
        return frozenset(text(item.get("linkId")) for item, _ in self._items()) & compiled.items.keys()

    def faults(self, compiled: CompiledQuestionnaire) -> Iterator[Problem]:
        """Yields where it is not what the served Questionnaire asks; what it does not state is no fault."""
        for stated, at in self._items():
            item = compiled.items.get(text(stated.get("linkId")))
            if item is None:
                words = "Expected: linkId is one of the Questionnaire that this one is derived from."
                yield problem("item-unknown", words, at)
                continue
            if "text" in stated and not _is_worded(item, stated["text"]):
                words = f"{item.label}: expected this text, as in the Questionnaire it comes from."
                yield problem("item-text", words, f"{at}.text")
            if text(stated.get("type")) != item.type or not _has_options(item, stated):
                words = f"{item.label}: expected type and options as in the Questionnaire it comes from."
                yield problem("canonical-mismatch", words, at)

    def answered(self, response: Json, canonical: str) -> Json:
        """Returns the response as one to the Questionnaire of this canonical, without the contained one."""
        others = [one for one in mappings(response.get("contained")) if one.get("id") != self.id]
        kept = {name: value for name, value in response.items() if name != "contained"}
        beside = {"contained": others} if others else {}
        return {**kept, **beside, "questionnaire": canonical}

    def _items(self) -> Iterator[tuple[Json, str]]:
        """Yields all items with their places."""
        waiting: list[tuple[Json, str]] = [(self.resource, self.at)]
        while waiting:
            holder, at = waiting.pop()
            below = [(item, f"{at}.item[{place}]") for place, item in enumerate(mappings(holder.get("item")))]
            yield from below
            waiting += below


def asked_form(response: Json, at: str) -> AskedForm | None:
    """Returns the Questionnaire that a response contains and answers; None where it names one by its url.

    Args:
        response: in which no problem of structure was found.
        at: its FHIRPath in what was sent.

    Raises:
        NotScorable: it contains none of that id, or one that does not say what it is derived from.
    """
    named = text(response.get("questionnaire"))
    if not named.startswith("#"):
        return None
    for place, resource in enumerate(mappings(response.get("contained"))):
        if resource.get("id") == named[1:] and resource.get("resourceType") == "Questionnaire":
            here = f"{at}.contained[{place}]"
            return AskedForm(named[1:], resource, here, _derived_from(resource, here))
    words = "Expected: #id of a Questionnaire that the response contains, with what was asked."
    raise NotScorable(Problem("canonical-unknown", words, f"{at}.questionnaire"))


def _derived_from(form: Json, at: str) -> str:
    derived = form.get("derivedFrom")
    if isinstance(derived, list) and len(derived) == 1 and isinstance(derived[0], str):
        return derived[0]
    words = "Expected: derivedFrom of a contained Questionnaire, the url|version of one that is served here."
    raise NotScorable(Problem("canonical-missing", words, at))


def _is_worded(item: Item, stated: Any) -> bool:
    """Whether a text is that of an item in some language; case, blanks and punctuation do not count."""
    known = [*item.wordings]
    return isinstance(stated, str) and (stated in known or spelled(stated) in map(spelled, known))


def _has_options(item: Item, stated: Json) -> bool:
    """Whether a question offers what the served one does, where it says what it offers."""
    if stated.get("answerValueSet") not in (None, item.source.get("answerValueSet")):
        return False
    if "answerOption" not in stated:
        return True
    if item.options is None or "answerOption" not in item.source:
        return False
    found = [_option(item, option) for option in mappings(stated["answerOption"])]
    return None not in found and set(found) == set(item.options.choices)


def _option(item: Item, stated: Json) -> Any:
    """Returns an option as an answer; None where it cannot be read, or has a name that is not its own."""
    found = answer_in(stated, "value")
    return None if found is None or not _is_named(item, found[1], stated.get(found[0])) else found[1]


def _is_named(item: Item, answer: Any, value: Any) -> bool:
    display = value.get("display") if isinstance(value, dict) else None
    if display is None or item.options is None or answer not in item.options.choices:
        return True
    return isinstance(display, str) and folded(display) in map(folded, item.options.names(answer))
