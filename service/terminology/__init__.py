"""Code systems, value sets, their expansion, and the server that is asked. Knows no Questionnaire."""

from service.terminology.expansion import ExpansionParameters, expand
from service.terminology.membership import Membership
from service.terminology.server import TerminologyServer
from service.terminology.sources import resources_in
from service.terminology.value_sets import ValueSets, value_sets_from

__all__ = [
    "ExpansionParameters",
    "Membership",
    "TerminologyServer",
    "ValueSets",
    "expand",
    "resources_in",
    "value_sets_from",
]
