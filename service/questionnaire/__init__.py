"""Questionnaires, compiled once: enableWhen and validation. Knows neither HTTP nor the guidance's rules."""

from service.questionnaire.check import Checked
from service.questionnaire.compiled import Compiled, compile_leniently, compile_questionnaire, find_form
from service.questionnaire.fhirpath import load_engine
from service.questionnaire.lint import lint
from service.questionnaire.validation import carries_code, validate
from service.terminology.expansion import Wanted, expanded
from service.terminology.value_sets import ValueSets, value_sets_from

__all__ = [
    "Checked",
    "Compiled",
    "ValueSets",
    "Wanted",
    "carries_code",
    "compile_leniently",
    "compile_questionnaire",
    "expanded",
    "find_form",
    "lint",
    "load_engine",
    "validate",
    "value_sets_from",
]
