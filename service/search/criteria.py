"""Search parameters of a query as the criteria of a search."""

from __future__ import annotations

from service.errors import Malformed, Problem
from service.search.parameters import SearchParameter
from service.search.texts import split, unescaped
from service.search.values import EXPECTED, is_type, values_of
from service.storage import AnyCriterion, Criterion, IdIs, Missing, RangeIs, UpdatedIs

_TRUTH = {"true": True, "false": False}


def criterion_from(parameter: SearchParameter, modifier: str, text: str, base: str) -> AnyCriterion | None:
    """Returns what one `name:modifier=value` of a query asks for; None where the value is empty.

    Args:
        parameter: the parameter that the name stands for.
        modifier: what stands behind the colon, or empty.
        text: the value, decoded; its escapes are still in it.
        base: public FHIR base.

    Raises:
        Malformed: the modifier or the value cannot be read.
    """
    _check_modifier(parameter, modifier)
    alternatives = [each for each in split(text, ",") if each]
    if not alternatives:
        return None
    if modifier == "missing":
        return Missing(parameter.name, _truth(parameter, text))
    if parameter.name == "_id":
        return IdIs(tuple(unescaped(each) for each in alternatives))
    found = [values_of(parameter, modifier, each, base) for each in alternatives]
    values = tuple(value for each in found if each is not None for value in each)
    if None in found:
        raise _value_fault(parameter, modifier)
    if parameter.name == "_lastUpdated":
        return UpdatedIs(tuple(value for value in values if isinstance(value, RangeIs)))
    name = f"{parameter.name}:exact" if modifier == "exact" else parameter.name
    return Criterion(name, values, negated=modifier == "not")


def _check_modifier(parameter: SearchParameter, modifier: str) -> None:
    if modifier and modifier not in parameter.modifiers and not _is_target(parameter, modifier):
        known = [f":{each}" for each in parameter.modifiers]
        if _takes_types(parameter):
            known.append(":<type of resource>")
        expected = f"expected one of the modifiers {', '.join(known)}" if known else "expected no modifier"
        raise Malformed(Problem("search-modifier", f"Parameter {parameter.name}: {expected}."))


def _takes_types(parameter: SearchParameter) -> bool:
    return parameter.type == "reference" and not parameter.canonical


def _is_target(parameter: SearchParameter, modifier: str) -> bool:
    if not _takes_types(parameter):
        return False
    return modifier in parameter.targets if parameter.targets else is_type(modifier)


def _truth(parameter: SearchParameter, text: str) -> bool:
    if text not in _TRUTH:
        raise Malformed(
            Problem("search-value", f"Parameter {parameter.name}:missing: expected true or false.")
        )
    return _TRUTH[text]


def _value_fault(parameter: SearchParameter, modifier: str) -> Malformed:
    expected = EXPECTED.get(modifier) or EXPECTED[parameter.type]
    return Malformed(Problem("search-value", f"Parameter {parameter.name}: expected {expected}."))
