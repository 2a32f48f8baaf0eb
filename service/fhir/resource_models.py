"""Type-checks what authors publish with the models of fhir.resources: in `check`, and in tests.

Never on the request path: these models cost a hundred times what our own tables cost, and they let
through what our own check refuses. They are a second opinion on published resources, nothing more.
"""

from __future__ import annotations

import msgspec
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from service.fhir.json import Json


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
    body = msgspec.json.Encoder(decimal_format="number").encode(resource)
    try:
        model.model_validate_json(body)
    except ValidationError as refused:
        return tuple(_line(named, error["loc"], error["msg"]) for error in refused.errors())
    return ()


def _line(named: str, steps: tuple[int | str, ...], message: str) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return f"{named}{place}: {message}"
