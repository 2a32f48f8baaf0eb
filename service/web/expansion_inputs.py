"""The parameters of `$expand`: which are taken, which are refused, and what they ask for.

Source: R4 OperationDefinition ValueSet-expand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from service.errors import Malformed, Problem
from service.fhir.inputs import Input, Values
from service.questionnaire import Wanted

_PINS: Final = ("system-version", "check-system-version", "force-system-version")

INPUTS: Final = (
    Input("url", "uri"),
    Input("valueSetVersion", "string"),
    Input("filter", "string"),
    Input("offset", "integer"),
    Input("count", "integer"),
    Input("includeDesignations", "boolean"),
    Input("designation", "string", repeats=True),
    Input("includeDefinition", "boolean"),
    Input("activeOnly", "boolean"),
    Input("excludeNested", "boolean"),
    Input("excludeNotForUI", "boolean"),
    Input("excludePostCoordinated", "boolean"),
    Input("displayLanguage", "code"),
    Input("exclude-system", "canonical", repeats=True),
    *(Input(name, "canonical", repeats=True) for name in _PINS),
)
"""What is supported of R4's declaration; there is no post-coordination, so that parameter changes nothing."""

REFUSED: Final = frozenset(("valueSet", "context", "contextDirection", "date"))
"""What R4 declares beside that: leaving it out would be an answer to another question."""


def canonical_from(values: Values) -> str:
    """Returns `url` or `url|version`; raises Malformed where two versions are named."""
    (named,) = values.get("url", ("",))
    url, _, version = named.partition("|")
    (asked,) = values.get("valueSetVersion", (version,))
    if asked and (not url or version not in ("", asked)):
        text = "Parameter valueSetVersion: expected with a url, and the version that the url names, if any."
        raise Malformed(Problem("parameter", text))
    return f"{url}|{asked}" if asked else url


def wanted_from(values: Values) -> Wanted:
    """Returns how to expand, by the parameters of the operation.

    Raises:
        Malformed: a page that begins or ends below zero, or a code system without the version to use.
    """
    pinned = tuple((name, each) for name in _PINS for each in values.get(name, ()))
    problems = [*_negative(values), *_unversioned(pinned)]
    if problems:
        raise Malformed(*problems)
    single = {name: each[0] for name, each in values.items()}
    return Wanted(
        filter=single.get("filter", ""),
        offset=single.get("offset", 0),
        count=single.get("count"),
        active_only=single.get("activeOnly", False),
        flat=single.get("excludeNested", False),
        selectable_only=single.get("excludeNotForUI", False),
        definition=single.get("includeDefinition", False),
        designations=single.get("includeDesignations", "designation" in values),
        designation=values.get("designation", ()),
        language=single.get("displayLanguage", ""),
        without=values.get("exclude-system", ()),
        pinned=pinned,
        asked=tuple(_asked(values)),
    )


def _negative(values: Values) -> Iterator[Problem]:
    for name in ("offset", "count"):
        if values.get(name, (0,))[0] < 0:
            yield Problem("parameter", f"Parameter {name}: expected a whole number from 0.")


def _unversioned(pinned: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    for name, canonical in pinned:
        if not canonical.partition("|")[2]:
            yield Problem("parameter", f"Parameter {name}: expected system|version.")


def _asked(values: Values) -> Iterator[dict[str, Any]]:
    """Yields the parameters as an expansion repeats them, in the order of their declaration."""
    for each in INPUTS:
        kind = "uri" if each.type == "canonical" else each.type
        for value in values.get(each.name, ()):
            if each.name not in ("url", "valueSetVersion"):
                yield {"name": each.name, f"value{kind[0].upper()}{kind[1:]}": value}
