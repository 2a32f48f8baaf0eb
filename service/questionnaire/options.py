"""The answers that a question permits, from answerOption or answerValueSet.

Source: FHIR R4 Questionnaire.item.answerOption, answerValueSet; type open-choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.guidance.answers import Answer, Coding
from service.questionnaire.extensions import OPTION_EXCLUSIVE, mappings, text, value
from service.questionnaire.item import Choice, Options
from service.questionnaire.value_sets import ValueSets
from service.questionnaire.values import answer_in
from service.questionnaire.weights import weight


def options_of(
    source: Mapping[str, Any], value_sets: ValueSets, contained: Sequence[Mapping[str, Any]]
) -> Options | None:
    """Returns what may be answered, or None where the item does not limit its answers to a list."""
    open_ = source.get("type") == "open-choice"
    if isinstance(source.get("answerOption"), list):
        return _listed(source, open_=open_)
    canonical = text(source.get("answerValueSet"))
    return _from_value_set(canonical, value_sets, contained, open_=open_) if canonical else None


def _listed(source: Mapping[str, Any], *, open_: bool) -> Options:
    choices: dict[Answer, Choice] = {}
    types: dict[str, None] = {}
    for option in mappings(source.get("answerOption")):
        found = answer_in(option, "value")
        if found is not None:
            types[found[0]] = None
            choices[found[1]] = _choice(option, found[1])
    if open_:
        types.setdefault("valueString")
    return Options(choices, tuple(types) or ("valueCoding",), open_)


def _choice(option: Mapping[str, Any], answer: Answer) -> Choice:
    coding = option.get("valueCoding") if isinstance(answer, Coding) else None
    coding = coding if isinstance(coding, Mapping) else {}
    return Choice(
        answer,
        text(coding.get("display")) if isinstance(answer, Coding) else str(answer),
        weight(option, coding),
        exclusive=value(option, OPTION_EXCLUSIVE) is True,
    )


def _from_value_set(
    canonical: str, value_sets: ValueSets, contained: Sequence[Mapping[str, Any]], *, open_: bool
) -> Options:
    types = ("valueCoding", "valueString") if open_ else ("valueCoding",)
    members = value_sets.members(canonical, contained)
    if members is None:
        return Options({}, types, open_, canonical, unreachable=True)
    return Options(members.choices, types, open_, canonical, members.uncertain)
