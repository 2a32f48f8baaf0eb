"""Reads a chart: the latest response, the reasons for the form, and entries about its questions.

A resource that is over, ruled out, withdrawn or entered in error says nothing.

Source:
    FHIR R4 Condition (clinicalStatus, verificationStatus), Observation (status), Encounter (status),
    MedicationRequest (status, medication[x]), QuestionnaireResponse (status).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final

from service.cds_hooks.services import CONDITIONS, ENCOUNTER, MEDICINES, OBSERVATIONS, RESPONSES, CdsService
from service.cds_hooks.triggers import Triggers
from service.datatypes.answers import Coding
from service.earlier import MOST_EARLIER, VOID
from service.errors import Malformed, Problem
from service.fhir.dates import span
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.questionnaire import canonical_named

_NOT_THERE: Final = frozenset({"entered-in-error", "refuted"})
_OVER: Final = frozenset({"inactive", "remission", "resolved"})
_NO_FINDING: Final = frozenset({"entered-in-error", "cancelled"})
_CURRENT: Final = frozenset({"active", "on-hold"})
_MEDICATION: Final = "Medication"
_MOST_NAME: Final = 100
_MOST_LATEST: Final = 10
"""Most responses that are looked at because their dates do not say which one is the latest."""


def latest(responses: Iterable[Json], form: str) -> tuple[Json, ...]:
    """Returns the responses to a form that may be the latest one that is not withdrawn.

    Several are left where one has no date, or dates do not tell them apart. Then the most urgent result
    counts: an answer of unknown date must not be passed over for one that says that all is well.

    Args:
        responses: those that a search found.
        form: the canonical url of the form, whatever its version.

    Raises:
        Malformed: too many are left.
    """
    dates = [(found, span(str(found.get("authored", "")))) for found in counting(responses, form)]
    known = [date for _, date in dates if date is not None]
    of_both = ([date for date in known if date.has_zone is has_zone] for has_zone in (True, False))
    newest = [max(alike, key=attrgetter("first")) for alike in of_both if alike]
    left = tuple(found for found, date in dates if date is None or all(map(date.may_be_after, newest)))
    if len(left) > _MOST_LATEST:
        text = (
            f"prefetch.{RESPONSES}: expected at most {_MOST_LATEST} responses whose dates do not order them."
        )
        raise Malformed(Problem("cds-request", text, f"prefetch.{RESPONSES}"))
    return left


def before(responses: Iterable[Json], form: str, newest: Sequence[Json]) -> tuple[Json, ...]:
    """Returns the responses to a form, none of them withdrawn, that are not among the newest.

    They are as many as a response can be compared with, the latest first as far as their dates say so.

    Args:
        responses, form: as `latest` takes them.
        newest: what it returned.
    """
    others = [found for found in counting(responses, form) if not any(found is one for one in newest)]
    others.sort(key=lambda found: str(found.get("authored", "")), reverse=True)
    return tuple(others[:MOST_EARLIER])


def counting(responses: Iterable[Json], form: str) -> list[Json]:
    """Returns the responses to a form, short ones too, that are not withdrawn."""
    return [
        found
        for found in responses
        if canonical_named(found).partition("|")[0] == form and found.get("status") not in VOID
    ]


# What in a chart gives a reason, and what it has beside.


def reasons_in(found: Mapping[str, tuple[Json, ...]], triggers: Triggers) -> Iterator[str]:
    """Yields key and id of the resources that give a reason, with the code that does."""
    looked_for = (
        (CONDITIONS, triggers.conditions, _holds, ("code",)),
        (OBSERVATIONS, triggers.observations, _found_it, ("code",)),
        (ENCOUNTER, triggers.reasons, _is_meant, ("reasonCode",)),
    )
    for key, codes, counts, elements in looked_for:
        for resource in found.get(key, ()):
            matched = set(codes) & set(_codings(resource, elements)) if counts(resource) else ()
            for coding in sorted(matched):
                yield f"{key}/{resource.get('id', '')} {coding.system}|{coding.code}"


def recorded_in(
    found: Mapping[str, tuple[Json, ...]], service: CdsService, server: str = ""
) -> Iterator[str]:
    """Yields the Conditions and medicines of the record that the form has questions about.

    An order of which the record does not show the code is named too: it may be what the form asks about.

    Args:
        found: the resources by prefetch key.
        service: whose form asks.
        server: FHIR base of the record; empty where it is not known.
    """
    for condition in found.get(CONDITIONS, ()):
        code = condition.get("code")
        matched = [coding for coding in _codings_in(code) if coding in service.asked_conditions]
        if matched and _holds(condition):
            yield _name_of(code, matched[0])
    orders = found.get(MEDICINES, ())
    medicines = _by_id(each for each in orders if each["resourceType"] == _MEDICATION)
    for order in orders:
        if order["resourceType"] != _MEDICATION and _is_taken(order):
            concept = _medicine_of(order, medicines, server)
            coded = [coding for coding in _codings_in(concept) if coding.code]
            matched = [coding for coding in coded if coding in service.asked_medicines]
            if matched:
                yield _name_of(concept, matched[0])
            elif not coded:
                yield _name_without_code(order, concept)


def _medicine_of(order: Json, medicines: Mapping[str, Json], server: str) -> object:
    """Returns the CodeableConcept of an order, or of the Medication it refers to; None where none is there.

    Args:
        order: a MedicationRequest.
        medicines: the Medications that came along, by id.
        server: FHIR base of the record.
    """
    if "medicationCodeableConcept" in order:
        return order["medicationCodeableConcept"]
    literal = text(_reference(order).get("reference"))
    if literal.startswith("#"):
        medicine = _by_id(mappings(order.get("contained"))).get(literal[1:])
    else:
        plain = literal.removeprefix(f"{server}/") if server else literal
        kind, _, of_id = plain.partition("/_history/")[0].partition("/")
        medicine = medicines.get(of_id) if kind == _MEDICATION else None
    return None if medicine is None or medicine.get("resourceType") != _MEDICATION else medicine.get("code")


def _by_id(resources: Iterable[Json]) -> Mapping[str, Json]:
    """Returns resources by id, but for those that share one: nobody can tell which of them is meant."""
    listed = [(text(resource.get("id")), resource) for resource in resources]
    times = Counter(of_id for of_id, _ in listed)
    return {of_id: resource for of_id, resource in listed if times[of_id] == 1}


def _reference(order: Json) -> Json:
    reference = order.get("medicationReference")
    return reference if isinstance(reference, Mapping) else {}


def _name_without_code(order: Json, concept: object) -> str:
    """Returns the name of a medicine that has no code: a text, a display, or the reference."""
    reference = _reference(order)
    named = text(reference.get("display")) or text(reference.get("reference")).removeprefix("#")
    return _name_of(concept, Coding("", named or _MEDICATION))


def _name_of(element: object, coding: Coding) -> str:
    """Returns the name of a CodeableConcept: its text, a display, or the code."""
    concepts = [*mappings(element if isinstance(element, list) else [element])]
    shown = (found.get("display") for concept in concepts for found in mappings(concept.get("coding")))
    names = filter(None, map(text, (*(concept.get("text") for concept in concepts), *shown)))
    return next(names, coding.code)[:_MOST_NAME]


def has_died(patient: Json) -> bool:
    """Says whether a Patient is known to have died."""
    return patient.get("deceasedBoolean") is True or "deceasedDateTime" in patient


def _is_taken(order: Json) -> bool:
    return order.get("status") in _CURRENT


def _holds(condition: Json) -> bool:
    """Says whether a Condition is neither over nor ruled out."""
    verified = {coding.code for coding in _codings(condition, ("verificationStatus",))}
    state = {coding.code for coding in _codings(condition, ("clinicalStatus",))}
    return not (verified & _NOT_THERE or state & _OVER)


def _found_it(observation: Json) -> bool:
    """Says whether an Observation found what its code says."""
    says_no = observation.get("valueBoolean") is False or "dataAbsentReason" in observation
    return observation.get("status") not in _NO_FINDING and not says_no


def _is_meant(encounter: Json) -> bool:
    return encounter.get("status") not in _NO_FINDING


def _codings(resource: Json, elements: Iterable[str]) -> Iterator[Coding]:
    for element in elements:
        yield from _codings_in(resource.get(element))


def _codings_in(concepts: object) -> Iterator[Coding]:
    """Yields the codings of a CodeableConcept, or of several."""
    for concept in mappings(concepts if isinstance(concepts, list) else [concepts]):
        for coding in mappings(concept.get("coding")):
            yield Coding(str(coding.get("system", "")), str(coding.get("code", "")))
