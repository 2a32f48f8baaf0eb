"""The QuestionnaireResponse of a form: written of a state, and read from a file into one.

Items are nested as in the Questionnaire, in the words of the page's language; what is not enabled or not
answered is left out.

Source:
    FHIR R4 QuestionnaireResponse; decisions in docs/form.md (source, identifier, authored).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from service.datatypes.answers import UNREAD, Answer, AnswersByLink, Coding, Quantity, Uncoded
from service.datatypes.ucum import SYSTEM as UCUM
from service.datatypes.values import replace
from service.fhir import extensions as ext
from service.fhir.dates import date_time, time_range
from service.fhir.extensions import mappings
from service.fhir.json import Json, MutableJson
from service.fhir.references import contained_types, target_type
from service.guidance.model import Respondent
from service.pages.fields import Fields
from service.pages.plan import Plan, fitting, in_order
from service.pages.reading import Control
from service.pages.state import AMENDED, COMPLETED, FormState
from service.questionnaire import ASKED_ID, DISPLAY, CompiledQuestionnaire, Item, asking

KEPT: Final = (
    "id", "contained", "identifier", "basedOn", "partOf", "subject", "encounter", "author", "source",
)  # fmt: skip
"""Elements of an earlier response that one which goes on with it has again."""

AS_OF: Final = "as-of"
"""What is kept in the head of a state of when answers were given that are asked for again; empty: unknown."""

_STAYS_TRUE: Final = timedelta(1)

_ELEMENTS: Final[Mapping[str, str]] = {
    "boolean": "valueBoolean",
    "decimal": "valueDecimal",
    "integer": "valueInteger",
    "date": "valueDate",
    "dateTime": "valueDateTime",
    "time": "valueTime",
    "url": "valueUri",
}
_CLINICIANS: Final = frozenset({"Practitioner", "PractitionerRole"})
_RESPONDENTS: Final[Mapping[str, str]] = {"self": "Patient", "other": "RelatedPerson"}
_STEP: Final = re.compile(r"\.(item|answer)\[([0-9]+)\]")


class Responses:
    """Writes the responses to one Questionnaire, in one language.

    Args:
        compiled: the Questionnaire.
        fields: its fields in the language.
        language: its tag.
        respondent: the question that says who answers; None where none does.
    """

    def __init__(
        self,
        compiled: CompiledQuestionnaire,
        fields: Fields,
        language: str,
        respondent: Respondent | None = None,
    ) -> None:
        self._respondent = respondent
        self._compiled = compiled
        self._items = compiled.items
        self._fields = fields
        self._language = language

    def of(self, state: FormState, status: str, authored: str) -> MutableJson:
        """Returns the response of a state."""
        enabled, _ = self._compiled.enabled(state.answers)
        top = [link for link, item in self._items.items() if item.parent is None]
        own: MutableJson = {
            "resourceType": "QuestionnaireResponse",
            "language": self._language,
            "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{state.form}"},
            "questionnaire": self._compiled.canonical,
            "status": status,
            "authored": authored,
            "source": self._source(state),
        }
        head = {name: state.head[name] for name in KEPT if name in state.head}
        response = {
            **own,
            **head,
            **self._kept_source(own, head),
            "item": list(self._below(top, state, enabled)),
        }
        return {name: value for name, value in response.items() if value not in ([], {})}

    def _source(self, state: FormState) -> MutableJson:
        """Returns who answers, as far as the answers say it; empty where they do not."""
        if self._respondent is None:
            kind = _RESPONDENTS.get(state.respondent, "")
            return {"type": kind, "display": self._fields.respondents[state.respondent]} if kind else {}
        link = self._respondent.question
        codes = [answer.code for answer in state.answers.get(link, ()) if isinstance(answer, Coding)]
        kind = next((found for code, found in self._respondent.answers.items() if code in codes), "")
        return (
            {"type": kind, "display": ", ".join(self._fields.said(link, state.answers[link]))} if kind else {}
        )

    def _kept_source(self, own: Json, head: Json) -> Json:
        """Returns who answers: as an earlier response names them, unless it is somebody else now."""
        now, before = own["source"], head.get("source", {})
        kind = before.get("type") or target_type(before, {})
        if not now or (before and kind in ("", now["type"])):
            return {"source": before}
        is_subject = now["type"] == "Patient" and target_type(head.get("subject", {}), {}) == "Patient"
        return {"source": head["subject"] if is_subject else now}

    def _below(
        self, links: Sequence[str], state: FormState, enabled: frozenset[str]
    ) -> Iterator[MutableJson]:
        for link in links:
            item = self._items[link]
            if item.type == DISPLAY or link not in enabled:
                continue
            below = list(self._below(item.children, state, enabled))
            answers = [
                self._answer(self._fields.controls[link], given) for given in state.answers.get(link, ())
            ]
            if answers and link in state.sources:
                answers = [{"extension": [state.sources[link]], **answers[0]}, *answers[1:]]
            if below and item.answerable:
                answers = [{**(answers[0] if answers else {}), "item": below}, *answers[1:]]
            holds = {"answer": answers} if item.answerable else {"item": below}
            if answers or below:
                said = {"text": self._fields.label(link)} if item.text else {}
                yield {"linkId": link, **said, **holds}

    def _answer(self, control: Control, answer: Answer) -> MutableJson:
        option = next((option for option in control.options if option.answer == answer), None)
        match answer:
            case Coding(system, code):
                coding = {"system": system, "code": code, "display": "" if option is None else option.label}
                return {"valueCoding": _stated(coding)}
            case Uncoded(system, display):
                return {"valueCoding": _stated({"system": system, "display": display})}
            case Quantity():
                return {"valueQuantity": _quantity(control, answer)}
        return {_element(control.item, answer): answer}


def _stated(members: Mapping[str, Any]) -> MutableJson:
    return {name: value for name, value in members.items() if value != ""}


def _quantity(control: Control, answer: Quantity) -> MutableJson:
    known = next((unit for unit in control.units if unit.value == answer.unit), None)
    coding = (
        known.answer if known is not None and isinstance(known.answer, Coding) else Coding(UCUM, answer.unit)
    )
    unit = {
        "unit": answer.unit if known is None else known.label,
        "system": coding.system,
        "code": coding.code,
    }
    return {
        "value": answer.value,
        **_stated({"comparator": answer.comparator}),
        **(_stated(unit) if answer.unit else {}),
    }


def _element(item: Item, answer: Answer) -> str:
    """Returns the element that carries an answer that is neither a Coding nor a Quantity."""
    for option in mappings(item.source.get("answerOption")):
        for name, value in option.items():
            if name.startswith("value") and value == answer:
                return name
    return _ELEMENTS.get(item.type, "valueString")


# From a file.


def resumed(
    response: Json, plan: Plan, fresh: FormState, origin: str, asked: frozenset[str] | None = None
) -> FormState:
    """Returns the state in which a response goes on.

    What its answers close, although it is answered, is filled in once it is asked.

    Args:
        response: a QuestionnaireResponse to this Questionnaire in which nothing is wrong.
        plan: of the form.
        fresh: a state in which nothing is answered.
        origin: url of the extension that says from where an answer was filled in.
        asked: what a short form has asked; None where the full form asked.
    """
    checked = plan.compiled.check(response)
    closed = {link: given for link, given in checked.answers.ignored.items() if link in plan.page_of}
    is_done = response.get("status") in (COMPLETED, AMENDED)
    state = replace(
        fresh,
        sources=dict(_origins(response, origin)),
        answers=in_order(readable(checked.answers.given), plan.compiled),
        offered=readable(closed),
        head={
            **{name: response[name] for name in KEPT if name in response},
            **({"done": True} if is_done else {}),
        },
        begun=str(response.get("authored", "")),
        reviewing=is_done,
        is_short=fresh.is_short or asked is not None,
    )
    state = fitting(state, plan.compiled)
    if not state.is_short or (is_done and asked is None):
        return _seen_so_far(state, plan)
    return _seen_in_short(state, plan, asked or frozenset())


def asked_anew(state: FormState, now: datetime) -> FormState:
    """Returns a state in which answers are asked for again that are not of today, give or take a day.

    They stay in their boxes. What they say of time was said of another day: "for 3 days", three weeks ago.
    """
    if not state.answers or state.authored or _is_of_today(state.begun, now):
        return state
    head = {**state.head, AS_OF: state.begun}
    return replace(state, seen=frozenset(), trail=(), head=head, begun=date_time(now))


def _is_of_today(dated: str, now: datetime) -> bool:
    """Returns whether a FHIR dateTime, precise to the day at least, is at most a day before or after now."""
    found = time_range(dated) if len(dated) >= len("YYYY-MM-DD") else None
    first, last = ((now + by).timestamp() * 1_000_000 for by in (-_STAYS_TRUE, _STAYS_TRUE))
    return found is not None and found[1] >= first and found[0] <= last


def readable(answers: AnswersByLink) -> AnswersByLink:
    """Returns answers without those that say nothing which can be read."""
    return {link: tuple(one for one in given if one is not UNREAD) for link, given in answers.items()}


def _origins(holder: Json, url: str) -> Iterator[tuple[str, Json]]:
    """Yields by linkId the extension that says from where the first answer of an item was filled in."""
    for item in mappings(holder.get("item")):
        yield from _origins(item, url)
        for answer in mappings(item.get("answer")):
            yield from _origins(answer, url)
            for found in ext.extensions(answer, url):
                yield str(item.get("linkId")), found


def _seen_so_far(state: FormState, plan: Plan) -> FormState:
    """Returns a state in which all questions up to the last answered one were asked, but for the required.

    Of a finished response all were. What a record has filled in was not: nobody has confirmed it.
    """
    items = plan.compiled.items
    own = state.answers.keys() if state.reviewing else state.answers.keys() - state.sources.keys()
    last = len(items) if state.reviewing else max((items[link].order for link in own), default=-1)
    enabled, _ = plan.compiled.enabled(state.answers)
    seen = (
        link
        for link in plan.page_of
        if link in enabled
        and (
            link in own
            or (items[link].order < last and not state.answers.get(link) and not items[link].min_occurs)
        )
    )
    links = frozenset(seen)
    return replace(state, seen=links, trail=plan.pages_with(links) if state.is_short else ())


def _seen_in_short(state: FormState, plan: Plan, asked: Collection[str]) -> FormState:
    """Returns a state in which those questions were asked that have an answer, or may go without one.

    What has no answer and was not asked in a short form can still be asked, wherever it stands.
    """
    items, (enabled, _) = plan.compiled.items, plan.compiled.enabled(state.answers)
    passed = {link for link in asked if not items[link].min_occurs}
    seen = enabled & plan.page_of.keys() & ((passed | state.answers.keys()) - state.sources.keys())
    return replace(state, seen=frozenset(seen), trail=plan.pages_with(seen))


def as_asked(response: Json, state: FormState, plan: Plan) -> Json:
    """Returns the response of a short form with the Questionnaire of what was asked in it."""
    known = {one.get("id") for one in mappings(response.get("contained"))}
    id_ = next(id_ for id_ in _ids() if id_ not in known)
    return asking(response, plan.compiled, state.seen | state.answers.keys(), id_)


def as_sent(state: FormState, plan: Plan) -> FormState:
    """Returns a state without answers that nobody has sent: what the form itself filled in, for example."""
    unsent = plan.page_of.keys() - state.seen
    answers = {link: given for link, given in state.answers.items() if link not in unsent}
    return fitting(replace(state, answers=answers), plan.compiled)


def _ids() -> Iterator[str]:
    """Yields the ids that the contained Questionnaire may have, the plainest first."""
    yield ASKED_ID
    yield from (f"{ASKED_ID}-{number}" for number in count(2))


def is_by_clinician(response: Json) -> bool:
    """Returns whether a health professional gave the answers, as `source` of the response says."""
    return target_type(response.get("source", {}), contained_types(response)) in _CLINICIANS


def link_at(response: Json, expression: str) -> str:
    """Returns the linkId of the item that a FHIRPath expression into a response names; empty for none."""
    place: Any = response
    link = ""
    for name, index in _STEP.findall(expression):
        listed = place.get(name) if isinstance(place, Mapping) else None
        if not isinstance(listed, list) or int(index) >= len(listed):
            break
        place = listed[int(index)]
        link = place.get("linkId", link) if name == "item" else link
    return link
