"""Which form a response answers: by `url|version`, by url, or contained in the response itself.

Source: FHIR R4 references.html#canonical; QuestionnaireResponse.questionnaire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from service.errors import Problem
from service.questionnaire.compiled import Compiled, compile_leniently
from service.questionnaire.extensions import mappings, text
from service.questionnaire.severity import severity
from service.questionnaire.value_sets import ValueSets

_PLACE = "QuestionnaireResponse.questionnaire"


def find_form(
    response: Mapping[str, Any], forms: Iterable[Compiled], value_sets: ValueSets
) -> Compiled | Problem:
    """Returns the form that a response names, or the problem that there is none.

    A contained Questionnaire (`#id`) is compiled here. A bare url stands for the only known version;
    where there are several, it is the active one, if only one is active.
    """
    canonical = text(response.get("questionnaire"))
    if not canonical:
        return _problem("canonical-missing", "Expected: questionnaire, the url|version of a Questionnaire.")
    if canonical.startswith("#"):
        return _contained(canonical[1:], response, value_sets)
    url, _, version = canonical.partition("|")
    same_url = [form for form in forms if text(form.resource.get("url")) == url]
    if not same_url:
        return _problem("canonical-unknown", "Expected: the url of a Questionnaire that is known here.")
    found = [form for form in same_url if version in ("", text(form.resource.get("version")))]
    if not found:
        known = ", ".join(sorted(form.canonical for form in same_url))
        return _problem("canonical-mismatch", f"Expected a version that is known here: {known}.")
    if len(found) > 1:
        found = [form for form in found if form.resource.get("status") == "active"]
    if len(found) != 1:
        return _problem(
            "canonical-mismatch", "Expected questionnaire with a version: several are known here."
        )
    return found[0]


def _contained(id_: str, response: Mapping[str, Any], value_sets: ValueSets) -> Compiled | Problem:
    """A contained Questionnaire sees the value sets that the response contains beside it."""
    contained = list(mappings(response.get("contained")))
    for resource in contained:
        if resource.get("resourceType") == "Questionnaire" and resource.get("id") == id_:
            return compile_leniently(resource, value_sets.with_resources(contained))
    return _problem("canonical-unknown", "Expected: #id of a Questionnaire that the response contains.")


def _problem(kind: str, words: str) -> Problem:
    return Problem(kind, words, _PLACE, severity(kind))
