"""Questionnaires, compiled once: enableWhen and validation. Knows neither HTTP nor the guidance's rules."""

from service.questionnaire.check import Checked
from service.questionnaire.compiled import (
    CompiledQuestionnaire,
    compile_leniently,
    compile_questionnaire,
    find_questionnaire,
    order_of_version,
    version_order,
)
from service.questionnaire.fhirpath import load_engine
from service.questionnaire.lint import lint
from service.questionnaire.problems import COMPLETE_STATUSES
from service.questionnaire.validation import subject_problems, validate

__all__ = [
    "COMPLETE_STATUSES",
    "Checked",
    "CompiledQuestionnaire",
    "compile_leniently",
    "compile_questionnaire",
    "find_questionnaire",
    "lint",
    "load_engine",
    "order_of_version",
    "subject_problems",
    "validate",
    "version_order",
]
