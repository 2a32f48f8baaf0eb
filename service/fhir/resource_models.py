"""Type-checks what authors publish with the models of fhir.resources: in `check`, and in tests.

Never on the request path: these models cost a hundred times what our own tables cost, and they let
through what our own check refuses. They are a second opinion on published resources, nothing more.
"""

from __future__ import annotations

from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from service.fhir.json import Json, encoded


def faults_in(resource: Json) -> tuple[str, ...]:
    """Returns a line per fault, `element: what is wrong`; empty when the models accept the resource.

    Args:
        resource: plain values; numbers are int or Decimal.
    """
    named = str(resource.get("resourceType"))
    try:
        model = get_fhir_model_class(named)
    except ValueError:
        return (f"resourceType: expected a resource of R4, not {named}",)
    body = encoded(readable(resource))
    try:
        model.model_validate_json(body)
    except ValidationError as refused:
        return tuple(_line(named, error["loc"], error["msg"]) for error in refused.errors())
    return ()


def readable(value: Any) -> Any:
    """Returns plain values as far as the models can read them.

    Their Extension lacks what R4 allows beside a value: `_value[x]`, with a translation for one, is left out
    where `value[x]` stands there too.
    """
    if isinstance(value, list):
        return [readable(member) for member in value]
    if not isinstance(value, dict):
        return value
    is_extension = "url" in value
    kept = (
        (name, member)
        for name, member in value.items()
        if not (is_extension and name.startswith("_value") and name[1:] in value)
    )
    return {name: readable(member) for name, member in kept}


def _line(named: str, steps: tuple[int | str, ...], message: str) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return f"{named}{place}: {message}"
