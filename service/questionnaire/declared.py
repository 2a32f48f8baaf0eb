"""Every expression that a Questionnaire declares, wherever it stands and whatever it is for.

Source: SDC extensions variable, targetConstraint, questionnaire-constraint, enableWhenExpression,
calculatedExpression, initialExpression.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.questionnaire import extensions as ext
from service.questionnaire.item import Item

VARIABLE = "variable"
CONSTRAINT = "constraint"
ENABLE_WHEN = "enableWhenExpression"
CALCULATED = "calculatedExpression"
INITIAL = "initialExpression"

_PLAIN = {
    ext.VARIABLE: VARIABLE,
    ext.ENABLE_WHEN_EXPRESSION: ENABLE_WHEN,
    ext.CALCULATED_EXPRESSION: CALCULATED,
    ext.INITIAL_EXPRESSION: INITIAL,
}
FHIRPATH = "text/fhirpath"


@dataclass(frozen=True, slots=True)
class Declared:
    """One expression as it stands in the Questionnaire.

    Args:
        link: linkId of its item, None at the root. path: where it stands.
        role: one of the constants above. name: variable name or key of a constraint.
        severity, human: of a constraint.
    """

    link: str | None
    path: str
    role: str
    language: str
    text: str
    name: str = ""
    severity: str = "error"
    human: str = ""


def declared(resource: Mapping[str, Any], items: Mapping[str, Item]) -> Iterator[Declared]:
    """Yields all expressions, those of the root first, then item by item in document order."""
    yield from _of_element(None, "Questionnaire", resource)
    for item in items.values():
        yield from _of_element(item.link_id, item.path, item.source)


def _of_element(link: str | None, path: str, source: Mapping[str, Any]) -> Iterator[Declared]:
    for url, role in _PLAIN.items():
        for found in ext.values(source, url):
            yield _plain(link, path, role, found if isinstance(found, Mapping) else {})
    for extension in ext.extensions(source, ext.CONSTRAINT):
        yield _constraint(link, path, extension)
    for extension in ext.extensions(source, ext.TARGET_CONSTRAINT):
        yield _constraint(link, path, extension)


def _plain(link: str | None, path: str, role: str, source: Mapping[str, Any]) -> Declared:
    language = ext.text(source.get("language"))
    return Declared(
        link, path, role, language, ext.text(source.get("expression")), ext.text(source.get("name"))
    )


def _constraint(link: str | None, path: str, extension: Mapping[str, Any]) -> Declared:
    """The older form has its expression as a string, the newer one as an Expression."""
    found = ext.value(extension, "expression")
    typed = found if isinstance(found, Mapping) else {"language": FHIRPATH, "expression": found}
    severity = ext.text(ext.value(extension, "severity"))
    return Declared(
        link,
        path,
        CONSTRAINT,
        ext.text(typed.get("language")),
        ext.text(typed.get("expression")),
        ext.text(ext.value(extension, "key")),
        severity if severity in ("error", "warning") else "error",
        ext.text(ext.value(extension, "human")),
    )
