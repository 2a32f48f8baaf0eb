"""Chart data: Observations as answers, where the person was not asked or did not answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from service.datatypes.answers import Answer, Coding, Quantity
from service.datatypes.form import Form
from service.errors import Problem
from service.fhir.dates import time_range
from service.fhir.json import Json
from service.fhir.parameters import AssessInput, ResourceAt
from service.fhir.response_context import portable_identifier
from service.fhir.structure import check_structure

UCUM: Final = "http://unitsofmeasure.org"

_USED = frozenset({"final", "amended", "corrected"})
_VOID = frozenset({"entered-in-error", "cancelled"})
_LONG_AGO: Final = -(2**63)


@dataclass(frozen=True, slots=True)
class ChartValues:
    """Values from the chart.

    Args:
        answers: by linkId, one for each: the newest.
        sources: Reference to the Observation of each, by linkId.
        unusable: linkIds for which the chart has something that is no usable value: unknown, not absent.
        problems: errors (another patient, not R4) and, as information, what was left out and why.
    """

    answers: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    sources: Mapping[str, Json] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    unusable: frozenset[str] = frozenset()

    @property
    def basis(self) -> tuple[Json, ...]:
        """References to the Observations, each once, in form order."""
        return tuple({id(source): source for source in self.sources.values()}.values())


class _Value(NamedTuple):
    """One usable Observation; `when` and `key` order several of the same code, whatever their order was."""

    when: int
    key: tuple[str, str]
    value: Quantity
    source: Json
    codes: tuple[Coding, ...]


def chart_values(sent: AssessInput, form: Form) -> ChartValues:
    """Returns the newest usable value for each question that an Observation's code names.

    Args:
        sent: the response, which tells whose chart it must be, and the Observations.
        form: questions are matched by their codes; the unit is left to the guidance to compare.
    """
    if not sent.data:
        return ChartValues()
    problems: list[Problem] = []
    left_out: set[Coding] = set()
    values = list(_values(sent, problems, left_out))
    asked = {code for question in form.questions.values() for code in question.codes}
    problems += (
        _left_out(at, "no question has its code") for value, at in values if asked.isdisjoint(value.codes)
    )
    newest = dict(_newest([value for value, _ in values], form))
    answers: dict[str, tuple[Answer, ...]] = {
        link: (found.value if form.questions[link].type == "quantity" else found.value.value,)
        for link, found in newest.items()
    }
    sources = {link: found.source for link, found in newest.items()}
    unusable = {link for link, question in form.questions.items() if not left_out.isdisjoint(question.codes)}
    return ChartValues(answers, sources, tuple(problems), frozenset(unusable - newest.keys()))


def _values(
    sent: AssessInput, problems: list[Problem], left_out: set[Coding]
) -> Iterator[tuple[_Value, str]]:
    """Yields usable values with their places; adds faults, and the codes of what says too little to use."""
    subject = sent.response.get("subject")
    for observation in sent.data:
        faults = check_structure(observation.resource, "Observation", observation.at)
        problems += faults
        if faults:
            continue
        if _is_another(observation.resource.get("subject"), subject):
            text = "subject: expected the subject of the response, named in the same way."
            problems.append(Problem("chart-subject", text, f"{observation.at}.subject"))
            continue
        reason = _unusable(observation.resource)
        if reason:
            problems.append(_left_out(observation.at, reason))
            if observation.resource["status"] not in _VOID:
                left_out.update(_codings(observation.resource))
        else:
            yield _value(observation), observation.at


def _left_out(at: str, reason: str) -> Problem:
    return Problem("chart-ignored", f"A value from the chart was left out: {reason}.", at, "information")


def _unusable(observation: Json) -> str:
    """Returns why an Observation gives no value here, or an empty string."""
    quantity = observation.get("valueQuantity")
    if observation["status"] not in _USED:
        return "its status is not final, amended or corrected"
    if quantity is None or "value" not in quantity:
        return "it has no quantity"
    if "comparator" in quantity:
        return "it is a limit (such as <) and not a value"
    if quantity.get("system") != UCUM or "code" not in quantity:
        return "its unit is not coded in UCUM"
    return ""


def _value(sent: ResourceAt) -> _Value:
    observation = sent.resource
    quantity = observation["valueQuantity"]
    return _Value(
        _effective(observation),
        (str(observation.get("issued", "")), str(observation.get("id", sent.at))),
        Quantity(Decimal(quantity["value"]), quantity["code"]),
        _source(observation),
        _codings(observation),
    )


def _codings(observation: Json) -> tuple[Coding, ...]:
    codings = observation["code"].get("coding", ())
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


def _newest(values: list[_Value], form: Form) -> Iterator[tuple[str, _Value]]:
    for link, question in form.questions.items():
        if question.type not in ("quantity", "decimal"):
            continue
        fitting = [value for value in values if not frozenset(question.codes).isdisjoint(value.codes)]
        if fitting:
            yield link, max(fitting, key=lambda value: (value.when, value.key))


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
