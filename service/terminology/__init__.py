"""Code systems, value sets and their expansion. Knows neither HTTP nor what a Questionnaire is."""

from service.terminology.expansion import ExpansionParameters, expand
from service.terminology.value_sets import ValueSets, value_sets_from

__all__ = ["ExpansionParameters", "ValueSets", "expand", "value_sets_from"]
