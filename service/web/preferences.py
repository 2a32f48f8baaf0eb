"""What a caller prefers, from the header Prefer; what is not understood is ignored.

Source: RFC 7240; R4 http.html#prefer, search.html#errors.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.web.call import Call

_SEPARATOR = re.compile(r"[;,]")
_RETURNS = {"minimal": "minimal", "representation": "representation", "operationoutcome": "OperationOutcome"}


def is_strict(call: Call) -> bool:
    """Whether parameters that are not known are to be refused rather than left out."""
    return "handling=strict" in _preferences(call)


def wanted_return(call: Call) -> str:
    """Returns `minimal`, `representation` or `OperationOutcome`; `representation` where nothing is said."""
    for each in _preferences(call):
        name, _, value = each.partition("=")
        if name == "return" and value in _RETURNS:
            return _RETURNS[value]
    return "representation"


def _preferences(call: Call) -> list[str]:
    text = call.header("PREFER")
    if text is None:
        return []
    return [re.sub(r'[\s"]', "", part).lower() for part in _SEPARATOR.split(text)]
