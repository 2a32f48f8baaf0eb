"""Each answer of an enabled question against its options and limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from service.errors import Problem
from service.guidance.answers import Answer, Coding, Quantity
from service.questionnaire.answer_reading import Given
from service.questionnaire.attachments import attachment_faults
from service.questionnaire.extensions import text
from service.questionnaire.item import Item, Options
from service.questionnaire.limits import limit_faults
from service.questionnaire.occurrences import Occurrence
from service.questionnaire.pattern import Patience, PatternInvalid, PatternTooSlow
from service.questionnaire.references import reference_faults
from service.questionnaire.severity import severity

_URL = re.compile(
    r"urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:\S+|(?!urn:)[A-Za-z][A-Za-z0-9+.-]*:(?://[^\s/?#]+\S*|(?!//)\S+)"
)

_WITHOUT_TEXT = frozenset({"attachment", "reference"})

Fault = tuple[str, str, str]
"""Kind, expectation, severity."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the answers of one response have in common: the response itself, and patience with patterns."""

    response: Mapping[str, Any]
    patience: Patience = field(default_factory=Patience)


def answer_problems(here: Occurrence, setting: Setting) -> Iterator[Problem]:
    """Yields every fault of the answers of one enabled occurrence."""
    item = here.item
    for given in here.given:
        if given.answer is None:
            continue
        for kind, expected, level in _faults(item, given, given.answer, setting):
            yield Problem(kind, f"{item.label}: expected {expected}.", given.path, level)
    if item.options is not None and len(here.given) > 1:
        yield from _together(here, item.options)


def _faults(item: Item, given: Given, answer: Answer, setting: Setting) -> Iterator[Fault]:
    if item.options is not None:
        yield from _option_faults(item.options, answer)
    plain = chain(
        limit_faults(item, answer, _unit_system(answer, given.value)),
        _pattern_faults(item, answer, setting.patience),
        _url_faults(item, answer),
        attachment_faults(item.limits, given.value) if item.type == "attachment" else (),
        reference_faults(item.limits, given.value, setting.response) if item.type == "reference" else (),
    )
    for kind, expected in plain:
        yield kind, expected, severity(kind)


def _pattern_faults(item: Item, answer: Answer, patience: Patience) -> Iterator[tuple[str, str]]:
    pattern = item.limits.pattern
    if not pattern or item.type in _WITHOUT_TEXT or isinstance(answer, bool | Coding | Quantity):
        return
    try:
        if not patience.fits(pattern, str(answer)):
            yield "pattern", f"a text that matches {pattern}"
    except PatternTooSlow:
        yield "pattern-time", "a text on which the regular expression of the form comes to an end"
    except PatternInvalid:
        return


def _url_faults(item: Item, answer: Answer) -> Iterator[tuple[str, str]]:
    if item.type == "url" and isinstance(answer, str) and not _URL.fullmatch(answer):
        yield "url-syntax", "an absolute url, such as https://example.org, or a urn"


def _unit_system(answer: Answer, value: Any) -> str:
    return text(value.get("system")) if isinstance(answer, Quantity) else ""


def _option_faults(options: Options, answer: Answer) -> Iterator[Fault]:
    if answer in options.choices or (options.open and isinstance(answer, str)):
        return
    named = f"the value set {options.value_set}"
    if options.unreachable:
        level = "warning" if options.open else "error"
        yield "value-set-unreachable", f"{named} to be at hand; the answer could not be checked", level
    elif isinstance(answer, Coding) and answer.system in options.uncertain:
        yield "value-set-uncertain", f"an answer of {named}, whose codes are not all listed here", "warning"
    else:
        expected = f"one of {named}" if options.value_set else "one of the options, by system and code"
        yield "answer-option", expected, severity("answer-option")


def _together(here: Occurrence, options: Options) -> Iterator[Problem]:
    seen: set[Answer] = set()
    for given in here.given:
        if given.answer is None:
            continue
        if given.answer in seen and given.answer in options.choices:
            text_ = f"{here.item.label}: expected each option once."
            yield Problem("answer-duplicate", text_, given.path, severity("answer-duplicate"))
        seen.add(given.answer)
        choice = options.choices.get(given.answer)
        if choice is not None and choice.exclusive:
            text_ = f"{here.item.label}: expected this option alone, because it excludes every other."
            yield Problem("answer-exclusive", text_, given.path, severity("answer-exclusive"))
