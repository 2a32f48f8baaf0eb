"""A response of an adaptive form: it contains the Questionnaire of what was asked, derived from a served one.

Whoever answers has read the contained Questionnaire, and is scored by the one that it is derived from. So
each item must be an item of that one, in its words and with its options: an answer to a question that was put
in another way means something else.

Source: SDC 4.0 adaptive.html, StructureDefinition sdc-questionnaire-adapt (derivedFrom) and
sdc-questionnaireresponse-adapt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from service.datatypes.spelling import folded, spelled
from service.errors import NotScorable, Problem
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json, MutableJson
from service.questionnaire.compiled import CompiledQuestionnaire
from service.questionnaire.items import DISPLAY, GROUP, Item
from service.questionnaire.problems import problem
from service.questionnaire.values import answer_in

ASKED_ID: Final = "asked"
"""Id that the Questionnaire of what was asked has in the responses that are written here."""


class AskedForm(msgspec.Struct, frozen=True):
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
        return frozenset(text(item.get("linkId")) for item, _ in self.items()) & compiled.items.keys()

    def faults(self, compiled: CompiledQuestionnaire) -> Iterator[Problem]:
        """Yields the differences to the served Questionnaire; what it does not state is no fault."""
        for stated, at in self.items():
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

    def items(self) -> Iterator[tuple[Json, str]]:
        """Yields all items with their places."""
        waiting: list[tuple[Json, str]] = [(self.resource, self.at)]
        while waiting:
            holder, at = waiting.pop()
            below = [(item, f"{at}.item[{place}]") for place, item in enumerate(mappings(holder.get("item")))]
            yield from below
            waiting += below


def asked_form(response: Json, at: str) -> AskedForm | None:
    """Returns the Questionnaire that a response contains and answers; None if it names one by its url.

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


def canonical_named(response: Json) -> str:
    """Returns the canonical that a response answers; for an adaptive form, that of the served Questionnaire.

    Args:
        response: anything that may be one; empty comes back where it does not say.
    """
    try:
        asked = asked_form(response, "")
    except NotScorable:
        return ""
    return text(response.get("questionnaire")) if asked is None else asked.canonical


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
    """Returns an option as an answer; None if it cannot be read, or has a name that is not its own."""
    found = answer_in(stated, "value")
    return None if found is None or not _is_named(item, found[1], stated.get(found[0])) else found[1]


def _is_named(item: Item, answer: Any, value: Any) -> bool:
    display = value.get("display") if isinstance(value, dict) else None
    if display is None or item.options is None or answer not in item.options.choices:
        return True
    return isinstance(display, str) and folded(display) in map(folded, item.options.names(answer))


# Writing one: the served Questionnaire, cut to what was asked.

_COPIED: Final = ("language", "title", "_title", "status", "subjectType", "copyright", "_copyright")
"""What the contained Questionnaire says of itself as the served one does."""


def asking(
    response: Json, compiled: CompiledQuestionnaire, asked: Collection[str], id_: str = ASKED_ID
) -> MutableJson:
    """Returns a response as an adaptive form leaves it, with the Questionnaire of what was asked inside.

    Args:
        response: to the served Questionnaire.
        compiled: that one.
        asked: linkIds of the questions that were asked.
        id_: by which the response is to name what it contains.
    """
    others = list(mappings(response.get("contained")))
    form = _form(compiled, id_, asked)
    contained = [form, *_beside(compiled, form, others), *others]
    return {**response, "questionnaire": f"#{id_}", "contained": contained}


def _form(compiled: CompiledQuestionnaire, id_: str, shown: Collection[str]) -> MutableJson:
    """Returns the contained Questionnaire with these questions."""
    resource = compiled.resource
    form: MutableJson = {
        "resourceType": "Questionnaire",
        "id": id_,
        "extension": [{"url": ext.QUESTIONNAIRE_ADAPTIVE, "valueBoolean": True}],
        **{name: resource[name] for name in _COPIED if name in resource},
        "derivedFrom": [compiled.canonical],
    }
    items = list(_cut(mappings(resource.get("item")), shown))
    return {**form, "item": items} if items else form


def _cut(items: Iterator[Json], shown: Collection[str]) -> Iterator[MutableJson]:
    """Yields the items that are shown, groups with any of them, and texts that go with them."""
    for item in items:
        below = list(_cut(mappings(item.get("item")), shown))
        conditions = list(mappings(item.get("enableWhen")))
        known = [one for one in conditions if one.get("question") in shown]
        kind = item.get("type")
        is_group = kind == GROUP and any(one["type"] != DISPLAY for one in below)
        is_text = kind == DISPLAY and known == conditions
        if is_group or is_text or item.get("linkId") in shown:
            yield _item(item, known, below)


def _item(item: Json, conditions: list[Json], below: list[MutableJson]) -> MutableJson:
    left = ("item", "enableWhen") if conditions else ("item", "enableWhen", "enableBehavior")
    kept: dict[str, Any] = {name: value for name, value in item.items() if name not in left}
    if conditions:
        kept["enableWhen"] = conditions
    return {**kept, "item": below} if below else kept


def _beside(compiled: CompiledQuestionnaire, form: Json, others: list[Json]) -> Iterator[Json]:
    """Yields the value sets that the served Questionnaire contains and these questions name."""
    known = {one.get("id") for one in others}
    items = AskedForm("", form, "", "").items()
    named = {text(item.get("answerValueSet")) for item, _ in items}
    for one in mappings(compiled.resource.get("contained")):
        if f"#{one.get('id')}" in named and one.get("id") not in known:
            yield one
