"""Questionnaires, compiled once: enableWhen and validation. Knows neither HTTP nor the guidance's rules."""

from service.questionnaire.adaptive import ASKED_ID, AskedForm, asked_form, asking, canonical_named
from service.questionnaire.check import Checked
from service.questionnaire.compiled import (
    CompiledQuestionnaire,
    compile_leniently,
    compile_questionnaire,
    find_questionnaire,
    order_of_version,
    version_order,
)
from service.questionnaire.expressions import trees_of
from service.questionnaire.fhirpath import load_engine
from service.questionnaire.fhirpath_syntax import know
from service.questionnaire.items import DISPLAY, GROUP, AnswerLimits, Item
from service.questionnaire.lint import lint, not_shown
from service.questionnaire.problems import COMPLETE_STATUSES
from service.questionnaire.translations import (
    form_in,
    languages_in,
    missing_texts,
    option_name,
    option_names,
    texts_in,
    told_in,
    translated,
)
from service.questionnaire.validation import subject_problems, validate

__all__ = [
    "ASKED_ID",
    "COMPLETE_STATUSES",
    "DISPLAY",
    "GROUP",
    "AnswerLimits",
    "AskedForm",
    "Checked",
    "CompiledQuestionnaire",
    "Item",
    "asked_form",
    "asking",
    "canonical_named",
    "compile_leniently",
    "compile_questionnaire",
    "find_questionnaire",
    "form_in",
    "know",
    "languages_in",
    "lint",
    "load_engine",
    "missing_texts",
    "not_shown",
    "option_name",
    "option_names",
    "order_of_version",
    "subject_problems",
    "texts_in",
    "told_in",
    "translated",
    "trees_of",
    "validate",
    "version_order",
]
