"""One enableWhen condition against the answers of its question.

Source: http://hl7.org/fhir/R4/valueset-questionnaire-enable-operator.html: a condition holds when
*at least one* answer stands in the named relation to the expected one; `exists` compares
whether there is an answer at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from service.guidance.answers import Answer
from service.questionnaire.item import Condition
from service.questionnaire.values import order, same

OPERATORS = ("exists", "=", "!=", ">", "<", ">=", "<=")

_ORDERED: Mapping[str, Callable[[int], bool]] = {
    ">": lambda sign: sign > 0,
    "<": lambda sign: sign < 0,
    ">=": lambda sign: sign >= 0,
    "<=": lambda sign: sign <= 0,
}
_TEXTS = frozenset({"string", "text", "url"})


def wants_silence(condition: Condition) -> bool:
    """Whether the condition holds exactly when its question has no answer."""
    return condition.operator == "exists" and condition.expected is False


def holds(condition: Condition, answers: Sequence[Answer], type_: str) -> bool | None:
    """Whether the condition holds for these answers of a question of this item type.

    Returns:
        None where units or precision do not allow to tell. Without any answer it is never None.
    """
    if condition.operator == "exists":
        return (len(answers) > 0) is condition.expected
    verdicts = [_relation(condition, answer, type_) for answer in answers]
    if True in verdicts:
        return True
    return None if None in verdicts else False


def _relation(condition: Condition, answer: Answer, type_: str) -> bool | None:
    expected, operator = condition.expected, condition.operator
    if operator in ("=", "!="):
        equal = answer == expected if type_ in _TEXTS else same(answer, expected)
        return equal if equal is None or operator == "=" else not equal
    if type_ in _TEXTS and isinstance(answer, str) and isinstance(expected, str):
        return _ORDERED[operator]((answer > expected) - (answer < expected))
    sign = order(answer, expected)
    return None if sign is None else _ORDERED[operator](sign)
