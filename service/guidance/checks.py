"""The names and numbers between the mapping files: everything must resolve, everything must be used."""

from __future__ import annotations

from service.guidance.check_conditions import condition_faults
from service.guidance.check_names import name_faults
from service.guidance.check_rules import rule_faults
from service.guidance.check_scores import score_faults
from service.guidance.check_use import use_faults
from service.guidance.draft import Draft
from service.guidance.form import Form
from service.guidance.grammar import fault_line


def faults_of(draft: Draft, form: Form) -> tuple[str, ...]:
    """A line per fault, `file.yaml: key path: what was expected`; empty if there is none."""
    found = [
        *name_faults(draft, form),
        *rule_faults(draft),
        *condition_faults(draft, form),
        *score_faults(draft, form),
        *use_faults(draft),
    ]
    return tuple(dict.fromkeys(fault_line(*fault) for fault in found))
