"""Value sets and code systems of FHIR R4 itself that questionnaires use, kept beside this file.

Source: FHIR R4 4.0.1 definitions (valuesets, v2-tables, v3-codesystems), codes and displays only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


def fixed_resource(canonical: str) -> Mapping[str, Any] | None:
    """Returns the R4 ValueSet or CodeSystem with this url (no version, `|4.0.1` or its own), or None."""
    url, _, version = canonical.partition("|")
    found = _all().get(url)
    return found if found is not None and version in ("", "4.0.1", found.get("version")) else None


@cache
def _all() -> Mapping[str, Mapping[str, Any]]:
    document = json.loads(files(__package__).joinpath("fixed_r4.json").read_text("utf-8"))
    return {resource["url"]: resource for resource in document}
